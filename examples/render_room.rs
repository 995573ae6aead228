//! Renders a room of virtual webcams into clips, with the cameras and the truth beside them, for trying everything else:
//! `cargo run --release --example render_room -- --cameras 4 --people 2 --out room`.

#[path = "support/studio.rs"]
mod studio;
#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use bevy::math::DVec3;
use bevy_pose_capture::calibrate::board::Board;
use bevy_pose_capture::calibrate::files;
use bevy_pose_capture::camera::{Distortion, View};
use bevy_pose_capture::skeleton::Joint;
use bevy_pose_capture::source::synthetic::cameras_around;
use bevy_pose_capture::source::virtual_webcam::{Bump, Faults};
use clap::Parser;
use image::RgbImage;
use indicatif::{ProgressBar, ProgressStyle};
use studio::{Studio, avatars, walkers};

type AnyError = Box<dyn std::error::Error>;

/// Renders people who walk about in a room, as webcams would see them.
///
/// Into the folder go a clip of each camera, `cameras.toml`, `truth.json` (where everybody's joints are: the format of people in
/// space) and `room.png`, a picture of what the cameras see.
#[derive(Parser)]
struct Arguments {
    /// The folder; it is made.
    #[arg(long, default_value = "room")]
    out: PathBuf,
    /// How many cameras stand in a circle.
    #[arg(long, default_value_t = 4)]
    cameras: usize,
    /// How far from the middle they stand, in metres.
    #[arg(long, default_value_t = 4.5)]
    radius: f64,
    /// Your own room in place of a circle: a file of cameras, in any form that is known.
    #[arg(long, conflicts_with_all = ["cameras", "radius"])]
    layout: Option<PathBuf>,
    /// A chessboard of so many inner corners, as in `9x6`, is carried about in the middle, and lies on the floor in the last two
    /// seconds: for `calibrate room`.
    #[arg(long, value_name = "COLUMNSxROWS", value_parser = corners)]
    board: Option<(u32, u32)>,
    /// Side of its squares, in metres.
    #[arg(long, default_value_t = 0.09)]
    square: f64,
    /// How many people walk about.
    #[arg(long, default_value_t = 2)]
    people: usize,
    /// Avatars that they are, in turn: `.glb` or `.vrm` files.
    #[arg(long, num_args = 1..)]
    avatar: Vec<PathBuf>,
    /// How long, in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Pictures a second.
    #[arg(long, default_value_t = 30.0)]
    rate: f64,
    /// Size of the pictures; with `--layout` it is the file's.
    #[arg(long, default_value = "640x480", value_parser = size)]
    size: (u32, u32),
    /// Standard deviation of each pixel, of 255.
    #[arg(long, default_value_t = 3.0)]
    noise: f32,
    /// Seconds for which each picture is exposed: who moves is blurred. Takes five times as long where it is not 0.
    #[arg(long, default_value_t = 0.0)]
    exposure: f64,
    /// Barrel distortion of the lenses (Brown–Conrady's k1); with `--layout` the lenses are the file's.
    #[arg(long, default_value_t = -0.08, allow_negative_numbers = true)]
    k1: f64,
    /// What is wrong with a camera: `NUMBER:mirror`, `NUMBER:late=0.08` (seconds), `NUMBER:drop=0.2` (share of its pictures),
    /// `NUMBER:bump=5` (from that second on it is turned by a degree and moved by 2 cm), `NUMBER:swap=OTHER` (its clip is the
    /// other's). May be given several times.
    #[arg(long, value_name = "NUMBER:FAULT")]
    fault: Vec<String>,
}

/// Two numbers, as in `640x480`.
fn pair(text: &str) -> Option<(u32, u32)> {
    let (one, two) = text.split_once('x')?;
    Some((one.parse().ok()?, two.parse().ok()?))
}

/// Inner corners of a board.
fn corners(text: &str) -> Result<(u32, u32), String> {
    pair(text)
        .filter(|(columns, rows)| (3..=40).contains(columns) && (3..=40).contains(rows))
        .ok_or_else(|| format!("{text:?} is no board of 3x3 to 40x40 inner corners"))
}

/// Width and height of pictures.
fn size(text: &str) -> Result<(u32, u32), String> {
    pair(text)
        .filter(|(w, h)| (16..=4096).contains(w) && (16..=4096).contains(h))
        .ok_or_else(|| format!("{text:?} is no size of 16x16 to 4096x4096"))
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("render_room: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is wrong with each camera, and whose clip each one's is.
fn faults(arguments: &Arguments, count: usize) -> Result<(Vec<Faults>, Vec<usize>), String> {
    let usual = Faults {
        noise: arguments.noise,
        exposure: arguments.exposure,
        ..Faults::default()
    };
    let mut all = vec![usual; count];
    let mut shows: Vec<usize> = (0..count).collect();
    for text in &arguments.fault {
        let wrong = || {
            format!(
                "--fault {text}: say a camera's number from 0 to {}, a colon, and one of mirror, late=SECONDS, drop=SHARE, bump=SECOND, \
                 swap=OTHER",
                count.saturating_sub(1)
            )
        };
        let (camera, what) = text.split_once(':').ok_or_else(wrong)?;
        let camera: usize = camera.parse().map_err(|_| wrong())?;
        let faults = all.get_mut(camera).ok_or_else(wrong)?;
        let (what, value) = what.split_once('=').unwrap_or((what, ""));
        let number = || value.parse::<f64>().map_err(|_| wrong());
        match what {
            "mirror" => faults.mirrored = true,
            "late" => faults.late = number()?.max(0.0),
            "drop" => faults.dropped = number()?.clamp(0.0, 0.95),
            "bump" => {
                faults.bump = Some(Bump {
                    at: number()?,
                    turn: 1_f64.to_radians(),
                    shift: DVec3::X * 0.02,
                });
            }
            "swap" => {
                let other: usize = value.parse().map_err(|_| wrong())?;
                if other >= count {
                    return Err(wrong());
                }
                shows.swap(camera, other);
            }
            _ => return Err(wrong()),
        }
    }
    Ok((all, shows))
}

/// For so many seconds at the end the board lies on the floor.
const LYING: f64 = 2.0;

fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let views = match &arguments.layout {
        Some(file) => files::read(file)?.into_bevy(),
        None => {
            let mut views = cameras_around(arguments.cameras, arguments.radius);
            for view in &mut views {
                let lens = &mut view.intrinsics;
                *lens = bevy_pose_capture::camera::Intrinsics::assumed(
                    arguments.size.0,
                    arguments.size.1,
                );
                lens.distortion = Distortion {
                    k1: arguments.k1,
                    ..Distortion::default()
                };
                view.name = view.name.replace(' ', "_");
            }
            views
        }
    };
    let (seconds, rate) = (arguments.seconds, arguments.rate);
    if views.is_empty() || !(0.1..=600.0).contains(&seconds) || !(1.0..=240.0).contains(&rate) {
        return Err(
            "there must be a camera, 0.1 to 600 seconds, and 1 to 240 pictures a second".into(),
        );
    }
    let (faults, shows) = faults(arguments, views.len())?;
    let avatars = avatars(&arguments.avatar)?;
    std::fs::create_dir_all(&arguments.out)
        .map_err(|error| format!("cannot make {}: {error}", arguments.out.display()))?;
    let webcams: Vec<(View, Faults)> = views.iter().cloned().zip(faults).collect();
    let mut studio = Studio::open(
        &walkers(arguments.people),
        &avatars,
        &webcams,
        arguments.rate,
    )?;
    if let Some((columns, rows)) = arguments.board {
        let board = Board {
            columns,
            rows,
            square: arguments.square,
            markers: None,
        };
        board.has_top()?;
        // From afar it would be too narrow to be seen.
        let near_the_first = views[0].extrinsics.centre() * 0.3;
        studio.carry(&board, arguments.seconds - LYING, near_the_first)?;
    }
    let mut clips = webcams
        .iter()
        .enumerate()
        .map(|(n, (view, faults))| {
            // Whose pictures are swapped go into the other's file.
            let name = &views[shows[n]].name;
            let file = arguments.out.join(format!("{name}.mp4"));
            Clip::begin(&file, view, faults, arguments.rate)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let count = (arguments.seconds * arguments.rate).round() as u64;
    let bar = ProgressBar::new(count).with_style(ProgressStyle::with_template(
        "rendering {bar:40} {pos}/{len} moments, {eta} left",
    )?);
    let mut truth = Vec::new();
    let mut written = 0;
    while studio.time() < arguments.seconds {
        studio.step();
        // What is true is written at the pace of a camera that is on time.
        let number = (studio.time() * arguments.rate + 1e-3).floor() as u64;
        if number >= written {
            truth.push((number, studio.truth()));
            written = number + 1;
            bar.set_position(written);
        }
        take(&studio, &mut clips)?;
    }
    studio.flush();
    take(&studio, &mut clips)?;
    bar.finish();
    let sheet = sheet(&clips);
    for clip in clips {
        clip.end()?;
    }
    sheet.save(arguments.out.join("room.png"))?;
    files::write(&arguments.out.join("cameras.toml"), &views)?;
    write_truth(&arguments.out.join("truth.json"), &truth)?;
    println!("saved {}", arguments.out.display());
    Ok(())
}

/// Writes what has come out of the webcams.
fn take(studio: &Studio, clips: &mut [Clip]) -> Result<(), AnyError> {
    for (source, clip) in studio.sources().zip(clips) {
        while let Some(picture) = source.try_next() {
            clip.write(picture.time, picture.image)?;
        }
    }
    Ok(())
}

/// A clip that is being encoded.
struct Clip {
    file: PathBuf,
    encoder: Child,
    rate: f64,
    written: u64,
    last: RgbImage,
    middle: RgbImage,
}

impl Clip {
    fn begin(file: &Path, view: &View, faults: &Faults, rate: f64) -> Result<Clip, AnyError> {
        let size = format!("{}x{}", view.intrinsics.width, view.intrinsics.height);
        let mut encoder = Command::new("ffmpeg");
        encoder
            .args([
                "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s",
            ])
            .arg(size)
            .args(["-r", &rate.to_string(), "-i", "-"]);
        if faults.dropped > 0.0 {
            // A picture that is lost is written as its neighbour again, and taken out here: what is left keeps its time.
            encoder.args([
                "-vf",
                "mpdecimate=hi=1:lo=1:frac=1",
                "-fps_mode",
                "passthrough",
            ]);
        }
        let encoder = encoder
            .args([
                "-c:v", "libx264", "-crf", "20", "-preset", "veryfast", "-pix_fmt", "yuv420p",
            ])
            .arg(file)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| format!("ffmpeg does not start: {error}"))?;
        Ok(Clip {
            file: file.into(),
            encoder,
            rate,
            written: 0,
            last: RgbImage::default(),
            middle: RgbImage::default(),
        })
    }

    fn write(&mut self, time: f64, image: RgbImage) -> Result<(), AnyError> {
        let number = (time * self.rate).round() as u64;
        if self.written > 0 {
            for _ in self.written..number {
                self.pipe()?;
            }
        }
        self.written = self.written.max(number);
        self.last = image;
        self.pipe()?;
        if self.written <= 60 {
            self.middle = self.last.clone();
        }
        Ok(())
    }

    /// Writes the last picture, once more perhaps.
    fn pipe(&mut self) -> Result<(), AnyError> {
        let stdin = self.encoder.stdin.as_mut();
        stdin
            .ok_or("ffmpeg takes no pictures")?
            .write_all(self.last.as_raw())
            .map_err(|error| format!("ffmpeg does not write {}: {error}", self.file.display()))?;
        self.written += 1;
        Ok(())
    }

    fn end(mut self) -> Result<(), AnyError> {
        drop(self.encoder.stdin.take());
        if self.encoder.wait()?.success() {
            Ok(())
        } else {
            Err(format!("ffmpeg could not encode {}", self.file.display()).into())
        }
    }
}

/// What all cameras see, side by side.
fn sheet(clips: &[Clip]) -> RgbImage {
    let across = (clips.len() as f64).sqrt().ceil() as u32;
    let cell = clips.iter().fold((1, 1), |(w, h), clip| {
        let (width, height) = clip.middle.dimensions();
        (w.max(width), h.max(height))
    });
    let rows = (clips.len() as u32).div_ceil(across.max(1));
    let mut sheet = RgbImage::new(cell.0 * across, cell.1 * rows);
    for (n, clip) in clips.iter().enumerate() {
        let (x, y) = (n as u32 % across * cell.0, n as u32 / across * cell.1);
        image::imageops::replace(&mut sheet, &clip.middle, x.into(), y.into());
    }
    sheet
}

fn write_truth(file: &Path, moments: &[(u64, studio::People)]) -> Result<(), AnyError> {
    let names: Vec<&str> = Joint::ALL.iter().map(|joint| joint.name()).collect();
    let frame = |(number, people): &(u64, studio::People)| {
        let person =
            |(id, joints): (usize, &bevy_pose_capture::skeleton::JointMap<Option<DVec3>>)| {
                let places: Vec<Option<[f64; 3]>> = Joint::ALL
                    .iter()
                    .map(|&joint| joints[joint].map(|place| place.to_array()))
                    .collect();
                serde_json::json!({ "id": id, "joints": places })
            };
        let people: Vec<_> = people.iter().enumerate().map(person).collect();
        serde_json::json!({ "frame": number, "people": people })
    };
    let frames: Vec<_> = moments.iter().map(frame).collect();
    let people = serde_json::json!({ "joint_names": names, "frames": frames });
    std::fs::write(file, people.to_string())
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(())
}
