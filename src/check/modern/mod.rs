//! Checks of what only the modern era has: requests that carry their own metadata, mirrored headers, discovery,
//! subscriptions, several round trips, caching, tasks as an extension. Re-exports only.

pub mod absent;
pub mod annotations;
pub(crate) mod asked;
pub mod caching;
pub mod cancel;
pub mod codes;
pub mod connections;
pub mod delivery;
pub mod discover;
mod flaw;
pub mod headers;
pub mod http;
pub mod input;
pub mod listen;
pub mod lists;
pub mod logs;
pub mod metadata;
pub mod methods;
pub mod mirrored;
pub mod results;
mod round;
pub mod rounds;
#[cfg(test)]
mod samples;
pub mod states;
pub mod stream;
mod subscription;
pub mod task_requests;
pub mod task_states;
pub mod tasks;
pub mod version;
#[cfg(test)]
mod whole;
