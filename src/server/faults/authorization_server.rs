//! Faults of the authorization server up to the code: metadata, registration, authorization endpoint, codes.

use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::all::catalogue;
use crate::model::Members as _;
use crate::server::answer::{AskCtx, ReplyHead};
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{edit_body, restatus, says, set_header};

/// Lets `change` have a JSON body that has this member.
fn body_with(reply: &mut ReplyHead, member: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    let parsed = reply.body.as_deref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
    if let Some(Value::Object(mut members)) = parsed.filter(|found| found.get(member).is_some()) {
        change(&mut members);
        reply.body = Some(Value::Object(members).to_string().into_bytes());
    }
}

/// Sets a member of the metadata; null takes it out.
fn metadata(reply: &mut ReplyHead, member: &str, value: Value) {
    body_with(reply, "authorization_endpoint", |members| {
        if value.is_null() {
            members.shift_remove(member);
        } else {
            members.insert(member.to_owned(), value);
        }
    });
}

fn is_metadata(reply: &ReplyHead) -> bool {
    says(reply, "\"authorization_endpoint\"")
}

fn no_metadata(reply: &mut ReplyHead) {
    if is_metadata(reply) {
        *reply = ReplyHead { status: 404, headers: Vec::new(), body: Some(Vec::new()) };
    }
}

/// Lets `change` have the parameters of a redirect to the client.
fn redirect(reply: &mut ReplyHead, change: impl FnOnce(&mut Vec<(String, String)>)) {
    let Some((_, place)) = reply.headers.iter_mut().find(|(name, _)| name == "location") else { return };
    let Some((base, query)) = place.split_once('?') else { return };
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    change(&mut pairs);
    *place = format!("{base}?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish());
}

fn is_error(pairs: &[(String, String)]) -> bool {
    pairs.iter().any(|(name, _)| name == "error")
}

/// Another issuer in the metadata, and the same one in the redirect, so that the two agree.
fn longer_issuer(reply: &mut ReplyHead, rest: &str) {
    body_with(reply, "authorization_endpoint", |members| {
        let issuer = members.member("issuer").and_then(Value::as_str).map(|issuer| format!("{issuer}{rest}"));
        members.insert("issuer".to_owned(), json!(issuer));
    });
    redirect(reply, |pairs| {
        pairs.iter_mut().filter(|(name, _)| name == "iss").for_each(|(_, iss)| iss.push_str(rest));
    });
}

/// Whether the answer is one of the authorization endpoint: a page, or a redirect to the client.
fn from_authorize(reply: &ReplyHead) -> bool {
    reply.headers.iter().any(|(name, value)| name == "location" || value.starts_with("text/html"))
}

/// Refuses the registration of a client, where `wrong` says so of its metadata.
fn unregister(reply: &mut ReplyHead, (status, error): (u16, &str), wrong: impl FnOnce(&Map<String, Value>) -> bool) {
    let mut refused = false;
    body_with(reply, "client_id_issued_at", |members| refused = wrong(members));
    if refused {
        let body = json!({"error": error, "error_description": "the client is not on the list"});
        *reply = ReplyHead {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Some(body.to_string().into_bytes()),
        };
    }
}

/// Whether some redirect URI of a client begins like this.
fn redirects_to(members: &Map<String, Value>, start: &str) -> bool {
    let uris = members.member("redirect_uris").and_then(Value::as_array).into_iter().flatten();
    uris.filter_map(Value::as_str).any(|uri| uri.starts_with(start))
}

/// Names of clients that somebody put on a list.
const LISTED: [&str; 5] = ["mcp-rehearsal", "Claude", "Codex", "Cursor", "Visual Studio Code"];

fn unlisted(members: &Map<String, Value>) -> bool {
    members.member("client_name").and_then(Value::as_str).is_none_or(|name| !LISTED.contains(&name))
}

/// What HTTP libraries call themselves, as rules against bots have it.
const LIBRARIES: [&str; 5] = ["python-", "aiohttp/", "go-http-client/", "axios/", "curl/"];

/// Whether a firewall in front of the login turns a request away that no browser makes.
fn is_barred(ask: &AskCtx) -> bool {
    let agent = ask.agent.to_ascii_lowercase();
    let of_login =
        ask.path.contains("/.well-known/") || ask.path.ends_with("/register") || ask.path.ends_with("/token");
    of_login && LIBRARIES.iter().any(|name| agent.starts_with(name) || agent.contains(&format!(" {name}")))
}

pub(super) static FAULTS: &[Fault] = catalogue! {
    "meta.as-none" breaks [
        "auth.discovery.as-metadata-server-side", "auth.discovery.as-metadata-8414", "auth.discovery.as-metadata-either", "auth.discovery.prm-issuer-resolves"] Head(|reply, _| no_metadata(reply)) "The authorization server has no metadata, only endpoints at their default places";
    "meta.as-openid-only" breaks ["auth.discovery.as-metadata-server-side", "auth.discovery.as-metadata-8414"]
        Rule(Rule::MetadataAtRfc8414) "There is an OpenID discovery document, but no metadata of RFC 8414";
    "meta.as-not-at-origin" breaks ["auth.discovery.as-metadata-at-origin"]
        Rule(Rule::IssuerAtOrigin) "The issuer has a path, and there is no metadata at the origin";
    "meta.as-not-path-inserted" breaks [
        "auth.discovery.as-8414-path-inserted", "auth.discovery.as-issuer-match", "auth.discovery.as-metadata-8414",
        "auth.discovery.as-metadata-server-side",
    ] Rule(Rule::MetadataPathInserted) "The issuer has a path, but its metadata is at the origin";
    "meta.as-no-response-types" breaks ["auth.discovery.as-metadata-required-members"]
        Head(|reply, _| metadata(reply, "response_types_supported", Value::Null)) "The metadata lacks response_types_supported";
    "meta.as-issuer-query" breaks ["auth.discovery.as-issuer-form", "auth.discovery.prm-issuer-form"]
        Rule(Rule::IssuerPlain) "The issuer identifier has a query";
    "meta.as-issuer-other" breaks ["auth.discovery.as-issuer-match"]
        Head(|reply, _| longer_issuer(reply, "/other")) "The metadata is of another issuer than the one it was asked for";
    "meta.as-issuer-slash" breaks ["auth.discovery.as-issuer-match"]
        Head(|reply, _| longer_issuer(reply, "/")) "The issuer in the metadata has a slash more than the one it was asked for";
    "meta.as-text-plain" breaks ["auth.discovery.as-metadata-json"]
        Head(|reply, _| if is_metadata(reply) { set_header(reply, "content-type", "text/plain") })
        "The metadata is sent as text/plain";
    "meta.as-empty-member" breaks ["auth.discovery.as-metadata-no-empty"]
        Head(|reply, _| metadata(reply, "ui_locales_supported", json!([]))) "The metadata has an empty list";
    "meta.as-no-pkce" breaks ["auth.discovery.as-pkce-advertised-oidc", "auth.discovery.as-pkce-advertised-8414"]
        Head(|reply, _| metadata(reply, "code_challenge_methods_supported", Value::Null))
        "The metadata does not say that PKCE is supported";
    "meta.as-openid-no-pkce" breaks ["auth.discovery.as-pkce-advertised-oidc"]
        Head(|reply, _| if says(reply, "\"subject_types_supported\"") {
            metadata(reply, "code_challenge_methods_supported", Value::Null);
        })
        "The OpenID discovery document alone does not say that PKCE is supported";
    "meta.as-plain-only" breaks ["auth.authorization.pkce-s256-as"]
        Head(|reply, _| metadata(reply, "code_challenge_methods_supported", json!(["plain"])))
        "The metadata has plain as the only challenge method";
    "meta.as-iss-untold" breaks ["auth.discovery.as-iss-advertised"]
        Head(|reply, _| metadata(reply, "authorization_response_iss_parameter_supported", Value::Null))
        "iss is sent, but the metadata does not say so";
    "meta.as-http-endpoint" breaks ["auth.discovery.as-https"]
        Head(|reply, _| metadata(reply, "device_authorization_endpoint", json!("http://login.example.com/device")))
        "An endpoint in the metadata is plain http";
    "meta.as-openid-no-registration" breaks ["auth.registration.dcr-should"]
        Rule(Rule::OpenidComplete) "The OpenID discovery document does not tell where to register";
    "meta.as-no-client-documents" breaks ["auth.registration.cimd-should", "auth.registration.cimd-advertised"]
        Head(|reply, _| metadata(reply, "client_id_metadata_document_supported", json!(false)))
        "Client ID metadata documents are not taken";
    "as.no-default-endpoints" breaks [
        "auth.discovery.as-default-endpoints", "auth.discovery.as-metadata-server-side",
        "auth.discovery.as-metadata-8414", "auth.discovery.as-metadata-either", "auth.discovery.prm-issuer-resolves"] Head(|reply, _| {
        no_metadata(reply);
        if says(reply, "\"client_id_issued_at\"") {
            *reply = ReplyHead { status: 404, headers: Vec::new(), body: Some(Vec::new()) };
        }
    }) "There is no metadata, and no /register either";
    "as.register-none" breaks ["auth.registration.dcr-should"]
        Head(|reply, _| metadata(reply, "registration_endpoint", Value::Null)) "Clients cannot register themselves";
    "as.register-native-refused" breaks ["auth.registration.dcr-native-scheme"]
        Rule(Rule::NativeSchemesTaken) "A registration is refused for a redirect URI with a private-use scheme";
    "as.register-native-redirected" breaks ["auth.registration.dcr-native-scheme"]
        Rule(Rule::NativeSchemesAnswered) "A registration with a private-use scheme is answered by a redirect to a page";
    "as.register-localhost-refused" breaks ["auth.registration.dcr-redirect-forms", "auth.registration.dcr-native-scheme"]
        Head(|reply, _| unregister(reply, (400, "invalid_redirect_uri"), |members| redirects_to(members, "http://localhost")))
        "A redirect URI on this machine can be registered by its address only, not as localhost";
    "as.register-https-refused" breaks ["auth.registration.dcr-redirect-forms", "auth.registration.dcr-native-scheme"]
        Head(|reply, _| unregister(reply, (400, "invalid_redirect_uri"), |members| redirects_to(members, "https://")))
        "Only redirect URIs on a person's own machine can be registered";
    "as.register-names-listed" breaks ["auth.registration.dcr-any-name"]
        Head(|reply, _| unregister(reply, (403, "access_denied"), unlisted))
        "Clients whose name is not on a list cannot register";
    "as.register-method-untold" breaks ["auth.registration.dcr-echo-metadata"]
        Head(|reply, _| body_with(reply, "client_secret", |members| { members.shift_remove("token_endpoint_auth_method"); }))
        "Who registers gets a secret, and is not told how to prove itself with it";
    "as.library-agents-barred" breaks ["auth.discovery.any-user-agent"]
        Head(|reply, ask| if is_barred(ask) {
            *reply = ReplyHead {
                status: 403,
                headers: vec![("content-type".to_owned(), "text/html".to_owned())],
                body: Some(b"<h1>Access denied</h1>".to_vec()),
            };
        })
        "A firewall turns away what calls itself by the name of an HTTP library, at metadata, registration and token endpoint";
    "as.clients-forgotten" breaks [
        "auth.resource-server.recover-after-refresh", "auth.token.error-invalid-grant", "auth.token.refresh-expired-error",
        "auth.token.refresh-rotated-not-lost", "auth.token.refresh-unattended"]
        Rule(Rule::ClientsKept) "Registrations are forgotten after half an hour";
    "as.register-200" breaks ["auth.registration.dcr-201"]
        Head(|reply, _| restatus(reply, 201, 200)) "A registration is answered with 200";
    "as.register-silent" breaks ["auth.registration.dcr-echo-metadata"]
        Head(|reply, _| body_with(reply, "client_id_issued_at", |members| { members.shift_remove("redirect_uris"); }))
        "The answer to a registration does not repeat the redirect URIs";
    "as.secret-without-end" breaks ["auth.registration.dcr-secret-expiry"]
        Head(|reply, _| body_with(reply, "client_secret", |members| { members.shift_remove("client_secret_expires_at"); }))
        "A client secret is issued without client_secret_expires_at";
    "as.public-client-secret" breaks ["auth.registration.dcr-public-no-secret"]
        Head(|reply, _| body_with(reply, "client_id_issued_at", |members| {
            members.entry("client_secret").or_insert_with(|| json!("a-secret-for-everybody"));
            members.insert("client_secret_expires_at".to_owned(), json!(0));
        })) "A public client is given a secret";
    "as.register-strict" breaks ["auth.registration.dcr-unknown-metadata"]
        Rule(Rule::UnknownMetadataIgnored) "A registration with an unknown member is refused";
    "as.register-error-text" breaks ["auth.registration.dcr-error"]
        Head(|reply, _| if says(reply, "\"invalid_redirect_uri\"") || says(reply, "\"invalid_client_metadata\"") {
            set_header(reply, "content-type", "text/plain");
            reply.body = Some(b"Bad request".to_vec());
        }) "A registration is refused in plain text";
    "as.redirects-untrusted" breaks ["auth.registration.dcr-bad-redirect", "auth.authorization.no-http-redirect"]
        Rule(Rule::RedirectUrisTrusted) "Any redirect URI can be registered, such as javascript: or http:";
    "as.document-id-unchecked" breaks ["auth.registration.cimd-id-match"]
        Rule(Rule::DocumentIdMatched) "A client's document may name another client_id than its own URL";
    "as.document-redirects-open" breaks ["auth.registration.cimd-redirect-match"]
        Rule(Rule::DocumentRedirectsMatched) "A client with a metadata document may be redirected anywhere";
    "as.document-unchecked" breaks ["auth.registration.cimd-valid-json"]
        Rule(Rule::DocumentsChecked) "A client's document may lack anything, and need not even be JSON";
    "as.document-errors-kept" breaks ["auth.registration.cimd-no-error-cache"]
        Rule(Rule::DocumentErrorsForgotten) "A client's document that could not be used once is not asked for again";
    "as.document-kept-for-good" breaks ["auth.registration.cimd-cache"]
        Rule(Rule::DocumentsFresh) "Clients' documents are kept a day, whatever their cache headers say";
    "as.document-never-kept" breaks ["auth.registration.cimd-cache"]
        Rule(Rule::DocumentsKept) "Clients' documents are fetched for each request";
    "as.document-unbounded" breaks ["auth.registration.cimd-size-limit"]
        Rule(Rule::DocumentsBounded) "A client's document may have any size";
    "as.client-document-unread" breaks [
        "auth.registration.cimd-fetch-failure", "auth.registration.cimd-fetch", "auth.registration.cimd-id-match",
        "auth.registration.cimd-redirect-match",
    ]
        Rule(Rule::ClientDocumentsRead) "A client with a metadata document is served without reading it";
    "as.client-documents-unresolved" breaks ["auth.registration.cimd-fetch"]
        Rule(Rule::ClientDocumentsResolved) "Client documents are promised, and their URLs are unknown clients";
    "as.redirect-unchecked" breaks [
        "auth.authorization.redirect-exact", "auth.authorization.redirect-validate",
        "auth.authorization.redirect-no-redirect-on-invalid", "auth.authorization.redirect-untrusted",
        "auth.authorization.redirect-auto-only-trusted", "auth.authorization.no-http-redirect", "auth.registration.cimd-redirect-match",
    ] Rule(Rule::RedirectExact) "Codes are sent to whatever redirect URI is asked for";
    "as.redirect-prefix" breaks [
        "auth.authorization.redirect-exact", "auth.authorization.redirect-validate",
        "auth.authorization.redirect-no-redirect-on-invalid",
    ] Rule(Rule::RedirectWhole) "It suffices that a redirect URI begins like a registered one";
    "as.unknown-client-redirected" breaks ["auth.authorization.redirect-no-redirect-on-invalid"]
        Rule(Rule::UnknownClientStays) "The error about an unknown client is sent to the redirect URI it names";
    "as.loopback-port-fixed" breaks ["auth.authorization.redirect-loopback-port"]
        Rule(Rule::LoopbackPortFree) "The port of a loopback redirect URI has to be the registered one";
    "as.redirect-query-lost" breaks ["auth.authorization.redirect-query-retained"]
        Rule(Rule::RedirectQueryKept) "The query of a redirect URI is replaced by the answer";
    "as.pkce-optional" breaks ["auth.authorization.pkce-required-as"]
        Rule(Rule::PkceRequired) "A public client gets a code without PKCE";
    "as.pkce-downgrade" breaks ["auth.authorization.pkce-required-as", "auth.authorization.pkce-downgrade"]
        Rule(Rule::PkceDowngradeRefused) "PKCE is optional, and a verifier without a challenge is taken";
    "as.pkce-missing-error" breaks ["auth.authorization.pkce-missing-challenge-error"]
        Head(|reply, _| redirect(reply, |pairs| {
            if pairs.iter().any(|(_, value)| value.starts_with("code_challenge is missing")) {
                pairs.iter_mut().filter(|(name, _)| name == "error").for_each(|(_, code)| "access_denied".clone_into(code));
            }
        })) "A missing code_challenge gets access_denied";
    "as.pkce-method-ignored" breaks ["auth.authorization.pkce-unsupported-method-error"]
        Rule(Rule::PkceMethodChecked) "Any code_challenge_method is taken for S256";
    "as.pkce-unverified" breaks ["auth.authorization.pkce-verify"]
        Rule(Rule::PkceVerified) "A code is exchanged whatever the verifier";
    "as.pkce-wrong-error" breaks ["auth.authorization.pkce-verify"]
        Head(|reply, _| if says(reply, "code_verifier does not fit") {
            edit_body(reply, "\"invalid_grant\"", "\"invalid_request\"");
        }) "A wrong verifier gets invalid_request";
    "as.code-reused" breaks ["auth.authorization.code-one-time"]
        Rule(Rule::CodeOnce) "A code works as often as one likes";
    "as.code-race" breaks ["auth.authorization.code-one-time"]
        Rule(Rule::CodeTakenAtOnce) "Of two exchanges of a code at the same moment, both get tokens";
    "as.code-replay-harmless" breaks ["auth.authorization.code-replay-revoke"]
        Rule(Rule::CodeReplayRevokes) "The tokens of a code live on after the code was used again";
    "as.code-lives-long" breaks ["auth.authorization.code-short-lived"]
        Rule(Rule::CodeExpires) "Codes do not expire";
    "as.code-other-client" breaks ["auth.authorization.code-bound-client"]
        Rule(Rule::CodeBoundToClient) "A code works for any client";
    "as.code-other-redirect" breaks ["auth.authorization.code-bound-redirect"]
        Rule(Rule::CodeBoundToRedirect) "A code is exchanged with another redirect URI";
    "as.state-lost" breaks ["auth.authorization.state-echo"]
        Rule(Rule::StateEchoed) "state does not come back";
    "as.state-lost-on-error" breaks ["auth.authorization.state-echo"]
        Head(|reply, _| redirect(reply, |pairs| if is_error(pairs) { pairs.retain(|(name, _)| name != "state") }))
        "state does not come back with an error";
    "as.iss-missing-on-error" breaks ["auth.authorization.iss-response"]
        Rule(Rule::IssOnErrors) "Errors come back without iss, although the metadata promises it";
    "as.iss-other-on-error" breaks ["auth.authorization.iss-value"]
        Head(|reply, _| redirect(reply, |pairs| if is_error(pairs) {
            pairs.iter_mut().filter(|(name, _)| name == "iss").for_each(|(_, iss)| iss.push('/'));
        })) "The iss of an error has a slash at its end, the issuer has none";
    "as.iss-none" breaks ["auth.authorization.iss-response"]
        Head(|reply, _| {
            metadata(reply, "authorization_response_iss_parameter_supported", Value::Null);
            redirect(reply, |pairs| pairs.retain(|(name, _)| name != "iss"));
        }) "iss is neither promised nor sent";
    "as.prompt-refused" breaks ["auth.authorization.prompt-tolerance"]
        Head(|reply, ask| if ask.query.contains("prompt=") {
            redirect(reply, |pairs| for pair in pairs.iter_mut().filter(|(name, _)| name == "code") {
                *pair = ("error".to_owned(), "invalid_request".to_owned());
            });
        }) "An authorization request with a prompt is refused";
    "as.implicit" breaks ["auth.authorization.no-implicit"]
        Rule(Rule::ImplicitRefused) "The implicit grant hands out tokens";
    "as.password-grant" breaks ["auth.authorization.no-password-grant"]
        Rule(Rule::PasswordRefused) "The password grant hands out tokens";
    "as.redirect-307" breaks ["auth.authorization.no-307"]
        Head(|reply, _| restatus(reply, 302, 307)) "The authorization endpoint redirects with 307";
    "as.framed" breaks ["auth.authorization.no-clickjacking"]
        Head(|reply, _| if from_authorize(reply) {
            reply.headers.retain(|(name, _)| name != "x-frame-options" && name != "content-security-policy");
        }) "Pages of the authorization server can be framed";
    "as.cors" breaks ["auth.authorization.no-cors"]
        Head(|reply, _| if from_authorize(reply) { set_header(reply, "access-control-allow-origin", "*") })
        "Scripts of any page may read the answers of the authorization endpoint";
    "as.params-strict" breaks ["auth.authorization.ignore-unknown-params", "auth.token.ignore-unknown-params"]
        Rule(Rule::UnknownParamsIgnored) "An authorization request with an unknown parameter is refused";
    "as.resource-case" breaks ["auth.authorization.resource-case-tolerance"]
        Rule(Rule::ResourceCaseFolded) "A resource with its host in capitals is refused";
    "as.resource-slash" breaks ["auth.authorization.resource-slash-tolerance"]
        Rule(Rule::ResourceSlashFolded) "A resource with a slash at its end is unknown";
    "as.resource-beside-scope" breaks ["auth.authorization.resource-beside-scope"]
        Rule(Rule::ResourceBesideScope) "A resource beside the scope mcp:admin is refused, as if the one had to follow from the other";
    "as.resource-defaults-to-none" breaks ["auth.resource-server.own-token-served"]
        Rule(Rule::TargetDefaulted) "Who names no resource gets a token for nobody";
    "as.target-unchecked" breaks ["auth.authorization.resource-invalid-target", "auth.resource-server.own-token-served"]
        Rule(Rule::TargetChecked) "Tokens are issued for any resource";
    "as.audience-other" breaks ["auth.authorization.resource-audience", "auth.token.access-audience"]
        Head(|reply, _| body_with(reply, "aud", |members| { members.insert("aud".to_owned(), json!("https://other.example.com/")); }))
        "The audience of a token is not the resource it was asked for";
};
