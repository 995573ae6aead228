//! Where one camera stands, from points whose places in the world are known.

use bevy::math::{DMat3, DVec2, DVec3};
use nalgebra::{DMatrix, Matrix6, Vector6};

use super::projection::{huber, median, orthonormal, project, robust, stepped};
use crate::camera::{Extrinsics, Intrinsics};

/// A point of the world and where a camera shows it, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Landmark {
    /// Metres of the world.
    pub point: DVec3,
    /// Pixels.
    pub pixel: DVec2,
    /// How much it counts.
    pub weight: f64,
}

/// A camera's pose and how well it explains what was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SolvedPose {
    /// The pose.
    pub extrinsics: Extrinsics,
    /// Median distance of what was seen from what should have been, in pixels.
    pub error: f64,
    /// Standard deviation of its rotation (radians) and of its place (metres), as the spread of the landmarks tells it.
    pub sigma: (f64, f64),
}

const ROUNDS: usize = 30;

/// Improves a pose by Levenberg–Marquardt on the reprojection error, with Huber's weights. `None` where fewer than four
/// landmarks lie before the camera.
pub fn refine(lens: &Intrinsics, start: &Extrinsics, landmarks: &[Landmark]) -> Option<SolvedPose> {
    let mut pose = *start;
    let mut damping = 1e-3;
    let mut best = cost(lens, &pose, landmarks)?;
    let mut normal = Matrix6::<f64>::zeros();
    for _ in 0..ROUNDS {
        let usual = errors(lens, &pose, landmarks).1.max(0.3) * 2.0;
        normal = Matrix6::zeros();
        let mut right = Vector6::<f64>::zeros();
        for landmark in landmarks {
            let Some(shown) = project(lens, &pose, landmark.point) else {
                continue;
            };
            let off = landmark.pixel - shown.pixel;
            let weight = landmark.weight * huber(off.length(), usual);
            normal += shown.by_pose.transpose() * shown.by_pose * weight;
            right += shown.by_pose.transpose() * nalgebra::Vector2::new(off.x, off.y) * weight;
        }
        let mut damped = normal;
        for n in 0..6 {
            damped[(n, n)] += damping * (normal[(n, n)] + 1e-9);
        }
        let step = damped.cholesky()?.solve(&right);
        let candidate = stepped(&pose, step.as_slice());
        match cost(lens, &candidate, landmarks) {
            Some(lower) if lower < best => {
                let done = (best - lower) < 1e-10 * best;
                (pose, best, damping) = (candidate, lower, damping * 0.3);
                if done {
                    break;
                }
            }
            _ => damping *= 8.0,
        }
        if damping > 1e8 {
            break;
        }
    }
    let (_, error) = errors(lens, &pose, landmarks);
    let spread =
        normal.try_inverse().unwrap_or(Matrix6::identity() * 1e6) * (error * error).max(1e-6);
    let sigma = |from: usize| {
        (0..3)
            .map(|n| spread[(from + n, from + n)].max(0.0))
            .sum::<f64>()
            .sqrt()
    };
    Some(SolvedPose {
        extrinsics: pose,
        error,
        sigma: (sigma(0), sigma(3)),
    })
}

/// The mean of the robust errors; `None` where fewer than four landmarks lie before the camera.
fn cost(lens: &Intrinsics, pose: &Extrinsics, landmarks: &[Landmark]) -> Option<f64> {
    if errors(lens, pose, landmarks).0 < 4 {
        return None;
    }
    // A scale that does not follow the error, so that costs compare.
    const USUAL: f64 = 3.0;
    let sum: f64 = landmarks
        .iter()
        .map(|landmark| {
            let off = lens
                .project(pose.camera_from_world(landmark.point))
                .map_or(1e3, |pixel| pixel.distance(landmark.pixel));
            landmark.weight * robust(off, USUAL)
        })
        .sum();
    Some(sum)
}

/// How many landmarks lie before the camera, and their median error in pixels.
fn errors(lens: &Intrinsics, pose: &Extrinsics, landmarks: &[Landmark]) -> (usize, f64) {
    let mut off: Vec<f64> = landmarks
        .iter()
        .filter_map(|landmark| {
            let pixel = lens.project(pose.camera_from_world(landmark.point))?;
            Some(pixel.distance(landmark.pixel))
        })
        .collect();
    (off.len(), median(&mut off))
}

/// A pose without a first guess, by the direct linear transformation (Hartley and Zisserman 2004, section 7.1) on the
/// landmarks given. They must not lie in one plane. `None` for fewer than six, or where no pose shows them.
pub fn resect(lens: &Intrinsics, landmarks: &[Landmark]) -> Option<Extrinsics> {
    if landmarks.len() < 6 {
        return None;
    }
    // Centred and scaled, so that the numbers are of one size.
    let centre = landmarks.iter().map(|l| l.point).sum::<DVec3>() / landmarks.len() as f64;
    let spread = landmarks
        .iter()
        .map(|l| l.point.distance(centre))
        .sum::<f64>()
        / landmarks.len() as f64;
    if spread < 1e-9 {
        return None;
    }
    let mut rows = DMatrix::<f64>::zeros(landmarks.len() * 2, 12);
    for (n, landmark) in landmarks.iter().enumerate() {
        let flat = lens.unproject(landmark.pixel);
        let p = (landmark.point - centre) / spread;
        let point = [p.x, p.y, p.z, 1.0];
        for (k, value) in point.iter().enumerate() {
            rows[(n * 2, k)] = *value;
            rows[(n * 2, 8 + k)] = -flat.x * value;
            rows[(n * 2 + 1, 4 + k)] = *value;
            rows[(n * 2 + 1, 8 + k)] = -flat.y * value;
        }
    }
    let (normal, count) = (rows.transpose() * &rows, 12);
    let eigen = normal.symmetric_eigen();
    let least =
        (0..count).min_by(|&a, &b| eigen.eigenvalues[a].total_cmp(&eigen.eigenvalues[b]))?;
    let solution = eigen.eigenvectors.column(least);
    let matrix = |row: usize, column: usize| solution[row * 4 + column];
    let mut rotation = DMat3::from_cols(
        DVec3::new(matrix(0, 0), matrix(1, 0), matrix(2, 0)),
        DVec3::new(matrix(0, 1), matrix(1, 1), matrix(2, 1)),
        DVec3::new(matrix(0, 2), matrix(1, 2), matrix(2, 2)),
    );
    let mut translation = DVec3::new(matrix(0, 3), matrix(1, 3), matrix(2, 3));
    if rotation.determinant() < 0.0 {
        (rotation, translation) = (rotation * -1.0, -translation);
    }
    let scale = rotation.determinant().cbrt();
    if scale < 1e-9 {
        return None;
    }
    let rotation = orthonormal(rotation * (1.0 / scale));
    let translation = translation / scale * spread - rotation * centre;
    let pose = Extrinsics {
        rotation,
        translation,
    };
    let ahead = landmarks
        .iter()
        .filter(|l| pose.camera_from_world(l.point).z > 0.0)
        .count();
    (ahead * 2 > landmarks.len()).then_some(pose)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Numbers from −1 to 1 that look random and are the same in every run.
    pub(crate) fn scatter(seed: u32) -> impl FnMut() -> f64 {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1_u32 << 23) - 1.0
        }
    }

    fn scene(noise: f64) -> (Intrinsics, Extrinsics, Vec<Landmark>) {
        let lens = Intrinsics::assumed(1280, 720);
        let pose = Extrinsics::looking_at(
            DVec3::new(2.5, 1.7, 3.0),
            DVec3::new(0.1, 1.0, 0.0),
            DVec3::Y,
        );
        let mut random = scatter(3);
        let landmarks = (0..60)
            .filter_map(|_| {
                let point = DVec3::new(random(), 1.0 + random(), random());
                let pixel = lens.project(pose.camera_from_world(point))?;
                Some(Landmark {
                    point,
                    pixel: pixel + DVec2::new(random(), random()) * noise,
                    weight: 1.0,
                })
            })
            .collect();
        (lens, pose, landmarks)
    }

    #[test]
    fn a_camera_is_found_without_a_guess_and_outliers_do_not_move_it() {
        let (lens, truth, mut landmarks) = scene(1.0);
        let first = resect(&lens, &landmarks);
        for n in (0..landmarks.len()).step_by(10) {
            landmarks[n].pixel.x += 80.0;
        }
        let solved = first.and_then(|first| refine(&lens, &first, &landmarks));
        let Some(solved) = solved else {
            panic!("a pose")
        };
        let off = solved.extrinsics.centre().distance(truth.centre());
        assert!(off < 0.02, "{off}");
        assert!(
            off < 4.0 * solved.sigma.1,
            "{off} against {:?}",
            solved.sigma
        );
    }

    #[test]
    fn too_little_says_nothing() {
        let (lens, pose, landmarks) = scene(0.0);
        assert!(resect(&lens, &landmarks[..5]).is_none());
        assert!(refine(&lens, &pose, &landmarks[..3]).is_none());
        let same = vec![landmarks[0]; 10];
        assert!(resect(&lens, &same).is_none());
    }
}
