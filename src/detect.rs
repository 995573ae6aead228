//! People in one picture: found by a detector every few frames, followed by their own keypoints in between.

pub mod appearance;
pub mod crop;
pub mod decode;
pub mod hindsight;
pub mod keypoints;
pub mod person;
pub mod reach;
pub mod swap;
pub mod track;
pub mod tracker;

use std::time::{Duration, Instant};

use bevy::log::warn;
use bevy::math::{Rect, Vec2, Vec3};
use image::RgbImage;

use crate::camera::Intrinsics;
use crate::inference::{Engine, ModelError, Models, Task};
use crate::looks::Looks;
use crate::skeleton::{Joint, Pose2d};

use appearance::AppearanceEstimator;
use keypoints::KeypointEstimator;
use person::PersonDetector;
use track::Track;
use tracker::Tracker;

/// Joints surer than this place the next crop and count as seen.
const SURE: f32 = 0.3;

/// Where a joint is, if that is sure.
fn sure(pose: &Pose2d, joint: Joint) -> Option<Vec2> {
    let point = pose[joint].filter(|point| point.confidence.get() >= SURE)?;
    Some(point.position)
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

/// How a camera is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// Its lens.
    pub camera: Intrinsics,
    /// The direction opposite to gravity in its frame (OpenCV), of length 1.
    pub up: Vec3,
}

impl Held {
    /// How far whoever stands at a pixel is turned there, in radians, clockwise as seen; `None` where the camera looks at them from nearly
    /// above or below, and they may point anywhere.
    pub fn angle_at(&self, pixel: Vec2) -> Option<f32> {
        let ray = self.camera.ray(pixel).normalize();
        let across = self.up - self.up.dot(ray) * ray;
        if across.length() < LEAST_ACROSS {
            return None;
        }
        let above = (ray + SHORT * across).as_dvec3();
        let way = self.camera.project(above)?.as_vec2() - pixel;
        Some(way.x.atan2(-way.y))
    }
}

/// The sine of the angle between up and the way that a camera looks, below which it looks from above or below.
const LEAST_ACROSS: f32 = 0.4;
/// How far off, on the way that a camera looks, a direction is followed to see where it leads.
const SHORT: f32 = 0.01;

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
        self.tracker.tidy(image.width(), image.height());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a camera that looks down and is rolled clockwise as seen from behind it, in degrees.
    fn held(down: f32, roll: f32) -> Held {
        let (down, roll) = (down.to_radians(), roll.to_radians());
        let level = Vec3::new(0.0, -down.cos(), -down.sin());
        let up = Vec3::new(
            -roll.sin() * level.y.abs(),
            -roll.cos() * level.y.abs(),
            level.z,
        );
        let camera = Intrinsics::from_field_of_view(640, 480, 1.2);
        Held { camera, up }
    }

    fn degrees_at(held: Held, x: f32, y: f32) -> Option<f32> {
        held.angle_at(Vec2::new(x, y)).map(f32::to_degrees)
    }

    #[test]
    fn people_of_a_camera_that_is_rolled_clockwise_are_turned_the_other_way() {
        let close = |angle: Option<f32>, wanted: f32| {
            assert!(
                (angle.unwrap_or(f32::NAN) - wanted).abs() < 0.5,
                "{angle:?} {wanted}"
            );
        };
        close(degrees_at(held(0.0, 0.0), 500.0, 100.0), 0.0);
        close(degrees_at(held(0.0, 26.0), 319.5, 239.5), -26.0);
        close(degrees_at(held(20.0, -13.0), 319.5, 239.5), 13.0);
        // Before a camera that looks down, all lean outwards, and stand upright in the middle.
        close(degrees_at(held(30.0, 0.0), 319.5, 400.0), 0.0);
        let [left, right] = [100.0, 539.0].map(|x| degrees_at(held(30.0, 0.0), x, 239.5));
        let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
        assert!(left < -5.0 && (left + right).abs() < 0.1, "{left} {right}");
        assert_eq!(degrees_at(held(80.0, 0.0), 319.5, 239.5), None);
    }
}
