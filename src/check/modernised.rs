//! For unit tests of checks: tells an older transcript in the words of the modern era.
//!
//! A handshake becomes a discovery, a stream of GET a subscription; each request gets metadata and headers, each result
//! its type. What is right or wrong about a message otherwise stays as it is.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::model::{Kind, Members as _, Message, Via, id_text};
use crate::transcript::{Event, EventKind, Headers, META_CAPABILITIES, META_SERVER, META_SUBSCRIPTION, META_VERSION};

const MODERN: &str = "2026-07-28";

#[derive(Default)]
struct Telling {
    capabilities: HashMap<String, Value>,
    dropped: HashSet<u32>,
    listening: HashMap<u32, Value>,
    methods: HashMap<String, String>,
}

/// The transcript as it would have been.
pub(crate) fn modernised(events: Vec<Event>) -> Vec<Event> {
    let streams: HashSet<u32> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Response { exchange, headers, status: 200 } => {
                headers.iter().any(|(_, value)| value.starts_with("text/event-stream")).then_some(*exchange)
            }
            _ => None,
        })
        .collect();
    let mut telling = Telling::default();
    let mut told: Vec<Event> = Vec::new();
    for mut event in events {
        let client = event.client.clone();
        let follows = telling.tell(&client, &mut event.kind, &streams);
        if event.kind.exchange().is_some_and(|exchange| telling.dropped.contains(&exchange)) {
            continue;
        }
        let (at, step) = (event.at, event.step);
        told.push(event);
        told.extend(follows.map(|kind| Event { seq: 0, at, client, step, kind }));
    }
    for (seq, event) in (0..).zip(&mut told) {
        event.seq = seq;
    }
    told
}

impl Telling {
    fn tell(&mut self, client: &str, kind: &mut EventKind, streams: &HashSet<u32>) -> Option<EventKind> {
        match kind {
            EventKind::Request { exchange, method, target, headers, body, via, .. } => {
                if !target.starts_with("/mcp") && *via == Via::StreamableHttp {
                    return None;
                }
                if *method == "GET" && streams.contains(exchange) && *via == Via::StreamableHttp {
                    let id = json!(format!("listen-{exchange}"));
                    let filter = json!({"toolsListChanged": true, "promptsListChanged": true,
                        "resourcesListChanged": true, "resourceSubscriptions": ["test://a"]});
                    let asked = json!({"jsonrpc": "2.0", "id": id, "method": "subscriptions/listen",
                        "params": {"notifications": filter}});
                    self.listening.insert(*exchange, id);
                    "POST".clone_into(method);
                    *body = Some(asked.to_string().into());
                    headers.push(("content-type".into(), "application/json".into()));
                }
                let sent: Option<Value> = body.as_deref().and_then(|body| serde_json::from_str(body).ok());
                let sent = sent.map(|message| self.asked(client, *exchange, message));
                if *via == Via::StreamableHttp {
                    headers.retain(|(name, _)| {
                        !matches!(name.to_ascii_lowercase().as_str(), "mcp-session-id" | "mcp-protocol-version")
                    });
                    headers.push(("mcp-protocol-version".into(), MODERN.into()));
                    headers.extend(mirror(sent.as_ref()));
                }
                if let Some(sent) = sent.filter(Value::is_object) {
                    let tail = if body.as_deref().is_some_and(|body| body.ends_with('\r')) { "\r" } else { "" };
                    *body = Some(format!("{sent}{tail}").into());
                }
                None
            }
            EventKind::Response { exchange, headers, .. } => {
                headers.retain(|(name, _)| !name.eq_ignore_ascii_case("mcp-session-id"));
                let id = self.listening.get(exchange)?;
                let told = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                    "params": {"_meta": {META_SUBSCRIPTION: id}, "notifications": {}}});
                let data = Some(told.to_string().into());
                Some(EventKind::Sse { exchange: *exchange, id: None, event: None, data, retry: None })
            }
            EventKind::Body { exchange, text, .. } | EventKind::Message { exchange, text, .. } => {
                if let Some(answer) = self.answered(*exchange, text) {
                    *text = answer.into();
                }
                None
            }
            EventKind::Sse { exchange, data: Some(data), .. } => {
                if let Some(answer) = self.answered(*exchange, data) {
                    *data = answer.into();
                }
                None
            }
            _ => None,
        }
    }

    fn asked(&mut self, client: &str, exchange: u32, mut message: Value) -> Value {
        let method = message.at("method").as_str().unwrap_or_default().to_owned();
        if method == "notifications/initialized" {
            self.dropped.insert(exchange);
        }
        if Message(&message).kind() != Kind::Request {
            return message;
        }
        match method.as_str() {
            "initialize" => {
                let declared = message.at("params").at("capabilities").clone();
                self.capabilities.insert(client.to_owned(), declared);
                message["method"] = json!("server/discover");
                message["params"] = json!({});
            }
            "ping" => message["method"] = json!("server/discover"),
            _ => {}
        }
        self.methods.insert(id_text(message.at("id")), method);
        if message.member("params").is_none_or(Value::is_null) {
            message["params"] = json!({});
        }
        if message.at("params").is_object() && message.at("params").member("_meta").is_none_or(Value::is_object) {
            let declared = self.capabilities.get(client).filter(|declared| declared.is_object()).cloned();
            message["params"]["_meta"][META_VERSION] = json!(MODERN);
            message["params"]["_meta"][META_CAPABILITIES] = declared.unwrap_or_else(|| json!({}));
        }
        message
    }

    fn answered(&self, exchange: u32, text: &str) -> Option<String> {
        let mut message: Value = serde_json::from_str(text).ok()?;
        if let Some(id) = self.listening.get(&exchange)
            && Message(&message).kind() == Kind::Notification
            && message.at("params").is_object()
        {
            message["params"]["_meta"][META_SUBSCRIPTION] = id.clone();
        }
        let method = self.methods.get(&id_text(message.at("id"))).map(String::as_str).unwrap_or_default();
        let Some(result) = message.get_mut("result").and_then(Value::as_object_mut) else {
            return Some(message.to_string());
        };
        if method == "initialize" {
            result.remove("protocolVersion");
            result.remove("serverInfo");
            result.insert("supportedVersions".to_owned(), json!([MODERN]));
        }
        result.entry("resultType").or_insert(json!("complete"));
        if matches!(method, "initialize" | "resources/read") || method.ends_with("/list") {
            result.entry("ttlMs").or_insert(json!(0));
            result.entry("cacheScope").or_insert(json!("private"));
        }
        let meta = result.entry("_meta").or_insert(json!({}));
        if let Some(meta) = meta.as_object_mut() {
            meta.insert(META_SERVER.to_owned(), json!({"name": "test", "version": "1"}));
        }
        Some(message.to_string())
    }
}

fn mirror(sent: Option<&Value>) -> Headers {
    let Some(sent) = sent.filter(|sent| Message(sent).kind() == Kind::Request) else { return Vec::new() };
    let mut headers = Headers::new();
    headers.extend(sent.at("method").as_str().map(|method| ("mcp-method".into(), method.into())));
    let name = match sent.at("method").as_str() {
        Some("tools/call" | "prompts/get") => sent.at("params").at("name").as_str(),
        Some("resources/read") => sent.at("params").at("uri").as_str(),
        _ => None,
    };
    headers.extend(name.map(|name| ("mcp-name".into(), name.into())));
    headers
}
