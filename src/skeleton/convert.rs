//! Every frame of reference, and the only place where one becomes another.
//!
//! | frame | x | y | z | unit | where |
//! |---|---|---|---|---|---|
//! | picture | right | down | – | pixel; (0, 0) is the centre of the top-left pixel | [`Pose2d`](super::Pose2d) |
//! | camera | right | down | forward, away from the camera | metre | OpenCV's; lifting, calibration, files |
//! | world | – | up | – | metre, floor at y = 0, right-handed | Bevy's; performers, avatars |
//! | avatar | left, as glTF models face +z | up | ahead | metre | rest poses |
//!
//! A camera that stands in the world at its own [`Transform`] looks along −z with +y up, as
//! Bevy's cameras do; hence the half turn about x between the two.

use bevy::math::{DMat3, DVec3, Mat3, Quat, Vec3};
use bevy::transform::components::Transform;

use super::{Joint, Pose3d};
use crate::camera::Extrinsics;

/// A point of the camera frame (OpenCV) in the frame of a Bevy camera's transform: a half turn about x.
pub fn bevy_from_opencv(point_in_camera: Vec3) -> Vec3 {
    Vec3::new(point_in_camera.x, -point_in_camera.y, -point_in_camera.z)
}

/// A pose of the camera frame (OpenCV) with Bevy's axes.
pub fn with_bevy_axes(pose: &Pose3d) -> Pose3d {
    let mut turned = pose.clone();
    for &joint in Joint::ALL {
        if let Some(point) = &mut turned[joint] {
            point.position = bevy_from_opencv(point.position);
        }
    }
    turned
}

/// The transform of a Bevy camera that stands and looks as a calibrated one does.
pub fn transform_of(extrinsics: &Extrinsics) -> Transform {
    let half_turn = DMat3::from_diagonal(DVec3::new(1.0, -1.0, -1.0));
    let world_from_camera: Mat3 = (extrinsics.rotation.transpose() * half_turn).as_mat3();
    Transform {
        translation: extrinsics.centre().as_vec3(),
        rotation: Quat::from_mat3(&world_from_camera),
        scale: Vec3::ONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::math::Affine3A;

    #[test]
    fn a_calibrated_camera_looks_where_its_entity_does() {
        let (eye, target) = (DVec3::new(2.0, 1.5, 3.0), DVec3::new(0.0, 1.0, 0.5));
        let transform = transform_of(&Extrinsics::looking_at(eye, target, DVec3::Y));
        let wanted =
            Transform::from_translation(eye.as_vec3()).looking_at(target.as_vec3(), Vec3::Y);
        assert!(transform.translation.distance(wanted.translation) < 1e-5);
        assert!(transform.rotation.angle_between(wanted.rotation) < 1e-3);
    }

    #[test]
    fn a_point_ahead_of_and_above_a_camera_stays_so() {
        let world_from_camera = Affine3A::from_translation(Vec3::new(0.0, 1.5, 0.0));
        // One metre up is y = -1 for OpenCV; two metres ahead is z = 2.
        let point = bevy_from_opencv(Vec3::new(0.5, -1.0, 2.0));
        let placed = world_from_camera.transform_point3(point);
        assert!(
            placed.distance(Vec3::new(0.5, 2.5, -2.0)) < 1e-6,
            "{placed}"
        );
    }
}
