//! The store in Redis, shared by any number of nodes: three keys and a log for each session, each with an end of its
//! own, so that nothing is left behind.
//!
//! Re-exports only. No scripts; Redis 6.2 and later, and Redis Cluster.

mod bus;
mod codec;
mod link;
mod redis_store;
mod shared;
mod written;

pub use link::RedisError;
pub(crate) use redis_store::Redis;
pub(crate) use shared::Shared;
