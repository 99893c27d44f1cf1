//! A profile out of a recording: what the client was seen to do, and nothing that it was not seen to do.

mod habits;
mod headers;
mod login;
mod propose;
mod seen;
mod situation;
mod yaml;

pub use propose::{DeriveError, Proposal, Source, propose};
pub use situation::situation;
