//! Conversations as one node sees them: their streams and readers, what runs in them, and where they are found.
//!
//! Re-exports only. What has to outlive a node is for `store`.

mod conversation;
mod follow;
mod journal;
mod registry;
mod talk;

pub(crate) use conversation::{Reader, ResumeError, Session};
pub(crate) use registry::Sessions;
