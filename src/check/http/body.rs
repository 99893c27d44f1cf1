//! Bodies: what may stand in a JSON answer, and how bodies are refused that cannot be read.

use super::post::singles;
use crate::check::wire::{came, governing, is_4xx, posts, told, unfinished};
use crate::check::{Check, Findings};
use crate::model::{Kind, Message};
use crate::transcript::{End, Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.json-body-one-response", judge: json_body_one_response },
    Check { id: "transport.http.malformed-body-400", judge: malformed_body },
    Check { id: "transport.http.oversized-body", judge: oversized_body },
];

/// A body of so many bytes may be beyond the limit of a server.
const LARGE: usize = 1_000_000;

/// A JSON answer is one response to the request, nothing before or after it.
fn json_body_one_response(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, body) in singles(view, out, Kind::Request) {
        let json = exchange.media_type() == Some("application/json");
        if !json || !exchange.is_success() || !crate::check::wire::well_formed(body) || unfinished(exchange) {
            continue;
        }
        // Whether it carries the right id is `base.response-echoes-id`.
        let right = exchange.got_json().is_some_and(|answer| Message(answer).kind() == Kind::Response);
        out.require(right, || {
            told(
                "A JSON answer is not the one response to its request.".to_owned(),
                &["one JSON object: the response with the id of the request"],
                came(exchange),
                "put only the response into a JSON body; use an event stream to send more",
                exchange.evidence(),
            )
        });
    }
}

/// A body that is no JSON gets a status from 400 to 499.
fn malformed_body(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, body) in posts(view) {
        if body.is_ok() || !out.covers(governing(view, exchange)) {
            continue;
        }
        if exchange.status.is_none() && unfinished(exchange) {
            out.inconclusive();
            continue;
        }
        out.require(is_4xx(exchange), || {
            told(
                "A body that is no JSON was not refused with a status from 400 to 499.".to_owned(),
                &["status 400"],
                came(exchange),
                "answer 400 when the body cannot be parsed",
                exchange.evidence(),
            )
        });
    }
}

fn length(exchange: &Exchange) -> usize {
    let said = exchange.sent_header("content-length").and_then(|length| length.trim().parse().ok());
    said.or_else(|| exchange.body.as_ref().map(|body| body.len())).unwrap_or_default()
}

/// A body that is too large is refused with a status from 400 to 499; a server without such a limit serves it.
fn oversized_body(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, _) in posts(view) {
        if length(exchange) < LARGE || exchange.is_success() || !out.covers(governing(view, exchange)) {
            continue;
        }
        let ended = matches!(exchange.end, Some(End::CutShort | End::Failed(_)));
        if exchange.status.is_none() && !ended {
            out.inconclusive();
            continue;
        }
        out.require(is_4xx(exchange), || {
            told(
                format!("A body of {} bytes was not refused with a status from 400 to 499.", length(exchange)),
                &["status 413", "service, if the server has no such limit"],
                came(exchange),
                "read and drop the rest of a body that is too large, then answer 413",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, End};
    use serde_json::json;

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    #[test]
    fn of_json() {
        let ping = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
        let empty = Builder::new();
        let wrong = start().post(&ping).json(200, &json!([{"jsonrpc": "2.0", "id": 9, "result": {}}]));
        expect_three("transport.http.json-body-one-response", &start(), &wrong, &empty);
        let bad = start().request("POST", &[], Some("{"));
        let kept = bad.clone().answer(400, &[], "");
        expect_three("transport.http.malformed-body-400", &kept, &bad.answer(200, &[], ""), &start());
    }

    #[test]
    fn of_many_bytes() {
        let large = start().request("POST", &[("content-length", "5000000")], Some("{}"));
        let id = "transport.http.oversized-body";
        expect_three(id, &large.clone().answer(413, &[], ""), &large.clone().answer(500, &[], ""), &start());
        expect_three(
            id,
            &large.clone().answer(413, &[], ""),
            &large.clone().end(End::CutShort),
            &large.answer(200, &[], ""),
        );
    }
}
