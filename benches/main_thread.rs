//! What the plugin costs the main thread while its networks run on others, and what a frame costs these:
//! `cargo xtask bench`.

use std::path::Path;
use std::time::{Duration, Instant};

use bevy::asset::AssetPlugin;
use bevy::prelude::*;
use bevy_pose_capture::avatar::AvatarRig;
use bevy_pose_capture::inference::{Engine, Models};
use bevy_pose_capture::pipeline::{Pipeline, PipelineSettings};
use bevy_pose_capture::prelude::*;
use bevy_pose_capture::source::{Frame, SourceSpec};

fn assets() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/assets").into()
}

fn app(with_plugin: bool) -> App {
    let mut app = App::new();
    app.add_plugins((
        MinimalPlugins,
        TransformPlugin,
        AssetPlugin {
            file_path: assets(),
            ..default()
        },
        bevy::image::ImagePlugin::default(),
        bevy::mesh::MeshPlugin,
        bevy::world_serialization::WorldSerializationPlugin,
        bevy::animation::AnimationPlugin,
        bevy::gltf::GltfPlugin::default(),
    ));
    if with_plugin {
        app.add_plugins(PoseCapturePlugin::default());
    }
    app.finish();
    app.cleanup();
    let model = app
        .world()
        .resource::<AssetServer>()
        .load("avatars/mannequin.glb#Scene0");
    app.world_mut()
        .spawn((WorldAssetRoot(model), Avatar::default()));
    app
}

fn sample() -> std::path::PathBuf {
    Path::new(&assets()).join("clips/sample.mp4")
}

/// Times of updates at 60 a second.
fn updates(app: &mut App, count: usize) -> Vec<Duration> {
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let began = Instant::now();
            app.update();
            let took = began.elapsed();
            std::thread::sleep(Duration::from_micros(16_667).saturating_sub(took));
            took
        })
        .collect();
    times.sort();
    times
}

fn row(name: &str, times: &[Duration]) {
    let at =
        |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!("{name:44} median {:.3} ms   p95 {:.3} ms", at(50), at(95));
}

fn main() {
    let mut plain = app(false);
    updates(&mut plain, 120);
    row("an update without the plugin", &updates(&mut plain, 600));
    let mut capturing = app(true);
    while capturing
        .world_mut()
        .query::<&AvatarRig>()
        .iter(capturing.world())
        .count()
        == 0
    {
        capturing.update();
    }
    capturing.world_mut().spawn(CaptureCamera::video(sample()));
    while capturing
        .world_mut()
        .query::<&Performer>()
        .iter(capturing.world())
        .count()
        == 0
    {
        capturing.update();
    }
    row(
        "an update with it, somebody being captured",
        &updates(&mut capturing, 600),
    );
    drop(capturing);

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
