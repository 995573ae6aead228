//! How far the clocks of cameras are apart, by the motion of one person whom they see.
//!
//! The cameras' lenses are needed; where they stand is not, but tells more: somebody who walks round and round at an even pace
//! looks to a camera as they did to another some time ago. Pictures of the same moment fit the epipolar geometry of two
//! cameras ([`essential`](super::essential)), and those of other moments do not, the less the faster somebody moves. Delays are
//! tried in steps of a frame; about the best, the delay is solved together with how the cameras stand to one another, by least
//! squares of Sampson's distance (Hartley and Zisserman 2004, equation 11.9), in which a delay moves each point of the second
//! camera along its own way. That tells how sure it is, too.

use bevy::math::{DMat3, DQuat, DVec2, DVec3};
use nalgebra::{DMatrix, DVector, SMatrix};

use super::essential::{LEAST_PAIRS, Pair, relative_pose};
use super::people::Moment;
use super::projection::{huber, median, orthonormal};
use crate::camera::{Extrinsics, Intrinsics, View};
use crate::skeleton::{Joint, Pose2d};

/// One person as a camera sees them.
#[derive(Clone, Debug)]
pub struct Track {
    /// The camera's lens.
    pub lens: Intrinsics,
    /// Seconds of the camera's own clock, in order, and the joints.
    pub poses: Vec<(f64, Pose2d)>,
}

/// One person as each camera, of those lenses, sees them. `stamps` are the times of each moment's pictures by the cameras' own clocks.
pub fn tracks(
    lenses: impl IntoIterator<Item = Intrinsics>,
    stamps: &[Vec<Option<f64>>],
    moments: &[Moment],
) -> Vec<Track> {
    let track = |(view, lens): (usize, Intrinsics)| {
        let seen = stamps.iter().zip(moments);
        let poses =
            seen.filter_map(|(stamps, moment)| Some((stamps[view]?, moment[view].clone()?)));
        Track {
            lens,
            poses: poses.collect(),
        }
    };
    lenses.into_iter().enumerate().map(track).collect()
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
/// So many pairs of points judge a delay.
const ENOUGH: usize = 450;
/// Clips shorter than this, in seconds, tell no delay: slow motions of a second or two fit several.
const SHORTEST: f64 = 5.0;
/// A delay whose error is no less than this part of what is usual is none, nor one that a delay far from it comes so near.
const CLEARLY: f64 = 0.75;
const RIVALLED: f64 = 0.9;
/// Delays further from the best than this, in seconds, are others.
const ELSEWHERE: f64 = 0.28;
/// Where a point is, and how fast it moves, is told from what is seen so many seconds, or pictures of a slow camera, before and
/// after, at so many times at least.
const ABOUT: f64 = 0.11;
const ABOUT_PICTURES: f64 = 2.6;
const LEAST_POINTS: usize = 4;
/// Slopes of lenses are told from steps of so many seconds.
const SMALL_TIME: f64 = 1e-3;
/// Points of one body err together: delays of made-up people were off by so many times what least squares expects.
const TOGETHER: f64 = 4.0;
/// What is less sure than this, in seconds, is told of no clock.
const UNSURE: f64 = 0.02;

/// The delay between two cameras, of less than `most` seconds either way. `None` where no delay fits clearly better than all
/// others: somebody who stands still tells nothing, and who walks in time tells several.
///
/// `known` is how the second camera stands to the first, where that is known.
pub fn delay(
    first: &Track,
    second: &Track,
    known: Option<&Extrinsics>,
    most: f64,
) -> Option<Delay> {
    let span = |track: &Track| Some(track.poses.last()?.0 - track.poses.first()?.0);
    if span(first)?.min(span(second)?) < SHORTEST {
        return None;
    }
    let reach = (most / STEP).ceil() as i32;
    let delays: Vec<f64> = (-reach..=reach).map(|n| f64::from(n) * STEP).collect();
    let tried = match known {
        Some(known) => fits_of(known, first, second, &delays),
        None => fits(first, second, &delays),
    };
    let best = tried.iter().min_by(|a, b| a.error.total_cmp(&b.error))?;
    let elsewhere = tried
        .iter()
        .filter(|fit| (fit.delay - best.delay).abs() > ELSEWHERE);
    let mut others: Vec<f64> = elsewhere.map(|fit| fit.error).collect();
    let rival = others.iter().copied().reduce(f64::min)?;
    let usual = median(&mut others);
    // The true one may lie beyond the end of what was tried.
    let is_at_end = best.delay.abs() > (f64::from(reach) - 1.5) * STEP;
    if best.error >= CLEARLY * usual || best.error >= RIVALLED * rival || is_at_end {
        return None;
    }
    let mut fit = best.clone();
    for _ in 0..ROUNDS {
        // Points move on straight lines only for a moment.
        let pairs = moving_pairs(first, second, fit.delay);
        let unknowns = if known.is_some() { DELAY } else { ALL };
        fit = fit.improved(&pairs, unknowns)?;
    }
    let is_near = (fit.delay - best.delay).abs() < 2.0 * STEP;
    let sigma = TOGETHER * fit.sigma;
    (is_near && sigma < UNSURE).then_some(Delay {
        seconds: fit.delay,
        sigma,
    })
}

/// The delays of all cameras against the first: seconds to be added to each one's times. `None` for one that no chain of
/// others joins to it.
pub fn delays(tracks: &[Track], most: f64) -> Vec<Option<f64>> {
    chained(tracks.len(), |from, to| {
        delay(&tracks[from], &tracks[to], None, most)
    })
}

/// [`delays`] of cameras that are calibrated. Where a calibration is wrong, what is told without it counts.
pub fn delays_in_room(views: &[View], tracks: &[Track], most: f64) -> Vec<Option<f64>> {
    chained(tracks.len().min(views.len()), |from, to| {
        let (first, second) = (&views[from].extrinsics, &views[to].extrinsics);
        let rotation = second.rotation * first.rotation.transpose();
        let apart = second.translation - rotation * first.translation;
        let known = Extrinsics {
            rotation,
            translation: apart.normalize_or(DVec3::X),
        };
        let told = delay(&tracks[from], &tracks[to], Some(&known), most);
        told.or_else(|| delay(&tracks[from], &tracks[to], None, most))
    })
}

/// Delays against the first of so many, from those between two.
fn chained(count: usize, between: impl Fn(usize, usize) -> Option<Delay>) -> Vec<Option<f64>> {
    let mut known: Vec<Option<f64>> = vec![None; count];
    let mut found: Vec<(usize, usize, Delay)> = Vec::new();
    for from in 0..count {
        for to in from + 1..count {
            found.extend(between(from, to).map(|delay| (from, to, delay)));
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

/// A joint as both see it, undistorted, at z = 1.
struct MovingPair {
    here: DVec2,
    there: DVec2,
    /// How `there` changes with the delay, a second.
    slope: DVec2,
}

/// Joints that both see at the same time, if the second's clock is that far behind.
fn moving_pairs(first: &Track, second: &Track, seconds: f64) -> Vec<MovingPair> {
    let stride = (first.poses.len() * 13 / ENOUGH).max(1);
    let reach = ABOUT.max(ABOUT_PICTURES * second.period());
    let mut pairs = Vec::new();
    for (time, pose) in first.poses.iter().step_by(stride) {
        let wanted = time - seconds;
        let near = second.near(wanted, reach);
        for &joint in Joint::ALL {
            let here = sure(pose, joint).map(|pixel| first.lens.unproject(pixel));
            let there = smoothed(near, wanted, joint);
            if let (Some(here), Some((pixel, speed))) = (here, there) {
                let at = |later: f64| second.lens.unproject(pixel + speed * later);
                pairs.push(MovingPair {
                    here,
                    there: at(0.0),
                    slope: (at(-SMALL_TIME) - at(SMALL_TIME)) / (2.0 * SMALL_TIME),
                });
            }
        }
    }
    if pairs.len() < 2 * LEAST_PAIRS {
        pairs.clear();
    }
    pairs
}

impl Track {
    /// Seconds from one picture to the next.
    fn period(&self) -> f64 {
        let mut steps: Vec<f64> = self
            .poses
            .windows(2)
            .map(|pair| pair[1].0 - pair[0].0)
            .collect();
        median(&mut steps)
    }

    /// What was seen no further from a time than that.
    fn near(&self, time: f64, reach: f64) -> &[(f64, Pose2d)] {
        let from = self.poses.partition_point(|(at, _)| *at < time - reach);
        let to = self.poses.partition_point(|(at, _)| *at <= time + reach);
        &self.poses[from..to.max(from)]
    }
}

/// Where a joint is at a time, and how fast it moves, in pixels and pixels a second: a parabola through what is seen about it, so
/// that noise is the same between two pictures as in one, and tells no speed.
fn smoothed(near: &[(f64, Pose2d)], time: f64, joint: Joint) -> Option<(DVec2, DVec2)> {
    let mut points: Vec<(f64, DVec2)> = near
        .iter()
        .filter_map(|(at, pose)| Some((at - time, sure(pose, joint)?)))
        .collect();
    let mut fit = None;
    for _ in 0..2 {
        let both_sides = points.first()?.0 <= 0.0 && points.last()?.0 >= 0.0;
        if points.len() < LEAST_POINTS || !both_sides {
            return None;
        }
        let (mut normal, mut right) =
            (SMatrix::<f64, 3, 3>::zeros(), SMatrix::<f64, 3, 2>::zeros());
        for (at, pixel) in &points {
            let row = SMatrix::<f64, 3, 1>::new(1.0, *at, at * at);
            normal += row * row.transpose();
            right += row * SMatrix::<f64, 1, 2>::new(pixel.x, pixel.y);
        }
        let c = normal.cholesky()?.solve(&right);
        let place = |at: f64| {
            let along = |axis: usize| c[(0, axis)] + at * (c[(1, axis)] + at * c[(2, axis)]);
            DVec2::new(along(0), along(1))
        };
        let off = |(at, pixel): &(f64, DVec2)| place(*at).distance(*pixel);
        let mut sizes: Vec<f64> = points.iter().map(off).collect();
        let usual = median(&mut sizes);
        fit = Some((place(0.0), DVec2::new(c[(1, 0)], c[(1, 1)])));
        // A side that was taken for the other.
        points.retain(|point| off(point) <= 4.0 * usual + 1.0);
    }
    fit
}

fn sure(pose: &Pose2d, joint: Joint) -> Option<DVec2> {
    let point = pose[joint].filter(|point| point.confidence.get() >= LEAST_CONFIDENCE);
    point.map(|point| point.position.as_dvec2())
}

/// How two cameras stand to one another, and how far their clocks are apart.
#[derive(Clone, Debug)]
struct Fit {
    /// `second_from_first`, with a translation of length 1.
    pose: Extrinsics,
    delay: f64,
    /// Sampson's distance, at z = 1: the root mean square of the better four fifths.
    error: f64,
    /// Of the delay, where it was solved, in seconds.
    sigma: f64,
}

/// How well each of several delays fits, in their order; those that do not at all are left out.
fn fits(first: &Track, second: &Track, delays: &[f64]) -> Vec<Fit> {
    let mut fits: Vec<Option<Fit>> = vec![None; delays.len()];
    let pairs: Vec<Vec<MovingPair>> = delays
        .iter()
        .map(|delay| moving_pairs(first, second, *delay))
        .collect();
    for (n, (pairs, &delay)) in pairs.iter().zip(delays).enumerate() {
        let plain: Vec<Pair> = pairs.iter().map(|pair| (pair.here, pair.there)).collect();
        let start = relative_pose(&plain).map(|pose| pose.second_from_first);
        fits[n] = start.and_then(|pose| Fit::solved(pose, delay, pairs));
    }
    // Samples may miss what a neighbour found: the cameras stand the same, whatever the delay.
    let there_and_back = (1..delays.len()).map(|n| (n - 1, n));
    let there_and_back = there_and_back
        .clone()
        .chain(there_and_back.rev().map(|(a, b)| (b, a)));
    for (from, to) in there_and_back {
        let start = fits[from].as_ref().map(|fit| fit.pose);
        let other = start.and_then(|pose| Fit::solved(pose, delays[to], &pairs[to]));
        if let Some(other) = other
            && fits[to].as_ref().is_none_or(|fit| other.error < fit.error)
        {
            fits[to] = Some(other);
        }
    }
    fits.into_iter().flatten().collect()
}

/// The same for cameras of which it is known how they stand.
fn fits_of(known: &Extrinsics, first: &Track, second: &Track, delays: &[f64]) -> Vec<Fit> {
    let fit = |&delay: &f64| {
        let pairs = moving_pairs(first, second, delay);
        Fit::at(*known, delay, &pairs)
    };
    delays.iter().filter_map(fit).collect()
}

/// Five numbers of how the cameras stand to one another, and the delay.
const UNKNOWNS: usize = 6;
/// What is solved.
const ALL: &[usize] = &[0, 1, 2, 3, 4, 5];
const POSE: &[usize] = &[0, 1, 2, 3, 4];
const DELAY: &[usize] = &[5];
/// So many steps downhill.
const ROUNDS: usize = 8;
/// Slopes are told from steps of this size.
const SMALL: f64 = 1e-6;

impl Fit {
    /// How well cameras that stand so fit one delay.
    fn at(pose: Extrinsics, delay: f64, pairs: &[MovingPair]) -> Option<Fit> {
        let fit = Fit {
            pose,
            delay,
            error: f64::INFINITY,
            sigma: f64::INFINITY,
        };
        let error = spread(&fit.errors(pairs, &[0.0; UNKNOWNS]))?;
        Some(Fit { error, ..fit })
    }

    /// How the cameras stand, for one delay.
    fn solved(pose: Extrinsics, delay: f64, pairs: &[MovingPair]) -> Option<Fit> {
        let mut fit = Fit::at(pose, delay, pairs)?;
        for _ in 0..ROUNDS {
            let next = fit.improved(pairs, POSE)?;
            if next.error >= fit.error {
                break;
            }
            fit = next;
        }
        Some(fit)
    }

    /// After steps of the rotation, of the translation at a right angle to itself, and of the delay.
    fn stepped(&self, step: &[f64; UNKNOWNS]) -> (Extrinsics, f64) {
        let across = self.pose.translation.any_orthonormal_pair();
        let moved = self.pose.translation + across.0 * step[3] + across.1 * step[4];
        let turn = DQuat::from_scaled_axis(DVec3::new(step[0], step[1], step[2]));
        let pose = Extrinsics {
            rotation: DMat3::from_quat(turn) * self.pose.rotation,
            translation: moved.normalize(),
        };
        (pose, step[5])
    }

    fn errors(&self, pairs: &[MovingPair], step: &[f64; UNKNOWNS]) -> Vec<f64> {
        let (pose, later) = self.stepped(step);
        let essential = cross_matrix(pose.translation) * pose.rotation;
        let error =
            |pair: &MovingPair| sampson(&essential, pair.here, pair.there + pair.slope * later);
        pairs.iter().map(error).collect()
    }

    /// One step downhill by robust least squares.
    fn improved(&self, pairs: &[MovingPair], unknowns: &[usize]) -> Option<Fit> {
        let now = self.errors(pairs, &[0.0; UNKNOWNS]);
        let mut sizes: Vec<f64> = now.iter().map(|error| error.abs()).collect();
        // Two thirds of a bell's standard deviation.
        let usual = 1.483 * median(&mut sizes);
        let slope = |&unknown: &usize| {
            let mut step = [0.0; UNKNOWNS];
            step[unknown] = SMALL;
            let then = self.errors(pairs, &step);
            let slopes = then.iter().zip(&now);
            slopes.map(|(then, now)| (then - now) / SMALL).collect()
        };
        let slopes: Vec<Vec<f64>> = unknowns.iter().map(slope).collect();
        let count = unknowns.len();
        let mut normal = DMatrix::zeros(count, count);
        let mut right = DVector::zeros(count);
        for (n, error) in now.iter().enumerate() {
            let row = DVector::from_fn(count, |unknown, _| slopes[unknown][n]);
            let weight = huber(error.abs(), usual);
            normal += &row * row.transpose() * weight;
            right -= row * (*error * weight);
        }
        let inverse = normal.cholesky()?.inverse();
        let solved = &inverse * right;
        let mut step = [0.0; UNKNOWNS];
        for (&unknown, by) in unknowns.iter().zip(solved.iter()) {
            step[unknown] = *by;
        }
        step[UNKNOWNS - 1] = step[UNKNOWNS - 1].clamp(-STEP, STEP);
        let error = spread(&self.errors(pairs, &step))?;
        let (pose, later) = self.stepped(&step);
        let sigma = match unknowns.iter().position(|unknown| DELAY.contains(unknown)) {
            Some(n) => usual * inverse[(n, n)].sqrt(),
            None => f64::INFINITY,
        };
        Some(Fit {
            pose: Extrinsics {
                rotation: orthonormal(pose.rotation),
                ..pose
            },
            delay: self.delay + later,
            error,
            sigma,
        })
    }
}

/// The root mean square of the better four fifths; `None` where there is nothing, or what is no number.
fn spread(errors: &[f64]) -> Option<f64> {
    let mut squares: Vec<f64> = errors.iter().map(|error| error * error).collect();
    squares.sort_by(f64::total_cmp);
    squares.truncate(squares.len() * 4 / 5);
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    mean.is_finite().then(|| mean.sqrt())
}

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
        let sure = delay(&tracks[0], &tracks[1], None, 1.0);
        assert!(
            sure.is_some_and(|sure| (0.0005..0.01).contains(&sure.sigma)),
            "{sure:?}"
        );
    }

    #[test]
    fn who_walks_round_evenly_tells_clocks_where_it_is_known_how_the_cameras_stand() {
        let tracks = tracks([0.0, 0.083, -0.2], 0.0);
        for (told, wanted) in delays(&tracks, 1.0).iter().zip([0.0, 0.083, -0.2]) {
            assert!(
                told.is_none_or(|told| (told - wanted).abs() < 0.03),
                "{told:?}"
            );
        }
        let told = delays_in_room(&cameras_around(3, 4.0), &tracks, 1.0);
        for (told, wanted) in told.iter().zip([0.0, 0.083, -0.2]) {
            let off = told.map_or(f64::MAX, |told| (told - wanted).abs());
            assert!(off < 0.01, "{told:?} for {wanted}");
        }
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
