//! The front door: one HTTP request in, one HTTP answer out; which door it is for, and the rules of Streamable HTTP.
//!
//! Owns statuses and headers. What a method does is for `dispatch`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::BoxError;
use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::http::{HeaderMap, Method, Request, Response};
use hyper::upgrade::OnUpgrade;
use serde_json::{Value, json};

use super::answer::{AskCtx, Reply};
use super::bearer::{self, Caller};
use super::body::{all_taken, read};
use super::config::Eras;
use super::dispatch::App;
use super::doors::Connection;
use super::fault::Rule;
use super::reply::code;
use super::session::{ResumeError, Session};
use super::{control, doors, guard, oauth, post};
use crate::model::{Clock as _, Members as _, Revision, Via};

/// The largest body, or message, that is read.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;
/// How many milliseconds the end of a connection is waited for.
const NOTICES: u32 = 50;

/// A header as text; bytes that are no text count as absent.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Serves one request.
pub(crate) async fn serve<B>(
    app: Arc<App>,
    mut request: Request<B>,
    connection: Arc<Connection>,
) -> Result<Response<Body>, Infallible>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let on = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let mut body = Body::new(body).into_data_stream();
    let mut ask = AskCtx {
        http_method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        agent: header(&parts.headers, "user-agent").unwrap_or_default().to_owned(),
        session: header(&parts.headers, "mcp-session-id").map(str::to_owned),
        resumes: parts.headers.contains_key("last-event-id"),
        connection: connection.number,
        ..AskCtx::default()
    };
    app.sessions.sweep(app.clock.unix());
    let path = parts.uri.path().to_owned();
    if app.config.control && path.starts_with("/control/") {
        let reply = match (foreign(&app, &parts.headers, None), read(&app, &mut body, MAX_BODY).await) {
            (None, Ok(body)) => control::serve(&app, &parts.method, &path, &body).await,
            (Some(refusal), _) => refusal,
            (None, Err(why)) => Reply::empty(why.status()),
        };
        return Ok(reply.into_response());
    }
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let asked = Asked { method: &parts.method, path: &path, query: &query, headers: &parts.headers };
    let mut reply = match authorization(&app, &parts.method, &path, &query, &parts.headers, &mut body).await {
        Some(reply) => reply,
        None if asked.is_upgrade(&app) => socket(&app, &asked, (&connection, on)).await,
        None if asked.is_legacy(&app) => legacy(&app, &asked, &mut body).await,
        None if parts.method == Method::POST && app.orphaned(&ask, connection.number).await => Reply::empty(404),
        None => route(&app, &parts.method, (&path, &query), &parts.headers, &mut body, &mut ask).await,
    };
    app.faults.head(&mut reply.head, &ask);
    if !all_taken(&mut body, &parts.headers).await {
        reply = reply.with("connection", "close");
    }
    Ok(reply.into_response())
}

/// The refusal of a request from a foreign page, or through a foreign name.
fn foreign(app: &App, headers: &HeaderMap, id: Option<&Value>) -> Option<Reply> {
    let host = header(headers, "host").unwrap_or_default();
    if foreign_host(app, headers) {
        return Some(Reply::refuse(403, id, code::INVALID_REQUEST, "Host is not allowed"));
    }
    if !app.faults.holds(Rule::OriginOptional) && !headers.contains_key("origin") {
        return Some(Reply::refuse(403, id, code::INVALID_REQUEST, "Origin is missing"));
    }
    if app.faults.holds(Rule::OriginChecked)
        && let Some(origin) = headers.get("origin")
        && !origin.to_str().is_ok_and(|origin| guard::origin_allowed(origin, host))
    {
        return Some(Reply::refuse(403, id, code::INVALID_REQUEST, "Origin is not allowed"));
    }
    None
}

/// Serves what belongs to authorization; `None` where the path is another's. These endpoints are there for pages of any
/// origin, but not through foreign names.
async fn authorization(
    app: &App,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Option<Reply> {
    let issuer = app.issuer.as_ref()?;
    let metadata = app.is_resource_metadata_path(path);
    let endpoint = oauth::Endpoint::at(path, issuer);
    let described = issuer.config.documents_on_loopback && path == app.client_document_path();
    if !metadata && endpoint.is_none() && !described {
        return None;
    }
    if foreign_host(app, headers) {
        return Some(Reply::refuse(403, None, code::INVALID_REQUEST, "Host is not allowed"));
    }
    let Some(endpoint) = endpoint else {
        let reply = match *method {
            Method::GET | Method::HEAD if described => Reply::json(200, &app.client_document()),
            Method::GET | Method::HEAD => {
                app.resource_metadata(path, issuer).map_or_else(|| Reply::empty(401), |found| Reply::json(200, &found))
            }
            _ => Reply::empty(405).with("allow", "GET"),
        };
        return Some(reply.with("access-control-allow-origin", "*"));
    };
    Some(match read(app, body, oauth::MAX_BODY).await {
        Ok(body) => oauth::serve(issuer, endpoint, method, query, headers, &body).await,
        Err(why) => {
            let said = json!({"error": "invalid_request", "error_description": why.words()});
            Reply::json(why.status(), &said)
        }
    })
}

fn foreign_host(app: &App, headers: &HeaderMap) -> bool {
    let host = header(headers, "host").unwrap_or_default();
    app.addr.ip().is_loopback() && !guard::is_loopback(host) && app.faults.holds(Rule::HostChecked)
}

/// The head of a request.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    fn is_upgrade(&self, app: &App) -> bool {
        let config = &app.config;
        config.offers(Via::WebSocket)
            && config.issuer_for.is_none()
            && self.path == config.path
            && doors::asks_for_websocket(self.method, self.headers)
    }

    fn is_legacy(&self, app: &App) -> bool {
        let config = &app.config;
        config.offers(Via::LegacySse)
            && config.eras != Eras::Modern
            && config.issuer_for.is_none()
            && (self.path == config.sse_path || self.path == doors::post_path(app))
    }
}

/// Serves a request that wants to become a socket.
async fn socket(app: &Arc<App>, asked: &Asked<'_>, socket: (&Connection, OnUpgrade)) -> Reply {
    if let Some(refusal) = foreign(app, asked.headers, None) {
        return refusal;
    }
    match bearer::admit(app, &app.config.path, asked.method, asked.query, asked.headers).await {
        Ok(caller) => doors::upgrade(app, asked.query, asked.headers, caller.as_ref(), socket),
        Err(refusal) => refusal,
    }
}

/// Serves the two endpoints of HTTP+SSE.
async fn legacy(app: &Arc<App>, asked: &Asked<'_>, body: &mut BodyDataStream) -> Reply {
    let Asked { method, path, query, headers } = *asked;
    if let Some(refusal) = foreign(app, headers, None).filter(|_| app.faults.holds(Rule::LegacyOriginChecked)) {
        return refusal;
    }
    let caller = match bearer::admit(app, &app.config.sse_path, method, query, headers).await {
        Ok(caller) => caller,
        Err(_) if !app.faults.holds(Rule::LegacyGuarded) => None,
        Err(refusal) => return refusal,
    };
    let caller = caller.as_ref();
    if path == app.config.sse_path {
        return doors::open_legacy(app, method, headers, caller).await;
    }
    if let Some(refusal) = doors::refuse_legacy(app, asked.method, query, headers, caller) {
        return refusal;
    }
    match read(app, body, MAX_BODY).await {
        Ok(body) => doors::post_legacy(app, query, &body, caller).await,
        Err(why) => Reply::refuse(why.status(), None, code::INVALID_REQUEST, why.words()),
    }
}

async fn route(
    app: &Arc<App>,
    method: &Method,
    (path, query): (&str, &str),
    headers: &HeaderMap,
    body: &mut BodyDataStream,
    ask: &mut AskCtx,
) -> Reply {
    if let Some(refusal) = foreign(app, headers, None) {
        if app.faults.holds(Rule::OriginBeforeBody) {
            return refusal;
        }
        let body = read(app, body, MAX_BODY).await.unwrap_or_default();
        let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        return foreign(app, headers, body.member("id")).unwrap_or(refusal);
    }
    let config = &app.config;
    // Who has only a session of a socket may end it here.
    let offered = config.offers(Via::StreamableHttp) || (config.offers(Via::WebSocket) && *method == Method::DELETE);
    if path != config.path || !offered || config.issuer_for.is_some() {
        return Reply::empty(404);
    }
    let caller = match bearer::admit(app, &config.path, method, query, headers).await {
        Ok(caller) => caller,
        Err(refusal) if *method == Method::POST && !app.faults.holds(Rule::CallsChallenged) => {
            let body = read(app, body, MAX_BODY).await.ok().and_then(|body| serde_json::from_slice(&body).ok());
            return bearer::as_tool_error(app, headers, &body.unwrap_or_default()).unwrap_or(refusal);
        }
        Err(_)
            if header(headers, "mcp-method") == Some("subscriptions/listen")
                && !app.faults.holds(Rule::ListenGuarded) =>
        {
            None
        }
        Err(refusal) => return refusal,
    };
    let caller = caller.as_ref();
    if config.eras == Eras::Modern && *method != Method::POST {
        return Reply::refuse(405, None, code::INVALID_REQUEST, "Method not allowed").with("allow", "POST");
    }
    match *method {
        Method::POST => {
            if let Some(refusal) = post::refuse_headers(app, headers) {
                return refusal;
            }
            match read(app, body, MAX_BODY).await {
                Ok(body) => post::serve(app, headers, &body, caller, ask).await,
                Err(why) => Reply::refuse(why.status(), None, code::INVALID_REQUEST, why.words()),
            }
        }
        Method::GET if hangs(app, headers) => std::future::pending().await,
        Method::GET => get(app, headers, caller).await.unwrap_or_else(|refusal| refusal),
        Method::DELETE => delete(app, headers, caller).await.unwrap_or_else(|refusal| refusal),
        _ => Reply::refuse(405, None, code::INVALID_REQUEST, "Method not allowed").with("allow", "GET, POST, DELETE"),
    }
}

/// The session that the headers name, whosever it is.
pub(crate) async fn named_session(app: &App, headers: &HeaderMap) -> Result<Option<Arc<Session>>, Reply> {
    let Some(name) = header(headers, "mcp-session-id") else { return Ok(None) };
    app.sessions.find(name, app.clock.unix()).await.map_err(|_| Reply::unavailable(None))
}

/// The session that the headers name, if the caller may use it, or the refusal; the id is the one to echo.
pub(crate) fn session_of(
    app: &App,
    headers: &HeaderMap,
    found: Option<Arc<Session>>,
    id: Option<&Value>,
    caller: Option<&Caller>,
) -> Result<Arc<Session>, Reply> {
    let named = header(headers, "mcp-session-id");
    let own = |session: &Arc<Session>| {
        session.subject.as_deref() == caller.map(|caller| caller.subject.as_str())
            || !app.faults.holds(Rule::SessionBoundToSubject)
    };
    // A session with a channel has no other way.
    let found = found.filter(|session| !app.channels.holds(&session.id)).filter(own);
    let lent = match named {
        None => !app.gives_session_ids(),
        Some(name) => !app.faults.holds(Rule::UnknownSessionRefused) && !name.contains(' '),
    };
    let Some(session) = found.or_else(|| app.sessions.latest().filter(|_| lent)) else {
        return Err(match named {
            None => Reply::refuse(400, id, code::INVALID_REQUEST, "Mcp-Session-Id is missing"),
            Some(_) => Reply::refuse(404, id, code::SESSION_NOT_FOUND, "Session not found"),
        });
    };
    if let Some((mark, until)) = caller.and_then(|caller| caller.token.clone()) {
        session.came_with(mark, until);
    }
    let wants_version = session.revision.facts().version_header;
    if wants_version && !app.faults.holds(Rule::VersionHeaderOptional) && !headers.contains_key("mcp-protocol-version")
    {
        return Err(Reply::refuse(400, id, code::INVALID_REQUEST, "MCP-Protocol-Version is missing"));
    }
    if wants_version
        && app.faults.holds(Rule::VersionHeaderChecked)
        && let Some(version) = headers.get("mcp-protocol-version")
        && !version.to_str().is_ok_and(|version| Revision::LEGACY_HTTP.iter().any(|known| known.name() == version))
    {
        return Err(Reply::refuse(400, id, code::INVALID_REQUEST, "MCP-Protocol-Version is not supported"));
    }
    Ok(session)
}

/// Whether a fault leaves a stream without an answer that is asked for before there is a session.
fn hangs(app: &App, headers: &HeaderMap) -> bool {
    !app.faults.holds(Rule::EarlyStreamAnswered) && !headers.contains_key("mcp-session-id")
}

async fn get(app: &App, headers: &HeaderMap, caller: Option<&Caller>) -> Result<Reply, Reply> {
    let accept = header(headers, "accept").unwrap_or_default();
    if !guard::accepts(accept, "text", "event-stream") {
        return Err(Reply::refuse(406, None, code::INVALID_REQUEST, "Accept has to take text/event-stream"));
    }
    if !app.faults.holds(Rule::SessionIssued) && !headers.contains_key("last-event-id") {
        return Err(Reply::refuse(400, None, code::INVALID_REQUEST, "Mcp-Session-Id is missing"));
    }
    let session = session_of(app, headers, named_session(app, headers).await?, None, caller)?;
    if let Some(last) = header(headers, "last-event-id") {
        let from_start = !app.faults.holds(Rule::ReplayFromCursor);
        let all = !app.faults.holds(Rule::ReplayOwnStream);
        return session.resume(last, from_start, all).await.map(Reply::sse).map_err(|why| match why {
            ResumeError::UnknownEvent => {
                Reply::refuse(400, None, code::INVALID_REQUEST, "Last-Event-ID is not known, or not any more")
            }
            ResumeError::Store(_) => Reply::unavailable(None),
        });
    }
    let away = |_| Reply::unavailable(None);
    session.listens().await.map_err(away)?;
    // The client may have lost sight of the stream that is there, long before this server notices.
    if app.faults.holds(Rule::NewStreamTakesOver) {
        session.take_over_get();
    } else if session.has_get() || session.is_read_elsewhere().await.map_err(away)? {
        return Err(Reply::refuse(409, None, code::INVALID_REQUEST, "This session has a GET stream already"));
    }
    let (_, reader) = session.open(true, app.primes(&session));
    // The next request may come to another node, which has to know where the stream is.
    session.settled().await.map_err(away)?;
    Ok(Reply::sse(reader))
}

async fn delete(app: &App, headers: &HeaderMap, caller: Option<&Caller>) -> Result<Reply, Reply> {
    if let Some(reply) = doors::delete_websocket(app, headers, caller).await {
        return Ok(reply);
    }
    let session = session_of(app, headers, named_session(app, headers).await?, None, caller)?;
    // Faults lend out the sessions of others, but not to end them.
    if header(headers, "mcp-session-id") != Some(session.id.as_str()) {
        return Err(Reply::refuse(404, None, code::SESSION_NOT_FOUND, "Session not found"));
    }
    if !app.faults.holds(Rule::DeleteOffered) {
        return Err(Reply::refuse(400, None, code::INVALID_REQUEST, "Sessions cannot be deleted"));
    }
    if app.faults.holds(Rule::DeleteEnds) {
        let close = app.faults.holds(Rule::DeleteClosesStreams);
        let lived = app.sessions.remove(&session.id, close).await.map_err(|_| Reply::unavailable(None))?;
        if !lived {
            // Another request has ended it meanwhile.
            return Err(Reply::refuse(404, None, code::SESSION_NOT_FOUND, "Session not found"));
        }
    }
    if !app.faults.holds(Rule::DeleteScoped) {
        for other in app.sessions.all() {
            app.sessions.remove(&other.id, true).await.map_err(|_| Reply::unavailable(None))?;
        }
    }
    Ok(Reply::empty(204))
}

impl App {
    /// Whether streams of the session begin with a priming event.
    pub(crate) fn primes(&self, session: &Session) -> bool {
        session.revision.facts().priming_event && self.faults.holds(Rule::StreamsPrimed)
    }

    /// Whether the connections that the session was used on have all been closed; only a fault asks.
    async fn orphaned(&self, ask: &AskCtx, connection: u64) -> bool {
        let named = || self.sessions.at_hand(ask.session.as_deref()?);
        let Some(session) = (!self.faults.holds(Rule::SessionOutlivesConnection)).then(named).flatten() else {
            return false;
        };
        let earlier = session.connections();
        session.came_on(connection);
        // Where a call is under way, so is its connection.
        if earlier.is_empty() || earlier.contains(&connection) || session.running() > 0 {
            return false;
        }
        // The end of a connection is noticed a little after the client has dropped it.
        for _ in 0..NOTICES {
            if self.connections.none_of(&earlier) {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        false
    }
}
