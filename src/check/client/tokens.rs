//! What the client does with its tokens.

use super::common::{asked, header_of, told};
use crate::check::auth::wire::{self, around};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{End, View};

/// The checks of this topic.
pub(super) const CHECKS: &[Check] = &[
    Check { id: "auth.resource-server.client-header", judge: in_header },
    Check { id: "auth.resource-server.client-no-query", judge: not_in_query },
    Check { id: "auth.token.no-credentials-in-uri", judge: not_in_token_uri },
    Check { id: "auth.token.client-refresh-replace", judge: newest_refresh_token },
    Check { id: "auth.token.client-refresh-grant-type", judge: refresh_grant },
];

/// Once it has a token that is taken, the client sends it with every request of the conversation.
fn in_header(view: &View<'_>, out: &mut Findings) {
    for (exchange, revision) in asked(view) {
        let before = view.exchanges.iter().rev().find(|other| {
            other.seq < exchange.seq
                && wire::token_of(other).is_some()
                && other.conversation.is_some()
                && other.conversation == exchange.conversation
        });
        let Some(before) = before.filter(|before| before.is_success() && out.covers(revision)) else { continue };
        // After a refusal, of the token or of its renewal, it may have none that is worth sending.
        let lost = wire::token_requests(view)
            .into_iter()
            .any(|other| other.seq > before.seq && other.seq < exchange.seq && !other.is_success());
        if lost {
            continue;
        }
        out.require(exchange.sent_header("authorization").is_some(), || {
            told(
                format!("The client sent a {} without its access token.", exchange.method),
                &["Authorization: Bearer … with every request, also within one session"],
                header_of(exchange, "Authorization"),
                "send the token with every request: POST, GET and DELETE",
                before.evidence().into_iter().chain(exchange.evidence()).collect(),
            )
        });
    }
}

/// No token is in a query.
fn not_in_query(view: &View<'_>, out: &mut Findings) {
    for (exchange, revision) in asked(view) {
        let query = wire::query(exchange);
        // Without either there is nothing that could be in the wrong place.
        let named = wire::param(query, "access_token").is_some();
        if !out.covers(revision) || (!named && wire::token_of(exchange).is_none()) {
            continue;
        }
        out.require(!named, || {
            told(
                "The client put its access token into the query.",
                &["Authorization: Bearer …"],
                exchange.target.clone(),
                "send tokens in the Authorization header only: queries end up in logs",
                exchange.evidence(),
            )
        });
    }
}

/// Nor is any credential in the URI of the token endpoint.
fn not_in_token_uri(view: &View<'_>, out: &mut Findings) {
    const SECRET: [&str; 5] = ["client_secret", "code", "refresh_token", "code_verifier", "client_assertion"];
    for exchange in wire::token_requests(view) {
        if !out.covers(around(view, exchange)) {
            continue;
        }
        let found = wire::query(exchange).iter().find(|(name, _)| SECRET.contains(&name.as_str()));
        out.require(found.is_none(), || {
            told(
                "The client put a credential into the URI of its token request.",
                &["all parameters in the body"],
                exchange.target.clone(),
                "send the parameters of a token request as a form in its body",
                exchange.evidence(),
            )
        });
    }
}

/// A refresh token that was replaced is not used again.
fn newest_refresh_token(view: &View<'_>, out: &mut Findings) {
    let requests = wire::token_requests(view);
    for exchange in &requests {
        if !out.covers(around(view, exchange)) {
            continue;
        }
        let form = wire::form(exchange);
        let Some(used) = wire::param(form, "refresh_token") else { continue };
        let replaced = requests.iter().find(|earlier| {
            let given = wire::document(earlier).and_then(|document| document.at("refresh_token").as_str());
            let of_this = wire::param(wire::form(earlier), "refresh_token") == Some(used);
            let came = earlier.end == Some(End::Complete) && earlier.end_seq.is_some_and(|end| end < exchange.seq);
            of_this && came && given.is_some_and(|given| given != used)
        });
        out.require(replaced.is_none(), || {
            told(
                "The client used a refresh token for which it had been given a new one.",
                &["the refresh token that came last"],
                used,
                "keep the new refresh token before anything else, and throw the old one away",
                replaced.iter().flat_map(|earlier| earlier.evidence()).chain(exchange.evidence()).collect(),
            )
        });
    }
}

/// Who wants refresh tokens registers the grant.
fn refresh_grant(view: &View<'_>, out: &mut Findings) {
    let requests = wire::token_requests(view);
    let refreshes =
        requests.iter().find(|exchange| wire::param(wire::form(exchange), "grant_type") == Some("refresh_token"));
    let Some(refreshes) = refreshes else { return };
    for registration in crate::check::auth::asked::registrations(view) {
        if !out.covers(around(view, registration.exchange)) {
            continue;
        }
        let grants = registration.sent.at("grant_types").as_array();
        let listed = grants.is_some_and(|all| all.iter().any(|grant| grant == "refresh_token"));
        out.require(listed, || {
            told(
                "The client refreshes its tokens but did not register for that.",
                &["refresh_token among grant_types"],
                registration.sent.to_string(),
                "list refresh_token in grant_types; servers need not give refresh tokens otherwise",
                registration.exchange.evidence().into_iter().chain(refreshes.evidence()).collect(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::three;
    use crate::transcript::Builder;
    use serde_json::json;

    const PING: &str = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn with_token() -> Builder {
        start().request("POST", &[("authorization", "Bearer access#1")], Some(PING)).answer(200, &[], "")
    }

    #[test]
    fn where_tokens_go() {
        let broken = with_token().request("POST", &[], Some(PING)).answer(401, &[], "");
        let kept =
            with_token().request("POST", &[("authorization", "Bearer access#1")], Some(PING)).answer(200, &[], "");
        three("auth.resource-server.client-header", &kept, &broken, &with_token());
        let query = start().outside("GET", "/mcp?access_token=access%231", &[], None).answer(200, &[], "");
        three("auth.resource-server.client-no-query", &with_token(), &query, &start());
        let token = |place: &str| start().outside("POST", place, &[FORM], Some("grant_type=x")).json(200, &json!({}));
        three("auth.token.no-credentials-in-uri", &token("/token"), &token("/token?code=code%231"), &start());
    }

    #[test]
    fn refreshing() {
        let refresh = |builder: Builder, with: u32, gives: u32| {
            let form = format!("grant_type=refresh_token&refresh_token=refresh%23{with}");
            let answer = json!({"access_token": "access#2", "refresh_token": format!("refresh#{gives}")});
            builder.outside("POST", "/token", &[FORM], Some(&form)).json(200, &answer)
        };
        let first = refresh(start(), 1, 2);
        let id = "auth.token.client-refresh-replace";
        three(id, &refresh(first.clone(), 2, 3), &refresh(first, 1, 3), &start());
        let registers = |grants: serde_json::Value| {
            let sent = json!({"grant_types": grants}).to_string();
            let start = Builder::new().modern().discover(json!({}));
            start
                .outside("POST", "/register", &[("content-type", "application/json")], Some(&sent))
                .json(201, &json!({}))
        };
        let kept = refresh(registers(json!(["authorization_code", "refresh_token"])), 1, 2);
        let id = "auth.token.client-refresh-grant-type";
        three(id, &kept, &refresh(registers(json!(["authorization_code"])), 1, 2), &registers(json!([])));
    }
}
