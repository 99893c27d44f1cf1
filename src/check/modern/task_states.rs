//! What a task looks like in each of its states.

use std::collections::HashMap;

use serde_json::Value;

use super::asked::is_modern;
use super::flaw::requests;
use super::tasks::is_task;
use crate::check::syntax::is_iso_date;
use crate::check::wire::{short, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.tasks-ext.result-type-task", judge: result_type },
    Check { id: "patterns.tasks-ext.task-members", judge: members },
    Check { id: "patterns.tasks-ext.get-shape", judge: get_shape },
    Check { id: "patterns.tasks-ext.is-error-completed", judge: error_or_result },
    Check { id: "patterns.tasks-ext.failed-status-message", judge: status_message },
    Check { id: "patterns.tasks-ext.input-keys-unique", judge: keys_unique },
    Check { id: "patterns.tasks-ext.notification-complete", judge: notification },
];

/// Where a task was seen.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Made,
    Got,
    Told,
}

/// Every task that the server showed, with the position of the message.
fn tasks<'v>(view: &'v View<'_>) -> Vec<(Seen, &'v Value, u32)> {
    if !view.is_modern() {
        return Vec::new();
    }
    let answers = requests(view).filter_map(|ask| {
        let result = ask.result()?;
        let seq = ask.response?.seq;
        match ask.method() {
            "tasks/get" => Some((Seen::Got, result, seq)),
            "tools/call" if is_task(&ask) => Some((Seen::Made, result, seq)),
            _ => None,
        }
    });
    let notes = view.received().filter(|msg| is_modern(msg) && msg.method() == Some("notifications/tasks"));
    let mut all: Vec<_> = answers.chain(notes.map(|msg| (Seen::Told, msg.value.at("params"), msg.seq))).collect();
    all.sort_by_key(|(.., seq)| *seq);
    all
}

fn require(out: &mut Findings, holds: bool, what: &str, expected: &str, task: &Value, fix: &str, seq: u32) {
    out.require(holds, || told(what.to_owned(), &[expected], short(&task.to_string()), fix, vec![seq]));
}

/// A task that is made says that it is one, and nothing else says so.
fn result_type(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view) {
        let Some((result, response)) = ask.result().zip(ask.response) else { continue };
        let looks = result.at("taskId").is_string() && result.at("status").is_string();
        let says = result.at("resultType") == "task";
        // The extension's own text shows the value in answers to tasks/get, too; that is judged with their shape.
        if !(looks || says) || ask.method().starts_with("tasks/") {
            continue;
        }
        let what = if says { "A result of type task is no task." } else { "A task does not say that it is one." };
        let expected = "resultType task, with taskId and status, for tasks and for nothing else";
        require(out, looks && says, what, expected, result, "set resultType where the task is made", response.seq);
    }
}

/// A task has its members, in their types.
fn members(view: &View<'_>, out: &mut Findings) {
    for (_, task, seq) in tasks(view) {
        let date = |key: &str| task[key].as_str().is_some_and(is_iso_date);
        let whole = |value: &Value| value.as_f64().is_some_and(|number| number >= 0.0 && number.fract() == 0.0);
        let wrong = [
            ("taskId", !task.at("taskId").is_string()),
            ("status", !task.at("status").is_string()),
            ("createdAt", !date("createdAt")),
            ("lastUpdatedAt", !date("lastUpdatedAt")),
            ("ttlMs", !task.member("ttlMs").is_some_and(|ttl| ttl.is_null() || whole(ttl))),
            ("pollIntervalMs", task.member("pollIntervalMs").is_some_and(|poll| !whole(poll))),
        ];
        let names: Vec<&str> = wrong.iter().filter(|(_, wrong)| *wrong).map(|(name, _)| *name).collect();
        let what = format!("A task lacks {}, or has it in another type.", names.join(" and "));
        let expected = "taskId, status, createdAt, lastUpdatedAt and ttlMs (an integer or null)";
        require(
            out,
            names.is_empty(),
            &what,
            expected,
            task,
            "give every task all members, with ttlMs null for no end",
            seq,
        );
    }
}

/// What a state goes with.
fn lacks(task: &Value) -> Option<&'static str> {
    match task.at("status").as_str() {
        Some("working" | "cancelled") => None,
        Some("completed") => (!task.at("result").is_object()).then_some("completed without its result"),
        Some("failed") => (!task.at("error").is_object()).then_some("failed without its error"),
        Some("input_required") => {
            (!task.at("inputRequests").is_object()).then_some("waiting for input without inputRequests")
        }
        _ => Some("in a state that does not exist"),
    }
}

/// An answer to tasks/get is complete, and has what its state goes with.
fn get_shape(view: &View<'_>, out: &mut Findings) {
    for (_, task, seq) in tasks(view).into_iter().filter(|(seen, ..)| *seen == Seen::Got) {
        let problem = lacks(task);
        let what = format!("tasks/get shows a task that is {}.", problem.unwrap_or("of another type than complete"));
        let expected = "resultType complete; result for completed, error for failed, inputRequests for input_required";
        let fix = "put the outcome into the answer to tasks/get";
        // Examples of the extension have the type task here, against its own text.
        if problem.is_none() && task.at("resultType") == "task" {
            out.contested(told(what, &[expected], short(&task.to_string()), fix, vec![seq]));
        } else {
            require(out, problem.is_none() && task.at("resultType") == "complete", &what, expected, task, fix, seq);
        }
    }
}

/// A tool that tells of an error has completed; what failed is the request.
fn error_or_result(view: &View<'_>, out: &mut Findings) {
    for (_, task, seq) in tasks(view) {
        let tool_error = task.at("result").at("isError") == true || task.at("error").at("isError") == true;
        let failed = task.at("status") == "failed";
        let rpc = task.at("error").at("code").is_i64();
        if !tool_error && !failed {
            continue;
        }
        let what = "A task has failed, though its tool gave a result that tells of an error.";
        let expected = "status completed with the result; status failed for JSON-RPC errors only";
        require(
            out,
            !failed || (rpc && !tool_error),
            what,
            expected,
            task,
            "store results with isError as completed",
            seq,
        );
    }
}

/// A failed task says why.
fn status_message(view: &View<'_>, out: &mut Findings) {
    for (seen, task, seq) in tasks(view) {
        if seen == Seen::Made || task.at("status") != "failed" {
            continue;
        }
        let says = task.at("statusMessage").as_str().is_some_and(|text| !text.is_empty());
        require(
            out,
            says,
            "A failed task does not say why.",
            "statusMessage with a reason",
            task,
            "set statusMessage",
            seq,
        );
    }
}

/// A key stands for one question over the life of a task.
fn keys_unique(view: &View<'_>, out: &mut Findings) {
    let all = tasks(view);
    let mut questions: HashMap<(&str, &String), &Value> = HashMap::new();
    for (_, task, seq) in all {
        let (Some(id), Some(asked)) = (task.at("taskId").as_str(), task.at("inputRequests").as_object()) else {
            continue;
        };
        for (key, question) in asked {
            let before = *questions.entry((id, key)).or_insert(question);
            let what = format!("The key {key} stands for two questions of one task.");
            let fix = "count the keys on over the life of a task";
            require(out, before == question, &what, "a key of its own for each question", task, fix, seq);
        }
    }
}

/// A notification carries the task as tasks/get would.
fn notification(view: &View<'_>, out: &mut Findings) {
    for (_, task, seq) in tasks(view).into_iter().filter(|(seen, ..)| *seen == Seen::Told) {
        let whole = lacks(task).is_none() && task.at("taskId").is_string();
        let what = "A notification does not carry the whole task.";
        let expected = "the task as tasks/get would show it, with result, error or inputRequests";
        require(out, whole, what, expected, task, "make both from the same state", seq);
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn start() -> Builder {
        let extension = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        Builder::new().modern_with(extension.clone()).discover(extension)
    }

    fn task(more: &Value) -> Value {
        let mut task = json!({"taskId": "786512e2-9e0d", "status": "working", "createdAt": "2026-07-28T00:00:00Z",
            "lastUpdatedAt": "2026-07-28T00:00:00Z", "ttlMs": null});
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        task
    }

    fn got(builder: Builder, more: &Value) -> Builder {
        builder.call("tasks/get", json!({"taskId": "786512e2-9e0d"}), task(more))
    }

    fn made(kind: &Value) -> Builder {
        start().call("tools/call", json!({"name": "slow"}), task(&json!({"resultType": kind})))
    }

    #[test]
    fn states() {
        let good = got(start(), &json!({}));
        expect_three("patterns.tasks-ext.result-type-task", &made(&json!("task")), &made(&json!("complete")), &start());
        expect_three("patterns.tasks-ext.task-members", &good, &got(start(), &json!({"ttlMs": "1h"})), &start());
        expect_three("patterns.tasks-ext.get-shape", &good, &got(start(), &json!({"status": "completed"})), &start());
        let told = json!({"status": "completed", "result": {"content": [], "isError": true}});
        let failed = json!({"status": "failed", "statusMessage": "no", "error": {"code": -32603, "message": "no"}});
        let wrong = json!({"status": "failed", "result": {"content": [], "isError": true}});
        let id = "patterns.tasks-ext.is-error-completed";
        expect_three(id, &got(start(), &told), &got(start(), &wrong), &good);
        expect_three(id, &got(start(), &failed), &got(start(), &wrong), &good);
        let mute = json!({"status": "failed", "error": {"code": -32603, "message": "no"}});
        let id = "patterns.tasks-ext.failed-status-message";
        expect_three(id, &got(start(), &failed), &got(start(), &mute), &good);
    }

    #[test]
    fn questions() {
        let asks = |builder: Builder, method: &str| {
            got(builder, &json!({"status": "input_required", "inputRequests": {"a": {"method": method}}}))
        };
        let once = || asks(start(), "roots/list");
        let id = "patterns.tasks-ext.input-keys-unique";
        expect_three(id, &asks(once(), "roots/list"), &asks(once(), "elicitation/create"), &start());
    }

    #[test]
    fn notifications() {
        let told = |more: &Value| {
            let open = start().listen(json!({"taskIds": ["786512e2-9e0d"]}), json!({"taskIds": ["786512e2-9e0d"]}));
            open.tells("notifications/tasks", task(more)).end(End::ClosedByUs)
        };
        let kept = told(&json!({}));
        let broken = told(&json!({"status": "completed"}));
        expect_three("patterns.tasks-ext.notification-complete", &kept, &broken, &start());
    }
}
