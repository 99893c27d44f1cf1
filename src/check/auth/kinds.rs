//! Clients of several kinds: those that run in an editor with a scheme of its own, and those that prove themselves in
//! one way or another.

use serde_json::Value;

use super::asked::{Registration, asks_under, redeemed, registrations};
use super::registration::is_untrusted;
use super::wire;
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.registration.dcr-native-scheme", judge: native_scheme },
    Check { id: "auth.registration.dcr-method-works", judge: method_works },
];

/// A redirect URI of a registration that leads to a program by a scheme of its own (RFC 8252 section 7.1).
fn of_a_program(sent: &Value) -> Option<&str> {
    let mut uris = sent["redirect_uris"].as_array()?.iter().filter_map(Value::as_str);
    uris.find(|uri| {
        let scheme = uri.parse::<url::Url>().map(|url| url.scheme().to_owned()).unwrap_or_default();
        !scheme.is_empty() && !["http", "https"].contains(&scheme.as_str()) && !is_untrusted(uri)
    })
}

fn native_scheme(view: &View<'_>, out: &mut Findings) {
    for seen in registrations(view) {
        if !out.covers(wire::around(view, seen.exchange)) {
            continue;
        }
        let Some(uri) = of_a_program(seen.sent).filter(|_| !hopeless(&seen)) else { continue };
        match seen.exchange.status {
            Some(200..=299) if seen.redirects().contains(&uri) => out.pass(),
            Some(200..=399 | 400 | 422) => out.breach(told(
                format!("The redirect URI {uri} was not registered: editors that have such cannot log in."),
                &["201 with a client_id"],
                came(seen.exchange),
                "take redirect URIs with private-use schemes, such as cursor:// and vscode://, and show on the consent \
                 page which program they lead to",
                seen.exchange.evidence(),
            )),
            // Access, load and outage say nothing about the scheme.
            _ => out.inconclusive(),
        }
    }
}

/// Whether there is another reason to refuse it.
fn hopeless(seen: &Registration<'_>) -> bool {
    let uris = seen.sent["redirect_uris"].as_array().into_iter().flatten();
    uris.filter_map(Value::as_str).any(is_untrusted)
}

/// How a client proves itself in a token request.
fn method(exchange: &Exchange, form: &[(String, String)]) -> &'static str {
    let basic = exchange.sent_header("authorization").is_some();
    let has = |name: &str| wire::param(form, name).is_some_and(|value| !value.is_empty());
    match (basic, has("client_secret"), has("client_assertion")) {
        (true, false, false) => "client_secret_basic",
        (false, true, false) => "client_secret_post",
        (false, false, true) => "private_key_jwt",
        (false, false, false) => "none",
        _ => "",
    }
}

fn method_works(view: &View<'_>, out: &mut Findings) {
    let (asks, registered) = (asks_under(view, out), registrations(view));
    for seen in redeemed(view, &asks) {
        let client =
            |known: &&Registration<'_>| known.client().is_some() && known.client() == seen.from.param("client_id");
        let Some(client) = registered.iter().rev().find(client) else { continue };
        // What the answer leaves out is what was asked for, or else HTTP Basic (RFC 7591 section 2).
        let stated = [&client.answer, &client.sent].map(|from| from["token_endpoint_auth_method"].as_str());
        let stated = stated.into_iter().flatten().next().unwrap_or("client_secret_basic");
        if method(seen.exchange, seen.form) != stated {
            continue;
        }
        let error = wire::document(seen.exchange).unwrap_or_default()["error"].as_str().unwrap_or_default().to_owned();
        if seen.worked() {
            out.pass();
        } else if error == "invalid_client" || seen.exchange.status == Some(401) {
            out.breach(told(
                format!("The client was registered with {stated}, and is refused at the token endpoint for using it."),
                &["tokens for the code"],
                format!("{}, {error}", came(seen.exchange)),
                "let the registration answer with the method that the token endpoint takes",
                [client.exchange.evidence(), seen.evidence()].concat(),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::asked::play::{BACK, asked, back, begun, redeem, registered, tokens, wanted, with};
    use super::*;
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    #[test]
    fn editors_can_register() {
        let id = "auth.registration.dcr-native-scheme";
        let sent = |uris: Value| with(wanted(), "redirect_uris", uris);
        let tried = |uris: Value, status, answer: &Value| registered(begun("2025-11-25"), &sent(uris), status, answer);
        let uris = || json!([BACK, "cursor://anysphere.cursor-mcp/oauth/callback"]);
        let given = with(sent(uris()), "client_id", json!("c2"));
        let refused = json!({"error": "invalid_redirect_uri"});
        expect_three(id, &tried(uris(), 201, &given), &tried(uris(), 400, &refused), &begun("2025-11-25"));
        let without = with(with(sent(uris()), "client_id", json!("c2")), "redirect_uris", json!([BACK]));
        assert_eq!(judge(id, &tried(uris(), 201, &without)).outcome, Outcome::Warn, "it was left out");
        assert_eq!(judge(id, &tried(uris(), 302, &json!({}))).outcome, Outcome::Warn, "sent to a page");
        assert_eq!(judge(id, &tried(uris(), 403, &refused)).outcome, Outcome::Inconclusive, "not open to all");
        let dangerous = json!(["cursor://x", "javascript:alert(1)"]);
        assert_eq!(judge(id, &tried(dangerous, 400, &refused)).outcome, Outcome::NotExercised);
    }

    #[test]
    fn the_registered_method_works() {
        let id = "auth.registration.dcr-method-works";
        let code = |builder: Builder| back(asked(builder, &[]), "?code=code%231&state=s1");
        let refused = json!({"error": "invalid_client"});
        let public = code(begun("2025-11-25"));
        let silent = redeem(public.clone(), &[("client_secret", "s")], 401, &refused);
        expect_three(
            id,
            &redeem(public.clone(), &[], 200, &tokens()),
            &redeem(public.clone(), &[], 401, &refused),
            &silent,
        );
        let other = redeem(public, &[], 400, &json!({"error": "invalid_grant"}));
        assert_eq!(judge(id, &other).outcome, Outcome::NotExercised, "it has to do with the code");
    }
}
