//! On a server of somebody else nothing is called that could do harm: only tools that say they only read, or that the
//! user named. The server here counts.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};

/// How often each tool was called.
type Counts = Arc<Mutex<BTreeMap<String, usize>>>;

/// Tools that scenarios ask for by name, and one nobody asks for; what each says of itself.
fn tools() -> Vec<Value> {
    let tool = |name: &str, annotations: Value| {
        let properties = json!({"text": {"type": "string"}, "ms": {"type": "integer"}, "bytes": {"type": "integer"}});
        json!({
            "name": name,
            "description": name,
            "inputSchema": {"type": "object", "properties": properties},
            "annotations": annotations,
        })
    };
    vec![
        tool("delete_everything", json!({"destructiveHint": true})),
        tool("test_echo", json!({})),
        tool("test_error_handling", json!({"readOnlyHint": false})),
        tool("test_large_result", json!({"readOnlyHint": "yes"})),
        tool("test_simple_text", json!({"destructiveHint": false, "idempotentHint": true})),
        tool("test_slow", json!({"readOnlyHint": true})),
    ]
}

/// A small server without sessions that answers in JSON.
async fn answer(State(counts): State<Counts>, body: String) -> Response {
    let Ok(message) = serde_json::from_str::<Value>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let Some(id) = message.get("id").filter(|_| message.get("method").is_some()) else {
        return StatusCode::ACCEPTED.into_response();
    };
    let outcome = match message["method"].as_str().unwrap_or_default() {
        "initialize" => Ok(json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "counting", "version": "1.0.0"},
        })),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({"tools": tools()})),
        "tools/call" => {
            let name = message["params"]["name"].as_str().unwrap_or_default().to_owned();
            *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
            Ok(json!({"content": [{"type": "text", "text": "done"}]}))
        }
        other => Err(json!({"code": -32601, "message": format!("there is no {other}")})),
    };
    let mut reply = json!({"jsonrpc": "2.0", "id": id});
    match outcome {
        Ok(result) => reply["result"] = result,
        Err(error) => reply["error"] = error,
    }
    Json(reply).into_response()
}

/// Rehearses everything against a fresh server; gives what was called.
fn called(options: &[&str]) -> BTreeMap<String, usize> {
    let counts = Counts::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let app = axum::Router::new().route("/mcp", post(answer)).with_state(Arc::clone(&counts));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    runtime.spawn(async move { axum::serve(listener, app).await });
    let output = Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"))
        .args(["run", &format!("http://127.0.0.1:{port}/mcp"), "--quiet", "--patience", "2"])
        .args(options)
        .output()
        .expect("the program can be started");
    assert!(matches!(output.status.code(), Some(0 | 4 | 10)), "{}", String::from_utf8_lossy(&output.stderr));
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // A name that no tool has is asked for on purpose; a server that has no such tool does nothing.
    counts.retain(|name, _| tools().iter().any(|tool| tool["name"] == *name));
    counts
}

#[test]
fn only_tools_that_say_they_read_are_called() {
    let counts = called(&[]);
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["test_slow"], "{counts:?}");
}

#[test]
fn tools_the_user_named_are_called_as_well() {
    let counts = called(&["--allow-tool", "test_e*", "-s", "invoke.*"]);
    let names: Vec<&String> = counts.keys().collect();
    assert_eq!(names, ["test_echo", "test_error_handling", "test_slow"], "{counts:?}");
}

#[test]
fn a_scenario_of_ones_own_does_not_call_them_either() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("harmless");
    std::fs::create_dir_all(&folder).expect("a folder");
    let steps = [
        ("direct", "invoke: { tool: delete_everything }"),
        ("by-method", "invoke: { method: tools/call, params: { name: delete_everything } }"),
        (
            "raw",
            "raw: { message: { jsonrpc: \"2.0\", id: 900, method: tools/call, params: { name: delete_everything } } }",
        ),
    ];
    for (name, step) in steps {
        let text = format!(
            "version: 1\nid: invoke.{name}\ntitle: t\nwhy: w\nsteps:\n  - connect\n  - negotiate\n  - {step}\n  - invoke: {{ method: ping }}\n"
        );
        std::fs::write(folder.join(format!("{name}.yaml")), text).expect("a file");
    }
    let folder = folder.to_str().expect("a readable path");
    let run = |options: &[&str]| called(&[&["-s", folder, "-c", "reference", "-r", "2025-11-25"], options].concat());
    assert_eq!(run(&["--allow-tool", "nothing"]), BTreeMap::new());
    assert_eq!(run(&["--allow-tool", "delete_*"]).get("delete_everything"), Some(&3));
}
