//! Where pictures come from: webcams, video files, folders of images, what the program itself hands in (its own virtual webcams
//! among that), and a scripted camera for tests.
//!
//! Every source delivers [`Frame`]s through [`FrameSource`] on a thread of its own ([`capture`]). Live sources keep the
//! newest frame and count what they drop; files never drop one.

pub mod images;
pub mod pushed;
pub mod scripted;
pub mod synthetic;
pub mod together;
#[cfg(feature = "video")]
pub mod video;
#[cfg(feature = "virtual-webcams")]
pub mod virtual_webcam;
#[cfg(feature = "webcam")]
pub mod webcam;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bevy::log::warn_once;
use image::RgbImage;

use crate::worker::{Outbox, StopFlag};

/// A picture and when it was taken.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Another number whenever a source starts anew, unique in this process; results of older epochs are stale.
    pub epoch: u64,
    /// Number of the picture within its epoch, from 0.
    pub number: u64,
    /// Seconds since the first picture: of the file's own clock, or of the capture clock.
    pub time: f64,
    /// When this process got hold of it, still encoded; latency is counted from here.
    pub captured_at: Instant,
    /// How long decoding took; of a file, reading too.
    pub decoding: Duration,
    /// The picture, upright: rotation flags are obeyed. 0 × 0 where it was let go before anybody looked (see
    /// [`Captured`](crate::capture::Captured)).
    pub image: Arc<RgbImage>,
}

/// What goes wrong with sources. Every message names the source, what is wrong and what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// No such file or folder.
    #[error("{0} does not exist; check the path")]
    NotFound(PathBuf),
    /// Not something that can be read as pictures.
    #[error("{path} cannot be read as {wanted}: {error}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Video, picture.
        wanted: &'static str,
        /// What is wrong.
        error: String,
    },
    /// A folder without pictures.
    #[error(
        "{0} holds no pictures; png, jpg, bmp and webp files are read, in the order of their names"
    )]
    NoPictures(PathBuf),
    /// The program that decodes videos is missing.
    #[error(
        "the program `ffmpeg`, which decodes videos, is not installed; install it with your package manager"
    )]
    NoFfmpeg,
    /// The crate was built without this kind of source.
    #[error("{what} needs the cargo feature `{feature}`, and this program was built without it")]
    NotBuilt {
        /// What was asked for.
        what: String,
        /// The feature.
        feature: &'static str,
    },
    /// No such webcam.
    #[error("there is no webcam {wanted}; {}", list_or_none(present))]
    NoWebcam {
        /// What was asked for.
        wanted: String,
        /// Names of those that are there.
        present: Vec<String>,
    },
    /// A webcam that fails.
    #[error("webcam {name}: {error}; is it plugged in, and used by no other program?")]
    Webcam {
        /// Its name.
        name: String,
        /// What the driver says.
        error: String,
    },
}

impl SourceError {
    /// Whether trying again may help: cameras come back, a program does not grow a feature.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            SourceError::NoWebcam { .. } | SourceError::Webcam { .. }
        )
    }
}

fn list_or_none(present: &[String]) -> String {
    if present.is_empty() {
        "none was found; plug one in, or allow this program to use cameras".into()
    } else {
        format!("present are: {}", present.join(", "))
    }
}

/// Which webcam: by name where one is given, as numbers change when cameras are plugged and unplugged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebcamPick {
    /// The n-th of the system's list, from 0.
    Index(u32),
    /// The one whose name contains this, whatever the case.
    Name(String),
}

/// What to open.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceSpec {
    /// A live camera.
    Webcam {
        /// Which one.
        pick: WebcamPick,
        /// Wanted size; the nearest that the camera has is taken.
        size: (u32, u32),
        /// Wanted pictures per second.
        rate: u32,
    },
    /// A video file.
    Video(PathBuf),
    /// A folder of pictures, taken as one clip.
    Images {
        /// The folder.
        folder: PathBuf,
        /// Pictures per second.
        rate: f64,
    },
    /// A camera whose pictures the program hands in.
    Pushed(pushed::Pushed),
    /// A camera played by a script.
    Scripted(scripted::Script),
}

impl SourceSpec {
    /// Reads what users type: `webcam:0`, `webcam:NAME`, a video file, a folder of pictures.
    pub fn parse(text: &str) -> SourceSpec {
        if let Some(which) = text.strip_prefix("webcam:") {
            let pick = which
                .parse()
                .map_or_else(|_| WebcamPick::Name(which.into()), WebcamPick::Index);
            return SourceSpec::Webcam {
                pick,
                size: (1280, 720),
                rate: 30,
            };
        }
        let path = PathBuf::from(text);
        if path.is_dir() {
            SourceSpec::Images {
                folder: path,
                rate: 30.0,
            }
        } else {
            SourceSpec::Video(path)
        }
    }

    /// Whether pictures come at their own pace and are lost when nobody takes them.
    pub fn is_live(&self) -> bool {
        match self {
            SourceSpec::Webcam { .. } | SourceSpec::Pushed(_) => true,
            SourceSpec::Scripted(script) => script.live,
            SourceSpec::Video(_) | SourceSpec::Images { .. } => false,
        }
    }

    /// A short name for panels, files and messages.
    pub fn name(&self) -> String {
        let stem = |path: &Path| {
            path.file_stem()
                .map_or("clip".into(), |stem| stem.to_string_lossy().into_owned())
        };
        match self {
            SourceSpec::Webcam {
                pick: WebcamPick::Index(n),
                ..
            } => format!("webcam:{n}"),
            SourceSpec::Webcam {
                pick: WebcamPick::Name(name),
                ..
            } => format!("webcam:{name}"),
            SourceSpec::Video(path) => stem(path),
            SourceSpec::Images { folder, .. } => stem(folder),
            SourceSpec::Pushed(source) => source.name().into(),
            SourceSpec::Scripted(_) => "scripted".into(),
        }
    }

    /// Opens the source. Call it on the thread that will read: camera handles cannot change threads.
    ///
    /// # Errors
    /// [`SourceError`], in one sentence that says what to do.
    pub fn open(&self) -> Result<Box<dyn FrameSource>, SourceError> {
        match self {
            #[cfg(feature = "webcam")]
            SourceSpec::Webcam { pick, size, rate } => {
                Ok(Box::new(webcam::Webcam::open(pick, *size, *rate)?))
            }
            #[cfg(not(feature = "webcam"))]
            SourceSpec::Webcam { .. } => Err(SourceError::NotBuilt {
                what: self.name(),
                feature: "webcam",
            }),
            #[cfg(feature = "video")]
            SourceSpec::Video(path) => Ok(Box::new(video::Video::open(path)?)),
            #[cfg(not(feature = "video"))]
            SourceSpec::Video(path) => Err(SourceError::NotBuilt {
                what: path.display().to_string(),
                feature: "video",
            }),
            SourceSpec::Images { folder, rate } => {
                Ok(Box::new(images::Images::open(folder, *rate)?))
            }
            SourceSpec::Pushed(source) => Ok(Box::new(source.clone())),
            SourceSpec::Scripted(script) => Ok(Box::new(script.open()?)),
        }
    }
}

/// A picture as a source gives it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Seconds since the source's first picture, by its own clock.
    pub time: f64,
    /// The picture, upright.
    pub image: RgbImage,
    /// Of a live picture: when it arrived, and how long decoding it took after that.
    pub arrival: Option<(Instant, Duration)>,
}

/// Something that gives pictures, one after the other.
pub trait FrameSource {
    /// The next picture; `None` at the end.
    ///
    /// # Errors
    /// [`SourceError`] when it cannot be had. Live sources may be opened again after that.
    fn next_picture(&mut self) -> Result<Option<Picture>, SourceError>;

    /// Pictures per second, where the source knows.
    fn rate(&self) -> Option<f64>;

    /// How many pictures there will be, where the source knows.
    fn length(&self) -> Option<u64> {
        None
    }

    /// After the last picture: why there were fewer than there should have been.
    fn cut_short(&self) -> Option<SourceError> {
        None
    }
}

/// What a capture thread sends.
#[derive(Clone, Debug)]
pub enum CaptureEvent {
    /// The source is open: pictures per second and how many there will be, where it knows. The first of an epoch.
    Opened {
        /// Pictures per second.
        rate: Option<f64>,
        /// How many pictures.
        length: Option<u64>,
    },
    /// A picture.
    Frame(Frame),
    /// The camera is gone; it is tried again every second.
    Lost(SourceError),
    /// The source cannot be used at all.
    Failed(SourceError),
    /// The file is at its end; why that came too early, where it did.
    Ended(Option<SourceError>),
}

/// How long a camera that is gone is left alone before it is tried again.
pub const RETRY: Duration = Duration::from_secs(1);
/// A longer gap between the pictures of a file that is played at its own speed is skipped.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Counts the epochs of all sources.
static EPOCHS: AtomicU64 = AtomicU64::new(0);

/// Whether a file is played at its own speed (for people who watch) or as fast as it is taken (for conversion).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At the file's own speed, over and over.
    Loop,
    /// As fast as frames are taken, once.
    AsFastAsPossible,
}

/// Reads a source until it ends, nobody reads the mailbox any more, or `stop` is raised. Runs on a thread of its own.
pub fn capture(spec: &SourceSpec, pace: Pace, outbox: &Outbox<CaptureEvent>, stop: &StopFlag) {
    let mut lost = false;
    while !stop.raised() && !outbox.is_closed() {
        let read = spec.open().and_then(|mut source| {
            let (rate, length) = (source.rate(), source.length());
            outbox.tell(CaptureEvent::Opened { rate, length });
            read_epoch(source.as_mut(), spec, pace, &mut lost, outbox, stop)?;
            Ok(source.cut_short())
        });
        match read {
            Ok(_) if spec.is_live() => {
                // Whoever handed its pictures in has gone.
                if !lost {
                    outbox.tell(CaptureEvent::Lost(SourceError::Webcam {
                        name: spec.name(),
                        error: "it gives no more pictures".into(),
                    }));
                }
                lost = true;
                stop.sleep(RETRY);
            }
            Ok(cut_short) if pace == Pace::Loop => {
                if let Some(error) = cut_short {
                    warn_once!("{error}");
                }
            }
            Ok(cut_short) => return outbox.tell(CaptureEvent::Ended(cut_short)),
            Err(error) if spec.is_live() && error.is_transient() => {
                if !lost {
                    outbox.tell(CaptureEvent::Lost(error));
                }
                lost = true;
                stop.sleep(RETRY);
            }
            Err(error) => return outbox.tell(CaptureEvent::Failed(error)),
        }
    }
}

/// Reads a source from its beginning to its end.
fn read_epoch(
    source: &mut dyn FrameSource,
    spec: &SourceSpec,
    pace: Pace,
    lost: &mut bool,
    outbox: &Outbox<CaptureEvent>,
    stop: &StopFlag,
) -> Result<(), SourceError> {
    let epoch = EPOCHS.fetch_add(1, Ordering::Relaxed);
    let mut began = Instant::now();
    let mut number = 0;
    loop {
        let asked = Instant::now();
        let Some(picture) = source.next_picture()? else {
            return Ok(());
        };
        let read_in = asked.elapsed();
        if picture.image.is_empty() || !picture.time.is_finite() {
            warn_once!(
                "{} gives pictures without pixels, or whose time is no number; they are left out",
                spec.name()
            );
            if stop.raised() || outbox.is_closed() {
                return Ok(());
            }
            continue;
        }
        *lost = false;
        if !spec.is_live() && pace == Pace::Loop {
            let due = Duration::try_from_secs_f64(picture.time).unwrap_or_default();
            let wait = due.saturating_sub(began.elapsed());
            stop.sleep(wait.min(LONGEST_WAIT));
            if let Some(earlier) = began.checked_sub(wait.saturating_sub(LONGEST_WAIT)) {
                began = earlier;
            }
        }
        let (captured_at, decoding) = picture.arrival.unwrap_or((Instant::now(), read_in));
        let frame = Frame {
            epoch,
            number,
            time: picture.time,
            captured_at,
            decoding,
            image: Arc::new(picture.image),
        };
        number += 1;
        if !outbox.send(CaptureEvent::Frame(frame), stop) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::scripted::Script;
    use super::*;
    use crate::worker::{Received, WhenFull, Worker, mailbox};

    fn run(
        script: Script,
        pace: Pace,
        when_full: WhenFull,
    ) -> std::io::Result<(Worker, crate::worker::Inbox<CaptureEvent>)> {
        let (outbox, inbox) = mailbox(2, when_full);
        let spec = SourceSpec::Scripted(script);
        Ok((
            Worker::spawn("test capture", move |stop| {
                capture(&spec, pace, &outbox, stop)
            })?,
            inbox,
        ))
    }

    #[test]
    fn an_unplugged_camera_is_named_once_and_comes_back_in_a_new_epoch() -> std::io::Result<()> {
        let script = Script {
            frames: 3,
            rate: 200.0,
            live: true,
            unplugged_after: Some(3),
            ..Script::default()
        };
        let (_worker, inbox) = run(script, Pace::Loop, WhenFull::Wait)?;
        let (mut lost, mut opened, mut epochs) = (0, 0, Vec::new());
        while lost < 2 {
            match inbox.receive(Duration::from_secs(10)) {
                Received::Item(CaptureEvent::Opened { rate, .. }) => {
                    opened += 1;
                    assert_eq!(rate, Some(200.0));
                }
                Received::Item(CaptureEvent::Frame(frame)) => {
                    epochs.push((frame.epoch, frame.number))
                }
                Received::Item(CaptureEvent::Lost(error)) => {
                    lost += 1;
                    assert!(error.to_string().contains("plugged in"), "{error}");
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
        assert_eq!(opened, 2);
        let numbers: Vec<u64> = epochs.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers, [0, 1, 2, 0, 1, 2]);
        assert!(epochs[..3].iter().all(|(epoch, _)| *epoch == epochs[0].0));
        assert!(epochs[3..].iter().all(|(epoch, _)| *epoch > epochs[0].0));
        Ok(())
    }

    #[test]
    fn whoever_hands_pictures_in_may_go_and_what_is_no_picture_is_left_out() -> std::io::Result<()>
    {
        let (pusher, source) = pushed::pushed("own", 30.0);
        for (time, side) in [(0.0, 2), (1.0, 0), (f64::NAN, 2), (2.0, 2)] {
            pusher.push(Picture {
                time,
                image: RgbImage::new(side, side),
                arrival: None,
            });
        }
        drop(pusher);
        let (outbox, inbox) = mailbox(8, WhenFull::Wait);
        let spec = SourceSpec::Pushed(source);
        let _worker = Worker::spawn("test capture", move |stop| {
            capture(&spec, Pace::Loop, &outbox, stop)
        })?;
        let (mut times, mut lost, mut opened) = (Vec::new(), 0, 0);
        // It is tried again, and found gone again.
        while opened < 3 {
            match inbox.receive(Duration::from_secs(10)) {
                Received::Item(CaptureEvent::Frame(frame)) => times.push(frame.time),
                Received::Item(CaptureEvent::Lost(_)) => lost += 1,
                Received::Item(CaptureEvent::Opened { .. }) => opened += 1,
                other => panic!("unexpected: {other:?}"),
            }
        }
        assert_eq!((times, lost), (vec![0.0, 2.0], 1));
        Ok(())
    }

    #[test]
    fn a_source_that_nobody_reads_any_more_is_not_opened_again() -> std::io::Result<()> {
        for live in [false, true] {
            let script = Script {
                frames: 3,
                rate: 1000.0,
                live,
                ..Script::default()
            };
            let (outbox, inbox) = mailbox(2, WhenFull::Wait);
            let (done, ended) = mailbox(1, WhenFull::Wait);
            let spec = SourceSpec::Scripted(script);
            let _worker = Worker::spawn("test capture", move |stop| {
                capture(&spec, Pace::Loop, &outbox, stop);
                done.tell(());
            })?;
            drop(inbox);
            assert_eq!(
                ended.receive(Duration::from_secs(10)),
                Received::Item(()),
                "live: {live}"
            );
        }
        Ok(())
    }

    #[test]
    fn a_file_loses_no_frame_however_slow_the_reader() -> std::io::Result<()> {
        let script = Script {
            frames: 20,
            live: false,
            ..Script::default()
        };
        let (_worker, inbox) = run(script, Pace::AsFastAsPossible, WhenFull::Wait)?;
        let mut numbers = Vec::new();
        loop {
            std::thread::sleep(Duration::from_millis(2));
            match inbox.receive(Duration::from_secs(10)) {
                Received::Item(CaptureEvent::Frame(frame)) => numbers.push(frame.number),
                Received::Item(CaptureEvent::Ended(None)) => break,
                Received::Item(CaptureEvent::Opened { .. }) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        Ok(())
    }

    #[test]
    fn what_users_type_is_understood() {
        assert!(matches!(
            SourceSpec::parse("webcam:1"),
            SourceSpec::Webcam {
                pick: WebcamPick::Index(1),
                ..
            }
        ));
        assert!(
            matches!(SourceSpec::parse("webcam:C920"), SourceSpec::Webcam { pick: WebcamPick::Name(name), .. } if name == "C920")
        );
        assert!(matches!(
            SourceSpec::parse("clip.mp4"),
            SourceSpec::Video(_)
        ));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = SourceSpec::Images {
            folder: "no/such/folder".into(),
            rate: 30.0,
        }
        .open()
        .err();
        assert!(error.is_some_and(|error| error.to_string().contains("no/such/folder")));
    }
}
