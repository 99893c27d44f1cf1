//! Cancellation of requests.

use std::collections::HashSet;

use serde_json::Value;

use crate::check::support::{param, received_with, sent_notifications, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Via};
use crate::transcript::{End, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "utilities.cancellation.only-own-inflight", judge: only_own },
    Check { id: "utilities.cancellation.ignore-unknown", judge: ignore_unknown },
    Check { id: "utilities.cancellation.ignore-malformed", judge: ignore_malformed },
    Check { id: "utilities.cancellation.races", judge: races },
    Check { id: "utilities.cancellation.id-type-exact", judge: id_type_exact },
    Check { id: "utilities.cancellation.session-scoped", judge: session_scoped },
];

const CANCELLED: &str = "notifications/cancelled";

pub(super) fn cancellations<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Msg> {
    sent_notifications(view, CANCELLED).filter(|msg| out.covers(msg.revision)).collect()
}

/// A request of the client with its first response.
type Pending<'v> = (&'v Msg, Option<&'v Msg>, usize);

/// Requests that had been sent and not been answered when this cancellation was sent.
pub(super) fn pending<'v>(view: &'v View<'_>, cancel: &'v Msg) -> impl Iterator<Item = Pending<'v>> {
    view.calls.iter().filter_map(move |call| {
        let request = &view.messages[call.request];
        let response = call.responses.first().map(|index| &view.messages[*index]);
        let exchange = view.exchange_of(request);
        let open = response.map_or(exchange.end_seq, |response| Some(response.seq)).is_none_or(|seq| seq > cancel.seq);
        (request.seq < cancel.seq && open).then_some((request, response, call.responses.len()))
    })
}

/// The server cancels only what it had asked itself.
fn only_own(view: &View<'_>, out: &mut Findings) {
    for msg in received_with(view, CANCELLED) {
        let id = param(msg, "requestId");
        let own = view.received().any(|asked| {
            asked.kind == Kind::Request && asked.conversation == msg.conversation && *asked.value.at("id") == *id
        });
        if id.is_null() || !out.covers(msg.revision) {
            continue;
        }
        out.require(own, || {
            told(
                format!("The server cancelled the request {id}, which it had never sent."),
                &["the id of a request of the server"],
                &msg.value,
                "cancel only requests that the server sent itself; answer the client's with a result or an error",
                &[msg],
            )
        });
    }
}

/// Whether a cancellation was taken without ado; `None` where the answer speaks of access or load.
fn taken(view: &View<'_>, cancel: &Msg) -> Option<bool> {
    let exchange = view.exchange_of(cancel);
    let answered = view.messages_in(cancel.exchange).any(|msg| msg.received() && msg.kind == Kind::Response);
    if exchange.is_message() {
        return exchange.is_success().then_some(!answered);
    }
    match exchange.status? {
        200..=299 => Some(!answered),
        // In its session and of its version a cancellation gives no reason for a bad request.
        400 if in_order(view, cancel) => Some(false),
        500 => Some(false),
        _ => None,
    }
}

/// Whether the headers of a message are those of its conversation, which still lives.
fn in_order(view: &View<'_>, msg: &Msg) -> bool {
    let exchange = view.exchange_of(msg);
    let Some(conversation) = view.conversation_of(msg) else { return false };
    let lives = conversation.deleted.is_none_or(|deleted| view.exchanges[deleted].seq > exchange.seq);
    let version = exchange.sent_header("mcp-protocol-version");
    let over_http = exchange.via == Via::StreamableHttp;
    let needs_version = over_http && conversation.revision.is_some_and(|revision| revision.facts().version_header);
    lives
        && exchange.session() == conversation.session.as_deref()
        && version.map_or(!needs_version, |version| version == conversation.answered)
}

fn judge_taken(view: &View<'_>, out: &mut Findings, cancel: &Msg, what: &str) {
    let Some(taken) = taken(view, cancel).filter(|_| !cancel.batched) else { return };
    out.require(taken, || {
        told(
            format!("The cancellation of {what} was not ignored."),
            &["status 202 and no message"],
            &view.exchange_of(cancel).status.into(),
            "ignore cancellations that name nothing that runs",
            &[cancel],
        )
    });
}

/// A cancellation that names no running request is ignored.
fn ignore_unknown(view: &View<'_>, out: &mut Findings) {
    for cancel in cancellations(view, out) {
        let id = param(cancel, "requestId");
        let sound = id.is_string() || id.is_number();
        let running = pending(view, cancel)
            .any(|(request, ..)| request.conversation == cancel.conversation && *request.value.at("id") == *id);
        if sound && !running {
            judge_taken(view, out, cancel, &format!("the request {id}, which is not running,"));
        }
    }
}

/// A malformed cancellation is ignored; an error status of the client's kind passes too.
fn ignore_malformed(view: &View<'_>, out: &mut Findings) {
    for cancel in cancellations(view, out) {
        let id = param(cancel, "requestId");
        let optional = cancel.revision.is_some_and(|revision| revision.facts().core_tasks);
        if id.is_string() || id.is_number() || (id.is_null() && optional) {
            continue;
        }
        if view.exchange_of(cancel).status == Some(400) {
            out.pass();
        } else {
            judge_taken(view, out, cancel, &format!("a malformed id, {id},"));
        }
    }
}

/// A cancellation around the end of its request does not lead to two responses.
fn races(view: &View<'_>, out: &mut Findings) {
    for cancel in cancellations(view, out) {
        for call in &view.calls {
            let request = &view.messages[call.request];
            let same =
                request.conversation == cancel.conversation && *request.value.at("id") == *param(cancel, "requestId");
            if !same || request.seq > cancel.seq {
                continue;
            }
            let mut exchanges = HashSet::new();
            let again = call.responses.iter().map(|index| &view.messages[*index]).find(|response| {
                let replayed = view.exchange_of(response).sent_header("last-event-id").is_some();
                !exchanges.insert(response.exchange) || (!replayed && exchanges.len() > 1)
            });
            match again {
                None => out.pass(),
                Some(again) => out.breach(told(
                    "A request that was cancelled got two responses.",
                    &["one response or none"],
                    &again.value,
                    "decide once how a request ends: by its result or by its cancellation",
                    &[request, cancel, again],
                )),
            }
        }
    }
}

/// Judges whether requests that a cancellation did not mean were spared by it.
fn spared(view: &View<'_>, out: &mut Findings, what: &str, other: impl Fn(&Msg, &Msg) -> bool) {
    for cancel in cancellations(view, out) {
        for (request, response, _) in pending(view, cancel).filter(|(request, ..)| other(request, cancel)) {
            match view.exchange_of(request).end {
                _ if response.is_some() => out.pass(),
                Some(End::TimedOut | End::Complete) => out.breach(told(
                    format!("After a cancellation a request that {what} was never answered."),
                    &["its own response"],
                    &Value::Null,
                    "look up the request by session and by the id with its JSON type",
                    &[request, cancel],
                )),
                _ => out.inconclusive(),
            }
        }
    }
}

/// Cancelling 1 does not cancel "1".
fn id_type_exact(view: &View<'_>, out: &mut Findings) {
    let text = |id: &Value| id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    spared(view, out, "has the same id of another JSON type", |request, cancel| {
        let (id, named) = (request.value.at("id"), param(cancel, "requestId"));
        request.conversation == cancel.conversation && id != named && text(id) == text(named)
    });
}

/// Cancelling in one session touches no other.
fn session_scoped(view: &View<'_>, out: &mut Findings) {
    spared(view, out, "has the same id in another session", |request, cancel| {
        request.conversation.is_some()
            && request.conversation != cancel.conversation
            && *request.value.at("id") == *param(cancel, "requestId")
    });
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::model::Via;
    use crate::transcript::{Builder, End, EventKind};
    use serde_json::{Value, json};

    fn open(base: Builder, id: &Value) -> Builder {
        base.post(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "t"}})).stream()
    }

    fn cancel(base: Builder, id: &Value) -> Builder {
        base.notify("notifications/cancelled", json!({"requestId": id}))
    }

    fn end(base: Builder, messages: &[Value]) -> Builder {
        let stream = base.request("GET", &[], None).stream();
        messages.iter().fold(stream, |builder, message| builder.sse(None, message))
    }

    #[test]
    fn what_is_cancelled() {
        let base = Builder::new().initialize("2025-06-18");
        let done = |id: Value| json!({"jsonrpc": "2.0", "id": id, "result": {"content": []}});
        let cut = cancel(open(base.clone(), &json!("x")), &json!("x"));
        let late = end(cut.clone().pause_ms(900), &[done(json!("x"))]);
        three("utilities.cancellation.no-response", &cut, &late);
        let twice = end(cut.clone(), &[done(json!("x")), done(json!("x"))]);
        three("utilities.cancellation.races", &late, &twice);
        let question = json!({"jsonrpc": "2.0", "id": 5, "method": "roots/list"});
        let own = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
        let good = end(base.clone(), &[question, own.clone()]);
        three("utilities.cancellation.only-own-inflight", &good, &end(base, &[own]));
    }

    #[test]
    fn on_pipes_in_the_modern_era() {
        let done = |id: Value| json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "content": []}});
        let start = || Builder::new().channel(Via::Stdio).modern().discover(json!({"tools": {}}));
        let run = |id: &Value| {
            let message = start().message(id, "tools/call", json!({"name": "t"}));
            start().post(&message)
        };
        let cut = cancel(run(&json!("x")), &json!("x"));
        let late = cut.clone().pause_ms(900).comes(&done(json!("x")).to_string());
        three("utilities.cancellation.no-response", &cut, &late);
        three("utilities.cancellation.races", &late, &late.clone().comes(&done(json!("x")).to_string()));
        let other = cancel(run(&json!("1000")), &json!(1000));
        let kept = other.clone().comes(&done(json!("1000")).to_string());
        let lost = other.event(EventKind::End { exchange: 3, end: End::TimedOut });
        three("utilities.cancellation.id-type-exact", &kept, &lost);
    }

    #[test]
    fn what_is_ignored() {
        let base = Builder::new().initialize("2025-06-18");
        for (id, name) in [(json!("none"), "unknown"), (json!({}), "malformed")] {
            let message = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
            let bad = base.clone().post(&message).answer(500, &[], "");
            three(&format!("utilities.cancellation.ignore-{name}"), &cancel(base.clone(), &id), &bad);
        }
    }

    #[test]
    fn what_is_spared() {
        let done = json!({"jsonrpc": "2.0", "id": "1000", "result": {"content": []}});
        let base = Builder::new().initialize("2025-06-18");
        let bystander = open(base.clone(), &json!("1000"));
        let good = end(cancel(bystander, &json!(1000)), std::slice::from_ref(&done));
        three("utilities.cancellation.id-type-exact", &good, &lost(&base, 3, &json!(1000), None));
        let two = base.initialize("2025-06-18");
        let open_second = open(two.clone(), &json!("1000"));
        let good = end(cancel(open_second.session("session#1"), &json!("1000")).session("session#2"), &[done]);
        let bad = lost(&two, 5, &json!("1000"), Some("session#1"));
        three("utilities.cancellation.session-scoped", &good, &bad);
    }

    /// A call with the id "1000" that ends without an answer after a cancellation.
    fn lost(base: &Builder, exchange: u32, id: &Value, session: Option<&str>) -> Builder {
        let mut events = open(base.clone(), &json!("1000"));
        if let Some(session) = session {
            events = events.session(session);
        }
        cancel(events, id).event(EventKind::End { exchange, end: End::TimedOut })
    }
}
