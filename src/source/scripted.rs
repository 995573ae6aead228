//! A camera played by a script: for testing all that stands above the camera driver.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};

use super::images::Images;
use super::{FrameSource, Picture, SourceError};

/// What the camera does.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Pictures of this folder, over and over; grey ones where there is none.
    pub folder: Option<PathBuf>,
    /// How many pictures it gives in all.
    pub frames: u64,
    /// Pictures per second.
    pub rate: f64,
    /// Plays like a webcam, at its own pace, rather than like a file.
    pub live: bool,
    /// Somebody pulls the cable after so many pictures (each time it is opened).
    pub unplugged_after: Option<u64>,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            folder: None,
            frames: 30,
            rate: 30.0,
            live: true,
            unplugged_after: None,
        }
    }
}

impl Script {
    /// Plugs the camera in.
    ///
    /// # Errors
    /// What [`Images::open`] gives, where the script names a folder.
    pub fn open(&self) -> Result<ScriptedCamera, SourceError> {
        let mut pictures = Vec::new();
        if let Some(folder) = &self.folder {
            let mut images = Images::open(folder, self.rate)?;
            while let Some(picture) = images.next_picture()? {
                pictures.push(picture.image);
            }
        }
        Ok(ScriptedCamera {
            script: self.clone(),
            pictures,
            given: 0,
            began: Instant::now(),
        })
    }
}

/// The camera.
#[derive(Debug)]
pub struct ScriptedCamera {
    script: Script,
    pictures: Vec<RgbImage>,
    given: u64,
    began: Instant,
}

impl FrameSource for ScriptedCamera {
    fn next_picture(&mut self) -> Result<Option<Picture>, SourceError> {
        if self
            .script
            .unplugged_after
            .is_some_and(|after| self.given >= after)
        {
            return Err(SourceError::Webcam {
                name: "scripted".into(),
                error: "it was unplugged".into(),
            });
        }
        if self.given >= self.script.frames {
            return Ok(None);
        }
        let time = self.given as f64 / self.script.rate;
        if self.script.live {
            std::thread::sleep(Duration::from_secs_f64(time).saturating_sub(self.began.elapsed()));
        }
        let image = match self.pictures.len() {
            0 => RgbImage::from_pixel(64, 48, Rgb([(self.given % 256) as u8; 3])),
            count => self.pictures[self.given as usize % count].clone(),
        };
        self.given += 1;
        Ok(Some(Picture {
            time,
            image,
            arrival: None,
        }))
    }

    fn rate(&self) -> Option<f64> {
        Some(self.script.rate)
    }
}
