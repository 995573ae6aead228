//! Showing people upright to a network whose camera is not held upright.
//!
//! Before a camera that is rolled, or at the side of one that looks down, whoever stands leans in the picture. Where it is known how the camera is
//! held, crops are turned with them.

use bevy::math::{Rect, Vec2, Vec3};

use super::crop::Region;
use super::{around, sure_places};
use crate::camera::Intrinsics;
use crate::skeleton::Pose2d;

/// The sine of the angle between up and the way that a camera looks, below which it looks from above or below.
const LEAST_ACROSS: f32 = 0.4;
/// How far off, on the way that a camera looks, a direction is followed to see where it leads.
const SHORT: f32 = 0.01;
/// Radians up to which crops are not turned: networks see people as well who lean so little, and turned crops are sampled twice,
const LEVEL: f32 = 0.12;
/// and by which those that are turned may be off.
const SLACK: f32 = 0.06;

/// How a camera is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// Its lens.
    pub camera: Intrinsics,
    /// The direction opposite to gravity in its frame (OpenCV), of length 1.
    pub up: Vec3,
}

impl Held {
    /// How far whoever stands at a pixel is turned there, in radians, clockwise as seen; `None` where the camera looks at them from nearly
    /// above or below, and they may point anywhere.
    pub fn angle_at(&self, pixel: Vec2) -> Option<f32> {
        let ray = self.camera.ray(pixel).normalize();
        let across = self.up - self.up.dot(ray) * ray;
        if across.length() < LEAST_ACROSS {
            return None;
        }
        let above = (ray + SHORT * across).as_dvec3();
        let way = self.camera.project(above)?.as_vec2() - pixel;
        Some(way.x.atan2(-way.y))
    }

    /// How far to turn the crop of somebody there, which was turned by `before`: not for every degree, nor at all for a few.
    pub(super) fn turn(&self, pixel: Vec2, before: f32) -> f32 {
        let level = if before == 0.0 { LEVEL } else { LEVEL - SLACK };
        match self.angle_at(pixel) {
            Some(angle) if angle.abs() < level => 0.0,
            Some(angle) if (angle - before).abs() > SLACK => angle,
            _ => before,
        }
    }
}

/// The box of somebody in a crop that is turned by `angle`, whose box in the picture is `bounds`: around their sure joints, so much larger
/// as that one is, or, without any, around all of that one.
pub(super) fn turned(bounds: Rect, angle: f32, pose: Option<&Pose2d>) -> Region {
    if angle == 0.0 {
        return Region::from(bounds);
    }
    let mut places: Vec<Vec2> = pose.into_iter().flat_map(sure_places).collect();
    if places.is_empty() {
        let Rect { min, max } = bounds;
        places = vec![min, max, Vec2::new(min.x, max.y), Vec2::new(max.x, min.y)];
    }
    let extent =
        |turn: Vec2| around(places.iter().map(|place| turn.rotate(*place))).unwrap_or(bounds);
    let (upright, own) = (extent(Vec2::X), extent(Vec2::from_angle(-angle)));
    Region {
        centre: Vec2::from_angle(angle).rotate(own.center()) + bounds.center() - upright.center(),
        size: (own.size() + bounds.size() - upright.size()).max(Vec2::ONE),
        angle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::manhattan;
    use crate::skeleton::{Confidence, Joint, Keypoint};

    /// Where whoever stands at a pixel points to, in degrees, before a camera that looks down and is rolled clockwise as seen from behind it.
    fn degrees_at((down, roll): (f32, f32), x: f32, y: f32) -> Option<f32> {
        let held = Held {
            camera: Intrinsics::from_field_of_view(640, 480, 1.2),
            up: manhattan::tests::held(0.0, down, roll).inverse() * Vec3::NEG_Y,
        };
        held.angle_at(Vec2::new(x, y)).map(f32::to_degrees)
    }

    #[test]
    fn people_of_a_camera_that_is_rolled_clockwise_are_turned_the_other_way() {
        let close = |angle: Option<f32>, wanted: f32| {
            assert!(
                (angle.unwrap_or(f32::NAN) - wanted).abs() < 0.5,
                "{angle:?} {wanted}"
            );
        };
        close(degrees_at((0.0, 0.0), 500.0, 100.0), 0.0);
        close(degrees_at((0.0, 26.0), 319.5, 239.5), -26.0);
        close(degrees_at((20.0, -13.0), 319.5, 239.5), 13.0);
        // Before a camera that looks down, all lean outwards, and stand upright in the middle.
        close(degrees_at((30.0, 0.0), 319.5, 400.0), 0.0);
        let [left, right] = [100.0, 539.0].map(|x| degrees_at((30.0, 0.0), x, 239.5));
        let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
        assert!(left < -5.0 && (left + right).abs() < 0.1, "{left} {right}");
        assert_eq!(degrees_at((80.0, 0.0), 319.5, 239.5), None);
    }

    #[test]
    fn a_turned_crop_holds_all_joints_and_is_no_larger_than_an_upright_one() {
        use Joint::*;
        let upright = [
            (Nose, 0.0, -90.0),
            (LeftWrist, 80.0, -60.0),
            (RightWrist, -80.0, -60.0),
            (LeftAnkle, 12.0, 90.0),
        ];
        for angle in [-0.8_f32, -0.4, 0.5, 1.5] {
            let mut pose = Pose2d::default();
            for (joint, x, y) in upright {
                let position =
                    Vec2::from_angle(angle).rotate(Vec2::new(x, y)) + Vec2::new(300.0, 200.0);
                let confidence = Confidence::new(0.9);
                pose[joint] = Some(Keypoint {
                    position,
                    confidence,
                });
            }
            let tight = around(sure_places(&pose)).unwrap_or_default();
            let bounds = tight.inflate(4.0);
            for (known, most) in [(Some(&pose), 1.15), (None, 1.7)] {
                let own = turned(bounds, angle, known);
                let crop_from_picture = own.picture_from_crop(1, 1).inverse();
                for (_, point) in pose.present() {
                    let inside = crop_from_picture.transform_point2(point.position).abs();
                    assert!(inside.max_element() <= 0.5, "{angle} {inside}");
                }
                assert!(
                    own.size.max_element() <= most * 180.0,
                    "{angle} {}",
                    own.size
                );
            }
        }
    }
}
