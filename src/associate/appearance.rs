//! How alike two people look, by the embeddings that a network gives for crops of them.

/// Distance between embeddings of length 1 at which two crops are as likely one person as two.
const MIDDLE: f64 = 0.8;
/// How fast likelihood falls around that.
const STEEPNESS: f64 = 8.0;

/// Euclidean distance of two embeddings; `None` where they are not of one network.
pub fn distance(a: &[f32], b: &[f32]) -> Option<f64> {
    let squares = a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2));
    (a.len() == b.len() && !a.is_empty()).then(|| squares.sum::<f64>().sqrt())
}

/// The chance that two crops show one person, from that distance (a sigmoid).
pub fn affinity(a: &[f32], b: &[f32]) -> Option<f64> {
    let distance = distance(a, b)?;
    Some(1.0 / (1.0 + (STEEPNESS * (distance - MIDDLE)).exp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_looks_are_likely_one_person_and_opposite_ones_are_not() {
        let a = [0.6, 0.8, 0.0];
        assert!(affinity(&a, &a).is_some_and(|p| p > 0.95));
        assert!(affinity(&a, &[-0.8, 0.6, 0.0]).is_some_and(|p| p < 0.05));
        assert_eq!(affinity(&a, &[1.0, 0.0]), None);
        assert_eq!(affinity(&[], &[]), None);
    }
}
