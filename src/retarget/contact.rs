//! Which way is up, and where the floor is: the edges of the room may tell, else people do, who stand.

use bevy::math::{Quat, Vec3};

use crate::skeleton::{Joint, Joint3d, Origin, Pose3d, between};

/// Seconds over which standing people tell where up is.
const MEMORY: f32 = 8.0;
/// A first guess counts as much as this many seconds of somebody standing.
const PRIOR: f32 = 0.5;
/// Seconds in which what people told gives way to what the room tells.
const TURNING: f32 = 0.3;
/// Seconds in which the floor comes down to feet that are below it,
const SINKING: f32 = 0.15;
/// and up to those above it, or goes to where feet are guessed to be.
const RISING: f32 = 4.0;

/// Finds up from how people stand, where the room does not tell it, and the floor from their feet.
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

/// Whether a joint was seen: legs below the edge of the picture are guessed to stand, mostly.
fn is_seen(point: &Joint3d) -> bool {
    point.origin != Origin::Predicted
}

/// The height of the lowest joint of the feet after a turn, and whether it was seen: guessed ones count where no other is.
fn lowest(pose: &Pose3d, level: Quat) -> Option<(f32, bool)> {
    use Joint::*;
    let feet = [
        LeftHeel,
        RightHeel,
        LeftFootIndex,
        RightFootIndex,
        LeftAnkle,
        RightAnkle,
    ];
    let of = |seen: bool| {
        let points = feet.iter().filter_map(|&joint| pose[joint]);
        let heights = points
            .filter(|p| is_seen(p) == seen)
            .map(|p| (level * p.position).y);
        heights.min_by(f32::total_cmp).map(|height| (height, seen))
    };
    of(true).or_else(|| of(false))
}

/// The direction of the body of somebody who is seen to stand with straight legs, and how straight they are (0–1).
fn stance(pose: &Pose3d) -> Option<(Vec3, f32)> {
    let at = |joint: Joint| pose[joint].filter(is_seen).map(|p| p.position);
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
    /// Takes in a pose, `elapsed` seconds after the last one; `up`, of length 1, where the room tells it (see
    /// [`attitude`](crate::calibrate::attitude)).
    pub fn learn(&mut self, pose: &Pose3d, up: Option<Vec3>, elapsed: f32) {
        let before = self.level();
        if self.seek_up {
            match (up, stance(pose)) {
                (Some(up), _) => self.turn_to(up, elapsed),
                (None, Some((body, straight))) if body.y > 0.5 => {
                    // Only standing fades what was learnt from standing: who sits down keeps the floor that they had.
                    let forget = (-elapsed * straight / MEMORY).exp();
                    self.up = self.up * forget + body * straight * elapsed;
                    self.weight = self.weight * forget + straight * elapsed;
                }
                _ => {}
            }
        }
        let (was, is) = (lowest(pose, before), lowest(pose, self.level()));
        if let (Some((was, _)), Some((is, seen))) = (was, is) {
            self.soles = Some(self.soles.map_or(is, |soles| {
                // The floor turns with what is taken for up, about who stands on it.
                let soles = soles + is - was;
                // Down at once, up slowly: who jumps is off the floor, who sinks in was never on it.
                let seconds = if seen && is < soles { SINKING } else { RISING };
                soles + (is - soles) * (1.0 - (-elapsed / seconds).exp())
            }));
        }
    }

    /// Takes over what the room tells: at once at first, else without a jerk.
    fn turn_to(&mut self, up: Vec3, elapsed: f32) {
        let share = if self.weight > PRIOR {
            1.0 - (-elapsed / TURNING).exp()
        } else {
            1.0
        };
        self.weight = MEMORY;
        self.up = self.up.normalize_or(up).lerp(up, share).normalize_or(up) * self.weight;
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
            ground.learn(
                &standing(tilt, Vec3::new(0.0, -2.0, -3.0), 0.0),
                None,
                1.0 / 30.0,
            );
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
            ground.learn(&standing(tilt, Vec3::ZERO, 0.0), None, 1.0 / 30.0);
        }
        let level = ground.level();
        for _ in 0..3600 {
            ground.learn(&standing(tilt, Vec3::ZERO, 0.5), None, 1.0 / 30.0);
        }
        assert!(ground.level().angle_between(level) < 1e-3);
    }

    /// The same, whose legs are below the edge of the picture.
    fn at_a_desk(mut pose: Pose3d) -> Pose3d {
        use Joint::*;
        for joint in [
            LeftKnee, RightKnee, LeftAnkle, RightAnkle, LeftHeel, RightHeel,
        ] {
            if let Some(point) = &mut pose[joint] {
                point.origin = Origin::Predicted;
            }
        }
        pose
    }

    #[test]
    fn legs_that_are_guessed_tell_nothing_of_up_and_little_of_the_floor() {
        let mut ground = Ground::default();
        let leaning = at_a_desk(standing(Quat::from_rotation_x(0.35), Vec3::ZERO, 0.0));
        for _ in 0..300 {
            ground.learn(&leaning, None, 1.0 / 30.0);
        }
        assert_eq!(ground.level(), Quat::IDENTITY);
        let mut ground = Ground::default();
        let standing = standing(Quat::IDENTITY, Vec3::ZERO, 0.0);
        ground.learn(&standing, None, 1.0 / 30.0);
        for _ in 0..10 {
            let mut guessed = at_a_desk(standing.clone());
            for joint in [Joint::LeftHeel, Joint::RightHeel] {
                if let Some(point) = &mut guessed[joint] {
                    point.position.y = -0.5;
                }
            }
            ground.learn(&guessed, None, 1.0 / 30.0);
        }
        assert!(ground.floor() > -0.06, "{}", ground.floor());
    }

    #[test]
    fn who_is_off_the_floor_stays_so_while_the_room_is_read_anew() {
        let mut ground = Ground::default();
        let up = |turn: f32| Some(Quat::from_rotation_x(turn) * Vec3::Y);
        let shift = Vec3::new(0.0, -1.0, -3.0);
        for _ in 0..60 {
            ground.learn(&standing(Quat::IDENTITY, shift, 0.0), up(0.0), 1.0 / 30.0);
        }
        let aloft = standing(Quat::IDENTITY, shift + Vec3::Y * 0.4, 0.0);
        for _ in 0..12 {
            ground.learn(&aloft, up(0.02), 1.0 / 30.0);
        }
        let heel = ground.place(&aloft)[Joint::LeftHeel].map_or(0.0, |p| p.position.y);
        assert!(heel > 0.3, "{heel}");
    }

    #[test]
    fn who_jumps_leaves_the_floor() {
        let mut ground = Ground::default();
        for _ in 0..60 {
            ground.learn(&standing(Quat::IDENTITY, Vec3::ZERO, 0.0), None, 1.0 / 30.0);
        }
        let aloft = standing(Quat::IDENTITY, Vec3::Y * 0.4, 0.0);
        for _ in 0..12 {
            ground.learn(&aloft, None, 1.0 / 30.0);
        }
        let heel = ground.place(&aloft)[Joint::LeftHeel].map_or(0.0, |p| p.position.y);
        assert!(heel > 0.3, "{heel}");
    }

    #[test]
    fn the_room_is_believed_at_once_and_more_than_people() {
        let tilt = Quat::from_rotation_x(0.35);
        let mut ground = Ground::default();
        // Somebody who leans by as much as the camera looks down looks upright.
        let leaning = standing(Quat::IDENTITY, Vec3::new(0.0, -2.0, -3.0), 0.0);
        ground.learn(&leaning, Some(tilt * Vec3::Y), 1.0 / 30.0);
        assert!((ground.level() * tilt).angle_between(Quat::IDENTITY) < 1e-3);
        for _ in 0..300 {
            ground.learn(&leaning, Some(tilt * Vec3::Y), 1.0 / 30.0);
        }
        assert!((ground.level() * tilt).angle_between(Quat::IDENTITY) < 1e-3);
        // The camera was moved: without a jerk, but soon.
        ground.learn(&leaning, Some(Vec3::Y), 1.0 / 30.0);
        let first = ground.level().angle_between(Quat::IDENTITY);
        assert!(first > 0.25, "{first}");
        for _ in 0..60 {
            ground.learn(&leaning, Some(Vec3::Y), 1.0 / 30.0);
        }
        assert!(ground.level().angle_between(Quat::IDENTITY) < 0.01);
        let heel = |ground: &Ground| ground.place(&leaning)[Joint::LeftHeel].map(|p| p.position.y);
        let mut fresh = Ground::default();
        fresh.learn(&leaning, Some(Vec3::Y), 1.0 / 30.0);
        let apart = heel(&ground)
            .zip(heel(&fresh))
            .map(|(heel, fresh)| heel - fresh);
        assert!(
            apart.is_some_and(|apart| apart.abs() < 0.005),
            "the floor turned as well: {apart:?}"
        );
    }
}
