//! Several nodes on one Redis: any of them serves any session, whatever becomes of the others or of Redis.

use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::model::{HybridClock, Rng, Via};
use mcp_rehearsal::rehearsal::{Rehearsal, Selection, Stage, rehearse};
use mcp_rehearsal::server::{RunningServer, ServerConfig, StoreConfig, start};
use mcp_rehearsal::verdict::Cell;
use mcp_rehearsal::{profile, scenario};
use redis_server::RedisServer;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

#[expect(dead_code, reason = "other tests use the rest")]
mod redis_server;

const BOTH: &str = "application/json, text/event-stream";
/// How long anything may take; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

async fn node(redis: &RedisServer, name: &str, clock: &HybridClock) -> RunningServer {
    let config =
        ServerConfig { store: StoreConfig::Redis(redis.url()), node: name.to_owned(), ..ServerConfig::default() };
    start(config, clock.clone(), Rng::from_system()).await.expect("it starts")
}

/// A client of one session, who may turn to any node.
struct Peer {
    http: Client,
    session: String,
}

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

impl Peer {
    async fn new(node: &RunningServer) -> Self {
        let http = Client::builder().no_proxy().build().expect("client");
        let mut peer = Self { http, session: String::new() };
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}},
            "clientInfo": {"name": "t", "version": "1"}});
        let answer = peer.post(node, &request(0, "initialize", &hello)).await;
        peer.session = answer.headers()["mcp-session-id"].to_str().expect("ascii").to_owned();
        let done = peer.post(node, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert_eq!(done.status(), 202);
        peer
    }

    fn ask(&self, method: Method, node: &RunningServer) -> RequestBuilder {
        let ask = self.http.request(method, node.url()).header("accept", BOTH);
        if self.session.is_empty() { ask } else { ask.header("mcp-session-id", &self.session) }
    }

    async fn post(&self, node: &RunningServer, body: &Value) -> Response {
        self.ask(Method::POST, node).json(body).send().await.expect("answer")
    }

    async fn rpc(&self, node: &RunningServer, method: &str, params: Value) -> Value {
        self.post(node, &request(7, method, &params)).await.json().await.expect("json")
    }

    async fn tool(&self, node: &RunningServer, id: u64, name: &str, arguments: Value) -> Events {
        let params = json!({"name": name, "arguments": arguments, "_meta": {"progressToken": id}});
        Events::of(self.post(node, &request(id, "tools/call", &params)).await)
    }

    async fn listen(&self, node: &RunningServer) -> Response {
        self.ask(Method::GET, node).send().await.expect("answer")
    }

    async fn resume(&self, node: &RunningServer, last: &str) -> Response {
        self.ask(Method::GET, node).header("last-event-id", last).send().await.expect("answer")
    }
}

/// Reads one event at a time.
struct Events {
    response: Response,
    text: String,
    /// The id of the last one.
    last: String,
}

impl Events {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        Self { response, text: String::new(), last: String::new() }
    }

    /// The data of the next event, or `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let (id, data) = (field("id: "), field("data: "));
                let rest = rest.to_owned();
                self.text = rest;
                if let Some(id) = id {
                    self.last = id;
                    return Some(data.unwrap_or_default());
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("in time").ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).expect("utf-8"));
        }
    }

    /// The next message, past any priming event.
    async fn message(&mut self) -> Option<Value> {
        loop {
            let data = self.next().await?;
            if !data.is_empty() {
                return Some(serde_json::from_str(&data).expect("json"));
            }
        }
    }

    async fn rest(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(message) = self.message().await {
            all.push(message);
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_serves_any_session() {
    let Some(redis) = RedisServer::start() else { return };
    let clock = HybridClock::new();
    let (a, b, c) = (node(&redis, "a", &clock).await, node(&redis, "b", &clock).await, node(&redis, "c", &clock).await);
    let peer = Peer::new(&a).await;
    assert_eq!(peer.rpc(&b, "ping", json!({})).await["result"], json!({}));
    // What is set at one node is known at the next.
    peer.rpc(&b, "logging/setLevel", json!({"level": "warning"})).await;
    let mut quiet = peer.tool(&c, 1, "test_tool_with_logging", json!({})).await;
    assert_eq!(quiet.rest().await.len(), 1, "only the result");
    // What one node does is heard at the stream that another one holds; a second stream takes the place of the first,
    // wherever that is.
    let mut first = Events::of(peer.listen(&c).await);
    assert_eq!(first.next().await.as_deref(), Some(""));
    let mut stream = Events::of(peer.listen(&b).await);
    assert_eq!(stream.next().await.as_deref(), Some(""));
    assert_eq!(first.next().await, None);
    peer.rpc(&a, "tools/call", json!({"name": "test_trigger_tool_change"})).await;
    peer.rpc(&c, "tools/call", json!({"name": "test_trigger_prompt_change"})).await;
    let heard = [stream.message().await.expect("a message"), stream.message().await.expect("a message")];
    assert_eq!(heard[0]["method"], "notifications/tools/list_changed");
    assert_eq!(heard[1]["method"], "notifications/prompts/list_changed");
    let tools = peer.rpc(&b, "tools/list", json!({})).await;
    assert!(tools.to_string().contains("test_added_tool"));
    // A stream goes on at another node, after what was read of it.
    let last = stream.last.clone();
    drop(stream);
    peer.rpc(&a, "tools/call", json!({"name": "test_trigger_resource_change"})).await;
    let mut stream = Events::of(peer.resume(&c, &last).await);
    assert_eq!(stream.message().await.expect("a message")["method"], "notifications/resources/list_changed");
    // A question of one node is answered at another.
    let mut asking = peer.tool(&a, 2, "test_sampling", json!({"prompt": "Hello"})).await;
    let question = asking.message().await.expect("a question");
    let said = json!({"role": "assistant", "content": {"type": "text", "text": "Hi"}, "model": "m"});
    peer.post(&b, &json!({"jsonrpc": "2.0", "id": question["id"], "result": said})).await;
    assert!(asking.message().await.expect("the result").to_string().contains("LLM response: Hi"));
    // A call is cancelled at another node than the one that runs it.
    let mut slow = peer.tool(&a, 3, "test_slow", json!({"ms": 600_000})).await;
    assert_eq!(slow.next().await.as_deref(), Some(""));
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}});
    assert_eq!(peer.post(&c, &cancel).await.status(), 202);
    assert_eq!(slow.rest().await, Vec::<Value>::new());
    // Whoever ends the session ends it everywhere.
    let mut slow = peer.tool(&b, 4, "test_slow", json!({"ms": 600_000})).await;
    assert_eq!(peer.ask(Method::DELETE, &a).send().await.expect("answer").status(), 204);
    assert_eq!((slow.rest().await, stream.rest().await), (Vec::new(), Vec::new()));
    for node in [&a, &b, &c] {
        assert_eq!(peer.post(node, &request(9, "ping", &json!({}))).await.status(), 404);
    }
    for node in [a, b, c] {
        node.shutdown().await;
    }
    // The key under which the nodes sign requestState is what is left, and not for ever.
    assert_eq!(redis.size(), 1);
    let left: i64 =
        redis.ask(&["TTL", "request-state:{key}"]).trim().trim_start_matches(':').parse().expect("a number");
    assert!(left > 0, "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_at_another_node_and_ends_with_its_own() {
    let Some(redis) = RedisServer::start() else { return };
    let clock = HybridClock::new();
    let (a, b) = (node(&redis, "a", &clock).await, node(&redis, "b", &clock).await);
    let peer = Peer::new(&a).await;
    let mut call = peer.tool(&a, 1, "test_slow", json!({"ms": 600_000})).await;
    let _listening = Events::of(peer.listen(&b).await);
    assert_eq!(call.next().await.as_deref(), Some(""));
    let mut resumed = Events::of(peer.resume(&b, &call.last).await);
    drop(call);
    clock.advance(Duration::from_secs(600));
    let answer = resumed.rest().await.pop().expect("an answer");
    assert!(answer["id"] == 1 && answer["result"].is_object(), "{answer}");
    // A session lives on when a node ends, and who waits for a call of that node hears that nobody will answer it.
    let mut call = peer.tool(&a, 2, "test_slow", json!({"ms": 600_000})).await;
    assert_eq!(call.next().await.as_deref(), Some(""));
    let begun = call.last.clone();
    a.shutdown().await;
    assert_eq!(call.rest().await, Vec::<Value>::new());
    let mut resumed = Events::of(peer.resume(&b, &begun).await);
    let told = resumed.rest().await;
    assert!(told.len() == 1 && told[0]["id"] == 2 && told[0]["error"]["code"] == -32603, "{told:?}");
    let again = Events::of(peer.resume(&b, &begun).await).rest().await;
    assert_eq!(again, told, "nobody is told anything else later");
    assert_eq!(peer.rpc(&b, "ping", json!({})).await["result"], json!({}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_end_by_the_servers_clock_at_every_node() {
    let Some(redis) = RedisServer::start() else { return };
    let clock = HybridClock::new();
    let (a, b) = (node(&redis, "a", &clock).await, node(&redis, "b", &clock).await);
    let (used, unused, busy) = (Peer::new(&a).await, Peer::new(&a).await, Peer::new(&b).await);
    let mut stream = Events::of(busy.listen(&b).await);
    stream.next().await;
    clock.advance(Duration::from_secs(20 * 60));
    assert_eq!(used.rpc(&b, "ping", json!({})).await["result"], json!({}));
    clock.advance(Duration::from_secs(20 * 60));
    assert_eq!(used.rpc(&a, "ping", json!({})).await["result"], json!({}));
    assert_eq!(unused.post(&b, &request(1, "ping", &json!({}))).await.status(), 404);
    assert_eq!(busy.rpc(&b, "ping", json!({})).await["result"], json!({}));
    for foreign in ["x", "0123456789abcdef0123456789abcdef", "}:state", &"a".repeat(8000)] {
        let stranger = Peer { http: used.http.clone(), session: foreign.to_owned() };
        let refused = stranger.post(&a, &request(1, "ping", &json!({}))).await.status().as_u16();
        assert!([404, 431].contains(&refused), "{foreign}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_requests_are_put_off_and_no_session_is_lost() {
    // With its default, once a second, Redis answers before it has written where the disk is slow.
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(mut redis) = RedisServer::start_with(&always) else { return };
    let clock = HybridClock::new();
    let a = node(&redis, "a", &clock).await;
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(Peer::new(&a).await);
    }
    let mut stream = Events::of(peers[0].listen(&a).await);
    stream.next().await;
    let mut call = peers[0].tool(&a, 1, "test_slow", json!({"ms": 60_000})).await;
    assert_eq!(call.next().await.as_deref(), Some(""));
    redis.kill();
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let stranger = Peer { http: peers[0].http.clone(), session: String::new() };
    for refused in [
        peers[1].post(&a, &request(1, "ping", &json!({}))).await,
        peers[1].listen(&a).await,
        peers[1].ask(Method::DELETE, &a).send().await.expect("answer"),
        stranger.post(&a, &request(1, "initialize", &hello)).await,
    ] {
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], "1");
    }
    // What goes on meanwhile is told when Redis is back.
    clock.advance(Duration::from_secs(60));
    redis.start_again();
    let answered = call.rest().await;
    assert!(answered.last().is_some_and(|last| last["result"].is_object()), "{answered:?}");
    for (number, peer) in peers.iter().enumerate() {
        let mut answer = peer.post(&a, &request(2, "ping", &json!({}))).await;
        while answer.status() == 503 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            answer = peer.post(&a, &request(2, "ping", &json!({}))).await;
        }
        assert_eq!(answer.status(), 200, "session {number}");
    }
    peers[0].rpc(&a, "tools/call", json!({"name": "test_trigger_tool_change"})).await;
    let mut methods = Vec::new();
    while !methods.contains(&json!("notifications/tools/list_changed")) {
        methods.push(stream.message().await.expect("a message")["method"].clone());
    }
    assert_eq!(methods.len(), stream.seen(&methods), "nothing twice");
}

impl Events {
    /// How many of the methods are there once only, or are progress.
    #[expect(clippy::unused_self, reason = "reads better beside the stream")]
    fn seen(&self, methods: &[Value]) -> usize {
        let once = |method: &&Value| methods.iter().filter(|other| other == method).count() == 1;
        methods.iter().filter(|method| once(method) || **method == json!("notifications/progress")).count()
    }
}

async fn rehearsed(redis: &RedisServer, nodes: usize, via: Via) {
    let mut profiles = profile::shipped().expect("profiles load");
    // What clients do differently shows over HTTP; over the other transports it is the server's turn.
    let over_http = via == Via::StreamableHttp;
    profiles.retain(|profile| profile.is_neutral() || (over_http && profile.about.popular));
    let selection = Selection {
        scenarios: scenario::shipped().into_iter().map(Arc::new).collect(),
        profiles: profiles.into_iter().map(Arc::new).collect(),
        revisions: Vec::new(),
        target: None,
    };
    let rehearsal = Rehearsal {
        selection,
        stage: Stage::embedded(Vec::new())
            .on(StoreConfig::Redis(redis.url()), nodes)
            .over(via, env!("CARGO_BIN_EXE_mcp-rehearsal").into()),
        jobs: 16,
        patience: Duration::from_secs(10),
        seed: 1,
        allowed_tools: Vec::new(),
        archive: None,
    };
    let summary = rehearse(rehearsal, |_| {}, std::future::pending()).await.expect("the rehearsal begins");
    let mut lines = Vec::new();
    for case in summary.cases.iter().filter(|case| !matches!(case.cell, Cell::Passed | Cell::NotApplicable)) {
        lines.push(format!("{} {:?}", case.plan.id(), case.cell));
        lines.extend(case.stories.iter().map(|story| format!("  {}: {}", story.id, story.breach.what)));
    }
    assert!(lines.is_empty(), "{nodes} nodes over {via:?}:\n{}", lines.join("\n"));
    assert!(summary.count(Cell::Passed) > 100, "only {} cases passed", summary.count(Cell::Passed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_passes_on_redis_with_one_node() {
    let Some(redis) = RedisServer::start() else { return };
    rehearsed(&redis, 1, Via::StreamableHttp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_passes_on_redis_with_three_nodes() {
    let Some(redis) = RedisServer::start() else { return };
    rehearsed(&redis, 3, Via::StreamableHttp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_passes_on_redis_over_each_transport() {
    let Some(redis) = RedisServer::start() else { return };
    for (via, nodes) in [(Via::LegacySse, 1), (Via::LegacySse, 3), (Via::WebSocket, 1), (Via::WebSocket, 3)] {
        rehearsed(&redis, nodes, via).await;
    }
}
