//! Text → [`Scenario`]: the format, its mistakes, and the scenarios that are shipped.
//!
//! Must not know who runs a scenario or how a step looks on the wire.

mod action;
mod delay;
mod diagnostics;
mod editor_schema;
mod expect;
mod field;
mod interpolate;
mod load;
mod matcher;
mod network;
mod parse;
mod resolve;
mod schema;
mod schema_auth;
mod transports;
mod validate;
mod validate_network;
mod validate_nodes;
mod words;

pub use action::Action;
pub use delay::Delay;
pub use diagnostics::{Diagnostic, Diagnostics};
pub use editor_schema::EDITOR_SCHEMA;
pub use expect::{
    BadExpect, BodyMatch, CodeMatch, ErrorMatch, Expect, NotificationMatch, RequestMatch, ResultMatch, StatusMatch,
    StatusPattern,
};
pub use field::{FieldFailure, field_failures};
pub use interpolate::{UnknownVariable, Vars, interpolate, interpolate_matcher};
pub use load::{load_dir, load_file, shipped};
pub use matcher::{BadMatcher, Matcher, Mismatch, OPERATORS};
pub use network::WrittenFault;
pub use parse::parse;
pub use schema::{
    Answers, Await, Cancel, Connect, Disconnect, FIRST_CLIENT, Headers, Invoke, Listen, Negotiate, Notify, Raw,
    Reconnect, Restart, Scenario, Shutdown, Step, Wait, Word,
};
pub use schema_auth::{MintStep, OAuthStep, Publish};
pub use validate::{NEEDS, NEEDS_REFERENCE};
pub use words::{
    DisconnectWhen, Eras, HeaderSource, LastEventId, NodeChoice, OAuthRequest, Outcome, RestartHow, RestartWhat,
    SessionChange, SessionSource, SpokenEra, StateSource,
};
