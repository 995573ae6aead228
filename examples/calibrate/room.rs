//! `calibrate room`: where cameras stand, from a board.

use std::ops::Range;
use std::path::PathBuf;

use bevy::math::DVec2;
use bevy_pose_capture::calibrate::board::BoardFinder;
use bevy_pose_capture::calibrate::boards::{self, Moment};
use bevy_pose_capture::calibrate::files;
use bevy_pose_capture::calibrate::intrinsics::Corner;
use bevy_pose_capture::calibrate::verdict::judge_boards;
use bevy_pose_capture::source::together::Together;
use bevy_pose_capture::source::{Frame, SourceSpec};
use image::{Rgb, RgbImage};

use super::cameras::{self, Camera, look_about};
use super::lens::BoardArguments;
use super::screen::Screen;
use super::{AnyError, Lenses, open, tell, tell_places};

/// What is wanted.
#[derive(clap::Args)]
pub struct Arguments {
    /// A clip of each camera.
    #[arg(long, required = true, num_args = 2..)]
    input: Vec<String>,
    #[command(flatten)]
    lenses: Lenses,
    #[command(flatten)]
    board: BoardArguments,
    /// When the board lies flat on the floor, face up: that says where the floor is.
    #[arg(long, value_enum, default_value_t = OnFloor::End)]
    on_floor: OnFloor,
    /// For how many seconds it lies there, at the start or the end.
    #[arg(long, default_value_t = 1.0)]
    lying: f64,
    /// Where the cameras go.
    #[arg(long, default_value = "cameras.toml")]
    out: PathBuf,
}

/// When the board lies on the floor.
#[derive(Clone, Copy, clap::ValueEnum)]
enum OnFloor {
    /// In the first seconds; then it is carried about.
    Start,
    /// In the last seconds.
    End,
    /// All the time.
    Throughout,
    /// Not at all: up is what the cameras take for it, and the floor where the board was lowest.
    Never,
}

/// Finds where the cameras stand.
pub fn run(arguments: &Arguments, screen: &mut Screen) -> Result<(), AnyError> {
    if !(0.0..600.0).contains(&arguments.lying) {
        return Err(format!(
            "--lying {}: say for how many seconds the board lies there",
            arguments.lying
        )
        .into());
    }
    let board = arguments.board.board();
    board.has_top()?;
    let finder = BoardFinder::new(board)?;
    let specs: Vec<SourceSpec> = arguments
        .input
        .iter()
        .map(|input| SourceSpec::parse(input))
        .collect();
    let mut clips = open(&specs)?;
    let names: Vec<String> = clips.names().into_iter().map(String::from).collect();
    let mut cameras = arguments.lenses.cameras(&names, &clips.sizes(), screen)?;
    let (times, moments) = look(&mut clips, &names, &finder, &mut cameras, screen)?;
    let lenses = cameras::lenses(&cameras, screen);
    let on_floor = lying(arguments.on_floor, arguments.lying, &times);
    let room = boards::calibrate(&lenses, &moments, on_floor)?;
    for (view, shared) in room.views.iter().zip(&room.shared) {
        screen.say(format!(
            "{}: {shared} moments together with others were used",
            view.name
        ));
    }
    tell_places(&room.views, screen);
    // What cannot be used replaces nothing that can.
    tell(&judge_boards(&room), screen)?;
    files::write(&arguments.out, &room.views)?;
    screen.say(format!("saved {}", arguments.out.display()));
    Ok(())
}

/// Seconds from one look to the next: boards are held still for longer.
const STEP: f64 = 0.15;

/// Looks for the board several times a second.
fn look(
    clips: &mut Together,
    names: &[String],
    finder: &BoardFinder,
    cameras: &mut [Camera],
    screen: &mut Screen,
) -> Result<(Vec<f64>, Vec<Moment>), AnyError> {
    screen.begin("looking for the board", Some(clips.length()));
    let (mut times, mut moments) = (Vec::new(), Vec::new());
    let mut together = 0;
    while let Some(moment) = clips.next_moment()? {
        // Clips of different rates have moments of some of them only.
        let is_whole = moment.frames.iter().all(Option::is_some);
        let wait = if is_whole { STEP } else { 2.0 * STEP };
        if times.last().is_some_and(|last| moment.time - last < wait) {
            screen.step(String::new());
            continue;
        }
        look_about(cameras, &moment.frames);
        let find = |frame: &Option<Frame>| {
            let frame = frame.as_ref();
            frame.map_or_else(Vec::new, |frame| finder.find_named(&frame.image))
        };
        let seen: Moment = moment.frames.iter().map(find).collect();
        let seeing = seen.iter().filter(|corners| !corners.is_empty()).count();
        together += usize::from(seeing >= 2);
        screen.step(format!("{together} moments with two views of it"));
        screen.show(|| {
            let frames = names.iter().zip(&moment.frames).zip(&seen);
            frames
                .filter_map(|((name, frame), corners)| {
                    Some((name.clone(), with_corners(&frame.as_ref()?.image, corners)))
                })
                .collect()
        });
        times.push(moment.time);
        moments.push(seen);
    }
    screen.end();
    for short in clips.cut_short() {
        screen.warn(short);
    }
    Ok((times, moments))
}

/// The moments at which it lies.
fn lying(when: OnFloor, seconds: f64, times: &[f64]) -> Range<usize> {
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return 0..0;
    };
    match when {
        OnFloor::Start => 0..times.partition_point(|time| *time <= first + seconds),
        OnFloor::End => times.partition_point(|time| *time < last - seconds)..times.len(),
        OnFloor::Throughout => 0..times.len(),
        OnFloor::Never => 0..0,
    }
}

/// A picture with the corners that were found in it: the first is red.
pub fn with_corners(image: &RgbImage, corners: &[Corner]) -> RgbImage {
    let mut picture = image.clone();
    let size = f64::from(image.width().max(image.height()));
    for (n, (_, pixel)) in corners.iter().enumerate() {
        let colour = match n {
            0 => Rgb([255, 60, 60]),
            _ => Rgb([90, 255, 120]),
        };
        dot(&mut picture, *pixel, size / 250.0, colour);
    }
    picture
}

/// Paints a square about a pixel.
pub fn dot(picture: &mut RgbImage, at: DVec2, half: f64, colour: Rgb<u8>) {
    let half = half.round().max(1.0) as i64;
    for (dx, dy) in (-half..=half).flat_map(|dx| (-half..=half).map(move |dy| (dx, dy))) {
        let x = u32::try_from(at.x.round() as i64 + dx);
        let y = u32::try_from(at.y.round() as i64 + dy);
        if let (Ok(x), Ok(y)) = (x, y)
            && let Some(pixel) = picture.get_pixel_mut_checked(x, y)
        {
            *pixel = colour;
        }
    }
}
