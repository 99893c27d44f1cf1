//! Arrays of messages: a duty of 2025-03-26 only, and no reason to fall over later.

use serde_json::Value;

use crate::check::wire::{body_error, came, faultless, got_in, governing, is_4xx, is_response, posts, told, walled};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Message, id_text};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "base.batch-receive", judge: batch_receive },
    Check { id: "transport.http.body-batch", judge: batch_receive },
    Check { id: "base.batch-one-response-each", judge: batch_one_response_each },
    Check { id: "base.batch-empty", judge: batch_empty },
    Check { id: "base.batch-removed", judge: batch_removed },
    Check { id: "transport.http.json-body-batch", judge: json_body_batch },
];

struct Batch<'v> {
    index: usize,
    exchange: &'v Exchange,
    members: &'v [Value],
}

impl Batch<'_> {
    fn requests(&self) -> Vec<&Value> {
        self.members.iter().filter(|member| Message(member).kind() == Kind::Request).collect()
    }

    fn valid(&self) -> bool {
        let fine = |member: &Value| member.at("jsonrpc") == "2.0" && Message(member).kind() != Kind::Other;
        !self.members.is_empty()
            && self.members.iter().all(fine)
            && !self.members.iter().any(|member| member.at("method") == "initialize")
    }
}

fn batches<'v>(view: &'v View<'_>, out: &Findings) -> Vec<Batch<'v>> {
    posts(view)
        .filter_map(|(index, exchange, body)| match body {
            Ok(Value::Array(members)) if out.covers(governing(view, exchange)) => {
                Some(Batch { index, exchange, members })
            }
            _ => None,
        })
        .collect()
}

/// An array of messages is taken: requests are answered, an array without requests is accepted with 202.
fn batch_receive(view: &View<'_>, out: &mut Findings) {
    for batch in batches(view, out) {
        let exchange = batch.exchange;
        if !batch.valid() || !faultless(view, exchange) || walled(exchange) {
            continue;
        }
        let asked = !batch.requests().is_empty();
        let answered = got_in(view, batch.index).iter().any(|msg| is_response(msg) && !msg.value.at("id").is_null());
        let taken = if asked { exchange.is_success() && answered } else { exchange.is_accepted() };
        if !taken && asked && (exchange.status.is_none() || exchange.is_success()) && body_error(exchange).is_none() {
            out.inconclusive();
            continue;
        }
        out.require(taken, || {
            told(
                "The server did not take an array of messages, which this revision asks of it.".to_owned(),
                if asked { &["a response to each request in the array"] } else { &["status 202"] },
                came(exchange),
                "accept JSON arrays under 2025-03-26, or stop offering that version",
                exchange.evidence(),
            )
        });
    }
}

/// Each request in an array gets one response, and nothing else in it gets one.
fn batch_one_response_each(view: &View<'_>, out: &mut Findings) {
    for batch in batches(view, out) {
        let responses: Vec<_> = got_in(view, batch.index).into_iter().filter(|msg| is_response(msg)).collect();
        if !batch.valid() || responses.is_empty() || !batch.exchange.is_success() {
            continue;
        }
        let requests = batch.requests();
        let count = |id: &Value| responses.iter().filter(|msg| *msg.value.at("id") == *id).count();
        let uneven = requests.iter().find(|request| count(request.at("id")) != 1);
        let extra = responses.iter().find(|msg| !requests.iter().any(|request| request.at("id") == msg.value.at("id")));
        out.require(uneven.is_none() && extra.is_none(), || {
            told(
                match uneven {
                    Some(request) => format!(
                        "The request with id {} in an array got {} responses.",
                        id_text(request.at("id")),
                        count(request.at("id"))
                    ),
                    None => "A response to an array answers none of its requests.".to_owned(),
                },
                &["one response for each request, in any order and grouping"],
                came(batch.exchange),
                "answer each request of the array once, and its notifications not at all",
                batch.exchange.evidence().into_iter().chain(responses.iter().map(|msg| msg.seq)).collect(),
            )
        });
    }
}

/// An empty array is one invalid request.
fn batch_empty(view: &View<'_>, out: &mut Findings) {
    for batch in batches(view, out).into_iter().filter(|batch| batch.members.is_empty()) {
        let exchange = batch.exchange;
        if exchange.status.is_none() {
            out.inconclusive();
            continue;
        }
        out.require(is_4xx(exchange) || body_error(exchange) == Some(-32600), || {
            told(
                "An empty array was not refused.".to_owned(),
                &["a single error -32600, not in an array", "a status from 400 to 499"],
                came(exchange),
                "answer an empty array with status 400 and one error -32600",
                exchange.evidence(),
            )
        });
    }
}

/// Where arrays no longer belong to the protocol, refusing and serving are both fine; falling over is not.
fn batch_removed(view: &View<'_>, out: &mut Findings) {
    for batch in batches(view, out) {
        let exchange = batch.exchange;
        let clean = exchange.status.is_some_and(|status| status < 500);
        if exchange.status.is_none() && !matches!(exchange.end, Some(crate::transcript::End::Failed(_))) {
            out.inconclusive();
            continue;
        }
        out.require(clean, || {
            told(
                "The server fell over an array of messages.".to_owned(),
                &["a status from 400 to 499, with or without error -32600", "service as for single messages"],
                came(exchange),
                "refuse a body that is an array with status 400 before dispatch",
                exchange.evidence(),
            )
        });
    }
}

/// A JSON body holds one response; an array only where an array was asked.
fn json_body_batch(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, body) in posts(view) {
        let Ok(body) = body else { continue };
        let Some(answer) = exchange.got_json().filter(|_| exchange.is_success()) else { continue };
        if !out.covers(governing(view, exchange)) {
            continue;
        }
        let requests = match &body {
            Value::Array(members) => members.iter().filter(|member| Message(member).kind() == Kind::Request).count(),
            single if Message(single).kind() == Kind::Request => 1,
            _ => continue,
        };
        let array = answer.is_array();
        let fits = if body.is_array() { array || requests <= 1 } else { !array };
        out.require(fits, || {
            told(
                "The shape of a JSON answer does not fit the request.".to_owned(),
                &["an array of responses for an array of requests, a single object for a single request"],
                came(exchange),
                "answer an array with an array and a single message with a single object",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn start(version: &str) -> Builder {
        Builder::new().initialize(version)
    }

    fn pair() -> Value {
        json!([
            {"jsonrpc": "2.0", "id": 8, "method": "ping"},
            {"jsonrpc": "2.0", "id": 9, "method": "ping"},
            {"jsonrpc": "2.0", "method": "notifications/odd"}
        ])
    }

    fn reply(id: i64) -> Value {
        json!({"jsonrpc": "2.0", "id": id, "result": {}})
    }

    #[test]
    fn under_2025_03_26() {
        let old = start("2025-03-26");
        let kept = old.clone().post(&pair()).json(200, &json!([reply(9), reply(8)]));
        let refused = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no"}});
        let broken = old.clone().post(&pair()).json(400, &refused);
        for id in ["base.batch-receive", "transport.http.body-batch"] {
            expect_three(id, &kept, &broken, &start("2025-06-18"));
        }
        let broken = old.clone().post(&pair()).json(200, &json!([reply(9)]));
        expect_three("base.batch-one-response-each", &kept, &broken, &old);
        let broken = kept.clone().post(&pair()).json(200, &reply(8));
        expect_three("transport.http.json-body-batch", &kept, &broken, &Builder::new());
        let empty = old.clone().post(&json!([]));
        let broken = empty.clone().json(200, &json!([]));
        expect_three("base.batch-empty", &empty.json(400, &refused), &broken, &old);
    }

    #[test]
    fn later() {
        let new = start("2025-11-25");
        let kept = new.clone().post(&pair()).answer(400, &[], "");
        expect_three("base.batch-removed", &kept, &new.clone().post(&pair()).answer(500, &[], ""), &new);
    }
}
