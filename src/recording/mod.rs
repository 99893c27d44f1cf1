//! Recordings of real clients: how one is made, read, compared, played again, and turned into a profile.
//!
//! A recording is a transcript like any other, so that the same checks judge it.

mod derive;
pub mod fidelity;
mod file;
mod pipes;
mod recorder;
mod transports;

pub use derive::{DeriveError, Proposal, Source, propose, situation};
pub use file::{FileError, Shelf, day, load, warnings};
pub use pipes::{PipesError, between};
pub use recorder::Recorder;
pub use transports::over_transports;
