//! How a deed looks on the wire, and what its answer says. Pure but for the names that it learns.

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::deed::{Bearer, Deed, Errand, Flaw, Id, Resource, Scope, Seen, Token};
use super::link::Answer;
use super::names::{CodeText, Names, SessionText, TokenText};

/// The revision of sessions that is spoken.
pub(crate) const LEGACY: &str = "2025-11-25";
/// The revision without sessions.
pub(crate) const MODERN: &str = "2026-07-28";
/// Where codes are sent.
pub(crate) const REDIRECT: &str = "http://127.0.0.1:33418/callback";
/// A redirect URI that no code was sent to.
pub(crate) const OTHER_REDIRECT: &str = "http://127.0.0.1:33418/other";
/// The resource of tokens that are for another server.
pub(crate) const ELSEWHERE: &str = "https://elsewhere.example.com/mcp";
/// The text of a forged token, of a wrong verifier, and of a session that never was.
pub(crate) const FORGED: &str = "forged-token-that-no-issuer-made";
pub(crate) const WRONG_VERIFIER: &str = "a-verifier-that-was-never-hashed-for-any-code";
pub(crate) const NO_SESSION: &str = "0123456789abcdef0123456789abcdef";

/// What users are called.
pub(crate) fn user_name(user: u8) -> String {
    format!("user-{}", user + 1)
}

/// Where things are at a server.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) host: String,
    pub(crate) endpoint: String,
    pub(crate) resource: String,
    pub(crate) register: String,
    pub(crate) authorize: String,
    pub(crate) token: String,
    pub(crate) revoke: String,
    /// The revision of sessions that is spoken there.
    pub(crate) revision: String,
    /// Whether the scopes are those of the reference server.
    pub(crate) scopes: bool,
    /// The scope that the server asks for, where it is somebody else's.
    pub(crate) scope: Option<String>,
}

/// The PKCE challenge of a verifier.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The params of an errand's method, and the name that the newer era mirrors in a header.
fn params(errand: Errand) -> (&'static str, Value, Option<&'static str>) {
    match errand {
        Errand::List => ("tools/list", json!({}), None),
        Errand::Read => ("tools/call", json!({"name": "test_simple_text", "arguments": {}}), Some("test_simple_text")),
        Errand::Write => {
            let tool = "test_trigger_tool_change";
            ("tools/call", json!({"name": tool, "arguments": {}}), Some(tool))
        }
    }
}

/// The message of an errand in the era of sessions.
pub(crate) fn message(errand: Errand, id: u32) -> Value {
    let (method, params, _) = params(errand);
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// The same in the era without, with the headers that mirror it.
pub(crate) fn modern_message(errand: Errand, id: u32) -> (Value, Vec<(&'static str, &'static str)>) {
    let (method, mut params, name) = params(errand);
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "mcp-rehearsal", "version": "0.1.0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let mut headers = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
    headers.extend(name.map(|name| ("mcp-name", name)));
    (message, headers)
}

/// The message that opens a session.
pub(crate) fn initialize(id: u32) -> Value {
    let client = json!({"name": "mcp-rehearsal", "version": "0.1.0"});
    json!({"jsonrpc": "2.0", "id": id, "method": "initialize",
        "params": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client}})
}

/// The message of a call that takes so many milliseconds.
pub(crate) fn long_call(id: u32, ms: u128) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": "test_slow", "arguments": {"ms": ms}, "_meta": {"progressToken": id}}})
}

/// What is sent for a deed, with what the deed needs to be understood again.
pub(crate) struct Writer<'a> {
    pub(crate) places: &'a Places,
    pub(crate) names: &'a Names,
    /// The JSON-RPC id of the request, if it has one.
    pub(crate) id: u32,
    /// The verifier of an authorization request.
    pub(crate) verifier: &'a str,
}

impl Writer<'_> {
    fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Option<Request<Body>> {
        let request = Request::post(path).header("host", &self.places.host);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(Body::from(encoded(pairs))).ok()
    }

    /// A message to the endpoint.
    pub(crate) fn post(
        &self,
        message: &Value,
        session: Option<&str>,
        bearer: Bearer,
        more: &[(&str, &str)],
    ) -> Option<Request<Body>> {
        let mut request = Request::post(&self.places.endpoint)
            .header("host", &self.places.host)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        if let Some(session) = session.filter(|id| !id.is_empty()) {
            request = request.header("mcp-session-id", session);
        }
        if let Some(token) = self.bearer(bearer) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(Body::from(message.to_string())).ok()
    }

    /// A request to the endpoint without a body.
    pub(crate) fn bare(
        &self,
        method: &str,
        session: &str,
        bearer: Bearer,
        last: Option<&str>,
    ) -> Option<Request<Body>> {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.places.endpoint)
            .header("host", &self.places.host)
            .header("accept", "text/event-stream")
            .header("mcp-protocol-version", &self.places.revision)
            .header("mcp-session-id", session);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        if let Some(token) = self.bearer(bearer) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(Body::empty()).ok()
    }

    fn bearer(&self, bearer: Bearer) -> Option<&str> {
        match bearer {
            Bearer::Access(id) => self.names.access.get(usize::from(id)).map(|token| token.text.as_str()),
            Bearer::Forged => Some(FORGED),
            Bearer::Nothing => None,
        }
    }

    /// The text of a session.
    pub(crate) fn session(&self, id: Id) -> &str {
        self.names.sessions.get(usize::from(id)).map_or(NO_SESSION, |session| session.text.as_str())
    }

    fn client(&self, id: Id) -> &str {
        self.names.clients.get(usize::from(id)).map_or("no-such-client", String::as_str)
    }

    fn resource(&self, resource: Resource) -> &str {
        match resource {
            Resource::Here => &self.places.resource,
            Resource::Elsewhere => ELSEWHERE,
        }
    }

    /// The request of a deed that is one request; `None` for all others.
    pub(crate) fn request(&self, deed: &Deed) -> Option<Request<Body>> {
        match *deed {
            Deed::Register => {
                let body = json!({
                    "redirect_uris": [REDIRECT],
                    "grant_types": ["authorization_code", "refresh_token"],
                    "response_types": ["code"],
                    "token_endpoint_auth_method": "none",
                });
                let request = Request::post(&self.places.register).header("host", &self.places.host);
                request.header("content-type", "application/json").body(Body::from(body.to_string())).ok()
            }
            Deed::Authorise { client, user, scope, resource } => {
                let (scope, user, hashed) = (scope.to_string(), user_name(user), challenge(self.verifier));
                let mut pairs = vec![
                    ("response_type", "code"),
                    ("client_id", self.client(client)),
                    ("redirect_uri", REDIRECT),
                    ("state", "s"),
                    ("code_challenge", hashed.as_str()),
                    ("code_challenge_method", "S256"),
                    ("resource", self.resource(resource)),
                ];
                if self.places.scopes {
                    pairs.extend([("scope", scope.as_str()), ("login_hint", user.as_str())]);
                }
                pairs.extend(self.places.scope.as_deref().map(|scope| ("scope", scope)));
                let query = encoded(&pairs);
                let joint = if self.places.authorize.contains('?') { '&' } else { '?' };
                let place = format!("{}{joint}{query}", self.places.authorize);
                Request::get(place).header("host", &self.places.host).body(Body::empty()).ok()
            }
            Deed::Exchange { code, client, flaw } => {
                let code = self.names.codes.get(usize::from(code))?;
                let verifier = if flaw == Some(Flaw::Verifier) { WRONG_VERIFIER } else { &code.verifier };
                let redirect = if flaw == Some(Flaw::Redirect) { OTHER_REDIRECT } else { REDIRECT };
                self.form(
                    &self.places.token,
                    &[
                        ("grant_type", "authorization_code"),
                        ("code", &code.text),
                        ("redirect_uri", redirect),
                        ("code_verifier", verifier),
                        ("client_id", self.client(client)),
                        ("resource", self.resource(code.resource)),
                    ],
                )
            }
            Deed::Refresh { token, client, scope, resource } => {
                let token = self.names.refresh.get(usize::from(token))?;
                let scope = scope.map(|scope| scope.to_string());
                let mut pairs = vec![
                    ("grant_type", "refresh_token"),
                    ("refresh_token", token.text.as_str()),
                    ("client_id", self.client(client)),
                ];
                pairs.extend(scope.as_deref().map(|scope| ("scope", scope)));
                pairs.extend(resource.map(|resource| ("resource", self.resource(resource))));
                self.form(&self.places.token, &pairs)
            }
            Deed::Revoke { token, client } => {
                let token = match token {
                    Token::Access(id) => self.names.access.get(usize::from(id))?,
                    Token::Refresh(id) => self.names.refresh.get(usize::from(id))?,
                };
                self.form(&self.places.revoke, &[("token", &token.text), ("client_id", self.client(client))])
            }
            Deed::Open { bearer } => self.post(&initialize(self.id), None, bearer, &[]),
            Deed::Call { session, bearer, errand } => {
                let session = session.map_or(NO_SESSION, |id| self.session(id));
                let version = [("mcp-protocol-version", self.places.revision.as_str())];
                self.post(&message(errand, self.id), Some(session), bearer, &version)
            }
            Deed::Ask { bearer, errand } => {
                let (message, headers) = modern_message(errand, self.id);
                self.post(&message, None, bearer, &headers)
            }
            Deed::Delete { session, bearer } => self.bare("DELETE", self.session(session), bearer, None),
            Deed::Start { session, bearer } => {
                let message = long_call(self.id, super::model::WORK.as_millis());
                let version = [("mcp-protocol-version", self.places.revision.as_str())];
                self.post(&message, Some(self.session(session)), bearer, &version)
            }
            Deed::Drop { .. } | Deed::Cancel { .. } | Deed::Finish { .. } | Deed::Pass(_) | Deed::Reconnect => None,
        }
    }
}

/// The code of the error of an answer: of OAuth, of a challenge, or of JSON-RPC.
fn error_of(answer: &Answer, document: &Value) -> String {
    if let Some(code) = document["error"].as_str() {
        return code.to_owned();
    }
    if let Some(code) = document["error"]["code"].as_i64() {
        return code.to_string();
    }
    let body = String::from_utf8_lossy(&answer.body);
    if body.contains("client is unknown") { "unknown client".to_owned() } else { String::new() }
}

/// What an answer says of a deed. Whatever it hands out gets its number here.
pub(crate) fn understand(deed: &Deed, answer: &Answer, names: &mut Names, id: u32, verifier: &str) -> Seen {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let refused = || Seen::Refused { status: answer.status, error: error_of(answer, &document) };
    let text = |name: &str| document[name].as_str().map(str::to_owned);
    match *deed {
        Deed::Register => match (answer.status, text("client_id")) {
            (200 | 201, Some(client)) => Seen::Client(names.client(client)),
            _ => refused(),
        },
        Deed::Authorise { client, user, resource, .. } => {
            let place = answer.header("location").and_then(|place| url::Url::parse(place).ok());
            let member = |wanted: &str| {
                let place = place.as_ref()?;
                place.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
            };
            match (member("code"), member("error")) {
                (Some(text), None) => {
                    Seen::Code(names.code(CodeText { text, verifier: verifier.to_owned(), client, user, resource }))
                }
                (_, Some(error)) => Seen::Refused { status: answer.status, error },
                _ => refused(),
            }
        }
        Deed::Exchange { .. } | Deed::Refresh { .. } => {
            let Some(access) = text("access_token").filter(|_| answer.status == 200) else { return refused() };
            let owner = match *deed {
                Deed::Exchange { code, client, .. } => {
                    names.codes.get(usize::from(code)).map(|code| (client, code.user))
                }
                Deed::Refresh { token, client, .. } => {
                    names.refresh.get(usize::from(token)).map(|token| (client, token.user))
                }
                _ => None,
            };
            let (client, user) = owner.unwrap_or_default();
            let refresh = text("refresh_token").map(|text| names.refresh(TokenText { text, client, user }));
            Seen::Tokens {
                access: names.access(TokenText { text: access, client, user }),
                refresh,
                scope: document["scope"].as_str().map(Scope::read),
                expires_in: document["expires_in"].as_u64(),
            }
        }
        Deed::Revoke { .. } | Deed::Delete { .. } | Deed::Cancel { .. } => match answer.status {
            200..=299 => Seen::Done,
            _ => refused(),
        },
        Deed::Open { bearer } => {
            if answer.status != 200 || !document["result"].is_object() {
                return refused();
            }
            let user = match bearer {
                Bearer::Access(id) => names.access.get(usize::from(id)).map_or(0, |token| token.user),
                _ => 0,
            };
            match answer.header("mcp-session-id") {
                Some(text) => Seen::Session(names.session(SessionText { text: text.to_owned(), user })),
                None if names.sessionless => Seen::Session(names.nameless(user)),
                None => Seen::Odd("no session id".to_owned()),
            }
        }
        Deed::Call { .. } | Deed::Ask { .. } => {
            if answer.status != 200 {
                return refused();
            }
            match (document["id"] == json!(id), document["result"].is_object()) {
                (true, true) if document["result"]["isError"] == true => Seen::Odd("a tool error".to_owned()),
                (true, true) => Seen::Result,
                (true, false) => Seen::Odd(format!("error {} with status 200", document["error"]["code"])),
                (false, _) if document.is_null() => Seen::Odd("200 and no response".to_owned()),
                (false, _) => Seen::Odd("a response to another request".to_owned()),
            }
        }
        Deed::Start { .. } if answer.status == 200 && answer.is_stream() => {
            names.calls += 1;
            Seen::Call(names.calls - 1)
        }
        Deed::Start { .. } => refused(),
        Deed::Drop { .. } | Deed::Finish { .. } | Deed::Pass(_) | Deed::Reconnect => Seen::Done,
    }
}
