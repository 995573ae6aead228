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
use super::side::{SIDES, Side};
use crate::skeleton::{Joint, Pose3d, between};

/// Hinges bent less than this (radians) do not say where their axis is.
const STRAIGHT: f32 = 0.12;
/// Hinges bent more than this say it alone.
const BENT: f32 = 0.4;
/// Hinges that seem to bend backwards are straight ones with noise, unless they are bent more than this: shoulders and hips
/// turn limbs far enough for that.
const CLEARLY_BENT: f32 = 0.9;
/// Hands and feet are turned as far as the network is sure of them: wholly where it expects to be off by less than the first (metres), not at
/// all by more than the second.
const SURE: (f32, f32) = (0.07, 0.11);
/// Feet whose toes are not further ahead (metres) do not say where they point.
const LEAST_FOOT: f32 = 0.02;
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
        let bend = cross.length().atan2(upper.dot(lower));
        let seen = cross.normalize_or_zero();
        let backwards = smoothstep(0.0, 0.3, -seen.dot(otherwise));
        // Folded flat, a limb shows its axis no better than stretched: a millimetre would turn it round.
        let folded = upper.dot(lower) < 0.0;
        let told = if folded {
            smoothstep(0.1, 0.3, cross.length())
        } else {
            1.0
        };
        let trust = told
            * smoothstep(STRAIGHT, BENT, bend)
            * (1.0 - backwards * (1.0 - smoothstep(BENT, CLEARLY_BENT, bend)));
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
        // Where a straight arm's axis is depends on where the arm is, not on how the model holds its own: from an arm that is held
        // out to the side it is carried anywhere but through the body.
        let outward = self.left * side.outward;
        let swing = Quat::from_rotation_arc(
            (chest * outward).normalize_or(Vec3::Y),
            upper.normalize_or(Vec3::Y),
        );
        let carried = (swing * (chest * outward.cross(self.ahead))).normalize_or(Vec3::Y);
        let axis = self.hinge(side.upper_arm, upper, lower, carried);
        let Some(upper_turn) = turn((upper, axis), (rest_upper, rest_axis)) else {
            return;
        };
        let Some(mut lower_turn) = turn((lower, axis), (rest_lower, rest_lower.cross(self.ahead)))
        else {
            return;
        };
        let sure = sureness(pose, [side.index, side.pinky]);
        let mut hand_turn = lower_turn;
        if let (Some(index), Some(pinky)) = (at(side.index), at(side.pinky)) {
            // With palms down the index finger lies ahead of the little one.
            let reach = (index + pinky) * 0.5 - wrist;
            if let Some(hand) = turn((reach, index - pinky), (rest_lower, self.ahead)) {
                let twist = twist_about(hand * lower_turn.inverse(), lower.normalize_or(Vec3::Y));
                // Forearm bones carry half of the hand's roll: wrists themselves do not roll.
                lower_turn = Quat::IDENTITY.slerp(twist, 0.5 * sure) * lower_turn;
                hand_turn = lower_turn.slerp(hand, 0.8 * sure);
            }
        }
        turns.insert(side.hand, hand_turn);
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
        let sure = sureness(pose, [side.toe, side.heel]);
        // Knees bend about the line from right to left; of a straight leg the foot says where that is.
        let from_foot = foot
            .map(|foot| foot.cross(upper))
            .and_then(Vec3::try_normalize);
        let from_pelvis = pelvis * self.left;
        let otherwise = from_foot
            .filter(|axis| axis.dot(from_pelvis) > 0.0)
            .map_or(from_pelvis, |axis| {
                (axis * sure + from_pelvis).normalize_or(from_pelvis)
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
        // Many models stand with their feet turned out.
        let rest_toes = self.rest(side.toes).zip(rest_ankle);
        let rest_foot = rest_toes
            .map(|(toes, ankle)| (toes - ankle).with_y(0.0))
            .filter(|foot| foot.dot(self.ahead) > LEAST_FOOT)
            .unwrap_or(self.ahead);
        let foot_turn = foot.and_then(|foot| turn((foot, axis), (rest_foot, self.left)));
        let foot_turn = foot_turn.map_or(lower_turn, |turn| lower_turn.slerp(turn, sure));
        turns.insert(side.foot, foot_turn);
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

    /// Forgets the poses before: the next one is the first.
    pub fn forget(&mut self) {
        self.memory.clear();
    }

    /// How high the model's hips stand above its origin at rest, in metres.
    pub fn hips_height(&self) -> f32 {
        self.hips_height
    }
}

/// How far joints are to be believed, from 0 to 1: as far as the least sure one.
fn sureness(pose: &Pose3d, joints: [Joint; 2]) -> f32 {
    let of = |joint: Joint| pose[joint].map_or(0.0, |p| 1.0 - smoothstep(SURE.0, SURE.1, p.sigma));
    of(joints[0]).min(of(joints[1]))
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

#[cfg(test)]
pub(crate) mod tests;
