//! How somebody looks: their build, what they wear, and what it is made of.

use bevy::asset::RenderAssetUsages;
use bevy::image::{ImageAddressMode, ImageSampler, ImageSamplerDescriptor};
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat};
use bevy_pose_capture::source::synthetic::Random;
use image::RgbImage;

/// Side of a texture, in pixels.
const SIDE: u32 = 96;

/// What a piece of somebody is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Material {
    /// Skin.
    Skin,
    /// What covers the trunk and the arms.
    Shirt,
    /// What covers the legs, or a skirt.
    Trousers,
    /// Shoes and gloves.
    Shoes,
    /// Hair, brows and beards.
    Hair,
    /// A hat or a cap.
    Hat,
    /// The white of eyes.
    White,
    /// Irises and glasses.
    Dark,
    /// Lips.
    Lips,
    /// Desks.
    Wood,
}

impl Material {
    /// Every one.
    pub const ALL: [Material; 10] = [
        Material::Skin,
        Material::Shirt,
        Material::Trousers,
        Material::Shoes,
        Material::Hair,
        Material::Hat,
        Material::White,
        Material::Dark,
        Material::Lips,
        Material::Wood,
    ];
}

/// What is on somebody's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hair {
    /// Nothing.
    None,
    /// Short hair.
    Short,
    /// Hair that falls over the neck.
    Long,
    /// Hair that is bound up.
    Bun,
    /// A hat or a cap.
    Hat,
}

/// What the trunk wears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// Nothing.
    Bare,
    /// A band around the chest.
    Cropped,
    /// A shirt.
    Shirt,
    /// What the legs wear, in one piece with it: leotards and overalls.
    Suit,
}

/// Build and clothes. Lengths are in metres, factors are of a usual body's.
pub struct Looks {
    /// How thick limbs and trunk are.
    pub bulk: f32,
    /// How much thicker the belly is, in parts.
    pub belly: f32,
    /// How far the chest stands out.
    pub bust: f32,
    /// How far cloth is from the skin.
    pub loose: f32,
    /// What the trunk wears.
    pub top: Top,
    /// Where the sleeves end: at the shoulders (0), the elbows (1), the wrists (2).
    pub sleeve: f32,
    /// Where the trousers end: at the hips (0), the knees (1), the ankles (2).
    pub trouser: f32,
    /// Where the skirt ends, in parts of the way to the knees; 0 where there is none.
    pub skirt: f32,
    /// Height of the waist, in parts of the trunk.
    pub waist: f32,
    /// How far the shirt hangs over it, in parts of the trunk.
    pub hem: f32,
    /// Size of the shoes.
    pub shoe: f32,
    /// Bare feet.
    pub barefoot: bool,
    /// How far up the shins they go, in parts.
    pub boot: f32,
    /// How far down long hair falls below the neck.
    pub fall: f32,
    /// What is on the head.
    pub hair: Hair,
    /// Whether a hat has its brim in front only.
    pub cap: bool,
    /// A beard.
    pub beard: bool,
    /// Dark glasses.
    pub glasses: bool,
    /// Gloves.
    pub gloves: bool,
    /// Size of the jaw.
    pub jaw: f32,
    /// How far fingers are bent, in radians.
    pub curl: f32,
    /// How far they are spread.
    pub spread: f32,
}

impl Looks {
    /// Somebody's.
    pub fn random(random: &mut Random) -> Looks {
        let mut normal = || random.normal() as f32;
        let (bulk, belly, jaw) = (
            (0.05 + 0.13 * normal()).exp(),
            (0.16 * normal()).max(-0.06),
            (0.06 * normal()).exp(),
        );
        let (shoe, loose) = ((0.08 * normal()).exp(), (0.012 * normal()).abs().min(0.025));
        let mut chance = |share: f64| random.uniform() < share;
        let skirted = chance(0.15);
        let long = chance(0.7);
        let sleeve = if chance(0.45) { 1.95 } else { 0.0 };
        let hair = match () {
            () if chance(0.1) => Hair::None,
            () if chance(0.5) => Hair::Short,
            () if chance(0.45) => Hair::Long,
            () if chance(0.3) => Hair::Bun,
            () => Hair::Hat,
        };
        let (bust, beard, glasses, gloves, fist, cap) = (
            chance(0.4),
            chance(0.12),
            chance(0.1),
            chance(0.05),
            chance(0.4),
            chance(0.6),
        );
        let hem = chance(0.5);
        let mut within = |least: f64, most: f64| (least + (most - least) * random.uniform()) as f32;
        let dressed = Looks {
            bulk,
            belly,
            bust: if bust { within(0.0, 0.05) } else { 0.0 },
            loose,
            top: Top::Shirt,
            sleeve: if sleeve > 0.0 {
                within(1.6, 1.97)
            } else {
                within(0.0, 1.1)
            },
            trouser: if skirted {
                0.2
            } else if long {
                within(1.7, 1.97)
            } else {
                within(0.3, 1.2)
            },
            skirt: if skirted { within(0.5, 1.5) } else { 0.0 },
            waist: within(0.1, 0.3),
            hem: if hem { within(0.05, 0.35) } else { 0.02 },
            shoe,
            barefoot: false,
            boot: if within(0.0, 1.0) < 0.2 {
                within(0.1, 0.7)
            } else {
                0.04
            },
            fall: within(-0.05, 0.3),
            hair,
            beard: beard && !bust,
            cap,
            glasses,
            gloves,
            jaw,
            curl: if fist {
                within(0.6, 2.6)
            } else {
                within(0.0, 0.7)
            },
            spread: within(0.0, 0.4),
        };
        dressed.for_sports(random)
    }

    /// Some wear less, or more tightly: photographs to train on show few swimmers and gymnasts.
    fn for_sports(self, random: &mut Random) -> Looks {
        let mut within = |least: f64, most: f64| (least + (most - least) * random.uniform()) as f32;
        let kind = within(0.0, 1.0);
        let top = match kind {
            _ if kind < 0.14 => Top::Bare,
            _ if kind < 0.2 => Top::Cropped,
            _ if kind < 0.3 => Top::Suit,
            _ => Top::Shirt,
        };
        let is_bare = matches!(top, Top::Bare | Top::Cropped);
        let is_tight = within(0.0, 1.0) < 0.6;
        let is_short = within(0.0, 1.0) < 0.6;
        let barefoot = within(0.0, 1.0) < if top == Top::Shirt { 0.06 } else { 0.5 };
        Looks {
            top,
            bust: if top == Top::Bare { 0.0 } else { self.bust },
            barefoot,
            loose: if top != Top::Shirt && is_tight {
                0.0
            } else {
                self.loose
            },
            sleeve: match top {
                Top::Bare | Top::Cropped => 0.0,
                Top::Suit if is_tight && is_short => 0.0,
                Top::Shirt | Top::Suit => self.sleeve,
            },
            trouser: match top {
                Top::Bare | Top::Cropped if is_short => within(0.05, 1.1),
                Top::Suit if is_tight && is_short => within(0.02, 0.5),
                _ => self.trouser,
            },
            skirt: if top == Top::Bare { 0.0 } else { self.skirt },
            waist: if is_bare {
                within(-0.05, 0.3)
            } else {
                self.waist
            },
            shoe: if barefoot {
                self.shoe * 0.85
            } else {
                self.shoe
            },
            boot: if barefoot { 0.04 } else { self.boot },
            ..self
        }
    }

    /// What covers the trunk and the arms.
    pub fn of_top(&self) -> Material {
        match self.top {
            Top::Suit => Material::Trousers,
            Top::Bare | Top::Cropped | Top::Shirt => Material::Shirt,
        }
    }

    /// What the feet are covered by.
    pub fn of_feet(&self) -> Material {
        if self.barefoot {
            Material::Skin
        } else {
            Material::Shoes
        }
    }
}

/// A patch of a photograph, or a pattern, as clothes have them.
pub fn texture(material: Material, photos: &[RgbImage], random: &mut Random) -> Image {
    let is_cloth = matches!(
        material,
        Material::Shirt | Material::Trousers | Material::Hat | Material::Shoes
    );
    let plain = colour(material, random);
    let other = colour(material, random);
    let kind = random.uniform();
    let patch = (is_cloth && kind < 0.4 && !photos.is_empty()).then(|| {
        let photo = &photos[(random.uniform() * photos.len() as f64) as usize % photos.len()];
        let place = |room: u32, random: &mut Random| {
            (f64::from(room.saturating_sub(SIDE)) * random.uniform()) as u32
        };
        let (x, y) = (place(photo.width(), random), place(photo.height(), random));
        let tint = Vec3::from_array([0, 1, 2].map(|_| (0.2 * random.normal()).exp() as f32));
        (photo, x, y, tint)
    });
    let (wide, angle) = (3.0 + 20.0 * random.uniform(), random.uniform() * 2.0);
    let grain = if is_cloth {
        0.02 + 0.06 * random.uniform()
    } else {
        0.02
    };
    let mut bytes = Vec::with_capacity((SIDE * SIDE * 4) as usize);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (fx, fy) = (f64::from(x), f64::from(y));
            let stripe = |t: f64| (t / wide).rem_euclid(1.0) < 0.5;
            let shown = match &patch {
                Some((photo, left, top, tint)) => {
                    let pixel = photo
                        .get_pixel_checked(left + x, top + y)
                        .map_or([90; 3], |pixel| pixel.0);
                    Vec3::from_array(pixel.map(|value| f32::from(value) / 255.0)) * *tint
                }
                None if is_cloth && kind < 0.5 && stripe(fx * angle.cos() + fy * angle.sin()) => {
                    other
                }
                None if is_cloth && kind < 0.56 && (stripe(fx) ^ stripe(fy)) => other,
                None => plain,
            };
            let shown = shown * (1.0 + (grain * random.normal()) as f32);
            let [r, g, b] = (shown * 255.0)
                .clamp(Vec3::ZERO, Vec3::splat(255.0))
                .to_array();
            bytes.extend([r as u8, g as u8, b as u8, 255]);
        }
    }
    let size = Extent3d {
        width: SIDE,
        height: SIDE,
        depth_or_array_layers: 1,
    };
    let mut image = Image::new(
        size,
        TextureDimension::D2,
        bytes,
        TextureFormat::Rgba8UnormSrgb,
        RenderAssetUsages::default(),
    );
    image.sampler = ImageSampler::Descriptor(ImageSamplerDescriptor {
        address_mode_u: ImageAddressMode::MirrorRepeat,
        address_mode_v: ImageAddressMode::MirrorRepeat,
        ..ImageSamplerDescriptor::linear()
    });
    image
}

fn colour(material: Material, random: &mut Random) -> Vec3 {
    let mut pick = |all: &[[f32; 3]]| {
        let at = (random.uniform() * all.len() as f64) as usize % all.len();
        Vec3::from_array(all[at])
    };
    let base = match material {
        Material::Skin => pick(&[
            [0.93, 0.78, 0.69],
            [0.88, 0.70, 0.58],
            [0.78, 0.58, 0.44],
            [0.62, 0.43, 0.31],
            [0.45, 0.30, 0.21],
            [0.30, 0.20, 0.15],
        ]),
        Material::Hair => pick(&[
            [0.06, 0.05, 0.05],
            [0.16, 0.10, 0.07],
            [0.33, 0.21, 0.12],
            [0.62, 0.47, 0.28],
            [0.55, 0.54, 0.52],
            [0.42, 0.16, 0.08],
        ]),
        Material::White => Vec3::splat(0.85),
        Material::Dark => pick(&[[0.05, 0.04, 0.04], [0.15, 0.2, 0.28], [0.16, 0.11, 0.07]]),
        Material::Wood => pick(&[
            [0.85, 0.83, 0.80],
            [0.72, 0.55, 0.36],
            [0.45, 0.30, 0.18],
            [0.55, 0.56, 0.58],
            [0.13, 0.12, 0.12],
        ]),
        Material::Lips => pick(&[[0.66, 0.35, 0.32], [0.5, 0.27, 0.25], [0.75, 0.3, 0.34]]),
        Material::Shirt | Material::Trousers | Material::Shoes | Material::Hat => {
            // Much of what people wear is grey, black, white or blue.
            let light = random.uniform() as f32;
            let [r, g, b] = [0, 1, 2].map(|_| random.uniform() as f32);
            let vivid = (random.uniform() as f32).powi(2);
            Vec3::splat(light).lerp(Vec3::new(r, g, b), vivid) * 0.92 + 0.03
        }
    };
    base * (1.0 + 0.06 * random.normal() as f32)
}
