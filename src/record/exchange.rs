//! JSON files for other programs: 2D keypoints of a view, and 3D joints of one person in a camera's frame.
//!
//! Pixels with (0, 0) at the centre of the top-left one; metres in OpenCV's camera axes; joints by name, left and right
//! being the person's own.

use serde::Serialize;

use crate::pipeline::Capture;
use crate::skeleton::{Joint, JointSet};

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
            self.frames.push(JointsFrame {
                frame: capture.frame.number,
                joints: Joint::ALL
                    .iter()
                    .map(|&j| lifted.pose[j].map(|p| p.position.to_array()))
                    .collect(),
                root: lifted.root.to_array(),
            });
        }
    }
}
