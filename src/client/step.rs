//! What each kind of scenario step does, one function a kind; openings and calls have files of their own.
//!
//! *What* happens is the scenario's; *how* it looks on the wire is the profile's.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::compose;
use super::control;
use super::exchange::{Answered, Options};
use super::sim::{Pending, Sim, State};
use super::target::TimeControl;
use crate::model::{Members as _, Via, id_text, moment};
use crate::scenario::{
    Action, Delay, Disconnect, DisconnectWhen, HeaderSource, LastEventId, Listen, NodeChoice, Notify, Raw, Reconnect,
    SessionSource, Shutdown, Wait,
};
use crate::transcript::{EventKind, Headers, header};
use crate::wire::Request;

/// How long what was written to a channel may take to be acted on.
const ARRIVES: Duration = Duration::from_millis(30);
/// How long readers may take to note that their connection was cut.
const CUT_WITHIN: Duration = Duration::from_millis(200);
/// How long a server may take to end the streams of a deleted session.
const STREAMS_END_WITHIN: Duration = Duration::from_millis(200);
/// How long a freshly opened stream may take to show its head before the client goes on.
const STREAM_HEAD: Duration = Duration::from_secs(2);

/// Whose turn it is, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Number of the step.
    pub(super) number: u32,
    /// The most it may take.
    pub(super) within: Duration,
    /// The node it is for, where it says.
    pub(super) node: Option<NodeChoice>,
}

impl Sim {
    /// Performs one step. Steps that hold other steps are the driver's.
    pub(super) async fn perform(self: &Arc<Self>, action: &Action, turn: Turn) {
        let within = turn.within;
        self.turn_to(turn.node, matches!(action, Action::Reconnect(_)));
        match action {
            // What is asked before any handshake is asked by HTTP.
            Action::Connect(_) if self.via() != Via::StreamableHttp => {}
            Action::Connect(_) => self.ask_beforehand(false, within).await,
            // These two are far larger than the others.
            Action::Negotiate(step) => Box::pin(self.negotiate(step, turn)).await,
            Action::Invoke(step) => Box::pin(self.invoke(step, turn)).await,
            Action::Await(step) => self.wait_for_call(step, turn).await,
            Action::Cancel(step) => self.cancel(step, turn).await,
            Action::Notify(step) => self.notify(step, turn).await,
            Action::Listen(step) => self.listen(step, turn).await,
            Action::Disconnect(step) => self.hang_up(step, within).await,
            Action::Reconnect(step) => self.reconnect(step, turn).await,
            Action::Wait(step) => self.wait(step, within).await,
            Action::Raw(step) => self.raw(step, turn).await,
            Action::Shutdown(step) => self.shutdown(step, turn).await,
            Action::Expire(step) => self.expire(step, turn).await,
            Action::Refresh(_) => self.refresh(turn).await,
            Action::Revoke(_) => self.revoke(turn).await,
            Action::OAuth(step) => self.oauth(step, turn).await,
            Action::Mint(step) => self.mint(step).await,
            Action::Publish(step) => self.publish(step).await,
            Action::Restart(step) => self.restart(step, turn).await,
            Action::Together(_) => {}
        }
        self.turn_back();
    }

    pub(super) fn options(&self, within: Duration) -> Options {
        Options { within: within.min(self.target.patience), ..Options::default() }
    }

    pub(super) fn subject(&self, turn: Turn, exchange: u32, id: Option<String>) {
        self.tap.subject(turn.number, &self.name, exchange, id);
    }

    pub(super) async fn request(self: &Arc<Self>, method: &str, params: Option<Value>, within: Duration) -> Answered {
        self.prepare(within).await;
        let mut refused = false;
        loop {
            let id = self.next_id();
            let request = self.asking(method, params.clone(), &id);
            let answered = self.exchange(request, Options { until: Some(id), ..self.options(within) }).await;
            if refused || !self.answer_refusal(&answered, within).await {
                return answered;
            }
            refused = true;
        }
    }

    /// A request as it goes out in the era that is spoken.
    fn asking(&self, method: &str, params: Option<Value>, id: &Value) -> Request {
        if self.is_modern() {
            return self.modern_request(method, params, id, None).1;
        }
        let params = self.habitual(method, params, id);
        let message = compose::message(self.profile.key_order.value, Some(id.clone()), method, params);
        self.post(&message, Some(method), name_of(&message))
    }

    /// A notification in the client's order of members.
    pub(super) fn notification(&self, method: &str, params: Option<Value>) -> Value {
        let id = self.profile.extras.value.null_ids.then_some(Value::Null);
        compose::message(self.profile.key_order.value, id, method, params)
    }

    /// Opens a stream in the background and goes on once its head came or it is over.
    pub(super) async fn open_stream(self: &Arc<Self>, request: Request, within: Duration) -> u32 {
        self.open_stream_until(request, None, within).await
    }

    /// The same, where a response to an id ends the stream.
    pub(super) async fn open_stream_until(
        self: &Arc<Self>,
        request: Request,
        until: Option<Value>,
        within: Duration,
    ) -> u32 {
        let (head, seen) = oneshot::channel();
        let number = self.tap.next_exchange();
        let options = Options { within: self.target.patience, until, number: Some(number), ..Options::default() };
        let sim = Arc::clone(self);
        tokio::spawn(Box::pin(async move { sim.exchange_with(request, options, Some(head)).await }));
        // An error means that the exchange ended without a head, which is as good a reason to go on.
        let _ = moment::within(STREAM_HEAD.min(within), seen).await;
        number
    }

    async fn notify(self: &Arc<Self>, step: &Notify, turn: Turn) {
        self.tell(&step.method, step.params.clone(), &step.headers, turn).await;
    }

    pub(super) async fn tell(
        self: &Arc<Self>,
        method: &str,
        params: Option<Value>,
        headers: &crate::scenario::Headers,
        turn: Turn,
    ) {
        let message = self.notification(method, params);
        let mut request = self.post(&message, Some(method), None);
        compose::apply(&mut request.headers, headers);
        let answered = self.exchange(request, self.options(turn.within)).await;
        self.subject(turn, answered.exchange, None);
    }

    async fn listen(self: &Arc<Self>, step: &Listen, turn: Turn) {
        if self.is_modern() {
            let every = || json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true});
            let mut wanted = step.notifications.clone().unwrap_or_else(every);
            self.state().handed.fill(&mut wanted);
            let id = step.id.clone().unwrap_or_else(|| self.next_id());
            let exchange = self.subscribe(&wanted, id.clone(), &step.headers, turn.within).await;
            self.subject(turn, exchange, Some(id_text(&id)));
            if let Some(name) = &step.r#as {
                let events_before = self.state().events;
                let pending = Pending { id, exchange, over: false, events_before, lost: true };
                self.state().calls.insert(name.clone(), pending);
            }
            return;
        }
        if self.via() != Via::StreamableHttp {
            // The channel brings everything already.
            if let Ok(line) = self.line(turn.within).await {
                self.subject(turn, line.opening, None);
            }
            return;
        }
        let mut request = self.bare("GET");
        let resume = match &step.last_event_id {
            None => None,
            Some(LastEventId::Latest) => self.state().last_event_id.clone(),
            Some(LastEventId::Foreign) => Some(format!("no-such-event-{}", self.rng.hex(8))),
            Some(LastEventId::Literal(id)) => Some(id.clone()),
        };
        if let Some(id) = resume {
            request.headers.push(("Last-Event-ID".into(), id.into()));
        }
        compose::apply(&mut request.headers, &self.filled(&step.headers));
        let exchange = self.open_stream(request, turn.within).await;
        self.subject(turn, exchange, None);
    }

    /// Whether an event came in since the call was made, or the call is over without one.
    fn has_begun(&self, call: Option<&str>) -> bool {
        let state = self.state();
        let call = call.and_then(|name| state.calls.get(name));
        call.is_some_and(|call| call.over) || state.events > call.map_or(0, |call| call.events_before)
    }

    async fn hang_up(self: &Arc<Self>, step: &Disconnect, within: Duration) {
        if step.when == DisconnectWhen::AfterFirstEvent {
            let mut news = self.news.subscribe();
            let limit = moment::passes(within);
            tokio::pin!(limit);
            while !self.has_begun(step.call.as_deref()) {
                tokio::select! {
                    changed = news.changed() => if changed.is_err() { break },
                    () = &mut limit => break,
                }
            }
        }
        self.disconnect();
        // The readers note the cut before the next step begins.
        self.until_quiet(CUT_WITHIN).await;
        let mut state = self.state();
        if let Some(id) = state.last_event_id.clone().filter(|id| !state.interrupted.contains(id)) {
            state.interrupted.push(id);
        }
    }

    async fn reconnect(self: &Arc<Self>, step: &Reconnect, turn: Turn) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let interrupted = std::mem::take(&mut self.state().interrupted);
        if self.via() == Via::WebSocket {
            // The upgrade itself says what is resumed.
            let exchange = match self.line(turn.within).await {
                Ok(line) => line.opening,
                Err(refused) => refused.exchange,
            };
            self.subject(turn, exchange, None);
            return;
        }
        if !step.resume || !self.profile.last_event_id.value {
            return;
        }
        let resume_at = self.state().resume_at.take();
        if let Some(left) =
            resume_at.and_then(|at| at.checked_sub(self.clock.elapsed())).filter(|_| !interrupted.is_empty())
        {
            self.let_pass(&Delay::of(left)).await;
        }
        for id in interrupted {
            let mut request = self.bare("GET");
            request.headers.push(("Last-Event-ID".into(), id.into()));
            let exchange = self.open_stream(request, turn.within).await;
            self.subject(turn, exchange, None);
        }
    }

    async fn wait(self: &Arc<Self>, step: &Wait, within: Duration) {
        if let Some(delay) = &step.r#for {
            self.let_pass(delay).await;
        }
        let Some(method) = &step.until else { return };
        let before = self.state().waited.get(method).copied().unwrap_or_default();
        let one_more = |state: &State| state.heard.iter().filter(|heard| *heard == method).count() > before;
        if self.until(within.min(self.target.patience), one_more).await {
            self.state().waited.insert(method.clone(), before + 1);
        }
    }

    pub(super) async fn let_pass(self: &Arc<Self>, delay: &Delay) {
        let length = delay.length();
        let advanced_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        match &self.target.time {
            TimeControl::Shared(clock) => {
                // What was just written to a channel is not acknowledged; it is to arrive before time goes on.
                if self.via() != Via::StreamableHttp {
                    moment::passes(ARRIVES).await;
                }
                clock.advance(length);
                self.tap.record(&self.name, EventKind::Clock { advanced_ms });
                tokio::task::yield_now().await;
            }
            TimeControl::Endpoint(base) => {
                let body = json!({"advance_ms": advanced_ms});
                let moved = control::ask(base, "clock", &body).await.is_ok_and(|(status, _)| status == 200);
                if moved {
                    self.tap.record(&self.name, EventKind::Clock { advanced_ms });
                }
            }
            TimeControl::None => {
                tokio::time::sleep(length.min(self.target.patience)).await;
                if length > self.target.patience {
                    let text = format!(
                        "waited {} s instead of {}: the target's clock cannot be moved, and --patience ends there",
                        self.target.patience.as_secs(),
                        delay.text()
                    );
                    self.tap.record(&self.name, EventKind::Note { text });
                }
            }
        }
    }

    async fn raw(self: &Arc<Self>, step: &Raw, turn: Turn) {
        for _ in 0..step.repeat.max(1) {
            let mut request =
                if step.method == "POST" { self.post(&Value::Null, None, None) } else { self.bare(&step.method) };
            request.body = match (&step.message, &step.body, &step.bytes) {
                (Some(message), _, _) => message.to_string().into_bytes(),
                (_, Some(body), _) => body.clone().into_bytes(),
                (_, _, Some(bytes)) => base64::engine::general_purpose::STANDARD.decode(bytes).unwrap_or_default(),
                _ => Vec::new(),
            };
            request.pad = step.pad.saturating_sub(request.body.len());
            let set = |headers: &mut Headers, name: &str, value: Option<String>| {
                compose::apply(headers, &[(name.to_owned(), value)].into_iter().collect());
            };
            let length = request.body.len() + request.pad;
            let length = (length > 0).then(|| length.to_string());
            set(&mut request.headers, "content-length", length);
            match &step.session {
                SessionSource::Current => {}
                SessionSource::None => set(&mut request.headers, "mcp-session-id", None),
                SessionSource::Unknown => set(&mut request.headers, "mcp-session-id", Some(self.rng.hex(16))),
                SessionSource::Ended => {
                    let ended = self.state().ended_sessions.last().cloned();
                    set(&mut request.headers, "mcp-session-id", ended);
                }
                SessionSource::Literal(id) => set(&mut request.headers, "mcp-session-id", Some(id.clone())),
            }
            match &step.version {
                HeaderSource::Current => {}
                HeaderSource::None => set(&mut request.headers, "mcp-protocol-version", None),
                HeaderSource::Literal(version) => {
                    set(&mut request.headers, "mcp-protocol-version", Some(version.clone()));
                }
            }
            compose::apply(&mut request.headers, &self.filled(&step.headers));
            if let Some(query) = &step.query {
                let joint = if request.target.contains('?') { '&' } else { '?' };
                request.target.push(joint);
                request.target.push_str(&self.filled_text(query));
            }
            let id = step.message.as_ref().and_then(|message| message.member("id")).cloned();
            if self.via() != Via::StreamableHttp {
                let until = id.clone().or_else(|| first_id(&request.body)).unwrap_or_default();
                let options = Options { until: Some(until), ..self.options(turn.within) };
                let over = self.state().ended_line.clone().filter(|_| step.session == SessionSource::Ended);
                let request = match over {
                    Some(line) => Self::on_line(&line, request),
                    None => request,
                };
                let answered = self.exchange(request, options).await;
                self.subject(turn, answered.exchange, id.as_ref().map(id_text));
                continue;
            }
            let stream = step.method == "GET";
            let exchange = if stream {
                self.open_stream(request, turn.within).await
            } else {
                let options = Options { until: id.clone(), ..self.options(turn.within) };
                let ends = step.method == "DELETE";
                let answered = self.exchange(request, options).await;
                if ends && answered.accepted() {
                    self.see_streams_end().await;
                }
                if let Some(name) = &step.r#as {
                    self.named.note(name, "session", header(&answered.headers, "mcp-session-id"));
                }
                answered.exchange
            };
            self.subject(turn, exchange, id.as_ref().map(id_text));
        }
    }

    async fn shutdown(self: &Arc<Self>, step: &Shutdown, turn: Turn) {
        if self.via() != Via::StreamableHttp {
            let line = self.line.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.close_line().await;
            if let Some(line) = line {
                self.subject(turn, line.opening, None);
            }
            self.disconnect();
            return;
        }
        if self.is_modern() {
            return self.disconnect();
        }
        let session = self.state().session.clone();
        if step.delete.unwrap_or(self.profile.delete_on_exit.value) && session.is_some() {
            let answered = self.exchange(self.bare("DELETE"), self.options(turn.within)).await;
            self.subject(turn, answered.exchange, None);
            if answered.accepted() {
                self.state().ended_sessions.extend(session);
                self.see_streams_end().await;
            }
        }
        self.disconnect();
    }

    /// The streams of a deleted session are ended by the server; it gets a moment for that.
    async fn see_streams_end(&self) {
        self.until_quiet(STREAMS_END_WITHIN).await;
    }

    /// Headers of a scenario with the client's own session, revision and secrets in them.
    pub(super) fn filled(&self, headers: &crate::scenario::Headers) -> crate::scenario::Headers {
        headers.iter().map(|(name, value)| (name.clone(), value.as_ref().map(|text| self.filled_text(text)))).collect()
    }

    fn filled_text(&self, text: &str) -> String {
        let state = self.state();
        let text = text.replace("{session}", state.session.as_deref().unwrap_or_default());
        let text = text.replace("{revision}", state.revision.as_deref().unwrap_or_default());
        self.fill(&state.credential, &text)
    }
}

/// The `name` or `uri` that some header mirrors.
pub(super) fn name_of(message: &Value) -> Option<&str> {
    let params = message.at("params");
    params.member("name").or_else(|| params.member("uri")).or_else(|| params.member("taskId")).and_then(Value::as_str)
}

/// The id of the first request in an array.
fn first_id(body: &[u8]) -> Option<Value> {
    let members: Vec<Value> = serde_json::from_slice(body).ok()?;
    members
        .into_iter()
        .find(|message| message.member("method").is_some() && message.member("id").is_some())?
        .member("id")
        .cloned()
}
