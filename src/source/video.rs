//! Video files, decoded by the `ffmpeg` program, which also turns them upright as their rotation flag says.

use std::path::Path;

use ffmpeg_sidecar::child::FfmpegChild;
use ffmpeg_sidecar::command::{FfmpegCommand, ffmpeg_is_installed};
use ffmpeg_sidecar::event::{FfmpegEvent, LogLevel, OutputVideoFrame};
use ffmpeg_sidecar::iter::FfmpegIterator;
use image::RgbImage;

use super::{FrameSource, Picture, SourceError};

/// A video being read.
pub struct Video {
    path: std::path::PathBuf,
    child: FfmpegChild,
    events: FfmpegIterator,
    rate: f64,
    length: Option<u64>,
    next: u64,
    complaints: Vec<String>,
    first: Option<OutputVideoFrame>,
}

impl Video {
    /// Starts ffmpeg on a file and waits for its first picture.
    ///
    /// # Errors
    /// [`SourceError::NotFound`], [`SourceError::NoFfmpeg`], [`SourceError::Unreadable`].
    pub fn open(path: &Path) -> Result<Video, SourceError> {
        if !path.exists() {
            return Err(SourceError::NotFound(path.into()));
        }
        if !ffmpeg_is_installed() {
            return Err(SourceError::NoFfmpeg);
        }
        let unreadable = |error: String| SourceError::Unreadable {
            path: path.into(),
            wanted: "a video",
            error,
        };
        // Every frame once, as it is in the file: no frame is doubled or dropped to keep a constant rate.
        let mut child = FfmpegCommand::new()
            .input(path)
            .args(["-map", "0:v:0", "-an", "-fps_mode", "passthrough"])
            .rawvideo()
            .spawn()
            .map_err(|_| SourceError::NoFfmpeg)?;
        let mut events = child
            .iter()
            .map_err(|error| unreadable(error.to_string()))?;
        let metadata = events.collect_metadata().map_err(|_| {
            let _ = child.kill();
            unreadable("ffmpeg finds no video in it".into())
        })?;
        let stream = metadata
            .output_streams
            .first()
            .and_then(|stream| stream.video_data());
        let rate = stream
            .map_or(30.0, |video| f64::from(video.fps))
            .clamp(1.0, 1000.0);
        let length = metadata
            .duration()
            .map(|seconds| (seconds * rate).round().max(1.0) as u64);
        let mut video = Video {
            path: path.into(),
            child,
            events,
            rate,
            length,
            next: 0,
            complaints: Vec::new(),
            first: None,
        };
        video.first = video.decode()?;
        if video.first.is_none() {
            return Err(unreadable("it holds no picture; is it whole?".into()));
        }
        Ok(video)
    }

    fn decode(&mut self) -> Result<Option<OutputVideoFrame>, SourceError> {
        for event in self.events.by_ref() {
            match event {
                FfmpegEvent::OutputFrame(frame) => return Ok(Some(frame)),
                FfmpegEvent::Log(LogLevel::Error | LogLevel::Fatal, text)
                | FfmpegEvent::Error(text) => {
                    self.complaints.push(text);
                }
                _ => {}
            }
        }
        // What was decoded before a fault is kept: a truncated file is a shorter clip.
        if self.next == 0 && !self.complaints.is_empty() {
            let error = self.complaints.join("; ");
            return Err(SourceError::Unreadable {
                path: self.path.clone(),
                wanted: "a video",
                error,
            });
        }
        Ok(None)
    }
}

impl FrameSource for Video {
    fn next_picture(&mut self) -> Result<Option<Picture>, SourceError> {
        let frame = match self.first.take() {
            Some(frame) => Some(frame),
            None => self.decode()?,
        };
        let Some(frame) = frame else { return Ok(None) };
        let time = self.next as f64 / self.rate;
        self.next += 1;
        let image = RgbImage::from_raw(frame.width, frame.height, frame.data).ok_or_else(|| {
            SourceError::Unreadable {
                path: self.path.clone(),
                wanted: "a video",
                error: "ffmpeg gave a picture of an odd size".into(),
            }
        })?;
        Ok(Some(Picture { time, image }))
    }

    fn rate(&self) -> Option<f64> {
        Some(self.rate)
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}

impl Drop for Video {
    fn drop(&mut self) {
        // ffmpeg would go on to the end of the file by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn ffmpeg(arguments: &[&str], out: &Path) -> bool {
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-y"])
            .args(arguments)
            .arg(out)
            .status();
        made.is_ok_and(|status| status.success())
    }

    #[test]
    fn every_frame_comes_once_and_rotation_flags_are_obeyed()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (plain, turned) = (
            folder.path().join("plain.mp4"),
            folder.path().join("turned.mp4"),
        );
        let source = [
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=64x48:rate=25:duration=1",
            "-pix_fmt",
            "yuv420p",
        ];
        if !ffmpeg(&source, &plain) {
            eprintln!("skipped: no ffmpeg here that can encode");
            return Ok(());
        }
        let mut video = Video::open(&plain)?;
        let mut count = 0;
        while let Some(picture) = video.next_picture()? {
            assert_eq!(picture.image.dimensions(), (64, 48));
            assert!((picture.time - f64::from(count) / 25.0).abs() < 1e-6);
            count += 1;
        }
        assert_eq!((count, video.length()), (25, Some(25)));

        let plain_text = plain.to_string_lossy();
        // Older versions of ffmpeg know the first way to set the flag, newer ones the second.
        if ffmpeg(
            &[
                "-i",
                &plain_text,
                "-c",
                "copy",
                "-metadata:s:v",
                "rotate=90",
            ],
            &turned,
        ) || ffmpeg(
            &["-display_rotation", "90", "-i", &plain_text, "-c", "copy"],
            &turned,
        ) {
            let first = Video::open(&turned)?.next_picture()?;
            assert_eq!(first.map(|p| p.image.dimensions()), Some((48, 64)));
        }
        Ok(())
    }

    #[test]
    fn files_that_are_no_videos_are_refused_with_their_name() -> std::io::Result<()> {
        if !ffmpeg_is_installed() {
            eprintln!("skipped: no ffmpeg here");
            return Ok(());
        }
        let folder = tempfile::tempdir()?;
        for (name, content) in [("empty.mp4", ""), ("notes.mp4", "hello\nthis is text\n")] {
            let path = folder.path().join(name);
            std::fs::write(&path, content)?;
            let error = Video::open(&path)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            assert!(error.contains(name), "{name}: {error}");
        }
        Ok(())
    }
}
