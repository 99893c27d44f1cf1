//! What a POST gets: status, content type, body.

use serde_json::Value;

use crate::check::wire::{
    body_error, came, faultless, got_in, governing, is_4xx, is_response, posts, sent_in, told, unfinished, walled,
};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Message};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.notification-202", judge: notification_202 },
    Check { id: "transport.http.notification-202-empty", judge: accepted_empty },
    Check { id: "transport.http.response-202", judge: response_202 },
    Check { id: "transport.http.notification-rejected-status", judge: rejected_status },
    Check { id: "transport.http.notification-rejected-body", judge: rejected_body },
    Check { id: "transport.http.request-content-type", judge: request_content_type },
    Check { id: "transport.http.concurrent-requests", judge: concurrent_requests },
];

/// Single messages of one kind sent by POST, with their exchanges.
pub(super) fn singles<'v>(view: &'v View<'_>, out: &Findings, kind: Kind) -> Vec<(usize, &'v Exchange, &'v Value)> {
    posts(view)
        .filter_map(|(index, exchange, body)| Some((index, exchange, body.ok()?)))
        .filter(|(_, exchange, body)| {
            Message(body).kind() == kind && exchange.status.is_some() && out.covers(governing(view, exchange))
        })
        .collect()
}

/// Notifications and responses sent by POST.
fn one_way<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(usize, &'v Exchange, &'v Value)> {
    let mut all = singles(view, out, Kind::Notification);
    all.extend(singles(view, out, Kind::Response));
    all.sort_by_key(|(index, ..)| *index);
    all
}

fn accepted(out: &mut Findings, exchange: &Exchange, what: &str, right: bool) {
    out.require(right, || {
        told(
            format!("The server took {what} but did not answer with 202."),
            &["status 202 without a body"],
            came(exchange),
            "answer 202 Accepted with an empty body to everything that needs no response",
            exchange.evidence(),
        )
    });
}

/// A notification that is accepted gets 202. A refusal is another matter.
fn notification_202(view: &View<'_>, out: &mut Findings) {
    for (index, exchange, body) in singles(view, out, Kind::Notification) {
        let first = view.conversations.iter().any(|opened| opened.initialized == Some(index));
        let fair = first && body.at("jsonrpc") == "2.0" && faultless(view, exchange);
        if exchange.is_success() && body_error(exchange).is_none() {
            let name = body.at("method").as_str().unwrap_or_default();
            accepted(out, exchange, &format!("the notification {name}"), exchange.status == Some(202));
        } else if fair && is_4xx(exchange) && !walled(exchange) {
            accepted(out, exchange, "no notifications/initialized", false);
        }
    }
}

/// Whether an exchange carries the client's response to a request of the server that was still open.
fn awaited(view: &View<'_>, index: usize) -> bool {
    let sent = &view.exchanges[index];
    view.server_calls.iter().any(|call| {
        let asking = view.exchange_of(&view.messages[call.request]);
        let open = asking.end_seq.is_none_or(|end| end > sent.end_seq.unwrap_or(sent.seq));
        open && call.responses.iter().any(|response| view.messages[*response].exchange == index)
    })
}

/// An accepted response of the client gets 202 and no body; one that the server has asked for had better be accepted.
fn response_202(view: &View<'_>, out: &mut Findings) {
    for (index, exchange, _) in singles(view, out, Kind::Response) {
        if exchange.is_success() {
            let bare = exchange.response_body.as_deref().unwrap_or_default().is_empty() && exchange.events.is_empty();
            accepted(out, exchange, "a response of the client", exchange.status == Some(202) && bare);
        } else if exchange.status == Some(404) {
            // The session is gone, which is judged where the end of sessions is.
        } else if is_4xx(exchange) && awaited(view, index) && faultless(view, exchange) && !walled(exchange) {
            // A server may refuse what it cannot accept; that it cannot accept what it asked for is open to doubt.
            out.contested(told(
                "The server refused the response to a request of its own.".to_owned(),
                &["status 202 without a body"],
                came(exchange),
                "keep what the client's answer belongs to until it has come, or the request is cancelled",
                exchange.evidence(),
            ));
        }
    }
}

/// The 202 has no body.
fn accepted_empty(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, _) in one_way(view, out).into_iter().filter(|(_, exchange, _)| exchange.status == Some(202)) {
        let empty = exchange.response_body.as_deref().unwrap_or_default().is_empty() && exchange.events.is_empty();
        out.require(empty, || {
            told(
                "The answer 202 to a notification or response has a body.".to_owned(),
                &["status 202 and not one byte of body"],
                came(exchange),
                "send 202 with Content-Length: 0; some clients try to parse whatever is there",
                exchange.evidence(),
            )
        });
    }
}

/// A notification or response that is not accepted gets an error status: nothing between 203 and 399.
fn rejected_status(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, body) in one_way(view, out) {
        let refused = body_error(exchange).is_some() || body.at("jsonrpc") != "2.0" || !exchange.is_success();
        if !refused {
            continue;
        }
        let right = exchange.status.is_some_and(|status| status == 202 || status >= 400);
        out.require(right, || {
            told(
                "A notification or response that the server did not take got no error status.".to_owned(),
                &["a status from 400 up", "202 if it was taken after all"],
                came(exchange),
                "refuse with status 400, and put the reason into a JSON-RPC error without id",
                exchange.evidence(),
            )
        });
    }
}

/// A JSON-RPC error in such a refusal has no id, for there is none to name.
fn rejected_body(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, _) in one_way(view, out) {
        if exchange.status.is_none_or(|status| status < 400) {
            continue;
        }
        let Some(body) = exchange.got_json().filter(|body| body.at("jsonrpc") == "2.0") else { continue };
        out.require(body.member("id").is_none_or(Value::is_null), || {
            told(
                "The error for a notification or response carries an id.".to_owned(),
                &["a JSON-RPC error without id, or with a null one", "any other body, or none"],
                came(exchange),
                "leave the id out of errors that answer no request",
                exchange.evidence(),
            )
        });
    }
}

/// A served request is answered with JSON or with an event stream.
fn request_content_type(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, _) in singles(view, out, Kind::Request).into_iter().filter(|(_, got, _)| got.is_success()) {
        let kind = exchange.media_type();
        let right = matches!(kind, Some("application/json" | "text/event-stream"));
        out.require(right, || {
            told(
                "A request was answered with neither JSON nor an event stream.".to_owned(),
                &["Content-Type: application/json", "Content-Type: text/event-stream"],
                format!("{}; Content-Type {}", came(exchange), kind.unwrap_or("missing")),
                "set the Content-Type of the answer; 202 without content is for notifications only",
                exchange.evidence(),
            )
        });
    }
}

/// Requests that run at the same time are each answered on their own POST.
fn concurrent_requests(view: &View<'_>, out: &mut Findings) {
    let requests: Vec<_> = singles(view, out, Kind::Request)
        .into_iter()
        .filter(|(_, exchange, _)| faultless(view, exchange) && !walled(exchange))
        .collect();
    let overlap = |one: &Exchange, two: &Exchange| {
        let end = |exchange: &Exchange| exchange.end_seq.unwrap_or(u32::MAX);
        one.seq != two.seq && one.client == two.client && one.seq < end(two) && two.seq < end(one)
    };
    for (index, exchange, body) in &requests {
        if !requests.iter().any(|(_, other, _)| overlap(exchange, other)) {
            continue;
        }
        let got = got_in(view, *index);
        let own = got.iter().any(|msg| is_response(msg) && msg.value.at("id") == body.at("id"));
        let foreign = got.iter().find(|msg| {
            let theirs = |(other, ..): &(usize, &Exchange, &Value)| {
                sent_in(view, *other).iter().any(|sent| sent.value.at("id") == msg.value.at("id"))
            };
            is_response(msg) && msg.value.at("id") != body.at("id") && requests.iter().any(theirs)
        });
        if !own && foreign.is_none() {
            if unfinished(exchange) || exchange.is_success() {
                out.inconclusive();
                continue;
            }
            if is_4xx(exchange) {
                continue;
            }
        }
        out.require(own && foreign.is_none(), || {
            told(
                "One of several requests at the same time was not answered on its own POST.".to_owned(),
                &["the response to this request, and to no other"],
                foreign.map_or_else(|| came(exchange), |msg| msg.value.to_string()),
                "keep each response with the HTTP request that asked for it, also within one session",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, End, EventKind};
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn one_way(message: &Value, status: u16, body: &str) -> Builder {
        start().post(message).answer(status, &[], body)
    }

    #[test]
    fn notifications_and_responses() {
        let note = json!({"jsonrpc": "2.0", "method": "notifications/odd"});
        let reply = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
        let error =
            |id: Value| json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32600, "message": "no"}}).to_string();
        let empty = Builder::new();
        let table = [
            ("transport.http.notification-202", one_way(&note, 202, ""), one_way(&note, 200, ""), &empty),
            ("transport.http.notification-202-empty", one_way(&note, 202, ""), one_way(&note, 202, "ok"), &empty),
            ("transport.http.response-202", one_way(&reply, 202, ""), one_way(&reply, 200, "{}"), &start()),
            (
                "transport.http.notification-rejected-status",
                one_way(&note, 400, ""),
                one_way(&note, 200, &error(json!(null))),
                &start(),
            ),
            (
                "transport.http.notification-rejected-body",
                one_way(&note, 400, &error(json!(null))),
                one_way(&note, 400, &error(json!(5))),
                &start(),
            ),
        ];
        for (id, kept, broken, silent) in table {
            expect_three(id, &kept, &broken, silent);
        }
    }

    #[test]
    fn an_answer_that_was_asked_for_is_not_refused() {
        let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "asks"}});
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"});
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {"roots": []}});
        let asked = start().post(&call).stream().sse(None, &question).post(&answer);
        let outcome =
            |status: u16| judge("transport.http.response-202", &asked.clone().answer(status, &[], "")).outcome;
        assert_eq!((outcome(202), outcome(400)), (Outcome::Pass, Outcome::Warn));
    }

    #[test]
    fn requests() {
        let ping = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
        let plain = start().post(&ping).answer(200, &[("content-type", "text/plain")], "pong");
        let empty = Builder::new();
        expect_three("transport.http.request-content-type", &start(), &plain, &empty);
    }

    #[test]
    fn at_the_same_time() {
        let ping = |id: u32| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
        let reply = |id: u32| json!({"jsonrpc": "2.0", "id": id, "result": {}});
        let pair = |first: u32, second: u32| {
            let answer = |builder: Builder, exchange: u32, id: u32| {
                let headers = vec![("content-type".into(), "application/json".into())];
                builder
                    .event(EventKind::Response { exchange, status: 200, headers })
                    .event(EventKind::Body { exchange, text: reply(id).to_string().into(), utf8: true })
                    .event(EventKind::End { exchange, end: End::Complete })
            };
            answer(answer(start().post(&ping(8)).post(&ping(9)), 3, first), 4, second)
        };
        expect_three("transport.http.concurrent-requests", &pair(8, 9), &pair(9, 8), &start());
    }
}
