//! Model cards: what a network does, how to feed it, how to read it, and where it comes from.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::looks::Likeness;
use crate::skeleton::{Joint, JointSet};

/// A network keeps no more numbers of a person in one state.
const MOST_KEPT: usize = 10_000_000;
/// Nobody's first frame is shown more often.
const MOST_REPEATED: usize = 10_000;

/// What a network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Finds people in a picture.
    Person,
    /// Finds the joints of one person in a crop.
    Keypoints,
    /// Turns 2D over time into 3D.
    Lift,
    /// Describes a person's looks, to know them again.
    Appearance,
    /// Corrects 3D over time.
    Refine,
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Task::Person => "finding people",
            Task::Keypoints => "keypoints",
            Task::Lift => "lifting",
            Task::Appearance => "appearance",
            Task::Refine => "refining",
        })
    }
}

/// Everything the code has to know of a network. Kept as JSON beside the `.onnx` file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// A short name, unique among the models at hand.
    pub name: String,
    /// What it does.
    pub task: Task,
    /// File name of the network.
    pub file: String,
    /// SHA-256 of the file in hexadecimal, where known.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The joints of its output (and of a lifter's input), in order.
    #[serde(default)]
    pub joints: Option<JointSet>,
    /// How to feed it.
    pub input: InputCard,
    /// How to read it.
    pub decoder: Decoder,
    /// Licence of the weights.
    pub licence: String,
    /// How it was made, or who made it.
    pub origin: String,
    /// What it was trained on.
    #[serde(default)]
    pub data: String,
    /// Scores, each with what it was measured on.
    #[serde(default)]
    pub metrics: Vec<String>,
}

/// Whether a name is there twice.
fn has_twins<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = HashSet::new();
    !names.into_iter().all(|name| seen.insert(name))
}

impl ModelCard {
    /// Reads a card and checks that it is whole.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn parse(json: &[u8]) -> Result<ModelCard, String> {
        let card: ModelCard = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let needs_joints = matches!(card.task, Task::Keypoints | Task::Lift | Task::Refine);
        if needs_joints && card.joints.is_none() {
            return Err("a card for keypoints, lifting or refining needs `joints`".into());
        }
        if let InputForm::Image { width, height, .. } = card.input.form
            && (width == 0 || height == 0)
        {
            return Err("the input's width and height must not be 0".into());
        }
        if let InputForm::Image { std, .. } = card.input.form
            && std.contains(&0.0)
        {
            return Err("`std` must not be 0".into());
        }
        if let InputForm::Image {
            number: Number::U8,
            layout,
            mean,
            std,
            ..
        } = card.input.form
            && (layout == Layout::Nchw || mean != [0.0; 3] || std != ones())
        {
            return Err(
                "an input of type `u8` has layout `nhwc` and neither `mean` nor `std`".into(),
            );
        }
        if let InputForm::Frame { repeated, .. } = card.input.form
            && repeated > MOST_REPEATED
        {
            return Err(format!("`repeated` must not be more than {MOST_REPEATED}"));
        }
        if let InputForm::Sequence { frames: 0, .. } = card.input.form {
            return Err("the input's `frames` must not be 0".into());
        }
        match &card.decoder {
            Decoder::Lift { states, .. }
                if states.is_empty() == matches!(card.input.form, InputForm::Frame { .. }) =>
            {
                Err("an input of kind `frame` goes with the `states` of a lifter".into())
            }
            Decoder::Heatmap {
                states,
                crop_before_from_crop: Some(_),
                ..
            } if states.is_empty() => {
                Err("an input `crop_before_from_crop` goes with the `states` of a network".into())
            }
            Decoder::Lift { states, .. } if states.iter().any(|state| state.later.is_some()) => {
                Err("an input for `later` frames goes with heat maps".into())
            }
            decoder
                if decoder
                    .states()
                    .iter()
                    .any(|state| !(1..=MOST_KEPT).contains(&state.size())) =>
            {
                Err(format!("a state has no numbers, or more than {MOST_KEPT}"))
            }
            _ if has_twins(card.inputs().iter().map(|(name, _)| *name)) => {
                Err("two inputs have one name".into())
            }
            decoder if has_twins(decoder.outputs().into_iter()) => {
                Err("two outputs have one name".into())
            }
            Decoder::Regression { confidence, .. } if confidence.is_empty() => {
                Err("`confidence` names no column".into())
            }
            Decoder::Yolox {
                strides, person, ..
            } if strides.contains(&0) || *person > 10_000 => {
                Err("`strides` must not be 0, and `person` is the number of a class".into())
            }
            Decoder::Simcc { split, .. } if *split <= 0.0 => {
                Err("`split` must be more than 0".into())
            }
            _ => Ok(card),
        }
    }

    /// Everything that the network is fed, by name, and its size along each axis for one picture or one person: its input first, then its
    /// states, then the map from the crop to that of the frame before, and at last what later frames tell of its states, where it wants
    /// these.
    pub fn inputs(&self) -> Vec<(&str, Vec<usize>)> {
        let of_one = |shape: &[usize]| [&[1], shape].concat();
        let states = self.decoder.states();
        let later = states
            .iter()
            .filter_map(|state| Some((state.later.as_deref()?, of_one(&state.shape))));
        let map = self.decoder.crop_before_from_crop();
        std::iter::once((self.input.name.as_str(), self.input.shape()))
            .chain((states.iter()).map(|state| (state.input.as_str(), of_one(&state.shape))))
            .chain(map.map(|name| (name, vec![1, 2, 3])))
            .chain(later)
            .collect()
    }

    /// The joints of the output, in order.
    pub fn joints(&self) -> &'static [Joint] {
        self.joints.map_or(&[], JointSet::joints)
    }
}

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
    /// The next frame of a 2D pose: the network is handed what it kept of those before.
    Frame {
        /// Numbers per frame.
        features: usize,
        /// Whoever comes into view is shown their first frame so many times before.
        repeated: usize,
    },
}

fn ones() -> [f32; 3] {
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
        /// What is handed from frame to frame, where the input is one of [`InputForm::Frame`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_lacks_its_joints_is_refused() {
        let text = r#"{"name":"x","task":"keypoints","file":"x.onnx","licence":"MIT","origin":"us",
            "input":{"name":"i","kind":"image","width":8,"height":8,"layout":"nchw","channels":"rgb","type":"f32",
                     "fit":{"kind":"letterbox","pad":0}},
            "decoder":{"kind":"heatmap","output":"o"}}"#;
        assert!(ModelCard::parse(text.as_bytes()).is_err_and(|error| error.contains("joints")));
        let whole = text.replace(r#""file""#, r#""joints":"coco17","file""#);
        let card = ModelCard::parse(whole.as_bytes());
        assert_eq!(
            card.as_ref().map(|card| card.input.shape()),
            Ok(vec![1, 3, 8, 8])
        );
    }

    #[test]
    fn what_is_fed_and_read_of_a_network_that_remembers_is_told_in_order_and_refused_where_it_cannot_be()
     {
        let text = |states: &str| {
            format!(
                r#"{{"name":"x","task":"keypoints","file":"x.onnx","licence":"MIT","origin":"us","joints":"coco17",
                "input":{{"name":"i","kind":"image","width":8,"height":8,"layout":"nchw","channels":"rgb","type":"f32",
                         "fit":{{"kind":"crop","growth":1.2,"pad":0}}}},
                "decoder":{{"kind":"heatmap","output":"o","crop_before_from_crop":"m","states":[{states}]}}}}"#
            )
        };
        let state = |input: &str, output: &str, shape: &str| {
            format!(
                r#"{{"input":"{input}","output":"{output}","shape":{shape},"later":"{input}+"}}"#
            )
        };
        let (one, two) = (state("a", "b", "[4]"), state("c", "d", "[2,3]"));
        let whole = ModelCard::parse(text(&format!("{one},{two}")).as_bytes());
        assert_eq!(
            whole.as_ref().map(|card| card.decoder.outputs()),
            Ok(vec!["o", "b", "d"])
        );
        let inputs = [
            ("i", vec![1, 3, 8, 8]),
            ("a", vec![1, 4]),
            ("c", vec![1, 2, 3]),
            ("m", vec![1, 2, 3]),
            ("a+", vec![1, 4]),
            ("c+", vec![1, 2, 3]),
        ];
        assert_eq!(whole.as_ref().map(ModelCard::inputs), Ok(inputs.into()));
        for (states, told) in [
            (String::new(), "goes with"),
            (state("a", "b", "[0]"), "no numbers"),
            (state("a", "b", "[100000,101]"), "no numbers"),
            (state("i", "b", "[4]"), "two inputs"),
            (state("a", "o", "[4]"), "two outputs"),
        ] {
            let refused = ModelCard::parse(text(&states).as_bytes());
            assert!(refused.is_err_and(|error| error.contains(told)), "{states}");
        }
    }

    #[test]
    fn a_lifter_that_wants_later_frames_is_refused() {
        let card = |later: &str| {
            ModelCard::parse(
                format!(
                    r#"{{"name":"x","task":"lift","file":"x.onnx","licence":"MIT","origin":"us","joints":"lift23",
                    "input":{{"name":"i","kind":"frame","features":77,"repeated":2}},
                    "decoder":{{"kind":"lift","output":"o","states":[{{"input":"a","output":"b","shape":[4]{later}}}]}}}}"#
                )
                .as_bytes(),
            )
        };
        assert!(card("").is_ok());
        let refused = card(r#","later":"c""#);
        assert!(refused.is_err_and(|error| error.contains("heat maps")));
    }
}
