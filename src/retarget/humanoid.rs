//! Which node of a model is which bone of a human: by VRM's table, by names, by shape.

use std::collections::HashMap;

use bevy::math::Vec3;
use serde_json::Value;

use super::rest_pose::RestSkeleton;

macro_rules! bones {
    ($($variant:ident $name:literal,)*) => {
        /// A bone of VRM 1.0's humanoid, without fingers, eyes and jaw.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum HumanBone { $(#[doc = $name] $variant,)* }

        impl HumanBone {
            /// All bones; parents before their children.
            pub const ALL: &[HumanBone] = &[$(HumanBone::$variant,)*];

            /// VRM's name of the bone.
            pub fn name(self) -> &'static str {
                match self { $(HumanBone::$variant => $name,)* }
            }
        }
    };
}

bones! {
    Hips "hips", Spine "spine", Chest "chest", UpperChest "upperChest", Neck "neck", Head "head",
    LeftShoulder "leftShoulder", LeftUpperArm "leftUpperArm", LeftLowerArm "leftLowerArm", LeftHand "leftHand",
    RightShoulder "rightShoulder", RightUpperArm "rightUpperArm", RightLowerArm "rightLowerArm", RightHand "rightHand",
    LeftUpperLeg "leftUpperLeg", LeftLowerLeg "leftLowerLeg", LeftFoot "leftFoot", LeftToes "leftToes",
    RightUpperLeg "rightUpperLeg", RightLowerLeg "rightLowerLeg", RightFoot "rightFoot", RightToes "rightToes",
}

/// Bones without which nothing is driven.
pub const REQUIRED: &[HumanBone] = {
    use HumanBone::*;
    &[
        Hips,
        LeftUpperArm,
        LeftLowerArm,
        RightUpperArm,
        RightLowerArm,
        LeftUpperLeg,
        LeftLowerLeg,
        RightUpperLeg,
        RightLowerLeg,
    ]
};

/// Why a model cannot be driven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HumanoidError {
    /// There are no bones at all.
    #[error("the avatar has no skeleton; export it with its armature and skin")]
    NoSkeleton,
    /// Some of the bones that are needed were not found.
    #[error("the avatar's skeleton lacks {}; name their nodes in `Avatar::bone_table` (in examples: --bone leftUpperArm=NODE)", .0.join(", "))]
    Missing(Vec<&'static str>),
    /// The bone table names a bone that nobody has.
    #[error("the bone table names a bone {name:?}, which is none of {}", HumanBone::ALL.iter().map(|bone| bone.name()).collect::<Vec<_>>().join(", "))]
    NoSuchBone {
        /// As in the table.
        name: String,
    },
    /// The bone table names a node that the model lacks.
    #[error(
        "the bone table names a node {name:?} for {bone}, which the avatar lacks; {}",
        near_or_all(near)
    )]
    NoSuchNode {
        /// The bone.
        bone: &'static str,
        /// As in the table.
        name: String,
        /// Nodes with names like it.
        near: Vec<String>,
    },
}

fn near_or_all(near: &[String]) -> String {
    if near.is_empty() {
        "its nodes are named otherwise".into()
    } else {
        format!("is it {}?", near.join(" or "))
    }
}

/// The node of each bone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Humanoid {
    nodes: HashMap<HumanBone, usize>,
}

impl Humanoid {
    /// The node of a bone.
    pub fn node(&self, bone: HumanBone) -> Option<usize> {
        self.nodes.get(&bone).copied()
    }

    /// The best mapping: `table` (bone name → node name) over VRM's own over names over shape.
    ///
    /// # Errors
    /// [`HumanoidError`] when bones that are needed cannot be found.
    pub fn find(
        skeleton: &RestSkeleton,
        vrm: Option<&Value>,
        table: &HashMap<String, String>,
    ) -> Result<Self, HumanoidError> {
        if skeleton.nodes.len() < REQUIRED.len() {
            return Err(HumanoidError::NoSkeleton);
        }
        check_table(skeleton, table)?;
        let by_its_own_table = vrm.map(|vrm| by_vrm(vrm, skeleton));
        let guesses = [by_names, by_shape]
            .into_iter()
            .map(|guess| guess(skeleton));
        let mut best: Option<Humanoid> = None;
        for mut candidate in by_its_own_table.into_iter().chain(guesses) {
            candidate.apply_table(skeleton, table);
            if candidate.missing().is_empty() {
                return Ok(candidate);
            }
            if best
                .as_ref()
                .is_none_or(|best| candidate.missing().len() < best.missing().len())
            {
                best = Some(candidate);
            }
        }
        Err(match best {
            Some(best) if best.nodes.len() > 2 => HumanoidError::Missing(best.missing()),
            _ => HumanoidError::NoSkeleton,
        })
    }

    fn missing(&self) -> Vec<&'static str> {
        REQUIRED
            .iter()
            .filter(|bone| !self.nodes.contains_key(bone))
            .map(|bone| bone.name())
            .collect()
    }

    fn apply_table(&mut self, skeleton: &RestSkeleton, table: &HashMap<String, String>) {
        for &bone in HumanBone::ALL {
            let wanted = table.get(bone.name());
            if let Some(node) =
                wanted.and_then(|name| skeleton.nodes.iter().position(|node| node.name == *name))
            {
                self.nodes.insert(bone, node);
            }
        }
    }
}

/// Reads an entry of a bone table as users type it: `leftHand=NODE`.
///
/// # Errors
/// A sentence on how to say it.
pub fn table_entry(text: &str) -> Result<(String, String), String> {
    let (bone, node) = text.split_once('=').ok_or("say it as leftHand=NODE")?;
    Ok((bone.trim().into(), node.trim().into()))
}

/// A table with a slip of the pen is told so, rather than left half unread.
fn check_table(
    skeleton: &RestSkeleton,
    table: &HashMap<String, String>,
) -> Result<(), HumanoidError> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort();
    for (name, node) in entries {
        let known = HumanBone::ALL.iter().find(|bone| bone.name() == name);
        let Some(bone) = known else {
            return Err(HumanoidError::NoSuchBone { name: name.clone() });
        };
        if !skeleton.nodes.iter().any(|there| there.name == *node) {
            let wanted = node.to_lowercase();
            let is_near = |name: &&str| {
                let name = name.to_lowercase();
                !name.is_empty() && (name.contains(&wanted) || wanted.contains(&name))
            };
            let names = skeleton.nodes.iter().map(|node| node.name.as_str());
            return Err(HumanoidError::NoSuchNode {
                bone: bone.name(),
                name: node.clone(),
                near: names.filter(is_near).take(3).map(String::from).collect(),
            });
        }
    }
    Ok(())
}

/// The VRM extension among a file's extensions, 1.0 or 0.x.
pub fn vrm_of(extensions: &Value) -> Option<&Value> {
    extensions.get("VRMC_vrm").or_else(|| extensions.get("VRM"))
}

/// VRM's table: 1.0 maps names to nodes, 0.x lists them.
fn by_vrm(vrm: &Value, skeleton: &RestSkeleton) -> Humanoid {
    let mut nodes = HashMap::new();
    let bones = &vrm["humanoid"]["humanBones"];
    for &bone in HumanBone::ALL {
        let entry = match bones {
            Value::Array(list) => list
                .iter()
                .find(|entry| entry["bone"] == bone.name())
                .map(|entry| &entry["node"]),
            _ => bones.get(bone.name()).map(|entry| &entry["node"]),
        };
        let node = entry.and_then(Value::as_u64).map(|node| node as usize);
        if let Some(index) = node.and_then(|node| {
            skeleton
                .nodes
                .iter()
                .position(|n| n.gltf_node == Some(node))
        }) {
            nodes.insert(bone, index);
        }
    }
    Humanoid { nodes }
}

/// The words of a name, lower case, without prefixes of tools and numbers: `mixamorig:LeftUpLeg` → left up leg.
fn words(name: &str) -> Vec<String> {
    let name = name.rsplit(':').next().unwrap_or(name);
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let starts = c.is_uppercase() && before.is_lowercase()
            || c.is_ascii_digit() != before.is_ascii_digit();
        if !c.is_alphanumeric() || starts {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words
                .last_mut()
                .unwrap_or(&mut String::new())
                .extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Names that Mixamo, Unreal, Blender's Rigify and others give to bones; sides are found apart.
const NAMES: &[(&str, &[&str])] = &[
    ("hips", &["hips", "pelvis", "hip"]),
    ("spine", &["spine", "spine1", "tummy", "abdomen", "waist"]),
    ("chest", &["chest", "spine2", "torso"]),
    ("upperChest", &["upperchest", "spine3"]),
    ("neck", &["neck", "neck1"]),
    ("head", &["head"]),
    ("Shoulder", &["shoulder", "clavicle", "collar"]),
    ("UpperArm", &["upperarm", "arm", "uparm", "shldr"]),
    ("LowerArm", &["lowerarm", "forearm", "elbow"]),
    ("Hand", &["hand", "wrist"]),
    ("UpperLeg", &["upperleg", "upleg", "thigh"]),
    ("LowerLeg", &["lowerleg", "leg", "calf", "shin", "knee"]),
    ("Foot", &["foot", "ankle"]),
    ("Toes", &["toes", "toebase", "toe", "ball"]),
];

fn by_names(skeleton: &RestSkeleton) -> Humanoid {
    let mut nodes = HashMap::new();
    // A mesh may be called as a bone is: nodes that move a skin come first.
    let (joints, others): (Vec<usize>, Vec<usize>) =
        (0..skeleton.nodes.len()).partition(|&index| skeleton.nodes[index].moves_skin);
    for index in joints.into_iter().chain(others) {
        let node = &skeleton.nodes[index];
        let mut words = words(&node.name);
        let mut side = "";
        words.retain(|word| match word.as_str() {
            "left" | "l" => {
                side = "left";
                false
            }
            "right" | "r" => {
                side = "right";
                false
            }
            "armature" | "joint" | "bone" | "def" | "jnt" => false,
            _ => true,
        });
        // Numbers count only on spines and necks: `spine_01`, `Spine1`, but not the `01` of a lone `head.01`.
        let number: Option<u32> = words.iter().find_map(|word| word.parse().ok());
        words.retain(|word| word.parse::<u32>().is_err());
        let joined = words.concat();
        let with_number = number.filter(|n| *n > 0).map(|n| format!("{joined}{n}"));
        for (bone, names) in NAMES {
            let exact =
                names.contains(&joined.as_str()) && (joined != "spine" || number.unwrap_or(0) == 0);
            if exact
                || with_number
                    .as_ref()
                    .is_some_and(|name| names.contains(&name.as_str()))
            {
                let sided = bone.starts_with(char::is_uppercase);
                if sided == side.is_empty() {
                    continue;
                }
                let name = format!("{side}{bone}");
                if let Some(&bone) = HumanBone::ALL.iter().find(|b| b.name() == name) {
                    nodes.entry(bone).or_insert(index);
                }
            }
        }
    }
    let mut found = Humanoid { nodes };
    // Mixamo's Spine, Spine1, Spine2 are spine, chest, upper chest; Unreal's count from 1.
    let chain: Vec<usize> = skeleton
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| {
            words(&node.name)
                .first()
                .is_some_and(|word| word == "spine")
        })
        .map(|(index, _)| index)
        .collect();
    if chain.len() >= 2 {
        for bone in [HumanBone::Spine, HumanBone::Chest, HumanBone::UpperChest] {
            found.nodes.remove(&bone);
        }
        for (bone, node) in [HumanBone::Spine, HumanBone::Chest, HumanBone::UpperChest]
            .into_iter()
            .zip(chain)
        {
            found.nodes.insert(bone, node);
        }
    }
    found
}

/// The nodes from `start` down to where the chain branches or ends.
fn chain_from(skeleton: &RestSkeleton, start: usize) -> Vec<usize> {
    let mut chain = vec![start];
    while let [only] = skeleton.nodes[chain[chain.len() - 1]].children[..] {
        chain.push(only);
    }
    chain
}

/// By shape alone: the hips are where two chains go down and one goes up; the chest is where arms leave to both sides.
fn by_shape(skeleton: &RestSkeleton) -> Humanoid {
    use HumanBone::*;
    let mut nodes = HashMap::new();
    let place = |node: usize| skeleton.nodes[node].rest.translation;
    let floor = skeleton
        .nodes
        .iter()
        .map(|node| node.rest.translation.y)
        .fold(f32::MAX, f32::min);
    let top = skeleton
        .nodes
        .iter()
        .map(|node| node.rest.translation.y)
        .fold(f32::MIN, f32::max);
    let lowest = |node: usize| {
        skeleton
            .subtree(node)
            .into_iter()
            .map(|n| place(n).y)
            .fold(f32::MAX, f32::min)
    };
    let near_floor = floor + 0.2 * (top - floor);
    for hips in 0..skeleton.nodes.len() {
        let children = &skeleton.nodes[hips].children;
        let legs: Vec<usize> = children
            .iter()
            .copied()
            .filter(|&c| lowest(c) < near_floor)
            .collect();
        let Some(&spine) = children
            .iter()
            .find(|&&c| lowest(c) >= near_floor && place(c).y > place(hips).y - 0.02)
        else {
            continue;
        };
        let &[one, two] = legs.as_slice() else {
            continue;
        };
        let (leg_one, leg_two) = (chain_from(skeleton, one), chain_from(skeleton, two));
        if leg_one.len() < 3 || leg_two.len() < 3 {
            continue;
        }
        // The legs stand side by side. Toes lie ahead of the ankles; where there are none, models face +z as glTF asks for.
        let apart = (place(one) - place(two)).with_y(0.0).normalize_or(Vec3::X);
        let ahead = leg_one
            .get(3)
            .map_or(Vec3::Z, |&toe| (place(toe) - place(leg_one[2])).with_y(0.0));
        // Left is where up and ahead make it.
        let left = apart * apart.dot(Vec3::Y.cross(ahead)).signum();
        let is_left = |a: usize, b: usize| (place(a) - place(b)).dot(left) > 0.0;
        let (left_leg, right_leg) = if is_left(one, two) {
            (leg_one, leg_two)
        } else {
            (leg_two, leg_one)
        };
        for (leg, bones) in [
            (left_leg, [LeftUpperLeg, LeftLowerLeg, LeftFoot, LeftToes]),
            (
                right_leg,
                [RightUpperLeg, RightLowerLeg, RightFoot, RightToes],
            ),
        ] {
            nodes.extend(bones.into_iter().zip(leg));
        }
        nodes.insert(Hips, hips);
        let back = chain_from(skeleton, spine);
        nodes.extend(
            [Spine, Chest, UpperChest]
                .into_iter()
                .zip(back.iter().copied()),
        );
        let branches = &skeleton.nodes[back[back.len() - 1]].children;
        let reach = |n: usize| {
            skeleton
                .subtree(n)
                .into_iter()
                .map(|m| (place(m) - place(hips)).dot(left))
        };
        let mut arms: Vec<usize> = branches.clone();
        arms.sort_by(|&a, &b| {
            let wide = |n| reach(n).map(f32::abs).fold(0.0, f32::max);
            wide(b).total_cmp(&wide(a))
        });
        if let [one, two, ..] = arms[..] {
            let (left, right) = if reach(one).sum::<f32>() > 0.0 {
                (one, two)
            } else {
                (two, one)
            };
            for (arm, bones) in [
                (left, [LeftShoulder, LeftUpperArm, LeftLowerArm, LeftHand]),
                (
                    right,
                    [RightShoulder, RightUpperArm, RightLowerArm, RightHand],
                ),
            ] {
                let chain = chain_from(skeleton, arm);
                let skip = usize::from(chain.len() < 4);
                nodes.extend(bones.into_iter().skip(skip).zip(chain));
            }
            if let Some(&neck) = branches.iter().find(|&&n| n != one && n != two) {
                let chain = chain_from(skeleton, neck);
                nodes.insert(Neck, neck);
                if let Some(&head) = chain.get(1) {
                    nodes.insert(Head, head);
                }
            }
        }
        break;
    }
    Humanoid { nodes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_tools_are_cut_into_words() {
        assert_eq!(words("mixamorig:LeftUpLeg"), ["left", "up", "leg"]);
        assert_eq!(words("upperarm.l"), ["upperarm", "l"]);
        assert_eq!(words("spine_01"), ["spine", "01"]);
        assert_eq!(words("mixamorig:Spine2"), ["spine", "2"]);
    }

    use bevy::math::Quat;
    use bevy::transform::components::Transform;

    /// A figure in T-pose that faces +z, turned about y: bone, parent, place.
    const FIGURE: &[(HumanBone, Option<HumanBone>, [f32; 3])] = {
        use HumanBone::*;
        &[
            (Hips, None, [0.0, 1.0, 0.0]),
            (Spine, Some(Hips), [0.0, 1.1, 0.0]),
            (Chest, Some(Spine), [0.0, 1.3, 0.0]),
            (Neck, Some(Chest), [0.0, 1.5, 0.0]),
            (Head, Some(Neck), [0.0, 1.6, 0.0]),
            (LeftShoulder, Some(Chest), [0.05, 1.45, 0.0]),
            (LeftUpperArm, Some(LeftShoulder), [0.2, 1.45, 0.0]),
            (LeftLowerArm, Some(LeftUpperArm), [0.5, 1.45, 0.0]),
            (LeftHand, Some(LeftLowerArm), [0.75, 1.45, 0.0]),
            (RightShoulder, Some(Chest), [-0.05, 1.45, 0.0]),
            (RightUpperArm, Some(RightShoulder), [-0.2, 1.45, 0.0]),
            (RightLowerArm, Some(RightUpperArm), [-0.5, 1.45, 0.0]),
            (RightHand, Some(RightLowerArm), [-0.75, 1.45, 0.0]),
            (LeftUpperLeg, Some(Hips), [0.1, 0.95, 0.0]),
            (LeftLowerLeg, Some(LeftUpperLeg), [0.1, 0.5, 0.0]),
            (LeftFoot, Some(LeftLowerLeg), [0.1, 0.08, 0.0]),
            (LeftToes, Some(LeftFoot), [0.1, 0.02, 0.12]),
            (RightUpperLeg, Some(Hips), [-0.1, 0.95, 0.0]),
            (RightLowerLeg, Some(RightUpperLeg), [-0.1, 0.5, 0.0]),
            (RightFoot, Some(RightLowerLeg), [-0.1, 0.08, 0.0]),
            (RightToes, Some(RightFoot), [-0.1, 0.02, 0.12]),
        ]
    };

    /// The figure with its nodes named by `name`, after a mesh that is called as a bone is.
    fn figure(turn: f32, name: impl Fn(HumanBone) -> String) -> RestSkeleton {
        let mut skeleton = RestSkeleton::default();
        let turn = Quat::from_rotation_y(turn);
        let root = skeleton.push("Armature", None, Transform::IDENTITY, None);
        skeleton.push(
            &name(HumanBone::Head),
            Some(root),
            Transform::IDENTITY,
            None,
        );
        let mut places: HashMap<HumanBone, (usize, Vec3)> = HashMap::new();
        for (bone, parent, at) in FIGURE {
            let at = turn * Vec3::from_array(*at);
            let (above, from) = parent.map_or((root, Vec3::ZERO), |parent| places[&parent]);
            let local = Transform::from_translation(at - from);
            let node = skeleton.push(&name(*bone), Some(above), local, None);
            skeleton.nodes[node].moves_skin = true;
            places.insert(*bone, (node, at));
        }
        skeleton
    }

    fn expect_all(skeleton: &RestSkeleton, guess: &Humanoid, but: &[HumanBone], what: &str) {
        for (index, (bone, ..)) in FIGURE.iter().enumerate() {
            if !but.contains(bone) {
                let found = guess
                    .node(*bone)
                    .map(|node| skeleton.nodes[node].name.clone());
                assert_eq!(
                    guess.node(*bone),
                    Some(index + 2),
                    "{what}: {bone:?} is {found:?}"
                );
            }
        }
    }

    #[test]
    fn bones_are_known_by_the_names_that_tools_give_them() {
        use HumanBone::*;
        let sided = |bone: HumanBone, names: [&str; 8]| {
            let kinds = [
                "Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot", "Toes",
            ];
            let kind = kinds.iter().position(|kind| bone.name().ends_with(kind));
            kind.map(|kind| names[kind].to_owned())
        };
        let is_left = |bone: HumanBone| bone.name().starts_with("left");
        let mixamo = |bone: HumanBone| {
            let side = if is_left(bone) { "Left" } else { "Right" };
            let part = sided(
                bone,
                [
                    "Shoulder", "Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot", "ToeBase",
                ],
            );
            let middle = match bone {
                Hips => "Hips",
                Spine => "Spine",
                Chest => "Spine1",
                Neck => "Neck",
                _ => "Head",
            };
            part.map_or(format!("mixamorig:{middle}"), |part| {
                format!("mixamorig:{side}{part}")
            })
        };
        let unreal = |bone: HumanBone| {
            let side = if is_left(bone) { "l" } else { "r" };
            let part = sided(
                bone,
                [
                    "clavicle", "upperarm", "lowerarm", "hand", "thigh", "calf", "foot", "ball",
                ],
            );
            let middle = match bone {
                Hips => "pelvis",
                Spine => "spine_01",
                Chest => "spine_02",
                Neck => "neck_01",
                _ => "head",
            };
            part.map_or(middle.into(), |part| format!("{part}_{side}"))
        };
        let blender = |bone: HumanBone| {
            let side = if is_left(bone) { "L" } else { "R" };
            let part = sided(
                bone,
                [
                    "shoulder",
                    "upper_arm",
                    "forearm",
                    "hand",
                    "thigh",
                    "shin",
                    "foot",
                    "toe",
                ],
            );
            let middle = match bone {
                Hips => "hips",
                Spine => "spine",
                Chest => "chest",
                Neck => "neck",
                _ => "head",
            };
            part.map_or(middle.into(), |part| format!("{part}.{side}"))
        };
        for (what, skeleton) in [
            ("Mixamo", figure(0.0, mixamo)),
            ("Unreal", figure(0.0, unreal)),
            ("Blender", figure(0.0, blender)),
        ] {
            expect_all(&skeleton, &by_names(&skeleton), &[], what);
        }
    }

    #[test]
    fn bones_without_names_are_known_by_shape_whichever_way_the_model_faces() {
        for quarter in 0..4 {
            let turn = quarter as f32 * std::f32::consts::FRAC_PI_2 + 0.1;
            let skeleton = figure(turn, |bone| format!("node {}", bone as u32));
            expect_all(
                &skeleton,
                &by_shape(&skeleton),
                &[],
                &format!("turned {turn}"),
            );
        }
    }

    #[test]
    fn vrms_own_table_is_read_in_both_versions() {
        let mut skeleton = figure(0.0, |bone| format!("node {}", bone as u32));
        for (index, node) in skeleton.nodes.iter_mut().enumerate() {
            node.gltf_node = Some(index + 100);
        }
        let bones = || {
            FIGURE
                .iter()
                .enumerate()
                .map(|(n, (bone, ..))| (bone.name(), n + 102))
        };
        let new = serde_json::json!({"humanoid": {"humanBones": bones()
            .map(|(name, node)| (name.to_owned(), serde_json::json!({"node": node})))
            .collect::<serde_json::Map<_, _>>()}});
        let old = serde_json::json!({"humanoid": {"humanBones": bones()
            .map(|(name, node)| serde_json::json!({"bone": name, "node": node}))
            .collect::<Vec<_>>()}});
        for vrm in [new, old] {
            expect_all(&skeleton, &by_vrm(&vrm, &skeleton), &[], "VRM");
        }
    }

    #[test]
    fn a_slip_in_the_bone_table_is_named() {
        let skeleton = figure(0.0, |bone| bone.name().to_owned());
        let find = |bone: &str, node: &str| {
            let table = HashMap::from([(bone.to_owned(), node.to_owned())]);
            let found = Humanoid::find(&skeleton, None, &table);
            found
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(find("leftHnd", "leftHand").contains("\"leftHnd\""));
        let told = find("leftHand", "LeftHand.001");
        assert!(
            told.contains("LeftHand.001") && told.contains("is it leftHand?"),
            "{told}"
        );
        assert_eq!(find("leftHand", "leftHand"), "");
    }

    #[test]
    fn a_model_without_bones_says_so() {
        let error = Humanoid::find(&RestSkeleton::default(), None, &HashMap::new());
        assert_eq!(error, Err(HumanoidError::NoSkeleton));
    }
}
