//! Bones of one length: what one camera sees of a limb that points at it is hardly how long it is, but it has been seen from the side before.

use bevy::math::DVec3;

use crate::camera::Ray;
use crate::lift::lifter::Lifted;
use crate::reconstruct::body::{Link, Node, Prior, solve};
use crate::reconstruct::bones::{BONES, Lengths};
use crate::reconstruct::triangulate::{Noise, Sight};
use crate::skeleton::{Joint, JointMap, Origin, derive_middle, is_middle};

/// A bone that points at the camera by more than this, as a cosine, is lifted too short as often as not: it teaches nothing.
const POINTS_AT_IT: f64 = 0.8;
/// How far from its ray a joint is: what `models/train/errors.json` says of joints that the network is rather sure of, in people of usual size.
const ACROSS: Noise = Noise {
    metres: 0.035,
    pixels: 0.0,
    outlier: 3.0,
};

/// One person's bones, as they were lifted so far.
#[derive(Clone, Debug, Default)]
pub struct Limbs {
    lengths: Lengths,
}

impl Limbs {
    /// Takes in a person who was lifted, in the camera frame, and moves their joints, the less sure the further, to where their bones are as
    /// long as they have been: along the rays on which they are seen, mostly.
    pub fn settle(&mut self, lifted: &mut Lifted) {
        let mut seen: JointMap<Option<DVec3>> = JointMap::default();
        let mut number = JointMap::<Option<usize>>::default();
        let (mut joints, mut nodes) = (Vec::new(), Vec::new());
        for (joint, point) in lifted
            .pose
            .present()
            .filter(|(joint, _)| !is_middle(*joint))
        {
            let position = point.position.as_dvec3();
            let is_seen = point.origin == Origin::Lifted;
            seen[joint] = is_seen.then_some(position);
            let ray = Ray {
                origin: DVec3::ZERO,
                direction: position.normalize_or(DVec3::Z),
            };
            number[joint] = Some(nodes.len());
            joints.push(joint);
            nodes.push(Node {
                sights: Vec::from_iter(is_seen.then_some(Sight {
                    ray,
                    weight: 1.0,
                    pixel: 0.0,
                })),
                prior: Some(Prior {
                    position,
                    // Along each axis, of a Laplace distribution in space of that scale.
                    variance: 4.0 * f64::from(point.sigma).powi(2).max(1e-6),
                }),
                position,
                covariance: Default::default(),
            });
        }
        let is_across = |a: DVec3, b: DVec3| {
            (a - b).dot(a).abs() < POINTS_AT_IT * (a - b).length() * a.length()
        };
        self.lengths.learn(&seen, is_across);
        let links = BONES.iter().enumerate().filter_map(|(n, bone)| {
            let length = self.lengths.of(n);
            Some(Link {
                ends: (number[bone.ends.0]?, number[bone.ends.1]?),
                length: length.metres,
                sigma: length.sigma,
            })
        });
        solve(&mut nodes, &links.collect::<Vec<_>>(), &ACROSS);
        for (joint, node) in joints.into_iter().zip(nodes) {
            if let Some(point) = &mut lifted.pose[joint] {
                point.position = node.position.as_vec3();
            }
        }
        derive_middle(&mut lifted.pose);
        if let Some(pelvis) = lifted.pose[Joint::Pelvis] {
            lifted.root = pelvis.position;
        }
    }
}

#[cfg(test)]
mod tests {
    use bevy::math::Vec3;

    use super::*;
    use crate::skeleton::{Joint3d, Pose3d};

    /// A left arm that hangs, and whose forearm, of such a length, is turned towards the camera.
    fn arm(forearm: f32, towards: f32) -> Lifted {
        let mut pose = Pose3d::default();
        let mut put = |joint, position| {
            pose[joint] = Some(Joint3d {
                position,
                sigma: 0.03,
                origin: Origin::Lifted,
            });
        };
        let elbow = Vec3::new(0.2, 0.29, 3.0);
        put(Joint::LeftShoulder, Vec3::new(0.2, 0.0, 3.0));
        put(Joint::LeftElbow, elbow);
        put(
            Joint::LeftWrist,
            elbow + forearm * Vec3::new(0.0, towards.cos(), -towards.sin()),
        );
        Lifted {
            pose,
            root: Vec3::Z * 3.0,
        }
    }

    fn length(lifted: &Lifted) -> f32 {
        let at = |joint| lifted.pose[joint].map_or(Vec3::ZERO, |point: Joint3d| point.position);
        at(Joint::LeftElbow).distance(at(Joint::LeftWrist))
    }

    /// Who has seen an arm from the side.
    fn experienced() -> Limbs {
        let mut limbs = Limbs::default();
        for _ in 0..60 {
            limbs.settle(&mut arm(0.3, 0.1));
        }
        limbs
    }

    #[test]
    fn a_forearm_that_points_at_the_camera_is_as_long_as_before_and_seen_where_it_was() {
        let mut limbs = experienced();
        // It is lifted too short, all the while.
        let mut short = arm(0.2, 1.2);
        for _ in 0..200 {
            short = arm(0.2, 1.2);
            limbs.settle(&mut short);
        }
        assert!((length(&short) - 0.3).abs() < 0.02, "{}", length(&short));
        let seen = |lifted: &Lifted| {
            let wrist = lifted.pose[Joint::LeftWrist].map_or(Vec3::Z, |point| point.position);
            wrist / wrist.z
        };
        let moved = seen(&short).distance(seen(&arm(0.2, 1.2)));
        assert!(moved < 0.003, "{moved}");
    }

    #[test]
    fn a_body_with_the_lengths_it_always_had_stays_where_it_is() {
        let mut limbs = experienced();
        let mut same = arm(0.3, 0.1);
        limbs.settle(&mut same);
        for (joint, point) in arm(0.3, 0.1).pose.present() {
            let moved = same.pose[joint].map_or(1.0, |p| p.position.distance(point.position));
            assert!(moved < 0.01, "{joint:?} {moved}");
        }
        assert_eq!(same.root, Vec3::Z * 3.0);
    }
}
