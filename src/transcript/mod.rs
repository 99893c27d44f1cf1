//! What happened, append-only: events, the views that checks read, the JSON Lines codec, a builder for tests.
//!
//! Knows nothing of who drives or who judges.

mod builder;
mod codec;
mod disturbed;
mod event;
mod exchange;
mod view;

pub use builder::Builder;
pub use codec::{CodecError, FORMAT_VERSION, read, write};
pub use event::{End, Ended, Event, EventKind, Headers, header};
pub use exchange::{AtNode, ChannelText, Exchange, Exit, SseEvent};
pub use view::{Call, Carrier, Conversation, Direction, Msg, View};
