//! How a conversation opens: probes, `initialize`, `notifications/initialized`, the stream and the lists after it.
//!
//! The order and the shape of all this is the profile's.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::compose;
use super::exchange::{Answered, Options};
use super::sim::Sim;
use super::step::Turn;
use crate::model::{Era, Members as _, Revision, Via, id_text};
use crate::profile::{Accepts, PreRequest, Probe};
use crate::scenario::Negotiate;
use crate::transcript::{EventKind, header};
use crate::wire::Request;

/// The most pages of a list that a client follows; a server whose cursors never end would hold it for ever.
const MOST_PAGES: usize = 20;

/// What an `initialize` says.
struct Hello<'a> {
    version: String,
    capabilities: Value,
    info: &'a Map<String, Value>,
}

impl Sim {
    /// The step `negotiate`.
    pub(super) async fn negotiate(self: &Arc<Self>, step: &Negotiate, turn: Turn) {
        self.state().opening = Some(step.clone());
        let (exchange, id) = self.begin(step, turn.within).await;
        self.subject(turn, exchange, Some(id));
    }

    /// Opens a new conversation as an earlier `negotiate` did; says whether it was opened at all.
    pub(super) async fn open_again(self: &Arc<Self>, within: Duration) -> bool {
        let Some(step) = self.state().opening.clone() else { return false };
        self.begin(&step, within).await;
        self.state().revision.is_some()
    }

    /// Opens a conversation; gives the exchange of its `initialize` and the id as text.
    pub(super) async fn begin(self: &Arc<Self>, step: &Negotiate, within: Duration) -> (u32, String) {
        let profile = Arc::clone(&self.profile);
        self.forget_session().await;
        if let Some(habits) = self.speaks_modern().filter(|_| step.era.is_none())
            && let Some(opened) = Box::pin(self.meet(habits, step, within)).await
        {
            return opened;
        }
        let legacy = profile.opens_with.value.0.iter().find(|asked| asked.facts().era == Era::Legacy);
        let asked = legacy.or(profile.opens_with.value.0.first());
        let other = profile
            .names_version
            .value
            .as_ref()
            .filter(|other| asked.is_some_and(|asked| asked.name() == other.instead_of));
        let asked =
            other.map(|other| other.says.clone()).or_else(|| asked.map(ToString::to_string)).unwrap_or_default();
        if step.version.is_none() && step.capabilities.is_none() && self.speaks_modern().is_none() {
            // Probes were seen over HTTP, where they leave nothing behind; a channel that answers one speaks the newer era.
            // Of a server that speaks the newer era such a client would learn that, and there would be no handshake.
            let probed = self.via() == Via::StreamableHttp && !self.target.speaks_modern;
            if let Some(probe) = profile.probe.value.as_ref().filter(|_| probed) {
                let (answered, id) = self.probe(probe, within).await;
                if self.gives_up_on(&answered) {
                    return (answered.exchange, id_text(&id));
                }
            }
            self.ask_beforehand(true, within).await;
            if let Some(first) = &profile.probe_session.value {
                let version = first.opens_with.0.first().map_or_else(String::new, ToString::to_string);
                let capabilities = Value::Object(first.capabilities.clone());
                let hello = Hello { version, capabilities, info: &first.client_info };
                let (answered, id) = self.hello(&hello, step, within).await;
                if self.welcome(&answered, &id, &hello.version).is_some() && !first.stops_there {
                    self.initialized(within).await;
                    if profile.get_stream.value.opens && self.via() == Via::StreamableHttp {
                        self.open_stream(self.bare("GET"), within).await;
                    }
                }
                self.forget_session().await;
                // The host behind it counts for itself.
                self.count_anew();
            }
        }
        let capabilities =
            step.capabilities.clone().unwrap_or_else(|| Value::Object(profile.capabilities.value.clone()));
        let version = step.version.clone().unwrap_or(asked);
        let hello = Hello { version, capabilities, info: &profile.client_info.value };
        let (answered, id) = self.hello(&hello, step, within).await;
        let opened = (answered.exchange, id_text(&id));
        let Some(served) = self.welcome(&answered, &id, &hello.version) else { return opened };
        if step.initialized {
            self.initialized(within).await;
            if step.settle {
                self.settle(&served, within).await;
            }
        }
        opened
    }

    /// The next message begins anew, on a channel of its own where the transport has channels.
    async fn forget_session(self: &Arc<Self>) {
        self.close_line().await;
        let mut state = self.state();
        state.session = None;
        state.socket_session = None;
        state.revision = None;
        state.modern = None;
    }

    /// What the client asks for beside the conversation, before it or right before its handshake.
    pub(super) async fn ask_beforehand(self: &Arc<Self>, after_probe: bool, within: Duration) {
        let guarded = self.target.asks_for_tokens;
        let due = |asked: &&PreRequest| asked.after_probe == after_probe && !(guarded && asked.unless_guarded);
        for asked in self.profile.pre_requests.value.iter().filter(due) {
            let target = asked.path.replace("{endpoint}", &self.target.path);
            let mut request = Request { target, ..self.bare(&asked.method) };
            if let Some(headers) = &asked.headers {
                request.headers = self.plain_headers(headers);
            }
            // A server may open a stream even so; nobody waits for its end.
            if asked.method == "GET" {
                self.open_stream(request, within).await;
            } else {
                self.exchange(request, self.options(within)).await;
            }
        }
    }

    /// A request of the newer era, before anything else.
    async fn probe(self: &Arc<Self>, probe: &Probe, within: Duration) -> (Answered, Value) {
        let profile = &self.profile;
        let params = json!({"_meta": {
            "io.modelcontextprotocol/protocolVersion": Revision::V2026_07_28.name(),
            "io.modelcontextprotocol/clientInfo": profile.client_info.value,
            "io.modelcontextprotocol/clientCapabilities": profile.capabilities.value,
        }});
        let message = compose::message(profile.key_order.value, Some(probe.id.clone()), &probe.method, Some(params));
        let body = message.to_string().into_bytes();
        let host = self.host();
        self.prepare(within).await;
        let mut refused = false;
        loop {
            let slots = compose::Slots {
                host: &host,
                length: Some(body.len()),
                method: Some(&probe.method),
                ..compose::Slots::default()
            };
            let mut headers = compose::headers(&probe.headers, &slots);
            let token = self.state().credential.access.clone();
            compose::authorize(&mut headers, &profile.authorization.value, token.as_deref());
            let request = Request { headers, body: body.clone(), ..Request::to(self.target.path.clone(), "POST") };
            let options = Options { until: Some(probe.id.clone()), ..self.options(within) };
            let answered = self.exchange(request, options).await;
            if refused || !self.answer_refusal(&answered, within).await {
                return (answered, probe.id.clone());
            }
            refused = true;
        }
    }

    /// Whether this answer to its probe makes the client give up.
    pub(super) fn gives_up_on(&self, answered: &Answered) -> bool {
        let fatal = self.profile.probe.value.iter().flat_map(|probe| &probe.fatal);
        let over = fatal.into_iter().find(|status| answered.status == Some(**status));
        if let Some(status) = over {
            self.note_once(&format!("status {status} to its probe: this client gives up and does not try initialize"));
        }
        over.is_some()
    }

    async fn hello(self: &Arc<Self>, hello: &Hello<'_>, step: &Negotiate, within: Duration) -> (Answered, Value) {
        let mut params = json!({
            "protocolVersion": hello.version,
            "capabilities": hello.capabilities,
            "clientInfo": hello.info,
        });
        for (name, value) in &self.profile.extras.value.initialize {
            params[name] = value.clone();
        }
        let order = self.profile.key_order.value;
        self.prepare(within).await;
        let mut refused = false;
        loop {
            let id = self.next_id();
            let message = compose::message(order, Some(id.clone()), "initialize", Some(params.clone()));
            let mut request = self.post(&message, Some("initialize"), None);
            compose::apply(&mut request.headers, &step.headers);
            let answered = self.exchange(request, Options { until: Some(id.clone()), ..self.options(within) }).await;
            if self.falls_back(&answered, within).await {
                continue;
            }
            if refused || !self.answer_refusal(&answered, within).await {
                return (answered, id);
            }
            refused = true;
            if self.profile.oauth.value.counts_anew {
                self.count_anew();
            }
        }
    }

    /// Takes the answer to `initialize` in; gives what the server offers, or `None` where the client does not go on.
    fn welcome(&self, answered: &Answered, id: &Value, asked: &str) -> Option<Value> {
        let answer = answered.messages.iter().find(|message| message.member("id") == Some(id))?;
        let version = answer.at("result").at("protocolVersion").as_str()?;
        let takes = match self.profile.accepts_versions.value {
            Accepts::Any => true,
            Accepts::Known => version.parse::<Revision>().is_ok(),
            Accepts::Asked => asked == version,
        };
        if !takes {
            let text = format!("the client does not take the version {version} that the server chose, and leaves");
            self.tap.record(&self.name, EventKind::Note { text });
            return None;
        }
        let mut state = self.state();
        let over_http = self.via() == Via::StreamableHttp;
        state.session = header(&answered.headers, "mcp-session-id").filter(|_| over_http).map(str::to_owned);
        state.revision = Some(version.to_owned());
        Some(answer.at("result").at("capabilities").clone())
    }

    async fn initialized(self: &Arc<Self>, within: Duration) {
        let message = self.notification("notifications/initialized", None);
        let request = self.post(&message, Some("notifications/initialized"), None);
        self.exchange(request, self.options(within)).await;
    }

    /// What the client does once it is in: its stream, its lists.
    async fn settle(self: &Arc<Self>, served: &Value, within: Duration) {
        if self.profile.get_stream.value.opens && self.via() == Via::StreamableHttp {
            self.open_stream(self.bare("GET"), within).await;
        }
        self.ask_for_logs(served, within).await;
        self.fetch_lists(&self.profile.listing.value, served, within).await;
        if self.opens_for_each_call() {
            self.end_of_call(&[], within).await;
        }
    }

    /// Fetches those of these lists that the server offers.
    pub(super) async fn fetch_lists(self: &Arc<Self>, listing: &[String], served: &Value, within: Duration) {
        let all = self.profile.lists_unadvertised.value;
        let offered = |method: &&String| all || served.get(method.split('/').next().unwrap_or_default()).is_some();
        let methods: Vec<String> = listing.iter().filter(offered).cloned().collect();
        if !self.profile.parallel_listing.value {
            for method in &methods {
                if self.has_given_up() {
                    return;
                }
                self.list(method, within).await;
            }
            return;
        }
        // All at once, and yet begun in their order, so that their ids have it.
        futures_util::future::join_all(methods.iter().map(|method| self.list(method, within))).await;
    }

    pub(super) async fn list(self: &Arc<Self>, method: &str, within: Duration) {
        let mut cursor: Option<Value> = None;
        for _ in 0..MOST_PAGES {
            let first = cursor.is_none();
            let params = cursor.map(|cursor| json!({"cursor": cursor}));
            let answered = self.request(method, params, within).await;
            self.learn_tools(&answered);
            if method == "tools/list" {
                self.take_tools(&answered, first);
            }
            let next = answered.messages.iter().find_map(|message| message.at("result").member("nextCursor").cloned());
            // Null names no page that could be asked for.
            cursor = next.filter(|next| !next.is_null());
            if cursor.is_none() || !self.profile.follows_cursor.value {
                break;
            }
        }
    }
}
