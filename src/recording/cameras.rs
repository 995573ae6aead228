//! Of which camera a take is.

use std::time::Duration;

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;

use super::{Clock, Running};
use crate::camera::View;
use crate::capture::room::Room;
use crate::capture::{CameraState, CameraStatus, CaptureCamera, Presence};

/// A camera that is away for longer is taken to be gone for good.
pub(super) const GONE: Duration = Duration::from_secs(3);

/// All cameras, as far as a take asks for them.
#[derive(SystemParam)]
pub(super) struct Cameras<'w, 's> {
    all: Query<
        'w,
        's,
        (
            Entity,
            &'static CaptureCamera,
            Option<&'static CameraStatus>,
        ),
    >,
    room: Option<Res<'w, Room>>,
}

impl Cameras<'_, '_> {
    /// Whether people are followed by several cameras together; `None` where there are no rooms at all.
    pub(super) fn room_is_in_charge(&self) -> Option<bool> {
        self.room.as_ref().map(|room| room.is_in_charge())
    }

    /// Where a camera stands, if it is calibrated.
    pub(super) fn view_of(&self, camera: Entity) -> Option<&View> {
        self.room.as_ref()?.view_of(camera)
    }

    pub(super) fn name_of(&self, camera: Entity) -> String {
        let known = self.all.get(camera);
        known.map_or_else(|_| "gone".into(), |(_, camera, _)| camera.source.name())
    }

    /// Whether a camera is there and gives pictures, or will.
    fn works(&self, camera: Entity) -> bool {
        let known = self.all.get(camera);
        known.is_ok_and(|(.., status)| Presence::of(status) != Presence::Gone)
    }

    /// Whether it is lost, or cannot be used.
    fn is_away(&self, camera: Entity) -> bool {
        let known = self.all.get(camera).ok();
        let state = known.and_then(|(.., status)| Some(&status?.state));
        matches!(state, Some(CameraState::Lost(_) | CameraState::Failed(_)))
    }

    /// Whether a take is of a camera from now on, one of whose frames came; of others, `just_seen` tells whether theirs did.
    pub(super) fn is_next(
        &self,
        camera: Entity,
        running: &Running,
        just_seen: impl Fn(Entity) -> bool,
    ) -> bool {
        let is_calibrated = |camera: Entity| self.view_of(camera).is_some();
        match running.camera {
            // After a room one goes on that is calibrated as well, if any is left.
            None => {
                let was_room = matches!(running.clock, Some(Clock::Room(_)));
                let mut others = self.all.iter().map(|(other, ..)| other);
                !was_room
                    || is_calibrated(camera)
                    || !others.any(|other| is_calibrated(other) && self.works(other))
            }
            Some(first) if first == camera => true,
            // It is told in the same axes.
            Some(first) if is_calibrated(first) && is_calibrated(camera) => {
                !self.works(first) && !just_seen(first)
            }
            // Where another stands is not known: it is the next only when the first is gone for good.
            Some(first) => {
                let is_long = running.heard.elapsed() > GONE;
                !self.all.contains(first) || is_long && self.is_away(first)
            }
        }
    }
}
