//! 3D pictorial structures: the whole body at once by search, where sightings contradict one another.
//!
//! Each joint's places are cells of space. How likely a cell is follows from what the views show there, how likely two cells of
//! neighbouring joints are together from the length of the bone between them; on a tree of bones the posterior of all of them is
//! found exactly (Belagiannis et al. 2014 and 2015; Burenius et al. 2013). Cells are halved again and again where the posterior
//! is (coarse to fine, as the recursive pictorial structures of Qiu et al. 2019), so that a centimetre costs no more than a
//! decimetre.
//!
//! Unlike [`triangulate`](super::triangulate) and [`body`](super::body), which go downhill from a first guess, this compares
//! all arrangements: it is for what is ambiguous, such as two views that see one joint in two places, or a network that is
//! not sure which of two people an arm belongs to.

use std::collections::BTreeSet;

use bevy::math::{DMat3, DVec2, DVec3};

use super::body::Prior;
use super::bones::{BONES, Lengths};
use super::triangulate::{Noise, Sight};
use crate::camera::{Ray, View};
use crate::skeleton::{Joint, JointMap};

/// What one view says of a joint.
#[derive(Clone, Debug)]
pub enum Evidence<'a> {
    /// Points where it may be, each with a weight of 0–1; they exclude one another.
    Points(Vec<Sight>),
    /// A map of how likely it is where.
    Heatmap(Heatmap<'a>),
}

/// How likely a joint is where in a picture, as a network says.
#[derive(Clone, Copy, Debug)]
pub struct Heatmap<'a> {
    /// The camera.
    pub view: &'a View,
    /// Row by row, 0–1.
    pub values: &'a [f32],
    /// Columns and rows.
    pub size: (usize, usize),
    /// The picture's pixel that the map's first value shows, and how many pixels of the picture there are from one value to
    /// the next, along x and y.
    pub corner: DVec2,
    /// See [`corner`](Self::corner).
    pub step: DVec2,
}

impl Heatmap<'_> {
    /// The value at a pixel of the picture, between the four nearest; 0 beyond the map.
    fn at(&self, pixel: DVec2) -> f64 {
        let place = (pixel - self.corner) / self.step;
        let low = place.floor();
        let part = place - low;
        let value = |x: f64, y: f64| {
            let inside = x >= 0.0 && y >= 0.0 && x < self.size.0 as f64 && y < self.size.1 as f64;
            if !inside {
                return 0.0;
            }
            let index = y as usize * self.size.0 + x as usize;
            self.values
                .get(index)
                .map_or(0.0, |value| f64::from(*value))
        };
        let row = |y: f64| value(low.x, y) * (1.0 - part.x) + value(low.x + 1.0, y) * part.x;
        row(low.y) * (1.0 - part.y) + row(low.y + 1.0) * part.y
    }

    /// The mean over a square of that many pixels about a pixel: a peak may be smaller than the cell that is looked for.
    fn mean(&self, pixel: DVec2, side: f64) -> f64 {
        let steps = (DVec2::splat(side) / self.step)
            .ceil()
            .clamp(DVec2::ONE, DVec2::splat(MOST_STEPS));
        let (columns, rows) = (steps.x as usize, steps.y as usize);
        let mut sum = 0.0;
        for n in 0..columns * rows {
            let place = DVec2::new((n % columns) as f64, (n / columns) as f64);
            sum += self.at(pixel + ((place + 0.5) / steps - 0.5) * side);
        }
        sum / (columns * rows) as f64
    }

    /// The rays through its peaks, the highest first.
    fn peaks(&self) -> Vec<Ray> {
        let (columns, rows) = self.size;
        let at = |x: usize, y: usize| self.values.get(y * columns + x).copied().unwrap_or(0.0);
        let mut peaks: Vec<(f32, usize, usize)> = Vec::new();
        for y in 0..rows {
            for x in 0..columns {
                let value = at(x, y);
                let around = || {
                    let (left, top) = (x.saturating_sub(1), y.saturating_sub(1));
                    (top..=(y + 1).min(rows - 1))
                        .flat_map(move |v| (left..=(x + 1).min(columns - 1)).map(move |u| (u, v)))
                };
                if value > 0.1 && around().all(|(u, v)| at(u, v) <= value) {
                    peaks.push((value, x, y));
                }
            }
        }
        peaks.sort_by(|a, b| b.0.total_cmp(&a.0));
        let ray = |(_, x, y): (f32, usize, usize)| {
            let pixel = self.corner + DVec2::new(x as f64, y as f64) * self.step;
            self.view.ray(pixel.as_vec2())
        };
        peaks.into_iter().take(MOST_PEAKS).map(ray).collect()
    }
}

impl Evidence<'_> {
    fn rays(&self) -> Vec<Ray> {
        match self {
            Evidence::Points(points) => points.iter().map(|sight| sight.ray).collect(),
            Evidence::Heatmap(map) => map.peaks(),
        }
    }

    /// How likely it is that the view shows what it does where the joint is in a cell of that size. Never 0: any view may be
    /// wrong.
    fn likelihood(&self, point: DVec3, cell: f64, noise: &Noise) -> f64 {
        let told: f64 = match self {
            Evidence::Points(points) => points
                .iter()
                .filter(|sight| sight.ray.depth(point) > 0.0)
                .map(|sight| {
                    let own = noise.variance(sight, point);
                    let variance = own + cell * cell / 6.0;
                    let off = sight.ray.offset(point).length_squared() / variance;
                    // A wider bell is a lower one.
                    sight.weight * f64::from(bell(off as f32)) * own / variance
                })
                .sum(),
            Evidence::Heatmap(map) => {
                let depth = map.view.extrinsics.camera_from_world(point).z;
                let side = map.view.focal() * cell / depth.max(0.1);
                let pixel = map.view.project(point);
                pixel.map_or(0.0, |pixel| map.mean(pixel, side))
            }
        };
        told + WRONG
    }
}

/// What is known of a joint.
#[derive(Clone, Debug, Default)]
pub struct Part<'a> {
    /// What each view that sees it says.
    pub evidence: Vec<Evidence<'a>>,
    /// Where its motion would have brought it.
    pub prior: Option<Prior>,
}

/// A joint that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Metres of the world.
    pub position: DVec3,
    /// Of the posterior, in square metres: wide where several places are likely.
    pub covariance: DMat3,
}

/// How likely a view is to show anything, whatever the truth, beside how likely it is to show the joint.
const WRONG: f64 = 0.02;
/// Motion is off by any amount with this probability.
const ABRUPT: f64 = 0.05;
/// Pairs of cells whose bone is further off than five standard deviations are all as unlikely.
const FAR: f32 = 4e-6;
/// So many peaks of a heat map propose places.
const MOST_PEAKS: usize = 4;
/// A cell that covers more values of a heat map than this, along an axis, is judged by so many of them.
const MOST_STEPS: f64 = 8.0;
/// Size of the coarsest cells, in metres; how often they are halved: to 8 mm.
const COARSEST: f64 = 0.128;
const HALVINGS: usize = 4;
/// Bodies are looked for no further than this from their middle, along each axis, in metres.
const REACH: f64 = 1.2;
/// So many of the coarsest cells are kept of each joint, and so many cells are halved.
const MOST_COARSE: usize = 72;
const HALVED: usize = 8;

/// Finds a body about a place. Joints of which nothing is known are left out.
pub fn find(
    parts: &JointMap<Part>,
    middle: DVec3,
    lengths: &Lengths,
    noise: &Noise,
) -> JointMap<Option<Place>> {
    let mut tree = Tree::of(parts, lengths);
    let mut cells: Vec<Vec<DVec3>> = tree
        .joints
        .iter()
        .map(|&joint| coarse_cells(&parts[joint], middle, noise))
        .collect();
    tree.drop_without(&mut cells);
    let mut size = COARSEST;
    for halving in 0..=HALVINGS {
        let unary: Vec<Vec<f64>> = tree
            .joints
            .iter()
            .zip(&cells)
            .map(|(&joint, cells)| {
                let of_cell = |cell: &DVec3| likelihood(&parts[joint], *cell, size, noise);
                normalised(cells.iter().map(of_cell).collect())
            })
            .collect();
        let tables = tree.tables(&cells, size);
        let beliefs = tree.beliefs(&tables, &unary);
        if halving == HALVINGS {
            let best = tree.best(&tables, &unary);
            return tree.places(&cells, &beliefs, &best, size);
        }
        for (cells, belief) in cells.iter_mut().zip(&beliefs) {
            let mut order: Vec<usize> = (0..cells.len()).collect();
            order.sort_by(|&a, &b| belief[b].total_cmp(&belief[a]));
            let kept = order.into_iter().take(HALVED);
            *cells = kept.flat_map(|n| halves(cells[n], size)).collect();
        }
        size *= 0.5;
    }
    JointMap::default()
}

fn likelihood(part: &Part, cell: DVec3, size: f64, noise: &Noise) -> f64 {
    let seen: f64 = part
        .evidence
        .iter()
        .map(|evidence| evidence.likelihood(cell, size, noise))
        .product();
    let moved = part.prior.map_or(1.0, |prior| {
        let variance = prior.variance + size * size / 12.0;
        let off = cell.distance_squared(prior.position) / variance;
        f64::from(bell(off as f32)) + ABRUPT
    });
    seen * moved
}

/// The cells of the coarsest size through which rays to the joint go, the likeliest of them.
fn coarse_cells(part: &Part, middle: DVec3, noise: &Noise) -> Vec<DVec3> {
    let mut keys: BTreeSet<[i32; 3]> = BTreeSet::new();
    let mut add = |point: DVec3| {
        let key = (point / COARSEST).floor();
        if (point - middle).abs().max_element() <= REACH {
            keys.insert([key.x as i32, key.y as i32, key.z as i32]);
        }
    };
    for ray in part.evidence.iter().flat_map(Evidence::rays) {
        let nearest = ray.depth(middle);
        let steps = (2.0 * 1.75 * REACH / (0.5 * COARSEST)) as i32;
        for step in 0..=steps {
            let along = nearest + f64::from(step - steps / 2) * 0.5 * COARSEST;
            if along > 0.0 {
                add(ray.origin + ray.direction * along);
            }
        }
    }
    if let Some(prior) = part.prior {
        halves(prior.position, 2.0 * COARSEST).for_each(&mut add);
    }
    let centre = |key: [i32; 3]| (DVec3::from(key.map(f64::from)) + 0.5) * COARSEST;
    let mut cells: Vec<(f64, DVec3)> = keys
        .into_iter()
        .map(|key| {
            let cell = centre(key);
            (likelihood(part, cell, COARSEST, noise), cell)
        })
        .collect();
    cells.sort_by(|a, b| b.0.total_cmp(&a.0));
    cells.truncate(MOST_COARSE);
    cells.into_iter().map(|(_, cell)| cell).collect()
}

/// The eight halves of a cell, by their middles.
fn halves(cell: DVec3, size: f64) -> impl Iterator<Item = DVec3> {
    (0..8).map(move |n| {
        let sign = |bit: u32| if n & bit == 0 { -0.25 } else { 0.25 };
        cell + DVec3::new(sign(1), sign(2), sign(4)) * size
    })
}

/// A normal distribution's bell, not normalised, for an offset squared in variances: as (1 − x / 2n)ⁿ, which comes close to
/// exp(−x / 2), takes no function call, and ends at 0.
fn bell(squared: f32) -> f32 {
    // n is 64: six times squared.
    let slope = (1.0 - squared / 128.0).max(0.0);
    (0..6).fold(slope, |power, _| power * power)
}

fn normalised(mut numbers: Vec<f64>) -> Vec<f64> {
    let sum: f64 = numbers.iter().sum();
    if sum > 0.0 {
        numbers.iter_mut().for_each(|number| *number /= sum);
    }
    numbers
}

/// The joints of which something is known, and the stiffest bones that hold them together without a ring.
struct Tree {
    joints: Vec<Joint>,
    /// Of each joint, in the order of `order`: the joint that it hangs from, and length and standard deviation of the bone, in
    /// metres.
    parents: Vec<Option<(usize, f64, f64)>>,
    /// Parents before their children.
    order: Vec<usize>,
}

impl Tree {
    fn of(parts: &JointMap<Part>, lengths: &Lengths) -> Tree {
        let is_known = |joint: Joint| {
            let part = &parts[joint];
            !part.evidence.is_empty() || part.prior.is_some()
        };
        let joints: Vec<Joint> = Joint::ALL
            .iter()
            .copied()
            .filter(|&j| is_known(j))
            .collect();
        let place = |joint: Joint| joints.iter().position(|&other| other == joint);
        let mut bones: Vec<(f64, usize, usize, f64)> = BONES
            .iter()
            .enumerate()
            .filter_map(|(n, bone)| {
                let length = lengths.of(n);
                let (a, b) = (place(bone.ends.0)?, place(bone.ends.1)?);
                Some((length.sigma, a, b, length.metres))
            })
            .collect();
        bones.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Kruskal: the stiffest first, unless both ends hang together already.
        let mut group: Vec<usize> = (0..joints.len()).collect();
        let mut neighbours: Vec<Vec<(usize, f64, f64)>> = vec![Vec::new(); joints.len()];
        for (sigma, a, b, metres) in bones {
            let (from, to) = (group[a], group[b]);
            if from != to {
                neighbours[a].push((b, metres, sigma));
                neighbours[b].push((a, metres, sigma));
                group
                    .iter_mut()
                    .filter(|g| **g == from)
                    .for_each(|g| *g = to);
            }
        }
        let mut tree = Tree {
            parents: vec![None; joints.len()],
            order: Vec::with_capacity(joints.len()),
            joints,
        };
        let mut reached = vec![false; tree.joints.len()];
        for root in 0..tree.joints.len() {
            let mut waiting = vec![root];
            while let Some(joint) = waiting.pop() {
                if std::mem::replace(&mut reached[joint], true) {
                    continue;
                }
                tree.order.push(joint);
                for &(other, metres, sigma) in &neighbours[joint] {
                    if !reached[other] {
                        tree.parents[other] = Some((joint, metres, sigma));
                        waiting.push(other);
                    }
                }
            }
        }
        tree
    }

    /// Lets joints go that may be nowhere within reach. What hangs from one hangs free after that.
    fn drop_without(&mut self, cells: &mut Vec<Vec<DVec3>>) {
        let kept: Vec<usize> = (0..cells.len()).filter(|&n| !cells[n].is_empty()).collect();
        let place = |n: usize| kept.iter().position(|&other| other == n);
        *self = Tree {
            joints: kept.iter().map(|&n| self.joints[n]).collect(),
            parents: kept
                .iter()
                .map(|&n| {
                    let (parent, metres, sigma) = self.parents[n]?;
                    Some((place(parent)?, metres, sigma))
                })
                .collect(),
            order: self.order.iter().filter_map(|&n| place(n)).collect(),
        };
        cells.retain(|cells| !cells.is_empty());
    }

    /// How well two cells go together, as the bone between them says: rows are the child's cells, columns the parent's.
    fn together(
        &self,
        cells: &[Vec<DVec3>],
        child: usize,
        (parent, metres, sigma): (usize, f64, f64),
        size: f64,
    ) -> Vec<f32> {
        // Both ends may be anywhere in their cells.
        let scale = (1.0 / (sigma * sigma + size * size / 6.0)) as f32;
        let metres = metres as f32;
        // Axis by axis, so that several pairs are reckoned at once.
        let axis = |axis: usize| cells[parent].iter().map(move |cell| cell[axis] as f32);
        let [x, y, z]: [Vec<f32>; 3] = std::array::from_fn(|n| axis(n).collect());
        let mut table = Vec::with_capacity(cells[child].len() * x.len());
        for a in &cells[child] {
            let a = a.as_vec3();
            let row = x.iter().zip(&y).zip(&z).map(|((x, y), z)| {
                let (x, y, z) = (a.x - x, a.y - y, a.z - z);
                let off = (x * x + y * y + z * z).sqrt() - metres;
                bell(off * off * scale).max(FAR)
            });
            table.extend(row);
        }
        table
    }

    /// How well the cells of each joint go [together](Self::together) with those of its parent; empty for a root.
    fn tables(&self, cells: &[Vec<DVec3>], size: f64) -> Vec<Vec<f32>> {
        let table = |(child, hung): (usize, &Option<(usize, f64, f64)>)| {
            hung.map_or_else(Vec::new, |hung| self.together(cells, child, hung, size))
        };
        self.parents.iter().enumerate().map(table).collect()
    }

    /// How likely each cell is, all arrangements of the other joints considered (sum-product).
    fn beliefs(&self, tables: &[Vec<f32>], unary: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut beliefs = unary.to_vec();
        let mut upward: Vec<Vec<f64>> = vec![Vec::new(); self.joints.len()];
        for &child in self.order.iter().rev() {
            let Some((parent, ..)) = self.parents[child] else {
                continue;
            };
            let mut message = vec![0.0; unary[parent].len()];
            let rows = tables[child].chunks_exact(message.len());
            for (row, belief) in rows.zip(&beliefs[child]) {
                for (sum, value) in message.iter_mut().zip(row) {
                    *sum += f64::from(*value) * belief;
                }
            }
            let message = normalised(message);
            multiply(&mut beliefs[parent], &message);
            upward[child] = message;
        }
        for &child in &self.order {
            let Some((parent, ..)) = self.parents[child] else {
                continue;
            };
            // What the parent knows from elsewhere.
            let rest: Vec<f64> = beliefs[parent]
                .iter()
                .zip(&upward[child])
                .map(|(belief, told)| if *told > 0.0 { belief / told } else { 0.0 })
                .collect();
            let message = tables[child]
                .chunks_exact(rest.len())
                .map(|row| row.iter().zip(&rest).map(|(a, b)| f64::from(*a) * b).sum())
                .collect();
            let message = normalised(message);
            multiply(&mut beliefs[child], &message);
        }
        beliefs
    }

    /// The likeliest arrangement: the number of each joint's cell in it (max-product).
    fn best(&self, tables: &[Vec<f32>], unary: &[Vec<f64>]) -> Vec<usize> {
        let mut worth = unary.to_vec();
        let mut choices: Vec<Vec<usize>> = vec![Vec::new(); self.joints.len()];
        for &child in self.order.iter().rev() {
            let Some((parent, ..)) = self.parents[child] else {
                continue;
            };
            let columns = unary[parent].len();
            let mut message = vec![0.0; columns];
            let mut choice = vec![0; columns];
            let rows = tables[child].chunks_exact(columns);
            for (n, (row, worth)) in rows.zip(&worth[child]).enumerate() {
                for (column, value) in row.iter().enumerate() {
                    let value = f64::from(*value) * worth;
                    if value > message[column] {
                        (message[column], choice[column]) = (value, n);
                    }
                }
            }
            multiply(&mut worth[parent], &normalised(message));
            choices[child] = choice;
        }
        let mut chosen = vec![0; self.joints.len()];
        for &joint in &self.order {
            chosen[joint] = match self.parents[joint] {
                Some((parent, ..)) => choices[joint][chosen[parent]],
                None => {
                    let all = worth[joint].iter().enumerate();
                    all.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(n, _)| n)
                }
            };
        }
        chosen
    }

    /// Between cells by how likely those about the best one are; as unsure as all of them are apart.
    fn places(
        &self,
        cells: &[Vec<DVec3>],
        beliefs: &[Vec<f64>],
        best: &[usize],
        size: f64,
    ) -> JointMap<Option<Place>> {
        let mut places = JointMap::default();
        for (n, &joint) in self.joints.iter().enumerate() {
            let winner = cells[n][best[n]];
            let (mut sum, mut total) = (DVec3::ZERO, 0.0);
            for (cell, belief) in cells[n].iter().zip(&beliefs[n]) {
                if cell.distance(winner) < 4.0 * size {
                    sum += *cell * *belief;
                    total += belief;
                }
            }
            let position = if total > 0.0 { sum / total } else { winner };
            let mut covariance = DMat3::from_diagonal(DVec3::splat(size * size / 12.0));
            for (cell, belief) in cells[n].iter().zip(&beliefs[n]) {
                let off = *cell - position;
                covariance += DMat3::from_cols(off * off.x, off * off.y, off * off.z) * *belief;
            }
            places[joint] = Some(Place {
                position,
                covariance,
            });
        }
        places
    }
}

/// Multiplies cell by cell, and keeps the sum at 1. A message that excludes everything changes nothing.
fn multiply(belief: &mut Vec<f64>, message: &[f64]) {
    let product: Vec<f64> = belief.iter().zip(message).map(|(a, b)| a * b).collect();
    let sum: f64 = product.iter().sum();
    if sum > 1e-280 {
        *belief = product.into_iter().map(|value| value / sum).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::tests::{room, standing};

    fn sight(view: &View, point: DVec3, weight: f64) -> Sight {
        let toward = point - view.extrinsics.centre();
        Sight {
            ray: Ray {
                origin: view.extrinsics.centre(),
                direction: toward.normalize(),
            },
            weight,
            pixel: 1.0 / view.focal(),
        }
    }

    fn parts(views: &[View]) -> JointMap<Part<'static>> {
        let mut parts: JointMap<Part> = JointMap::default();
        for (joint, place) in standing(DVec3::ZERO).present() {
            let of = |view: &View| Evidence::Points(vec![sight(view, *place, 0.9)]);
            parts[joint].evidence = views.iter().map(of).collect();
        }
        parts
    }

    fn off(found: &JointMap<Option<Place>>, joint: Joint) -> f64 {
        let truth = standing(DVec3::ZERO)[joint];
        let pair = found[joint].zip(truth);
        pair.map_or(f64::INFINITY, |(found, truth)| {
            found.position.distance(truth)
        })
    }

    #[test]
    fn a_body_is_found_to_a_few_cells() {
        let views = room(3);
        let found = find(
            &parts(&views),
            DVec3::Y,
            &Lengths::default(),
            &Noise::default(),
        );
        for (joint, _) in standing(DVec3::ZERO).present() {
            assert!(
                off(&found, joint) < 0.02,
                "{joint:?}: {}",
                off(&found, joint)
            );
        }
    }

    #[test]
    fn where_two_views_contradict_one_another_bones_decide() {
        let views = room(2);
        let mut parts = parts(&views);
        let truth = standing(DVec3::ZERO)[Joint::LeftWrist].unwrap_or_default();
        // Both are surer of a place that no forearm reaches, and hold the true one for half as likely.
        let wrong = truth + DVec3::new(0.0, 0.5, 0.0);
        parts[Joint::LeftWrist].evidence[0] = Evidence::Points(vec![
            sight(&views[0], wrong, 0.6),
            sight(&views[0], truth, 0.3),
        ]);
        parts[Joint::LeftWrist].evidence[1] = Evidence::Points(vec![
            sight(&views[1], wrong, 0.6),
            sight(&views[1], truth, 0.3),
        ]);
        let found = find(&parts, DVec3::Y, &Lengths::default(), &Noise::default());
        assert!(
            off(&found, Joint::LeftWrist) < 0.04,
            "{:?}",
            found[Joint::LeftWrist]
        );
    }

    #[test]
    fn a_joint_that_one_view_sees_is_as_unsure_as_its_depth() {
        let views = room(3);
        let mut parts = parts(&views);
        parts[Joint::LeftWrist].evidence.truncate(1);
        let found = find(&parts, DVec3::Y, &Lengths::default(), &Noise::default());
        let spread = |joint: Joint| {
            found[joint].map_or(0.0, |place| {
                let c = place.covariance;
                (c.x_axis.x + c.y_axis.y + c.z_axis.z).sqrt()
            })
        };
        assert!(off(&found, Joint::LeftWrist) < 0.25);
        assert!(spread(Joint::LeftWrist) > 2.0 * spread(Joint::LeftElbow));
    }

    #[test]
    fn heat_maps_say_what_their_peaks_do() {
        // At a right angle: from opposite sides nothing is told of depth.
        let views = &room(4)[..2];
        let mut parts = parts(views);
        let truth = standing(DVec3::ZERO)[Joint::Nose].unwrap_or_default();
        let maps: Vec<Vec<f32>> = views
            .iter()
            .map(|view| {
                let peak = view.project(truth).unwrap_or_default() / 10.0;
                let value = |n: usize| {
                    let at = DVec2::new((n % 128) as f64, (n / 128) as f64);
                    (-0.5 * at.distance_squared(peak)).exp() as f32
                };
                (0..128 * 72).map(value).collect()
            })
            .collect();
        let mut mixed: JointMap<Part> = JointMap::default();
        for &joint in Joint::ALL {
            mixed[joint] = std::mem::take(&mut parts[joint]);
        }
        mixed[Joint::Nose].evidence.clear();
        for (view, values) in views.iter().zip(&maps) {
            mixed[Joint::Nose].evidence.push(Evidence::Heatmap(Heatmap {
                view,
                values,
                size: (128, 72),
                corner: DVec2::ZERO,
                step: DVec2::splat(10.0),
            }));
        }
        let found = find(&mixed, DVec3::Y, &Lengths::default(), &Noise::default());
        assert!(
            off(&found, Joint::Nose) < 0.05,
            "{}",
            off(&found, Joint::Nose)
        );
    }

    #[test]
    fn nothing_known_is_nothing_found() {
        let found = find(
            &JointMap::default(),
            DVec3::Y,
            &Lengths::default(),
            &Noise::default(),
        );
        assert_eq!(found.present().count(), 0);
    }
}
