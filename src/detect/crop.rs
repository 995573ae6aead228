//! Cutting what a network wants to see out of a picture: axis-aligned crops with proper averaging, turned ones by sampling.

use bevy::log::warn_once;
use bevy::math::{Affine2, Rect, Vec2};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

use crate::inference::{Channels, Data, InputForm, Layout, Number};

/// A part of a picture: a rectangle of any rotation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Its middle, in pixels of the picture.
    pub centre: Vec2,
    /// Width and height, in pixels of the picture.
    pub size: Vec2,
    /// Rotation, clockwise as seen; 0 is upright.
    pub angle: f32,
}

impl Region {
    /// The smallest region of the given proportions (width / height) that holds a box grown by `growth`.
    pub fn around(bounds: Rect, growth: f32, proportions: f32) -> Region {
        Region::from(bounds).grown(growth, proportions)
    }

    /// The same around one that may be turned.
    pub fn grown(&self, growth: f32, proportions: f32) -> Region {
        let (width, height) = (self.size.x.max(1.0), self.size.y.max(1.0));
        let height = height.max(width / proportions) * growth;
        Region {
            size: Vec2::new(height * proportions, height),
            ..*self
        }
    }

    /// `picture_from_crop` for a crop of that many pixels; whole numbers are centres of pixels on both sides.
    pub fn picture_from_crop(&self, width: usize, height: usize) -> Affine2 {
        let scale = self.size / Vec2::new(width as f32, height as f32);
        let middle = Vec2::new(width as f32 - 1.0, height as f32 - 1.0) * 0.5;
        Affine2::from_scale_angle_translation(Vec2::ONE, self.angle, self.centre)
            * Affine2::from_scale(scale)
            * Affine2::from_translation(-middle)
    }

    /// `crop_before_from_crop` for somebody whose crop was `before` in the last frame, in coordinates that run from -1 to 1 between the
    /// edges of a crop.
    pub fn crop_before_from_crop(&self, before: &Region) -> Affine2 {
        let picture_from_unit = |region: &Region| {
            Affine2::from_scale_angle_translation(Vec2::ONE, region.angle, region.centre)
                * Affine2::from_scale(region.size * 0.5)
        };
        picture_from_unit(before).inverse() * picture_from_unit(self)
    }
}

impl From<Rect> for Region {
    fn from(bounds: Rect) -> Region {
        Region {
            centre: bounds.center(),
            size: bounds.size(),
            angle: 0.0,
        }
    }
}

/// Cuts crops and turns them into tensors; keeps its buffers between frames.
pub struct Cutter {
    resizer: Resizer,
    pixels: Vec<u8>,
    upright: RgbImage,
    part: Vec<u8>,
    numbers: Vec<f32>,
    form: InputForm,
}

impl Cutter {
    /// For a network of that input.
    pub fn new(form: InputForm) -> Cutter {
        Cutter {
            resizer: Resizer::new(),
            pixels: Vec::new(),
            upright: RgbImage::default(),
            part: Vec::new(),
            numbers: Vec::new(),
            form,
        }
    }

    /// Cuts a region out, as a tensor; what lies beyond the picture's edge becomes the grey `pad`.
    pub fn cut(&mut self, image: &RgbImage, region: &Region, pad: u8) -> Data<'_> {
        let InputForm::Image {
            width,
            height,
            layout,
            channels,
            number,
            mean,
            std,
            ..
        } = self.form
        else {
            return Data::F32(&[]);
        };
        self.pixels.clear();
        self.pixels.resize(width * height * 3, pad);
        let picture_from_crop = region.picture_from_crop(width, height);
        if region.angle.abs() < 1e-3 {
            self.shrink(image, picture_from_crop, width, height);
        } else {
            self.turn(image, region, width, height, pad);
        }
        if channels == Channels::Bgr {
            self.pixels
                .chunks_exact_mut(3)
                .for_each(|pixel| pixel.swap(0, 2));
        }
        if number == Number::U8 && layout == Layout::Nhwc {
            return Data::U8(&self.pixels);
        }
        self.numbers.resize(self.pixels.len(), 0.0);
        let gain = std.map(f32::recip);
        match layout {
            Layout::Nhwc => {
                for (out, pixel) in self
                    .numbers
                    .chunks_exact_mut(3)
                    .zip(self.pixels.chunks_exact(3))
                {
                    for c in 0..3 {
                        out[c] = (f32::from(pixel[c]) - mean[c]) * gain[c];
                    }
                }
            }
            Layout::Nchw => {
                for (c, plane) in self.numbers.chunks_exact_mut(width * height).enumerate() {
                    for (out, pixel) in plane.iter_mut().zip(self.pixels.chunks_exact(3)) {
                        *out = (f32::from(pixel[c]) - mean[c]) * gain[c];
                    }
                }
            }
        }
        Data::F32(&self.numbers)
    }

    /// Fills a turned crop: the upright rectangle around it is shrunk with proper averaging first, and sampled then.
    fn turn(&mut self, image: &RgbImage, region: &Region, width: usize, height: usize, pad: u8) {
        let (sine, cosine) = (region.angle.sin().abs(), region.angle.cos().abs());
        let around = Region {
            centre: region.centre,
            size: Vec2::new(
                region.size.x * cosine + region.size.y * sine,
                region.size.x * sine + region.size.y * cosine,
            ),
            angle: 0.0,
        };
        // As many pixels as the crop has on the same ground, and no more than the picture itself has.
        let fine = (Vec2::new(width as f32, height as f32) / region.size)
            .max_element()
            .min(1.0);
        let columns = (around.size.x * fine).ceil().clamp(1.0, 4096.0) as usize;
        let rows = (around.size.y * fine).ceil().clamp(1.0, 4096.0) as usize;
        let crop = std::mem::take(&mut self.pixels);
        self.pixels = std::mem::take(&mut self.upright).into_raw();
        self.pixels.clear();
        self.pixels.resize(columns * rows * 3, pad);
        let picture_from_upright = around.picture_from_crop(columns, rows);
        self.shrink(image, picture_from_upright, columns, rows);
        let upright = std::mem::replace(&mut self.pixels, crop);
        self.upright = RgbImage::from_raw(columns as u32, rows as u32, upright).unwrap_or_default();
        let upright_from_crop =
            picture_from_upright.inverse() * region.picture_from_crop(width, height);
        sample(&self.upright, upright_from_crop, width, &mut self.pixels);
    }

    /// Fills those pixels of the crop that show the picture, each with the average of what it covers.
    fn shrink(
        &mut self,
        image: &RgbImage,
        picture_from_crop: Affine2,
        width: usize,
        height: usize,
    ) {
        let scale = Vec2::new(
            picture_from_crop.matrix2.x_axis.x,
            picture_from_crop.matrix2.y_axis.y,
        );
        // Left and upper edges of the crop's first pixel, in the picture, counted from the picture's own edge.
        let corner = picture_from_crop.transform_point2(Vec2::splat(-0.5)) + 0.5;
        let extent = Vec2::new(image.width() as f32, image.height() as f32);
        let size = Vec2::new(width as f32, height as f32);
        let first = (-corner / scale).ceil().clamp(Vec2::ZERO, size);
        let last = ((extent - corner) / scale).floor().clamp(Vec2::ZERO, size);
        let (columns, rows) = ((last.x - first.x) as usize, (last.y - first.y) as usize);
        if last.x <= first.x || last.y <= first.y {
            return;
        }
        let from = (corner + first * scale).clamp(Vec2::ZERO, extent);
        // In double precision: the resizer refuses a part that ends a hair beyond the edge.
        let shown = ((last - first) * scale)
            .as_dvec2()
            .min(extent.as_dvec2() - from.as_dvec2());
        self.part.resize(columns * rows * 3, 0);
        let options = ResizeOptions::new()
            .crop(from.x.into(), from.y.into(), shown.x, shown.y)
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        let source = ImageRef::new(
            image.width(),
            image.height(),
            image.as_raw(),
            PixelType::U8x3,
        );
        let target =
            Image::from_slice_u8(columns as u32, rows as u32, &mut self.part, PixelType::U8x3);
        let (Ok(source), Ok(mut target)) = (source, target) else {
            return;
        };
        if let Err(error) = self.resizer.resize(&source, &mut target, &options) {
            warn_once!("a crop could not be cut out and stays grey: {error}");
            return;
        }
        for row in 0..rows {
            let start = ((first.y as usize + row) * width + first.x as usize) * 3;
            self.pixels[start..start + columns * 3]
                .copy_from_slice(&self.part[row * columns * 3..(row + 1) * columns * 3]);
        }
    }
}

/// Fills a crop by bilinear sampling, one sample to a pixel; what lies beyond the picture stays as it is.
fn sample(image: &RgbImage, picture_from_crop: Affine2, width: usize, pixels: &mut [u8]) {
    let (columns, rows) = (image.width() as i32, image.height() as i32);
    let data = image.as_raw();
    for (n, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        let at =
            picture_from_crop.transform_point2(Vec2::new((n % width) as f32, (n / width) as f32));
        if at.x < -0.5 || at.y < -0.5 || at.x > columns as f32 - 0.5 || at.y > rows as f32 - 0.5 {
            continue;
        }
        let low = at.floor();
        let mix = at - low;
        let x0 = (low.x as i32).clamp(0, columns - 1) as usize;
        let y0 = (low.y as i32).clamp(0, rows - 1) as usize;
        let x1 = (x0 + 1).min(columns as usize - 1);
        let y1 = (y0 + 1).min(rows as usize - 1);
        let index = |x: usize, y: usize| (y * columns as usize + x) * 3;
        let corners = [
            (index(x0, y0), (1.0 - mix.x) * (1.0 - mix.y)),
            (index(x1, y0), mix.x * (1.0 - mix.y)),
            (index(x0, y1), (1.0 - mix.x) * mix.y),
            (index(x1, y1), mix.x * mix.y),
        ];
        for c in 0..3 {
            let value: f32 = corners
                .iter()
                .map(|(start, weight)| f32::from(data[start + c]) * weight)
                .sum();
            pixel[c] = value.round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Fit;

    fn form(side: usize) -> InputForm {
        InputForm::Image {
            width: side,
            height: side,
            layout: Layout::Nhwc,
            channels: Channels::Rgb,
            number: Number::U8,
            mean: [0.0; 3],
            std: [1.0; 3],
            fit: Fit::Letterbox { pad: 7 },
        }
    }

    /// Red grows along x, green along y.
    fn ramp() -> RgbImage {
        RgbImage::from_fn(40, 40, |x, y| image::Rgb([x as u8 * 5, y as u8 * 5, 0]))
    }

    fn at(fed: &Data, side: usize, x: usize, y: usize) -> [u8; 3] {
        let Data::U8(data) = fed else {
            panic!("bytes expected")
        };
        let start = (y * side + x) * 3;
        [data[start], data[start + 1], data[start + 2]]
    }

    #[test]
    fn a_crop_shows_what_its_matrix_says_and_grey_beyond_the_edge() {
        let region = Region {
            centre: Vec2::new(9.5, 9.5),
            size: Vec2::splat(40.0),
            angle: 0.0,
        };
        let matrix = region.picture_from_crop(20, 20);
        let mut cutter = Cutter::new(form(20));
        let fed = cutter.cut(&ramp(), &region, 7);
        assert_eq!(at(&fed, 20, 0, 0), [7, 7, 7], "left of the picture");
        let point = matrix.transform_point2(Vec2::new(12.0, 10.0));
        let pixel = at(&fed, 20, 12, 10);
        assert!(
            (f32::from(pixel[0]) - point.x * 5.0).abs() < 3.0,
            "{pixel:?} at {point}"
        );
        assert!(
            (f32::from(pixel[1]) - point.y * 5.0).abs() < 3.0,
            "{pixel:?} at {point}"
        );
    }

    #[test]
    fn crops_tell_where_things_were_in_those_before() {
        let before = Region {
            centre: Vec2::new(30.0, 20.0),
            size: Vec2::new(20.0, 40.0),
            angle: 0.5,
        };
        let now = Region {
            centre: Vec2::new(33.0, 26.0),
            size: Vec2::new(30.0, 60.0),
            angle: -0.2,
        };
        let map = now.crop_before_from_crop(&before);
        // The same place of the picture, in pixels of both crops.
        let unit = |pixel: Vec2, size: Vec2| (pixel + 0.5) / size * 2.0 - 1.0;
        let size = Vec2::new(48.0, 96.0);
        for point in [Vec2::ZERO, Vec2::new(31.0, 12.0), Vec2::new(60.0, 44.0)] {
            let [was, is] = [before, now].map(|region| {
                let crop_from_picture = region.picture_from_crop(48, 96).inverse();
                unit(crop_from_picture.transform_point2(point), size)
            });
            assert!(map.transform_point2(is).distance(was) < 1e-4);
        }
    }

    #[test]
    fn a_letterboxed_picture_fills_its_part_of_the_crop() {
        for (width, height) in [(1280, 720), (1080, 1920), (767, 431), (64, 48)] {
            let image = RgbImage::from_pixel(width, height, image::Rgb([200; 3]));
            let shown = Vec2::splat(width.max(height) as f32);
            let region = Region {
                centre: shown * 0.5 - 0.5,
                size: shown,
                angle: 0.0,
            };
            let mut cutter = Cutter::new(form(416));
            let fed = cutter.cut(&image, &region, 7);
            assert_eq!(at(&fed, 416, 100, 100), [200; 3], "{width} x {height}");
            assert_eq!(at(&fed, 416, 415, 415), [7; 3], "{width} x {height}");
        }
    }

    #[test]
    fn a_quarter_turn_is_clockwise_and_agrees_with_its_matrix() {
        let region = Region {
            centre: Vec2::splat(19.5),
            size: Vec2::splat(20.0),
            angle: std::f32::consts::FRAC_PI_2,
        };
        let mut cutter = Cutter::new(form(20));
        let fed = cutter.cut(&ramp(), &region, 7);
        let up = region
            .picture_from_crop(20, 20)
            .transform_point2(Vec2::new(9.5, 0.0));
        assert!(up.x > 28.0, "the crop's top is the picture's right: {up}");
        let pixel = at(&fed, 20, 10, 0);
        assert!(
            (f32::from(pixel[0]) - up.x * 5.0).abs() < 4.0,
            "{pixel:?} at {up}"
        );
    }

    #[test]
    fn a_turned_crop_that_shrinks_the_picture_averages_it_and_keeps_places() {
        // Fine stripes over a slope: what is sampled without averaging is nearly black or nearly white.
        let image = RgbImage::from_fn(400, 400, |x, y| {
            image::Rgb([
                (x / 2) as u8,
                if x % 2 == 0 { 0 } else { 200 },
                (y / 2) as u8,
            ])
        });
        let region = Region {
            centre: Vec2::new(199.5, 189.5),
            size: Vec2::splat(200.0),
            angle: 0.6,
        };
        let matrix = region.picture_from_crop(25, 25);
        let mut cutter = Cutter::new(form(25));
        let fed = cutter.cut(&image, &region, 7);
        for (x, y) in [(3, 3), (12, 12), (21, 5), (6, 20)] {
            let point = matrix.transform_point2(Vec2::new(x as f32, y as f32));
            let pixel = at(&fed, 25, x, y).map(f32::from);
            assert!(
                (pixel[0] - point.x / 2.0).abs() < 3.0,
                "{pixel:?} at {point}"
            );
            assert!(
                (pixel[2] - point.y / 2.0).abs() < 3.0,
                "{pixel:?} at {point}"
            );
            assert!((pixel[1] - 100.0).abs() < 25.0, "{pixel:?} at {point}");
        }
    }
}
