//! Scores what ships, on pictures and motions that nobody trained on: `cargo run --example evaluate -- keypoints --help`.

#[path = "../support/chart.rs"]
mod chart;
mod clips;
mod faults;
mod keypoints;
mod lift;
#[path = "../support/models.rs"]
mod models;
mod multiview;
#[path = "../support/networks.rs"]
mod networks;
mod rig;
#[path = "../support/studio.rs"]
mod studio;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

type AnyError = Box<dyn std::error::Error>;

/// Runs the networks as users run them, and writes what they say for the scorers to read.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Keypoints(keypoints::Arguments),
    Clips(clips::Arguments),
    Lift(lift::Arguments),
    /// People seen by several calibrated cameras, in space.
    Multiview(multiview::Arguments),
    /// People in a room of virtual webcams, by how many cameras there are.
    Rig(rig::Arguments),
    /// What is wrong with the cameras of such a room: whether it is named.
    Faults(faults::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Clips(arguments) => clips::run(&arguments),
        What::Keypoints(arguments) => keypoints::run(&arguments),
        What::Lift(arguments) => lift::run(&arguments),
        What::Multiview(arguments) => multiview::run(&arguments),
        What::Rig(arguments) => rig::run(&arguments),
        What::Faults(arguments) => faults::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evaluate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A JSON file of `what`.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path, what: &str) -> Result<T, AnyError> {
    let text =
        std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let read = serde_json::from_slice(&text);
    Ok(read.map_err(|error| format!("{} is not a file of {what}: {error}", path.display()))?)
}

/// The files of a folder whose names end so, in order; `hint` tells what to do where it cannot be read.
fn files_in(folder: &Path, extension: &str, hint: &str) -> Result<Vec<PathBuf>, AnyError> {
    let listed = std::fs::read_dir(folder)
        .map_err(|error| format!("cannot read {}: {error}; {hint}", folder.display()))?;
    let mut files: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|own| own == extension));
    files.sort();
    Ok(files)
}

/// The name of a file, without its ending.
fn stem(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
