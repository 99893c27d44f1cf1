//! Checks of the area `lifecycle`, one topic a file.

pub mod version;
