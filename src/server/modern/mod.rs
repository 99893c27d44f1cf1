//! The era without a handshake (revision 2026-07-28): every request says for itself which version it speaks and what its
//! client can do, and nothing is remembered between two of them.
//!
//! Re-exports only. Tools, resources, prompts and completion are those of the other era.

mod answers;
mod caching;
mod capabilities;
mod discover;
mod era;
pub(crate) mod fixtures;
mod headers;
mod line;
mod listen;
mod meta;
mod methods;
mod post;
mod round;
mod running;
mod serve;
mod shared;
mod state;
mod tasks;
mod way;

pub(crate) use capabilities::Need;
pub(crate) use era::{Signs, has_modern_field, is_modern_message, is_modern_post};
pub(crate) use line::{Lane, unopened};
pub(crate) use listen::Event;
pub(crate) use post::{refuse_legacy, serve as serve_post};
pub(crate) use running::Running;
pub(crate) use shared::Modern;
pub(crate) use state::Seal;
