//! A room that does not exist: people who walk in it, and cameras that see them, as keypoints with known truth.
//!
//! Fast tests and benchmarks of everything that comes after the networks use it; no picture is made. What real networks and
//! cameras do wrong is planted on purpose ([`Faults`]).

use bevy::math::{DVec3, Vec2};

use crate::assignment::assign;
use crate::camera::{Extrinsics, Intrinsics, View};
use crate::multiview::RoomPerson;
use crate::skeleton::{Confidence, Joint, JointMap, Keypoint, Pose2d};

/// Somebody who walks in a circle, swinging arms and legs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Walker {
    /// The middle of the circle, on the floor, in metres.
    pub centre: DVec3,
    /// Its radius in metres.
    pub radius: f64,
    /// Metres a second; negative the other way round.
    pub speed: f64,
    /// Where on the circle they begin, in radians.
    pub start: f64,
    /// Their height in metres.
    pub stature: f64,
}

impl Walker {
    /// Where their joints are at a time, in metres of the world, y up.
    pub fn joints(&self, time: f64) -> JointMap<Option<DVec3>> {
        let turn = self.start + time * self.speed / self.radius.max(0.1);
        let ahead = DVec3::new(-turn.sin(), 0.0, turn.cos()) * self.speed.signum();
        let place = self.centre + DVec3::new(turn.cos(), 0.0, turn.sin()) * self.radius;
        let left = DVec3::Y.cross(ahead);
        // A step for each 0.7 m.
        let phase = time * self.speed.abs() / 0.7 * std::f64::consts::PI;
        let scale = self.stature / 1.7;
        let mut joints = JointMap::default();
        let mut put = |joint: Joint, side: f64, up: f64, forward: f64| {
            joints[joint] = Some(place + (left * side + DVec3::Y * up + ahead * forward) * scale);
        };
        use Joint::*;
        put(Nose, 0.0, 1.58, 0.12);
        for (side, eye, ear) in [(1.0, LeftEye, LeftEar), (-1.0, RightEye, RightEar)] {
            put(eye, 0.03 * side, 1.62, 0.1);
            put(ear, 0.075 * side, 1.6, 0.0);
        }
        for (side, shoulder, elbow, wrist, index, pinky) in [
            (
                1.0,
                LeftShoulder,
                LeftElbow,
                LeftWrist,
                LeftIndex,
                LeftPinky,
            ),
            (
                -1.0,
                RightShoulder,
                RightElbow,
                RightWrist,
                RightIndex,
                RightPinky,
            ),
        ] {
            let swing = -0.5 * (phase.sin() * side);
            put(shoulder, 0.18 * side, 1.4, 0.0);
            let (s, c) = swing.sin_cos();
            put(elbow, 0.22 * side, 1.4 - 0.29 * c, 0.29 * s);
            let (s2, c2) = (swing + 0.35).sin_cos();
            let (up, forward) = (1.4 - 0.29 * c - 0.25 * c2, 0.29 * s + 0.25 * s2);
            put(wrist, 0.23 * side, up, forward);
            put(
                index,
                0.225 * side,
                up - 0.085 * c2,
                forward + 0.085 * s2 + 0.02,
            );
            put(
                pinky,
                0.235 * side,
                up - 0.08 * c2,
                forward + 0.08 * s2 - 0.03,
            );
        }
        for (side, hip, knee, ankle, heel, toe) in [
            (1.0, LeftHip, LeftKnee, LeftAnkle, LeftHeel, LeftFootIndex),
            (
                -1.0,
                RightHip,
                RightKnee,
                RightAnkle,
                RightHeel,
                RightFootIndex,
            ),
        ] {
            let swing = 0.45 * (phase.sin() * side);
            let bend = 0.5 * (phase.cos() * side).max(0.0);
            put(hip, 0.1 * side, 0.9, 0.0);
            let (s, c) = swing.sin_cos();
            put(knee, 0.1 * side, 0.9 - 0.42 * c, 0.42 * s);
            let (s2, c2) = (swing - bend).sin_cos();
            let (up, forward) = (0.9 - 0.42 * c - 0.4 * c2, 0.42 * s + 0.4 * s2);
            put(ankle, 0.1 * side, up, forward);
            put(heel, 0.1 * side, up - 0.06, forward - 0.05);
            put(toe, 0.11 * side, up - 0.06, forward + 0.16);
        }
        joints
    }
}

/// Cameras in a circle about the room's middle, at heights of shelves and tripods.
pub fn cameras_around(count: usize, radius: f64) -> Vec<View> {
    let view = |n: usize| {
        let turn = n as f64 * std::f64::consts::TAU / count.max(1) as f64 + 0.4;
        let height = 1.5 + 0.25 * (n % 4) as f64;
        let eye = DVec3::new(radius * turn.cos(), height, radius * turn.sin());
        View {
            name: format!("camera {n}"),
            intrinsics: Intrinsics::assumed(1280, 720),
            extrinsics: Extrinsics::looking_at(eye, DVec3::Y * 0.9, DVec3::Y),
        }
    };
    (0..count).map(view).collect()
}

/// What networks and cameras do wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Standard deviation of keypoints, as a part of the person's size in the picture.
    pub noise: f64,
    /// Share of the keypoints that are missing.
    pub missing: f64,
    /// Share of the people for whom left and right are exchanged.
    pub exchanged: f64,
}

/// Numbers that look random and are the same in every run.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// Other numbers for another seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Evenly from 0 to 1.
    pub fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }

    /// Nearly normal, with a standard deviation of 1 (Irwin and Hall's sum of twelve).
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// What a camera's network says of somebody; `None` where they are not in its picture.
pub fn look(
    view: &View,
    joints: &JointMap<Option<DVec3>>,
    faults: &Faults,
    random: &mut Random,
) -> Option<Pose2d> {
    let lens = &view.intrinsics;
    let size = Vec2::new(lens.width as f32, lens.height as f32);
    let mut seen: Vec<(Joint, Vec2)> = Vec::new();
    for (joint, place) in joints.present() {
        let pixel = view.project(*place).map(|pixel| pixel.as_vec2());
        let inside =
            pixel.filter(|p| p.cmpgt(Vec2::splat(-0.5)).all() && p.cmplt(size - 0.5).all());
        seen.extend(inside.map(|pixel| (joint, pixel)));
    }
    if seen.len() < 5 {
        return None;
    }
    let (low, high) = seen
        .iter()
        .fold((f32::MAX, f32::MIN), |(low, high), (_, p)| {
            (low.min(p.y), high.max(p.y))
        });
    let sigma = faults.noise * f64::from(high - low);
    let exchanged = random.uniform() < faults.exchanged;
    let mut pose = Pose2d::default();
    for (joint, pixel) in seen {
        if random.uniform() < faults.missing {
            continue;
        }
        let shake = Vec2::new(random.normal() as f32, random.normal() as f32) * sigma as f32;
        let named = if exchanged { joint.mirror() } else { joint };
        pose[named] = Some(Keypoint {
            position: pixel + shake,
            confidence: Confidence::new(0.85),
        });
    }
    Some(pose)
}

/// How well people in a room were followed, against the truth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Sum of the mean errors of the joints, in metres, and how many people that is of.
    error: f64,
    found: usize,
    /// How often somebody was not there.
    pub missed: usize,
    /// How often somebody was there who was not.
    pub extra: usize,
    /// How often somebody's number changed.
    pub switches: usize,
    /// The number that each of the true people had last.
    names: Vec<Option<u32>>,
}

/// Somebody whose joints are further off than this, in metres, is not found.
const FOUND: f64 = 0.5;

impl Tally {
    /// Takes in a moment: the true people, always in the same order, and those that were found.
    pub fn take(&mut self, truth: &[JointMap<Option<DVec3>>], found: &[RoomPerson]) {
        self.names.resize(self.names.len().max(truth.len()), None);
        let off = |person: &RoomPerson, joints: &JointMap<Option<DVec3>>| {
            let both = person.joints.present();
            let errors: Vec<f64> = both
                .filter_map(|(joint, p)| Some(p.position.distance(joints[joint]?)))
                .collect();
            errors.iter().sum::<f64>() / errors.len().max(1) as f64
        };
        let mut pairs = 0;
        for (person, n) in assign(found.len(), truth.len(), |a, b| off(&found[a], &truth[b])) {
            let error = off(&found[person], &truth[n]);
            if error > FOUND {
                continue;
            }
            pairs += 1;
            self.error += error;
            let id = found[person].id;
            self.switches += usize::from(self.names[n].replace(id).is_some_and(|was| was != id));
        }
        self.found += pairs;
        self.missed += truth.len() - pairs;
        self.extra += found.len() - pairs;
    }

    /// Mean distance of joints from the truth, in metres.
    pub fn mpjpe(&self) -> f64 {
        self.error / self.found.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::Sighting;
    use crate::multiview::{MultiView, MultiViewSettings};
    use crate::reconstruct::figure::{FigureJoint, Joints};

    fn walkers(count: usize) -> Vec<Walker> {
        let walker = |n: usize| Walker {
            centre: DVec3::new(0.3 * n as f64 - 0.4, 0.0, 0.2),
            radius: 0.9 + 0.35 * n as f64,
            speed: if n.is_multiple_of(2) { 1.1 } else { -0.9 },
            start: n as f64 * 1.7,
            stature: 1.55 + 0.1 * n as f64,
        };
        (0..count).map(walker).collect()
    }

    /// Follows walkers for some seconds.
    pub(crate) fn follow(cameras: usize, people: usize, faults: &Faults, seconds: f64) -> Tally {
        let views = cameras_around(cameras, 4.5);
        let walkers = walkers(people);
        let mut room = MultiView::new(views.clone(), MultiViewSettings::default());
        let mut random = Random::new(5);
        let mut tally = Tally::default();
        for n in 0..(seconds * 30.0) as usize {
            let time = n as f64 / 30.0;
            let truth: Vec<_> = walkers.iter().map(|walker| walker.joints(time)).collect();
            let mut sightings = Vec::new();
            for (v, view) in views.iter().enumerate() {
                for joints in &truth {
                    let pose = look(view, joints, faults, &mut random);
                    sightings.extend(pose.map(|pose| Sighting::new(v, view, &pose, None)));
                }
            }
            tally.take(&truth, &room.advance(time, &sightings));
        }
        tally
    }

    #[test]
    fn four_people_keep_their_names_through_crossings_in_four_cameras() {
        let faults = Faults {
            noise: 0.012,
            missing: 0.1,
            exchanged: 0.05,
        };
        let tally = follow(4, 4, &faults, 8.0);
        assert!(tally.mpjpe() < 0.035, "{tally:?}");
        assert!(tally.missed + tally.extra <= 4, "{tally:?}");
        assert_eq!(tally.switches, 0, "{tally:?}");
    }

    #[test]
    fn two_cameras_are_enough_for_one_person() {
        let faults = Faults {
            noise: 0.008,
            missing: 0.05,
            exchanged: 0.0,
        };
        let tally = follow(2, 1, &faults, 5.0);
        assert!(tally.mpjpe() < 0.05, "{tally:?}");
        assert!(
            tally.missed + tally.extra <= 2 && tally.switches == 0,
            "{tally:?}"
        );
    }

    #[test]
    fn a_tally_tells_who_is_missed_doubled_and_taken_for_another() {
        let walkers = walkers(2);
        let truth: Vec<_> = walkers.iter().map(|walker| walker.joints(0.0)).collect();
        let person = |id: u32, of: usize, off: f64| {
            let mut joints: Joints = JointMap::default();
            for (joint, place) in truth[of].present() {
                joints[joint] = Some(FigureJoint {
                    position: *place + DVec3::X * off,
                    sigma: 0.01,
                    views: 2,
                });
            }
            RoomPerson {
                id,
                joints,
                seen: Vec::new(),
            }
        };
        let mut tally = Tally::default();
        tally.take(&truth, &[person(1, 0, 0.02), person(2, 1, 0.04)]);
        assert!((tally.mpjpe() - 0.03).abs() < 1e-9);
        tally.take(&truth, &[person(1, 0, 0.0), person(3, 0, 0.1)]);
        assert_eq!((tally.missed, tally.extra, tally.switches), (1, 1, 0));
        tally.take(&truth, &[person(2, 0, 0.0), person(1, 1, 0.0)]);
        assert_eq!((tally.missed, tally.extra, tally.switches), (1, 1, 2));
    }

    #[test]
    fn a_walker_goes_as_fast_as_told_and_stands_on_the_floor() {
        let walker = walkers(1)[0];
        let hips = |time| walker.joints(time)[Joint::LeftHip].unwrap_or_default();
        let speed = hips(1.01).distance(hips(1.0)) / 0.01;
        assert!((speed - 1.1).abs() < 0.15, "{speed}");
        let lowest =
            (0..60).filter_map(|n| Some(walker.joints(f64::from(n) / 30.0)[Joint::LeftHeel]?.y));
        assert!(lowest.fold(f64::MAX, f64::min).abs() < 0.05);
    }
}
