//! Model cards: what a network does, how to feed it, how to read it, and where it comes from.

mod decoder;
mod input;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub use decoder::*;
pub use input::*;

use crate::skeleton::{Joint, JointSet};

/// A network keeps no more numbers of a person in one state.
const MOST_KEPT: usize = 10_000_000;

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
            && (layout == Layout::Nchw || mean != [0.0; 3] || std != input::ones())
        {
            return Err(
                "an input of type `u8` has layout `nhwc` and neither `mean` nor `std`".into(),
            );
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
                    "input":{{"name":"i","kind":"frame","features":77}},
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
