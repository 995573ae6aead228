//! Undoing swaps of left and right over time.
//!
//! Networks that see a person from the front and from behind alike exchange the sides of a whole body, of the legs or of
//! the arms, mostly for a few frames. Joints do not jump across the body between two frames, so an exchange shows as
//! a motion that the exchanged reading explains better. Whoever follows such evidence alone follows a first wrong frame
//! for ever; hence a vote of the network's own readings decides in the long run.

use bevy::math::Vec2;

use crate::skeleton::{ARMS, FACE, Joint, LEGS, Pose2d};

/// How much better the exchanged reading must explain the motion.
const CLEARLY: f32 = 0.6;
/// Seconds over which the network's own readings are counted: networks exchange sides for a few frames, and a fast turn that looks like
/// an exchange must not rule for long.
const MEMORY: f64 = 0.1;
/// The most that one frame counts.
const MOST: f64 = 0.3;
/// Share of the vote at which the network is believed against the motion.
const OVERRULED: f32 = 0.75;

/// Which parts are exchanged now, and how the vote stands.
#[derive(Clone, Debug, Default)]
struct Part {
    exchanged: bool,
    /// Running mean of "the network's reading was exchanged", 0–1.
    against: f32,
}

/// Follows one person's sides.
#[derive(Clone, Debug, Default)]
pub struct SwapFilter {
    arms: Part,
    legs: Part,
    last_time: Option<f64>,
}

/// Mean distances between a pose and what was expected, as read and with its sides exchanged; `None` without evidence.
fn costs(pose: &Pose2d, expected: &Pose2d, left: &[Joint]) -> Option<(f32, f32)> {
    let (mut plain, mut crossed, mut weight) = (0.0, 0.0, 0.0);
    for &joint in left {
        let other = joint.mirror();
        let (Some(a), Some(b), Some(was_a), Some(was_b)) =
            (pose[joint], pose[other], expected[joint], expected[other])
        else {
            continue;
        };
        let sure = a.confidence.get().min(b.confidence.get());
        let apart = |p: Vec2, q: Vec2| p.distance(q);
        plain += sure * (apart(a.position, was_a.position) + apart(b.position, was_b.position));
        crossed += sure * (apart(a.position, was_b.position) + apart(b.position, was_a.position));
        weight += sure;
    }
    (weight > 0.5).then(|| (plain / weight, crossed / weight))
}

impl SwapFilter {
    /// Sets left and right of a new pose right, given where its joints were expected; `size` is the person's, in pixels.
    pub fn mend(&mut self, pose: &mut Pose2d, expected: &Pose2d, size: f32, time: f64) {
        let elapsed = self
            .last_time
            .map_or(0.0, |last| (time - last).clamp(0.0, 1.0));
        self.last_time = Some(time);
        // At a few frames a second one frame is no vote.
        let step = (1.0 - (-elapsed / MEMORY).exp()).min(MOST) as f32;
        for (part, joints) in [(&mut self.arms, ARMS), (&mut self.legs, LEGS)] {
            if let Some((plain, crossed)) = costs(pose, expected, joints) {
                // Where both sides lie on one another neither reading says anything.
                if (plain - crossed).abs() > 0.03 * size {
                    part.exchanged =
                        crossed < CLEARLY * plain || (part.exchanged && crossed < plain);
                }
            }
            part.against += step * (f32::from(u8::from(part.exchanged)) - part.against);
            if part.against > OVERRULED {
                *part = Part::default();
            }
        }
        if self.arms.exchanged {
            pose.exchange(ARMS);
            pose.exchange(FACE);
        }
        if self.legs.exchanged {
            pose.exchange(LEGS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skeleton::{Confidence, Keypoint};

    fn standing() -> Pose2d {
        let mut pose = Pose2d::default();
        for (n, &joint) in ARMS.iter().chain(LEGS).enumerate() {
            for (joint, x) in [(joint, 60.0), (joint.mirror(), 20.0)] {
                let position = Vec2::new(x, 10.0 * n as f32);
                pose[joint] = Some(Keypoint {
                    position,
                    confidence: Confidence::new(0.9),
                });
            }
        }
        pose
    }

    fn x_of(pose: &Pose2d, joint: Joint) -> Option<f32> {
        pose[joint].map(|point| point.position.x)
    }

    #[test]
    fn a_swap_of_the_legs_is_undone_and_the_arms_are_left_alone() {
        for rate in [7.0, 30.0, 60.0] {
            let (mut filter, truth) = (SwapFilter::default(), standing());
            for n in 0..10 {
                let mut pose = standing();
                if (3..6).contains(&n) {
                    pose.exchange(LEGS);
                }
                filter.mend(&mut pose, &truth, 110.0, f64::from(n) / rate);
                let told = format!("frame {n} of {rate} a second");
                assert_eq!(x_of(&pose, Joint::LeftKnee), Some(60.0), "{told}");
                assert_eq!(x_of(&pose, Joint::LeftWrist), Some(60.0), "{told}");
            }
        }
    }

    #[test]
    fn a_wrong_first_frame_does_not_rule_for_ever() {
        let mut filter = SwapFilter::default();
        let mut expected = standing();
        expected.exchange(LEGS);
        let mut last = None;
        for n in 0..90 {
            let mut pose = standing();
            filter.mend(&mut pose, &expected, 110.0, f64::from(n) / 30.0);
            last = x_of(&pose, Joint::LeftKnee);
            expected = pose;
        }
        assert_eq!(last, Some(60.0));
    }
}
