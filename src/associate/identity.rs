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
        mean_distance(pairs, LEAST_SHARED)
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

fn mean_distance(errors: impl Iterator<Item = (f64, f64)>, least: usize) -> Option<f64> {
    let (mut sum, mut total, mut count) = (0.0, 0.0, 0);
    for (error, weight) in errors {
        sum += error * weight;
        total += weight;
        count += 1;
    }
    (count >= least && total > 0.0).then(|| sum / total)
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

/// What networks exchange by itself: they mistake a front for a back, or legs that cross.
pub const PARTS: [&[Joint]; 3] = [ARMS, LEGS, FACE];
/// Whoever's front is mistaken for a back has their hips exchanged too, which the legs below them do not tell.
const HIPS: &[Joint] = &[Joint::LeftHip];

/// What a view says of the sides of one of the [`PARTS`]: whether it fits the person clearly better with left and right
/// exchanged, or clearly worse. `None` where it says neither.
pub fn is_exchanged(person: &Prediction, seen: &Sighting, part: &[Joint]) -> Option<bool> {
    let least = LEAST_SHARED.min(2 * part.len());
    let error = |exchanged: bool| {
        let both = part.iter().flat_map(|&joint| [joint, joint.mirror()]);
        let pairs = both.filter_map(|joint: Joint| {
            let read = if exchanged { joint.mirror() } else { joint };
            let (ray, weight) = seen.rays[read]?;
            Some((off_by(person[joint]?, &ray), weight))
        });
        mean_distance(pairs, least)
    };
    let gain = error(false)? - error(true)?;
    (gain.abs() > CLEARLY).then_some(gain > 0.0)
}

/// Hips that face so far away from where the shoulders do, as a cosine, are no person's.
const TWISTED: f64 = -0.5;

/// Whoever is faster than this, in metres a second, walks ahead.
const WALKS: f64 = 0.5;

/// Which of arms, legs and hips have their sides exchanged, where the body is twisted as nobody's is: hips that face backward. Where
/// the nose is seen it says whether the arms or the legs are wrong, else the way they walk does (`velocity` in metres a second); of
/// somebody who stands the legs are, which are mistaken more often.
pub fn twisted(person: &Prediction, velocity: DVec3) -> Option<&'static [Joint]> {
    let place = |joint: Joint| person[joint].map(|(place, _)| place);
    let across = |left: Joint| Some((place(left.mirror())? - place(left)?).with_y(0.0));
    let (shoulders, hips) = (across(Joint::LeftShoulder)?, across(Joint::LeftHip)?);
    if shoulders.length().min(hips.length()) < 0.05
        || shoulders.normalize().dot(hips.normalize()) > TWISTED
    {
        return None;
    }
    let nose = || {
        let middle = (place(Joint::LeftShoulder)? + place(Joint::RightShoulder)?) * 0.5;
        Some(place(Joint::Nose)? - middle)
    };
    let walked = Some(velocity.with_y(0.0)).filter(|velocity| velocity.length() > WALKS);
    // Whoever has their right hand to the right looks ahead.
    let arms_are_wrong = nose()
        .or(walked)
        .is_some_and(|ahead| ahead.dot(DVec3::Y.cross(shoulders)) < 0.0);
    let apart = |hip: Joint, knee: Joint| Some(place(hip)?.distance(place(knee)?));
    let thighs_cross = || {
        let own =
            apart(Joint::LeftHip, Joint::LeftKnee)? + apart(Joint::RightHip, Joint::RightKnee)?;
        let other =
            apart(Joint::LeftHip, Joint::RightKnee)? + apart(Joint::RightHip, Joint::LeftKnee)?;
        Some(other < own)
    };
    Some(if arms_are_wrong {
        ARMS
    } else if thighs_cross() == Some(true) {
        HIPS
    } else {
        LEGS
    })
}

/// Exchanges left and right of a sighting, of its arms, legs, hips or face alone, where that clearly fits the person better.
pub fn mend_exchange(person: &Prediction, seen: &mut Sighting) {
    for part in PARTS.into_iter().chain([HIPS]) {
        if is_exchanged(person, seen, part) == Some(true) {
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
    fn hips_that_face_backward_are_the_arms_fault_where_the_nose_or_the_walk_says_so() {
        let person = prediction(DVec3::ZERO);
        assert_eq!(twisted(&person, DVec3::ZERO), None);
        let exchanged = |part: &[Joint]| {
            let mut person = person.clone();
            person.exchange(part);
            person
        };
        let told = |part: &[Joint]| twisted(&exchanged(part), DVec3::ZERO);
        assert_eq!((told(LEGS), told(ARMS)), (Some(LEGS), Some(ARMS)));
        // Legs that cross below the hips: those alone are wrong.
        assert_eq!(told(HIPS), Some(HIPS));
        let mut unseen = exchanged(ARMS);
        unseen[Joint::Nose] = None;
        assert_eq!(twisted(&unseen, DVec3::ZERO), Some(LEGS));
        // They look along +z.
        let walking = |velocity: f64| twisted(&unseen, DVec3::Z * velocity);
        assert_eq!((walking(1.2), walking(-1.2)), (Some(ARMS), Some(LEGS)));
    }

    #[test]
    fn legs_and_hips_that_a_network_exchanged_are_put_right_and_arms_stay() {
        let views = room(2);
        let truth = standing(DVec3::ZERO);
        let right = seen_by(0, &views, &truth);
        for part in [LEGS, HIPS] {
            let mut wrong = right.clone();
            wrong.exchange(part);
            mend_exchange(&prediction(DVec3::ZERO), &mut wrong);
            assert_eq!(wrong.pose, right.pose);
        }
        let mut kept = right.clone();
        mend_exchange(&prediction(DVec3::ZERO), &mut kept);
        assert_eq!(kept.pose, right.pose);
    }
}
