//! Several cameras of one room: `cargo run --example multi_view -- --input A.mp4 B.mp4 --calibration cameras.toml`.
//!
//! The cameras stand where they were calibrated, drawn as pyramids; the people between them are drawn as lines, and an avatar
//! beside them follows whoever came first. What the cameras see is shown below.

#[path = "support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::prelude::*;
use bevy::render::view::screenshot::{Screenshot, ScreenshotCaptured, save_to_disk};
use bevy_pose_capture::calibrate::files;
use bevy_pose_capture::camera::View;
use bevy_pose_capture::capture::{CameraPreview, CameraState, CameraStatus};
use bevy_pose_capture::prelude::*;
use bevy_pose_capture::source::SourceSpec;
use clap::Parser;

/// People seen by several cameras of one room.
#[derive(Parser, Resource, Clone)]
struct Arguments {
    /// One for each camera, named as it is or in the order of the calibration: `webcam:NAME`, a video file, a folder of pictures.
    #[arg(long, required = true, num_args = 2..)]
    input: Vec<String>,
    /// The cameras, as the example `calibrate` writes them.
    #[arg(long)]
    calibration: PathBuf,
    /// Folder of models to use before the embedded ones.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Take this model for its task, by the name on its card.
    #[arg(long)]
    prefer: Vec<String>,
    /// Save a picture of the window after so many seconds, and end.
    #[arg(long)]
    screenshot_after: Option<f32>,
    /// Where that picture goes.
    #[arg(long, default_value = "window.png")]
    screenshot: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("multi_view: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let specs: Vec<SourceSpec> = arguments
        .input
        .iter()
        .map(|input| SourceSpec::parse(input))
        .collect();
    let names: Vec<String> = specs.iter().map(SourceSpec::name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let views = files::read(&arguments.calibration)
        .and_then(|file| files::for_clips(file.into_bevy(), &names))
        .map_err(|error| error.to_string())?;
    for spec in specs.iter().filter(|spec| !spec.is_live()) {
        spec.open().map_err(|error| error.to_string())?;
    }
    if !support::has_display() {
        return Err(
            "there is no display to open a window on; record_clip --calibration works without one"
                .into(),
        );
    }
    drop(support::renderer()?);
    let settings = PoseCaptureSettings {
        models: arguments.models.clone(),
        prefer: arguments.prefer.clone(),
        threads: 1,
        ..default()
    };
    let cameras: Vec<(SourceSpec, View)> = specs.into_iter().zip(views).collect();
    let mut app = App::new();
    app.add_plugins((
        support::default_plugins().set(WindowPlugin {
            primary_window: Some(Window {
                title: "bevy_pose_capture: several cameras".into(),
                resolution: (1280, 720).into(),
                ..default()
            }),
            ..default()
        }),
        PoseCapturePlugin::default(),
        PoseCapturePanelPlugin,
        PoseCaptureDebugPlugin::default(),
    ))
    .insert_resource(settings)
    .insert_resource(arguments.clone())
    .insert_resource(bevy::winit::WinitSettings::continuous())
    .add_systems(
        Startup,
        move |commands: Commands, assets: Res<AssetServer>| set_up(commands, &assets, &cameras),
    )
    .add_systems(
        Update,
        (draw_cameras, show_pictures, take_screenshot, end_on_failure),
    );
    match app.run() {
        AppExit::Success => Ok(()),
        AppExit::Error(code) => Err(format!(
            "the app ended with an error ({code}); the log says why"
        )),
    }
}

fn set_up(mut commands: Commands, assets: &AssetServer, cameras: &[(SourceSpec, View)]) {
    for (spec, view) in cameras {
        commands.spawn((
            Name::new(view.name.clone()),
            CaptureCamera::new(spec.clone()),
            CalibratedCamera(view.clone()),
        ));
    }
    commands.spawn((
        Pictures,
        Node {
            position_type: PositionType::Absolute,
            right: px(8),
            bottom: px(8),
            column_gap: px(8),
            ..default()
        },
    ));
    let model = assets.load("avatars/mannequin.glb#Scene0");
    commands.spawn((
        WorldAssetRoot(model),
        Avatar::default(),
        Transform::from_xyz(1.6, 0.0, 1.2),
    ));
    commands.spawn((
        DirectionalLight {
            illuminance: 7_000.0,
            ..default()
        },
        Transform::from_xyz(2.0, 6.0, 3.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    // Above the room, looking in from behind the first camera.
    let eye = cameras
        .first()
        .map_or(Vec3::Z, |(_, view)| view.extrinsics.centre().as_vec3());
    let eye = Vec3::new(eye.x * 1.6 - 1.0, eye.y + 2.2, eye.z * 1.8 + 1.5);
    commands.spawn((
        Camera3d::default(),
        Tonemapping::Reinhard,
        Transform::from_translation(eye).looking_at(Vec3::new(-0.6, 0.6, 0.0), Vec3::Y),
        AmbientLight {
            brightness: 500.0,
            ..default()
        },
    ));
}

/// The row of pictures along the lower edge, right of the panel.
#[derive(Component)]
struct Pictures;

/// Shows the picture of each camera that gives its first one.
fn show_pictures(
    mut commands: Commands,
    cameras: Query<(&Name, &CameraPreview), Added<CameraPreview>>,
    row: Single<Entity, With<Pictures>>,
) {
    for (name, preview) in &cameras {
        commands.entity(*row).with_child((
            Node {
                flex_direction: FlexDirection::Column,
                ..default()
            },
            children![
                (Text::new(name.as_str()), TextFont::from_font_size(13.0)),
                (
                    ImageNode::new(preview.texture.clone()),
                    Node {
                        height: px(130),
                        ..default()
                    },
                ),
            ],
        ));
    }
}

/// Each camera as a pyramid from its lens to what it sees half a metre ahead; and the floor as a grid.
fn draw_cameras(mut gizmos: Gizmos, cameras: Query<(&CalibratedCamera, &GlobalTransform)>) {
    gizmos.grid(
        Isometry3d::from_rotation(Quat::from_rotation_x(std::f32::consts::FRAC_PI_2)),
        UVec2::splat(12),
        Vec2::splat(1.0),
        Color::srgba(1.0, 1.0, 1.0, 0.15),
    );
    for (camera, place) in &cameras {
        let lens = &camera.0.intrinsics;
        let (width, height) = (lens.width as f32, lens.height as f32);
        let corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)].map(|(x, y)| {
            let ray = lens.ray(Vec2::new(x, y)) * 0.5;
            place.transform_point(Vec3::new(ray.x, -ray.y, -ray.z))
        });
        for n in 0..4 {
            gizmos.line(place.translation(), corners[n], Color::srgb(0.4, 0.7, 1.0));
            gizmos.line(corners[n], corners[(n + 1) % 4], Color::srgb(0.4, 0.7, 1.0));
        }
    }
}

fn end_on_failure(
    cameras: Query<&CameraStatus, Changed<CameraStatus>>,
    mut exit: MessageWriter<AppExit>,
) {
    for status in &cameras {
        if let CameraState::Failed(reason) = &status.state {
            eprintln!("multi_view: {reason}");
            exit.write(AppExit::error());
        }
    }
}

fn take_screenshot(
    mut commands: Commands,
    time: Res<Time>,
    arguments: Res<Arguments>,
    mut taken: Local<bool>,
) {
    let Some(after) = arguments.screenshot_after else {
        return;
    };
    if !*taken && time.elapsed_secs() > after {
        *taken = true;
        commands
            .spawn(Screenshot::primary_window())
            .observe(save_to_disk(arguments.screenshot.clone()))
            .observe(
                |_: On<ScreenshotCaptured>, mut exit: MessageWriter<AppExit>| {
                    exit.write(AppExit::Success);
                },
            );
    }
}
