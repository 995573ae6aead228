//! How the outputs of a network are read, and what it hands from frame to frame.

use serde::{Deserialize, Serialize};

use crate::looks::Likeness;

/// How a network's output is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Decoder {
    /// Raw grids of YOLOX: rows of dx, dy, log w, log h, objectness, class scores.
    Yolox {
        /// Output of shape `(1, cells, 5 + classes)`.
        output: String,
        /// Pixels per cell, one grid after the other.
        strides: Vec<usize>,
        /// Which class is a person.
        #[serde(default)]
        person: usize,
    },
    /// One distribution along x and one along y per joint (RTMPose).
    Simcc {
        /// Output of shape `(1, joints, width · split)`.
        x: String,
        /// Output of shape `(1, joints, height · split)`.
        y: String,
        /// Bins per pixel.
        split: f32,
    },
    /// A map per joint, whose peak is the joint.
    Heatmap {
        /// Output of shape `(people, joints, rows, columns)`.
        output: String,
        /// What is handed from frame to frame, where the network remembers a person.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        states: Vec<StateCard>,
        /// Input of shape `(people, 2, 3)`: rows of the affine map from where a point is in the crop to where it was in the crop of the frame
        /// before, x right, y down, from -1 to 1 between the edges of each; in a person's first frame the identity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        crop_before_from_crop: Option<String>,
    },
    /// Coordinates as numbers (BlazePose, MoveNet).
    Regression {
        /// Output whose rows are landmarks.
        output: String,
        /// Numbers per row.
        row: usize,
        /// Column of x.
        x: usize,
        /// Column of y.
        y: usize,
        /// Coordinates are fractions of the crop rather than its pixels.
        #[serde(default)]
        fractions: bool,
        /// Columns of the confidence; the least of them counts.
        confidence: Vec<usize>,
        /// Confidences are logits.
        #[serde(default)]
        logits: bool,
        /// Output that tells whether anybody is in the crop, 0–1.
        #[serde(default)]
        presence: Option<String>,
        /// Heat-map logits `(1, rows, columns, landmarks)` that sharpen the coordinates.
        #[serde(default)]
        refine: Option<String>,
    },
    /// Rows of x, y, z in metres about mid hips, and the log of the error's Laplace scale.
    Lift {
        /// Output of shape `(people, joints, 4)`.
        output: String,
        /// What is handed from frame to frame, where the input is one of [`InputForm::Frame`](super::InputForm::Frame).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        states: Vec<StateCard>,
    },
    /// Frames of x, y, z in metres, in the frame of the input.
    Refine {
        /// Output of shape `(1, frames, joints, 3)`.
        output: String,
    },
    /// A vector.
    Embedding {
        /// Output of shape `(people, n)`.
        output: String,
        /// How distances between two of them are to be read; OSNet's where it is left out.
        #[serde(default)]
        likeness: Likeness,
    },
}

/// What a network keeps of a person's frames: zeros at first, then the output of the frame before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateCard {
    /// Input of shape `(people, shape…)`.
    pub input: String,
    /// Output of the same shape.
    pub output: String,
    /// For one person.
    pub shape: Vec<usize>,
    /// Input of the same shape that is given the output for the same frame when the clip was gone through backwards; zeros where nothing
    /// is known of later frames. With it, a network for heat maps sees the frames of clips in the light of those after them, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub later: Option<String>,
}

impl StateCard {
    /// How many numbers it is for one person.
    pub fn size(&self) -> usize {
        self.shape
            .iter()
            .fold(1, |size, side| size.saturating_mul(*side))
    }
}

impl Decoder {
    /// What is handed from frame to frame.
    pub fn states(&self) -> &[StateCard] {
        match self {
            Decoder::Lift { states, .. } | Decoder::Heatmap { states, .. } => states,
            _ => &[],
        }
    }

    /// Whether frames are seen in the light of later ones, too, where these are known.
    pub fn looks_back(&self) -> bool {
        self.states().iter().any(|state| state.later.is_some())
    }

    /// The input that is told where things were in the crop before, where there is one.
    pub fn crop_before_from_crop(&self) -> Option<&str> {
        match self {
            Decoder::Heatmap {
                crop_before_from_crop,
                ..
            } => crop_before_from_crop.as_deref(),
            _ => None,
        }
    }

    /// The outputs it reads; those of states come last.
    pub fn outputs(&self) -> Vec<&str> {
        match self {
            Decoder::Yolox { output, .. }
            | Decoder::Refine { output }
            | Decoder::Embedding { output, .. } => vec![output],
            Decoder::Lift { output, states } | Decoder::Heatmap { output, states, .. } => {
                let kept = states.iter().map(|state| state.output.as_str());
                std::iter::once(output.as_str()).chain(kept).collect()
            }
            Decoder::Simcc { x, y, .. } => vec![x, y],
            Decoder::Regression {
                output,
                presence,
                refine,
                ..
            } => {
                let extra = presence.iter().chain(refine).map(String::as_str);
                std::iter::once(output.as_str()).chain(extra).collect()
            }
        }
    }
}
