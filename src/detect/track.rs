//! Who is who from frame to frame in one view.

use bevy::math::{Rect, Vec2};

use super::crop::Region;
use super::decode::{ScoredBox, overlap};
use super::keypoints::{Estimate, Look, Memory};
use super::reach::Reach;
use super::swap::SwapFilter;
use super::{Person2d, SURE, sure};
use crate::assignment::assign;
use crate::looks::Looks;
use crate::skeleton::{Joint, Pose2d, TORSO};

/// A box is around sure joints by so much of its longer side. Crops are larger anyway, and what is tight is seen in more pixels.
const MARGIN: f32 = 0.02;
/// A person with fewer sure joints is lost for this frame.
const LEAST_JOINTS: usize = 4;
/// Frames without a person after which the track ends.
const PATIENCE: u32 = 12;
/// The least overlap of a detector's box with a track that makes them the same person.
const SAME: f32 = 0.25;

/// Keypoint networks find a body in any crop: where the surest joints on average, or the surer shoulder, are less sure than this, the
/// detector is asked too. In the feet of tables they are sure of legs, hardly of shoulders.
const DOUBTFUL: f32 = 0.55;
/// How many joints those are: of somebody at a desk, no more may be in view.
const SUREST: usize = 8;
/// A crop stays where it is while no edge of the box is off by more than so much of its longer side: what stands still is then seen in the
/// same pixels, and told at the same place.
const STEADY: f32 = 0.05;
/// What is left of a box from one frame to the next where no sure joint holds it open.
const SHRINK: f32 = 0.9;
/// A box with this score is clearly somebody.
const CLEAR: f32 = 0.65;
/// Newcomers whom the detector is unclear about are shown after so many frames: most of what is nobody is gone by then.
const PROBATION: u32 = 3;
/// So much of a clear box's longer side may limbs reach beyond it.
const REACH: f32 = 0.2;
/// Seconds after which somebody's looks are seen again.
const LOOKS_PERIOD: f64 = 0.5;
/// What is newly seen of looks counts so much.
const LOOKS_RATE: f32 = 0.25;
/// A box of which another takes more shows two people at once.
const CROWDED: f32 = 0.25;
/// Where limbs end, and the head.
const ENDS: [Joint; 3] = [Joint::LeftWrist, Joint::LeftAnkle, Joint::LeftEar];
/// How often in a row the detector may not be clear about somebody whose joints are in doubt.
const MISSES: u32 = 3;

/// One person, followed.
#[derive(Clone, Debug)]
pub struct Track {
    id: u32,
    bounds: Rect,
    pose: Option<Pose2d>,
    /// Pixels per second.
    velocity: Vec<Vec2>,
    time: f64,
    next: Option<Region>,
    /// Around this box the network looks.
    shown: Rect,
    /// What the network remembers of them.
    memory: Memory,
    lost: u32,
    seen: u32,
    /// Runs of the detector since it was last clear about them.
    unclear: u32,
    swaps: SwapFilter,
    reach: Reach,
    /// What they look like, and when that was last asked.
    looks: Option<Looks>,
    looked_at: Option<f64>,
}

/// The box around the sure joints, grown a little.
fn bounds_of(pose: &Pose2d) -> Option<Rect> {
    let mut points = pose
        .present()
        .filter(|(_, point)| point.confidence.get() >= SURE)
        .map(|(_, point)| point.position);
    let first = points.next()?;
    let tight = points.fold(Rect::from_corners(first, first), |bounds, point| {
        bounds.union_point(point)
    });
    Some(tight.inflate(MARGIN * tight.size().max_element()))
}

impl Track {
    fn new(id: u32, found: &ScoredBox) -> Track {
        Track {
            id,
            bounds: found.bounds,
            pose: None,
            velocity: vec![Vec2::ZERO; Joint::COUNT],
            time: 0.0,
            next: None,
            shown: found.bounds,
            memory: Memory::default(),
            lost: 0,
            seen: 0,
            unclear: if found.score >= CLEAR { 0 } else { MISSES + 1 },
            swaps: SwapFilter::default(),
            reach: Reach::default(),
            looks: None,
            looked_at: None,
        }
    }

    /// Where to look for this person in the next frame.
    pub fn region(&mut self) -> Look {
        let (own, shown) = (self.bounds, self.shown);
        let apart = (own.min - shown.min).abs().max((own.max - shown.max).abs());
        if apart.max_element() > STEADY * own.size().max_element() {
            self.shown = own;
        }
        self.next.map_or(Look::Box(self.shown), Look::Region)
    }

    /// What the network remembers of this person.
    pub fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// Takes in what the network found there; `time` in seconds.
    pub fn observe(&mut self, estimate: Estimate, time: f64, undo_swaps: bool) {
        let mut pose = estimate.pose;
        let is_there = estimate.presence >= 0.5;
        if is_there {
            self.reach.mend(&mut pose, time);
        }
        let sure = pose
            .present()
            .filter(|(_, point)| point.confidence.get() >= SURE)
            .count();
        if !is_there || sure < LEAST_JOINTS {
            self.lost += 1;
            // Of what is not they, nothing is to be remembered.
            (self.next, self.memory) = (None, Memory::default());
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
        self.pose = Some(pose);
        self.time = time;
        self.lost = 0;
        self.seen += 1;
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

    /// Whether neither network is sure that somebody is there.
    fn is_doubtful(&self) -> bool {
        let Some(pose) = &self.pose else {
            return false;
        };
        let told = |joint: Joint| pose[joint].map_or(0.0, |point| point.confidence.get());
        // From the side one of them is hidden.
        let shoulder = told(Joint::LeftShoulder).max(told(Joint::RightShoulder));
        let mut sure: Vec<f32> = pose.present().map(|(joint, _)| told(joint)).collect();
        sure.sort_by(|a, b| b.total_cmp(a));
        sure.truncate(SUREST);
        let surest = sure.iter().sum::<f32>() / sure.len().max(1) as f32;
        self.unclear > MISSES && surest.min(shoulder) < DOUBTFUL
    }

    /// The person, while they are seen and somebody.
    pub fn person(&self) -> Option<Person2d> {
        let is_somebody = self.seen > PROBATION || self.unclear <= MISSES;
        let pose = self.pose.as_ref();
        let pose = pose.filter(|_| self.lost == 0 && is_somebody)?;
        Some(Person2d {
            id: self.id,
            bounds: self.bounds,
            pose: pose.clone(),
            looks: self.looks.clone(),
        })
    }
}

/// Everybody in one view.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    tracks: Vec<Track>,
    next_id: u32,
    frame: u32,
}

impl Tracker {
    /// Ends all tracks. Their numbers are not given again: who comes next is somebody new.
    pub fn forget_everybody(&mut self) {
        *self = Tracker {
            next_id: self.next_id,
            ..Tracker::default()
        };
    }

    /// Whether the detector should look at this frame: every n-th, and whenever somebody was lost or nobody is there.
    pub fn wants_detection(&mut self, every: u32) -> bool {
        let due = self.frame.is_multiple_of(every.max(1));
        self.frame += 1;
        due || self.tracks.is_empty() || self.tracks.iter().any(|track| track.lost > 0)
    }

    /// Holds the detector's boxes against the tracks: known people go on, new ones begin.
    pub fn meet(&mut self, boxes: &[ScoredBox], most_people: usize) {
        // The limit may have been lowered since: whoever came last goes.
        self.tracks.truncate(most_people);
        self.tracks.iter_mut().for_each(|track| track.unclear += 1);
        let mut taken = vec![false; boxes.len()];
        for (track, found) in assign(self.tracks.len(), boxes.len(), |t, b| {
            1.0 - f64::from(overlap(self.tracks[t].bounds, boxes[b].bounds))
        }) {
            if overlap(self.tracks[track].bounds, boxes[found].bounds) >= SAME {
                taken[found] = true;
                let track = &mut self.tracks[track];
                if boxes[found].score >= CLEAR {
                    track.unclear = 0;
                }
                if track.lost > 0 {
                    (track.bounds, track.next) = (boxes[found].bounds, None);
                } else {
                    // Joints that were unsure for a moment shrink the box and stay outside of it, and joints that are taken for
                    // something else hold it open: the detector, which sees all of the picture, widens it again, and, where
                    // it is clear about somebody, narrows it. Of whom all limbs are seen, these tell better than it does.
                    let seen = boxes[found].bounds;
                    if !track.is_whole() {
                        track.bounds = track.bounds.union(seen);
                    }
                    if boxes[found].score >= CLEAR {
                        let reach = seen.inflate(REACH * seen.size().max_element());
                        track.bounds = track.bounds.intersect(reach);
                    }
                }
            }
        }
        let area = |found: &ScoredBox| found.bounds.width() * found.bounds.height();
        let mut fresh: Vec<&ScoredBox> = boxes
            .iter()
            .zip(&taken)
            .filter(|(_, taken)| !**taken)
            .map(|(b, _)| b)
            .collect();
        fresh.sort_by(|a, b| area(b).total_cmp(&area(a)));
        for found in fresh {
            // A box that mostly lies within somebody is a part of them.
            let within = self.tracks.iter().any(|track| {
                let shared = track.bounds.intersect(found.bounds);
                !shared.is_empty() && shared.width() * shared.height() > 0.7 * area(found)
            });
            if self.tracks.len() < most_people && !within {
                self.next_id += 1;
                self.tracks.push(Track::new(self.next_id, found));
            }
        }
    }

    /// Everybody.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter()
    }

    /// Everybody, to be observed.
    pub fn tracks_mut(&mut self) -> impl Iterator<Item = &mut Track> {
        self.tracks.iter_mut()
    }

    /// Whose looks should be seen now: those who are seen, by themselves, and were not for a while. Places among the tracks, and boxes in
    /// pixels.
    pub fn due_for_looks(&self, time: f64) -> impl Iterator<Item = (usize, Rect)> {
        let is_alone = |n: usize| {
            let others = self.tracks.iter().enumerate().filter(move |(m, _)| *m != n);
            others
                .filter(|(_, other)| other.lost == 0)
                .all(|(_, other)| {
                    let own = self.tracks[n].bounds;
                    let shared = own.intersect(other.bounds).size().element_product();
                    shared <= CROWDED * own.size().element_product()
                })
        };
        let is_due = move |(n, track): &(usize, &Track)| {
            let looked = track.looked_at;
            track.lost == 0
                && looked.is_none_or(|looked| (time - looked).abs() >= LOOKS_PERIOD)
                && is_alone(*n)
        };
        let tracks = self.tracks.iter().enumerate();
        tracks.filter(is_due).map(|(n, track)| (n, track.bounds))
    }

    /// Takes in what somebody looks like now; nothing, where the network knows nothing.
    pub fn take_looks(&mut self, track: usize, seen: Option<Looks>, time: f64) {
        let track = &mut self.tracks[track];
        track.looked_at = Some(time);
        let Some(seen) = seen else { return };
        track.looks = Some(match &track.looks {
            Some(looks) => looks.mixed(&seen, LOOKS_RATE),
            None => seen,
        });
    }

    /// Ends tracks that lost their person, that never had one, that left the picture, or that follow the same person as an older one.
    pub fn tidy(&mut self, width: u32, height: u32) {
        let picture = Rect::new(0.0, 0.0, width as f32, height as f32);
        self.tracks.retain(|track| {
            // Of whoever comes in, there may be too little for a moment to find joints; what only looked like somebody is gone at once.
            let is_doubted = track.seen < PROBATION && track.unclear > MISSES;
            let patience = if track.seen == 0 || is_doubted {
                0
            } else {
                PATIENCE
            };
            track.lost <= patience
                && !track.is_doubtful()
                && !track.bounds.intersect(picture).is_empty()
        });
        let mut kept: Vec<Track> = Vec::new();
        for track in self.tracks.drain(..) {
            if kept.iter().all(|older| !same_person(older, &track)) {
                kept.push(track);
            }
        }
        self.tracks = kept;
    }
}

/// Whether two tracks sit on one person: most joints of both lie on one another, or the whole trunk does, whatever is taken for limbs.
fn same_person(a: &Track, b: &Track) -> bool {
    let (Some(one), Some(two)) = (&a.pose, &b.pose) else {
        return false;
    };
    let size = a.bounds.size().max_element().max(1.0);
    let is_near = |joint: Joint| {
        let (p, q) = (one[joint]?, two[joint]?);
        let is_sure = p.confidence.least(q.confidence).get() >= SURE;
        Some((p.position.distance(q.position) < 0.06 * size, is_sure))
    };
    let near: Vec<bool> = Joint::ALL
        .iter()
        .filter_map(|&joint| Some(is_near(joint)?.0))
        .collect();
    let count = near.iter().filter(|near| **near).count();
    let seen_now = a.lost == 0 && b.lost == 0;
    // No two people who are seen have theirs in one place.
    let of_trunk = |joint: &Joint| is_near(*joint) == Some((true, true));
    (seen_now && TORSO.iter().all(of_trunk)) || (near.len() >= 5 && count * 10 > near.len() * 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::looks::Likeness;
    use crate::skeleton::{Confidence, JointSet, Keypoint};

    fn person_at(x: f32) -> Estimate {
        sure_person_at(x, 0.8)
    }

    fn sure_person_at(x: f32, confidence: f32) -> Estimate {
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

    fn box_at(x: f32) -> ScoredBox {
        ScoredBox {
            bounds: Rect::new(x - 10.0, 5.0, x + 20.0, 155.0),
            score: 0.9,
        }
    }

    fn frame(
        tracker: &mut Tracker,
        boxes: &[ScoredBox],
        positions: &[f32],
        time: f64,
    ) -> Vec<(u32, f32)> {
        tracker.meet(boxes, 8);
        let mut positions = positions.iter();
        for track in tracker.tracks_mut() {
            let estimate = positions.next().map_or(
                Estimate {
                    pose: Pose2d::default(),
                    presence: 0.0,
                    next_region: None,
                },
                |x| person_at(*x),
            );
            track.observe(estimate, time, true);
        }
        tracker.tidy(640, 480);
        tracker
            .tracks()
            .filter_map(Track::person)
            .map(|p| (p.id, p.bounds.center().x.round()))
            .collect()
    }

    #[test]
    fn numbers_stay_with_their_people_whatever_the_order_of_the_boxes() {
        let mut tracker = Tracker::default();
        let first = frame(
            &mut tracker,
            &[box_at(100.0), box_at(400.0)],
            &[100.0, 400.0],
            0.0,
        );
        let then = frame(
            &mut tracker,
            &[box_at(405.0), box_at(103.0)],
            &[103.0, 405.0],
            0.033,
        );
        assert_eq!(
            first.iter().map(|p| p.0).collect::<Vec<_>>(),
            then.iter().map(|p| p.0).collect::<Vec<_>>()
        );
        assert_eq!(then.len(), 2);
    }

    #[test]
    fn the_crop_stays_where_it_is_until_its_person_goes() {
        let mut track = Track::new(1, &box_at(100.0));
        let look = |track: &mut Track, x: f32, time: f64| {
            track.observe(person_at(x), time, false);
            match track.region() {
                Look::Box(shown) => shown,
                Look::Region(_) => Rect::default(),
            }
        };
        look(&mut track, 100.0, 0.0);
        track.bounds = bounds_of(&person_at(100.0).pose).unwrap_or_default();
        track.shown = track.bounds;
        let settled = track.shown;
        for n in 1_u8..20 {
            let shown = look(&mut track, 101.0 + f32::from(n % 3), f64::from(n) / 30.0);
            assert_eq!(shown, settled);
            assert!(shown != track.bounds, "the box itself follows");
        }
        let gone = look(&mut track, 115.0, 2.0);
        assert_eq!(gone, track.bounds);
    }

    #[test]
    fn a_newcomer_whom_the_detector_is_unclear_about_is_shown_after_some_frames() {
        for (score, first) in [(0.4, PROBATION), (0.9, 0)] {
            let mut tracker = Tracker::default();
            let found = ScoredBox {
                score,
                ..box_at(100.0)
            };
            let shown: Vec<bool> = (0..6)
                .map(|n| {
                    frame(&mut tracker, &[found], &[100.0], 0.1 * f64::from(n));
                    tracker.tracks().any(|track| track.person().is_some())
                })
                .collect();
            let wanted: Vec<bool> = (0..6).map(|n| n >= first).collect();
            assert_eq!(shown, wanted, "{score}");
        }
    }

    #[test]
    fn whoever_comes_in_clearly_keeps_their_number_though_joints_are_lost_for_a_moment() {
        for (score, same) in [(0.9, true), (0.4, false)] {
            let mut tracker = Tracker::default();
            let found = ScoredBox {
                score,
                ..box_at(100.0)
            };
            let mut numbers = Vec::new();
            for (n, seen) in [true, false, true].into_iter().enumerate() {
                let places = if seen { &[100.0][..] } else { &[] };
                frame(&mut tracker, &[found], places, 0.1 * n as f64);
                numbers.extend(tracker.tracks().map(|track| track.id));
            }
            numbers.dedup();
            assert_eq!(numbers.len() == 1, same, "{score}: {numbers:?}");
        }
        // A box in which joints were never found is nobody.
        let mut tracker = Tracker::default();
        frame(&mut tracker, &[box_at(100.0)], &[], 0.0);
        assert_eq!(tracker.tracks().count(), 0);
    }

    #[test]
    fn two_tracks_on_one_person_become_the_older_one() {
        let mut tracker = Tracker::default();
        frame(
            &mut tracker,
            &[box_at(100.0), box_at(200.0)],
            &[100.0, 200.0],
            0.0,
        );
        let merged = frame(&mut tracker, &[], &[150.0, 151.0], 0.033);
        assert_eq!(merged.iter().map(|p| p.0).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_person_who_leaves_is_forgotten_and_comes_back_as_somebody_new() {
        let mut tracker = Tracker::default();
        for n in 0..5 {
            frame(
                &mut tracker,
                &[box_at(100.0)],
                &[100.0],
                f64::from(n) * 0.033,
            );
        }
        for n in 5..30 {
            assert!(frame(&mut tracker, &[], &[], f64::from(n) * 0.033).is_empty());
        }
        assert_eq!(
            frame(&mut tracker, &[box_at(100.0)], &[100.0], 1.0),
            [(2, 105.0)]
        );
    }

    #[test]
    fn a_box_that_shrank_to_the_upper_body_is_widened_by_the_detector() {
        let mut tracker = Tracker::default();
        frame(&mut tracker, &[box_at(100.0)], &[100.0], 0.0);
        tracker.tracks[0].bounds = Rect::new(90.0, 5.0, 120.0, 60.0);
        tracker.meet(&[box_at(100.0)], 8);
        assert_eq!(tracker.tracks[0].region(), Look::Box(box_at(100.0).bounds));
        assert_eq!(tracker.tracks.len(), 1);
    }

    #[test]
    fn a_box_that_a_wrong_joint_holds_open_is_narrowed_by_a_clear_detection() {
        let mut tracker = Tracker::default();
        frame(&mut tracker, &[box_at(100.0)], &[100.0], 0.0);
        let seen = box_at(100.0);
        let wide = seen.bounds.union_point(Vec2::new(110.0, 400.0));
        let widest = |tracker: &mut Tracker, score: f32| {
            tracker.tracks[0].bounds = wide;
            tracker.meet(&[ScoredBox { score, ..seen }], 8);
            tracker.tracks[0].bounds.height()
        };
        let height = seen.bounds.height();
        assert_eq!(widest(&mut tracker, CLEAR - 0.1), wide.height());
        let narrowed = widest(&mut tracker, CLEAR + 0.1);
        assert!(
            (height..=1.5 * height).contains(&narrowed),
            "{narrowed} of {height}"
        );
    }

    #[test]
    fn a_box_that_somebodys_own_limbs_fill_is_not_widened() {
        let mut tracker = Tracker::default();
        let wide = ScoredBox {
            bounds: Rect::new(85.0, 0.0, 135.0, 180.0),
            score: 0.5,
        };
        for whole in [true, false] {
            tracker.forget_everybody();
            tracker.meet(&[box_at(100.0)], 8);
            for track in tracker.tracks_mut() {
                let mut estimate = person_at(100.0);
                for joint in ENDS.iter().flat_map(|end| [*end, end.mirror()]) {
                    let shown = whole || joint != Joint::RightAnkle;
                    estimate.pose[joint] = estimate.pose[Joint::LeftKnee].filter(|_| shown);
                }
                track.observe(estimate, 0.0, true);
            }
            let before = tracker.tracks[0].bounds;
            tracker.meet(&[wide], 8);
            assert_eq!(tracker.tracks[0].bounds == before, whole);
        }
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

    #[test]
    fn somebody_at_a_desk_is_believed_by_the_joints_in_view() {
        let mut track = Track::new(
            1,
            &ScoredBox {
                score: 0.5,
                ..box_at(100.0)
            },
        );
        let mut seated = person_at(100.0);
        for &joint in JointSet::Body25.joints() {
            let hidden = Keypoint {
                position: Vec2::new(110.0, 150.0),
                confidence: Confidence::new(0.05),
            };
            seated.pose[joint].get_or_insert(hidden);
        }
        track.observe(seated, 0.0, true);
        assert!(!track.is_doubtful());
    }

    #[test]
    fn a_body_that_both_networks_only_half_believe_in_is_nobody() {
        let unclear = |x| ScoredBox {
            score: 0.5,
            ..box_at(x)
        };
        for (confidence, found, stays) in [
            (0.35, unclear(100.0), false),
            (0.8, unclear(100.0), true),
            (0.35, box_at(100.0), true),
        ] {
            let mut tracker = Tracker::default();
            for n in 0..10 {
                tracker.meet(&[found], 8);
                for track in tracker.tracks_mut() {
                    let estimate = sure_person_at(100.0, confidence);
                    track.observe(estimate, f64::from(n) / 6.0, true);
                }
                tracker.tidy(640, 480);
            }
            assert_eq!(tracker.tracks().count(), usize::from(stays), "{confidence}");
        }
    }

    #[test]
    fn limbs_without_shoulders_that_the_detector_is_unclear_about_are_nobody() {
        let unclear = ScoredBox {
            score: 0.5,
            ..box_at(100.0)
        };
        let mut tracker = Tracker::default();
        tracker.meet(&[unclear], 8);
        for track in tracker.tracks_mut() {
            let mut estimate = person_at(100.0);
            for joint in [Joint::LeftShoulder, Joint::RightShoulder] {
                if let Some(point) = &mut estimate.pose[joint] {
                    point.confidence = Confidence::new(0.35);
                }
            }
            track.observe(estimate, 0.0, true);
        }
        tracker.tidy(640, 480);
        assert_eq!(tracker.tracks().count(), 0);
    }

    #[test]
    fn two_trunks_in_one_place_are_one_person_whatever_is_taken_for_legs() {
        let mut tracker = Tracker::default();
        for (hip, people) in [(0.8, 1), (0.2, 2)] {
            tracker.forget_everybody();
            tracker.meet(&[box_at(100.0), box_at(200.0)], 8);
            for (track, below) in tracker.tracks_mut().zip([0.0, 60.0]) {
                let mut estimate = person_at(150.0);
                for joint in [Joint::LeftKnee, Joint::RightKnee, Joint::Nose] {
                    if let Some(point) = &mut estimate.pose[joint] {
                        point.position.y += below;
                    }
                }
                if let Some(point) = &mut estimate.pose[Joint::LeftHip] {
                    point.confidence = Confidence::new(hip);
                }
                track.observe(estimate, 0.0, true);
            }
            tracker.tidy(640, 480);
            assert_eq!(tracker.tracks().count(), people, "{hip}");
        }
    }

    #[test]
    fn a_lowered_limit_keeps_whoever_came_first() {
        let mut tracker = Tracker::default();
        frame(
            &mut tracker,
            &[box_at(100.0), box_at(400.0)],
            &[100.0, 400.0],
            0.0,
        );
        tracker.meet(&[box_at(100.0), box_at(400.0)], 1);
        assert_eq!(
            tracker.tracks().map(|track| track.id).collect::<Vec<_>>(),
            [1]
        );
    }

    #[test]
    fn looks_are_seen_again_after_a_while_and_not_of_people_before_one_another() {
        let mut tracker = Tracker::default();
        let boxes = [box_at(10.0), box_at(300.0)];
        frame(&mut tracker, &boxes, &[10.0, 300.0], 0.0);
        let due = |tracker: &Tracker, time: f64| -> Vec<usize> {
            tracker.due_for_looks(time).map(|(n, _)| n).collect()
        };
        assert_eq!(due(&tracker, 0.0), [0, 1]);
        let of = |vector: &[f32]| Looks::new(vector, Likeness::default());
        let (before, after) = (of(&[1.0, 0.0]), of(&[0.0, 1.0]));
        tracker.take_looks(0, before.clone(), 0.0);
        assert_eq!(due(&tracker, 0.2), [1]);
        assert_eq!(due(&tracker, 0.6), [0, 1]);
        // A network that says nothing is not asked again at once, and changes nothing.
        tracker.take_looks(1, None, 0.6);
        assert_eq!(due(&tracker, 0.7), [0]);
        tracker.take_looks(0, after.clone(), 0.6);
        let known = tracker.tracks[0].person().and_then(|person| person.looks);
        let to = |other: &Option<Looks>| known.as_ref()?.distance(other.as_ref()?);
        assert!(to(&before) < to(&after) && to(&before) > Some(0.1));
        // The second comes to stand beside the first.
        tracker.tracks[1].bounds = Rect::from_center_size(
            tracker.tracks[0].bounds.center() + 6.0,
            tracker.tracks[0].bounds.size(),
        );
        assert_eq!(due(&tracker, 9.0), [] as [usize; 0]);
        // Far behind the first, and wholly within their box: only they are seen by themselves.
        tracker.tracks[1].bounds = Rect::from_center_size(
            tracker.tracks[0].bounds.center(),
            tracker.tracks[0].bounds.size() * 0.3,
        );
        assert_eq!(due(&tracker, 9.0), [0]);
    }

    #[test]
    fn the_detector_rests_while_everybody_is_followed() {
        let mut tracker = Tracker::default();
        assert!(tracker.wants_detection(5));
        frame(&mut tracker, &[box_at(100.0)], &[100.0], 0.0);
        assert!(!tracker.wants_detection(5));
        frame(&mut tracker, &[], &[], 0.033);
        assert!(tracker.wants_detection(5), "whoever is lost is looked for");
    }
}
