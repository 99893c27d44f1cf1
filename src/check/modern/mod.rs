//! Checks of what only the modern era has: requests that carry their own metadata, mirrored headers, discovery,
//! subscriptions, several round trips, caching, tasks as an extension. Re-exports only.

pub(crate) mod asked;
pub mod caching;
pub mod cancel;
pub mod codes;
pub mod delivery;
pub mod discover;
pub mod features;
mod flaw;
pub mod headers;
pub mod http;
pub mod input;
pub mod listen;
pub mod logs;
pub mod metadata;
pub mod methods;
pub mod mirrored;
pub mod results;
pub mod rounds;
mod subscription;
pub mod task_states;
pub mod tasks;
pub mod version;
#[cfg(test)]
mod whole;
