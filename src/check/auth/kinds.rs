//! Clients of several kinds: those that run in an editor with a scheme of its own, at a port of this machine or at a host of
//! theirs, those of unknown names, and those that prove themselves in one way or another.

use serde_json::Value;

use super::asked::{Registration, asks_under, redeemed, registrations};
use super::registration::is_untrusted;
use super::wire;
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.registration.dcr-native-scheme", judge: native_scheme },
    Check { id: "auth.registration.dcr-redirect-forms", judge: redirect_forms },
    Check { id: "auth.registration.dcr-any-name", judge: any_name },
    Check { id: "auth.registration.dcr-method-works", judge: method_works },
];

/// A redirect URI of a registration that leads to a program by a scheme of its own (RFC 8252 section 7.1).
fn of_a_program(sent: &Value) -> Option<&str> {
    let mut uris = sent.at("redirect_uris").as_array()?.iter().filter_map(Value::as_str);
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
    let uris = seen.sent.at("redirect_uris").as_array().into_iter().flatten();
    uris.filter_map(Value::as_str).any(is_untrusted)
}

/// Whether every redirect URI of a registration is of the usual forms: https, or a place of this machine, by name or by
/// address.
fn usual_forms(sent: &Value) -> bool {
    let uris: Vec<&str> = sent.at("redirect_uris").as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let usual = |uri: &&str| uri.starts_with("https://") || (uri.starts_with("http://") && wire::on_this_machine(uri));
    !uris.is_empty() && uris.iter().all(usual)
}

fn redirect_forms(view: &View<'_>, out: &mut Findings) {
    for seen in registrations(view) {
        if !out.covers(wire::around(view, seen.exchange)) || !usual_forms(seen.sent) {
            continue;
        }
        match seen.exchange.status {
            Some(200..=299) => out.pass(),
            Some(400..=499) if seen.answer.at("error") == "invalid_redirect_uri" => out.breach(told(
                format!("The redirect URIs {} were not registered.", seen.sent.at("redirect_uris")),
                &["201 with a client_id"],
                came(seen.exchange),
                "take https redirect URIs of any host, and those of this machine as localhost, 127.0.0.1 and [::1], whatever \
                 their port and path: clients differ in all of these",
                seen.exchange.evidence(),
            )),
            _ => {}
        }
    }
}

/// What is registered, but for the name.
fn nameless(sent: &Value) -> Value {
    let mut sent = sent.clone();
    if let Some(members) = sent.as_object_mut() {
        members.shift_remove("client_name");
    }
    sent
}

fn any_name(view: &View<'_>, out: &mut Findings) {
    let covered = |seen: &&Registration<'_>| out.covers(wire::around(view, seen.exchange));
    let all = registrations(view);
    let all: Vec<&Registration<'_>> = all.iter().filter(covered).collect();
    for seen in &all {
        let same = |other: &&&Registration<'_>| {
            let renamed = other.sent.at("client_name") != seen.sent.at("client_name");
            other.client().is_some() && renamed && nameless(other.sent) == nameless(seen.sent)
        };
        let Some(other) = all.iter().find(same) else { continue };
        let (name, taken) = (seen.sent.at("client_name"), other.sent.at("client_name"));
        match seen.exchange.status {
            Some(200..=299) => out.pass(),
            Some(400..=403 | 422) => out.breach(told(
                format!("A client of the name {name} is not registered, and the same of the name {taken} is."),
                &["201 with a client_id"],
                came(seen.exchange),
                "register clients of any name: anybody can take a name, and new clients come with new ones",
                [other.exchange.evidence(), seen.exchange.evidence()].concat(),
            )),
            _ => {}
        }
    }
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
        let stated = [&client.answer, &client.sent].map(|from| from.at("token_endpoint_auth_method").as_str());
        let stated = stated.into_iter().flatten().next().unwrap_or("client_secret_basic");
        if method(seen.exchange, seen.form) != stated {
            continue;
        }
        let error =
            wire::document(seen.exchange).unwrap_or_default().at("error").as_str().unwrap_or_default().to_owned();
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
    fn places_of_all_forms_can_be_registered() {
        let id = "auth.registration.dcr-redirect-forms";
        let sent = |uri: &str| with(wanted(), "redirect_uris", json!([uri]));
        let tried = |uri: &str, status, answer: &Value| registered(begun("2025-11-25"), &sent(uri), status, answer);
        let refused = json!({"error": "invalid_redirect_uri"});
        let silent = crate::transcript::Builder::new().initialize("2025-11-25");
        for uri in ["https://app.example.com/cb", "http://localhost:1/a/b", "http://[::1]/cb"] {
            expect_three(id, &tried(uri, 201, &json!({"client_id": "c2"})), &tried(uri, 400, &refused), &silent);
        }
        let of_own_scheme = tried("cursor://a/b", 400, &refused);
        assert_eq!(judge(id, &of_own_scheme).outcome, Outcome::Pass, "that is judged elsewhere");
        assert_eq!(judge(id, &tried("https://a.example/", 400, &json!({"error": "x"}))).outcome, Outcome::Pass);
    }

    #[test]
    fn names_are_free() {
        let id = "auth.registration.dcr-any-name";
        let renamed = with(wanted(), "client_name", json!("y"));
        let tried = |sent: &Value, status| registered(begun("2025-11-25"), sent, status, &json!({"client_id": "c2"}));
        expect_three(id, &tried(&renamed, 201), &tried(&renamed, 403), &begun("2025-11-25"));
        let other = with(renamed.clone(), "scope", json!("z"));
        assert_eq!(judge(id, &tried(&other, 403)).outcome, Outcome::NotExercised, "the scope may be the reason");
        assert_eq!(judge(id, &tried(&renamed, 429)).outcome, Outcome::NotExercised, "load is no reason");
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
