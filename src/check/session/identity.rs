//! The session id: how it looks, and that it holds on every connection and for nobody else.

use crate::check::wire::{CLIENT_NOTIFICATIONS, body_error, came, faultless, over, told, well_formed};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _};
use crate::transcript::{Conversation, EventKind, Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.session-id-visible-ascii", judge: id_visible_ascii },
    Check { id: "transport.http.session-id-secure", judge: id_unguessable },
    Check { id: "transport.http.session-id-non-deterministic", judge: id_unguessable },
    Check { id: "transport.http.session-id-stable", judge: id_stable },
    Check { id: "transport.http.session-survives-reconnect", judge: survives_reconnect },
    Check { id: "transport.http.session-isolation", judge: isolation },
];

/// Shorter ids cannot hold 64 bits that differ, even with every visible character in use.
const SHORTEST: usize = 10;

struct Shape {
    seq: u32,
    length: usize,
    visible_ascii: bool,
    digits_only: bool,
}

/// Conversations with the shape of the id that the server gave them, each id once.
fn assigned<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Conversation, &'v str, Option<Shape>)> {
    view.conversations
        .iter()
        .filter(|conversation| out.covers(conversation.revision))
        .filter_map(|conversation| Some((conversation, conversation.session.as_deref()?)))
        .map(|(conversation, session)| {
            let shape = view.events.iter().find_map(|event| match &event.kind {
                EventKind::Secret { label, length, visible_ascii, digits_only } if label == session => Some(Shape {
                    seq: event.seq,
                    length: *length,
                    visible_ascii: *visible_ascii,
                    digits_only: *digits_only,
                }),
                _ => None,
            });
            (conversation, session, shape)
        })
        .collect()
}

/// A session id consists of visible ASCII characters.
fn id_visible_ascii(view: &View<'_>, out: &mut Findings) {
    for (conversation, session, shape) in assigned(view, out) {
        let Some(shape) = shape else { continue };
        out.require(shape.visible_ascii && shape.length > 0, || {
            told(
                format!("The session id {session} has characters outside visible ASCII."),
                &["only characters from 0x21 (!) to 0x7E (~)"],
                format!(
                    "an id of {} bytes with spaces, control or non-ASCII characters, or an empty one",
                    shape.length
                ),
                "build ids from hexadecimal digits, a UUID or base64url",
                view.exchanges[conversation.opened].evidence(),
            )
        });
    }
}

/// A session id cannot be guessed: it is long enough, no mere number, and no two sessions have the same one.
fn id_unguessable(view: &View<'_>, out: &mut Findings) {
    let all = assigned(view, out);
    for (index, (conversation, session, shape)) in all.iter().enumerate() {
        let twin = all[..index].iter().find(|(_, other, _)| other == session);
        let weak = shape.as_ref().filter(|shape| shape.length < SHORTEST || (shape.digits_only && shape.length < 20));
        if shape.is_none() && twin.is_none() {
            continue;
        }
        out.require(twin.is_none() && weak.is_none(), || {
            let evidence = view.exchanges[conversation.opened].evidence();
            told(
                match twin {
                    Some(_) => "Two sessions were given the same id.".to_owned(),
                    None => format!("The session id {session} is easy to guess."),
                },
                &["an id with at least 64 random bits, such as a random UUID"],
                match (twin, weak) {
                    (None, Some(shape)) if shape.digits_only => format!("{} digits", shape.length),
                    (None, Some(shape)) => format!("{} characters", shape.length),
                    _ => format!("{session} twice"),
                },
                "draw session ids from a cryptographic random source; never count, never use the time",
                evidence.into_iter().chain(weak.map(|shape| shape.seq)).collect(),
            )
        });
    }
}

/// The id does not change within a session.
fn id_stable(view: &View<'_>, out: &mut Findings) {
    for exchange in &view.exchanges {
        let (Some(sent), Some(got)) = (exchange.session(), exchange.got_header("mcp-session-id")) else { continue };
        if !faultless(view, exchange) || !out.covers(exchange.revision) {
            continue;
        }
        out.require(sent == got, || {
            told(
                "The server answered with another session id than the request had.".to_owned(),
                &["the same id, or no such header"],
                format!("sent {sent}, got {got}"),
                "assign the id in the answer to initialize and nowhere else",
                exchange.evidence(),
            )
        });
    }
}

fn is_known_notification(body: &serde_json::Value) -> bool {
    body.member("id").is_none()
        && body.at("method").as_str().is_some_and(|method| CLIENT_NOTIFICATIONS.contains(&method))
}

/// A session lives on when its client comes back on another connection.
fn survives_reconnect(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| exchange.method == "POST") {
        let Some(conversation) = exchange.conversation.map(|at| &view.conversations[at]) else { continue };
        let opening = &view.exchanges[conversation.opened];
        let before = |other: &Exchange| {
            other.connection == exchange.connection && other.conversation == exchange.conversation && other.is_success()
        };
        let first = !view.exchanges.iter().any(|other| other.seq < exchange.seq && before(other));
        // What is refused on a connection that served the session before is refused for another reason.
        let moved = exchange.connection != opening.connection && conversation.session.is_some() && first;
        // A body that is no proper message is refused for its own sake, on any connection.
        let proper = exchange.sent_json().is_some_and(|body| well_formed(body) || is_known_notification(body));
        if !moved
            || !proper
            || exchange.status.is_none()
            || !faultless(view, exchange)
            || !out.covers(exchange.revision)
        {
            continue;
        }
        let aged = view.events.iter().any(|event| {
            matches!(event.kind, EventKind::Clock { .. }) && event.seq > opening.seq && event.seq < exchange.seq
        });
        // What else ended it is judged where the end of sessions is.
        let between = |other: &Exchange| {
            other.method == "DELETE" && other.is_success() && other.seq > opening.seq && other.seq < exchange.seq
        };
        // A notification may get a 400 for what it says; only a 404 speaks of its session.
        let asks = view.messages.iter().any(|msg| msg.seq == exchange.seq && msg.kind == Kind::Request);
        let refused = exchange.status == Some(404) || (exchange.status == Some(400) && asks);
        let lost = refused && body_error(exchange) != Some(-32601);
        // That it went with its token is judged where tokens are.
        let renewed = exchange.sent_header("authorization") != opening.sent_header("authorization");
        if lost && (aged || renewed || view.exchanges.iter().any(between)) {
            out.inconclusive();
        } else if lost || exchange.is_success() {
            let known = !over(view, exchange);
            out.require(!lost || !known, || {
                told(
                    "The session was unknown as soon as its client came back on another connection.".to_owned(),
                    &["the same service on every connection"],
                    came(exchange),
                    "keep sessions in a store that all connections and instances share, not in the connection",
                    opening.evidence().into_iter().chain(exchange.evidence()).collect(),
                )
            });
        }
    }
}

/// The progress token of a message, which names the call it belongs to.
fn token(value: &serde_json::Value) -> Option<&serde_json::Value> {
    value.at("params").member("progressToken")
}

/// Progress of one session's call never shows up in another session.
fn isolation(view: &View<'_>, out: &mut Findings) {
    let issued = |token: &serde_json::Value| {
        let mut owners: Vec<Option<usize>> = view
            .messages
            .iter()
            .filter(|msg| !msg.received() && msg.value.at("params").at("_meta").member("progressToken") == Some(token))
            .map(|msg| msg.conversation)
            .collect();
        owners.dedup();
        owners
    };
    let several = view.conversations.iter().filter(|conversation| conversation.session.is_some()).count() > 1;
    for msg in view.received().filter(|msg| several && msg.method() == Some("notifications/progress")) {
        let Some(token) = token(&msg.value) else { continue };
        let owners = issued(token);
        if owners.is_empty() || msg.conversation.is_none() || !out.covers(msg.revision) {
            continue;
        }
        out.require(owners.contains(&msg.conversation), || {
            told(
                "Progress of a call in one session was sent to another session.".to_owned(),
                &["messages of a session on its own streams only"],
                msg.value.to_string(),
                "keep the streams of each session apart; never send to all clients",
                vec![view.exchange_of(msg).seq, msg.seq],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, End, EventKind};
    use serde_json::json;

    const PING: &str = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn shaped(length: usize, visible_ascii: bool, digits_only: bool) -> Builder {
        start().event(EventKind::Secret { label: "session#1".to_owned(), length, visible_ascii, digits_only })
    }

    #[test]
    fn looks() {
        let good = shaped(36, true, false);
        expect_three("transport.http.session-id-visible-ascii", &good, &shaped(36, false, false), &start());
        for id in ["transport.http.session-id-secure", "transport.http.session-id-non-deterministic"] {
            expect_three(id, &good, &shaped(4, true, true), &start());
        }
        let ping = start().request("POST", &[], Some(PING));
        let kept = ping.clone().answer(200, &[("mcp-session-id", "session#1")], "");
        let broken = ping.answer(200, &[("mcp-session-id", "session#2")], "");
        expect_three("transport.http.session-id-stable", &kept, &broken, &start());
    }

    #[test]
    fn another_connection() {
        let moved = |status: u16, token: Option<&str>| {
            let headers = [
                ("host", "127.0.0.1:8080"),
                ("accept", "application/json, text/event-stream"),
                ("content-type", "application/json"),
                ("mcp-session-id", "session#1"),
                ("mcp-protocol-version", "2025-06-18"),
            ];
            let token = token.map(|token| ("authorization", token));
            let headers = headers.into_iter().chain(token).map(|(name, value)| (name.into(), value.into())).collect();
            let (method, target) = ("POST".to_owned(), "/mcp".to_owned());
            let body = Some(PING.to_owned());
            start()
                .event(EventKind::Request {
                    exchange: 9,
                    connection: 2,
                    method,
                    target,
                    headers,
                    body: body.map(Into::into),
                    via: crate::model::Via::StreamableHttp,
                    channel: None,
                    tls: false,
                })
                .event(EventKind::Response { exchange: 9, status, headers: Vec::new() })
                .event(EventKind::End { exchange: 9, end: End::Complete })
        };
        let id = "transport.http.session-survives-reconnect";
        expect_three(id, &moved(200, None), &moved(404, None), &start());
        // What went with another token is no matter of connections.
        assert_eq!(judge(id, &moved(404, Some("Bearer access#2"))).outcome, Outcome::Inconclusive);
    }

    #[test]
    fn apart() {
        let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call",
            "params": {"name": "slow", "_meta": {"progressToken": "p1"}}});
        let note = json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": "p1", "progress": 1}});
        let both = start().initialize("2025-06-18");
        let called = both.clone().session("session#1").post(&call).stream();
        let kept = called.clone().sse(None, &note).end(End::Complete);
        let broken = called.end(End::Complete).session("session#2").request("GET", &[], None).stream();
        expect_three("transport.http.session-isolation", &kept, &broken.sse(None, &note).end(End::ClosedByUs), &both);
    }
}
