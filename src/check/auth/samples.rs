//! Transcripts with OAuth in them, for the tests of the checks.

use serde_json::{Value, json};

use crate::transcript::Builder;

/// The revision that most samples speak.
pub(super) const NEWEST: &str = "2025-11-25";
/// The challenge that a right server sends to a request without a token.
pub(super) const FIRST: &str = "Bearer resource_metadata=\"http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp\", \
                                scope=\"mcp:read\"";
/// The challenge that it sends to a bad token.
pub(super) const BAD: &str = "Bearer error=\"invalid_token\", \
                              resource_metadata=\"http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp\", \
                              scope=\"mcp:read\"";

/// The metadata of the endpoint, as it should be.
pub(super) fn document() -> Value {
    json!({"resource": "http://127.0.0.1:8080/mcp", "authorization_servers": ["http://127.0.0.1:8080"],
        "scopes_supported": ["mcp:read"], "bearer_methods_supported": ["header"]})
}

fn hello(revision: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}})
    .to_string()
}

/// An `initialize` without a token, before its answer.
pub(super) fn knock(revision: &str) -> Builder {
    Builder::new().request("POST", &[], Some(&hello(revision)))
}

/// An `initialize` that was refused with this challenge (none if empty).
pub(super) fn refused(revision: &str, challenge: &str) -> Builder {
    deny(knock(revision), 401, challenge)
}

/// The refusal of the latest request.
pub(super) fn deny(builder: Builder, status: u16, challenge: &str) -> Builder {
    let headers: &[(&str, &str)] = if challenge.is_empty() { &[] } else { &[("www-authenticate", challenge)] };
    builder.answer(status, headers, "")
}

/// The metadata of the resource, fetched from its place with the path.
pub(super) fn fetched(builder: Builder, document: &Value) -> Builder {
    builder.outside("GET", "/.well-known/oauth-protected-resource/mcp", &[], None).json(200, document)
}

/// Another metadata request that found nothing.
pub(super) fn nothing_at(builder: Builder, place: &str) -> Builder {
    builder.outside("GET", place, &[], None).answer(404, &[], "")
}

/// A token of an hour, given for this form.
pub(super) fn token(builder: Builder, label: &str, form: &str) -> Builder {
    builder.outside("POST", "/token", &[("content-type", "application/x-www-form-urlencoded")], Some(form)).json(
        200,
        &json!({"access_token": label, "token_type": "Bearer", "expires_in": 3600, "refresh_token": "refresh#1"}),
    )
}

/// A conversation that was opened with a token, after the first refusal; session `session#1`.
pub(super) fn inside(revision: &str) -> Builder {
    let builder = fetched(refused(revision, FIRST), &document());
    let builder = token(builder, "access#1", "grant_type=authorization_code&code=code%231");
    let result = json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": revision, "capabilities": {},
        "serverInfo": {"name": "t", "version": "1"}}});
    let headers = [("content-type", "application/json"), ("mcp-session-id", "session#1")];
    let builder = builder
        .request("POST", &[("authorization", "Bearer access#1")], Some(&hello(revision)))
        .answer(200, &headers, &result.to_string())
        .session("session#1");
    let done = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    with(builder, revision, "Bearer access#1", &done).answer(202, &[], "")
}

fn with(builder: Builder, revision: &str, authorization: &str, body: &str) -> Builder {
    builder.request("POST", &[("authorization", authorization), ("mcp-protocol-version", revision)], Some(body))
}

/// A ping with this header (none if empty), before its answer.
pub(super) fn ping(builder: Builder, authorization: &str) -> Builder {
    with(builder, NEWEST, authorization, &json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}).to_string())
}

/// A request without a body in the session, before its answer.
pub(super) fn bare(builder: Builder, method: &str, authorization: &str) -> Builder {
    builder.request(method, &[("authorization", authorization), ("mcp-protocol-version", NEWEST)], None)
}

/// The result of the latest ping.
pub(super) fn pong(builder: Builder) -> Builder {
    builder.json(200, &json!({"jsonrpc": "2.0", "id": 7, "result": {}}))
}

/// A conversation without any authorization.
pub(super) fn open_server() -> Builder {
    Builder::new().initialize(NEWEST)
}
