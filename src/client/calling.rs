//! Calls: `invoke`, `await`, `cancel`, and what a client does when its session is gone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::compose;
use super::exchange::{Answered, Options};
use super::sim::{Pending, Sim};
use super::step::{Turn, name_of};
use super::target::SafeCall;
use crate::model::{Members as _, Via, id_text, moment};
use crate::profile::OnSession404;
use crate::scenario::{Await, Cancel, Invoke};
use crate::wire::Request;

/// How long a call that is not waited for gets to reach the server, where its answer does not begin at once.
const ARRIVES_WITHIN: Duration = Duration::from_millis(100);
/// How long the stream of a call may take to end after its response.
const ENDS_WITHIN: Duration = Duration::from_millis(50);

impl Sim {
    /// The step `invoke`.
    pub(super) async fn invoke(self: &Arc<Self>, step: &Invoke, turn: Turn) {
        self.state().answers = step.answer.clone();
        if step.as_listed {
            self.has_fetched(turn.within).await;
        }
        let (method, mut params) = self.call_of(step);
        if let Some(params) = &mut params {
            self.state().handed.fill(params);
        }
        let method = method.as_str();
        if self.leaves_out(method, params.as_ref()) {
            return;
        }
        let mut meta = step.meta.clone().unwrap_or_else(|| json!({}));
        if let (Some(token), Some(meta)) = (&step.progress, meta.as_object_mut()) {
            meta.insert("progressToken".to_owned(), token.clone());
        }
        let modern = self.is_modern();
        if !modern && meta.as_object().is_some_and(|meta| !meta.is_empty()) {
            let params = params.get_or_insert_with(|| json!({}));
            if let Some(params) = params.as_object_mut() {
                params.insert("_meta".to_owned(), meta);
            }
        }
        if step.recover {
            self.prepare(turn.within).await;
        }
        let turn = Turn { within: self.patience_for_calls(turn.within), ..turn };
        let apart = self.profile.session_per_call.value.as_deref().filter(|_| self.opens_for_each_call());
        if apart.is_some() {
            self.open_for_call(turn.within).await;
        }
        let id = step.id.clone().unwrap_or_else(|| self.next_id());
        let (request, id) = self.calling(step, method, params.clone(), id);
        let options = Options { until: Some(id.clone()), ..self.options(turn.within) };
        let Some(name) = &step.r#as else {
            let had_session = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("mcp-session-id"));
            let mut answered = self.exchange(request, options).await;
            let mut asked = id;
            if step.recover && self.answer_refusal(&answered, turn.within).await {
                let (request, id) = self.calling(step, method, params.clone(), self.next_id());
                let options = Options { until: Some(id.clone()), ..self.options(turn.within) };
                (answered, asked) = (self.exchange(request, options).await, id);
            }
            if modern && step.headers.is_empty() && is_mismatch(&answered) {
                // The schema may have changed meanwhile (2026-07-28 basic/transports/streamable-http#client-behavior).
                self.list("tools/list", turn.within).await;
                let (request, id) = self.calling(step, method, params.clone(), self.next_id());
                let options = Options { until: Some(id.clone()), ..self.options(turn.within) };
                (answered, asked) = (self.exchange(request, options).await, id);
            }
            for _ in 0..if modern { step.rounds } else { 0 } {
                let sent = params.clone().unwrap_or_else(|| json!({}));
                let how = (&step.answer, &step.state);
                let Some(next) = self.answered_input(&answered, &asked, &sent, how) else { break };
                let id = self.next_id();
                let (request, id) = self.calling(step, method, Some(next.clone()), id);
                let options = Options { until: Some(id.clone()), ..self.options(turn.within) };
                (answered, asked) = (self.exchange(request, options).await, id);
            }
            if step.recover && had_session && self.takes_for_lost(answered.status) {
                let retried = self.recover(step, method, params, turn).await;
                (answered, asked) = retried.unwrap_or((answered, asked));
            }
            self.subject(turn, answered.exchange, Some(id_text(&asked)));
            if method == "tools/call" {
                self.cancel_late(&answered, &asked, turn.within).await;
            }
            if let Some(after) = apart {
                self.end_of_call(after, turn.within).await;
            }
            return;
        };
        let number = self.tap.next_exchange();
        let events_before = self.state().events;
        let pending = Pending { id, exchange: number, over: false, events_before, lost: false };
        self.state().calls.insert(name.clone(), pending);
        let options = Options { within: self.target.patience, number: Some(number), stays: true, ..options };
        let (sim, name) = (Arc::clone(self), name.clone());
        let (head, seen) = oneshot::channel();
        tokio::spawn(async move {
            let answered = sim.exchange_with(request, options, Some(head)).await;
            if let Some(call) = sim.state().calls.get_mut(&name) {
                call.over = true;
                call.lost |= !answered.resumable;
            }
            sim.announce();
        });
        // The next step begins once the server has shown that the call arrived; one that shows nothing before the
        // result gets a moment. An error means that the exchange is over already.
        let _ = moment::within(ARRIVES_WITHIN, seen).await;
    }

    /// The request of a call, with the headers that the step wants.
    fn calling(&self, step: &Invoke, method: &str, params: Option<Value>, id: Value) -> (Request, Value) {
        let mut request = if self.is_modern() {
            let mut meta = step.meta.clone().unwrap_or_else(|| json!({}));
            if let (Some(token), Some(meta)) = (&step.progress, meta.as_object_mut()) {
                meta.insert("progressToken".to_owned(), token.clone());
            }
            self.modern_request(method, params, &id, Some(&meta)).1
        } else {
            let params = self.habitual(method, params, &id);
            let message = compose::message(self.profile.key_order.value, Some(id.clone()), method, params);
            self.post(&message, Some(method), name_of(&message))
        };
        compose::apply(&mut request.headers, &self.filled(&step.headers));
        self.state().responses.remove(&id_text(&id));
        (request, id)
    }

    /// Whether the client takes this status for the end of its session.
    fn takes_for_lost(&self, status: Option<u16>) -> bool {
        let also_400 = self.profile.on_session_404.value == OnSession404::ReinitializeOn400Too;
        status == Some(404) || (status == Some(400) && also_400 && !self.is_modern())
    }

    /// What the client does on 404 to a request in its session (2025-11-25 basic/transports#session-management).
    async fn recover(
        self: &Arc<Self>,
        step: &Invoke,
        method: &str,
        params: Option<Value>,
        turn: Turn,
    ) -> Option<(Answered, Value)> {
        let does = self.profile.on_session_404.value;
        let repeats = does == OnSession404::ReinitializeAndRetry;
        if does == OnSession404::Fail || !self.open_again(turn.within).await || !repeats {
            return None;
        }
        let (request, id) = self.calling(step, method, params, self.next_id());
        let options = Options { until: Some(id.clone()), ..self.options(turn.within) };
        Some((self.exchange(request, options).await, id))
    }

    /// Method and params of the call: what the scenario names, or else what is safe on this target.
    fn call_of(&self, step: &Invoke) -> (String, Option<Value>) {
        let tool = |name: &str, arguments: Option<&Value>| {
            let mut params = json!({"name": name});
            if let Some(arguments) = arguments {
                params["arguments"] = arguments.clone();
            }
            ("tools/call".to_owned(), Some(params))
        };
        match (&step.tool, &step.method, &self.target.safe_call) {
            (Some(name), _, _) => tool(&self.name_of_tool(name, step.as_listed), step.arguments.as_ref()),
            (None, None, SafeCall::Tool { name, arguments }) => tool(name, Some(arguments)),
            (None, Some(method), _) | (None, None, SafeCall::Method(method)) => (method.clone(), step.params.clone()),
        }
    }

    /// The step `await`.
    pub(super) async fn wait_for_call(self: &Arc<Self>, step: &Await, turn: Turn) {
        let mut news = self.news.subscribe();
        let limit = moment::passes(turn.within.min(self.target.patience));
        tokio::pin!(limit);
        loop {
            let (found, hopeless, id) = {
                let state = self.state();
                let Some(call) = state.calls.get(&step.call) else { return };
                let id = id_text(&call.id);
                let exchange = state.responses.get(&id).copied();
                // Over without a response, and no stream left that could bring it.
                let hopeless = call.over && (call.lost || state.live == 0);
                (exchange.ok_or(call.exchange), hopeless, id)
            };
            let (exchange, answered) = match found {
                Ok(exchange) => (exchange, true),
                Err(exchange) => (exchange, hopeless),
            };
            let over = answered
                || tokio::select! {
                    changed = news.changed() => changed.is_err(),
                    () = &mut limit => true,
                };
            // An answer that does not come in time is something to look at too.
            if over {
                if found.is_ok() {
                    self.see_call_end(&step.call).await;
                }
                self.subject(turn, exchange, Some(id));
                return;
            }
        }
    }

    /// After its response the stream of a call ends; it gets a moment for that.
    async fn see_call_end(&self, name: &str) {
        self.until(ENDS_WITHIN, |state| state.calls.get(name).is_none_or(|call| call.over)).await;
    }

    /// Closes the stream of a call, which is how it is cancelled over HTTP without a handshake
    /// (2026-07-28 basic/transports/streamable-http#cancellation).
    async fn hang_up_call(&self, name: Option<&str>, turn: Turn) {
        let mut news = self.news.subscribe();
        let exchange = {
            let mut state = self.state();
            let Some(exchange) = name.and_then(|name| state.calls.get(name)).map(|call| call.exchange) else { return };
            let Some(hang_up) = state.hang_ups.remove(&exchange) else { return };
            // A receiver that is gone belongs to an exchange that is over.
            let _ = hang_up.send(());
            exchange
        };
        // The reader notes the cut before the next step begins.
        let _ = moment::within(ARRIVES_WITHIN, news.changed()).await;
        self.subject(turn, exchange, None);
    }

    /// The step `cancel`.
    pub(super) async fn cancel(self: &Arc<Self>, step: &Cancel, turn: Turn) {
        let id = step.id.clone().or_else(|| {
            let mut state = self.state();
            let call = step.call.as_ref().and_then(|call| state.calls.get_mut(call))?;
            call.lost = true;
            Some(call.id.clone())
        });
        if self.is_modern() && self.via() == Via::StreamableHttp {
            return self.hang_up_call(step.call.as_deref(), turn).await;
        }
        if let Some(id) = &id {
            self.state().cancelled.insert(id_text(id));
        }
        let mut params = json!({"requestId": id});
        if let Some(reason) = &step.reason {
            params["reason"] = json!(reason);
        }
        self.tell("notifications/cancelled", Some(params), &crate::scenario::Headers::new(), turn).await;
    }
}

/// Whether the server says that headers and body differ.
fn is_mismatch(answered: &Answered) -> bool {
    answered.messages.iter().any(|message| message.at("error").at("code") == -32020)
}
