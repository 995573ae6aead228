//! One person, followed from frame to frame in one view.

use bevy::math::{Rect, Vec2};

use super::belief::Belief;
use super::crop::Region;
use super::decode::ScoredBox;
use super::keypoints::{Estimate, Look, Memory, Sought};
use super::reach::Reach;
use super::swap::SwapFilter;
use super::upright::{self, Held};
use super::{Person2d, SURE, around, sure, sure_places};
use crate::looks::Looks;
use crate::skeleton::{Joint, Pose2d, TORSO};

/// A box is around sure joints by so much of its longer side. Crops are larger anyway, and what is tight is seen in more pixels.
const MARGIN: f32 = 0.02;
/// A person with fewer sure joints is lost for this frame.
const LEAST_JOINTS: usize = 4;
/// Seconds without a person after which the track ends,
const PATIENCE: f64 = 0.4;
/// and frames, where there are few a second.
const FEW_FRAMES: u32 = 3;

/// A crop stays where it is while no edge of the box is off by more than so much of its longer side: what stands still is then seen in the
/// same pixels, and told at the same place. Cards leave more than that around a box (`growth`).
const STEADY: f32 = 0.05;
/// Seconds after which a network that remembers somebody is shown them anew.
pub(super) const FORGOTTEN: f64 = 0.5;
/// What is left of a box from one frame to the next where no sure joint holds it open.
const SHRINK: f32 = 0.9;
/// Who was seen in fewer frames is a newcomer,
const NEWCOMER: u32 = 10;
/// who may have gone so far while they were lost, in parts of the longer side of the box in which they are found,
const LEAP: f32 = 0.6;
/// which is so many times as long as that of their own at most, or the other way round.
const GROWN: f32 = 3.0;
/// So much of a clear box's longer side may limbs reach beyond it.
const REACH: f32 = 0.2;
/// Seconds after which somebody's looks are seen again.
const LOOKS_PERIOD: f64 = 0.5;
/// What is newly seen of looks counts so much.
const LOOKS_RATE: f32 = 0.25;
/// Where limbs end, and the head.
pub(super) const ENDS: [Joint; 3] = [Joint::LeftWrist, Joint::LeftAnkle, Joint::LeftEar];

/// One person, followed.
#[derive(Clone, Debug)]
pub struct Track {
    /// Unique in its view.
    pub(super) id: u32,
    /// Where they are, in pixels.
    pub(super) bounds: Rect,
    pose: Option<Pose2d>,
    /// Pixels per second.
    velocity: Vec<Vec2>,
    time: f64,
    next: Option<Region>,
    /// Around this box the network looks;
    shown: Rect,
    /// so it is turned, with those who stand there.
    around: Region,
    /// What the network remembers of them.
    memory: Memory,
    /// Frames since they were last seen.
    lost: u32,
    seen: u32,
    pub(super) belief: Belief,
    swaps: SwapFilter,
    reach: Reach,
    /// What they look like, and when that was last asked.
    looks: Option<Looks>,
    looked_at: Option<f64>,
}

/// The box around the sure joints, grown a little.
fn bounds_of(pose: &Pose2d) -> Option<Rect> {
    let tight = around(sure_places(pose))?;
    Some(tight.inflate(MARGIN * tight.size().max_element()))
}

impl Track {
    /// Of somebody whom the detector found.
    pub(super) fn new(id: u32, found: &ScoredBox) -> Track {
        Track {
            id,
            bounds: found.bounds,
            pose: None,
            velocity: vec![Vec2::ZERO; Joint::COUNT],
            time: 0.0,
            next: None,
            shown: found.bounds,
            around: Region::from(found.bounds),
            memory: Memory::default(),
            lost: 0,
            seen: 0,
            belief: Belief::begun(found),
            swaps: SwapFilter::default(),
            reach: Reach::default(),
            looks: None,
            looked_at: None,
        }
    }

    /// Where to look for this person in the frame of that time, in seconds, and what is remembered of them. Where it is known how the camera
    /// is `held`, they are shown as upright as those are who stand there.
    pub(super) fn sought(&mut self, time: f64, held: Option<&Held>) -> Sought<'_> {
        let (own, shown) = (self.bounds, self.shown);
        let apart = (own.min - shown.min).abs().max((own.max - shown.max).abs());
        if apart.max_element() > STEADY * own.size().max_element() {
            self.shown = own;
        }
        let before = self.around.angle;
        let angle = held.map_or(0.0, |held| held.turn(self.shown.center(), before));
        if angle != before || self.shown != shown {
            self.around = upright::turned(self.shown, angle, self.pose.as_ref());
        }
        // Of another moment, nothing can be said of where things are now.
        if !(0.0..FORGOTTEN).contains(&(time - self.time)) {
            self.memory = Memory::default();
        }
        let look = self.next.map_or(Look::Box(self.around), Look::Region);
        Sought::new(look, &mut self.memory)
    }

    /// Where the network looked for them last, if they were there.
    pub(super) fn region(&self) -> Option<Region> {
        self.memory.region()
    }

    /// Takes in what the network found there; `time` in seconds.
    pub fn observe(&mut self, estimate: Estimate, time: f64, undo_swaps: bool) {
        let mut pose = estimate.pose;
        let is_there = estimate.presence >= 0.5;
        if is_there {
            self.reach.mend(&mut pose, time);
        }
        let sure = sure_places(&pose).count();
        if !is_there || sure < LEAST_JOINTS {
            self.lost += 1;
            self.belief.not_seen();
            // Of what is not they, nothing is to be remembered.
            self.forget();
            return;
        }
        let elapsed = (time - self.time) as f32;
        if let (true, Some(last)) = (undo_swaps && self.lost == 0, &self.pose) {
            let mut expected = last.clone();
            for &joint in Joint::ALL {
                if let Some(point) = &mut expected[joint] {
                    point.position += self.velocity[joint as usize] * elapsed;
                }
            }
            self.swaps
                .mend(&mut pose, &expected, self.bounds.size().max_element(), time);
        }
        for &joint in Joint::ALL {
            let moved = match (self.pose.as_ref().and_then(|last| last[joint]), pose[joint]) {
                (Some(was), Some(is)) if elapsed > 1e-4 => (is.position - was.position) / elapsed,
                _ => Vec2::ZERO,
            };
            // Half of the newest motion: keypoints jitter, and an overshoot would look like a swap.
            let velocity = &mut self.velocity[joint as usize];
            *velocity = velocity.lerp(moved, 0.5) * 0.8;
        }
        if let Some(tight) = bounds_of(&pose) {
            // A joint that is unsure for a moment falls out of the tight box, and would be cut off by the next crop.
            let held = self.held_open(&pose);
            self.bounds = tight.union(held);
        }
        self.next = estimate.next_region;
        self.belief.seen(&pose, time);
        self.pose = Some(pose);
        self.time = time;
        self.lost = 0;
        self.seen += 1;
        if self.belief.is_in_doubt() && !self.is_somebody() {
            // A network that remembers is ever surer of what it took for somebody once.
            self.forget();
        }
    }

    /// The network looks at them as if it had not seen them before.
    fn forget(&mut self) {
        (self.next, self.memory) = (None, Memory::default());
    }

    /// The last box, somewhat smaller, moved as the joints did.
    fn held_open(&self, pose: &Pose2d) -> Rect {
        let moved: Vec<Vec2> = pose
            .present()
            .filter_map(|(joint, point)| {
                let was = self.pose.as_ref()?[joint]?;
                let sure = was.confidence.least(point.confidence).get() >= SURE;
                sure.then(|| point.position - was.position)
            })
            .collect();
        let shift = moved.iter().sum::<Vec2>() / moved.len().max(1) as f32;
        Rect::from_center_size(self.bounds.center() + shift, self.bounds.size() * SHRINK)
    }

    /// Whether the ends of all limbs are seen.
    fn is_whole(&self) -> bool {
        let seen = |pose: &Pose2d, end: Joint| {
            sure(pose, end).is_some() && sure(pose, end.mirror()).is_some()
        };
        self.pose
            .as_ref()
            .is_some_and(|pose| ENDS.iter().all(|&end| seen(pose, end)))
    }

    /// Whether the detector should look before its turn: they were lost, or it was not clear about them last, and now their joints are in doubt
    /// as well. Of whoever has left, a network finds joints on the wall behind them.
    pub(super) fn wants_detection(&self) -> bool {
        self.is_somebody() && (self.lost > 0 || self.belief.is_shaken())
    }

    /// The person, while they are seen and somebody.
    pub fn person(&self) -> Option<Person2d> {
        let pose = self.pose.as_ref();
        let pose = pose.filter(|_| self.is_shown())?;
        Some(Person2d {
            id: self.id,
            bounds: self.bounds,
            pose: pose.clone(),
            looks: self.looks.clone(),
        })
    }

    /// Whether somebody is seen here.
    pub(super) fn is_shown(&self) -> bool {
        self.is_seen() && self.is_somebody()
    }

    /// Whether this is more than what looks like somebody.
    pub(super) fn is_somebody(&self) -> bool {
        self.belief.is_somebody()
    }

    /// Whether they were seen in the last frame.
    pub(super) fn is_seen(&self) -> bool {
        self.lost == 0
    }

    /// The detector looked at the picture; where it found them, [`met`](Self::met) is told next.
    pub(super) fn detector_ran(&mut self) {
        self.belief.detector_ran();
    }

    /// The detector found them here.
    pub(super) fn met(&mut self, found: &ScoredBox) {
        let was_in_doubt = self.belief.is_in_doubt();
        self.belief.found(found);
        if self.lost > 0 || was_in_doubt {
            (self.bounds, self.next) = (found.bounds, None);
            return;
        }
        // Joints that were unsure for a moment shrink the box and stay outside of it, and joints that are taken for something else hold
        // it open: the detector, which sees all of the picture, widens it again, and, where it is clear about somebody, narrows it. Of
        // whom all limbs are seen, these tell better than it does.
        if !self.is_whole() {
            self.bounds = self.bounds.union(found.bounds);
        }
        if found.is_clear() {
            let reach = REACH * found.bounds.size().max_element();
            self.bounds = self.bounds.intersect(found.bounds.inflate(reach));
        }
    }

    /// How near a box is, 0 to 1, in which a newcomer may be who was lost, or seen where they may not be; 0 of all others.
    pub(super) fn nearness(&self, found: &ScoredBox) -> f32 {
        let (own, there) = (self.bounds, found.bounds);
        let [size, was] = [there, own].map(|bounds| bounds.size().max_element());
        let leap = own.center().distance(there.center()) / size;
        let is_as_large = (1.0 / GROWN..GROWN).contains(&(size / was));
        let may_be_elsewhere = self.lost > 0 || !self.is_somebody();
        let may_have_leapt = may_be_elsewhere && (1..NEWCOMER).contains(&self.seen);
        if may_have_leapt && is_as_large {
            (1.0 - leap / LEAP).max(0.0)
        } else {
            0.0
        }
    }

    /// Goes on there, where the detector found them, as if they had come in there.
    pub(super) fn leap(&mut self, found: &ScoredBox) {
        *self = Track {
            seen: self.seen,
            belief: self.belief.begun_anew(found),
            lost: self.lost,
            time: self.time,
            looks: self.looks.take(),
            looked_at: self.looked_at,
            ..Track::new(self.id, found)
        };
    }

    /// Whether it has lost its person by that time, in seconds, never had one, or left the picture.
    pub(super) fn is_over(&self, picture: Rect, time: f64) -> bool {
        // What only looked like somebody is gone at once.
        let is_late = self.lost > FEW_FRAMES && !(0.0..=PATIENCE).contains(&(time - self.time));
        let is_waited_for = self.seen > 0 && self.belief.is_waited_for();
        let is_lost = self.lost > 0 && (is_late || !is_waited_for);
        is_lost || self.belief.is_given_up() || self.bounds.intersect(picture).is_empty()
    }

    /// Whether their looks were not seen for a while.
    pub(super) fn wants_looks(&self, time: f64) -> bool {
        let looked = self.looked_at;
        looked.is_none_or(|looked| (time - looked).abs() >= LOOKS_PERIOD)
    }

    /// Takes in what they look like now; nothing, where the network knows nothing.
    pub(super) fn take_looks(&mut self, seen: Option<Looks>, time: f64) {
        self.looked_at = Some(time);
        let Some(seen) = seen else { return };
        self.looks = Some(match &self.looks {
            Some(looks) => looks.mixed(&seen, LOOKS_RATE),
            None => seen,
        });
    }

    /// Whether another track sits on the same person: most joints of both lie on one another, or the whole trunk does, whatever is taken for
    /// limbs; and whichever side is taken for the left one.
    pub(super) fn is_of_one_with(&self, other: &Track) -> bool {
        let seen_now = self.is_seen() && other.is_seen();
        let lies = |called| self.lies_on(other, seen_now, called);
        lies(|joint| joint) || (seen_now && lies(Joint::mirror))
    }

    /// The same, with joints of the other that are called so; whether both are seen now.
    fn lies_on(&self, other: &Track, seen_now: bool, called: fn(Joint) -> Joint) -> bool {
        let (Some(one), Some(two)) = (&self.pose, &other.pose) else {
            return false;
        };
        let size = self.bounds.size().max_element().max(1.0);
        let is_near = |joint: Joint| {
            let (p, q) = (one[joint]?, two[called(joint)]?);
            let is_sure = p.confidence.least(q.confidence).get() >= SURE;
            Some((p.position.distance(q.position) < 0.06 * size, is_sure))
        };
        let near: Vec<bool> = Joint::ALL
            .iter()
            .filter_map(|&joint| Some(is_near(joint)?.0))
            .collect();
        let count = near.iter().filter(|near| **near).count();
        // No two people who are seen have theirs in one place.
        let of_trunk = |joint: &Joint| is_near(*joint) == Some((true, true));
        (seen_now && TORSO.iter().all(of_trunk)) || (near.len() >= 5 && count * 10 > near.len() * 7)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bevy::math::Vec3;

    use super::*;
    use crate::camera::Intrinsics;
    use crate::skeleton::{Confidence, Keypoint};

    /// What a network would tell of somebody there.
    pub fn person_at(x: f32) -> Estimate {
        sure_person_at(x, 0.8)
    }

    /// The same, as sure of each joint.
    pub fn sure_person_at(x: f32, confidence: f32) -> Estimate {
        let mut pose = Pose2d::default();
        use Joint::*;
        for (n, joint) in [
            Nose,
            LeftShoulder,
            RightShoulder,
            LeftHip,
            RightHip,
            LeftKnee,
            RightKnee,
        ]
        .into_iter()
        .enumerate()
        {
            let position = Vec2::new(x + 10.0 * (n % 2) as f32, 20.0 + 20.0 * n as f32);
            pose[joint] = Some(Keypoint {
                position,
                confidence: Confidence::new(confidence),
            });
        }
        Estimate {
            pose,
            presence: 1.0,
            next_region: None,
        }
    }

    /// What the detector would tell of them.
    pub fn box_at(x: f32) -> ScoredBox {
        ScoredBox {
            bounds: Rect::new(x - 10.0, 5.0, x + 20.0, 155.0),
            score: 0.9,
        }
    }

    #[test]
    fn the_crop_stays_where_it_is_until_its_person_goes() {
        let mut track = Track::new(1, &box_at(100.0));
        let look = |track: &mut Track, x: f32, n: u8| {
            let time = f64::from(n) / 30.0;
            track.observe(person_at(x), time, false);
            match track.sought(time, None).look {
                Look::Box(own) => Rect::from_center_size(own.centre, own.size),
                Look::Region(_) => Rect::default(),
            }
        };
        // The detector's box is larger than that of the joints, and the track's shrinks to it.
        let mut shown = (0..60).map(|n| look(&mut track, 100.0 + f32::from(n % 2), n));
        let rest: Vec<Rect> = shown.by_ref().skip(30).collect();
        assert!(rest.iter().all(|shown| *shown == rest[0]), "{rest:?}");
        // Somebody walks slowly: they never leave their crop, though no frame is far from the one before.
        let mut crops = vec![rest[0]];
        for n in 60..120 {
            let shown = look(&mut track, 100.0 + f32::from(n - 60), n);
            let most = STEADY * track.bounds.size().max_element();
            let apart = [shown.min - track.bounds.min, shown.max - track.bounds.max];
            assert!(apart.iter().all(|edge| edge.abs().max_element() <= most));
            if crops.last() != Some(&shown) {
                crops.push(shown);
            }
        }
        assert!(
            (6..30).contains(&crops.len()),
            "it moves in steps: {}",
            crops.len()
        );
        // One edge alone is enough.
        let before = track.shown;
        track.bounds.max.y += 0.1 * track.bounds.height();
        assert!(track.sought(4.0, None).look != Look::around(before));
    }

    #[test]
    fn a_crop_is_turned_as_those_are_who_stand_there_and_not_for_every_degree() {
        let camera = Intrinsics::from_field_of_view(640, 480, 1.0);
        let mut track = Track::new(1, &box_at(320.0));
        let held = |roll: f32| Held {
            camera,
            up: Vec3::new(roll.sin(), -roll.cos(), 0.0),
        };
        let mut angle = |roll: Option<f32>| {
            let held = roll.map(held);
            match track.sought(0.0, held.as_ref()).look {
                Look::Box(own) => own.angle,
                Look::Region(_) => f32::NAN,
            }
        };
        assert_eq!(angle(None), 0.0);
        assert_eq!(angle(Some(0.1)), 0.0);
        assert!((angle(Some(0.4)) - 0.4).abs() < 1e-4);
        assert!((angle(Some(0.44)) - 0.4).abs() < 1e-4);
        assert!((angle(Some(-0.5)) + 0.5).abs() < 1e-4);
        assert!((angle(Some(-0.1)) + 0.1).abs() < 1e-4, "it stays turned");
        assert_eq!(angle(Some(-0.05)), 0.0);
        assert_eq!(angle(None), 0.0);
        // And it rests, as upright ones do.
        let mut look = |n: u8| {
            let time = f64::from(n) / 30.0;
            track.observe(person_at(320.0 + f32::from(n % 2)), time, false);
            track.sought(time, Some(&held(0.4))).look
        };
        let rest: Vec<Look> = (0..60).map(&mut look).skip(30).collect();
        assert!(rest.iter().all(|look| *look == rest[0]), "{rest:?}");
    }

    #[test]
    fn who_was_lost_or_not_looked_at_for_long_is_not_remembered() {
        let memory = Memory::of(Region {
            centre: Vec2::ZERO,
            size: Vec2::ONE,
            angle: 0.0,
        });
        let remembering = |time: f64| {
            let mut track = Track::new(1, &box_at(100.0));
            track.observe(person_at(100.0), time, false);
            track.memory = memory.clone();
            track
        };
        assert!(!remembering(7.0).sought(7.1, None).memory.is_empty());
        assert!(
            remembering(7.0).sought(8.0, None).memory.is_empty(),
            "a source that stood still"
        );
        assert!(
            remembering(7.0).sought(1.0, None).memory.is_empty(),
            "one that began anew"
        );
        let mut lost = remembering(7.0);
        let nobody = Estimate {
            presence: 0.0,
            ..person_at(100.0)
        };
        lost.observe(nobody, 7.1, false);
        assert!(lost.sought(7.2, None).memory.is_empty());
    }

    #[test]
    fn a_foot_that_is_unsure_for_a_moment_stays_in_the_box() {
        let mut track = Track::new(1, &box_at(100.0));
        track.observe(person_at(100.0), 0.0, true);
        let before = track.bounds;
        let mut unsure = person_at(104.0);
        for joint in [Joint::LeftKnee, Joint::RightKnee] {
            if let Some(point) = &mut unsure.pose[joint] {
                point.confidence = Confidence::new(0.1);
            }
        }
        track.observe(unsure.clone(), 0.033, true);
        assert!(
            track.bounds.contains(Vec2::new(109.0, 140.0)),
            "{:?}",
            track.bounds
        );
        for n in 2..60 {
            track.observe(unsure.clone(), f64::from(n) * 0.033, true);
        }
        assert!(
            track.bounds.height() < 0.85 * before.height(),
            "but not for ever"
        );
    }
}
