//! The reference server over real sockets: handshake, sessions, streams, resumption, questions, clock.

use std::time::Duration;

use mcp_rehearsal::model::{HybridClock, Rng};
use mcp_rehearsal::server::{AuthConfig, RunningServer, ServerConfig, start};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const BOTH: &str = "application/json, text/event-stream";

struct Peer {
    http: Client,
    url: String,
    session: Option<String>,
    version: &'static str,
}

async fn server(faults: &[&str]) -> RunningServer {
    let faults = faults.iter().map(ToString::to_string).collect();
    let config = ServerConfig { control: true, faults, ..ServerConfig::default() };
    start(config, HybridClock::new(), Rng::seeded(1)).await.expect("a free port")
}

impl Peer {
    fn stranger(server: &RunningServer) -> Self {
        let http = Client::builder().no_proxy().build().expect("client");
        Self { http, url: server.url(), session: None, version: "2025-11-25" }
    }

    async fn new(server: &RunningServer, version: &'static str, capabilities: Value) -> Self {
        let mut peer = Self::stranger(server);
        peer.version = version;
        let hello = json!({"protocolVersion": version, "capabilities": capabilities,
            "clientInfo": {"name": "t", "version": "1"}});
        let answer = peer.post(&request(0, "initialize", hello)).await;
        peer.session = answer.headers().get("mcp-session-id").map(|id| id.to_str().expect("ascii").to_owned());
        let answer: Value = answer.json().await.expect("json");
        assert_eq!(answer["result"]["protocolVersion"], version);
        let done = peer.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert_eq!(done.status(), 202);
        assert!(done.bytes().await.expect("body").is_empty());
        peer
    }

    fn ask(&self, method: Method) -> RequestBuilder {
        let mut ask = self.http.request(method, &self.url).header("accept", BOTH);
        if let Some(session) = &self.session {
            ask = ask.header("mcp-session-id", session).header("mcp-protocol-version", self.version);
        }
        ask
    }

    async fn post(&self, body: &Value) -> Response {
        self.ask(Method::POST).json(body).send().await.expect("answer")
    }

    async fn rpc(&self, method: &str, params: Value) -> Value {
        self.post(&request(7, method, params)).await.json().await.expect("json")
    }

    async fn tool(&self, id: u64, name: &str, params: Value) -> Events {
        let mut body = json!({"name": name});
        body.as_object_mut().expect("object").extend(params.as_object().expect("object").clone());
        Events { response: self.post(&request(id, "tools/call", body)).await, text: String::new() }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the callers pass literals")]
fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Reads one event at a time, comments and all.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    /// The id and the data of the next event, or `None` at the end.
    async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let found = field("data: ").map(|data| (field("id: ").unwrap_or_default(), data));
                let rest = rest.to_owned();
                self.text = rest;
                if found.is_some() {
                    return found;
                }
                continue;
            }
            let wait = tokio::time::timeout(Duration::from_secs(10), self.response.chunk());
            let chunk = wait.await.expect("in time").ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).expect("utf-8"));
        }
    }

    /// The next message, past any priming event.
    async fn message(&mut self) -> Option<Value> {
        loop {
            let (_, data) = self.next().await?;
            if !data.is_empty() {
                return Some(serde_json::from_str(&data).expect("json"));
            }
        }
    }
}

#[tokio::test]
async fn sessions_begin_and_end() {
    let server = server(&[]).await;
    let peer = Peer::new(&server, "2025-06-18", json!({})).await;
    assert_eq!(peer.session.as_ref().map(String::len), Some(32));
    assert_eq!(peer.rpc("ping", json!({})).await["result"], json!({}));
    let stranger = Peer::stranger(&server);
    assert_eq!(stranger.post(&request(1, "ping", json!({}))).await.status(), 400);
    assert_eq!(peer.ask(Method::DELETE).send().await.expect("answer").status(), 204);
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let body = request(2, "ping", json!({}));
        assert_eq!(peer.ask(method.clone()).json(&body).send().await.expect("answer").status(), 404, "{method}");
    }
    let put = peer.ask(Method::PUT).send().await.expect("answer");
    assert_eq!(
        (put.status(), put.headers()["allow"].to_str().expect("ascii")),
        (StatusCode::METHOD_NOT_ALLOWED, "GET, POST, DELETE")
    );
    server.shutdown().await;
}

#[tokio::test]
async fn an_unknown_version_gets_the_newest() {
    let server = server(&[]).await;
    for asked in ["2099-01-01", "2024-11-05", "2026-07-28"] {
        let hello = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = Peer::stranger(&server).rpc("initialize", hello).await;
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    }
}

#[tokio::test]
async fn the_door_refuses_what_it_should() {
    let server = server(&[]).await;
    let peer = Peer::new(&server, "2025-11-25", json!({})).await;
    let ping = request(1, "ping", json!({}));
    let with = |name: &'static str, value: &'static str| {
        let ask = peer.http.post(&peer.url).header("mcp-session-id", peer.session.clone().expect("session"));
        let ask = if name == "accept" { ask } else { ask.header("accept", BOTH) };
        ask.header(name, value).json(&ping).send()
    };
    for (name, value, status) in [
        ("origin", "http://evil.example.com", 403),
        ("origin", "http://localhost:5000", 200),
        ("host", "evil.example.com", 403),
        ("accept", "application/json", 406),
        ("accept", "text/event-stream;q=0.3, application/json", 200),
        ("accept", "*/*", 200),
        ("mcp-protocol-version", "nonsense", 400),
        ("mcp-protocol-version", "2025-06-18", 200),
    ] {
        assert_eq!(with(name, value).await.expect("answer").status(), status, "{name}: {value}");
    }
    let raw = |body: &'static str| peer.ask(Method::POST).header("content-type", "application/json").body(body).send();
    for (body, code) in [
        ("{", -32700),
        ("[]", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (r#"{"id":1,"method":"ping"}"#, -32600),
    ] {
        let answer = raw(body).await.expect("answer");
        assert_eq!(answer.status(), 400, "{body}");
        assert_eq!(answer.json::<Value>().await.expect("json")["error"]["code"], code, "{body}");
    }
    let text = peer.ask(Method::POST).body("{}").header("content-type", "text/plain").send().await.expect("answer");
    assert_eq!(text.status(), 415);
    let large = peer.ask(Method::POST).json(&json!("x".repeat(5 << 20))).send().await;
    assert!(large.is_err() || large.is_ok_and(|answer| answer.status() == 413));
    let modern = Peer::stranger(&server);
    let discover = modern.ask(Method::POST).header("mcp-protocol-version", "2026-07-28");
    let discover = discover.json(&request(9, "server/discover", json!({}))).send().await.expect("answer");
    assert_eq!(discover.status(), 400);
    let discover: Value = discover.json().await.expect("json");
    assert_eq!((&discover["error"]["code"], &discover["id"]), (&json!(-32602), &json!(9)));
}

#[tokio::test]
async fn batches_belong_to_2025_03_26() {
    let server = server(&[]).await;
    let peer = Peer::new(&server, "2025-03-26", json!({})).await;
    let batch = json!([request(1, "ping", json!({})), {"jsonrpc": "2.0", "method": "notifications/x"}, 5,
        request(2, "nope", json!({}))]);
    let answers: Vec<Value> = peer.post(&batch).await.json().await.expect("array");
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().any(|answer| answer["id"] == 1 && answer["result"] == json!({})));
    assert!(answers.iter().any(|answer| answer["id"] == 2 && answer["error"]["code"] == -32601));
    assert_eq!(peer.post(&json!([])).await.status(), 400);
    let tools = peer.rpc("tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().expect("tools").clone();
    assert!(tools.iter().all(|tool| tool.get("title").is_none() && tool["name"] != "test_resource_link"));
}

#[tokio::test]
async fn progress_comes_before_the_result_and_only_when_asked_for() {
    let server = server(&[]).await;
    let peer = Peer::new(&server, "2025-11-25", json!({})).await;
    let mut events = peer.tool(3, "test_tool_with_progress", json!({"_meta": {"progressToken": 5}})).await;
    let (_, priming) = events.next().await.expect("priming event");
    assert!(priming.is_empty());
    for progress in [0, 50, 100] {
        let message = events.message().await.expect("progress");
        assert_eq!(
            (&message["params"]["progress"], &message["params"]["progressToken"]),
            (&json!(progress), &json!(5))
        );
    }
    assert_eq!(events.message().await.expect("result")["id"], 3);
    assert_eq!(events.message().await, None);
    let mut quiet = peer.tool(4, "test_tool_with_progress", json!({})).await;
    assert_eq!(quiet.message().await.expect("result")["id"], 4);
}

#[tokio::test]
async fn a_stream_that_closes_early_is_resumed() {
    let server = server(&[]).await;
    let peer = Peer::new(&server, "2025-11-25", json!({})).await;
    let mut events = peer.tool(3, "test_reconnection", json!({})).await;
    let (priming, _) = events.next().await.expect("priming event");
    assert_eq!(events.next().await, None);
    let resume = peer.ask(Method::GET).header("last-event-id", &priming).send().await.expect("answer");
    let mut resumed = Events { response: resume, text: String::new() };
    assert_eq!(resumed.message().await.expect("result")["id"], 3);
    assert_eq!(resumed.message().await, None);
    let unknown = peer.ask(Method::GET).header("last-event-id", "99.1").send().await.expect("answer");
    assert_eq!(unknown.status(), 400);
}

#[tokio::test]
async fn the_server_asks_for_sampling_on_the_stream_of_the_call() {
    let server = server(&[]).await;
    let peer = Peer::new(&server, "2025-11-25", json!({"sampling": {}})).await;
    let mut events = peer.tool(3, "test_sampling", json!({"arguments": {"prompt": "hi"}})).await;
    let asked = events.message().await.expect("question");
    assert_eq!(asked["method"], "sampling/createMessage");
    let reply = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "yes"}});
    let reply = peer.post(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": reply})).await;
    assert_eq!(reply.status(), 202);
    assert_eq!(events.message().await.expect("result")["result"]["content"][0]["text"], "LLM response: yes");
    let mut refused = peer.tool(4, "test_list_roots", json!({})).await;
    assert_eq!(refused.message().await.expect("result")["result"]["isError"], true);
}

#[tokio::test]
async fn half_a_minute_passes_at_once_and_a_question_times_out() {
    let server = server(&[]).await;
    let peer = Peer::new(&server, "2025-06-18", json!({"sampling": {}})).await;
    let mut slow = peer.tool(3, "test_slow", json!({"arguments": {"ms": 30_000}})).await;
    let mut asking = peer.tool(4, "test_sampling", json!({"arguments": {"prompt": "hi"}})).await;
    assert_eq!(asking.message().await.expect("question")["method"], "sampling/createMessage");
    let end = tokio::spawn(async move { slow.message().await });
    while !end.is_finished() {
        server.clock().advance(Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(end.await.expect("no panic").expect("result")["id"], 3);
    server.clock().advance(Duration::from_secs(60));
    assert_eq!(asking.message().await.expect("cancellation")["method"], "notifications/cancelled");
    assert_eq!(asking.message().await.expect("result")["result"]["isError"], true);
}

#[tokio::test]
async fn a_cancelled_tool_gives_no_response() {
    let server = server(&[]).await;
    let peer = Peer::new(&server, "2025-11-25", json!({})).await;
    let mut slow = peer.tool(3, "test_slow", json!({"arguments": {"ms": 60_000}})).await;
    let cancel =
        |id: Value| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    assert_eq!(peer.post(&cancel(json!("3"))).await.status(), 202);
    let state = peer.http.get(format!("http://{}/control/state", server.addr())).send().await.expect("state");
    assert_eq!(state.json::<Value>().await.expect("json"), json!({"sessions": 1, "streams": 1, "working": 0}));
    peer.post(&cancel(json!(3))).await;
    assert_eq!(slow.message().await, None);
}

#[tokio::test]
async fn changes_are_announced_on_the_get_stream() {
    let server = server(&[]).await;
    let peer = Peer::new(&server, "2025-11-25", json!({})).await;
    // A client that opens a second stream has lost sight of the first, which ends.
    let mut first = Events { response: peer.ask(Method::GET).send().await.expect("stream"), text: String::new() };
    let get = peer.ask(Method::GET).send().await.expect("stream");
    assert_eq!(get.status(), 200);
    assert_eq!(first.message().await, None);
    let mut events = Events { response: get, text: String::new() };
    let call = |name: &str| json!({"name": name});
    peer.rpc("tools/call", call("test_touch_resource")).await;
    peer.rpc("resources/subscribe", json!({"uri": "test://watched-resource"})).await;
    peer.rpc("tools/call", call("test_touch_resource")).await;
    peer.rpc("tools/call", call("test_trigger_tool_change")).await;
    assert_eq!(events.message().await.expect("update")["method"], "notifications/resources/updated");
    assert_eq!(events.message().await.expect("change")["method"], "notifications/tools/list_changed");
    assert_eq!(peer.ask(Method::DELETE).send().await.expect("answer").status(), 204);
    assert_eq!(events.message().await, None);
}

#[tokio::test]
async fn pages_and_errors() {
    let server = server(&[]).await;
    let peer = Peer::new(&server, "2025-11-25", json!({})).await;
    let first = peer.rpc("resources/templates/list", json!({})).await;
    let cursor = first["result"]["nextCursor"].clone();
    let second = peer.rpc("resources/templates/list", json!({"cursor": cursor})).await;
    assert!(second["result"].get("nextCursor").is_none());
    assert_ne!(first["result"]["resourceTemplates"], second["result"]["resourceTemplates"]);
    for (method, params, code) in [
        ("tools/list", json!({"cursor": cursor}), -32602),
        ("logging/setLevel", json!({"level": "loud"}), -32602),
        ("resources/read", json!({"uri": "test://nothing"}), -32002),
        ("prompts/get", json!({"name": "nothing"}), -32602),
        ("prompts/get", json!({"name": "test_prompt_with_arguments"}), -32602),
        ("tools/call", json!({"name": "nothing"}), -32602),
        ("nothing", json!({}), -32601),
    ] {
        assert_eq!(peer.rpc(method, params.clone()).await["error"]["code"], code, "{method} {params}");
    }
    let wrong = peer.rpc("tools/call", json!({"name": "test_echo", "arguments": {"text": 5}})).await;
    assert_eq!(wrong["result"]["isError"], true);
}

#[tokio::test]
async fn an_idle_session_ends() {
    let server = server(&[]).await;
    let peer = Peer::new(&server, "2025-11-25", json!({})).await;
    server.clock().advance(Duration::from_secs(31 * 60));
    assert_eq!(peer.post(&request(1, "ping", json!({}))).await.status(), 404);
}

#[tokio::test]
async fn a_fault_is_committed() {
    let server = server(&["session.delete-ignored"]).await;
    let peer = Peer::new(&server, "2025-11-25", json!({})).await;
    assert_eq!(peer.ask(Method::DELETE).send().await.expect("answer").status(), 204);
    assert_eq!(peer.post(&request(1, "ping", json!({}))).await.status(), 200);
}

/// Some clients send head and body apart, and come again on the same connection when they are refused.
#[tokio::test]
async fn a_refusal_leaves_the_connection_open() {
    let config = ServerConfig { auth: Some(AuthConfig::default()), ..ServerConfig::default() };
    let server = start(config, HybridClock::new(), Rng::seeded(1)).await.expect("a free port");
    let mut socket = TcpStream::connect(server.addr()).await.expect("a connection");
    for (path, origin, status) in [
        ("/mcp", "http://127.0.0.1", "401"),
        ("/mcp", "http://evil.example.com", "403"),
        ("/nowhere", "http://127.0.0.1", "404"),
    ] {
        let host = server.addr();
        let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\ncontent-length: 2\r\n\r\n");
        socket.write_all(head.as_bytes()).await.expect("written");
        let mut answer = vec![0; 4096];
        // A server that does not wait for the body answers here.
        let early = tokio::time::timeout(Duration::from_millis(50), socket.read(&mut answer)).await;
        assert!(early.is_err(), "{status}: answered before the body came");
        socket.write_all(b"{}").await.expect("written");
        let end = socket.read(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    let asks =
        format!("POST /mcp HTTP/1.1\r\nhost: {}\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n", server.addr());
    socket.write_all(asks.as_bytes()).await.expect("written");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer, and then the end");
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.to_lowercase().contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_server_that_listens_nowhere_is_reached_by_its_inlet() {
    let listen = "127.0.0.1:1".parse().expect("an address");
    let config = ServerConfig { listen, listens: false, ..ServerConfig::default() };
    let server = start(config, HybridClock::new(), Rng::seeded(1)).await.expect("nothing is taken");
    assert!(TcpStream::connect(server.addr()).await.is_err(), "nobody listens");
    let mut pipe = server.inlet().connect().expect("open");
    let body = request(1, "ping", json!({})).to_string();
    let head = format!("POST /mcp HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n", server.addr());
    let rest = format!("accept: {BOTH}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    pipe.write_all(format!("{head}{rest}").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    pipe.read_to_string(&mut answer).await.expect("read");
    assert!(answer.starts_with("HTTP/1.1 400"), "without a session: {answer}");
    assert_eq!(server.url(), format!("http://{}/mcp", server.addr()));
    server.shutdown().await;
}
