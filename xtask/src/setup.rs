//! Installs what is missing, and nothing that is there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run;

/// What building wants on Debian and its kin: how to see whether it is there, and the package.
const PACKAGES: &[(Probe, &str)] = &[
    (Probe::Program("cc"), "build-essential"),
    (Probe::Program("pkg-config"), "pkg-config"),
    (Probe::Program("ffmpeg"), "ffmpeg"),
    (Probe::Module("pip"), "python3-pip"),
    (Probe::Library("libclang"), "libclang-dev"),
    (Probe::Library("libxkbcommon-x11.so"), "libxkbcommon-x11-0"),
    (Probe::Library("libX11-xcb.so"), "libx11-xcb1"),
    (Probe::Library("libXcursor.so"), "libxcursor1"),
    (Probe::Library("libXi.so"), "libxi6"),
    (Probe::Library("libXrandr.so"), "libxrandr2"),
    (Probe::Library("libvulkan.so"), "libvulkan1"),
    (
        Probe::File("/usr/share/vulkan/icd.d"),
        "mesa-vulkan-drivers",
    ),
];

enum Probe {
    Program(&'static str),
    /// Of Python.
    Module(&'static str),
    Library(&'static str),
    File(&'static str),
}

impl Probe {
    fn present(&self) -> bool {
        match self {
            Probe::Program(name) => on_path(name),
            Probe::Module(name) => Command::new("python3")
                .args(["-c", &format!("import {name}")])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
            Probe::File(path) => Path::new(path).exists(),
            Probe::Library(name) => library_folders().iter().any(|folder| {
                let entries = std::fs::read_dir(folder).into_iter().flatten();
                entries
                    .filter_map(Result::ok)
                    .any(|entry| is_library(&entry.file_name().to_string_lossy(), name))
            }),
        }
    }
}

/// Whether a file is that library, of any version: `libclang-14.so.1` is `libclang`, `libclang-cpp.so.14` is not.
fn is_library(file: &str, name: &str) -> bool {
    file.strip_prefix(name).is_some_and(|rest| {
        let rest = rest.strip_prefix('-').map_or(rest, |rest| {
            rest.trim_start_matches(|c: char| c.is_ascii_digit())
        });
        rest.is_empty() || rest.starts_with('.')
    })
}

/// Whether there is such a program, by its name without extension.
fn on_path(name: &str) -> bool {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(&name).exists()))
}

fn library_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["/usr/lib", "/usr/lib64", "/lib", "/usr/local/lib"]
        .iter()
        .map(PathBuf::from)
        .collect();
    for parent in ["/usr/lib", "/lib"] {
        let inside = std::fs::read_dir(parent)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .map(|entry| entry.path());
        folders.extend(inside.filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.ends_with("-linux-gnu") || name.starts_with("llvm-")
        }));
    }
    let nested: Vec<PathBuf> = folders.iter().map(|folder| folder.join("lib")).collect();
    folders.extend(nested);
    folders
}

/// Sets up the machine; quick when all is there.
pub fn setup() -> Result<(), String> {
    if cfg!(target_os = "linux") {
        system_packages()?;
    } else if !on_path("ffmpeg") {
        println!("note: ffmpeg is not installed; video files cannot be read without it");
    }
    if let Err(error) = onnx_runtime() {
        println!(
            "note: ONNX Runtime was not fetched ({error}); rten, which is slower, is used in its place"
        );
    }
    Ok(())
}

fn system_packages() -> Result<(), String> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(probe, _)| !probe.present())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !on_path("apt-get") {
        println!("note: these seem to be missing, under your system's names for them: {list}");
        return Ok(());
    }
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|out| out.stdout.starts_with(b"0\n"));
    let (program, before): (&str, &[&str]) = if is_root {
        ("apt-get", &[])
    } else {
        ("sudo", &["apt-get"])
    };
    let with = |arguments: &[&'static str]| -> Vec<&str> {
        before
            .iter()
            .copied()
            .chain(arguments.iter().copied())
            .collect()
    };
    let mut install = with(&["install", "-y", "-qq", "--no-install-recommends"]);
    install.extend(missing);
    run(program, &with(&["update", "-qq"]))
        .and_then(|()| run(program, &install))
        .map_err(|error| format!("{error}; install {list} by hand"))
}

/// The folder among the user's caches where the crate looks for ONNX Runtime.
fn onnx_runtime_folder() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let caches = set("XDG_CACHE_HOME")
        .or_else(|| set("LOCALAPPDATA"))
        .or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(caches.join("bevy_pose_capture").join("onnxruntime"))
}

fn is_runtime(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    (name.starts_with("libonnxruntime.") || name == "onnxruntime.dll")
        && !name.contains("providers")
}

/// The wheel: 1.24 is the first with the interface that the crate speaks.
const ONNX_RUNTIME: &str = "onnxruntime>=1.24,<2";

/// Takes the library out of the Python wheel `onnxruntime`; no Python package is installed by it.
fn onnx_runtime() -> Result<(), String> {
    let folder = onnx_runtime_folder().ok_or("there is no home folder")?;
    let files = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect()
    };
    if files(&folder).iter().any(|file| is_runtime(file)) {
        return Ok(());
    }
    println!("\n> fetching ONNX Runtime");
    let python = ["python3", "python"]
        .into_iter()
        .find(|name| on_path(name))
        .ok_or("Python's pip is needed for it")?;
    let unpacked = folder.with_extension("wheel");
    let target = unpacked.display().to_string();
    let status = Command::new(python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--upgrade",
            "--target",
            &target,
            ONNX_RUNTIME,
        ])
        .stdin(Stdio::null())
        .status()
        .map_err(|error| error.to_string())?;
    if !status.success() {
        return Err("pip failed".into());
    }
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let library = files(&unpacked.join("onnxruntime/capi"));
    for file in library.iter().filter(|file| is_runtime(file)) {
        let name = file.file_name().unwrap_or_default();
        std::fs::copy(file, folder.join(name)).map_err(|error| error.to_string())?;
    }
    let _ = std::fs::remove_dir_all(&unpacked);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_known_by_its_name_in_any_version_and_not_by_another_that_begins_alike() {
        assert!(is_library("libclang.so", "libclang"));
        assert!(is_library("libclang-14.so.1", "libclang"));
        assert!(is_library("libXi.so.6", "libXi.so"));
        assert!(!is_library("libclang-cpp.so.14", "libclang"));
        assert!(!is_library("libXinerama.so.1", "libXi.so"));
    }
}
