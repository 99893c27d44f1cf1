//! Faults of results and errors in the era without a handshake: their type, how long they may be kept, what lists say.

use serde_json::{Value, json};

use super::all::catalogue;
use super::modern::{LEVEL, SERVER, answer, before_response, fail, in_result, of_type, tool};
use crate::model::Members as _;
use crate::server::fault::{Fault, How, ModernCtx, Rule};
use crate::server::rewrites::drop_member;

/// Gives the error of a call of an unknown tool another code.
fn recode_call(message: &mut Value, context: &ModernCtx<'_>, code: i64) {
    if context.method == Some("tools/call")
        && message.at("error").at("code") == -32602
        && message.at("error").at("message").as_str().is_some_and(|why| why.contains("tool"))
    {
        message["error"]["code"] = json!(code);
    }
}

/// The tool of this era that only speaks.
const LOGGER: &str = "test_tool_with_logging";

fn missing_read(message: &Value, context: &ModernCtx<'_>) -> bool {
    context.method == Some("resources/read") && message.at("error").at("code") == -32602
}

fn leads_out(context: &ModernCtx<'_>) -> bool {
    context.request.at("params").at("uri").as_str().is_some_and(|uri| uri.ends_with("etc/passwd"))
}

pub(super) static FAULTS: &[Fault] = catalogue! {
    "result.type-missing" breaks ["base.result-type-present", "shape.result"]
        Modern(|message, context| in_result(message, context, "tools/list", |result| { result.shift_remove("resultType"); }))
        "A result does not say its type";
    "result.type-invented" breaks ["base.result-type-known"]
        Modern(|message, context| in_result(message, context, "resources/list", |result| {
            result.insert("resultType".to_owned(), json!("partial"));
        })) "A result has a type that nobody declared";
    "result.request-before" breaks ["base.no-server-requests", "transport.http.sse-no-server-requests"]
        Modern(|message, context| before_response(message, context, LOGGER, &json!({"jsonrpc": "2.0", "id": "q1", "method": "ping"})))
        "The server sends a request on the stream of a call";
    "result.asks-by-request" breaks ["base.no-server-requests", "transport.http.sse-no-server-requests", "patterns.mrtr.server-input-via-mrtr"]
        Modern(|message, context| before_response(message, context, LOGGER, &json!({"jsonrpc": "2.0", "id": "q1", "method": "roots/list"})))
        "The server asks for roots by a request";
    "result.change-on-call" breaks ["transport.http.sse-related-only-must"]
        Modern(|message, context| before_response(message, context, LOGGER, &json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})))
        "A change of a list is told on the stream of a call";
    "result.update-on-call" breaks ["transport.http.sse-related-only-must", "features.resources.updated-on-listen"]
        Modern(|message, context| before_response(message, context, LOGGER, &json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "test://watched-resource"}})))
        "A change of a resource is told on the stream of a call";
    "result.cancelled-on-call" breaks ["utilities.cancellation.server-no-other-cancel"]
        Modern(|message, context| {
            let params = json!({"requestId": context.request.at("id")});
            before_response(message, context, LOGGER, &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
        }) "The server cancels the request of a client";
    "result.elicitation-told" breaks ["features.elicitation.complete-notification-removed"]
        Modern(|message, context| before_response(message, context, LOGGER, &json!({"jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": {"elicitationId": "e1"}})))
        "The end of an elicitation is told by a notification that was removed";
    "result.stream-without-response" breaks ["transport.http.sse-response-arrives-modern", "base.response-exactly-one"]
        Modern(|message, context| if tool(context) == Some(LOGGER) && message.member("result").is_some() { *message = Value::Null })
        "The stream of a call ends without its response";
    "result.stream-buffered" breaks ["transport.http.x-accel-buffering"]
        Head(|reply, ask| if ask.modern { reply.headers.retain(|(name, _)| name != "x-accel-buffering") })
        "Streams do not say that they are not to be buffered";
    "result.after-closing" breaks ["transport.http.disconnect-no-messages", "patterns.subscriptions.no-request-scoped", "patterns.subscriptions.id-tag", "utilities.progress.on-request-stream"]
        Rule(Rule::DisconnectCancels) "A call whose stream was closed goes on, and is told on a subscription";
    "error.reserved" breaks ["base.error-reserved-range"]
        Modern(|message, context| recode_call(message, context, -32050)) "An error has a code that is kept for later revisions";
    "error.resource-code" breaks ["base.error-no-32002"]
        Modern(|message, context| recode_call(message, context, -32002)) "An error has the code that -32602 took over from";
    "error.elicitation-code" breaks ["base.error-no-32042", "base.error-reserved-range"]
        Modern(|message, context| recode_call(message, context, -32042)) "An error has the code that input_required took over from";
    "error.within-reserved" breaks ["base.app-error-codes"]
        Modern(|message, context| recode_call(message, context, -32500)) "An error of the application has a code that JSON-RPC reserves";
    "error.legacy-range" breaks ["base.error-avoid-legacy-range"]
        Modern(|message, context| recode_call(message, context, -32010)) "An error has a code from the range of older revisions";
    "error.missing-capability-code" breaks ["base.missing-capability-error"]
        Modern(|message, context| if message.at("error").at("code") == -32021 && tool(context) == Some("test_missing_capability") {
            message["error"]["code"] = json!(-32603);
        }) "A missing capability is an internal error";
    "error.missing-capability-200" breaks ["base.missing-capability-http-400"]
        Head(|reply, ask| if ask.rpc_method.as_deref() == Some("tools/call") { super::modern::restatus_of(reply, ask, "-32021", (400, 200)) }) "The refusal for a missing capability has status 200";
    "cache.no-hints" breaks ["patterns.caching.hints-present", "shape.result"]
        Modern(|message, context| in_result(message, context, "prompts/list", |result| { result.shift_remove("cacheScope"); }))
        "A list does not say who may keep it";
    "cache.negative" breaks ["patterns.caching.ttl-non-negative", "shape.result"]
        Modern(|message, context| in_result(message, context, "tools/list", |result| { result.insert("ttlMs".to_owned(), json!(-1)); }))
        "A list may be kept for less than no time";
    "cache.scope-invented" breaks ["patterns.caching.scope-values", "shape.result"]
        Modern(|message, context| in_result(message, context, "tools/list", |result| { result.insert("cacheScope".to_owned(), json!("shared")); }))
        "A list has a scope that does not exist";
    "cache.scope-by-page" breaks ["patterns.caching.scope-same-over-pages"]
        Modern(|message, context| in_result(message, context, "resources/templates/list", |result| {
            if !result.contains_key("nextCursor") {
                result.insert("cacheScope".to_owned(), json!("private"));
            }
        })) "The last page of a list is private, the others are public";
    "cache.of-question" breaks ["patterns.mrtr.no-caching-hints"]
        Modern(|message, _| of_type(message, "input_required", |result| {
            result.insert("ttlMs".to_owned(), json!(1000));
            result.insert("cacheScope".to_owned(), json!("private"));
        })) "A question may be kept";
    "cache.public-per-user" breaks ["patterns.caching.public-not-user-specific"]
        Rule(Rule::PublicSame) "A public list differs from user to user";
    "discover.no-ttl" breaks ["lifecycle.discover-shape", "patterns.caching.hints-present", "shape.result"]
        Modern(|message, context| in_result(message, context, "server/discover", |result| { result.shift_remove("ttlMs"); }))
        "Discovery does not say for how long it is good";
    "discover.unnamed" breaks ["lifecycle.discover-server-info", "base.server-info-in-result"]
        Modern(|message, context| in_result(message, context, "server/discover", |result| {
            if let Some(meta) = result.get_mut("_meta") {
                drop_member(meta, SERVER);
            }
        })) "Discovery does not say which server it is";
    "cap.completions-undiscovered" breaks ["lifecycle.discover-capabilities-declared", "transport.http.method-not-found-404", "utilities.completion.capability", "utilities.completion.unsupported"]
        Modern(|message, context| in_result(message, context, "server/discover", |result| drop_member(&mut result["capabilities"], "completions")))
        "Completion is served, but discovery does not know it";
    "cap.prompts-undiscovered" breaks ["lifecycle.discover-capabilities-declared", "features.prompts.discover-capability", "features.prompts.capability", "lifecycle.undeclared-feature-error", "patterns.subscriptions.ack-omits-unsupported"]
        Modern(|message, context| in_result(message, context, "server/discover", |result| drop_member(&mut result["capabilities"], "prompts")))
        "Prompts are served, but discovery does not know them";
    "cap.extension-unprefixed" breaks ["base.extension-id-prefix"]
        Modern(|message, context| in_result(message, context, "server/discover", |result| {
            result["capabilities"]["extensions"]["tasks"] = json!({});
        })) "An extension has an id without a prefix";
    "cap.legacy-tasks" breaks ["patterns.tasks-ext.no-legacy-advertisement"]
        Modern(|message, context| in_result(message, context, "server/discover", |result| {
            result["capabilities"]["tasks"] = json!({"cancel": {}});
        })) "Tasks are declared as in the revision before too";
    "cap.tasks-undiscovered" breaks ["patterns.tasks-ext.advertised"]
        Modern(|message, context| in_result(message, context, "server/discover", |result| {
            drop_member(&mut result["capabilities"], "extensions");
        })) "Calls become tasks, but discovery does not know the extension";
    "list.tools-refused" breaks ["features.tools.list-responds", "base.meta-reserved-no-assumption", "base.stateless-any-connection", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Modern(|message, context| if context.method == Some("tools/list") && message.member("result").is_some() && context.notes.count("lists") > 2 { fail(message, -32603) }) "tools/list becomes an internal error";
    "list.prompts-refused" breaks ["features.prompts.list-responds", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Modern(|message, context| if context.method == Some("prompts/list") && message.member("result").is_some() { fail(message, -32603) }) "prompts/list is an internal error";
    "list.resources-refused" breaks ["features.resources.list-responds", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Modern(|message, context| if context.method == Some("resources/list") && message.member("result").is_some() { fail(message, -32603) }) "resources/list is an internal error";
    "list.tools-per-connection" breaks ["features.tools.list-not-per-connection"]
        Modern(|message, context| shorten(message, context, "tools/list", "tools")) "Every connection has tools of its own";
    "list.prompts-per-connection" breaks ["features.prompts.list-not-per-connection"]
        Modern(|message, context| shorten(message, context, "prompts/list", "prompts")) "Every connection has prompts of its own";
    "list.resources-per-connection" breaks ["features.resources.list-not-per-connection", "patterns.caching.public-not-user-specific"]
        Modern(|message, context| shorten(message, context, "resources/list", "resources")) "Every connection has resources of its own";
    "list.order-changes" breaks ["features.tools.list-deterministic", "patterns.caching.ttl-plausible"]
        Modern(|message, context| if context.method == Some("tools/list") && context.notes.count("lists") % 2 == 0 {
            in_result(message, context, "tools/list", |result| {
                if let Some(tools) = result.get_mut("tools").and_then(Value::as_array_mut) {
                    tools.reverse();
                }
            });
        }) "The tools come in another order every other time";
    "res.missing-as-internal" breaks ["features.resources.not-found-32602"]
        Modern(|message, context| if missing_read(message, context) { message["error"]["code"] = json!(-32603) })
        "A resource that is not there is an internal error";
    "res.missing-as-empty" breaks ["features.resources.not-found-no-empty"]
        Modern(|message, context| if missing_read(message, context) {
            answer(message, json!({"resultType": "complete", "contents": [], "ttlMs": 0, "cacheScope": "private"}));
        }) "A resource that is not there reads as empty";
    "res.path-traversal" breaks ["features.resources.path-traversal"]
        Modern(|message, context| if missing_read(message, context) && leads_out(context) {
            let contents = json!([{"uri": context.request.at("params").at("uri"), "mimeType": "text/plain", "text": "root:x:0:0:root:/root:/bin/sh"}]);
            answer(message, json!({"resultType": "complete", "contents": contents, "ttlMs": 0, "cacheScope": "private"}));
        }) "A path leads out of what is served";
    "completion.prompts-refused" breaks ["utilities.completion.both-refs"]
        Modern(|message, context| if context.method == Some("completion/complete") && message.member("result").is_some() && context.request.at("params").at("ref").at("type") == "ref/prompt" {
            fail(message, -32602);
        }) "Completion knows only resources";
    "logging.unasked" breaks ["utilities.logging.opt-in", "utilities.logging.no-stickiness"]
        Asked(|ask| {
            if ask.meta(LEVEL).is_null() {
                ask.set_meta(LEVEL, json!("debug"));
            }
            None
        }) "Calls that want no log messages get them";
    "logging.below-level" breaks ["utilities.logging.per-request-level"]
        Asked(|ask| {
            if ask.meta(LEVEL).is_string() && ask.meta(LEVEL) != "loud" {
                ask.set_meta(LEVEL, json!("debug"));
            }
            None
        }) "Calls get log messages below the level that they want";
    "logging.any-level-modern" breaks ["utilities.logging.invalid-level-modern"]
        Asked(|ask| {
            if ask.meta(LEVEL) == "loud" {
                ask.set_meta(LEVEL, json!("info"));
            }
            None
        }) "A request with a log level that does not exist is served";
    "logging.level-kept" breaks ["utilities.logging.no-stickiness", "utilities.logging.opt-in"]
        Asked(|ask| {
            if ask.meta(LEVEL).is_string() && ask.meta(LEVEL) != "loud" {
                ask.notes.put("level", ask.meta(LEVEL).clone());
            } else if let Some(level) = ask.notes.get("level").filter(|_| ask.meta(LEVEL).is_null()) {
                ask.set_meta(LEVEL, level);
            }
            None
        }) "The log level of one request counts for those that follow";
};

/// Leaves the last entry of a list out, on any connection but the first.
fn shorten(message: &mut Value, context: &ModernCtx<'_>, method: &str, list: &str) {
    if context.method != Some(method) {
        return;
    }
    let here = json!(context.connection);
    let first = context.notes.get("first").unwrap_or_else(|| {
        context.notes.put("first", here.clone());
        here.clone()
    });
    if first != here {
        in_result(message, context, method, |result| {
            result.get_mut(list).and_then(Value::as_array_mut).map(Vec::pop);
        });
    }
}
