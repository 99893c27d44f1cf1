//! Recordings of real clients: how one is made, read, compared, played again, and turned into a profile.
//!
//! A recording is a transcript like any other, so that the same checks judge it.

mod derive;
pub mod fidelity;
mod file;
mod pipes;
mod recorder;
mod replay;
mod sent;
mod transports;

pub use derive::{DeriveError, Proposal, Source, propose, situation};
pub use file::{FileError, Shelf, day, load, warnings};
pub use pipes::{PipesError, between};
pub use recorder::Recorder;
pub use replay::{Divergence, Stage, Unplayable, divergences, play_http, play_lines, playable};
pub use sent::requests;
pub use transports::over_transports;
