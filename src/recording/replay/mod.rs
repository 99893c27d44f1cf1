//! The client's side of a recording, played against another server.

mod divergence;
mod http;
mod lines;
mod script;
mod words;

pub use divergence::{Divergence, divergences};
pub use http::play_http;
pub use lines::play_lines;
pub use script::{Stage, Unplayable, playable};
