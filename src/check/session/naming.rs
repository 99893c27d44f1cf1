//! Requests without a session id, or with one that the server never gave out.

use crate::check::wire::{came, faultless, governing, is_4xx, to_endpoint, told, walled};
use crate::check::{Check, Findings};
use crate::transcript::{EventKind, Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.session-missing-400", judge: missing_400 },
    Check { id: "transport.http.session-sessionless-works", judge: sessionless_works },
    Check { id: "transport.http.session-unknown-id-404", judge: unknown_id_404 },
    Check { id: "transport.http.session-malformed-id-4xx", judge: malformed_id_4xx },
];

/// The conversations with a session that a client without its id could have meant.
fn session_server(view: &View<'_>, exchange: &Exchange) -> bool {
    view.conversations.iter().any(|opened| opened.session.is_some() && view.exchanges[opened.opened].seq < exchange.seq)
}

fn opens(exchange: &Exchange) -> bool {
    exchange.body.as_deref().is_some_and(|body| body.contains("\"initialize\""))
}

/// A server that wants a session id answers 400 where it is missing; serving the request means it does not want one.
fn missing_400(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| exchange.session().is_none() && !opens(exchange)) {
        let unoffered = exchange.method != "POST" && exchange.status == Some(405);
        let plain = crate::check::wire::foreign_origin(exchange).is_none() && exchange.conversation.is_none();
        let judged = plain && to_endpoint(view, exchange) && session_server(view, exchange) && !unoffered;
        if !judged || exchange.is_success() || exchange.status.is_none() || !out.covers(governing(view, exchange)) {
            continue;
        }
        // A body that is no JSON, a wrong type or version may be named first: these are 4xx as well.
        if matches!(exchange.status, Some(403 | 406 | 413 | 415 | 421 | 429)) {
            continue;
        }
        // Who lacks a token as well may hear of that first.
        if exchange.status == Some(401) && exchange.got_header("www-authenticate").is_some() {
            continue;
        }
        out.require(exchange.status == Some(400), || {
            told(
                format!("A {} without session id was refused, but not with 400.", exchange.method),
                &["status 400", "service, if the server does not need the id"],
                came(exchange),
                "answer 400 when the header is missing; 404 tells clients that a session is gone, 401 that a token is",
                exchange.evidence(),
            )
        });
    }
}

/// A server that gave no session id does not ask for one afterwards.
fn sessionless_works(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| exchange.session().is_none() && exchange.status.is_some()) {
        let Some(conversation) = exchange.conversation.map(|at| &view.conversations[at]) else { continue };
        let later = exchange.seq > view.exchanges[conversation.opened].seq;
        let fair = later && conversation.session.is_none() && faultless(view, exchange) && !walled(exchange);
        if !fair || !out.covers(exchange.revision) {
            continue;
        }
        let text = exchange.response_body.as_deref().unwrap_or_default().to_ascii_lowercase();
        let blamed = matches!(exchange.status, Some(400 | 404)) && text.contains("session");
        if !blamed && !exchange.is_success() {
            continue;
        }
        out.require(!blamed, || {
            told(
                format!("The server gave no session id, and yet refused a {} for the lack of one.", exchange.method),
                &["the same service without a session id"],
                came(exchange),
                "give the id in the answer to initialize, or do not ask for it",
                view.exchanges[conversation.opened].evidence().into_iter().chain(exchange.evidence()).collect(),
            )
        });
    }
}

fn strangers<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Exchange, bool)> {
    view.exchanges
        .iter()
        .filter(|exchange| exchange.conversation.is_none() && exchange.status.is_some() && !opens(exchange))
        .filter(|exchange| to_endpoint(view, exchange) && session_server(view, exchange) && !walled(exchange))
        .filter(|exchange| !(exchange.method != "POST" && exchange.status == Some(405)))
        .filter(|exchange| out.covers(governing(view, exchange)))
        .filter_map(|exchange| {
            let session = exchange.session()?;
            let shape = view.events.iter().find_map(|event| match &event.kind {
                EventKind::Secret { label, length, visible_ascii, .. } if label == session => {
                    Some((*length, *visible_ascii))
                }
                _ => None,
            });
            let (length, visible) =
                shape.unwrap_or((session.len(), session.bytes().all(|byte| byte.is_ascii_graphic())));
            Some((exchange, !visible || length == 0 || length > 512))
        })
        .collect()
}

/// An id that the server never gave out is treated like that of an ended session.
fn unknown_id_404(view: &View<'_>, out: &mut Findings) {
    for (exchange, malformed) in strangers(view, out) {
        if malformed {
            continue;
        }
        out.require(exchange.status == Some(404), || {
            told(
                format!(
                    "A {} with a session id that the server never gave out was not answered with 404.",
                    exchange.method
                ),
                &["status 404"],
                came(exchange),
                "answer 404 to every id that is not in the store, so that clients open a new session after a restart",
                exchange.evidence(),
            )
        });
    }
}

/// A session id that cannot be one leads to a status from 400 to 499.
fn malformed_id_4xx(view: &View<'_>, out: &mut Findings) {
    for (exchange, malformed) in strangers(view, out) {
        if !malformed {
            continue;
        }
        out.require(is_4xx(exchange), || {
            told(
                "A malformed session id was not refused.".to_owned(),
                &["a status from 400 to 499"],
                came(exchange),
                "answer 400 or 404 to ids that are too long or have forbidden characters",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;
    use serde_json::json;

    const PING: &str = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn sent(headers: &[(&str, &str)], status: u16) -> Builder {
        start().request("POST", headers, Some(PING)).answer(status, &[], "")
    }

    #[test]
    fn strange_ids() {
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}});
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-03-26"}});
        let bare = Builder::new().post(&hello).json(200, &answer).notify("notifications/initialized", json!(null));
        let ping = |status: u16, body: &str| bare.clone().request("POST", &[], Some(PING)).answer(status, &[], body);
        let kept = ping(200, "");
        expect_three("transport.http.session-sessionless-works", &kept, &ping(400, "Session id missing"), &start());
        let missing: &[(&str, &str)] = &[("mcp-session-id", "")];
        expect_three("transport.http.session-missing-400", &sent(missing, 400), &sent(missing, 404), &start());
        assert_eq!(judge("transport.http.session-missing-400", &sent(missing, 200)).outcome, Outcome::NotExercised);
        let unknown: &[(&str, &str)] = &[("mcp-session-id", "session#9")];
        expect_three("transport.http.session-unknown-id-404", &sent(unknown, 404), &sent(unknown, 200), &start());
        let spaced: &[(&str, &str)] = &[("mcp-session-id", "a b")];
        expect_three("transport.http.session-malformed-id-4xx", &sent(spaced, 400), &sent(spaced, 500), &start());
    }
}
