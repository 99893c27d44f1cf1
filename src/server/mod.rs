//! The reference server: correct on every revision over every transport, both eras at once, and wrong on request by a
//! named fault.
//!
//! Re-exports only. The server imports nothing of the project but `model`.

mod answer;
mod bearer;
mod body;
mod completion;
mod config;
mod control;
mod definitions;
mod dispatch;
mod doors;
mod envelope;
mod fault;
mod faults;
mod guard;
mod http;
mod lifecycle;
mod message;
mod modern;
mod notes;
mod oauth;
mod peer;
mod post;
mod prompts;
mod reply;
mod resources;
mod rewrites;
mod running;
mod schema;
mod session;
mod socket;
mod sse;
mod store;
mod tools;
mod written;

pub use config::{Eras, ServerConfig, ServerError, StateKey, StoreConfig, Tls};
pub use doors::{FrontDoor, serve_io};
pub use fault::Fault;
pub use faults::faults;
pub use oauth::{AuthConfig, Consent, KnownClient, RefreshPolicy, TokenFormat};
pub use running::{RunningServer, start};
pub use store::RedisError;
