//! Bytes, exact and recordable: HTTP/1.1 as sent, content codings, the event-stream codec, bounds on all of
//! them, and the tap into the transcript.
//!
//! Knows nothing of MCP beyond which headers hold secrets.

mod coding;
mod http;
mod limits;
mod secrets;
mod sse;
mod tap;

pub use coding::{Coding, CodingError};
pub use http::{Connection, Framing, Head, Request, WireError};
pub use limits::{MAX_ASKED, MAX_BODY, MAX_EVENTS, MAX_MESSAGES, MAX_TOTAL, too_much};
pub use sse::{Decoder, Frame};
pub use tap::Tap;
