//! `evaluate -- clips`: people in clips, as they are followed by each keypoint network.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bevy::math::Vec2;
use bevy_pose_capture::detect::decode::overlap;
use bevy_pose_capture::detect::hindsight::Hindsight;
use bevy_pose_capture::detect::{DetectSettings, Detector, Found, Person2d};
use bevy_pose_capture::inference::{ModelCard, ModelError, Task};
use bevy_pose_capture::skeleton::{Joint, Pose2d};
use bevy_pose_capture::source::{Picture, SourceSpec};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use crate::keypoints::FoundPerson;
use crate::keypoints::labels::LabelledPerson;
use crate::keypoints::score::{Score, joints_of};
use crate::networks::NetworkArguments;
use crate::{AnyError, files_in, read_json, stem};

/// People in clips, as they are followed by each keypoint network at hand, and by those that can ("both ways") in the light of later frames,
/// too: how many are told apart, how still joints are that stand still, and, of clips whose joints are known, how many are right and how
/// they shake. Joints that not all of the networks tell are left out, and a joint stands still where they all say so.
#[derive(Args)]
pub struct Arguments {
    /// Video files; all those of ../shared/data/clips where none are said.
    #[arg(long, num_args = 1..)]
    clips: Vec<PathBuf>,
    /// Joints of a person in clips: `{"joint_names", "cameras": [{"name", "frames": [{"frame", "keypoints": [[x, y, confidence], ...]}]}]}`;
    /// each camera's are those of the clip whose name is the camera's, or ends with it after a `_`. Labels that a network made favour its own.
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
/// Boxes that share more are of the same person.
const SAME: f32 = 0.5;
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
    /// The network, and how it looked.
    by: String,
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
        [] => files_in(Path::new(CLIPS), "mp4", "say which clips with --clips FILE")?,
        clips => clips.to_vec(),
    };
    let all = models.iter().map(|model| &model.card);
    let cards: Vec<&ModelCard> = all.filter(|card| card.task == Task::Keypoints).collect();
    // Joints that one network alone tells would make it better or worse than the others.
    let is_common = |joint: &Joint| cards.iter().all(|card| card.joints().contains(joint));
    let joints: Vec<Joint> = Joint::ALL.iter().copied().filter(is_common).collect();
    if cards.is_empty() || clips.is_empty() {
        return Err("there is no keypoint network, or no clip, at hand".into());
    }
    let of_clips = labels_of_clips(labels.as_ref(), &clips)?;
    let mut table = String::from(
        "| clip | network | people a picture | tracks | joints that stand still shake by | joints right | they shake by | ms a person |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (clip, labels) in clips.iter().zip(of_clips) {
        let mut seen = Vec::new();
        for card in &cards {
            let mut models = models.clone();
            models.prefer(&card.name)?;
            let detector = || Detector::new(&models, &engine, threads, DetectSettings::default());
            let mut live = detector()?;
            seen.push(follow(clip, &card.name, |picture| {
                let found = picture.map(|picture| live.detect(&picture.image, picture.time));
                found.into_iter().collect()
            })?);
            if card.decoder.looks_back() {
                let mut hindsight = Hindsight::new(detector()?);
                let both_ways = format!("{}, both ways", card.name);
                seen.push(follow(clip, &both_ways, |picture| {
                    let told = match picture {
                        Some(picture) => {
                            hindsight.detect((), Arc::new(picture.image), picture.time)?
                        }
                        None => hindsight.finish(),
                    };
                    Ok(told.into_iter().map(|(_, found)| found).collect())
                })?);
            }
        }
        let still = standing(&seen, &joints);
        for (seen, still) in seen.iter().zip(still) {
            let names = format!("| {} | {}", stem(clip), seen.by);
            let known = labels.map(|(names, labels)| {
                let named = joints_of(names).into_iter();
                let common = named.map(|joint| joint.filter(|joint| joints.contains(joint)));
                against(seen, &common.collect::<Vec<_>>(), labels)
            });
            row(&mut table, &names, seen, &still, known.as_ref())?;
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

/// What `look` finds in the pictures of a clip, and at last, without one, in those that it has not told yet.
fn follow(
    clip: &Path,
    by: &str,
    mut look: impl FnMut(Option<Picture>) -> Result<Vec<Found>, ModelError>,
) -> Result<Seen, AnyError> {
    let mut source = SourceSpec::Video(clip.into()).open()?;
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} pictures, {eta} left")?;
    let bar = ProgressBar::new(source.length().unwrap_or(0)).with_style(style);
    bar.set_message(format!("{by}, {}", stem(clip)));
    let mut seen = Seen {
        by: by.into(),
        frames: Vec::new(),
        rate: source.rate().unwrap_or(30.0),
        time: Duration::ZERO,
    };
    loop {
        let picture = source.next_picture()?;
        let has_ended = picture.is_none();
        for (people, times) in look(picture)? {
            seen.time += times.keypoints;
            seen.frames.push(people);
        }
        if has_ended {
            break;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(seen)
}

/// The names of labelled joints, and where they are.
type Known<'a> = (&'a [String], &'a LabelledClip);

/// The labels of each clip.
fn labels_of_clips<'a>(
    labels: Option<&'a Labels>,
    clips: &[PathBuf],
) -> Result<Vec<Option<Known<'a>>>, AnyError> {
    let mut of_clips = vec![None; clips.len()];
    let Some(labels) = labels else {
        return Ok(of_clips);
    };
    for camera in &labels.cameras {
        let ending = format!("_{}", camera.name);
        let mut fitting = (0..clips.len()).filter(|&n| {
            let name = stem(&clips[n]);
            name == camera.name || name.ends_with(&ending)
        });
        if let Some(clip) = fitting.next() {
            if let Some(other) = fitting.next() {
                let [one, other] = [clip, other].map(|n| stem(&clips[n]));
                let camera = &camera.name;
                return Err(format!(
                    "the labels of {camera} may be of {one} and of {other}: say which clips are theirs with --clips"
                )
                .into());
            }
            if of_clips[clip].is_some() {
                let (clip, camera) = (stem(&clips[clip]), &camera.name);
                return Err(format!(
                    "{clip} may be of {camera}, and of a camera before it in the labels"
                )
                .into());
            }
            of_clips[clip] = Some((labels.joint_names.as_slice(), camera));
        }
    }
    if of_clips.iter().all(Option::is_none) {
        return Err("no clip has the name of a camera of the labels, or ends with it".into());
    }
    Ok(of_clips)
}

fn row(
    table: &mut String,
    names: &str,
    seen: &Seen,
    still: &Mean,
    known: Option<&(Score, Mean)>,
) -> Result<(), AnyError> {
    let shown = |number: Option<f64>| number.map_or(String::new(), |number| format!("{number:.1}"));
    let people: usize = seen.frames.iter().map(Vec::len).sum();
    let scored = known.filter(|(score, _)| score.people() > 0);
    writeln!(
        table,
        "{names} | {:.2} | {} | {} | {} | {} | {:.1} |",
        people as f64 / seen.frames.len().max(1) as f64,
        tracks(seen).len(),
        shown(still.thousandths()),
        shown(scored.map(|(score, _)| score.within_tenth())),
        shown(known.and_then(|(_, shake)| shake.thousandths())),
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

/// How far joints are from the line along which they move, where they hardly move, in parts of the person's box: of each network, for the
/// same joints at the same times.
fn standing(all: &[Seen], joints: &[Joint]) -> Vec<Mean> {
    let mut means: Vec<Mean> = all.iter().map(|_| Mean::default()).collect();
    let Some(first) = all.first() else {
        return means;
    };
    let watched = ((first.rate * WATCHED).round() as usize).max(5);
    for track in tracks(first).values() {
        for window in track.windows(watched).step_by(watched.div_ceil(2)) {
            let begins = window[0].0;
            if window[watched - 1].0 - begins != watched - 1 {
                continue;
            }
            let own = window[0].1.bounds;
            let size = own.size().max_element().max(1.0);
            // The same person, as each network saw them.
            let alike = |people: &[Person2d]| {
                let shared = |person: &Person2d| overlap(person.bounds, own);
                let best = people.iter().max_by(|a, b| shared(a).total_cmp(&shared(b)));
                best.filter(|best| shared(best) > SAME).map(|best| best.id)
            };
            let ids = all.iter().map(|seen| alike(seen.frames.get(begins)?));
            let Some(ids) = ids.collect::<Option<Vec<u32>>>() else {
                continue;
            };
            for &joint in joints {
                let shakes = all.iter().zip(&ids).map(|(seen, id)| {
                    let frames = seen.frames.get(begins..begins + watched)?.iter();
                    let places = frames.map(|people| {
                        let person = people.iter().find(|person| person.id == *id)?;
                        sure(&person.pose, joint)
                    });
                    off_line(&places.collect::<Option<Vec<_>>>()?, STILL * size)
                });
                if let Some(shakes) = shakes.collect::<Option<Vec<f32>>>() {
                    for (mean, shake) in means.iter_mut().zip(shakes) {
                        mean.take((shake / size).min(LEAP));
                    }
                }
            }
        }
    }
    means
}

fn sure(pose: &Pose2d, joint: Joint) -> Option<Vec2> {
    let point = pose[joint].filter(|point| point.confidence.get() >= SURE)?;
    Some(point.position)
}

/// Root mean square distance of points from the line that they follow in time; `None` where they go further than `most`, there and back
/// again or not: the middles of the first, the second and the last third of them are further apart.
fn off_line(places: &[Vec2], most: f32) -> Option<f32> {
    let third = places.len().div_ceil(3);
    let mean = |places: &[Vec2]| places.iter().sum::<Vec2>() / places.len() as f32;
    let parts: Vec<Vec2> = places.chunks(third).map(mean).collect();
    let is_near = |one: &Vec2| parts.iter().all(|other| one.distance(*other) <= most);
    if !parts.iter().all(is_near) {
        return None;
    }
    let count = places.len() as f32;
    let middle = (count - 1.0) / 2.0;
    let centre = mean(places);
    let when = |n: usize| n as f32 - middle;
    let spread: f32 = (0..places.len()).map(|n| when(n) * when(n)).sum();
    let timed = places.iter().enumerate();
    let pace = timed.map(|(n, place)| *place * when(n)).sum::<Vec2>() / spread;
    let off = |(n, place): (usize, &Vec2)| place.distance_squared(centre + pace * when(n));
    Some((places.iter().enumerate().map(off).sum::<f32>() / count).sqrt())
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
    use bevy::math::Rect;
    use bevy_pose_capture::skeleton::{Confidence, Keypoint};

    use super::*;

    const JOINTS: [Joint; 5] = [
        Joint::Nose,
        Joint::LeftShoulder,
        Joint::RightShoulder,
        Joint::LeftHip,
        Joint::RightHip,
    ];

    /// Somebody 100 pixels tall whose joints are to the right of their places by `x` of the picture; of each so much further down that it is
    /// alone.
    fn clip(x: impl Fn(usize, usize) -> f32) -> Seen {
        let person = |frame: usize| {
            let mut pose = Pose2d::default();
            for (n, joint) in JOINTS.into_iter().enumerate() {
                pose[joint] = Some(Keypoint {
                    position: Vec2::new(10.0 + x(frame, n), 25.0 * n as f32),
                    confidence: Confidence::FULL,
                });
            }
            Person2d {
                id: 7,
                bounds: Rect::new(0.0, 0.0, 40.0, 100.0),
                pose,
                looks: None,
            }
        };
        Seen {
            by: "a network".into(),
            frames: (0..20).map(|frame| vec![person(frame)]).collect(),
            rate: 30.0,
            time: Duration::ZERO,
        }
    }

    #[test]
    fn what_moves_evenly_does_not_shake_and_what_goes_far_does_not_stand() {
        // The middles of the first three of nine and of the last three are six apart.
        let even: Vec<Vec2> = (0..9).map(|n| Vec2::new(n as f32, 3.0)).collect();
        assert!(off_line(&even, 6.1).is_some_and(|off| off < 1e-4));
        assert_eq!(off_line(&even, 5.9), None);
        let back: Vec<Vec2> = (0..9)
            .map(|n: i32| Vec2::new((n - 4).abs() as f32, 0.0))
            .collect();
        assert_eq!(off_line(&back, 1.0), None);
        let place = |n: i32| Vec2::new(0.0, if n % 2 == 0 { 1.0 } else { -1.0 });
        let shaken: Vec<Vec2> = (0..12).map(place).collect();
        assert!(off_line(&shaken, 0.5).is_some_and(|off| (off - 1.0).abs() < 0.1));
    }

    #[test]
    fn joints_stand_where_all_networks_say_so() {
        let shaking = |by: f32| move |frame: usize, _: usize| if frame % 2 == 0 { by } else { -by };
        let one = clip(shaking(0.5));
        // To the other, all but the nose goes away.
        let other = clip(|frame, n| {
            let gone = if n == 0 { 0.0 } else { 3.0 * frame as f32 };
            gone + shaking(0.25)(frame, n)
        });
        let alone = standing(std::slice::from_ref(&one), &JOINTS);
        let both = standing(&[one, other], &JOINTS);
        assert_eq!(alone[0].count, 5 * both[0].count);
        let told: Vec<f64> = both.iter().filter_map(Mean::thousandths).collect();
        // The line takes a little of it.
        assert!(
            (told[0] - 5.0).abs() < 0.2 && (told[1] - 2.5).abs() < 0.1,
            "{told:?}"
        );
    }

    #[test]
    fn what_is_known_tells_how_many_joints_are_right_and_how_they_shake() {
        let keypoints: Vec<[f32; 3]> = (0..5_u8)
            .map(|n| [10.0, 25.0 * f32::from(n), 0.9])
            .collect();
        let frame = |frame: usize| LabelledFrame {
            frame,
            keypoints: keypoints.clone(),
        };
        let labels = LabelledClip {
            name: "cam01".into(),
            // One is missing, one beyond the end.
            frames: [0, 1, 2, 4, 5, 30].map(frame).into(),
        };
        let joints = JOINTS.map(Some);
        // The nose is 12 pixels off, and all are a pixel further right in every other picture: 1 % of their size.
        let seen = clip(|frame, n| (if n == 0 { 12.0 } else { 0.0 }) + (frame % 2) as f32);
        let (score, shake) = against(&seen, &joints, &labels);
        assert_eq!((score.people(), score.within_tenth()), (5, 80.0));
        assert_eq!(shake.count, 3 * 5);
        assert!(
            shake
                .thousandths()
                .is_some_and(|shake| (shake - 10.0).abs() < 0.1)
        );
    }

    #[test]
    fn labels_go_to_the_clips_of_their_names_and_to_no_other() {
        let camera = |name: &str| LabelledClip {
            name: name.into(),
            frames: Vec::new(),
        };
        let labels = Labels {
            joint_names: Vec::new(),
            cameras: vec![camera("1"), camera("cam02")],
        };
        let of = |clips: &[&str]| -> Option<Vec<Option<String>>> {
            let clips: Vec<PathBuf> = clips.iter().map(PathBuf::from).collect();
            let found = labels_of_clips(Some(&labels), &clips).ok()?;
            let name = |known: Option<Known>| known.map(|(_, clip)| clip.name.clone());
            Some(found.into_iter().map(name).collect())
        };
        let found = of(&["a/beam_cam11.mp4", "a/beam_cam02.mp4", "1.mp4"]);
        assert_eq!(
            found,
            Some(vec![None, Some("cam02".into()), Some("1".into())])
        );
        assert_eq!(of(&["beam_cam02.mp4", "beam_two_cam02.mp4"]), None);
        assert_eq!(of(&["beam_cam11.mp4"]), None);
    }
}
