//! Sessions as the client carries them: it names the id it was given, begins anew where it is gone, and says when it leaves.

use super::common::{asked, header_of, told};
use crate::check::wire::valid_id;
use crate::check::{Check, Findings};
use crate::model::{Members as _, Via};
use crate::transcript::{End, Exchange, View, has_modern_meta};

/// The checks of this topic.
pub(super) const CHECKS: &[Check] = &[
    Check { id: "transport.http.session-client-echo", judge: echo },
    Check { id: "transport.http.session-client-reinit", judge: reinit },
    Check { id: "transport.http.session-client-delete", judge: delete },
];

/// Every request after the handshake names the session.
fn echo(view: &View<'_>, out: &mut Findings) {
    for (index, conversation) in view.conversations.iter().enumerate() {
        let Some(session) = conversation.session.as_deref().filter(|_| out.covers(conversation.revision)) else {
            continue;
        };
        let opened = &view.exchanges[conversation.opened];
        let until = view.conversations.get(index + 1).map_or(u32::MAX, |next| view.exchanges[next.opened].seq);
        let answered = opened.response_seq.unwrap_or(opened.seq);
        for (exchange, _) in asked(view) {
            let within = exchange.seq > answered && exchange.seq < until && exchange.client == opened.client;
            let opens = exchange.sent_json().is_some_and(|body| body.at("method") == "initialize");
            if !within || opens || exchange.modern || exchange.via != Via::StreamableHttp {
                continue;
            }
            // What looks for the newer era, and what begins anew after the session is gone, is outside of it.
            let probes = exchange
                .sent_json()
                .is_some_and(|body| has_modern_meta(body) || body.at("method") == "server/discover");
            let carries = |other: &Exchange| other.session() == Some(session);
            let gone = view.exchanges.iter().any(|other| {
                let ended = other.status == Some(404) || (other.method == "DELETE" && other.is_success());
                ended && carries(other) && other.seq < exchange.seq
            });
            let goes_on = view.exchanges.iter().any(|other| carries(other) && other.seq > exchange.seq);
            // So is what only asks how to log in.
            let anew = exchange.body.is_none() && (!goes_on || exchange.status == Some(401));
            if probes || ((gone || anew) && exchange.session().is_none()) {
                continue;
            }
            // One that names another session is of another conversation.
            if exchange.session().is_some_and(|sent| sent != session) {
                continue;
            }
            out.require(exchange.session().is_some(), || {
                told(
                    format!("The client sent a {} without the id of its session.", exchange.method),
                    &["MCP-Session-Id with the id that came with the result of initialize"],
                    header_of(exchange, "MCP-Session-Id"),
                    "send the id with every request after initialize: POST, GET and DELETE",
                    opened.evidence().into_iter().chain(exchange.evidence()).collect(),
                )
            });
        }
    }
}

/// After 404 the client begins anew without the id.
fn reinit(view: &View<'_>, out: &mut Findings) {
    let gone = |exchange: &&Exchange| {
        let rpc = exchange.got_json().is_some_and(|body| body.member("id").is_some_and(valid_id));
        exchange.status == Some(404) && exchange.session().is_some() && !rpc && exchange.method != "DELETE"
    };
    for lost in view.exchanges.iter().filter(gone) {
        let session = lost.session();
        if !out.covers(lost.revision) {
            continue;
        }
        let answered = lost.response_seq.unwrap_or(lost.seq);
        let Some((next, _)) = asked(view).find(|(exchange, _)| {
            let same = exchange.client == lost.client && exchange.seq > answered;
            // What left before the answer was known is no reaction to it.
            same && exchange.method != "DELETE"
        }) else {
            continue;
        };
        let begins = next.sent_json().is_some_and(|body| body.at("method") == "initialize") && next.session().is_none();
        out.require(begins || next.session() != session, || {
            told(
                "After a 404 for its session the client went on with the old id.",
                &["a new initialize without MCP-Session-Id"],
                header_of(next, "MCP-Session-Id"),
                "take 404 for the end of the session: forget its id and initialize anew",
                lost.evidence().into_iter().chain(next.evidence()).collect(),
            )
        });
    }
}

/// A session that is not needed any more is deleted.
fn delete(view: &View<'_>, out: &mut Findings) {
    for (index, conversation) in view.conversations.iter().enumerate() {
        if conversation.session.is_none() || !out.covers(conversation.revision) {
            continue;
        }
        let own: Vec<&Exchange> =
            view.exchanges.iter().filter(|exchange| exchange.conversation == Some(index)).collect();
        let lost = own.iter().any(|exchange| exchange.status == Some(404));
        if let Some(deleted) = own.iter().find(|exchange| exchange.method == "DELETE") {
            out.require(deleted.session().is_some(), || {
                told(
                    "The client sent a DELETE without the id of its session.",
                    &["MCP-Session-Id"],
                    header_of(deleted, "MCP-Session-Id"),
                    "name the session that is to end",
                    deleted.evidence(),
                )
            });
            continue;
        }
        // That it left is seen where it let go of its stream, or opened another session, and asked for nothing after that.
        let latest = own.iter().map(|exchange| exchange.seq).max().unwrap_or_default();
        let client = &view.exchanges[conversation.opened].client;
        let moved = view.conversations.iter().skip(index + 1).map(|other| &view.exchanges[other.opened]);
        let moved = moved.filter(|opened| opened.client == *client).any(|opened| opened.seq > latest);
        let let_go = own.iter().find(|exchange| exchange.method == "GET" && exchange.end == Some(End::ClosedByUs));
        let let_go = let_go.and_then(|exchange| exchange.end_seq).is_some_and(|end| end > latest);
        if lost || !(moved || let_go) {
            continue;
        }
        out.breach(told(
            "The client left its session without ending it.",
            &["DELETE with the id of the session"],
            "no DELETE",
            "send DELETE when the session is not needed any more, so that the server need not keep it until it is idle",
            view.exchanges[conversation.opened].evidence(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::three;
    use crate::transcript::{Builder, End};
    use serde_json::json;

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    #[test]
    fn the_id_is_carried() {
        let body = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;
        let broken = start().request("POST", &[("mcp-session-id", "")], Some(body)).answer(400, &[], "");
        let silent = Builder::new().initialize("2024-11-05");
        three("transport.http.session-client-echo", &start(), &broken, &silent);
    }

    #[test]
    fn a_session_that_is_gone() {
        let lost =
            start().request("POST", &[], Some(r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#)).answer(404, &[], "");
        let broken = lost.clone().call("ping", json!({}), json!({}));
        three("transport.http.session-client-reinit", &lost.clone().initialize("2025-06-18"), &broken, &start());
    }

    #[test]
    fn leaving() {
        let open = start().request("GET", &[], None).stream();
        let left = open.clone().end(End::ClosedByUs);
        let id = "transport.http.session-client-delete";
        three(id, &left.clone().delete(200), &left, &open);
        three(id, &start().delete(405), &start().initialize("2025-06-18"), &start());
    }
}
