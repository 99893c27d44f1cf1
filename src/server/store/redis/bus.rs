//! What nodes tell each other of a session, over publish and subscribe: a nudge, never the only copy of anything that
//! has to last.
//!
//! One connection of its own. When it was lost, everybody is told that something may have been missed. Nobody waits for the
//! subscription of another, so that a Redis that is far away serves as many as a near one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::Client;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::sync::{Mutex, MutexGuard, Notify, mpsc};

use super::codec::{channel, heard, id_of};
use crate::server::store::{Heard, Notice, StoreError, Subscription};

/// How long the connection and each subscription may take.
const WITHIN: Duration = Duration::from_secs(2);
/// The pause before a lost connection is opened again.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a quiet connection is tried.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How many channels are subscribed to in one go.
const AT_ONCE: usize = 500;

/// How often channels are left that nobody hears any more.
const LEFT_EVERY: Duration = Duration::from_secs(1);

/// Those who hear of one session, each with a number.
#[derive(Default)]
struct Ears {
    all: Vec<(u64, Heard)>,
    /// Whether the connection of now is subscribed to it.
    stands: bool,
}

/// The one connection for all sessions of a node.
pub(super) struct Bus {
    node: String,
    ears: std::sync::Mutex<HashMap<String, Ears>>,
    next: AtomicU64,
    /// Present while the connection stands. Held while it is made and while channels are left, so that nobody subscribes on
    /// the side.
    sink: Mutex<Option<PubSubSink>>,
    /// Tells when it stands.
    stands: Notify,
    left: mpsc::UnboundedSender<(String, u64)>,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bus")
    }
}

impl Bus {
    /// Begins; the task ends when it is aborted.
    pub(super) fn begin(client: Client, node: String) -> (Arc<Self>, tokio::task::AbortHandle) {
        let (left, leaving) = mpsc::unbounded_channel();
        let (ears, next) = (std::sync::Mutex::default(), AtomicU64::new(0));
        let (sink, stands) = (Mutex::default(), Notify::new());
        let bus = Arc::new(Self { node, ears, next, sink, stands, left });
        let task = tokio::spawn(Arc::clone(&bus).run(client, leaving)).abort_handle();
        (bus, task)
    }

    fn ears(&self) -> std::sync::MutexGuard<'_, HashMap<String, Ears>> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears of a session from now on.
    pub(super) async fn subscribe(self: &Arc<Self>, id: &str, heard: Heard) -> Result<Subscription, StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (mut sink, stands) = {
            let held = tokio::time::timeout(WITHIN, self.connected()).await.map_err(|_| StoreError::Away)?;
            let sink = held.clone().ok_or(StoreError::Away)?;
            let mut ears = self.ears();
            let known = ears.entry(id.to_owned()).or_default();
            known.all.push((number, heard));
            (sink, known.stands)
        };
        let (left, gone) = (self.left.clone(), id.to_owned());
        // The task may have ended with the node; then nothing has to be undone.
        let subscription = Subscription::ended_by(move || drop(left.send((gone, number))));
        if !stands {
            let asked = tokio::time::timeout(WITHIN, sink.subscribe(channel(id))).await;
            asked.map_err(|_| StoreError::Away)?.map_err(|_| StoreError::Away)?;
            if let Some(known) = self.ears().get_mut(id) {
                known.stands = true;
            }
        }
        Ok(subscription)
    }

    /// The connection, once it stands.
    async fn connected(&self) -> MutexGuard<'_, Option<PubSubSink>> {
        loop {
            let stands = self.stands.notified();
            let sink = self.sink.lock().await;
            if sink.is_some() {
                return sink;
            }
            drop(sink);
            stands.await;
        }
    }

    async fn run(self: Arc<Self>, client: Client, mut leaving: mpsc::UnboundedReceiver<(String, u64)>) {
        let mut first = true;
        loop {
            if let Some(stream) = self.connect(&client).await {
                if !first {
                    self.tell_all();
                }
                first = false;
                self.listen(stream, &mut leaving).await;
                *self.sink.lock().await = None;
                self.ears().values_mut().for_each(|known| known.stands = false);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Opens the connection with all subscriptions.
    async fn connect(&self, client: &Client) -> Option<PubSubStream> {
        let opened = tokio::time::timeout(WITHIN, client.get_async_pubsub()).await.ok()?.ok()?;
        let (mut sink, stream) = opened.split();
        // Held to the end, so that nobody subscribes on the side.
        let mut place = self.sink.lock().await;
        let ids: Vec<String> = self.ears().keys().cloned().collect();
        for some in ids.chunks(AT_ONCE) {
            let channels: Vec<String> = some.iter().map(|id| channel(id)).collect();
            tokio::time::timeout(WITHIN, sink.subscribe(channels)).await.ok()?.ok()?;
        }
        for id in &ids {
            if let Some(known) = self.ears().get_mut(id) {
                known.stands = true;
            }
        }
        *place = Some(sink);
        self.stands.notify_waiters();
        Some(stream)
    }

    /// Passes on what comes until the connection is lost.
    async fn listen(&self, mut stream: PubSubStream, leaving: &mut mpsc::UnboundedReceiver<(String, u64)>) {
        let mut silent = Vec::new();
        let mut every = tokio::time::interval(LEFT_EVERY);
        loop {
            tokio::select! {
                message = stream.next() => {
                    let Some(message) = message else { return };
                    let text = message.get_payload::<String>().unwrap_or_default();
                    if let Some(id) = id_of(message.get_channel_name()) {
                        self.pass_on(id, &text);
                    }
                }
                Some((id, number)) = leaving.recv() => silent.extend(self.leave(id, number)),
                _ = every.tick(), if !silent.is_empty() => {
                    if !self.unsubscribe(std::mem::take(&mut silent)).await {
                        return;
                    }
                }
                () = tokio::time::sleep(PING_EVERY) => {
                    let Some(mut sink) = self.sink.lock().await.clone() else { return };
                    if !matches!(tokio::time::timeout(WITHIN, sink.ping::<redis::Value>()).await, Ok(Ok(_))) {
                        return;
                    }
                }
            }
        }
    }

    fn pass_on(&self, id: &str, text: &str) {
        let Some((node, notice)) = heard(text) else { return };
        // What this node told the others it knows itself, except that there is news, which its readers wait for.
        if node == self.node && !matches!(notice, Notice::News(_)) {
            return;
        }
        let ears = self.ears().get(id).map(|known| known.all.clone()).unwrap_or_default();
        for (_, ear) in ears {
            ear(notice.clone());
        }
    }

    /// Somebody has left; gives the session where nobody hears of it any more.
    fn leave(&self, id: String, number: u64) -> Option<String> {
        let mut ears = self.ears();
        let known = ears.get_mut(&id)?;
        known.all.retain(|(other, _)| *other != number);
        known.all.is_empty().then(|| {
            ears.remove(&id);
            id
        })
    }

    /// Leaves the channels of sessions that still nobody hears of; says whether the connection stands.
    async fn unsubscribe(&self, ids: Vec<String>) -> bool {
        let mut held = self.sink.lock().await;
        let Some(sink) = held.as_mut() else { return false };
        let silent: Vec<String> = {
            let ears = self.ears();
            ids.iter().filter(|id| !ears.contains_key(*id)).map(|id| channel(id)).collect()
        };
        silent.is_empty() || matches!(tokio::time::timeout(WITHIN, sink.unsubscribe(silent)).await, Ok(Ok(())))
    }

    fn tell_all(&self) {
        let ears: Vec<Heard> =
            self.ears().values().flat_map(|known| &known.all).map(|(_, ear)| Arc::clone(ear)).collect();
        for ear in ears {
            ear(Notice::Missed);
        }
    }
}
