//! Motions, the virtual webcams before which they happen, and what a 2D network would say of them.

use std::path::Path;

use bevy::math::{DMat3, DVec3, FloatExt, Vec2, Vec3};
use bevy_pose_capture::camera::{Extrinsics, Intrinsics};
use bevy_pose_capture::skeleton::{
    Confidence, Joint, Joint3d, JointSet, Keypoint, Origin, Pose2d, Pose3d,
};
use bevy_pose_capture::source::synthetic::Random;
use serde::Deserialize;

use crate::AnyError;

/// Size of the pictures.
const SIZE: (u32, u32) = (640, 480);
/// Frames for which a joint that hides stays hidden.
const SPELL: usize = 15;
/// Frames for which errors stay partly as they are: `MOMENT` of `posetrain.views`.
const MOMENT: usize = 9;

/// Of the length of a vector of two unit normals.
const RAYLEIGH_MEDIAN: f64 = 1.177;

/// A file of `python -m posetrain.held`: joints in metres, Y up.
#[derive(Deserialize)]
pub struct Motions {
    /// Frames a second.
    pub rate: f64,
    joint_names: Vec<Joint>,
    /// The motions.
    pub clips: Vec<Clip>,
}

/// One motion.
#[derive(Deserialize)]
pub struct Clip {
    /// What is done.
    pub activity: String,
    joints: Vec<Vec<Option<[f64; 3]>>>,
}

impl Motions {
    /// That every frame has a place for every joint of the lifters.
    pub fn check(&self, file: &Path) -> Result<(), AnyError> {
        let file = file.display();
        if self.joint_names != JointSet::Lift23.joints() {
            return Err(format!(
                "{file} is not of the lifters' joints: write it with `python -m posetrain.held`"
            )
            .into());
        }
        let wanted = self.joint_names.len();
        let frames = self.clips.iter().flat_map(|clip| &clip.joints);
        if self.rate.is_nan()
            || self.rate <= 0.0
            || frames.clone().any(|frame| frame.len() != wanted)
        {
            return Err(format!(
                "each frame of {file} needs {wanted} joints, and its rate must be above 0"
            )
            .into());
        }
        Ok(())
    }
}

/// A motion before a webcam.
pub struct Shot {
    /// Its lens.
    pub camera: Intrinsics,
    /// Up in its frame, of length 1.
    pub up: Vec3,
    /// The joints in the camera frame, in metres.
    pub frames: Vec<Pose3d>,
}

impl Shot {
    /// Puts a webcam somewhere about the motion: where most of it is in the picture.
    pub fn of(clip: &Clip, seed: u64) -> Shot {
        let mut random = Random::new(1000 + seed);
        let mut best = Shot::random(clip, &mut random);
        for _ in 1..20 {
            if best.shown() > 0.8 {
                break;
            }
            let next = Shot::random(clip, &mut random);
            if next.shown() > best.shown() {
                best = next;
            }
        }
        best
    }

    fn random(clip: &Clip, random: &mut Random) -> Shot {
        let wide = 40.0_f64.lerp(100.0, random.uniform()).to_radians();
        let camera = Intrinsics::from_field_of_view(SIZE.0, SIZE.1, wide);
        let middle = clip
            .joints
            .get(clip.joints.len() / 2)
            .map_or(DVec3::Y, |frame| mean(frame));
        let yaw = 0.0_f64.lerp(std::f64::consts::TAU, random.uniform());
        let distance = 1.0_f64.lerp(8.0, random.uniform());
        let mut eye = middle + DVec3::new(yaw.sin(), 0.0, yaw.cos()) * distance;
        eye.y = 0.5_f64.lerp(2.5, random.uniform());
        let aside = DVec3::new(random.normal(), random.normal(), random.normal());
        let mut extrinsics =
            Extrinsics::looking_at(eye, middle + aside * 0.05 * distance, DVec3::Y);
        let roll = DMat3::from_rotation_z((-10.0_f64).lerp(10.0, random.uniform()).to_radians());
        extrinsics.rotation = roll * extrinsics.rotation;
        extrinsics.translation = roll * extrinsics.translation;
        let place = |frame: &Vec<Option<[f64; 3]>>| {
            let mut pose = Pose3d::default();
            for (&joint, point) in JointSet::Lift23.joints().iter().zip(frame) {
                pose[joint] = point.map(|point| Joint3d {
                    position: extrinsics
                        .camera_from_world(DVec3::from_array(point))
                        .as_vec3(),
                    sigma: 0.0,
                    origin: Origin::Triangulated,
                });
            }
            pose
        };
        Shot {
            camera,
            up: (extrinsics.rotation * DVec3::Y).as_vec3(),
            frames: clip.joints.iter().map(place).collect(),
        }
    }

    /// Where the camera shows a joint, if it does.
    fn pixel(&self, pose: &Pose3d, joint: Joint) -> Option<Vec2> {
        let pixel = self.anywhere(pose, joint)?;
        let inside =
            pixel.cmpge(Vec2::ZERO).all() && pixel.x < SIZE.0 as f32 && pixel.y < SIZE.1 as f32;
        inside.then_some(pixel)
    }

    /// The same in a picture without edges.
    fn anywhere(&self, pose: &Pose3d, joint: Joint) -> Option<Vec2> {
        let place = pose[joint]?.position.as_dvec3();
        Some(self.camera.project(place)?.as_vec2())
    }

    /// Along somebody's trunk in the picture, from the hips up, and across it; of length 1.
    fn trunk(&self, pose: &Pose3d) -> [Vec2; 2] {
        let middle =
            |left, right| Some((self.anywhere(pose, left)? + self.anywhere(pose, right)?) / 2.0);
        let along = middle(Joint::LeftShoulder, Joint::RightShoulder)
            .zip(middle(Joint::LeftHip, Joint::RightHip))
            .and_then(|(shoulders, hips)| (shoulders - hips).try_normalize())
            .unwrap_or(Vec2::NEG_Y);
        [along, Vec2::new(along.y, -along.x)]
    }

    /// The share of the joints that are in the picture.
    fn shown(&self) -> f64 {
        let (mut all, mut shown) = (0, 0);
        for pose in &self.frames {
            for (joint, _) in pose.present() {
                all += 1;
                shown += usize::from(self.pixel(pose, joint).is_some());
            }
        }
        f64::from(shown as u32) / f64::from(all.max(1))
    }
}

fn mean(frame: &[Option<[f64; 3]>]) -> DVec3 {
    let points: Vec<DVec3> = frame.iter().flatten().map(|&point| point.into()).collect();
    points.iter().sum::<DVec3>() / points.len().max(1) as f64
}

/// How a detector errs: a file of `python -m posetrain.errors`, which tells what the numbers are.
#[derive(Clone, Deserialize)]
pub struct Noise {
    median: [f64; 2],
    tail: f64,
    lasting: [f64; 2],
    along: Vec<Vec<f64>>,
    across: Vec<Vec<f64>>,
    joints: Vec<f64>,
    person: f64,
    rest: f64,
}

impl Noise {
    /// That there is a number for each joint and each two of them, and that the parts of an error are not more than the whole.
    pub fn check(&self, file: &Path) -> Result<(), AnyError> {
        let [always, awhile] = self.lasting;
        let count = JointSet::Lift23.joints().len();
        let is_triangle = |rows: &[Vec<f64>]| {
            rows.len() == count && rows.iter().enumerate().all(|(n, row)| row.len() == n + 1)
        };
        let wrong = if self.joints.len() != count {
            "is not of the lifters' joints"
        } else if !is_triangle(&self.along) || !is_triangle(&self.across) {
            "does not tell how errors of the lifters' joints go together"
        } else if !(always >= 0.0 && awhile >= 0.0 && always + awhile <= 1.0) {
            "has shares of errors, `lasting`, that are not shares"
        } else {
            return Ok(());
        };
        let name = file.display();
        Err(format!("{name} {wrong}: write it with `python -m posetrain.errors`").into())
    }
}

/// What a 2D network says of a shot.
pub struct Seen {
    /// Frame after frame.
    pub poses: Vec<Pose2d>,
}

/// A number that is partly the same all along, partly for a while, and partly new in each frame.
struct Wander {
    shares: [f64; 3],
    always: f64,
    lately: f64,
    moment: usize,
}

impl Wander {
    /// Of the variance, `lasting` is what stays and what stays for a while.
    fn new([always, awhile]: [f64; 2], random: &mut Random) -> Wander {
        Wander {
            shares: [always, awhile, 1.0 - always - awhile].map(|share| share.max(0.0).sqrt()),
            always: random.normal(),
            lately: random.normal(),
            moment: 0,
        }
    }

    fn next(&mut self, frame: usize, random: &mut Random) -> f64 {
        if frame / MOMENT != self.moment {
            (self.moment, self.lately) = (frame / MOMENT, random.normal());
        }
        let [always, awhile, now] = self.shares;
        always * self.always + awhile * self.lately + now * random.normal()
    }
}

impl Seen {
    /// Looks at a shot, `hidden` being the share of joints that are not seen.
    pub fn of(shot: &Shot, noise: Option<&Noise>, hidden: f64, seed: u64) -> Seen {
        let mut random = Random::new(5000 + seed);
        let mut poses = vec![Pose2d::default(); shot.frames.len()];
        let sure = random.normal();
        let lasting = noise.map_or([0.0; 2], |noise| noise.lasting);
        let joints = JointSet::Lift23.joints();
        // Errors of size 1 of joints that err by themselves, along the trunk and across it, joint by joint and frame after frame.
        let by_themselves: [Vec<Vec<f64>>; 2] = std::array::from_fn(|_| {
            let wander = |_: &Joint| {
                let mut wander = Wander::new(lasting, &mut random);
                (0..poses.len())
                    .map(|frame| wander.next(frame, &mut random))
                    .collect()
            };
            joints.iter().map(wander).collect()
        });
        let sizes: Vec<f64> = shot.frames.iter().map(|pose| spread(shot, pose)).collect();
        let trunks: Vec<[Vec2; 2]> = shot.frames.iter().map(|pose| shot.trunk(pose)).collect();
        let together = |rows: &[Vec<f64>], axis: usize, joint: usize, frame: usize| -> f64 {
            let of_each = rows[joint].iter().zip(&by_themselves[axis]);
            of_each.map(|(weight, wander)| weight * wander[frame]).sum()
        };
        for (number, &joint) in joints.iter().enumerate() {
            let [mut logit, mut size] = std::array::from_fn(|_| Wander::new(lasting, &mut random));
            let mut away = false;
            for (frame, (pose, truth)) in poses.iter_mut().zip(&shot.frames).enumerate() {
                if (frame + number).is_multiple_of(SPELL) || frame == 0 {
                    away = random.uniform() < hidden;
                }
                let Some(mut position) = shot.pixel(truth, joint).filter(|_| !away) else {
                    continue;
                };
                let mut confidence = 1.0;
                if let Some(noise) = noise {
                    let [a, b] = noise.median;
                    let logit = noise.joints[number]
                        + noise.person * sure
                        + noise.rest * logit.next(frame, &mut random);
                    confidence = 1.0 / (1.0 + (-logit).exp());
                    let median = (a + b * logit + noise.tail * size.next(frame, &mut random)).exp();
                    let off = (median.min(3.0) / RAYLEIGH_MEDIAN * sizes[frame]) as f32;
                    let [along, across] = trunks[frame];
                    position += off
                        * (along * together(&noise.along, 0, number, frame) as f32
                            + across * together(&noise.across, 1, number, frame) as f32);
                }
                pose[joint] = Some(Keypoint {
                    position,
                    confidence: Confidence::new(confidence as f32),
                });
            }
        }
        Seen { poses }
    }
}

/// How large a person is in the picture: the root mean square distance of their joints there from their middle, in pixels.
fn spread(shot: &Shot, pose: &Pose3d) -> f64 {
    let joints = pose.present().map(|(joint, _)| joint);
    let pixels: Vec<Vec2> = joints.filter_map(|joint| shot.pixel(pose, joint)).collect();
    let count = pixels.len().max(1) as f32;
    let middle = pixels.iter().sum::<Vec2>() / count;
    let squares: f32 = pixels.iter().map(|p| p.distance_squared(middle)).sum();
    f64::from((squares / count).sqrt())
}
