//! What many checks share: how a breach is told, which requests can be judged, how pages form a listing.

use serde_json::Value;

use super::modern::asked;
use super::wire::{deleted, well_formed};
use super::{Breach, Findings};
use crate::model::{Members as _, Via};
use crate::transcript::{Direction, Exchange, Msg, View};

/// A JSON value as evidence, shortened where it is long.
pub(crate) fn quote(value: &Value) -> String {
    const LIMIT: usize = 400;
    let text = value.to_string();
    if text.chars().count() <= LIMIT {
        return text;
    }
    text.chars().take(LIMIT).chain("…".chars()).collect()
}

/// The positions of some messages, in order and each once.
pub(crate) fn seqs(seen: &[&Msg]) -> Vec<u32> {
    let mut list: Vec<u32> = seen.iter().map(|msg| msg.seq).collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// A breach from its parts.
#[cold]
pub(crate) fn told(what: impl Into<String>, expected: &[&str], actual: &Value, fix: &str, seen: &[&Msg]) -> Breach {
    Breach {
        what: what.into(),
        expected: expected.iter().map(|&text| text.to_owned()).collect(),
        actual: quote(actual),
        fix: fix.to_owned(),
        evidence: seqs(seen),
    }
}

/// A member of a message's `params`, null where absent.
pub(crate) fn param<'v>(msg: &'v Msg, name: &str) -> &'v Value {
    msg.value.at("params").at(name)
}

/// Whether the server declared a capability in the conversation of this message; `None` outside conversations, and
/// where it declared nothing in the proper form.
pub(crate) fn server_declared(view: &View<'_>, msg: &Msg, path: &[&str]) -> Option<bool> {
    // Without any capabilities in the result of initialize that is what is wrong, and nothing else.
    let conversation = view.conversation_of(msg).filter(|known| known.result.at("capabilities").is_object())?;
    let found = conversation.server_capability(path);
    Some(found.is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false))))
}

/// Whether the client declared a capability in the conversation of this message; `None` outside conversations.
///
/// In the modern era each request declares for itself; what came in its exchange is measured by it.
pub(crate) fn client_declared(view: &View<'_>, msg: &Msg, path: &[&str]) -> Option<bool> {
    if asked::is_modern(msg) {
        return asked::declares(view.exchange_of(msg).sent_json()?, path);
    }
    let found = view.conversation_of(msg)?.client_capability(path);
    Some(found.is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false))))
}

/// Whether an answer's status speaks of access, sessions, load or form of the HTTP request, not of the call.
fn speaks_of_transport(exchange: &Exchange) -> bool {
    exchange.is_unread()
        || matches!(exchange.status, Some(300..=399 | 401 | 403..=408 | 410 | 413 | 415 | 421 | 429 | 502..=504))
}

/// Whether a request of the client is beyond reproach below its method: sent in an opened conversation that still
/// lives, with the negotiated version, media types and a valid id, and not refused for access or load.
pub(crate) fn is_proper(view: &View<'_>, request: &Msg) -> bool {
    let exchange = view.exchange_of(request);
    if exchange.modern {
        return is_proper_modern(view, request, exchange);
    }
    let Some(conversation) = view.conversation_of(request) else { return false };
    let before = |index: Option<usize>| index.is_some_and(|index| view.exchanges[index].seq < exchange.seq);
    let version = exchange.sent_header("mcp-protocol-version");
    // What Streamable HTTP asks of headers, no other transport does.
    let over_http = exchange.via == Via::StreamableHttp;
    let needs_version = over_http && conversation.revision.is_some_and(|revision| revision.facts().version_header);
    let id = request.value.at("id");
    // Very long messages have a check of their own.
    let long = exchange.is_message() && exchange.sent_header("length").is_some();
    exchange.carries_message()
        && !long
        && view.line_is_open(exchange)
        && before(conversation.initialized)
        && !deleted(view, exchange)
        && request.value.at("jsonrpc") == "2.0"
        && !request.batched
        && (id.is_string() || id.is_i64())
        && version.map_or(!needs_version, |version| version == conversation.answered)
        && (!over_http
            || exchange
                .sent_header("accept")
                .is_some_and(|accept| accept.contains("application/json") && accept.contains("text/event-stream")))
        && !speaks_of_transport(exchange)
}

/// The same in the modern era, where nothing has to be opened but each request says everything itself.
fn is_proper_modern(view: &View<'_>, request: &Msg, exchange: &Exchange) -> bool {
    let long = exchange.is_message() && exchange.sent_header("length").is_some();
    // With a JSON-RPC error in it a 404 says that the method does not exist.
    let told_off = exchange.status == Some(404) && exchange.got_json().is_some_and(|body| body.at("error").is_object());
    exchange.carries_message()
        && !long
        && view.line_is_open(exchange)
        && !request.batched
        && well_formed(&request.value)
        && asked::is_in_order(view, exchange, request)
        && (told_off || !speaks_of_transport(exchange))
}

/// A request that the server refused as a JSON-RPC error, where the error code is asked for.
pub(crate) struct Refusal<'a> {
    /// What the client did, as the beginning of a sentence: "The client …".
    pub deed: &'a str,
    /// The right codes; none if any will do.
    pub codes: &'a [i64],
    /// Codes that only earn a warning.
    pub tolerated: &'a [i64],
    /// How to mend it.
    pub fix: &'a str,
}

/// A request that has to be refused with one of some codes. Without an answer it is inconclusive.
pub(crate) fn expect_refusal(
    view: &View<'_>,
    out: &mut Findings,
    request: &Msg,
    response: Option<&Msg>,
    rule: &Refusal<'_>,
) {
    if !is_proper(view, request) {
        return;
    }
    let Some(response) = response else { return out.inconclusive() };
    let code = response.message().error_code();
    if code.is_none() && response.value.at("error").is_object() {
        // An error, but without a code that could be looked at: `base.error-code-integer` tells that.
        return out.inconclusive();
    }
    let right = |codes: &[i64]| code.is_some_and(|code| codes.contains(&code));
    if right(rule.codes) || (rule.codes.is_empty() && code.is_some()) {
        return out.pass();
    }
    let codes: Vec<String> = rule.codes.iter().map(|code| format!("a JSON-RPC error with code {code}")).collect();
    let mut expected: Vec<&str> = codes.iter().map(String::as_str).collect();
    if expected.is_empty() {
        expected.push("a JSON-RPC error");
    }
    let came = code.map_or_else(|| "accepted it with a result".to_owned(), |code| format!("answered error {code}"));
    let breach = told(
        format!("{} and the server {came}.", rule.deed),
        &expected,
        &response.value,
        rule.fix,
        &[request, response],
    );
    if right(rule.tolerated) { out.contested(breach) } else { out.breach(breach) }
}

/// A list method and what its result holds.
#[derive(Debug)]
pub(crate) struct ListKind {
    /// The method.
    pub method: &'static str,
    /// Member of the result that holds the items.
    pub member: &'static str,
    /// Member of an item that identifies it.
    pub key: &'static str,
    /// The capability it belongs to.
    pub capability: &'static str,
    /// The notification of a change.
    pub changed: &'static str,
}

/// The list methods of servers.
pub(crate) const TOOLS: ListKind = ListKind {
    method: "tools/list",
    member: "tools",
    key: "name",
    capability: "tools",
    changed: "notifications/tools/list_changed",
};
/// `resources/list`.
pub(crate) const RESOURCES: ListKind = ListKind {
    method: "resources/list",
    member: "resources",
    key: "uri",
    capability: "resources",
    changed: "notifications/resources/list_changed",
};
/// `resources/templates/list`.
pub(crate) const TEMPLATES: ListKind = ListKind {
    method: "resources/templates/list",
    member: "resourceTemplates",
    key: "uriTemplate",
    capability: "resources",
    changed: "notifications/resources/list_changed",
};
/// `prompts/list`.
pub(crate) const PROMPTS: ListKind = ListKind {
    method: "prompts/list",
    member: "prompts",
    key: "name",
    capability: "prompts",
    changed: "notifications/prompts/list_changed",
};
/// All four.
pub(crate) const LISTS: [&ListKind; 4] = [&TOOLS, &RESOURCES, &TEMPLATES, &PROMPTS];

impl ListKind {
    /// Every item of every result: request, response, item.
    pub(crate) fn items<'v>(&self, view: &'v View<'_>) -> impl Iterator<Item = (&'v Msg, &'v Msg, &'v Value)> {
        let (method, member) = (self.method, self.member);
        view.results_of(method).flat_map(move |(request, response, result)| {
            result.at(member).as_array().into_iter().flatten().map(move |item| (request, response, item))
        })
    }

    /// The latest definition of an item that this conversation was shown before the message.
    pub(crate) fn find<'v>(&self, view: &'v View<'_>, before: &Msg, key: &str) -> Option<&'v Value> {
        let name = self.key;
        let pages: Vec<&Value> = view
            .results_of(self.method)
            .filter(|(_, response, _)| response.conversation == before.conversation && response.seq < before.seq)
            .map(|(_, _, result)| &result[self.member])
            .collect();
        pages
            .into_iter()
            .rev()
            .flat_map(|page| page.as_array().into_iter().flatten().rev())
            .find(|item| item.at(name) == key)
    }

    /// Walks of the list: pages in one conversation, each asked for with the cursor of the one before.
    pub(crate) fn walks<'v>(&self, view: &'v View<'_>) -> Vec<Walk<'v>> {
        let mut walks: Vec<Walk<'v>> = Vec::new();
        for page in view.results_of(self.method) {
            let cursor = param(page.0, "cursor");
            if cursor.is_null() {
                walks.push(Walk { pages: vec![page] });
            } else if let Some(walk) = walks.iter_mut().rev().find(|walk| {
                let (_, response, result) = walk.last();
                response.conversation == page.0.conversation && *result.at("nextCursor") == *cursor
            }) {
                walk.pages.push(page);
            }
        }
        walks
    }

    /// Whether this conversation saw the whole list before the message.
    pub(crate) fn known_whole(&self, view: &View<'_>, before: &Msg) -> bool {
        self.walks(view).iter().any(|walk| {
            let (_, response, result) = walk.last();
            response.conversation == before.conversation
                && response.seq < before.seq
                && result.at("nextCursor").is_null()
                && walk.pages.iter().all(|(_, _, page)| self.names_all(page))
        })
    }

    /// Whether a page is a list whose items all say what they are called.
    fn names_all(&self, page: &Value) -> bool {
        page[self.member].as_array().is_some_and(|items| items.iter().all(|item| item[self.key].is_string()))
    }
}

/// Pages in order: request, response, result.
pub(crate) struct Walk<'v> {
    /// At least one.
    pub pages: Vec<(&'v Msg, &'v Msg, &'v Value)>,
}

impl<'v> Walk<'v> {
    /// The latest page.
    pub(crate) fn last(&self) -> (&'v Msg, &'v Msg, &'v Value) {
        self.pages[self.pages.len() - 1]
    }
}

/// Notifications of the client with this method.
pub(crate) fn sent_notifications<'v>(view: &'v View<'_>, method: &'v str) -> impl Iterator<Item = &'v Msg> {
    view.messages.iter().filter(move |msg| {
        msg.direction == Direction::Sent && msg.method() == Some(method) && msg.value.member("id").is_none()
    })
}

/// What the server sent with this method, requests and notifications.
pub(crate) fn received_with<'v>(view: &'v View<'_>, method: &'v str) -> impl Iterator<Item = &'v Msg> {
    view.received().filter(move |msg| msg.method() == Some(method))
}

/// Judges one thing by its first problem.
pub(crate) fn hold(
    out: &mut Findings,
    problem: Option<String>,
    expected: &str,
    actual: &Value,
    fix: &str,
    seen: &[&Msg],
) {
    match problem {
        None => out.pass(),
        Some(what) => out.breach(told(what, &[expected], actual, fix, seen)),
    }
}

/// The three transcripts that every check is tried on: one that keeps the rule, one that breaks it, and one without
/// an occasion.
#[cfg(test)]
pub(crate) fn three(id: &str, good: &crate::transcript::Builder, bad: &crate::transcript::Builder) {
    use super::Outcome;
    use super::testing::judge;
    let worst = match crate::model::requirements().get(id) {
        Some(requirement) if requirement.may_fail() => Outcome::Fail,
        _ => Outcome::Warn,
    };
    let finding = judge(id, good);
    assert_eq!(finding.outcome, Outcome::Pass, "{id}, good: {finding:?}");
    let finding = judge(id, bad);
    assert_eq!(finding.outcome, worst, "{id}, bad: {finding:?}");
    assert!(finding.breaches.iter().all(|breach| !breach.evidence.is_empty()), "{id} shows no evidence");
    super::testing::also_modern(id, good, bad, worst);
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] {
        let idle = crate::transcript::Builder::new().initialize(revision);
        assert_eq!(judge(id, &idle).outcome, Outcome::NotExercised, "{id}, idle");
    }
}
