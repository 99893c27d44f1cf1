//! What the token endpoint takes: by POST, with whatever else, from clients with a secret in the body.

use super::ledger::{Ledger, under};
use super::token_errors::{judged, wrong};
use super::wire::{document, param, query, to};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "auth.token.post-only", judge: post_only },
    Check { id: "auth.token.ignore-unknown-params", judge: unknown_ignored },
    Check { id: "auth.token.client-secret-body", judge: secret_in_body },
];

/// Parameters that have a meaning to some server (the registry of OAuth parameters).
const KNOWN: [&str; 22] = [
    "grant_type",
    "code",
    "redirect_uri",
    "code_verifier",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "refresh_token",
    "scope",
    "resource",
    "audience",
    "username",
    "password",
    "assertion",
    "device_code",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "authorization_details",
];

/// A GET gets no tokens.
fn post_only(view: &View<'_>, out: &mut Findings) {
    for ask in under(&Ledger::new(view).asks, out) {
        let asks = ask.exchange.method == "GET" && param(query(ask.exchange), "grant_type").is_some();
        if !asks || !ask.conclusive() {
            continue;
        }
        out.require(ask.access().is_none(), || {
            wrong(
                ask,
                "The token endpoint gave tokens for a GET.",
                &["status 405, or another refusal"],
                "take token requests by POST only: URLs with tokens and secrets end up in logs",
            )
        });
    }
}

/// A parameter that nobody knows changes nothing.
fn unknown_ignored(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in judged(&ledger, out) {
        let strange = ask.form.iter().find(|(name, _)| !KNOWN.contains(&name.as_str()));
        let Some((name, _)) = strange.filter(|_| ledger.fair(ask) && ledger.alive(ask)) else { continue };
        out.require(ask.access().is_some(), || {
            wrong(
                ask,
                &format!("A refresh with the unknown parameter {name} was refused."),
                &["the tokens that the request would have got without it"],
                "ignore parameters that are not known; clients send extensions to every server",
            )
        });
    }
}

/// A client that registered `client_secret_post` may prove itself so.
fn secret_in_body(view: &View<'_>, out: &mut Findings) {
    let registered = to(view, "registration_endpoint", "/register");
    let posts: Vec<_> = registered
        .into_iter()
        .filter(|exchange| exchange.is_success())
        .filter_map(document)
        .filter(|document| document.at("token_endpoint_auth_method") == "client_secret_post")
        .collect();
    let ledger = Ledger::new(view);
    for ask in judged(&ledger, out) {
        let right = |document: &&serde_json::Value| {
            document.at("client_id").as_str() == ask.param("client_id")
                && document
                    .at("client_secret")
                    .as_str()
                    .is_some_and(|secret| ask.param("client_secret") == Some(secret))
        };
        let basic = ask.exchange.sent_header("authorization").is_some();
        if !posts.iter().any(right) || basic || !ask.sound() {
            continue;
        }
        if ask.access().is_none() && ask.error() != Some("invalid_client") {
            continue;
        }
        out.require(ask.access().is_some(), || {
            wrong(
                ask,
                "The right client secret in the body was refused.",
                &["tokens for a client that registered client_secret_post and sends its secret in the body"],
                "take client_id and client_secret from the form, too",
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::play::{Play, error, silent, three, tokens};

    #[test]
    fn by_post_with_whatever_else() {
        let get = |status, answer: &str| {
            let target = "/token?grant_type=refresh_token&refresh_token=refresh#1&client_id=c";
            Play::logged_in().send(("GET", target), &[], "", (status, &[], answer))
        };
        three("auth.token.post-only", &get(405, ""), &get(200, "{\"access_token\":\"a\"}"));
        let more = |status, answer: &Value| Play::logged_in().refresh("refresh#1", "&colour=blue", status, answer);
        let good = more(200, &tokens("access#2", "refresh#2"));
        three("auth.token.ignore-unknown-params", &good, &more(400, &error("invalid_request")));
        silent("auth.token.ignore-unknown-params", &Play::logged_in().rotate(1));
    }

    #[test]
    fn a_secret_in_the_body() {
        let play = |status, answer: &Value| {
            let client =
                json!({"client_id": "p", "client_secret": "s", "token_endpoint_auth_method": "client_secret_post"});
            let registered = (201, &[] as &[_], client.to_string());
            let form = "grant_type=client_credentials&client_id=p&client_secret=s";
            Play::on("2025-11-25")
                .send(("POST", "/register"), &[], "{}", (registered.0, registered.1, &registered.2))
                .token(form, status, answer)
        };
        let good = play(200, &tokens("access#1", "refresh#1"));
        three("auth.token.client-secret-body", &good, &play(401, &error("invalid_client")));
        silent("auth.token.client-secret-body", &play(400, &error("invalid_scope")));
    }
}
