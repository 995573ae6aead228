//! The same person across views: whom one camera sees on the left, another sees on the right.
//!
//! People who are known are looked for where they should be now ([`identity`]), which costs little and is right nearly always.
//! For whoever is left, every pair of views says how well two sightings fit by geometry ([`epipolar`]) and by looks
//! ([`appearance`]), and all pairs are made consistent at once ([`cycle`]).

pub mod appearance;
pub mod cycle;
pub mod epipolar;
pub mod identity;

use bevy::math::{DVec3, Rect};

use crate::camera::{Ray, View};
use crate::looks::Looks;
use crate::skeleton::{Joint, JointMap, Pose2d};

/// Joints less sure than this count as not seen.
pub const LEAST_CONFIDENCE: f32 = 0.1;

/// Somebody as one camera sees them, with the rays on which their joints lie.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Which view, by its place in the list of views.
    pub view: usize,
    /// Rays of their joints in the world, and how sure each is.
    pub rays: JointMap<Option<(Ray, f64)>>,
    /// Joints in pixels.
    pub pose: Pose2d,
    /// Longer side of the box around their joints, in pixels.
    pub size: f64,
    /// What they look like, where a network says so.
    pub looks: Option<Looks>,
    /// Radians that a pixel spans.
    pub pixel: f64,
}

impl Sighting {
    /// Puts a person's joints into the world, as rays.
    pub fn new(view: usize, camera: &View, pose: &Pose2d, looks: Option<Looks>) -> Sighting {
        let mut rays = JointMap::default();
        let mut bounds: Option<Rect> = None;
        let centre = camera.extrinsics.centre();
        let world_from_camera = camera.extrinsics.rotation.transpose();
        for (joint, point) in pose.present() {
            if point.confidence.get() >= LEAST_CONFIDENCE && point.position.is_finite() {
                let flat = camera.intrinsics.unproject(point.position.as_dvec2());
                let direction = world_from_camera * DVec3::new(flat.x, flat.y, 1.0).normalize();
                let ray = Ray {
                    origin: centre,
                    direction,
                };
                rays[joint] = Some((ray, f64::from(point.confidence.get())));
                let here = Rect::from_corners(point.position, point.position);
                bounds = Some(bounds.map_or(here, |bounds| bounds.union(here)));
            }
        }
        let size = bounds.map_or(0.0, |bounds| f64::from(bounds.size().max_element()));
        doubt_one_of_two(&mut rays, pose, size);
        Sighting {
            view,
            rays,
            pose: pose.clone(),
            size,
            looks,
            pixel: 1.0 / camera.focal(),
        }
    }

    /// The same sighting with left and right exchanged, of some joints.
    pub fn exchange(&mut self, joints: &[Joint]) {
        self.rays.exchange(joints);
        self.pose.exchange(joints);
    }

    /// How many joints are seen.
    pub fn count(&self) -> usize {
        self.rays.present().count()
    }
}

/// Joints of arms and legs that networks see twice: what is hidden is put where its other side is seen.
const SEEN_TWICE: [Joint; 4] = [
    Joint::LeftElbow,
    Joint::LeftWrist,
    Joint::LeftKnee,
    Joint::LeftAnkle,
];
/// They are in one place if they are no further apart than this, as a part of the person's size.
const ONE_PLACE: f64 = 0.04;
/// What is left of the weight of the less sure one.
const DOUBTED: f64 = 0.2;

/// Where left and right are seen in one place, one hides the other, or is the other: the less sure of the two counts less, both where
/// they are as sure.
fn doubt_one_of_two(rays: &mut JointMap<Option<(Ray, f64)>>, pose: &Pose2d, size: f64) {
    for left in SEEN_TWICE {
        let right = left.mirror();
        let (Some(a), Some(b)) = (pose[left], pose[right]) else {
            continue;
        };
        if f64::from(a.position.distance(b.position)) < ONE_PLACE * size {
            let (a, b) = (a.confidence.get(), b.confidence.get());
            for (joint, own, other) in [(left, a, b), (right, b, a)] {
                if let (true, Some((_, weight))) = (own <= other, &mut rays[joint]) {
                    *weight *= DOUBTED;
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::camera::{Extrinsics, Intrinsics};
    use crate::skeleton::{Confidence, Keypoint};

    /// Cameras around a room, at heights of webcams on shelves, looking at its middle.
    pub(crate) fn room(count: usize) -> Vec<View> {
        let view = |n: usize| {
            let turn = n as f64 * std::f64::consts::TAU / count as f64 + 0.4;
            let eye = DVec3::new(
                3.5 * turn.cos(),
                1.6 + 0.2 * (n % 3) as f64,
                3.5 * turn.sin(),
            );
            View {
                name: format!("camera {n}"),
                intrinsics: Intrinsics::assumed(1280, 720),
                extrinsics: Extrinsics::looking_at(eye, DVec3::Y, DVec3::Y),
            }
        };
        (0..count).map(view).collect()
    }

    /// Somebody who stands at a place and faces +z, one hand raised.
    pub(crate) fn standing(at: DVec3) -> JointMap<Option<DVec3>> {
        use Joint::*;
        let mut joints = JointMap::default();
        for (joint, x, y, z) in [
            (Nose, 0.0, 1.6, 0.11),
            (LeftEar, 0.07, 1.62, 0.0),
            (RightEar, -0.07, 1.62, 0.0),
            (LeftShoulder, 0.18, 1.42, 0.0),
            (RightShoulder, -0.18, 1.42, 0.0),
            (LeftElbow, 0.4, 1.3, 0.1),
            (RightElbow, -0.24, 1.15, -0.03),
            (LeftWrist, 0.42, 1.5, 0.2),
            (RightWrist, -0.26, 0.9, 0.04),
            (LeftHip, 0.1, 0.93, 0.0),
            (RightHip, -0.1, 0.93, 0.0),
            (LeftKnee, 0.11, 0.5, 0.04),
            (RightKnee, -0.11, 0.5, 0.0),
            (LeftAnkle, 0.12, 0.08, 0.0),
            (RightAnkle, -0.12, 0.08, -0.1),
        ] {
            joints[joint] = Some(at + DVec3::new(x, y, z));
        }
        joints
    }

    /// What a perfect network sees of somebody.
    pub(crate) fn seen_by(
        view: usize,
        views: &[View],
        joints: &JointMap<Option<DVec3>>,
    ) -> Sighting {
        let mut pose = Pose2d::default();
        for (joint, place) in joints.present() {
            pose[joint] = views[view].project(*place).map(|pixel| Keypoint {
                position: pixel.as_vec2(),
                confidence: Confidence::new(0.9),
            });
        }
        Sighting::new(view, &views[view], &pose, None)
    }

    #[test]
    fn of_two_ankles_in_one_place_the_less_sure_counts_less() {
        let views = room(1);
        let mut pose = seen_by(0, &views, &standing(DVec3::ZERO)).pose;
        let weight = |pose: &Pose2d, joint: Joint| {
            let seen = Sighting::new(0, &views[0], pose, None);
            seen.rays[joint].map_or(0.0, |(_, weight)| weight)
        };
        assert!(weight(&pose, Joint::LeftAnkle) > 0.8 && weight(&pose, Joint::RightAnkle) > 0.8);
        let left = pose[Joint::LeftAnkle].map(|left| left.position);
        for (joint, point) in [(Joint::RightAnkle, left), (Joint::RightHip, left)] {
            if let (Some(joint), Some(point)) = (&mut pose[joint], point) {
                joint.position = point;
                joint.confidence = Confidence::new(0.7);
            }
        }
        assert!(weight(&pose, Joint::LeftAnkle) > 0.8);
        assert!(weight(&pose, Joint::RightAnkle) < 0.2);
        // Hips lie behind one another in any view from the side.
        assert!(weight(&pose, Joint::RightHip) > 0.6);
    }
}
