//! Clips, whose frames are seen in the light of those after them as well.
//!
//! A keypoint network whose card names an input for what is known of `later` frames (see
//! [`StateCard`](crate::inference::StateCard)) is shown people live, which tells where they are in each frame; backwards from some frames
//! further on; and forwards, with what it knew of each frame on the way back (Y. Li's thesis, section 2.5: bidirectional temporal
//! consistency exploration). Whom it did not see live it does not look for again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bevy::log::warn_once;
use image::RgbImage;

use super::crop::Region;
use super::decode::ScoredBox;
use super::keypoints::{Look, Memory, Sought};
use super::track::{FORGOTTEN, Track};
use super::upright::Held;
use super::{Detector, Found, Person2d};
use crate::inference::ModelError;

/// So many frames are told at once.
const TOLD: usize = 24;
/// Frames are told when so many after them are known. All of these pictures are kept until then: 35 MB where they are of 640 × 480.
const AHEAD: usize = 12;

/// Finds people in the frames of a clip, later than a [`Detector`] does, and better. Frames go in and come out as `T`.
pub struct Hindsight<T> {
    detector: Detector,
    waiting: VecDeque<Glimpse<T>>,
    /// Those of the last frame that was told.
    tracks: HashMap<u32, Track>,
}

/// A frame, as it was seen live.
struct Glimpse<T> {
    frame: T,
    image: Arc<RgbImage>,
    time: f64,
    found: Found,
    /// Where the network looked for each of its people.
    regions: Vec<Region>,
}

/// What the network remembered of everybody in a frame, by their numbers.
type Memories = HashMap<u32, Memory>;

impl<T> Hindsight<T> {
    /// Looks at clips with these networks.
    pub fn new(detector: Detector) -> Hindsight<T> {
        Hindsight {
            detector,
            waiting: VecDeque::new(),
            tracks: HashMap::new(),
        }
    }

    /// Tells how the camera is held, where that is known (see [`Detector::held`]).
    pub fn hold(&mut self, held: Option<Held>) {
        self.detector.held = held;
    }

    /// Takes in the next frame, its `time` in seconds, and gives frames that were not told yet with their people, oldest first: the same
    /// frame where the network knows nothing of later ones, or else none, or several.
    ///
    /// # Errors
    /// [`ModelError::Run`] when a network fails; then this frame is left out.
    pub fn detect(
        &mut self,
        frame: T,
        image: Arc<RgbImage>,
        time: f64,
    ) -> Result<Vec<(T, Found)>, ModelError> {
        let mut found = self.detector.detect(&image, time)?;
        if !self.detector.keypoints.looks_back() {
            return Ok(vec![(frame, found)]);
        }
        let tracks = self.detector.tracker.tracks();
        let looked: HashMap<u32, Region> = tracks
            .filter_map(|track| Some((track.id, track.region()?)))
            .collect();
        let region = |person: &Person2d| looked.get(&person.id).copied();
        found.0.retain(|person| region(person).is_some());
        self.waiting.push_back(Glimpse {
            frame,
            image,
            time,
            regions: found.0.iter().filter_map(region).collect(),
            found,
        });
        if self.waiting.len() < TOLD + AHEAD {
            return Ok(Vec::new());
        }
        Ok(self.tell(TOLD))
    }

    /// The last frames, when the clip has ended.
    pub fn finish(&mut self) -> Vec<(T, Found)> {
        self.tell(self.waiting.len())
    }

    /// Forgets everybody, and the frames that were not told yet: the clip begins anew.
    pub fn reset(&mut self) {
        self.detector.reset();
        self.waiting.clear();
        self.tracks.clear();
    }

    /// So many frames; with whom was seen live, where the network fails.
    fn tell(&mut self, count: usize) -> Vec<(T, Found)> {
        let began = Instant::now();
        let better = self.look_again(count).unwrap_or_else(|error| {
            warn_once!("{error}; frames of the clip are not seen in the light of later ones");
            Vec::new()
        });
        let spent = began.elapsed() / count.max(1) as u32;
        let mut better = better.into_iter();
        let told = self.waiting.drain(..count).map(|glimpse| {
            let (live, mut times) = glimpse.found;
            times.keypoints += spent;
            (glimpse.frame, (better.next().unwrap_or(live), times))
        });
        told.collect()
    }

    /// The people of so many frames.
    fn look_again(&mut self, count: usize) -> Result<Vec<Vec<Person2d>>, ModelError> {
        let later = self.go_back()?;
        let mut told = Vec::with_capacity(count);
        for (glimpse, later) in self.waiting.iter().take(count).zip(&later) {
            let live = &glimpse.found.0;
            let before = |person: &Person2d| {
                let found = ScoredBox {
                    bounds: person.bounds,
                    score: 1.0,
                };
                let track = self.tracks.remove(&person.id);
                track.unwrap_or_else(|| Track::new(person.id, &found))
            };
            let mut tracks: Vec<Track> = live.iter().map(before).collect();
            let everybody = tracks.iter_mut().zip(live).zip(&glimpse.regions);
            let sought = everybody.map(|((track, person), region)| Sought {
                look: Look::Region(*region),
                later: later.get(&person.id),
                ..track.sought(glimpse.time, None)
            });
            let estimates = (self.detector.keypoints).follow(&glimpse.image, sought.collect())?;
            for (track, estimate) in tracks.iter_mut().zip(estimates) {
                track.observe(estimate, glimpse.time, self.detector.settings.undo_swaps);
            }
            let mut people = live.clone();
            for (person, track) in people.iter_mut().zip(&tracks) {
                if let Some(seen) = track.person() {
                    person.pose = seen.pose;
                }
            }
            told.push(people);
            self.tracks = tracks.into_iter().map(|track| (track.id, track)).collect();
        }
        Ok(told)
    }

    /// What the network remembers of each frame that waits, when it has seen those after it and then this one.
    fn go_back(&mut self) -> Result<Vec<Memories>, ModelError> {
        let mut known: Vec<Memories> = Vec::with_capacity(self.waiting.len());
        let mut after = f64::INFINITY;
        for glimpse in self.waiting.iter().rev() {
            // Nothing is known of whoever is not in the next frame, or where that is of another moment.
            let is_near = (0.0..FORGOTTEN).contains(&(after - glimpse.time));
            let next = known.last().filter(|_| is_near);
            let remembered = |id: u32| next.and_then(|next| next.get(&id)).cloned();
            let ids = glimpse.found.0.iter().map(|person| person.id);
            let mut memories: Vec<Memory> = (ids.clone())
                .map(|id| remembered(id).unwrap_or_default())
                .collect();
            let everybody = glimpse.regions.iter().zip(&mut memories);
            let sought =
                everybody.map(|(region, memory)| Sought::new(Look::Region(*region), memory));
            (self.detector.keypoints).follow(&glimpse.image, sought.collect())?;
            known.push(ids.zip(memories).collect());
            after = glimpse.time;
        }
        known.reverse();
        Ok(known)
    }
}

#[cfg(all(test, feature = "embedded-models"))]
mod tests {
    use bevy::math::{Rect, Vec3};

    use super::super::DetectSettings;
    use super::super::keypoints::KeypointEstimator;
    use super::*;
    use crate::camera::Intrinsics;
    use crate::inference::{Data, Engine, Input, ModelCard, Models, Session, Tensor};
    use crate::skeleton::Joint;

    /// Keeps how many frames it was shown, and tells by the confidence of joints, all in the middle, how many it had been shown before, and
    /// how many on the way back. Fails when it was asked so many times.
    struct Telling {
        asked: usize,
        most: usize,
    }

    impl Session for Telling {
        fn run(&mut self, inputs: &[Input], _: &[&str]) -> Result<Vec<Tensor>, ModelError> {
            let number = |n: usize| match inputs[n].data {
                Data::F32(numbers) => numbers[0],
                Data::U8(_) => f32::NAN,
            };
            self.asked += 1;
            if self.asked > self.most {
                return Err(ModelError::Run {
                    name: "telling".into(),
                    error: "it is tired".into(),
                });
            }
            let (before, later) = (number(1), inputs.get(2).map_or(0.0, |_| number(2)));
            let mut maps = vec![0.0; 17 * 9];
            // Four joints that are not in doubt are enough to be somebody; in one place no two people are.
            for joint in 0..17 {
                maps[9 * joint + 1 + 6 * (joint % 2)] = 0.6 + before / 400.0 + later / 40_000.0;
            }
            let tensor = |shape: &[usize], data| Tensor {
                shape: shape.to_vec(),
                data,
            };
            Ok(vec![
                tensor(&[1, 17, 3, 3], maps),
                tensor(&[1, 1], vec![before + 1.0]),
            ])
        }

        fn inputs(&self) -> Vec<(String, Vec<Option<usize>>)> {
            ["image", "state", "later"]
                .map(|name| (name.into(), vec![Some(1)]))
                .into()
        }

        fn outputs(&self) -> Vec<String> {
            Vec::new()
        }
    }

    /// What looks at clips with that network, before which somebody stands.
    fn hindsight(later: &str, most: usize) -> Result<Hindsight<u8>, Box<dyn std::error::Error>> {
        let card = ModelCard::parse(
            format!(
                r#"{{"name":"telling","task":"keypoints","file":"x.onnx","licence":"MIT","origin":"us","joints":"coco17",
                 "input":{{"name":"image","kind":"image","width":3,"height":3,"layout":"nchw","channels":"rgb","type":"f32",
                          "fit":{{"kind":"crop","growth":1.0,"pad":0}}}},
                 "decoder":{{"kind":"heatmap","output":"maps","states":[{{"input":"state","output":"next","shape":[1]{later}}}]}}}}"#
            )
            .as_bytes(),
        )?;
        let settings = DetectSettings {
            every: 1000,
            ..DetectSettings::default()
        };
        let mut detector =
            Detector::new(&Models::embedded(), &Engine::rten("a test"), 1, settings)?;
        detector.appearance = None;
        detector.keypoints = KeypointEstimator::of(Box::new(Telling { asked: 0, most }), &card)?;
        let found = ScoredBox {
            bounds: Rect::new(20.0, 10.0, 60.0, 90.0),
            score: 1.0,
        };
        detector.tracker.meet(&[found], 1);
        Ok(Hindsight::new(detector))
    }

    /// Of how many frames before and after the network knew when it told of each.
    fn known(told: &[(u8, Found)]) -> Vec<(i32, i32)> {
        let nose = |people: &[Person2d]| people.first().and_then(|person| person.pose[Joint::Nose]);
        let known = |(_, (people, _)): &(u8, Found)| {
            let sure = nose(people).map_or(0.0, |nose| nose.confidence.get());
            let number = ((sure - 0.6) * 40_000.0).round() as i32;
            (number / 100, number % 100)
        };
        told.iter().map(known).collect()
    }

    /// So many frames, a thirtieth of a second apart, and how many were told with each.
    fn shown(
        hindsight: &mut Hindsight<u8>,
        count: u8,
    ) -> Result<(Vec<(u8, Found)>, Vec<usize>), ModelError> {
        let image = Arc::new(RgbImage::new(80, 100));
        let (mut told, mut counts) = (Vec::new(), Vec::new());
        for n in 0..count {
            let found = hindsight.detect(n, image.clone(), f64::from(n) / 30.0)?;
            counts.push(found.len());
            told.extend(found);
        }
        Ok((told, counts))
    }

    const LATER: &str = r#","later":"later""#;

    #[test]
    fn each_frame_is_told_once_with_all_before_it_and_some_after()
    -> Result<(), Box<dyn std::error::Error>> {
        let mut hindsight = hindsight(LATER, usize::MAX)?;
        let (mut told, counts) = shown(&mut hindsight, 50)?;
        assert_eq!(
            counts.iter().position(|count| *count > 0),
            Some(TOLD + AHEAD - 1)
        );
        told.extend(hindsight.finish());
        assert!(told.iter().map(|(n, _)| *n).eq(0..50));
        // The frame itself is the last on the way back.
        let wanted = |n: i32| {
            let is_first = n < TOLD as i32;
            (
                n,
                if is_first {
                    (TOLD + AHEAD) as i32 - n
                } else {
                    50 - n
                },
            )
        };
        assert_eq!(known(&told), (0..50).map(wanted).collect::<Vec<_>>());
        assert!(hindsight.finish().is_empty());
        Ok(())
    }

    #[test]
    fn who_is_shown_turned_from_some_frame_on_is_remembered_from_there()
    -> Result<(), Box<dyn std::error::Error>> {
        let mut hindsight = hindsight("", usize::MAX)?;
        let (mut told, _) = shown(&mut hindsight, 4)?;
        let camera = Intrinsics::from_field_of_view(80, 100, 1.0);
        let up = Vec3::new(-0.4, -0.9, 0.0).normalize();
        hindsight.hold(Some(Held { camera, up }));
        told.extend(shown(&mut hindsight, 3)?.0);
        let wanted = (0..4).chain(0..3).map(|before| (before, 0));
        assert_eq!(known(&told), wanted.collect::<Vec<_>>());
        let track = hindsight.detector.tracker.tracks().next();
        let region = track.and_then(Track::region).map(|region| region.angle);
        assert!(
            (region.unwrap_or_default() - (-0.4_f32).atan2(0.9)).abs() < 0.02,
            "{region:?}"
        );
        Ok(())
    }

    #[test]
    fn a_network_that_knows_nothing_of_later_frames_tells_each_at_once()
    -> Result<(), Box<dyn std::error::Error>> {
        let mut hindsight = hindsight("", usize::MAX)?;
        let (told, counts) = shown(&mut hindsight, 5)?;
        assert_eq!(counts, [1; 5]);
        assert_eq!(known(&told), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);
        Ok(())
    }

    #[test]
    fn where_the_network_fails_frames_are_told_as_they_were_seen_live()
    -> Result<(), Box<dyn std::error::Error>> {
        let mut hindsight = hindsight(LATER, 5)?;
        shown(&mut hindsight, 5)?;
        let told = hindsight.finish();
        assert_eq!(known(&told), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);
        Ok(())
    }

    #[test]
    fn what_is_of_another_moment_tells_nothing() -> Result<(), Box<dyn std::error::Error>> {
        let mut hindsight = hindsight(LATER, usize::MAX)?;
        let image = Arc::new(RgbImage::new(80, 100));
        for time in [0.0, 0.1, 2.0, 2.1, 0.3, 0.4] {
            assert!(hindsight.detect(0, image.clone(), time)?.is_empty());
        }
        let wanted = [(0, 2), (1, 1), (0, 2), (1, 1), (0, 2), (1, 1)];
        assert_eq!(known(&hindsight.finish()), wanted);
        Ok(())
    }
}
