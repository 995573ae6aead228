//! How long each stage takes, over the last frames.

use std::collections::VecDeque;

use bevy_egui::egui;
use egui_plot::{Legend, Line, Plot, PlotPoints};

use crate::capture::CameraStatus;

/// Frames that are shown.
const SHOWN: usize = 240;
const NAMES: [&str; 7] = [
    "source",
    "room",
    "people",
    "looks",
    "keypoints",
    "lift",
    "total latency",
];

/// Times of the last frames, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct TimesHistory {
    rows: VecDeque<[f64; 7]>,
}

impl TimesHistory {
    /// Takes in a frame's times.
    pub fn push(&mut self, status: &CameraStatus) {
        let millis = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let [source, room, people, looks, keypoints, lift] =
            status.times.rows().map(|(_, time)| millis(time));
        let latency = millis(status.latency);
        self.rows
            .push_back([source, room, people, looks, keypoints, lift, latency]);
        while self.rows.len() > SHOWN {
            self.rows.pop_front();
        }
    }

    /// The mean of a column, in milliseconds.
    fn mean(&self, column: usize) -> f64 {
        self.rows.iter().map(|row| row[column]).sum::<f64>() / self.rows.len().max(1) as f64
    }
}

/// Shows the times as lines and their means as numbers.
pub fn times_ui(ui: &mut egui::Ui, history: &TimesHistory) {
    let text: Vec<String> = NAMES
        .iter()
        .enumerate()
        .map(|(n, name)| format!("{name} {:.1}", history.mean(n)))
        .collect();
    ui.small(format!("{} ms", text.join(" · ")));
    Plot::new("stage times")
        .height(110.0)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .legend(Legend::default())
        .show(ui, |plot| {
            for (column, name) in NAMES.iter().enumerate() {
                let points = history
                    .rows
                    .iter()
                    .enumerate()
                    .map(|(n, row)| [n as f64, row[column]]);
                plot.line(Line::new(*name, PlotPoints::from_iter(points)));
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;
    use std::time::Duration;

    #[test]
    fn means_are_of_the_frames_shown() {
        let mut history = TimesHistory::default();
        for n in 0..SHOWN + 50 {
            let latency = Duration::from_millis(if n < 50 { 500 } else { 20 });
            history.push(&CameraStatus {
                latency,
                ..CameraStatus::default()
            });
        }
        let harness = Harness::new_ui(|ui| times_ui(ui, &history));
        assert!(
            harness
                .query_by_label_contains("total latency 20.0")
                .is_some()
        );
    }
}
