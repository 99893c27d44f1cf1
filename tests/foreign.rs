//! Servers that nobody here wrote: every shipped scenario with every client, compared with what was looked into by hand.
//!
//! Each difference from `snapshots/foreign_<name>.snap` is either news about that server or a false alarm of ours.
//! `docs/foreign-servers.md` says for each requirement in these files why it stands there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Two servers at a time, which mostly wait: more at once would make each other late.
static TURNS: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];
/// Which of the two the next one waits for.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// What a server does in some runs only, since it races with itself: a part of the line of a summary, or the requirement
/// whose whole paragraph comes and goes. No snapshot has it; `docs/foreign-servers.md` tells of it.
const SOMETIMES: &[(&str, &str)] = &[
    // Whether a timer runs when its input ends, and which stream an answer was lost on, depend on the moment.
    ("everything", "transport.stdio.inflight-on-eof"),
    ("rmcp", "transport.http.resume-no-foreign"),
    // Answers of parallel requests come in any order, and the first without the member is the one named.
    ("rmcp", "The result of prompts/list does not say which server gave it."),
    // Only when the stream of the client was open before the answer was cut.
    ("rmcp", "transport.http.get-no-response"),
];

#[expect(dead_code, reason = "another test uses the rest")]
mod outside;

use outside::{Program, installed, root};

/// Starts a server of `scripts/foreign`, which ends when what is given back is dropped; gives its URL as well.
fn start(name: &str) -> (Program, String) {
    let mut command = Command::new(root().join("scripts/foreign"));
    let (name, lifetime) = match name.strip_suffix("-short") {
        Some(name) => (name, "5"),
        None => (name, "3600"),
    };
    command.args(["run", name, "--until-eof"]).env("ACCESS_TTL", lifetime);
    let program = Program::start(command.stderr(Stdio::null()));
    let port = program.line("listening on ");
    (program, format!("http://127.0.0.1:{port}/mcp"))
}

fn rehearse(url: &str, options: &[&str], report: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"))
        .arg("run")
        // A command comes last, with the options.
        .args((!url.is_empty()).then_some(url))
        .args(["--quiet", "--jobs", "4", "--report"])
        .arg(format!("json={}", report.display()))
        .args(if options.contains(&"--patience") { &[][..] } else { &["--patience", "10"] })
        .args(options)
        .output()
        .expect("the program can be started");
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 10)), "exit code {code:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(report).expect("the report was written");
    serde_json::from_str(&text).expect("the report is JSON")
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What one broken requirement amounts to, over all cases.
#[derive(Default)]
struct Broken {
    level: String,
    says: BTreeSet<String>,
    clients: BTreeSet<String>,
    scenarios: BTreeSet<String>,
}

/// The report of this server without anything that differs from run to run.
fn summary(server: &str, report: &Value) -> String {
    let sometimes = |text: &str| SOMETIMES.contains(&(server, text));
    let made_up = regex::Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").expect("a pattern");
    let port = regex::Regex::new(r"127\.0\.0\.1:\d+").expect("a pattern");
    let mut broken: BTreeMap<String, Broken> = BTreeMap::new();
    let mut scenarios: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for case in list(&report["cases"]) {
        *scenarios.entry(text(case, "scenario")).or_default().entry(text(case, "outcome")).or_default() += 1;
        for story in list(&case["stories"]).iter().filter(|story| !sometimes(text(story, "id"))) {
            let entry = broken.entry(text(story, "id").to_owned()).or_default();
            let verdict = if story["fails"] == true { "fails" } else { "warns" };
            entry.level = format!("{verdict} ({})", story["level"].as_str().unwrap_or("scenario"));
            let says = made_up.replace_all(text(&story["breach"], "what"), "<id>");
            entry.says.insert(port.replace_all(&says, "127.0.0.1:<port>").into_owned());
            entry.clients.insert(format!("{}/{}", text(case, "profile"), text(case, "revision")));
            entry.scenarios.insert(text(case, "scenario").to_owned());
        }
    }
    let mut out = String::new();
    let counts = &report["counts"];
    for name in ["cases", "passed", "failed", "warned", "inconclusive", "not_applicable"] {
        let _ = writeln!(out, "{name}: {}", counts[name]);
    }
    let join = |items: &BTreeSet<String>| items.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    for (id, entry) in &broken {
        let _ = writeln!(out, "\n{id}: {}", entry.level);
        for says in entry.says.iter().filter(|says| !sometimes(says)) {
            let _ = writeln!(out, "  {says}");
        }
        let _ = writeln!(out, "  clients: {}", join(&entry.clients));
        let _ = writeln!(out, "  scenarios: {}", join(&entry.scenarios));
    }
    out.push('\n');
    for (id, outcomes) in &scenarios {
        let outcomes: Vec<String> = outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let _ = writeln!(out, "{id}: {}", outcomes.join(", "));
    }
    out
}

/// Rehearses the server with these options and compares with `snapshots/foreign_<told>.snap`.
fn compare(name: &str, options: &[&str], told: &str) {
    if !installed("scripts/foreign", name.trim_end_matches("-short")) {
        return;
    }
    let turn = &TURNS[NEXT.fetch_add(1, Ordering::Relaxed) % TURNS.len()];
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let (server, url) = start(name);
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("foreign-{told}.json"));
    let report = rehearse(&url, options, &report);
    drop(server);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("foreign_{told}"), summary(name, &report)));
}

/// Only which requirements were broken, for servers that another snapshot tells more of.
fn verdicts(server: &str, report: &Value) -> String {
    let whole = summary(server, report);
    let broken = |line: &&str| line.contains(": fails (") || line.contains(": warns (");
    whole.lines().filter(|line| !line.starts_with(' ')).filter(broken).collect::<Vec<_>>().join("\n")
}

/// Rehearses the server over another transport, as one client, and compares with `snapshots/foreign_<name>_<over>.snap`.
fn compare_over(name: &str, over: &str) {
    if !installed("scripts/foreign", name) {
        return;
    }
    let turn = &TURNS[NEXT.fetch_add(1, Ordering::Relaxed) % TURNS.len()];
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("foreign-{name}-{over}.json"));
    let client = ["-c", "reference", "-r", "2025-06-18"];
    let report = if over == "stdio" {
        let script = root().join("scripts/foreign").to_string_lossy().into_owned();
        let command = [&client[..], &["--", &script, "stdio", name]].concat();
        rehearse("", &command, &report)
    } else {
        let mut command = Command::new(root().join("scripts/foreign"));
        command.args(["run", name, "--until-eof"]).env("TRANSPORT", over);
        let program = Program::start(command.stderr(Stdio::null()));
        let port = program.line("listening on ");
        let url = match over {
            "websocket" => format!("ws://127.0.0.1:{port}/mcp"),
            _ => format!("http://127.0.0.1:{port}/sse"),
        };
        rehearse(&url, &client, &report)
    };
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("foreign_{name}_{over}"), verdicts(name, &report)));
}

#[test]
fn over_stdio() {
    for name in ["everything", "mcp", "fastmcp"] {
        compare_over(name, "stdio");
    }
}

#[test]
fn over_http_and_sse() {
    for name in ["everything", "mcp", "fastmcp"] {
        compare_over(name, "sse");
    }
}

/// The line 1 of the Python SDK speaks WebSocket; there was never another that did.
#[test]
fn over_websocket() {
    compare_over("mcp1", "websocket");
}

#[test]
fn everything() {
    compare("everything", &[], "everything");
}

/// Its tools have names of their own, so they have scenarios of their own.
#[test]
fn everything_by_its_own_names() {
    let options = ["--scenarios", "tests/foreign/everything/scenarios", "--allow-tool", "trigger-*"];
    compare("everything", &options, "everything_own");
}

#[test]
fn mcp() {
    compare("mcp", &[], "mcp");
}

#[test]
fn fastmcp() {
    compare("fastmcp", &[], "fastmcp");
}

/// An authorization server; the clients log in there, and tokens of five seconds end by themselves.
#[test]
fn oidc() {
    let scenarios = "authorize.*,refresh.*,revoke.*,expire.*,connect.auth*,connect.metadata-places";
    let clients = "reference,cursor,ts-sdk,py-sdk";
    compare("oidc", &["-s", scenarios, "-c", clients, "-r", "2025-11-25"], "oidc");
}

/// The same with a patience that outlasts its tokens.
#[test]
fn oidc_and_the_end_of_its_tokens() {
    compare("oidc-short", &["-s", "refresh.mid-session", "-c", "reference,ts-sdk", "--patience", "45"], "oidc_short");
}

#[test]
fn rmcp() {
    compare("rmcp", &[], "rmcp");
}

/// What the documentation says about a snapshot: its row, and every requirement in it by name. Needs no server.
#[test]
fn the_documentation_knows_each_snapshot() {
    let read =
        |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let documentation = read("docs/foreign-servers.md");
    let broken = regex::Regex::new(r"(?m)^(\S+): (?:fails|warns) \(").expect("a pattern");
    let explained = |name: &str, snapshot: &str| {
        for found in broken.captures_iter(snapshot) {
            let told = format!("`{}`", &found[1]);
            assert!(documentation.contains(&told), "{name}: nothing is written about {told}");
        }
    };
    for name in ["everything", "everything_own", "mcp", "fastmcp", "rmcp", "oidc", "oidc_short"] {
        let snapshot = read(&format!("snapshots/foreign_{name}.snap"));
        let count = |name: &str| {
            let start = format!("{name}: ");
            snapshot.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or("none").to_owned()
        };
        let numbers = ["cases", "passed", "failed", "warned", "not_applicable"].map(count).join(" | ");
        let row = documentation.lines().find(|line| line.starts_with(&format!("| {name} ")));
        assert!(
            row.is_some_and(|row| row.contains(&format!(" | {numbers} | "))),
            "the row of {name} has to say {numbers}"
        );
        explained(name, &snapshot);
    }
    for name in
        ["everything_stdio", "everything_sse", "mcp_stdio", "mcp_sse", "fastmcp_stdio", "fastmcp_sse", "mcp1_websocket"]
    {
        explained(name, &read(&format!("snapshots/foreign_{name}.snap")));
    }
}
