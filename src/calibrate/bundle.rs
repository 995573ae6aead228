//! Bundle adjustment: all cameras and all points at once, so that every pixel is explained as well as it can be.
//!
//! Levenberg–Marquardt on reprojection errors with Huber's weights (Triggs et al. 2000). Points are eliminated first (the
//! Schur complement), so that what remains to be solved has six rows a camera, however many points there are.

use bevy::math::{DVec2, DVec3};
use nalgebra::{DVector, Vector2};

use super::projection::{huber, median, project, robust, stepped};
use super::schur::Equations;
use crate::camera::View;

/// Where a camera shows a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// The camera, by its place in the list.
    pub view: usize,
    /// The point, by its place in the list.
    pub point: usize,
    /// Pixels.
    pub pixel: DVec2,
    /// How much it counts.
    pub weight: f64,
}

/// How well a bundle fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Median error before, in pixels.
    pub before: f64,
    /// Median error after, in pixels.
    pub after: f64,
    /// Rounds that it took.
    pub rounds: usize,
}

const ROUNDS: usize = 60;

/// Moves the cameras and points to where they explain the marks best. The first camera stays where it is, and the distance
/// of the second from it stays what it is: nothing in pictures says where a room is, nor how large.
pub fn adjust(views: &mut [View], points: &mut [DVec3], marks: &[Mark]) -> Fit {
    let before = median_error(views, points, marks);
    let mut damping = 1e-4;
    let mut best = cost(views, points, marks);
    let mut rounds = 0;
    while rounds < ROUNDS && damping < 1e10 {
        rounds += 1;
        let Some((poses, moved)) = step(views, points, marks, damping) else {
            damping *= 10.0;
            continue;
        };
        let mut candidate = views.to_vec();
        for (n, view) in candidate.iter_mut().enumerate().skip(1) {
            let from = (n - 1) * 6;
            view.extrinsics = stepped(&view.extrinsics, &poses.as_slice()[from..from + 6]);
        }
        let mut shifted: Vec<DVec3> = points.iter().zip(&moved).map(|(p, m)| *p + *m).collect();
        keep_scale(views, &mut candidate, &mut shifted);
        let lower = cost(&candidate, &shifted, marks);
        if lower < best {
            let done = best - lower < 1e-9 * best;
            views.clone_from_slice(&candidate);
            points.copy_from_slice(&shifted);
            (best, damping) = (lower, (damping * 0.2).max(1e-12));
            if done {
                break;
            }
        } else {
            damping *= 6.0;
        }
    }
    Fit {
        before,
        after: median_error(views, points, marks),
        rounds,
    }
}

/// Scales the candidate about the first camera so that the second is as far from it as it was.
fn keep_scale(views: &[View], candidate: &mut [View], points: &mut [DVec3]) {
    let [first, second, ..] = views else { return };
    let origin = first.extrinsics.centre();
    let was = second.extrinsics.centre().distance(origin);
    let is = candidate[1].extrinsics.centre().distance(origin);
    if is < 1e-9 || was < 1e-9 {
        return;
    }
    let scale = was / is;
    for view in candidate.iter_mut().skip(1) {
        let centre = origin + (view.extrinsics.centre() - origin) * scale;
        view.extrinsics.translation = -(view.extrinsics.rotation * centre);
    }
    points
        .iter_mut()
        .for_each(|point| *point = origin + (*point - origin) * scale);
}

fn error(views: &[View], points: &[DVec3], mark: &Mark) -> Option<f64> {
    let pixel = views[mark.view].project(points[mark.point])?;
    Some(pixel.distance(mark.pixel))
}

/// Median distance between marks and what the cameras would show, in pixels.
pub fn median_error(views: &[View], points: &[DVec3], marks: &[Mark]) -> f64 {
    let mut errors: Vec<f64> = marks
        .iter()
        .filter_map(|mark| error(views, points, mark))
        .collect();
    median(&mut errors)
}

/// Pixels beyond which an error counts linearly.
const USUAL: f64 = 4.0;

fn cost(views: &[View], points: &[DVec3], marks: &[Mark]) -> f64 {
    marks
        .iter()
        .map(|mark| {
            let off = error(views, points, mark).unwrap_or(1e3);
            mark.weight * robust(off, USUAL)
        })
        .sum()
}

/// One damped Gauss–Newton step: of the cameras but the first, and of the points.
fn step(
    views: &[View],
    points: &[DVec3],
    marks: &[Mark],
    damping: f64,
) -> Option<(DVector<f64>, Vec<DVec3>)> {
    let mut equations = Equations::<3>::new(views.len(), points.len());
    for mark in marks {
        let view = &views[mark.view];
        let Some(shown) = project(&view.intrinsics, &view.extrinsics, points[mark.point]) else {
            continue;
        };
        let off = mark.pixel - shown.pixel;
        let weight = mark.weight * huber(off.length(), USUAL);
        let off = Vector2::new(off.x, off.y);
        equations.add(
            mark.view,
            mark.point,
            &shown.by_pose,
            &shown.by_point,
            off,
            weight,
        );
    }
    let (poses, moved) = equations.solve(damping)?;
    let moved = moved.iter().map(|step| DVec3::new(step.x, step.y, step.z));
    Some((poses, moved.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::tests::room;
    use crate::calibrate::pose::tests::scatter;

    #[test]
    fn cameras_that_were_moved_a_little_find_back_though_some_marks_are_wrong() {
        let truth = room(4);
        let mut random = scatter(5);
        let places: Vec<DVec3> = (0..120)
            .map(|_| DVec3::new(random(), 1.0 + random(), random()))
            .collect();
        let mut marks = Vec::new();
        for (point, place) in places.iter().enumerate() {
            for (view, camera) in truth.iter().enumerate() {
                let Some(pixel) = camera.project(*place) else {
                    continue;
                };
                let wrong = if (point + view) % 17 == 0 { 60.0 } else { 0.0 };
                let pixel = pixel + DVec2::new(random() + wrong, random());
                marks.push(Mark {
                    view,
                    point,
                    pixel,
                    weight: 1.0,
                });
            }
        }
        let mut views = truth.clone();
        for view in views.iter_mut().skip(1) {
            let step =
                [0.03, -0.02, 0.02, 0.1, -0.05, 0.08].map(|size: f64| size * random().signum());
            view.extrinsics = stepped(&view.extrinsics, &step);
        }
        // The scale that is kept is that of the guess: begin with the true distance between the first two.
        let mut points: Vec<DVec3> = places
            .iter()
            .map(|p| *p + DVec3::new(random(), random(), random()) * 0.1)
            .collect();
        let fit = adjust(&mut views, &mut points, &marks);
        assert!(fit.after < 1.2 && fit.before > 10.0, "{fit:?}");
        let scale = truth[1]
            .extrinsics
            .centre()
            .distance(truth[0].extrinsics.centre())
            / views[1]
                .extrinsics
                .centre()
                .distance(views[0].extrinsics.centre());
        let origin = truth[0].extrinsics.centre();
        for (found, true_view) in views.iter().zip(&truth) {
            let centre = origin + (found.extrinsics.centre() - origin) * scale;
            let off = centre.distance(true_view.extrinsics.centre());
            assert!(off < 0.02, "{} is off by {off}", found.name);
        }
    }
}
