//! The way of one moment through several views, as a plain function: who is seen in each → who is who → where they are.
//!
//! What [`Pipeline`](crate::pipeline::Pipeline) is for one camera, [`MultiView`] is for a room of calibrated ones. It knows
//! nothing of pictures: it takes 2D poses, from any network or file.

mod followed;

use bevy::math::DVec2;
use nalgebra::DMatrix;

use self::followed::Followed;
use crate::assignment::assign;
use crate::associate::{Sighting, appearance, cycle, epipolar, identity};
use crate::camera::{Intrinsics, View};
use crate::reconstruct::figure::{Figure, Joints, Method, Sights};
use crate::reconstruct::triangulate::{Noise, Sight};
use crate::skeleton::{Joint3d, JointMap, Origin, Pose3d, derive_middle};

/// How people are followed in a room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiViewSettings {
    /// How far off 2D networks usually are.
    pub noise: Noise,
    /// How people's joints are found, unless [`set_method`](MultiView::set_method) says otherwise of one.
    pub method: Method,
    /// Seconds for which somebody whom nobody sees is still told.
    pub patience: f64,
    /// Seconds after which somebody whom nobody sees is forgotten, and would come back as somebody new.
    pub memory: f64,
}

impl Default for MultiViewSettings {
    fn default() -> Self {
        MultiViewSettings {
            noise: Noise::default(),
            method: Method::default(),
            patience: 0.4,
            memory: 3.0,
        }
    }
}

/// Somebody in the room.
#[derive(Clone, Debug)]
pub struct RoomPerson {
    /// The same number for the same person, as long as the room remembers them.
    pub id: u32,
    /// Where their joints are.
    pub joints: Joints,
    /// In which views they are seen now: the number of the view and of the sighting in the list that was given.
    pub seen: Vec<(usize, usize)>,
}

impl RoomPerson {
    /// Their joints as the later stages take them, in the room's own world.
    pub fn pose(&self) -> Pose3d {
        let mut pose = Pose3d::default();
        for (joint, found) in self.joints.present() {
            pose[joint] = Some(Joint3d {
                position: found.position.as_vec3(),
                sigma: found.sigma as f32,
                origin: match found.views {
                    0 => Origin::Predicted,
                    1 => Origin::Lifted,
                    _ => Origin::Triangulated,
                },
            });
        }
        derive_middle(&mut pose);
        pose
    }
}

/// People in a room of calibrated cameras.
#[derive(Clone, Debug)]
pub struct MultiView {
    views: Vec<View>,
    people: Vec<Followed>,
    next_id: u32,
    /// May be changed between moments.
    pub settings: MultiViewSettings,
}

/// Figures nearer to one another than this, in metres, are one person.
const SAME_PERSON: f64 = 0.2;
/// Somebody of whose joints this part lies where those of another one do, to so much of their size in the picture, is that one.
const SEEN_TWICE: f64 = 0.4;
const SAME_PLACE: f64 = 0.04;
/// And is as large, at least by this part.
const AS_LARGE: f64 = 0.8;
/// The least number of joints on which views must agree for somebody to count as seen.
const LEAST_JOINTS: usize = 4;
/// How far from where they were last seen somebody may turn up at once, in metres, and how fast they may go on from there,
/// in metres a second.
const ARMS_LENGTH: f64 = 0.7;
const WALKING: f64 = 1.5;
impl MultiView {
    /// For a room.
    pub fn new(views: Vec<View>, settings: MultiViewSettings) -> MultiView {
        MultiView {
            views,
            people: Vec::new(),
            next_id: 0,
            settings,
        }
    }

    /// The cameras.
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// Gives a camera another lens, such as the same one for pictures of another size.
    pub fn set_lens(&mut self, view: usize, lens: Intrinsics) {
        self.views[view].intrinsics = lens;
    }

    /// Says how one person's joints are found from now on; `false` where nobody has that number.
    pub fn set_method(&mut self, id: u32, method: Method) -> bool {
        let person = self.people.iter_mut().find(|person| person.id == id);
        person.map(|person| person.method = Some(method)).is_some()
    }

    /// Takes in what all views see at a moment, `time` in seconds, later than the last; says who is where.
    ///
    /// Sightings of views that the room does not have are left out.
    pub fn advance(&mut self, time: f64, sightings: &[Sighting]) -> Vec<RoomPerson> {
        let mut sightings: Vec<Sighting> = sightings.to_vec();
        let mut owner = self.find_known(time, &mut sightings);
        let noise = self.settings.noise;
        let patience = self.settings.patience;
        for (person, followed) in self.people.iter_mut().enumerate() {
            if followed.is_lost(time, patience) {
                continue;
            }
            let sights = sights_of(&sightings, |n| owner[n] == Some(person));
            followed.figure.method = followed.method.unwrap_or(self.settings.method);
            followed.figure.advance(time, &sights, &noise);
        }
        self.begin_new(time, &sightings, &mut owner);
        for (person, followed) in self.people.iter_mut().enumerate() {
            let mine = (0..sightings.len()).filter(|&n| owner[n] == Some(person));
            followed.seen = mine.map(|n| (sightings[n].view, n)).collect();
            followed.remember(time, &sightings);
        }
        self.tidy(time);
        let patience = self.settings.patience;
        let told = self
            .people
            .iter()
            .filter(|person| !person.is_lost(time, patience));
        told.map(|person| RoomPerson {
            id: person.id,
            joints: person.figure.joints().clone(),
            seen: person.seen.clone(),
        })
        .collect()
    }

    /// Looks for everybody who is known in every view; says whose each sighting is.
    fn find_known(&mut self, time: f64, sightings: &mut [Sighting]) -> Vec<Option<usize>> {
        let mut owner = vec![None; sightings.len()];
        let patience = self.settings.patience;
        let predict = |person: &Followed| match person.is_lost(time, patience) {
            // Who was out of sight for long may be anywhere: they are known again once it is clear who is new.
            true => identity::Prediction::default(),
            false => person.figure.predict(time),
        };
        let mut predicted: Vec<_> = self.people.iter().map(predict).collect();
        for view in 0..self.views.len() {
            let here: Vec<usize> = (0..sightings.len())
                .filter(|&n| sightings[n].view == view)
                .collect();
            let seen: Vec<&Sighting> = here.iter().map(|&n| &sightings[n]).collect();
            let looks = |person: usize, n: usize| {
                let (known, seen) = (&self.people[person].looks, &seen[n].looks);
                appearance::affinity(known.as_ref()?, seen.as_ref()?)
            };
            for (person, n) in identity::find(&predicted, &seen, looks) {
                owner[here[n]] = Some(person);
            }
        }
        for (person, followed) in self.people.iter_mut().enumerate() {
            let mine = (0..sightings.len()).filter(|n| owner[*n] == Some(person));
            let mine: Vec<&Sighting> = mine.map(|n| &sightings[n]).collect();
            if followed.takes_sides_of(&predicted[person], &mine) {
                predicted[person] = followed.figure.predict(time);
            }
        }
        for (n, sighting) in sightings.iter_mut().enumerate() {
            if let Some(person) = owner[n] {
                identity::mend_exchange(&predicted[person], sighting);
            }
        }
        owner
    }

    /// Matches the sightings that are nobody's with one another; those that make a body are somebody new.
    fn begin_new(&mut self, time: f64, sightings: &[Sighting], owner: &mut [Option<usize>]) {
        let rest: Vec<usize> = (0..sightings.len())
            .filter(|&n| {
                owner[n].is_none()
                    && sightings[n].view < self.views.len()
                    && sightings[n].count() >= LEAST_JOINTS
                    && !is_seen_twice(n, sightings, owner)
            })
            .collect();
        let several_views = rest
            .windows(2)
            .any(|pair| sightings[pair[0]].view != sightings[pair[1]].view);
        if !several_views {
            return;
        }
        let affinity = DMatrix::from_fn(rest.len(), rest.len(), |a, b| {
            let (a, b) = (&sightings[rest[a.min(b)]], &sightings[rest[a.max(b)]]);
            if a.view == b.view {
                return 0.0;
            }
            let places = epipolar::affinity(a, b, &self.views).unwrap_or(0.0);
            let looks = a.looks.as_ref().zip(b.looks.as_ref());
            // Both together, as Dong et al. 2019, equation 4.
            match looks.and_then(|(a, b)| appearance::affinity(a, b)) {
                Some(looks) => (places * looks).sqrt(),
                None => places,
            }
        });
        let view: Vec<usize> = rest.iter().map(|&n| sightings[n].view).collect();
        let mut groups = cycle::groups(&affinity, &view);
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        let mut newcomers: Vec<(Figure, Vec<usize>)> = Vec::new();
        for group in groups.iter().filter(|group| group.len() >= 2) {
            let is_theirs = |n: usize| group.iter().any(|&member| rest[member] == n);
            let sights = sights_of(sightings, is_theirs);
            let Some(figure) = Figure::begin(time, &sights, &self.settings.noise) else {
                continue;
            };
            if !is_plausible(figure.joints()) {
                continue;
            }
            let members: Vec<usize> = group.iter().map(|&member| rest[member]).collect();
            let patience = self.settings.patience;
            let twin = self.people.iter().position(|known| {
                let apart = known.figure.distance(&figure);
                !known.is_lost(time, patience) && apart.is_some_and(|apart| apart < SAME_PERSON)
            });
            if let Some(person) = twin {
                members.iter().for_each(|&n| owner[n] = Some(person));
                continue;
            }
            // Two groups of views may hold the same person, where no view of the one agreed with one of the other.
            let same = newcomers.iter_mut().find(|(other, others)| {
                let apart = other.distance(&figure);
                let view_of = |n: &usize| sightings[*n].view;
                apart.is_some_and(|apart| apart < SAME_PERSON)
                    && !members
                        .iter()
                        .any(|n| others.iter().any(|other| view_of(other) == view_of(n)))
            });
            match same {
                Some((_, others)) => others.extend(members),
                None => newcomers.push((figure, members)),
            }
        }
        newcomers.retain(|(figure, members)| members.len() >= self.least_views(figure, sightings));
        let again = self.find_lost(time, sightings, owner, &newcomers);
        for ((mut figure, members), known) in newcomers.into_iter().zip(again) {
            let person = known.unwrap_or_else(|| {
                self.next_id += 1;
                self.people.push(Followed {
                    id: self.next_id,
                    figure: Figure::default(),
                    began: time,
                    last_seen: time,
                    looks: None,
                    seen: Vec::new(),
                    agreed: 0,
                    method: None,
                    exchanged: Default::default(),
                    twisted: 0,
                });
                self.people.len() - 1
            });
            let followed = &mut self.people[person];
            if known.is_some() {
                figure.take_lengths_of(&followed.figure);
            }
            (followed.figure, followed.last_seen) = (figure, time);
            members.iter().for_each(|&n| owner[n] = Some(person));
        }
    }

    /// How many views must see a newcomer: a third of those that see anybody and before which they would stand. Of many views, two
    /// may well agree on somebody made of the arms of one person and the legs of another.
    fn least_views(&self, figure: &Figure, sightings: &[Sighting]) -> usize {
        let Some(centre) = figure.centre() else {
            return usize::MAX;
        };
        let shows = |n: &usize| {
            let view = &self.views[*n];
            let size = DVec2::new(view.intrinsics.width.into(), view.intrinsics.height.into());
            let pixel = view.project(centre);
            pixel.is_some_and(|p| p.cmpge(DVec2::ZERO).all() && p.cmplt(size).all())
        };
        let look = |n: &usize| sightings.iter().any(|seen| seen.view == *n);
        let shown = (0..self.views.len()).filter(look).filter(shows);
        shown.count().div_ceil(3).max(2)
    }

    /// Who of those whom nobody sees now each newcomer is, if anybody: whoever could have walked there, and looks like them where
    /// looks are known.
    fn find_lost(
        &self,
        time: f64,
        sightings: &[Sighting],
        owner: &[Option<usize>],
        newcomers: &[(Figure, Vec<usize>)],
    ) -> Vec<Option<usize>> {
        let lost: Vec<usize> = (0..self.people.len())
            .filter(|&person| !owner.contains(&Some(person)))
            .collect();
        let cost = |newcomer: usize, lost: usize| {
            let (figure, members) = &newcomers[newcomer];
            let known = &self.people[lost];
            let walked = figure.centre()?.distance(known.figure.centre()?);
            let reach = ARMS_LENGTH + WALKING * (time - known.last_seen);
            let looks = members.iter().filter_map(|&n| {
                let seen = sightings[n].looks.as_ref()?;
                appearance::affinity(known.looks.as_ref()?, seen)
            });
            let looks: Vec<f64> = looks.collect();
            let alike = looks.iter().sum::<f64>() / looks.len().max(1) as f64;
            let unlike = if looks.is_empty() { 0.0 } else { 1.0 - alike };
            (walked < reach).then_some(walked / reach + unlike)
        };
        let costs: Vec<Vec<Option<f64>>> = (0..newcomers.len())
            .map(|newcomer| lost.iter().map(|&lost| cost(newcomer, lost)).collect())
            .collect();
        let mut found = vec![None; newcomers.len()];
        for (newcomer, n) in assign(newcomers.len(), lost.len(), |a, b| {
            costs[a][b].unwrap_or(10.0)
        }) {
            if costs[newcomer][n].is_some() {
                found[newcomer] = Some(lost[n]);
            }
        }
        found
    }

    /// Forgets who is gone, and who turned out to be somebody else.
    fn tidy(&mut self, time: f64) {
        let memory = self.settings.memory;
        self.people
            .retain(|person| time - person.last_seen <= memory);
        let patience = self.settings.patience;
        let mut kept: Vec<Followed> = Vec::with_capacity(self.people.len());
        // In the order in which they began.
        for person in self.people.drain(..) {
            let is_at = |older: &Followed| {
                let apart = older.figure.distance(&person.figure);
                apart.is_some_and(|apart| apart < SAME_PERSON)
            };
            let Some(older) = kept.iter_mut().find(|older| is_at(older)) else {
                kept.push(person);
                continue;
            };
            if older.is_lost(time, patience) {
                if person.began > older.last_seen {
                    // Lost, and found again as somebody new: the name stays.
                    let id = older.id;
                    *older = Followed { id, ..person };
                } else {
                    // Somebody else, who stands where they were.
                    kept.push(person);
                }
            } else if person.seen.iter().any(|&(view, _)| older.is_seen_in(view)) {
                // A view sees both: people who embrace.
                kept.push(person);
            }
        }
        self.people = kept;
    }
}

/// Whether a sighting is of somebody who is known and seen in that view already: networks find one person twice, a part of them where
/// another one passed.
fn is_seen_twice(n: usize, sightings: &[Sighting], owner: &[Option<usize>]) -> bool {
    let seen = &sightings[n];
    let others = sightings.iter().zip(owner);
    let mut of_known = others.filter(|(other, owner)| owner.is_some() && other.view == seen.view);
    of_known.any(|(other, _)| {
        let (large, small) = (seen.size.max(other.size), seen.size.min(other.size));
        let (mut same, mut shared) = (0, 0);
        for (joint, point) in seen.pose.present() {
            // What nobody is sure of lies anywhere, such as on whoever hides it.
            let sure = seen.rays[joint].is_some() && other.rays[joint].is_some();
            if let Some(known) = other.pose[joint].filter(|_| sure) {
                shared += 1;
                let apart = f64::from(point.position.distance(known.position));
                same += usize::from(apart < SAME_PLACE * large);
            }
        }
        // Whoever stands behind somebody is smaller.
        small > AS_LARGE * large
            && same >= LEAST_JOINTS
            && same as f64 >= SEEN_TWICE * shared as f64
    })
}

fn sights_of(sightings: &[Sighting], is_theirs: impl Fn(usize) -> bool) -> Sights {
    let mut sights = Sights::default();
    for (_, seen) in sightings.iter().enumerate().filter(|(n, _)| is_theirs(*n)) {
        for (joint, &(ray, weight)) in seen.rays.present() {
            sights[joint].push(Sight {
                ray,
                weight,
                pixel: seen.pixel,
            });
        }
    }
    sights
}

fn is_plausible(joints: &Joints) -> bool {
    let mut places = JointMap::default();
    for (joint, found) in joints.present() {
        places[joint] = Some(found.position);
    }
    crate::reconstruct::bones::plausibility(&places).is_none_or(|share| share > 0.6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::tests::{room, seen_by, standing};
    use crate::looks::{Likeness, Looks};
    use bevy::math::DVec3;

    /// Follows people; each gives, by time, where they stand, or `None` while no camera sees them. Returns their numbers at
    /// each moment, in their order.
    fn numbers(people: &[&dyn Fn(f64) -> Option<DVec3>], seconds: f64) -> Vec<Vec<Option<u32>>> {
        numbers_of(people, seconds, &[])
    }

    /// The same of people with those looks.
    fn numbers_of(
        people: &[&dyn Fn(f64) -> Option<DVec3>],
        seconds: f64,
        looks: &[[f32; 2]],
    ) -> Vec<Vec<Option<u32>>> {
        let views = room(3);
        let mut followed = MultiView::new(views.clone(), MultiViewSettings::default());
        let mut told = Vec::new();
        for n in 0..(seconds * 30.0) as usize {
            let time = n as f64 / 30.0;
            let places: Vec<Option<DVec3>> = people.iter().map(|person| person(time)).collect();
            let mut sightings = Vec::new();
            for view in 0..views.len() {
                for (person, place) in places.iter().enumerate() {
                    let Some(place) = place else { continue };
                    let mut seen = seen_by(view, &views, &standing(*place));
                    seen.looks = looks
                        .get(person)
                        .and_then(|looks| Looks::new(looks, Likeness::default()));
                    sightings.push(seen);
                }
            }
            let found = followed.advance(time, &sightings);
            let number = |place: &Option<DVec3>| {
                let wanted = standing((*place)?)[crate::skeleton::Joint::LeftHip]?;
                let is_there = |person: &&RoomPerson| {
                    let hip = person.joints[crate::skeleton::Joint::LeftHip];
                    hip.is_some_and(|hip| hip.position.distance(wanted) < 0.15)
                };
                found.iter().find(is_there).map(|person| person.id)
            };
            told.push(places.iter().map(number).collect());
        }
        told
    }

    #[test]
    fn who_was_hidden_for_two_seconds_is_the_same_and_who_was_for_ten_is_not() {
        let hidden = |from: f64, to: f64| {
            move |time: f64| (time < from || time > to).then_some(DVec3::X * 0.3)
        };
        let told = numbers(&[&hidden(1.0, 3.0)], 4.0);
        assert_eq!((told[20][0], told[110][0]), (Some(1), Some(1)));
        let told = numbers(&[&hidden(1.0, 11.0)], 12.0);
        assert_eq!((told[20][0], told[350][0]), (Some(1), Some(2)));
    }

    #[test]
    fn who_comes_back_in_another_ones_place_is_known_by_their_looks() {
        // Two people half a metre apart, both unseen for a second and a half, who change places meanwhile.
        let walks = |from: f64, to: f64| {
            move |time: f64| match time {
                t if t < 1.0 => Some(DVec3::X * from),
                t if t < 2.5 => None,
                _ => Some(DVec3::X * to),
            }
        };
        let (one, two) = (walks(-0.35, 0.35), walks(0.35, -0.35));
        let names = |looks: &[[f32; 2]]| {
            let told = numbers_of(&[&one, &two], 3.0, looks);
            (told[20].clone(), told[85].clone())
        };
        let (before, after) = names(&[[1.0, 0.0], [0.0, 1.0]]);
        assert!(
            before[0].is_some() && before == after,
            "{before:?} {after:?}"
        );
        // Who looks alike is taken for whoever is nearest.
        let (before, after) = names(&[[1.0, 0.0], [1.0, 0.0]]);
        assert_eq!((before[0], before[1]), (after[1], after[0]));
    }

    #[test]
    fn what_two_of_nine_views_agree_on_is_nobody_and_what_three_do_is() {
        let views = room(9);
        let see = |view: usize, at: DVec3| seen_by(view, &views, &standing(at));
        for seen_in in [2, 3] {
            let mut followed = MultiView::new(views.clone(), MultiViewSettings::default());
            let mut seen: Vec<Sighting> = (0..9).map(|view| see(view, DVec3::ZERO)).collect();
            seen.extend((0..seen_in).map(|view| see(view, DVec3::new(1.2, 0.0, 0.3))));
            assert_eq!(followed.advance(0.0, &seen).len(), seen_in - 1);
        }
        // Views that see nobody may be gone.
        let mut followed = MultiView::new(views.clone(), MultiViewSettings::default());
        let seen: Vec<Sighting> = (0..2).map(|view| see(view, DVec3::ZERO)).collect();
        assert_eq!(followed.advance(0.0, &seen).len(), 1);
    }

    #[test]
    fn who_is_seen_twice_by_all_views_is_one_person() {
        use crate::skeleton::Joint;
        let views = room(3);
        let person = standing(DVec3::ZERO);
        // A second body of the same head and arms, that leans over on legs of its own.
        let mut double = person.clone();
        for (left, aside) in [
            (Joint::LeftHip, 0.25),
            (Joint::LeftKnee, 0.55),
            (Joint::LeftAnkle, 0.85),
        ] {
            for joint in [left, left.mirror()] {
                double[joint] = double[joint].map(|place| place + DVec3::X * aside);
            }
        }
        let mut followed = MultiView::new(views.clone(), MultiViewSettings::default());
        for n in 0..20 {
            let mut seen: Vec<Sighting> = (0..3).map(|v| seen_by(v, &views, &person)).collect();
            if n >= 5 {
                seen.extend((0..3).map(|v| seen_by(v, &views, &double)));
            }
            let found = followed.advance(f64::from(n) / 30.0, &seen);
            assert_eq!(found.len(), 1, "at moment {n}");
        }
    }

    #[test]
    fn who_comes_to_stand_behind_somebody_is_seen_though_one_view_sees_them_in_line() {
        let views = room(2);
        let eye = views[0].extrinsics.centre().with_y(0.0);
        let (front, behind) = (standing(eye * 0.1), standing(eye * -0.35));
        let mut followed = MultiView::new(views.clone(), MultiViewSettings::default());
        let mut found = Vec::new();
        for n in 0..10 {
            let mut seen: Vec<Sighting> = (0..2).map(|v| seen_by(v, &views, &front)).collect();
            if n >= 5 {
                seen.extend((0..2).map(|v| seen_by(v, &views, &behind)));
            }
            found = followed.advance(f64::from(n) / 30.0, &seen);
        }
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn who_is_seen_again_elsewhere_a_moment_later_is_the_same() {
        // Hidden for a fifth of a second, and half a metre to the side of where they were going.
        let dodge = |time: f64| match time {
            t if t < 1.0 => Some(DVec3::X * (0.8 * t - 0.8)),
            t if t < 1.2 => None,
            _ => Some(DVec3::Z * 0.5),
        };
        let told = numbers(&[&dodge], 2.0);
        assert_eq!((told[25][0], told[55][0]), (Some(1), Some(1)), "{told:?}");
    }

    #[test]
    fn who_walks_through_the_place_where_somebody_left_keeps_their_own_number() {
        let leaves = |time: f64| (time < 1.0).then_some(DVec3::X * 0.8);
        let follows = |time: f64| Some(DVec3::X * (0.9 * time - 1.0));
        let told = numbers(&[&leaves, &follows], 3.0);
        let names: Vec<Option<u32>> = told[15..].iter().map(|people| people[1]).collect();
        assert!(names[0].is_some(), "{names:?}");
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    }
}
