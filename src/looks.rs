//! The vocabulary of looks: what a network says of somebody's appearance, which is alike from whichever side they are seen.

use std::sync::Arc;

/// What somebody looks like: a vector of length 1. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Looks(Arc<[f32]>);

impl Looks {
    /// From what a network gives; `None` where that has no length, or is no number.
    pub fn new(vector: &[f32]) -> Option<Looks> {
        let length = vector.iter().map(|n| n * n).sum::<f32>().sqrt();
        (length.is_finite() && length > 0.0)
            .then(|| Looks(vector.iter().map(|n| n / length).collect()))
    }

    /// What is known, with so much (0–1) of what is seen now; what is seen, where the two are of different networks.
    pub fn mixed(&self, seen: &Looks, share: f32) -> Looks {
        if self.0.len() != seen.0.len() {
            return seen.clone();
        }
        let pairs = self.0.iter().zip(seen.0.iter());
        let mixed: Vec<f32> = pairs.map(|(a, b)| a + (b - a) * share).collect();
        // Opposites have no middle.
        Looks::new(&mixed).unwrap_or_else(|| seen.clone())
    }

    /// Euclidean distance, 0 to 2; `None` where the two are of different networks.
    pub fn distance(&self, other: &Looks) -> Option<f64> {
        let pairs = self.0.iter().zip(other.0.iter());
        let squares: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
        (self.0.len() == other.0.len()).then(|| squares.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_have_length_one_and_what_is_seen_moves_them() {
        let of = |vector: &[f32]| Looks::new(vector);
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
        let other = Looks::new(&[1.0]);
        assert!(
            other
                .is_some_and(|other| other.distance(&a).is_none() && a.mixed(&other, 0.1) == other)
        );
    }
}
