//! A long recording in pieces that are judged one by one: most checks look at each pair of exchanges.
//!
//! A session is never cut. What belongs to none, such as a login, is in every piece.

use std::collections::{HashMap, HashSet};

use crate::check::Finding;
use crate::model::Members as _;
use crate::transcript::{Event, Exchange, View};

/// Recordings with no more exchanges than this are judged whole.
const WHOLE: usize = 1000;
/// Sessions are put together up to so many exchanges.
const PIECE: usize = 400;

/// The events of each piece, in order; one piece where the recording is short, or all of it is one session.
pub(super) fn pieces(view: &View<'_>) -> Vec<Vec<Event>> {
    if view.exchanges.len() <= WHOLE {
        return vec![view.events.to_vec()];
    }
    let mut sizes: HashMap<usize, usize> = HashMap::new();
    for group in view.exchanges.iter().filter_map(|exchange| group(view, exchange)) {
        *sizes.entry(group).or_default() += 1;
    }
    let mut order: Vec<usize> = sizes.keys().copied().collect();
    order.sort_unstable();
    let mut packs: Vec<HashSet<usize>> = Vec::new();
    let mut room = 0;
    for conversation in order {
        let size = sizes[&conversation];
        if let Some(pack) = packs.last_mut().filter(|_| room >= size) {
            pack.insert(conversation);
            room -= size;
        } else {
            packs.push(HashSet::from([conversation]));
            room = PIECE.saturating_sub(size);
        }
    }
    let belongs: HashMap<u32, usize> =
        view.exchanges.iter().filter_map(|exchange| Some((exchange.number, group(view, exchange)?))).collect();
    let keeps = |pack: &HashSet<usize>, event: &Event| {
        event.kind.exchange().and_then(|number| belongs.get(&number)).is_none_or(|group| pack.contains(group))
    };
    let piece = |pack: &HashSet<usize>| view.events.iter().filter(|event| keeps(pack, event)).cloned().collect();
    packs.iter().map(piece).collect()
}

/// The conversation of an exchange or, where it carries a message outside of any, the one that was opened before it.
fn group(view: &View<'_>, exchange: &Exchange) -> Option<usize> {
    exchange.conversation.or_else(|| {
        let message = exchange.sent_json().is_some_and(|body| body.at("jsonrpc") == "2.0");
        let before = || view.conversations.partition_point(|known| view.exchanges[known.opened].seq < exchange.seq);
        (message && !view.conversations.is_empty()).then(|| before().saturating_sub(1))
    })
}

/// The findings of all pieces as if there were one.
pub(super) fn together(all: Vec<Vec<Finding>>) -> Vec<Finding> {
    let mut all = all.into_iter();
    let mut first = all.next().unwrap_or_default();
    for findings in all {
        // Every piece has the same checks in the same order.
        for (known, more) in first.iter_mut().zip(findings) {
            known.outcome = known.outcome.max(more.outcome);
            known.passes += more.passes;
            // What belongs to no session was judged in every piece.
            let new = more.breaches.into_iter().filter(|breach| !known.breaches.contains(breach)).collect::<Vec<_>>();
            known.breaches.extend(new);
        }
    }
    for finding in &mut first {
        finding.breaches.sort_by_key(|breach| breach.evidence.first().copied());
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Outcome, judge_client};
    use crate::transcript::Builder;
    use serde_json::json;

    #[test]
    fn many_sessions_are_judged_in_pieces_with_the_same_outcome() {
        let mut builder = Builder::new();
        for number in 0..400 {
            builder = builder.initialize("2025-06-18").call("ping", json!({}), json!({}));
            if number == 250 {
                builder = builder.request("GET", &[("mcp-session-id", ""), ("accept", "x")], None).answer(401, &[], "");
                builder = builder.request("POST", &[("accept", "x")], Some("{}")).answer(406, &[], "");
            }
        }
        let events = builder.finish();
        let view = View::new(&events);
        let cut = pieces(&view);
        assert!(cut.len() > 1 && cut.iter().all(|piece| piece.len() < events.len()));
        let found = together(cut.iter().map(|piece| judge_client(&View::new(piece))).collect());
        let whole = judge_client(&view);
        let outcome = |findings: &[Finding]| -> Vec<(&'static str, Outcome)> {
            findings.iter().map(|finding| (finding.requirement, finding.outcome)).collect()
        };
        let differing: Vec<_> =
            outcome(&found).into_iter().zip(outcome(&whole)).filter(|(one, other)| one != other).collect();
        // That a session was left for the next one shows only where both are in one piece.
        assert!(differing.iter().all(|(one, _)| one.0 == "transport.http.session-client-delete"), "{differing:?}");
        let accept = found.iter().find(|finding| finding.requirement == "transport.http.client-accept");
        assert_eq!(accept.map(|finding| finding.outcome), Some(Outcome::Fail));
    }
}
