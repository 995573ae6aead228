//! A network that is shown people frame after frame, and keeps of each what it needs for the next.

use super::sequence::features_of;
use super::{Batch, Data, Decoder, Engine, InputForm, Kept, Model, ModelError, Session, StateCard};
use crate::skeleton::Joint;

/// A loaded network, and how it is fed.
pub(crate) struct StreamNetwork {
    session: Box<dyn Session>,
    batch: Batch,
    pub name: String,
    /// Of the pose, and of the states.
    outputs: Vec<String>,
    states: Vec<StateCard>,
    /// So many numbers make a frame.
    features: usize,
    pub joints: &'static [Joint],
}

impl StreamNetwork {
    /// Loads a lifter whose card says `frame`; `features` tells how many numbers so many joints make in a frame.
    ///
    /// # Errors
    /// [`ModelError`] when it is broken, or not what its card says.
    pub fn load(
        model: &Model,
        engine: &Engine,
        threads: usize,
        features: impl Fn(usize) -> usize,
    ) -> Result<Self, ModelError> {
        let card = &model.card;
        let InputForm::Frame { features: told } = card.input.form else {
            return Err(ModelError::mismatch(
                &card.name,
                "its input is not of the kind `frame`",
            ));
        };
        let Decoder::Lift { states, .. } = &card.decoder else {
            return Err(ModelError::mismatch(
                &card.name,
                "its decoder must be `lift`",
            ));
        };
        let made = features_of(card, told, features)?;
        let session = model.load(engine, threads)?;
        Ok(StreamNetwork {
            batch: Batch::new(session.as_ref(), card),
            session,
            name: card.name.clone(),
            outputs: card
                .decoder
                .outputs()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            states: states.clone(),
            features: made,
            joints: card.joints(),
        })
    }

    /// What it says of everybody's next frame, one person's numbers after the other's, as `frames` has their features. Of whoever is shown their
    /// first frame it has kept nought: it is told so by that.
    ///
    /// # Errors
    /// [`ModelError::Run`]. Of those who were not shown the frame, what is kept is as it was.
    pub fn run(&mut self, frames: &[f32], kept: &mut [&mut Kept]) -> Result<Vec<f32>, ModelError> {
        for (frame, kept) in frames.chunks(self.features).zip(kept.iter_mut()) {
            if kept.is_empty() {
                **kept = Kept::nothing(&self.states);
            }
            let inputs: Vec<Data> = std::iter::once(Data::F32(frame))
                .chain(kept.inputs())
                .collect();
            self.batch.push(&inputs)?;
        }
        let outputs: Vec<&str> = self.outputs.iter().map(String::as_str).collect();
        let found = self.batch.run(self.session.as_mut(), &outputs)?;
        let mut told = Vec::new();
        for (mut tensors, kept) in found.into_iter().zip(kept) {
            kept.take(&self.states, tensors.split_off(1), &self.name)?;
            told.extend(&tensors[0].data);
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{Input, Tensor};

    /// Says the sum of the last three frames of each person.
    struct Sums {
        several: bool,
        runs: usize,
    }

    impl Session for Sums {
        fn run(&mut self, inputs: &[Input], outputs: &[&str]) -> Result<Vec<Tensor>, ModelError> {
            assert_eq!(outputs, ["pose", "next"]);
            self.runs += 1;
            let [frames, kept] = [0, 1].map(|n| match inputs[n].data {
                Data::F32(numbers) => numbers,
                Data::U8(_) => panic!("floats"),
            });
            let people = inputs[0].shape[0];
            assert!(people == 1 || self.several);
            assert_eq!(inputs[1].shape, [people, 1, 2]);
            let each = || frames.iter().zip(kept.as_chunks::<2>().0);
            let tensor = |data: Vec<f32>| Tensor {
                shape: vec![people, data.len() / people],
                data,
            };
            Ok(vec![
                tensor(
                    each()
                        .map(|(now, before)| now + before[0] + before[1])
                        .collect(),
                ),
                tensor(each().flat_map(|(now, before)| [before[1], *now]).collect()),
            ])
        }

        fn inputs(&self) -> Vec<(String, Vec<Option<usize>>)> {
            Vec::new()
        }

        fn outputs(&self) -> Vec<String> {
            Vec::new()
        }
    }

    fn network(several: bool) -> StreamNetwork {
        StreamNetwork {
            session: Box::new(Sums { several, runs: 0 }),
            batch: Batch::of(
                "sums",
                &[("frame", vec![1, 1]), ("kept", vec![1, 1, 2])],
                several,
            ),
            name: "sums".into(),
            outputs: vec!["pose".into(), "next".into()],
            states: vec![StateCard {
                input: "kept".into(),
                output: "next".into(),
                shape: vec![1, 2],
                later: None,
            }],
            features: 1,
            joints: &[],
        }
    }

    #[test]
    fn everybody_has_frames_of_their_own_and_begins_with_nothing_kept() -> Result<(), ModelError> {
        for several in [true, false] {
            let (mut network, mut one, mut other) =
                (network(several), Kept::default(), Kept::default());
            assert_eq!(network.run(&[1.0], &mut [&mut one])?, [1.0]);
            assert_eq!(network.run(&[2.0], &mut [&mut one])?, [3.0]);
            // Somebody comes in, before the other one.
            assert_eq!(
                network.run(&[10.0, 3.0], &mut [&mut other, &mut one])?,
                [10.0, 6.0]
            );
            assert_eq!(
                network.run(&[4.0, 20.0], &mut [&mut one, &mut other])?,
                [9.0, 30.0]
            );
            assert!(network.run(&[], &mut [])?.is_empty());
        }
        Ok(())
    }
}
