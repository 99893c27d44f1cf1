//! Cancellation, progress and cursors as the client uses them.

use serde_json::Value;

use super::common::{sent, told};
use crate::check::support::quote;
use crate::check::wire::valid_id;
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _};
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub(super) const CHECKS: &[Check] = &[
    Check { id: "utilities.cancellation.client-only-own-inflight", judge: own_requests },
    Check { id: "utilities.cancellation.client-not-initialize", judge: not_initialize },
    Check { id: "utilities.progress.token-type", judge: progress_token },
    Check { id: "utilities.pagination.cursor-opaque", judge: cursors },
];

/// Cancellations that the client sent, each with the request that it names.
fn cancelled<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Msg, Option<&'v Msg>)> {
    let all = sent(view)
        .filter(|(msg, _, revision)| msg.method() == Some("notifications/cancelled") && out.covers(*revision));
    all.map(|(msg, _, _)| {
        let id = msg.value.at("params").at("requestId");
        let named = view.messages.iter().rev().find(|other| {
            !other.received()
                && other.kind == Kind::Request
                && other.seq < msg.seq
                && other.conversation == msg.conversation
                && *other.value.at("id") == *id
        });
        (msg, named)
    })
    .collect()
}

/// Only requests that the client made, and that may still be running, are cancelled.
fn own_requests(view: &View<'_>, out: &mut Findings) {
    for (msg, named) in cancelled(view, out) {
        // An answer may cross the cancellation; one that came long before cannot.
        const CROSSES: u64 = 2_000_000;
        let call =
            view.calls.iter().find(|call| named.is_some_and(|named| named.seq == view.messages[call.request].seq));
        let answered = call.and_then(|call| call.responses.first()).map(|index| &view.messages[*index]);
        let over = answered.is_some_and(|answer| answer.seq < msg.seq && msg.at.saturating_sub(answer.at) > CROSSES);
        let breach = |why: &str| {
            told(
                format!("The client cancelled a request that {why}."),
                &["requestId of a request that is under way"],
                quote(&msg.value),
                "cancel only what is still waited for, with the id as it was sent, type included",
                named.map(|named| named.seq).into_iter().chain([msg.seq]).collect(),
            )
        };
        match named {
            None => out.breach(breach("it never sent")),
            // What the client believed is not on the wire.
            Some(_) if over => out.contested(breach("had been answered before")),
            Some(_) => out.pass(),
        }
    }
}

/// `initialize` is not cancelled.
fn not_initialize(view: &View<'_>, out: &mut Findings) {
    for (msg, named) in cancelled(view, out) {
        out.require(named.and_then(Msg::method) != Some("initialize"), || {
            told(
                "The client cancelled its initialize.",
                &["a closed connection, if it does not want to wait"],
                quote(&msg.value),
                "never cancel initialize; leave instead",
                vec![msg.seq],
            )
        });
    }
}

/// Progress tokens are strings or integers, and no two requests under way share one.
fn progress_token(view: &View<'_>, out: &mut Findings) {
    let with_token = || {
        sent(view).filter_map(|(msg, exchange, revision)| {
            let token = msg.value.at("params").at("_meta").member("progressToken")?;
            (msg.kind == Kind::Request).then_some((msg, exchange, revision, token))
        })
    };
    for (msg, exchange, revision, token) in with_token() {
        if !out.covers(revision) {
            continue;
        }
        let shared = with_token().find(|(other, asked, _, known)| {
            let running = asked.end_seq.is_none_or(|end| end > msg.seq);
            other.seq < msg.seq && *known == token && other.conversation == msg.conversation && running
        });
        // On a channel an exchange is over once it is written; whether its call is too, its response tells.
        let shared = shared.filter(|(other, ..)| !has_response_before(view, other, msg.seq));
        out.require(valid_id(token) && shared.is_none(), || {
            told(
                "The client sent a progress token that does not tell its request from others.",
                &["a string or an integer that no other request under way has"],
                quote(msg.value.at("params").at("_meta")),
                "make a new token for each request; its id will do",
                shared.iter().map(|(other, ..)| other.seq).chain([exchange.seq]).collect(),
            )
        });
    }
}

fn has_response_before(view: &View<'_>, request: &Msg, seq: u32) -> bool {
    let call = view.calls.iter().find(|call| view.messages[call.request].seq == request.seq);
    call.is_some_and(|call| call.responses.iter().any(|index| view.messages[*index].seq < seq))
}

/// Cursors are sent back as they came.
fn cursors(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange, revision) in sent(view).filter(|(msg, _, _)| msg.kind == Kind::Request) {
        let Some(cursor) = msg.value.at("params").member("cursor").filter(|cursor| !cursor.is_null()) else { continue };
        if !out.covers(revision) || !msg.method().is_some_and(|method| method.ends_with("/list")) {
            continue;
        }
        let given = |value: &Value| *value.at("result").at("nextCursor") == *cursor;
        let known = view.received().any(|got| got.seq < msg.seq && given(&got.value));
        out.require(known, || {
            told(
                "The client sent a cursor that the server never gave.",
                &["a nextCursor of an earlier result, unchanged"],
                quote(&msg.value),
                "send cursors back as they came; never make, change or keep them beyond the session",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn cancels(id: &Value) -> Builder {
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "x"}});
        start().post(&call).notify("notifications/cancelled", json!({"requestId": id}))
    }

    #[test]
    fn cancellation() {
        three("utilities.cancellation.client-only-own-inflight", &cancels(&json!(7)), &cancels(&json!("7")), &start());
        three("utilities.cancellation.client-not-initialize", &cancels(&json!(7)), &cancels(&json!(1)), &start());
    }

    #[test]
    fn tokens_and_cursors() {
        let with = |token: Value| start().call("ping", json!({"_meta": {"progressToken": token}}), json!({}));
        three("utilities.progress.token-type", &with(json!("t")), &with(json!(1.5)), &start());
        let first = start().call("tools/list", json!({}), json!({"tools": [], "nextCursor": "c"}));
        let next = |cursor: &str| first.clone().call("tools/list", json!({"cursor": cursor}), json!({"tools": []}));
        three("utilities.pagination.cursor-opaque", &next("c"), &next("d"), &first);
    }
}
