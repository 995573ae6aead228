//! Video files, decoded by the `ffmpeg` program, which also turns them upright as their rotation flag says.

use std::collections::{BTreeMap, VecDeque};
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
    told: Told<FfmpegIterator>,
}

/// What ffmpeg tells: its pictures come on one pipe, and all else in the log on another.
struct Told<Events> {
    events: Events,
    rate: f64,
    /// As the file's head says.
    seconds: Option<f64>,
    /// Decoded pictures that nobody took yet, in order.
    pictures: VecDeque<OutputVideoFrame>,
    /// The times of the pictures from the next one on, by their number in the file, in seconds of the file's clock.
    times: BTreeMap<u64, f64>,
    /// How many pictures the log has told of, and at how many it began to count anew, as it does where the size changes.
    logged: u64,
    counted: u64,
    /// The log tells no more times.
    silent: bool,
    first_time: Option<f64>,
    last_time: f64,
    given: u64,
    /// What ffmpeg found wrong first, and what last, after how many pictures.
    complaint: Option<String>,
    last_complaint: Option<(u64, String)>,
}

/// The time of a picture comes on another pipe than the picture, and a busy machine may read that one much later. So many
/// bytes of pictures wait for it; then this ffmpeg is taken for one that tells no times.
const WAITING_BYTES: usize = 256 << 20;

/// A complaint that comes so many pictures before the end, which a decoder may hold back, is one about the end.
const HELD_BACK: u64 = 16;

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
        // Every frame once, as it is in the file: no frame is doubled or dropped to keep a constant rate. `showinfo` prints
        // each one's time: phones record at a rate that varies.
        let mut child = FfmpegCommand::new()
            .input(path)
            .args(["-map", "0:v:0", "-an", "-fps_mode", "passthrough"])
            .args(["-vf", "showinfo=checksum=0"])
            .rawvideo()
            .spawn()
            .map_err(|_| SourceError::NoFfmpeg)?;
        let events = child.iter().map_err(|error| SourceError::Unreadable {
            path: path.into(),
            wanted: "a video",
            error: error.to_string(),
        })?;
        let mut video = Video {
            path: path.into(),
            child,
            told: Told::new(events),
        };
        video.told.read_ahead();
        if video.told.pictures.is_empty() {
            let why = video.told.complaint.as_deref();
            let why = why.unwrap_or("no picture in it");
            return Err(video.unreadable(&format!(
                "it is no video, or not a whole one (ffmpeg: {why})"
            )));
        }
        Ok(video)
    }

    fn unreadable(&self, error: &str) -> SourceError {
        SourceError::Unreadable {
            path: self.path.clone(),
            wanted: "a video",
            error: error.into(),
        }
    }
}

impl<Events: Iterator<Item = FfmpegEvent>> Told<Events> {
    fn new(events: Events) -> Self {
        Told {
            events,
            rate: 30.0,
            seconds: None,
            pictures: VecDeque::new(),
            times: BTreeMap::new(),
            logged: 0,
            counted: 0,
            silent: false,
            first_time: None,
            last_time: 0.0,
            given: 0,
            complaint: None,
            last_complaint: None,
        }
    }

    /// The next picture and its time in seconds since the first picture; none at the end.
    fn next_picture(&mut self) -> Option<(OutputVideoFrame, f64)> {
        self.read_ahead();
        let picture = self.pictures.pop_front()?;
        let time = self.next_time();
        self.given += 1;
        Some((picture, time))
    }

    /// Reads on until the next picture and its time are there, or the end. What was decoded before a fault is kept: a file that
    /// was cut off is a shorter clip.
    fn read_ahead(&mut self) {
        while self.pictures.is_empty() || !self.knows_time() {
            match self.events.next() {
                Some(FfmpegEvent::OutputFrame(picture)) => {
                    self.pictures.push_back(picture);
                    let waiting: usize = self.pictures.iter().map(|p| p.data.len()).sum();
                    self.silent |= waiting > WAITING_BYTES;
                }
                Some(
                    FfmpegEvent::Log(LogLevel::Error | LogLevel::Fatal, text)
                    | FfmpegEvent::Error(text),
                ) => {
                    let text = without_origin(&text);
                    self.complaint.get_or_insert_with(|| text.to_owned());
                    self.last_complaint = Some((self.logged, text.to_owned()));
                }
                Some(FfmpegEvent::Log(_, text)) => {
                    if let Some((number, time)) = time_in(&text) {
                        if self.counted + number < self.logged {
                            self.counted = self.logged;
                        }
                        let number = self.counted + number;
                        self.logged = number + 1;
                        if number >= self.given {
                            self.times.insert(number, time);
                        }
                    }
                }
                Some(FfmpegEvent::LogEOF) => self.silent = true,
                Some(FfmpegEvent::ParsedDuration(told)) if told.input_index == 0 => {
                    self.seconds = Some(told.duration)
                }
                Some(FfmpegEvent::ParsedOutputStream(stream)) => {
                    let rate = stream
                        .video_data()
                        .map_or(30.0, |video| f64::from(video.fps));
                    self.rate = rate.clamp(1.0, 1000.0);
                }
                Some(_) => {}
                None => break,
            }
        }
    }

    /// Whether the next picture's time is there, or will not come: ffmpeg tells them in order.
    fn knows_time(&self) -> bool {
        self.silent || self.logged > self.given
    }

    /// Seconds since the first picture. Times that are missing or do not advance are made up from the rate.
    fn next_time(&mut self) -> f64 {
        let told = self
            .times
            .remove(&self.given)
            .filter(|time| time.is_finite());
        let expected = if self.given == 0 {
            0.0
        } else {
            self.last_time + 1.0 / self.rate
        };
        let time = told.map_or(expected, |told| told - *self.first_time.get_or_insert(told));
        self.last_time = if self.given > 0 && time <= self.last_time {
            expected
        } else {
            time
        };
        self.last_time
    }
}

/// A line of the log without the part of ffmpeg that it came from: `[mov @ 0x55] [error] moov atom not found`.
fn without_origin(line: &str) -> &str {
    let end = line.rfind("] ").map_or(0, |bracket| bracket + 2);
    &line[end..]
}

/// The number of a picture and its time, which a line of the filter `showinfo` tells: `… n:   3 pts:   1536 pts_time:0.1 …`;
/// not a number where the file does not say the time.
fn time_in(line: &str) -> Option<(u64, f64)> {
    let (before, time) = line.split_once(" pts_time:")?;
    let (_, number) = before.split_once("n:")?;
    let number = number.split_whitespace().next()?.parse().ok()?;
    let time = time.split_whitespace().next()?.parse();
    Some((number, time.unwrap_or(f64::NAN)))
}

impl FrameSource for Video {
    fn next_picture(&mut self) -> Result<Option<Picture>, SourceError> {
        let Some((picture, time)) = self.told.next_picture() else {
            return Ok(None);
        };
        let image = RgbImage::from_raw(picture.width, picture.height, picture.data)
            .ok_or_else(|| self.unreadable("ffmpeg gave a picture of an odd size"))?;
        Ok(Some(Picture {
            time,
            image,
            arrival: None,
        }))
    }

    fn rate(&self) -> Option<f64> {
        Some(self.told.rate)
    }

    fn length(&self) -> Option<u64> {
        let count = |seconds: f64| (seconds * self.told.rate).round().max(1.0) as u64;
        self.told.seconds.map(count)
    }

    /// A file that was cut off in the middle still has its whole length in its head, and ffmpeg complains where it ends. One of
    /// the two alone says nothing: sound may be longer than the picture, and a slip in the middle costs nothing.
    fn cut_short(&self) -> Option<SourceError> {
        let told = &self.told;
        let (after, complaint) = told.last_complaint.as_ref()?;
        let end = told.last_time + 3.0 / told.rate;
        let whole = told.seconds.filter(|seconds| end < *seconds)?;
        (after + HELD_BACK >= told.given).then(|| {
            self.unreadable(&format!(
                "only {} pictures, the first {:.1} s of its {whole:.1}, are there (ffmpeg: {complaint})",
                told.given, told.last_time
            ))
        })
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
    fn pictures_keep_the_times_of_a_file_whose_rate_varies()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("phone.mp4");
        // Frames 0–9 at 25 a second, then every second one, as a phone does in the dark; the clock starts late.
        let made = ffmpeg(
            &[
                "-f",
                "lavfi",
                "-i",
                "testsrc=size=64x48:rate=25:duration=1",
                "-vf",
                "select='lt(n,10)+not(mod(n,2))',setpts=PTS+2/TB",
                "-fps_mode",
                "passthrough",
                "-pix_fmt",
                "yuv420p",
            ],
            &path,
        );
        if !made {
            eprintln!("skipped: no ffmpeg here that can encode");
            return Ok(());
        }
        let mut video = Video::open(&path)?;
        let mut times = Vec::new();
        while let Some(picture) = video.next_picture()? {
            times.push((picture.time * 25.0).round() as u32);
        }
        let expected: Vec<u32> = (0..10).chain((10..25).step_by(2)).collect();
        assert_eq!(times, expected);
        Ok(())
    }

    /// A picture of so many bytes, and a line of the log about one, as ffmpeg tells them.
    fn shown(number: u32, bytes: usize) -> FfmpegEvent {
        FfmpegEvent::OutputFrame(OutputVideoFrame {
            width: 1,
            height: 1,
            pix_fmt: "rgb24".into(),
            output_index: 0,
            data: vec![0; bytes],
            frame_num: number,
            timestamp: 0.0,
        })
    }

    fn logged(number: u32, seconds: f64) -> FfmpegEvent {
        let line = format!("[Parsed_showinfo_0] [info] n: {number} pts: 0 pts_time:{seconds}");
        FfmpegEvent::Log(LogLevel::Info, line)
    }

    #[test]
    fn pictures_keep_their_times_where_ffmpeg_counts_anew() {
        // As it does where the size of the pictures changes: 20 pictures, counted from 0 again after the tenth.
        let events = (0..20).flat_map(|n| {
            let time = f64::from(n) * 0.5;
            [logged(n % 10, time), shown(n, 3)]
        });
        let mut told = Told::new(events);
        for number in 0..20 {
            let time = told.next_picture().map(|(_, time)| time);
            assert_eq!(time, Some(f64::from(number) * 0.5));
        }
    }

    #[test]
    fn an_ffmpeg_that_tells_no_times_is_not_waited_for_for_ever() {
        let mut told = Told::new((0..8).map(|n| shown(n, WAITING_BYTES / 4)));
        let first = told.next_picture().map(|(picture, _)| picture.frame_num);
        assert_eq!((first, told.pictures.len()), (Some(0), 4));
        let second = told.next_picture().map(|(_, time)| time);
        assert_eq!(second, Some(1.0 / 30.0));
    }

    #[test]
    fn times_that_come_long_after_their_pictures_still_go_to_them() {
        let (picture, time) = (|number| shown(number, 3), logged);
        // Forty pictures before the log is read at all; a line of it is lost, and the last picture has none.
        let mut events: Vec<FfmpegEvent> = (0..40).map(picture).collect();
        let lost = 5;
        let logged = (0..39).filter(|n| *n != lost);
        events.extend(logged.map(|n| time(n, f64::from(n * n))));
        events.push(FfmpegEvent::LogEOF);
        let mut told = Told::new(events.into_iter());
        for number in 0..40 {
            let (picture, time) = told.next_picture().expect("forty pictures");
            let expected = match number {
                5 => 16.0 + 1.0 / 30.0,
                39 => f64::from(38 * 38) + 1.0 / 30.0,
                number => f64::from(number * number),
            };
            assert_eq!((picture.frame_num, time), (number, expected));
        }
        assert!(told.next_picture().is_none());
    }

    #[test]
    fn a_file_that_was_cut_off_gives_what_is_there_and_says_so()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("cut.mp4");
        let made = ffmpeg(
            &[
                "-f",
                "lavfi",
                "-i",
                "testsrc=size=320x240:rate=25:duration=4",
                "-pix_fmt",
                "yuv420p",
                "-movflags",
                "faststart",
            ],
            &path,
        );
        if !made {
            eprintln!("skipped: no ffmpeg here that can encode");
            return Ok(());
        }
        for part in [1.0, 0.5] {
            let whole = std::fs::read(&path)?;
            std::fs::write(&path, &whole[..(whole.len() as f64 * part) as usize])?;
            let mut video = Video::open(&path)?;
            let mut count = 0;
            while video.next_picture()?.is_some() {
                count += 1;
            }
            let told = video.cut_short().map(|error| error.to_string());
            if part == 1.0 {
                assert_eq!((count, told), (100, None));
            } else {
                assert!((1..100).contains(&count), "{count}");
                let says = format!("only {count} pictures");
                assert!(told.is_some_and(|told| told.contains("cut.mp4") && told.contains(&says)));
            }
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
            assert!(!error.contains("0x"), "{name}: {error}");
        }
        Ok(())
    }
}
