//! Faults of subscriptions.

use serde_json::{Value, json};

use super::all::catalogue;
use super::modern::{LISTEN, SUBSCRIPTION, after_acknowledgment, in_result, refuse_if, wants};
use crate::model::Members as _;
use crate::server::fault::{AskedOf, Fault, How, Rule};

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// Whether it subscribes to something that takes no extension.
fn is_plain(ask: &AskedOf<'_>) -> bool {
    let wanted = ask.param("notifications");
    ask.method() == LISTEN && *wanted != json!({}) && wanted.member("taskIds").is_none()
}

pub(super) static FAULTS: &[Fault] = catalogue! {
    "listen.unknown" breaks ["patterns.subscriptions.listen-implemented", "base.implements-core-modern"]
        Asked(|ask| refuse_if(is_plain(ask), 404, -32601)) "subscriptions/listen is an unknown method";
    "listen.json" breaks ["patterns.subscriptions.answer-is-sse", "patterns.subscriptions.ack-first", "patterns.subscriptions.graceful-close-meta", "shape.result"]
        Asked(|ask| {
            if is_plain(ask) {
                ask.become_method("server/discover");
            }
            None
        }) "A subscription is answered with one JSON text";
    "listen.acknowledged-late" breaks ["patterns.subscriptions.ack-first"]
        Modern(|message, context| if message.at("method") == ACKNOWLEDGED && wants(context, "toolsListChanged") {
            let change = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": message.at("params").at("_meta")}});
            *message = json!([change, message.take()]);
        }) "A change is told before its subscription is acknowledged";
    "listen.more-acknowledged" breaks ["patterns.subscriptions.ack-subset"]
        Modern(|message, context| if message.at("method") == ACKNOWLEDGED && wants(context, "toolsListChanged") && !wants(context, "promptsListChanged") {
            message["params"]["notifications"]["promptsListChanged"] = json!(true);
        }) "More is acknowledged than was asked for";
    "listen.undeclared-acknowledged" breaks ["patterns.subscriptions.ack-omits-unsupported", "lifecycle.list-changed-declared"]
        Modern(|message, context| in_result(message, context, "server/discover", |result| {
            result["capabilities"]["tools"] = json!({});
        })) "A subscription is acknowledged to what is not declared";
    "listen.empty-refused" breaks ["patterns.subscriptions.ack-empty-filter"]
        Asked(|ask| refuse_if(ask.method() == LISTEN && ask.param("notifications") == &json!({}), 400, -32602))
        "A subscription to nothing is refused";
    "listen.unasked-list" breaks ["patterns.subscriptions.filter-honoured", "patterns.subscriptions.same-event-two-streams"]
        Modern(|message, context| if !wants(context, "promptsListChanged") {
            after_acknowledgment(message, "notifications/prompts/list_changed", json!({}));
        }) "A change is told that nobody asked for";
    "listen.unasked-resource" breaks ["patterns.subscriptions.resource-filter-honoured", "features.resources.updated-on-listen"]
        Modern(|message, context| if wants(context, "resourceSubscriptions") {
            after_acknowledgment(message, "notifications/resources/updated", json!({"uri": "test://static-binary"}));
        }) "A change of another resource is told";
    "listen.unnamed-resource" breaks ["features.resources.updated-on-listen", "patterns.subscriptions.filter-honoured"]
        Modern(|message, context| if !wants(context, "resourceSubscriptions") {
            after_acknowledgment(message, "notifications/resources/updated", json!({"uri": "test://static-binary"}));
        }) "A change of a resource is told to who asked for none";
    "listen.untagged" breaks ["patterns.subscriptions.id-tag"]
        Modern(|message, context| if context.request.at("method") == LISTEN && message.at("method").as_str().is_some_and(|name| name.ends_with("list_changed")) {
            message["params"]["_meta"] = json!({});
        }) "A change does not say which subscription it is for";
    "listen.tag-as-string" breaks ["patterns.subscriptions.id-tag"]
        Modern(|message, context| if context.request.at("method") == LISTEN && !context.request.at("id").is_string() && message.member("method").is_some() {
            message["params"]["_meta"][SUBSCRIPTION] = json!(context.request["id"].to_string());
        }) "The id of a subscription comes back as a string";
    "listen.log" breaks ["patterns.subscriptions.no-request-scoped", "utilities.logging.own-stream"]
        Modern(|message, context| if !wants(context, "taskIds") {
            after_acknowledgment(message, "notifications/message", json!({"level": "info", "data": "Somebody listens"}));
        })
        "Log messages are sent on a subscription";
    "listen.task-progress" breaks ["patterns.tasks-ext.no-progress-on-listen", "patterns.subscriptions.no-request-scoped", "utilities.progress.only-given-tokens"]
        Modern(|message, context| if wants(context, "taskIds") {
            after_acknowledgment(message, "notifications/progress", json!({"progressToken": "t", "progress": 1}));
        }) "Progress of a task is told on a subscription";
    "listen.question" breaks ["features.elicitation.associated-with-request", "base.no-server-requests", "transport.http.sse-no-server-requests", "patterns.mrtr.server-input-via-mrtr"]
        Modern(|message, _| if message.at("method") == ACKNOWLEDGED {
            let params = json!({"mode": "form", "message": "Who?", "requestedSchema": {"type": "object", "properties": {}}});
            *message = json!([message.take(), {"jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": params}]);
        }) "The user is asked on a subscription";
    "listen.ends-at-once" breaks ["patterns.subscriptions.stays-open"]
        Rule(Rule::ListenStaysOpen) "A subscription ends as soon as it was acknowledged";
    "listen.drops-at-once" breaks ["patterns.subscriptions.stays-open", "patterns.subscriptions.graceful-close", "utilities.cancellation.server-listen-teardown", "base.response-exactly-one"]
        Rule(Rule::ListenEndsInOrder) "A subscription is dropped without a word as soon as it was acknowledged";
    "listen.ends-unnamed" breaks ["patterns.subscriptions.stays-open", "patterns.subscriptions.graceful-close-meta", "shape.result"]
        Rule(Rule::ListenEndNamed) "A subscription ends at once, and its end does not say which one it is";
    "listen.unguarded" breaks ["patterns.subscriptions.auth-required"]
        Rule(Rule::ListenGuarded) "A subscription needs no token";
    "listen.once" breaks ["patterns.subscriptions.relisten-works"]
        Asked(|ask| refuse_if(is_plain(ask) && ask.notes.count("listens") > 1, 400, -32602))
        "Only one subscription can ever be had";
    "listen.first-only" breaks ["patterns.subscriptions.same-event-two-streams"]
        Rule(Rule::EventsToAll) "Only the first subscription hears of a change";
    "listen.list-unannounced" breaks ["patterns.subscriptions.list-changed-delivered", "patterns.caching.ttl-plausible", "features.tools.list-changed"]
        Modern(|message, context| if context.method == Some("tools/list") && context.notes.count("lists") > 1 {
            in_result(message, context, "tools/list", |result| if let Some(tools) = result.get_mut("tools").and_then(Value::as_array_mut) {
                tools.push(json!({"name": "test_late_tool", "description": "Was not there at first", "inputSchema": {"type": "object"}}));
            });
        }) "A tool is added, and nobody is told";
    "listen.resource-unannounced" breaks ["patterns.subscriptions.resource-updated-delivered"]
        Modern(|message, context| if context.request.at("params").at("uri") == "test://watched-resource" && context.method == Some("resources/read") {
            let count = context.notes.count("reads");
            in_result(message, context, "resources/read", |result| result["contents"][0]["text"] = json!(format!("Version {count}")));
        }) "A resource changes, and nobody is told";
    "stdio.cancel-ignored" over Stdio breaks ["transport.stdio.cancel-no-further-messages", "transport.stdio.cancel-stops-work", "utilities.cancellation.stops-processing", "utilities.cancellation.no-response", "patterns.subscriptions.client-cancel-stdio"]
        Rule(Rule::CancelHonoured) "Cancelled work goes on and is answered";
    "stdio.listen-not-forgotten" over Stdio breaks ["patterns.subscriptions.client-cancel-stdio", "utilities.cancellation.no-response"]
        Rule(Rule::ListenForgotten) "A subscription that its client ended goes on";
    "stdio.asks" over Stdio breaks ["transport.stdio.no-requests-on-stdout", "base.no-server-requests", "patterns.mrtr.server-input-via-mrtr"]
        Modern(|message, context| if context.request.at("params").at("name") == "test_tool_with_logging" && message.member("result").is_some() {
            *message = json!([{"jsonrpc": "2.0", "id": "q1", "method": "roots/list"}, message.take()]);
        }) "The server writes a request";
    "listen.not-forgotten" breaks ["patterns.subscriptions.client-cancel-http", "patterns.subscriptions.id-tag"]
        Rule(Rule::ListenForgotten) "A subscription that its client ended goes on at another one's place";
};
