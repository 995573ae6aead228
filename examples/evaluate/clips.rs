//! `evaluate -- clips`: people in clips, as they are followed by each keypoint network.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bevy::math::Vec2;
use bevy_pose_capture::detect::{DetectSettings, Detector, Person2d};
use bevy_pose_capture::inference::{ModelCard, Task};
use bevy_pose_capture::skeleton::{Joint, Pose2d};
use bevy_pose_capture::source::SourceSpec;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use crate::keypoints::FoundPerson;
use crate::keypoints::labels::LabelledPerson;
use crate::keypoints::score::{Score, joints_of};
use crate::networks::NetworkArguments;
use crate::{AnyError, read_json};

/// People in clips, as they are followed by each keypoint network at hand: how many are told apart, how still joints are that stand still,
/// and, of clips whose joints are known, how many are right and how they shake. Joints that not all of the networks tell are left out.
#[derive(Args)]
pub struct Arguments {
    /// Video files; all those of ../shared/data/clips where none are said.
    #[arg(long, num_args = 1..)]
    clips: Vec<PathBuf>,
    /// Joints of a person in clips: `{"joint_names", "cameras": [{"name", "frames": [{"frame", "keypoints": [[x, y, confidence], ...]}]}]}`;
    /// each camera's are those of the clip whose name ends with the camera's.
    #[arg(long)]
    labels: Option<PathBuf>,
    #[command(flatten)]
    networks: NetworkArguments,
    /// The folder for the table.
    #[arg(long, default_value = "target/clips")]
    out: PathBuf,
}

const CLIPS: &str = "../shared/data/clips";
/// Labels less sure than this are not scored.
const LEAST_SURE: f32 = 0.5;
/// Joints less sure than this are not seen.
const SURE: f32 = 0.3;
/// Seconds over which a joint is watched: it stands still if it goes no further than a fiftieth of the person's box in that time.
const WATCHED: f64 = 0.25;
const STILL: f32 = 0.02;
/// So far in parts of the person's size, and no further, counts what leaps: it is wrong, and shakes no more for being further off.
const LEAP: f32 = 0.1;

#[derive(Deserialize)]
struct Labels {
    joint_names: Vec<String>,
    cameras: Vec<LabelledClip>,
}

#[derive(Deserialize)]
struct LabelledClip {
    name: String,
    frames: Vec<LabelledFrame>,
}

#[derive(Deserialize)]
struct LabelledFrame {
    frame: usize,
    keypoints: Vec<[f32; 3]>,
}

/// A clip, as one network saw it.
struct Seen {
    frames: Vec<Vec<Person2d>>,
    rate: f64,
    time: Duration,
}

/// Mean of what was measured.
#[derive(Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn take(&mut self, number: f32) {
        self.sum += f64::from(number);
        self.count += 1;
    }

    /// In thousandths; `None` where nothing was measured.
    fn thousandths(&self) -> Option<f64> {
        (self.count > 0).then(|| 1e3 * self.sum / f64::from(self.count))
    }
}

/// Follows people through the clips with every network.
pub fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let (models, engine) = (arguments.networks.models()?, arguments.networks.engine());
    let threads = arguments.networks.threads(1);
    println!("engine: {}", engine.describe());
    let labels: Option<Labels> = match &arguments.labels {
        Some(path) => Some(read_json(path, "joints in clips")?),
        None => None,
    };
    let clips = match arguments.clips.as_slice() {
        [] => videos_in(Path::new(CLIPS))?,
        clips => clips.to_vec(),
    };
    let of_joints = models.iter().map(|model| &model.card);
    let cards: Vec<&ModelCard> = of_joints
        .filter(|card| card.task == Task::Keypoints)
        .collect();
    // Joints that one network alone tells would make it better or worse than the others.
    let is_common = |joint: &Joint| cards.iter().all(|card| card.joints().contains(joint));
    let joints: Vec<Joint> = Joint::ALL.iter().copied().filter(is_common).collect();
    let mut table = String::from(
        "| network | clip | people a picture | tracks | joints that stand still shake by | joints right | they shake by | ms a person |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for card in &cards {
        let mut models = models.clone();
        models.prefer(&card.name)?;
        for clip in &clips {
            let mut detector = Detector::new(&models, &engine, threads, DetectSettings::default())?;
            let seen = follow(clip, &mut detector, &card.name)?;
            row(
                &mut table,
                &card.name,
                clip,
                &seen,
                &joints,
                labels.as_ref(),
            )?;
        }
    }
    println!("{table}");
    let path = arguments.out.join("clips.md");
    std::fs::create_dir_all(&arguments.out)
        .and_then(|()| std::fs::write(&path, table))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    println!(
        "saved {}; shakes are in thousandths of the person's size, right is within a tenth",
        path.display()
    );
    Ok(())
}

fn videos_in(folder: &Path) -> Result<Vec<PathBuf>, AnyError> {
    let listed = std::fs::read_dir(folder).map_err(|error| {
        format!(
            "cannot read {}: {error}; say which clips with --clips FILE",
            folder.display()
        )
    })?;
    let mut clips: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    clips.retain(|path| path.extension().is_some_and(|extension| extension == "mp4"));
    clips.sort();
    Ok(clips)
}

fn follow(clip: &Path, detector: &mut Detector, network: &str) -> Result<Seen, AnyError> {
    let mut source = SourceSpec::Video(clip.into()).open()?;
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} pictures, {eta} left")?;
    let bar = ProgressBar::new(source.length().unwrap_or(0)).with_style(style);
    bar.set_message(format!("{network}, {}", stem(clip)));
    let mut seen = Seen {
        frames: Vec::new(),
        rate: source.rate().unwrap_or(30.0),
        time: Duration::ZERO,
    };
    while let Some(picture) = source.next_picture()? {
        let (people, times) = detector.detect(&picture.image, picture.time)?;
        seen.time += times.keypoints;
        seen.frames.push(people);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(seen)
}

fn stem(clip: &Path) -> String {
    clip.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn row(
    table: &mut String,
    network: &str,
    clip: &Path,
    seen: &Seen,
    joints: &[Joint],
    labels: Option<&Labels>,
) -> Result<(), AnyError> {
    let name = stem(clip);
    let shown = |number: Option<f64>| number.map_or(String::new(), |number| format!("{number:.1}"));
    let people: usize = seen.frames.iter().map(Vec::len).sum();
    let of_clip = labels.and_then(|labels| {
        let own = labels
            .cameras
            .iter()
            .find(|camera| name.ends_with(&camera.name))?;
        let named = joints_of(&labels.joint_names).into_iter();
        let common: Vec<Option<Joint>> = named
            .map(|joint| joint.filter(|joint| joints.contains(joint)))
            .collect();
        Some(against(seen, &common, own))
    });
    let (right, shake) = of_clip.map_or((None, None), |(score, shake)| {
        (Some(score.within_tenth()), shake.thousandths())
    });
    writeln!(
        table,
        "| {network} | {name} | {:.2} | {} | {} | {} | {} | {:.1} |",
        people as f64 / seen.frames.len().max(1) as f64,
        tracks(seen).len(),
        shown(standing(seen, joints).thousandths()),
        shown(right),
        shown(shake),
        seen.time.as_secs_f64() * 1e3 / people.max(1) as f64,
    )?;
    Ok(())
}

/// The pictures in which each person is, by number.
fn tracks(seen: &Seen) -> BTreeMap<u32, Vec<(usize, &Person2d)>> {
    let mut tracks: BTreeMap<u32, Vec<(usize, &Person2d)>> = BTreeMap::new();
    for (number, people) in seen.frames.iter().enumerate() {
        for person in people {
            tracks.entry(person.id).or_default().push((number, person));
        }
    }
    tracks
}

/// How far joints are from the line along which they move, where they hardly move, in parts of the person's box.
fn standing(seen: &Seen, joints: &[Joint]) -> Mean {
    let watched = ((seen.rate * WATCHED).round() as usize).max(5);
    let mut mean = Mean::default();
    for track in tracks(seen).values() {
        for window in track.windows(watched).step_by(watched.div_ceil(2)) {
            if window[watched - 1].0 - window[0].0 != watched - 1 {
                continue;
            }
            let size = window[0].1.bounds.size().max_element().max(1.0);
            for &joint in joints {
                let places: Option<Vec<Vec2>> = window
                    .iter()
                    .map(|(_, person)| sure(&person.pose, joint))
                    .collect();
                if let Some(shake) = places.and_then(|places| off_line(&places, STILL * size)) {
                    mean.take((shake / size).min(LEAP));
                }
            }
        }
    }
    mean
}

fn sure(pose: &Pose2d, joint: Joint) -> Option<Vec2> {
    let point = pose[joint].filter(|point| point.confidence.get() >= SURE)?;
    Some(point.position)
}

/// Root mean square distance of points from the line that they follow in time; `None` where they go further than `most`.
fn off_line(places: &[Vec2], most: f32) -> Option<f32> {
    let count = places.len() as f32;
    let middle = (count - 1.0) / 2.0;
    let centre = places.iter().sum::<Vec2>() / count;
    let when = |n: usize| n as f32 - middle;
    let spread: f32 = (0..places.len()).map(|n| when(n) * when(n)).sum();
    let pace = places
        .iter()
        .enumerate()
        .map(|(n, place)| *place * when(n))
        .sum::<Vec2>()
        / spread;
    let off = places
        .iter()
        .enumerate()
        .map(|(n, place)| place.distance_squared(centre + pace * when(n)));
    (pace.length() * (count - 1.0) <= most).then(|| (off.sum::<f32>() / count).sqrt())
}

/// What was seen, held against known joints: how many are right, and how far they move otherwise than these from picture to picture, in
/// parts of the person's size.
fn against(seen: &Seen, joints: &[Option<Joint>], labels: &LabelledClip) -> (Score, Mean) {
    let (mut score, mut shake) = (Score::default(), Mean::default());
    let mut before: Option<(usize, Vec<Option<Vec2>>)> = None;
    for label in &labels.frames {
        let Some(people) = seen.frames.get(label.frame) else {
            continue;
        };
        let keypoints = label
            .keypoints
            .iter()
            .map(|&[x, y, sure]| [x, y, if sure >= LEAST_SURE { sure } else { 0.0 }]);
        let truth = LabelledPerson::of(keypoints.collect());
        let found: Vec<FoundPerson> = people
            .iter()
            .map(|person| FoundPerson {
                pose: person.pose.clone(),
                score: 1.0,
            })
            .collect();
        let own = score.take(std::slice::from_ref(&truth), joints, &found)[0];
        // How far each joint is from where it should be.
        let off: Vec<Option<Vec2>> = std::iter::zip(&truth.keypoints, joints)
            .map(|(&[x, y, labelled], joint)| {
                let point = found[own?].pose[(*joint)?].filter(|_| labelled > 0.0)?;
                Some(point.position - Vec2::new(x, y))
            })
            .collect();
        if let Some((_, last)) = before.filter(|(number, _)| number + 1 == label.frame) {
            let size = truth.size();
            for (was, is) in std::iter::zip(&last, &off) {
                if let (Some(was), Some(is)) = (was, is) {
                    shake.take((was.distance(*is) / size).min(LEAP));
                }
            }
        }
        before = Some((label.frame, off));
    }
    (score, shake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_evenly_does_not_shake_and_what_goes_far_does_not_stand() {
        let even: Vec<Vec2> = (0..7).map(|n| Vec2::new(n as f32, 3.0)).collect();
        assert!(off_line(&even, 6.5).is_some_and(|off| off < 1e-4));
        assert_eq!(off_line(&even, 5.5), None);
        let shaken: Vec<Vec2> = (0..8)
            .map(|n| Vec2::new(0.0, if n % 4 == 1 || n % 4 == 2 { 1.0 } else { -1.0 }))
            .collect();
        assert!(off_line(&shaken, 1.0).is_some_and(|off| (off - 1.0).abs() < 0.1));
    }
}
