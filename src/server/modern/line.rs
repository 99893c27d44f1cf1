//! This era on a line that carries everything in both directions: what runs there, and how it is cancelled.
//!
//! A line keeps nothing of one request for another but which of them are running.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::task::AbortHandle;

use super::listen::Filter;
use super::methods::LISTEN;
use super::post::no_handshake;
use super::serve::{Request, admit};
use super::way::Way;
use crate::model::{Members as _, Message, id_text};
use crate::server::bearer::Caller;
use crate::server::config::Eras;
use crate::server::dispatch::App;
use crate::server::doors::Channel;
use crate::server::reply::{RpcError, code, error_message, response};

/// Something that runs.
#[derive(Debug)]
enum Entry {
    /// It is about to begin.
    New,
    Work(AbortHandle),
    Listen(u64),
}

/// What runs on one line.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    running: Mutex<HashMap<String, Entry>>,
    used: AtomicBool,
}

impl Lane {
    fn running(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request of this era ever came.
    pub(crate) fn used(&self) -> bool {
        self.used.load(Ordering::SeqCst)
    }

    /// Whether a request still runs.
    pub(crate) fn runs(&self, key: &str) -> bool {
        self.running().contains_key(key)
    }

    /// How many requests run, subscriptions too.
    pub(crate) fn count(&self) -> usize {
        self.running().len()
    }

    /// How many requests run that will end by themselves.
    pub(crate) fn working(&self) -> usize {
        self.running().values().filter(|entry| !matches!(entry, Entry::Listen(_))).count()
    }

    /// Serves a request.
    pub(crate) fn take(&self, app: &Arc<App>, channel: &Arc<Channel>, value: &Value, caller: Option<&Caller>) {
        self.used.store(true, Ordering::SeqCst);
        let id = value.member("id").unwrap_or(&Value::Null);
        let method = Message(value).method().unwrap_or_default();
        let key = id_text(id);
        let refuse = |error: &RpcError| {
            let mut message = error_message(Some(id), error);
            app.faults.modern(&mut message, Some(method), (value, 0));
            channel.tell(app, message, Some(method));
        };
        let taken = app.faults.asked(app, None, value, 0);
        let taken = match &taken {
            None => value,
            Some(Ok((_, taken))) => taken,
            Some(Err((_, error))) => return refuse(error),
        };
        let request = match admit(None, taken, caller.map(|caller| caller.subject.as_str())) {
            Ok(request) => request,
            Err(refusal) => return refuse(&refusal.error),
        };
        {
            let mut running = self.running();
            if running.contains_key(&key) {
                drop(running);
                return refuse(&RpcError::new(code::INVALID_REQUEST, "A request with this id is still running"));
            }
            running.insert(key.clone(), Entry::New);
        }
        let way = Way::Line { channel: Arc::downgrade(channel), key: key.clone(), asked: Arc::new(value.clone()) };
        if request.served.name == LISTEN {
            if let Err(error) = self.listen(app, &request, way, &key) {
                self.running().remove(&key);
                refuse(&error);
            }
            return;
        }
        let (of, on) = (Arc::clone(app), Arc::clone(channel));
        // It cannot end before it is noted how to end it.
        let mut running = self.running();
        let work = tokio::spawn({
            let key = key.clone();
            async move {
                let outcome = request.run(&of, Some(way.clone())).await;
                way.say(&of, response(&request.id, outcome), request.served.name);
                on.lane.running().remove(&key);
            }
        });
        running.insert(key, Entry::Work(work.abort_handle()));
    }

    fn listen(&self, app: &App, request: &Request, way: Way, key: &str) -> Result<(), RpcError> {
        let filter = Filter::read(&request.params)?;
        let listeners = &app.modern.listeners;
        listeners.has_room()?;
        let number = listeners.number();
        self.running().insert(key.to_owned(), Entry::Listen(number));
        listeners.begin(app, number, (request.id.clone(), filter), request.subject.as_deref(), way);
        Ok(())
    }

    /// The client wants no answer any more; from here on nothing is said for that request.
    pub(crate) fn cancel(&self, app: &App, id: &Value) {
        let entry = self.running().remove(&id_text(id));
        end(app, entry);
    }

    /// The line ends. Whoever still listens there is told, if it can be.
    pub(crate) fn close(&self, app: &App, channel: &Arc<Channel>) {
        app.modern.listeners.close_line(app, &Arc::downgrade(channel));
        let all: Vec<Entry> = self.running().drain().map(|(_, entry)| entry).collect();
        for entry in all {
            end(app, Some(entry));
        }
    }
}

fn end(app: &App, entry: Option<Entry>) {
    match entry {
        Some(Entry::Work(work)) => work.abort(),
        Some(Entry::Listen(number)) => app.modern.listeners.forget(app, number),
        Some(Entry::New) | None => {}
    }
}

/// The answer to a request of the other era that came before any handshake: nothing says what it could mean. `None`
/// where it is for the other era to answer.
pub(crate) fn unopened(app: &App, value: &Value) -> Option<RpcError> {
    let method = Message(value).method().unwrap_or_default();
    match app.config.eras {
        Eras::Legacy => None,
        Eras::Modern if method == "initialize" => Some(no_handshake()),
        Eras::Both if matches!(method, "initialize" | "ping") => None,
        Eras::Modern => Some(admit(None, value, None).err().map_or_else(no_handshake, |refusal| refusal.error)),
        Eras::Both => {
            let why =
                "Begin with initialize, or say in params._meta which version is spoken and what the client can do";
            Some(RpcError::params(why))
        }
    }
}
