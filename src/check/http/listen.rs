//! Streams that a GET opens, and what holds for all streams of a session together.

use std::collections::HashMap;

use super::stream::{is_stream, progress_token, streams};
use crate::check::wire::{came, faultless, governing, is_response, short, to_endpoint, told, walled};
use crate::check::{Check, Findings};
use crate::transcript::{End, Exchange, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.get-sse-or-405", judge: get_sse_or_405 },
    Check { id: "transport.http.endpoint-post-get", judge: endpoint_post_get },
    Check { id: "transport.http.get-no-response", judge: get_no_response },
    Check { id: "transport.http.get-unrelated", judge: get_unrelated },
    Check { id: "transport.http.one-stream-only", judge: one_stream_only },
    Check { id: "transport.http.no-broadcast", judge: one_stream_only },
    Check { id: "transport.http.event-id-unique", judge: event_id_unique },
];

fn fair_gets<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Exchange> {
    // A stream that the network ended may well be open for the server still.
    let unheard_of = |other: &Exchange| !other.disturbed.is_empty() && other.end == Some(End::ClosedByUs);
    let open = |exchange: &Exchange| {
        view.exchanges.iter().any(|other| {
            other.method == "GET"
                && other.conversation == exchange.conversation
                && other.seq < exchange.seq
                && is_stream(other)
                && (other.end_seq.is_none_or(|end| end > exchange.seq) || unheard_of(other))
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

/// Whether a message may stand on two streams because it was sent twice: what a call says of itself belongs to that call,
/// and two calls may say the same.
fn of_a_call(msg: &Msg) -> bool {
    matches!(msg.method(), Some("notifications/progress" | "notifications/message")) || is_response(msg)
}

/// With several streams open, a message of the server goes out on one of them only.
///
/// Two equal notifications on one stream are two messages; copies are told by two streams that are open at once, one of
/// them at least opened by GET.
fn one_stream_only(view: &View<'_>, out: &mut Findings) {
    let mut all = streams(view, out, "GET");
    all.extend(streams(view, out, "POST"));
    all.sort_by_key(|(_, exchange)| exchange.seq);
    for (at, (first, one)) in all.iter().enumerate() {
        for (second, two) in &all[at + 1..] {
            let same = one.conversation.is_some() && one.conversation == two.conversation;
            let together = one.end_seq.is_none_or(|end| end > two.seq);
            let fresh = [one, two].iter().all(|stream| stream.sent_header("last-event-id").is_none());
            let both = one.method == "GET" && two.method == "GET";
            if !same || !together || !fresh || (one.method == "POST" && two.method == "POST") {
                continue;
            }
            let pushed = |index: usize| -> Vec<&Msg> {
                let counts = |msg: &&Msg| msg.received() && msg.seq > two.seq && (both || !of_a_call(msg));
                view.messages_in(index).filter(counts).collect()
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
    }

    #[test]
    fn of_several() {
        let note = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        let two = get("2025-06-18").request("GET", &[], None).stream().sse(None, &note);
        let copy =
            EventKind::Sse { exchange: 3, id: None, event: None, data: Some(note.to_string().into()), retry: None };
        for id in ["transport.http.one-stream-only", "transport.http.no-broadcast"] {
            expect_three(id, &two, &two.clone().event(copy.clone()), &get("2025-06-18"));
        }
        let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "slow"}});
        let beside = get("2025-06-18").post(&call).stream().sse(None, &note);
        expect_three("transport.http.one-stream-only", &beside, &beside.clone().event(copy), &get("2025-06-18"));
        let first = get("2025-06-18").sse(Some("e1"), &note);
        let again = first.clone().sse(Some("e1"), &reply());
        expect_three("transport.http.event-id-unique", &first, &again, &get("2025-06-18"));
    }
}
