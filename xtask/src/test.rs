//! Everything that must hold, cheapest first.

use std::path::PathBuf;
use std::process::Command;

use crate::{root, run};

/// Feature sets that must build beside the default one.
const FEATURES: &[&str] = &[
    "",
    "video,embedded-models",
    "panel,virtual-webcams",
    "onnxruntime",
];

/// Runs all checks.
pub fn test() -> Result<(), String> {
    run("cargo", &["fmt", "--all", "--check"])?;
    if !root().join("../shared").exists() {
        println!(
            "note: ../shared is not there; the tests that want its clips, models and avatars say that they are skipped"
        );
    }
    run(
        "cargo",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    // With the tests, so that Bevy is checked once and not for each set anew; and once without, as a game sees the crate.
    for features in FEATURES {
        let set = [
            "--no-default-features",
            "--features",
            features,
            "--",
            "-D",
            "warnings",
        ];
        run(
            "cargo",
            &[
                &[
                    "clippy",
                    "--package",
                    "bevy_pose_capture",
                    "--lib",
                    "--tests",
                ],
                &set[..],
            ]
            .concat(),
        )?;
    }
    run(
        "cargo",
        &[
            "check",
            "--package",
            "bevy_pose_capture",
            "--lib",
            "--no-default-features",
        ],
    )?;
    run(
        "cargo",
        &[
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--examples",
        ],
    )?;
    run(
        "cargo",
        &["test", "--package", "bevy_pose_capture", "--doc"],
    )?;
    documentation()?;
    training()
}

/// Links that lead nowhere are faults of the documentation.
fn documentation() -> Result<(), String> {
    let docs = Command::new("cargo")
        .args(["doc", "--package", "bevy_pose_capture", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .current_dir(root())
        .status();
    match docs {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo doc failed ({status})")),
        Err(error) => Err(format!("cargo does not start: {error}")),
    }
}

/// The tests of the training code, where there is a Python that has what it wants: nobody who uses the models needs that, and it is large.
fn training() -> Result<(), String> {
    let folder = root().join("models/train");
    let own = folder.join(".venv/bin/python");
    let usual = if own.exists() { own } else { "python3".into() };
    let python = std::env::var_os("PYTHON").map_or(usual, PathBuf::from);
    let python = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.args(arguments).current_dir(&folder);
        command
    };
    let probe = python(&["-c", "import cv2, onnx, onnxruntime, torch"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        if std::env::var_os("PYTHON").is_some() {
            return Err("the Python that PYTHON names lacks what models/train wants".into());
        }
        println!(
            "\nnote: the tests of models/train are skipped: they want a Python with its packages (pip install -e models/train; PYTHON names \
             another one than python3)"
        );
        return Ok(());
    }
    println!("\n> python -m unittest discover tests, in models/train");
    match python(&["-m", "unittest", "discover", "tests"]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the tests of models/train failed ({status})")),
        Err(error) => Err(format!("python does not start: {error}")),
    }
}
