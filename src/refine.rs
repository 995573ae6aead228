//! Making poses better once they are there.

pub mod limbs;
pub mod sequence;
pub mod smooth;
pub mod steady;
