//! Which era a request of the client belongs to, and whether the server has shown that it speaks the modern one.
//!
//! In the modern era each request says its version and the client's capabilities itself. That a request does so binds
//! a server only that knows the era: one that never gave a modern answer is judged by what it does speak.

use std::collections::HashSet;

use serde_json::Value;

use super::exchange::Exchange;
use super::view::{Direction, Msg};
use crate::model::{Era, Kind, Members as _, Revision, Via};

/// The member of `_meta` that names the version of a request.
pub const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The member of `_meta` with the client's capabilities.
pub const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The member of `_meta` with the client's name.
pub const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
/// The member of `_meta` with the server's name.
pub const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";
/// The member of `_meta` that says to which subscription a message belongs.
pub const META_SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// The member of `_meta` with the level from which on a request wants log messages.
pub const META_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// Whether a version is one of the modern era.
pub fn is_modern_version(version: &str) -> bool {
    version.parse::<Revision>().is_ok_and(|revision| revision.facts().era == Era::Modern)
}

/// Whether a message carries metadata that only the modern era has.
pub fn has_modern_meta(message: &Value) -> bool {
    let meta = message.at("params").at("_meta");
    meta.get(META_VERSION).is_some() || meta.get(META_CAPABILITIES).is_some()
}

/// What a request was sent to: transport and path.
pub(super) fn place(exchange: &Exchange) -> (Via, &str) {
    (exchange.via, exchange.path())
}

/// Whether a request bears a mark of the modern era: its metadata, its version header, or a method or header that no
/// other era has. A method alone counts outside of sessions only.
fn is_marked(exchange: &Exchange, in_handshake: bool) -> bool {
    let body = exchange.sent_json();
    // The handshake names its version in its parameters; what its headers say is no matter there.
    if body.is_some_and(|body| body.at("method") == "initialize" && !has_modern_meta(body)) {
        return false;
    }
    if body.is_some_and(has_modern_meta) || exchange.sent_header("mcp-protocol-version").is_some_and(is_modern_version)
    {
        return true;
    }
    let method = body.and_then(|body| body.at("method").as_str());
    let new = matches!(method, Some("server/discover" | "subscriptions/listen"));
    exchange.session().is_none() && !in_handshake && (new || exchange.sent_header("mcp-method").is_some())
}

/// Whether an answer to a marked request is one that only a server of the modern era gives.
fn shows(msg: &Msg) -> bool {
    if msg.method() == Some("notifications/subscriptions/acknowledged") {
        return true;
    }
    if msg.kind != Kind::Response {
        return false;
    }
    let modern =
        |list: &Value| list.as_array().is_some_and(|list| list.iter().filter_map(Value::as_str).any(is_modern_version));
    let result = msg.value.at("result");
    match msg.message().error_code() {
        Some(-32020 | -32021) => true,
        Some(-32022) => modern(msg.value.at("error").at("data").at("supported")),
        _ => result.at("resultType").is_string() || modern(result.at("supportedVersions")),
    }
}

/// Which exchanges are of the modern era: marked, and sent to a place that showed the era at any time.
pub(super) fn modern(exchanges: &[Exchange], messages: &[Msg]) -> Vec<bool> {
    let mut handshakes: HashSet<u32> = HashSet::new();
    let marked: Vec<bool> = exchanges
        .iter()
        .map(|exchange| {
            let line = exchange.line().filter(|_| exchange.via.has_one_stream());
            let is = is_marked(exchange, line.is_some_and(|line| handshakes.contains(&line)));
            if !is && exchange.sent_json().is_some_and(|body| body.at("method") == "initialize") {
                handshakes.extend(line);
            }
            is
        })
        .collect();
    if !marked.contains(&true) {
        return marked;
    }
    let lines: HashSet<u32> = (0..exchanges.len())
        .filter(|index| marked[*index] && exchanges[*index].via.has_one_stream())
        .filter_map(|index| exchanges[index].line())
        .collect();
    let places: HashSet<(Via, &str)> = messages
        .iter()
        .filter(|msg| msg.direction == Direction::Received && shows(msg))
        .filter(|msg| {
            let exchange = &exchanges[msg.exchange];
            marked[msg.exchange] || exchange.line().is_some_and(|line| lines.contains(&line))
        })
        .map(|msg| place(&exchanges[msg.exchange]))
        .collect();
    marked.iter().zip(exchanges).map(|(marked, exchange)| *marked && places.contains(&place(exchange))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::transcript::{Builder, View};

    fn eras(builder: &Builder) -> Vec<bool> {
        let events = builder.clone().finish();
        View::new(&events).exchanges.iter().map(|exchange| exchange.modern).collect()
    }

    #[test]
    fn a_request_that_says_so_is_modern_where_the_server_showed_that_it_knows_the_era() {
        let both = Builder::new().initialize("2025-11-25").modern().discover(json!({}));
        assert_eq!(eras(&both), [false, false, true]);
        // A session header does not change it, and what names nothing stays with its session.
        let mixed = both.probe(&[("mcp-session-id", "session#1")], "tools/list", Value::Null);
        let mixed = mixed.serves("tools/list", json!({"tools": []})).legacy().session("session#1");
        let mixed = mixed.call("tools/list", Value::Null, json!({"tools": []}));
        assert_eq!(eras(&mixed), [false, false, true, true, false]);
        let events = mixed.finish();
        let view = View::new(&events);
        let of = |index: usize| view.exchanges[index].revision.map(Revision::name);
        assert_eq!((of(3), of(4)), (Some("2026-07-28"), Some("2025-11-25")));
        assert_eq!(view.conversations.len(), 2);
    }

    #[test]
    fn a_server_without_the_era_makes_nothing_modern() {
        let probe = Builder::new().modern().probe(&[], "server/discover", Value::Null);
        let old = probe.refuses(200, -32601, Value::Null).legacy().initialize("2025-06-18");
        assert_eq!(eras(&old), [false, false, false]);
        let tried = Builder::new().initialize("2025-11-25").modern().probe(&[], "tools/list", Value::Null);
        let served = json!({"jsonrpc": "2.0", "id": 3, "result": {"tools": []}});
        assert_eq!(eras(&tried.json(200, &served)), [false, false, false], "served by the rules of a session, or none");
    }

    #[test]
    fn on_one_channel_both_eras_are_told_apart() {
        let both = Builder::new().channel(Via::Stdio).initialize("2025-11-25").modern().discover(json!({}));
        let both = both.listen(json!({"toolsListChanged": true}), json!({"toolsListChanged": true}));
        let note = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        let events = both.comes(&note.to_string()).finish();
        let view = View::new(&events);
        let notes: Vec<_> = view.received().filter(|msg| msg.kind == Kind::Notification).collect();
        let revisions: Vec<_> = notes.iter().filter_map(|msg| msg.revision).map(Revision::name).collect();
        assert_eq!(revisions, ["2026-07-28", "2025-11-25"], "the tagged one is the subscription's");
    }

    #[test]
    fn equal_ids_at_a_time_belong_to_their_own_exchanges() {
        let start = Builder::new().modern().discover(json!({}));
        let message = start.message(&json!(7), "tools/list", Value::Null);
        let done = json!({"jsonrpc": "2.0", "id": 7, "result": {"resultType": "complete", "tools": []}});
        let events = start.post(&message).post(&message).json(200, &done).finish();
        let view = View::new(&events);
        let answered: Vec<usize> = view.calls.iter().map(|call| call.responses.len()).collect();
        assert_eq!(answered, [1, 0, 1]);
    }
}
