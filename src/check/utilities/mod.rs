//! Checks of the area `utilities`, one topic a file.

pub mod cancellation;
pub mod cancelled;
pub mod completion;
pub mod logging;
pub mod pagination;
pub mod ping;
pub mod progress;
pub mod tasks;
