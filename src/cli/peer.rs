//! A plain client for the benchmarks: it speaks the protocol as it is meant, and notes nothing.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// How long the head of an answer may take, and each piece of a stream.
const PATIENCE: Duration = Duration::from_secs(30);

/// One session.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    http: Client,
    pub(super) session: String,
}

/// A client that may hold many connections.
pub(super) fn http() -> Result<Client, String> {
    // An error only says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let built = Client::builder().no_proxy().connect_timeout(PATIENCE).read_timeout(PATIENCE).build();
    built.map_err(|error| error.to_string())
}

/// A request.
pub(super) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

impl Peer {
    /// Opens a session at an endpoint.
    pub(super) async fn open(http: &Client, url: &str) -> Result<Self, String> {
        let mut peer = Self { http: http.clone(), session: String::new() };
        let info = json!({"name": "bench", "version": "1"});
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info});
        let answer = peer.post(url, &request(0, "initialize", &hello)).await?;
        let session = answer.headers().get("mcp-session-id").and_then(|id| id.to_str().ok());
        peer.session = session.ok_or_else(|| format!("no session: {}", answer.status()))?.to_owned();
        answer.bytes().await.map_err(|error| error.to_string())?;
        let done = peer.post(url, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await?;
        if done.status() == 202 { Ok(peer) } else { Err(format!("notifications/initialized: {}", done.status())) }
    }

    /// Somebody who needs no session (2026-07-28).
    pub(super) fn stateless(http: &Client) -> Self {
        Self { http: http.clone(), session: String::new() }
    }

    /// A request that carries everything with it (2026-07-28 basic#_meta).
    pub(super) async fn call(&self, url: &str, id: u64, method: &str, mut params: Value) -> Result<Response, String> {
        let version = "2026-07-28";
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
        });
        let mut ask = self.ask(Method::POST, url).header("mcp-protocol-version", version).header("mcp-method", method);
        if let Some(name) = params["name"].as_str() {
            ask = ask.header("mcp-name", name);
        }
        ask.json(&request(id, method, &params)).send().await.map_err(|error| error.to_string())
    }

    fn ask(&self, method: Method, url: &str) -> RequestBuilder {
        let ask = self.http.request(method, url).header("accept", "application/json, text/event-stream");
        if self.session.is_empty() { ask } else { ask.header("mcp-session-id", &self.session) }
    }

    /// Posts a message.
    pub(super) async fn post(&self, url: &str, message: &Value) -> Result<Response, String> {
        let sent = self.ask(Method::POST, url).json(message).send();
        sent.await.map_err(|error| error.to_string())
    }

    /// Ends the session.
    pub(super) async fn delete(&self, url: &str) -> Result<Response, String> {
        self.ask(Method::DELETE, url).send().await.map_err(|error| error.to_string())
    }

    /// Opens the GET stream, or goes on with a stream after an event.
    pub(super) async fn listen(&self, url: &str, last: Option<&str>) -> Result<Response, String> {
        let mut ask = self.ask(Method::GET, url);
        if let Some(last) = last {
            ask = ask.header("last-event-id", last);
        }
        ask.send().await.map_err(|error| error.to_string())
    }
}

/// The events of a stream, one by one.
#[derive(Debug)]
pub(super) struct Events {
    response: Response,
    text: String,
}

impl Events {
    pub(super) fn of(response: Response) -> Self {
        Self { response, text: String::new() }
    }

    /// Id and data of the next event; `None` where the stream is over or broken.
    pub(super) async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let found = field("id: ").map(|id| (id, field("data: ").unwrap_or_default()));
                let rest = rest.to_owned();
                self.text = rest;
                if found.is_some() {
                    return found;
                }
                continue;
            }
            let piece = tokio::time::timeout(PATIENCE, self.response.chunk()).await.ok()?.ok()??;
            self.text.push_str(&String::from_utf8_lossy(&piece));
        }
    }
}
