//! Findings become verdicts: what a case amounts to, told so that its reader can mend it.
//!
//! Pure like the checks below it; must not know how a verdict is printed.

mod case;
mod expectation;
mod judged;
mod pieces;
mod pool;
mod recording;
mod summary;

pub use case::{Case, Cell, Plan, Story, judge_case};
pub use expectation::judge_expectations;
pub use judged::Judged;
pub use pool::Pool;
pub use recording::{client as client_name, judge_recording, judge_transcript};
pub use summary::{Divergence, Summary};
