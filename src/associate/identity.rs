//! Who of those seen is whom of those known: by where each should be now.

use bevy::math::DVec3;

use super::Sighting;
use crate::assignment::assign;
use crate::skeleton::{ARMS, FACE, Joint, JointMap, LEGS};

/// Where a known person's joints should be, in metres of the world, and how sure that is (standard deviation).
pub type Prediction = JointMap<Option<(DVec3, f64)>>;

/// A joint counts as off by no more than this, in metres: one that a network put elsewhere says little of the others.
const MOST: f64 = 0.4;
/// A mean distance over all joints, in metres, beyond which it is somebody else.
const GATE: f64 = 0.22;
/// The least number of joints to be judged by.
const LEAST_SHARED: usize = 3;
/// What looks are worth against the mean distance, in metres from certainly the same to certainly another.
const LOOKS: f64 = 0.1;

/// How far a sighting is from where a person should be: the mean distance between its rays and the joints, in metres, less
/// what their uncertainty explains; read with left and right exchanged where that is clearly nearer. `None` where they share
/// too few joints.
pub fn distance(person: &Prediction, seen: &Sighting) -> Option<f64> {
    let read = |exchanged: bool| {
        let pairs = seen.rays.present().filter_map(|(joint, (ray, weight))| {
            let joint = if exchanged { joint.mirror() } else { joint };
            Some((off_by(person[joint]?, ray), *weight))
        });
        mean_distance(pairs)
    };
    let kept = read(false)?;
    Some(read(true).map_or(kept, |exchanged| kept.min(exchanged + CLEARLY)))
}

fn off_by((place, sigma): (DVec3, f64), ray: &crate::camera::Ray) -> f64 {
    if ray.depth(place) <= 0.0 {
        return MOST;
    }
    (ray.offset(place).length() - sigma.min(0.3)).clamp(0.0, MOST)
}

fn mean_distance(errors: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (mut sum, mut total, mut count) = (0.0, 0.0, 0);
    for (error, weight) in errors {
        sum += error * weight;
        total += weight;
        count += 1;
    }
    (count >= LEAST_SHARED && total > 0.0).then(|| sum / total)
}

/// Finds the known people among the sightings of one view. `looks` says how alike a person and a sighting look (0–1), where
/// that is known. Returns pairs of person and sighting, by their numbers in the lists.
pub fn find(
    people: &[Prediction],
    seen: &[&Sighting],
    looks: impl Fn(usize, usize) -> Option<f64>,
) -> Vec<(usize, usize)> {
    let costs: Vec<Vec<f64>> = people
        .iter()
        .enumerate()
        .map(|(p, person)| {
            let cost = |(s, seen): (usize, &&Sighting)| {
                let distance = distance(person, seen)?;
                // Whoever shares few joints with what is seen is less surely found.
                let alike = looks(p, s).map_or(0.0, |alike| (0.5 - alike) * LOOKS);
                (distance < GATE).then_some(distance + alike)
            };
            let costs = seen.iter().enumerate().map(cost);
            costs.map(|cost| cost.unwrap_or(10.0)).collect()
        })
        .collect();
    let mut pairs = assign(people.len(), seen.len(), |p, s| costs[p][s]);
    pairs.retain(|&(p, s)| costs[p][s] < 1.0);
    pairs.sort_unstable();
    pairs
}

/// How much nearer an exchanged reading must be, in metres of mean distance, to be taken.
const CLEARLY: f64 = 0.04;

/// Exchanges left and right of a sighting, of the whole body or of its arms, legs or face alone, where that clearly fits the
/// person better: networks mistake a front for a back, views from other sides do not.
pub fn mend_exchange(person: &Prediction, seen: &mut Sighting) {
    for part in [ARMS, LEGS, FACE] {
        let error = |exchanged: bool| {
            let both = part.iter().flat_map(|&joint| [joint, joint.mirror()]);
            let pairs = both.filter_map(|joint: Joint| {
                let read = if exchanged { joint.mirror() } else { joint };
                let (ray, weight) = seen.rays[read]?;
                Some((off_by(person[joint]?, &ray), weight))
            });
            mean_distance(pairs)
        };
        if let (Some(kept), Some(exchanged)) = (error(false), error(true))
            && exchanged + CLEARLY < kept
        {
            seen.exchange(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::tests::{room, seen_by, standing};

    fn prediction(at: DVec3) -> Prediction {
        let mut prediction = Prediction::default();
        for (joint, place) in standing(at).present() {
            prediction[joint] = Some((*place, 0.02));
        }
        prediction
    }

    #[test]
    fn known_people_are_found_whatever_the_order_and_strangers_are_left() {
        let views = room(2);
        let places = [
            DVec3::ZERO,
            DVec3::new(0.8, 0.0, 0.5),
            DVec3::new(-0.9, 0.0, 0.3),
        ];
        let people = [prediction(places[0]), prediction(places[1])];
        let seen = [places[2], places[1], places[0]].map(|at| seen_by(0, &views, &standing(at)));
        let seen: Vec<&Sighting> = seen.iter().collect();
        assert_eq!(find(&people, &seen, |_, _| None), [(0, 2), (1, 1)]);
        assert!(find(&people, &[], |_, _| None).is_empty());
    }

    #[test]
    fn legs_that_a_network_exchanged_are_put_right_and_arms_stay() {
        let views = room(2);
        let truth = standing(DVec3::ZERO);
        let right = seen_by(0, &views, &truth);
        let mut wrong = right.clone();
        wrong.exchange(LEGS);
        mend_exchange(&prediction(DVec3::ZERO), &mut wrong);
        assert_eq!(wrong.pose, right.pose);
        let mut kept = right.clone();
        mend_exchange(&prediction(DVec3::ZERO), &mut kept);
        assert_eq!(kept.pose, right.pose);
    }
}
