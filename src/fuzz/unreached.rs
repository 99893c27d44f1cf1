//! Which invariants nothing can show at a server of somebody else's, and why. Pure.

use super::foreign::Foreign;
use super::model::INVARIANTS;

/// What it takes to see an access token expire without a clock to move.
const LIVE_SHORT: &str = "access tokens that live for seconds (--leeway)";

/// What an invariant needs that not every server has; nothing where any server shows it.
fn needs(id: &str) -> Option<&'static str> {
    const CLOCK: &[&str] = &["code-short-lived", "inactivity-expiry", "expired-error", "session-leak"];
    const SHORT: &[&str] = &["401-expired", "expiry-enforced"];
    const APART: &[&str] = &[
        "id-bound-to-user",
        "delete-foreign",
        "resource-server.audience",
        "refresh-bound-grant",
        "403-scope",
        "scope-limit",
        "scope-default",
        "new-token-scope",
    ];
    const KNOWN: &[&str] = &["refresh-old-invalid", "reuse-revokes", "refresh-rotated-not-lost"];
    const STREAMS: &[&str] = &["disconnect-not-cancel", "sse-response", "resume-", "utilities.cancellation"];
    let one_of = |parts: &[&str]| parts.iter().any(|part| id.contains(part));
    if one_of(CLOCK) {
        Some("a clock that can be moved")
    } else if one_of(SHORT) {
        Some(LIVE_SHORT)
    } else if one_of(APART) {
        Some("users, scopes and resources to tell apart")
    } else if one_of(KNOWN) {
        Some("known lifetimes")
    } else if one_of(STREAMS) {
        Some("a tool that takes a while")
    } else if id.contains("revocation") {
        Some("revocation")
    } else if id.starts_with("auth.") || id.contains("token-refresh") {
        Some("authorization")
    } else if id.starts_with("transport.http.session-") {
        Some("sessions with ids")
    } else {
        None
    }
}

/// The ids of all invariants.
pub fn invariants() -> impl Iterator<Item = &'static str> {
    INVARIANTS.iter().map(|(id, _)| *id)
}

/// Every invariant that cannot be reached there, with what that would need.
pub fn unreached(foreign: &Foreign) -> Vec<(&'static str, &'static str)> {
    let lacks = |need: &str| match need {
        "authorization" => !foreign.terms.guarded,
        LIVE_SHORT => foreign.without.contains(&"time"),
        "sessions with ids" => !foreign.terms.sessions,
        "revocation" => foreign.without.contains(&"revoke"),
        _ => true,
    };
    INVARIANTS.iter().filter_map(|(id, _)| Some((*id, needs(id)?))).filter(|(_, need)| lacks(need)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_server_shows_needs_nothing() {
        assert_eq!(needs("base.response-exactly-one"), None);
        assert_eq!(needs("transport.http.session-404-after-termination"), Some("sessions with ids"));
        assert_eq!(needs("auth.authorization.code-one-time"), Some("authorization"));
        assert_eq!(needs("auth.token.revocation-refresh"), Some("revocation"));
        assert_eq!(needs("auth.resource-server.expiry-enforced"), Some(LIVE_SHORT));
    }
}
