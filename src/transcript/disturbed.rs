//! Exchanges during which the network did something or the target was restarted, and what is left of them for a fair
//! judgement.
//!
//! The network and the restart are this program's own doing, so nothing that they did may be held against the server. What it ended looks as
//! though the client had let go of it; an answer whose head it may have changed looks as though none had come; its
//! delays do not count. Messages that came whole stay: they are the server's, whenever they came.

use std::borrow::Cow;

use super::{End, Event, EventKind, Exchange};
use crate::model::NetworkFault;

/// A time during which the network did something.
struct Period<'e> {
    begins: u32,
    ends: u32,
    begins_at: u64,
    ends_at: u64,
    faults: Cow<'e, [String]>,
}

impl<'e> Period<'e> {
    /// One that begins and has no end yet.
    fn from(event: &Event, faults: Cow<'e, [String]>) -> Self {
        Self { begins: event.seq, ends: u32::MAX, begins_at: event.at, ends_at: u64::MAX, faults }
    }
}

fn periods(events: &[Event]) -> Vec<Period<'_>> {
    let mut all: Vec<Period<'_>> = Vec::new();
    for event in events {
        match &event.kind {
            EventKind::Network { faults, on: true } => all.push(Period::from(event, Cow::Borrowed(faults))),
            EventKind::Restart { node, store, how, on: true } => {
                let of = node.map(|node| format!(" of node {node}")).unwrap_or_default();
                let of = if *store { " of the store".to_owned() } else { of };
                all.push(Period::from(event, Cow::Owned(vec![format!("restart{of} ({how})")])));
            }
            EventKind::Network { on: false, .. } | EventKind::Restart { on: false, .. } => {
                if let Some(last) = all.last_mut() {
                    (last.ends, last.ends_at) = (event.seq, event.at);
                }
            }
            _ => {}
        }
    }
    all
}

/// Whether an exchange was under way while the network did it.
fn overlaps(exchange: &Exchange, period: &Period<'_>) -> bool {
    exchange.seq <= period.ends && exchange.end_seq.unwrap_or(u32::MAX) >= period.begins
}

/// Notes at each exchange what the network did meanwhile.
pub(super) fn mark(events: &[Event], exchanges: &mut [Exchange]) {
    let periods = periods(events);
    for exchange in exchanges {
        let meanwhile = periods.iter().filter(|period| overlaps(exchange, period));
        exchange.disturbed = meanwhile.flat_map(|period| period.faults.iter()).cloned().collect();
    }
}

/// Leaves of each disturbed exchange what is certainly the server's.
pub(super) fn excuse(events: &[Event], exchanges: &mut [Exchange]) {
    let periods = periods(events);
    for exchange in exchanges.iter_mut().filter(|exchange| !exchange.disturbed.is_empty()) {
        let changed = |fault: &String| fault.parse::<NetworkFault>().is_ok_and(|fault| fault.changes_heads());
        // A stream that was open before has the head that the server gave it.
        let head_after = |period: &Period<'_>| exchange.response_seq.is_none_or(|seq| seq >= period.begins);
        let mut meanwhile = periods.iter().filter(|period| overlaps(exchange, period) && head_after(period));
        if meanwhile.any(|period| period.faults.iter().any(changed)) {
            exchange.status = None;
            exchange.response_seq = None;
            exchange.response_headers.clear();
            exchange.response_body = None;
            exchange.events.clear();
            exchange.end = Some(End::ClosedByUs);
        } else if exchange.end != Some(End::Complete) {
            exchange.response_body = None;
            exchange.end = Some(End::ClosedByUs);
        }
        let disturbing: Vec<&Period<'_>> = periods.iter().filter(|period| overlaps(exchange, period)).collect();
        let begun = exchange.at;
        let without_delays = |at: u64| {
            let lost = |period: &&Period<'_>| at.min(period.ends_at).saturating_sub(begun.max(period.begins_at));
            at.saturating_sub(disturbing.iter().map(lost).sum::<u64>()).max(begun)
        };
        exchange.events.iter_mut().for_each(|event| event.at = without_delays(event.at));
        exchange.end_at = exchange.end_at.map(without_delays);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Builder, View};
    use super::*;
    use serde_json::{Value, json};

    fn network(on: bool, fault: &str) -> EventKind {
        EventKind::Network { faults: vec![fault.to_owned()], on }
    }

    #[test]
    fn what_the_network_ends_looks_as_if_the_client_had_let_go() {
        let ask = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
        let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {}});
        let events = Builder::new()
            .initialize("2025-06-18")
            .post(&ask)
            .stream()
            .sse(None, &note)
            .event(network(true, "reset"))
            .end(End::CutShort)
            .event(network(false, "reset"))
            .call("ping", Value::Null, json!({}))
            .finish();
        let (seen, judged) = (View::new(&events), View::undisturbed(&events));
        let of = |view: &View<'_>| view.exchanges.iter().map(|it| it.end.clone()).collect::<Vec<_>>();
        assert_eq!(of(&seen)[2], Some(End::CutShort));
        assert_eq!(of(&judged)[2], Some(End::ClosedByUs));
        assert_eq!((of(&judged)[3].clone(), judged.exchanges[2].status), (Some(End::Complete), Some(200)));
        assert_eq!(seen.exchanges.iter().map(|it| it.disturbed.len()).collect::<Vec<_>>(), [0, 0, 1, 0]);
        assert_eq!(judged.exchanges[2].events.len(), 1);
    }

    #[test]
    fn a_head_that_may_be_changed_is_none_and_delays_do_not_count() {
        let during = |fault: &str| {
            let ask = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
            let begun = Builder::new().initialize("2025-06-18").event(network(true, fault)).post(&ask);
            let ended = begun.pause_ms(9_000).json(200, &json!({"jsonrpc": "2.0", "id": 9, "result": {}}));
            ended.event(network(false, fault)).finish()
        };
        let events = during("status=502");
        let judged = View::undisturbed(&events);
        assert_eq!((judged.exchanges[2].status, judged.exchanges[2].end.clone()), (None, Some(End::ClosedByUs)));
        let events = during("latency=9s");
        let judged = View::undisturbed(&events);
        let exchange = &judged.exchanges[2];
        assert_eq!((exchange.status, exchange.end.clone()), (Some(200), Some(End::Complete)));
        assert!(exchange.end_at.expect("ended") - exchange.at < 1_000_000);
    }
}
