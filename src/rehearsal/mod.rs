//! A whole rehearsal: survey the target, plan the cases, play them side by side, judge each.
//!
//! Ties the layers below together; prints nothing.

mod archive;
mod deployment;
mod lanes;
mod needs;
mod plan;
mod queue;
mod run;
mod stage;
mod survey;

pub use archive::Archive;
pub use plan::{Planned, Selection, plans};
pub use run::{Progress, Rehearsal, RehearsalError, rehearse};
pub use stage::Stage;
pub use survey::{Survey, SurveyError};
