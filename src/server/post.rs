//! The POST of Streamable HTTP: which headers it needs, and the status that its message gets.
//!
//! It must not know what a method does.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::Value;

use super::answer::{AskCtx, Reply};
use super::bearer::{self, Caller};
use super::config::Eras;
use super::dispatch::App;
use super::envelope::echo_id;
use super::fault::Rule;
use super::http::{header, named_session, session_of};
use super::lifecycle::Opening;
use super::message::{Said, Unusable, batch, handshake, is_modern, missing_scope, not_modern, read, run_on};
use super::reply::{code, error_message};
use super::session::Session;
use super::{guard, modern, tools, written};
use crate::model::{Kind, Members as _, Message, Revision, Via};

/// How many requests a session lasts for where a fault ends it in the middle of its use.
const REQUESTS_OF_A_SESSION: u64 = 30;
/// What stands for the list that is being made among the requests that run, where lists are made one by one.
const A_LIST: &str = "a list";
/// How long a fault makes a list: long enough that one which is asked for at the same time finds it under way.
const MAKING_A_LIST: Duration = Duration::from_millis(40);

/// The refusal of a POST by its headers alone.
pub(crate) fn refuse_headers(app: &App, headers: &HeaderMap) -> Option<Reply> {
    let content_type = header(headers, "content-type").unwrap_or_default();
    if !guard::is_json(content_type) {
        return Some(Reply::refuse(415, None, code::INVALID_REQUEST, "Content-Type has to be application/json"));
    }
    let accept = header(headers, "accept").unwrap_or_default();
    let takes_both = guard::accepts(accept, "application", "json") && guard::accepts(accept, "text", "event-stream");
    let literal = accept == "application/json, text/event-stream" || app.faults.holds(Rule::AcceptReadAsHttp);
    if !takes_both || !literal {
        let message = "Accept has to take application/json and text/event-stream";
        return Some(Reply::refuse(406, None, code::INVALID_REQUEST, message));
    }
    None
}

/// The 400 for what cannot be acted on; outside a session it is answered as the newest revision does.
fn invalid(revision: Option<Revision>, unusable: &Unusable) -> Reply {
    Reply::json(400, &unusable.answer(revision.unwrap_or(Revision::V2025_11_25)))
}

/// Serves the body of a POST.
pub(crate) async fn serve(
    app: &Arc<App>,
    headers: &HeaderMap,
    body: &[u8],
    caller: Option<&Caller>,
    ask: &mut AskCtx,
) -> Reply {
    let said = read(app, body);
    if let Ok(Said::One(kind, value)) = &said
        && let Some(reply) = of_modern_era(app, headers, (*kind, value), caller, ask).await
    {
        return reply;
    }
    let named = match named_session(app, headers).await {
        Ok(named) => named,
        Err(refusal) => return refusal,
    };
    let revision = named.as_ref().map(|session| session.revision);
    let (kind, value) = match said {
        Ok(Said::One(kind, value)) => (kind, value),
        Ok(Said::Batch(members)) => {
            return match session_of(app, headers, named, None, caller) {
                Ok(session) => answers(app, &session, members).await,
                Err(refusal) => refusal,
            };
        }
        Err(_) if crashes_on_null(app, body) => {
            return Reply::refuse(500, None, code::INVALID_REQUEST, "Internal error");
        }
        Err(unusable) => return invalid(revision, &unusable),
    };
    note(ask, kind, &value);
    let id = echo_id(&value).filter(|_| kind == Kind::Request);
    if comes_early(app, headers, &value) {
        return Reply::refuse(400, id, code::INVALID_REQUEST, "A header is not known here");
    }
    if headers.get("mcp-session-id").is_none() && kind == Kind::Request {
        if Message(&value).method() == Some("initialize") && !is_modern(None, &value) {
            return begin(app, &value, caller).await;
        }
        if app.config.eras == Eras::Legacy && is_modern(header(headers, "mcp-protocol-version"), &value) {
            return Reply::json(400, &error_message(id, &not_modern()));
        }
        if app.config.eras == Eras::Both && !names_known_version(headers) {
            let why = "MCP-Protocol-Version is not supported; begin with initialize, or send what every request needs";
            return Reply::refuse(400, id, code::INVALID_PARAMS, why);
        }
    }
    let session = match session_of(app, headers, named, id, caller) {
        Ok(session) => session,
        Err(refusal) => return refusal,
    };
    if let Some(scope) = missing_scope(app, &value, caller) {
        return bearer::insufficient(app, &app.config.path, scope);
    }
    match kind {
        Kind::Request => request(app, session, value).await,
        Kind::Notification if crashes(app, &value) => Reply::empty(500),
        Kind::Notification => {
            app.notified(&session, &value);
            settled(&session, None, Reply::empty(202)).await
        }
        Kind::Response | Kind::Other => {
            session.reply(&value);
            settled(&session, None, Reply::empty(202)).await
        }
    }
}

/// Whether a fault refuses an `initialize` for a header that some clients send too early.
fn comes_early(app: &App, headers: &HeaderMap, value: &Value) -> bool {
    let opens = Message(value).method() == Some("initialize");
    opens && headers.contains_key("mcp-protocol-version") && !app.faults.holds(Rule::EarlyVersionIgnored)
}

/// Whether a notification with the id null brings the server down; only a fault does that.
fn crashes_on_null(app: &App, body: &[u8]) -> bool {
    let null = || serde_json::from_slice::<Value>(body).is_ok_and(|value| value.member("id") == Some(&Value::Null));
    !app.faults.holds(Rule::NullIdSurvived) && null()
}

/// Whether the version that the headers name, if they do, can be meant for the era of sessions.
fn names_known_version(headers: &HeaderMap) -> bool {
    let known = |said: &str| Revision::LEGACY.iter().any(|revision| revision.name() == said);
    headers.get("mcp-protocol-version").is_none_or(|said| said.to_str().is_ok_and(known))
}

fn note(ask: &mut AskCtx, kind: Kind, value: &Value) {
    ask.rpc_method = Message(value).method().map(str::to_owned);
    ask.is_notification = kind == Kind::Notification;
    ask.is_response = kind == Kind::Response;
}

/// The answer to a message of the era without sessions, or of any era where the server speaks only that one; `None` for
/// what belongs to the other.
async fn of_modern_era(
    app: &Arc<App>,
    headers: &HeaderMap,
    (kind, value): (Kind, &Value),
    caller: Option<&Caller>,
    ask: &mut AskCtx,
) -> Option<Reply> {
    let signs = modern::Signs {
        version: header(headers, "mcp-protocol-version"),
        names_method: headers.contains_key("mcp-method"),
        names_session: headers.contains_key("mcp-session-id"),
    };
    let is_modern = modern::is_modern_post(signs, kind, value);
    match app.config.eras {
        Eras::Legacy => return None,
        Eras::Both if !is_modern => return None,
        Eras::Both | Eras::Modern => note(ask, kind, value),
    }
    ask.modern = is_modern;
    if kind == Kind::Request && !is_modern {
        return Some(modern::refuse_legacy(app, headers, value));
    }
    if let Some(scope) = missing_scope(app, value, caller) {
        return Some(bearer::insufficient(app, &app.config.path, scope));
    }
    Some(modern::serve_post(app, headers, (kind, value), caller, ask.connection).await)
}

/// Whether a cancellation without a usable id brings the server down; only a fault does that.
fn crashes(app: &App, value: &Value) -> bool {
    let id = value.member("params").and_then(|params| params.member("requestId"));
    Message(value).method() == Some("notifications/cancelled")
        && !id.is_some_and(|id| id.is_string() || id.is_number())
        && !app.faults.holds(Rule::MalformedCancelIgnored)
}

async fn begin(app: &App, value: &Value, caller: Option<&Caller>) -> Reply {
    if app.modern.greeted() && !app.faults.holds(Rule::ErasSideBySide) && !app.sessions.all().is_empty() {
        return Reply::refuse(400, value.member("id"), code::UNSUPPORTED_VERSION, "initialize is not for this client");
    }
    match handshake(app, value, caller, Opening { via: Via::StreamableHttp, id: None }).await {
        Ok((session, answer)) => {
            let reply = Reply::json(200, &app.outgoing(Some("initialize"), answer));
            if app.gives_session_ids() { reply.with("mcp-session-id", &session.id) } else { reply }
        }
        Err(answer) if answer.at("error").at("code") == code::UNAVAILABLE => Reply::unavailable(value.member("id")),
        Err(answer) => Reply::json(400, &answer),
    }
}

/// The answer to what may have changed the session: once the store has it, or else that it cannot be reached.
async fn settled(session: &Session, id: Option<&Value>, reply: Reply) -> Reply {
    if session.settled().await.is_ok() { reply } else { Reply::unavailable(id) }
}

/// Whether no other list of this session is being made; only a fault makes them one by one.
async fn made_alone(session: &Arc<Session>) -> bool {
    if session.begin(A_LIST).is_none() {
        return false;
    }
    let session = Arc::clone(session);
    // Spawned, so that a client that leaves meanwhile does not keep it.
    let made = tokio::spawn(async move {
        tokio::time::sleep(MAKING_A_LIST).await;
        session.end(A_LIST);
    });
    made.await.is_ok()
}

async fn request(app: &Arc<App>, session: Arc<Session>, value: Value) -> Reply {
    let method = Message(&value).method().unwrap_or_default().to_owned();
    if !app.faults.holds(Rule::SessionsKept) && app.faults.count(&session.id) > REQUESTS_OF_A_SESSION {
        // It is over whether or not the store says so.
        let _ = app.sessions.remove(&session.id, true).await;
        return Reply::refuse(404, value.member("id"), code::SESSION_NOT_FOUND, "Session not found");
    }
    if method == "tools/call" && session.streams_a_call() && !app.faults.holds(Rule::CallsSideBySide) {
        return Reply::empty(503);
    }
    if method.ends_with("/list") && !app.faults.holds(Rule::ListsSideBySide) && !made_alone(&session).await {
        return Reply::empty(503);
    }
    if let Some(body) = written::response(app, &session, &value) {
        let reply = Reply::bytes(200, "application/json", body);
        return settled(&session, value.member("id"), reply).await;
    }
    if !tools::streams(app, &value) {
        // Spawned, because a dropped connection drops this future, and the work is to go on.
        let id = value.member("id").cloned();
        // Boxed, as what is spawned is moved again and again before it begins.
        let task = tokio::spawn(Box::pin(app.clone().perform(session.clone(), None, value)));
        return match task.await {
            Ok(Some(message)) => {
                let reply = Reply::json(200, &app.outgoing(Some(&method), message));
                settled(&session, id.as_ref(), reply).await
            }
            // Whoever ended the session meanwhile has cancelled the request, but it is still owed an answer.
            Ok(None) if session.closed() => {
                Reply::refuse(404, id.as_ref(), code::SESSION_NOT_FOUND, "Session not found")
            }
            Ok(None) => Reply::empty(202),
            Err(_) => Reply::refuse(500, None, code::INTERNAL, "Internal error"),
        };
    }
    if session.listens().await.is_err() {
        return Reply::unavailable(value.member("id"));
    }
    let (stream, reader) = session.open_for(false, app.primes(&session), value.member("id"));
    if !app.faults.holds(Rule::KeepAliveUnseen) {
        session.emit(stream, "ping".to_owned(), true);
    }
    let work = Box::pin(run_on(app, &session, stream, value));
    let close = app.faults.holds(Rule::StreamEndsAfterResponse);
    tokio::spawn(async move {
        work.await;
        session.finish(stream, close);
    });
    Reply::sse(reader)
}

async fn answers(app: &Arc<App>, session: &Arc<Session>, members: Vec<Value>) -> Reply {
    match batch(app, session, None, members) {
        Err(unusable) => invalid(Some(session.revision), &unusable),
        Ok(answers) => {
            let answers = answers.await;
            let reply = if answers.is_empty() { Reply::empty(202) } else { Reply::json(200, &Value::from(answers)) };
            settled(session, None, reply).await
        }
    }
}
