//! The vocabulary of looks: what a network says of somebody's appearance, which is alike from whichever side they are seen.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How distances between looks of one network are to be read: the chance that two crops show one person is a sigmoid of their distance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    /// Distance at which they are as likely one person as two.
    pub same_at: f64,
    /// How fast the chance falls around that.
    pub steepness: f64,
}

impl Default for Likeness {
    /// Of OSNet: its looks of three people, seen from four sides each, are 0.5 to 0.88 apart for the same one and 0.88 to 1.06 for
    /// different ones (5 % to 95 %).
    fn default() -> Self {
        Likeness {
            same_at: 0.88,
            steepness: 20.0,
        }
    }
}

impl Likeness {
    /// The chance that looks so far apart are of one person.
    pub fn of(self, distance: f64) -> f64 {
        1.0 / (1.0 + (self.steepness * (distance - self.same_at)).exp())
    }
}

/// What somebody looks like: a vector of length 1. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Looks {
    vector: Arc<[f32]>,
    likeness: Likeness,
}

impl Looks {
    /// From what a network gives; `None` where that has no length, or is no number.
    pub fn new(vector: &[f32], likeness: Likeness) -> Option<Looks> {
        let length = vector.iter().map(|n| n * n).sum::<f32>().sqrt();
        (length.is_finite() && length > 0.0).then(|| Looks {
            vector: vector.iter().map(|n| n / length).collect(),
            likeness,
        })
    }

    /// How distances of the network are to be read.
    pub fn likeness(&self) -> Likeness {
        self.likeness
    }

    /// What is known, with so much (0–1) of what is seen now; what is seen, where the two are of different networks.
    pub fn mixed(&self, seen: &Looks, share: f32) -> Looks {
        if self.vector.len() != seen.vector.len() {
            return seen.clone();
        }
        let pairs = self.vector.iter().zip(seen.vector.iter());
        let mixed: Vec<f32> = pairs.map(|(a, b)| a + (b - a) * share).collect();
        // Opposites have no middle.
        Looks::new(&mixed, seen.likeness).unwrap_or_else(|| seen.clone())
    }

    /// Euclidean distance, 0 to 2; `None` where the two are of different networks.
    pub fn distance(&self, other: &Looks) -> Option<f64> {
        let pairs = self.vector.iter().zip(other.vector.iter());
        let squares: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
        (self.vector.len() == other.vector.len()).then(|| squares.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_have_length_one_and_what_is_seen_moves_them() {
        let of = |vector: &[f32]| Looks::new(vector, Likeness::default());
        let (Some(a), Some(b)) = (of(&[3.0, 0.0]), of(&[0.0, 0.5])) else {
            panic!("looks")
        };
        assert!(
            a.distance(&b)
                .is_some_and(|d| (d - 2.0_f64.sqrt()).abs() < 1e-6)
        );
        let mixed = a.mixed(&b, 0.25);
        let (to_a, to_b) = (mixed.distance(&a), mixed.distance(&b));
        assert!(to_a > Some(0.1) && to_a < to_b, "{to_a:?} {to_b:?}");
        assert_eq!(of(&[0.0, 0.0]), None);
        assert_eq!(of(&[f32::NAN, 1.0]), None);
        let other = of(&[1.0]);
        assert!(
            other
                .is_some_and(|other| other.distance(&a).is_none() && a.mixed(&other, 0.1) == other)
        );
    }
}
