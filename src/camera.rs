//! The vocabulary of cameras: how a point in space becomes a pixel, and a pixel a ray.

use bevy::math::{DMat3, DVec2, DVec3, Vec2, Vec3};
use serde::{Deserialize, Serialize};

/// A lens and a picture: a pinhole with Brown–Conrady distortion. Pixel (0, 0) is the centre of the top-left pixel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intrinsics {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Focal lengths in pixels, along x and y.
    pub focal: DVec2,
    /// Where the optical axis meets the picture, in pixels.
    pub principal: DVec2,
    /// How the lens bends straight lines.
    #[serde(default)]
    pub distortion: Distortion,
}

/// Brown–Conrady distortion, with OpenCV's names and signs; all zero for a perfect lens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Distortion {
    /// Radial, of the second power.
    pub k1: f64,
    /// Radial, of the fourth power.
    pub k2: f64,
    /// Tangential, along y.
    pub p1: f64,
    /// Tangential, along x.
    pub p2: f64,
    /// Radial, of the sixth power.
    pub k3: f64,
}

impl Distortion {
    /// In OpenCV's order: k1, k2, p1, p2, k3.
    pub fn from_array([k1, k2, p1, p2, k3]: [f64; 5]) -> Self {
        Distortion { k1, k2, p1, p2, k3 }
    }

    /// In OpenCV's order: k1, k2, p1, p2, k3.
    pub fn to_array(self) -> [f64; 5] {
        [self.k1, self.k2, self.p1, self.p2, self.k3]
    }

    /// Where the lens shows a point that a pinhole would show at `point`, both at z = 1.
    pub fn distort(&self, point: DVec2) -> DVec2 {
        let DVec2 { x, y } = point;
        let r2 = point.length_squared();
        let radial = 1.0 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3));
        let tangential = DVec2::new(
            2.0 * self.p1 * x * y + self.p2 * (r2 + 2.0 * x * x),
            self.p1 * (r2 + 2.0 * y * y) + 2.0 * self.p2 * x * y,
        );
        point * radial + tangential
    }

    /// The inverse of [`distort`](Self::distort), by fixed-point iteration; exact to 1e-9 for the lenses of webcams.
    pub fn undistort(&self, shown: DVec2) -> DVec2 {
        if *self == Distortion::default() {
            return shown;
        }
        let mut point = shown;
        for _ in 0..30 {
            let error = shown - self.distort(point);
            point += error;
            if error.length_squared() < 1e-22 {
                break;
            }
        }
        // Beyond the model's own range the iteration runs away; a pinhole's answer is better than none.
        if point.is_finite() && point.length_squared() < 1e3 {
            point
        } else {
            shown
        }
    }
}

/// How a lens became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LensSource {
    /// It was given: calibrated, mostly.
    Given,
    /// The straight edges of the room told it (see [`attitude`](crate::calibrate::attitude)).
    Room,
    /// It is a usual one, for want of anything better.
    Assumed,
}

/// The field of view along the longer side, in degrees, taken for a camera that nobody calibrated. Most laptop webcams
/// and phones have between 55 and 75.
pub const ASSUMED_FIELD_OF_VIEW_DEGREES: f64 = 62.0;

impl Intrinsics {
    /// A camera without distortion whose longer side spans `field_of_view` radians.
    pub fn from_field_of_view(width: u32, height: u32, field_of_view: f64) -> Self {
        let focal = f64::from(width.max(height)) * 0.5 / (field_of_view * 0.5).tan();
        Intrinsics {
            width,
            height,
            focal: DVec2::splat(focal),
            principal: DVec2::new(f64::from(width) - 1.0, f64::from(height) - 1.0) * 0.5,
            distortion: Distortion::default(),
        }
    }

    /// The field of view along the longer side, in radians, of a camera without distortion.
    pub fn field_of_view(&self) -> f64 {
        let (side, focal) = if self.width >= self.height {
            (self.width, self.focal.x)
        } else {
            (self.height, self.focal.y)
        };
        2.0 * (0.5 * f64::from(side) / focal).atan()
    }

    /// The camera assumed where nothing is known.
    pub fn assumed(width: u32, height: u32) -> Self {
        Self::from_field_of_view(width, height, ASSUMED_FIELD_OF_VIEW_DEGREES.to_radians())
    }

    /// The same camera for pictures of another size, such as another mode of a webcam; `None` where the proportions differ,
    /// as nobody knows what such a mode cuts off.
    pub fn for_size(&self, width: u32, height: u32) -> Option<Self> {
        let scale = DVec2::new(f64::from(width), f64::from(height))
            / DVec2::new(f64::from(self.width), f64::from(self.height));
        same_proportions((self.width, self.height), (width, height)).then(|| Intrinsics {
            width,
            height,
            focal: self.focal * scale,
            // Pixels are counted from the middle of the first, sizes from its edge.
            principal: (self.principal + 0.5) * scale - 0.5,
            distortion: self.distortion,
        })
    }

    /// Where a pinhole of focal length 1 would show what this pixel shows.
    pub fn unproject(&self, pixel: DVec2) -> DVec2 {
        self.distortion
            .undistort((pixel - self.principal) / self.focal)
    }

    /// The pixel that shows a point of the camera frame; `None` behind the camera.
    pub fn project(&self, point_in_camera: DVec3) -> Option<DVec2> {
        (point_in_camera.z > 1e-4).then(|| {
            let flat = point_in_camera.truncate() / point_in_camera.z;
            self.focal * self.distortion.distort(flat) + self.principal
        })
    }

    /// The direction that a pixel looks along, in the camera frame, with z = 1.
    pub fn ray(&self, pixel: Vec2) -> Vec3 {
        self.unproject(pixel.as_dvec2()).as_vec2().extend(1.0)
    }
}

/// Whether pictures of two sizes, of width and height, may be the same one, larger and smaller.
pub(crate) fn same_proportions(one: (u32, u32), other: (u32, u32)) -> bool {
    let [one, other] = [one, other].map(|(width, height)| f64::from(width) / f64::from(height));
    (one / other - 1.0).abs() < 0.01
}

/// Where a camera stands: turns points of the world into points of the camera frame (OpenCV's axes).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extrinsics {
    /// `camera_from_world`, as a rotation.
    pub rotation: DMat3,
    /// `camera_from_world`, as a translation in metres: where the world's origin is for the camera.
    pub translation: DVec3,
}

impl Default for Extrinsics {
    fn default() -> Self {
        Extrinsics {
            rotation: DMat3::IDENTITY,
            translation: DVec3::ZERO,
        }
    }
}

impl Extrinsics {
    /// A camera at `eye` that looks at `target`, with `up` upwards in its picture.
    pub fn looking_at(eye: DVec3, target: DVec3, up: DVec3) -> Self {
        let forward = (target - eye).normalize_or(DVec3::Z);
        let right = forward.cross(up).normalize_or(DVec3::X);
        let down = forward.cross(right);
        let rotation = DMat3::from_cols(right, down, forward).transpose();
        Extrinsics {
            rotation,
            translation: -(rotation * eye),
        }
    }

    /// A point of the world in the camera frame.
    pub fn camera_from_world(&self, point_in_world: DVec3) -> DVec3 {
        self.rotation * point_in_world + self.translation
    }

    /// A point of the camera frame in the world.
    pub fn world_from_camera(&self, point_in_camera: DVec3) -> DVec3 {
        self.rotation.transpose() * (point_in_camera - self.translation)
    }

    /// Where the camera stands, in the world.
    pub fn centre(&self) -> DVec3 {
        -(self.rotation.transpose() * self.translation)
    }

    /// The way back: `world_from_camera`.
    pub fn inverse(&self) -> Self {
        let rotation = self.rotation.transpose();
        Extrinsics {
            rotation,
            translation: -(rotation * self.translation),
        }
    }

    /// First `self`, then `next`.
    pub fn then(&self, next: &Extrinsics) -> Self {
        Extrinsics {
            rotation: next.rotation * self.rotation,
            translation: next.rotation * self.translation + next.translation,
        }
    }

    /// The camera's place where the world itself is moved: `rotation` and `translation` take points of the old world to
    /// points of the new one, after a scaling by `scale`.
    pub fn in_moved_world(&self, scale: f64, rotation: DMat3, translation: DVec3) -> Self {
        let turned = self.rotation * rotation.transpose();
        Extrinsics {
            rotation: turned,
            translation: self.translation * scale - turned * translation,
        }
    }
}

/// A camera that is calibrated: its lens and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Its name, unique among the cameras of a room.
    pub name: String,
    /// Its lens.
    pub intrinsics: Intrinsics,
    /// Where it stands.
    pub extrinsics: Extrinsics,
}

/// A half line in the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ray {
    /// Where it begins: the camera.
    pub origin: DVec3,
    /// Where it goes; of length 1.
    pub direction: DVec3,
}

impl View {
    /// The half line of all points of the world that this pixel may show.
    pub fn ray(&self, pixel: Vec2) -> Ray {
        let direction = self
            .intrinsics
            .unproject(pixel.as_dvec2())
            .extend(1.0)
            .normalize();
        Ray {
            origin: self.extrinsics.centre(),
            direction: self.extrinsics.rotation.transpose() * direction,
        }
    }

    /// Whether all that is known of it are numbers: files of broken calibrations have others.
    pub fn is_finite(&self) -> bool {
        let (lens, placed) = (&self.intrinsics, &self.extrinsics);
        lens.focal.is_finite()
            && lens.principal.is_finite()
            && lens.distortion.to_array().iter().all(|k| k.is_finite())
            && placed.rotation.is_finite()
            && placed.translation.is_finite()
    }

    /// The pixel that shows a point of the world; `None` behind the camera.
    pub fn project(&self, point_in_world: DVec3) -> Option<DVec2> {
        self.intrinsics
            .project(self.extrinsics.camera_from_world(point_in_world))
    }

    /// Pixels to a radian in the middle of the picture.
    pub fn focal(&self) -> f64 {
        self.intrinsics.focal.element_sum() * 0.5
    }
}

impl Ray {
    /// The vector from the ray to a point, at a right angle to the ray.
    pub fn offset(&self, point: DVec3) -> DVec3 {
        let from = point - self.origin;
        from - self.direction * from.dot(self.direction)
    }

    /// How far along the ray a point lies; negative behind the camera.
    pub fn depth(&self, point: DVec3) -> f64 {
        (point - self.origin).dot(self.direction)
    }

    /// The points of two rays that are nearest to one another; `None` where the rays are nearly parallel or the points
    /// would lie behind either camera.
    pub fn nearest_points(&self, other: &Ray) -> Option<(DVec3, DVec3)> {
        let between = other.origin - self.origin;
        let cosine = self.direction.dot(other.direction);
        let sine_squared = 1.0 - cosine * cosine;
        if sine_squared < 1e-4 {
            return None;
        }
        let (a, b) = (between.dot(self.direction), between.dot(other.direction));
        let along = (a - b * cosine) / sine_squared;
        let along_other = (a * cosine - b) / sine_squared;
        (along > 0.0 && along_other > 0.0).then(|| {
            (
                self.origin + self.direction * along,
                other.origin + other.direction * along_other,
            )
        })
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
        assert_eq!(camera.project(DVec3::new(0.0, 0.0, -1.0)), None);
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

    #[test]
    fn distortion_is_opencvs() {
        // Worked out from the formulas in OpenCV's documentation of `projectPoints`.
        let lens = Distortion::from_array([-0.1, 0.05, 0.002, -0.003, 0.01]);
        let shown = lens.distort(DVec2::new(0.3, -0.2));
        assert!(
            shown.distance(DVec2::new(0.295_190_091, -0.196_793_394)) < 1e-8,
            "{shown}"
        );
    }

    #[test]
    fn a_camera_that_looks_at_a_point_shows_it_in_the_middle_and_what_is_above_it_above() {
        let extrinsics = Extrinsics::looking_at(
            DVec3::new(3.0, 2.0, 1.0),
            DVec3::new(0.0, 1.0, 0.0),
            DVec3::Y,
        );
        let view = View {
            name: "a".into(),
            intrinsics: Intrinsics::assumed(640, 480),
            extrinsics,
        };
        let middle = view.project(DVec3::new(0.0, 1.0, 0.0));
        assert!(middle.is_some_and(|p| p.distance(view.intrinsics.principal) < 1e-9));
        let above = view.project(DVec3::new(0.0, 1.5, 0.0));
        assert!(above.is_some_and(|p| p.y < view.intrinsics.principal.y - 10.0));
        assert!(extrinsics.centre().distance(DVec3::new(3.0, 2.0, 1.0)) < 1e-9);
        let back = extrinsics.world_from_camera(extrinsics.camera_from_world(DVec3::ONE));
        assert!(back.distance(DVec3::ONE) < 1e-9);
    }

    #[test]
    fn moving_the_world_moves_no_pixel() {
        let view = View {
            name: "a".into(),
            intrinsics: Intrinsics::assumed(640, 480),
            extrinsics: Extrinsics::looking_at(DVec3::new(3.0, 2.0, 1.0), DVec3::Y, DVec3::Y),
        };
        let (scale, shift) = (0.7, DVec3::new(1.0, -2.0, 0.5));
        let turn = DMat3::from_axis_angle(DVec3::new(0.6, 0.8, 0.0), 0.9);
        let moved = View {
            extrinsics: view.extrinsics.in_moved_world(scale, turn, shift),
            ..view.clone()
        };
        let point = DVec3::new(0.3, 0.9, -0.2);
        let (before, after) = (
            view.project(point),
            moved.project(turn * (point * scale) + shift),
        );
        assert!(before.zip(after).is_some_and(|(a, b)| a.distance(b) < 1e-9));
    }

    proptest! {
        #[test]
        fn a_ray_goes_through_the_pixel_it_came_from(
            x in 0f32..640.0, y in 0f32..480.0, depth in 0.2f64..20.0, k1 in -0.2f64..0.2, p1 in -0.01f64..0.01
        ) {
            let mut camera = Intrinsics::assumed(640, 480);
            camera.distortion = Distortion { k1, k2: 0.03, p1, p2: 0.002, k3: 0.0 };
            let back = camera.project(camera.ray(Vec2::new(x, y)).as_dvec3() * depth);
            prop_assert!(back.is_some_and(|p| p.as_vec2().distance(Vec2::new(x, y)) < 0.01));
        }

        #[test]
        fn the_nearest_points_of_rays_to_one_point_are_that_point(x in -2f64..2.0, y in 0f64..2.0, z in -2f64..2.0) {
            let point = DVec3::new(x, y, z);
            let from = |origin: DVec3| Ray { origin, direction: (point - origin).normalize() };
            let (a, b) = (from(DVec3::new(5.0, 1.0, 0.0)), from(DVec3::new(0.0, 1.5, 5.0)));
            let near = a.nearest_points(&b);
            prop_assert!(near.is_some_and(|(p, q)| p.distance(point) < 1e-6 && q.distance(point) < 1e-6));
            prop_assert!(a.offset(point).length() < 1e-9);
        }
    }
}
