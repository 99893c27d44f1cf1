//! Streams that a client resumes with `Last-Event-ID`: what they bring, and what they may not.

use super::stream::{is_stream, streams};
use crate::check::wire::{came, governing, is_4xx, is_response, sent_in, short, told, walled};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.resume-replay", judge: resume_replay },
    Check { id: "transport.http.resume-no-foreign", judge: resume_no_foreign },
    Check { id: "transport.http.resume-unknown-id", judge: resume_unknown_id },
];

/// The stream that told an event id before a client came back with it.
fn origin(view: &View<'_>, resumed: &Exchange, id: &str) -> Option<usize> {
    view.exchanges.iter().position(|other| {
        other.conversation.is_some()
            && other.conversation == resumed.conversation
            && other.seq < resumed.seq
            && other.events.iter().any(|event| event.id.as_deref() == Some(id))
    })
}

/// What is replayed comes after the event that the client names; that one and those before it were received.
fn resume_replay(view: &View<'_>, out: &mut Findings) {
    for (_, exchange) in streams(view, out, "GET") {
        let Some(id) = exchange.sent_header("last-event-id") else { continue };
        let Some(first) = origin(view, exchange, id).map(|index| &view.exchanges[index]) else { continue };
        if exchange.events.is_empty() {
            continue;
        }
        let last = first.events.iter().rposition(|event| event.id.as_deref() == Some(id)).unwrap_or(0);
        let again = exchange.events.iter().find(|event| {
            let known = |other: &crate::transcript::SseEvent| other.id == event.id && other.data == event.data;
            event.id.is_some()
                && event.data.as_deref().is_some_and(|data| !data.is_empty())
                && first.events[..=last].iter().any(known)
        });
        out.require(again.is_none(), || {
            told(
                format!("A stream that was resumed after the event {id} repeated what came before it."),
                &["only events after the one in Last-Event-ID"],
                again.map(|event| short(event.data.as_deref().unwrap_or_default())).unwrap_or_default(),
                "begin the replay behind the event that Last-Event-ID names",
                vec![first.seq, exchange.seq],
            )
        });
    }
}

/// A Last-Event-ID that the session never had does no harm.
fn resume_unknown_id(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| exchange.method == "GET" && exchange.status.is_some()) {
        let Some(id) = exchange.sent_header("last-event-id") else { continue };
        let issued = view.exchanges.iter().any(|other| {
            other.conversation == exchange.conversation
                && other.seq < exchange.seq
                && other.events.iter().any(|event| event.id.as_deref() == Some(id))
        });
        if issued || exchange.conversation.is_none() || !out.covers(governing(view, exchange)) || walled(exchange) {
            continue;
        }
        let foreign = exchange.events.iter().find(|event| {
            let data = event.data.as_deref().filter(|data| !data.is_empty());
            data.is_some()
                && view.exchanges.iter().any(|other| {
                    other.conversation != exchange.conversation
                        && other.seq < exchange.seq
                        && other
                            .events
                            .iter()
                            .any(|known| known.data.as_deref() == data && known.id == event.id && known.id.is_some())
                })
        });
        out.require((is_stream(exchange) || is_4xx(exchange)) && foreign.is_none(), || {
            told(
                format!("A GET with the unknown Last-Event-ID {id:?} went wrong."),
                &["a fresh stream", "a status from 400 to 499"],
                foreign.map_or_else(|| came(exchange), |event| short(event.data.as_deref().unwrap_or_default())),
                "look the id up within the session of the request, and start a fresh stream if it is not there",
                exchange.evidence(),
            )
        });
    }
}

/// A resumed stream of a request brings no response to another request.
fn resume_no_foreign(view: &View<'_>, out: &mut Findings) {
    for (index, exchange) in streams(view, out, "GET") {
        let Some(id) = exchange.sent_header("last-event-id") else { continue };
        let origin = origin(view, exchange, id).filter(|index| view.exchanges[*index].method == "POST");
        let replayed: Vec<&Msg> = view.messages_in(index).filter(|msg| msg.received() && is_response(msg)).collect();
        let Some(origin) = origin.filter(|_| !replayed.is_empty()) else { continue };
        let asked = sent_in(view, origin);
        let foreign = replayed.iter().find(|msg| !asked.iter().any(|sent| sent.value.at("id") == msg.value.at("id")));
        out.require(foreign.is_none(), || {
            told(
                "A resumed stream brought the response to a request of another stream.".to_owned(),
                &["only the messages of the stream that is resumed"],
                foreign.map(|msg| short(&msg.value.to_string())).unwrap_or_default(),
                "keep a separate event log for each stream and replay that one alone",
                vec![view.exchanges[origin].seq, exchange.seq],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, End};
    use serde_json::json;

    fn start(version: &str) -> Builder {
        Builder::new().initialize(version)
    }

    fn reply() -> serde_json::Value {
        json!({"jsonrpc": "2.0", "id": 9, "result": {}})
    }

    #[test]
    fn of_an_unknown_event() {
        let none = start("2025-06-18");
        let odd = none.clone().request("GET", &[("last-event-id", "odd")], None);
        let fell = odd.clone().answer(500, &[], "");
        expect_three("transport.http.resume-unknown-id", &odd.answer(400, &[], ""), &fell, &none);
    }

    #[test]
    fn from_the_event_on() {
        let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "slow"}});
        let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": 1}});
        let cut = start("2025-06-18").post(&call).stream().sse(Some("e1"), &note).end(End::ClosedByUs);
        let again = cut.clone().request("GET", &[("last-event-id", "e1")], None).stream();
        let repeated = again.clone().sse(Some("e1"), &note).sse(Some("e2"), &reply());
        expect_three("transport.http.resume-replay", &again.sse(Some("e2"), &reply()), &repeated, &cut);
    }

    #[test]
    fn of_a_resumption() {
        let ping = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
        let cut = start("2025-06-18").post(&ping).stream().sse_raw(Some("e1"), Some(""), None).end(End::Complete);
        let again = cut.clone().request("GET", &[("last-event-id", "e1")], None).stream();
        let foreign = json!({"jsonrpc": "2.0", "id": 8, "result": {}});
        let kept = again.clone().sse(Some("e2"), &reply());
        expect_three("transport.http.resume-no-foreign", &kept, &again.sse(Some("e2"), &foreign), &cut);
    }
}
