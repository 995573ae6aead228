//! Avatars as entities: the models that performers move.

mod cast;

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

use crate::capture::{CameraStatus, Performer, on_the_floor};
use crate::plugin::{PoseCaptureSettings, PoseCaptureSystems, order_stages};
use crate::retarget::humanoid::{HumanBone, Humanoid, vrm_of};
use crate::retarget::rest_pose::RestSkeleton;
use crate::retarget::solve::{Rig, Solution, hips_of};
use crate::skeleton::Pose3d;
use cast::{Part, Role, cast};

/// A model that moves as a performer does. Put it on the entity that has the model's `WorldAssetRoot`; any glTF or VRM
/// humanoid will do.
///
/// Its bones' rotations are set, and where its hips are, in the entity's own space: about the place where the performer stood when it began
/// to follow them, scaled by how long its legs are for theirs. The entity's own `Transform` is never touched, and may move the avatar through
/// a world; [`AvatarRig::bone`] of the hips tells where it walks. Fingers and faces are not moved. While nobody is there, neither are bones.
///
/// Two that name no performer follow two people, as soon as there are so many; until then they move alike. Whoever has an avatar keeps it while
/// they are hidden for a moment. To choose, give them theirs when they enter ([`PerformerEntered`](crate::capture::PerformerEntered)).
#[derive(Component, Clone, Debug, Default)]
#[require(Transform, Visibility)]
pub struct Avatar {
    /// Whom it follows, as long as they are there; where this is `None`, whoever entered first of those who have no avatar, or, where they
    /// all have, somebody who has.
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
    /// What was asked of the bones last.
    shown: Solution,
}

impl AvatarRig {
    /// The entity of a bone, where the model has it: for what an avatar carries.
    pub fn bone(&self, bone: HumanBone) -> Option<Entity> {
        let (_, humanoid) = self.rig.skeleton();
        self.nodes.get(humanoid.node(bone)?).copied()
    }

    /// Takes in how a performer stands now, whom it followed `before` or not; false where they have no hips. `across` is the normal of the
    /// mirror before them.
    fn follow(
        &mut self,
        (part, performer): (Part, &Performer),
        before: Option<Following>,
        across: Vec3,
        mirror: bool,
    ) -> bool {
        let pose = if mirror {
            mirrored(&performer.pose, across)
        } else {
            performer.pose.clone()
        };
        let Some(hips) = hips_of(&pose) else {
            return false;
        };
        let legs = Rig::leg_length_of(&pose).unwrap_or(0.85).max(0.2);
        let ratio = self.rig.leg_length() / legs;
        let following = before.map_or(
            Following {
                part,
                camera: performer.camera,
                time: performer.time,
                origin: hips.with_y(0.0),
                ratio,
                mirror,
            },
            |mut following| {
                if following.mirror != mirror {
                    // The place where they stood is mirrored with them, so that the avatar does not jump.
                    following.origin = following.origin.reflect(across);
                    following.mirror = mirror;
                }
                let elapsed = (performer.time - following.time).max(0.0) as f32;
                following.part = part;
                following.time = performer.time;
                following.ratio += (ratio - following.ratio) * (1.0 - (-elapsed / SETTLING).exp());
                following
            },
        );
        self.following = Some(following);
        if before.is_none() {
            self.rig.forget();
        }
        let solution = self
            .rig
            .solve(&pose, (hips - following.origin) * following.ratio);
        self.take(solution);
        true
    }

    /// What is asked of the bones from now on; those of which nothing is said stay as they were.
    fn take(&mut self, newer: Solution) {
        self.shown.hips = newer.hips.or(self.shown.hips);
        for (node, rotation) in newer.rotations {
            let mut known = self.shown.rotations.iter_mut();
            match known.find(|(known, _)| *known == node) {
                Some(known) => known.1 = rotation,
                None => self.shown.rotations.push((node, rotation)),
            }
        }
    }

    /// Moves the bones that are not where they were asked to be.
    fn show(&self, bones: &mut Query<&mut Transform, Without<Avatar>>) {
        for &(node, rotation) in &self.shown.rotations {
            if let Ok(mut bone) = bones.get_mut(self.nodes[node])
                && bone.rotation != rotation
            {
                bone.rotation = rotation;
            }
        }
        if let Some((node, translation)) = self.shown.hips
            && let Ok(mut bone) = bones.get_mut(self.nodes[node])
            && bone.translation != translation
        {
            bone.translation = translation;
        }
    }
}

/// What is remembered of the performer that an avatar follows.
#[derive(Clone, Copy, Debug)]
struct Following {
    part: Part,
    /// Before which the mirror stands. It is the first one for as long as they are followed: a mirror that went from camera to
    /// camera would turn the avatar round.
    camera: Entity,
    time: f64,
    /// Where they stood when it began: the avatar starts at its own entity's place.
    origin: Vec3,
    /// Avatar's legs over performer's.
    ratio: f32,
    mirror: bool,
}

/// Legs do not grow: how long they are for the avatar's settles over some seconds.
const SETTLING: f32 = 3.0;

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
            .add_observer(read_skeleton)
            .add_systems(
                PostUpdate,
                (find_bones, retarget)
                    .chain()
                    .in_set(PoseCaptureSystems::Retarget),
            );
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

/// What was loaded: a model's nodes as its file has them, before anything moves them. Inserted with [`Avatar`]s and skinned
/// models, so that an [`Avatar`] may come, or its bone table change, after the model.
#[derive(Component)]
struct LoadedModel {
    skeleton: RestSkeleton,
    nodes: Vec<Entity>,
    vrm: Option<serde_json::Value>,
    /// The bone table with which its bones were looked for.
    searched: Option<HashMap<String, String>>,
}

fn read_skeleton(
    ready: On<WorldInstanceReady>,
    mut commands: Commands,
    avatars: Query<&Avatar>,
    children: Query<&Children>,
    nodes: Query<(&Transform, Option<&Name>, Option<&GltfNodeIndex>, &ChildOf)>,
    skins: Query<&SkinnedMesh>,
    bind_poses: Res<Assets<SkinnedMeshInverseBindposes>>,
    extensions: Query<&VrmExtension>,
) {
    let is_skinned = || {
        let mut all = children.iter_descendants(ready.entity);
        all.any(|entity| skins.contains(entity))
    };
    if !avatars.contains(ready.entity) && !is_skinned() {
        return;
    }
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
    commands.entity(ready.entity).insert(LoadedModel {
        skeleton,
        nodes: entities,
        vrm: vrm.and_then(|vrm| serde_json::from_str(&vrm.0).ok()),
        searched: None,
    });
}

fn find_bones(
    mut commands: Commands,
    mut models: Query<
        (Entity, &Avatar, &mut LoadedModel),
        Or<(Changed<Avatar>, Changed<LoadedModel>)>,
    >,
) {
    for (entity, avatar, mut model) in &mut models {
        if model.searched.as_ref() == Some(&avatar.bone_table) {
            continue;
        }
        model.searched = Some(avatar.bone_table.clone());
        let rig = Humanoid::find(&model.skeleton, model.vrm.as_ref(), &avatar.bone_table)
            .and_then(|humanoid| Rig::new(model.skeleton.clone(), humanoid));
        match rig {
            Ok(rig) => {
                let rig = AvatarRig {
                    rig,
                    nodes: model.nodes.clone(),
                    following: None,
                    shown: Solution::default(),
                };
                commands
                    .entity(entity)
                    .remove::<AvatarRefused>()
                    .insert(rig);
            }
            Err(error) => {
                error!("{error}");
                let refused = AvatarRefused(error.to_string());
                commands
                    .entity(entity)
                    .remove::<AvatarRig>()
                    .insert(refused);
            }
        }
    }
}

/// A pose with its sides exchanged, as in a mirror through the world's origin; `across` is the mirror's normal.
fn mirrored(pose: &Pose3d, across: Vec3) -> Pose3d {
    let mut mirrored = Pose3d::default();
    for (joint, point) in pose.present() {
        let mut point = *point;
        point.position = point.position.reflect(across);
        mirrored[joint.mirror()] = Some(point);
    }
    mirrored
}

fn retarget(
    mut avatars: Query<(Entity, &Avatar, Option<&mut AvatarRig>)>,
    performers: Query<(Entity, &Performer)>,
    mut bones: Query<&mut Transform, Without<Avatar>>,
    mut cameras: Query<(&mut CameraStatus, &GlobalTransform)>,
    settings: Res<PoseCaptureSettings>,
) {
    let mut seen: Vec<(Entity, &Performer)> =
        performers.iter().filter(|(_, one)| one.is_seen()).collect();
    seen.sort_by_key(|(_, performer)| (performer.entered(), performer.id));
    let seen: Vec<Entity> = seen.into_iter().map(|(entity, _)| entity).collect();
    // Whoever is named is kept for avatars that are still loading, too; they take nobody else.
    let roles = avatars
        .iter()
        .filter(|(_, avatar, rigged)| rigged.is_some() || avatar.performer.is_some());
    let roles = roles.map(|(entity, avatar, rigged)| Role {
        avatar: entity,
        named: avatar.performer,
        before: rigged
            .and_then(|rigged| Some(rigged.following?.part))
            .filter(|part| performers.contains(part.performer)),
    });
    let parts = cast(roles.collect(), &seen);
    for (avatar, _, rigged) in &mut avatars {
        let (Some(mut rigged), Some(&part)) = (rigged, parts.get(&avatar)) else {
            continue;
        };
        let Ok((_, performer)) = performers.get(part.performer) else {
            continue;
        };
        let before = rigged
            .following
            .filter(|following| following.part.performer == part.performer);
        if before.is_none_or(|before| before.time != performer.time) {
            // The mirror stands where the camera does.
            let mirror_at = before.map_or(performer.camera, |before| before.camera);
            let across = cameras
                .get(mirror_at)
                .map_or(Vec3::X, |(_, place)| on_the_floor(place).rotation * Vec3::X);
            let follows = rigged.follow((part, performer), before, across, settings.mirror);
            if follows && let Ok((mut status, _)) = cameras.get_mut(performer.camera) {
                status.latency = performer.captured_at.elapsed();
            }
        }
        // Without a new picture as well: an animation that plays on the model moves its bones in every update.
        rigged.show(&mut bones);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::gltf::{AvatarFile, GltfError};
    use crate::retarget::solve::tests::waving;
    use crate::skeleton::{Joint, Joint3d, Origin};

    /// An app in which avatars follow performers.
    fn stage() -> App {
        let mut app = App::new();
        order_stages(&mut app);
        app.add_systems(Update, retarget);
        app
    }

    /// A mannequin, and its nodes.
    fn mannequin(world: &mut World) -> Result<(Entity, Vec<Entity>), GltfError> {
        let rig = AvatarFile::mannequin()?.rig(&HashMap::new())?;
        let mut node = |_| world.spawn(Transform::default()).id();
        let nodes: Vec<Entity> = (0..rig.skeleton().0.nodes.len()).map(&mut node).collect();
        let rig = AvatarRig {
            rig,
            nodes: nodes.clone(),
            following: None,
            shown: Solution::default(),
        };
        Ok((world.spawn((Avatar::default(), rig)).id(), nodes))
    }

    #[test]
    fn two_avatars_follow_two_people_and_one_who_is_left_together() -> Result<(), GltfError> {
        let mut app = stage();
        let world = app.world_mut();
        let avatars = [mannequin(world)?.0, mannequin(world)?.0];
        let camera = world.spawn_empty().id();
        let mut enter = |time: f64| {
            world
                .spawn(Performer::scripted(camera, waving(), time))
                .id()
        };
        let (first, second) = (enter(1.0), enter(1.0));
        let follow = |app: &App| {
            let of = |avatar| app.world().get::<AvatarRig>(avatar)?.following;
            avatars.map(|avatar| of(avatar).map(|following| following.part.performer))
        };
        app.update();
        assert_eq!(follow(&app), [Some(first), Some(second)]);
        app.world_mut().despawn(first);
        app.update();
        assert_eq!(follow(&app), [Some(second); 2]);
        let third = app
            .world_mut()
            .spawn(Performer::scripted(camera, waving(), 2.0));
        let third = third.id();
        app.update();
        assert_eq!(follow(&app), [Some(third), Some(second)]);
        Ok(())
    }

    #[test]
    fn bones_that_an_animation_moves_between_two_pictures_are_moved_back() -> Result<(), GltfError>
    {
        let mut app = stage();
        let world = app.world_mut();
        let (_, nodes) = mannequin(world)?;
        let camera = world.spawn_empty().id();
        world.spawn(Performer::scripted(camera, waving(), 1.0));
        let places = |app: &App| -> Vec<Option<Transform>> {
            let place = |node: &Entity| app.world().get::<Transform>(*node).copied();
            nodes.iter().map(place).collect()
        };
        let at_rest = places(&app);
        app.update();
        let moved = places(&app);
        assert_ne!(moved, at_rest);
        for &node in &nodes {
            app.world_mut()
                .entity_mut(node)
                .insert(Transform::default());
        }
        app.update();
        assert_eq!(places(&app), moved);
        Ok(())
    }

    #[test]
    fn in_a_mirror_the_left_hand_is_the_right_one_on_the_same_side_of_the_picture() {
        let mut pose = Pose3d::default();
        pose[Joint::LeftWrist] = Some(Joint3d {
            position: Vec3::new(0.5, 1.0, 0.2),
            sigma: 0.0,
            origin: Origin::Lifted,
        });
        let seen = mirrored(&pose, Vec3::X);
        assert_eq!(seen[Joint::LeftWrist], None);
        let wrist = |pose: &Pose3d| pose[Joint::RightWrist].map(|p| p.position);
        assert_eq!(wrist(&seen), Some(Vec3::new(-0.5, 1.0, 0.2)));
        // Before a camera that looks along +x, left and right are along z; how near somebody is stays.
        let turned = mirrored(&pose, Vec3::Z);
        assert_eq!(wrist(&turned), Some(Vec3::new(0.5, 1.0, -0.2)));
    }
}
