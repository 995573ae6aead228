//! glTF files: an avatar with a take as its animation. The avatar's file is kept as it is, extensions and all; only the
//! animation is added.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bevy::math::Mat4;
use gltf::binary::{Glb, Header};
use serde_json::{Value, json};

use super::bake::Animation;
use crate::retarget::humanoid::{Humanoid, HumanoidError, vrm_of};
use crate::retarget::rest_pose::RestSkeleton;
use crate::retarget::solve::Rig;

/// Our own avatar: skinned, in T-pose, facing +z.
pub const MANNEQUIN: &[u8] = include_bytes!("../../assets/avatars/mannequin.glb");

/// What goes wrong with avatars' files.
#[derive(Debug, thiserror::Error)]
pub enum GltfError {
    /// The file cannot be read.
    #[error("cannot read the avatar {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is not binary glTF.
    #[error("the avatar {name} is not a .glb or .vrm file: {error}")]
    NotGlb {
        /// The file.
        name: String,
        /// What is wrong.
        error: String,
    },
    /// The model is no humanoid.
    #[error("{name}: {error}")]
    Humanoid {
        /// The file.
        name: String,
        /// What is missing.
        error: HumanoidError,
    },
    /// The take has nobody in it.
    #[error("nobody was seen while the take ran, so there is no animation; is the camera running?")]
    Nobody,
    /// The animation makes the file larger than binary glTF may be.
    #[error("{name} with its animation does not fit into a .glb file: {error}")]
    TooLarge {
        /// The avatar's file.
        name: String,
        /// What is wrong.
        error: String,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// A binary glTF file taken apart.
#[derive(Clone, Debug)]
pub struct AvatarFile {
    name: String,
    json: Value,
    bin: Vec<u8>,
}

impl AvatarFile {
    /// Our own avatar.
    ///
    /// # Errors
    /// None that a build that passed its tests can give.
    pub fn mannequin() -> Result<AvatarFile, GltfError> {
        AvatarFile::parse("mannequin.glb", MANNEQUIN)
    }

    /// Reads a `.glb` or `.vrm` file.
    ///
    /// # Errors
    /// [`GltfError::Read`], [`GltfError::NotGlb`].
    pub fn open(path: &Path) -> Result<AvatarFile, GltfError> {
        let bytes = std::fs::read(path).map_err(|error| GltfError::Read {
            path: path.into(),
            error,
        })?;
        AvatarFile::parse(&path.display().to_string(), &bytes)
    }

    /// Takes the bytes of a file apart.
    ///
    /// # Errors
    /// [`GltfError::NotGlb`].
    pub fn parse(name: &str, bytes: &[u8]) -> Result<AvatarFile, GltfError> {
        let not_glb = |error: String| GltfError::NotGlb {
            name: name.into(),
            error,
        };
        // The reader takes 12 off the length that the header tells.
        if bytes.len() < 20 || u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) < 12 {
            return Err(not_glb("its header is broken".into()));
        }
        let glb = Glb::from_slice(bytes).map_err(|error| not_glb(error.to_string()))?;
        let json: Value =
            serde_json::from_slice(&glb.json).map_err(|error| not_glb(error.to_string()))?;
        if json["buffers"][0].get("uri").is_some() {
            return Err(not_glb(
                "its data are in another file; export it as one .glb".into(),
            ));
        }
        Ok(AvatarFile {
            name: name.into(),
            json,
            bin: glb.bin.map(Cow::into_owned).unwrap_or_default(),
        })
    }

    /// The avatar ready to be driven; `table` maps bone names to node names where guessing fails.
    ///
    /// # Errors
    /// [`GltfError::Humanoid`].
    pub fn rig(&self, table: &HashMap<String, String>) -> Result<Rig, GltfError> {
        let mut skeleton = RestSkeleton::from_gltf(&self.json);
        for skin in self.json["skins"].as_array().into_iter().flatten() {
            skeleton.bind(&self.bind_matrices(skin, &skeleton));
        }
        let vrm = vrm_of(&self.json["extensions"]);
        Humanoid::find(&skeleton, vrm, table)
            .and_then(|humanoid| Rig::new(skeleton, humanoid))
            .map_err(|error| GltfError::Humanoid {
                name: self.name.clone(),
                error,
            })
    }

    /// Index in the skeleton and inverse bind matrix of each joint of a skin.
    fn bind_matrices(&self, skin: &Value, skeleton: &RestSkeleton) -> Vec<(usize, Mat4)> {
        let Some(floats) = self.floats(&skin["inverseBindMatrices"], 16) else {
            return Vec::new();
        };
        let joints = skin["joints"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64);
        joints
            .zip(floats.as_chunks::<16>().0)
            .filter_map(|(node, matrix)| {
                Some((
                    skeleton.of_gltf_node(node as usize)?,
                    Mat4::from_cols_array(matrix),
                ))
            })
            .collect()
    }

    /// The numbers of an accessor of floats.
    fn floats(&self, accessor: &Value, per_item: usize) -> Option<Vec<f32>> {
        let accessor = &self.json["accessors"][accessor.as_u64()? as usize];
        let view = &self.json["bufferViews"][accessor["bufferView"].as_u64()? as usize];
        let offset = |value: &Value| value["byteOffset"].as_u64().unwrap_or(0) as usize;
        let start = offset(accessor).checked_add(offset(view))?;
        let length = (accessor["count"].as_u64()? as usize).checked_mul(per_item * 4)?;
        let bytes = self.bin.get(start..start.checked_add(length)?)?;
        Some(
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|four| f32::from_le_bytes(*four))
                .collect(),
        )
    }

    /// The file with one animation, in place of those it had. Node numbers of the animation are the rig's.
    ///
    /// # Errors
    /// [`GltfError::TooLarge`].
    pub fn with_animation(
        &self,
        name: &str,
        animation: &Animation,
        rig: &Rig,
    ) -> Result<Vec<u8>, GltfError> {
        let mut file = self.clone();
        let nodes = &rig.skeleton().0.nodes;
        let (mut channels, mut samplers) = (Vec::new(), Vec::new());
        if !animation.times.is_empty() {
            let times = file.store(
                animation.times.iter().copied(),
                "SCALAR",
                Some((
                    animation.times[0],
                    animation.times[animation.times.len() - 1],
                )),
            );
            let mut track = |file: &mut AvatarFile,
                             node: usize,
                             path: &str,
                             kind: &str,
                             values: &mut dyn Iterator<Item = f32>| {
                let Some(target) = nodes[node].gltf_node else {
                    return;
                };
                let output = file.store(values, kind, None);
                channels.push(
                    json!({"sampler": samplers.len(), "target": {"node": target, "path": path}}),
                );
                samplers.push(json!({"input": times, "output": output, "interpolation": "LINEAR"}));
                file.plain_transform(target);
            };
            for (node, rotations) in &animation.rotations {
                track(
                    &mut file,
                    *node,
                    "rotation",
                    "VEC4",
                    &mut rotations.iter().flat_map(|q| q.to_array()),
                );
            }
            if let Some((node, translations)) = &animation.hips {
                track(
                    &mut file,
                    *node,
                    "translation",
                    "VEC3",
                    &mut translations.iter().flat_map(|t| t.to_array()),
                );
            }
        }
        if channels.is_empty() {
            if let Some(root) = file.json.as_object_mut() {
                root.remove("animations");
            }
        } else {
            file.json["animations"] =
                json!([{"name": name, "channels": channels, "samplers": samplers}]);
            file.json["buffers"][0]["byteLength"] = file.bin.len().into();
        }
        let header = Header {
            magic: *b"glTF",
            version: 2,
            length: 0,
        };
        let text = file.json.to_string().into_bytes();
        let glb = Glb {
            header,
            json: text.into(),
            bin: Some(file.bin.into()),
        };
        glb.to_vec().map_err(|error| GltfError::TooLarge {
            name: self.name.clone(),
            error: error.to_string(),
        })
    }

    /// Animated nodes must not be given by a matrix.
    fn plain_transform(&mut self, node: usize) {
        let Some(node) = self.json["nodes"][node].as_object_mut() else {
            return;
        };
        if let Some(matrix) = node.remove("matrix") {
            let mut columns = [0.0; 16];
            for (slot, value) in columns
                .iter_mut()
                .zip(matrix.as_array().into_iter().flatten())
            {
                *slot = value.as_f64().unwrap_or(0.0) as f32;
            }
            let (scale, rotation, translation) =
                Mat4::from_cols_array(&columns).to_scale_rotation_translation();
            node.insert("translation".into(), json!(translation.to_array()));
            node.insert("rotation".into(), json!(rotation.normalize().to_array()));
            node.insert("scale".into(), json!(scale.to_array()));
        }
    }

    fn store(
        &mut self,
        values: impl Iterator<Item = f32>,
        kind: &str,
        bounds: Option<(f32, f32)>,
    ) -> usize {
        self.bin.resize(self.bin.len().next_multiple_of(4), 0);
        let offset = self.bin.len();
        self.bin.extend(values.flat_map(f32::to_le_bytes));
        let length = self.bin.len() - offset;
        let per_item = match kind {
            "VEC4" => 4,
            "VEC3" => 3,
            _ => 1,
        };
        let view = push(
            &mut self.json,
            "bufferViews",
            json!({"buffer": 0, "byteOffset": offset, "byteLength": length}),
        );
        let mut accessor = json!({"bufferView": view, "componentType": 5126, "count": length / 4 / per_item, "type": kind});
        if let Some((low, high)) = bounds {
            (accessor["min"], accessor["max"]) = (json!([low]), json!([high]));
        }
        if self.json["buffers"].as_array().is_none_or(Vec::is_empty) {
            self.json["buffers"] = json!([{}]);
        }
        push(&mut self.json, "accessors", accessor)
    }
}

/// Adds to a list of the file; returns the index.
fn push(json: &mut Value, list: &str, item: Value) -> usize {
    if !json[list].is_array() {
        json[list] = json!([]);
    }
    let Some(list) = json[list].as_array_mut() else {
        return 0;
    };
    list.push(item);
    list.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retarget::humanoid::HumanBone;
    use bevy::math::{Quat, Vec3};

    #[test]
    fn the_mannequin_is_a_whole_humanoid_as_tall_as_a_person() -> Result<(), GltfError> {
        let rig = AvatarFile::mannequin()?.rig(&HashMap::new())?;
        let (skeleton, humanoid) = rig.skeleton();
        for &bone in HumanBone::ALL
            .iter()
            .filter(|bone| **bone != HumanBone::UpperChest)
        {
            let node = humanoid.node(bone);
            assert!(
                node.is_some_and(|node| skeleton.nodes[node].name == bone.name()),
                "{bone:?}"
            );
        }
        assert!((rig.hips_height() - 0.95).abs() < 0.01);
        Ok(())
    }

    #[test]
    fn an_animation_goes_in_and_comes_out_and_the_model_stays()
    -> Result<(), Box<dyn std::error::Error>> {
        let file = AvatarFile::mannequin()?;
        let rig = file.rig(&HashMap::new())?;
        let node = rig
            .skeleton()
            .1
            .node(HumanBone::LeftUpperArm)
            .ok_or("no arm")?;
        let hips = rig.skeleton().1.node(HumanBone::Hips).ok_or("no hips")?;
        let animation = Animation {
            times: vec![0.0, 0.5],
            rotations: vec![(node, vec![Quat::IDENTITY, Quat::from_rotation_z(1.0)])],
            hips: Some((hips, vec![Vec3::Y, Vec3::new(0.0, 1.1, 0.0)])),
        };
        let bytes = file.with_animation("take", &animation, &rig)?;
        let (document, blob) = {
            let g = gltf::Gltf::from_slice(&bytes)?;
            (g.document, g.blob.ok_or("no data")?)
        };
        let found = document.animations().next().ok_or("no animation")?;
        assert_eq!(found.name(), Some("take"));
        let mut turned = None;
        for channel in found.channels() {
            let reader = channel.reader(|_| Some(&blob));
            if let Some(gltf::animation::util::ReadOutputs::Rotations(rotations)) =
                reader.read_outputs()
            {
                assert_eq!(channel.target().node().name(), Some("leftUpperArm"));
                turned = rotations.into_f32().nth(1);
            }
        }
        assert!(
            turned
                .is_some_and(|q| Quat::from_array(q).abs_diff_eq(Quat::from_rotation_z(1.0), 1e-6))
        );
        assert_eq!(document.skins().count(), 1);
        assert_eq!(
            document.buffers().next().map(|buffer| buffer.length()),
            Some(blob.len())
        );
        assert_eq!(
            bytes,
            file.with_animation("take", &animation, &rig)?,
            "the same bytes each time"
        );
        Ok(())
    }

    #[test]
    fn numbers_of_the_file_stay_as_they_are_to_the_last_bit()
    -> Result<(), Box<dyn std::error::Error>> {
        // A bound of an accessor that differs by a bit is an error to validators.
        let number = "-0.18815206736326218";
        let json =
            format!(r#"{{"asset": {{"version": "2.0"}}, "accessors": [{{"min": [{number}]}}]}}"#);
        let glb = Glb {
            header: Header {
                magic: *b"glTF",
                version: 2,
                length: 0,
            },
            json: json.into_bytes().into(),
            bin: None,
        };
        let file = AvatarFile::parse("a.glb", &glb.to_vec()?)?;
        assert!(file.json.to_string().contains(number), "{}", file.json);
        Ok(())
    }

    #[test]
    fn what_is_no_avatar_is_refused_in_one_sentence() {
        let text = AvatarFile::parse("notes.glb", b"hello, I am a text file, no model").err();
        assert!(text.is_some_and(|error| error.to_string().contains("notes.glb")));
        let boneless = AvatarFile {
            name: "cube.glb".into(),
            json: json!({"nodes": [{"name": "cube"}]}),
            bin: Vec::new(),
        };
        let error = boneless
            .rig(&HashMap::new())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            error.contains("cube.glb") && error.contains("no skeleton"),
            "{error}"
        );
    }
}
