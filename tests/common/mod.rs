//! The plugin in an app without a window and without a GPU.
#![allow(dead_code, reason = "tests and benchmarks each use a part of it")]

use std::path::PathBuf;

use bevy::asset::AssetPlugin;
use bevy::prelude::*;
use bevy_pose_capture::prelude::*;

/// Bevy as far as avatars need it.
pub fn app_without_plugin() -> App {
    let mut app = App::new();
    app.add_plugins((
        MinimalPlugins,
        TransformPlugin,
        AssetPlugin {
            file_path: concat!(env!("CARGO_MANIFEST_DIR"), "/assets").into(),
            ..default()
        },
        bevy::image::ImagePlugin::default(),
        bevy::mesh::MeshPlugin,
        bevy::world_serialization::WorldSerializationPlugin,
        bevy::animation::AnimationPlugin,
        bevy::gltf::GltfPlugin::default(),
    ));
    app
}

/// The same with the plugin, ready for `app.update()`.
pub fn app() -> App {
    let mut app = app_without_plugin();
    app.add_plugins(PoseCapturePlugin::default());
    ready(app)
}

/// Ends the building of an app.
pub fn ready(mut app: App) -> App {
    app.finish();
    app.cleanup();
    app
}

/// Puts the mannequin into the app.
pub fn spawn_mannequin(app: &mut App) -> Entity {
    let assets = app.world().resource::<AssetServer>();
    let model = assets.load("avatars/mannequin.glb#Scene0");
    app.world_mut()
        .spawn((WorldAssetRoot(model), Avatar::default()))
        .id()
}

/// The clip that comes with the crate.
pub fn sample() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/assets/clips/sample.mp4").into()
}
