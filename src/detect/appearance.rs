//! The network that says what somebody looks like.

use bevy::math::{Rect, Vec2};
use image::RgbImage;

use super::crop::{Cutter, Region};
use crate::inference::{Batch, Decoder, Engine, Fit, InputForm, Model, ModelError, Session};
use crate::looks::{Likeness, Looks};

/// Describes people's looks by vectors that are near to one another for the same person, from whichever side they are seen.
pub struct AppearanceEstimator {
    session: Box<dyn Session>,
    cutter: Cutter,
    batch: Batch,
    growth: f32,
    pad: u8,
    output: String,
    likeness: Likeness,
}

impl AppearanceEstimator {
    /// Loads the network.
    ///
    /// # Errors
    /// [`ModelError`] when it is broken or no network of this kind.
    pub fn load(model: &Model, engine: &Engine, threads: usize) -> Result<Self, ModelError> {
        let card = &model.card;
        let InputForm::Image {
            fit: Fit::Crop { growth, pad, .. },
            ..
        } = card.input.form
        else {
            return Err(ModelError::mismatch(
                &card.name,
                "a network for looks takes a crop around a person",
            ));
        };
        let Decoder::Embedding { output, likeness } = &card.decoder else {
            return Err(ModelError::mismatch(
                &card.name,
                "its decoder must be `embedding`",
            ));
        };
        let Likeness { same_at, steepness } = *likeness;
        if !(same_at.is_finite() && steepness.is_finite() && steepness > 0.0) {
            return Err(ModelError::mismatch(
                &card.name,
                "its likeness needs a steepness above 0",
            ));
        }
        let session = model.load(engine, threads)?;
        Ok(AppearanceEstimator {
            batch: Batch::new(session.as_ref(), card),
            session,
            cutter: Cutter::new(card.input.form),
            growth,
            pad,
            output: output.clone(),
            likeness: *likeness,
        })
    }

    /// Looks of the people in boxes, in pixels of the picture; `None` where the network gives no vector.
    ///
    /// # Errors
    /// [`ModelError::Run`] when the network fails.
    pub fn describe(
        &mut self,
        image: &RgbImage,
        boxes: &[Rect],
    ) -> Result<Vec<Option<Looks>>, ModelError> {
        let picture = Rect::new(0.0, 0.0, image.width() as f32, image.height() as f32);
        for bounds in boxes {
            // All of the box and no more, out of proportion as it may be: so such networks are trained.
            let shown = bounds.inflate(0.5 * (self.growth - 1.0) * bounds.size().max_element());
            let shown = shown.intersect(picture);
            let region = Region {
                centre: shown.center(),
                size: shown.size().max(Vec2::ONE),
                angle: 0.0,
            };
            self.batch
                .push(&[self.cutter.cut(image, &region, self.pad)])?;
        }
        let found = self.batch.run(self.session.as_mut(), &[&self.output])?;
        Ok(found
            .iter()
            .map(|tensors| Looks::new(&tensors[0].data, self.likeness))
            .collect())
    }
}
