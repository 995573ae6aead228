//! What a network is fed: how pictures and sequences become its first input.

use serde::{Deserialize, Serialize};

/// A network's input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputCard {
    /// Name in the graph.
    pub name: String,
    /// What goes in.
    #[serde(flatten)]
    pub form: InputForm,
}

impl InputCard {
    /// The tensor's size along each axis, for one picture or one person.
    pub fn shape(&self) -> Vec<usize> {
        match self.form {
            InputForm::Image {
                width,
                height,
                layout: Layout::Nchw,
                ..
            } => vec![1, 3, height, width],
            InputForm::Image {
                width,
                height,
                layout: Layout::Nhwc,
                ..
            } => vec![1, height, width, 3],
            InputForm::Sequence { frames, features } => vec![1, frames, features],
            InputForm::Frame { features, .. } => vec![1, features],
        }
    }
}

/// What goes into a network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum InputForm {
    /// A picture.
    Image {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
        /// Order of the axes.
        layout: Layout,
        /// Order of the colours.
        channels: Channels,
        /// Type of the numbers.
        #[serde(rename = "type")]
        number: Number,
        /// Taken off every value (0–255), by channel.
        #[serde(default)]
        mean: [f32; 3],
        /// What is left is divided by this.
        #[serde(default = "ones")]
        std: [f32; 3],
        /// Which part of the picture is shown.
        fit: Fit,
    },
    /// Frames of 2D poses, oldest first.
    Sequence {
        /// How many.
        frames: usize,
        /// Numbers per frame.
        features: usize,
    },
    /// The next frame of a 2D pose: the network is handed what it kept of those before, nought of whoever comes into view.
    Frame {
        /// Numbers per frame.
        features: usize,
    },
}

pub(super) fn ones() -> [f32; 3] {
    [1.0; 3]
}

/// Order of an image tensor's axes after the batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Channel, row, column.
    Nchw,
    /// Row, column, channel.
    Nhwc,
}

/// Order of the colours.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// Type of an input's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Number {
    /// 32-bit float.
    F32,
    /// Byte.
    U8,
}

/// Which part of a picture a network is shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Fit {
    /// All of it, shrunk into the top-left corner; the rest is of one grey.
    Letterbox {
        /// The grey, 0–255.
        pad: u8,
    },
    /// A rectangle of the input's proportions around a person's box.
    Crop {
        /// How much larger than the box.
        growth: f32,
        /// The grey beyond the picture's edge, 0–255.
        pad: u8,
        /// Turned so that the person stands upright, and placed by the network's own last landmarks (BlazePose).
        #[serde(default)]
        follow: Option<Follow>,
    },
}

/// The rotated square that BlazePose cuts out, from two extra landmarks of its own (Bazarevsky et al. 2020, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Follow {
    /// Row of the landmark between the hips: the square's centre.
    pub centre: usize,
    /// Row of the landmark whose distance is the body's radius, and whose direction is up.
    pub top: usize,
}
