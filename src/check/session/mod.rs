//! Checks of the area `session`, one topic a file.

pub mod identity;
pub mod kept;
pub mod naming;
mod nodes;
pub mod termination;
pub mod uncarried;
