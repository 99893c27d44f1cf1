//! A request with everything that came back for it: of HTTP, or a message on a channel.
//!
//! Puts events together; what they mean is not its business.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use url::form_urlencoded;

use super::{ClientName, End, Ended, Event, EventKind, Headers, header};
use crate::model::{Challenge, Members as _, Revision, Text, Via, challenges};

/// One event of an event stream.
#[derive(Debug, Clone)]
pub struct SseEvent {
    /// Position in the transcript.
    pub seq: u32,
    /// Microseconds since the rehearsal began.
    pub at: u64,
    /// The `id` field.
    pub id: Option<String>,
    /// The `event` field.
    pub event: Option<String>,
    /// The joined data lines.
    pub data: Option<Text>,
    /// The `retry` field in milliseconds.
    pub retry: Option<u64>,
}

/// A text that came in on a channel.
#[derive(Debug, Clone)]
pub struct ChannelText {
    /// Position in the transcript.
    pub seq: u32,
    /// Microseconds since the rehearsal began.
    pub at: u64,
    /// The text.
    pub text: Text,
    /// Whether its bytes were valid UTF-8.
    pub utf8: bool,
}

/// How a process that served over stdio ended.
#[derive(Debug, Clone, Copy)]
pub struct Exit {
    /// Position in the transcript.
    pub seq: u32,
    /// What made it end.
    pub after: Ended,
    /// What the client did first to end it, where that was something else than to close its standard input.
    pub began: Option<Ended>,
    /// Milliseconds from the first that the client did about it to its end.
    pub took_ms: u64,
    /// Its exit code.
    pub code: Option<i32>,
    /// Whether processes that it had started had to be killed.
    pub left_others: bool,
}

/// One of the nodes of a target that has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtNode {
    /// Its number, from 1.
    pub number: u32,
    /// Its host and port.
    pub address: String,
}

impl fmt::Display for AtNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} ({})", self.number, self.address)
    }
}

/// A request and what came back: an HTTP request, a message on a channel, or the opening of a channel.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Number of the exchange, as in the events.
    pub number: u32,
    /// Position of the request in the transcript.
    pub seq: u32,
    /// Position of the answer's head.
    pub response_seq: Option<u32>,
    /// Microseconds at which the request left.
    pub at: u64,
    /// The simulated client.
    pub client: ClientName,
    /// The scenario step.
    pub step: Option<u32>,
    /// Number of the connection.
    pub connection: u32,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers as sent.
    pub headers: Headers,
    /// The body as sent.
    pub body: Option<Text>,
    /// The transport.
    pub via: Via,
    /// Number of the exchange that opened the channel or stream which brings its response.
    pub channel: Option<u32>,
    /// Whether TLS was spoken.
    pub tls: bool,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// Headers of the answer.
    pub response_headers: Headers,
    /// Body of an answer that is no event stream.
    pub response_body: Option<Text>,
    /// Whether that body was valid UTF-8.
    pub response_utf8: bool,
    /// Events of an event stream.
    pub events: Vec<SseEvent>,
    /// Texts that came in on the channel that it opened.
    pub texts: Vec<ChannelText>,
    /// How the process that it started ended.
    pub exit: Option<Exit>,
    /// How it ended.
    pub end: Option<End>,
    /// Microseconds at which it ended.
    pub end_at: Option<u64>,
    /// Position of the end in the transcript.
    pub end_seq: Option<u32>,
    /// Index of the conversation it belongs to.
    pub conversation: Option<usize>,
    /// The revision that governs it: the conversation's, or the one an `initialize` arrived at.
    pub revision: Option<Revision>,
    /// Whether it is of the modern era: it says so, and the server showed that it speaks it.
    pub modern: bool,
    /// The node it went to, where the target has several.
    pub node: Option<AtNode>,
    /// What the network did while it was under way, as scenarios write it, and restarts of the target; empty where nothing
    /// disturbed it.
    pub disturbed: Vec<String>,
    /// The body as sent, parsed once for all checks, also where it is too long for its text to keep that.
    sent: OnceCell<Option<Arc<Value>>>,
    /// The body of the answer, parsed once for all checks.
    got: OnceCell<Option<Arc<Value>>>,
    /// The parameters of the query, and those of the body read as a form; parsed once for all checks.
    query: OnceCell<Vec<(String, String)>>,
    form: OnceCell<Vec<(String, String)>>,
    /// Where the answer redirects to, and its challenges; read once for all checks.
    redirect: OnceCell<Option<Redirect>>,
    handed_over: OnceCell<Vec<(String, String)>>,
    challenges: OnceCell<Vec<Challenge>>,
    media_type: OnceCell<Option<String>>,
    /// Where the path of the target ends.
    path_end: OnceCell<usize>,
}

/// Where an answer redirects to, with the parameters that it hands over.
pub type Redirect = (String, Vec<(String, String)>);

impl Exchange {
    /// A request header.
    pub fn sent_header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// A header of the answer.
    pub fn got_header(&self, name: &str) -> Option<&str> {
        header(&self.response_headers, name)
    }

    /// The JSON that was sent; `None` where the body is none.
    pub fn sent_json(&self) -> Option<&Value> {
        self.sent_shared().map(Arc::as_ref)
    }

    /// The same, to be kept.
    pub(super) fn sent_shared(&self) -> Option<&Arc<Value>> {
        self.sent.get_or_init(|| self.body.as_ref()?.json()).as_ref()
    }

    /// The JSON that came back outside an event stream; `None` where the body is none.
    pub fn got_json(&self) -> Option<&Value> {
        self.got_shared().map(Arc::as_ref)
    }

    /// The same, to be kept.
    pub(super) fn got_shared(&self) -> Option<&Arc<Value>> {
        self.got.get_or_init(|| self.response_body.as_ref()?.json()).as_ref()
    }

    /// The parameters of the query.
    pub fn query(&self) -> &[(String, String)] {
        self.query.get_or_init(|| pairs(self.target.split_once('?').map(|(_, query)| query).unwrap_or_default()))
    }

    /// The parameters of the body, read as a form whatever its content type says.
    pub fn form(&self) -> &[(String, String)] {
        self.form.get_or_init(|| pairs(self.body.as_deref().unwrap_or_default()))
    }

    /// Where the answer redirects to, with the parameters that it hands over.
    pub fn redirect(&self) -> Option<&Redirect> {
        let read = || {
            let place = self.got_header("location")?;
            let (place, query) = place.split_once('?').unwrap_or((place, ""));
            Some((place.to_owned(), pairs(query)))
        };
        self.redirect.get_or_init(read).as_ref()
    }

    /// The parameters behind a redirect: of the query and of the fragment. Labels of secrets hold a `#` themselves, so the
    /// fragment is only what follows a `#` at a name.
    pub fn handed_over(&self) -> &[(String, String)] {
        self.handed_over.get_or_init(|| {
            let place = self.got_header("location").unwrap_or_default();
            pairs(
                place
                    .find(['?', '#'])
                    .and_then(|at| place.get(at..))
                    .unwrap_or_default()
                    .trim_start_matches(['?', '#']),
            )
        })
    }

    /// Every challenge of the answer.
    pub fn challenges(&self) -> &[Challenge] {
        self.challenges.get_or_init(|| {
            let headers = self.response_headers.iter();
            let all = headers.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
            all.flat_map(|(_, value)| challenges(value)).collect()
        })
    }

    /// What was amiss about its end, in plain words.
    pub fn amiss(&self) -> Option<String> {
        self.end.as_ref()?.words(self.status.is_some())
    }

    /// Whether a limit of this program kept the answer from being read.
    pub fn passed_our_limit(&self) -> bool {
        self.end.as_ref().is_some_and(End::is_our_limit)
    }

    /// Media type of the answer in lower case, without parameters.
    pub fn media_type(&self) -> Option<&str> {
        let read = || {
            let value = self.got_header("content-type")?;
            Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        };
        self.media_type.get_or_init(read).as_deref()
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        let end = *self.path_end.get_or_init(|| self.target.find('?').unwrap_or(self.target.len()));
        self.target.get(..end).unwrap_or(&self.target)
    }

    /// Whether the status is in 200 to 299. A channel has no statuses: what got through there was not refused.
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status)) || (self.got_through() && !self.is_unread())
    }

    /// Whether anything tells that the server took note of the request: a status or, on a channel, that nothing failed.
    pub fn answered(&self) -> bool {
        self.status.is_some() || self.got_through()
    }

    /// Notes the first message that answers it, which came on a channel.
    pub(super) fn answered_on_channel(&mut self, text: String) {
        if self.response_body.is_none() {
            self.response_body = Some(text.into());
            // It was looked for before.
            self.got = OnceCell::new();
        }
    }

    /// Whether an error without id came back, which says that the message was not even read.
    pub fn is_unread(&self) -> bool {
        self.is_message() && self.got_json().is_some_and(|answer| answer.at("id").is_null())
    }

    /// Whether it is a message on a channel that came to its end.
    fn got_through(&self) -> bool {
        self.is_message() && self.end == Some(End::Complete)
    }

    /// Whether it is a message on a channel, not an HTTP request and not the opening of the channel.
    pub fn is_message(&self) -> bool {
        self.via.is_channel() && self.channel.is_some()
    }

    /// Whether it carries a message of the client.
    pub fn carries_message(&self) -> bool {
        self.method == "POST" || self.is_message()
    }

    /// What stands for the status of a notification that was taken: 202 over HTTP, any success where statuses are not
    /// fixed or there are none.
    pub fn is_accepted(&self) -> bool {
        if self.via == Via::StreamableHttp { self.status == Some(202) } else { self.is_success() }
    }

    /// The exchange that opened the channel or stream it belongs to, which may be itself.
    pub fn line(&self) -> Option<u32> {
        (self.via != Via::StreamableHttp).then(|| self.channel.unwrap_or(self.number))
    }

    /// The session id sent with the request, as its label.
    pub fn session(&self) -> Option<&str> {
        self.sent_header("mcp-session-id")
    }

    /// The positions that show this exchange: request and answer.
    pub fn evidence(&self) -> Vec<u32> {
        std::iter::once(self.seq).chain(self.response_seq).collect()
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// The exchanges of a transcript in order of their requests.
pub(super) fn exchanges(events: &[Event]) -> Vec<Exchange> {
    let requests = events.iter().filter(|event| matches!(event.kind, EventKind::Request { .. })).count();
    let mut list: Vec<Exchange> = Vec::with_capacity(requests);
    let mut by_number: HashMap<u32, usize> = HashMap::new();
    let mut nodes: HashMap<u32, AtNode> = HashMap::new();
    for event in events {
        if let EventKind::Node { exchange, node, address } = &event.kind {
            nodes.insert(*exchange, AtNode { number: *node, address: address.clone() });
            continue;
        }
        if let EventKind::Request { exchange, connection, method, target, headers, body, via, channel, tls } =
            &event.kind
        {
            by_number.insert(*exchange, list.len());
            list.push(Exchange {
                number: *exchange,
                seq: event.seq,
                response_seq: None,
                at: event.at,
                client: event.client.clone(),
                step: event.step,
                connection: *connection,
                method: method.clone(),
                target: target.clone(),
                headers: headers.clone(),
                body: body.clone(),
                via: *via,
                channel: *channel,
                tls: *tls,
                status: None,
                response_headers: Vec::new(),
                response_body: None,
                response_utf8: true,
                events: Vec::new(),
                texts: Vec::new(),
                exit: None,
                end: None,
                end_at: None,
                end_seq: None,
                conversation: None,
                revision: None,
                modern: false,
                node: nodes.remove(exchange),
                disturbed: Vec::new(),
                sent: OnceCell::new(),
                got: OnceCell::new(),
                query: OnceCell::new(),
                form: OnceCell::new(),
                redirect: OnceCell::new(),
                handed_over: OnceCell::new(),
                challenges: OnceCell::new(),
                media_type: OnceCell::new(),
                path_end: OnceCell::new(),
            });
            continue;
        }
        let number = match &event.kind {
            EventKind::Response { exchange, .. }
            | EventKind::Body { exchange, .. }
            | EventKind::Sse { exchange, .. }
            | EventKind::Message { exchange, .. }
            | EventKind::Exit { exchange, .. }
            | EventKind::End { exchange, .. } => *exchange,
            _ => continue,
        };
        let Some(found) = by_number.get(&number).map(|index| &mut list[*index]) else { continue };
        match &event.kind {
            EventKind::Response { status, headers, .. } => {
                found.status = Some(*status);
                found.response_headers.clone_from(headers);
                found.response_seq = Some(event.seq);
            }
            EventKind::Body { text, utf8, .. } => {
                found.response_body = Some(text.clone());
                found.response_utf8 = *utf8;
            }
            EventKind::Sse { id, event: kind, data, retry, .. } => found.events.push(SseEvent {
                seq: event.seq,
                at: event.at,
                id: id.clone(),
                event: kind.clone(),
                data: data.clone(),
                retry: *retry,
            }),
            EventKind::Message { text, utf8, .. } => {
                found.texts.push(ChannelText { seq: event.seq, at: event.at, text: text.clone(), utf8: *utf8 });
            }
            EventKind::Exit { after, began, took_ms, code, left_others, .. } => {
                found.exit = Some(Exit {
                    seq: event.seq,
                    after: *after,
                    began: *began,
                    took_ms: *took_ms,
                    code: *code,
                    left_others: *left_others,
                });
            }
            EventKind::End { end, .. } => {
                found.end = Some(end.clone());
                found.end_at = Some(event.at);
                found.end_seq = Some(event.seq);
            }
            _ => {}
        }
    }
    list
}
