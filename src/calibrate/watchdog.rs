//! Whether a camera was bumped after it was calibrated, told by what stands still before it and by the people who move there.
//!
//! What stands still ([`backdrop`](super::backdrop)) tells more than people do, where a picture has edges that people do not hide,
//! and has the last word on small bumps then. It does not tell how a camera stood before anybody looked.
//!
//! Where the other cameras see a joint, each camera should. Its own pose is solved from what it does see, over some seconds
//! ([`pose`](super::pose)); what it was in the first seconds, with all that is slightly wrong in any calibration, is what later
//! ones are compared with. Solved poses are compared by where they show the people: a turn and a shift look alike from afar.

use std::collections::VecDeque;

use bevy::math::{DMat3, DQuat, DVec3, Rect, Vec2};
use image::RgbImage;

use super::backdrop::{Backdrop, Moved};
use super::pose::{Landmark, refine};
use super::projection::median;
use crate::associate::Sighting;
use crate::camera::{Extrinsics, Intrinsics, View};
use crate::multiview::RoomPerson;
use crate::reconstruct::triangulate::{Noise, Sight, triangulate};

/// A camera that does not stand as it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Bump {
    /// Its number.
    pub view: usize,
    /// How far what it shows has moved, in radians seen from it.
    pub shift: f64,
    /// How it stands now.
    pub extrinsics: Extrinsics,
    /// Whether people told that. Where nobody was there, or two cameras only, the camera is taken to have been turned.
    pub solved: bool,
    /// In words, for the person who stands in the room.
    pub sentence: String,
}

/// Which view sees a joint, along which ray, in which pixel.
type Look = (usize, Sight, Vec2);

/// Watches the cameras of a room.
#[derive(Clone, Debug)]
pub struct Watchdog {
    views: Vec<View>,
    noise: Noise,
    /// Joints that three views or more see, and when.
    seen: VecDeque<(f64, Vec<Look>)>,
    /// How each camera was solved to stand at first.
    before: Vec<Option<Extrinsics>>,
    time: f64,
    /// The camera that seems to be bumped, and since when.
    suspect: Option<(usize, f64)>,
    /// Of which cameras that was told.
    told: Vec<bool>,
    backgrounds: Vec<Background>,
}

/// What stands still before a camera.
#[derive(Clone, Debug)]
struct Background {
    backdrop: Backdrop,
    /// When it is looked at next.
    due: f64,
    /// How far it had moved when that was told last.
    told: Moved,
    /// How often its first picture was replaced by then.
    renewals: u32,
    /// Whether people have told a bump of which it could not tell.
    by_people: bool,
}

impl Background {
    fn new() -> Background {
        Background {
            backdrop: Backdrop::default(),
            due: f64::NEG_INFINITY,
            told: Moved::default(),
            renewals: 0,
            by_people: false,
        }
    }
}

/// What the last seconds say of the cameras.
enum Comparison {
    /// Too little was seen.
    Unknown,
    /// None of those that could be looked at stands otherwise than before.
    Same,
    /// One does not.
    Other(Bump),
}

/// Seconds over which a pose is solved.
const WINDOW: f64 = 4.0;
/// The least number of landmarks for that.
const LEAST: usize = 200;
/// More than this, in radians: a fifth of a degree, or 2 cm from 5 m away.
const BUMPED: f64 = 0.0038;
/// More than this, in radians, where what stands still tells it: 2 cm from 16 m away; and in parts of the picture's width, as
/// pictures of wide lenses tell no more.
const MOVED: f64 = 0.0012;
const SHOWN: f64 = 0.001;
/// Seconds from one look at what stands still to the next.
pub(crate) const BETWEEN: f64 = 1.0;
/// More than this from how it was calibrated, in radians, as no usable calibration is.
const ELSEWHERE: f64 = 0.02;
/// Joints that are off by more than this, in radians, are so together, as people stand and face: a bump must be more than that.
const UNSURE: f64 = 0.008;
/// So many joints are looked at.
const MOST: usize = 900;

impl Watchdog {
    /// For cameras as they were calibrated.
    pub fn new(views: Vec<View>) -> Watchdog {
        Watchdog {
            seen: VecDeque::new(),
            before: vec![None; views.len()],
            time: 0.0,
            suspect: None,
            told: vec![false; views.len()],
            backgrounds: vec![Background::new(); views.len()],
            views,
            noise: Noise {
                metres: 0.05,
                ..Noise::default()
            },
        }
    }

    /// Takes in a moment: what the views see, and whose that is.
    pub fn take(&mut self, time: f64, people: &[RoomPerson], sightings: &[Sighting]) {
        self.time = time;
        for person in people {
            for (joint, _) in person.joints.present() {
                let looks: Vec<Look> = person
                    .seen
                    .iter()
                    .filter_map(|&(view, n)| {
                        let seen = sightings.get(n)?;
                        let (ray, weight) = seen.rays[joint]?;
                        let sight = Sight {
                            ray,
                            weight,
                            pixel: seen.pixel,
                        };
                        Some((view, sight, seen.pose[joint]?.position))
                    })
                    .collect();
                if looks.len() >= 3 {
                    self.seen.push_back((time, looks));
                }
            }
        }
        while self.seen.front().is_some_and(|(at, _)| *at < time - WINDOW) {
            self.seen.pop_front();
        }
    }

    /// Takes in what a view shows, in which people hide these boxes, in its pixels. Looks at it once a second, at one view after the
    /// other; more pictures than that cost nothing.
    pub fn look(&mut self, time: f64, view: usize, picture: &RgbImage, people: &[Rect]) {
        let count = self.backgrounds.len().max(1);
        let Some(background) = self.backgrounds.get_mut(view) else {
            return;
        };
        if picture.is_empty() || time < background.due {
            return;
        }
        let is_first = background.due == f64::NEG_INFINITY;
        background.due = time + BETWEEN;
        if is_first {
            background.due += BETWEEN * view as f64 / count as f64;
        }
        background.backdrop.take(picture, people);
    }

    /// Looks at the last seconds; tells each bump once: of what stood still after three to five seconds, of people as soon as all that is
    /// remembered of them is after it. Some milliseconds a camera: once a second is enough.
    pub fn check(&mut self) -> Vec<Bump> {
        let bumps: Vec<Bump> = (0..self.views.len())
            .filter_map(|view| self.check_background(view))
            .collect();
        if !bumps.is_empty() {
            return bumps;
        }
        let bump = match self.compare() {
            Comparison::Other(bump) => bump,
            Comparison::Same | Comparison::Unknown => {
                self.suspect = None;
                return bumps;
            }
        };
        let since = match self.suspect {
            Some((view, since)) if view == bump.view => since,
            _ => self.time,
        };
        self.suspect = Some((bump.view, since));
        let is_sure = self.time - since >= WINDOW && !self.told[bump.view];
        if is_sure {
            self.told[bump.view] = true;
            let background = &mut self.backgrounds[bump.view];
            background.by_people = background.backdrop.moved().is_none();
        }
        is_sure.then_some(bump).into_iter().collect()
    }

    /// Whether what stands still has moved by as much, seen by a view.
    fn is_bump(&self, view: usize, moved: Moved) -> bool {
        moved.size() > SHOWN && moved.size() * self.widths(view) > MOVED
    }

    /// Widths of a view's picture, as parts of its focal length.
    fn widths(&self, view: usize) -> f64 {
        let lens = &self.views[view].intrinsics;
        f64::from(lens.width) / lens.focal.x
    }

    /// Whether what stands still before a camera is where it was at first; `None` where that is not known.
    fn stands_still(&self, view: usize) -> Option<bool> {
        let backdrop = &self.backgrounds[view].backdrop;
        let moved = backdrop.moved().filter(|_| backdrop.renewals() == 0)?;
        Some(!self.is_bump(view, moved) && moved.zoom.abs() < 4.0 * SHOWN)
    }

    fn check_background(&mut self, view: usize) -> Option<Bump> {
        let background = &mut self.backgrounds[view];
        let moved = background.backdrop.moved()?;
        let renewals = background.backdrop.renewals();
        if background.renewals != renewals {
            (background.renewals, background.told) = (renewals, Moved::default());
        }
        let (before, is_known) = (background.told, background.by_people);
        let further = moved.minus(before);
        if !self.is_bump(view, moved) {
            self.backgrounds[view].by_people = false;
        }
        // A mount that settles is no bump of its own.
        if !self.is_bump(view, further) || further.size() < 0.2 * moved.size() {
            return None;
        }
        self.backgrounds[view].told = moved;
        if !self.is_bump(view, moved) {
            // It was put back.
            self.told[view] = false;
            return None;
        }
        self.told[view] = true;
        self.backgrounds[view].by_people = false;
        if is_known {
            return None;
        }
        let turned = self.turned(view, moved);
        let solved = self.solved_since(view, self.time - BETWEEN * 2.0);
        let solved = solved.filter(|solved| self.is_alike(view, solved, &turned));
        let angle = moved.size() * self.widths(view);
        Some(Bump {
            view,
            shift: angle,
            solved: solved.is_some(),
            extrinsics: solved.unwrap_or(turned),
            sentence: format!(
                "the camera {} was bumped: what stands still is {:.2}° off in its picture; put it back, or solve its pose anew",
                self.views[view].name,
                angle.to_degrees()
            ),
        })
    }

    /// A camera that was turned so that its picture moved as told: from afar, a shift looks like that.
    fn turned(&self, view: usize, moved: Moved) -> Extrinsics {
        let old = self.views[view].extrinsics;
        let shift = moved.shift * self.widths(view);
        let axis = DVec3::new(-shift.y, shift.x, moved.turn);
        let turn = DMat3::from_quat(DQuat::from_scaled_axis(axis));
        Extrinsics {
            rotation: turn * old.rotation,
            translation: turn * old.translation,
        }
    }

    /// Whether a pose that people told shows what is far away about where its picture does: a bump may move people by more than
    /// that, and people are wrong by as much as they are not believed.
    fn is_alike(&self, view: usize, solved: &Extrinsics, turned: &Extrinsics) -> bool {
        let old = &self.views[view].extrinsics;
        let far = old.world_from_camera(DVec3::Z * 1e4);
        let seen = |pose: &Extrinsics| pose.camera_from_world(far);
        let bump = seen(old).angle_between(seen(turned));
        seen(solved).angle_between(seen(turned)) < 0.5 * bump + BUMPED
    }

    /// A camera's pose by whom it has seen since a time; `None` where that is not enough.
    fn solved_since(&self, view: usize, time: f64) -> Option<Extrinsics> {
        let before = self.before[view]?;
        let landmarks = self.landmarks(view, &self.points_since(time));
        let lens = &self.views[view].intrinsics;
        let now = (landmarks.len() >= LEAST).then(|| refine(lens, &before, &landmarks))??;
        Some(self.moved(view, &before, &now.extrinsics))
    }

    fn compare(&mut self) -> Comparison {
        let Some((first, last)) = self.seen.front().zip(self.seen.back()) else {
            return Comparison::Unknown;
        };
        if last.0 - first.0 < 0.8 * WINDOW {
            return Comparison::Unknown;
        }
        let points = self.points_since(f64::NEG_INFINITY);
        let mut suspects: Vec<(f64, usize, Extrinsics)> = Vec::new();
        let (mut solved, mut first) = (0, Vec::new());
        for view in 0..self.views.len() {
            let landmarks = self.landmarks(view, &points);
            if landmarks.len() < LEAST {
                continue;
            }
            let camera = &self.views[view];
            let start = self.before[view].unwrap_or(camera.extrinsics);
            let Some(now) = refine(&camera.intrinsics, &start, &landmarks) else {
                continue;
            };
            let (now, error) = (now.extrinsics, now.error);
            solved += 1;
            let (before, limit) = match self.before[view] {
                Some(before) => (before, BUMPED),
                None => (camera.extrinsics, ELSEWHERE),
            };
            let shown = |pose: &Extrinsics, landmark: &Landmark| {
                let point = pose.camera_from_world(landmark.point);
                camera.intrinsics.project(point)
            };
            let mut apart: Vec<f64> = landmarks
                .iter()
                .filter_map(|l| Some(shown(&before, l)?.distance(shown(&now, l)?)))
                .collect();
            let shift = median(&mut apart) / camera.focal();
            let off = error / camera.focal();
            let limit = if off > UNSURE { limit.max(off) } else { limit };
            // By so little, people may be wrong about a camera whose picture shows that it is where it was.
            let still = self.before[view]
                .is_some()
                .then(|| self.stands_still(view))
                .flatten();
            let is_off = shift > limit && (still != Some(true) || shift > ELSEWHERE);
            if !is_off && !self.is_bump(view, self.backgrounds[view].told) {
                self.told[view] = false;
            }
            if is_off {
                suspects.push((shift, view, self.moved(view, &before, &now)));
            } else if self.before[view].is_none() {
                first.push((view, now));
            }
        }
        if suspects.is_empty() {
            // One that is off makes others seem so: how they stand is learnt while none is.
            for (view, now) in first {
                self.before[view] = Some(now);
            }
        }
        // One that is off makes others seem so: the one whose new pose makes everything fit was bumped.
        let fit = |suspect: &(f64, usize, Extrinsics)| self.error(&points, suspect.1, &suspect.2);
        let worst = suspects
            .into_iter()
            .min_by(|a, b| fit(a).total_cmp(&fit(b)));
        let Some((shift, view, extrinsics)) = worst else {
            return match solved {
                0 => Comparison::Unknown,
                _ => Comparison::Same,
            };
        };
        Comparison::Other(Bump {
            view,
            shift,
            extrinsics,
            solved: true,
            sentence: format!(
                "the camera {} was bumped: people are {:.1}° off in its picture; put it back, or solve its pose anew",
                self.views[view].name,
                shift.to_degrees()
            ),
        })
    }

    /// What was seen of joints since a time: so many of them that it does not take long.
    fn points_since(&self, time: f64) -> Vec<Vec<Look>> {
        let since = || self.seen.iter().filter(|(at, _)| *at >= time);
        let step = since().count().div_ceil(MOST).max(1);
        since()
            .step_by(step)
            .map(|(_, looks)| looks.clone())
            .collect()
    }

    /// Where the other views say that joints are, and where this one shows them.
    fn landmarks(&self, view: usize, points: &[Vec<Look>]) -> Vec<Landmark> {
        let landmark = |looks: &Vec<Look>| {
            let own = looks.iter().find(|look| look.0 == view)?;
            let others = looks.iter().filter(|other| other.0 != view);
            let others: Vec<Sight> = others.map(|other| other.1).collect();
            Some(Landmark {
                point: triangulate(&others, &self.noise)?.position,
                pixel: own.2.as_dvec2(),
                weight: own.1.weight,
            })
        };
        points.iter().filter_map(landmark).collect()
    }

    /// A camera after a bump: what was off when it was calibrated stays as it was.
    fn moved(&self, view: usize, before: &Extrinsics, now: &Extrinsics) -> Extrinsics {
        let old = self.views[view].extrinsics;
        let turn = now.rotation * before.rotation.transpose();
        Extrinsics {
            rotation: turn * old.rotation,
            translation: turn * old.translation + now.translation - turn * before.translation,
        }
    }

    /// How badly all views agree if one of them stands as told: the mean squared error, in standard deviations, each no more
    /// than an outlier's.
    fn error(&self, points: &[Vec<Look>], view: usize, extrinsics: &Extrinsics) -> f64 {
        let camera = View {
            extrinsics: *extrinsics,
            ..self.views[view].clone()
        };
        let limit = self.noise.outlier * self.noise.outlier;
        let (mut sum, mut count) = (0.0, 0.0);
        for looks in points {
            let sights: Vec<Sight> = looks
                .iter()
                .map(|&(of, sight, pixel)| {
                    let ray = if of == view {
                        camera.ray(pixel)
                    } else {
                        sight.ray
                    };
                    Sight { ray, ..sight }
                })
                .collect();
            let point = triangulate(&sights, &self.noise);
            for sight in &sights {
                let error = point.map(|point| self.noise.error_squared(sight, point.position));
                sum += error.unwrap_or(limit).min(limit);
                count += 1.0;
            }
        }
        sum / f64::max(count, 1.0)
    }

    /// Takes a camera for one that stands as told from now on.
    pub fn set_pose(&mut self, view: usize, extrinsics: Extrinsics) {
        self.views[view].extrinsics = extrinsics;
        // What was seen of it, and with it of the others, is of a room that was wrong.
        self.begin_anew(view);
    }

    /// Gives a camera another lens, such as the same one for pictures of another size.
    pub fn set_lens(&mut self, view: usize, lens: Intrinsics) {
        if self.views[view].intrinsics != lens {
            self.views[view].intrinsics = lens;
            // Pixels of before are of other rays.
            self.begin_anew(view);
        }
    }

    fn begin_anew(&mut self, view: usize) {
        self.seen.clear();
        self.before.fill(None);
        self.told.fill(false);
        self.suspect = None;
        self.backgrounds[view] = Background::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::backdrop;
    use crate::multiview::{MultiView, MultiViewSettings};
    use crate::source::synthetic::{Faults, Random, Walker, cameras_around, look};
    use bevy::math::DVec2;

    /// What happens before the cameras.
    struct Scene {
        /// When camera 1 is turned and moved, by how many radians and metres.
        bumped: (f64, f64, f64),
        /// Pictures are of this part of the size for which the cameras were calibrated.
        scale: f64,
        /// From when to when nobody is there.
        away: std::ops::Range<f64>,
        seconds: u32,
    }

    /// Watches a walker: what is told, when, and camera 1 as it is at the end.
    fn watch(scene: &Scene) -> (Vec<(f64, Bump)>, View) {
        let calibrated = cameras_around(4, 4.0);
        let walker = Walker {
            centre: DVec3::new(0.2, 0.0, -0.1),
            radius: 1.1,
            speed: 1.0,
            start: 0.0,
            stature: 1.7,
        };
        let faults = Faults {
            noise: 0.008,
            missing: 0.1,
            exchanged: 0.02,
        };
        let mut random = Random::new(17);
        let mut dog = Watchdog::new(calibrated.clone());
        let mut views = calibrated;
        for (n, view) in views.iter_mut().enumerate() {
            let side = |pixels: u32| (f64::from(pixels) * scene.scale).round() as u32;
            let lens = &view.intrinsics;
            view.intrinsics = lens
                .for_size(side(lens.width), side(lens.height))
                .unwrap_or(*lens);
            dog.set_lens(n, view.intrinsics);
        }
        let mut room = MultiView::new(views.clone(), MultiViewSettings::default());
        let mut stands = views.clone();
        let (at, turn, shift) = scene.bumped;
        let mut told = Vec::new();
        for n in 0..scene.seconds * 30 {
            let time = f64::from(n) / 30.0;
            if (time - at).abs() < 0.01 {
                let placed = &mut stands[1].extrinsics;
                let turn = DMat3::from_rotation_y(turn);
                *placed = Extrinsics {
                    rotation: turn * placed.rotation,
                    translation: turn * placed.translation + DVec3::X * shift,
                };
            }
            let joints = walker.joints(time);
            let mut sightings = Vec::new();
            for (v, view) in stands.iter().enumerate() {
                let pose = look(view, &joints, &faults, &mut random);
                let pose = pose.filter(|_| !scene.away.contains(&time));
                sightings.extend(pose.map(|pose| Sighting::new(v, &views[v], &pose, None)));
            }
            let people = room.advance(time, &sightings);
            dog.take(time, &people, &sightings);
            if n % 30 == 29 {
                told.extend(dog.check().into_iter().map(|bump| (time, bump)));
            }
        }
        (told, stands.remove(1))
    }

    #[test]
    fn a_camera_that_was_turned_by_a_degree_or_moved_by_two_centimetres_is_named_once_and_solved_anew()
     {
        for (turn, shift) in [(0.0175, 0.0), (0.0, 0.02)] {
            // Whoever told it goes away and comes back.
            let (told, truth) = watch(&Scene {
                bumped: (8.0, turn, shift),
                scale: 1.0,
                away: 20.0..26.0,
                seconds: 40,
            });
            let [(time, bump)] = &told[..] else {
                panic!("turned by {turn} and moved by {shift}: told {told:?}")
            };
            assert!(
                bump.view == 1 && (8.0..18.0).contains(time),
                "{time} {bump:?}"
            );
            assert!(bump.sentence.contains("camera 1"), "{}", bump.sentence);
            let point = DVec3::new(0.0, 1.0, 0.0);
            let (now, wanted) = (
                truth
                    .intrinsics
                    .project(bump.extrinsics.camera_from_world(point)),
                truth.project(point),
            );
            let off = now.zip(wanted).map(|(now, wanted)| now.distance(wanted));
            assert!(off.is_some_and(|off| off < 6.0), "{off:?}");
        }
    }

    #[test]
    fn cameras_that_stand_still_are_left_alone_whatever_the_size_of_their_pictures() {
        for scale in [1.0, 0.5] {
            let (told, _) = watch(&Scene {
                bumped: (0.0, 0.0, 0.0),
                scale,
                away: 0.0..0.0,
                seconds: 18,
            });
            assert!(told.is_empty(), "at {scale}: {told:?}");
        }
    }

    #[test]
    fn a_camera_that_was_knocked_before_anybody_came_is_named_too() {
        let (told, _) = watch(&Scene {
            bumped: (0.0, 0.04, 0.0),
            scale: 1.0,
            away: 0.0..0.0,
            seconds: 14,
        });
        let views: Vec<usize> = told.iter().map(|(_, bump)| bump.view).collect();
        assert_eq!(views, [1], "{told:?}");
    }

    /// Two cameras before whom nobody is: shows the scenes to the second one, three seconds each, and tells what is said after each.
    fn show(scenes: &[backdrop::tests::Scene]) -> (Vec<Vec<Bump>>, View) {
        let mut views = cameras_around(2, 4.0);
        for view in &mut views {
            view.intrinsics = Intrinsics::assumed(640, 480);
        }
        let mut dog = Watchdog::new(views.clone());
        let still = backdrop::tests::SCENE.picture();
        let mut time = 0.0;
        let mut show = |scene: &backdrop::tests::Scene| {
            let mut told = Vec::new();
            for seed in 0..4 {
                let scene = backdrop::tests::Scene { seed, ..*scene };
                let picture = scene.picture();
                // Far more pictures come than are looked at, of each view by itself.
                for _ in 0..25 {
                    time += 0.05;
                    dog.look(time, 0, &still, &[]);
                    dog.look(time, 1, &RgbImage::default(), &[]);
                    dog.look(time, 1, &picture, &[]);
                }
                told.extend(dog.check());
            }
            told
        };
        (scenes.iter().map(&mut show).collect(), views.remove(1))
    }

    #[test]
    fn a_camera_is_named_each_time_its_picture_moves_and_not_when_it_is_put_back() {
        use backdrop::tests::SCENE;
        let moved = |x: f64, y: f64| backdrop::tests::Scene {
            shift: DVec2::new(x, y),
            ..SCENE
        };
        let rolled = backdrop::tests::Scene {
            turn: 0.02,
            ..SCENE
        };
        let (told, view) = show(&[
            SCENE,
            moved(6.0, -4.0),
            moved(6.0, -4.0),
            moved(12.0, 0.0),
            SCENE,
            moved(-3.0, 0.0),
            SCENE,
            rolled,
        ]);
        let named: Vec<usize> = told.iter().map(Vec::len).collect();
        assert_eq!(named, [0, 1, 0, 1, 0, 1, 0, 1], "{told:?}");
        let bumps: Vec<&Bump> = told.iter().flatten().collect();
        assert!(bumps.iter().all(|bump| bump.view == 1 && !bump.solved));
        // What is far away is seen where it is now.
        let far = view
            .extrinsics
            .world_from_camera(DVec3::new(0.2, -0.1, 1.0) * 1e4);
        let shown = |pose: &Extrinsics| view.intrinsics.project(pose.camera_from_world(far));
        let shift = |bump: &Bump| Some(shown(&bump.extrinsics)? - shown(&view.extrinsics)?);
        for (bump, wanted) in bumps.iter().zip([(6.0, -4.0), (12.0, 0.0), (-3.0, 0.0)]) {
            let off = shift(bump).map(|shift| shift.distance(wanted.into()));
            // A turn moves the edge of a picture by more than its middle.
            let least = 0.3 * DVec2::from(wanted).length();
            assert!(off.is_some_and(|off| off < least), "{bump:?}: {off:?}");
        }
        let out = shown(&view.extrinsics).map(|place| place - DVec2::new(319.5, 239.5));
        let wanted = out.map(|out| out.perp() * 0.02);
        let off = shift(bumps[3])
            .zip(wanted)
            .map(|(shift, wanted)| shift.distance(wanted));
        assert!(off.is_some_and(|off| off < 1.0), "{off:?}");
    }
}
