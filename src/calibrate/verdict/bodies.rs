//! People as they would be: on the floor, upright, with bones that stay what they are, and as tall as people.

use bevy::math::DVec3;

use super::Verdict;
use crate::calibrate::people::stature_of;
use crate::calibrate::projection::median;
use crate::camera::View;
use crate::reconstruct::bones::BONES;
use crate::skeleton::{Joint, JointMap};

/// Feet by which the floor is judged.
const FEET: [Joint; 4] = [
    Joint::LeftAnkle,
    Joint::RightAnkle,
    Joint::LeftHeel,
    Joint::RightHeel,
];

pub(super) fn judge_heights(views: &[View], verdict: &mut Verdict) {
    for view in views {
        let height = view.extrinsics.centre().y;
        verdict.add(
            "above the floor",
            -height,
            (-0.1, 0.0),
            if height > 0.0 {
                format!("{} stands {height:.2} m above the floor", view.name)
            } else {
                format!("{} would stand {:.2} m under the floor", view.name, -height)
            },
        );
    }
}

pub(super) fn judge_places(
    views: &[View],
    people: &[JointMap<Option<DVec3>>],
    verdict: &mut Verdict,
) {
    judge_heights(views, verdict);
    let lowest = |person: &JointMap<Option<DVec3>>| {
        FEET.iter()
            .filter_map(|&joint| Some(person[joint]?.y))
            .reduce(f64::min)
    };
    let mut feet: Vec<f64> = people.iter().filter_map(lowest).collect();
    if !feet.is_empty() {
        let height = median(&mut feet);
        // Ankles are in it.
        verdict.add(
            "feet on the floor",
            (height - 0.05).abs(),
            (0.15, 0.35),
            if height > 0.0 {
                format!("feet are {height:.2} m above the floor")
            } else {
                format!("feet would be {:.2} m under the floor", -height)
            },
        );
    }
    let body = |person: &JointMap<Option<DVec3>>| {
        let middle = |a: Joint, b: Joint| Some((person[a]? + person[b]?) * 0.5);
        let shoulders = middle(Joint::LeftShoulder, Joint::RightShoulder)?;
        let hips = middle(Joint::LeftHip, Joint::RightHip)?;
        Some((shoulders - hips).angle_between(DVec3::Y).to_degrees())
    };
    let mut leans: Vec<f64> = people.iter().filter_map(body).collect();
    if !leans.is_empty() {
        let lean = median(&mut leans);
        verdict.add(
            "upright people",
            lean,
            (30.0, 55.0),
            format!("people would lean by {lean:.0}° from upright most of the time"),
        );
    }
}

pub(super) fn judge_bodies(people: &[JointMap<Option<DVec3>>], verdict: &mut Verdict) {
    let lengths = |a: Joint, b: Joint| -> Vec<f64> {
        people
            .iter()
            .filter_map(|person| Some(person[a]?.distance(person[b]?)))
            .collect()
    };
    let (mut changes, mut differences) = (Vec::new(), Vec::new());
    for bone in BONES.iter().filter(|bone| bone.is_limb()) {
        let (a, b) = bone.ends;
        let mut own = lengths(a, b);
        if own.len() < 10 {
            continue;
        }
        let middle = median(&mut own);
        let mut off: Vec<f64> = own
            .iter()
            .map(|length| (length - middle).abs() / middle)
            .collect();
        // The median deviation of a bell is two thirds of its standard deviation.
        changes.push(median(&mut off) * 1.483 * 100.0);
        let mut other = lengths(a.mirror(), b.mirror());
        if other.len() >= 10 {
            let other = median(&mut other);
            differences.push((middle - other).abs() / (0.5 * (middle + other)) * 100.0);
        }
    }
    if changes.is_empty() {
        verdict.add(
            "bones",
            f64::NAN,
            (0.0, 0.0),
            "too little of the person is seen by two cameras to judge by".into(),
        );
        return;
    }
    let change = median(&mut changes);
    verdict.add(
        "constant bones",
        change,
        (9.0, 18.0),
        format!(
            "the person's arms and legs would change their length by {change:.0} % as they move"
        ),
    );
    let (difference, sentence) = if differences.is_empty() {
        (
            f64::NAN,
            "both sides of the person are never seen, so nothing can be said of left and right; turn round before the cameras".into(),
        )
    } else {
        let difference = median(&mut differences);
        (
            difference,
            format!("the person's left and right would differ by {difference:.0} %"),
        )
    };
    verdict.add("even sides", difference, (8.0, 16.0), sentence);
    if let Some(stature) = stature_of(people) {
        let off = (stature / 1.7).ln().abs();
        verdict.add(
            "stature",
            off,
            (0.22, 0.5),
            format!("the person would be {stature:.2} m tall"),
        );
    }
}
