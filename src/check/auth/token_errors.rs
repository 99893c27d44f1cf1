//! How the token endpoint refuses (RFC 6749 section 5.2).

use super::ledger::{Ask, Ledger};
use super::wire::{challenged, document, to};
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "auth.token.error-format", judge: format_of_errors },
    Check { id: "auth.token.error-invalid-grant", judge: invalid_grant },
    Check { id: "auth.token.error-invalid-client", judge: invalid_client },
    Check { id: "auth.token.error-unsupported-grant", judge: unsupported_grant },
    Check { id: "auth.token.error-invalid-request", judge: invalid_request },
];

/// Grant types that some server may know.
const GRANT_TYPES: [&str; 3] = ["authorization_code", "refresh_token", "client_credentials"];

/// A breach of one request.
pub(super) fn wrong(ask: &Ask<'_>, what: &str, expected: &[&str], fix: &str) -> Breach {
    told(what.to_owned(), expected, came(ask.exchange), fix, ask.exchange.evidence())
}

/// Requests in the form of the token endpoint that it looked at.
pub(super) fn judged<'l, 'v>(ledger: &'l Ledger<'v>, out: &Findings) -> Vec<&'l Ask<'v>> {
    let asks = ledger.asks.iter();
    asks.filter(|ask| out.covers(ask.revision) && ask.exchange.method == "POST" && ask.conclusive()).collect()
}

/// Errors come with 400, or 401 where the client failed to prove itself, as JSON with the text `error`.
fn format_of_errors(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in judged(&ledger, out) {
        let elsewhere = matches!(ask.exchange.status, Some(404 | 405 | 406 | 411 | 413 | 415 | 421 | 431 | 500..));
        if !ask.refused() || elsewhere {
            continue;
        }
        let right = match ask.exchange.status {
            Some(400) => ask.error().is_some(),
            Some(401) => ask.error() == Some("invalid_client"),
            _ => false,
        };
        out.require(right, || {
            wrong(
                ask,
                "A token request was refused in a form that clients do not read.",
                &["status 400, or 401 for invalid_client, and a JSON object with error"],
                "answer refused token requests with 400 and {\"error\": …}; clients decide by that code what to do next",
            )
        });
    }
}

/// A code or refresh token that is unknown, used up, revoked or somebody else's gets `invalid_grant`.
fn invalid_grant(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in judged(&ledger, out) {
        let Some(proven) = sender(&ledger, view, ask) else { continue };
        let dead = ask.presented().is_some_and(|token| match ledger.refresh.get(token) {
            None => true,
            Some(origin) => {
                let grant = &ledger.grants[origin.grant];
                let foreign = grant.foreign(ask);
                let over = ledger.stale(token, ask.exchange) || ledger.ended(origin.grant, ask.exchange).is_some();
                let plain = ask.param("scope").is_none();
                plain && (foreign || over) && (proven || !grant.proven)
            }
        });
        // A refusal without a code is judged as such.
        if !dead || !ask.sound() || !ask.refused() || (ask.error().is_none() && ask.exchange.status != Some(500)) {
            continue;
        }
        // Nothing says that a server has to look at the token before the target or the scope.
        if matches!(ask.error(), Some("invalid_target" | "invalid_scope")) {
            continue;
        }
        out.require(ask.error() == Some("invalid_grant"), || {
            wrong(
                ask,
                "A refresh token that is not valid was refused with the wrong error.",
                &["the error invalid_grant"],
                "answer invalid_grant for every code and refresh token that is unknown, over, revoked or another client's; \
                 clients log in again on that error only",
            )
        });
    }
}

/// Whether the sender of a request is proven, where the server knows that client and has no reason to doubt it.
pub(super) fn sender(ledger: &Ledger<'_>, view: &View<'_>, ask: &Ask<'_>) -> Option<bool> {
    let seen = ledger.asks.iter().any(|other| other.access().is_some() && other.client() == ask.client());
    let public =
        ask.proof().is_none() && ask.param("client_id").is_some_and(|id| ledger.knows(view, id) && !secret(view, id));
    (seen || public).then(|| ask.proof().is_some())
}

/// Whether a client was given a secret.
fn secret(view: &View<'_>, client: &str) -> bool {
    let registered = to(view, "registration_endpoint", "/register").into_iter().filter_map(document);
    registered
        .into_iter()
        .any(|document| document.at("client_id") == client && document.at("client_secret").is_string())
}

/// A client that is unknown or fails to prove itself gets `invalid_client`; after HTTP Basic with 401 and a challenge.
fn invalid_client(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in judged(&ledger, out) {
        let basic = ask.exchange.sent_header("authorization").is_some();
        let worked =
            |label: &str| ledger.asks.iter().any(|other| other.access().is_some() && other.proof() == Some(label));
        let unknown = match ask.proof() {
            None => ask.param("client_id").is_some_and(|id| !ledger.knows(view, id)),
            Some(proof) => basic && !worked(proof) && ledger.asks.iter().any(|other| other.access().is_some()),
        };
        let plain = GRANT_TYPES.iter().any(|known| ask.grants(known));
        if !unknown || !plain || !ask.sound() || !ask.refused() || ask.error().is_none() {
            continue;
        }
        // One name in the header and another in the form is a request that makes no sense (RFC 6749 section 2.3).
        if basic && ask.param("client_id").is_some() && ask.error() == Some("invalid_request") {
            continue;
        }
        let challenge = challenged(ask.exchange).iter().any(|challenge| challenge.is("basic"));
        let named = ask.error() == Some("invalid_client");
        let breach = wrong(
            ask,
            "A client that is unknown or failed to prove itself was not refused as such.",
            if basic {
                &["invalid_client with status 401 and a Basic challenge"]
            } else {
                &["the error invalid_client"]
            },
            "answer invalid_client; with 401 and WWW-Authenticate: Basic where the client used the Authorization header",
        );
        if named && (!basic || (ask.exchange.status == Some(401) && challenge)) {
            out.pass();
        } else if !basic && ask.error() == Some("invalid_grant") {
            // The token is not this client's either, and some servers look at the token first.
            out.contested(breach);
        } else {
            out.breach(breach);
        }
    }
}

/// A grant type that nobody knows gets `unsupported_grant_type`.
fn unsupported_grant(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in judged(&ledger, out) {
        let unknown = ask.param("grant_type").is_some_and(|kind| !kind.contains(':') && !GRANT_TYPES.contains(&kind));
        if !unknown || !ask.sound() || ask.param("grant_type") == Some("password") {
            continue;
        }
        let breach = wrong(
            ask,
            "An unknown grant type was not refused as one.",
            &["the error unsupported_grant_type"],
            "answer unsupported_grant_type for every grant_type that is not implemented",
        );
        match ask.error() {
            Some("unsupported_grant_type") => out.pass(),
            Some("unauthorized_client") => out.contested(breach),
            _ => out.breach(breach),
        }
    }
}

/// A missing or repeated parameter gets `invalid_request`. That a repeated one is taken all the same only warns.
fn invalid_request(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in judged(&ledger, out) {
        if ask.exchange.status == Some(415) {
            continue;
        }
        let missing = match ask.param("grant_type") {
            None => Some("grant_type"),
            Some("refresh_token") => ask.param("refresh_token").is_none().then_some("refresh_token"),
            Some("authorization_code") => ask.param("code").is_none().then_some("code"),
            Some(_) => None,
        };
        let repeated = ask.repeated().filter(|_| missing.is_none());
        let Some(name) = missing.or(repeated) else { continue };
        let breach = wrong(
            ask,
            &format!("A token request {} {name}.", if missing.is_some() { "without" } else { "with a second" }),
            &["the error invalid_request"],
            "check that each required parameter is there once, and answer invalid_request where it is not",
        );
        match ask.error() {
            Some("invalid_request") => out.pass(),
            // Nothing says that a server has to read the rest before it knows who asks.
            Some("invalid_client") => {}
            Some("unsupported_grant_type") if name == "grant_type" => out.contested(breach),
            _ if missing.is_none() => out.contested(breach),
            _ => out.breach(breach),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::play::{Play, error, silent, three};

    #[test]
    fn the_form_of_a_refusal() {
        let refused = |status, answer: Value| Play::logged_in().refresh("nonsense", "", status, &answer);
        let good = refused(400, error("invalid_grant"));
        three("auth.token.error-format", &good, &refused(403, error("invalid_grant")));
        three("auth.token.error-format", &good, &refused(200, error("invalid_grant")));
        three("auth.token.error-format", &good, &refused(400, json!(null)));
        silent("auth.token.error-format", &refused(503, json!(null)));
        three("auth.token.error-invalid-grant", &good, &refused(400, error("invalid_request")));
        let replayed = |code| Play::logged_in().rotate(1).rotate(2).refresh("refresh#1", "", 400, &error(code));
        three("auth.token.error-invalid-grant", &replayed("invalid_grant"), &replayed("invalid_token"));
        silent("auth.token.error-invalid-grant", &Play::logged_in().rotate(1));
    }

    #[test]
    fn a_client_that_is_not_believed() {
        let form = "grant_type=refresh_token&refresh_token=refresh#1&client_id=nobody";
        let by = |code| Play::logged_in().token(form, 401, &error(code));
        three("auth.token.error-invalid-client", &by("invalid_client"), &by("invalid_request"));
        let basic = |headers: &[(&str, &str)]| {
            let form = "grant_type=refresh_token&refresh_token=refresh#1";
            let answer = (401, headers, "{\"error\":\"invalid_client\"}");
            Play::logged_in().send(("POST", "/token"), &[("authorization", "Basic access#9")], form, answer)
        };
        let challenge = basic(&[("www-authenticate", "Basic realm=\"as\"")]);
        three("auth.token.error-invalid-client", &challenge, &basic(&[]));
        silent("auth.token.error-invalid-client", &Play::logged_in().dead("refresh#1"));
    }

    #[test]
    fn requests_that_are_not_whole() {
        let asked = |form: &str, code| Play::logged_in().token(form, 400, &error(code));
        let odd = "grant_type=nonsense&client_id=c";
        three(
            "auth.token.error-unsupported-grant",
            &asked(odd, "unsupported_grant_type"),
            &asked(odd, "invalid_grant"),
        );
        for form in
            ["client_id=c&refresh_token=x", "grant_type=refresh_token&client_id=c", "grant_type=authorization_code"]
        {
            three("auth.token.error-invalid-request", &asked(form, "invalid_request"), &asked(form, "invalid_grant"));
        }
        silent("auth.token.error-invalid-request", &Play::logged_in().rotate(1));
        let twice = "&resource=https://h/a&resource=https://h/b";
        silent(
            "auth.token.error-invalid-request",
            &Play::logged_in().refresh("refresh#1", twice, 400, &error("invalid_target")),
        );
    }
}
