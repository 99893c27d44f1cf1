//! Questions about the wire that several checks ask.

use serde_json::Value;

use super::Breach;
use super::modern::asked;
use crate::model::{Era, Kind, Members as _, Message, Revision};
use crate::transcript::{Call, Conversation, Direction, End, Event, EventKind, Exchange, Msg, View};

/// Most of a quotation that a reader wants to see.
const QUOTED: usize = 300;

/// The methods that some revision defines for requests of a client.
pub(crate) const CLIENT_METHODS: &[&str] = &[
    "initialize",
    "ping",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/list",
    "prompts/get",
    "logging/setLevel",
    "completion/complete",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/cancel",
    "tasks/update",
    "server/discover",
    "subscriptions/listen",
];

/// The notifications that some revision lets a client send.
pub(crate) const CLIENT_NOTIFICATIONS: &[&str] = &[
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
];

/// Whether the request went to the path at which some conversation was opened.
pub(crate) fn to_endpoint(view: &View<'_>, exchange: &Exchange) -> bool {
    // On a channel, and at the place that an event stream named, nothing else is served.
    if exchange.via.has_one_stream() {
        return exchange.carries_message();
    }
    view.conversations.iter().any(|opened| view.exchanges[opened.opened].path() == exchange.path())
}

/// The conversation that a request speaks in or, where it belongs to none, the nearest one.
pub(crate) fn nearest<'v>(view: &'v View<'_>, exchange: &Exchange) -> Option<&'v Conversation> {
    let before = |conversation: &&Conversation| view.exchanges[conversation.opened].seq < exchange.seq;
    // What does not name the modern era belongs to the other one, at a server that has both.
    let both = view.conversations.iter().any(|known| known.era == Era::Legacy);
    let usual = |conversation: &&Conversation| !both || conversation.era == Era::Legacy;
    let all = || view.conversations.iter().filter(usual);
    exchange
        .conversation
        .map(|index| &view.conversations[index])
        .or_else(|| all().rev().filter(before).find(|known| known.client == exchange.client))
        .or_else(|| all().rev().find(before))
        .or_else(|| all().next())
}

/// The revision by which to judge a request to the endpoint, also one that belongs to no conversation.
pub(crate) fn governing(view: &View<'_>, exchange: &Exchange) -> Option<Revision> {
    if exchange.revision.is_some() {
        return exchange.revision;
    }
    // A probe of the newer era is answered by the rules it names, not by those of the conversation that follows.
    let named = exchange.sent_header("mcp-protocol-version").and_then(|version| version.parse::<Revision>().ok());
    if let Some(modern) = named.filter(|named| named.facts().era == Era::Modern) {
        return Some(modern);
    }
    to_endpoint(view, exchange).then(|| nearest(view, exchange)?.revision).flatten()
}

/// Whether what came is a JSON-RPC message at all: the JSON of an HTTP error may be something else.
fn is_rpc(exchange: &Exchange, msg: &Msg) -> bool {
    exchange.is_success() || msg.value.member("jsonrpc").is_some()
}

/// Every JSON-RPC message of the server with its exchange and the revision that governs it.
pub(crate) fn received<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Msg, &'v Exchange, Option<Revision>)> {
    let heard = view.heard(|| {
        let all = view.messages.iter().enumerate().filter(|(_, msg)| msg.received());
        all.filter_map(|(index, msg)| {
            let exchange = view.exchange_of(msg);
            (to_endpoint(view, exchange) && is_rpc(exchange, msg)).then(|| (index, governing(view, exchange)))
        })
        .collect()
    });
    heard.iter().map(|(index, revision)| {
        let msg = &view.messages[*index];
        (msg, view.exchange_of(msg), *revision)
    })
}

/// What the client sent in one exchange.
pub(crate) fn sent_in<'v>(view: &'v View<'_>, exchange: usize) -> Vec<&'v Msg> {
    view.messages_in(exchange).filter(|msg| msg.direction == Direction::Sent).collect()
}

/// What the server sent in one exchange, as far as it is JSON-RPC.
pub(crate) fn got_in<'v>(view: &'v View<'_>, exchange: usize) -> Vec<&'v Msg> {
    let holder = &view.exchanges[exchange];
    view.messages_in(exchange).filter(|msg| msg.received() && is_rpc(holder, msg)).collect()
}

/// The response to a request or, where none carries its id, whatever response came in its exchange: a response that
/// lost its id is an answer all the same, and that it lost it is `base.response-echoes-id`.
pub(crate) fn answer_to<'v>(view: &'v View<'_>, request: &Msg, response: Option<&'v Msg>) -> Option<&'v Msg> {
    response.or_else(|| got_in(view, request.exchange).into_iter().find(|msg| is_response(msg)))
}

/// Whether a request is one that JSON-RPC and the protocol allow: version marker, method, string or integer id.
pub(crate) fn well_formed(value: &Value) -> bool {
    let id = value.member("id");
    value.at("jsonrpc") == "2.0"
        && value.at("method").is_string()
        && id.is_some_and(valid_id)
        && value.member("params").is_none_or(Value::is_object)
}

/// Whether a value may be the id of a request.
pub(crate) fn valid_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64()
}

/// Whether what came after the request is cut off by ourselves, by silence, or still under way.
pub(crate) fn unfinished(exchange: &Exchange) -> bool {
    !matches!(exchange.end, Some(End::Complete | End::CutShort))
}

/// Whether nothing came back although something may yet: where everything comes on one stream, silence is no answer.
pub(crate) fn unseen(exchange: &Exchange) -> bool {
    exchange.via.has_one_stream()
        && exchange.response_body.is_none()
        && exchange.status.is_none_or(|status| status < 300)
}

/// Whether the server refused for reasons of access or load, which other checks judge.
pub(crate) fn walled(exchange: &Exchange) -> bool {
    // A challenge comes with 400 too, where the credentials are malformed.
    matches!(exchange.status, Some(401 | 403 | 429))
        || (is_4xx(exchange) && exchange.got_header("www-authenticate").is_some())
}

/// Whether the status is in 400 to 499.
pub(crate) fn is_4xx(exchange: &Exchange) -> bool {
    exchange.status.is_some_and(|status| (400..500).contains(&status))
}

/// Host name without port of an authority such as `127.0.0.1:80` or `[::1]:80`.
fn host_name(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or(authority);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Whether an authority names this very machine.
pub(crate) fn is_loopback(authority: &str) -> bool {
    let name = host_name(authority).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name == "[::1]" || name.starts_with("127.")
}

/// The origin of a request if it names a foreign web site: another host than the one asked, and not loopback.
pub(crate) fn foreign_origin(exchange: &Exchange) -> Option<&str> {
    let origin = exchange.sent_header("origin")?;
    let (scheme, rest) = origin.split_once("://")?;
    let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let authority = rest.split('/').next().unwrap_or(rest);
    let host = exchange.sent_header("host").unwrap_or_default();
    (web && !is_loopback(authority) && !host_name(authority).eq_ignore_ascii_case(host_name(host))).then_some(origin)
}

/// Whether the session of a request was deleted before it left. One that was refused while the session was being deleted
/// may have come after the deletion.
pub(crate) fn deleted(view: &View<'_>, exchange: &Exchange) -> bool {
    let at = exchange.conversation.and_then(|index| view.conversations[index].deleted);
    let Some(deletion) = at.map(|at| &view.exchanges[at]) else { return false };
    let own = |msg: &&Msg| msg.received() && std::ptr::eq(view.exchange_of(msg), exchange);
    let failed = |msg: &Msg| msg.value.member("error").is_some();
    let refused = || is_4xx(exchange) || view.messages.iter().filter(own).any(failed);
    let answered = exchange.end_seq.or(exchange.response_seq).unwrap_or(exchange.seq);
    deletion.seq < exchange.seq || (deletion.seq < answered && refused())
}

/// Whether a session was already over when a request left: deleted, or its id had been answered with 404.
pub(crate) fn over(view: &View<'_>, exchange: &Exchange) -> bool {
    let Some(index) = exchange.conversation else { return false };
    let lost = |other: &Exchange| {
        other.conversation == Some(index)
            && other.seq < exchange.seq
            && other.status == Some(404)
            && other.session().is_some()
            && !other.got_json().is_some_and(|value| value.member("id").is_some_and(valid_id))
    };
    deleted(view, exchange) || view.exchanges.iter().any(lost)
}

/// Whether nothing about a request's HTTP side gives the server a reason to refuse it: a live and initialized
/// conversation, its session id and version, an ordinary origin and host, and an Accept that allows both kinds of answer.
pub(crate) fn faultless(view: &View<'_>, exchange: &Exchange) -> bool {
    view.gathers("faultless", exchange, || {
        (0..view.exchanges.len()).filter(|index| is_faultless(view, &view.exchanges[*index])).collect()
    })
}

fn is_faultless(view: &View<'_>, exchange: &Exchange) -> bool {
    let Some(index) = exchange.conversation else { return false };
    let conversation = &view.conversations[index];
    if exchange.modern {
        let at = view.messages.partition_point(|msg| msg.seq < exchange.seq);
        let body = view.messages.get(at).filter(|msg| msg.seq == exchange.seq);
        let mirrored = body.is_none_or(|msg| msg.kind != Kind::Request || asked::is_in_order(view, exchange, msg));
        return mirrored && view.line_is_open(exchange) && ordinary(exchange, &view.exchanges[conversation.opened]);
    }
    let opening = &view.exchanges[conversation.opened];
    let later = exchange.seq > opening.seq;
    let ready = conversation.initialized.is_some_and(|at| view.exchanges[at].seq <= exchange.seq);
    let session = exchange.session() == conversation.session.as_deref();
    if exchange.via.has_one_stream() {
        // No transport but Streamable HTTP asks anything of headers.
        return !over(view, exchange) && view.line_is_open(exchange) && (!later || ready);
    }
    let needs_version = conversation.revision.is_some_and(|revision| revision.facts().version_header);
    let version = match exchange.sent_header("mcp-protocol-version") {
        Some(version) => version == conversation.answered,
        None => !needs_version,
    };
    let accepts = |kind: &str| exchange.sent_header("accept").is_some_and(|accept| accept.contains(kind));
    let accept = accepts("text/event-stream") && (exchange.method == "GET" || accepts("application/json"));
    let content = exchange.method != "POST"
        || exchange.sent_header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    !over(view, exchange)
        && (!later || (ready && session && version))
        && (accept || exchange.method == "DELETE")
        && content
        && foreign_origin(exchange).is_none()
        && (exchange.sent_header("host") == opening.sent_header("host") || exchange.node != opening.node)
        && !may_be_lost(view, exchange, opening)
}

/// Whether a 404 may be owed to a restart, which may end sessions, or to a node that does not know the session, which is
/// judged by itself.
pub(crate) fn may_be_lost(view: &View<'_>, exchange: &Exchange, opening: &Exchange) -> bool {
    let before = |event: &Event| matches!(event.kind, EventKind::Restart { on: true, .. }) && event.seq < exchange.seq;
    exchange.status == Some(404) && (exchange.node != opening.node || view.events.iter().any(before))
}

/// Whether origin, host and media type of a request over HTTP are as usual.
fn ordinary(exchange: &Exchange, opening: &Exchange) -> bool {
    exchange.via.has_one_stream()
        || ((exchange.method != "POST"
            || exchange.sent_header("content-type").is_some_and(|kind| kind.starts_with("application/json")))
            && foreign_origin(exchange).is_none()
            && exchange.sent_header("host") == opening.sent_header("host"))
}

/// The calls whose request gives the server no reason to refuse it: request, exchange, responses.
pub(crate) fn fair_calls<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Msg, &'v Exchange, Vec<&'v Msg>)> {
    let is_fair = |call: &Call| {
        let request = &view.messages[call.request];
        let exchange = view.exchange_of(request);
        well_formed(&request.value) && faultless(view, exchange) && !walled(exchange)
    };
    let fair = view.indexes("fair calls", || (0..view.calls.len()).filter(|at| is_fair(&view.calls[*at])).collect());
    (0..fair.len()).map(move |at| {
        let call = &view.calls[fair[at]];
        let request = &view.messages[call.request];
        (request, view.exchange_of(request), call.responses.iter().map(|index| &view.messages[*index]).collect())
    })
}

/// The bodies that were sent by POST to the endpoint as JSON, or the text where they are none.
pub(crate) fn posts<'v>(view: &'v View<'_>) -> impl Iterator<Item = (usize, &'v Exchange, Result<&'v Value, &'v str>)> {
    view.exchanges.iter().enumerate().filter_map(move |(index, exchange)| {
        let body = exchange.body.as_deref().filter(|_| exchange.carries_message() && to_endpoint(view, exchange))?;
        Some((index, exchange, exchange.sent_json().ok_or(body)))
    })
}

/// The JSON-RPC error in the body of an answer.
pub(crate) fn body_error(exchange: &Exchange) -> Option<i64> {
    Message(exchange.got_json()?).error_code()
}

/// Whether a message of the server is a response.
pub(crate) fn is_response(msg: &Msg) -> bool {
    msg.kind == Kind::Response
}

/// The beginning of a text, to quote.
pub(crate) fn short(text: &str) -> String {
    if text.chars().count() <= QUOTED {
        return text.to_owned();
    }
    text.chars().take(QUOTED).chain("…".chars()).collect()
}

/// What came back, to quote.
pub(crate) fn came(exchange: &Exchange) -> String {
    let amiss = exchange.amiss();
    let Some(status) = exchange.status else {
        let quiet = if exchange.is_message() { "no message that answers it" } else { "no answer" };
        let body = exchange.response_body.as_deref().map(short);
        return body.or(amiss).unwrap_or_else(|| quiet.to_owned());
    };
    let kind = exchange.media_type().map(|kind| format!(", {kind}")).unwrap_or_default();
    let body = exchange.response_body.as_deref().map(|body| format!(": {}", short(body))).unwrap_or_default();
    let amiss = amiss.map(|amiss| format!("; {amiss}")).unwrap_or_default();
    format!("status {status}{kind}{body}{amiss}")
}

/// A breach in one line.
#[cold]
pub(crate) fn told(what: String, expected: &[&str], actual: String, fix: &str, evidence: Vec<u32>) -> Breach {
    Breach {
        what,
        expected: expected.iter().map(|text| (*text).to_owned()).collect(),
        actual,
        fix: fix.to_owned(),
        evidence,
    }
}
