//! Whether a camera was bumped after it was calibrated, told by the people who move before it.
//!
//! Where the other cameras see a joint, each camera should. Its own pose is solved from what it does see, over some seconds
//! ([`pose`](super::pose)); what it was in the first seconds, with all that is slightly wrong in any calibration, is what later
//! ones are compared with. Solved poses are compared by where they show the people: a turn and a shift look alike from afar.

use std::collections::VecDeque;

use bevy::math::Vec2;

use super::pose::{Landmark, refine};
use super::projection::median;
use crate::associate::Sighting;
use crate::camera::{Extrinsics, View};
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
    /// The camera that seems to be bumped, since when, and whether that was told.
    suspect: Option<(usize, f64, bool)>,
}

/// Seconds over which a pose is solved.
const WINDOW: f64 = 4.0;
/// The least number of landmarks for that.
const LEAST: usize = 200;
/// More than this, in radians: a fifth of a degree, or 2 cm from 5 m away.
const BUMPED: f64 = 0.0038;
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

    /// Looks at the last seconds; tells each bump once, as soon as all of them are after it. Some milliseconds a camera: once a
    /// second is enough.
    pub fn check(&mut self) -> Option<Bump> {
        let bump = self.compare();
        let Some(bump) = bump else {
            self.suspect = None;
            return None;
        };
        let (since, told) = match self.suspect {
            Some((view, since, told)) if view == bump.view => (since, told),
            _ => (self.time, false),
        };
        let is_sure = !told && self.time - since >= WINDOW;
        self.suspect = Some((bump.view, since, told || is_sure));
        is_sure.then_some(bump)
    }

    /// The camera that stands otherwise than before, if one does.
    fn compare(&mut self) -> Option<Bump> {
        let (first, last) = (self.seen.front()?.0, self.seen.back()?.0);
        if last - first < 0.8 * WINDOW {
            return None;
        }
        let step = self.seen.len().div_ceil(MOST);
        let points: Vec<Vec<Look>> = self
            .seen
            .iter()
            .step_by(step)
            .map(|p| p.1.clone())
            .collect();
        let mut suspects: Vec<(f64, usize, Extrinsics)> = Vec::new();
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
            let now = now.extrinsics;
            let Some(before) = self.before[view] else {
                self.before[view] = Some(now);
                continue;
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
            if shift > BUMPED {
                suspects.push((shift, view, self.moved(view, &before, &now)));
            }
        }
        // One that is off makes others seem so: the one whose new pose makes everything fit was bumped.
        let fit = |suspect: &(f64, usize, Extrinsics)| self.error(&points, suspect.1, &suspect.2);
        let (shift, view, extrinsics) = suspects
            .into_iter()
            .min_by(|a, b| fit(a).total_cmp(&fit(b)))?;
        Some(Bump {
            view,
            shift,
            extrinsics,
            sentence: format!(
                "the camera {} was bumped: people are {:.1}° off in its picture; put it back, or solve its pose anew",
                self.views[view].name,
                shift.to_degrees()
            ),
        })
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
        self.seen.clear();
        self.before = vec![None; self.views.len()];
        self.suspect = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multiview::{MultiView, MultiViewSettings};
    use crate::source::synthetic::{Faults, Random, Walker, cameras_around, look};
    use bevy::math::{DMat3, DVec3};

    /// Watches a walker; camera 1 is turned and moved after 8 s. Returns when a bump is told, which, and the camera as it is.
    fn watch(turn: f64, shift: f64) -> Option<(f64, Bump, View)> {
        let views = cameras_around(4, 4.0);
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
        let mut room = MultiView::new(views.clone(), MultiViewSettings::default());
        let mut dog = Watchdog::new(views.clone());
        let mut stands = views.clone();
        for n in 0..540 {
            let time = f64::from(n) / 30.0;
            if n == 240 {
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
                sightings.extend(pose.map(|pose| Sighting::new(v, &views[v], &pose, None)));
            }
            let people = room.advance(time, &sightings);
            dog.take(time, &people, &sightings);
            if n % 30 == 29
                && let Some(bump) = dog.check()
            {
                return Some((time - 8.0, bump, stands[1].clone()));
            }
        }
        None
    }

    #[test]
    fn a_camera_that_was_turned_by_a_degree_or_moved_by_two_centimetres_is_named_and_solved_anew() {
        for (turn, shift) in [(0.0175, 0.0), (0.0, 0.02)] {
            let Some((after, bump, truth)) = watch(turn, shift) else {
                panic!("turned by {turn} and moved by {shift}: not found")
            };
            assert!(
                bump.view == 1 && (0.0..10.0).contains(&after),
                "{after} {bump:?}"
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
    fn cameras_that_stand_still_are_left_alone() {
        assert_eq!(
            watch(0.0, 0.0).map(|(after, bump, _)| (after, bump.sentence)),
            None
        );
    }
}
