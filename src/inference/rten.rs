//! rten: pure Rust, always there.

use std::sync::Arc;

use rten::{
    Dimension, Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueView,
};
use rten_tensor::prelude::*;

use super::{Data, Input, ModelError, Session, Tensor};

const ENGINE: &str = "rten";

/// A network in rten.
pub struct RtenSession {
    name: String,
    model: Model,
    threads: Arc<ThreadPool>,
}

impl RtenSession {
    /// Loads a network, to be run on `threads` threads.
    ///
    /// # Errors
    /// [`ModelError::Load`].
    pub fn load(name: &str, onnx: &[u8], threads: usize) -> Result<Self, ModelError> {
        let mut options = ModelOptions::with_all_ops();
        options.enable_optimization(true).prepack_weights(true);
        let model = options
            .load(onnx.to_vec())
            .map_err(|error| ModelError::Load {
                name: name.into(),
                engine: ENGINE,
                error: error.to_string(),
            })?;
        Ok(RtenSession {
            name: name.into(),
            model,
            threads: Arc::new(ThreadPool::with_num_threads(threads)),
        })
    }

    fn node(&self, name: &str) -> Result<NodeId, ModelError> {
        self.model.node_id(name).map_err(|error| ModelError::Run {
            name: self.name.clone(),
            error: error.to_string(),
        })
    }

    fn name_of(&self, id: NodeId) -> String {
        self.model
            .node_info(id)
            .and_then(|info| info.name().map(str::to_owned))
            .unwrap_or_default()
    }
}

impl Session for RtenSession {
    fn run(&mut self, inputs: &[Input], outputs: &[&str]) -> Result<Vec<Tensor>, ModelError> {
        let failed = |error: String| ModelError::Run {
            name: self.name.clone(),
            error,
        };
        let mut values: Vec<(NodeId, ValueOrView)> = Vec::with_capacity(inputs.len());
        for input in inputs {
            let view = match input.data {
                Data::F32(data) => ValueView::from_shape(input.shape, data)
                    .map_err(|error| failed(error.to_string()))?,
                Data::U8(data) => ValueView::from_shape(input.shape, data)
                    .map_err(|error| failed(error.to_string()))?,
            };
            values.push((self.node(input.name)?, view.into()));
        }
        let wanted = outputs
            .iter()
            .map(|name| self.node(name))
            .collect::<Result<Vec<_>, _>>()?;
        let options = RunOptions::default().with_thread_pool(Some(self.threads.clone()));
        let results = self
            .model
            .run(values, &wanted, Some(options))
            .map_err(|error| failed(error.to_string()))?;
        results
            .into_iter()
            .map(|value| match value {
                Value::FloatTensor(tensor) => Ok(Tensor {
                    shape: tensor.shape().to_vec(),
                    data: tensor.into_data(),
                }),
                other => Err(failed(format!("an output is {}, not f32", other.dtype()))),
            })
            .collect()
    }

    fn inputs(&self) -> Vec<(String, Vec<Option<usize>>)> {
        let size = |dimension| match dimension {
            Dimension::Fixed(n) => Some(n),
            Dimension::Symbolic(_) => None,
        };
        let shape = |id| {
            self.model
                .node_info(id)
                .and_then(|info| info.shape())
                .unwrap_or_default()
        };
        let describe = |&id: &NodeId| (self.name_of(id), shape(id).into_iter().map(size).collect());
        self.model.input_ids().iter().map(describe).collect()
    }

    fn outputs(&self) -> Vec<String> {
        self.model
            .output_ids()
            .iter()
            .map(|&id| self.name_of(id))
            .collect()
    }
}
