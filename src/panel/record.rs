//! The record button.

use bevy_egui::egui;

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordAction {
    /// Begin a take.
    Start,
    /// End the running one.
    Stop,
}

/// Shows the name of the next take, the button, and what went wrong.
pub fn record_ui(
    ui: &mut egui::Ui,
    take: &mut String,
    running: bool,
    seconds: f64,
    trouble: Option<&str>,
) -> Option<RecordAction> {
    let mut action = None;
    ui.horizontal(|ui| {
        if running {
            if ui.button("⏹ Stop").clicked() {
                action = Some(RecordAction::Stop);
            }
            ui.label(format!("{seconds:.1} s recorded"));
        } else {
            if ui.button("⏺ Record").clicked() {
                action = Some(RecordAction::Start);
            }
            ui.text_edit_singleline(take).on_hover_text(
                "Files of the take, without extension: .take while it runs, .glb after",
            );
        }
    });
    if let Some(trouble) = trouble {
        ui.colored_label(egui::Color32::from_rgb(255, 120, 90), trouble);
    }
    action
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;

    #[derive(Default)]
    struct State {
        running: bool,
        action: Option<RecordAction>,
    }

    #[test]
    fn the_button_starts_and_then_stops() {
        let show = |ui: &mut egui::Ui, state: &mut State| {
            let action = record_ui(ui, &mut "takes/one".into(), state.running, 1.0, None);
            state.action = state.action.or(action);
        };
        let mut harness = Harness::new_ui_state(show, State::default());
        harness.get_by_label("⏺ Record").click();
        harness.run_steps(2);
        assert_eq!(harness.state().action, Some(RecordAction::Start));
        *harness.state_mut() = State {
            running: true,
            action: None,
        };
        harness.run_steps(2);
        harness.get_by_label("⏹ Stop").click();
        harness.run_steps(2);
        assert_eq!(harness.state().action, Some(RecordAction::Stop));
    }

    #[test]
    fn trouble_is_shown_in_full() {
        let harness = Harness::new_ui(|ui| {
            record_ui(
                ui,
                &mut "t".into(),
                false,
                0.0,
                Some("cannot write the take t.take: disk full"),
            );
        });
        assert!(harness.query_by_label_contains("disk full").is_some());
    }
}
