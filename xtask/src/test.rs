//! Everything that must hold, cheapest first.

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
    // Links that lead nowhere are faults of the documentation.
    let docs = std::process::Command::new("cargo")
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
