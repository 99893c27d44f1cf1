//! Ids of requests, and messages that must not have one.

use std::collections::HashSet;

use crate::check::wire::{
    CLIENT_NOTIFICATIONS, came, fair_calls, got_in, governing, is_response, received, sent_in, short, told, valid_id,
};
use crate::check::{Check, Findings};
use crate::model::{Era, Kind, Members as _, id_text};
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "base.request-id-type", judge: request_id_type },
    Check { id: "base.request-id-not-null", judge: request_id_not_null },
    Check { id: "base.request-id-unique-session-server", judge: request_id_unique },
    Check { id: "base.id-type-tolerance", judge: id_type_tolerance },
    Check { id: "base.null-id-rejected", judge: null_id_rejected },
    Check { id: "base.notification-no-id", judge: notification_no_id },
    Check { id: "base.notification-no-response", judge: notification_no_response },
    Check { id: "base.unknown-notification-silent", judge: unknown_notification_silent },
];

fn server_requests<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Msg> {
    received(view)
        .filter(|(msg, _, revision)| {
            let named = msg.method().is_some_and(|method| !method.starts_with("notifications/"));
            msg.kind == Kind::Request && named && out.covers(*revision)
        })
        .map(|(msg, ..)| msg)
        .collect()
}

/// The server's own requests have a string or an integer as id; null has its own check.
fn request_id_type(view: &View<'_>, out: &mut Findings) {
    for msg in server_requests(view, out) {
        let id = msg.value.at("id");
        if id.is_null() {
            continue;
        }
        out.require(valid_id(id), || {
            told(
                "A request of the server has an id that is neither a string nor an integer.".to_owned(),
                &["a string or an integer"],
                format!("\"id\": {id}"),
                "number the server's requests with integers or strings",
                vec![msg.seq],
            )
        });
    }
}

/// The server's own requests never have a null id.
fn request_id_not_null(view: &View<'_>, out: &mut Findings) {
    for msg in server_requests(view, out) {
        out.require(!msg.value.at("id").is_null(), || {
            told(
                "A request of the server has a null id, so nobody can answer it.".to_owned(),
                &["a string or an integer"],
                short(&msg.value.to_string()),
                "give the request an id of its own, or send a notification",
                vec![msg.seq],
            )
        });
    }
}

/// In one session the server never uses an id for a second request; a replay of the same request is no second one.
fn request_id_unique(view: &View<'_>, out: &mut Findings) {
    let mut seen: Vec<(Option<usize>, &Msg)> = Vec::new();
    // A null id is no id at all, which has a check of its own.
    for msg in server_requests(view, out).into_iter().filter(|msg| !msg.value.at("id").is_null()) {
        let same = seen.iter().find(|(conversation, other)| {
            *conversation == msg.conversation
                && other.client == msg.client
                && other.value.at("id") == msg.value.at("id")
        });
        let replay = same.is_some_and(|(_, other)| {
            other.value == msg.value && view.exchange_of(msg).sent_header("last-event-id").is_some()
        });
        out.require(same.is_none() || replay, || {
            told(
                format!("The server used the id {} for two requests of one session.", id_text(msg.value.at("id"))),
                &["an id that was not used in this session before"],
                short(&msg.value.to_string()),
                "count the ids for each session, and never start over within one",
                same.iter().map(|(_, other)| other.seq).chain([msg.seq]).collect(),
            )
        });
        seen.push((msg.conversation, msg));
    }
}

/// Numbers and strings are equally good ids: no request is refused, and no id changed, for its type.
fn id_type_tolerance(view: &View<'_>, out: &mut Findings) {
    // What the method took of such an id it takes of the next, too: a refusal has another reason then. Servers that test
    // for truth refuse 0 and the empty string alone.
    let kind = |id: &serde_json::Value| (id.is_string(), *id == 0 || *id == "");
    let works: HashSet<(&str, (bool, bool))> = fair_calls(view)
        .filter(|(_, _, responses)| responses.iter().any(|msg| msg.value.member("result").is_some()))
        .filter_map(|(request, ..)| Some((request.method()?, kind(request.value.at("id")))))
        .collect();
    let known = |method: &str| works.iter().any(|(worked, _)| *worked == method);
    for (request, exchange, responses) in fair_calls(view) {
        // A refused array says nothing about the ids in it.
        if request.batched || !out.covers(request.revision) || !request.method().is_some_and(known) {
            continue;
        }
        let id = request.value.at("id");
        // To a server without session ids two clients are one, and may use an id at the same time.
        let loose = |msg: &Msg| view.conversation_of(msg).is_none_or(|conversation| conversation.session.is_none());
        let shared = |other: &Msg| other.client != request.client && loose(other) && loose(request);
        if view.messages.iter().any(|other| !other.received() && other.value.member("id") == Some(id) && shared(other))
        {
            continue;
        }
        let got = got_in(view, request.exchange);
        let bare = |id: &serde_json::Value| id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let changed = got.iter().find(|msg| {
            let other = msg.value.at("id");
            is_response(msg) && other != id && !other.is_null() && bare(other) == bare(id)
        });
        // In the modern era each kind of refusal has a code of its own, most of them with this status.
        let code = responses.first().and_then(|msg| msg.message().error_code());
        let other = request.revision.is_some_and(|revision| revision.facts().era == Era::Modern) && code.is_some();
        let taken = request.method().is_some_and(|method| works.contains(&(method, kind(id))));
        let refused = (exchange.status == Some(400) && !other) || code == Some(-32600);
        if changed.is_none() && ((refused && taken) || (!refused && responses.is_empty())) {
            continue;
        }
        out.require(changed.is_none() && !refused, || {
            told(
                format!("The server did not take {} as an id, though the method works with another one.", id_text(id)),
                &["a response with the same id in value and JSON type"],
                changed.map_or_else(|| came(exchange), |msg| format!("\"id\": {}", msg.value.at("id"))),
                "treat ids as opaque: accept integers and strings, and hand them back as they came",
                exchange.evidence(),
            )
        });
    }
}

/// A request with a null id yields no result; any refusal will do.
fn null_id_rejected(view: &View<'_>, out: &mut Findings) {
    for (index, exchange) in view.exchanges.iter().enumerate() {
        let asked = sent_in(view, index)
            .iter()
            .any(|msg| msg.kind == Kind::Request && msg.value.member("id").is_some_and(serde_json::Value::is_null));
        if !asked || !out.covers(governing(view, exchange)) {
            continue;
        }
        let served = got_in(view, index).into_iter().any(|msg| {
            msg.value.member("result").is_some() && msg.value.member("id").is_none_or(serde_json::Value::is_null)
        });
        out.require(!served, || {
            told(
                "A request with a null id was served.".to_owned(),
                &["error -32600 with a null id", "an HTTP status from 400 to 499"],
                came(exchange),
                "refuse requests whose id is null",
                exchange.evidence(),
            )
        });
    }
}

/// Notifications of the server have no id.
fn notification_no_id(view: &View<'_>, out: &mut Findings) {
    for (msg, _, revision) in received(view) {
        let notification = msg.method().is_some_and(|method| method.starts_with("notifications/"));
        if !notification || !out.covers(revision) {
            continue;
        }
        out.require(msg.value.member("id").is_none(), || {
            told(
                format!("The notification {} has an id.", msg.method().unwrap_or_default()),
                &["the same message without an id member"],
                short(&msg.value.to_string()),
                "leave the id out; with it the message looks like a request that wants an answer",
                vec![msg.seq],
            )
        });
    }
}

fn judge_notifications(view: &View<'_>, out: &mut Findings, wanted: fn(&str) -> bool) {
    for (index, exchange) in view.exchanges.iter().enumerate() {
        let sent = sent_in(view, index);
        let only = !sent.is_empty()
            && sent.iter().all(|msg| {
                msg.kind == Kind::Notification
                    && msg.method().is_some_and(|method| method.starts_with("notifications/") && wanted(method))
            });
        if !only || !exchange.answered() || !out.covers(governing(view, exchange)) {
            continue;
        }
        let answer = got_in(view, index).into_iter().find(|msg| {
            let nameless = msg.value.member("id").is_none_or(serde_json::Value::is_null);
            is_response(msg) && (msg.value.member("result").is_some() || !nameless || exchange.is_success())
        });
        out.require(answer.is_none(), || {
            told(
                format!("The server answered the notification {}.", sent[0].method().unwrap_or_default()),
                &["status 202 without a body", "an HTTP error status, with a JSON-RPC error without id if any"],
                came(exchange),
                "send no JSON-RPC response to a message that has no id",
                exchange.evidence(),
            )
        });
    }
}

/// A notification gets no response.
fn notification_no_response(view: &View<'_>, out: &mut Findings) {
    judge_notifications(view, out, |_| true);
}

/// A notification nobody knows gets no response either.
fn unknown_notification_silent(view: &View<'_>, out: &mut Findings) {
    judge_notifications(view, out, |method| !CLIENT_NOTIFICATIONS.contains(&method));
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn pushed(messages: &[Value]) -> Builder {
        let get = start().request("GET", &[], None).stream();
        messages.iter().fold(get, |get, message| get.sse(None, message)).end(End::Complete)
    }

    #[test]
    fn messages_of_the_server() {
        let ask = |id: Value| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
        let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {}});
        let noted = json!({"jsonrpc": "2.0", "id": 1, "method": "notifications/message", "params": {}});
        let good = pushed(&[ask(json!(1)), ask(json!("1"))]);
        let table = [
            ("base.request-id-type", good.clone(), pushed(&[ask(json!(1.5))])),
            ("base.request-id-not-null", good.clone(), pushed(&[ask(json!(null))])),
            ("base.request-id-unique-session-server", good, pushed(&[ask(json!(1)), ask(json!(1))])),
            ("base.notification-no-id", pushed(&[note]), pushed(&[noted])),
        ];
        for (id, kept, broken) in table {
            expect_three(id, &kept, &broken, &start());
        }
    }

    #[test]
    fn ids_of_the_client() {
        let ping = |id: Value| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
        let reply = |id: Value| json!({"jsonrpc": "2.0", "id": id, "result": {}});
        let first = start().post(&ping(json!(8))).json(200, &reply(json!(8)));
        let kept = first.clone().post(&ping(json!("8"))).json(200, &reply(json!("8")));
        let broken = first.clone().post(&ping(json!("8"))).json(200, &reply(json!(8)));
        expect_three("base.id-type-tolerance", &kept, &broken, &Builder::new());
        // An id of a kind that the method took before is refused for another reason; 0 is a kind of its own.
        let no = |id: Value| json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32600, "message": "no"}});
        let same = first.clone().post(&ping(json!(9))).json(400, &no(json!(9)));
        let zero = first.clone().post(&ping(json!(0))).json(400, &no(json!(0)));
        expect_three("base.id-type-tolerance", &same, &zero, &Builder::new());
        let refused = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no"}});
        let kept = start().post(&ping(json!(null))).json(400, &refused);
        let broken = start().post(&ping(json!(null))).json(200, &reply(json!(null)));
        expect_three("base.null-id-rejected", &kept, &broken, &start());
    }

    #[test]
    fn notifications_of_the_client() {
        let odd = json!({"jsonrpc": "2.0", "method": "notifications/odd"});
        let reply = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32601, "message": "no"}});
        let broken = start().post(&odd).json(200, &reply);
        let kept = start().post(&odd).json(400, &reply);
        expect_three("base.notification-no-response", &kept, &broken, &Builder::new());
        expect_three("base.unknown-notification-silent", &kept, &broken, &start());
    }
}
