//! The resource server: which request may come in with which token, and the challenges of those that may not.
//!
//! RFC 6750, RFC 9728 section 5.1, and the authorization page of each revision. It must not know how tokens are made.

use std::fmt::Write as _;
use std::time::Duration;

use axum::http::{HeaderMap, Method};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::answer::Reply;
use super::dispatch::App;
use super::fault::Rule;
use super::http::header;
use super::oauth::{Bearer, Issuer, SCOPES, Stated, is_signed_text};
use crate::model::Clock as _;
use crate::model::Members as _;

/// Bytes of the digest of a token by which a session knows it again.
const MARK: usize = 16;
/// How long after the start of the server tokens still count as fresh where a fault asks.
const FRESH_S: u64 = 60;

/// Who sends a request, and what they may do.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The person, or the client itself.
    pub(crate) subject: String,
    /// What tells the token from others without giving it away, and the end of its life; absent where none was looked at.
    pub(crate) token: Option<(String, Duration)>,
    scopes: Vec<String>,
}

/// What a token says that is good but for its audience.
struct Known {
    subject: String,
    scopes: Vec<String>,
    audience: Option<String>,
    /// Seconds since the Unix epoch at which it was issued.
    issued: u64,
    /// When its life ends, since the Unix epoch.
    end: Duration,
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

/// Lets a request in, or gives the refusal; `None` where the server asks for no authorization. `door` is the path of the
/// endpoint that it is for, which is a resource of its own.
pub(crate) async fn admit(
    app: &App,
    door: &str,
    method: &Method,
    query: &str,
    headers: &HeaderMap,
) -> Result<Option<Caller>, Reply> {
    let Some(issuer) = &app.issuer else { return Ok(None) };
    if let Some(caller) = waved_through(app, issuer, method, headers) {
        return Ok(Some(caller));
    }
    if !app.faults.holds(Rule::QueryTokensIgnored)
        && let Some((_, token)) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "access_token")
    {
        return verified(app, door, issuer, &token).await.map(Some);
    }
    let mut sent = headers.get_all("authorization").iter();
    let Some(first) = sent.next() else { return Err(challenge(app, door, 401, None, SCOPES[0])) };
    if sent.next().is_some() {
        let error = Some(("invalid_request", "several Authorization headers"));
        return Err(challenge(app, door, 400, error, SCOPES[0]));
    }
    let Some(token) = first.to_str().ok().and_then(token_of) else {
        let error = Some(("invalid_request", "the Authorization header is malformed"));
        return Err(challenge(app, door, 400, error, SCOPES[0]));
    };
    if !app.faults.holds(Rule::SchemeCaseless) && !first.as_bytes().starts_with(b"Bearer ") {
        return Err(refused(app, door));
    }
    // A fault has the audience of this surface from another setting.
    if *method == Method::GET && !app.faults.holds(Rule::AudienceSame) {
        return Err(refused(app, door));
    }
    verified(app, door, issuer, token).await.map(Some)
}

/// Whom faults let in without a look at the token: whoever names a session, or holds any text at all.
fn waved_through(app: &App, issuer: &Issuer, method: &Method, headers: &HeaderMap) -> Option<Caller> {
    let rule = if method == Method::POST { Rule::EveryRequestGuarded } else { Rule::AllMethodsGuarded };
    let session = header(headers, "mcp-session-id").and_then(|id| app.sessions.at_hand(id));
    let subject = session.and_then(|session| session.subject.clone());
    let sent = header(headers, "authorization");
    let forged = || {
        sent.and_then(token_of).is_some_and(|token| {
            // What is signed claims at least is looked at.
            issuer.tokens.read_access(token).is_none() && !is_signed_text(token)
        })
    };
    let scopes = SCOPES.iter().map(|scope| (*scope).to_owned()).collect();
    if sent.is_none() && !app.faults.holds(rule) {
        return subject.map(|subject| Caller { subject, token: None, scopes });
    }
    (!app.faults.holds(Rule::TokensVerified) && forged()).then(|| Caller {
        subject: subject.unwrap_or_else(|| "anybody".to_owned()),
        token: None,
        scopes,
    })
}

/// The refusal of a token that is worth nothing here.
fn refused(app: &App, door: &str) -> Reply {
    challenge(app, door, 401, Some(("invalid_token", "the token is not valid here, expired or revoked")), SCOPES[0])
}

/// Who stands behind a token.
async fn verified(app: &App, door: &str, issuer: &Issuer, token: &str) -> Result<Caller, Reply> {
    let Known { mut subject, scopes, audience, issued, end } =
        known(issuer, token).await?.ok_or_else(|| refused(app, door))?;
    let meant =
        audience.as_ref().map_or(!app.faults.holds(Rule::AudienceDemanded), |one| *one == app.resource_at(door));
    if !meant && app.faults.holds(Rule::AudienceEnforced) {
        return Err(refused(app, door));
    }
    let began = issuer.now().saturating_sub(app.clock.elapsed()).as_secs();
    if !app.faults.holds(Rule::FreshTokensTaken) && issued > began + FRESH_S {
        return Err(refused(app, door));
    }
    if !app.faults.holds(Rule::SessionOutlivesToken) {
        subject = format!("{subject} {token}");
    }
    let mark = digest(&SHA256, token.as_bytes()).as_ref().iter().take(MARK).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    let caller = Caller { subject, token: Some((mark, end)), scopes };
    if !caller.may(SCOPES[0]) && app.faults.holds(Rule::ScopeEnforced) {
        return Err(insufficient(app, door, SCOPES[0]));
    }
    Ok(caller)
}

/// What a token says that is good but for its audience: by the grant behind it, or by its own claims where there is none.
async fn known(issuer: &Issuer, token: &str) -> Result<Option<Known>, Reply> {
    let bearer = issuer.bearer(token).await.map_err(|_| Reply::unavailable(None))?;
    if let Some(Bearer { claims, grant, scopes, audience }) = bearer {
        let known = Known { subject: grant.subject, scopes, audience, issued: claims.issued, end: claims.end() };
        return Ok(Some(known));
    }
    // A grant that is over is not made good by what its token says.
    if issuer.tokens.read_access(token).is_some() {
        return Ok(None);
    }
    let known = |Stated { subject, scopes, audience, issued, end }| Known { subject, scopes, audience, issued, end };
    Ok(issuer.stated(token).map(known))
}

/// The token of a `Bearer` credential; the scheme has no case (RFC 9110 section 11.1).
fn token_of(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim_start();
    // b64token of RFC 6750 section 2.1.
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(legal)).then_some(token)
}

/// What a fault makes of the refusal of a tool call without a token, or with one that is over: a result that only people
/// can read.
pub(crate) fn as_tool_error(app: &App, headers: &HeaderMap, message: &Value) -> Option<Reply> {
    let issuer = app.issuer.as_ref()?;
    let over = |token| issuer.tokens.read_access(token).is_some_and(|(claims, _)| claims.end() <= issuer.now());
    if header(headers, "authorization").is_some_and(|sent| !token_of(sent).is_some_and(over)) {
        return None;
    }
    let id = message.member("id").filter(|_| message.at("method") == "tools/call")?;
    let result = json!({"content": [{"type": "text", "text": "Unauthorized"}], "isError": true});
    Some(Reply::json(200, &json!({"jsonrpc": "2.0", "id": id, "result": result})))
}

/// The refusal of a token with too little scope (RFC 6750 section 3.1).
pub(crate) fn insufficient(app: &App, door: &str, scope: &str) -> Reply {
    challenge(app, door, 403, Some(("insufficient_scope", "the token does not cover this operation")), scope)
}

fn challenge(app: &App, door: &str, status: u16, error: Option<(&str, &str)>, scope: &str) -> Reply {
    if let Some(issuer) = app.issuer.as_ref().filter(|_| status == 401) {
        issuer.counts.challenges.one();
    }
    let bad_token = error.is_some_and(|(code, _)| code == "invalid_token");
    let mut parts = Vec::new();
    if let Some((code, description)) = error {
        parts.extend([format!("error=\"{code}\""), format!("error_description=\"{description}\"")]);
    }
    if !bad_token || app.faults.holds(Rule::MetadataAlwaysNamed) {
        parts.push(format!("resource_metadata=\"{}\"", app.resource_metadata_url(door)));
    }
    parts.push(format!("scope=\"{scope}\""));
    let text = format!("Bearer {}", parts.join(", "));
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
        let caller = |scope: &str| Caller { subject: "s".into(), token: None, scopes: vec![scope.into()] };
        assert!(caller("mcp:admin").may("mcp:write") && caller("mcp:write").may("mcp:read"));
        assert!(!caller("mcp:read").may("mcp:write") && !caller("other").may("mcp:read"));
    }
}
