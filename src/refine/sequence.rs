//! People as a room saw them, refined over time: a bidirectional LSTM that knows how people move corrects what cameras got wrong, and
//! fills in what none of them saw. It wants to know what comes next, so it is for what was recorded.
//!
//! After the Bi-LSTM refinement of 3D pictorial structures (seed: "the pose sequence … from its adjacent frames as the input"); here
//! it says every frame of a window at once, as a correction of what was given.

use std::collections::BTreeMap;

use bevy::math::DVec3;

use crate::inference::{Decoder, Engine, Model, ModelError, SequenceNetwork};
use crate::multiview::RoomPerson;
use crate::reconstruct::figure::{FigureJoint, Joints};
use crate::skeleton::{Joint, JointMap};

/// The network, and how it is fed.
pub struct SequenceRefiner {
    network: SequenceNetwork,
}

/// Of each joint: x, y, z in metres about the middle of the hips' way through the window, whether it is known, and its sigma.
const COLUMNS: usize = 5;
/// Joints that are seen in less than this part of a window are not made up: the 2D network has none, or they are out of view.
const LEAST_SEEN: f64 = 0.2;
/// A joint that is made up is so sure, in metres.
const MADE_UP: f64 = 0.08;
/// Corrections that are small against this, in metres, are hardly made: by so much, keypoint networks differ from one another in
/// where on the body a joint is, and what is only seen otherwise than in training is not wrong.
const DIFFERS: f64 = 0.06;

impl SequenceRefiner {
    /// Loads the network.
    ///
    /// # Errors
    /// [`ModelError`] when it is broken or its card asks for features that nobody makes.
    pub fn load(model: &Model, engine: &Engine, threads: usize) -> Result<Self, ModelError> {
        let output = match &model.card.decoder {
            Decoder::Refine { output } => Some(output),
            _ => None,
        };
        let features = |joints: usize| joints * COLUMNS;
        let names = ("a refiner", "refine");
        let network = SequenceNetwork::load(model, engine, threads, names, output, features)?;
        if network.frames < 4 {
            return Err(ModelError::Mismatch {
                name: network.name,
                error: format!(
                    "a window has four frames or more, and the card says {}",
                    network.frames
                ),
            });
        }
        Ok(SequenceRefiner { network })
    }

    /// Refines one person's poses, at the pace of a video and in order, in metres of a world that is y up. Fewer than a window's
    /// stay as they are: the network has only seen whole ones.
    ///
    /// # Errors
    /// [`ModelError::Run`], or [`ModelError::Mismatch`] when the output is not what the card says; the poses are as they were then.
    pub fn refine(&mut self, poses: &mut [Joints]) -> Result<(), ModelError> {
        if poses.len() < self.network.frames {
            return Ok(());
        }
        let mut refined = poses.to_vec();
        let half = self.network.frames / 2;
        for first in (0..poses.len()).step_by(half) {
            // What is given before and after the middle of a window makes it sure: windows overlap by half, and each says its middle.
            let from = first
                .saturating_sub(half / 2)
                .min(poses.len() - self.network.frames);
            let window = &poses[from..from + self.network.frames];
            let found = self.look(window)?;
            let is_seen = |joint: Joint| {
                let seen = window.iter().filter(|pose| pose[joint].is_some()).count();
                seen as f64 >= LEAST_SEEN * window.len() as f64
            };
            let seen: Vec<Joint> = self
                .network
                .joints
                .iter()
                .copied()
                .filter(|&joint| is_seen(joint))
                .collect();
            let end = (first + half).min(poses.len());
            for n in first..end {
                put(&mut refined[n], &found[n - from], &seen);
            }
        }
        poses.clone_from_slice(&refined);
        Ok(())
    }

    /// Refines everybody in a room that was recorded, moment after moment; what was before somebody was away and what comes after is
    /// refined each by itself.
    ///
    /// # Errors
    /// As [`refine`](Self::refine); nobody is changed then.
    pub fn refine_room<'a>(
        &mut self,
        moments: impl IntoIterator<Item = &'a mut [RoomPerson]>,
    ) -> Result<(), ModelError> {
        let mut moments: Vec<&mut [RoomPerson]> = moments.into_iter().collect();
        // Of each number, the runs of moments at which they are there, one after the other.
        let mut runs: BTreeMap<u32, Vec<Vec<(usize, usize)>>> = BTreeMap::new();
        for (moment, people) in moments.iter().enumerate() {
            for (place, person) in people.iter().enumerate() {
                let own = runs.entry(person.id).or_default();
                match own.last_mut() {
                    Some(run) if run.last().is_some_and(|last| last.0 + 1 == moment) => {
                        run.push((moment, place));
                    }
                    _ => own.push(vec![(moment, place)]),
                }
            }
        }
        let mut refined = Vec::new();
        for run in runs.into_values().flatten() {
            let poses = run
                .iter()
                .map(|&(n, place)| moments[n][place].joints.clone());
            let mut poses: Vec<Joints> = poses.collect();
            self.refine(&mut poses)?;
            refined.extend(run.into_iter().zip(poses));
        }
        for ((moment, place), pose) in refined {
            moments[moment][place].joints = pose;
        }
        Ok(())
    }

    /// Where a window's joints should be.
    fn look(&mut self, window: &[Joints]) -> Result<Vec<JointMap<Option<DVec3>>>, ModelError> {
        let origin = origin(window, self.network.joints);
        let mut numbers = vec![0.0_f32; self.network.frames * self.network.features];
        let rows = numbers.chunks_exact_mut(COLUMNS);
        let given = window
            .iter()
            .flat_map(|pose| self.network.joints.iter().map(|&joint| pose[joint]));
        for (row, joint) in rows.zip(given) {
            if let Some(joint) = joint {
                let place = (joint.position - origin).as_vec3();
                row.copy_from_slice(&[place.x, place.y, place.z, 1.0, joint.sigma as f32]);
            }
        }
        let found = self.network.run(&numbers)?;
        let data = &found.data;
        if data.len() != self.network.frames * self.network.joints.len() * 3 {
            return Err(ModelError::Mismatch {
                name: self.network.name.clone(),
                error: format!("its output is of {:?}", found.shape),
            });
        }
        let frames = data.chunks_exact(self.network.joints.len() * 3);
        Ok(frames
            .map(|frame| {
                let mut places = JointMap::default();
                for (&joint, place) in self.network.joints.iter().zip(frame.chunks_exact(3)) {
                    let place = DVec3::new(place[0].into(), place[1].into(), place[2].into());
                    places[joint] = place.is_finite().then(|| place + origin);
                }
                places
            })
            .collect())
    }
}

/// Corrects what is known of a pose, and makes up what is not, of the joints that are `seen` now and then.
fn put(pose: &mut Joints, found: &JointMap<Option<DVec3>>, seen: &[Joint]) {
    for (joint, &position) in found.present() {
        match &mut pose[joint] {
            Some(known) => {
                let correction = position - known.position;
                let squared = correction.length_squared();
                known.position += correction * (squared / (squared + DIFFERS * DIFFERS));
            }
            unknown if seen.contains(&joint) => {
                *unknown = Some(FigureJoint {
                    position,
                    sigma: MADE_UP,
                    views: 0,
                });
            }
            _ => {}
        }
    }
}

/// The middle of the hips' way; of all joints' where no hips are known.
fn origin(window: &[Joints], joints: &[Joint]) -> DVec3 {
    let mean = |of: &[Joint]| {
        let places = window
            .iter()
            .flat_map(|pose| of.iter().filter_map(|&joint| pose[joint]));
        let places: Vec<DVec3> = places.map(|found| found.position).collect();
        (!places.is_empty()).then(|| places.iter().sum::<DVec3>() / places.len() as f64)
    };
    mean(&[Joint::LeftHip, Joint::RightHip])
        .or_else(|| mean(joints))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{Data, Input, Session, Tensor};
    use crate::skeleton::JointSet;

    /// Moves what is known by 30 cm along x, and puts what is not to (1, 2, 3).
    struct Nudge;

    impl Session for Nudge {
        fn run(&mut self, inputs: &[Input], _: &[&str]) -> Result<Vec<Tensor>, ModelError> {
            let Data::F32(data) = inputs[0].data else {
                panic!("floats")
            };
            let nudged = data.chunks_exact(COLUMNS).flat_map(|row| match row[3] {
                known if known > 0.5 => [row[0] + 0.3, row[1], row[2]],
                _ => [1.0, 2.0, 3.0],
            });
            Ok(vec![Tensor {
                shape: Vec::new(),
                data: nudged.collect(),
            }])
        }

        fn inputs(&self) -> Vec<(String, Vec<Option<usize>>)> {
            Vec::new()
        }

        fn outputs(&self) -> Vec<String> {
            Vec::new()
        }
    }

    /// What is left of those 30 cm.
    const NUDGED: f64 = 0.3 * 0.09 / (0.09 + DIFFERS * DIFFERS);

    fn refiner() -> SequenceRefiner {
        let joints = JointSet::Lift23.joints();
        SequenceRefiner {
            network: SequenceNetwork {
                session: Box::new(Nudge),
                name: "nudge".into(),
                input: "sequence".into(),
                output: "poses".into(),
                frames: 11,
                features: joints.len() * COLUMNS,
                joints,
            },
        }
    }

    fn at(x: f64) -> Option<FigureJoint> {
        Some(FigureJoint {
            position: DVec3::new(x, 1.0, 0.0),
            sigma: 0.02,
            views: 3,
        })
    }

    /// Somebody who walks along x; their right wrist is hidden now and then, their nose always.
    fn walk(frames: usize) -> Vec<Joints> {
        let pose = |n: usize| {
            let mut pose = Joints::default();
            for joint in [Joint::LeftHip, Joint::RightHip, Joint::LeftKnee] {
                pose[joint] = at(n as f64 * 0.1);
            }
            pose[Joint::RightWrist] = at(0.0).filter(|_| !n.is_multiple_of(3));
            pose
        };
        (0..frames).map(pose).collect()
    }

    #[test]
    fn every_frame_is_refined_once_and_holes_of_what_was_seen_are_filled() -> Result<(), ModelError>
    {
        for frames in [11, 12, 21, 40] {
            let before = walk(frames);
            let mut after = before.clone();
            refiner().refine(&mut after)?;
            for (n, (before, after)) in before.iter().zip(&after).enumerate() {
                let moved =
                    |joint: Joint| Some(after[joint]?.position.x - before[joint]?.position.x);
                for joint in [Joint::LeftHip, Joint::LeftKnee] {
                    let moved = moved(joint).unwrap_or_default();
                    assert!(
                        (moved - NUDGED).abs() < 1e-6,
                        "{joint:?} of {n} in {frames}: {moved}"
                    );
                }
                assert_eq!(after[Joint::Nose], None);
                let hand = after[Joint::RightWrist];
                assert!(hand.is_some(), "{n} of {frames}");
                let made_up = n.is_multiple_of(3);
                assert_eq!(hand.is_some_and(|hand| hand.views == 0), made_up);
            }
        }
        let mut few = walk(10);
        refiner().refine(&mut few)?;
        assert_eq!(few, walk(10));
        refiner().refine(&mut [])
    }

    #[test]
    fn a_joint_that_is_hardly_ever_seen_is_corrected_and_not_made_up() -> Result<(), ModelError> {
        let mut poses = walk(11);
        poses[4][Joint::LeftWrist] = at(0.0);
        refiner().refine(&mut poses)?;
        for (n, pose) in poses.iter().enumerate() {
            let x = pose[Joint::LeftWrist].map(|wrist| wrist.position.x);
            assert_eq!(x.is_some(), n == 4, "{n}");
            assert!(x.is_none_or(|x| (x - NUDGED).abs() < 1e-6));
        }
        Ok(())
    }

    /// The shipped network, fed as those are who trained it: `python -m posetrain.refining ONNX OUT.json` writes the table.
    #[test]
    #[cfg(feature = "embedded-models")]
    fn the_shipped_network_says_what_it_says_where_it_was_trained() -> Result<(), ModelError> {
        #[derive(serde::Deserialize)]
        struct Table {
            /// Of each frame and joint: x, y, z and sigma; `None` where it is not known.
            given: Vec<Vec<Option<[f64; 4]>>>,
            /// Frames, and where the joints are then.
            refined: Vec<(usize, Vec<[f64; 3]>)>,
        }
        let table: Table = serde_json::from_str(include_str!("refined.json"))
            .unwrap_or_else(|error| panic!("{error}"));
        let models = crate::inference::Models::embedded();
        let model = models.of(crate::inference::Task::Refine)?;
        let mut refiner = SequenceRefiner::load(model, &Engine::rten("a test"), 1)?;
        let pose = |row: &Vec<Option<[f64; 4]>>| {
            let mut pose = Joints::default();
            for (&joint, known) in refiner.network.joints.iter().zip(row) {
                pose[joint] = known.map(|[x, y, z, sigma]| FigureJoint {
                    position: DVec3::new(x, y, z),
                    sigma,
                    views: 2,
                });
            }
            pose
        };
        let window: Vec<Joints> = table.given.iter().map(pose).collect();
        let found = refiner.look(&window)?;
        for (frame, wanted) in &table.refined {
            for (&joint, wanted) in refiner.network.joints.iter().zip(wanted) {
                let off =
                    found[*frame][joint].map(|found| found.distance(DVec3::from_array(*wanted)));
                assert!(
                    off.is_some_and(|off| off < 2e-3),
                    "{joint:?} at {frame}: {off:?}"
                );
            }
        }
        assert_eq!(table.refined.len(), 3);
        Ok(())
    }

    #[test]
    fn people_of_a_room_are_refined_each_by_themselves() -> Result<(), ModelError> {
        let (one, two) = (walk(24), walk(24));
        let moment = |n: usize| {
            let person = |id: u32, joints: &Joints| RoomPerson {
                id,
                joints: joints.clone(),
                seen: Vec::new(),
            };
            // The second comes first in the list at every other moment, and is away at one.
            let mut people = vec![person(1, &one[n]), person(2, &two[23 - n])];
            if n.is_multiple_of(2) {
                people.reverse();
            }
            people.retain(|person| person.id == 1 || n != 11);
            people
        };
        let before: Vec<Vec<RoomPerson>> = (0..24).map(moment).collect();
        let mut after = before.clone();
        refiner().refine_room(after.iter_mut().map(Vec::as_mut_slice))?;
        for (before, after) in before.iter().flatten().zip(after.iter().flatten()) {
            assert_eq!(before.id, after.id);
            let moved = after.joints[Joint::LeftKnee]
                .zip(before.joints[Joint::LeftKnee])
                .map(|(after, before)| after.position - before.position);
            assert!(moved.is_some_and(|moved| moved.distance(DVec3::X * NUDGED) < 1e-6));
        }
        Ok(())
    }
}
