//! What the other party did: the requirements of clients, judged over recordings of real ones.
//!
//! Never run over what our own clients do, who break rules on purpose. Re-exports only.

mod answers;
mod catalogue;
mod common;
mod envelope;
mod http;
mod lifecycle;
mod login;
mod modern;
mod pipes;
mod session;
mod tokens;
mod utilities;

pub use catalogue::{CLIENT_CHECKS, judge_client};
