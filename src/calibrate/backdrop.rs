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

/// What a camera showed at first, and how far later pictures were from that.
#[derive(Clone, Debug, Default)]
pub struct Backdrop {
    /// The first picture, the finest level first.
    first: Vec<Level>,
    /// How far the last few were shifted, in pixels of the finest level; `None` where that cannot be told.
    shifts: VecDeque<Option<DVec2>>,
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
/// A shift is told if it is this sure, in pixels of the finest level: neighbouring pixels are wrong together.
const SURE: f64 = 0.02;

impl Backdrop {
    /// Takes in a picture, in which people hide these boxes (in its pixels).
    pub fn take(&mut self, picture: &RgbImage, people: &[Rect]) {
        if picture.width() < 16 || picture.height() < 16 {
            return;
        }
        let now = levels(picture, people);
        let is_of_that_size =
            |level: &Level| (level.width, level.height) == (now[0].width, now[0].height);
        if !self.first.first().is_some_and(is_of_that_size) {
            *self = Backdrop::default();
            self.first = now;
            return;
        }
        if self.shifts.len() == LOOKS {
            self.shifts.pop_front();
        }
        self.shifts.push_back(shift(&self.first, &now));
    }

    /// How far what it shows has moved, by the last few pictures, in parts of the picture's width; `None` where they do not tell,
    /// or not the same.
    pub fn shift(&self) -> Option<DVec2> {
        let shifts: Vec<DVec2> = self.shifts.iter().copied().flatten().collect();
        let mean = shifts.iter().sum::<DVec2>() / LOOKS as f64;
        let alike = |shift: &DVec2| shift.distance(mean) < 0.2 + 0.1 * mean.length();
        (shifts.len() == LOOKS && shifts.iter().all(alike)).then(|| mean / f64::from(WIDTH))
    }

    /// Takes what is seen from now on for how it stands.
    pub fn begin_anew(&mut self) {
        *self = Backdrop::default();
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

    /// Where something can be seen to move: pixels with an edge that nobody hides, and the slope of their grey values.
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

/// How far what the first picture shows has moved, in pixels of the finest level.
fn shift(first: &[Level], now: &[Level]) -> Option<DVec2> {
    let mut warp = Warp::zeros();
    let mut sure = None;
    for (first, now) in first.iter().zip(now).rev() {
        // From pixels of the level before to this one's.
        for n in 0..4 {
            warp[n] *= 2.0;
        }
        sure = laid_over(first, now, &mut warp);
    }
    sure.filter(|sigma| *sigma < SURE)
        .map(|_| DVec2::new(warp[0], warp[1]))
}

/// Improves a warp; tells how sure its shift is, in pixels, or nothing where the pictures do not fit.
fn laid_over(first: &Level, now: &Level, warp: &mut Warp) -> Option<f64> {
    const ROUNDS: usize = 8;
    let edges = first.edges();
    let middle = DVec2::new(first.width as f64, first.height as f64) * 0.5;
    let mut sigma = None;
    for _ in 0..ROUNDS {
        // How far off each pixel is, and how that changes with the warp.
        let mut rows: Vec<(f64, Warp)> = Vec::with_capacity(edges.len());
        for &(n, slope) in &edges {
            let place = DVec2::new((n % first.width) as f64, (n / first.width) as f64);
            let out = (place - middle) / middle.x;
            let moved = DVec2::new(warp[0], warp[1]) + out.perp() * warp[2] + out * warp[3];
            let Some(shown) = now.at(place + moved) else {
                continue;
            };
            let grey = f64::from(first.grey[n]);
            let off = shown - grey * (1.0 + warp[4]) - warp[5];
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
        if rows.len() < LEAST.max(edges.len() / 4) {
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
mod tests {
    use super::*;
    use crate::source::synthetic::Random;
    use image::Rgb;

    /// A room of boxes, seen with its picture moved by so many pixels, `gain` as bright, with a person of other colours at a place.
    fn room(moved: DVec2, gain: f64, person: Option<f64>, seed: u64) -> RgbImage {
        let mut boxes = Random::new(5);
        let boxes: Vec<[f64; 5]> = (0..25)
            .map(|_| std::array::from_fn(|_| boxes.uniform()))
            .collect();
        let mut noise = Random::new(seed);
        RgbImage::from_fn(640, 480, |x, y| {
            let mut sum = 0.0;
            // Pixels are areas: four points of each.
            for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                let (x, y) = (f64::from(x) + dx, f64::from(y) + dy);
                let (u, v) = ((x - moved.x) / 640.0, (y - moved.y) / 480.0);
                let mut shade = 120.0;
                for [left, top, width, height, grey] in boxes.iter().copied() {
                    let (u, v) = (u - left, v - top);
                    if u > 0.0 && v > 0.0 && u < 0.3 * width && v < 0.3 * height {
                        shade = 40.0 + 170.0 * grey;
                    }
                }
                if person.is_some_and(|at| (x - at).abs() < 70.0 && y > 120.0) {
                    shade = 200.0 - 0.3 * y;
                }
                sum += 0.25 * shade;
            }
            let value = sum * gain + 3.0 * noise.normal();
            Rgb([value.clamp(0.0, 255.0) as u8; 3])
        })
    }

    fn person(at: f64) -> Rect {
        let at = at as f32;
        Rect::new(at - 70.0, 120.0, at + 70.0, 480.0)
    }

    /// What is told of three later pictures, in pixels of the picture.
    fn told(later: impl Fn(u64) -> (RgbImage, Vec<Rect>)) -> Option<DVec2> {
        let mut backdrop = Backdrop::default();
        backdrop.take(&room(DVec2::ZERO, 1.0, Some(200.0), 1), &[person(200.0)]);
        for n in 0..3 {
            assert_eq!(backdrop.shift(), None);
            let (picture, people) = later(n);
            backdrop.take(&picture, &people);
        }
        backdrop.shift().map(|shift| shift * 640.0)
    }

    #[test]
    fn small_and_large_shifts_are_told_though_people_walk_and_the_light_changes() {
        for moved in [
            DVec2::ZERO,
            DVec2::new(0.7, -0.4),
            DVec2::new(-9.0, 6.0),
            DVec2::new(30.0, 0.0),
        ] {
            let found = told(|n| {
                let at = 300.0 + 60.0 * n as f64;
                (room(moved, 0.85, Some(at), 10 + n), vec![person(at)])
            });
            let off = found.map(|found| found.distance(moved));
            assert!(off.is_some_and(|off| off < 0.1), "{moved}: {found:?}");
        }
    }

    #[test]
    fn whoever_is_not_seen_as_a_person_does_not_move_the_camera() {
        let found = told(|n| {
            (
                room(DVec2::ZERO, 1.0, Some(260.0 + 50.0 * n as f64), 10 + n),
                Vec::new(),
            )
        });
        assert!(found.is_some_and(|found| found.length() < 0.1), "{found:?}");
    }

    #[test]
    fn a_jolt_a_blank_wall_and_a_dark_room_tell_nothing() {
        let jolt = |n: u64| room(DVec2::X * if n == 1 { 8.0 } else { 0.0 }, 1.0, None, 10 + n);
        assert_eq!(told(|n| (jolt(n), Vec::new())), None);
        assert_eq!(
            told(|n| (room(DVec2::ZERO, 0.02, None, 10 + n), Vec::new())),
            None
        );
        let mut backdrop = Backdrop::default();
        for _ in 0..5 {
            backdrop.take(&RgbImage::from_pixel(640, 480, Rgb([180; 3])), &[]);
        }
        assert_eq!(backdrop.shift(), None);
    }

    #[test]
    fn pictures_of_another_size_are_another_camera() {
        let mut backdrop = Backdrop::default();
        for n in 0..3 {
            backdrop.take(&room(DVec2::X * 9.0 * n as f64, 1.0, None, n), &[]);
        }
        for n in 0..4 {
            let small = thumbnail(&room(DVec2::ZERO, 1.0, None, n), 320, 200);
            backdrop.take(&small, &[]);
        }
        assert!(backdrop.shift().is_some_and(|shift| shift.length() < 1e-3));
    }
}
