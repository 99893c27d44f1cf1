//! The resource server: which request may come in with which token, and the challenges of those that may not.
//!
//! RFC 6750, RFC 9728 section 5.1, and the authorization page of each revision. It must not know how tokens are made.

use axum::http::HeaderMap;
use serde_json::json;

use super::dispatch::App;
use super::fault::Rule;
use super::http::Reply;
use super::oauth::{Bearer, SCOPES};

/// Who sends a request, and what they may do.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The person, or the client itself.
    pub(crate) subject: String,
    scopes: Vec<String>,
}

impl Caller {
    /// Whether the caller has a scope, or one that implies it.
    pub(crate) fn may(&self, scope: &str) -> bool {
        let rank = |name: &str| SCOPES.iter().position(|known| *known == name);
        let needed = rank(scope);
        self.scopes.iter().any(|held| held == scope || (needed.is_some() && rank(held) > needed))
    }
}

/// The scope that a tool needs beyond the weakest: tools that change something need `mcp:write`.
pub(crate) fn scope_of_tool(read_only: bool) -> &'static str {
    if read_only { SCOPES[0] } else { SCOPES[1] }
}

/// Lets a request in, or gives the refusal; `None` where the server asks for no authorization.
pub(crate) fn admit(app: &App, headers: &HeaderMap) -> Result<Option<Caller>, Reply> {
    let Some(issuer) = &app.issuer else { return Ok(None) };
    let mut sent = headers.get_all("authorization").iter();
    let Some(first) = sent.next() else { return Err(challenge(app, 401, None, SCOPES[0])) };
    if sent.next().is_some() {
        return Err(challenge(app, 400, Some(("invalid_request", "several Authorization headers")), SCOPES[0]));
    }
    let Some(token) = first.to_str().ok().and_then(token_of) else {
        return Err(challenge(app, 400, Some(("invalid_request", "the Authorization header is malformed")), SCOPES[0]));
    };
    let refused =
        || challenge(app, 401, Some(("invalid_token", "the token is not valid here, expired or revoked")), SCOPES[0]);
    let bearer = issuer.bearer(token).ok_or_else(refused)?;
    if !meant_for(app, &bearer) && app.faults.holds(Rule::AudienceEnforced) {
        return Err(refused());
    }
    let caller = Caller { subject: bearer.grant.subject, scopes: bearer.scopes };
    if !caller.may(SCOPES[0]) && app.faults.holds(Rule::ScopeEnforced) {
        return Err(insufficient(app, SCOPES[0]));
    }
    Ok(Some(caller))
}

/// The token of a `Bearer` credential; the scheme has no case (RFC 9110 section 11.1).
fn token_of(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim_start();
    // b64token of RFC 6750 section 2.1.
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(legal)).then_some(token)
}

fn meant_for(app: &App, bearer: &Bearer) -> bool {
    bearer.audience.as_deref() == Some(app.resource().as_str())
}

/// The refusal of a token with too little scope (RFC 6750 section 3.1).
pub(crate) fn insufficient(app: &App, scope: &str) -> Reply {
    challenge(app, 403, Some(("insufficient_scope", "the token does not cover this operation")), scope)
}

fn challenge(app: &App, status: u16, error: Option<(&str, &str)>, scope: &str) -> Reply {
    if let Some(issuer) = app.issuer.as_ref().filter(|_| status == 401) {
        issuer.counts.challenges.one();
    }
    let metadata = app.resource_metadata_url();
    let mut text = format!("Bearer resource_metadata=\"{metadata}\", scope=\"{scope}\"");
    if let Some((code, description)) = error {
        text = format!(
            "Bearer error=\"{code}\", error_description=\"{description}\", resource_metadata=\"{metadata}\", scope=\"{scope}\""
        );
    }
    let body = match error {
        Some((code, description)) => json!({"error": code, "error_description": description}),
        None => json!({"error_description": "this server asks for an access token"}),
    };
    Reply::json(status, &body).with("www-authenticate", &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_credentials() {
        assert_eq!(token_of("Bearer abc.def"), Some("abc.def"));
        assert_eq!(token_of("bEaReR  x=="), Some("x=="));
        for wrong in ["Bearer", "Bearer ", "Basic x", "Bearer a b", "Bearer \u{e9}", ""] {
            assert_eq!(token_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_broader_scope_is_enough() {
        let caller = |scope: &str| Caller { subject: "s".into(), scopes: vec![scope.into()] };
        assert!(caller("mcp:admin").may("mcp:write") && caller("mcp:write").may("mcp:read"));
        assert!(!caller("mcp:read").may("mcp:write") && !caller("other").may("mcp:read"));
    }
}
