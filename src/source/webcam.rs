//! Webcams through nokhwa. Kept thin: what stands above is tested with a [scripted camera](super::scripted).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Instant;

use bevy::log::{debug, warn};
use nokhwa::Camera;
use nokhwa::pixel_format::RgbFormat;
use nokhwa::utils::{ApiBackend, CameraInfo, RequestedFormat, RequestedFormatType};

use super::{FrameSource, Picture, SourceError, WebcamPick};

/// Pictures in a row that may be broken.
const MOST_BROKEN: u32 = 15;

/// A camera that is being read.
pub struct Webcam {
    name: String,
    camera: Option<Camera>,
    first: Option<Instant>,
}

/// Linux lists a camera's nodes for metadata beside the one for pictures, which is each device's first.
fn gives_pictures(camera: &CameraInfo) -> bool {
    let Ok(number) = camera.index().as_index() else {
        return true;
    };
    let place = format!("/sys/class/video4linux/video{number}/index");
    std::fs::read_to_string(place).map_or(true, |index| index.trim() == "0")
}

fn cameras() -> Vec<CameraInfo> {
    // On macOS the user is asked; elsewhere this is nothing.
    static ASKED: Once = Once::new();
    ASKED.call_once(|| {
        nokhwa::nokhwa_initialize(|is_allowed| {
            if !is_allowed {
                warn!("this program may not use cameras; allow it in the system's settings");
            }
        });
    });
    let mut found = nokhwa::query(ApiBackend::Auto).unwrap_or_else(|error| {
        debug!("the system does not list its webcams: {error}");
        Vec::new()
    });
    found.retain(gives_pictures);
    found.sort_by_key(|camera| camera.index().as_index().unwrap_or(u32::MAX));
    found
}

/// Names of the webcams that are plugged in, in the order of their numbers.
pub fn webcam_names() -> Vec<String> {
    cameras().iter().map(CameraInfo::human_name).collect()
}

impl Webcam {
    /// Opens a webcam in the mode nearest to the wanted size and rate.
    ///
    /// # Errors
    /// [`SourceError::NoWebcam`] with those that are there; [`SourceError::Webcam`].
    pub fn open(pick: &WebcamPick, size: (u32, u32), rate: u32) -> Result<Webcam, SourceError> {
        let present = cameras();
        let chosen = match pick {
            WebcamPick::Index(n) => present.get(*n as usize),
            WebcamPick::Name(part) => present.iter().find(|camera| {
                camera
                    .human_name()
                    .to_lowercase()
                    .contains(&part.to_lowercase())
            }),
        };
        let Some(chosen) = chosen else {
            let wanted = match pick {
                WebcamPick::Index(n) => n.to_string(),
                WebcamPick::Name(name) => format!("named {name:?}"),
            };
            return Err(SourceError::NoWebcam {
                wanted,
                present: webcam_names(),
            });
        };
        let name = chosen.human_name();
        let failed = |error: nokhwa::NokhwaError| SourceError::Webcam {
            name: name.clone(),
            error: error.to_string(),
        };
        let first = RequestedFormat::new::<RgbFormat>(RequestedFormatType::None);
        let mut camera = Camera::new(chosen.index().clone(), first).map_err(failed)?;
        // The driver's own choice of the "closest" mode fails where the exact size is missing.
        let nearest = camera
            .compatible_camera_formats()
            .map_err(failed)?
            .into_iter()
            .min_by_key(|mode| {
                let off = mode.width().abs_diff(size.0) + mode.height().abs_diff(size.1);
                (off, mode.frame_rate().abs_diff(rate))
            });
        if let Some(mode) = nearest {
            let exact = RequestedFormat::new::<RgbFormat>(RequestedFormatType::Exact(mode));
            camera.set_camera_requset(exact).map_err(failed)?;
        }
        camera.open_stream().map_err(failed)?;
        Ok(Webcam {
            name,
            camera: Some(camera),
            first: None,
        })
    }

    fn failed(&self, error: String) -> SourceError {
        SourceError::Webcam {
            name: self.name.clone(),
            error,
        }
    }
}

impl FrameSource for Webcam {
    fn next_picture(&mut self) -> Result<Option<Picture>, SourceError> {
        let Some(camera) = self.camera.as_mut() else {
            return Err(self.failed("it is closed".into()));
        };
        // Cheap cameras send a broken picture now and then; those that send nothing else are of no use.
        for _ in 0..MOST_BROKEN {
            // A broken JPEG picture unwinds out of the decoder; it must not end the thread.
            let first = &mut self.first;
            let read = catch_unwind(AssertUnwindSafe(|| {
                let buffer = camera.frame()?;
                let arrived = Instant::now();
                let time = arrived.duration_since(*first.get_or_insert(arrived));
                let image = buffer.decode_image::<RgbFormat>().ok();
                Ok::<_, nokhwa::NokhwaError>(image.map(|image| Picture {
                    time: time.as_secs_f64(),
                    image,
                    arrival: Some((arrived, arrived.elapsed())),
                }))
            }));
            match read {
                Ok(Ok(Some(picture))) => return Ok(Some(picture)),
                Ok(Ok(None)) | Err(_) => {}
                Ok(Err(error)) => return Err(self.failed(error.to_string())),
            }
        }
        Err(self.failed("it sends broken pictures only".into()))
    }

    fn rate(&self) -> Option<f64> {
        self.camera
            .as_ref()
            .map(|camera| f64::from(camera.frame_rate()))
    }
}

impl Drop for Webcam {
    fn drop(&mut self) {
        // The driver panics when it closes a camera that was unplugged.
        let camera = self.camera.take();
        let _ = catch_unwind(AssertUnwindSafe(move || drop(camera)));
    }
}
