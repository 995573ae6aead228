//! Where pictures come from, and how they are used.

use bevy_egui::egui;

use crate::plugin::PoseCaptureSettings;
use crate::worker::{Inbox, Received, WhenFull, Worker, mailbox};

/// What the user is typing as the source, and the webcams to choose from.
#[derive(Debug, Default)]
pub struct SourcePick {
    /// `webcam:0`, `webcam:NAME`, a video, a folder.
    pub text: String,
    webcams: Webcams,
}

/// The webcams of the system. A driver may take seconds to answer, so it is asked on a thread, and only once the list is
/// opened.
#[derive(Debug, Default)]
enum Webcams {
    #[default]
    Unasked,
    Asked(Inbox<Vec<String>>),
    Found(Vec<String>),
}

impl Webcams {
    /// Their names; `None` while the system is being asked.
    fn names(&mut self) -> Option<&[String]> {
        match self {
            Webcams::Unasked => *self = ask_for_webcams(),
            Webcams::Asked(answer) => match answer.try_receive() {
                Received::Item(names) => *self = Webcams::Found(names),
                Received::Closed => *self = Webcams::Found(Vec::new()),
                Received::Empty => {}
            },
            Webcams::Found(_) => {}
        }
        match self {
            Webcams::Found(names) => Some(names),
            Webcams::Unasked | Webcams::Asked(_) => None,
        }
    }
}

fn ask_for_webcams() -> Webcams {
    let (answers, answer) = mailbox(1, WhenFull::Wait);
    let asking = Worker::spawn("pose capture: list of webcams", move |_| {
        answers.tell(webcams());
    });
    match asking {
        Ok(_) => Webcams::Asked(answer),
        Err(_) => Webcams::Found(Vec::new()),
    }
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
        egui::ComboBox::from_id_salt("webcam")
            .selected_text("webcam …")
            .show_ui(ui, |ui| {
                let Some(names) = pick.webcams.names() else {
                    ui.label("looking …");
                    ui.ctx().request_repaint();
                    return;
                };
                for name in names {
                    if ui.selectable_label(false, name).clicked() {
                        chosen = Some(format!("webcam:{name}"));
                    }
                }
                if names.is_empty() {
                    ui.label("none was found");
                }
            });
        if ui
            .button("⟲")
            .on_hover_text("Look for webcams again")
            .clicked()
        {
            pick.webcams = Webcams::Unasked;
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
    ui.checkbox(&mut settings.read_room, "read tilt and lens off the room")
        .on_hover_text("By its straight edges; else people tell where up is, by how they stand, and a usual lens is assumed");
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
                webcams: Webcams::Found(Vec::new()),
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
