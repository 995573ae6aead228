//! Joints of people in labelled photos, found by the detector or looked for in given boxes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bevy::math::{Rect, Vec2};
use bevy_pose_capture::detect::keypoints::{Estimate, KeypointEstimator, Look};
use bevy_pose_capture::detect::person::PersonDetector;
use bevy_pose_capture::inference::{Engine, Model, ModelError, Models, Task};
use bevy_pose_capture::skeleton::{Joint, Pose2d};
use bevy_pose_capture::source::images::read_picture;
use clap::{Args, ValueEnum};
use image::RgbImage;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::AnyError;

/// What is run, and on what.
#[derive(Args)]
pub struct Arguments {
    /// Folder of the photos that the labels name.
    #[arg(long)]
    images: PathBuf,
    /// JSON of photos and the people in them: `{"images": [{"file", "people": [{"box" or "joints_box": [x, y, w, h]}]}]}`.
    #[arg(long)]
    labels: PathBuf,
    /// Where to look: in the labelled boxes, or where the detector finds somebody.
    #[arg(long, value_enum, default_value_t = Boxes::Given)]
    boxes: Boxes,
    /// The card of a model for its task, beside its .onnx file; may be said more than once.
    #[arg(long)]
    model: Vec<PathBuf>,
    /// Folder of models to use before the embedded ones.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Take this model for its task, by the name on its card.
    #[arg(long)]
    prefer: Vec<String>,
    /// Boxes that the detector is less sure of are left out.
    #[arg(long, default_value_t = 0.2)]
    least_score: f32,
    /// Threads for the networks.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Run on rten though ONNX Runtime is there.
    #[arg(long)]
    rten: bool,
    /// The JSON file with what was found.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Boxes {
    /// The labelled ones.
    Given,
    /// The detector's.
    Detected,
}

#[derive(Deserialize)]
struct Labels {
    images: Vec<LabelledImage>,
}

#[derive(Deserialize)]
struct LabelledImage {
    file: String,
    people: Vec<LabelledPerson>,
}

#[derive(Deserialize)]
struct LabelledPerson {
    #[serde(rename = "box")]
    bounds: Option<[f32; 4]>,
    joints_box: Option<[f32; 4]>,
}

impl LabelledPerson {
    /// Where to look. A box around the joints is grown by a tenth on each side, as people are larger than their joints.
    fn look(&self) -> Option<Rect> {
        let rect = |[x, y, width, height]: [f32; 4]| {
            // Labels count pixels from their edge, we from their centre.
            let corner = Vec2::new(x, y) - 0.5;
            Rect::from_corners(corner, corner + Vec2::new(width, height))
        };
        self.bounds.map(rect).or_else(|| {
            let tight = rect(self.joints_box?);
            let margin = tight.size() * 0.1;
            Some(Rect::from_corners(tight.min - margin, tight.max + margin))
        })
    }
}

#[derive(Serialize)]
struct Found {
    joint_names: Vec<&'static str>,
    images: Vec<FoundImage>,
}

#[derive(Serialize)]
struct FoundImage {
    file: String,
    people: Vec<FoundPerson>,
}

#[derive(Serialize)]
struct FoundPerson {
    keypoints: Vec<Option<[f32; 3]>>,
    score: f32,
}

impl FoundPerson {
    fn new(pose: &Pose2d, joints: &[Joint], score: f32) -> FoundPerson {
        let keypoints = joints
            .iter()
            .map(|&joint| pose[joint].map(|p| [p.position.x, p.position.y, p.confidence.get()]));
        FoundPerson {
            keypoints: keypoints.collect(),
            score,
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
    let first = look(Look::Box(bounds))?;
    let followed = first.as_ref().filter(|first| first.presence > 0.5);
    let found = match followed.and_then(|first| first.next_region) {
        Some(region) => look(Look::Region(region))?,
        None => first,
    };
    Ok(found.map(|found| found.pose).unwrap_or_default())
}

fn models(arguments: &Arguments) -> Result<Models, AnyError> {
    let mut models = match &arguments.models {
        Some(folder) => Models::from_folder(folder)?,
        None => Models::embedded(),
    };
    for name in &arguments.prefer {
        models.prefer(name)?;
    }
    for card in &arguments.model {
        models.add_first(Model::open(card, None)?);
    }
    Ok(models)
}

/// Runs the networks over the photos and writes what they found.
pub fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let labels: Labels = read_json(&arguments.labels)?;
    let models = models(arguments)?;
    let engine = if arguments.rten {
        Engine::rten("it was asked for")
    } else {
        Engine::find()
    };
    let mut keypoints =
        KeypointEstimator::load(models.of(Task::Keypoints)?, &engine, arguments.threads)?;
    let mut detector = PersonDetector::load(models.of(Task::Person)?, &engine, arguments.threads)?;
    println!("engine: {}", engine.describe());
    let bar = ProgressBar::new(labels.images.len() as u64).with_style(
        ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} photos, {eta} left")?,
    );
    bar.set_message(keypoints.name().to_owned());
    let (mut detecting, mut estimating) = (Spent::default(), Spent::default());
    let mut images = Vec::with_capacity(labels.images.len());
    for labelled in labels.images {
        let image = read_picture(&arguments.images.join(&labelled.file))?;
        let looks: Vec<(Rect, f32)> = match arguments.boxes {
            Boxes::Given => {
                let boxes = labelled.people.iter().filter_map(LabelledPerson::look);
                boxes.map(|bounds| (bounds, 1.0)).collect()
            }
            Boxes::Detected => {
                let boxes = detecting.on(|| detector.detect(&image, arguments.least_score))?;
                boxes
                    .iter()
                    .map(|found| (found.bounds, found.score))
                    .collect()
            }
        };
        let mut people = Vec::with_capacity(looks.len());
        for (bounds, score) in looks {
            let pose = estimating.on(|| estimate(&mut keypoints, &image, bounds))?;
            people.push(FoundPerson::new(&pose, keypoints.joints(), score));
        }
        images.push(FoundImage {
            file: labelled.file,
            people,
        });
        bar.inc(1);
    }
    bar.finish();
    if detecting.count > 0 {
        println!("{}: {:.2} ms a photo", detector.name(), detecting.mean_ms());
    }
    println!(
        "{}: {} people, {:.2} ms each",
        keypoints.name(),
        estimating.count,
        estimating.mean_ms()
    );
    let found = Found {
        // A joint that is named and never found counts as missed; one that is not named is derived from others.
        joint_names: keypoints
            .joints()
            .iter()
            .map(|joint| joint.name())
            .collect(),
        images,
    };
    std::fs::write(&arguments.out, serde_json::to_vec(&found)?)
        .map_err(|error| format!("cannot write {}: {error}", arguments.out.display()))?;
    println!("saved {}", arguments.out.display());
    Ok(())
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, AnyError> {
    let text =
        std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let read = serde_json::from_slice(&text);
    Ok(read.map_err(|error| format!("{} is not a file of labels: {error}", path.display()))?)
}
