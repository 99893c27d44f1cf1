//! Which steps mean something only over HTTP: what they send or expect stands in a status, a header or a request of HTTP.
//!
//! Must not know targets. A scenario need not say this itself.

use super::action::Action;
use super::expect::Expect;
use super::schema::{Scenario, Step};
use super::words::{HeaderSource, Outcome, SessionChange, SessionSource};

impl Scenario {
    /// Whether some step speaks of Streamable HTTP, so that it cannot be played over another transport.
    pub fn is_of_http(&self) -> bool {
        self.all_steps().into_iter().any(|step| sends_http(step) || step.expect().is_some_and(expects_http))
    }

    /// Whether some step drops the connection, or all there are, and wants to go on.
    pub fn outlives_connections(&self) -> bool {
        self.all_steps()
            .into_iter()
            .any(|step| matches!(step.action, Action::Disconnect(_) | Action::Reconnect(_) | Action::Restart(_)))
    }
}

/// What the step sends that only a request of HTTP has.
fn sends_http(step: &Step) -> bool {
    match &step.action {
        Action::Negotiate(step) => !step.headers.is_empty(),
        Action::Invoke(step) => !step.headers.is_empty(),
        Action::Notify(step) => !step.headers.is_empty(),
        Action::Listen(step) => !step.headers.is_empty() || step.last_event_id.is_some(),
        Action::Raw(step) => {
            step.method != "POST"
                || !step.headers.is_empty()
                || step.query.is_some()
                || step.session != SessionSource::Current
                || step.version != HeaderSource::Current
        }
        _ => false,
    }
}

/// Whether the expectation cannot be met, or means nothing, where there are no statuses and no headers.
fn expects_http(expect: &Expect) -> bool {
    // A status that a good answer has says no more than that it is one.
    let refuses = expect.status.as_ref().is_some_and(|status| !status.matches(200) && !status.matches(202));
    let of_headers = !expect.headers.is_empty() || expect.challenge.is_some() || expect.content_type.is_some();
    let of_http = expect.clause.as_deref().is_some_and(|clause| clause.starts_with("transport.http."));
    refuses
        || of_headers
        || of_http
        || expect.body.is_some()
        || expect.outcome == Some(Outcome::Refused)
        || expect.session == Some(SessionChange::Assigned)
        || (!expect.one_of.is_empty() && expect.one_of.iter().all(expects_http))
}

#[cfg(test)]
mod tests {
    use crate::scenario::parse;

    fn of_http(steps: &str) -> bool {
        let text = format!("version: 1\nid: invoke.x\ntitle: t\nwhy: w\nsteps:\n  - connect\n  - negotiate\n{steps}");
        parse("x.yaml", &text).unwrap_or_else(|error| panic!("{}", error.render(false))).is_of_http()
    }

    #[test]
    fn only_what_stands_in_http_is_of_http() {
        for yes in [
            "  - invoke: { expect: { status: 404 } }",
            "  - invoke: { headers: { origin: x } }",
            "  - raw: { method: GET }",
            "  - raw: { body: '{', session: none }",
            "  - invoke: { expect: { one-of: [{ status: 4xx }, { headers: { allow: POST } }] } }",
            "  - invoke: { expect: { result: ok, clause: transport.http.post-accept-both } }",
        ] {
            assert!(of_http(yes), "{yes}");
        }
        for no in [
            "  - invoke: { expect: { status: 200, result: ok, session: unchanged } }",
            "  - raw: { body: '{', expect: { one-of: [{ status: 4xx }, { error: { code: -32700 } }] } }",
            "  - shutdown: { delete: true }",
        ] {
            assert!(!of_http(no), "{no}");
        }
    }
}
