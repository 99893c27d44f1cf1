//! Verdicts become text: for a terminal, for machines, for publishing.
//!
//! Each reporter is a pure function of a [`Summary`]; must not print, play or judge.

mod json;
mod junit;
mod markdown;
mod matrix;
pub(crate) mod paint;
mod story;
mod terminal;
pub(crate) mod text;

#[cfg(test)]
mod fixture;

pub use json::json;
pub use junit::junit;
pub use markdown::markdown;
pub use terminal::terminal;

use crate::verdict::Summary;

/// A reporter that writes a file.
pub type Format = fn(&Summary) -> String;

/// The formats of `--report FORMAT=PATH`, by name.
pub const FORMATS: &[(&str, Format)] = &[("json", json), ("junit", junit), ("markdown", markdown)];
