//! For unit tests of checks: judges one check over a transcript built by hand.

use super::{CHECKS, Finding, Findings, Outcome};
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

/// One check over three transcripts: one that keeps the requirement, one that breaks it, one that never asks for it.
pub(crate) fn expect_three(id: &str, kept: &Builder, broken: &Builder, silent: &Builder) {
    let may_fail = requirements().get(id).is_some_and(crate::model::Requirement::may_fail);
    let worst = if may_fail { Outcome::Fail } else { Outcome::Warn };
    for (name, transcript, wanted) in
        [("kept", kept, Outcome::Pass), ("broken", broken, worst), ("silent", silent, Outcome::NotExercised)]
    {
        let finding = judge(id, transcript);
        assert_eq!(finding.outcome, wanted, "{id}, {name}: {:#?}", finding.breaches);
    }
}
