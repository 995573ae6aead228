//! What is looked at in rooms that were calibrated by a board.

use super::bodies::judge_heights;
use super::lenses::judge_lens;
use super::{Check, Grade, Verdict};
use crate::calibrate::boards::BoardRoom;

/// Judges cameras that were placed by a board.
pub fn judge_boards(room: &BoardRoom) -> Verdict {
    let mut verdict = Verdict::default();
    for view in &room.views {
        judge_lens(view, &mut verdict);
    }
    for (n, view) in room.views.iter().enumerate() {
        let (error, longer) = (
            room.errors[n],
            view.intrinsics.width.max(view.intrinsics.height),
        );
        verdict.add(
            "fit",
            error / f64::from(longer.max(1)) * 1e3,
            (0.8, 3.0),
            format!(
                "{} shows the board's corners {error:.2} px from where they should be; a lens that is not its own, clocks that are \
                 apart and a board that bends make it more",
                view.name
            ),
        );
        let lay_before_it = room
            .floor
            .as_ref()
            .is_some_and(|floor| floor.together.contains(&n));
        // One moment of a board that moves fits whatever the clocks are.
        let least = if lay_before_it { 1.0 } else { 4.0 };
        verdict.add(
            "seen together",
            -(room.shared[n] as f64),
            (-least, -1.0),
            format!(
                "{} saw the board together with another camera at {} of the moments that were used",
                view.name, room.shared[n]
            ),
        );
        let share = room.mirrored[n];
        verdict.add(
            "mirrored board",
            share,
            MIRRORED,
            if share < 0.01 {
                format!("{} sees the board as it is: mirrored, it would not fit", view.name)
            } else if share < MIRRORED.1 {
                format!(
                    "{} sees the board as it is: mirrored, it would fit {:.1} times worse",
                    view.name,
                    1.0 / share
                )
            } else {
                format!(
                    "{} may see the board mirrored: that fits as well; show it nearer, larger or from more sides, together with \
                     another camera",
                    view.name
                )
            },
        );
    }
    judge_heights(&room.views, &mut verdict);
    judge_floor(room, &mut verdict);
    verdict
}

/// By how much better a board must fit as it is than mirrored.
const MIRRORED: (f64, f64) = (0.6, 0.85);
/// By how many degrees the floor's up may differ from what the cameras take for it.
const LEAN: (f64, f64) = (35.0, 60.0);
/// The same where two cameras agree on it: they may look down steeply. What lies face down is further off.
const AGREED_LEAN: (f64, f64) = (35.0, 95.0);

fn judge_floor(room: &BoardRoom, verdict: &mut Verdict) {
    let Some(floor) = &room.floor else {
        verdict.checks.push(Check {
            name: "floor",
            grade: Grade::Usable,
            number: f64::NAN,
            sentence: "the board never lay on the floor, so the floor is put where the board was lowest, and up is what the cameras \
                       take for it"
                .into(),
        });
        return;
    };
    verdict.add(
        "floor",
        floor.spread,
        (3.0, 10.0),
        format!(
            "the board turned by {:.1}° while it was to lie on the floor",
            floor.spread
        ),
    );
    verdict.add(
        "floor",
        floor.lean,
        if floor.together.is_empty() { LEAN } else { AGREED_LEAN },
        if floor.lean <= LEAN.0 {
            format!("up is {:.0}° from what the cameras take for it", floor.lean)
        } else {
            format!(
                "up would be {:.0}° from what the cameras take for it; did the board lie flat on the floor, face up, at that time?",
                floor.lean
            )
        },
    );
    if floor.together.is_empty() {
        verdict.add(
            "floor",
            floor.mirrored,
            // Which of the two ways it is, the cameras' own up has said.
            (MIRRORED.1, 3.0),
            if floor.mirrored <= MIRRORED.1 {
                "one camera alone sees the board on the floor, clearly as it is".into()
            } else {
                "one camera alone sees the board on the floor, and mirrored it would fit as well: which way is up is what the cameras \
                 take for it; lay it where two see it, or nearer"
                    .into()
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::boards::Floor;
    use crate::camera::View;
    use crate::source::synthetic::cameras_around;

    fn room(views: Vec<View>) -> BoardRoom {
        BoardRoom {
            errors: vec![0.2; views.len()],
            mirrored: vec![0.1; views.len()],
            shared: vec![9; views.len()],
            floor: Some(Floor {
                together: vec![0, 1, 2],
                spread: 0.4,
                lean: 12.0,
                mirrored: 0.0,
            }),
            views,
        }
    }

    #[test]
    fn a_mirrored_board_has_failed_however_well_it_fits_and_a_camera_under_the_floor_too() {
        let views = cameras_around(3, 4.0);
        assert_eq!(judge_boards(&room(views.clone())).grade(), Grade::Good);
        let mut doubtful = room(views.clone());
        doubtful.mirrored[1] = 0.98;
        let verdict = judge_boards(&doubtful);
        assert_eq!(verdict.grade(), Grade::Failed);
        let said = verdict.to_string();
        assert!(
            said.contains(&views[1].name) && said.contains("mirrored"),
            "{said}"
        );
        let mut under = room(views.clone());
        let pose = &mut under.views[2].extrinsics;
        *pose = pose.in_moved_world(
            1.0,
            bevy::math::DMat3::IDENTITY,
            bevy::math::DVec3::NEG_Y * 3.0,
        );
        assert_eq!(judge_boards(&under).grade(), Grade::Failed);
        let floor_of = |change: &dyn Fn(&mut Floor)| {
            let mut room = room(views.clone());
            room.floor.iter_mut().for_each(change);
            judge_boards(&room).grade()
        };
        assert_eq!(floor_of(&|floor| floor.lean = 85.0), Grade::Usable);
        assert_eq!(floor_of(&|floor| floor.lean = 150.0), Grade::Failed);
        let alone = |floor: &mut Floor| floor.together.clear();
        assert_eq!(
            floor_of(&|floor| {
                alone(floor);
                floor.lean = 85.0;
            }),
            Grade::Failed
        );
        assert_eq!(floor_of(&|floor| floor.spread = 30.0), Grade::Failed);
        assert_eq!(
            floor_of(&|floor| {
                alone(floor);
                floor.mirrored = 0.97;
            }),
            Grade::Usable
        );
        let mut floating = room(views.clone());
        floating.floor = None;
        assert_eq!(judge_boards(&floating).grade(), Grade::Usable);
        let mut once = room(views);
        once.shared[1] = 1;
        once.floor.iter_mut().for_each(alone);
        assert!(
            judge_boards(&once)
                .to_string()
                .contains("at 1 of the moments")
        );
    }
}
