//! Calls that bring the input that an earlier result asked for.

use serde_json::{Map, Value};

use super::flaw::{Ask, flaws, requests};
use super::input::asking;
use super::results::shown;
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::transcript::{EventKind, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.mrtr.retry-completes", judge: completes },
    Check { id: "patterns.mrtr.retry-independent", judge: independent },
    Check { id: "patterns.mrtr.extra-responses-ignored", judge: extra_ignored },
    Check { id: "patterns.mrtr.missing-responses-rerequested", judge: missing_again },
    Check { id: "patterns.mrtr.invalid-responses", judge: invalid_refused },
    Check { id: "patterns.mrtr.declined-input", judge: declined },
    Check { id: "features.elicitation.decline-handled", judge: declined },
    Check { id: "features.elicitation.validate-response", judge: validated },
    Check { id: "patterns.mrtr.state-tamper-rejected", judge: tampered },
    Check { id: "patterns.mrtr.state-request-bound", judge: request_bound },
    Check { id: "patterns.mrtr.state-principal-bound", judge: principal_bound },
    Check { id: "patterns.mrtr.state-expires", judge: expires },
    Check { id: "patterns.mrtr.keys-unique", judge: keys_unique },
];

/// A call that comes back to a result which asked for input.
struct Round<'v> {
    /// The call.
    ask: Ask<'v>,
    /// The call whose result asked.
    asked: Ask<'v>,
    /// The questions, by key.
    questions: Map<String, Value>,
    /// The responses, by key; `None` where they are no object.
    responses: Option<Map<String, Value>>,
    /// Whether the state came back as it was, or rightly did not.
    same_state: bool,
    /// Whether it is the same call as before.
    same_call: bool,
}

fn call_of(ask: &Ask<'_>) -> (String, String, String) {
    (ask.method().to_owned(), format!("{}{}", ask.param("name"), ask.param("uri")), ask.param("arguments").to_string())
}

fn token<'v>(ask: &Ask<'v>) -> Option<&'v str> {
    ask.exchange.sent_header("authorization")
}

/// Every call that brings responses or a state, with the result that it comes back to: the latest that gave its state
/// or else asked for the same call.
fn rounds<'v>(view: &'v View<'_>) -> Vec<Round<'v>> {
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
            let giver = earlier().find(|(_, result)| !state.is_null() && result["requestState"] == *state);
            let like = earlier().find(|(one, _)| call_of(one) == call_of(&ask));
            let (one, result) = giver.or(like)?;
            Some(Round {
                ask,
                asked: *one,
                questions: result["inputRequests"].as_object().cloned().unwrap_or_default(),
                responses: match ask.param("inputResponses") {
                    Value::Null => Some(Map::new()),
                    other => other.as_object().cloned(),
                },
                same_state: result["requestState"] == *state,
                same_call: call_of(one) == call_of(&ask),
            })
        })
        .collect()
}

fn is_answer(question: &Value, response: &Value) -> bool {
    match question["method"].as_str() {
        Some("elicitation/create") => match response["action"].as_str() {
            Some("accept") => {
                question["params"]["mode"] == "url" || fits(&question["params"]["requestedSchema"], &response["content"])
            }
            Some("decline" | "cancel") => true,
            _ => false,
        },
        Some("sampling/createMessage") => response["role"].is_string() && !response["content"].is_null(),
        Some("roots/list") => response["roots"].is_array(),
        _ => false,
    }
}

/// Whether content has what a form demands, in the types that it demands.
fn fits(schema: &Value, content: &Value) -> bool {
    let Some(content) = content.as_object() else { return false };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let typed = |(key, value): (&String, &Value)| match schema["properties"][key.as_str()]["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    required.into_iter().all(|key| content.contains_key(key)) && content.iter().all(typed)
}

impl Round<'_> {
    fn is_accepted(&self) -> bool {
        let declines = |response: &Value| matches!(response["action"].as_str(), Some("decline" | "cancel"));
        self.responses.as_ref().is_some_and(|all| !all.values().any(declines))
    }

    /// Whether every question has a right answer.
    fn is_whole(&self) -> bool {
        let Some(responses) = &self.responses else { return false };
        self.same_state
            && self.same_call
            && self.questions.iter().all(|(key, question)| responses.get(key).is_some_and(|one| is_answer(question, one)))
    }

    fn has_extra(&self) -> bool {
        self.responses.as_ref().is_some_and(|all| all.keys().any(|key| !self.questions.contains_key(key)))
    }

    /// Whether the work was done as if all were right.
    fn succeeded(&self) -> bool {
        self.ask.result().is_some_and(|result| {
            matches!(result["resultType"].as_str(), None | Some("complete" | "task")) && result["isError"] != true
        })
    }

    fn asks_again(&self) -> bool {
        self.ask.result().is_some_and(|result| result["resultType"] == "input_required")
    }

    fn evidence(&self) -> Vec<u32> {
        [self.asked.evidence(), self.ask.evidence()].concat()
    }
}

fn require(out: &mut Findings, round: &Round<'_>, holds: bool, what: &str, expected: &str, fix: &str) {
    out.require(holds, || {
        let actual = if round.ask.result().is_some() { shown(&round.ask) } else { came(round.ask.exchange) };
        told(format!("{} of {}{} {what}.", round.ask.method(), round.ask.param("name"), round.ask.param("uri")).replace("null", ""), &[expected], actual, fix, round.evidence())
    });
}

/// With everything that was asked for the call comes to its end, or asks for more.
fn completes(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.is_whole() && !round.has_extra() && round.is_accepted()) {
        // Who else asks, how late or for the second time is another matter.
        if used_before(view, round) || late(view, round) || token(&round.ask) != token(&round.asked) {
            continue;
        }
        let what = "brought all that was asked for, and was refused";
        require(out, round, round.ask.result().is_some(), what, "a result, or a further question", "take the responses of inputResponses by their keys");
    }
}

/// It may come on another connection.
fn independent(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.is_whole() && round.is_accepted()) {
        let moved = round.ask.exchange.connection != round.asked.exchange.connection;
        if !moved || used_before(view, round) || late(view, round) || token(&round.ask) != token(&round.asked) {
            continue;
        }
        let what = "came back on another connection, and was refused";
        require(out, round, round.ask.result().is_some(), what, "the same service on any connection", "keep what is needed in requestState, not with the connection");
    }
}

/// Answers to questions that nobody asked are left aside.
fn extra_ignored(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.is_whole() && round.has_extra() && round.is_accepted()) {
        let what = "brought an answer more than was asked for, and was refused";
        require(out, round, round.ask.result().is_some(), what, "a result as without it", "ignore keys of inputResponses that you do not know");
    }
}

/// What is missing is asked for again.
fn missing_again(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.same_state && round.same_call) {
        let Some(responses) = &round.responses else { continue };
        let lacks = round.questions.keys().any(|key| !responses.contains_key(key));
        let right = responses.iter().all(|(key, one)| {
            round.questions.get(key).is_none_or(|question| is_answer(question, one))
        });
        if !lacks || !right {
            continue;
        }
        // What is not needed after all need not be asked for.
        let what = "brought less than was asked for, and got an error";
        require(out, round, round.ask.result().is_some(), what, "a result of type input_required that asks for the rest", "ask again for what is missing");
    }
}

/// Answers of the wrong form are refused.
fn invalid_refused(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.same_state && round.same_call) {
        let malformed = match &round.responses {
            None => true,
            Some(all) => all.iter().any(|(key, one)| {
                let question = round.questions.get(key);
                question.is_some() && (!one.is_object() || (question.is_some_and(|question| question["method"] == "elicitation/create") && !matches!(one["action"].as_str(), Some("accept" | "decline" | "cancel"))))
            }),
        };
        if malformed {
            let what = "brought answers that have not the form of answers, and was served";
            require(out, round, !round.succeeded(), what, "a JSON-RPC error such as -32602", "check the form of each answer");
        }
    }
}

/// What the user declined ends the call or is asked again, and is not taken for consent.
fn declined(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.is_whole() && !round.is_accepted()) {
        let clean = round.ask.code() != Some(-32603) && round.ask.exchange.status.is_none_or(|status| status < 500);
        let what = "brought the answer that the user declined, and fell over";
        require(out, round, clean, what, "a result that says so, or a further question", "handle decline and cancel as answers");
    }
    // What fell over with a status of its own tells nothing to other checks, but here it does.
    for ask in requests(view).filter(|ask| ask.exchange.status.is_some_and(|status| status >= 500)) {
        let declines = ask.param("inputResponses").as_object().is_some_and(|all| {
            all.values().any(|one| matches!(one["action"].as_str(), Some("decline" | "cancel")))
        });
        if declines {
            out.breach(told(
                "The answer that the user declined made the server fall over.".to_owned(),
                &["a result that says so, or a further question"],
                came(ask.exchange),
                "handle decline and cancel as answers",
                ask.evidence(),
            ));
        }
    }
}

/// Content that does not fit the form is not taken.
fn validated(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.same_state && round.same_call) {
        let Some(responses) = &round.responses else { continue };
        let unfit = round.questions.iter().any(|(key, question)| {
            question["method"] == "elicitation/create"
                && question["params"]["mode"] != "url"
                && responses.get(key).is_some_and(|one| {
                    one["action"] == "accept" && !fits(&question["params"]["requestedSchema"], &one["content"])
                })
        });
        if unfit {
            let what = "brought content that does not fit the form, and was served";
            require(out, round, !round.succeeded(), what, "an error, or the question again", "validate content against requestedSchema");
        }
    }
}

/// A state that the server never gave is refused.
fn tampered(view: &View<'_>, out: &mut Findings) {
    let given: Vec<&Value> = asking(view).map(|(_, result)| &result["requestState"]).filter(|state| state.is_string()).collect();
    for round in rounds(view).iter().filter(|round| round.same_call && !given.is_empty()) {
        let state = round.ask.param("requestState");
        if !state.is_string() || given.contains(&state) {
            continue;
        }
        let what = "brought a requestState that the server never gave, and it was not refused";
        if round.asks_again() {
            out.contested(told(
                "An altered requestState was answered by a new question.".to_owned(),
                &["error -32602"],
                shown(&round.ask),
                "answer a state that fails verification with an error",
                round.evidence(),
            ));
        } else {
            require(out, round, !round.succeeded(), what, "error -32602", "sign or encrypt requestState, and verify it before use");
        }
    }
}

/// A state is good for the call that it was given for.
fn request_bound(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.same_state && !round.same_call && round.ask.param("requestState").is_string()) {
        let what = "brought the requestState of another call, and was served";
        require(out, round, !round.succeeded(), what, "error -32602", "put the method and a digest of the parameters into the protected state");
    }
}

/// A state is good for whom it was given to.
fn principal_bound(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.is_whole() && round.ask.param("requestState").is_string()) {
        let (before, now) = (token(&round.asked), token(&round.ask));
        // Two tokens may be of one user; two clients of a transcript are two users.
        if before.is_none() || now.is_none() || before == now || round.ask.exchange.client == round.asked.exchange.client {
            continue;
        }
        let what = "brought the requestState of another user, and was served";
        require(out, round, !round.succeeded(), what, "error -32602", "put the user into the protected state, and compare");
    }
}

/// Whether a clock was put forward by hours between question and answer.
fn late(view: &View<'_>, round: &Round<'_>) -> bool {
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

/// A state is not good for ever.
fn expires(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.is_whole() && round.ask.param("requestState").is_string() && late(view, round)) {
        let what = "brought a requestState more than a day old, and was served";
        require(out, round, !round.succeeded(), what, "error -32602", "put an end of minutes into the protected state");
    }
}

/// Whether the same state came to its end before.
fn used_before(view: &View<'_>, round: &Round<'_>) -> bool {
    let state = round.ask.param("requestState");
    state.is_string()
        && requests(view).any(|other| {
            other.request.seq < round.ask.request.seq && other.param("requestState") == state && other.tells()
        })
}

/// A key stands for one question within a call: asked again under the same key, it is the same question.
fn keys_unique(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.same_call && round.same_state) {
        let Some(again) = round.ask.result().and_then(|result| result["inputRequests"].as_object()) else { continue };
        let answered = |key: &String| round.responses.as_ref().is_some_and(|all| all.contains_key(key));
        let other = again.iter().find(|(key, question)| {
            answered(key) && round.questions.get(*key).is_some_and(|before| before["method"] != question["method"])
        });
        let named = other.map(|(key, _)| key.clone()).unwrap_or_default();
        let what = format!("was answered by another question under the key {named:?}, which had been answered");
        require(out, round, other.is_none(), &what, "a key of its own for each question of a call", "count keys on instead of starting again");
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, EventKind};
    use serde_json::{Value, json};

    fn question() -> Value {
        json!({"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {
            "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}}})
    }

    fn asked(builder: Builder) -> Builder {
        let result = json!({"resultType": "input_required", "inputRequests": {"who": question()}, "requestState": "s1"});
        builder.call("tools/call", json!({"name": "x", "arguments": {}}), result)
    }

    fn start() -> Builder {
        asked(Builder::new().modern().discover(json!({"tools": {}})))
    }

    fn back(builder: Builder, name: &str, state: &str, responses: &Value) -> Builder {
        let params = json!({"name": name, "arguments": {}, "requestState": state, "inputResponses": responses});
        builder.probe(&[], "tools/call", params)
    }

    fn accept() -> Value {
        json!({"who": {"action": "accept", "content": {"name": "Ada"}}})
    }

    fn done(builder: Builder) -> Builder {
        builder.serves("tools/call", json!({"content": []}))
    }

    fn refused(builder: Builder) -> Builder {
        builder.refuses(200, -32602, Value::Null)
    }

    fn again(builder: Builder, key: &str, question: &Value) -> Builder {
        builder.serves("tools/call", json!({"resultType": "input_required", "inputRequests": {key: question}}))
    }

    #[test]
    fn what_was_asked_for() {
        let whole = || back(start(), "x", "s1", &accept());
        expect_three("patterns.mrtr.retry-completes", &done(whole()), &refused(whole()), &start());
        let mut extra = accept();
        extra["odd"] = json!({"action": "accept"});
        let more = || back(start(), "x", "s1", &extra);
        expect_three("patterns.mrtr.extra-responses-ignored", &done(more()), &refused(more()), &start());
        let less = || back(start(), "x", "s1", &json!({}));
        let kept = again(less(), "who", &question());
        expect_three("patterns.mrtr.missing-responses-rerequested", &kept, &refused(less()), &start());
        let wrong = || back(start(), "x", "s1", &json!({"who": "Ada"}));
        expect_three("patterns.mrtr.invalid-responses", &refused(wrong()), &done(wrong()), &start());
        let unfit = || back(start(), "x", "s1", &json!({"who": {"action": "accept", "content": {"name": 7}}}));
        expect_three("features.elicitation.validate-response", &refused(unfit()), &done(unfit()), &start());
        let kept = again(whole(), "more", &question());
        let broken = again(whole(), "who", &json!({"method": "roots/list"}));
        expect_three("patterns.mrtr.keys-unique", &kept, &broken, &start());
    }

    #[test]
    fn another_connection() {
        let moved = |answer: fn(Builder) -> Builder| {
            let params = json!({"name": "x", "arguments": {}, "requestState": "s1", "inputResponses": accept()});
            answer(start().probe(&[], "tools/call", params).on_connection(2))
        };
        expect_three("patterns.mrtr.retry-independent", &moved(done), &moved(refused), &start());
    }

    #[test]
    fn declined() {
        let decline = || back(start(), "x", "s1", &json!({"who": {"action": "decline"}}));
        let broken = decline().refuses(200, -32603, Value::Null);
        for id in ["patterns.mrtr.declined-input", "features.elicitation.decline-handled"] {
            expect_three(id, &done(decline()), &broken, &start());
        }
    }

    #[test]
    fn states() {
        let altered = || back(start(), "x", "s2", &accept());
        expect_three("patterns.mrtr.state-tamper-rejected", &refused(altered()), &done(altered()), &start());
        let other = || back(start(), "y", "s1", &accept());
        expect_three("patterns.mrtr.state-request-bound", &refused(other()), &done(other()), &start());
        let aged = || back(start().event(EventKind::Clock { advanced_ms: 100_000_000 }), "x", "s1", &accept());
        expect_three("patterns.mrtr.state-expires", &refused(aged()), &done(aged()), &start());
        let result = json!({"resultType": "input_required", "inputRequests": {"who": question()}, "requestState": "s1"});
        let params = json!({"name": "x", "arguments": {}});
        let first = Builder::new().modern().discover(json!({})).probe(&[("authorization", "Bearer access#1")], "tools/call", params);
        let first = first.serves("tools/call", result);
        let params = json!({"name": "x", "arguments": {}, "requestState": "s1", "inputResponses": accept()});
        let other = first.clone().client("b").discover(json!({})).probe(&[("authorization", "Bearer access#2")], "tools/call", params);
        expect_three("patterns.mrtr.state-principal-bound", &refused(other.clone()), &done(other), &first);
    }
}
