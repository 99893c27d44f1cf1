//! What the steps of a scenario expect, judged over the transcript like any other check.

use serde_json::Value;

use crate::check::Breach;
use crate::model::{Kind, Members as _, challenges, id_text, requirements};
use crate::scenario::{BodyMatch, Expect, Outcome, ResultMatch, Scenario, SessionChange, Step};
use crate::transcript::{End, Event, EventKind, Exchange, Msg, View};

/// A step whose expectation was not met.
#[derive(Debug, Clone)]
pub struct Unmet {
    /// Line of the step in its file.
    pub line: usize,
    /// The word of the step.
    pub word: &'static str,
    /// Id of the requirement that the expectation rests on.
    pub clause: Option<String>,
    /// Whether the case fails for it in any case.
    pub firm: bool,
    /// What was expected and what came.
    pub breach: Breach,
    /// Number of the exchange that the step is about, if it took place.
    pub exchange: Option<u32>,
}

/// Judges every expectation of the scenario; gives how many were met, and the others.
pub fn judge_expectations(scenario: &Scenario, view: &View<'_>) -> (u32, Vec<Unmet>) {
    let mut met = 0;
    let mut unmet = Vec::new();
    let first = first_left_out(view);
    for step in scenario.all_steps() {
        let Some(expect) = step.expect() else { continue };
        let index = step.number;
        if index >= first || (!expect.firm && elsewhere(expect, index, view)) || unread(index, view) {
            continue;
        }
        match judge_step(expect, index, view) {
            Ok(()) => met += 1,
            Err(breach) => {
                let exchange = observe(index, view).map(|seen| seen.exchange.number);
                let breach = advised(scenario, expect, breach);
                unmet.push(unmet_at(step, expect, breach, exchange));
            }
        }
    }
    (met, unmet)
}

/// The step after which the rest was left out, and why.
pub(super) fn left_out<'v>(view: &'v View<'_>) -> Option<(u32, &'v str)> {
    view.events.iter().find_map(|event| match &event.kind {
        EventKind::LeftOut { why, .. } => Some((event.step?, why.as_str())),
        _ => None,
    })
}

/// The first step that cannot be judged, because it or what it needs was left out.
fn first_left_out(view: &View<'_>) -> u32 {
    let of = |event: &Event| match &event.kind {
        EventKind::LeftOut { this_too, .. } => Some(event.step? + u32::from(!this_too)),
        _ => None,
    };
    view.events.iter().find_map(of).unwrap_or(u32::MAX)
}

/// Whether the step's clause does not hold in the revision under which its exchange took place.
fn elsewhere(expect: &Expect, step: u32, view: &View<'_>) -> bool {
    let clause = expect.clause.as_deref().and_then(|clause| requirements().get(clause));
    let revision = observe(step, view).and_then(|seen| seen.exchange.revision);
    clause.zip(revision).is_some_and(|(clause, revision)| !clause.holds_in(revision))
}

/// Whether nothing came back for what need not be answered: where everything comes on one stream there is no status that
/// tells the end of it, and who cannot read an id has nothing to answer to.
fn unread(step: u32, view: &View<'_>) -> bool {
    observe(step, view).is_some_and(|seen| {
        let sent = seen.exchange.sent_json();
        let has_id =
            sent.is_some_and(|sent| sent.at("id").is_string() || sent.at("id").is_i64() || sent.at("id").is_u64());
        let refused = seen.exchange.status.is_some_and(|status| status >= 400);
        let said = seen.exchange.carries_message() && seen.exchange.via.has_one_stream();
        said && !has_id && !refused && seen.received.is_empty()
    })
}

/// Adds to a divergence what was missed and what to change: what the clause asks, if the step names one, and what the
/// scenario needs it for.
fn advised(scenario: &Scenario, expect: &Expect, breach: Breach) -> Breach {
    if !breach.fix.is_empty() {
        return breach;
    }
    let missed = breach.expected.join(" or ");
    let clause = expect.clause.as_deref().and_then(|clause| requirements().get(clause));
    let holds = clause
        .map_or_else(|| format!("answer this step with {missed}"), |clause| format!("make this hold: {}", clause.text));
    let fix = format!("{} Why it matters here: {}", sentence(&holds), sentence(&scenario.why));
    Breach { what: format!("The server did not give what this step needs: {missed}."), fix, ..breach }
}

fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

fn unmet_at(step: &Step, expect: &Expect, breach: Breach, exchange: Option<u32>) -> Unmet {
    let (clause, firm) = (expect.clause.clone(), expect.firm);
    Unmet { line: step.line, word: step.action.word(), clause, firm, breach, exchange }
}

/// What a step saw.
struct Seen<'v> {
    exchange: &'v Exchange,
    response: Option<&'v Value>,
    received: Vec<&'v Value>,
    /// What came on other streams of the client since: questions and notifications may travel there as well.
    beside: Vec<&'v Msg>,
}

impl Seen<'_> {
    /// What came on other streams before the exchange was over; a question comes before the answer that rests on it.
    fn beside_before_end(&self) -> Vec<&Value> {
        let end = self.exchange.end_seq.unwrap_or(u32::MAX);
        self.beside.iter().filter(|msg| msg.seq < end).map(|msg| &*msg.value).collect()
    }
}

fn observe<'v>(step: u32, view: &'v View<'_>) -> Option<Seen<'v>> {
    let (number, id) = view.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::Subject { exchange, id } if event.step == Some(step) => Some((*exchange, id.clone())),
        _ => None,
    })?;
    let position = view.exchanges.iter().position(|exchange| exchange.number == number)?;
    let exchange = &view.exchanges[position];
    let received: Vec<&Value> =
        view.messages_in(position).filter(|msg| msg.received()).map(|msg| &*msg.value).collect();
    let response = view
        .messages_in(position)
        .find(|msg| {
            msg.received()
                && msg.kind == Kind::Response
                && id.as_ref().is_none_or(|id| msg.message().id().map(id_text).as_ref() == Some(id))
        })
        .map(|msg| &*msg.value)
        // An error without id answers the only request there was.
        .or_else(|| received.iter().copied().find(|value| value.member("error").is_some()));
    let beside = view
        .received()
        .filter(|msg| {
            let other = view.exchange_of(msg);
            other.number != number && other.client == exchange.client && msg.seq > exchange.seq
        })
        .collect();
    Some(Seen { exchange, response, received, beside })
}

fn judge_step(expect: &Expect, step: u32, view: &View<'_>) -> Result<(), Breach> {
    let Some(seen) = observe(step, view) else {
        return Err(Breach {
            what: "The step had nothing to look at: its exchange never took place.".to_owned(),
            expected: vec!["an exchange with the server".to_owned()],
            actual: "none".to_owned(),
            fix: "look at the steps before this one: one of them did not get as far as it should".to_owned(),
            evidence: Vec::new(),
        });
    };
    match_one(expect, &seen, view)?;
    if expect.one_of.is_empty() {
        return Ok(());
    }
    let mut expected = Vec::new();
    let mut last = None;
    for alternative in &expect.one_of {
        match match_one(alternative, &seen, view) {
            Ok(()) => return Ok(()),
            Err(breach) => {
                expected.extend(breach.expected.clone());
                last = Some(breach);
            }
        }
    }
    Err(Breach { expected, ..last.unwrap_or_default() })
}

fn match_one(expect: &Expect, seen: &Seen<'_>, view: &View<'_>) -> Result<(), Breach> {
    let mut wanted: Vec<String> = Vec::new();
    // Without statuses, or with a stream of its own for answers, a good status says nothing; a bad one is not expected.
    if let Some(status) = &expect.status
        && (!seen.exchange.via.has_one_stream() || !(status.matches(200) || status.matches(202)))
        && !seen.exchange.status.is_some_and(|code| status.matches(code))
    {
        wanted.push(format!("status {status}"));
    }
    if let Some(result) = &expect.result {
        check_result(result, seen, &mut wanted);
    }
    if let Some(error) = &expect.error {
        let found = seen.response.and_then(|response| response.member("error")).filter(|error| !error.is_null());
        let code = found.and_then(|error| error.member("code")).and_then(Value::as_i64);
        let holds = found.is_some()
            && error.code.as_ref().is_none_or(|codes| code.is_some_and(|code| codes.matches(code)))
            && error
                .message
                .as_ref()
                .is_none_or(|matcher| matcher.matches(&found.map_or(Value::Null, |e| e.at("message").clone())))
            && error
                .data
                .as_ref()
                .is_none_or(|matcher| matcher.matches(&found.map_or(Value::Null, |e| e.at("data").clone())));
        if !holds {
            wanted.push(match &error.code {
                Some(codes) => format!("a JSON-RPC error with code {codes}"),
                None => "a JSON-RPC error".to_owned(),
            });
        }
    }
    if let Some(outcome) = &expect.outcome
        && !outcome_holds(*outcome, seen)
    {
        wanted.push(format!("the outcome `{outcome:?}`").to_lowercase());
    }
    for (name, matcher) in &expect.headers {
        let found = seen.exchange.got_header(name);
        let holds = match matcher {
            None => found.is_none(),
            Some(matcher) => found.is_some_and(|value| matcher.matches(&Value::from(value))),
        };
        if !holds {
            wanted.push(match matcher {
                None => format!("no header {name}"),
                Some(matcher) => format!("header {name} matching {}", matcher.value()),
            });
        }
    }
    if let Some(kind) = &expect.content_type
        && seen.exchange.media_type() != Some(kind.as_str())
    {
        wanted.push(format!("content type {kind}"));
    }
    if let Some(matcher) = &expect.challenge {
        let found = seen.exchange.got_header("www-authenticate").map(challenges).unwrap_or_default();
        let bearer = found.iter().find(|challenge| challenge.is("bearer"));
        let params: Option<serde_json::Map<String, Value>> = bearer.map(|challenge| {
            challenge.params.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
        });
        if !params.is_some_and(|params| matcher.matches(&Value::Object(params))) {
            wanted.push(format!("a Bearer challenge with {}", matcher.value()));
        }
    }
    if let Some(session) = &expect.session
        && !session_holds(*session, seen.exchange, view)
    {
        wanted.push(format!("session {session:?}").to_lowercase());
    }
    if expect.login.is_some_and(|wanted| wanted != logs_in(seen.exchange, view)) {
        wanted.push(if expect.login == Some(true) { "a login" } else { "no login by a person" }.to_owned());
    }
    if let Some(body) = &expect.body {
        let text = seen.exchange.response_body.as_deref().unwrap_or_default();
        let holds = match body {
            BodyMatch::Empty => text.is_empty() && seen.exchange.events.is_empty(),
            BodyMatch::Matches(matcher) => {
                let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
                matcher.matches(&value)
            }
        };
        if !holds {
            wanted.push("the body that the scenario describes".to_owned());
        }
    }
    check_messages(expect, seen, &mut wanted);
    if wanted.is_empty() {
        return Ok(());
    }
    Err(Breach {
        what: String::new(),
        expected: wanted,
        actual: actual(seen),
        fix: String::new(),
        evidence: seen.exchange.evidence(),
    })
}

fn check_result(expected: &ResultMatch, seen: &Seen<'_>, wanted: &mut Vec<String>) {
    let result = seen.response.and_then(|response| response.member("result"));
    let is_error = result.and_then(|result| result.member("isError")) == Some(&Value::Bool(true));
    match expected {
        ResultMatch::Ok if result.is_none() || is_error => wanted.push("a result".to_owned()),
        ResultMatch::ToolError if !is_error => wanted.push("a result with isError true".to_owned()),
        ResultMatch::Subset(matcher) => match result {
            None => wanted.push("a result".to_owned()),
            Some(result) => wanted.extend(
                matcher
                    .mismatches(result)
                    .into_iter()
                    .map(|mismatch| format!("result{} {}", mismatch.pointer, mismatch.expected)),
            ),
        },
        ResultMatch::Ok | ResultMatch::ToolError => {}
    }
}

fn outcome_holds(outcome: Outcome, seen: &Seen<'_>) -> bool {
    let answered = seen.response;
    match outcome {
        Outcome::Result => answered.is_some_and(|response| response.member("result").is_some()),
        Outcome::Error => {
            answered.is_some_and(|response| response.member("error").is_some_and(|error| !error.is_null()))
        }
        Outcome::Refused => seen.exchange.status.is_some_and(|status| status >= 400),
        Outcome::Silence => answered.is_none() && seen.exchange.status.is_none_or(|status| status < 400),
        Outcome::Closed => !matches!(seen.exchange.end, None | Some(End::TimedOut)),
    }
}

/// Whether the client sent a person to an authorization server in the step of this exchange (RFC 6749 section 4.1.1).
fn logs_in(exchange: &Exchange, view: &View<'_>) -> bool {
    let asks = |other: &&Exchange| other.query().iter().any(|(name, _)| name == "response_type");
    view.exchanges.iter().filter(|other| other.step == exchange.step).any(|other| asks(&other))
}

fn session_holds(expected: SessionChange, exchange: &Exchange, view: &View<'_>) -> bool {
    let got = exchange.got_header("mcp-session-id");
    let sent = exchange.session();
    // A server without session ids keeps its one conversation with every client.
    let sessions = view.conversations.iter().any(|conversation| conversation.session.is_some());
    match expected {
        SessionChange::Assigned => got.is_some(),
        SessionChange::None => got.is_none(),
        SessionChange::Unchanged => !sessions || (sent.is_some() && got.is_none_or(|got| Some(got) == sent)),
        SessionChange::Changed => {
            !sessions
                || view
                    .conversations
                    .iter()
                    .filter(|conversation| conversation.session.as_deref() == got.or(sent))
                    .all(|conversation| view.exchanges[conversation.opened].seq > view.exchanges[0].seq)
        }
    }
}

fn check_messages(expect: &Expect, seen: &Seen<'_>, wanted: &mut Vec<String>) {
    let count = |messages: &[&Value], method: &str, params: Option<&crate::scenario::Matcher>, request: bool| {
        messages
            .iter()
            .filter(|message| {
                message.member("method").and_then(Value::as_str) == Some(method)
                    && message.member("id").is_some() == request
                    && params.is_none_or(|matcher| matcher.matches(message.member("params").unwrap_or(&Value::Null)))
            })
            .count()
    };
    for notification in &expect.notifications {
        let count_in = |messages: &[&Value]| count(messages, &notification.method, notification.params.as_ref(), false);
        let found = count_in(&seen.received);
        let beside: Vec<&Value> = seen.beside.iter().map(|msg| &*msg.value).collect();
        let least = notification.at_least() as usize;
        let most = notification.at_most.map_or(usize::MAX, |most| most as usize);
        if found + count_in(&beside) < least || found > most {
            wanted.push(format!("at least {least} {} (saw {found})", notification.method));
        }
    }
    for request in &expect.requests {
        let found = |messages| count(messages, &request.method, request.params.as_ref(), true) > 0;
        if !found(&seen.received) && !found(&seen.beside_before_end()) {
            wanted.push(format!("the server to ask {}", request.method));
        }
    }
}

fn actual(seen: &Seen<'_>) -> String {
    let amiss = seen.exchange.amiss();
    let Some(status) = seen.exchange.status else {
        let said = seen.response.map(|response| response.to_string().chars().take(300).collect());
        return said.or(amiss).unwrap_or_else(|| "no answer".to_owned());
    };
    let mut text = status.to_string();
    if let Some(place) = seen.exchange.got_header("location").filter(|_| (300..400).contains(&status)) {
        text.extend([" to ", place, ", which was not followed"]);
    }
    let raw = || seen.exchange.response_body.as_deref().map(str::to_owned);
    let body = seen.response.map(ToString::to_string).or_else(raw).unwrap_or_default();
    if !body.is_empty() {
        text.push(' ');
        text.extend(body.chars().take(300));
    }
    // A response that came whole is not made worse by how its stream ended.
    if let Some(amiss) = amiss.filter(|_| seen.response.is_none()) {
        text.extend(["; ", &amiss]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;
    use crate::transcript::Builder;
    use serde_json::json;

    fn scenario(expect: &str) -> Scenario {
        let text = format!(
            "version: 1\nid: invoke.x\ntitle: t\nwhy: w\nsteps:\n  - connect\n  - negotiate\n  - invoke: {{ expect: {expect} }}\n"
        );
        parse("x.yaml", &text).unwrap_or_else(|error| panic!("{}", error.render(false)))
    }

    fn transcript(code: Option<i64>) -> Vec<crate::transcript::Event> {
        let builder = Builder::new().initialize("2025-06-18").step(2, "invoke");
        let builder = match code {
            None => builder.call("ping", Value::Null, json!({})),
            Some(code) => builder.call_error("ping", Value::Null, code),
        };
        builder.event(EventKind::Subject { exchange: 3, id: None }).finish()
    }

    #[test]
    fn a_met_expectation_counts_and_an_unmet_one_says_what_came() {
        let good = transcript(None);
        let bad = transcript(Some(-32601));
        let scenario = scenario("{ status: 200, result: ok, session: unchanged }");
        assert_eq!(judge_expectations(&scenario, &View::new(&good)).0, 1);
        let (met, unmet) = judge_expectations(&scenario, &View::new(&bad));
        assert_eq!((met, unmet.len()), (0, 1));
        assert!(unmet[0].breach.actual.contains("-32601"));
        assert_eq!(unmet[0].breach.expected, ["a result"]);
        assert_eq!(unmet[0].breach.fix, "answer this step with a result. Why it matters here: w.");
    }

    #[test]
    fn what_was_left_out_is_not_held_against_the_server() {
        let scenario = scenario("{ result: ok }");
        let why = || "the clock cannot be moved".to_owned();
        let at = |step| Builder::new().initialize("2025-06-18").step(step, "expire");
        let left_out = at(1).event(EventKind::LeftOut { why: why(), this_too: false }).finish();
        assert_eq!(judge_expectations(&scenario, &View::new(&left_out)).1.len(), 0);
        let only_a_note = at(1).event(EventKind::Note { text: why() }).finish();
        assert_eq!(judge_expectations(&scenario, &View::new(&only_a_note)).1.len(), 1);
    }

    #[test]
    fn the_fix_says_what_the_clause_asks_and_what_for() {
        let scenario = scenario("{ result: ok, clause: utilities.ping.respond }");
        let bad = transcript(Some(-32601));
        let (_, unmet) = judge_expectations(&scenario, &View::new(&bad));
        let fix = &unmet[0].breach.fix;
        assert!(fix.contains("answers ping promptly") && fix.ends_with("Why it matters here: w."), "{fix}");
    }

    #[test]
    fn questions_and_news_may_travel_on_another_stream() {
        let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"});
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "x"}});
        let reply = json!({"jsonrpc": "2.0", "id": 7, "result": {"content": []}});
        let sse = |exchange: u32, message: &Value| EventKind::Sse {
            exchange,
            id: None,
            event: None,
            data: Some(message.to_string().into()),
            retry: None,
        };
        let opened = Builder::new().initialize("2025-06-18").request("GET", &[], None).stream();
        let called = opened.step(2, "invoke").post(&call).stream();
        let subject = EventKind::Subject { exchange: 4, id: None };
        let beside = called.clone().event(sse(3, &ask)).event(sse(4, &reply)).end(End::Complete);
        let late = called.clone().event(sse(4, &reply)).end(End::Complete).event(sse(3, &ask));
        let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}});
        let told = called.clone().event(sse(4, &reply)).end(End::Complete).event(sse(3, &note)).event(subject.clone());
        let news = scenario("{ notifications: [ { method: notifications/message, at-least: 1 } ] }");
        assert_eq!(judge_expectations(&news, &View::new(&told.finish())).0, 1);
        let wanted = scenario("{ requests: [ { method: roots/list } ] }");
        for (transcript, met) in [(beside, 1), (late, 0)] {
            let events = transcript.event(subject.clone()).finish();
            assert_eq!(judge_expectations(&wanted, &View::new(&events)).0, met);
        }
    }

    #[test]
    fn a_login_on_the_way_is_seen() {
        let begun = Builder::new().initialize("2025-06-18").step(2, "invoke");
        let asked = begun.outside("GET", "/authorize?response_type=code", &[], None).answer(302, &[], "");
        let called = asked.call("ping", Value::Null, json!({})).event(EventKind::Subject { exchange: 4, id: None });
        let (with, without) = (called.finish(), transcript(None));
        let alone = scenario("{ result: ok, login: false }");
        assert_eq!(judge_expectations(&alone, &View::new(&with)).1[0].breach.expected, ["no login by a person"]);
        assert_eq!(judge_expectations(&alone, &View::new(&without)).0, 1);
        assert_eq!(judge_expectations(&scenario("{ login: true }"), &View::new(&with)).0, 1);
    }

    #[test]
    fn alternatives_pass_when_one_of_them_does() {
        let events = transcript(Some(-32602));
        let either = scenario("{ one-of: [ { result: ok }, { error: { code: -32602 } } ] }");
        assert_eq!(judge_expectations(&either, &View::new(&events)).0, 1);
        let neither = scenario("{ one-of: [ { result: ok }, { error: { code: -32601 } } ] }");
        assert_eq!(judge_expectations(&neither, &View::new(&events)).1[0].breach.expected.len(), 2);
    }
}
