//! The metadata of the authorization server: where it is published, and what it says (RFC 8414, OpenID Discovery).

use serde_json::{Value, json};

use super::wire::{self, authority, document, path};
use crate::check::support::quote;
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, View};

const RFC_8414: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// The checks of this topic.
pub(crate) static CHECKS: &[Check] = &[
    Check { id: "auth.discovery.as-metadata-server-side", judge: published },
    Check { id: "auth.discovery.as-metadata-8414", judge: published },
    Check { id: "auth.discovery.as-metadata-either", judge: published_somehow },
    Check { id: "auth.discovery.as-metadata-at-origin", judge: at_origin },
    Check { id: "auth.discovery.as-default-endpoints", judge: default_endpoints },
    Check { id: "auth.discovery.as-8414-path-inserted", judge: path_inserted },
    Check { id: "auth.discovery.as-metadata-required-members", judge: required_members },
    Check { id: "auth.discovery.as-issuer-form", judge: issuer_form },
    Check { id: "auth.discovery.as-issuer-match", judge: issuer_match },
    Check { id: "auth.discovery.as-metadata-json", judge: as_json },
    Check { id: "auth.discovery.as-metadata-no-empty", judge: no_empty },
    Check { id: "auth.discovery.as-pkce-advertised-oidc", judge: pkce_openid },
    Check { id: "auth.discovery.as-pkce-advertised-8414", judge: pkce_8414 },
    Check { id: "auth.discovery.as-iss-advertised", judge: iss_advertised },
    Check { id: "auth.discovery.as-https", judge: https },
];

/// What came back where it is metadata: many sites answer any path with a page, which is none.
pub(crate) fn metadata_of(exchange: &Exchange) -> Option<&Value> {
    let found = document(exchange).filter(|_| exchange.is_success())?;
    ["issuer", "authorization_endpoint", "token_endpoint"]
        .iter()
        .any(|name| found.member(name).is_some())
        .then_some(found)
}

/// Every metadata document with its exchange, as far as the requirement holds there.
pub(crate) fn documents<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Exchange, &'v Value)> {
    let all = wire::server_metadata(view).filter(|exchange| out.covers(wire::around(view, exchange)));
    all.filter_map(|exchange| Some((exchange, metadata_of(exchange)?))).collect()
}

/// Whether the place is one of RFC 8414.
fn is_8414(exchange: &Exchange) -> bool {
    path(exchange).contains(RFC_8414)
}

fn breach(exchange: &Exchange, what: &str, expected: &str, actual: String, fix: &str) -> Breach {
    told(what.to_owned(), &[expected], actual, fix, exchange.evidence())
}

/// The hosts that were asked for metadata, each with every request.
fn hosts<'v>(view: &'v View<'_>, out: &Findings) -> Vec<Vec<&'v Exchange>> {
    let mut hosts: Vec<Vec<&Exchange>> = Vec::new();
    for exchange in wire::server_metadata(view).filter(|exchange| out.covers(wire::around(view, exchange))) {
        match hosts.iter_mut().find(|known| authority(known[0]) == authority(exchange)) {
            Some(known) => known.push(exchange),
            None => hosts.push(vec![exchange]),
        }
    }
    hosts
}

/// Whether the server asks for tokens; clients look for metadata at open servers too, where nothing has to be found.
fn guarded(view: &View<'_>) -> bool {
    wire::refused_with(view, 401).next().is_some() || wire::resource_metadata(view).any(Exchange::is_success)
}

fn found_at(view: &View<'_>, out: &mut Findings, place: fn(&Exchange) -> bool, expected: &str) {
    if !guarded(view) {
        return;
    }
    for asked in hosts(view, out) {
        let found = |exchange: &&&Exchange| place(exchange) && metadata_of(exchange).is_some();
        if asked.iter().any(|exchange| found(&exchange)) {
            out.pass();
        } else if !asked.iter().any(|exchange| place(exchange))
            || asked.iter().any(|exchange| exchange.status.is_none())
        {
            out.inconclusive();
        } else {
            let evidence = asked.iter().flat_map(|exchange| exchange.evidence()).collect();
            let places: Vec<String> =
                asked.iter().map(|exchange| format!("{} {}", exchange.target, came(exchange))).collect();
            out.breach(told(
                format!("The authorization server {} publishes no such metadata.", authority(asked[0])),
                &[expected],
                places.join("; "),
                "serve the metadata document of the authorization server at its well-known place",
                evidence,
            ));
        }
    }
}

fn published(view: &View<'_>, out: &mut Findings) {
    found_at(view, out, is_8414, "200 with the document of RFC 8414 at /.well-known/oauth-authorization-server");
}

fn published_somehow(view: &View<'_>, out: &mut Findings) {
    found_at(view, out, |_| true, "200 with a document of RFC 8414 or OpenID Connect Discovery");
}

/// The host of the MCP endpoint.
fn endpoint_host<'v>(view: &'v View<'_>) -> Option<&'v str> {
    view.calls_to("initialize").next().map(|(request, _)| authority(view.exchange_of(request)))
}

fn at_origin(view: &View<'_>, out: &mut Findings) {
    let Some(own) = endpoint_host(view) else { return };
    for asked in hosts(view, out) {
        if authority(asked[0]) != own {
            continue;
        }
        let Some(origin) = asked.iter().find(|exchange| path(exchange) == RFC_8414) else { continue };
        let elsewhere = asked
            .iter()
            .find(|exchange| path(exchange) != RFC_8414 && is_8414(exchange) && metadata_of(exchange).is_some());
        match (metadata_of(origin), elsewhere) {
            (Some(_), _) => out.pass(),
            (None, Some(other)) => {
                let told = breach(
                    origin,
                    "The metadata is not at the origin of the endpoint's URL, where 2025-03-26 has every client look.",
                    "the document at /.well-known/oauth-authorization-server, without any path behind it",
                    format!("{} there, the document at {}", came(origin), other.target),
                    "serve the document at the origin too, for clients of 2025-03-26",
                );
                // Who names its authorization server in the resource's metadata follows the later revisions.
                let newer = wire::resource_metadata(view).any(Exchange::is_success);
                if newer { out.contested(told) } else { out.breach(told) }
            }
            // Without any metadata another requirement is at stake.
            (None, None) => {}
        }
    }
}

fn default_endpoints(view: &View<'_>, out: &mut Findings) {
    let Some(own) = endpoint_host(view) else { return };
    let asked: Vec<&Exchange> = wire::server_metadata(view).collect();
    if asked.is_empty() || asked.iter().any(|exchange| metadata_of(exchange).is_some()) {
        return;
    }
    for exchange in &view.exchanges {
        let place = ["/authorize", "/token", "/register"].contains(&path(exchange)) && authority(exchange) == own;
        if !place || !out.covers(wire::around(view, exchange)) {
            continue;
        }
        match exchange.status {
            None => out.inconclusive(),
            Some(status) => out.require(status != 404, || {
                breach(
                    exchange,
                    "There is no metadata, and nothing at the place that 2025-03-26 then falls back to.",
                    "the endpoint at its default place, or metadata that names another one",
                    came(exchange),
                    "publish metadata, or serve /authorize, /token and /register at the origin",
                )
            }),
        }
    }
}

fn path_inserted(view: &View<'_>, out: &mut Findings) {
    for (exchange, found) in documents(view, out) {
        let Some(issuer) = found.at("issuer").as_str().and_then(|issuer| issuer.parse::<url::Url>().ok()) else {
            continue;
        };
        let tail = issuer.path().trim_end_matches('/');
        if tail.is_empty() || !is_8414(exchange) {
            continue;
        }
        let inserted = format!("{RFC_8414}{tail}");
        let host = authority(exchange);
        let right = |other: &&Exchange| authority(other) == host && path(other).trim_end_matches('/') == inserted;
        let Some(asked) = wire::server_metadata(view).find(right) else { continue };
        out.require(metadata_of(asked).is_some(), || {
            breach(
                asked,
                "The issuer has a path, and its metadata is not where RFC 8414 puts it.",
                &format!("the document at {inserted}"),
                format!("{}, the document at {}", came(asked), exchange.target),
                "serve the document with the path of the issuer behind the well-known part",
            )
        });
    }
}

fn required_members(view: &View<'_>, out: &mut Findings) {
    for (exchange, found) in documents(view, out) {
        let grants: Vec<&str> = found.at("grant_types_supported").as_array().map_or_else(
            || vec!["authorization_code", "implicit"],
            |grants| grants.iter().filter_map(Value::as_str).collect(),
        );
        let fronted = grants.iter().any(|grant| ["authorization_code", "implicit"].contains(grant));
        let mut missing = Vec::new();
        let mut need = |name: &'static str, holds: bool| {
            if !holds {
                missing.push(name);
            }
        };
        need("issuer", found.at("issuer").is_string());
        need("response_types_supported", found.at("response_types_supported").is_array());
        need("authorization_endpoint", !fronted || found.at("authorization_endpoint").is_string());
        need("token_endpoint", grants == ["implicit"] || found.at("token_endpoint").is_string());
        out.require(missing.is_empty(), || {
            breach(
                exchange,
                &format!("The metadata lacks {}.", missing.join(", ")),
                "issuer, response_types_supported, and the endpoints that the grant types need",
                quote(found),
                "add the members that RFC 8414 section 2 requires",
            )
        });
    }
}

fn issuer_form(view: &View<'_>, out: &mut Findings) {
    for (exchange, found) in documents(view, out) {
        let Some(issuer) = found.at("issuer").as_str() else { continue };
        let local = wire::on_this_machine(issuer) && issuer.starts_with("http://");
        let plain = issuer.parse::<url::Url>().is_ok_and(|url| url.query().is_none() && url.fragment().is_none());
        let problem = if !plain {
            Some("The issuer is no URL, or has a query or a fragment.")
        } else if !issuer.starts_with("https://") && !local {
            Some("The issuer is not https.")
        } else {
            None
        };
        match problem {
            None => out.pass(),
            Some(what) => out.breach(breach(
                exchange,
                what,
                "an https URL of host, port and path",
                issuer.to_owned(),
                "use a plain https URL as issuer identifier",
            )),
        }
    }
}

/// The issuer that a well-known place stands for: its host and its path.
fn stands_for(exchange: &Exchange) -> (String, String) {
    let path = path(exchange);
    let tail = [RFC_8414, OPENID].iter().find_map(|known| path.strip_prefix(known));
    let tail = tail.or_else(|| path.strip_suffix(OPENID)).unwrap_or(path);
    (authority(exchange).to_ascii_lowercase(), tail.trim_end_matches('/').to_owned())
}

/// Host and path of an issuer; a default port is left out as in a Host header.
fn parts_of(issuer: &str) -> Option<(String, String)> {
    let url: url::Url = issuer.parse().ok()?;
    let host = url.host_str()?.to_ascii_lowercase();
    let host = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    Some((host, url.path().trim_end_matches('/').to_owned()))
}

fn issuer_match(view: &View<'_>, out: &mut Findings) {
    let named: Vec<String> = wire::resource_metadata(view)
        .filter_map(document)
        .flat_map(|found| found.at("authorization_servers").as_array().cloned().unwrap_or_default())
        .filter_map(|entry| entry.as_str().map(str::to_owned))
        .collect();
    for (exchange, found) in documents(view, out) {
        let Some(issuer) = found.at("issuer").as_str() else { continue };
        let wanted = stands_for(exchange);
        let same = parts_of(issuer).is_some_and(|parts| parts == wanted);
        let mut spelled = named.iter().filter(|entry| parts_of(entry).is_some_and(|parts| parts == wanted)).peekable();
        let exact = spelled.peek().is_none() || spelled.any(|entry| entry == issuer);
        let told = || {
            breach(
                exchange,
                "The issuer in the document is not the one that the document's URL was made from.",
                &format!("the issuer {}{}", wanted.0, wanted.1),
                issuer.to_owned(),
                "put the issuer into the document that the resource's metadata names, letter by letter",
            )
        };
        match (same, exact) {
            (true, true) => out.pass(),
            // Only a slash at the end, or the like.
            (true, false) => out.contested(told()),
            (false, _) => out.breach(told()),
        }
    }
}

fn as_json(view: &View<'_>, out: &mut Findings) {
    for (exchange, _) in documents(view, out) {
        let right = exchange.status == Some(200) && exchange.media_type() == Some("application/json");
        out.require(right, || {
            breach(
                exchange,
                "The metadata does not come as JSON with status 200.",
                "200 with application/json",
                came(exchange),
                "send the document with status 200 and content type application/json",
            )
        });
    }
}

fn no_empty(view: &View<'_>, out: &mut Findings) {
    for (exchange, found) in documents(view, out) {
        let members = found.as_object().into_iter().flatten();
        let empty: Vec<&str> = members
            .filter(|(_, value)| value.as_array().is_some_and(Vec::is_empty))
            .map(|(name, _)| name.as_str())
            .collect();
        out.require(empty.is_empty(), || {
            breach(
                exchange,
                &format!("The metadata has members without any value: {}.", empty.join(", ")),
                "no member, or one with values",
                quote(&json!(empty)),
                "leave empty members out",
            )
        });
    }
}

fn pkce_advertised(view: &View<'_>, out: &mut Findings, place: fn(&Exchange) -> bool) {
    for (exchange, found) in documents(view, out) {
        if place(exchange) {
            let listed = found.at("code_challenge_methods_supported").as_array().is_some_and(|list| !list.is_empty());
            out.require(listed, || {
                breach(
                    exchange,
                    "The metadata does not say that PKCE is supported; clients from 2025-11-25 on refuse to log in.",
                    "code_challenge_methods_supported with S256",
                    quote(found),
                    "add code_challenge_methods_supported to the document",
                )
            });
        }
    }
}

fn pkce_openid(view: &View<'_>, out: &mut Findings) {
    pkce_advertised(view, out, |exchange| !is_8414(exchange));
}

fn pkce_8414(view: &View<'_>, out: &mut Findings) {
    pkce_advertised(view, out, is_8414);
}

fn iss_advertised(view: &View<'_>, out: &mut Findings) {
    let documents = wire::server_documents(view);
    for ask in super::asked::asks(view).iter().filter(|ask| ask.got("iss").is_some()) {
        if documents.is_empty() {
            continue;
        }
        let advertised =
            documents.iter().any(|found| found.at("authorization_response_iss_parameter_supported") == true);
        if advertised {
            out.pass();
            continue;
        }
        let told = breach(
            ask.exchange,
            "The authorization response has `iss`, but the metadata does not say so; clients cannot insist on it.",
            "authorization_response_iss_parameter_supported: true",
            came(ask.exchange),
            "set authorization_response_iss_parameter_supported in the metadata",
        );
        // RFC 9207 section 2.3 asks for it wherever `iss` is sent, MCP itself only since 2026-07-28.
        let asked_by_mcp = out.covers(wire::around(view, ask.exchange));
        if asked_by_mcp { out.breach(told) } else { out.contested(told) }
    }
}

fn https(view: &View<'_>, out: &mut Findings) {
    for (exchange, found) in documents(view, out) {
        let members = found.as_object().into_iter().flatten();
        let endpoints = members.filter(|(name, _)| name.ends_with("_endpoint")).filter_map(|(_, url)| url.as_str());
        // On this machine http is as good, and shows nothing.
        let open: Vec<&str> = endpoints.filter(|url| !wire::on_this_machine(url)).collect();
        if open.is_empty() {
            continue;
        }
        let wrong: Vec<&str> = open.into_iter().filter(|url| !url.starts_with("https://")).collect();
        out.require(wrong.is_empty(), || {
            breach(
                exchange,
                "An endpoint of the authorization server is not https.",
                "https for every endpoint",
                wrong.join(", "),
                "serve all endpoints over https",
            )
        });
    }
}

/// Whether any document says that client ID metadata documents are taken.
pub(crate) fn takes_documents(view: &View<'_>) -> bool {
    wire::server_documents(view).iter().any(|found| found.at("client_id_metadata_document_supported") == true)
}

#[cfg(test)]
mod tests {
    use super::super::asked::play::{self, back, begun, found, resource, with};
    use super::*;
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    fn silent() -> Builder {
        Builder::new().initialize("2025-11-25")
    }

    fn at(builder: Builder, place: &str, document: Option<&Value>) -> Builder {
        let asked = builder.outside("GET", place, &[], None);
        document.map_or_else(|| asked.clone().answer(404, &[], ""), |document| asked.clone().json(200, document))
    }

    /// A document that keeps the rule, one that breaks it.
    fn try_documents(id: &str, kept: &Value, broken: &Value) {
        expect_three(id, &found(silent(), kept), &found(silent(), broken), &silent());
    }

    #[test]
    fn metadata_is_published_in_the_form_of_the_revision() {
        let document = play::document();
        for (id, revision) in [
            ("auth.discovery.as-metadata-server-side", "2025-03-26"),
            ("auth.discovery.as-metadata-8414", "2025-06-18"),
            ("auth.discovery.as-metadata-either", "2025-11-25"),
        ] {
            let begun = || resource(Builder::new().initialize(revision), &json!(["http://127.0.0.1:8080"]));
            let none = at(at(begun(), RFC_8414, None), OPENID, None);
            expect_three(id, &found(begun(), &document), &none, &begun());
            let openid = at(at(begun(), RFC_8414, None), OPENID, Some(&document));
            let passes = judge(id, &openid).outcome == Outcome::Pass;
            assert_eq!(passes, id.ends_with("either"), "{id}");
        }
        // An open server has no authorization server.
        let open = at(silent(), RFC_8414, None);
        assert_eq!(judge("auth.discovery.as-metadata-either", &open).outcome, Outcome::NotExercised);
        // A page for any path is no metadata.
        let page = resource(silent(), &json!(["http://127.0.0.1:8080"])).outside("GET", RFC_8414, &[], None).answer(
            200,
            &[("content-type", "text/html")],
            "<p>Hi</p>",
        );
        assert_eq!(judge("auth.discovery.as-metadata-either", &page).outcome, Outcome::Fail);
        assert_eq!(judge("auth.discovery.as-metadata-json", &page).outcome, Outcome::NotExercised);
    }

    #[test]
    fn metadata_is_at_the_origin() {
        let id = "auth.discovery.as-metadata-at-origin";
        let begun = || Builder::new().initialize("2025-03-26");
        let under = format!("{RFC_8414}/t");
        let document = play::document();
        let broken = at(at(begun(), RFC_8414, None), &under, Some(&document));
        expect_three(id, &found(begun(), &document), &broken, &begun());
        let newer = resource(broken, &json!(["http://127.0.0.1:8080/t"]));
        assert_eq!(judge(id, &newer).outcome, Outcome::Warn, "who follows the later revisions is only warned");
        assert_eq!(judge(id, &at(begun(), RFC_8414, None)).outcome, Outcome::NotExercised);
    }

    #[test]
    fn default_places_work_without_metadata() {
        let bare = || at(Builder::new().initialize("2025-03-26"), RFC_8414, None);
        let register = |status| bare().outside("POST", "/register", &[], Some("{}")).json(status, &json!({}));
        let id = "auth.discovery.as-default-endpoints";
        expect_three(id, &register(201), &register(404), &bare());
        let told = found(Builder::new().initialize("2025-03-26"), &play::document());
        let elsewhere = told.outside("POST", "/register", &[], Some("{}")).answer(404, &[], "");
        assert_eq!(judge(id, &elsewhere).outcome, Outcome::NotExercised);
    }

    #[test]
    fn a_path_is_inserted() {
        let id = "auth.discovery.as-8414-path-inserted";
        let tenant = with(play::document(), "issuer", json!("http://127.0.0.1:8080/t"));
        let inserted = format!("{RFC_8414}/t");
        let kept = at(silent(), &inserted, Some(&tenant));
        let broken = at(at(silent(), &inserted, None), RFC_8414, Some(&tenant));
        expect_three(id, &kept, &broken, &found(silent(), &play::document()));
    }

    #[test]
    fn members_of_the_document() {
        let document = play::document();
        let changed = |member: &str, value: Value| with(play::document(), member, value);
        for (id, member, value) in [
            ("as-metadata-required-members", "response_types_supported", Value::Null),
            ("as-metadata-required-members", "token_endpoint", Value::Null),
            ("as-issuer-form", "issuer", json!("https://as.example.com?x=1")),
            ("as-issuer-form", "issuer", json!("http://as.example.com")),
            ("as-issuer-match", "issuer", json!("http://127.0.0.1:8080/other")),
            ("as-metadata-no-empty", "scopes_supported", json!([])),
            ("as-pkce-advertised-8414", "code_challenge_methods_supported", Value::Null),
        ] {
            try_documents(&format!("auth.discovery.{id}"), &document, &changed(member, value));
        }
        let secure = changed("token_endpoint", json!("https://as.example.com/token"));
        try_documents(
            "auth.discovery.as-https",
            &secure,
            &changed("token_endpoint", json!("http://as.example.com/token")),
        );
        let local = judge("auth.discovery.as-https", &found(silent(), &document));
        assert_eq!(local.outcome, Outcome::NotExercised, "loopback shows nothing");
        // Who only gives tokens to machines needs no page.
        let machines = with(
            changed("authorization_endpoint", Value::Null),
            "grant_types_supported",
            json!(["client_credentials"]),
        );
        let finding = judge("auth.discovery.as-metadata-required-members", &found(silent(), &machines));
        assert_eq!(finding.outcome, Outcome::Pass);
    }

    #[test]
    fn issuers_are_compared_with_what_the_resource_names() {
        let id = "auth.discovery.as-issuer-match";
        let slash = with(play::document(), "issuer", json!("http://127.0.0.1:8080/"));
        let named = |entry: &str| found(resource(silent(), &json!([entry])), &slash);
        assert_eq!(judge(id, &named("http://127.0.0.1:8080/")).outcome, Outcome::Pass);
        assert_eq!(judge(id, &named("http://127.0.0.1:8080")).outcome, Outcome::Warn);
        assert_eq!(judge(id, &named("https://as.example.com")).outcome, Outcome::Pass);
    }

    #[test]
    fn openid_documents() {
        let id = "auth.discovery.as-pkce-advertised-oidc";
        let bare = with(play::document(), "code_challenge_methods_supported", Value::Null);
        let (kept, broken) = (at(silent(), OPENID, Some(&play::document())), at(silent(), OPENID, Some(&bare)));
        expect_three(id, &kept, &broken, &found(silent(), &bare));
    }

    #[test]
    fn the_type_of_the_document() {
        let text = play::document().to_string();
        let broken = silent().outside("GET", RFC_8414, &[], None).answer(200, &[("content-type", "text/plain")], &text);
        expect_three("auth.discovery.as-metadata-json", &found(silent(), &play::document()), &broken, &silent());
    }

    #[test]
    fn iss_is_announced() {
        let id = "auth.discovery.as-iss-advertised";
        let answered = |revision: &str, document: &Value| {
            let builder = found(Builder::new().initialize(revision), document);
            back(play::asked(builder, &[]), "?code=code#1&state=s1&iss=http://127.0.0.1:8080")
        };
        let untold = with(play::document(), "authorization_response_iss_parameter_supported", Value::Null);
        let (kept, broken) = (answered("2026-07-28", &play::document()), answered("2026-07-28", &untold));
        expect_three(id, &kept, &broken, &back(play::asked(begun("2026-07-28"), &[]), "?code=code#1"));
        assert_eq!(judge(id, &answered("2025-11-25", &untold)).outcome, Outcome::Warn);
    }
}
