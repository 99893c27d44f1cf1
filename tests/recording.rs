//! Real clients through `record`: what is kept of them is whole and holds no secret, `check` judges them, `derive` makes
//! profiles of them that do the same again, and `replay` plays them against another server.

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
    let derived =
        run(&["derive", &shown(file), "--id", name, "--out", &shown(&profile), "--scenario", &shown(&scenario)]);
    assert!(derived.status.success(), "{name}: {}", text(&derived));
    let mut profiles = load(&profile, &shipped().expect("shipped")).unwrap_or_else(|error| panic!("{error}"));
    let (recorded, played) = (events(file), play(profiles.remove(0), &scenario, server));
    let told = compare(
        &requests(&View::new(&recorded), false),
        &requests(&View::new(&played), false),
        &Sameness::default(),
    );
    println!("{name}: {} of {} fields equal", told.equal(), told.fields);
    told
}

/// The fields that differ, each by its request and name.
fn differing(told: &Comparison) -> Vec<String> {
    told.differences.iter().map(|one| format!("{}: {}", one.request, one.field)).collect()
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

#[test]
fn mcp_remote_through_record() {
    goes_through("mcp-remote", "mcp-remote", "both", &["transport.http.session-client-delete"], &[]);
}

#[test]
fn the_inspector_through_record() {
    goes_through("inspector", "inspector", "both", &["transport.http.session-client-delete"], &[]);
}
