//! Every shipped profile loads, agrees with the capture it comes from, and refuses nonsense by name.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::profile::{Accepts, Evidence, Header, KeyOrder, OnSession404, parse};

/// Profiles that were read off the wire, and the capture each came from.
const CAPTURED: &[(&str, &str)] = &[
    ("ai-sdk-mcp", "ai-sdk-mcp.json"),
    ("claude-code", "claude-code.json"),
    ("cline", "cline.json"),
    ("codex-cli", "codex-cli.json"),
    ("continue-cli", "continue-cli.json"),
    ("copilot-cli", "copilot-cli.json"),
    ("fastmcp", "fastmcp.json"),
    ("gemini-cli", "gemini-cli.json"),
    ("langchain", "langchain.json"),
    ("mcp-inspector-cli", "mcp-inspector-cli.json"),
    ("mcp-use-js", "mcp-use-js.json"),
    ("mcp-use-py", "mcp-use-py.json"),
    ("openai-agents", "openai-agents.json"),
    ("openai-agents-js", "openai-agents-js.json"),
    ("opencode", "opencode.json"),
    ("py-sdk", "py-sdk.json"),
    ("py-sdk-v1", "py-sdk-v1.json"),
    ("qwen-code", "qwen-code.json"),
    ("rmcp", "rmcp.json"),
    ("ts-client-v2", "ts-client-v2.json"),
    ("ts-sdk", "ts-sdk.json"),
];

fn of(id: &str) -> Profile {
    find(id).unwrap().unwrap_or_else(|| panic!("no profile {id}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The captures stand beside the project, or where `REHEARSAL_SHARED` says; not everybody has them.
fn capture(file: &str) -> Option<Value> {
    let shared = std::env::var_os("REHEARSAL_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let text = std::fs::read_to_string(shared.join("clients/captures").join(file)).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

fn names(headers: &[Header]) -> Vec<&str> {
    headers.iter().map(|header| header.name.as_str()).collect()
}

fn assert_same_headers(id: &str, ours: &[Header], theirs: &Value) {
    let theirs: Vec<(String, String)> = serde_json::from_value(theirs.clone()).unwrap();
    let order: Vec<&str> = theirs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names(ours), order, "{id}");
    for (ours, (name, value)) in ours.iter().zip(&theirs) {
        assert!(ours.value.starts_with('{') || ours.value == *value, "{id}: {name} is {value}, not {}", ours.value);
    }
}

/// Compares an order of names, leaving out `Mcp-Name`, which only calls by name carry.
fn assert_same_order(id: &str, ours: &[Header], theirs: &Value) {
    let theirs: Vec<String> = serde_json::from_value(theirs.clone()).unwrap();
    let mut order = names(ours);
    order.retain(|name| !name.eq_ignore_ascii_case("mcp-name"));
    assert_eq!(order, theirs, "{id}");
}

#[test]
fn every_file_is_listed_and_loads() {
    let profiles = shipped().unwrap();
    assert_eq!(profiles[0].id(), "reference");
    let mut on_disk: Vec<String> = std::fs::read_dir(root().join("fixtures/profiles"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    on_disk.sort();
    let mut listed: Vec<String> = FILES.iter().map(|(file, _)| (*file).to_owned()).collect();
    listed.sort();
    assert_eq!(listed, on_disk, "FILES and fixtures/profiles differ");
    for profile in &profiles {
        assert!(listed.contains(&format!("{}.yaml", profile.id())), "{}", profile.id());
        assert_eq!(find(profile.id()).unwrap().as_ref(), Some(profile), "{} read alone", profile.id());
    }
    assert!(ids().eq(profiles.iter().map(Profile::id)));
    assert_eq!(find("no-such-client").unwrap(), None);
}

#[test]
fn captured_profiles_equal_their_captures() {
    for (id, file) in CAPTURED {
        let Some(capture) = capture(file) else {
            // The test still holds the profiles of whoever has the captures.
            note_absence(file);
            continue;
        };
        let profile = of(id);
        let params = &capture["initialize"]["params"];
        let named = profile.names_version.value.as_ref().map(|other| json!([other.says]));
        let named = named.unwrap_or_else(|| json!(profile.opens_with.value));
        assert_eq!(named, json!([params["protocolVersion"]]), "{id}");
        assert_eq!(json!(profile.client_info.value), params["clientInfo"], "{id}");
        assert_eq!(json!(profile.capabilities.value), params["capabilities"], "{id}");
        assert_eq!(profile.first_request_id.value, capture["initialize_id"], "{id}");
        let method_first = capture["initialize_raw"].as_str().unwrap().starts_with("{\"method\"");
        assert_eq!(profile.key_order.value != KeyOrder::JsonrpcFirst, method_first, "{id}");
        let http = &capture["http"];
        assert_eq!(profile.user_agent.value, http["user_agent"].as_str().unwrap_or_default(), "{id}");
        assert_same_headers(id, &profile.headers_initialize.value, &capture["initialize_headers"]);
        assert_same_order(id, &profile.headers_post.value, &http["header_order_after_initialize"]);
        assert_same_order(id, &profile.headers_get.value, &http["opens_get_stream"]["header_order"]);
        assert_eq!(json!(profile.delete_on_exit.value), http["sends_delete_on_exit"], "{id}");
        if profile.delete_on_exit.value {
            assert_same_order(id, &profile.headers_delete.value, &http["delete_header_order"]);
        }
        assert_eq!(json!(profile.probe.value.is_some()), capture["probes_server_discover_first"], "{id}");
        if let Some(probe) = &profile.probe.value {
            assert_eq!(probe.id, capture["server_discover"]["body"]["id"], "{id}");
            assert_same_headers(id, &probe.headers, &capture["server_discover"]["headers"]);
        }
        let fallbacks = &capture["fallbacks"];
        if let Some(unknown) = fallbacks.get("badver") {
            let takes_any = profile.accepts_versions.value == Accepts::Any;
            assert_eq!(json!(takes_any), unknown["outcome"]["accepted"], "{id}");
        }
        if let Some(paged) = fallbacks.get("paged") {
            assert_eq!(json!(profile.follows_cursor.value), paged["outcome"]["follows_nextCursor"], "{id}");
        }
        if let Some(lost) = fallbacks.get("sess404").map(|lost| &lost["outcome"]) {
            let comes_back = profile.on_session_404.value != OnSession404::Fail;
            assert_eq!(json!(comes_back), lost["re_initializes"], "{id}");
            let repeats = profile.on_session_404.value == OnSession404::ReinitializeAndRetry;
            assert_eq!(json!(repeats), lost["retries_failed_request_in_new_session"], "{id}");
        }
        let header = http["mcp_protocol_version_header_sent_after_initialize"].as_str();
        assert_eq!(profile.version_header.value, header.is_some_and(|value| value != "ABSENT"), "{id}");
        assert_eq!(profile.client_info.evidence, Evidence::Captured, "{id}");
        assert_eq!(profile.headers_initialize.evidence, Evidence::Captured, "{id}");
    }
    if let Some(capture) = capture("mcp-remote.json") {
        let profile = of("claude-desktop-remote");
        let first = profile.probe_session.value.as_ref().unwrap();
        let params = &capture["initialize"]["params"];
        assert_eq!(json!(first.client_info), params["clientInfo"]);
        assert_eq!(json!(first.capabilities), params["capabilities"]);
        assert_eq!(json!(first.opens_with), json!([params["protocolVersion"]]));
        assert_same_headers("mcp-remote", &profile.headers_initialize.value, &capture["initialize_headers"]);
        assert_same_order("mcp-remote", &profile.headers_post.value, &capture["http"]["header_order_after_initialize"]);
        assert_same_order(
            "mcp-remote",
            &profile.headers_get.value,
            &capture["http"]["opens_get_stream"]["header_order"],
        );
        let before = capture["sequence"].as_array().unwrap().iter().take_while(|step| step["jsonrpc"].is_null());
        let before: Vec<&str> = before.map(|step| step["request"].as_str().unwrap()).collect();
        let ours: Vec<String> = profile
            .pre_requests
            .value
            .iter()
            .map(|request| format!("{} {}", request.method, request.path.replace("{endpoint}", "/mcp")))
            .collect();
        assert_eq!(ours, before);
    }
}

#[expect(clippy::print_stderr, reason = "a skipped comparison has to be visible to whoever runs the tests")]
fn note_absence(file: &str) {
    eprintln!("note: {file} is not here (set REHEARSAL_SHARED); its profile was not compared");
}

#[test]
fn what_is_unknown_comes_from_the_sdk_and_says_so() {
    let cursor = of("cursor");
    assert_eq!(cursor.headers_initialize.evidence, Evidence::Assumed);
    assert!(cursor.headers_initialize.reference.starts_with("as ts-sdk: "), "{}", cursor.headers_initialize.reference);
    assert_eq!(cursor.client_info.evidence, Evidence::Reported);
    let desktop = of("claude-desktop");
    assert!(desktop.capabilities.value.is_empty());
    let variant = of("claude-desktop-sampling");
    assert!(variant.capabilities.value.contains_key("sampling"));
    assert_eq!(variant.client_info, desktop.client_info, "a variant shares what it does not change");
}

#[test]
fn the_reference_is_nobody() {
    let reference = of("reference");
    assert_eq!(json!(reference.opens_with.value), json!(["2025-11-25", "2025-06-18", "2025-03-26"]));
    assert_eq!(reference.client_info.evidence, Evidence::Assumed);
    assert!(reference.about.title.contains("no real client"));
    for capability in ["roots", "sampling", "elicitation"] {
        assert!(reference.capabilities.value.contains_key(capability));
    }
}

/// A profile as its file has it.
fn written(file: &str) -> String {
    std::fs::read_to_string(root().join("fixtures/profiles").join(file)).unwrap()
}

#[test]
fn the_program_holds_what_the_files_say() {
    for (file, json) in FILES {
        // Texts are compared, not values: the order of members is what a client puts on the wire.
        let said: Value = serde_saphyr::from_str(&written(file)).unwrap();
        assert_eq!(*json, said.to_string(), "{file}");
    }
}

/// The text of the reference profile with one line changed.
fn changed(from: &str, to: &str) -> ProfileError {
    let text = written("reference.yaml");
    assert!(text.contains(from), "the reference profile lost `{from}`");
    parse("mine.yaml", &text.replacen(from, to, 1), &[]).unwrap_err()
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    let error = changed("  key_order:", "  keyorder:");
    assert_eq!((error.file.as_str(), error.field.as_str()), ("mine.yaml", "fields.keyorder"));
    let error = changed("client: none", "client: none\ncolour: red");
    assert_eq!(error.field, "colour");
    let error = changed("{ value: jsonrpc-first }", "{ value: jsonrpc-last }");
    assert_eq!(error.field, "fields.key_order");
    assert!(error.to_string().starts_with("mine.yaml: fields.key_order: "), "{error}");
    let error = changed("{ value: jsonrpc-first }", "{ evidence: assumed }");
    assert_eq!(error.field, "fields.key_order");
}

#[test]
fn a_missing_value_is_refused_where_nothing_stands_in() {
    let error = changed("  listing:", "  listing: null\n  answers: null\n  unused:");
    assert_eq!(error.field, "(file)", "a field given twice is no YAML: {error}");
    let error = changed("client: none", "client: none\nsdk: no-such-sdk");
    assert_eq!(error.field, "sdk");
    let error = changed("title: ", "titel: ");
    assert_eq!(error.field, "title");
}

#[test]
fn contradictions_are_refused_by_name() {
    let error = changed(
        "elicitation: { result: { action: decline } }",
        "elicitation: { error: { code: -32601, message: refused } }",
    );
    assert_eq!(error.field, "fields.answers.elicitation");
    assert!(error.fix.contains("do not declare it"), "{error}");
    let error = changed("first_request_id: { value: 1", "first_request_id: { value: true");
    assert_eq!(error.field, "fields.first_request_id");
    let error = changed("after: accept", "after: x-nothing");
    assert_eq!(error.field, "fields.authorization");
    let error = changed("'2025-03-26'", "'2025-03-27'");
    assert_eq!(error.field, "fields.opens_with");
    let error = changed("'{length}'", "'{size}'");
    assert_eq!(error.field, "fields.modern");
    let error = changed("'{length}']\n  headers_post", "'{size}']\n  headers_post");
    assert_eq!(error.field, "fields.headers_initialize");
    let error = changed("stated: {", "stated: { colour: red,");
    assert_eq!(error.field, "stated.colour");
    let error = changed(
        "names_version: { value: null }",
        "names_version: { value: { says: '2099-01-01', instead_of: '2024-11-05' } }",
    );
    assert_eq!(error.field, "fields.names_version");
}

#[test]
fn one_resolved_profile_in_full() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_json_snapshot!("profile-cursor", of("cursor")));
}
