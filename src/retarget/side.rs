//! Joints of a person and bones of a model, side by side.

use super::humanoid::HumanBone::{self, *};
use crate::skeleton::Joint;

/// Joints and bones of one side.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub shoulder: Joint,
    pub elbow: Joint,
    pub wrist: Joint,
    pub index: Joint,
    pub pinky: Joint,
    pub hip: Joint,
    pub knee: Joint,
    pub ankle: Joint,
    pub heel: Joint,
    pub toe: Joint,
    pub collar: HumanBone,
    pub upper_arm: HumanBone,
    pub lower_arm: HumanBone,
    pub hand: HumanBone,
    pub upper_leg: HumanBone,
    pub lower_leg: HumanBone,
    pub foot: HumanBone,
    pub toes: HumanBone,
    /// Which way is away from the body along the way to the left.
    pub outward: f32,
}

/// Left and right.
pub(super) const SIDES: [Side; 2] = [
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
        toes: LeftToes,
        outward: 1.0,
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
        toes: RightToes,
        outward: -1.0,
    },
];
