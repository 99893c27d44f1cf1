//! Where whole transcripts go. Knows neither files nor formats.

use crate::transcript::Event;
use crate::verdict::Plan;

/// Takes the transcript of each case as soon as it is through; of several cases at once, from several threads.
pub trait Archive: std::fmt::Debug + Send + Sync {
    /// Keeps what happened in a case. What cannot be kept is no reason to end the rehearsal.
    fn keep(&self, plan: &Plan, events: &[Event]);
}
