//! Faults of the JSON-RPC envelope: ids, errors, batches.

use serde_json::{Value, json};

use super::all::catalogue;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{
    answer_notification, drop_member, edit_body, is_request, is_response, recode, refuse_string_id,
};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "rpc.id-as-string" breaks ["base.response-echoes-id"]
        Outgoing(|message, _| if is_response(message) && !message["id"].is_string() { message["id"] = json!(message["id"].to_string()) })
        "Responses carry their id as a string";
    "rpc.id-missing" breaks ["base.response-echoes-id"]
        Outgoing(|message, _| if is_response(message) { drop_member(message, "id") }) "Responses carry no id";
    "rpc.string-id-refused" breaks ["base.id-type-tolerance"]
        Outgoing(|message, _| refuse_string_id(message)) "Requests with a string id are refused";
    "rpc.null-id-served" breaks ["base.null-id-rejected"]
        Rule(Rule::NullIdRefused) "A request with a null id is answered";
    "rpc.no-version-marker" breaks ["base.jsonrpc-envelope"]
        Outgoing(|message, _| drop_member(message, "jsonrpc")) "Messages lack jsonrpc 2.0";
    "rpc.result-and-error" breaks ["base.result-xor-error"]
        Outgoing(|message, _| if message.get("result").is_some() { message["error"] = Value::Null })
        "Results come with a null error";
    "rpc.error-code-string" breaks ["base.error-code-integer"]
        Outgoing(|message, _| if message.get("error").is_some() { message["error"]["code"] = json!("E_FAILED") })
        "Error codes are strings";
    "rpc.error-without-message" breaks ["base.error-shape"]
        Outgoing(|message, _| if let Some(error) = message.get_mut("error") { drop_member(error, "message") })
        "Errors lack their message";
    "rpc.unknown-method-served" breaks ["base.method-not-found"]
        Rule(Rule::UnknownMethodRefused) "Unknown methods get an empty result";
    "rpc.unknown-method-internal" breaks ["base.method-not-found"]
        Outgoing(|message, _| recode(message, -32601, -32603)) "Unknown methods are internal errors";
    "rpc.invalid-params-internal" breaks ["base.invalid-params"]
        Outgoing(|message, _| recode(message, -32602, -32603)) "Invalid params are internal errors";
    "rpc.parse-error-code" breaks ["base.parse-error"]
        Head(|reply, _| edit_body(reply, "-32700", "-32000")) "Broken JSON gets -32000";
    "rpc.invalid-request-code" breaks ["base.invalid-request-error"]
        Head(|reply, _| edit_body(reply, "-32600", "-32000")) "Invalid requests get -32000";
    "rpc.request-id-null" breaks ["base.request-id-not-null", "base.request-id-type"]
        Outgoing(|message, _| if is_request(message) { message["id"] = Value::Null })
        "Requests of the server have a null id";
    "rpc.request-id-repeats" breaks ["base.request-id-unique-session-server"]
        Outgoing(|message, _| if is_request(message) { message["id"] = json!(1) })
        "Every request of the server has id 1";
    "rpc.notification-with-id" breaks ["base.notification-no-id"]
        Outgoing(|message, _| if message["method"].as_str().is_some_and(|name| name.starts_with("notifications/")) { message["id"] = json!("n") })
        "Notifications of the server have an id";
    "rpc.unknown-notification-refused" breaks ["base.unknown-notification-silent"]
        Head(|reply, ask| if !ask.rpc_method.as_deref().is_some_and(|name| ["notifications/initialized", "notifications/cancelled"].contains(&name)) {
            answer_notification(reply, ask, 400);
        }) "Unknown notifications are answered";
    "rpc.meta-key-refused" breaks ["base.meta-unknown-keys-tolerated"]
        Rule(Rule::MetaOpen) "Requests with unknown _meta keys are refused";
    "rpc.batch-refused" breaks ["base.batch-receive", "transport.http.body-batch"]
        Rule(Rule::BatchesTaken) "2025-03-26 batches are refused";
    "rpc.batch-partial" breaks ["base.batch-one-response-each"]
        Rule(Rule::BatchAnsweredWhole) "The last request of a batch gets no answer";
    "rpc.batch-empty-taken" breaks ["base.batch-empty"]
        Rule(Rule::EmptyBatchRefused) "An empty batch gets 202";
};
