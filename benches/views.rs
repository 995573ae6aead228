//! What two people in several views cost to look at, against two people in one view: `cargo xtask bench`.
//!
//! Crops of one view go through the network at once, and views are looked at side by side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy_pose_capture::detect::DetectSettings;
use bevy_pose_capture::inference::{Engine, Models};
use bevy_pose_capture::multiview::MultiViewSettings;
use bevy_pose_capture::room::RoomPipeline;
use bevy_pose_capture::source::synthetic::cameras_around;
use bevy_pose_capture::source::{Frame, SourceSpec};
use image::{RgbImage, imageops};

/// Moments that are timed.
const MOMENTS: usize = 60;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/clips/sample.mp4");
    let mut pictures = Vec::new();
    let mut source = SourceSpec::parse(file).open()?;
    while let Some(picture) = source.next_picture()?
        && pictures.len() < MOMENTS
    {
        pictures.push(Arc::new(twice(&picture.image)));
    }
    let models = Models::embedded();
    let engine = Engine::find();
    println!("{}", engine.describe());
    println!(
        "{:>7} {:>7} {:>16} {:>18} {:>18}",
        "threads", "views", "people seen", "keypoints ms", "all networks ms"
    );
    for threads in [1, 2, 4] {
        let mut alone = 0.0;
        for views in [1, 2, 4] {
            let (seen, keypoints, all) = look(&models, &engine, &pictures, threads, views)?;
            if views == 1 {
                alone = all;
            }
            println!(
                "{threads:7} {views:7} {seen:16.1} {keypoints:18.2} {all:18.2}   {:.2} of one view",
                all / alone
            );
        }
    }
    Ok(())
}

/// The middle of the picture, twice: two people.
fn twice(picture: &RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let middle = imageops::crop_imm(picture, width / 4, 0, width / 2, height).to_image();
    let mut both = RgbImage::new(width, height);
    for x in [0, width / 2] {
        imageops::replace(&mut both, &middle, x.into(), 0);
    }
    both
}

/// People seen, and milliseconds, a moment: of keypoints, added up over views, and of all networks, by the clock.
fn look(
    models: &Models,
    engine: &Engine,
    pictures: &[Arc<RgbImage>],
    threads: usize,
    views: usize,
) -> Result<(f64, f64, f64), Box<dyn std::error::Error>> {
    let size = pictures.first().map_or((16, 16), |p| p.dimensions());
    let mut cameras = cameras_around(views, 4.0);
    for camera in &mut cameras {
        camera.intrinsics = bevy_pose_capture::camera::Intrinsics::assumed(size.0, size.1);
    }
    let settings = MultiViewSettings::default();
    let detect = DetectSettings::default();
    let mut room = RoomPipeline::new(models, engine, threads, cameras, detect, settings)?;
    let (mut seen, mut keypoints, mut all) = (0, Duration::ZERO, Duration::ZERO);
    for (n, image) in pictures.iter().enumerate() {
        let frame = Frame {
            epoch: 1,
            number: n as u64,
            time: n as f64 / 30.0,
            captured_at: Instant::now(),
            decoding: Duration::ZERO,
            image: image.clone(),
        };
        let captured = room.process(frame.time, &vec![Some(frame.clone()); views])?;
        if n == 0 {
            // The first moment finds out how the networks are best run.
            continue;
        }
        seen += captured.seen.iter().map(Vec::len).sum::<usize>();
        keypoints += captured.times.keypoints;
        all += captured.times.views;
    }
    let count = pictures.len().saturating_sub(1).max(1) as f64;
    let ms = |time: Duration| time.as_secs_f64() * 1e3 / count;
    Ok((seen as f64 / count, ms(keypoints), ms(all)))
}
