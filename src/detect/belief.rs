//! Whether what is followed is somebody: by the detector's boxes, and frame by frame by how sure the joints are. Keypoint networks find a body
//! in any crop, and detectors take coats for people, unclearly.

use std::cmp::Ordering;

use super::decode::ScoredBox;
use crate::skeleton::{Joint, Pose2d};

/// Where the surest joints on average, or the surer shoulder, are less sure than this, joints are in doubt. In the feet of tables networks are
/// sure of legs, hardly of shoulders.
const DOUBTFUL: f32 = 0.55;
/// How many joints those are: of somebody at a desk, no more may be in view.
const SUREST: usize = 8;
/// How often in a row the detector may not be clear about somebody whose joints are in doubt,
const MISSES: u32 = 3;
/// and for so many seconds at least: a turn blurs somebody for a moment.
const DOUBT: f64 = 0.25;
/// Newcomers whom the detector is unclear about are shown once they are believed in by more than this: after four frames in which joints are
/// sure to 0.95, seven of 0.85, sixteen of 0.75, sixty-one of 0.65. Most of what is nobody is in doubt by then.
const PROBATION: f32 = 3.0;
/// A frame in doubt takes so much of it, and no more is owed: what hangs on a wall looks like somebody in every few frames, and people hardly
/// ever do not.
const DOUBT_COSTS: f32 = 3.0;
/// Nobody is believed in by more.
const MOST: f32 = 9.0;

/// How much somebody is believed in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Belief {
    amount: f32,
    /// Whether the detector found them when it last looked.
    is_met: bool,
    /// Runs of the detector since it was last clear about them,
    unclear: u32,
    /// and the time of the last frame in which they were seen until it ran again, in seconds.
    last_clear: Option<f64>,
    /// How sure their joints were when they were last seen, and when that was.
    joints: Option<(f32, f64)>,
}

impl Belief {
    /// In somebody of whom nothing is known but what the detector says.
    pub fn begun(found: &ScoredBox) -> Belief {
        let mut begun = Belief {
            amount: 0.0,
            is_met: false,
            unclear: MISSES + 1,
            last_clear: None,
            joints: None,
        };
        begun.found(found);
        begun
    }

    /// The same of somebody who was believed in before, elsewhere.
    pub fn begun_anew(self, found: &ScoredBox) -> Belief {
        let mut begun = Belief {
            joints: None,
            ..self
        };
        begun.found(found);
        begun
    }

    /// The detector looked at the picture; where it found them, [`found`](Self::found) is told next.
    pub fn detector_ran(&mut self) {
        self.unclear += 1;
        self.is_met = false;
    }

    /// The detector found them.
    pub fn found(&mut self, found: &ScoredBox) {
        self.is_met = true;
        if found.is_clear() {
            (self.unclear, self.amount) = (0, MOST);
        }
    }

    /// They were seen in the frame of that time, in seconds.
    pub fn seen(&mut self, pose: &Pose2d, time: f64) {
        let sure = surest(pose);
        self.joints = Some((sure, time));
        if self.unclear == 0 {
            self.last_clear = Some(time);
        }
        if self.is_in_doubt() {
            self.doubt();
        } else {
            let more = (sure - DOUBTFUL).max(0.0) / (1.0 - DOUBTFUL);
            self.amount = (self.amount + more * more).min(MOST);
        }
    }

    /// They were not: who is somebody may be hidden for a moment.
    pub fn not_seen(&mut self) {
        if !self.is_somebody() {
            self.doubt();
        }
    }

    fn doubt(&mut self) {
        self.amount = (self.amount - DOUBT_COSTS).max(-DOUBT_COSTS);
    }

    /// Whether this is more than what looks like somebody.
    pub fn is_somebody(&self) -> bool {
        self.amount > PROBATION
    }

    /// In whom is believed more.
    pub fn compare(&self, other: &Belief) -> Ordering {
        self.amount.total_cmp(&other.amount)
    }

    /// Whether neither network is sure that somebody is there.
    pub fn is_in_doubt(&self) -> bool {
        let was_clear = self.joints.zip(self.last_clear);
        let was_just_clear =
            was_clear.is_some_and(|((_, now), at)| (0.0..DOUBT).contains(&(now - at)));
        self.unclear > MISSES && self.joints_are_in_doubt() && !was_just_clear
    }

    /// Whether they are to be followed no further, seen or not: the detector finds them no more, or, where it was clear about somebody, only what
    /// they left behind. What is found again and again, and never clearly, would come back each time as somebody new.
    pub fn is_given_up(&self) -> bool {
        self.is_in_doubt() && (self.last_clear.is_some() || !self.is_met)
    }

    /// Whether they are waited for while they are not seen: of whoever comes in, there may be too little for a moment to find joints.
    pub fn is_waited_for(&self) -> bool {
        self.is_somebody() || self.is_met
    }

    /// Whether the detector was not clear about them when it last looked, and now their joints are in doubt as well.
    pub fn is_shaken(&self) -> bool {
        self.unclear > 0 && self.joints_are_in_doubt()
    }

    fn joints_are_in_doubt(&self) -> bool {
        self.joints.is_some_and(|(sure, _)| sure < DOUBTFUL)
    }
}

/// How sure the network is of the surest joints on average, or of the surer shoulder, if it is less sure of that: from the side one of them is
/// hidden.
fn surest(pose: &Pose2d) -> f32 {
    let told = |joint: Joint| pose[joint].map_or(0.0, |point| point.confidence.get());
    let shoulder = told(Joint::LeftShoulder).max(told(Joint::RightShoulder));
    let mut sure: Vec<f32> = pose.present().map(|(joint, _)| told(joint)).collect();
    sure.sort_by(|a, b| b.total_cmp(a));
    sure.truncate(SUREST);
    let surest = sure.iter().sum::<f32>() / sure.len().max(1) as f32;
    surest.min(shoulder)
}

#[cfg(test)]
mod tests {
    use super::super::track::tests::{box_at, person_at, sure_person_at};
    use super::*;
    use crate::skeleton::{Confidence, JointSet, Keypoint};

    /// After a box with this score, which is found in every frame, joints that are so sure.
    fn after(score: f32, sure: &[f32]) -> Belief {
        let found = ScoredBox {
            score,
            ..box_at(100.0)
        };
        let mut belief = Belief::begun(&found);
        for (n, sure) in sure.iter().enumerate() {
            belief.detector_ran();
            belief.found(&found);
            belief.seen(&sure_person_at(100.0, *sure).pose, n as f64 / 30.0);
        }
        belief
    }

    #[test]
    fn who_is_clear_is_somebody_at_once_and_who_is_not_after_as_many_frames_as_is_said() {
        assert!(after(0.9, &[]).is_somebody());
        for (sure, frames) in [(0.95, 4), (0.85, 7), (0.75, 16), (0.65, 61)] {
            let sure = vec![sure; frames];
            assert!(after(0.5, &sure).is_somebody(), "{sure:?}");
            assert!(!after(0.5, &sure[1..]).is_somebody(), "{sure:?}");
        }
    }

    #[test]
    fn no_more_is_owed_than_one_doubt() {
        let [once, often] = [1, 9].map(|times| after(0.5, &vec![0.4; times]));
        assert!(once.compare(&often).is_eq());
        assert!(once.compare(&after(0.5, &[])).is_lt());
    }

    #[test]
    fn whoever_was_clear_is_in_doubt_no_sooner_than_a_blur_passes() {
        for (time, is_in_doubt) in [(DOUBT - 0.01, false), (DOUBT + 0.01, true)] {
            let mut belief = after(0.9, &[0.8]);
            (0..=MISSES).for_each(|_| belief.detector_ran());
            belief.seen(&sure_person_at(100.0, 0.4).pose, time);
            assert_eq!(belief.is_in_doubt(), is_in_doubt, "{time}");
        }
    }

    #[test]
    fn somebody_at_a_desk_is_believed_by_the_joints_in_view() {
        let mut seated = person_at(100.0).pose;
        for &joint in JointSet::Body25.joints() {
            let hidden = Keypoint {
                position: bevy::math::Vec2::new(110.0, 150.0),
                confidence: Confidence::new(0.05),
            };
            seated[joint].get_or_insert(hidden);
        }
        let mut belief = after(0.5, &[]);
        belief.seen(&seated, 0.0);
        assert!(!belief.is_in_doubt());
    }
}
