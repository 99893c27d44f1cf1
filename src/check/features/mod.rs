//! Checks of the area `features`, one topic a file.

pub mod asking;
pub mod callable;
pub(crate) mod content;
pub mod elicitation;
pub(crate) mod listing;
pub mod prompts;
pub mod resources;
pub mod results;
pub mod subscriptions;
pub mod tools;
