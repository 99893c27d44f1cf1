//! Proof Key for Code Exchange (RFC 7636): asked for, checked, and not to be talked away.

use super::asked::{Answer, Ask, asks_under, granted_otherwise, redeemed};
use super::server_metadata::documents;
use super::wire;
use crate::check::support::quote;
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub(crate) static CHECKS: &[Check] = &[
    Check { id: "auth.authorization.pkce-required-as", judge: required },
    Check { id: "auth.authorization.pkce-s256-as", judge: s256 },
    Check { id: "auth.authorization.pkce-missing-challenge-error", judge: missing_error },
    Check { id: "auth.authorization.pkce-unsupported-method-error", judge: method_error },
    Check { id: "auth.authorization.pkce-verify", judge: verified },
    Check { id: "auth.authorization.pkce-downgrade", judge: downgrade },
];

/// Requests for a code under a revision in which the requirement holds.
fn covered<'v>(view: &'v View<'_>, out: &Findings) -> Vec<Ask<'v>> {
    let codes = |ask: &Ask<'_>| ask.param("response_type") == Some("code");
    asks_under(view, out).into_iter().filter(codes).collect()
}

fn breach(ask: &Ask<'_>, what: &str, expected: &str, fix: &str) -> Breach {
    let actual = ask.exchange.got_header("location").map_or_else(|| came(ask.exchange), str::to_owned);
    told(what.to_owned(), &[expected], actual, fix, ask.exchange.evidence())
}

fn required(view: &View<'_>, out: &mut Findings) {
    for ask in covered(view, out).iter().filter(|ask| ask.param("code_challenge").is_none()) {
        match ask.answer {
            Answer::Nothing | Answer::Elsewhere => out.inconclusive(),
            _ => out.require(ask.code().is_none(), || {
                breach(
                    ask,
                    "A public client gets a code without PKCE, which whoever intercepts the code can use.",
                    "invalid_request",
                    "refuse authorization requests of public clients without code_challenge",
                )
            }),
        }
    }
}

fn s256(view: &View<'_>, out: &mut Findings) {
    for (exchange, found) in documents(view, out) {
        let Some(methods) = found.at("code_challenge_methods_supported").as_array().filter(|list| !list.is_empty())
        else {
            continue;
        };
        out.require(methods.iter().any(|method| method == "S256"), || {
            told(
                "The authorization server does not support S256, the one method that clients can rely on.".to_owned(),
                &["S256 among code_challenge_methods_supported"],
                quote(found.at("code_challenge_methods_supported")),
                "support S256",
                exchange.evidence(),
            )
        });
    }
}

/// Judges the error that a request gets which the server does not take.
fn invalid_request(out: &mut Findings, asks: &[Ask<'_>], ask: &Ask<'_>, what: &str) {
    let told = || breach(ask, what, "error=invalid_request by redirect", "answer with the error invalid_request");
    match &ask.answer {
        Answer::Error(code) => out.require(code == "invalid_request", told),
        // The client is not told at all, but neither is anything lost. A client that never gets anything may be unknown.
        Answer::Refused if granted_otherwise(asks, ask) => out.contested(told()),
        Answer::Refused => out.inconclusive(),
        Answer::Bare => out.breach(told()),
        Answer::Code(_) | Answer::Nothing | Answer::Elsewhere => {}
    }
}

fn missing_error(view: &View<'_>, out: &mut Findings) {
    let asks = covered(view, out);
    for ask in asks.iter().filter(|ask| ask.param("code_challenge").is_none()) {
        invalid_request(out, &asks, ask, "A missing code_challenge is refused, but not as invalid_request.");
    }
}

fn method_error<'v>(view: &'v View<'_>, out: &mut Findings) {
    let documents = wire::server_documents(view);
    let lists = |method: &str| {
        let of = |found: &&'v serde_json::Value| found.at("code_challenge_methods_supported").as_array();
        documents.iter().filter_map(of).flatten().any(|listed| listed == method)
    };
    let asks = covered(view, out);
    for ask in asks.iter().filter(|ask| ask.param("code_challenge").is_some()) {
        // Without a method it is `plain` (RFC 7636 section 4.3).
        let method = ask.param("code_challenge_method").unwrap_or("plain");
        if method == "S256" || lists(method) {
            continue;
        }
        let what = format!(
            "The challenge method {method}, which the server does not list, is not refused as invalid_request."
        );
        let told = || breach(ask, &what, "error=invalid_request by redirect", "refuse methods that are not supported");
        match (&ask.answer, method) {
            // The server may support `plain` without saying so.
            (Answer::Code(_), "plain") => out.contested(told()),
            (Answer::Code(_), _) => out.breach(told()),
            _ => invalid_request(out, &asks, ask, &what),
        }
    }
}

fn verified(view: &View<'_>, out: &mut Findings) {
    let asks = covered(view, out);
    for seen in redeemed(view, &asks) {
        let challenged = seen.from.param("code_challenge").is_some();
        if !challenged || wire::param(seen.form, "code_verifier").is_some() {
            continue;
        }
        match seen.exchange.status {
            None => out.inconclusive(),
            Some(_) => out.require(!seen.worked(), || {
                told(
                    "A code that was asked for with a challenge is exchanged without its verifier.".to_owned(),
                    &["invalid_grant, and no token"],
                    came(seen.exchange),
                    "demand the verifier for every code that has a challenge",
                    seen.evidence(),
                )
            }),
        }
    }
}

fn downgrade(view: &View<'_>, out: &mut Findings) {
    let asks = covered(view, out);
    for seen in redeemed(view, &asks) {
        let challenged = seen.from.param("code_challenge").is_some();
        if challenged || wire::param(seen.form, "code_verifier").is_none() {
            continue;
        }
        match seen.exchange.status {
            None => out.inconclusive(),
            Some(_) => out.require(!seen.worked(), || {
                told(
                    "A verifier is taken for a code without a challenge: who strips the challenge goes unnoticed."
                        .to_owned(),
                    &["invalid_grant, and no token"],
                    came(seen.exchange),
                    "refuse a code_verifier where the authorization request had no code_challenge",
                    seen.evidence(),
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::asked::play::{self, asked, back, begun, found, redeem, tokens, with};
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    const BARE: [(&str, &str); 2] = [("code_challenge", ""), ("code_challenge_method", "")];

    fn ask(changes: &[(&str, &str)]) -> Builder {
        asked(begun("2025-11-25"), changes)
    }

    fn ordinary() -> Builder {
        back(ask(&[]), "?code=code#1&state=s1")
    }

    #[test]
    fn a_challenge_is_demanded() {
        let refused = back(ask(&BARE), "?error=invalid_request");
        let granted = back(ask(&BARE), "?code=code#1");
        expect_three("auth.authorization.pkce-required-as", &refused, &granted, &ordinary());
        let other = back(ask(&BARE), "?error=access_denied");
        let id = "auth.authorization.pkce-missing-challenge-error";
        expect_three(id, &refused, &other, &ordinary());
        let page = asked(ordinary(), &BARE).answer(400, &[], "no");
        assert_eq!(judge(id, &page).outcome, Outcome::Warn);
        assert_eq!(judge(id, &ask(&BARE).answer(400, &[], "no")).outcome, Outcome::Inconclusive);
    }

    #[test]
    fn methods() {
        let id = "auth.authorization.pkce-unsupported-method-error";
        let odd = || ask(&[("code_challenge_method", "S512")]);
        let refused = back(odd(), "?error=invalid_request");
        expect_three(id, &refused, &back(odd(), "?code=code#1"), &ordinary());
        let plain = back(ask(&[("code_challenge_method", "plain")]), "?code=code#1");
        assert_eq!(judge(id, &plain).outcome, Outcome::Warn, "plain may be supported and not told");
        let id = "auth.authorization.pkce-s256-as";
        let idle = || Builder::new().initialize("2025-11-25");
        let told = |methods: Value| found(idle(), &with(play::document(), "code_challenge_methods_supported", methods));
        expect_three(id, &told(json!(["plain", "S256"])), &told(json!(["plain"])), &told(Value::Null));
    }

    #[test]
    fn verifiers() {
        let id = "auth.authorization.pkce-verify";
        let none = [("code_verifier", "")];
        let kept = redeem(ordinary(), &none, 400, &play::error("invalid_grant"));
        let right = redeem(ordinary(), &[], 200, &tokens());
        expect_three(id, &kept, &redeem(ordinary(), &none, 200, &tokens()), &right);
        let id = "auth.authorization.pkce-downgrade";
        let bare = || back(ask(&BARE), "?code=code#1");
        let kept = redeem(bare(), &[], 400, &play::error("invalid_grant"));
        expect_three(id, &kept, &redeem(bare(), &[], 200, &tokens()), &right);
    }
}
