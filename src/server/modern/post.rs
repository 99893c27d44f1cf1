//! A POST of this era: its status, and whether its answer is one JSON text or a stream of its own.
//!
//! A connection that is closed ends the work behind it. Nothing can be resumed, and no session is ever named.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::discover::supported;
use super::listen::Filter;
use super::methods::LISTEN;
use super::serve::{Refusal, Request, admit, status_of};
use super::way::{QUEUE, Way};
use crate::model::{Kind, Message};
use crate::server::answer::Reply;
use crate::server::bearer::Caller;
use crate::server::dispatch::App;
use crate::server::envelope::echo_id;
use crate::server::fault::Rule;
use crate::server::reply::{RpcError, code, error_message, response};
use crate::server::sse::{Frame, encode};

/// A stream on which nothing is said gets a comment this often, so that nobody on the way takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Serves a message. Scopes have been looked at.
pub(crate) async fn serve(
    app: &Arc<App>,
    headers: &HeaderMap,
    (kind, value): (Kind, &Value),
    caller: Option<&Caller>,
    connection: u64,
) -> Reply {
    match kind {
        Kind::Request => app.modern.greet(),
        // This era has none that would mean something here.
        Kind::Notification => return Reply::empty(202),
        Kind::Response | Kind::Other => {
            let why = "Responses are not taken; the server asks for input in its results";
            return Reply::refuse(400, None, code::INVALID_REQUEST, why);
        }
    }
    let id = echo_id(value);
    let from = (value, connection);
    let taken = app.faults.asked(app, Some(headers), value, connection);
    let (headers, taken) = match &taken {
        None => (headers, value),
        Some(Ok((given, taken))) => (given.as_ref().unwrap_or(headers), taken),
        Some(Err((status, error))) => return refused(app, *status, id, Message(value).method(), (error, from)),
    };
    let request = match admit(Some(headers), taken, caller.map(|caller| caller.subject.as_str())) {
        Ok(request) => request,
        Err(Refusal { status, error }) => return refused(app, status, id, Message(value).method(), (&error, from)),
    };
    let method = request.served.name;
    if method == LISTEN {
        return match listen(app, &request, value) {
            Ok(reply) => reply,
            Err(error) => refused(app, 400, id, Some(method), (&error, from)),
        };
    }
    if request.streams() {
        return streamed(app, request, value);
    }
    let outcome = request.run(app, None).await;
    let status = outcome.as_ref().err().map_or(200, status_of);
    Reply::json(status, &said(app, Some(method), response(&request.id, outcome), from))
}

/// A message that goes out alone, after the faults have had it.
fn said(app: &App, method: Option<&str>, mut message: Value, request: (&Value, u64)) -> Value {
    app.faults.modern(&mut message, method, request);
    app.outgoing(method, message)
}

fn refused(
    app: &App,
    status: u16,
    id: Option<&Value>,
    method: Option<&str>,
    (error, request): (&RpcError, (&Value, u64)),
) -> Reply {
    Reply::json(status, &said(app, method, error_message(id, error), request))
}

/// What a server says that speaks this era alone to what speaks another.
pub(crate) fn refuse_legacy(app: &App, headers: &HeaderMap, value: &Value) -> Reply {
    let method = Message(value).method();
    let (id, versions) = (echo_id(value), supported().join(", "));
    if method == Some("initialize") {
        return Reply::json(400, &app.outgoing(method, error_message(id, &no_handshake())));
    }
    let error = match admit(Some(headers), value, None) {
        Err(refusal) => refusal.error,
        Ok(_) => RpcError::params("The request is of another era"),
    };
    let message = format!("{}; this server speaks only {versions}", error.message);
    Reply::json(400, &app.outgoing(method, error_message(id, &RpcError { message, ..error })))
}

/// The refusal of `initialize` where there is no handshake. It may be the only thing that its user gets to see.
pub(crate) fn no_handshake() -> RpcError {
    RpcError {
        code: code::INVALID_PARAMS,
        message: format!(
            "initialize is not known here: this server speaks only {}, where every request carries its version in \
             params._meta",
            supported().join(", ")
        ),
        data: Some(json!({"supported": supported()})),
    }
}

/// Ends work when nobody waits for it any more.
#[derive(Debug)]
struct Work(AbortHandle, bool);

impl Drop for Work {
    fn drop(&mut self) {
        // A fault lets it go on.
        if self.1 {
            self.0.abort();
        }
    }
}

fn streamed(app: &Arc<App>, request: Request, asked: &Value) -> Reply {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let way = Way::Stream(sender, Arc::new(asked.clone()));
    let of = Arc::clone(app);
    let work = tokio::spawn(Box::pin(async move {
        let outcome = request.run(&of, Some(way.clone())).await;
        // Whoever has gone does not want it.
        way.say(&of, response(&request.id, outcome), request.served.name);
    }));
    events(receiver, Work(work.abort_handle(), app.faults.holds(Rule::DisconnectCancels)))
}

/// A subscription that its client may leave by closing the stream.
struct Subscribed {
    app: Arc<App>,
    number: u64,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.app.modern.listeners.forget(&self.app, self.number);
    }
}

fn listen(app: &Arc<App>, request: &Request, asked: &Value) -> Result<Reply, RpcError> {
    let filter = Filter::read(&request.params)?;
    let listeners = &app.modern.listeners;
    listeners.has_room()?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let number = listeners.number();
    let wanted = (request.id.clone(), filter);
    let way = Way::Stream(sender, Arc::new(asked.clone()));
    listeners.begin(app, number, wanted, request.subject.as_deref(), way);
    Ok(events(receiver, Subscribed { app: Arc::clone(app), number }))
}

/// A stream of what is said, which holds something as long as it is read.
fn events(receiver: mpsc::Receiver<String>, held: impl Send + 'static) -> Reply {
    let outflow = stream::unfold((receiver, held), |(mut receiver, held)| async move {
        let text = match tokio::time::timeout(KEEP_ALIVE, receiver.recv()).await {
            Ok(data) => encode(&Frame::Event { id: None, data: data? }),
            Err(_) => ":\n\n".to_owned(),
        };
        Some((Ok(Bytes::from(text)), (receiver, held)))
    });
    Reply::outflow(Box::pin(outflow)).with("x-accel-buffering", "no")
}
