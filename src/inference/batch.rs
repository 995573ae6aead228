//! Several inputs through one network: at once where its file leaves their number open, else one after another.

use bevy::log::warn;

use super::{Data, Input, ModelCard, ModelError, Session, Tensor};

/// Inputs that wait to be run together. Keeps its buffers.
#[derive(Clone, Debug)]
pub struct Batch {
    name: String,
    inputs: Vec<Waiting>,
    /// How many wait.
    count: usize,
    /// Whether the network takes several.
    is_open: bool,
}

/// What waits for one input of the network.
#[derive(Clone, Debug)]
struct Waiting {
    name: String,
    /// Of one, its first axis being 1.
    shape: Vec<usize>,
    numbers: Numbers,
}

#[derive(Clone, Debug)]
enum Numbers {
    F32(Vec<f32>),
    U8(Vec<u8>),
}

impl Waiting {
    fn push(&mut self, data: Data) {
        match (&mut self.numbers, data) {
            (Numbers::F32(all), Data::F32(one)) => all.extend_from_slice(one),
            (Numbers::U8(all), Data::U8(one)) => all.extend_from_slice(one),
            (all, Data::F32(one)) => *all = Numbers::F32(one.to_vec()),
            (all, Data::U8(one)) => *all = Numbers::U8(one.to_vec()),
        }
    }

    fn clear(&mut self) {
        match &mut self.numbers {
            Numbers::F32(numbers) => numbers.clear(),
            Numbers::U8(numbers) => numbers.clear(),
        }
    }

    /// Numbers of one.
    fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Some of them.
    fn part(&self, from: usize, to: usize) -> Data<'_> {
        let range = from * self.size()..to * self.size();
        match &self.numbers {
            Numbers::F32(numbers) => Data::F32(&numbers[range]),
            Numbers::U8(numbers) => Data::U8(&numbers[range]),
        }
    }
}

impl Batch {
    /// For a loaded network and its card.
    pub fn new(session: &dyn Session, card: &ModelCard) -> Batch {
        let inputs = card.inputs();
        let have = session.inputs();
        let is_open = |name: &str| {
            let is_it = |(have, shape): &(String, Vec<Option<usize>>)| {
                have == name && shape.first() == Some(&None)
            };
            have.iter().any(is_it)
        };
        let several = inputs.iter().all(|(name, _)| is_open(name));
        Batch::of(&card.name, &inputs, several)
    }

    /// For a network of this name, whose inputs are of these shapes for one.
    pub(super) fn of(name: &str, inputs: &[(&str, Vec<usize>)], is_open: bool) -> Batch {
        let waiting = |(name, shape): &(&str, Vec<usize>)| Waiting {
            name: (*name).into(),
            shape: shape.clone(),
            numbers: Numbers::F32(Vec::new()),
        };
        Batch {
            name: name.into(),
            inputs: inputs.iter().map(waiting).collect(),
            count: 0,
            is_open,
        }
    }

    /// Adds what one is fed, in the order of [`ModelCard::inputs`] and in their shapes.
    ///
    /// # Errors
    /// [`ModelError::Run`] where these are more or fewer inputs, or larger or smaller ones. Then nobody waits any more: results of those who
    /// were added before would be taken for others'.
    pub fn push(&mut self, data: &[Data]) -> Result<(), ModelError> {
        let given = data.iter().map(|data| match data {
            Data::F32(numbers) => numbers.len(),
            Data::U8(numbers) => numbers.len(),
        });
        let wanted: Vec<usize> = self.inputs.iter().map(Waiting::size).collect();
        if !given.clone().eq(wanted.iter().copied()) {
            let given: Vec<usize> = given.collect();
            self.clear();
            return Err(ModelError::Run {
                name: self.name.clone(),
                error: format!("its inputs are of {wanted:?} numbers, it is given {given:?}"),
            });
        }
        for (input, data) in self.inputs.iter_mut().zip(data) {
            input.push(*data);
        }
        self.count += 1;
        Ok(())
    }

    /// Runs what was added, and is empty then. Returns the outputs of each input, in the order asked for, as if it had been run
    /// alone. A network that cannot do several at once, though its file says so, is given them one after another from then on.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn run(
        &mut self,
        session: &mut dyn Session,
        outputs: &[&str],
    ) -> Result<Vec<Vec<Tensor>>, ModelError> {
        let mut results = self.run_all(session, outputs);
        if let Err(error) = &results
            && self.is_open
            && self.count > 1
        {
            let reason = error.to_string();
            self.is_open = false;
            results = self.run_all(session, outputs);
            match results {
                Ok(_) => warn!("{reason}; people are given to it one after another"),
                // Then it was not that.
                Err(_) => self.is_open = true,
            }
        }
        // What failed must not be run with the next picture's.
        self.clear();
        results
    }

    fn clear(&mut self) {
        self.inputs.iter_mut().for_each(Waiting::clear);
        self.count = 0;
    }

    fn run_all(
        &self,
        session: &mut dyn Session,
        outputs: &[&str],
    ) -> Result<Vec<Vec<Tensor>>, ModelError> {
        let count = self.count;
        let mut run = |from: usize, to: usize| {
            let of_some = |input: &Waiting| [&[to - from], &input.shape[1..]].concat();
            let shapes: Vec<Vec<usize>> = self.inputs.iter().map(of_some).collect();
            let all = self.inputs.iter().zip(&shapes);
            let inputs: Vec<Input> = all
                .map(|(input, shape)| Input {
                    name: &input.name,
                    shape,
                    data: input.part(from, to),
                })
                .collect();
            let found = session.run(&inputs, outputs)?;
            match found.len() == outputs.len() {
                true => Ok(found),
                false => Err(ModelError::Run {
                    name: self.name.clone(),
                    error: format!("of {} outputs it gives {}", outputs.len(), found.len()),
                }),
            }
        };
        if !self.is_open || count < 2 {
            return (0..count).map(|n| run(n, n + 1)).collect();
        }
        let together = run(0, count)?;
        if let Some(n) = together
            .iter()
            .position(|tensor| tensor.shape.first() != Some(&count))
        {
            let (output, shape) = (outputs[n], &together[n].shape);
            let error =
                format!("given {count} inputs at once, its output {output} is of {shape:?}");
            return Err(ModelError::Mismatch {
                name: self.name.clone(),
                error,
            });
        }
        let alone = |n: usize| together.iter().map(move |tensor| part(tensor, n)).collect();
        Ok((0..count).map(alone).collect())
    }
}

/// One of several along the first axis.
fn part(tensor: &Tensor, n: usize) -> Tensor {
    let mut shape = tensor.shape.clone();
    shape[0] = 1;
    let size: usize = shape.iter().product();
    Tensor {
        shape,
        data: tensor.data[n * size..(n + 1) * size].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doubles what it is given, and counts how often.
    struct Twice {
        first_axis: Option<usize>,
        runs: usize,
        /// Whether it gives one output for all.
        sums: bool,
    }

    impl Session for Twice {
        fn run(&mut self, inputs: &[Input], _: &[&str]) -> Result<Vec<Tensor>, ModelError> {
            self.runs += 1;
            let Data::F32(data) = inputs[0].data else {
                panic!("floats")
            };
            let mut shape = inputs[0].shape.to_vec();
            let mut data: Vec<f32> = data.iter().map(|n| n * 2.0).collect();
            if self.sums {
                (shape, data) = (vec![1], vec![data.iter().sum()]);
            }
            Ok(vec![Tensor { shape, data }])
        }

        fn inputs(&self) -> Vec<(String, Vec<Option<usize>>)> {
            vec![("sequence".into(), vec![self.first_axis, Some(27), Some(74)])]
        }

        fn outputs(&self) -> Vec<String> {
            vec!["pose".into()]
        }
    }

    fn batch(session: &Twice) -> Batch {
        let several = session.first_axis.is_none();
        Batch::of("twice", &[("sequence", vec![1, 27, 74])], several)
    }

    fn run(session: &mut Twice) -> Result<Vec<f32>, ModelError> {
        let mut batch = batch(session);
        for n in 0..3_u8 {
            batch.push(&[Data::F32(&[f32::from(n); 27 * 74])])?;
        }
        let results = batch.run(session, &["pose"])?;
        assert!(batch.run(session, &["pose"])?.is_empty());
        assert!(results.iter().all(|r| r[0].data.len() == 27 * 74));
        Ok(results.iter().map(|result| result[0].data[5]).collect())
    }

    #[test]
    fn each_input_gets_its_own_results_whether_run_at_once_or_one_after_another()
    -> Result<(), ModelError> {
        for (first_axis, runs) in [(None, 1), (Some(1), 3)] {
            let mut session = Twice {
                first_axis,
                runs: 0,
                sums: false,
            };
            assert_eq!(run(&mut session)?, [0.0, 2.0, 4.0]);
            assert_eq!(session.runs, runs);
        }
        Ok(())
    }

    #[test]
    fn a_network_that_mixes_its_inputs_is_given_one_after_another() -> Result<(), ModelError> {
        let mut session = Twice {
            first_axis: None,
            runs: 0,
            sums: true,
        };
        let mut batch = batch(&session);
        for n in 1..3_u8 {
            batch.push(&[Data::F32(&[f32::from(n); 27 * 74])])?;
        }
        let sums = batch.run(&mut session, &["pose"]);
        let sums: Vec<f32> = sums.into_iter().flatten().map(|r| r[0].data[0]).collect();
        let all = f32::from(27 * 74_u16);
        assert_eq!((sums, session.runs), (vec![all * 2.0, all * 4.0], 3));
        // From then on at once.
        batch.push(&[Data::F32(&[1.0; 27 * 74])])?;
        batch.push(&[Data::F32(&[1.0; 27 * 74])])?;
        let again = batch.run(&mut session, &["pose"]);
        assert!(again.is_ok_and(|again| again.len() == 2) && session.runs == 5);
        Ok(())
    }

    /// Gives back what it is fed.
    struct Same;

    impl Session for Same {
        fn run(&mut self, inputs: &[Input], _: &[&str]) -> Result<Vec<Tensor>, ModelError> {
            let tensor = |input: &Input| Tensor {
                shape: input.shape.to_vec(),
                data: match input.data {
                    Data::F32(numbers) => numbers.to_vec(),
                    Data::U8(_) => Vec::new(),
                },
            };
            Ok(inputs.iter().map(tensor).collect())
        }

        fn inputs(&self) -> Vec<(String, Vec<Option<usize>>)> {
            Vec::new()
        }

        fn outputs(&self) -> Vec<String> {
            Vec::new()
        }
    }

    #[test]
    fn nobody_gets_what_is_anothers_though_somebody_is_fed_too_little_or_too_much()
    -> Result<(), ModelError> {
        for several in [true, false] {
            let inputs = [("image", vec![1, 2]), ("state", vec![1, 3])];
            let mut batch = Batch::of("same", &inputs, several);
            let [two, three, four] = [
                Data::F32(&[9.0; 2]),
                Data::F32(&[9.0; 3]),
                Data::F32(&[9.0; 4]),
            ];
            for wrong in [&[two][..], &[two, four], &[two, three, four], &[]] {
                batch.push(&[two, three])?;
                assert!(batch.push(wrong).is_err());
            }
            for person in [1.0, 2.0] {
                let (image, state) = ([person; 2], [person + 0.5; 3]);
                let (image, state) = (Data::F32(&image), Data::F32(&state));
                batch.push(&[image, state])?;
            }
            let told = batch.run(&mut Same, &["a", "b"])?;
            let told = told
                .iter()
                .map(|own| own.iter().map(|tensor| tensor.data.as_slice()).collect());
            let told: Vec<Vec<&[f32]>> = told.collect();
            assert_eq!(told, [[&[1.0; 2][..], &[1.5; 3]], [&[2.0; 2], &[2.5; 3]]]);
            batch.push(&[Data::F32(&[7.0; 2]), Data::F32(&[7.0; 3])])?;
            assert!(
                batch.run(&mut Same, &["a", "b", "c"]).is_err(),
                "fewer outputs than asked for"
            );
            assert!(batch.run(&mut Same, &["a", "b"])?.is_empty());
        }
        Ok(())
    }
}
