//! Which networks run, and on what: the arguments that the examples share.

use std::path::PathBuf;

use bevy_pose_capture::inference::{Engine, Model, Models};
use clap::Args;

use crate::models;

/// Which networks run, and on what.
#[derive(Args, Clone, Debug)]
pub struct NetworkArguments {
    /// Folder of models to use before the embedded ones: .onnx files with cards, or well-known ones by name.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Take this model for its task, by the name on its card; may be said more than once.
    #[arg(long)]
    prefer: Vec<String>,
    /// The card of a model for its task, beside its .onnx file; may be said more than once.
    #[arg(long)]
    model: Vec<PathBuf>,
    /// Threads for each network.
    #[arg(long)]
    threads: Option<usize>,
    /// Run on rten though ONNX Runtime is there.
    #[arg(long)]
    rten: bool,
}

impl NetworkArguments {
    /// Reads the models.
    ///
    /// # Errors
    /// Where a file cannot be read, or no model has a name that is preferred.
    pub fn models(&self) -> Result<Models, Box<dyn std::error::Error>> {
        let mut models = models::open(self.models.as_deref(), &self.prefer)?;
        for card in &self.model {
            models.add_first(Model::open(card, None)?);
        }
        Ok(models)
    }

    /// Threads for each network: so many as usual where none are said.
    pub fn threads(&self, usual: usize) -> usize {
        self.threads.unwrap_or(usual)
    }

    /// What runs them.
    pub fn engine(&self) -> Engine {
        match self.rten {
            true => Engine::rten("it was asked for"),
            false => Engine::find(),
        }
    }
}
