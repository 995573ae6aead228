//! Cameras: what their lenses are, and where they stand.
pub mod bundle;
pub mod essential;
pub mod files;
pub mod intrinsics;
pub mod people;
pub mod pose;
pub mod projection;
pub mod verdict;
