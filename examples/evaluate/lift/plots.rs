//! Pictures of how lifting went.

use std::path::Path;

use bevy::math::Vec3;
use bevy_pose_capture::skeleton::{BONES, Joint, Pose3d, Side, between, side_of};
use plotters::prelude::*;

use super::Pair;
use crate::AnyError;
use crate::chart::{Words, lines_over};

/// Errors by the share of joints that are hidden: share, MPJPE, P-MPJPE.
pub fn by_hidden(points: &[(f64, f64, f64)], file: &Path) -> Result<(), AnyError> {
    let line =
        |of: fn(&(f64, f64, f64)) -> f64| points.iter().map(|p| (100.0 * p.0, of(p))).collect();
    let lines = [
        ("MPJPE".to_owned(), line(|p| p.1)),
        ("P-MPJPE".to_owned(), line(|p| p.2)),
    ];
    let words = Words {
        caption: "Lifting with joints hidden",
        across: "joints hidden, %",
        measured: "error, mm",
    };
    lines_over(&lines, &words, 0.0..100.0, file)
}

/// Skeletons as found (blue left, red right) over those that are so (grey): each as the camera sees it, and from the side.
pub fn skeletons(pairs: &[Pair], file: &Path) -> Result<(), AnyError> {
    let columns = pairs.len().clamp(1, 8);
    let rows = pairs.len().div_ceil(columns).max(1);
    let (width, height) = (150, 320);
    let size = ((columns * width) as u32, (rows * height) as u32);
    let area = SVGBackend::new(file, size).into_drawing_area();
    area.fill(&WHITE)?;
    for (number, pair) in pairs.iter().enumerate() {
        let corner = (
            (number % columns * width) as i32,
            (number / columns * height) as i32,
        );
        let ahead: fn(Vec3) -> (f32, f32) = |place| (place.x, place.y);
        let aside: fn(Vec3) -> (f32, f32) = |place| (place.z, place.y);
        for (view, down) in [(ahead, 80), (aside, 240)] {
            let middle = (corner.0 + width as i32 / 2, corner.1 + down);
            for (pose, found) in [(&pair.truth, false), (&pair.found, true)] {
                for (a, b, colour) in bones(pose, found) {
                    let at = |place: Vec3| {
                        let (x, y) = view(place);
                        (middle.0 + (x * 75.0) as i32, middle.1 + (y * 75.0) as i32)
                    };
                    let stroke = colour.stroke_width(if found { 2 } else { 4 });
                    area.draw(&PathElement::new([at(a), at(b)], stroke))?;
                }
            }
        }
    }
    area.present()?;
    Ok(())
}

/// Ends of bones about mid hips, and their colours.
fn bones(pose: &Pose3d, found: bool) -> Vec<(Vec3, Vec3, RGBColor)> {
    let Some(hips) = between(pose, Joint::LeftHip, Joint::RightHip) else {
        return Vec::new();
    };
    let drawn = |&(a, b): &(Joint, Joint)| {
        let colour = match (found, side_of(a, b)) {
            (false, _) => RGBColor(190, 190, 190),
            (true, Side::Left) => BLUE,
            (true, Side::Right) => RED,
            (true, Side::Middle) => BLACK,
        };
        Some((pose[a]?.position - hips, pose[b]?.position - hips, colour))
    };
    BONES.iter().filter_map(drawn).collect()
}
