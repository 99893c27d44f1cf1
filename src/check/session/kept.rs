//! Sessions that end in the middle of their use, although nobody asked for it and no time went by.

use crate::check::wire::{body_error, came, faultless, told, well_formed};
use crate::check::{Check, Findings};
use crate::transcript::{EventKind, Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[Check { id: "transport.http.session-kept-in-use", judge: kept_in_use }];

/// How long ago moments are at most, in microseconds: shorter than any idle limit that makes sense.
const MOMENTS: u64 = 30_000_000;

/// The last request of the session that was served before, on the same connection and with the same token. Who comes on
/// another connection may have lost the session with the one before, which is judged where connections are.
fn served_before<'v>(view: &'v View<'_>, exchange: &Exchange) -> Option<&'v Exchange> {
    view.exchanges.iter().rev().find(|other| {
        other.seq < exchange.seq
            && other.conversation == exchange.conversation
            && other.session() == exchange.session()
            && other.connection == exchange.connection
            && other.client == exchange.client
            && other.node == exchange.node
            && other.sent_header("authorization") == exchange.sent_header("authorization")
            && other.method == "POST"
            && other.is_success()
            && other.end_seq.is_some_and(|end| end < exchange.seq)
    })
}

/// Whether the session was answered with 404 before, which was told then.
fn known_gone(view: &View<'_>, exchange: &Exchange) -> bool {
    let gone = |other: &Exchange| other.session() == exchange.session() && other.status == Some(404);
    view.exchanges.iter().any(|other| other.seq < exchange.seq && gone(other) && body_error(other) != Some(-32601))
}

/// A session that was used moments ago is there for the next request. Whoever ended it has told: a DELETE, a restart, a
/// clock that was moved, a network that was cut.
fn kept_in_use(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| exchange.method == "POST" && exchange.session().is_some()) {
        let fair = exchange.sent_json().is_some_and(well_formed) && exchange.disturbed.is_empty();
        if !fair || exchange.status.is_none() || !faultless(view, exchange) || !out.covers(exchange.revision) {
            continue;
        }
        let Some(before) = served_before(view, exchange).filter(|_| !known_gone(view, exchange)) else { continue };
        let between = |seq: u32| seq > before.seq && seq < exchange.end_seq.unwrap_or(u32::MAX);
        let ended = |event: &EventKind| {
            matches!(event, EventKind::Clock { .. } | EventKind::Network { .. } | EventKind::Restart { .. })
        };
        let excused = view.events.iter().any(|event| between(event.seq) && ended(&event.kind))
            || view.exchanges.iter().any(|other| other.method == "DELETE" && between(other.seq))
            || exchange.at.saturating_sub(before.end_at.unwrap_or(before.at)) > MOMENTS;
        if excused {
            continue;
        }
        // In the modern way 404 says that the method does not exist.
        let gone = exchange.status == Some(404) && body_error(exchange) != Some(-32601);
        if !gone && !exchange.is_success() {
            continue;
        }
        out.require(!gone, || {
            told(
                "The session was gone although it had been used a moment ago and nobody had ended it.".to_owned(),
                &["the same service as for the request before"],
                came(exchange),
                "end sessions by the time that they lie idle alone; many clients are stuck until they are restarted when \
                 one is gone",
                before.evidence().into_iter().chain(exchange.evidence()).collect(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, EventKind};
    use serde_json::json;

    const ID: &str = "transport.http.session-kept-in-use";

    fn used() -> Builder {
        Builder::new().initialize("2025-06-18").call("ping", json!({}), json!({}))
    }

    fn gone(builder: Builder) -> Builder {
        builder.call_answered("ping", json!({}), 404, &json!({"error": {"code": -32001, "message": "gone"}}))
    }

    #[test]
    fn what_is_in_use_stays() {
        let kept = used().call("ping", json!({}), json!({}));
        expect_three(ID, &kept, &gone(used()), &Builder::new().initialize("2025-06-18"));
    }

    #[test]
    fn whoever_ended_it_is_known() {
        let worst = |builder: Builder| judge(ID, &gone(builder)).outcome;
        assert_eq!(worst(used()), Outcome::Warn);
        let restart = |on| EventKind::Restart { node: None, store: false, how: "kill".to_owned(), on };
        let excused = [
            used().delete(204),
            used().delete(404),
            used().event(EventKind::Clock { advanced_ms: 60_000 }),
            used().event(restart(true)).event(restart(false)),
            used().pause_ms(31_000),
        ];
        for builder in excused {
            assert!(worst(builder) <= Outcome::Pass, "held against the server");
        }
        // What was over before is over once more.
        assert_eq!(judge(ID, &gone(gone(used()))).breaches.len(), 1);
    }
}
