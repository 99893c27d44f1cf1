//! The shape of messages: which members each has in each revision, and of what type.
//!
//! One description with the revisions from which and up to which something holds, `fixtures/shapes/*.yaml`; a table for
//! each revision is made of it. Re-exports only.

mod fit;
mod grammar;
mod message;
mod messages;
#[cfg(test)]
mod official;
mod table;

pub use fit::Misfit;
pub use message::{Reading, Sender, read};
pub(crate) use messages::CHECKS;
