//! A channel to the server: how messages go out on it, how responses are waited for, how it is closed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::sync::oneshot;

use crate::client::exchange::{Answered, Options, Stop};
use crate::client::sim::Sim;
use crate::model::{Members as _, Text, Via, id_text, moment};
use crate::transcript::{End, EventKind, Headers};
use crate::wire::{Process, Request, Speaker, read_within_bounds};

/// How long an error without an id is waited for, after something that may not be answered at all.
const MOMENT: Duration = Duration::from_millis(300);
/// How long a response is still waited for after its request was cancelled.
const AFTER_CANCEL: Duration = Duration::from_millis(500);
/// How long the end of a socket that was closed is waited for.
const TO_CLOSE: Duration = Duration::from_secs(1);

/// A channel, open or not any more.
#[derive(Debug)]
pub(in crate::client) struct Line {
    pub(super) via: Via,
    /// The exchange that opened it.
    pub(in crate::client) opening: u32,
    pub(super) connection: u32,
    /// What stands for the target of its messages.
    pub(super) target: String,
    pub(super) out: Out,
    ended: AtomicBool,
    /// The code that the server closed it with.
    pub(super) code: Mutex<Option<u16>>,
}

/// How messages go out.
#[derive(Debug)]
pub(super) enum Out {
    /// To the standard input of a process.
    Pipe(tokio::sync::Mutex<Option<ChildStdin>>, Mutex<Option<Box<Process>>>),
    /// As texts of a WebSocket.
    Socket(Arc<tokio::sync::Mutex<Speaker>>),
    /// By POST to the place that the event stream named.
    Post,
}

/// What stands for an id where there is none.
pub(in crate::client) const NO_ID: &str = "null";

/// The close code that says the access token is over (`docs/transports.md`).
const TOKEN_OVER: u16 = 4401;

impl Line {
    pub(super) fn new(via: Via, opening: u32, connection: u32, target: String, out: Out) -> Self {
        Self { via, opening, connection, target, out, ended: AtomicBool::new(false), code: Mutex::default() }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn is_over(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether its messages go to a place that can still be asked when it is over.
    pub(in crate::client) fn is_place(&self) -> bool {
        matches!(self.out, Out::Post)
    }

    /// Whether it was closed for want of a good token, so that a new one may resume it.
    pub(super) fn wants_token(&self) -> bool {
        *self.code.lock().unwrap_or_else(PoisonError::into_inner) == Some(TOKEN_OVER)
    }
}

impl Sim {
    /// Sends a message on the channel and waits for its response, if it is one that has a response.
    pub(in crate::client) async fn say(
        self: &Arc<Self>,
        line: &Arc<Line>,
        number: u32,
        request: &Request,
        options: &Options,
        answered: &mut Answered,
        told: Option<oneshot::Sender<()>>,
    ) -> Result<End, Stop> {
        self.expect_responses(number, &request.body);
        if let Out::Post = line.out {
            let end = self.converse(number, request, options, answered, told).await?;
            if !answered.accepted() || end != End::Complete {
                return Ok(end);
            }
        } else {
            let body = String::from_utf8_lossy(&request.body).into();
            // Padding is not worth keeping; this tells that it was there.
            let length = (request.body.len() + request.pad).to_string();
            let headers = if request.pad > 0 { vec![("length".into(), length.into())] } else { Headers::new() };
            self.tap.record(
                &self.name,
                EventKind::Request {
                    exchange: number,
                    connection: line.connection,
                    method: String::new(),
                    target: line.target.clone(),
                    headers,
                    body: Some(body),
                    via: line.via,
                    channel: Some(line.opening),
                    tls: line.via == Via::WebSocket && self.target.place.tls,
                },
            );
            if let Err(reason) = write(line, request).await {
                // What the server did says more than what the system calls it.
                return Ok(if line.has_ended() { End::CutShort } else { End::Failed(reason) });
            }
        }
        let end = self.hear_response(line, number, options.until.as_ref(), answered).await;
        if end == End::CutShort && line.wants_token() {
            answered.status = Some(401);
        }
        Ok(end)
    }

    /// Notes which requests this exchange sends, so that their responses find home.
    fn expect_responses(&self, number: u32, body: &[u8]) {
        let members = match serde_json::from_slice(body) {
            Ok(Value::Array(members)) => members,
            Ok(single) => vec![single],
            Err(_) => Vec::new(),
        };
        self.state().last_said = Some(number);
        let mut state = self.state();
        state.inbox.remove(NO_ID);
        for id in members.iter().filter(|message| message.member("method").is_some()).filter_map(|one| one.member("id"))
        {
            state.inbox.remove(&id_text(id));
            state.sent_in.insert(id_text(id), number);
        }
    }

    async fn hear_response(&self, line: &Line, number: u32, until: Option<&Value>, answered: &mut Answered) -> End {
        let Some(until) = until else { return End::Complete };
        let key = id_text(until);
        let mut news = self.news.subscribe();
        let mut limit: Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> =
            until.is_null().then(|| Box::pin(moment::passes(MOMENT)) as _);
        loop {
            {
                let mut state = self.state();
                // An error without id can only be about what was sent last.
                let unread = || state.last_said == Some(number) && state.inbox.contains_key(NO_ID);
                let key = if !state.inbox.contains_key(&key) && unread() { NO_ID } else { &key };
                if let Some(message) = state.inbox.remove(key) {
                    answered.messages.push(message);
                    return End::Complete;
                }
                if limit.is_none() && state.cancelled.contains(key) {
                    limit = Some(Box::pin(moment::passes(AFTER_CANCEL)));
                }
            }
            if line.has_ended() {
                // On another socket it may still come.
                let state = self.state();
                answered.resumable = state.socket_session.is_some() && state.modern.is_none();
                return End::CutShort;
            }
            let waited = async {
                match &mut limit {
                    Some(limit) => limit.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return End::CutShort },
                () = waited => return End::Complete,
            }
        }
    }

    /// Takes in a text that came on the channel; gives an end where it is too much.
    pub(super) fn receive(self: &Arc<Self>, opening: u32, text: String, utf8: bool) -> Option<End> {
        if let Some(end) = self.weigh(text.len(), text.len()) {
            return Some(end);
        }
        let text = Text::from(text);
        let value = match read_within_bounds(&text) {
            Ok(value) => value,
            Err(limit) => return Some(End::Unread(limit)),
        };
        if let Some(limit) = self.count_in(value.as_deref().unwrap_or(&Value::Null), true) {
            return Some(End::Unread(limit));
        }
        self.tap.record(&self.name, EventKind::Message { exchange: opening, text, utf8 });
        if let Some(value) = value {
            self.take_in(opening, value, &mut Answered::of(opening));
        }
        None
    }

    /// Closes the channel as the client does that has no more use for it.
    pub(in crate::client) async fn close_line(self: &Arc<Self>) {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(line) = line else { return };
        match &line.out {
            Out::Pipe(input, process) => self.end_process(&line, input, process).await,
            Out::Socket(speaker) => {
                if !line.has_ended()
                    && let Ok(mut speaker) = tokio::time::timeout(TO_CLOSE, speaker.lock()).await
                {
                    speaker.close(1000, "").await;
                }
                self.see_line_end(&line, TO_CLOSE).await;
            }
            Out::Post => {}
        }
    }

    /// Waits until the reader of the channel is through, or for so long.
    pub(super) async fn see_line_end(&self, line: &Line, limit: Duration) {
        self.until(limit, |_| line.has_ended()).await;
    }
}

async fn write(line: &Line, request: &Request) -> Result<(), String> {
    let mut bytes = request.body.clone();
    bytes.resize(bytes.len() + request.pad, b' ');
    match &line.out {
        Out::Pipe(input, _) => {
            bytes.push(b'\n');
            let mut input = input.lock().await;
            let Some(input) = input.as_mut() else { return Err("its standard input is closed".to_owned()) };
            let written = async {
                input.write_all(&bytes).await?;
                input.flush().await
            };
            written.await.map_err(|error| format!("the server does not read its standard input: {error}"))
        }
        Out::Socket(speaker) => {
            let mut speaker = speaker.lock().await;
            match String::from_utf8(bytes) {
                Ok(text) => speaker.say(text).await,
                Err(error) => speaker.say_bytes(error.into_bytes()).await,
            }
        }
        Out::Post => Ok(()),
    }
}
