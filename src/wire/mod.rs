//! Bytes, exact and recordable: links with or without TLS, HTTP/1.1 as sent, content codings, the event-stream codec,
//! lines of a process, WebSocket messages, bounds on all of them, and the tap into the transcript.
//!
//! Knows nothing of MCP beyond which headers hold secrets.

mod coding;
mod http;
mod limits;
mod link;
mod secrets;
mod sse;
mod stdio;
mod tap;
mod websocket;

pub use coding::{Coding, CodingError};
pub use http::{Connection, Framing, Head, Request, WireError};
pub use limits::{MAX_ASKED, MAX_BODY, MAX_EVENTS, MAX_MESSAGES, MAX_TOTAL, read_within_bounds};
pub use link::{Link, Place, Trust, TrustError};
pub use sse::{Decoder, Frame};
pub use stdio::{Asked, Command, Lines, Output, Process, Started, kill_all};
pub use tap::{Sink, Tap};
pub use websocket::{Incoming, Listener, MAX_TEXT, Speaker, accept_key, sockets};
