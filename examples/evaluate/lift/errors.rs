//! How far poses are from the truth, as the field measures it.

use std::collections::BTreeMap;

use bevy::math::Vec3;
use bevy_pose_capture::skeleton::{Joint, Pose3d, between};
use nalgebra::{Matrix3, Vector3};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::Pair;

/// The joints that are scored: those that every skeleton places alike.
const LIMBS: [Joint; 12] = [
    Joint::LeftShoulder,
    Joint::RightShoulder,
    Joint::LeftElbow,
    Joint::RightElbow,
    Joint::LeftWrist,
    Joint::RightWrist,
    Joint::LeftHip,
    Joint::RightHip,
    Joint::LeftKnee,
    Joint::RightKnee,
    Joint::LeftAnkle,
    Joint::RightAnkle,
];

type Places = [Vec3; LIMBS.len()];

/// Sums of errors over frames.
#[derive(Clone, Debug, Default)]
pub struct Errors {
    /// Frames that were scored.
    pub frames: usize,
    joints: [f64; LIMBS.len()],
    scaled: f64,
    aligned: f64,
    velocity: f64,
    steps: usize,
    root: f64,
}

/// The errors of many clips.
#[derive(Debug, Default, Serialize)]
pub struct Tally {
    /// Of all of them.
    pub all: Errors,
    /// By what is done.
    pub activities: BTreeMap<String, Errors>,
    /// Frames that could not be scored: too little was seen, or the truth does not have all of the joints.
    pub lost: usize,
}

impl Tally {
    /// Scores a clip, frame after frame.
    pub fn take(&mut self, activity: &str, clip: &[Option<Pair>]) {
        let own = self.activities.entry(activity.to_owned()).or_default();
        let frames: Vec<Option<Limbs>> =
            clip.iter().map(|pair| Limbs::of(pair.as_ref()?)).collect();
        for errors in [&mut self.all, own] {
            let mut last = None;
            for now in &frames {
                if let Some(now) = now {
                    errors.take(now, last);
                }
                last = now.as_ref();
            }
        }
        self.lost += frames.iter().filter(|frame| frame.is_none()).count();
    }
}

/// The scored joints about mid hips, as found and as they are, and how far off the hips are, as a part of their distance.
struct Limbs {
    found: Places,
    truth: Places,
    root: f32,
}

impl Limbs {
    fn of(pair: &Pair) -> Option<Limbs> {
        let about_hips = |pose: &Pose3d| {
            let hips = between(pose, Joint::LeftHip, Joint::RightHip)?;
            let mut places = [Vec3::ZERO; LIMBS.len()];
            for (place, joint) in places.iter_mut().zip(LIMBS) {
                *place = pose[joint]?.position - hips;
            }
            Some((hips, places))
        };
        let (found_hips, found) = about_hips(&pair.found)?;
        let (hips, truth) = about_hips(&pair.truth)?;
        Some(Limbs {
            found,
            truth,
            root: found_hips.distance(hips) / hips.length().max(1e-3),
        })
    }
}

fn mean_distance(a: &[Vec3], b: &[Vec3]) -> f64 {
    let sum: f32 = a.iter().zip(b).map(|(a, b)| a.distance(*b)).sum();
    f64::from(sum) / a.len().max(1) as f64
}

impl Errors {
    fn take(&mut self, now: &Limbs, last: Option<&Limbs>) {
        self.frames += 1;
        for (sum, (found, truth)) in self.joints.iter_mut().zip(now.found.iter().zip(&now.truth)) {
            *sum += f64::from(found.distance(*truth));
        }
        let dot = |a: &[Vec3], b: &[Vec3]| a.iter().zip(b).map(|(a, b)| a.dot(*b)).sum::<f32>();
        let scale = dot(&now.found, &now.truth) / dot(&now.found, &now.found).max(1e-9);
        self.scaled += mean_distance(&now.found.map(|place| place * scale), &now.truth);
        self.aligned += mean_distance(&aligned(&now.found, &now.truth), &now.truth);
        self.root += f64::from(now.root);
        if let Some(last) = last {
            let moved = |now: &Places, last: &Places| {
                std::array::from_fn::<Vec3, { LIMBS.len() }, _>(|n| now[n] - last[n])
            };
            self.velocity += mean_distance(
                &moved(&now.found, &last.found),
                &moved(&now.truth, &last.truth),
            );
            self.steps += 1;
        }
    }

    fn per_frame(&self, sum: f64) -> f64 {
        1e3 * sum / self.frames.max(1) as f64
    }

    /// Mean distance of joints about mid hips, in mm.
    pub fn mpjpe(&self) -> f64 {
        self.per_frame(self.joints.iter().sum::<f64>() / LIMBS.len() as f64)
    }

    /// The same after the best scale of each frame.
    pub fn n_mpjpe(&self) -> f64 {
        self.per_frame(self.scaled)
    }

    /// The same after the best similarity of each frame, which is found from these joints alone.
    pub fn p_mpjpe(&self) -> f64 {
        self.per_frame(self.aligned)
    }

    /// Mean error of how far joints move from frame to frame, in mm.
    pub fn velocity(&self) -> f64 {
        1e3 * self.velocity / self.steps.max(1) as f64
    }

    /// Mean error of the hips in the camera frame, in percent of their distance.
    pub fn root(&self) -> f64 {
        self.per_frame(self.root) / 10.0
    }

    /// Mean error of each joint, in mm.
    pub fn joints(&self) -> impl Iterator<Item = (Joint, f64)> {
        LIMBS
            .into_iter()
            .zip(self.joints.map(|sum| self.per_frame(sum)))
    }
}

impl Serialize for Errors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("frames", &self.frames)?;
        map.serialize_entry("mpjpe_mm", &self.mpjpe())?;
        map.serialize_entry("n_mpjpe_mm", &self.n_mpjpe())?;
        map.serialize_entry("p_mpjpe_mm", &self.p_mpjpe())?;
        map.serialize_entry("velocity_mm_per_frame", &self.velocity())?;
        map.serialize_entry("root_percent", &self.root())?;
        let joints: BTreeMap<&str, f64> =
            self.joints().map(|(j, error)| (j.name(), error)).collect();
        map.serialize_entry("joints_mm", &joints)?;
        map.end()
    }
}

/// Points moved onto others by the similarity that fits best (Umeyama 1991), without reflection.
fn aligned(points: &Places, onto: &Places) -> Places {
    let middle = |points: &[Vec3]| points.iter().sum::<Vec3>() / points.len() as f32;
    let (from, to) = (middle(points), middle(onto));
    let vector = |v: Vec3| Vector3::from(v.as_dvec3().to_array());
    let mut covariance = Matrix3::<f64>::zeros();
    let mut spread = 0.0;
    for (a, b) in points.iter().zip(onto) {
        let (a, b) = (vector(*a - from), vector(*b - to));
        covariance += b * a.transpose();
        spread += a.norm_squared();
    }
    let svd = covariance.svd(true, true);
    let (Some(u), Some(v)) = (svd.u, svd.v_t) else {
        return *points;
    };
    let mut signs = Vector3::repeat(1.0);
    signs[2] = (u * v).determinant().signum();
    let rotation = u * Matrix3::from_diagonal(&signs) * v;
    let scale = svd.singular_values.dot(&signs) / spread.max(1e-12);
    points.map(|point| {
        let moved = rotation * vector(point - from) * scale;
        to + Vec3::new(moved.x as f32, moved.y as f32, moved.z as f32)
    })
}

#[cfg(test)]
mod tests {
    use bevy::math::Quat;
    use bevy_pose_capture::skeleton::{Joint3d, Origin};

    use super::*;

    fn pose(moved: impl Fn(Vec3) -> Vec3) -> Pose3d {
        let mut pose = Pose3d::default();
        for (n, joint) in (0..).map(|n| n as f32).zip(LIMBS) {
            let place = Vec3::new((n * 1.3).sin(), (n * 0.7).cos(), (n * 2.1).sin());
            pose[joint] = Some(Joint3d {
                position: moved(place + Vec3::Z * 4.0),
                sigma: 0.0,
                origin: Origin::Lifted,
            });
        }
        pose
    }

    fn errors(moved: impl Fn(Vec3) -> Vec3) -> Errors {
        let mut tally = Tally::default();
        let clip = [Some(Pair {
            truth: pose(|place| place),
            found: pose(moved),
        })];
        tally.take("standing", &clip);
        tally.all
    }

    #[test]
    fn each_error_forgives_what_it_should_and_no_more() {
        let place = errors(|place| place + Vec3::X);
        // Its hips are 4.49 m away.
        assert!(place.mpjpe() < 0.1 && (place.root() - 100.0 / 4.49).abs() < 0.1);
        let size = errors(|place| place * 1.2);
        assert!(size.mpjpe() > 50.0 && size.n_mpjpe() < 0.1);
        let turned = errors(|place| Quat::from_rotation_y(0.5) * place * 0.8 + Vec3::Y);
        assert!(turned.n_mpjpe() > 50.0 && turned.p_mpjpe() < 0.1);
        let mirrored = errors(|place| place * Vec3::new(-1.0, 1.0, 1.0));
        assert!(
            mirrored.p_mpjpe() > 50.0,
            "a mirrored person is another one"
        );
    }

    #[test]
    fn velocity_is_of_frames_on_end() {
        let mut tally = Tally::default();
        let at = |x: f32| {
            Some(Pair {
                truth: pose(|place| place),
                // Hips stay, all else moves.
                found: pose(|place| place + Vec3::X * x * place.y.abs()),
            })
        };
        tally.take("moving", &[at(0.0), None, at(1.0)]);
        assert_eq!((tally.all.velocity(), tally.lost), (0.0, 1));
        tally.take("moving", &[at(0.0), at(1.0)]);
        assert!(tally.all.velocity() > 50.0);
    }
}
