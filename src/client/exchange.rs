//! One exchange from request to end: connections, deadlines, bounds, streams, answers to the server.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::sim::Sim;
use super::transport::Line;
use crate::model::{Members as _, Text, Via, id_text, moment};
use crate::transcript::{End, EventKind, Headers, header};
use crate::wire::{
    Coding, CodingError, Connection, Decoder, Frame, Head, MAX_BODY, MAX_EVENTS, MAX_MESSAGES, MAX_TOTAL, Place,
    Request, WireError, read_within_bounds,
};

/// How long a stream may stay open after its response before the client leaves it, whatever it brings.
const AFTER_RESPONSE: Duration = Duration::from_millis(250);
/// The most room that is made for a body because its length was announced, in bytes.
const MOST_AT_ONCE: usize = 2 * 1024 * 1024;

/// What an exchange is to do beyond sending and reading.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    /// The most it may take.
    pub(super) within: Duration,
    /// The stream is done once the response to this id came.
    pub(super) until: Option<Value>,
    /// Whether the client does not leave a stream by itself that stays open after its response.
    pub(super) stays: bool,
    /// The number of the exchange, where it was given out before.
    pub(super) number: Option<u32>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) exchange: u32,
    pub(super) status: Option<u16>,
    pub(super) headers: Headers,
    pub(super) messages: Vec<Arc<Value>>,
    /// The text of a page of HTML.
    pub(super) page: Option<String>,
    /// Whether a stream ended before its response and told an event id to resume from.
    pub(super) resumable: bool,
}

impl Answered {
    /// Nothing came back yet.
    pub(super) fn of(exchange: u32) -> Self {
        Self { exchange, status: None, headers: Vec::new(), messages: Vec::new(), page: None, resumable: false }
    }

    /// The first message, which is all that an answer outside the conversation holds.
    pub(super) fn into_document(self) -> Option<Value> {
        self.messages.into_iter().next().map(Arc::unwrap_or_clone)
    }

    /// Whether the status says that it was done.
    pub(super) fn accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// Why an exchange is over before its answer ended.
pub(super) enum Stop {
    End(End),
    Wire(WireError),
}

impl Stop {
    /// How that is told.
    pub(super) fn end(self) -> End {
        match self {
            Self::End(end) => end,
            Self::Wire(WireError::CutShort | WireError::Closed) => End::CutShort,
            Self::Wire(error) => End::Failed(error.to_string()),
        }
    }
}

impl From<CodingError> for Stop {
    fn from(error: CodingError) -> Self {
        Self::End(match error {
            CodingError::Unknown(_) => End::Unread(error.to_string()),
            CodingError::Unasked(_) | CodingError::Broken(_) => End::Failed(error.to_string()),
        })
    }
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl Sim {
    /// Sends a request and reads the answer to its end, recording everything.
    pub(super) async fn exchange(self: &Arc<Self>, request: Request, options: Options) -> Answered {
        self.exchange_with(request, options, None).await
    }

    /// The same; `head` is told once the head of the answer came.
    pub(super) async fn exchange_with(
        self: &Arc<Self>,
        mut request: Request,
        options: Options,
        head: Option<oneshot::Sender<()>>,
    ) -> Answered {
        if request.place.is_none() {
            self.target.dress(&mut request.headers);
        }
        // What the target's own address is asked for besides, such as tokens, goes to the same node.
        if request.node.is_none() && request.place.as_ref().is_none_or(|place| self.target.is_own(place)) {
            request.node = self.here();
        }
        let mut line = None;
        if request.place.is_none()
            && request.method == "POST"
            && request.channel.is_none()
            && self.via() != Via::StreamableHttp
        {
            match self.line(options.within).await {
                Ok(open) => {
                    request = Self::on_line(&open, request);
                    line = Some(open);
                }
                Err(refused) => return refused,
            }
        }
        let number = options.number.unwrap_or_else(|| self.tap.next_exchange());
        let mut answered = Answered::of(number);
        let mut dropped = self.drop_all.subscribe();
        dropped.mark_unchanged();
        let (hang_up, mut asked_to_end) = oneshot::channel();
        {
            let mut state = self.state();
            state.live += 1;
            state.hang_ups.insert(number, hang_up);
        }
        let end = tokio::select! {
            end = self.run(number, line.as_ref(), &request, &options, &mut answered, head) => end,
            _ = dropped.changed() => Stop::End(End::ClosedByUs),
            Ok(()) = &mut asked_to_end => Stop::End(End::ClosedByUs),
            () = moment::passes(options.within) => Stop::End(End::TimedOut),
        };
        let end = end.end();
        // A drop on our side says nothing about what the server still has.
        answered.resumable |= end == End::ClosedByUs;
        let silent = answered.messages.is_empty() && (answered.status.is_none() || request.method != "GET");
        if end == End::TimedOut && silent && options.within >= self.target.patience {
            self.state().gave_up += 1;
        }
        self.record(EventKind::End { exchange: number, end });
        {
            let mut state = self.state();
            state.live -= 1;
            state.hang_ups.remove(&number);
        }
        self.announce();
        answered
    }

    pub(super) fn record(&self, kind: EventKind) {
        self.tap.record(&self.name, kind);
    }

    async fn run(
        self: &Arc<Self>,
        number: u32,
        line: Option<&Arc<Line>>,
        request: &Request,
        options: &Options,
        answered: &mut Answered,
        head: Option<oneshot::Sender<()>>,
    ) -> Stop {
        let ended = match line {
            None => self.converse(number, request, options, answered, head).await,
            Some(line) => self.say(line, number, request, options, answered, head).await,
        };
        match ended {
            Ok(end) => Stop::End(end),
            Err(stop) => stop,
        }
    }

    pub(super) async fn converse(
        self: &Arc<Self>,
        number: u32,
        request: &Request,
        options: &Options,
        answered: &mut Answered,
        told: Option<oneshot::Sender<()>>,
    ) -> Result<End, Stop> {
        let (mut connection, head) = self.send(number, request, options.within).await?;
        self.record(EventKind::Response { exchange: number, status: head.status, headers: head.headers.clone() });
        if let Some(told) = told {
            // Nobody waits any more where the step's time ran out.
            let _ = told.send(());
        }
        answered.status = Some(head.status);
        if request.method == "GET" && request.target == self.target.path && self.state().session.is_some() {
            self.note_no_stream(head.status);
        }
        answered.headers.clone_from(&head.headers);
        let stream = header(&head.headers, "content-type")
            .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/event-stream"));
        let coding = Coding::of(&head.headers, &request.headers)?;
        let end = if stream {
            self.read_stream(number, request.via, &mut connection, coding, options, answered).await?
        } else {
            self.read_body(number, &mut connection, coding, answered).await?
        };
        if connection.reusable() {
            self.pool.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok(end)
    }

    /// Sends on an idle connection, or a new one; once more on a new one where an idle one turned out dead.
    async fn send(&self, number: u32, request: &Request, within: Duration) -> Result<(Connection, Head), Stop> {
        let place = self.dialled(request);
        let idle = self.idle(&place);
        let reused = idle.is_some();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.open(number, request, within).await?,
        };
        self.record_request(number, connection.number, request);
        match Self::ask(&mut connection, request).await {
            Err(WireError::Closed | WireError::Io(_)) if reused => {
                connection = Connection::open(&place, &self.target.trust, self.next_connection(), within).await?;
                let head = Self::ask(&mut connection, request).await?;
                Ok((connection, head))
            }
            Err(error) => Err(error.into()),
            Ok(head) => Ok((connection, head)),
        }
    }

    /// A connection to this address that is free, and on which nothing came that nobody asked for.
    fn idle(&self, place: &Place) -> Option<Connection> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(at) = pool.iter().rposition(|connection| connection.place == *place) {
            let mut connection = pool.remove(at);
            if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    async fn open(&self, number: u32, request: &Request, within: Duration) -> Result<Connection, Stop> {
        let connection = self.next_connection();
        let place = self.dialled(request);
        match Connection::open(&place, &self.target.trust, connection, within).await {
            Ok(connection) => Ok(connection),
            Err(error) => {
                self.record_request(number, connection, request);
                Err(error.into())
            }
        }
    }

    /// Where to connect to for a request.
    pub(super) fn dialled(&self, request: &Request) -> Place {
        let node = request.node.as_ref().map(|(_, place)| place.clone());
        node.unwrap_or_else(|| self.target.dialled(request.place.as_ref()))
    }

    async fn ask(connection: &mut Connection, request: &Request) -> Result<Head, WireError> {
        let sent = connection.send(request).await;
        // A server may refuse a large body before it has all of it, and hang up: its answer counts.
        match (sent, connection.head(&request.method).await) {
            (Err(error), Err(_)) => Err(error),
            (_, head) => head,
        }
    }

    pub(super) fn record_request(&self, exchange: u32, connection: u32, request: &Request) {
        // Padding is not worth keeping; Content-Length tells that it was there.
        let body = (!request.body.is_empty()).then(|| String::from_utf8_lossy(&request.body).into());
        let dialled = self.dialled(request);
        if let Some((node, _)) = request.node {
            let known = self.target.nodes.get(node as usize - 1);
            let address = known.map(|node| node.address.clone()).unwrap_or_default();
            self.record(EventKind::Node { exchange, node, address });
        }
        self.record(EventKind::Request {
            exchange,
            connection,
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            body,
            via: request.via,
            channel: request.channel,
            tls: dialled.tls,
        });
    }

    pub(super) async fn read_body(
        self: &Arc<Self>,
        number: u32,
        connection: &mut Connection,
        mut coding: Coding,
        answered: &mut Answered,
    ) -> Result<End, Stop> {
        let announced = header(&answered.headers, "content-length").and_then(|length| length.trim().parse().ok());
        let (mut bytes, mut counted) = (Vec::with_capacity(announced.unwrap_or(0).min(MOST_AT_ONCE)), 0);
        let result = loop {
            match connection.piece().await {
                Ok(Some(piece)) => bytes.extend_from_slice(&coding.decode(&piece)?),
                Ok(None) => break Ok(End::Complete),
                Err(error) => break Err(Stop::Wire(error)),
            }
            let before = std::mem::replace(&mut counted, bytes.len());
            if let Some(end) = self.weigh(bytes.len() - before, bytes.len()) {
                return Ok(end);
            }
        };
        if bytes.is_empty() {
            return result;
        }
        let (text, utf8) = match String::from_utf8(bytes) {
            Ok(text) => (text, true),
            // A letter that was cut in two at the end of what came is not badly written.
            Err(error) => {
                let cut = result.is_err() && error.utf8_error().error_len().is_none();
                (String::from_utf8_lossy(error.as_bytes()).into_owned(), cut)
            }
        };
        let text = Text::from(text);
        let value = match read_within_bounds(&text) {
            Ok(value) => value,
            Err(limit) => return Ok(End::Unread(limit)),
        };
        if let Some(limit) = value.as_deref().and_then(|value| self.count_in(value, false)) {
            return Ok(End::Unread(limit));
        }
        if let Some(value) = value {
            self.take_in(number, value, answered);
        }
        if header(&answered.headers, "content-type").is_some_and(|kind| kind.contains("html")) {
            answered.page = Some(text.to_string());
        }
        self.record(EventKind::Body { exchange: number, text, utf8 });
        result
    }

    async fn read_stream(
        self: &Arc<Self>,
        number: u32,
        via: Via,
        connection: &mut Connection,
        mut coding: Coding,
        options: &Options,
        answered: &mut Answered,
    ) -> Result<End, Stop> {
        let until = options.until.as_ref().map(id_text);
        let mut decoder = Decoder::new();
        let mut total = 0;
        let mut leaves: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
        let (mut last_id, mut pause) = (None, None);
        let result = 'stream: loop {
            let piece = match &mut leaves {
                None => connection.piece().await,
                Some(leaves) => tokio::select! {
                    biased;
                    () = leaves => break Ok(End::ClosedByUs),
                    piece = connection.piece() => piece,
                },
            };
            let piece = match piece {
                Ok(Some(piece)) => piece,
                // The last event is lost to every client where the blank line behind it is missing.
                Ok(None) if decoder.is_mid_block() => break Ok(End::CutShort),
                Ok(None) => break Ok(End::Complete),
                Err(error) => break Err(Stop::Wire(error)),
            };
            let plain = coding.decode(&piece);
            let piece = match plain {
                Ok(piece) => piece,
                Err(error) => break Err(error.into()),
            };
            total += piece.len();
            if let Some(end) = self.weigh(piece.len(), total) {
                break Ok(end);
            }
            for frame in decoder.feed(&piece) {
                let Frame::Event { id, event, data, retry } = frame else { continue };
                let data = data.map(Text::from);
                let value = match data.as_ref().map_or(Ok(None), read_within_bounds) {
                    Ok(value) => value,
                    Err(limit) => break 'stream Ok(End::Unread(limit)),
                };
                if let Some(limit) = self.count_in(value.as_deref().unwrap_or(&Value::Null), true) {
                    break 'stream Ok(End::Unread(limit));
                }
                pause = retry.or(pause);
                if let Some(id) = &id {
                    last_id = Some(id.clone());
                    self.state().last_event_id = Some(id.clone());
                }
                let names_place = via == Via::LegacySse && event.as_deref() == Some("endpoint");
                let endpoint = data.as_deref().filter(|_| names_place).map(str::to_owned);
                if let Some(endpoint) = &endpoint {
                    self.hide_session_in(endpoint);
                }
                self.record(EventKind::Sse { exchange: number, id, event, data, retry });
                if endpoint.is_some() {
                    self.state().endpoint = endpoint;
                    self.announce();
                    continue;
                }
                if let Some(value) = value {
                    let before = answered.messages.len();
                    self.take_in(number, value, answered);
                    let is_response = |message: &Value| {
                        message.member("method").is_none()
                            && message.member("id").map(id_text) == until
                            && until.is_some()
                    };
                    if leaves.is_none() && answered.messages[before..].iter().any(|message| is_response(message)) {
                        let limit = if options.stays { options.within } else { AFTER_RESPONSE };
                        leaves = Some(Box::pin(moment::passes(limit)));
                    }
                }
            }
        };
        // A stream that ended before its response can be resumed where it told event ids.
        if leaves.is_none()
            && via == Via::StreamableHttp
            && let Some(id) = last_id
        {
            answered.resumable = true;
            let mut state = self.state();
            state.interrupted.push(id);
            // The server says how long to wait (2025-11-25 basic/transports#sending-messages-to-the-server); where it
            // does not, the client waits as long as it always does.
            if let Ok(End::Complete) = &result {
                let ms = pause.unwrap_or(self.profile.reconnect_ms.value);
                state.resume_at = Some(self.clock.elapsed() + Duration::from_millis(ms));
            }
        }
        result
    }

    /// Adds bytes of an answer that has brought this many in all; gives an end where that is too much.
    pub(super) fn weigh(&self, more: usize, of_answer: usize) -> Option<End> {
        let mut state = self.state();
        state.bytes += more;
        if of_answer > MAX_BODY {
            return Some(End::TooLarge(of_answer));
        }
        let mib = MAX_TOTAL / (1024 * 1024);
        (state.bytes > MAX_TOTAL).then(|| End::Unread(format!("more than {mib} MiB came in all")))
    }

    /// Counts what a body or a stream event holds; gives the bound that it passes.
    pub(super) fn count_in(&self, value: &Value, event: bool) -> Option<String> {
        let mut state = self.state();
        state.events += usize::from(event);
        state.messages += value.as_array().map_or(usize::from(!value.is_null()), Vec::len);
        if state.events > MAX_EVENTS {
            return Some(format!("more than {MAX_EVENTS} events came in all"));
        }
        (state.messages > MAX_MESSAGES).then(|| format!("more than {MAX_MESSAGES} messages came in all"))
    }

    /// Files the messages of a body or event, and answers what the server asks.
    pub(super) fn take_in(self: &Arc<Self>, number: u32, value: Arc<Value>, answered: &mut Answered) {
        let messages = match &*value {
            Value::Array(messages) => messages.iter().cloned().map(Arc::new).collect(),
            _ => vec![value],
        };
        for message in messages {
            self.hear(number, &message);
            self.hear_change(&message);
            // Without a handshake servers do not ask on streams (2026-07-28 basic/transports/streamable-http), so that
            // nothing there is answered.
            let answerable = !self.is_modern()
                && message.member("method").is_some()
                && message.member("id").is_some_and(|id| !id.is_null());
            if answerable && !self.state().answers.silent {
                self.reply_to(&message);
            }
            answered.messages.push(message);
        }
        self.announce();
    }
}
