//! What reaches the subscriptions that wait for it, and what no longer does.

use serde_json::Value;

use super::flaw::{Ask, sound};
use super::subscription::{Subscription, subscriptions, tag};
use crate::check::support::{LISTS, server_declared};
use crate::check::wire::{short, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Via};
use crate::transcript::{End, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.subscriptions.same-event-two-streams", judge: every_stream },
    Check { id: "patterns.subscriptions.list-changed-delivered", judge: list_changed },
    Check { id: "patterns.subscriptions.resource-updated-delivered", judge: updated },
    Check { id: "features.resources.updated-on-listen", judge: updated_on_listen },
    Check { id: "patterns.subscriptions.client-cancel-http", judge: closed },
    Check { id: "patterns.subscriptions.client-cancel-stdio", judge: cancelled },
];

/// What the network and the server may need to say something, in microseconds.
const GRACE: u64 = 500_000;

fn wants(agreed: &Value, msg: &Msg) -> bool {
    match msg.method() {
        Some("notifications/tools/list_changed") => agreed.at("toolsListChanged") == true,
        Some("notifications/prompts/list_changed") => agreed.at("promptsListChanged") == true,
        Some("notifications/resources/list_changed") => agreed.at("resourcesListChanged") == true,
        Some("notifications/resources/updated") => agreed
            .at("resourceSubscriptions")
            .as_array()
            .is_some_and(|list| list.contains(msg.value.at("params").at("uri"))),
        _ => false,
    }
}

/// Whether a transcript goes on for long enough after a moment, by the clock of a client.
fn goes_on(view: &View<'_>, at: u64) -> bool {
    view.events.last().is_some_and(|event| event.at > at + GRACE)
}

/// What happened is told on each subscription that waits for it.
fn every_stream(view: &View<'_>, out: &mut Findings) {
    let all = subscriptions(view);
    if all.len() < 2 {
        return;
    }
    for (at, open) in all.iter().enumerate() {
        for msg in open.notifications() {
            for (_, other) in all.iter().enumerate().filter(|(index, _)| *index != at) {
                let waits = other.agreed().is_some_and(|agreed| wants(agreed, msg));
                let token = |one: &Subscription<'_>| one.ask.exchange.sent_header("authorization").map(str::to_owned);
                let end = view.events.iter().find(|event| event.seq == other.ends(view));
                let long = end.map_or_else(|| goes_on(view, msg.at), |end| end.at > msg.at + GRACE);
                if !waits || token(open) != token(other) || !other.covers(view, msg.seq, msg.seq) {
                    continue;
                }
                let got = other.notifications().any(|copy| {
                    copy.method() == msg.method()
                        && copy.value.at("params").at("uri") == msg.value.at("params").at("uri")
                        && copy.at.abs_diff(msg.at) <= GRACE
                });
                if !got && !long {
                    continue;
                }
                out.require(got, || {
                    told(
                        format!(
                            "{} came on one of two subscriptions that both waited for it.",
                            msg.method().unwrap_or_default()
                        ),
                        &["a copy on each subscription, with the id of each"],
                        short(&msg.value.to_string()),
                        "send to every subscription, not to the first or the latest",
                        other.ask.evidence().into_iter().chain([msg.seq]).collect(),
                    )
                });
            }
        }
    }
}

/// Whether a subscription was open from before one moment till after another.
fn waiting<'s, 'v>(
    view: &View<'_>,
    all: &'s [Subscription<'v>],
    client: &str,
    wants: impl Fn(&Value) -> bool,
    from: u32,
    to: u32,
) -> Option<&'s Subscription<'v>> {
    all.iter().find(|open| {
        open.ask.exchange.client == client && open.agreed().is_some_and(&wants) && open.covers(view, from, to)
    })
}

/// A list that changed while somebody waited for that was announced.
fn list_changed(view: &View<'_>, out: &mut Findings) {
    let all = subscriptions(view);
    if all.is_empty() {
        return;
    }
    for kind in LISTS.iter().filter(|kind| kind.method != "resources/templates/list") {
        let key = match kind.capability {
            "tools" => "toolsListChanged",
            "prompts" => "promptsListChanged",
            _ => "resourcesListChanged",
        };
        let walks = kind.walks(view);
        for (at, later) in walks.iter().enumerate() {
            let (second, answer, result) = later.pages[0];
            let earlier = walks[..at].iter().rev().find(|walk| walk.pages[0].0.conversation == second.conversation);
            let Some((_, before, old)) = earlier.map(|walk| walk.pages[0]) else { continue };
            let whole = |result: &Value| result.at("nextCursor").is_null() && result.at(kind.member).is_array();
            let names = |result: &Value| {
                let items = result.at(kind.member).as_array().into_iter().flatten();
                let mut names: Vec<String> = items.map(|item| item.at(kind.key).to_string()).collect();
                names.sort_unstable();
                names
            };
            let declared = server_declared(view, second, &[kind.capability, "listChanged"]) == Some(true);
            if !declared || !whole(result) || !whole(old) || names(result) == names(old) {
                continue;
            }
            let open = waiting(view, &all, &second.client, |agreed| agreed[key] == true, before.seq, answer.seq);
            let Some(open) = open else { continue };
            let told_of = open.notifications().any(|msg| msg.method() == Some(kind.changed) && msg.seq > before.seq);
            if !told_of && !goes_on(view, answer.at) {
                out.inconclusive();
                continue;
            }
            out.require(told_of, || {
                told(
                    format!("{} changed, and a subscription that waited for that heard nothing.", kind.method),
                    &[kind.changed],
                    short(&result.to_string()),
                    "announce every change to the subscriptions that asked for it",
                    vec![before.seq, answer.seq, open.ask.request.seq],
                )
            });
        }
    }
}

/// A resource that changed while somebody waited for that was announced.
fn updated(view: &View<'_>, out: &mut Findings) {
    let all = subscriptions(view);
    if all.is_empty() {
        return;
    }
    let reads: Vec<Ask<'_>> = sound(view)
        .filter(|ask| {
            ask.method() == "resources/read" && ask.result().is_some_and(|result| result.at("contents").is_array())
        })
        .collect();
    for (at, later) in reads.iter().enumerate() {
        let uri = later.param("uri");
        let earlier = reads[..at]
            .iter()
            .rev()
            .find(|one| one.param("uri") == uri && one.exchange.client == later.exchange.client);
        let (Some(old), Some(new)) = (earlier.and_then(|one| one.response), later.response) else { continue };
        let contents = |msg: &Msg| msg.value.at("result").at("contents").clone();
        if contents(old) == contents(new) {
            continue;
        }
        let wants =
            |agreed: &Value| agreed.at("resourceSubscriptions").as_array().is_some_and(|list| list.contains(uri));
        let Some(open) = waiting(view, &all, &later.exchange.client, wants, old.seq, new.seq) else { continue };
        let told_of = open.notifications().any(|msg| {
            msg.method() == Some("notifications/resources/updated")
                && *msg.value.at("params").at("uri") == *uri
                && msg.seq > old.seq
        });
        if !told_of && !goes_on(view, new.at) {
            out.inconclusive();
            continue;
        }
        out.require(told_of, || {
            told(
                format!("The resource {uri} changed, and a subscription to it heard nothing."),
                &["notifications/resources/updated with its URI"],
                short(&new.value.to_string()),
                "announce the change of a resource to the subscriptions that named it",
                vec![old.seq, new.seq, open.ask.request.seq],
            )
        });
    }
}

/// Updates come on subscriptions that named the resource, and nowhere else.
fn updated_on_listen(view: &View<'_>, out: &mut Findings) {
    if !view.is_modern() {
        return;
    }
    let all = subscriptions(view);
    for msg in view.received().filter(|msg| msg.method() == Some("notifications/resources/updated")) {
        if !super::asked::is_modern(msg) {
            continue;
        }
        let uri = msg.value.at("params").at("uri").as_str().unwrap_or_default();
        let named = all.iter().any(|open| {
            open.came.iter().any(|one| std::ptr::eq(*one, msg))
                && open
                    .filter()
                    .at("resourceSubscriptions")
                    .as_array()
                    .is_some_and(|list| list.iter().filter_map(Value::as_str).any(|one| uri.starts_with(one)))
        });
        out.require(named, || {
            told(
                format!("An update of {uri} came where no subscription had asked for it."),
                &["updates on the stream of a subscriptions/listen that names the resource"],
                short(&msg.value.to_string()),
                "send updates on subscriptions only",
                vec![msg.seq],
            )
        });
    }
}

/// Whether something for another subscription came after a moment, which shows that the server was sending.
fn others_got(all: &[Subscription<'_>], but: &Subscription<'_>, after: u64) -> bool {
    all.iter().any(|open| {
        open.ask.request.seq != but.ask.request.seq && open.notifications().any(|msg| msg.at > after + GRACE)
    })
}

fn ended(view: &View<'_>, out: &mut Findings, of: impl Fn(&Subscription<'_>) -> Option<u64>, how: &str) {
    let all = subscriptions(view);
    for open in &all {
        let Some(end) = of(open).filter(|_| open.acknowledgment().is_some()) else { continue };
        let reused = all.iter().any(|other| other.id() == open.id() && other.ask.request.seq > open.ask.request.seq);
        if reused {
            continue;
        }
        let late = view.received().find(|msg| {
            msg.client == open.ask.exchange.client
                && msg.kind == Kind::Notification
                && msg.at > end + GRACE
                && tag(msg) == open.id()
        });
        if late.is_none() && !others_got(&all, open, end) {
            continue;
        }
        out.require(late.is_none(), || {
            told(
                format!("Notifications still came for a subscription that the client had ended {how}."),
                &["nothing more with its id"],
                late.map_or_else(String::new, |msg| short(&msg.value.to_string())),
                "drop the subscription when the client ends it",
                open.ask.evidence().into_iter().chain(late.map(|msg| msg.seq)).collect(),
            )
        });
    }
}

/// A stream that the client closed is over.
fn closed(view: &View<'_>, out: &mut Findings) {
    let of = |open: &Subscription<'_>| {
        let exchange = open.ask.exchange;
        exchange.end_at.filter(|_| exchange.end == Some(End::ClosedByUs) && open.ask.over_http())
    };
    ended(view, out, of, "by closing its stream");
}

/// A subscription that the client cancelled on a channel is over.
fn cancelled(view: &View<'_>, out: &mut Findings) {
    let of = |open: &Subscription<'_>| {
        let cancel = view.messages.iter().find(|msg| {
            !msg.received()
                && msg.client == open.ask.exchange.client
                && msg.method() == Some("notifications/cancelled")
                && *msg.value.at("params").at("requestId") == *open.id()
                && msg.seq > open.ask.request.seq
        });
        cancel.filter(|_| open.ask.exchange.via == Via::Stdio).map(|msg| msg.at)
    };
    ended(view, out, of, "by notifications/cancelled");
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::model::Via;
    use crate::transcript::{Builder, End, META_SUBSCRIPTION};
    use serde_json::{Value, json};

    const CHANGED: &str = "notifications/tools/list_changed";
    const UPDATED: &str = "notifications/resources/updated";

    fn start() -> Builder {
        Builder::new().modern().discover(json!({"tools": {"listChanged": true}, "resources": {"subscribe": true}}))
    }

    fn open() -> Builder {
        start().listen(json!({"toolsListChanged": true}), json!({"toolsListChanged": true}))
    }

    fn list(builder: Builder, name: &str) -> Builder {
        builder.call("tools/list", Value::Null, json!({"tools": [{"name": name}]}))
    }

    fn note(id: i64) -> Value {
        json!({"jsonrpc": "2.0", "method": CHANGED, "params": {"_meta": {META_SUBSCRIPTION: id}}})
    }

    /// A message on the stream of an earlier exchange.
    fn on(builder: Builder, exchange: u32, message: &Value) -> Builder {
        let data = Some(message.to_string().into());
        builder.event(crate::transcript::EventKind::Sse { exchange, id: None, event: None, data, retry: None })
    }

    fn later(builder: Builder) -> Builder {
        list(builder.pause_ms(2_000), "z")
    }

    #[test]
    fn two_streams() {
        let two = open().listen(json!({"toolsListChanged": true}), json!({"toolsListChanged": true}));
        let one = on(two.clone(), 2, &note(2));
        let both = on(one.clone(), 3, &note(3));
        expect_three("patterns.subscriptions.same-event-two-streams", &later(both), &later(one), &two);
    }

    #[test]
    fn changes() {
        let first = list(open(), "a");
        let told = list(on(first.clone(), 2, &note(2)), "b");
        let broken = later(list(first.clone(), "b"));
        expect_three("patterns.subscriptions.list-changed-delivered", &told, &broken, &first);
        let watch = json!({"resourceSubscriptions": ["test://a"]});
        let read = |builder: Builder, text: &str| {
            let contents = json!({"contents": [{"uri": "test://a", "text": text}]});
            builder.call("resources/read", json!({"uri": "test://a"}), contents)
        };
        let update = json!({"jsonrpc": "2.0", "method": UPDATED,
            "params": {"uri": "test://a", "_meta": {META_SUBSCRIPTION: 2}}});
        let first = read(start().listen(watch.clone(), watch), "1");
        let told = read(on(first.clone(), 2, &update), "2");
        let broken = later(read(first.clone(), "2"));
        expect_three("patterns.subscriptions.resource-updated-delivered", &told, &broken, &first);
        let stray = on(start().probe(&[], "tools/call", json!({"name": "x"})).stream(), 2, &update).end(End::Complete);
        expect_three("features.resources.updated-on-listen", &told, &stray, &first);
    }

    #[test]
    fn ends() {
        let two = open().end(End::ClosedByUs).listen(json!({"toolsListChanged": true}), json!({}));
        let kept = on(two.clone().pause_ms(2_000), 3, &note(3));
        let broken = on(two.clone().pause_ms(2_000), 3, &note(2));
        expect_three("patterns.subscriptions.client-cancel-http", &kept, &broken, &two);
        let pipes = Builder::new().channel(Via::Stdio).modern().discover(json!({"tools": {"listChanged": true}}));
        let two = pipes.listen(json!({"toolsListChanged": true}), json!({"toolsListChanged": true}));
        let two = two.listen(json!({"toolsListChanged": true}), json!({"toolsListChanged": true}));
        let two = two.notify("notifications/cancelled", json!({"requestId": 2}));
        let kept = two.clone().pause_ms(2_000).comes(&note(3).to_string());
        let broken = two.clone().pause_ms(2_000).comes(&note(2).to_string());
        expect_three("patterns.subscriptions.client-cancel-stdio", &kept, &broken, &two);
    }
}
