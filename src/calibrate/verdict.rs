//! Whether a calibration can be trusted: many checks, each a number and a sentence. A small reprojection error alone says
//! little, as mirrored and bent rooms have it too.

mod boards;
mod bodies;
mod clips;
mod lenses;
mod seen;

use std::fmt;

use bevy::math::{DVec3, Vec3};

pub use boards::judge_boards;

use self::bodies::{judge_bodies, judge_places};
use self::clips::judge_clips;
use self::lenses::{judge_lens, judge_principal_points};
use self::seen::Seen;
use super::people::Moment;
use crate::camera::View;

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Good,
    /// Worse than it could be; results suffer.
    Usable,
    /// Wrong; results are wrong too.
    Failed,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Grade::Good => "good",
            Grade::Usable => "usable",
            Grade::Failed => "failed",
        })
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How good it is.
    pub grade: Grade,
    /// What was measured; the sentence says in what unit.
    pub number: f64,
    /// In words, for the person who stands in the room.
    pub sentence: String,
}

/// All checks of a calibration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl Verdict {
    /// The worst of the checks; failed where nothing could be checked.
    pub fn grade(&self) -> Grade {
        let worst = self.checks.iter().map(|check| check.grade).max();
        worst.unwrap_or(Grade::Failed)
    }

    /// Judges clocks by the [delays](super::sync::delays) between the cameras of those names: clips that do not begin together are
    /// off by how far somebody moves until then.
    pub fn judge_clocks(&mut self, names: &[&str], delays: &[Option<f64>]) {
        // The first is what the others are compared with.
        for (name, delay) in names.iter().zip(delays).skip(1) {
            let Some(delay) = delay else {
                self.checks.push(Check {
                    name: "clocks",
                    grade: Grade::Usable,
                    number: f64::NAN,
                    sentence: format!(
                        "nothing can be said of the clock of {name}: the clips are too short, or people move too little or too evenly \
                         in them, or they do not begin together"
                    ),
                });
                continue;
            };
            let late = delay * 1e3;
            let sentence = format!(
                "the clock of {name} is {:.0} ms {} that of {}",
                late.abs(),
                if late < 0.0 { "ahead of" } else { "behind" },
                names.first().unwrap_or(&"")
            );
            self.add("clocks", late.abs(), (25.0, 60.0), sentence);
        }
    }

    /// Judges by where up is in the frame of each camera (OpenCV), where its pictures tell that (see [`attitude`](super::attitude)):
    /// a calibration that is right has it where they do. Pictures err at times; none of this makes a calibration fail.
    pub fn judge_verticals(&mut self, views: &[View], ups: &[Option<Vec3>]) {
        for (view, up) in views.iter().zip(ups) {
            let Some(up) = up else { continue };
            let told = view.extrinsics.rotation.transpose() * up.as_dvec3();
            let lean = told.angle_between(DVec3::Y).to_degrees();
            self.add(
                "upright walls",
                lean,
                (4.0, f64::INFINITY),
                format!("walls that {} sees would lean by {lean:.1}°", view.name),
            );
        }
    }

    /// Judges by how many of a room's moments each camera of those names has a picture of.
    pub fn judge_pictures(&mut self, names: &[&str], pictures: &[usize], moments: usize) {
        for (name, count) in names.iter().zip(pictures) {
            let missing = 100.0 * (1.0 - *count as f64 / moments.max(1) as f64);
            let sentence = if missing < 0.5 {
                format!("{name} has a picture of every moment")
            } else {
                format!(
                    "{name} has no picture at {missing:.0} % of the moments; what is missing was lost, or it records at another rate"
                )
            };
            self.add("lost pictures", missing, (10.0, 60.0), sentence);
        }
    }

    fn add(&mut self, name: &'static str, number: f64, limits: (f64, f64), sentence: String) {
        // What is not a number has failed.
        let grade = if number <= limits.0 {
            Grade::Good
        } else if number <= limits.1 {
            Grade::Usable
        } else {
            Grade::Failed
        };
        self.checks.push(Check {
            name,
            grade,
            number,
            sentence,
        });
    }
}

impl fmt::Display for Verdict {
    /// `good`, or `failed: because …`, with the worst first.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let grade = self.grade();
        write!(f, "{grade}")?;
        let reasons = self
            .checks
            .iter()
            .filter(|check| check.grade == grade && grade != Grade::Good);
        for (n, check) in reasons.enumerate() {
            write!(
                f,
                "{}{}",
                if n == 0 {
                    ": because "
                } else {
                    "; and because "
                },
                check.sentence
            )?;
        }
        Ok(())
    }
}

/// Judges cameras by a person who moves before them. The world is Bevy's, y up, with the floor at y = 0.
pub fn judge(views: &[View], moments: &[Moment]) -> Verdict {
    let mut verdict = Verdict::default();
    for view in views {
        judge_lens(view, &mut verdict);
    }
    let seen = Seen::collect(views, moments);
    let errors = seen.held_out(views);
    judge_errors(views, &errors, &mut verdict);
    judge_clips(views, moments, &errors, &mut verdict);
    judge_principal_points(views, &seen, &mut verdict);
    let people = seen.people();
    judge_places(views, &people, &mut verdict);
    judge_bodies(&people, &mut verdict);
    verdict
}

/// Up to which percentage of a person's size held-out joints may be off, in a good calibration and in a usable one.
const HELD_OUT: (f64, f64) = (3.5, 7.0);

fn judge_errors(views: &[View], errors: &[f64], verdict: &mut Verdict) {
    for (view, error) in views.iter().zip(errors) {
        let percent = error * 100.0;
        let sentence = if percent.is_nan() {
            format!(
                "{} shares nothing with the other cameras, so nothing can be said of it",
                view.name
            )
        } else {
            format!(
                "{} sees joints {percent:.1} % of the person's size away from where the others say they are",
                view.name
            )
        };
        verdict.add("held-out reprojection", percent, HELD_OUT, sentence);
    }
}

#[cfg(test)]
mod tests {
    use bevy::math::{DVec2, DVec3};

    use super::lenses::mirrored;
    use super::*;
    use crate::associate::tests::{room, standing};
    use crate::calibrate::pose::tests::scatter;
    use crate::camera::Extrinsics;
    use crate::skeleton::{Confidence, Keypoint, Pose2d};

    fn walk(views: &[View], noise: f32) -> Vec<Moment> {
        let mut random = scatter(21);
        let mut moments = Vec::new();
        for n in 0..60 {
            let turn = f64::from(n) * 0.11;
            let person = standing(DVec3::new(0.8 * turn.cos(), 0.0, 0.8 * turn.sin()));
            let look = |view: &View| {
                let mut pose = Pose2d::default();
                for (joint, place) in person.present() {
                    let shake = bevy::math::Vec2::new(random() as f32, random() as f32) * noise;
                    pose[joint] = view.project(*place).map(|pixel| Keypoint {
                        position: pixel.as_vec2() + shake,
                        confidence: Confidence::new(0.9),
                    });
                }
                Some(pose)
            };
            moments.push(views.iter().map(look).collect());
        }
        moments
    }

    #[test]
    fn a_true_calibration_is_good() {
        let views = room(4);
        let verdict = judge(&views, &walk(&views, 3.0));
        assert_eq!(verdict.grade(), Grade::Good, "{verdict}");
    }

    #[test]
    fn a_camera_that_was_turned_is_named() {
        let truth = room(4);
        let moments = walk(&truth, 3.0);
        let mut views = truth.clone();
        // Six degrees about its own place.
        let turn = bevy::math::DMat3::from_rotation_y(0.105);
        let placed = &mut views[2].extrinsics;
        *placed = Extrinsics {
            rotation: turn * placed.rotation,
            translation: turn * placed.translation,
        };
        let verdict = judge(&views, &moments);
        assert_eq!(verdict.grade(), Grade::Failed, "{verdict}");
        let worst = verdict
            .checks
            .iter()
            .filter(|check| check.name == "held-out reprojection")
            .max_by(|a, b| a.number.total_cmp(&b.number));
        assert!(
            worst.is_some_and(|check| check.sentence.contains("camera 2")),
            "{worst:?}"
        );
    }

    #[test]
    fn a_room_mirrored_through_its_floor_has_failed_however_well_it_fits() {
        let truth = room(4);
        let moments = walk(&truth, 0.5);
        // Everything through y = 0: the cameras fit their pictures as before.
        let flip = |point: DVec3| DVec3::new(point.x, -point.y, point.z);
        let mut views = truth.clone();
        for view in &mut views {
            let eye = flip(view.extrinsics.centre());
            view.extrinsics = Extrinsics::looking_at(eye, DVec3::new(0.0, -1.0, 0.0), DVec3::NEG_Y);
        }
        let verdict = judge(&views, &moments);
        assert_eq!(verdict.grade(), Grade::Failed);
        assert!(verdict.to_string().contains("under the floor"), "{verdict}");
    }

    #[test]
    fn a_mirrored_principal_point_is_named_with_its_camera_and_axis() {
        let mut truth = room(4);
        for view in &mut truth {
            view.intrinsics.principal += DVec2::new(45.0, 0.0);
        }
        let moments = walk(&truth, 2.0);
        let mut views = truth.clone();
        views[1].intrinsics = mirrored(&views[1].intrinsics, 0);
        let verdict = judge(&views, &moments);
        assert!(verdict.grade() > Grade::Good);
        let told = verdict.to_string();
        assert!(
            told.contains("camera 1 along x") && !told.contains("camera 2 along"),
            "{told}"
        );
    }

    #[test]
    fn nothing_seen_is_no_calibration() {
        let views = room(3);
        let verdict = judge(&views, &[]);
        assert_eq!(verdict.grade(), Grade::Failed);
        assert!(!verdict.to_string().contains("mirrored"), "{verdict}");
    }

    /// What is told of mixed-up clips.
    fn mixed_up(verdict: &Verdict) -> Vec<&str> {
        let names = ["mixed-up clips", "clips given twice"];
        let checks = verdict.checks.iter();
        let told =
            checks.filter(|check| names.contains(&check.name) && check.grade == Grade::Failed);
        told.map(|check| check.sentence.as_str()).collect()
    }

    #[test]
    fn mirrored_pictures_exchanged_clips_and_clips_given_twice_are_named() {
        let views = room(4);
        let moments = walk(&views, 3.0);
        assert_eq!(mixed_up(&judge(&views, &moments)), Vec::<&str>::new());

        let width = views[2].intrinsics.width as f32;
        let mut wrong = moments.clone();
        for moment in &mut wrong {
            moment[2] = moment[2].take().map(|seen| seen.mirrored(width));
        }
        let verdict = judge(&views, &wrong);
        assert!(
            matches!(&mixed_up(&verdict)[..], [told] if told.contains("picture of camera 2 mirrored")),
            "{verdict}"
        );

        let mut wrong = moments.clone();
        wrong.iter_mut().for_each(|moment| moment.swap(1, 3));
        let verdict = judge(&views, &wrong);
        assert!(
            matches!(&mixed_up(&verdict)[..], [told] if told.contains("camera 1 and camera 3 exchanged")),
            "{verdict}"
        );

        let mut wrong = moments.clone();
        for moment in &mut wrong {
            moment[0] = moment[3].clone();
        }
        let verdict = judge(&views, &wrong);
        let told = mixed_up(&verdict);
        assert!(
            told.iter()
                .any(|told| told.contains("camera 0 and camera 3 show the same")),
            "{verdict}"
        );
    }

    #[test]
    fn clocks_and_lost_pictures_are_judged_by_name() {
        let mut verdict = Verdict::default();
        verdict.judge_clocks(
            &["a", "b", "c", "d"],
            &[Some(0.0), Some(0.08), Some(-0.03), None],
        );
        let told: Vec<(Grade, &str)> = verdict
            .checks
            .iter()
            .map(|check| (check.grade, check.sentence.as_str()))
            .collect();
        assert_eq!(
            told[0],
            (Grade::Failed, "the clock of b is 80 ms behind that of a")
        );
        assert_eq!(
            told[1],
            (Grade::Usable, "the clock of c is 30 ms ahead of that of a")
        );
        assert!(told[2].0 == Grade::Usable && told[2].1.contains("clock of d"));
        assert_eq!(told.len(), 3);

        let mut verdict = Verdict::default();
        verdict.judge_pictures(&["a", "b"], &[100, 75], 100);
        let grades: Vec<Grade> = verdict.checks.iter().map(|check| check.grade).collect();
        assert_eq!(grades, [Grade::Good, Grade::Usable]);
        assert!(
            verdict.to_string().contains("b has no picture at 25 %"),
            "{verdict}"
        );
    }
}
