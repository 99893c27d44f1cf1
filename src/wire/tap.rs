//! The one way into a transcript. Secrets turn into labels here, before anything is kept.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::secrets;
use crate::model::{Clock, Labels};
use crate::transcript::{Event, EventKind, Headers, header};

/// So many events a case has as a rule; the room for them is made at once.
const USUAL: usize = 64;

/// Records what one case puts on the wire and gets from it.
#[derive(Debug)]
pub struct Tap {
    clock: Arc<dyn Clock>,
    labels: Labels,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Event>,
    /// How many events there were.
    count: u32,
    step: Option<u32>,
    exchanges: u32,
    sink: Option<Box<dyn Sink>>,
}

/// Somebody who takes the events as they come; they are not kept here then.
pub trait Sink: fmt::Debug + Send {
    /// Takes the next one, which holds no secret any more.
    fn take(&mut self, event: &Event);
}

impl Tap {
    /// An empty transcript under this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let inner = Inner { events: Vec::with_capacity(USUAL), ..Inner::default() };
        Self { clock, labels: Labels::default(), inner: Mutex::new(inner) }
    }

    /// The same, where the events go to somebody as they come.
    pub fn into_sink(clock: Arc<dyn Clock>, sink: Box<dyn Sink>) -> Self {
        let inner = Inner { sink: Some(sink), ..Inner::default() };
        Self { clock, labels: Labels::default(), inner: Mutex::new(inner) }
    }

    /// A number for the next exchange.
    pub fn next_exchange(&self) -> u32 {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.exchanges += 1;
        inner.exchanges
    }

    /// A scenario step begins; what follows belongs to it.
    pub fn step(&self, index: u32, client: &str, label: &str) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).step = Some(index);
        self.record(client, EventKind::Step { label: label.to_owned() });
    }

    /// Says which exchange a step is about, also a step that runs beside others.
    pub fn subject(&self, step: u32, client: &str, exchange: u32, id: Option<String>) {
        let (kind, seen) = self.redact(EventKind::Subject { exchange, id });
        self.append(client, Some(step), seen.into_iter().chain([kind]));
    }

    /// Appends an event, redacted.
    pub fn record(&self, client: &str, kind: EventKind) {
        let (kind, seen) = self.redact(kind);
        self.append(client, None, seen.into_iter().chain([kind]));
    }

    /// Appends events between which no other may come.
    pub fn record_all(&self, client: &str, kinds: Vec<EventKind>) {
        // Secrets are told of before the first event that names one.
        let (kinds, seen): (Vec<_>, Vec<_>) = kinds.into_iter().map(|kind| self.redact(kind)).unzip();
        self.append(client, None, seen.into_iter().flatten().chain(kinds));
    }

    /// Appends what holds no secret any more.
    fn append(&self, client: &str, step: Option<u32>, kinds: impl Iterator<Item = EventKind>) {
        let at = u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for kind in kinds {
            let step = step.or(inner.step);
            let event = Event { seq: inner.count, at, client: client.into(), step, kind };
            inner.count = inner.count.saturating_add(1);
            match &mut inner.sink {
                Some(sink) => sink.take(&event),
                None => inner.events.push(event),
            }
        }
    }

    /// The transcript so far.
    pub fn events(&self) -> Vec<Event> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).events.clone()
    }

    /// Ends the recording and gives the transcript.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner).events)
    }

    fn redact(&self, kind: EventKind) -> (EventKind, Vec<EventKind>) {
        let mut seen = Vec::new();
        let kind = match kind {
            EventKind::Request { exchange, connection, method, target, headers, body, via, channel, tls } => {
                self.find(secrets::in_query(&target), &mut seen);
                if let Some(body) = &body {
                    let form = header(&headers, "content-type").is_some_and(|kind| kind.contains("form-urlencoded"));
                    self.find(if form { secrets::in_form(body) } else { secrets::in_json(body) }, &mut seen);
                }
                EventKind::Request {
                    exchange,
                    connection,
                    method,
                    target: self.labels.redact(target),
                    headers: self.headers(headers, &mut seen),
                    body: body.map(|body| self.labels.redact_shared(body)),
                    via,
                    channel,
                    tls,
                }
            }
            EventKind::Response { exchange, status, headers } => {
                EventKind::Response { exchange, status, headers: self.headers(headers, &mut seen) }
            }
            EventKind::Body { exchange, text, utf8 } => {
                self.find(secrets::in_json(&text), &mut seen);
                EventKind::Body { exchange, text: self.labels.redact_shared(text), utf8 }
            }
            EventKind::Message { exchange, text, utf8 } => {
                EventKind::Message { exchange, text: self.labels.redact_shared(text), utf8 }
            }
            EventKind::Sse { exchange, id, event, data, retry } => EventKind::Sse {
                exchange,
                id: id.map(|id| self.labels.redact(id)),
                event,
                data: data.map(|data| self.labels.redact_shared(data)),
                retry,
            },
            // The label comes in as the token itself.
            EventKind::Claims { label, header, claims } => EventKind::Claims {
                label: self.secret("access", &label, &mut seen),
                header: self.in_value(&header),
                claims: self.in_value(&claims),
            },
            EventKind::Published { url, status, headers, body, pad } => {
                self.find(secrets::in_json(&body), &mut seen);
                let headers = self.headers(headers, &mut seen);
                EventKind::Published { url, status, headers, body: self.labels.redact_shared(body), pad }
            }
            EventKind::Minted { label, flaws, ended_s } => {
                EventKind::Minted { label: self.secret("access", &label, &mut seen), flaws, ended_s }
            }
            other => other,
        };
        (kind, seen)
    }

    /// Knows a secret before it is on the wire, so that it is a label wherever it stands.
    pub fn hide(&self, kind: &'static str, value: &str) {
        self.labels.label(kind, value);
    }

    /// A JSON value without secrets; one that loses its shape by that is kept as text.
    fn in_value(&self, value: &Value) -> Value {
        let text = self.labels.redact(value.to_string());
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    fn headers(&self, headers: Headers, seen: &mut Vec<EventKind>) -> Headers {
        headers
            .into_iter()
            .map(|(name, value)| {
                let mixed = name.bytes().any(|byte| byte.is_ascii_uppercase());
                let lower = if mixed { name.to_ascii_lowercase() } else { name.clone() };
                let value = match lower.as_str() {
                    "mcp-session-id" => self.secret("session", &value, seen).into(),
                    "authorization" => match value.split_once(' ') {
                        Some((scheme, token)) => format!("{scheme} {}", self.secret("access", token, seen)).into(),
                        None => self.secret("credential", &value, seen).into(),
                    },
                    "location" => {
                        self.find(secrets::in_query(&value), seen);
                        self.labels.redact(value)
                    }
                    "cookie" | "set-cookie" | "proxy-authorization" => self.secret("cookie", &value, seen).into(),
                    other if secrets::is_name_of_secret(other) => self.secret("header", &value, seen).into(),
                    _ => self.labels.redact(value),
                };
                (name, value)
            })
            .collect()
    }

    /// Gives what was found its labels.
    fn find(&self, found: Vec<secrets::Found>, seen: &mut Vec<EventKind>) {
        for (kind, value) in found {
            self.secret(kind, &value, seen);
        }
    }

    fn secret(&self, kind: &'static str, value: &str, seen: &mut Vec<EventKind>) -> String {
        let (label, new) = self.labels.label_new(kind, value);
        if new {
            seen.push(EventKind::Secret {
                label: label.clone(),
                length: value.len(),
                visible_ascii: value.bytes().all(|byte| (0x21..=0x7e).contains(&byte)),
                digits_only: !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()),
            });
        }
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Via, WallClock};

    #[test]
    fn no_secret_is_kept_and_its_shape_is_told_once() {
        let tap = Tap::new(Arc::new(WallClock::new()));
        for exchange in 1..=2 {
            tap.record(
                "a",
                EventKind::Request {
                    exchange,
                    connection: 1,
                    method: "POST".to_owned(),
                    target: "/mcp".to_owned(),
                    headers: vec![
                        ("Mcp-Session-Id".into(), "0123456789abcdef".into()),
                        ("Authorization".into(), "Bearer very-secret-token".into()),
                    ],
                    body: Some("{\"t\":\"very-secret-token\"}".into()),
                    via: Via::StreamableHttp,
                    channel: None,
                    tls: false,
                },
            );
        }
        let text = format!("{:?}", tap.events());
        assert!(!text.contains("very-secret-token") && !text.contains("0123456789abcdef"));
        assert!(text.contains("Bearer access#1") && text.contains("session#1"));
        let shapes = tap.events().iter().filter(|event| matches!(event.kind, EventKind::Secret { .. })).count();
        assert_eq!(shapes, 2);
    }
}
