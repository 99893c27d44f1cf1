//! The tasks extension: when a call may become a task, and what the methods on tasks answer.

use std::collections::HashSet;

use serde_json::Value;

use super::asked::{TASKS, declares};
use super::flaw::{Ask, Flaw, flaws, requests, sound};
use super::results::shown;
use crate::check::support::server_declared;
use crate::check::wire::{body_error, came, told};
use crate::check::{Check, Findings};
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.tasks-ext.only-declaring-clients", judge: only_declaring },
    Check { id: "patterns.tasks-ext.cannot-serve-without", judge: cannot_serve },
    Check { id: "patterns.tasks-ext.legacy-capability-ignored", judge: old_capability },
    Check { id: "patterns.tasks-ext.task-param-ignored", judge: old_parameter },
    Check { id: "patterns.tasks-ext.only-tools-call", judge: only_calls },
    Check { id: "patterns.tasks-ext.durable-before-answer", judge: durable },
    Check { id: "patterns.tasks-ext.unguessable", judge: unguessable },
    Check { id: "patterns.tasks-ext.unknown-task-get", judge: unknown_get },
    Check { id: "patterns.tasks-ext.unknown-task-other", judge: unknown_other },
    Check { id: "patterns.tasks-ext.undeclared-client-methods", judge: undeclared_methods },
    Check { id: "patterns.tasks-ext.subscribe-undeclared", judge: undeclared_listen },
    Check { id: "patterns.tasks-ext.update-ack", judge: acknowledged },
    Check { id: "patterns.tasks-ext.update-unknown-keys", judge: unknown_keys },
    Check { id: "patterns.tasks-ext.name-header-checked", judge: name_checked },
    Check { id: "patterns.tasks-ext.auth-check", judge: own_tasks },
    Check { id: "base.extension-fallback", judge: fallback },
];

fn code(ask: &Ask<'_>) -> Option<i64> {
    ask.code().or_else(|| body_error(ask.exchange))
}

/// Whether a request declares the extension.
pub(super) fn has_extension(ask: &Ask<'_>) -> bool {
    declares(&ask.request.value, &["extensions", TASKS]) == Some(true)
        || ask.request.value["params"]["_meta"][crate::transcript::META_CAPABILITIES]["extensions"].get(TASKS).is_some()
}

/// Whether a result is a task that was made.
pub(super) fn is_task(ask: &Ask<'_>) -> bool {
    ask.result().is_some_and(|result| result["resultType"] == "task")
}

fn breach(out: &mut Findings, ask: &Ask<'_>, holds: bool, what: String, expected: &str, fix: &str) {
    out.require(holds, || {
        let actual = if ask.result().is_some() { shown(ask) } else { came(ask.exchange) };
        told(what, &[expected], actual, fix, ask.evidence())
    });
}

/// Tools whose calls became tasks at some time.
fn makers<'v>(view: &'v View<'_>) -> HashSet<&'v str> {
    requests(view).filter(is_task).filter_map(|ask| ask.param("name").as_str()).collect()
}

/// Calls of tools that make tasks, by requests without the extension.
fn plain_calls<'v>(view: &'v View<'_>) -> Vec<Ask<'v>> {
    let makers = makers(view);
    sound(view)
        .filter(|ask| ask.method() == "tools/call" && !has_extension(ask))
        .filter(|ask| is_task(ask) || ask.param("name").as_str().is_some_and(|name| makers.contains(name)))
        .collect()
}

fn never_a_task(view: &View<'_>, out: &mut Findings, of: fn(&Ask<'_>) -> bool, what: &str, fix: &str) {
    for ask in plain_calls(view).iter().filter(|ask| of(ask)) {
        let what = format!("A call of {} {what}, and became a task.", ask.param("name"));
        breach(out, ask, !is_task(ask), what, "an ordinary result, or error -32021", fix);
    }
}

/// Only who declares the extension, on this very request, gets a task.
fn only_declaring(view: &View<'_>, out: &mut Findings) {
    let fix = "look at clientCapabilities.extensions of the request before making a task";
    never_a_task(view, out, |_| true, "did not declare the tasks extension", fix);
}

/// The capability of 2025-11-25 is none here.
fn old_capability(view: &View<'_>, out: &mut Findings) {
    let of = |ask: &Ask<'_>| declares(&ask.request.value, &["tasks"]) == Some(true);
    let fix = "look for the extension, not for the capability tasks of 2025-11-25";
    never_a_task(view, out, of, "declared tasks in the way of 2025-11-25 only", fix);
}

/// Nor is the parameter.
fn old_parameter(view: &View<'_>, out: &mut Findings) {
    let of = |ask: &Ask<'_>| ask.param("task").is_object();
    let fix = "ignore the parameter task: the server decides, for clients that declare the extension";
    never_a_task(view, out, of, "had the parameter task of 2025-11-25", fix);
}

/// What can only be done as a task is refused by the error for that.
fn cannot_serve(view: &View<'_>, out: &mut Findings) {
    for ask in plain_calls(view).iter().filter(|ask| ask.is_refused()) {
        let needed = &ask.response.map_or(&Value::Null, |response| &response.value["error"]["data"])["requiredCapabilities"];
        let right = code(ask) == Some(-32021) && needed["extensions"].get(TASKS).is_some();
        let what = format!("{} works as a task only, and the error does not say so.", ask.param("name"));
        let expected = "error -32021 with the extension in data.requiredCapabilities.extensions";
        breach(out, ask, right, what, expected, "name the extension in the error");
    }
}

/// Without the extension on the client's side a tool is served plainly, or refused with a reason.
fn fallback(view: &View<'_>, out: &mut Findings) {
    for ask in plain_calls(view) {
        let silent = ask.is_refused() && code(&ask).is_none();
        let what = format!("{} was called without the extension that it uses, and fell over.", ask.param("name"));
        let expected = "an ordinary result, or a fitting error";
        breach(out, &ask, !silent && !is_task(&ask) && code(&ask) != Some(-32603), what, expected, "fall back to the core protocol");
    }
}

/// No method but `tools/call` is answered by a task.
fn only_calls(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view).filter(is_task) {
        // In tasks/get the value is wrong for another reason.
        if ask.method().starts_with("tasks/") {
            continue;
        }
        let what = format!("{} was answered by a task.", ask.method());
        breach(out, &ask, ask.method() == "tools/call", what, "tasks in answer to tools/call only", "answer with the result");
    }
}

/// Ids of tasks that the server gave, with the request that made each.
fn made<'v>(view: &'v View<'_>) -> Vec<(Ask<'v>, &'v str)> {
    requests(view)
        .filter(|ask| ask.method() == "tools/call" && is_task(ask))
        .filter_map(|ask| Some((ask, ask.result()?["taskId"].as_str()?)))
        .collect()
}

/// Requests about tasks of clients that declare the extension, of servers that have it.
fn about<'v>(view: &'v View<'_>) -> impl Iterator<Item = Ask<'v>> {
    sound(view)
        .filter(|ask| matches!(ask.method(), "tasks/get" | "tasks/update" | "tasks/cancel"))
        .filter(move |ask| offered(view, ask))
}

fn offered(view: &View<'_>, ask: &Ask<'_>) -> bool {
    server_declared(view, ask.request, &["extensions"]) == Some(true)
        && view.conversation_of(ask.request).is_some_and(|known| {
            known.server_capability(&["extensions", TASKS]).is_some_and(Value::is_object)
        })
}

fn same_caller(one: &Ask<'_>, other: &Ask<'_>) -> bool {
    one.exchange.client == other.exchange.client
        && one.exchange.sent_header("authorization") == other.exchange.sent_header("authorization")
}

/// A task exists before its id is told.
fn durable(view: &View<'_>, out: &mut Findings) {
    const SOON: u64 = 2_000_000;
    for (maker, id) in made(view) {
        let response = maker.response.map_or(0, |response| response.seq);
        let at = maker.response.map_or(0, |response| response.at);
        let first = about(view).find(|ask| {
            ask.method() == "tasks/get" && ask.param("taskId") == id && ask.request.seq > response && same_caller(ask, &maker)
        });
        // Later it may have come to its end and been forgotten.
        let Some(first) = first.filter(|first| has_extension(first) && first.request.at.saturating_sub(at) < SOON) else { continue };
        let what = format!("The server gave the task {id}, and then did not know it.");
        breach(out, &first, first.result().is_some(), what, "the task, from the moment its id is told", "store the task before answering");
    }
}

/// Ids of tasks cannot be guessed.
fn unguessable(view: &View<'_>, out: &mut Findings) {
    for (maker, id) in made(view) {
        let letters = id.chars().filter(char::is_ascii_alphanumeric).count();
        let digits = id.chars().all(|letter| letter.is_ascii_digit() || letter == '-');
        let what = format!("The task id {id:?} can be guessed.");
        breach(out, &maker, letters >= 16 && !(digits && letters < 32), what, "an id of at least 128 random bits", "use a random UUID or the like");
    }
}

fn unknown<'v>(view: &'v View<'_>, get: bool) -> Vec<Ask<'v>> {
    let known: HashSet<&str> = requests(view).filter_map(|ask| ask.result()?["taskId"].as_str()).collect();
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
        let asks = ask.param("notifications")["taskIds"].as_array().is_some_and(|list| !list.is_empty());
        let answered = ask.tells() || ask.exchange.status == Some(200);
        if !asks || has_extension(&ask) || !offered(view, &ask) || !answered {
            continue;
        }
        let needed = &ask.response.map_or(&Value::Null, |response| &response.value["error"]["data"])["requiredCapabilities"];
        let right = code(&ask) == Some(-32021) && needed["extensions"].get(TASKS).is_some();
        let what = "A subscription to tasks came from a request that does not declare the tasks extension.".to_owned();
        breach(out, &ask, right, what, "error -32021 that names the extension", "check the declaration before the stream is opened");
    }
}

/// What is sent to a task is acknowledged, and no more.
fn acknowledged(view: &View<'_>, out: &mut Findings) {
    for ask in about(view).filter(|ask| ask.method() != "tasks/get") {
        let Some(result) = ask.result().and_then(Value::as_object) else { continue };
        let bare = result.keys().all(|key| key == "resultType" || key == "_meta") && result.get("resultType").is_some_and(|kind| kind == "complete");
        let what = format!("The result of {} is no plain acknowledgment.", ask.method());
        breach(out, &ask, bare, what, "a result with resultType complete and nothing else", "leave the state of the task to tasks/get");
    }
}

/// Answers to questions that a task did not ask are left aside.
fn unknown_keys(view: &View<'_>, out: &mut Findings) {
    let made = made(view);
    for ask in about(view).filter(|ask| ask.method() == "tasks/update" && has_extension(ask)) {
        let Some(id) = ask.param("taskId").as_str().filter(|id| made.iter().any(|(_, one)| one == id)) else { continue };
        let asked: HashSet<&String> = requests(view)
            .filter(|get| get.method() == "tasks/get" && get.param("taskId") == id)
            .filter_map(|get| get.result()?["inputRequests"].as_object())
            .flat_map(serde_json::Map::keys)
            .collect();
        let extra = ask.param("inputResponses").as_object().is_some_and(|all| all.keys().any(|key| !asked.contains(key)));
        if !extra {
            continue;
        }
        let what = "tasks/update with an answer to a question that the task did not ask was refused.".to_owned();
        breach(out, &ask, ask.result().is_some(), what, "an acknowledgment; the answer is ignored", "ignore keys that are not outstanding");
    }
}

/// Over HTTP the name in the header is the id of the task.
fn name_checked(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view).filter(|ask| ask.over_http() && ask.tells() && ask.method().starts_with("tasks/")) {
        let known = requests(view).any(|other| other.result().is_some_and(|result| result["taskId"] == *ask.param("taskId")));
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
        let what = format!("{} of the task {id} was served to another user than the one who made it.", ask.method());
        breach(out, &ask, ask.result().is_none(), what, "error -32602, as if there were no such task", "bind each task to its user");
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
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

    fn plain(more: &Value, capabilities: &Value) -> Builder {
        let mut params = json!({"name": "slow", "_meta": {META_CAPABILITIES: capabilities}});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        made().probe(&[], "tools/call", params)
    }

    #[test]
    fn who_gets_a_task() {
        for (id, more, capabilities) in [
            ("patterns.tasks-ext.only-declaring-clients", json!({}), json!({})),
            ("patterns.tasks-ext.legacy-capability-ignored", json!({}), json!({"tasks": {"requests": {}}})),
            ("patterns.tasks-ext.task-param-ignored", json!({"task": {"ttl": 1}}), json!({})),
        ] {
            let probe = || plain(&more, &capabilities);
            let kept = probe().serves("tools/call", json!({"content": []}));
            expect_three(id, &kept, &probe().serves("tools/call", task("2")), &made());
        }
        let probe = || plain(&json!({}), &json!({}));
        let kept = probe().refuses(400, -32021, json!({"requiredCapabilities": extension()}));
        let broken = probe().refuses(200, -32603, Value::Null);
        expect_three("patterns.tasks-ext.cannot-serve-without", &kept, &broken, &made());
        expect_three("base.extension-fallback", &kept, &broken, &made());
        let broken = start().call("prompts/get", json!({"name": "slow"}), task(ID));
        expect_three("patterns.tasks-ext.only-tools-call", &made(), &broken, &start());
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
        expect_three("patterns.tasks-ext.unknown-task-get", &kept, &get(start(), "none").serves("tasks/get", json!({})), &start());
        let cancel = || start().probe(&[], "tasks/cancel", json!({"taskId": "none"}));
        let kept = cancel().refuses(200, -32602, Value::Null);
        expect_three("patterns.tasks-ext.unknown-task-other", &kept, &cancel().serves("tasks/cancel", json!({})), &start());
        let probe = || made().probe(&[("mcp-name", "other")], "tasks/get", json!({"taskId": ID}));
        let kept = probe().refuses(400, -32020, Value::Null);
        expect_three("patterns.tasks-ext.name-header-checked", &kept, &probe().serves("tasks/get", found), &made());
    }

    #[test]
    fn methods() {
        let bare = json!({"taskId": ID, "_meta": {META_CAPABILITIES: {}}});
        let probe = || made().probe(&[], "tasks/get", bare.clone());
        let kept = probe().refuses(400, -32021, json!({"requiredCapabilities": extension()}));
        expect_three("patterns.tasks-ext.undeclared-client-methods", &kept, &probe().serves("tasks/get", json!({})), &made());
        let filter = json!({"notifications": {"taskIds": [ID]}, "_meta": {META_CAPABILITIES: {}}});
        let probe = || made().probe(&[], "subscriptions/listen", filter.clone());
        let kept = probe().refuses(400, -32021, json!({"requiredCapabilities": extension()}));
        let broken = probe().refuses(400, -32602, Value::Null);
        expect_three("patterns.tasks-ext.subscribe-undeclared", &kept, &broken, &made());
        let cancel = || made().probe(&[], "tasks/cancel", json!({"taskId": ID}));
        let kept = cancel().serves("tasks/cancel", json!({}));
        expect_three("patterns.tasks-ext.update-ack", &kept, &cancel().serves("tasks/cancel", json!({"status": "cancelled"})), &made());
        let update = || made().probe(&[], "tasks/update", json!({"taskId": ID, "inputResponses": {"odd": {"action": "accept"}}}));
        let kept = update().serves("tasks/update", json!({}));
        expect_three("patterns.tasks-ext.update-unknown-keys", &kept, &update().refuses(200, -32602, Value::Null), &made());
    }

    #[test]
    fn users() {
        let mine = start().probe(&[("authorization", "Bearer access#1")], "tools/call", json!({"name": "slow"}));
        let mine = mine.serves("tools/call", task(ID)).client("b").discover(json!({"extensions": extension()["extensions"]}));
        let theirs = || mine.clone().probe(&[("authorization", "Bearer access#2")], "tasks/get", json!({"taskId": ID}));
        let kept = theirs().refuses(200, -32602, Value::Null);
        expect_three("patterns.tasks-ext.auth-check", &kept, &theirs().serves("tasks/get", json!({})), &mine);
    }
}
