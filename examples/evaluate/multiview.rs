//! `evaluate -- multiview`: people seen by several calibrated cameras, in space, for scorers; and how long that takes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bevy::math::{DMat3, Vec2};
use bevy_pose_capture::associate::Sighting;
use bevy_pose_capture::calibrate::files;
use bevy_pose_capture::camera::View;
use bevy_pose_capture::inference::{Engine, Models, Task};
use bevy_pose_capture::multiview::{MultiView, MultiViewSettings, RoomPerson};
use bevy_pose_capture::reconstruct::figure;
use bevy_pose_capture::record::exchange::keypoint_named;
use bevy_pose_capture::refine::sequence::SequenceRefiner;
use bevy_pose_capture::skeleton::{Confidence, Joint, Keypoint, Pose2d};
use bevy_pose_capture::source::synthetic::Random;
use serde::{Deserialize, Serialize};

use super::AnyError;

/// Follows people through several views, from 2D keypoints.
#[derive(clap::Args)]
pub struct Arguments {
    /// The cameras: JSON with K, R, t, or any form that `calibrate` writes.
    #[arg(long)]
    cameras: PathBuf,
    /// 2D people by frame and view, `.json` or `.json.gz`.
    #[arg(long)]
    detections: PathBuf,
    /// Where the people in space go, in the cameras' own world.
    #[arg(long)]
    out: PathBuf,
    /// Frames a second.
    #[arg(long, default_value_t = 25.0)]
    rate: f64,
    /// How joints are found: downhill from a first guess, by search over all arrangements, or the one and, where views
    /// contradict one another, the other.
    #[arg(long, value_enum, default_value = "where-ambiguous")]
    method: Method,
    /// Views to leave out, by number: how much is lost with a camera.
    #[arg(long, value_delimiter = ',')]
    drop_views: Vec<usize>,
    /// Share of the keypoints to leave out at random.
    #[arg(long, default_value_t = 0.0)]
    drop_joints: f64,
    /// Standard deviation, in pixels, of noise to add.
    #[arg(long, default_value_t = 0.0)]
    noise: f64,
    /// Correct the people over time at the end, as `record_clip --refine` does.
    #[arg(long)]
    refine: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Method {
    Descent,
    Search,
    WhereAmbiguous,
}

#[derive(Deserialize)]
struct Detections {
    joint_names: Vec<String>,
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    frame: i64,
    views: Vec<InView>,
}

#[derive(Deserialize)]
struct InView {
    people: Vec<Person>,
}

#[derive(Deserialize)]
struct Person {
    keypoints: Vec<Option<[f64; 3]>>,
}

#[derive(Serialize)]
struct Found {
    joint_names: Vec<String>,
    frames: Vec<FoundFrame>,
}

#[derive(Serialize)]
struct FoundFrame {
    frame: i64,
    people: Vec<FoundPerson>,
}

#[derive(Serialize)]
struct FoundPerson {
    id: u32,
    joints: Vec<Option<[f64; 3]>>,
    /// Expected error of each, in the cameras' unit.
    sigmas: Vec<Option<f64>>,
}

/// Follows the people of a file through its views.
pub fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let file = files::read(&arguments.cameras)?;
    // People are followed in a world that is y up.
    let file_from_bevy = file.bevy_from_file().transpose();
    let views = file.into_bevy();
    let detections: Detections = read(&arguments.detections)?;
    let joints: Vec<Option<Joint>> = detections
        .joint_names
        .iter()
        .map(|name| keypoint_named(name))
        .collect();
    let settings = MultiViewSettings {
        method: match arguments.method {
            Method::Descent => figure::Method::Descent,
            Method::Search => figure::Method::Search,
            Method::WhereAmbiguous => figure::Method::WhereAmbiguous,
        },
        ..MultiViewSettings::default()
    };
    let mut room = MultiView::new(views, settings);
    let mut random = Random::new(1);
    let mut times = Vec::with_capacity(detections.frames.len());
    let mut moments = Vec::with_capacity(detections.frames.len());
    for frame in &detections.frames {
        if frame.views.len() > room.views().len() {
            let (given, known) = (frame.views.len(), room.views().len());
            return Err(format!(
                "frame {} has {given} views, and {known} cameras are known",
                frame.frame
            )
            .into());
        }
        let mut seen: Vec<(usize, Pose2d)> = Vec::new();
        for (view, people) in frame.views.iter().enumerate() {
            for person in &people.people {
                let pose = pose(person, &joints, arguments, &mut random);
                if !arguments.drop_views.contains(&view) {
                    seen.push((view, pose));
                }
            }
        }
        let began = Instant::now();
        let sightings: Vec<Sighting> = seen
            .iter()
            .map(|(view, pose)| Sighting::new(*view, &room.views()[*view], pose, None))
            .collect();
        let people = room.advance(frame.frame as f64 / arguments.rate, &sightings);
        times.push(began.elapsed().as_secs_f64() * 1e3);
        moments.push(people);
    }
    report(&mut times, room.views());
    if arguments.refine {
        let models = Models::embedded();
        let mut refiner = SequenceRefiner::load(models.of(Task::Refine)?, &Engine::find(), 1)?;
        refiner.refine_room(moments.iter_mut().map(Vec::as_mut_slice))?;
    }
    let frames = detections.frames.iter().zip(&moments);
    let found = Found {
        frames: frames
            .map(|(frame, people)| FoundFrame {
                frame: frame.frame,
                people: people
                    .iter()
                    .map(|person| found(person, &joints, file_from_bevy))
                    .collect(),
            })
            .collect(),
        joint_names: detections.joint_names,
    };
    std::fs::write(&arguments.out, serde_json::to_vec(&found)?)
        .map_err(|error| format!("cannot write {}: {error}", arguments.out.display()))?;
    println!("saved {}", arguments.out.display());
    Ok(())
}

fn pose(
    person: &Person,
    joints: &[Option<Joint>],
    arguments: &Arguments,
    random: &mut Random,
) -> Pose2d {
    let mut pose = Pose2d::default();
    for (joint, point) in joints.iter().zip(&person.keypoints) {
        let (Some(joint), Some([x, y, sure])) = (joint, point) else {
            continue;
        };
        let shake =
            Vec2::new(random.normal() as f32, random.normal() as f32) * arguments.noise as f32;
        if *sure > 0.0 && random.uniform() >= arguments.drop_joints {
            pose[*joint] = Some(Keypoint {
                position: Vec2::new(*x as f32, *y as f32) + shake,
                confidence: Confidence::new(*sure as f32),
            });
        }
    }
    pose
}

fn found(person: &RoomPerson, joints: &[Option<Joint>], file_from_bevy: DMat3) -> FoundPerson {
    let found = |joint: &Option<Joint>| person.joints[(*joint)?];
    let joints = joints.iter().map(found);
    FoundPerson {
        id: person.id,
        joints: joints
            .clone()
            .map(|joint| Some((file_from_bevy * joint?.position).to_array()))
            .collect(),
        sigmas: joints.map(|joint| Some(joint?.sigma)).collect(),
    }
}

fn report(times: &mut [f64], views: &[View]) {
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or(0.0);
    println!(
        "{} frames of {} views: {:.2} ms a frame (median), {:.2} ms (95th percentile)",
        times.len(),
        views.len(),
        at(50),
        at(95)
    );
}

fn read(path: &Path) -> Result<Detections, AnyError> {
    let failed = |error: String| format!("cannot read {}: {error}", path.display());
    let mut bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_end(&mut unpacked)
            .map_err(|error| failed(error.to_string()))?;
        bytes = unpacked;
    }
    Ok(serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?)
}
