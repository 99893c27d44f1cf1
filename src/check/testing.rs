//! For unit tests of checks: judges one check over a transcript built by hand.

use super::modernised::modernised;
use super::{CHECKS, Finding, Findings, Outcome};
use crate::model::{Revision, requirements};
use crate::transcript::{Builder, Event, View};

/// Checks whose older transcripts say nothing under 2026-07-28 even when they are told in its words, because what they are
/// about is done there in another way: their own tests have modern transcripts.
pub(crate) const TOLD_APART: &[&str] = &[
    "auth.resource-server.401-missing",
    "transport.http.header-names-case-insensitive",
    "transport.http.status-not-5xx-for-client-fault",
    "utilities.cancellation.id-type-exact",
    "utilities.cancellation.no-response",
    "utilities.cancellation.races",
];

/// Checks that hold under 2026-07-28 by the catalogue but have nothing to look at there: what older revisions lack, and
/// requests of the server, which other checks forbid altogether.
pub(crate) const NOTHING_TO_SEE: &[&str] = &[
    "features.elicitation.enum-form-by-revision",
    "features.prompts.content-types-by-revision",
    "features.tools.content-types-by-revision",
    "shape.request",
];

/// The finding of one check.
pub(crate) fn judge(id: &str, transcript: &Builder) -> Finding {
    judge_events(id, &transcript.clone().finish())
}

/// The same of bare events.
pub(crate) fn judge_events(id: &str, events: &[Event]) -> Finding {
    let check = CHECKS
        .iter()
        .flat_map(|topic| topic.iter())
        .find(|check| check.id == id)
        .unwrap_or_else(|| panic!("no check {id}"));
    let requirement = requirements().get(id).unwrap_or_else(|| panic!("no requirement {id}"));
    let mut findings = Findings::new(check.id, requirement);
    (check.judge)(&View::new(events), &mut findings);
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
    also_modern(id, kept, broken, worst);
}

/// What holds in 2026-07-28 too is judged alike where the same is said in the words of that revision.
pub(crate) fn also_modern(id: &str, kept: &Builder, broken: &Builder, worst: Outcome) {
    let holds = requirements().get(id).is_some_and(|requirement| requirement.holds_in(Revision::V2026_07_28));
    let already = |transcript: &Builder| View::new(&transcript.clone().finish()).is_modern();
    let apart = TOLD_APART.contains(&id) || NOTHING_TO_SEE.contains(&id);
    if !holds || apart || already(kept) || already(broken) {
        return;
    }
    for (name, transcript, wanted) in [("kept", kept, Outcome::Pass), ("broken", broken, worst)] {
        let finding = judge_events(id, &modernised(transcript.clone().finish()));
        assert_eq!(finding.outcome, wanted, "{id}, {name}, under 2026-07-28: {:#?}", finding.breaches);
    }
}
