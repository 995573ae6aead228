//! How far the clocks of cameras are apart, by the motion of one person whom they see.
//!
//! Nothing of where the cameras stand is needed, their lenses are: pictures of the same moment fit the epipolar geometry of two
//! cameras ([`essential`](super::essential)), and those of other moments do not, the less the faster somebody moves. Delays are
//! tried in steps of a frame; about the best, the delay is solved together with how the cameras stand to one another, by least
//! squares of Sampson's distance (Hartley and Zisserman 2004, equation 11.9), in which a delay moves each point of the second
//! camera along its own way. That tells how sure it is, too.

use bevy::math::{DMat3, DQuat, DVec2, DVec3};
use nalgebra::SMatrix;

use super::essential::{LEAST_PAIRS, Pair, relative_pose};
use super::people::Moment;
use super::projection::{huber, median, orthonormal};
use crate::camera::{Extrinsics, Intrinsics};
use crate::skeleton::{Joint, Pose2d};

/// One person as a camera sees them.
#[derive(Clone, Debug)]
pub struct Track {
    /// The camera's lens.
    pub lens: Intrinsics,
    /// Seconds of the camera's own clock, in order, and the joints.
    pub poses: Vec<(f64, Pose2d)>,
}

/// How far two clocks are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    /// Seconds to be added to the second's times, so that they are of the first's clock.
    pub seconds: f64,
    /// How far off that may be: a standard deviation, in seconds.
    pub sigma: f64,
}

/// Keypoints less sure than this tell no motion.
const LEAST_CONFIDENCE: f32 = 0.3;
/// Seconds from one delay that is tried to the next.
const STEP: f64 = 1.0 / 30.0;
/// Pictures of a camera further apart than this, in seconds, tell nothing of what is between.
const GAP: f64 = 0.12;
/// So many pairs of points judge a delay.
const ENOUGH: usize = 450;
/// Clips shorter than this, in seconds, tell no delay: slow motions of a second or two fit several.
const SHORTEST: f64 = 5.0;
/// A delay whose error is no less than this part of what is usual is none, nor one that a delay far from it comes so near.
const CLEARLY: f64 = 0.75;
const RIVALLED: f64 = 0.9;
/// Delays further from the best than this, in seconds, are others.
const ELSEWHERE: f64 = 0.28;
/// How far a point has moved is told from where it is so many seconds before and after.
const SPEED: f64 = 0.04;
/// What is less sure than this, in seconds, is told of no clock.
const UNSURE: f64 = 0.02;

/// The delay between two cameras, of less than `most` seconds either way. `None` where no delay fits clearly better than all
/// others: somebody who stands still tells nothing, and who walks in time tells several.
pub fn delay(first: &Track, second: &Track, most: f64) -> Option<Delay> {
    let span = |track: &Track| Some(track.poses.last()?.0 - track.poses.first()?.0);
    if span(first)?.min(span(second)?) < SHORTEST {
        return None;
    }
    let reach = (most / STEP).ceil() as i32;
    let mut tried: Vec<(f64, f64)> = Vec::new();
    for n in -reach..=reach {
        let seconds = f64::from(n) * STEP;
        if let Some(pose) = relative_pose(&pairs(first, second, seconds)) {
            tried.push((seconds, pose.error));
        }
    }
    let &(best, least) = tried.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let mut others: Vec<f64> = tried
        .iter()
        .filter(|(seconds, _)| (seconds - best).abs() > ELSEWHERE)
        .map(|(_, error)| *error)
        .collect();
    let rival = others.iter().copied().reduce(f64::min)?;
    let usual = median(&mut others);
    // The true one may lie beyond the end of what was tried.
    let is_at_end = best.abs() > (f64::from(reach) - 1.5) * STEP;
    if least >= CLEARLY * usual || least >= RIVALLED * rival || is_at_end {
        return None;
    }
    let start = relative_pose(&pairs(first, second, best))?;
    solve(first, second, best, start.second_from_first)
        .filter(|delay| (delay.seconds - best).abs() < 2.0 * STEP && delay.sigma < UNSURE)
}

/// The delays of all cameras against the first: seconds to be added to each one's times. `None` for one that no chain of
/// others joins to it.
pub fn delays(tracks: &[Track], most: f64) -> Vec<Option<f64>> {
    let mut known: Vec<Option<f64>> = vec![None; tracks.len()];
    let mut found: Vec<(usize, usize, Delay)> = Vec::new();
    for from in 0..tracks.len() {
        for to in from + 1..tracks.len() {
            found.extend(delay(&tracks[from], &tracks[to], most).map(|delay| (from, to, delay)));
        }
    }
    found.sort_by(|a, b| a.2.sigma.total_cmp(&b.2.sigma));
    if let Some(first) = known.first_mut() {
        *first = Some(0.0);
    }
    // The surest first, from any that is known.
    while let Some((to, seconds)) =
        found
            .iter()
            .find_map(|&(a, b, delay)| match (known[a], known[b]) {
                (Some(at), None) => Some((b, at + delay.seconds)),
                (None, Some(at)) => Some((a, at - delay.seconds)),
                _ => None,
            })
    {
        known[to] = Some(seconds);
    }
    known
}

/// Joints that both see at the same time, if the second's clock is that far behind.
fn pairs(first: &Track, second: &Track, seconds: f64) -> Vec<Pair> {
    let moving = moving_pairs(first, second, seconds).into_iter();
    moving.map(|pair| (pair.here, pair.there)).collect()
}

/// A joint as both see it, undistorted, at z = 1.
struct MovingPair {
    here: DVec2,
    there: DVec2,
    /// How `there` changes with the delay, a second.
    slope: DVec2,
}

fn moving_pairs(first: &Track, second: &Track, seconds: f64) -> Vec<MovingPair> {
    let stride = (first.poses.len() * 13 / ENOUGH).max(1);
    let mut pairs = Vec::new();
    for (time, pose) in first.poses.iter().step_by(stride) {
        let at = |later: f64| second.at(time - seconds + later);
        let Some(((before, now), after)) = at(-SPEED).zip(at(0.0)).zip(at(SPEED)) else {
            continue;
        };
        for &joint in Joint::ALL {
            let here = sure(pose, joint).map(|pixel| first.lens.unproject(pixel));
            let there = |(a, b, part): Between| {
                let (a, b) = (sure(a, joint)?, sure(b, joint)?);
                Some(second.lens.unproject(a.lerp(b, part)))
            };
            if let (Some(here), Some(before), Some(now), Some(after)) =
                (here, there(before), there(now), there(after))
            {
                pairs.push(MovingPair {
                    here,
                    there: now,
                    slope: (before - after) / (2.0 * SPEED),
                });
            }
        }
    }
    if pairs.len() < 2 * LEAST_PAIRS {
        pairs.clear();
    }
    pairs
}

/// Two poses, and how far a time is from the first to the second.
type Between<'a> = (&'a Pose2d, &'a Pose2d, f64);

impl Track {
    /// The pictures before and after a time; `None` where they are too far apart.
    fn at(&self, time: f64) -> Option<Between<'_>> {
        let after = self.poses.partition_point(|(at, _)| *at < time);
        let ((t0, p0), (t1, p1)) = after
            .checked_sub(1)
            .and_then(|n| self.poses.get(n))
            .zip(self.poses.get(after))?;
        (t1 - t0 <= GAP).then(|| (p0, p1, (time - t0) / (t1 - t0)))
    }
}

fn sure(pose: &Pose2d, joint: Joint) -> Option<DVec2> {
    let point = pose[joint].filter(|point| point.confidence.get() >= LEAST_CONFIDENCE);
    point.map(|point| point.position.as_dvec2())
}

/// Five numbers of how the cameras stand to one another, and the delay.
const UNKNOWNS: usize = 6;

/// Solves the delay and how the cameras stand to one another, downhill from a first guess.
fn solve(first: &Track, second: &Track, seconds: f64, start: Extrinsics) -> Option<Delay> {
    let (mut pose, mut delay, mut sigma) = (start, seconds, f64::INFINITY);
    for _ in 0..ROUNDS {
        let pairs = moving_pairs(first, second, delay);
        // Steps of the rotation, of the translation at a right angle to itself, and of the delay.
        let across = pose.translation.any_orthonormal_pair();
        let stepped = |step: &[f64; UNKNOWNS]| {
            let moved = pose.translation + across.0 * step[3] + across.1 * step[4];
            let turn = DQuat::from_scaled_axis(DVec3::new(step[0], step[1], step[2]));
            let rotation = DMat3::from_quat(turn) * pose.rotation;
            (rotation, moved.normalize(), step[5])
        };
        let errors = |step: &[f64; UNKNOWNS]| -> Vec<f64> {
            let (rotation, translation, later) = stepped(step);
            let essential = cross_matrix(translation) * rotation;
            let error = |pair: &MovingPair| {
                sampson(&essential, pair.here, pair.there + pair.slope * later)
            };
            pairs.iter().map(error).collect()
        };
        let now = errors(&[0.0; UNKNOWNS]);
        let mut sizes: Vec<f64> = now.iter().map(|error| error.abs()).collect();
        // Two thirds of a bell's standard deviation.
        let usual = 1.483 * median(&mut sizes);
        let slopes: Vec<Vec<f64>> = (0..UNKNOWNS)
            .map(|n| {
                let mut step = [0.0; UNKNOWNS];
                step[n] = SMALL;
                let then = errors(&step);
                let pairs = then.iter().zip(&now);
                pairs.map(|(then, now)| (then - now) / SMALL).collect()
            })
            .collect();
        let mut normal = SMatrix::<f64, UNKNOWNS, UNKNOWNS>::zeros();
        let mut right = SMatrix::<f64, UNKNOWNS, 1>::zeros();
        for (n, error) in now.iter().enumerate() {
            let row = SMatrix::<f64, UNKNOWNS, 1>::from_fn(|unknown, _| slopes[unknown][n]);
            let weight = huber(error.abs(), usual);
            normal += row * row.transpose() * weight;
            right -= row * (*error * weight);
        }
        let inverse = normal.cholesky()?.inverse();
        let step = inverse * right;
        let (rotation, translation, later) = stepped(&step.into());
        pose = Extrinsics {
            rotation: orthonormal(rotation),
            translation,
        };
        delay += later.clamp(-STEP, STEP);
        sigma = usual * inverse[(5, 5)].sqrt();
    }
    (delay.is_finite() && sigma.is_finite()).then_some(Delay {
        seconds: delay,
        sigma,
    })
}

/// So many times, as points move on straight lines only for a moment.
const ROUNDS: usize = 8;
/// Slopes are told from steps of this size.
const SMALL: f64 = 1e-6;

fn cross_matrix(v: DVec3) -> DMat3 {
    DMat3::from_cols(v.cross(DVec3::X), v.cross(DVec3::Y), v.cross(DVec3::Z))
}

/// How far two points are from fitting an essential matrix, to the first order.
fn sampson(essential: &DMat3, here: DVec2, there: DVec2) -> f64 {
    let (here, there) = (here.extend(1.0), there.extend(1.0));
    let (line, other) = (*essential * here, essential.transpose() * there);
    let steep = line.truncate().length_squared() + other.truncate().length_squared();
    there.dot(line) / steep.sqrt().max(1e-12)
}

/// The moments of the first camera's clock: what each camera saw at the time nearest to it by its own clock, put right by its
/// delay. `stamps` are the times of each moment's pictures by the cameras' own clocks, `most` is how far off a picture may be, in
/// seconds; cameras whose delay is not known stay as they are.
pub fn aligned(
    moments: &[Moment],
    stamps: &[Vec<Option<f64>>],
    delays: &[Option<f64>],
    most: f64,
) -> Vec<Moment> {
    // Of each camera: when its pictures were taken by the first one's clock, and at which moments they are.
    let taken = |(view, delay): (usize, &Option<f64>)| -> Vec<(f64, usize)> {
        let at = stamps
            .iter()
            .enumerate()
            .filter_map(|(n, stamps)| Some((stamps.get(view).copied()??, n)));
        at.map(|(at, n)| (at + delay.unwrap_or(0.0), n)).collect()
    };
    let taken: Vec<Vec<(f64, usize)>> = delays.iter().enumerate().map(taken).collect();
    let of = |stamps: &Vec<Option<f64>>| -> Moment {
        let Some(time) = stamps.iter().flatten().copied().reduce(f64::min) else {
            return vec![None; delays.len()];
        };
        let of_view = |(view, taken): (usize, &Vec<(f64, usize)>)| {
            let after = taken.partition_point(|(at, _)| *at < time);
            let near = [after.checked_sub(1), Some(after)].into_iter().flatten();
            let off = |n: &usize| taken.get(*n).map_or(f64::MAX, |(at, _)| (at - time).abs());
            let nearest = near.min_by(|a, b| off(a).total_cmp(&off(b)))?;
            let (_, moment) = taken.get(nearest).filter(|_| off(&nearest) <= most)?;
            moments.get(*moment)?.get(view)?.clone()
        };
        taken.iter().enumerate().map(of_view).collect()
    };
    stamps.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::synthetic::{Faults, Random, Walker, cameras_around, look};
    use bevy::math::DVec3;

    /// What three cameras see of a walker who stops, squats now and then and goes on, their clocks being off.
    fn tracks(offsets: [f64; 3], restless: f64) -> Vec<Track> {
        let walker = Walker {
            centre: DVec3::ZERO,
            radius: 1.0,
            speed: 1.0,
            start: 0.3,
            stature: 1.7,
        };
        let faults = Faults {
            noise: 0.008,
            missing: 0.1,
            exchanged: 0.05,
        };
        let mut random = Random::new(11);
        let cameras = cameras_around(3, 4.0);
        let track = |(view, offset): (&crate::camera::View, f64)| -> Track {
            let at = |n: u32| {
                let clock = f64::from(n) / 30.0;
                // The true time of a picture whose clock says so.
                let time = clock + offset;
                let way = time + restless * (0.8 * (0.9 * time).sin() + 0.5 * (2.3 * time).sin());
                let mut joints = walker.joints(way);
                let squat = restless * 0.25 * (1.0 + (1.7 * time + (0.4 * time).sin()).sin());
                for &joint in Joint::ALL {
                    if let Some(place) = &mut joints[joint] {
                        place.y *= 1.0 - squat;
                    }
                }
                Some((clock, look(view, &joints, &faults, &mut random)?))
            };
            Track {
                lens: view.intrinsics,
                poses: (0..240).filter_map(at).collect(),
            }
        };
        cameras.iter().zip(offsets).map(track).collect()
    }

    #[test]
    fn clocks_that_are_off_by_parts_of_a_second_are_found_to_a_part_of_a_frame() {
        // None of them a whole number of the steps that are tried.
        let offsets = [0.0, 0.083, -0.449];
        let found = delays(&tracks(offsets, 1.0), 1.0);
        for (found, wanted) in found.iter().zip(offsets) {
            let off = found.map_or(f64::MAX, |found| (found - wanted).abs());
            assert!(off < 0.008, "{found:?} for {wanted}");
        }
        let tracks = tracks(offsets, 1.0);
        let sure = delay(&tracks[0], &tracks[1], 1.0);
        assert!(sure.is_some_and(|sure| (0.0005..0.01).contains(&sure.sigma)), "{sure:?}");
    }

    #[test]
    fn clocks_that_are_further_apart_than_was_looked_are_not_told() {
        for late in [0.3, 0.35, 0.6] {
            let found = delays(&tracks([0.0, late, 0.0], 1.0), 0.3);
            assert_eq!(found[1], None, "{late}");
        }
    }

    #[test]
    fn moments_are_put_together_anew_by_the_right_clock() {
        let pose = |n: usize| {
            let mut pose = Pose2d::default();
            pose[Joint::Nose] = Some(crate::skeleton::Keypoint {
                position: bevy::math::Vec2::splat(n as f32),
                confidence: crate::skeleton::Confidence::FULL,
            });
            Some(pose)
        };
        let stamps: Vec<Vec<Option<f64>>> = (0..10)
            .map(|n| vec![Some(f64::from(n) * 0.04), Some(f64::from(n) * 0.04 + 0.01)])
            .collect();
        let moments: Vec<Moment> = (0..10).map(|n| vec![pose(n), pose(n)]).collect();
        let mended = aligned(&moments, &stamps, &[Some(0.0), Some(0.07)], 0.02);
        assert_eq!(mended[5], vec![pose(5), pose(3)]);
        assert_eq!(mended[1], vec![pose(1), None], "before its beginning");
        // A picture that is missing is not looked for in its moment.
        let (mut stamps, mut moments) = (stamps, moments);
        (stamps[3][1], moments[3][1]) = (None, None);
        let mended = aligned(&moments, &stamps, &[Some(0.0), Some(0.05)], 0.03);
        assert_eq!(mended[5], vec![pose(5), pose(4)]);
    }

    #[test]
    fn who_is_seen_too_shortly_tells_nothing() {
        let mut short = tracks([0.0, 0.08, 0.0], 1.0);
        short.iter_mut().for_each(|track| track.poses.truncate(100));
        assert_eq!(delays(&short, 1.0), [Some(0.0), None, None]);
        assert_eq!(delays(&[], 1.0), []);
    }
}
