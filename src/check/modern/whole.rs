//! Whole transcripts of right servers: what must trip nothing, and what must leave the checks of the other era alone.

use serde_json::{Value, json};

use crate::check::{CHECKS, Outcome, judge_all};
use crate::model::{Members as _, Party, Revision, Via, requirements};
use crate::transcript::{Builder, End, META_CAPABILITIES, META_LEVEL, META_VERSION, View};

fn tools() -> Value {
    let mirrored = json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}});
    json!({"tools": [
        {"name": "echo", "description": "Says it again", "inputSchema": {"type": "object"}},
        {"name": "ask", "description": "Asks", "inputSchema": {"type": "object"}},
        {"name": "sql", "description": "Queries", "inputSchema": mirrored}
    ]})
}

fn capabilities() -> Value {
    json!({"tools": {"listChanged": true}, "prompts": {}, "resources": {"subscribe": true}, "completions": {}, "logging": {}})
}

fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

/// What a client of the modern era may do to a server that does everything right.
fn conversation(builder: Builder) -> Builder {
    let form = json!({"method": "elicitation/create", "params": {"mode": "form", "message": "Who?", "requestedSchema": {
        "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}}});
    let asked = json!({"resultType": "input_required", "inputRequests": {"who": form}, "requestState": "s.1"});
    let answer = json!({"name": "ask", "arguments": {}, "requestState": "s.1",
        "inputResponses": {"who": {"action": "accept", "content": {"name": "Ada"}}}});
    let odd = json!({"_meta": {META_VERSION: "v999"}});
    let builder = builder
        .modern()
        .discover(capabilities())
        .call("tools/list", Value::Null, tools())
        .call("prompts/list", Value::Null, json!({"prompts": [{"name": "p"}]}))
        .call("resources/list", Value::Null, json!({"resources": [{"uri": "test://a", "name": "a"}]}))
        .call("resources/read", json!({"uri": "test://a"}), json!({"contents": [{"uri": "test://a", "text": "x"}]}))
        .call(
            "prompts/get",
            json!({"name": "p"}),
            json!({"messages": [{"role": "user", "content": {"type": "text", "text": "x"}}]}),
        )
        .call("tools/call", json!({"name": "echo", "arguments": {}}), text("x"))
        .call("tools/call", json!({"name": "ask", "arguments": {}}), asked)
        .call("tools/call", answer, text("Ada"));
    let builder = builder
        .probe(&[("mcp-method", "")], "tools/list", Value::Null)
        .refuses(400, -32020, Value::Null)
        .probe(&[("mcp-name", "other")], "tools/call", json!({"name": "echo", "arguments": {}}))
        .refuses(400, -32020, Value::Null)
        .probe(&[("mcp-param-region", "eu")], "tools/call", json!({"name": "sql", "arguments": {"region": "eu"}}))
        .serves("tools/call", text("eu"))
        .probe(&[("mcp-protocol-version", "v999")], "tools/list", odd)
        .refuses(400, -32022, json!({"supported": ["2026-07-28"], "requested": "v999"}))
        .probe(&[], "tools/list", json!({"_meta": {META_CAPABILITIES: null}}))
        .refuses(400, -32602, Value::Null)
        .probe(&[], "odd/thing", Value::Null)
        .refuses(404, -32601, Value::Null)
        .probe(&[], "ping", Value::Null)
        .refuses(404, -32601, Value::Null)
        .probe(&[], "resources/read", json!({"uri": "test://none"}))
        .refuses(200, -32602, Value::Null);
    let params = json!({"name": "echo", "arguments": {}, "_meta": {"progressToken": "p", META_LEVEL: "info"}});
    let progress =
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "p", "progress": 1}});
    let log = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "error", "data": "x"}});
    let headers = [("content-type", "text/event-stream"), ("x-accel-buffering", "no"), ("cache-control", "no-cache")];
    let builder = builder.probe(&[], "tools/call", params).head(200, &headers).sse(None, &progress).sse(None, &log);
    let mut result = text("x");
    result["resultType"] = json!("complete");
    result["_meta"] = json!({"io.modelcontextprotocol/serverInfo": {"name": "test", "version": "1"}});
    let reply = json!({"jsonrpc": "2.0", "id": builder.latest_id(), "result": result});
    let builder = builder.sse(None, &reply).end(End::Complete);
    builder
        .probe(&[], "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))
        .head(200, &headers)
        .tells("notifications/subscriptions/acknowledged", json!({"notifications": {"toolsListChanged": true}}))
        .tells("notifications/tools/list_changed", json!({}))
        .end(End::ClosedByUs)
}

/// What a client that declares the tasks extension may do to such a server.
fn with_tasks() -> Builder {
    let extension = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let id = "786512e2-9e0d-44bd-8f29-789f320fe840";
    let task = |more: Value| {
        let mut task = json!({"taskId": id, "status": "working", "createdAt": "2026-07-28T00:00:00Z",
            "lastUpdatedAt": "2026-07-28T00:00:00Z", "ttlMs": null, "pollIntervalMs": 50});
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        task
    };
    let mut declared = json!({"tools": {}});
    declared["extensions"] = extension.at("extensions").clone();
    let done = json!({"status": "completed", "result": {"content": [{"type": "text", "text": "x"}], "resultType": "complete"}});
    let asks = json!({"status": "input_required", "inputRequests": {"a": {"method": "roots/list"}}});
    let mut client = extension;
    client["roots"] = json!({});
    Builder::new()
        .modern_with(client)
        .discover(declared)
        .call("tools/list", Value::Null, tools())
        .call("tools/call", json!({"name": "echo", "arguments": {}}), task(json!({"resultType": "task"})))
        .call("tasks/get", json!({"taskId": id}), task(json!({})))
        .call("tasks/get", json!({"taskId": id}), task(asks))
        .call("tasks/update", json!({"taskId": id, "inputResponses": {"a": {"roots": []}}}), json!({}))
        .call("tasks/get", json!({"taskId": id}), task(done))
        .call("tasks/cancel", json!({"taskId": id}), json!({}))
        .probe(&[], "tasks/get", json!({"taskId": "none"}))
        .refuses(200, -32602, Value::Null)
        .probe(&[], "tasks/list", Value::Null)
        .refuses(404, -32601, Value::Null)
}

/// The same over pipes, where a handshake may have gone before.
fn on_pipes(builder: Builder) -> Builder {
    let form = json!({"method": "elicitation/create", "params": {"mode": "form", "message": "Who?", "requestedSchema": {
        "type": "object", "properties": {"name": {"type": "string"}}}}});
    let asked = json!({"resultType": "input_required", "inputRequests": {"who": form}, "requestState": "s.1"});
    let builder = builder
        .modern()
        .discover(capabilities())
        .call("tools/list", Value::Null, tools())
        .call("tools/call", json!({"name": "echo", "arguments": {}}), text("x"))
        .call("prompts/get", json!({"name": "p"}), asked.clone())
        .call("resources/read", json!({"uri": "test://a"}), asked)
        .call_error("ping", Value::Null, -32601)
        .call_error("tools/list", json!({"_meta": {META_CAPABILITIES: null}}), -32602);
    let listening = builder.listen(json!({"toolsListChanged": true}), json!({"toolsListChanged": true}));
    listening.tells("notifications/tools/list_changed", json!({})).call("tools/list", Value::Null, tools())
}

fn troubles(builder: &Builder) -> Vec<String> {
    let events = builder.clone().finish();
    let findings = judge_all(&View::new(&events));
    let wrong = findings.into_iter().filter(|finding| finding.outcome > Outcome::Pass);
    wrong
        .filter(|finding| finding.outcome != Outcome::Inconclusive)
        .map(|finding| {
            let told: Vec<String> =
                finding.breaches.iter().map(|one| format!("{} [{}]", one.what, one.actual)).collect();
            format!("{} {:?}: {}", finding.requirement, finding.outcome, told.join(" | "))
        })
        .collect()
}

#[test]
fn a_right_server_of_the_modern_era_trips_nothing() {
    let others: Vec<String> =
        [conversation(Builder::new()), with_tasks(), on_pipes(Builder::new().channel(Via::Stdio))]
            .iter()
            .flat_map(troubles)
            .collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn nor_does_a_right_server_of_both_eras() {
    let first = Builder::new().initialize("2025-11-25").call("tools/list", Value::Null, tools()).call(
        "ping",
        Value::Null,
        json!({}),
    );
    let crossing = conversation(first).legacy().session("session#1").call("ping", Value::Null, json!({}));
    let pipes = Builder::new().channel(Via::Stdio).initialize("2025-11-25").call("tools/list", Value::Null, tools());
    for crossing in [crossing, on_pipes(pipes).legacy().call("ping", Value::Null, json!({}))] {
        assert_eq!(troubles(&crossing), Vec::<String>::new());
    }
}

#[test]
fn checks_of_the_handshake_era_leave_the_modern_era_alone() {
    let events = conversation(Builder::new()).finish();
    let view = View::new(&events);
    assert!(view.is_modern());
    let loud: Vec<&str> = judge_all(&view)
        .iter()
        .filter(|finding| finding.outcome != Outcome::NotExercised)
        .map(|finding| finding.requirement)
        .filter(|id| requirements().get(id).is_some_and(|one| !one.holds_in(Revision::V2026_07_28)))
        .collect();
    assert_eq!(loud, Vec::<&str>::new());
}

#[test]
fn a_server_that_knows_one_era_only_is_not_judged_by_the_other() {
    let probe =
        Builder::new().modern().probe(&[], "server/discover", Value::Null).answer(400, &[], "Bad Request: no session");
    let old = probe.legacy().initialize("2025-11-25").call("tools/list", Value::Null, tools());
    let events = old.finish();
    let view = View::new(&events);
    assert!(!view.is_modern());
    let modern = |id: &str| requirements().get(id).is_some_and(|one| one.revisions == [Revision::V2026_07_28]);
    let loud: Vec<&str> = judge_all(&view)
        .iter()
        .filter(|finding| finding.outcome != Outcome::NotExercised && modern(finding.requirement))
        .map(|finding| finding.requirement)
        .collect();
    assert_eq!(loud, Vec::<&str>::new());
}

#[test]
fn at_least_480_requirements_are_judged_under_2026_07_28() {
    let judged = CHECKS
        .iter()
        .flat_map(|topic| topic.iter())
        .filter_map(|check| requirements().get(check.id))
        .filter(|one| one.holds_in(Revision::V2026_07_28) && one.party != Party::Client)
        .filter(|one| !crate::check::testing::NOTHING_TO_SEE.contains(&&*one.id))
        .count();
    assert!(judged >= 480, "{judged} requirements are judged under 2026-07-28");
}
