//! Servers written by hand on bare sockets, each wrong in one way, and the program run against them.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::model::{Clock as _, WallClock};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The longest that any run may take before the test gives up on it.
const AT_MOST: Duration = Duration::from_secs(40);

/// What happens after the first bytes of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Then {
    /// The connection is ready for the next request.
    Next,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
    /// It stays open and silent.
    Hang,
    /// These bytes, over and over.
    Flood(Vec<u8>),
    /// These bytes every 50 ms.
    Drip(Vec<u8>),
}

/// A server that answers each request in one way. `{id}` in `first` is the id of the request.
#[derive(Debug, Clone)]
pub(crate) struct Hostile {
    /// Whether the handshake is answered as it should be, and only what follows is not.
    pub(crate) polite: bool,
    pub(crate) first: Vec<u8>,
    pub(crate) then: Then,
    /// Hears of each request that is answered in the hostile way.
    heard: Option<UnboundedSender<()>>,
}

impl Hostile {
    /// Wrong from the first request on.
    pub(crate) fn at_once(first: impl Into<Vec<u8>>, then: Then) -> Self {
        Self { polite: false, first: first.into(), then, heard: None }
    }

    /// Wrong after a correct handshake.
    pub(crate) fn later(first: impl Into<Vec<u8>>, then: Then) -> Self {
        Self { polite: true, first: first.into(), then, heard: None }
    }

    /// The same, and what tells of each request that is answered in the hostile way.
    pub(crate) fn watched(self) -> (Self, UnboundedReceiver<()>) {
        let (tell, hears) = unbounded_channel();
        (Self { heard: Some(tell), ..self }, hears)
    }

    /// Starts it; gives the address of its endpoint. It ends with the runtime of the test.
    pub(crate) async fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
        let server = Arc::new(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = Arc::clone(&server);
                // A client that leaves in the middle is what these servers are for.
                tokio::spawn(async move { server.serve(stream).await.unwrap_or_default() });
            }
        });
        url
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        while let Some((method, body)) = request(&mut stream).await? {
            if let Some(answer) = self.polite.then(|| handshake(&method, &body)).flatten() {
                stream.write_all(answer.as_bytes()).await?;
                continue;
            }
            if let Some(heard) = &self.heard {
                // A test that has seen enough does not listen any more.
                let _ = heard.send(());
            }
            let id = body["id"].to_string();
            stream.write_all(&filled(&self.first, &id)).await?;
            match &self.then {
                Then::Next => {}
                Then::Close => return Ok(()),
                Then::Reset => return stream.set_zero_linger(),
                Then::Hang => std::future::pending().await,
                Then::Flood(bytes) => {
                    let many = bytes.repeat(1 + 65_536 / bytes.len());
                    loop {
                        stream.write_all(&many).await?;
                    }
                }
                Then::Drip(bytes) => loop {
                    stream.write_all(bytes).await?;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                },
            }
        }
        Ok(())
    }
}

fn filled(text: &[u8], id: &str) -> Vec<u8> {
    match text.windows(4).position(|four| four == b"{id}") {
        Some(at) => [&text[..at], id.as_bytes(), &text[at + 4..]].concat(),
        None => text.to_vec(),
    }
}

/// Method and body of the next request.
async fn request(stream: &mut TcpStream) -> std::io::Result<Option<(String, Value)>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let whole = end + 4 + length.unwrap_or(0);
            if bytes.len() >= whole {
                let method = head.split(' ').next().unwrap_or_default().to_owned();
                return Ok(Some((method, serde_json::from_slice(&bytes[end + 4..whole]).unwrap_or_default())));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// The correct answer to everything that opens or ends a conversation.
fn handshake(method: &str, body: &Value) -> Option<String> {
    match (method, body["method"].as_str()) {
        ("post", Some("initialize")) => {
            let result = json!({
                "protocolVersion": body["params"]["protocolVersion"],
                "capabilities": {},
                "serverInfo": {"name": "hostile", "version": "1"},
            });
            Some(answer("200 OK", &json!({"jsonrpc": "2.0", "id": body["id"], "result": result}).to_string()))
        }
        // What a server of the older era says to a probe of the newer one.
        ("post", Some("server/discover")) => {
            let error = json!({"code": -32601, "message": "Method not found"});
            Some(answer("400 Bad Request", &json!({"jsonrpc": "2.0", "id": body["id"], "error": error}).to_string()))
        }
        ("post", Some(method)) if method.starts_with("notifications/") => {
            Some("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned())
        }
        ("get", _) => Some("HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 0\r\n\r\n".to_owned()),
        ("delete", _) => Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()),
        _ => None,
    }
}

/// A whole answer with a JSON body.
pub(crate) fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// How a run of the program went.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
    /// The most memory it held at any time, in KiB.
    pub(crate) peak: u64,
}

impl Ran {
    /// Everything that was printed, as one line.
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.stdout, self.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The program with these arguments, ready to start.
pub(crate) fn program<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env_remove("NO_COLOR");
    command
}

/// Runs the program to its end.
pub(crate) async fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Ran {
    let watch = WallClock::new();
    let child = program(arguments).spawn().expect("the program starts");
    let status = format!("/proc/{}/status", child.id().unwrap_or_default());
    let output = tokio::time::timeout(AT_MOST, child.wait_with_output());
    tokio::pin!(output);
    let mut peak = 0;
    let output: Output = loop {
        tokio::select! {
            output = &mut output => break output.expect("the program ends").expect("its output is read"),
            () = tokio::time::sleep(Duration::from_millis(5)) => peak = peak.max(memory(Path::new(&status))),
        }
    };
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
        took: watch.elapsed(),
        peak,
    }
}

/// The high-water mark of a process's memory in KiB; 0 where the system does not tell.
fn memory(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
