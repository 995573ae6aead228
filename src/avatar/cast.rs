//! Which avatar is moved by whom.

use std::collections::{HashMap, HashSet};

use bevy::prelude::*;

/// An avatar, and whom it may follow.
pub struct Role {
    pub avatar: Entity,
    /// The performer that it names.
    pub named: Option<Entity>,
    /// Whom it followed until now, if they are still there.
    pub before: Option<Part>,
}

/// Whom an avatar follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    pub performer: Entity,
    /// They are another avatar's: there was nobody else.
    pub shared: bool,
}

/// Whom each avatar follows, of those who are `seen`, in the order in which they entered. Avatars that name somebody follow them. The others keep
/// whoever is theirs, also while they are not seen, unless there is one avatar alone; those that have nobody, or share somebody, get the first
/// one who is no avatar's. Where nobody is left, they share somebody.
pub fn cast(mut roles: Vec<Role>, seen: &[Entity]) -> HashMap<Entity, Part> {
    let waits = roles.iter().filter(|role| role.named.is_none()).count() > 1;
    let is_seen = |performer: &Entity| seen.contains(performer);
    let own = |role: &Role| {
        let own = role.before.filter(|part| !part.shared)?.performer;
        Some(own).filter(|own| waits || is_seen(own))
    };
    roles.sort_by_key(|role| {
        let has = [role.named, own(role)].map(|one| one.is_none());
        (has, role.avatar.index_u32())
    });
    let mut taken = HashSet::new();
    let parts = roles.into_iter().filter_map(|role| {
        let is_free = |performer: &Entity| !taken.contains(performer);
        let before = role.before.map(|part| part.performer);
        let performer = (role.named)
            .or(own(&role).filter(is_free))
            .or_else(|| seen.iter().copied().find(is_free))
            .or(before.filter(is_seen))
            .or(seen.first().copied())
            .or(before)?;
        let shared = !taken.insert(performer);
        Some((role.avatar, Part { performer, shared }))
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Avatars 0, 1, …, of which the second one, say, names somebody.
    struct Stage {
        names: Vec<Option<u32>>,
        parts: HashMap<Entity, Part>,
    }

    fn entity(number: u32) -> Entity {
        Entity::from_raw_u32(number).expect("a small number")
    }

    impl Stage {
        fn of(names: &[Option<u32>]) -> Stage {
            Stage {
                names: names.to_vec(),
                parts: HashMap::new(),
            }
        }

        /// Whom each avatar follows next, of people who are seen, while others are waited for.
        fn next(&mut self, seen: &[u32], waited_for: &[u32]) -> Vec<Option<u32>> {
            let avatars = || (0..self.names.len() as u32).map(entity);
            let there: Vec<Entity> = seen.iter().chain(waited_for).copied().map(entity).collect();
            let roles = avatars().zip(&self.names).map(|(avatar, named)| Role {
                avatar,
                named: named.map(entity),
                before: (self.parts.get(&avatar).copied())
                    .filter(|part| there.contains(&part.performer)),
            });
            let mut roles: Vec<Role> = roles.collect();
            // The order of queries is nobody's.
            roles.reverse();
            let seen: Vec<Entity> = seen.iter().copied().map(entity).collect();
            let parts = cast(roles, &seen);
            let of = |avatar| Some(parts.get(&avatar)?.performer.index_u32());
            let found = avatars().map(of).collect();
            self.parts = parts;
            found
        }
    }

    #[test]
    fn each_avatar_follows_somebody_else_as_soon_as_there_are_enough() {
        let mut stage = Stage::of(&[None, None, None]);
        assert_eq!(stage.next(&[], &[]), [None; 3]);
        assert_eq!(stage.next(&[20], &[]), [Some(20); 3]);
        assert_eq!(stage.next(&[20, 10], &[]), [Some(20), Some(10), Some(20)]);
        assert_eq!(
            stage.next(&[20, 10, 30], &[]),
            [Some(20), Some(10), Some(30)]
        );
    }

    #[test]
    fn players_keep_their_avatars_when_another_is_away() {
        let mut stage = Stage::of(&[None, None]);
        stage.next(&[20, 10], &[]);
        // For a moment,
        assert_eq!(stage.next(&[10], &[20]), [Some(20), Some(10)]);
        assert_eq!(stage.next(&[10, 30], &[20]), [Some(20), Some(10)]);
        assert_eq!(stage.next(&[20, 10], &[]), [Some(20), Some(10)]);
        // and for good, until somebody else comes in.
        assert_eq!(stage.next(&[10], &[]), [Some(10), Some(10)]);
        assert_eq!(stage.next(&[10, 30], &[]), [Some(30), Some(10)]);
    }

    #[test]
    fn avatars_that_share_somebody_go_on_together() {
        let mut stage = Stage::of(&[None, None]);
        stage.next(&[20], &[]);
        assert_eq!(stage.next(&[], &[20]), [Some(20); 2]);
        // They came back before they were given up.
        let found = stage.next(&[30], &[20]);
        assert_eq!(found[1], Some(30));
        assert_eq!(stage.next(&[30], &[]), [Some(30); 2]);
    }

    #[test]
    fn one_avatar_goes_on_with_whoever_is_seen() {
        let mut stage = Stage::of(&[None]);
        assert_eq!(stage.next(&[20, 10], &[]), [Some(20)]);
        assert_eq!(stage.next(&[10], &[20]), [Some(10)]);
        assert_eq!(stage.next(&[20, 10], &[]), [Some(10)], "it stays with them");
        assert_eq!(stage.next(&[], &[10]), [Some(10)]);
    }

    #[test]
    fn whoever_is_named_is_left_to_those_that_name_them() {
        let mut stage = Stage::of(&[None, Some(20)]);
        assert_eq!(stage.next(&[20, 10], &[]), [Some(10), Some(20)]);
        // Somebody who was one's own may be named by another later.
        let mut stage = Stage::of(&[None, None]);
        stage.next(&[20], &[]);
        stage.names[1] = Some(20);
        assert_eq!(stage.next(&[20, 10], &[]), [Some(10), Some(20)]);
    }
}
