//! A camera or a clip drives an avatar, in a window with the panel:
//! `cargo run --example drive_avatar -- --input webcam:0`. With `--headless` it writes pictures instead.

#[path = "support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use bevy::prelude::*;
use bevy::render::view::screenshot::{Screenshot, ScreenshotCaptured, save_to_disk};
use bevy_pose_capture::avatar::AvatarRefused;
use bevy_pose_capture::capture::{CameraState, CameraStatus, Captured};
use bevy_pose_capture::panel::PanelState;
use bevy_pose_capture::prelude::*;
use bevy_pose_capture::record::gltf::AvatarFile;
use bevy_pose_capture::record::overlay::overlay;
use bevy_pose_capture::retarget::humanoid::table_entry;
use bevy_pose_capture::source::SourceSpec;
use clap::Parser;
use support::View;

/// A camera or a clip drives an avatar.
#[derive(Parser, Resource, Clone)]
struct Arguments {
    /// `webcam:0`, `webcam:NAME`, a video file, a folder of pictures; without it the first webcam, or the sample clip
    /// where there is none.
    #[arg(long)]
    input: Option<String>,
    /// A .glb, .gltf or .vrm humanoid; ours where it is left out.
    #[arg(long)]
    avatar: Option<PathBuf>,
    /// `BONE=NODE`: a bone of the avatar (VRM's name, such as leftHand) whose node is not found by itself.
    #[arg(long, value_parser = table_entry)]
    bone: Vec<(String, String)>,
    /// Folder of models to use before the embedded ones.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Take this model for its task, by the name on its card.
    #[arg(long)]
    prefer: Vec<String>,
    /// No window: play the clip once and write pictures of frame and avatar side by side.
    #[arg(long)]
    headless: bool,
    /// Where the pictures of `--headless` go.
    #[arg(long, default_value = "capture")]
    out: PathBuf,
    /// How many pictures `--headless` writes.
    #[arg(long, default_value_t = 12)]
    pictures: u32,
    /// Save a picture of the window after so many seconds, and end.
    #[arg(long)]
    screenshot_after: Option<f32>,
    /// Where that picture goes.
    #[arg(long, default_value = "window.png")]
    screenshot: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.headless {
        run_headless(&arguments)
    } else {
        run_window(&arguments)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("drive_avatar: {error}");
            ExitCode::FAILURE
        }
    }
}

fn source(arguments: &Arguments) -> SourceSpec {
    if let Some(input) = &arguments.input {
        return SourceSpec::parse(input);
    }
    #[cfg(feature = "webcam")]
    if !arguments.headless && !bevy_pose_capture::source::webcam::webcam_names().is_empty() {
        return SourceSpec::parse("webcam:0");
    }
    SourceSpec::Video(support::sample_clip())
}

fn avatar(arguments: &Arguments, assets: &AssetServer) -> impl Bundle + use<> {
    let file = arguments
        .avatar
        .clone()
        .unwrap_or_else(|| "avatars/mannequin.glb".into());
    let file = if file.is_relative() && file.exists() {
        std::path::absolute(&file).unwrap_or(file)
    } else {
        file
    };
    let path = bevy::asset::AssetPath::from(file).with_label("Scene0");
    let avatar = Avatar {
        bone_table: arguments.bone.iter().cloned().collect(),
        ..default()
    };
    (WorldAssetRoot(assets.load(path)), avatar)
}

/// Where the performers' skeletons are drawn: beside the avatar, as far from the camera entity as people usually stand.
const SKELETONS_ASIDE: Vec3 = Vec3::new(1.3, 0.0, 3.0);

/// What is wrong with the avatar's file is said at once, and not only logged once the app runs.
fn check_avatar(arguments: &Arguments) -> Result<(), String> {
    let Some(file) = &arguments.avatar else {
        return Ok(());
    };
    if !file.exists() {
        return Err(format!(
            "the avatar {} does not exist; check the path",
            file.display()
        ));
    }
    if file
        .extension()
        .is_some_and(|extension| extension == "gltf")
    {
        return Ok(());
    }
    let table = arguments.bone.iter().cloned().collect();
    AvatarFile::open(file)
        .and_then(|file| file.rig(&table))
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// An avatar that cannot be driven ends the app: there would be nothing to see.
fn end_on_refusal(
    refused: Query<&AvatarRefused, Added<AvatarRefused>>,
    mut exit: MessageWriter<AppExit>,
) {
    for refused in &refused {
        eprintln!("drive_avatar: {}", refused.0);
        exit.write(AppExit::error());
    }
}

fn run_window(arguments: &Arguments) -> Result<(), String> {
    check_avatar(arguments)?;
    if !support::has_display() {
        return Err(
            "there is no display to open a window on; --headless writes pictures instead".into(),
        );
    }
    drop(support::renderer()?);
    let spec = source(arguments);
    if !spec.is_live() {
        spec.open().map_err(|error| error.to_string())?;
    }
    let settings = PoseCaptureSettings {
        models: arguments.models.clone(),
        prefer: arguments.prefer.clone(),
        ..default()
    };
    let mut app = App::new();
    app.add_plugins((
        support::default_plugins().set(WindowPlugin {
            primary_window: Some(Window {
                title: "bevy_pose_capture".into(),
                resolution: (1280, 720).into(),
                ..default()
            }),
            ..default()
        }),
        PoseCapturePlugin::default(),
        PoseCapturePanelPlugin,
        PoseCaptureDebugPlugin {
            aside: SKELETONS_ASIDE,
        },
    ))
    .insert_resource(settings)
    .insert_resource(arguments.clone())
    .insert_resource(bevy::winit::WinitSettings::continuous())
    .add_systems(
        Startup,
        move |mut commands: Commands,
              assets: Res<AssetServer>,
              arguments: Res<Arguments>,
              mut meshes: ResMut<Assets<Mesh>>,
              mut materials: ResMut<Assets<StandardMaterial>>| {
            let view = View {
                eye: Vec3::new(-0.8, 1.5, 5.4),
                target: Vec3::new(-0.8, 1.0, 0.0),
            };
            support::spawn_stage(&mut commands, &mut meshes, &mut materials, &view, None);
            commands.spawn(CaptureCamera::new(spec.clone()));
            commands.spawn(avatar(&arguments, &assets));
        },
    )
    .add_systems(Update, (take_screenshot, end_on_refusal));
    app.world_mut()
        .resource_mut::<PanelState>()
        .avatar
        .clone_from(&arguments.avatar);
    match app.run() {
        AppExit::Success => Ok(()),
        AppExit::Error(code) => Err(format!(
            "the app ended with an error ({code}); the log says why"
        )),
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

/// The newest frame, for the pictures.
#[derive(Resource, Default)]
struct Newest(Option<Captured>);

fn run_headless(arguments: &Arguments) -> Result<(), String> {
    let spec = source(arguments);
    if spec.is_live() {
        return Err(
            "a webcam has no end; --headless takes a video file or a folder of pictures".into(),
        );
    }
    check_avatar(arguments)?;
    let length = spec
        .open()
        .map_err(|error| error.to_string())?
        .length()
        .unwrap_or(300);
    std::fs::create_dir_all(&arguments.out).map_err(|error| {
        format!(
            "cannot make the folder {}: {error}",
            arguments.out.display()
        )
    })?;
    let settings = PoseCaptureSettings {
        models: arguments.models.clone(),
        prefer: arguments.prefer.clone(),
        preview: false,
        ..default()
    };
    let mut app = App::new();
    app.add_plugins((support::headless_plugins()?, PoseCapturePlugin::default()))
        .insert_resource(settings)
        .init_resource::<Newest>()
        .add_systems(
            Last,
            |mut captured: MessageReader<Captured>, mut newest: ResMut<Newest>| {
                if let Some(last) = captured.read().last() {
                    newest.0 = Some(last.clone());
                }
            },
        );
    support::hold_still_for_pictures(&mut app);
    support::finish(&mut app);
    let view = View {
        eye: Vec3::new(0.0, 1.5, 4.6),
        target: Vec3::new(0.0, 0.95, 0.0),
    };
    let target = support::spawn_headless_stage(&mut app, view, 540, 540)?;
    let bundle = avatar(arguments, app.world().resource::<AssetServer>());
    app.world_mut().spawn(bundle);
    support::wait_for_avatar(&mut app)?;
    app.world_mut().spawn(CaptureCamera::new(spec).once());

    let every = (length / u64::from(arguments.pictures.max(1))).max(1);
    let (mut next, mut written) = (0, 0);
    loop {
        app.update();
        let newest = app.world_mut().resource_mut::<Newest>().0.take();
        if let Some(Captured { capture, .. }) = newest
            && capture.frame.number >= next
        {
            next = capture.frame.number + every;
            let Some(picture) = support::photograph(&mut app, &target) else {
                continue;
            };
            let path = arguments.out.join(format!("pose_{written:02}.png"));
            side_by_side(&overlay(&capture, 540), &picture)
                .save(&path)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            written += 1;
        }
        match state(&mut app) {
            CameraState::Failed(reason) => return Err(reason),
            CameraState::Ended => break,
            CameraState::Starting | CameraState::Running | CameraState::Lost(_) => {}
        }
    }
    println!("{written} pictures are in {}", arguments.out.display());
    Ok(())
}

fn state(app: &mut App) -> CameraState {
    let world = app.world_mut();
    world
        .query::<&CameraStatus>()
        .iter(world)
        .next()
        .map(|status| status.state.clone())
        .unwrap_or_default()
}

fn side_by_side(left: &image::RgbImage, right: &image::RgbImage) -> image::RgbImage {
    let mut both = image::RgbImage::new(
        left.width() + right.width(),
        left.height().max(right.height()),
    );
    image::imageops::replace(&mut both, left, 0, 0);
    image::imageops::replace(&mut both, right, i64::from(left.width()), 0);
    both
}
