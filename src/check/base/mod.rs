//! Checks of the area `base`, one topic a file.

pub mod batch;
pub mod envelope;
pub mod errors;
pub mod ids;
pub mod meta;
pub mod schema;
