//! Labelled photos: the format of `shared/eval`'s scorers.

use bevy::math::{Rect, Vec2};
use serde::Deserialize;

/// A file of labels.
#[derive(Deserialize)]
pub struct Labels {
    /// Joints by name, in the order of the keypoints.
    #[serde(default)]
    pub joint_names: Vec<String>,
    /// The photos.
    pub images: Vec<LabelledImage>,
}

/// A photo.
#[derive(Deserialize)]
pub struct LabelledImage {
    /// Its file, in the folder of the photos.
    pub file: String,
    /// Who is in it.
    pub people: Vec<LabelledPerson>,
}

/// Somebody in a photo.
#[derive(Deserialize)]
pub struct LabelledPerson {
    #[serde(rename = "box")]
    bounds: Option<[f32; 4]>,
    joints_box: Option<[f32; 4]>,
    /// Pixels, and 0 where the joint is not labelled.
    #[serde(default)]
    pub keypoints: Vec<[f32; 3]>,
}

impl LabelledPerson {
    /// Somebody of whom joints alone are known.
    pub fn of(keypoints: Vec<[f32; 3]>) -> Self {
        LabelledPerson {
            bounds: None,
            joints_box: None,
            keypoints,
        }
    }

    /// The longer side of the box around all labelled joints, in pixels.
    pub fn size(&self) -> f32 {
        let labelled = self.keypoints.iter().filter(|point| point[2] > 0.0);
        let places = labelled.map(|&[x, y, _]| Vec2::new(x, y));
        let (low, high) = places.fold((Vec2::MAX, Vec2::MIN), |(low, high), place| {
            (low.min(place), high.max(place))
        });
        (high - low).max_element().max(1.0)
    }

    /// Where to look. A box around the joints is grown by a tenth on each side, as people are larger than their joints.
    pub fn look(&self) -> Option<Rect> {
        let rect = |[x, y, width, height]: [f32; 4]| {
            // Labels count pixels from their edge, we from their centre.
            let corner = Vec2::new(x, y) - 0.5;
            Rect::from_corners(corner, corner + Vec2::new(width, height))
        };
        self.bounds.map(rect).or_else(|| {
            let tight = rect(self.joints_box?);
            let margin = tight.size() * 0.1;
            Some(Rect::from_corners(tight.min - margin, tight.max + margin))
        })
    }
}
