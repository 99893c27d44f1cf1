//! Lists of tools, resources and prompts in the modern era, which depend on nothing but the request.

use std::collections::BTreeMap;

use serde_json::Value;

use super::flaw::{Ask, requests, sound_to};
use super::results::shown;
use crate::check::support::{ListKind, PROMPTS, RESOURCES, TOOLS, server_declared};
use crate::check::wire::{body_error, came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{EventKind, META_CAPABILITIES, META_CLIENT, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "features.tools.list-responds", judge: |view, out| responds(view, out, &TOOLS) },
    Check { id: "features.prompts.list-responds", judge: |view, out| responds(view, out, &PROMPTS) },
    Check { id: "features.resources.list-responds", judge: |view, out| responds(view, out, &RESOURCES) },
    Check { id: "features.tools.list-not-per-connection", judge: |view, out| steady(view, out, &TOOLS) },
    Check { id: "features.prompts.list-not-per-connection", judge: |view, out| steady(view, out, &PROMPTS) },
    Check { id: "features.resources.list-not-per-connection", judge: |view, out| steady(view, out, &RESOURCES) },
    Check { id: "features.tools.list-deterministic", judge: same_order },
    Check { id: "utilities.completion.both-refs", judge: both_refs },
];

/// With the capability the list method answers.
fn responds(view: &View<'_>, out: &mut Findings, kind: &ListKind) {
    for ask in sound_to(view, kind.method).filter(|ask| ask.param("cursor").is_null()) {
        if server_declared(view, ask.request, &[kind.capability]) != Some(true) {
            continue;
        }
        out.require(ask.result().is_some_and(|result| result.at(kind.member).is_array()), || {
            told(
                format!("The server declares {} but {} does not answer with a list.", kind.capability, kind.method),
                &["a result with the list, which may be empty"],
                came(ask.exchange),
                "answer the list method, with an empty list where there is nothing",
                ask.evidence(),
            )
        });
    }
}

/// The names in a list that came whole.
fn names(kind: &ListKind, ask: &Ask<'_>) -> Option<Vec<String>> {
    let result = ask.result().filter(|result| result.at("nextCursor").is_null() && ask.param("cursor").is_null())?;
    Some(result.at(kind.member).as_array()?.iter().map(|item| item.at(kind.key).to_string()).collect())
}

pub(super) fn same_caller(one: &Ask<'_>, other: &Ask<'_>) -> bool {
    one.exchange.sent_header("authorization") == other.exchange.sent_header("authorization")
        && one.request.value.at("params").at("_meta").at(META_CAPABILITIES)
            == other.request.value.at("params").at("_meta").at(META_CAPABILITIES)
        && one.request.value.at("params").at("_meta").at(META_CLIENT)
            == other.request.value.at("params").at("_meta").at(META_CLIENT)
}

/// Where a request went over: its connection, or its channel. Each client counts its own.
pub(super) fn line<'v>(ask: &Ask<'v>) -> (&'v str, u32, Option<u32>) {
    (&ask.exchange.client, ask.exchange.connection, ask.exchange.line())
}

/// The list is the same on every connection. It may change with time: only what differs back and forth, or between two
/// requests with nothing but lists between them, is held against the server.
fn steady(view: &View<'_>, out: &mut Findings, kind: &ListKind) {
    let all: Vec<(Ask<'_>, Vec<String>)> = requests(view)
        .filter(|ask| ask.method() == kind.method)
        .filter_map(|ask| {
            let mut names = names(kind, &ask)?;
            names.sort_unstable();
            Some((ask, names))
        })
        .collect();
    let mut latest: BTreeMap<(&str, u32, Option<u32>), usize> = BTreeMap::new();
    for (at, (ask, list)) in all.iter().enumerate() {
        for (_, &before) in latest.iter().filter(|(place, _)| **place != line(ask)) {
            let (other, shown_there) = &all[before];
            if !same_caller(ask, other) {
                continue;
            }
            // Whether the change came with time shows on the connection of before: if it goes on showing the old list.
            let back = all[at + 1..].iter().find(|(later, _)| line(later) == line(other) && same_caller(later, other));
            // A call between may have changed it, and so may a clock or a hand from outside that a step tells of.
            let calm = |later: &Ask<'_>| !touched(view, other.request.seq, later.request.seq);
            let flips = back.is_some_and(|(later, list)| list == shown_there && calm(later));
            if shown_there != list && !flips {
                continue;
            }
            out.require(shown_there == list, || {
                told(
                    format!("{} showed another list on another connection.", kind.method),
                    &["the same list on every connection, for the same caller"],
                    shown(ask),
                    "keep nothing per connection; let lists depend on the request and its authorization alone",
                    [other.evidence(), ask.evidence()].concat(),
                )
            });
        }
        latest.insert(line(ask), at);
    }
}

/// Whether anything but a look at lists happened between two moments.
fn touched(view: &View<'_>, from: u32, to: u32) -> bool {
    let looks = |sent: &Value| {
        matches!(sent.at("method").as_str(), Some("server/discover" | "ping"))
            || sent.at("method").as_str().is_some_and(|method| method.ends_with("/list"))
    };
    let between = |seq: u32| seq > from && seq < to;
    view.exchanges.iter().any(|exchange| between(exchange.seq) && !exchange.sent_json().is_some_and(looks))
        || view.events.iter().any(|event| between(event.seq) && matches!(event.kind, EventKind::Clock { .. }))
        || view
            .received()
            .any(|msg| between(msg.seq) && msg.method().is_some_and(|method| method.ends_with("/list_changed")))
}

/// The order of the list is the same each time.
fn same_order(view: &View<'_>, out: &mut Findings) {
    let all: Vec<(Ask<'_>, Vec<String>)> = requests(view)
        .filter(|ask| ask.method() == TOOLS.method)
        .filter_map(|ask| Some((ask, names(&TOOLS, &ask)?)))
        .collect();
    for pair in all.windows(2) {
        let ((before, old), (ask, new)) = (&pair[0], &pair[1]);
        let sorted = |list: &Vec<String>| {
            let mut list = list.clone();
            list.sort_unstable();
            list
        };
        if old.len() < 2 || sorted(old) != sorted(new) {
            continue;
        }
        out.require(old == new, || {
            told(
                "tools/list gave the same tools in another order.".to_owned(),
                &["one order, so that what is made of the list can be kept"],
                shown(ask),
                "sort the tools, or keep them in the order of their registration",
                [before.evidence(), ask.evidence()].concat(),
            )
        });
    }
}

pub(super) fn code(ask: &Ask<'_>) -> Option<i64> {
    ask.code().or_else(|| body_error(ask.exchange))
}

/// Completion knows prompts and resource templates, where the server has both.
fn both_refs(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("completion/complete") {
        let reference = request.value.at("params").at("ref");
        let capability = match reference.at("type").as_str() {
            Some("ref/prompt") => "prompts",
            Some("ref/resource") => "resources",
            _ => continue,
        };
        let known = match capability {
            "prompts" => PROMPTS.find(view, request, reference.at("name").as_str().unwrap_or_default()).is_some(),
            _ => crate::check::support::TEMPLATES
                .find(view, request, reference.at("uri").as_str().unwrap_or_default())
                .is_some(),
        };
        // Further members of the parameters may be refused for their own sake.
        let plain = request.value.at("params").member("context").is_none();
        let declared = plain && server_declared(view, request, &["completions"]) == Some(true);
        let Some(response) = response.filter(|_| known && declared && out.covers(request.revision)) else { continue };
        if !crate::check::support::is_proper(view, request) {
            continue;
        }
        let refused = matches!(response.message().error_code(), Some(-32601 | -32602))
            && request.value.at("params").at("argument").at("name").is_string();
        out.require(!refused, || {
            told(
                format!("Completion was refused for a reference to one of the server's {capability}."),
                &["completion for both kinds of reference"],
                response.value.to_string(),
                "answer with an empty list where there is nothing to propose",
                vec![request.seq, response.seq],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn none() -> Builder {
        Builder::new().modern()
    }

    fn start() -> Builder {
        none().discover(json!({"tools": {}, "prompts": {}, "resources": {}, "completions": {}}))
    }

    fn listed(builder: Builder, method: &str, member: &str, key: &str, names: &[&str]) -> Builder {
        let items: Vec<Value> = names.iter().map(|name| json!({key: name})).collect();
        builder.call(method, Value::Null, json!({member: items}))
    }

    fn tools(builder: Builder, names: &[&str]) -> Builder {
        listed(builder, "tools/list", "tools", "name", names)
    }

    #[test]
    fn lists() {
        for (kind, member, key) in
            [("tools", "tools", "name"), ("prompts", "prompts", "name"), ("resources", "resources", "uri")]
        {
            let method = format!("{kind}/list");
            let good = listed(start(), &method, member, key, &[]);
            let bad = start().call_error(&method, Value::Null, -32603);
            expect_three(&format!("features.{kind}.list-responds"), &good, &bad, &start());
            let on = |builder: Builder, connection: u32, name: &str| {
                let probe = builder.probe(&[], &method, Value::Null).on_connection(connection);
                probe.serves(&method, json!({member: [{key: name}]}))
            };
            let good = on(on(start(), 1, "a"), 2, "a");
            let bad = on(on(on(start(), 1, "a"), 2, "b"), 1, "a");
            expect_three(&format!("features.{kind}.list-not-per-connection"), &good, &bad, &start());
        }
        let good = tools(tools(start(), &["a", "b"]), &["a", "b"]);
        let bad = tools(tools(start(), &["a", "b"]), &["b", "a"]);
        expect_three("features.tools.list-deterministic", &good, &bad, &start());
    }

    #[test]
    fn references() {
        let listed = || listed(start(), "prompts/list", "prompts", "name", &["p"]);
        let params = json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}});
        let kept = listed().call("completion/complete", params.clone(), json!({"completion": {"values": []}}));
        let broken = listed().call_error("completion/complete", params, -32602);
        expect_three("utilities.completion.both-refs", &kept, &broken, &start());
    }
}
