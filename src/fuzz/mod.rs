//! The fuzzer of lifecycles: makes up what clients may do with tokens and sessions, compares a server with a model of what
//! has to hold, and shrinks what fails to the shortest story.
//!
//! Re-exports only. It prints nothing and chooses no exit code.

mod ask;
mod campaign;
mod coverage;
mod deed;
mod foreign;
mod ground;
mod link;
mod model;
mod names;
mod op;
mod play;
mod shrink;
mod story;
mod strategy;
mod terms;
mod unreached;
mod worlds;
mod written;

pub use campaign::{Campaign, Failure, Outcome, Progress};
pub use coverage::Coverage;
pub use foreign::{Foreign, ForeignError};
pub use ground::{Ground, Stage, Travel};
pub use story::story;
pub use strategy::Weights;
pub use terms::Terms;
pub use unreached::{invariants, unreached};
pub use written::written;
