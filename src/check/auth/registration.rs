//! Dynamic client registration (RFC 7591) and client ID metadata documents, as far as they show on the wire.

use serde_json::Value;

use super::asked::{Registration, asks_under, at_loopback_address, origin, registrations};
use super::server_metadata::{documents, takes_documents};
use super::wire;
use crate::check::support::quote;
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) static CHECKS: &[Check] = &[
    Check { id: "auth.registration.dcr-should", judge: offered },
    Check { id: "auth.registration.dcr-201", judge: created },
    Check { id: "auth.registration.dcr-echo-metadata", judge: echoed },
    Check { id: "auth.registration.dcr-secret-expiry", judge: secret_expiry },
    Check { id: "auth.registration.dcr-public-no-secret", judge: public },
    Check { id: "auth.registration.dcr-unknown-metadata", judge: unknown_metadata },
    Check { id: "auth.registration.dcr-error", judge: error },
    Check { id: "auth.registration.dcr-bad-redirect", judge: bad_redirect },
    Check { id: "auth.registration.cimd-should", judge: documents_offered },
    Check { id: "auth.registration.cimd-fetch-failure", judge: fetch_failure },
];

/// Client metadata of RFC 7591 section 2 and of OpenID Connect Dynamic Registration; whatever else is sent is unknown.
const KNOWN: [&str; 35] = [
    "redirect_uris",
    "token_endpoint_auth_method",
    "grant_types",
    "response_types",
    "client_name",
    "client_uri",
    "logo_uri",
    "scope",
    "contacts",
    "tos_uri",
    "policy_uri",
    "jwks_uri",
    "jwks",
    "software_id",
    "software_version",
    "software_statement",
    "application_type",
    "sector_identifier_uri",
    "subject_type",
    "id_token_signed_response_alg",
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "userinfo_signed_response_alg",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "request_object_signing_alg",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
    "token_endpoint_auth_signing_alg",
    "default_max_age",
    "require_auth_time",
    "default_acr_values",
    "initiate_login_uri",
    "request_uris",
    "client_id",
];

/// Registrations under a revision in which the requirement holds.
fn covered<'v>(view: &'v View<'_>, out: &Findings) -> Vec<Registration<'v>> {
    registrations(view).into_iter().filter(|seen| out.covers(wire::around(view, seen.exchange))).collect()
}

/// Those that were granted.
fn granted<'v>(view: &'v View<'_>, out: &Findings) -> Vec<Registration<'v>> {
    covered(view, out).into_iter().filter(|seen| seen.exchange.is_success()).collect()
}

fn breach(exchange: &Exchange, what: String, expected: &str, actual: String, fix: &str) -> Breach {
    told(what, &[expected], actual, fix, exchange.evidence())
}

fn offered(view: &View<'_>, out: &mut Findings) {
    for (exchange, found) in documents(view, out) {
        out.require(found.at("registration_endpoint").is_string(), || {
            breach(
                exchange,
                "The authorization server does not let clients register themselves.".to_owned(),
                "registration_endpoint in the metadata",
                quote(found),
                "offer dynamic client registration: clients that have never met the server need it",
            )
        });
    }
}

fn created(view: &View<'_>, out: &mut Findings) {
    for seen in granted(view, out) {
        let exchange = seen.exchange;
        let right = exchange.status == Some(201)
            && exchange.media_type() == Some("application/json")
            && seen.answer.at("client_id").is_string();
        out.require(right, || {
            breach(
                exchange,
                "A registration is not answered as RFC 7591 says.".to_owned(),
                "201 with a JSON object that has client_id",
                came(exchange),
                "answer a registration with 201, application/json and client_id",
            )
        });
    }
}

fn echoed(view: &View<'_>, out: &mut Findings) {
    for seen in granted(view, out).iter().filter(|seen| seen.client().is_some()) {
        let missing = |names: &[&'static str]| -> Vec<&'static str> {
            let lost = |name: &&&str| !seen.sent[**name].is_null() && seen.answer[**name].is_null();
            names.iter().filter(|name| lost(name)).copied().collect()
        };
        let told = |missing: &[&str]| {
            breach(
                seen.exchange,
                format!("The answer does not say what was registered: {} is missing.", missing.join(", ")),
                "all metadata that was registered, as the server keeps it",
                quote(seen.answer),
                "return the metadata of the client, with the values that are in force",
            )
        };
        let (needed, others) = (missing(&["redirect_uris"]), missing(&["grant_types", "token_endpoint_auth_method"]));
        if !needed.is_empty() {
            out.breach(told(&needed));
        } else if others.is_empty() {
            out.pass();
        } else {
            // What a server does not keep, it has not registered.
            out.contested(told(&others));
        }
    }
}

fn secret_expiry(view: &View<'_>, out: &mut Findings) {
    for seen in granted(view, out).iter().filter(|seen| seen.answer.at("client_secret").is_string()) {
        out.require(seen.answer.at("client_secret_expires_at").is_u64(), || {
            breach(
                seen.exchange,
                "A secret was issued without saying how long it lives.".to_owned(),
                "client_secret_expires_at, 0 if it does not end",
                quote(seen.answer),
                "add client_secret_expires_at wherever client_secret is issued",
            )
        });
    }
}

fn public(view: &View<'_>, out: &mut Findings) {
    for seen in granted(view, out).iter().filter(|seen| seen.sent.at("token_endpoint_auth_method") == "none") {
        let method = seen.answer.at("token_endpoint_auth_method");
        let stays = seen.answer.at("client_secret").is_null() && (method.is_null() || method == "none");
        out.require(stays, || {
            breach(
                seen.exchange,
                "A client that registered as public was given a secret or another way to prove itself.".to_owned(),
                "token_endpoint_auth_method none, and no client_secret",
                quote(seen.answer),
                "register clients of the method none as public",
            )
        });
    }
}

/// The members of a registration that no specification knows.
fn unknown(sent: &Value) -> Vec<&str> {
    let names = sent.as_object().into_iter().flat_map(|members| members.keys());
    // A name in a language has the language behind a `#`.
    let strange = |name: &&String| !KNOWN.contains(&name.split('#').next().unwrap_or_default());
    names.filter(strange).map(String::as_str).collect()
}

fn known_part(sent: &Value) -> Value {
    let members = sent.as_object().into_iter().flatten().filter(|(name, _)| KNOWN.contains(&name.as_str()));
    Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn unknown_metadata(view: &View<'_>, out: &mut Findings) {
    let seen = covered(view, out);
    for asked in seen.iter().filter(|asked| !unknown(asked.sent).is_empty()) {
        if asked.exchange.is_success() {
            out.pass();
            continue;
        }
        let same =
            |other: &&Registration<'_>| other.exchange.is_success() && known_part(other.sent) == known_part(asked.sent);
        match seen.iter().find(same) {
            // Something else may be what was refused.
            None => out.inconclusive(),
            Some(other) => out.breach(Breach {
                evidence: [other.exchange.evidence(), asked.exchange.evidence()].concat(),
                ..breach(
                    asked.exchange,
                    format!(
                        "A registration is refused for a member that is not known: {}.",
                        unknown(asked.sent).join(", ")
                    ),
                    "201; members that are not understood are ignored",
                    came(asked.exchange),
                    "ignore unknown client metadata",
                )
            }),
        }
    }
}

/// Whether a registration cannot be granted by anybody: no JSON object, or redirect URIs that are none.
fn hopeless(sent: &Value) -> bool {
    let redirects = sent.member("redirect_uris");
    !sent.is_object() || redirects.is_some_and(|list| !list.is_array()) || untrusted(sent).is_some()
}

fn error(view: &View<'_>, out: &mut Findings) {
    for seen in covered(view, out) {
        let exchange = seen.exchange;
        let Some(status) = exchange.status else { continue };
        // Access, place, form and load are refused by HTTP; a failure of the server is another matter unless the
        // request brought it about.
        let by_http = matches!(status, 401 | 403 | 404 | 405 | 413 | 415 | 429);
        if status < 400 || by_http || (status >= 500 && !hopeless(seen.sent)) {
            continue;
        }
        let right =
            status == 400 && exchange.media_type() == Some("application/json") && seen.answer.at("error").is_string();
        out.require(right, || {
            breach(
                exchange,
                "A registration is not refused as RFC 7591 says.".to_owned(),
                "400 with a JSON object that has `error`",
                came(exchange),
                "answer 400 with an error code such as invalid_redirect_uri or invalid_client_metadata",
            )
        });
    }
}

/// A redirect URI of a registration that nobody should be sent to: http beyond this machine, or a scheme that runs code.
fn untrusted(sent: &Value) -> Option<&str> {
    let uris = sent.at("redirect_uris").as_array()?.iter().filter_map(Value::as_str);
    uris.into_iter().find(|uri| is_untrusted(uri))
}

/// Whether nobody should be sent to this place.
pub(crate) fn is_untrusted(uri: &str) -> bool {
    let Ok(url) = uri.parse::<url::Url>() else { return false };
    let runs = ["javascript", "data", "vbscript", "file", "about", "blob"].contains(&url.scheme());
    runs || (url.scheme() == "http" && !wire::on_this_machine(uri) && !at_loopback_address(uri))
}

fn bad_redirect(view: &View<'_>, out: &mut Findings) {
    for seen in covered(view, out) {
        let Some(uri) = untrusted(seen.sent) else { continue };
        match seen.exchange.status {
            Some(400..=499) => out.pass(),
            // A server may also leave such a URI out of what it registers.
            Some(200..=299) if !seen.redirects().contains(&uri) => out.pass(),
            Some(200..=299) => out.breach(breach(
                seen.exchange,
                format!("The redirect URI {uri} was registered."),
                "400 with invalid_redirect_uri",
                came(seen.exchange),
                "take only https, loopback and private-use schemes as redirect URIs",
            )),
            _ => out.inconclusive(),
        }
    }
}

fn documents_offered(view: &View<'_>, out: &mut Findings) {
    for (exchange, found) in documents(view, out) {
        out.require(found.at("client_id_metadata_document_supported") == true, || {
            breach(
                exchange,
                "The authorization server does not take client ID metadata documents.".to_owned(),
                "client_id_metadata_document_supported: true",
                quote(found.at("client_id_metadata_document_supported")),
                "support client ID metadata documents, and say so in the metadata",
            )
        });
    }
}

/// Whether a client id is the URL of a document that nobody on another machine can read.
fn unreadable(client: &str) -> bool {
    let host = origin(client).map(|(_, host, _)| host).unwrap_or_default();
    client.starts_with("https://") && (wire::on_this_machine(client) || host.ends_with(".invalid"))
}

fn fetch_failure(view: &View<'_>, out: &mut Findings) {
    if !takes_documents(view) {
        return;
    }
    for ask in asks_under(view, out) {
        let Some(client) = ask.param("client_id").filter(|client| unreadable(client)) else { continue };
        match ask.exchange.status {
            None => out.inconclusive(),
            Some(_) => out.require(ask.code().is_none(), || {
                breach(
                    ask.exchange,
                    format!("The metadata document {client} cannot be read, and yet the client was given a code."),
                    "an error, and no redirect",
                    came(ask.exchange),
                    "end the authorization where the client's document cannot be had",
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::asked::play::{self, asked, back, begun, found, given, registered, wanted, with};
    use super::*;
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    fn silent() -> Builder {
        found(Builder::new().initialize("2025-06-18"), &play::document())
    }

    fn idle() -> Builder {
        Builder::new().initialize("2025-11-25")
    }

    #[test]
    fn what_the_metadata_offers() {
        let document = play::document();
        let closed = with(play::document(), "registration_endpoint", Value::Null);
        let idle_06 = Builder::new().initialize("2025-06-18");
        let broken = found(idle_06.clone(), &closed);
        expect_three("auth.registration.dcr-should", &silent(), &broken, &idle_06);
        let unread = with(play::document(), "client_id_metadata_document_supported", Value::Null);
        let (kept, broken) = (found(idle(), &document), found(idle(), &unread));
        expect_three("auth.registration.cimd-should", &kept, &broken, &idle());
    }

    #[test]
    fn the_answer_to_a_registration() {
        let answered = |status, answer: Value| registered(silent(), &wanted(), status, &answer);
        let kept = answered(201, given());
        expect_three("auth.registration.dcr-201", &kept, &answered(200, given()), &silent());
        let lost = answered(201, with(given(), "redirect_uris", Value::Null));
        expect_three("auth.registration.dcr-echo-metadata", &kept, &lost, &silent());
        let quiet = answered(201, with(given(), "token_endpoint_auth_method", Value::Null));
        assert_eq!(judge("auth.registration.dcr-echo-metadata", &quiet).outcome, Outcome::Warn);
        let secret = with(given(), "client_secret", json!("client-secret#1"));
        let dated = with(secret.clone(), "client_secret_expires_at", json!(0));
        expect_three(
            "auth.registration.dcr-secret-expiry",
            &answered(201, dated),
            &answered(201, secret.clone()),
            &kept,
        );
        expect_three("auth.registration.dcr-public-no-secret", &kept, &answered(201, secret), &silent());
    }

    #[test]
    fn unknown_members_are_ignored() {
        let id = "auth.registration.dcr-unknown-metadata";
        let (base, strange) =
            (registered(silent(), &wanted(), 201, &given()), with(wanted(), "x_colour", json!("green")));
        let refused = play::error("invalid_client_metadata");
        let kept = registered(base.clone(), &strange, 201, &given());
        expect_three(id, &kept, &registered(base.clone(), &strange, 400, &refused), &base);
        let alone = registered(silent(), &strange, 400, &refused);
        assert_eq!(judge(id, &alone).outcome, Outcome::Inconclusive, "it may be refused for something else");
        let spoken = with(wanted(), "client_name#de", json!("x"));
        assert_eq!(judge(id, &registered(silent(), &spoken, 400, &refused)).outcome, Outcome::NotExercised);
    }

    #[test]
    fn refusals_have_a_code() {
        let id = "auth.registration.dcr-error";
        let refused = |status, answer: Value| registered(silent(), &wanted(), status, &answer);
        let kept = refused(400, play::error("invalid_redirect_uri"));
        expect_three(id, &kept, &refused(422, json!({"message": "no"})), &refused(201, given()));
        for by_http in [401, 403, 404, 429, 503] {
            assert_eq!(judge(id, &refused(by_http, json!({}))).outcome, Outcome::NotExercised, "{by_http}");
        }
        let hopeless = registered(silent(), &json!("text"), 500, &json!({}));
        assert_eq!(judge(id, &hopeless).outcome, Outcome::Fail);
    }

    #[test]
    fn dangerous_redirects_are_not_registered() {
        let id = "auth.registration.dcr-bad-redirect";
        for uri in ["javascript:alert(1)", "http://app.example.com/cb", "data:text/html,x"] {
            let sent = with(wanted(), "redirect_uris", json!([uri]));
            let kept = registered(silent(), &sent, 400, &play::error("invalid_redirect_uri"));
            let taken = registered(silent(), &sent, 201, &with(sent.clone(), "client_id", json!("c2")));
            expect_three(id, &kept, &taken, &registered(silent(), &wanted(), 201, &given()));
        }
        for fine in ["https://a.example/cb", "http://localhost:1/cb", "http://[::1]/cb", "cursor://x/cb", "com.a:/cb"] {
            assert!(!is_untrusted(fine), "{fine}");
        }
    }

    #[test]
    fn a_document_that_cannot_be_read_ends_the_request() {
        let id = "auth.registration.cimd-fetch-failure";
        let ask = |client| asked(begun("2025-11-25"), &[("client_id", client)]);
        let unread = "https://127.0.0.1:1/client.json";
        let kept = ask(unread).answer(400, &[], "no");
        let silent = back(ask("https://app.example.com/client.json"), "?code=code#1");
        expect_three(id, &kept, &back(ask(unread), "?code=code#1"), &silent);
    }
}
