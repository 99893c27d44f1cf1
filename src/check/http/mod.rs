//! Checks of the area `http`, one topic a file.

pub mod origin;
