//! How a pixel moves when a camera or a point does: the derivatives that all solvers of this room share.

use bevy::math::{DMat3, DQuat, DVec2, DVec3};
use nalgebra::{Matrix2, Matrix2x3, SMatrix, Vector3};

use crate::camera::{Extrinsics, Intrinsics};

/// Pixels by a camera's pose: three of a rotation (left-multiplied, radians), three of its translation (metres).
pub type PoseSlope = SMatrix<f64, 2, 6>;

/// Where a camera shows a point, and how that changes.
#[derive(Clone, Copy, Debug)]
pub struct Projected {
    /// The pixel.
    pub pixel: DVec2,
    /// By the camera's pose.
    pub by_pose: PoseSlope,
    /// By the point, in the world.
    pub by_point: Matrix2x3<f64>,
}

/// Projects a point of the world; `None` behind the camera.
pub fn project(lens: &Intrinsics, pose: &Extrinsics, point_in_world: DVec3) -> Option<Projected> {
    let turned = pose.rotation * point_in_world;
    let point = turned + pose.translation;
    let pixel = lens.project(point)?;
    let flat = point.truncate() / point.z;
    let by_flat = Matrix2::new(lens.focal.x, 0.0, 0.0, lens.focal.y) * bend(lens, flat);
    let by_camera_point = by_flat
        * Matrix2x3::new(
            1.0 / point.z,
            0.0,
            -flat.x / point.z,
            0.0,
            1.0 / point.z,
            -flat.y / point.z,
        );
    let mut by_pose = PoseSlope::zeros();
    for axis in 0..3 {
        let mut unit = DVec3::ZERO;
        unit[axis] = 1.0;
        let moved = unit.cross(turned);
        by_pose.set_column(
            axis,
            &(by_camera_point * Vector3::new(moved.x, moved.y, moved.z)),
        );
        by_pose.set_column(axis + 3, &by_camera_point.column(axis));
    }
    let rotation = pose.rotation;
    let rotation = nalgebra::Matrix3::from_fn(|row, column| rotation.col(column)[row]);
    Some(Projected {
        pixel,
        by_pose,
        by_point: by_camera_point * rotation,
    })
}

/// How the lens moves a point at z = 1 when it moves (the derivative of
/// [`Distortion::distort`](crate::camera::Distortion::distort)).
fn bend(lens: &Intrinsics, flat: DVec2) -> Matrix2<f64> {
    let [k1, k2, p1, p2, k3] = lens.distortion.to_array();
    let (x, y, r2) = (flat.x, flat.y, flat.length_squared());
    let radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
    let slope = 2.0 * (k1 + r2 * (2.0 * k2 + r2 * 3.0 * k3));
    Matrix2::new(
        radial + slope * x * x + 2.0 * p1 * y + 6.0 * p2 * x,
        slope * x * y + 2.0 * p1 * x + 2.0 * p2 * y,
        slope * x * y + 2.0 * p1 * x + 2.0 * p2 * y,
        radial + slope * y * y + 6.0 * p1 * y + 2.0 * p2 * x,
    )
}

/// A pose after a small step: three radians of a rotation, three metres.
pub fn stepped(pose: &Extrinsics, step: &[f64]) -> Extrinsics {
    let turn = DVec3::new(step[0], step[1], step[2]);
    let angle = turn.length();
    let rotation = if angle > 1e-15 {
        DMat3::from_axis_angle(turn / angle, angle) * pose.rotation
    } else {
        pose.rotation
    };
    Extrinsics {
        rotation: orthonormal(rotation),
        translation: pose.translation + DVec3::new(step[3], step[4], step[5]),
    }
}

/// The nearest rotation to a matrix that is nearly one.
pub fn orthonormal(matrix: DMat3) -> DMat3 {
    let m = nalgebra::Matrix3::from_fn(|row, column| matrix.col(column)[row]);
    let svd = m.svd(true, true);
    let (Some(u), Some(v)) = (svd.u, svd.v_t) else {
        return matrix;
    };
    let mut fix = nalgebra::Matrix3::identity();
    fix[(2, 2)] = (u * v).determinant().signum();
    let r = u * fix * v;
    DMat3::from_cols(
        DVec3::new(r[(0, 0)], r[(1, 0)], r[(2, 0)]),
        DVec3::new(r[(0, 1)], r[(1, 1)], r[(2, 1)]),
        DVec3::new(r[(0, 2)], r[(1, 2)], r[(2, 2)]),
    )
}

/// What turns a world so that `up` is up, and a camera looks along −z as Bevy's do, as far as the floor allows.
pub fn upright(camera: &Extrinsics, up: DVec3) -> DMat3 {
    let turn = DQuat::from_rotation_arc(up, DVec3::Y);
    let ahead = turn * (camera.rotation.transpose() * DVec3::Z);
    let ahead = DVec3::new(ahead.x, 0.0, ahead.z).normalize_or(DVec3::NEG_Z);
    DMat3::from_quat(DQuat::from_rotation_arc(ahead, DVec3::NEG_Z) * turn)
}

/// What is left of a residual's weight: Huber's, for residuals of that many pixels.
pub fn huber(error: f64, usual: f64) -> f64 {
    if error <= usual { 1.0 } else { usual / error }
}

/// What a residual of that many pixels costs: its square, and beyond `usual` as much more as that weight leaves.
pub fn robust(error: f64, usual: f64) -> f64 {
    if error <= usual {
        error * error
    } else {
        usual * (2.0 * error - usual)
    }
}

/// The median of some numbers; 0 where there are none.
pub fn median(numbers: &mut [f64]) -> f64 {
    if numbers.is_empty() {
        return 0.0;
    }
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len().is_multiple_of(2) {
        0.5 * (numbers[middle - 1] + numbers[middle])
    } else {
        numbers[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::Distortion;

    #[test]
    fn slopes_are_those_of_small_steps() {
        let mut lens = Intrinsics::assumed(1280, 720);
        lens.distortion = Distortion::from_array([-0.2, 0.1, 0.003, -0.002, 0.05]);
        let pose = Extrinsics::looking_at(DVec3::new(2.0, 1.5, 3.0), DVec3::Y, DVec3::Y);
        let point = DVec3::new(0.4, 1.3, -0.3);
        let Some(here) = project(&lens, &pose, point) else {
            panic!("in view")
        };
        let h = 1e-6;
        for n in 0..6 {
            let mut step = [0.0; 6];
            step[n] = h;
            let moved =
                project(&lens, &stepped(&pose, &step), point).map(|p| (p.pixel - here.pixel) / h);
            let told = DVec2::new(here.by_pose[(0, n)], here.by_pose[(1, n)]);
            assert!(
                moved.is_some_and(|m| m.distance(told) < 1e-2),
                "{n}: {moved:?} {told}"
            );
        }
        for n in 0..3 {
            let mut unit = DVec3::ZERO;
            unit[n] = h;
            let moved = project(&lens, &pose, point + unit).map(|p| (p.pixel - here.pixel) / h);
            let told = DVec2::new(here.by_point[(0, n)], here.by_point[(1, n)]);
            assert!(
                moved.is_some_and(|m| m.distance(told) < 1e-2),
                "{n}: {moved:?} {told}"
            );
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut []), 0.0);
    }
}
