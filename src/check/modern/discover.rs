//! Discovery: what the server says about itself, and whether it is so.

use std::collections::HashSet;

use serde_json::Value;

use super::asked::TASKS;
use super::flaw::{Ask, requests, sound};
use super::results::shown;
use crate::check::support::server_declared;
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{META_SERVER, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "lifecycle.discover-implemented", judge: implemented },
    Check { id: "lifecycle.discover-shape", judge: shape },
    Check { id: "lifecycle.discover-server-info", judge: server_info },
    Check { id: "lifecycle.discover-not-required", judge: not_required },
    Check { id: "lifecycle.discover-capabilities-declared", judge: capabilities },
    Check { id: "features.prompts.discover-capability", judge: prompts },
    Check { id: "base.extension-id-prefix", judge: extension_ids },
    Check { id: "base.implements-core-modern", judge: core },
    Check { id: "patterns.tasks-ext.advertised", judge: tasks_advertised },
    Check { id: "patterns.tasks-ext.no-legacy-advertisement", judge: no_old_tasks },
];

fn discoveries<'v>(view: &'v View<'_>) -> impl Iterator<Item = Ask<'v>> {
    sound(view).filter(|ask| ask.method() == "server/discover")
}

/// The method exists.
fn implemented(view: &View<'_>, out: &mut Findings) {
    for ask in discoveries(view) {
        out.require(ask.result().is_some_and(Value::is_object), || {
            told(
                "The server speaks this revision but does not answer server/discover.".to_owned(),
                &["a result with supportedVersions and capabilities"],
                came(ask.exchange),
                "implement server/discover: clients ask it first to find out what they speak to",
                ask.evidence(),
            )
        });
    }
}

/// Its result has everything that it must have.
fn shape(view: &View<'_>, out: &mut Findings) {
    for ask in discoveries(view) {
        let Some(result) = ask.result() else { continue };
        let versions = result.at("supportedVersions").as_array();
        let lacks = [
            (
                "supportedVersions, a list of versions",
                !versions.is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string)),
            ),
            ("capabilities, an object", !result.at("capabilities").is_object()),
            ("ttlMs, an integer", !result.at("ttlMs").is_u64() && !result.at("ttlMs").is_i64()),
            ("cacheScope, a string", !result.at("cacheScope").is_string()),
        ];
        let lacking: Vec<&str> = lacks.into_iter().filter(|(_, lacks)| *lacks).map(|(what, _)| what).collect();
        out.require(lacking.is_empty(), || {
            told(
                format!("The result of server/discover lacks {}.", lacking.join(" and ")),
                &["supportedVersions, capabilities, ttlMs and cacheScope"],
                shown(&ask),
                "give the result all four members",
                ask.evidence(),
            )
        });
    }
}

/// It says who the server is.
fn server_info(view: &View<'_>, out: &mut Findings) {
    for ask in discoveries(view) {
        let Some(result) = ask.result() else { continue };
        let info = result.at("_meta").at(META_SERVER);
        out.require(info.at("name").is_string() && info.at("version").is_string(), || {
            told(
                "server/discover does not say which server answers.".to_owned(),
                &["io.modelcontextprotocol/serverInfo in _meta, with name and version"],
                shown(&ask),
                "add serverInfo to _meta of the result",
                ask.evidence(),
            )
        });
    }
}

/// Other methods are served to clients that never discovered anything.
fn not_required(view: &View<'_>, out: &mut Findings) {
    let mut discovered: HashSet<&str> = HashSet::new();
    let lists = ["tools/list", "prompts/list", "resources/list"];
    for ask in requests(view) {
        let client = ask.exchange.client.as_str();
        if ask.method() == "server/discover" {
            discovered.insert(client);
        }
        if discovered.contains(client) || !lists.contains(&ask.method()) || !ask.tells() {
            continue;
        }
        // The same request after discovery shows whether it was for the want of it.
        let after = sound(view).any(|other| {
            other.method() == ask.method() && other.exchange.seq > ask.exchange.seq && other.result().is_some()
        });
        let sound_itself = super::flaw::flaws(view, &ask).is_empty();
        if !sound_itself || (ask.result().is_none() && !after) {
            continue;
        }
        out.require(ask.result().is_some(), || {
            told(
                format!("{} was refused before server/discover and served later.", ask.method()),
                &["service at any time: discovery is for the client to use or not"],
                came(ask.exchange),
                "drop whatever waits for a discovery",
                ask.evidence(),
            )
        });
    }
}

/// The capability of a method that was served.
fn needed(ask: &Ask<'_>) -> Option<&'static str> {
    let full = |member: &str| {
        ask.result().is_some_and(|result| result.at(member).as_array().is_some_and(|all| !all.is_empty()))
    };
    match ask.method() {
        "tools/list" if full("tools") => Some("tools"),
        "prompts/list" if full("prompts") => Some("prompts"),
        "resources/list" if full("resources") => Some("resources"),
        "resources/templates/list" if full("resourceTemplates") => Some("resources"),
        "tools/call" if ask.result().is_some() => Some("tools"),
        "prompts/get" if ask.result().is_some() => Some("prompts"),
        "resources/read" if ask.result().is_some() => Some("resources"),
        "completion/complete" if ask.result().is_some() => Some("completions"),
        _ => None,
    }
}

fn declared(view: &View<'_>, out: &mut Findings, only: Option<&str>) {
    for ask in requests(view) {
        let Some(name) = needed(&ask).filter(|name| only.is_none_or(|only| only == *name)) else { continue };
        let Some(declared) = server_declared(view, ask.request, &[name]) else { continue };
        out.require(declared, || {
            told(
                format!("{} is served, but server/discover declares no {name}.", ask.method()),
                &[&format!("\"{name}\": {{}} among the capabilities")],
                view.conversation_of(ask.request)
                    .map_or_else(String::new, |known| known.result.at("capabilities").to_string()),
                "declare what the server has; clients do not ask for what is not declared",
                ask.evidence(),
            )
        });
    }
}

/// What is served is declared.
fn capabilities(view: &View<'_>, out: &mut Findings) {
    declared(view, out, None);
}

fn prompts(view: &View<'_>, out: &mut Findings) {
    declared(view, out, Some("prompts"));
}

/// Names of extensions have a prefix and the form of keys of `_meta`.
fn extension_ids(view: &View<'_>, out: &mut Findings) {
    let label = |label: &str| {
        label.starts_with(|c: char| c.is_ascii_alphabetic())
            && label.ends_with(|c: char| c.is_ascii_alphanumeric())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let edge = |c: char| c.is_ascii_alphanumeric();
    let name_fits = |name: &str| {
        name.is_empty()
            || (name.starts_with(edge)
                && name.ends_with(edge)
                && name.chars().all(|c| edge(c) || matches!(c, '-' | '_' | '.')))
    };
    for ask in discoveries(view) {
        let Some(all) = ask.result().and_then(|result| result.at("capabilities").at("extensions").as_object()) else {
            continue;
        };
        for id in all.keys() {
            let right =
                id.split_once('/').is_some_and(|(prefix, name)| prefix.split('.').all(label) && name_fits(name));
            out.require(right, || {
                told(
                    format!("The extension {id:?} has no name of the form that extensions need."),
                    &["a prefix of labels with dots between, a slash, and a name: com.example/my-extension"],
                    shown(&ask),
                    "name the extension after a domain in reverse",
                    ask.evidence(),
                )
            });
        }
    }
}

/// Nobody can speak this revision without its base: discovery and subscriptions are methods of every server.
fn core(view: &View<'_>, out: &mut Findings) {
    for ask in sound(view).filter(|ask| matches!(ask.method(), "server/discover" | "subscriptions/listen")) {
        // Where nothing is declared that could be subscribed to, it is a matter of opinion what the method would be for:
        // `patterns.subscriptions.listen-implemented` tells that.
        let listens = |name: &&str| server_declared(view, ask.request, &[name, "listChanged"]) == Some(true);
        let offers = ["tools", "prompts", "resources"].iter().any(listens)
            || server_declared(view, ask.request, &["resources", "subscribe"]) == Some(true);
        if ask.method() == "subscriptions/listen" && !offers {
            continue;
        }
        let unknown = ask.code() == Some(-32601) || crate::check::wire::body_error(ask.exchange) == Some(-32601);
        out.require(!unknown, || {
            told(
                format!("The server speaks this revision but does not have {}.", ask.method()),
                &["the base messages, versions on each request, and the message patterns"],
                came(ask.exchange),
                "implement the method; features may be missing, the base may not",
                ask.evidence(),
            )
        });
    }
}

/// A server that makes tasks says so in discovery.
fn tasks_advertised(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view).filter(|ask| ask.result().is_some_and(|result| result.at("resultType") == "task")) {
        let Some(declared) = server_declared(view, ask.request, &["extensions", TASKS]) else { continue };
        out.require(declared, || {
            told(
                "The server answered with a task, but server/discover does not tell of the tasks extension.".to_owned(),
                &["\"extensions\": {\"io.modelcontextprotocol/tasks\": {}} among the capabilities"],
                shown(&ask),
                "declare the extension",
                ask.evidence(),
            )
        });
    }
}

/// With the extension the capability of 2025-11-25 is not declared as well.
fn no_old_tasks(view: &View<'_>, out: &mut Findings) {
    for ask in discoveries(view) {
        let Some(all) = ask.result().map(|result| result.at("capabilities")).filter(|all| all.is_object()) else {
            continue;
        };
        if all.at("extensions").get(TASKS).is_none() {
            continue;
        }
        out.require(all.member("tasks").is_none(), || {
            told(
                "server/discover declares tasks as a capability beside the extension.".to_owned(),
                &["the extension alone"],
                shown(&ask),
                "keep the capability tasks for the handshake of 2025-11-25",
                ask.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, META_SERVER};
    use serde_json::{Value, json};

    fn none() -> Builder {
        Builder::new().modern()
    }

    fn start() -> Builder {
        none().discover(json!({"tools": {}}))
    }

    fn told(capabilities: Value) -> Builder {
        none().discover(capabilities)
    }

    #[test]
    fn the_method() {
        let listed = none().call("tools/list", Value::Null, json!({"tools": []}));
        let broken = listed.call_answered(
            "server/discover",
            Value::Null,
            404,
            &json!({"error": {"code": -32601, "message": ""}}),
        );
        expect_three("lifecycle.discover-implemented", &start(), &broken, &none());
        expect_three("base.implements-core-modern", &start(), &broken, &none());
        let bare = none().call("server/discover", Value::Null, json!({"supportedVersions": ["2026-07-28"]}));
        expect_three("lifecycle.discover-shape", &start(), &bare, &none());
        let unnamed = json!({"supportedVersions": ["2026-07-28"], "capabilities": {}, "_meta": {META_SERVER: null}});
        let unnamed = none().call("server/discover", Value::Null, unnamed);
        expect_three("lifecycle.discover-server-info", &start(), &unnamed, &none());
        let list = |builder: Builder| builder.call("tools/list", Value::Null, json!({"tools": []}));
        let late = list(none().call_error("tools/list", Value::Null, -32600).discover(json!({"tools": {}})));
        expect_three("lifecycle.discover-not-required", &list(none()), &late, &start());
    }

    #[test]
    fn what_is_told() {
        let tools = json!({"tools": [{"name": "x", "inputSchema": {"type": "object"}}]});
        let kept = start().call("tools/list", Value::Null, tools.clone());
        let broken = told(json!({})).call("tools/list", Value::Null, tools);
        expect_three("lifecycle.discover-capabilities-declared", &kept, &broken, &start());
        let prompts = json!({"prompts": [{"name": "x"}]});
        let kept = told(json!({"prompts": {}})).call("prompts/list", Value::Null, prompts.clone());
        let broken = start().call("prompts/list", Value::Null, prompts);
        expect_three("features.prompts.discover-capability", &kept, &broken, &start());
        let good = told(json!({"extensions": {"com.example/a-b": {}}}));
        expect_three("base.extension-id-prefix", &good, &told(json!({"extensions": {"mine": {}}})), &start());
    }

    #[test]
    fn tasks() {
        let extension = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        let both = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "tasks": {}});
        expect_three("patterns.tasks-ext.no-legacy-advertisement", &told(extension.clone()), &told(both), &start());
        let task = |builder: Builder| {
            builder.call("tools/call", json!({"name": "x"}), json!({"resultType": "task", "taskId": "1"}))
        };
        expect_three("patterns.tasks-ext.advertised", &task(told(extension)), &task(start()), &start());
    }
}
