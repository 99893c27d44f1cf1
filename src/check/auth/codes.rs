//! Authorization codes: once, soon, and only for the client and the redirect URI they were issued to.

use std::time::Duration;

use super::asked::{Redeemed, asks, redeemed};
use super::wire;
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::transcript::{EventKind, Exchange, View};

/// The checks of this topic.
pub(crate) static CHECKS: &[Check] = &[
    Check { id: "auth.authorization.code-one-time", judge: once },
    Check { id: "auth.authorization.code-replay-revoke", judge: replay_revokes },
    Check { id: "auth.authorization.code-short-lived", judge: short_lived },
    Check { id: "auth.authorization.code-bound-client", judge: bound_to_client },
    Check { id: "auth.authorization.code-bound-redirect", judge: bound_to_redirect },
];

/// The longest life that RFC 6749 section 4.1.2 recommends.
const RECOMMENDED: Duration = Duration::from_secs(600);
/// What nobody can call short.
const LONG: Duration = Duration::from_secs(3600);

fn breach(seen: &Redeemed<'_, '_>, what: &str, expected: &str, fix: &str) -> Breach {
    told(what.to_owned(), &[expected], came(seen.exchange), fix, seen.evidence())
}

/// Judges exchanges that must be refused.
fn refuse(
    view: &View<'_>,
    out: &mut Findings,
    picked: impl Fn(&Redeemed<'_, '_>, &[Redeemed<'_, '_>]) -> bool,
    (what, fix): (&str, &str),
) {
    let asks = asks(view);
    let all = redeemed(view, &asks);
    for seen in all.iter().filter(|seen| picked(seen, &all)) {
        if !out.covers(wire::around(view, seen.exchange)) {
            continue;
        }
        if seen.worked() {
            out.breach(breach(seen, what, "invalid_grant, and no token", fix));
        } else if seen.refused() {
            out.pass();
        } else {
            out.inconclusive();
        }
    }
}

/// Whether the same code had been exchanged before.
fn again(seen: &Redeemed<'_, '_>, all: &[Redeemed<'_, '_>]) -> bool {
    all.iter().any(|other| other.code == seen.code && other.exchange.seq < seen.exchange.seq && other.worked())
}

fn once(view: &View<'_>, out: &mut Findings) {
    let words = ("A code that had been exchanged is exchanged once more.", "let each code work once");
    refuse(view, out, again, words);
}

fn replay_revokes(view: &View<'_>, out: &mut Findings) {
    let asks = asks(view);
    let all = redeemed(view, &asks);
    for replay in all.iter().filter(|seen| again(seen, &all) && seen.refused()) {
        let Some(first) = all.iter().find(|seen| seen.code == replay.code && seen.worked()) else { continue };
        let access = first.access();
        let used = |exchange: &&Exchange| {
            exchange.seq > replay.exchange.seq
                && wire::at_endpoint(view, exchange)
                && wire::token_of(exchange) == access.as_deref()
        };
        let Some(use_of_it) = view.exchanges.iter().find(used) else { continue };
        if !out.covers(wire::around(view, use_of_it)) {
            continue;
        }
        match use_of_it.status {
            Some(401) => out.pass(),
            Some(200..=299) => out.breach(Breach {
                evidence: [replay.evidence(), use_of_it.evidence()].concat(),
                ..told(
                    "A code was used twice, and the token of its first use is still good.".to_owned(),
                    &["401: what was issued from the code is revoked"],
                    came(use_of_it),
                    "revoke the tokens that came from a code when the code is used again",
                    Vec::new(),
                )
            }),
            _ => out.inconclusive(),
        }
    }
}

/// How much time passed between two exchanges, the target's moved clock included.
fn between(view: &View<'_>, from: &Exchange, to: &Exchange) -> Duration {
    let moved = view.events.iter().filter(|event| event.seq > from.seq && event.seq < to.seq);
    let moved = moved.map(|event| if let EventKind::Clock { advanced_ms } = event.kind { advanced_ms } else { 0 });
    // The recorder's clock moves with the target's where the two are one.
    let moved = Duration::from_millis(moved.sum());
    moved.max(Duration::from_micros(to.at.saturating_sub(from.at)))
}

fn short_lived(view: &View<'_>, out: &mut Findings) {
    let asks = asks(view);
    let all = redeemed(view, &asks);
    for seen in all.iter().filter(|seen| !again(seen, &all)) {
        let age = between(view, seen.from.exchange, seen.exchange);
        if age <= RECOMMENDED || !out.covers(wire::around(view, seen.exchange)) {
            continue;
        }
        let minutes = age.as_secs() / 60;
        let what = format!("A code is good {minutes} minutes after it was issued.");
        let told =
            || breach(seen, &what, "invalid_grant; ten minutes at the most", "let codes expire within a minute or so");
        match (seen.worked(), seen.refused()) {
            (true, _) if age > LONG => out.breach(told()),
            (true, _) => out.contested(told()),
            (false, true) => out.pass(),
            (false, false) => out.inconclusive(),
        }
    }
}

fn bound_to_client(view: &View<'_>, out: &mut Findings) {
    let other = |seen: &Redeemed<'_, '_>, all: &[Redeemed<'_, '_>]| {
        let (sent, asked) = (wire::param(seen.form, "client_id"), seen.from.param("client_id"));
        sent.is_some() && sent != asked && !again(seen, all)
    };
    let words = ("A code that one client was given works for another.", "refuse a code that another client was given");
    refuse(view, out, other, words);
}

fn bound_to_redirect(view: &View<'_>, out: &mut Findings) {
    let other = |seen: &Redeemed<'_, '_>, all: &[Redeemed<'_, '_>]| {
        let (sent, asked) = (wire::param(seen.form, "redirect_uri"), seen.from.param("redirect_uri"));
        sent.is_some() && asked.is_some() && sent != asked && !again(seen, all)
    };
    let words = (
        "A code is exchanged with another redirect URI than it was asked for.",
        "compare redirect_uri with that of the authorization request",
    );
    refuse(view, out, other, words);
}

#[cfg(test)]
mod tests {
    use super::super::asked::play::{asked, back, begun, error, redeem, tokens};
    use super::*;
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    fn issued() -> Builder {
        back(asked(begun("2025-11-25"), &[]), "?code=code#1&state=s1")
    }

    fn exchanged() -> Builder {
        redeem(issued(), &[], 200, &tokens())
    }

    #[test]
    fn a_code_works_once() {
        let id = "auth.authorization.code-one-time";
        let replayed = redeem(exchanged(), &[], 400, &error("invalid_grant"));
        expect_three(id, &replayed, &redeem(exchanged(), &[], 200, &tokens()), &exchanged());
        let repaired = redeem(redeem(issued(), &[], 400, &error("invalid_request")), &[], 200, &tokens());
        assert_eq!(judge(id, &repaired).outcome, Outcome::NotExercised, "a refused try is none");
        let id = "auth.authorization.code-replay-revoke";
        let used = |status| {
            let token = [("authorization", "Bearer access#1")];
            replayed.clone().request("POST", &token, Some("{}")).answer(status, &[], "")
        };
        expect_three(id, &used(401), &used(200), &replayed);
    }

    #[test]
    fn a_code_is_over_soon() {
        let id = "auth.authorization.code-short-lived";
        let late = |seconds: u64, status: u16| {
            let later = issued().event(EventKind::Clock { advanced_ms: seconds * 1000 });
            let answer = if status == 200 { tokens() } else { error("invalid_grant") };
            redeem(later, &[], status, &answer)
        };
        expect_three(id, &late(700, 400), &late(4000, 200), &exchanged());
        assert_eq!(judge(id, &late(700, 200)).outcome, Outcome::Warn, "ten minutes are a recommendation");
        assert_eq!(judge(id, &late(300, 200)).outcome, Outcome::NotExercised);
    }

    #[test]
    fn a_code_belongs_to_its_client_and_redirect() {
        for (id, change) in [
            ("auth.authorization.code-bound-client", ("client_id", "c2")),
            ("auth.authorization.code-bound-redirect", ("redirect_uri", "http://127.0.0.1:7000/other")),
        ] {
            let kept = redeem(issued(), &[change], 400, &error("invalid_grant"));
            expect_three(id, &kept, &redeem(issued(), &[change], 200, &tokens()), &exchanged());
            let left_out = redeem(issued(), &[(change.0, "")], 200, &tokens());
            assert_eq!(judge(id, &left_out).outcome, Outcome::NotExercised, "{id}");
        }
    }
}
