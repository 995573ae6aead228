//! Markerless motion capture inside Bevy: point a webcam at somebody, and an avatar moves.
//!
//! ```no_run
//! use bevy::prelude::*;
//! use bevy_pose_capture::prelude::*;
//!
//! # #[cfg(feature = "panel")]
//! App::new()
//!     .add_plugins((DefaultPlugins, PoseCapturePlugin::default(), PoseCapturePanelPlugin))
//!     .add_systems(Startup, |mut commands: Commands, assets: Res<AssetServer>| {
//!         commands.spawn(CaptureCamera::webcam(0));
//!         commands.spawn((WorldAssetRoot(assets.load("avatars/mannequin.glb#Scene0")), Avatar::default()));
//!     })
//!     .run();
//! ```
//!
//! A camera and a light are needed to see the avatar, and a camera for the panel; the model is looked for in the program's own `assets`
//! folder. `examples/minimal.rs` has all of it.
//!
//! # The way of a frame
//!
//! A [`CaptureCamera`](capture::CaptureCamera) is an entity. Its source is read on one thread ([`source`]); on another, a
//! [`Pipeline`](pipeline::Pipeline) finds the people in each picture and follows them ([`detect`]), turns their joints
//! into a body in space ([`lift`]), whose bones keep their lengths, and smooths it ([`refine`]). The main thread receives the result
//! ([`PoseCaptureSystems::Receive`](plugin::PoseCaptureSystems)): each person is a [`Performer`](capture::Performer)
//! entity, and each [`Avatar`](avatar::Avatar) follows one ([`retarget`]). The main thread never waits.
//!
//! Programs without a game loop call [`Pipeline::process`](pipeline::Pipeline::process) themselves, or, for clips,
//! [`ClipPipeline::process`](pipeline::ClipPipeline::process), as `examples/record_clip` does: it knows what comes next.
//!
//! # Plugins
//!
//! | plugin | does | added by [`PoseCapturePlugin`](plugin::PoseCapturePlugin) |
//! |---|---|---|
//! | [`CapturePlugin`](capture::CapturePlugin) | cameras → performers | yes |
//! | [`RoomPlugin`](capture::room::RoomPlugin) | calibrated cameras, together → performers | yes |
//! | [`RetargetPlugin`](avatar::RetargetPlugin) | performers → avatars' bones; loads `.vrm` | yes |
//! | [`RecordingPlugin`](recording::RecordingPlugin) | takes on disk, then `.glb` | yes |
//! | `PoseCapturePanelPlugin` (feature `panel`) | preview, pickers, settings, times | no |
//! | `VirtualWebcamPlugin` (feature `virtual-webcams`) | the app's own world → pictures | no |
//! | [`PoseCaptureDebugPlugin`](debug_draw::PoseCaptureDebugPlugin) | performers as lines | no |
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `webcam` | yes | live cameras; on Linux its build wants libclang |
//! | `video` | yes | video files, through the `ffmpeg` program |
//! | `panel` | yes | the egui panel |
//! | `virtual-webcams` | yes | webcams that the app renders itself, for trying a room |
//! | `embedded-models` | yes | our own small networks inside the crate |
//! | `onnxruntime` | yes | ONNX Runtime, loaded where it is found: beside the program, where `ORT_DYLIB_PATH` says, where `cargo xtask setup` puts it, or in the system; rten, in pure Rust, where it is not |
//! | `onnxruntime-download` | no | in place of `onnxruntime`, which is a default feature that has to be left out then: the build downloads and links it |
//!
//! # Models
//!
//! Any network of a known kind can be used: put its `.onnx` file beside a JSON [card](inference::ModelCard) and point
//! [`PoseCapturePlugin::models`](plugin::PoseCapturePlugin::models) at the folder. For `movenet_lightning.onnx`,
//! `blazepose_landmark_lite.onnx`, `yolox_nano.onnx`, `person_192_ssd.onnx` and `osnet_x0_25_msmt17.onnx` the cards come with the crate
//! (`models/cards` tells where each is from and what its licence is); the files do not.
//!
//! # When something is wrong
//!
//! `RUST_LOG=bevy_pose_capture=debug` tells more. Which engine runs the networks, and why, is logged at the start and
//! shown in the panel. A camera that is gone is said once ([`CameraLost`](capture::CameraLost)) and tried again; a model
//! whose bones are not found says which ([`AvatarRefused`](avatar::AvatarRefused)), and
//! [`Avatar::bone_table`](avatar::Avatar::bone_table) names them by hand.
//!
//! How a camera is tilted, and its lens where it has no calibration, is read off the straight edges of the room
//! ([`calibrate::attitude`]); the panel says what was read, and people are shown to the keypoint network upright whom a rolled camera sees.
//! Where that is wrong, as before a wall of slanted boards, give the camera its [lens](capture::CaptureCamera::intrinsics), or turn it off
//! ([`read_room`](plugin::PoseCaptureSettings::read_room)): then people tell where up is, by how they stand.

pub mod assignment;
pub mod associate;
pub mod avatar;
pub mod calibrate;
pub mod camera;
pub mod capture;
pub mod debug_draw;
pub mod detect;
pub mod inference;
pub mod lift;
pub mod looks;
pub mod multiview;
#[cfg(feature = "panel")]
pub mod panel;
pub mod pipeline;
pub mod plugin;
pub mod reconstruct;
pub mod record;
pub mod recording;
pub mod refine;
pub mod retarget;
pub mod room;
pub mod skeleton;
pub mod source;
pub mod worker;

/// What most programs need.
pub mod prelude {
    pub use crate::avatar::Avatar;
    pub use crate::capture::{
        CameraLost, CaptureCamera, Performer, PerformerEntered, PerformerLeft,
        room::{CalibratedCamera, CameraBumped},
    };
    pub use crate::debug_draw::PoseCaptureDebugPlugin;
    #[cfg(feature = "panel")]
    pub use crate::panel::PoseCapturePanelPlugin;
    pub use crate::plugin::{PoseCapturePlugin, PoseCaptureSettings, PoseCaptureSystems};
    pub use crate::recording::{StartRecording, StopRecording, TakeSaved};
}
