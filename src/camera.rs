//! The vocabulary of cameras: how a point in space becomes a pixel, and a pixel a ray.

use bevy::math::{Vec2, Vec3};
use serde::{Deserialize, Serialize};

/// A pinhole camera. Pixel (0, 0) is the centre of the top-left pixel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intrinsics {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Focal lengths in pixels, along x and y.
    pub focal: Vec2,
    /// Where the optical axis meets the picture, in pixels.
    pub principal: Vec2,
}

/// The field of view along the longer side, in degrees, taken for a camera that nobody calibrated. Most laptop webcams
/// and phones have between 55 and 75.
pub const ASSUMED_FIELD_OF_VIEW_DEGREES: f32 = 62.0;

impl Intrinsics {
    /// A camera without distortion whose longer side spans `field_of_view` radians.
    pub fn from_field_of_view(width: u32, height: u32, field_of_view: f32) -> Self {
        let focal = width.max(height) as f32 * 0.5 / (field_of_view * 0.5).tan();
        Intrinsics {
            width,
            height,
            focal: Vec2::splat(focal),
            principal: Vec2::new(width as f32 - 1.0, height as f32 - 1.0) * 0.5,
        }
    }

    /// The camera assumed where nothing is known.
    pub fn assumed(width: u32, height: u32) -> Self {
        Self::from_field_of_view(width, height, ASSUMED_FIELD_OF_VIEW_DEGREES.to_radians())
    }

    /// The same camera for pictures of another size, such as another mode of a webcam; `None` where the proportions differ,
    /// as nobody knows what such a mode cuts off.
    pub fn for_size(&self, width: u32, height: u32) -> Option<Self> {
        let scale = Vec2::new(width as f32, height as f32)
            / Vec2::new(self.width as f32, self.height as f32);
        let same_proportions = (scale.x / scale.y - 1.0).abs() < 0.01;
        same_proportions.then(|| Intrinsics {
            width,
            height,
            focal: self.focal * scale,
            // Pixels are counted from the middle of the first, sizes from its edge.
            principal: (self.principal + 0.5) * scale - 0.5,
        })
    }

    /// The direction that a pixel looks along, in the camera frame, with z = 1.
    pub fn ray(&self, pixel: Vec2) -> Vec3 {
        ((pixel - self.principal) / self.focal).extend(1.0)
    }

    /// The pixel that shows a point of the camera frame; `None` behind the camera.
    pub fn project(&self, point_in_camera: Vec3) -> Option<Vec2> {
        (point_in_camera.z > 1e-4)
            .then(|| self.focal * point_in_camera.truncate() / point_in_camera.z + self.principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_field_of_view_spans_the_longer_side() {
        let camera = Intrinsics::from_field_of_view(1080, 1920, 1.0);
        let top = camera.ray(Vec2::new(539.5, -0.5));
        assert!((top.y.atan().abs() - 0.5).abs() < 1e-5);
        assert_eq!(camera.project(Vec3::new(0.0, 0.0, -1.0)), None);
    }

    #[test]
    fn a_calibration_holds_for_pictures_of_another_size_and_the_same_proportions() {
        let small = Intrinsics::assumed(640, 360);
        let large = small.for_size(1920, 1080);
        // The right edge of either picture is seen along the same ray.
        let edge = |camera: &Intrinsics| camera.ray(Vec2::new(camera.width as f32 - 0.5, 10.0)).x;
        assert!(large.is_some_and(|large| (edge(&large) - edge(&small)).abs() < 1e-5));
        assert_eq!(small.for_size(640, 480), None);
    }

    proptest! {
        #[test]
        fn a_ray_goes_through_the_pixel_it_came_from(x in -100f32..800.0, y in -100f32..600.0, depth in 0.2f32..20.0) {
            let camera = Intrinsics::assumed(640, 480);
            let back = camera.project(camera.ray(Vec2::new(x, y)) * depth);
            prop_assert!(back.is_some_and(|p| p.distance(Vec2::new(x, y)) < 0.01));
        }
    }
}
