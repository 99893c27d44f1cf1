//! How the client asks for access: registration, the authorization request, the exchange of the code.

use super::common::told;
use crate::check::auth::asked::{Ask, asks_under, redeemed, registrations};
use crate::check::auth::wire::{self, around, on_this_machine};
use crate::check::{Check, Findings};
use crate::model::{Members as _, covers};
use crate::transcript::{EventKind, Exchange, View};

/// The checks of this topic.
pub(super) const CHECKS: &[Check] = &[
    Check { id: "auth.authorization.pkce-client", judge: pkce },
    Check { id: "auth.authorization.pkce-s256-client", judge: s256 },
    Check { id: "auth.authorization.verifier-format", judge: verifier },
    Check { id: "auth.authorization.state-client", judge: state },
    Check { id: "auth.authorization.redirect-scheme", judge: redirect_scheme },
    Check { id: "auth.authorization.redirect-registered", judge: redirect_registered },
    Check { id: "auth.authorization.resource-in-both-requests", judge: resource_in_both },
    Check { id: "auth.authorization.resource-canonical", judge: resource_canonical },
    Check { id: "auth.authorization.resource-no-trailing-slash", judge: resource_slash },
    Check { id: "auth.registration.dcr-redirect-required", judge: registers_redirects },
    Check { id: "auth.registration.client-application-type", judge: application_type },
    Check { id: "auth.registration.client-cimd-https", judge: document_url },
    Check { id: "auth.discovery.client-prm-header-first", judge: challenge_first },
    Check { id: "auth.discovery.client-pkce-refuse", judge: refuses_without_pkce },
];

fn query_of(ask: &Ask<'_>) -> String {
    ask.exchange.target.clone()
}

fn each_ask(
    view: &View<'_>,
    out: &mut Findings,
    what: &str,
    expected: &str,
    fix: &str,
    holds: impl Fn(&Ask<'_>) -> bool,
) {
    for ask in asks_under(view, out) {
        out.require(holds(&ask), || told(what, &[expected], query_of(&ask), fix, ask.exchange.evidence()));
    }
}

/// The authorization request carries a challenge of PKCE.
fn pkce(view: &View<'_>, out: &mut Findings) {
    let what = "The client asks for authorization without PKCE.";
    let fix = "use PKCE in every authorization request (RFC 7636)";
    each_ask(view, out, what, "code_challenge", fix, |ask| ask.param("code_challenge").is_some());
}

/// With S256.
fn s256(view: &View<'_>, out: &mut Findings) {
    let what = "The client does not use S256 for its challenge.";
    let fix = "send code_challenge_method=S256; without it servers take the challenge for plain";
    each_ask(view, out, what, "code_challenge_method=S256", fix, |ask| {
        ask.param("code_challenge").is_none() || ask.param("code_challenge_method") == Some("S256")
    });
}

/// The verifier has 43 to 128 characters, all of them visible.
fn verifier(view: &View<'_>, out: &mut Findings) {
    for event in view.events {
        let EventKind::Secret { label, length, visible_ascii, .. } = &event.kind else { continue };
        let sent = wire::token_requests(view)
            .into_iter()
            .find(|exchange| wire::param(wire::form(exchange), "code_verifier") == Some(label.as_str()));
        let Some(exchange) = sent.filter(|exchange| out.covers(around(view, exchange))) else { continue };
        out.require((43..=128).contains(length) && *visible_ascii, || {
            told(
                "The client's code verifier has not the form that it has to have.",
                &["43 to 128 unreserved characters"],
                format!("{length} bytes"),
                "make verifiers of 32 random bytes in base64url, which are 43 characters",
                exchange.evidence(),
            )
        });
    }
}

/// A state ties the answer to the request.
fn state(view: &View<'_>, out: &mut Findings) {
    let what = "The client asks for authorization without a state.";
    let fix = "send a random state and take no answer with another one";
    each_ask(view, out, what, "state", fix, |ask| ask.param("state").is_some_and(|state| !state.is_empty()));
}

/// The way back is https, or on this machine.
fn redirect_scheme(view: &View<'_>, out: &mut Findings) {
    let what = "The client's redirect URI is neither https nor on its own machine.";
    let fix = "use an https URL, or http on localhost or 127.0.0.1";
    let expected = "https://…, or http on a loopback address";
    for ask in asks_under(view, out) {
        let Some(uri) = ask.param("redirect_uri") else { continue };
        let holds = uri.starts_with("https://") || (uri.starts_with("http://") && on_this_machine(uri));
        out.require(holds, || told(what, &[expected], uri, fix, ask.exchange.evidence()));
    }
}

/// The way back was registered; on loopback its port may be another.
fn redirect_registered(view: &View<'_>, out: &mut Findings) {
    let known = registrations(view);
    for ask in asks_under(view, out) {
        let registration = known.iter().find(|one| one.client().is_some_and(|id| ask.param("client_id") == Some(id)));
        let (Some(registration), Some(uri)) = (registration, ask.param("redirect_uri")) else { continue };
        let same = |one: &&str| *one == uri || (on_this_machine(uri) && without_port(one) == without_port(uri));
        out.require(registration.redirects().iter().any(same), || {
            told(
                "The client asks to be sent to a redirect URI that it did not register.",
                &["one of the registered redirect_uris"],
                format!("{uri}; registered: {}", registration.redirects().join(", ")),
                "register every redirect URI that is used",
                registration.exchange.evidence().into_iter().chain(ask.exchange.evidence()).collect(),
            )
        });
    }
}

fn without_port(uri: &str) -> String {
    uri.parse::<url::Url>().map_or_else(
        |_| uri.to_owned(),
        |mut url| {
            // A URL without a host has no port to take away.
            let _ = url.set_port(None);
            url.to_string()
        },
    )
}

/// `resource` is in the authorization request and in the token requests.
fn resource_in_both(view: &View<'_>, out: &mut Findings) {
    let what = |where_from: &str| format!("The client sent {where_from} without `resource`.");
    let fix = "send resource with the URL of the MCP server in both requests (RFC 8707), whatever the server supports";
    // A server without metadata is of the time before; that clients should send it there too is a matter of reading.
    let known = wire::resource_metadata(view).any(Exchange::is_success);
    let judge = |out: &mut Findings, sent: bool, breach: crate::check::Breach| {
        if sent {
            out.pass();
        } else if known {
            out.breach(breach);
        } else {
            out.contested(breach);
        }
    };
    for ask in asks_under(view, out) {
        let seen = ask.exchange.evidence();
        let breach = told(what("an authorization request"), &["resource"], query_of(&ask), fix, seen);
        judge(out, ask.param("resource").is_some(), breach);
    }
    let asks = asks_under(view, out);
    for redeemed in redeemed(view, &asks) {
        let names: Vec<&str> = redeemed.form.iter().map(|(name, _)| name.as_str()).collect();
        let seen = redeemed.exchange.evidence();
        let breach = told(what("a token request"), &["resource"], names.join(", "), fix, seen);
        judge(out, wire::param(redeemed.form, "resource").is_some(), breach);
    }
}

/// Every `resource` that the client names, with the exchange that did.
fn resources<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Exchange, String)> {
    let queries = wire::authorization_requests(view).into_iter().map(|exchange| (exchange, wire::query(exchange)));
    let forms = wire::token_requests(view).into_iter().map(|exchange| (exchange, wire::form(exchange)));
    queries
        .chain(forms)
        .filter(|(exchange, _)| out.covers(around(view, exchange)))
        .filter_map(|(exchange, params)| Some((exchange, wire::param(params, "resource")?.to_owned())))
        .collect()
}

/// It is the canonical URI of the server.
fn resource_canonical(view: &View<'_>, out: &mut Findings) {
    let Some(opening) = wire::openings(view).next() else { return };
    let scheme = if opening.tls { "https" } else { "http" };
    let endpoint = format!("{scheme}://{}{}", wire::authority(opening), wire::path(opening));
    for (exchange, resource) in resources(view, out) {
        let whole = resource.parse::<url::Url>().is_ok_and(|url| url.fragment().is_none());
        // Before a TLS proxy the scheme is another one.
        let same = covers(&resource, &endpoint) || covers(&resource.replacen("https://", "http://", 1), &endpoint);
        out.require(whole && same, || {
            told(
                "The client asks for a resource that is not the server it speaks with.",
                &[endpoint.as_str()],
                resource.clone(),
                "send the URL of the MCP server itself: scheme, host and path, without a fragment",
                exchange.evidence(),
            )
        });
    }
}

/// It has no slash at its end that does not matter.
fn resource_slash(view: &View<'_>, out: &mut Findings) {
    let endpoint = wire::openings(view).next().map(wire::path).unwrap_or_default();
    for (exchange, resource) in resources(view, out) {
        out.require(!resource.ends_with('/') || (endpoint.len() > 1 && endpoint.ends_with('/')), || {
            told(
                "The client sent a resource with a slash at its end.",
                &["the URL without the slash"],
                resource.clone(),
                "leave the slash away, unless the server's own URL ends with one",
                exchange.evidence(),
            )
        });
    }
}

/// Who is sent back somewhere registers where.
fn registers_redirects(view: &View<'_>, out: &mut Findings) {
    for registration in registrations(view) {
        let grants = registration.sent.at("grant_types").as_array();
        let by_code = grants.is_none_or(|all| all.iter().any(|grant| grant == "authorization_code"));
        if !by_code || !out.covers(around(view, registration.exchange)) {
            continue;
        }
        let listed = registration.sent.at("redirect_uris").as_array().is_some_and(|all| !all.is_empty());
        out.require(listed, || {
            told(
                "The client registers without redirect URIs.",
                &["redirect_uris with each URI that is used"],
                registration.sent.to_string(),
                "register the redirect URIs (RFC 7591 section 2)",
                registration.exchange.evidence(),
            )
        });
    }
}

/// A registration says what kind of application it is for.
fn application_type(view: &View<'_>, out: &mut Findings) {
    for registration in registrations(view) {
        if !out.covers(around(view, registration.exchange)) {
            continue;
        }
        out.require(matches!(registration.sent.at("application_type").as_str(), Some("native" | "web")), || {
            told(
                "The client registers without saying whether it is a native or a web application.",
                &["application_type native or web"],
                registration.sent.to_string(),
                "send application_type: native for programs on a person's machine, web for others",
                registration.exchange.evidence(),
            )
        });
    }
}

/// A client id that is the URL of a document is https and has a path.
fn document_url(view: &View<'_>, out: &mut Findings) {
    for ask in asks_under(view, out) {
        let Some(id) = ask.param("client_id").filter(|id| id.contains("://")) else { continue };
        let url = id.parse::<url::Url>();
        let holds = url.is_ok_and(|url| url.scheme() == "https" && url.path().len() > 1);
        out.require(holds, || {
            told(
                "The client's id is a URL at which no document of a client may be.",
                &["https://… with a path"],
                id,
                "publish the document under https, with a path",
                ask.exchange.evidence(),
            )
        });
    }
}

/// The place that the challenge names is asked first.
fn challenge_first(view: &View<'_>, out: &mut Findings) {
    for refused in wire::refused_with(view, 401) {
        if !out.covers(around(view, refused)) {
            continue;
        }
        let named = wire::bearer(refused).and_then(|challenge| challenge.param("resource_metadata").map(str::to_owned));
        let Some(url) = named.and_then(|named| named.parse::<url::Url>().ok()) else { continue };
        let answered = refused.response_seq.unwrap_or(refused.seq);
        let next = wire::resource_metadata(view).find(|exchange| exchange.seq > answered);
        let Some(next) = next else { continue };
        // One that was found earlier need not be looked for again.
        let earlier = wire::resource_metadata(view).any(|exchange| exchange.seq < answered && exchange.is_success());
        if earlier {
            continue;
        }
        out.require(wire::goes_to(next, &url), || {
            told(
                "The client looks for the metadata of the resource elsewhere than the challenge says.",
                &[url.as_str()],
                next.target.clone(),
                "read resource_metadata in WWW-Authenticate, and guess only where it is missing",
                refused.evidence().into_iter().chain(next.evidence()).collect(),
            )
        });
    }
}

/// A server that does not say that it does PKCE is not gone to.
fn refuses_without_pkce(view: &View<'_>, out: &mut Findings) {
    for metadata in wire::server_metadata(view) {
        if !out.covers(around(view, metadata)) {
            continue;
        }
        let Some(document) = wire::document(metadata).filter(|_| metadata.is_success()) else { continue };
        if document.member("code_challenge_methods_supported").is_some() {
            continue;
        }
        let went = asks_under(view, out).into_iter().find(|ask| ask.exchange.seq > metadata.seq);
        out.require(went.is_none(), || {
            told(
                "The authorization server does not say that it supports PKCE, and the client goes on.",
                &["no authorization request"],
                went.as_ref().map(query_of).unwrap_or_default(),
                "refuse to go on where code_challenge_methods_supported is missing",
                metadata.evidence().into_iter().chain(went.iter().flat_map(|ask| ask.exchange.evidence())).collect(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::three;
    use crate::transcript::{Builder, EventKind};
    use serde_json::json;

    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
    const GOOD: &str = "client_id=c1&code_challenge=x&code_challenge_method=S256&state=s&resource=http%3A%2F%2F127.0.0.1%3A8080%2Fmcp&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcb";

    fn start() -> Builder {
        Builder::new().initialize("2025-11-25")
    }

    fn registered(sent: &serde_json::Value) -> Builder {
        let answer = json!({"client_id": "c1", "redirect_uris": ["http://127.0.0.1:7/cb"]});
        start()
            .outside("POST", "/register", &[("content-type", "application/json")], Some(&sent.to_string()))
            .json(201, &answer)
    }

    fn asks(query: &str) -> Builder {
        let place = "http://127.0.0.1:9/cb?code=code%231";
        start().outside("GET", &format!("/authorize?{query}"), &[], None).answer(302, &[("location", place)], "")
    }

    /// The same after the metadata of the resource was read.
    fn after_metadata(ask: &Builder) -> Builder {
        let read = |start: Builder| {
            start.outside("GET", "/.well-known/oauth-protected-resource/mcp", &[], None).json(200, &json!({}))
        };
        read(ask.clone())
    }

    fn without(name: &str) -> Builder {
        let kept: Vec<&str> = GOOD.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
        asks(&kept.join("&"))
    }

    #[test]
    fn the_authorization_request() {
        for (id, name) in [
            ("auth.authorization.pkce-client", "code_challenge"),
            ("auth.authorization.pkce-s256-client", "code_challenge_method"),
            ("auth.authorization.state-client", "state"),
        ] {
            three(id, &asks(GOOD), &without(name), &start());
        }
        let other = |from: &str, to: &str| asks(&GOOD.replace(from, to));
        three(
            "auth.authorization.redirect-scheme",
            &asks(GOOD),
            &other("http%3A%2F%2F127.0.0.1%3A9", "app%3A%2F%2Fx"),
            &start(),
        );
        three("auth.authorization.resource-canonical", &asks(GOOD), &other("8080%2Fmcp", "8080%2Fother"), &start());
        three("auth.authorization.resource-no-trailing-slash", &asks(GOOD), &other("%2Fmcp", "%2Fmcp%2F"), &start());
        let document = |url: &str| other("client_id=c1", &format!("client_id={url}"));
        let id = "auth.registration.client-cimd-https";
        three(id, &document("https%3A%2F%2Fx%2Fc.json"), &document("https%3A%2F%2Fx"), &asks(GOOD));
    }

    #[test]
    fn the_code_is_exchanged() {
        let exchanges = |form: &str| asks(GOOD).outside("POST", "/token", &[FORM], Some(form)).json(200, &json!({}));
        let whole = "grant_type=authorization_code&code=code%231&code_verifier=verifier%231&resource=http%3A%2F%2F127.0.0.1%3A8080%2Fmcp";
        let bare = "grant_type=authorization_code&code=code%231";
        let id = "auth.authorization.resource-in-both-requests";
        three(id, &exchanges(whole), &after_metadata(&exchanges(bare)), &start());
        three(id, &exchanges(whole), &after_metadata(&without("resource")), &start());
        let with = |length| {
            exchanges(whole).event(EventKind::Secret {
                label: "verifier#1".to_owned(),
                length,
                visible_ascii: true,
                digits_only: false,
            })
        };
        three("auth.authorization.verifier-format", &with(43), &with(16), &start());
    }

    #[test]
    fn registration() {
        let whole = registered(&json!({"redirect_uris": ["http://127.0.0.1:7/cb"]}));
        three("auth.registration.dcr-redirect-required", &whole, &registered(&json!({})), &start());
        let goes = |uri: &str| {
            let query = format!("client_id=c1&redirect_uri={uri}");
            whole.clone().outside("GET", &format!("/authorize?{query}"), &[], None).answer(400, &[], "")
        };
        let id = "auth.authorization.redirect-registered";
        three(id, &goes("http://127.0.0.1:9/cb"), &goes("http://127.0.0.1:7/other"), &whole);
        let modern = |sent: serde_json::Value| {
            Builder::new()
                .modern()
                .discover(json!({}))
                .outside("POST", "/register", &[("content-type", "application/json")], Some(&sent.to_string()))
                .json(201, &json!({"client_id": "c1"}))
        };
        let id = "auth.registration.client-application-type";
        three(id, &modern(json!({"application_type": "native"})), &modern(json!({})), &start());
    }

    #[test]
    fn discovery() {
        let named = "Bearer resource_metadata=\"http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp\"";
        let refused = start().request("POST", &[], Some("{}")).answer(401, &[("www-authenticate", named)], "");
        let looks = |place: &str| refused.clone().outside("GET", place, &[], None).json(200, &json!({}));
        let kept = looks("/.well-known/oauth-protected-resource/mcp");
        three(
            "auth.discovery.client-prm-header-first",
            &kept,
            &looks("/.well-known/oauth-protected-resource"),
            &refused,
        );
        let server = |document: serde_json::Value| {
            start().outside("GET", "/.well-known/oauth-authorization-server", &[], None).json(200, &document)
        };
        let bare = server(json!({"authorization_endpoint": "http://127.0.0.1:8080/authorize"}));
        let went = bare.clone().outside("GET", "/authorize?x=1", &[], None).answer(400, &[], "");
        let whole = server(json!({"code_challenge_methods_supported": ["S256"]}));
        three("auth.discovery.client-pkce-refuse", &bare, &went, &whole);
    }
}
