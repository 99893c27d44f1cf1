//! Rehearse a remote MCP server against the clients that will really call it.
//!
//! The flow has one direction:
//!
//! ```text
//! scenario file ─▶ Scenario ─▶ Plan ─▶ driver ─▶ Transcript ─▶ checks ─▶ Findings ─▶ Verdicts ─▶ reporters
//! ```
//!
//! The driver never judges and never prints; a check never sends, waits or reads a clock; the reference
//! server never imports the client. `tests/layers.rs` holds these borders.

pub mod check;
pub mod cli;
pub mod client;
pub mod doctor;
pub mod fuzz;
pub mod model;
pub mod profile;
pub mod proxy;
pub mod recording;
pub mod rehearsal;
pub mod report;
pub mod scenario;
pub mod server;
pub mod transcript;
pub mod verdict;
pub mod wire;
