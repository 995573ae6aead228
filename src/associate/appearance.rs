//! How likely two people are one, by their looks.

use crate::looks::Looks;

/// Distance between looks at which two crops are as likely one person as two. OSNet's of three people, seen from four sides each, are
/// 0.5 to 0.88 apart for the same one and 0.88 to 1.06 for different ones (5 % to 95 %).
const MIDDLE: f64 = 0.88;
/// How fast likelihood falls around that.
const STEEPNESS: f64 = 20.0;

/// The chance that two crops show one person (a sigmoid of the distance of their looks); `None` where these are of different networks.
pub fn affinity(a: &Looks, b: &Looks) -> Option<f64> {
    let distance = a.distance(b)?;
    Some(1.0 / (1.0 + (STEEPNESS * (distance - MIDDLE)).exp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_looks_are_likely_one_person_and_opposite_ones_are_not() {
        let affinity_of = |a: &[f32], b: &[f32]| affinity(&Looks::new(a)?, &Looks::new(b)?);
        let a = [0.6, 0.8, 0.0];
        assert!(affinity_of(&a, &a).is_some_and(|p| p > 0.95));
        assert!(affinity_of(&a, &[-0.8, 0.6, 0.0]).is_some_and(|p| p < 0.05));
        assert_eq!(affinity_of(&a, &[1.0, 0.0]), None);
    }
}
