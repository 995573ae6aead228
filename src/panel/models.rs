//! Which networks are used.

use std::path::PathBuf;

use bevy_egui::egui;

use crate::capture::CameraStatus;
use crate::inference::Task;
use crate::plugin::PoseCaptureSettings;

/// What the user chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelChoice {
    /// A folder of models to use before the embedded ones; `None` leaves the embedded ones only.
    Folder(Option<PathBuf>),
    /// A model for its task.
    Model(Task, String),
}

impl ModelChoice {
    /// Takes the choice into the settings; cameras see it when they start anew. `at_hand` are all models and their tasks.
    pub fn apply(self, settings: &mut PoseCaptureSettings, at_hand: &[(Task, String)]) {
        match self {
            ModelChoice::Folder(folder) => settings.models = folder,
            ModelChoice::Model(task, name) => {
                let rival = |other: &String| at_hand.iter().any(|(t, n)| *t == task && n == other);
                settings.prefer.retain(|preferred| !rival(preferred));
                settings.prefer.push(name);
            }
        }
    }
}

/// Lets the user choose a model for each task from those at hand, and a folder with more of them.
pub fn models_ui(
    ui: &mut egui::Ui,
    folder: &mut String,
    status: Option<&CameraStatus>,
) -> Option<ModelChoice> {
    let mut choice = None;
    let tasks = [Task::Person, Task::Keypoints, Task::Lift];
    for (task, used) in tasks
        .into_iter()
        .zip(status.into_iter().flat_map(|status| &status.models))
    {
        egui::ComboBox::from_label(task.to_string())
            .selected_text(used)
            .show_ui(ui, |ui| {
                let at_hand = status.into_iter().flat_map(|status| &status.at_hand);
                for (_, name) in at_hand.filter(|(t, _)| *t == task) {
                    if ui.selectable_label(name == used, name).clicked() && name != used {
                        choice = Some(ModelChoice::Model(task, name.clone()));
                    }
                }
            });
    }
    ui.horizontal(|ui| {
        let edit = ui.add(
            egui::TextEdit::singleline(folder)
                .hint_text("folder of models")
                .desired_width(200.0),
        );
        let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let load = ui
            .button("Load")
            .on_hover_text("Use the models of this folder; empty: the embedded ones only");
        if load.clicked() || entered {
            let named = (!folder.is_empty()).then(|| folder.as_str().into());
            choice = Some(ModelChoice::Folder(named));
        }
    });
    choice
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;

    fn status() -> CameraStatus {
        CameraStatus {
            models: vec!["person".into(), "keypoints".into(), "lifter".into()],
            at_hand: vec![
                (Task::Person, "person".into()),
                (Task::Keypoints, "keypoints".into()),
                (Task::Keypoints, "movenet".into()),
                (Task::Lift, "lifter".into()),
            ],
            ..CameraStatus::default()
        }
    }

    #[test]
    fn a_model_is_chosen_from_those_of_its_task() {
        let show = |ui: &mut egui::Ui, chosen: &mut Option<ModelChoice>| {
            let choice = models_ui(ui, &mut String::new(), Some(&status()));
            *chosen = chosen.take().or(choice);
        };
        let mut harness = Harness::new_ui_state(show, None);
        harness.get_by_label("keypoints").click();
        harness.run_steps(3);
        assert!(harness.query_by_label("movenet").is_some());
        assert!(
            harness.query_by_label("lifter").is_none(),
            "of another task"
        );
        harness.get_by_label("movenet").click();
        harness.run_steps(3);
        let chosen = Some(ModelChoice::Model(Task::Keypoints, "movenet".into()));
        assert_eq!(*harness.state(), chosen);
    }

    #[test]
    fn a_chosen_model_takes_the_place_of_its_rivals_only() {
        let mut settings = PoseCaptureSettings {
            prefer: vec!["keypoints".into(), "person".into()],
            ..PoseCaptureSettings::default()
        };
        let choice = ModelChoice::Model(Task::Keypoints, "movenet".into());
        choice.apply(&mut settings, &status().at_hand);
        assert_eq!(settings.prefer, ["person", "movenet"]);
    }
}
