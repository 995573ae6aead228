//! How many joints are found, and how far confidences can be believed: the protocol of `shared/eval/keypoints/score_pck.py`.

use bevy::math::Vec2;
use bevy_pose_capture::record::exchange::keypoint_named;
use bevy_pose_capture::skeleton::{Confidence, Joint, Keypoint, Pose2d};

use super::FoundPerson;
use super::labels::LabelledPerson;

/// People with fewer labelled joints than this are not scored.
const LEAST_JOINTS: usize = 5;
/// A person is found when the mean distance of their joints is less than this part of their size.
const FOUND: f32 = 0.5;
/// Bins of confidence.
pub const BINS: usize = 10;

/// Counts over people.
#[derive(Clone, Debug, Default)]
pub struct Score {
    people: usize,
    found: usize,
    joints: usize,
    within_fifth: usize,
    within_tenth: usize,
    pairs: usize,
    exchanged: usize,
    /// Of each bin of confidence: how many joints, the sum of their confidences, and how many are within a tenth.
    bins: [(usize, f32, usize); BINS],
}

/// A labelled person.
struct Truth {
    joints: Vec<(Joint, Vec2)>,
    size: f32,
}

/// Joints of labels by name; `None` for those of which we have none, such as the top of the head.
pub fn joints_of(names: &[String]) -> Vec<Option<Joint>> {
    names.iter().map(|name| keypoint_named(name)).collect()
}

/// Somebody who is scored.
fn truth(person: &LabelledPerson, joints: &[Option<Joint>]) -> Option<Truth> {
    let labelled = person.keypoints.iter().zip(joints);
    let labelled = labelled.filter(|(point, _)| point[2] > 0.0);
    let joints: Vec<(Joint, Vec2)> = labelled
        .filter_map(|(&[x, y, _], joint)| Some(((*joint)?, Vec2::new(x, y))))
        .collect();
    (joints.len() >= LEAST_JOINTS).then(|| Truth {
        joints,
        size: person.size(),
    })
}

/// A joint of a pose; the neck is made of the shoulders.
fn point(pose: &Pose2d, joint: Joint) -> Option<Keypoint> {
    if joint != Joint::Thorax {
        return pose[joint];
    }
    let (left, right) = (pose[Joint::LeftShoulder]?, pose[Joint::RightShoulder]?);
    Some(Keypoint {
        position: left.position.midpoint(right.position),
        confidence: Confidence::new((left.confidence.get() + right.confidence.get()) / 2.0),
    })
}

impl Truth {
    /// How far off a pose is on average, in sizes; `None` where none of the joints was found.
    fn distance(&self, pose: &Pose2d) -> Option<f32> {
        let apart: Vec<f32> = self
            .joints
            .iter()
            .filter_map(|&(joint, place)| Some(point(pose, joint)?.position.distance(place)))
            .collect();
        (!apart.is_empty()).then(|| apart.iter().sum::<f32>() / apart.len() as f32 / self.size)
    }
}

impl Score {
    /// Scores the people of a picture; says who of those found each of them is.
    pub fn take(
        &mut self,
        people: &[LabelledPerson],
        joints: &[Option<Joint>],
        found: &[FoundPerson],
    ) -> Vec<Option<usize>> {
        let truths: Vec<Option<Truth>> =
            people.iter().map(|person| truth(person, joints)).collect();
        let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
        for (t, truth) in truths.iter().enumerate() {
            for (k, person) in found.iter().enumerate() {
                let distance = truth
                    .as_ref()
                    .and_then(|truth| truth.distance(&person.pose));
                pairs.extend(distance.filter(|&d| d < FOUND).map(|d| (d, t, k)));
            }
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut of_truth: Vec<Option<usize>> = vec![None; truths.len()];
        let mut taken = vec![false; found.len()];
        for (_, t, k) in pairs {
            if of_truth[t].is_none() && !taken[k] {
                of_truth[t] = Some(k);
                taken[k] = true;
            }
        }
        for (truth, own) in truths.iter().zip(&of_truth) {
            let Some(truth) = truth else { continue };
            self.people += 1;
            self.found += usize::from(own.is_some());
            self.joints += truth.joints.len();
            if let Some(own) = *own {
                self.person(truth, &found[own].pose);
            }
        }
        of_truth
    }

    fn person(&mut self, truth: &Truth, pose: &Pose2d) {
        for &(joint, place) in &truth.joints {
            let Some(found) = point(pose, joint) else {
                continue;
            };
            let apart = found.position.distance(place) / truth.size;
            self.within_fifth += usize::from(apart < 0.2);
            self.within_tenth += usize::from(apart < 0.1);
            let sure = found.confidence.get();
            let bin = &mut self.bins[((sure * BINS as f32) as usize).min(BINS - 1)];
            *bin = (bin.0 + 1, bin.1 + sure, bin.2 + usize::from(apart < 0.1));
            if !joint.name().starts_with("left") {
                continue;
            }
            let other = truth
                .joints
                .iter()
                .find(|(other, _)| *other == joint.mirror());
            if let (Some(&(_, there)), Some(mirror)) = (other, point(pose, joint.mirror())) {
                self.pairs += 1;
                // Both are nearer to where the other should be than to their own places.
                self.exchanged += usize::from(
                    found.position.distance(there) < found.position.distance(place)
                        && mirror.position.distance(place) < mirror.position.distance(there),
                );
            }
        }
    }

    /// How many people were scored.
    pub fn people(&self) -> usize {
        self.people
    }

    fn percent(part: usize, whole: usize) -> f64 {
        100.0 * part as f64 / whole.max(1) as f64
    }

    /// People that were found, in percent.
    pub fn recall(&self) -> f64 {
        Self::percent(self.found, self.people)
    }

    /// Joints within a fifth of the person's size, in percent.
    pub fn within_fifth(&self) -> f64 {
        Self::percent(self.within_fifth, self.joints)
    }

    /// Joints within a tenth, in percent.
    pub fn within_tenth(&self) -> f64 {
        Self::percent(self.within_tenth, self.joints)
    }

    /// Pairs of left and right that are exchanged, in percent.
    pub fn exchanged(&self) -> f64 {
        Self::percent(self.exchanged, self.pairs)
    }

    /// Expected calibration error: by how much confidences differ from the share of joints within a tenth.
    pub fn calibration_error(&self) -> f64 {
        let all: usize = self.bins.iter().map(|bin| bin.0).sum();
        let off = self
            .bins
            .iter()
            .map(|&(_, sure, right)| f64::from((sure - right as f32).abs()));
        off.sum::<f64>() / all.max(1) as f64
    }

    /// Mean confidence and the share of joints within a tenth, of each bin that has any.
    pub fn reliability(&self) -> impl Iterator<Item = (f64, f64)> {
        let bins = self.bins.iter().filter(|bin| bin.0 > 0);
        bins.map(|&(count, sure, right)| {
            (f64::from(sure) / count as f64, right as f64 / count as f64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::labels::Labels;
    use super::*;

    const NAMES: [&str; 6] = [
        "left_shoulder",
        "right_shoulder",
        "left_hip",
        "right_hip",
        "neck",
        "head_top",
    ];
    const PLACES: [[f32; 2]; 6] = [
        [60.0, 0.0],
        [0.0, 0.0],
        [50.0, 100.0],
        [10.0, 100.0],
        [30.0, 0.0],
        [30.0, -40.0],
    ];

    /// A person who is `shift` pixels to the right of where they are labelled, with other sides where that is asked.
    fn found(shift: f32, exchanged: bool, confidence: f32) -> FoundPerson {
        let mut pose = Pose2d::default();
        for (name, [x, y]) in NAMES.iter().zip(PLACES).take(4) {
            let Some(joint) = keypoint_named(name) else {
                continue;
            };
            pose[if exchanged { joint.mirror() } else { joint }] = Some(Keypoint {
                position: Vec2::new(x + shift, y),
                confidence: Confidence::new(confidence),
            });
        }
        FoundPerson { pose, score: 1.0 }
    }

    fn score(found: &[FoundPerson]) -> Score {
        let keypoints: Vec<[f32; 3]> = PLACES.iter().map(|&[x, y]| [x, y, 2.0]).collect();
        let labels = serde_json::json!({
            "joint_names": NAMES,
            "images": [{"file": "a.png", "people": [{"keypoints": keypoints, "joints_box": [0, -40, 60, 140]}]}]
        });
        let mut score = Score::default();
        if let Ok(labels) = serde_json::from_value::<Labels>(labels) {
            let joints = joints_of(&labels.joint_names);
            for image in &labels.images {
                score.take(&image.people, &joints, found);
            }
        }
        score
    }

    #[test]
    fn joints_count_by_how_far_off_they_are() {
        // The labelled joints are 140 pixels tall; the neck is made of the shoulders, the top of the head is not scored.
        let near = score(&[found(13.0, false, 0.9)]);
        assert_eq!(
            (near.within_tenth(), near.within_fifth(), near.recall()),
            (100.0, 100.0, 100.0)
        );
        assert!((near.calibration_error() - 0.1).abs() < 1e-6);
        let far = score(&[found(15.0, false, 0.5)]);
        assert_eq!((far.within_tenth(), far.within_fifth()), (0.0, 100.0));
        assert!((far.calibration_error() - 0.5).abs() < 1e-6);
        assert_eq!(score(&[found(300.0, false, 0.5)]).recall(), 0.0);
    }

    #[test]
    fn one_person_found_twice_counts_once_and_the_nearest_is_taken() {
        let twice = score(&[found(60.0, false, 0.9), found(1.0, false, 0.9)]);
        assert_eq!((twice.people(), twice.within_tenth()), (1, 100.0));
    }

    #[test]
    fn exchanged_sides_are_told() {
        assert_eq!(score(&[found(0.0, false, 0.9)]).exchanged(), 0.0);
        assert_eq!(score(&[found(0.0, true, 0.9)]).exchanged(), 100.0);
    }
}
