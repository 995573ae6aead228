//! Scores what ships, on pictures and motions that nobody trained on: `cargo run --example evaluate -- keypoints --help`.

mod keypoints;

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
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Keypoints(arguments) => keypoints::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evaluate: {error}");
            ExitCode::FAILURE
        }
    }
}
