//! ONNX Runtime, loaded while the program runs: nothing is linked, and nothing is missed where it is not there.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

#[cfg(feature = "onnxruntime")]
use bevy::log::debug;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session as OrtSession, SessionInputValue};
use ort::value::{TensorRef, ValueType};

use super::{Data, Input, ModelError, Session, Tensor};

const ENGINE: &str = "ONNX Runtime";

/// The runtime that this process uses, or why it has none. It lives as long as the process.
static FOUND: OnceLock<Result<(Environment, Arc<str>), Arc<str>>> = OnceLock::new();

/// Finds and loads ONNX Runtime: says which one, or why there is none.
pub fn find() -> Result<Arc<str>, Arc<str>> {
    match FOUND.get_or_init(|| search().map_err(Into::into)) {
        Ok((_, found)) => Ok(found.clone()),
        Err(because) => Err(because.clone()),
    }
}

#[cfg(not(feature = "onnxruntime"))]
fn search() -> Result<(Environment, Arc<str>), String> {
    let environment = ort::init()
        .with_telemetry(false)
        .commit_quietly()
        .map_err(|error| error.to_string())?;
    Ok((environment, "linked into the program".into()))
}

#[cfg(feature = "onnxruntime")]
fn search() -> Result<(Environment, Arc<str>), String> {
    let mut refused = Vec::new();
    for (path, place) in candidates() {
        if path.is_absolute() && !path.exists() {
            if place == FROM_VARIABLE {
                refused.push(format!(
                    "ORT_DYLIB_PATH names {}, which does not exist",
                    path.display()
                ));
            }
            continue;
        }
        let built = match ort::init_from(&path) {
            Ok(builder) => builder
                .with_name("bevy_pose_capture")
                .with_telemetry(false)
                .build()
                .map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match built {
            Ok(environment) => {
                environment.set_log_level(LogLevel::Error);
                let version =
                    ort::util::probe(&path).map_or(String::new(), |minor| format!("1.{minor} "));
                debug!("ONNX Runtime is {}", path.display());
                return Ok((environment, format!("{version}{place}").into()));
            }
            // The system's is a bare name that is always tried: its absence is no news.
            Err(_) if !path.is_absolute() && place != FROM_VARIABLE => {}
            Err(error) => refused.push(format!("{} cannot be used ({error})", path.display())),
        }
    }
    Err(if refused.is_empty() {
        "no ONNX Runtime was found; put its library (1.24 or later) beside the program, say where it is in ORT_DYLIB_PATH, or run \
         `cargo xtask setup` in the folder of bevy_pose_capture"
            .into()
    } else {
        refused.join("; ")
    })
}

#[cfg(feature = "onnxruntime")]
const FROM_VARIABLE: &str = "from ORT_DYLIB_PATH";

/// Where the library may be, best first: the variable, beside the program, the folder that `cargo xtask` fills, the system.
#[cfg(feature = "onnxruntime")]
fn candidates() -> Vec<(PathBuf, &'static str)> {
    let mut found = Vec::new();
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        found.push((PathBuf::from(path), FROM_VARIABLE));
    }
    if let Some(folder) = std::env::current_exe()
        .ok()
        .as_deref()
        .and_then(Path::parent)
    {
        found.extend(libraries_in(folder).map(|path| (path, "beside the program")));
    }
    if let Some(folder) = setup_folder() {
        found.extend(libraries_in(&folder).map(|path| (path, "fetched by cargo xtask")));
    }
    let name = format!(
        "{}onnxruntime{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    found.push((PathBuf::from(name), "of the system"));
    found
}

/// The folder that `cargo xtask setup` fills: `bevy_pose_capture/onnxruntime` among the user's caches.
#[cfg(feature = "onnxruntime")]
pub fn setup_folder() -> Option<PathBuf> {
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

/// ONNX Runtime libraries of a folder: `libonnxruntime.so`, `.so.1.26.0`, `.dylib`, `onnxruntime.dll`.
#[cfg(feature = "onnxruntime")]
fn libraries_in(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let start = format!("{}onnxruntime", std::env::consts::DLL_PREFIX);
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.starts_with(&start)
                && !name.contains("providers")
                && name.contains(std::env::consts::DLL_SUFFIX)
        })
        .collect();
    found.sort();
    found.into_iter()
}

/// A network in ONNX Runtime.
pub struct OnnxRuntimeSession {
    name: String,
    session: OrtSession,
}

impl OnnxRuntimeSession {
    /// Loads a network, to be run on `threads` threads.
    ///
    /// # Errors
    /// [`ModelError::Load`].
    pub fn load(name: &str, onnx: &[u8], threads: usize) -> Result<Self, ModelError> {
        let failed = |error: String| ModelError::Load {
            name: name.into(),
            engine: ENGINE,
            error,
        };
        let Some(Ok((environment, _))) = FOUND.get() else {
            return Err(failed("it is not loaded".into()));
        };
        let build = || -> ort::Result<OrtSession> {
            OrtSession::builder(environment)?
                .with_intra_threads(threads)?
                .with_intra_op_spinning(false)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_log_level(LogLevel::Fatal)?
                .commit_from_memory(onnx)
        };
        let session = build().map_err(|error| failed(error.to_string()))?;
        Ok(OnnxRuntimeSession {
            name: name.into(),
            session,
        })
    }
}

impl Session for OnnxRuntimeSession {
    fn run(&mut self, inputs: &[Input], outputs: &[&str]) -> Result<Vec<Tensor>, ModelError> {
        let name = self.name.clone();
        let failed = |error: String| ModelError::Run {
            name: name.clone(),
            error,
        };
        let mut values: Vec<(Cow<str>, SessionInputValue)> = Vec::with_capacity(inputs.len());
        for input in inputs {
            let value: SessionInputValue = match input.data {
                Data::F32(data) => {
                    TensorRef::from_array_view((input.shape.to_vec(), data)).map(Into::into)
                }
                Data::U8(data) => {
                    TensorRef::from_array_view((input.shape.to_vec(), data)).map(Into::into)
                }
            }
            .map_err(|error| failed(error.to_string()))?;
            values.push((input.name.into(), value));
        }
        let results = self
            .session
            .run(values)
            .map_err(|error| failed(error.to_string()))?;
        outputs
            .iter()
            .map(|output| {
                let value = results
                    .get(*output)
                    .ok_or_else(|| failed(format!("no output {output}")))?;
                let (shape, data) = value
                    .try_extract_tensor::<f32>()
                    .map_err(|error| failed(error.to_string()))?;
                Ok(Tensor {
                    shape: shape.iter().map(|&n| n.max(0) as usize).collect(),
                    data: data.to_vec(),
                })
            })
            .collect()
    }

    fn inputs(&self) -> Vec<(String, Vec<Option<usize>>)> {
        let shape = |kind: &ValueType| match kind {
            ValueType::Tensor { shape, .. } => {
                shape.iter().map(|&n| usize::try_from(n).ok()).collect()
            }
            _ => Vec::new(),
        };
        self.session
            .inputs()
            .iter()
            .map(|input| (input.name().to_owned(), shape(input.dtype())))
            .collect()
    }

    fn outputs(&self) -> Vec<String> {
        self.session
            .outputs()
            .iter()
            .map(|output| output.name().to_owned())
            .collect()
    }
}
