//! Two or more views: from rays to a body in space.
//!
//! [`triangulate`] finds single joints, [`body`] the whole body at once under what is known of its bones and of its motion
//! ([`bones`], [`motion`]; [`posture`] for what one view sees), [`pictorial`] searches for it where views contradict one another; [`figure`] follows one person with
//! them.

pub mod body;
pub mod bones;
pub mod figure;
pub mod motion;
pub mod pictorial;
pub mod posture;
pub mod triangulate;
