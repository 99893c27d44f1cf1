//! What a client may say and what comes of it, whatever it travels on: handshake, request, notification, response, batch.
//!
//! It must not know HTTP, nor what a method does.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bearer::{self, Caller};
use super::dispatch::App;
use super::envelope::{Loose, check, echo_id};
use super::fault::{OutCtx, Rule};
use super::lifecycle::{self, Opening};
use super::modern::has_modern_field;
use super::oauth::SCOPES;
use super::reply::{RpcError, code, error_message, response};
use super::session::Session;
use super::tools;
use crate::model::{Kind, Members as _, Message, Revision};

/// How many messages a batch may hold.
const MAX_BATCH: usize = 1000;

/// What a text holds.
#[derive(Debug)]
pub(crate) enum Said {
    /// One valid message.
    One(Kind, Value),
    /// An array, whose members nobody has looked at.
    Batch(Vec<Value>),
}

/// Why a text cannot be acted on.
#[derive(Debug)]
pub(crate) struct Unusable {
    /// The id to answer with, where there is one.
    pub(crate) id: Option<Value>,
    /// The code of the error.
    pub(crate) code: i64,
    /// A sentence about it.
    pub(crate) why: String,
}

impl Unusable {
    /// A text with this id, or none that can be read.
    pub(crate) fn new(id: Option<&Value>, code: i64, why: &str) -> Self {
        Self { id: id.cloned(), code, why: why.to_owned() }
    }

    /// The answer. Without an id, older revisions know only a null one, and the newest leaves it out.
    pub(crate) fn answer(&self, revision: Revision) -> Value {
        let null = (revision < Revision::V2025_11_25).then_some(&Value::Null);
        error_message(self.id.as_ref().or(null), &RpcError::new(self.code, self.why.as_str()))
    }
}

/// Reads the text of a client.
pub(crate) fn read(app: &App, text: &[u8]) -> Result<Said, Unusable> {
    let Ok(value) = serde_json::from_slice::<Value>(text) else {
        return Err(Unusable::new(None, code::PARSE, "Parse error"));
    };
    if let Value::Array(members) = value {
        return Ok(Said::Batch(members));
    }
    let loose =
        Loose { null_id: !app.faults.holds(Rule::NullIdRefused), reply_id: !app.faults.holds(Rule::QuestionIdsWhole) };
    match check(&value, loose) {
        Ok(kind) => Ok(Said::One(kind, value)),
        Err(why) => Err(Unusable::new(echo_id(&value), code::INVALID_REQUEST, why)),
    }
}

/// Whether the request speaks the era without a handshake, as a server sees it that does not speak that era.
pub(crate) fn is_modern(version: Option<&str>, value: &Value) -> bool {
    version == Some(Revision::V2026_07_28.name()) || has_modern_field(value)
}

/// The refusal of such a request there. The method may exist in a later era; whoever speaks that one learns that it is not
/// spoken here.
pub(crate) fn not_modern() -> RpcError {
    RpcError::new(code::METHOD_NOT_FOUND, "Method not found; begin with initialize")
}

/// Answers `initialize`, before the faults have had the answer; the error is an answer too.
pub(crate) async fn handshake(
    app: &App,
    value: &Value,
    caller: Option<&Caller>,
    opening: Opening,
) -> Result<(Arc<Session>, Value), Value> {
    let id = value.member("id").unwrap_or(&Value::Null);
    // Who has an id already was counted when it was made.
    let number = if opening.id.is_some() { app.count() } else { app.count_session() };
    if number > 1 && !app.faults.holds(Rule::SessionsManifold) {
        let error = RpcError::new(code::INVALID_REQUEST, "The server is initialized already");
        return Err(error_message(Some(id), &error));
    }
    let empty = json!({});
    match lifecycle::initialize(app, value.member("params").unwrap_or(&empty), caller, opening).await {
        Ok((session, result)) => Ok((session, response(id, Ok(result)))),
        Err(error) => Err(error_message(Some(id), &error)),
    }
}

/// The scope that the message needs and its sender lacks.
pub(crate) fn missing_scope(app: &App, value: &Value, caller: Option<&Caller>) -> Option<&'static str> {
    let caller = caller?;
    if Message(value).method() != Some("tools/call") || !app.faults.holds(Rule::ScopeEnforced) {
        return None;
    }
    let scope = bearer::scope_of_tool(tools::read_only(value)?);
    // A fault asks for more every other time.
    let more = !app.faults.holds(Rule::ScopesSteady) && value.at("id").as_i64().is_some_and(|id| id % 2 == 0);
    // Another fault asks for more than it names.
    let needed = if scope != SCOPES[0] && !app.faults.holds(Rule::NamedScopeSuffices) { SCOPES[2] } else { scope };
    // And another one names what is missing bit by bit.
    if !app.faults.holds(Rule::ScopesAtOnce) && scope != SCOPES[0] && caller.may(scope) && !caller.may(SCOPES[2]) {
        return Some(SCOPES[2]);
    }
    (!caller.may(needed)).then_some(if more { "mcp:write mcp:read" } else { scope })
}

/// Runs a request and sends what comes of it on a stream. It counts as running from the call on.
pub(crate) fn run_on(
    app: &Arc<App>,
    session: &Arc<Session>,
    stream: u64,
    value: Value,
) -> impl Future<Output = ()> + Send + 'static {
    let (app, session) = (Arc::clone(app), Arc::clone(session));
    let method = Message(&value).method().unwrap_or_default().to_owned();
    let token = value.pointer("/params/_meta/progressToken").cloned().filter(|_| method == "tools/call");
    let gone = session.reader_gone(stream);
    let work = app.clone().perform(session.clone(), Some(stream), value);
    async move {
        let message = if app.faults.holds(Rule::WorkOutlivesConnection) {
            work.await
        } else {
            tokio::select! { message = work => message, () = gone => None }
        };
        let answered = message.is_some();
        if let Some(message) = message {
            respond(&app, &session, stream, (&message, &method), token.is_some());
        }
        if let Some(token) = token.filter(|_| answered && !app.faults.holds(Rule::ProgressStops)) {
            let params = json!({"progressToken": token, "progress": 1000});
            let late = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
            app.send(&session, stream, late, None);
        }
    }
}

/// Sends the response to a request on its stream, once; or as the faults have it. Some of them only strike where the
/// client `watches` the progress of the call.
fn respond(app: &App, session: &Session, stream: u64, (message, method): (&Value, &str), watches: bool) {
    let holds = |rule| app.faults.holds(rule) || !watches;
    let stream = if holds(Rule::ResponseOnOwnStream) { Some(stream) } else { session.get_stream() };
    let undecided = message.at("error").at("message") == "Cancelled" && !app.faults.holds(Rule::CancelDecidesOnce);
    let again = !app.faults.holds(Rule::ResponseOnce) || undecided;
    let times = usize::from(holds(Rule::ResponseSent)) + usize::from(again);
    for _ in 0..times {
        if let Some(stream) = stream {
            app.send(session, stream, message.clone(), Some(method));
        }
    }
}

/// Acts on the members of a batch at once and gives the answers, which may be none, once they are all there; `stream`
/// is where its requests may speak before. The error is the refusal of the whole.
pub(crate) fn batch(
    app: &Arc<App>,
    session: &Arc<Session>,
    stream: Option<u64>,
    members: Vec<Value>,
) -> Result<impl Future<Output = Vec<Value>> + Send + use<>, Unusable> {
    let refusal = |why| Err(Unusable::new(None, code::INVALID_REQUEST, why));
    if !session.revision.facts().batches || !app.faults.holds(Rule::BatchesTaken) {
        return refusal("Batches do not exist in this revision");
    }
    let empty = members.is_empty() && app.faults.holds(Rule::EmptyBatchRefused);
    if empty || members.len() > MAX_BATCH {
        return refusal("A batch holds 1 to 1000 messages");
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
                tasks.push((method, tokio::spawn(app.clone().perform(session.clone(), stream, member))));
            }
            Ok(Kind::Notification) => app.notified(session, &member),
            Ok(Kind::Response | Kind::Other) => session.reply(&member),
            Err(why) => {
                let error = RpcError::new(code::INVALID_REQUEST, why);
                answers.push(error_message(Some(echo_id(&member).unwrap_or(&Value::Null)), &error));
            }
        }
    }
    let app = Arc::clone(app);
    Ok(async move {
        for (method, task) in tasks {
            if let Ok(Some(mut message)) = task.await {
                app.faults.outgoing(&mut message, &OutCtx { method: method.as_deref() });
                answers.push(message);
            }
        }
        if !app.faults.holds(Rule::BatchAnsweredWhole) {
            answers.pop();
        }
        answers
    })
}
