//! MCP over the wire: which transport a client speaks, and the channels of those where everything comes on one stream.
//!
//! Streamable HTTP has no channel: each of its exchanges stands for itself, in `exchange`.

mod choose;
mod line;
mod sse;
mod stdio;
mod websocket;

pub(super) use line::{Line, NO_ID};
