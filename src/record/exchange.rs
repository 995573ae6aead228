//! JSON files for other programs: 2D keypoints of a view, and 3D joints of one person in a camera's frame.
//!
//! Pixels with (0, 0) at the centre of the top-left one; metres in OpenCV's camera axes; joints by name, left and right
//! being the person's own.

use bevy::math::DMat3;
use serde::Serialize;

use crate::lift::lifter::Lifted;
use crate::multiview::RoomPerson;
use crate::pipeline::Capture;
use crate::room::RoomCapture;
use crate::skeleton::{Joint, JointSet};

/// The joint that a keypoint of another program's name is: `r_shoulder`, `RShoulder`, `right_shoulder`; `big_toe`, `mid_hip`,
/// `neck` (which keypoint networks mark between the shoulders). `None` for points that are no joint of ours.
pub fn keypoint_named(name: &str) -> Option<Joint> {
    let flat: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let spelled = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let flat = flat.to_lowercase();
    match flat.as_str() {
        "neck" => return Some(Joint::Thorax),
        "midhip" | "pelvis" | "root" => return Some(Joint::Pelvis),
        "nose" => return Some(Joint::Nose),
        _ => {}
    }
    if let Some(joint) = Joint::from_name(&spelled.to_lowercase()) {
        return Some(joint);
    }
    let (side, part) = [
        ("left", "left"),
        ("right", "right"),
        ("l", "left"),
        ("r", "right"),
    ]
    .iter()
    .find_map(|(prefix, side)| Some((*side, flat.strip_prefix(prefix)?)))?;
    let part = match part {
        "bigtoe" => "foot_index",
        "eye" | "ear" | "shoulder" | "elbow" | "wrist" | "hip" | "knee" | "ankle" | "heel" => part,
        _ => return None,
    };
    Joint::from_name(&format!("{side}_{part}"))
}

/// All keypoints of one view.
#[derive(Clone, Debug, Serialize)]
pub struct KeypointsFile {
    camera: String,
    width: u32,
    height: u32,
    fps: f64,
    #[serde(rename = "K")]
    k: Option<[[f64; 3]; 3]>,
    joint_names: Vec<&'static str>,
    frames: Vec<KeypointsFrame>,
}

#[derive(Clone, Debug, Serialize)]
struct KeypointsFrame {
    frame: u64,
    time: f64,
    /// The direction opposite to gravity in the camera's axes, where the room told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    up: Option<[f32; 3]>,
    people: Vec<KeypointsPerson>,
}

#[derive(Clone, Debug, Serialize)]
struct KeypointsPerson {
    id: u32,
    keypoints: Vec<Option<[f32; 3]>>,
}

impl KeypointsFile {
    /// An empty file for a view of that name and rate.
    pub fn new(camera: &str, fps: f64) -> Self {
        let joint_names = JointSet::Blazepose33
            .joints()
            .iter()
            .map(|joint| joint.name())
            .collect();
        KeypointsFile {
            camera: camera.into(),
            width: 0,
            height: 0,
            fps,
            k: None,
            joint_names,
            frames: Vec::new(),
        }
    }

    /// Adds a frame.
    pub fn push(&mut self, capture: &Capture) {
        let camera = &capture.camera;
        (self.width, self.height) = (camera.width, camera.height);
        self.k = Some([
            [camera.focal.x, 0.0, camera.principal.x],
            [0.0, camera.focal.y, camera.principal.y],
            [0.0, 0.0, 1.0],
        ]);
        let people = capture.people.iter().map(|person| KeypointsPerson {
            id: person.seen.id,
            keypoints: JointSet::Blazepose33
                .joints()
                .iter()
                .map(|&joint| {
                    person.seen.pose[joint]
                        .map(|p| [p.position.x, p.position.y, p.confidence.get()])
                })
                .collect(),
        });
        self.frames.push(KeypointsFrame {
            frame: capture.frame.number,
            time: capture.frame.time,
            up: capture.up.map(|up| up.to_array()),
            people: people.collect(),
        });
    }
}

/// One person in space, in the frame of the camera that saw them.
#[derive(Clone, Debug, Serialize)]
pub struct JointsFile {
    camera: String,
    joint_names: Vec<&'static str>,
    absolute: bool,
    frames: Vec<JointsFrame>,
}

#[derive(Clone, Debug, Serialize)]
struct JointsFrame {
    frame: u64,
    joints: Vec<Option<[f32; 3]>>,
    root: [f32; 3],
}

impl JointsFile {
    /// An empty file for a view of that name.
    pub fn new(camera: &str) -> Self {
        let joint_names = Joint::ALL.iter().map(|joint| joint.name()).collect();
        JointsFile {
            camera: camera.into(),
            joint_names,
            absolute: true,
            frames: Vec::new(),
        }
    }

    /// Adds a frame of the person who has one of those numbers, if they are in it.
    pub fn push(&mut self, capture: &Capture, ids: &[u32]) {
        let mut people = capture.people.iter();
        let person = people.find(|person| ids.contains(&person.seen.id));
        if let Some(lifted) = person.and_then(|person| person.lifted.as_ref()) {
            self.push_lifted(capture.frame.number, lifted);
        }
    }

    /// Adds the person as they are in a frame.
    pub fn push_lifted(&mut self, frame: u64, lifted: &Lifted) {
        self.frames.push(JointsFrame {
            frame,
            joints: Joint::ALL
                .iter()
                .map(|&j| lifted.pose[j].map(|p| p.position.to_array()))
                .collect(),
            root: lifted.root.to_array(),
        });
    }
}

/// Several people in space, in the world of a calibration.
#[derive(Clone, Debug, Serialize)]
pub struct PeopleFile {
    joint_names: Vec<&'static str>,
    frames: Vec<PeopleFrame>,
    #[serde(skip)]
    file_from_bevy: DMat3,
}

#[derive(Clone, Debug, Serialize)]
struct PeopleFrame {
    frame: u64,
    time: f64,
    people: Vec<PersonInSpace>,
}

#[derive(Clone, Debug, Serialize)]
struct PersonInSpace {
    id: u32,
    joints: Vec<Option<[f64; 3]>>,
}

impl PeopleFile {
    /// An empty file, for the world that `bevy_from_file` turns into Bevy's.
    pub fn new(bevy_from_file: DMat3) -> Self {
        PeopleFile {
            joint_names: JointSet::Blazepose33
                .joints()
                .iter()
                .map(|joint| joint.name())
                .collect(),
            frames: Vec::new(),
            file_from_bevy: bevy_from_file.transpose(),
        }
    }

    /// Adds a moment.
    pub fn push(&mut self, capture: &RoomCapture) {
        let place = |person: &RoomPerson, joint: Joint| {
            let found = person.joints[joint]?;
            Some((self.file_from_bevy * found.position).to_array())
        };
        let people = capture.people.iter().map(|person| PersonInSpace {
            id: person.id,
            joints: JointSet::Blazepose33
                .joints()
                .iter()
                .map(|&joint| place(person, joint))
                .collect(),
        });
        self.frames.push(PeopleFrame {
            frame: self.frames.len() as u64,
            time: capture.time,
            people: people.collect(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keypoints_are_known_by_the_names_that_programs_give_them() {
        for (name, joint) in [
            ("r_shoulder", Some(Joint::RightShoulder)),
            ("LKnee", Some(Joint::LeftKnee)),
            ("left_foot_index", Some(Joint::LeftFootIndex)),
            ("l_big_toe", Some(Joint::LeftFootIndex)),
            ("l_small_toe", None),
            ("MidHip", Some(Joint::Pelvis)),
            ("neck", Some(Joint::Thorax)),
            ("background", None),
        ] {
            assert_eq!(keypoint_named(name), joint, "{name}");
        }
    }
}
