//! `evaluate -- lift`: bodies in space from one view over time, scored on motions that no network was trained on.

mod errors;
mod plots;
mod views;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bevy::math::{DVec2, Vec2, Vec3};
use bevy_pose_capture::camera::Intrinsics;
use bevy_pose_capture::inference::Task;
use bevy_pose_capture::lift::lifter::{Lifted, Lifter, Window};
use bevy_pose_capture::record::exchange::{JointsFile, keypoint_named};
use bevy_pose_capture::refine::limbs::Limbs;
use bevy_pose_capture::refine::smooth::{SmoothPose, SmoothSettings};
use bevy_pose_capture::refine::steady::Steady;
use bevy_pose_capture::skeleton::{Confidence, Joint, Keypoint, Pose2d, Pose3d};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::networks::NetworkArguments;
use crate::{AnyError, read_json};
use errors::Tally;
use views::{Clip, Motions, Noise, Seen, Shot};

/// Bodies in space, from one view over time.
///
/// With --motions, people of mocap are seen by virtual webcams (0.5 to 2.5 m high, 1 to 8 m away, 40 to 100 degrees wide, rolled by up
/// to 10) and the results are scored: exact joints, the noise of the embedded keypoint network, joints hidden; a table, a plot and a
/// sheet of skeletons. With --keypoints, the joints of a file of `record_clip` are lifted for a scorer.
#[derive(clap::Args)]
pub struct Arguments {
    /// Motions to score on, written by `python -m posetrain.held`.
    #[arg(
        long,
        conflicts_with = "keypoints",
        required_unless_present = "keypoints"
    )]
    motions: Option<PathBuf>,
    /// How a detector errs, as `python -m posetrain.errors` measured it; without it there is no row of noise.
    #[arg(long, requires = "motions")]
    errors: Option<PathBuf>,
    /// Joints of people in one view, as `record_clip` writes them.
    #[arg(long)]
    keypoints: Option<PathBuf>,
    /// With --motions, the folder for lift.md, lift.json and the pictures (target/lift where it is left out); with --keypoints, the
    /// file of joints in space.
    #[arg(long, required_unless_present = "motions")]
    out: Option<PathBuf>,
    #[command(flatten)]
    networks: NetworkArguments,
}

/// Lifts, and scores or writes.
pub fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let (models, engine) = (arguments.networks.models()?, arguments.networks.engine());
    let mut lifter = Lifter::load(
        models.of(Task::Lift)?,
        &engine,
        arguments.networks.threads(1),
    )?;
    println!("{} on {}", lifter.name(), engine.describe());
    match (&arguments.motions, &arguments.keypoints, &arguments.out) {
        (Some(motions), _, out) => {
            let out = out.clone().unwrap_or_else(|| "target/lift".into());
            score(&mut lifter, motions, arguments.errors.as_deref(), &out)
        }
        (None, Some(keypoints), Some(out)) => lift_file(&mut lifter, keypoints, out),
        _ => Err("say --motions FILE, or --keypoints FILE and --out FILE".into()),
    }
}

/// What is done to the joints before they are lifted.
struct Condition {
    name: String,
    noise: Option<Noise>,
    /// Share of the joints that are hidden, each for half a second at a time.
    hidden: f64,
    /// Whether the lifter is told where up is.
    levelled: bool,
    after: After,
}

/// What is done with people who are lifted.
#[derive(Clone, Copy)]
enum After {
    Nothing,
    /// Their bones keep their lengths, and they are smoothed as a live camera's;
    Live,
    /// or as a clip's.
    Clip,
}

/// How well it went under one condition.
#[derive(Serialize)]
struct Row {
    condition: String,
    hidden: f64,
    /// Not a row of more and more joints hidden.
    #[serde(skip)]
    apart: bool,
    #[serde(flatten)]
    tally: Tally,
}

fn score(
    lifter: &mut Lifter,
    file: &Path,
    errors: Option<&Path>,
    out: &Path,
) -> Result<(), AnyError> {
    let motions: Motions = read_json(file, "motions")?;
    motions.check(file)?;
    let plain = |name: &str, noise, hidden| Condition {
        name: name.to_owned(),
        noise,
        hidden,
        levelled: false,
        after: After::Nothing,
    };
    let levelled = |name: &str, noise| Condition {
        levelled: true,
        ..plain(&format!("{name}, up is known"), noise, 0.0)
    };
    let mut conditions = vec![
        plain("exact joints", None, 0.0),
        levelled("exact joints", None),
    ];
    if let Some(errors) = errors {
        let noise: Noise = read_json(errors, "a detector's errors")?;
        noise.check(errors)?;
        let name = "noise of the keypoint network";
        conditions.push(plain(name, Some(noise.clone()), 0.0));
        conditions.push(levelled(name, Some(noise.clone())));
        for (what, after) in [("live", After::Live), ("in a clip", After::Clip)] {
            let name = format!("the same, made steady as {what}");
            conditions.push(Condition {
                name,
                after,
                ..levelled("", Some(noise.clone()))
            });
        }
    }
    for percent in [10, 30, 50, 70, 90] {
        let name = format!("{percent} % of the joints hidden");
        conditions.push(plain(&name, None, f64::from(percent) / 100.0));
    }
    let bar = ProgressBar::new((conditions.len() * motions.clips.len()) as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} clips, {eta} left")?,
    );
    let clips = (0..).zip(&motions.clips);
    let shots: Vec<(u64, &Clip, Shot)> = clips
        .map(|(seed, clip)| (seed, clip, Shot::of(clip, seed)))
        .collect();
    let (mut rows, mut sheet) = (Vec::new(), Vec::new());
    let (mut spent, mut frames) = (Duration::ZERO, 0);
    for condition in conditions {
        let mut tally = Tally::default();
        for (seed, clip, shot) in &shots {
            let found = lift_shot(lifter, shot, motions.rate, &condition, *seed, &mut spent)?;
            frames += found.len();
            tally.take(&clip.activity, &found);
            // The middle frames of some clips are drawn, as they are found from exact joints.
            if rows.is_empty() && seed % 7 == 0 {
                sheet.extend(found.into_iter().flatten().nth(shot.frames.len() / 2));
            }
            bar.inc(1);
        }
        rows.push(Row {
            condition: condition.name,
            hidden: condition.hidden,
            apart: condition.noise.is_some() || condition.levelled,
            tally,
        });
    }
    bar.finish_and_clear();
    let table = table(&rows)?;
    println!("{table}");
    let each = spent.as_secs_f64() / frames.max(1) as f64;
    println!("{:.2} ms a frame of one person", each * 1e3);
    std::fs::create_dir_all(out)
        .map_err(|error| format!("cannot make {}: {error}", out.display()))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    write("lift.md", table.as_bytes())?;
    write("lift.json", &serde_json::to_vec_pretty(&rows)?)?;
    let hidden: Vec<(f64, f64, f64)> = rows
        .iter()
        .filter(|row| !row.apart)
        .map(|row| (row.hidden, row.tally.all.mpjpe(), row.tally.all.p_mpjpe()))
        .collect();
    plots::by_hidden(&hidden, &out.join("hidden.svg"))?;
    plots::skeletons(&sheet, &out.join("skeletons.svg"))?;
    println!(
        "saved lift.md, lift.json, hidden.svg and skeletons.svg in {}",
        out.display()
    );
    Ok(())
}

/// A frame as it is and as it was found, both in the camera frame.
struct Pair {
    truth: Pose3d,
    found: Pose3d,
}

/// Lifts one clip, frame by frame; `None` where too little was seen. Adds how long that took.
fn lift_shot(
    lifter: &mut Lifter,
    shot: &Shot,
    rate: f64,
    condition: &Condition,
    seed: u64,
    spent: &mut Duration,
) -> Result<Vec<Option<Pair>>, AnyError> {
    let mut window = Window::default();
    let seen = Seen::of(shot, condition.noise.as_ref(), condition.hidden, seed);
    let up = condition.levelled.then_some(shot.up);
    let time = |number: usize| number as f64 / rate;
    let mut lifted = Vec::with_capacity(shot.frames.len());
    let began = Instant::now();
    for (number, pose) in seen.poses.iter().enumerate() {
        lifted.push(lifter.lift(&mut window, pose, &shot.camera, up, time(number))?);
    }
    *spent += began.elapsed();
    steady(&mut lifted, &shot.camera, time, condition.after);
    let pairs = lifted.into_iter().zip(&shot.frames).map(|(lifted, truth)| {
        lifted.map(|lifted| Pair {
            truth: truth.clone(),
            found: lifted.pose,
        })
    });
    Ok(pairs.collect())
}

/// Does with a person what pipelines do.
fn steady(
    lifted: &mut [Option<Lifted>],
    camera: &Intrinsics,
    time: impl Fn(usize) -> f64,
    after: After,
) {
    let there = |lifted: &mut [Option<Lifted>], each: &mut dyn FnMut(f64, &mut Lifted)| {
        for (number, lifted) in lifted.iter_mut().enumerate() {
            if let Some(lifted) = lifted {
                each(time(number), lifted);
            }
        }
    };
    let (mut limbs, how) = (Limbs::default(), SmoothSettings::default());
    match after {
        After::Nothing => {}
        After::Live => {
            let mut smooth = SmoothPose::default();
            there(lifted, &mut |time, lifted| {
                limbs.settle(lifted);
                smooth.next(lifted, camera, time, &how);
            });
        }
        After::Clip => {
            let mut all = Steady::default();
            there(lifted, &mut |time, lifted| {
                limbs.settle(lifted);
                all.see(0, time, *camera, lifted);
            });
            there(lifted, &mut |time, lifted| {
                all.steady(0, time, camera, lifted, &how);
            });
        }
    }
}

fn table(rows: &[Row]) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(
        out,
        "| | MPJPE mm | N-MPJPE mm | P-MPJPE mm | velocity mm/frame | hips, % of their distance | frames |\n|---|---|---|---|---|---|---|"
    )?;
    for row in rows {
        let all = &row.tally.all;
        writeln!(
            out,
            "| {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {} of {} |",
            row.condition,
            all.mpjpe(),
            all.n_mpjpe(),
            all.p_mpjpe(),
            all.velocity(),
            all.root(),
            all.frames,
            all.frames + row.tally.lost
        )?;
    }
    if let Some(exact) = rows.first() {
        writeln!(
            out,
            "\n| exact joints | MPJPE mm | P-MPJPE mm |\n|---|---|---|"
        )?;
        for (activity, errors) in &exact.tally.activities {
            writeln!(
                out,
                "| {activity} | {:.1} | {:.1} |",
                errors.mpjpe(),
                errors.p_mpjpe()
            )?;
        }
        for (joint, error) in exact.tally.all.joints() {
            writeln!(out, "| {} | {error:.1} | |", joint.name().replace('_', " "))?;
        }
    }
    Ok(out)
}

/// Joints of people in one view.
#[derive(Deserialize)]
struct KeypointsFile {
    camera: String,
    width: u32,
    height: u32,
    #[serde(rename = "K")]
    k: Option<[[f64; 3]; 3]>,
    joint_names: Vec<String>,
    frames: Vec<KeypointsFrame>,
}

#[derive(Deserialize)]
struct KeypointsFrame {
    frame: u64,
    time: f64,
    up: Option<[f32; 3]>,
    people: Vec<KeypointsPerson>,
}

#[derive(Deserialize)]
struct KeypointsPerson {
    id: u32,
    keypoints: Vec<Option<[f32; 3]>>,
}

impl KeypointsFile {
    fn camera(&self) -> Intrinsics {
        let mut camera = Intrinsics::assumed(self.width, self.height);
        if let Some([[fx, _, cx], [_, fy, cy], _]) = self.k {
            camera.focal = DVec2::new(fx, fy);
            camera.principal = DVec2::new(cx, cy);
        }
        camera
    }

    /// The joints by name; `None` for points that are no joint of ours.
    fn joints(&self, path: &Path) -> Result<Vec<Option<Joint>>, String> {
        let names = self.joint_names.iter();
        let joints: Vec<Option<Joint>> = names.map(|name| keypoint_named(name)).collect();
        let people = || self.frames.iter().flat_map(|frame| &frame.people);
        let path = path.display();
        if let Some([[fx, _, _], [_, fy, _], _]) = self.k
            && !(fx > 0.0 && fy > 0.0)
        {
            return Err(format!("the focal lengths in K of {path} are not above 0"));
        }
        if joints.iter().flatten().count() < 3 {
            return Err(format!("{path} names no three joints that can be lifted"));
        }
        if people().any(|person| person.keypoints.len() != joints.len()) {
            return Err(format!(
                "each person of {path} needs a keypoint, or null, for each of its joint_names"
            ));
        }
        Ok(joints)
    }

    /// Whoever is in most of the frames.
    fn leading(&self) -> Option<u32> {
        let ids = self.frames.iter().flat_map(|frame| &frame.people);
        let mut counts = std::collections::BTreeMap::new();
        for person in ids {
            *counts.entry(person.id).or_insert(0_usize) += 1;
        }
        counts
            .into_iter()
            .max_by_key(|&(_, count)| count)
            .map(|(id, _)| id)
    }
}

impl KeypointsFrame {
    fn up(&self) -> Option<Vec3> {
        Vec3::from_array(self.up?).try_normalize()
    }
}

impl KeypointsPerson {
    fn pose(&self, joints: &[Option<Joint>]) -> Pose2d {
        let mut pose = Pose2d::default();
        for (&joint, point) in joints.iter().zip(&self.keypoints) {
            if let (Some(joint), Some([x, y, sure])) = (joint, *point) {
                pose[joint] = Some(Keypoint {
                    position: Vec2::new(x, y),
                    confidence: Confidence::new(sure),
                });
            }
        }
        pose
    }
}

/// Lifts the person who is in most frames of a file.
fn lift_file(lifter: &mut Lifter, path: &Path, out: &Path) -> Result<(), AnyError> {
    let file: KeypointsFile = read_json(path, "keypoints")?;
    let leading = file
        .leading()
        .ok_or_else(|| format!("nobody is in {}: there is nothing to lift", path.display()))?;
    let (camera, mut window) = (file.camera(), Window::default());
    let joints = file.joints(path)?;
    let (mut written, mut lifted_frames) = (JointsFile::new(&file.camera), 0);
    for frame in &file.frames {
        let Some(person) = frame.people.iter().find(|person| person.id == leading) else {
            continue;
        };
        let pose = person.pose(&joints);
        if let Some(lifted) = lifter.lift(&mut window, &pose, &camera, frame.up(), frame.time)? {
            written.push_lifted(frame.frame, &lifted);
            lifted_frames += 1;
        }
    }
    println!(
        "person {leading}: {lifted_frames} of {} frames",
        file.frames.len()
    );
    std::fs::write(out, serde_json::to_vec(&written)?)
        .map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    println!("saved {}", out.display());
    Ok(())
}
