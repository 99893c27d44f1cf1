//! Every way in to a server that somebody else runs: `rehearsal.toml` names it, and the rehearsal gets through the door.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

#[expect(dead_code, reason = "another test uses the rest")]
mod outside;

use outside::{Program, Serve, installed, root};

/// A client that the reference server knows from the start.
const KNOWN: &str = "app:a-secret-of-the-app=http://127.0.0.1/cb";
const CLIENT: &str =
    "client = { id = \"app\", secret = \"${env:APP_SECRET}\", redirect-uri = \"http://127.0.0.1/cb\" }";

/// What a run said and reported.
struct Ran {
    output: Output,
    report: Value,
}

impl Ran {
    fn said(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!("{}{}", text(&self.output.stdout), text(&self.output.stderr))
    }

    fn counts(&self, of: &str) -> u64 {
        self.report["counts"][of].as_u64().unwrap_or_else(|| panic!("no {of}: {}", self.said()))
    }

    /// Nothing failed, and so many cases passed.
    fn passed(&self, cases: u64) {
        assert!(self.output.status.success(), "{}", self.said());
        assert_eq!(self.counts("passed"), cases, "{}", self.said());
        let whole = format!("{}{}", self.said(), self.report);
        assert!(!whole.contains("a-secret-of"), "a secret was told");
    }
}

/// A folder of a test's own, empty.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ways-in").join(name);
    // It may be left from an earlier run, or not be there.
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a folder");
    path
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"));
    command.current_dir(folder).stdin(Stdio::null()).env("APP_SECRET", "a-secret-of-the-app");
    command
}

/// Rehearses the target `t` with what the configuration says of it besides its address.
fn run(folder: &Path, url: &str, config: &str, scenarios: &str, env: &[(&str, &str)]) -> Ran {
    let file = format!("[targets.t]\nurl = \"{url}\"\nallow-tools = [\"*\"]\n{config}\n");
    std::fs::write(folder.join("rehearsal.toml"), file).expect("written");
    let mut command = program(folder);
    command.args(["run", "t", "-q", "-c", "reference,cursor", "-r", "2025-11-25", "-s", scenarios, "--patience", "10"]);
    command.args(["--report", "json=report.json"]).envs(env.iter().copied());
    let output = command.output().expect("the program runs");
    let report = std::fs::read_to_string(folder.join("report.json")).unwrap_or_default();
    Ran { output, report: serde_json::from_str(&report).unwrap_or_default() }
}

/// An access token that the client got in its own name.
fn own_token(serve: &Serve) -> String {
    use std::io::{Read as _, Write as _};
    let form = "grant_type=client_credentials&scope=mcp:read&client_id=app&client_secret=a-secret-of-the-app";
    let host = serve.url("issuer").trim_start_matches("http://");
    let mut socket = std::net::TcpStream::connect(host).expect("somebody listens");
    let head = format!(
        "POST /token HTTP/1.0\r\nhost: {host}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}",
        form.len()
    );
    socket.write_all(format!("{head}\r\n\r\n{form}").as_bytes()).expect("written");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    let answer: Value = serde_json::from_str(body).expect("JSON");
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

#[test]
fn a_token_made_beforehand() {
    let serve = Serve::start(&["--auth", "oauth", "--client", KNOWN]);
    let right = own_token(&serve);
    let config = "login = { way = \"token\", token = \"${env:A_TOKEN}\" }";
    let folder = folder("token");
    let with = |token: &str| {
        let env = [("A_TOKEN", token)];
        run(&folder, serve.url("serving"), config, "connect.first-contact,refresh.mid-session", &env)
    };
    let ran = with(&right);
    ran.passed(2);
    assert_eq!(ran.counts("not_applicable"), 2, "its life cannot be played: {}", ran.said());
    assert!(!ran.report.to_string().contains(&right));
    let ran = with("a-secret-of-nobody");
    assert_eq!(ran.output.status.code(), Some(4), "it says nothing about the server: {}", ran.said());
    assert!(ran.said().contains("was refused, and there is no other"), "{}", ran.said());
    assert!(!format!("{}{}", ran.said(), ran.report).contains("a-secret-of-nobody"));
}

#[test]
fn a_header_on_the_command_line() {
    let serve = Serve::start(&["--auth", "oauth", "--client", KNOWN]);
    let header = format!("Authorization: Bearer {}", own_token(&serve));
    let mut command = program(&folder("header"));
    command.args(["run", serve.url("serving"), "-q", "-s", "connect.first-contact", "-c", "cursor"]);
    let output = command.args(["--header", &header]).output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn client_credentials() {
    let serve = Serve::start(&["--auth", "oauth", "--client", KNOWN]);
    let config = format!("{CLIENT}\nlogin = {{ way = \"client-credentials\", scope = \"mcp:read\" }}");
    let scenarios = "connect.first-contact,refresh.mid-session,revoke.*";
    let ran = run(&folder("credentials"), serve.url("serving"), &config, scenarios, &[]);
    ran.passed(2);
    let grants = serve.control("/authorization", None)["grants"].as_u64();
    assert!(grants >= Some(2), "each client asks for a token of its own");
}

#[test]
fn a_scripted_login_on_the_consent_page() {
    let serve = Serve::start(&["--auth", "oauth", "--consent", "page"]);
    let form = "login = { way = \"form\", steps = [{ fields = { user = \"ada\" }, press = \"Allow\" }] }";
    let ran = run(&folder("form"), serve.url("serving"), form, "connect.first-contact,refresh.mid-session", &[]);
    ran.passed(2);
    let refused = "login = { way = \"form\", steps = [{ fields = { pin = \"1\" } }] }";
    let ran = run(&folder("no-form"), serve.url("serving"), refused, "connect.first-contact", &[]);
    assert_eq!(ran.output.status.code(), Some(4), "it says nothing about the server: {}", ran.said());
    assert!(ran.said().contains("no form has pin"), "{}", ran.said());
}

#[test]
fn a_person_at_a_browser_and_the_refresh_token_that_stays() {
    let serve = Serve::start(&["--auth", "oauth", "--client", KNOWN]);
    let browser = root().join("tests/real_clients/browser");
    let folder = folder("browser");
    let config = format!("{CLIENT}\nlogin = {{ way = \"browser\", refresh-token-file = \"kept\" }}");
    let env = [("BROWSER", browser.to_str().expect("a path in UTF-8"))];
    let ran = run(&folder, serve.url("serving"), &config, "connect.first-contact,revoke.*", &env);
    ran.passed(2);
    assert!(ran.said().contains("once for the whole rehearsal"), "{}", ran.said());
    assert_eq!(serve.count("logins"), 1, "a person is asked once");
    let kept = || std::fs::read_to_string(folder.join("kept")).expect("a refresh token is kept");
    let first = kept();
    let config = format!("{CLIENT}\nlogin = {{ way = \"refresh-token\", refresh-token-file = \"kept\" }}");
    for _ in 0..2 {
        let before = kept();
        let ran = run(&folder, serve.url("serving"), &config, "connect.first-contact", &[]);
        ran.passed(2);
        assert!(!ran.said().contains(before.trim()) && !ran.report.to_string().contains(before.trim()));
        assert_ne!(before, kept(), "each refresh brings another one");
    }
    assert_ne!(first, kept());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.join("kept")).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "only its owner may read it");
    }
}

#[test]
fn the_rehearsal_as_the_issuer_of_a_foreign_server() {
    if !installed("scripts/foreign", "guarded") {
        return;
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut command = Command::new(root().join("scripts/foreign"));
    command.args(["run", "guarded", "--until-eof"]).env("ISSUER", format!("http://{free}")).stderr(Stdio::null());
    let server = Program::start(&mut command);
    let url = format!("http://127.0.0.1:{}/mcp", server.line("listening on "));
    let config = format!("login = {{ way = \"issuer\", listen = \"{free}\" }}");
    let ran = run(&folder("issuer"), &url, &config, "connect.first-contact,refresh.mid-session", &[]);
    // It sends `scopes_supported: []`, which RFC 9728 section 3.2 forbids; see docs/foreign-servers.md.
    assert_eq!(ran.output.status.code(), Some(10), "{}", ran.said());
    for case in ran.report["cases"].as_array().expect("cases") {
        let failed = case["stories"].as_array().expect("stories").iter().filter(|story| story["fails"] == true);
        let ids: Vec<&str> = failed.filter_map(|story| story["id"].as_str()).collect();
        assert_eq!(ids, ["auth.discovery.prm-no-empty-members"], "{}", ran.said());
        let through = case["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .any(|finding| finding["requirement"] == "lifecycle.initialize-result" && finding["outcome"] == "pass");
        assert!(through, "nobody got in: {}", ran.said());
        assert_eq!(case["reason"], Value::Null, "something was left out: {case}");
    }
    // Its clock cannot be moved, but a token that has ended can be signed.
    let findings = ran.report["cases"].as_array().into_iter().flatten().filter_map(|case| case["findings"].as_array());
    let refused = findings
        .flatten()
        .filter(|finding| finding["requirement"] == "auth.resource-server.401-expired" && finding["outcome"] == "pass");
    assert!(refused.count() > 0, "no token was seen to end: {}", ran.said());
}

#[test]
fn a_name_that_nobody_knows_is_told_with_what_there_is() {
    let folder = folder("unknown");
    let said = |arguments: &[&str]| {
        let output = program(&folder).args(arguments).output().expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = said(&["run", "staging"]);
    assert!(code == Some(2) && text.contains("a name needs a file rehearsal.toml"), "{text}");
    std::fs::write(folder.join("rehearsal.toml"), "[targets.prod]\nurl = \"http://h/mcp\"\n").expect("written");
    let (code, text) = said(&["run", "staging"]);
    assert!(code == Some(2) && text.contains("has no target `staging`; there are: `prod`"), "{text}");
    std::fs::write(folder.join("rehearsal.toml"), "[targets.prod]\nurl = \"http://h/mcp\"\npatient = 3\n").expect("ok");
    let (code, text) = said(&["doctor", "prod"]);
    assert!(code == Some(2) && text.contains("rehearsal.toml") && text.contains("patient"), "{text}");
}
