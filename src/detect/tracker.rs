//! Who is who from frame to frame in one view.

use bevy::math::Rect;

use super::decode::{ScoredBox, overlap};
use super::track::Track;
use crate::assignment::assign;
use crate::looks::Looks;

/// The least overlap of a detector's box with a track that makes them the same person.
const SAME: f32 = 0.25;
/// A box of which another takes more shows two people at once.
const CROWDED: f32 = 0.25;

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

    /// Whether the detector should look at this frame: every n-th, and whenever somebody was lost or is in doubt, or nothing is followed.
    pub fn wants_detection(&mut self, every: u32) -> bool {
        let due = self.frame.is_multiple_of(every.max(1));
        self.frame += 1;
        due || self.tracks.is_empty() || self.tracks.iter().any(Track::wants_detection)
    }

    /// Holds the detector's boxes against the tracks: known people go on, new ones begin.
    pub fn meet(&mut self, boxes: &[ScoredBox], most_people: usize) {
        // The limit may have been lowered since: what may be nobody goes, and then whoever came last.
        self.somebody_first();
        self.tracks.truncate(most_people);
        let area = |bounds: Rect| bounds.size().element_product();
        self.tracks.iter_mut().for_each(Track::detector_ran);
        let mut taken = vec![false; boxes.len()];
        // A box that mostly lies within somebody is a part of them, but who is clearly there is no part of what may be nobody.
        let is_within = |found: &ScoredBox, track: &Track| {
            let shared = track.bounds.intersect(found.bounds);
            let is_inside = !shared.is_empty() && area(shared) > 0.7 * area(found.bounds);
            is_inside && (track.is_somebody() || !found.is_clear())
        };
        let seen = self.tracks.iter().filter(|track| track.is_seen());
        let is_part = |found| seen.clone().any(|track| is_within(found, track));
        let parts: Vec<bool> = boxes.iter().map(is_part).collect();
        // Who is clearly there is rather somebody whom it may be than what may be nobody.
        let may_be = |found: &ScoredBox, track: &Track| {
            track.is_somebody() && overlap(track.bounds, found.bounds) >= SAME
        };
        let is_somebodys =
            |found: &ScoredBox| found.is_clear() && seen.clone().any(|track| may_be(found, track));
        let somebodys: Vec<bool> = boxes.iter().map(is_somebodys).collect();
        let likeness = |track: &Track, found: usize| {
            let shared = overlap(track.bounds, boxes[found].bounds);
            if shared >= SAME {
                shared
            } else if parts[found] {
                0.0
            } else {
                // Whoever comes in fast is elsewhere by the time they are seen again.
                SAME * track.nearness(&boxes[found])
            }
        };
        for (track, found) in assign(self.tracks.len(), boxes.len(), |t, b| {
            let track = &self.tracks[t];
            let is_anothers = somebodys[b] && !track.is_somebody();
            1.0 - f64::from(likeness(track, b)) + f64::from(u8::from(is_anothers))
        }) {
            let likeness = likeness(&self.tracks[track], found);
            taken[found] = likeness > 0.0;
            if likeness >= SAME {
                self.tracks[track].met(&boxes[found]);
            } else if likeness > 0.0 {
                self.tracks[track].leap(&boxes[found]);
            }
        }
        let mut fresh: Vec<&ScoredBox> = boxes
            .iter()
            .zip(&taken)
            .filter(|(_, taken)| !**taken)
            .map(|(b, _)| b)
            .collect();
        fresh.sort_by(|a, b| area(b.bounds).total_cmp(&area(a.bounds)));
        for found in fresh {
            if self.tracks.iter().any(|track| is_within(found, track)) {
                continue;
            }
            self.begin(found, most_people);
        }
    }

    /// Follows somebody new. Where there are as many as may be, whoever is least believed in gives way, if they may be nobody, and these are
    /// more likely to be somebody.
    fn begin(&mut self, found: &ScoredBox, most_people: usize) {
        let newcomer = Track::new(self.next_id + 1, found);
        if self.tracks.len() >= most_people {
            let believed = |a: &Track, b: &Track| a.belief.compare(&b.belief);
            let gives_way =
                |track: &Track| !track.is_somebody() && believed(track, &newcomer).is_lt();
            let tracks = self.tracks.iter().enumerate();
            let least = tracks.min_by(|(_, a), (_, b)| believed(a, b));
            let Some((nobody, _)) = least.filter(|(_, least)| gives_way(least)) else {
                return;
            };
            self.tracks.remove(nobody);
        }
        self.next_id += 1;
        self.tracks.push(newcomer);
    }

    /// Puts who is somebody before what may be nobody.
    fn somebody_first(&mut self) {
        self.tracks.sort_by_key(|track| !track.is_somebody());
    }

    /// Everybody, and what may be nobody: whoever is shown has a [`Track::person`].
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
                .filter(|(_, other)| other.is_shown())
                .all(|(_, other)| {
                    let own = self.tracks[n].bounds;
                    let shared = own.intersect(other.bounds).size().element_product();
                    shared <= CROWDED * own.size().element_product()
                })
        };
        let is_due = move |(n, track): &(usize, &Track)| {
            track.is_shown() && track.wants_looks(time) && is_alone(*n)
        };
        let tracks = self.tracks.iter().enumerate();
        tracks.filter(is_due).map(|(n, track)| (n, track.bounds))
    }

    /// Takes in what somebody looks like now; nothing, where the network knows nothing.
    pub fn take_looks(&mut self, track: usize, seen: Option<Looks>, time: f64) {
        self.tracks[track].take_looks(seen, time);
    }

    /// Ends tracks that have lost their person by that time, in seconds, that never had one, that left the picture, or that follow the same
    /// person as an older one, or as one that is more than what looks like somebody.
    pub fn tidy(&mut self, width: u32, height: u32, time: f64) {
        let picture = Rect::new(0.0, 0.0, width as f32, height as f32);
        self.tracks.retain(|track| !track.is_over(picture, time));
        self.somebody_first();
        let mut kept: Vec<Track> = Vec::new();
        for track in self.tracks.drain(..) {
            if kept.iter().all(|older| !older.is_of_one_with(&track)) {
                kept.push(track);
            }
        }
        self.tracks = kept;
    }
}

#[cfg(test)]
mod tests {
    use bevy::math::Vec2;

    use super::super::decode::CLEAR;
    use super::super::keypoints::{Estimate, Look};
    use super::super::track::ENDS;
    use super::super::track::tests::{box_at, person_at, sure_person_at};
    use super::*;
    use crate::looks::Likeness;
    use crate::skeleton::{Confidence, Joint, Pose2d};

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
        tracker.tidy(640, 480, time);
        shown(tracker)
    }

    fn box_at_score(x: f32, score: f32) -> ScoredBox {
        ScoredBox { score, ..box_at(x) }
    }

    /// Numbers of all who are followed, shown or not.
    fn followed(tracker: &Tracker) -> Vec<u32> {
        tracker.tracks().map(|track| track.id).collect()
    }

    /// Numbers and places of those who are shown.
    fn shown(tracker: &Tracker) -> Vec<(u32, f32)> {
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
    fn a_newcomer_whom_the_detector_is_unclear_about_is_shown_after_some_frames() {
        for (score, sure, first) in [(0.4, 0.99, 3), (0.4, 0.8, 9), (0.9, 0.7, 0)] {
            let mut tracker = Tracker::default();
            let found = box_at_score(100.0, score);
            let seen: Vec<bool> = (0..12)
                .map(|n| {
                    tracker.meet(&[found], 8);
                    for track in tracker.tracks_mut() {
                        track.observe(sure_person_at(100.0, sure), 0.1 * f64::from(n), true);
                    }
                    !shown(&tracker).is_empty()
                })
                .collect();
            let wanted: Vec<bool> = (0..12).map(|n| n >= first).collect();
            assert_eq!(seen, wanted, "{score}, {sure}");
        }
    }

    #[test]
    fn whoever_comes_in_clearly_keeps_their_number_though_joints_are_lost_for_a_moment() {
        for (score, shown_in) in [(0.9, 2), (0.4, 0)] {
            let mut tracker = Tracker::default();
            let found = box_at_score(100.0, score);
            let mut numbers = Vec::new();
            for (n, seen) in [true, false, true].into_iter().enumerate() {
                let places = if seen { &[100.0][..] } else { &[] };
                numbers.extend(frame(&mut tracker, &[found], places, 0.1 * n as f64));
            }
            assert_eq!(numbers, vec![(1, 105.0); shown_in], "{score}");
        }
        // A box in which joints were never found is nobody.
        let mut tracker = Tracker::default();
        frame(&mut tracker, &[box_at(100.0)], &[], 0.0);
        assert_eq!(tracker.tracks().count(), 0);
    }

    #[test]
    fn a_newcomer_who_was_lost_at_once_is_found_beside_where_they_were() {
        let lost_after = |frames: i32| {
            let mut tracker = Tracker::default();
            for n in 0..frames {
                let time = f64::from(n) / 30.0;
                frame(&mut tracker, &[box_at(100.0)], &[100.0], time);
            }
            frame(&mut tracker, &[], &[], f64::from(frames) / 30.0);
            tracker
        };
        let met = |frames: i32, boxes: &[ScoredBox]| {
            let mut tracker = lost_after(frames);
            tracker.meet(boxes, 8);
            let tracks = tracker.tracks();
            tracks.map(|track| (track.id, track.bounds)).collect()
        };
        let was: Vec<(u32, Rect)> = met(2, &[]);
        let (near, far) = (box_at(180.0), box_at(220.0));
        assert_eq!(met(2, &[near]), [(1, near.bounds)]);
        assert_eq!(met(2, &[far]), [was[0], (2, far.bounds)]);
        assert_eq!(met(20, &[near])[1], (2, near.bounds), "no newcomer");
        let own = box_at(100.0);
        assert_eq!(met(2, &[near, own]), [(1, own.bounds), (2, near.bounds)]);
        let giant = ScoredBox {
            bounds: Rect::from_center_size(near.bounds.center(), Vec2::splat(600.0)),
            ..near
        };
        assert_eq!(met(2, &[giant])[1], (2, giant.bounds));
        // The detector was clear about them before, and is not where they are now.
        let mut tracker = lost_after(2);
        let found = ScoredBox { score: 0.5, ..near };
        assert_eq!(frame(&mut tracker, &[found], &[180.0], 0.1), [(1, 185.0)]);
    }

    #[test]
    fn a_part_of_somebody_is_nobody_who_was_lost_beside_them() {
        let mut tracker = Tracker::default();
        frame(&mut tracker, &[box_at(100.0)], &[100.0], 0.0);
        let newcomer = [box_at(100.0), box_at(260.0)];
        frame(&mut tracker, &newcomer, &[100.0, 260.0], 0.03);
        frame(&mut tracker, &newcomer[..1], &[100.0], 0.06);
        tracker.tracks[0].bounds = Rect::new(85.0, 0.0, 225.0, 180.0);
        let places = |tracker: &Tracker| -> Vec<Rect> {
            let tracks = tracker.tracks();
            tracks.map(|track| track.bounds).collect()
        };
        let before = places(&tracker);
        assert_eq!(before.len(), 2);
        tracker.meet(&[box_at(190.0)], 8);
        assert_eq!(places(&tracker), before);
    }

    #[test]
    fn whoever_is_blurred_for_a_moment_is_somebody() {
        for (frames, stays) in [(12, true), (30, false)] {
            let mut tracker = Tracker::default();
            for n in 0..20 + frames {
                let is_blurred = n >= 20;
                let found = [box_at(100.0)];
                if tracker.wants_detection(5) {
                    tracker.meet(if is_blurred { &[] } else { &found }, 8);
                }
                let time = f64::from(n) / 60.0;
                for track in tracker.tracks_mut() {
                    let confidence = if is_blurred { 0.4 } else { 0.8 };
                    track.observe(sure_person_at(100.0, confidence), time, true);
                }
                tracker.tidy(640, 480, time);
            }
            assert_eq!(tracker.tracks().count() == 1, stays, "{frames}");
        }
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
    fn whoever_is_hidden_for_a_moment_keeps_their_number_at_any_rate_of_frames() {
        for (rate, hidden, same) in [(60, 20, true), (60, 30, false), (5, 3, true), (5, 5, false)] {
            let mut tracker = Tracker::default();
            let mut shown = |n: i32, there: bool| {
                let time = f64::from(n) / f64::from(rate);
                let (boxes, places) = (&[box_at(100.0)], &[100.0]);
                let seen = usize::from(there);
                frame(&mut tracker, &boxes[..seen], &places[..seen], time)
            };
            (0..5).for_each(|n| drop(shown(n, true)));
            (5..5 + hidden).for_each(|n| drop(shown(n, false)));
            let back = shown(5 + hidden, true);
            let number = if same { 1 } else { 2 };
            assert_eq!(
                back.first().map(|person| person.0),
                Some(number),
                "{hidden} at {rate}"
            );
        }
    }

    #[test]
    fn whoever_is_lost_when_a_clock_goes_back_is_not_waited_for_until_it_has_caught_up() {
        let mut tracker = Tracker::default();
        frame(&mut tracker, &[box_at(100.0)], &[100.0], 9.0);
        for n in 0..5 {
            frame(&mut tracker, &[], &[], f64::from(n) / 30.0);
        }
        assert_eq!(tracker.tracks().count(), 0);
    }

    #[test]
    fn a_box_that_shrank_to_the_upper_body_is_widened_by_the_detector() {
        let mut tracker = Tracker::default();
        frame(&mut tracker, &[box_at(100.0)], &[100.0], 0.0);
        tracker.tracks[0].bounds = Rect::new(90.0, 5.0, 120.0, 60.0);
        tracker.meet(&[box_at(100.0)], 8);
        let look = tracker.tracks[0].sought(0.1, None).look;
        assert_eq!(look, Look::around(box_at(100.0).bounds));
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
    fn a_body_that_both_networks_only_half_believe_in_is_nobody() {
        let unclear = |x| box_at_score(x, 0.5);
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
                tracker.tidy(640, 480, f64::from(n) / 6.0);
            }
            assert_eq!(shown(&tracker).len(), usize::from(stays), "{confidence}");
        }
    }

    /// Who is shown in each frame where the detector is always unclear about somebody, of whose joints the network is so sure.
    fn shown_while_unclear(confidences: impl Iterator<Item = f32>) -> Vec<Option<u32>> {
        let mut tracker = Tracker::default();
        let found = box_at_score(100.0, 0.5);
        let mut shown_in = |n: usize, confidence: f32| {
            if tracker.wants_detection(5) {
                tracker.meet(&[found], 8);
            }
            let time = n as f64 / 30.0;
            for track in tracker.tracks_mut() {
                track.observe(sure_person_at(100.0, confidence), time, true);
            }
            tracker.tidy(640, 480, time);
            shown(&tracker).first().map(|person| person.0)
        };
        confidences
            .enumerate()
            .map(|(n, sure)| shown_in(n, sure))
            .collect()
    }

    #[test]
    fn what_looks_like_somebody_now_and_then_is_soon_shown_no_more() {
        let now_and_then = (0..300).map(|n| if n % 18 < 14 { 0.8 } else { 0.4 });
        let shown = shown_while_unclear(now_and_then);
        let count = shown.iter().flatten().count();
        assert!((1..10).contains(&count), "{count}");
        assert!(shown[20..].iter().all(Option::is_none), "{shown:?}");
    }

    #[test]
    fn whoever_is_in_doubt_for_a_moment_where_it_is_dark_keeps_their_number() {
        let mostly = (0..300).map(|n| if n % 60 == 59 { 0.4 } else { 0.8 });
        let shown = shown_while_unclear(mostly);
        assert!(shown.iter().flatten().all(|id| *id == 1), "{shown:?}");
        let count = shown.iter().flatten().count();
        assert!(count > 280, "{count}");
    }

    #[test]
    fn whoever_is_clearly_there_has_the_place_of_what_may_be_nobody() {
        let unclear = box_at_score(100.0, 0.5);
        for (frames, then) in [(5, 405.0), (20, 105.0)] {
            let mut tracker = Tracker::default();
            for n in 0..frames {
                tracker.meet(
                    &[unclear, box_at(400.0)][..1 + usize::from(n + 1 == frames)],
                    1,
                );
                for track in tracker.tracks_mut() {
                    let x = track.bounds.center().x - 5.0;
                    track.observe(person_at(x), f64::from(n) / 30.0, true);
                }
            }
            let places: Vec<f32> = shown(&tracker).iter().map(|person| person.1).collect();
            assert_eq!(places, [then], "{frames}");
        }
        // Who is unclear has it of what was in doubt.
        let mut tracker = Tracker::default();
        for n in 0..3 {
            tracker.meet(&[unclear, box_at_score(400.0, 0.5)][..1 + n / 2], 1);
            for track in tracker.tracks_mut() {
                track.observe(sure_person_at(100.0, 0.4), n as f64 / 30.0, true);
            }
        }
        assert_eq!(followed(&tracker), [2]);
        // Nor is she a part of what is larger than she.
        let mut tracker = Tracker::default();
        let poster = ScoredBox {
            bounds: Rect::new(0.0, 0.0, 300.0, 300.0),
            ..unclear
        };
        tracker.meet(&[poster], 8);
        tracker.meet(&[poster, box_at(100.0)], 8);
        assert_eq!(tracker.tracks().count(), 2);
        // And where both are found to be one, or fewer are followed, it is she who stays.
        for track in tracker.tracks_mut() {
            track.observe(person_at(100.0), 0.0, true);
        }
        let mut fewer = tracker.clone();
        fewer.meet(&[], 1);
        tracker.tidy(640, 480, 0.0);
        for tracker in [tracker, fewer] {
            assert_eq!(followed(&tracker), [2]);
        }
    }

    #[test]
    fn who_is_clearly_there_is_rather_somebody_than_what_may_be_nobody() {
        for (score, met) in [(0.9, 2), (0.5, 1)] {
            let mut tracker = Tracker::default();
            tracker.meet(&[box_at_score(80.0, 0.5), box_at(100.0)], 8);
            assert_eq!(tracker.tracks().count(), 2);
            for track in tracker.tracks_mut() {
                let x = track.bounds.center().x - 5.0;
                track.observe(person_at(x), 0.0, true);
            }
            // Between both, and nearer to the first.
            let between = ScoredBox {
                bounds: Rect::new(72.0, 15.0, 105.0, 145.0),
                score,
            };
            tracker.meet(&[between], 8);
            let widened: Vec<u32> = tracker
                .tracks()
                .filter(|track| track.bounds.intersect(between.bounds).width() > 32.0)
                .map(|track| track.id)
                .collect();
            assert_eq!(widened, [met], "{score}");
        }
    }

    #[test]
    fn two_people_who_cross_keep_their_numbers_though_one_was_lost() {
        let mut tracker = Tracker::default();
        tracker.meet(&[box_at(100.0), box_at(200.0)], 8);
        for (track, x) in tracker.tracks_mut().zip([100.0, 200.0]) {
            track.observe(person_at(x), 0.0, true);
        }
        let bounds = |low: f32| Rect::new(low, 0.0, low + 150.0, 150.0);
        (tracker.tracks[0].bounds, tracker.tracks[1].bounds) = (bounds(100.0), bounds(15.0));
        let nobody = Estimate {
            presence: 0.0,
            ..person_at(15.0)
        };
        tracker.tracks[1].observe(nobody, 0.03, true);
        let found = [104.0, 185.0].map(|low| ScoredBox {
            bounds: bounds(low),
            score: 0.9,
        });
        tracker.meet(&found, 8);
        let first = tracker.tracks[0].bounds;
        assert!(first.contains(Vec2::new(104.0, 75.0)), "{first:?}");
        assert_ne!(tracker.tracks[1].bounds, found[0].bounds);
    }

    #[test]
    fn what_was_in_doubt_is_gone_once_the_detector_finds_it_no_more() {
        let mut tracker = Tracker::default();
        let unclear = box_at_score(100.0, 0.5);
        let mut then = |boxes: &[ScoredBox], time: f64| {
            tracker.meet(boxes, 8);
            for track in tracker.tracks_mut() {
                track.observe(sure_person_at(100.0, 0.4), time, true);
            }
            tracker.tidy(640, 480, time);
            tracker.tracks().count()
        };
        assert_eq!(
            [then(&[unclear], 0.0), then(&[unclear], 0.1), then(&[], 0.2)],
            [1, 1, 0]
        );
    }

    #[test]
    fn limbs_without_shoulders_that_the_detector_is_unclear_about_are_nobody() {
        let unclear = box_at_score(100.0, 0.5);
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
        tracker.tidy(640, 480, 0.0);
        assert_eq!(shown(&tracker), []);
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
            tracker.tidy(640, 480, 0.0);
            assert_eq!(tracker.tracks().count(), people, "{hip}");
        }
    }

    #[test]
    fn somebody_whose_sides_are_taken_for_one_another_is_one_person() {
        let mut tracker = Tracker::default();
        tracker.meet(&[box_at(100.0), box_at(200.0)], 8);
        for (track, is_turned) in tracker.tracks_mut().zip([false, true]) {
            let mut estimate = person_at(150.0);
            if is_turned {
                let seen = estimate.pose.clone();
                for &joint in Joint::ALL {
                    estimate.pose[joint] = seen[joint.mirror()];
                }
            }
            // Their sides are well apart.
            for joint in [Joint::LeftShoulder, Joint::LeftHip, Joint::LeftKnee] {
                let joint = if is_turned { joint.mirror() } else { joint };
                if let Some(point) = &mut estimate.pose[joint] {
                    point.position.x -= 60.0;
                }
            }
            track.observe(estimate, 0.0, true);
        }
        tracker.tidy(640, 480, 0.0);
        assert_eq!(tracker.tracks().count(), 1);
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
        assert_eq!(followed(&tracker), [1]);
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
    #[test]
    fn joints_on_the_wall_where_somebody_was_are_soon_nobodys() {
        // Frames that they go on, and how often the detector looks meanwhile.
        let go_on = |confidence: f32| {
            let mut tracker = Tracker::default();
            frame(&mut tracker, &[box_at(100.0)], &[100.0], 0.0);
            let (mut frames, mut looked) = (0, 0);
            while frames < 60 && tracker.tracks().next().is_some() {
                if tracker.wants_detection(5) {
                    looked += 1;
                    tracker.meet(&[], 8);
                }
                let time = f64::from(frames + 1) / 30.0;
                for track in tracker.tracks_mut() {
                    track.observe(sure_person_at(100.0, confidence), time, true);
                }
                tracker.tidy(640, 480, time);
                frames += 1;
            }
            (frames, looked)
        };
        let (frames, _) = go_on(0.4);
        assert!(frames < 10, "{frames}");
        assert_eq!(go_on(0.8), (60, 12));
    }
}
