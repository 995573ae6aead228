//! Flat boards before a camera: where their corners are in a picture.
//!
//! Corners are found by `calib-targets`, to a part of a pixel. A chessboard's grid may be found in part, and from either end:
//! that is all that a lens needs ([`intrinsics`](super::intrinsics)). Where several cameras must mean the same corner
//! ([`boards`](super::boards)), all of it must be seen. A ChArUco board's corners are known by the markers beside
//! them.

use bevy::math::DVec2;
use calib_targets_charuco::{
    CharucoBoardSpec, CharucoDetector, CharucoParams, Dictionary, MarkerLayout, resolve_dictionary,
};
use calib_targets_chessboard::{
    ChessboardDetector, ChessboardParams, GrayImageView, default_chess_config, detect_corners,
};
use image::imageops::{FilterType, grayscale, resize};
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

impl Board {
    /// Whether its corners can be told from one another from any side.
    ///
    /// # Errors
    /// [`BoardError::NoTop`].
    pub fn has_top(&self) -> Result<(), BoardError> {
        let (columns, rows) = (self.columns, self.rows);
        if self.markers.is_none() && (columns + rows).is_multiple_of(2) {
            return Err(BoardError::NoTop { columns, rows });
        }
        Ok(())
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
    /// It looks the same from two sides.
    #[error(
        "a chessboard of {columns} x {rows} inner corners looks the same upside down, so two cameras may take one corner for another; \
         use one with an odd and an even number of them, or a ChArUco board"
    )]
    NoTop {
        /// Columns of inner corners.
        columns: u32,
        /// Rows of inner corners.
        rows: u32,
    },
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
            || !square.is_finite()
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

    /// The corners of the board in a picture, named so that all cameras mean the same by them, x along the columns and y along the
    /// rows as one looks at the board; none where it is not seen, or, of a chessboard, not seen as a whole or without a [top](Board::has_top).
    pub fn find_named(&self, picture: &RgbImage) -> Vec<Corner> {
        if self.board.has_top().is_err() {
            return Vec::new();
        }
        let find = |picture: &RgbImage| -> Option<Vec<Corner>> {
            let corners = self.find(picture);
            match self.charuco {
                Some(_) => (!corners.is_empty()).then_some(corners),
                None => name(&corners, &self.board, picture),
            }
        };
        find(picture)
            .or_else(|| {
                // A board on the floor is seen from aside: its squares are too flat to be found as they are.
                let (width, height) = picture.dimensions();
                let tall = (f64::from(height) * STRETCH).round() as u32;
                let mut corners = find(&resize(picture, width, tall, FilterType::CatmullRom))?;
                let scale = f64::from(height) / f64::from(tall);
                for (_, pixel) in &mut corners {
                    pixel.y = (pixel.y + 0.5) * scale - 0.5;
                }
                Some(corners)
            })
            .unwrap_or_default()
    }
}

/// By so much a picture is stretched upwards to find flat boards in it.
const STRETCH: f64 = 2.0;

/// Names the corners of a chessboard that is seen as a whole: its first square within the corners is a dark one.
fn name(corners: &[Corner], board: &Board, picture: &RgbImage) -> Option<Vec<Corner>> {
    let (columns, rows) = (board.columns as usize, board.rows as usize);
    let steps = corners
        .iter()
        .map(|(place, _)| (*place / board.square).round());
    let steps: Vec<DVec2> = steps.collect();
    let extent = steps.iter().fold(DVec2::ZERO, |most, step| most.max(*step)) + 1.0;
    let lies = extent.x as usize == columns && extent.y as usize == rows;
    let stands = extent.x as usize == rows && extent.y as usize == columns;
    if corners.len() != columns * rows || !(lies || stands) {
        return None;
    }
    let mut grid = vec![DVec2::NAN; columns * rows];
    for (step, (_, pixel)) in steps.iter().zip(corners) {
        let (column, row) = if lies {
            (step.x, step.y)
        } else {
            (step.y, step.x)
        };
        grid[row as usize * columns + column as usize] = *pixel;
    }
    if grid.iter().any(|pixel| pixel.is_nan()) {
        return None;
    }
    let across = grid[columns - 1] - grid[0];
    let down = grid[(rows - 1) * columns] - grid[0];
    if across.perp_dot(down) < 0.0 {
        // Numbered as from behind.
        grid.chunks_exact_mut(columns).for_each(<[DVec2]>::reverse);
    }
    // Squares of one colour less those of the other.
    let mut contrast = 0.0;
    for row in 0..rows - 1 {
        for column in 0..columns - 1 {
            let at = |right: usize, below: usize| grid[(row + below) * columns + column + right];
            let middle = (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4.0;
            let middle = middle.round().max(DVec2::ZERO);
            let ink = picture.get_pixel_checked(middle.x as u32, middle.y as u32)?;
            let ink: f64 = ink.0.iter().map(|shade| f64::from(*shade)).sum();
            contrast += if (row + column).is_multiple_of(2) {
                ink
            } else {
                -ink
            };
        }
    }
    if contrast > 0.0 {
        grid.reverse();
    }
    let place = |n: usize| DVec2::new((n % columns) as f64, (n / columns) as f64) * board.square;
    Some(
        grid.into_iter()
            .enumerate()
            .map(|(n, pixel)| (place(n), pixel))
            .collect(),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::calibrate::intrinsics::calibrate;
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

    pub(in crate::calibrate) fn held(about_x: f64, about_y: f64, shift: DVec2) -> Extrinsics {
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
    fn corners_have_the_same_names_however_the_board_is_turned() -> Result<(), BoardError> {
        let lens = Intrinsics::assumed(640, 480);
        let board = board(None);
        let finder = BoardFinder::new(board.clone())?;
        board.has_top()?;
        for quarter in 0..4 {
            let turn = DMat3::from_rotation_z(f64::from(quarter) * std::f64::consts::FRAC_PI_2);
            let middle = DVec3::new(0.15, 0.075, 0.0);
            let rotation = DMat3::from_rotation_x(0.3) * turn;
            let pose = Extrinsics {
                rotation,
                translation: DVec3::new(0.0, 0.0, 0.6) - rotation * middle,
            };
            let mut picture = render(&lens, &pose, &board);
            let named = finder.find_named(&picture);
            assert_eq!(named.len(), 28, "{quarter}");
            for (place, pixel) in &named {
                let truth = lens.project(pose.camera_from_world(place.extend(0.0)));
                let off = truth.map_or(f64::MAX, |truth| truth.distance(*pixel));
                assert!(off < 1.0, "{quarter} quarters: {place} is off by {off} px");
            }
            // A corner that is hidden leaves no name sure.
            let (_, hidden) = named[0];
            for (x, y, pixel) in picture.enumerate_pixels_mut() {
                if hidden.distance(DVec2::new(x.into(), y.into())) < 25.0 {
                    *pixel = Rgb([128; 3]);
                }
            }
            assert!(finder.find_named(&picture).is_empty(), "{quarter}");
        }
        // On the floor, before a camera that stands low.
        let flat = DMat3::from_rotation_x(-1.34) * DMat3::from_rotation_z(0.7);
        let pose = Extrinsics {
            rotation: flat,
            translation: DVec3::new(0.0, 0.1, 0.9) - flat * DVec3::new(0.15, 0.075, 0.0),
        };
        let picture = render(&lens, &pose, &board);
        assert_eq!(name(&finder.find(&picture), &board, &picture), None);
        let named = finder.find_named(&picture);
        assert_eq!(named.len(), 28, "on the floor");
        let mut too_low = 0.0;
        for (place, pixel) in &named {
            let truth = lens.project(pose.camera_from_world(place.extend(0.0)));
            let off = truth.map_or(f64::MAX, |truth| truth.distance(*pixel));
            assert!(off < 1.0, "{place} is off by {off} px");
            too_low += truth.map_or(0.0, |truth| pixel.y - truth.y) / named.len() as f64;
        }
        assert!(f64::abs(too_low) < 0.1, "{too_low}");
        let square = Board {
            columns: 6,
            rows: 4,
            ..board
        };
        assert_eq!(
            square.has_top(),
            Err(BoardError::NoTop {
                columns: 6,
                rows: 4
            })
        );
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
}
