//! Pictures to look at: what was seen, drawn over the frame, beside the body in space.

use bevy::math::{Mat3, Quat, Vec2, Vec3};
use image::{Rgb, RgbImage};

use crate::pipeline::Capture;
use crate::skeleton::{BONES, Joint, Pose2d, Pose3d, Side, side_of};

const LEFT: Rgb<u8> = Rgb([60, 220, 120]);
const RIGHT: Rgb<u8> = Rgb([240, 110, 60]);
const MIDDLE: Rgb<u8> = Rgb([230, 230, 240]);
const BOX: Rgb<u8> = Rgb([90, 170, 255]);
const GROUND: Rgb<u8> = Rgb([28, 30, 36]);

fn colour(a: Joint, b: Joint) -> Rgb<u8> {
    match side_of(a, b) {
        Side::Left => LEFT,
        Side::Right => RIGHT,
        Side::Middle => MIDDLE,
    }
}

fn disc(image: &mut RgbImage, centre: Vec2, radius: f32, colour: Rgb<u8>) {
    let (low, high) = (centre - radius, centre + radius);
    if !centre.is_finite() {
        return;
    }
    let within = |value: f32, size: u32| value.clamp(0.0, size.saturating_sub(1) as f32) as u32;
    for y in (low.y.max(0.0) as u32)..=within(high.y, image.height()) {
        for x in (low.x.max(0.0) as u32)..=within(high.x, image.width()) {
            if Vec2::new(x as f32, y as f32).distance_squared(centre) <= radius * radius
                && let Some(pixel) = image.get_pixel_mut_checked(x, y)
            {
                *pixel = colour;
            }
        }
    }
}

fn line(image: &mut RgbImage, a: Vec2, b: Vec2, width: f32, colour: Rgb<u8>) {
    let steps = (a.distance(b) / (width * 0.5).max(0.5)).clamp(1.0, 4000.0) as u32;
    for n in 0..=steps {
        disc(
            image,
            a.lerp(b, n as f32 / steps as f32),
            width * 0.5,
            colour,
        );
    }
}

/// Draws a person's joints over a picture: left green, right orange.
pub fn draw_pose(image: &mut RgbImage, pose: &Pose2d, scale: f32, width: f32) {
    for &(a, b) in BONES {
        if let (Some(from), Some(to)) = (pose[a], pose[b])
            && from.confidence.get().min(to.confidence.get()) > 0.2
        {
            line(
                image,
                from.position * scale,
                to.position * scale,
                width,
                colour(a, b),
            );
        }
    }
}

/// Draws a body of the camera frame, turned by `view`; the picture's up is −y.
fn draw_body(
    image: &mut RgbImage,
    pose: &Pose3d,
    root: Vec3,
    centre: Vec2,
    metre: f32,
    view: Mat3,
) {
    let place = |joint: Joint| {
        pose[joint].map(|p| centre + (view * (p.position - root)).truncate() * metre)
    };
    for &(a, b) in BONES {
        if let (Some(from), Some(to)) = (place(a), place(b)) {
            line(image, from, to, metre * 0.03, colour(a, b));
        }
    }
}

/// The frame with everybody drawn over it; beside it the body of the first in space, from the front and from the side.
/// The picture is `height` pixels tall, its width is even.
pub fn overlay(capture: &Capture, height: u32) -> RgbImage {
    let frame = &*capture.frame.image;
    if frame.width() == 0 || frame.height() == 0 || height == 0 {
        // A picture that was let go before anybody looked.
        return RgbImage::from_pixel(2, height.max(1), GROUND);
    }
    let scale = height as f32 / frame.height() as f32;
    let width = (frame.width() as f32 * scale).round() as u32;
    let shrunk =
        image::imageops::resize(frame, width, height, image::imageops::FilterType::Triangle);
    let side = height / 2;
    let mut sheet = RgbImage::from_pixel((width + side).next_multiple_of(2), height, GROUND);
    image::imageops::replace(&mut sheet, &shrunk, 0, 0);
    for person in &capture.people {
        let bounds = person.seen.bounds;
        let corners = [
            bounds.min,
            Vec2::new(bounds.max.x, bounds.min.y),
            bounds.max,
            Vec2::new(bounds.min.x, bounds.max.y),
        ];
        for n in 0..4 {
            line(
                &mut sheet,
                corners[n] * scale,
                corners[(n + 1) % 4] * scale,
                1.5,
                BOX,
            );
        }
        draw_pose(&mut sheet, &person.seen.pose, scale, height as f32 / 160.0);
    }
    let middle = Vec2::new(width as f32 + side as f32 * 0.5, side as f32 * 0.5);
    for lifted in capture
        .people
        .iter()
        .filter_map(|person| person.lifted.as_ref())
        .take(1)
    {
        let metre = side as f32 / 2.3;
        // Upright, if it is known what that is.
        let level = capture.up.map_or(Mat3::IDENTITY, |up| {
            Mat3::from_quat(Quat::from_rotation_arc(up, Vec3::NEG_Y))
        });
        draw_body(&mut sheet, &lifted.pose, lifted.root, middle, metre, level);
        draw_body(
            &mut sheet,
            &lifted.pose,
            lifted.root,
            middle + Vec2::new(0.0, side as f32),
            metre,
            Mat3::from_rotation_y(std::f32::consts::FRAC_PI_2) * level,
        );
    }
    sheet
}

/// Tiles pictures of one size into a sheet, `columns` across.
pub fn contact_sheet(tiles: &[RgbImage], columns: u32) -> RgbImage {
    let Some(first) = tiles.first() else {
        return RgbImage::new(1, 1);
    };
    let (width, height) = first.dimensions();
    let rows = (tiles.len() as u32).div_ceil(columns);
    let mut sheet = RgbImage::from_pixel(width * columns, height * rows, GROUND);
    for (n, tile) in tiles.iter().enumerate() {
        let n = n as u32;
        image::imageops::replace(
            &mut sheet,
            tile,
            i64::from(n % columns * width),
            i64::from(n / columns * height),
        );
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skeleton::{Confidence, Keypoint};

    #[test]
    fn left_is_green_right_is_orange_and_nothing_is_drawn_outside() {
        let mut pose = Pose2d::default();
        let mut put = |joint: Joint, x: f32, y: f32| {
            pose[joint] = Some(Keypoint {
                position: Vec2::new(x, y),
                confidence: Confidence::FULL,
            });
        };
        put(Joint::LeftShoulder, 30.0, 10.0);
        put(Joint::LeftElbow, 30.0, 30.0);
        put(Joint::RightShoulder, 10.0, 10.0);
        put(Joint::RightElbow, 10.0, 900.0);
        let mut image = RgbImage::new(40, 40);
        draw_pose(&mut image, &pose, 1.0, 3.0);
        assert_eq!(*image.get_pixel(30, 20), LEFT);
        assert_eq!(*image.get_pixel(10, 39), RIGHT);
        assert_eq!(*image.get_pixel(20, 30), Rgb([0; 3]));
    }
}
