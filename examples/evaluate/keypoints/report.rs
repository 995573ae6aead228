//! The table of the keypoint networks, how far their confidences can be believed, and a sheet to look at.

use std::fmt::Write;
use std::path::Path;

use bevy::math::Vec2;
use bevy_pose_capture::detect::keypoints::KeypointEstimator;
use bevy_pose_capture::detect::person::PersonDetector;
use bevy_pose_capture::skeleton::{BONES, Joint, Pose2d, Side, side_of};
use bevy_pose_capture::source::images::read_picture;
use image::{Rgb, RgbImage, imageops};

use super::labels::Labels;
use super::score::{Score, joints_of};
use super::{Arguments, Boxes, FoundImage, Looked, Networks};
use crate::chart::{Words, lines_over};
use crate::{AnyError, files_in, read_json, stem};

/// A network on a set of photos.
struct Row {
    network: String,
    set: String,
    boxes: Boxes,
    score: Score,
    detecting_ms: f64,
    estimating_ms: f64,
}

/// Scores networks and writes what came of it.
pub fn write(
    mut keypoints: Vec<KeypointEstimator>,
    mut detector: PersonDetector,
    arguments: &Arguments,
) -> Result<(), AnyError> {
    let sets = sets(&arguments.data)?;
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| "target/keypoints".into());
    std::fs::create_dir_all(&out)
        .map_err(|error| format!("cannot make {}: {error}", out.display()))?;
    let mut rows = Vec::new();
    for (number, keypoints) in keypoints.iter_mut().enumerate() {
        let mut networks = Networks {
            keypoints,
            detector: &mut detector,
        };
        for (set, labels) in &sets {
            let joints = joints_of(&labels.joint_names);
            for boxes in [Boxes::Given, Boxes::Detected] {
                let looked =
                    networks.look(labels, &arguments.data, boxes, arguments.least_score)?;
                let mut score = Score::default();
                for (image, found) in labels.images.iter().zip(&looked.images) {
                    score.take(&image.people, &joints, &found.people);
                }
                if score.people() == 0 {
                    return Err(format!("{set}.json labels nobody with five joints of ours").into());
                }
                if number == 0 && boxes == Boxes::Given {
                    let path = out.join(format!("{set}.png"));
                    sheet(&looked, &arguments.data)?
                        .save(&path)
                        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
                }
                rows.push(Row {
                    network: networks.keypoints.name().to_owned(),
                    set: set.clone(),
                    boxes,
                    score,
                    detecting_ms: looked.detecting.mean_ms(),
                    estimating_ms: looked.estimating.mean_ms(),
                });
            }
        }
    }
    let table = table(&rows)?;
    println!("{table}");
    let path = out.join("keypoints.md");
    std::fs::write(&path, table)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    reliability(&rows, &out.join("reliability.svg"))?;
    println!(
        "saved keypoints.md, reliability.svg and a sheet of each set in {}",
        out.display()
    );
    Ok(())
}

/// The labelled sets of a folder, by name.
fn sets(folder: &Path) -> Result<Vec<(String, Labels)>, AnyError> {
    let hint = "say where labelled photos are with --data DIR";
    let files = files_in(folder, "json", hint)?;
    let mut sets = Vec::new();
    for path in files {
        sets.push((stem(&path), read_json(&path, "labels")?));
    }
    match sets.is_empty() {
        true => Err(format!("no file of labels is in {}", folder.display()).into()),
        false => Ok(sets),
    }
}

fn table(rows: &[Row]) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(
        out,
        "| network | photos | boxes | PCK@0.1 | PCK@0.2 | people found | sides exchanged | calibration error | ms a person | detector, ms a photo |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|")?;
    for row in rows {
        let score = &row.score;
        let (boxes, detecting) = match row.boxes {
            Boxes::Given => ("given", String::new()),
            Boxes::Detected => ("detected", format!("{:.1}", row.detecting_ms)),
        };
        writeln!(
            out,
            "| {} | {} | {boxes} | {:.1} | {:.1} | {:.1} | {:.1} | {:.3} | {:.1} | {detecting} |",
            row.network,
            row.set,
            score.within_tenth(),
            score.within_fifth(),
            score.recall(),
            score.exchanged(),
            score.calibration_error(),
            row.estimating_ms,
        )?;
    }
    Ok(out)
}

/// Confidence against the share of joints within a tenth of the person's size, in given boxes.
fn reliability(rows: &[Row], file: &Path) -> Result<(), AnyError> {
    let mut lines = vec![("as told".to_owned(), vec![(0.0, 0.0), (1.0, 1.0)])];
    let given = rows.iter().filter(|row| row.boxes == Boxes::Given);
    lines.extend(given.map(|row| {
        let name = format!("{}, {}", row.network, row.set);
        (name, row.score.reliability().collect())
    }));
    let words = Words {
        caption: "How far confidences can be believed",
        across: "confidence",
        measured: "joints within a tenth of the person's size",
    };
    lines_over(&lines, &words, 0.0..1.0, file)
}

const TILE: u32 = 240;
const COLUMNS: u32 = 8;
const MOST: usize = 48;

/// Some of the photos, with what was found: left green, right red.
fn sheet(looked: &Looked, folder: &Path) -> Result<RgbImage, AnyError> {
    let step = looked.images.len().div_ceil(MOST).max(1);
    let chosen: Vec<&FoundImage> = looked.images.iter().step_by(step).collect();
    let rows = (chosen.len() as u32).div_ceil(COLUMNS).max(1);
    let mut sheet = RgbImage::new(COLUMNS * TILE, rows * TILE);
    for (number, found) in (0..).zip(chosen) {
        let image = read_picture(&folder.join(&found.file))?;
        let scale = TILE as f32 / image.width().max(image.height()) as f32;
        let size = |side: u32| ((side as f32 * scale) as u32).max(1);
        let mut tile = imageops::thumbnail(&image, size(image.width()), size(image.height()));
        for person in &found.people {
            draw(&mut tile, &person.pose, scale);
        }
        let corner = (number % COLUMNS * TILE, number / COLUMNS * TILE);
        imageops::replace(&mut sheet, &tile, corner.0.into(), corner.1.into());
    }
    Ok(sheet)
}

/// Joints less sure than this are not drawn.
const SHOWN: f32 = 0.3;

fn draw(tile: &mut RgbImage, pose: &Pose2d, scale: f32) {
    for &(a, b) in BONES {
        let place = |joint: Joint| {
            let point = pose[joint].filter(|point| point.confidence.get() > SHOWN)?;
            Some(point.position * scale)
        };
        let (Some(from), Some(to)) = (place(a), place(b)) else {
            continue;
        };
        let colour = match side_of(a, b) {
            Side::Left => Rgb([0, 220, 0]),
            Side::Right => Rgb([240, 40, 40]),
            Side::Middle => Rgb([240, 220, 0]),
        };
        let steps = (from.distance(to) * 2.0).ceil().max(1.0);
        for step in 0..=steps as u32 {
            let at = from.lerp(to, step as f32 / steps);
            for aside in [Vec2::ZERO, Vec2::X, Vec2::Y] {
                let pixel = at + aside;
                if pixel.cmpge(Vec2::ZERO).all()
                    && let Some(shown) = tile.get_pixel_mut_checked(pixel.x as u32, pixel.y as u32)
                {
                    *shown = colour;
                }
            }
        }
    }
}
