//! A folder of pictures as a clip.

use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};

use super::{FrameSource, Picture, SourceError};

/// Reads the pictures of a folder in the order of their names.
#[derive(Debug)]
pub struct Images {
    files: Vec<PathBuf>,
    next: usize,
    rate: f64,
}

impl Images {
    /// Lists the folder.
    ///
    /// # Errors
    /// [`SourceError::NotFound`], [`SourceError::Unreadable`], [`SourceError::NoPictures`].
    pub fn open(folder: &Path, rate: f64) -> Result<Images, SourceError> {
        if !folder.exists() {
            return Err(SourceError::NotFound(folder.into()));
        }
        let entries = std::fs::read_dir(folder).map_err(|error| SourceError::Unreadable {
            path: folder.into(),
            wanted: "a folder of pictures",
            error: error.to_string(),
        })?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let extension = path
                    .extension()
                    .and_then(|e| e.to_str())
                    .unwrap_or_default()
                    .to_lowercase();
                matches!(extension.as_str(), "png" | "jpg" | "jpeg" | "bmp" | "webp")
            })
            .collect();
        files.sort();
        let rate = if rate.is_finite() && rate > 0.0 {
            rate.clamp(0.01, 1000.0)
        } else {
            30.0
        };
        if files.is_empty() {
            return Err(SourceError::NoPictures(folder.into()));
        }
        Ok(Images {
            files,
            next: 0,
            rate,
        })
    }
}

/// Reads one picture, turned upright as its EXIF rotation flag says.
///
/// # Errors
/// [`SourceError::Unreadable`].
pub fn read_picture(path: &Path) -> Result<RgbImage, SourceError> {
    let unreadable = |error: String| SourceError::Unreadable {
        path: path.into(),
        wanted: "a picture",
        error,
    };
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let mut decoder = reader
        .map_err(|error| unreadable(error.to_string()))?
        .into_decoder()
        .map_err(|e| unreadable(e.to_string()))?;
    let orientation = decoder
        .orientation()
        .unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image =
        DynamicImage::from_decoder(decoder).map_err(|error| unreadable(error.to_string()))?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

impl FrameSource for Images {
    fn next_picture(&mut self) -> Result<Option<Picture>, SourceError> {
        let Some(path) = self.files.get(self.next) else {
            return Ok(None);
        };
        let time = self.next as f64 / self.rate;
        self.next += 1;
        Ok(Some(Picture {
            time,
            image: read_picture(path)?,
            arrival: None,
        }))
    }

    fn rate(&self) -> Option<f64> {
        Some(self.rate)
    }

    fn length(&self) -> Option<u64> {
        Some(self.files.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_in_the_order_of_their_names_and_bad_ones_are_named()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for (name, shade) in [("b.png", 20u8), ("a.png", 10)] {
            RgbImage::from_pixel(4, 2, image::Rgb([shade; 3])).save(folder.path().join(name))?;
        }
        std::fs::write(folder.path().join("c.jpg"), "not a picture")?;
        let mut images = Images::open(folder.path(), 10.0)?;
        let shade =
            |picture: Option<Picture>| picture.map(|p| (p.image.get_pixel(0, 0)[0], p.time));
        assert_eq!(shade(images.next_picture()?), Some((10, 0.0)));
        assert_eq!(shade(images.next_picture()?), Some((20, 0.1)));
        assert!(
            images
                .next_picture()
                .is_err_and(|error| error.to_string().contains("c.jpg"))
        );
        Ok(())
    }

    #[test]
    fn a_folder_without_pictures_says_so() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        assert!(matches!(
            Images::open(folder.path(), 30.0),
            Err(SourceError::NoPictures(_))
        ));
        Ok(())
    }
}
