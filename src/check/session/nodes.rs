//! Sessions at a server that has several nodes: what one node calls over is over at all.

use crate::check::Findings;
use crate::check::wire::{body_error, to_endpoint, told, walled};
use crate::transcript::{Exchange, View};

/// A session that one node answers with 404 is not served by another one afterwards.
pub(super) fn over_at_all(view: &View<'_>, out: &mut Findings) {
    for lost in view.exchanges.iter().filter(|exchange| exchange.node.is_some() && exchange.status == Some(404)) {
        // An error that answers a request in the modern way says nothing of a session.
        let of_session = lost.session().is_some() && lost.method == "POST" && body_error(lost) != Some(-32601);
        if !of_session || !to_endpoint(view, lost) || walled(lost) || !out.covers(lost.revision) {
            continue;
        }
        let elsewhere = |later: &&Exchange| {
            later.seq > lost.seq
                && later.method == "POST"
                && later.session() == lost.session()
                && later.node.is_some()
                && later.node != lost.node
                && later.status.is_some()
                && !walled(later)
        };
        let Some(later) = view.exchanges.iter().find(elsewhere) else { continue };
        let served = later.is_success() && body_error(later).is_none();
        out.require(!served, || {
            let at = |exchange: &Exchange| exchange.node.as_ref().map(ToString::to_string).unwrap_or_default();
            let (gone, lives) = (at(lost), at(later));
            told(
                format!("The nodes do not share their sessions: {gone} calls a session over that {lives} goes on serving."),
                &["every node serves the session", "status 404 at every node, once it is over"],
                format!("status 404 at {gone}, then an answer at {lives}"),
                "keep sessions where all nodes find them, or have the balancer send each session to the node that holds \
                 it; a client that reads 404 opens a new session and loses the old one",
                lost.evidence().into_iter().chain(later.evidence()).collect(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, EventKind};
    use serde_json::json;

    fn at(builder: Builder, exchange: u32, node: u32) -> Builder {
        builder.event(EventKind::Node { exchange, node, address: format!("10.0.0.{node}:80") })
    }

    #[test]
    fn what_is_over_at_one_node_is_over_at_all() {
        let id = "transport.http.session-404-after-termination";
        let lost = at(Builder::new().initialize("2025-11-25"), 3, 2).call_answered("ping", json!({}), 404, &json!({}));
        let served = at(lost.clone(), 4, 1).call("ping", json!({}), json!({}));
        let gone = at(lost.clone(), 4, 1).call_answered("ping", json!({}), 404, &json!({}));
        // The same node again, which may have found it meanwhile, tells nothing of nodes.
        let same = at(lost, 4, 2).call("ping", json!({}), json!({}));
        expect_three(id, &gone, &served, &same);
    }

    #[test]
    fn a_session_that_went_with_a_restart_breaks_nothing() {
        let restart = |on| EventKind::Restart { node: None, store: false, how: "kill".to_owned(), on };
        let begun = Builder::new().initialize("2025-11-25");
        let restarted = begun.clone().event(restart(true)).event(restart(false));
        let kept = restarted.clone().call("ping", json!({}), json!({}));
        let lost = restarted.call_answered("ping", json!({}), 404, &json!({"error": {"code": -32001, "message": "m"}}));
        let broken = begun.call_answered("ping", json!({}), 404, &json!({"error": {"code": -32001, "message": "m"}}));
        expect_three("base.implements-core", &kept, &broken, &lost);
    }
}
