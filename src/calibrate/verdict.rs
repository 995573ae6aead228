//! Whether a calibration can be trusted: many checks, each a number and a sentence. A small reprojection error alone says
//! little, as mirrored and bent rooms have it too.

mod boards;

use std::fmt;

use bevy::math::{DVec2, DVec3};

pub use boards::judge_boards;

use super::people::{Moment, stature_of};
use super::projection::median;
use crate::camera::{Intrinsics, View};
use crate::reconstruct::bones::BONES;
use crate::reconstruct::triangulate::{Noise, Sight, triangulate};
use crate::skeleton::{Joint, JointMap, Pose2d};

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

/// Keypoints less sure than this judge nothing.
const LEAST_CONFIDENCE: f32 = 0.3;

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

/// What lenses of webcams and phones look like.
fn judge_lens(view: &View, verdict: &mut Verdict) {
    let lens = &view.intrinsics;
    let size = DVec2::new(f64::from(lens.width), f64::from(lens.height));
    let across = 2.0
        * (size.max_element() / (2.0 * view.focal()))
            .atan()
            .to_degrees();
    let off = (across - 70.0).abs();
    verdict.add(
        "field of view",
        off,
        (45.0, 65.0),
        format!(
            "the lens of {} would span {across:.0}°, and webcams and phones span 40° to 110°",
            view.name
        ),
    );
    let squeezed = (lens.focal.x / lens.focal.y - 1.0).abs() * 100.0;
    verdict.add(
        "square pixels",
        squeezed,
        (2.0, 6.0),
        format!(
            "the pixels of {} would be {squeezed:.1} % longer one way than the other",
            view.name
        ),
    );
    let off = ((lens.principal + 0.5) / size - 0.5).abs().max_element() * 100.0;
    verdict.add(
        "principal point",
        off,
        (8.0, 20.0),
        format!(
            "the axis of {} would meet its picture {off:.1} % off the middle",
            view.name
        ),
    );
}

/// A joint as one view sees it: which view, on which ray, in which pixel.
type Look = (usize, Sight, DVec2);

/// A joint and the views that see it.
type Looks = (Joint, Vec<Look>);

/// Everything that is seen.
struct Seen {
    /// By moment: joints that two views or more see.
    points: Vec<Vec<Looks>>,
    /// Height of the person in each view, in pixels.
    sizes: Vec<f64>,
}

impl Seen {
    fn collect(views: &[View], moments: &[Moment]) -> Seen {
        let mut sizes: Vec<Vec<f64>> = vec![Vec::new(); views.len()];
        let mut points = Vec::with_capacity(moments.len());
        for moment in moments {
            let poses: Vec<_> = moment.iter().take(views.len()).collect();
            for (view, pose) in poses.iter().enumerate() {
                let heights = pose.iter().flat_map(|pose| pose.present());
                let sure = heights
                    .filter(|(_, p)| p.confidence.get() >= LEAST_CONFIDENCE)
                    .map(|(_, p)| f64::from(p.position.y));
                let (low, high) = sure.fold((f64::MAX, f64::MIN), |(low, high), y| {
                    (low.min(y), high.max(y))
                });
                if high > low {
                    sizes[view].push(high - low);
                }
            }
            let of_joint = |&joint: &Joint| {
                let look = |(view, pose): (usize, &&Option<Pose2d>)| {
                    let point = pose.as_ref()?[joint]?;
                    (point.confidence.get() >= LEAST_CONFIDENCE).then(|| {
                        let sight = Sight {
                            ray: views[view].ray(point.position),
                            weight: f64::from(point.confidence.get()),
                            pixel: 1.0 / views[view].focal(),
                        };
                        (view, sight, point.position.as_dvec2())
                    })
                };
                (
                    joint,
                    poses
                        .iter()
                        .enumerate()
                        .filter_map(look)
                        .collect::<Vec<_>>(),
                )
            };
            points.push(
                Joint::ALL
                    .iter()
                    .map(of_joint)
                    .filter(|(_, sights)| sights.len() >= 2)
                    .collect(),
            );
        }
        Seen {
            points,
            sizes: sizes.iter_mut().map(|sizes| median(sizes)).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Vec<Look>> {
        self.points.iter().flatten().map(|(_, sights)| sights)
    }

    /// For each view, the median distance between where it sees joints and where the other views say they are, as a part of the
    /// person's size in its picture; where only one other sees them, how far apart their rays pass. Not a number where none
    /// does.
    fn held_out(&self, views: &[View]) -> Vec<f64> {
        let noise = Noise {
            metres: 0.05,
            ..Noise::default()
        };
        let mut errors: Vec<Vec<f64>> = vec![Vec::new(); views.len()];
        for sights in self.all() {
            for (view, sight, pixel) in sights {
                let others: Vec<Sight> = sights
                    .iter()
                    .filter(|other| other.0 != *view)
                    .map(|other| other.1)
                    .collect();
                let error = if others.len() > 1 {
                    triangulate(&others, &noise).and_then(|point| {
                        Some(views[*view].project(point.position)?.distance(*pixel))
                    })
                } else {
                    // Two views have nothing to hold out: what is left is how far apart their rays pass.
                    others.first().and_then(|other| {
                        let (p, q) = sight.ray.nearest_points(&other.ray)?;
                        Some(p.distance(q) / sight.ray.depth(p).max(0.1) * views[*view].focal())
                    })
                };
                if let Some(error) = error {
                    errors[*view].push(error / self.sizes[*view].max(1.0));
                }
            }
        }
        let of = |errors: &mut Vec<f64>| {
            if errors.is_empty() {
                f64::NAN
            } else {
                median(errors)
            }
        };
        errors.iter_mut().map(of).collect()
    }

    /// The person in space, at each moment.
    fn people(&self) -> Vec<JointMap<Option<DVec3>>> {
        let noise = Noise {
            metres: 0.05,
            ..Noise::default()
        };
        let person = |joints: &Vec<Looks>| {
            let mut person: JointMap<Option<DVec3>> = JointMap::default();
            for (joint, sights) in joints {
                let sights: Vec<Sight> = sights.iter().map(|sight| sight.1).collect();
                person[*joint] = triangulate(&sights, &noise).map(|point| point.position);
            }
            person
        };
        self.points.iter().map(person).collect()
    }
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

/// What may have happened to the pictures, so that they are not those of the cameras.
#[derive(Clone, Copy, Debug)]
enum Mistake {
    /// A camera shows itself as a mirror does.
    Mirrored(usize),
    /// Two clips were exchanged.
    Exchanged(usize, usize),
}

impl Mistake {
    /// What would have been seen without it.
    fn undone(self, views: &[View], moments: &[Moment]) -> Vec<Moment> {
        let undone = |moment: &Moment| {
            let mut moment = moment.clone();
            moment.resize(views.len(), None);
            match self {
                Mistake::Mirrored(view) => {
                    let width = views[view].intrinsics.width as f32;
                    moment[view] = moment[view].take().map(|seen| seen.mirrored(width));
                }
                Mistake::Exchanged(a, b) => moment.swap(a, b),
            }
            moment
        };
        moments.iter().map(undone).collect()
    }
}

/// So many moments tell whether clips were mixed up.
const ENOUGH: usize = 80;
/// Two cameras cannot see all joints of somebody in the same pixels: this far apart, as a part of the picture.
const SAME_PIXEL: f32 = 0.003;

/// Where what the cameras see does not fit: whether it would if one picture were not mirrored, or two clips not exchanged. Whether
/// two clips are the same, in any case.
fn judge_clips(views: &[View], moments: &[Moment], errors: &[f64], verdict: &mut Verdict) {
    let step = moments.len().div_ceil(ENOUGH).max(1);
    let moments: Vec<Moment> = moments.iter().step_by(step).cloned().collect();
    judge_twins(views, &moments, verdict);
    let fits = errors.iter().all(|error| error * 100.0 <= HELD_OUT.0);
    if fits || moments.is_empty() {
        return;
    }
    let total = |moments: &[Moment]| mean_error(&Seen::collect(views, moments).held_out(views));
    let Some(as_given) = total(&moments) else {
        return;
    };
    let lens = |view: usize| (views[view].intrinsics.width, views[view].intrinsics.height);
    let pairs = (0..views.len()).flat_map(|a| (a + 1..views.len()).map(move |b| (a, b)));
    let exchanges = pairs
        .filter(|&(a, b)| lens(a) == lens(b))
        .map(|(a, b)| Mistake::Exchanged(a, b));
    let best = (0..views.len())
        .map(Mistake::Mirrored)
        .chain(exchanges)
        .filter_map(|mistake| Some((total(&mistake.undone(views, &moments))?, mistake)))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((error, mistake)) = best else { return };
    let gain = (1.0 - error / as_given) * 100.0;
    if gain <= 30.0 {
        return;
    }
    let name = |view: usize| &views[view].name;
    let sentence = match mistake {
        Mistake::Mirrored(view) => format!(
            "everything fits {gain:.0} % better with the picture of {0} mirrored; switch off the mirror in the program that records {0}",
            name(view)
        ),
        Mistake::Exchanged(a, b) => format!(
            "everything fits {gain:.0} % better with the clips of {} and {} exchanged; are the files in the order of the cameras?",
            name(a),
            name(b)
        ),
    };
    verdict.add("mixed-up clips", gain, (30.0, 50.0), sentence);
}

fn judge_twins(views: &[View], moments: &[Moment], verdict: &mut Verdict) {
    for a in 0..views.len() {
        for b in a + 1..views.len() {
            let size = views[a].intrinsics.width.max(views[a].intrinsics.height) as f32;
            let apart = |moment: &Moment| {
                let (one, other) = (moment.get(a)?.as_ref()?, moment.get(b)?.as_ref()?);
                let both = one
                    .present()
                    .filter_map(|(joint, p)| Some(p.position.distance(other[joint]?.position)));
                let mut apart: Vec<f64> = both.map(f64::from).collect();
                (!apart.is_empty()).then(|| median(&mut apart))
            };
            let apart: Vec<f64> = moments.iter().filter_map(apart).collect();
            let same = apart
                .iter()
                .filter(|apart| **apart < f64::from(SAME_PIXEL * size));
            let share = 100.0 * same.count() as f64 / apart.len().max(1) as f64;
            if apart.len() >= 10 && share > 20.0 {
                let sentence = format!(
                    "{} and {} show the same at {share:.0} % of the moments; was one file given twice?",
                    views[a].name, views[b].name
                );
                verdict.add("clips given twice", share, (20.0, 50.0), sentence);
            }
        }
    }
}

/// Of those views of which it is known.
fn mean_error(errors: &[f64]) -> Option<f64> {
    let told: Vec<f64> = errors
        .iter()
        .copied()
        .filter(|error| !error.is_nan())
        .collect();
    (!told.is_empty()).then(|| told.iter().sum::<f64>() / told.len() as f64)
}

/// The principal point with one coordinate mirrored about the picture's middle.
fn mirrored(lens: &Intrinsics, axis: usize) -> Intrinsics {
    let mut lens = *lens;
    let size = [f64::from(lens.width), f64::from(lens.height)][axis];
    lens.principal[axis] = size - 1.0 - lens.principal[axis];
    lens
}

/// Files that were rotated with their pictures often have principal points that were not: each is tried mirrored.
fn judge_principal_points(views: &[View], seen: &Seen, verdict: &mut Verdict) {
    let total = |views: &[View]| {
        // With other lenses the same pixels are other rays.
        mean_error(&seen.again(views).held_out(views)).unwrap_or(f64::INFINITY)
    };
    if views.len() < 3 {
        return;
    }
    let mut current = views.to_vec();
    let as_given = total(&current);
    if !as_given.is_finite() {
        return;
    }
    let mut best = as_given;
    let mut flipped: Vec<(usize, usize)> = Vec::new();
    loop {
        let mut better: Option<(f64, usize, usize)> = None;
        for view in 0..views.len() {
            for axis in 0..2 {
                let lens = mirrored(&current[view].intrinsics, axis);
                let shift = (lens.principal - current[view].intrinsics.principal)
                    .abs()
                    .max_element();
                let is_flipped = flipped.contains(&(view, axis));
                if is_flipped || shift < 0.004 * f64::from(lens.width.max(lens.height)) {
                    continue;
                }
                let mut candidate = current.clone();
                candidate[view].intrinsics = lens;
                let error = total(&candidate);
                if error < 0.97 * best && better.is_none_or(|(least, ..)| error < least) {
                    better = Some((error, view, axis));
                }
            }
        }
        let Some((error, view, axis)) = better else {
            break;
        };
        current[view].intrinsics = mirrored(&current[view].intrinsics, axis);
        flipped.push((view, axis));
        best = error;
    }
    let gain = (1.0 - best / as_given) * 100.0;
    let names: Vec<String> = flipped
        .iter()
        .map(|&(view, axis)| format!("{} along {}", views[view].name, ["x", "y"][axis]))
        .collect();
    let sentence = if names.is_empty() {
        "no principal point fits better mirrored".into()
    } else {
        format!(
            "everything fits {gain:.0} % better with the principal points mirrored of {}; were pictures and calibration turned together?",
            names.join(", ")
        )
    };
    verdict.add("mirrored principal points", gain, (8.0, 15.0), sentence);
}

impl Seen {
    /// The same pixels, as rays of other cameras.
    fn again(&self, views: &[View]) -> Seen {
        let points = self.points.iter().map(|joints| {
            let joint = |(joint, sights): &Looks| {
                let sight = |&(view, sight, pixel): &Look| {
                    let ray = views[view].ray(pixel.as_vec2());
                    (view, Sight { ray, ..sight }, pixel)
                };
                (*joint, sights.iter().map(sight).collect())
            };
            joints.iter().map(joint).collect()
        });
        Seen {
            points: points.collect(),
            sizes: self.sizes.clone(),
        }
    }
}

/// Feet by which the floor is judged.
const FEET: [Joint; 4] = [
    Joint::LeftAnkle,
    Joint::RightAnkle,
    Joint::LeftHeel,
    Joint::RightHeel,
];

fn judge_heights(views: &[View], verdict: &mut Verdict) {
    for view in views {
        let height = view.extrinsics.centre().y;
        verdict.add(
            "above the floor",
            -height,
            (-0.1, 0.0),
            if height > 0.0 {
                format!("{} stands {height:.2} m above the floor", view.name)
            } else {
                format!("{} would stand {:.2} m under the floor", view.name, -height)
            },
        );
    }
}

fn judge_places(views: &[View], people: &[JointMap<Option<DVec3>>], verdict: &mut Verdict) {
    judge_heights(views, verdict);
    let lowest = |person: &JointMap<Option<DVec3>>| {
        FEET.iter()
            .filter_map(|&joint| Some(person[joint]?.y))
            .reduce(f64::min)
    };
    let mut feet: Vec<f64> = people.iter().filter_map(lowest).collect();
    if !feet.is_empty() {
        let height = median(&mut feet);
        // Ankles are in it.
        verdict.add(
            "feet on the floor",
            (height - 0.05).abs(),
            (0.15, 0.35),
            if height > 0.0 {
                format!("feet are {height:.2} m above the floor")
            } else {
                format!("feet would be {:.2} m under the floor", -height)
            },
        );
    }
    let body = |person: &JointMap<Option<DVec3>>| {
        let middle = |a: Joint, b: Joint| Some((person[a]? + person[b]?) * 0.5);
        let shoulders = middle(Joint::LeftShoulder, Joint::RightShoulder)?;
        let hips = middle(Joint::LeftHip, Joint::RightHip)?;
        Some((shoulders - hips).angle_between(DVec3::Y).to_degrees())
    };
    let mut leans: Vec<f64> = people.iter().filter_map(body).collect();
    if !leans.is_empty() {
        let lean = median(&mut leans);
        verdict.add(
            "upright people",
            lean,
            (30.0, 55.0),
            format!("people would lean by {lean:.0}° from upright most of the time"),
        );
    }
}

fn judge_bodies(people: &[JointMap<Option<DVec3>>], verdict: &mut Verdict) {
    let lengths = |a: Joint, b: Joint| -> Vec<f64> {
        people
            .iter()
            .filter_map(|person| Some(person[a]?.distance(person[b]?)))
            .collect()
    };
    let (mut changes, mut differences) = (Vec::new(), Vec::new());
    for bone in BONES.iter().filter(|bone| bone.is_limb()) {
        let (a, b) = bone.ends;
        let mut own = lengths(a, b);
        if own.len() < 10 {
            continue;
        }
        let middle = median(&mut own);
        let mut off: Vec<f64> = own
            .iter()
            .map(|length| (length - middle).abs() / middle)
            .collect();
        // The median deviation of a bell is two thirds of its standard deviation.
        changes.push(median(&mut off) * 1.483 * 100.0);
        let mut other = lengths(a.mirror(), b.mirror());
        if other.len() >= 10 {
            let other = median(&mut other);
            differences.push((middle - other).abs() / (0.5 * (middle + other)) * 100.0);
        }
    }
    if changes.is_empty() {
        verdict.add(
            "bones",
            f64::NAN,
            (0.0, 0.0),
            "too little of the person is seen by two cameras to judge by".into(),
        );
        return;
    }
    let change = median(&mut changes);
    verdict.add(
        "constant bones",
        change,
        (9.0, 18.0),
        format!(
            "the person's arms and legs would change their length by {change:.0} % as they move"
        ),
    );
    let (difference, sentence) = if differences.is_empty() {
        (
            f64::NAN,
            "both sides of the person are never seen, so nothing can be said of left and right; turn round before the cameras".into(),
        )
    } else {
        let difference = median(&mut differences);
        (
            difference,
            format!("the person's left and right would differ by {difference:.0} %"),
        )
    };
    verdict.add("even sides", difference, (8.0, 16.0), sentence);
    if let Some(stature) = stature_of(people) {
        let off = (stature / 1.7).ln().abs();
        verdict.add(
            "stature",
            off,
            (0.22, 0.5),
            format!("the person would be {stature:.2} m tall"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::tests::{room, standing};
    use crate::calibrate::pose::tests::scatter;
    use crate::camera::Extrinsics;
    use crate::skeleton::{Confidence, Keypoint};

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
