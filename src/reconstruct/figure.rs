//! One person in space, followed from moment to moment.

use bevy::math::{DMat3, DVec3};

use super::body::{Link, Node, solve};
use super::bones::{BONES, Lengths};
use super::motion::Motion;
use super::pictorial::{self, Evidence, Part};
use super::posture::{Posture, Told};
use super::triangulate::{Noise, Point, Sight, triangulate};
use crate::skeleton::{Joint, JointMap};

/// A joint of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FigureJoint {
    /// Metres of the world.
    pub position: DVec3,
    /// Standard deviation along each axis, in metres.
    pub sigma: f64,
    /// How many views agree on it; 0 where bones and motion alone say where it is.
    pub views: u32,
}

/// The joints of a figure at one moment.
pub type Joints = JointMap<Option<FigureJoint>>;

/// The sightings of each joint that are taken for this figure's.
pub type Sights = JointMap<Vec<Sight>>;

/// How a figure's joints are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Downhill from where sightings meet and motion leads ([`body`](super::body)): fast, and right unless views contradict one
    /// another.
    Descent,
    /// Downhill as well, and at every moment once more from where a search over all arrangements ([`pictorial`]) leads; what views
    /// contradict less is kept.
    Search,
    /// Downhill, and by search at moments at which views contradict one another.
    #[default]
    WhereAmbiguous,
}

/// A person in space.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// How its joints are found.
    pub method: Method,
    motions: JointMap<Option<Motion>>,
    lengths: Lengths,
    joints: Joints,
    time: f64,
    posture: Posture,
}

/// A joint less sure than this, in metres, is not known any more.
const LOST: f64 = 0.5;
/// How unsure the joints of a body that nobody sees may become, in metres: bodies are slower than the hands on them.
const ASTRAY: f64 = 0.3;
/// A joint is this sure, in metres, before its bones teach their length.
const WELL_SEEN: f64 = 0.03;
/// What a sighting is worth for the joint on the other side of the body.
const EXCHANGED: f64 = 0.4;

impl Figure {
    /// Somebody who was not there before; `None` where the sightings make no body.
    pub fn begin(time: f64, sights: &Sights, noise: &Noise) -> Option<Figure> {
        let mut figure = Figure {
            time,
            method: Method::Descent,
            ..Figure::default()
        };
        figure.advance(time, sights, noise);
        let seen = figure
            .joints
            .present()
            .filter(|(_, joint)| joint.views >= 2);
        (seen.count() >= 5).then_some(figure)
    }

    /// Where the joints are.
    pub fn joints(&self) -> &Joints {
        &self.joints
    }

    /// What is known of the bones.
    pub fn lengths(&self) -> &Lengths {
        &self.lengths
    }

    /// Seconds at which [`joints`](Self::joints) holds.
    pub fn time(&self) -> f64 {
        self.time
    }

    /// Where the joints should be at a time, and how sure that is (standard deviation in metres).
    pub fn predict(&self, time: f64) -> JointMap<Option<(DVec3, f64)>> {
        let mut predicted = JointMap::default();
        for (joint, motion) in self.motions.present() {
            let prior = motion.predict(time - self.time).prior();
            predicted[joint] = Some((prior.position, prior.variance.sqrt()));
        }
        predicted
    }

    /// Moves on to a later time, with what is seen then.
    pub fn advance(&mut self, time: f64, sights: &Sights, noise: &Noise) {
        let elapsed = (time - self.time).max(0.0);
        self.time = time;
        let mut guesses: JointMap<Option<DVec3>> = JointMap::default();
        for &joint in Joint::ALL {
            let before = &mut self.motions[joint];
            if let Some(motion) = before {
                *motion = motion.predict(elapsed);
            }
            let seen = &sights[joint];
            let found = (seen.len() >= 2)
                .then(|| triangulate(seen, noise))
                .flatten();
            guesses[joint] = first_guess(*before, found, seen, noise);
        }
        guess_from_bones(&mut guesses, sights);
        let (names, mut nodes) = self.descend(&guesses, sights, noise);
        let doubt = contradicted(&nodes, noise);
        if self.method == Method::Search || (self.method == Method::WhereAmbiguous && doubt > 0) {
            let guesses = self.search(&guesses, sights, noise);
            let (_, found) = self.descend(&guesses, sights, noise);
            if found.len() == nodes.len() && contradicted(&found, noise) <= doubt {
                nodes = found;
            }
        }
        for (&joint, node) in names.iter().zip(&nodes) {
            guesses[joint] = Some(node.position);
        }
        let is_new = |joint: Joint| self.motions[joint].is_none();
        let lengths = &self.lengths;
        let told = Told {
            sights,
            lengths,
            noise,
        };
        let moved = (self.posture).reconsider(time, elapsed, &mut guesses, told, is_new);
        if !moved.is_empty() {
            for joint in moved {
                if let (Some(motion), Some(place)) = (&mut self.motions[joint], guesses[joint]) {
                    motion.position = place;
                    motion.velocity = DVec3::ZERO;
                }
            }
            (_, nodes) = self.descend(&guesses, sights, noise);
        }
        // What bones say of joints holds for a body whose place is known. The joints of one that nobody sees go astray together:
        // each tells the other what it has from it.
        let is_seen = nodes.iter().any(|node| !node.sights.is_empty());
        self.joints = Joints::default();
        let mut well_seen: JointMap<Option<DVec3>> = JointMap::default();
        let limit = noise.outlier * noise.outlier;
        for (&joint, node) in names.iter().zip(&nodes) {
            let c = node.covariance;
            let mut variance = (c.x_axis.x + c.y_axis.y + c.z_axis.z) / 3.0;
            if let (false, Some(prior)) = (is_seen, node.prior) {
                variance = variance.max(prior.variance.min(ASTRAY * ASTRAY));
            }
            let agrees = |sight: &&Sight| {
                sight.ray.depth(node.position) > 0.0
                    && noise.error_squared(sight, node.position) < limit
            };
            let agreeing = node.sights.iter().filter(agrees);
            let views = agreeing.clone().count() as u32;
            self.posture.observe(joint, time, agreeing);
            let motion = &mut self.motions[joint];
            let sigma = variance.sqrt();
            if !node.position.is_finite() || sigma.is_nan() || sigma > LOST {
                *motion = None;
                continue;
            }
            match motion {
                Some(motion) => motion.settle(node.position, variance),
                None => *motion = Some(Motion::new(node.position, variance)),
            }
            if views >= 2 && sigma < WELL_SEEN {
                well_seen[joint] = Some(node.position);
            }
            self.joints[joint] = Some(FigureJoint {
                position: node.position,
                sigma,
                views,
            });
        }
        self.lengths.learn(&well_seen, |_, _| true);
        let carried = self.velocity();
        for (joint, found) in self.joints.present() {
            if let (0, Some(motion)) = (found.views, &mut self.motions[joint]) {
                motion.coast(elapsed, carried);
            }
        }
    }

    /// Goes downhill from a guess of each joint; gives the joints and their nodes.
    fn descend(
        &self,
        guesses: &JointMap<Option<DVec3>>,
        sights: &Sights,
        noise: &Noise,
    ) -> (Vec<Joint>, Vec<Node>) {
        let mut numbers: JointMap<Option<usize>> = JointMap::default();
        let mut nodes: Vec<Node> = Vec::new();
        let mut names: Vec<Joint> = Vec::new();
        for (joint, &position) in guesses.present() {
            numbers[joint] = Some(nodes.len());
            names.push(joint);
            nodes.push(Node {
                sights: sights[joint].clone(),
                prior: self.motions[joint].map(|motion| motion.prior()),
                position,
                covariance: DMat3::ZERO,
            });
        }
        let links: Vec<Link> = BONES
            .iter()
            .enumerate()
            .filter_map(|(n, bone)| {
                let ends = (numbers[bone.ends.0]?, numbers[bone.ends.1]?);
                let length = self.lengths.of(n);
                Some(Link {
                    ends,
                    length: length.metres,
                    sigma: length.sigma,
                })
            })
            .collect();
        solve(&mut nodes, &links, noise);
        (names, nodes)
    }

    /// Compares all arrangements, each view being allowed to take left for right, and gives the joints' places in the likeliest.
    fn search(
        &self,
        guesses: &JointMap<Option<DVec3>>,
        sights: &Sights,
        noise: &Noise,
    ) -> JointMap<Option<DVec3>> {
        let other_of = |joint: Joint, sight: &Sight| {
            let others = sights[joint.mirror()].iter();
            let mut others = others.filter(|other| other.ray.origin == sight.ray.origin);
            others.next().filter(|_| joint.mirror() != joint).copied()
        };
        let mut parts: JointMap<Part> = JointMap::default();
        for (joint, _) in guesses.present() {
            let of_view = |sight: &Sight| {
                let exchanged = other_of(joint, sight).map(|other| Sight {
                    weight: EXCHANGED * other.weight,
                    ..other
                });
                Evidence::Points(std::iter::once(*sight).chain(exchanged).collect())
            };
            parts[joint] = Part {
                evidence: sights[joint].iter().map(of_view).collect(),
                prior: self.motions[joint].map(|motion| motion.prior()),
            };
        }
        let known: Vec<DVec3> = guesses.present().map(|(_, place)| *place).collect();
        let middle = known.iter().sum::<DVec3>() / known.len().max(1) as f64;
        let places = pictorial::find(&parts, middle, &self.lengths, noise);
        let mut found = guesses.clone();
        for (joint, place) in places.present() {
            found[joint] = Some(place.position);
        }
        found
    }

    /// Takes the left joints of a part of the body for the right ones, and the other way round.
    pub fn exchange(&mut self, part: &[Joint]) {
        self.motions.exchange(part);
        self.joints.exchange(part);
        self.posture.exchange(part);
    }

    /// How the body as a whole moves, in metres a second: the mean of the joints that are seen.
    pub fn velocity(&self) -> DVec3 {
        let seen = self.joints.present().filter(|(_, joint)| joint.views > 0);
        let velocities: Vec<DVec3> = seen
            .filter_map(|(joint, _)| Some(self.motions[joint]?.velocity))
            .collect();
        velocities.iter().sum::<DVec3>() / velocities.len().max(1) as f64
    }

    /// The mean of all joints, in metres of the world.
    pub fn centre(&self) -> Option<DVec3> {
        let places: Vec<DVec3> = self
            .joints
            .present()
            .map(|(_, joint)| joint.position)
            .collect();
        (!places.is_empty()).then(|| places.iter().sum::<DVec3>() / places.len() as f64)
    }

    /// Takes over what is known of the bones of a figure that turned out to be the same person.
    pub fn take_lengths_of(&mut self, earlier: &Figure) {
        self.lengths = earlier.lengths.clone();
    }

    /// Mean distance between the joints that two figures have, in metres; `None` where they share fewer than four.
    pub fn distance(&self, other: &Figure) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0);
        for (joint, here) in self.joints.present() {
            if let Some(there) = &other.joints[joint] {
                sum += here.position.distance(there.position);
                count += 1;
            }
        }
        (count >= 4).then(|| sum / f64::from(count))
    }
}

/// How many joints are seen by several views no two of which agree.
fn contradicted(nodes: &[Node], noise: &Noise) -> usize {
    let limit = noise.outlier * noise.outlier;
    let is_alone = |node: &&Node| {
        let agree = node
            .sights
            .iter()
            .filter(|sight| noise.error_squared(sight, node.position) < limit);
        node.sights.len() >= 2 && agree.count() < 2
    };
    nodes.iter().filter(is_alone).count()
}

/// Where to begin looking for a joint: where its motion would have brought it or where its sightings meet, whichever the
/// sightings fit better.
fn first_guess(
    before: Option<Motion>,
    found: Option<Point>,
    seen: &[Sight],
    noise: &Noise,
) -> Option<DVec3> {
    let (Some(motion), Some(found)) = (before, found) else {
        return before
            .map(|motion| motion.position)
            .or(found.map(|point| point.position));
    };
    let prior = motion.prior();
    let limit = noise.outlier * noise.outlier;
    let surprise = |position: DVec3| {
        let seen: f64 = seen
            .iter()
            .map(|sight| sight.weight * noise.error_squared(sight, position).min(limit))
            .sum();
        seen + (position.distance_squared(prior.position) / prior.variance).min(limit)
    };
    Some(if surprise(found.position) < surprise(prior.position) {
        found.position
    } else {
        prior.position
    })
}

/// Joints that one view sees begin where their ray passes a joint at the other end of one of their bones.
fn guess_from_bones(guesses: &mut JointMap<Option<DVec3>>, sights: &Sights) {
    for bone in BONES {
        for (known, wanted) in [bone.ends, (bone.ends.1, bone.ends.0)] {
            if let (Some(neighbour), None, Some(sight)) =
                (guesses[known], guesses[wanted], sights[wanted].first())
            {
                guesses[wanted] = Some(neighbour - sight.ray.offset(neighbour));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::tests::{room, seen_by, standing};

    fn sights(views: usize, at: DVec3, hidden: &[Joint]) -> Sights {
        let cameras = room(views);
        let mut sights = Sights::default();
        for view in 0..views {
            let seen = seen_by(view, &cameras, &standing(at));
            for (joint, (ray, weight)) in seen.rays.present() {
                if !hidden.contains(&joint) {
                    sights[joint].push(Sight {
                        ray: *ray,
                        weight: *weight,
                        pixel: seen.pixel,
                    });
                }
            }
        }
        sights
    }

    #[test]
    fn a_walker_is_followed_and_a_hand_that_nobody_sees_goes_with_them() {
        let noise = Noise::default();
        let at = |n: u32| DVec3::X * (f64::from(n) * 0.04);
        let Some(mut figure) = Figure::begin(0.0, &sights(3, at(0), &[]), &noise) else {
            panic!("somebody stands there")
        };
        for n in 1..60 {
            let hidden: &[Joint] = if n > 30 { &[Joint::LeftWrist] } else { &[] };
            figure.advance(f64::from(n) / 30.0, &sights(3, at(n), hidden), &noise);
        }
        let truth = standing(at(59));
        for (joint, found) in figure.joints().present() {
            let Some(wanted) = truth[joint] else { continue };
            let off = found.position.distance(wanted);
            let most = if joint == Joint::LeftWrist {
                0.12
            } else {
                0.01
            };
            assert!(off < most, "{joint:?} is off by {off:.3} m");
        }
        let wrist = figure.joints()[Joint::LeftWrist];
        assert!(wrist.is_some_and(|wrist| wrist.views == 0));
    }

    #[test]
    fn one_view_makes_nobody_but_goes_on_with_somebody() {
        let noise = Noise::default();
        assert!(Figure::begin(0.0, &sights(1, DVec3::ZERO, &[]), &noise).is_none());
        let Some(mut figure) = Figure::begin(0.0, &sights(3, DVec3::ZERO, &[]), &noise) else {
            panic!("somebody stands there")
        };
        for n in 1..15 {
            figure.advance(f64::from(n) / 30.0, &sights(1, DVec3::ZERO, &[]), &noise);
        }
        let truth = standing(DVec3::ZERO);
        for (joint, found) in figure.joints().present() {
            let off = truth[joint].map_or(0.0, |wanted| found.position.distance(wanted));
            assert!(off < 0.1, "{joint:?} is off by {off:.3} m");
        }
    }

    #[test]
    fn an_arm_that_one_view_sees_comes_back_to_where_people_hold_it() {
        let noise = Noise::default();
        let cameras = room(3);
        let arm = [Joint::RightElbow, Joint::RightWrist];
        let mut truth = standing(DVec3::ZERO);
        let Some(shoulder) = truth[Joint::RightShoulder] else {
            panic!("they have arms")
        };
        // They reach for something.
        let elbow = shoulder + DVec3::new(-0.05, -0.15, 0.22);
        truth[Joint::RightElbow] = Some(elbow);
        truth[Joint::RightWrist] = Some(elbow + DVec3::new(0.06, 0.03, 0.24));
        for view in 0..3 {
            // What looks the same from there.
            let eye = cameras[view].extrinsics.centre();
            let ray = (elbow - eye).normalize();
            let shift = ray * (2.0 * (shoulder - elbow).dot(ray));
            if shift.length() < 0.15 {
                continue;
            }
            let mut wrong = truth.clone();
            for joint in arm {
                wrong[joint] = wrong[joint].map(|place| place + shift);
            }
            let seen = |body: &JointMap<Option<DVec3>>, arm_by: &[usize]| {
                let mut sights = Sights::default();
                for other in 0..3 {
                    let seen = seen_by(other, &cameras, body);
                    for (joint, (ray, weight)) in seen.rays.present() {
                        if !arm.contains(&joint) || arm_by.contains(&other) {
                            sights[joint].push(Sight {
                                ray: *ray,
                                weight: *weight,
                                pixel: seen.pixel,
                            });
                        }
                    }
                }
                sights
            };
            let Some(mut figure) = Figure::begin(0.0, &seen(&wrong, &[0, 1, 2]), &noise) else {
                panic!("somebody stands there")
            };
            let off = |figure: &Figure| {
                let found = figure.joints()[Joint::RightElbow];
                found.map_or(9.0, |found| found.position.distance(elbow))
            };
            let mut advance = |until: u32, from: u32| {
                for n in from..until {
                    figure.advance(f64::from(n) / 30.0, &seen(&truth, &[view]), &noise);
                }
                let hand = figure.joints()[Joint::RightWrist];
                assert!(hand.is_some(), "view {view}: the hand goes with its arm");
                off(&figure)
            };
            assert!(
                advance(8, 1) > 0.1,
                "view {view}: motion is believed at first"
            );
            let after = advance(60, 8);
            assert!(
                after < 0.06,
                "view {view}: off by {after:.2} m after two seconds"
            );
        }
    }
}
