//! Renders people to train on: dressed bodies in the poses of a file, on transparent ground, with the places of their joints.
//!
//! `cargo run --example render_people -- --poses poses.json --photos PHOTOS --out DIR` (see `posetrain.poses`).

#[path = "../support/mod.rs"]
mod support;

mod body;
mod desk;
mod looks;

use std::collections::HashSet;
use std::f32::consts::TAU;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};

use bevy::camera::RenderTarget;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::light::{CascadeShadowConfigBuilder, DirectionalLightShadowMap, ShadowFilteringMethod};
use bevy::prelude::*;
use bevy::render::render_resource::TextureFormat;
use bevy::render::view::screenshot::{Screenshot, ScreenshotCaptured};
use bevy_pose_capture::skeleton::{Joint, JointMap, JointSet};
use bevy_pose_capture::source::synthetic::Random;
use clap::Parser;
use image::{RgbImage, RgbaImage};
use indicatif::{ProgressBar, ProgressStyle};

use body::{Body, Piece, Places};
use desk::Desk;
use looks::{Looks, Material};

type AnyError = Box<dyn std::error::Error>;

/// Renders people to train on: dressed bodies in the poses of a file, on transparent ground, with the places of their joints.
///
/// Everybody has a build, clothes, hair, a light and a lens of their own. Each picture is a square with one person, saved as
/// `00000.png`, and so on; `people.json` tells where their 25 joints are, in pixels, and which are hidden; `sheet.png` shows some.
/// A rendering that was stopped goes on when it is asked for again.
#[derive(Parser)]
struct Arguments {
    /// Poses: JSON of `joint_names` and `poses` of joints in metres, y up; so many `frames` of these on end are one person who moves.
    /// Written by `python -m posetrain.poses`.
    #[arg(long)]
    poses: PathBuf,
    /// The folder of the photographs that the file of poses names: some clothes get their patterns from them.
    #[arg(long)]
    photos: Option<PathBuf>,
    /// Side of the pictures, in pixels.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(32..=1024))]
    size: u32,
    /// Render so many of the people.
    #[arg(long)]
    most: Option<usize>,
    /// Photograph everybody from so many sides: for networks that know people again.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    views: u32,
    /// Other people, other views.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where pictures, `people.json` and `sheet.png` go.
    #[arg(long)]
    out: PathBuf,
}

#[derive(serde::Deserialize)]
struct Poses {
    joint_names: Vec<Joint>,
    poses: Vec<Vec<[f32; 3]>>,
    /// So many poses on end are one person who moves.
    #[serde(default = "one")]
    frames: usize,
    /// Numbers of the poses of those who sit at desks.
    #[serde(default)]
    desks: HashSet<usize>,
    /// Photographs that networks are trained on.
    #[serde(default)]
    photos: Vec<String>,
}

fn one() -> usize {
    1
}

impl Poses {
    fn read(file: &Path) -> Result<Poses, String> {
        let name = file.display();
        let read = std::fs::read(file).map_err(|error| format!("cannot read {name}: {error}"))?;
        let wrong = |error: String| {
            format!(
                "{name} is not a file of poses: {error}; `python -m posetrain.poses` writes one"
            )
        };
        let poses: Poses =
            serde_json::from_slice(&read).map_err(|error| wrong(error.to_string()))?;
        if poses.poses.is_empty() {
            return Err(wrong("it has none".into()));
        }
        if poses.frames == 0 || !poses.poses.len().is_multiple_of(poses.frames) {
            return Err(wrong(format!(
                "{} poses are not whole motions of {} frames",
                poses.poses.len(),
                poses.frames
            )));
        }
        if poses.frames > 1 && !poses.desks.is_empty() {
            return Err(wrong("nobody moves at a desk here".into()));
        }
        let joints = poses.joint_names.len();
        let whole = |pose: &Vec<[f32; 3]>| {
            pose.len() == joints && pose.iter().flatten().all(|number| number.is_finite())
        };
        match poses.poses.iter().position(|pose| !whole(pose)) {
            Some(number) => Err(wrong(format!(
                "pose {number} does not have {joints} places"
            ))),
            None => Ok(poses),
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("render_people: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Photographs that are kept for patterns.
const PATTERNS: usize = 300;

/// Some of the photographs that a file of poses names.
fn photographs(folder: Option<&Path>, names: &[String]) -> Result<Vec<RgbImage>, AnyError> {
    let Some(folder) = folder else {
        return Ok(Vec::new());
    };
    let apart = names.len().div_ceil(PATTERNS).max(1);
    let open = |name: &String| {
        let path = folder.join(name);
        let opened = image::open(&path);
        let opened = opened.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Ok(opened.to_rgb8())
    };
    names.iter().step_by(apart).map(open).collect()
}

/// An app without a window, with a light and a camera.
struct Booth {
    app: App,
    camera: Entity,
    light: Entity,
    target: Handle<Image>,
    pieces: Vec<Entity>,
    sender: Sender<(usize, RgbaImage)>,
}

impl Booth {
    fn open(size: u32, sender: Sender<(usize, RgbaImage)>) -> Result<Booth, String> {
        let mut app = App::new();
        app.add_plugins(support::headless_plugins()?);
        support::finish(&mut app);
        let world = app.world_mut();
        let image = Image::new_target_texture(
            LARGER * size,
            LARGER * size,
            TextureFormat::Rgba8UnormSrgb,
            None,
        );
        let target = world.resource_mut::<Assets<Image>>().add(image);
        let camera = (
            Camera3d::default(),
            Camera {
                clear_color: ClearColorConfig::Custom(Color::NONE),
                ..default()
            },
            Tonemapping::None,
            Msaa::Off,
            // Renderers without a GPU spend most of their time on the other ways of blurring shadows.
            ShadowFilteringMethod::Hardware2x2,
            RenderTarget::Image(target.clone().into()),
            AmbientLight::default(),
        );
        let light = DirectionalLight {
            shadow_maps_enabled: true,
            ..default()
        };
        // One small map for one person.
        world.insert_resource(DirectionalLightShadowMap { size: 512 });
        let near_by = CascadeShadowConfigBuilder {
            num_cascades: 1,
            maximum_distance: 10.0,
            ..default()
        };
        let light = (light, near_by.build(), Transform::default());
        Ok(Booth {
            camera: world.spawn(camera).id(),
            light: world.spawn(light).id(),
            target,
            pieces: Vec::new(),
            sender,
            app,
        })
    }

    /// Puts somebody before the camera.
    fn enter(&mut self, pieces: Vec<Piece>, photos: &[RgbImage], random: &mut Random) {
        let world = self.app.world_mut();
        for entity in self.pieces.drain(..) {
            world.despawn(entity);
        }
        let worn: Vec<Handle<StandardMaterial>> = Material::ALL
            .iter()
            .map(|&material| {
                let texture = looks::texture(material, photos, random);
                let texture = world.resource_mut::<Assets<Image>>().add(texture);
                let surface = StandardMaterial {
                    base_color_texture: Some(texture),
                    perceptual_roughness: if material == Material::Skin {
                        0.6
                    } else {
                        0.85
                    },
                    reflectance: 0.3,
                    double_sided: true,
                    cull_mode: None,
                    ..default()
                };
                world
                    .resource_mut::<Assets<StandardMaterial>>()
                    .add(surface)
            })
            .collect();
        for piece in pieces {
            let mesh = world.resource_mut::<Assets<Mesh>>().add(piece.mesh);
            let material = worn[piece.material as usize].clone();
            self.pieces
                .push(world.spawn((Mesh3d(mesh), MeshMaterial3d(material))).id());
        }
    }

    /// Lights and photographs whoever is there; the picture is sent some moments later.
    fn shoot(&mut self, number: usize, shot: &Shot, random: &mut Random) {
        let world = self.app.world_mut();
        let mut within = |least: f64, most: f64| (least + (most - least) * random.uniform()) as f32;
        let sun = Vec3::from_array([within(-1.0, 1.0), within(0.1, 1.5), within(-1.0, 1.0)]);
        let warm = within(-0.15, 0.15);
        if let Some(mut light) = world.get_mut::<DirectionalLight>(self.light) {
            light.illuminance = within(1_000.0, 9_000.0);
            light.color = Color::srgb(0.95 + warm, 0.95, 0.95 - warm);
        }
        world
            .entity_mut(self.light)
            .insert(Transform::from_translation(sun).looking_at(Vec3::ZERO, Vec3::Y));
        let ambient = AmbientLight {
            brightness: within(150.0, 1_300.0),
            ..default()
        };
        let lens = PerspectiveProjection {
            fov: shot.field_of_view,
            ..default()
        };
        world
            .entity_mut(self.camera)
            .insert((shot.stands, Projection::Perspective(lens), ambient));
        let sender = self.sender.clone();
        world.spawn(Screenshot::image(self.target.clone())).observe(
            move |captured: On<ScreenshotCaptured>| {
                if let Ok(picture) = captured.image.clone().try_into_dynamic() {
                    // Nobody listens once the program ends.
                    let _ = sender.send((number, picture.to_rgba8()));
                }
            },
        );
        self.app.update();
    }
}

/// Where a camera stands and how wide its lens is.
struct Shot {
    stands: Transform,
    field_of_view: f32,
}

/// Part of a picture that somebody fills.
const FILLED: f32 = 0.84;

impl Shot {
    /// From anywhere, or from beyond somebody's desk, so that all of them is in the picture, at every moment.
    fn random(moments: &[Places], desk: Option<&Desk>, random: &mut Random) -> Shot {
        let mut within = |least: f64, most: f64| (least + (most - least) * random.uniform()) as f32;
        let places = || {
            let present = moments.iter().flat_map(|joints| joints.present());
            present.map(|(_, &place)| place)
        };
        let (low, high) = places().fold(
            (Vec3::INFINITY, Vec3::NEG_INFINITY),
            |(low, high), place| (low.min(place), high.max(place)),
        );
        let middle = low.midpoint(high);
        let (yaw, distance, height) = if let Some(desk) = desk {
            let front = desk.ahead.x.atan2(desk.ahead.z);
            let above = desk.height + within(0.08, 0.8);
            (
                front + within(-1.1, 1.1),
                within(0.9, 3.0),
                above - middle.y,
            )
        } else {
            let away = within(1.6, 6.0);
            let kind = within(0.0, 1.0);
            let (distance, height) = if kind < 0.45 {
                (away, within(0.4, 2.4) - middle.y)
            } else if kind < 0.85 {
                // On shelves and walls, and on the floor. Photographs are level, nearly all of them: a network that has seen no others
                // looks for hips and knees where these have them.
                let down = within(-20.0, 50.0).to_radians();
                (away * down.cos(), (away * down.sin()).max(0.1 - middle.y))
            } else {
                (away, within(-1.0, 3.0))
            };
            (within(0.0, f64::from(TAU)), distance, height)
        };
        let eye = middle + Vec3::new(yaw.sin() * distance, height, yaw.cos() * distance);
        let stands = Transform::from_translation(eye).looking_at(middle, Vec3::Y);
        let mut reach: f32 = 0.05;
        let corners = desk.into_iter().flat_map(Desk::corners);
        for place in places().chain(corners) {
            let seen = stands.to_matrix().inverse().transform_point3(place);
            let depth = (-seen.z).max(0.3);
            // Heads and hands go on beyond their joints.
            reach = reach.max((seen.x.abs().max(seen.y.abs()) + 0.1) / depth);
        }
        Shot {
            stands,
            field_of_view: (2.0 * (reach / FILLED).atan()).min(2.6),
        }
    }

    /// Where a place is in a picture of `size` pixels.
    fn pixel(&self, place: Vec3, size: u32) -> Vec2 {
        let seen = self.stands.to_matrix().inverse().transform_point3(place);
        let tan = (self.field_of_view * 0.5).tan();
        let flat = Vec2::new(seen.x, -seen.y) / (-seen.z * tan);
        (flat + 1.0) * 0.5 * size as f32 - 0.5
    }
}

/// Some people stand on their hands, lie or fly, which mocap seldom shows.
const TURNED: f64 = 0.2;

fn turn(random: &mut Random) -> Quat {
    let mut angle = || (random.uniform() as f32 - 0.5) * TAU;
    Quat::from_euler(EulerRot::YXZ, angle(), angle() * 0.5, angle())
}

fn pose(names: &[Joint], places: &[[f32; 3]], turn: Quat) -> Places {
    let mut joints = JointMap::default();
    let about = Vec3::Y;
    for (&joint, &place) in names.iter().zip(places) {
        joints[joint] = Some(turn * (Vec3::from_array(place) - about) + about);
    }
    joints
}

/// Updates of the app in which a picture that was taken must come out.
const PATIENCE: usize = 20;

/// Somebody who is ready to be photographed.
struct Sitting {
    body: Body,
    desk: Option<Desk>,
    shot: Shot,
    /// What clothes look like.
    cloth: Random,
    /// What the light is like.
    light: Random,
}

impl Sitting {
    /// A moment of one of the `views` of a person. The same for the same number, whoever was photographed before; `None` where a joint of
    /// a body is not among those of the file.
    fn new(number: usize, poses: &Poses, seed: u64, views: usize) -> Option<Sitting> {
        let (view, moment) = (number / poses.frames, number % poses.frames);
        let person = view / views;
        let of = |number: usize, kind: u64| {
            Random::new(
                seed.wrapping_mul(1_000_003)
                    .wrapping_add(2 * number as u64 + kind),
            )
        };
        let (mut cloth, mut light) = (of(person, 0), of(view, 1));
        let at_desk = poses.desks.contains(&person);
        let turn = match !at_desk && cloth.uniform() < TURNED {
            true => turn(&mut cloth),
            false => Quat::IDENTITY,
        };
        let looks = Looks::random(&mut cloth);
        let own = person * poses.frames..(person + 1) * poses.frames;
        let bodies = poses.poses[own].iter().map(|places| {
            let joints = pose(&poses.joint_names, places, turn);
            Body::new(joints, &looks)
        });
        let mut bodies = bodies.collect::<Option<Vec<Body>>>()?;
        let moments: Vec<Places> = bodies.iter().map(|body| body.joints().clone()).collect();
        let body = bodies.swap_remove(moment);
        let desk = match at_desk {
            true => Some(Desk::random(body.joints(), &mut cloth)?),
            false => None,
        };
        let shot = Shot::random(&moments, desk.as_ref(), &mut light);
        Some(Sitting {
            body,
            desk,
            shot,
            cloth,
            light,
        })
    }
}

fn run(arguments: &Arguments) -> Result<(), AnyError> {
    let poses = Poses::read(&arguments.poses)?;
    let photos = photographs(arguments.photos.as_deref(), &poses.photos)?;
    std::fs::create_dir_all(&arguments.out)
        .map_err(|error| format!("cannot make {}: {error}", arguments.out.display()))?;
    let views = arguments.views as usize;
    let everybody = poses.poses.len() / poses.frames;
    let count = views * poses.frames * everybody.min(arguments.most.unwrap_or(usize::MAX));
    let sitting = |number| {
        Sitting::new(number, &poses, arguments.seed, views).ok_or_else(|| {
            format!(
                "{}: a joint of a body is not among its joint_names",
                arguments.poses.display()
            )
        })
    };
    let label = |number| {
        Ok(Labelled::new(
            number,
            number / (views * poses.frames),
            &sitting(number)?,
            arguments.size,
        ))
    };
    let people = (0..count).map(label).collect::<Result<Vec<_>, String>>()?;
    let old = announce(
        &arguments.out.join("people.json"),
        &people,
        arguments.size,
        poses.frames,
    )?;

    let (sender, pictures) = channel();
    let mut booth = Booth::open(arguments.size, sender)?;
    let bar = ProgressBar::new(count as u64).with_style(ProgressStyle::with_template(
        "rendering {bar:40} {pos}/{len} pictures, {eta} left",
    )?);
    let mut sheet = Sheet::new(arguments.size);
    let (mut taken, mut saved) = (0, 0);
    let mut save = || -> Result<usize, AnyError> {
        for (number, picture) in pictures.try_iter() {
            let picture = shrunk(&picture);
            if picture.pixels().all(|pixel| pixel.0[3] == 0) {
                return Err(format!("the renderer shows nobody in picture {number}").into());
            }
            let file = arguments.out.join(&people[number].file);
            write(&file, |path| {
                // Whoever stops a rendering leaves no half of a picture.
                let part = path.with_extension("part.png");
                picture.save(&part)?;
                Ok(std::fs::rename(part, path)?)
            })?;
            sheet.add(number, &picture, &people[number]);
            saved += 1;
        }
        Ok(saved)
    };
    for (number, labelled) in people.iter().enumerate() {
        bar.inc(1);
        // What is on the sheet is drawn anew.
        if old && number >= Sheet::MOST && arguments.out.join(&labelled.file).exists() {
            continue;
        }
        let Sitting {
            mut body,
            desk,
            shot,
            mut cloth,
            mut light,
        } = sitting(number)?;
        let mut pieces = body.take_pieces();
        pieces.extend(desk.iter().flat_map(Desk::pieces));
        booth.enter(pieces, &photos, &mut cloth);
        if taken == 0 {
            // The renderer gets its pipelines ready.
            (0..4).for_each(|_| booth.app.update());
        }
        booth.shoot(number, &shot, &mut light);
        taken += 1;
        save()?;
    }
    for _ in 0..PATIENCE {
        if save()? == taken {
            break;
        }
        booth.app.update();
    }
    bar.finish_and_clear();
    if save()? < taken {
        return Err("the renderer did not give every picture".into());
    }
    write(&arguments.out.join("sheet.png"), |path| {
        Ok(sheet.image.save(path)?)
    })?;
    println!("{count} pictures are in {}", arguments.out.display());
    Ok(())
}

/// Changes when people begin to look otherwise in the same poses, or are seen otherwise: no rendering goes on in other clothes.
const WARDROBE: u32 = 4;

/// Writes where everybody's joints will be; true where a rendering of the same people stopped half-way, which then goes on.
fn announce(file: &Path, people: &[Labelled], size: u32, frames: usize) -> Result<bool, AnyError> {
    let joints = JointSet::Body25.joints().iter();
    let names: Vec<&str> = joints.map(|joint| joint.name()).collect();
    let labels = serde_json::json!({
        "joint_names": names, "size": size, "frames": frames, "wardrobe": WARDROBE, "people": people,
    });
    let labels = labels.to_string();
    match std::fs::read_to_string(file) {
        Ok(old) if old == labels => Ok(true),
        Ok(_) => Err(format!(
            "{} tells of other people: render into another folder, or remove it",
            file.display()
        )
        .into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            write(file, |path| Ok(std::fs::write(path, &labels)?))?;
            Ok(false)
        }
        Err(error) => Err(format!("cannot read {}: {error}", file.display()).into()),
    }
}

fn write(path: &Path, write: impl FnOnce(&Path) -> Result<(), AnyError>) -> Result<(), AnyError> {
    write(path).map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// Pictures are rendered so much larger, and shrunk: of the tiny triangles of bodies, renderers without a GPU draw four times as many
/// pixels sooner than four samples of each.
const LARGER: u32 = 2;

/// A picture of fewer pixels: each has the mean light of those that somebody covers, and says how many these are.
fn shrunk(picture: &RgbaImage) -> RgbaImage {
    RgbaImage::from_fn(
        picture.width() / LARGER,
        picture.height() / LARGER,
        |x, y| {
            let (mut light, mut covered) = (Vec3::ZERO, 0);
            for n in 0..LARGER * LARGER {
                let [r, g, b, a] = picture
                    .get_pixel(LARGER * x + n % LARGER, LARGER * y + n / LARGER)
                    .0;
                if a > 0 {
                    light += Color::srgb_u8(r, g, b).to_linear().to_vec3();
                    covered += 1;
                }
            }
            let mean = light / covered.max(1) as f32;
            let [r, g, b, _] = Srgba::from(LinearRgba::from_vec3(mean)).to_u8_array();
            image::Rgba([r, g, b, (covered * 255 / (LARGER * LARGER)) as u8])
        },
    )
}

/// Somebody in a picture.
#[derive(serde::Serialize)]
struct Labelled {
    file: String,
    /// Whose picture it is: the number of their pose, or motion.
    person: usize,
    /// x and y in pixels, and whether it can be seen (1) or not (0).
    joints: Vec<[f32; 3]>,
}

impl Labelled {
    fn new(number: usize, person: usize, sitting: &Sitting, size: u32) -> Labelled {
        let Sitting {
            body, desk, shot, ..
        } = sitting;
        let eye = shot.stands.translation;
        let mark = |&joint: &Joint| {
            // A body has every joint.
            let place = body.joints()[joint].unwrap_or_default();
            let pixel = shot.pixel(place, size);
            let hidden = desk.as_ref().is_some_and(|desk| desk.hides(place, eye));
            let seen = body.is_seen(joint, eye) && !hidden;
            [pixel.x, pixel.y, f32::from(u8::from(seen))]
        };
        Labelled {
            file: format!("{number:05}.png"),
            person,
            joints: JointSet::Body25.joints().iter().map(mark).collect(),
        }
    }
}

/// Some of the people, with their joints: green ones can be seen, red ones cannot.
struct Sheet {
    image: RgbImage,
    side: u32,
}

impl Sheet {
    const ACROSS: u32 = 6;
    const MOST: usize = 24;

    fn new(side: u32) -> Sheet {
        let image =
            RgbImage::from_pixel(Self::ACROSS * side, 4 * side, image::Rgb([128, 136, 144]));
        Sheet { image, side }
    }

    fn add(&mut self, number: usize, picture: &RgbaImage, labels: &Labelled) {
        let (column, row) = (number as u32 % Self::ACROSS, number as u32 / Self::ACROSS);
        let (left, top) = (column * self.side, row * self.side);
        if top >= self.image.height() {
            return;
        }
        for (x, y, pixel) in picture.enumerate_pixels() {
            let under = self.image.get_pixel_mut(left + x, top + y);
            let share = f32::from(pixel.0[3]) / 255.0;
            for (below, above) in under.0.iter_mut().zip(pixel.0) {
                *below = f32::from(*below).lerp(f32::from(above), share) as u8;
            }
        }
        for &[x, y, seen] in &labels.joints {
            let colour = if seen > 0.5 {
                [40, 220, 60]
            } else {
                [240, 40, 30]
            };
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1)] {
                let (x, y) = (x.round() as i64 + dx, y.round() as i64 + dy);
                if (0..i64::from(self.side)).contains(&x) && (0..i64::from(self.side)).contains(&y)
                {
                    self.image
                        .put_pixel(left + x as u32, top + y as u32, image::Rgb(colour));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    #[test]
    fn a_pixel_that_is_half_covered_gets_the_colour_of_what_covers_it() {
        let (cloth, nothing) = (image::Rgba([200, 120, 40, 255]), image::Rgba([0; 4]));
        let picture = RgbaImage::from_fn(4, 2, |x, y| if x < 2 || y > 0 { cloth } else { nothing });
        let shown = shrunk(&picture);
        assert_eq!(shown.dimensions(), (2, 1));
        assert_eq!(shown.get_pixel(0, 0), &cloth);
        let [colour @ .., covered] = shown.get_pixel(1, 0).0;
        assert_eq!((colour, covered), ([200, 120, 40], 127));
    }

    #[test]
    fn black_and_white_make_the_gray_of_half_the_light() {
        let picture = RgbaImage::from_fn(2, 2, |x, _| {
            let v = 255 * x as u8;
            image::Rgba([v, v, v, 255])
        });
        assert_eq!(shrunk(&picture).get_pixel(0, 0).0, [188, 188, 188, 255]);
    }

    #[test]
    fn a_rendering_goes_on_where_the_same_people_were_announced_and_nowhere_else()
    -> Result<(), AnyError> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("people.json");
        let people = |x| {
            [Labelled {
                file: "00000.png".into(),
                person: 0,
                joints: vec![[x, 2.0, 1.0]],
            }]
        };
        assert!(
            !announce(&file, &people(1.0), 64, 1)?,
            "nobody was there before"
        );
        assert!(announce(&file, &people(1.0), 64, 1)?);
        assert!(announce(&file, &people(1.5), 64, 1).is_err());
        assert!(announce(&file, &people(1.0), 128, 1).is_err());
        Ok(())
    }

    #[test]
    fn whoever_moves_stays_the_same_before_a_camera_that_stands_still() {
        let standing = body::tests::standing();
        let (joint_names, places): (Vec<Joint>, Vec<Vec3>) = standing
            .present()
            .map(|(joint, &place)| (joint, place))
            .unzip();
        let stride = |forward: f32| {
            let moved = places.iter().map(|place| *place + Vec3::Z * forward);
            moved.map(|place| place.to_array()).collect()
        };
        let poses = Poses {
            joint_names,
            poses: (0..6).map(|n| stride(0.2 * n as f32)).collect(),
            frames: 3,
            desks: HashSet::new(),
            photos: Vec::new(),
        };
        let shots: Vec<Shot> = (0..12)
            .filter_map(|number| Some(Sitting::new(number, &poses, 1, 2)?.shot))
            .collect();
        let same = |a: &Shot, b: &Shot| {
            a.stands == b.stands && a.field_of_view.to_bits() == b.field_of_view.to_bits()
        };
        for (view, moments) in shots.chunks(3).enumerate() {
            assert!(moments.iter().all(|shot| same(shot, &moments[0])));
            assert!(view == 0 || !same(&moments[0], &shots[0]));
        }
        assert_eq!(shots.len(), 12);
    }

    #[test]
    fn all_joints_are_in_the_picture_where_the_camera_projects_them() {
        let joints = body::tests::standing();
        for seed in 0..40 {
            let shot = Shot::random(slice::from_ref(&joints), None, &mut Random::new(seed));
            let lens = PerspectiveProjection {
                fov: shot.field_of_view,
                aspect_ratio: 1.0,
                ..default()
            };
            let clip_from_world = bevy::camera::CameraProjection::get_clip_from_view(&lens)
                * shot.stands.to_matrix().inverse();
            for (_, &place) in joints.present() {
                let told = shot.pixel(place, 256);
                let projected =
                    clip_from_world.project_point3(place).truncate() * Vec2::new(1.0, -1.0);
                assert!(told.distance((projected + 1.0) * 128.0 - 0.5) < 0.01);
                assert!(
                    (told - 127.5).abs().max_element() < 128.0 * FILLED + 0.01,
                    "{told}"
                );
            }
        }
    }
}
