//! JSON-RPC as the client speaks it: the envelope, ids, arrays.

use std::collections::HashMap;

use serde_json::Value;

use super::common::{not_taken, sent, told};
use crate::check::support::quote;
use crate::check::wire::{posts, valid_id};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, id_text};
use crate::transcript::View;

/// The checks of this topic.
pub(super) const CHECKS: &[Check] = &[
    Check { id: "base.client-jsonrpc-envelope", judge: envelope },
    Check { id: "base.client-request-id-type", judge: id_type },
    Check { id: "base.client-request-id-not-null", judge: id_not_null },
    Check { id: "base.client-request-id-unique-session", judge: ids_in_session },
    Check { id: "base.client-request-id-unique-inflight", judge: ids_in_flight },
    Check { id: "base.client-notification-no-id", judge: notification_id },
    Check { id: "base.batch-initialize-excluded", judge: initialize_in_batch },
    Check { id: "transport.http.body-single", judge: one_message },
];

/// Each message is an object that names JSON-RPC 2.0.
fn envelope(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange, revision) in sent(view) {
        if out.covers(revision) {
            out.require(msg.value.at("jsonrpc") == "2.0", || {
                told(
                    "The client sent a message that does not say that it is JSON-RPC 2.0.",
                    &["\"jsonrpc\": \"2.0\" in each message"],
                    quote(&msg.value),
                    "put \"jsonrpc\": \"2.0\" into every request, notification and response",
                    exchange.evidence(),
                )
            });
        }
    }
}

/// Requests have a string or an integer for an id.
fn id_type(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange, revision) in sent(view) {
        // A null one is judged by itself.
        let id = msg.value.at("id");
        if msg.kind == Kind::Request && !id.is_null() && out.covers(revision) {
            out.require(valid_id(id), || {
                told(
                    "The client sent a request whose id is neither a string nor an integer.",
                    &["a string or an integer"],
                    quote(&msg.value),
                    "give requests a string or an integer for an id",
                    exchange.evidence(),
                )
            });
        }
    }
}

/// No request has null for an id.
fn id_not_null(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange, revision) in sent(view) {
        if msg.kind == Kind::Request && out.covers(revision) {
            out.require(!msg.value.at("id").is_null(), || {
                told(
                    "The client sent a request with null for an id.",
                    &["a string or an integer"],
                    quote(&msg.value),
                    "give every request an id of its own; a notification has no id member at all",
                    exchange.evidence(),
                )
            });
        }
    }
}

fn twice(method: &str, id: &Value, evidence: Vec<u32>, expected: &str) -> crate::check::Breach {
    told(
        format!("The client used the id {id} for a second request."),
        &[expected],
        format!("{method} with the id {id}"),
        "count ids up, and never begin anew within a session",
        evidence,
    )
}

/// No id is used twice in a session.
fn ids_in_session(view: &View<'_>, out: &mut Findings) {
    let mut seen: HashMap<(usize, String), u32> = HashMap::new();
    for (msg, exchange, revision) in sent(view) {
        let Some(conversation) = msg.conversation.filter(|_| msg.kind == Kind::Request && !not_taken(exchange)) else {
            continue;
        };
        let id = msg.value.at("id");
        if id.is_null() || !out.covers(revision) {
            continue;
        }
        let before = seen.insert((conversation, id_text(id)), exchange.seq);
        out.require(before.is_none(), || {
            let evidence = before.into_iter().chain([exchange.seq]).collect();
            twice(msg.method().unwrap_or_default(), id, evidence, "each id once in a session")
        });
    }
}

/// No id is used again while its request waits for an answer.
fn ids_in_flight(view: &View<'_>, out: &mut Findings) {
    let requests = || sent(view).filter(|(msg, exchange, _)| msg.kind == Kind::Request && exchange.modern);
    for (msg, exchange, revision) in requests() {
        if !out.covers(revision) {
            continue;
        }
        let waiting = requests().find(|(other, asked, _)| {
            other.seq < msg.seq
                && other.value.at("id") == msg.value.at("id")
                && asked.line() == exchange.line()
                && asked.end_seq.is_none_or(|end| end > msg.seq)
        });
        out.require(waiting.is_none(), || {
            let evidence = waiting.iter().map(|(other, _, _)| other.seq).chain([msg.seq]).collect();
            let expected = "an id that waits for no response";
            twice(msg.method().unwrap_or_default(), msg.value.at("id"), evidence, expected)
        });
    }
}

/// Notifications have no id.
fn notification_id(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange, revision) in sent(view) {
        let is_one = msg.method().is_some_and(|method| method.starts_with("notifications/"));
        if is_one && out.covers(revision) {
            out.require(msg.value.member("id").is_none(), || {
                told(
                    "The client sent a notification with an id, which makes a request of it.",
                    &["no id member"],
                    quote(&msg.value),
                    "leave the id out of notifications",
                    exchange.evidence(),
                )
            });
        }
    }
}

/// `initialize` stands in no array.
fn initialize_in_batch(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange, revision) in sent(view) {
        if msg.method() == Some("initialize") && out.covers(revision) {
            out.require(!msg.batched, || {
                told(
                    "The client put initialize into an array with other messages.",
                    &["initialize alone in its body"],
                    quote(&msg.value),
                    "send initialize by itself, and nothing else before its result",
                    exchange.evidence(),
                )
            });
        }
    }
}

/// A body is one message.
fn one_message(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, body) in posts(view) {
        if exchange.via.has_one_stream() || !out.covers(super::common::revision(view, exchange)) {
            continue;
        }
        out.require(body.is_ok_and(Value::is_object), || {
            let actual = exchange.body.as_deref().unwrap_or_default();
            told(
                "The client sent a body that is not one JSON-RPC message.",
                &["one request, notification or response"],
                actual,
                "send each message in a POST of its own; arrays are gone since 2025-06-18",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::three;
    use crate::transcript::Builder;
    use serde_json::json;

    fn start() -> Builder {
        Builder::new().initialize("2025-11-25")
    }

    fn says(message: &serde_json::Value) -> Builder {
        start().post(message).json(200, &json!({"jsonrpc": "2.0", "id": 7, "result": {}}))
    }

    #[test]
    fn envelopes_and_ids() {
        let empty = Builder::new();
        three("base.client-jsonrpc-envelope", &start(), &says(&json!({"id": 7, "method": "ping"})), &empty);
        let odd = says(&json!({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}));
        three("base.client-request-id-type", &start(), &odd, &empty);
        let null = says(&json!({"jsonrpc": "2.0", "id": null, "method": "ping"}));
        three("base.client-request-id-not-null", &start(), &null, &empty);
        let again = says(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
        three("base.client-request-id-unique-session", &start(), &again, &empty);
        let named = says(&json!({"jsonrpc": "2.0", "id": 7, "method": "notifications/cancelled"}));
        three("base.client-notification-no-id", &start(), &named, &empty);
    }

    #[test]
    fn what_was_refused_for_want_of_a_token_may_come_again() {
        let ping = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
        let twice = start().post(&ping).answer(401, &[], "").post(&ping).json(200, &json!({"id": 9, "result": {}}));
        let broken = twice.clone().post(&ping).json(200, &json!({"id": 9, "result": {}}));
        three("base.client-request-id-unique-session", &twice, &broken, &Builder::new());
    }

    #[test]
    fn ids_in_the_modern_era_are_free_once_answered() {
        let start = Builder::new().modern().discover(json!({"tools": {}}));
        let list = start.message(&json!(7), "tools/list", serde_json::Value::Null);
        let done = json!({"jsonrpc": "2.0", "id": 7, "result": {"resultType": "complete", "tools": []}});
        let kept = start.clone().post(&list).json(200, &done).post(&list).json(200, &done);
        let broken = start.post(&list).post(&list).json(200, &done);
        three("base.client-request-id-unique-inflight", &kept, &broken, &self::start());
    }

    #[test]
    fn arrays() {
        let two = json!([{"jsonrpc": "2.0", "id": 7, "method": "ping"}, {"jsonrpc": "2.0", "id": 8, "method": "ping"}]);
        three("transport.http.body-single", &start(), &says(&two), &Builder::new());
        let of_old = Builder::new().initialize("2025-03-26");
        let again = json!([{"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {}}]);
        let broken = of_old.clone().post(&again).json(200, &json!([]));
        three("base.batch-initialize-excluded", &of_old, &broken, &start());
    }
}
