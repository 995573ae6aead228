//! A network that is shown people frame after frame, and keeps of each what it needs for the next.

use super::sequence::features_of;
use super::{
    Data, Decoder, Engine, Input, InputForm, Model, ModelError, Session, StateCard, Tensor,
};
use crate::skeleton::Joint;

/// A loaded network, and how it is fed.
pub(crate) struct StreamNetwork {
    session: Box<dyn Session>,
    pub name: String,
    input: String,
    output: String,
    states: Vec<StateCard>,
    /// So many numbers make a frame.
    features: usize,
    /// A first frame is shown so many times before it counts.
    repeated: usize,
    /// Whether several people go through it at once.
    several: bool,
    pub joints: &'static [Joint],
}

/// What a network keeps of one person's frames, state by state; nothing before the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Vec<Vec<f32>>);

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
        let mismatch = |error: String| ModelError::mismatch(&card.name, error);
        let InputForm::Frame {
            features: told,
            repeated,
        } = card.input.form
        else {
            return Err(mismatch("its input is not of the kind `frame`".into()));
        };
        let Decoder::Lift { output, states } = &card.decoder else {
            return Err(mismatch("its decoder must be `lift`".into()));
        };
        let made = features_of(card, told, features)?;
        let session = model.load(engine, threads)?;
        let inputs = session.inputs();
        for state in states {
            let fits = |(name, shape): &(String, Vec<Option<usize>>)| {
                *name == state.input
                    && shape.len() == state.shape.len() + 1
                    && std::iter::zip(&shape[1..], &state.shape)
                        .all(|(have, want)| have.is_none_or(|have| have == *want))
            };
            if !inputs.iter().any(fits) {
                return Err(mismatch(format!(
                    "it has no input {} of {:?} for each person",
                    state.input, state.shape
                )));
            }
        }
        Ok(StreamNetwork {
            several: inputs.iter().all(|(_, shape)| shape.first() == Some(&None)),
            session,
            name: card.name.clone(),
            input: card.input.name.clone(),
            output: output.clone(),
            states: states.clone(),
            features: made,
            repeated,
            joints: card.joints(),
        })
    }

    /// What it says of everybody's next frame, one person's numbers after the other's, as `frames` has their features.
    ///
    /// # Errors
    /// [`ModelError::Run`]. Of those who were not shown the frame, what is kept is as it was.
    pub fn run(&mut self, frames: &[f32], kept: &mut [&mut Kept]) -> Result<Vec<f32>, ModelError> {
        for (frame, kept) in frames.chunks(self.features).zip(kept.iter_mut()) {
            if kept.0.is_empty() {
                let nothing = |state: &StateCard| vec![0.0; state.size()];
                let mut fresh = Kept(self.states.iter().map(nothing).collect());
                for _ in 0..self.repeated {
                    self.step(frame, &mut [&mut fresh])?;
                }
                **kept = fresh;
            }
        }
        if self.several {
            return self.step(frames, kept);
        }
        let mut told = Vec::new();
        for (frame, kept) in frames.chunks(self.features).zip(kept) {
            told.extend(self.step(frame, std::slice::from_mut(kept))?);
        }
        Ok(told)
    }

    fn step(&mut self, frames: &[f32], kept: &mut [&mut Kept]) -> Result<Vec<f32>, ModelError> {
        if kept.is_empty() {
            return Ok(Vec::new());
        }
        let together: Vec<Vec<f32>> = (0..self.states.len())
            .map(|n| kept.iter().flat_map(|kept| &kept.0[n]).copied().collect())
            .collect();
        let shape = |one: &[usize]| [&[kept.len()], one].concat();
        let shapes: Vec<Vec<usize>> = std::iter::once(shape(&[self.features]))
            .chain(self.states.iter().map(|state| shape(&state.shape)))
            .collect();
        let names = std::iter::once(&self.input).chain(self.states.iter().map(|s| &s.input));
        let numbers = std::iter::once(frames).chain(together.iter().map(Vec::as_slice));
        let inputs: Vec<Input> = names
            .zip(&shapes)
            .zip(numbers)
            .map(|((name, shape), numbers)| Input {
                name,
                shape,
                data: Data::F32(numbers),
            })
            .collect();
        let outputs: Vec<&str> = std::iter::once(self.output.as_str())
            .chain(self.states.iter().map(|state| state.output.as_str()))
            .collect();
        let mut found = self.session.run(&inputs, &outputs)?.into_iter();
        let told = found.next().unwrap_or_default().data;
        let next: Vec<Tensor> = found.collect();
        let whole =
            |(tensor, state): (&Tensor, &StateCard)| tensor.data.len() == state.size() * kept.len();
        if !next.iter().zip(&self.states).all(whole) {
            return Err(ModelError::Run {
                name: self.name.clone(),
                error: "it keeps states of other sizes than its card says".into(),
            });
        }
        for (n, tensor) in next.iter().enumerate() {
            let size = self.states[n].size().max(1);
            for (kept, own) in kept.iter_mut().zip(tensor.data.chunks(size)) {
                own.clone_into(&mut kept.0[n]);
            }
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            name: "sums".into(),
            input: "frame".into(),
            output: "pose".into(),
            states: vec![StateCard {
                input: "kept".into(),
                output: "next".into(),
                shape: vec![1, 2],
            }],
            features: 1,
            repeated: 2,
            several,
            joints: &[],
        }
    }

    #[test]
    fn everybody_has_frames_of_their_own_and_begins_as_if_they_had_stood_still()
    -> Result<(), ModelError> {
        for several in [true, false] {
            let (mut network, mut one, mut other) =
                (network(several), Kept::default(), Kept::default());
            assert_eq!(network.run(&[1.0], &mut [&mut one])?, [3.0]);
            assert_eq!(network.run(&[2.0], &mut [&mut one])?, [4.0]);
            // Somebody comes in, before the other one.
            assert_eq!(
                network.run(&[10.0, 3.0], &mut [&mut other, &mut one])?,
                [30.0, 6.0]
            );
            assert_eq!(
                network.run(&[4.0, 20.0], &mut [&mut one, &mut other])?,
                [9.0, 40.0]
            );
            assert!(network.run(&[], &mut [])?.is_empty());
        }
        Ok(())
    }

    #[test]
    fn states_of_another_size_than_the_cards_are_an_error() {
        let mut network = network(true);
        network.states[0].shape = vec![1, 2];
        let mut kept = Kept(vec![vec![0.0; 2]]);
        network.states.push(StateCard {
            input: "more".into(),
            output: "next".into(),
            shape: vec![3],
        });
        kept.0.push(vec![0.0; 3]);
        struct Short;
        impl Session for Short {
            fn run(&mut self, _: &[Input], outputs: &[&str]) -> Result<Vec<Tensor>, ModelError> {
                Ok(vec![
                    Tensor {
                        shape: vec![1, 2],
                        data: vec![0.0; 2]
                    };
                    outputs.len()
                ])
            }
            fn inputs(&self) -> Vec<(String, Vec<Option<usize>>)> {
                Vec::new()
            }
            fn outputs(&self) -> Vec<String> {
                Vec::new()
            }
        }
        network.session = Box::new(Short);
        assert!(network.run(&[1.0], &mut [&mut kept]).is_err());
    }
}
