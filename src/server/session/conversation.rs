//! One conversation at this node: its streams, and what of it the store has to know.
//!
//! It knows neither HTTP nor any method. What it writes goes through `journal`, in the order it was written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};

use super::journal::Journal;
use crate::model::Revision;
use crate::server::sse::Frame;
use crate::server::store::{Change, Entry, Facts, Kind, Position, Record, SessionStore, StoreError, Subscription};

/// How many streams ago a GET stream without a reader was opened that is still known as one.
const KEPT_GETS: u64 = 64;

/// What the reader of a stream holds.
pub(crate) type Reader = mpsc::UnboundedReceiver<Frame>;

/// A stream of which this node has something to say or a reader.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a stream, not a state")]
pub(super) struct Stream {
    is_get: bool,
    primes: bool,
    pub(super) live: Option<mpsc::UnboundedSender<Frame>>,
    /// Wakes the one who reads the log for the reader; without it what is written goes to the reader at once.
    pub(super) follower: Option<Arc<Notify>>,
    /// Nothing more is said on it.
    finished: bool,
    /// Its reader sees the end once all is written.
    closes: bool,
    /// How much was said on it here.
    said: u64,
}

impl Stream {
    pub(super) fn is_live(&self) -> bool {
        self.live.as_ref().is_some_and(|live| !live.is_closed())
    }

    /// Takes the reader away; who follows the log for it sees that.
    pub(super) fn leave(&mut self) -> Option<mpsc::UnboundedSender<Frame>> {
        if let Some(follower) = self.follower.take() {
            follower.notify_one();
        }
        self.live.take()
    }
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) streams: BTreeMap<u64, Stream>,
    next_stream: u64,
    pub(super) next_request: u64,
    pub(super) running: HashMap<String, oneshot::Sender<()>>,
    pub(super) pending: HashMap<String, oneshot::Sender<Value>>,
    pub(super) facts: Facts,
    pub(super) closed: bool,
    pub(super) last_used: Duration,
    connections: BTreeSet<u64>,
    pub(super) journal: Journal,
    pub(super) subscription: Option<Subscription>,
    /// The GET stream that another node said it reads.
    pub(super) read_elsewhere: Option<u64>,
}

/// Why a stream could not be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResumeError {
    /// The event is unknown, or what followed it is not kept any more.
    UnknownEvent,
    /// The store does not answer.
    Store(StoreError),
}

/// One conversation.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) revision: Revision,
    pub(crate) capabilities: Value,
    /// Whose it is, where the server asks for authorization.
    pub(crate) subject: Option<String>,
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) me: Weak<Session>,
    pub(super) written: Notify,
    pub(super) base: u64,
    inner: Mutex<Inner>,
}

impl Session {
    /// The conversation of a record. Its streams and questions are numbered from `base`, so that those of several nodes
    /// differ.
    pub(crate) fn of(record: Record, store: Arc<dyn SessionStore>, base: u64) -> Arc<Self> {
        let Record { id, revision, capabilities, subject, facts, .. } = record;
        let inner = Inner { facts, next_stream: base, next_request: base, ..Inner::default() };
        Arc::new_cyclic(|me| Self {
            id,
            revision,
            capabilities,
            subject,
            store,
            me: me.clone(),
            written: Notify::new(),
            base,
            inner: Mutex::new(inner),
        })
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a stream that answers a request, or one that answers none (GET); `priming` sends an event that can be
    /// resumed from before anything has happened.
    pub(crate) fn open(&self, is_get: bool, priming: bool) -> (u64, Reader) {
        self.open_for(is_get, priming, None)
    }

    /// The same, for the request with this id.
    pub(crate) fn open_for(&self, is_get: bool, priming: bool, request: Option<&Value>) -> (u64, Reader) {
        let (sender, reader) = mpsc::unbounded_channel();
        (self.open_onto(is_get, priming, request, sender), reader)
    }

    /// The same for a reader that is there already.
    pub(crate) fn open_onto(
        &self,
        is_get: bool,
        priming: bool,
        request: Option<&Value>,
        sender: mpsc::UnboundedSender<Frame>,
    ) -> u64 {
        let mut inner = self.inner();
        inner.next_stream += 1;
        let number = inner.next_stream;
        let newest = inner.facts.get;
        let needed = |old: u64, stream: &Stream| {
            stream.is_live()
                || Some(old) == newest
                || if stream.is_get { old + KEPT_GETS > number } else { !stream.finished }
        };
        inner.streams.retain(|old, stream| needed(*old, stream));
        let live = (!inner.closed).then_some(sender);
        let stream = Stream { is_get, primes: priming, live, follower: None, finished: false, closes: false, said: 0 };
        inner.streams.insert(number, stream);
        let node = self.store.node();
        let change = Change::Opened {
            stream: number,
            reader: is_get.then(|| node.to_owned()),
            node: node.to_owned(),
            request: request.map(Value::to_string),
        };
        self.write(&mut inner, change, true);
        number
    }

    /// Whether a GET stream has a reader at this node.
    pub(crate) fn has_get(&self) -> bool {
        self.inner().streams.values().any(|stream| stream.is_get && stream.is_live())
    }

    /// Ends the connection of the GET stream, if there is one here; what is said on it from now on waits for a resumption.
    pub(crate) fn leave_get(&self) {
        for stream in self.inner().streams.values_mut().filter(|stream| stream.is_get) {
            stream.leave();
        }
    }

    /// How much was said on a stream here.
    pub(crate) fn said_on(&self, number: u64) -> u64 {
        self.inner().streams.get(&number).map_or(0, |stream| stream.said)
    }

    /// Whether the session has ended.
    pub(crate) fn closed(&self) -> bool {
        self.inner().closed
    }

    /// Writes a message into the log of a stream and to its reader, if there is one; `unique` is off for the fault of
    /// giving two events the same id.
    pub(crate) fn emit(&self, number: u64, data: String, unique: bool) {
        let mut inner = self.inner();
        if let Some(stream) = inner.streams.get_mut(&number) {
            stream.said += 1;
        }
        if inner.streams.contains_key(&number) || inner.facts.get == Some(number) {
            self.write(&mut inner, Change::Event { stream: number, data }, unique);
        }
    }

    /// What follows from a change that the store has taken, at this place of the log.
    pub(super) fn took(&self, inner: &mut Inner, change: Change, place: Option<Position>, unique: bool) {
        match change {
            Change::Opened { stream: number, .. } => {
                let Some(stream) = inner.streams.get_mut(&number) else { return };
                if let (true, Some(live), Some(place)) = (stream.primes, &stream.live, place) {
                    // A reader that has gone already needs no event.
                    let _ = live.send(Frame::Event { id: Some(format!("{number}.{place}")), data: String::new() });
                }
                // Others may write to a GET stream too, so only the log knows the order.
                if let (true, Some(place), None) = (stream.is_get, place, self.store.at_once()) {
                    self.follow(number, stream, place);
                }
            }
            Change::Event { stream: number, data } => {
                let Some(stream) = inner.streams.get_mut(&number) else { return };
                let (Some(place), None) = (place, &stream.follower) else { return };
                let shown = if unique { place } else { Position(place.0, place.1.div_ceil(2)) };
                let frame = Frame::Event { id: Some(format!("{number}.{shown}")), data };
                if stream.live.as_ref().is_some_and(|live| live.send(frame).is_err()) {
                    stream.live = None;
                }
            }
            Change::Left { stream: number, retry_ms } => {
                let live = inner.streams.get_mut(&number).and_then(Stream::leave);
                if let (Some(live), Some(ms)) = (live, retry_ms) {
                    // A reader that has gone already needs no advice.
                    let _ = live.send(Frame::Retry(ms));
                }
            }
            Change::Finished(number) => {
                if let Some(stream) = inner.streams.get_mut(&number)
                    && stream.closes
                {
                    if stream.follower.is_none() {
                        stream.live = None;
                    }
                    if stream.live.is_none() {
                        inner.streams.remove(&number);
                    }
                }
            }
            _ => {}
        }
    }

    /// The newest GET stream; messages that belong to no request go there, also while it has no reader.
    pub(crate) fn get_stream(&self) -> Option<u64> {
        let inner = self.inner();
        if inner.closed {
            return None;
        }
        let live = inner.streams.iter().rev().find(|(_, stream)| stream.is_get && stream.is_live());
        live.map(|(number, _)| *number).or(inner.facts.get)
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

    /// A request of this session came on a connection; only a fault wants to know.
    pub(crate) fn came_on(&self, connection: u64) {
        self.inner().connections.insert(connection);
    }

    /// The numbers of all streams that have a reader here.
    pub(crate) fn stream_numbers(&self) -> Vec<u64> {
        self.inner().streams.iter().filter(|(_, stream)| stream.is_live()).map(|(number, _)| *number).collect()
    }

    /// The stream has said all; its reader sees the end.
    pub(crate) fn finish(&self, number: u64, close: bool) {
        let mut inner = self.inner();
        if inner.closed {
            // Either nobody may go on with it, or another node is to see that it was broken off.
            return;
        }
        if let Some(stream) = inner.streams.get_mut(&number) {
            stream.finished = true;
            stream.closes = close;
            self.write(&mut inner, Change::Finished(number), true);
        }
    }

    /// Ends the connection of the stream of a call that goes on, telling the reader when to come back. A stream on which
    /// more than the one call is answered stays.
    pub(crate) fn close_early(&self, number: u64, retry_ms: Option<u64>) {
        let mut inner = self.inner();
        if inner.streams.get(&number).is_none_or(|stream| !stream.is_get) {
            self.write(&mut inner, Change::Left { stream: number, retry_ms }, true);
        }
    }

    /// Replays what a stream said after an event and goes on with it; `all_streams` commits the fault of
    /// replaying the others as well.
    pub(crate) async fn resume(
        &self,
        last_event: &str,
        from_start: bool,
        all_streams: bool,
    ) -> Result<Reader, ResumeError> {
        let (number, after) = parse_event_id(last_event).ok_or(ResumeError::UnknownEvent)?;
        if self.store.at_once().is_none() {
            return self.resume_from_log(number, after).await;
        }
        let mut inner = self.inner();
        let read = |stream, after| self.store.at_once().and_then(|memory| memory.read_now(&self.id, stream, after));
        let own = read(Some(number), Some(after)).ok_or(ResumeError::UnknownEvent)?;
        let finished = own.iter().any(|entry| entry.kind == Kind::Finished);
        let own = if from_start { read(Some(number), None).unwrap_or_default() } else { own };
        let mut entries = if all_streams { read(None, None).unwrap_or_default() } else { Vec::new() };
        entries.retain(|entry| entry.stream != number);
        entries.extend(own);
        entries.sort_by_key(|entry| (entry.stream, entry.position));
        let (sender, reader) = mpsc::unbounded_channel();
        for frame in entries.iter().filter_map(frame) {
            // The reader is at hand, so this cannot fail.
            let _ = sender.send(frame);
        }
        if !finished && !inner.closed {
            inner.attach(number, sender);
        }
        Ok(reader)
    }

    /// Breaks the connections of all streams; the work behind them goes on.
    pub(crate) fn abort_streams(&self) {
        for stream in self.inner().streams.values_mut() {
            if let Some(live) = stream.leave() {
                let _ = live.send(Frame::Abort);
            }
        }
    }

    /// Ends every stream and everything that runs here.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        inner.pending.clear();
        for (_, running) in inner.running.drain() {
            // What has ended in this moment needs no cancelling.
            let _ = running.send(());
        }
        for stream in inner.streams.values_mut() {
            stream.leave();
            stream.finished = true;
        }
    }

    /// How many streams have a reader here.
    pub(crate) fn live_streams(&self) -> usize {
        self.inner().streams.values().filter(|stream| stream.is_live()).count()
    }

    /// Since when nothing goes on here; `None` while something does.
    pub(super) fn idle_since(&self) -> Option<Duration> {
        let inner = self.inner();
        let busy = !inner.running.is_empty() || inner.streams.values().any(Stream::is_live);
        (!busy).then_some(inner.last_used)
    }
}

impl Inner {
    /// Gives a stream a reader, also one that began elsewhere.
    pub(super) fn attach(&mut self, number: u64, sender: mpsc::UnboundedSender<Frame>) -> &mut Stream {
        let is_get = self.facts.get == Some(number);
        let stream = self.streams.entry(number).or_insert_with(|| Stream {
            is_get,
            primes: false,
            live: None,
            follower: None,
            finished: false,
            closes: false,
            said: 0,
        });
        stream.leave();
        stream.live = Some(sender);
        stream
    }
}

/// An entry as the reader gets it.
pub(super) fn frame(entry: &Entry) -> Option<Frame> {
    let Kind::Event(data) = &entry.kind else { return None };
    Some(Frame::Event { id: Some(format!("{}.{}", entry.stream, entry.position)), data: data.clone() })
}

/// `stream.place`
fn parse_event_id(text: &str) -> Option<(u64, Position)> {
    let (stream, place) = text.split_once('.')?;
    Some((stream.parse().ok()?, place.parse().ok()?))
}
