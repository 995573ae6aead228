//! Calibrates the cameras of a room by somebody who walks about in it, or by a board, and says whether the result can be trusted:
//! `cargo run --example calibrate -- people --input A.mp4 B.mp4 --stature 1.75 --out cameras.toml`.

mod cameras;
mod lens;
#[path = "../support/models.rs"]
mod models;
mod room;
mod screen;
mod watch;
#[cfg(feature = "panel")]
mod window;

use std::path::PathBuf;
use std::process::ExitCode;

use bevy_pose_capture::calibrate::sync::{self, Track};
use bevy_pose_capture::calibrate::verdict::{Grade, Verdict, judge};
use bevy_pose_capture::calibrate::{files, people};
use bevy_pose_capture::camera::{Intrinsics, View};
use bevy_pose_capture::source::SourceSpec;
use bevy_pose_capture::source::together::Together;
use clap::{Parser, Subcommand};

use cameras::Camera;
use screen::Screen;
use watch::{Networks, Watched};

type AnyError = Box<dyn std::error::Error>;

/// Calibrates the cameras of a room, and judges calibrations.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Show the pictures, what to do next and what was found in a window, too.
    #[cfg(feature = "panel")]
    #[arg(long, global = true)]
    window: bool,
    /// Save a picture of that window when the work is done, and close it.
    #[cfg(feature = "panel")]
    #[arg(long, global = true, requires = "window", value_name = "FILE")]
    screenshot: Option<PathBuf>,
}

/// Lenses of cameras whose places are looked for.
#[derive(clap::Args)]
struct Lenses {
    /// A file of cameras whose lenses are used, one for each clip, as `calibrate lens` writes it; its places are not.
    #[arg(long)]
    lenses: Option<PathBuf>,
    /// Degrees that every lens spans along the picture's longer side, where no lenses are given. Left out, the straight edges of the
    /// room tell it where they can; else it is 62.
    #[arg(long)]
    field_of_view: Option<f64>,
}

#[derive(Subcommand)]
enum What {
    /// A camera's lens, from a board that is held before it in many ways: printed, glued flat onto something stiff. A live camera
    /// is watched until it is enough; what the next picture should show is told all the while.
    Lens(lens::Arguments),
    /// A board to print, as a picture.
    Board {
        #[command(flatten)]
        board: lens::BoardArguments,
        /// Where the picture goes.
        #[arg(long, default_value = "board.png")]
        out: PathBuf,
    },
    /// Where cameras stand, from clips of a board that several of them see at the same time: lying on the floor, or, which is surer,
    /// carried about between them, held still for a moment here and there, and laid on the floor at the end.
    Room(room::Arguments),
    /// Where cameras stand, from clips of one person who walks about before them, turns round and raises their arms. No board
    /// is needed. The clips must be of the same time, beginning together. Where they are 5 s long or longer, and the person moves
    /// unevenly enough, it is told which of them did not, by up to a second.
    People {
        /// A clip of each camera.
        #[arg(long, required = true, num_args = 2..)]
        input: Vec<String>,
        /// How tall the person is, in metres: it gives the room its size.
        #[arg(long, default_value_t = 1.75)]
        stature: f64,
        #[command(flatten)]
        lenses: Lenses,
        /// Put right what is told of the clips' clocks.
        #[arg(long)]
        align: bool,
        /// Where the cameras go.
        #[arg(long, default_value = "cameras.toml")]
        out: PathBuf,
        #[command(flatten)]
        networks: Networks,
    },
    /// Whether a calibration fits clips of its cameras: every check as a sentence. Fails where the calibration has.
    Check {
        /// A clip of each camera, named as it is or in the order of the file.
        #[arg(long, required = true, num_args = 2..)]
        input: Vec<String>,
        /// The cameras, in any form that is known.
        #[arg(long)]
        cameras: PathBuf,
        #[command(flatten)]
        networks: Networks,
    },
    /// Writes cameras of any form that is known in ours, or in that of aniposelib and Pose2Sim.
    Convert {
        /// The cameras.
        #[arg(long)]
        cameras: PathBuf,
        /// Where they go.
        #[arg(long)]
        out: PathBuf,
        /// As aniposelib and Pose2Sim read them.
        #[arg(long)]
        anipose: bool,
    },
}

fn main() -> ExitCode {
    match start(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("calibrate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs in the terminal, or in a window, too.
fn start(arguments: Arguments) -> Result<(), AnyError> {
    #[cfg(feature = "panel")]
    if arguments.window {
        let work = move |screen: &mut Screen| {
            run(&arguments.what, screen).map_err(|error| error.to_string())
        };
        return Ok(window::run(work, arguments.screenshot)?);
    }
    run(&arguments.what, &mut Screen::terminal())
}

fn run(what: &What, screen: &mut Screen) -> Result<(), AnyError> {
    match what {
        What::Lens(arguments) => lens::run(arguments, screen),
        What::Board { board, out } => lens::print(board, out, screen),
        What::Room(arguments) => room::run(arguments, screen),
        What::People {
            input,
            stature,
            lenses,
            align,
            out,
            networks,
        } => {
            if !(0.5..3.0).contains(stature) {
                return Err(format!("nobody is {stature} m tall; --stature is in metres").into());
            }
            // Each network errs in its own way, and what they share is nearer to the truth than any of them.
            let networks = networks.each_for_keypoints()?;
            let mut known = None;
            let mut cameras = |names: &[String], sizes: &[(u32, u32)], screen: &Screen| {
                if known.is_none() {
                    known = Some(lenses.cameras(names, sizes, screen)?);
                }
                Ok(known.clone().unwrap_or_default())
            };
            let looks = networks.iter();
            let looks = looks.map(|one| watch::watch(input, one, &mut cameras, screen));
            let looks = looks.collect::<Result<Vec<_>, _>>()?;
            let watched = &looks[0];
            let lenses = cameras::lenses(&watched.cameras, screen);
            screen.say("comparing clocks …");
            let mut delays = sync::delays(&tracks(&lenses, watched), LONGEST_DELAY);
            tell_clocks(&lenses, &delays, screen);
            if !align {
                delays.fill(Some(0.0));
            }
            let aligned =
                |look: &Watched| sync::aligned(&look.moments, &look.stamps, &delays, 0.03);
            let moments: Vec<Vec<people::Moment>> = looks.iter().map(aligned).collect();
            screen.say("solving …");
            let ups = cameras::ups(&watched.cameras);
            let room = people::calibrate(&lenses, &moments.concat(), *stature, &ups)?;
            screen.say(format!("median reprojection error: {:.1} px", room.error));
            tell_places(&room.views, screen);
            // What cannot be used replaces nothing that can.
            let mut verdict = judge(&room.views, &moments[0]);
            verdict.judge_verticals(&room.views, &ups);
            tell(&verdict, screen)?;
            files::write(out, &room.views)?;
            screen.say(format!("saved {}", out.display()));
            Ok(())
        }
        What::Check {
            input,
            cameras,
            networks,
        } => {
            let file = files::read(cameras)?;
            let (mut views, calibrated) = (Vec::new(), file.into_bevy());
            let mut cameras = |names: &[String], sizes: &[(u32, u32)], screen: &Screen| {
                views = fitted(calibrated.clone(), names, sizes, screen)?;
                Ok(views.iter().map(Camera::of).collect())
            };
            let watched = watch::watch(input, networks, &mut cameras, screen)?;
            let lenses = cameras::lenses(&watched.cameras, screen);
            let names: Vec<&str> = lenses.iter().map(|(name, _)| name.as_str()).collect();
            let mut verdict = judge(&views, &watched.moments);
            verdict.judge_verticals(&views, &cameras::ups(&watched.cameras));
            screen.say("comparing clocks …");
            let tracks = tracks(&lenses, &watched);
            let delays = sync::delays_in_room(&views, &tracks, LONGEST_DELAY);
            verdict.judge_clocks(&names, &delays);
            let moments = watched.moments.len();
            verdict.judge_pictures(&names, &watched.pictures(), moments);
            for (name, delay) in watched.names.iter().zip(&delays).skip(1) {
                if let Some(delay) = delay.filter(|delay| delay.abs() > WORTH_TELLING) {
                    screen.say(format!(
                        "record_clip --delay '{name}={delay:.3}' takes this clip together with the others"
                    ));
                }
            }
            tell(&verdict, screen)
        }
        What::Convert {
            cameras,
            out,
            anipose,
        } => {
            let views = files::read(cameras)?.into_bevy();
            if *anipose {
                files::write_anipose(out, &views)?;
            } else {
                files::write(out, &views)?;
            }
            screen.say(format!("saved {}", out.display()));
            Ok(())
        }
    }
}

/// Opens clips, each of a name of its own.
fn open(specs: &[SourceSpec]) -> Result<Together, AnyError> {
    if let Some(live) = specs.iter().find(|spec| spec.is_live()) {
        return Err(format!(
            "{} is live; record clips of all cameras at the same time, and give those",
            live.name()
        )
        .into());
    }
    let clips = Together::open(specs)?;
    let names = clips.names();
    if let Some(twice) = (1..names.len()).find(|n| names[..*n].contains(&names[*n])) {
        return Err(format!(
            "two clips are called {}; cameras are known by the names of their clips, so give them different ones",
            names[twice]
        )
        .into());
    }
    Ok(clips)
}

impl Lenses {
    /// The cameras of clips of those names and sizes, as far as they are known.
    fn cameras(
        &self,
        names: &[String],
        sizes: &[(u32, u32)],
        screen: &Screen,
    ) -> Result<Vec<Camera>, AnyError> {
        if let Some(file) = &self.lenses {
            let views = fitted(files::read(file)?.views, names, sizes, screen)?;
            return Ok(views.iter().map(Camera::of).collect());
        }
        let given = |(width, height): (u32, u32)| {
            let view = self.field_of_view?.to_radians();
            Some(Intrinsics::from_field_of_view(width, height, view))
        };
        let clips = names.iter().zip(sizes);
        let camera = |(name, &size): (&String, &(u32, u32))| Camera::new(name, size, given(size));
        Ok(clips.map(camera).collect())
    }
}

fn tell_places(views: &[View], screen: &Screen) {
    for view in views {
        let at = view.extrinsics.centre();
        screen.say(format!(
            "{} stands at x {:.2}, z {:.2}, {:.2} m above the floor",
            view.name, at.x, at.z, at.y
        ));
    }
}

/// The person as each camera sees them.
fn tracks(lenses: &[(String, Intrinsics)], watched: &Watched) -> Vec<Track> {
    let lenses = lenses.iter().map(|(_, lens)| *lens);
    sync::tracks(lenses, &watched.stamps, &watched.moments)
}

/// Clips that begin further apart than this, in seconds, are not of the same time.
const LONGEST_DELAY: f64 = 1.0;

/// Clocks that are apart by less, in seconds, are as good as together.
const WORTH_TELLING: f64 = 0.02;

/// How far each clip's clock is from that of the first.
fn tell_clocks(lenses: &[(String, Intrinsics)], delays: &[Option<f64>], screen: &Screen) {
    let (first, _) = &lenses[0];
    for ((name, _), delay) in lenses.iter().zip(delays).skip(1) {
        match delay {
            Some(delay) => screen.say(format!(
                "{name} began {:.0} ms {} {first}",
                delay.abs() * 1e3,
                if *delay < 0.0 { "before" } else { "after" },
            )),
            None => screen.say(format!(
                "{name}: no delay of up to {LONGEST_DELAY} s fits clearly better than others (too short a clip, too little or too even \
                 motion, or further off)"
            )),
        }
    }
}

/// One camera for each clip, with its lens scaled to the clip's pictures.
fn fitted(
    views: Vec<View>,
    names: &[String],
    sizes: &[(u32, u32)],
    screen: &Screen,
) -> Result<Vec<View>, AnyError> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let views = files::for_clips(views, &names)?;
    for (clip, view) in names.iter().zip(&views) {
        screen.say(format!("{clip} is the camera {}", view.name));
    }
    let fit = |(view, &(width, height)): (View, &(u32, u32))| {
        let lens = &view.intrinsics;
        let scaled = lens.for_size(width, height).ok_or_else(|| {
            format!(
                "{} was calibrated for pictures of {} x {}, its clip has {width} x {height}, of other proportions",
                view.name, lens.width, lens.height
            )
        })?;
        Ok(View {
            intrinsics: scaled,
            ..view
        })
    };
    views.into_iter().zip(sizes).map(fit).collect()
}

fn tell(verdict: &Verdict, screen: &Screen) -> Result<(), AnyError> {
    for check in &verdict.checks {
        screen.say(format!(
            "{:>6}  {:26} {}",
            check.grade.to_string(),
            check.name,
            check.sentence
        ));
    }
    screen.say(format!("this calibration is {verdict}"));
    match verdict.grade() {
        Grade::Failed => Err("the calibration cannot be used".into()),
        Grade::Good | Grade::Usable => Ok(()),
    }
}
