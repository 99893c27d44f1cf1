//! Checks of the area `http`, one topic a file.

pub mod headers;
pub mod origin;
pub mod post;
