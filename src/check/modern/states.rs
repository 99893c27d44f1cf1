//! The state that a client carries from one call to the next: whose it is, for what, and how long.

use serde_json::Value;

use super::input::asking;
use super::results::shown;
use super::round::{late, require, rounds, token};
use crate::check::wire::told;
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.mrtr.state-tamper-rejected", judge: tampered },
    Check { id: "patterns.mrtr.state-request-bound", judge: request_bound },
    Check { id: "patterns.mrtr.state-principal-bound", judge: principal_bound },
    Check { id: "patterns.mrtr.state-expires", judge: expires },
];

/// A state that the server never gave is refused.
fn tampered(view: &View<'_>, out: &mut Findings) {
    let given: Vec<&Value> =
        asking(view).map(|(_, result)| result.at("requestState")).filter(|state| state.is_string()).collect();
    for round in rounds(view).iter().filter(|round| round.same_call && !given.is_empty()) {
        let state = round.ask.param("requestState");
        if !state.is_string() || given.contains(&state) {
            continue;
        }
        if !round.asks_again() && !round.succeeded() {
            out.pass();
            continue;
        }
        // Whether anything hangs on the state cannot be seen from outside, and only then it has to be protected.
        out.contested(told(
            "A requestState that the server never gave was not refused.".to_owned(),
            &["error -32602"],
            shown(&round.ask),
            "sign or encrypt requestState, verify it before use, and answer a state that fails with an error",
            round.evidence(),
        ));
    }
}

/// A state is good for the call that it was given for.
fn request_bound(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view)
        .iter()
        .filter(|round| round.same_state && !round.same_call && round.ask.param("requestState").is_string())
    {
        let what = "brought the requestState of another call, and was served";
        require(
            out,
            round,
            !round.succeeded(),
            what,
            "error -32602",
            "put the method and a digest of the parameters into the protected state",
        );
    }
}

/// A state is good for whom it was given to.
fn principal_bound(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.is_whole() && round.ask.param("requestState").is_string()) {
        let (before, now) = (token(&round.asked), token(&round.ask));
        // Two tokens may be of one user; two clients of a transcript are two users.
        if before.is_none()
            || now.is_none()
            || before == now
            || round.ask.exchange.client == round.asked.exchange.client
        {
            continue;
        }
        let what = "brought the requestState of another user, and was served";
        require(
            out,
            round,
            !round.succeeded(),
            what,
            "error -32602",
            "put the user into the protected state, and compare",
        );
    }
}

/// A state is not good for ever.
fn expires(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view)
        .iter()
        .filter(|round| round.is_whole() && round.ask.param("requestState").is_string() && late(view, round))
    {
        let what = "brought a requestState more than a day old, and was served";
        require(out, round, !round.succeeded(), what, "error -32602", "put an end of minutes into the protected state");
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::modern::samples::rounds::{accept, back, done, question, refused, start};
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, EventKind};
    use serde_json::json;

    #[test]
    fn states() {
        let altered = || back(start(), "x", "s2", &accept());
        let id = "patterns.mrtr.state-tamper-rejected";
        assert_eq!(judge(id, &refused(altered())).outcome, Outcome::Pass);
        assert_eq!(judge(id, &done(altered())).outcome, Outcome::Warn);
        assert_eq!(judge(id, &start()).outcome, Outcome::NotExercised);
        let other = || back(start(), "y", "s1", &accept());
        expect_three("patterns.mrtr.state-request-bound", &refused(other()), &done(other()), &start());
        let aged = || back(start().event(EventKind::Clock { advanced_ms: 100_000_000 }), "x", "s1", &accept());
        expect_three("patterns.mrtr.state-expires", &refused(aged()), &done(aged()), &start());
        let result =
            json!({"resultType": "input_required", "inputRequests": {"who": question()}, "requestState": "s1"});
        let params = json!({"name": "x", "arguments": {}});
        let first = Builder::new().modern().discover(json!({})).probe(
            &[("authorization", "Bearer access#1")],
            "tools/call",
            params,
        );
        let first = first.serves("tools/call", result);
        let params = json!({"name": "x", "arguments": {}, "requestState": "s1", "inputResponses": accept()});
        let other = first.clone().client("b").discover(json!({})).probe(
            &[("authorization", "Bearer access#2")],
            "tools/call",
            params,
        );
        expect_three("patterns.mrtr.state-principal-bound", &refused(other.clone()), &done(other), &first);
    }
}
