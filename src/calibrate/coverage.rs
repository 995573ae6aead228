//! Whether enough of a board was shown for a lens: over all of the picture, and from many sides.

use bevy::math::DVec2;

use super::intrinsics::{Corner, homography};
use super::projection::median;

/// Parts of the picture along each axis.
pub const PARTS: usize = 4;
/// So many pictures of the board are enough, where they cover the picture.
const ENOUGH: usize = 12;
/// More than this many tell nothing more, and cost: a clip has thousands.
const MOST: usize = 60;
/// The least number of corners for a picture to count.
const LEAST_CORNERS: usize = 12;

/// Which parts of a camera's picture have shown the board, and from which sides.
#[derive(Clone, Debug)]
pub struct Coverage {
    size: DVec2,
    parts: [[bool; PARTS]; PARTS],
    pictures: Vec<Vec<Corner>>,
    tilted: usize,
}

impl Coverage {
    /// Of a camera whose pictures have that many pixels.
    pub fn new(width: u32, height: u32) -> Coverage {
        Coverage {
            size: DVec2::new(width.into(), height.into()),
            parts: Default::default(),
            pictures: Vec::new(),
            tilted: 0,
        }
    }

    /// Takes a picture's corners, where they are enough and show something new; says whether they were taken. Once there is
    /// plenty, only what shows the board in another part of the picture, or tilted where that was lacking, is new.
    pub fn take(&mut self, corners: Vec<Corner>) -> bool {
        let lacks_tilt = self.tilted * 3 < ENOUGH && is_tilted(&corners);
        if corners.len() < LEAST_CORNERS
            || (self.pictures.len() >= MOST && !lacks_tilt && !self.shows_another_part(&corners))
            || !self.is_new(&corners)
        {
            return false;
        }
        for (_, pixel) in &corners {
            let (row, column) = self.part(*pixel);
            self.parts[row][column] = true;
        }
        self.tilted += usize::from(is_tilted(&corners));
        self.pictures.push(corners);
        true
    }

    fn part(&self, pixel: DVec2) -> (usize, usize) {
        let last = DVec2::splat(PARTS as f64 - 1.0);
        let part = (pixel / self.size * PARTS as f64).clamp(DVec2::ZERO, last);
        (part.y as usize, part.x as usize)
    }

    fn shows_another_part(&self, corners: &[Corner]) -> bool {
        corners.iter().any(|(_, pixel)| {
            let (row, column) = self.part(*pixel);
            !self.parts[row][column]
        })
    }

    /// Whether a board is elsewhere, or held otherwise, than in all pictures before.
    fn is_new(&self, corners: &[Corner]) -> bool {
        let (least, rest) = (
            0.02 * self.size.max_element(),
            0.004 * self.size.max_element(),
        );
        self.pictures.iter().all(|before| {
            let same_place = |(place, pixel): &Corner| {
                let same = before
                    .iter()
                    .find(|(other, _)| other.distance(*place) < 1e-9)?;
                Some(same.1.distance(*pixel))
            };
            let apart: Vec<f64> = corners.iter().filter_map(same_place).collect();
            let moved = apart.len() < LEAST_CORNERS / 2
                || apart.iter().sum::<f64>() / apart.len() as f64 > least;
            // Where a part of the board is hidden, its corners are counted from another one: the pixels stay.
            let nearest = |(_, pixel): &Corner| {
                let others = before.iter().map(|(_, other)| other.distance(*pixel));
                others.fold(f64::MAX, f64::min)
            };
            let mut nearest: Vec<f64> = corners.iter().map(nearest).collect();
            moved && median(&mut nearest) > rest
        })
    }

    /// The corners of the pictures that were taken.
    pub fn pictures(&self) -> &[Vec<Corner>] {
        &self.pictures
    }

    /// Whether a part of the picture has shown the board; rows and columns of [`PARTS`] each.
    pub fn is_shown(&self, row: usize, column: usize) -> bool {
        self.parts[row][column]
    }

    /// Share of the picture that has shown the board, 0–1.
    pub fn share(&self) -> f64 {
        let shown = self.parts.iter().flatten().filter(|shown| **shown).count();
        shown as f64 / (PARTS * PARTS) as f64
    }

    /// Whether more pictures would tell little more.
    pub fn is_enough(&self) -> bool {
        self.lacks().is_none()
    }

    /// What the next picture should show, in words for the person who holds the board; `None` where it is enough.
    pub fn lacks(&self) -> Option<String> {
        let part = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
            let all = rows.flat_map(|row| columns.clone().map(move |column| (row, column)));
            all.filter(|&(row, column)| !self.parts[row][column])
                .count()
        };
        let half = PARTS / 2;
        let corners = [
            ("upper left", part(0..half, 0..half)),
            ("upper right", part(0..half, half..PARTS)),
            ("lower left", part(half..PARTS, 0..half)),
            ("lower right", part(half..PARTS, half..PARTS)),
        ];
        let worst = corners.iter().max_by_key(|(_, lacking)| *lacking)?;
        if worst.1 > half * half / 2 {
            return Some(format!(
                "hold the board into the {} of the picture",
                worst.0
            ));
        }
        if self.tilted * 3 < ENOUGH {
            return Some("bring the board nearer and tilt it, to all sides, by 30° or more".into());
        }
        (self.pictures.len() < ENOUGH).then(|| "show the board nearer, farther and turned".into())
    }
}

/// Whether opposite sides of the board differ in length as those of a tilted one do.
fn is_tilted(corners: &[Corner]) -> bool {
    homography(corners).is_some_and(|h| {
        // The last row is what makes parallels meet: how much the scale changes across the board.
        let (low, high) = corners
            .iter()
            .fold((f64::MAX, f64::MIN), |(low, high), (place, _)| {
                let scale = h.x_axis.z * place.x + h.y_axis.z * place.y + h.z_axis.z;
                (low.min(scale.abs()), high.max(scale.abs()))
            });
        high > 1.08 * low
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::board::tests::held;
    use crate::calibrate::intrinsics::board_pose;
    use crate::camera::{Extrinsics, Intrinsics};

    /// What a lens shows of a board of 7 x 4 corners.
    fn corners(lens: &Intrinsics, square: f64, pose: Extrinsics) -> Vec<Corner> {
        let corner = |n: u32| {
            let place = DVec2::new(f64::from(n % 7), f64::from(n / 7)) * square;
            let pixel = lens.project(pose.camera_from_world(place.extend(0.0)))?;
            Some((place, pixel))
        };
        (0..28).filter_map(corner).collect()
    }

    #[test]
    fn tilted_boards_are_taken_though_there_is_plenty_of_others() {
        let lens = Intrinsics::assumed(640, 480);
        let shown = |pose: Extrinsics| corners(&lens, 0.02, pose);
        let mut coverage = Coverage::new(640, 480);
        for n in 0..200 {
            let at = DVec2::new(f64::from(n % 14) - 7.0, f64::from(n / 14) - 7.0) * 0.035;
            coverage.take(shown(held(0.0, 0.0, at)));
        }
        assert!(coverage.pictures().len() >= MOST && coverage.lacks().is_some());
        for n in 0..6 {
            let angle = 0.7 + 0.05 * f64::from(n);
            let at = DVec2::new(0.04 * f64::from(n) - 0.1, 0.0);
            coverage.take(shown(held(angle, -angle, at)));
        }
        assert_eq!(coverage.lacks(), None);
    }

    #[test]
    fn the_guide_asks_for_what_is_lacking_and_counts_nothing_twice() {
        let lens = Intrinsics::assumed(640, 480);
        let shown = |pose: Extrinsics| corners(&lens, 0.05, pose);
        let mut coverage = Coverage::new(640, 480);
        let left = shown(held(0.0, 0.0, DVec2::new(-0.16, -0.1)));
        assert!(coverage.take(left.clone()) && !coverage.take(left));
        let lacks = coverage.lacks().unwrap_or_default();
        assert!(
            lacks.contains("right") || lacks.contains("lower"),
            "{lacks}"
        );
        for (x, y) in [(-0.16, 0.1), (0.16, 0.1), (0.16, -0.1), (0.0, 0.0)] {
            coverage.take(shown(held(0.0, 0.0, DVec2::new(x, y))));
        }
        assert!(coverage.lacks().is_some_and(|lacks| lacks.contains("tilt")));
        for n in 0..8 {
            let angle = 0.5 + 0.04 * f64::from(n);
            coverage.take(shown(held(
                angle,
                -angle,
                DVec2::new(0.03 * f64::from(n) - 0.1, 0.0),
            )));
        }
        assert!(
            coverage.is_enough(),
            "{:?} {}",
            coverage.lacks(),
            coverage.share()
        );
        let pose = homography(&coverage.pictures()[0]).map(|h| board_pose(&lens, &h));
        assert!(pose.is_some_and(|pose| pose.rotation.z_axis.z > 0.99));
    }
}
