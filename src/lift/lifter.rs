//! The lifting network and one person's window of frames.

use std::collections::VecDeque;

use bevy::math::Vec3;

use super::trajectory::{self, Sighting};
use super::window::{Features, feature_count, features};
use crate::camera::Intrinsics;
use crate::inference::{
    Decoder, Engine, InputForm, Kept, Model, ModelError, SequenceNetwork, StreamNetwork,
};
use crate::skeleton::{Joint, Joint3d, Origin, Pose2d, Pose3d, derive_middle};

/// A gap longer than this many seconds starts a window anew.
const LONGEST_GAP: f64 = 0.7;

/// The network that lifts.
pub struct Lifter {
    network: Network,
    numbers: Vec<f32>,
}

enum Network {
    /// Looks at the last frames each time.
    Windows(SequenceNetwork),
    /// Looks at the newest frame, and keeps what it needs of those before.
    Stream(StreamNetwork),
}

/// One person's last frames.
#[derive(Clone, Debug, Default)]
pub struct Window {
    frames: VecDeque<Features>,
    kept: Kept,
    time: Option<f64>,
}

impl Window {
    /// Takes in the next frame and keeps `most`; false where too little of the person is seen.
    fn take(
        &mut self,
        pose: &Pose2d,
        joints: &[Joint],
        camera: &Intrinsics,
        up: Option<Vec3>,
        time: f64,
        most: usize,
    ) -> bool {
        let elapsed = self.time.map_or(0.0, |last| time - last);
        if !(0.0..LONGEST_GAP).contains(&elapsed) {
            self.frames.clear();
            self.kept = Kept::default();
        }
        let last = self.frames.back();
        let Some(frame) = features(pose, joints, camera, up, last, elapsed as f32) else {
            return false;
        };
        self.time = Some(time);
        self.frames.push_back(frame);
        while self.frames.len() > most {
            self.frames.pop_front();
        }
        true
    }
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
            Decoder::Lift { output, .. } => Some(output),
            _ => None,
        };
        let network = match model.card.input.form {
            InputForm::Frame { .. } => {
                Network::Stream(StreamNetwork::load(model, engine, threads, feature_count)?)
            }
            _ => {
                let names = ("a lifter", "lift");
                let load = SequenceNetwork::load;
                Network::Windows(load(model, engine, threads, names, output, feature_count)?)
            }
        };
        Ok(Lifter {
            network,
            numbers: Vec::new(),
        })
    }

    /// The network's name.
    pub fn name(&self) -> &str {
        match &self.network {
            Network::Windows(network) => &network.name,
            Network::Stream(network) => &network.name,
        }
    }

    fn joints(&self) -> &'static [Joint] {
        match &self.network {
            Network::Windows(network) => network.joints,
            Network::Stream(network) => network.joints,
        }
    }

    /// Takes in one more frame of a person and says where their joints are; `None` while too little of them is seen. `up` is the
    /// direction opposite to gravity in the camera frame, of length 1, where it is known.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn lift(
        &mut self,
        window: &mut Window,
        pose: &Pose2d,
        camera: &Intrinsics,
        up: Option<Vec3>,
        time: f64,
    ) -> Result<Option<Lifted>, ModelError> {
        let mut lifted = self.lift_all(&mut [(window, pose)], camera, up, time)?;
        Ok(lifted.pop().flatten())
    }

    /// The same for several people of one frame, who go through the network at once where it can.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn lift_all(
        &mut self,
        people: &mut [(&mut Window, &Pose2d)],
        camera: &Intrinsics,
        up: Option<Vec3>,
        time: f64,
    ) -> Result<Vec<Option<Lifted>>, ModelError> {
        let joints = self.joints();
        let most = match &self.network {
            Network::Windows(network) => network.frames,
            Network::Stream(_) => 1,
        };
        let shown: Vec<bool> = people
            .iter_mut()
            .map(|(window, pose)| window.take(pose, joints, camera, up, time, most))
            .collect();
        let told = self.run(people, &shown)?;
        let failed = |error: String| ModelError::Run {
            name: self.name().to_owned(),
            error,
        };
        let rows = told.as_chunks::<4>().0;
        let count = shown.iter().filter(|shown| **shown).count();
        if rows.len() != joints.len() * count {
            return Err(failed(format!(
                "of {count} people it gave {} joints, not {} each",
                rows.len(),
                joints.len()
            )));
        }
        if told.iter().any(|number| !number.is_finite()) {
            return Err(failed("it gave infinite numbers, or none".into()));
        }
        let mut rows = rows.chunks(joints.len().max(1));
        let lifted = people.iter().zip(shown).map(|((window, pose), shown)| {
            let frame = window.frames.back().filter(|_| shown)?;
            place(frame, joints, rows.next()?, pose, camera)
        });
        Ok(lifted.collect())
    }

    /// What the network says of those who are shown, one after the other.
    fn run(
        &mut self,
        people: &mut [(&mut Window, &Pose2d)],
        shown: &[bool],
    ) -> Result<Vec<f32>, ModelError> {
        let windows = people.iter_mut().map(|(window, _)| &mut **window);
        let windows = windows
            .zip(shown)
            .filter_map(|(window, shown)| shown.then_some(window));
        self.numbers.clear();
        match &mut self.network {
            Network::Windows(network) => {
                let mut told = Vec::new();
                for window in windows {
                    self.numbers.clear();
                    // A window that is not full yet repeats its first frame, as in training.
                    let missing = network.frames - window.frames.len();
                    let first = window.frames.front().into_iter();
                    for frame in first.cycle().take(missing).chain(&window.frames) {
                        self.numbers.extend(&frame.values);
                    }
                    told.extend(network.run(&self.numbers)?.data);
                }
                Ok(told)
            }
            Network::Stream(network) => {
                let mut kept = Vec::new();
                for window in windows {
                    if let Some(frame) = window.frames.back() {
                        self.numbers.extend(&frame.values);
                        kept.push(&mut window.kept);
                    }
                }
                network.run(&self.numbers, &mut kept)
            }
        }
    }
}

/// Puts a body that is told about its hips, in rows of x, y, z and the logarithm of its error, where it was seen.
fn place(
    frame: &Features,
    joints: &[Joint],
    rows: &[[f32; 4]],
    pose: &Pose2d,
    camera: &Intrinsics,
) -> Option<Lifted> {
    let places = || {
        joints
            .iter()
            .zip(rows)
            .map(|(&joint, &[x, y, z, log_sigma])| {
                let place = frame.camera_from_person * Vec3::new(x, y, z);
                (joint, place, log_sigma.clamp(-6.0, 1.0).exp())
            })
    };
    let seen = |joint: Joint| pose[joint].filter(|point| point.confidence.get() > 0.2);
    let sightings: Vec<Sighting> = places()
        .filter_map(|(joint, place, sigma)| {
            let point = seen(joint)?;
            Some(Sighting {
                ray: camera.ray(point.position).truncate(),
                place,
                weight: point.confidence.get() / (0.05 + sigma),
            })
        })
        .collect();
    let root = trajectory::root(&sightings)?;
    let mut lifted = Pose3d::default();
    for (joint, place, sigma) in places() {
        let origin = match seen(joint) {
            Some(_) => Origin::Lifted,
            None => Origin::Predicted,
        };
        lifted[joint] = Some(Joint3d {
            position: place + root,
            sigma,
            origin,
        });
    }
    derive_middle(&mut lifted);
    Some(Lifted { pose: lifted, root })
}
