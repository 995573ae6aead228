//! The way of one frame, as a plain function: picture → people in it → each of them in space.
//!
//! The plugin runs a [`Pipeline`] on a thread of its own; programs without a game loop call [`Pipeline::process`]
//! themselves. One pipeline serves one view.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bevy::log::warn_once;

use crate::camera::Intrinsics;
use crate::detect::{DetectSettings, Detector, Person2d};
use crate::inference::{Engine, ModelError, Models, Task};
use crate::lift::lifter::{Lifted, Lifter, Window};
use crate::refine::smooth::{SmoothPose, SmoothSettings};
use crate::source::Frame;

/// How long each stage took for one frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// Fetching and decoding the picture.
    pub source: Duration,
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
    pub fn rows(&self) -> [(&'static str, Duration); 5] {
        [
            ("source", self.source),
            ("people", self.people),
            ("looks", self.looks),
            ("keypoints", self.keypoints),
            ("lift", self.lift),
        ]
    }

    /// All stages after decoding.
    pub fn without_source(&self) -> Duration {
        self.people + self.looks + self.keypoints + self.lift
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
    /// The camera that they were lifted with.
    pub camera: Intrinsics,
    /// How long it took.
    pub times: StageTimes,
}

/// What may be changed while a pipeline runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PipelineSettings {
    /// Finding and following.
    pub detect: DetectSettings,
    /// Smoothing in space.
    pub smooth: SmoothSettings,
}

/// One view, from pictures to people in space.
pub struct Pipeline {
    detector: Detector,
    lifter: Lifter,
    people: HashMap<u32, InSpace>,
    camera: Option<Intrinsics>,
    epoch: u64,
    /// May be changed between frames.
    pub settings: PipelineSettings,
}

#[derive(Default)]
struct InSpace {
    window: Window,
    smooth: SmoothPose,
    last_frame: u64,
}

impl Pipeline {
    /// Loads the networks. `camera` is scaled to the size of the pictures, and assumed where it is `None`.
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
            lifter: Lifter::load(models.of(Task::Lift)?, engine, 1)?,
            people: HashMap::new(),
            camera,
            epoch: 0,
            settings,
        })
    }

    /// Names of the networks: people, keypoints, lifter.
    pub fn model_names(&self) -> Vec<String> {
        let [person, keypoints] = self.detector.model_names();
        vec![person, keypoints, self.lifter.name().into()]
    }

    /// The lens for pictures of that size: as given, else assumed.
    fn camera_of(&self, width: u32, height: u32) -> Intrinsics {
        let given = self.camera.and_then(|given| {
            let camera = given.for_size(width, height);
            if camera.is_none() {
                warn_once!(
                    "the calibration is for pictures of {} x {}, these are {width} x {height}, of other proportions; a usual lens is \
                     assumed in its place",
                    given.width,
                    given.height
                );
            }
            camera
        });
        given.unwrap_or_else(|| Intrinsics::assumed(width, height))
    }

    /// Takes in the next frame.
    ///
    /// # Errors
    /// [`ModelError::Run`] when a network fails; the next frame may work.
    pub fn process(&mut self, frame: Frame) -> Result<Capture, ModelError> {
        if frame.epoch != self.epoch {
            self.epoch = frame.epoch;
            self.detector.reset();
            self.people.clear();
        }
        let camera = self.camera_of(frame.image.width(), frame.image.height());
        self.detector.settings = self.settings.detect;
        let (seen, detect_times) = self.detector.detect(&frame.image, frame.time)?;
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
        let lifted = self.lifter.lift_all(&mut windows, &camera, frame.time);
        for (person, mut state) in seen.iter().zip(states) {
            state.last_frame = frame.number;
            self.people.insert(person.id, state);
        }
        let mut people = Vec::with_capacity(seen.len());
        for (person, mut lifted) in seen.into_iter().zip(lifted?) {
            if let Some(lifted) = &mut lifted
                && let Some(state) = self.people.get_mut(&person.id)
            {
                let (pose, root) = (&mut lifted.pose, &mut lifted.root);
                let settings = &self.settings.smooth;
                state.smooth.next(pose, root, frame.time, settings);
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
            people: detect_times.people,
            looks: detect_times.looks,
            keypoints: detect_times.keypoints,
            lift: began.elapsed(),
        };
        Ok(Capture {
            frame,
            people,
            camera,
            times,
        })
    }
}
