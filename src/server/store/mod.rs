//! What outlives a request and belongs to no connection: the records of sessions and their logs, in memory or in Redis.
//!
//! Re-exports only. It knows neither HTTP nor any method, and no reader.

#[cfg(test)]
mod contract;
mod memory;
mod record;
mod redis;
mod regions;
mod session_store;

pub use self::redis::RedisError;
pub(crate) use self::redis::{Redis, Shared};
pub(crate) use memory::{Memory, give_back};
pub(crate) use record::{Change, Entry, Facts, Kind, Notice, Position, Record};
pub(crate) use regions::{Regions, id_in, is_region};
pub(crate) use session_store::{Batch, Heard, SessionStore, StoreError, Subscription, Use, Wait};
