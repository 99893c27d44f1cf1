//! Faults of the token endpoint, of refresh, of revocation and of introspection.

use serde_json::Value;

use super::all::catalogue;
use crate::server::answer::ReplyHead;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{edit_body, restatus, says, set_header};

/// Whether the answer hands out tokens.
fn issues(reply: &ReplyHead) -> bool {
    reply.status == 200 && says(reply, "\"access_token\"")
}

/// Whether the answer is an OAuth error of this code.
fn errs(reply: &ReplyHead, code: &str) -> bool {
    says(reply, &format!("\"error\":\"{code}\""))
}

/// Replaces an OAuth error code by another.
fn misname(reply: &mut ReplyHead, from: &str, to: &str) {
    edit_body(reply, &format!("\"error\":\"{from}\""), &format!("\"error\":\"{to}\""));
}

/// Takes the refresh token out of a token response.
fn leave_refresh_out(reply: &mut ReplyHead) {
    let parsed = reply.body.as_deref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
    if let Some(Value::Object(mut members)) = parsed {
        members.shift_remove("refresh_token");
        reply.body = Some(Value::Object(members).to_string().into_bytes());
    }
}

pub(super) static FAULTS: &[Fault] = catalogue! {
    // What the token endpoint answers.
    "as.token-type-missing" breaks ["auth.token.response-members"]
        Head(|reply, _| if issues(reply) { edit_body(reply, "\"token_type\":\"Bearer\",", "") })
        "Token responses leave token_type out";
    "as.token-expiry-untold" breaks ["auth.token.response-expires-in"]
        Rule(Rule::RefreshSaysExpiry) "The answer to a refresh does not say how long the token lives";
    "as.token-scope-untold" breaks ["auth.token.response-scope"]
        Rule(Rule::ScopeTold) "Tokens have less scope than was asked for, and nobody says so";
    "as.token-cached" breaks ["auth.token.response-no-store"]
        Head(|reply, _| if issues(reply) { set_header(reply, "cache-control", "private, max-age=60") })
        "Token responses may be cached";
    "as.token-service-year" breaks ["auth.token.access-short-lived"]
        Rule(Rule::ServiceTokensShort) "Tokens of client credentials live a year";
    "as.token-audience-elsewhere" breaks ["auth.token.access-audience", "auth.authorization.resource-audience"]
        Head(|reply, _| if says(reply, "\"active\":true") {
            edit_body(reply, "\"aud\":\"", "\"aud\":\"https://elsewhere.example.com/?for=");
        })
        "Tokens are for another resource than the one that was asked for";
    "as.token-error-403" breaks ["auth.token.error-format"]
        Head(|reply, _| if errs(reply, "invalid_grant") { restatus(reply, 400, 403) })
        "A refused grant gets 403 instead of 400";
    "as.token-error-200" breaks ["auth.token.error-format"]
        Head(|reply, _| if errs(reply, "invalid_grant") { restatus(reply, 400, 200) })
        "A refused grant gets an error under status 200";
    "as.token-client-unnamed" breaks ["auth.token.error-invalid-client"]
        Head(|reply, _| if errs(reply, "invalid_client") {
            misname(reply, "invalid_client", "invalid_request");
            restatus(reply, 401, 400);
        })
        "A client that fails to prove itself gets invalid_request";
    "as.token-basic-unchallenged" breaks ["auth.token.error-invalid-client"]
        Head(|reply, _| if errs(reply, "invalid_client") {
            reply.headers.retain(|(name, _)| name != "www-authenticate");
        })
        "A wrong HTTP Basic gets 401 without a challenge";
    "as.token-grant-type-unnamed" breaks ["auth.token.error-unsupported-grant", "auth.authorization.no-password-grant"]
        Head(|reply, _| misname(reply, "unsupported_grant_type", "invalid_grant"))
        "An unknown grant type gets invalid_grant";
    "as.token-missing-misnamed" breaks ["auth.token.error-invalid-request"]
        Head(|reply, _| if says(reply, "the parameter") { misname(reply, "invalid_request", "invalid_grant") })
        "A missing parameter gets invalid_grant";
    "as.token-by-get" breaks ["auth.token.post-only"]
        Rule(Rule::TokenByPost) "The token endpoint takes its parameters from the URL as well";
    "as.token-unknown-params-refused" breaks ["auth.token.ignore-unknown-params", "auth.authorization.ignore-unknown-params"]
        Rule(Rule::UnknownParamsIgnored) "A token request with an unknown parameter is refused";
    "as.token-secret-in-body-refused" breaks ["auth.token.client-secret-body", "auth.registration.dcr-method-works"]
        Rule(Rule::SecretInBody) "A client secret in the body is refused";
    "as.token-secret-in-header-refused" breaks ["auth.registration.dcr-method-works"]
        Rule(Rule::SecretInHeader) "Clients may register client_secret_basic, and HTTP Basic is refused";
    "as.token-outage-once" breaks ["auth.resource-server.recover-after-refresh", "auth.token.refresh-unattended"]
        Rule(Rule::NoOutage) "The first refresh gets 503";
    // Refresh.
    "as.offline-access-empty" breaks ["auth.resource-server.recover-after-refresh"]
        Rule(Rule::OfflineGranted) "Who asks for offline_access gets no refresh token";
    "as.refresh-token-by-scope" breaks [
        "auth.token.refresh-unattended", "auth.resource-server.recover-after-refresh", "auth.token.refresh-rotated-not-lost",
    ]
        Head(|reply, _| if issues(reply) && !says(reply, "offline_access") { leave_refresh_out(reply) })
        "Refresh tokens are for those who ask for offline_access; who does not has to log in anew";
    // The scenario that uses a token after the better part of an hour finds none that lives so long.
    "as.refresh-limited" breaks ["auth.token.refresh-frequency", "auth.resource-server.own-token-served"]
        Rule(Rule::RefreshesUnlimited) "Tokens live four minutes, and a grant is refreshed three times a minute at most";
    "as.refresh-unproven" breaks ["auth.token.refresh-client-auth"]
        Rule(Rule::RefreshProven) "A confidential client may refresh without proving itself";
    "as.refresh-any-client" breaks ["auth.token.refresh-bound-client"]
        Rule(Rule::RefreshBoundToClient) "Any client may use a refresh token";
    "as.refresh-widens" breaks ["auth.token.refresh-scope-limit"]
        Rule(Rule::ScopeNotWidened) "A refresh grants whatever scope it asks for";
    "as.refresh-narrows" breaks ["auth.token.refresh-scope-default", "auth.token.refresh-new-token-scope"]
        Rule(Rule::RefreshScopeKept) "A refresh without scope gives only the weakest";
    "as.refresh-narrows-for-good" breaks ["auth.token.refresh-new-token-scope"]
        Rule(Rule::RefreshScopeRestored) "A refresh with less scope takes the rest away for ever";
    "as.refresh-other-resource" breaks ["auth.token.refresh-bound-grant"]
        Rule(Rule::RefreshResourceBound) "A refresh gives tokens for resources that nobody consented to";
    "as.refresh-forgets-resource" breaks ["auth.token.refresh-bound-grant", "auth.resource-server.own-token-served"]
        Rule(Rule::RefreshResourceKept) "A refresh that names no resource gives a token for none";
    "as.refresh-not-rotated" breaks [
        "auth.token.refresh-rotate-public", "auth.token.refresh-constrain-or-rotate", "auth.token.refresh-rotation-should",
    ] Rule(Rule::RefreshRotates) "A refresh gives the same refresh token again";
    "as.refresh-omits-token" breaks [
        "auth.token.refresh-rotate-public", "auth.token.refresh-constrain-or-rotate", "auth.token.refresh-rotation-should",
    ] Rule(Rule::RefreshReturnsToken) "A refresh gives no refresh token; the old one stays";
    "as.refresh-reuse-accepted" breaks ["auth.token.refresh-old-invalid", "auth.token.refresh-reuse-detection"]
        Rule(Rule::ReuseRefused) "A rotated refresh token goes on working";
    "as.refresh-reuse-spares-family" breaks [
        "auth.token.refresh-reuse-revokes-family", "auth.token.refresh-reuse-revokes-access",
    ] Rule(Rule::ReuseRevokesFamily) "The reuse of a refresh token is refused and has no consequences";
    "as.refresh-reuse-spares-access" breaks ["auth.token.refresh-reuse-revokes-access"]
        Rule(Rule::ReuseEndsAccess) "After a reuse the access tokens of the grant go on working";
    "as.refresh-strict" breaks ["auth.token.refresh-rotated-not-lost", "auth.token.refresh-concurrent"]
        Rule(Rule::LostAnswerRepeated) "A refresh that is repeated at once ends the grant";
    "as.refresh-race" breaks ["auth.token.refresh-concurrent"]
        Rule(Rule::RefreshSideBySide) "A refresh that comes while another one is under way ends the grant";
    "as.refresh-grace-for-good" breaks ["auth.token.refresh-old-invalid", "auth.token.refresh-reuse-detection"]
        Rule(Rule::GraceEnds) "The refresh token before the last is taken for a repetition for ever";
    "as.refresh-life-not-renewed" breaks ["auth.token.refresh-rotated-not-lost"]
        Rule(Rule::RefreshRenewsLife) "A grant ends a while after the login, however often it is refreshed";
    "as.refresh-refusal-burns" breaks ["auth.token.refresh-rotated-not-lost"]
        Rule(Rule::RefusalCostsNothing) "A refused refresh burns the refresh token";
    "as.refresh-never-expires" breaks ["auth.token.refresh-inactivity-expiry"]
        Rule(Rule::RefreshExpires) "An unused refresh token lives for ever";
    "as.refresh-expired-500" breaks ["auth.token.refresh-expired-error"]
        Rule(Rule::ExpiredNamed) "An expired refresh token gets 500";
    "as.refresh-dead-misnamed" breaks ["auth.token.error-invalid-grant", "auth.token.refresh-expired-error", "auth.authorization.pkce-verify"]
        Head(|reply, _| misname(reply, "invalid_grant", "invalid_request"))
        "A dead refresh token gets invalid_request, so clients keep it";
    // Revocation and introspection.
    "as.revoke-ignored" breaks [
        "auth.token.revocation-refresh", "auth.token.revocation-cascade", "auth.token.revocation-immediate",
        "auth.token.revocation-hint-ignored", "auth.token.introspection-inactive", "auth.resource-server.401-revoked"] Rule(Rule::RevocationWorks) "Revocation is answered with 200 and does nothing";
    "as.revoke-access-refused" breaks ["auth.token.revocation-access"]
        Rule(Rule::AccessRevocable) "Access tokens cannot be revoked";
    "as.revoke-access-ignored" breaks ["auth.token.revocation-immediate", "auth.token.introspection-inactive", "auth.resource-server.401-revoked"]
        Rule(Rule::AccessRevocationWorks) "The revocation of an access token is answered with 200 and does nothing";
    "as.revoke-spares-access" breaks ["auth.token.revocation-cascade"]
        Rule(Rule::RevocationCascades) "The access tokens of a revoked refresh token go on working";
    "as.revoke-everybody" breaks ["auth.token.refresh-chain-isolated"]
        Rule(Rule::RevocationScoped) "Revoking one grant ends all grants";
    "as.revoke-overtaken" breaks ["auth.token.revocation-refresh", "auth.token.revocation-immediate"]
        Rule(Rule::RevocationNotOvertaken) "A revocation is lost that comes while a refresh is under way";
    "as.revoke-unknown-400" breaks ["auth.token.revocation-unknown-200"]
        Rule(Rule::UnknownRevoked) "Revoking an unknown token gets 400";
    "as.revoke-any-client" breaks ["auth.token.revocation-client-auth"]
        Rule(Rule::RevocationOwnOnly) "A client may revoke the tokens of another";
    "as.revoke-hint-believed" breaks ["auth.token.revocation-hint-ignored"]
        Rule(Rule::HintOnlyHelps) "A wrong hint prevents the revocation";
    "as.revoke-form-refused" breaks ["auth.token.revocation-https-post"]
        Rule(Rule::RevocationTakesForms) "The revocation endpoint refuses forms";
    "as.introspect-active" breaks ["auth.token.introspection-inactive"]
        Head(|reply, _| edit_body(reply, "\"active\":false", "\"active\":true"))
        "Introspection says of every token that it is active";
};
