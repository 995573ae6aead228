//! People in one picture: found by a detector every few frames, followed by their own keypoints in between.

pub mod appearance;
mod belief;
pub mod crop;
pub mod decode;
pub mod hindsight;
pub mod keypoints;
pub mod person;
pub mod reach;
pub mod swap;
pub mod track;
pub mod tracker;
pub mod upright;

use std::time::{Duration, Instant};

use bevy::log::warn;
use bevy::math::{Rect, Vec2};
use image::RgbImage;

use crate::inference::{Engine, ModelError, Models, Task};
use crate::looks::Looks;
use crate::skeleton::{Joint, Pose2d};

use appearance::AppearanceEstimator;
use keypoints::KeypointEstimator;
use person::PersonDetector;
use track::Track;
use tracker::Tracker;
use upright::Held;

/// Joints surer than this place the next crop and count as seen.
const SURE: f32 = 0.3;

/// Where a joint is, if that is sure.
fn sure(pose: &Pose2d, joint: Joint) -> Option<Vec2> {
    let point = pose[joint].filter(|point| point.confidence.get() >= SURE)?;
    Some(point.position)
}

/// Where the sure joints are.
fn sure_places(pose: &Pose2d) -> impl Iterator<Item = Vec2> + '_ {
    let sure = pose
        .present()
        .filter(|(_, point)| point.confidence.get() >= SURE);
    sure.map(|(_, point)| point.position)
}

/// The box around places, where there are any.
fn around(mut places: impl Iterator<Item = Vec2>) -> Option<Rect> {
    let first = places.next()?;
    let first = Rect::from_corners(first, first);
    Some(places.fold(first, |bounds, place| bounds.union_point(place)))
}

/// A person in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Person2d {
    /// The same number for the same person, as long as the view does not lose them.
    pub id: u32,
    /// Where they are, in pixels.
    pub bounds: Rect,
    /// Their joints, in pixels.
    pub pose: Pose2d,
    /// What they look like, where there is a network for it.
    pub looks: Option<Looks>,
}

/// How people are found and followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectSettings {
    /// The detector runs on every n-th frame, and on others where somebody is lost or in doubt.
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
    /// What people look like; zero on frames where everybody's looks are known well enough.
    pub looks: Duration,
}

/// The people of a picture, and how long it took to find them.
pub type Found = (Vec<Person2d>, DetectTimes);

/// The stage: networks and tracks of one view.
pub struct Detector {
    person: PersonDetector,
    keypoints: KeypointEstimator,
    appearance: Option<AppearanceEstimator>,
    tracker: Tracker,
    /// How the camera is held, where that is known: the keypoint network is shown people upright who stand before a rolled one. May be changed
    /// while it runs.
    pub held: Option<Held>,
    /// May be changed while it runs.
    pub settings: DetectSettings,
}

impl Detector {
    /// Loads the networks; that of looks where there is one.
    ///
    /// # Errors
    /// [`ModelError`] when a network is missing, broken, or not what its card says.
    pub fn new(
        models: &Models,
        engine: &Engine,
        threads: usize,
        settings: DetectSettings,
    ) -> Result<Self, ModelError> {
        let appearance = models.of(Task::Appearance).ok();
        Ok(Detector {
            appearance: appearance
                .map(|model| AppearanceEstimator::load(model, engine, threads))
                .transpose()?,
            person: PersonDetector::load(models.of(Task::Person)?, engine, threads)?,
            keypoints: KeypointEstimator::load(models.of(Task::Keypoints)?, engine, threads)?,
            tracker: Tracker::default(),
            held: None,
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

    /// Finds the people of the next picture; `time` is in seconds. Newcomers whom the detector is unclear about are found after some
    /// frames.
    ///
    /// # Errors
    /// [`ModelError::Run`] when a network fails.
    pub fn detect(&mut self, image: &RgbImage, time: f64) -> Result<Found, ModelError> {
        let mut times = DetectTimes::default();
        let began = Instant::now();
        if self.tracker.wants_detection(self.settings.every) {
            let boxes = self.person.detect(image, self.settings.least_score)?;
            self.tracker.meet(&boxes, self.settings.most_people);
            times.people = began.elapsed();
        }
        let began = Instant::now();
        let (everybody, held) = (self.tracker.tracks_mut(), self.held.as_ref());
        let sought = everybody.map(|track| track.sought(time, held)).collect();
        let estimates = self.keypoints.follow(image, sought)?;
        for (track, estimate) in self.tracker.tracks_mut().zip(estimates) {
            track.observe(estimate, time, self.settings.undo_swaps);
        }
        self.tracker.tidy(image.width(), image.height(), time);
        times.keypoints = began.elapsed();
        times.looks = self.describe(image, time);
        Ok((
            self.tracker.tracks().filter_map(Track::person).collect(),
            times,
        ))
    }

    /// Sees what those look like whose looks are not known, or not of late. People are followed without it, too.
    fn describe(&mut self, image: &RgbImage, time: f64) -> Duration {
        let Some(appearance) = &mut self.appearance else {
            return Duration::ZERO;
        };
        let (due, boxes): (Vec<usize>, Vec<Rect>) = self.tracker.due_for_looks(time).unzip();
        if due.is_empty() {
            return Duration::ZERO;
        }
        let began = Instant::now();
        match appearance.describe(image, &boxes) {
            Ok(found) => {
                for (n, looks) in due.into_iter().zip(found) {
                    self.tracker.take_looks(n, looks, time);
                }
            }
            Err(error) => {
                warn!("{error}; people are followed without their looks");
                self.appearance = None;
            }
        }
        began.elapsed()
    }
}
