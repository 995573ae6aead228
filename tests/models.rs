//! Every model runs on both engines, and both say the same.

use std::path::Path;

use bevy::math::Rect;
#[cfg(feature = "embedded-models")]
use bevy::math::{Vec2, Vec3};
#[cfg(feature = "embedded-models")]
use bevy_pose_capture::camera::Intrinsics;
use bevy_pose_capture::detect::keypoints::{KeypointEstimator, Look, Memory, Sought};
use bevy_pose_capture::inference::{Data, Engine, Input, InputForm, Model, Models, Number, Tensor};
#[cfg(feature = "embedded-models")]
use bevy_pose_capture::inference::{ModelError, Task};
#[cfg(feature = "embedded-models")]
use bevy_pose_capture::lift::lifter::{Lifted, Lifter, Window};
#[cfg(feature = "embedded-models")]
use bevy_pose_capture::skeleton::{Confidence, Joint, JointSet, Keypoint, Pose2d};

/// Numbers that are the same in every run.
fn noise(count: usize) -> impl Iterator<Item = f32> {
    let mut state = 0x9E37_79B9u32;
    (0..count).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32
    })
}

fn noisy_picture() -> image::RgbImage {
    let mut shades = noise(200 * 120 * 3);
    let shade = |_, _| {
        image::Rgb([0; 3].map(|_: u8| shades.next().map_or(0, |shade| (shade * 255.0) as u8)))
    };
    image::RgbImage::from_fn(200, 120, shade)
}

fn run(model: &Model, engine: &Engine) -> Vec<Tensor> {
    let card = &model.card;
    let mut session = model
        .load(engine, 1)
        .unwrap_or_else(|error| panic!("{}: {error}", card.name));
    let shape = card.input.shape();
    let count = shape.iter().product();
    let (floats, bytes): (Vec<f32>, Vec<u8>);
    let data = match card.input.form {
        InputForm::Image {
            number: Number::U8, ..
        } => {
            bytes = noise(count).map(|v| (v * 255.0) as u8).collect();
            Data::U8(&bytes)
        }
        InputForm::Image { mean, std, .. } => {
            floats = noise(count)
                .map(|v| (v * 255.0 - mean[0]) / std[0])
                .collect();
            Data::F32(&floats)
        }
        InputForm::Sequence { .. } | InputForm::Frame { .. } => {
            floats = noise(count).map(|v| v * 2.0 - 1.0).collect();
            Data::F32(&floats)
        }
    };
    let mut inputs = vec![Input {
        name: &card.input.name,
        shape: &shape,
        data,
    }];
    // States, and how the crop moved.
    let more: Vec<(&str, Vec<usize>, Vec<f32>)> = card
        .inputs()
        .into_iter()
        .skip(1)
        .map(|(name, shape)| {
            let count = shape.iter().product();
            (name, shape, noise(count).collect())
        })
        .collect();
    for (name, shape, numbers) in &more {
        inputs.push(Input {
            name,
            shape,
            data: Data::F32(numbers),
        });
    }
    session
        .run(&inputs, &card.decoder.outputs())
        .unwrap_or_else(|error| panic!("{}: {error}", card.name))
}

fn both_engines_agree_on(models: &Models) {
    let found = Engine::find();
    if matches!(found, Engine::Rten { .. }) {
        eprintln!("skipped: {}", found.describe());
        return;
    }
    for model in models.iter() {
        let (one, two) = (run(model, &found), run(model, &Engine::rten("a test")));
        for (a, b) in one.iter().zip(&two) {
            assert_eq!(a.shape, b.shape, "{}", model.card.name);
            // Probabilities, metres and logits to a thousandth; coordinates in pixels to a thousandth of themselves.
            for (x, y) in a.data.iter().zip(&b.data) {
                assert!(
                    (x - y).abs() < 1e-3 * x.abs().max(1.0),
                    "{}: {x} and {y}",
                    model.card.name
                );
            }
        }
    }
}

#[test]
#[cfg(feature = "embedded-models")]
fn both_engines_agree_on_the_embedded_models() {
    let models = Models::embedded();
    assert_eq!(models.iter().count(), 5, "a card does not parse");
    both_engines_agree_on(&models);
}

#[test]
fn both_engines_agree_on_third_party_models() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models");
    if !folder.exists() {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    }
    let models = Models::from_folder(&folder).unwrap_or_else(|error| panic!("{error}"));
    assert!(models.iter().count() >= 5);
    both_engines_agree_on(&models);
}

/// A tiny network that remembers (models/train/tests/remembering.py), of random weights.
#[test]
fn both_engines_remember_people_one_by_one_and_at_once() {
    let card = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/remembering.json");
    let model = Model::open(&card, None).unwrap_or_else(|error| panic!("{error}"));
    let picture = noisy_picture();
    let look = |x: f32| Look::around(Rect::new(x, 5.0, x + 60.0, 110.0));
    let engines = [Engine::find(), Engine::rten("a test")];
    let mut of_engines = Vec::new();
    for engine in &engines {
        let mut network =
            KeypointEstimator::load(&model, engine, 1).unwrap_or_else(|error| panic!("{error}"));
        let mut see = |people: &mut [(Look, &mut Memory)], later: Option<&Memory>| -> Vec<f32> {
            let sought = people.iter_mut().map(|(look, memory)| Sought {
                look: *look,
                memory,
                later,
            });
            let found = network.follow(&picture, sought.collect());
            let found = found.unwrap_or_else(|error| panic!("{error}"));
            let all = found.iter().flat_map(|found| found.pose.present());
            all.flat_map(|(_, point)| [point.confidence.get(), point.position.x, point.position.y])
                .collect()
        };
        let (mut one, mut other, mut fresh) =
            (Memory::default(), Memory::default(), Memory::default());
        see(&mut [(look(0.0), &mut one)], None);
        for _ in 0..2 {
            see(&mut [(look(80.0), &mut other)], None);
        }
        let apart: Vec<f32> = [(look(6.0), one.clone()), (look(90.0), other.clone())]
            .into_iter()
            .flat_map(|(look, mut memory)| see(&mut [(look, &mut memory)], None))
            .collect();
        // What is known of later frames changes what is told of one, and is not what the frames before left.
        let hindsight = see(&mut [(look(6.0), &mut one.clone())], Some(&other));
        let together = see(&mut [(look(6.0), &mut one), (look(90.0), &mut other)], None);
        let forgotten = see(&mut [(look(6.0), &mut fresh)], None);
        let of_one = forgotten.len();
        assert!(
            !near(&hindsight, &together[..of_one], 1e-2) && !near(&hindsight, &forgotten, 1e-2)
        );
        assert_eq!(together.len(), 2 * 3 * model.card.joints().len());
        assert!(near(&apart, &together, 1e-3), "{engine:?}");
        assert!(
            !near(&forgotten, &together[..of_one], 1e-2),
            "nothing is remembered"
        );
        of_engines.push([together, hindsight].concat());
    }
    // Maps of random weights are flat: what moves them a little moves their peaks more.
    assert!(near(&of_engines[0], &of_engines[1], 2e-2));
}

/// Whether numbers are the same but for so much of them.
fn near(one: &[f32], other: &[f32], most: f32) -> bool {
    let pairs = one.iter().zip(other);
    one.len() == other.len()
        && pairs
            .into_iter()
            .all(|(a, b)| (a - b).abs() <= most * a.abs().max(1.0))
}

#[test]
#[cfg(feature = "embedded-models")]
fn people_seen_at_once_are_seen_as_they_are_one_by_one() {
    let models = Models::embedded();
    let model = models.of(Task::Keypoints);
    let model = model.unwrap_or_else(|error| panic!("{error}"));
    let picture = noisy_picture();
    let looks = [0.0, 40.0, 90.0].map(|x| Look::around(Rect::new(x, 5.0, x + 60.0, 110.0)));
    for engine in [Engine::find(), Engine::rten("a test")] {
        let mut network =
            KeypointEstimator::load(model, &engine, 1).unwrap_or_else(|error| panic!("{error}"));
        let mut see = |looks: &[Look]| {
            let found = network.estimate(&picture, looks);
            found.unwrap_or_else(|error| panic!("{error}"))
        };
        let together = see(&looks);
        let inputs = model.load(&engine, 1).map(|session| session.inputs());
        let is_open = inputs.is_ok_and(|inputs| inputs[0].1[0].is_none());
        assert!(is_open, "the file takes one crop only");
        assert_eq!(together.len(), looks.len());
        for (look, together) in looks.iter().zip(&together) {
            let alone = see(&[*look]);
            let mut compared = 0;
            for (joint, one) in alone[0].pose.present() {
                let Some(other) = together.pose[joint] else {
                    panic!("{joint:?} is seen alone only")
                };
                let off = (one.confidence.get() - other.confidence.get()).abs();
                let apart = one.position.distance(other.position);
                assert!(
                    off < 1e-3 && apart < 0.1,
                    "{joint:?}: {one:?} and {other:?}"
                );
                compared += 1;
            }
            assert_eq!(compared, model.card.joints().len());
        }
    }
}

#[test]
#[cfg(feature = "embedded-models")]
fn the_embedded_files_are_those_of_their_cards_and_small() {
    use sha2::{Digest, Sha256};
    let (mut total, mut of_one_camera, mut of_pictures) = (0, 0, 0);
    for model in Models::embedded().iter() {
        let sum: String = Sha256::digest(&model.onnx)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(Some(sum), model.card.sha256, "{}", model.card.name);
        total += model.onnx.len();
        match model.card.task {
            Task::Person | Task::Keypoints => of_pictures += model.onnx.len(),
            Task::Lift => assert!(model.onnx.len() < 3_000_000),
            _ => continue,
        }
        of_one_camera += model.onnx.len();
    }
    assert!(of_pictures < 5_000_000, "{of_pictures} bytes");
    assert!(of_one_camera < 8_000_000, "{of_one_camera} bytes");
    // The whole crate stays under 10 MB, with its clip and its mannequin.
    assert!(total < 9_500_000, "{total} bytes");
}

#[test]
#[cfg(feature = "embedded-models")]
fn a_card_that_asks_for_what_the_file_lacks_is_refused_by_name() {
    let models = Models::embedded();
    let Some(model) = models.iter().next() else {
        panic!("no model")
    };
    let mut model = model.clone();
    model.card.input.name = "picture".into();
    let error = model
        .load(&Engine::rten("a test"), 1)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(
        error.contains(&model.card.name) && error.contains("picture"),
        "{error}"
    );
}

/// Somebody of 300 pixels who stands before the camera: the nose and the joints of their left side, right and down of the top of their
/// head, in the order of `Lift23`.
#[cfg(feature = "embedded-models")]
const STANDING: [(f32, f32); 12] = [
    (0.0, 25.0),
    (12.0, 22.0), // ear
    (34.0, 60.0), // shoulder
    (46.0, 108.0),
    (50.0, 150.0),
    (18.0, 158.0), // hip
    (20.0, 228.0),
    (22.0, 290.0),
    (22.0, 298.0), // heel
    (28.0, 302.0),
    (52.0, 168.0), // knuckles
    (48.0, 170.0),
];

/// Somebody who moves across a picture of 640 x 480.
#[cfg(feature = "embedded-models")]
fn walking(seed: usize, frame: usize) -> Pose2d {
    let mut pose = Pose2d::default();
    let mut shake = noise(100).skip(seed);
    for (n, &joint) in JointSet::Lift23.joints().iter().enumerate() {
        // Right joints follow left ones.
        let (outward, down) = STANDING[n.div_ceil(2)];
        let right = if n.is_multiple_of(2) {
            -outward
        } else {
            outward
        };
        let off = Vec2::new(shake.next().unwrap_or(0.0), shake.next().unwrap_or(0.0));
        pose[joint] = Some(Keypoint {
            position: Vec2::new(200.0 + right, 90.0 + down) + 6.0 * off + 3.0 * frame as f32,
            confidence: Confidence::new(0.8),
        });
    }
    pose
}

#[test]
#[cfg(feature = "embedded-models")]
fn people_lifted_at_once_are_lifted_as_they_are_one_by_one() -> Result<(), ModelError> {
    let (models, camera) = (Models::embedded(), Intrinsics::assumed(640, 480));
    for engine in [Engine::find(), Engine::rten("a test")] {
        let mut lifter = Lifter::load(models.of(Task::Lift)?, &engine, 1)?;
        let mut together = [Window::default(), Window::default()];
        let mut alone = together.clone();
        for frame in 0..6 {
            // One of them comes in later, and is lost for more than a moment then.
            let there = [true, frame == 2 || frame == 5];
            let time = frame as f64 * 0.3;
            let poses = [walking(0, frame), walking(7, frame)];
            let up = (frame > 2).then_some(Vec3::NEG_Y);
            let mut people: Vec<(&mut Window, &Pose2d)> = together.iter_mut().zip(&poses).collect();
            people.truncate(if there[1] { 2 } else { 1 });
            let found = lifter.lift_all(&mut people, &camera, up, time)?;
            if frame == 5 {
                let leaning = Some(Vec3::new(0.0, -0.8, -0.6));
                let other =
                    lifter.lift(&mut alone[0].clone(), &poses[0], &camera, leaning, time)?;
                let nose = |lifted: &Option<Lifted>| {
                    lifted.as_ref()?.pose[Joint::Nose].map(|nose| nose.position)
                };
                let apart = found
                    .first()
                    .and_then(|found| Some(nose(found)? - nose(&other)?));
                assert!(
                    apart.is_some_and(|by| by.length() > 0.02),
                    "up is not asked for: {apart:?}"
                );
            }
            for (n, found) in found.into_iter().enumerate() {
                if n == 1 {
                    // Whoever comes back is as new.
                    alone[1] = Window::default();
                }
                let wanted = lifter.lift(&mut alone[n], &poses[n], &camera, up, time)?;
                let (Some(found), Some(wanted)) = (found, wanted) else {
                    panic!("somebody was not lifted");
                };
                for &joint in JointSet::Lift23.joints() {
                    let place = |lifted: &Lifted| {
                        lifted.pose[joint].map(|joint| joint.position - lifted.root)
                    };
                    let (found, wanted) = (place(&found), place(&wanted));
                    assert!(
                        found
                            .zip(wanted)
                            .is_some_and(|(found, wanted)| found.distance(wanted) < 1e-3),
                        "{joint:?} of {n} in frame {frame}: {found:?} {wanted:?}"
                    );
                }
            }
        }
    }
    Ok(())
}
