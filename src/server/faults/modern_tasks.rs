//! Faults of the tasks extension.

use serde_json::json;

use super::all::catalogue;
use super::modern::{CAPABILITIES, LISTEN, TASKS, in_result, of_type, refuse_if, tool};
use crate::model::Members as _;
use crate::server::fault::{AskedOf, Fault, How, Rule};
use crate::server::rewrites::drop_member;

/// Takes a client that declares tasks of the revision before for one that knows the extension.
fn knows_older(ask: &AskedOf<'_>) -> bool {
    ask.meta(CAPABILITIES).member("tasks").is_some()
}

pub(super) static FAULTS: &[Fault] = catalogue! {
    "tasks.of-anybody" breaks ["patterns.tasks-ext.only-declaring-clients", "base.extension-fallback", "base.result-type-known"]
        Asked(|ask| {
            if ask.calls("confirm_delete") && ask.param("task").is_null() && !knows_older(ask) {
                ask.declare(TASKS);
            }
            None
        }) "Calls become tasks of clients that do not know tasks";
    "tasks.of-older-clients" breaks ["patterns.tasks-ext.legacy-capability-ignored", "patterns.tasks-ext.only-declaring-clients", "base.extension-fallback", "base.result-type-known"]
        Asked(|ask| {
            if ask.calls("confirm_delete") && knows_older(ask) {
                ask.declare(TASKS);
            }
            None
        }) "Calls become tasks of clients that know only the older tasks";
    "tasks.by-param" breaks ["patterns.tasks-ext.task-param-ignored", "patterns.tasks-ext.only-declaring-clients", "base.extension-fallback", "base.result-type-known"]
        Asked(|ask| {
            if ask.calls("confirm_delete") && !ask.param("task").is_null() {
                ask.declare(TASKS);
            }
            None
        }) "Calls become tasks by the parameter of the revision before";
    "tasks.needed-unsaid" breaks ["patterns.tasks-ext.cannot-serve-without"]
        Modern(|message, context| if message.at("error").at("code") == -32021 && tool(context) == Some("failing_job") {
            message["error"] = json!({"code": -32602, "message": "This tool needs tasks"});
        }) "A tool that needs tasks does not say so in the way there is";
    "tasks.of-prompts" breaks ["patterns.tasks-ext.only-tools-call"]
        Modern(|message, context| if context.method == Some("prompts/get") && context.request.at("params").at("_meta").at(CAPABILITIES).at("extensions").get(TASKS).is_some() {
            in_result(message, context, "prompts/get", |result| {
                result.shift_remove("messages");
                result.insert("resultType".to_owned(), json!("task"));
                for (member, value) in [("taskId", json!("0123456789abcdef")), ("status", json!("working")), ("createdAt", json!("2026-01-01T00:00:00Z")), ("lastUpdatedAt", json!("2026-01-01T00:00:00Z")), ("ttlMs", json!(1000))] {
                    result.insert(member.to_owned(), value);
                }
            });
        }) "A prompt becomes a task";
    "tasks.type-complete" breaks ["patterns.tasks-ext.result-type-task", "features.tools.call-result-shape"]
        Modern(|message, _| of_type(message, "task", |result| { result.insert("resultType".to_owned(), json!("complete")); }))
        "A task is told as a complete result";
    "tasks.uncreated" breaks ["patterns.tasks-ext.task-members"]
        Modern(|message, _| of_type(message, "task", |result| { result.shift_remove("createdAt"); })) "A task does not say when it began";
    "tasks.not-yet-there" breaks ["patterns.tasks-ext.durable-before-answer"]
        Asked(|ask| {
            refuse_if(ask.method() == "tasks/get" && ask.knows_tasks() && ask.notes.count("looks") == 1, 200, -32602)
        }) "A task cannot be found at first";
    "tasks.ids-counted" breaks ["patterns.tasks-ext.unguessable"]
        Rule(Rule::TaskIdsLong) "Tasks are counted";
    "tasks.unknown-internal" breaks ["patterns.tasks-ext.unknown-task-get"]
        Modern(|message, context| if context.method == Some("tasks/get") && message.at("error").at("code") == -32602 { message["error"]["code"] = json!(-32603) })
        "tasks/get of an unknown task is an internal error";
    "tasks.unknown-cancel-internal" breaks ["patterns.tasks-ext.unknown-task-other"]
        Modern(|message, context| if context.method == Some("tasks/cancel") && message.at("error").at("code") == -32602 { message["error"]["code"] = json!(-32603) })
        "tasks/cancel of an unknown task is an internal error";
    "tasks.methods-for-anybody" breaks ["patterns.tasks-ext.undeclared-client-methods"]
        Asked(|ask| {
            if ask.method().starts_with("tasks/") {
                ask.declare(TASKS);
            }
            None
        }) "Clients that do not know tasks can ask for them";
    "tasks.listen-for-anybody" breaks ["patterns.tasks-ext.subscribe-undeclared"]
        Asked(|ask| {
            if ask.method() == LISTEN && !ask.param("notifications").at("taskIds").is_null() {
                ask.declare(TASKS);
            }
            None
        }) "Clients that do not know tasks can subscribe to them";
    "tasks.update-tells" breaks ["patterns.tasks-ext.update-ack"]
        Modern(|message, context| in_result(message, context, "tasks/cancel", |result| { result.insert("status".to_owned(), json!("cancelled")); }))
        "The acknowledgment of a cancellation tells the status";
    "tasks.unasked-refused" breaks ["patterns.tasks-ext.update-unknown-keys"]
        Asked(|ask| refuse_if(ask.method() == "tasks/update" && ask.param("inputResponses").member("nobody-asked").is_some(), 200, -32602))
        "An answer to a task that nobody asked for is an error";
    "tasks.name-unchecked" breaks ["patterns.tasks-ext.name-header-checked"]
        Asked(|ask| {
            if ask.method().starts_with("tasks/") {
                ask.mirror_name();
            }
            None
        }) "Mcp-Name may name another task than the body";
    "tasks.of-everybody" breaks ["patterns.tasks-ext.auth-check"]
        Rule(Rule::TaskOfOwner) "Tasks can be looked up by anybody";
    "tasks.get-as-task" breaks ["patterns.tasks-ext.get-shape"]
        Modern(|message, context| in_result(message, context, "tasks/get", |result| { result.insert("resultType".to_owned(), json!("task")); }))
        "tasks/get answers with a new task";
    "tasks.completed-bare" breaks ["patterns.tasks-ext.get-shape"]
        Modern(|message, context| in_result(message, context, "tasks/get", |result| if result.member("status") == Some(&json!("completed")) { result.shift_remove("result"); }))
        "A completed task has no result";
    "tasks.tool-error-fails" breaks ["patterns.tasks-ext.is-error-completed"]
        Modern(|message, context| in_result(message, context, "tasks/get", |result| if result.member("result").is_some_and(|result| result.at("isError") == true) {
            result.insert("status".to_owned(), json!("failed"));
            result.insert("statusMessage".to_owned(), json!("The tool failed"));
            result.insert("error".to_owned(), json!({"code": -32603, "message": "The tool failed"}));
        })) "A tool that fails makes its task fail";
    "tasks.failed-wordless" breaks ["patterns.tasks-ext.failed-status-message"]
        Modern(|message, context| in_result(message, context, "tasks/get", |result| { result.shift_remove("statusMessage"); }))
        "A failed task does not say why";
    "tasks.key-reused" breaks ["patterns.tasks-ext.input-keys-unique", "features.roots.server-check-capability", "features.roots.server-only-if-declared"]
        Modern(|message, context| if context.method == Some("tasks/get")
            && message.at("result").at("status") == "input_required"
            && context.notes.count("asked") > 1
            && let Some(asked) = message["result"]["inputRequests"].as_object_mut()
        {
                for (_, question) in asked.iter_mut() {
                    *question = json!({"method": "roots/list", "params": {}});
                }
        }) "A key of a task stands for another question later";
    "tasks.told-bare" breaks ["patterns.tasks-ext.notification-complete"]
        Modern(|message, _| if message.at("method") == "notifications/tasks" {
            for member in ["result", "error", "inputRequests"] {
                drop_member(&mut message["params"], member);
            }
        }) "A task that changed is told without what changed";
};
