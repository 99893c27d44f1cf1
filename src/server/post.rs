//! What a POST may carry and how it is answered: handshake, request, notification, response, batch.
//!
//! It must not know what a method does.

use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::bearer::{self, Caller};
use super::dispatch::App;
use super::envelope::{Loose, check, echo_id};
use super::fault::{OutCtx, Rule};
use super::http::{AskCtx, Reply, header, named_session, session_of};
use super::oauth::SCOPES;
use super::reply::{RpcError, code, error_message, response};
use super::session::Session;
use super::{guard, lifecycle, tools};
use crate::model::{Kind, Message, Revision};

/// How many messages a batch may hold.
const MAX_BATCH: usize = 1000;

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

/// A 400 for a message without a usable id: older revisions know only a null one, the newest leaves it out.
fn invalid(revision: Option<Revision>, code: i64, message: &str) -> Reply {
    let error = RpcError::new(code, message);
    let old = revision.is_some_and(|revision| revision < Revision::V2025_11_25);
    Reply::json(400, &error_message(old.then_some(&Value::Null), &error))
}

/// Serves the body of a POST.
pub(crate) async fn serve(
    app: &Arc<App>,
    headers: &HeaderMap,
    body: &[u8],
    caller: Option<&Caller>,
    ask: &mut AskCtx,
) -> Reply {
    let named = match named_session(app, headers).await {
        Ok(named) => named,
        Err(refusal) => return refusal,
    };
    let revision = named.as_ref().map(|session| session.revision);
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return invalid(revision, code::PARSE, "Parse error");
    };
    if let Value::Array(members) = value {
        return match session_of(app, headers, named, None, caller) {
            Ok(session) => batch(app, session, members).await,
            Err(refusal) => refusal,
        };
    }
    let loose =
        Loose { null_id: !app.faults.holds(Rule::NullIdRefused), reply_id: !app.faults.holds(Rule::QuestionIdsWhole) };
    let kind = match check(&value, loose) {
        Ok(kind) => kind,
        Err(why) => {
            return match echo_id(&value) {
                Some(id) => Reply::refuse(400, Some(id), code::INVALID_REQUEST, why),
                None => invalid(revision, code::INVALID_REQUEST, why),
            };
        }
    };
    ask.rpc_method = Message(&value).method().map(str::to_owned);
    ask.is_notification = kind == Kind::Notification;
    ask.is_response = kind == Kind::Response;
    let id = echo_id(&value).filter(|_| kind == Kind::Request);
    if headers.get("mcp-session-id").is_none() && kind == Kind::Request {
        if Message(&value).method() == Some("initialize") && !is_modern(None, &value) {
            return handshake(app, &value, caller).await;
        }
        if is_modern(header(headers, "mcp-protocol-version"), &value) {
            // The method may exist in a later era; whoever speaks that one learns that it is not spoken here.
            return Reply::refuse(400, id, code::METHOD_NOT_FOUND, "Method not found; begin with initialize");
        }
    }
    let session = match session_of(app, headers, named, id, caller) {
        Ok(session) => session,
        Err(refusal) => return refusal,
    };
    if let Some(scope) = missing_scope(app, &value, caller) {
        return bearer::insufficient(app, scope);
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

/// Whether a cancellation without a usable id brings the server down; only a fault does that.
fn crashes(app: &App, value: &Value) -> bool {
    let id = value.get("params").and_then(|params| params.get("requestId"));
    Message(value).method() == Some("notifications/cancelled")
        && !id.is_some_and(|id| id.is_string() || id.is_number())
        && !app.faults.holds(Rule::MalformedCancelIgnored)
}

/// Whether the request speaks the era without a handshake.
fn is_modern(version: Option<&str>, value: &Value) -> bool {
    let meta = value.get("params").and_then(|params| params.get("_meta"));
    let names = |key: &str| meta.is_some_and(|meta| meta.get(key).is_some());
    version == Some(Revision::V2026_07_28.name())
        || names("io.modelcontextprotocol/protocolVersion")
        || names("io.modelcontextprotocol/clientCapabilities")
}

async fn handshake(app: &App, value: &Value, caller: Option<&Caller>) -> Reply {
    let id = value.get("id").unwrap_or(&Value::Null);
    if app.count_session() > 1 && !app.faults.holds(Rule::SessionsManifold) {
        return Reply::refuse(400, Some(id), code::INVALID_REQUEST, "The server is initialized already");
    }
    let empty = json!({});
    match lifecycle::initialize(app, value.get("params").unwrap_or(&empty), caller).await {
        Ok((session, result)) => {
            let message = app.outgoing(Some("initialize"), response(id, Ok(result)));
            let reply = Reply::json(200, &message);
            if app.faults.holds(Rule::SessionIssued) { reply.with("mcp-session-id", &session.id) } else { reply }
        }
        Err(error) if error.code == code::UNAVAILABLE => Reply::unavailable(Some(id)),
        Err(error) => Reply::json(400, &error_message(Some(id), &error)),
    }
}

/// The answer to what may have changed the session: once the store has it, or else that it cannot be reached.
async fn settled(session: &Session, id: Option<&Value>, reply: Reply) -> Reply {
    if session.settled().await.is_ok() { reply } else { Reply::unavailable(id) }
}

/// The scope that the message needs and its sender lacks.
fn missing_scope(app: &App, value: &Value, caller: Option<&Caller>) -> Option<&'static str> {
    let caller = caller?;
    if Message(value).method() != Some("tools/call") || !app.faults.holds(Rule::ScopeEnforced) {
        return None;
    }
    let scope = bearer::scope_of_tool(tools::read_only(value)?);
    // A fault asks for more every other time.
    let more = !app.faults.holds(Rule::ScopesSteady) && value["id"].as_i64().is_some_and(|id| id % 2 == 0);
    // Another fault asks for more than it names.
    let needed = if scope != SCOPES[0] && !app.faults.holds(Rule::NamedScopeSuffices) { SCOPES[2] } else { scope };
    (!caller.may(needed)).then_some(if more { "mcp:write mcp:read" } else { scope })
}

async fn request(app: &Arc<App>, session: Arc<Session>, value: Value) -> Reply {
    let method = Message(&value).method().unwrap_or_default().to_owned();
    if method == "tools/call" && session.streams_a_call() && !app.faults.holds(Rule::CallsSideBySide) {
        return Reply::empty(503);
    }
    if !tools::streams(&value) {
        // Spawned, because a dropped connection drops this future, and the work is to go on.
        let id = value.get("id").cloned();
        let task = tokio::spawn(app.clone().perform(session.clone(), None, value));
        return match task.await {
            Ok(Some(message)) => {
                let reply = Reply::json(200, &app.outgoing(Some(&method), message));
                settled(&session, id.as_ref(), reply).await
            }
            Ok(None) => Reply::empty(202),
            Err(_) => Reply::refuse(500, None, code::INTERNAL, "Internal error"),
        };
    }
    if session.listens().await.is_err() {
        return Reply::unavailable(value.get("id"));
    }
    let (stream, reader) = session.open_for(false, app.primes(&session), value.get("id"));
    if !app.faults.holds(Rule::KeepAliveUnseen) {
        session.emit(stream, "ping".to_owned(), true);
    }
    let app = app.clone();
    let token = value.pointer("/params/_meta/progressToken").cloned();
    let gone = session.reader_gone(stream);
    let work = app.clone().perform(session.clone(), Some(stream), value);
    tokio::spawn(async move {
        let message = if app.faults.holds(Rule::WorkOutlivesConnection) {
            work.await
        } else {
            tokio::select! { message = work => message, () = gone => None }
        };
        let answered = message.is_some();
        if let Some(message) = message {
            respond(&app, &session, stream, &message, token.is_some());
        }
        if let Some(token) = token.filter(|_| answered && !app.faults.holds(Rule::ProgressStops)) {
            let params = json!({"progressToken": token, "progress": 1000});
            let late = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
            app.send(&session, stream, late, None);
        }
        session.finish(stream, app.faults.holds(Rule::StreamEndsAfterResponse));
    });
    Reply::sse(reader)
}

/// Sends the response to a call on its stream, once; or as the faults have it. Some of them only strike where the
/// client `watches` the progress of the call.
fn respond(app: &App, session: &Session, stream: u64, message: &Value, watches: bool) {
    let holds = |rule| app.faults.holds(rule) || !watches;
    let stream = if holds(Rule::ResponseOnOwnStream) { Some(stream) } else { session.get_stream() };
    let undecided = message["error"]["message"] == "Cancelled" && !app.faults.holds(Rule::CancelDecidesOnce);
    let again = !app.faults.holds(Rule::ResponseOnce) || undecided;
    let times = usize::from(holds(Rule::ResponseSent)) + usize::from(again);
    for _ in 0..times {
        if let Some(stream) = stream {
            app.send(session, stream, message.clone(), Some("tools/call"));
        }
    }
}

async fn batch(app: &Arc<App>, session: Arc<Session>, members: Vec<Value>) -> Reply {
    let revision = Some(session.revision);
    if !session.revision.facts().batches || !app.faults.holds(Rule::BatchesTaken) {
        return invalid(revision, code::INVALID_REQUEST, "Batches do not exist in this revision");
    }
    if members.is_empty() && !app.faults.holds(Rule::EmptyBatchRefused) {
        return Reply::empty(202);
    }
    if members.is_empty() || members.len() > MAX_BATCH {
        return invalid(revision, code::INVALID_REQUEST, "A batch holds 1 to 1000 messages");
    }
    let mut answers = Vec::new();
    let mut tasks = Vec::new();
    for member in members {
        match check(&member, Loose::default()) {
            Ok(Kind::Request) if Message(&member).method() == Some("initialize") => {
                let error = RpcError::new(code::INVALID_REQUEST, "initialize cannot be part of a batch");
                answers.push(error_message(echo_id(&member), &error));
            }
            Ok(Kind::Request) => {
                let method = Message(&member).method().map(str::to_owned);
                tasks.push((method, tokio::spawn(app.clone().perform(session.clone(), None, member))));
            }
            Ok(Kind::Notification) => app.notified(&session, &member),
            Ok(Kind::Response | Kind::Other) => session.reply(&member),
            Err(why) => {
                let error = RpcError::new(code::INVALID_REQUEST, why);
                answers.push(error_message(Some(echo_id(&member).unwrap_or(&Value::Null)), &error));
            }
        }
    }
    for (method, task) in tasks {
        if let Ok(Some(mut message)) = task.await {
            app.faults.outgoing(&mut message, &OutCtx { method: method.as_deref() });
            answers.push(message);
        }
    }
    if !app.faults.holds(Rule::BatchAnsweredWhole) {
        answers.pop();
    }
    let reply = if answers.is_empty() { Reply::empty(202) } else { Reply::json(200, &Value::from(answers)) };
    settled(&session, None, reply).await
}
