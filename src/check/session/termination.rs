//! The end of a session: what its id is worth afterwards, and what must live on.

use super::nodes::over_at_all;
use crate::check::wire::{body_error, came, governing, may_be_lost, nearest, over, to_endpoint, told, walled};
use crate::check::{Check, Findings};
use crate::transcript::{Conversation, End, Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.session-404-after-termination", judge: gone_after_termination },
    Check { id: "transport.http.session-404-after-termination-all-methods", judge: gone_for_all_methods },
    Check { id: "transport.http.session-delete-effective", judge: delete_effective },
    Check { id: "transport.http.session-reinit-after-404", judge: reinit_after_404 },
    Check { id: "transport.http.session-delete-405", judge: delete_405 },
    Check { id: "transport.http.session-delete-closes-streams", judge: delete_closes_streams },
    Check { id: "transport.http.session-delete-scoped", judge: delete_scoped },
];

/// How long a stream may outlive its session, in microseconds.
const GRACE: u64 = 5_000_000;

/// Requests with the id of a session whose accepted DELETE was answered before they left.
fn late<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Exchange, &'v Exchange)> {
    view.exchanges
        .iter()
        .filter_map(|exchange| {
            let conversation = &view.conversations[exchange.conversation?];
            let delete = &view.exchanges[conversation.deleted?];
            let after = delete.end_seq.or(delete.response_seq).is_some_and(|seq| seq < exchange.seq);
            let named = conversation.session.is_some() && exchange.session() == conversation.session.as_deref();
            (after && named && exchange.status.is_some() && out.covers(exchange.revision)).then_some((exchange, delete))
        })
        .filter(|(exchange, _)| !walled(exchange))
        .collect()
}

fn served_late(out: &mut Findings, exchange: &Exchange, delete: &Exchange, right: bool) {
    out.require(right, || {
        told(
            format!("After the session was deleted, a {} with its id was not answered with 404.", exchange.method),
            if exchange.method == "POST" {
                &["status 404"]
            } else {
                &["status 404", "405 if the method is not offered"]
            },
            came(exchange),
            "forget the session on DELETE and answer 404 to unknown ids; clients open a new session only on 404",
            delete.evidence().into_iter().chain(exchange.evidence()).collect(),
        )
    });
}

/// After its end, a POST with the id of a session is answered with 404.
fn gone_after_termination(view: &View<'_>, out: &mut Findings) {
    over_at_all(view, out);
    for (exchange, delete) in late(view, out) {
        if exchange.method == "POST" {
            served_late(out, exchange, delete, exchange.status == Some(404));
        }
    }
}

/// The same for GET and DELETE; a method that is not offered at all may stay 405.
fn gone_for_all_methods(view: &View<'_>, out: &mut Findings) {
    for (exchange, delete) in late(view, out) {
        if exchange.method != "POST" {
            let streams = |other: &Exchange| other.method == "GET" && other.is_success();
            let offered = exchange.method != "GET" || view.exchanges.iter().any(streams);
            let unoffered = exchange.status == Some(405) && !offered;
            served_late(out, exchange, delete, exchange.status == Some(404) || unoffered);
        }
    }
}

/// A DELETE answered with success ends the session: nothing is served under its id any more.
fn delete_effective(view: &View<'_>, out: &mut Findings) {
    for (exchange, delete) in late(view, out) {
        // A second DELETE that is accepted serves nobody.
        if exchange.method == "DELETE" {
            continue;
        }
        let served = exchange.is_success() && body_error(exchange).is_none();
        out.require(!served, || {
            told(
                "The server accepted the DELETE of a session and went on serving it.".to_owned(),
                &["status 404 for every later request with this id", "405 to the DELETE if sessions cannot be deleted"],
                came(exchange),
                "drop the state of the session when DELETE is accepted, on every instance of the server",
                delete.evidence().into_iter().chain(exchange.evidence()).collect(),
            )
        });
    }
}

/// After a 404 for a session, a fresh `initialize` works and gives another id.
fn reinit_after_404(view: &View<'_>, out: &mut Findings) {
    for lost in &view.exchanges {
        let Some(session) = lost.session().filter(|_| lost.status == Some(404) && to_endpoint(view, lost)) else {
            continue;
        };
        if !out.covers(governing(view, lost)) {
            continue;
        }
        let fresh = view.messages.iter().find(|msg| {
            let exchange = view.exchange_of(msg);
            msg.method() == Some("initialize")
                && !msg.received()
                && exchange.client == lost.client
                && exchange.seq > lost.seq
                && exchange.session().is_none()
        });
        let Some(exchange) = fresh.map(|msg| view.exchange_of(msg)).filter(|exchange| !walled(exchange)) else {
            continue;
        };
        let opened = view.conversations.iter().find(|opened| view.exchanges[opened.opened].seq == exchange.seq);
        if exchange.status.is_none() {
            out.inconclusive();
            continue;
        }
        let new = opened.is_some_and(|opened| opened.session.as_deref() != Some(session));
        out.require(new, || {
            told(
                "After a 404 for its session the client could not open a new one.".to_owned(),
                &["initialize succeeds with an id other than the old one"],
                came(exchange),
                "let initialize without a session id open a fresh session at any time",
                lost.evidence().into_iter().chain(exchange.evidence()).collect(),
            )
        });
    }
}

/// The first DELETE of a live session is accepted or answered with 405.
fn delete_405(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| exchange.method == "DELETE" && !walled(exchange)) {
        let live = exchange.session().is_some() && exchange.conversation.is_some() && !over(view, exchange);
        // Where another session was deleted before, a 404 is judged as the end of too many.
        let deleted = |other: &Exchange| other.method == "DELETE" && other.is_success() && other.seq < exchange.seq;
        let swept = exchange.status == Some(404) && view.exchanges.iter().any(deleted);
        let opening = exchange.conversation.map(|index| &view.exchanges[view.conversations[index].opened]);
        let lost = opening.is_some_and(|opening| may_be_lost(view, exchange, opening));
        if !live || swept || lost || exchange.status.is_none() || !out.covers(exchange.revision) {
            continue;
        }
        out.require(exchange.is_success() || exchange.status == Some(405), || {
            told(
                "The DELETE of a live session was neither accepted nor refused with 405.".to_owned(),
                &["a status from 200 to 299", "status 405 if clients may not end sessions"],
                came(exchange),
                "implement DELETE on the endpoint, or answer 405 with an Allow header",
                exchange.evidence(),
            )
        });
    }
}

/// Streams that were open when their session was deleted end soon.
fn delete_closes_streams(view: &View<'_>, out: &mut Findings) {
    for (index, conversation) in view.conversations.iter().enumerate() {
        let Some(delete) = conversation.deleted.map(|at| &view.exchanges[at]) else { continue };
        let (Some(seq), Some(at)) = (delete.end_seq, delete.end_at) else { continue };
        for stream in view.exchanges.iter().filter(|stream| {
            stream.conversation == Some(index)
                && stream.media_type() == Some("text/event-stream")
                && stream.response_seq.is_some_and(|head| head < delete.seq)
                && stream.end_seq.is_none_or(|end| end > delete.seq)
        }) {
            if !out.covers(stream.revision) {
                continue;
            }
            let ended = matches!(stream.end, Some(End::Complete | End::CutShort));
            let outlived = stream.end_at.unwrap_or(at).saturating_sub(at) > GRACE;
            if !ended && !outlived {
                out.inconclusive();
                continue;
            }
            out.require(ended && !outlived, || {
                told(
                    "A stream stayed open after its session was deleted.".to_owned(),
                    &["the server ends the stream within a few seconds"],
                    "the stream was still open after 5 seconds".to_owned(),
                    "close all streams of a session when it is deleted",
                    vec![stream.seq, delete.seq, seq],
                )
            });
        }
    }
}

/// Deleting one session leaves the others alone.
fn delete_scoped(view: &View<'_>, out: &mut Findings) {
    for conversation in view.conversations.iter().filter(|conversation| conversation.session.is_some()) {
        let Some(delete) = conversation.deleted.map(|at| &view.exchanges[at]) else { continue };
        for exchange in view.exchanges.iter().filter(|exchange| exchange.seq > delete.seq) {
            let other = |other: &Conversation| {
                other.session.is_some()
                    && other.session != conversation.session
                    && exchange.session() == other.session.as_deref()
                    && view.exchanges[other.opened].seq < delete.seq
            };
            let lives = nearest(view, exchange).is_some_and(other) && !over(view, exchange);
            let judged = exchange.method == "POST" && exchange.status.is_some() && !walled(exchange);
            if !lives || !judged || !out.covers(exchange.revision) {
                continue;
            }
            let dead = exchange.status == Some(404) && body_error(exchange) != Some(-32601);
            out.require(!dead, || {
                told(
                    "After one session was deleted, another one was gone as well.".to_owned(),
                    &["the other session works on"],
                    came(exchange),
                    "delete only the session that the DELETE names",
                    delete.evidence().into_iter().chain(exchange.evidence()).collect(),
                )
            });
        }
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
    fn after_delete() {
        let deleted = start().delete(204);
        let kept = deleted.clone().call_answered("ping", json!({}), 404, &json!({}));
        let broken = deleted.clone().call("ping", json!({}), json!({}));
        for id in ["transport.http.session-404-after-termination", "transport.http.session-delete-effective"] {
            expect_three(id, &kept, &broken, &deleted);
        }
        expect_three("transport.http.session-delete-effective", &kept, &broken, &deleted.clone().delete(202));
        let get = deleted.clone().request("GET", &[], None);
        let broken = get.clone().answer(400, &[], "");
        let kept = get.answer(404, &[], "");
        expect_three("transport.http.session-404-after-termination-all-methods", &kept, &broken, &deleted);
        let id = "transport.http.session-reinit-after-404";
        let init = json!({"jsonrpc": "2.0", "id": 50, "method": "initialize", "params": {}});
        let bare: &[(&str, &str)] = &[("mcp-session-id", "")];
        let broken = kept.clone().request("POST", bare, Some(&init.to_string())).answer(404, &[], "");
        expect_three(id, &kept.clone().initialize("2025-06-18"), &broken, &kept);
    }

    #[test]
    fn the_delete_itself() {
        expect_three("transport.http.session-delete-405", &start().delete(405), &start().delete(500), &start());
        let two = start().initialize("2025-06-18").delete(204).session("session#1");
        let broken = two.clone().call_answered("ping", json!({}), 404, &json!({}));
        expect_three(
            "transport.http.session-delete-scoped",
            &two.clone().call("ping", json!({}), json!({})),
            &broken,
            &two,
        );
    }

    #[test]
    fn streams() {
        let open = start().request("GET", &[], None).stream();
        let with = |pause: u64, end: End| {
            let gone = open.clone().delete(204).pause_ms(pause);
            gone.event(crate::transcript::EventKind::End { exchange: 3, end })
        };
        let id = "transport.http.session-delete-closes-streams";
        expect_three(id, &with(10, End::Complete), &with(9_000, End::ClosedByUs), &start());
    }
}
