//! Matches that are consistent over all views at once: if a is b and b is c, then a is c.
//!
//! Dong, Jiang, Huang, Bao, Zhou: Fast and Robust Multi-Person 3D Pose Estimation from Multiple Views (CVPR 2019), section
//! 3.2. The matches of all pairs of views, put into one matrix P, are consistent where P has the rank of the number of
//! people. So the affinities A are followed under a penalty on the nuclear norm, the convex stand-in for rank (equation 6):
//!
//! minimise −⟨A, P⟩ + λ ‖P‖\*, with every block of P doubly substochastic, its diagonal blocks the identity, P symmetric,
//!
//! by the alternating direction method of multipliers (Boyd et al. 2011): a step that shrinks singular values, a step that
//! projects onto the constraints, a step of the multipliers.

use nalgebra::{DMatrix, SymmetricEigen};

/// Weight of the nuclear norm; with affinities in 0–1 and P's entries near 0 or 1.
const RANK_WEIGHT: f64 = 0.3;
const STEPS: usize = 60;
/// P is settled when no entry moves by more than this.
const SETTLED: f64 = 1e-3;
/// Entries above this are matches.
const MATCH: f64 = 0.5;

/// Finds out who is who: `affinity` (symmetric, 0–1, 0 within a view) between sightings, `view` of each. Returns groups of
/// sightings that are one person, of at most one sighting to a view; somebody whom one view alone sees is a group of one.
pub fn groups(affinity: &DMatrix<f64>, view: &[usize]) -> Vec<Vec<usize>> {
    if view.is_empty() {
        return Vec::new();
    }
    let matches = relax(affinity, view);
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for a in 0..view.len() {
        for b in a + 1..view.len() {
            if view[a] != view[b] && matches[(a, b)] > MATCH {
                pairs.push((matches[(a, b)], a, b));
            }
        }
    }
    // What the relaxation leaves undecided is joined from the surest pair on, never two of one view.
    pairs.sort_by(|p, q| q.0.total_cmp(&p.0).then((p.1, p.2).cmp(&(q.1, q.2))));
    let mut group: Vec<usize> = (0..view.len()).collect();
    for (_, a, b) in pairs {
        let (one, two) = (group[a], group[b]);
        let members = |wanted: usize| {
            (0..view.len())
                .filter(|&n| group[n] == wanted)
                .collect::<Vec<_>>()
        };
        let (ones, twos) = (members(one), members(two));
        let clash = ones
            .iter()
            .any(|&p| twos.iter().any(|&q| view[p] == view[q]));
        let mean = ones
            .iter()
            .flat_map(|&p| twos.iter().map(move |&q| (p, q)))
            .map(|(p, q)| matches[(p, q)])
            .sum::<f64>()
            / (ones.len() * twos.len()) as f64;
        if one != two && !clash && mean > MATCH {
            twos.iter().for_each(|&q| group[q] = one);
        }
    }
    let mut groups: Vec<Vec<usize>> = (0..view.len())
        .map(|wanted| (0..view.len()).filter(|&n| group[n] == wanted).collect())
        .collect();
    groups.retain(|group: &Vec<usize>| !group.is_empty());
    groups
}

/// The relaxed matches P.
fn relax(affinity: &DMatrix<f64>, view: &[usize]) -> DMatrix<f64> {
    let count = view.len();
    let fixed = |a: usize, b: usize| view[a] == view[b];
    let mut q = affinity.clone();
    for a in 0..count {
        for b in 0..count {
            if fixed(a, b) {
                q[(a, b)] = f64::from(u32::from(a == b));
            }
        }
    }
    let mut multipliers = DMatrix::<f64>::zeros(count, count);
    let mut weight = 1.0;
    for _ in 0..STEPS {
        let p = shrink(&q - &multipliers / weight, RANK_WEIGHT / weight);
        let before = q;
        // Affinities below a half speak against a match.
        let pull = affinity.map(|a| a - 0.5) + &multipliers;
        q = project(&p + pull / weight, view);
        let residual = &p - &q;
        multipliers += &residual * weight;
        let (primal, dual) = (residual.norm(), weight * (&q - &before).norm());
        if primal < SETTLED * count as f64 && dual < SETTLED * count as f64 {
            break;
        }
        // Residual balancing (Boyd et al. 2011, equation 3.13).
        if primal > 10.0 * dual {
            weight *= 2.0;
        } else if dual > 10.0 * primal {
            weight *= 0.5;
        }
    }
    q
}

/// Makes all singular values smaller by `by`; of a symmetric matrix they are the sizes of its eigenvalues.
fn shrink(matrix: DMatrix<f64>, by: f64) -> DMatrix<f64> {
    let symmetric = (&matrix + matrix.transpose()) * 0.5;
    let mut eigen = SymmetricEigen::new(symmetric);
    eigen
        .eigenvalues
        .iter_mut()
        .for_each(|value| *value = value.signum() * (value.abs() - by).max(0.0));
    eigen.recompose()
}

/// The nearest matrix that fulfils the constraints, by a few of Dykstra's alternating projections: entries in 0–1, rows and
/// columns of each block sum to at most 1, symmetric, and the identity within views.
fn project(mut matrix: DMatrix<f64>, view: &[usize]) -> DMatrix<f64> {
    let count = view.len();
    let views = view.iter().max().map_or(0, |last| last + 1);
    let within: Vec<Vec<usize>> = (0..views)
        .map(|wanted| (0..count).filter(|&n| view[n] == wanted).collect())
        .collect();
    let mut row_debt = DMatrix::<f64>::zeros(count, count);
    for _ in 0..4 {
        let given = &matrix + &row_debt;
        let mut rows = given.clone();
        for row in 0..count {
            for columns in &within {
                let mut values: Vec<f64> = columns.iter().map(|&c| given[(row, c)]).collect();
                onto_substochastic(&mut values);
                for (&column, value) in columns.iter().zip(values) {
                    rows[(row, column)] = value;
                }
            }
        }
        row_debt = given - &rows;
        matrix = (&rows + rows.transpose()) * 0.5;
        for a in 0..count {
            for b in 0..count {
                if view[a] == view[b] {
                    matrix[(a, b)] = f64::from(u32::from(a == b));
                    row_debt[(a, b)] = 0.0;
                }
            }
        }
    }
    matrix
}

/// The nearest point with entries of at least 0 and a sum of at most 1 (Duchi et al. 2008).
fn onto_substochastic(values: &mut [f64]) {
    let sum: f64 = values.iter().map(|v| v.max(0.0)).sum();
    if sum <= 1.0 {
        values.iter_mut().for_each(|v| *v = v.max(0.0));
        return;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (mut total, mut level) = (0.0, 0.0);
    for (n, value) in sorted.iter().enumerate() {
        total += value;
        let candidate = (total - 1.0) / (n + 1) as f64;
        if *value > candidate {
            level = candidate;
        }
    }
    values.iter_mut().for_each(|v| *v = (*v - level).max(0.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(views: &[usize], likely: impl Fn(usize, usize) -> f64) -> DMatrix<f64> {
        DMatrix::from_fn(views.len(), views.len(), |a, b| {
            if views[a] == views[b] {
                0.0
            } else {
                likely(a.min(b), a.max(b))
            }
        })
    }

    #[test]
    fn a_weak_pair_is_joined_by_the_cycle_and_a_false_one_is_broken_by_it() {
        // Two people in three views: 0, 2, 4 and 1, 3, 5. Views 0 and 2 hardly know them, and mistake 0 for 5.
        let views = [0, 0, 1, 1, 2, 2];
        let affinity = matrix(&views, |a, b| match (a, b) {
            (0, 2) | (2, 4) | (1, 3) | (3, 5) => 0.9,
            (0, 4) => 0.35,
            (0, 5) => 0.5,
            (1, 5) => 0.4,
            _ => 0.05,
        });
        assert_eq!(groups(&affinity, &views), [vec![0, 2, 4], vec![1, 3, 5]]);
    }

    #[test]
    fn who_is_seen_by_one_view_only_stays_alone() {
        let views = [0, 0, 1, 2];
        let affinity = matrix(&views, |a, b| match (a, b) {
            (0, 2) | (0, 3) | (2, 3) => 0.95,
            _ => 0.1,
        });
        assert_eq!(groups(&affinity, &views), [vec![0, 2, 3], vec![1]]);
    }

    #[test]
    fn nobody_is_matched_twice_in_a_view() {
        let views = [0, 1, 1, 2];
        let affinity = matrix(&views, |_, _| 0.9);
        for group in groups(&affinity, &views) {
            let mut seen: Vec<usize> = group.iter().map(|&n| views[n]).collect();
            seen.dedup();
            assert_eq!(seen.len(), group.len());
        }
        assert!(groups(&DMatrix::zeros(0, 0), &[]).is_empty());
    }

    #[test]
    fn rows_are_projected_to_the_nearest_that_sum_to_at_most_one() {
        let mut row = [0.9, 0.6, -0.3];
        onto_substochastic(&mut row);
        assert!((row[0] - 0.65).abs() < 1e-12 && (row[1] - 0.35).abs() < 1e-12 && row[2] == 0.0);
        let mut small = [0.2, -0.1];
        onto_substochastic(&mut small);
        assert_eq!(small, [0.2, 0.0]);
    }
}
