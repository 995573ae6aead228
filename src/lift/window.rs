//! What a lifting network is fed: the same arithmetic as `models/train/posetrain/views.py`, which trained it;
//! `features.json` holds the two against each other.
//!
//! Joints become rays, rays are turned into the *person camera* (the camera turned so that its axis meets the person's
//! centre), and every frame is scaled by its own spread. So a frame's features do not depend on the frames after it.

use bevy::math::{Mat3, Quat, Vec2, Vec3};

use crate::camera::Intrinsics;
use crate::skeleton::{Joint, Pose2d, TORSO};

/// Numbers after the joints' three each: where up is, if that is known;
const UP: usize = 3;
/// how the person's centre and size move, the time step, how large they appear.
const MOTION: usize = 5;
/// Spread of a person about four metres away: what sizes are told against.
const USUAL_SPREAD: f32 = 0.12;
/// Joints less sure than this count as not seen.
const SEEN: f32 = 0.2;
/// Frame rate that motion is counted in.
const RATE: f32 = 60.0;
/// Seconds that a person's first frame is taken to last: there is none before it.
const FIRST_STEP: f32 = 1.0 / 30.0;

/// One frame, normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// The network's input for this frame.
    pub values: Vec<f32>,
    /// Turns directions of the person camera into directions of the camera.
    pub camera_from_person: Mat3,
    /// Direction of the person's centre in the camera frame, z = 1.
    centre: Vec3,
    /// Spread of the joints in the person camera, at z = 1.
    scale: f32,
}

/// The number of features of a frame for that many joints.
pub fn feature_count(joints: usize) -> usize {
    joints * 3 + UP + MOTION
}

/// Normalises a pose. `up` is the direction opposite to gravity in the camera frame, of length 1, where it is known; `previous`
/// is the frame before and `elapsed` the seconds since it. `None` where the pose has fewer than three joints to see.
pub fn features(
    pose: &Pose2d,
    joints: &[Joint],
    camera: &Intrinsics,
    up: Option<Vec3>,
    previous: Option<&Features>,
    elapsed: f32,
) -> Option<Features> {
    let seen = |joint: Joint| pose[joint].filter(|point| point.confidence.get() >= SEEN);
    let rays: Vec<Option<(Vec3, f32)>> = joints
        .iter()
        .map(|&joint| seen(joint).map(|point| (camera.ray(point.position), point.confidence.get())))
        .collect();
    let mean = |wanted: &dyn Fn(Joint) -> bool| {
        let chosen: Vec<Vec3> = joints
            .iter()
            .zip(&rays)
            .filter(|(joint, _)| wanted(**joint))
            .filter_map(|(_, ray)| Some(ray.as_ref()?.0))
            .collect();
        (chosen.len() >= 2).then(|| chosen.iter().sum::<Vec3>() / chosen.len() as f32)
    };
    if rays.iter().flatten().count() < 3 {
        return None;
    }
    let centre = mean(&|joint| TORSO.contains(&joint)).or_else(|| mean(&|_| true))?;
    let person_from_camera = Mat3::from_quat(Quat::from_rotation_arc(centre.normalize(), Vec3::Z));
    let into_person = |ray: Vec3| {
        let turned = person_from_camera * ray;
        (turned.z > 0.05).then(|| Vec2::new(turned.x, turned.y) / turned.z)
    };
    let flat: Vec<Option<(Vec2, f32)>> = rays
        .iter()
        .map(|ray| ray.and_then(|(ray, sure)| Some((into_person(ray)?, sure))))
        .collect();
    let count = flat.iter().flatten().count() as f32;
    let spread = flat
        .iter()
        .flatten()
        .map(|(point, _)| point.length_squared())
        .sum::<f32>();
    let scale = (spread / count.max(1.0)).sqrt() + 1e-4;

    let mut values = Vec::with_capacity(feature_count(joints.len()));
    for point in &flat {
        match point {
            Some((position, sure)) => {
                values.extend([position.x / scale, position.y / scale, *sure])
            }
            None => values.extend([0.0; 3]),
        }
    }
    values.extend(up.map_or([0.0; UP], |up| (person_from_camera * up).to_array()));
    let seconds = previous.map_or(FIRST_STEP, |_| elapsed.clamp(1.0 / 120.0, 0.15));
    let steps = RATE * seconds;
    let (moved, grown) = previous.map_or((Vec2::ZERO, 0.0), |before| {
        let was = into_person(before.centre).unwrap_or(Vec2::ZERO);
        (-was / scale / steps, (scale / before.scale).ln() / steps)
    });
    values.extend([
        moved.x.clamp(-1.0, 1.0),
        moved.y.clamp(-1.0, 1.0),
        grown.clamp(-1.0, 1.0),
        seconds * 10.0,
    ]);
    values.push((scale / USUAL_SPREAD).ln().clamp(-2.0, 2.0));
    Some(Features {
        values,
        camera_from_person: person_from_camera.transpose(),
        centre,
        scale,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skeleton::{Confidence, JointSet, Keypoint};

    fn pose(shift: Vec2, zoom: f32) -> Pose2d {
        let mut pose = Pose2d::default();
        for (n, &joint) in JointSet::Lift23.joints().iter().enumerate() {
            let spot = Vec2::new((n % 5) as f32 - 2.0, (n / 5) as f32 - 2.0) * 20.0 * zoom;
            let position = Vec2::new(319.5, 239.5) + shift + spot;
            pose[joint] = Some(Keypoint {
                position,
                confidence: Confidence::new(0.9),
            });
        }
        pose
    }

    fn normalise(pose: &Pose2d, previous: Option<&Features>) -> Option<Features> {
        features(
            pose,
            JointSet::Lift23.joints(),
            &Intrinsics::assumed(640, 480),
            None,
            previous,
            1.0 / 60.0,
        )
    }

    #[derive(serde::Deserialize)]
    struct Table {
        joints: Vec<Joint>,
        size: (u32, u32),
        focal: f32,
        people: Vec<Person>,
    }

    #[derive(serde::Deserialize)]
    struct Person {
        up: Option<[f32; 3]>,
        frames: Vec<Frame>,
        person_from_camera: [[f32; 3]; 3],
    }

    #[derive(serde::Deserialize)]
    struct Frame {
        seconds: f32,
        keypoints: Vec<[f32; 3]>,
        features: Vec<f32>,
    }

    #[test]
    fn networks_are_fed_what_they_were_trained_with() -> Result<(), serde_json::Error> {
        // Written by `python -m posetrain.features src/lift/features.json`.
        let table: Table = serde_json::from_str(include_str!("features.json"))?;
        assert_eq!(table.joints, JointSet::Lift23.joints());
        let mut camera = Intrinsics::assumed(table.size.0, table.size.1);
        camera.focal = bevy::math::DVec2::splat(table.focal.into());
        for (number, person) in table.people.iter().enumerate() {
            let mut last: Option<Features> = None;
            for frame in &person.frames {
                let mut pose = Pose2d::default();
                for (&joint, &[x, y, sure]) in table.joints.iter().zip(&frame.keypoints) {
                    pose[joint] = Some(Keypoint {
                        position: Vec2::new(x, y),
                        confidence: Confidence::new(sure),
                    });
                }
                let up = person.up.map(Vec3::from_array);
                let found = features(
                    &pose,
                    &table.joints,
                    &camera,
                    up,
                    last.as_ref(),
                    frame.seconds,
                );
                let Some(found) = found else {
                    panic!("person {number} is seen")
                };
                for (n, (ours, theirs)) in found.values.iter().zip(&frame.features).enumerate() {
                    assert!(
                        (ours - theirs).abs() < 2e-4,
                        "person {number}, feature {n}: {ours} here, {theirs} in training"
                    );
                }
                last = Some(found);
            }
            let turn = last.map(|last| last.camera_from_person.transpose());
            let theirs = Mat3::from_cols_array_2d(&person.person_from_camera).transpose();
            assert!(turn.is_some_and(|turn| turn.abs_diff_eq(theirs, 1e-4)));
        }
        Ok(())
    }

    #[test]
    fn joints_tell_the_shape_and_not_the_size_or_place() {
        let small = normalise(&pose(Vec2::ZERO, 0.5), None).map(|f| f.values);
        let large = normalise(&pose(Vec2::new(30.0, 0.0), 1.0), None).map(|f| f.values);
        let (Some(small), Some(large)) = (small, large) else {
            panic!("both are seen")
        };
        assert_eq!(small.len(), feature_count(23));
        for (a, b) in small.iter().zip(&large).take(23 * 3) {
            assert!((a - b).abs() < 0.06, "{a} {b}");
        }
        assert!(
            (large[76] - small[76] - 2f32.ln()).abs() < 0.06,
            "the size is told apart"
        );
        let spread: f32 = small[..69]
            .chunks(3)
            .map(|c| c[0] * c[0] + c[1] * c[1])
            .sum::<f32>()
            / 23.0;
        assert!((spread - 1.0).abs() < 0.01, "unit spread, {spread}");
    }

    #[test]
    fn motion_to_the_right_and_towards_the_camera_is_positive() {
        let first = normalise(&pose(Vec2::ZERO, 1.0), None);
        let then = normalise(&pose(Vec2::new(4.0, 0.0), 1.05), first.as_ref());
        let Some(then) = then else { panic!("seen") };
        assert!(
            then.values[72] > 0.01 && then.values[73].abs() < 0.04 && then.values[74] > 0.03,
            "{:?}",
            &then.values[72..]
        );
        assert!((then.values[75] - 10.0 / 60.0).abs() < 1e-5);
    }

    #[test]
    fn joints_that_are_not_seen_are_zero_and_do_not_count() {
        let mut hidden = pose(Vec2::ZERO, 1.0);
        hidden[Joint::LeftWrist] = None;
        let at = JointSet::Lift23
            .joints()
            .iter()
            .position(|&j| j == Joint::LeftWrist)
            .unwrap_or_default();
        let values = normalise(&hidden, None).map(|f| f.values);
        assert!(values.is_some_and(|v| v[at * 3..at * 3 + 3] == [0.0; 3]));
        assert_eq!(normalise(&Pose2d::default(), None), None);
    }

    #[test]
    fn the_person_camera_looks_at_the_person() {
        let Some(found) = normalise(&pose(Vec2::new(200.0, -50.0), 1.0), None) else {
            panic!("seen")
        };
        let ahead = found.camera_from_person * Vec3::Z;
        assert!((ahead / ahead.z - found.centre).length() < 1e-5);
    }
}
