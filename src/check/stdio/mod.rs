//! The area `transport.stdio`: lines on a pipe, and how a process ends.

pub mod ending;
pub mod input;
pub mod output;
