//! The catalogue of faults, one row each: id, requirements broken, what is done, summary.

use serde_json::{Value, json};

use super::fault::{Fault, How, Rule};
use super::rewrites::{
    answer_notification, complete_nothing, drop_member, drop_result, each_entry, edit_body, endless_pages, fail,
    is_request, is_response, recode, refuse_string_id, repeat_tool, restatus, restructure, set_header, set_param,
    set_result, spoil_base64, undeclare, wrap_body,
};

macro_rules! catalogue {
    ($($id:literal breaks [$($caught:literal),+] $how:ident($what:expr) $summary:literal;)+) => {
        &[$(Fault { id: $id, summary: $summary, caught_by: &[$($caught),+], how: How::$how($what) }),+]
    };
}

/// All faults, by area.
pub static FAULTS: &[Fault] = catalogue! {
    // HTTP
    "http.origin-unchecked" breaks ["transport.http.origin-validate", "transport.http.origin-403"]
        Rule(Rule::OriginChecked) "Pages of any origin may use the server";
    "http.origin-401" breaks ["transport.http.origin-403"]
        Head(|reply, _| restatus(reply, 403, 401)) "A foreign origin is refused with 401 instead of 403";
    "http.origin-required" breaks ["transport.http.origin-absent"]
        Rule(Rule::OriginOptional) "A request without Origin is refused";
    "http.host-unchecked" breaks ["transport.http.host-rebinding"]
        Rule(Rule::HostChecked) "A foreign Host is served on loopback";
    "http.accept-literal" breaks ["transport.http.accept-respects-json-only"]
        Rule(Rule::AcceptReadAsHttp) "Accept is compared as text, so another order of the types is refused";
    "http.version-header-ignored" breaks ["transport.http.version-header-invalid-400"]
        Rule(Rule::VersionHeaderChecked) "An invalid MCP-Protocol-Version is served";
    "http.version-header-required" breaks ["transport.http.version-header-absent-default"]
        Rule(Rule::VersionHeaderOptional) "A request without MCP-Protocol-Version is refused";
    "http.405-without-allow" breaks ["transport.http.allow-header-405"]
        Head(|reply, _| if reply.status == 405 { reply.headers.retain(|(name, _)| name != "allow") })
        "405 does not say what is allowed";
    "http.notification-200" breaks ["transport.http.notification-202", "base.notification-no-response"]
        Head(|reply, ask| answer_notification(reply, ask, 200)) "Notifications are answered with 200 and a result";
    "http.notification-body" breaks ["transport.http.notification-202-empty", "base.notification-no-response"]
        Head(|reply, ask| answer_notification(reply, ask, 202)) "The 202 to a notification has a body";
    "http.response-refused" breaks ["transport.http.response-202"]
        Head(|reply, ask| if ask.is_response { restatus(reply, 202, 400) }) "Responses of the client get 400";
    "http.content-type-text" breaks ["transport.http.request-content-type"]
        Head(|reply, _| if reply.status == 200 && reply.body.is_some() { set_header(reply, "content-type", "text/plain") })
        "JSON is sent as text/plain";
    "http.sse-content-type-json" breaks ["transport.http.request-content-type", "transport.http.sse-format"]
        Head(|reply, _| if reply.body.is_none() { set_header(reply, "content-type", "application/json") })
        "Event streams are sent as application/json";
    "http.get-404" breaks ["transport.http.get-sse-or-405"]
        Head(|reply, ask| if ask.http_method == "GET" { reply.status = 404; reply.body = Some(Vec::new()); })
        "GET is answered with 404 in a living session";
    "http.get-page" breaks ["transport.http.get-sse-or-405"]
        Head(|reply, ask| if ask.http_method == "GET" {
            reply.body = Some(b"<html>It works</html>".to_vec());
            set_header(reply, "content-type", "text/html");
        }) "GET is answered with a web page";
    "http.parse-error-500" breaks ["transport.http.malformed-body-400", "transport.http.status-not-5xx-for-client-fault"]
        Head(|reply, ask| if ask.rpc_method.is_none() && !ask.is_response && ask.http_method == "POST" { restatus(reply, 400, 500) })
        "A body that is no message gets 500";
    "http.large-body-500" breaks ["transport.http.oversized-body", "transport.http.status-not-5xx-for-client-fault"]
        Head(|reply, _| restatus(reply, 413, 500)) "A body beyond the limit gets 500";
    "http.json-array" breaks ["transport.http.json-body-one-response"]
        Head(wrap_body) "A single response is sent inside an array";
    // Event streams
    "sse.no-priming" breaks ["transport.http.sse-prime-event"]
        Rule(Rule::StreamsPrimed) "Streams do not begin with an event to resume from";
    "sse.no-retry" breaks ["transport.http.sse-retry-before-close"]
        Rule(Rule::RetryBeforeClose) "A stream is closed early without a retry field";
    "sse.stays-open" breaks ["transport.http.sse-close-after-response"]
        Rule(Rule::StreamEndsAfterResponse) "Streams stay open after the response";
    "sse.disconnect-cancels" breaks ["transport.http.disconnect-not-cancel"]
        Rule(Rule::WorkOutlivesConnection) "A dropped connection cancels its request";
    "sse.broadcast" breaks ["transport.http.no-broadcast", "transport.http.one-stream-only"]
        Rule(Rule::NoBroadcast) "Notifications go out on every open stream of the session";
    "sse.replay-foreign" breaks ["transport.http.resume-no-foreign"]
        Rule(Rule::ReplayOwnStream) "Resuming a stream replays the other streams too";
    "sse.replay-from-start" breaks ["transport.http.resume-replay"]
        Rule(Rule::ReplayFromCursor) "Resuming a stream repeats what was received already";
    "sse.response-lost" breaks ["transport.http.sse-response-arrives", "base.response-exactly-one"]
        Rule(Rule::ResponseSent) "Streams end without the response";
    "sse.response-twice" breaks ["base.response-exactly-one"]
        Rule(Rule::ResponseOnce) "The response is sent twice on its stream";
    "sse.response-on-get" breaks ["transport.http.get-no-response", "transport.http.sse-response-arrives"]
        Rule(Rule::ResponseOnOwnStream) "Responses of streaming tools are sent on the GET stream";
    // Sessions
    "session.delete-ignored" breaks ["transport.http.session-delete-effective", "transport.http.session-404-after-termination"]
        Rule(Rule::DeleteEnds) "DELETE is answered with 204 and the session lives on";
    "session.delete-keeps-streams" breaks ["transport.http.session-delete-closes-streams"]
        Rule(Rule::DeleteClosesStreams) "Streams of a deleted session stay open";
    "session.delete-all" breaks ["transport.http.session-delete-scoped", "transport.http.session-isolation"]
        Rule(Rule::DeleteScoped) "DELETE ends the sessions of everybody";
    "session.id-counted" breaks ["transport.http.session-id-secure", "transport.http.session-id-non-deterministic"]
        Rule(Rule::SessionIdRandom) "Session ids are counted from 1";
    "session.id-with-space" breaks ["transport.http.session-id-visible-ascii"]
        Rule(Rule::SessionIdVisible) "Session ids contain a space";
    "session.id-not-issued" breaks ["transport.http.session-sessionless-works"]
        Rule(Rule::SessionIssued) "No session id is given, and later requests are refused for its lack";
    "session.id-changes" breaks ["transport.http.session-id-stable"]
        Head(|reply, ask| if ask.session.is_some() { set_header(reply, "mcp-session-id", "0123456789abcdef") })
        "Later answers carry another session id";
    "session.missing-served" breaks ["transport.http.session-missing-400"]
        Rule(Rule::SessionRequired) "A request without session id is served in somebody's session";
    "session.missing-404" breaks ["transport.http.session-missing-400"]
        Head(|reply, ask| if ask.session.is_none() && ask.rpc_method.as_deref() != Some("initialize") { restatus(reply, 400, 404) })
        "A missing session id gets 404";
    "session.unknown-served" breaks ["transport.http.session-unknown-id-404", "transport.http.session-404-after-termination"]
        Rule(Rule::UnknownSessionRefused) "A request with an unknown session id is served in somebody's session";
    "session.unknown-400" breaks ["transport.http.session-unknown-id-404", "transport.http.session-404-after-termination"]
        Head(|reply, _| restatus(reply, 404, 400)) "An unknown or ended session gets 400 instead of 404";
    "session.unknown-get-405" breaks ["transport.http.session-404-after-termination-all-methods"]
        Head(|reply, ask| if ask.http_method == "GET" { restatus(reply, 404, 405) })
        "GET in an ended session gets 405, as if there were no streams";
    "session.one-only" breaks ["transport.http.session-reinit-after-404"]
        Rule(Rule::SessionsManifold) "Only the first initialize gets a session";
    // Envelope
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
    // Lifecycle
    "lifecycle.version-not-echoed" breaks ["lifecycle.version-echo"]
        Rule(Rule::VersionEchoed) "A known version is answered with another one";
    "lifecycle.counter-offer-old" breaks ["lifecycle.version-counter-offer-latest"]
        Rule(Rule::CounterOfferLatest) "An unknown version is answered with the oldest known one";
    "lifecycle.version-refused" breaks ["lifecycle.version-counter-offer"]
        Rule(Rule::CounterOffered) "An unknown version is refused with an error";
    "lifecycle.no-server-info" breaks ["lifecycle.initialize-result"]
        Outgoing(|message, context| drop_result(message, context, "initialize", "serverInfo")) "serverInfo is missing";
    "lifecycle.server-info-nameless" breaks ["lifecycle.initialize-server-info"]
        Outgoing(|message, context| set_result(message, context, "initialize", "serverInfo", json!({"version": 1})))
        "serverInfo has no name and a number as version";
    "lifecycle.no-capabilities" breaks ["lifecycle.initialize-result"]
        Outgoing(|message, context| drop_result(message, context, "initialize", "capabilities"))
        "capabilities is missing";
    "lifecycle.asks-early" breaks ["lifecycle.server-early-requests"]
        Rule(Rule::WaitsForInitialized) "The server asks before the client is initialized";
    "lifecycle.early-ping-refused" breaks ["lifecycle.early-ping-answered"]
        Rule(Rule::EarlyPingAnswered) "A ping before initialized is refused";
    "lifecycle.unknown-capability-refused" breaks ["base.unknown-capabilities-tolerated"]
        Rule(Rule::CapabilitiesOpen) "Clients with a capability of their own are refused";
    "lifecycle.timeout-silent" breaks ["lifecycle.timeout-cancels"]
        Rule(Rule::TimeoutCancels) "A question that timed out is not cancelled";
    "lifecycle.waits-forever" breaks ["lifecycle.timeouts", "features.sampling.late-or-no-answer"]
        Rule(Rule::QuestionsTimeOut) "A question without an answer blocks its tool for ever";
    "lifecycle.newest-features" breaks ["features.tools.content-types-by-revision", "lifecycle.respect-version-should"]
        Rule(Rule::FeaturesByRevision) "Tools show what the negotiated revision does not know";
    // Capabilities
    "cap.require" breaks ["lifecycle.initialize-result"]
        Rule(Rule::CapabilitiesOptional) "Clients that do not declare sampling are refused";
    "cap.sampling-unasked" breaks ["features.sampling.server-only-if-declared", "lifecycle.capabilities-only-must"]
        Rule(Rule::SamplingDeclared) "The server asks for sampling that was not declared";
    "cap.elicitation-unasked" breaks ["features.elicitation.server-only-if-declared", "lifecycle.capabilities-only-must"]
        Rule(Rule::ElicitationDeclared) "The server elicits from clients that did not declare it";
    "cap.elicitation-mode-unasked" breaks ["features.elicitation.mode-supported"]
        Rule(Rule::ElicitationModeDeclared) "The server elicits in a mode that was not declared";
    "cap.roots-unasked" breaks ["features.roots.server-only-if-declared", "features.roots.server-check-capability"]
        Rule(Rule::RootsDeclared) "The server asks for roots that were not declared";
    "cap.tools-undeclared" breaks ["features.tools.capability"]
        Outgoing(|message, context| undeclare(message, context, "tools")) "Tools are served but not declared";
    "cap.resources-undeclared" breaks ["features.resources.capability"]
        Outgoing(|message, context| undeclare(message, context, "resources")) "Resources are served but not declared";
    "cap.prompts-undeclared" breaks ["features.prompts.capability"]
        Outgoing(|message, context| undeclare(message, context, "prompts")) "Prompts are served but not declared";
    "cap.logging-undeclared" breaks ["utilities.logging.capability"]
        Outgoing(|message, context| undeclare(message, context, "logging")) "Logs are sent but not declared";
    "cap.completions-undeclared" breaks ["utilities.completion.capability"]
        Outgoing(|message, context| undeclare(message, context, "completions")) "Completion is served but not declared";
    // Utilities
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
    // Tools
    "tools.unknown-served" breaks ["features.tools.unknown-tool"]
        Rule(Rule::UnknownToolRefused) "An unknown tool succeeds";
    "tools.errors-as-rpc" breaks ["features.tools.execution-error", "features.tools.input-validation-is-error"]
        Rule(Rule::ToolErrorsAreResults) "Failures inside a tool are JSON-RPC errors";
    "tools.list-refused" breaks ["features.tools.list-responds-legacy", "lifecycle.declared-feature-works"]
        Outgoing(|message, context| fail(message, context, "tools/list", -32601)) "tools/list is an unknown method";
    "tools.name-twice" breaks ["features.tools.names-unique"] Outgoing(repeat_tool) "A tool is listed twice";
    "tools.name-with-space" breaks ["features.tools.name-characters"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| tool["name"] = json!(tool["name"].as_str().unwrap_or_default().replace('_', " "))))
        "Tool names contain spaces";
    "tools.name-too-long" breaks ["features.tools.name-length"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| tool["name"] = json!(format!("{:_<129}", tool["name"].as_str().unwrap_or_default()))))
        "Tool names have 129 characters";
    "tools.schema-null" breaks ["features.tools.input-schema-not-null"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| tool["inputSchema"] = Value::Null))
        "Input schemas are null";
    "tools.schema-missing" breaks ["features.tools.definition-shape"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| drop_member(tool, "inputSchema")))
        "Input schemas are missing";
    "tools.output-schema-array" breaks ["features.tools.output-schema-object"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| if tool.get("outputSchema").is_some() { tool["outputSchema"] = json!({"type": "array"}) }))
        "An output schema has type array";
    "tools.annotations-strings" breaks ["features.tools.annotation-types"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| tool["annotations"]["readOnlyHint"] = json!("yes")))
        "Annotation hints are strings";
    "tools.content-missing" breaks ["features.tools.call-result-shape"]
        Outgoing(|message, context| drop_result(message, context, "tools/call", "content")) "Tool results lack content";
    "tools.content-string" breaks ["features.tools.call-result-shape"]
        Outgoing(|message, context| set_result(message, context, "tools/call", "content", json!("done")))
        "Tool results have a string as content";
    "tools.structured-without-text" breaks ["features.tools.structured-text-copy"]
        Outgoing(|message, context| restructure(message, context, "content", json!([]))) "Structured content has no text copy";
    "tools.structured-mismatch" breaks ["features.tools.output-schema-conform"]
        Outgoing(|message, context| restructure(message, context, "structuredContent", json!({"temperature": "warm"})))
        "Structured content does not fit its schema";
    "tools.structured-array" breaks ["features.tools.structured-object"]
        Outgoing(|message, context| restructure(message, context, "structuredContent", json!([21.5]))) "Structured content is an array";
    "tools.bytes-as-text" breaks ["features.tools.binary-base64"]
        Outgoing(|message, context| if context.method == Some("tools/call") { spoil_base64(message) }) "Image and sound data are no base64";
    "tools.changes-silent" breaks ["features.tools.list-changed", "features.prompts.list-changed", "features.resources.list-changed"]
        Rule(Rule::ChangesAnnounced) "Changes of the lists are not announced";
    // Resources
    "resources.missing-empty" breaks ["features.resources.not-found-not-result", "features.resources.not-found-32002"]
        Rule(Rule::MissingResourceRefused) "A missing resource reads as empty";
    "resources.missing-code" breaks ["features.resources.not-found-32002"]
        Outgoing(|message, _| recode(message, -32002, -32602)) "A missing resource gets -32602";
    "resources.unreadable" breaks ["features.resources.read-works"]
        Outgoing(|message, context| fail(message, context, "resources/read", -32603)) "Listed resources cannot be read";
    "resources.nameless" breaks ["features.resources.definition-shape"]
        Outgoing(|message, context| each_entry(message, context, "resources/list", "resources", |entry| drop_member(entry, "name")))
        "Resources lack a name";
    "resources.uri-relative" breaks ["features.resources.uri-valid"]
        Outgoing(|message, context| each_entry(message, context, "resources/list", "resources", |entry| entry["uri"] = json!("no uri at all")))
        "Resource URIs are no URIs";
    "resources.template-broken" breaks ["features.resources.template-valid"]
        Outgoing(|message, context| each_entry(message, context, "resources/templates/list", "resourceTemplates", |entry| entry["uriTemplate"] = json!("test://template/{id")))
        "URI templates have an open brace";
    "resources.contents-without-uri" breaks ["features.resources.contents-shape"]
        Outgoing(|message, context| each_entry(message, context, "resources/read", "contents", |entry| drop_member(entry, "uri")))
        "Contents lack their URI";
    "resources.bytes-as-text" breaks ["features.resources.blob-base64"]
        Outgoing(|message, context| if context.method == Some("resources/read") { spoil_base64(message) }) "Blobs are no base64";
    "resources.subscribe-refused" breaks ["features.resources.subscribe-works"]
        Outgoing(|message, context| fail(message, context, "resources/subscribe", -32601)) "resources/subscribe is declared and unknown";
    "resources.update-silent" breaks ["features.resources.updated-notification"]
        Rule(Rule::UpdatesSent) "Subscribers do not hear of changes";
    "resources.update-unasked" breaks ["features.resources.unsubscribed-silent"]
        Rule(Rule::SubscribersOnly) "Everybody hears of changes";
    "resources.unsubscribe-ignored" breaks ["features.resources.unsubscribed-silent"]
        Rule(Rule::UnsubscribeHonoured) "Changes are told after unsubscribe";
    // Prompts
    "prompts.unknown-empty" breaks ["features.prompts.unknown-name"]
        Rule(Rule::UnknownPromptRefused) "An unknown prompt has no messages";
    "prompts.arguments-unchecked" breaks ["features.prompts.missing-required"]
        Rule(Rule::PromptArgumentsRequired) "Missing arguments count as empty";
    "prompts.nameless" breaks ["features.prompts.definition-shape"]
        Outgoing(|message, context| each_entry(message, context, "prompts/list", "prompts", |entry| drop_member(entry, "name")))
        "Prompts lack a name";
    "prompts.role-system" breaks ["features.prompts.get-shape"]
        Outgoing(|message, context| each_entry(message, context, "prompts/get", "messages", |entry| entry["role"] = json!("system")))
        "Prompt messages have the role system";
    "prompts.bytes-as-text" breaks ["features.prompts.image-base64"]
        Outgoing(|message, context| if context.method == Some("prompts/get") { spoil_base64(message) }) "Images in prompts are no base64";
    // Questions to the client
    "sampling.no-max-tokens" breaks ["features.sampling.request-shape"]
        Outgoing(|message, _| set_param(message, "sampling/createMessage", "maxTokens", Value::Null)) "Sampling lacks maxTokens";
    "sampling.role-system" breaks ["features.sampling.request-shape"]
        Outgoing(|message, _| set_param(message, "sampling/createMessage", "messages", json!([{"role": "system", "content": {"type": "text", "text": "hi"}}])))
        "Sampling messages have the role system";
    "sampling.all-context" breaks ["features.sampling.include-context-avoid"]
        Outgoing(|message, _| set_param(message, "sampling/createMessage", "includeContext", json!("allServers")))
        "Sampling wants the context of all servers";
    "elicitation.no-message" breaks ["features.elicitation.message-present"]
        Outgoing(|message, _| set_param(message, "elicitation/create", "message", Value::Null)) "Elicitation lacks its message";
    "elicitation.no-schema" breaks ["features.elicitation.form-members"]
        Outgoing(|message, _| set_param(message, "elicitation/create", "requestedSchema", Value::Null)) "Forms lack their schema";
    "elicitation.nested-schema" breaks ["features.elicitation.form-schema-flat"]
        Outgoing(|message, _| if message["params"].get("requestedSchema").is_some() {
            set_param(message, "elicitation/create", "requestedSchema", json!({"type": "object", "properties": {"a": {"type": "object", "properties": {}}}}));
        }) "Forms have nested objects";
    "elicitation.url-without-id" breaks ["features.elicitation.url-elicitation-id"]
        Outgoing(|message, _| set_param(message, "elicitation/create", "elicitationId", Value::Null)) "URL elicitation lacks its id";
    "elicitation.url-invalid" breaks ["features.elicitation.url-members"]
        Outgoing(|message, _| if message["params"].get("url").is_some() { set_param(message, "elicitation/create", "url", json!("not a url")) })
        "URL elicitation has no valid URL";
};
