//! How well two sightings in different views fit one another by geometry alone.

use bevy::math::{DMat3, DVec2, DVec3};

use super::Sighting;
use crate::camera::View;
use crate::skeleton::JointMap;

/// The fundamental matrix of two views for undistorted points at z = 1 (an essential matrix): a point `b` seen by the second
/// lies on the line `E a` of what the first sees at `a` (Hartley and Zisserman 2004, section 9.6).
pub fn essential(one: &View, two: &View) -> DMat3 {
    // two_from_one: x2 = R x1 + t.
    let rotation = two.extrinsics.rotation * one.extrinsics.rotation.transpose();
    let translation = two.extrinsics.translation - rotation * one.extrinsics.translation;
    cross_matrix(translation) * rotation
}

/// The matrix whose product with `v` is the cross product of `t` and `v`.
pub fn cross_matrix(t: DVec3) -> DMat3 {
    DMat3::from_cols(
        DVec3::new(0.0, t.z, -t.y),
        DVec3::new(-t.z, 0.0, t.x),
        DVec3::new(t.y, -t.x, 0.0),
    )
}

/// Distance of a point from a line, both at z = 1.
pub fn point_to_line(point: DVec2, line: DVec3) -> f64 {
    let across = line.truncate().length();
    (line.dot(point.extend(1.0)) / across.max(1e-12)).abs()
}

/// The least number of joints that two sightings must share to be compared.
const LEAST_SHARED: usize = 5;
/// Distance from the epipolar line, as a part of the person's size in the picture, at which two sightings are as likely one
/// person as two.
const MIDDLE: f64 = 0.08;
/// How fast likelihood falls around that.
const STEEPNESS: f64 = 60.0;

/// The mean distance of joints from one another's epipolar lines (Dong et al. 2019, equation 3), each as a part of the
/// person's size in that picture, so that cameras of any resolution and at any distance compare. `None` where the two share
/// too few joints.
pub fn distance(a: &Sighting, b: &Sighting, views: &[View]) -> Option<f64> {
    let (one, two) = (&views[a.view], &views[b.view]);
    let forward = essential(one, two);
    let backward = forward.transpose();
    let (mut sum, mut count) = (0.0, 0);
    for (joint, p) in a.pose.present() {
        let Some(q) = &b.pose[joint] else { continue };
        if a.rays[joint].is_none() || b.rays[joint].is_none() {
            continue;
        }
        let p = one.intrinsics.unproject(p.position.as_dvec2());
        let q = two.intrinsics.unproject(q.position.as_dvec2());
        let from_one = point_to_line(q, forward * p.extend(1.0)) * two.focal() / b.size.max(1.0);
        let from_two = point_to_line(p, backward * q.extend(1.0)) * one.focal() / a.size.max(1.0);
        // One joint that a network put elsewhere says little of the others.
        sum += (0.5 * (from_one + from_two)).min(0.5);
        count += 1;
    }
    (count >= LEAST_SHARED).then(|| sum / f64::from(count as u32))
}

/// The chance that two sightings are one person, from that distance (a sigmoid). 0 where the body that they make together
/// would lie behind a camera, or is none that people have.
pub fn affinity(a: &Sighting, b: &Sighting, views: &[View]) -> Option<f64> {
    let distance = distance(a, b, views)?;
    let likely = 1.0 / (1.0 + (STEEPNESS * (distance - MIDDLE)).exp());
    Some(if likely > 0.05 && !makes_a_body(a, b) {
        0.0
    } else {
        likely
    })
}

/// Whether the rays of two sightings meet in what could be a body.
fn makes_a_body(a: &Sighting, b: &Sighting) -> bool {
    let mut joints: JointMap<Option<DVec3>> = JointMap::default();
    let (mut met, mut missed) = (0, 0);
    for (joint, (ray, _)) in a.rays.present() {
        if let Some((other, _)) = &b.rays[joint] {
            match ray.nearest_points(other) {
                Some((p, q)) => {
                    met += 1;
                    joints[joint] = Some((p + q) * 0.5);
                }
                None => missed += 1,
            }
        }
    }
    // Views from opposite sides meet at flat angles: they are judged by the lines alone.
    if missed > met {
        return a
            .rays
            .present()
            .next()
            .zip(b.rays.present().next())
            .is_some_and(|((_, (one, _)), (_, (two, _)))| {
                one.direction.dot(two.direction).abs() > 0.99
            });
    }
    crate::reconstruct::bones::plausibility(&joints).is_none_or(|share| share > 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::tests::{room, seen_by, standing};

    #[test]
    fn a_person_lies_on_their_own_epipolar_lines_and_another_beside_them_does_not() {
        let views = room(3);
        let (one, two) = (standing(DVec3::ZERO), standing(DVec3::new(0.9, 0.0, 0.4)));
        let a = seen_by(0, &views, &one);
        let same = seen_by(1, &views, &one);
        let other = seen_by(1, &views, &two);
        assert!(distance(&a, &same, &views).is_some_and(|d| d < 1e-4));
        assert!(affinity(&a, &same, &views).is_some_and(|p| p > 0.9));
        assert!(
            affinity(&a, &other, &views).is_some_and(|p| p < 0.2),
            "{:?}",
            distance(&a, &other, &views)
        );
    }

    #[test]
    fn too_few_joints_in_common_say_nothing() {
        let views = room(2);
        let a = seen_by(0, &views, &standing(DVec3::ZERO));
        let mut b = seen_by(1, &views, &standing(DVec3::ZERO));
        for joint in crate::skeleton::Joint::ALL.iter().skip(4) {
            b.rays[*joint] = None;
        }
        assert_eq!(affinity(&a, &b, &views), None);
    }
}
