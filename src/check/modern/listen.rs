//! Opening a subscription, and its acknowledgment.

use serde_json::Value;

use super::flaw::sound_to;
use super::subscription::{ACKNOWLEDGED, Subscription, subscriptions, tag};
use crate::check::support::server_declared;
use crate::check::wire::{came, short, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _};
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.subscriptions.listen-implemented", judge: implemented },
    Check { id: "patterns.subscriptions.answer-is-sse", judge: is_stream },
    Check { id: "patterns.subscriptions.ack-first", judge: ack_first },
    Check { id: "patterns.subscriptions.ack-subset", judge: ack_subset },
    Check { id: "patterns.subscriptions.ack-omits-unsupported", judge: ack_omits },
    Check { id: "patterns.subscriptions.ack-empty-filter", judge: ack_empty },
    Check { id: "patterns.subscriptions.auth-required", judge: auth_required },
    Check { id: "patterns.subscriptions.relisten-works", judge: relisten },
];

/// The members of a filter that are flags, with the notification and the capability of each.
pub(super) const FLAGS: [(&str, &str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed", "tools"),
    ("promptsListChanged", "notifications/prompts/list_changed", "prompts"),
    ("resourcesListChanged", "notifications/resources/list_changed", "resources"),
];

fn implemented(view: &View<'_>, out: &mut Findings) {
    for ask in sound_to(view, "subscriptions/listen") {
        let unknown = ask.code() == Some(-32601) || crate::check::wire::body_error(ask.exchange) == Some(-32601);
        out.require(!unknown, || {
            told(
                "The server does not have subscriptions/listen.".to_owned(),
                &["an acknowledgment, also of nothing where there is nothing to tell"],
                came(ask.exchange),
                "implement the method: a server without notifications acknowledges an empty filter",
                ask.evidence(),
            )
        });
    }
    for _ in subscriptions(view).iter().filter(|open| open.ask.response.is_none() && open.acknowledgment().is_some()) {
        out.pass();
    }
}

/// Over HTTP what was accepted is answered by an event stream.
fn is_stream(view: &View<'_>, out: &mut Findings) {
    for open in subscriptions(view).iter().filter(|open| open.ask.over_http() && open.ask.exchange.is_success()) {
        let stream = open.ask.exchange.media_type() == Some("text/event-stream");
        out.require(stream, || {
            told(
                "subscriptions/listen was accepted, but not by an event stream.".to_owned(),
                &["Content-Type text/event-stream"],
                came(open.ask.exchange),
                "answer subscriptions/listen with a stream that stays open",
                open.ask.evidence(),
            )
        });
    }
}

pub(super) fn seen(open: &Subscription<'_>, msg: Option<&Msg>) -> Vec<u32> {
    open.ask.evidence().into_iter().chain(msg.map(|msg| msg.seq)).collect()
}

/// The acknowledgment comes before anything else.
fn ack_first(view: &View<'_>, out: &mut Findings) {
    for open in subscriptions(view).iter().filter(|open| !open.is_refused()) {
        let Some(first) = open.came.first() else {
            // Nothing came; whether anything was still to come cannot be told where we ended it.
            if open.server_closed() {
                out.breach(told(
                    "A subscription ended without an acknowledgment.".to_owned(),
                    &[ACKNOWLEDGED],
                    came(open.ask.exchange),
                    "send the acknowledgment as soon as the stream is open",
                    open.ask.evidence(),
                ));
            }
            continue;
        };
        if first.kind == Kind::Response && first.value.member("error").is_some() {
            continue;
        }
        out.require(first.method() == Some(ACKNOWLEDGED) && !tag(first).is_null(), || {
            told(
                "The first message of a subscription was no acknowledgment with its id.".to_owned(),
                &["notifications/subscriptions/acknowledged with io.modelcontextprotocol/subscriptionId in _meta"],
                short(&first.value.to_string()),
                "send the acknowledgment before the subscription is registered for anything else",
                seen(open, Some(first)),
            )
        });
    }
}

/// What of an acknowledgment was not asked for.
fn beyond(filter: &Value, agreed: &Value) -> Option<String> {
    for (key, value) in agreed.as_object()? {
        let asked = &filter[key.as_str()];
        let within = match (value, asked) {
            (Value::Null | Value::Bool(false), _) => true,
            (Value::Bool(true), asked) => *asked == true,
            (Value::Array(list), Value::Array(asked)) => list.iter().all(|one| asked.contains(one)),
            (Value::Array(list), _) => list.is_empty(),
            // Members of extensions may have any form.
            (_, asked) => !asked.is_null(),
        };
        if !within {
            return Some(key.clone());
        }
    }
    None
}

fn acknowledged<'s, 'v>(
    all: &'s [Subscription<'v>],
) -> impl Iterator<Item = (&'s Subscription<'v>, &'v Msg, &'v Value)> {
    all.iter().filter_map(|open| Some((open, open.acknowledgment()?, open.agreed()?)))
}

/// What is acknowledged is part of what was asked for.
fn ack_subset(view: &View<'_>, out: &mut Findings) {
    let all = subscriptions(view);
    for (open, msg, agreed) in acknowledged(&all) {
        let problem =
            if agreed.is_object() { beyond(open.filter(), agreed) } else { Some("no object at all".to_owned()) };
        out.require(problem.is_none(), || {
            told(
                format!("The acknowledgment promises what was not asked for: {}.", problem.unwrap_or_default()),
                &["the part of the filter that the server will honour"],
                short(&msg.value.to_string()),
                "acknowledge what was asked for and is supported, and nothing else",
                seen(open, Some(msg)),
            )
        });
    }
}

/// What the server does not support is left out, and no reason to refuse.
fn ack_omits(view: &View<'_>, out: &mut Findings) {
    for open in subscriptions(view) {
        let missing: Vec<&str> = FLAGS
            .iter()
            .filter(|(key, _, name)| {
                open.filter()[*key] == true
                    && server_declared(view, open.ask.request, &[name, "listChanged"]) == Some(false)
            })
            .map(|(key, ..)| *key)
            .collect();
        // A server without the method at all refuses no filter.
        if missing.is_empty()
            || open.ask.code() == Some(-32601)
            || !(open.ask.tells() || open.acknowledgment().is_some())
        {
            continue;
        }
        let promised = open.agreed().is_some_and(|agreed| missing.iter().any(|key| agreed[*key] == true));
        out.require(!promised && !open.is_refused(), || {
            told(
                format!("The filter asked for {}, which the server does not declare.", missing.join(" and ")),
                &["an acknowledgment without it"],
                open.acknowledgment().map_or_else(|| came(open.ask.exchange), |msg| short(&msg.value.to_string())),
                "leave unsupported types out of the acknowledgment instead of refusing or promising them",
                seen(&open, open.acknowledgment()),
            )
        });
    }
}

/// An empty filter is no error.
fn ack_empty(view: &View<'_>, out: &mut Findings) {
    for open in subscriptions(view) {
        let empty = open.filter().as_object().is_some_and(serde_json::Map::is_empty);
        if !empty || !(open.ask.tells() || open.acknowledgment().is_some()) {
            continue;
        }
        let nothing = open.agreed().is_some_and(|agreed| beyond(&Value::Null, agreed).is_none());
        out.require(nothing, || {
            told(
                "A subscription with an empty filter was not acknowledged as one to nothing.".to_owned(),
                &["an acknowledgment with an empty filter"],
                open.acknowledgment().map_or_else(|| came(open.ask.exchange), |msg| short(&msg.value.to_string())),
                "accept a filter without members",
                seen(&open, open.acknowledgment()),
            )
        });
    }
}

/// A server that asks for tokens asks for them here, too.
fn auth_required(view: &View<'_>, out: &mut Findings) {
    if !view.is_modern() {
        return;
    }
    let guarded = view.exchanges.iter().any(|exchange| {
        exchange.method == "POST"
            && exchange.status == Some(401)
            && exchange.sent_header("authorization").is_none()
            && exchange.sent_json().is_some_and(|sent| sent.at("method") != "subscriptions/listen")
    });
    for exchange in view.exchanges.iter().filter(|_| guarded) {
        let listens =
            exchange.modern && exchange.sent_json().is_some_and(|sent| sent.at("method") == "subscriptions/listen");
        if !listens || exchange.sent_header("authorization").is_some() || exchange.status.is_none() {
            continue;
        }
        out.require(!exchange.is_success(), || {
            told(
                "A subscription was opened without a token, though other requests need one.".to_owned(),
                &["status 401 with a challenge"],
                came(exchange),
                "check the token before the stream is opened",
                exchange.evidence(),
            )
        });
    }
}

/// After one subscription has ended another can be opened.
fn relisten(view: &View<'_>, out: &mut Findings) {
    let all = subscriptions(view);
    for (at, later) in all.iter().enumerate() {
        let before = all[..at].iter().any(|earlier| {
            earlier.ask.exchange.client == later.ask.exchange.client
                && earlier.acknowledgment().is_some()
                && earlier.ends(view) < later.ask.request.seq
        });
        // Who lacks what it takes is refused for that, and a subscription to nothing is looked at by itself.
        let lacks = later.ask.code() == Some(-32021) || *later.ask.param("notifications") == serde_json::json!({});
        if !before || lacks || !(later.ask.tells() || later.acknowledgment().is_some()) {
            continue;
        }
        out.require(later.acknowledgment().is_some(), || {
            told(
                "After a subscription had ended another one was refused.".to_owned(),
                &["an acknowledgment at once"],
                came(later.ask.exchange),
                "forget a subscription when its stream is gone",
                later.ask.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::modern::samples::listening::{all, ended, open, start};
    use crate::check::testing::expect_three;
    use serde_json::{Value, json};

    const CHANGED: &str = "notifications/tools/list_changed";

    #[test]
    fn opening() {
        let refused =
            start().probe(&[], "subscriptions/listen", json!({"notifications": {}})).refuses(404, -32601, Value::Null);
        expect_three("patterns.subscriptions.listen-implemented", &ended(open()), &refused, &start());
        let plain = start().call("subscriptions/listen", json!({"notifications": {}}), json!({}));
        expect_three("patterns.subscriptions.answer-is-sse", &ended(open()), &plain, &start());
        let late = ended(start().listen(all(), Value::Null).tells(CHANGED, json!({})));
        expect_three("patterns.subscriptions.ack-first", &ended(open()), &late, &start());
        let more = ended(start().listen(all(), json!({"promptsListChanged": true})));
        expect_three("patterns.subscriptions.ack-subset", &ended(open()), &more, &start());
        let prompts = json!({"promptsListChanged": true});
        let kept = ended(start().listen(prompts.clone(), json!({})));
        let broken = ended(start().listen(prompts.clone(), prompts));
        expect_three("patterns.subscriptions.ack-omits-unsupported", &kept, &broken, &ended(open()));
        let kept = ended(start().listen(json!({}), json!({})));
        expect_three("patterns.subscriptions.ack-empty-filter", &kept, &refused, &ended(open()));
    }

    #[test]
    fn tokens() {
        let walled = start().probe(&[], "tools/list", Value::Null).answer(401, &[("www-authenticate", "Bearer")], "");
        let kept = walled.clone().probe(&[], "subscriptions/listen", json!({"notifications": {}})).answer(401, &[], "");
        let broken = ended(walled.clone().listen(json!({}), json!({})));
        expect_three("patterns.subscriptions.auth-required", &kept, &broken, &walled);
    }
}
