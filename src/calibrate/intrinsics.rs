//! A lens from pictures of a flat board: Zhang's method (2000), with Brown–Conrady distortion.
//!
//! Each picture of a flat board gives a homography; two constraints of each on the image of the absolute conic give the focal
//! length, the homographies then give the board's poses, and Levenberg–Marquardt on all reprojection errors makes lens and
//! poses exact.

use bevy::math::{DMat3, DVec2, DVec3};
use nalgebra::{DMatrix, DVector, Matrix3, SMatrix, Vector2};

use super::projection::{orthonormal, project, stepped};
use crate::camera::{Distortion, Extrinsics, Intrinsics};

/// A corner of the board, in metres on the board, and the pixel that shows it.
pub type Corner = (DVec2, DVec2);

/// A lens and how well it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct SolvedLens {
    /// The lens.
    pub intrinsics: Intrinsics,
    /// Root mean square of the reprojection error, in pixels, over both axes as OpenCV tells it.
    pub rms: f64,
    /// The same for each picture.
    pub rms_of_picture: Vec<f64>,
    /// Standard deviation of the focal length, in pixels.
    pub focal_sigma: f64,
    /// `camera_from_board` for each picture.
    pub boards: Vec<Extrinsics>,
}

/// Why a lens could not be found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LensError {
    /// Too few pictures show the board.
    #[error(
        "the board was found in {found} of {given} pictures, and {LEAST_PICTURES} are the least; is it flat, whole and well lit \
         in them, and are its columns and rows as told?"
    )]
    TooFewPictures {
        /// Pictures with the board.
        found: usize,
        /// All pictures.
        given: usize,
    },
    /// All pictures show the board in the same way.
    #[error(
        "the board is seen from one side only, which does not tell the focal length; tilt it to all sides, by 30° or more"
    )]
    NotTilted,
    /// The solution runs away.
    #[error(
        "no lens explains these pictures; are they all of one camera, at one size and one zoom?"
    )]
    NoFit,
}

/// The least number of pictures of the board.
pub const LEAST_PICTURES: usize = 3;
/// Focal lengths (2), principal point (2), distortion (5).
const LENS: usize = 9;
const ROUNDS: usize = 100;

/// Finds the lens of a camera from pictures, of `width` × `height` pixels, of a flat board.
///
/// # Errors
/// [`LensError`], in one sentence that says what to do.
pub fn calibrate(
    width: u32,
    height: u32,
    pictures: &[Vec<Corner>],
) -> Result<SolvedLens, LensError> {
    let used: Vec<&Vec<Corner>> = pictures
        .iter()
        .filter(|corners| corners.len() >= 6)
        .collect();
    if used.len() < LEAST_PICTURES {
        return Err(LensError::TooFewPictures {
            found: used.len(),
            given: pictures.len(),
        });
    }
    let middle = DVec2::new(f64::from(width) - 1.0, f64::from(height) - 1.0) * 0.5;
    let homographies: Vec<DMat3> = used
        .iter()
        .filter_map(|corners| homography(corners))
        .collect();
    if homographies.len() != used.len() {
        return Err(LensError::NoFit);
    }
    let focal = focal_of(&homographies, middle).ok_or(LensError::NotTilted)?;
    let mut lens = Intrinsics {
        width,
        height,
        focal: DVec2::splat(focal),
        principal: middle,
        distortion: Distortion::default(),
    };
    let mut boards: Vec<Extrinsics> = homographies.iter().map(|h| board_pose(&lens, h)).collect();
    let (mut best, mut damping) = (cost(&lens, &boards, &used).ok_or(LensError::NoFit)?, 1e-3);
    let mut normal = DMatrix::zeros(0, 0);
    for _ in 0..ROUNDS {
        let (matrix, right) = equations(&lens, &boards, &used);
        let mut damped = matrix.clone();
        normal = matrix;
        for n in 0..damped.nrows() {
            damped[(n, n)] *= 1.0 + damping;
            damped[(n, n)] += 1e-12;
        }
        let Some(factors) = damped.cholesky() else {
            damping *= 10.0;
            continue;
        };
        let step = factors.solve(&right);
        let (candidate, moved) = (
            stepped_lens(&lens, step.as_slice()),
            step_all(&boards, step.as_slice()),
        );
        match cost(&candidate, &moved, &used) {
            Some(lower) if lower < best => {
                let done = best - lower < 1e-12 * best;
                (lens, boards, best, damping) = (candidate, moved, lower, damping * 0.3);
                if done {
                    break;
                }
            }
            _ => damping *= 8.0,
        }
        if damping > 1e12 {
            break;
        }
    }
    let count: usize = used.iter().map(|corners| corners.len()).sum();
    let rms = (best / count as f64).sqrt();
    let plausible = lens.focal.min_element() > 0.2 * f64::from(width.max(height))
        && lens.focal.max_element() < 20.0 * f64::from(width.max(height));
    if !rms.is_finite() || !plausible {
        return Err(LensError::NoFit);
    }
    let freedom = (2 * count).saturating_sub(normal.nrows()).max(1) as f64;
    let spread = normal
        .try_inverse()
        .map_or(f64::INFINITY, |inverse| inverse[(0, 0)] * best / freedom);
    let rms_of_picture = boards
        .iter()
        .zip(&used)
        .map(|(board, corners)| {
            let sum = cost(
                &lens,
                std::slice::from_ref(board),
                std::slice::from_ref(corners),
            );
            (sum.unwrap_or(f64::INFINITY) / corners.len() as f64).sqrt()
        })
        .collect();
    Ok(SolvedLens {
        intrinsics: lens,
        rms,
        rms_of_picture,
        focal_sigma: spread.max(0.0).sqrt(),
        boards,
    })
}

/// The matrix that takes places on the board to pixels (Hartley and Zisserman 2004, algorithm 4.2).
pub fn homography(corners: &[Corner]) -> Option<DMat3> {
    if corners.len() < 4 {
        return None;
    }
    let condition = |points: &mut dyn Iterator<Item = DVec2>| {
        let points: Vec<DVec2> = points.collect();
        let centre = points.iter().sum::<DVec2>() / points.len() as f64;
        let spread = points.iter().map(|p| p.distance(centre)).sum::<f64>() / points.len() as f64;
        let scale = std::f64::consts::SQRT_2 / spread.max(1e-12);
        (centre, scale)
    };
    let (board_centre, board_scale) = condition(&mut corners.iter().map(|c| c.0));
    let (pixel_centre, pixel_scale) = condition(&mut corners.iter().map(|c| c.1));
    let mut normal = SMatrix::<f64, 9, 9>::zeros();
    for (place, pixel) in corners {
        let p = (*place - board_centre) * board_scale;
        let q = (*pixel - pixel_centre) * pixel_scale;
        for row in [
            [p.x, p.y, 1.0, 0.0, 0.0, 0.0, -q.x * p.x, -q.x * p.y, -q.x],
            [0.0, 0.0, 0.0, p.x, p.y, 1.0, -q.y * p.x, -q.y * p.y, -q.y],
        ] {
            let row = SMatrix::<f64, 9, 1>::from(row);
            normal += row * row.transpose();
        }
    }
    let eigen = normal.symmetric_eigen();
    let least = (0..9).min_by(|&a, &b| eigen.eigenvalues[a].total_cmp(&eigen.eigenvalues[b]))?;
    let h = eigen.eigenvectors.column(least);
    let h = Matrix3::new(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8]);
    let conditioning = |centre: DVec2, scale: f64| {
        Matrix3::new(
            scale,
            0.0,
            -scale * centre.x,
            0.0,
            scale,
            -scale * centre.y,
            0.0,
            0.0,
            1.0,
        )
    };
    let back = conditioning(pixel_centre, pixel_scale).try_inverse()?;
    let h = back * h * conditioning(board_centre, board_scale);
    h.iter().all(|value| value.is_finite()).then(|| {
        let column = |c: usize| DVec3::new(h[(0, c)], h[(1, c)], h[(2, c)]);
        DMat3::from_cols(column(0), column(1), column(2))
    })
}

/// The focal length that makes the boards' axes as long as one another and at right angles, the principal point being in the
/// middle: Zhang's constraints (equations 3 and 4), which are linear in 1/f².
fn focal_of(homographies: &[DMat3], middle: DVec2) -> Option<f64> {
    let (mut square, mut product) = (0.0, 0.0);
    for h in homographies {
        let centred = |column: DVec3| {
            DVec3::new(
                column.x - middle.x * column.z,
                column.y - middle.y * column.z,
                column.z,
            )
        };
        let (a, b) = (centred(h.x_axis), centred(h.y_axis));
        let size = a.length() * b.length();
        for (left, right) in [
            (a.x * b.x + a.y * b.y, -a.z * b.z),
            (
                a.x * a.x + a.y * a.y - b.x * b.x - b.y * b.y,
                b.z * b.z - a.z * a.z,
            ),
        ] {
            let (left, right) = (left / size, right / size);
            square += left * left;
            product += left * right;
        }
    }
    let inverse_square = product / square;
    (inverse_square.is_finite() && inverse_square > 1e-12).then(|| inverse_square.sqrt().recip())
}

/// Where a board is, from its homography: `camera_from_board`.
pub fn board_pose(lens: &Intrinsics, homography: &DMat3) -> Extrinsics {
    let unlens = |v: DVec3| {
        DVec3::new(
            (v.x - lens.principal.x * v.z) / lens.focal.x,
            (v.y - lens.principal.y * v.z) / lens.focal.y,
            v.z,
        )
    };
    let (a, b, c) = (
        unlens(homography.x_axis),
        unlens(homography.y_axis),
        unlens(homography.z_axis),
    );
    let mut scale = 2.0 / (a.length() + b.length());
    if c.z < 0.0 {
        scale = -scale;
    }
    let (x, y) = (a * scale, b * scale);
    Extrinsics {
        rotation: orthonormal(DMat3::from_cols(x, y, x.cross(y))),
        translation: c * scale,
    }
}

fn stepped_lens(lens: &Intrinsics, step: &[f64]) -> Intrinsics {
    let d = lens.distortion.to_array();
    Intrinsics {
        focal: lens.focal + DVec2::new(step[0], step[1]),
        principal: lens.principal + DVec2::new(step[2], step[3]),
        distortion: Distortion::from_array(std::array::from_fn(|n| d[n] + step[4 + n])),
        ..*lens
    }
}

fn step_all(boards: &[Extrinsics], step: &[f64]) -> Vec<Extrinsics> {
    let of = |(n, board)| stepped(board, &step[LENS + n * 6..LENS + n * 6 + 6]);
    boards.iter().enumerate().map(of).collect()
}

/// The sum of squared errors; `None` where a corner lies behind the camera.
fn cost(lens: &Intrinsics, boards: &[Extrinsics], pictures: &[&Vec<Corner>]) -> Option<f64> {
    let mut sum = 0.0;
    for (board, corners) in boards.iter().zip(pictures) {
        for (place, pixel) in corners.iter() {
            let shown = lens.project(board.camera_from_world(place.extend(0.0)))?;
            sum += shown.distance_squared(*pixel);
        }
    }
    sum.is_finite().then_some(sum)
}

/// The normal equations of all parameters: the lens first, then the poses of the boards.
fn equations(
    lens: &Intrinsics,
    boards: &[Extrinsics],
    pictures: &[&Vec<Corner>],
) -> (DMatrix<f64>, DVector<f64>) {
    let size = LENS + boards.len() * 6;
    let (mut matrix, mut right) = (DMatrix::zeros(size, size), DVector::zeros(size));
    for (n, (board, corners)) in boards.iter().zip(pictures).enumerate() {
        let from = LENS + n * 6;
        for (place, pixel) in corners.iter() {
            let point = place.extend(0.0);
            let Some(shown) = project(lens, board, point) else {
                continue;
            };
            let off = *pixel - shown.pixel;
            let off = Vector2::new(off.x, off.y);
            let by_lens = lens_slope(lens, board.camera_from_world(point));
            let by_pose = shown.by_pose;
            let mut block = matrix.view_mut((0, 0), (LENS, LENS));
            block += by_lens.transpose() * by_lens;
            let mut block = matrix.view_mut((from, from), (6, 6));
            block += by_pose.transpose() * by_pose;
            let mixed = by_lens.transpose() * by_pose;
            let mut block = matrix.view_mut((0, from), (LENS, 6));
            block += mixed;
            let mut block = matrix.view_mut((from, 0), (6, LENS));
            block += mixed.transpose();
            let mut rows = right.rows_mut(0, LENS);
            rows += by_lens.transpose() * off;
            let mut rows = right.rows_mut(from, 6);
            rows += by_pose.transpose() * off;
        }
    }
    (matrix, right)
}

/// How a pixel moves with focal lengths, principal point, and k1, k2, p1, p2, k3.
fn lens_slope(lens: &Intrinsics, point: DVec3) -> SMatrix<f64, 2, LENS> {
    let flat = point.truncate() / point.z;
    let bent = lens.distortion.distort(flat);
    let (x, y, r2) = (flat.x, flat.y, flat.length_squared());
    let (fx, fy) = (lens.focal.x, lens.focal.y);
    SMatrix::from_rows(&[
        nalgebra::RowSVector::from([
            bent.x,
            0.0,
            1.0,
            0.0,
            fx * x * r2,
            fx * x * r2 * r2,
            fx * 2.0 * x * y,
            fx * (r2 + 2.0 * x * x),
            fx * x * r2 * r2 * r2,
        ]),
        nalgebra::RowSVector::from([
            0.0,
            bent.y,
            0.0,
            1.0,
            fy * y * r2,
            fy * y * r2 * r2,
            fy * (r2 + 2.0 * y * y),
            fy * 2.0 * x * y,
            fy * y * r2 * r2 * r2,
        ]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::pose::tests::scatter;

    /// A board of 9 × 6 corners, 3 cm apart, held before a camera in several ways.
    fn pictures(lens: &Intrinsics, tilts: &[(f64, f64)], noise: f64) -> Vec<Vec<Corner>> {
        let mut random = scatter(9);
        let held = |&(about_x, about_y): &(f64, f64)| {
            let rotation = DMat3::from_rotation_x(about_x) * DMat3::from_rotation_y(about_y);
            let pose = Extrinsics {
                rotation,
                translation: DVec3::new(
                    -0.12 + 0.06 * random(),
                    -0.08 + 0.04 * random(),
                    0.55 + 0.1 * random(),
                ),
            };
            let mut corners = Vec::new();
            for n in 0..54 {
                let place = DVec2::new(f64::from(n % 9), f64::from(n / 9)) * 0.03;
                if let Some(pixel) = lens.project(pose.camera_from_world(place.extend(0.0))) {
                    corners.push((place, pixel + DVec2::new(random(), random()) * noise));
                }
            }
            corners
        };
        tilts.iter().map(held).collect()
    }

    const TILTS: [(f64, f64); 8] = [
        (0.5, 0.0),
        (-0.5, 0.1),
        (0.1, 0.6),
        (0.0, -0.5),
        (0.4, 0.4),
        (-0.3, 0.5),
        (0.3, -0.4),
        (0.05, 0.0),
    ];

    #[test]
    fn the_lens_that_took_the_pictures_is_found() {
        let mut truth = Intrinsics::assumed(1280, 720);
        truth.focal = DVec2::new(1100.0, 1096.0);
        truth.principal = DVec2::new(655.0, 348.0);
        truth.distortion = Distortion::from_array([-0.18, 0.06, 0.001, -0.0015, 0.0]);
        let exact = calibrate(1280, 720, &pictures(&truth, &TILTS, 0.0));
        let Ok(exact) = exact else {
            panic!("{exact:?}")
        };
        assert!(exact.rms < 1e-6, "{}", exact.rms);
        assert!(
            exact.intrinsics.focal.distance(truth.focal) < 1e-2,
            "{:?}",
            exact.intrinsics
        );
        assert!((exact.intrinsics.distortion.k1 + 0.18).abs() < 1e-4);
        let noisy = calibrate(1280, 720, &pictures(&truth, &TILTS, 0.3));
        let Ok(noisy) = noisy else {
            panic!("{noisy:?}")
        };
        let off = (noisy.intrinsics.focal.x - truth.focal.x).abs();
        assert!(
            off < 4.0 * noisy.focal_sigma && off < 10.0,
            "{off} against {}",
            noisy.focal_sigma
        );
    }

    #[test]
    fn pictures_that_cannot_tell_are_refused_by_their_fault() {
        let lens = Intrinsics::assumed(1280, 720);
        let few = calibrate(1280, 720, &pictures(&lens, &TILTS[..2], 0.0));
        assert_eq!(few, Err(LensError::TooFewPictures { found: 2, given: 2 }));
        let flat = calibrate(1280, 720, &pictures(&lens, &[(0.0, 0.0); 4], 0.0));
        assert!(
            matches!(flat, Err(LensError::NotTilted | LensError::NoFit)),
            "{flat:?}"
        );
    }
}
