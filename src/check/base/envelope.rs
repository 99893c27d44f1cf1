//! The form of every message of the server, and how responses belong to requests.

use crate::check::wire::{came, fair_calls, got_in, is_response, received, short, told, unfinished};
use crate::check::wire::{governing, sent_in, well_formed};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, id_text};
use crate::transcript::{Carrier, Direction, End, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "base.jsonrpc-envelope", judge: jsonrpc_envelope },
    Check { id: "base.result-xor-error", judge: result_xor_error },
    Check { id: "base.error-shape", judge: error_shape },
    Check { id: "base.error-code-integer", judge: error_code_integer },
    Check { id: "base.response-echoes-id", judge: response_echoes_id },
    Check { id: "base.response-exactly-one", judge: response_exactly_one },
    Check { id: "base.utf8", judge: utf8 },
];

/// Everything the server says is a JSON-RPC 2.0 object; arrays exist in revisions with batches only.
fn jsonrpc_envelope(view: &View<'_>, out: &mut Findings) {
    for (msg, _, revision) in received(view) {
        if !out.covers(revision) {
            continue;
        }
        let array = msg.batched && !revision.is_some_and(|revision| revision.facts().batches);
        let marked = msg.value.at("jsonrpc") == "2.0" && msg.kind != Kind::Other;
        out.require(marked && !array, || {
            let what = if array {
                "The server put messages into an array, which this revision does not know."
            } else {
                "The server sent something that is no JSON-RPC 2.0 message."
            };
            told(
                what.to_owned(),
                &["one object with \"jsonrpc\": \"2.0\" and a method, a result or an error"],
                short(&msg.value.to_string()),
                "send each message as one object that carries \"jsonrpc\": \"2.0\"",
                vec![msg.seq],
            )
        });
    }
}

/// A response says either how it went or what went wrong.
fn result_xor_error(view: &View<'_>, out: &mut Findings) {
    for (msg, _, revision) in received(view).filter(|(msg, ..)| is_response(msg)) {
        if !out.covers(revision) {
            continue;
        }
        let both = msg.value.member("result").is_some() && msg.value.member("error").is_some();
        out.require(!both, || {
            told(
                "A response has a result as well as an error.".to_owned(),
                &["a result and no error member", "an error and no result member"],
                short(&msg.value.to_string()),
                "leave the other member out altogether, also when it would be null",
                vec![msg.seq],
            )
        });
    }
    for exchange in view.exchanges.iter().filter(|exchange| exchange.is_success()) {
        let Some(body) = exchange.got_json() else { continue };
        let empty =
            body.at("jsonrpc") == "2.0" && ["method", "result", "error"].iter().all(|key| body.member(key).is_none());
        if empty && out.covers(governing(view, exchange)) {
            out.breach(told(
                "A response has neither a result nor an error.".to_owned(),
                &["a result (an empty object if there is nothing to say)", "an error"],
                came(exchange),
                "add \"result\": {} where the call succeeded",
                exchange.evidence(),
            ));
        }
    }
}

fn errors<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Msg> {
    received(view)
        .filter(|(msg, _, revision)| {
            is_response(msg) && msg.value.member("error").is_some_and(|error| !error.is_null()) && out.covers(*revision)
        })
        .map(|(msg, ..)| msg)
        .collect()
}

/// An error has a code and a text for people.
fn error_shape(view: &View<'_>, out: &mut Findings) {
    for msg in errors(view, out) {
        let error = msg.value.at("error");
        out.require(error.member("code").is_some() && error.at("message").is_string(), || {
            told(
                "An error lacks its code or its message.".to_owned(),
                &["an object with an integer code and a string message"],
                short(&error.to_string()),
                "give every error both members: {\"code\": -32603, \"message\": \"…\"}",
                vec![msg.seq],
            )
        });
    }
}

/// Error codes are whole numbers.
fn error_code_integer(view: &View<'_>, out: &mut Findings) {
    for msg in errors(view, out) {
        let Some(code) = msg.value.at("error").member("code") else { continue };
        out.require(code.is_i64() || code.is_u64(), || {
            told(
                "The code of an error is no integer.".to_owned(),
                &["an integer such as -32603"],
                format!("\"code\": {code}"),
                "send the code as a JSON integer; put names and texts into message or data",
                vec![msg.seq],
            )
        });
    }
}

/// A response names the request it answers, value and type untouched.
fn response_echoes_id(view: &View<'_>, out: &mut Findings) {
    for (index, exchange) in view.exchanges.iter().enumerate() {
        let sent = sent_in(view, index);
        let requests: Vec<_> = sent.iter().filter(|msg| msg.kind == Kind::Request).collect();
        let clean = !requests.is_empty() && sent.iter().all(|msg| msg.kind != Kind::Other);
        if !clean || !requests.iter().all(|msg| well_formed(&msg.value)) || !out.covers(governing(view, exchange)) {
            continue;
        }
        for msg in got_in(view, index).into_iter().filter(|msg| is_response(msg)) {
            let id = msg.value.member("id").filter(|id| !id.is_null());
            // Refusals of the HTTP layer need not have read the message.
            if id.is_none() && !exchange.is_success() {
                continue;
            }
            let echoed = requests.iter().any(|request| request.value.member("id") == id);
            out.require(echoed, || {
                let wanted: Vec<String> = requests.iter().map(|request| id_text(request.value.at("id"))).collect();
                told(
                    format!("A response does not carry the id of the request ({}).", wanted.join(", ")),
                    &["the id of the request with the same value and the same JSON type"],
                    id.map_or_else(|| "no id".to_owned(), |id| format!("\"id\": {id}")),
                    "copy the id from the request as it came; do not turn numbers into strings or strings into numbers",
                    vec![exchange.seq, msg.seq],
                )
            });
        }
    }
}

/// Each request gets one response: not none, not two.
fn response_exactly_one(view: &View<'_>, out: &mut Findings) {
    for (request, exchange, responses) in fair_calls(view) {
        let twice = view.messages.iter().filter(|other| {
            other.direction == Direction::Sent
                && other.kind == Kind::Request
                && other.conversation == request.conversation
                && other.client == request.client
                && other.value.at("id") == request.value.at("id")
        });
        let cancelled = view.messages.iter().any(|other| {
            other.method() == Some("notifications/cancelled")
                && other.conversation == request.conversation
                && other.value.at("params").at("requestId") == request.value.at("id")
        });
        let gone = view.conversation_of(request).is_some_and(|conversation| conversation.deleted.is_some());
        let refused = !exchange.is_success() && exchange.status.is_some();
        if !out.covers(request.revision) || twice.count() > 1 || cancelled {
            continue;
        }
        let originals = responses.iter().filter(|msg| msg.carrier != Carrier::GetStream).count();
        if responses.is_empty() {
            // A response that lost its id is `base.response-echoes-id`.
            if refused || got_in(view, request.exchange).into_iter().any(is_response) {
                continue;
            }
            let resumable = exchange.events.iter().any(|event| event.id.is_some());
            if gone || resumable || unfinished(exchange) || exchange.end == Some(End::CutShort) {
                out.inconclusive();
                continue;
            }
        }
        out.require(!responses.is_empty() && originals <= 1, || {
            told(
                format!(
                    "The request {} (id {}) got {} responses.",
                    request.method().unwrap_or_default(),
                    id_text(request.value.at("id")),
                    if responses.is_empty() { 0 } else { originals }
                ),
                &["exactly one response"],
                if responses.is_empty() { came(exchange) } else { format!("{originals} responses with the same id") },
                "answer each request once, with a result or an error",
                exchange.evidence().into_iter().chain(responses.iter().map(|msg| msg.seq)).collect(),
            )
        });
    }
}

/// What the server sends decodes as UTF-8, and text beyond ASCII that was echoed is not garbled.
fn utf8(view: &View<'_>, out: &mut Findings) {
    for exchange in &view.exchanges {
        let json = exchange.media_type().is_some_and(|kind| kind == "application/json");
        if exchange.response_body.is_none() || !json || !out.covers(governing(view, exchange)) {
            continue;
        }
        out.require(exchange.response_utf8, || {
            told(
                "The body of an answer is not valid UTF-8.".to_owned(),
                &["JSON text encoded as UTF-8"],
                came(exchange),
                "encode all JSON as UTF-8, whatever the locale of the server",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, EventKind};
    use serde_json::{Value, json};

    fn answered(body: &Value) -> Builder {
        let request = json!({"jsonrpc": "2.0", "id": 77, "method": "tools/list"});
        Builder::new().initialize("2025-06-18").post(&request).json(200, body)
    }

    #[test]
    fn forms() {
        let good = answered(&json!({"jsonrpc": "2.0", "id": 77, "result": {}}));
        let error = answered(&json!({"jsonrpc": "2.0", "id": 77, "error": {"code": -32603, "message": "no"}}));
        let calm = Builder::new().initialize("2025-06-18");
        let none = Builder::new();
        let table = [
            ("base.jsonrpc-envelope", &good, json!({"id": 77, "result": {}}), &none),
            ("base.jsonrpc-envelope", &good, json!([{"jsonrpc": "2.0", "id": 77, "result": {}}]), &none),
            ("base.result-xor-error", &good, json!({"jsonrpc": "2.0", "id": 77, "result": {}, "error": null}), &none),
            ("base.result-xor-error", &good, json!({"jsonrpc": "2.0", "id": 77}), &none),
            ("base.error-shape", &error, json!({"jsonrpc": "2.0", "id": 77, "error": {"code": 1}}), &calm),
            (
                "base.error-code-integer",
                &error,
                json!({"jsonrpc": "2.0", "id": 77, "error": {"code": "E1", "message": "no"}}),
                &calm,
            ),
            ("base.response-echoes-id", &good, json!({"jsonrpc": "2.0", "id": "77", "result": {}}), &none),
            ("base.response-exactly-one", &good, json!({}), &none),
        ];
        for (id, kept, broken, silent) in table {
            expect_three(id, kept, &answered(&broken), silent);
        }
    }

    #[test]
    fn encoding() {
        let broken = Builder::new()
            .initialize("2025-06-18")
            .post(&json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}))
            .head(200, &[("content-type", "application/json")])
            .event(EventKind::Body { exchange: 3, text: "{}".into(), utf8: false })
            .end(End::Complete);
        expect_three("base.utf8", &Builder::new().initialize("2025-06-18"), &broken, &Builder::new());
    }

    #[test]
    fn an_oauth_error_is_no_json_rpc_and_silence_of_our_making_is_no_breach() {
        let walled = answered(&json!({"jsonrpc": "2.0", "id": 77, "result": {}}))
            .post(&json!({"jsonrpc": "2.0", "id": 78, "method": "ping"}))
            .json(401, &json!({"error": "invalid_token"}));
        assert_eq!(judge("base.jsonrpc-envelope", &walled).outcome, Outcome::Pass);
        let closed = Builder::new()
            .initialize("2025-06-18")
            .post(&json!({"jsonrpc": "2.0", "id": 78, "method": "ping"}))
            .stream()
            .end(End::ClosedByUs);
        assert_eq!(judge("base.response-exactly-one", &closed).outcome, Outcome::Inconclusive);
    }
}
