//! Where pictures come from, and how they are used.

use bevy_egui::egui;

use crate::plugin::PoseCaptureSettings;

/// What the user is typing as the source, and the webcams to choose from.
#[derive(Clone, Debug, Default)]
pub struct SourcePick {
    /// `webcam:0`, `webcam:NAME`, a video, a folder.
    pub text: String,
    webcams: Option<Vec<String>>,
}

#[cfg(feature = "webcam")]
fn webcams() -> Vec<String> {
    crate::source::webcam::webcam_names()
}

#[cfg(not(feature = "webcam"))]
fn webcams() -> Vec<String> {
    Vec::new()
}

/// Lets the user choose a source; gives it when they did.
pub fn source_ui(ui: &mut egui::Ui, pick: &mut SourcePick) -> Option<String> {
    let mut chosen = None;
    ui.horizontal(|ui| {
        let found = pick.webcams.clone();
        egui::ComboBox::from_id_salt("webcam")
            .selected_text("webcam …")
            .show_ui(ui, |ui| {
                // Asking the system for its cameras takes a moment: only when the list is opened.
                let names = found.unwrap_or_else(webcams);
                for name in &names {
                    if ui.selectable_label(false, name).clicked() {
                        chosen = Some(format!("webcam:{name}"));
                    }
                }
                if names.is_empty() {
                    ui.label("none is plugged in");
                }
                pick.webcams = Some(names);
            });
        if ui
            .button("⟲")
            .on_hover_text("Look for webcams again")
            .clicked()
        {
            pick.webcams = None;
        }
    });
    ui.horizontal(|ui| {
        let edit = ui.add(
            egui::TextEdit::singleline(&mut pick.text)
                .hint_text("video or folder")
                .desired_width(200.0),
        );
        let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        if (ui.button("Open").clicked() || entered) && !pick.text.is_empty() {
            chosen = Some(pick.text.clone());
        }
    });
    chosen
}

/// Shows the settings that act at once.
pub fn settings_ui(ui: &mut egui::Ui, settings: &mut PoseCaptureSettings) {
    ui.add(egui::Slider::new(&mut settings.smoothing, 0.0..=1.0).text("smoothing"))
        .on_hover_text("Steadier and later to the right");
    ui.checkbox(&mut settings.mirror, "mirror")
        .on_hover_text("Avatars move as in a mirror; takes are not mirrored");
    ui.checkbox(
        &mut settings.detect.undo_swaps,
        "undo swaps of left and right",
    );
    ui.add(
        egui::Slider::new(&mut settings.detect.every, 1..=15)
            .text("look for people every n-th frame"),
    );
    ui.add(egui::Slider::new(&mut settings.detect.most_people, 1..=8).text("people at most"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;

    #[test]
    fn the_mirror_box_changes_the_setting_and_nothing_else() {
        let mut harness = Harness::new_ui_state(settings_ui, PoseCaptureSettings::default());
        harness.get_by_label("mirror").click();
        harness.run_steps(2);
        assert_eq!(
            *harness.state(),
            PoseCaptureSettings {
                mirror: true,
                ..Default::default()
            }
        );
    }

    #[test]
    fn a_typed_source_is_given_when_opened() {
        let state = (
            SourcePick {
                text: "clip.mp4".into(),
                webcams: Some(Vec::new()),
            },
            None,
        );
        let show = |ui: &mut egui::Ui, (pick, chosen): &mut (SourcePick, Option<String>)| {
            *chosen = chosen.take().or(source_ui(ui, pick));
        };
        let mut harness = Harness::new_ui_state(show, state);
        harness.get_by_label("Open").click();
        harness.run_steps(2);
        assert_eq!(harness.state().1.as_deref(), Some("clip.mp4"));
    }
}
