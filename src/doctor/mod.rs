//! The road that a client walks to a server, station by station: where it breaks, and what to change.
//!
//! [`examine`] drives one simulated client over the road; [`diagnose`] is a pure function of what it saw;
//! [`terminal`] and [`json`] tell it. Must not decide exit codes or print.

mod answer;
mod arrival;
mod audience;
mod diagnose;
mod diagnosis;
mod discovery;
mod forecast;
mod login;
mod oauth_error;
mod print;
mod refresh;
mod road;
mod session;
mod strings;
#[cfg(test)]
mod tests;
mod walk;

pub use diagnose::diagnose;
pub use diagnosis::{Diagnosis, ForClients, Named, Shown, State, Station, Token};
pub use print::{json, terminal};
pub use walk::{WalkError, examine};
