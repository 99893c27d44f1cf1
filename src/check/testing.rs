//! For unit tests of checks: judges one check over a transcript built by hand.

use super::{CHECKS, Finding, Findings};
use crate::model::requirements;
use crate::transcript::{Builder, View};

/// The finding of one check.
pub(crate) fn judge(id: &str, transcript: &Builder) -> Finding {
    let events = transcript.clone().finish();
    let check = CHECKS
        .iter()
        .flat_map(|topic| topic.iter())
        .find(|check| check.id == id)
        .unwrap_or_else(|| panic!("no check {id}"));
    let requirement = requirements().get(id).unwrap_or_else(|| panic!("no requirement {id}"));
    let mut findings = Findings::new(check.id, requirement);
    (check.judge)(&View::new(&events), &mut findings);
    findings.finish()
}
