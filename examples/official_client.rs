//! The simulated client before the official suite: `conformance client --command target/debug/examples/official_client`.
//!
//! The suite names its scenario in the environment and the server as the last argument. What the client does there is a
//! scenario like any other; how it does it is the profile's and the library's. Says what happened on standard error.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mcp_rehearsal::client::{Drive, Entry, Hidden, Identity, KnownClient, Target, drive};
use mcp_rehearsal::model::{Revision, Rng, WallClock};
use mcp_rehearsal::profile::{self, OpensWith, Profile};
use mcp_rehearsal::scenario::{self, Scenario};
use mcp_rehearsal::transcript::{Event, EventKind};
use serde_json::{Value, json};

/// The suite ends only the shell around a client that takes longer than 30 s.
const DEADLINE: Duration = Duration::from_secs(25);
/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the client does once it is in, by the scenario of the suite; a name that ends in `/` stands for all below it.
const PLAYS: &[(&str, &[&str])] = &[
    ("initialize", &[]),
    ("tools_call", &["invoke: { tool: add_numbers, arguments: { a: 2, b: 3 } }"]),
    (
        "elicitation-sep1034-client-defaults",
        &["listen", "invoke: { tool: test_client_elicitation_defaults, arguments: {} }"],
    ),
    (
        "sse-retry",
        &[
            "invoke: { tool: test_reconnection, arguments: {}, as: call }",
            // Ends with the stream, which brings nothing.
            "await: { call: call, within: 5s }",
            "reconnect",
            "await: { call: call }",
        ],
    ),
    ("request-metadata", &["invoke: { method: tools/list }"]),
    (
        "http-standard-headers",
        &[
            "invoke: { tool: test_headers, arguments: {} }",
            "invoke: { tool: my-hyphenated-tool, arguments: {} }",
            "invoke: { method: resources/read, params: { uri: 'file:///path/to/file%20name.txt' } }",
            "invoke: { method: resources/read, params: { uri: 'https://example.com/resource?id=123' } }",
            "invoke: { method: prompts/get, params: { name: test_prompt } }",
        ],
    ),
    ("http-invalid-tool-headers", &["invoke: { tool: valid_tool, arguments: { region: eu } }"]),
    (
        "sep-2322-client-request-state",
        &[
            "together: [invoke: { tool: test_mrtr_echo_state, arguments: {} }, invoke: { tool: test_mrtr_unrelated, arguments: {} }]",
            "invoke: { tool: test_mrtr_no_state, arguments: {} }",
            "invoke: { tool: test_mrtr_no_result_type, arguments: {} }",
        ],
    ),
    ("json-schema-ref-no-deref", &[]),
    // The schema that is listed goes back in a second conversation.
    ("json-schema-2020-12-preservation", &[]),
    ("auth/", &["invoke: { method: tools/list }", "invoke: { tool: test-tool, arguments: {} }"]),
];

#[tokio::main]
async fn main() -> Result<()> {
    let played = tokio::time::timeout(DEADLINE, play()).await;
    played.with_context(|| format!("nothing came to an end within {} s", DEADLINE.as_secs()))?
}

async fn play() -> Result<()> {
    let url = std::env::args().next_back().context("give the address of the server as the last argument")?;
    let name = std::env::var("MCP_CONFORMANCE_SCENARIO").context("MCP_CONFORMANCE_SCENARIO names no scenario")?;
    let revision = std::env::var("MCP_CONFORMANCE_PROTOCOL_VERSION").unwrap_or_else(|_| "2025-11-25".to_owned());
    let revision: Revision = revision.parse().context("MCP_CONFORMANCE_PROTOCOL_VERSION is no known revision")?;
    let context: Value = match std::env::var("MCP_CONFORMANCE_CONTEXT") {
        Ok(text) => serde_json::from_str(&text).context("MCP_CONFORMANCE_CONTEXT is no JSON")?,
        Err(_) => Value::Null,
    };
    let (profile, target) = (Arc::new(profile_for(revision)?), Arc::new(target_at(&url, &name, &context)?));
    let play = |steps: Vec<String>| {
        let scenario = scenario_of(&name, &steps);
        let (profile, target) = (Arc::clone(&profile), Arc::clone(&target));
        async move {
            let clock = Arc::new(WallClock::new());
            let events =
                drive(Drive { scenario: Arc::new(scenario?), profile, target, clock, rng: Rng::from_system() }).await;
            tell(&events);
            Ok::<_, anyhow::Error>(events)
        }
    };
    let events = play(steps_of(&name, &context)?).await?;
    if let Some(schema) = schema_in(&events, "json_schema_2020_12_tool") {
        let arguments = json!({"schema": schema});
        let call = json!({"invoke": {"tool": "json_schema_echo", "arguments": arguments}});
        play(vec![call.to_string()]).await?;
    }
    Ok(())
}

/// The input schema of a tool in whatever came.
fn schema_in(events: &[Event], tool: &str) -> Option<Value> {
    let texts = events.iter().filter_map(|event| match &event.kind {
        EventKind::Body { text, .. } => Some(text.to_string()),
        EventKind::Sse { data, .. } => data.as_ref().map(ToString::to_string),
        _ => None,
    });
    texts.filter_map(|text| serde_json::from_str::<Value>(&text).ok()).find_map(|message| {
        let tools = message["result"]["tools"].as_array()?;
        tools.iter().find(|one| one["name"] == tool)?.get("inputSchema").cloned()
    })
}

/// Says what happened, for whoever looks into a failure.
#[expect(clippy::print_stderr, reason = "the suite shows it where a scenario fails")]
fn tell(events: &[Event]) {
    for event in events {
        match &event.kind {
            EventKind::Note { text } => eprintln!("{text}"),
            EventKind::LeftOut { why, .. } => eprintln!("left out: {why}"),
            EventKind::Request { method, target, body, .. } => {
                let body = body.as_ref().map(ToString::to_string).unwrap_or_default();
                eprintln!("{method} {target} {body}");
            }
            EventKind::Response { status, .. } => eprintln!("  {status}"),
            _ => {}
        }
    }
}

/// What the client does for this scenario of the suite.
fn steps_of(name: &str, context: &Value) -> Result<Vec<String>> {
    let own = PLAYS.iter().find(|(known, _)| *known == name || (known.ends_with('/') && name.starts_with(known)));
    match (own, context["toolCalls"].as_array()) {
        (Some((_, steps)), _) => Ok(steps.iter().map(ToString::to_string).collect()),
        (None, Some(calls)) => {
            let call = |call: &Value| json!({"invoke": {"tool": call["name"], "arguments": call["arguments"]}});
            Ok(calls.iter().map(|one| call(one).to_string()).collect())
        }
        (None, None) => bail!("there is no play for the scenario `{name}`"),
    }
}

/// Steps as a scenario, between coming in and leaving.
fn scenario_of(name: &str, steps: &[String]) -> Result<Scenario> {
    let mut text =
        "version: 1\nid: official.client\ntitle: A scenario of the official suite.\nwhy: It judges clients.\nsteps:\n"
            .to_owned();
    for step in ["connect", "negotiate"].into_iter().chain(steps.iter().map(String::as_str)).chain(["shutdown"]) {
        text.push_str("  - ");
        text.push_str(step);
        text.push('\n');
    }
    scenario::parse(name, &text).map_err(|wrong| anyhow::anyhow!(wrong.render(false)))
}

/// The client of this revision and of no other.
fn profile_for(revision: Revision) -> Result<Profile> {
    let text = include_str!("official_client/profile.yaml");
    let mut profile = profile::parse("profile.yaml", text, &profile::shipped()?)?;
    profile.opens_with.value = OpensWith(vec![revision]);
    Ok(profile)
}

fn target_at(url: &str, name: &str, context: &Value) -> Result<Target> {
    let text = |name: &str| context[name].as_str().map(str::to_owned);
    let client = text("client_id").map(|id| KnownClient {
        id,
        secret: text("client_secret").map(Hidden),
        ..KnownClient::default()
    });
    let entry = match (text("valid_jwt"), text("idp_id_token").map(Hidden)) {
        (Some(assertion), _) => Entry::Assertion(Hidden(assertion)),
        (None, Some(id_token)) => {
            let token_endpoint = text("idp_token_endpoint").context("the context names no token endpoint")?;
            let client = text("idp_client_id").context("the context names no client of the identity provider")?;
            Entry::Enterprise(Arc::new(Identity { token_endpoint, client, id_token }))
        }
        _ if name.starts_with("auth/client-credentials") => Entry::ClientCredentials,
        _ => Entry::Login,
    };
    let client_key = text("private_key_pem").map(Hidden);
    let target = Target::parse(url, PATIENCE)?;
    Ok(Target {
        asks_for_tokens: name.starts_with("auth/"),
        speaks_modern: true,
        reads_documents: true,
        client,
        client_key,
        entry,
        ..target
    })
}
