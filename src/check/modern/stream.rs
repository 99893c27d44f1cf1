//! What a subscription may carry, and how it ends.

use serde_json::Value;

use super::listen::{FLAGS, seen};
use super::subscription::{Subscription, subscriptions, tag};
use crate::check::wire::{came, short, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _};
use crate::transcript::{End, EventKind, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.subscriptions.filter-honoured", judge: filter_honoured },
    Check { id: "patterns.subscriptions.resource-filter-honoured", judge: resource_filter },
    Check { id: "patterns.subscriptions.id-tag", judge: tagged },
    Check { id: "patterns.subscriptions.no-request-scoped", judge: no_request_scoped },
    Check { id: "patterns.tasks-ext.no-progress-on-listen", judge: no_request_scoped_for_tasks },
    Check { id: "patterns.subscriptions.stays-open", judge: stays_open },
    Check { id: "patterns.subscriptions.graceful-close", judge: graceful },
    Check { id: "patterns.subscriptions.graceful-close-meta", judge: graceful_tag },
];

/// Only what was asked for comes.
fn filter_honoured(view: &View<'_>, out: &mut Findings) {
    for open in subscriptions(view) {
        for msg in open.notifications() {
            let method = msg.method().unwrap_or_default();
            let asked = match method {
                "notifications/resources/updated" => {
                    open.filter().at("resourceSubscriptions").as_array().is_some_and(|list| !list.is_empty())
                }
                "notifications/tasks" => open.filter().at("taskIds").as_array().is_some_and(|list| !list.is_empty()),
                _ => match FLAGS.iter().find(|(_, name, _)| *name == method) {
                    Some((key, ..)) => open.filter()[*key] == true,
                    None => continue,
                },
            };
            out.require(asked, || {
                told(
                    format!("{method} came on a subscription that had not asked for it."),
                    &["notifications of the types in the filter"],
                    short(&msg.value.to_string()),
                    "look at the filter of each subscription before sending",
                    seen(&open, Some(msg)),
                )
            });
        }
    }
}

/// Updates come for the resources that were named, or parts of them.
fn resource_filter(view: &View<'_>, out: &mut Findings) {
    for open in subscriptions(view) {
        let Some(asked) = open.filter().at("resourceSubscriptions").as_array().filter(|list| !list.is_empty()) else {
            continue;
        };
        for msg in open.notifications().filter(|msg| msg.method() == Some("notifications/resources/updated")) {
            let uri = msg.value.at("params").at("uri").as_str().unwrap_or_default();
            let named = asked.iter().filter_map(Value::as_str).any(|one| uri == one || part_of(uri, one));
            out.require(named, || {
                told(
                    format!("An update of {uri} came, which the subscription had not named."),
                    &["updates of the resources in resourceSubscriptions"],
                    short(&msg.value.to_string()),
                    "compare the URI with those of each subscription",
                    seen(&open, Some(msg)),
                )
            });
        }
    }
}

fn part_of(uri: &str, whole: &str) -> bool {
    uri.strip_prefix(whole.trim_end_matches('/')).is_some_and(|rest| rest.starts_with(['/', '#', '?']))
}

/// Everything on a subscription carries its id, as it was.
fn tagged(view: &View<'_>, out: &mut Findings) {
    for open in subscriptions(view) {
        for msg in open.came.iter().filter(|msg| msg.kind == Kind::Notification) {
            out.require(tag(msg) == open.id(), || {
                told(
                    format!("A notification on a subscription with the id {} carries another one, or none.", open.id()),
                    &["io.modelcontextprotocol/subscriptionId in _meta with the id of the request, of the same JSON type"],
                    short(&msg.value.to_string()),
                    "copy the id of the subscriptions/listen request as it came into every notification on its stream",
                    seen(&open, Some(msg)),
                )
            });
        }
    }
}

fn request_scoped(view: &View<'_>, out: &mut Findings, of: fn(&Subscription<'_>) -> bool) {
    for open in subscriptions(view).iter().filter(|open| of(open)) {
        for msg in open.came.iter().filter(|msg| msg.kind == Kind::Notification) {
            let scoped = matches!(msg.method(), Some("notifications/progress" | "notifications/message"));
            out.require(!scoped, || {
                told(
                    format!("{} came on a subscription.", msg.method().unwrap_or_default()),
                    &["progress and log messages on the stream of the request that they belong to"],
                    short(&msg.value.to_string()),
                    "send them with the response of their request, or not at all",
                    seen(open, Some(msg)),
                )
            });
        }
    }
}

fn no_request_scoped(view: &View<'_>, out: &mut Findings) {
    request_scoped(view, out, |_| true);
}

fn no_request_scoped_for_tasks(view: &View<'_>, out: &mut Findings) {
    request_scoped(view, out, |open| open.filter().at("taskIds").is_array());
}

/// Whether somebody meddled from outside while a subscription was open.
fn meddled(view: &View<'_>, from: u32, to: u32) -> bool {
    view.events.iter().any(|event| {
        (from..=to).contains(&event.seq) && matches!(event.kind, EventKind::Clock { .. } | EventKind::Network { .. })
    })
}

/// The stream stays open.
fn stays_open(view: &View<'_>, out: &mut Findings) {
    const SOON: u64 = 1_000_000;
    for open in subscriptions(view).iter().filter(|open| open.acknowledgment().is_some() && open.ask.over_http()) {
        let exchange = open.ask.exchange;
        let last = exchange.end_seq.unwrap_or(u32::MAX);
        let soon = exchange.end_at.is_some_and(|end| end.saturating_sub(exchange.at) < SOON);
        let closed =
            (open.server_closed() || open.ask.response.is_some()) && soon && !meddled(view, exchange.seq, last);
        // A stream that nobody left open long enough shows nothing, unless more came on it.
        let held = !soon || open.notifications().next().is_some() || exchange.end == Some(End::ClosedByUs);
        if !closed && !held {
            continue;
        }
        out.require(!closed, || {
            told(
                "The server ended a subscription as soon as it had acknowledged it.".to_owned(),
                &["a stream that stays open until one side has a reason to end it"],
                came(exchange),
                "keep the stream; do not answer subscriptions/listen while it goes on",
                open.ask.evidence(),
            )
        });
    }
}

/// A server that ends a subscription answers its request first.
fn graceful(view: &View<'_>, out: &mut Findings) {
    for open in subscriptions(view).iter().filter(|open| {
        open.acknowledgment().is_some() && open.ask.exchange.end == Some(End::Complete) && open.ask.over_http()
    }) {
        let answered = open.ask.result().is_some();
        out.require(answered, || {
            told(
                "The server ended a subscription without a response to its request.".to_owned(),
                &["a result of type complete before the stream ends"],
                came(open.ask.exchange),
                "answer the request of each open subscription at shutdown, then close its stream",
                open.ask.evidence(),
            )
        });
    }
}

/// That answer carries the id of the subscription, too.
fn graceful_tag(view: &View<'_>, out: &mut Findings) {
    for open in subscriptions(view) {
        let Some(response) = open.ask.response.filter(|response| response.value.member("result").is_some()) else {
            continue;
        };
        out.require(tag(response) == open.id(), || {
            told(
                "The result that ends a subscription does not carry its id.".to_owned(),
                &["io.modelcontextprotocol/subscriptionId in _meta of the result"],
                short(&response.value.to_string()),
                "add the id of the request to _meta of the result",
                seen(&open, Some(response)),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::modern::samples::listening::{all, ended, open, start};
    use crate::check::testing::expect_three;
    use crate::transcript::End;
    use serde_json::{Value, json};

    const CHANGED: &str = "notifications/tools/list_changed";

    #[test]
    fn what_comes() {
        let good = ended(open().tells(CHANGED, json!({})));
        let other = ended(open().tells("notifications/prompts/list_changed", json!({})));
        expect_three("patterns.subscriptions.filter-honoured", &good, &other, &ended(open()));
        let tagged = json!({"_meta": {"io.modelcontextprotocol/subscriptionId": "2"}});
        let wrong = ended(open().tells(CHANGED, tagged));
        expect_three("patterns.subscriptions.id-tag", &good, &wrong, &start());
        let progress = ended(open().tells("notifications/progress", json!({"progressToken": 1, "progress": 1})));
        expect_three("patterns.subscriptions.no-request-scoped", &good, &progress, &start());
        let tasks = start().listen(json!({"taskIds": ["1"]}), json!({}));
        let progress = ended(tasks.clone().tells("notifications/message", json!({"level": "info", "data": 1})));
        expect_three("patterns.tasks-ext.no-progress-on-listen", &ended(tasks), &progress, &ended(open()));
        let one = || start().listen(json!({"resourceSubscriptions": ["test://a"]}), json!({}));
        let updated = |uri: &str| ended(one().tells("notifications/resources/updated", json!({"uri": uri})));
        expect_three(
            "patterns.subscriptions.resource-filter-honoured",
            &updated("test://a/b"),
            &updated("test://b"),
            &ended(one()),
        );
    }

    #[test]
    fn ending() {
        let closed = open().end(End::Complete);
        expect_three("patterns.subscriptions.stays-open", &ended(open()), &closed, &start());
        let result = |meta: Value| {
            let message = json!({"jsonrpc": "2.0", "id": 2, "result": {"resultType": "complete", "_meta": meta}});
            open().sse(None, &message).end(End::Complete)
        };
        let kept = result(json!({"io.modelcontextprotocol/subscriptionId": 2}));
        expect_three("patterns.subscriptions.graceful-close", &kept, &closed, &ended(open()));
        expect_three("patterns.subscriptions.graceful-close-meta", &kept, &result(json!({})), &ended(open()));
        let again = ended(ended(open()).listen(all(), all()));
        let refused = ended(open()).probe(&[], "subscriptions/listen", json!({"notifications": all()}));
        let refused = refused.refuses(400, -32603, Value::Null);
        expect_three("patterns.subscriptions.relisten-works", &again, &refused, &ended(open()));
    }
}
