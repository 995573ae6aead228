//! `cargo xtask`: everything that is done with this project, one word each.

mod mannequin;
mod setup;
mod test;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

/// Set up, demonstrate, test and measure bevy_pose_capture.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Sets up what is missing, then lets the webcam, or the sample clip where there is none, drive an avatar.
    Demo {
        /// No window: write pictures and a .glb instead. Chosen by itself where there is no display.
        #[arg(long)]
        headless: bool,
        /// `webcam:0`, `webcam:NAME`, a video file or a folder of pictures.
        #[arg(long)]
        input: Option<String>,
        /// A .glb or .vrm humanoid in place of our mannequin.
        #[arg(long)]
        avatar: Option<PathBuf>,
        /// A folder of models to use before the embedded ones.
        #[arg(long)]
        models: Option<PathBuf>,
        /// Where the pictures and the .glb of `--headless` go.
        #[arg(long, default_value = "target/demo")]
        out: PathBuf,
    },
    /// Checks formatting, lints, documents and tests everything, as continuous integration does.
    Test {
        /// Only the tests of this name, and no other checks.
        filter: Option<String>,
    },
    /// Installs what building and running wants: system libraries, ffmpeg, ONNX Runtime.
    Setup,
    /// Measures the main thread's cost, the pipeline's speed, and what several cameras cost.
    Bench,
    /// Models the default avatar anew.
    Mannequin,
}

/// Where the project is. Cargo says so to what it runs; where it was when this was compiled need not be there any more.
fn root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR");
    let own = own.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    own.parent().map_or_else(|| ".".into(), Path::to_path_buf)
}

/// Runs a program in the project's folder; what it prints is shown.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    println!("\n> {program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .status()
        .map_err(|error| format!("{program} does not start: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!(
            "{program} {} failed ({status})",
            arguments.join(" ")
        ))
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Demo {
            headless,
            input,
            avatar,
            models,
            out,
        } => setup::setup().and_then(|()| demo(headless, input, avatar, models, &out)),
        Task::Test {
            filter: Some(filter),
        } => run("cargo", &["test", "--workspace", &filter]),
        Task::Test { filter: None } => setup::setup().and_then(|()| test::test()),
        Task::Setup => setup::setup(),
        Task::Bench => setup::setup().and_then(|()| {
            run(
                "cargo",
                &[
                    "bench",
                    "--profile",
                    "dev",
                    "--bench",
                    "main_thread",
                    "--bench",
                    "multiview",
                    "--bench",
                    "views",
                ],
            )
        }),
        Task::Mannequin => mannequin::write(&root().join("assets/avatars/mannequin.glb"))
            .map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn has_display() -> bool {
    cfg!(not(target_os = "linux"))
        || std::env::var_os("DISPLAY").is_some_and(|value| !value.is_empty())
}

fn demo(
    headless: bool,
    input: Option<String>,
    avatar: Option<PathBuf>,
    models: Option<PathBuf>,
    out: &Path,
) -> Result<(), String> {
    let mut shared: Vec<String> = Vec::new();
    for (name, path) in [("--avatar", avatar), ("--models", models)] {
        if let Some(path) = path {
            let path = std::path::absolute(&path).unwrap_or(path);
            shared.extend([name.into(), path.display().to_string()]);
        }
    }
    let input = input.map(|input| {
        if Path::new(&input).exists() {
            std::path::absolute(&input).map_or(input.clone(), |path| path.display().to_string())
        } else {
            input
        }
    });
    if !headless && has_display() {
        let mut arguments = vec![
            "run".to_owned(),
            "--example".into(),
            "drive_avatar".into(),
            "--".into(),
        ];
        arguments.extend(shared);
        arguments.extend(
            input
                .into_iter()
                .flat_map(|input| ["--input".to_owned(), input]),
        );
        return run(
            "cargo",
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
    if !headless {
        println!("There is no display here, so the demo writes pictures (--headless).");
    }
    let out = std::path::absolute(out).unwrap_or(out.into());
    let input =
        input.unwrap_or_else(|| root().join("assets/clips/sample.mp4").display().to_string());
    let places = [
        "--input".to_owned(),
        input,
        "--out".into(),
        out.display().to_string(),
    ];
    for (example, extra) in [
        ("record_clip", None),
        ("drive_avatar", Some("--headless".to_owned())),
    ] {
        let mut arguments = vec![
            "run".to_owned(),
            "--example".into(),
            example.into(),
            "--".into(),
        ];
        arguments.extend(shared.iter().chain(&places).cloned().chain(extra));
        run(
            "cargo",
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        )?;
    }
    println!(
        "\nThe avatar in the clip's poses: {0}/pose_*.png\nThe animation: {0}/capture.glb\nWhat was seen, frame by frame: {0}/overlay.png",
        out.display()
    );
    Ok(())
}
