//! The whole body at once: the joints at which sightings, bones and motion together are least surprised.
//!
//! Gauss–Newton on one sum of squares over all joints of a body:
//!
//! - for each sighting, the distance of the joint from its ray, in standard deviations, with robust weights;
//! - for each bone, the difference between the distance of its ends and its length;
//! - for each joint, the distance from where its motion up to now would have brought it.
//!
//! So a wrist that one view sees, or none, still lies at the end of a forearm. The normal equations couple only joints that
//! share a bone. Limbs hang from the trunk as chains, and are eliminated from their ends inwards, three rows at a time; only
//! the trunk and the head are solved as one dense system. A body costs some tens of microseconds.

use bevy::math::{DMat3, DVec3};
use nalgebra::{DMatrix, DVector};

use super::triangulate::{Noise, Sight, information};

/// Where a joint would be if nobody saw it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Metres of the world.
    pub position: DVec3,
    /// Its variance along each axis, in square metres.
    pub variance: f64,
}

/// A joint to be found.
#[derive(Clone, Debug)]
pub struct Node {
    /// The views that see it.
    pub sights: Vec<Sight>,
    /// Where its motion would have brought it.
    pub prior: Option<Prior>,
    /// The first guess; then the result, in metres of the world.
    pub position: DVec3,
    /// How sure that is.
    pub covariance: DMat3,
}

/// A bone between two nodes, by their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Numbers of the nodes.
    pub ends: (usize, usize),
    /// Metres.
    pub length: f64,
    /// Its standard deviation, in metres.
    pub sigma: f64,
}

/// Weight that keeps a joint where it is if nothing else does, in 1/m²: a standard deviation of a metre.
const INERTIA: f64 = 1.0;
/// Standard deviations beyond which motion is not believed any more.
const ABRUPT: f64 = 3.0;
/// No step is longer than this, in metres.
const LONGEST_STEP: f64 = 0.3;

/// Moves all nodes to where everything fits best, and tells how sure each is. Nodes whose equations have no answer stay, and
/// are told to be known to a metre.
pub fn solve(nodes: &mut [Node], links: &[Link], noise: &Noise) {
    const ROUNDS: usize = 6;
    for round in 0..ROUNDS {
        let mut system = System::new(nodes, links, noise);
        system.eliminate_limbs();
        let Some(steps) = system.solve() else {
            for node in nodes {
                node.covariance = DMat3::IDENTITY / INERTIA;
            }
            return;
        };
        let mut longest: f64 = 0.0;
        for (node, step) in nodes.iter_mut().zip(&steps) {
            let length = step.length();
            if length.is_finite() {
                node.position += *step * (LONGEST_STEP / length.max(LONGEST_STEP));
                longest = longest.max(length);
            }
        }
        if longest < 5e-4 || round + 1 == ROUNDS {
            for (node, covariance) in nodes.iter_mut().zip(system.covariances()) {
                node.covariance = covariance;
            }
            return;
        }
    }
}

/// The normal equations of one round.
struct System {
    diagonal: Vec<DMat3>,
    /// Minus the gradient.
    right: Vec<DVec3>,
    /// Blocks beside the diagonal: each node's neighbours that are not eliminated yet. The blocks are symmetric.
    neighbours: Vec<Vec<(usize, DMat3)>>,
    /// What was eliminated, in order: the node, its inverse block, and the neighbour it hung from.
    eliminated: Vec<(usize, DMat3, Option<(usize, DMat3)>)>,
    core: Vec<usize>,
    core_inverse: DMatrix<f64>,
}

impl System {
    fn new(nodes: &[Node], links: &[Link], noise: &Noise) -> System {
        let count = nodes.len();
        let mut diagonal = vec![DMat3::IDENTITY * INERTIA; count];
        let mut right = vec![DVec3::ZERO; count];
        let mut neighbours: Vec<Vec<(usize, DMat3)>> = vec![Vec::new(); count];
        for (n, node) in nodes.iter().enumerate() {
            for sight in &node.sights {
                let variance = noise.variance(sight, node.position);
                let offset = sight.ray.offset(node.position);
                let error = offset.length_squared() / variance;
                let weight = sight.weight * noise.trust(error) / variance;
                diagonal[n] += information(&sight.ray, weight);
                right[n] -= offset * weight;
            }
            if let Some(prior) = &node.prior {
                let offset = node.position - prior.position;
                let error = offset.length_squared() / prior.variance;
                // Student's t: somebody who jumps is followed.
                let weight = 1.0 / (prior.variance * (1.0 + error / (ABRUPT * ABRUPT)));
                diagonal[n] += DMat3::IDENTITY * weight;
                right[n] -= offset * weight;
            }
        }
        for link in links {
            let (a, b) = link.ends;
            let between = nodes[a].position - nodes[b].position;
            let length = between.length();
            if length < 1e-6 {
                continue;
            }
            let along = between / length;
            let weight = 1.0 / (link.sigma * link.sigma);
            let block =
                DMat3::from_cols(along * along.x, along * along.y, along * along.z) * weight;
            let pull = along * ((length - link.length) * weight);
            diagonal[a] += block;
            diagonal[b] += block;
            right[a] -= pull;
            right[b] += pull;
            neighbours[a].push((b, -block));
            neighbours[b].push((a, -block));
        }
        System {
            diagonal,
            right,
            neighbours,
            eliminated: Vec::with_capacity(count),
            core: Vec::new(),
            core_inverse: DMatrix::zeros(0, 0),
        }
    }

    /// Takes out nodes with at most one neighbour, again and again.
    fn eliminate_limbs(&mut self) {
        let mut ends: Vec<usize> = (0..self.neighbours.len())
            .filter(|&n| self.neighbours[n].len() <= 1)
            .collect();
        let mut gone = vec![false; self.neighbours.len()];
        while let Some(n) = ends.pop() {
            if gone[n] {
                continue;
            }
            gone[n] = true;
            let inverse = self.diagonal[n].inverse();
            let hung = self.neighbours[n].pop();
            if let Some((parent, block)) = hung {
                self.diagonal[parent] -= block * inverse * block;
                let passed = block * (inverse * self.right[n]);
                self.right[parent] -= passed;
                self.neighbours[parent].retain(|(other, _)| *other != n);
                if self.neighbours[parent].len() <= 1 {
                    ends.push(parent);
                }
            }
            self.eliminated.push((n, inverse, hung));
        }
        self.core = (0..gone.len()).filter(|&n| !gone[n]).collect();
    }

    /// Each node's step; `None` where the equations have no answer.
    fn solve(&mut self) -> Option<Vec<DVec3>> {
        let mut steps = vec![DVec3::ZERO; self.right.len()];
        if !self.core.is_empty() {
            let size = self.core.len() * 3;
            let mut place = vec![usize::MAX; self.right.len()];
            for (row, &n) in self.core.iter().enumerate() {
                place[n] = row;
            }
            let mut matrix = DMatrix::<f64>::zeros(size, size);
            let mut right = DVector::<f64>::zeros(size);
            for (row, &n) in self.core.iter().enumerate() {
                put(&mut matrix, row, row, &self.diagonal[n]);
                for (other, block) in &self.neighbours[n] {
                    put(&mut matrix, row, place[*other], block);
                }
                for axis in 0..3 {
                    right[row * 3 + axis] = self.right[n][axis];
                }
            }
            let factors = matrix.cholesky()?;
            factors.solve_mut(&mut right);
            for (row, &n) in self.core.iter().enumerate() {
                steps[n] = DVec3::new(right[row * 3], right[row * 3 + 1], right[row * 3 + 2]);
            }
            self.core_inverse = factors.inverse();
        }
        for (n, inverse, hung) in self.eliminated.iter().rev() {
            let passed = hung.map_or(DVec3::ZERO, |(parent, block)| block * steps[parent]);
            steps[*n] = *inverse * (self.right[*n] - passed);
        }
        Some(steps)
    }

    /// The blocks on the diagonal of the inverse: each node's covariance. Call it after [`solve`](Self::solve).
    fn covariances(&self) -> Vec<DMat3> {
        let mut blocks = vec![DMat3::ZERO; self.right.len()];
        for (row, &n) in self.core.iter().enumerate() {
            let column = |c: usize| {
                DVec3::from_array(std::array::from_fn(|r| {
                    self.core_inverse[(row * 3 + r, row * 3 + c)]
                }))
            };
            blocks[n] = DMat3::from_cols(column(0), column(1), column(2));
        }
        for (n, inverse, hung) in self.eliminated.iter().rev() {
            blocks[*n] = match hung {
                Some((parent, block)) => {
                    let gain = *inverse * *block;
                    *inverse + gain * blocks[*parent] * gain.transpose()
                }
                None => *inverse,
            };
        }
        blocks
    }
}

fn put(matrix: &mut DMatrix<f64>, row: usize, column: usize, block: &DMat3) {
    for r in 0..3 {
        for c in 0..3 {
            matrix[(row * 3 + r, column * 3 + c)] += block.col(c)[r];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::Ray;

    const EYES: [DVec3; 3] = [
        DVec3::new(3.0, 1.5, 3.0),
        DVec3::new(-3.0, 1.5, 3.0),
        DVec3::new(0.0, 2.0, -4.0),
    ];

    fn sight(eye: DVec3, point: DVec3) -> Sight {
        Sight {
            ray: Ray {
                origin: eye,
                direction: (point - eye).normalize(),
            },
            weight: 1.0,
            pixel: 0.001,
        }
    }

    fn node(point: DVec3, views: &[usize], guess: DVec3) -> Node {
        Node {
            sights: views.iter().map(|&v| sight(EYES[v], point)).collect(),
            prior: None,
            position: guess,
            covariance: DMat3::ZERO,
        }
    }

    fn link(a: usize, b: usize, nodes: &[DVec3]) -> Link {
        Link {
            ends: (a, b),
            length: nodes[a].distance(nodes[b]),
            sigma: 0.01,
        }
    }

    /// Shoulder, elbow, wrist, and a ring of three for the trunk.
    const ARM: [DVec3; 5] = [
        DVec3::new(0.2, 1.4, 0.0),
        DVec3::new(0.45, 1.3, 0.1),
        DVec3::new(0.6, 1.1, 0.2),
        DVec3::new(-0.2, 1.4, 0.0),
        DVec3::new(0.0, 0.9, 0.0),
    ];

    fn links() -> Vec<Link> {
        [(0, 1), (1, 2), (0, 3), (3, 4), (0, 4)]
            .map(|(a, b)| link(a, b, &ARM))
            .into()
    }

    #[test]
    fn a_joint_that_one_view_sees_lies_at_the_end_of_its_bone() {
        let all = [0, 1, 2];
        let mut nodes: Vec<Node> = ARM.iter().map(|&p| node(p, &all, p + 0.05)).collect();
        nodes[2] = node(ARM[2], &[1], ARM[2] + DVec3::new(0.1, -0.1, 0.15));
        solve(&mut nodes, &links(), &Noise::default());
        for (n, joint) in nodes.iter().enumerate() {
            assert!(
                joint.position.distance(ARM[n]) < 0.02,
                "joint {n}: {}",
                joint.position
            );
        }
        let spread = |n: usize| {
            let c: DMat3 = nodes[n].covariance;
            c.x_axis.x + c.y_axis.y + c.z_axis.z
        };
        assert!(spread(2) > 1.5 * spread(1), "the unseen one is less sure");
    }

    #[test]
    fn elimination_gives_what_the_dense_system_gives() {
        let mut nodes: Vec<Node> = ARM
            .iter()
            .enumerate()
            .map(|(n, &p)| node(p, &[n % 3, (n + 1) % 3], p + DVec3::new(0.03, -0.02, 0.04)))
            .collect();
        nodes[1].prior = Some(Prior {
            position: ARM[1] + 0.1,
            variance: 0.01,
        });
        let noise = Noise::default();
        let mut sparse = System::new(&nodes, &links(), &noise);
        let dense = {
            let system = System::new(&nodes, &links(), &noise);
            let mut matrix = DMatrix::<f64>::zeros(15, 15);
            let mut right = DVector::<f64>::zeros(15);
            for n in 0..5 {
                put(&mut matrix, n, n, &system.diagonal[n]);
                for (other, block) in &system.neighbours[n] {
                    put(&mut matrix, n, *other, block);
                }
                for axis in 0..3 {
                    right[n * 3 + axis] = system.right[n][axis];
                }
            }
            let factors = matrix.cholesky().map(|f| (f.solve(&right), f.inverse()));
            factors.unwrap_or_default()
        };
        sparse.eliminate_limbs();
        assert_eq!(sparse.core.len(), 3, "the trunk is a ring");
        let steps = sparse.solve().unwrap_or_default();
        let covariances = sparse.covariances();
        for n in 0..5 {
            for (axis, step) in steps[n].to_array().into_iter().enumerate() {
                assert!((step - dense.0[n * 3 + axis]).abs() < 1e-9);
                let told = covariances[n].col(axis)[axis];
                assert!((told - dense.1[(n * 3 + axis, n * 3 + axis)]).abs() < 1e-9);
            }
        }
    }
}
