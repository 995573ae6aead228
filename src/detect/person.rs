//! The network that finds people.

use bevy::math::{Rect, Vec2};
use image::RgbImage;

use super::crop::{Cutter, Region};
use super::decode::{self, ScoredBox};
use crate::inference::{Decoder, Engine, Fit, Input, InputForm, Model, ModelError, Session};

/// Finds people in whole pictures.
pub struct PersonDetector {
    session: Box<dyn Session>,
    cutter: Cutter,
    name: String,
    input: String,
    shape: Vec<usize>,
    size: (usize, usize),
    pad: u8,
    output: String,
    strides: Vec<usize>,
    person: usize,
}

impl PersonDetector {
    /// Loads the network.
    ///
    /// # Errors
    /// [`ModelError`] when it is broken or is no detector of a known kind.
    pub fn load(model: &Model, engine: &Engine, threads: usize) -> Result<Self, ModelError> {
        let card = &model.card;
        let InputForm::Image {
            width,
            height,
            fit: Fit::Letterbox { pad },
            ..
        } = card.input.form
        else {
            return Err(ModelError::mismatch(
                &card.name,
                "a person detector takes a letterboxed picture",
            ));
        };
        let Decoder::Yolox {
            output,
            strides,
            person,
        } = &card.decoder
        else {
            return Err(ModelError::mismatch(
                &card.name,
                "the only decoder for people is `yolox`",
            ));
        };
        Ok(PersonDetector {
            session: model.load(engine, threads)?,
            cutter: Cutter::new(card.input.form),
            name: card.name.clone(),
            input: card.input.name.clone(),
            shape: card.input.shape(),
            size: (width, height),
            pad,
            output: output.clone(),
            strides: strides.clone(),
            person: *person,
        })
    }

    /// The network's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Boxes of people in pixels of the picture, best first.
    ///
    /// # Errors
    /// [`ModelError::Run`], or [`ModelError::Mismatch`] when the output is not what the card says.
    pub fn detect(
        &mut self,
        image: &RgbImage,
        least_score: f32,
    ) -> Result<Vec<ScoredBox>, ModelError> {
        let extent = Vec2::new(image.width() as f32, image.height() as f32);
        let size = Vec2::new(self.size.0 as f32, self.size.1 as f32);
        let shown = size * (extent / size).max_element();
        // The picture fills the top-left corner; its own corner is half a pixel before its first pixel's centre.
        let region = Region {
            centre: shown * 0.5 - 0.5,
            size: shown,
            angle: 0.0,
        };
        let picture_from_crop = region.picture_from_crop(self.size.0, self.size.1);
        let input = Input {
            name: &self.input,
            shape: &self.shape,
            data: self.cutter.cut(image, &region, self.pad),
        };
        let rows = self.session.run(&[input], &[&self.output])?;
        let boxes = decode::yolox(&rows[0], self.size, &self.strides, self.person, least_score)
            .ok_or_else(|| {
                let shape = &rows[0].shape;
                let error = format!("its output of {shape:?} is not the card's strides and class");
                ModelError::mismatch(&self.name, &error)
            })?;
        let picture = Rect::from_corners(Vec2::splat(-0.5), extent - 0.5);
        Ok(boxes
            .into_iter()
            .map(|found| ScoredBox {
                bounds: Rect::from_corners(
                    picture_from_crop.transform_point2(found.bounds.min),
                    picture_from_crop.transform_point2(found.bounds.max),
                )
                .intersect(picture),
                ..found
            })
            .filter(|found| !found.bounds.is_empty())
            .collect())
    }
}
