//! The lifting network and one person's window of frames.

use std::collections::VecDeque;

use bevy::math::Vec3;

use super::trajectory::{self, Sighting};
use super::window::{Features, feature_count, features};
use crate::camera::Intrinsics;
use crate::inference::{Decoder, Engine, Model, ModelError, SequenceNetwork};
use crate::skeleton::{Joint, Joint3d, Origin, Pose2d, Pose3d, derive_middle};

/// A gap longer than this many seconds starts a window anew.
const LONGEST_GAP: f64 = 0.7;

/// The network that lifts.
pub struct Lifter {
    network: SequenceNetwork,
    numbers: Vec<f32>,
}

/// One person's last frames.
#[derive(Clone, Debug, Default)]
pub struct Window {
    frames: VecDeque<Features>,
    time: Option<f64>,
}

/// A person in the camera frame.
#[derive(Clone, Debug)]
pub struct Lifted {
    /// Joints in the camera frame (OpenCV), in metres.
    pub pose: Pose3d,
    /// The middle of the hips there.
    pub root: Vec3,
}

impl Lifter {
    /// Loads the network.
    ///
    /// # Errors
    /// [`ModelError`] when it is broken or its card asks for features that nobody makes.
    pub fn load(model: &Model, engine: &Engine, threads: usize) -> Result<Self, ModelError> {
        let output = match &model.card.decoder {
            Decoder::Lift { output } => Some(output),
            _ => None,
        };
        let names = ("a lifter", "lift");
        Ok(Lifter {
            network: SequenceNetwork::load(model, engine, threads, names, output, feature_count)?,
            numbers: Vec::new(),
        })
    }

    /// The network's name.
    pub fn name(&self) -> &str {
        &self.network.name
    }

    /// Takes in one more frame of a person and says where their joints are; `None` while too little of them is seen.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn lift(
        &mut self,
        window: &mut Window,
        pose: &Pose2d,
        camera: &Intrinsics,
        time: f64,
    ) -> Result<Option<Lifted>, ModelError> {
        let elapsed = window.time.map_or(0.0, |last| time - last);
        if !(0.0..LONGEST_GAP).contains(&elapsed) {
            window.frames.clear();
        }
        let Some(frame) = features(
            pose,
            self.network.joints,
            camera,
            window.frames.back(),
            elapsed as f32,
        ) else {
            return Ok(None);
        };
        window.time = Some(time);
        window.frames.push_back(frame);
        while window.frames.len() > self.network.frames {
            window.frames.pop_front();
        }
        let (Some(first), Some(last)) = (window.frames.front(), window.frames.back()) else {
            return Ok(None);
        };

        // A window that is not full yet repeats its first frame, as in training.
        self.numbers.clear();
        for _ in window.frames.len()..self.network.frames {
            self.numbers.extend(&first.values);
        }
        for frame in &window.frames {
            self.numbers.extend(&frame.values);
        }
        let output = self.network.run(&self.numbers)?;
        let rows = output.data.as_chunks::<4>().0;
        let failed = |error: String| ModelError::Run {
            name: self.network.name.clone(),
            error,
        };
        if rows.len() < self.network.joints.len() {
            return Err(failed(format!(
                "it gave {} joints of {}",
                rows.len(),
                self.network.joints.len()
            )));
        }
        if rows.iter().flatten().any(|number| !number.is_finite()) {
            return Err(failed("it gave infinite numbers, or none".into()));
        }
        let places: Vec<(Joint, Vec3, f32)> = self
            .network
            .joints
            .iter()
            .zip(rows)
            .map(|(&joint, &[x, y, z, log_sigma])| {
                (
                    joint,
                    last.camera_from_person * Vec3::new(x, y, z),
                    log_sigma.clamp(-6.0, 1.0).exp(),
                )
            })
            .collect();
        let sightings: Vec<Sighting> = places
            .iter()
            .filter_map(|&(joint, place, sigma)| {
                let point = pose[joint].filter(|point| point.confidence.get() > 0.2)?;
                let weight = point.confidence.get() / (0.05 + sigma);
                Some(Sighting {
                    ray: camera.ray(point.position).truncate(),
                    place,
                    weight,
                })
            })
            .collect();
        let Some(root) = trajectory::root(&sightings) else {
            return Ok(None);
        };
        let mut lifted = Pose3d::default();
        for (joint, place, sigma) in places {
            let seen = pose[joint].is_some_and(|point| point.confidence.get() > 0.2);
            let origin = if seen {
                Origin::Lifted
            } else {
                Origin::Predicted
            };
            lifted[joint] = Some(Joint3d {
                position: place + root,
                sigma,
                origin,
            });
        }
        derive_middle(&mut lifted);
        Ok(Some(Lifted { pose: lifted, root }))
    }
}
