//! What is looked at in rooms that were calibrated by a board.

use super::{Check, Grade, Verdict, judge_heights, judge_lens};
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
        let share = room.mirrored[n];
        verdict.add(
            "mirrored board",
            share,
            (0.6, 0.85),
            if share < 0.85 {
                format!(
                    "{} sees the board as it is: mirrored, it would fit {:.1} times worse",
                    view.name,
                    1.0 / share.max(1e-3)
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
    if !room.has_floor {
        verdict.checks.push(Check {
            name: "floor",
            grade: Grade::Usable,
            number: f64::NAN,
            sentence: "the board never lay on the floor, so the floor is put where the board was lowest, and up is what the cameras \
                       take for it"
                .into(),
        });
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::View;
    use crate::source::synthetic::cameras_around;

    fn room(views: Vec<View>) -> BoardRoom {
        BoardRoom {
            errors: vec![0.2; views.len()],
            mirrored: vec![0.1; views.len()],
            shared: vec![9; views.len()],
            has_floor: true,
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
        let mut floating = room(views);
        floating.has_floor = false;
        assert_eq!(judge_boards(&floating).grade(), Grade::Usable);
    }
}
