//! The method table, and how one request is run: spawned by its caller, cancellable by id, within its session.
//!
//! It must not know HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::config::ServerConfig;
use super::doors::Channels;
use super::fault::{Faults, OutCtx, Rule};
use super::modern::{Modern, Seal};
use super::oauth::{Issuer, protected_resource};
use super::peer::Call;
use super::reply::{Outcome, RpcError, code, response};
use super::session::{Session, Sessions};
use super::socket::Connections;
use super::{completion, lifecycle, prompts, resources, schema, tools};
use crate::model::{Clock as _, HybridClock, Members as _, Rng, Via, id_text};

const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource";
/// Where a fault hides it: at a place that only a challenge can tell.
const ODD_METADATA: &str = "/about/resource";

/// `http://host:port`, or what the configuration says instead.
pub(crate) fn origin(config: &ServerConfig, addr: SocketAddr) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    config
        .public_url
        .as_deref()
        .map_or_else(|| format!("{scheme}://{addr}"), |url| url.trim_end_matches('/').to_owned())
}

fn client_document_path(config: &ServerConfig) -> String {
    format!("{}/client.json", config.path)
}

/// The description of a client that a server has itself; for rehearsals, as a server on this machine can read no other.
pub(crate) fn client_document(config: &ServerConfig, origin: &str) -> Value {
    json!({
        "client_id": format!("{origin}{}", client_document_path(config)),
        "client_name": "A client with a document",
        "redirect_uris": ["http://127.0.0.1:33418/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    })
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: ServerConfig,
    pub(crate) addr: SocketAddr,
    pub(crate) clock: HybridClock,
    pub(crate) rng: Rng,
    pub(crate) faults: Arc<Faults>,
    pub(crate) issuer: Option<Issuer>,
    pub(crate) sessions: Sessions,
    pub(crate) counted: AtomicU64,
    pub(crate) connections: Connections,
    /// Conversations that have one way for all their messages.
    pub(crate) channels: Arc<Channels>,
    /// What requests without a session share.
    pub(crate) modern: Arc<Modern>,
    /// What protects the states that clients keep between two rounds.
    pub(crate) seal: Arc<Seal>,
}

impl App {
    /// `http://host:port` or what the configuration says instead.
    fn origin(&self) -> String {
        origin(&self.config, self.addr)
    }

    /// Whether clients are told the ids of their sessions, and have to send them.
    pub(crate) fn gives_session_ids(&self) -> bool {
        let wanted = self.config.session_ids || !self.faults.holds(Rule::SessionIdsAvoided);
        wanted && self.faults.holds(Rule::SessionIssued)
    }

    /// The resource identifier of the endpoint (RFC 8707 section 2).
    pub(crate) fn resource(&self) -> String {
        self.resource_at(&self.config.path)
    }

    /// The same of the endpoint at a path.
    pub(crate) fn resource_at(&self, door: &str) -> String {
        format!("{}{door}", self.origin())
    }

    /// Where the metadata of the endpoint at a path is (RFC 9728 section 3.1).
    pub(crate) fn resource_metadata_url(&self, door: &str) -> String {
        if !self.faults.holds(Rule::MetadataAlwaysNamed) {
            return format!("{}{ODD_METADATA}", self.origin());
        }
        let path = if self.faults.holds(Rule::MetadataAtPath) { door } else { "" };
        format!("{}{RESOURCE_METADATA}{path}", self.origin())
    }

    /// The metadata at one of its places, if it is there for everybody; only faults tell them apart.
    pub(crate) fn resource_metadata(&self, path: &str, issuer: &Issuer) -> Option<Value> {
        let root = path == RESOURCE_METADATA;
        if !root && !self.faults.holds(Rule::MetadataAtPath) {
            return None;
        }
        let other = root && !self.faults.holds(Rule::RootMetadataOurs);
        let resource = match path.strip_prefix(RESOURCE_METADATA) {
            _ if other => format!("{}/other", self.origin()),
            Some(door) if !root => self.resource_at(door),
            _ => self.resource(),
        };
        Some(protected_resource(&resource, &issuer.identifier()))
    }

    /// Where a client is described that may name this as its id.
    pub(crate) fn client_document_path(&self) -> String {
        client_document_path(&self.config)
    }

    /// The description of that client.
    pub(crate) fn client_document(&self) -> Value {
        client_document(&self.config, &self.origin())
    }

    /// Whether a path is one of the two places of that metadata.
    pub(crate) fn is_resource_metadata_path(&self, path: &str) -> bool {
        if !self.faults.holds(Rule::MetadataServed) {
            return false;
        }
        if !self.faults.holds(Rule::MetadataAlwaysNamed) {
            return path == ODD_METADATA;
        }
        let rest = path.strip_prefix(RESOURCE_METADATA);
        let sse = |rest: &str| self.config.offers(Via::LegacySse) && rest == self.config.sse_path;
        self.config.issuer_for.is_none()
            && rest.is_some_and(|rest| rest.is_empty() || rest == self.config.path || sse(rest))
    }

    /// The number of this handshake, from 1.
    pub(crate) fn count_session(&self) -> u64 {
        self.counted.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many handshakes there were.
    pub(crate) fn count(&self) -> u64 {
        self.counted.load(Ordering::Relaxed)
    }

    /// How a running request is found again; ids of different JSON types are different ids.
    pub(crate) fn key(&self, id: &Value) -> String {
        let text = id_text(id);
        if self.faults.holds(Rule::IdTypesApart) { text } else { text.trim_matches('"').to_owned() }
    }

    /// Runs a request to its response; `None` if it was cancelled.
    ///
    /// The request counts as running, and its time as running down, from the call on, not from the first poll: a
    /// cancellation or a move of the clock that comes right behind it finds it.
    pub(crate) fn perform(
        self: Arc<Self>,
        session: Arc<Session>,
        stream: Option<u64>,
        request: Value,
    ) -> impl Future<Output = Option<Value>> + Send + 'static {
        let arrived = self.clock.elapsed();
        let key = self.key(request.member("id").unwrap_or(&Value::Null));
        let begun = session.begin(&key);
        self.perform_begun(session, stream, request, arrived, key, begun)
    }

    async fn perform_begun(
        self: Arc<Self>,
        session: Arc<Session>,
        stream: Option<u64>,
        request: Value,
        arrived: Duration,
        key: String,
        begun: Option<oneshot::Receiver<()>>,
    ) -> Option<Value> {
        let id = request.member("id").cloned().unwrap_or_default();
        let method = request.member("method").and_then(Value::as_str).unwrap_or_default();
        let empty = json!({});
        let params = request.member("params").unwrap_or(&empty);
        let token = params
            .member("_meta")
            .and_then(|meta| meta.member("progressToken"))
            .filter(|token| token.is_string() || token.is_i64() || token.is_u64())
            .cloned();
        let call = Call { app: self.clone(), session: session.clone(), stream, token, arrived, modern: None };
        let Some(cancelled) = begun else {
            let error = RpcError::new(code::INVALID_REQUEST, "A request with this id is still running");
            return Some(response(&id, Err(error)));
        };
        let outcome = tokio::select! {
            // A cancellation that came first wins, also where the work has ended by now.
            biased;
            Ok(()) = cancelled => {
                let error = RpcError::new(code::INTERNAL, "Cancelled");
                let silent = self.faults.holds(Rule::CancelledSilent) && self.faults.holds(Rule::CancelDecidesOnce);
                (!silent).then_some(Err(error))
            }
            outcome = run(&call, method, params) => Some(outcome),
        };
        session.end(&key);
        outcome.map(|outcome| response(&id, outcome))
    }

    /// Takes a notification; unknown ones are nothing.
    pub(crate) fn notified(&self, session: &Session, message: &Value) {
        let params = message.member("params");
        match message.member("method").and_then(Value::as_str) {
            Some("notifications/initialized") => session.set_initialized(),
            Some("notifications/cancelled") if self.faults.holds(Rule::CancelHonoured) => {
                let Some(id) = params.and_then(|params| params.member("requestId")) else { return };
                session.cancel(&self.key(id));
                if !self.faults.holds(Rule::CancelKeepsToSession) {
                    for other in self.sessions.all() {
                        other.cancel(&self.key(id));
                    }
                }
            }
            _ => {}
        }
    }

    /// A response as it goes out in a JSON body, after the faults have had it.
    pub(crate) fn outgoing(&self, method: Option<&str>, mut message: Value) -> Value {
        self.faults.outgoing(&mut message, &OutCtx { method });
        message
    }
}

/// The members of params that some method knows.
const PARAMS: [&str; 12] = [
    "_meta",
    "cursor",
    "name",
    "arguments",
    "uri",
    "level",
    "ref",
    "argument",
    "context",
    "task",
    "inputResponses",
    "requestState",
];

/// Does what a method says.
pub(crate) async fn run(call: &Call, method: &str, params: &Value) -> Outcome {
    let (app, session) = (&*call.app, &*call.session);
    let meta = params.member("_meta").and_then(Value::as_object);
    let unknown_key = meta.is_some_and(|meta| meta.keys().any(|key| key != "progressToken"));
    if unknown_key && !app.faults.holds(Rule::MetaOpen) {
        return Err(RpcError::params("_meta has an unknown key"));
    }
    let unknown_member =
        params.as_object().is_some_and(|given| given.keys().any(|key| !PARAMS.contains(&key.as_str())));
    if unknown_member && !app.faults.holds(Rule::ParamsOpen) {
        return Err(RpcError::params("params has an unknown member"));
    }
    let of_cursor = schema::method_of_cursor(params).filter(|_| !app.faults.holds(Rule::CursorBound));
    let method = of_cursor.as_deref().unwrap_or(method);
    if let Some(cursor) = params.member("cursor").and_then(Value::as_str)
        && !app.faults.holds(Rule::CursorsLast)
        && !session.mark(cursor)
    {
        return Err(RpcError::params("The cursor has been used"));
    }
    match method {
        "ping" if !session.initialized() && !app.faults.holds(Rule::EarlyPingAnswered) => {
            Err(RpcError::new(code::INVALID_REQUEST, "Not initialized"))
        }
        "ping" => {
            while session.running() > 1 && !app.faults.holds(Rule::PingsApart) {
                call.sleep(10).await;
            }
            Ok(json!({}))
        }
        "initialize" => Err(RpcError::new(code::INVALID_REQUEST, "This session is initialized already")),
        "logging/setLevel" => lifecycle::set_level(app, session, params),
        "tools/list" => tools::list(app, session, params),
        "tools/call" => tools::call(call, params).await,
        "resources/list" => resources::list(app, session, params),
        "resources/templates/list" => resources::templates(app, session, params),
        "resources/read" => resources::read(app, session, params),
        "resources/subscribe" => resources::subscribe(session, params, true),
        "resources/unsubscribe" => resources::subscribe(session, params, !app.faults.holds(Rule::UnsubscribeHonoured)),
        "prompts/list" => prompts::list(app, session, params),
        "prompts/get" => prompts::get(call, params).await,
        "completion/complete"
            if params.member("context").is_some() && !app.faults.holds(Rule::CompletionContextTaken) =>
        {
            Err(RpcError::params("context is not known"))
        }
        "completion/complete" => completion::complete(params),
        _ if app.faults.holds(Rule::UnknownMethodRefused) => {
            Err(RpcError::new(code::METHOD_NOT_FOUND, format!("Method not found: {method}")))
        }
        _ => Ok(json!({})),
    }
}
