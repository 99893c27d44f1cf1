//! Faults of ping, progress, cancellation, logging, pagination, completion and tasks.

use serde_json::{Value, json};

use super::all::catalogue;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{answer_notification, complete_nothing, endless_pages, fail, set_param, set_result};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "ping.not-empty" breaks ["utilities.ping.respond"]
        Outgoing(|message, context| set_result(message, context, "ping", "pong", json!(true))) "ping answers with a member";
    "ping.refused" breaks ["utilities.ping.respond"]
        Outgoing(|message, context| fail(message, context, "ping", -32601)) "ping is an unknown method";
    "progress.unasked" breaks ["utilities.progress.no-token-no-progress", "utilities.progress.only-given-tokens"]
        Rule(Rule::ProgressNeedsToken) "Progress is sent without a token";
    "progress.token-as-string" breaks ["utilities.progress.token-exact"]
        Outgoing(|message, _| if message["method"] == "notifications/progress" && !message["params"]["progressToken"].is_string() {
            message["params"]["progressToken"] = json!(message["params"]["progressToken"].to_string());
        }) "The progress token comes back as a string";
    "progress.decreasing" breaks ["utilities.progress.increasing"]
        Rule(Rule::ProgressIncreases) "Progress stands still and goes back";
    "progress.after-response" breaks ["utilities.progress.stops-after-completion"]
        Rule(Rule::ProgressStops) "Progress follows the response";
    "cancel.ignored" breaks ["utilities.cancellation.stops-processing"]
        Rule(Rule::CancelHonoured) "Cancelled work goes on and is answered";
    "cancel.answered" breaks ["utilities.cancellation.no-response"]
        Rule(Rule::CancelledSilent) "A cancelled request gets an error response";
    "cancel.id-type-ignored" breaks ["utilities.cancellation.id-type-exact"]
        Rule(Rule::IdTypesApart) "Cancelling \"1\" cancels 1";
    "cancel.other-sessions" breaks ["utilities.cancellation.session-scoped", "transport.http.session-isolation"]
        Rule(Rule::CancelKeepsToSession) "A cancellation reaches requests of other sessions";
    "cancel.refused" breaks ["utilities.cancellation.ignore-unknown", "transport.http.notification-202"]
        Head(|reply, ask| if ask.rpc_method.as_deref() == Some("notifications/cancelled") { answer_notification(reply, ask, 400) })
        "Cancellations are answered with an HTTP error";
    "logging.unfiltered" breaks ["utilities.logging.level-filter"]
        Rule(Rule::LogFiltered) "Log messages below the level are sent";
    "logging.any-level" breaks ["utilities.logging.set-level-invalid"]
        Rule(Rule::LogLevelChecked) "An unknown log level is accepted";
    "logging.level-invented" breaks ["utilities.logging.level-values"]
        Outgoing(|message, _| set_param(message, "notifications/message", "level", json!("verbose")))
        "Log messages have a level that does not exist";
    "logging.no-data" breaks ["utilities.logging.data-present"]
        Outgoing(|message, _| set_param(message, "notifications/message", "data", Value::Null)) "Log messages lack data";
    "logging.set-level-not-empty" breaks ["utilities.logging.set-level-works"]
        Outgoing(|message, context| set_result(message, context, "logging/setLevel", "ok", json!(true)))
        "logging/setLevel answers with a member";
    "pagination.cursor-unchecked" breaks ["utilities.pagination.invalid-cursor", "utilities.pagination.cursor-cross-method"]
        Rule(Rule::CursorChecked) "An invalid cursor begins at the start";
    "pagination.endless" breaks ["utilities.pagination.terminates"]
        Outgoing(endless_pages) "The last page has a cursor to itself";
    "pagination.null-cursor" breaks ["utilities.pagination.cursor-type"]
        Outgoing(|message, context| set_result(message, context, "tools/list", "nextCursor", Value::Null))
        "The last page has a null cursor";
    "completion.too-many" breaks ["utilities.completion.max-100"]
        Outgoing(|message, context| set_result(message, context, "completion/complete", "completion", json!({"values": vec!["test"; 101]})))
        "Completion gives 101 values";
    "completion.values-objects" breaks ["utilities.completion.result-shape"]
        Outgoing(|message, context| set_result(message, context, "completion/complete", "completion", json!({"values": [{"value": "test"}]})))
        "Completion values are objects";
    "completion.unknown-prompt-empty" breaks ["utilities.completion.unknown-prompt", "utilities.completion.missing-args"]
        Outgoing(complete_nothing) "Completion never fails";
};
