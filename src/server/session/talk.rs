//! What runs in a session, what it asks its client, and what its client has said of itself; also where another node is
//! the one to know.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::conversation::Session;
use crate::model::{Members as _, id_text};
use crate::server::store::{Change, Facts, Notice, StoreError, Use};

/// How long another node gets to say that it reads the GET stream of a session.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);
/// The most tokens of one session whose marks are kept.
const MOST_TOKENS: usize = 32;
/// The pause between two looks for such an answer.
const PAUSE: Duration = Duration::from_millis(5);

impl Session {
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

    /// Whether a request under this key is running.
    pub(crate) fn is_running(&self, key: &str) -> bool {
        self.inner().running.contains_key(key)
    }

    /// The request is no longer running.
    pub(crate) fn end(&self, key: &str) {
        self.inner().running.remove(key);
    }

    /// Stops a running request; an unknown one is nothing.
    pub(crate) fn cancel(&self, key: &str) {
        if !self.cancel_here(key) {
            self.tell(Notice::Cancelled(key.to_owned()));
        }
    }

    fn cancel_here(&self, key: &str) -> bool {
        let running = self.inner().running.remove(key);
        // What has ended in this moment needs no cancelling.
        running.map(|running| running.send(())).is_some()
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
        if !self.reply_here(message) {
            self.tell(Notice::Reply(message.to_string()));
        }
    }

    fn reply_here(&self, message: &Value) -> bool {
        let Some(id) = message.member("id") else { return true };
        let waiting = self.inner().pending.remove(&id_text(id));
        waiting.map(|sender| sender.send(message.clone())).is_some()
    }

    /// The client has sent `notifications/initialized`.
    pub(crate) fn set_initialized(&self) {
        self.change(Change::Initialized);
    }

    /// Whether the client has sent `notifications/initialized`.
    pub(crate) fn initialized(&self) -> bool {
        self.inner().facts.initialized
    }

    /// The lowest log level the client wants, as an index.
    pub(crate) fn level(&self) -> usize {
        self.inner().facts.level
    }

    /// Sets the lowest log level the client wants.
    pub(crate) fn set_level(&self, level: usize) {
        self.change(Change::Level(level));
    }

    /// Adds or removes a subscription.
    pub(crate) fn subscribe(&self, uri: &str, on: bool) {
        self.change(if on { Change::Subscribed(uri.to_owned()) } else { Change::Unsubscribed(uri.to_owned()) });
    }

    /// Whether the client wants to hear of changes of the resource.
    pub(crate) fn subscribed(&self, uri: &str) -> bool {
        self.inner().facts.subscriptions.contains(uri)
    }

    /// Remembers a text; says whether it is new.
    pub(crate) fn mark(&self, text: &str) -> bool {
        let new = !self.marked(text);
        if new {
            self.change(Change::Marked(text.to_owned()));
        }
        new
    }

    /// Whether the session remembers this text.
    pub(crate) fn marked(&self, text: &str) -> bool {
        self.inner().facts.marks.contains(text)
    }

    /// How many requests are running here.
    pub(crate) fn running(&self) -> usize {
        self.inner().running.len()
    }

    /// The session was used with a token, of which only this mark is kept.
    pub(crate) fn came_with(&self, mark: String, until: Duration) {
        let mut inner = self.inner();
        if !inner.facts.tokens.contains(&mark) {
            if inner.facts.tokens.len() >= MOST_TOKENS {
                let marks = inner.facts.tokens.iter().cloned().collect();
                self.write(&mut inner, Change::TokensForgotten(marks), true);
            }
            self.write(&mut inner, Change::Token { mark, until }, true);
        }
    }

    fn change(&self, change: Change) {
        let mut inner = self.inner();
        self.write(&mut inner, change, true);
        if self.store.at_once().is_none() {
            self.write(&mut inner, Change::Told(Notice::Changed), true);
        }
    }

    fn tell(&self, notice: Notice) {
        if self.store.at_once().is_none() {
            let mut inner = self.inner();
            self.write(&mut inner, Change::Told(notice), true);
        }
    }

    /// Hears from now on what other nodes tell of this session.
    pub(crate) async fn listens(&self) -> Result<(), StoreError> {
        if self.store.at_once().is_some() || self.inner().subscription.is_some() {
            return Ok(());
        }
        let me = self.me.clone();
        let subscription = self.store.subscribe(&self.id, Arc::new(move |notice| heard(&me, notice))).await?;
        // The one before, if there came one meanwhile, ends outside of the lock.
        let _before = std::mem::replace(&mut self.inner().subscription, subscription);
        Ok(())
    }

    /// Whether the GET stream has a reader at another node; asks around where that may be.
    pub(crate) async fn is_read_elsewhere(&self) -> Result<bool, StoreError> {
        let stream = {
            let mut inner = self.inner();
            inner.read_elsewhere = None;
            let elsewhere = inner.facts.reader.as_deref().is_some_and(|node| node != self.store.node());
            match inner.facts.get.filter(|_| elsewhere) {
                Some(stream) => stream,
                None => return Ok(false),
            }
        };
        self.tell(Notice::WhoReads(stream));
        self.settled().await?;
        let answered = async {
            while self.inner().read_elsewhere != Some(stream) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        Ok(tokio::time::timeout(ANSWERS_WITHIN, answered).await.is_ok())
    }

    /// Lets the reader of the GET stream go, wherever it is; what is said there from now on waits for a resumption.
    pub(crate) fn take_over_get(&self) {
        self.leave_get();
        let elsewhere = {
            let inner = self.inner();
            let facts = &inner.facts;
            facts.get.filter(|_| facts.reader.as_deref().is_some_and(|node| node != self.store.node()))
        };
        if let Some(stream) = elsewhere {
            self.tell(Notice::Leave(stream));
        }
    }

    /// The facts as the store has them, unless this node changed something meanwhile.
    pub(super) fn refresh(&self, facts: Facts, at_rest: Option<u64>) {
        let mut inner = self.inner();
        if at_rest.is_some() && inner.journal.at_rest() == at_rest {
            inner.facts = facts;
        }
    }

    /// Looks the facts up, because another node has changed them.
    async fn look_up(self: Arc<Self>) {
        let at_rest = self.inner().journal.at_rest();
        let used = Use { now: Duration::ZERO, busy: true };
        if let Ok(Some(record)) = self.store.load(&self.id, used).await {
            self.refresh(record.facts, at_rest);
        }
    }
}

/// Does what another node, or this one, has told.
fn heard(session: &Weak<Session>, notice: Notice) {
    let Some(session) = session.upgrade() else { return };
    match notice {
        Notice::News(number) => {
            if let Some(follower) = session.inner().streams.get(&number).and_then(|stream| stream.follower.as_ref()) {
                follower.notify_one();
            }
        }
        Notice::Changed => {
            tokio::spawn(session.look_up());
        }
        Notice::Missed => {
            let inner = session.inner();
            inner.streams.values().filter_map(|stream| stream.follower.as_ref()).for_each(|it| it.notify_one());
            drop(inner);
            tokio::spawn(session.look_up());
        }
        Notice::Cancelled(key) => {
            session.cancel_here(&key);
        }
        Notice::Reply(message) => {
            if let Ok(message) = serde_json::from_str(&message) {
                session.reply_here(&message);
            }
        }
        Notice::Ended => session.close(),
        Notice::WhoReads(number) => {
            let reads = session.inner().streams.get(&number).is_some_and(super::conversation::Stream::is_live);
            if reads {
                session.tell(Notice::IRead(number));
            }
        }
        Notice::Leave(number) => {
            if let Some(stream) = session.inner().streams.get_mut(&number) {
                stream.leave();
            }
        }
        Notice::IRead(number) => {
            let mut inner = session.inner();
            let here = inner.streams.get(&number).is_some_and(super::conversation::Stream::is_live);
            if !here {
                inner.read_elsewhere = Some(number);
            }
        }
    }
}
