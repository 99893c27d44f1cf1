//! The whole binary: wrong arguments, unreadable scenarios, targets that are down, reports, colours, interruption.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_rehearsal::model::{Clock as _, WallClock};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

#[expect(dead_code, reason = "another test uses the rest")]
mod hostile;

use hostile::{Hostile, Ran, Then, answer, program, run};

/// A folder of a test's own, empty, inside the build folder.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // It may be left from an earlier run, or not be there.
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a folder");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Runs with the embedded server and one small case.
async fn small(more: &[&str]) -> Ran {
    run(&[&["run", "-q", "-s", "connect.first-contact", "-c", "cursor"], more].concat()).await
}

fn told(ran: &Ran, code: i32, words: &str) {
    assert_eq!(ran.code, Some(code), "{ran:#?}");
    assert!(ran.text().contains(words), "`{words}` is not told: {ran:#?}");
    assert!(!ran.text().contains("panicked"), "{ran:#?}");
}

#[tokio::test]
async fn wrong_arguments_are_told_with_what_there_is() {
    let table: &[(&[&str], &str)] = &[
        (&["run", "-s", "connect.nothing"], "no scenario is called `connect.nothing`"),
        (&["run", "-c", "nobody"], "no client is called `nobody`"),
        (&["run", "--fault", "nothing.at-all", "-s", "connect.first-contact"], "nothing.at-all"),
        (&["run", "--report", "pdf=x"], "there is no report format `pdf`; there are: json"),
        (&["run", "-r", "2024-99-99"], "2024-99-99"),
        (&["run", "not a url"], "is no URL"),
        (&["run", "localhost"], "write it like http://localhost:8080/mcp"),
        (&["run", "ftp://127.0.0.1/mcp"], "http, https, ws and wss can be rehearsed, and a command behind `--`"),
        (&["run", "http://127.0.0.1/mcp", "--transport", "stdio"], "give a command behind `--`"),
        (&["run", "http://127.0.0.1/mcp", "--transport", "pigeon"], "is no transport; there are: streamable-http, sse"),
        (&["run", "https://127.0.0.1/mcp", "--ca", "Cargo.toml"], "certificates in PEM form"),
        (&["run", "--call", "x=[", "http://127.0.0.1:1/mcp"], "are no arguments of a tool"),
        (&["run", "--color", "sometimes"], "possible values: auto, always, never"),
        (&["explain", "nothing.at-all"], "nothing is called `nothing.at-all`"),
        (&["serve", "--fault", "nothing.at-all", "--listen", "127.0.0.1:0"], "nothing.at-all"),
        (&["proxy", "--upstream", "h:1", "--fault", "latenzy=1s"], "did you mean `latency`?"),
        (&["proxy", "--upstream", "http://h:1/mcp"], "has a path"),
        (&["completions", "cobol"], "possible values: bash"),
    ];
    for (arguments, words) in table {
        told(&run(arguments).await, 2, words);
    }
}

#[tokio::test]
async fn scenarios_that_cannot_be_read_are_told() {
    let folder = folder("scenarios");
    let head = "version: 1\nid: invoke.example\ntitle: T\nwhy: W\n";
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    };
    let mistakes = format!(
        "{head}needs: [ressources]\nsteps:\n  - invoke: {{ tool: a, method: ping }}\n  - await: {{ call: x }}\n"
    );
    let garbage: Vec<u8> = (0..4096_u32).map(|at| (at * 31 % 251) as u8).collect();
    let bomb = (1..40).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, at| {
        format!("{text}a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 9].join(", "))
    });
    let nested = format!(
        "{head}steps:\n  - invoke: {{ tool: a, arguments: {}1{} }}\n",
        "{a: ".repeat(20_000),
        "}".repeat(20_000)
    );
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("mistakes.yaml", mistakes.into_bytes(), "^"),
        ("garbage.yaml", garbage, "cannot be read: stream did not contain valid UTF-8"),
        ("large.yaml", vec![b'#'; 5 * 1024 * 1024], "it has more than 1048576 bytes"),
        ("bomb.yaml", bomb.into_bytes(), "error"),
        ("nested.yaml", nested.into_bytes(), "error"),
        ("null.yaml", b"\0\0\0\0".to_vec(), "error"),
        ("empty.yaml", Vec::new(), "error"),
    ];
    for (name, bytes, words) in table {
        let ran = run(&["run", "-s", text(&write(name, &bytes))]).await;
        told(&ran, 3, words);
        assert!(ran.took < Duration::from_secs(10) && ran.peak < 150 * 1024, "{name}: {:?} {} KiB", ran.took, ran.peak);
        assert!(ran.stderr.len() < 20_000, "{name}: {} bytes of complaint", ran.stderr.len());
    }
    // Every mistake of a file is shown, each with its line; a whole folder tells those of all its files.
    let ran = run(&["run", "-s", text(&folder.join("mistakes.yaml"))]).await;
    assert_eq!(ran.stderr.matches("error: ").count(), 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("mistakes.yaml:7:"), "{}", ran.stderr);
    let ran = run(&["run", "-s", text(&folder)]).await;
    told(&ran, 3, "garbage.yaml");
    assert!(ran.stderr.contains("large.yaml") && ran.stderr.contains("mistakes.yaml"), "{}", ran.stderr);
}

#[tokio::test]
async fn folders_and_files_that_are_not_there_are_told() {
    let empty = folder("no-scenarios");
    std::fs::write(empty.join("notes.txt"), "nothing to play").expect("a file");
    told(&run(&["run", "-s", text(&empty)]).await, 4, "holds no scenarios");
    told(&run(&["run", "-s", text(&empty.join("missing.yaml"))]).await, 3, "there is no file or folder");
    told(&run(&["run", "-s", "invoke.sampling", "-c", "py-sdk"]).await, 4, "nothing was exercised");
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_leads_back_to_itself_is_read_once() {
    let loops = folder("loops");
    std::os::unix::fs::symlink(&loops, loops.join("again")).expect("a link");
    std::os::unix::fs::symlink(&loops, loops.join("and-again")).expect("a link");
    let scenario = "version: 1\nid: connect.own\ntitle: T\nwhy: W\nsteps:\n  - connect\n  - negotiate: { expect: { outcome: result } }\n";
    std::fs::write(loops.join("own.yaml"), scenario).expect("a file");
    told(&run(&["run", "-s", text(&loops), "-c", "cursor"]).await, 0, "1 case: 1 passed");
}

#[tokio::test]
async fn a_target_that_is_down_is_unreachable() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    drop(listener);
    let ran = run(&["run", &url]).await;
    told(&ran, 12, "is the server running and the port right?");
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
    told(&run(&["run", "http://no-such-host.invalid/mcp", "--patience", "3"]).await, 12, "no-such-host.invalid");
}

#[tokio::test]
async fn a_report_that_cannot_be_written_costs_no_other_report() {
    let folder = folder("reports");
    let good = folder.join("report.json");
    let bad = format!("junit={}", text(&folder.join("missing/report.xml")));
    let ran = small(&["--report", &bad, "--report", &format!("json={}", text(&good))]).await;
    told(&ran, 13, "the report cannot be written to");
    let report: Value = serde_json::from_slice(&std::fs::read(good).expect("written")).expect("JSON");
    assert_eq!(report["counts"]["passed"], 1);
}

#[tokio::test]
async fn transcripts_are_kept_and_can_be_checked() {
    let kept = folder("transcripts").join("new");
    told(&small(&["--transcripts", text(&kept)]).await, 0, "`mcp-rehearsal check FILE` judges one");
    let file = kept.join("connect.first-contact@cursor@2025-11-25.jsonl");
    told(&run(&["check", text(&file)]).await, 0, "0 failed");
    // What was wrong with the server then is found once more, without it.
    told(&small(&["--transcripts", text(&kept), "--fault", "cap.require"]).await, 10, "lifecycle.initialize-result");
    told(&run(&["check", text(&file)]).await, 10, "lifecycle.initialize-result");
    let no_folder = kept.join("file");
    std::fs::write(&no_folder, "").expect("a file");
    told(&small(&["--transcripts", text(&no_folder)]).await, 13, "cannot be made");
}

#[tokio::test]
async fn a_reader_that_leaves_early_is_no_error() {
    for arguments in [&["list", "checks"][..], &["schema"], &["run", "-q", "-s", "connect.first-contact"]] {
        let mut child = program(arguments).spawn().expect("starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        if arguments[0] == "run" {
            drop(stdout);
        } else {
            let mut line = String::new();
            stdout.read_line(&mut line).await.expect("a line");
            assert!(!line.is_empty());
            drop(stdout);
        }
        let output = child.wait_with_output().await.expect("ends");
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    }
}

#[tokio::test]
async fn colours_are_used_when_they_are_wanted() {
    let escape = "\u{1b}[";
    assert!(!small(&[]).await.stdout.contains(escape), "a pipe is no terminal");
    assert!(small(&["--color", "always"]).await.stdout.contains(escape));
    assert!(!small(&["--color", "never"]).await.stdout.contains(escape));
    let quiet = program(&["run", "-q", "-s", "connect.first-contact", "--color", "auto"]).env("NO_COLOR", "1").output();
    assert!(!String::from_utf8_lossy(&quiet.await.expect("ends").stdout).contains(escape));
    let file = folder("colours").join("bad.yaml");
    std::fs::write(&file, "version: 1\n").expect("a file");
    assert!(run(&["run", "--color", "always", "-s", text(&file)]).await.stderr.contains(escape));
    assert!(!run(&["run", "-s", text(&file)]).await.stderr.contains(escape));
}

#[tokio::test]
async fn schema_and_completions_are_printed() {
    let schema = run(&["schema"]).await;
    assert_eq!(schema.code, Some(0));
    let printed: Value = serde_json::from_str(&schema.stdout).expect("JSON");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/scenario.schema.json");
    let committed: Value = serde_json::from_slice(&std::fs::read(path).expect("committed")).expect("JSON");
    assert_eq!(printed, committed);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]).await;
        assert_eq!(script.code, Some(0));
        assert!(script.stdout.contains("mcp-rehearsal") && script.stdout.contains("allow-tool"), "{shell}");
    }
}

/// Sends the signal of Ctrl-C.
async fn interrupt(child: &Child) {
    let id = child.id().expect("running").to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.expect("kill runs").success());
}

/// Waits until the run says that it was interrupted.
async fn heard(child: &mut Child) {
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let heard = tokio::time::timeout(Duration::from_secs(10), lines.next_line()).await;
    let heard = heard.expect("in time").expect("readable").unwrap_or_default();
    let ended = child.try_wait().expect("known");
    assert!(heard.contains("Interrupted;") && heard.contains("Ctrl-C again ends at once"), "`{heard}` {ended:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn an_interrupted_run_writes_what_is_known() {
    let folder = folder("interrupted");
    let report = folder.join("report.json");
    // The handshake is served and nothing else, so that the first scenario passes and the second hangs.
    for (name, more) in [("first", ""), ("second", "  - invoke: { method: ping }\n")] {
        let scenario = format!(
            "version: 1\nid: connect.{name}\ntitle: T\nwhy: W\nsteps:\n  - connect\n  - negotiate: {{ expect: {{ outcome: result }} }}\n{more}"
        );
        std::fs::write(folder.join(format!("{name}.yaml")), scenario).expect("a file");
    }
    let (server, mut calls) = Hostile::later("", Then::Hang).watched();
    let url = server.start().await;
    let to = format!("json={}", text(&report));
    let choice = ["-c", "reference", "-r", "2025-06-18", "--jobs", "1", "--patience", "30", "--report", &to];
    let mut child =
        program(&[&["run", "-q", &url, "-s", text(&folder)], &choice[..]].concat()).spawn().expect("starts");
    tokio::time::timeout(Duration::from_secs(10), calls.recv()).await.expect("in time").expect("a call");
    let watch = WallClock::new();
    interrupt(&child).await;
    heard(&mut child).await;
    let output = child.wait_with_output().await.expect("ends");
    assert!(watch.elapsed() < Duration::from_secs(5), "{:?}", watch.elapsed());
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{shown}");
    assert!(shown.contains("Interrupted: this is what was known by then;"), "{shown}");
    let report: Value = serde_json::from_slice(&std::fs::read(report).expect("written")).expect("JSON");
    assert_eq!(report["interrupted"], true);
    let counts = &report["counts"];
    assert_eq!((&counts["cases"], &counts["passed"], &counts["not_played"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!(report["cases"][0]["scenario"], "connect.first");
}

#[cfg(unix)]
#[tokio::test]
async fn an_interruption_before_the_first_case_is_reported_too() {
    let report = folder("early").join("report.json");
    let (server, mut calls) = Hostile::at_once("", Then::Hang).watched();
    let url = server.start().await;
    let to = format!("json={}", text(&report));
    let mut child =
        program(&["run", "-q", &url, "-s", "connect.first-contact", "--report", &to]).spawn().expect("starts");
    tokio::time::timeout(Duration::from_secs(10), calls.recv()).await.expect("in time").expect("a call");
    interrupt(&child).await;
    heard(&mut child).await;
    let output = child.wait_with_output().await.expect("ends");
    assert_eq!(output.status.code(), Some(130));
    let report: Value = serde_json::from_slice(&std::fs::read(report).expect("written")).expect("JSON");
    assert_eq!(report["counts"]["cases"], 0);
    assert!(report["counts"]["not_played"].as_u64() > Some(5), "{}", report["counts"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_interruption_ends_the_program_at_once() {
    // A pipe that nobody reads keeps the report from being written.
    let pipe = folder("twice").join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().await.expect("mkfifo runs").success());
    let (server, mut calls) = Hostile::at_once("", Then::Hang).watched();
    let url = server.start().await;
    let to = format!("json={}", text(&pipe));
    let mut child =
        program(&["run", "-q", &url, "-s", "connect.first-contact", "--report", &to]).spawn().expect("starts");
    tokio::time::timeout(Duration::from_secs(10), calls.recv()).await.expect("in time").expect("a call");
    interrupt(&child).await;
    heard(&mut child).await;
    // The report on standard output comes before the one that blocks.
    let mut shown = vec![0; 16];
    child.stdout.as_mut().expect("piped").read_exact(&mut shown).await.expect("something is shown");
    assert!(child.try_wait().expect("known").is_none(), "it waits for somebody to read the pipe");
    interrupt(&child).await;
    let status = tokio::time::timeout(Duration::from_secs(5), child.wait()).await.expect("at once").expect("ends");
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn a_target_that_dies_in_the_middle_is_told() {
    let gone = answer("503 Service Unavailable", "{}");
    let url = Hostile::later(gone, Then::Close).start().await;
    let ran = run(&["run", "-q", &url, "-s", "connect.first-contact", "-c", "cursor", "--patience", "1"]).await;
    told(&ran, 10, "503");
}

#[tokio::test]
async fn the_readme_shows_what_is_really_printed() {
    let readme = include_str!("../README.md");
    let (_, from) = readme.split_once("$ mcp-rehearsal run ").expect("an example");
    let (arguments, from) = from.split_once('\n').expect("its output");
    let (shown, _) = from.split_once("\n```").expect("its end");
    let arguments: Vec<&str> = ["run", "-q", "--color", "never"].into_iter().chain(arguments.split(' ')).collect();
    let ran = run(&arguments).await;
    let bare = |text: &str| text.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(bare(&ran.stdout), bare(shown), "README.md shows another output");
}
