//! Calls that bring the input that an earlier result asked for, with the result that asked. Holds no checks of its own.

use serde_json::{Map, Value};

use super::flaw::{Ask, flaws, requests};
use super::input::asking;
use super::results::shown;
use crate::check::Findings;
use crate::check::wire::{came, told};
use crate::model::Members as _;
use crate::transcript::{EventKind, View};

/// A call that comes back to a result which asked for input.
pub(super) struct Round<'v> {
    /// The call.
    pub ask: Ask<'v>,
    /// The call whose result asked.
    pub asked: Ask<'v>,
    /// The questions, by key.
    pub questions: Map<String, Value>,
    /// The responses, by key; `None` where they are no object.
    pub responses: Option<Map<String, Value>>,
    /// Whether the state came back as it was, or rightly did not.
    pub same_state: bool,
    /// Whether it is the same call as before.
    pub same_call: bool,
}

fn call_of(ask: &Ask<'_>) -> (String, String, String) {
    (ask.method().to_owned(), format!("{}{}", ask.param("name"), ask.param("uri")), ask.param("arguments").to_string())
}

pub(super) fn token<'v>(ask: &Ask<'v>) -> Option<&'v str> {
    ask.exchange.sent_header("authorization")
}

/// Every call that brings responses or a state, with the result that it comes back to: the latest that gave its state
/// or else asked for the same call.
pub(super) fn rounds<'v>(view: &'v View<'_>) -> Vec<Round<'v>> {
    let asked: Vec<(Ask<'v>, &'v Value)> = asking(view).collect();
    if asked.is_empty() {
        return Vec::new();
    }
    requests(view)
        .filter(|ask| ask.tells() && flaws(view, ask).is_empty())
        .filter(|ask| !ask.param("inputResponses").is_null() || !ask.param("requestState").is_null())
        .filter_map(|ask| {
            let earlier = || asked.iter().rev().filter(|(one, _)| one.request.seq < ask.request.seq);
            let state = ask.param("requestState");
            let giver = earlier().find(|(_, result)| !state.is_null() && *result.at("requestState") == *state);
            let like = earlier().find(|(one, _)| call_of(one) == call_of(&ask));
            let (one, result) = giver.or(like)?;
            Some(Round {
                ask,
                asked: *one,
                questions: result.at("inputRequests").as_object().cloned().unwrap_or_default(),
                responses: match ask.param("inputResponses") {
                    Value::Null => Some(Map::new()),
                    other => other.as_object().cloned(),
                },
                same_state: *result.at("requestState") == *state,
                same_call: call_of(one) == call_of(&ask),
            })
        })
        .collect()
}

pub(super) fn is_answer(question: &Value, response: &Value) -> bool {
    match question.at("method").as_str() {
        Some("elicitation/create") => match response.at("action").as_str() {
            Some("accept") => {
                question.at("params").at("mode") == "url"
                    || fits(question.at("params").at("requestedSchema"), response.at("content"))
            }
            Some("decline" | "cancel") => true,
            _ => false,
        },
        Some("sampling/createMessage") => response.at("role").is_string() && !response.at("content").is_null(),
        Some("roots/list") => response.at("roots").is_array(),
        _ => false,
    }
}

/// Whether content has what a form demands, in the types that it demands.
pub(super) fn fits(schema: &Value, content: &Value) -> bool {
    let Some(content) = content.as_object() else { return false };
    let required = schema.at("required").as_array().into_iter().flatten().filter_map(Value::as_str);
    let typed = |(key, value): (&String, &Value)| match schema.at("properties")[key.as_str()].at("type").as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    required.into_iter().all(|key| content.contains_key(key)) && content.iter().all(typed)
}

impl Round<'_> {
    pub(super) fn is_accepted(&self) -> bool {
        let declines = |response: &Value| matches!(response.at("action").as_str(), Some("decline" | "cancel"));
        self.responses.as_ref().is_some_and(|all| !all.values().any(declines))
    }

    /// Whether every question has a right answer.
    pub(super) fn is_whole(&self) -> bool {
        let Some(responses) = &self.responses else { return false };
        self.same_state
            && self.same_call
            && self
                .questions
                .iter()
                .all(|(key, question)| responses.get(key).is_some_and(|one| is_answer(question, one)))
    }

    pub(super) fn has_extra(&self) -> bool {
        self.responses.as_ref().is_some_and(|all| all.keys().any(|key| !self.questions.contains_key(key)))
    }

    /// Whether the work was done as if all were right.
    pub(super) fn succeeded(&self) -> bool {
        self.ask.result().is_some_and(|result| {
            matches!(result.at("resultType").as_str(), None | Some("complete" | "task")) && result.at("isError") != true
        })
    }

    pub(super) fn asks_again(&self) -> bool {
        self.ask.result().is_some_and(|result| result.at("resultType") == "input_required")
    }

    pub(super) fn evidence(&self) -> Vec<u32> {
        [self.asked.evidence(), self.ask.evidence()].concat()
    }
}

pub(super) fn require(out: &mut Findings, round: &Round<'_>, holds: bool, what: &str, expected: &str, fix: &str) {
    out.require(holds, || {
        let actual = if round.ask.result().is_some() { shown(&round.ask) } else { came(round.ask.exchange) };
        told(
            format!("{} of {}{} {what}.", round.ask.method(), round.ask.param("name"), round.ask.param("uri"))
                .replace("null", ""),
            &[expected],
            actual,
            fix,
            round.evidence(),
        )
    });
}

/// Whether a clock was put forward by hours between question and answer.
pub(super) fn late(view: &View<'_>, round: &Round<'_>) -> bool {
    const LONG: u64 = 24 * 60 * 60 * 1_000;
    let between = round.asked.request.seq..round.ask.request.seq;
    let moved: u64 = view
        .events
        .iter()
        .filter(|event| between.contains(&event.seq))
        .filter_map(|event| match event.kind {
            EventKind::Clock { advanced_ms } => Some(advanced_ms),
            _ => None,
        })
        .sum();
    moved >= LONG
}

/// Whether the same state came to its end before.
pub(super) fn used_before(view: &View<'_>, round: &Round<'_>) -> bool {
    let state = round.ask.param("requestState");
    state.is_string()
        && requests(view).any(|other| {
            other.request.seq < round.ask.request.seq && other.param("requestState") == state && other.tells()
        })
}
