//! Tasks of revision 2025-11-25.

use serde_json::Value;

use crate::check::support::{Refusal, expect_refusal, hold, param, received_with, server_declared};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "utilities.tasks.capability", judge: capability },
    Check { id: "utilities.tasks.undeclared-ignored", judge: undeclared_ignored },
    Check { id: "utilities.tasks.unknown-id", judge: unknown_id },
    Check { id: "utilities.tasks.status-notification-no-related", judge: status_not_related },
];

const CALLS: [&str; 4] = ["tasks", "requests", "tools", "call"];

/// Who answers a call with a task has declared tasks for tool calls.
fn capability(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in view.results_of("tools/call") {
        let created = !param(request, "task").is_null() && result.at("task").at("taskId").is_string();
        let Some(declared) = server_declared(view, request, &CALLS) else { continue };
        if created && out.covers(request.revision) {
            let problem = (!declared).then_some("A call became a task, but tasks.requests.tools.call is not declared.");
            let fix = "declare the capability or process the call normally";
            let problem = problem.map(str::to_owned);
            hold(out, problem, "tasks.requests.tools.call", result, fix, &[request, response]);
        }
    }
}

/// Without the capability a task parameter does nothing: an ordinary result comes back. An error is not judged, as
/// it may be about the call.
fn undeclared_ignored(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in view.results_of("tools/call") {
        let asked = !param(request, "task").is_null() && out.covers(request.revision);
        if asked && server_declared(view, request, &CALLS) == Some(false) {
            let created = result.at("task").is_object() && !result.at("content").is_array();
            let problem = created.then(|| "A server without task support answered a call with a task.".to_owned());
            let fix = "ignore the task parameter";
            hold(out, problem, "an ordinary result with content", result, fix, &[request, response]);
        }
    }
}

/// A task id that the server never gave is an invalid parameter.
fn unknown_id(view: &View<'_>, out: &mut Findings) {
    for (method, path) in [
        ("tasks/get", ["tasks", "requests"]),
        ("tasks/result", ["tasks", "requests"]),
        ("tasks/cancel", ["tasks", "cancel"]),
    ] {
        for (request, response) in view.calls_to(method) {
            let Some(id) = param(request, "taskId").as_str().filter(|_| out.covers(request.revision)) else { continue };
            let quoted = Value::from(id).to_string();
            let given = view.received().any(|msg| msg.seq < request.seq && msg.value.to_string().contains(&quoted));
            if given || server_declared(view, request, &path) != Some(true) {
                continue;
            }
            let rule = Refusal {
                deed: &format!("The client sent {method} with the invented task id {id:?}"),
                codes: &[-32602],
                tolerated: &[],
                fix: "answer -32602 to a task id that is not known",
            };
            expect_refusal(view, out, request, response, &rule);
        }
    }
}

/// A status notification names its task by itself and needs no related-task key.
fn status_not_related(view: &View<'_>, out: &mut Findings) {
    for msg in received_with(view, "notifications/tasks/status") {
        if out.covers(msg.revision) {
            let related = msg.value.at("params").at("_meta").member("io.modelcontextprotocol/related-task").is_some();
            let problem = related.then(|| "A task status notification carries the related-task key.".to_owned());
            hold(out, problem, "no related-task key in _meta", &msg.value, "leave the key out here", &[msg]);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn base(server: Value) -> Builder {
        Builder::new().initialize_with("2025-11-25", "2025-11-25", json!({}), server)
    }

    #[test]
    fn tasks() {
        let capable = base(json!({"tasks": {"requests": {"tools": {"call": {}}}, "cancel": {}}}));
        let plain = base(json!({"tools": {}}));
        let params = json!({"name": "t", "task": {}});
        let call = |base: &Builder, result: Value| base.clone().call("tools/call", params.clone(), result);
        let task = json!({"task": {"taskId": "1"}});
        three("utilities.tasks.capability", &call(&capable, task.clone()), &call(&plain, task.clone()));
        let ordinary = call(&plain, json!({"content": []}));
        three("utilities.tasks.undeclared-ignored", &ordinary, &call(&plain, task));
        let unknown = json!({"taskId": "none"});
        let good = capable.clone().call_error("tasks/get", unknown.clone(), -32602);
        let bad = capable.clone().call("tasks/get", unknown, json!({}));
        three("utilities.tasks.unknown-id", &good, &bad);
        let status = |params: Value| {
            let message = json!({"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": params});
            capable.clone().request("GET", &[], None).stream().sse(None, &message)
        };
        let bad = status(json!({"_meta": {"io.modelcontextprotocol/related-task": {"taskId": "1"}}}));
        three("utilities.tasks.status-notification-no-related", &status(json!({})), &bad);
    }
}
