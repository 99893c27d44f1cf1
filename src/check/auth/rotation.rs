//! Rotation of refresh tokens, their reuse, and what must survive it (RFC 9700 section 4.14.2).

use super::ledger::{Ask, Ledger, under};
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "auth.token.refresh-rotate-public", judge: rotates },
    Check { id: "auth.token.refresh-constrain-or-rotate", judge: rotates },
    Check { id: "auth.token.refresh-rotation-should", judge: rotates_all },
    Check { id: "auth.token.refresh-old-invalid", judge: old_invalid },
    Check { id: "auth.token.refresh-reuse-detection", judge: reuse_detected },
    Check { id: "auth.token.refresh-reuse-revokes-family", judge: reuse_ends_family },
    Check { id: "auth.token.refresh-reuse-revokes-access", judge: reuse_ends_access },
    Check { id: "auth.token.refresh-chain-isolated", judge: others_live },
    Check { id: "auth.token.refresh-rotated-not-lost", judge: not_lost },
    Check { id: "auth.token.refresh-concurrent", judge: at_once },
];

/// How soon an honest client repeats a refresh whose answer it never got, in microseconds.
const AT_ONCE: u64 = 10_000_000;

fn wrong(ask: &Ask<'_>, cause: Option<&Ask<'_>>, what: &str, expected: &[&str], fix: &str) -> Breach {
    let before = cause.map(|cause| cause.exchange.evidence()).unwrap_or_default();
    let evidence = before.into_iter().chain(ask.exchange.evidence()).collect();
    told(what.to_owned(), expected, came(ask.exchange), fix, evidence)
}

/// Every refresh of a public client gives another refresh token, unless the token is bound to a key.
fn rotates(view: &View<'_>, out: &mut Findings) {
    each_rotates(view, out, false);
}

/// The same for all clients.
fn rotates_all(view: &View<'_>, out: &mut Findings) {
    each_rotates(view, out, true);
}

fn each_rotates(view: &View<'_>, out: &mut Findings, proven_too: bool) {
    let ledger = Ledger::new(view);
    for ask in under(&ledger.asks, out).into_iter().filter(|ask| ask.access().is_some()) {
        let Some(token) = ask.presented() else { continue };
        let Some(grant) = ledger.grant_of(token) else { continue };
        let kind = ask.answer.at("token_type").as_str().unwrap_or_default();
        let bound = ask.exchange.sent_header("dpop").is_some() || kind.eq_ignore_ascii_case("dpop");
        if bound || (grant.proven && !proven_too) {
            continue;
        }
        out.require(ask.refresh().is_some_and(|fresh| fresh != token), || {
            wrong(
                ask,
                None,
                "A refresh did not give another refresh token.",
                &["a new refresh_token with every refresh"],
                "rotate the refresh tokens of clients without a secret, so that the reuse of a stolen one is seen",
            )
        });
    }
}

/// Reuses of tokens that were rotated away for good, by their own public client.
fn reuses<'l, 'v>(ledger: &'l Ledger<'v>, out: &Findings) -> Vec<(&'l Ask<'v>, usize)> {
    let reuse = |ask: &'l Ask<'v>| {
        let token = ask.presented()?;
        let origin = ledger.refresh.get(token)?;
        let grant = &ledger.grants[origin.grant];
        let fair = ask.sound() && ask.conclusive() && grant.own(ask) && !grant.proven && ask.param("scope").is_none();
        (fair && out.covers(ask.revision) && ledger.stale(token, ask.exchange)).then_some((ask, origin.grant))
    };
    ledger.asks.iter().filter_map(reuse).collect()
}

/// They get no tokens.
fn old_invalid(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for (ask, _) in reuses(&ledger, out) {
        out.require(ask.access().is_none(), || {
            wrong(
                ask,
                None,
                "A refresh token went on working after it was rotated.",
                &["the error invalid_grant"],
                "end a refresh token when its successor is handed out, after a grace of seconds at most",
            )
        });
    }
}

/// They are noticed: refused, or the grant is dead afterwards.
fn reuse_detected(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for (ask, grant) in reuses(&ledger, out) {
        let later = |other: &&Ask<'_>| {
            let same = other.presented().and_then(|token| ledger.family(token)) == Some(grant);
            same && ask.before(other.exchange) && other.refused()
        };
        let noticed = ask.access().is_none() || ledger.asks.iter().any(|other| later(&other));
        out.require(noticed, || {
            wrong(
                ask,
                None,
                "The reuse of a rotated refresh token was not noticed.",
                &["the error invalid_grant"],
                "remember which refresh tokens were used, and treat the second use as a theft",
            )
        });
    }
}

/// After a reuse that was refused, the token in force is refused as well.
fn reuse_ends_family(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in under(&ledger.asks, out).into_iter().filter(|ask| ledger.fair(ask)) {
        let Some(token) = ask.presented() else { continue };
        let Some(grant) = ledger.family(token).filter(|_| ledger.rotation(token, ask.exchange).is_none()) else {
            continue;
        };
        let Some(reuse) = ledger.reused(grant, ask.exchange) else { continue };
        out.require(ask.access().is_none(), || {
            wrong(
                ask,
                Some(reuse),
                "After the reuse of an old refresh token, the one in force goes on working.",
                &["the error invalid_grant"],
                "end the whole grant on a reuse: it cannot be told whether the thief has the old token or the new one",
            )
        });
    }
}

/// After a reuse that was refused, the access tokens of the grant are refused as well.
fn reuse_ends_access(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    let fix = "end the access tokens of a grant along with it, where the resource server can ask";
    for grant in 0..ledger.grants.len() {
        for (_, exchange) in ledger.uses_of(grant) {
            let Some(reuse) = ledger.reused(grant, exchange).filter(|reuse| out.covers(reuse.revision)) else {
                continue;
            };
            match exchange.status {
                Some(401) => out.pass(),
                Some(200..=299) => out.breach(told(
                    "After the reuse of an old refresh token, an access token of the same grant was still served."
                        .to_owned(),
                    &["status 401"],
                    came(exchange),
                    fix,
                    reuse.exchange.evidence().into_iter().chain(exchange.evidence()).collect(),
                )),
                _ => {}
            }
        }
    }
}

/// The end of one grant leaves the others alive.
fn others_live(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in under(&ledger.asks, out).into_iter().filter(|ask| ledger.fair(ask) && ledger.alive(ask)) {
        let own = ask.presented().and_then(|token| ledger.family(token));
        let mut others = (0..ledger.grants.len()).filter(|other| Some(*other) != own);
        let Some(end) = others.find_map(|other| ledger.ended(other, ask.exchange)) else { continue };
        out.require(ask.access().is_some(), || {
            wrong(
                ask,
                Some(end),
                "After one grant was ended, the refresh token of another was refused.",
                &["tokens: the other grant has not ended"],
                "end the tokens of the one grant only, not all tokens of the client or the person",
            )
        });
    }
}

/// A client whose refresh came to nothing can try again: where the answer was lost, and where it was refused for what
/// it asked.
fn not_lost(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in under(&ledger.asks, out).into_iter().filter(|ask| ledger.fair(ask)) {
        let Some(token) = ask.presented() else { continue };
        let open = ledger.family(token).is_some_and(|grant| ledger.ended(grant, ask.exchange).is_none());
        let lost = ledger.rotation(token, ask.exchange).filter(|rotation| {
            let soon = ask.exchange.at.saturating_sub(rotation.done()) < AT_ONCE;
            open && soon && !ledger.stale(token, ask.exchange) && !rotation.together(ask)
        });
        let refusal = ledger.asks.iter().find(|other| {
            let for_what = matches!(other.error(), Some("invalid_target" | "invalid_scope"));
            other.presented() == Some(token) && for_what && other.before(ask.exchange) && ledger.alive(ask)
        });
        let Some(cause) = lost.or(refusal) else { continue };
        out.require(ask.access().is_some(), || {
            wrong(
                ask,
                Some(cause),
                "A refresh token was refused right after a refresh with it came to nothing for the client.",
                &["the tokens of the lost answer once more, or new ones"],
                "take the last refresh token once more for some seconds, and change nothing when a refresh is refused",
            )
        });
    }
}

/// Of two refreshes at once with one token at least one gets tokens, and these work.
fn at_once(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for (index, first) in ledger.asks.iter().enumerate() {
        if !out.covers(first.revision) || !ledger.fair(first) || !ledger.alive(first) {
            continue;
        }
        let twin = |other: &&Ask<'_>| {
            let overlap = first.together(other) || !first.before(other.exchange);
            other.presented() == first.presented() && ledger.fair(other) && overlap
        };
        let Some(second) = ledger.asks[index + 1..].iter().find(twin) else { continue };
        let both = [first, second];
        let failed = both.iter().any(|ask| ask.exchange.status.is_some_and(|status| status >= 500));
        let got: Vec<&str> = both.iter().filter_map(|ask| ask.refresh()).collect();
        let later = ledger.asks.iter().find(|ask| {
            ask.presented().is_some_and(|token| got.contains(&token))
                && ledger.fair(ask)
                && ledger.alive(ask)
                && ask.refused()
        });
        let served = both.iter().any(|ask| ask.access().is_some());
        out.require(served && !failed && later.is_none(), || {
            wrong(
                later.unwrap_or(second),
                Some(first),
                "Two refreshes at once with the same token left the client without a token that works.",
                &["at least one of them gets tokens, and these go on working"],
                "let one of two refreshes at once win, and give the other the same answer; clients have several processes",
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::play::{Play, error, silent, three, tokens};

    #[test]
    fn another_token_each_time() {
        let same = Play::logged_in().refresh("refresh#1", "", 200, &tokens("access#2", "refresh#1"));
        for id in ["auth.token.refresh-rotate-public", "auth.token.refresh-constrain-or-rotate"] {
            three(id, &Play::logged_in().rotate(1), &same);
        }
        let old = Play::on("2025-03-26").first("c", "");
        let bad = old.clone().refresh("refresh#1", "", 200, &tokens("access#2", "refresh#1"));
        three("auth.token.refresh-rotation-should", &old.rotate(1), &bad);
        silent("auth.token.refresh-rotation-should", &same);
    }

    #[test]
    fn the_old_one_is_over() {
        let twice = Play::logged_in().rotate(1).rotate(2);
        let taken = twice.clone().refresh("refresh#1", "", 200, &tokens("access#4", "refresh#3"));
        for id in ["auth.token.refresh-old-invalid", "auth.token.refresh-reuse-detection"] {
            three(id, &twice.clone().dead("refresh#1"), &taken);
            silent(id, &Play::logged_in().rotate(1).dead("refresh#1"));
            three(id, &Play::logged_in().rotate(1).later(61).dead("refresh#1"), &taken);
        }
    }

    #[test]
    fn a_theft_ends_the_grant_and_no_other() {
        let stolen = Play::logged_in().first("c", "b").rotate(1).rotate(2).dead("refresh#1");
        let family = "auth.token.refresh-reuse-revokes-family";
        three(family, &stolen.clone().dead("refresh#3"), &stolen.clone().rotate(3));
        let access = "auth.token.refresh-reuse-revokes-access";
        three(access, &stolen.clone().used("access#3", 401), &stolen.clone().used("access#3", 200));
        silent(access, &Play::logged_in().used("access#1", 401));
        let other = stolen.clone().refresh("refresh#1b", "", 200, &tokens("access#2b", "refresh#2b"));
        three("auth.token.refresh-chain-isolated", &other, &stolen.dead("refresh#1b"));
        silent("auth.token.refresh-chain-isolated", &Play::logged_in().dead("refresh#1"));
    }

    #[test]
    fn nobody_is_locked_out_by_bad_luck() {
        let id = "auth.token.refresh-rotated-not-lost";
        let once = Play::logged_in().rotate(1);
        three(id, &once.clone().rotate(1), &once.clone().dead("refresh#1"));
        silent(id, &once.later(30).dead("refresh#1"));
        silent(id, &Play::logged_in().step(3).rotate(1).dead("refresh#1"));
        three(
            id,
            &Play::logged_in().step(3).rotate(1).step(4).rotate(1),
            &Play::logged_in().step(3).rotate(1).step(4).dead("refresh#1"),
        );
        let refused = Play::logged_in().refresh("refresh#1", "&resource=https://o", 400, &error("invalid_target"));
        three(id, &refused.clone().rotate(1), &refused.dead("refresh#1"));
    }

    #[test]
    fn two_at_once() {
        let id = "auth.token.refresh-concurrent";
        let both = Play::logged_in().step(3).rotate(1).rotate(1);
        three(id, &both.clone().rotate(2), &both.clone().dead("refresh#2"));
        let one = Play::logged_in().step(3).rotate(1).dead("refresh#1");
        three(id, &one.clone().rotate(2), &one.dead("refresh#2"));
        let none = Play::logged_in().step(3).dead("refresh#1").dead("refresh#1");
        three(id, &both, &none);
        silent(id, &Play::logged_in().step(3).rotate(1).step(4).rotate(1));
    }
}
