//! The vocabulary of people: joints by name, sets of joints, poses in pictures and in space.
//!
//! Left and right are the person's own. See [`convert`] for every frame of reference in one table.

pub mod convert;

use std::ops::{Index, IndexMut};
use std::sync::LazyLock;

use bevy::math::{Vec2, Vec3};
use serde::{Deserialize, Serialize};

macro_rules! joints {
    ($($variant:ident $name:literal,)*) => {
        /// A named point of the body. Names follow BlazePose where it has one, Human3.6M elsewhere.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum Joint { $(#[doc = $name] $variant,)* }

        impl Joint {
            /// Every joint, in the order of its index.
            pub const ALL: &[Joint] = &[$(Joint::$variant,)*];
            /// How many joints there are.
            pub const COUNT: usize = Joint::ALL.len();

            /// The name used in model cards and files, such as `left_shoulder`.
            pub fn name(self) -> &'static str {
                match self { $(Joint::$variant => $name,)* }
            }
        }
    };
}

joints! {
    Nose "nose",
    LeftEyeInner "left_eye_inner", LeftEye "left_eye", LeftEyeOuter "left_eye_outer",
    RightEyeInner "right_eye_inner", RightEye "right_eye", RightEyeOuter "right_eye_outer",
    LeftEar "left_ear", RightEar "right_ear",
    MouthLeft "mouth_left", MouthRight "mouth_right",
    LeftShoulder "left_shoulder", RightShoulder "right_shoulder",
    LeftElbow "left_elbow", RightElbow "right_elbow",
    LeftWrist "left_wrist", RightWrist "right_wrist",
    LeftPinky "left_pinky", RightPinky "right_pinky",
    LeftIndex "left_index", RightIndex "right_index",
    LeftThumb "left_thumb", RightThumb "right_thumb",
    LeftHip "left_hip", RightHip "right_hip",
    LeftKnee "left_knee", RightKnee "right_knee",
    LeftAnkle "left_ankle", RightAnkle "right_ankle",
    LeftHeel "left_heel", RightHeel "right_heel",
    LeftFootIndex "left_foot_index", RightFootIndex "right_foot_index",
    Pelvis "pelvis", Spine "spine", Thorax "thorax", Neck "neck", Head "head",
}

impl Joint {
    /// The joint of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Joint> {
        Joint::ALL
            .iter()
            .copied()
            .find(|joint| joint.name() == name)
    }

    /// The same joint on the other side of the body; joints of the middle are their own mirror.
    pub fn mirror(self) -> Joint {
        static MIRRORS: LazyLock<Vec<Joint>> = LazyLock::new(|| {
            let mirror = |joint: &Joint| {
                let name = joint.name();
                let other = if name.contains("left") {
                    name.replace("left", "right")
                } else {
                    name.replace("right", "left")
                };
                Joint::from_name(&other).unwrap_or(*joint)
            };
            Joint::ALL.iter().map(mirror).collect()
        });
        MIRRORS[self as usize]
    }
}

/// Named lists of joints: the channel orders that networks use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JointSet {
    /// The 17 keypoints of COCO.
    Coco17,
    /// COCO's 17, heels, big toes, and the knuckles of index and little finger.
    Body25,
    /// BlazePose's 33 landmarks.
    Blazepose33,
    /// What the lifting network takes and gives: limbs, face, feet, knuckles.
    Lift23,
    /// Human3.6M's 17 joints.
    H36m17,
}

impl JointSet {
    /// The joints, in the set's order.
    pub fn joints(self) -> &'static [Joint] {
        use Joint::*;
        match self {
            JointSet::Coco17 => &Self::Body25.joints()[..17],
            JointSet::Body25 => &[
                Nose,
                LeftEye,
                RightEye,
                LeftEar,
                RightEar,
                LeftShoulder,
                RightShoulder,
                LeftElbow,
                RightElbow,
                LeftWrist,
                RightWrist,
                LeftHip,
                RightHip,
                LeftKnee,
                RightKnee,
                LeftAnkle,
                RightAnkle,
                LeftHeel,
                RightHeel,
                LeftFootIndex,
                RightFootIndex,
                LeftPinky,
                RightPinky,
                LeftIndex,
                RightIndex,
            ],
            JointSet::Blazepose33 => &Joint::ALL[..33],
            JointSet::Lift23 => &[
                Nose,
                LeftEar,
                RightEar,
                LeftShoulder,
                RightShoulder,
                LeftElbow,
                RightElbow,
                LeftWrist,
                RightWrist,
                LeftHip,
                RightHip,
                LeftKnee,
                RightKnee,
                LeftAnkle,
                RightAnkle,
                LeftHeel,
                RightHeel,
                LeftFootIndex,
                RightFootIndex,
                LeftPinky,
                RightPinky,
                LeftIndex,
                RightIndex,
            ],
            JointSet::H36m17 => &[
                Pelvis,
                RightHip,
                RightKnee,
                RightAnkle,
                LeftHip,
                LeftKnee,
                LeftAnkle,
                Spine,
                Thorax,
                Nose,
                Head,
                LeftShoulder,
                LeftElbow,
                LeftWrist,
                RightShoulder,
                RightElbow,
                RightWrist,
            ],
        }
    }
}

/// The lines that draw a person.
pub const BONES: &[(Joint, Joint)] = {
    use Joint::*;
    &[
        (LeftShoulder, RightShoulder),
        (LeftHip, RightHip),
        (LeftShoulder, LeftHip),
        (RightShoulder, RightHip),
        (LeftShoulder, LeftElbow),
        (LeftElbow, LeftWrist),
        (LeftWrist, LeftIndex),
        (LeftWrist, LeftPinky),
        (RightShoulder, RightElbow),
        (RightElbow, RightWrist),
        (RightWrist, RightIndex),
        (RightWrist, RightPinky),
        (LeftHip, LeftKnee),
        (LeftKnee, LeftAnkle),
        (LeftAnkle, LeftHeel),
        (LeftHeel, LeftFootIndex),
        (LeftAnkle, LeftFootIndex),
        (RightHip, RightKnee),
        (RightKnee, RightAnkle),
        (RightAnkle, RightHeel),
        (RightHeel, RightFootIndex),
        (RightAnkle, RightFootIndex),
        (Nose, LeftEye),
        (Nose, RightEye),
        (LeftEye, LeftEar),
        (RightEye, RightEar),
    ]
};

/// The left arm's joints. Networks exchange left and right of arms, of legs and of faces each as a whole.
pub const ARMS: &[Joint] = {
    use Joint::*;
    &[
        LeftShoulder,
        LeftElbow,
        LeftWrist,
        LeftPinky,
        LeftIndex,
        LeftThumb,
    ]
};
/// The left leg's joints.
pub const LEGS: &[Joint] = {
    use Joint::*;
    &[LeftHip, LeftKnee, LeftAnkle, LeftHeel, LeftFootIndex]
};
/// The face's left joints.
pub const FACE: &[Joint] = {
    use Joint::*;
    &[LeftEyeInner, LeftEye, LeftEyeOuter, LeftEar, MouthLeft]
};

/// Shoulders and hips.
pub const TORSO: [Joint; 4] = {
    use Joint::*;
    [LeftShoulder, RightShoulder, LeftHip, RightHip]
};

/// The side of the body that something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The person's left.
    Left,
    /// The person's right.
    Right,
    /// Neither, or from one to the other.
    Middle,
}

/// The side that a line between two joints belongs to.
pub fn side_of(a: Joint, b: Joint) -> Side {
    let both = |side: &str| a.name().contains(side) && b.name().contains(side);
    match (both("left"), both("right")) {
        (true, _) => Side::Left,
        (_, true) => Side::Right,
        _ => Side::Middle,
    }
}

/// How sure a network is: always finite and in 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confidence(f32);

impl Confidence {
    /// Nothing is known.
    pub const NONE: Confidence = Confidence(0.0);
    /// Certainty.
    pub const FULL: Confidence = Confidence(1.0);

    /// Clamps to 0..=1; what is not a number becomes 0.
    pub fn new(value: f32) -> Self {
        Confidence(if value.is_nan() {
            0.0
        } else {
            value.clamp(0.0, 1.0)
        })
    }

    /// The number.
    pub fn get(self) -> f32 {
        self.0
    }

    /// The lesser of two.
    pub fn least(self, other: Self) -> Self {
        Confidence(self.0.min(other.0))
    }
}

/// One value per joint.
#[derive(Clone, Debug, PartialEq)]
pub struct JointMap<T>([T; Joint::COUNT]);

impl<T: Default> Default for JointMap<T> {
    fn default() -> Self {
        JointMap(std::array::from_fn(|_| T::default()))
    }
}

impl<T> Index<Joint> for JointMap<T> {
    type Output = T;
    fn index(&self, joint: Joint) -> &T {
        &self.0[joint as usize]
    }
}

impl<T> IndexMut<Joint> for JointMap<T> {
    fn index_mut(&mut self, joint: Joint) -> &mut T {
        &mut self.0[joint as usize]
    }
}

impl<T> JointMap<T> {
    /// Exchanges some joints with those on the other side of the body.
    pub fn exchange(&mut self, joints: &[Joint]) {
        for &joint in joints {
            self.0.swap(joint as usize, joint.mirror() as usize);
        }
    }
}

impl<T> JointMap<Option<T>> {
    /// The joints that have a value.
    pub fn present(&self) -> impl Iterator<Item = (Joint, &T)> {
        Joint::ALL
            .iter()
            .filter_map(|&joint| self[joint].as_ref().map(|value| (joint, value)))
    }
}

/// A joint in a picture: pixels, (0, 0) being the centre of the top-left pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keypoint {
    /// Pixels, x right and y down.
    pub position: Vec2,
    /// How sure the network is.
    pub confidence: Confidence,
}

/// A person in a picture.
pub type Pose2d = JointMap<Option<Keypoint>>;

impl JointMap<Option<Keypoint>> {
    /// As it is in a mirror's picture, that many pixels wide: left is right.
    pub fn mirrored(&self, width: f32) -> Pose2d {
        let mut mirrored = Pose2d::default();
        for (joint, point) in self.present() {
            mirrored[joint.mirror()] = Some(Keypoint {
                position: Vec2::new(width - 1.0 - point.position.x, point.position.y),
                ..*point
            });
        }
        mirrored
    }
}

/// Where a joint's position in space comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Two views or more agree on it.
    Triangulated,
    /// Seen in one view; how far away it is follows from the body (by a network, or by its bones).
    Lifted,
    /// Not seen in this frame; the network's guess from the other joints and from time.
    Predicted,
}

/// A joint in space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Joint3d {
    /// Metres.
    pub position: Vec3,
    /// Expected error in metres (Laplace scale), as the network says.
    pub sigma: f32,
    /// Where it comes from.
    pub origin: Origin,
}

/// A person in space. The frame of reference is said where the pose is kept.
pub type Pose3d = JointMap<Option<Joint3d>>;

/// The middle of two joints of a pose.
pub fn between(pose: &Pose3d, a: Joint, b: Joint) -> Option<Vec3> {
    Some((pose[a]?.position + pose[b]?.position) * 0.5)
}

/// Joints that follow from two others.
const MIDDLE: [(Joint, Joint, Joint); 5] = {
    use Joint::*;
    [
        (Pelvis, LeftHip, RightHip),
        (Thorax, LeftShoulder, RightShoulder),
        (Head, LeftEar, RightEar),
        (Spine, Pelvis, Thorax),
        (Neck, Thorax, Head),
    ]
};

/// Whether a joint follows from others: those that [`derive_middle`] fills in.
pub fn is_middle(joint: Joint) -> bool {
    MIDDLE.iter().any(|(middle, ..)| *middle == joint)
}

/// Fills in the joints that follow from others: pelvis, thorax, neck, spine and head.
pub fn derive_middle(pose: &mut Pose3d) {
    for (joint, a, b) in MIDDLE {
        if let (Some(one), Some(two)) = (pose[a], pose[b]) {
            let mix = if joint == Joint::Neck { 0.35 } else { 0.5 };
            pose[joint] = Some(Joint3d {
                position: one.position.lerp(two.position, mix),
                sigma: one.sigma.max(two.sigma),
                origin: one.origin,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_mirrors_are_consistent() {
        for &joint in Joint::ALL {
            assert_eq!(Joint::from_name(joint.name()), Some(joint));
            assert_eq!(joint.mirror().mirror(), joint);
        }
        assert_eq!(Joint::LeftKnee.mirror(), Joint::RightKnee);
        assert_eq!(Joint::MouthLeft.mirror(), Joint::MouthRight);
        assert_eq!(Joint::Nose.mirror(), Joint::Nose);
    }

    #[test]
    fn sets_have_the_size_in_their_name_and_no_joint_twice() {
        for (set, size) in [
            (JointSet::Coco17, 17),
            (JointSet::Body25, 25),
            (JointSet::Blazepose33, 33),
            (JointSet::Lift23, 23),
            (JointSet::H36m17, 17),
        ] {
            let mut joints = set.joints().to_vec();
            joints.sort();
            joints.dedup();
            assert_eq!(joints.len(), size, "{set:?}");
        }
        assert_eq!(JointSet::Blazepose33.joints()[32], Joint::RightFootIndex);
    }

    #[test]
    fn confidence_is_always_a_probability() {
        assert_eq!(Confidence::new(f32::NAN).get(), 0.0);
        assert_eq!(Confidence::new(7.0).get(), 1.0);
    }

    #[test]
    fn middle_joints_follow_from_the_sides() {
        let mut pose = Pose3d::default();
        let at = |x, y| {
            Some(Joint3d {
                position: Vec3::new(x, y, 0.0),
                sigma: 0.1,
                origin: Origin::Lifted,
            })
        };
        (pose[Joint::LeftHip], pose[Joint::RightHip]) = (at(0.1, 0.0), at(-0.1, 0.0));
        (pose[Joint::LeftShoulder], pose[Joint::RightShoulder]) = (at(0.2, 0.5), at(-0.2, 0.5));
        derive_middle(&mut pose);
        assert_eq!(
            pose[Joint::Spine].map(|j| j.position),
            Some(Vec3::new(0.0, 0.25, 0.0))
        );
        assert!(pose[Joint::Head].is_none(), "no ears, no head");
    }
}
