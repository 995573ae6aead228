//! `evaluate -- rig`: how well people are followed by how many cameras, in a room of virtual webcams whose truth is known.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy::math::DVec3;
use bevy_pose_capture::associate::Sighting;
use bevy_pose_capture::calibrate::files;
use bevy_pose_capture::camera::{Distortion, Intrinsics, View};
use bevy_pose_capture::inference::{Engine, Models};
use bevy_pose_capture::multiview::{MultiView, MultiViewSettings, RoomPerson};
use bevy_pose_capture::pipeline::{Capture, Pipeline, PipelineSettings};
use bevy_pose_capture::reconstruct::figure::{FigureJoint, Joints};
use bevy_pose_capture::skeleton::{Joint, JointMap, Pose2d};
use bevy_pose_capture::source::synthetic::{Tally, cameras_around};
use bevy_pose_capture::source::virtual_webcam::Faults;
use bevy_pose_capture::source::{Frame, Picture};
use indicatif::{ProgressBar, ProgressStyle};
use plotters::prelude::*;

use super::AnyError;
use crate::studio::{People, Studio, walkers};

/// Renders avatars that walk about before virtual webcams, and scores how well they are followed by one camera, by two, and so
/// on: a table and a plot. What was seen goes beside them, `seen_1.json` of one person and so on, with `cameras.toml`: the
/// moments can be looked at again with `evaluate multiview`. Where there is no GPU it takes some minutes.
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
    /// Avatars that they are, in turn: `.glb` or `.vrm` files.
    #[arg(long, num_args = 1..)]
    avatar: Vec<PathBuf>,
    /// Folder of models to use before the embedded ones.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Take this model for its task, by the name on its card.
    #[arg(long)]
    prefer: Vec<String>,
    /// Threads for the networks.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Size of the pictures, and how the lenses bend and the pixels shake.
const SIZE: (u32, u32) = (480, 360);
const BARREL: f64 = -0.08;
const NOISE: f32 = 3.0;
/// How far the cameras stand from the middle, in metres.
const RADIUS: f64 = 4.8;

/// What all cameras saw of so many people.
struct Session {
    /// By moment.
    truth: Vec<People>,
    /// By camera and moment; missing where a picture is.
    seen: Vec<Vec<Option<Capture>>>,
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
    let mut models = match &arguments.models {
        Some(folder) => Models::from_folder(folder)?,
        None => Models::embedded(),
    };
    for name in &arguments.prefer {
        models.prefer(name)?;
    }
    let avatars = crate::studio::avatars(&arguments.avatar)?;
    let engine = Engine::find();
    let views = room(arguments.cameras as usize);
    std::fs::create_dir_all(&arguments.out)
        .map_err(|error| format!("cannot make {}: {error}", arguments.out.display()))?;
    files::write(&arguments.out.join("cameras.toml"), &views)?;
    let mut rows = Vec::new();
    for people in 1..=arguments.people as usize {
        let session = watch(arguments, &avatars, &models, &engine, &views, people)?;
        keep(&session, &arguments.out.join(format!("seen_{people}.json")))?;
        for cameras in 1..=views.len() {
            let chosen = spread(cameras, views.len());
            rows.push(Row {
                people,
                cameras,
                tally: follow(&session, &views, &chosen, arguments.rate),
                moments: session.truth.len(),
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

fn room(count: usize) -> Vec<View> {
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
    avatars: &[String],
    models: &Models,
    engine: &Engine,
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
    let mut studio = Studio::open(&walkers(people), avatars, &webcams, arguments.rate)?;
    let mut pipelines = views
        .iter()
        .map(|view| {
            let lens = Some(view.intrinsics);
            let settings = PipelineSettings::default();
            Pipeline::new(models, engine, arguments.threads, lens, settings)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let count = (arguments.seconds * arguments.rate).round().max(1.0) as usize;
    let bar = ProgressBar::new(count as u64).with_style(ProgressStyle::with_template(
        "{msg} {bar:40} {pos}/{len} moments, {eta} left",
    )?);
    bar.set_message(format!("{people} of {} people", arguments.people));
    let mut session = Session {
        truth: Vec::new(),
        seen: views
            .iter()
            .map(|_| (0..count).map(|_| None).collect())
            .collect(),
    };
    for _ in 0..count {
        studio.step();
        session.truth.push(studio.truth());
        take(&studio, &mut pipelines, arguments.rate, &mut session.seen)?;
        bar.inc(1);
    }
    studio.flush();
    take(&studio, &mut pipelines, arguments.rate, &mut session.seen)?;
    bar.finish_and_clear();
    Ok(session)
}

/// Looks at what has come out of the webcams.
fn take(
    studio: &Studio,
    pipelines: &mut [Pipeline],
    rate: f64,
    seen: &mut [Vec<Option<Capture>>],
) -> Result<(), AnyError> {
    for ((source, pipeline), seen) in studio.sources().zip(pipelines).zip(seen) {
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
            let mut capture = pipeline.process(frame)?;
            // What was found is all that is looked at from here on.
            capture.frame.image = Arc::default();
            if let Some(place) = seen.get_mut(number) {
                *place = Some(capture);
            }
        }
    }
    Ok(())
}

/// Writes what was seen, and the truth beside it.
fn keep(session: &Session, file: &Path) -> Result<(), AnyError> {
    let pose = |pose: &Pose2d| -> Vec<Option<[f32; 3]>> {
        let point = |&joint: &Joint| {
            let point = pose[joint]?;
            Some([point.position.x, point.position.y, point.confidence.get()])
        };
        Joint::ALL.iter().map(point).collect()
    };
    let frame = |(number, truth): (usize, &People)| {
        let view = |seen: &Vec<Option<Capture>>| {
            let people = seen[number].iter().flat_map(|seen| &seen.people);
            let people = people.map(|p| serde_json::json!({ "keypoints": pose(&p.seen.pose) }));
            serde_json::json!({ "people": people.collect::<Vec<_>>() })
        };
        let views: Vec<_> = session.seen.iter().map(view).collect();
        let place = |joints: &JointMap<Option<DVec3>>| -> Vec<Option<[f64; 3]>> {
            let places = Joint::ALL.iter();
            places
                .map(|&joint| Some(joints[joint]?.to_array()))
                .collect()
        };
        let truth: Vec<_> = truth.iter().map(place).collect();
        serde_json::json!({ "frame": number, "views": views, "truth": truth })
    };
    let names: Vec<&str> = Joint::ALL.iter().map(|joint| joint.name()).collect();
    let frames: Vec<_> = session.truth.iter().enumerate().map(frame).collect();
    let seen = serde_json::json!({ "joint_names": names, "frames": frames });
    std::fs::write(file, seen.to_string())
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(())
}

fn follow(session: &Session, views: &[View], chosen: &[usize], rate: f64) -> Tally {
    let own: Vec<View> = chosen.iter().map(|&view| views[view].clone()).collect();
    let mut room = MultiView::new(own.clone(), MultiViewSettings::default());
    let mut tally = Tally::default();
    for (n, truth) in session.truth.iter().enumerate() {
        let found = if let [view] = chosen {
            alone(session.seen[*view][n].as_ref(), &views[*view])
        } else {
            let mut sightings = Vec::new();
            for (v, (&view, camera)) in chosen.iter().zip(&own).enumerate() {
                let people = session.seen[view][n].iter().flat_map(|seen| &seen.people);
                sightings.extend(people.map(|p| Sighting::new(v, camera, &p.seen.pose, None)));
            }
            room.advance(n as f64 / rate, &sightings)
        };
        tally.take(truth, &found);
    }
    tally
}

/// The people of one camera, which the lifter places.
fn alone(capture: Option<&Capture>, view: &View) -> Vec<RoomPerson> {
    let people = capture.iter().flat_map(|capture| &capture.people);
    let person = |person: &bevy_pose_capture::pipeline::Person| {
        let lifted = person.lifted.as_ref()?;
        let mut joints = Joints::default();
        for (joint, point) in lifted.pose.present() {
            let place = point.position.as_dvec3();
            joints[joint] = Some(FigureJoint {
                position: view.extrinsics.world_from_camera(place),
                sigma: f64::from(point.sigma),
                views: 1,
            });
        }
        Some(RoomPerson {
            id: person.seen.id,
            joints,
            seen: Vec::new(),
        })
    };
    people.filter_map(person).collect()
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
    let most_cameras = rows.iter().map(|row| row.cameras).max().unwrap_or(1);
    let most_people = rows.iter().map(|row| row.people).max().unwrap_or(1);
    let of_rooms = rows.iter().filter(|row| row.cameras > 1);
    let highest = of_rooms
        .map(|row| row.tally.mpjpe() * 1e3)
        .fold(10.0, f64::max);
    let area = SVGBackend::new(file, (760, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(
            "Virtual webcams: error by number of cameras",
            ("sans-serif", 18),
        )
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(46)
        .build_cartesian_2d(1.5..most_cameras as f64 + 0.5, 0.0..highest * 1.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(most_cameras)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .x_desc("cameras")
        .y_desc("mean error of joints, mm")
        .draw()?;
    for people in 1..=most_people {
        let colour = Palette99::pick(people - 1).to_rgba();
        let own = rows
            .iter()
            .filter(|row| row.people == people && row.cameras > 1);
        let points: Vec<(f64, f64)> = own
            .map(|row| (row.cameras as f64, row.tally.mpjpe() * 1e3))
            .collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(format!("{people} people"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(
            points
                .into_iter()
                .map(|at| Circle::new(at, 3, colour.filled())),
        )?;
    }
    chart
        .configure_series_labels()
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    area.present()?;
    Ok(())
}
