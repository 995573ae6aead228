//! The least that a game has to write: the first webcam moves an avatar.

use bevy::prelude::*;
use bevy_pose_capture::prelude::*;

fn main() {
    App::new()
        .add_plugins((
            DefaultPlugins,
            PoseCapturePlugin::default(),
            PoseCapturePanelPlugin,
        ))
        .add_systems(
            Startup,
            |mut commands: Commands, assets: Res<AssetServer>| {
                commands.spawn(CaptureCamera::webcam(0));
                commands.spawn((
                    WorldAssetRoot(assets.load("avatars/mannequin.glb#Scene0")),
                    Avatar::default(),
                ));
                commands.spawn((
                    Camera3d::default(),
                    Transform::from_xyz(0.0, 1.3, 3.5).looking_at(Vec3::Y, Vec3::Y),
                ));
                commands.spawn((
                    DirectionalLight::default(),
                    Transform::from_xyz(1.0, 3.0, 3.0).looking_at(Vec3::Y, Vec3::Y),
                ));
            },
        )
        .run();
}
