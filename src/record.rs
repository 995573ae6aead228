//! Takes: what was captured, on disk while it is captured, and as glTF afterwards.
//!
//! A [`take::Take`] holds joints and not bones: it can be put on any avatar later, again and again, with the same bytes
//! coming out each time. [`bake`] puts it on a model, [`gltf`] writes the file.

pub mod bake;
pub mod exchange;
pub mod gltf;
pub mod overlay;
pub mod take;
