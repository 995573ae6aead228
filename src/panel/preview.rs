//! The camera's picture with boxes and skeletons over it.

use bevy::math::Vec2;
use bevy_egui::egui;

use super::state_in_words;
use crate::calibrate::attitude;
use crate::capture::{CameraStatus, Performer};
use crate::skeleton::{BONES, Side, side_of};

const LEFT: egui::Color32 = egui::Color32::from_rgb(60, 220, 120);
const RIGHT: egui::Color32 = egui::Color32::from_rgb(240, 110, 60);
const MIDDLE: egui::Color32 = egui::Color32::from_rgb(230, 230, 240);
const BOX: egui::Color32 = egui::Color32::from_rgb(90, 170, 255);
const TROUBLE: egui::Color32 = egui::Color32::from_rgb(255, 120, 90);

/// Shows a camera: its picture, who is in it, and how it is doing. `seen` is how many people it helps to follow, of whom `people` are
/// told by it.
pub fn preview_ui(
    ui: &mut egui::Ui,
    texture: Option<egui::TextureId>,
    status: &CameraStatus,
    seen: usize,
    people: &[&Performer],
) {
    let (text, trouble) = state_in_words(&status.state);
    let line = format!(
        "{text} · {:.0} frames/s · {seen} seen · {} dropped",
        status.rate, status.dropped
    );
    if trouble {
        ui.colored_label(TROUBLE, text);
    } else {
        ui.label(line);
    }
    if let Some((lens, source)) = status.lens {
        ui.small(attitude::in_words(status.up, &lens, source))
            .on_hover_text("Tilt is read off the straight edges of the room, and the lens where it has no calibration");
    }
    let Some(texture) = texture else { return };
    let size = status.size.as_vec2().max(Vec2::ONE);
    let scale = (ui.available_width().min(420.0) / size.x).min(300.0 / size.y);
    let (rect, _) = ui.allocate_exact_size(
        egui::vec2(size.x * scale, size.y * scale),
        egui::Sense::hover(),
    );
    let painter = ui.painter_at(rect);
    painter.image(
        texture,
        rect,
        egui::Rect::from_min_max(egui::pos2(0.0, 0.0), egui::pos2(1.0, 1.0)),
        egui::Color32::WHITE,
    );
    let at = |point: Vec2| rect.min + egui::vec2(point.x + 0.5, point.y + 0.5) * scale;
    for person in people {
        let bounds = egui::Rect::from_two_pos(at(person.bounds.min), at(person.bounds.max));
        painter.rect_stroke(
            bounds,
            2.0,
            egui::Stroke::new(1.0, BOX),
            egui::StrokeKind::Middle,
        );
        painter.text(
            bounds.left_top(),
            egui::Align2::LEFT_BOTTOM,
            person.id,
            egui::FontId::proportional(12.0),
            BOX,
        );
        for &(a, b) in BONES {
            if let (Some(from), Some(to)) = (person.seen[a], person.seen[b])
                && from.confidence.get().min(to.confidence.get()) > 0.2
            {
                let colour = match side_of(a, b) {
                    Side::Left => LEFT,
                    Side::Right => RIGHT,
                    Side::Middle => MIDDLE,
                };
                painter.line_segment(
                    [at(from.position), at(to.position)],
                    egui::Stroke::new(2.0, colour),
                );
            }
        }
    }
}
