//! The plugin, the order of its stages, and the settings that may change while it runs.

use std::path::PathBuf;

use bevy::app::AnimationSystems;
use bevy::prelude::*;

use crate::avatar::RetargetPlugin;
use crate::capture::CapturePlugin;
use crate::capture::room::RoomPlugin;
use crate::detect::DetectSettings;
use crate::pipeline::PipelineSettings;
use crate::recording::RecordingPlugin;
use crate::refine::smooth::SmoothSettings;

/// Markerless motion capture: spawn a [`CaptureCamera`](crate::capture::CaptureCamera) and an
/// [`Avatar`](crate::avatar::Avatar), and the avatar moves as the person before the camera does.
///
/// Adds [`CapturePlugin`], [`RoomPlugin`], [`RetargetPlugin`] and [`RecordingPlugin`]; add those you want by themselves to leave one out.
#[derive(Clone, Debug, Default)]
pub struct PoseCapturePlugin {
    /// A folder of models to use before the embedded ones.
    pub models: Option<PathBuf>,
}

impl Plugin for PoseCapturePlugin {
    fn build(&self, app: &mut App) {
        let mut settings = app
            .world_mut()
            .get_resource_or_init::<PoseCaptureSettings>();
        if self.models.is_some() {
            settings.models.clone_from(&self.models);
        }
        app.add_plugins((CapturePlugin, RoomPlugin, RetargetPlugin, RecordingPlugin));
    }
}

/// The stages of a frame on the main thread. Inference runs on threads of its own and is received here.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoseCaptureSystems {
    /// `PreUpdate`: what the cameras' threads found becomes performers. Order what reads performers after it.
    Receive,
    /// `PostUpdate`, after animation and before transforms are propagated: performers move avatars.
    Retarget,
    /// `PostUpdate`, after [`Retarget`](Self::Retarget): takes are written.
    Record,
}

/// What may change at any time. All but `models`, `prefer` and `threads` acts at once; a camera takes these up when it starts anew, as it does
/// whenever its [`CaptureCamera`](crate::capture::CaptureCamera) is changed (`set_changed()` will do).
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct PoseCaptureSettings {
    /// A folder of models to use before the embedded ones.
    pub models: Option<PathBuf>,
    /// Names of models to prefer.
    pub prefer: Vec<String>,
    /// Threads for each camera's image networks: half of the processor's cores, four at most, where nothing else is said.
    pub threads: usize,
    /// Finding and following.
    pub detect: DetectSettings,
    /// Whether the straight edges of the room tell how a camera is held, and how wide it sees where it has no calibration; else
    /// people tell where up is, by how they stand. Before a rolled camera, the keypoint network is then shown people upright.
    pub read_room: bool,
    /// 0 smooths nothing, 0.5 is usual, 1 is steadiest and latest. It is of people before one camera: a room of several follows their joints
    /// by how sure it is of each, whatever this is.
    pub smoothing: f32,
    /// Avatars move as in a mirror. Takes are not mirrored.
    pub mirror: bool,
    /// Previews for panels are made.
    pub preview: bool,
}

impl Default for PoseCaptureSettings {
    fn default() -> Self {
        PoseCaptureSettings {
            models: None,
            prefer: Vec::new(),
            // Half of the cores: the game wants the others.
            threads: std::thread::available_parallelism()
                .map_or(1, |cores| (cores.get() / 2).clamp(1, 4)),
            detect: DetectSettings::default(),
            read_room: true,
            smoothing: 0.5,
            mirror: false,
            preview: true,
        }
    }
}

impl PoseCaptureSettings {
    /// What a camera's thread needs of them.
    pub fn pipeline(&self) -> PipelineSettings {
        PipelineSettings {
            detect: self.detect,
            smooth: SmoothSettings::of_strength(self.smoothing),
            read_room: self.read_room,
        }
    }
}

/// Puts the stages in their order; each stage's plugin calls it.
pub(crate) fn order_stages(app: &mut App) {
    app.init_resource::<PoseCaptureSettings>()
        .configure_sets(PreUpdate, PoseCaptureSystems::Receive)
        .configure_sets(
            PostUpdate,
            (
                PoseCaptureSystems::Retarget
                    .after(AnimationSystems)
                    .before(TransformSystems::Propagate),
                PoseCaptureSystems::Record.after(PoseCaptureSystems::Retarget),
            ),
        );
}
