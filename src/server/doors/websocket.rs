//! WebSocket (RFC 6455): which request becomes a socket. `docs/transports.md` has the rules, since no revision of the
//! protocol has any.
//!
//! What happens on the socket is for `socket`.

use std::sync::Arc;

use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::socket::{Way, carry};
use super::{Channel, Connection};
use crate::model::{Revision, Via};
use crate::server::answer::Reply;
use crate::server::bearer::{self, Caller};
use crate::server::config::Eras;
use crate::server::dispatch::App;
use crate::server::fault::Rule;
use crate::server::http::header;
use crate::server::lifecycle;
use crate::server::reply::code;
use crate::server::session::Reader;

/// The subprotocol.
const PROTOCOL: &str = "mcp";
/// How many bytes the key of a client has (RFC 6455 section 4.1).
const KEY_LENGTH: usize = 16;

/// Whether a list of tokens in a header has this one.
fn lists(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
}

/// Whether a request wants to become a socket.
pub(crate) fn asks_for(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::GET && lists(headers, "upgrade", "websocket")
}

/// The revisions that may be named before there is a socket.
fn spoken(eras: Eras) -> &'static [Revision] {
    match eras {
        Eras::Both => &Revision::ALL,
        Eras::Legacy => &Revision::LEGACY,
        Eras::Modern => &[Revision::V2026_07_28],
    }
}

/// The refusal of an upgrade by its headers alone (RFC 6455 section 4.2.1).
fn refuse(eras: Eras, headers: &HeaderMap) -> Option<Reply> {
    let bad = |why| Some(Reply::refuse(400, None, code::INVALID_REQUEST, why));
    if header(headers, "sec-websocket-version") != Some("13") {
        let refusal = Reply::refuse(426, None, code::INVALID_REQUEST, "Only version 13 of WebSocket is spoken");
        return Some(refusal.with("upgrade", "websocket").with("sec-websocket-version", "13"));
    }
    if !lists(headers, "connection", "upgrade") {
        return bad("Connection has to say upgrade");
    }
    let key = header(headers, "sec-websocket-key").and_then(|key| STANDARD.decode(key).ok());
    if key.is_none_or(|key| key.len() != KEY_LENGTH) {
        return bad("Sec-WebSocket-Key has to be 16 bytes in Base64");
    }
    if !lists(headers, "sec-websocket-protocol", PROTOCOL) {
        return bad("Sec-WebSocket-Protocol has to offer mcp");
    }
    let version = headers.get("mcp-protocol-version");
    let known = |text: &str| spoken(eras).iter().any(|revision| revision.name() == text);
    if version.is_some_and(|version| !version.to_str().is_ok_and(known)) {
        return bad("MCP-Protocol-Version is not supported");
    }
    None
}

/// The channel that the socket is for: a new one, with its reader, or one that it goes on with.
fn channel_of(
    app: &App,
    headers: &HeaderMap,
    caller: Option<&Caller>,
) -> Result<(Arc<Channel>, Option<Reader>), Reply> {
    let subject = caller.map(|caller| caller.subject.as_str());
    if !headers.contains_key("mcp-session-id") {
        app.count_session();
        let (channel, reader) = Channel::new(lifecycle::session_id(app), Via::WebSocket, subject.map(str::to_owned));
        app.channels.insert(Arc::clone(&channel));
        return Ok((channel, Some(reader)));
    }
    let own = |channel: &Arc<Channel>| {
        channel.subject.as_deref() == subject || !app.faults.holds(Rule::SessionBoundToSubject)
    };
    let found = header(headers, "mcp-session-id").and_then(|id| app.channels.find(id, Via::WebSocket));
    // Where nobody has sent `initialize`, there is nothing to go on with.
    let found = found.filter(own).filter(|channel| channel.session().is_some());
    found
        .map(|channel| (channel, None))
        .ok_or_else(|| Reply::refuse(404, None, code::SESSION_NOT_FOUND, "Session not found"))
}

/// Answers the request for a socket, and leaves what to do on it with its connection.
pub(crate) fn upgrade(
    app: &Arc<App>,
    query: &str,
    headers: &HeaderMap,
    caller: Option<&Caller>,
    (connection, on): (&Connection, OnUpgrade),
) -> Reply {
    if let Some(refusal) = refuse(app.config.eras, headers) {
        return refusal;
    }
    let (channel, reader) = match channel_of(app, headers, caller) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let key = derive_accept_key(header(headers, "sec-websocket-key").unwrap_or_default().as_bytes());
    let reply = Reply::empty(101)
        .with("connection", "upgrade")
        .with("upgrade", "websocket")
        .with("sec-websocket-accept", &key)
        .with("sec-websocket-protocol", PROTOCOL)
        .with("mcp-session-id", &channel.id);
    let way = Way { query: query.to_owned(), headers: headers.clone() };
    connection.afterwards(carry(Arc::clone(app), channel, reader, way, on));
    reply
}

/// Ends the session of a socket.
pub(crate) async fn delete(app: &App, headers: &HeaderMap, caller: Option<&Caller>) -> Option<Reply> {
    let channel = app.channels.find(header(headers, "mcp-session-id")?, Via::WebSocket)?;
    let own = channel.subject.as_deref() == caller.map(|caller| caller.subject.as_str());
    if !own {
        return None;
    }
    channel.end(app).await;
    Some(Reply::empty(204))
}

impl Way {
    /// Who is on the socket now; nobody where the token is over.
    pub(super) async fn caller(&self, app: &App) -> Result<Option<Caller>, ()> {
        bearer::admit(app, &app.config.path, &Method::GET, &self.query, &self.headers).await.map_err(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(changes: &[(&'static str, &'static str)]) -> HeaderMap {
        let right = [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "other, mcp"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in right.iter().chain(changes) {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn an_upgrade_has_to_be_whole() {
        assert!(asks_for(&Method::GET, &headers(&[])) && !asks_for(&Method::POST, &headers(&[])));
        assert!(!asks_for(&Method::GET, &headers(&[("upgrade", "h2c")])));
        assert!(refuse(Eras::Both, &headers(&[("mcp-protocol-version", "2024-11-05")])).is_none());
        assert!(refuse(Eras::Legacy, &headers(&[("mcp-protocol-version", "2026-07-28")])).is_some());
        let wrong = [
            ("sec-websocket-version", "8", 426),
            ("connection", "close", 400),
            ("sec-websocket-key", "dGhlIHNhbXBsZQ==", 400),
            ("sec-websocket-protocol", "mcp2", 400),
            ("mcp-protocol-version", "1999-01-01", 400),
        ];
        for (name, value, status) in wrong {
            let refusal = refuse(Eras::Both, &headers(&[(name, value)])).expect(name);
            assert_eq!(refusal.head.status, status, "{name}");
        }
    }
}
