//! What the examples share: a stage to stand on, and rendering without a window.
#![allow(dead_code, reason = "each example uses a part of it")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bevy::app::PluginGroupBuilder;
use bevy::asset::UnapprovedPathMode;
use bevy::camera::RenderTarget;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::ecs::system::RunSystemOnce;
use bevy::prelude::*;
use bevy::render::RenderPlugin;
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::render::render_resource::TextureFormat;
use bevy::render::renderer::initialize_renderer;
use bevy::render::settings::{Backends, RenderCreation, WgpuSettings};
use bevy::render::view::screenshot::{Screenshot, ScreenshotCaptured};
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use bevy_pose_capture::avatar::{AvatarRefused, AvatarRig};
use bevy_pose_capture::prelude::PoseCaptureSystems;

/// Bevy's plugins with this crate's `assets` folder, from which any path may be loaded.
pub fn default_plugins() -> PluginGroupBuilder {
    let file_path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets").to_owned();
    let assets = AssetPlugin {
        file_path,
        unapproved_path_mode: UnapprovedPathMode::Allow,
        ..default()
    };
    DefaultPlugins.set(assets).set(bevy::log::LogPlugin {
        filter:
            "wgpu=error,naga=warn,bevy_render=warn,bevy_app=warn,bevy_winit=error,calloop=error"
                .into(),
        ..default()
    })
}

/// What renders where there is no window. With one Bevy chooses itself, so that what renders can also show; asked before that,
/// this says whether there is anything at all: Bevy would panic.
///
/// # Errors
/// A sentence when there is nothing that can render.
pub fn renderer() -> Result<RenderCreation, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let renderer = std::panic::catch_unwind(|| {
        let settings = WgpuSettings::default();
        bevy::tasks::block_on(initialize_renderer(
            settings.backends.unwrap_or(Backends::all()),
            None,
            &settings,
        ))
    });
    std::panic::set_hook(hook);
    let renderer = renderer.map_err(|_| {
        "there is no GPU adapter, not even a software one; install a Vulkan driver (Debian: mesa-vulkan-drivers)".to_owned()
    })?;
    Ok(renderer.into())
}

/// [`default_plugins`] without a window: pictures are rendered into an image.
///
/// # Errors
/// As [`renderer`].
pub fn headless_plugins() -> Result<PluginGroupBuilder, String> {
    Ok(default_plugins()
        .set(WindowPlugin {
            primary_window: None,
            exit_condition: ExitCondition::DontExit,
            ..default()
        })
        .set(RenderPlugin {
            render_creation: renderer()?,
            synchronous_pipeline_compilation: true,
            ..default()
        })
        .disable::<PipelinedRenderingPlugin>()
        .disable::<WinitPlugin>())
}

/// Gets an app without a window ready for `app.update()`.
pub fn finish(app: &mut App) {
    while app.plugins_state() == bevy::app::PluginsState::Adding {
        bevy::tasks::tick_global_task_pools_on_main_thread();
    }
    app.finish();
    app.cleanup();
}

/// Where a stage's camera stands and looks.
pub struct View {
    /// Eye, in metres.
    pub eye: Vec3,
    /// What it looks at.
    pub target: Vec3,
}

/// A floor, a wall, light, and a camera that renders into `image` where there is one.
pub fn spawn_stage(
    commands: &mut Commands,
    meshes: &mut Assets<Mesh>,
    materials: &mut Assets<StandardMaterial>,
    view: &View,
    image: Option<Handle<Image>>,
) {
    let mut material = |r, g, b| {
        materials.add(StandardMaterial {
            base_color: Color::srgb(r, g, b),
            perceptual_roughness: 0.95,
            ..default()
        })
    };
    let (floor, wall) = (material(0.46, 0.42, 0.38), material(0.62, 0.66, 0.68));
    commands.spawn((
        Mesh3d(meshes.add(Plane3d::default().mesh().size(24.0, 24.0))),
        MeshMaterial3d(floor),
    ));
    let back = Transform::from_xyz(0.0, 3.0, -3.5);
    commands.spawn((
        Mesh3d(meshes.add(Cuboid::new(24.0, 6.0, 0.1))),
        MeshMaterial3d(wall),
        back,
    ));
    commands.spawn((
        DirectionalLight {
            illuminance: 7_000.0,
            shadow_maps_enabled: true,
            ..default()
        },
        Transform::from_xyz(2.0, 4.5, 3.5).looking_at(Vec3::Y, Vec3::Y),
    ));
    let mut camera = commands.spawn((
        Camera3d::default(),
        Tonemapping::Reinhard,
        Projection::Perspective(PerspectiveProjection {
            fov: 0.75,
            ..default()
        }),
        Transform::from_translation(view.eye).looking_at(view.target, Vec3::Y),
        AmbientLight {
            brightness: 550.0,
            ..default()
        },
    ));
    if let Some(image) = image {
        camera.insert((RenderTarget::Image(image.into()), Msaa::Off));
    }
}

/// A picture to render into.
fn target(images: &mut Assets<Image>, width: u32, height: u32) -> Handle<Image> {
    images.add(Image::new_target_texture(
        width,
        height,
        TextureFormat::Rgba8UnormSrgb,
        None,
    ))
}

/// A stage that is rendered into a picture of that size, which [`photograph`] takes.
///
/// # Errors
/// When the app lacks the plugins of [`headless_plugins`].
pub fn spawn_headless_stage(
    app: &mut App,
    view: View,
    width: u32,
    height: u32,
) -> Result<Handle<Image>, String> {
    let image = target(
        &mut app.world_mut().resource_mut::<Assets<Image>>(),
        width,
        height,
    );
    let into = image.clone();
    app.world_mut()
        .run_system_once(
            move |mut commands: Commands,
                  mut meshes: ResMut<Assets<Mesh>>,
                  mut materials: ResMut<Assets<StandardMaterial>>| {
                let into = Some(into.clone());
                spawn_stage(&mut commands, &mut meshes, &mut materials, &view, into);
            },
        )
        .map_err(|error| error.to_string())?;
    Ok(image)
}

/// Whether people are to stand still: while they are photographed.
#[derive(Resource, Default, PartialEq)]
pub struct Still(bool);

/// Lets [`photograph`] hold performers still.
pub fn hold_still_for_pictures(app: &mut App) {
    app.init_resource::<Still>().configure_sets(
        PreUpdate,
        PoseCaptureSystems::Receive.run_if(resource_equals(Still(false))),
    );
}

/// Renders the app's present state into a picture; `None` where it does not come within a few updates.
pub fn photograph(app: &mut App, target: &Handle<Image>) -> Option<image::RgbImage> {
    app.insert_resource(Still(true));
    let picture = render(app, target);
    app.insert_resource(Still(false));
    picture
}

fn render(app: &mut App, target: &Handle<Image>) -> Option<image::RgbImage> {
    let shot = Arc::new(Mutex::new(None));
    let kept = shot.clone();
    app.world_mut()
        .spawn(Screenshot::image(target.clone()))
        .observe(move |captured: On<ScreenshotCaptured>| {
            if let (Ok(picture), Ok(mut kept)) =
                (captured.image.clone().try_into_dynamic(), kept.lock())
            {
                *kept = Some(picture.to_rgb8());
            }
        });
    for _ in 0..20 {
        app.update();
        if let Some(picture) = shot.lock().ok().and_then(|mut shot| shot.take()) {
            return Some(picture);
        }
    }
    None
}

/// Updates the app until its avatar's bones are known; gives the avatar.
///
/// # Errors
/// A sentence when it cannot be driven, or is not there within a minute.
pub fn wait_for_avatar(app: &mut App) -> Result<Entity, String> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        app.update();
        let world = app.world_mut();
        if let Some(refused) = world.query::<&AvatarRefused>().iter(world).next() {
            return Err(refused.0.clone());
        }
        let mut rigged = world.query_filtered::<Entity, With<AvatarRig>>();
        if let Some(avatar) = rigged.iter(world).next() {
            return Ok(avatar);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err("the avatar was not loaded within a minute; is its file whole?".into())
}

/// Whether windows can be opened; on Linux through X11, which Wayland's desktops offer too.
pub fn has_display() -> bool {
    cfg!(not(target_os = "linux"))
        || std::env::var_os("DISPLAY").is_some_and(|value| !value.is_empty())
}

/// The clip that comes with the crate.
pub fn sample_clip() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/assets/clips/sample.mp4").into()
}
