//! The panel: what the camera sees, what is made of it, and every setting, in one egui window.
//!
//! It reads everything and changes settings only. Each part is a plain function of an [`egui::Ui`] and what it shows, so
//! that it can be tested without an app.

mod models;
mod preview;
mod record;
mod settings;
mod times;

use std::path::PathBuf;

use bevy::asset::io::file::FileAssetReader;
use bevy::prelude::*;
use bevy_egui::{EguiContexts, EguiPlugin, EguiPrimaryContextPass, EguiTextureHandle, egui};

use crate::avatar::Avatar;
use crate::capture::room::InRoom;
use crate::capture::{
    CameraPreview, CameraState, CameraStatus, CaptureCamera, Captured, Performer,
};
use crate::plugin::PoseCaptureSettings;
use crate::recording::{Recording, StartRecording, StopRecording};
use crate::source::SourceSpec;

pub use models::{ModelChoice, models_ui};
pub use preview::preview_ui;
pub use record::{RecordAction, record_ui};
pub use settings::{SourcePick, settings_ui, source_ui};
pub use times::{TimesHistory, times_ui};

/// Shows the panel. Adds bevy_egui where nobody did.
#[derive(Default)]
pub struct PoseCapturePanelPlugin;

impl Plugin for PoseCapturePanelPlugin {
    fn build(&self, app: &mut App) {
        if !app.is_plugin_added::<EguiPlugin>() {
            app.add_plugins(EguiPlugin::default());
        }
        // Recording may be left out; its messages then go nowhere.
        app.init_resource::<PanelState>()
            .add_message::<StartRecording>()
            .add_message::<StopRecording>()
            .add_message::<Captured>()
            .add_systems(Update, remember_times)
            .add_systems(EguiPrimaryContextPass, show_panel);
    }
}

/// What the panel itself remembers.
#[derive(Resource, Debug)]
pub struct PanelState {
    /// Whether it is shown.
    pub open: bool,
    /// Name of the next take's files, without extension.
    pub take: String,
    /// The file of the avatar whose skin takes get. Where it is `None`, that of the first [`Avatar`], or our mannequin where
    /// there is none or it came from elsewhere than a file.
    pub avatar: Option<PathBuf>,
    source: SourcePick,
    /// As typed; what the settings say until somebody types.
    models_folder: Option<String>,
    history: TimesHistory,
}

impl Default for PanelState {
    fn default() -> Self {
        PanelState {
            open: true,
            take: "takes/take".into(),
            avatar: None,
            source: SourcePick::default(),
            models_folder: None,
            history: default(),
        }
    }
}

fn remember_times(
    mut state: ResMut<PanelState>,
    mut captured: MessageReader<Captured>,
    cameras: Query<&CameraStatus>,
) {
    let Some(status) = cameras.iter().next() else {
        return;
    };
    if captured.read().count() > 0 {
        state.history.push(status);
    }
}

/// The file of a model that was loaded from the game's `assets` folder or from an absolute path.
fn file_of(model: &WorldAssetRoot) -> Option<PathBuf> {
    let path = model.0.path()?.path().to_owned();
    let file = if path.is_absolute() {
        path
    } else {
        FileAssetReader::get_base_path().join("assets").join(path)
    };
    file.exists().then_some(file)
}

fn show_panel(
    mut contexts: EguiContexts,
    mut state: ResMut<PanelState>,
    mut settings: ResMut<PoseCaptureSettings>,
    mut cameras: Query<(
        Entity,
        &mut CaptureCamera,
        &CameraStatus,
        Option<&CameraPreview>,
    )>,
    performers: Query<(&Performer, Has<InRoom>)>,
    avatars: Query<(&Avatar, Option<&WorldAssetRoot>)>,
    recording: Option<Res<Recording>>,
    mut starts: MessageWriter<StartRecording>,
    mut stops: MessageWriter<StopRecording>,
) -> Result {
    if !state.open {
        return Ok(());
    }
    let first = cameras
        .iter()
        .next()
        .map(|(entity, _, status, preview)| (entity, status.clone(), preview.cloned()));
    let texture = first.as_ref().and_then(|(_, _, preview)| {
        let handle = preview.as_ref()?.texture.clone();
        Some(contexts.add_image(EguiTextureHandle::Strong(handle)))
    });
    let context = contexts.ctx_mut()?;
    let state = &mut *state;
    let mut wanted_source = None;
    let mut wanted_model = None;
    let mut wanted_settings = settings.clone();
    let mut action = None;
    egui::Window::new("Pose capture")
        .default_size([340.0, 690.0])
        .default_pos([8.0, 8.0])
        .vscroll(true)
        .show(context, |ui| {
            if let Some((camera, status, _)) = &first {
                let people: Vec<&Performer> = performers
                    .iter()
                    .map(|(performer, _)| performer)
                    .filter(|performer| performer.camera == *camera)
                    .collect();
                let seen = performers
                    .iter()
                    .filter(|(performer, in_room)| *in_room || performer.camera == *camera);
                preview_ui(ui, texture, status, seen.count(), &people);
            } else {
                ui.label("No camera yet: spawn a CaptureCamera.");
            }
            if let Some(recording) = &recording {
                action = record_ui(
                    ui,
                    &mut state.take,
                    recording.is_running(),
                    recording.seconds(),
                    recording.trouble.as_deref(),
                );
            }
            egui::CollapsingHeader::new("Source and models")
                .default_open(true)
                .show(ui, |ui| {
                    wanted_source = source_ui(ui, &mut state.source);
                    let status = first.as_ref().map(|(_, status, _)| status);
                    let folder = state.models_folder.get_or_insert_with(|| {
                        let folder = wanted_settings.models.as_ref();
                        folder.map_or_else(String::new, |folder| folder.display().to_string())
                    });
                    wanted_model = models_ui(ui, folder, status);
                    ui.small(status.map_or("", |status| status.engine.as_str()));
                });
            egui::CollapsingHeader::new("Settings")
                .default_open(true)
                .show(ui, |ui| settings_ui(ui, &mut wanted_settings));
            egui::CollapsingHeader::new("Times")
                .default_open(true)
                .show(ui, |ui| times_ui(ui, &state.history));
        });
    if let (Some(choice), Some((_, status, _))) = (wanted_model, &first) {
        choice.apply(&mut wanted_settings, &status.at_hand);
        cameras
            .iter_mut()
            .for_each(|(_, mut camera, ..)| camera.set_changed());
    }
    settings.set_if_neq(wanted_settings);
    if let Some(text) = wanted_source
        && let Some((_, mut camera, ..)) = cameras.iter_mut().next()
    {
        camera.source = SourceSpec::parse(&text);
    }
    match action {
        Some(RecordAction::Start) => {
            let (avatar, model) = avatars.iter().next().unzip();
            let file = model.flatten().and_then(file_of);
            let file = state.avatar.clone().or(file);
            // A table is of use with its own model only.
            let table = avatar.filter(|_| file.is_some());
            starts.write(StartRecording {
                file: state.take.clone().into(),
                avatar: file,
                bone_table: table.map_or_else(default, |avatar| avatar.bone_table.clone()),
            });
        }
        Some(RecordAction::Stop) => {
            stops.write(StopRecording);
        }
        None => {}
    }
    Ok(())
}

/// A state in words, and whether it is trouble.
fn state_in_words(state: &CameraState) -> (String, bool) {
    match state {
        CameraState::Starting => ("starting …".into(), false),
        CameraState::Running => ("running".into(), false),
        CameraState::Lost(reason) => (format!("lost, trying again: {reason}"), true),
        CameraState::Failed(reason) => (reason.clone(), true),
        CameraState::Ended => ("at the end of the clip".into(), false),
    }
}
