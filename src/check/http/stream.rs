//! Event streams that answer a POST: their form, their beginning and end.

use serde_json::Value;

use crate::check::wire::{governing, is_response, over, sent_in, short, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Revision};
use crate::transcript::{End, Exchange, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.sse-format", judge: sse_format },
    Check { id: "transport.http.sse-response-arrives", judge: response_arrives },
    Check { id: "transport.http.sse-not-close-early", judge: not_close_early },
    Check { id: "transport.http.sse-close-after-response", judge: close_after_response },
    Check { id: "transport.http.sse-related-only-should", judge: related_only },
    Check { id: "transport.http.sse-prime-event", judge: prime_event },
    Check { id: "transport.http.sse-retry-before-close", judge: retry_before_close },
];

/// How long a stream may stay open after its last response, in microseconds.
const GRACE: u64 = 5_000_000;

pub(super) fn is_stream(exchange: &Exchange) -> bool {
    exchange.is_success() && exchange.media_type() == Some("text/event-stream")
}

pub(super) fn streams<'v>(view: &'v View<'_>, out: &Findings, method: &str) -> Vec<(usize, &'v Exchange)> {
    view.exchanges
        .iter()
        .enumerate()
        .filter(|(_, exchange)| {
            is_stream(exchange) && exchange.method == method && out.covers(governing(view, exchange))
        })
        .collect()
}

/// Each event with data holds one whole JSON-RPC message; under 2025-03-26 it may be an array of them.
fn sse_format(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| is_stream(exchange)) {
        let revision = governing(view, exchange);
        if !out.covers(revision) {
            continue;
        }
        for event in &exchange.events {
            let Some(data) = event.data.as_deref().filter(|data| !data.is_empty()) else { continue };
            let batches = revision.is_some_and(|revision| revision.facts().batches);
            let right = serde_json::from_str::<Value>(data)
                .is_ok_and(|value| value.is_object() || (batches && value.is_array()));
            out.require(right, || {
                told(
                    "An event of a stream does not hold one JSON-RPC message.".to_owned(),
                    &["one JSON object in the data of each event", "an event with empty data"],
                    short(data),
                    "write each message as one event; a line break inside it needs another \"data:\" line",
                    vec![exchange.seq, event.seq],
                )
            });
        }
    }
}

/// Requests of a POST that were not answered on its own stream.
fn open_requests<'v>(view: &'v View<'_>, index: usize) -> Vec<&'v Msg> {
    let answered = |id: &Value| {
        view.messages_in(index).any(|msg| msg.received() && is_response(msg) && *msg.value.at("id") == *id)
    };
    sent_in(view, index).into_iter().filter(|msg| msg.kind == Kind::Request && !answered(msg.value.at("id"))).collect()
}

/// Whether the missing responses came later, on a stream that the client had resumed.
fn came_elsewhere(view: &View<'_>, open: &[&Msg]) -> bool {
    let resumed = |response: &usize| view.exchange_of(&view.messages[*response]).sent_header("last-event-id").is_some();
    open.iter().all(|request| {
        let own = |call: &&crate::transcript::Call| view.messages[call.request].seq == request.seq;
        view.calls.iter().find(own).is_some_and(|call| call.responses.iter().any(resumed))
    })
}

/// Whether the stream was open when its session was deleted, which ends it.
fn deleted_meanwhile(view: &View<'_>, exchange: &Exchange) -> bool {
    let deleted = exchange.conversation.and_then(|at| view.conversations[at].deleted);
    deleted.is_some_and(|at| exchange.end_seq.is_none_or(|end| end > view.exchanges[at].seq))
}

fn cancelled(view: &View<'_>, request: &Msg) -> bool {
    view.messages.iter().any(|msg| {
        msg.method() == Some("notifications/cancelled")
            && msg.conversation == request.conversation
            && msg.value.at("params").at("requestId") == request.value.at("id")
    })
}

/// A stream that a request opened brings its response in the end.
fn response_arrives(view: &View<'_>, out: &mut Findings) {
    for (index, exchange) in streams(view, out, "POST") {
        let open = open_requests(view, index);
        let polling =
            exchange.revision == Some(Revision::V2025_11_25) && exchange.events.iter().any(|e| e.id.is_some());
        if open.iter().any(|request| cancelled(view, request))
            || over(view, exchange)
            || deleted_meanwhile(view, exchange)
        {
            continue;
        }
        let ended = matches!(exchange.end, Some(End::Complete | End::CutShort));
        if !open.is_empty() && !came_elsewhere(view, &open) && (!ended || polling) {
            out.inconclusive();
            continue;
        }
        out.require(open.is_empty() || came_elsewhere(view, &open), || {
            told(
                "The stream of a request ended without its response.".to_owned(),
                &["the response as the last message of the stream"],
                format!("{} events, then the end", exchange.events.len()),
                "send the response, or an error if there is none, before the stream is closed",
                vec![exchange.seq, exchange.end_seq.unwrap_or(exchange.seq)],
            )
        });
    }
}

/// The server keeps the stream open until the response is out, unless the session ends.
fn not_close_early(view: &View<'_>, out: &mut Findings) {
    for (index, exchange) in streams(view, out, "POST") {
        let ended = matches!(exchange.end, Some(End::Complete | End::CutShort));
        let open = open_requests(view, index);
        if !ended || deleted_meanwhile(view, exchange) || open.iter().any(|request| cancelled(view, request)) {
            continue;
        }
        out.require(open.is_empty(), || {
            told(
                "The server closed the stream of a request before the response.".to_owned(),
                &["the stream stays open until the response has been sent"],
                format!("{} events, then the end", exchange.events.len()),
                "keep the stream open while the request runs; raise the idle timeout of any proxy in between",
                vec![exchange.seq, exchange.end_seq.unwrap_or(exchange.seq)],
            )
        });
    }
}

/// After the last response the server ends the stream.
fn close_after_response(view: &View<'_>, out: &mut Findings) {
    for (index, exchange) in streams(view, out, "POST") {
        let last = view.messages_in(index).filter(|msg| msg.received() && is_response(msg)).last();
        let Some(last) = last.filter(|_| open_requests(view, index).is_empty()) else { continue };
        let ended = matches!(exchange.end, Some(End::Complete | End::CutShort));
        let waited = exchange.end_at.map_or(0, |at| at.saturating_sub(last.at));
        if !ended && waited <= GRACE {
            out.inconclusive();
            continue;
        }
        out.require(ended && waited <= GRACE, || {
            told(
                "A stream stayed open after its response.".to_owned(),
                &["the server ends the stream after the response"],
                format!("still open {} ms after the response", waited / 1_000),
                "close the stream once the response has been written",
                vec![exchange.seq, last.seq],
            )
        });
    }
}

pub(super) fn progress_token(msg: &Msg) -> Option<&Value> {
    (msg.received() && msg.method() == Some("notifications/progress"))
        .then(|| msg.value.at("params").member("progressToken"))
        .flatten()
}

fn token_of(msg: &Msg) -> Option<&Value> {
    msg.value.at("params").at("_meta").member("progressToken")
}

fn text_of(token: &Value) -> String {
    token.as_str().map_or_else(|| token.to_string(), str::to_owned)
}

/// Progress on the stream of a request belongs to that request.
fn related_only(view: &View<'_>, out: &mut Findings) {
    for (index, exchange) in streams(view, out, "POST") {
        let own: Vec<&Value> = sent_in(view, index).into_iter().filter_map(token_of).collect();
        for msg in view.messages_in(index) {
            let Some(token) = progress_token(msg) else { continue };
            // A token that came back as another JSON type is still this request's.
            let known = own.iter().any(|own| text_of(own) == text_of(token));
            let anothers = view.messages.iter().any(|sent| !sent.received() && token_of(sent) == Some(token));
            // A token that no call gave is another matter.
            if !known && !anothers {
                continue;
            }
            out.require(known, || {
                told(
                    "The stream of one request carried the progress of another.".to_owned(),
                    &["progress with the token of this very request"],
                    short(&msg.value.to_string()),
                    "send the progress of each call on the stream of that call",
                    vec![exchange.seq, msg.seq],
                )
            });
        }
    }
}

/// Whether the client has said by this request itself that it speaks the revision, and so knows events without data.
fn speaks(view: &View<'_>, index: usize, exchange: &Exchange) -> bool {
    let Some(revision) = exchange.revision else { return false };
    let asked = sent_in(view, index).into_iter().find(|msg| msg.method() == Some("initialize"));
    let named = match asked {
        Some(asked) => asked.value.at("params").at("protocolVersion").as_str(),
        None => exchange.sent_header("mcp-protocol-version"),
    };
    named == Some(revision.name())
}

/// A new stream begins with an event that has an id and no data, so that the client can come back.
///
/// Servers hold it back from a request that does not name the revision: older clients choke on an event without data.
/// A server that gives no event ids at all offers no way back, and has nothing to prime.
fn prime_event(view: &View<'_>, out: &mut Findings) {
    if !view.exchanges.iter().flat_map(|exchange| &exchange.events).any(|event| event.id.is_some()) {
        return;
    }
    for (index, exchange) in streams(view, out, "POST") {
        let Some(first) = exchange.events.first().filter(|_| speaks(view, index, exchange)) else { continue };
        let primed = first.id.is_some() && first.data.as_deref().unwrap_or_default().is_empty();
        out.require(primed, || {
            told(
                "A stream does not begin with an event that has an id and empty data.".to_owned(),
                &["first of all \"id: …\" and an empty \"data:\" line"],
                format!("id {:?}, data {}", first.id, short(first.data.as_deref().unwrap_or_default())),
                "send such an event when the stream opens, so that clients can resume it",
                vec![exchange.seq, first.seq],
            )
        });
    }
}

/// A server that closes the connection before the response says when to come back.
fn retry_before_close(view: &View<'_>, out: &mut Findings) {
    for (index, exchange) in streams(view, out, "POST") {
        let open = open_requests(view, index);
        let cut_off = deleted_meanwhile(view, exchange) || open.iter().any(|msg| cancelled(view, msg));
        if exchange.end != Some(End::Complete) || open.is_empty() || cut_off {
            continue;
        }
        out.require(exchange.events.iter().any(|event| event.retry.is_some()), || {
            told(
                "The server closed a stream before the response and did not say when to come back.".to_owned(),
                &["an event with a retry field before the end"],
                format!("{} events without a retry field", exchange.events.len()),
                "send \"retry: <milliseconds>\" before closing a stream that is to be resumed",
                vec![exchange.seq, exchange.end_seq.unwrap_or(exchange.seq)],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn start(version: &str) -> Builder {
        Builder::new().initialize(version)
    }

    fn call(version: &str) -> Builder {
        let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call",
            "params": {"name": "slow", "_meta": {"progressToken": "p1"}}});
        start(version).post(&call).stream()
    }

    fn reply() -> Value {
        json!({"jsonrpc": "2.0", "id": 9, "result": {}})
    }

    fn progress(token: &str) -> Value {
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
    }

    #[test]
    fn of_a_request() {
        let none = start("2025-06-18");
        let kept = call("2025-06-18").sse(None, &progress("p1")).sse(None, &reply()).end(End::Complete);
        let cut = call("2025-06-18").end(End::Complete);
        let torn = call("2025-06-18").sse_raw(None, Some("{\"jsonrpc\""), None).end(End::Complete);
        let slow = call("2025-06-18").sse(None, &reply()).pause_ms(9_000).end(End::ClosedByUs);
        let other = json!({"jsonrpc": "2.0", "id": 8, "method": "tools/call",
            "params": {"name": "slow", "_meta": {"progressToken": "p2"}}});
        let beside = call("2025-06-18").end(End::ClosedByUs).post(&other).stream();
        let stray = beside.sse(None, &progress("p1")).sse(None, &reply()).end(End::Complete);
        expect_three("transport.http.sse-format", &kept, &torn, &none);
        expect_three("transport.http.sse-response-arrives", &kept, &cut, &none);
        expect_three("transport.http.sse-not-close-early", &kept, &cut, &none);
        expect_three("transport.http.sse-close-after-response", &kept, &slow, &none);
        expect_three("transport.http.sse-related-only-should", &kept, &stray, &none);
        let primed = call("2025-11-25").sse_raw(Some("e1"), Some(""), Some(100));
        let bare = call("2025-11-25").sse(Some("e1"), &reply()).end(End::Complete);
        expect_three("transport.http.sse-prime-event", &primed.clone().end(End::Complete), &bare, &none);
        let no_ids = call("2025-11-25").sse(None, &reply()).end(End::Complete);
        let ask = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"}).to_string();
        let bare_request = start("2025-11-25").request("POST", &[("mcp-protocol-version", "")], Some(&ask));
        let unnamed = bare_request.stream().sse(Some("e1"), &reply()).end(End::Complete);
        for exempt in [no_ids, unnamed] {
            expect_three("transport.http.sse-prime-event", &primed.clone().end(End::Complete), &bare, &exempt);
        }
        let early = call("2025-11-25").sse_raw(Some("e1"), Some(""), None).end(End::Complete);
        expect_three("transport.http.sse-retry-before-close", &primed.end(End::Complete), &early, &bare);
    }
}
