//! What the metadata of the resource says (RFC 9728 sections 2 and 3).

use serde_json::Value;
use url::Url;

use super::{discovery, wire as oauth};
use crate::check::wire::{short, told};
use crate::check::{Breach, Check, Findings};
use crate::model::{Members as _, Via};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.discovery.prm-authorization-servers", judge: servers },
    Check { id: "auth.discovery.prm-status-json", judge: json },
    Check { id: "auth.discovery.prm-resource-member", judge: resource },
    Check { id: "auth.discovery.prm-resource-uri", judge: uri },
    Check { id: "auth.discovery.prm-resource-matches", judge: matches },
    Check { id: "auth.discovery.prm-resource-covers-endpoint", judge: covers },
    Check { id: "auth.discovery.prm-no-empty-members", judge: no_empty },
    Check { id: "auth.discovery.prm-scopes-supported", judge: scopes },
    Check { id: "auth.discovery.prm-bearer-methods", judge: methods },
    Check { id: "auth.discovery.prm-issuer-form", judge: issuers },
    Check { id: "auth.discovery.prm-issuer-resolves", judge: resolves },
];

const KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The documents that the requirement covers.
fn documents<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Exchange, &'v Value)> {
    let all = discovery::documents(view).into_iter();
    all.filter(|(exchange, _)| out.covers(oauth::around(view, exchange))).collect()
}

fn breach(what: &str, exchange: &Exchange, expected: &str, actual: &Value, fix: &str) -> Breach {
    told(what.to_owned(), &[expected], short(&actual.to_string()), fix, exchange.evidence())
}

fn texts<'d>(document: &'d Value, member: &str) -> Vec<&'d str> {
    document.at(member).as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn servers(view: &View<'_>, out: &mut Findings) {
    for (exchange, document) in documents(view, out) {
        out.require(!texts(document, "authorization_servers").is_empty(), || {
            let fix = "name the issuer of at least one authorization server in authorization_servers";
            let what = "The metadata names no authorization server, so nobody can log in.";
            breach(what, exchange, "authorization_servers with an issuer", document, fix)
        });
    }
}

fn json(view: &View<'_>, out: &mut Findings) {
    for (exchange, _) in documents(view, out) {
        let right = exchange.status == Some(200) && exchange.media_type() == Some("application/json");
        out.require(right, || {
            let actual = format!(
                "status {}, content type {}",
                exchange.status.unwrap_or_default(),
                exchange.got_header("content-type").unwrap_or("missing")
            );
            let what = "The metadata does not come as JSON with status 200.".to_owned();
            let fix = "send status 200 and Content-Type: application/json";
            told(what, &["status 200, content type application/json"], actual, fix, exchange.evidence())
        });
    }
}

fn resource(view: &View<'_>, out: &mut Findings) {
    for (exchange, document) in documents(view, out) {
        out.require(document.at("resource").is_string(), || {
            let fix = "say in resource which URL the metadata is about: the one of the endpoint";
            breach("The metadata does not say what it is about.", exchange, "a member resource", document, fix)
        });
    }
}

/// The documents whose `resource` is a URL, with that URL.
fn named<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Exchange, &'v Value, Url)> {
    let url = |(exchange, document): (&'v Exchange, &'v Value)| {
        let url = document.at("resource").as_str()?.parse().ok()?;
        Some((exchange, document, url))
    };
    documents(view, out).into_iter().filter_map(url).collect()
}

fn uri(view: &View<'_>, out: &mut Findings) {
    for (exchange, document) in documents(view, out) {
        let Some(text) = document.at("resource").as_str() else { continue };
        let url = text.parse::<Url>().ok();
        let right = url.is_some_and(|url| is_secure(&url) && url.fragment().is_none());
        out.require(right, || {
            let fix = "write resource as an https URL without a fragment";
            breach("resource is no https URL without fragment.", exchange, "https://…", document.at("resource"), fix)
        });
    }
}

/// https, or http on this very machine.
fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && oauth::on_this_machine(url.as_str()))
}

/// How a resource identifier stands to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Other,
    /// A parent, or the same but for a slash at the end.
    Parent,
    Same,
}

/// Compares without scheme, which a transcript does not tell, and without fragment, which is judged by itself.
fn nearness(resource: &Url, authority: &str, path: &str) -> Nearness {
    let plain = |authority: &str| {
        let authority = authority.to_ascii_lowercase();
        authority.trim_end_matches(":443").trim_end_matches(":80").to_owned()
    };
    if plain(&oauth::authority_of(resource)) != plain(authority) || resource.query().is_some() {
        return Nearness::Other;
    }
    let stated = resource.path();
    if stated == path || (stated == "/" && path.is_empty()) {
        return Nearness::Same;
    }
    let (stated, path) = (stated.trim_end_matches('/'), path.trim_end_matches('/'));
    let below = path.strip_prefix(stated).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if below { Nearness::Parent } else { Nearness::Other }
}

/// How it stands to the nearest endpoint that a conversation was asked for at.
fn to_endpoint(view: &View<'_>, resource: &Url) -> Option<Nearness> {
    // Of HTTP+SSE the endpoint is where the stream is, not the place for messages that it names.
    let door = |opening: &'_ Exchange| {
        let stream = opening.channel.filter(|_| opening.via == Via::LegacySse);
        stream.and_then(|number| view.exchanges.iter().position(|exchange| exchange.number == number))
    };
    let endpoints = oauth::openings(view).map(|opening| door(opening).map_or(opening, |at| &view.exchanges[at]));
    endpoints.map(|opening| nearness(resource, oauth::authority(opening), oauth::path(opening))).max()
}

/// Whether tokens for this resource are tokens for the endpoint.
pub(super) fn is_for(view: &View<'_>, resource: &str) -> bool {
    let stated = discovery::documents(view).iter().any(|(_, document)| document.at("resource") == resource);
    let near = resource.parse().ok().and_then(|url| to_endpoint(view, &url));
    stated || near.is_none_or(|near| near != Nearness::Other)
}

/// Whether a token for this resource is one for the endpoint and for nothing else: it is the endpoint, or a parent of it
/// that is no resource of its own, as the place of its metadata shows.
pub(super) fn is_ours(view: &View<'_>, resource: &str) -> bool {
    let Ok(url) = resource.parse::<Url>() else { return false };
    match to_endpoint(view, &url) {
        Some(Nearness::Same) => true,
        Some(Nearness::Parent) => {
            let plain = resource.trim_end_matches('/').parse().ok();
            if plain.and_then(|plain| to_endpoint(view, &plain)) == Some(Nearness::Same) {
                return true;
            }
            let place = format!("{KNOWN}{}", url.path().trim_end_matches('/'));
            let mut asked = oauth::resource_metadata(view).filter(|exchange| oauth::path(exchange) == place).peekable();
            let describes = |exchange: &Exchange| {
                let named = oauth::document(exchange).and_then(|found| found.at("resource").as_str());
                named.and_then(|named| named.parse().ok()).is_some_and(|named: Url| named == url)
            };
            asked.peek().is_some() && !asked.any(describes)
        }
        Some(Nearness::Other) | None => false,
    }
}

fn matches(view: &View<'_>, out: &mut Findings) {
    for (exchange, document, url) in named(view, out) {
        let Some(mut near) = to_endpoint(view, &url) else { continue };
        let built_from = oauth::path(exchange).strip_prefix(KNOWN);
        if let Some(place) = built_from.filter(|_| !discovery::was_pointed_to(view, exchange)) {
            // A document that was guessed at is about the URL that its place was made from.
            if nearness(&url, oauth::authority(exchange), place) == Nearness::Same {
                near = Nearness::Same;
            }
        }
        if near == Nearness::Same {
            out.pass();
            continue;
        }
        let fix = "give as resource exactly the URL that clients connect to, to the last slash";
        let what = "resource is not the URL that the client connects to; strict clients go no further.";
        let breach = breach(what, exchange, "the URL of the endpoint", document.at("resource"), fix);
        if near == Nearness::Parent { out.contested(breach) } else { out.breach(breach) }
    }
}

fn covers(view: &View<'_>, out: &mut Findings) {
    for (exchange, document, url) in named(view, out) {
        let Some(near) = to_endpoint(view, &url) else { continue };
        out.require(near != Nearness::Other, || {
            let fix = "name the endpoint or a parent of it; behind a proxy, make URLs from the name that clients use";
            let what = "The metadata is of another resource than the endpoint.";
            breach(what, exchange, "the URL of the endpoint, or one that it begins with", document.at("resource"), fix)
        });
    }
}

fn no_empty(view: &View<'_>, out: &mut Findings) {
    for (exchange, document) in documents(view, out) {
        let members = document.as_object().into_iter().flatten();
        let empty: Vec<&str> = members
            .filter(|(_, value)| value.as_array().is_some_and(Vec::is_empty))
            .map(|(name, _)| name.as_str())
            .collect();
        out.require(empty.is_empty(), || {
            let what = format!("The metadata has an empty list in {}.", empty.join(", "));
            breach(&what, exchange, "no member without values", document, "leave members without values out")
        });
    }
}

fn scopes(view: &View<'_>, out: &mut Findings) {
    for (exchange, document) in documents(view, out) {
        out.require(!texts(document, "scopes_supported").is_empty(), || {
            let fix = "list the scopes in scopes_supported: clients that get no scope by challenge ask for these";
            breach("The metadata lists no scopes.", exchange, "scopes_supported", document, fix)
        });
    }
}

fn methods(view: &View<'_>, out: &mut Findings) {
    for (exchange, document) in documents(view, out) {
        if !document.at("bearer_methods_supported").is_array() {
            continue;
        }
        let methods = texts(document, "bearer_methods_supported");
        out.require(methods.contains(&"header") && !methods.contains(&"query"), || {
            let fix = "list header and not query: MCP allows the Authorization header only";
            let what = "The metadata offers ways to send tokens that MCP does not allow.";
            breach(what, exchange, "[\"header\"]", document.at("bearer_methods_supported"), fix)
        });
    }
}

fn issuers(view: &View<'_>, out: &mut Findings) {
    for (exchange, document) in documents(view, out) {
        for issuer in texts(document, "authorization_servers") {
            let url = issuer.parse::<Url>().ok();
            let right = url.is_some_and(|url| is_secure(&url) && url.query().is_none() && url.fragment().is_none());
            out.require(right, || {
                let fix = "list issuer identifiers as the authorization servers state them in their own metadata";
                let what = format!("`{issuer}` is no issuer identifier.");
                let expected = "an https URL without query or fragment";
                breach(&what, exchange, expected, document.at("authorization_servers"), fix)
            });
        }
    }
}

fn resolves(view: &View<'_>, out: &mut Findings) {
    for (exchange, document) in documents(view, out) {
        let listed: Vec<Url> =
            texts(document, "authorization_servers").iter().filter_map(|issuer| issuer.parse().ok()).collect();
        let asked: Vec<&Exchange> = oauth::server_metadata(view)
            .filter(|asked| asked.seq > exchange.seq && asked.status.is_some())
            .filter(|asked| listed.iter().any(|issuer| concerns(asked, issuer)))
            .collect();
        if asked.iter().any(|asked| asked.is_success() && oauth::document(asked).is_some()) {
            out.pass();
        } else if asked.len() > 1 {
            let fix = "list an issuer whose metadata can be had under /.well-known/oauth-authorization-server";
            let what = "None of the listed authorization servers has metadata that could be found.";
            let expected = "metadata of at least one listed issuer";
            let mut breach = breach(what, exchange, expected, document.at("authorization_servers"), fix);
            // The requests that stay outside for it belong to the story.
            let outside = view.exchanges.iter().filter(|refused| {
                let refusal = matches!(refused.status, Some(400..=403)) && oauth::at_endpoint(view, refused);
                refusal && refused.client == exchange.client
            });
            breach.evidence.extend(asked.into_iter().chain(outside).flat_map(Exchange::evidence));
            out.breach(breach);
        }
    }
}

/// Whether a request for metadata is about this issuer.
fn concerns(asked: &Exchange, issuer: &Url) -> bool {
    let place = issuer.path().trim_end_matches('/');
    oauth::authority(asked).eq_ignore_ascii_case(&oauth::authority_of(issuer)) && oauth::path(asked).contains(place)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples::{FIRST, NEWEST, document, fetched, nothing_at, open_server, refused};
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    fn found(document: &Value) -> Builder {
        fetched(refused(NEWEST, FIRST), document)
    }

    fn with(member: &str, value: Value) -> Builder {
        let mut document = document();
        document[member] = value;
        found(&document)
    }

    #[test]
    fn what_the_document_says() {
        for (id, broken) in [
            ("auth.discovery.prm-authorization-servers", with("authorization_servers", json!([]))),
            ("auth.discovery.prm-resource-member", with("resource", Value::Null)),
            ("auth.discovery.prm-resource-uri", with("resource", json!("http://mcp.example.com/mcp"))),
            ("auth.discovery.prm-resource-matches", with("resource", json!("https://other.example.com/mcp"))),
            ("auth.discovery.prm-resource-covers-endpoint", with("resource", json!("http://127.0.0.1:8080/m"))),
            ("auth.discovery.prm-no-empty-members", with("jwks", json!([]))),
            ("auth.discovery.prm-scopes-supported", with("scopes_supported", Value::Null)),
            ("auth.discovery.prm-bearer-methods", with("bearer_methods_supported", json!(["query"]))),
            ("auth.discovery.prm-issuer-form", with("authorization_servers", json!(["https://as.example.com/?t=1"]))),
        ] {
            expect_three(id, &found(&document()), &broken, &open_server());
        }
        let plain = refused(NEWEST, FIRST).outside("GET", "/.well-known/oauth-protected-resource/mcp", &[], None);
        let plain = plain.answer(200, &[("content-type", "text/plain")], &document().to_string());
        expect_three("auth.discovery.prm-status-json", &found(&document()), &plain, &open_server());
    }

    #[test]
    fn a_parent_or_a_slash_only_warns() {
        let id = "auth.discovery.prm-resource-matches";
        for (resource, outcome) in [
            ("http://127.0.0.1:8080/mcp/", Outcome::Warn),
            ("http://127.0.0.1:8080", Outcome::Warn),
            ("https://127.0.0.1:8080/mcp#x", Outcome::Pass),
            ("http://127.0.0.1:8080/mcp?x", Outcome::Fail),
        ] {
            assert_eq!(judge(id, &with("resource", json!(resource))).outcome, outcome, "{resource}");
        }
        let mut origin = document();
        origin["resource"] = json!("http://127.0.0.1:8080/");
        let guessed = refused(NEWEST, "Bearer scope=\"x\"")
            .outside("GET", "/.well-known/oauth-protected-resource", &[], None)
            .json(200, &origin);
        assert_eq!(judge(id, &guessed).outcome, Outcome::Pass, "built from the root");
    }

    #[test]
    fn a_listed_issuer_has_metadata() {
        let known = "/.well-known/oauth-authorization-server";
        let id = "auth.discovery.prm-issuer-resolves";
        let kept = found(&document()).outside("GET", known, &[], None).json(200, &json!({"issuer": "x"}));
        let broken = nothing_at(nothing_at(found(&document()), known), "/.well-known/openid-configuration");
        expect_three(id, &kept, &broken, &found(&document()));
        let half = nothing_at(found(&document()), known);
        assert_eq!(judge(id, &half).outcome, Outcome::NotExercised, "the OpenID place was not tried");
    }
}
