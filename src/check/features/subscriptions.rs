//! Subscriptions to resources.

use crate::check::support::{RESOURCES, is_proper, param, received_with, server_declared, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "features.resources.subscribe-works", judge: subscribe_works },
    Check { id: "features.resources.unsubscribed-silent", judge: unsubscribed_silent },
];

/// Where subscriptions are declared, a listed resource can be subscribed to and unsubscribed from.
fn subscribe_works(view: &View<'_>, out: &mut Findings) {
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        for (request, response) in view.calls_to(method) {
            let Some(uri) = param(request, "uri").as_str().filter(|_| out.covers(request.revision)) else { continue };
            let declared = server_declared(view, request, &["resources", "subscribe"]) == Some(true);
            if !declared || RESOURCES.find(view, request, uri).is_none() || !is_proper(view, request) {
                continue;
            }
            let Some(response) = response else {
                out.inconclusive();
                continue;
            };
            out.require(response.value.at("result").is_object(), || {
                told(
                    format!("The server declares resources.subscribe but refused {method} for the listed {uri}."),
                    &["an empty result"],
                    &response.value,
                    "accept subscriptions to listed resources, or do not declare subscribe",
                    &[request, response],
                )
            });
        }
    }
}

/// Updates are sent only for what the client had subscribed to, or something above it; those under way at the end
/// of a subscription pass.
fn unsubscribed_silent(view: &View<'_>, out: &mut Findings) {
    const GRACE: u64 = 1_000_000;
    for msg in received_with(view, "notifications/resources/updated") {
        let Some(uri) = param(msg, "uri").as_str().filter(|_| out.covers(msg.revision)) else { continue };
        let asked = |method: &'static str| {
            view.calls_to(method).filter(move |(request, _)| {
                let named = param(request, "uri").as_str();
                request.conversation == msg.conversation
                    && request.seq < msg.seq
                    && named.is_some_and(|named| uri.starts_with(named))
            })
        };
        let begun = asked("resources/subscribe").last();
        let ended = asked("resources/unsubscribe").filter(|(_, answer)| {
            answer.is_some_and(|answer| {
                answer.value.member("result").is_some()
                    && answer.at.saturating_add(GRACE) < msg.at
                    && answer.seq < msg.seq
            })
        });
        let ended = ended.last();
        let subscribed = begun.is_some_and(|(begun, _)| ended.is_none_or(|(ended, _)| ended.seq < begun.seq));
        out.require(subscribed, || {
            told(
                format!("The server sent an update of {uri}, to which the client is not subscribed."),
                &["updates only for subscribed resources"],
                &msg.value,
                "keep subscriptions for each session and drop them on unsubscribe",
                &[msg],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn listed(item: &Value) -> Builder {
        let builder = Builder::new().initialize("2025-06-18");
        builder.call("resources/list", json!({}), json!({"resources": [item]}))
    }

    #[test]
    fn subscriptions() {
        let one = listed(&json!({"uri": "x:1", "name": "a"}));
        let good = one.clone().call("resources/subscribe", json!({"uri": "x:1"}), json!({}));
        let bad = one.clone().call_error("resources/subscribe", json!({"uri": "x:1"}), -32601);
        three("features.resources.subscribe-works", &good, &bad);
        let update = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "x:1"}});
        let updated =
            |builder: Builder| builder.request("GET", &[], None).stream().sse(None, &update).end(End::ClosedByUs);
        three("features.resources.unsubscribed-silent", &updated(good), &updated(one));
    }
}
