//! Checks of the area `http`, one topic a file.

pub mod body;
pub mod early;
pub mod headers;
pub mod listen;
pub mod origin;
pub mod post;
pub mod resume;
pub mod spelling;
pub mod stream;
