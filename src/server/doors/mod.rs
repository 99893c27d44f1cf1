//! The ways in beside Streamable HTTP: one channel for all messages of a conversation, and what carries it.
//!
//! Re-exports only.

mod channel;
mod channels;
mod connection;
mod front;
mod legacy_sse;
mod lines;
mod socket;
mod stdio;
mod tls;
mod websocket;

pub(crate) use channel::Channel;
pub(crate) use channels::Channels;
pub(crate) use connection::{Connection, serve_socket, serve_stream};
pub use front::FrontDoor;
pub(crate) use legacy_sse::{open as open_legacy, post as post_legacy, post_path, refuse as refuse_legacy};
pub use stdio::serve_io;
pub(crate) use tls::{Identity, names};
pub(crate) use websocket::{asks_for as asks_for_websocket, delete as delete_websocket, upgrade};
