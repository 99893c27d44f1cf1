//! One conversation that has a single way for all its messages: a text comes in and is acted on, and whatever the server
//! says goes out on one stream, in its order.
//!
//! It must not know what carries the texts; a session without a carrier waits for the next one here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, OwnedMutexGuard, mpsc, oneshot};

use crate::model::{Clock as _, Kind, Members as _, Message, Revision, Via};
use crate::server::bearer::Caller;
use crate::server::config::Eras;
use crate::server::dispatch::App;
use crate::server::fault::Rule;
use crate::server::lifecycle::Opening;
use crate::server::message::{Said, Unusable, batch, handshake, is_modern, missing_scope, not_modern, read, run_on};
use crate::server::modern::{Lane, is_modern_message, unopened};
use crate::server::reply::{RpcError, code, error_message, response};
use crate::server::session::{Reader, Session};
use crate::server::sse::Frame;

/// How many requests of one channel may run at once.
const MAX_RUNNING: usize = 256;
/// How many events may wait for a client that does not read before it is not heard any more.
const MAX_BACKLOG: u64 = 1000;
/// How long a carrier gets to make room for the next one.
const HANDOVER: Duration = Duration::from_secs(1);

/// How far the conversation is.
#[derive(Debug)]
enum State {
    /// Nobody has sent `initialize`; empty while it is being answered, and where the channel was ended first.
    Opening(Option<mpsc::UnboundedSender<Frame>>),
    /// There is a session, and a stream of it for everything.
    Open { session: Arc<Session>, stream: u64 },
}

/// A text that was not acted on.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What to tell the client.
    pub(crate) answer: Value,
    /// The scope that was missing, where it was that.
    pub(crate) scope: Option<&'static str>,
}

/// The right to carry a channel, until another carrier takes over.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Completes when another carrier wants the place.
    pub(crate) wanted: oneshot::Receiver<()>,
    _held: OwnedMutexGuard<()>,
}

/// A conversation and the one way of its messages.
#[derive(Debug)]
pub(crate) struct Channel {
    /// The id of its session, also before there is one.
    pub(crate) id: String,
    pub(crate) via: Via,
    /// Whose it is, where the server asks for authorization.
    pub(crate) subject: Option<String>,
    state: Mutex<State>,
    /// The last event that was handed to the carrier.
    delivered: Mutex<Option<String>>,
    /// How many events were.
    taken: AtomicU64,
    progress: Notify,
    /// What was said, and what of it was handed to the carrier, outside of a session.
    said: AtomicU64,
    heard: AtomicU64,
    /// The era without sessions on this channel.
    pub(crate) lane: Lane,
    me: Weak<Channel>,
    seat: Arc<tokio::sync::Mutex<()>>,
    leave: Mutex<Option<oneshot::Sender<()>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Channel {
    /// A channel without a session, and what its first carrier has to carry.
    pub(crate) fn new(id: String, via: Via, subject: Option<String>) -> (Arc<Self>, Reader) {
        let (sender, reader) = mpsc::unbounded_channel();
        let channel = Arc::new_cyclic(|me| Self {
            id,
            via,
            subject,
            state: Mutex::new(State::Opening(Some(sender))),
            delivered: Mutex::default(),
            taken: AtomicU64::new(0),
            progress: Notify::new(),
            said: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            lane: Lane::default(),
            me: me.clone(),
            seat: Arc::default(),
            leave: Mutex::new(None),
        });
        (channel, reader)
    }

    fn open(&self) -> Option<(Arc<Session>, u64)> {
        match &*locked(&self.state) {
            State::Open { session, stream } => Some((Arc::clone(session), *stream)),
            State::Opening(_) => None,
        }
    }

    /// The session, once there is one.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.open().map(|(session, _)| session)
    }

    /// Whether the session has been and is ended.
    pub(crate) fn over(&self) -> bool {
        self.session().is_some_and(|session| session.closed())
    }

    /// Sends something before everything else.
    pub(crate) fn begin_with(&self, frame: Frame) {
        if let State::Opening(Some(sender)) = &*locked(&self.state) {
            if matches!(frame, Frame::Event { .. }) {
                self.said.fetch_add(1, Ordering::SeqCst);
            }
            // Without a reader there is nobody to begin with.
            let _ = sender.send(frame);
        }
    }

    /// Says something to the client that answers a request of `method`, or nothing.
    pub(crate) fn tell(&self, app: &App, message: Value, method: Option<&str>) {
        if let Some((session, stream)) = self.open() {
            app.send(&session, stream, message, method);
        } else {
            let data = app.outgoing(method, message).to_string();
            self.begin_with(Frame::Event { id: None, data });
        }
    }

    /// Acts on a text; what it asks for is answered on the channel. `caller` is who sends it.
    pub(crate) async fn take(&self, app: &Arc<App>, text: &[u8], caller: Option<&Caller>) -> Result<(), Refused> {
        let said = read(app, text).map_err(|unusable| self.refused(&unusable))?;
        if let Said::One(kind, value) = &said
            && self.take_modern(app, *kind, value, caller)?
        {
            return Ok(());
        }
        let Some((session, stream)) = self.open() else { return self.take_first(app, said, caller).await };
        if !matches!(app.sessions.find(&self.id, app.clock.unix()).await, Ok(Some(_))) {
            // It has ended in this moment, and so has its stream.
            return Ok(());
        }
        let busy = session.running() >= MAX_RUNNING;
        match said {
            Said::Batch(_) if !app.faults.holds(Rule::BatchLinesTaken) && self.via == Via::Stdio => {
                Err(self.refusal(None, "Batches are not taken"))
            }
            Said::Batch(_) if busy => Err(self.refusal(None, "Too many requests are running")),
            Said::Batch(members) => {
                let answers =
                    batch(app, &session, Some(stream), members).map_err(|unusable| self.refused(&unusable))?;
                tokio::spawn(async move {
                    let answers = answers.await;
                    if !answers.is_empty() {
                        session.emit(stream, Value::from(answers).to_string(), true);
                    }
                });
                Ok(())
            }
            Said::One(Kind::Request, value) => {
                if let Some(scope) = missing_scope(app, &value, caller) {
                    let why = format!("insufficient_scope: this call needs {scope}");
                    return Err(Refused { scope: Some(scope), ..self.refusal(value.member("id"), &why) });
                }
                if busy {
                    return Err(self.refusal(value.member("id"), "Too many requests are running"));
                }
                let work = run_on(app, &session, stream, value);
                tokio::spawn(work);
                Ok(())
            }
            Said::One(Kind::Notification, value) => {
                app.notified(&session, &value);
                Ok(())
            }
            Said::One(_, value) => {
                session.reply(&value);
                Ok(())
            }
        }
    }

    /// Whether the era without sessions is spoken here.
    fn speaks_modern(&self, app: &App) -> bool {
        app.config.eras != Eras::Legacy && self.via != Via::LegacySse
    }

    /// Acts on a message of the era without sessions; says whether it was one.
    fn take_modern(&self, app: &Arc<App>, kind: Kind, value: &Value, caller: Option<&Caller>) -> Result<bool, Refused> {
        let Some(me) = self.me.upgrade().filter(|_| self.speaks_modern(app)) else { return Ok(false) };
        if kind == Kind::Notification && Message(value).method() == Some("notifications/cancelled") {
            if let Some(id) = value.member("params").and_then(|params| params.member("requestId"))
                && app.faults.holds(Rule::CancelHonoured)
            {
                self.lane.cancel(app, id);
            }
            return Ok(false);
        }
        if kind != Kind::Request || !is_modern_message(value, self.open().is_some()) {
            return Ok(false);
        }
        if let Some(scope) = missing_scope(app, value, caller) {
            let why = format!("insufficient_scope: this call needs {scope}");
            return Err(Refused { scope: Some(scope), ..self.refusal(value.member("id"), &why) });
        }
        if self.running() >= MAX_RUNNING {
            return Err(self.refusal(value.member("id"), "Too many requests are running"));
        }
        self.lane.take(app, &me, value, caller);
        Ok(true)
    }

    /// How many requests run, of either era.
    fn running(&self) -> usize {
        self.session().map_or(0, |session| session.running()) + self.lane.count()
    }

    /// How many requests run that will end by themselves.
    pub(crate) fn working(&self) -> usize {
        self.session().map_or(0, |session| session.running()) + self.lane.working()
    }

    /// The same while there is no session: only the handshake makes one, and only `ping` is served beside it.
    async fn take_first(&self, app: &Arc<App>, said: Said, caller: Option<&Caller>) -> Result<(), Refused> {
        let value = match said {
            Said::One(Kind::Request, value) => value,
            // Nobody is there whom it could be about.
            Said::One(..) => return Ok(()),
            Said::Batch(_) => return Err(self.refusal(None, "Begin with initialize")),
        };
        let id = value.member("id").unwrap_or(&Value::Null);
        if let Some(error) = unopened(app, &value).filter(|_| self.speaks_modern(app)) {
            self.tell(app, error_message(Some(id), &error), Message(&value).method());
            return Ok(());
        }
        match Message(&value).method() {
            _ if !self.speaks_modern(app) && is_modern(None, &value) => {
                self.tell(app, error_message(Some(id), &not_modern()), None);
            }
            Some("initialize") => {
                let Some(sender) = self.take_sender() else {
                    return Err(self.refusal(Some(id), "This session is initialized already"));
                };
                self.initialize(app, &value, caller, sender).await;
            }
            Some("ping") => self.tell(app, response(id, Ok(json!({}))), Some("ping")),
            method => {
                let error = RpcError::new(code::INVALID_REQUEST, "Begin with initialize");
                self.tell(app, error_message(Some(id), &error), method);
            }
        }
        Ok(())
    }

    /// What leads to the carrier, for whoever opens the session; only the first gets it.
    fn take_sender(&self) -> Option<mpsc::UnboundedSender<Frame>> {
        match &mut *locked(&self.state) {
            State::Opening(sender) => sender.take(),
            State::Open { .. } => None,
        }
    }

    async fn initialize(
        &self,
        app: &App,
        value: &Value,
        caller: Option<&Caller>,
        sender: mpsc::UnboundedSender<Frame>,
    ) {
        let opening = Opening { via: self.via, id: Some(self.id.clone()) };
        match handshake(app, value, caller, opening).await {
            // Others may write to the stream too, so that it is read from the log, which has to tell of news.
            Ok((session, _)) if session.listens().await.is_err() => {
                *locked(&self.state) = State::Opening(Some(sender));
                let error = RpcError::new(code::UNAVAILABLE, "The session store cannot be reached");
                self.tell(app, error_message(value.member("id"), &error), Some("initialize"));
            }
            Ok((session, answer)) => {
                let stream = session.open_onto(true, false, None, sender);
                *locked(&self.state) = State::Open { session, stream };
                self.tell(app, answer, Some("initialize"));
            }
            Err(answer) => {
                *locked(&self.state) = State::Opening(Some(sender));
                self.tell(app, answer, Some("initialize"));
            }
        }
    }

    fn refusal(&self, id: Option<&Value>, why: &str) -> Refused {
        self.refused(&Unusable::new(id, code::INVALID_REQUEST, why))
    }

    /// How a text is refused that cannot be acted on.
    pub(crate) fn refused(&self, unusable: &Unusable) -> Refused {
        // JSON-RPC knows only the null id, and is what holds before there is a revision.
        let revision = self.session().map_or(Revision::V2024_11_05, |session| session.revision);
        Refused { answer: unusable.answer(revision), scope: None }
    }

    /// The carrier has taken a frame.
    pub(crate) fn delivered(&self, frame: &Frame) {
        match frame {
            Frame::Event { id: Some(id), .. } => {
                *locked(&self.delivered) = Some(id.clone());
                self.taken.fetch_add(1, Ordering::SeqCst);
            }
            Frame::Event { id: None, .. } => {
                self.heard.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
        self.progress.notify_one();
    }

    /// Whether the client reads so little that it is not to be heard for a while.
    pub(crate) fn clogged(&self) -> bool {
        let said = self.open().map_or(0, |(session, stream)| session.said_on(stream));
        let outside = self.said.load(Ordering::SeqCst).saturating_sub(self.heard.load(Ordering::SeqCst));
        said.saturating_sub(self.taken.load(Ordering::SeqCst)) + outside > MAX_BACKLOG
    }

    /// Completes when the client reads again.
    pub(crate) async fn unclogged(&self) {
        while self.clogged() {
            self.progress.notified().await;
        }
    }

    /// Completes when nobody has sent `initialize` for as long as a session may be idle.
    pub(crate) async fn never_opened(&self, app: &App) {
        app.clock.sleep(app.config.idle_session).await;
        if self.session().is_some() || self.lane.used() {
            std::future::pending::<()>().await;
        }
    }

    /// Takes the place of the carrier there is; the one that comes last keeps it.
    pub(crate) async fn sit(&self) -> Option<Seat> {
        let (tell, wanted) = oneshot::channel();
        if let Some(other) = locked(&self.leave).replace(tell) {
            // It may be gone already.
            let _ = other.send(());
        }
        let held = tokio::time::timeout(HANDOVER, Arc::clone(&self.seat).lock_owned()).await.ok()?;
        Some(Seat { wanted, _held: held })
    }

    /// What was not delivered, and what is said from now on; `None` where the session has ended.
    pub(crate) async fn resume(&self) -> Option<Reader> {
        let (session, stream) = self.open()?;
        if session.closed() {
            return None;
        }
        let last = locked(&self.delivered).clone().unwrap_or_else(|| format!("{stream}.0"));
        session.resume(&last, false, false).await.ok()
    }

    /// Ends the channel where no session does.
    pub(crate) fn hang_up(&self) {
        if let State::Opening(sender) = &mut *locked(&self.state) {
            *sender = None;
        }
    }

    /// The same for whoever cannot wait: what runs ends at once, and the store is told in a moment.
    pub(crate) fn end_soon(self: &Arc<Self>, app: &Arc<App>) {
        self.lane.close(app, self);
        self.hang_up();
        if let Some(session) = self.session() {
            session.close();
        }
        let (app, channel) = (Arc::clone(app), Arc::clone(self));
        // Outside a runtime the server has ended, and its sessions with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { channel.end(&app).await });
        }
    }

    /// Ends the channel and its session.
    pub(crate) async fn end(&self, app: &App) {
        if let Some(me) = self.me.upgrade() {
            self.lane.close(app, &me);
        }
        self.hang_up();
        // A store that is away ends it by itself when it has not been used for long enough.
        let _ = app.sessions.remove(&self.id, true).await;
        app.channels.remove(&self.id);
    }
}
