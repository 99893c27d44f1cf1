//! Questions that several checks of clients ask.

use crate::check::Breach;
use crate::check::auth::wire::{around, at_endpoint};
use crate::check::wire::{governing, short};
use crate::model::Revision;
use crate::transcript::{End, Exchange, Msg, View, has_modern_meta};

/// The revision by which a request of the client is judged.
pub(super) fn revision(view: &View<'_>, exchange: &Exchange) -> Option<Revision> {
    governing(view, exchange).or_else(|| around(view, exchange))
}

/// Every message that the client sent to the endpoint, with its exchange and the revision that governs it.
pub(super) fn sent<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Msg, &'v Exchange, Option<Revision>)> {
    view.messages.iter().filter(|msg| !msg.received()).filter_map(move |msg| {
        let exchange = view.exchange_of(msg);
        at_endpoint(view, exchange).then(|| (msg, exchange, revision(view, exchange)))
    })
}

/// Every HTTP request of the client to the endpoint, with the revision that governs it.
pub(super) fn asked<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Exchange, Option<Revision>)> {
    let over_http = |exchange: &&Exchange| !exchange.is_message() && !exchange.method.is_empty();
    view.exchanges
        .iter()
        .filter(over_http)
        .filter(move |exchange| at_endpoint(view, exchange))
        .map(move |exchange| (exchange, revision(view, exchange)))
}

/// Whether a request tries the modern era at a server that may not know it.
pub(super) fn is_probe(msg: &Msg, exchange: &Exchange) -> bool {
    !exchange.modern && (has_modern_meta(&msg.value) || msg.method() == Some("server/discover"))
}

/// Whether a request never got as far as the session: it was refused for want of access, or not answered at all.
pub(super) fn not_taken(exchange: &Exchange) -> bool {
    matches!(exchange.status, Some(401 | 403 | 429 | 500..))
        || matches!(exchange.end, Some(End::Failed(_) | End::CutShort))
}

/// A breach of a client: what it did, what would have been right, what it sent, and what to change in it.
pub(super) fn told(
    what: impl Into<String>,
    expected: &[&str],
    actual: impl Into<String>,
    fix: &str,
    evidence: Vec<u32>,
) -> Breach {
    Breach {
        what: what.into(),
        expected: expected.iter().map(|text| (*text).to_owned()).collect(),
        actual: short(&actual.into()),
        fix: fix.to_owned(),
        evidence,
    }
}

/// What a request says of itself in one header, to quote.
pub(super) fn header_of(exchange: &Exchange, name: &str) -> String {
    exchange.sent_header(name).map_or_else(|| format!("no {name} header"), |value| format!("{name}: {value}"))
}

/// Three transcripts for one check: one keeps the requirement, one breaks it, one never asks for it.
#[cfg(test)]
pub(super) fn three(
    id: &str,
    kept: &crate::transcript::Builder,
    broken: &crate::transcript::Builder,
    silent: &crate::transcript::Builder,
) {
    use crate::check::{Findings, Outcome};
    let requirement = crate::model::requirements().get(id).unwrap_or_else(|| panic!("no requirement {id}"));
    let check = super::CLIENT_CHECKS.iter().flat_map(|topic| topic.iter()).find(|check| check.id == id);
    let check = check.unwrap_or_else(|| panic!("no check {id}"));
    let worst = if requirement.may_fail() { Outcome::Fail } else { Outcome::Warn };
    for (name, transcript, wanted) in
        [("kept", kept, Outcome::Pass), ("broken", broken, worst), ("silent", silent, Outcome::NotExercised)]
    {
        let events = transcript.clone().finish();
        let mut findings = Findings::new(check.id, requirement);
        (check.judge)(&View::new(&events), &mut findings);
        let finding = findings.finish();
        assert_eq!(finding.outcome, wanted, "{id}, {name}: {:#?}", finding.breaches);
        assert!(finding.breaches.iter().all(|breach| !breach.evidence.is_empty()), "{id} shows no evidence");
    }
}
