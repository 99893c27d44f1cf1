//! Readers that are served from the log: of streams that other nodes write to, and of streams that were resumed.
//!
//! The log is the truth and a notice only a nudge, so nothing is told twice and nothing is left out.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::conversation::{Inner, Reader, ResumeError, Session, Stream, frame};
use crate::server::reply::code;
use crate::server::sse::Frame;
use crate::server::store::{Change, Entry, Kind, Position, StoreError};

/// The pause before a store that is away is asked again.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the reader's side of a call looks whether the node that runs it still lives.
const LOOK: Duration = Duration::from_secs(1);

impl Inner {
    /// The streams are broken off, and what is still said on them is lost.
    pub(super) fn break_streams(&mut self) {
        for stream in self.streams.values_mut() {
            if let Some(live) = stream.leave() {
                // A reader that has gone already has nothing to break.
                let _ = live.send(Frame::Abort);
            }
        }
        self.streams.clear();
    }
}

/// The node and the request of a call that runs elsewhere.
#[derive(Debug, Clone)]
struct Elsewhere {
    node: String,
    request: Option<String>,
}

impl Session {
    /// Serves the reader of a stream from the log from now on.
    pub(super) fn follow(&self, number: u64, stream: &mut Stream, after: Position) {
        self.follow_from(number, stream, after, None);
    }

    fn follow_from(&self, number: u64, stream: &mut Stream, after: Position, elsewhere: Option<Elsewhere>) {
        let (Some(session), Some(live)) = (self.me.upgrade(), stream.live.clone()) else { return };
        let nudge = Arc::new(Notify::new());
        stream.follower = Some(Arc::clone(&nudge));
        tokio::spawn(Follower { session, number, nudge, live, after, elsewhere }.run());
    }

    /// Goes on with a stream after a place of the log.
    pub(super) async fn resume_from_log(&self, number: u64, after: Position) -> Result<Reader, ResumeError> {
        self.listens().await.map_err(ResumeError::Store)?;
        let read = |after| self.store.read(&self.id, Some(number), after);
        read(Some(after)).await.map_err(ResumeError::Store)?.ok_or(ResumeError::UnknownEvent)?;
        let whole = read(None).await.map_err(ResumeError::Store)?.unwrap_or_default();
        let elsewhere = whole.into_iter().find_map(|entry| match entry.kind {
            Kind::Opened { node, request: Some(request) } if node != self.store.node() => {
                Some(Elsewhere { node, request: Some(request) })
            }
            _ => None,
        });
        let (sender, reader) = mpsc::unbounded_channel();
        let mut inner = self.inner();
        if !inner.closed {
            let stream = inner.attach(number, sender);
            self.follow_from(number, stream, after, elsewhere);
        }
        Ok(reader)
    }
}

/// One reader that is served from the log.
struct Follower {
    session: Arc<Session>,
    number: u64,
    nudge: Arc<Notify>,
    live: mpsc::UnboundedSender<Frame>,
    after: Position,
    elsewhere: Option<Elsewhere>,
}

impl Follower {
    async fn run(mut self) {
        while self.is_wanted() {
            match self.session.store.read(&self.session.id, Some(self.number), Some(self.after)).await {
                Ok(Some(entries)) => {
                    if self.hand_over(entries) {
                        break;
                    }
                }
                // More was written than is kept: the reader has to know that something is missing.
                Ok(None) => {
                    let _ = self.live.send(Frame::Abort);
                    break;
                }
                Err(StoreError::Gone) => break,
                Err(StoreError::Away) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
            tokio::select! {
                () = self.nudge.notified() => {}
                () = self.live.closed() => break,
                () = tokio::time::sleep(LOOK), if self.elsewhere.is_some() => self.look_after_node().await,
            }
        }
        self.leave();
    }

    /// Whether this is still the one who serves the stream.
    fn is_wanted(&self) -> bool {
        let inner = self.session.inner();
        let follower = inner.streams.get(&self.number).and_then(|stream| stream.follower.as_ref());
        !self.live.is_closed() && follower.is_some_and(|nudge| Arc::ptr_eq(nudge, &self.nudge))
    }

    /// Gives entries to the reader, unless somebody else does by now; says whether that was all.
    fn hand_over(&mut self, entries: Vec<Entry>) -> bool {
        if !self.is_wanted() {
            return true;
        }
        for entry in entries {
            self.after = entry.position;
            if entry.kind == Kind::Finished {
                return true;
            }
            if let Some(frame) = frame(&entry)
                && self.live.send(frame).is_err()
            {
                return true;
            }
        }
        false
    }

    /// Tells the client that its call will not be answered, where the node that ran it is gone.
    async fn look_after_node(&mut self) {
        let Some(elsewhere) = self.elsewhere.clone() else { return };
        let session = &self.session;
        let gone = matches!(session.store.node_lives(&elsewhere.node).await, Ok(false));
        if !gone || !matches!(session.store.claim(&session.id, self.number).await, Ok(true)) {
            return;
        }
        self.elsewhere = None;
        let id = elsewhere.request.and_then(|id| serde_json::from_str(&id).ok()).unwrap_or(Value::Null);
        let error = json!({"code": code::INTERNAL, "message": "The server that ran this call is gone; nobody knows how \
            far it came"});
        let data = json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string();
        let mut inner = session.inner();
        session.write(&mut inner, Change::Event { stream: self.number, data }, true);
        session.write(&mut inner, Change::Finished(self.number), true);
    }

    /// The reader is gone, or has all.
    fn leave(&self) {
        let mut inner = self.session.inner();
        let Some(stream) = inner.streams.get_mut(&self.number) else { return };
        if stream.follower.as_ref().is_none_or(|nudge| !Arc::ptr_eq(nudge, &self.nudge)) {
            return;
        }
        stream.leave();
        let mine =
            inner.facts.get == Some(self.number) && inner.facts.reader.as_deref() == Some(self.session.store.node());
        if mine && !inner.closed {
            self.session.write(&mut inner, Change::ReaderGone, true);
        }
    }
}
