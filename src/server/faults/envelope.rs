//! Faults of the JSON-RPC envelope: ids, errors, batches.

use serde_json::{Value, json};

use super::all::catalogue;
use crate::model::Members as _;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{
    answer_notification, body_has, drop_member, each_entry, edit_body, is_response, recode, refuse_string_id,
    set_result, to_latin_1,
};

/// The notifications that clients send and servers know.
const CLIENT_NOTIFICATIONS: [&str; 5] = [
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
];

pub(super) static FAULTS: &[Fault] = catalogue! {
    "rpc.id-as-string" breaks ["base.response-echoes-id", "lifecycle.initialize-result"]
        Outgoing(|message, _| if is_response(message) && !message.at("id").is_string() { message["id"] = json!(message.at("id").to_string()) })
        "Responses carry their id as a string";
    "rpc.id-missing" breaks ["base.response-echoes-id"]
        Outgoing(|message, _| if is_response(message) { drop_member(message, "id") }) "Responses carry no id";
    "rpc.string-id-refused" breaks ["base.id-type-tolerance", "utilities.pagination.all-list-methods"]
        Outgoing(|message, _| refuse_string_id(message)) "Requests with a string id are refused";
    "rpc.null-id-served" breaks ["base.null-id-rejected", "shape.result"]
        Rule(Rule::NullIdRefused) "A request with a null id is answered";
    "rpc.null-id-crash" before "copilot-studio" breaks ["transport.http.status-not-5xx-for-client-fault"]
        Rule(Rule::NullIdSurvived) "A notification with the id null is a server error";
    "rpc.no-version-marker" breaks ["base.jsonrpc-envelope", "shape.error", "shape.notification", "shape.request", "shape.result"]
        Outgoing(|message, _| drop_member(message, "jsonrpc")) "Messages lack jsonrpc 2.0";
    "rpc.result-and-error" breaks ["base.result-xor-error", "shape.error"]
        Outgoing(|message, _| if message.member("result").is_some() { message["error"] = Value::Null })
        "Results come with a null error";
    "rpc.error-code-string" breaks ["base.error-code-integer", "shape.error"]
        Outgoing(|message, _| if message.member("error").is_some() { message["error"]["code"] = json!("E_FAILED") })
        "Error codes are strings";
    "rpc.error-without-message" breaks ["base.error-shape", "shape.error", "lifecycle.initialize-result"]
        Outgoing(|message, _| if let Some(error) = message.get_mut("error") { drop_member(error, "message") })
        "Errors lack their message";
    "rpc.unknown-method-served" breaks ["base.method-not-found", "shape.result"]
        Rule(Rule::UnknownMethodRefused) "Unknown methods get an empty result";
    "rpc.unknown-method-internal" breaks ["base.method-not-found"]
        Outgoing(|message, _| recode(message, -32601, -32603)) "Unknown methods are internal errors";
    "rpc.invalid-params-internal" breaks ["base.invalid-params"]
        Outgoing(|message, _| if message.at("error").at("message") == "name is missing" { recode(message, -32602, -32603) })
        "A call that names no tool is an internal error";
    "rpc.parse-error-code" breaks ["base.parse-error"]
        Head(|reply, _| edit_body(reply, "-32700", "-32000")) "Broken JSON gets -32000";
    "rpc.invalid-request-code" breaks ["base.invalid-request-error"]
        Head(|reply, ask| if ask.rpc_method.is_none() { edit_body(reply, "-32600", "-32700") })
        "JSON that is no message gets the parse error";
    "rpc.request-id-null" breaks ["base.request-id-not-null", "shape.notification", "shape.request"]
        Rule(Rule::QuestionIdsGiven)
        "Requests of the server have a null id";
    "rpc.request-id-repeats" breaks ["base.request-id-unique-session-server"]
        Rule(Rule::QuestionIdsFresh) "Every request of the server has id 1";
    "rpc.request-id-fraction" breaks ["base.request-id-type", "shape.notification", "shape.request"]
        Rule(Rule::QuestionIdsWhole) "Requests of the server have a fraction as id";
    "rpc.notification-with-id" breaks ["base.notification-no-id"]
        Outgoing(|message, _| if message.at("method").as_str().is_some_and(|name| name.starts_with("notifications/")) { message["id"] = json!("n") })
        "Notifications of the server have an id";
    "rpc.unknown-notification-refused" breaks ["base.unknown-notification-silent", "base.notification-no-response"]
        Head(|reply, ask| if !ask.rpc_method.as_deref().is_some_and(|name| CLIENT_NOTIFICATIONS.contains(&name)) {
            answer_notification(reply, ask, 400);
        }) "Unknown notifications are answered with a response";
    "rpc.params-member-refused" breaks ["base.unknown-params-tolerated"]
        Rule(Rule::ParamsOpen) "Requests with a member of params that is unknown are refused";
    "rpc.meta-key-refused" breaks ["base.meta-unknown-keys-tolerated"]
        Rule(Rule::MetaOpen) "Requests with unknown _meta keys are refused";
    "rpc.batch-refused" breaks ["base.batch-receive", "transport.http.body-batch"]
        Rule(Rule::BatchesTaken) "2025-03-26 batches are refused";
    "rpc.batch-partial" breaks ["base.batch-one-response-each"]
        Rule(Rule::BatchAnsweredWhole) "The last request of a batch gets no answer";
    "rpc.batch-empty-taken" breaks ["base.batch-empty"]
        Rule(Rule::EmptyBatchRefused) "An empty batch gets 202";
    "rpc.batch-crash" breaks ["base.batch-removed", "transport.http.status-not-5xx-for-client-fault"]
        Head(|reply, _| if body_has(reply, "Batches do not exist") { reply.status = 500 })
        "An array of messages crashes the server where batches were removed";
    "rpc.latin-1" breaks ["base.utf8"]
        Head(|reply, _| to_latin_1(reply)) "JSON bodies are encoded as Latin-1";
    "rpc.meta-prefix-malformed" breaks ["base.meta-prefix-format"]
        Outgoing(|message, context| set_result(message, context, "tools/list", "_meta", json!({"4example.com/x": 1})))
        "A prefix in _meta begins with a digit";
    "rpc.meta-name-malformed" breaks ["base.meta-name-format"]
        Outgoing(|message, context| set_result(message, context, "tools/list", "_meta", json!({"com.example/-x": 1})))
        "A name in _meta begins with a hyphen";
    "rpc.meta-prefix-reserved" breaks ["base.meta-reserved-prefix-first-form"]
        Outgoing(|message, context| set_result(message, context, "tools/list", "_meta", json!({"mcp.dev/x": 1})))
        "The server has its own key under mcp.dev";
    "rpc.meta-second-label-reserved" breaks ["base.meta-reserved-prefix-second-label", "base.meta-reserved-prefix-first-form"]
        Outgoing(|message, context| set_result(message, context, "tools/list", "_meta", json!({"com.mcp.tools/x": 1})))
        "The server has its own key under com.mcp.tools";
    "rpc.icon-from-disk" breaks ["base.icon-src-uri"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| if tool.member("icons").is_some() { tool["icons"] = json!([{"src": "file:///icon.png"}]) }))
        "An icon is a file on the server's disk";
    "rpc.schema-invalid" breaks ["base.schema-valid", "features.tools.input-schema-not-null", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| tool["inputSchema"]["required"] = json!("all")))
        "Input schemas are no valid JSON Schemas";
};
