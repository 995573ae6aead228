//! The way of the frames of a clip: each in the light of those after it.

use std::collections::VecDeque;

use super::{Capture, Known, Pipeline, PipelineSettings, Space};
use crate::detect::Found;
use crate::detect::hindsight::Hindsight;
use crate::inference::ModelError;
use crate::refine::steady::{Steady, reach};
use crate::source::Frame;

/// One view of a clip: a [`Pipeline`] that sees frames in the light of those after them, where its keypoint network can, and makes people steady
/// by what comes before and after (see [`steady`](crate::refine::steady)). What it gives comes up to 35 frames late, and 0.3 s as people are
/// smoothed by default, up to 1 s where they are more; so many pictures are kept.
pub struct ClipPipeline {
    hindsight: Hindsight<(Frame, Known)>,
    space: Space,
    steady: Steady,
    settings: PipelineSettings,
    /// Frames whose people are found, and not in space yet;
    found: VecDeque<((Frame, Known), Found)>,
    /// in space, and not steady yet;
    waiting: VecDeque<Capture>,
    /// and those that may be given.
    ready: Vec<Capture>,
    /// Of the last frame that came in,
    epoch: u64,
    /// and of the last one that was put into space.
    placed: u64,
}

impl From<Pipeline> for ClipPipeline {
    fn from(pipeline: Pipeline) -> ClipPipeline {
        ClipPipeline {
            hindsight: Hindsight::new(pipeline.detector),
            space: pipeline.space,
            steady: Steady::default(),
            settings: pipeline.settings,
            found: VecDeque::new(),
            waiting: VecDeque::new(),
            ready: Vec::new(),
            epoch: pipeline.epoch,
            placed: pipeline.epoch,
        }
    }
}

impl ClipPipeline {
    /// Takes in the next frame of the clip, and gives what is known of frames by now that were not given before, oldest first.
    ///
    /// # Errors
    /// [`ModelError::Run`] when a network fails: the frame that it failed in is left out, the others are given next time.
    pub fn process(&mut self, frame: Frame) -> Result<Vec<Capture>, ModelError> {
        if frame.epoch != self.epoch {
            self.epoch = frame.epoch;
            self.found.extend(self.hindsight.finish());
            self.hindsight.reset();
        }
        let (image, time) = (frame.image.clone(), frame.time);
        let known = self.space.look(&frame, &self.settings);
        self.hindsight.hold(known.held());
        let found = self.hindsight.detect((frame, known), image, time)?;
        self.found.extend(found);
        self.place()?;
        Ok(std::mem::take(&mut self.ready))
    }

    /// What is known of the last frames, when the clip has ended.
    ///
    /// # Errors
    /// [`ModelError::Run`] when the lifter fails: the frame that it failed in is left out, the others are given if this is called again.
    pub fn finish(&mut self) -> Result<Vec<Capture>, ModelError> {
        self.found.extend(self.hindsight.finish());
        self.place()?;
        self.steady_all();
        Ok(std::mem::take(&mut self.ready))
    }

    /// Puts the people of frames into space, and makes those steady around whom enough is known.
    fn place(&mut self) -> Result<(), ModelError> {
        while let Some(((frame, known), found)) = self.found.pop_front() {
            if frame.epoch != self.placed {
                self.placed = frame.epoch;
                self.steady_all();
                self.space.people.clear();
            }
            let capture = self.space.place(frame, known, found)?;
            self.wait_with(capture);
        }
        Ok(())
    }

    /// Takes in the people of a frame, as they were lifted.
    fn wait_with(&mut self, capture: Capture) {
        let time = capture.frame.time;
        for person in &capture.people {
            if let Some(lifted) = &person.lifted {
                let (id, camera) = (person.seen.id, capture.camera);
                self.steady.see(id, time, camera, lifted);
            }
        }
        self.waiting.push_back(capture);
        self.steady_until(time);
    }

    /// Makes frames steady whose neighbours until `time`, in seconds, are all there will be.
    fn steady_until(&mut self, time: f64) {
        let how = &self.settings.smooth;
        // What is of another time than it should be waits for nothing.
        let is_due = |capture: &Capture| {
            let own = capture.frame.time;
            !(own + reach(how) > time && own <= time)
        };
        while let Some(mut capture) = self.waiting.pop_front_if(|capture| is_due(capture)) {
            let now = capture.frame.time;
            for person in &mut capture.people {
                if let Some(lifted) = &mut person.lifted {
                    let (id, camera) = (person.seen.id, &capture.camera);
                    self.steady.steady(id, now, camera, lifted, how);
                }
            }
            self.ready.push(capture);
        }
        let times = self.waiting.iter().map(|capture| capture.frame.time);
        let first = times.fold(time, f64::min);
        if first.is_finite() {
            self.steady.forget_before(first);
        }
    }

    fn steady_all(&mut self) {
        self.steady_until(f64::INFINITY);
        self.steady = Steady::default();
    }
}

#[cfg(all(test, feature = "embedded-models"))]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use bevy::math::{Rect, Vec3};

    use super::super::{Person, StageTimes};
    use super::*;
    use crate::camera::{Intrinsics, LensSource};
    use crate::detect::Person2d;
    use crate::inference::{Engine, Models};
    use crate::lift::lifter::Lifted;
    use crate::skeleton::{Pose2d, Pose3d};

    fn pipeline() -> Result<ClipPipeline, ModelError> {
        let (engine, settings) = (Engine::rten("a test"), PipelineSettings::default());
        let pipeline = Pipeline::new(&Models::embedded(), &engine, 1, None, settings)?;
        Ok(ClipPipeline::from(pipeline))
    }

    /// The n-th frame of thirty a second.
    fn frame(epoch: u64, number: u64) -> Frame {
        Frame {
            epoch,
            number,
            time: number as f64 / 30.0,
            captured_at: Instant::now(),
            decoding: Duration::ZERO,
            image: Arc::new(image::RgbImage::new(64, 48)),
        }
    }

    /// Somebody whose hips are there.
    fn capture(number: u64, x: f32) -> Capture {
        Capture {
            frame: frame(0, number),
            people: vec![Person {
                seen: Person2d {
                    id: 1,
                    bounds: Rect::default(),
                    pose: Pose2d::default(),
                    looks: None,
                },
                lifted: Some(Lifted {
                    pose: Pose3d::default(),
                    root: Vec3::new(x, 0.0, 3.0),
                }),
            }],
            camera: Intrinsics::assumed(64, 48),
            lens: LensSource::Assumed,
            up: None,
            times: StageTimes::default(),
        }
    }

    fn wobble(n: u64) -> f32 {
        if n.is_multiple_of(2) { 0.05 } else { -0.05 }
    }

    fn hips(capture: &Capture) -> f32 {
        let lifted = capture.people[0].lifted.as_ref();
        lifted.map_or(f32::NAN, |lifted| lifted.root.x)
    }

    #[test]
    fn people_are_steady_when_they_are_given_and_not_given_before() -> Result<(), ModelError> {
        let mut pipeline = pipeline()?;
        for n in 0..60 {
            pipeline.wait_with(capture(n, wobble(n)));
        }
        // Nine frames are 0.3 s.
        assert!((50..=51).contains(&pipeline.ready.len()));
        let given = pipeline.finish()?;
        assert_eq!(given.len(), 60);
        for capture in &given[5..55] {
            assert!(hips(capture).abs() < 0.015, "{}", hips(capture));
        }
        assert!(pipeline.finish()?.is_empty());
        Ok(())
    }

    #[test]
    fn whatever_time_a_frame_says_it_is_of_no_other_waits_for_it_for_ever() -> Result<(), ModelError>
    {
        let mut pipeline = pipeline()?;
        for n in [1000, 0, 1, 2, 3] {
            pipeline.wait_with(capture(n, wobble(n)));
        }
        let mut odd = capture(4, 0.0);
        odd.frame.time = f64::NAN;
        pipeline.wait_with(odd);
        for n in 5..40 {
            pipeline.wait_with(capture(n, wobble(n)));
        }
        assert!(pipeline.waiting.len() < 12, "{}", pipeline.waiting.len());
        let given = pipeline.finish()?;
        assert_eq!(given.len(), 41);
        // Nor do those around it forget where people were.
        for capture in given
            .iter()
            .filter(|capture| (5..34).contains(&capture.frame.number))
        {
            assert!(
                hips(capture).abs() < 0.02,
                "{} {}",
                capture.frame.number,
                hips(capture)
            );
        }
        Ok(())
    }

    #[test]
    fn frames_of_a_clip_are_given_once_in_their_order_and_of_another_epoch_after_those_before()
    -> Result<(), ModelError> {
        let mut pipeline = pipeline()?;
        let mut given = Vec::new();
        for (epoch, count) in [(1, 40), (2, 3)] {
            for number in 0..count {
                given.extend(pipeline.process(frame(epoch, number))?);
            }
        }
        given.extend(pipeline.finish()?);
        let given = given
            .iter()
            .map(|capture| (capture.frame.epoch, capture.frame.number));
        let wanted = (0..40).map(|number| (1, number));
        assert!(given.eq(wanted.chain((0..3).map(|number| (2, number)))));
        Ok(())
    }
}
