//! `evaluate -- faults`: whether what is wrong with cameras is found, and named, in a room of virtual webcams.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy::math::DVec3;
use bevy_pose_capture::calibrate::people::Moment;
use bevy_pose_capture::calibrate::sync;
use bevy_pose_capture::calibrate::verdict::{Check, Grade, judge};
use bevy_pose_capture::camera::View;
use bevy_pose_capture::detect::{DetectSettings, Person2d};
use bevy_pose_capture::multiview::MultiViewSettings;
use bevy_pose_capture::room::RoomPipeline;
use bevy_pose_capture::skeleton::Pose2d;
use bevy_pose_capture::source::synthetic::Random;
use bevy_pose_capture::source::virtual_webcam::{Bump, Faults};
use bevy_pose_capture::source::{Frame, Picture};
use clap::ValueEnum;
use image::{RgbImage, imageops};
use indicatif::{ProgressBar, ProgressStyle};

use super::AnyError;
use crate::rig::{Equipment, EquipmentArguments, NOISE, room};
use crate::studio::{Studio, walkers};

/// Renders somebody who walks about before four virtual webcams, as it should be and with cameras that are bumped, and writes what
/// `calibrate check` and the watchdog say of that and of all else that may be wrong with a camera: a table.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder for `faults.md`.
    #[arg(long, default_value = "target/faults")]
    out: PathBuf,
    /// Seconds for which they walk.
    #[arg(long, default_value_t = 14.0)]
    seconds: f64,
    /// Pictures a second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Only these faults.
    #[arg(long, value_enum, num_args = 1..)]
    only: Vec<Fault>,
    #[command(flatten)]
    equipment: EquipmentArguments,
}

/// What is wrong with a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// Nothing.
    None,
    /// Its picture is mirrored.
    Mirror,
    /// Its clip and another's are exchanged.
    Swap,
    /// Its clip is another's.
    Twice,
    /// A third of its pictures is lost.
    Drop,
    /// Its clock is 80 ms behind.
    Offset,
    /// After five seconds it is turned by a degree.
    Turn,
    /// After five seconds it is moved by two centimetres.
    Shift,
}

const CAMERAS: usize = 4;
/// The camera with which something is wrong, and the other of two.
const CAMERA: usize = 2;
const OTHER: usize = 1;
/// When a camera is bumped, in seconds.
const BUMPED_AT: f64 = 5.0;
/// Clocks are no further apart than this, in seconds.
const LONGEST_DELAY: f64 = 0.5;

impl Fault {
    /// As in the table.
    fn title(self) -> &'static str {
        match self {
            Fault::None => "nothing",
            Fault::Mirror => "mirrored picture",
            Fault::Swap => "two clips exchanged",
            Fault::Twice => "one clip given twice",
            Fault::Drop => "a third of the pictures lost",
            Fault::Offset => "clock 80 ms behind",
            Fault::Turn => "turned by 1°",
            Fault::Shift => "moved by 2 cm",
        }
    }

    /// What is wrong while it is rendered; all else is done to the pictures of a session that is as it should be.
    fn webcam(self) -> Faults {
        let bump = |turn: f64, shift: f64| {
            Some(Bump {
                at: BUMPED_AT,
                turn: turn.to_radians(),
                // Across its line of sight: along that, two centimetres change nothing that it sees.
                shift: DVec3::Z * shift,
            })
        };
        Faults {
            noise: NOISE,
            bump: match self {
                Fault::Turn => bump(1.0, 0.0),
                Fault::Shift => bump(0.0, 0.02),
                _ => None,
            },
            ..Faults::default()
        }
    }

    /// Whose pictures a camera's clip shows.
    fn shown_by(self, camera: usize) -> usize {
        match (self, camera) {
            (Fault::Swap | Fault::Twice, CAMERA) => OTHER,
            (Fault::Swap, OTHER) => CAMERA,
            _ => camera,
        }
    }

    /// The clip of a camera.
    fn clip(self, session: &[Vec<Shot>], camera: usize) -> Vec<Shot> {
        let mut shots = session[self.shown_by(camera)].clone();
        if camera != CAMERA {
            return shots;
        }
        match self {
            Fault::Mirror => {
                for shot in &mut shots {
                    shot.image = Arc::new(imageops::flip_horizontal(shot.image.as_ref()));
                }
            }
            Fault::Drop => {
                let mut random = Random::new(7);
                shots.retain(|_| random.uniform() > 1.0 / 3.0);
            }
            Fault::Offset => {
                // What it takes at 80 ms has the time 0: its clock began late.
                shots.retain_mut(|shot| {
                    shot.time -= 0.08;
                    shot.time >= 0.0
                });
            }
            Fault::None | Fault::Swap | Fault::Twice | Fault::Turn | Fault::Shift => {}
        }
        shots
    }

    /// Which check should say so.
    fn check(self) -> &'static str {
        match self {
            Fault::None => "",
            Fault::Mirror | Fault::Swap => "mixed-up clips",
            Fault::Twice => "clips given twice",
            Fault::Drop => "lost pictures",
            Fault::Offset => "clocks",
            Fault::Turn | Fault::Shift => WATCHDOG,
        }
    }
}

const WATCHDOG: &str = "watchdog";

/// Renders, judges, and writes the table.
pub fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let (seconds, rate) = (arguments.seconds, arguments.rate);
    if !(8.0..=120.0).contains(&seconds) || !(5.0..=120.0).contains(&rate) {
        return Err(
            "there must be 8 to 120 seconds, as clocks want some, and 5 to 120 pictures a second"
                .into(),
        );
    }
    std::fs::create_dir_all(&arguments.out)
        .map_err(|error| format!("cannot make {}: {error}", arguments.out.display()))?;
    let equipment = Equipment::of(&arguments.equipment)?;
    let views = room(CAMERAS);
    let mut table =
        "| planted in camera 2 | named | what was said of it | what else was said |\n|---|---|---|---|\n"
            .to_owned();
    let chosen = Fault::value_variants()
        .iter()
        .filter(|fault| arguments.only.is_empty() || arguments.only.contains(fault));
    let mut sessions: Vec<(Faults, Vec<Vec<Shot>>)> = Vec::new();
    for &fault in chosen {
        let webcam = fault.webcam();
        if sessions.iter().all(|(rendered, _)| *rendered != webcam) {
            let session = render(arguments, &equipment, &views, &webcam)?;
            sessions.push((webcam.clone(), session));
        }
        let session = sessions.iter().find(|(rendered, _)| *rendered == webcam);
        let Some((_, session)) = session else {
            continue;
        };
        println!("{} …", fault.title());
        let clips: Vec<Vec<Shot>> = (0..CAMERAS)
            .map(|camera| fault.clip(session, camera))
            .collect();
        let said = watch(arguments, &equipment, &views, &clips)?.judged(&views);
        table += &row(fault, &views, &said);
    }
    println!("{table}");
    let file = arguments.out.join("faults.md");
    std::fs::write(&file, table)
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    println!("saved {}", file.display());
    Ok(())
}

fn row(fault: Fault, views: &[View], said: &[(&'static str, String)]) -> String {
    let name = &views[CAMERA].name;
    let (of_it, the_rest): (Vec<_>, Vec<_>) = said.iter().partition(|(check, sentence)| {
        *check == fault.check()
            && sentence.contains(name.as_str())
            && (fault != Fault::Offset || sentence.contains("behind"))
    });
    let listed = |said: &[&(&str, String)]| {
        let sentences = said.iter().map(|(_, sentence)| sentence.as_str());
        sentences.collect::<Vec<_>>().join("; ")
    };
    let named = match (fault, of_it.is_empty()) {
        (Fault::None, _) => "–",
        (_, true) => "no",
        (_, false) => "yes",
    };
    format!(
        "| {} | {named} | {} | {} |\n",
        fault.title(),
        listed(&of_it),
        listed(&the_rest)
    )
}

/// What a session showed.
struct Watched {
    moments: Vec<Moment>,
    /// When each view's picture was taken, by its own clock.
    stamps: Vec<Vec<Option<f64>>>,
    /// When, in seconds, and what the watchdog said.
    bumps: Vec<(f64, String)>,
}

impl Watched {
    /// What the checks say that is not good, and the watchdog: the check, and the sentence.
    fn judged(self, views: &[View]) -> Vec<(&'static str, String)> {
        let names: Vec<&str> = views.iter().map(|view| view.name.as_str()).collect();
        let mut verdict = judge(views, &self.moments);
        let lenses = views.iter().map(|view| view.intrinsics);
        let tracks = sync::tracks(lenses, &self.stamps, &self.moments);
        let delays = sync::delays_in_room(views, &tracks, LONGEST_DELAY);
        verdict.judge_clocks(&names, &delays);
        let count = |view: usize| {
            let stamps = self.stamps.iter();
            stamps.filter(|stamps| stamps[view].is_some()).count()
        };
        let pictures: Vec<usize> = (0..views.len()).map(count).collect();
        verdict.judge_pictures(&names, &pictures, self.moments.len());
        let checks = verdict.checks.into_iter();
        // A check that cannot tell has found nothing.
        let told = checks.filter(|check| check.grade != Grade::Good);
        let name = |check: &Check| {
            if check.number.is_nan() {
                "unknown"
            } else {
                check.name
            }
        };
        let mut said: Vec<(&'static str, String)> =
            told.map(|check| (name(&check), check.sentence)).collect();
        let bumps = self.bumps.into_iter();
        said.extend(bumps.map(|(time, sentence)| {
            let name = if time > BUMPED_AT {
                WATCHDOG
            } else {
                "false alarm"
            };
            (name, format!("by {time:.0} s {sentence}"))
        }));
        said
    }
}

/// A picture, and when it was taken by its camera's clock, in seconds.
#[derive(Clone)]
struct Shot {
    time: f64,
    image: Arc<RgbImage>,
}

/// What each camera takes.
fn render(
    arguments: &Arguments,
    equipment: &Equipment,
    views: &[View],
    faults: &Faults,
) -> Result<Vec<Vec<Shot>>, AnyError> {
    let mut webcams: Vec<(View, Faults)> = views
        .iter()
        .map(|view| (view.clone(), Fault::None.webcam()))
        .collect();
    webcams[CAMERA].1 = faults.clone();
    let mut studio = Studio::open(&walkers(1), &equipment.avatars, &webcams, arguments.rate)?;
    let bar = ProgressBar::new((arguments.seconds * 10.0) as u64).with_style(
        ProgressStyle::with_template("rendering {bar:40} {percent} %, {eta} left")?,
    );
    let mut session = vec![Vec::new(); CAMERAS];
    let mut is_over = false;
    while !is_over {
        is_over = studio.time() >= arguments.seconds;
        if is_over {
            studio.flush();
        } else {
            studio.step();
        }
        for (source, shots) in studio.sources().zip(&mut session) {
            while let Some(Picture { time, image, .. }) = source.try_next() {
                shots.push(Shot {
                    time,
                    image: Arc::new(image),
                });
            }
        }
        bar.set_position((studio.time() * 10.0) as u64);
    }
    bar.finish_and_clear();
    Ok(session)
}

/// Follows the person through clips as `record_clip` does.
fn watch(
    arguments: &Arguments,
    equipment: &Equipment,
    views: &[View],
    clips: &[Vec<Shot>],
) -> Result<Watched, AnyError> {
    let mut room = RoomPipeline::new(
        &equipment.models,
        &equipment.engine,
        equipment.threads,
        views.to_vec(),
        DetectSettings::default(),
        MultiViewSettings::default(),
    )?;
    let mut moments: BTreeMap<u64, Vec<Option<Frame>>> = BTreeMap::new();
    for (camera, shots) in clips.iter().enumerate() {
        for shot in shots {
            let number = (shot.time * arguments.rate).round().max(0.0) as u64;
            let moment = moments.entry(number).or_insert_with(|| vec![None; CAMERAS]);
            moment[camera] = Some(Frame {
                epoch: 1,
                number,
                time: shot.time,
                captured_at: Instant::now(),
                decoding: Duration::ZERO,
                image: shot.image.clone(),
            });
        }
    }
    let mut watched = Watched {
        moments: Vec::new(),
        stamps: Vec::new(),
        bumps: Vec::new(),
    };
    let mut looked = 0.0;
    for (number, frames) in moments {
        let time = number as f64 / arguments.rate;
        let captured = room.process(time, &frames)?;
        let largest = |people: &Vec<Person2d>| -> Option<Pose2d> {
            let size = |person: &&Person2d| person.bounds.size().element_product();
            let largest = people.iter().max_by(|a, b| size(a).total_cmp(&size(b)));
            largest.map(|person| person.pose.clone())
        };
        watched
            .moments
            .push(captured.seen.iter().map(largest).collect());
        let stamp = |frame: &Option<Frame>| frame.as_ref().map(|frame| frame.time);
        watched.stamps.push(frames.iter().map(stamp).collect());
        if time - looked >= 1.0 {
            looked = time;
            let bumped = room.bumped();
            watched
                .bumps
                .extend(bumped.into_iter().map(|bump| (time, bump.sentence)));
        }
    }
    Ok(watched)
}
