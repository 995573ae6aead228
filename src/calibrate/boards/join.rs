//! Which cameras stand how to one another: by pairs that see the board at the same moments, each in two ways.

use super::{Board, BoardRoomError, Shown, error};
use crate::camera::{Extrinsics, Intrinsics, View};

/// How the second camera of a pair stands to the first.
struct Joint {
    pair: (usize, usize),
    second_from_first: Extrinsics,
    /// Mean, over the moments, of the median error in pixels.
    error: f64,
    moments: usize,
}

/// Joins all cameras by the pairs that agree best, beginning with the surest, and places the boards.
pub(super) fn join(
    lenses: &[(String, Intrinsics)],
    boards: &mut [Board],
) -> Result<Vec<View>, BoardRoomError> {
    let count = lenses.len();
    let mut joints = Vec::new();
    for one in 0..count {
        for two in one + 1..count {
            joints.extend(joint(lenses, boards, one, two));
        }
    }
    // Many moments make a pair sure; what does not agree is not.
    let worth = |joint: &Joint| joint.moments as f64 / (joint.error + 0.5);
    joints.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    let mut placed: Vec<Option<Extrinsics>> = vec![None; count];
    placed[largest_group(count, &joints)] = Some(Extrinsics::default());
    let next = |placed: &[Option<Extrinsics>]| {
        joints.iter().find_map(|joint| {
            let (one, two) = joint.pair;
            match (placed[one], placed[two]) {
                (Some(at), None) => Some((two, at.then(&joint.second_from_first))),
                (None, Some(at)) => Some((one, at.then(&joint.second_from_first.inverse()))),
                _ => None,
            }
        })
    };
    while let Some((view, pose)) = next(&placed) {
        placed[view] = Some(pose);
    }
    let view = |(n, (name, lens)): (usize, &(String, Intrinsics))| {
        let extrinsics = placed[n].ok_or_else(|| BoardRoomError::Alone(name.clone()))?;
        Ok(View {
            name: name.clone(),
            intrinsics: *lens,
            extrinsics,
        })
    };
    let views: Vec<View> = lenses
        .iter()
        .enumerate()
        .map(view)
        .collect::<Result<_, _>>()?;
    for board in boards {
        let places = board.shown.iter().flat_map(|shown| {
            let world_from_camera = views[shown.view].extrinsics.inverse();
            let ways = shown.poses.iter();
            ways.map(move |pose| pose.extrinsics.then(&world_from_camera))
        });
        let total = |place: &Extrinsics| -> f64 {
            let of_view = |shown: &Shown| {
                let view = &views[shown.view];
                error(
                    &view.intrinsics,
                    &place.then(&view.extrinsics),
                    &shown.corners,
                )
            };
            board.shown.iter().map(of_view).sum()
        };
        board.place = places.min_by(|a, b| total(a).total_cmp(&total(b)));
    }
    Ok(views)
}

/// How two cameras stand to one another: what explains best, at all moments that both see, where the second sees the board from
/// where the first does. Both see it in two ways.
fn joint(
    lenses: &[(String, Intrinsics)],
    boards: &[Board],
    one: usize,
    two: usize,
) -> Option<Joint> {
    let both: Vec<(&Shown, &Shown)> = boards
        .iter()
        .filter_map(|board| Some((board.in_view(one)?, board.in_view(two)?)))
        .collect();
    let ways = both.iter().flat_map(|(a, b)| {
        a.poses.iter().flat_map(|from| {
            let first_from_board = from.extrinsics;
            let of_second = b.poses.iter();
            of_second.map(move |to| first_from_board.inverse().then(&to.extrinsics))
        })
    });
    let off = |second_from_first: &Extrinsics| -> f64 {
        let of_moment = |(a, b): &(&Shown, &Shown)| {
            let through = a.poses.iter().map(|from| {
                let camera_from_board = from.extrinsics.then(second_from_first);
                // A way that the first camera itself does not believe in explains nothing.
                error(&lenses[two].1, &camera_from_board, &b.corners) + from.error
            });
            through.fold(f64::MAX, f64::min).min(100.0)
        };
        both.iter().map(of_moment).sum::<f64>() / both.len() as f64
    };
    let scored = ways.map(|way| (off(&way), way));
    let (error, second_from_first) = scored.min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(Joint {
        pair: (one, two),
        second_from_first,
        error,
        moments: both.len(),
    })
}

/// A member of the largest group of cameras that are joined to one another.
fn largest_group(count: usize, joints: &[Joint]) -> usize {
    let mut group: Vec<usize> = (0..count).collect();
    for Joint { pair, .. } in joints {
        let (kept, joined) = (group[pair.0], group[pair.1]);
        group
            .iter_mut()
            .filter(|group| **group == joined)
            .for_each(|group| *group = kept);
    }
    let size = |camera: &usize| {
        let own = group[*camera];
        group.iter().filter(|other| **other == own).count()
    };
    // The first of several.
    (0..count).rev().max_by_key(size).unwrap_or(0)
}
