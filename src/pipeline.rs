//! The way of one frame, as a plain function: picture → people in it → each of them in space.
//!
//! The plugin runs a [`Pipeline`] on a thread of its own; programs without a game loop call [`Pipeline::process`]
//! themselves, or, for clips, [`ClipPipeline::process`]. One pipeline serves one view.

mod clip;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bevy::log::warn_once;
use bevy::math::Vec3;

use crate::calibrate::attitude::Attitude;
use crate::camera::{Intrinsics, LensSource};
use crate::detect::upright::Held;
use crate::detect::{DetectSettings, Detector, Found, Person2d};
use crate::inference::{Engine, ModelError, Models, Task};
use crate::lift::lifter::{Lifted, Lifter, Window};
use crate::refine::limbs::Limbs;
use crate::refine::smooth::{SmoothPose, SmoothSettings};
use crate::source::Frame;

pub use clip::ClipPipeline;

/// How long each stage took for one frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// Fetching and decoding the picture.
    pub source: Duration,
    /// Reading tilt and lens off the room; next to nothing but now and then.
    pub room: Duration,
    /// Finding people; zero where the detector rested.
    pub people: Duration,
    /// What they look like; zero where nobody was looked at.
    pub looks: Duration,
    /// Keypoints of everybody.
    pub keypoints: Duration,
    /// Lifting everybody.
    pub lift: Duration,
}

impl StageTimes {
    /// Names and times, in the order of the way.
    pub fn rows(&self) -> [(&'static str, Duration); 6] {
        [
            ("source", self.source),
            ("room", self.room),
            ("people", self.people),
            ("looks", self.looks),
            ("keypoints", self.keypoints),
            ("lift", self.lift),
        ]
    }

    /// All stages after decoding.
    pub fn without_source(&self) -> Duration {
        self.room + self.people + self.looks + self.keypoints + self.lift
    }
}

/// A person in one frame.
#[derive(Clone, Debug)]
pub struct Person {
    /// In the picture; the id stays the same while the view does not lose them.
    pub seen: Person2d,
    /// In the camera frame (OpenCV), in metres, smoothed; `None` while too little of them is seen.
    pub lifted: Option<Lifted>,
}

/// Everybody in one frame.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The frame.
    pub frame: Frame,
    /// The people, in the order in which they entered.
    pub people: Vec<Person>,
    /// The camera that they were lifted with,
    pub camera: Intrinsics,
    /// and how its lens is known.
    pub lens: LensSource,
    /// The direction opposite to gravity in its frame (OpenCV), of length 1, where the room told it.
    pub up: Option<Vec3>,
    /// How long it took.
    pub times: StageTimes,
}

/// What may be changed while a pipeline runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PipelineSettings {
    /// Finding and following.
    pub detect: DetectSettings,
    /// Smoothing in space.
    pub smooth: SmoothSettings,
    /// Whether the edges of the room tell where up is, and how wide a camera sees that nobody calibrated (see
    /// [`attitude`](crate::calibrate::attitude)). Where up is known, the keypoint network is shown people upright.
    pub read_room: bool,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        PipelineSettings {
            detect: DetectSettings::default(),
            smooth: SmoothSettings::default(),
            read_room: true,
        }
    }
}

/// One view, from pictures to people in space.
pub struct Pipeline {
    detector: Detector,
    space: Space,
    smooth: HashMap<u32, SmoothPose>,
    epoch: u64,
    /// May be changed between frames.
    pub settings: PipelineSettings,
}

impl Pipeline {
    /// Loads the networks. `camera` is scaled to the size of the pictures; where it is `None`, the room may tell it.
    ///
    /// # Errors
    /// [`ModelError`] when a network is missing, broken, or not what its card says.
    pub fn new(
        models: &Models,
        engine: &Engine,
        threads: usize,
        camera: Option<Intrinsics>,
        settings: PipelineSettings,
    ) -> Result<Self, ModelError> {
        Ok(Pipeline {
            detector: Detector::new(models, engine, threads, settings.detect)?,
            space: Space {
                lifter: Lifter::load(models.of(Task::Lift)?, engine, 1)?,
                people: HashMap::new(),
                camera,
                seen_through: None,
                attitude: Attitude::default(),
            },
            smooth: HashMap::new(),
            epoch: 0,
            settings,
        })
    }

    /// Names of the networks: people, keypoints, lifter.
    pub fn model_names(&self) -> Vec<String> {
        let [person, keypoints] = self.detector.model_names();
        vec![person, keypoints, self.space.lifter.name().into()]
    }

    /// Takes in the next frame.
    ///
    /// # Errors
    /// [`ModelError::Run`] when a network fails; the next frame may work.
    pub fn process(&mut self, frame: Frame) -> Result<Capture, ModelError> {
        if frame.epoch != self.epoch {
            self.epoch = frame.epoch;
            self.detector.reset();
            self.space.people.clear();
            self.smooth.clear();
        }
        let known = self.space.look(&frame, &self.settings);
        self.detector.held = known.held();
        self.detector.settings = self.settings.detect;
        let found = self.detector.detect(&frame.image, frame.time)?;
        let mut capture = self.space.place(frame, known, found)?;
        self.smoothed(&mut capture);
        Ok(capture)
    }

    fn smoothed(&mut self, capture: &mut Capture) {
        let time = capture.frame.time;
        for person in &mut capture.people {
            if let Some(lifted) = &mut person.lifted {
                let smooth = self.smooth.entry(person.seen.id).or_default();
                smooth.next(lifted, &capture.camera, time, &self.settings.smooth);
            }
        }
        self.smooth.retain(|_, smooth| !smooth.is_over(time));
    }
}

/// What is known of the camera in a frame.
struct Known {
    camera: Intrinsics,
    lens: LensSource,
    up: Option<Vec3>,
    /// How long it took to see that.
    took: Duration,
}

impl Known {
    fn held(&self) -> Option<Held> {
        let camera = self.camera;
        self.up.map(|up| Held { camera, up })
    }
}

/// Puts people into space.
struct Space {
    lifter: Lifter,
    people: HashMap<u32, InSpace>,
    camera: Option<Intrinsics>,
    /// The lens of the last frame.
    seen_through: Option<Intrinsics>,
    attitude: Attitude,
}

#[derive(Default)]
struct InSpace {
    window: Window,
    limbs: Limbs,
    last_frame: u64,
}

impl Space {
    /// The lens as given, for pictures of that size.
    fn given(&self, (width, height): (u32, u32)) -> Option<Intrinsics> {
        let given = self.camera?;
        let camera = given.for_size(width, height);
        if camera.is_none() {
            warn_once!(
                "the calibration is for pictures of {} x {}, these are {width} x {height}, of other proportions; the lens is taken \
                 for unknown",
                given.width,
                given.height
            );
        }
        camera
    }

    /// Reads off the room in a frame how the camera is held, where it is time to and somebody asks.
    fn look(&mut self, frame: &Frame, settings: &PipelineSettings) -> Known {
        let began = Instant::now();
        let size = frame.image.dimensions();
        let given = self.given(size);
        if settings.read_room {
            self.attitude.look(&frame.image, given, frame.time);
        } else {
            self.attitude = Attitude::default();
        }
        let (camera, lens) = self.attitude.lens(given, size);
        Known {
            camera,
            lens,
            up: self.attitude.up(),
            took: began.elapsed(),
        }
    }

    /// Lifts the people who were found in a frame.
    fn place(
        &mut self,
        frame: Frame,
        known: Known,
        (seen, detect_times): Found,
    ) -> Result<Capture, ModelError> {
        let Known { camera, up, .. } = known;
        if self.seen_through.replace(camera) != Some(camera) {
            // What was learned of people through another lens does not fit what they look like through this one.
            self.people.clear();
        }
        let began = Instant::now();
        let mut states: Vec<InSpace> = seen
            .iter()
            .map(|person| self.people.remove(&person.id).unwrap_or_default())
            .collect();
        let mut windows: Vec<_> = states
            .iter_mut()
            .zip(&seen)
            .map(|(state, person)| (&mut state.window, &person.pose))
            .collect();
        let lifted = self.lifter.lift_all(&mut windows, &camera, up, frame.time);
        for (person, mut state) in seen.iter().zip(states) {
            state.last_frame = frame.number;
            self.people.insert(person.id, state);
        }
        let mut people = Vec::with_capacity(seen.len());
        for (person, mut lifted) in seen.into_iter().zip(lifted?) {
            if let Some(lifted) = &mut lifted
                && let Some(state) = self.people.get_mut(&person.id)
            {
                state.limbs.settle(lifted);
            }
            people.push(Person {
                seen: person,
                lifted,
            });
        }
        self.people
            .retain(|_, state| frame.number.saturating_sub(state.last_frame) < 60);
        let times = StageTimes {
            source: frame.decoding,
            room: known.took,
            people: detect_times.people,
            looks: detect_times.looks,
            keypoints: detect_times.keypoints,
            lift: began.elapsed(),
        };
        Ok(Capture {
            frame,
            people,
            camera,
            lens: known.lens,
            up,
            times,
        })
    }
}

#[cfg(all(test, feature = "embedded-models"))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::calibrate::attitude::pitch_and_roll;
    use crate::calibrate::manhattan::tests::{held, room};

    #[test]
    fn the_room_tells_lens_and_tilt_unless_they_are_given_or_nobody_asks() -> Result<(), ModelError>
    {
        let wide = Intrinsics::from_field_of_view(1280, 960, 76_f64.to_radians());
        let frame = Frame {
            epoch: 1,
            number: 0,
            time: 0.0,
            captured_at: Instant::now(),
            decoding: Duration::ZERO,
            image: Arc::new(room(&wide, held(35.0, 20.0, 4.0))),
        };
        let process = |given: Option<Intrinsics>, read_room| {
            let settings = PipelineSettings {
                read_room,
                ..PipelineSettings::default()
            };
            let engine = Engine::rten("a test");
            let mut pipeline = Pipeline::new(&Models::embedded(), &engine, 1, given, settings)?;
            let capture = pipeline.process(frame.clone())?;
            // People are looked for as upright as they stand before that camera.
            let held = pipeline.detector.held;
            assert_eq!(
                held.map(|held| (held.camera, held.up)),
                capture.up.map(|up| (capture.camera, up))
            );
            Ok::<Capture, ModelError>(capture)
        };
        let off = |lens: &Intrinsics| (lens.field_of_view().to_degrees() - 76.0).abs();
        let told = process(None, true)?;
        let (pitch, roll) = told.up.map(pitch_and_roll).unwrap_or_default();
        assert!(
            (pitch - 20.0).abs() < 2.0 && (roll - 4.0).abs() < 2.0,
            "{pitch} {roll}"
        );
        assert!(off(&told.camera) < 2.5, "{:?}", told.camera);
        let given = process(Some(wide), true)?;
        assert_eq!(given.camera, wide);
        assert!(given.up.is_some());
        let asleep = process(None, false)?;
        assert_eq!(
            (asleep.up, asleep.camera),
            (None, Intrinsics::assumed(1280, 960))
        );
        Ok(())
    }
}
