//! Which way is up, and where the floor is: one camera does not say, but people stand.

use bevy::math::{Quat, Vec3};

use crate::skeleton::{Joint, Pose3d, between};

/// Seconds over which standing people tell where up is.
const MEMORY: f32 = 8.0;
/// A first guess counts as much as this many seconds of somebody standing.
const PRIOR: f32 = 0.5;

/// Finds up from how people stand, and the floor from their feet.
///
/// Fed with poses whose up is nearly +y (the camera taken as level); gives the rotation that makes it +y, and the height of
/// the floor after that.
#[derive(Clone, Debug)]
pub struct Ground {
    up: Vec3,
    weight: f32,
    soles: Option<f32>,
    /// Whether up is sought; else the camera's own rotation is believed.
    pub seek_up: bool,
}

impl Default for Ground {
    fn default() -> Self {
        Ground {
            up: Vec3::Y * PRIOR,
            weight: PRIOR,
            soles: None,
            seek_up: true,
        }
    }
}

/// The direction of the body of somebody who stands with straight legs, and how straight they are (0–1).
fn stance(pose: &Pose3d) -> Option<(Vec3, f32)> {
    let at = |joint: Joint| pose[joint].map(|p| p.position);
    let shoulders = between(pose, Joint::LeftShoulder, Joint::RightShoulder)?;
    let ankles = between(pose, Joint::LeftAnkle, Joint::RightAnkle)?;
    let straight = |hip, knee, ankle| {
        Some(
            (at(knee)? - at(hip)?)
                .normalize_or_zero()
                .dot((at(ankle)? - at(knee)?).normalize_or_zero()),
        )
    };
    let left = straight(Joint::LeftHip, Joint::LeftKnee, Joint::LeftAnkle)?;
    let right = straight(Joint::RightHip, Joint::RightKnee, Joint::RightAnkle)?;
    let torso = (shoulders - between(pose, Joint::LeftHip, Joint::RightHip)?).normalize_or_zero();
    let body = (shoulders - ankles).normalize_or_zero();
    let upright = left.min(right).min(torso.dot(body));
    Some((body, ((upright - 0.85) / 0.13).clamp(0.0, 1.0)))
}

impl Ground {
    /// Takes in a pose, `elapsed` seconds after the last one.
    pub fn learn(&mut self, pose: &Pose3d, elapsed: f32) {
        if self.seek_up
            && let Some((body, straight)) = stance(pose)
            && body.y > 0.5
        {
            // Only standing fades what was learnt from standing: who sits down keeps the floor that they had.
            let forget = (-elapsed * straight / MEMORY).exp();
            self.up = self.up * forget + body * straight * elapsed;
            self.weight = self.weight * forget + straight * elapsed;
        }
        let level = self.level();
        let lowest = [
            Joint::LeftHeel,
            Joint::RightHeel,
            Joint::LeftFootIndex,
            Joint::RightFootIndex,
            Joint::LeftAnkle,
            Joint::RightAnkle,
        ]
        .iter()
        .filter_map(|&joint| Some((level * pose[joint]?.position).y))
        .fold(f32::MAX, f32::min);
        if lowest < f32::MAX {
            // Down at once, up slowly: who jumps is off the floor, who sinks in was never on it.
            self.soles = Some(self.soles.map_or(lowest, |soles| {
                let seconds = if lowest < soles { 0.15 } else { 4.0 };
                soles + (lowest - soles) * (1.0 - (-elapsed / seconds).exp())
            }));
        }
    }

    /// Turns poses so that up is +y.
    pub fn level(&self) -> Quat {
        if !self.seek_up || self.weight < 1e-3 {
            return Quat::IDENTITY;
        }
        Quat::from_rotation_arc(self.up.normalize_or(Vec3::Y), Vec3::Y)
    }

    /// Height of the floor after that turn, in metres.
    pub fn floor(&self) -> f32 {
        self.soles.unwrap_or(0.0)
    }

    /// The pose, upright, with the floor at y = 0.
    pub fn place(&self, pose: &Pose3d) -> Pose3d {
        let (level, lift) = (self.level(), Vec3::Y * self.floor());
        let mut placed = pose.clone();
        for &joint in Joint::ALL {
            if let Some(point) = &mut placed[joint] {
                point.position = level * point.position - lift;
            }
        }
        placed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skeleton::{Joint3d, Origin};

    fn standing(turn: Quat, shift: Vec3, bend: f32) -> Pose3d {
        let mut pose = Pose3d::default();
        use Joint::*;
        for (joint, x, y, z) in [
            (LeftShoulder, 0.2, 1.45, 0.0),
            (RightShoulder, -0.2, 1.45, 0.0),
            (LeftHip, 0.1, 0.95, 0.0),
            (RightHip, -0.1, 0.95, 0.0),
            (LeftKnee, 0.1, 0.5, bend),
            (RightKnee, -0.1, 0.5, bend),
            (LeftAnkle, 0.1, 0.08, 0.0),
            (RightAnkle, -0.1, 0.08, 0.0),
            (LeftHeel, 0.1, 0.0, -0.05),
            (RightHeel, -0.1, 0.0, -0.05),
        ] {
            let position = turn * Vec3::new(x, y, z) + shift;
            pose[joint] = Some(Joint3d {
                position,
                sigma: 0.02,
                origin: Origin::Lifted,
            });
        }
        pose
    }

    #[test]
    fn a_camera_that_looks_down_is_found_out_by_who_stands_before_it() {
        let mut ground = Ground::default();
        let tilt = Quat::from_rotation_x(0.35);
        for _ in 0..300 {
            ground.learn(&standing(tilt, Vec3::new(0.0, -2.0, -3.0), 0.0), 1.0 / 30.0);
        }
        let placed = ground.place(&standing(tilt, Vec3::new(0.0, -2.0, -3.0), 0.0));
        let at = |joint: Joint| placed[joint].map_or(Vec3::ZERO, |p| p.position);
        let body = at(Joint::LeftShoulder) - at(Joint::LeftAnkle);
        assert!(body.angle_between(Vec3::Y).to_degrees() < 7.0, "{body}");
        assert!(
            at(Joint::LeftHeel).y.abs() < 0.03,
            "{}",
            at(Joint::LeftHeel)
        );
    }

    #[test]
    fn up_is_kept_while_somebody_sits() {
        let mut ground = Ground::default();
        let tilt = Quat::from_rotation_x(0.35);
        for _ in 0..300 {
            ground.learn(&standing(tilt, Vec3::ZERO, 0.0), 1.0 / 30.0);
        }
        let level = ground.level();
        for _ in 0..3600 {
            ground.learn(&standing(tilt, Vec3::ZERO, 0.5), 1.0 / 30.0);
        }
        assert!(ground.level().angle_between(level) < 1e-3);
    }

    #[test]
    fn who_jumps_leaves_the_floor() {
        let mut ground = Ground::default();
        for _ in 0..60 {
            ground.learn(&standing(Quat::IDENTITY, Vec3::ZERO, 0.0), 1.0 / 30.0);
        }
        let aloft = standing(Quat::IDENTITY, Vec3::Y * 0.4, 0.0);
        for _ in 0..12 {
            ground.learn(&aloft, 1.0 / 30.0);
        }
        let heel = ground.place(&aloft)[Joint::LeftHeel].map_or(0.0, |p| p.position.y);
        assert!(heel > 0.3, "{heel}");
    }
}
