//! What each kind of scenario step does, one function a kind.
//!
//! *What* happens is the scenario's; *how* it looks on the wire is the profile's.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::compose;
use super::exchange::{Answered, Options};
use super::sim::{Pending, Sim};
use super::target::TimeControl;
use crate::model::id_text;
use crate::scenario::{
    Action, Await, Cancel, Delay, Disconnect, DisconnectWhen, HeaderSource, Invoke, LastEventId, Listen, Negotiate,
    Notify, Raw, Reconnect, SessionSource, Shutdown, Wait,
};
use crate::transcript::{EventKind, header};
use crate::wire::Request;

/// How long a freshly opened stream may take to show its head before the client goes on.
const STREAM_HEAD: Duration = Duration::from_secs(2);

impl Sim {
    /// Performs one step. Steps that hold other steps are the driver's.
    pub(super) async fn perform(self: &Arc<Self>, action: &Action, within: Duration) {
        match action {
            Action::Connect(_) => {
                for request in &self.profile.pre_requests.value {
                    let target = request.path.replace("{endpoint}", &self.target.path);
                    let request = Request { target, ..self.bare(&request.method) };
                    self.exchange(request, self.options(within)).await;
                }
            }
            Action::Negotiate(step) => self.negotiate(step, within).await,
            Action::Invoke(step) => self.invoke(step, within).await,
            Action::Await(step) => self.wait_for_call(step, within).await,
            Action::Cancel(step) => self.cancel(step, within).await,
            Action::Notify(step) => self.notify(step, within).await,
            Action::Listen(step) => self.listen(step, within).await,
            Action::Disconnect(step) => self.hang_up(step, within).await,
            Action::Reconnect(step) => self.reconnect(step, within).await,
            Action::Wait(step) => self.wait(step, within).await,
            Action::Raw(step) => self.raw(step, within).await,
            Action::Shutdown(step) => self.shutdown(step, within).await,
            Action::Expire(_) | Action::Refresh(_) | Action::Revoke(_) | Action::Restart(_) => {
                let text = format!("`{}` cannot be done against this target; the step was left out", action.word());
                self.tap.record(&self.name, EventKind::Note { text });
            }
            Action::Together(_) => {}
        }
    }

    fn options(&self, within: Duration) -> Options {
        Options { within: within.min(self.target.patience), ..Options::default() }
    }

    fn subject(&self, exchange: u32, id: Option<String>) {
        self.tap.record(&self.name, EventKind::Subject { exchange, id });
    }

    async fn request(self: &Arc<Self>, method: &str, params: Option<Value>, within: Duration) -> Answered {
        let id = self.next_id();
        let message = compose::message(self.profile.key_order.value, Some(id.clone()), method, params);
        let request = self.post(&message, Some(method), name_of(&message));
        self.exchange(request, Options { until: Some(id), ..self.options(within) }).await
    }

    async fn negotiate(self: &Arc<Self>, step: &Negotiate, within: Duration) {
        let profile = Arc::clone(&self.profile);
        let order = profile.key_order.value;
        if let Some(probe) = profile.probe.value.as_ref().filter(|_| step.version.is_none()) {
            let params = json!({"_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": profile.client_info.value,
                "io.modelcontextprotocol/clientCapabilities": profile.capabilities.value,
            }});
            let message = compose::message(order, Some(probe.id.clone()), &probe.method, Some(params));
            let body = message.to_string().into_bytes();
            let slots = compose::Slots {
                host: &self.target.host,
                length: Some(body.len()),
                method: Some(&probe.method),
                ..compose::Slots::default()
            };
            let headers = compose::headers(&probe.headers, &slots);
            let request = Request { method: "POST".to_owned(), target: self.target.path.clone(), headers, body };
            let options = Options { until: Some(probe.id.clone()), ..self.options(within) };
            self.exchange(request, options).await;
        }
        let asked = step
            .version
            .clone()
            .unwrap_or_else(|| profile.opens_with.value.0.first().map_or_else(String::new, ToString::to_string));
        let capabilities =
            step.capabilities.clone().unwrap_or_else(|| Value::Object(profile.capabilities.value.clone()));
        let params =
            json!({"protocolVersion": asked, "capabilities": capabilities, "clientInfo": profile.client_info.value});
        {
            let mut state = self.state();
            state.session = None;
            state.revision = None;
        }
        let id = self.next_id();
        let message = compose::message(order, Some(id.clone()), "initialize", Some(params));
        let mut request = self.post(&message, Some("initialize"), None);
        compose::apply(&mut request.headers, &step.headers);
        let options = Options { until: Some(id.clone()), ..self.options(within) };
        let answered = self.exchange(request, options).await;
        self.subject(answered.exchange, Some(id_text(&id)));
        let answer = answered.messages.iter().find(|message| message.get("id") == Some(&id));
        let Some(version) = answer.and_then(|message| message["result"]["protocolVersion"].as_str()) else { return };
        {
            let mut state = self.state();
            state.session = header(&answered.headers, "mcp-session-id").map(str::to_owned);
            state.revision = Some(version.to_owned());
        }
        if !step.initialized {
            return;
        }
        let message = compose::message(order, None, "notifications/initialized", None);
        let request = self.post(&message, Some("notifications/initialized"), None);
        self.exchange(request, self.options(within)).await;
        if step.settle {
            let served = answer.map(|message| message["result"]["capabilities"].clone()).unwrap_or_default();
            self.settle(&served, within).await;
        }
    }

    /// What the client does once it is in: its stream, its lists.
    async fn settle(self: &Arc<Self>, served: &Value, within: Duration) {
        if self.profile.get_stream.value.opens {
            self.open_stream(self.bare("GET"), within).await;
        }
        for method in &self.profile.listing.value {
            let feature = method.split('/').next().unwrap_or_default();
            if served.get(feature).is_none() {
                continue;
            }
            let mut cursor: Option<Value> = None;
            // A server whose cursors never end would hold the client here for ever.
            for _ in 0..20 {
                let params = cursor.map(|cursor| json!({"cursor": cursor}));
                let answered = self.request(method, params, within).await;
                cursor = answered.messages.iter().find_map(|message| message["result"].get("nextCursor").cloned());
                if cursor.is_none() || !self.profile.follows_cursor.value {
                    break;
                }
            }
        }
    }

    /// Opens a stream in the background and goes on once its head came or it is over.
    async fn open_stream(self: &Arc<Self>, request: Request, within: Duration) -> u32 {
        let (head, seen) = oneshot::channel();
        let number = self.tap.next_exchange();
        let options = Options { within: self.target.patience, number: Some(number), ..Options::default() };
        let sim = Arc::clone(self);
        tokio::spawn(async move { sim.exchange_with(request, options, Some(head)).await });
        // An error means that the exchange ended without a head, which is as good a reason to go on.
        let _ = tokio::time::timeout(STREAM_HEAD.min(within), seen).await;
        number
    }

    async fn invoke(self: &Arc<Self>, step: &Invoke, within: Duration) {
        self.state().answers = step.answer.clone();
        let method = if step.tool.is_some() { "tools/call" } else { step.method.as_deref().unwrap_or("ping") };
        let mut params = match &step.tool {
            Some(tool) => {
                let mut params = json!({"name": tool});
                if let Some(arguments) = &step.arguments {
                    params["arguments"] = arguments.clone();
                }
                Some(params)
            }
            None => step.params.clone(),
        };
        let mut meta = step.meta.clone().unwrap_or_else(|| json!({}));
        if let (Some(token), Some(meta)) = (&step.progress, meta.as_object_mut()) {
            meta.insert("progressToken".to_owned(), token.clone());
        }
        if meta.as_object().is_some_and(|meta| !meta.is_empty()) {
            let params = params.get_or_insert_with(|| json!({}));
            if let Some(params) = params.as_object_mut() {
                params.insert("_meta".to_owned(), meta);
            }
        }
        let id = step.id.clone().unwrap_or_else(|| self.next_id());
        let message = compose::message(self.profile.key_order.value, Some(id.clone()), method, params);
        let mut request = self.post(&message, Some(method), name_of(&message));
        compose::apply(&mut request.headers, &step.headers);
        self.state().responses.remove(&id_text(&id));
        let options = Options { until: Some(id.clone()), ..self.options(within) };
        let Some(name) = &step.r#as else {
            let answered = self.exchange(request, options).await;
            self.subject(answered.exchange, Some(id_text(&id)));
            return;
        };
        let pending = Pending { id, exchange: None, over: false };
        self.state().calls.insert(name.clone(), pending);
        let options = Options { within: self.target.patience, ..options };
        let (sim, name) = (Arc::clone(self), name.clone());
        tokio::spawn(async move {
            let answered = sim.exchange(request, options).await;
            if let Some(call) = sim.state().calls.get_mut(&name) {
                call.exchange = Some(answered.exchange);
                call.over = true;
            }
            sim.announce();
        });
        // Lets the request reach the wire before the next step begins.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    async fn wait_for_call(self: &Arc<Self>, step: &Await, within: Duration) {
        let mut news = self.news.subscribe();
        let limit = tokio::time::sleep(within.min(self.target.patience));
        tokio::pin!(limit);
        loop {
            let (found, id, live) = {
                let state = self.state();
                let Some(call) = state.calls.get(&step.call) else { return };
                let id = id_text(&call.id);
                let exchange = state.responses.get(&id).copied();
                // Over without a response, and no stream left that could bring it.
                let hopeless = call.over && state.live == 0;
                (exchange.or(call.exchange.filter(|_| hopeless)), id, hopeless)
            };
            if found.is_some() || live {
                if let Some(exchange) = found {
                    self.subject(exchange, Some(id));
                }
                return;
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = &mut limit => return,
            }
        }
    }

    async fn cancel(self: &Arc<Self>, step: &Cancel, within: Duration) {
        let id = step.id.clone().or_else(|| {
            let state = self.state();
            step.call.as_ref().and_then(|call| state.calls.get(call)).map(|call| call.id.clone())
        });
        let mut params = json!({"requestId": id});
        if let Some(reason) = &step.reason {
            params["reason"] = json!(reason);
        }
        self.tell("notifications/cancelled", Some(params), &crate::scenario::Headers::new(), within).await;
    }

    async fn notify(self: &Arc<Self>, step: &Notify, within: Duration) {
        self.tell(&step.method, step.params.clone(), &step.headers, within).await;
    }

    async fn tell(
        self: &Arc<Self>,
        method: &str,
        params: Option<Value>,
        headers: &crate::scenario::Headers,
        within: Duration,
    ) {
        let message = compose::message(self.profile.key_order.value, None, method, params);
        let mut request = self.post(&message, Some(method), None);
        compose::apply(&mut request.headers, headers);
        let answered = self.exchange(request, self.options(within)).await;
        self.subject(answered.exchange, None);
    }

    async fn listen(self: &Arc<Self>, step: &Listen, within: Duration) {
        let mut request = self.bare("GET");
        let resume = match &step.last_event_id {
            None => None,
            Some(LastEventId::Latest) => self.state().last_event_id.clone(),
            Some(LastEventId::Foreign) => Some(format!("no-such-event-{}", self.rng.hex(8))),
            Some(LastEventId::Literal(id)) => Some(id.clone()),
        };
        if let Some(id) = resume {
            request.headers.push(("Last-Event-ID".to_owned(), id));
        }
        compose::apply(&mut request.headers, &step.headers);
        let exchange = self.open_stream(request, within).await;
        self.subject(exchange, None);
    }

    async fn hang_up(self: &Arc<Self>, step: &Disconnect, within: Duration) {
        if step.when == DisconnectWhen::AfterFirstEvent {
            let mut news = self.news.subscribe();
            let limit = tokio::time::sleep(within);
            tokio::pin!(limit);
            while self.state().last_event_id.is_none() {
                tokio::select! {
                    changed = news.changed() => if changed.is_err() { break },
                    () = &mut limit => break,
                }
            }
        }
        self.disconnect();
        // The readers note the cut before the next step begins.
        for _ in 0..200 {
            if self.state().live == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut state = self.state();
        if let Some(id) = state.last_event_id.clone().filter(|_| state.interrupted.is_empty()) {
            state.interrupted.push(id);
        }
    }

    async fn reconnect(self: &Arc<Self>, step: &Reconnect, within: Duration) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let interrupted = std::mem::take(&mut self.state().interrupted);
        if !step.resume || !self.profile.last_event_id.value {
            return;
        }
        for id in interrupted {
            let mut request = self.bare("GET");
            request.headers.push(("Last-Event-ID".to_owned(), id));
            let exchange = self.open_stream(request, within).await;
            self.subject(exchange, None);
        }
    }

    async fn wait(self: &Arc<Self>, step: &Wait, within: Duration) {
        if let Some(delay) = &step.r#for {
            self.let_pass(delay).await;
        }
        let Some(method) = &step.until else { return };
        let mut news = self.news.subscribe();
        let limit = tokio::time::sleep(within.min(self.target.patience));
        tokio::pin!(limit);
        while !self.state().heard.contains(method) {
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = &mut limit => return,
            }
        }
    }

    async fn let_pass(self: &Arc<Self>, delay: &Delay) {
        let length = delay.length();
        let advanced_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        match &self.target.time {
            TimeControl::Shared(clock) => {
                clock.advance(length);
                self.tap.record(&self.name, EventKind::Clock { advanced_ms });
                tokio::task::yield_now().await;
            }
            TimeControl::Endpoint(base) => {
                let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build();
                let moved = match client {
                    Ok(client) => {
                        let body = json!({"advance_ms": advanced_ms});
                        client.post(format!("{base}/clock")).json(&body).send().await.is_ok()
                    }
                    Err(_) => false,
                };
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

    async fn raw(self: &Arc<Self>, step: &Raw, within: Duration) {
        for _ in 0..step.repeat.max(1) {
            let mut request =
                if step.method == "POST" { self.post(&Value::Null, None, None) } else { self.bare(&step.method) };
            request.body = match (&step.message, &step.body, &step.bytes) {
                (Some(message), _, _) => message.to_string().into_bytes(),
                (_, Some(body), _) => body.clone().into_bytes(),
                (_, _, Some(bytes)) => base64::engine::general_purpose::STANDARD.decode(bytes).unwrap_or_default(),
                _ => Vec::new(),
            };
            let set = |headers: &mut Vec<(String, String)>, name: &str, value: Option<String>| {
                compose::apply(headers, &[(name.to_owned(), value)].into_iter().collect());
            };
            let length = (!request.body.is_empty()).then(|| request.body.len().to_string());
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
            compose::apply(&mut request.headers, &step.headers);
            let id = step.message.as_ref().and_then(|message| message.get("id")).cloned();
            let stream = step.method == "GET";
            let exchange = if stream {
                self.open_stream(request, within).await
            } else {
                let options = Options { until: id.clone(), ..self.options(within) };
                self.exchange(request, options).await.exchange
            };
            self.subject(exchange, id.as_ref().map(id_text));
        }
    }

    async fn shutdown(self: &Arc<Self>, step: &Shutdown, within: Duration) {
        let session = self.state().session.clone();
        if step.delete.unwrap_or(self.profile.delete_on_exit.value) && session.is_some() {
            let answered = self.exchange(self.bare("DELETE"), self.options(within)).await;
            self.subject(answered.exchange, None);
            if answered.status.is_some_and(|status| (200..300).contains(&status)) {
                self.state().ended_sessions.extend(session);
                // A deleted session's streams end by the server; give them a moment before the client leaves.
                for _ in 0..100 {
                    if self.state().live == 0 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
        self.disconnect();
    }
}

/// The `name` or `uri` that some header mirrors.
fn name_of(message: &Value) -> Option<&str> {
    message["params"].get("name").or_else(|| message["params"].get("uri")).and_then(Value::as_str)
}
