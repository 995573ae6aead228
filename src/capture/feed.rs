//! A camera's two threads: one reads its source, one runs its pipeline. The main thread only empties their mailbox.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use bevy::asset::RenderAssetUsages;
use bevy::prelude::*;
use image::{RgbImage, Rgba, RgbaImage};

use super::CaptureCamera;
use crate::camera::Intrinsics;
use crate::inference::{Engine, Models, Task};
use crate::pipeline::{Capture, Pipeline, PipelineSettings};
use crate::plugin::PoseCaptureSettings;
use crate::source::{CaptureEvent, SourceError, SourceSpec, capture};
use crate::worker::{Inbox, Outbox, Received, StopFlag, WhenFull, Worker, mailbox};

/// Widest preview, in pixels.
const PREVIEW_WIDTH: u32 = 640;
/// Frames that wait for a main thread that is busy keep their pictures up to this many; what was found in them is kept for
/// half a minute.
const MOST_PICTURES: usize = 8;
/// Frames in a row that may fail before the camera counts as unusable.
const MOST_FAILURES: u32 = 30;

/// A camera's threads. Removing it stops them.
#[derive(Component)]
pub(super) struct Feed {
    /// What they found.
    pub inbox: Inbox<FeedEvent>,
    settings: Outbox<FeedSettings>,
    sent: FeedSettings,
    /// The lens of the camera's calibration, if it had one when it started.
    pub calibrated: Option<Intrinsics>,
    /// Held by the thread that reads a live source, so that a camera that starts anew does not open its device twice.
    device: Device,
    _workers: [Worker; 2],
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct FeedSettings {
    pipeline: PipelineSettings,
    preview: bool,
}

impl FeedSettings {
    fn of(settings: &PoseCaptureSettings) -> Self {
        FeedSettings {
            pipeline: settings.pipeline(),
            preview: settings.preview,
        }
    }
}

/// A live source that is read, or was last.
#[derive(Clone)]
struct Device {
    source: SourceSpec,
    held: Arc<Mutex<()>>,
}

impl Device {
    /// What a camera that starts anew reads. Where it is another device than before, nobody waits for that one.
    fn next(source: &SourceSpec, before: Option<&Device>) -> Device {
        match before {
            // A file holds nothing; the device that was read before it may be the next again.
            Some(before) if !source.is_live() || before.source == *source => before.clone(),
            _ => Device {
                source: source.clone(),
                held: Arc::default(),
            },
        }
    }
}

/// What a camera's threads send to the main thread.
pub(super) enum FeedEvent {
    /// The networks are loaded.
    Started {
        /// Which engine runs them, and why.
        engine: String,
        /// Names of those that are used.
        models: Vec<String>,
        /// All that could be, by task.
        at_hand: Vec<(Task, String)>,
    },
    /// A frame.
    Frame {
        /// What was found in it.
        capture: Arc<Capture>,
        /// Its picture, small, for panels.
        preview: Option<Box<Image>>,
        /// Pictures of the source thrown away so far.
        dropped: u64,
    },
    /// The camera is gone and tried again; why.
    Lost(String),
    /// The camera or its networks cannot be used; why.
    Failed(String),
    /// The file is at its end; why that came too early, where it did.
    Ended(Option<String>),
}

impl Feed {
    /// Starts the threads of a camera, whose calibration may tell its lens.
    /// Those of `before`, if there were any, may still hold the device: the new ones wait for
    /// their end, which comes with the removal of `before`.
    pub fn start(
        camera: &CaptureCamera,
        calibrated: Option<Intrinsics>,
        settings: &PoseCaptureSettings,
        before: Option<&Feed>,
    ) -> std::io::Result<Feed> {
        let when_full = if camera.source.is_live() {
            WhenFull::DropOldest
        } else {
            WhenFull::Wait
        };
        let (pictures_out, pictures) = mailbox(1, when_full);
        // A live camera's results may wait while a game loads a level; a file's thread waits itself.
        let depth = if camera.source.is_live() { 900 } else { 2 };
        let (found_out, inbox) = mailbox(depth, when_full);
        let (settings_out, settings_in) = mailbox(1, WhenFull::DropOldest);
        let (source, pace) = (camera.source.clone(), camera.pace);
        let device = Device::next(&source, before.map(|before| &before.device));
        let held = device.held.clone();
        let reader = Worker::spawn("pose capture: source", move |stop| {
            let Some(_held) = hold(&held, &source, &pictures_out, stop) else {
                return;
            };
            capture(&source, pace, &pictures_out, stop);
        })?;
        let (intrinsics, chosen) = (camera.intrinsics.or(calibrated), settings.clone());
        let live = camera.source.is_live().then(|| camera.source.name());
        let thinker = Worker::spawn("pose capture: inference", move |stop| {
            let mailboxes = Mailboxes {
                pictures,
                settings: settings_in,
                found: found_out,
            };
            think(&chosen, intrinsics, live.as_deref(), &mailboxes, stop);
        })?;
        Ok(Feed {
            inbox,
            settings: settings_out,
            sent: FeedSettings::of(settings),
            calibrated,
            device,
            _workers: [reader, thinker],
        })
    }

    /// Passes changed settings on.
    pub fn follow(&mut self, settings: &PoseCaptureSettings) {
        let wanted = FeedSettings::of(settings);
        if self.sent != wanted {
            self.sent = wanted;
            self.settings.send(wanted, &StopFlag::default());
        }
    }
}

/// How long a driver may take to let go of its device before that is told.
const LETTING_GO: Duration = Duration::from_secs(3);

/// Waits until the device is free, where the source is one; `None` where `stop` was raised first. A driver may hang for ever:
/// files do not wait for it.
fn hold<'a>(
    device: &'a Mutex<()>,
    source: &SourceSpec,
    pictures: &Outbox<CaptureEvent>,
    stop: &StopFlag,
) -> Option<Option<MutexGuard<'a, ()>>> {
    if !source.is_live() {
        return Some(None);
    }
    let began = Instant::now();
    let mut told = false;
    while !stop.raised() {
        match device.try_lock() {
            Ok(held) => return Some(Some(held)),
            Err(TryLockError::Poisoned(held)) => return Some(Some(held.into_inner())),
            Err(TryLockError::WouldBlock) => {}
        }
        if !told && began.elapsed() > LETTING_GO {
            told = true;
            pictures.tell(CaptureEvent::Lost(SourceError::Webcam {
                name: source.name(),
                error: "the driver of the device that was used before it does not let go".into(),
            }));
        }
        stop.sleep(Duration::from_millis(20));
    }
    None
}

/// The inference thread's.
struct Mailboxes {
    pictures: Inbox<CaptureEvent>,
    settings: Inbox<FeedSettings>,
    found: Outbox<FeedEvent>,
}

/// A live camera from which nothing came for so long is taken for lost: drivers wait for ever for one that hangs.
const SILENCE: Duration = Duration::from_secs(4);

/// The inference thread: owns the networks. `live`: the name of a live camera.
fn think(
    chosen: &PoseCaptureSettings,
    intrinsics: Option<Intrinsics>,
    live: Option<&str>,
    mailboxes: &Mailboxes,
    stop: &StopFlag,
) {
    let found = &mailboxes.found;
    let engine = Engine::find();
    let loaded = load(chosen).and_then(|models| {
        let pipeline = Pipeline::new(
            &models,
            &engine,
            chosen.threads,
            intrinsics,
            chosen.pipeline(),
        );
        Ok((models, pipeline.map_err(|error| error.to_string())?))
    });
    let (models, mut pipeline) = match loaded {
        Ok(loaded) => loaded,
        Err(reason) => return found.tell(FeedEvent::Failed(reason)),
    };
    found.tell(FeedEvent::Started {
        engine: engine.describe(),
        models: pipeline.model_names(),
        at_hand: models
            .iter()
            .map(|model| (model.card.task, model.card.name.clone()))
            .collect(),
    });
    // The files themselves are not needed any more.
    drop(models);
    let mut preview = chosen.preview;
    let mut failures = 0;
    let mut shown = ShownPictures::default();
    let mut hearing = Hearing::default();
    while !stop.raised() {
        if let Received::Item(new) = mailboxes.settings.try_receive() {
            (pipeline.settings, preview) = (new.pipeline, new.preview);
        }
        match mailboxes.pictures.receive(Duration::from_millis(100)) {
            Received::Item(CaptureEvent::Frame(frame)) => match pipeline.process(frame) {
                Ok(mut capture) => {
                    failures = 0;
                    hearing.hear(Instant::now());
                    shown.keep(&capture.frame.image);
                    let is_read = found.waiting() < MOST_PICTURES;
                    let preview = (preview && is_read)
                        .then(|| Box::new(shrink_for_preview(&capture.frame.image)));
                    if !is_read {
                        capture.frame.image = Arc::default();
                    }
                    let event = FeedEvent::Frame {
                        capture: Arc::new(capture),
                        preview,
                        dropped: mailboxes.pictures.dropped(),
                    };
                    found.send(event, stop);
                }
                Err(error) if failures < MOST_FAILURES => {
                    failures += 1;
                    warn_once!("{error}; frames like this are left out");
                }
                Err(error) => return found.tell(FeedEvent::Failed(error.to_string())),
            },
            Received::Item(CaptureEvent::Opened { .. }) => {}
            Received::Item(CaptureEvent::Lost(error)) => {
                if hearing.is_lost() {
                    found.tell(FeedEvent::Lost(error.to_string()));
                }
            }
            Received::Item(CaptureEvent::Failed(error)) => {
                found.tell(FeedEvent::Failed(error.to_string()))
            }
            Received::Item(CaptureEvent::Ended(cut_short)) => {
                found.tell(FeedEvent::Ended(cut_short.map(|error| error.to_string())));
            }
            Received::Empty => {
                shown.free();
                if let Some(name) = live
                    && hearing.falls_silent(Instant::now())
                {
                    found.tell(FeedEvent::Lost(format!(
                        "{name} has given no picture for {} s; its driver may hang: unplug it and plug it in again",
                        SILENCE.as_secs()
                    )));
                }
            }
            Received::Closed => return,
        }
    }
}

/// Whether a camera that gave pictures still does.
#[derive(Default)]
struct Hearing {
    heard: Option<Instant>,
    /// It is known to be gone until it is heard again.
    is_told: bool,
}

impl Hearing {
    /// A picture came.
    fn hear(&mut self, now: Instant) {
        *self = Hearing {
            heard: Some(now),
            is_told: false,
        };
    }

    /// Whether nothing came for too long, and that is news.
    fn falls_silent(&mut self, now: Instant) -> bool {
        let silent = |heard: Instant| now.duration_since(heard) > SILENCE;
        self.heard.is_some_and(silent) && self.is_lost()
    }

    /// Says that it is gone; whether that is news.
    fn is_lost(&mut self) -> bool {
        !std::mem::replace(&mut self.is_told, true)
    }
}

/// The last pictures that were handed to the main thread. They are held until it has let go of them, so that this thread
/// frees them: giving megabytes back to the system would cost the main thread a part of its frame.
#[derive(Default)]
struct ShownPictures(Vec<Arc<RgbImage>>);

impl ShownPictures {
    fn keep(&mut self, picture: &Arc<RgbImage>) {
        self.free();
        self.0.push(picture.clone());
    }

    fn free(&mut self) {
        self.0.retain(|picture| Arc::strong_count(picture) > 1);
    }
}

/// The models that the settings name, the preferred ones first.
fn load(chosen: &PoseCaptureSettings) -> Result<Models, String> {
    let mut models = match &chosen.models {
        Some(folder) => Models::from_folder(folder).map_err(|error| error.to_string())?,
        #[cfg(feature = "embedded-models")]
        None => Models::embedded(),
        #[cfg(not(feature = "embedded-models"))]
        None => Models::default(),
    };
    for name in &chosen.prefer {
        // It may be of a folder that was left since.
        models.prefer(name).unwrap_or_else(|error| warn!("{error}"));
    }
    Ok(models)
}

fn shrink_for_preview(picture: &RgbImage) -> Image {
    let step = picture.width().div_ceil(PREVIEW_WIDTH).max(1);
    let small = RgbaImage::from_fn(
        (picture.width() / step).max(1),
        (picture.height() / step).max(1),
        |x, y| {
            let [r, g, b] = picture.get_pixel(x * step, y * step).0;
            Rgba([r, g, b, 255])
        },
    );
    Image::from_dynamic(small.into(), true, RenderAssetUsages::RENDER_WORLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_whose_driver_hangs_keeps_no_file_waiting_and_a_stop_ends_the_wait() {
        use crate::source::scripted::Script;
        let device = Mutex::new(());
        let _hung = device.lock();
        let (pictures, _told) = mailbox(2, WhenFull::Wait);
        let stop = StopFlag::default();
        let source = |live| {
            SourceSpec::Scripted(Script {
                live,
                ..Script::default()
            })
        };
        assert!(hold(&device, &source(false), &pictures, &stop).is_some_and(|held| held.is_none()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(60));
                stop.raise();
            });
            assert!(hold(&device, &source(true), &pictures, &stop).is_none());
        });
        let free = Mutex::new(());
        let held = hold(&free, &source(true), &pictures, &StopFlag::default());
        assert!(held.is_some_and(|held| held.is_some()));
    }

    #[test]
    fn a_camera_that_falls_silent_is_told_once_and_one_that_never_gave_a_picture_is_not() {
        let began = Instant::now();
        let mut hearing = Hearing::default();
        let long = SILENCE + Duration::from_millis(1);
        assert!(!hearing.falls_silent(began + 9 * long));
        for start in [began, began + 3 * long] {
            hearing.hear(start);
            let told = [SILENCE, long, 2 * long].map(|past| hearing.falls_silent(start + past));
            assert_eq!(told, [false, true, false]);
            assert!(
                !hearing.is_lost(),
                "that its driver gives up at last is no news"
            );
        }
    }

    #[test]
    fn only_the_same_device_is_waited_for() {
        let webcam = |n| SourceSpec::parse(&format!("webcam:{n}"));
        let first = Device::next(&webcam(0), None);
        let same = |device: &Device| Arc::ptr_eq(&device.held, &first.held);
        let after_a_file = Device::next(&SourceSpec::parse("a.mp4"), Some(&first));
        assert!(same(&Device::next(&webcam(0), Some(&after_a_file))));
        assert!(!same(&Device::next(&webcam(1), Some(&after_a_file))));
    }

    #[test]
    fn a_picture_is_freed_here_and_only_after_everybody_else_let_go() {
        let mut shown = ShownPictures::default();
        let (first, second) = (Arc::new(RgbImage::new(4, 4)), Arc::new(RgbImage::new(4, 4)));
        shown.keep(&first);
        let watch = Arc::downgrade(&first);
        drop(first);
        assert!(
            watch.upgrade().is_some(),
            "held, so that no other thread frees it"
        );
        shown.keep(&second);
        assert!(watch.upgrade().is_none());
        assert_eq!(shown.0.len(), 1);
    }
}
