//! Bytes, exact and recordable: HTTP/1.1 as sent, the event-stream codec, and the tap into the transcript.
//!
//! Knows nothing of MCP beyond which headers hold secrets.

mod http;
mod secrets;
mod sse;
mod tap;

pub use http::{Connection, Framing, Head, Request, WireError};
pub use sse::{Decoder, Frame};
pub use tap::Tap;
