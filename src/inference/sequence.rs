//! A network that takes frames of numbers about joints.

use super::{Data, Engine, Input, InputForm, Model, ModelCard, ModelError, Session, Tensor};
use crate::skeleton::Joint;

/// A loaded network, and how it is fed.
pub(crate) struct SequenceNetwork {
    pub session: Box<dyn Session>,
    pub name: String,
    pub input: String,
    pub output: String,
    /// So many go in.
    pub frames: usize,
    /// So many numbers make one.
    pub features: usize,
    pub joints: &'static [Joint],
}

impl SequenceNetwork {
    /// Loads `what`, such as "a lifter": `output` is that of its decoder, `None` where that is not of the `kind`; `features` says how
    /// many numbers so many joints make in a frame.
    ///
    /// # Errors
    /// [`ModelError`] when it is broken or its card asks for features that nobody makes.
    pub fn load(
        model: &Model,
        engine: &Engine,
        threads: usize,
        (what, kind): (&str, &str),
        output: Option<&String>,
        features: impl Fn(usize) -> usize,
    ) -> Result<Self, ModelError> {
        let card = &model.card;
        let mismatch = |error: String| ModelError::mismatch(&card.name, error);
        let InputForm::Sequence {
            frames,
            features: told,
        } = card.input.form
        else {
            return Err(mismatch(format!("{what} takes a sequence")));
        };
        let Some(output) = output else {
            return Err(mismatch(format!("its decoder must be `{kind}`")));
        };
        let made = features_of(card, told, features)?;
        Ok(SequenceNetwork {
            session: model.load(engine, threads)?,
            name: card.name.clone(),
            input: card.input.name.clone(),
            output: output.clone(),
            frames,
            features: made,
            joints: card.joints(),
        })
    }

    /// What it says of its frames, one after the other.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn run(&mut self, numbers: &[f32]) -> Result<Tensor, ModelError> {
        let shape = [1, self.frames, self.features];
        let input = Input {
            name: &self.input,
            shape: &shape,
            data: Data::F32(numbers),
        };
        let mut found = self.session.run(&[input], &[&self.output])?;
        Ok(found.swap_remove(0))
    }
}

/// How many numbers the joints of a card make in a frame, by `features`.
///
/// # Errors
/// [`ModelError::Mismatch`] where it `told` another number.
pub(super) fn features_of(
    card: &ModelCard,
    told: usize,
    features: impl Fn(usize) -> usize,
) -> Result<usize, ModelError> {
    let count = card.joints().len();
    let made = features(count);
    if told == made {
        return Ok(made);
    }
    Err(ModelError::mismatch(
        &card.name,
        format!("{count} joints make {made} features a frame, the card says {told}"),
    ))
}
