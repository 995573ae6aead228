//! People of a clip made steady, each frame in the light of those before and after it.
//!
//! Where a joint was is read off the parabola that fits it best over some frames, near and sure ones counting most: the local regression of
//! Savitzky and Golay (1964), with weights as Cleveland (1979) has them. Unlike a filter that knows the past alone it is not late, and a
//! parabola follows what speeds up and slows down. Of what moves fast fewer frames count, as the One Euro filter has it.

use std::collections::{HashMap, VecDeque};

use bevy::math::{DMat3, DVec3};

use super::smooth::{OneEuro, SmoothSettings};
use crate::camera::Intrinsics;
use crate::lift::lifter::Lifted;
use crate::skeleton::{Joint, JointMap, derive_middle, is_middle};

/// So many cycles at the cut-off of a live filter are the spread of the weights in time.
const SPREAD: f64 = 0.4;
/// Frames further away than so many spreads are left out.
const SPREADS: f64 = 2.0;
/// No frame further away than this is looked at, in seconds.
const LONGEST_REACH: f64 = 1.0;
/// The spread of the weights by which it is told how fast something is, in seconds,
const SPEED_SPREAD: f64 = 0.04;
/// and when that is asked, around a frame: whoever waves stands still now and then, and is not to be smoothed for that.
const SPEED_AT: [f64; 5] = [-0.1, -0.05, 0.0, 0.05, 0.1];

/// What is known of people around the frames that are to be told.
#[derive(Default)]
pub struct Steady {
    people: HashMap<u32, VecDeque<Moment>>,
}

/// One person in one frame.
struct Moment {
    time: f64,
    /// Distances seen through another lens are others.
    camera: Intrinsics,
    root: DVec3,
    /// About the root, and how unsure, in metres.
    joints: JointMap<Option<(DVec3, f64)>>,
}

/// How far before and after a frame others are looked at, in seconds.
pub fn reach(how: &SmoothSettings) -> f64 {
    (SPREADS * SPREAD / f64::from(how.joints.min_cutoff)).min(LONGEST_REACH)
}

impl Steady {
    /// Takes in a person of a frame, as they were lifted.
    pub fn see(&mut self, id: u32, time: f64, camera: Intrinsics, lifted: &Lifted) {
        let root = lifted.root.as_dvec3();
        let mut joints: JointMap<Option<(DVec3, f64)>> = JointMap::default();
        for (joint, point) in lifted.pose.present() {
            let sigma = f64::from(point.sigma).max(1e-3);
            joints[joint] = Some((point.position.as_dvec3() - root, sigma));
        }
        self.people.entry(id).or_default().push_back(Moment {
            time,
            camera,
            root,
            joints,
        });
    }

    /// Puts a person where they were at that time, as far as is known by now.
    pub fn steady(
        &self,
        id: u32,
        time: f64,
        camera: &Intrinsics,
        lifted: &mut Lifted,
        how: &SmoothSettings,
    ) {
        let Some(moments) = self.people.get(&id) else {
            return;
        };
        let reach = reach(how);
        let is_near =
            |moment: &&Moment| moment.camera == *camera && (moment.time - time).abs() <= reach;
        let near: Vec<&Moment> = moments.iter().filter(is_near).collect();
        let roots = || {
            near.iter()
                .map(|moment| (moment.time - time, moment.root, 1.0))
        };
        let root = |how: OneEuro| fitted(roots, how);
        let (Some(across), Some(along)) = (root(how.root), root(how.depth)) else {
            return;
        };
        // Along the ray, as in `SmoothPose`: the person stays where the picture shows them.
        let placed = (across * (along.z / across.z.max(0.1))).as_vec3();
        for &joint in Joint::ALL {
            let Some(point) = lifted.pose[joint].as_mut().filter(|_| !is_middle(joint)) else {
                continue;
            };
            let seen = || {
                near.iter().filter_map(|moment| {
                    let (place, sigma) = moment.joints[joint]?;
                    Some((moment.time - time, place, sigma.powi(-2)))
                })
            };
            let about = fitted(seen, how.joints)
                .map_or(point.position - lifted.root, |about| about.as_vec3());
            point.position = about + placed;
        }
        lifted.root = placed;
        derive_middle(&mut lifted.pose);
    }

    /// Forgets what is too old for frames from that time on.
    pub fn forget_before(&mut self, time: f64) {
        self.people.retain(|_, moments| {
            moments.retain(|moment| moment.time >= time - LONGEST_REACH);
            !moments.is_empty()
        });
    }
}

/// Where something that was seen at those times from now, each with its place and weight, is now. `None` where it was not seen.
fn fitted<P: Iterator<Item = (f64, DVec3, f64)>>(
    seen: impl Fn() -> P,
    how: OneEuro,
) -> Option<DVec3> {
    let (first, last) = seen().fold((0.0_f64, 0.0_f64), |(first, last), (time, ..)| {
        (first.min(time), last.max(time))
    });
    let speeds = SPEED_AT.iter().filter_map(|&at| {
        let around = seen().map(|(time, place, weight)| (time - at, place, weight));
        let (_, velocity) = parabola(around, SPEED_SPREAD)?;
        (first..=last)
            .contains(&at)
            .then_some(velocity.length_squared())
    });
    let (count, squares) = speeds.fold((0.0, 0.0), |(count, sum), square| {
        (count + 1.0, sum + square)
    });
    let speed = f64::sqrt(squares / f64::max(count, 1.0));
    let cutoff = f64::from(how.min_cutoff) + f64::from(how.beta) * speed;
    parabola(seen(), SPREAD / cutoff).map(|(place, _)| place)
}

/// Where the parabola through points, each with its time and weight, is at time 0, and how fast. `None` of no points.
fn parabola(
    points: impl Iterator<Item = (f64, DVec3, f64)>,
    spread: f64,
) -> Option<(DVec3, DVec3)> {
    let mut moments = [0.0; 5];
    let mut sums = [DVec3::ZERO; 3];
    for (time, place, weight) in points {
        let t = time / spread;
        let mut power = weight * (-0.5 * t * t).exp();
        for (degree, moment) in moments.iter_mut().enumerate() {
            *moment += power;
            if let Some(sum) = sums.get_mut(degree) {
                *sum += place * power;
            }
            power *= t;
        }
    }
    let [m0, m1, m2, m3, m4] = moments;
    // Of one frame or two there is no parabola: what hardly shows then counts as nothing.
    let ridge = m0 * 1e-6;
    let normal = DMat3::from_cols_array(&[m0, m1, m2, m1, m2 + ridge, m3, m2, m3, m4 + ridge]);
    let inverse = normal.inverse();
    let solved = |row: usize| {
        let row = inverse.row(row);
        sums[0] * row.x + sums[1] * row.y + sums[2] * row.z
    };
    let (place, velocity) = (solved(0), solved(1) / spread);
    (m0 > 0.0 && place.is_finite() && velocity.is_finite()).then_some((place, velocity))
}

#[cfg(test)]
mod tests {
    use bevy::math::Vec3;

    use super::*;
    use crate::skeleton::{Joint3d, Origin, Pose3d};
    use crate::source::synthetic::Random;

    fn lens() -> Intrinsics {
        Intrinsics::assumed(640, 480)
    }

    /// A wrist about hips.
    fn person(root: Vec3, wrist: Vec3, sigma: f32) -> Lifted {
        let mut pose = Pose3d::default();
        pose[Joint::LeftWrist] = Some(Joint3d {
            position: root + wrist,
            sigma,
            origin: Origin::Lifted,
        });
        Lifted { pose, root }
    }

    fn wrist(lifted: &Lifted) -> Vec3 {
        lifted.pose[Joint::LeftWrist].map_or(Vec3::NAN, |point| point.position - lifted.root)
    }

    /// The n-th of sixty frames a second.
    fn time(n: u32) -> f64 {
        f64::from(n) / 60.0
    }

    #[test]
    fn what_shakes_is_steady_and_what_speeds_up_is_neither_late_nor_slow() {
        let (mut random, mut steady) = (Random::new(1), Steady::default());
        let mut noise = || 0.02 * random.normal() as f32;
        let swing = |n: u32| Vec3::new((5.0 * time(n) as f32).sin() * 0.3, -0.4, 0.0);
        let (mut raw, mut smoothed, mut count) = (0.0, 0.0, 0.0);
        let seen: Vec<Lifted> = (0..120)
            .map(|n| {
                person(
                    Vec3::Z * 3.0,
                    swing(n) + Vec3::new(noise(), noise(), noise()),
                    0.02,
                )
            })
            .collect();
        for (n, lifted) in (0..).zip(&seen) {
            steady.see(1, time(n), lens(), lifted);
        }
        for (n, lifted) in (0..).zip(seen) {
            let mut told = lifted.clone();
            steady.steady(1, time(n), &lens(), &mut told, &SmoothSettings::default());
            raw += wrist(&lifted).distance(swing(n));
            smoothed += wrist(&told).distance(swing(n));
            count += 1.0;
        }
        assert!(
            smoothed < 0.5 * raw,
            "{} of {}",
            smoothed / count,
            raw / count
        );
    }

    #[test]
    fn a_hand_that_waves_goes_as_far_as_it_does() {
        let mut steady = Steady::default();
        let wave = |n: u32| Vec3::new((25.0 * time(n) as f32).sin() * 0.2, -0.4, 0.0);
        for n in 0..120 {
            steady.see(1, time(n), lens(), &person(Vec3::Z * 3.0, wave(n), 0.02));
        }
        let mut furthest: f32 = 0.0;
        for n in 40..80 {
            let mut told = person(Vec3::Z * 3.0, wave(n), 0.02);
            steady.steady(1, time(n), &lens(), &mut told, &SmoothSettings::default());
            furthest = furthest.max(wrist(&told).x);
        }
        assert!((0.16..0.21).contains(&furthest), "{furthest}");
    }

    #[test]
    fn more_strength_is_steadier() {
        let mut random = Random::new(4);
        let mut steady = Steady::default();
        for n in 0..1200 {
            let noise = Vec3::X * 0.02 * random.normal() as f32;
            steady.see(1, time(n), lens(), &person(Vec3::Z * 3.0, noise, 0.02));
        }
        let shaken = |strength: f32| {
            let how = SmoothSettings::of_strength(strength);
            let mut sum = 0.0;
            for n in 80..1120 {
                let mut told = person(Vec3::Z * 3.0, Vec3::ZERO, 0.02);
                steady.steady(1, time(n), &lens(), &mut told, &how);
                sum += wrist(&told).length();
            }
            sum
        };
        let [little, usual, much] = [0.3, 0.5, 0.7].map(shaken);
        assert!(
            usual < 0.8 * little && much < 0.8 * usual,
            "{little} {usual} {much}"
        );
        assert!(reach(&SmoothSettings::of_strength(0.0)) < 1e-3);
    }

    #[test]
    fn unsure_frames_and_those_of_other_lenses_and_people_count_little_or_nothing() {
        let mut steady = Steady::default();
        let still = person(Vec3::Z * 3.0, Vec3::Y * -0.4, 0.01);
        for n in 0..30 {
            let off = match n % 3 {
                0 => person(Vec3::Z * 3.0, Vec3::X, 1.0),
                _ => still.clone(),
            };
            steady.see(1, time(n), lens(), &off);
            steady.see(2, time(n), lens(), &person(Vec3::X, Vec3::X, 0.01));
        }
        steady.see(
            1,
            time(30),
            Intrinsics::assumed(1280, 960),
            &person(Vec3::X, Vec3::X, 0.01),
        );
        let mut told = still.clone();
        steady.steady(1, time(16), &lens(), &mut told, &SmoothSettings::default());
        assert!(
            wrist(&told).distance(Vec3::Y * -0.4) < 0.002,
            "{}",
            wrist(&told)
        );
        assert!(told.root.distance(Vec3::Z * 3.0) < 1e-4, "{}", told.root);
    }

    #[test]
    fn nothing_is_smoothed_where_nothing_is_asked_for_or_known() {
        let mut steady = Steady::default();
        let seen = |n: u32| {
            person(
                Vec3::Z * (3.0 + (n % 2) as f32),
                Vec3::X * (n % 2) as f32,
                0.01,
            )
        };
        for n in 0..20 {
            steady.see(1, time(n), lens(), &seen(n));
        }
        for (id, how) in [
            (1, SmoothSettings::of_strength(0.0)),
            (7, SmoothSettings::default()),
        ] {
            let mut told = seen(9);
            steady.steady(id, time(9), &lens(), &mut told, &how);
            assert!(told.root.distance(seen(9).root) < 1e-3, "{id}");
            assert!(wrist(&told).distance(wrist(&seen(9))) < 1e-3, "{id}");
        }
        // One frame alone, and a person who comes into view.
        let mut alone = Steady::default();
        alone.see(1, 0.0, lens(), &seen(1));
        let mut told = seen(1);
        alone.steady(1, 0.0, &lens(), &mut told, &SmoothSettings::default());
        assert!(told.root.distance(seen(1).root) < 1e-3);
    }

    #[test]
    fn what_no_frame_needs_any_more_is_forgotten() {
        let mut steady = Steady::default();
        for n in 0..120 {
            steady.see(1, time(n), lens(), &person(Vec3::Z, Vec3::X, 0.01));
        }
        steady.see(2, 0.0, lens(), &person(Vec3::Z, Vec3::X, 0.01));
        steady.forget_before(1.6);
        assert!(!steady.people.contains_key(&2));
        assert!(
            steady.people[&1]
                .iter()
                .all(|moment| moment.time >= 1.6 - LONGEST_REACH)
        );
        assert!(steady.people[&1].len() > 40);
    }
}
