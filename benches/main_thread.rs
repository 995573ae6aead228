//! What the plugin costs the main thread while its networks run on others, and what a frame costs these:
//! `cargo xtask bench`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use bevy::ecs::schedule::{ScheduleLabel, SingleThreadedExecutor};
use bevy::prelude::*;
use bevy_pose_capture::avatar::AvatarRig;
use bevy_pose_capture::inference::{Engine, Models};
use bevy_pose_capture::pipeline::{Pipeline, PipelineSettings};
use bevy_pose_capture::prelude::*;
use bevy_pose_capture::source::{Frame, SourceSpec};
use common::{app_without_plugin, ready, sample, spawn_mannequin};

/// Time between the marks around the plugin's stages, in the present update.
#[derive(Resource)]
struct Spent {
    since: Instant,
    total: Duration,
}

fn begin(mut spent: ResMut<Spent>) {
    spent.since = Instant::now();
}

fn end(mut spent: ResMut<Spent>) {
    let since = spent.since;
    spent.total += since.elapsed();
}

/// Marks around every stage. With one thread to run the systems, what lies between two marks is the stage, and at times a
/// system of Bevy's.
fn mark_stages(app: &mut App) {
    use PoseCaptureSystems::{Receive, Record, Retarget};
    app.insert_resource(Spent {
        since: Instant::now(),
        total: Duration::ZERO,
    })
    .add_systems(PreUpdate, (begin.before(Receive), end.after(Receive)))
    .add_systems(
        PostUpdate,
        (
            begin.before(Retarget),
            (end, begin).chain().after(Retarget).before(Record),
            end.after(Record),
        ),
    );
    for label in [PreUpdate.intern(), PostUpdate.intern()] {
        app.edit_schedule(label, |schedule| {
            schedule.set_executor(SingleThreadedExecutor::new());
        });
    }
}

/// Times of updates at 60 a second: the whole, and what the plugin's stages took of it.
fn updates(app: &mut App, count: usize) -> (Vec<Duration>, Vec<Duration>) {
    let (mut whole, mut stages) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let began = Instant::now();
        app.update();
        whole.push(began.elapsed());
        if let Some(mut spent) = app.world_mut().get_resource_mut::<Spent>() {
            stages.push(std::mem::take(&mut spent.total));
        }
        std::thread::sleep(Duration::from_micros(16_667).saturating_sub(began.elapsed()));
    }
    whole.sort();
    stages.sort();
    (whole, stages)
}

fn row(name: &str, times: &[Duration]) {
    let at =
        |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!("{name:44} median {:.3} ms   p95 {:.3} ms", at(50), at(95));
}

/// An app with the mannequin, which moves as the person in the sample clip does.
fn capturing() -> App {
    let mut app = app_without_plugin();
    app.add_plugins(PoseCapturePlugin::default());
    mark_stages(&mut app);
    let mut app = ready(app);
    spawn_mannequin(&mut app);
    app.world_mut().spawn(CaptureCamera::video(sample()));
    while app
        .world_mut()
        .query::<&AvatarRig>()
        .iter(app.world())
        .count()
        == 0
        || app
            .world_mut()
            .query::<&Performer>()
            .iter(app.world())
            .count()
            == 0
    {
        app.update();
    }
    app
}

fn main() {
    let mut plain = ready(app_without_plugin());
    spawn_mannequin(&mut plain);
    updates(&mut plain, 120);
    row("an update without the plugin", &updates(&mut plain, 1200).0);
    drop(plain);
    let mut app = capturing();
    let (whole, stages) = updates(&mut app, 1200);
    row("an update with it, somebody being captured", &whole);
    row("  the plugin's stages in it", &stages);
    drop(app);

    for engine in [Engine::find(), Engine::rten("it is compared")] {
        let models = Models::embedded();
        let mut pipeline =
            match Pipeline::new(&models, &engine, 2, None, PipelineSettings::default()) {
                Ok(pipeline) => pipeline,
                Err(error) => return eprintln!("{error}"),
            };
        let mut source = match SourceSpec::Video(sample()).open() {
            Ok(source) => source,
            Err(error) => return eprintln!("{error}"),
        };
        let mut times = Vec::new();
        while let Ok(Some(picture)) = source.next_picture() {
            let number = times.len() as u64;
            let frame = Frame {
                epoch: 0,
                number,
                time: picture.time,
                captured_at: Instant::now(),
                decoding: Duration::ZERO,
                image: picture.image.into(),
            };
            let began = Instant::now();
            if pipeline.process(frame).is_ok() {
                times.push(began.elapsed());
            }
        }
        println!("{}", engine.describe());
        let mean = times.iter().sum::<Duration>().as_secs_f64() / times.len().max(1) as f64;
        times.sort();
        row("  a frame through the pipeline", &times);
        println!("  {:.0} frames a second", 1.0 / mean);
    }
}
