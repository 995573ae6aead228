//! The network that finds one person's joints in a crop.

use bevy::math::{Rect, Vec2};
use image::RgbImage;

use super::crop::{Cutter, Region};
use super::decode::{self, RegressionRows};
use crate::inference::{
    Batch, Data, Decoder, Engine, Fit, Follow, InputForm, Kept, Model, ModelCard, ModelError,
    Session, Tensor,
};
use crate::skeleton::{Joint, Pose2d};

/// Radians by which a person's crop may turn from one frame to the next for what is remembered of them to be of use: networks learn from
/// people who are followed, whose crops hardly do.
const MOST_TURN: f32 = 0.1;

/// What a network says of one region of a picture.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// Joints in pixels of the picture.
    pub pose: Pose2d,
    /// Whether anybody is there, where the network says so.
    pub presence: f32,
    /// Where the network itself wants to look next.
    pub next_region: Option<Region>,
}

/// What a network keeps of one person from frame to frame (nothing, where it does not remember), and where it looked last.
#[derive(Clone, Debug, Default)]
pub struct Memory(Option<(Kept, Region)>);

impl Memory {
    /// Whether no frame was seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Where the network looked last.
    pub fn region(&self) -> Option<Region> {
        self.0.as_ref().map(|(_, region)| *region)
    }

    /// Of somebody who was seen there.
    #[cfg(test)]
    pub(super) fn of(region: Region) -> Memory {
        Memory(Some((Kept::default(), region)))
    }
}

/// Finds one person's joints.
pub struct KeypointEstimator {
    session: Box<dyn Session>,
    cutter: Cutter,
    batch: Batch,
    name: String,
    size: (usize, usize),
    growth: f32,
    pad: u8,
    follow: Option<Follow>,
    decoder: Decoder,
    /// What is kept of whom nothing was seen.
    unknown: Kept,
    joints: &'static [Joint],
}

/// Somebody whose joints are to be found in a picture.
#[derive(Debug)]
pub struct Sought<'a> {
    /// Where.
    pub look: Look,
    /// What the network remembers of the frame before; of the next one, where a clip is gone through backwards. It takes in this one.
    pub memory: &'a mut Memory,
    /// What it remembered once it had seen this frame, in the same region, on the way back, where it did.
    pub later: Option<&'a Memory>,
}

impl<'a> Sought<'a> {
    /// Of whose later frames nothing is known.
    pub fn new(look: Look, memory: &'a mut Memory) -> Self {
        Sought {
            look,
            memory,
            later: None,
        }
    }
}

/// The region that a network is to look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look {
    /// Around a person's box, which may be turned.
    Box(Region),
    /// Where the network itself wanted to look.
    Region(Region),
}

impl Look {
    /// Around a person's box, upright in the picture.
    pub fn around(bounds: Rect) -> Look {
        Look::Box(Region::from(bounds))
    }
}

impl KeypointEstimator {
    /// Loads the network.
    ///
    /// # Errors
    /// [`ModelError`] when it is broken or of a kind that has no decoder here.
    pub fn load(model: &Model, engine: &Engine, threads: usize) -> Result<Self, ModelError> {
        KeypointEstimator::of(model.load(engine, threads)?, &model.card)
    }

    /// Of a network that is loaded, and its card.
    pub(super) fn of(session: Box<dyn Session>, card: &ModelCard) -> Result<Self, ModelError> {
        let InputForm::Image {
            width,
            height,
            fit:
                Fit::Crop {
                    growth,
                    pad,
                    follow,
                },
            ..
        } = card.input.form
        else {
            return Err(ModelError::mismatch(
                &card.name,
                "a keypoint network takes a crop around a person",
            ));
        };
        if !matches!(
            card.decoder,
            Decoder::Simcc { .. } | Decoder::Heatmap { .. } | Decoder::Regression { .. }
        ) {
            return Err(ModelError::mismatch(
                &card.name,
                "its decoder must be `simcc`, `heatmap` or `regression`",
            ));
        }
        Ok(KeypointEstimator {
            batch: Batch::new(session.as_ref(), card),
            session,
            cutter: Cutter::new(card.input.form),
            name: card.name.clone(),
            size: (width, height),
            growth,
            pad,
            follow,
            unknown: Kept::nothing(card.decoder.states()),
            decoder: card.decoder.clone(),
            joints: card.joints(),
        })
    }

    /// The network's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The joints that it finds.
    pub fn joints(&self) -> &'static [Joint] {
        self.joints
    }

    /// Finds the joints of the person in each region, of whom no frame was seen before: at once, where the network takes several crops.
    ///
    /// # Errors
    /// [`ModelError::Run`], or [`ModelError::Mismatch`] when the network gives fewer joints than its card names.
    pub fn estimate(
        &mut self,
        image: &RgbImage,
        looks: &[Look],
    ) -> Result<Vec<Estimate>, ModelError> {
        let mut fresh = vec![Memory::default(); looks.len()];
        let people = looks.iter().zip(fresh.iter_mut());
        let people = people.map(|(look, memory)| Sought::new(*look, memory));
        self.follow(image, people.collect())
    }

    /// Whether it sees a frame better in the light of later ones.
    pub fn looks_back(&self) -> bool {
        self.decoder.looks_back()
    }

    /// The same of people of whom the network may remember other frames.
    ///
    /// # Errors
    /// As [`estimate`](Self::estimate).
    pub fn follow(
        &mut self,
        image: &RgbImage,
        mut people: Vec<Sought>,
    ) -> Result<Vec<Estimate>, ModelError> {
        let proportions = self.size.0 as f32 / self.size.1 as f32;
        let region = |look: Look| match look {
            Look::Region(region) => region,
            Look::Box(own) => own.grown(self.growth, proportions),
        };
        let regions: Vec<Region> = people.iter().map(|sought| region(sought.look)).collect();
        let states = self.decoder.states();
        let wants_map = self.decoder.crop_before_from_crop().is_some();
        for (region, sought) in regions.iter().zip(&mut people) {
            let first = || (self.unknown.clone(), *region);
            let memory = &mut sought.memory.0;
            memory.take_if(|(_, before)| (before.angle - region.angle).abs() > MOST_TURN);
            let (kept, before) = memory.get_or_insert_with(first);
            let map = region.crop_before_from_crop(before);
            let (x, y, by) = (map.matrix2.x_axis, map.matrix2.y_axis, map.translation);
            let rows = [x.x, y.x, by.x, x.y, y.y, by.y];
            let mut inputs = vec![self.cutter.cut(image, region, self.pad)];
            inputs.extend(kept.inputs());
            inputs.extend(wants_map.then_some(Data::F32(&rows)));
            let later = sought.later.and_then(|memory| Some(&memory.0.as_ref()?.0));
            let later = states.iter().zip(later.unwrap_or(&self.unknown).inputs());
            inputs.extend(later.filter_map(|(state, kept)| state.later.as_ref().and(Some(kept))));
            self.batch.push(&inputs)?;
        }
        let outputs = self.decoder.outputs();
        let found = self.batch.run(self.session.as_mut(), &outputs)?;
        let mut estimates = Vec::new();
        for ((region, mut tensors), sought) in regions.iter().zip(found).zip(people) {
            let told = tensors.split_off(outputs.len() - states.len());
            if let Some((kept, before)) = &mut sought.memory.0 {
                kept.take(states, told, &self.name)?;
                *before = *region;
            }
            estimates.push(self.interpret(region, &tensors)?);
        }
        Ok(estimates)
    }

    fn interpret(&self, region: &Region, tensors: &[Tensor]) -> Result<Estimate, ModelError> {
        let (points, presence) = self.read(tensors);
        let followed = self
            .follow
            .map_or(0, |follow| follow.centre.max(follow.top) + 1);
        if points.len() < self.joints.len().max(followed) {
            return Err(ModelError::mismatch(
                &self.name,
                "it gives fewer landmarks than its card names",
            ));
        }
        let picture_from_crop = region.picture_from_crop(self.size.0, self.size.1);
        let mut pose = Pose2d::default();
        for (&joint, point) in self.joints.iter().zip(&points) {
            let position = picture_from_crop.transform_point2(point.position);
            if position.is_finite() {
                pose[joint] = Some(crate::skeleton::Keypoint { position, ..*point });
            }
        }
        let next_region = self.follow.and_then(|follow| {
            let at = |row: usize| {
                points
                    .get(row)
                    .map(|point| picture_from_crop.transform_point2(point.position))
            };
            next_region(at(follow.centre)?, at(follow.top)?, self.growth)
        });
        Ok(Estimate {
            pose,
            presence,
            next_region,
        })
    }

    fn read(&self, tensors: &[Tensor]) -> (Vec<crate::skeleton::Keypoint>, f32) {
        match &self.decoder {
            Decoder::Simcc { split, .. } => (decode::simcc(&tensors[0], &tensors[1], *split), 1.0),
            Decoder::Heatmap { .. } => (decode::heatmap(&tensors[0], self.size), 1.0),
            Decoder::Regression {
                row,
                x,
                y,
                fractions,
                confidence,
                logits,
                presence,
                refine,
                ..
            } => {
                let how = RegressionRows {
                    row: *row,
                    x: *x,
                    y: *y,
                    fractions: *fractions,
                    confidence,
                    logits: *logits,
                };
                let mut points = decode::regression(&tensors[0], &how, self.size);
                let mut extra = tensors[1..].iter();
                let presence = presence
                    .as_ref()
                    .and_then(|_| extra.next()?.data.first().copied())
                    .unwrap_or(1.0);
                if let Some(maps) = refine.as_ref().and_then(|_| extra.next()) {
                    decode::sharpen(&mut points, maps, self.size);
                }
                (points, presence)
            }
            Decoder::Yolox { .. }
            | Decoder::Lift { .. }
            | Decoder::Refine { .. }
            | Decoder::Embedding { .. } => (Vec::new(), 0.0),
        }
    }
}

/// BlazePose's rotated square: around the hips' middle, as wide as the body's circle, its top where the head is.
fn next_region(centre: Vec2, top: Vec2, growth: f32) -> Option<Region> {
    let up = top - centre;
    let side = 2.0 * up.length() * growth;
    (side.is_finite() && side > 8.0).then(|| Region {
        centre,
        size: Vec2::splat(side),
        angle: up.x.atan2(-up.y),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::inference::Input;

    /// Counts the frames of each person, and is as sure of every joint as that is tenths; keeps what it was fed, person by person.
    struct Counting(Arc<Mutex<Vec<Fed>>>);

    /// The state, and the map to the crop before.
    type Fed = (f32, Vec<f32>);

    impl Session for Counting {
        fn run(&mut self, inputs: &[Input], outputs: &[&str]) -> Result<Vec<Tensor>, ModelError> {
            assert_eq!(outputs, ["maps", "next"]);
            assert_eq!(inputs[1].shape, [inputs[0].shape[0], 1, 2]);
            let numbers = |n: usize| match inputs[n].data {
                Data::F32(numbers) => numbers,
                Data::U8(_) => &[],
            };
            let states: Vec<f32> = numbers(1).iter().step_by(2).copied().collect();
            if let Ok(mut fed) = self.0.lock() {
                let maps = numbers(2).chunks(6).map(<[f32]>::to_vec);
                fed.extend(states.iter().copied().zip(maps));
            }
            let tensor = |shape: &[usize], number: fn(f32) -> f32| {
                let size = shape.iter().product();
                Tensor {
                    shape: [&[states.len()], shape].concat(),
                    data: (states.iter())
                        .flat_map(|&state| vec![number(state); size])
                        .collect(),
                }
            };
            Ok(vec![
                tensor(&[17, 2, 2], |state| 0.1 * (state + 1.0)),
                tensor(&[1, 2], |state| state + 1.0),
            ])
        }

        fn inputs(&self) -> Vec<(String, Vec<Option<usize>>)> {
            ["image", "state", "map"]
                .map(|name| (name.into(), vec![None]))
                .into()
        }

        fn outputs(&self) -> Vec<String> {
            Vec::new()
        }
    }

    #[test]
    fn everybody_is_remembered_by_themselves_and_where_they_were()
    -> Result<(), Box<dyn std::error::Error>> {
        let card = ModelCard::parse(
            br#"{"name":"counting","task":"keypoints","file":"x.onnx","licence":"MIT","origin":"us","joints":"coco17",
                 "input":{"name":"image","kind":"image","width":8,"height":8,"layout":"nchw","channels":"rgb","type":"f32",
                          "fit":{"kind":"crop","growth":1.0,"pad":0}},
                 "decoder":{"kind":"heatmap","output":"maps","crop_before_from_crop":"map",
                            "states":[{"input":"state","output":"next","shape":[1,2]}]}}"#,
        )?;
        let fed = Arc::new(Mutex::new(Vec::new()));
        let mut network = KeypointEstimator::of(Box::new(Counting(fed.clone())), &card)?;
        let square = |x: f32, side: f32, angle: f32| {
            Look::Region(Region {
                centre: Vec2::new(x, 20.0),
                size: Vec2::splat(side),
                angle,
            })
        };
        let image = RgbImage::new(64, 48);
        let (mut one, mut other) = (Memory::default(), Memory::default());
        let mut told = |people: &mut [(Look, &mut Memory)]| -> Result<Vec<i32>, ModelError> {
            let sought = people.iter_mut();
            let sought = sought.map(|(look, memory)| Sought::new(*look, memory));
            let found = network.follow(&image, sought.collect())?;
            let sure = |found: &Estimate| {
                found.pose[Joint::Nose]
                    .map_or(0, |nose| (10.0 * nose.confidence.get()).round() as i32)
            };
            Ok(found.iter().map(sure).collect())
        };
        assert_eq!(told(&mut [(square(20.0, 10.0, 0.0), &mut one)])?, [1]);
        // Somebody comes in, before the other one, who is looked at in a crop of twice the size, half of its new size further right, and
        // turned a little, clockwise.
        let slight = 0.8 * MOST_TURN;
        let mut both = [
            (square(50.0, 10.0, 0.0), &mut other),
            (square(30.0, 20.0, slight), &mut one),
        ];
        assert_eq!(told(&mut both)?, [1, 2]);
        one = Memory::default();
        let mut both = [
            (square(30.0, 20.0, 0.0), &mut one),
            (square(50.0, 10.0, 0.0), &mut other),
        ];
        assert_eq!(told(&mut both)?, [1, 2]);
        // Turned by more, they are seen as if for the first time.
        let mut alone = [(square(50.0, 10.0, -1.2 * MOST_TURN), &mut other)];
        assert_eq!(told(&mut alone)?, [1]);
        let same = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        let (sine, cosine) = slight.sin_cos();
        let turned = vec![
            2.0 * cosine,
            -2.0 * sine,
            2.0,
            2.0 * sine,
            2.0 * cosine,
            0.0,
        ];
        let fed = fed.lock().map_err(|_| "a test panicked")?.clone();
        let wanted = [
            (0.0, &same),
            (0.0, &same),
            (1.0, &turned),
            (0.0, &same),
            (1.0, &same),
            (0.0, &same),
        ];
        assert_eq!(fed.len(), wanted.len());
        for ((state, map), (wanted, by)) in fed.iter().zip(wanted) {
            let apart = map.iter().zip(by).map(|(a, b)| (a - b).abs());
            assert!(
                *state == wanted && apart.fold(0.0, f32::max) < 1e-5,
                "{state}, {map:?}"
            );
        }
        Ok(())
    }

    #[test]
    fn the_next_region_turns_with_the_person() {
        let upright = next_region(Vec2::new(50.0, 60.0), Vec2::new(50.0, 20.0), 1.25);
        assert!(upright.is_some_and(|r| r.angle.abs() < 1e-6 && r.size == Vec2::splat(100.0)));
        let lying = next_region(Vec2::new(50.0, 60.0), Vec2::new(90.0, 60.0), 1.25);
        assert!(
            lying.is_some_and(|r| (r.angle - std::f32::consts::FRAC_PI_2).abs() < 1e-6),
            "head to the right"
        );
    }
}
