//! The judgement, pure: each check reads a transcript and says what it shows about one requirement.
//!
//! A check never sends, waits, or reads a clock or a file. Folders are areas of the requirement catalogue.

mod catalogue;
mod finding;
mod memo;
#[cfg(test)]
mod modernised;
mod schemas;
mod support;
mod syntax;
#[cfg(test)]
pub(crate) mod testing;
mod wire;

pub mod auth;
pub mod base;
pub mod client;
pub mod features;
pub mod http;
pub mod lifecycle;
pub mod modern;
pub mod session;
pub mod shape;
pub mod sse;
pub mod stdio;
pub mod utilities;

pub use catalogue::{CHECKS, Check, judge_all, judge_exercised};
pub use client::{CLIENT_CHECKS, judge_client};
pub use finding::{Breach, Finding, Findings, Outcome};
