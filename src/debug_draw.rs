//! Performers as lines in the world. Opt-in: add [`PoseCaptureDebugPlugin`].

use bevy::prelude::*;

use crate::capture::Performer;
use crate::skeleton::{BONES, Side, side_of};

/// The lines' gizmo group: switch it off in the [`GizmoConfigStore`].
#[derive(Default, Reflect, GizmoConfigGroup)]
pub struct PoseCaptureGizmos;

/// Draws every performer's skeleton, left green and right orange, beside the avatars.
#[derive(Default)]
pub struct PoseCaptureDebugPlugin;

/// Skeletons stand this far to the side (metres), where no avatar hides them.
const ASIDE: Vec3 = Vec3::new(1.3, 0.0, 0.0);

impl Plugin for PoseCaptureDebugPlugin {
    fn build(&self, app: &mut App) {
        app.init_gizmo_group::<PoseCaptureGizmos>()
            .add_systems(Update, draw);
    }
}

fn draw(mut gizmos: Gizmos<PoseCaptureGizmos>, performers: Query<&Performer>) {
    for performer in &performers {
        let Some(hips) = crate::retarget::solve::hips_of(&performer.pose) else {
            continue;
        };
        let aside = ASIDE - hips.with_y(0.0);
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
