//! Whether a camera still looks where it did, told by what stands still behind the people.
//!
//! The first picture is laid over each later one: what moves it there best is found by Gauss–Newton on grey values (Lucas and
//! Kanade 1981), coarse to fine, with a gain and an offset for lamps and automatic exposure, a turn and a zoom for lenses that
//! focus, and weights that leave out what moved by itself (Cauchy's). A tenth of a degree is seen this way, which people, whose
//! joints networks place differently wherever they stand, do not tell.

use std::collections::VecDeque;

use bevy::math::{DVec2, Rect, Vec2};
use image::RgbImage;
use image::imageops::{blur, grayscale, thumbnail};
use nalgebra::{SMatrix, SVector};

use super::projection::median;

/// What a camera showed at first, and how later pictures lie over that.
#[derive(Clone, Debug, Default)]
pub struct Backdrop {
    /// The first picture, the finest level first.
    first: Vec<Reference>,
    /// How the last few were moved, in pixels of the finest level; `None` where that cannot be told.
    moved: VecDeque<Option<Moved>>,
    /// So many in a row show something, and nothing of what was there at first.
    unread: u32,
    renewals: u32,
}

/// How what a camera shows has moved in its picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moved {
    /// To the right and down, in parts of the picture's width.
    pub shift: DVec2,
    /// Turned about the middle, in radians, clockwise as seen.
    pub turn: f64,
    /// Larger by this part, as lenses make it that focus.
    pub zoom: f64,
}

impl Moved {
    /// Of a shift along x and y, and of what a turn and a zoom move at the picture's edge, all in pixels of [`WIDTH`].
    fn of(warp: &Warp) -> Moved {
        let half = f64::from(WIDTH) * 0.5;
        Moved {
            shift: DVec2::new(warp[0], warp[1]) / f64::from(WIDTH),
            turn: warp[2] / half,
            zoom: warp[3] / half,
        }
    }

    /// From another movement to this one.
    pub fn minus(self, other: Moved) -> Moved {
        self.plus(other, -1.0)
    }

    fn plus(self, other: Moved, share: f64) -> Moved {
        Moved {
            shift: self.shift + other.shift * share,
            turn: self.turn + other.turn * share,
            zoom: self.zoom + other.zoom * share,
        }
    }

    /// How far things move half-way to the picture's edge, in parts of its width; what focus does is not of the camera.
    pub fn size(&self) -> f64 {
        self.shift.length() + 0.25 * self.turn.abs()
    }
}

/// Pictures are made as wide as this, in pixels.
const WIDTH: u32 = 320;
/// And smoothed over so many, so that edges are wider than what they move by.
const SMOOTH: f32 = 1.2;
/// How often they are halved: shifts of a tenth of the width are found.
const HALVINGS: usize = 3;
/// So many pictures in a row must tell the same: somebody who bumps into a table moves its camera for a moment.
const LOOKS: usize = 3;
/// Grey values change by this much from one pixel to the next, or more, where a shift can be seen.
const EDGE: f32 = 3.0;
/// With fewer of those pixels nothing is told.
const LEAST: usize = 200;
/// So many of them are looked at.
const MOST: usize = 8000;
/// A pixel that is off by so many standard deviations counts half.
const CAUCHY: f64 = 2.4;
/// Less than this part of the picture's edges where they were is another room, or a dark one.
const LEAST_KEPT: f64 = 0.5;
/// Grey values that differ by more than this, as a standard deviation, do not fit.
const MISFIT: f64 = 12.0;
/// So much darker or brighter a picture of the same room may be.
const LIGHT: std::ops::Range<f64> = 0.25..4.0;
/// After so many pictures that show nothing of what was there, the room is another one.
const ANOTHER: u32 = 10;
/// A shift is told if it is this sure, in pixels of the finest level: neighbouring pixels are wrong together.
const SURE: f64 = 0.02;

impl Backdrop {
    /// Takes in a picture, in which people hide these boxes (in its pixels).
    pub fn take(&mut self, picture: &RgbImage, people: &[Rect]) {
        if picture.width() < 16 || picture.height() < 16 {
            return;
        }
        let now = levels(picture, people);
        let is_of_use = self.first.first().is_some_and(|first| {
            let size = |level: &Level| (level.width, level.height);
            size(&first.level) == size(&now[0]) && first.edges.len() >= LEAST
        });
        if !is_of_use || self.unread >= ANOTHER {
            *self = Backdrop {
                renewals: self.renewals + u32::from(is_of_use),
                first: now.into_iter().map(Reference::new).collect(),
                ..Backdrop::default()
            };
            return;
        }
        if self.moved.len() == LOOKS {
            self.moved.pop_front();
        }
        let moved = laid_over_first(&self.first, &now);
        // A dark room and somebody close by hide what is there, and it is not another one.
        let shows = moved.is_none() && 2 * now[0].edges().len() >= self.first[0].edges.len();
        self.unread = match (moved, shows) {
            (Some(_), _) => 0,
            (None, true) => self.unread + 1,
            (None, false) => self.unread,
        };
        self.moved.push_back(moved);
    }

    /// How what it shows has moved, by the last few pictures; `None` where they do not tell, or not the same.
    pub fn moved(&self) -> Option<Moved> {
        let told: Vec<Moved> = self.moved.iter().copied().flatten().collect();
        let mean = told.iter().fold(Moved::default(), |sum, moved| {
            sum.plus(*moved, 1.0 / LOOKS as f64)
        });
        let alike =
            |moved: &Moved| moved.minus(mean).size() < 0.2 / f64::from(WIDTH) + 0.1 * mean.size();
        (told.len() == LOOKS && told.iter().all(alike)).then_some(mean)
    }

    /// How often a later picture took the place of the first, as the room became another one.
    pub fn renewals(&self) -> u32 {
        self.renewals
    }
}

/// The first picture at one size, and where something can be seen to move in it: pixels with an edge, and the slope of their grey
/// values.
#[derive(Clone, Debug)]
struct Reference {
    level: Level,
    edges: Vec<(usize, DVec2)>,
}

impl Reference {
    fn new(level: Level) -> Reference {
        Reference {
            edges: level.edges(),
            level,
        }
    }
}

/// A picture at one size.
#[derive(Clone, Debug)]
struct Level {
    width: usize,
    height: usize,
    grey: Vec<f32>,
    /// Where somebody is, or was.
    hidden: Vec<bool>,
}

fn levels(picture: &RgbImage, people: &[Rect]) -> Vec<Level> {
    let scale = f64::from(WIDTH) / f64::from(picture.width());
    let height = (f64::from(picture.height()) * scale).round().max(16.0) as u32;
    let small = blur(&grayscale(&thumbnail(picture, WIDTH, height)), SMOOTH);
    let mut hidden = vec![false; small.len()];
    for person in people {
        // Shadows and arms reach beyond the box.
        let grown = person.inflate(0.1 * person.size().max_element());
        let corner = |at: Vec2| {
            (at.as_dvec2() * scale).clamp(DVec2::ZERO, DVec2::new(WIDTH.into(), height.into()))
        };
        let (low, high) = (corner(grown.min), corner(grown.max));
        for y in low.y as usize..high.y as usize {
            let row = y * WIDTH as usize;
            hidden[row + low.x as usize..row + high.x as usize].fill(true);
        }
    }
    let mut levels = vec![Level {
        width: WIDTH as usize,
        height: height as usize,
        grey: small.iter().map(|&value| f32::from(value)).collect(),
        hidden,
    }];
    for n in 0..HALVINGS {
        levels.push(levels[n].halved());
    }
    levels
}

impl Level {
    fn halved(&self) -> Level {
        let (width, height) = (self.width / 2, self.height / 2);
        let four = |n: usize| {
            let first = n / width * 2 * self.width + n % width * 2;
            [first, first + 1, first + self.width, first + self.width + 1]
        };
        Level {
            width,
            height,
            grey: (0..width * height)
                .map(|n| four(n).map(|m| self.grey[m]).iter().sum::<f32>() / 4.0)
                .collect(),
            hidden: (0..width * height)
                .map(|n| four(n).iter().any(|&m| self.hidden[m]))
                .collect(),
        }
    }

    /// Between the four nearest pixels; `None` beyond the picture, and where somebody is.
    fn at(&self, place: DVec2) -> Option<f64> {
        let low = place.floor();
        if low.x < 0.0
            || low.y < 0.0
            || low.x + 1.0 >= self.width as f64
            || low.y + 1.0 >= self.height as f64
        {
            return None;
        }
        let n = low.y as usize * self.width + low.x as usize;
        let part = place - low;
        let value = |n: usize| f64::from(self.grey[n]);
        let row = |n: usize| value(n) * (1.0 - part.x) + value(n + 1) * part.x;
        (!self.hidden[n]).then(|| row(n) * (1.0 - part.y) + row(n + self.width) * part.y)
    }

    /// Pixels with an edge that nobody hides, and the slope of their grey values.
    fn edges(&self) -> Vec<(usize, DVec2)> {
        let mut edges = Vec::new();
        for y in 1..self.height - 1 {
            for x in 1..self.width - 1 {
                let n = y * self.width + x;
                let slope = Vec2::new(
                    self.grey[n + 1] - self.grey[n - 1],
                    self.grey[n + self.width] - self.grey[n - self.width],
                ) * 0.5;
                if !self.hidden[n] && slope.length_squared() > EDGE * EDGE {
                    edges.push((n, slope.as_dvec2()));
                }
            }
        }
        let step = edges.len().div_ceil(MOST).max(1);
        edges.into_iter().step_by(step).collect()
    }
}

/// What lays one picture over another: shift along x and y in pixels, turn and zoom (as pixels at the edge of the picture), gain
/// and offset of grey values.
type Warp = SVector<f64, 6>;

/// How what the first picture shows has moved.
fn laid_over_first(first: &[Reference], now: &[Level]) -> Option<Moved> {
    let mut warp = Warp::zeros();
    let mut sure = None;
    for (first, now) in first.iter().zip(now).rev() {
        // From pixels of the level before to this one's.
        for n in 0..4 {
            warp[n] *= 2.0;
        }
        sure = laid_over(first, now, &mut warp);
    }
    sure.filter(|sigma| *sigma < SURE).map(|_| Moved::of(&warp))
}

/// Improves a warp; tells how sure its shift is, in pixels, or nothing where the pictures do not fit.
fn laid_over(first: &Reference, now: &Level, warp: &mut Warp) -> Option<f64> {
    const ROUNDS: usize = 8;
    let (first, edges) = (&first.level, &first.edges);
    let middle = DVec2::new(first.width as f64, first.height as f64) * 0.5;
    let mut sigma = None;
    for _ in 0..ROUNDS {
        // How far off each pixel is, and how that changes with the warp.
        let mut rows: Vec<(f64, Warp)> = Vec::with_capacity(edges.len());
        for &(n, slope) in edges {
            let place = DVec2::new((n % first.width) as f64, (n / first.width) as f64);
            let out = (place - middle) / middle.x;
            let moved = DVec2::new(warp[0], warp[1]) + out.perp() * warp[2] + out * warp[3];
            let Some(shown) = now.at(place + moved) else {
                continue;
            };
            let grey = f64::from(first.grey[n]);
            let off = shown - grey * (1.0 + warp[4]) - warp[5];
            let slope = slope * (1.0 + warp[4]);
            let row = [
                slope.x,
                slope.y,
                slope.dot(out.perp()),
                slope.dot(out),
                -grey,
                -1.0,
            ];
            rows.push((off, Warp::from(row)));
        }
        if rows.len() < (LEAST / 8).max(edges.len() / 4) {
            return None;
        }
        let mut sizes: Vec<f64> = rows.iter().map(|(off, _)| off.abs()).collect();
        let usual = (1.4826 * median(&mut sizes)).max(0.3);
        let mut normal = SMatrix::<f64, 6, 6>::zeros();
        let mut right = Warp::zeros();
        let mut kept = 0.0;
        for (off, row) in &rows {
            let weight = 1.0 / (1.0 + (off / (CAUCHY * usual)).powi(2));
            kept += weight;
            normal += row * row.transpose() * weight;
            right -= row * (off * weight);
        }
        // A picture whose edges all run along one line says nothing of shifts along that.
        let inverse = normal.try_inverse()?;
        let step = inverse * right;
        *warp += step;
        let fits = kept > LEAST_KEPT * rows.len() as f64
            && usual < MISFIT
            && LIGHT.contains(&(1.0 + warp[4]));
        sigma = fits.then(|| usual * f64::max(inverse[(0, 0)], inverse[(1, 1)]).sqrt());
        if step.fixed_rows::<4>(0).norm() < 1e-3 {
            break;
        }
    }
    sigma
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::source::synthetic::Random;
    use image::Rgb;

    /// A picture of a room of boxes.
    #[derive(Clone, Copy)]
    pub struct Scene {
        /// Moved by so many pixels.
        pub shift: DVec2,
        /// Turned about the middle, in radians.
        pub turn: f64,
        /// How bright it is.
        pub gain: f64,
        /// Where somebody of other colours stands, in pixels.
        pub person: Option<f64>,
        /// Of its noise.
        pub seed: u64,
    }

    pub const SCENE: Scene = Scene {
        shift: DVec2::ZERO,
        turn: 0.0,
        gain: 1.0,
        person: None,
        seed: 1,
    };

    impl Scene {
        pub fn picture(&self) -> RgbImage {
            let mut boxes = Random::new(5);
            let boxes: Vec<[f64; 5]> = (0..25)
                .map(|_| std::array::from_fn(|_| boxes.uniform()))
                .collect();
            let mut noise = Random::new(self.seed);
            let middle = DVec2::new(320.0, 240.0);
            let back = DVec2::from_angle(-self.turn);
            RgbImage::from_fn(640, 480, |x, y| {
                let mut sum = 0.0;
                // Pixels are areas: four points of each.
                for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                    let pixel = DVec2::new(f64::from(x) + dx, f64::from(y) + dy);
                    let place = middle + back.rotate(pixel - self.shift - middle);
                    let (u, v) = (place.x / 640.0, place.y / 480.0);
                    let mut shade = 120.0;
                    for [left, top, width, height, grey] in boxes.iter().copied() {
                        let (u, v) = (u - left, v - top);
                        if u > 0.0 && v > 0.0 && u < 0.3 * width && v < 0.3 * height {
                            shade = 40.0 + 170.0 * grey;
                        }
                    }
                    let is_person = |at: f64| (pixel.x - at).abs() < 70.0 && pixel.y > 120.0;
                    if self.person.is_some_and(is_person) {
                        shade = 200.0 - 0.3 * pixel.y;
                    }
                    sum += 0.25 * shade;
                }
                let value = sum * self.gain + 3.0 * noise.normal();
                Rgb([value.clamp(0.0, 255.0) as u8; 3])
            })
        }

        /// The person's box.
        fn people(&self) -> Vec<Rect> {
            let bounds = |at: f64| Rect::new(at as f32 - 70.0, 120.0, at as f32 + 70.0, 480.0);
            self.person.into_iter().map(bounds).collect()
        }
    }

    /// What is told of three later pictures.
    fn told(first: Scene, later: impl Fn(u64) -> Scene) -> Option<Moved> {
        let mut backdrop = Backdrop::default();
        backdrop.take(&first.picture(), &first.people());
        for n in 0..3 {
            assert_eq!(backdrop.moved(), None);
            let later = Scene {
                seed: 10 + n,
                ..later(n)
            };
            backdrop.take(&later.picture(), &later.people());
        }
        backdrop.moved()
    }

    #[test]
    fn small_and_large_shifts_are_told_though_people_walk_and_the_light_changes() {
        for (gain, x, y) in [
            (0.85, 0.0, 0.0),
            (0.85, 0.7, -0.4),
            (0.4, -9.0, 6.0),
            (0.85, 30.0, 0.0),
        ] {
            let shift = DVec2::new(x, y);
            let first = Scene {
                person: Some(200.0),
                ..SCENE
            };
            let found = told(first, |n| Scene {
                shift,
                gain,
                person: Some(300.0 + 60.0 * n as f64),
                ..SCENE
            });
            let off = found.map(|found| (found.shift * 640.0).distance(shift));
            assert!(off.is_some_and(|off| off < 0.1), "{shift}: {found:?}");
        }
    }

    #[test]
    fn a_shift_is_told_in_a_room_that_became_three_times_as_bright() {
        let dim = Scene { gain: 0.3, ..SCENE };
        let found = told(dim, |_| Scene {
            gain: 0.9,
            shift: DVec2::X * 4.0,
            ..SCENE
        });
        let off = found.map(|found| (found.shift * 640.0).distance(DVec2::X * 4.0));
        assert!(off.is_some_and(|off| off < 0.1), "{found:?}");
    }

    #[test]
    fn a_camera_that_is_turned_about_its_own_axis_has_moved() {
        let found = told(SCENE, |_| Scene {
            turn: 0.03,
            ..SCENE
        });
        let Some(found) = found else {
            panic!("not told")
        };
        assert!((found.turn - 0.03).abs() < 0.002, "{found:?}");
        assert!(
            found.shift.length() < 1e-3 && found.size() > 5e-3,
            "{found:?}"
        );
    }

    #[test]
    fn whoever_is_not_seen_as_a_person_does_not_move_the_camera() {
        let mut backdrop = Backdrop::default();
        for n in 0..4 {
            let scene = Scene {
                person: (n > 0).then_some(210.0 + 50.0 * n as f64),
                seed: n,
                ..SCENE
            };
            backdrop.take(&scene.picture(), &[]);
        }
        let found = backdrop.moved();
        assert!(found.is_some_and(|found| found.size() < 2e-4), "{found:?}");
    }

    #[test]
    fn a_jolt_a_blank_wall_and_a_dark_room_tell_nothing() {
        let jolt = |n: u64| Scene {
            shift: DVec2::X * if n == 1 { 8.0 } else { 0.0 },
            ..SCENE
        };
        assert_eq!(told(SCENE, jolt), None);
        let dark = Scene {
            gain: 0.02,
            ..SCENE
        };
        assert_eq!(told(SCENE, |_| dark), None);
        let mut backdrop = Backdrop::default();
        for _ in 0..5 {
            backdrop.take(&RgbImage::from_pixel(640, 480, Rgb([180; 3])), &[]);
        }
        assert_eq!(backdrop.moved(), None);
    }

    #[test]
    fn what_is_first_seen_in_the_dark_is_seen_when_there_is_light_and_another_room_is_learned() {
        let mut backdrop = Backdrop::default();
        let mut take = |gain: f64, turn: f64, count: u64| {
            for seed in 0..count {
                let scene = Scene {
                    gain,
                    turn,
                    seed,
                    ..SCENE
                };
                backdrop.take(&scene.picture(), &[]);
            }
            (backdrop.moved().is_some(), backdrop.renewals())
        };
        assert_eq!(take(0.0, 0.0, 3), (false, 0));
        assert_eq!(take(1.0, 0.0, 4), (true, 0));
        // Lights off, for however long.
        assert_eq!(take(0.02, 0.0, 15), (false, 0));
        assert_eq!(take(1.0, 0.0, 4), (true, 0));
        // Upside down: nothing of what was there.
        assert_eq!(take(1.0, 3.1, 8), (false, 0));
        assert_eq!(take(1.0, 3.1, 8), (true, 1));
    }

    #[test]
    fn pictures_of_another_size_are_another_camera() {
        let mut backdrop = Backdrop::default();
        for n in 0..3 {
            let scene = Scene {
                shift: DVec2::X * 9.0 * n as f64,
                ..SCENE
            };
            backdrop.take(&scene.picture(), &[]);
        }
        for _ in 0..4 {
            backdrop.take(&thumbnail(&SCENE.picture(), 320, 200), &[]);
        }
        assert!(backdrop.moved().is_some_and(|moved| moved.size() < 1e-4));
    }
}
