//! Performers as lines in the world. Opt-in: add [`PoseCaptureDebugPlugin`].

use bevy::prelude::*;

use crate::capture::Performer;
use crate::skeleton::{BONES, Side, side_of};

/// The lines' gizmo group: switch it off in the [`GizmoConfigStore`].
#[derive(Default, Reflect, GizmoConfigGroup)]
pub struct PoseCaptureGizmos;

/// Draws every performer's skeleton, left green and right orange, where they are in the world.
#[derive(Default)]
pub struct PoseCaptureDebugPlugin {
    /// Added to where they are, in metres: away from an avatar that would hide them.
    pub aside: Vec3,
}

/// The plugin's field.
#[derive(Resource)]
struct Aside(Vec3);

impl Plugin for PoseCaptureDebugPlugin {
    fn build(&self, app: &mut App) {
        app.init_gizmo_group::<PoseCaptureGizmos>()
            .insert_resource(Aside(self.aside))
            .add_systems(Update, draw);
    }
}

fn draw(mut gizmos: Gizmos<PoseCaptureGizmos>, performers: Query<&Performer>, aside: Res<Aside>) {
    let aside = aside.0;
    for performer in &performers {
        for &(a, b) in BONES {
            if let (Some(from), Some(to)) = (performer.pose[a], performer.pose[b]) {
                let colour = match side_of(a, b) {
                    Side::Left => Color::srgb(0.2, 0.85, 0.45),
                    Side::Right => Color::srgb(0.95, 0.45, 0.25),
                    Side::Middle => Color::WHITE,
                };
                gizmos.line(from.position + aside, to.position + aside, colour);
            }
        }
    }
}
