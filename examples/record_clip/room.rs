//! Several clips of one room: their pictures of the same moment go together.

use std::path::Path;
use std::time::Duration;

use bevy::math::Vec2;
use bevy_pose_capture::calibrate::files::{for_clips, read};
use bevy_pose_capture::camera::View;
use bevy_pose_capture::detect::DetectSettings;
use bevy_pose_capture::inference::{Engine, Models, Task};
use bevy_pose_capture::multiview::MultiViewSettings;
use bevy_pose_capture::record::exchange::PeopleFile;
use bevy_pose_capture::record::overlay::{contact_sheet, draw_pose};
use bevy_pose_capture::record::take::{Take, TakeFrame, TakeWriter};
use bevy_pose_capture::refine::sequence::SequenceRefiner;
use bevy_pose_capture::room::{RoomCapture, RoomPipeline};
use bevy_pose_capture::skeleton::{Confidence, Keypoint, Pose2d};
use bevy_pose_capture::source::together::Together;
use bevy_pose_capture::source::{Frame, SourceSpec};
use image::RgbImage;
use image::imageops::{FilterType, resize};
use indicatif::ProgressBar;

use super::{AnyError, Arguments, bar_style, save_glb, write_json};

/// Captures the people in several clips of one room.
pub fn run(
    arguments: &Arguments,
    calibration: &Path,
    models: &Models,
    engine: &Engine,
) -> Result<(), AnyError> {
    let file = read(calibration)?;
    let specs: Vec<SourceSpec> = arguments
        .input
        .iter()
        .map(|input| SourceSpec::parse(input))
        .collect();
    let mut clips = Together::open(&specs)?;
    for (name, seconds) in &arguments.delay {
        let names = clips.names();
        let Some(clip) = names.iter().position(|other| other == name) else {
            let names = names.join(", ");
            return Err(format!("--delay {name}: no clip is called that; they are {names}").into());
        };
        clips.delay(clip, *seconds);
    }
    let bevy_from_file = file.bevy_from_file();
    let views = for_clips(file.into_bevy(), &clips.names())?;
    for (clip, view) in clips.names().iter().zip(&views) {
        println!("{clip} is the camera {}", view.name);
    }
    let mut room = RoomPipeline::new(
        models,
        engine,
        arguments.networks.threads(2),
        views,
        DetectSettings::default(),
        MultiViewSettings::default(),
    )?;
    let length = clips.length();
    let bar = ProgressBar::new(length).with_style(bar_style()?);
    bar.set_message(format!("{} views", specs.len()));
    let mut take = Take::new("room", (0, 0));
    let mut writer = TakeWriter::create(&arguments.out.join("capture.take"))?;
    writer.begin(&take.header)?;
    let mut refiner = match arguments.refine {
        true => Some(SequenceRefiner::load(
            models.of(Task::Refine)?,
            engine,
            arguments.networks.threads(2),
        )?),
        false => None,
    };
    let mut captures: Vec<RoomCapture> = Vec::new();
    let mut sheets = Vec::new();
    let tile_every = (length / 12).max(1) as usize;
    let mut bumps = Vec::new();
    let mut looked = 0.0;
    while let Some(moment) = clips.next_moment()? {
        let captured = room.process(moment.time, &moment.frames)?;
        for frame in TakeFrame::of_room(&captured, captured.time) {
            writer.push(&frame)?;
        }
        if moment.time - looked >= 1.0 {
            looked = moment.time;
            let bumped = room.bumped().into_iter();
            bumps.extend(bumped.map(|bump| (moment.time, bump.sentence)));
        }
        if !arguments.no_pictures && captures.len().is_multiple_of(tile_every) {
            sheets.extend(pictures(&moment.frames, &captured, room.views()));
        }
        captures.push(captured);
        bar.inc(1);
    }
    bar.finish();
    writer.flush()?;
    report(&captures);
    for (time, sentence) in bumps {
        eprintln!("note: by {time:.0} s {sentence}");
    }
    if let Some(refiner) = &mut refiner {
        let moments = captures.iter_mut();
        refiner.refine_room(moments.map(|capture| capture.people.as_mut_slice()))?;
    }
    let mut people = PeopleFile::new(bevy_from_file);
    for capture in &captures {
        people.push(capture);
        take.frames
            .extend(TakeFrame::of_room(capture, capture.time));
    }
    write_json(&arguments.out.join("people.json"), &people)?;
    if !sheets.is_empty() {
        contact_sheet(&sheets, room.views().len() as u32)
            .save(arguments.out.join("overlay.png"))?;
    }
    if take.frames.is_empty() {
        return Err(
            "nobody was found in these clips by two cameras at once; is the calibration theirs?"
                .into(),
        );
    }
    save_glb(arguments, &take)?;
    // All that is there was captured; whoever counts on whole clips must know all the same.
    clips
        .cut_short()
        .next()
        .map_or(Ok(()), |error| Err(error.clone().into()))
}

/// Each view's picture with the people in space drawn where the camera should show them.
fn pictures(frames: &[Option<Frame>], captured: &RoomCapture, views: &[View]) -> Vec<RgbImage> {
    const HEIGHT: u32 = 300;
    let draw = |(frame, view): (&Option<Frame>, &View)| {
        let Some(frame) = frame else {
            return RgbImage::new(HEIGHT, HEIGHT);
        };
        let scale = HEIGHT as f32 / frame.image.height() as f32;
        let width = (frame.image.width() as f32 * scale) as u32;
        let mut small = resize(
            frame.image.as_ref(),
            width.max(1),
            HEIGHT,
            FilterType::Triangle,
        );
        for person in &captured.people {
            let mut pose = Pose2d::default();
            for (joint, found) in person.joints.present() {
                pose[joint] = view.project(found.position).map(|pixel| Keypoint {
                    position: Vec2::new(pixel.x as f32, pixel.y as f32),
                    confidence: Confidence::new(if found.views > 0 { 1.0 } else { 0.5 }),
                });
            }
            draw_pose(&mut small, &pose, scale, 2.5);
        }
        small
    };
    frames.iter().zip(views).map(draw).collect()
}

fn report(captures: &[RoomCapture]) {
    let count = captures.len().max(1) as f64;
    let with_people = captures
        .iter()
        .filter(|capture| !capture.people.is_empty())
        .count();
    println!(
        "moments: {}, with a person: {with_people} ({:.1} %)",
        captures.len(),
        100.0 * with_people as f64 / count
    );
    let mut shown = std::collections::BTreeMap::<u32, usize>::new();
    for person in captures.iter().flat_map(|capture| &capture.people) {
        *shown.entry(person.id).or_default() += 1;
    }
    for (id, moments) in shown {
        println!("person {id}: {moments} moments");
    }
    let row = |name: &str, of: &dyn Fn(&RoomCapture) -> Duration| {
        let total: f64 = captures
            .iter()
            .map(|capture| of(capture).as_secs_f64())
            .sum();
        println!("{name:10} {:9.2} ms a moment", total / count * 1e3);
    };
    row("people", &|capture| capture.times.people);
    row("keypoints", &|capture| capture.times.keypoints);
    row("looks", &|capture| capture.times.looks);
    row("all views", &|capture| capture.times.views);
    row("space", &|capture| capture.times.space);
}
