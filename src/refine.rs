//! Making poses better once they are there.

pub mod smooth;
