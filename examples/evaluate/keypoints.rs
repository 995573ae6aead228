//! Joints of people in labelled photos, found by the detector or looked for in given boxes.

pub mod labels;
mod report;
pub mod score;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bevy::math::Rect;
use bevy_pose_capture::detect::keypoints::{Estimate, KeypointEstimator, Look};
use bevy_pose_capture::detect::person::PersonDetector;
use bevy_pose_capture::inference::{ModelError, Task};
use bevy_pose_capture::skeleton::{Joint, Pose2d};
use bevy_pose_capture::source::images::read_picture;
use clap::{Args, ValueEnum};
use image::RgbImage;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::networks::NetworkArguments;
use crate::{AnyError, read_json};
use labels::{LabelledPerson, Labels};

/// Joints of people in photos.
///
/// With --labels, what was found is written for a scorer. Without, every keypoint network at hand is scored on the labelled photos of
/// --data, in given boxes and in those that the person detector finds: a table, a plot of how far confidences can be believed, and a
/// sheet to look at.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the photos that the labels name.
    #[arg(long, requires = "labels")]
    images: Option<PathBuf>,
    /// JSON of photos and the people in them: `{"images": [{"file", "people": [{"box" or "joints_box": [x, y, w, h]}]}]}`.
    #[arg(long, requires = "images")]
    labels: Option<PathBuf>,
    /// With --labels, where to look: in the labelled boxes, or where the detector finds somebody.
    #[arg(long, value_enum, default_value_t = Boxes::Given)]
    boxes: Boxes,
    /// Without --labels, the folder of the labelled photos: files of labels, and the photos that they name.
    #[arg(long, default_value = "../shared/data/people_eval_only")]
    data: PathBuf,
    /// Boxes that the detector is less sure of are left out.
    #[arg(long, default_value_t = 0.2)]
    least_score: f32,
    #[command(flatten)]
    networks: NetworkArguments,
    /// With --labels, the JSON file with what was found; without, the folder for the table and the pictures (target/keypoints where it
    /// is left out).
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Boxes {
    /// The labelled ones.
    Given,
    /// The detector's.
    Detected,
}

/// What was found in a photo.
struct FoundImage {
    file: String,
    people: Vec<FoundPerson>,
}

/// Somebody who was found.
pub struct FoundPerson {
    pub pose: Pose2d,
    pub score: f32,
}

/// What was found, for scorers.
#[derive(Serialize)]
struct FoundFile {
    joint_names: Vec<&'static str>,
    images: Vec<ListedImage>,
}

#[derive(Serialize)]
struct ListedImage {
    file: String,
    people: Vec<ListedPerson>,
}

#[derive(Serialize)]
struct ListedPerson {
    keypoints: Vec<Option<[f32; 3]>>,
    score: f32,
}

impl FoundImage {
    fn listed(&self, joints: &[Joint]) -> ListedImage {
        let person = |person: &FoundPerson| ListedPerson {
            keypoints: joints
                .iter()
                .map(|&joint| {
                    let point = person.pose[joint]?;
                    Some([point.position.x, point.position.y, point.confidence.get()])
                })
                .collect(),
            score: person.score,
        };
        ListedImage {
            file: self.file.clone(),
            people: self.people.iter().map(person).collect(),
        }
    }
}

/// Time spent, and on how many.
#[derive(Default)]
struct Spent {
    time: Duration,
    count: u32,
}

impl Spent {
    fn on<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        self.time += began.elapsed();
        self.count += 1;
        done
    }

    fn mean_ms(&self) -> f64 {
        self.time.as_secs_f64() * 1e3 / f64::from(self.count.max(1))
    }
}

/// One look at a person; a network that follows its own landmarks looks once more where they told it to.
fn estimate(
    network: &mut KeypointEstimator,
    image: &RgbImage,
    bounds: Rect,
) -> Result<Pose2d, ModelError> {
    let mut look = |look: Look| -> Result<Option<Estimate>, ModelError> {
        Ok(network.estimate(image, &[look])?.pop())
    };
    let first = look(Look::around(bounds))?;
    let followed = first.as_ref().filter(|first| first.presence > 0.5);
    let found = match followed.and_then(|first| first.next_region) {
        Some(region) => look(Look::Region(region))?,
        None => first,
    };
    Ok(found.map(|found| found.pose).unwrap_or_default())
}

/// The networks that look.
struct Networks<'a> {
    keypoints: &'a mut KeypointEstimator,
    detector: &'a mut PersonDetector,
}

/// What was found in the photos of a file, and how long it took.
struct Looked {
    images: Vec<FoundImage>,
    detecting: Spent,
    estimating: Spent,
}

impl Networks<'_> {
    fn look(
        &mut self,
        labels: &Labels,
        folder: &Path,
        boxes: Boxes,
        least_score: f32,
    ) -> Result<Looked, AnyError> {
        let bar = ProgressBar::new(labels.images.len() as u64).with_style(
            ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} photos, {eta} left")?,
        );
        bar.set_message(self.keypoints.name().to_owned());
        let mut looked = Looked {
            images: Vec::with_capacity(labels.images.len()),
            detecting: Spent::default(),
            estimating: Spent::default(),
        };
        for labelled in &labels.images {
            let image = read_picture(&folder.join(&labelled.file))?;
            let looks: Vec<(Rect, f32)> = match boxes {
                Boxes::Given => {
                    let boxes = labelled.people.iter().filter_map(LabelledPerson::look);
                    boxes.map(|bounds| (bounds, 1.0)).collect()
                }
                Boxes::Detected => {
                    let detect = || self.detector.detect(&image, least_score);
                    let boxes = looked.detecting.on(detect)?;
                    let boxes = boxes.iter().map(|found| (found.bounds, found.score));
                    boxes.collect()
                }
            };
            let mut people = Vec::with_capacity(looks.len());
            for (bounds, score) in looks {
                let look = || estimate(self.keypoints, &image, bounds);
                let pose = looked.estimating.on(look)?;
                people.push(FoundPerson { pose, score });
            }
            looked.images.push(FoundImage {
                file: labelled.file.clone(),
                people,
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(looked)
    }
}

/// Runs the networks over the photos, and writes what they found or scores it.
pub fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let (models, engine) = (arguments.networks.models()?, arguments.networks.engine());
    let threads = arguments.networks.threads(1);
    println!("engine: {}", engine.describe());
    let mut detector = PersonDetector::load(models.of(Task::Person)?, &engine, threads)?;
    let load = |model| KeypointEstimator::load(model, &engine, threads);
    let (Some(labels), Some(images)) = (&arguments.labels, &arguments.images) else {
        let all = models.iter();
        let of_joints = all.filter(|model| model.card.task == Task::Keypoints);
        let networks = of_joints.map(load).collect::<Result<Vec<_>, _>>()?;
        return report::write(networks, detector, arguments);
    };
    let out = arguments.out.as_ref();
    let out = out.ok_or("say --out FILE: where what is found is written")?;
    let labels: Labels = read_json(labels, "labels")?;
    let mut keypoints = load(models.of(Task::Keypoints)?)?;
    let mut networks = Networks {
        keypoints: &mut keypoints,
        detector: &mut detector,
    };
    let looked = networks.look(&labels, images, arguments.boxes, arguments.least_score)?;
    if looked.detecting.count > 0 {
        println!(
            "{}: {:.2} ms a photo",
            detector.name(),
            looked.detecting.mean_ms()
        );
    }
    let (count, mean) = (looked.estimating.count, looked.estimating.mean_ms());
    println!("{}: {count} people, {mean:.2} ms each", keypoints.name());
    let joints = keypoints.joints();
    let found = FoundFile {
        // A joint that is named and never found counts as missed; one that is not named is derived from others.
        joint_names: joints.iter().map(|joint| joint.name()).collect(),
        images: looked
            .images
            .iter()
            .map(|image| image.listed(joints))
            .collect(),
    };
    std::fs::write(out, serde_json::to_vec(&found)?)
        .map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    println!("saved {}", out.display());
    Ok(())
}
