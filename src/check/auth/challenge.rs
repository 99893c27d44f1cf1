//! The 401 itself: its challenges, what they say, and that the body gives nothing away.

use std::collections::BTreeSet;

use serde_json::Value;

use super::vault::rpc_method;
use super::{discovery, wire as oauth};
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::model::{Challenge, Members as _, Text};
use crate::transcript::{Exchange, HeaderText, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.resource-server.www-authenticate-present", judge: present },
    Check { id: "auth.resource-server.www-authenticate-bearer", judge: bearer },
    Check { id: "auth.resource-server.www-authenticate-syntax", judge: syntax },
    Check { id: "auth.resource-server.challenge-has-param", judge: has_param },
    Check { id: "auth.resource-server.error-code-absent", judge: no_error },
    Check { id: "auth.resource-server.error-code-invalid-token", judge: invalid_token },
    Check { id: "auth.resource-server.401-scope-hint", judge: scope_hint },
    Check { id: "auth.resource-server.scope-sets-consistent", judge: consistent },
    Check { id: "auth.resource-server.no-data-leak", judge: no_leak },
];

/// The challenges of an answer as they were sent.
pub(super) fn quoted(exchange: &Exchange) -> String {
    let all = exchange.response_headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    let all: Vec<&str> = all.map(|(_, value)| value.as_str()).collect();
    let status = exchange.status.unwrap_or_default();
    if all.is_empty() {
        return format!("status {status} without WWW-Authenticate");
    }
    format!("status {status} with WWW-Authenticate: {}", all.join(", "))
}

pub(super) fn breach(what: &str, exchange: &Exchange, expected: &str, fix: &str) -> Breach {
    told(what.to_owned(), &[expected], quoted(exchange), fix, exchange.evidence())
}

/// Every 401 of the endpoint that the requirement covers.
fn refusals<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Exchange> {
    oauth::refused_with(view, 401).filter(|exchange| out.covers(oauth::around(view, exchange))).collect()
}

/// Each Bearer challenge of these 401s.
fn each_bearer(view: &View<'_>, out: &mut Findings, mut look: impl FnMut(&mut Findings, &Exchange, &Challenge)) {
    for exchange in refusals(view, out) {
        if let Some(challenge) = oauth::bearer(exchange) {
            look(out, exchange, challenge);
        }
    }
}

/// A challenge under another name, as gateways make it that keep `WWW-Authenticate` to themselves.
fn renamed(exchange: &Exchange) -> Option<&(HeaderText, HeaderText)> {
    exchange.response_headers.iter().find(|(name, _)| name.to_ascii_lowercase().ends_with("-www-authenticate"))
}

fn present(view: &View<'_>, out: &mut Findings) {
    for exchange in refusals(view, out) {
        out.require(exchange.got_header("www-authenticate").is_some(), || {
            if let Some((name, _)) = renamed(exchange) {
                let what =
                    format!("The challenge of a 401 comes as {name}, where no client looks: a gateway renames it.");
                let fix = "have the gateway map the header back to WWW-Authenticate, or go around it";
                return breach(&what, exchange, "a WWW-Authenticate header", fix);
            }
            let fix = "send WWW-Authenticate with every 401; clients learn from it where to log in";
            breach("A 401 came without a challenge.", exchange, "a WWW-Authenticate header", fix)
        });
    }
}

fn bearer(view: &View<'_>, out: &mut Findings) {
    // Who uses another scheme altogether has agreed on it elsewhere; OAuth asks for Bearer.
    let by_oauth = !discovery::documents(view).is_empty()
        || oauth::token_requests(view).iter().any(|exchange| exchange.is_success());
    for exchange in refusals(view, out) {
        let challenges = oauth::challenged(exchange);
        if challenges.is_empty() {
            continue;
        }
        if challenges.iter().any(|challenge| challenge.is("bearer") || challenge.is("dpop")) {
            out.pass();
            continue;
        }
        let fix = "challenge with the scheme Bearer, which is the one that MCP clients know";
        let breach = breach("A 401 offers no Bearer challenge.", exchange, "WWW-Authenticate: Bearer …", fix);
        if by_oauth { out.breach(breach) } else { out.contested(breach) }
    }
}

fn syntax(view: &View<'_>, out: &mut Findings) {
    for exchange in refusals(view, out).into_iter().chain(oauth::refused_with(view, 403)) {
        let challenges = oauth::challenged(exchange);
        if challenges.is_empty() || !out.covers(oauth::around(view, exchange)) {
            continue;
        }
        let faults: Vec<&str> = challenges.iter().flat_map(|one| &one.faults).map(String::as_str).collect();
        out.require(faults.is_empty(), || {
            let what = format!("The challenge breaks its grammar: {}.", faults.join("; "));
            let fix = "write each parameter once, as name=\"value\", with commas between them";
            breach(&what, exchange, "Bearer name=\"value\", name=\"value\"", fix)
        });
    }
}

fn has_param(view: &View<'_>, out: &mut Findings) {
    each_bearer(view, out, |out, exchange, challenge| {
        out.require(!challenge.params.is_empty() || challenge.token68.is_some(), || {
            let fix = "add resource_metadata, which also tells clients where to log in";
            breach("The Bearer challenge has no parameter at all.", exchange, "at least one parameter", fix)
        });
    });
}

fn no_error(view: &View<'_>, out: &mut Findings) {
    each_bearer(view, out, |out, exchange, challenge| {
        let anonymous = exchange.sent_header("authorization").is_none() && !exchange.target.contains("access_token=");
        if anonymous {
            out.require(challenge.param("error").is_none(), || {
                let fix = "leave error out where no credentials came: nothing was wrong with any";
                breach("The challenge to a request without a token names an error.", exchange, "no error", fix)
            });
        }
    });
}

fn invalid_token(view: &View<'_>, out: &mut Findings) {
    let Some(vault) = super::vault::Vault::open(view) else { return };
    each_bearer(view, out, |out, exchange, challenge| {
        if vault.credential(exchange).is_bad() {
            out.require(challenge.param("error") == Some("invalid_token"), || {
                let fix =
                    "name error=\"invalid_token\" where the token is unknown, over or revoked; clients then refresh";
                breach("The challenge to a bad token does not say so.", exchange, "error=\"invalid_token\"", fix)
            });
        }
    });
}

fn scope_hint(view: &View<'_>, out: &mut Findings) {
    each_bearer(view, out, |out, exchange, challenge| {
        out.require(challenge.param("scope").is_some_and(|scope| !scope.trim().is_empty()), || {
            let fix = "name the scopes that this request needs, so that clients ask for no more";
            breach("The challenge does not say which scopes are needed.", exchange, "a scope parameter", fix)
        });
    });
}

/// What was asked: method, JSON-RPC method, tool.
pub(super) fn operation(exchange: &Exchange) -> String {
    let tool = exchange.sent_json().and_then(|body| body.at("params").at("name").as_str()).unwrap_or_default();
    format!("{} {} {tool}", exchange.method, rpc_method(exchange).unwrap_or_default())
}

/// Holds the scopes of challenges to the same operation against each other.
pub(super) fn same_scopes<'v>(out: &mut Findings, challenged: impl Iterator<Item = (String, &'v Exchange)>) {
    let mut first: Vec<(String, BTreeSet<String>, &Exchange)> = Vec::new();
    for (key, exchange) in challenged {
        let Some(challenge) = oauth::bearer(exchange) else { continue };
        let Some(scope) = challenge.param("scope") else { continue };
        let scopes: BTreeSet<String> = scope.split_whitespace().map(str::to_owned).collect();
        match first.iter().find(|(known, ..)| *known == key) {
            None => first.push((key, scopes, exchange)),
            Some((_, known, earlier)) => out.require(*known == scopes, || {
                let fix = "build the scopes of a challenge by one rule, so that clients need not ask again and again";
                let mut breach = breach(
                    "Two challenges to the same operation ask for different scopes.",
                    exchange,
                    &format!("scope=\"{}\", as before", known.iter().map(String::as_str).collect::<Vec<_>>().join(" ")),
                    fix,
                );
                breach.evidence.splice(0..0, earlier.evidence());
                breach
            }),
        }
    }
}

fn consistent(view: &View<'_>, out: &mut Findings) {
    let refusals = refusals(view, out);
    same_scopes(out, refusals.into_iter().map(|exchange| (operation(exchange), exchange)));
}

fn no_leak(view: &View<'_>, out: &mut Findings) {
    let refused = |exchange: &&Exchange| matches!(exchange.status, Some(401 | 403));
    let bearing = view.exchanges.iter().filter(refused).filter(|exchange| oauth::at_endpoint(view, exchange));
    for exchange in bearing.filter(|exchange| !oauth::challenged(exchange).is_empty()) {
        if !out.covers(oauth::around(view, exchange)) {
            continue;
        }
        let texts = exchange.response_body.iter().chain(exchange.events.iter().filter_map(|event| event.data.as_ref()));
        let holds = |text: &Text| {
            serde_json::from_str::<Value>(text).is_ok_and(|value| value.member("result").is_some_and(|r| !r.is_null()))
        };
        out.require(!texts.into_iter().any(holds), || {
            let fix = "refuse before the request is worked on, so that there is no result to send along";
            let what = "A refusal carries the result of the refused request.".to_owned();
            told(what, &["no result in the body"], came(exchange), fix, exchange.evidence())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{BAD, FIRST, NEWEST, deny, inside, open_server, ping, refused};
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};

    #[test]
    fn what_a_challenge_has() {
        let good = refused(NEWEST, FIRST);
        for (id, broken) in [
            ("auth.resource-server.www-authenticate-present", ""),
            ("auth.resource-server.www-authenticate-syntax", "Bearer scope=mcp:read"),
            ("auth.resource-server.challenge-has-param", "Bearer"),
            ("auth.resource-server.error-code-absent", "Bearer error=\"invalid_token\""),
            ("auth.resource-server.401-scope-hint", "Bearer realm=\"mcp\""),
        ] {
            expect_three(id, &good, &refused(NEWEST, broken), &open_server());
        }
    }

    #[test]
    fn another_scheme_fails_only_beside_oauth() {
        let id = "auth.resource-server.www-authenticate-bearer";
        let basic = deny(ping(inside(NEWEST), "Bearer access#9"), 401, "Basic realm=\"x\"");
        expect_three(id, &refused(NEWEST, FIRST), &basic, &open_server());
        assert_eq!(judge(id, &refused(NEWEST, "Basic realm=\"x\"")).outcome, Outcome::Warn);
        assert_eq!(judge(id, &refused(NEWEST, "DPoP algs=\"ES256\"")).outcome, Outcome::Pass);
    }

    #[test]
    fn a_bad_token_is_called_bad() {
        let forged = || ping(inside(NEWEST), "Bearer access#9");
        let id = "auth.resource-server.error-code-invalid-token";
        expect_three(id, &deny(forged(), 401, BAD), &deny(forged(), 401, FIRST), &inside(NEWEST));
    }

    #[test]
    fn scopes_follow_one_rule() {
        let twice = |challenge: &str| {
            let once = deny(ping(inside(NEWEST), ""), 401, FIRST);
            deny(ping(once, "Bearer access#9"), 401, challenge)
        };
        let broken = twice("Bearer error=\"invalid_token\", scope=\"mcp:admin\"");
        expect_three("auth.resource-server.scope-sets-consistent", &twice(BAD), &broken, &inside(NEWEST));
    }

    #[test]
    fn a_refusal_gives_nothing_away() {
        let headers = [("www-authenticate", BAD), ("content-type", "application/json")];
        let leak = ping(inside(NEWEST), "Bearer access#9").answer(401, &headers, r#"{"result":{"tools":[]}}"#);
        expect_three("auth.resource-server.no-data-leak", &refused(NEWEST, FIRST), &leak, &open_server());
    }
}
