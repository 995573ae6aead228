//! What a network that sees people frame after frame keeps of each for the next.

use super::{Data, ModelError, StateCard, Tensor};

/// What a network keeps of one person's frames, state by state; nothing before the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Vec<Vec<f32>>);

impl Kept {
    /// Of somebody of whom nothing was seen yet: zeros.
    pub fn nothing(states: &[StateCard]) -> Kept {
        Kept(states.iter().map(|state| vec![0.0; state.size()]).collect())
    }

    /// Whether not even zeros are kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the network is fed, in the order of its states.
    pub fn inputs(&self) -> impl Iterator<Item = Data<'_>> {
        self.0.iter().map(|numbers| Data::F32(numbers))
    }

    /// Takes in what the network of this `name` gave for one person's states.
    ///
    /// # Errors
    /// [`ModelError::Run`] where these are of other sizes; then what is kept is as it was.
    pub fn take(
        &mut self,
        states: &[StateCard],
        told: Vec<Tensor>,
        name: &str,
    ) -> Result<(), ModelError> {
        let sizes = states.iter().map(StateCard::size);
        if !told.iter().map(|tensor| tensor.data.len()).eq(sizes) {
            return Err(ModelError::Run {
                name: name.into(),
                error: "it keeps states of other sizes than its card says".into(),
            });
        }
        self.0 = told.into_iter().map(|tensor| tensor.data).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_another_size_than_the_cards_are_an_error_and_change_nothing()
    -> Result<(), ModelError> {
        let state = |size| StateCard {
            input: "state".into(),
            output: "next".into(),
            shape: vec![1, size],
            later: None,
        };
        let states = [state(2), state(3)];
        let told = |sizes: &[usize]| -> Vec<Tensor> {
            let tensor = |&size: &usize| Tensor {
                shape: vec![1, size],
                data: vec![7.0; size],
            };
            sizes.iter().map(tensor).collect()
        };
        let mut kept = Kept::nothing(&states);
        for wrong in [&[2, 2][..], &[2], &[2, 3, 1], &[3, 2]] {
            let error = kept.take(&states, told(wrong), "elephant");
            assert!(error.is_err_and(|error| error.to_string().contains("elephant")));
            assert_eq!(kept.0, [vec![0.0; 2], vec![0.0; 3]]);
        }
        kept.take(&states, told(&[2, 3]), "elephant")?;
        assert_eq!(kept.0, [vec![7.0; 2], vec![7.0; 3]]);
        Ok(())
    }
}
