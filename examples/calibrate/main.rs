//! Calibrates the cameras of a room by somebody who walks about in it, and says whether the result can be trusted:
//! `cargo run --example calibrate -- people --input A.mp4 B.mp4 --stature 1.75 --out cameras.toml`.

mod lens;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use bevy_pose_capture::calibrate::sync::{self, Track};
use bevy_pose_capture::calibrate::verdict::{Grade, Verdict, judge};
use bevy_pose_capture::calibrate::{files, people};
use bevy_pose_capture::camera::{Intrinsics, View};
use clap::{Parser, Subcommand};

use watch::{Networks, Watched};

type AnyError = Box<dyn std::error::Error>;

/// Calibrates the cameras of a room, and judges calibrations.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
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
        /// A file of cameras whose lenses are used, one for each clip; its places are not.
        #[arg(long)]
        lenses: Option<PathBuf>,
        /// Degrees that every lens spans along the picture's longer side, where no lenses are given.
        #[arg(long, default_value_t = bevy_pose_capture::camera::ASSUMED_FIELD_OF_VIEW_DEGREES)]
        field_of_view: f64,
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
    match run(&Arguments::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("calibrate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: &What) -> Result<(), AnyError> {
    match what {
        What::Lens(arguments) => lens::run(arguments),
        What::Board { board, out } => lens::print(board, out),
        What::People {
            input,
            stature,
            lenses,
            field_of_view,
            align,
            out,
            networks,
        } => {
            if !(0.5..3.0).contains(stature) {
                return Err(format!("nobody is {stature} m tall; --stature is in metres").into());
            }
            let watched = watch::watch(input, networks)?;
            let lenses = match lenses {
                Some(file) => fitted(files::read(file)?.views, &watched)?
                    .into_iter()
                    .map(|view| (view.name, view.intrinsics))
                    .collect(),
                None => assumed(&watched, *field_of_view),
            };
            println!("comparing clocks …");
            let mut delays = sync::delays(&tracks(&lenses, &watched), LONGEST_DELAY);
            tell_clocks(&lenses, &delays);
            if !align {
                delays.fill(Some(0.0));
            }
            let moments = sync::aligned(&watched.moments, &watched.stamps, &delays, 0.03);
            println!("solving …");
            let room = people::calibrate(&lenses, &moments, *stature)?;
            println!("median reprojection error: {:.1} px", room.error);
            for view in &room.views {
                let at = view.extrinsics.centre();
                println!(
                    "{} stands at x {:.2}, z {:.2}, {:.2} m above the floor",
                    view.name, at.x, at.z, at.y
                );
            }
            // What cannot be used replaces nothing that can.
            tell(&judge(&room.views, &moments))?;
            files::write(out, &room.views)?;
            println!("saved {}", out.display());
            Ok(())
        }
        What::Check {
            input,
            cameras,
            networks,
        } => {
            let file = files::read(cameras)?;
            let watched = watch::watch(input, networks)?;
            let views = fitted(file.into_bevy(), &watched)?;
            let lenses: Vec<(String, Intrinsics)> = views
                .iter()
                .map(|view| (view.name.clone(), view.intrinsics))
                .collect();
            let names: Vec<&str> = lenses.iter().map(|(name, _)| name.as_str()).collect();
            let mut verdict = judge(&views, &watched.moments);
            println!("comparing clocks …");
            let tracks = tracks(&lenses, &watched);
            let delays = sync::delays_in_room(&views, &tracks, LONGEST_DELAY);
            verdict.judge_clocks(&names, &delays);
            let moments = watched.moments.len();
            verdict.judge_pictures(&names, &watched.pictures(), moments);
            tell(&verdict)
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
            println!("saved {}", out.display());
            Ok(())
        }
    }
}

/// The person as each camera sees them.
fn tracks(lenses: &[(String, Intrinsics)], watched: &Watched) -> Vec<Track> {
    let track = |(view, (_, lens)): (usize, &(String, Intrinsics))| {
        let seen = watched.stamps.iter().zip(&watched.moments);
        let poses =
            seen.filter_map(|(stamps, moment)| Some((stamps[view]?, moment[view].clone()?)));
        Track {
            lens: *lens,
            poses: poses.collect(),
        }
    };
    lenses.iter().enumerate().map(track).collect()
}

/// Clips that begin further apart than this, in seconds, are not of the same time.
const LONGEST_DELAY: f64 = 1.0;

/// How far each clip's clock is from that of the first.
fn tell_clocks(lenses: &[(String, Intrinsics)], delays: &[Option<f64>]) {
    let (first, _) = &lenses[0];
    for ((name, _), delay) in lenses.iter().zip(delays).skip(1) {
        match delay {
            Some(delay) => println!(
                "{name} began {:.0} ms {} {first}",
                delay.abs() * 1e3,
                if *delay < 0.0 { "before" } else { "after" },
            ),
            None => println!(
                "{name}: no delay of up to {LONGEST_DELAY} s fits clearly better than others (too short a clip, too little or too even \
                 motion, or further off)"
            ),
        }
    }
}

fn assumed(watched: &Watched, degrees: f64) -> Vec<(String, Intrinsics)> {
    let lens = |(name, size): (&String, &(u32, u32))| {
        let lens = Intrinsics::from_field_of_view(size.0, size.1, degrees.to_radians());
        (name.clone(), lens)
    };
    watched.names.iter().zip(&watched.sizes).map(lens).collect()
}

/// One camera for each clip, with its lens scaled to the clip's pictures.
fn fitted(views: Vec<View>, watched: &Watched) -> Result<Vec<View>, AnyError> {
    let names: Vec<&str> = watched.names.iter().map(String::as_str).collect();
    let views = files::for_clips(views, &names)?;
    for (clip, view) in names.iter().zip(&views) {
        println!("{clip} is the camera {}", view.name);
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
    views.into_iter().zip(&watched.sizes).map(fit).collect()
}

fn tell(verdict: &Verdict) -> Result<(), AnyError> {
    for check in &verdict.checks {
        println!(
            "{:>6}  {:26} {}",
            check.grade.to_string(),
            check.name,
            check.sentence
        );
    }
    println!("\nthis calibration is {verdict}");
    match verdict.grade() {
        Grade::Failed => Err("the calibration cannot be used".into()),
        Grade::Good | Grade::Usable => Ok(()),
    }
}
