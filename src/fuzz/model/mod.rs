//! The model: what has to hold of grants, codes, tokens, rotation, clients, scopes, resources, sessions, calls and time.
//!
//! Pure: a deed and what was seen go in, and the states that explain it come out, or the rule that is broken. It must not
//! know how anything is sent, nor how a deed was chosen.

mod calls;
mod edges;
mod grants;
mod judge;
mod rules;
mod sessions;
mod world;

pub(crate) use calls::WORK;
pub(crate) use edges::{Edge, Side, until};
pub(crate) use judge::judge;
pub(crate) use rules::{ANSWERED as NOTHING, Broken, INVARIANTS, Want};
pub(crate) use world::World;
