//! Avatars as entities: the models that performers move.

use std::collections::HashMap;

use bevy::asset::io::Reader;
use bevy::asset::{AssetLoader, LoadContext};
use bevy::gltf::extensions::{
    ErasedGltfExtensionHandler, GltfExtensionHandler, GltfExtensionHandlers,
};
use bevy::gltf::{DefaultGltfImageSampler, Gltf, GltfError, GltfLoader, GltfLoaderSettings};
use bevy::image::{CompressedImageFormatSupport, CompressedImageFormats};
use bevy::mesh::skinning::{SkinnedMesh, SkinnedMeshInverseBindposes};
use bevy::prelude::*;
use bevy::world_serialization::WorldInstanceReady;

use crate::capture::{CameraStatus, Performer};
use crate::plugin::{PoseCaptureSettings, PoseCaptureSystems, order_stages};
use crate::retarget::humanoid::{Humanoid, vrm_of};
use crate::retarget::rest_pose::RestSkeleton;
use crate::retarget::solve::{Rig, hips_of};
use crate::skeleton::Pose3d;

/// A model that moves as a performer does. Put it on the entity that has the model's `WorldAssetRoot`; any glTF or VRM
/// humanoid will do.
#[derive(Component, Clone, Debug, Default)]
#[require(Transform, Visibility)]
pub struct Avatar {
    /// Whom it follows; where this is `None`, whoever entered first.
    pub performer: Option<Entity>,
    /// Bone name (VRM's) → node name, where guessing fails.
    pub bone_table: HashMap<String, String>,
}

/// A model whose bones are known. Inserted by [`RetargetPlugin`] when the model is loaded.
#[derive(Component, Clone, Debug)]
pub struct AvatarRig {
    rig: Rig,
    nodes: Vec<Entity>,
    following: Option<Following>,
}

/// What is remembered of the performer that an avatar follows.
#[derive(Clone, Copy, Debug)]
struct Following {
    performer: Entity,
    time: f64,
    /// Where they stood when it began: the avatar starts at its own entity's place.
    origin: Vec3,
    /// Avatar's legs over performer's.
    ratio: f32,
    mirror: bool,
}

/// Why a model cannot be driven. Inserted by [`RetargetPlugin`] in place of [`AvatarRig`].
#[derive(Component, Clone, Debug)]
pub struct AvatarRefused(pub String);

/// Which node of the glTF file an entity is. Inserted on load.
#[derive(Component, Reflect, Clone, Copy, Debug)]
#[reflect(Component)]
struct GltfNodeIndex(usize);

/// The VRM extension of the file, as JSON. Inserted on the scene's root on load.
#[derive(Component, Reflect, Clone, Debug)]
#[reflect(Component)]
struct VrmExtension(String);

/// Finds the bones of avatars and moves them.
pub struct RetargetPlugin;

impl Plugin for RetargetPlugin {
    fn build(&self, app: &mut App) {
        order_stages(app);
        app.register_type::<GltfNodeIndex>()
            .register_type::<VrmExtension>()
            .add_observer(find_bones)
            .add_systems(PostUpdate, retarget.in_set(PoseCaptureSystems::Retarget));
    }

    /// After every plugin's `finish`, so that the order in which they were added does not matter.
    fn cleanup(&self, app: &mut App) {
        let world = app.world();
        let (Some(sampler), Some(handlers)) = (
            world.get_resource::<DefaultGltfImageSampler>(),
            world.get_resource::<GltfExtensionHandlers>(),
        ) else {
            warn!(
                "bevy's GltfPlugin is missing, so no avatar can be loaded; add DefaultPlugins to the app"
            );
            return;
        };
        handlers
            .0
            .write_blocking()
            .push(Box::new(KeepHumanoid::default()));
        let formats = world.get_resource::<CompressedImageFormatSupport>();
        let loader = VrmLoader(GltfLoader {
            supported_compressed_formats: formats
                .map_or(CompressedImageFormats::NONE, |formats| formats.0),
            custom_vertex_attributes: default(),
            default_sampler: sampler.get_internal(),
            default_convert_coordinates: default(),
            extensions: handlers.0.clone(),
            default_skinned_mesh_bounds_policy: default(),
        });
        app.register_asset_loader(loader);
    }
}

/// Loads `.vrm` files, which are binary glTF.
#[derive(TypePath)]
struct VrmLoader(GltfLoader);

impl AssetLoader for VrmLoader {
    type Asset = Gltf;
    type Settings = GltfLoaderSettings;
    type Error = GltfError;

    async fn load(
        &self,
        reader: &mut dyn Reader,
        settings: &GltfLoaderSettings,
        context: &mut LoadContext<'_>,
    ) -> Result<Gltf, GltfError> {
        self.0.load(reader, settings, context).await
    }

    fn extensions(&self) -> &[&str] {
        &["vrm"]
    }
}

/// Keeps what Bevy's loader would drop: node numbers and VRM's bone table.
#[derive(Clone, Default)]
struct KeepHumanoid {
    vrm: Option<String>,
}

impl GltfExtensionHandler for KeepHumanoid {
    fn dyn_clone(&self) -> Box<dyn ErasedGltfExtensionHandler> {
        Box::new(self.clone())
    }

    fn on_root(&mut self, _: &mut LoadContext<'_>, file: &gltf::Gltf, _: &GltfLoaderSettings) {
        let extensions = file
            .extensions()
            .map(|map| serde_json::Value::Object(map.clone()));
        self.vrm = extensions
            .as_ref()
            .and_then(vrm_of)
            .map(ToString::to_string);
    }

    fn on_gltf_node(
        &mut self,
        _: &mut LoadContext<'_>,
        node: &gltf::Node,
        entity: &mut EntityWorldMut,
    ) {
        entity.insert(GltfNodeIndex(node.index()));
    }

    fn on_scene_completed(
        &mut self,
        _: &mut LoadContext<'_>,
        _: &gltf::Scene,
        root: Entity,
        world: &mut World,
    ) {
        if let Some(vrm) = &self.vrm {
            world.entity_mut(root).insert(VrmExtension(vrm.clone()));
        }
    }
}

fn find_bones(
    ready: On<WorldInstanceReady>,
    mut commands: Commands,
    avatars: Query<&Avatar>,
    children: Query<&Children>,
    nodes: Query<(&Transform, Option<&Name>, Option<&GltfNodeIndex>, &ChildOf)>,
    skins: Query<&SkinnedMesh>,
    bind_poses: Res<Assets<SkinnedMeshInverseBindposes>>,
    extensions: Query<&VrmExtension>,
) {
    let Ok(avatar) = avatars.get(ready.entity) else {
        return;
    };
    let mut skeleton = RestSkeleton::default();
    let mut entities: Vec<Entity> = Vec::new();
    let mut index_of: HashMap<Entity, usize> = HashMap::new();
    // Breadth first, so that parents come before their children.
    for entity in children.iter_descendants(ready.entity) {
        let Ok((transform, name, gltf_node, parent)) = nodes.get(entity) else {
            continue;
        };
        let parent = index_of.get(&parent.parent()).copied();
        let index = skeleton.push(
            name.map_or("", Name::as_str),
            parent,
            *transform,
            gltf_node.map(|node| node.0),
        );
        entities.push(entity);
        index_of.insert(entity, index);
    }
    for &entity in &entities {
        let Some((skin, poses)) = skins
            .get(entity)
            .ok()
            .and_then(|skin| Some((skin, bind_poses.get(&skin.inverse_bindposes)?)))
        else {
            continue;
        };
        let joints = skin
            .joints
            .iter()
            .zip(poses.iter())
            .filter_map(|(joint, pose)| Some((*index_of.get(joint)?, *pose)));
        skeleton.bind(&joints.collect::<Vec<_>>());
    }
    let vrm = entities
        .iter()
        .find_map(|entity| extensions.get(*entity).ok());
    let vrm: Option<serde_json::Value> = vrm.and_then(|vrm| serde_json::from_str(&vrm.0).ok());
    let rig = Humanoid::find(&skeleton, vrm.as_ref(), &avatar.bone_table)
        .and_then(|humanoid| Rig::new(skeleton, humanoid));
    match rig {
        Ok(rig) => {
            commands
                .entity(ready.entity)
                .remove::<AvatarRefused>()
                .insert(AvatarRig {
                    rig,
                    nodes: entities,
                    following: None,
                });
        }
        Err(error) => {
            error!("{error}");
            commands
                .entity(ready.entity)
                .remove::<AvatarRig>()
                .insert(AvatarRefused(error.to_string()));
        }
    }
}

/// A pose with its sides exchanged, as in a mirror that stands across x.
fn mirrored(pose: &Pose3d) -> Pose3d {
    let mut mirrored = Pose3d::default();
    for (joint, point) in pose.present() {
        let mut point = *point;
        point.position.x = -point.position.x;
        mirrored[joint.mirror()] = Some(point);
    }
    mirrored
}

fn retarget(
    mut avatars: Query<(&Avatar, &mut AvatarRig)>,
    performers: Query<(Entity, &Performer)>,
    mut bones: Query<&mut Transform, Without<Avatar>>,
    mut cameras: Query<&mut CameraStatus>,
    settings: Res<PoseCaptureSettings>,
) {
    for (avatar, mut rigged) in &mut avatars {
        let chosen = match avatar.performer {
            Some(entity) => performers.get(entity).ok(),
            None => performers.iter().min_by_key(|(_, performer)| performer.id),
        };
        let Some((entity, performer)) = chosen else {
            continue;
        };
        let before = rigged
            .following
            .filter(|following| following.performer == entity);
        if before.is_some_and(|before| before.time == performer.time) {
            continue;
        }
        let pose = if settings.mirror {
            mirrored(&performer.pose)
        } else {
            performer.pose.clone()
        };
        let Some(hips) = hips_of(&pose) else { continue };
        let legs = Rig::leg_length_of(&pose).unwrap_or(0.85).max(0.2);
        let ratio = rigged.rig.leg_length() / legs;
        let following = before.map_or(
            Following {
                performer: entity,
                time: performer.time,
                origin: hips.with_y(0.0),
                ratio,
                mirror: settings.mirror,
            },
            |mut following| {
                if following.mirror != settings.mirror {
                    // The place where they stood is mirrored with them, so that the avatar does not jump.
                    following.origin.x = -following.origin.x;
                    following.mirror = settings.mirror;
                }
                following.time = performer.time;
                // Legs do not grow: their measure settles over some seconds.
                following.ratio += (ratio - following.ratio) * 0.01;
                following
            },
        );
        rigged.following = Some(following);
        let solution = rigged
            .rig
            .solve(&pose, (hips - following.origin) * following.ratio);
        for (node, rotation) in solution.rotations {
            if let Ok(mut bone) = bones.get_mut(rigged.nodes[node]) {
                bone.rotation = rotation;
            }
        }
        if let Some((node, translation)) = solution.hips
            && let Ok(mut bone) = bones.get_mut(rigged.nodes[node])
        {
            bone.translation = translation;
        }
        if let Ok(mut status) = cameras.get_mut(performer.camera) {
            status.latency = performer.captured_at.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skeleton::{Joint, Joint3d, Origin};

    #[test]
    fn in_a_mirror_the_left_hand_is_the_right_one_on_the_same_side_of_the_picture() {
        let mut pose = Pose3d::default();
        pose[Joint::LeftWrist] = Some(Joint3d {
            position: Vec3::new(0.5, 1.0, 0.2),
            sigma: 0.0,
            origin: Origin::Lifted,
        });
        let mirrored = mirrored(&pose);
        assert_eq!(mirrored[Joint::LeftWrist], None);
        assert_eq!(
            mirrored[Joint::RightWrist].map(|p| p.position),
            Some(Vec3::new(-0.5, 1.0, 0.2))
        );
    }
}
