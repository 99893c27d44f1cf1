//! Faults of versions, of what every request says of itself, and of the crossings between the eras.

use serde_json::{Value, json};

use super::all::catalogue;
use super::modern::{CAPABILITIES, CLIENT, NEWEST, SERVER, VERSION, in_result, recode_body, refuse_if, restatus_of};
use crate::model::Members as _;
use crate::server::fault::{AskedOf, Fault, How, ModernCtx, Rule};
use crate::server::rewrites::drop_member;

/// The version that the body names.
fn version(ask: &AskedOf<'_>) -> Option<String> {
    ask.meta(VERSION).as_str().map(str::to_owned)
}

fn is_unknown(version: &str) -> bool {
    version != NEWEST
}

/// Takes the request for one in the version of this era.
fn take(ask: &mut AskedOf<'_>) {
    ask.set_meta(VERSION, json!(NEWEST));
    ask.set_header("mcp-protocol-version", NEWEST);
}

fn other_client(context: &ModernCtx<'_>) -> bool {
    context.request.at("params").at("_meta").at(CLIENT).at("name") == "somebody-else"
}

pub(super) static FAULTS: &[Fault] = catalogue! {
    "ver.unknown-served" breaks ["lifecycle.version-unsupported-error", "lifecycle.version-per-request"]
        Asked(|ask| {
            let same = version(ask).as_deref() == ask.header("mcp-protocol-version");
            if same && version(ask).is_some_and(|version| is_unknown(&version)) {
                take(ask);
            }
            None
        }) "A request in a version that nobody has is served";
    "ver.refusal-200" breaks ["transport.http.version-unsupported-400"]
        Head(|reply, ask| restatus_of(reply, ask, "-32022", (400, 200))) "The refusal of a version has status 200";
    "ver.refusal-code" breaks ["lifecycle.version-unsupported-error"]
        Head(|reply, ask| recode_body(reply, ask, "-32022", "-32602")) "The refusal of a version has no code of its own";
    "ver.refusal-bare" breaks ["lifecycle.version-unsupported-data"]
        Modern(|message, _| if message.at("error").at("code") == -32022 { drop_member(&mut message["error"], "data") })
        "The refusal of a version does not say which ones there are";
    "ver.offered-then-refused" breaks ["lifecycle.version-unsupported-list-usable", "lifecycle.version-per-request", "base.error-defined-meaning"]
        Asked(|ask| {
            if version(ask).is_some_and(|version| is_unknown(&version)) {
                ask.notes.put("refused", json!(true));
                return None;
            }
            let why = ask.notes.get("refused").and_then(|_| version(ask)).filter(|_| ask.method() == "tools/call")?;
            let mut refusal = crate::server::reply::RpcError::new(-32022, "Not after another version");
            refusal.data = Some(json!({"supported": [NEWEST], "requested": why}));
            Some((400, refusal))
        }) "A call of who named a version that nobody has is refused from then on, although the refusal offers another";
    "ver.first-sticks" breaks ["lifecycle.version-per-request", "lifecycle.version-unsupported-error"]
        Asked(|ask| {
            let seen = ask.notes.get("good").is_some();
            if version(ask).as_deref() == Some(NEWEST) {
                ask.notes.put("good", json!(true));
            } else if seen && version(ask).as_deref() == ask.header("mcp-protocol-version") {
                take(ask);
            }
            None
        }) "The version of the first request counts for all that follow";
    "ver.header-unchecked" breaks ["transport.http.version-header-match"]
        Asked(|ask| {
            if ask.header("mcp-protocol-version").is_some()
                && let Some(version) = version(ask)
            {
                ask.set_header("mcp-protocol-version", &version);
            }
            None
        }) "MCP-Protocol-Version may differ from the body";
    "ver.header-unneeded" breaks ["transport.http.version-header-required"]
        Asked(|ask| {
            if ask.header("mcp-protocol-version").is_none()
                && let Some(version) = version(ask)
            {
                ask.set_header("mcp-protocol-version", &version);
            }
            None
        }) "A request without MCP-Protocol-Version is served";
    "ver.lists-differ" breaks ["lifecycle.discover-versions-consistent"]
        Modern(|message, _| if message.at("error").at("code") == -32022 { message["error"]["data"]["supported"] = json!(["2025-11-25"]) })
        "The refusal of a version tells of others than discovery";
    "req.incomplete-served" breaks ["base.meta-required-fields", "base.meta-no-fallback-to-remembered"]
        Asked(|ask| {
            if ask.meta(VERSION).is_null() {
                ask.set_meta(VERSION, json!(NEWEST));
            }
            if ask.meta(CAPABILITIES).is_null() {
                ask.set_meta(CAPABILITIES, json!({}));
            }
            None
        }) "A request that does not say its version or what its client can do is served";
    "req.incomplete-200" breaks ["base.meta-required-fields-http-400"]
        Head(|reply, ask| restatus_of(reply, ask, "params._meta lacks", (400, 200))) "The refusal of incomplete metadata has status 200";
    "req.incomplete-code" breaks ["base.meta-required-fields"]
        Modern(|message, _| if message.at("error").at("message").as_str().is_some_and(|why| why.contains("params._meta lacks")) {
            message["error"]["code"] = json!(-32600);
        }) "The refusal of incomplete metadata has the code of an invalid request";
    "req.capabilities-remembered" breaks ["base.meta-required-fields", "base.meta-no-fallback-to-remembered"]
        Asked(|ask| {
            if ask.meta(CAPABILITIES).is_object() {
                ask.notes.put("capabilities", ask.meta(CAPABILITIES).clone());
            } else if let Some(known) = ask.notes.get("capabilities") {
                ask.set_meta(CAPABILITIES, known);
            }
            None
        }) "What the client can do is remembered from an earlier request";
    "req.client-demanded" breaks ["base.client-info-may-be-absent", "features.tools.list-responds", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Asked(|ask| refuse_if(ask.meta(CLIENT).is_null(), 400, -32602)) "A client that does not say its name is refused";
    "req.client-favoured" breaks ["base.client-info-not-behavioural"]
        Modern(|message, context| if other_client(context) {
            in_result(message, context, "tools/list", |result| {
                result.get_mut("tools").and_then(Value::as_array_mut).map(Vec::pop);
            });
        }) "A client of another name gets other tools";
    "req.reserved-key-refused" breaks ["base.meta-reserved-no-assumption", "features.tools.list-responds", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Asked(|ask| {
            let known = ["protocolVersion", "clientCapabilities", "clientInfo", "logLevel"];
            let keys = ask.value.at("params").at("_meta").as_object().into_iter().flatten();
            let unknown = keys
                .filter_map(|(key, _)| key.strip_prefix("io.modelcontextprotocol/"))
                .any(|key| !known.contains(&key));
            refuse_if(unknown, 400, -32602)
        }) "A reserved key of _meta that the server does not know is refused";
    "req.server-unnamed" breaks ["base.server-info-in-result"]
        Modern(|message, context| in_result(message, context, "tools/list", |result| {
            if let Some(meta) = result.get_mut("_meta") {
                drop_member(meta, SERVER);
            }
        })) "A result does not say which server gave it";
    "req.trace-malformed" breaks ["base.meta-trace-context-server"]
        Modern(|message, context| in_result(message, context, "tools/list", |result| {
            if let Some(meta) = result.get_mut("_meta") {
                meta["traceparent"] = json!("00-TRACE-1");
            }
        })) "The trace of a result is in no form that tracing knows";
    "mig.initialize-refusal-bare" breaks ["lifecycle.modern-only-initialize-error", "lifecycle.initialize-result"]
        Outgoing(|message, context| if context.method == Some("initialize") && message.member("error").is_some() && message.at("error").at("data").member("supported").is_some() {
            message["error"] = json!({"code": -32601, "message": "Method not found"});
        }) "A server of the newer era does not tell older clients what it speaks";
    "mig.get-400" breaks ["transport.http.get-405-modern"]
        Head(|reply, ask| if ask.http_method == "GET" && reply.status == 405 { reply.status = 400 })
        "A server of the newer era answers GET with 400";
    "mig.delete-200" breaks ["transport.http.delete-405-modern"]
        Head(|reply, ask| if ask.http_method == "DELETE" && reply.status == 405 { reply.status = 200 })
        "A server of the newer era takes DELETE";
    "mig.session-named" breaks ["transport.http.session-header-ignored-modern"]
        Head(|reply, ask| if ask.modern && ask.rpc_method.as_deref() == Some("server/discover") {
            reply.headers.push(("mcp-session-id".to_owned(), "s-1".to_owned()));
        }) "An answer of the newer era names a session";
    "mig.session-looked-up" breaks ["transport.http.session-header-ignored-modern"]
        Asked(|ask| refuse_if(ask.header("mcp-session-id").is_some(), 404, -32602))
        "A session id is looked up where there are no sessions";
    "mig.session-demanded" breaks ["lifecycle.dual-era-modern-request", "transport.http.session-header-ignored-modern", "features.prompts.list-responds", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Asked(|ask| {
            let missing = !ask.app.sessions.all().is_empty() && ask.header("mcp-session-id").is_none();
            let mut refusal = refuse_if(missing, 400, -32602)?;
            "Bad Request: no valid session id".clone_into(&mut refusal.1.message);
            Some(refusal)
        }) "Once somebody has a session, requests of the newer era need one too";
    "mig.initialize-refused-beside" breaks ["lifecycle.dual-era-initialize"]
        Rule(Rule::ErasSideBySide) "Once both eras are spoken, initialize is refused in the words of the newer one";
    "mig.last-event-id-refused" breaks ["transport.http.last-event-id-ignored"]
        Asked(|ask| refuse_if(ask.header("last-event-id").is_some(), 400, -32602))
        "An event id to resume from is looked up where nothing can be resumed";
    "mig.unknown-method-200" breaks ["transport.http.method-not-found-404", "transport.http.removed-methods-404"]
        Head(|reply, ask| restatus_of(reply, ask, "-32601", (404, 200))) "The refusal of an unknown method has status 200";
    "mig.post-405" breaks ["transport.http.endpoint-post", "transport.http.allow-header-405"]
        Asked(|ask| refuse_if(ask.method() == "completion/complete", 405, -32602))
        "A method is not taken by POST";
    "mig.ping-served" breaks ["utilities.ping.removed", "transport.http.removed-methods-404"]
        Asked(|ask| {
            if ask.method() == "ping" {
                ask.become_method("server/discover");
            }
            None
        }) "ping is served in the newer era";
    "mig.subscribe-served" breaks ["features.resources.subscribe-removed", "transport.http.removed-methods-404"]
        Asked(|ask| {
            if ask.method() == "resources/subscribe" {
                ask.become_method("server/discover");
            }
            None
        }) "resources/subscribe is served in the newer era";
    "mig.set-level-served" breaks ["transport.http.removed-methods-404"]
        Asked(|ask| {
            if ask.method() == "logging/setLevel" {
                ask.become_method("server/discover");
            }
            None
        }) "logging/setLevel is served in the newer era";
    "mig.tasks-listed" breaks ["patterns.tasks-ext.no-list", "transport.http.removed-methods-404"]
        Asked(|ask| {
            if ask.method() == "tasks/list" {
                ask.become_method("server/discover");
            }
            None
        }) "tasks/list is served in the newer era";
    "mig.task-result-served" breaks ["patterns.tasks-ext.no-list-no-result", "transport.http.removed-methods-404"]
        Asked(|ask| {
            if ask.method() == "tasks/result" {
                ask.become_method("server/discover");
            }
            None
        }) "tasks/result is served in the newer era";
    "mig.discover-unknown" breaks ["base.implements-core-modern", "lifecycle.discover-implemented"]
        Asked(|ask| refuse_if(ask.method() == "server/discover" && ask.meta(VERSION) == NEWEST, 404, -32601))
        "server/discover is an unknown method";
    "mig.id-once" breaks ["base.client-id-reuse-after-response", "base.stateless-any-connection", "features.tools.list-responds", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Asked(|ask| {
            let id = format!("id {}", ask.value.at("id"));
            refuse_if(ask.notes.put(&id, json!(true)).is_some() && ask.method() == "tools/list", 400, -32602)
        }) "An id that was answered is refused when it comes again";
    "mig.first-refused" breaks ["base.stateless-independent-requests", "lifecycle.discover-not-required", "features.tools.list-responds", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Asked(|ask| {
            let first = ask.notes.count(&ask.here("requests")) == 1;
            refuse_if(first && ask.method() == "tools/list", 400, -32602)
        }) "The first request of a connection has to be another one";
    "mig.connection-bound" breaks ["base.stateless-any-connection", "features.resources.list-responds", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Asked(|ask| {
            let here = json!(ask.connection);
            let home = ask.notes.get("home").unwrap_or_else(|| {
                ask.notes.put("home", here.clone());
                here.clone()
            });
            refuse_if(home != here && ask.method() == "resources/list", 400, -32602)
        }) "The resources are listed only on the connection that came first";
    "mig.discovery-demanded" breaks ["lifecycle.discover-not-required", "base.stateless-independent-requests", "features.tools.list-responds", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Asked(|ask| {
            if ask.method() == "server/discover" {
                ask.notes.put("discovered", json!(true));
            }
            refuse_if(ask.notes.get("discovered").is_none(), 400, -32602)
        }) "Nothing is served before server/discover";
    "mig.cursor-of-connection" breaks ["utilities.pagination.cursor-across-connections", "utilities.pagination.follow-works"]
        Asked(|ask| {
            let (here, cursor) = (json!(ask.connection), ask.param("cursor").is_string());
            let before = if cursor { ask.notes.get("lister") } else { ask.notes.put("lister", here.clone()); None };
            refuse_if(before.is_some_and(|before| before != here), 200, -32602)
        }) "A cursor is good only on the connection that it came on";
};
