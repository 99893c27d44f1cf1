//! The era without a handshake (2026-07-28) at the reference server, over real sockets and on a pipe, beside the other era.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use mcp_rehearsal::model::{HybridClock, Rng, TokenOrder, Via};
use mcp_rehearsal::server::{AuthConfig, Eras, RunningServer, ServerConfig, StoreConfig, serve_io, start};
use redis_server::RedisServer;
use reqwest::{Client, Response};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

#[expect(dead_code, reason = "other tests use the rest")]
mod redis_server;

const VERSION: &str = "2026-07-28";
const TASKS: &str = "io.modelcontextprotocol/tasks";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const STATE: &str = "test_input_required_result_request_state";

async fn serve(config: ServerConfig) -> RunningServer {
    let config = ServerConfig { control: true, ..config };
    start(config, HybridClock::new(), Rng::seeded(1)).await.expect("a free port")
}

async fn both() -> RunningServer {
    serve(ServerConfig::default()).await
}

fn meta(capabilities: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

fn everything() -> Value {
    json!({"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {}, "extensions": {TASKS: {}}})
}

/// A whole request.
fn request(id: impl Into<Value>, method: &str, params: Value, capabilities: &Value) -> Value {
    let mut params = params;
    if params.get("_meta").is_none() {
        params["_meta"] = meta(capabilities);
    }
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})
}

#[expect(clippy::needless_pass_by_value, reason = "the callers pass literals")]
fn call(name: &str, arguments: Value) -> Value {
    json!({"name": name, "arguments": arguments})
}

/// The headers that a request has to have.
fn mirrored(body: &Value) -> Vec<(String, String)> {
    let text = |name: &str, value: &Value| value.as_str().map(|value| (name.to_owned(), value.to_owned()));
    let params = &body["params"];
    let named = [&params["name"], &params["uri"], &params["taskId"]].into_iter().find(|value| value.is_string());
    let named = named.filter(|_| !matches!(body["method"].as_str(), Some("completion/complete")));
    [text("mcp-protocol-version", &json!(VERSION)), text("mcp-method", &body["method"])]
        .into_iter()
        .flatten()
        .chain(named.and_then(|named| text("mcp-name", named)))
        .collect()
}

struct Peer {
    http: Client,
    url: String,
    token: Option<String>,
}

impl Peer {
    fn new(server: &RunningServer) -> Self {
        Self { http: Client::builder().no_proxy().build().expect("client"), url: server.url(), token: None }
    }

    async fn post(&self, headers: &[(String, String)], body: &Value) -> Response {
        let mut ask = self.http.post(&self.url).header("accept", "application/json, text/event-stream").json(body);
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        if let Some(token) = &self.token {
            ask = ask.bearer_auth(token);
        }
        in_time("an answer", ask.send()).await.expect("an answer")
    }

    /// Sends a request as it is to be; gives the status and the body.
    async fn send(&self, body: &Value) -> (u16, Value) {
        told(self.post(&mirrored(body), body).await).await
    }

    /// The result of a request of a client that can do everything.
    async fn result(&self, method: &str, params: Value) -> Value {
        let (status, answer) = self.send(&request(1, method, params, &everything())).await;
        assert_eq!(status, 200, "{answer}");
        assert!(answer["result"].is_object(), "{answer}");
        answer["result"].clone()
    }

    /// Waits until the server counts so many of something.
    async fn until(&self, server: &RunningServer, what: &str, count: u64) {
        let url = format!("{}/state", server.control_url().expect("control"));
        let mut found = Value::Null;
        for _ in 0..500 {
            let state = self.http.get(&url).send().await.expect("an answer");
            found = state.json().await.expect("JSON");
            if found[what] == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not {count} {what}, but {found}");
    }

    async fn stream(&self, body: &Value) -> Events {
        let response = self.post(&mirrored(body), body).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Events { response, text: String::new() }
    }
}

async fn told(response: Response) -> (u16, Value) {
    assert!(response.headers().get("mcp-session-id").is_none());
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.expect("a body")).unwrap_or_default())
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

struct Events {
    response: Response,
    text: String,
}

impl Events {
    /// The next message, or `None` at the end. No event has an id.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.strip_prefix("data: ").map(|data| serde_json::from_str(data).expect("JSON"));
                assert!(data.is_some() || event == ":", "{event}");
                let rest = rest.to_owned();
                self.text = rest;
                if data.is_some() {
                    return data;
                }
                continue;
            }
            let chunk = in_time("an event", self.response.chunk()).await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    async fn all(mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(message) = self.next().await {
            all.push(message);
        }
        all
    }
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn bare(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

/// Which era a POST is served in, by status and error code; the rows of the server that speaks both.
#[tokio::test]
async fn the_era_is_told_by_the_first_sign() {
    let server = both().await;
    let peer = Peer::new(&server);
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let whole = json!({"_meta": meta(&json!({}))});
    let unknown_session = ("mcp-session-id", "0123456789abcdef");
    let version = ("mcp-protocol-version", VERSION);
    for (sent, body, status, code) in [
        (vec![unknown_session, version, ("mcp-method", "tools/list")], bare("tools/list", &whole), 200, None),
        (vec![version, ("mcp-method", "initialize")], bare("initialize", &whole), 404, Some(-32601)),
        (vec![version, ("mcp-method", "ping")], bare("ping", &whole), 404, Some(-32601)),
        (vec![version], bare("tools/list", &json!({})), 400, Some(-32602)),
        (vec![version], bare("server/discover", &json!({})), 400, Some(-32602)),
        (vec![("mcp-protocol-version", "2027-01-01")], bare("tools/list", &json!({})), 400, Some(-32602)),
        (vec![unknown_session, version], bare("tools/list", &json!({})), 400, Some(-32602)),
        (vec![], bare("server/discover", &json!({})), 400, Some(-32020)),
        (vec![("mcp-method", "tools/list")], bare("tools/list", &json!({})), 400, Some(-32020)),
        (vec![], bare("initialize", &hello), 200, None),
        (vec![version], bare("initialize", &hello), 200, None),
        (vec![unknown_session], bare("tools/list", &json!({})), 404, Some(-32001)),
        (vec![("mcp-protocol-version", "2025-11-25")], bare("tools/list", &json!({})), 400, Some(-32600)),
        (vec![], bare("tools/list", &json!({})), 400, Some(-32600)),
        (vec![("mcp-protocol-version", "v999.0.0")], bare("tools/list", &json!({})), 400, Some(-32602)),
    ] {
        let response = peer.post(&headers(&sent), &body).await;
        let handshake = body["method"] == "initialize" && status == 200;
        assert_eq!(response.headers().contains_key("mcp-session-id"), handshake, "{sent:?} {body}");
        let got = response.status();
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!((got.as_u16(), answer["error"]["code"].as_i64()), (status, code), "{sent:?} {body} {answer}");
        assert_eq!(answer["id"], 7, "{answer}");
    }
}

#[tokio::test]
async fn what_is_wrong_first_decides() {
    let server = both().await;
    let peer = Peer::new(&server);
    let other_version = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "v999.0.0",
        "io.modelcontextprotocol/clientCapabilities": {}}});
    let no_capabilities = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": VERSION}});
    let odd_level = |level: &str| {
        let mut params = json!({"_meta": meta(&json!({}))});
        params["_meta"]["io.modelcontextprotocol/logLevel"] = json!(level);
        params
    };
    let whole = json!({"_meta": meta(&json!({}))});
    let with = |more: Value| {
        let mut params = more;
        params["_meta"] = meta(&json!({}));
        params
    };
    let v = ("mcp-protocol-version", VERSION);
    let m = |method: &'static str| ("mcp-method", method);
    let n = |name: &'static str| ("mcp-name", name);
    let param = "test_header_params";
    for (sent, body, status, code) in [
        (vec![m("tools/list")], bare("tools/list", &whole), 400, -32020),
        (vec![v, m("tools/list")], bare("tools/list", &no_capabilities), 400, -32602),
        (vec![v, m("tools/list")], bare("tools/list", &other_version), 400, -32020),
        (vec![("mcp-protocol-version", "v999.0.0"), m("tools/list")], bare("tools/list", &other_version), 400, -32022),
        (vec![v], bare("tools/list", &whole), 400, -32020),
        (vec![v, m("TOOLS/LIST")], bare("tools/list", &whole), 400, -32020),
        (vec![v, m("prompts/list")], bare("tools/list", &whole), 400, -32020),
        (vec![v, m("logging/setLevel")], bare("logging/setLevel", &with(json!({"level": "info"}))), 404, -32601),
        (vec![v, m("resources/subscribe")], bare("resources/subscribe", &with(json!({"uri": "a:b"}))), 404, -32601),
        (vec![v, m("tasks/list")], bare("tasks/list", &whole), 404, -32601),
        (vec![v, m("no/such")], bare("no/such", &whole), 404, -32601),
        (vec![v, m("tools/call")], bare("tools/call", &with(call("test_simple_text", json!({})))), 400, -32020),
        (vec![v, m("tools/call"), n("x")], bare("tools/call", &with(call("test_simple_text", json!({})))), 400, -32020),
        (vec![v, m("tools/call"), n("x")], bare("tools/call", &with(call("x", json!({})))), 200, -32602),
        (vec![v, m("tools/call")], bare("tools/call", &whole), 200, -32602),
        (vec![v, m("tasks/get"), n("a")], bare("tasks/get", &with(json!({"taskId": "a"}))), 400, -32021),
        (vec![v, m("tasks/get"), n("b")], bare("tasks/get", &with(json!({"taskId": "a"}))), 400, -32020),
        (
            vec![v, m("subscriptions/listen")],
            bare("subscriptions/listen", &with(json!({"notifications": {"taskIds": []}}))),
            400,
            -32021,
        ),
        (vec![v, m("subscriptions/listen")], bare("subscriptions/listen", &whole), 400, -32602),
        (vec![v, m("tools/list")], bare("tools/list", &odd_level("loud")), 400, -32602),
        (vec![v, m("tools/list")], bare("tools/list", &with(json!({"cursor": "nonsense"}))), 200, -32602),
        (vec![v, m("prompts/get"), n("x")], bare("prompts/get", &with(json!({"name": "x"}))), 200, -32602),
        (
            vec![v, m("resources/read"), n("test://x")],
            bare("resources/read", &with(json!({"uri": "test://x"}))),
            200,
            -32602,
        ),
        (
            vec![v, m("tools/call"), n(param)],
            bare("tools/call", &with(call(param, json!({"region": "a"})))),
            400,
            -32020,
        ),
        (
            vec![v, m("tools/call"), n("test_missing_capability")],
            bare("tools/call", &with(call("test_missing_capability", json!({})))),
            400,
            -32021,
        ),
        (
            vec![v, m("tools/call"), n("test_sampling")],
            bare("tools/call", &with(call("test_sampling", json!({"prompt": "p"})))),
            400,
            -32021,
        ),
        (
            vec![v, m("tools/call"), n("test_streaming_elicitation")],
            bare("tools/call", &with(call("test_streaming_elicitation", json!({})))),
            400,
            -32021,
        ),
        (
            vec![v, m("tools/call"), n("failing_job")],
            bare("tools/call", &with(call("failing_job", json!({})))),
            400,
            -32021,
        ),
        (
            vec![v, m("tools/call"), n("test_url_elicitation_required")],
            bare("tools/call", &with(call("test_url_elicitation_required", json!({})))),
            200,
            -32602,
        ),
    ] {
        let (got, answer) = told(peer.post(&headers(&sent), &body).await).await;
        assert_eq!((got, answer["error"]["code"].as_i64()), (status, Some(code)), "{sent:?} {body} {answer}");
        assert_eq!(answer["id"], 7);
        let data = &answer["error"]["data"];
        assert!(
            code != -32022 || (data["supported"] == json!([VERSION]) && data["requested"] == "v999.0.0"),
            "{answer}"
        );
        assert!(code != -32021 || data["requiredCapabilities"].is_object(), "{answer}");
    }
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/anything", "params": whole});
    let (status, body) = told(peer.post(&headers(&[v]), &notification).await).await;
    assert_eq!((status, body), (202, Value::Null));
    let (status, _) = told(peer.post(&headers(&[v]), &json!({"jsonrpc": "2.0", "id": 1, "result": {}})).await).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn arguments_that_are_mirrored_arrive() {
    let server = both().await;
    let peer = Peer::new(&server);
    let arguments = json!({"region": "Zürich", "count": 42, "loud": true, "place": {"city": null}});
    let body = request(1, "tools/call", call("test_header_params", arguments), &json!({}));
    let mut sent = mirrored(&body);
    sent.extend(headers(&[
        ("mcp-param-region", "=?base64?WsO8cmljaA==?="),
        ("Mcp-Param-Count", "42.0"),
        ("mcp-param-loud", "true"),
        ("mcp-param-unknown", "x"),
    ]));
    let (status, answer) = told(peer.post(&sent, &body).await).await;
    assert_eq!((status, &answer["result"]["content"][0]["text"]), (200, &json!("Mirrored: Zürich")), "{answer}");
}

#[tokio::test]
async fn results_say_what_they_are() {
    let server = both().await;
    let peer = Peer::new(&server);
    for (method, params, kept) in [
        ("server/discover", json!({}), true),
        ("tools/list", json!({}), true),
        ("prompts/list", json!({}), true),
        ("resources/list", json!({}), true),
        ("resources/templates/list", json!({}), true),
        ("resources/read", json!({"uri": "test://static-text"}), true),
        ("prompts/get", json!({"name": "test_simple_prompt"}), false),
        ("tools/call", json!({"name": "test_simple_text"}), false),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "test_prompt_with_arguments"},
                "argument": {"name": "arg1", "value": "te"}}),
            false,
        ),
    ] {
        let result = peer.result(method, params).await;
        assert_eq!(result["resultType"], "complete", "{method}");
        assert!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"].is_string(), "{method}");
        assert_eq!(result["ttlMs"].is_u64() && result["cacheScope"].is_string(), kept, "{method}");
    }
    let discovered = peer.result("server/discover", json!({})).await;
    assert_eq!(discovered["supportedVersions"], json!([VERSION]));
    assert!(discovered["capabilities"]["extensions"][TASKS].is_object());
    assert!(discovered["capabilities"].get("tasks").is_none());
    let tools = peer.result("tools/list", json!({})).await["tools"].clone();
    let names: Vec<&str> = tools.as_array().expect("a list").iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert!(names.contains(&"greet") && !names.contains(&"test_reconnection"));
    assert_eq!(tools[0]["inputSchema"]["properties"], json!({}));
    assert!(tools.as_array().expect("a list").iter().all(|tool| tool.get("execution").is_none()));
}

#[tokio::test]
async fn a_stream_carries_what_belongs_to_its_request() {
    let server = both().await;
    let peer = Peer::new(&server);
    let mut body = request("s", "tools/call", call("test_tool_with_progress", json!({})), &json!({}));
    body["params"]["_meta"]["progressToken"] = json!("p");
    let said = peer.stream(&body).await.all().await;
    let progress: Vec<&Value> = said.iter().map(|message| &message["params"]["progress"]).collect();
    assert_eq!(progress, [&json!(0), &json!(50), &json!(100), &Value::Null]);
    assert!(said[..3].iter().all(|message| message["params"]["progressToken"] == "p"));
    assert_eq!((&said[3]["id"], &said[3]["result"]["resultType"]), (&json!("s"), &json!("complete")));
    let logs = async |level: Option<&str>| {
        let mut body = request(2, "tools/call", call("test_logging_tool", json!({})), &json!({}));
        if let Some(level) = level {
            body["params"]["_meta"]["io.modelcontextprotocol/logLevel"] = json!(level);
        }
        let said = peer.stream(&body).await.all().await;
        said.iter().filter(|message| message["method"] == "notifications/message").count()
    };
    assert_eq!((logs(Some("debug")).await, logs(None).await, logs(Some("warning")).await), (3, 0, 1));
}

#[tokio::test]
async fn who_closes_the_connection_wants_no_answer() {
    let server = both().await;
    let peer = Peer::new(&server);
    let mut slow = request(1, "tools/call", call("test_slow", json!({"ms": 3_600_000})), &json!({}));
    slow["params"]["_meta"]["progressToken"] = json!(1);
    let stream = peer.stream(&slow).await;
    let plain = request(2, "tools/call", call("slow_compute", json!({"seconds": 3600})), &json!({}));
    let waiting = tokio::spawn({
        let (http, url, sent) = (peer.http.clone(), peer.url.clone(), mirrored(&plain));
        async move { Peer { http, url, token: None }.post(&sent, &plain).await.status() }
    });
    peer.until(&server, "working", 2).await;
    drop(stream);
    peer.until(&server, "working", 1).await;
    waiting.abort();
    peer.until(&server, "working", 0).await;
}

#[expect(clippy::needless_pass_by_value, reason = "the callers pass literals")]
fn accepted(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

#[tokio::test]
async fn input_is_asked_for_in_rounds() {
    let server = both().await;
    let peer = Peer::new(&server);
    let round = async |name: &str, more: Value| {
        let mut params = call(name, json!({}));
        let members: Map<String, Value> = more.as_object().expect("an object").clone();
        params.as_object_mut().expect("an object").extend(members);
        peer.send(&request(1, "tools/call", params, &everything())).await.1
    };
    let elicits = "test_input_required_result_elicitation";
    let first = round(elicits, json!({})).await;
    assert_eq!(first["result"]["resultType"], "input_required");
    assert_eq!(first["result"]["inputRequests"]["user_name"]["method"], "elicitation/create");
    assert!(first["result"].get("requestState").is_none() && first["result"].get("ttlMs").is_none());
    let answers = json!({"user_name": accepted(json!({"name": "Ann"})), "other": 1});
    let done = round(elicits, json!({"inputResponses": answers})).await;
    assert_eq!(done["result"]["content"][0]["text"], "Hello, Ann!");
    let declined = round(elicits, json!({"inputResponses": {"user_name": {"action": "decline"}}})).await;
    assert_eq!(declined["result"]["resultType"], "complete");
    let again = round(elicits, json!({"inputResponses": {"wrong_key": {"action": "accept"}}})).await;
    assert_eq!(again["result"]["resultType"], "input_required");
    for wrong in [json!({"user_name": 12345}), json!({"user_name": accepted(json!({}))}), Value::Null] {
        let refused = round(elicits, json!({"inputResponses": wrong})).await;
        assert_eq!(refused["error"]["code"], -32602, "{wrong} {refused}");
    }
    let three = round("test_input_required_result_multiple_inputs", json!({})).await;
    let asked = three["result"]["inputRequests"].as_object().expect("questions");
    assert_eq!(asked.len(), 3);
    let answers = json!({
        "user_name": accepted(json!({"name": "Ann"})),
        "greeting": {"role": "assistant", "model": "m", "content": {"type": "text", "text": "Hi"}},
        "client_roots": {"roots": [{"uri": "file:///a"}]},
    });
    let state = &three["result"]["requestState"];
    let done =
        round("test_input_required_result_multiple_inputs", json!({"inputResponses": answers, "requestState": state}));
    assert_eq!(done.await["result"]["content"][0]["text"], "Hi, Ann; 1 roots: file:///a");
    // Without its state an answer counts for nothing.
    let lost = round("test_input_required_result_multiple_inputs", json!({"inputResponses": answers})).await;
    assert_eq!(lost["result"]["resultType"], "input_required");
    let rounds = "test_input_required_result_multi_round";
    let first = round(rounds, json!({})).await["result"].clone();
    let answer = json!({"step1": accepted(json!({"name": "Ann"}))});
    let second =
        round(rounds, json!({"inputResponses": answer, "requestState": first["requestState"]})).await["result"].clone();
    assert!(second["inputRequests"]["step2"].is_object() && second["requestState"] != first["requestState"]);
    let answer = json!({"step2": accepted(json!({"color": "red"}))});
    let third = round(rounds, json!({"inputResponses": answer, "requestState": second["requestState"]})).await;
    assert_eq!(third["result"]["content"][0]["text"], "Ann likes red");
    let some =
        request(1, "tools/call", call("test_input_required_result_capabilities", json!({})), &json!({"sampling": {}}));
    let asked = peer.send(&some).await.1["result"]["inputRequests"].clone();
    assert_eq!(asked.as_object().expect("questions").len(), 1, "{asked}");
    assert_eq!(asked["capital_question"]["method"], "sampling/createMessage");
    let prompt = peer.result("prompts/get", json!({"name": "test_input_required_result_prompt"})).await;
    assert!(prompt["inputRequests"]["user_context"].is_object());
    // The tools of the other era that ask do so here too; what has no place here any more is left out.
    let page = round("test_elicitation_url", json!({})).await;
    assert!(page["result"]["inputRequests"]["page"]["params"].get("elicitationId").is_none(), "{page}");
}

#[tokio::test]
async fn a_state_is_for_its_user_its_request_and_its_time() {
    let server = serve(ServerConfig { auth: Some(AuthConfig::default()), ..ServerConfig::default() }).await;
    let minter = server.minter().expect("an issuer");
    let user = |name: &str| {
        let order = TokenOrder {
            subject: Some(name.to_owned()),
            scope: Some("mcp:write".to_owned()),
            expires_in: Some(36_000),
            ..TokenOrder::default()
        };
        Peer { token: Some(minter.mint(&order).expect("a token")), ..Peer::new(&server) }
    };
    let (ann, bob) = (user("ann"), user("bob"));
    let stranger = Peer::new(&server);
    let listen = request(1, "subscriptions/listen", json!({"notifications": {}}), &json!({}));
    assert_eq!(stranger.post(&mirrored(&listen), &listen).await.status(), 401);
    let first = ann.result("tools/call", call(STATE, json!({}))).await;
    let state = first["requestState"].as_str().expect("a state").to_owned();
    let retry = async |peer: &Peer, name: &str, arguments: Value, state: &str| {
        let mut params = call(name, arguments);
        params["requestState"] = json!(state);
        params["inputResponses"] = json!({"confirm": accepted(json!({"ok": true}))});
        peer.send(&request(2, "tools/call", params, &everything())).await.1
    };
    assert_eq!(retry(&ann, STATE, json!({}), &format!("{state}-TAMPERED")).await["error"]["code"], -32602);
    assert_eq!(retry(&ann, STATE, json!({}), &state[1..]).await["error"]["code"], -32602);
    assert_eq!(retry(&bob, STATE, json!({}), &state).await["error"]["code"], -32602);
    assert_eq!(retry(&ann, STATE, json!({"a": 1}), &state).await["error"]["code"], -32602);
    let other = "test_input_required_result_tampered_state";
    assert_eq!(retry(&ann, other, json!({}), &state).await["error"]["code"], -32602);
    let done = retry(&ann, STATE, json!({}), &state).await;
    let text = done["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("state-ok"), "{done}");
    // A task is its user's own as well.
    let task = ann.result("tools/call", call("confirm_delete", json!({"filename": "f"}))).await;
    let (status, answer) = bob.send(&request(1, "tasks/get", json!({"taskId": task["taskId"]}), &everything())).await;
    assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32602)));
    server.clock().advance(Duration::from_secs(301));
    let late = retry(&ann, STATE, json!({}), &state).await;
    assert!(late["error"]["message"].as_str().is_some_and(|why| why.contains("expired")), "{late}");
}

/// A retry may come to any of several servers that share a store.
#[tokio::test]
async fn a_state_is_read_by_every_server_of_a_store() {
    let Some(redis) = RedisServer::start() else { return };
    let node = async |seed| {
        let config = ServerConfig { store: StoreConfig::Redis(redis.url()), ..ServerConfig::default() };
        start(config, HybridClock::new(), Rng::seeded(seed)).await.expect("it starts")
    };
    let (first, second, alone) = (node(1).await, node(2).await, both().await);
    let begun = Peer::new(&first).result("tools/call", call(STATE, json!({}))).await;
    let mut params = call(STATE, json!({}));
    params["requestState"] = begun["requestState"].clone();
    params["inputResponses"] = json!({"confirm": accepted(json!({"ok": true}))});
    let retry = request(2, "tools/call", params, &everything());
    assert_eq!(Peer::new(&second).send(&retry).await.1["result"]["resultType"], "complete");
    assert_eq!(Peer::new(&alone).send(&retry).await.1["error"]["code"], -32602);
}

#[expect(clippy::needless_pass_by_value, reason = "the callers pass literals")]
fn listening(id: impl Into<Value>, wanted: Value) -> Value {
    request(id, "subscriptions/listen", json!({"notifications": wanted}), &everything())
}

#[tokio::test]
async fn subscriptions_hear_what_they_asked_for() {
    let server = both().await;
    let peer = Peer::new(&server);
    let wanted =
        json!({"toolsListChanged": true, "resourceSubscriptions": ["test://watched-resource", "test://nowhere"]});
    let mut tools = peer.stream(&listening(5, wanted)).await;
    let mut prompts = peer.stream(&listening("five", json!({"promptsListChanged": true}))).await;
    let mut nothing = peer.stream(&listening(6, json!({}))).await;
    let acknowledged = tools.next().await.expect("an acknowledgment");
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    let honoured = json!({"toolsListChanged": true, "resourceSubscriptions": ["test://watched-resource"]});
    assert_eq!(acknowledged["params"]["notifications"], honoured);
    assert_eq!(acknowledged["params"]["_meta"][SUBSCRIPTION], 5);
    assert_eq!(prompts.next().await.expect("an acknowledgment")["params"]["_meta"][SUBSCRIPTION], "five");
    assert_eq!(nothing.next().await.expect("an acknowledgment")["params"]["notifications"], json!({}));
    for tool in ["test_trigger_prompt_change", "test_trigger_tool_change", "test_touch_resource"] {
        let result = peer.result("tools/call", call(tool, json!({}))).await;
        assert_eq!(result["resultType"], "complete");
    }
    let changed = tools.next().await.expect("a change");
    assert_eq!(changed["method"], "notifications/tools/list_changed");
    assert_eq!(changed["params"]["_meta"][SUBSCRIPTION], 5);
    let updated = tools.next().await.expect("an update");
    assert_eq!(
        (&updated["method"], &updated["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!("test://watched-resource"))
    );
    assert_eq!(prompts.next().await.expect("a change")["method"], "notifications/prompts/list_changed");
    // Who leaves is forgotten.
    drop(tools);
    peer.until(&server, "streams", 2).await;
    let stopping = tokio::spawn(server.shutdown());
    let last = prompts.all().await;
    assert_eq!(last.len(), 1, "{last:?}");
    assert_eq!((&last[0]["id"], &last[0]["result"]["resultType"]), (&json!("five"), &json!("complete")));
    assert_eq!(last[0]["result"]["_meta"][SUBSCRIPTION], "five");
    assert_eq!(nothing.all().await[0]["id"], 6);
    in_time("the end", stopping).await.expect("no panic");
}

#[tokio::test]
async fn calls_become_tasks_for_those_who_say_they_can_follow() {
    let server = both().await;
    let peer = Peer::new(&server);
    let until = async |id: &Value, status: &str| {
        for _ in 0..500 {
            let task = peer.result("tasks/get", json!({"taskId": id})).await;
            assert_eq!(task["resultType"], "complete");
            if task["status"] == status {
                return task;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the task is not {status}");
    };
    let plain = request(1, "tools/call", call("slow_compute", json!({"seconds": 0})), &json!({}));
    assert_eq!(peer.send(&plain).await.1["result"]["resultType"], "complete");
    let begun = peer.result("tools/call", call("slow_compute", json!({"seconds": 3600, "label": "sum"}))).await;
    assert_eq!(begun["resultType"], "task");
    for member in ["task", "result", "error", "requestState", "ttl", "pollInterval"] {
        assert!(begun.get(member).is_none(), "{member}");
    }
    let id = begun["taskId"].clone();
    let mut watching = peer.stream(&listening(9, json!({"taskIds": [id, "unknown"]}))).await;
    let acknowledged = watching.next().await.expect("an acknowledgment");
    assert_eq!(acknowledged["params"]["notifications"]["taskIds"], json!([id]));
    assert_eq!(peer.result("tasks/get", json!({"taskId": id})).await["status"], "working");
    server.clock().advance(Duration::from_secs(600));
    assert_eq!(peer.result("tasks/get", json!({"taskId": id})).await["status"], "working");
    assert_eq!(peer.result("tasks/cancel", json!({"taskId": id})).await["resultType"], "complete");
    assert_eq!(peer.result("tasks/cancel", json!({"taskId": id})).await["resultType"], "complete");
    assert_eq!(peer.result("tasks/get", json!({"taskId": id})).await["status"], "cancelled");
    let news = watching.next().await.expect("news");
    assert_eq!((&news["method"], &news["params"]["status"]), (&json!("notifications/tasks"), &json!("cancelled")));
    assert_eq!(news["params"]["_meta"][SUBSCRIPTION], 9);
    let failing = peer.result("tools/call", call("failing_job", json!({}))).await;
    assert_eq!(until(&failing["taskId"], "completed").await["result"]["isError"], true);
    let failing = peer.result("tools/call", call("protocol_error_job", json!({}))).await;
    let failed = until(&failing["taskId"], "failed").await;
    assert!(failed["error"]["code"].is_i64() && failed["statusMessage"].is_string() && failed.get("result").is_none());
    let asking = peer.result("tools/call", call("multi_input", json!({}))).await;
    let asked = until(&asking["taskId"], "input_required").await;
    assert_eq!(asked["inputRequests"].as_object().map(Map::len), Some(2));
    let update = async |responses: Value| {
        let params = json!({"taskId": asking["taskId"], "inputResponses": responses});
        peer.send(&request(1, "tasks/update", params, &everything())).await.1
    };
    assert_eq!(update(json!({"name": 5})).await["error"]["code"], -32602);
    let partly = update(json!({"name": accepted(json!({"name": "Ann"})), "other": {}})).await;
    assert_eq!(partly["result"]["resultType"], "complete");
    let rest = until(&asking["taskId"], "input_required").await;
    assert_eq!(
        rest["inputRequests"].as_object().map(|rest| rest.keys().cloned().collect()),
        Some(vec!["confirm".to_owned()])
    );
    update(json!({"confirm": accepted(json!({"confirm": true}))})).await;
    let done = until(&asking["taskId"], "completed").await;
    assert_eq!(done["result"]["content"][0]["text"], "Name: Ann, confirmed: true");
    let mut first = call("test_tool_with_task", json!({}));
    assert_eq!(peer.result("tools/call", first.clone()).await["resultType"], "input_required");
    first["inputResponses"] = json!({"user_name": accepted(json!({"name": "Alice"}))});
    let begun = peer.result("tools/call", first).await;
    assert_eq!(begun["resultType"], "task");
    let done = until(&begun["taskId"], "completed").await;
    assert!(done["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("Alice")), "{done}");
    let (_, unknown) = peer.send(&request(1, "tasks/get", json!({"taskId": "x"}), &everything())).await;
    assert_eq!(unknown["error"]["code"], -32602);
}

/// One connection, on which one request follows the other.
struct Wire(TcpStream, String);

impl Wire {
    async fn send(&mut self, method: &str, headers: &[(String, String)], body: &Value) -> (String, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut head = format!("{method} /mcp HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", self.1, body.len());
        head.push_str("content-type: application/json\r\naccept: application/json, text/event-stream\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        self.0.write_all(format!("{head}\r\n{body}").as_bytes()).await.expect("written");
        let mut text = String::new();
        let mut piece = vec![0; 1 << 16];
        loop {
            let read = in_time("an answer", self.0.read(&mut piece)).await.expect("an answer");
            assert!(read > 0, "the connection has ended after {text}");
            text.push_str(std::str::from_utf8(&piece[..read]).expect("UTF-8"));
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
            if body.len() >= length {
                return (head.to_owned(), serde_json::from_str(body).unwrap_or_default());
            }
        }
    }
}

#[tokio::test]
async fn both_eras_share_a_connection() {
    let server = both().await;
    let socket = TcpStream::connect(server.addr()).await.expect("a connection");
    let mut wire = Wire(socket, server.addr().to_string());
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let list = request(2, "tools/list", json!({}), &json!({}));
    let (head, answer) = wire.send("POST", &mirrored(&list), &list).await;
    assert!(head.starts_with("HTTP/1.1 200") && answer["result"]["resultType"] == "complete", "{head}");
    let (head, answer) = wire.send("POST", &[], &bare("initialize", &hello)).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).expect("a session").to_owned();
    let old = headers(&[("mcp-session-id", &session), ("mcp-protocol-version", "2025-11-25")]);
    wire.send("POST", &old, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    let mut both = mirrored(&list);
    both.extend(headers(&[("mcp-session-id", &session), ("last-event-id", "1.1")]));
    let (head, answer) = wire.send("POST", &both, &list).await;
    assert!(!head.contains("mcp-session-id") && answer["result"]["resultType"] == "complete", "{head}");
    let (_, answer) = wire.send("POST", &old, &bare("tools/list", &json!({}))).await;
    let tools = answer["result"]["tools"].as_array().expect("a list");
    assert!(tools.iter().all(|tool| tool["name"] != "greet") && answer["result"].get("resultType").is_none());
    let (_, answer) = wire.send("POST", &old, &bare("ping", &json!({}))).await;
    assert_eq!(answer["result"], json!({}));
    let (head, _) = wire.send("DELETE", &old, &Value::Null).await;
    assert!(head.starts_with("HTTP/1.1 204"), "{head}");
    let (head, _) = wire.send("POST", &both, &list).await;
    assert!(head.starts_with("HTTP/1.1 200"), "a session that has ended means nothing here: {head}");
}

#[tokio::test]
async fn a_server_may_speak_one_era_alone() {
    let modern = serve(ServerConfig { eras: Eras::Modern, ..ServerConfig::default() }).await;
    let peer = Peer::new(&modern);
    for method in ["GET", "DELETE", "PUT"] {
        let asked =
            peer.http.request(method.parse().expect("a method"), &peer.url).header("accept", "text/event-stream");
        let answer = asked.send().await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["allow"].as_bytes()),
            (405, b"POST".as_slice()),
            "{method}"
        );
    }
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let (status, answer) = told(peer.post(&[], &bare("initialize", &hello)).await).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32602)));
    assert!(answer["error"]["message"].as_str().is_some_and(|why| why.contains(VERSION)), "{answer}");
    let (status, answer) = told(peer.post(&[], &bare("tools/list", &json!({}))).await).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32020)));
    let sent = headers(&[("mcp-protocol-version", "2025-11-25"), ("mcp-session-id", "x")]);
    let (status, answer) = told(peer.post(&sent, &bare("tools/list", &json!({}))).await).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32602)));
    assert_eq!(peer.result("tools/list", json!({})).await["resultType"], "complete");
    let legacy = serve(ServerConfig { eras: Eras::Legacy, ..ServerConfig::default() }).await;
    let peer = Peer::new(&legacy);
    let (status, answer) = peer.send(&request(1, "server/discover", json!({}), &json!({}))).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32601)));
    let (status, _) = told(peer.post(&[], &bare("tools/list", &json!({}))).await).await;
    assert_eq!(status, 400);
}

struct Piped {
    input: DuplexStream,
    lines: Lines<BufReader<DuplexStream>>,
}

impl Piped {
    fn new(eras: Eras) -> Self {
        let (input, theirs) = tokio::io::duplex(1024);
        let (output, ours) = tokio::io::duplex(1024);
        let config = ServerConfig { eras, ..ServerConfig::default() };
        tokio::spawn(async move {
            serve_io(config, theirs, output, HybridClock::new(), Rng::seeded(1)).await.expect("it can be served");
        });
        Self { input, lines: BufReader::new(ours).lines() }
    }

    async fn send(&mut self, message: &Value) {
        in_time("writing", self.input.write_all(format!("{message}\n").as_bytes())).await.expect("the server reads");
    }

    async fn next(&mut self) -> Option<Value> {
        let line = in_time("a line", self.lines.next_line()).await.expect("a text")?;
        Some(serde_json::from_str(&line).expect("JSON"))
    }

    async fn ask(&mut self, message: &Value) -> Value {
        self.send(message).await;
        self.next().await.expect("an answer")
    }
}

#[tokio::test]
async fn both_eras_share_a_pipe() {
    let mut piped = Piped::new(Eras::Both);
    let list = |id: i64| request(id, "tools/list", json!({}), &json!({}));
    assert_eq!(piped.ask(&bare("server/discover", &json!({}))).await["error"]["code"], -32602);
    assert_eq!(piped.ask(&bare("tools/list", &json!({}))).await["error"]["code"], -32602);
    assert_eq!(piped.ask(&list(1)).await["result"]["resultType"], "complete");
    assert_eq!(piped.ask(&request(2, "ping", json!({}), &json!({}))).await["error"]["code"], -32601);
    let mut other = list(3);
    other["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2030-01-01");
    assert_eq!(piped.ask(&other).await["error"]["code"], -32022);
    let missing = piped.ask(&request(4, "tools/call", call("test_sampling", json!({"prompt": "p"})), &json!({}))).await;
    assert_eq!(missing["error"]["code"], -32021);
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    assert_eq!(piped.ask(&bare("initialize", &hello)).await["result"]["protocolVersion"], "2025-11-25");
    piped.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    assert!(piped.ask(&bare("tools/list", &json!({}))).await["result"].get("resultType").is_none());
    assert_eq!(piped.ask(&list(5)).await["result"]["resultType"], "complete");
    let mut slow = request("slow", "tools/call", call("test_slow", json!({"ms": 60_000})), &json!({}));
    slow["params"]["_meta"]["progressToken"] = json!("p");
    piped.send(&slow).await;
    assert_eq!(piped.ask(&slow).await["error"]["code"], -32600);
    let cancelled =
        |id: Value| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    piped.send(&cancelled(json!("slow"))).await;
    piped.send(&cancelled(json!("nobody"))).await;
    let acknowledged = piped.ask(&listening("l", json!({"toolsListChanged": true}))).await;
    assert_eq!(acknowledged["params"]["_meta"][SUBSCRIPTION], "l");
    assert_eq!(
        piped.ask(&listening("m", json!({"toolsListChanged": true}))).await["params"]["_meta"][SUBSCRIPTION],
        "m"
    );
    piped.send(&cancelled(json!("l"))).await;
    let trigger = request(6, "tools/call", call("test_trigger_tool_change", json!({})), &json!({}));
    let changed = piped.ask(&trigger).await;
    assert_eq!(
        (&changed["method"], &changed["params"]["_meta"][SUBSCRIPTION]),
        (&json!("notifications/tools/list_changed"), &json!("m"))
    );
    assert_eq!(piped.next().await.expect("a result")["id"], 6);
    let Piped { input, lines } = piped;
    drop(input);
    let mut rest = Piped { input: tokio::io::duplex(1).0, lines };
    let result = rest.next().await.expect("a result");
    assert_eq!((&result["id"], &result["result"]["_meta"][SUBSCRIPTION]), (&json!("m"), &json!("m")));
    assert_eq!(rest.next().await.expect("a notification")["params"]["requestId"], "m");
    assert_eq!(rest.next().await, None);
}

#[tokio::test]
async fn a_socket_is_a_line_too() {
    let server = both().await;
    let mut ask = server.url_of(Via::WebSocket).expect("it is offered").into_client_request().expect("a URL");
    for (name, value) in [("sec-websocket-protocol", "mcp"), ("mcp-protocol-version", VERSION)] {
        ask.headers_mut().insert(name, value.parse().expect("a value"));
    }
    let wire = TcpStream::connect(server.addr()).await.expect("a connection");
    let (mut socket, _) = client_async(ask, wire).await.expect("a socket");
    let mut say = async |message: &Value, answers: usize| {
        socket.send(Message::text(message.to_string())).await.expect("sent");
        let mut said = Vec::new();
        while said.len() < answers {
            let message = in_time("a message", socket.next()).await.expect("a message").expect("a text");
            if let Message::Text(text) = message {
                said.push(serde_json::from_str::<Value>(&text).expect("JSON"));
            }
        }
        said
    };
    let tools = say(&request(1, "tools/list", json!({}), &json!({})), 1).await;
    assert_eq!(tools[0]["result"]["resultType"], "complete");
    let listening = say(&listening(2, json!({"promptsListChanged": true})), 1).await;
    assert_eq!(listening[0]["method"], "notifications/subscriptions/acknowledged");
    let trigger = request(3, "tools/call", call("test_trigger_prompt_change", json!({})), &json!({}));
    let changed = say(&trigger, 2).await;
    assert_eq!((&changed[0]["params"]["_meta"][SUBSCRIPTION], &changed[1]["id"]), (&json!(2), &json!(3)));
}

#[tokio::test]
async fn a_pipe_may_have_no_handshake() {
    let mut piped = Piped::new(Eras::Modern);
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let refused = piped.ask(&bare("initialize", &hello)).await;
    assert!(refused["error"]["message"].as_str().is_some_and(|why| why.contains(VERSION)), "{refused}");
    assert_eq!(piped.ask(&bare("ping", &json!({}))).await["error"]["code"], -32602);
    let discovered = piped.ask(&request(1, "server/discover", json!({}), &json!({}))).await;
    assert_eq!(discovered["result"]["supportedVersions"], json!([VERSION]));
}
