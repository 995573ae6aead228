//! From a body in space to the bones of any humanoid model.

pub mod contact;
pub mod humanoid;
pub mod rest_pose;
mod side;
pub mod solve;
