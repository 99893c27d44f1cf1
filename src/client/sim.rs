//! The state of one simulated client: session, version, ids, connections, what has come in.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{oneshot, watch};

use super::auth::{Credential, Site};
use super::habits::first_number;
use super::modern::Dress;
use super::target::Target;
use super::tools::Tools;
use super::transport::{Line, NO_ID};
use crate::model::{Clock, Members as _, Rng, Via, id_text, moment};
use crate::profile::Profile;
use crate::scenario::{Answers, Negotiate};
use crate::transcript::EventKind;
use crate::wire::{Connection, Tap};

/// A simulated client; shared by the tasks that read its streams.
#[derive(Debug)]
pub(super) struct Sim {
    pub(super) name: String,
    pub(super) profile: Arc<Profile>,
    pub(super) target: Arc<Target>,
    pub(super) tap: Arc<Tap>,
    pub(super) rng: Rng,
    /// What answers gave to any client of the scenario, by name.
    pub(super) named: Arc<Named>,
    /// The client's own time.
    pub(super) clock: Arc<dyn Clock>,
    /// Held while tokens are got or refreshed, so that one does it for all.
    pub(super) credentials: tokio::sync::Mutex<()>,
    pub(super) pool: Mutex<Vec<Connection>>,
    pub(super) connections: AtomicU32,
    /// Counts up when every connection is to be dropped.
    pub(super) drop_all: watch::Sender<u64>,
    /// Counts up when anything came in or ended.
    pub(super) news: watch::Sender<u64>,
    pub(super) state: Mutex<State>,
    /// What was last said about why the client does not go on. Apart from the state, which may be held meanwhile.
    pub(super) last_note: Mutex<Option<String>>,
    /// Where the client listens for the way back from a login, where it does.
    pub(super) redirect_uri: OnceLock<String>,
    /// The transport that is spoken now.
    pub(super) spoken: Mutex<Via>,
    /// The channel of the transport, where it has one and it was opened.
    pub(super) line: Mutex<Option<Arc<Line>>>,
    /// Held while a channel is opened, so that there is one.
    pub(super) opening: tokio::sync::Mutex<()>,
    pub(super) next_id: AtomicI64,
}

/// What a server hands out for later requests to name.
#[derive(Debug, Clone, Default)]
pub(super) struct Handed {
    task: Option<String>,
    state: Option<String>,
}

impl Handed {
    fn note(&mut self, result: &Value) {
        for (member, known) in [("taskId", &mut self.task), ("requestState", &mut self.state)] {
            if let Some(given) = result[member].as_str() {
                *known = Some(given.to_owned());
            }
        }
    }

    /// Puts it in the place of the words `{task}` and `{state}`, wherever they are.
    pub(super) fn fill(&self, value: &mut Value) {
        match value {
            Value::String(text) if text == "{task}" => *text = self.task.clone().unwrap_or_default(),
            Value::String(text) if text == "{state}" => *text = self.state.clone().unwrap_or_default(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.fill(member)),
            _ => {}
        }
    }

    /// What another client of the scenario was handed, where this one was handed nothing.
    pub(super) fn or(&mut self, other: &Self) {
        self.task = self.task.take().or_else(|| other.task.clone());
        self.state = self.state.take().or_else(|| other.state.clone());
    }
}

/// What answers gave, by the names that the scenario gave it: `name.access`. All clients of a scenario share it.
#[derive(Default)]
pub(super) struct Named(Mutex<BTreeMap<String, String>>);

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // They are secrets.
        f.write_str("Named(…)")
    }
}

impl Named {
    /// Remembers what an answer gave; what it did not give is forgotten.
    pub(super) fn note(&self, name: &str, what: &str, value: Option<&str>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{name}.{what}");
        match value {
            Some(value) => all.insert(key, value.to_owned()),
            None => all.remove(&key),
        };
    }

    /// Puts it in the place of its words in braces; a word for what nobody gave stands for nothing.
    pub(super) fn fill(&self, text: &str) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().fold(text.to_owned(), |text, (key, value)| text.replace(&format!("{{{key}}}"), value))
    }
}

/// What changes as the conversation goes on.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) session: Option<String>,
    pub(super) ended_sessions: Vec<String>,
    pub(super) revision: Option<String>,
    /// How requests are dressed without a handshake, while that era is spoken.
    pub(super) modern: Option<Dress>,
    /// Exchanges that can be hung up by themselves.
    pub(super) hang_ups: HashMap<u32, oneshot::Sender<()>>,
    pub(super) calls: HashMap<String, Pending>,
    /// Responses by id text, with the exchange that brought them.
    pub(super) responses: HashMap<String, u32>,
    /// Responses that came on a channel and that nobody took yet, by id text.
    pub(super) inbox: HashMap<String, Arc<Value>>,
    /// The exchange that sent a request on a channel, by id text.
    pub(super) sent_in: HashMap<String, u32>,
    /// The exchange that sent something on a channel last.
    pub(super) last_said: Option<u32>,
    /// Requests on a channel that were cancelled, by id text.
    pub(super) cancelled: HashSet<String>,
    /// The last event stream that is over, whose place for messages is known.
    pub(super) ended_line: Option<Arc<Line>>,
    /// The place for messages that an event stream named.
    pub(super) endpoint: Option<String>,
    /// The session that a socket opened, by which another may resume it.
    pub(super) socket_session: Option<String>,
    /// Methods of requests and notifications that came in.
    pub(super) heard: Vec<String>,
    /// How many of each method steps have waited for, so that the next waits for one more.
    pub(super) waited: HashMap<String, usize>,
    /// Streams that were cut, with the last event id each had seen.
    pub(super) interrupted: Vec<String>,
    pub(super) last_event_id: Option<String>,
    /// When a stream that the server ended early may be opened again, on the client's clock, where the server said.
    pub(super) resume_at: Option<Duration>,
    pub(super) live: u32,
    /// Bytes of bodies and streams that came.
    pub(super) bytes: usize,
    /// Stream events that came.
    pub(super) events: usize,
    /// Messages that came.
    pub(super) messages: usize,
    /// What the server handed out last.
    pub(super) handed: Handed,
    /// The server's tools as the client has them.
    pub(super) tools: Tools,
    /// Requests that the server sent.
    pub(super) asked: usize,
    /// Exchanges that brought nothing although they got all the patience there is.
    pub(super) gave_up: u32,
    /// Whether the rest of the steps makes no sense on this target.
    pub(super) left_out: bool,
    pub(super) answers: Answers,
    /// How many progress tokens were given out after a handshake.
    pub(super) tokens: i64,
    /// How the conversation was opened, so that it can be opened again.
    pub(super) opening: Option<Negotiate>,
    pub(super) credential: Credential,
    /// Where this client publishes documents, once it has.
    pub(super) site: Option<Site>,
    /// The last exchange with an authorization server.
    pub(super) last_fetch: Option<u32>,
    /// The node that the client is at, counted from 0.
    pub(super) home: usize,
    /// The node that the step under way is for, where it is another one.
    pub(super) visits: Option<usize>,
}

/// A call that is not waited for.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) id: Value,
    pub(super) exchange: u32,
    pub(super) over: bool,
    /// How many events had come in before it was made.
    pub(super) events_before: usize,
    /// Whether no other stream can bring its response: it was cancelled, or its stream told no event id.
    pub(super) lost: bool,
}

/// How often a target may stay silent for as long as anything is waited for, before the rest of a case is left out.
const MOST_SILENCES: u32 = 2;

impl Sim {
    pub(super) fn new(
        name: &str,
        profile: Arc<Profile>,
        target: Arc<Target>,
        (tap, named): (Arc<Tap>, Arc<Named>),
        clock: Arc<dyn Clock>,
        rng: Rng,
    ) -> Self {
        let first = first_number(&profile.first_request_id.value);
        let spoken = target.via.unwrap_or_else(|| profile.transports.value.first());
        Self {
            name: name.to_owned(),
            profile,
            target,
            tap,
            rng,
            named,
            clock,
            credentials: tokio::sync::Mutex::default(),
            pool: Mutex::default(),
            connections: AtomicU32::new(0),
            drop_all: watch::Sender::new(0),
            news: watch::Sender::new(0),
            state: Mutex::default(),
            last_note: Mutex::default(),
            redirect_uri: OnceLock::new(),
            spoken: Mutex::new(spoken),
            line: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            next_id: AtomicI64::new(first),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_connection(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn announce(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    /// Waits until something came in or ended that makes this hold, and no longer than that; whether it holds.
    pub(super) async fn until(&self, limit: Duration, holds: impl Fn(&State) -> bool) -> bool {
        // Before the first look, so that nothing is missed between that and the wait.
        let mut news = self.news.subscribe();
        let told = async {
            while !holds(&self.state()) {
                if news.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        moment::within(limit, told).await.unwrap_or(false)
    }

    /// Waits until no exchange is under way any more, and no longer than that.
    pub(super) async fn until_quiet(&self, limit: Duration) {
        self.until(limit, |state| state.live == 0).await;
    }

    /// Whether the target was silent so often that nothing more is worth waiting for.
    pub(super) fn has_given_up(&self) -> bool {
        self.state().gave_up >= MOST_SILENCES
    }

    /// Leaves out what comes after the step that is under way.
    pub(super) fn leave_out(&self, why: String) {
        self.state().left_out = true;
        self.tap.record(&self.name, EventKind::LeftOut { why, this_too: false });
    }

    /// The same, and the step that is under way says nothing about the server either.
    pub(super) fn leave_this_out(&self, why: String) {
        self.state().left_out = true;
        self.tap.record(&self.name, EventKind::LeftOut { why, this_too: true });
    }

    /// Knows the session in the query of a place for messages as a secret.
    pub(super) fn hide_session_in(&self, place: &str) {
        let query = place.split_once('?').map_or("", |(_, query)| query);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if name.to_ascii_lowercase().contains("session") {
                self.tap.hide("session", &value);
            }
        }
    }

    /// Records why the client does not go on.
    pub(super) fn note_once(&self, text: &str) {
        self.tap.record(&self.name, EventKind::Note { text: text.to_owned() });
    }

    /// Drops every connection, idle ones and those in use.
    pub(super) fn disconnect(&self) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // Whatever else holds a socket lets go of it now.
        if self.via() != Via::Stdio {
            let line = self.line.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(line) = line.filter(|line| line.is_place()) {
                self.state().ended_line = Some(line);
            }
        }
        self.drop_all.send_modify(|count| *count += 1);
    }

    /// Notes what a message from the server means for the state.
    pub(super) fn hear(&self, exchange: u32, message: &Arc<Value>) {
        let mut state = self.state();
        state.handed.note(message.at("result"));
        if let Some(method) = message.member("method").and_then(Value::as_str) {
            state.heard.push(method.to_owned());
        } else if let Some(id) = message.member("id") {
            let id = id_text(id);
            // An error without id answers what went out with the id null, where something did, and only then what was said last.
            let nameless = id == NO_ID;
            let asked = if nameless { state.sent_in.remove(&id) } else { state.sent_in.get(&id).copied() };
            let of_another = nameless && asked.is_some() && asked != state.last_said;
            if self.via() != Via::StreamableHttp && !of_another {
                state.inbox.insert(id.clone(), Arc::clone(message));
            }
            state.responses.insert(id, asked.unwrap_or(exchange));
        }
    }
}
