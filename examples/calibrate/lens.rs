//! `calibrate lens`: a camera's lens from pictures of a board.

use std::path::{Path, PathBuf};

use bevy_pose_capture::calibrate::board::{Board, BoardFinder, Markers};
use bevy_pose_capture::calibrate::coverage::{Coverage, PARTS};
use bevy_pose_capture::calibrate::files;
use bevy_pose_capture::calibrate::intrinsics::{Corner, LensError, SolvedLens, calibrate};
use bevy_pose_capture::camera::{Extrinsics, View};
use bevy_pose_capture::source::{FrameSource, SourceSpec};
use image::{Rgb, RgbImage};

use super::AnyError;
use super::room::{dot, with_corners};
use super::screen::Screen;

/// The board.
#[derive(clap::Args)]
pub struct BoardArguments {
    /// Inner corners along the longer side: where four squares meet.
    #[arg(long, default_value_t = 9)]
    columns: u32,
    /// Inner corners along the shorter side.
    #[arg(long, default_value_t = 6)]
    rows: u32,
    /// Side of a square in metres, as measured on the print.
    #[arg(long, default_value_t = 0.025)]
    square: f64,
    /// For a ChArUco board: OpenCV's name of its markers, such as DICT_4X4_50.
    #[arg(long)]
    markers: Option<String>,
    /// Side of a marker, as a part of a square's.
    #[arg(long, default_value_t = 0.7)]
    marker_size: f64,
}

impl BoardArguments {
    /// The board that they describe.
    pub fn board(&self) -> Board {
        Board {
            columns: self.columns,
            rows: self.rows,
            square: self.square,
            markers: self.markers.as_ref().map(|dictionary| Markers {
                dictionary: dictionary.clone(),
                size: self.marker_size,
            }),
        }
    }
}

/// What is wanted.
#[derive(clap::Args)]
pub struct Arguments {
    /// A folder of pictures, a video file, `webcam:0` or `webcam:NAME`, one for each camera.
    #[arg(long, required = true, num_args = 1..)]
    input: Vec<String>,
    #[command(flatten)]
    board: BoardArguments,
    /// Where the lenses go. `calibrate people --lenses` takes it.
    #[arg(long, default_value = "lenses.toml")]
    out: PathBuf,
    /// Folder for a picture of each camera that shows where the board was seen.
    #[arg(long)]
    pictures: Option<PathBuf>,
}

/// Draws the board.
pub fn print(board: &BoardArguments, out: &Path, screen: &Screen) -> Result<(), AnyError> {
    let board = board.board();
    BoardFinder::new(board.clone())?;
    board.draw(200)?.save(out)?;
    screen.say(format!(
        "saved {}; print it, glue it onto something flat and stiff, and measure a square",
        out.display()
    ));
    Ok(())
}

/// Finds the lens of each camera.
pub fn run(arguments: &Arguments, screen: &mut Screen) -> Result<(), AnyError> {
    let finder = BoardFinder::new(arguments.board.board())?;
    let mut views: Vec<View> = Vec::new();
    for input in &arguments.input {
        let spec = SourceSpec::parse(input);
        let name = spec.name();
        if views.iter().any(|view| view.name == name) {
            return Err(format!(
                "two cameras are called {name}; give their pictures different names"
            )
            .into());
        }
        let (solved, seen) =
            solve(&spec, &finder, screen).map_err(|error| format!("{name}: {error}"))?;
        let lens = &solved.intrinsics;
        screen.say(format!(
            "{name}: focal length {:.1} x {:.1} px (± {:.1}), axis at {:.1}, {:.1}, k1 {:.4}, k2 {:.4}; error {:.3} px over {} pictures",
            lens.focal.x,
            lens.focal.y,
            solved.focal_sigma,
            lens.principal.x,
            lens.principal.y,
            lens.distortion.k1,
            lens.distortion.k2,
            solved.rms,
            seen.pictures().len()
        ));
        if let Some(lacks) = seen.lacks() {
            screen.say(format!(
                "{name}: more pictures would make it surer: {lacks}"
            ));
        }
        if let Some(folder) = &arguments.pictures {
            std::fs::create_dir_all(folder)?;
            let path = folder.join(format!("{name}.png"));
            picture(lens.width, lens.height, &seen).save(&path)?;
            screen.say(format!("saved {}", path.display()));
        }
        views.push(View {
            name,
            intrinsics: solved.intrinsics,
            extrinsics: Extrinsics::default(),
        });
        // After each: whatever happens with the next costs none of the work.
        files::write(&arguments.out, &views)?;
        screen.say(format!("saved {}", arguments.out.display()));
    }
    Ok(())
}

/// Watches until the end, or until it is enough where there is none.
fn solve(
    spec: &SourceSpec,
    finder: &BoardFinder,
    screen: &mut Screen,
) -> Result<(SolvedLens, Coverage), AnyError> {
    let mut source: Box<dyn FrameSource> = spec.open()?;
    screen.begin(
        &format!("looking for the board: {}", spec.name()),
        source.length(),
    );
    let mut seen: Option<(Coverage, (u32, u32))> = None;
    let (mut looked, mut with_board) = (0, 0);
    while let Some(picture) = source.next_picture()? {
        let size = picture.image.dimensions();
        let (coverage, first) = seen.get_or_insert_with(|| (Coverage::new(size.0, size.1), size));
        if *first != size {
            return Err(format!(
                "its pictures are {} x {} and {} x {}; they must be of one camera in one mode",
                first.0, first.1, size.0, size.1
            )
            .into());
        }
        let corners = finder.find(&picture.image);
        looked += 1;
        with_board += usize::from(!corners.is_empty());
        screen.show(|| vec![(spec.name(), guide(&picture.image, &corners, coverage))]);
        coverage.take(corners);
        let lacks = coverage.lacks();
        screen.step(format!(
            "{} ({} with the board, {:.0} % of the picture covered)",
            lacks.as_deref().unwrap_or("enough"),
            coverage.pictures().len(),
            100.0 * coverage.share(),
        ));
        if spec.is_live() && lacks.is_none() {
            break;
        }
    }
    screen.end();
    let Some((coverage, (width, height))) = seen else {
        return Err("there is no picture in it".into());
    };
    if let Some(short) = source.cut_short() {
        screen.warn(short);
    }
    let solved = calibrate(width, height, coverage.pictures()).map_err(|error| match error {
        LensError::TooFewPictures { found, .. } => LensError::TooFewPictures {
            found,
            given: looked,
        }
        .to_string(),
        _ => format!("{error} (a board was found in {with_board} of {looked} pictures)"),
    })?;
    Ok((solved, coverage))
}

/// Every corner that was seen, a colour for each picture.
fn picture(width: u32, height: u32, seen: &Coverage) -> RgbImage {
    let mut picture = RgbImage::from_pixel(width, height, Rgb([28, 30, 36]));
    let half = f64::from(width.max(height)) / 600.0;
    for (n, corners) in seen.pictures().iter().enumerate() {
        let shade = |part: usize| (120 + (n * 53 + part * 89) % 136) as u8;
        for (_, pixel) in corners {
            dot(
                &mut picture,
                *pixel,
                half,
                Rgb([shade(0), shade(1), shade(2)]),
            );
        }
    }
    picture
}

/// What the camera shows: parts of it that have not shown the board are red.
fn guide(image: &RgbImage, corners: &[Corner], coverage: &Coverage) -> RgbImage {
    let mut picture = with_corners(image, corners);
    let (width, height) = picture.dimensions();
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let part = |at: u32, all: u32| (at as usize * PARTS / all.max(1) as usize).min(PARTS - 1);
        if !coverage.is_shown(part(y, height), part(x, width)) {
            pixel[0] = pixel[0].saturating_add((255 - pixel[0]) / 3);
            pixel[1] -= pixel[1] / 4;
            pixel[2] -= pixel[2] / 4;
        }
    }
    picture
}
