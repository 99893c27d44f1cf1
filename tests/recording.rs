//! Real clients through `record`: what is kept of them is whole and holds no secret, `check` judges them, `derive` makes
//! profiles of them that do the same again, and `replay` plays them against another server.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::client::{Drive, Target, drive};
use mcp_rehearsal::model::{Revision, Rng, WallClock};
use mcp_rehearsal::profile::{Profile, load, shipped};
use mcp_rehearsal::recording::fidelity::{Comparison, Sameness, compare};
use mcp_rehearsal::recording::{over_transports, requests};
use mcp_rehearsal::scenario;
use mcp_rehearsal::transcript::{Event, View};
use serde_json::Value;

#[expect(dead_code, reason = "another test uses the rest")]
mod outside;

use outside::{Program, Serve, http, installed, root};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mcp-rehearsal");

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().expect("the program can be started")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// `record` before a server.
struct Recording {
    program: Program,
    file: PathBuf,
    origin: String,
}

impl Recording {
    fn start(name: &str, server: &Serve) -> Self {
        let file = place(&format!("{name}.jsonl"));
        let _ = std::fs::remove_file(&file);
        let url: url::Url = server.url("serving").parse().expect("a URL");
        let mut command = Command::new(PROGRAM);
        command.args(["record", "--listen", "127.0.0.1:0", "--upstream", url.origin().ascii_serialization().as_str()]);
        command.arg("--out").arg(&file);
        let program = Program::start(&mut command);
        let origin = format!("http://{}", program.line("listening"));
        program.line("recording");
        Self { program, file, origin }
    }

    /// Ends it as a supervisor would, and gives the file.
    fn end(mut self) -> PathBuf {
        self.program.signal("TERM");
        assert!(self.program.end().success(), "a recording that is ended is no failure");
        self.file
    }
}

/// A client that speaks and leaves, by `scripts/real-clients speak`.
fn speak(name: &str, url: &str) {
    let script = root().join("scripts/real-clients");
    let output = Command::new(script).args(["speak", name, url]).stdin(Stdio::null()).output().expect("a script");
    assert!(output.status.success(), "{name}: {}", text(&output));
    assert!(text(&output).contains("This is a simple text response"), "{name}: {}", text(&output));
}

fn events(file: &Path) -> Vec<Event> {
    let reading = mcp_rehearsal::recording::load(file).expect("readable");
    assert!(reading.sealed, "{}: it is whole", file.display());
    over_transports(reading.events)
}

/// What the profile's client does in the situation of the recording.
fn play(profile: Profile, scenario: &Path, server: &Serve) -> Vec<Event> {
    let mut profile = profile;
    if profile.modern.value.is_some() {
        profile.opens_with.value.0.insert(0, Revision::V2026_07_28);
    }
    let scenario = scenario::load_file(scenario).unwrap_or_else(|error| panic!("{}", error.render(false)));
    let target = Target::parse(server.url("serving"), Duration::from_secs(30)).expect("a target");
    let drive_it = Drive {
        scenario: Arc::new(scenario),
        profile: Arc::new(profile),
        target: Arc::new(target),
        clock: Arc::new(WallClock::new()),
        rng: Rng::seeded(1),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(drive(drive_it))
}

/// Derives a profile of a recording, has its client do the same again, and compares the two request by request.
fn fidelity(name: &str, file: &Path, server: &Serve) -> Comparison {
    let (profile, scenario) = (place(&format!("{name}.yaml")), place(&format!("{name}.scenario.yaml")));
    let shown = |path: &Path| path.display().to_string();
    let id = format!("recorded-{name}");
    let derived =
        run(&["derive", &shown(file), "--id", &id, "--out", &shown(&profile), "--scenario", &shown(&scenario)]);
    assert!(derived.status.success(), "{name}: {}", text(&derived));
    let mut profiles = load(&profile, &shipped().expect("shipped")).unwrap_or_else(|error| panic!("{error}"));
    let (recorded, played) = (events(file), play(profiles.remove(0), &scenario, server));
    let wanted = requests(&View::new(&recorded), false);
    let told = compare(&wanted, &requests(&View::new(&played), false), &Sameness::default());
    // Past the capture of the test runner, so that a passing test says it as well.
    let _ = writeln!(std::io::stderr(), "{name}: {} of {} fields agree", told.equal(), told.fields);
    told
}

/// The fields that differ, each by its request and name.
fn differing(told: &Comparison) -> Vec<String> {
    let mut fields: Vec<String> =
        told.differences.iter().map(|one| format!("{}: {}", one.request, one.field)).collect();
    // When a stream is opened beside other requests is chance.
    fields.sort_unstable();
    fields
}

/// A client through everything. `wrong` are the requirements that it is known not to keep, and `differs` the fields in which
/// the client of its derived profile is known to differ.
fn goes_through(name: &str, client: &str, era: &str, wrong: &[&str], differs: &[&str]) {
    if !installed("scripts/real-clients", client) {
        return;
    }
    let server = Serve::start(&["--era", era]);
    let recording = Recording::start(name, &server);
    speak(client, &format!("{}/mcp", recording.origin));
    let file = recording.end();

    let report = place(&format!("{name}.json"));
    let judged = run(&["check", &file.display().to_string(), "--report", &format!("json={}", report.display())]);
    assert!(judged.status.success(), "{name}: {}", text(&judged));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&report).expect("a report")).expect("JSON");
    let cases = report["cases"].as_array().expect("cases");
    let broken = |party: &str| -> Vec<String> {
        let case = cases.iter().find(|case| case["profile"] == party).expect("a case for each party");
        let stories = case["stories"].as_array().into_iter().flatten();
        stories.filter_map(|story| story["id"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(broken("server"), [""; 0], "{name}: the reference server keeps its own rules");
    assert_eq!(broken("client"), wrong, "{name}");

    assert_eq!(differing(&fidelity(name, &file, &server)), differs, "{name}");

    let other = Serve::start(&["--era", era]);
    let played = run(&["replay", &file.display().to_string(), other.url("serving")]);
    assert!(played.status.success(), "{name}: {}", text(&played));
}

#[test]
fn the_typescript_sdk_through_record() {
    goes_through("typescript", "typescript", "both", &[], &[]);
}

#[test]
fn the_python_sdk_through_record() {
    goes_through("python", "mcp", "both", &[], &[]);
}

#[test]
fn the_python_sdk_of_the_older_era_through_record() {
    goes_through("python-legacy", "mcp", "legacy", &[], &[]);
}

/// It is two clients in one, each with ids and a member order of its own, and asks twice whether anybody is there before
/// either of them begins. A profile is of one client, and says of such questions only which they are.
#[test]
fn mcp_remote_through_record() {
    let differs = [
        "GET /mcp #2: header accept",
        "GET /mcp #2: header user-agent",
        "GET /mcp: header accept",
        "GET /mcp: spelling of accept",
        "POST initialize: order of body",
    ];
    goes_through("mcp-remote", "mcp-remote", "both", &["transport.http.session-client-delete"], &differs);
}

#[test]
fn the_inspector_through_record() {
    goes_through("inspector", "inspector", "both", &["transport.http.session-client-delete"], &[]);
}

/// The whole login passes the proxy, and nothing secret is in the file.
#[test]
fn a_login_through_record_leaves_no_secret() {
    if !installed("scripts/real-clients", "typescript") {
        return;
    }
    let server = Serve::start(&["--auth", "oauth"]);
    let recording = Recording::start("login", &server);
    let mut command = Command::new(root().join("scripts/real-clients"));
    command.args(["run", "typescript", &format!("{}/mcp", recording.origin)]);
    let mut client = Program::start(&mut command);
    client.line("{\"ok\":true");
    assert!(client.end().success());
    let file = recording.end();
    let kept = std::fs::read_to_string(&file).expect("readable");
    for (before, label) in [
        ("Bearer ", "access#"),
        ("access_token\\\":\\\"", "access#"),
        ("code_verifier=", "verifier#"),
        ("code=", "code#"),
    ] {
        let found: Vec<&str> = kept.split(before).skip(1).collect();
        assert!(found.iter().any(|rest| rest.starts_with(label)), "{before} is there");
        // What names a parameter of the challenge is no token.
        let secret = |rest: &&&str| {
            !rest.starts_with(label) && !rest.starts_with("resource_metadata") && !rest.starts_with("realm")
        };
        assert_eq!(found.iter().find(secret).map(|rest| &rest[..20.min(rest.len())]), None, "after {before}");
    }
    let judged = run(&["check", &file.display().to_string()]);
    assert!(judged.status.success(), "{}", text(&judged));
    // The same login again, with a client, codes and tokens of the other server's own.
    let other = Serve::start(&["--auth", "oauth"]);
    let played = run(&["replay", &file.display().to_string(), other.url("serving")]);
    assert!(played.status.success(), "{}", text(&played));
    // A server that asks nobody in departs at the first request.
    let open = Serve::start(&[]);
    let played = run(&["replay", &file.display().to_string(), open.url("serving")]);
    assert_eq!(played.status.code(), Some(10), "{}", text(&played));
    let told = text(&played);
    assert!(told.contains("request 1 of") && told.contains("answered with 401, this one with 200"), "{told}");
}

/// A client that starts its server by a command is told to start `record` in its place.
#[test]
fn a_command_through_record() {
    if !installed("scripts/real-clients", "typescript") {
        return;
    }
    let file = place("stdio.jsonl");
    let _ = std::fs::remove_file(&file);
    let shown = file.display().to_string();
    let script = root().join("scripts/real-clients");
    let words = [
        "speak",
        "typescript",
        "--",
        PROGRAM,
        "record",
        "--out",
        &shown,
        "--",
        PROGRAM,
        "serve",
        "--transport",
        "stdio",
    ];
    let output = Command::new(script).args(words).stdin(Stdio::null()).output().expect("a script");
    assert!(text(&output).contains("This is a simple text response"), "{}", text(&output));
    let judged = run(&["check", &shown]);
    assert!(judged.status.success(), "{}", text(&judged));
    let recorded = events(&file);
    let methods: Vec<String> = View::new(&recorded)
        .messages
        .iter()
        .filter(|msg| !msg.received())
        .filter_map(|msg| msg.method().map(str::to_owned))
        .collect();
    assert_eq!(methods, ["initialize", "notifications/initialized", "tools/list", "tools/call"]);
    let played = run(&["replay", &shown, "--", PROGRAM, "serve", "--transport", "stdio"]);
    assert!(played.status.success(), "{}", text(&played));
    let elsewhere = run(&["replay", &shown, "http://127.0.0.1:9/mcp"]);
    assert_eq!(elsewhere.status.code(), Some(2), "{}", text(&elsewhere));
    assert!(text(&elsewhere).contains("name a server of the same transport"), "{}", text(&elsewhere));
}

/// A short recording of a client that speaks raw HTTP; `kill` ends `record` without giving it a moment.
fn small(name: &str, kill: bool) -> PathBuf {
    let server = Serve::start(&[]);
    let recording = Recording::start(name, &server);
    let url = format!("{}/mcp", recording.origin);
    let both = ("accept", "application/json, text/event-stream");
    let hello = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "by-hand", "version": "1"}}});
    let (status, _) = http("POST", &url, &[both, ("x-api-key", "a-key-of-the-person")], Some(&hello));
    assert_eq!(status, 200);
    let list = serde_json::json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    http("POST", &url, &[both], Some(&list));
    if kill {
        recording.program.signal("KILL");
        return recording.file;
    }
    recording.end()
}

#[test]
fn what_was_seen_before_a_sudden_end_is_kept() {
    let file = small("killed", true);
    let reading = mcp_rehearsal::recording::load(&file).expect("readable");
    assert!(!reading.sealed && reading.events.len() >= 8, "{} events", reading.events.len());
    let kept = std::fs::read_to_string(&file).expect("readable");
    assert!(kept.contains("header#1") && !kept.contains("a-key-of-the-person"));
    let judged = run(&["check", &file.display().to_string()]);
    assert!(text(&judged).contains("the last line, which seals a recording, is missing"), "{}", text(&judged));
    // It asks for tools without its session, without a version, and before it said that it was ready.
    assert_eq!(judged.status.code(), Some(10), "{}", text(&judged));
    assert!(text(&judged).contains("transport.http.session-client-echo"), "{}", text(&judged));
}

#[test]
fn recordings_that_are_none_or_were_changed_are_told_by_line() {
    let whole = std::fs::read_to_string(small("whole", false)).expect("readable");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let file = place("damaged.jsonl");
    let shown = file.display().to_string();
    let without = |at: usize| -> String {
        lines.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, line)| *line).collect()
    };
    let damaged = [
        (whole.replacen("by-hand", "by-foot", 1), "the digest is not that of the lines before it"),
        (without(3), "line 4: event"),
        (
            whole.replacen("mcp_rehearsal_transcript\":1", "mcp_rehearsal_transcript\":7", 1),
            "line 1: the transcript has format version 7",
        ),
        (format!("{whole}{}", lines[1]), "something follows the end"),
        (whole.replacen("\"type\":\"response\"", "\"type\":\"reply\"", 1), "not an event: unknown variant `reply`"),
        (String::new(), "line 1: this is no transcript"),
        ("<html></html>".to_owned(), "line 1: this is no transcript"),
    ];
    for (content, wanted) in damaged {
        std::fs::write(&file, content).expect("written");
        for command in [vec!["check", &shown], vec!["derive", &shown], vec!["replay", &shown, "http://127.0.0.1:9/mcp"]]
        {
            let told = run(&command);
            assert_eq!(told.status.code(), Some(3), "{command:?}: {}", text(&told));
            assert!(text(&told).contains(wanted) && text(&told).contains("damaged.jsonl"), "{wanted}: {}", text(&told));
        }
    }
    // What is left of one that was cut in the middle of a line is used.
    std::fs::write(&file, &whole[..whole.len() * 2 / 3]).expect("written");
    let told = run(&["derive", &shown]);
    assert!(told.status.success() && text(&told).contains("is cut; the"), "{}", text(&told));
    let missing = run(&["check", "/no/such/file"]);
    assert_eq!(missing.status.code(), Some(3), "{}", text(&missing));
    let header: String = lines[..1].concat();
    std::fs::write(&file, header).expect("written");
    let codes = [vec!["check", &shown], vec!["derive", &shown], vec!["replay", &shown, "http://127.0.0.1:9/mcp"]]
        .map(|command| run(&command).status.code());
    assert_eq!(codes, [Some(4), Some(3), Some(4)], "there is nothing in it");
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let file = small("alone", false).display().to_string();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    drop(listener);
    let told = run(&["replay", &file, &nobody]);
    assert_eq!(told.status.code(), Some(12), "{}", text(&told));
    assert!(text(&told).contains("is the server running"), "{}", text(&told));
    // Through the proxy the client sees its connection closed, and the recording says why.
    let gone = place("gone.jsonl");
    let _ = std::fs::remove_file(&gone);
    let mut command = Command::new(PROGRAM);
    command.args(["record", "--listen", "127.0.0.1:0", "--upstream", nobody.trim_end_matches("/mcp")]);
    let mut program = Program::start(command.arg("--out").arg(&gone));
    let address = program.line("listening");
    program.line("recording");
    let mut socket = std::net::TcpStream::connect(address).expect("somebody listens");
    socket.write_all(b"GET /mcp HTTP/1.1\r\nhost: h\r\n\r\n").expect("written");
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut socket, &mut rest);
    program.signal("INT");
    assert!(program.end().success());
    let kept = std::fs::read_to_string(&gone).expect("readable");
    assert!(kept.contains("the server could not be reached"), "{kept}");
}

#[test]
fn profiles_of_ones_own_are_played_and_wrong_ones_told() {
    let file = small("own", false).display().to_string();
    let profile = place("own.yaml");
    let shown = profile.display().to_string();
    let derived = run(&["derive", &file, "--id", "my-client", "--out", &shown]);
    assert!(derived.status.success(), "{}", text(&derived));
    let played = run(&["run", "--profiles", &shown, "-c", "my-client", "-s", "negotiate.minimal-capabilities", "-q"]);
    assert!(played.status.success() && text(&played).contains("my-client"), "{}", text(&played));
    let written = std::fs::read_to_string(&profile).expect("readable");
    for (content, wanted) in [
        (written.replacen("  listing", "  colour", 1), "fields.colour: is no field of a profile"),
        (written.replacen("my-client", "ts-sdk", 1), "is the name of another client already"),
        (written.replacen("fields:", "fields: [", 1), "is not readable YAML"),
    ] {
        std::fs::write(&profile, content).expect("written");
        let told = run(&["run", "--profiles", &shown, "-c", "my-client"]);
        assert_eq!(told.status.code(), Some(3), "{}", text(&told));
        assert!(text(&told).contains(wanted) && text(&told).contains("own.yaml"), "{}", text(&told));
    }
}
