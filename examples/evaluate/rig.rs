//! `evaluate -- rig`: how well people are followed by how many cameras, in a room of virtual webcams whose truth is known.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy::math::{DVec3, Vec2, Vec3};
use bevy_pose_capture::associate::Sighting;
use bevy_pose_capture::calibrate::files;
use bevy_pose_capture::camera::{Distortion, Intrinsics, View};
use bevy_pose_capture::inference::{Engine, Models, Task};
use bevy_pose_capture::multiview::{MultiView, MultiViewSettings, RoomPerson};
use bevy_pose_capture::pipeline::{Person, Pipeline, PipelineSettings};
use bevy_pose_capture::reconstruct::figure::{FigureJoint, Joints};
use bevy_pose_capture::refine::sequence::SequenceRefiner;
use bevy_pose_capture::skeleton::{Confidence, Joint, JointMap, Keypoint, Pose2d};
use bevy_pose_capture::source::synthetic::{Tally, cameras_around};
use bevy_pose_capture::source::virtual_webcam::Faults;
use bevy_pose_capture::source::{Frame, Picture};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::AnyError;
use crate::chart::{Words, by_cameras};
use crate::networks::NetworkArguments;
use crate::studio::{People, Studio, walkers};

/// Renders avatars that walk about before virtual webcams, and scores how well they are followed by one camera, by two, and so
/// on: a table and a plot. What was seen is kept beside them (`seen_1.json` of one person, and so on, which `evaluate multiview`
/// reads too, with `cameras.toml`), and scored again in seconds with `--again`. Where there is no GPU, rendering takes a quarter of
/// an hour.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder for `rig.md` and `rig.svg`.
    #[arg(long, default_value = "target/rig")]
    out: PathBuf,
    /// Up to so many cameras, in a circle.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=32))]
    cameras: u32,
    /// Up to so many people.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=8))]
    people: u32,
    /// Seconds for which they walk.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Pictures a second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Score what is in the folder already: nothing is rendered.
    #[arg(long)]
    again: bool,
    /// Correct the people over time at the end, as `record_clip --refine` does.
    #[arg(long)]
    refine: bool,
    #[command(flatten)]
    equipment: EquipmentArguments,
}

/// Who walks about, and which networks look.
#[derive(clap::Args)]
pub struct EquipmentArguments {
    /// Avatars that they are, in turn: `.glb` or `.vrm` files.
    #[arg(long, num_args = 1..)]
    avatar: Vec<PathBuf>,
    #[command(flatten)]
    networks: NetworkArguments,
}

/// Size of the pictures, and how the lenses bend and the pixels shake.
const SIZE: (u32, u32) = (480, 360);
const BARREL: f64 = -0.08;
pub const NOISE: f32 = 3.0;
/// How far the cameras stand from the middle, in metres.
const RADIUS: f64 = 4.8;

/// What all cameras saw of so many people.
#[derive(Serialize, Deserialize)]
struct Session {
    joint_names: Vec<Joint>,
    rate: f64,
    frames: Vec<Moment>,
}

/// A moment: of each view its people, of each person the truth.
#[derive(Serialize, Deserialize)]
struct Moment {
    frame: usize,
    views: Vec<InView>,
    truth: Vec<Vec<Option<[f64; 3]>>>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct InView {
    people: Vec<Seen>,
}

/// Somebody in a view: their joints in its picture, and in space, as that view's lifter says, in its camera frame.
#[derive(Clone, Serialize, Deserialize)]
struct Seen {
    id: u32,
    keypoints: Vec<Option<[f32; 3]>>,
    lifted: Vec<Option<[f32; 3]>>,
}

/// How so many people were followed by so many cameras.
struct Row {
    people: usize,
    cameras: usize,
    tally: Tally,
    moments: usize,
}

/// Renders, follows, and writes the table.
pub fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let (seconds, rate) = (arguments.seconds, arguments.rate);
    if !(0.1..=600.0).contains(&seconds) || !(1.0..=240.0).contains(&rate) {
        return Err("there must be 0.1 to 600 seconds, and 1 to 240 pictures a second".into());
    }
    let mut views = room(arguments.cameras as usize);
    let cameras = arguments.out.join("cameras.toml");
    let mut equipment = None;
    if arguments.again {
        views = files::read(&cameras)?.into_bevy();
    } else {
        std::fs::create_dir_all(&arguments.out)
            .map_err(|error| format!("cannot make {}: {error}", arguments.out.display()))?;
        files::write(&cameras, &views)?;
        equipment = Some(Equipment::of(&arguments.equipment)?);
    }
    let mut refiner = match arguments.refine {
        true => Some(SequenceRefiner::load(
            Models::embedded().of(Task::Refine)?,
            &Engine::find(),
            1,
        )?),
        false => None,
    };
    let mut rows = Vec::new();
    for people in 1..=arguments.people as usize {
        let file = arguments.out.join(format!("seen_{people}.json"));
        let session: Session = match &equipment {
            Some(equipment) => {
                let session = watch(arguments, equipment, &views, people)?;
                std::fs::write(&file, serde_json::to_vec(&session)?)
                    .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
                session
            }
            None => {
                let bytes = std::fs::read(&file)
                    .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
                serde_json::from_slice(&bytes)
                    .map_err(|error| format!("cannot read {}: {error}", file.display()))?
            }
        };
        for cameras in 1..=views.len() {
            let chosen = spread(cameras, views.len());
            rows.push(Row {
                people,
                cameras,
                tally: follow(&session, &views, &chosen, refiner.as_mut())?,
                moments: session.frames.len(),
            });
        }
    }
    let table = table(&rows);
    println!("{table}");
    let (markdown, plot) = (arguments.out.join("rig.md"), arguments.out.join("rig.svg"));
    std::fs::write(&markdown, table)
        .map_err(|error| format!("cannot write {}: {error}", markdown.display()))?;
    draw(&rows, &plot).map_err(|error| format!("cannot draw {}: {error}", plot.display()))?;
    println!("saved {} and {}", markdown.display(), plot.display());
    Ok(())
}

/// What a session is made with.
pub struct Equipment {
    /// Files of the avatars.
    pub avatars: Vec<String>,
    /// The networks.
    pub models: Models,
    /// What runs them.
    pub engine: Engine,
    /// On how many threads.
    pub threads: usize,
}

impl Equipment {
    /// Reads the networks.
    pub fn of(arguments: &EquipmentArguments) -> Result<Equipment, AnyError> {
        Ok(Equipment {
            avatars: crate::studio::avatars(&arguments.avatar)?,
            models: arguments.networks.models()?,
            engine: arguments.networks.engine(),
            threads: arguments.networks.threads(2),
        })
    }
}

/// Cameras in a circle.
pub fn room(count: usize) -> Vec<View> {
    let mut views = cameras_around(count, RADIUS);
    for view in &mut views {
        view.intrinsics = Intrinsics::assumed(SIZE.0, SIZE.1);
        view.intrinsics.distortion = Distortion {
            k1: BARREL,
            ..Distortion::default()
        };
    }
    views
}

/// So many of all cameras: all around, but two at a right angle, as from opposite sides nothing is told of depth.
fn spread(count: usize, all: usize) -> Vec<usize> {
    match count {
        2 => vec![0, (all / 4).max(1)],
        _ => (0..count).map(|n| n * all / count).collect(),
    }
}

fn watch(
    arguments: &Arguments,
    equipment: &Equipment,
    views: &[View],
    people: usize,
) -> Result<Session, AnyError> {
    let usual = Faults {
        noise: NOISE,
        ..Faults::default()
    };
    let webcams: Vec<(View, Faults)> = views
        .iter()
        .map(|view| (view.clone(), usual.clone()))
        .collect();
    let mut studio = Studio::open(
        &walkers(people),
        &equipment.avatars,
        &webcams,
        arguments.rate,
    )?;
    let mut pipelines = views
        .iter()
        .map(|view| {
            let lens = Some(view.intrinsics);
            let settings = PipelineSettings::default();
            let (models, engine) = (&equipment.models, &equipment.engine);
            Pipeline::new(models, engine, equipment.threads, lens, settings)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let count = (arguments.seconds * arguments.rate).round().max(1.0) as usize;
    let bar = ProgressBar::new(count as u64).with_style(ProgressStyle::with_template(
        "{msg} {bar:40} {pos}/{len} moments, {eta} left",
    )?);
    bar.set_message(format!("{people} of {} people", arguments.people));
    let mut frames = Vec::with_capacity(count);
    for _ in 0..count {
        studio.step();
        frames.push(Moment {
            frame: frames.len(),
            views: vec![InView::default(); views.len()],
            truth: studio.truth().iter().map(listed).collect(),
        });
        take(&studio, &mut pipelines, arguments.rate, &mut frames)?;
        bar.inc(1);
    }
    studio.flush();
    take(&studio, &mut pipelines, arguments.rate, &mut frames)?;
    bar.finish_and_clear();
    Ok(Session {
        joint_names: Joint::ALL.to_vec(),
        rate: arguments.rate,
        frames,
    })
}

/// Joint after joint.
fn listed(joints: &JointMap<Option<DVec3>>) -> Vec<Option<[f64; 3]>> {
    let all = Joint::ALL.iter();
    all.map(|&joint| Some(joints[joint]?.to_array())).collect()
}

/// Looks at what has come out of the webcams.
fn take(
    studio: &Studio,
    pipelines: &mut [Pipeline],
    rate: f64,
    frames: &mut [Moment],
) -> Result<(), AnyError> {
    for (view, (source, pipeline)) in studio.sources().zip(pipelines).enumerate() {
        while let Some(Picture { time, image, .. }) = source.try_next() {
            let number = (time * rate).round() as usize;
            let frame = Frame {
                epoch: 1,
                number: number as u64,
                time,
                captured_at: Instant::now(),
                decoding: Duration::ZERO,
                image: Arc::new(image),
            };
            let capture = pipeline.process(frame)?;
            if let Some(moment) = frames.get_mut(number) {
                moment.views[view].people = capture.people.iter().map(Seen::of).collect();
            }
        }
    }
    Ok(())
}

impl Seen {
    fn of(person: &Person) -> Seen {
        let point = |&joint: &Joint| {
            let point = person.seen.pose[joint]?;
            Some([point.position.x, point.position.y, point.confidence.get()])
        };
        let place = |&joint: &Joint| {
            let lifted = person.lifted.as_ref()?;
            Some(lifted.pose[joint]?.position.to_array())
        };
        Seen {
            id: person.seen.id,
            keypoints: Joint::ALL.iter().map(point).collect(),
            lifted: Joint::ALL.iter().map(place).collect(),
        }
    }

    fn pose(&self, names: &[Joint]) -> Pose2d {
        let mut pose = Pose2d::default();
        for (&joint, point) in names.iter().zip(&self.keypoints) {
            pose[joint] = point.map(|[x, y, sure]| Keypoint {
                position: Vec2::new(x, y),
                confidence: Confidence::new(sure),
            });
        }
        pose
    }

    /// In the world, as the lifter of one camera places them.
    fn alone(&self, names: &[Joint], view: &View) -> RoomPerson {
        let mut joints = Joints::default();
        for (&joint, place) in names.iter().zip(&self.lifted) {
            joints[joint] = place.map(|place| FigureJoint {
                position: view
                    .extrinsics
                    .world_from_camera(Vec3::from(place).as_dvec3()),
                sigma: 0.1,
                views: 1,
            });
        }
        RoomPerson {
            id: self.id,
            joints,
            seen: Vec::new(),
        }
    }
}

fn follow(
    session: &Session,
    views: &[View],
    chosen: &[usize],
    refiner: Option<&mut SequenceRefiner>,
) -> Result<Tally, AnyError> {
    let own: Vec<View> = chosen.iter().map(|&view| views[view].clone()).collect();
    let mut room = MultiView::new(own.clone(), MultiViewSettings::default());
    let names = &session.joint_names;
    let mut found = Vec::with_capacity(session.frames.len());
    for moment in &session.frames {
        found.push(if let [view] = chosen {
            let people = moment.views[*view].people.iter();
            people
                .map(|seen| seen.alone(names, &views[*view]))
                .collect()
        } else {
            let mut sightings = Vec::new();
            for (v, (&view, camera)) in chosen.iter().zip(&own).enumerate() {
                let people = moment.views[view].people.iter();
                sightings
                    .extend(people.map(|seen| Sighting::new(v, camera, &seen.pose(names), None)));
            }
            room.advance(moment.frame as f64 / session.rate, &sightings)
        });
    }
    // What one camera says of a place jumps about; the refiner is for rooms.
    if let (Some(refiner), [_, _, ..]) = (refiner, chosen) {
        refiner.refine_room(found.iter_mut().map(Vec::as_mut_slice))?;
    }
    let mut tally = Tally::default();
    for (moment, found) in session.frames.iter().zip(&found) {
        let truth = |places: &Vec<Option<[f64; 3]>>| {
            let mut joints: JointMap<Option<DVec3>> = JointMap::default();
            for (&joint, place) in names.iter().zip(places) {
                joints[joint] = place.map(DVec3::from_array);
            }
            joints
        };
        let truth: People = moment.truth.iter().map(truth).collect();
        tally.take(&truth, found);
    }
    Ok(tally)
}

fn table(rows: &[Row]) -> String {
    let mut table = "| people | cameras | MPJPE mm | missed % | extra % | id switches |\n|---|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let share = |count: usize| 100.0 * count as f64 / (row.people * row.moments).max(1) as f64;
        table += &format!(
            "| {} | {} | {:.0} | {:.1} | {:.1} | {} |\n",
            row.people,
            row.cameras,
            row.tally.mpjpe() * 1e3,
            share(row.tally.missed),
            share(row.tally.extra),
            row.tally.switches
        );
    }
    table
}

/// The mean error by the number of cameras, a line for each number of people.
fn draw(rows: &[Row], file: &Path) -> Result<(), AnyError> {
    let mut lines: Vec<(usize, Vec<(f64, f64)>)> = Vec::new();
    for row in rows.iter().filter(|row| row.cameras > 1) {
        let at = (row.cameras as f64, row.tally.mpjpe() * 1e3);
        match lines.last_mut() {
            Some((people, line)) if *people == row.people => line.push(at),
            _ => lines.push((row.people, vec![at])),
        }
    }
    let words = Words {
        caption: "Virtual webcams: error by number of cameras",
        across: "cameras",
        measured: "mean error of joints, mm",
    };
    by_cameras(&lines, &words, file)
}
