//! How likely two people are one, by their looks.

use crate::looks::Looks;

/// The chance that two crops show one person; `None` where these are of different networks.
pub fn affinity(a: &Looks, b: &Looks) -> Option<f64> {
    Some(a.likeness().of(a.distance(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::looks::Likeness;

    #[test]
    fn the_same_looks_are_likely_one_person_and_opposite_ones_are_not() {
        let of = |vector: &[f32]| Looks::new(vector, Likeness::default());
        let affinity_of = |a: &[f32], b: &[f32]| affinity(&of(a)?, &of(b)?);
        let a = [0.6, 0.8, 0.0];
        assert!(affinity_of(&a, &a).is_some_and(|p| p > 0.95));
        assert!(affinity_of(&a, &[-0.8, 0.6, 0.0]).is_some_and(|p| p < 0.05));
        assert_eq!(affinity_of(&a, &[1.0, 0.0]), None);
    }

    #[test]
    fn a_network_says_itself_what_its_distances_mean() {
        let chance = |same_at: f64| {
            let likeness = Likeness {
                same_at,
                steepness: 10.0,
            };
            let (a, b) = (
                Looks::new(&[1.0, 0.0], likeness)?,
                Looks::new(&[0.0, 1.0], likeness)?,
            );
            affinity(&a, &b)
        };
        assert!(chance(2.0_f64.sqrt()).is_some_and(|p| (p - 0.5).abs() < 1e-6));
        assert!(chance(1.8) > Some(0.9) && chance(1.0) < Some(0.1));
    }
}
