//! What several cameras see, sorted into moments: pictures of one time go together.
//!
//! Webcams tell no common time, so their pictures are of the moment at which they arrive, however late they are taken in;
//! whoever keeps the others waiting for longer than cameras take for a picture is left out. Clips have clocks: their pictures go together by those, however fast each
//! is read, at the pace of the slowest, and all clips begin anew together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CameraState, CameraStatus};
use crate::pipeline::Capture;

/// What the cameras of a room saw at one time.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// Seconds of the room's clock, which never goes back.
    pub time: f64,
    /// Another number whenever the cameras or the clips begin anew: people come from nowhere then.
    pub epoch: u64,
    /// When the newest of the pictures arrived.
    pub captured_at: Instant,
    /// Places in the list of cameras, and what they saw; each at most once.
    pub seen: Vec<(usize, Arc<Capture>)>,
}

/// Where a camera is in its life, as far as others wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Its first picture is still to come.
    Starting,
    /// It gives pictures.
    Running,
    /// It gives none any more.
    Gone,
}

impl Presence {
    /// As a camera's status says; one without hands in what it captured itself.
    pub fn of(status: Option<&CameraStatus>) -> Presence {
        match status.map(|status| &status.state) {
            Some(CameraState::Starting) => Presence::Starting,
            Some(CameraState::Running) | None => Presence::Running,
            Some(CameraState::Lost(_) | CameraState::Failed(_) | CameraState::Ended) => {
                Presence::Gone
            }
        }
    }
}

/// Sorts what cameras see into moments.
#[derive(Debug)]
pub(super) struct Moments {
    views: Vec<Waiting>,
    /// Whether any of the cameras is a live one.
    live: bool,
    /// When the room's clock was at `offset`, of live cameras.
    began: Option<Instant>,
    /// Added to the clips' own clocks, and to the time since `began`; none before the first moment of these cameras.
    offset: Option<f64>,
    epoch: u64,
    /// How often the clips began anew.
    round: u64,
    last: Option<f64>,
}

/// What waits of one camera.
#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Held>,
    round: u64,
    /// The source's epoch and time, and when it came, of the last.
    last: Option<(u64, f64, Instant)>,
    /// Seconds between its pictures.
    period: f64,
}

/// What waits to become part of a moment.
#[derive(Debug)]
struct Held {
    /// How often the source had begun anew.
    round: u64,
    /// What it saw.
    capture: Arc<Capture>,
    /// When that came.
    came: Instant,
}

/// Seconds from the last moment of other cameras to the first of these.
const STEP: f64 = 0.03;
/// So much of a live camera is held, for a game that loads a level: half a minute.
const MOST: usize = 900;
/// So many pictures of a clip may wait for the other clips.
const ENOUGH: usize = 3;
/// The least time for which one camera may keep the others waiting.
const PATIENCE: Duration = Duration::from_millis(60);
/// A camera without a picture for so long is not waited for: a live one, and a clip.
const MISSED: Duration = Duration::from_secs(1);
const STUCK: Duration = Duration::from_secs(5);

impl Moments {
    /// Of no cameras.
    pub fn new() -> Self {
        Moments {
            views: Vec::new(),
            live: true,
            began: None,
            offset: None,
            epoch: 0,
            round: 0,
            last: None,
        }
    }

    /// Goes on with other cameras. The clock goes on: that of live cameras by itself, that of clips, wherever in their files they
    /// are, from where it was.
    pub fn start_anew(&mut self, count: usize, live: bool) {
        let stays_live = self.live && live;
        *self = Moments {
            views: (0..count).map(|_| Waiting::default()).collect(),
            live,
            began: self.began.filter(|_| stays_live),
            offset: self.offset.filter(|_| stays_live),
            epoch: self.epoch + 1,
            last: self.last,
            ..Moments::new()
        };
    }

    /// Whether something of a camera waits.
    pub fn waits(&self, view: usize) -> bool {
        self.views
            .get(view)
            .is_some_and(|view| !view.queue.is_empty())
    }

    /// How many pictures wait of the camera of which the most do.
    pub fn backlog(&self) -> usize {
        self.views
            .iter()
            .map(|view| view.queue.len())
            .max()
            .unwrap_or(0)
    }

    /// Drops all that waits.
    pub fn forget(&mut self) {
        self.views.iter_mut().for_each(|view| view.queue.clear());
    }

    /// Whether a camera is so far ahead of the others that no more of it should be read.
    pub fn has_enough_of(&self, view: usize) -> bool {
        !self.live
            && self
                .views
                .get(view)
                .is_some_and(|view| view.queue.len() >= ENOUGH)
    }

    /// Takes what a camera saw.
    pub fn push(&mut self, view: usize, capture: Arc<Capture>, now: Instant) {
        let waiting = &mut self.views[view];
        let (epoch, time) = (capture.frame.epoch, capture.frame.time);
        match waiting.last {
            Some((before, at, _)) if before == epoch && time > at => {
                let period = (time - at).min(1.0);
                let rate = if waiting.period == 0.0 { 1.0 } else { 0.2 };
                waiting.period += (period - waiting.period) * rate;
            }
            Some((before, ..)) if before != epoch => waiting.round += 1,
            _ => {}
        }
        waiting.last = Some((epoch, time, now));
        if self.live && waiting.queue.len() >= MOST {
            waiting.queue.pop_front();
        }
        waiting.queue.push_back(Held {
            round: waiting.round,
            capture,
            came: now,
        });
    }

    /// The next moment, where it is whole or waited for long enough. `presence` says of each camera where it is in its life.
    pub fn next(&mut self, now: Instant, presence: impl Fn(usize) -> Presence) -> Option<Moment> {
        if self.live {
            self.next_live(now, presence)
        } else {
            self.next_of_clips(now, presence)
        }
    }

    fn next_live(&mut self, now: Instant, presence: impl Fn(usize) -> Presence) -> Option<Moment> {
        let slowest = self
            .views
            .iter()
            .map(|view| view.period)
            .fold(0.0, f64::max);
        let patience = PATIENCE.max(Duration::from_secs_f64(1.5 * slowest));
        let is_waited_for = |n: &usize| {
            let last = self.views[*n].last;
            presence(*n) == Presence::Running
                && last.is_some_and(|(_, _, at)| now.duration_since(at) < MISSED.max(patience))
        };
        let whole = (0..self.views.len())
            .filter(is_waited_for)
            .all(|n| !self.views[n].queue.is_empty());
        let heads = || self.views.iter().filter_map(|view| view.queue.front());
        let waited = now.duration_since(heads().map(|head| head.came).min()?);
        if !whole && waited < patience {
            return None;
        }
        // Cameras that go on are at the pace of the slowest; where one is not waited for any more, the oldest goes first.
        let times = heads().map(|head| head.capture.frame.captured_at);
        let target = if whole { times.max() } else { times.min() }?;
        let off = |held: &Held| {
            let at = held.capture.frame.captured_at;
            at.max(target).duration_since(at.min(target))
        };
        let mut seen: Vec<(usize, Arc<Capture>)> = Vec::new();
        for (n, view) in self.views.iter_mut().enumerate() {
            while let (Some(head), Some(second)) = (view.queue.front(), view.queue.get(1))
                && off(second) <= off(head)
            {
                view.queue.pop_front();
            }
            let near = view.queue.front().is_some_and(|head| off(head) <= patience);
            let early = view
                .queue
                .front()
                .is_some_and(|head| head.capture.frame.captured_at > target);
            if near || !early {
                // What is further back than that has missed its moment.
                let head = view.queue.pop_front();
                seen.extend(head.filter(|_| near).map(|head| (n, head.capture)));
            }
        }
        let newest = seen.iter().map(|(_, seen)| seen.frame.captured_at).max()?;
        let began = *self.began.get_or_insert(newest);
        let start = || self.last.map_or(0.0, |last| last + STEP);
        let offset = *self.offset.get_or_insert_with(start);
        let time = offset + newest.saturating_duration_since(began).as_secs_f64();
        // A camera that was late shows what the others have shown already.
        if self.last.is_some_and(|last| time <= last) {
            return None;
        }
        self.last = Some(time);
        Some(Moment {
            time,
            epoch: self.epoch,
            captured_at: newest,
            seen,
        })
    }

    fn next_of_clips(
        &mut self,
        now: Instant,
        presence: impl Fn(usize) -> Presence,
    ) -> Option<Moment> {
        let may_come = |n: usize, view: &Waiting| match presence(n) {
            Presence::Gone => false,
            Presence::Starting => true,
            Presence::Running => view
                .last
                .is_none_or(|(_, _, at)| now.duration_since(at) < STUCK),
        };
        let waits = |(n, view): (usize, &Waiting)| view.queue.is_empty() && may_come(n, view);
        if self.views.iter().enumerate().any(waits) {
            return None;
        }
        let heads = || self.views.iter().filter_map(|view| view.queue.front());
        let round = heads().map(|head| head.round).min()?;
        let here = heads().filter(|head| head.round == round);
        // The pace is that of the slowest.
        let target = here.map(|head| head.capture.frame.time).reduce(f64::max)?;
        let off = |held: &Held| (held.capture.frame.time - target).abs();
        for (n, view) in self.views.iter_mut().enumerate() {
            while let Some(head) = view.queue.front()
                && head.round == round
                && head.capture.frame.time < target
            {
                match view.queue.get(1) {
                    Some(second) if second.round == round && off(second) <= off(head) => {
                        view.queue.pop_front();
                    }
                    None if may_come(n, view) => return None,
                    _ => break,
                }
            }
        }
        let slowest = self
            .views
            .iter()
            .map(|view| view.period)
            .fold(0.02, f64::max);
        let mut seen = Vec::new();
        for (n, view) in self.views.iter_mut().enumerate() {
            if view.queue.front().is_none_or(|head| head.round != round) {
                continue;
            }
            if let Some(head) = view.queue.pop_front()
                && off(&head) <= 0.51 * slowest
            {
                seen.push((n, head.capture));
            }
        }
        let captured_at = seen.iter().map(|(_, seen)| seen.frame.captured_at).max()?;
        if round != self.round {
            self.round = round;
            self.epoch += 1;
            self.offset = self.last.map(|last| last + slowest);
        }
        // Other cameras may come while the clips are anywhere in their files.
        let start = || self.last.map_or(0.0, |last| last + slowest - target);
        let time = *self.offset.get_or_insert_with(start) + target;
        self.last = Some(time);
        Some(Moment {
            time,
            epoch: self.epoch,
            captured_at,
            seen,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::{Intrinsics, LensSource};
    use crate::pipeline::StageTimes;
    use crate::source::Frame;

    fn seen(epoch: u64, time: f64, captured_at: Instant) -> Arc<Capture> {
        Arc::new(Capture {
            frame: Frame {
                epoch,
                number: 0,
                time,
                captured_at,
                decoding: Duration::ZERO,
                image: Arc::default(),
            },
            people: Vec::new(),
            camera: Intrinsics::assumed(64, 48),
            lens: LensSource::Assumed,
            up: None,
            times: StageTimes::default(),
        })
    }

    fn running(_: usize) -> Presence {
        Presence::Running
    }

    /// A room's time and, of each view in the moment, the time of its picture.
    type Told = (f64, Vec<(usize, f64)>);

    fn told(moment: &Moment) -> Told {
        let seen = moment.seen.iter();
        (
            moment.time,
            seen.map(|(view, seen)| (*view, seen.frame.time)).collect(),
        )
    }

    #[test]
    fn clips_go_together_by_their_clocks_however_fast_each_is_read_and_begin_anew_together() {
        let mut moments = Moments::new();
        moments.start_anew(2, false);
        let now = Instant::now();
        // One at 10 and one at 20 pictures a second, of 1 s and of 1.2 s, three times over; each pushed as far as it may be.
        let clip = |rate: u32, count: u32| {
            (0..3_u64).flat_map(move |epoch| {
                (0..count).map(move |n| (epoch, f64::from(n) / f64::from(rate)))
            })
        };
        let mut sources: [Vec<(u64, f64)>; 2] = [clip(10, 10).collect(), clip(20, 24).collect()];
        sources.iter_mut().for_each(|source| source.reverse());
        let mut all = Vec::new();
        for turn in 0.. {
            assert!(turn < 1000, "stands still after {} moments", all.len());
            for (view, source) in sources.iter_mut().enumerate() {
                while !moments.has_enough_of(view)
                    && let Some((epoch, time)) = source.pop()
                {
                    moments.push(view, seen(epoch, time, now), now);
                }
            }
            let ended: Vec<bool> = sources.iter().map(Vec::is_empty).collect();
            let presence = |n: usize| {
                if ended[n] {
                    Presence::Gone
                } else {
                    Presence::Running
                }
            };
            match moments.next(now, presence) {
                Some(moment) => all.push(moment),
                None if ended == [true, true] => break,
                None => {}
            }
        }
        let both = all.iter().filter(|moment| moment.seen.len() == 2);
        assert_eq!(
            both.clone().count(),
            30,
            "ten moments in each of three rounds"
        );
        for moment in both {
            let (_, seen) = told(moment);
            assert!((seen[0].1 - seen[1].1).abs() < 0.026, "{seen:?}");
        }
        assert!(all.windows(2).all(|pair| pair[1].time > pair[0].time));
        let mut epochs: Vec<u64> = all.iter().map(|moment| moment.epoch).collect();
        epochs.dedup();
        assert_eq!(epochs.len(), 3, "one epoch a round: {epochs:?}");
    }

    #[test]
    fn a_camera_that_is_gone_costs_the_others_no_time_and_its_return_begins_nothing_anew() {
        let mut moments = Moments::new();
        moments.start_anew(3, true);
        let start = Instant::now();
        let at = |n: u64| start + Duration::from_millis(33 * n);
        let mut count = 0;
        let mut epochs = Vec::new();
        for n in 0..90 {
            let is_gone = (30..60).contains(&n);
            for view in 0..3 {
                if view < 2 || !is_gone {
                    let epoch = if view == 2 && n >= 60 { 9 } else { view as u64 };
                    moments.push(view, seen(epoch, n as f64 / 30.0, at(n)), at(n));
                }
            }
            let presence = |view: usize| match view {
                2 if is_gone => Presence::Gone,
                _ => Presence::Running,
            };
            if let Some(moment) = moments.next(at(n), presence) {
                count += 1;
                epochs.push(moment.epoch);
                assert_eq!(moment.seen.len(), if is_gone { 2 } else { 3 });
            }
        }
        assert_eq!(count, 90, "a moment with every picture");
        epochs.dedup();
        assert_eq!(epochs.len(), 1);
    }

    #[test]
    fn slow_cameras_that_take_turns_are_in_one_moment() {
        let mut moments = Moments::new();
        moments.start_anew(2, true);
        let start = Instant::now();
        let (mut both, mut alone) = (0, 0);
        // Each every 150 ms, half a period apart; the main thread looks every 5 ms.
        for tick in 0..600_u64 {
            let now = start + Duration::from_millis(5 * tick);
            for view in 0..2 {
                if (tick + 15 * view) % 30 == 0 {
                    let time = tick as f64 * 0.005;
                    moments.push(view as usize, seen(view, time, now), now);
                }
            }
            match moments.next(now, running).map(|moment| moment.seen.len()) {
                Some(2) => both += 1,
                Some(_) => alone += 1,
                None => {}
            }
        }
        assert!(both >= 17 && alone <= 2, "{both} of 20, {alone} alone");
    }

    #[test]
    fn a_game_that_stands_still_for_a_while_loses_no_moment() {
        let mut moments = Moments::new();
        moments.start_anew(2, true);
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        // Three seconds of two cameras, 10 ms apart, are taken in at once.
        let now = at(3000);
        for view in 0..2_u64 {
            for n in 0..90 {
                let captured_at = at(33 * n + 10 * view);
                moments.push(view as usize, seen(view, n as f64 / 30.0, captured_at), now);
            }
        }
        let all: Vec<Moment> = std::iter::from_fn(|| moments.next(now, running)).collect();
        assert_eq!(all.len(), 90);
        for (n, moment) in all.iter().enumerate() {
            let (time, seen) = told(moment);
            let wanted = n as f64 / 30.0;
            assert_eq!(seen, [(0, wanted), (1, wanted)]);
            assert!((time - 0.033 * n as f64).abs() < 1e-6, "{time} at {n}");
        }
    }

    /// The next moment after both clips, or cameras, have shown two pictures from `from` on.
    fn two_more(moments: &mut Moments, from: f64, now: Instant) -> Option<(Moment, Moment)> {
        for view in 0..2 {
            for n in 0..2 {
                let later = 0.04 * f64::from(n);
                let captured_at = now + Duration::from_secs_f64(later);
                moments.push(view, seen(7, from + later, captured_at), captured_at);
            }
        }
        let later = now + Duration::from_millis(40);
        let first = moments.next(later, running)?;
        Some((first, moments.next(later, |_| Presence::Gone)?))
    }

    #[test]
    fn other_cameras_go_on_with_the_clock_in_another_epoch() {
        let mut moments = Moments::new();
        let now = Instant::now();
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        moments.start_anew(2, false);
        let clips = two_more(&mut moments, 0.0, at(0)).map(|(a, b)| (a.time, b.time, a.epoch));
        assert_eq!(clips, Some((0.0, 0.04, 1)));
        // A camera is put right in the middle of the files: the clock makes one step, whatever the files' own say.
        moments.start_anew(2, false);
        let Some((first, second)) = two_more(&mut moments, 100.0, at(1)) else {
            panic!("clips that go on are not heard")
        };
        assert!((0.05..0.12).contains(&first.time), "{}", first.time);
        assert!((second.time - first.time - 0.04).abs() < 1e-6);
        assert_eq!((first.epoch, second.epoch), (2, 2));
        // Webcams come in place of the clips, ten minutes later, and are heard at once.
        moments.start_anew(2, true);
        let Some((third, fourth)) = two_more(&mut moments, 0.0, at(600)) else {
            panic!("webcams after clips are not heard")
        };
        assert!(
            (0.0..0.1).contains(&(third.time - second.time)),
            "{}",
            third.time
        );
        assert!((fourth.time - third.time - 0.04).abs() < 1e-3);
        // Among webcams the clock is that on the wall.
        moments.start_anew(2, true);
        let fifth = two_more(&mut moments, 0.0, at(602)).map(|(fifth, _)| fifth.time - third.time);
        assert!(
            fifth.is_some_and(|fifth| (fifth - 2.0).abs() < 1e-3),
            "{fifth:?}"
        );
    }
}
