//! What happened, append-only: events, the views that checks read, the JSON Lines codec, a builder for tests.
//!
//! Knows nothing of who drives or who judges.

mod builder;
mod codec;
mod conversation;
mod disturbed;
mod era;
mod event;
mod exchange;
mod modern;
mod view;

pub use builder::Builder;
pub use codec::{CodecError, FORMAT_VERSION, Reading, Recorded, Writer, read, write};
pub use conversation::Conversation;
pub use era::{
    META_CAPABILITIES, META_CLIENT, META_LEVEL, META_SERVER, META_SUBSCRIPTION, META_VERSION, has_modern_meta,
    is_modern_version,
};
pub use event::{ClientName, End, Ended, Event, EventKind, HeaderText, Headers, header};
pub use exchange::{AtNode, ChannelText, Exchange, Exit, Redirect, SseEvent};
pub use view::{Call, Carrier, Direction, Msg, View};
