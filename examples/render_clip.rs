//! Renders a motion with the mannequin into a video: how `assets/clips/sample.mp4` was made.
//! `cargo run --example render_clip -- --motion motion.json --out sample.mp4` (see `posetrain.motion`).

#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use bevy::prelude::*;
use bevy_pose_capture::capture::Performer;
use bevy_pose_capture::prelude::*;
use bevy_pose_capture::skeleton::{Joint, Joint3d, Origin, Pose3d};
use clap::Parser;
use support::View;

type AnyError = Box<dyn std::error::Error>;

/// Renders a motion with the mannequin into a video.
#[derive(Parser)]
struct Arguments {
    /// JSON of `joint_names`, `rate` and `frames` of joints in metres, y up.
    #[arg(long)]
    motion: PathBuf,
    /// The video.
    #[arg(long)]
    out: PathBuf,
}

#[derive(serde::Deserialize)]
struct Motion {
    joint_names: Vec<Joint>,
    rate: f64,
    frames: Vec<Vec<[f32; 3]>>,
}

const SIZE: (u32, u32) = (640, 480);

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("render_clip: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let motion: Motion = serde_json::from_slice(&std::fs::read(&arguments.motion)?)?;
    let mut app = App::new();
    app.add_plugins((support::headless_plugins()?, PoseCapturePlugin::default()));
    support::finish(&mut app);
    let view = View {
        eye: Vec3::new(0.0, 1.35, 4.4),
        target: Vec3::new(0.0, 0.92, 0.0),
    };
    let target = support::spawn_headless_stage(&mut app, view, SIZE.0, SIZE.1)?;
    let model = app
        .world()
        .resource::<AssetServer>()
        .load("avatars/mannequin.glb#Scene0");
    app.world_mut()
        .spawn((WorldAssetRoot(model), Avatar::default()));
    let avatar = support::wait_for_avatar(&mut app)?;
    let mut encoder = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-y",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            &format!("{}x{}", SIZE.0, SIZE.1),
        ])
        .args([
            "-r",
            &motion.rate.to_string(),
            "-i",
            "-",
            "-c:v",
            "libx264",
            "-crf",
            "27",
            "-preset",
            "slow",
            "-pix_fmt",
            "yuv420p",
        ])
        .arg(&arguments.out)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("ffmpeg does not start: {error}"))?;
    let mut performer: Option<Entity> = None;
    for (number, frame) in motion.frames.iter().enumerate() {
        let mut pose = Pose3d::default();
        for (&joint, place) in motion.joint_names.iter().zip(frame) {
            pose[joint] = Some(Joint3d {
                position: Vec3::from(*place),
                sigma: 0.02,
                origin: Origin::Lifted,
            });
        }
        let now = Performer::scripted(avatar, pose, number as f64 / motion.rate);
        let hips = bevy_pose_capture::retarget::solve::hips_of(&now.pose).unwrap_or_default();
        if let Some(mut entity) =
            performer.and_then(|entity| app.world_mut().get_entity_mut(entity).ok())
        {
            entity.insert(now);
        } else {
            performer = Some(app.world_mut().spawn(now).id());
            // The avatar begins at its entity's place: that is where the motion begins.
            if let Some(mut place) = app.world_mut().get_mut::<Transform>(avatar) {
                place.translation = hips.with_y(0.0);
            }
        }
        let picture =
            support::photograph(&mut app, &target).ok_or("the renderer gave no picture")?;
        encoder
            .stdin
            .as_mut()
            .ok_or("ffmpeg takes no pictures")?
            .write_all(picture.as_raw())?;
    }
    drop(encoder.stdin.take());
    if !encoder.wait()?.success() {
        return Err("ffmpeg could not encode the video".into());
    }
    println!(
        "{} frames are in {}",
        motion.frames.len(),
        arguments.out.display()
    );
    Ok(())
}
