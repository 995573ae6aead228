//! All cameras and boards at once: Levenberg–Marquardt on reprojection errors with Huber's weights, the boards being eliminated
//! first (the Schur complement), as in [`bundle`](crate::calibrate::bundle), but of stiff boards rather than of free points.

use bevy::math::DVec3;
use nalgebra::{DVector, SMatrix, SVector, Vector2};

use super::{Board, on_board};
use crate::calibrate::projection::{huber, project, robust, stepped};
use crate::calibrate::schur::Equations;
use crate::camera::{Extrinsics, View};

/// Pixels beyond which an error counts linearly.
const USUAL: f64 = 1.0;
const ROUNDS: usize = 60;

/// Moves all cameras but the first, and all boards, to where they explain the corners best.
pub(super) fn adjust(views: &mut [View], boards: &mut [Board]) {
    let mut damping = 1e-4;
    let mut best = cost(views, boards);
    for _ in 0..ROUNDS {
        let Some((cameras, moved)) = step(views, boards, damping) else {
            damping *= 10.0;
            continue;
        };
        let mut candidate = views.to_vec();
        for (n, view) in candidate.iter_mut().enumerate().skip(1) {
            let from = (n - 1) * 6;
            view.extrinsics = stepped(&view.extrinsics, &cameras.as_slice()[from..from + 6]);
        }
        let before: Vec<Option<Extrinsics>> = boards.iter().map(|board| board.place).collect();
        for (board, step) in boards.iter_mut().zip(&moved) {
            board.place = board.place.map(|place| stepped(&place, step.as_slice()));
        }
        let lower = cost(&candidate, boards);
        if lower < best {
            views.clone_from_slice(&candidate);
            let done = best - lower < 1e-9 * best;
            (best, damping) = (lower, (damping * 0.2).max(1e-12));
            if done {
                break;
            }
        } else {
            for (board, place) in boards.iter_mut().zip(before) {
                board.place = place;
            }
            damping *= 6.0;
            if damping > 1e10 {
                break;
            }
        }
    }
}

fn cost(views: &[View], boards: &[Board]) -> f64 {
    let mut sum = 0.0;
    for board in boards {
        let Some(place) = &board.place else { continue };
        for shown in &board.shown {
            let view = &views[shown.view];
            for &(corner, pixel) in &shown.corners {
                let point = place.camera_from_world(on_board(corner));
                let off = view
                    .project(point)
                    .map_or(1e3, |shown| shown.distance(pixel));
                sum += robust(off, USUAL);
            }
        }
    }
    sum
}

/// One damped Gauss–Newton step: of the cameras but the first, and of the boards.
fn step(
    views: &[View],
    boards: &[Board],
    damping: f64,
) -> Option<(DVector<f64>, Vec<SVector<f64, 6>>)> {
    let mut equations = Equations::<6>::new(views.len(), boards.len());
    for (n, board) in boards.iter().enumerate() {
        let Some(place) = &board.place else { continue };
        for seen in &board.shown {
            let view = &views[seen.view];
            for &(corner, pixel) in &seen.corners {
                let turned = place.rotation * on_board(corner);
                let point = turned + place.translation;
                let Some(shown) = project(&view.intrinsics, &view.extrinsics, point) else {
                    continue;
                };
                let off = pixel - shown.pixel;
                let weight = huber(off.length(), USUAL);
                let off = Vector2::new(off.x, off.y);
                // A board turns its corners about its own origin, and moves them.
                let mut by_board = SMatrix::<f64, 2, 6>::zeros();
                for axis in 0..3 {
                    let mut unit = DVec3::ZERO;
                    unit[axis] = 1.0;
                    let moved = unit.cross(turned);
                    let moved = nalgebra::Vector3::new(moved.x, moved.y, moved.z);
                    by_board.set_column(axis, &(shown.by_point * moved));
                    by_board.set_column(axis + 3, &shown.by_point.column(axis));
                }
                equations.add(seen.view, n, &shown.by_pose, &by_board, off, weight);
            }
        }
    }
    equations.solve(damping)
}
