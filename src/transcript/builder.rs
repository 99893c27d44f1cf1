//! Builds transcripts by hand: what a check's unit tests are made of.
//!
//! Each method appends whole exchanges, one virtual millisecond apart.

use serde_json::{Value, json};

use super::modern::{MODERN, Modern, mirrored};
use super::{ClientName, End, Event, EventKind, Headers};
use crate::model::{Members as _, Via};

/// A transcript under construction.
#[derive(Debug, Clone)]
pub struct Builder {
    events: Vec<Event>,
    at: u64,
    client: ClientName,
    step: Option<u32>,
    exchanges: u32,
    next_id: i64,
    sessions: u32,
    session: Option<String>,
    version: Option<String>,
    via: Via,
    channel: Option<u32>,
    modern: Option<Box<Modern>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

fn pairs(headers: &[(&str, &str)]) -> Headers {
    headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "call sites read better with json!({}) than with &json!({})")]
impl Builder {
    /// An empty transcript; client `a` acts.
    pub fn new() -> Self {
        Self {
            events: Vec::new(),
            at: 0,
            client: "a".into(),
            step: None,
            exchanges: 0,
            next_id: 1,
            sessions: 0,
            session: None,
            version: None,
            via: Via::StreamableHttp,
            channel: None,
            modern: None,
        }
    }

    /// Another simulated client acts from here on.
    #[must_use]
    pub fn client(mut self, name: &str) -> Self {
        self.client = name.into();
        self
    }

    /// Continues the session with this label.
    #[must_use]
    pub fn session(mut self, label: &str) -> Self {
        self.session = Some(label.to_owned());
        self
    }

    /// A scenario step begins.
    #[must_use]
    pub fn step(mut self, index: u32, label: &str) -> Self {
        self.step = Some(index);
        self.event(EventKind::Step { label: label.to_owned() })
    }

    /// Appends any event.
    #[must_use]
    pub fn event(mut self, kind: EventKind) -> Self {
        self.at += 1_000;
        let seq = u32::try_from(self.events.len()).unwrap_or(u32::MAX);
        self.events.push(Event { seq, at: self.at, client: self.client.clone(), step: self.step, kind });
        self
    }

    /// Time passes.
    #[must_use]
    pub fn pause_ms(mut self, milliseconds: u64) -> Self {
        self.at += milliseconds * 1_000;
        self
    }

    fn standard_headers(&self) -> Headers {
        let mut headers = pairs(&[
            ("host", "127.0.0.1:8080"),
            ("accept", "application/json, text/event-stream"),
            ("content-type", "application/json"),
        ]);
        if self.modern.is_some() {
            headers.push(("mcp-protocol-version".into(), MODERN.into()));
            return headers;
        }
        if let Some(session) = &self.session {
            headers.push(("mcp-session-id".into(), session.clone().into()));
        }
        if let Some(version) = &self.version {
            headers.push(("mcp-protocol-version".into(), version.clone().into()));
        }
        headers
    }

    /// The latest request belongs to this connection.
    pub(super) fn move_latest(&mut self, number: u32) {
        for event in self.events.iter_mut().rev() {
            if let EventKind::Request { connection, .. } = &mut event.kind {
                *connection = number;
                break;
            }
        }
    }

    /// Whether messages go over a channel.
    pub(super) fn on_channel(&self) -> bool {
        self.channel.is_some()
    }

    /// The id of the latest request with a body.
    pub fn latest_id(&self) -> Value {
        let body = self.events.iter().rev().find_map(|event| match &event.kind {
            EventKind::Request { body, .. } => body.as_deref(),
            _ => None,
        });
        let message: Value = serde_json::from_str(body.unwrap_or_default()).unwrap_or_default();
        message.at("id").clone()
    }

    /// The next id of a request.
    pub(super) fn take_id(&mut self) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// What the modern era adds, where it is spoken.
    pub(super) fn modern_parts(&mut self) -> &mut Option<Box<Modern>> {
        &mut self.modern
    }

    /// The same for reading.
    pub(super) fn modern_ref(&self) -> Option<&Modern> {
        self.modern.as_deref()
    }

    /// A request with the headers of the current session plus `extra` (which replace equal names; an empty value
    /// removes one). The answer is appended by [`Builder::answer`] and its relatives.
    #[must_use]
    pub fn request(mut self, method: &str, extra: &[(&str, &str)], body: Option<&str>) -> Self {
        let mut headers = self.standard_headers();
        if let Some(body) = body.filter(|_| self.modern.is_some()) {
            headers.extend(mirrored(body));
        }
        for (name, value) in extra {
            headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
            if !value.is_empty() {
                headers.push(((*name).into(), (*value).into()));
            }
        }
        self.exchanges += 1;
        let (exchange, via) = (self.exchanges, self.via);
        self.event(EventKind::Request {
            exchange,
            connection: 1,
            method: method.to_owned(),
            target: "/mcp".to_owned(),
            headers,
            body: body.map(Into::into),
            via,
            channel: None,
            tls: false,
        })
    }

    /// A request to another path than the endpoint's, with these headers beside `host` and no others.
    #[must_use]
    pub fn outside(mut self, method: &str, target: &str, headers: &[(&str, &str)], body: Option<&str>) -> Self {
        self.exchanges += 1;
        let exchange = self.exchanges;
        let headers = [pairs(&[("host", "127.0.0.1:8080")]), pairs(headers)].concat();
        let (method, target, body) = (method.to_owned(), target.to_owned(), body.map(str::to_owned));
        let body = body.map(Into::into);
        let via = Via::StreamableHttp;
        let tls = false;
        self.event(EventKind::Request {
            exchange,
            connection: 1,
            method,
            target,
            headers,
            body,
            via,
            channel: None,
            tls,
        })
    }

    /// Opens a channel; what follows goes over it.
    #[must_use]
    pub fn channel(mut self, via: Via) -> Self {
        self.via = via;
        self.exchanges += 1;
        self.channel = Some(self.exchanges);
        let (exchange, connection) = (self.exchanges, self.exchanges);
        let (method, target) = if via == Via::Stdio { ("", "server") } else { ("GET", "/mcp") };
        let headers = if via == Via::Stdio { Headers::new() } else { pairs(&[("host", "127.0.0.1:8080")]) };
        let (method, target) = (method.to_owned(), target.to_owned());
        let (body, tls) = (None, false);
        let opened =
            EventKind::Request { exchange, connection, method, target, headers, body, via, channel: None, tls };
        let builder = self.event(opened);
        match via {
            Via::Stdio => builder,
            Via::WebSocket => builder.head(101, &[("upgrade", "websocket")]),
            Via::LegacySse | Via::StreamableHttp => builder.head(200, &[("content-type", "text/event-stream")]),
        }
    }

    /// What follows belongs to this transport.
    #[must_use]
    pub fn over(mut self, via: Via) -> Self {
        self.via = via;
        self
    }

    /// A text that comes in on the channel.
    #[must_use]
    pub fn comes(self, text: &str) -> Self {
        let exchange = self.channel.unwrap_or(self.exchanges);
        if self.via == Via::LegacySse {
            let event = Some("message".to_owned());
            return self.event(EventKind::Sse { exchange, id: None, event, data: Some(text.into()), retry: None });
        }
        self.event(EventKind::Message { exchange, text: text.into(), utf8: true })
    }

    /// An event on the stream of HTTP+SSE.
    #[must_use]
    pub fn sse_event(self, event: &str, data: &str) -> Self {
        let exchange = self.channel.unwrap_or(self.exchanges);
        let (event, data) = (Some(event.to_owned()), Some(data.into()));
        self.event(EventKind::Sse { exchange, id: None, event, data, retry: None })
    }

    /// A text that is sent on the channel.
    #[must_use]
    pub fn says(mut self, text: &str) -> Self {
        if self.via == Via::LegacySse {
            let channel = self.channel;
            let builder = self.request("POST", &[], Some(text)).head(202, &[]);
            return builder.on(channel);
        }
        self.exchanges += 1;
        let (exchange, connection) = (self.exchanges, self.channel.unwrap_or_default());
        let (via, channel, body) = (self.via, self.channel, Some(text.into()));
        let (method, target, headers) = (String::new(), "server".to_owned(), Headers::new());
        let tls = false;
        self.event(EventKind::Request { exchange, connection, method, target, headers, body, via, channel, tls })
    }

    /// The latest request belongs to this channel.
    fn on(mut self, line: Option<u32>) -> Self {
        for event in self.events.iter_mut().rev() {
            if let EventKind::Request { channel, .. } = &mut event.kind {
                *channel = line;
                break;
            }
        }
        self
    }

    /// POSTs a message, or sends it on the channel.
    #[must_use]
    pub fn post(self, message: &Value) -> Self {
        let body = message.to_string();
        if self.channel.is_some() {
            return self.says(&body);
        }
        self.request("POST", &[], Some(&body))
    }

    /// The head of the answer to the latest request.
    #[must_use]
    pub fn head(self, status: u16, headers: &[(&str, &str)]) -> Self {
        let exchange = self.exchanges;
        self.event(EventKind::Response { exchange, status, headers: pairs(headers) })
    }

    /// A whole answer with a text body (none if empty).
    #[must_use]
    pub fn answer(self, status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let exchange = self.exchanges;
        let builder = self.head(status, headers);
        let builder = if body.is_empty() {
            builder
        } else {
            builder.event(EventKind::Body { exchange, text: body.into(), utf8: true })
        };
        builder.end(End::Complete)
    }

    /// A whole JSON answer; on a channel it comes as a text, and there is no status.
    #[must_use]
    pub fn json(self, status: u16, body: &Value) -> Self {
        if self.channel.is_some() {
            return self.comes(&body.to_string()).end(End::Complete);
        }
        self.answer(status, &[("content-type", "application/json")], &body.to_string())
    }

    /// Opens an event stream as the answer.
    #[must_use]
    pub fn stream(self) -> Self {
        self.head(200, &[("content-type", "text/event-stream")])
    }

    /// An event with a message on the stream of the latest exchange.
    #[must_use]
    pub fn sse(self, id: Option<&str>, message: &Value) -> Self {
        self.sse_raw(id, Some(&message.to_string()), None)
    }

    /// An event with any fields on the stream of the latest exchange.
    #[must_use]
    pub fn sse_raw(self, id: Option<&str>, data: Option<&str>, retry: Option<u64>) -> Self {
        let exchange = self.exchanges;
        self.event(EventKind::Sse {
            exchange,
            id: id.map(str::to_owned),
            event: None,
            data: data.map(Into::into),
            retry,
        })
    }

    /// The latest exchange ends.
    #[must_use]
    pub fn end(self, end: End) -> Self {
        let exchange = self.exchanges;
        self.event(EventKind::End { exchange, end })
    }

    /// A call answered with a JSON result.
    #[must_use]
    pub fn call(self, method: &str, params: Value, result: Value) -> Self {
        self.call_answered(method, params, 200, &json!({"result": result}))
    }

    /// A call answered with a JSON-RPC error under status 200.
    #[must_use]
    pub fn call_error(self, method: &str, params: Value, code: i64) -> Self {
        self.call_answered(method, params, 200, &json!({"error": {"code": code, "message": "no"}}))
    }

    /// A call whose answer has these members beside `jsonrpc` and the right id.
    #[must_use]
    pub fn call_answered(mut self, method: &str, params: Value, status: u16, members: &Value) -> Self {
        let id = self.next_id;
        self.next_id += 1;
        let mut answer = json!({"jsonrpc": "2.0", "id": id});
        if let (Some(object), Some(more)) = (answer.as_object_mut(), members.as_object()) {
            object.extend(more.clone());
        }
        self.complete(method, &mut answer);
        let request = self.message(&json!(id), method, params);
        self.post(&request).json(status, &answer)
    }

    /// A notification answered with 202.
    #[must_use]
    pub fn notify(self, method: &str, params: Value) -> Self {
        let mut message = json!({"jsonrpc": "2.0", "method": method});
        if !params.is_null() {
            message["params"] = params;
        }
        if self.channel.is_some() {
            return self.post(&message).end(End::Complete);
        }
        self.post(&message).answer(202, &[], "")
    }

    /// `initialize` and `notifications/initialized` with a generous server; opens session `session#N`.
    #[must_use]
    pub fn initialize(self, version: &str) -> Self {
        self.initialize_with(
            version,
            version,
            json!({"sampling": {}, "elicitation": {}, "roots": {"listChanged": true}}),
            json!({
                "tools": {"listChanged": true}, "resources": {"subscribe": true, "listChanged": true},
                "prompts": {"listChanged": true}, "logging": {}, "completions": {}
            }),
        )
    }

    /// The same with every part chosen.
    #[must_use]
    pub fn initialize_with(mut self, requested: &str, answered: &str, client: Value, server: Value) -> Self {
        if answered == MODERN {
            return self.modern_with(client).discover(server);
        }
        self.sessions += 1;
        self.session = None;
        self.version = None;
        let label = format!("session#{}", self.sessions);
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "initialize", "params": {
            "protocolVersion": requested, "capabilities": client, "clientInfo": {"name": "test", "version": "1"}}});
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": {
            "protocolVersion": answered, "capabilities": server, "serverInfo": {"name": "test", "version": "1"}}});
        let on_channel = self.channel.is_some();
        let sent = self.post(&request);
        let mut builder = if on_channel {
            sent.json(200, &answer)
        } else {
            let headers = [("content-type", "application/json"), ("mcp-session-id", label.as_str())];
            sent.answer(200, &headers, &answer.to_string())
        };
        builder.session = (!on_channel).then_some(label);
        builder.version = Some(answered.to_owned());
        builder.notify("notifications/initialized", Value::Null)
    }

    /// DELETE of the current session.
    #[must_use]
    pub fn delete(self, status: u16) -> Self {
        self.request("DELETE", &[], None).answer(status, &[], "")
    }

    /// The events.
    pub fn finish(self) -> Vec<Event> {
        self.events
    }
}
