//! The rules by name, and how a broken one is told.

use crate::fuzz::deed::Scope;

/// What would have been right, as far as one answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Success,
    /// A refusal with this status.
    Status(u16),
    /// A refusal of the token endpoint with this code.
    Error(&'static str),
    /// Tokens with this scope.
    Scope(Scope),
    /// Tokens that say how long they live.
    Lifetime,
    /// So many responses on the stream of a call.
    Responses(u32),
    /// What no single answer tells.
    Else,
}

/// A rule that what was seen breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Its requirement id.
    pub(crate) invariant: &'static str,
    /// What would have been right.
    pub(crate) expected: String,
    /// The same for a scenario.
    pub(crate) want: Want,
    /// The deed of the round that breaks it.
    pub(crate) act: usize,
}

impl Broken {
    pub(crate) fn of(invariant: &'static str, expected: impl Into<String>) -> Self {
        Self { invariant, expected: expected.into(), want: Want::Else, act: 0 }
    }

    /// Something that should have been granted was not.
    pub(crate) fn success(invariant: &'static str, expected: impl Into<String>) -> Self {
        Self { want: Want::Success, ..Self::of(invariant, expected) }
    }

    /// Something should have been refused with a status.
    pub(crate) fn status(invariant: &'static str, status: u16) -> Self {
        Self { want: Want::Status(status), ..Self::of(invariant, status.to_string()) }
    }

    /// Something should have been refused by the token endpoint.
    pub(crate) fn error(invariant: &'static str, error: &'static str) -> Self {
        Self { want: Want::Error(error), ..Self::of(invariant, format!("400 {error}")) }
    }

    /// Tokens should have had another scope.
    pub(crate) fn scope(invariant: &'static str, wanted: Scope, told: Scope) -> Self {
        Self { want: Want::Scope(wanted), ..Self::of(invariant, format!("the scope {wanted}, not {told}")) }
    }

    /// A call should have got so many responses.
    pub(crate) fn responses(invariant: &'static str, count: u32) -> Self {
        let expected = format!("{count} response{}", if count == 1 { "" } else { "s" });
        Self { want: Want::Responses(count), ..Self::of(invariant, expected) }
    }
}

/// Declares the rules: a name for the code, the requirement, and what it means for a lifecycle.
macro_rules! rules {
    ($($name:ident = $id:literal: $about:literal;)*) => {
        $(pub(crate) const $name: &str = $id;)*
        /// Every invariant with what it means here.
        pub(crate) const INVARIANTS: &[(&str, &str)] = &[$(($id, $about)),*];
    };
}

rules! {
    REGISTERS = "auth.registration.dcr-201": "a registration gives a client";
    AUTHORISES = "auth.authorization.ignore-unknown-params": "a right authorization request gives a code";
    CODE_ONCE = "auth.authorization.code-one-time": "a code works once";
    CODE_REPLAY = "auth.authorization.code-replay-revoke": "the second use of a code ends what the first one gave";
    CODE_LIFE = "auth.authorization.code-short-lived": "a code is worth nothing after its life";
    CODE_CLIENT = "auth.authorization.code-bound-client": "a code is for the client it was given to";
    CODE_REDIRECT = "auth.authorization.code-bound-redirect": "a code is for its redirect URI";
    CODE_VERIFIER = "auth.authorization.pkce-verify": "a code needs the verifier of its request";
    CODE_WORKS = "auth.authorization.oauth21": "a fresh code works for its client";
    GRANT_ERROR = "auth.token.error-invalid-grant": "what is worth nothing gets invalid_grant";
    ERROR_FORMAT = "auth.token.error-format": "a refusal of the token endpoint says why, and is not a failure of the server";
    TOKEN_MEMBERS = "auth.token.response-members": "a token response has what it needs";
    EXPIRES_IN = "auth.token.response-expires-in": "a token response says how long the token lives";
    CLIENT_KNOWN = "auth.token.error-invalid-client": "a client that is registered is known";
    REFRESH_CLIENT = "auth.token.refresh-bound-client": "a refresh token is for its client";
    REFRESH_SCOPE = "auth.token.refresh-scope-limit": "a refresh never widens scope";
    REFRESH_SCOPE_SAME = "auth.token.refresh-scope-default": "a refresh without scope keeps it";
    REFRESH_SCOPE_KEPT = "auth.token.refresh-new-token-scope": "asking for less once costs nothing later";
    REFRESH_RESOURCE = "auth.token.refresh-bound-grant": "a refresh stays with the resource of its grant";
    REFRESH_ROTATES = "auth.token.refresh-rotate-public": "a refresh gives a new refresh token";
    REFRESH_OLD = "auth.token.refresh-old-invalid": "a refresh token from before works no more";
    REUSE_FAMILY = "auth.token.refresh-reuse-revokes-family": "a reused refresh token ends its family";
    REUSE_ACCESS = "auth.token.refresh-reuse-revokes-access": "a reused refresh token ends the access tokens of its family";
    ISOLATED = "auth.token.refresh-chain-isolated": "the end of one grant leaves others alone";
    REFRESH_LIFE = "auth.token.refresh-inactivity-expiry": "a refresh token that lay unused too long is over";
    REFRESH_LIFE_ERROR = "auth.token.refresh-expired-error": "one that is over gets invalid_grant";
    REFRESH_WORKS = "auth.token.refresh-rotated-not-lost": "an honest client is not locked out";
    REFRESH_RACE = "auth.token.refresh-concurrent": "two refreshes at once leave the grant whole";
    REVOKE_REFRESH = "auth.token.revocation-refresh": "a revoked refresh token is over";
    REVOKE_CASCADE = "auth.token.revocation-cascade": "with a refresh token its access tokens are revoked";
    REVOKE_NOW = "auth.token.revocation-immediate": "a revoked access token is over at once";
    REVOKE_ACCESS = "auth.token.revocation-access": "an access token can be revoked";
    REVOKE_OWN = "auth.token.revocation-client-auth": "a client revokes its own tokens alone";
    MISSING = "auth.resource-server.401-missing": "a request without a token gets 401";
    EVERY_REQUEST = "auth.resource-server.every-request": "every request needs a token, also in a session";
    INVALID = "auth.resource-server.401-invalid": "a token that nobody made gets 401";
    EXPIRED = "auth.resource-server.401-expired": "an expired token gets 401";
    EXPIRY = "auth.resource-server.expiry-enforced": "no call is authorised after the end of its token";
    REVOKED = "auth.resource-server.401-revoked": "a revoked token gets 401";
    AUDIENCE = "auth.resource-server.audience": "a token for another resource opens nothing";
    SCOPE = "auth.resource-server.403-scope": "a token may do no more than its scopes say";
    SERVED = "auth.resource-server.own-token-served": "a living token is served";
    RECOVERS = "auth.resource-server.recover-after-refresh": "a refreshed token is served";
    OPENS = "lifecycle.initialize-result": "a session can be opened";
    ANSWERED = "base.response-exactly-one": "every request gets exactly one answer";
    WORKS = "lifecycle.declared-feature-works": "a session that is in use lives on";
    SESSION_APART = "transport.http.session-id-secure": "every session has an id of its own";
    SESSION_USER = "transport.http.session-id-bound-to-user": "a session belongs to its user";
    SESSION_UNKNOWN = "transport.http.session-unknown-id-404": "a session that never was gets 404";
    SESSION_OVER = "transport.http.session-404-after-termination": "a session that was ended gets 404";
    SESSION_IDLE = "session-leak": "a session that lay idle too long is over";
    SESSION_TOKEN = "transport.http.session-survives-token-refresh": "a session survives a refresh";
    SESSION_BLINK = "transport.http.session-survives-reconnect": "a session survives its connection";
    SESSION_DELETES = "transport.http.session-delete-effective": "a session can be deleted";
    SESSION_SCOPED = "transport.http.session-delete-scoped": "the end of a session leaves others alone";
    SESSION_FOREIGN = "transport.http.session-delete-foreign-refused": "nobody ends the session of somebody else";
    NO_5XX = "transport.http.status-not-5xx-for-client-fault": "no request of a client makes the server fail";
    CALL_SURVIVES = "transport.http.disconnect-not-cancel": "a broken connection does not end its call";
    CALL_ANSWERED = "transport.http.sse-response-arrives": "a streamed call gets its response";
    CALL_RESUMES = "transport.http.resume-get": "a stream that broke can be resumed";
    NO_REPEATS = "transport.http.resume-replay": "no event is delivered twice";
    CANCEL_SILENT = "utilities.cancellation.no-response": "a cancelled call gets no response";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::requirements;

    #[test]
    fn every_invariant_is_a_requirement_or_a_report_from_the_field() {
        let field = include_str!("../../../fixtures/field-failures.yaml");
        for (index, (id, about)) in INVARIANTS.iter().enumerate() {
            let known = requirements().get(id).is_some() || field.contains(&format!("- id: {id}\n"));
            assert!(known && !about.is_empty(), "{id}");
            assert!(INVARIANTS[index + 1..].iter().all(|(other, _)| other != id), "{id}");
        }
    }
}
