//! What outlives a request and belongs to no connection: the records of sessions and their logs, in memory or in Redis.
//!
//! Re-exports only. It knows neither HTTP nor any method, and no reader.

mod memory;
mod record;
mod session_store;

pub(crate) use memory::Memory;
pub(crate) use record::{Change, Entry, Facts, Kind, Notice, Position, Record};
pub(crate) use session_store::{Heard, SessionStore, StoreError, Subscription, Use, Wait};
