//! A studio that does not exist: avatars walk about in it, before virtual webcams, without a window.

use std::f32::consts::FRAC_PI_2;
use std::path::PathBuf;
use std::time::Duration;

use bevy::asset::RenderAssetUsages;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::ecs::system::RunSystemOnce;
use bevy::math::DVec3;
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat};
use bevy::time::TimeUpdateStrategy;
use bevy_pose_capture::avatar::{AvatarRefused, AvatarRig};
use bevy_pose_capture::calibrate::board::Board;
use bevy_pose_capture::camera::View;
use bevy_pose_capture::capture::Performer;
use bevy_pose_capture::prelude::*;
use bevy_pose_capture::retarget::humanoid::HumanBone;
use bevy_pose_capture::skeleton::{Joint, Joint3d, JointMap, Origin, Pose3d};
use bevy_pose_capture::source::SourceSpec;
use bevy_pose_capture::source::pushed::Pushed;
use bevy_pose_capture::source::synthetic::Walker;
use bevy_pose_capture::source::virtual_webcam::{Faults, VirtualWebcam, VirtualWebcamPlugin};

use crate::support::{finish, headless_plugins};

/// Everybody's joints at a moment, in metres of the world.
pub type People = Vec<JointMap<Option<DVec3>>>;

/// Where an avatar's joints are: at the heads of its bones.
const JOINTS: [(HumanBone, Joint); 12] = [
    (HumanBone::LeftUpperArm, Joint::LeftShoulder),
    (HumanBone::LeftLowerArm, Joint::LeftElbow),
    (HumanBone::LeftHand, Joint::LeftWrist),
    (HumanBone::RightUpperArm, Joint::RightShoulder),
    (HumanBone::RightLowerArm, Joint::RightElbow),
    (HumanBone::RightHand, Joint::RightWrist),
    (HumanBone::LeftUpperLeg, Joint::LeftHip),
    (HumanBone::LeftLowerLeg, Joint::LeftKnee),
    (HumanBone::LeftFoot, Joint::LeftAnkle),
    (HumanBone::RightUpperLeg, Joint::RightHip),
    (HumanBone::RightLowerLeg, Joint::RightKnee),
    (HumanBone::RightFoot, Joint::RightAnkle),
];

/// Seconds that models may take to load.
const PATIENCE: u64 = 60;

/// The studio. Its time goes from one exposure of a webcam to the next.
pub struct Studio {
    app: App,
    actors: Vec<Actor>,
    webcams: Vec<(Entity, Pushed)>,
    board: Option<Carried>,
    time: f64,
}

/// A calibration board that is carried about, and laid on the floor then.
struct Carried {
    entity: Entity,
    lies_from: f64,
    lies_at: DVec3,
}

/// Somebody who walks about.
struct Actor {
    walker: Walker,
    avatar: Entity,
    performer: Entity,
}

/// So many people who walk in circles about the middle, past one another.
pub fn walkers(count: usize) -> Vec<Walker> {
    let walker = |n: usize| Walker {
        centre: DVec3::new(0.25 * n as f64 - 0.35, 0.0, 0.15),
        radius: 0.8 + 0.4 * n as f64,
        speed: if n.is_multiple_of(2) { 1.1 } else { -0.9 },
        start: n as f64 * 1.7,
        stature: 1.6 + 0.06 * n as f64,
    };
    (0..count).map(walker).collect()
}

/// Avatars for [`Studio::open`]: files, from wherever the program is called; this crate's own where none is given.
///
/// # Errors
/// A sentence that names the file that is not there.
pub fn avatars(given: &[PathBuf]) -> Result<Vec<String>, String> {
    if given.is_empty() {
        return Ok(vec!["avatars/mannequin.glb".into()]);
    }
    let whole = |path: &PathBuf| {
        let found = std::fs::canonicalize(path);
        let found = found.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Ok(found.to_string_lossy().into_owned())
    };
    given.iter().map(whole).collect()
}

impl Studio {
    /// Opens a studio in which each walker is one of the avatars, in turn (paths, or of this crate's assets), and each webcam
    /// takes `rate` pictures a second.
    ///
    /// # Errors
    /// A sentence when nothing can render, or an avatar cannot be driven.
    pub fn open(
        walkers: &[Walker],
        avatars: &[String],
        webcams: &[(View, Faults)],
        rate: f64,
    ) -> Result<Studio, String> {
        let mut app = App::new();
        app.add_plugins((
            // One studio comes after the other, and only one of them may log.
            headless_plugins()?.disable::<bevy::log::LogPlugin>(),
            PoseCapturePlugin::default(),
            VirtualWebcamPlugin,
        ));
        finish(&mut app);
        app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::ZERO));
        app.world_mut()
            .run_system_once(build)
            .map_err(|error| error.to_string())?;
        let mut studio = Studio {
            app,
            actors: Vec::new(),
            webcams: Vec::new(),
            board: None,
            time: 0.0,
        };
        for (walker, avatar) in walkers.iter().zip(avatars.iter().cycle()) {
            studio.enter(*walker, avatar)?;
        }
        // Bodies settle before anybody looks.
        for _ in 0..5 {
            studio.update(0.0);
        }
        for (view, faults) in webcams {
            let (webcam, source) = VirtualWebcam::new(view.clone(), rate, faults.clone());
            let light = AmbientLight {
                brightness: 600.0,
                ..default()
            };
            let entity = studio
                .app
                .world_mut()
                .spawn(webcam)
                // What needs a camera comes after the camera.
                .insert((Tonemapping::Reinhard, light))
                .id();
            if let SourceSpec::Pushed(source) = source {
                studio.webcams.push((entity, source));
            }
        }
        Ok(studio)
    }

    fn enter(&mut self, walker: Walker, avatar: &str) -> Result<(), String> {
        let file = avatar.to_owned();
        let world = self.app.world_mut();
        let scene = match file.ends_with(".vrm") || file.contains('#') {
            true => file,
            false => format!("{file}#Scene0"),
        };
        let model = world.resource::<AssetServer>().load(scene.clone());
        let performer = world.spawn_empty().id();
        let follows = Avatar {
            performer: Some(performer),
            ..default()
        };
        let place = hips(&walker.joints(pace(0.0))).with_y(0.0);
        let avatar = world
            .spawn((
                WorldAssetRoot(model),
                follows,
                Transform::from_translation(place),
            ))
            .id();
        let actor = Actor {
            walker,
            avatar,
            performer,
        };
        self.actors.push(actor);
        let began = std::time::Instant::now();
        while began.elapsed().as_secs() < PATIENCE {
            self.app.update();
            let entity = self.app.world().entity(avatar);
            if let Some(refused) = entity.get::<AvatarRefused>() {
                return Err(refused.0.clone());
            }
            if entity.contains::<AvatarRig>() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!(
            "the avatar {scene} was not loaded within a minute; is the file there, and whole?"
        ))
    }

    /// Brings in a board that is carried about in the middle, shown to all sides, and lies somewhere on the floor from a time on.
    ///
    /// # Errors
    /// A sentence when there is no such board.
    #[allow(dead_code, reason = "not every example that has a studio asks")]
    pub fn carry(&mut self, board: &Board, lies_from: f64, lies_at: DVec3) -> Result<(), String> {
        let printed = board.draw(16).map_err(|error| error.to_string())?;
        let ink = printed
            .pixels()
            .flat_map(|ink| [ink[0], ink[0], ink[0], 255]);
        let print = Image::new(
            Extent3d {
                width: printed.width(),
                height: printed.height(),
                depth_or_array_layers: 1,
            },
            TextureDimension::D2,
            ink.collect(),
            TextureFormat::Rgba8UnormSrgb,
            RenderAssetUsages::default(),
        );
        // The print has a margin of a square.
        let squares = UVec2::new(board.columns, board.rows) + 3;
        let size = squares.as_vec2() * board.square as f32;
        let world = self.app.world_mut();
        let mesh = world
            .resource_mut::<Assets<Mesh>>()
            .add(Rectangle::from_size(size));
        let texture = world.resource_mut::<Assets<Image>>().add(print);
        let paper = StandardMaterial {
            base_color_texture: Some(texture),
            perceptual_roughness: 1.0,
            reflectance: 0.0,
            ..default()
        };
        let paper = world.resource_mut::<Assets<StandardMaterial>>().add(paper);
        let entity = world.spawn((Mesh3d(mesh), MeshMaterial3d(paper), Transform::default()));
        self.board = Some(Carried {
            entity: entity.id(),
            lies_from,
            lies_at,
        });
        Ok(())
    }

    /// The webcams' pictures.
    pub fn sources(&self) -> impl Iterator<Item = &Pushed> {
        self.webcams.iter().map(|(_, source)| source)
    }

    /// Goes on to the next moment at which a webcam looks. Pictures come out of the [`sources`](Self::sources) some moments
    /// later.
    pub fn step(&mut self) {
        let due = self.webcams.iter().filter_map(|(webcam, _)| {
            let webcam = self.app.world().get::<VirtualWebcam>(*webcam)?;
            Some(webcam.next_exposure())
        });
        let next = due.reduce(f64::min).unwrap_or(self.time);
        self.update(next.max(self.time));
    }

    /// Lets what was rendered come out.
    pub fn flush(&mut self) {
        for _ in 0..4 {
            self.update(self.time);
        }
    }

    /// Seconds.
    #[allow(dead_code, reason = "not every example that has a studio asks")]
    pub fn time(&self) -> f64 {
        self.time
    }

    /// Updates the app at a later time.
    fn update(&mut self, time: f64) {
        let world = self.app.world_mut();
        for actor in &self.actors {
            let joints = actor.walker.joints(pace(time));
            let mut pose = Pose3d::default();
            for (joint, place) in joints.present() {
                pose[joint] = Some(Joint3d {
                    position: place.as_vec3(),
                    sigma: 0.01,
                    origin: Origin::Lifted,
                });
            }
            let performer = Performer::scripted(actor.avatar, pose, time);
            // The app forgets performers of whom nothing is heard; an update may take longer than that.
            if let Ok(mut entity) = world.get_entity_mut(actor.performer) {
                entity.insert(performer);
            }
        }
        if let Some(board) = &self.board
            && let Some(mut transform) = world.get_mut::<Transform>(board.entity)
        {
            *transform = match time < board.lies_from {
                true => carried(time),
                false => Transform::from_translation(board.lies_at.as_vec3().with_y(0.002))
                    .with_rotation(Quat::from_rotation_x(-FRAC_PI_2)),
            };
        }
        // From the clock itself, so that rounding does not add up.
        let clock = world.resource::<Time<Real>>().elapsed();
        let due = Duration::from_secs_f64(time);
        world.insert_resource(TimeUpdateStrategy::ManualDuration(
            due.saturating_sub(clock),
        ));
        self.time = time;
        self.app.update();
    }

    /// Where everybody's joints are now, as they are rendered.
    pub fn truth(&self) -> People {
        let world = self.app.world();
        let of = |actor: &Actor| {
            let mut joints = JointMap::default();
            let Some(rig) = world.get::<AvatarRig>(actor.avatar) else {
                return joints;
            };
            for (bone, joint) in JOINTS {
                let place = rig
                    .bone(bone)
                    .and_then(|bone| world.get::<GlobalTransform>(bone));
                joints[joint] = place.map(|place| place.translation().as_dvec3());
            }
            joints
        };
        self.actors.iter().map(of).collect()
    }
}

/// Nobody walks evenly: somebody who did would look to one camera as they did to another some time before.
fn pace(time: f64) -> f64 {
    time + 0.5 * (0.9 * time).sin() + 0.2 * (2.3 * time + 1.0).sin() - 0.17
}

/// Where a board is that somebody shows to all sides, holding it still every now and then.
fn carried(time: f64) -> Transform {
    const STOP: f64 = 0.8;
    let stops = (time / STOP).floor();
    let on_the_way = ((time / STOP - stops) * 2.0).min(1.0);
    let eased = on_the_way * on_the_way * (3.0 - 2.0 * on_the_way);
    let t = ((stops + eased) * STOP) as f32;
    let turn = Quat::from_euler(
        EulerRot::YXZ,
        0.75 * t,
        0.4 * (1.7 * t).sin() - 0.3,
        0.35 * (0.9 * t).sin(),
    );
    let around = Vec3::new((0.7 * t).cos(), 0.0, (0.7 * t).sin()) * 0.5;
    Transform::from_translation(around + Vec3::Y * (1.15 + 0.3 * (1.1 * t).sin()))
        .with_rotation(turn)
}

fn hips(joints: &JointMap<Option<DVec3>>) -> Vec3 {
    let middle = [Joint::LeftHip, Joint::RightHip].map(|hip| joints[hip].unwrap_or_default());
    ((middle[0] + middle[1]) * 0.5).as_vec3()
}

/// A room with things in it, as rooms have.
fn build(
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<StandardMaterial>>,
) {
    let mut solid = |shape: Cuboid, at: Vec3, (r, g, b): (f32, f32, f32)| {
        commands.spawn((
            Mesh3d(meshes.add(shape)),
            MeshMaterial3d(materials.add(StandardMaterial {
                base_color: Color::srgb(r, g, b),
                perceptual_roughness: 0.95,
                ..default()
            })),
            Transform::from_translation(at),
        ));
    };
    let (half, height) = (7.0, 3.2);
    let wall = (0.66, 0.67, 0.64);
    solid(
        Cuboid::new(2.0 * half, 0.1, 2.0 * half),
        Vec3::Y * -0.05,
        (0.47, 0.42, 0.37),
    );
    for (x, z) in [(half, 0.0), (-half, 0.0), (0.0, half), (0.0, -half)] {
        let along = Cuboid::new(
            if x == 0.0 { 2.0 * half } else { 0.1 },
            height,
            if x == 0.0 { 0.1 } else { 2.0 * half },
        );
        solid(along, Vec3::new(x, height * 0.5, z), wall);
    }
    // A shelf, a desk, a picture and a door.
    solid(
        Cuboid::new(0.4, 1.9, 1.6),
        Vec3::new(6.6, 0.95, 2.0),
        (0.36, 0.27, 0.2),
    );
    solid(
        Cuboid::new(1.8, 0.75, 0.8),
        Vec3::new(-3.0, 0.375, 6.4),
        (0.72, 0.6, 0.45),
    );
    solid(
        Cuboid::new(1.4, 0.9, 0.05),
        Vec3::new(1.5, 1.7, -6.9),
        (0.2, 0.33, 0.45),
    );
    solid(
        Cuboid::new(0.05, 2.05, 0.95),
        Vec3::new(-6.9, 1.025, -1.5),
        (0.83, 0.82, 0.78),
    );
    commands.spawn((
        DirectionalLight {
            illuminance: 6_000.0,
            shadow_maps_enabled: true,
            ..default()
        },
        Transform::from_xyz(2.0, 6.0, 3.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
}
