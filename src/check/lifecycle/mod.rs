//! Checks of the area `lifecycle`, one topic a file.

pub mod capabilities;
pub mod initialize;
pub mod offer;
pub mod version;
