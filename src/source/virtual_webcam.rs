//! Webcams that do not exist: they show the world of the app itself, through lenses and with faults as real ones have, and are
//! sources like any other, whose truth is known.
//!
//! For seeing beforehand what cameras would see of a room, and how well people would be followed in it:
//!
//! ```no_run
//! # use bevy::prelude::*;
//! # use bevy_pose_capture::prelude::*;
//! # use bevy_pose_capture::source::synthetic::cameras_around;
//! # use bevy_pose_capture::source::virtual_webcam::{Faults, VirtualWebcam};
//! fn place_cameras(mut commands: Commands) {
//!     for view in cameras_around(4, 3.0) {
//!         let (webcam, source) = VirtualWebcam::new(view.clone(), 30.0, Faults::default());
//!         commands.spawn(webcam);
//!         commands.spawn((CaptureCamera::new(source), CalibratedCamera(view)));
//!     }
//! }
//! ```
//!
//! [`VirtualWebcamPlugin`] and a renderer must be in the app. Its webcams take pictures by `Time`, one at most in each update:
//! where that steps by hand, so do they.

use std::sync::{Arc, OnceLock};

use bevy::camera::RenderTarget;
use bevy::math::{DMat3, DQuat, DVec2, DVec3};
use bevy::prelude::*;
use bevy::render::render_resource::TextureFormat;
use bevy::render::view::screenshot::{Screenshot, ScreenshotCaptured};
use image::RgbImage;

use super::pushed::{Pusher, pushed};
use super::synthetic::Random;
use super::{Picture, SourceSpec};
use crate::camera::{Extrinsics, Intrinsics, View};
use crate::skeleton::convert::transform_of;

/// Lets [`VirtualWebcam`]s take pictures.
pub struct VirtualWebcamPlugin;

impl Plugin for VirtualWebcamPlugin {
    fn build(&self, app: &mut App) {
        app.add_observer(set_up).add_systems(
            PostUpdate,
            expose
                .before(TransformSystems::Propagate)
                .before(bevy::camera::CameraUpdateSystems),
        );
    }
}

/// What webcams do wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Standard deviation of each pixel, of 255.
    pub noise: f32,
    /// Seconds for which a picture is exposed: who moves is blurred. It takes five updates of the app, which are rendered at their
    /// own times: for apps that step `Time` by hand, to [`next_exposure`](VirtualWebcam::next_exposure).
    pub exposure: f64,
    /// Share of the pictures that are lost.
    pub dropped: f64,
    /// Seconds after which it begins. Its clock begins then, so it is that much behind those of the others.
    pub late: f64,
    /// It shows a mirror's picture, as the programs of many laptops do.
    pub mirrored: bool,
    /// Somebody knocks against it.
    pub bump: Option<Bump>,
}

/// A knock against a camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bump {
    /// When, in seconds of the app.
    pub at: f64,
    /// By how much it is turned to its side, in radians.
    pub turn: f64,
    /// By how much it is moved, in metres of the world.
    pub shift: DVec3,
}

/// Moments of a picture whose mean is one that is blurred by motion.
const BLUR_STEPS: u32 = 5;

/// A camera of the app whose pictures are those of a webcam. Its entity's `Transform` follows where it stands.
#[derive(Component)]
#[require(Transform)]
pub struct VirtualWebcam {
    view: View,
    rate: f64,
    faults: Faults,
    film: Arc<Film>,
    pusher: Pusher,
    /// The picture that comes next, and which of its exposures.
    next: (u64, u32),
    /// What was exposed of a picture.
    exposed: Vec<RgbImage>,
    random: Random,
}

impl VirtualWebcam {
    /// A webcam that stands and sees as told, in Bevy's world, and the source of its pictures.
    pub fn new(view: View, rate: f64, faults: Faults) -> (VirtualWebcam, SourceSpec) {
        let (pusher, source) = pushed(&view.name, rate);
        let seed = view.name.bytes().fold(7, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let webcam = VirtualWebcam {
            film: Arc::new(Film::new(&view.intrinsics, &faults)),
            view,
            rate: rate.max(0.1),
            faults,
            pusher,
            next: (0, 0),
            exposed: Vec::new(),
            random: Random::new(seed),
        };
        (webcam, SourceSpec::Pushed(source))
    }

    /// Where it stands at a time of the app, bumps and all.
    pub fn stands(&self, time: f64) -> Extrinsics {
        let placed = self.view.extrinsics;
        let Some(bump) = self.faults.bump.filter(|bump| time >= bump.at) else {
            return placed;
        };
        let turn = DMat3::from_quat(DQuat::from_rotation_y(bump.turn));
        let rotation = turn * placed.rotation;
        Extrinsics {
            rotation,
            translation: -(rotation * (placed.centre() + bump.shift)),
        }
    }

    /// When the app must be rendered next for it, in seconds of the app.
    pub fn next_exposure(&self) -> f64 {
        let (picture, step) = self.next;
        let part = match self.steps() {
            1 => 0.0,
            steps => (f64::from(step) + 0.5) / f64::from(steps) - 0.5,
        };
        self.faults.late + picture as f64 / self.rate + part * self.faults.exposure
    }

    fn steps(&self) -> u32 {
        if self.faults.exposure > 0.0 {
            BLUR_STEPS
        } else {
            1
        }
    }

    /// Goes on to the next picture that is not lost.
    fn advance(&mut self) {
        self.next = (self.next.0 + 1, 0);
        while self.random.uniform() < self.faults.dropped.min(0.99) {
            self.next.0 += 1;
        }
    }

    /// Takes in what was rendered of a picture; hands it over with the last of it.
    fn take(&mut self, picture: u64, step: u32, rendered: RgbImage) {
        if step == 0 {
            self.exposed.clear();
        }
        self.exposed.push(rendered);
        if self.exposed.len() < self.steps() as usize {
            return;
        }
        let exposed = std::mem::take(&mut self.exposed);
        let film = self.film.clone();
        let time = picture as f64 / self.rate;
        self.pusher.push_undeveloped(move || Picture {
            time,
            image: film.develop(&exposed, picture),
            arrival: None,
        });
    }
}

/// Gives a new webcam a camera of Bevy's.
fn set_up(
    added: On<Add, VirtualWebcam>,
    mut commands: Commands,
    images: Option<ResMut<Assets<Image>>>,
    webcams: Query<&VirtualWebcam>,
) {
    let (Some(mut images), Ok(webcam)) = (images, webcams.get(added.entity)) else {
        error!("a virtual webcam needs Bevy's renderer, and the app has none: add DefaultPlugins");
        return;
    };
    let film = &webcam.film;
    let format = TextureFormat::Rgba8UnormSrgb;
    let target = Image::new_target_texture(film.width, film.height, format, None);
    commands.entity(added.entity).insert((
        Camera3d::default(),
        Camera {
            is_active: false,
            ..default()
        },
        Projection::Perspective(PerspectiveProjection {
            fov: film.field_of_view,
            ..default()
        }),
        RenderTarget::Image(images.add(target).into()),
        Msaa::Off,
    ));
}

/// Renders those webcams whose next exposure is due.
fn expose(
    mut commands: Commands,
    time: Res<Time>,
    mut webcams: Query<(
        Entity,
        &mut VirtualWebcam,
        &mut Camera,
        &RenderTarget,
        &mut Transform,
    )>,
) {
    let now = time.elapsed_secs_f64();
    for (entity, mut webcam, mut camera, target, mut transform) in &mut webcams {
        let is_due = now >= webcam.next_exposure() - EARLY;
        camera.is_active = is_due;
        if !is_due {
            continue;
        }
        *transform = transform_of(&webcam.stands(now));
        let (picture, step) = webcam.next;
        commands.spawn(Screenshot(target.clone())).observe(
            move |captured: On<ScreenshotCaptured>, mut webcams: Query<&mut VirtualWebcam>| {
                let rendered = captured.image.clone().try_into_dynamic();
                if let (Ok(mut webcam), Ok(rendered)) = (webcams.get_mut(entity), rendered) {
                    webcam.take(picture, step, rendered.to_rgb8());
                }
            },
        );
        if step + 1 < webcam.steps() {
            webcam.next.1 += 1;
        } else {
            webcam.advance();
            // An app that is slower than the webcam loses pictures, as a slow computer does.
            while webcam.next_exposure() + 1.0 / webcam.rate < now {
                webcam.advance();
            }
        }
    }
}

/// Clocks that step by hand are off by rounding, in seconds.
const EARLY: f64 = 1e-6;

/// What becomes of a rendered picture: a pinhole's, wide enough for the lens.
#[derive(Debug)]
struct Film {
    /// Size of the rendered picture, and the angle that its height spans.
    width: u32,
    height: u32,
    field_of_view: f32,
    lens: Intrinsics,
    /// Which place of the rendered picture each pixel shows, row by row; none where it is the same picture.
    shows: Option<Vec<Vec2>>,
    noise: f32,
    mirrored: bool,
}

impl Film {
    fn new(lens: &Intrinsics, faults: &Faults) -> Film {
        let (width, height) = (lens.width.max(1), lens.height.max(1));
        let focal = lens.focal.max_element();
        let rays = || {
            let rows = 0..height;
            rows.flat_map(|y| {
                (0..width).map(move |x| lens.unproject(DVec2::new(f64::from(x), f64::from(y))))
            })
        };
        // The picture's edges are half a pixel outside of its outer pixels.
        let reach = rays().fold(DVec2::ZERO, |reach, ray| reach.max(ray.abs())) + 0.5 / focal;
        let reach = reach.min(DVec2::splat(WIDEST));
        let size = (reach * focal * 2.0 - 1e-6)
            .ceil()
            .as_uvec2()
            .max(UVec2::ONE);
        let middle = (size.as_dvec2() - 1.0) * 0.5;
        let shows: Vec<Vec2> = rays().map(|ray| (ray * focal + middle).as_vec2()).collect();
        let own = |n: usize| Vec2::new((n as u32 % width) as f32, (n as u32 / width) as f32);
        let is_same = size == UVec2::new(width, height)
            && shows
                .iter()
                .enumerate()
                .all(|(n, place)| place.distance(own(n)) < 0.02);
        Film {
            width: size.x,
            height: size.y,
            field_of_view: 2.0 * (f64::from(size.y) * 0.5 / focal).atan() as f32,
            lens: *lens,
            shows: (!is_same).then_some(shows),
            noise: faults.noise,
            mirrored: faults.mirrored,
        }
    }

    fn develop(&self, exposed: &[RgbImage], picture: u64) -> RgbImage {
        let mut image = match &self.shows {
            None => RgbImage::from_fn(self.lens.width, self.lens.height, |x, y| {
                mean(exposed, |shot| {
                    shot.get_pixel_checked(x, y).map(|p| p.0.map(f32::from))
                })
            }),
            Some(shows) => RgbImage::from_fn(self.lens.width, self.lens.height, |x, y| {
                let place = shows[(y * self.lens.width + x) as usize];
                mean(exposed, |shot| between(shot, place))
            }),
        };
        if self.noise > 0.0 {
            let grain = grain();
            // Another part of the grain for each picture.
            let from = (picture as usize).wrapping_mul(7919);
            for (n, value) in image.iter_mut().enumerate() {
                let shake = self.noise * grain[(from + n + n / 1021) % grain.len()];
                *value = (f32::from(*value) + shake).round().clamp(0.0, 255.0) as u8;
            }
        }
        if self.mirrored {
            image::imageops::flip_horizontal_in_place(&mut image);
        }
        image
    }
}

/// No lens that is wider than this, as the tangent of the angle from its axis, can be rendered at once.
const WIDEST: f64 = 4.0;

/// The mean of what several exposures show.
fn mean(exposed: &[RgbImage], shown: impl Fn(&RgbImage) -> Option<[f32; 3]>) -> image::Rgb<u8> {
    let sum = exposed.iter().fold(Vec3::ZERO, |sum, shot| {
        sum + shown(shot).map_or(Vec3::ZERO, Vec3::from)
    });
    image::Rgb(
        (sum / exposed.len().max(1) as f32)
            .round()
            .to_array()
            .map(|value| value as u8),
    )
}

/// What a picture shows between its pixels; `None` outside of it.
fn between(image: &RgbImage, place: Vec2) -> Option<[f32; 3]> {
    image::imageops::interpolate_bilinear(image, place.x, place.y).map(|p| p.0.map(f32::from))
}

/// Normal numbers, the same in every run.
fn grain() -> &'static [f32] {
    static GRAIN: OnceLock<Vec<f32>> = OnceLock::new();
    GRAIN.get_or_init(|| {
        let mut random = Random::new(3);
        (0..65_521).map(|_| random.normal() as f32).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::Distortion;
    use crate::source::synthetic::cameras_around;
    use image::Rgb;

    fn view() -> View {
        let mut view = cameras_around(1, 4.0).remove(0);
        view.intrinsics = Intrinsics::assumed(160, 120);
        view
    }

    #[test]
    fn a_perfect_lens_shows_what_is_rendered() {
        let film = Film::new(&view().intrinsics, &Faults::default());
        assert_eq!(
            (film.width, film.height, film.shows.is_none()),
            (160, 120, true)
        );
        let rendered = RgbImage::from_fn(160, 120, |x, y| Rgb([x as u8, y as u8, 9]));
        assert_eq!(film.develop(std::slice::from_ref(&rendered), 0), rendered);
    }

    #[test]
    fn a_bent_lens_shows_points_where_it_projects_them() {
        let mut lens = view().intrinsics;
        lens.distortion = Distortion {
            k1: -0.2,
            p1: 0.01,
            ..Distortion::default()
        };
        lens.principal += DVec2::new(6.0, -4.0);
        let film = Film::new(&lens, &Faults::default());
        assert!(film.width > 160 && film.height > 120);
        // A bright spot that a pinhole renders at a point's place.
        for point in [DVec3::new(0.4, -0.2, 1.0), DVec3::new(-0.35, 0.3, 1.0)] {
            let middle = (DVec2::new(f64::from(film.width), f64::from(film.height)) - 1.0) * 0.5;
            let spot = (point.truncate() * lens.focal.x + middle).as_vec2();
            let rendered = RgbImage::from_fn(film.width, film.height, |x, y| {
                let off = Vec2::new(x as f32, y as f32).distance(spot);
                Rgb([(255.0 * (-0.5 * off * off / 4.0).exp()) as u8; 3])
            });
            let shown = film.develop(&[rendered], 0);
            let (mut sum, mut place) = (0.0, DVec2::ZERO);
            for (x, y, pixel) in shown.enumerate_pixels() {
                let light = f64::from(pixel.0[0]);
                sum += light;
                place += light * DVec2::new(f64::from(x), f64::from(y));
            }
            let wanted = lens.project(point).unwrap_or_default();
            assert!(
                (place / sum).distance(wanted) < 0.3,
                "{} {wanted}",
                place / sum
            );
        }
    }

    #[test]
    fn noise_is_as_strong_as_told_and_a_mirror_exchanges_sides() {
        let faults = Faults {
            noise: 5.0,
            ..Faults::default()
        };
        let film = Film::new(&view().intrinsics, &faults);
        let grey = RgbImage::from_pixel(160, 120, Rgb([128; 3]));
        let noisy = film.develop(std::slice::from_ref(&grey), 1);
        let squares = noisy
            .iter()
            .map(|value| (f32::from(*value) - 128.0).powi(2));
        let sigma = (squares.sum::<f32>() / noisy.len() as f32).sqrt();
        assert!((4.7..5.3).contains(&sigma), "{sigma}");
        assert_ne!(noisy, film.develop(&[grey], 2));

        let faults = Faults {
            mirrored: true,
            ..Faults::default()
        };
        let film = Film::new(&view().intrinsics, &faults);
        let rendered = RgbImage::from_fn(160, 120, |x, _| Rgb([x as u8; 3]));
        assert_eq!(film.develop(&[rendered], 0).get_pixel(0, 7).0, [159; 3]);
    }

    #[test]
    fn clocks_begin_late_and_pictures_are_lost_as_told() {
        let faults = Faults {
            dropped: 0.25,
            late: 0.08,
            ..Faults::default()
        };
        let (mut webcam, source) = VirtualWebcam::new(view(), 25.0, faults);
        assert!((webcam.next_exposure() - 0.08).abs() < 1e-9);
        for _ in 0..300 {
            webcam.advance();
        }
        let lost = 1.0 - 300.0 / webcam.next.0 as f64;
        assert!((lost - 0.25).abs() < 0.06, "{lost}");
        webcam.take(50, 0, RgbImage::new(160, 120));
        let SourceSpec::Pushed(source) = source else {
            panic!("pushed")
        };
        assert_eq!(source.try_next().map(|picture| picture.time), Some(2.0));
    }

    #[test]
    fn who_moves_is_blurred_over_the_exposure() {
        let faults = Faults {
            exposure: 0.02,
            ..Faults::default()
        };
        let (mut webcam, source) = VirtualWebcam::new(view(), 25.0, faults);
        webcam.advance();
        assert!((webcam.next_exposure() - (0.04 - 0.008)).abs() < 1e-9);
        for step in 0..BLUR_STEPS {
            webcam.take(
                1,
                step,
                RgbImage::from_pixel(160, 120, Rgb([10 * step as u8; 3])),
            );
        }
        let SourceSpec::Pushed(source) = source else {
            panic!("pushed")
        };
        let grey = source
            .try_next()
            .map(|picture| picture.image.get_pixel(3, 3).0);
        assert_eq!(grey, Some([20; 3]));
    }

    #[test]
    fn a_bump_moves_the_camera_from_then_on() {
        let bump = Bump {
            at: 1.0,
            turn: 0.1,
            shift: DVec3::X * 0.02,
        };
        let faults = Faults {
            bump: Some(bump),
            ..Faults::default()
        };
        let (webcam, _) = VirtualWebcam::new(view(), 25.0, faults);
        let (before, after) = (webcam.stands(0.9), webcam.stands(1.0));
        assert_eq!(before, webcam.view.extrinsics);
        assert!((after.centre() - before.centre() - bump.shift).length() < 1e-9);
        let turned = (after.rotation * before.rotation.transpose()).mul_vec3(DVec3::Z);
        assert!((turned.angle_between(DVec3::Z) - 0.1).abs() < 1e-9);
    }
}
