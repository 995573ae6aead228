//! What is known of a body's bones: usual proportions at first, this person's own lengths once they were seen.

use bevy::math::DVec3;

use crate::skeleton::{Joint, JointMap};

/// Two joints whose distance hardly changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bone {
    /// Its ends.
    pub ends: (Joint, Joint),
    /// Usual length, as a part of the stature.
    proportion: f64,
    /// How much the distance changes in one person when they move: as a part of the length.
    flexible: f64,
}

/// A grown-up of usual stature, in metres.
pub const STATURE: f64 = 1.7;
/// The spread of lengths between grown-ups, as a part of the length. Children are further off: a few looks at them outweigh it.
const SPREAD: f64 = 0.1;
/// The spread of where networks put the ends of a bone, in metres.
const PLACED: f64 = 0.025;
/// Measurements that a length is averaged over at most, so that an early mistake is forgotten.
const MEMORY: f64 = 150.0;
/// Least standard deviation of a known length in metres: skin and clothes move.
const LEAST_SIGMA: f64 = 0.012;

const fn bone(a: Joint, b: Joint, proportion: f64, flexible: f64) -> Bone {
    Bone {
        ends: (a, b),
        proportion,
        flexible,
    }
}

/// All bones, with proportions between the points that keypoint networks mark (after Drillis and Contini 1966 for the limbs).
pub const BONES: &[Bone] = {
    use Joint::*;
    &[
        bone(LeftShoulder, RightShoulder, 0.21, 0.08),
        bone(LeftHip, RightHip, 0.115, 0.06),
        bone(LeftShoulder, LeftHip, 0.295, 0.08),
        bone(RightShoulder, RightHip, 0.295, 0.08),
        bone(LeftShoulder, RightHip, 0.335, 0.08),
        bone(RightShoulder, LeftHip, 0.335, 0.08),
        bone(Thorax, LeftShoulder, 0.105, 0.1),
        bone(Thorax, RightShoulder, 0.105, 0.1),
        bone(Pelvis, LeftHip, 0.058, 0.1),
        bone(Pelvis, RightHip, 0.058, 0.1),
        bone(Thorax, Pelvis, 0.29, 0.08),
        bone(LeftShoulder, LeftElbow, 0.168, 0.04),
        bone(RightShoulder, RightElbow, 0.168, 0.04),
        bone(LeftElbow, LeftWrist, 0.147, 0.04),
        bone(RightElbow, RightWrist, 0.147, 0.04),
        bone(LeftWrist, LeftIndex, 0.055, 0.15),
        bone(RightWrist, RightIndex, 0.055, 0.15),
        bone(LeftWrist, LeftPinky, 0.05, 0.15),
        bone(RightWrist, RightPinky, 0.05, 0.15),
        bone(LeftWrist, LeftThumb, 0.05, 0.2),
        bone(RightWrist, RightThumb, 0.05, 0.2),
        bone(LeftHip, LeftKnee, 0.245, 0.04),
        bone(RightHip, RightKnee, 0.245, 0.04),
        bone(LeftKnee, LeftAnkle, 0.24, 0.04),
        bone(RightKnee, RightAnkle, 0.24, 0.04),
        bone(LeftAnkle, LeftHeel, 0.045, 0.15),
        bone(RightAnkle, RightHeel, 0.045, 0.15),
        bone(LeftAnkle, LeftFootIndex, 0.1, 0.1),
        bone(RightAnkle, RightFootIndex, 0.1, 0.1),
        bone(Nose, LeftEar, 0.075, 0.1),
        bone(Nose, RightEar, 0.075, 0.1),
        bone(LeftEar, RightEar, 0.085, 0.1),
        bone(Nose, LeftEye, 0.026, 0.15),
        bone(Nose, RightEye, 0.026, 0.15),
        bone(Nose, LeftShoulder, 0.17, 0.2),
        bone(Nose, RightShoulder, 0.17, 0.2),
        bone(LeftEar, LeftShoulder, 0.15, 0.2),
        bone(RightEar, RightShoulder, 0.15, 0.2),
        bone(Nose, Thorax, 0.135, 0.12),
        bone(LeftEar, Thorax, 0.12, 0.12),
        bone(RightEar, Thorax, 0.12, 0.12),
    ]
};

impl Bone {
    /// Whether it is one of an arm's or a leg's long bones, whose proportions vary least.
    pub fn is_limb(&self) -> bool {
        use Joint::*;
        let (a, b) = self.ends;
        [
            (LeftShoulder, LeftElbow),
            (LeftElbow, LeftWrist),
            (LeftHip, LeftKnee),
            (LeftKnee, LeftAnkle),
        ]
        .iter()
        .any(|&(p, q)| (a, b) == (p, q) || (a, b) == (p.mirror(), q.mirror()))
    }

    fn usual(&self) -> f64 {
        self.proportion * STATURE
    }

    /// The same bone on the other side of the body.
    fn mirror(&self) -> (Joint, Joint) {
        (self.ends.0.mirror(), self.ends.1.mirror())
    }
}

/// A length and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Length {
    /// Metres.
    pub metres: f64,
    /// Standard deviation in metres, of the length and of the movement of its ends.
    pub sigma: f64,
}

/// One person's bones.
#[derive(Clone, Debug)]
pub struct Lengths {
    known: Vec<Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    mean: f64,
    count: f64,
    mirror: usize,
}

impl Default for Lengths {
    fn default() -> Self {
        let known = BONES.iter().enumerate().map(|(n, bone)| {
            let (a, b) = bone.mirror();
            let mirror = BONES
                .iter()
                .position(|other| other.ends == (a, b) || other.ends == (b, a));
            Known {
                mean: bone.usual(),
                count: 0.0,
                mirror: mirror.unwrap_or(n),
            }
        });
        Lengths {
            known: known.collect(),
        }
    }
}

impl Lengths {
    /// What is known of the n-th of [`BONES`].
    pub fn of(&self, bone: usize) -> Length {
        let (known, usual) = (&self.known[bone], &BONES[bone]);
        // A measured length counts as much against the usual one as their spreads say: one look is worth a good deal.
        let spread = PLACED.hypot(SPREAD * usual.usual());
        let prior = (0.04 / spread).powi(2).min(1.0);
        let metres = (usual.usual() * prior + known.mean * known.count) / (prior + known.count);
        let doubt = spread / (1.0 + known.count / prior).sqrt();
        let moving = usual.flexible * metres;
        Length {
            metres,
            sigma: LEAST_SIGMA.hypot(doubt).hypot(moving),
        }
    }

    /// Takes in where the joints are that were seen well, of those bones whose ends are so that they `count`.
    pub fn learn(&mut self, seen: &JointMap<Option<DVec3>>, count: impl Fn(DVec3, DVec3) -> bool) {
        for (n, bone) in BONES.iter().enumerate() {
            let (Some(a), Some(b)) = (seen[bone.ends.0], seen[bone.ends.1]) else {
                continue;
            };
            let measured = a.distance(b);
            if (0.4..2.2).contains(&(measured / bone.usual())) && count(a, b) {
                // Both sides of a body are alike: each teaches the other.
                let mirror = self.known[n].mirror;
                for side in [n, mirror] {
                    let known = &mut self.known[side];
                    known.count = (known.count + if mirror == n { 0.5 } else { 1.0 }).min(MEMORY);
                    known.mean += (measured - known.mean) / known.count.max(1.0);
                }
            }
        }
    }

    /// How many looks the best-known bone was averaged over.
    pub fn looks(&self) -> f64 {
        self.known
            .iter()
            .map(|known| known.count)
            .fold(0.0, f64::max)
    }
}

/// Whether joints could be one body's: the share of its bones, of those whose ends are there, with a length that people have.
/// `None` where fewer than three bones can be judged.
pub fn plausibility(joints: &JointMap<Option<DVec3>>) -> Option<f64> {
    let (mut total, mut good) = (0, 0);
    for bone in BONES.iter().filter(|bone| bone.usual() > 0.12) {
        if let (Some(a), Some(b)) = (joints[bone.ends.0], joints[bone.ends.1]) {
            total += 1;
            good += u32::from((0.45..1.6).contains(&(a.distance(b) / bone.usual())));
        }
    }
    (total >= 3).then(|| f64::from(good) / f64::from(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forearm() -> usize {
        let wanted = (Joint::LeftElbow, Joint::LeftWrist);
        BONES
            .iter()
            .position(|bone| bone.ends == wanted)
            .unwrap_or(usize::MAX)
    }

    #[test]
    fn a_length_is_learned_from_either_side_and_becomes_surer() {
        let mut lengths = Lengths::default();
        let before = lengths.of(forearm());
        let mut seen = JointMap::default();
        seen[Joint::RightElbow] = Some(DVec3::ZERO);
        seen[Joint::RightWrist] = Some(DVec3::X * 0.3);
        for _ in 0..20 {
            lengths.learn(&seen, |_, _| true);
        }
        let after = lengths.of(forearm());
        assert!((after.metres - 0.3).abs() < 0.005, "{after:?}");
        assert!(after.sigma < 0.6 * before.sigma);
    }

    #[test]
    fn what_cannot_be_a_bone_teaches_nothing() {
        let mut lengths = Lengths::default();
        let mut seen = JointMap::default();
        seen[Joint::LeftElbow] = Some(DVec3::ZERO);
        seen[Joint::LeftWrist] = Some(DVec3::X * 1.2);
        lengths.learn(&seen, |_, _| true);
        assert_eq!(lengths.of(forearm()), Lengths::default().of(forearm()));
    }

    #[test]
    fn a_body_of_two_halves_of_different_people_is_not_plausible() {
        use Joint::*;
        let mut joints = JointMap::default();
        joints[LeftShoulder] = Some(DVec3::new(0.18, 1.4, 0.0));
        joints[RightShoulder] = Some(DVec3::new(-0.18, 1.4, 0.0));
        assert_eq!(plausibility(&joints), None);
        joints[LeftHip] = Some(DVec3::new(0.1, 0.9, 0.0));
        joints[RightHip] = Some(DVec3::new(-0.1, 0.9, 0.0));
        assert_eq!(plausibility(&joints), Some(1.0));
        joints[LeftHip] = Some(DVec3::new(1.1, 0.9, 1.0));
        joints[RightHip] = Some(DVec3::new(0.9, 0.9, 1.0));
        assert!(plausibility(&joints).is_some_and(|share| share < 0.5));
    }
}
