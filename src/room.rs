//! The way of one moment through a room of cameras: pictures → people in each → the same people across views → in space.
//!
//! [`Pipeline`](crate::pipeline::Pipeline) is for one camera of which nothing is known, [`RoomPipeline`] for several that are
//! calibrated (see [`calibrate`](crate::calibrate)). Programs without a game loop call [`RoomPipeline::process`] themselves, as
//! `examples/record_clip` does.

use std::time::{Duration, Instant};

use bevy::math::Rect;

use crate::associate::Sighting;
use crate::calibrate::watchdog::{Bump, Watchdog};
use crate::camera::{Intrinsics, View};
use crate::detect::{DetectSettings, DetectTimes, Detector, Person2d};
use crate::inference::{Engine, ModelError, Models};
use crate::multiview::{MultiView, MultiViewSettings, RoomPerson};
use crate::source::Frame;

/// What went wrong with a room.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// A network.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A camera's pictures are not those that it was calibrated for.
    #[error(
        "the camera {name} was calibrated for pictures of {} x {}, and these are {} x {}, of other proportions; calibrate it at the \
         size at which it is used", .calibrated.0, .calibrated.1, .given.0, .given.1
    )]
    OtherSize {
        /// Its name.
        name: String,
        /// Width and height in pixels, of the calibration.
        calibrated: (u32, u32),
        /// Width and height in pixels, of the picture.
        given: (u32, u32),
    },
}

/// Everybody at one moment.
#[derive(Clone, Debug)]
pub struct RoomCapture {
    /// Seconds.
    pub time: f64,
    /// Whom each view sees; empty for views without a picture at this moment.
    pub seen: Vec<Vec<Person2d>>,
    /// The people in the room; what they are [seen](RoomPerson::seen) as are places in [`seen`](Self::seen).
    pub people: Vec<RoomPerson>,
    /// How long it took.
    pub times: RoomTimes,
}

impl RoomCapture {
    /// Of what was seen in each view, and the people as [`MultiView::advance`] tells them for the list of all sightings, view
    /// after view.
    pub(crate) fn new(
        time: f64,
        seen: Vec<Vec<Person2d>>,
        mut people: Vec<RoomPerson>,
        times: RoomTimes,
    ) -> Self {
        // From places in that list to places among those of the view.
        let earlier = |view: usize| seen[..view].iter().map(Vec::len).sum::<usize>();
        for (view, n) in people.iter_mut().flat_map(|person| &mut person.seen) {
            *n -= earlier(*view);
        }
        RoomCapture {
            time,
            seen,
            people,
            times,
        }
    }
}

/// How long each stage took.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoomTimes {
    /// Looking at all pictures: less than its parts together where views are looked at side by side.
    pub views: Duration,
    /// Finding people, in all views added up.
    pub people: Duration,
    /// Keypoints of everybody, in all views added up.
    pub keypoints: Duration,
    /// What people look like, in all views added up.
    pub looks: Duration,
    /// Who is who, and where.
    pub space: Duration,
}

/// A room, from pictures to people in space.
pub struct RoomPipeline {
    detectors: Vec<Detector>,
    /// So many views are looked at side by side.
    side_by_side: usize,
    room: MultiView,
    watchdog: Watchdog,
    epochs: Vec<u64>,
}

impl RoomPipeline {
    /// Loads the networks, one set for each view, as each view follows its own people. As many views are looked at side by side as
    /// there are `threads`, which networks do not use as well by themselves.
    ///
    /// # Errors
    /// [`ModelError`] when a network is missing, broken, or not what its card says.
    pub fn new(
        models: &Models,
        engine: &Engine,
        threads: usize,
        views: Vec<View>,
        detect: DetectSettings,
        settings: MultiViewSettings,
    ) -> Result<Self, ModelError> {
        let side_by_side = threads.clamp(1, views.len().max(1));
        let detectors = views
            .iter()
            .map(|_| Detector::new(models, engine, threads / side_by_side, detect))
            .collect::<Result<_, _>>()?;
        Ok(RoomPipeline {
            detectors,
            side_by_side,
            epochs: vec![0; views.len()],
            watchdog: Watchdog::new(views.clone()),
            room: MultiView::new(views, settings),
        })
    }

    /// The cameras.
    pub fn views(&self) -> &[View] {
        self.room.views()
    }

    /// Takes in what the cameras show at one moment, `time` in seconds; `None` for a camera without a picture.
    ///
    /// # Errors
    /// [`RoomError`]; the next moment may work.
    pub fn process(
        &mut self,
        time: f64,
        frames: &[Option<Frame>],
    ) -> Result<RoomCapture, RoomError> {
        let began = Instant::now();
        for (view, frame) in frames.iter().enumerate().take(self.detectors.len()) {
            let Some(frame) = frame else { continue };
            self.fit_lens(view, frame)?;
            if std::mem::replace(&mut self.epochs[view], frame.epoch) != frame.epoch {
                self.detectors[view].reset();
            }
        }
        let (seen, spent) = self.look(frames)?;
        let mut sightings = Vec::new();
        for (view, people) in seen.iter().enumerate() {
            let camera = &self.room.views()[view];
            sightings.extend(
                people
                    .iter()
                    .map(|person| Sighting::new(view, camera, &person.pose, person.looks.clone())),
            );
        }
        let mut times = RoomTimes {
            views: began.elapsed(),
            ..RoomTimes::default()
        };
        for spent in spent {
            times.people += spent.people;
            times.keypoints += spent.keypoints;
            times.looks += spent.looks;
        }
        let began = Instant::now();
        let people = self.room.advance(time, &sightings);
        times.space = began.elapsed();
        self.watchdog.take(time, &people, &sightings);
        for (view, (frame, seen)) in frames.iter().zip(&seen).enumerate() {
            if let Some(frame) = frame {
                let boxes: Vec<Rect> = seen.iter().map(|person| person.bounds).collect();
                self.watchdog.look(time, view, &frame.image, &boxes);
            }
        }
        Ok(RoomCapture::new(time, seen, people, times))
    }

    /// Whom each view sees, and how long each took; several views side by side.
    fn look(
        &mut self,
        frames: &[Option<Frame>],
    ) -> Result<(Vec<Vec<Person2d>>, Vec<DetectTimes>), ModelError> {
        let look = |(detector, frame): (&mut Detector, &Option<Frame>)| match frame {
            Some(frame) => detector.detect(&frame.image, frame.time),
            None => Ok((Vec::new(), DetectTimes::default())),
        };
        let nothing = vec![None; self.detectors.len().saturating_sub(frames.len())];
        let mut work: Vec<_> = self
            .detectors
            .iter_mut()
            .zip(frames.iter().chain(&nothing))
            .collect();
        let each = work.len().div_ceil(self.side_by_side).max(1);
        let mut found = Vec::with_capacity(work.len());
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            while work.len() > each {
                let rest = work.split_off(work.len() - each);
                threads.push(scope.spawn(move || rest.into_iter().map(look).collect::<Vec<_>>()));
            }
            // This thread does the first part.
            found.extend(work.into_iter().map(look));
            for thread in threads.into_iter().rev() {
                match thread.join() {
                    Ok(part) => found.extend(part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        let found: Result<Vec<_>, _> = found.into_iter().collect();
        Ok(found?.into_iter().unzip())
    }

    /// The cameras that were bumped, each told once. It takes some milliseconds: ask once a second.
    pub fn bumped(&mut self) -> Vec<Bump> {
        self.watchdog.check()
    }

    /// Scales a lens to pictures of another size.
    fn fit_lens(&mut self, view: usize, frame: &Frame) -> Result<(), RoomError> {
        let lens = fitting_lens(&self.room.views()[view], frame.image.dimensions())?;
        self.room.set_lens(view, lens);
        self.watchdog.set_lens(view, lens);
        Ok(())
    }
}

/// A camera's lens for pictures of a size, in pixels.
pub(crate) fn fitting_lens(camera: &View, given: (u32, u32)) -> Result<Intrinsics, RoomError> {
    let lens = camera.intrinsics;
    lens.for_size(given.0, given.1)
        .ok_or_else(|| RoomError::OtherSize {
            name: camera.name.clone(),
            calibrated: (lens.width, lens.height),
            given,
        })
}
