//! People in one picture: found by a detector every few frames, followed by their own keypoints in between.

pub mod crop;
pub mod decode;
pub mod keypoints;
pub mod person;
pub mod swap;
pub mod track;

use std::time::Duration;

use bevy::math::Rect;
use image::RgbImage;

use crate::inference::{Engine, ModelError, Models, Task};
use crate::skeleton::Pose2d;

use keypoints::KeypointEstimator;
use person::PersonDetector;
use track::{Track, Tracker};

/// A person in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Person2d {
    /// The same number for the same person, as long as the view does not lose them.
    pub id: u32,
    /// Where they are, in pixels.
    pub bounds: Rect,
    /// Their joints, in pixels.
    pub pose: Pose2d,
}

/// How people are found and followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectSettings {
    /// The detector runs on every n-th frame.
    pub every: u32,
    /// Boxes with less are nobody.
    pub least_score: f32,
    /// How many people at most, the largest first.
    pub most_people: usize,
    /// Whether swaps of left and right are undone over time.
    pub undo_swaps: bool,
}

impl Default for DetectSettings {
    fn default() -> Self {
        DetectSettings {
            every: 5,
            least_score: 0.4,
            most_people: 8,
            undo_swaps: true,
        }
    }
}

/// How long the parts of detection took.
#[derive(Clone, Copy, Debug, Default)]
pub struct DetectTimes {
    /// Finding people; zero on frames where the detector rests.
    pub people: Duration,
    /// Keypoints of everybody.
    pub keypoints: Duration,
}

/// The stage: networks and tracks of one view.
pub struct Detector {
    person: PersonDetector,
    keypoints: KeypointEstimator,
    tracker: Tracker,
    /// May be changed while it runs.
    pub settings: DetectSettings,
}

impl Detector {
    /// Loads the networks.
    ///
    /// # Errors
    /// [`ModelError`] when a network is missing, broken, or not what its card says.
    pub fn new(
        models: &Models,
        engine: &Engine,
        threads: usize,
        settings: DetectSettings,
    ) -> Result<Self, ModelError> {
        Ok(Detector {
            person: PersonDetector::load(models.of(Task::Person)?, engine, threads)?,
            keypoints: KeypointEstimator::load(models.of(Task::Keypoints)?, engine, threads)?,
            tracker: Tracker::default(),
            settings,
        })
    }

    /// Names of the networks.
    pub fn model_names(&self) -> [String; 2] {
        [self.person.name().into(), self.keypoints.name().into()]
    }

    /// Forgets everybody: the source started anew.
    pub fn reset(&mut self) {
        self.tracker.forget_everybody();
    }

    /// Finds the people of the next picture; `time` is in seconds.
    ///
    /// # Errors
    /// [`ModelError::Run`] when a network fails.
    pub fn detect(
        &mut self,
        image: &RgbImage,
        time: f64,
    ) -> Result<(Vec<Person2d>, DetectTimes), ModelError> {
        let mut times = DetectTimes::default();
        let began = std::time::Instant::now();
        if self.tracker.wants_detection(self.settings.every) {
            let boxes = self.person.detect(image, self.settings.least_score)?;
            self.tracker.meet(&boxes, self.settings.most_people);
            times.people = began.elapsed();
        }
        let began = std::time::Instant::now();
        for track in self.tracker.tracks_mut() {
            let estimate = self.keypoints.estimate(image, track.region())?;
            track.observe(estimate, time, self.settings.undo_swaps);
        }
        self.tracker.tidy(image.width(), image.height());
        times.keypoints = began.elapsed();
        Ok((
            self.tracker.tracks().filter_map(Track::person).collect(),
            times,
        ))
    }
}
