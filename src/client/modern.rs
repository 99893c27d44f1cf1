//! How a client speaks without a handshake (2026-07-28): what each request carries, how the era is found out, how an
//! `input_required` result is answered.
//!
//! *What* is asked is the scenario's; *how* it looks is the profile's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::compose;
use super::exchange::{Answered, Options};
use super::mirror::{self, Mirrored};
use super::sim::Sim;
use super::step::name_of;
use crate::model::{Era, Members as _, Revision, Via, id_text, moment};
use crate::profile::{Answer, KeyOrder, Modern, ProgressTokens};
use crate::scenario::{Answers, Headers as Overrides, Negotiate, StateSource};
use crate::transcript::Headers;
use crate::wire::Request;

/// The `_meta` key with the version of a request.
pub(super) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const INFO: &str = "io.modelcontextprotocol/clientInfo";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// Codes that only a server of this era answers with (2026-07-28 basic#error-codes): headers, capability, version.
const HEADER_MISMATCH: i64 = -32020;
const MISSING_CAPABILITY: i64 = -32021;
const UNSUPPORTED_VERSION: i64 = -32022;

/// How long a subscription may take to be acknowledged before the client goes on.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(2);

/// What a client puts on each request.
#[derive(Debug, Clone, Default)]
pub(super) struct Dress {
    /// The version it speaks.
    pub(super) version: String,
    /// The capabilities it declares.
    pub(super) capabilities: Value,
    /// Arguments to mirror, by tool; tools with a wrong annotation are not there.
    pub(super) mirrored: HashMap<String, Vec<Mirrored>>,
    /// How many progress tokens it has given out.
    tokens: i64,
}

/// What an answer to the probe says of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// It speaks this era; these are its capabilities, where it told them.
    Modern(Value),
    /// It speaks this era in another version.
    Another(String),
    /// It does not.
    Legacy,
    /// Nothing: no access.
    Nothing,
}

impl Sim {
    /// How the profile speaks this era, where the case is about it.
    pub(super) fn speaks_modern(&self) -> Option<&Modern> {
        let first = self.profile.opens_with.value.0.first()?;
        self.profile.modern.value.as_ref().filter(|_| first.facts().era == Era::Modern)
    }

    /// Whether the client found out that the server speaks this era.
    pub(super) fn is_modern(&self) -> bool {
        self.state().modern.is_some()
    }

    /// Finds out the era with `server/discover`; gives the exchange and the id where this era is spoken, or nothing is
    /// known and nothing more can be done, and `None` where the client goes on with `initialize`
    /// (2026-07-28 basic/versioning#compatibility-matrix).
    pub(super) async fn meet(
        self: &Arc<Self>,
        habits: &Modern,
        step: &Negotiate,
        within: Duration,
    ) -> Option<(u32, String)> {
        let capabilities =
            step.capabilities.clone().unwrap_or_else(|| Value::Object(self.profile.capabilities.value.clone()));
        let mut version = step.version.clone().unwrap_or_else(|| Revision::V2026_07_28.name().to_owned());
        self.prepare(within).await;
        let (mut refused, mut changed) = (false, false);
        loop {
            let dress = Dress { version: version.clone(), capabilities: capabilities.clone(), ..Dress::default() };
            self.state().modern = Some(dress);
            let probe = self.profile.probe.value.as_ref().filter(|_| !refused && !changed);
            let id = probe.map_or_else(|| self.next_id(), |probe| probe.id.clone());
            let (message, mut request) = self.modern_request("server/discover", None, &id, None);
            if let Some(probe) = probe.filter(|_| self.via() == Via::StreamableHttp) {
                request = self.dressed(&probe.headers, &message);
            }
            compose::apply(&mut request.headers, &step.headers);
            let options = Options { until: Some(id.clone()), ..self.options(within) };
            let answered = self.exchange(request, options).await;
            if !refused && self.answer_refusal(&answered, within).await {
                refused = true;
                continue;
            }
            let here = (answered.exchange, id_text(&id));
            match told(&answered, &id, &version) {
                Told::Modern(served) => {
                    if let Some(first) = habits.first_request_id.as_i64().filter(|_| probe.is_some()) {
                        self.next_id.fetch_max(first, Ordering::Relaxed);
                    }
                    self.state().revision = Some(version);
                    if step.settle {
                        self.settle_in(habits, &served, within).await;
                    }
                    return Some(here);
                }
                Told::Another(other) if !changed && step.version.is_none() => {
                    self.note_once(&format!("the server speaks {other} instead of {version}; the client asks again"));
                    (version, changed) = (other, true);
                }
                Told::Legacy if self.gives_up_on(&answered) => return Some(here),
                Told::Legacy if step.version.is_none() => {
                    if answered.status.is_some() || !answered.messages.is_empty() {
                        self.note_once("the server does not speak 2026-07-28: the client goes on with initialize");
                    }
                    self.state().modern = None;
                    return None;
                }
                Told::Another(_) | Told::Legacy | Told::Nothing => return Some(here),
            }
        }
    }

    /// What the client does once it knows the server: its subscription, its lists.
    async fn settle_in(self: &Arc<Self>, habits: &Modern, served: &Value, within: Duration) {
        if let Some(habit) = &habits.listen {
            let id = habit.id.clone().unwrap_or_else(|| self.next_id());
            let wanted = Value::Object(habit.notifications.clone());
            self.subscribe(&wanted, id, &Overrides::new(), within).await;
        }
        self.fetch_lists(&habits.listing, served, within).await;
    }

    /// Opens a subscription in the background; gives its exchange.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        wanted: &Value,
        id: Value,
        headers: &Overrides,
        within: Duration,
    ) -> u32 {
        let params = json!({"notifications": wanted});
        let (_, mut request) = self.modern_request("subscriptions/listen", Some(params), &id, None);
        compose::apply(&mut request.headers, headers);
        let before = self.acknowledged();
        // A channel has no head that could be waited for.
        let head = if self.via() == Via::StreamableHttp { within } else { Duration::ZERO };
        let key = id_text(&id);
        self.state().responses.remove(&key);
        let mut news = self.news.subscribe();
        let exchange = self.open_stream_until(request, Some(id), head).await;
        let limit = moment::passes(ACKNOWLEDGED_WITHIN.min(within));
        tokio::pin!(limit);
        // Once it is acknowledged, nothing that happens is missed.
        while self.acknowledged() == before && !self.is_over(exchange, &key) {
            tokio::select! {
                changed = news.changed() => if changed.is_err() { break },
                () = &mut limit => break,
            }
        }
        exchange
    }

    /// How many subscriptions were acknowledged.
    fn acknowledged(&self) -> usize {
        self.state().heard.iter().filter(|method| *method == "notifications/subscriptions/acknowledged").count()
    }

    /// Whether a request was answered, or its connection is gone.
    fn is_over(&self, exchange: u32, id: &str) -> bool {
        let state = self.state();
        let closed = self.via() == Via::StreamableHttp && !state.hang_ups.contains_key(&exchange);
        closed || state.responses.contains_key(id)
    }

    /// A request of this era: the message, and how it goes out. Members of `meta` are added, or (null) left out.
    pub(super) fn modern_request(
        &self,
        method: &str,
        params: Option<Value>,
        id: &Value,
        meta: Option<&Value>,
    ) -> (Value, Request) {
        // Where `params` is there for `_meta` alone, some put it behind what was there before.
        let added = params.is_none() && self.profile.key_order.value == KeyOrder::RequestsMethodFirst;
        let mut params = match params {
            Some(Value::Object(params)) => params,
            // What is no object is sent as it is: there is no place for `_meta` in it.
            Some(other) => {
                let message = compose::message(self.profile.key_order.value, Some(id.clone()), method, Some(other));
                let request = self.post(&message, Some(method), None);
                return (message, request);
            }
            None => Map::new(),
        };
        let mut all = self.meta_of(method, id);
        for (key, value) in meta.and_then(Value::as_object).into_iter().flatten() {
            if value.is_null() {
                all.shift_remove(key);
            } else {
                all.insert(key.clone(), value.clone());
            }
        }
        // Whoever leaves out everything leaves out `_meta` itself.
        if !all.is_empty() {
            params.insert("_meta".to_owned(), Value::Object(all));
        }
        let mut message =
            compose::message(self.profile.key_order.value, Some(id.clone()), method, Some(Value::Object(params)));
        if let Some(members) = message.as_object_mut().filter(|_| added)
            && let Some(params) = members.shift_remove("params")
        {
            members.insert("params".to_owned(), params);
        }
        let request = self.post(&message, Some(method), name_of(&message));
        (message, request)
    }

    fn meta_of(&self, method: &str, id: &Value) -> Map<String, Value> {
        let mut meta = if method == "tools/call" { self.call_meta() } else { Map::new() };
        let mut state = self.state();
        let Some(dress) = &mut state.modern else { return Map::new() };
        meta.insert(VERSION.to_owned(), json!(dress.version));
        meta.insert(INFO.to_owned(), Value::Object(self.profile.client_info.value.clone()));
        meta.insert(CAPABILITIES.to_owned(), dress.capabilities.clone());
        let tokens = self.profile.modern.value.as_ref().map_or(ProgressTokens::Never, |habits| habits.progress_tokens);
        if method != "server/discover" {
            meta.extend(self.profile.extras.value.modern_meta.clone());
        }
        if tokens.are_on(method) {
            let token = self.progress_token(id, &mut dress.tokens);
            meta.insert("progressToken".to_owned(), token);
        }
        meta
    }

    /// The headers of mirrored arguments, behind the one with the name.
    pub(super) fn mirror(&self, headers: &mut Headers, message: &Value) {
        if message.at("method") != "tools/call" {
            return;
        }
        let state = self.state();
        let tool = message.at("params").at("name").as_str().unwrap_or_default();
        let Some(found) = state.modern.as_ref().and_then(|dress| dress.mirrored.get(tool)) else { return };
        let arguments = message.at("params").at("arguments");
        let at = headers.iter().position(|(name, _)| name.eq_ignore_ascii_case("mcp-name"));
        let at = at.map_or(headers.len(), |at| at + 1);
        let params = found.iter().filter_map(|one| mirror::param(one, arguments));
        headers.splice(at..at, params);
    }

    /// Learns from a page of tools which arguments are mirrored.
    pub(super) fn learn_tools(&self, answered: &Answered) {
        let mut state = self.state();
        let Some(dress) = &mut state.modern else { return };
        let tools =
            answered.messages.iter().filter_map(|message| message.at("result").at("tools").as_array()).flatten();
        for tool in tools {
            let Some(name) = tool.at("name").as_str() else { continue };
            match mirror::mirrored(tool.at("inputSchema")) {
                Some(found) => drop(dress.mirrored.insert(name.to_owned(), found)),
                None => drop(dress.mirrored.remove(name)),
            }
        }
    }

    /// The params of the next attempt, where a result asks for input that the client can give.
    pub(super) fn answered_input(
        &self,
        answered: &Answered,
        id: &Value,
        params: &Value,
        (answers, state): (&Answers, &StateSource),
    ) -> Option<Value> {
        let result = answered.messages.iter().find(|message| message.member("id") == Some(id))?.member("result")?;
        if result.member("resultType")? != "input_required" || answers.silent {
            return None;
        }
        let mut params = params.clone();
        let asked = result.member("inputRequests").and_then(Value::as_object);
        if let Some(asked) = asked {
            let mut responses = Map::new();
            for (key, request) in asked {
                let method = request.at("method").as_str().unwrap_or_default();
                match self.answer_to(answers, method, request.at("params")) {
                    Answer::Result(response) => drop(responses.insert(key.clone(), response)),
                    // There is no way to say no to sampling or roots but to leave them out.
                    Answer::Error { .. } => {}
                }
            }
            params["inputResponses"] = Value::Object(responses);
        }
        let given = result.member("requestState").and_then(Value::as_str);
        let sent = match (state, given) {
            (StateSource::Echo, given) => given.map(str::to_owned),
            (StateSource::Altered, given) => Some(format!("{}-altered", given.unwrap_or_default())),
            (StateSource::None, _) => None,
            (StateSource::Literal(other), _) => Some(other.clone()),
        };
        if let Some(sent) = sent {
            params["requestState"] = json!(sent);
        }
        Some(params)
    }
}

/// What the answer to a probe says (2026-07-28 basic/transports/streamable-http#backward-compatibility and
/// basic/transports/stdio#backward-compatibility).
fn told(answered: &Answered, id: &Value, asked: &str) -> Told {
    if matches!(answered.status, Some(401 | 403)) {
        return Told::Nothing;
    }
    let own = |message: &&Arc<Value>| message.member("id") == Some(id) || message.member("error").is_some();
    let Some(message) = answered.messages.iter().find(own) else {
        // Silence, and what cannot be read, is how some old servers answer; nearly all clients go on then.
        return Told::Legacy;
    };
    let versions = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let modern = |name: &String| name.parse::<Revision>().is_ok_and(|revision| revision.facts().era == Era::Modern);
    if let Some(result) = message.member("result") {
        let supported = versions(result.at("supportedVersions"));
        return match supported.iter().find(|name| *name == asked).or_else(|| supported.iter().find(|name| modern(name)))
        {
            Some(name) if name == asked => Told::Modern(result.at("capabilities").clone()),
            Some(other) => Told::Another(other.clone()),
            None => Told::Legacy,
        };
    }
    match message.at("error").at("code").as_i64() {
        Some(UNSUPPORTED_VERSION) => versions(message.at("error").at("data").at("supported"))
            .into_iter()
            .find(modern)
            .map_or(Told::Legacy, Told::Another),
        Some(HEADER_MISMATCH | MISSING_CAPABILITY) => Told::Modern(Value::Null),
        Some(-32601) if answered.status == Some(404) => Told::Modern(Value::Null),
        _ => Told::Legacy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(status: u16, message: Value) -> Told {
        let answered = Answered { status: Some(status), messages: vec![Arc::new(message)], ..Answered::of(1) };
        told(&answered, &json!(1), "2026-07-28")
    }

    #[test]
    fn answers_to_the_probe_tell_the_era() {
        let result = |versions: Value| json!({"id": 1, "result": {"supportedVersions": versions, "capabilities": {}}});
        let error = |code: i64, data: Value| json!({"id": 1, "error": {"code": code, "message": "m", "data": data}});
        assert_eq!(after(200, result(json!(["2026-07-28", "2025-11-25"]))), Told::Modern(json!({})));
        assert_eq!(after(200, result(json!(["2025-11-25"]))), Told::Legacy);
        let supported = json!({"supported": ["2026-07-28"], "requested": "x"});
        assert_eq!(after(400, error(-32022, supported)), Told::Another("2026-07-28".to_owned()));
        assert_eq!(after(400, error(-32022, json!({"supported": ["2025-11-25"]}))), Told::Legacy);
        assert_eq!(after(400, error(-32020, Value::Null)), Told::Modern(Value::Null));
        assert_eq!(after(404, error(-32601, Value::Null)), Told::Modern(Value::Null));
        // A bare refusal of these is what servers of the older era answer with.
        assert_eq!(after(400, error(-32602, Value::Null)), Told::Legacy);
        assert_eq!(after(400, error(-32000, Value::Null)), Told::Legacy);
        assert_eq!(after(200, error(-32601, Value::Null)), Told::Legacy);
        assert_eq!(after(401, Value::Null), Told::Nothing);
        let bare = |status| told(&Answered { status: Some(status), ..Answered::of(1) }, &json!(1), "2026-07-28");
        assert_eq!((bare(404), bare(503), bare(403)), (Told::Legacy, Told::Legacy, Told::Nothing));
    }
}
