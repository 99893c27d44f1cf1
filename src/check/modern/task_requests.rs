//! What the methods on tasks answer, and to whom.

use std::collections::HashSet;

use serde_json::Value;

use super::asked::TASKS;
use super::flaw::{Ask, Flaw, flaws, requests, sound};
use super::results::shown;
use super::tasks::{breach, code, has_extension, made};
use crate::check::support::server_declared;
use crate::check::wire::told;
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.tasks-ext.unknown-task-get", judge: unknown_get },
    Check { id: "patterns.tasks-ext.unknown-task-other", judge: unknown_other },
    Check { id: "patterns.tasks-ext.undeclared-client-methods", judge: undeclared_methods },
    Check { id: "patterns.tasks-ext.subscribe-undeclared", judge: undeclared_listen },
    Check { id: "patterns.tasks-ext.update-ack", judge: acknowledged },
    Check { id: "patterns.tasks-ext.update-unknown-keys", judge: unknown_keys },
    Check { id: "patterns.tasks-ext.name-header-checked", judge: name_checked },
    Check { id: "patterns.tasks-ext.auth-check", judge: own_tasks },
];

/// Requests about tasks of clients that declare the extension, of servers that have it.
pub(super) fn about<'v>(view: &'v View<'_>) -> impl Iterator<Item = Ask<'v>> {
    sound(view)
        .filter(|ask| matches!(ask.method(), "tasks/get" | "tasks/update" | "tasks/cancel"))
        .filter(move |ask| offered(view, ask))
}

pub(super) fn offered(view: &View<'_>, ask: &Ask<'_>) -> bool {
    server_declared(view, ask.request, &["extensions"]) == Some(true)
        && view
            .conversation_of(ask.request)
            .is_some_and(|known| known.server_capability(&["extensions", TASKS]).is_some_and(Value::is_object))
}

fn unknown<'v>(view: &'v View<'_>, get: bool) -> Vec<Ask<'v>> {
    let known: HashSet<&str> = requests(view).filter_map(|ask| ask.result()?.at("taskId").as_str()).collect();
    about(view)
        .filter(|ask| (ask.method() == "tasks/get") == get && has_extension(ask))
        .filter(|ask| ask.param("taskId").as_str().is_some_and(|id| !known.contains(id)))
        .collect()
}

/// A task that never was is no task.
fn unknown_get(view: &View<'_>, out: &mut Findings) {
    for ask in unknown(view, true) {
        let what = "tasks/get of a task that never was did not say so.".to_owned();
        breach(out, &ask, code(&ask) == Some(-32602), what, "error -32602", "answer -32602 to unknown task ids");
    }
}

fn unknown_other(view: &View<'_>, out: &mut Findings) {
    for ask in unknown(view, false) {
        let what = format!("{} of a task that never was did not say so.", ask.method());
        breach(out, &ask, code(&ask) == Some(-32602), what, "error -32602", "answer -32602 to unknown task ids");
    }
}

/// Methods on tasks are for clients that declare the extension.
fn undeclared_methods(view: &View<'_>, out: &mut Findings) {
    for ask in about(view).filter(|ask| !has_extension(ask)) {
        let what = format!("{} came from a request that does not declare the tasks extension.", ask.method());
        breach(out, &ask, code(&ask) == Some(-32021), what, "error -32021", "check the declaration of each request");
    }
}

/// So are their notifications.
fn undeclared_listen(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view).filter(|ask| ask.method() == "subscriptions/listen" && flaws(view, ask).is_empty()) {
        let asks = ask.param("notifications").at("taskIds").as_array().is_some_and(|list| !list.is_empty());
        let answered = ask.tells() || ask.exchange.status == Some(200);
        if !asks || has_extension(&ask) || !offered(view, &ask) || !answered {
            continue;
        }
        let needed = &ask
            .response
            .map_or(&Value::Null, |response| response.value.at("error").at("data"))
            .at("requiredCapabilities");
        let right = code(&ask) == Some(-32021) && needed.at("extensions").get(TASKS).is_some();
        let what = "A subscription to tasks came from a request that does not declare the tasks extension.".to_owned();
        breach(
            out,
            &ask,
            right,
            what,
            "error -32021 that names the extension",
            "check the declaration before the stream is opened",
        );
    }
}

/// What is sent to a task is acknowledged, and no more.
fn acknowledged(view: &View<'_>, out: &mut Findings) {
    for ask in about(view).filter(|ask| ask.method() != "tasks/get") {
        let Some(result) = ask.result().and_then(Value::as_object) else { continue };
        let bare = result.keys().all(|key| key == "resultType" || key == "_meta")
            && result.member("resultType").is_some_and(|kind| kind == "complete");
        let what = format!("The result of {} is no plain acknowledgment.", ask.method());
        breach(
            out,
            &ask,
            bare,
            what,
            "a result with resultType complete and nothing else",
            "leave the state of the task to tasks/get",
        );
    }
}

/// Answers to questions that a task did not ask are left aside.
fn unknown_keys(view: &View<'_>, out: &mut Findings) {
    let made = made(view);
    for ask in about(view).filter(|ask| ask.method() == "tasks/update" && has_extension(ask)) {
        let Some(id) = ask.param("taskId").as_str().filter(|id| made.iter().any(|(_, one)| one == id)) else {
            continue;
        };
        let asked: HashSet<&String> = requests(view)
            .filter(|get| get.method() == "tasks/get" && get.param("taskId") == id)
            .filter_map(|get| get.result()?.at("inputRequests").as_object())
            .flat_map(serde_json::Map::keys)
            .collect();
        let extra =
            ask.param("inputResponses").as_object().is_some_and(|all| all.keys().any(|key| !asked.contains(key)));
        if !extra {
            continue;
        }
        let what = "tasks/update with an answer to a question that the task did not ask was refused.".to_owned();
        breach(
            out,
            &ask,
            ask.result().is_some(),
            what,
            "an acknowledgment; the answer is ignored",
            "ignore keys that are not outstanding",
        );
    }
}

/// Over HTTP the name in the header is the id of the task.
fn name_checked(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view).filter(|ask| ask.over_http() && ask.tells() && ask.method().starts_with("tasks/")) {
        let known = requests(view)
            .any(|other| other.result().is_some_and(|result| *result.at("taskId") == *ask.param("taskId")));
        if flaws(view, &ask) != [Flaw::NameDiffers] || !known || !offered(view, &ask) || !has_extension(&ask) {
            continue;
        }
        let right = ask.exchange.status == Some(400) && code(&ask) == Some(-32020);
        let what = format!("{} came with another task in Mcp-Name than in its body.", ask.method());
        breach(out, &ask, right, what, "status 400 with error -32020", "compare Mcp-Name with taskId");
    }
}

/// A task is for the one who made it.
fn own_tasks(view: &View<'_>, out: &mut Findings) {
    let made = made(view);
    for ask in about(view).filter(has_extension) {
        let maker = made.iter().find(|(maker, id)| ask.param("taskId") == *id && maker.request.seq < ask.request.seq);
        let Some((maker, id)) = maker else { continue };
        let (mine, other) = (maker.exchange.sent_header("authorization"), ask.exchange.sent_header("authorization"));
        if mine.is_none() || other.is_none() || mine == other || maker.exchange.client == ask.exchange.client {
            continue;
        }
        if ask.result().is_none() {
            out.pass();
            continue;
        }
        // Two logins may be of one person, which cannot be told here.
        out.contested(told(
            format!("{} of the task {id} was served to another client with another token.", ask.method()),
            &["error -32602, as if there were no such task", "service, where both tokens are of one user"],
            shown(&ask),
            "bind each task to its user",
            [maker.evidence(), ask.evidence()].concat(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, META_CAPABILITIES};
    use serde_json::{Value, json};

    const ID: &str = "786512e2-9e0d-44bd-8f29-789f320fe840";

    fn extension() -> Value {
        json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
    }

    fn start() -> Builder {
        Builder::new().modern_with(extension()).discover(json!({"tools": {}, "extensions": extension()["extensions"]}))
    }

    fn task(id: &str) -> Value {
        json!({"resultType": "task", "taskId": id, "status": "working", "createdAt": "2026-07-28T00:00:00Z",
            "lastUpdatedAt": "2026-07-28T00:00:00Z", "ttlMs": null})
    }

    fn made() -> Builder {
        start().call("tools/call", json!({"name": "slow"}), task(ID))
    }

    #[test]
    fn ids() {
        let get = |builder: Builder, id: &str| builder.probe(&[], "tasks/get", json!({"taskId": id}));
        let mut found = task(ID);
        found["resultType"] = json!("complete");
        let kept = get(made(), ID).serves("tasks/get", found.clone());
        let broken = get(made(), ID).refuses(200, -32602, Value::Null);
        expect_three("patterns.tasks-ext.durable-before-answer", &kept, &broken, &made());
        let short = start().call("tools/call", json!({"name": "slow"}), task("17"));
        expect_three("patterns.tasks-ext.unguessable", &made(), &short, &start());
        let kept = get(start(), "none").refuses(200, -32602, Value::Null);
        expect_three(
            "patterns.tasks-ext.unknown-task-get",
            &kept,
            &get(start(), "none").serves("tasks/get", json!({})),
            &start(),
        );
        let cancel = || start().probe(&[], "tasks/cancel", json!({"taskId": "none"}));
        let kept = cancel().refuses(200, -32602, Value::Null);
        expect_three(
            "patterns.tasks-ext.unknown-task-other",
            &kept,
            &cancel().serves("tasks/cancel", json!({})),
            &start(),
        );
        let probe = || made().probe(&[("mcp-name", "other")], "tasks/get", json!({"taskId": ID}));
        let kept = probe().refuses(400, -32020, Value::Null);
        expect_three("patterns.tasks-ext.name-header-checked", &kept, &probe().serves("tasks/get", found), &made());
    }

    #[test]
    fn methods() {
        let bare = json!({"taskId": ID, "_meta": {META_CAPABILITIES: {}}});
        let probe = || made().probe(&[], "tasks/get", bare.clone());
        let kept = probe().refuses(400, -32021, json!({"requiredCapabilities": extension()}));
        expect_three(
            "patterns.tasks-ext.undeclared-client-methods",
            &kept,
            &probe().serves("tasks/get", json!({})),
            &made(),
        );
        let filter = json!({"notifications": {"taskIds": [ID]}, "_meta": {META_CAPABILITIES: {}}});
        let probe = || made().probe(&[], "subscriptions/listen", filter.clone());
        let kept = probe().refuses(400, -32021, json!({"requiredCapabilities": extension()}));
        let broken = probe().refuses(400, -32602, Value::Null);
        expect_three("patterns.tasks-ext.subscribe-undeclared", &kept, &broken, &made());
        let cancel = || made().probe(&[], "tasks/cancel", json!({"taskId": ID}));
        let kept = cancel().serves("tasks/cancel", json!({}));
        expect_three(
            "patterns.tasks-ext.update-ack",
            &kept,
            &cancel().serves("tasks/cancel", json!({"status": "cancelled"})),
            &made(),
        );
        let update = || {
            made().probe(&[], "tasks/update", json!({"taskId": ID, "inputResponses": {"odd": {"action": "accept"}}}))
        };
        let kept = update().serves("tasks/update", json!({}));
        expect_three(
            "patterns.tasks-ext.update-unknown-keys",
            &kept,
            &update().refuses(200, -32602, Value::Null),
            &made(),
        );
    }

    #[test]
    fn users() {
        let mine = start().probe(&[("authorization", "Bearer access#1")], "tools/call", json!({"name": "slow"}));
        let mine =
            mine.serves("tools/call", task(ID)).client("b").discover(json!({"extensions": extension()["extensions"]}));
        let theirs = || mine.clone().probe(&[("authorization", "Bearer access#2")], "tasks/get", json!({"taskId": ID}));
        let kept = theirs().refuses(200, -32602, Value::Null);
        let id = "patterns.tasks-ext.auth-check";
        assert_eq!(judge(id, &kept).outcome, Outcome::Pass);
        assert_eq!(judge(id, &theirs().serves("tasks/get", json!({}))).outcome, Outcome::Warn);
        assert_eq!(judge(id, &mine).outcome, Outcome::NotExercised);
    }
}
