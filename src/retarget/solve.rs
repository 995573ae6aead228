//! Rotations for every bone, so that a model of any build stands as the person does.
//!
//! Each bone has an anatomical frame: its direction, and an axis across it (the hinge of elbows and knees, the line
//! through shoulders, hips, ears, knuckles). The frame is known of the model at rest and of the person now; what turns
//! one into the other turns the bone. So T-poses, A-poses and any local axes come to the same.

use std::collections::HashMap;

use bevy::math::{Mat3, Quat, Vec3};

use super::humanoid::HumanBone::{self, *};
use super::humanoid::{Humanoid, HumanoidError};
use super::rest_pose::RestSkeleton;
use crate::skeleton::{Joint, Pose3d, between};

/// Hinges bent less than this (sine) do not say where their axis is.
const STRAIGHT: f32 = 0.12;
/// Hinges bent more than this say it alone.
const BENT: f32 = 0.4;
/// Hands and feet are turned only where the network is this sure of them (metres).
const SURE: f32 = 0.09;
/// The line from the ears' middle to the nose points this far below straight ahead (radians).
const NOSE_BELOW: f32 = 0.2;

/// What a pose asks of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Solution {
    /// Rotation of each driven node relative to its parent.
    pub rotations: Vec<(usize, Quat)>,
    /// The hips' node and its translation relative to its parent.
    pub hips: Option<(usize, Vec3)>,
}

/// A model ready to be driven.
#[derive(Clone, Debug)]
pub struct Rig {
    skeleton: RestSkeleton,
    humanoid: Humanoid,
    driven: HashMap<usize, HumanBone>,
    /// Left and ahead at rest; up is +y.
    left: Vec3,
    ahead: Vec3,
    leg_length: f32,
    hips_height: f32,
    /// Axes across elbows and knees as last seen, for limbs that are straight now.
    memory: HashMap<HumanBone, Vec3>,
}

/// A rotation whose x axis lies along `along` and whose y axis is as near to `across` as it can be.
fn frame(along: Vec3, across: Vec3) -> Option<Quat> {
    let x = along.try_normalize()?;
    let y = (across - x * across.dot(x)).try_normalize()?;
    Some(Quat::from_mat3(&Mat3::from_cols(x, y, x.cross(y))))
}

/// What turns a frame at rest, (along, across), into one of now.
fn turn(now: (Vec3, Vec3), rest: (Vec3, Vec3)) -> Option<Quat> {
    Some(frame(now.0, now.1)? * frame(rest.0, rest.1)?.inverse())
}

fn smoothstep(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

impl Rig {
    /// Prepares a model whose bones are known.
    ///
    /// # Errors
    /// [`HumanoidError::Missing`] when hips and legs fall together, so that nothing can be measured.
    pub fn new(skeleton: RestSkeleton, humanoid: Humanoid) -> Result<Rig, HumanoidError> {
        let place = |bone| {
            humanoid
                .node(bone)
                .map(|node: usize| skeleton.nodes[node].rest.translation)
        };
        let missing = || HumanoidError::Missing(vec!["legs of any length"]);
        let (left_leg, right_leg) = (place(LeftUpperLeg), place(RightUpperLeg));
        let left = left_leg
            .zip(right_leg)
            .map(|(l, r)| (l - r).with_y(0.0))
            .and_then(Vec3::try_normalize)
            .ok_or_else(missing)?;
        let ahead = left.cross(Vec3::Y);
        let length = |a, b| place(a).zip(place(b)).map(|(a, b)| a.distance(b));
        let shank = length(LeftLowerLeg, LeftFoot).or_else(|| length(LeftUpperLeg, LeftLowerLeg));
        let leg_length = length(LeftUpperLeg, LeftLowerLeg)
            .zip(shank)
            .map(|(a, b)| a + b)
            .ok_or_else(missing)?;
        if leg_length < 1e-3 {
            return Err(missing());
        }
        let hips_height = place(Hips).map_or(0.0, |hips| hips.y);
        let driven = HumanBone::ALL
            .iter()
            .filter_map(|&bone| Some((humanoid.node(bone)?, bone)))
            .collect();
        Ok(Rig {
            skeleton,
            humanoid,
            driven,
            left,
            ahead,
            leg_length,
            hips_height,
            memory: HashMap::new(),
        })
    }

    /// The nodes and which of them are bones.
    pub fn skeleton(&self) -> (&RestSkeleton, &Humanoid) {
        (&self.skeleton, &self.humanoid)
    }

    /// Thigh and shank of the model together, in metres.
    pub fn leg_length(&self) -> f32 {
        self.leg_length
    }

    fn rest(&self, bone: HumanBone) -> Option<Vec3> {
        Some(
            self.skeleton.nodes[self.humanoid.node(bone)?]
                .rest
                .translation,
        )
    }

    /// Bends the model into a pose.
    ///
    /// `pose` is in the model's space (y up, metres) with the hips anywhere; `hips` is where the middle of the model's hip
    /// joints goes, in that space. Bones that the pose says nothing of keep their rest pose.
    pub fn solve(&mut self, pose: &Pose3d, hips: Vec3) -> Solution {
        let mut turns: HashMap<HumanBone, Quat> = HashMap::new();
        self.trunk(pose, &mut turns);
        for side in SIDES {
            self.arm(pose, side, &mut turns);
            self.leg(pose, side, &mut turns);
        }
        let mut solution = Solution::default();
        let mut world: Vec<Quat> = Vec::with_capacity(self.skeleton.nodes.len());
        for (index, node) in self.skeleton.nodes.iter().enumerate() {
            let above = node.parent.map_or(Quat::IDENTITY, |parent| world[parent]);
            let turned = self.driven.get(&index).and_then(|bone| turns.get(bone));
            let here = match turned {
                Some(turned) => {
                    let here = *turned * node.rest.rotation;
                    solution
                        .rotations
                        .push((index, (above.inverse() * here).normalize()));
                    here
                }
                None => above * node.local.rotation,
            };
            world.push(here);
        }
        if let Some(node) = self.humanoid.node(Hips) {
            // Models' hips bones lie somewhat above the joints of their legs.
            let above_legs = self
                .rest(Hips)
                .zip(self.rest(LeftUpperLeg).zip(self.rest(RightUpperLeg)))
                .map_or(Vec3::ZERO, |(bone, (left, right))| {
                    bone - (left + right) * 0.5
                });
            let hips = hips + turns.get(&Hips).copied().unwrap_or_default() * above_legs;
            // Nodes above the hips stand as the file has them.
            let above = self.skeleton.nodes[node].parent.map(|parent| {
                let mut chain = vec![parent];
                while let Some(next) = self.skeleton.nodes[chain[chain.len() - 1]].parent {
                    chain.push(next);
                }
                chain.iter().rev().fold(
                    bevy::transform::components::Transform::IDENTITY,
                    |above, &n| above * self.skeleton.nodes[n].local,
                )
            });
            let local = above.map_or(hips, |above| {
                above.to_matrix().inverse().transform_point3(hips)
            });
            solution.hips = Some((node, local));
        }
        solution
    }

    fn trunk(&self, pose: &Pose3d, turns: &mut HashMap<HumanBone, Quat>) {
        let at = |joint: Joint| pose[joint].map(|p| p.position);
        let (Some(left_hip), Some(right_hip), Some(left_shoulder), Some(right_shoulder)) = (
            at(Joint::LeftHip),
            at(Joint::RightHip),
            at(Joint::LeftShoulder),
            at(Joint::RightShoulder),
        ) else {
            return;
        };
        let (low, high) = (
            (left_hip + right_hip) * 0.5,
            (left_shoulder + right_shoulder) * 0.5,
        );
        let up = high - low;
        let rest_frame = (self.left, Vec3::Y);
        let pelvis = turn((left_hip - right_hip, up), rest_frame);
        let chest = frame(up, left_shoulder - right_shoulder)
            .zip(frame(Vec3::Y, self.left))
            .map(|(now, rest)| now * rest.inverse());
        let (Some(pelvis), Some(chest)) = (pelvis, chest) else {
            return;
        };
        turns.insert(Hips, pelvis);
        let upper = [Spine, Chest, UpperChest]
            .into_iter()
            .filter(|&bone| self.humanoid.node(bone).is_some());
        let upper: Vec<HumanBone> = upper.collect();
        for (n, bone) in upper.iter().enumerate() {
            turns.insert(
                *bone,
                pelvis.slerp(chest, (n + 1) as f32 / upper.len() as f32),
            );
        }
        let ears = at(Joint::LeftEar).zip(at(Joint::RightEar));
        if let (Some((left_ear, right_ear)), Some(nose)) = (ears, at(Joint::Nose)) {
            let toward = nose - (left_ear + right_ear) * 0.5;
            let rest_toward = Quat::from_axis_angle(self.left, NOSE_BELOW) * self.ahead;
            if let Some(head) = turn((left_ear - right_ear, toward), (self.left, rest_toward)) {
                // Faces are small: what is left of their jitter shows on the head, so half of it stays with the chest.
                let head = chest.slerp(head, 0.8);
                turns.insert(Head, head);
                turns.insert(Neck, chest.slerp(head, 0.5));
            }
        } else {
            turns.insert(Neck, chest);
            turns.insert(Head, chest);
        }
    }

    /// The axis across a hinge: seen where it is bent, `otherwise` where it is straight, blended between.
    fn hinge(&mut self, bone: HumanBone, upper: Vec3, lower: Vec3, otherwise: Vec3) -> Vec3 {
        let (upper, lower) = (upper.normalize_or_zero(), lower.normalize_or_zero());
        let cross = upper.cross(lower);
        let bend = cross.length();
        let seen = cross.normalize_or_zero();
        // A hinge that bends the wrong way is a straight one with noise.
        let trust = if seen.dot(otherwise) < -0.3 {
            0.0
        } else {
            smoothstep(STRAIGHT, BENT, bend)
        };
        let before = self.memory.get(&bone).copied().unwrap_or(otherwise);
        let calm = (otherwise * 0.5 + before * 0.5).normalize_or(otherwise);
        let axis = calm.lerp(seen, trust).normalize_or(otherwise);
        self.memory.insert(bone, axis);
        axis
    }

    fn arm(&mut self, pose: &Pose3d, side: Side, turns: &mut HashMap<HumanBone, Quat>) {
        let at = |joint: Joint| pose[joint].map(|p| p.position);
        let (Some(shoulder), Some(elbow), Some(wrist)) =
            (at(side.shoulder), at(side.elbow), at(side.wrist))
        else {
            return;
        };
        let (Some(rest_shoulder), Some(rest_elbow)) =
            (self.rest(side.upper_arm), self.rest(side.lower_arm))
        else {
            return;
        };
        let rest_upper = rest_elbow - rest_shoulder;
        let rest_wrist = self.rest(side.hand);
        let rest_lower = rest_wrist.map_or(rest_upper, |wrist| wrist - rest_elbow);
        let chest = [UpperChest, Chest, Spine, Hips]
            .iter()
            .find_map(|bone| turns.get(bone))
            .copied()
            .unwrap_or_default();
        let (upper, lower) = (elbow - shoulder, wrist - elbow);
        // Elbows bend the forearm ahead: across the arm and the way the body faces.
        let rest_axis = rest_upper.cross(self.ahead);
        let swing = Quat::from_rotation_arc(
            (chest * rest_upper).normalize_or(Vec3::Y),
            upper.normalize_or(Vec3::Y),
        );
        let carried = (swing * (chest * rest_axis)).normalize_or(Vec3::Y);
        let axis = self.hinge(side.upper_arm, upper, lower, carried);
        let Some(upper_turn) = turn((upper, axis), (rest_upper, rest_axis)) else {
            return;
        };
        let Some(mut lower_turn) = turn((lower, axis), (rest_lower, rest_lower.cross(self.ahead)))
        else {
            return;
        };
        let sure = |joint: Joint| pose[joint].is_some_and(|p| p.sigma < SURE);
        if sure(side.index)
            && sure(side.pinky)
            && let (Some(index), Some(pinky)) = (at(side.index), at(side.pinky))
        {
            // With palms down the index finger lies ahead of the little one.
            let reach = (index + pinky) * 0.5 - wrist;
            if let Some(hand) = turn((reach, index - pinky), (rest_lower, self.ahead)) {
                let twist = twist_about(hand * lower_turn.inverse(), lower.normalize_or(Vec3::Y));
                // Forearm bones carry half of the hand's roll: wrists themselves do not roll.
                lower_turn = Quat::IDENTITY.slerp(twist, 0.5) * lower_turn;
                turns.insert(side.hand, lower_turn.slerp(hand, 0.8));
            }
        } else {
            turns.insert(side.hand, lower_turn);
        }
        turns.insert(side.upper_arm, upper_turn);
        turns.insert(side.lower_arm, lower_turn);
        turns.insert(side.collar, chest);
    }

    fn leg(&mut self, pose: &Pose3d, side: Side, turns: &mut HashMap<HumanBone, Quat>) {
        let at = |joint: Joint| pose[joint].map(|p| p.position);
        let (Some(hip), Some(knee), Some(ankle)) = (at(side.hip), at(side.knee), at(side.ankle))
        else {
            return;
        };
        let (Some(rest_hip), Some(rest_knee)) =
            (self.rest(side.upper_leg), self.rest(side.lower_leg))
        else {
            return;
        };
        let rest_ankle = self.rest(side.foot);
        let rest_upper = rest_knee - rest_hip;
        let rest_lower = rest_ankle.map_or(rest_upper, |ankle| ankle - rest_knee);
        let pelvis = turns.get(&Hips).copied().unwrap_or_default();
        let (upper, lower) = (knee - hip, ankle - knee);
        let foot = at(side.toe)
            .zip(at(side.heel))
            .map(|(toe, heel)| toe - heel);
        let foot = foot.filter(|_| pose[side.toe].is_some_and(|p| p.sigma < SURE));
        // Knees bend about the line from right to left; of a straight leg the foot says where that is.
        let from_foot = foot
            .map(|foot| foot.cross(upper))
            .and_then(Vec3::try_normalize);
        let from_pelvis = pelvis * self.left;
        let otherwise = from_foot
            .filter(|axis| axis.dot(from_pelvis) > 0.0)
            .map_or(from_pelvis, |axis| {
                (axis + from_pelvis).normalize_or(from_pelvis)
            });
        let axis = self.hinge(side.upper_leg, upper, lower, otherwise);
        let Some(upper_turn) = turn((upper, axis), (rest_upper, self.left)) else {
            return;
        };
        let Some(lower_turn) = turn((lower, axis), (rest_lower, self.left)) else {
            return;
        };
        turns.insert(side.upper_leg, upper_turn);
        turns.insert(side.lower_leg, lower_turn);
        let foot_turn = foot.and_then(|foot| turn((foot, axis), (self.ahead, self.left)));
        turns.insert(side.foot, foot_turn.unwrap_or(lower_turn));
    }

    /// The person's leg length in a pose, in metres.
    pub fn leg_length_of(pose: &Pose3d) -> Option<f32> {
        let apart = |a: Joint, b: Joint| Some(pose[a]?.position.distance(pose[b]?.position));
        let left =
            apart(Joint::LeftHip, Joint::LeftKnee)? + apart(Joint::LeftKnee, Joint::LeftAnkle)?;
        let right =
            apart(Joint::RightHip, Joint::RightKnee)? + apart(Joint::RightKnee, Joint::RightAnkle)?;
        Some((left + right) * 0.5)
    }

    /// How far the model's hips stand above its soles at rest, in metres.
    pub fn hips_height(&self) -> f32 {
        self.hips_height
    }
}

/// The part of a rotation that turns about an axis.
fn twist_about(rotation: Quat, axis: Vec3) -> Quat {
    let along = axis * rotation.xyz().dot(axis);
    Quat::from_xyzw(along.x, along.y, along.z, rotation.w)
        .try_normalize()
        .unwrap_or(Quat::IDENTITY)
}

trait TryNormalize: Sized {
    fn try_normalize(self) -> Option<Self>;
}

impl TryNormalize for Quat {
    fn try_normalize(self) -> Option<Quat> {
        (self.length_squared() > 1e-9).then(|| self.normalize())
    }
}

/// The middle of the hips of a pose.
pub fn hips_of(pose: &Pose3d) -> Option<Vec3> {
    between(pose, Joint::LeftHip, Joint::RightHip)
}

/// Joints and bones of one side.
#[derive(Clone, Copy)]
struct Side {
    shoulder: Joint,
    elbow: Joint,
    wrist: Joint,
    index: Joint,
    pinky: Joint,
    hip: Joint,
    knee: Joint,
    ankle: Joint,
    heel: Joint,
    toe: Joint,
    collar: HumanBone,
    upper_arm: HumanBone,
    lower_arm: HumanBone,
    hand: HumanBone,
    upper_leg: HumanBone,
    lower_leg: HumanBone,
    foot: HumanBone,
}

const SIDES: [Side; 2] = [
    Side {
        shoulder: Joint::LeftShoulder,
        elbow: Joint::LeftElbow,
        wrist: Joint::LeftWrist,
        index: Joint::LeftIndex,
        pinky: Joint::LeftPinky,
        hip: Joint::LeftHip,
        knee: Joint::LeftKnee,
        ankle: Joint::LeftAnkle,
        heel: Joint::LeftHeel,
        toe: Joint::LeftFootIndex,
        collar: LeftShoulder,
        upper_arm: LeftUpperArm,
        lower_arm: LeftLowerArm,
        hand: LeftHand,
        upper_leg: LeftUpperLeg,
        lower_leg: LeftLowerLeg,
        foot: LeftFoot,
    },
    Side {
        shoulder: Joint::RightShoulder,
        elbow: Joint::RightElbow,
        wrist: Joint::RightWrist,
        index: Joint::RightIndex,
        pinky: Joint::RightPinky,
        hip: Joint::RightHip,
        knee: Joint::RightKnee,
        ankle: Joint::RightAnkle,
        heel: Joint::RightHeel,
        toe: Joint::RightFootIndex,
        collar: RightShoulder,
        upper_arm: RightUpperArm,
        lower_arm: RightLowerArm,
        hand: RightHand,
        upper_leg: RightUpperLeg,
        lower_leg: RightLowerLeg,
        foot: RightFoot,
    },
];

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::skeleton::{Joint3d, Origin, derive_middle};
    use bevy::transform::components::Transform;

    /// A model in T-pose whose local axes are turned by `twist` at every node, facing +z or, turned, -z.
    pub(crate) fn model(twist: Quat, facing: f32) -> Option<Rig> {
        let mut skeleton = RestSkeleton::default();
        let mut index = HashMap::<&str, usize>::new();
        let nodes: &[(&str, &str, [f32; 3])] = &[
            ("hips", "", [0.0, 1.0, 0.0]),
            ("spine", "hips", [0.0, 1.1, 0.0]),
            ("chest", "spine", [0.0, 1.3, 0.0]),
            ("neck", "chest", [0.0, 1.5, 0.0]),
            ("head", "neck", [0.0, 1.6, 0.0]),
            ("leftUpperArm", "chest", [0.2, 1.45, 0.0]),
            ("leftLowerArm", "leftUpperArm", [0.5, 1.45, 0.0]),
            ("leftHand", "leftLowerArm", [0.75, 1.45, 0.0]),
            ("rightUpperArm", "chest", [-0.2, 1.45, 0.0]),
            ("rightLowerArm", "rightUpperArm", [-0.5, 1.45, 0.0]),
            ("rightHand", "rightLowerArm", [-0.75, 1.45, 0.0]),
            ("leftUpperLeg", "hips", [0.1, 0.95, 0.0]),
            ("leftLowerLeg", "leftUpperLeg", [0.1, 0.5, 0.0]),
            ("leftFoot", "leftLowerLeg", [0.1, 0.08, 0.0]),
            ("rightUpperLeg", "hips", [-0.1, 0.95, 0.0]),
            ("rightLowerLeg", "rightUpperLeg", [-0.1, 0.5, 0.0]),
            ("rightFoot", "rightLowerLeg", [-0.1, 0.08, 0.0]),
        ];
        for (name, parent, [x, y, z]) in nodes {
            let parent = index.get(parent).copied();
            let world = Transform::from_xyz(x * facing, *y, z * facing).with_rotation(twist);
            let local = parent.map_or(world, |parent: usize| {
                Transform::from_matrix(
                    skeleton.nodes[parent].rest.to_matrix().inverse() * world.to_matrix(),
                )
            });
            index.insert(name, skeleton.push(name, parent, local, None));
        }
        let table = index
            .keys()
            .map(|name| (name.to_string(), name.to_string()))
            .collect();
        let humanoid = Humanoid::find(&skeleton, None, &table).ok()?;
        Rig::new(skeleton, humanoid).ok()
    }

    /// Where the model's bones end up.
    pub(crate) fn places(rig: &Rig, solution: &Solution) -> HashMap<HumanBone, Vec3> {
        let (skeleton, humanoid) = rig.skeleton();
        let mut world: Vec<Transform> = Vec::new();
        for (index, node) in skeleton.nodes.iter().enumerate() {
            let mut local = node.local;
            if let Some((_, rotation)) = solution.rotations.iter().find(|(n, _)| *n == index) {
                local.rotation = *rotation;
            }
            if let Some((_, translation)) = solution.hips.filter(|(n, _)| *n == index) {
                local.translation = translation;
            }
            world.push(node.parent.map_or(local, |parent| world[parent] * local));
        }
        HumanBone::ALL
            .iter()
            .filter_map(|&bone| Some((bone, world[humanoid.node(bone)?].translation)))
            .collect()
    }

    fn pose(joints: &[(Joint, [f32; 3])]) -> Pose3d {
        let mut pose = Pose3d::default();
        for &(joint, at) in joints {
            pose[joint] = Some(Joint3d {
                position: at.into(),
                sigma: 0.02,
                origin: Origin::Lifted,
            });
        }
        derive_middle(&mut pose);
        pose
    }

    /// Left arm up and bent, right arm down, left knee lifted, facing +z.
    fn waving() -> Pose3d {
        use Joint::*;
        pose(&[
            (Nose, [0.0, 1.62, 0.12]),
            (LeftEar, [0.07, 1.64, 0.0]),
            (RightEar, [-0.07, 1.64, 0.0]),
            (LeftShoulder, [0.18, 1.45, 0.0]),
            (LeftElbow, [0.45, 1.5, 0.05]),
            (LeftWrist, [0.5, 1.75, 0.08]),
            (LeftIndex, [0.49, 1.83, 0.1]),
            (LeftPinky, [0.53, 1.82, 0.08]),
            (RightShoulder, [-0.18, 1.45, 0.0]),
            (RightElbow, [-0.22, 1.17, 0.0]),
            (RightWrist, [-0.23, 0.95, 0.06]),
            (RightIndex, [-0.22, 0.86, 0.1]),
            (RightPinky, [-0.24, 0.86, 0.04]),
            (LeftHip, [0.09, 0.95, 0.0]),
            (LeftKnee, [0.1, 0.9, 0.42]),
            (LeftAnkle, [0.1, 0.5, 0.3]),
            (LeftHeel, [0.1, 0.43, 0.27]),
            (LeftFootIndex, [0.12, 0.43, 0.47]),
            (RightHip, [-0.09, 0.95, 0.0]),
            (RightKnee, [-0.1, 0.5, 0.02]),
            (RightAnkle, [-0.1, 0.09, 0.0]),
            (RightHeel, [-0.1, 0.03, -0.04]),
            (RightFootIndex, [-0.11, 0.03, 0.17]),
        ])
    }

    #[test]
    fn limbs_point_where_the_persons_point_whatever_the_models_axes_and_facing() {
        let wanted = waving();
        let twists = [
            Quat::IDENTITY,
            Quat::from_euler(bevy::math::EulerRot::XYZ, 0.4, -1.2, 2.0),
        ];
        for (twist, facing) in [(twists[0], 1.0), (twists[1], 1.0), (twists[0], -1.0)] {
            let Some(mut rig) = model(twist, facing) else {
                panic!("the model is whole")
            };
            let solution = rig.solve(&wanted, Vec3::new(0.0, 1.0, 0.0));
            let got = places(&rig, &solution);
            use Joint::*;
            for (from, to, a, b) in [
                (
                    HumanBone::LeftUpperArm,
                    HumanBone::LeftLowerArm,
                    LeftShoulder,
                    LeftElbow,
                ),
                (
                    HumanBone::LeftLowerArm,
                    HumanBone::LeftHand,
                    LeftElbow,
                    LeftWrist,
                ),
                (
                    HumanBone::RightUpperArm,
                    HumanBone::RightLowerArm,
                    RightShoulder,
                    RightElbow,
                ),
                (
                    HumanBone::LeftUpperLeg,
                    HumanBone::LeftLowerLeg,
                    LeftHip,
                    LeftKnee,
                ),
                (
                    HumanBone::LeftLowerLeg,
                    HumanBone::LeftFoot,
                    LeftKnee,
                    LeftAnkle,
                ),
                (
                    HumanBone::RightLowerLeg,
                    HumanBone::RightFoot,
                    RightKnee,
                    RightAnkle,
                ),
            ] {
                let (Some(p), Some(q)) = (wanted[a], wanted[b]) else {
                    panic!("{a:?}, {b:?}")
                };
                let wanted = (q.position - p.position).normalize();
                let found = (got[&to] - got[&from]).normalize();
                let off = found.angle_between(wanted).to_degrees();
                assert!(off < 1.0, "{to:?} is off by {off:.1}° (facing {facing})");
            }
            let joints = (got[&HumanBone::LeftUpperLeg] + got[&HumanBone::RightUpperLeg]) * 0.5;
            assert!(joints.distance(Vec3::new(0.0, 1.0, 0.0)) < 1e-4, "{joints}");
        }
    }

    #[test]
    fn standing_as_the_model_does_leaves_it_as_it_is() {
        let Some(mut rig) = model(Quat::from_rotation_x(0.7), 1.0) else {
            panic!("the model is whole")
        };
        use Joint::*;
        let t_pose = pose(&[
            (LeftShoulder, [0.2, 1.45, 0.0]),
            (LeftElbow, [0.5, 1.45, 0.0]),
            (LeftWrist, [0.75, 1.45, 0.0]),
            (RightShoulder, [-0.2, 1.45, 0.0]),
            (RightElbow, [-0.5, 1.45, 0.0]),
            (RightWrist, [-0.75, 1.45, 0.0]),
            (LeftHip, [0.1, 0.95, 0.0]),
            (LeftKnee, [0.1, 0.5, 0.0]),
            (LeftAnkle, [0.1, 0.08, 0.0]),
            (RightHip, [-0.1, 0.95, 0.0]),
            (RightKnee, [-0.1, 0.5, 0.0]),
            (RightAnkle, [-0.1, 0.08, 0.0]),
        ]);
        let solution = rig.solve(&t_pose, Vec3::new(0.0, 1.0, 0.0));
        for (node, rotation) in &solution.rotations {
            let off = rotation
                .angle_between(rig.skeleton().0.nodes[*node].local.rotation)
                .to_degrees();
            assert!(
                off < 0.5,
                "{} turns by {off:.2}°",
                rig.skeleton().0.nodes[*node].name
            );
        }
    }

    #[test]
    fn a_pose_without_a_body_moves_nothing_and_does_not_panic() {
        let Some(mut rig) = model(Quat::IDENTITY, 1.0) else {
            panic!("the model is whole")
        };
        assert!(rig.solve(&Pose3d::default(), Vec3::Y).rotations.is_empty());
        let same = Some(Joint3d {
            position: Vec3::ZERO,
            sigma: 0.1,
            origin: Origin::Predicted,
        });
        let mut collapsed = Pose3d::default();
        Joint::ALL.iter().for_each(|&joint| collapsed[joint] = same);
        assert!(
            rig.solve(&collapsed, Vec3::Y)
                .rotations
                .iter()
                .all(|(_, q)| q.is_finite())
        );
    }
}
