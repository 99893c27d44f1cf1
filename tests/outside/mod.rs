//! Programs that nobody here wrote, and our own as a program: started, read line by line, and ended.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use mcp_rehearsal::model::{Clock as _, WallClock};
use serde_json::Value;

/// How long anything may take; several programs at once make a small machine slow.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether something has happened.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// How often it is looked whether a program has ended before it is made to: ten seconds in all.
const LAST_LOOKS: usize = 200;

/// What is left of the time that something may take.
pub(crate) struct Patience(WallClock);

impl Patience {
    pub(crate) fn new() -> Self {
        Self(WallClock::new())
    }

    /// What is left.
    pub(crate) fn left(&self) -> Duration {
        PATIENCE.saturating_sub(self.0.elapsed())
    }

    /// Panics where nothing is left.
    pub(crate) fn holds(&self, what: &str) {
        assert!(!self.left().is_zero(), "{what}");
    }
}

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether `script` has installed `name`; where it has not, says what is left out, and fails where nothing may be.
pub(crate) fn installed(script: &str, name: &str) -> bool {
    let here = Command::new(root().join(script))
        .args(["installed", name])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let told = format!("`{name}` is not installed; `{script} install` gets it");
    assert!(here || std::env::var("CI").as_deref() != Ok("true"), "{told}");
    if !here {
        // Past the capture of the test runner, so that a passing test says it as well.
        let _ = writeln!(std::io::stderr(), "left out: {told}");
    }
    here
}

/// A program that does not outlive this.
pub(crate) struct Program {
    child: Child,
    /// What it writes to its standard output.
    pub(crate) lines: Receiver<String>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program can be started");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let (told, received) = channel();
        // Reads to the end, heard or not, so that the program never has to wait for its own output.
        std::thread::spawn(move || {
            while let Some(Ok(line)) = lines.next() {
                let _ = told.send(line);
            }
        });
        Self { child, lines: received }
    }

    /// The rest of the next line that begins so.
    pub(crate) fn line(&self, start: &str) -> String {
        let patience = Patience::new();
        loop {
            let line =
                self.lines.recv_timeout(patience.left()).unwrap_or_else(|_| panic!("no line begins with `{start}`"));
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Sends it a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{name} is sent");
    }

    /// Closes its standard input and waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        let patience = Patience::new();
        loop {
            if let Some(status) = self.child.try_wait().expect("the program can be waited for") {
                return status;
            }
            patience.holds("the program does not end at the end of its input");
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Our scripts end what they started at the end of their standard input.
        drop(self.child.stdin.take());
        for _ in 0..LAST_LOOKS {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `mcp-rehearsal serve` with its control endpoint.
pub(crate) struct Serve {
    child: Child,
    /// What it says at the start, by its first word: `serving`, `issuer`, `control`.
    pub(crate) told: Vec<(String, String)>,
}

impl Serve {
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"))
            .arg("serve")
            .args(options)
            .args(["--listen", "127.0.0.1:0", "--control"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let mut told: Vec<(String, String)> = Vec::new();
        // The control endpoint is told last, and nothing is written after it.
        while told.last().is_none_or(|(what, _)| what != "control") {
            let line = lines.next().expect("a line about the control endpoint").expect("text");
            let (what, url) = line.split_once(' ').expect("a word and a URL");
            told.push((what.to_owned(), url.trim().to_owned()));
        }
        Self { child, told }
    }

    /// One of the URLs.
    pub(crate) fn url(&self, what: &str) -> &str {
        self.told.iter().find(|(known, _)| known == what).map_or_else(|| panic!("no {what}"), |(_, url)| url)
    }

    /// Asks the control endpoint, with a body to do something and without one to look.
    pub(crate) fn control(&self, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}{path}", self.url("control"));
        let (status, answer) = http(if body.is_some() { "POST" } else { "GET" }, &url, &[], body);
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// How often the authorization server did this.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let state = self.control("/authorization", None);
        state["counts"][name].as_u64().unwrap_or_else(|| panic!("{name} in {state}"))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own; gives status and body.
pub(crate) fn http(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&Value>) -> (u16, String) {
    let url: url::Url = url.parse().expect("a URL");
    let host = format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"));
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut request = format!("{method} {} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {}\r\n", url.path(), body.len());
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("content-type: application/json\r\n\r\n");
    request.push_str(&body);
    let mut socket = TcpStream::connect(&host).expect("somebody listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.write_all(request.as_bytes()).expect("written");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer in UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}
