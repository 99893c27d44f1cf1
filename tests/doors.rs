//! The reference server beside Streamable HTTP: lines on a pipe, the stream of 2024-11-05, sockets, and TLS under all that
//! have an address.

use std::process::Command;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use mcp_rehearsal::model::{Audience, HybridClock, Rng, TokenOrder, Via};
use mcp_rehearsal::server::{AuthConfig, RunningServer, ServerConfig, Tls, serve_io, start};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

#[expect(dead_code, reason = "another test uses the rest")]
mod outside;

use outside::{Patience, Program, Serve, installed, root};

/// The longest that anything may take.
const IN_TIME: Duration = Duration::from_secs(30);

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(IN_TIME, future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

async fn server(config: ServerConfig) -> RunningServer {
    let config = ServerConfig { control: true, ..config };
    start(config, HybridClock::new(), Rng::seeded(1)).await.expect("a free port")
}

#[expect(clippy::needless_pass_by_value, reason = "the callers pass literals")]
fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn hello(version: &str) -> Value {
    let info = json!({"name": "t", "version": "1"});
    request(0, "initialize", json!({"protocolVersion": version, "capabilities": {"sampling": {}}, "clientInfo": info}))
}

fn call(id: u64, name: &str, arguments: &Value) -> Value {
    let meta = json!({"progressToken": id});
    request(id, "tools/call", json!({"name": name, "arguments": arguments, "_meta": meta}))
}

fn initialized() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/initialized"})
}

/// Answers the question that the server has asked.
fn answered(question: &Value) -> Value {
    assert_eq!(question["method"], "sampling/createMessage");
    let content = json!({"type": "text", "text": "yes"});
    json!({"jsonrpc": "2.0", "id": question["id"], "result": {"role": "assistant", "model": "m", "content": content}})
}

/// How many sessions and open streams a server has.
async fn state(server: &RunningServer) -> (u64, u64) {
    let url = format!("{}/state", server.control_url().expect("it is served"));
    let state: Value = http().get(url).send().await.expect("answer").json().await.expect("JSON");
    (state["sessions"].as_u64().expect("a number"), state["streams"].as_u64().expect("a number"))
}

/// Waits until the server has so many.
async fn settles(server: &RunningServer, expected: (u64, u64)) {
    in_time("the end of sessions and streams", async {
        while state(server).await != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

fn http() -> Client {
    Client::builder().no_proxy().build().expect("client")
}

// ---- lines ----

/// A client on a pipe.
struct Piped {
    input: DuplexStream,
    lines: tokio::io::Lines<BufReader<DuplexStream>>,
    serving: JoinHandle<()>,
}

impl Piped {
    fn new(faults: &[&str]) -> Self {
        let (input, theirs) = tokio::io::duplex(1024);
        let (output, ours) = tokio::io::duplex(1024);
        let faults = faults.iter().map(ToString::to_string).collect();
        let config = ServerConfig { faults, ..ServerConfig::default() };
        let serving = tokio::spawn(async move {
            serve_io(config, theirs, output, HybridClock::new(), Rng::seeded(1)).await.expect("it can be served");
        });
        Self { input, lines: BufReader::new(ours).lines(), serving }
    }

    async fn line(&mut self, text: &str) {
        in_time("writing", self.input.write_all(format!("{text}\n").as_bytes())).await.expect("the server reads");
    }

    async fn send(&mut self, message: &Value) {
        self.line(&message.to_string()).await;
    }

    async fn next(&mut self) -> Value {
        let line = in_time("reading", self.lines.next_line()).await.expect("text").expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }

    async fn ask(&mut self, message: &Value) -> Value {
        self.send(message).await;
        self.next().await
    }

    async fn begun(version: &str, faults: &[&str]) -> Self {
        let mut piped = Self::new(faults);
        assert_eq!(piped.ask(&hello(version)).await["result"]["protocolVersion"], version);
        piped.send(&initialized()).await;
        piped
    }

    /// Closes the input; gives what the server still says.
    async fn end(self) -> Vec<String> {
        let Self { input, mut lines, serving } = self;
        drop(input);
        let mut rest = Vec::new();
        while let Some(line) = in_time("the end", lines.next_line()).await.expect("text") {
            rest.push(line);
        }
        in_time("the end", serving).await.expect("no panic");
        rest
    }
}

#[tokio::test]
async fn every_legacy_revision_is_spoken_on_lines() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut piped = Piped::begun(version, &[]).await;
        let tools = piped.ask(&request(1, "tools/list", json!({}))).await;
        let tools = tools["result"]["tools"].as_array().expect("a list").clone();
        let sound = tools.iter().any(|tool| tool["name"] == "test_audio_content");
        assert_eq!(sound, version != "2024-11-05");
        assert_eq!(tools[0].get("annotations").is_some(), version != "2024-11-05");
        assert!(piped.end().await.is_empty());
    }
}

#[tokio::test]
async fn progress_and_questions_come_on_the_same_pipe() {
    let mut piped = Piped::begun("2025-06-18", &[]).await;
    piped.send(&call(1, "test_tool_with_progress", &json!({}))).await;
    for expected in [0, 50, 100] {
        assert_eq!(piped.next().await["params"]["progress"], expected);
    }
    assert_eq!(piped.next().await["id"], 1);
    piped.send(&call(2, "test_sampling", &json!({"prompt": "hello"}))).await;
    let question = piped.next().await;
    let answer = piped.ask(&answered(&question)).await;
    assert_eq!(answer["result"]["content"][0]["text"], "LLM response: yes");
    assert!(piped.end().await.is_empty());
}

#[tokio::test]
async fn what_is_no_message_is_answered_and_the_pipe_stays() {
    let mut piped = Piped::new(&[]);
    assert_eq!(piped.ask(&request(1, "ping", json!({}))).await["result"], json!({}));
    assert_eq!(piped.ask(&request(2, "tools/list", json!({}))).await["error"]["code"], -32602);
    assert_eq!(
        piped
            .ask(&request(
                3,
                "server/discover",
                json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28"}})
            ))
            .await["error"]["code"],
        -32602
    );
    piped.line("{this is no JSON").await;
    let error = piped.next().await;
    assert_eq!((&error["error"]["code"], error.get("id")), (&json!(-32700), Some(&Value::Null)));
    piped.line("\r\n   \r").await;
    piped.line(&format!("{}\r", hello("2025-11-25"))).await;
    assert_eq!(piped.next().await["id"], 0);
    piped.line("{\"jsonrpc\":\"2.0\"}").await;
    let error = piped.next().await;
    // The newest revision knows no null id.
    assert_eq!((&error["error"]["code"], error.get("id")), (&json!(-32600), None));
    assert_eq!(piped.ask(&hello("2025-11-25")).await["error"]["code"], -32600);
    piped.line("[]").await;
    assert_eq!(piped.next().await["error"]["code"], -32600);
    let long = "x".repeat(5 * 1024 * 1024);
    piped.line(&long).await;
    assert_eq!(piped.next().await["error"]["message"], "The line is too long");
    let long = "y".repeat(1024 * 1024);
    piped.send(&call(4, "test_echo", &json!({"text": long}))).await;
    let echoed = piped.next().await;
    assert_eq!(echoed["result"]["content"][0]["text"].as_str().map(str::len), Some(long.len()));
    assert!(piped.end().await.is_empty());
}

#[tokio::test]
async fn a_batch_is_a_line() {
    let mut piped = Piped::begun("2025-03-26", &[]).await;
    let batch = json!([request(1, "ping", json!({})), initialized(), call(2, "test_echo", &json!({"text": "a"}))]);
    let answers = piped.ask(&batch).await;
    let ids: Vec<&Value> = answers.as_array().expect("an array").iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [1, 2]);
    piped.send(&json!([initialized()])).await;
    assert_eq!(piped.ask(&request(3, "ping", json!({}))).await["id"], 3);
    assert!(piped.end().await.is_empty());
}

#[tokio::test]
async fn calls_run_side_by_side_and_can_be_cancelled() {
    let mut piped = Piped::begun("2025-06-18", &[]).await;
    piped.send(&request(1, "tools/call", json!({"name": "test_slow", "arguments": {"ms": 3_600_000}}))).await;
    assert_eq!(piped.ask(&request(2, "ping", json!({}))).await["id"], 2);
    piped.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})).await;
    // What is cancelled is over, so its id can be used again.
    assert_eq!(piped.ask(&request(1, "ping", json!({}))).await, json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    assert!(piped.end().await.is_empty());
}

#[tokio::test]
async fn the_end_of_the_input_ends_everything() {
    let mut piped = Piped::begun("2025-06-18", &[]).await;
    piped.send(&request(1, "tools/call", json!({"name": "test_slow", "arguments": {"ms": 3_600_000}}))).await;
    assert!(piped.end().await.is_empty());
    // What can be answered at once still is.
    let mut piped = Piped::new(&[]);
    piped.send(&hello("2025-06-18")).await;
    piped.send(&request(1, "tools/list", json!({}))).await;
    assert_eq!(piped.end().await.len(), 2);
    // An output that nobody reads does not keep the server.
    let mut piped = Piped::begun("2025-06-18", &[]).await;
    piped.send(&call(1, "test_large_result", &json!({"bytes": 1_000_000}))).await;
    let Piped { input, lines, serving } = piped;
    drop(input);
    in_time("the end", serving).await.expect("no panic");
    drop(lines);
    // Nor does one that is closed.
    let piped = Piped::begun("2025-06-18", &[]).await;
    let Piped { mut input, lines, serving } = piped;
    drop(lines);
    in_time("writing", input.write_all(format!("{}\n", request(1, "ping", json!({}))).as_bytes())).await.expect("read");
    in_time("the end", serving).await.expect("no panic");
}

#[tokio::test]
async fn faults_of_lines() {
    let mut piped = Piped::new(&["stdio.logs-on-stdout"]);
    let line = in_time("reading", piped.lines.next_line()).await.expect("text").expect("a line");
    assert!(serde_json::from_str::<Value>(&line).is_err(), "{line}");
    let mut piped = Piped::begun("2025-06-18", &["stdio.embedded-newline"]).await;
    let params = json!({"name": "test_tool_with_progress", "_meta": {"progressToken": 1}});
    piped.send(&request(1, "tools/call", params)).await;
    let line = in_time("reading", piped.lines.next_line()).await.expect("text").expect("a line");
    assert!(serde_json::from_str::<Value>(&line).is_err(), "{line}");
    let mut piped = Piped::begun("2025-03-26", &["stdio.batch-refused"]).await;
    assert_eq!(piped.ask(&json!([request(1, "ping", json!({}))])).await["error"]["code"], -32600);
    for (fault, line) in [("stdio.malformed-line-ends", "{"), ("stdio.blank-line-ends", "")] {
        let mut piped = Piped::begun("2025-06-18", &[fault]).await;
        piped.line(line).await;
        let Piped { input, serving, .. } = piped;
        in_time("the end", serving).await.expect("no panic");
        drop(input);
    }
    for fault in ["stdio.ignores-eof", "stdio.hangs-on-call"] {
        let mut piped = Piped::begun("2025-06-18", &[fault]).await;
        if fault == "stdio.hangs-on-call" {
            piped.send(&request(1, "tools/call", json!({"name": "test_slow", "arguments": {"ms": 3_600_000}}))).await;
        }
        let Piped { input, lines, serving } = piped;
        drop(input);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!serving.is_finished(), "{fault}");
        serving.abort();
        drop(lines);
    }
}

// ---- the stream of 2024-11-05 ----

/// A client that listens on one stream and posts beside it.
struct Listener {
    http: Client,
    stream: reqwest::Response,
    text: String,
    post: String,
}

impl Listener {
    async fn event(stream: &mut reqwest::Response, text: &mut String) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let found = (field("event: ").expect("a name"), field("data: ").expect("data"));
                assert_eq!(field("id: "), None, "nothing can be resumed here");
                let rest = rest.to_owned();
                *text = rest;
                return Some(found);
            }
            let chunk = in_time("an event", stream.chunk()).await.ok()??;
            text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    async fn new(http: Client, url: &str) -> Self {
        let mut stream = http.get(url).header("accept", "text/event-stream").send().await.expect("answer");
        assert_eq!(
            (stream.status(), &stream.headers()["content-type"]),
            (StatusCode::OK, &"text/event-stream".parse().expect("a value"))
        );
        let mut text = String::new();
        let (name, uri) = Self::event(&mut stream, &mut text).await.expect("an event");
        assert_eq!(name, "endpoint");
        let post = url.parse::<url::Url>().expect("a URL").join(&uri).expect("a URI").to_string();
        Self { http, stream, text, post }
    }

    async fn post(&self, body: &Value) -> StatusCode {
        self.http.post(&self.post).json(body).send().await.expect("answer").status()
    }

    async fn next(&mut self) -> Value {
        let (name, data) = Self::event(&mut self.stream, &mut self.text).await.expect("an event");
        assert_eq!(name, "message");
        serde_json::from_str(&data).expect("JSON")
    }

    async fn ask(&mut self, body: &Value) -> Value {
        assert_eq!(self.post(body).await, 202);
        self.next().await
    }
}

#[tokio::test]
async fn the_older_transport_is_served_beside_the_newer() {
    let server = server(ServerConfig::default()).await;
    let url = server.url_of(Via::LegacySse).expect("it is offered");
    let mut listener = Listener::new(http(), &url).await;
    assert_eq!(listener.ask(&hello("2024-11-05")).await["result"]["protocolVersion"], "2024-11-05");
    assert_eq!(listener.post(&initialized()).await, 202);
    assert_eq!(listener.post(&call(1, "test_tool_with_progress", &json!({}))).await, 202);
    for expected in [0, 50, 100] {
        let said = listener.next().await;
        assert_eq!((&said["params"]["progress"], said["params"].get("message")), (&json!(expected), None));
    }
    assert_eq!(listener.next().await["id"], 1);
    let question = listener.ask(&call(2, "test_sampling", &json!({"prompt": "hello"}))).await;
    let answer = listener.ask(&answered(&question)).await;
    assert_eq!(answer["result"]["content"][0]["text"], "LLM response: yes");
    // Another client hears nothing of it.
    let mut other = Listener::new(http(), &url).await;
    assert_eq!(other.ask(&hello("2025-11-25")).await["id"], 0);
    assert_eq!(state(&server).await, (2, 2));
    let post = listener.post.clone();
    drop(listener);
    settles(&server, (1, 1)).await;
    let late = http().post(&post).json(&request(9, "ping", json!({}))).send().await.expect("answer");
    assert_eq!(late.status(), 404);
    assert_eq!(other.ask(&request(1, "ping", json!({}))).await["id"], 1);
    server.shutdown().await;
}

#[tokio::test]
async fn what_the_older_transport_refuses() {
    let server = server(ServerConfig::default()).await;
    let url = server.url_of(Via::LegacySse).expect("it is offered");
    let mut listener = Listener::new(http(), &url).await;
    listener.ask(&hello("2025-06-18")).await;
    let http = http();
    let status = |request: reqwest::RequestBuilder| async { request.send().await.expect("answer").status().as_u16() };
    let ping = request(1, "ping", json!({}));
    assert_eq!(status(http.post(&url).json(&ping)).await, 405);
    assert_eq!(status(http.get(&url).header("accept", "application/json")).await, 406);
    assert_eq!(
        status(http.get(&url).header("accept", "text/event-stream").header("origin", "http://evil.example.com")).await,
        403
    );
    assert_eq!(status(http.post(&listener.post).header("host", "evil.example.com").json(&ping)).await, 403);
    assert_eq!(status(http.get(&listener.post)).await, 405);
    assert_eq!(status(http.post(&listener.post).body(ping.to_string())).await, 415);
    assert_eq!(status(http.post(&listener.post).header("content-type", "application/json").body("{")).await, 400);
    let bare = listener.post.split('?').next().expect("a path").to_owned();
    assert_eq!(status(http.post(&bare).json(&ping)).await, 400);
    let long = "a".repeat(10_000);
    for id in ["0123456789abcdef0123456789abcdef", "%00%ff%20", "", long.as_str()] {
        assert_eq!(status(http.post(format!("{bare}?session={id}")).json(&ping)).await, 404, "{id:.40}");
    }
    // A session of one transport is none of another.
    let own = listener.post.split("session=").nth(1).expect("an id").to_owned();
    let both = "application/json, text/event-stream";
    let newer = http.post(server.url()).header("accept", both).header("mcp-session-id", &own).json(&ping);
    assert_eq!(status(newer).await, 404);
    assert_eq!(listener.ask(&ping).await["id"], 1, "the session is untouched");
    server.shutdown().await;
}

// ---- sockets ----

type Socket = WebSocketStream<TcpStream>;

/// Opens a socket, with an answer to the upgrade.
async fn opened(server: &RunningServer, headers: &[(&'static str, &str)]) -> Result<(Socket, Option<String>), u16> {
    let mut ask = server.url_of(Via::WebSocket).expect("it is offered").into_client_request().expect("a URL");
    ask.headers_mut().insert("sec-websocket-protocol", "mcp".parse().expect("a value"));
    for (name, value) in headers {
        ask.headers_mut().insert(*name, value.parse().expect("a value"));
    }
    let stream = TcpStream::connect(server.addr()).await.expect("somebody listens");
    match in_time("the upgrade", client_async(ask, stream)).await {
        Ok((socket, answer)) => {
            assert_eq!(answer.headers()["sec-websocket-protocol"], "mcp");
            let id = answer.headers().get("mcp-session-id").map(|id| id.to_str().expect("ASCII").to_owned());
            Ok((socket, id))
        }
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn send(socket: &mut Socket, message: &Value) {
    in_time("sending", socket.send(Message::text(message.to_string()))).await.expect("sent");
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        match in_time("a message", socket.next()).await.expect("a message").expect("no error") {
            Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn ask(socket: &mut Socket, message: &Value) -> Value {
    send(socket, message).await;
    next(socket).await
}

/// The code with which the server closes, past what it has said before.
async fn code(socket: &mut Socket) -> u16 {
    loop {
        match in_time("the end", socket.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(Message::Text(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn begun(server: &RunningServer, version: &str) -> (Socket, String) {
    let (mut socket, id) = opened(server, &[]).await.expect("it opens");
    assert_eq!(ask(&mut socket, &hello(version)).await["result"]["protocolVersion"], version);
    send(&mut socket, &initialized()).await;
    (socket, id.expect("an id"))
}

#[tokio::test]
async fn a_session_on_a_socket() {
    let server = server(ServerConfig::default()).await;
    let (mut socket, _) = begun(&server, "2025-06-18").await;
    send(&mut socket, &call(1, "test_tool_with_progress", &json!({}))).await;
    for expected in [0, 50, 100] {
        assert_eq!(next(&mut socket).await["params"]["progress"], expected);
    }
    assert_eq!(next(&mut socket).await["id"], 1);
    let question = ask(&mut socket, &call(2, "test_sampling", &json!({"prompt": "hello"}))).await;
    let answer = ask(&mut socket, &answered(&question)).await;
    assert_eq!(answer["result"]["content"][0]["text"], "LLM response: yes");
    in_time("sending", socket.send(Message::text("no JSON"))).await.expect("sent");
    assert_eq!(next(&mut socket).await["error"]["code"], -32700);
    assert_eq!(ask(&mut socket, &request(3, "ping", json!({}))).await["id"], 3);
    server.shutdown().await;
    assert_eq!(code(&mut socket).await, 1001);
}

#[tokio::test]
async fn a_session_goes_on_with_another_socket() {
    let server = server(ServerConfig::default()).await;
    let (mut first, id) = begun(&server, "2025-06-18").await;
    send(&mut first, &call(1, "test_slow", &json!({"ms": 600_000}))).await;
    send(&mut first, &request(2, "ping", json!({}))).await;
    while next(&mut first).await["id"] != 2 {}
    drop(first);
    settles(&server, (1, 0)).await;
    server.clock().advance(Duration::from_secs(600));
    let headers = [("mcp-session-id", id.as_str()), ("mcp-protocol-version", "2025-06-18")];
    let (mut second, again) = opened(&server, &headers).await.expect("it is resumed");
    assert_eq!(again.as_deref(), Some(id.as_str()));
    let mut said = next(&mut second).await;
    while said["method"] == "notifications/progress" {
        said = next(&mut second).await;
    }
    assert_eq!((&said["id"], &said["result"]["content"][0]["text"]), (&json!(1), &json!("Slept 600000 ms")));
    let (mut third, _) = opened(&server, &headers).await.expect("it is resumed");
    assert_eq!(code(&mut second).await, 4409);
    assert_eq!(ask(&mut third, &request(3, "ping", json!({}))).await["id"], 3);
    let http = http();
    let post =
        http.post(server.url()).header("accept", "application/json, text/event-stream").header("mcp-session-id", &id);
    assert_eq!(post.json(&request(4, "ping", json!({}))).send().await.expect("answer").status(), 404);
    let delete = http.delete(server.url()).header("mcp-session-id", &id).send().await.expect("answer");
    assert_eq!(delete.status(), 204);
    assert_eq!(code(&mut third).await, 4404);
    assert_eq!(opened(&server, &headers).await.expect_err("it has ended"), 404);
    settles(&server, (0, 0)).await;
    server.shutdown().await;
}

#[tokio::test]
async fn what_does_not_become_a_socket() {
    let server = server(ServerConfig::default()).await;
    let long = "a".repeat(10_000);
    let refusals: [(&'static str, &str, u16); 8] = [
        ("mcp-session-id", "0123456789abcdef0123456789abcdef", 404),
        ("mcp-session-id", "with a space", 404),
        ("mcp-session-id", &long, 404),
        ("origin", "http://evil.example.com", 403),
        ("host", "evil.example.com", 403),
        ("sec-websocket-protocol", "chat", 400),
        ("mcp-protocol-version", "1999-01-01", 400),
        ("sec-websocket-version", "8", 426),
    ];
    for (name, value, status) in refusals {
        assert_eq!(opened(&server, &[(name, value)]).await.map(|_| ()), Err(status), "{name}: {value:.40}");
    }
    // A socket on which nobody has begun leaves nothing behind.
    let (socket, id) = opened(&server, &[]).await.expect("it opens");
    drop(socket);
    let id = id.expect("an id");
    in_time("the end of the channel", async {
        while opened(&server, &[("mcp-session-id", &id)]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(state(&server).await, (0, 0));
    server.shutdown().await;
}

/// A frame of a client, masked with zeros or not at all.
fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut frame = vec![first, mask | 127];
    frame.extend(u64::try_from(payload.len()).expect("it fits").to_be_bytes());
    if masked {
        frame.extend([0; 4]);
    }
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn bad_frames_end_their_socket_with_a_code_and_no_other() {
    let server = server(ServerConfig::default()).await;
    let (mut other, _) = begun(&server, "2025-06-18").await;
    let ping = request(1, "ping", json!({})).to_string();
    let huge = vec![b'x'; 100 * 1024 * 1024];
    let rows: [(&str, Vec<u8>, u16); 7] = [
        ("binary", frame(0x82, true, ping.as_bytes()), 1003),
        ("unmasked", frame(0x81, false, ping.as_bytes()), 1002),
        ("reserved bit", frame(0xc1, true, ping.as_bytes()), 1002),
        ("reserved opcode", frame(0x83, true, ping.as_bytes()), 1002),
        ("a continuation of nothing", frame(0x80, true, ping.as_bytes()), 1002),
        ("no UTF-8", frame(0x81, true, b"\xff\xfe"), 1007),
        ("100 MB", frame(0x81, true, &huge), 1009),
    ];
    for (name, bytes, expected) in rows {
        let (mut socket, id) = begun(&server, "2025-06-18").await;
        // A server may close before it has taken everything.
        let _ = in_time(name, socket.get_mut().write_all(&bytes)).await;
        assert_eq!(code(&mut socket).await, expected, "{name}");
        drop(socket);
        let (mut socket, _) = opened(&server, &[("mcp-session-id", &id)]).await.expect("the session lives on");
        assert_eq!(ask(&mut socket, &request(2, "ping", json!({}))).await["id"], 2, "{name}");
    }
    // A message may come in pieces, as long as the whole is not too large.
    let (mut socket, _) = begun(&server, "2025-06-18").await;
    let (start, rest) = ping.as_bytes().split_at(9);
    let pieces = [frame(0x01, true, start), frame(0x89, true, b""), frame(0x80, true, rest)].concat();
    socket.get_mut().write_all(&pieces).await.expect("sent");
    assert_eq!(next(&mut socket).await["id"], 1);
    let many = frame(0x00, true, &vec![b'x'; 1024 * 1024]);
    let _ = in_time("pieces", async {
        socket.get_mut().write_all(&frame(0x01, true, b"")).await?;
        for _ in 0..5 {
            socket.get_mut().write_all(&many).await?;
        }
        std::io::Result::Ok(())
    })
    .await;
    assert_eq!(code(&mut socket).await, 1009);
    assert_eq!(ask(&mut other, &request(9, "ping", json!({}))).await["id"], 9, "the other session is untouched");
    server.shutdown().await;
}

#[tokio::test]
async fn idle_sessions_of_sockets_end_and_open_ones_stay() {
    let server = server(ServerConfig::default()).await;
    let (mut open, _) = begun(&server, "2025-06-18").await;
    let (left, id) = begun(&server, "2025-06-18").await;
    drop(left);
    settles(&server, (2, 1)).await;
    server.clock().advance(Duration::from_secs(31 * 60));
    settles(&server, (1, 1)).await;
    assert_eq!(opened(&server, &[("mcp-session-id", &id)]).await.map(|_| ()), Err(404));
    assert_eq!(ask(&mut open, &request(1, "ping", json!({}))).await["id"], 1);
    server.shutdown().await;
}

// ---- all of them ----

#[tokio::test]
async fn a_server_stops_in_time_whatever_is_open() {
    let server = server(ServerConfig::default()).await;
    let url = server.url_of(Via::LegacySse).expect("it is offered");
    let mut listener = Listener::new(http(), &url).await;
    listener.ask(&hello("2025-06-18")).await;
    let _silent = Listener::new(http(), &url).await;
    let (mut socket, _) = begun(&server, "2025-06-18").await;
    let (_early, _) = opened(&server, &[]).await.expect("it opens");
    let _idle = TcpStream::connect(server.addr()).await.expect("somebody listens");
    for id in 1..4 {
        send(&mut socket, &call(id, "test_slow", &json!({"ms": 3_600_000}))).await;
    }
    tokio::time::timeout(Duration::from_secs(10), server.shutdown()).await.expect("it stops");
    assert_eq!(Listener::event(&mut listener.stream, &mut listener.text).await, None);
    assert_eq!(code(&mut socket).await, 1001);
}

#[tokio::test]
async fn only_what_is_offered_is_served() {
    let only = |via| ServerConfig { transports: vec![via], ..ServerConfig::default() };
    let both = "application/json, text/event-stream";
    let sse = server(only(Via::LegacySse)).await;
    let post = http().post(sse.url()).header("accept", both).json(&hello("2025-06-18")).send().await.expect("answer");
    assert_eq!(post.status(), 404);
    assert_eq!((sse.url_of(Via::StreamableHttp), sse.url_of(Via::WebSocket)), (None, None));
    Listener::new(http(), &sse.url_of(Via::LegacySse).expect("it is offered")).await;
    let socket = server(only(Via::WebSocket)).await;
    begun(&socket, "2024-11-05").await;
    let newer = server(only(Via::StreamableHttp)).await;
    let stream =
        http().get(format!("http://{}/sse", newer.addr())).header("accept", both).send().await.expect("answer");
    assert_eq!(stream.status(), 404);
    let refused = start(only(Via::Stdio), HybridClock::new(), Rng::seeded(1)).await.expect_err("no address");
    assert!(refused.to_string().contains("no transport is left"), "{refused}");
}

/// A token of a person for the endpoint of a transport, good for so many seconds.
fn token(server: &RunningServer, who: &str, via: Via, lifetime: i64) -> String {
    let url = server.url_of(via).expect("it is offered").replacen("ws", "http", 1);
    let order = TokenOrder {
        subject: Some(who.to_owned()),
        audience: Audience::Named(url),
        expires_in: Some(lifetime),
        ..TokenOrder::default()
    };
    format!("Bearer {}", server.minter().expect("it has an issuer").mint(&order).expect("minted"))
}

#[tokio::test]
async fn sessions_belong_to_a_person_on_every_transport() {
    // Sessions are to outlive tokens here.
    let idle_session = Duration::from_secs(24 * 3600);
    let server =
        server(ServerConfig { auth: Some(AuthConfig::default()), idle_session, ..ServerConfig::default() }).await;
    let sse = server.url_of(Via::LegacySse).expect("it is offered");
    let bare = http().get(&sse).header("accept", "text/event-stream").send().await.expect("answer");
    assert_eq!(bare.status(), 401);
    let challenge = bare.headers()["www-authenticate"].to_str().expect("text").to_owned();
    let metadata = format!("http://{}/.well-known/oauth-protected-resource/sse", server.addr());
    assert!(challenge.contains(&format!("resource_metadata=\"{metadata}\"")), "{challenge}");
    let told: Value = http().get(&metadata).send().await.expect("answer").json().await.expect("JSON");
    assert_eq!(told["resource"], sse.as_str());
    let client = |who: &str, via| {
        let value = token(&server, who, via, 3600).parse().expect("a value");
        Client::builder().no_proxy().default_headers([(reqwest::header::AUTHORIZATION, value)].into_iter().collect())
    };
    let [ada, bob] = ["ada", "bob"].map(|who| client(who, Via::LegacySse).build().expect("client"));
    let wrong = client("ada", Via::StreamableHttp).build().expect("client");
    let wrong = wrong.get(&sse).header("accept", "text/event-stream").send().await.expect("answer");
    assert_eq!(wrong.status(), 401, "a token for one endpoint opens no other");
    let mut listener = Listener::new(ada, &sse).await;
    listener.ask(&hello("2025-06-18")).await;
    let ping = request(1, "ping", json!({}));
    assert_eq!(bob.post(&listener.post).json(&ping).send().await.expect("answer").status(), 404);
    assert_eq!(http().post(&listener.post).json(&ping).send().await.expect("answer").status(), 401);
    let change = request(2, "tools/call", json!({"name": "test_touch_resource", "arguments": {}}));
    assert_eq!(listener.post(&change).await, 403, "the token does not reach so far");
    assert_eq!(listener.ask(&ping).await["id"], 1);

    assert_eq!(opened(&server, &[]).await.map(|_| ()), Err(401));
    let [ada, bob] = ["ada", "bob"].map(|who| token(&server, who, Via::WebSocket, 3600));
    let (mut socket, id) = opened(&server, &[("authorization", &ada)]).await.expect("it opens");
    let id = id.expect("an id");
    assert_eq!(ask(&mut socket, &hello("2025-06-18")).await["id"], 0);
    let resumed = [("authorization", bob.as_str()), ("mcp-session-id", id.as_str())];
    assert_eq!(opened(&server, &resumed).await.map(|_| ()), Err(404));
    let refused = ask(&mut socket, &change).await;
    assert!(refused["error"]["message"].as_str().is_some_and(|why| why.contains("insufficient_scope")), "{refused}");
    // The end of the token shows with the next message; the session waits for another token.
    server.clock().advance(Duration::from_secs(2 * 3600));
    send(&mut socket, &ping).await;
    assert_eq!(code(&mut socket).await, 4401);
    let fresh = token(&server, "ada", Via::WebSocket, 3600);
    let resumed = [("authorization", fresh.as_str()), ("mcp-session-id", id.as_str())];
    let (mut socket, _) = opened(&server, &resumed).await.expect("it is resumed");
    assert_eq!(ask(&mut socket, &ping).await["id"], 1);
    server.shutdown().await;
}

#[tokio::test]
async fn tls_under_all_that_have_an_address() {
    let server = server(ServerConfig { tls: Some(Tls::SelfMade), ..ServerConfig::default() }).await;
    let pem = server.authority().expect("one was made").to_owned();
    let authority = reqwest::Certificate::from_pem(pem.as_bytes()).expect("PEM");
    let trusting = Client::builder().no_proxy().tls_certs_only([authority]).build().expect("client");
    assert!(server.url().starts_with("https://"));
    let both = "application/json, text/event-stream";
    let newer = trusting.post(server.url()).header("accept", both).json(&hello("2025-06-18"));
    assert_eq!(newer.send().await.expect("answer").status(), 200);
    let mut listener = Listener::new(trusting, &server.url_of(Via::LegacySse).expect("it is offered")).await;
    assert_eq!(listener.ask(&hello("2024-11-05")).await["id"], 0);
    let url = server.url_of(Via::WebSocket).expect("it is offered");
    assert!(url.starts_with("wss://"));
    let mut roots = rustls::RootCertStore::empty();
    let pem = <rustls::pki_types::CertificateDer as rustls::pki_types::pem::PemObject>::from_pem_slice(pem.as_bytes());
    roots.add(pem.expect("PEM")).expect("an authority");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let name = server.addr().ip().to_string().try_into().expect("a name");
    let stream = TcpStream::connect(server.addr()).await.expect("somebody listens");
    let stream = connector.connect(name, stream).await.expect("it is trusted");
    let mut ask = url.into_client_request().expect("a URL");
    ask.headers_mut().insert("sec-websocket-protocol", "mcp".parse().expect("a value"));
    let (mut socket, _) = client_async(ask, stream).await.expect("it opens");
    socket.send(Message::text(hello("2025-11-25").to_string())).await.expect("sent");
    let answer = in_time("an answer", socket.next()).await.expect("a message").expect("no error");
    assert!(answer.to_text().expect("text").contains("2025-11-25"));
    // Who knows nothing of the authority does not get in, and who speaks no TLS gets no answer.
    let stranger = Client::builder().no_proxy().build().expect("client");
    assert!(stranger.get(server.url()).send().await.is_err());
    let mut plain = TcpStream::connect(server.addr()).await.expect("somebody listens");
    plain.write_all(b"GET /mcp HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    // It may be a reset as well.
    let _ = in_time("the end", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"));
    server.shutdown().await;
}

// ---- programs ----

#[test]
fn the_program_on_lines_ends_with_its_input_and_writes_nothing_else() {
    let mut served = Program::start(Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal")).args(["serve", "-t", "stdio"]));
    assert!(served.end().success());
    assert!(served.lines.recv_timeout(Patience::new().left()).is_err(), "nothing was asked, so nothing is said");
    let refused = Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"))
        .args(["serve", "-t", "stdio", "--control"])
        .output()
        .expect("the program runs");
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stdout.is_empty() && String::from_utf8_lossy(&refused.stderr).contains("--transport stdio"));
}

/// What the Python SDK does as a client of a server of ours.
fn python(package: &str, interpreter: &str, arguments: &[&str]) {
    if !installed("scripts/foreign", package) {
        return;
    }
    let mut command = Command::new(root().join("target/foreign").join(interpreter).join("bin/python"));
    command.arg(root().join("tests/doors/peer.py")).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    let mut peer = Program::start(&mut command);
    let told: Value = serde_json::from_str(&peer.line("")).expect("JSON");
    let expected = json!({
        "version": "2025-11-25",
        "tools": 26,
        "progress": [0.0, 50.0, 100.0],
        "slow": "Progress completed",
        "asked": "LLM response: heard hello",
    });
    assert_eq!(told, expected, "{arguments:?}");
    assert!(peer.end().success());
}

#[test]
fn the_python_sdk_on_lines() {
    let command = ["stdio", env!("CARGO_BIN_EXE_mcp-rehearsal"), "serve", "-t", "stdio"];
    python("mcp", "python", &command);
    python("mcp1", "python-1", &command);
}

#[test]
fn the_python_sdk_on_the_older_transport() {
    let server = Serve::start(&[]);
    python("mcp", "python", &["sse", server.url("sse")]);
    python("mcp1", "python-1", &["sse", server.url("sse")]);
}

/// Only the first generation of the SDK has a client for it.
#[test]
fn the_python_sdk_on_a_socket() {
    let server = Serve::start(&[]);
    python("mcp1", "python-1", &["websocket", server.url("socket")]);
}
