//! Cameras: what their lenses are, and where they stand.
//!
//! [`people`] places the cameras of a room by somebody who walks in it: pairs of views by what both see ([`essential`]),
//! further ones by what is known by then ([`pose`]), all of it adjusted together ([`bundle`]). [`boards`] places them by a
//! board instead. [`intrinsics`] solves lenses from the corners of a [`board`], and [`coverage`] tells when enough of it was
//! shown. [`attitude`] tells how one camera is held and how wide it sees, by the straight edges of the room. [`sync`] tells how
//! far clocks are apart. [`verdict`] says whether a calibration can be trusted, and [`watchdog`] whether it still can, by the
//! people and by what stands still behind them ([`backdrop`]); [`files`] reads and writes them.

pub mod attitude;
pub mod backdrop;
pub mod board;
pub mod boards;
pub mod bundle;
pub mod coverage;
pub mod essential;
pub mod files;
pub mod intrinsics;
pub(crate) mod manhattan;
pub mod people;
pub mod pose;
pub mod projection;
mod schur;
pub mod sync;
pub mod verdict;
pub mod watchdog;
