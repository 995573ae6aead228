//! The network that finds one person's joints in a crop.

use bevy::math::Vec2;
use image::RgbImage;

use super::crop::{Cutter, Region};
use super::decode::{self, RegressionRows};
use crate::inference::{
    Batch, Decoder, Engine, Fit, Follow, InputForm, Model, ModelError, Session, Tensor,
};
use crate::skeleton::{Joint, Pose2d};

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
    joints: &'static [Joint],
}

/// The region that a network is to look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look {
    /// Around a person's box.
    Box(bevy::math::Rect),
    /// Where the network itself wanted to look.
    Region(Region),
}

impl KeypointEstimator {
    /// Loads the network.
    ///
    /// # Errors
    /// [`ModelError`] when it is broken or of a kind that has no decoder here.
    pub fn load(model: &Model, engine: &Engine, threads: usize) -> Result<Self, ModelError> {
        let card = &model.card;
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
        let session = model.load(engine, threads)?;
        Ok(KeypointEstimator {
            batch: Batch::new(session.as_ref(), card),
            session,
            cutter: Cutter::new(card.input.form),
            name: card.name.clone(),
            size: (width, height),
            growth,
            pad,
            follow,
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

    /// Finds the joints of the person in each region: at once, where the network takes several crops.
    ///
    /// # Errors
    /// [`ModelError::Run`], or [`ModelError::Mismatch`] when the network gives fewer joints than its card names.
    pub fn estimate(
        &mut self,
        image: &RgbImage,
        looks: &[Look],
    ) -> Result<Vec<Estimate>, ModelError> {
        let proportions = self.size.0 as f32 / self.size.1 as f32;
        let region = |look: &Look| match *look {
            Look::Region(region) => region,
            Look::Box(bounds) => Region::around(bounds, self.growth, proportions),
        };
        let regions: Vec<Region> = looks.iter().map(region).collect();
        for region in &regions {
            self.batch.push(self.cutter.cut(image, region, self.pad));
        }
        let outputs = self.decoder.outputs();
        let found = self.batch.run(self.session.as_mut(), &outputs)?;
        let pairs = regions.iter().zip(&found);
        pairs
            .map(|(region, tensors)| self.interpret(region, tensors))
            .collect()
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
    use super::*;

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
