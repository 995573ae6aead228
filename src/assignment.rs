//! Who goes with whom at the least total cost.

use pathfinding::kuhn_munkres::kuhn_munkres_min;
use pathfinding::matrix::Matrix;

/// The assignment of rows to columns of the least total cost (Kuhn–Munkres): pairs of row and column, each in at most one
/// pair, as many as there are of the fewer. Costs count up to a thousand and are told apart to a ten-thousandth.
pub fn assign(
    rows: usize,
    columns: usize,
    cost: impl Fn(usize, usize) -> f64,
) -> Vec<(usize, usize)> {
    if rows == 0 || columns == 0 {
        return Vec::new();
    }
    // The solver wants whole numbers, and no more rows than columns.
    let whole = |row, column| {
        let cost = cost(row, column);
        let cost = if cost.is_nan() { 1e3 } else { cost };
        (cost.clamp(-1e3, 1e3) * 1e4) as i64
    };
    if rows <= columns {
        let (_, chosen) = kuhn_munkres_min(&Matrix::from_fn(rows, columns, |(row, column)| {
            whole(row, column)
        }));
        chosen.into_iter().enumerate().collect()
    } else {
        let (_, chosen) = kuhn_munkres_min(&Matrix::from_fn(columns, rows, |(column, row)| {
            whole(row, column)
        }));
        chosen
            .into_iter()
            .enumerate()
            .map(|(column, row)| (row, column))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_total_is_found_and_not_the_least_first_pair() {
        let cost = [[1.0, 2.0, 9.0], [1.1, 5.0, 9.0]];
        let mut pairs = assign(2, 3, |r, c| cost[r][c]);
        pairs.sort_unstable();
        assert_eq!(pairs, [(0, 1), (1, 0)]);
        let mut turned = assign(3, 2, |r, c| cost[c][r]);
        turned.sort_unstable();
        assert_eq!(turned, [(0, 1), (1, 0)]);
        assert!(assign(0, 3, |_, _| f64::NAN).is_empty());
        assert_eq!(assign(1, 1, |_, _| f64::NAN), [(0, 0)]);
    }
}
