//! Tools, resources and prompts in the modern era: lists that depend on nothing but the request, resources that are not
//! there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::flaw::{Ask, requests, sound, sound_to};
use super::results::shown;
use crate::check::support::{ListKind, PROMPTS, RESOURCES, TOOLS, server_declared};
use crate::check::wire::{body_error, came, told};
use crate::check::{Check, Findings};
use crate::transcript::{META_CAPABILITIES, META_CLIENT, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "features.tools.list-responds", judge: |view, out| responds(view, out, &TOOLS) },
    Check { id: "features.prompts.list-responds", judge: |view, out| responds(view, out, &PROMPTS) },
    Check { id: "features.resources.list-responds", judge: |view, out| responds(view, out, &RESOURCES) },
    Check { id: "features.tools.list-not-per-connection", judge: |view, out| steady(view, out, &TOOLS) },
    Check { id: "features.prompts.list-not-per-connection", judge: |view, out| steady(view, out, &PROMPTS) },
    Check { id: "features.resources.list-not-per-connection", judge: |view, out| steady(view, out, &RESOURCES) },
    Check { id: "features.tools.list-deterministic", judge: same_order },
    Check { id: "features.resources.not-found-32602", judge: not_found },
    Check { id: "features.resources.not-found-no-empty", judge: not_empty },
    Check { id: "features.resources.path-traversal", judge: traversal },
    Check { id: "utilities.pagination.cursor-across-connections", judge: cursor_anywhere },
    Check { id: "base.client-id-reuse-after-response", judge: id_reuse },
    Check { id: "base.stateless-independent-requests", judge: independent },
    Check { id: "base.stateless-any-connection", judge: any_connection },
    Check { id: "utilities.completion.both-refs", judge: both_refs },
];

/// With the capability the list method answers.
fn responds(view: &View<'_>, out: &mut Findings, kind: &ListKind) {
    for ask in sound_to(view, kind.method).filter(|ask| ask.param("cursor").is_null()) {
        if server_declared(view, ask.request, &[kind.capability]) != Some(true) {
            continue;
        }
        out.require(ask.result().is_some_and(|result| result[kind.member].is_array()), || {
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
    let result = ask.result().filter(|result| result["nextCursor"].is_null() && ask.param("cursor").is_null())?;
    Some(result[kind.member].as_array()?.iter().map(|item| item[kind.key].to_string()).collect())
}

fn same_caller(one: &Ask<'_>, other: &Ask<'_>) -> bool {
    one.exchange.sent_header("authorization") == other.exchange.sent_header("authorization")
        && one.request.value["params"]["_meta"][META_CAPABILITIES] == other.request.value["params"]["_meta"][META_CAPABILITIES]
        && one.request.value["params"]["_meta"][META_CLIENT] == other.request.value["params"]["_meta"][META_CLIENT]
}

/// Where a request went over: its connection, or its channel.
fn line(ask: &Ask<'_>) -> (u32, Option<u32>) {
    (ask.exchange.connection, ask.exchange.line())
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
    let mut latest: BTreeMap<(u32, Option<u32>), usize> = BTreeMap::new();
    for (at, (ask, list)) in all.iter().enumerate() {
        for (_, &before) in latest.iter().filter(|(place, _)| **place != line(ask)) {
            let (other, shown_there) = &all[before];
            if !same_caller(ask, other) {
                continue;
            }
            // Whether the change came with time shows on the connection of before: if it goes on showing the old list.
            let back = all[at + 1..].iter().find(|(later, _)| line(later) == line(other) && same_caller(later, other));
            let flips = back.is_some_and(|(_, list)| list == shown_there);
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

/// The order of the list is the same each time.
fn same_order(view: &View<'_>, out: &mut Findings) {
    let all: Vec<(Ask<'_>, Vec<String>)> =
        requests(view).filter(|ask| ask.method() == TOOLS.method).filter_map(|ask| Some((ask, names(&TOOLS, &ask)?))).collect();
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

/// Reads of resources that are not there: what nobody listed and the server refuses, or answers with nothing.
fn absent<'v>(view: &'v View<'_>) -> Vec<Ask<'v>> {
    let listed: Vec<&Value> = RESOURCES.items(view).map(|(_, _, item)| &item["uri"]).collect();
    sound_to(view, "resources/read")
        .filter(|ask| server_declared(view, ask.request, &["resources"]) == Some(true))
        .filter(|ask| ask.param("uri").is_string() && !listed.contains(&ask.param("uri")))
        .collect()
}

fn code(ask: &Ask<'_>) -> Option<i64> {
    ask.code().or_else(|| body_error(ask.exchange))
}

/// A resource that is not there is an invalid parameter.
fn not_found(view: &View<'_>, out: &mut Findings) {
    for ask in absent(view) {
        // A refusal of access and the like is another matter, and so is what a template makes.
        let Some(code) = code(&ask).filter(|code| matches!(code, -32602 | -32002 | -32603 | -32600 | 0)) else { continue };
        out.require(code == -32602, || {
            told(
                format!("resources/read of {}, which is not there, was answered with error {code}.", ask.param("uri")),
                &["error -32602"],
                came(ask.exchange),
                "answer -32602 to a resource that does not exist",
                ask.evidence(),
            )
        });
    }
}

/// And not one without contents.
fn not_empty(view: &View<'_>, out: &mut Findings) {
    for ask in absent(view) {
        let empty = ask.result().is_some_and(|result| result["contents"].as_array().is_some_and(Vec::is_empty));
        if !empty && !ask.is_refused() {
            continue;
        }
        out.require(!empty, || {
            told(
                format!("resources/read of {}, which is not there, gave empty contents.", ask.param("uri")),
                &["error -32602"],
                shown(&ask),
                "answer with an error, so that clients can tell an empty resource from none",
                ask.evidence(),
            )
        });
    }
}

/// Paths that lead out of what is served lead nowhere.
fn traversal(view: &View<'_>, out: &mut Findings) {
    for ask in sound_to(view, "resources/read") {
        let Some(uri) = ask.param("uri").as_str().filter(|uri| uri.starts_with("file:")) else { continue };
        let lower = uri.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/");
        if !lower.contains("/../") && !lower.ends_with("/..") {
            continue;
        }
        let served = ask.result().is_some_and(|result| {
            result["contents"].as_array().is_some_and(|all| {
                all.iter().any(|one| one["text"].as_str().is_some_and(|text| text.contains("root:")) || one["blob"].is_string())
            })
        });
        out.require(!served, || {
            told(
                format!("resources/read of {uri} led out of what is served."),
                &["an error"],
                shown(&ask),
                "resolve the path, and serve it only inside of the folders that are offered",
                ask.evidence(),
            )
        });
    }
}

/// A cursor is good on any connection.
fn cursor_anywhere(view: &View<'_>, out: &mut Findings) {
    let givers: Vec<Ask<'_>> = requests(view).filter(|ask| ask.result().is_some_and(|result| result["nextCursor"].is_string())).collect();
    for ask in sound(view).filter(|ask| ask.param("cursor").is_string()) {
        let giver = givers.iter().rev().find(|giver| {
            giver.method() == ask.method()
                && giver.request.seq < ask.request.seq
                && giver.result().is_some_and(|result| result["nextCursor"] == *ask.param("cursor"))
        });
        let Some(giver) = giver.filter(|giver| line(giver) != line(&ask) && same_caller(giver, &ask)) else { continue };
        out.require(ask.result().is_some(), || {
            told(
                format!("A cursor of {} was refused on another connection than the one it came on.", ask.method()),
                &["the next page on any connection"],
                came(ask.exchange),
                "let the cursor itself say where to go on",
                [giver.evidence(), ask.evidence()].concat(),
            )
        });
    }
}

const LISTS: [&str; 4] = ["server/discover", "tools/list", "prompts/list", "resources/list"];

/// Requests for lists, of which each can be served if any can.
fn lists<'v>(view: &'v View<'_>) -> Vec<Ask<'v>> {
    sound(view).filter(|ask| LISTS.contains(&ask.method()) && ask.param("cursor").is_null()).collect()
}

/// An id that was answered may be used again.
fn id_reuse(view: &View<'_>, out: &mut Findings) {
    let all = lists(view);
    for (at, ask) in all.iter().enumerate() {
        let before = all[..at].iter().any(|other| {
            other.exchange.client == ask.exchange.client
                && other.request.value["id"] == ask.request.value["id"]
                && other.response.is_some_and(|response| response.seq < ask.request.seq)
        });
        let works = all.iter().any(|other| other.method() == ask.method() && other.result().is_some());
        if !before || !works {
            continue;
        }
        out.require(ask.result().is_some(), || {
            told(
                format!("{} was refused with an id that an answered request had used.", ask.method()),
                &["service: ids are free again after their response"],
                came(ask.exchange),
                "keep no list of used ids",
                ask.evidence(),
            )
        });
    }
}

/// A request that is complete in itself is served whatever came, or did not come, before it on its connection.
fn independent(view: &View<'_>, out: &mut Findings) {
    let all = lists(view);
    for ask in &all {
        let first = !requests(view).any(|other| line(&other) == line(ask) && other.request.seq < ask.request.seq);
        let refused_for_order = ask.is_refused() && code(ask) != Some(-32601);
        let works = all.iter().any(|other| other.method() == ask.method() && other.result().is_some() && line(other) == line(ask));
        if !first || (refused_for_order && !works) {
            continue;
        }
        out.require(!refused_for_order, || {
            told(
                format!("{} was refused as the first request of its connection, and served later on it.", ask.method()),
                &["service by what the request says itself"],
                came(ask.exchange),
                "take nothing from earlier requests",
                ask.evidence(),
            )
        });
    }
}

/// No connection is better than another.
fn any_connection(view: &View<'_>, out: &mut Findings) {
    let all = lists(view);
    for (at, ask) in all.iter().enumerate() {
        let elsewhere = all[..at].iter().any(|other| {
            other.method() == ask.method() && line(other) != line(ask) && other.result().is_some() && same_caller(other, ask)
        });
        if !elsewhere {
            continue;
        }
        out.require(ask.result().is_some(), || {
            told(
                format!("{} was refused on another connection than the one on which it had been served.", ask.method()),
                &["service on any connection"],
                came(ask.exchange),
                "tie nothing to a connection",
                ask.evidence(),
            )
        });
    }
}

/// Completion knows prompts and resource templates, where the server has both.
fn both_refs(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("completion/complete") {
        let reference = &request.value["params"]["ref"];
        let capability = match reference["type"].as_str() {
            Some("ref/prompt") => "prompts",
            Some("ref/resource") => "resources",
            _ => continue,
        };
        let known = match capability {
            "prompts" => PROMPTS.find(view, request, reference["name"].as_str().unwrap_or_default()).is_some(),
            _ => crate::check::support::TEMPLATES.find(view, request, reference["uri"].as_str().unwrap_or_default()).is_some(),
        };
        let declared = server_declared(view, request, &["completions"]) == Some(true);
        let Some(response) = response.filter(|_| known && declared && out.covers(request.revision)) else { continue };
        if !crate::check::support::is_proper(view, request) {
            continue;
        }
        let refused = matches!(response.message().error_code(), Some(-32601 | -32602)) && request.value["params"]["argument"]["name"].is_string();
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

    fn over(builder: Builder, connection: u32, names: &[&str]) -> Builder {
        let tools: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        builder.probe(&[], "tools/list", Value::Null).on_connection(connection).serves("tools/list", json!({"tools": tools}))
    }

    #[test]
    fn lists() {
        for (kind, member, key) in [("tools", "tools", "name"), ("prompts", "prompts", "name"), ("resources", "resources", "uri")] {
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
    fn resources_that_are_not_there() {
        let read = |uri: &str| start().probe(&[], "resources/read", json!({"uri": uri}));
        let right = read("test://none").refuses(200, -32602, Value::Null);
        let old = read("test://none").refuses(200, -32002, Value::Null);
        expect_three("features.resources.not-found-32602", &right, &old, &start());
        let empty = read("test://none").serves("resources/read", json!({"contents": []}));
        expect_three("features.resources.not-found-no-empty", &right, &empty, &start());
        let out = "file:///srv/../etc/passwd";
        let kept = read(out).refuses(200, -32602, Value::Null);
        let contents = json!({"contents": [{"uri": out, "text": "root:x:0:0"}]});
        expect_three("features.resources.path-traversal", &kept, &read(out).serves("resources/read", contents), &right);
    }

    #[test]
    fn no_connection_matters() {
        let first = || start().call("tools/list", Value::Null, json!({"tools": [], "nextCursor": "c"}));
        let next = || first().probe(&[], "tools/list", json!({"cursor": "c"})).on_connection(2);
        let kept = next().serves("tools/list", json!({"tools": []}));
        let broken = next().refuses(200, -32602, Value::Null);
        expect_three("utilities.pagination.cursor-across-connections", &kept, &broken, &first());
        let moved = || start().probe(&[], "server/discover", Value::Null).on_connection(2);
        let found = json!({"supportedVersions": ["2026-07-28"], "capabilities": {}});
        let kept = moved().serves("server/discover", found);
        expect_three("base.stateless-any-connection", &kept, &moved().refuses(200, -32600, Value::Null), &start());
        let order = over(start().probe(&[], "tools/list", Value::Null).on_connection(2).refuses(200, -32600, Value::Null), 2, &[]);
        expect_three("base.stateless-independent-requests", &start(), &order, &none());
        let again = |answer: fn(Builder) -> Builder| {
            let message = start().message(&json!(1), "server/discover", Value::Null);
            answer(start().post(&message))
        };
        let kept = again(|builder| builder.serves("server/discover", json!({"supportedVersions": ["2026-07-28"], "capabilities": {}})));
        let broken = again(|builder| builder.refuses(200, -32600, Value::Null));
        expect_three("base.client-id-reuse-after-response", &kept, &broken, &start());
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
