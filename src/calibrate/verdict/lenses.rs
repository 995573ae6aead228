//! Lenses: what those of webcams and phones look like, and principal points that were not turned with their pictures.

use bevy::math::DVec2;

use super::Verdict;
use super::seen::{Seen, mean_error};
use crate::camera::{Intrinsics, View};

/// What lenses of webcams and phones look like.
pub(super) fn judge_lens(view: &View, verdict: &mut Verdict) {
    let lens = &view.intrinsics;
    let size = DVec2::new(f64::from(lens.width), f64::from(lens.height));
    let across = 2.0
        * (size.max_element() / (2.0 * view.focal()))
            .atan()
            .to_degrees();
    let off = (across - 70.0).abs();
    verdict.add(
        "field of view",
        off,
        (45.0, 65.0),
        format!(
            "the lens of {} would span {across:.0}°, and webcams and phones span 40° to 110°",
            view.name
        ),
    );
    let squeezed = (lens.focal.x / lens.focal.y - 1.0).abs() * 100.0;
    verdict.add(
        "square pixels",
        squeezed,
        (2.0, 6.0),
        format!(
            "the pixels of {} would be {squeezed:.1} % longer one way than the other",
            view.name
        ),
    );
    let off = ((lens.principal + 0.5) / size - 0.5).abs().max_element() * 100.0;
    verdict.add(
        "principal point",
        off,
        (8.0, 20.0),
        format!(
            "the axis of {} would meet its picture {off:.1} % off the middle",
            view.name
        ),
    );
}

/// The principal point with one coordinate mirrored about the picture's middle.
pub(super) fn mirrored(lens: &Intrinsics, axis: usize) -> Intrinsics {
    let mut lens = *lens;
    let size = [f64::from(lens.width), f64::from(lens.height)][axis];
    lens.principal[axis] = size - 1.0 - lens.principal[axis];
    lens
}

/// Files that were rotated with their pictures often have principal points that were not: each is tried mirrored.
pub(super) fn judge_principal_points(views: &[View], seen: &Seen, verdict: &mut Verdict) {
    let total = |views: &[View]| {
        // With other lenses the same pixels are other rays.
        mean_error(&seen.again(views).held_out(views)).unwrap_or(f64::INFINITY)
    };
    if views.len() < 3 {
        return;
    }
    let mut current = views.to_vec();
    let as_given = total(&current);
    if !as_given.is_finite() {
        return;
    }
    let mut best = as_given;
    let mut flipped: Vec<(usize, usize)> = Vec::new();
    loop {
        let mut better: Option<(f64, usize, usize)> = None;
        for view in 0..views.len() {
            for axis in 0..2 {
                let lens = mirrored(&current[view].intrinsics, axis);
                let shift = (lens.principal - current[view].intrinsics.principal)
                    .abs()
                    .max_element();
                let is_flipped = flipped.contains(&(view, axis));
                if is_flipped || shift < 0.004 * f64::from(lens.width.max(lens.height)) {
                    continue;
                }
                let mut candidate = current.clone();
                candidate[view].intrinsics = lens;
                let error = total(&candidate);
                if error < 0.97 * best && better.is_none_or(|(least, ..)| error < least) {
                    better = Some((error, view, axis));
                }
            }
        }
        let Some((error, view, axis)) = better else {
            break;
        };
        current[view].intrinsics = mirrored(&current[view].intrinsics, axis);
        flipped.push((view, axis));
        best = error;
    }
    let gain = (1.0 - best / as_given) * 100.0;
    let names: Vec<String> = flipped
        .iter()
        .map(|&(view, axis)| format!("{} along {}", views[view].name, ["x", "y"][axis]))
        .collect();
    let sentence = if names.is_empty() {
        "no principal point fits better mirrored".into()
    } else {
        format!(
            "everything fits {gain:.0} % better with the principal points mirrored of {}; were pictures and calibration turned together?",
            names.join(", ")
        )
    };
    verdict.add("mirrored principal points", gain, (8.0, 15.0), sentence);
}
