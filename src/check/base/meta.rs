//! Keys of `_meta`, and members that nobody defined.

use serde_json::Value;

use crate::check::memo::remembered;
use crate::check::wire::{came, fair_calls, received, told};
use crate::check::{Check, Findings};
use crate::model::{Members as _, Revision};
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "base.meta-prefix-format", judge: prefix_format },
    Check { id: "base.meta-name-format", judge: name_format },
    Check { id: "base.meta-reserved-prefix-first-form", judge: reserved_first_form },
    Check { id: "base.meta-reserved-prefix-second-label", judge: reserved_second_label },
    Check { id: "base.meta-unknown-keys-tolerated", judge: unknown_keys },
    Check { id: "base.unknown-params-tolerated", judge: unknown_params },
    Check { id: "base.icon-src-uri", judge: icon_src },
];

/// Every member of this name, at any depth outside of free-form data.
fn gather<'v>(value: &'v Value, name: &str, into: &mut Vec<&'v Value>) {
    let is_free = |key: &str| {
        matches!(key, "structuredContent" | "arguments" | "inputSchema" | "outputSchema" | "data" | "experimental")
    };
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if key == name {
                    into.push(member);
                } else if (member.is_object() || member.is_array()) && !is_free(key) {
                    gather(member, name, into);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, name, into)),
        _ => {}
    }
}

/// Messages of the server that have a member of this name somewhere; most have none, and are looked through once.
fn having<'v>(view: &'v View<'_>, name: &'static str) -> impl Iterator<Item = (&'v Msg, Option<Revision>)> {
    let has = |msg: &Msg| {
        let look = || {
            let mut found = Vec::new();
            gather(&msg.value, name, &mut found);
            Some(!found.is_empty())
        };
        remembered((name, None), &msg.value, &msg.value, look) == Some(true)
    };
    let heard = || received(view).enumerate().filter(|(_, (msg, _, _))| has(msg)).map(|(index, _)| index).collect();
    let having = view.indexes(name, heard);
    received(view)
        .enumerate()
        .filter(move |(index, _)| having.contains(index))
        .map(|(_, (msg, _, revision))| (msg, revision))
}

fn keys(view: &View<'_>, out: &mut Findings, holds: fn(&str) -> Option<bool>, what: &str, expected: &str, fix: &str) {
    for (msg, revision) in having(view, "_meta") {
        if !out.covers(revision) {
            continue;
        }
        let mut metas = Vec::new();
        gather(&msg.value, "_meta", &mut metas);
        for key in metas.into_iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys) {
            let Some(right) = holds(key) else { continue };
            let actual = format!("the _meta key {key:?}");
            out.require(right, || told(what.to_owned(), &[expected], actual, fix, vec![msg.seq]));
        }
    }
}

fn split(key: &str) -> (Option<&str>, &str) {
    key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name))
}

fn label(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// The part before the slash consists of labels with dots between.
fn prefix_format(view: &View<'_>, out: &mut Findings) {
    keys(
        view,
        out,
        |key| Some(split(key).0?.split('.').all(label)),
        "A key of _meta has a malformed prefix.",
        "labels with dots between, each of them letters, digits and hyphens from a letter to a letter or digit",
        "name the prefix after a domain in reverse, such as com.example/",
    );
}

/// The part after the slash begins and ends with a letter or digit.
fn name_format(view: &View<'_>, out: &mut Findings) {
    keys(
        view,
        out,
        |key| {
            let name = split(key).1;
            let edge = |c: char| c.is_ascii_alphanumeric();
            let inner = |c: char| edge(c) || matches!(c, '-' | '_' | '.');
            Some(name.is_empty() || (name.starts_with(edge) && name.ends_with(edge) && name.chars().all(inner)))
        },
        "A key of _meta has a malformed name.",
        "letters, digits, hyphens, underscores and dots, with a letter or digit at both ends",
        "rename the key",
    );
}

fn ours(label: &str) -> bool {
    matches!(label, "mcp" | "modelcontextprotocol")
}

/// Prefixes that 2025-06-18 keeps for itself: one of the two names followed by one more label.
fn reserved_first_form(view: &View<'_>, out: &mut Findings) {
    keys(
        view,
        out,
        |key| {
            let prefix = split(key).0?;
            let labels: Vec<&str> = prefix.split('.').collect();
            let reserved = labels.len() >= 2 && ours(labels[labels.len() - 2]);
            Some(!reserved || prefix == "io.modelcontextprotocol")
        },
        "A key of _meta uses a prefix that the protocol keeps for itself.",
        "a prefix of one's own",
        "name the prefix after your own domain, such as com.example/",
    );
}

/// Prefixes that later revisions keep for themselves: one of the two names as the second label.
fn reserved_second_label(view: &View<'_>, out: &mut Findings) {
    keys(
        view,
        out,
        |key| {
            let prefix = split(key).0?;
            let reserved = prefix.split('.').nth(1).is_some_and(ours);
            Some(!reserved || prefix == "io.modelcontextprotocol")
        },
        "A key of _meta uses a prefix that the protocol keeps for itself.",
        "a prefix of one's own",
        "name the prefix after your own domain, such as com.example/",
    );
}

fn odd_request(view: &View<'_>, out: &mut Findings, odd: fn(&Value) -> bool, what: &str) {
    let plain_works = |method: Option<&str>| {
        fair_calls(view).any(|(request, _, responses)| {
            request.method() == method
                && !odd(request.value.at("params"))
                && responses.iter().any(|response| response.value.member("result").is_some())
        })
    };
    for (request, exchange, responses) in fair_calls(view) {
        if !odd(request.value.at("params")) || !out.covers(request.revision) {
            continue;
        }
        let served = responses.iter().any(|response| response.value.member("result").is_some());
        let refused = responses.iter().any(|response| response.value.member("error").is_some())
            || exchange.status.is_some_and(|status| status >= 400);
        if !(served || (refused && plain_works(request.method()))) {
            continue;
        }
        out.require(served, || {
            told(
                format!("{} was refused with {what}, though it works without.", request.method().unwrap_or_default()),
                &["the same service as without it"],
                came(exchange),
                "ignore what the server does not know",
                exchange.evidence(),
            )
        });
    }
}

/// Keys of `_meta` that the server does not know change nothing.
fn unknown_keys(view: &View<'_>, out: &mut Findings) {
    let odd = |params: &Value| {
        params.at("_meta").as_object().is_some_and(|meta| {
            meta.keys().any(|key| key != "progressToken" && !key.starts_with("io.modelcontextprotocol/"))
        })
    };
    odd_request(view, out, odd, "an unknown key in _meta");
}

/// Members of the parameters that the server does not know are no reason to refuse.
fn unknown_params(view: &View<'_>, out: &mut Findings) {
    const KNOWN: &[&str] = &[
        "_meta",
        "cursor",
        "name",
        "arguments",
        "uri",
        "level",
        "ref",
        "argument",
        "context",
        "task",
        "taskId",
        "notifications",
        "inputResponses",
        "requestState",
        "protocolVersion",
        "capabilities",
        "clientInfo",
    ];
    let odd =
        |params: &Value| params.as_object().is_some_and(|given| given.keys().any(|key| !KNOWN.contains(&key.as_str())));
    odd_request(view, out, odd, "an unknown member in params");
}

/// Icons come from the web or stand in the message itself.
fn icon_src(view: &View<'_>, out: &mut Findings) {
    for (msg, revision) in having(view, "icons") {
        if !out.covers(revision) {
            continue;
        }
        let mut lists = Vec::new();
        gather(&msg.value, "icons", &mut lists);
        for icon in lists.into_iter().filter_map(Value::as_array).flatten() {
            let src = icon.at("src").as_str().unwrap_or_default().to_ascii_lowercase();
            let right = ["https://", "http://", "data:"].iter().any(|scheme| src.starts_with(scheme));
            out.require(right, || {
                told(
                    "An icon has no source that a client may load.".to_owned(),
                    &["src with an https URL", "src with a data URI"],
                    icon.to_string(),
                    "host the icon under https, or embed it as a data URI",
                    vec![msg.seq],
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::json;

    fn start(version: &str) -> Builder {
        Builder::new().initialize(version)
    }

    #[test]
    fn of_the_server() {
        let keyed = |version: &str, key: &str| start(version).call("ping", json!({}), json!({"_meta": {key: 1}}));
        let none = start("2025-06-18");
        let table = [
            ("base.meta-prefix-format", "2025-06-18", "com.example/x", "4com.example/x"),
            ("base.meta-name-format", "2025-11-25", "com.example/x", "com.example/-x"),
            ("base.meta-reserved-prefix-first-form", "2025-06-18", "com.example/x", "mcp.dev/x"),
            ("base.meta-reserved-prefix-second-label", "2025-11-25", "com.example.mcp/x", "com.mcp.tools/x"),
        ];
        for (id, version, kept, broken) in table {
            expect_three(id, &keyed(version, kept), &keyed(version, broken), &none);
        }
        let icon = |src: &str| start("2025-11-25").call("ping", json!({}), json!({"icons": [{"src": src}]}));
        expect_three("base.icon-src-uri", &icon("https://a.example/i.png"), &icon("file:///i.png"), &none);
    }

    #[test]
    fn of_the_client() {
        let plain = start("2025-06-18").call("ping", json!({}), json!({}));
        for (id, odd) in [
            ("base.meta-unknown-keys-tolerated", json!({"_meta": {"com.example/x": {"a": 1}}})),
            ("base.unknown-params-tolerated", json!({"odd": true})),
        ] {
            let kept = plain.clone().call("ping", odd.clone(), json!({}));
            expect_three(id, &kept, &plain.clone().call_error("ping", odd, -32602), &plain);
        }
    }
}
