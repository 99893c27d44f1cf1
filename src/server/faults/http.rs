//! Faults of the HTTP side: origins, headers, statuses, bodies.

use super::all::catalogue;
use crate::server::answer::AskCtx;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{answer_notification, edit_body, restatus, says, set_header, wrap_body};

fn initialized(ask: &AskCtx) -> bool {
    ask.rpc_method.as_deref() == Some("notifications/initialized")
}

/// Whether the client opens a stream of its own; what it resumes belongs to a call.
fn listens(ask: &AskCtx) -> bool {
    ask.http_method == "GET" && !ask.resumes && ask.session.is_some()
}

pub(super) static FAULTS: &[Fault] = catalogue! {
    "http.origin-unchecked" breaks ["transport.http.origin-validate"]
        Rule(Rule::OriginChecked) "Pages of any origin may use the server";
    "http.origin-401" breaks [
        "transport.http.origin-403", "auth.resource-server.www-authenticate-present", "auth.discovery.prm-challenge-url-required"] Head(|reply, _| if says(reply, "is not allowed") { restatus(reply, 403, 401) }) "A foreign origin is refused with 401 instead of 403";
    "http.origin-403-id" breaks ["transport.http.origin-403-body"]
        Rule(Rule::OriginBeforeBody) "The 403 to a foreign origin has the id of the request";
    "http.origin-required" breaks ["transport.http.origin-absent", "auth.discovery.absent-404"]
        Rule(Rule::OriginOptional) "A request without Origin is refused";
    "http.host-unchecked" breaks ["transport.http.host-rebinding"]
        Rule(Rule::HostChecked) "A foreign Host is served on loopback";
    "http.accept-literal" breaks ["transport.http.accept-respects-json-only"]
        Rule(Rule::AcceptReadAsHttp) "Accept is compared as text, so another order of the types is refused";
    "http.accept-500" breaks ["transport.http.accept-leniency", "transport.http.status-not-5xx-for-client-fault"]
        Head(|reply, _| restatus(reply, 406, 500)) "An Accept that does not suffice gets 500";
    "http.header-case" breaks ["transport.http.header-names-case-insensitive", "transport.http.session-header-case", "patterns.headers.names-case-insensitive", "base.error-defined-meaning", "features.tools.list-responds", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Rule(Rule::HeaderNamesCaseless) "Headers are only known in small letters";
    "http.version-header-ignored" breaks ["transport.http.version-header-invalid-400"]
        Rule(Rule::VersionHeaderChecked) "An invalid MCP-Protocol-Version is served";
    "http.version-header-required" breaks ["transport.http.version-header-absent-default"]
        Rule(Rule::VersionHeaderOptional) "A request without MCP-Protocol-Version is refused";
    "http.early-version-refused" before "ai-sdk-mcp" breaks ["lifecycle.initialize-result"]
        Rule(Rule::EarlyVersionIgnored) "An initialize that comes with MCP-Protocol-Version is refused";
    "http.405-without-allow" breaks ["transport.http.allow-header-405"]
        Head(|reply, _| if reply.status == 405 { reply.headers.retain(|(name, _)| name != "allow") })
        "405 does not say what is allowed";
    "http.notification-200" breaks ["transport.http.notification-202", "base.notification-no-response"]
        Head(|reply, ask| if initialized(ask) { answer_notification(reply, ask, 200) }) "notifications/initialized is answered with 200 and a result";
    "http.notification-body" breaks ["transport.http.notification-202-empty", "base.notification-no-response"]
        Head(|reply, ask| if initialized(ask) { answer_notification(reply, ask, 202) }) "The 202 to notifications/initialized has a body";
    "http.refusal-200" breaks ["transport.http.notification-rejected-status", "base.notification-no-response"]
        Head(|reply, ask| if ask.is_notification { restatus(reply, 400, 200) })
        "The refusal of a notification is sent with status 200";
    "http.refusal-with-id" breaks ["transport.http.notification-rejected-body", "base.notification-no-response"]
        Head(|reply, ask| if (ask.is_notification || ask.is_response) && reply.status >= 400 {
            edit_body(reply, r#""jsonrpc":"2.0""#, r#""jsonrpc":"2.0","id":0"#);
        }) "The refusal of a notification carries an id";
    "http.response-refused" breaks ["transport.http.response-202"]
        Head(|reply, ask| if ask.is_response { restatus(reply, 202, 400) }) "Responses of the client get 400";
    "http.content-type-text" breaks ["transport.http.request-content-type"]
        Head(|reply, _| if reply.status == 200 && says(reply, "\"jsonrpc\"") { set_header(reply, "content-type", "text/plain") })
        "JSON is sent as text/plain";
    "http.sse-content-type-json" breaks ["transport.http.get-sse-or-405"]
        Head(|reply, ask| if listens(ask) { set_header(reply, "content-type", "application/json") })
        "The event stream of a GET is sent as application/json";
    "http.get-404" breaks ["transport.http.get-sse-or-405", "transport.http.endpoint-post-get"]
        Head(|reply, ask| if listens(ask) { reply.status = 404; reply.body = Some(Vec::new()); })
        "GET is answered with 404 in a living session";
    "http.early-get-500" before "mcp-remote" breaks ["transport.http.early-get-answered", "transport.http.session-missing-400", "transport.http.status-not-5xx-for-client-fault"]
        Head(|reply, ask| if ask.http_method == "GET" && ask.session.is_none() { restatus(reply, 400, 500) })
        "GET is answered with 500 where there is no session yet";
    "http.get-page" breaks ["transport.http.get-sse-or-405"]
        Head(|reply, ask| if listens(ask) {
            reply.body = Some(b"<html>It works</html>".to_vec());
            set_header(reply, "content-type", "text/html");
        }) "GET is answered with a web page";
    "http.parse-error-500" breaks ["transport.http.malformed-body-400", "transport.http.status-not-5xx-for-client-fault"]
        Head(|reply, _| if says(reply, "-32700") { restatus(reply, 400, 500) }) "A body that is no JSON gets 500";
    "http.large-body-500" breaks ["transport.http.oversized-body", "transport.http.status-not-5xx-for-client-fault"]
        Head(|reply, _| restatus(reply, 413, 500)) "A body beyond the limit gets 500";
    "http.json-array" breaks [
        "transport.http.json-body-one-response", "transport.http.json-body-batch", "base.jsonrpc-envelope",
    ] Head(wrap_body) "A single response is sent inside an array";
    "http.calls-one-by-one" breaks ["transport.http.concurrent-requests"]
        Rule(Rule::CallsSideBySide) "A call gets 503 while another one is being streamed";
    "http.lists-one-by-one" breaks ["transport.http.concurrent-requests"]
        Rule(Rule::ListsSideBySide) "A list gets 503 while another one is being made";
};
