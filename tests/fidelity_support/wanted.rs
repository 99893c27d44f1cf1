//! What a real client sent, from the log of a capture.

use std::path::Path;

use mcp_rehearsal::recording::fidelity::{Sent, body_of};
use mcp_rehearsal::transcript::Headers;
use serde_json::{Value, json};

/// A run of a real client.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Its requests, but for those that belong to the situation and not to the client.
    pub(crate) sent: Vec<Sent>,
    /// What its user did: calls of tools, and lists that were asked for after the first of them.
    pub(crate) calls: Vec<(String, Value)>,
    /// The origins of the run, with the words for them.
    pub(crate) words: Vec<(String, String)>,
}

/// Reads a log; `None` where there is none.
pub(crate) fn read(path: &Path) -> Option<Wanted> {
    let text = std::fs::read_to_string(path).ok()?;
    let events: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut wanted = Wanted::default();
    let mut calls_began = false;
    for event in &events {
        if event["ev"] == "run_start" {
            for name in ["url", "issuer"] {
                let origin = event[name].as_str().unwrap_or_default().trim_end_matches("/mcp");
                wanted.words.push((origin.to_owned(), "{origin}".to_owned()));
            }
        }
        if event["ev"] != "req" || event["role"] == "llm" {
            continue;
        }
        let headers: Headers = serde_json::from_value(event["headers"].clone()).unwrap_or_default();
        let text = event["body"].as_str().unwrap_or_default();
        let body = body_of(&headers, text);
        let message = body.clone().unwrap_or_default();
        let method = message["method"].as_str().unwrap_or_default();
        // What follows a round of questions is another situation.
        if message["params"].get("inputResponses").is_some() {
            break;
        }
        // A person's browser came by here; only what it was asked to open is the client's.
        let by_browser = headers.iter().any(|(_, value)| value.starts_with("FakeBrowser"));
        let is_answer = message.is_object() && method.is_empty() && message.get("id").is_some();
        // The slow tool of the capturing server, and giving up on it, was the test's.
        let gives_up = method == "notifications/cancelled" && message["params"]["reason"] != OPENCODE;
        if is_answer || gives_up {
            continue;
        }
        calls_began |= method == "tools/call";
        if calls_began && (method == "tools/call" || method.ends_with("/list")) {
            let mut params = message["params"].clone();
            if let Some(params) = params.as_object_mut() {
                params.shift_remove("_meta");
            }
            wanted.calls.push((method.to_owned(), if method == "tools/call" { params } else { json!({}) }));
        }
        wanted.sent.push(Sent {
            method: event["method"].as_str().unwrap_or_default().to_owned(),
            path: event["path"].as_str().unwrap_or_default().to_owned(),
            headers: if by_browser { Vec::new() } else { headers },
            body,
        });
    }
    Some(wanted)
}

/// The reason that a client gives for cancelling calls that were answered.
const OPENCODE: &str = "AbortError: The operation was aborted.";
