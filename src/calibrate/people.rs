//! Cameras from the people themselves: somebody walks about, and no board is needed.
//!
//! Joints that two cameras see at the same time are points in common ([`essential`](super::essential)); the pair that tells most is the beginning,
//! further cameras are placed by the joints that are known by then ([`pose`](super::pose)), and all is adjusted at once ([`bundle`](super::bundle)). A
//! person's own size gives the scale; standing gives up; feet give the floor. (After Li 2020, section 3.4.2, and Takahashi et
//! al. 2018, "Human pose as calibration pattern".)

use bevy::math::{DVec2, DVec3, Vec3};

use super::bundle::{Mark, adjust};
use super::essential::{LEAST_PAIRS, Pair, RelativePose, relative_pose};
use super::pose::{Landmark, refine, resect};
use super::projection::{median, upright};
use crate::camera::{Extrinsics, Intrinsics, View};
use crate::reconstruct::bones::{BONES, Length, Lengths};
use crate::reconstruct::triangulate::{Noise, Sight, triangulate};
use crate::skeleton::{ARMS, FACE, Joint, JointMap, LEGS, Pose2d};

/// What one moment shows: the same person in each view that sees them.
pub type Moment = Vec<Option<Pose2d>>;

/// A room that was calibrated.
#[derive(Clone, Debug)]
pub struct Room {
    /// The cameras, in the order given; the world is Bevy's: y up, the floor at y = 0, metres.
    pub views: Vec<View>,
    /// Median reprojection error, in pixels.
    pub error: f64,
    /// The person, at each moment that was given.
    pub people: Vec<JointMap<Option<DVec3>>>,
}

/// Why a room could not be calibrated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PeopleError {
    /// Too few cameras.
    #[error("{0} camera cannot be placed by itself; give two or more")]
    TooFewViews(usize),
    /// No two cameras see enough of the same person.
    #[error(
        "no two cameras see the same person often enough: {best} joints in common at best, {LEAST_PAIRS} are the least; are the \
         clips of the same time, and does the person walk where the views overlap?"
    )]
    NothingInCommon {
        /// The most joints that two views share.
        best: usize,
    },
    /// The person hardly moved.
    #[error(
        "the person moved by {moved:.2} m only, which does not tell how the cameras stand; walk about, turn round and raise your \
         arms"
    )]
    StoodStill {
        /// Metres, if the person is as tall as told.
        moved: f64,
    },
    /// A camera that shares too little with the others.
    #[error(
        "the camera {name} sees too little of what the others see ({joints} joints) to be placed"
    )]
    CannotPlace {
        /// Its name.
        name: String,
        /// Joints in common with the others.
        joints: usize,
    },
    /// Nothing fits.
    #[error(
        "no arrangement of the cameras explains what they see; are their lenses right, and the clips of the same time?"
    )]
    NoFit,
}

/// Keypoints less sure than this place no camera.
const LEAST_CONFIDENCE: f32 = 0.3;
/// Joints that are points of the body rather than of its outline.
const JOINTS: &[Joint] = {
    use Joint::*;
    &[
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
    ]
};

/// Places cameras by one person who moves before them. `lenses` are names and lenses, `moments` what they see at the same
/// times, `stature` the person's height in metres. What several networks see of the same clips may be given one after the other:
/// where one of them puts a joint is a point of its own, and their errors meet in the cameras only. `ups` tells where up is in the
/// frame of each camera (OpenCV), where that is known (see [`attitude`](super::attitude)); where it is of none, people who stand
/// tell it.
///
/// # Errors
/// [`PeopleError`], in one sentence that says what to do.
pub fn calibrate(
    lenses: &[(String, Intrinsics)],
    moments: &[Moment],
    stature: f64,
    ups: &[Option<Vec3>],
) -> Result<Room, PeopleError> {
    if lenses.len() < 2 {
        return Err(PeopleError::TooFewViews(lenses.len()));
    }
    let mut seen = Seen::collect(lenses, moments);
    let mut seeds = seen.seeds()?;
    seeds.truncate(3);
    let mut best: Option<Bundle> = None;
    let mut trouble = PeopleError::NoFit;
    for (one, two, pose) in &seeds {
        match Bundle::grow(lenses, &seen, *one, *two, pose) {
            Ok(bundle) if best.as_ref().is_none_or(|best| bundle.error < best.error) => {
                best = Some(bundle)
            }
            Ok(_) => {}
            Err(error) => trouble = error,
        }
    }
    let mut bundle = best.ok_or(trouble)?;
    // Networks take fronts for backs; now that the other views are known, they say so.
    let everywhere: Vec<usize> = (0..lenses.len()).collect();
    for _ in 0..3 {
        if seen.mend_exchanges(&bundle) == 0 {
            break;
        }
        bundle.settle(&seen, &everywhere)?;
    }
    bundle.into_room(stature, ups)
}

/// Where a view sees a joint.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Undistorted, at z = 1.
    flat: DVec2,
    pixel: DVec2,
    weight: f64,
}

/// Everything that is seen: for each point (a joint at a moment), what each view sees of it.
struct Seen {
    points: Vec<Vec<Option<Look>>>,
    views: usize,
}

impl Seen {
    fn collect(lenses: &[(String, Intrinsics)], moments: &[Moment]) -> Seen {
        let mut points = Vec::new();
        for moment in moments {
            for &joint in JOINTS {
                let look = |view: usize| {
                    let point = moment.get(view)?.as_ref()?[joint]?;
                    let sure =
                        point.confidence.get() >= LEAST_CONFIDENCE && point.position.is_finite();
                    sure.then(|| {
                        let pixel = point.position.as_dvec2();
                        Look {
                            flat: lenses[view].1.unproject(pixel),
                            pixel,
                            weight: f64::from(point.confidence.get()),
                        }
                    })
                };
                points.push((0..lenses.len()).map(look).collect());
            }
        }
        Seen {
            points,
            views: lenses.len(),
        }
    }

    /// Pairs of views that say how they stand to one another, the most telling first.
    fn seeds(&self) -> Result<Vec<(usize, usize, RelativePose)>, PeopleError> {
        let mut found = Vec::new();
        let mut most = 0;
        for one in 0..self.views {
            for two in one + 1..self.views {
                let both = |point: &Vec<Option<Look>>| Some((point[one]?.flat, point[two]?.flat));
                let pairs: Vec<Pair> = self.points.iter().filter_map(both).collect();
                most = most.max(pairs.len());
                if let Some(pose) = relative_pose(&pairs) {
                    found.push((one, two, pose));
                }
            }
        }
        if most < LEAST_PAIRS {
            return Err(PeopleError::NothingInCommon { best: most });
        }
        let worth = |pose: &RelativePose| {
            let agreeing = pose.agreeing.iter().filter(|ok| **ok).count() as f64;
            // Depth is told best where rays cross at a right angle.
            agreeing * pose.parallax.sin().max(0.0)
        };
        found.sort_by(|a, b| worth(&b.2).total_cmp(&worth(&a.2)));
        Ok(found)
    }
}

impl Seen {
    /// Exchanges left and right of arms, legs and faces, in single views and moments, where the points that most views agree
    /// on say so. Returns how many were exchanged.
    fn mend_exchanges(&mut self, bundle: &Bundle) -> usize {
        let place = |joint: Joint| JOINTS.iter().position(|&other| other == joint);
        let mut mended = 0;
        for first in (0..self.points.len()).step_by(JOINTS.len()) {
            for view in 0..self.views {
                for part in [ARMS, LEGS, FACE] {
                    let pairs: Vec<(usize, usize)> = part
                        .iter()
                        .filter_map(|&joint| {
                            Some((first + place(joint)?, first + place(joint.mirror())?))
                        })
                        .collect();
                    let error = |exchanged: bool| {
                        let both = pairs.iter().flat_map(|&(a, b)| [(a, b), (b, a)]);
                        let mut errors: Vec<f64> = both
                            .filter_map(|(point, other)| {
                                let read = if exchanged { other } else { point };
                                let look = self.points[read][view]?;
                                let shown = bundle.views[view].project(bundle.points[point]?)?;
                                Some(shown.distance(look.pixel))
                            })
                            .collect();
                        (errors.len() >= 4).then(|| median(&mut errors))
                    };
                    if let (Some(kept), Some(exchanged)) = (error(false), error(true))
                        && exchanged < 0.6 * kept
                        && kept > 2.0 * bundle.error
                    {
                        mended += 1;
                        for (a, b) in pairs {
                            let (one, two) = (self.points[a][view], self.points[b][view]);
                            (self.points[a][view], self.points[b][view]) = (two, one);
                        }
                    }
                }
            }
        }
        mended
    }
}

/// Cameras and points while more of both are added.
struct Bundle {
    views: Vec<View>,
    placed: Vec<bool>,
    points: Vec<Option<DVec3>>,
    error: f64,
}

impl Bundle {
    fn grow(
        lenses: &[(String, Intrinsics)],
        seen: &Seen,
        one: usize,
        two: usize,
        pose: &RelativePose,
    ) -> Result<Bundle, PeopleError> {
        let views = lenses.iter().map(|(name, intrinsics)| View {
            name: name.clone(),
            intrinsics: *intrinsics,
            extrinsics: Extrinsics::default(),
        });
        let mut bundle = Bundle {
            views: views.collect(),
            placed: vec![false; lenses.len()],
            points: vec![None; seen.points.len()],
            error: f64::MAX,
        };
        bundle.views[two].extrinsics = pose.second_from_first;
        (bundle.placed[one], bundle.placed[two]) = (true, true);
        let mut order = vec![one, two];
        bundle.settle(seen, &order)?;
        while order.len() < lenses.len() {
            let (next, count) = bundle.most_known(seen).ok_or(PeopleError::NoFit)?;
            let cannot = || PeopleError::CannotPlace {
                name: bundle.views[next].name.clone(),
                joints: count,
            };
            let pose = bundle.place(seen, next).ok_or_else(cannot)?;
            bundle.views[next].extrinsics = pose;
            bundle.placed[next] = true;
            order.push(next);
            bundle.settle(seen, &order)?;
        }
        Ok(bundle)
    }

    /// The view not yet placed that sees the most points that are known.
    fn most_known(&self, seen: &Seen) -> Option<(usize, usize)> {
        (0..self.views.len())
            .filter(|&view| !self.placed[view])
            .map(|view| {
                let known = seen.points.iter().zip(&self.points);
                (
                    view,
                    known
                        .filter(|(seen, point)| point.is_some() && seen[view].is_some())
                        .count(),
                )
            })
            .max_by_key(|(_, count)| *count)
    }

    /// Places a view by known points: on random samples, the pose with the least median error, then refined on all.
    fn place(&self, seen: &Seen, view: usize) -> Option<Extrinsics> {
        let landmarks: Vec<Landmark> = seen
            .points
            .iter()
            .zip(&self.points)
            .filter_map(|(seen, point)| {
                let look = seen[view]?;
                Some(Landmark {
                    point: (*point)?,
                    pixel: look.pixel,
                    weight: look.weight,
                })
            })
            .collect();
        if landmarks.len() < LEAST_PAIRS {
            return None;
        }
        let lens = &self.views[view].intrinsics;
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut pick = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            landmarks[(state % landmarks.len() as u64) as usize]
        };
        let error = |pose: &Extrinsics| {
            let mut errors: Vec<f64> = landmarks
                .iter()
                .map(|l| {
                    lens.project(pose.camera_from_world(l.point))
                        .map_or(1e6, |pixel| pixel.distance(l.pixel))
                })
                .collect();
            median(&mut errors)
        };
        let mut best: Option<(f64, Extrinsics)> = None;
        for _ in 0..200 {
            let sample: Vec<Landmark> = (0..8).map(|_| pick()).collect();
            let Some(pose) = resect(lens, &sample) else {
                continue;
            };
            let error = error(&pose);
            if best.is_none_or(|(least, _)| error < least) {
                best = Some((error, pose));
            }
        }
        refine(lens, &best?.1, &landmarks).map(|solved| solved.extrinsics)
    }

    /// Finds all points anew from the views that are placed, and adjusts everything; three times, so that what was wrong at first
    /// is judged by better cameras.
    fn settle(&mut self, seen: &Seen, order: &[usize]) -> Result<(), PeopleError> {
        for _ in 0..3 {
            self.triangulate_all(seen);
            let numbers: Vec<usize> = (0..self.points.len())
                .filter(|&n| self.points[n].is_some())
                .collect();
            let mut points: Vec<DVec3> = numbers.iter().filter_map(|&n| self.points[n]).collect();
            if points.len() < LEAST_PAIRS {
                return Err(PeopleError::NoFit);
            }
            let mut views: Vec<View> = order.iter().map(|&view| self.views[view].clone()).collect();
            let mut marks = Vec::new();
            for (point, &n) in numbers.iter().enumerate() {
                for (view, &which) in order.iter().enumerate() {
                    if let Some(look) = seen.points[n][which] {
                        marks.push(Mark {
                            view,
                            point,
                            pixel: look.pixel,
                            weight: look.weight,
                        });
                    }
                }
            }
            let fit = adjust(&mut views, &mut points, &marks);
            self.error = fit.after;
            for (view, &which) in views.into_iter().zip(order) {
                self.views[which] = view;
            }
            for (point, n) in points.into_iter().zip(numbers) {
                self.points[n] = Some(point);
            }
        }
        let size = self.spread();
        if self.error.is_finite() && size.is_finite() && size > 0.0 {
            Ok(())
        } else {
            Err(PeopleError::NoFit)
        }
    }

    fn spread(&self) -> f64 {
        let known: Vec<DVec3> = self.points.iter().copied().flatten().collect();
        let centre = known.iter().sum::<DVec3>() / known.len().max(1) as f64;
        let mut apart: Vec<f64> = known.iter().map(|point| point.distance(centre)).collect();
        median(&mut apart)
    }

    fn triangulate_all(&mut self, seen: &Seen) {
        // The bundle has no scale yet; a person is about as large as their joints are spread.
        let person = {
            let spread = self.spread();
            if spread > 0.0 { spread } else { 0.2 }
        };
        let noise = Noise {
            metres: 0.05 * person,
            pixels: 2.0,
            outlier: 4.0,
        };
        for (point, seen) in self.points.iter_mut().zip(&seen.points) {
            let sights: Vec<Sight> = self
                .views
                .iter()
                .enumerate()
                .filter(|(view, _)| self.placed[*view])
                .filter_map(|(view, camera)| {
                    let look = seen[view]?;
                    Some(Sight {
                        ray: camera.ray(look.pixel.as_vec2()),
                        weight: look.weight,
                        pixel: 1.0 / camera.focal(),
                    })
                })
                .collect();
            *point = triangulate(&sights, &noise).map(|found| found.position);
        }
    }

    /// Gives the bundle its size, its up and its floor.
    fn into_room(mut self, stature: f64, ups: &[Option<Vec3>]) -> Result<Room, PeopleError> {
        let people = || self.points.chunks(JOINTS.len());
        let pose = |points: &[Option<DVec3>]| {
            let mut joints: JointMap<Option<DVec3>> = JointMap::default();
            for (&joint, point) in JOINTS.iter().zip(points) {
                joints[joint] = *point;
            }
            joints
        };
        let mut poses: Vec<JointMap<Option<DVec3>>> = people().map(pose).collect();
        let scale = stature / stature_of(&poses).ok_or(PeopleError::NoFit)?;
        let up = told_up(&self.views, ups).or_else(|| up_of(&poses, &self.views));
        let up = up.ok_or(PeopleError::NoFit)?;
        let rotation = upright(&self.views[0].extrinsics, up);
        let moved = |point: DVec3| rotation * (point * scale);
        let feet: Vec<DVec3> = poses
            .iter()
            .flat_map(|pose| {
                FEET.iter().filter_map(|&(joint, above)| {
                    Some(moved(pose[joint]?) - DVec3::Y * above * stature)
                })
            })
            .collect();
        let mut heights: Vec<f64> = feet.iter().map(|point| point.y).collect();
        heights.sort_by(f64::total_cmp);
        // Feet are on the floor most of the time, and hardly ever below it.
        let floor = heights.get(heights.len() / 5).copied().unwrap_or(0.0);
        let count = feet.len().max(1) as f64;
        let middle = feet.iter().sum::<DVec3>() / count;
        let translation = -DVec3::new(middle.x, floor, middle.z);
        for view in &mut self.views {
            view.extrinsics = view.extrinsics.in_moved_world(scale, rotation, translation);
        }
        for pose in &mut poses {
            for &joint in JOINTS {
                pose[joint] = pose[joint].map(|point| moved(point) + translation);
            }
        }
        let moved = travelled(&poses);
        if moved < 0.15 {
            return Err(PeopleError::StoodStill { moved });
        }
        Ok(Room {
            views: self.views,
            error: self.error,
            people: poses,
        })
    }
}

/// Joints of the feet, and how high above the floor they are when it carries them, as a part of the stature.
const FEET: &[(Joint, f64)] = &[
    (Joint::LeftHeel, 0.02),
    (Joint::RightHeel, 0.02),
    (Joint::LeftFootIndex, 0.015),
    (Joint::RightFootIndex, 0.015),
    (Joint::LeftAnkle, 0.05),
    (Joint::RightAnkle, 0.05),
];

/// How tall somebody is, from the lengths of their bones and usual proportions, in the bundle's own unit.
pub fn stature_of(poses: &[JointMap<Option<DVec3>>]) -> Option<f64> {
    let usual = Lengths::default();
    let mut told: Vec<f64> = Vec::new();
    for (n, bone) in BONES.iter().enumerate().filter(|(_, bone)| bone.is_limb()) {
        let mut lengths: Vec<f64> = poses
            .iter()
            .filter_map(|pose| Some(pose[bone.ends.0]?.distance(pose[bone.ends.1]?)))
            .collect();
        if lengths.len() >= 5 {
            let Length { metres, .. } = usual.of(n);
            told.push(median(&mut lengths) / metres * crate::reconstruct::bones::STATURE);
        }
    }
    (told.len() >= 4).then(|| median(&mut told))
}

/// Cameras whose ups are no further apart than this, in degrees, tell the same.
const TOLD_APART: f64 = 6.0;

/// Which way is up, as the cameras are told: the mean of those who agree with the one that most agree with.
fn told_up(views: &[View], ups: &[Option<Vec3>]) -> Option<DVec3> {
    let told: Vec<DVec3> = views
        .iter()
        .zip(ups)
        .filter_map(|(view, up)| {
            Some(view.extrinsics.rotation.transpose() * up.as_ref()?.as_dvec3())
        })
        .collect();
    let near = |up: DVec3| {
        let agrees = move |other: &&DVec3| other.dot(up) > TOLD_APART.to_radians().cos();
        told.iter().filter(agrees)
    };
    let most = told.iter().max_by_key(|up| near(**up).count())?;
    near(*most).sum::<DVec3>().try_normalize()
}

/// Which way is up: how bodies stand on straight legs; the cameras' own up where nobody does.
fn up_of(poses: &[JointMap<Option<DVec3>>], views: &[View]) -> Option<DVec3> {
    let level: DVec3 = views
        .iter()
        .map(|view| view.extrinsics.rotation.transpose() * DVec3::NEG_Y)
        .sum();
    let level = level.try_normalize()?;
    let mut sum = DVec3::ZERO;
    for pose in poses {
        let middle = |a: Joint, b: Joint| Some((pose[a]? + pose[b]?) * 0.5);
        let body = || {
            let shoulders = middle(Joint::LeftShoulder, Joint::RightShoulder)?;
            let hips = middle(Joint::LeftHip, Joint::RightHip)?;
            let ankles = middle(Joint::LeftAnkle, Joint::RightAnkle)?;
            let (trunk, legs) = (
                (shoulders - hips).try_normalize()?,
                (hips - ankles).try_normalize()?,
            );
            // Who bends says nothing.
            let straight = ((trunk.dot(legs) - 0.93) / 0.07).clamp(0.0, 1.0);
            Some((shoulders - ankles).try_normalize()? * straight)
        };
        if let Some(body) = body()
            && body.dot(level) > 0.0
        {
            sum += body;
        }
    }
    // Cameras are set up level more or less; bodies say it better, the more of them stand.
    (sum + level * 2.0).try_normalize()
}

/// How far the trunk went, in metres; arms that wave take nobody anywhere.
fn travelled(poses: &[JointMap<Option<DVec3>>]) -> f64 {
    let mut places: Vec<DVec3> = poses
        .iter()
        .filter_map(|pose| {
            Some(
                (pose[Joint::LeftShoulder]?
                    + pose[Joint::RightShoulder]?
                    + pose[Joint::LeftHip]?
                    + pose[Joint::RightHip]?)
                    * 0.25,
            )
        })
        .collect();
    let centre = places.iter().sum::<DVec3>() / places.len().max(1) as f64;
    places.sort_by(|a, b| a.distance(centre).total_cmp(&b.distance(centre)));
    places
        .get(places.len() * 9 / 10)
        .map_or(0.0, |place| 2.0 * place.distance(centre))
}

#[cfg(test)]
mod tests {
    use bevy::math::DMat3;

    use super::*;
    use crate::source::synthetic::{Faults, Random, Walker, cameras_around, look};

    const FAULTS: Faults = Faults {
        noise: 0.008,
        missing: 0.1,
        exchanged: 0.1,
    };

    fn walk(views: &[View], speed: f64, faults: &Faults) -> Vec<Moment> {
        let walker = Walker {
            centre: DVec3::new(0.2, 0.0, -0.1),
            radius: 1.2,
            speed,
            start: 0.0,
            stature: 1.8,
        };
        let mut random = Random::new(3);
        let moment = |n: u32| -> Moment {
            let joints = walker.joints(f64::from(n) * 0.1);
            let of_view = |view| look(view, &joints, faults, &mut random);
            views.iter().map(of_view).collect()
        };
        (0..90).map(moment).collect()
    }

    fn lenses(views: &[View]) -> Vec<(String, Intrinsics)> {
        let lens = |view: &View| (view.name.clone(), view.intrinsics);
        views.iter().map(lens).collect()
    }

    #[test]
    fn a_walker_of_known_height_places_the_cameras_though_the_network_takes_fronts_for_backs()
    -> Result<(), PeopleError> {
        let truth = cameras_around(4, 4.0);
        let moments = walk(&truth, 1.0, &FAULTS);
        let room = calibrate(&lenses(&truth), &moments, 1.8, &[])?;
        // The rooms differ by a turn and a shift on the floor: distances and heights are the same.
        for (n, found) in room.views.iter().enumerate() {
            let (centre, true_centre) = (found.extrinsics.centre(), truth[n].extrinsics.centre());
            let off = (centre.y - true_centre.y).abs();
            assert!(off < 0.25, "{} is {off:.2} m off in height", found.name);
            for (other, true_other) in room.views.iter().zip(&truth) {
                let apart = centre.distance(other.extrinsics.centre());
                let wanted = true_centre.distance(true_other.extrinsics.centre());
                let off = (apart - wanted).abs();
                assert!(off <= 0.06 * wanted, "{apart:.2} m for {wanted:.2} m");
            }
        }
        Ok(())
    }

    #[test]
    fn who_leans_all_the_time_does_not_tilt_a_room_whose_cameras_know_up() -> Result<(), PeopleError>
    {
        let truth = cameras_around(4, 4.0);
        // Everybody and every camera are turned together: as if people leaned by 20 degrees.
        let lean = DMat3::from_rotation_x(20_f64.to_radians());
        let up = |view: &View| Some((view.extrinsics.rotation * lean * DVec3::Y).as_vec3());
        let mut ups: Vec<Option<Vec3>> = truth.iter().map(up).collect();
        ups[1] = None;
        ups[2] = Some(Vec3::new(0.6, -0.8, 0.0)); // taken for up by mistake
        let moments = walk(&truth, 1.0, &FAULTS);
        let tilted = |ups: &[Option<Vec3>]| -> Result<f64, PeopleError> {
            let room = calibrate(&lenses(&truth), &moments, 1.8, ups)?;
            let camera = &room.views[0].extrinsics;
            Ok((camera.rotation * DVec3::Y)
                .angle_between(truth[0].extrinsics.rotation * lean * DVec3::Y)
                .to_degrees())
        };
        let (told, alone) = (tilted(&ups)?, tilted(&[])?);
        assert!(
            told < 2.0 && alone > 15.0,
            "{told:.1} {alone:.1} degrees off"
        );
        Ok(())
    }

    #[test]
    fn what_does_not_place_cameras_is_told_by_name() {
        let truth = cameras_around(3, 4.0);
        let moments = walk(&truth, 1.0, &FAULTS);
        let of =
            |views: &[View], moments: &[Moment]| calibrate(&lenses(views), moments, 1.8, &[]).err();
        assert_eq!(of(&truth[..1], &moments), Some(PeopleError::TooFewViews(1)));
        assert!(matches!(
            of(&truth, &moments[..1]),
            Some(PeopleError::NothingInCommon { .. })
        ));
        let still = walk(&truth, 0.0, &FAULTS);
        let error = of(&truth, &still);
        assert!(
            matches!(
                error,
                Some(PeopleError::StoodStill { .. } | PeopleError::NoFit)
            ),
            "{error:?}"
        );
        // The third camera sees the person when no other does.
        let mut apart = moments.clone();
        for (n, moment) in apart.iter_mut().enumerate() {
            for (view, seen) in moment.iter_mut().enumerate() {
                if (view == 2) == (n < 70) {
                    *seen = None;
                }
            }
        }
        let error = of(&truth, &apart);
        assert!(
            matches!(&error, Some(PeopleError::CannotPlace { name, .. }) if name == "camera 2"),
            "{error:?}"
        );
    }
}
