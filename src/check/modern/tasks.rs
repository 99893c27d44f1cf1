//! The tasks extension: when a call may become a task.

use std::collections::HashSet;

use serde_json::Value;

use super::asked::{TASKS, declares};
use super::flaw::{Ask, requests, sound};
use super::results::shown;
use super::task_requests::about;
use crate::check::wire::{body_error, came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
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
    Check { id: "base.extension-fallback", judge: fallback },
];

pub(super) fn code(ask: &Ask<'_>) -> Option<i64> {
    ask.code().or_else(|| body_error(ask.exchange))
}

/// Whether a request declares the extension.
pub(super) fn has_extension(ask: &Ask<'_>) -> bool {
    declares(&ask.request.value, &["extensions", TASKS]) == Some(true)
        || ask.request.value.at("params").at("_meta")[crate::transcript::META_CAPABILITIES]
            .at("extensions")
            .get(TASKS)
            .is_some()
}

/// Whether a result is a task that was made.
pub(super) fn is_task(ask: &Ask<'_>) -> bool {
    ask.result().is_some_and(|result| result.at("resultType") == "task")
}

pub(super) fn breach(out: &mut Findings, ask: &Ask<'_>, holds: bool, what: String, expected: &str, fix: &str) {
    out.require(holds, || {
        let actual = if ask.result().is_some() { shown(ask) } else { came(ask.exchange) };
        told(what, &[expected], actual, fix, ask.evidence())
    });
}

/// Calls that became tasks at some time.
fn makers(view: &View<'_>) -> HashSet<String> {
    requests(view).filter(is_task).map(|ask| call_of(&ask)).collect()
}

/// What a call is: the tool and its arguments, of which none are as good as an empty object.
fn call_of(ask: &Ask<'_>) -> String {
    let arguments = ask.param("arguments");
    let given = if arguments.is_null() { "{}".to_owned() } else { arguments.to_string() };
    format!("{} {given}", ask.param("name"))
}

/// Calls that make tasks, by requests without the extension.
fn plain_calls<'v>(view: &'v View<'_>) -> Vec<Ask<'v>> {
    let makers = makers(view);
    sound(view)
        .filter(|ask| ask.method() == "tools/call" && !has_extension(ask))
        .filter(|ask| is_task(ask) || makers.contains(&call_of(ask)))
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
        let needed = &ask
            .response
            .map_or(&Value::Null, |response| response.value.at("error").at("data"))
            .at("requiredCapabilities");
        let right = code(ask) == Some(-32021) && needed.at("extensions").get(TASKS).is_some();
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
        breach(
            out,
            &ask,
            !silent && !is_task(&ask) && code(&ask) != Some(-32603),
            what,
            expected,
            "fall back to the core protocol",
        );
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
        breach(
            out,
            &ask,
            ask.method() == "tools/call",
            what,
            "tasks in answer to tools/call only",
            "answer with the result",
        );
    }
}

/// Ids of tasks that the server gave, with the request that made each.
pub(super) fn made<'v>(view: &'v View<'_>) -> Vec<(Ask<'v>, &'v str)> {
    requests(view)
        .filter(|ask| ask.method() == "tools/call" && is_task(ask))
        .filter_map(|ask| Some((ask, ask.result()?.at("taskId").as_str()?)))
        .collect()
}

pub(super) fn same_caller(one: &Ask<'_>, other: &Ask<'_>) -> bool {
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
            ask.method() == "tasks/get"
                && ask.param("taskId") == id
                && ask.request.seq > response
                && same_caller(ask, &maker)
        });
        // Later it may have come to its end and been forgotten.
        let Some(first) = first.filter(|first| has_extension(first) && first.request.at.saturating_sub(at) < SOON)
        else {
            continue;
        };
        let what = format!("The server gave the task {id}, and then did not know it.");
        breach(
            out,
            &first,
            first.result().is_some(),
            what,
            "the task, from the moment its id is told",
            "store the task before answering",
        );
    }
}

/// Ids of tasks cannot be guessed.
fn unguessable(view: &View<'_>, out: &mut Findings) {
    for (maker, id) in made(view) {
        let letters = id.chars().filter(char::is_ascii_alphanumeric).count();
        let digits = id.chars().all(|letter| letter.is_ascii_digit() || letter == '-');
        let what = format!("The task id {id:?} can be guessed.");
        breach(
            out,
            &maker,
            letters >= 8 && !(digits && letters < 16),
            what,
            "an id of at least 128 random bits",
            "use a random UUID or the like",
        );
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
}
