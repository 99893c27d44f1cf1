//! The memory of the server: sessions, their streams with an event log each, and what is running in them.
//!
//! Ends idle sessions by the time it is told. It knows neither HTTP nor any method.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::sse::Frame;
use crate::model::{Revision, id_text};

/// Streams whose events are kept for resumption; older finished ones are forgotten.
const KEPT_STREAMS: usize = 64;
/// Events kept for each stream; the oldest make room.
const KEPT_EVENTS: usize = 1000;
/// Sessions held at a time; the one that was used longest ago makes room.
const MAX_SESSIONS: usize = 4096;

/// What the reader of a stream holds.
pub(crate) type Reader = mpsc::UnboundedReceiver<Frame>;

#[derive(Debug)]
struct Stream {
    is_get: bool,
    events: Vec<(u64, String)>,
    live: Option<mpsc::UnboundedSender<Frame>>,
    finished: bool,
}

impl Stream {
    /// Nothing is coming any more, or nobody is there to read it.
    fn is_over(&self) -> bool {
        self.finished || (self.is_get && !self.is_live())
    }

    fn is_live(&self) -> bool {
        self.live.as_ref().is_some_and(|live| !live.is_closed())
    }
}

#[derive(Debug, Default)]
struct Inner {
    streams: BTreeMap<u64, Stream>,
    next_stream: u64,
    next_request: u64,
    running: HashMap<String, oneshot::Sender<()>>,
    pending: HashMap<String, oneshot::Sender<Value>>,
    subscriptions: HashSet<String>,
    marks: HashSet<String>,
    level: usize,
    initialized: bool,
    closed: bool,
    last_used: Duration,
    connections: BTreeSet<u64>,
}

/// Why a stream could not be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownEvent;

/// One conversation.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) revision: Revision,
    pub(crate) capabilities: Value,
    /// Whose it is, where the server asks for authorization.
    pub(crate) subject: Option<String>,
    inner: Mutex<Inner>,
}

impl Session {
    pub(crate) fn new(id: String, revision: Revision, capabilities: Value) -> Self {
        // 1 is `info`, what a client gets that never sets a level.
        Self { id, revision, capabilities, subject: None, inner: Mutex::new(Inner { level: 1, ..Inner::default() }) }
    }

    /// The same, as somebody's.
    pub(crate) fn of(self, subject: Option<String>) -> Self {
        Self { subject, ..self }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a stream; `priming` sends an event that can be resumed from before anything has happened.
    pub(crate) fn open(&self, is_get: bool, priming: bool) -> (u64, Reader) {
        let (sender, reader) = mpsc::unbounded_channel();
        (self.open_onto(is_get, priming, sender), reader)
    }

    /// The same for a reader that is there already.
    pub(crate) fn open_onto(&self, is_get: bool, priming: bool, sender: mpsc::UnboundedSender<Frame>) -> u64 {
        let mut inner = self.inner();
        inner.next_stream += 1;
        let number = inner.next_stream;
        if priming {
            // The reader is at hand, so this cannot fail.
            let _ = sender.send(Frame::Event { id: Some(format!("{number}.0")), data: String::new() });
        }
        let live = (!inner.closed).then_some(sender);
        inner.streams.insert(number, Stream { is_get, events: Vec::new(), live, finished: false });
        let forget: Vec<u64> = inner.streams.iter().filter(|(_, s)| s.is_over()).map(|(n, _)| *n).collect();
        for old in forget.iter().take(forget.len().saturating_sub(KEPT_STREAMS)) {
            inner.streams.remove(old);
        }
        number
    }

    /// Whether a GET stream has a reader now.
    pub(crate) fn has_get(&self) -> bool {
        self.inner().streams.values().any(|stream| stream.is_get && stream.is_live())
    }

    /// Ends the connection of the GET stream, if there is one; what is said on it from now on waits for a resumption.
    pub(crate) fn leave_get(&self) {
        for stream in self.inner().streams.values_mut().filter(|stream| stream.is_get) {
            stream.live = None;
        }
    }

    /// Writes a message into the log of a stream and to its reader, if there is one; `unique` is off for the fault of
    /// giving two events the same id.
    pub(crate) fn emit(&self, number: u64, data: String, unique: bool) {
        let mut inner = self.inner();
        let Some(stream) = inner.streams.get_mut(&number) else { return };
        let sequence = stream.events.last().map_or(1, |(last, _)| last + 1);
        let shown = if unique { sequence } else { sequence.div_ceil(2) };
        let frame = Frame::Event { id: Some(format!("{number}.{shown}")), data: data.clone() };
        stream.events.push((sequence, data));
        if stream.events.len() > KEPT_EVENTS {
            stream.events.remove(0);
        }
        if stream.live.as_ref().is_some_and(|live| live.send(frame).is_err()) {
            stream.live = None;
        }
    }

    /// The newest GET stream; messages that belong to no request go there, also while it has no reader.
    pub(crate) fn get_stream(&self) -> Option<u64> {
        let inner = self.inner();
        let mut gets = inner.streams.iter().rev().filter(|(_, stream)| stream.is_get && !stream.finished);
        let newest = gets.clone().next();
        gets.find(|(_, stream)| stream.is_live()).or(newest).map(|(number, _)| *number)
    }

    /// Completes when the reader that a stream has at this moment is gone; only a fault asks.
    pub(crate) fn reader_gone(&self, number: u64) -> impl Future<Output = ()> + Send + use<> {
        let live = self.inner().streams.get(&number).and_then(|stream| stream.live.clone());
        async move {
            match live {
                Some(live) => live.closed().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Whether the answer to some call is being streamed.
    pub(crate) fn streams_a_call(&self) -> bool {
        self.inner().streams.values().any(|stream| !stream.is_get && !stream.finished)
    }

    /// The newest stream of a call that has a reader.
    pub(crate) fn newest_call_stream(&self) -> Option<u64> {
        let inner = self.inner();
        let mut calls = inner.streams.iter().rev().filter(|(_, stream)| !stream.is_get && stream.is_live());
        calls.next().map(|(number, _)| *number)
    }

    /// The connections that requests of this session came on; only a fault asks.
    pub(crate) fn connections(&self) -> BTreeSet<u64> {
        self.inner().connections.clone()
    }

    /// A request of this session came on a connection.
    pub(crate) fn came_on(&self, connection: u64) {
        self.inner().connections.insert(connection);
    }

    /// The numbers of all streams that have a reader.
    pub(crate) fn stream_numbers(&self) -> Vec<u64> {
        self.inner().streams.iter().filter(|(_, stream)| stream.is_live()).map(|(number, _)| *number).collect()
    }

    /// The stream has said all; its reader sees the end.
    pub(crate) fn finish(&self, number: u64, close: bool) {
        if let Some(stream) = self.inner().streams.get_mut(&number) {
            stream.finished = true;
            if close {
                stream.live = None;
            }
        }
    }

    /// Ends the connection of the stream of a call that goes on, telling the reader when to come back. A stream on which
    /// more than the one call is answered stays.
    pub(crate) fn close_early(&self, number: u64, retry_ms: Option<u64>) {
        if let Some(stream) = self.inner().streams.get_mut(&number)
            && !stream.is_get
            && let Some(live) = stream.live.take()
            && let Some(ms) = retry_ms
        {
            // A reader that has gone already needs no advice.
            let _ = live.send(Frame::Retry(ms));
        }
    }

    /// Replays what a stream said after an event and goes on with it; `all_streams` commits the fault of
    /// replaying the others as well.
    pub(crate) fn resume(&self, last_event: &str, from_start: bool, all_streams: bool) -> Result<Reader, UnknownEvent> {
        let (number, after) = parse_event_id(last_event).ok_or(UnknownEvent)?;
        let mut inner = self.inner();
        let last = inner.streams.get(&number).ok_or(UnknownEvent)?.events.last().map_or(0, |(last, _)| *last);
        if after > last {
            return Err(UnknownEvent);
        }
        let (sender, reader) = mpsc::unbounded_channel();
        let after = if from_start { 0 } else { after };
        for (other, stream) in inner.streams.iter().filter(|(other, _)| all_streams || **other == number) {
            for (sequence, data) in stream.events.iter().filter(|(sequence, _)| *other != number || *sequence > after) {
                let frame = Frame::Event { id: Some(format!("{other}.{sequence}")), data: data.clone() };
                let _ = sender.send(frame);
            }
        }
        if let Some(stream) = inner.streams.get_mut(&number)
            && !stream.finished
        {
            stream.live = Some(sender);
        }
        Ok(reader)
    }

    /// The number of the last event of a stream; 0 before the first.
    pub(crate) fn last_event(&self, number: u64) -> u64 {
        let inner = self.inner();
        inner.streams.get(&number).and_then(|stream| stream.events.last()).map_or(0, |(last, _)| *last)
    }

    /// Whether the session has ended.
    pub(crate) fn closed(&self) -> bool {
        self.inner().closed
    }

    /// Ends every stream and everything that runs.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        inner.pending.clear();
        for (_, running) in inner.running.drain() {
            // What has ended in this moment needs no cancelling.
            let _ = running.send(());
        }
        for stream in inner.streams.values_mut() {
            stream.live = None;
            stream.finished = true;
        }
    }

    /// Breaks the connections of all streams; the work behind them goes on.
    pub(crate) fn abort_streams(&self) {
        for stream in self.inner().streams.values_mut() {
            if let Some(live) = stream.live.take() {
                let _ = live.send(Frame::Abort);
            }
        }
    }

    /// How many streams have a reader.
    pub(crate) fn live_streams(&self) -> usize {
        self.inner().streams.values().filter(|stream| stream.is_live()).count()
    }

    /// Registers a running request, unless its id is in use; the receiver completes when it is cancelled.
    pub(crate) fn begin(&self, key: &str) -> Option<oneshot::Receiver<()>> {
        let mut inner = self.inner();
        if inner.running.contains_key(key) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        inner.running.insert(key.to_owned(), sender);
        Some(receiver)
    }

    /// The request is no longer running.
    pub(crate) fn end(&self, key: &str) {
        self.inner().running.remove(key);
    }

    /// Stops a running request; an unknown one is nothing.
    pub(crate) fn cancel(&self, key: &str) {
        if let Some(sender) = self.inner().running.remove(key) {
            let _ = sender.send(());
        }
    }

    /// An id for a request of the server, made of a fresh number, and where its reply will arrive.
    pub(crate) fn expect_reply(&self, name: impl FnOnce(u64) -> Value) -> (Value, oneshot::Receiver<Value>) {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner();
        // Questions of cancelled tools have nobody left who waits.
        inner.pending.retain(|_, waiting| !waiting.is_closed());
        inner.next_request += 1;
        let id = name(inner.next_request);
        inner.pending.insert(id_text(&id), sender);
        (id, receiver)
    }

    /// Nobody waits for this reply any more.
    pub(crate) fn forget_reply(&self, id: &Value) {
        self.inner().pending.remove(&id_text(id));
    }

    /// Hands a reply of the client to whoever waits for it; others are ignored.
    pub(crate) fn reply(&self, message: &Value) {
        let Some(id) = message.get("id") else { return };
        if let Some(sender) = self.inner().pending.remove(&id_text(id)) {
            let _ = sender.send(message.clone());
        }
    }

    /// The client has sent `notifications/initialized`.
    pub(crate) fn set_initialized(&self) {
        self.inner().initialized = true;
    }

    /// Whether the client has sent `notifications/initialized`.
    pub(crate) fn initialized(&self) -> bool {
        self.inner().initialized
    }

    /// The lowest log level the client wants, as an index.
    pub(crate) fn level(&self) -> usize {
        self.inner().level
    }

    /// Sets the lowest log level the client wants.
    pub(crate) fn set_level(&self, level: usize) {
        self.inner().level = level;
    }

    /// Adds or removes a subscription.
    pub(crate) fn subscribe(&self, uri: &str, on: bool) {
        let mut inner = self.inner();
        if on {
            inner.subscriptions.insert(uri.to_owned());
        } else {
            inner.subscriptions.remove(uri);
        }
    }

    /// Whether the client wants to hear of changes of the resource.
    pub(crate) fn subscribed(&self, uri: &str) -> bool {
        self.inner().subscriptions.contains(uri)
    }

    /// Remembers a text; says whether it is new.
    pub(crate) fn mark(&self, text: &str) -> bool {
        self.inner().marks.insert(text.to_owned())
    }

    /// Whether the session remembers this text.
    pub(crate) fn marked(&self, text: &str) -> bool {
        self.inner().marks.contains(text)
    }

    /// How many requests are running.
    pub(crate) fn running(&self) -> usize {
        self.inner().running.len()
    }

    fn idle_since(&self) -> Option<Duration> {
        let inner = self.inner();
        let busy = !inner.running.is_empty() || inner.streams.values().any(Stream::is_live);
        (!busy).then_some(inner.last_used)
    }
}

/// `stream.sequence`
fn parse_event_id(text: &str) -> Option<(u64, u64)> {
    let (stream, sequence) = text.split_once('.')?;
    Some((stream.parse().ok()?, sequence.parse().ok()?))
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Store {
    living: Mutex<HashMap<String, Arc<Session>>>,
    /// Ended sessions whose streams stay open; only a fault leaves any.
    lingering: Mutex<Vec<Arc<Session>>>,
}

impl Store {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session that is used now.
    pub(crate) fn insert(&self, session: Arc<Session>, now: Duration) {
        session.inner().last_used = now;
        let mut map = self.map();
        if map.len() >= MAX_SESSIONS
            && let Some(oldest) = map.values().min_by_key(|s| s.inner().last_used).map(|s| s.id.clone())
            && let Some(gone) = map.remove(&oldest)
        {
            gone.close();
        }
        map.insert(session.id.clone(), session);
    }

    /// The session, marked as used now.
    pub(crate) fn find(&self, id: &str, now: Duration) -> Option<Arc<Session>> {
        let session = self.map().get(id).cloned()?;
        session.inner().last_used = now;
        Some(session)
    }

    /// Ends a session; says whether it lived.
    pub(crate) fn remove(&self, id: &str, close: bool) -> bool {
        let gone = self.map().remove(id);
        gone.inspect(|session| {
            if close {
                session.close();
            } else {
                self.lingering.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(session));
            }
        })
        .is_some()
    }

    /// Ends the sessions that nobody has used for `idle`.
    pub(crate) fn sweep(&self, now: Duration, idle: Duration) {
        self.map().retain(|_, session| {
            let keep = session.idle_since().is_none_or(|since| now.saturating_sub(since) < idle);
            if !keep {
                session.close();
            }
            keep
        });
    }

    /// The session that was used last; only faults ask for that.
    pub(crate) fn latest(&self) -> Option<Arc<Session>> {
        self.map().values().max_by_key(|session| session.inner().last_used).cloned()
    }

    /// Every session.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.map().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn session() -> Session {
        Session::new("s".into(), Revision::V2025_11_25, json!({}))
    }

    #[test]
    fn resume_replays_only_later_events_of_that_stream() {
        let session = session();
        let (first, _reader) = session.open(false, true);
        let (second, _other) = session.open(false, true);
        session.emit(first, "a".into(), true);
        session.emit(second, "x".into(), true);
        session.emit(first, "b".into(), true);
        session.finish(first, true);
        let mut reader = session.resume("1.1", false, false).expect("known");
        let frame = Frame::Event { id: Some("1.2".into()), data: "b".into() };
        assert_eq!(reader.try_recv(), Ok(frame));
        assert!(reader.try_recv().is_err());
        assert!(session.resume("9.1", false, false).is_err());
        assert!(session.resume("1.7", false, false).is_err());
        assert!(session.resume("junk", false, false).is_err());
    }

    #[test]
    fn idle_sessions_end_and_used_ones_stay() {
        let store = Store::default();
        store.insert(Arc::new(session()), Duration::ZERO);
        store.sweep(Duration::from_secs(5), Duration::from_secs(10));
        assert!(store.find("s", Duration::from_secs(8)).is_some());
        store.sweep(Duration::from_secs(17), Duration::from_secs(10));
        assert!(store.find("s", Duration::from_secs(17)).is_some());
        store.sweep(Duration::from_secs(27), Duration::from_secs(10));
        assert!(store.find("s", Duration::from_secs(27)).is_none());
        assert!(!store.remove("s", true));
    }

    #[test]
    fn a_log_outlives_its_reader() {
        let session = session();
        let (stream, reader) = session.open(false, false);
        drop(reader);
        session.emit(stream, "late".into(), true);
        session.finish(stream, true);
        assert!(session.resume("1.0", false, false).expect("known").try_recv().is_ok());
    }
}
