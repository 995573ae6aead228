//! How people hold their limbs: which of two places a joint has that one view sees.
//!
//! A view tells a joint's ray. The bone that the joint hangs on has its other end beside that ray, so that two places on it are as
//! far from there as the bone is long: one nearer to the camera, one further away. Nothing else tells them apart but that upper
//! arms hang, and forearms are held before the body rather than behind it.

use bevy::math::{DMat3, DVec3};

use super::bones::{BONES, Lengths};
use super::triangulate::{Noise, Sight};
use crate::skeleton::{Joint, JointMap, TORSO};

/// How a bone is held: the logarithm of the density of its direction, a Fisher–Bingham distribution on the sphere (Mardia and Jupp
/// 2000, section 9.3.3), as factors of x, y, z, x² − ⅓, y² − ⅓, xy, xz and yz along the trunk's axes: outward, up, forward.
type Held = [f64; 8];

/// An arm or a leg: its joints from the trunk outward, and how its two bones are held.
#[derive(Clone, Copy, Debug)]
pub struct Limb {
    /// Shoulder or hip, elbow or knee, wrist or ankle.
    pub joints: [Joint; 3],
    held: [Held; 2],
}

/// Arms and legs. How they are held was fitted to half an hour of mocap (CMU without subjects 05, 08 and 14, and DeepMimic) by
/// `models/train/posetrain/posture.py`: of the two places of a joint, on those three subjects before random cameras, the trunk and the
/// joint before it being known, the likelier one was right in 87 to 96 % of the cases.
pub const LIMBS: [Limb; 4] = {
    use Joint::*;
    let arm = [
        [7.2, -4.8, 4.3, -4.8, 2.9, 2.9, -1.7, 4.8],
        [-0.4, -0.2, 1.8, -2.5, 0.3, -3.0, 0.0, -1.0],
    ];
    let leg = [
        [2.7, -4.3, 6.3, -9.4, 4.6, 2.3, 0.4, 2.7],
        [-1.7, -4.6, 0.4, -8.3, 1.8, -3.5, 1.4, 4.5],
    ];
    [
        limb([LeftShoulder, LeftElbow, LeftWrist], arm),
        limb([RightShoulder, RightElbow, RightWrist], arm),
        limb([LeftHip, LeftKnee, LeftAnkle], leg),
        limb([RightHip, RightKnee, RightAnkle], leg),
    ]
};

const fn limb(joints: [Joint; 3], held: [Held; 2]) -> Limb {
    Limb { joints, held }
}

/// The axes of a trunk as columns: to its left, up, and forward. `None` where a shoulder or a hip is not known.
pub fn trunk(place: impl Fn(Joint) -> Option<DVec3>) -> Option<DMat3> {
    let (left, right) = (place(Joint::LeftShoulder)?, place(Joint::RightShoulder)?);
    let hips = (place(Joint::LeftHip)? + place(Joint::RightHip)?) * 0.5;
    let up = ((left + right) * 0.5 - hips).try_normalize()?;
    let left = (left - right).reject_from_normalized(up).try_normalize()?;
    Some(DMat3::from_cols(left, up, left.cross(up)))
}

impl Limb {
    /// Its last joint, and the hand or the foot that hangs on it.
    pub fn carried(&self) -> impl Iterator<Item = Joint> {
        use Joint::*;
        let joints: &[Joint] = match self.joints[2] {
            LeftWrist => &[LeftWrist, LeftIndex, LeftPinky, LeftThumb],
            RightWrist => &[RightWrist, RightIndex, RightPinky, RightThumb],
            LeftAnkle => &[LeftAnkle, LeftHeel, LeftFootIndex],
            _ => &[RightAnkle, RightHeel, RightFootIndex],
        };
        joints.iter().copied()
    }

    /// How unlikely it is to be held like that, as minus the logarithm of a chance (up to a constant): `places` are those of its
    /// [`joints`](Self::joints), `trunk` what [`trunk`] gives.
    pub fn strangeness(&self, places: [DVec3; 3], trunk: &DMat3) -> f64 {
        let outward = match self.joints[0] {
            Joint::LeftShoulder | Joint::LeftHip => 1.0,
            _ => -1.0,
        };
        let bones = [places[1] - places[0], places[2] - places[1]];
        let of_bone = |(bone, held): (DVec3, Held)| {
            let DVec3 { x, y, z } = trunk.transpose() * bone.normalize_or_zero();
            let x = x * outward;
            let third = 1.0 / 3.0;
            let terms = [x, y, z, x * x - third, y * y - third, x * y, x * z, y * z];
            -held.iter().zip(terms).map(|(a, b)| a * b).sum::<f64>()
        };
        bones.into_iter().zip(self.held).map(of_bone).sum()
    }

    /// How else it may be held, if only one view sees a joint: `seen` has that view's sighting of the middle and of the last joint,
    /// where no other tells how far away they are, and `fixed` whether the last joint stays where it is.
    pub fn others(
        &self,
        places: [DVec3; 3],
        seen: [Option<&Sight>; 2],
        fixed: bool,
    ) -> Vec<[DVec3; 3]> {
        let [root, middle, end] = places;
        let on_ray = |sight: &Sight, about: DVec3, length: f64| {
            let nearest = sight.ray.depth(about);
            let half = (length * length - sight.ray.offset(about).length_squared())
                .max(0.0)
                .sqrt();
            [nearest - half, nearest + half]
                .into_iter()
                .filter(|depth| *depth > 0.0)
                .map(|depth| sight.ray.origin + sight.ray.direction * depth)
                .collect::<Vec<_>>()
        };
        let middles = seen[0].map_or_else(
            || vec![middle],
            |sight| on_ray(sight, root, root.distance(middle)),
        );
        let mut others = Vec::new();
        for other in middles {
            let ends = match seen[1] {
                _ if fixed => vec![end],
                Some(sight) => on_ray(sight, other, middle.distance(end)),
                // Nobody sees it: it goes with the bone before it.
                None => vec![end + other - middle],
            };
            others.extend(ends.into_iter().map(|end| [root, other, end]));
        }
        others.retain(|other| {
            let moved = other[1].distance(middle).max(other[2].distance(end));
            moved > APART
        });
        others
    }
}

/// What is known of how somebody holds their arms and legs.
#[derive(Clone, Debug, Default)]
pub struct Posture {
    /// When views from different sides last agreed on each joint.
    agreed: JointMap<Option<f64>>,
    /// How much speaks against each of [`LIMBS`] being held as it is, as the logarithm of a ratio of chances.
    doubts: [f64; LIMBS.len()],
}

/// What a moment and the past tell of a body.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The views that see each joint.
    pub sights: &'a JointMap<Vec<Sight>>,
    /// How long the bones are.
    pub lengths: &'a Lengths,
    /// How far off sightings are.
    pub noise: &'a Noise,
}

/// Places that are nearer to one another than this, in metres, are the same.
const APART: f64 = 0.06;
/// Rays whose directions differ by less (the sine of the angle) do not tell where along them they meet.
const CROSSING: f64 = 0.12;
/// For so many seconds after views agreed on a joint, its motion tells how far away it is; then posture does.
const REMEMBERED: f64 = 0.4;
/// For so many seconds after views agreed on its shoulders and hips, a trunk tells how arms and legs are held.
const TRUSTED: f64 = 1.0;
/// Looks a second at somebody's posture that are independent of one another.
const LOOKS: f64 = 10.0;
/// A limb is held otherwise when `exp` of this speaks for it; one look says no more than that.
const CONVINCED: f64 = 3.0;
/// What a bone of the wrong length speaks against a posture at most: its ends may be mistaken.
const STRETCHED: f64 = 4.5;

impl Posture {
    /// Takes in which views agree on a joint at a time, in seconds.
    pub fn observe<'a>(
        &mut self,
        joint: Joint,
        time: f64,
        agreeing: impl Iterator<Item = &'a Sight> + Clone,
    ) {
        if cross(agreeing) {
            self.agreed[joint] = Some(time);
        }
    }

    /// Takes the left joints of a part of the body for the right ones, and the other way round.
    pub fn exchange(&mut self, part: &[Joint]) {
        self.agreed.exchange(part);
        for left in [0, 2] {
            if part.contains(&LIMBS[left].joints[1]) {
                self.doubts.swap(left, left + 1);
            }
        }
    }

    /// Holds arms and legs that one view sees as people do: where that has spoken for another place for long enough, or, of joints
    /// that `is_new` says nothing is known of yet, at once. Moves their `places`, and gives the joints that moved.
    pub fn reconsider(
        &mut self,
        time: f64,
        elapsed: f64,
        places: &mut JointMap<Option<DVec3>>,
        told: Told,
        is_new: impl Fn(Joint) -> bool,
    ) -> Vec<Joint> {
        let mut moved = Vec::new();
        // A trunk that one view alone sees may itself be the wrong one of two.
        let is_sure = |joint: &Joint| self.is_known(*joint, time, TRUSTED, told.sights);
        let axes = trunk(|joint| places[joint]).filter(|_| TORSO.iter().all(is_sure));
        let Some(axes) = axes else {
            self.doubts = Default::default();
            return moved;
        };
        for (n, limb) in LIMBS.iter().enumerate() {
            let Some((other, gain)) = self.likelier(time, limb, places, told, &axes) else {
                self.doubts[n] = 0.0;
                continue;
            };
            let speaks = gain.clamp(-CONVINCED, CONVINCED) * (elapsed * LOOKS).min(1.0);
            self.doubts[n] = (self.doubts[n] + speaks).max(0.0);
            let [_, middle, end] = limb.joints;
            let at_once = is_new(middle) && gain > 0.0;
            if !at_once && self.doubts[n] < CONVINCED {
                continue;
            }
            self.doubts[n] = 0.0;
            if places[middle].is_some_and(|middle| middle.distance(other[1]) > 1e-3) {
                places[middle] = Some(other[1]);
                moved.push(middle);
            }
            let shift = places[end].map_or(DVec3::ZERO, |end| other[2] - end);
            if shift.length() > 1e-3 {
                for joint in limb.carried() {
                    places[joint] = places[joint].map(|place| place + shift);
                    moved.push(joint);
                }
            }
        }
        moved
    }

    /// Whether views from different sides see a joint, or agreed on it in the last seconds.
    fn is_known(
        &self,
        joint: Joint,
        time: f64,
        seconds: f64,
        sights: &JointMap<Vec<Sight>>,
    ) -> bool {
        let agreed = self.agreed[joint].is_some_and(|at| time - at < seconds);
        agreed || cross(sights[joint].iter())
    }

    /// The likeliest other way to hold a limb, and how much likelier it is, as a logarithm; `None` where views from different
    /// sides, or its motion, tell how it is held.
    fn likelier(
        &self,
        time: f64,
        limb: &Limb,
        places: &JointMap<Option<DVec3>>,
        told: Told,
        axes: &DMat3,
    ) -> Option<([DVec3; 3], f64)> {
        let Told {
            sights,
            lengths,
            noise,
        } = told;
        let [root, middle, end] = limb.joints;
        let now = [places[root]?, places[middle]?, places[end]?];
        let is_known = |joint: Joint| self.is_known(joint, time, REMEMBERED, sights);
        let alone = |joint: Joint| sights[joint].first().filter(|_| !is_known(joint));
        let seen = [alone(middle), alone(end)];
        if seen == [None, None] {
            return None;
        }
        let lower = BONES.iter().position(|bone| bone.ends == (middle, end));
        let lower = lengths.of(lower?);
        let limit = noise.outlier * noise.outlier;
        let misfit = |joint: Joint, place: DVec3| {
            let sights = sights[joint].iter();
            let errors =
                sights.map(|sight| sight.weight * noise.error_squared(sight, place).min(limit));
            0.5 * errors.sum::<f64>()
        };
        let cost = |places: [DVec3; 3]| {
            let off = (places[1].distance(places[2]) - lower.metres) / lower.sigma;
            limb.strangeness(places, axes)
                + (0.5 * off * off).min(STRETCHED)
                + misfit(middle, places[1])
                + misfit(end, places[2])
        };
        let others = limb.others(now, seen, is_known(end)).into_iter();
        let gains = others.map(|other| (other, cost(now) - cost(other)));
        gains.max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// Whether sightings tell how far away a joint is: two of them look at it from different sides.
fn cross<'a>(sights: impl Iterator<Item = &'a Sight> + Clone) -> bool {
    let mut later = sights.clone();
    sights.into_iter().any(|one| {
        later.next();
        let across = |other: &Sight| one.ray.direction.cross(other.ray.direction).length();
        later.clone().any(|other| across(other) > CROSSING)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::tests::standing;
    use crate::camera::Ray;

    fn of(limb: usize) -> ([DVec3; 3], DMat3) {
        let body = standing(DVec3::ZERO);
        let places = LIMBS[limb]
            .joints
            .map(|joint| body[joint].unwrap_or_default());
        (places, trunk(|joint| body[joint]).unwrap_or_default())
    }

    fn sight(eye: DVec3, place: DVec3) -> Sight {
        Sight {
            ray: Ray {
                origin: eye,
                direction: (place - eye).normalize(),
            },
            weight: 1.0,
            pixel: 0.001,
        }
    }

    #[test]
    fn a_trunk_faces_ahead_and_has_its_left_to_its_left() {
        let (_, axes) = of(0);
        assert!(axes.x_axis.abs_diff_eq(DVec3::X, 1e-9) && axes.y_axis.abs_diff_eq(DVec3::Y, 1e-9));
        assert!(
            axes.z_axis.abs_diff_eq(DVec3::Z, 1e-9),
            "they look along +z"
        );
    }

    #[test]
    fn both_other_places_fit_the_picture_and_the_bones() {
        let (mut places, _) = of(1);
        places[2] += DVec3::new(0.0, 0.1, 0.15);
        let eye = DVec3::new(1.0, 1.5, 4.0);
        let seen = [sight(eye, places[1]), sight(eye, places[2])];
        let others = LIMBS[1].others(places, [Some(&seen[0]), Some(&seen[1])], false);
        assert_eq!(
            others.len(),
            3,
            "two elbows with two wrists each, less what is there"
        );
        for other in &others {
            for n in 1..3 {
                assert!(seen[n - 1].ray.offset(other[n]).length() < 1e-6);
                let length = places[n - 1].distance(places[n]);
                assert!((other[n - 1].distance(other[n]) - length).abs() < 1e-6);
            }
        }
        let held_by_others = LIMBS[1].others(places, [Some(&seen[0]), None], true);
        assert_eq!(held_by_others.len(), 1);
        assert_eq!(held_by_others[0][2], places[2]);
    }

    #[test]
    fn a_forearm_held_forward_and_a_thigh_too_are_likelier_than_what_looks_the_same_from_ahead() {
        let eye = DVec3::new(0.3, 1.2, 4.0);
        // Mirrored in depth, they point backward.
        let forearm = [DVec3::ZERO, DVec3::new(0.0, 0.1, 0.15)];
        let thigh = [DVec3::new(0.0, 0.15, 0.3), DVec3::new(0.0, 0.12, 0.25)];
        for (limb, bend) in [(1, forearm), (2, thigh)] {
            let (mut places, axes) = of(limb);
            places[1] += bend[0];
            places[2] += bend[1];
            let seen = [sight(eye, places[1]), sight(eye, places[2])];
            let others = LIMBS[limb].others(places, [Some(&seen[0]), Some(&seen[1])], false);
            assert!(!others.is_empty());
            for other in others {
                let (own, told) = (
                    LIMBS[limb].strangeness(places, &axes),
                    LIMBS[limb].strangeness(other, &axes),
                );
                assert!(
                    own < told,
                    "limb {limb}: {own:.1} as it is, {told:.1} at {other:?}"
                );
            }
        }
    }

    #[test]
    fn left_and_right_are_held_alike() {
        let (left, axes) = of(0);
        let right = left.map(|place| place * DVec3::new(-1.0, 1.0, 1.0));
        let apart = LIMBS[0].strangeness(left, &axes) - LIMBS[1].strangeness(right, &axes);
        assert!(apart.abs() < 1e-9);
    }
}
