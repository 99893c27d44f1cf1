//! The area `transport.sse`: the event stream of 2024-11-05 and the place for messages that it names.

pub mod access;
pub mod fallback;
pub mod messages;
pub mod opening;
