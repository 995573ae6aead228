//! The equations of cameras and of what they see, solved with the latter eliminated first (the Schur complement; Triggs et al. 2000,
//! section 6.1): what remains has six rows a camera, however much they see.

use nalgebra::{DMatrix, DVector, SMatrix, SVector, Vector2};

use super::projection::PoseSlope;

/// Normal equations of the poses of all cameras but the first, which stays where it is, and of parts of `N` unknowns each that they
/// see: points, or boards.
pub struct Equations<const N: usize> {
    cameras: DMatrix<f64>,
    right: DVector<f64>,
    parts: Vec<Part<N>>,
}

/// A part, and what it has in common with each camera: the camera's first row, and a block.
#[derive(Clone)]
struct Part<const N: usize> {
    matrix: SMatrix<f64, N, N>,
    right: SVector<f64, N>,
    shared: Vec<(usize, SMatrix<f64, 6, N>)>,
}

/// Added to diagonals, so that what nobody sees stays where it is.
const STAYS: (f64, f64) = (1e-12, 1e-9);

impl<const N: usize> Equations<N> {
    /// Of so many cameras and parts, of which nothing is seen yet.
    pub fn new(cameras: usize, parts: usize) -> Self {
        let size = cameras.saturating_sub(1) * 6;
        let part = Part {
            matrix: SMatrix::zeros(),
            right: SVector::zeros(),
            shared: Vec::new(),
        };
        Equations {
            cameras: DMatrix::zeros(size, size),
            right: DVector::zeros(size),
            parts: vec![part; parts],
        }
    }

    /// A camera shows something of a part `off` pixels from where it should be; how that changes with the camera's pose and with the
    /// part.
    pub fn add(
        &mut self,
        camera: usize,
        part: usize,
        by_pose: &PoseSlope,
        by_part: &SMatrix<f64, 2, N>,
        off: Vector2<f64>,
        weight: f64,
    ) {
        let part = &mut self.parts[part];
        part.matrix += by_part.transpose() * by_part * weight;
        part.right += by_part.transpose() * off * weight;
        let Some(from) = camera.checked_sub(1).map(|camera| camera * 6) else {
            return;
        };
        let mut block = self.cameras.fixed_view_mut::<6, 6>(from, from);
        block += by_pose.transpose() * by_pose * weight;
        let mut rows = self.right.fixed_rows_mut::<6>(from);
        rows += by_pose.transpose() * off * weight;
        let shared = by_pose.transpose() * by_part * weight;
        match part.shared.iter_mut().find(|(other, _)| *other == from) {
            Some((_, block)) => *block += shared,
            None => part.shared.push((from, shared)),
        }
    }

    /// Steps of the cameras, six rows each, and of the parts; `None` where there is no solution.
    pub fn solve(mut self, damping: f64) -> Option<(DVector<f64>, Vec<SVector<f64, N>>)> {
        for n in 0..self.cameras.nrows() {
            self.cameras[(n, n)] *= 1.0 + damping;
            self.cameras[(n, n)] += STAYS.0;
        }
        let mut inverses = Vec::with_capacity(self.parts.len());
        for part in &mut self.parts {
            for n in 0..N {
                part.matrix[(n, n)] *= 1.0 + damping;
                part.matrix[(n, n)] += STAYS.1;
            }
            let inverse = part.matrix.try_inverse()?;
            for (from, block) in &part.shared {
                let gain = block * inverse;
                let mut rows = self.right.fixed_rows_mut::<6>(*from);
                rows -= gain * part.right;
                for (other, other_block) in &part.shared {
                    let mut crossed = self.cameras.fixed_view_mut::<6, 6>(*from, *other);
                    crossed -= gain * other_block.transpose();
                }
            }
            inverses.push(inverse);
        }
        let poses = if self.right.is_empty() {
            DVector::zeros(0)
        } else {
            self.cameras.cholesky()?.solve(&self.right)
        };
        let steps = self.parts.iter().zip(inverses).map(|(part, inverse)| {
            let mut rest = part.right;
            for (from, block) in &part.shared {
                rest -= block.transpose() * poses.fixed_rows::<6>(*from);
            }
            inverse * rest
        });
        let steps = steps.collect();
        Some((poses, steps))
    }
}
