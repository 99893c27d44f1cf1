//! HTTP+SSE (2024-11-05 basic/transports): a stream to listen on, which first tells where to post to. The session lives
//! with the stream.

use std::sync::Arc;

use axum::http::{HeaderMap, Method};
use url::form_urlencoded;

use super::Channel;
use crate::model::{Kind, Members as _, Via};
use crate::server::answer::Reply;
use crate::server::bearer::{self, Caller};
use crate::server::dispatch::App;
use crate::server::fault::Rule;
use crate::server::http::header;
use crate::server::message::{Said, read};
use crate::server::reply::code;
use crate::server::sse::{Frame, encode_legacy};
use crate::server::{guard, lifecycle};

/// Names the session in the URI to post to.
const PARAMETER: &str = "session";
/// How long a fault lets a client that leaves be seen to have left, in milliseconds.
const LEAVES_WITHIN_MS: u32 = 100;

/// The path to post to.
pub(crate) fn post_path(app: &App) -> String {
    format!("{}/messages", app.config.sse_path.trim_end_matches('/'))
}

/// Ends the session with its stream.
#[derive(Debug)]
struct Listening {
    app: Arc<App>,
    channel: Arc<Channel>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.app.faults.holds(Rule::StreamEndEndsSession) {
            self.channel.end_soon(&self.app);
        }
    }
}

/// Whether somebody else is connected for good; who has just left is not.
async fn crowded(app: &App) -> bool {
    for _ in 0..LEAVES_WITHIN_MS {
        if app.channels.count(Via::LegacySse) == 0 {
            return false;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    true
}

/// Opens the stream of a new session.
pub(crate) async fn open(app: &Arc<App>, method: &Method, headers: &HeaderMap, caller: Option<&Caller>) -> Reply {
    if *method != Method::GET {
        return Reply::refuse(405, None, code::INVALID_REQUEST, "Method not allowed").with("allow", "GET");
    }
    if !guard::accepts(header(headers, "accept").unwrap_or_default(), "text", "event-stream") {
        return Reply::refuse(406, None, code::INVALID_REQUEST, "Accept has to take text/event-stream");
    }
    if !app.faults.holds(Rule::StreamsForMany) && crowded(app).await {
        return Reply::refuse(503, None, code::INVALID_REQUEST, "Somebody is connected already");
    }
    app.count_session();
    let id = lifecycle::session_id(app);
    let (channel, reader) = Channel::new(id, Via::LegacySse, caller.map(|caller| caller.subject.clone()));
    if app.faults.holds(Rule::EndpointAnnounced) {
        let path = if app.faults.holds(Rule::EndpointReal) { post_path(app) } else { "/nowhere".to_owned() };
        let query = form_urlencoded::Serializer::new(String::new()).append_pair(PARAMETER, &channel.id).finish();
        channel.begin_with(Frame::Endpoint(format!("{path}?{query}")));
    }
    app.channels.insert(Arc::clone(&channel));
    let listening = Listening { app: Arc::clone(app), channel };
    let silent = !app.faults.holds(Rule::EndpointAnnounced);
    let name = if app.faults.holds(Rule::MessagesNamed) { "message" } else { "response" };
    Reply::outflow(Box::pin(futures_util::stream::unfold(
        (reader, listening),
        move |(mut reader, listening)| async move {
            let frame = tokio::select! {
                frame = reader.recv() => frame?,
                // Nobody waits for long on a stream that does not tell where to post to.
                () = std::future::ready(()), if silent => return None,
                () = listening.channel.never_opened(&listening.app) => return None,
            };
            listening.channel.delivered(&frame);
            let item = match frame {
                Frame::Abort => Err(std::io::ErrorKind::ConnectionAborted.into()),
                frame => Ok(encode_legacy(&frame, name).into()),
            };
            Some((item, (reader, listening)))
        },
    )))
}

/// The session that a query names, if it is the caller's and its stream is open.
fn named(app: &App, query: &str, caller: Option<&Caller>) -> Result<Arc<Channel>, Reply> {
    let Some((_, id)) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == PARAMETER) else {
        return Err(Reply::refuse(400, None, code::INVALID_REQUEST, "The query has to name a session"));
    };
    let own = |channel: &Arc<Channel>| {
        channel.subject.as_deref() == caller.map(|caller| caller.subject.as_str())
            || !app.faults.holds(Rule::SessionBoundToSubject)
    };
    let found = app.channels.find(&id, Via::LegacySse).filter(own);
    found.ok_or_else(|| Reply::refuse(404, None, code::SESSION_NOT_FOUND, "Session not found"))
}

/// The refusal of a POST before its body is looked at.
pub(crate) fn refuse(
    app: &App,
    method: &Method,
    query: &str,
    headers: &HeaderMap,
    caller: Option<&Caller>,
) -> Option<Reply> {
    if *method != Method::POST {
        return Some(Reply::refuse(405, None, code::INVALID_REQUEST, "Method not allowed").with("allow", "POST"));
    }
    let channel = match named(app, query, caller) {
        Ok(channel) => channel,
        Err(refusal) => return Some(refusal),
    };
    if !guard::is_json(header(headers, "content-type").unwrap_or_default()) {
        return Some(Reply::refuse(415, None, code::INVALID_REQUEST, "Content-Type has to be application/json"));
    }
    channel
        .clogged()
        .then(|| Reply::refuse(503, None, code::INVALID_REQUEST, "The stream is not read").with("retry-after", "1"))
}

/// Takes a message; what it asks for is answered on the stream.
pub(crate) async fn post(app: &Arc<App>, query: &str, body: &[u8], caller: Option<&Caller>) -> Reply {
    let channel = match named(app, query, caller) {
        Ok(channel) => channel,
        Err(refusal) => return refusal,
    };
    if !app.faults.holds(Rule::ResponsesOnStream)
        && let Some(session) = channel.session()
        && let Ok(Said::One(Kind::Request, value)) = read(app, body)
        // A call may be cancelled, which is for others to get wrong.
        && value.at("method") != "tools/call"
        && let Some(answer) = app.clone().perform(session, None, value).await
    {
        return Reply::json(200, &answer);
    }
    match channel.take(app, body, caller).await {
        Ok(()) => Reply::empty(202),
        Err(refused) => match refused.scope {
            Some(scope) => bearer::insufficient(app, &app.config.sse_path, scope),
            None => Reply::json(400, &refused.answer),
        },
    }
}
