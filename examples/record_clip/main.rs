//! Turns a clip into a take, without a window and without a GPU:
//! `cargo run --example record_clip -- --input CLIP.mp4 --out DIR`; or several clips of one room, with their cameras:
//! `--input A.mp4 B.mp4 --calibration cameras.toml`.

#[path = "../support/models.rs"]
mod models;
#[path = "../support/networks.rs"]
mod networks;
mod room;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bevy_pose_capture::calibrate::attitude;
use bevy_pose_capture::inference::{Engine, Models};
use bevy_pose_capture::pipeline::{Capture, ClipPipeline, Pipeline, PipelineSettings};
use bevy_pose_capture::record::exchange::{JointsFile, KeypointsFile};
use bevy_pose_capture::record::gltf::AvatarFile;
use bevy_pose_capture::record::overlay::{contact_sheet, overlay};
use bevy_pose_capture::record::take::{Take, TakeFrame, TakeWriter};
use bevy_pose_capture::recording::export;
use bevy_pose_capture::retarget::humanoid::table_entry;
use bevy_pose_capture::source::{CaptureEvent, Pace, SourceSpec, capture};
use bevy_pose_capture::worker::{Received, WhenFull, Worker, mailbox};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use networks::NetworkArguments;

type AnyError = Box<dyn std::error::Error>;

/// Captures the person in a clip: keypoints, joints in space, a glTF animation, pictures to look at, a table of times.
#[derive(Parser)]
struct Arguments {
    /// A video file or a folder of pictures; several of them, taken at the same time, with --calibration.
    #[arg(long, required = true, num_args = 1..)]
    input: Vec<String>,
    /// The cameras of several clips, as `calibrate` writes them; also aniposelib's TOML, Qualisys' .qca.txt, or JSON.
    #[arg(long)]
    calibration: Option<PathBuf>,
    /// `NAME=SECONDS`: the clip of that name began so much later than the first, as `calibrate check` tells; with --calibration.
    #[arg(long, value_parser = delay, requires = "calibration", allow_negative_numbers = true)]
    delay: Vec<(String, f64)>,
    /// Correct the people over time at the end: what cameras got wrong for a moment is mended by what came before and after. For
    /// several clips, of people who are seen for 41 pictures or more on end; capture.take keeps what was seen.
    #[arg(long, requires = "calibration")]
    refine: bool,
    /// Folder for capture.glb, capture.take, keypoints.json and joints.json (of a room people.json) and the pictures; made where it is missing.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    networks: NetworkArguments,
    /// The .glb or .vrm whose skin capture.glb gets; our mannequin where it is left out.
    #[arg(long)]
    avatar: Option<PathBuf>,
    /// `BONE=NODE`: a bone of the avatar (VRM's name, such as leftHand) whose node is not found by itself.
    #[arg(long, value_parser = table_entry)]
    bone: Vec<(String, String)>,
    /// Name of the camera in keypoints.json and joints.json; the clip's name where it is left out.
    #[arg(long)]
    camera: Option<String>,
    /// Do not draw pictures.
    #[arg(long)]
    no_pictures: bool,
}

/// `NAME=SECONDS`.
fn delay(text: &str) -> Result<(String, f64), String> {
    let parsed = text
        .rsplit_once('=')
        .and_then(|(name, seconds)| Some((name.to_owned(), seconds.parse::<f64>().ok()?)));
    parsed
        .filter(|(_, seconds)| seconds.abs() < 3600.0)
        .ok_or_else(|| format!("{text:?}: say the name of a clip, =, and seconds"))
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("record_clip: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), AnyError> {
    for input in &arguments.input {
        if SourceSpec::parse(input).is_live() {
            return Err(format!(
                "{input} has no end; this example takes a video file or a folder of pictures (drive_avatar records webcams)"
            )
            .into());
        }
    }
    let bone_table: HashMap<String, String> = arguments.bone.iter().cloned().collect();
    std::fs::create_dir_all(&arguments.out).map_err(|error| {
        format!(
            "cannot make the folder {}: {error}",
            arguments.out.display()
        )
    })?;
    if let Some(avatar) = &arguments.avatar {
        // Known to be of use before minutes are spent on the clip.
        AvatarFile::open(avatar)?.rig(&bone_table)?;
    }
    let (models, engine) = (arguments.networks.models()?, arguments.networks.engine());
    println!("engine: {}", engine.describe());
    match (&arguments.calibration, arguments.input.as_slice()) {
        (Some(calibration), _) => room::run(arguments, calibration, &models, &engine),
        (None, [input]) => single(arguments, input, &models, &engine),
        (None, _) => Err("several clips need the cameras that took them: --calibration cameras.toml (see the example calibrate)".into()),
    }
}

/// Captures the person in one clip.
fn single(
    arguments: &Arguments,
    input: &str,
    models: &Models,
    engine: &Engine,
) -> Result<(), AnyError> {
    let spec = SourceSpec::parse(input);
    let mut pipeline = ClipPipeline::from(Pipeline::new(
        models,
        engine,
        arguments.networks.threads(2),
        None,
        PipelineSettings::default(),
    )?);

    let name = spec.name();
    let (outbox, inbox) = mailbox(4, WhenFull::Wait);
    let reader = Worker::spawn("pose capture: source", move |stop| {
        capture(&spec, Pace::AsFastAsPossible, &outbox, stop)
    })?;
    let next = || match inbox.receive(Duration::from_secs(30)) {
        Received::Item(CaptureEvent::Failed(error) | CaptureEvent::Lost(error)) => {
            Err(error.into())
        }
        Received::Item(event) => Ok(event),
        Received::Empty | Received::Closed => {
            Err(AnyError::from("the source stopped giving frames"))
        }
    };
    let CaptureEvent::Opened { rate, length } = next()? else {
        return Err("the source gave pictures before it was open".into());
    };
    let bar = ProgressBar::new(length.unwrap_or(0)).with_style(bar_style()?);
    bar.set_message(name.clone());

    let mut take = Take::new(&name, (0, 0));
    let mut writer = TakeWriter::create(&arguments.out.join("capture.take"))?;
    let mut captures: Vec<Capture> = Vec::new();
    let mut sheets = Vec::new();
    let camera = arguments.camera.as_ref().unwrap_or(&name);
    let mut keypoints = KeypointsFile::new(camera, rate.unwrap_or(30.0));
    let tile_every = (length.unwrap_or(100) / 24).max(1);
    let mut take_in = |known: Vec<Capture>| -> Result<(), AnyError> {
        for mut capture in known {
            if captures.is_empty() {
                take.header.size = (capture.camera.width, capture.camera.height);
                writer.begin(&take.header)?;
            }
            keypoints.push(&capture);
            for frame in TakeFrame::of(&capture, capture.frame.time) {
                writer.push(&frame)?;
                take.frames.push(frame);
            }
            if !arguments.no_pictures && capture.frame.number % tile_every == 0 {
                sheets.push(overlay(&capture, 270));
            }
            // The picture is drawn; a long clip's pictures would not fit into memory.
            capture.frame.image = Default::default();
            captures.push(capture);
            bar.inc(1);
        }
        Ok(())
    };
    let mut cut_short: Option<AnyError> = loop {
        match next() {
            Ok(CaptureEvent::Frame(frame)) => match pipeline.process(frame) {
                Ok(known) => take_in(known)?,
                Err(error) => break Some(error.into()),
            },
            Ok(CaptureEvent::Ended(cut_short)) => break cut_short.map(Into::into),
            Ok(_) => {}
            Err(error) => break Some(error),
        }
    };
    // What was seen until then counts, whatever ended it.
    let last = loop {
        match pipeline.finish() {
            Ok(last) => break last,
            // It leaves out the frame that it failed in.
            Err(error) => {
                cut_short.get_or_insert(error.into());
            }
        }
    };
    take_in(last)?;
    bar.finish();
    drop(reader);

    writer.flush()?;
    report(&captures);
    let person = take.main_person();
    if person.is_empty() {
        return Err(cut_short.unwrap_or_else(|| format!("nobody was found in {name}").into()));
    }
    let mut joints = JointsFile::new(camera);
    for capture in &captures {
        joints.push(capture, &person);
    }
    write_json(&arguments.out.join("keypoints.json"), &keypoints)?;
    write_json(&arguments.out.join("joints.json"), &joints)?;
    if !sheets.is_empty() {
        contact_sheet(&sheets, 4).save(arguments.out.join("overlay.png"))?;
    }
    save_glb(arguments, &take)?;
    // All that is there was captured; whoever counts on the whole clip must know all the same.
    cut_short.map_or(Ok(()), Err)
}

fn bar_style() -> Result<ProgressStyle, AnyError> {
    Ok(ProgressStyle::with_template(
        "{msg} {bar:40} {pos}/{len} frames, {per_sec}, {eta} left",
    )?)
}

/// Puts a take on the avatar.
fn save_glb(arguments: &Arguments, take: &Take) -> Result<(), AnyError> {
    let table = arguments.bone.iter().cloned().collect();
    let out = arguments.out.join("capture.glb");
    let glb = export(take, arguments.avatar.as_deref(), &table, &out)?;
    println!("saved {}", glb.display());
    Ok(())
}

fn write_json(path: &std::path::Path, value: &impl serde::Serialize) -> Result<(), AnyError> {
    let failed = |error: String| format!("cannot write {}: {error}", path.display());
    let text = serde_json::to_vec(value).map_err(|error| failed(error.to_string()))?;
    std::fs::write(path, text).map_err(|error| failed(error.to_string()))?;
    Ok(())
}

fn report(captures: &[Capture]) {
    let count = captures.len().max(1) as f64;
    let with_people = captures
        .iter()
        .filter(|capture| !capture.people.is_empty())
        .count();
    println!(
        "frames: {}, with a person: {with_people} ({:.1} %)",
        captures.len(),
        100.0 * with_people as f64 / count
    );
    if let Some(last) = captures.last() {
        println!(
            "camera: {}",
            attitude::in_words(last.up, &last.camera, last.lens)
        );
    }
    println!("{:10} {:>9} {:>9}", "stage", "mean ms", "p95 ms");
    for stage in 0..captures
        .first()
        .map_or(0, |capture| capture.times.rows().len())
    {
        let mut times: Vec<f64> = captures
            .iter()
            .map(|capture| capture.times.rows()[stage].1.as_secs_f64() * 1e3)
            .collect();
        times.sort_by(f64::total_cmp);
        let p95 = times.get(times.len() * 95 / 100).copied().unwrap_or(0.0);
        let name = captures
            .first()
            .map_or("", |capture| capture.times.rows()[stage].0);
        println!(
            "{name:10} {:9.2} {p95:9.2}",
            times.iter().sum::<f64>() / count
        );
    }
    let total: f64 = captures
        .iter()
        .map(|capture| capture.times.without_source().as_secs_f64())
        .sum();
    println!("pipeline without decoding: {:.1} frames/s", count / total);
}
