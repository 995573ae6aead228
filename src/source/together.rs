//! Several clips of the same time, read side by side: their pictures of one moment go together.

use std::time::Duration;

use super::{CaptureEvent, Frame, Pace, SourceError, SourceSpec, capture};
use crate::worker::{Inbox, Received, WhenFull, Worker, mailbox};

/// Longest that a clip may take for its next picture.
const PATIENCE: Duration = Duration::from_secs(60);

/// Clips being read. They may differ in rate and length.
#[derive(Debug)]
pub struct Together {
    clips: Vec<Clip>,
}

#[derive(Debug)]
struct Clip {
    name: String,
    events: Inbox<CaptureEvent>,
    rate: f64,
    length: u64,
    head: Option<Frame>,
    cut_short: Option<SourceError>,
    /// Seconds that are added to its times.
    delay: f64,
    _reader: Worker,
}

/// The pictures of one moment.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Seconds of the clips' clocks.
    pub time: f64,
    /// Each clip's picture; `None` for one that has none at this moment.
    pub frames: Vec<Option<Frame>>,
}

impl Together {
    /// Opens clips and waits for their first pictures.
    ///
    /// # Errors
    /// [`SourceError`], of the first that cannot be opened.
    pub fn open(specs: &[SourceSpec]) -> Result<Together, SourceError> {
        let clips = specs.iter().map(Clip::open).collect::<Result<_, _>>()?;
        Ok(Together { clips })
    }

    /// Names of the clips.
    pub fn names(&self) -> Vec<&str> {
        self.clips.iter().map(|clip| clip.name.as_str()).collect()
    }

    /// How many moments there will be, about.
    pub fn length(&self) -> u64 {
        self.clips.iter().map(|clip| clip.length).max().unwrap_or(0)
    }

    /// Pictures a second, of the fastest.
    pub fn rate(&self) -> f64 {
        self.clips.iter().map(|clip| clip.rate).fold(1.0, f64::max)
    }

    /// Width and height of each clip's pictures, before the first moment is taken.
    pub fn sizes(&self) -> Vec<(u32, u32)> {
        let size = |clip: &Clip| {
            clip.head
                .as_ref()
                .map_or((0, 0), |head| head.image.dimensions())
        };
        self.clips.iter().map(size).collect()
    }

    /// Adds seconds to the times of a clip, by its place among the clips, so that they are of the same clock as the others', as
    /// [`sync`](crate::calibrate::sync) tells. Say so before the first moment is taken.
    pub fn delay(&mut self, clip: usize, seconds: f64) {
        let clip = &mut self.clips[clip];
        clip.delay += seconds;
        if let Some(head) = &mut clip.head {
            head.time += seconds;
        }
    }

    /// The pictures of the next moment: the earliest that waits, and those within half a frame, of the faster of the two clips,
    /// of one that is in it. `None` at the end of all clips.
    ///
    /// # Errors
    /// [`SourceError`] of a clip that cannot be read on.
    pub fn next_moment(&mut self) -> Result<Option<Moment>, SourceError> {
        let heads = self.clips.iter().enumerate();
        let heads = heads.filter_map(|(n, clip)| Some((clip.head.as_ref()?.time, n)));
        let mut heads: Vec<(f64, usize)> = heads.collect();
        heads.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some(&(time, first)) = heads.first() else {
            return Ok(None);
        };
        let mut members = vec![(time, first)];
        for &(at, clip) in &heads[1..] {
            let is_near = |&(time, member): &(f64, usize)| {
                let rate = self.clips[clip].rate.max(self.clips[member].rate);
                at - time < 0.5 / rate
            };
            // Several that are each a little later than the one before are not of one moment.
            let slowest = self.clips[clip].rate.min(self.clips[first].rate);
            let is_now = at - time < 0.5 / slowest;
            if is_now && members.iter().any(is_near) {
                members.push((at, clip));
            }
        }
        let mut frames: Vec<Option<Frame>> = vec![None; self.clips.len()];
        for (_, clip) in members {
            frames[clip] = self.clips[clip].head.take();
            self.clips[clip].advance()?;
        }
        Ok(Some(Moment { time, frames }))
    }

    /// After the last moment: clips that ended before they should have, and why.
    pub fn cut_short(&self) -> impl Iterator<Item = &SourceError> {
        self.clips.iter().filter_map(|clip| clip.cut_short.as_ref())
    }
}

impl Clip {
    fn open(spec: &SourceSpec) -> Result<Clip, SourceError> {
        let (outbox, events) = mailbox(2, WhenFull::Wait);
        let (name, spec) = (spec.name(), spec.clone());
        let reader = Worker::spawn("pose capture: source", move |stop| {
            capture(&spec, Pace::AsFastAsPossible, &outbox, stop);
        });
        let reader = reader.map_err(|error| SourceError::Unreadable {
            path: name.clone().into(),
            wanted: "a clip",
            error: format!("no thread for it: {error}"),
        })?;
        let mut clip = Clip {
            name,
            events,
            rate: 30.0,
            length: 0,
            head: None,
            cut_short: None,
            delay: 0.0,
            _reader: reader,
        };
        clip.advance()?;
        Ok(clip)
    }

    /// Reads on to the next picture.
    fn advance(&mut self) -> Result<(), SourceError> {
        loop {
            match self.events.receive(PATIENCE) {
                Received::Item(CaptureEvent::Frame(mut frame)) => {
                    frame.time += self.delay;
                    self.head = Some(frame);
                    return Ok(());
                }
                Received::Item(CaptureEvent::Opened { rate, length }) => {
                    self.rate = rate.unwrap_or(30.0);
                    self.length = length.unwrap_or(0);
                }
                Received::Item(CaptureEvent::Ended(cut_short)) => {
                    self.cut_short = cut_short;
                    return Ok(());
                }
                Received::Item(CaptureEvent::Failed(error) | CaptureEvent::Lost(error)) => {
                    return Err(error);
                }
                Received::Empty | Received::Closed => {
                    return Err(SourceError::Unreadable {
                        path: self.name.clone().into(),
                        wanted: "a clip",
                        error: "it stopped giving pictures".into(),
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::Script;
    use super::*;

    fn script(frames: u64, rate: f64) -> SourceSpec {
        SourceSpec::Scripted(Script {
            frames,
            rate,
            live: false,
            ..Script::default()
        })
    }

    #[test]
    fn clips_of_other_rates_and_lengths_go_together_by_time() -> Result<(), SourceError> {
        let mut clips = Together::open(&[script(6, 30.0), script(2, 15.0)])?;
        assert_eq!((clips.length(), clips.rate()), (0, 30.0));
        assert_eq!(clips.sizes(), [(64, 48); 2]);
        let mut there = Vec::new();
        while let Some(moment) = clips.next_moment()? {
            there.push(
                moment
                    .frames
                    .iter()
                    .map(Option::is_some)
                    .collect::<Vec<_>>(),
            );
        }
        let (both, one) = (vec![true, true], vec![true, false]);
        assert_eq!(
            there,
            [
                both.clone(),
                one.clone(),
                both,
                one.clone(),
                one.clone(),
                one
            ]
        );
        Ok(())
    }

    #[test]
    fn a_clip_that_began_late_goes_with_what_was_taken_when_it_was() -> Result<(), SourceError> {
        let mut clips = Together::open(&[script(9, 30.0), script(6, 30.0)])?;
        clips.delay(1, 0.1);
        let mut pairs = Vec::new();
        while let Some(moment) = clips.next_moment()? {
            let number = |frame: &Option<Frame>| frame.as_ref().map(|frame| frame.number);
            pairs.push((number(&moment.frames[0]), number(&moment.frames[1])));
        }
        assert_eq!(pairs[2], (Some(2), None));
        assert_eq!(
            pairs[3..],
            [3, 4, 5, 6, 7, 8].map(|n| (Some(n), Some(n - 3)))
        );
        Ok(())
    }

    #[test]
    fn a_fast_clip_does_not_part_two_slow_ones() -> Result<(), SourceError> {
        // 120 a second, and two of nearly 30: 29 is 6 ms off by its sixth picture.
        let mut clips = Together::open(&[script(24, 120.0), script(6, 30.0), script(6, 29.0)])?;
        let mut both = 0;
        while let Some(moment) = clips.next_moment()? {
            both += usize::from(moment.frames[1].is_some() && moment.frames[2].is_some());
        }
        assert_eq!(both, 6);
        Ok(())
    }

    #[test]
    fn a_clip_that_is_missing_is_named() {
        let missing = SourceSpec::Images {
            folder: "no/such/folder".into(),
            rate: 30.0,
        };
        let error = Together::open(&[script(3, 30.0), missing]).err();
        assert!(error.is_some_and(|error| error.to_string().contains("no/such/folder")));
    }
}
