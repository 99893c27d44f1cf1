//! Faults of ping, progress, cancellation, logging, pagination, completion and tasks.

use serde_json::{Value, json};

use super::all::catalogue;
use crate::model::Members as _;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{complete_nothing, endless_pages, fail, restatus, set_param, set_result};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "ping.not-empty" breaks ["utilities.ping.respond", "shape.result"]
        Outgoing(|message, context| if context.method == Some("ping") && message.member("result").is_some() { message["result"] = json!("pong") })
        "ping answers with a text";
    "ping.waits" breaks ["utilities.ping.respond", "utilities.ping.respond-under-load"]
        Rule(Rule::PingsApart) "ping waits until nothing else runs";
    "ping.refused" breaks ["utilities.ping.respond", "utilities.ping.no-params-needed", "base.implements-core"]
        Outgoing(|message, context| fail(message, context, "ping", -32601)) "ping is an unknown method";
    "progress.unasked" breaks ["utilities.progress.no-token-no-progress", "utilities.progress.only-given-tokens"]
        Rule(Rule::ProgressNeedsToken) "Progress is sent without a token";
    "progress.token-as-string" breaks ["utilities.progress.token-exact"]
        Outgoing(|message, _| if message.at("method") == "notifications/progress" && !message.at("params").at("progressToken").is_string() {
            message["params"]["progressToken"] = json!(message.at("params").at("progressToken").to_string());
        }) "The progress token comes back as a string";
    "progress.decreasing" breaks ["utilities.progress.increasing"]
        Rule(Rule::ProgressIncreases) "Progress stands still and goes back";
    "progress.after-response" breaks ["utilities.progress.stops-after-completion"]
        Rule(Rule::ProgressStops) "Progress follows the response";
    "progress.message-empty" breaks ["utilities.progress.message-readable"]
        Outgoing(|message, _| set_param(message, "notifications/progress", "message", json!(""))) "Progress has an empty text";
    "cancel.ignored" breaks ["utilities.cancellation.stops-processing", "utilities.cancellation.no-response"]
        Rule(Rule::CancelHonoured) "Cancelled work goes on and is answered";
    "cancel.answered" breaks ["utilities.cancellation.no-response"]
        Rule(Rule::CancelledSilent) "A cancelled request gets an error response";
    "cancel.id-type-ignored" breaks ["utilities.cancellation.id-type-exact", "transport.http.sse-response-arrives", "transport.http.sse-retry-before-close", "transport.http.sse-not-close-early"]
        Rule(Rule::IdTypesApart) "Cancelling \"1\" cancels 1";
    "cancel.other-sessions" breaks ["utilities.cancellation.session-scoped", "transport.http.sse-response-arrives", "transport.http.sse-retry-before-close", "transport.http.sse-not-close-early"]
        Rule(Rule::CancelKeepsToSession) "A cancellation reaches requests of other sessions";
    "cancel.refused" breaks ["utilities.cancellation.ignore-unknown"]
        Head(|reply, ask| if ask.rpc_method.as_deref() == Some("notifications/cancelled") { restatus(reply, 202, 400) })
        "Cancellations are answered with an HTTP error";
    "cancel.malformed-crash" breaks ["utilities.cancellation.ignore-malformed"]
        Rule(Rule::MalformedCancelIgnored) "A cancellation without an id is a server error";
    "cancel.of-strangers" breaks ["utilities.cancellation.only-own-inflight"]
        Outgoing(|message, _| set_param(message, "notifications/cancelled", "requestId", json!(999_999)))
        "The server cancels what it never asked";
    "cancel.answered-twice" breaks ["utilities.cancellation.races", "utilities.cancellation.no-response"]
        Rule(Rule::CancelDecidesOnce) "A cancelled request gets two responses";
    "logging.unfiltered" breaks ["utilities.logging.level-filter"]
        Rule(Rule::LogFiltered) "Log messages below the level are sent";
    "logging.any-level" breaks ["utilities.logging.set-level-invalid"]
        Rule(Rule::LogLevelChecked) "An unknown log level is accepted";
    "logging.level-invented" breaks ["utilities.logging.level-values", "shape.notification"]
        Outgoing(|message, _| set_param(message, "notifications/message", "level", json!("verbose")))
        "Log messages have a level that does not exist";
    "logging.no-data" breaks ["utilities.logging.data-present", "shape.notification"]
        Outgoing(|message, _| set_param(message, "notifications/message", "data", Value::Null)) "Log messages lack data";
    "logging.level-refused" breaks ["utilities.logging.set-level-works"]
        Rule(Rule::LevelsTaken) "The level notice is unknown";
    "pagination.cursor-unchecked" breaks ["utilities.pagination.invalid-cursor"]
        Rule(Rule::CursorChecked) "An invalid cursor begins at the start";
    "pagination.cursor-of-another" breaks ["utilities.pagination.cursor-cross-method", "shape.result"]
        Rule(Rule::CursorBound) "A cursor brings the list it was made for, whatever list is asked for";
    "pagination.cursor-refused" breaks ["utilities.pagination.follow-works"]
        Rule(Rule::CursorsTaken) "The server does not know its own cursors";
    "pagination.cursor-once" breaks ["utilities.pagination.stable-cursors"]
        Rule(Rule::CursorsLast) "A cursor works once";
    "pagination.overlap" breaks ["utilities.pagination.no-duplicates"]
        Rule(Rule::PagesApart) "A page begins with the last item of the one before";
    "pagination.endless" breaks ["utilities.pagination.terminates", "utilities.pagination.no-duplicates"]
        Outgoing(endless_pages) "The last page has a cursor to itself";
    "pagination.null-cursor" breaks ["utilities.pagination.cursor-type", "shape.result"]
        Outgoing(|message, context| set_result(message, context, "tools/list", "nextCursor", Value::Null))
        "The last page has a null cursor";
    "completion.too-many" breaks ["utilities.completion.max-100"]
        Outgoing(|message, context| set_result(message, context, "completion/complete", "completion", json!({"values": vec!["test"; 101]})))
        "Completion gives 101 values";
    "completion.values-objects" breaks ["utilities.completion.result-shape", "shape.result"]
        Outgoing(|message, context| set_result(message, context, "completion/complete", "completion", json!({"values": [{"value": "test"}]})))
        "Completion values are objects";
    "completion.unknown-prompt-empty" breaks ["utilities.completion.unknown-prompt", "utilities.completion.missing-args", "base.invalid-params"]
        Outgoing(complete_nothing) "Completion never fails";
    "completion.context-refused" breaks ["utilities.completion.context"]
        Rule(Rule::CompletionContextTaken) "Completion with a context is refused";
    "tasks.undeclared" breaks ["utilities.tasks.capability", "utilities.tasks.undeclared-ignored"]
        Rule(Rule::TaskParamIgnored) "Calls become tasks, which are not declared";
    "tasks.unserved" breaks ["utilities.tasks.unknown-id"]
        Outgoing(|message, context| if context.method == Some("initialize") && message.member("result").is_some() {
            message["result"]["capabilities"]["tasks"] = json!({"cancel": {}, "requests": {"tools": {"call": {}}}});
        }) "Tasks are declared, but their methods are unknown";
    "tasks.status-related" breaks ["utilities.tasks.status-notification-no-related"]
        Rule(Rule::TaskStatusSilent) "The status of a task is told with a related-task key";
};
