//! The simulated client: a profile's behaviour on the wire, driven step by step by a scenario.
//!
//! Records what it sent, what came back and when. It never judges and never prints.

mod answering;
mod auth;
mod calling;
mod compose;
mod control;
mod driver;
mod entry;
mod exchange;
mod habits;
mod mirror;
mod modern;
mod network;
mod nodes;
mod opening;
mod requests;
mod restart;
mod sim;
mod step;
mod target;
#[cfg(test)]
mod tests;
mod tools;
mod transport;

pub use auth::token_to_order;
pub use driver::{Drive, drive};
pub use entry::{Entry, FormStep, Grant, Hidden, Identity, Keep, KnownClient, Person, Wallet};
pub use nodes::Node;
pub use restart::{RestartCommand, Restarted, Restarts};
pub use target::{SafeCall, Target, TargetError, TimeControl};
