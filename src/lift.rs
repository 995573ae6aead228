//! One view over time: from joints in pictures to a body in space.
//!
//! A causal network turns a window of 2D poses into the newest pose about its mid hips, in metres ([`lifter`]); the place
//! of the hips follows from where the joints were seen ([`trajectory`]).

pub mod lifter;
pub mod trajectory;
pub mod window;
