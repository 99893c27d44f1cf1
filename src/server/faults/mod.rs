//! The catalogue of faults, a file for each area; a row says id, requirements broken, what is done, summary.
//!
//! A new fault is one row in the file of its area.

mod all;
mod asking;
mod authorization_resource;
mod authorization_server;
mod authorization_tokens;
mod capabilities;
mod envelope;
mod http;
mod lifecycle;
mod modern;
mod modern_headers;
mod modern_listen;
mod modern_results;
mod modern_rounds;
mod modern_tasks;
mod modern_version;
mod prompts;
mod resources;
mod sessions;
mod streams;
mod tools;
mod transports;
mod utilities;

pub use all::faults;
