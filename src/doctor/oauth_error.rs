//! What an error of an authorization server means, and what helps (RFC 6749 section 5.2, RFC 7591, RFC 8707).

use serde_json::Value;

use super::answer::{Problem, body_of};
use super::diagnosis::Station;
use crate::report::text::clip;
use crate::transcript::Exchange;

/// The request that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Registration,
    Code,
    Refresh,
}

impl Asked {
    fn endpoint(self) -> &'static str {
        match self {
            Self::Registration => "the registration endpoint",
            Self::Code | Self::Refresh => "the token endpoint",
        }
    }
}

/// Tells why an answer is no success; the road ends there.
pub(super) fn tell(station: &mut Station, asked: Asked, exchange: &Exchange) {
    station.show(exchange);
    let endpoint = asked.endpoint();
    let Some(status) = exchange.status else {
        let words = exchange.amiss().unwrap_or_else(|| "no answer".to_owned());
        station.breaks(format!("{endpoint} does not answer: {words}"), "look whether it runs and can be reached");
        return;
    };
    if let Some(amiss) = exchange.amiss() {
        let problem = Problem::Unended(amiss);
        station.breaks(format!("{endpoint} {}", problem.words()), problem.change("the answer"));
        return;
    }
    let said = body_of(exchange);
    if let Some(error) = said.as_ref().ok().and_then(|document| document["error"].as_str()) {
        let document = said.as_ref().map_or(&Value::Null, |document| document);
        let more = document["error_description"].as_str().map(|text| format!(" ({})", clip(text, 200)));
        let more = more.unwrap_or_default();
        station.breaks(
            format!("{endpoint} refuses with {status} `{}`{more}: {}", clip(error, 60), meaning(asked, error)),
            help(asked, error, status),
        );
        return;
    }
    let (words, change) = match (status, &said) {
        (500.., _) => (
            format!("{endpoint} fails with status {status}{}", what_came(&said)),
            "look into the log of the authorization server and of the proxy before it",
        ),
        (300..=399, _) => (
            format!("{endpoint} redirects ({status}) instead of answering; clients do not send a POST on"),
            "let the metadata name the final address",
        ),
        (200..=299, Ok(_)) => (
            format!("{endpoint} answers with {status}, but {}", lacks(asked)),
            "answer as RFC 6749 section 5.1 says (registration: RFC 7591 section 3.2.1)",
        ),
        (200..=299, Err(problem)) => {
            (format!("{endpoint} {}", problem.words()), "answer with a JSON object and content-type application/json")
        }
        (401 | 403, _) => (
            format!("{endpoint} refuses with status {status}, without an error that says why"),
            "exempt the path from authentication by a proxy or middleware: the client proves itself by what it sends; \
             say errors as JSON with `error` (RFC 6749 section 5.2)",
        ),
        (404, _) => (
            format!("{endpoint} is not there (404)"),
            "let the metadata of the authorization server name the right address",
        ),
        _ => (
            format!("{endpoint} answers with status {status}, without an error that says why"),
            "say errors as JSON with `error` (RFC 6749 section 5.2)",
        ),
    };
    station.breaks(words, change);
}

fn what_came(said: &Result<Value, Problem>) -> &'static str {
    match said {
        Err(Problem::Page) => " and a web page",
        Err(Problem::Empty) => " and nothing else",
        _ => "",
    }
}

fn lacks(asked: Asked) -> &'static str {
    match asked {
        Asked::Registration => "there is no client_id in it",
        Asked::Code | Asked::Refresh => "there is no access_token in it",
    }
}

fn meaning(asked: Asked, error: &str) -> &'static str {
    match (asked, error) {
        (Asked::Code, "invalid_grant") => {
            "the code is over, was used before, or belongs to another client, redirect URI or verifier"
        }
        (_, "invalid_grant") => "the refresh token is over, was used before, or belongs to another client",
        (_, "invalid_client") => "it does not know the client, or does not take its way to prove itself",
        (_, "unauthorized_client") => "this client may not use this grant",
        (_, "unsupported_grant_type") => "it does not do this grant at all",
        (_, "invalid_scope") => "it does not grant the scope that was asked for",
        (_, "invalid_target") => "it does not know the resource that the token is to be for",
        (Asked::Registration, "invalid_redirect_uri") => "it does not take the client's redirect URI",
        (Asked::Registration, _) => "it does not take what the client says of itself",
        (_, "invalid_request") => "it misses a parameter, or stumbles over one it does not know",
        _ => "no standard error, so its own documentation has to explain it",
    }
}

fn help(asked: Asked, error: &str, status: u16) -> &'static str {
    match (asked, error) {
        (Asked::Refresh, "invalid_grant") => {
            "keep refresh tokens across restarts and instances; where they rotate, accept a repetition shortly after"
        }
        (Asked::Code, "invalid_grant") => {
            "keep codes where every instance finds them, for a minute or so, and compare the PKCE verifier by S256"
        }
        (_, "invalid_client") if status == 401 => {
            "keep registrations where every instance finds them, and take token_endpoint_auth_method `none`"
        }
        (_, "invalid_client") => "keep registrations where every instance finds them",
        (Asked::Refresh, "unsupported_grant_type" | "unauthorized_client") => {
            "allow the grant type refresh_token, also for clients that registered themselves"
        }
        (_, "invalid_target") => "register the address of the MCP endpoint as a resource (audience, API) there",
        (_, "invalid_scope") => "let scopes_supported and the challenge name only scopes that it grants",
        (Asked::Refresh, "invalid_request") => {
            "take the parameters of RFC 6749 section 6, and ignore others such as `resource`; a refresh token that is \
             not taken any more is invalid_grant, on which clients log in again"
        }
        (Asked::Registration, "invalid_redirect_uri") => {
            "take loopback redirect URIs with any port (RFC 8252 section 7.3); command-line clients use them"
        }
        (Asked::Registration, _) => "take registrations with the members that clients send, and ignore unknown ones",
        _ => "take the parameters that clients send, and ignore unknown ones (RFC 6749 section 3.2)",
    }
}
