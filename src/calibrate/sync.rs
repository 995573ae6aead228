//! How far the clocks of cameras are apart, by the motion of one person whom they see.
//!
//! Nothing of where the cameras stand is needed, their lenses are: pictures of the same moment fit the epipolar geometry of two
//! cameras ([`essential`](super::essential)), and those of other moments do not, the less the faster somebody moves. The squared
//! error is a parabola of the delay about its lowest point (as the error of a point that moves on is how far it moved), which
//! tells that point to a part of a frame.

use super::essential::{LEAST_PAIRS, Pair, relative_pose};
use super::people::Moment;
use crate::camera::Intrinsics;
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
    /// The epipolar error then, as a part of that at other delays: the less, the surer.
    pub error: f64,
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
/// A delay whose error is no less than this part of the others' is none.
const CLEARLY: f64 = 0.75;
/// The parabola is laid through delays up to this far, in seconds, from the best.
const ABOUT: f64 = 0.14;

/// The delay between two cameras, of at most `most` seconds either way. `None` where no delay fits clearly better than all
/// others: somebody who stands still tells nothing.
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
        .filter(|(seconds, _)| (seconds - best).abs() > 2.0 * ABOUT)
        .map(|(_, error)| *error)
        .collect();
    let usual = super::projection::median(&mut others);
    let rival = others.first().copied().unwrap_or(0.0);
    if least >= CLEARLY * usual || least >= rival {
        return None;
    }
    let near: Vec<(f64, f64)> = tried
        .iter()
        .filter(|(seconds, _)| (seconds - best).abs() <= ABOUT)
        .map(|(seconds, error)| (seconds - best, error * error))
        .collect();
    Some(Delay {
        seconds: best + lowest(&near).unwrap_or(0.0).clamp(-1.5 * STEP, 1.5 * STEP),
        error: least / usual,
    })
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
    found.sort_by(|a, b| a.2.error.total_cmp(&b.2.error));
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
    let stride = (first.poses.len() * 13 / ENOUGH).max(1);
    let mut pairs = Vec::new();
    let mut after = 0;
    for (time, pose) in first.poses.iter().step_by(stride) {
        let wanted = time - seconds;
        while after < second.poses.len() && second.poses[after].0 < wanted {
            after += 1;
        }
        let Some(((t0, p0), (t1, p1))) = after
            .checked_sub(1)
            .and_then(|n| second.poses.get(n))
            .zip(second.poses.get(after))
        else {
            continue;
        };
        if t1 - t0 > GAP {
            continue;
        }
        let part = ((wanted - t0) / (t1 - t0)).clamp(0.0, 1.0) as f32;
        for &joint in Joint::ALL {
            let sure = |pose: &Pose2d| {
                pose[joint].filter(|point| point.confidence.get() >= LEAST_CONFIDENCE)
            };
            if let (Some(here), Some(low), Some(high)) = (sure(pose), sure(p0), sure(p1)) {
                let there = low.position.lerp(high.position, part);
                pairs.push((
                    first.lens.unproject(here.position.as_dvec2()),
                    second.lens.unproject(there.as_dvec2()),
                ));
            }
        }
    }
    if pairs.len() < 2 * LEAST_PAIRS {
        pairs.clear();
    }
    pairs
}

/// Where the parabola through points is lowest, by least squares; `None` where it has no lowest point.
fn lowest(points: &[(f64, f64)]) -> Option<f64> {
    let (mut normal, mut right) = (nalgebra::Matrix3::zeros(), nalgebra::Vector3::zeros());
    for (x, y) in points {
        let row = nalgebra::Vector3::new(1.0, *x, x * x);
        normal += row * row.transpose();
        right += row * *y;
    }
    let c = normal.cholesky()?.solve(&right);
    (c[2] > 0.0).then(|| -0.5 * c[1] / c[2])
}

/// The moments of the first camera's clock: what each camera saw at the moment nearest to it by its own clock, put right by its
/// delay. `times` are those of the moments as they were put together, `most` how far off a picture may be, in seconds; cameras
/// whose delay is not known stay as they are.
pub fn aligned(
    moments: &[Moment],
    times: &[f64],
    delays: &[Option<f64>],
    most: f64,
) -> Vec<Moment> {
    let of = |&time: &f64| -> Moment {
        let of_view = |(view, delay): (usize, &Option<f64>)| {
            let wanted = time - delay.unwrap_or(0.0);
            let after = times.partition_point(|at| *at < wanted);
            let near = [after.checked_sub(1), Some(after)].into_iter().flatten();
            let near = near.filter(|n| times.get(*n).is_some_and(|at| (at - wanted).abs() <= most));
            let nearest = near.min_by(|a, b| {
                (times[*a] - wanted)
                    .abs()
                    .total_cmp(&(times[*b] - wanted).abs())
            })?;
            moments.get(nearest)?.get(view)?.clone()
        };
        delays.iter().enumerate().map(of_view).collect()
    };
    times.iter().map(of).collect()
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
        let offsets = [0.0, 0.08, -0.43];
        let found = delays(&tracks(offsets, 1.0), 1.0);
        for (found, wanted) in found.iter().zip(offsets) {
            let off = found.map_or(f64::MAX, |found| (found - wanted).abs());
            assert!(off < 0.025, "{found:?} for {wanted}");
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
        let times: Vec<f64> = (0..10).map(|n| f64::from(n) * 0.04).collect();
        let moments: Vec<Moment> = (0..10).map(|n| vec![pose(n), pose(n)]).collect();
        let mended = aligned(&moments, &times, &[Some(0.0), Some(0.08)], 0.02);
        assert_eq!(mended[5], vec![pose(5), pose(3)]);
        assert_eq!(mended[1], vec![pose(1), None], "before its beginning");
    }

    #[test]
    fn who_is_seen_too_shortly_tells_nothing() {
        let mut short = tracks([0.0, 0.08, 0.0], 1.0);
        short.iter_mut().for_each(|track| track.poses.truncate(100));
        assert_eq!(delays(&short, 1.0), [Some(0.0), None, None]);
        assert_eq!(delays(&[], 1.0), []);
    }
}
