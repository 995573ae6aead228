//! Making poses better once they are there.

pub mod sequence;
pub mod smooth;
