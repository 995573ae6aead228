//! Running networks: a model is an `.onnx` file and a JSON [`ModelCard`] that says how to feed it and how to read it.
//!
//! Two engines run the same files: ONNX Runtime where it is found ([`onnxruntime`]), rten, in pure Rust, where it is not
//! ([`rten`](mod@rten)). [`Engine::find`] chooses and says why.

mod batch;
mod card;
mod kept;
#[cfg(any(feature = "onnxruntime", feature = "onnxruntime-download"))]
pub mod onnxruntime;
pub mod rten;
mod sequence;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bevy::log::warn;
use sha2::{Digest, Sha256};

pub use batch::Batch;
pub use card::*;
pub(crate) use kept::Kept;
pub(crate) use sequence::SequenceNetwork;
pub(crate) use stream::StreamNetwork;

/// What goes wrong with models. Every message names the file, what is wrong with it and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file or its card cannot be read.
    #[error(
        "cannot read {path}: {error}; check the path, or leave out the models folder to use the embedded ones"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The card is not a model card.
    #[error("{path} is not a model card: {error}; compare it with models/cards/*.json")]
    Card {
        /// The card.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The engine refuses the file.
    #[error("{name} is not a model that {engine} can run: {error}; it should be an .onnx file")]
    Load {
        /// The model.
        name: String,
        /// The engine.
        engine: &'static str,
        /// What the engine says.
        error: String,
    },
    /// Inputs or outputs are not those of the card.
    #[error("{name} does not match its card: {error}; use the card written for this file")]
    Mismatch {
        /// The model.
        name: String,
        /// What differs.
        error: String,
    },
    /// Running failed.
    #[error("running {name} failed: {error}")]
    Run {
        /// The model.
        name: String,
        /// What the engine says.
        error: String,
    },
    /// No model of that name is at hand.
    #[error("there is no model {name} among {place}; at hand are {}", at_hand.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        place: String,
        /// Those that are there.
        at_hand: Vec<String>,
    },
    /// No model of that task is at hand.
    #[error("no model for {task} among {place}; a card of that task and its .onnx file are needed")]
    Missing {
        /// What it should do.
        task: Task,
        /// Where it was looked for.
        place: String,
    },
}

impl ModelError {
    /// That the card of the network of this name is not of its file, or not of what is asked of it.
    pub(crate) fn mismatch(name: &str, error: impl Into<String>) -> ModelError {
        ModelError::Mismatch {
            name: name.into(),
            error: error.into(),
        }
    }
}

/// The numbers that go into a network.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// Bytes.
    U8(&'a [u8]),
}

/// An input by name.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The graph's input.
    pub name: &'a str,
    /// Its size along each axis.
    pub shape: &'a [usize],
    /// Its numbers, in row-major order.
    pub data: Data<'a>,
}

/// A result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    /// Its size along each axis.
    pub shape: Vec<usize>,
    /// Its numbers, in row-major order.
    pub data: Vec<f32>,
}

/// A loaded network. It has one owner, which runs it: hence `&mut`.
pub trait Session: Send {
    /// Runs the network and returns the outputs asked for, in that order.
    ///
    /// # Errors
    /// [`ModelError::Run`] when the engine refuses the inputs or fails.
    fn run(&mut self, inputs: &[Input], outputs: &[&str]) -> Result<Vec<Tensor>, ModelError>;

    /// Names of the graph's inputs, and their sizes; `None` for an axis of any size.
    fn inputs(&self) -> Vec<(String, Vec<Option<usize>>)>;

    /// Names of the graph's outputs.
    fn outputs(&self) -> Vec<String>;
}

/// An engine that runs networks.
#[derive(Clone, Debug)]
pub enum Engine {
    /// ONNX Runtime.
    #[cfg(any(feature = "onnxruntime", feature = "onnxruntime-download"))]
    OnnxRuntime {
        /// Which one, and where it was found.
        found: Arc<str>,
    },
    /// rten.
    Rten {
        /// Why not ONNX Runtime.
        because: Arc<str>,
    },
}

impl Engine {
    /// The fastest engine at hand. Looks for ONNX Runtime once in the life of the process.
    pub fn find() -> Engine {
        #[cfg(any(feature = "onnxruntime", feature = "onnxruntime-download"))]
        return match onnxruntime::find() {
            Ok(found) => Engine::OnnxRuntime { found },
            Err(because) => Engine::Rten { because },
        };
        #[cfg(not(any(feature = "onnxruntime", feature = "onnxruntime-download")))]
        Engine::rten("built without the feature `onnxruntime`")
    }

    /// rten, for a reason of the caller's.
    pub fn rten(because: &str) -> Engine {
        Engine::Rten {
            because: because.into(),
        }
    }

    /// A sentence for logs and panels: which engine, and why.
    pub fn describe(&self) -> String {
        match self {
            #[cfg(any(feature = "onnxruntime", feature = "onnxruntime-download"))]
            Engine::OnnxRuntime { found } => format!("ONNX Runtime, {found}"),
            Engine::Rten { because } => format!("rten, because {because}"),
        }
    }

    /// Loads a network.
    ///
    /// # Errors
    /// [`ModelError::Load`] when the bytes are not a network that the engine can run.
    pub fn load(
        &self,
        name: &str,
        onnx: &[u8],
        threads: usize,
    ) -> Result<Box<dyn Session>, ModelError> {
        match self {
            #[cfg(any(feature = "onnxruntime", feature = "onnxruntime-download"))]
            Engine::OnnxRuntime { .. } => Ok(Box::new(onnxruntime::OnnxRuntimeSession::load(
                name, onnx, threads,
            )?)),
            Engine::Rten { .. } => Ok(Box::new(rten::RtenSession::load(name, onnx, threads)?)),
        }
    }
}

/// A model as bytes: its card and its file.
#[derive(Clone, Debug)]
pub struct Model {
    /// How to feed and read it.
    pub card: ModelCard,
    /// The network.
    pub onnx: Arc<[u8]>,
}

impl Model {
    /// Reads a card, and beside it, or in `weights`, the file that it names.
    ///
    /// # Errors
    /// [`ModelError::Read`] or [`ModelError::Card`].
    pub fn open(card_path: &Path, weights: Option<&Path>) -> Result<Model, ModelError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| ModelError::Read {
                path: path.into(),
                error,
            })
        };
        let card = ModelCard::parse(&read(card_path)?).map_err(|error| ModelError::Card {
            path: card_path.into(),
            error,
        })?;
        let beside = weights.or(card_path.parent()).unwrap_or(Path::new("."));
        let onnx = read(&beside.join(&card.file))?;
        Ok(Model {
            card,
            onnx: onnx.into(),
        })
    }

    /// Loads the network and holds it against its card.
    ///
    /// # Errors
    /// [`ModelError::Load`], or [`ModelError::Mismatch`] when the card's inputs or outputs are not the file's.
    pub fn load(&self, engine: &Engine, threads: usize) -> Result<Box<dyn Session>, ModelError> {
        let session = engine.load(&self.card.name, &self.onnx, threads)?;
        let mismatch = |error: String| ModelError::mismatch(&self.card.name, error);
        let inputs = session.inputs();
        for (wanted, size) in self.card.inputs() {
            let Some((_, shape)) = inputs.iter().find(|(name, _)| name == wanted) else {
                let names: Vec<&str> = inputs.iter().map(|(name, _)| name.as_str()).collect();
                return Err(mismatch(format!(
                    "it has no input {wanted}, but {}",
                    names.join(", ")
                )));
            };
            let same = shape.len() == size.len()
                && std::iter::zip(shape, &size)
                    .all(|(have, want)| have.is_none_or(|have| have == *want));
            if !same {
                return Err(mismatch(format!(
                    "its input {wanted} is {shape:?}, the card's {size:?}"
                )));
            }
        }
        let named: Vec<&str> = self.card.inputs().iter().map(|(name, _)| *name).collect();
        if let Some((name, _)) = inputs
            .iter()
            .find(|(name, _)| !named.contains(&name.as_str()))
        {
            return Err(mismatch(format!(
                "it also wants the input {name}, of which the card says nothing"
            )));
        }
        let outputs = session.outputs();
        for name in self.card.decoder.outputs() {
            if !outputs.iter().any(|have| have == name) {
                return Err(mismatch(format!(
                    "it has no output {name}, but {}",
                    outputs.join(", ")
                )));
            }
        }
        Ok(session)
    }
}

/// The models at hand, of which each stage takes the one for its task.
#[derive(Clone, Debug, Default)]
pub struct Models {
    models: Vec<Model>,
    place: String,
}

impl Models {
    /// Our own models, inside the crate.
    #[cfg(feature = "embedded-models")]
    pub fn embedded() -> Models {
        let files: [(&str, &[u8]); 5] = [
            (
                include_str!("../models/embedded/person.json"),
                include_bytes!("../models/embedded/person.onnx"),
            ),
            (
                include_str!("../models/embedded/keypoints.json"),
                include_bytes!("../models/embedded/keypoints.onnx"),
            ),
            (
                include_str!("../models/embedded/lifter.json"),
                include_bytes!("../models/embedded/lifter.onnx"),
            ),
            (
                include_str!("../models/embedded/refiner.json"),
                include_bytes!("../models/embedded/refiner.onnx"),
            ),
            (
                include_str!("../models/embedded/appearance.json"),
                include_bytes!("../models/embedded/appearance.onnx"),
            ),
        ];
        let models = files
            .into_iter()
            .filter_map(|(card, onnx)| {
                // A test loads every one of them, so none is left out in a build that passed.
                ModelCard::parse(card.as_bytes()).ok().map(|card| Model {
                    card,
                    onnx: onnx.into(),
                })
            })
            .collect();
        Models {
            models,
            place: "the embedded models".into(),
        }
    }

    /// The models of a folder: every `*.json` card there; for `.onnx` files without one, the cards that come with the
    /// crate for well-known third-party files. What the folder lacks is taken from the embedded models.
    ///
    /// # Errors
    /// [`ModelError::Read`] when the folder cannot be listed or holds no model; [`ModelError::Card`].
    pub fn from_folder(folder: &Path) -> Result<Models, ModelError> {
        let unreadable = |error| ModelError::Read {
            path: folder.into(),
            error,
        };
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
            .map_err(unreadable)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        files.sort();
        let mut models = Vec::new();
        for card in files
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
        {
            models.push(Model::open(card, None)?);
        }
        for text in KNOWN_CARDS {
            let card = ModelCard::parse(text.as_bytes()).map_err(|error| ModelError::Card {
                path: "models/cards".into(),
                error,
            })?;
            let path = folder.join(&card.file);
            if files.contains(&path) && !models.iter().any(|model| model.card.file == card.file) {
                let onnx = std::fs::read(&path).map_err(|error| ModelError::Read {
                    path: path.clone(),
                    error,
                })?;
                if card
                    .sha256
                    .as_ref()
                    .is_some_and(|known| *known != sha256(&onnx))
                {
                    warn!(
                        "{} is another file than the one of that name that this crate knows; where it is read wrongly, put a \
                         card of its own beside it",
                        path.display()
                    );
                }
                models.push(Model {
                    card,
                    onnx: onnx.into(),
                });
            }
        }
        if models.is_empty() {
            let known = KNOWN_CARDS.iter();
            let known = known.filter_map(|text| ModelCard::parse(text.as_bytes()).ok());
            let known: Vec<String> = known.map(|card| card.file).collect();
            return Err(unreadable(std::io::Error::other(format!(
                "no model card (.json) is in that folder, nor any of {}",
                known.join(", ")
            ))));
        }
        #[cfg(feature = "embedded-models")]
        models.extend(Models::embedded().models);
        Ok(Models {
            models,
            place: folder.display().to_string(),
        })
    }

    /// Every model, best first within a task.
    pub fn iter(&self) -> impl Iterator<Item = &Model> {
        self.models.iter()
    }

    /// Adds a model, which is taken for its task.
    pub fn add_first(&mut self, model: Model) {
        self.models.insert(0, model);
    }

    /// Puts a model first, so that it is taken for its task.
    ///
    /// # Errors
    /// [`ModelError::Unknown`], with the names that there are.
    pub fn prefer(&mut self, name: &str) -> Result<(), ModelError> {
        if self.models.iter().all(|model| model.card.name != name) {
            let at_hand = self.models.iter().map(|model| model.card.name.clone());
            return Err(ModelError::Unknown {
                name: name.into(),
                place: self.place.clone(),
                at_hand: at_hand.collect(),
            });
        }
        self.models.sort_by_key(|model| model.card.name != name);
        Ok(())
    }

    /// The model for a task.
    ///
    /// # Errors
    /// [`ModelError::Missing`].
    pub fn of(&self, task: Task) -> Result<&Model, ModelError> {
        self.models
            .iter()
            .find(|model| model.card.task == task)
            .ok_or_else(|| ModelError::Missing {
                task,
                place: self.place.clone(),
            })
    }
}

/// SHA-256 in hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Cards for third-party files that users may point at; the files themselves are not part of the crate.
const KNOWN_CARDS: &[&str] = &[
    include_str!("../models/cards/yolox_nano.json"),
    include_str!("../models/cards/movenet_lightning.json"),
    include_str!("../models/cards/blazepose_landmark_lite.json"),
    include_str!("../models/cards/person_192_ssd.json"),
    include_str!("../models/cards/osnet_x0_25_msmt17.json"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_file_is_no_model() {
        let error = Engine::rten("a test")
            .load("notes", b"hello, I am a text file", 1)
            .err();
        assert!(matches!(error, Some(ModelError::Load { .. })), "{error:?}");
    }

    #[test]
    #[cfg(feature = "embedded-models")]
    fn a_preferred_model_that_is_not_there_is_named_with_those_that_are() {
        let error = Models::embedded().prefer("movenet").err();
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(
            text.contains("movenet") && text.contains("keypoints"),
            "{text}"
        );
    }

    #[test]
    fn the_known_cards_parse() {
        for text in KNOWN_CARDS {
            assert!(ModelCard::parse(text.as_bytes()).is_ok(), "{text}");
        }
    }
}
