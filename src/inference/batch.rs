//! Several inputs through one network: at once where its file leaves their number open, else one after another.

use bevy::log::warn;

use super::{Data, Input, ModelCard, ModelError, Session, Tensor};

/// Inputs that wait to be run together. Keeps its buffers.
#[derive(Clone, Debug)]
pub struct Batch {
    name: String,
    input: String,
    /// Of one input, its first axis being 1.
    shape: Vec<usize>,
    /// Whether the network takes several.
    is_open: bool,
    numbers: Numbers,
}

#[derive(Clone, Debug)]
enum Numbers {
    F32(Vec<f32>),
    U8(Vec<u8>),
}

impl Batch {
    /// For a loaded network and its card.
    pub fn new(session: &dyn Session, card: &ModelCard) -> Batch {
        let is_open = |(name, shape): &(String, Vec<Option<usize>>)| {
            *name == card.input.name && shape.first() == Some(&None)
        };
        Batch {
            name: card.name.clone(),
            input: card.input.name.clone(),
            shape: card.input.shape(),
            is_open: session.inputs().iter().any(is_open),
            numbers: Numbers::F32(Vec::new()),
        }
    }

    /// Adds an input of the card's shape.
    pub fn push(&mut self, data: Data) {
        match (&mut self.numbers, data) {
            (Numbers::F32(all), Data::F32(one)) => all.extend_from_slice(one),
            (Numbers::U8(all), Data::U8(one)) => all.extend_from_slice(one),
            (all, Data::F32(one)) => *all = Numbers::F32(one.to_vec()),
            (all, Data::U8(one)) => *all = Numbers::U8(one.to_vec()),
        }
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
            && self.count() > 1
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
        match &mut self.numbers {
            Numbers::F32(numbers) => numbers.clear(),
            Numbers::U8(numbers) => numbers.clear(),
        }
        results
    }

    /// Numbers of one input.
    fn size(&self) -> usize {
        self.shape.iter().product::<usize>().max(1)
    }

    /// How many inputs wait.
    fn count(&self) -> usize {
        let numbers = match &self.numbers {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::U8(numbers) => numbers.len(),
        };
        numbers / self.size()
    }

    fn run_all(
        &self,
        session: &mut dyn Session,
        outputs: &[&str],
    ) -> Result<Vec<Vec<Tensor>>, ModelError> {
        let (size, count) = (self.size(), self.count());
        let mut run = |from: usize, to: usize| {
            let mut shape = self.shape.clone();
            shape[0] = to - from;
            let input = Input {
                name: &self.input,
                shape: &shape,
                data: match &self.numbers {
                    Numbers::F32(numbers) => Data::F32(&numbers[from * size..to * size]),
                    Numbers::U8(numbers) => Data::U8(&numbers[from * size..to * size]),
                },
            };
            session.run(&[input], outputs)
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
        Batch {
            name: "twice".into(),
            input: "sequence".into(),
            shape: vec![1, 27, 74],
            is_open: session.first_axis.is_none(),
            numbers: Numbers::F32(Vec::new()),
        }
    }

    fn run(session: &mut Twice) -> Result<Vec<f32>, ModelError> {
        let mut batch = batch(session);
        for n in 0..3_u8 {
            batch.push(Data::F32(&[f32::from(n); 27 * 74]));
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
    fn a_network_that_mixes_its_inputs_is_given_one_after_another() {
        let mut session = Twice {
            first_axis: None,
            runs: 0,
            sums: true,
        };
        let mut batch = batch(&session);
        for n in 1..3_u8 {
            batch.push(Data::F32(&[f32::from(n); 27 * 74]));
        }
        let sums = batch.run(&mut session, &["pose"]);
        let sums: Vec<f32> = sums.into_iter().flatten().map(|r| r[0].data[0]).collect();
        let all = f32::from(27 * 74_u16);
        assert_eq!((sums, session.runs), (vec![all * 2.0, all * 4.0], 3));
        // From then on at once.
        batch.push(Data::F32(&[1.0; 27 * 74]));
        batch.push(Data::F32(&[1.0; 27 * 74]));
        let again = batch.run(&mut session, &["pose"]);
        assert!(again.is_ok_and(|again| again.len() == 2) && session.runs == 5);
    }
}
