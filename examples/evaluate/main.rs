//! Scores what ships, on pictures and motions that nobody trained on: `cargo run --example evaluate -- keypoints --help`.

#[path = "../support/chart.rs"]
mod chart;
mod faults;
mod keypoints;
mod multiview;
mod rig;
#[path = "../support/studio.rs"]
mod studio;
#[path = "../support/mod.rs"]
mod support;

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
    /// Joints of people in photos.
    Keypoints(keypoints::Arguments),
    /// People seen by several calibrated cameras, in space.
    Multiview(multiview::Arguments),
    /// People in a room of virtual webcams, by how many cameras there are.
    Rig(rig::Arguments),
    /// What is wrong with the cameras of such a room: whether it is named.
    Faults(faults::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Keypoints(arguments) => keypoints::run(&arguments),
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
