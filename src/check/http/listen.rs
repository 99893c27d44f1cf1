//! Streams that a GET opens, and what holds for all streams of a session together.

use std::collections::HashMap;

use super::stream::{is_stream, progress_token, streams};
use crate::check::wire::{came, faultless, governing, is_4xx, is_response, sent_in, short, to_endpoint, told, walled};
use crate::check::{Check, Findings};
use crate::transcript::{Exchange, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.get-sse-or-405", judge: get_sse_or_405 },
    Check { id: "transport.http.endpoint-post-get", judge: endpoint_post_get },
    Check { id: "transport.http.get-no-response", judge: get_no_response },
    Check { id: "transport.http.get-unrelated", judge: get_unrelated },
    Check { id: "transport.http.one-stream-only", judge: one_stream_only },
    Check { id: "transport.http.no-broadcast", judge: one_stream_only },
    Check { id: "transport.http.event-id-unique", judge: event_id_unique },
    Check { id: "transport.http.resume-no-foreign", judge: resume_no_foreign },
    Check { id: "transport.http.resume-unknown-id", judge: resume_unknown_id },
];

fn fair_gets<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Exchange> {
    let open = |exchange: &Exchange| {
        view.exchanges.iter().any(|other| {
            other.method == "GET"
                && other.conversation == exchange.conversation
                && other.seq < exchange.seq
                && is_stream(other)
                && other.end_seq.is_none_or(|end| end > exchange.seq)
        })
    };
    view.exchanges
        .iter()
        .filter(|exchange| exchange.method == "GET" && exchange.status.is_some() && to_endpoint(view, exchange))
        .filter(|exchange| faultless(view, exchange) && !walled(exchange) && out.covers(exchange.revision))
        .filter(|exchange| exchange.sent_header("last-event-id").is_none() && !open(exchange))
        .collect()
}

/// A GET opens a stream or is answered with 405.
fn get_sse_or_405(view: &View<'_>, out: &mut Findings) {
    for exchange in fair_gets(view, out) {
        out.require(is_stream(exchange) || exchange.status == Some(405), || {
            told(
                "A GET for an event stream got neither a stream nor 405.".to_owned(),
                &["status 200 with Content-Type: text/event-stream", "status 405 if there is no such stream"],
                came(exchange),
                "answer 405 with an Allow header if the server never sends on its own",
                exchange.evidence(),
            )
        });
    }
}

/// GET and POST share one path.
fn endpoint_post_get(view: &View<'_>, out: &mut Findings) {
    for exchange in fair_gets(view, out) {
        out.require(exchange.status != Some(404), || {
            told(
                "The path that takes POST does not know GET.".to_owned(),
                &["an event stream", "status 405"],
                came(exchange),
                "route GET of the endpoint to the same handler as POST",
                exchange.evidence(),
            )
        });
    }
}

/// Responses never travel on a GET stream, unless it resumes the stream of a request.
fn get_no_response(view: &View<'_>, out: &mut Findings) {
    for (index, exchange) in streams(view, out, "GET") {
        if exchange.sent_header("last-event-id").is_some() {
            continue;
        }
        let response = view.messages_in(index).find(|msg| msg.received() && is_response(msg));
        out.require(response.is_none(), || {
            told(
                "A response came on a GET stream.".to_owned(),
                &["responses on the answer to the POST that asked"],
                response.map(|msg| short(&msg.value.to_string())).unwrap_or_default(),
                "send each response on the HTTP exchange of its request",
                std::iter::once(exchange.seq).chain(response.map(|msg| msg.seq)).collect(),
            )
        });
    }
}

/// Progress of a request belongs on the stream of that request, not on a GET stream.
fn get_unrelated(view: &View<'_>, out: &mut Findings) {
    for (index, exchange) in streams(view, out, "GET") {
        let stray = view.messages_in(index).find(|msg| progress_token(msg).is_some());
        if exchange.sent_header("last-event-id").is_some() || !view.messages_in(index).any(Msg::received) {
            continue;
        }
        out.require(stray.is_none(), || {
            told(
                "The progress of a request came on a GET stream.".to_owned(),
                &["progress on the stream of the request it belongs to"],
                stray.map(|msg| short(&msg.value.to_string())).unwrap_or_default(),
                "answer the POST with an event stream and send progress there",
                std::iter::once(exchange.seq).chain(stray.map(|msg| msg.seq)).collect(),
            )
        });
    }
}

/// With several streams open, a message of the server goes out on one of them only.
///
/// Two equal notifications on one stream are two messages; copies are told by two streams that are open at once.
fn one_stream_only(view: &View<'_>, out: &mut Findings) {
    let gets = streams(view, out, "GET");
    for (at, (first, one)) in gets.iter().enumerate() {
        for (second, two) in &gets[at + 1..] {
            let same = one.conversation.is_some() && one.conversation == two.conversation;
            let together = one.end_seq.is_none_or(|end| end > two.seq);
            let fresh = [one, two].iter().all(|stream| stream.sent_header("last-event-id").is_none());
            if !same || !together || !fresh {
                continue;
            }
            let pushed = |index: usize| {
                view.messages_in(index).filter(|msg| msg.received() && msg.seq > two.seq).collect::<Vec<_>>()
            };
            let (left, right) = (pushed(*first), pushed(*second));
            if left.is_empty() && right.is_empty() {
                continue;
            }
            let copy = left.iter().find_map(|msg| {
                let twin =
                    right.iter().find(|other| other.value == msg.value && other.at.abs_diff(msg.at) < 1_000_000)?;
                Some((*msg, *twin))
            });
            out.require(copy.is_none(), || {
                told(
                    "The same message went out on two streams of one session.".to_owned(),
                    &["each message on exactly one stream"],
                    copy.map(|(msg, _)| short(&msg.value.to_string())).unwrap_or_default(),
                    "choose one stream of the session for each message; do not send to all of them",
                    copy.map(|(msg, twin)| vec![msg.seq, twin.seq]).unwrap_or_default(),
                )
            });
        }
    }
}

/// No two events of a session share an id; a replay of the same event may.
fn event_id_unique(view: &View<'_>, out: &mut Findings) {
    let mut seen: HashMap<(usize, &str), (u32, Option<&str>)> = HashMap::new();
    for exchange in view.exchanges.iter().filter(|exchange| is_stream(exchange)) {
        let Some(conversation) = exchange.conversation.filter(|_| out_covers(view, out, exchange)) else { continue };
        let resumed = exchange.sent_header("last-event-id").is_some();
        for event in &exchange.events {
            let (Some(id), data) = (event.id.as_deref().filter(|id| !id.is_empty()), event.data.as_deref()) else {
                continue;
            };
            let before = seen.get(&(conversation, id)).copied();
            let right = before.is_none_or(|(_, other)| resumed && other == data);
            out.require(right, || {
                told(
                    format!("Two events of one session have the id {id:?}."),
                    &["an id that no other event of the session has, on whatever stream"],
                    short(data.unwrap_or_default()),
                    "put the stream into the event id, such as \"<stream>-<number>\"",
                    before.iter().map(|(seq, _)| *seq).chain([event.seq]).collect(),
                )
            });
            seen.insert((conversation, id), (event.seq, data));
        }
    }
}

fn out_covers(view: &View<'_>, out: &Findings, exchange: &Exchange) -> bool {
    out.covers(governing(view, exchange))
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
        if issued || exchange.conversation.is_none() || !out_covers(view, out, exchange) || walled(exchange) {
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
        let origin = view.exchanges.iter().position(|other| {
            other.method == "POST"
                && other.conversation == exchange.conversation
                && other.seq < exchange.seq
                && other.events.iter().any(|event| event.id.as_deref() == Some(id))
        });
        let replayed: Vec<&Msg> = view.messages_in(index).filter(|msg| msg.received() && is_response(msg)).collect();
        let Some(origin) = origin.filter(|_| !replayed.is_empty()) else { continue };
        let asked = sent_in(view, origin);
        let foreign = replayed.iter().find(|msg| !asked.iter().any(|sent| sent.value["id"] == msg.value["id"]));
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
    use crate::transcript::{Builder, End, EventKind};
    use serde_json::{Value, json};

    fn start(version: &str) -> Builder {
        Builder::new().initialize(version)
    }

    fn get(version: &str) -> Builder {
        start(version).request("GET", &[], None).stream()
    }

    fn reply() -> Value {
        json!({"jsonrpc": "2.0", "id": 9, "result": {}})
    }

    fn progress(token: &str) -> Value {
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
    }

    #[test]
    fn of_a_get() {
        let none = start("2025-06-18");
        let quiet = get("2025-06-18").end(End::ClosedByUs);
        let missing = none.clone().request("GET", &[], None).answer(404, &[], "");
        for id in ["transport.http.get-sse-or-405", "transport.http.endpoint-post-get"] {
            expect_three(id, &quiet, &missing, &none);
        }
        let answered = get("2025-06-18").sse(None, &reply()).end(End::ClosedByUs);
        expect_three("transport.http.get-no-response", &quiet, &answered, &none);
        let other = get("2025-06-18").sse(None, &json!({"jsonrpc": "2.0", "method": "notifications/message"}));
        let stray = get("2025-06-18").sse(None, &progress("p1"));
        expect_three("transport.http.get-unrelated", &other, &stray, &none);
        let odd = none.clone().request("GET", &[("last-event-id", "odd")], None);
        let fell = odd.clone().answer(500, &[], "");
        expect_three("transport.http.resume-unknown-id", &odd.answer(400, &[], ""), &fell, &none);
    }

    #[test]
    fn of_several() {
        let note = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        let two = get("2025-06-18").request("GET", &[], None).stream().sse(None, &note);
        let copy = EventKind::Sse { exchange: 3, id: None, event: None, data: Some(note.to_string()), retry: None };
        for id in ["transport.http.one-stream-only", "transport.http.no-broadcast"] {
            expect_three(id, &two, &two.clone().event(copy.clone()), &get("2025-06-18"));
        }
        let first = get("2025-06-18").sse(Some("e1"), &note);
        let again = first.clone().sse(Some("e1"), &reply());
        expect_three("transport.http.event-id-unique", &first, &again, &get("2025-06-18"));
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
