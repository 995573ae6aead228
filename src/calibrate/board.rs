//! Flat boards before a camera: where their corners are in a picture, and whether enough of them was shown.
//!
//! Corners are found by `calib-targets`, to a part of a pixel. A chessboard's grid may be found in part, and from either end:
//! that is all that a lens needs ([`intrinsics`](super::intrinsics)). A ChArUco board's corners are known by the markers beside
//! them.

use bevy::math::DVec2;
use calib_targets_charuco::{
    CharucoBoardSpec, CharucoDetector, CharucoParams, Dictionary, MarkerLayout, resolve_dictionary,
};
use calib_targets_chessboard::{
    ChessboardDetector, ChessboardParams, GrayImageView, default_chess_config, detect_corners,
};
use image::imageops::grayscale;
use image::{GrayImage, Luma, RgbImage};

use super::intrinsics::Corner;

/// A board as it is printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Board {
    /// Inner corners along the longer side: one less than squares.
    pub columns: u32,
    /// Inner corners along the shorter side.
    pub rows: u32,
    /// Side of a square, in metres.
    pub square: f64,
    /// The markers in its white squares, where it is a ChArUco board.
    pub markers: Option<Markers>,
}

/// The markers of a ChArUco board, laid out as OpenCV does.
#[derive(Clone, Debug, PartialEq)]
pub struct Markers {
    /// OpenCV's name of the set, such as `DICT_4X4_50`.
    pub dictionary: String,
    /// Side of a marker, as a part of a square's.
    pub size: f64,
}

impl Board {
    /// The board to print: squares of so many pixels, within a white margin of one square.
    ///
    /// # Errors
    /// [`BoardError::NoMarkers`].
    pub fn draw(&self, pixels: u32) -> Result<GrayImage, BoardError> {
        let dictionary = self.markers.as_ref().map(Markers::resolve).transpose()?;
        let (across, down) = (self.columns + 1, self.rows + 1);
        let is_white = |column: u32, row: u32| (column + row) % 2 == 1;
        let paint = |x: u32, y: u32| {
            let (Some(column), Some(row)) = (
                (x / pixels)
                    .checked_sub(1)
                    .filter(|column| *column < across),
                (y / pixels).checked_sub(1).filter(|row| *row < down),
            ) else {
                return true;
            };
            let Some((markers, dictionary)) = self.markers.as_ref().zip(dictionary) else {
                return is_white(column, row);
            };
            if !is_white(column, row) {
                return false;
            }
            // Markers are numbered along the rows, over the white squares only.
            let before = (0..row * across + column).filter(|n| is_white(n % across, n / across));
            let code = dictionary.codes().get(before.count()).copied().unwrap_or(0);
            let bits = dictionary.marker_size() as f64;
            // Cells of the marker, with a black border of one.
            let cell = |at: u32| {
                let part = (f64::from(at % pixels) + 0.5) / f64::from(pixels) - 0.5;
                ((part / markers.size + 0.5) * (bits + 2.0)).floor() - 1.0
            };
            let (u, v) = (cell(x), cell(y));
            if u.min(v) < -1.0 || u.max(v) > bits {
                return true;
            }
            let inside = u.min(v) >= 0.0 && u.max(v) < bits;
            inside && (code >> (v * bits + u) as u32) & 1 == 0
        };
        let size = ((across + 2) * pixels, (down + 2) * pixels);
        Ok(GrayImage::from_fn(size.0, size.1, |x, y| {
            Luma([if paint(x, y) { 255 } else { 0 }])
        }))
    }
}

impl Markers {
    fn resolve(&self) -> Result<Dictionary, BoardError> {
        resolve_dictionary(&self.dictionary)
            .ok_or_else(|| BoardError::NoMarkers(self.dictionary.clone()))
    }
}

/// What is wrong with a board.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BoardError {
    /// No such board can be printed.
    #[error(
        "a board of {columns} x {rows} inner corners and squares of {square} m is none; count the points where four squares meet, and \
         measure a square in metres"
    )]
    NoBoard {
        /// Columns asked for.
        columns: u32,
        /// Rows asked for.
        rows: u32,
        /// Metres asked for.
        square: f64,
    },
    /// No set of markers of that name.
    #[error(
        "there are no markers called {0}; OpenCV's names are known, such as DICT_4X4_50 or DICT_5X5_100"
    )]
    NoMarkers(String),
    /// The markers do not fit the board.
    #[error("these markers do not go on this board: {0}")]
    Markers(String),
}

/// Finds boards.
pub struct BoardFinder {
    board: Board,
    chessboards: Vec<ChessboardDetector>,
    charuco: Option<CharucoDetector>,
}

impl BoardFinder {
    /// For one kind of board.
    ///
    /// # Errors
    /// [`BoardError`], in one sentence that says what to do.
    pub fn new(board: Board) -> Result<Self, BoardError> {
        let Board {
            columns,
            rows,
            square,
            ..
        } = board;
        if !(2..1000).contains(&columns)
            || !(2..1000).contains(&rows)
            || square.is_nan()
            || square <= 0.0
        {
            return Err(BoardError::NoBoard {
                columns,
                rows,
                square,
            });
        }
        let charuco = board.markers.as_ref().map(|markers| {
            let dictionary = markers.resolve()?;
            let spec = CharucoBoardSpec::new(
                rows + 1,
                columns + 1,
                square as f32,
                markers.size as f32,
                dictionary,
            );
            let spec = spec.with_marker_layout(MarkerLayout::OpenCvCharuco);
            CharucoDetector::new(CharucoParams::for_board(spec))
                .map_err(|error| BoardError::Markers(error.to_string()))
        });
        let chessboards = ChessboardParams::sweep_default().into_iter();
        Ok(BoardFinder {
            chessboards: chessboards
                .filter_map(|params| ChessboardDetector::new(params).ok())
                .collect(),
            charuco: charuco.transpose()?,
            board,
        })
    }

    /// The corners of the board in a picture; none where it is not seen.
    pub fn find(&self, picture: &RgbImage) -> Vec<Corner> {
        let grey = grayscale(picture);
        let view = GrayImageView {
            width: grey.width() as usize,
            height: grey.height() as usize,
            data: grey.as_raw(),
        };
        if let Some(charuco) = &self.charuco {
            let found = charuco.detect(&view);
            let corners = found.map_or_else(|_| Vec::new(), |found| found.corners);
            return corners
                .iter()
                .map(|corner| {
                    let place = DVec2::new(
                        corner.target_position.x.into(),
                        corner.target_position.y.into(),
                    );
                    (
                        place,
                        DVec2::new(corner.position.x.into(), corner.position.y.into()),
                    )
                })
                .collect();
        }
        let points = detect_corners(&view, &default_chess_config());
        let mut best: Vec<Corner> = Vec::new();
        for detector in &self.chessboards {
            for grid in detector.detect_all(&points) {
                let (columns, rows) =
                    grid.corners.iter().fold((0, 0), |(columns, rows), corner| {
                        (columns.max(corner.grid.u + 1), rows.max(corner.grid.v + 1))
                    });
                // What has more columns than the board, tiles on a wall for instance, is another grid.
                let (long, short) = (columns.max(rows) as i64, columns.min(rows) as i64);
                let fits = long <= i64::from(self.board.columns.max(self.board.rows))
                    && short <= i64::from(self.board.columns.min(self.board.rows));
                if fits && grid.corners.len() > best.len() {
                    let corner = |corner: &calib_targets_chessboard::ChessboardCorner| {
                        let place = DVec2::new(f64::from(corner.grid.u), f64::from(corner.grid.v));
                        (
                            place * self.board.square,
                            DVec2::new(corner.position.x.into(), corner.position.y.into()),
                        )
                    };
                    best = grid.corners.iter().map(corner).collect();
                }
            }
        }
        best
    }
}

/// Parts of the picture along each axis.
const PARTS: usize = 4;
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
    /// plenty, only what shows the board in another part of the picture is new.
    pub fn take(&mut self, corners: Vec<Corner>) -> bool {
        if corners.len() < LEAST_CORNERS
            || (self.pictures.len() >= MOST && !self.shows_another_part(&corners))
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
            moved && super::projection::median(&mut nearest) > rest
        })
    }

    /// The corners of the pictures that were taken.
    pub fn pictures(&self) -> &[Vec<Corner>] {
        &self.pictures
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
    super::intrinsics::homography(corners).is_some_and(|h| {
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
    use crate::calibrate::intrinsics::{board_pose, calibrate, homography};
    use crate::calibrate::projection::median;
    use crate::camera::{Extrinsics, Intrinsics};
    use bevy::math::{DMat3, DVec3};
    use image::Rgb;

    fn board(markers: Option<Markers>) -> Board {
        Board {
            columns: 7,
            rows: 4,
            square: 0.05,
            markers,
        }
    }

    /// A printed board as a camera would see it, each pixel the mean of 16 samples.
    fn render(lens: &Intrinsics, pose: &Extrinsics, board: &Board) -> RgbImage {
        const PIXELS: u32 = 240;
        let printed = board.draw(PIXELS).unwrap_or_default();
        let colour = |x: f64, y: f64| {
            let ray = lens.unproject(DVec2::new(x, y)).extend(1.0);
            // Where the ray meets the board's plane, z = 0 of the board; its first inner corner is two squares from the edge.
            let (origin, along) = (
                pose.world_from_camera(DVec3::ZERO),
                pose.rotation.transpose() * ray,
            );
            let place = origin - along * (origin.z / along.z);
            let at = (place.truncate() / board.square + 2.0) * f64::from(PIXELS);
            let inside = at.cmpge(DVec2::ZERO).all();
            let pixel = printed.get_pixel_checked(at.x as u32, at.y as u32);
            let ink = pixel
                .filter(|_| inside)
                .map_or(150.0, |pixel| f64::from(pixel[0]));
            20.0 + 0.85 * ink
        };
        RgbImage::from_fn(lens.width, lens.height, |x, y| {
            let samples = (0..16).map(|n| {
                let at = |n: u32| (f64::from(n) + 0.5) / 4.0 - 0.5;
                colour(f64::from(x) + at(n % 4), f64::from(y) + at(n / 4))
            });
            Rgb([(samples.sum::<f64>() / 16.0) as u8; 3])
        })
    }

    fn held(about_x: f64, about_y: f64, shift: DVec2) -> Extrinsics {
        let rotation = DMat3::from_rotation_x(about_x) * DMat3::from_rotation_y(about_y);
        Extrinsics {
            rotation,
            translation: DVec3::new(shift.x, shift.y, 0.55)
                - rotation * DVec3::new(0.15, 0.075, 0.0),
        }
    }

    #[test]
    fn corners_are_where_the_lens_shows_them_and_give_the_lens_back()
    -> Result<(), Box<dyn std::error::Error>> {
        let mut lens = Intrinsics::assumed(640, 480);
        lens.distortion.k1 = -0.08;
        let board = board(None);
        let finder = BoardFinder::new(board.clone())?;
        let mut pictures = Vec::new();
        for (x, y, shift) in [
            (0.5, 0.1, DVec2::new(0.05, 0.03)),
            (-0.5, 0.2, DVec2::new(-0.05, -0.03)),
            (0.1, 0.6, DVec2::new(-0.04, 0.04)),
            (0.2, -0.6, DVec2::new(0.06, -0.04)),
            (0.0, 0.0, DVec2::ZERO),
        ] {
            let pose = held(x, y, shift);
            let corners = finder.find(&render(&lens, &pose, &board));
            assert_eq!(corners.len(), 28, "tilted by {x} and {y}");
            // The board may be numbered from either end: its corners are those of the truth in some order.
            let truth: Vec<DVec2> = (0..28)
                .filter_map(|n| {
                    let place = DVec2::new(f64::from(n % 7), f64::from(n / 7)) * board.square;
                    lens.project(pose.camera_from_world(place.extend(0.0)))
                })
                .collect();
            let off = |(_, pixel): &Corner| {
                let apart = truth.iter().map(|t| t.distance(*pixel));
                apart.fold(f64::MAX, f64::min)
            };
            let mut off: Vec<f64> = corners.iter().map(off).collect();
            assert!(median(&mut off) < 0.25 && off[27] < 1.0, "{off:?}");
            pictures.push(corners);
        }
        let solved = calibrate(640, 480, &pictures)?;
        let off = (solved.intrinsics.focal / lens.focal - 1.0)
            .abs()
            .max_element();
        assert!(off < 0.005 && solved.rms < 0.3, "{off} {}", solved.rms);
        Ok(())
    }

    #[test]
    fn a_corner_of_a_charuco_board_is_known_though_half_of_the_board_is_hidden()
    -> Result<(), Box<dyn std::error::Error>> {
        let lens = Intrinsics::assumed(1280, 720);
        let board = board(Some(Markers {
            dictionary: "DICT_4X4_50".into(),
            size: 0.7,
        }));
        let pose = held(0.3, -0.2, DVec2::ZERO);
        let mut picture = render(&lens, &pose, &board);
        for (x, _, pixel) in picture.enumerate_pixels_mut() {
            if x < 620 {
                *pixel = Rgb([90; 3]);
            }
        }
        let corners = BoardFinder::new(board)?.find(&picture);
        assert!(
            corners.len() >= 8 && corners.len() < 24,
            "{}",
            corners.len()
        );
        // Its places are counted from the board's own corner; all by the same amount.
        let truth = |place: DVec2| lens.project(pose.camera_from_world(place.extend(0.0)));
        let origin = DVec2::splat(0.05);
        for (place, pixel) in &corners {
            let off = truth(*place - origin).map_or(f64::MAX, |truth| truth.distance(*pixel));
            assert!(off < 0.8, "{place}: {off}");
        }
        Ok(())
    }

    #[test]
    fn what_is_no_board_is_not_found() -> Result<(), BoardError> {
        let finder = BoardFinder::new(board(None))?;
        assert!(finder.find(&RgbImage::new(64, 48)).is_empty());
        // A larger board is another one.
        let large = Board {
            columns: 11,
            rows: 8,
            square: 0.03,
            markers: None,
        };
        let lens = Intrinsics::assumed(640, 480);
        let found = finder.find(&render(&lens, &held(0.1, 0.1, DVec2::ZERO), &large));
        assert!(found.is_empty(), "{}", found.len());
        assert!(
            BoardFinder::new(Board {
                square: 0.0,
                ..large
            })
            .is_err()
        );
        let unknown = Markers {
            dictionary: "DICT_9X9".into(),
            size: 0.7,
        };
        let error = BoardFinder::new(board(Some(unknown))).err();
        assert!(error.is_some_and(|error| error.to_string().contains("DICT_9X9")));
        Ok(())
    }

    #[test]
    fn the_guide_asks_for_what_is_lacking_and_counts_nothing_twice() {
        let lens = Intrinsics::assumed(640, 480);
        let shown = |pose: Extrinsics| -> Vec<Corner> {
            let corner = |n: u32| {
                let place = DVec2::new(f64::from(n % 7), f64::from(n / 7)) * 0.05;
                let pixel = lens.project(pose.camera_from_world(place.extend(0.0)))?;
                Some((place, pixel))
            };
            (0..28).filter_map(corner).collect()
        };
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
