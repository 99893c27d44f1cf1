//! Faults of the guarded endpoint: its metadata, its challenges, and whom it lets in.

use serde_json::{Value, json};

use super::all::catalogue;
use crate::model::Members as _;
use crate::server::answer::ReplyHead;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{restatus, set_header};

/// Lets `change` have the metadata of the resource.
fn document(reply: &mut ReplyHead, change: impl FnOnce(&mut Value)) {
    let Some(body) = reply.body.as_mut().filter(|_| reply.status == 200) else { return };
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return };
    if value.member("authorization_servers").is_some() && value.member("resource").is_some() {
        change(&mut value);
        *body = value.to_string().into_bytes();
    }
}

fn leave_out(reply: &mut ReplyHead, member: &str) {
    document(reply, |document| {
        if let Some(members) = document.as_object_mut() {
            members.shift_remove(member);
        }
    });
}

/// Lets `change` have the parameters of the Bearer challenge of an answer with this status.
fn challenge(reply: &mut ReplyHead, status: u16, change: impl FnOnce(&mut Vec<String>)) {
    if reply.status != status {
        return;
    }
    for (name, value) in &mut reply.headers {
        if let Some(rest) = value.strip_prefix("Bearer ").filter(|_| name == "www-authenticate") {
            let mut params = rest.split(", ").map(str::to_owned).collect();
            change(&mut params);
            format!("Bearer {}", params.join(", ")).trim_end().clone_into(value);
            return;
        }
    }
}

fn without(reply: &mut ReplyHead, status: u16, name: &str) {
    let start = format!("{name}=");
    challenge(reply, status, |params| params.retain(|param| !param.starts_with(&start)));
}

/// Whether the answer is a challenge with this error.
fn names(reply: &ReplyHead, error: &str) -> bool {
    let wanted = format!("error=\"{error}\"");
    reply.headers.iter().any(|(name, value)| name == "www-authenticate" && value.contains(&wanted))
}

pub(super) static FAULTS: &[Fault] = catalogue! {
    "meta.none" breaks ["auth.discovery.prm-implemented", "auth.discovery.prm-challenge-url-works"]
        Rule(Rule::MetadataServed) "There is no metadata of the resource";
    "meta.url-dangling" breaks ["auth.discovery.prm-challenge-url-works"]
        Head(|reply, _| challenge(reply, 401, |params| {
            for param in params {
                *param = param.replace("oauth-protected-resource", "resource");
            }
        }))
        "The challenge names a URL where there is nothing";
    "meta.guarded" breaks [
        "auth.discovery.prm-unauthenticated", "auth.discovery.prm-implemented", "auth.discovery.prm-challenge-url-works",
    ] Head(|reply, _| {
        let mut found = false;
        document(reply, |_| found = true);
        if found {
            reply.status = 401;
        }
    }) "The metadata of the resource asks for a token";
    "meta.servers-missing" breaks ["auth.discovery.prm-authorization-servers"]
        Head(|reply, _| leave_out(reply, "authorization_servers")) "The metadata names no authorization server";
    "meta.servers-empty" breaks ["auth.discovery.prm-authorization-servers", "auth.discovery.prm-no-empty-members"]
        Head(|reply, _| document(reply, |document| document["authorization_servers"] = json!([])))
        "The metadata has an empty list of authorization servers";
    "meta.text-plain" breaks ["auth.discovery.prm-status-json"]
        Head(|reply, _| {
            let mut found = false;
            document(reply, |_| found = true);
            if found {
                set_header(reply, "content-type", "text/plain");
            }
        })
        "The metadata comes as text/plain";
    "meta.resource-missing" breaks ["auth.discovery.prm-resource-member"]
        Head(|reply, _| leave_out(reply, "resource")) "The metadata does not say what it is about";
    "meta.resource-fragment" breaks ["auth.discovery.prm-resource-uri"]
        Head(|reply, _| document(reply, |document| {
            document["resource"] = json!(format!("{}#mcp", document.at("resource").as_str().unwrap_or_default()));
        }))
        "The resource identifier has a fragment";
    "meta.resource-mismatch" breaks [
        "auth.discovery.prm-resource-matches", "auth.discovery.prm-resource-covers-endpoint",
    ] Head(|reply, _| document(reply, |document| document["resource"] = json!("https://internal.example.com/mcp")))
        "The metadata has the internal name of the server, not the one that clients use";
    "meta.resource-slash" breaks ["auth.discovery.prm-resource-matches"]
        Head(|reply, _| document(reply, |document| {
            document["resource"] = json!(format!("{}/", document.at("resource").as_str().unwrap_or_default()));
        }))
        "The resource identifier has a slash more than the endpoint";
    "meta.empty-member" breaks ["auth.discovery.prm-no-empty-members"]
        Head(|reply, _| document(reply, |document| document["resource_signing_alg_values_supported"] = json!([])))
        "The metadata has a member without values";
    "meta.scopes-missing" breaks ["auth.discovery.prm-scopes-supported"]
        Head(|reply, _| leave_out(reply, "scopes_supported")) "The metadata lists no scopes";
    "meta.query-offered" breaks ["auth.discovery.prm-bearer-methods"]
        Head(|reply, _| document(reply, |document| document["bearer_methods_supported"] = json!(["header", "query"])))
        "The metadata offers tokens in the query";
    "meta.issuer-query" breaks ["auth.discovery.prm-issuer-form"]
        Head(|reply, _| document(reply, |document| {
            if let Some(servers) = document["authorization_servers"].as_array_mut() {
                servers.push(json!("https://login.example.com/?tenant=1"));
            }
        }))
        "One of the listed issuers has a query";
    "meta.issuer-dangling" breaks ["auth.discovery.prm-issuer-resolves", "auth.discovery.as-metadata-8414", "auth.discovery.as-metadata-either"]
        Head(|reply, _| document(reply, |document| {
            let issuer = document.at("authorization_servers")[0].as_str().unwrap_or_default().to_owned();
            document["authorization_servers"] = json!([format!("{issuer}/no-such-tenant")]);
        }))
        "The listed issuer has no metadata";
    "meta.url-per-method" breaks ["auth.discovery.prm-stable"]
        Head(|reply, ask| if ask.http_method != "POST" {
            challenge(reply, 401, |params| for param in params {
                *param = param.replace("oauth-protected-resource/mcp", "oauth-protected-resource");
            });
        })
        "The challenge to GET and DELETE names other metadata than that to POST";
    "meta.root-only" breaks ["auth.discovery.absent-404", "auth.discovery.prm-unauthenticated"]
        Rule(Rule::MetadataAtPath) "The metadata is at the root only; the place with the path asks for a token";
    "meta.root-other" breaks ["auth.discovery.prm-resource-matches", "auth.discovery.prm-resource-covers-endpoint"]
        Rule(Rule::RootMetadataOurs) "The metadata at the root is of another endpoint of the same host";
    "meta.places-502" breaks ["auth.discovery.absent-404"]
        Head(|reply, ask| if ask.path.contains("/.well-known/") { restatus(reply, 404, 502) })
        "Well-known places that have nothing answer 502, as a proxy does that leads nowhere";
    "meta.places-login" breaks ["auth.discovery.absent-404"]
        Head(|reply, ask| if ask.path.contains("/.well-known/") && reply.status == 404 {
            restatus(reply, 404, 302);
            set_header(reply, "location", "/login");
        })
        "Well-known places that have nothing redirect to a login page";
    "meta.url-once" breaks [
        "auth.resource-server.www-authenticate-all-401", "auth.discovery.prm-challenge-url-required",
    ] Rule(Rule::MetadataAlwaysNamed)
        "The metadata can be found by challenge only, and not every challenge names it";
    "auth.challenge-none" breaks [
        "auth.resource-server.www-authenticate-present", "auth.discovery.prm-challenge-url-required",
    ] Head(|reply, _| if reply.status == 401 {
        reply.headers.retain(|(name, value)| name != "www-authenticate" || !value.starts_with("Bearer"));
    })
        "A 401 has no challenge";
    "auth.challenge-remapped" breaks [
        "auth.resource-server.www-authenticate-present", "auth.discovery.prm-challenge-url-required",
    ] Head(|reply, _| if reply.status == 401 {
        let bearer = |(name, value): &&mut (String, String)| name == "www-authenticate" && value.starts_with("Bearer");
        for (name, _) in reply.headers.iter_mut().filter(bearer) {
            "x-amzn-remapped-www-authenticate".clone_into(name);
        }
    })
        "A gateway gives the challenge of a 401 another name";
    "auth.challenge-cut" breaks [
        "auth.resource-server.401-scope-hint", "auth.resource-server.error-code-invalid-token",
        "auth.resource-server.403-insufficient-scope",
    ] Head(|reply, _| for status in [401, 403] {
        challenge(reply, status, |params| params.retain(|param| param.starts_with("resource_metadata=")));
    })
        "A gateway lets one parameter of each challenge through";
    "auth.challenge-nowhere" breaks [
        "auth.discovery.prm-challenge-or-wellknown", "auth.discovery.prm-implemented",
        "auth.discovery.prm-challenge-url-required", "auth.resource-server.403-resource-metadata",
    ] Head(|reply, _| {
        without(reply, 401, "resource_metadata");
        without(reply, 403, "resource_metadata");
        let mut found = false;
        document(reply, |_| found = true);
        if found {
            reply.status = 404;
        }
    }) "Neither a challenge nor a known place leads to metadata";
    "auth.challenge-basic" breaks [
        "auth.resource-server.www-authenticate-bearer", "auth.discovery.prm-challenge-url-required",
    ] Head(|reply, _| if reply.status == 401 { set_header(reply, "www-authenticate", "Basic realm=\"mcp\"") })
        "A 401 challenges with Basic";
    "auth.challenge-unquoted" breaks ["auth.resource-server.www-authenticate-syntax"]
        Head(|reply, _| challenge(reply, 401, |params| for param in params {
            if param.starts_with("scope=") {
                *param = param.replace('"', "");
            }
        }))
        "A challenge does not quote what has to be quoted";
    "auth.challenge-bare" breaks [
        "auth.resource-server.challenge-has-param", "auth.resource-server.401-scope-hint",
        "auth.discovery.prm-challenge-url-required",
    ] Head(|reply, _| if !names(reply, "invalid_token") { challenge(reply, 401, Vec::clear) })
        "The first challenge is the word Bearer alone";
    "auth.challenge-error-early" breaks ["auth.resource-server.error-code-absent"]
        Head(|reply, _| if !names(reply, "invalid_token") {
            challenge(reply, 401, |params| params.push("error=\"invalid_request\"".to_owned()));
        })
        "The challenge to a request without a token names an error";
    "auth.challenge-error-missing" breaks ["auth.resource-server.error-code-invalid-token"]
        Head(|reply, _| without(reply, 401, "error")) "The challenge to a bad token does not say that it is bad";
    "auth.challenge-scope-missing" breaks ["auth.resource-server.401-scope-hint"]
        Head(|reply, _| without(reply, 401, "scope")) "A 401 does not say which scopes are needed";
    "auth.challenge-scope-shifts" breaks ["auth.resource-server.scope-sets-consistent"]
        Head(|reply, _| if names(reply, "invalid_token") {
            challenge(reply, 401, |params| for param in params {
                if param.starts_with("scope=") {
                    "scope=\"mcp:read mcp:admin\"".clone_into(param);
                }
            });
        })
        "The challenge to a bad token asks for other scopes than that to a missing one";
    "auth.challenge-result" breaks ["auth.resource-server.no-data-leak"]
        Head(|reply, _| if names(reply, "invalid_token") {
            reply.body = Some(br#"{"error":"unauthorized","result":{"tools":[{"name":"secret"}]}}"#.to_vec());
        })
        "The body of a refusal holds the result all the same";
    "rs.missing-403" breaks ["auth.resource-server.401-missing"]
        Head(|reply, _| {
            let bearer = reply.headers.iter().any(|(_, value)| value.starts_with("Bearer"));
            if bearer && !names(reply, "invalid_token") { restatus(reply, 401, 403) }
        })
        "A request without a token gets 403";
    "rs.missing-redirect" breaks ["auth.resource-server.401-missing"]
        Head(|reply, _| if reply.status == 401 && !names(reply, "invalid_token") {
            restatus(reply, 401, 307);
            set_header(reply, "location", "/login");
        })
        "A request without a token is redirected to a login page";
    "rs.invalid-500" breaks [
        "auth.resource-server.401-invalid", "auth.resource-server.401-expired", "auth.resource-server.401-revoked",
        "transport.http.get-sse-or-405", "transport.http.session-delete-405", "base.implements-core", "transport.http.session-missing-400"] Head(|reply, _| if names(reply, "invalid_token") { restatus(reply, 401, 500) })
        "A bad token gets 500";
    "rs.refusal-as-tool-error" breaks [
        "auth.resource-server.401-missing", "auth.resource-server.401-expired", "auth.resource-server.every-request",
        "auth.resource-server.expiry-enforced", "transport.http.session-not-authentication",
    ] Rule(Rule::CallsChallenged)
        "A tool call without a token, or with one that is over, gets a result that says so to people";
    "rs.invalid-403" breaks [
        "auth.resource-server.401-invalid", "auth.resource-server.401-expired", "auth.resource-server.401-revoked",
    ] Head(|reply, _| if names(reply, "invalid_token") { restatus(reply, 401, 403) })
        "A bad token gets 403";
    "rs.nonsense-served" breaks ["auth.resource-server.401-invalid", "auth.resource-server.validate-tokens"]
        Rule(Rule::TokensVerified) "Any text is taken for a token";
    "rs.expired-served" breaks ["auth.resource-server.401-expired", "auth.resource-server.expiry-enforced"]
        Rule(Rule::ExpiryEnforced) "An expired token goes on working";
    "rs.revoked-served" breaks ["auth.resource-server.401-revoked", "auth.authorization.code-replay-revoke", "auth.token.introspection-inactive", "auth.token.refresh-reuse-revokes-access", "auth.token.revocation-cascade", "auth.token.revocation-immediate"]
        Rule(Rule::RevocationEnforced) "A revoked token goes on working";
    "rs.expired-served-a-minute" breaks ["auth.resource-server.401-expired"]
        Rule(Rule::ExpiryPrompt) "An expired token goes on working for another minute";
    "rs.expires-early" breaks ["auth.resource-server.own-token-served"]
        Rule(Rule::ServedToTheEnd) "A token is refused in the last minute of its life";
    "rs.revoked-cached" breaks [
        "auth.token.revocation-immediate", "auth.token.revocation-cascade", "auth.token.introspection-inactive",
        "auth.resource-server.401-revoked",
    ]
        Rule(Rule::RevocationAtOnce) "A token that was served a moment ago is served without a look at revocations";
    "rs.malformed-500" breaks ["auth.resource-server.400-malformed", "base.implements-core"]
        Head(|reply, _| if names(reply, "invalid_request") { restatus(reply, 400, 500) })
        "A malformed Authorization header gets 500";
    "rs.session-is-enough" breaks [
        "auth.resource-server.every-request", "auth.resource-server.401-missing",
        "transport.http.session-not-authentication",
    ] Rule(Rule::EveryRequestGuarded) "Whoever names a session needs no token";
    "rs.methods-open" breaks ["auth.resource-server.all-methods"]
        Rule(Rule::AllMethodsGuarded) "GET and DELETE need no token";
    "rs.query-token" breaks ["auth.resource-server.no-query-token", "auth.resource-server.400-multiple-methods"]
        Rule(Rule::QueryTokensIgnored) "A token in the query counts, and before that in the header";
    "rs.scheme-case" breaks ["auth.resource-server.scheme-case"]
        Rule(Rule::SchemeCaseless) "The scheme has to be spelt Bearer";
    "rs.audience-ignored" breaks [
        "auth.resource-server.audience", "auth.resource-server.audience-missing", "auth.resource-server.only-own-tokens",
    ]
        Rule(Rule::AudienceEnforced) "Tokens for other servers are taken";
    "rs.no-audience-served" breaks ["auth.resource-server.audience-missing"]
        Rule(Rule::AudienceDemanded) "Tokens that are for nobody in particular are taken";
    "rs.issuer-ignored" breaks ["auth.resource-server.issuer", "auth.resource-server.no-foreign-tokens"]
        Rule(Rule::IssuerChecked) "Tokens that name another issuer are taken";
    "rs.unsigned-served" breaks ["auth.resource-server.jwt-signature"]
        Rule(Rule::UnsignedRefused) "Tokens with the algorithm none are taken";
    "rs.hmac-served" breaks ["auth.resource-server.jwt-signature"]
        Rule(Rule::AlgorithmFixed) "The public key is taken for the secret of a HMAC where a token says so";
    "rs.signature-unverified" breaks ["auth.resource-server.jwt-signature"]
        Rule(Rule::SignatureVerified) "Claims are read without a look at their signature";
    "rs.id-token-served" breaks ["auth.resource-server.jwt-type"]
        Rule(Rule::TokenTypeChecked) "ID tokens are taken for access tokens";
    "rs.early-served" breaks ["auth.resource-server.validate-tokens"]
        Rule(Rule::NotBeforeEnforced) "A token is taken before its life has begun";
    "rs.audience-drift" breaks ["auth.resource-server.own-token-served"]
        Rule(Rule::AudienceSame) "Streams are checked against another audience than calls";
    "rs.early-stream-hangs" breaks ["transport.http.get-sse-or-405", "transport.http.early-get-answered"]
        Rule(Rule::EarlyStreamAnswered) "A stream that is asked for before there is a session gets no answer";
    "rs.scope-more-than-named" breaks ["auth.resource-server.403-scope-list"]
        Rule(Rule::NamedScopeSuffices) "The scope that a 403 names is not enough, and the next 403 names it again";
    "rs.fresh-refused" breaks ["auth.resource-server.recover-after-refresh", "auth.resource-server.own-token-served"]
        Rule(Rule::FreshTokensTaken) "Tokens that were issued later than the server has looked are refused";
    "rs.scope-ignored" breaks ["auth.resource-server.403-scope"]
        Rule(Rule::ScopeEnforced) "Tokens may do more than their scopes say";
    "rs.scope-401" breaks ["auth.resource-server.403-scope"]
        Head(|reply, _| if names(reply, "insufficient_scope") { restatus(reply, 403, 401) })
        "Too little scope gets 401";
    "rs.scope-unsaid" breaks ["auth.resource-server.403-insufficient-scope"]
        Head(|reply, _| without(reply, 403, "error")) "A 403 does not say that scope is lacking";
    "rs.scope-unnamed" breaks ["auth.resource-server.403-scope-list"]
        Head(|reply, _| without(reply, 403, "scope")) "A 403 does not say which scope is lacking";
    "rs.scope-url-missing" breaks ["auth.resource-server.403-resource-metadata"]
        Head(|reply, _| without(reply, 403, "resource_metadata")) "A 403 does not name the metadata";
    "rs.offline-offered" breaks ["auth.discovery.prm-no-offline-access"]
        Head(|reply, _| document(reply, |document| if let Some(scopes) = document["scopes_supported"].as_array_mut() { scopes.push(json!("offline_access")) }))
        "The metadata of the resource offers offline_access";
    "rs.offline-asked" breaks ["auth.resource-server.no-offline-access"]
        Head(|reply, _| for status in [401, 403] {
            challenge(reply, status, |params| for param in params.iter_mut().filter(|param| param.starts_with("scope=")) {
                *param = param.replace("scope=\"", "scope=\"offline_access ");
            });
        }) "Challenges ask for offline_access";
    "rs.scopes-bit-by-bit" breaks ["auth.resource-server.403-all-scopes-at-once", "auth.resource-server.403-scope-list"]
        Rule(Rule::ScopesAtOnce) "A 403 names one scope after the other";
    "rs.scope-shifts" breaks ["auth.resource-server.403-consistent"]
        Rule(Rule::ScopesSteady) "Each 403 asks for other scopes";
    "rs.session-of-anybody" breaks ["transport.http.session-id-bound-to-user"]
        Rule(Rule::SessionBoundToSubject) "A session is open to every user who knows its id";
    "rs.session-bound-to-token" breaks ["transport.http.session-survives-token-refresh", "transport.http.session-delete-405"]
        Rule(Rule::SessionOutlivesToken) "A session ends with the access token it was opened with";
};
