//! The cameras that took clips: their lenses, as given or as the room tells them.

use bevy::math::Vec3;
use bevy_pose_capture::calibrate::attitude::{self, Attitude};
use bevy_pose_capture::camera::{Intrinsics, LensSource, View};
use bevy_pose_capture::source::Frame;

use super::screen::Screen;

/// A clip's camera.
#[derive(Clone, Debug)]
pub struct Camera {
    /// The clip's name, or that of the camera in the file that its lens is from.
    pub name: String,
    size: (u32, u32),
    given: Option<Intrinsics>,
    attitude: Attitude,
}

impl Camera {
    /// Of a clip whose pictures are that large; nobody knows its lens, unless it is `given`.
    pub fn new(name: &str, size: (u32, u32), given: Option<Intrinsics>) -> Camera {
        Camera {
            name: name.into(),
            size,
            given,
            attitude: Attitude::default(),
        }
    }

    /// One that is calibrated.
    pub fn of(view: &View) -> Camera {
        let lens = view.intrinsics;
        Camera::new(&view.name, (lens.width, lens.height), Some(lens))
    }

    /// Looks at a picture, for the lens where none is given, and for where up is.
    pub fn look(&mut self, frame: &Frame) {
        let given = self.given.as_ref();
        self.attitude.look(&frame.image, given, frame.time);
    }

    /// Its lens, as given, else as the room told, else assumed.
    pub fn lens(&self) -> (Intrinsics, LensSource) {
        let (width, height) = self.size;
        self.given.map_or_else(
            || self.attitude.lens(width, height),
            |given| (given, LensSource::Given),
        )
    }

    /// Says how the lens is known, where none was given.
    pub fn tell_lens(&self, screen: &Screen) {
        let (lens, source) = self.lens();
        if source != LensSource::Given {
            screen.warn(format!(
                "no lens was given for {}: it {}, and its place is no better than that",
                self.name,
                attitude::in_words(None, &lens, source)
            ));
        }
    }

    /// Where up is in its frame (OpenCV), where the room told it.
    pub fn up(&self) -> Option<Vec3> {
        self.attitude.up()
    }
}

/// Shows each camera its picture of a moment.
pub fn look_about(cameras: &mut [Camera], frames: &[Option<Frame>]) {
    for (camera, frame) in cameras.iter_mut().zip(frames) {
        if let Some(frame) = frame {
            camera.look(frame);
        }
    }
}

/// Names and lenses, in the cameras' order.
pub fn lenses(cameras: &[Camera]) -> Vec<(String, Intrinsics)> {
    let lens = |camera: &Camera| (camera.name.clone(), camera.lens().0);
    cameras.iter().map(lens).collect()
}

/// Where up is for each of the cameras.
pub fn ups(cameras: &[Camera]) -> Vec<Option<Vec3>> {
    cameras.iter().map(Camera::up).collect()
}
