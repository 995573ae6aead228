//! Desks, behind which people sit.

use bevy::prelude::*;
use bevy_pose_capture::skeleton::Joint;
use bevy_pose_capture::source::synthetic::Random;

use crate::body::{Piece, Places};
use crate::looks::Material;

/// A desk before somebody: boxes of wood, and which way whoever sits there looks.
pub struct Desk {
    /// Where the middle of each stands, and half its sides.
    boxes: Vec<(Transform, Vec3)>,
    /// From who sits there to the desk, level.
    pub ahead: Vec3,
    /// How high its top is, in metres.
    pub height: f32,
}

impl Desk {
    /// A desk above the lap of somebody who sits; `None` where a joint is not known.
    pub fn random(joints: &Places, random: &mut Random) -> Option<Desk> {
        let mut within = |least: f64, most: f64| (least + (most - least) * random.uniform()) as f32;
        let (left, right) = (joints[Joint::LeftHip]?, joints[Joint::RightHip]?);
        let hips = left.midpoint(right);
        let ahead = (left - right).cross(Vec3::Y).normalize_or(Vec3::Z);
        let height = hips.y + within(0.18, 0.34);
        let (wide, deep, thick) = (within(0.5, 0.9), within(0.25, 0.45), within(0.01, 0.03));
        let turn = Transform::from_translation(hips)
            .looking_to(-ahead, Vec3::Y)
            .rotation
            * Quat::from_rotation_y(within(-0.12, 0.12));
        let part = |right: f32, up: f32, ahead: f32, half: Vec3| {
            let middle = Vec3::new(hips.x, height, hips.z) + turn * Vec3::new(right, up, ahead);
            (
                Transform::from_translation(middle).with_rotation(turn),
                half,
            )
        };
        let edge = within(0.12, 0.3);
        let mut boxes = vec![part(0.0, 0.0, edge + deep, Vec3::new(wide, thick, deep))];
        if within(0.0, 1.0) < 0.5 {
            // A panel that hides the legs, of a counter or an office desk.
            let panel = Vec3::new(wide, height * 0.5, thick);
            boxes.push(part(0.0, -height * 0.5, edge + 1.8 * deep, panel));
        } else {
            let leg = Vec3::new(0.02, height * 0.5, 0.02);
            for side in [-0.95, 0.95] {
                for far in [0.1, 1.9] {
                    boxes.push(part(side * wide, -height * 0.5, edge + far * deep, leg));
                }
            }
        }
        Some(Desk {
            boxes,
            ahead,
            height,
        })
    }

    /// What it is made of.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.boxes.iter().map(|&(stands, half)| Piece {
            mesh: Mesh::from(Cuboid::from_size(half * 2.0)).transformed_by(stands),
            material: Material::Wood,
        })
    }

    /// The corners of all of it.
    pub fn corners(&self) -> impl Iterator<Item = Vec3> {
        const SIGNS: [f32; 2] = [-1.0, 1.0];
        self.boxes.iter().flat_map(|&(stands, half)| {
            let signs = SIGNS.into_iter().flat_map(|x| {
                SIGNS
                    .into_iter()
                    .flat_map(move |y| SIGNS.map(|z| Vec3::new(x, y, z)))
            });
            signs.map(move |sign| stands.transform_point(sign * half))
        })
    }

    /// Whether it stands between an eye and a place (the slab test of Kay and Kajiya 1986).
    pub fn hides(&self, place: Vec3, eye: Vec3) -> bool {
        self.boxes.iter().any(|(stands, half)| {
            let into = stands.to_matrix().inverse();
            let (from, to) = (into.transform_point3(eye), into.transform_point3(place));
            let along = to - from;
            // Parts of the way at which each pair of faces is crossed.
            let (one, other) = ((-*half - from) / along, (*half - from) / along);
            let (enter, leave) = (one.min(other).max_element(), one.max(other).min_element());
            enter.max(0.0) < leave.min(1.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desk_hides_the_knees_from_before_and_above_but_not_the_shoulders() {
        let mut joints = crate::body::tests::standing();
        for (joint, left) in [(Joint::LeftKnee, true), (Joint::RightKnee, false)] {
            let hip = joints[if left {
                Joint::LeftHip
            } else {
                Joint::RightHip
            }]
            .unwrap();
            joints[joint] = Some(hip + Vec3::Z * 0.42);
        }
        for seed in 0..20 {
            let desk = Desk::random(&joints, &mut Random::new(seed)).unwrap();
            assert!(desk.ahead.dot(Vec3::Z) > 0.99, "{}", desk.ahead);
            let eye = Vec3::new(0.0, desk.height + 3.0, 1.2);
            for joint in [Joint::LeftKnee, Joint::RightKnee] {
                let knee = joints[joint].unwrap();
                assert!(desk.hides(knee, eye), "{seed} {joint:?}");
                assert!(!desk.hides(knee, knee - Vec3::Z));
            }
            let shoulder = joints[Joint::LeftShoulder].unwrap();
            assert!(!desk.hides(shoulder, eye));
        }
    }
}
