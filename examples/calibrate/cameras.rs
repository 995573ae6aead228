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
    name: String,
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
}

/// Shows each camera its picture of a moment.
pub fn look_about(cameras: &mut [Camera], frames: &[Option<Frame>]) {
    for (camera, frame) in cameras.iter_mut().zip(frames) {
        if let Some(frame) = frame {
            camera.attitude.look(&frame.image, camera.given, frame.time);
        }
    }
}

/// Names and lenses, in the cameras' order: as given, else as the rooms told, else assumed; says how one is known that was not given.
pub fn lenses(cameras: &[Camera], screen: &Screen) -> Vec<(String, Intrinsics)> {
    let lens = |camera: &Camera| {
        let (lens, source) = camera.attitude.lens(camera.given, camera.size);
        if source != LensSource::Given {
            screen.warn(format!(
                "no lens was given for {}: it {}, and its place is no better than that",
                camera.name,
                attitude::in_words(None, &lens, source)
            ));
        }
        (camera.name.clone(), lens)
    };
    cameras.iter().map(lens).collect()
}

/// Where up is in the frame of each of the cameras (OpenCV), where its room told it.
pub fn ups(cameras: &[Camera]) -> Vec<Option<Vec3>> {
    let up = |camera: &Camera| camera.attitude.up();
    cameras.iter().map(up).collect()
}
