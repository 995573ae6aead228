//! Limbs that are longer than a body has.
//!
//! Networks take table legs, cords and the edges of floors for limbs, and are sure of it. What they are rarely wrong about is
//! the trunk, and that tells how large somebody is: a joint that is further from the one before it than a limb reaches is not theirs.

use super::sure;
use crate::skeleton::{Joint, JointMap, Pose2d};

/// Seconds in which half of the trunk's length is forgotten: who bends towards the camera has a short one for a while.
const HALF_LIFE: f64 = 4.0;
/// A trunk is so many times as long as shoulders are broad: who bends towards the camera shows these at full length.
const OF_SHOULDERS: f32 = 1.3;
/// Limbs from the trunk outwards, and how long each may look in lengths of the trunk. Thighs and shins are 0.85 of it, upper arms 0.6,
/// forearms 0.5; what is nearer to the camera than the trunk looks larger.
const LIMBS: &[(Joint, Joint, f32)] = {
    use Joint::*;
    &[
        (LeftShoulder, LeftElbow, 1.3),
        (LeftElbow, LeftWrist, 1.5),
        (LeftHip, LeftKnee, 1.5),
        (LeftKnee, LeftAnkle, 1.6),
        (LeftAnkle, LeftHeel, 0.7),
        (LeftAnkle, LeftFootIndex, 0.9),
        (LeftWrist, LeftIndex, 0.7),
        (LeftWrist, LeftPinky, 0.7),
        (LeftWrist, LeftThumb, 0.7),
    ]
};

/// How far the limbs of somebody reach.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Pixels; the longest lately.
    trunk: f32,
    last_time: Option<f64>,
}

impl Reach {
    /// Leaves out what is further off than limbs reach, and what hangs on it; `time` in seconds. Where no trunk is seen nothing is said.
    pub fn mend(&mut self, pose: &mut Pose2d, time: f64) {
        let Some(seen) = length_of_trunk(pose) else {
            return;
        };
        let elapsed = self.last_time.map_or(0.0, |last| (time - last).max(0.0));
        self.last_time = Some(time);
        self.trunk = seen.max(self.trunk * 0.5_f64.powf(elapsed / HALF_LIFE) as f32);
        let mut gone = JointMap::<bool>::default();
        for &(inner, outer, most) in LIMBS {
            for (inner, outer) in [(inner, outer), (inner.mirror(), outer.mirror())] {
                let too_far = sure(pose, inner)
                    .zip(pose[outer])
                    .is_some_and(|(from, to)| from.distance(to.position) > most * self.trunk);
                if too_far || gone[inner] {
                    gone[outer] = true;
                    pose[outer] = None;
                }
            }
        }
    }
}

/// How long the trunk looks, in pixels; or how long it must be, as broad as the shoulders are. From the side these are not broad, so that
/// both shoulders and hips must be seen.
fn length_of_trunk(pose: &Pose2d) -> Option<f32> {
    let both = |joint: Joint| Some((sure(pose, joint)?, sure(pose, joint.mirror())?));
    let (shoulders, hips) = (both(Joint::LeftShoulder)?, both(Joint::LeftHip)?);
    let across = OF_SHOULDERS * shoulders.0.distance(shoulders.1);
    let along = (shoulders.0 + shoulders.1).distance(hips.0 + hips.1) / 2.0;
    Some(across.max(along))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skeleton::{Confidence, Keypoint};
    use bevy::math::Vec2;

    /// Somebody upright, 100 pixels from shoulders to hips.
    fn standing() -> Pose2d {
        use Joint::*;
        let mut pose = Pose2d::default();
        for (joint, x, y) in [
            (LeftShoulder, 35.0, 0.0),
            (LeftElbow, 45.0, 60.0),
            (LeftWrist, 45.0, 110.0),
            (LeftHip, 20.0, 100.0),
            (LeftKnee, 20.0, 185.0),
            (LeftAnkle, 20.0, 270.0),
            (LeftFootIndex, 40.0, 290.0),
        ] {
            for (joint, x) in [(joint, x), (joint.mirror(), -x)] {
                pose[joint] = Some(Keypoint {
                    position: Vec2::new(x, y),
                    confidence: Confidence::new(0.8),
                });
            }
        }
        pose
    }

    fn moved(mut pose: Pose2d, joint: Joint, by: Vec2) -> Pose2d {
        if let Some(point) = &mut pose[joint] {
            point.position += by;
        }
        pose
    }

    #[test]
    fn an_ankle_on_a_table_leg_is_left_out_with_its_foot_and_nothing_else() {
        let mut pose = moved(standing(), Joint::LeftAnkle, Vec2::new(0.0, 120.0));
        Reach::default().mend(&mut pose, 0.0);
        let mut wanted = standing();
        wanted[Joint::LeftAnkle] = None;
        wanted[Joint::LeftFootIndex] = None;
        assert_eq!(pose, wanted);
    }

    #[test]
    fn whoever_bends_towards_the_camera_keeps_their_legs_for_a_while() {
        let bent = |time| {
            let mut reach = Reach::default();
            reach.mend(&mut standing(), 0.0);
            let mut pose = standing();
            for joint in [Joint::LeftShoulder, Joint::RightShoulder] {
                pose = moved(pose, joint, Vec2::new(0.0, 90.0));
                // Seen from the side as well: shoulders are not broad.
                if let Some(point) = &mut pose[joint] {
                    point.position.x *= 0.1;
                }
            }
            reach.mend(&mut pose, time);
            pose[Joint::LeftKnee].is_some()
        };
        assert!(bent(1.0));
        assert!(!bent(30.0));
    }

    #[test]
    fn of_somebody_from_the_side_behind_a_desk_nothing_is_said() {
        let mut pose = standing();
        for (shoulder, hip) in [
            (Joint::LeftShoulder, Joint::LeftHip),
            (Joint::RightShoulder, Joint::RightHip),
        ] {
            if let Some(point) = &mut pose[shoulder] {
                point.position.x *= 0.2;
            }
            pose[hip] = None;
        }
        let before = pose.clone();
        Reach::default().mend(&mut pose, 0.0);
        assert_eq!(pose, before);
    }
}
