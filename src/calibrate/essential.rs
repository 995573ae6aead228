//! How two cameras stand to one another, from points that both see, with no point's place known.
//!
//! The essential matrix by the eight-point algorithm (Hartley 1997; Hartley and Zisserman 2004, sections 9.6 and 11.7) on random
//! samples, judged by the least median of squares (Rousseeuw 1984), which needs no threshold and stands up to half of the
//! points being wrong; then the one of its four poses that has the points ahead of both cameras.

use bevy::math::{DMat3, DVec2, DVec3};
use nalgebra::{Matrix3, SMatrix};

use super::projection::{median, orthonormal};
use crate::associate::epipolar::point_to_line;
use crate::camera::{Extrinsics, Ray};

/// A point as two cameras see it, undistorted, at z = 1.
pub type Pair = (DVec2, DVec2);

/// How the second camera stands to the first.
#[derive(Clone, Debug, PartialEq)]
pub struct RelativePose {
    /// `second_from_first`; the translation has length 1, as nothing says how far apart they are.
    pub second_from_first: Extrinsics,
    /// Median distance from the epipolar lines, at z = 1.
    pub error: f64,
    /// Which pairs agree.
    pub agreeing: Vec<bool>,
    /// Median angle between the rays to the same point, in radians: what depth is told from.
    pub parallax: f64,
}

/// The least number of pairs that say anything.
pub const LEAST_PAIRS: usize = 30;
const SAMPLES: usize = 600;

/// Finds how the second camera stands to the first. `None` where there are too few pairs, or they say nothing: all on a line,
/// or the cameras at one place.
pub fn relative_pose(pairs: &[Pair]) -> Option<RelativePose> {
    if pairs.len() < LEAST_PAIRS {
        return None;
    }
    // The same samples in every run.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut pick = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % pairs.len() as u64) as usize
    };
    let mut best: Option<(f64, DMat3)> = None;
    for _ in 0..SAMPLES {
        let sample: Vec<Pair> = (0..8).map(|_| pairs[pick()]).collect();
        let Some(matrix) = eight_points(&sample) else {
            continue;
        };
        let error = median_error(&matrix, pairs);
        if best.is_none_or(|(least, _)| error < least) {
            best = Some((error, matrix));
        }
    }
    let (mut error, mut matrix) = best?;
    // All that agree, instead of the eight that were luckiest.
    for _ in 0..5 {
        let agreeing: Vec<Pair> = pairs
            .iter()
            .copied()
            .filter(|pair| off_by(&matrix, pair) < 2.5 * error)
            .collect();
        let Some(better) = eight_points(&agreeing) else {
            break;
        };
        let lower = median_error(&better, pairs);
        if lower >= error {
            break;
        }
        (error, matrix) = (lower, better);
    }
    let agreeing: Vec<bool> = pairs
        .iter()
        .map(|pair| off_by(&matrix, pair) < 3.0 * error.max(1e-4))
        .collect();
    let chosen: Vec<Pair> = pairs
        .iter()
        .zip(&agreeing)
        .filter(|(_, ok)| **ok)
        .map(|(pair, _)| *pair)
        .collect();
    let (pose, ahead) = poses_of(&matrix)
        .into_iter()
        .map(|pose| (pose, points_ahead(&pose, &chosen)))
        .max_by_key(|(_, ahead)| *ahead)?;
    let mut angles: Vec<f64> = chosen.iter().map(|pair| angle(&pose, pair)).collect();
    (ahead * 4 > chosen.len() * 3).then(|| RelativePose {
        second_from_first: pose,
        error,
        agreeing,
        parallax: median(&mut angles),
    })
}

/// The essential matrix of eight pairs or more, by least squares.
fn eight_points(pairs: &[Pair]) -> Option<DMat3> {
    if pairs.len() < 8 {
        return None;
    }
    let (one, two) = (
        Conditioning::of(pairs.iter().map(|p| p.0)),
        Conditioning::of(pairs.iter().map(|p| p.1)),
    );
    let mut normal = SMatrix::<f64, 9, 9>::zeros();
    for (a, b) in pairs {
        let (a, b) = (one.apply(*a), two.apply(*b));
        let row = SMatrix::<f64, 9, 1>::from([
            b.x * a.x,
            b.x * a.y,
            b.x,
            b.y * a.x,
            b.y * a.y,
            b.y,
            a.x,
            a.y,
            1.0,
        ]);
        normal += row * row.transpose();
    }
    let eigen = normal.symmetric_eigen();
    let least = (0..9).min_by(|&a, &b| eigen.eigenvalues[a].total_cmp(&eigen.eigenvalues[b]))?;
    let e = eigen.eigenvectors.column(least);
    let conditioned = Matrix3::new(e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7], e[8]);
    let matrix = two.matrix().transpose() * conditioned * one.matrix();
    // Two equal singular values and a zero make it essential.
    let svd = matrix.svd(true, true);
    let (u, v) = (svd.u?, svd.v_t?);
    let essential = u * Matrix3::from_diagonal(&nalgebra::Vector3::new(1.0, 1.0, 0.0)) * v;
    essential
        .iter()
        .all(|value| value.is_finite())
        .then(|| from_nalgebra(&essential))
}

/// Hartley's conditioning: points moved and scaled to lie about the origin at a distance of √2.
struct Conditioning {
    centre: DVec2,
    scale: f64,
}

impl Conditioning {
    fn of(points: impl Iterator<Item = DVec2> + Clone) -> Self {
        let count = points.clone().count().max(1) as f64;
        let centre = points.clone().sum::<DVec2>() / count;
        let spread = points.map(|point| point.distance(centre)).sum::<f64>() / count;
        Conditioning {
            centre,
            scale: std::f64::consts::SQRT_2 / spread.max(1e-9),
        }
    }

    fn apply(&self, point: DVec2) -> DVec2 {
        (point - self.centre) * self.scale
    }

    fn matrix(&self) -> Matrix3<f64> {
        let (s, c) = (self.scale, self.centre);
        Matrix3::new(s, 0.0, -s * c.x, 0.0, s, -s * c.y, 0.0, 0.0, 1.0)
    }
}

fn from_nalgebra(m: &Matrix3<f64>) -> DMat3 {
    let column = |c: usize| DVec3::new(m[(0, c)], m[(1, c)], m[(2, c)]);
    DMat3::from_cols(column(0), column(1), column(2))
}

/// The mean distance of two points from one another's epipolar lines, at z = 1.
fn off_by(essential: &DMat3, (a, b): &Pair) -> f64 {
    let forward = point_to_line(*b, *essential * a.extend(1.0));
    let backward = point_to_line(*a, essential.transpose() * b.extend(1.0));
    0.5 * (forward + backward)
}

fn median_error(essential: &DMat3, pairs: &[Pair]) -> f64 {
    let mut errors: Vec<f64> = pairs.iter().map(|pair| off_by(essential, pair)).collect();
    median(&mut errors)
}

/// The four poses of an essential matrix (Hartley and Zisserman 2004, result 9.19).
fn poses_of(essential: &DMat3) -> Vec<Extrinsics> {
    let m = Matrix3::from_fn(|row, column| essential.col(column)[row]);
    let svd = m.svd(true, true);
    let (Some(u), Some(v)) = (svd.u, svd.v_t) else {
        return Vec::new();
    };
    let w = Matrix3::new(0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0);
    let axis = DVec3::new(u[(0, 2)], u[(1, 2)], u[(2, 2)]);
    let mut poses = Vec::with_capacity(4);
    for turn in [w, w.transpose()] {
        let mut rotation = u * turn * v;
        if rotation.determinant() < 0.0 {
            rotation = -rotation;
        }
        for translation in [axis, -axis] {
            poses.push(Extrinsics {
                rotation: orthonormal(from_nalgebra(&rotation)),
                translation,
            });
        }
    }
    poses
}

/// The rays of a pair, in the first camera's frame.
fn rays(pose: &Extrinsics, (a, b): &Pair) -> (Ray, Ray) {
    let first = Ray {
        origin: DVec3::ZERO,
        direction: a.extend(1.0).normalize(),
    };
    let second = Ray {
        origin: pose.centre(),
        direction: pose.rotation.transpose() * b.extend(1.0).normalize(),
    };
    (first, second)
}

fn points_ahead(pose: &Extrinsics, pairs: &[Pair]) -> usize {
    let meets = |pair: &&Pair| {
        let (a, b) = rays(pose, pair);
        a.nearest_points(&b).is_some()
    };
    pairs.iter().filter(meets).count()
}

fn angle(pose: &Extrinsics, pair: &Pair) -> f64 {
    let (a, b) = rays(pose, pair);
    a.direction.angle_between(b.direction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::pose::tests::scatter;
    use crate::camera::View;

    fn pairs(views: &[View], noise: f64, wrong: usize) -> Vec<Pair> {
        let mut random = scatter(11);
        let mut pairs = Vec::new();
        while pairs.len() < 200 {
            let point = DVec3::new(random(), 1.0 + random(), random());
            let flat = |view: &View| {
                let p = view.extrinsics.camera_from_world(point);
                p.truncate() / p.z
            };
            let shake = DVec2::new(random(), random()) * noise;
            let mut pair = (flat(&views[0]), flat(&views[1]) + shake);
            if wrong > 0 && pairs.len() % wrong == 0 {
                pair.1 += DVec2::new(random(), random()) * 0.3;
            }
            pairs.push(pair);
        }
        pairs
    }

    #[test]
    fn the_second_camera_is_found_though_a_third_of_the_points_is_wrong() {
        let views = crate::associate::tests::room(5);
        let found = relative_pose(&pairs(&views, 0.001, 3));
        let Some(found) = found else { panic!("a pose") };
        let wanted = views[1].extrinsics.rotation * views[0].extrinsics.rotation.transpose();
        let turn =
            bevy::math::DQuat::from_mat3(&(found.second_from_first.rotation * wanted.transpose()));
        let degrees = 2.0 * turn.w.abs().min(1.0).acos().to_degrees();
        assert!(degrees < 1.0, "{degrees}");
        let towards = views[1].extrinsics.translation - wanted * views[0].extrinsics.translation;
        let off = towards
            .angle_between(found.second_from_first.translation)
            .to_degrees();
        assert!(off < 1.5, "{off}");
        assert!(found.agreeing.iter().filter(|ok| **ok).count() > 110);
    }

    #[test]
    fn too_few_pairs_and_a_camera_that_did_not_move_say_nothing_of_where_it_is() {
        let views = crate::associate::tests::room(5);
        assert_eq!(relative_pose(&pairs(&views, 0.0, 0)[..20]), None);
        let same = [views[0].clone(), views[0].clone()];
        let found = relative_pose(&pairs(&same, 0.0, 0));
        assert!(found.is_none_or(|found| found.parallax < 0.01));
    }
}
