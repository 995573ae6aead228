//! The models that the examples run.

use std::path::Path;

use bevy_pose_capture::inference::Models;

/// The models of a folder, or else the embedded ones, those of these names first.
///
/// # Errors
/// Where a file cannot be read, or no model has a name that is preferred.
pub fn open(
    folder: Option<&Path>,
    preferred: &[String],
) -> Result<Models, Box<dyn std::error::Error>> {
    let mut models = match folder {
        Some(folder) => Models::from_folder(folder)?,
        #[cfg(feature = "embedded-models")]
        None => Models::embedded(),
        #[cfg(not(feature = "embedded-models"))]
        None => return Err("built without embedded models: say --models DIR".into()),
    };
    for name in preferred {
        models.prefer(name)?;
    }
    Ok(models)
}
