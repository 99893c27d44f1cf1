//! Calls that bring the input that an earlier result asked for.

use super::flaw::requests;
use super::round::{fits, is_answer, late, require, rounds, token, used_before};
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

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
    Check { id: "patterns.mrtr.keys-unique", judge: keys_unique },
];

/// With everything that was asked for the call comes to its end, or asks for more.
fn completes(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.is_whole() && !round.has_extra() && round.is_accepted()) {
        // Who else asks, how late or for the second time is another matter.
        if used_before(view, round) || late(view, round) || token(&round.ask) != token(&round.asked) {
            continue;
        }
        let what = "brought all that was asked for, and was refused";
        require(
            out,
            round,
            round.ask.result().is_some(),
            what,
            "a result, or a further question",
            "take the responses of inputResponses by their keys",
        );
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
        require(
            out,
            round,
            round.ask.result().is_some(),
            what,
            "the same service on any connection",
            "keep what is needed in requestState, not with the connection",
        );
    }
}

/// Answers to questions that nobody asked are left aside.
fn extra_ignored(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.is_whole() && round.has_extra() && round.is_accepted()) {
        let what = "brought an answer more than was asked for, and was refused";
        require(
            out,
            round,
            round.ask.result().is_some(),
            what,
            "a result as without it",
            "ignore keys of inputResponses that you do not know",
        );
    }
}

/// What is missing is asked for again.
fn missing_again(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.same_state && round.same_call) {
        let Some(responses) = &round.responses else { continue };
        let lacks = round.questions.keys().any(|key| !responses.contains_key(key));
        let right =
            responses.iter().all(|(key, one)| round.questions.get(key).is_none_or(|question| is_answer(question, one)));
        if !lacks || !right {
            continue;
        }
        // What is not needed after all need not be asked for.
        let what = "brought less than was asked for, and got an error";
        require(
            out,
            round,
            round.ask.result().is_some(),
            what,
            "a result of type input_required that asks for the rest",
            "ask again for what is missing",
        );
    }
}

/// Answers of the wrong form are refused.
fn invalid_refused(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.same_state && round.same_call) {
        let malformed = match &round.responses {
            None => true,
            Some(all) => all.iter().any(|(key, one)| {
                let question = round.questions.get(key);
                question.is_some()
                    && (!one.is_object()
                        || (question.is_some_and(|question| question.at("method") == "elicitation/create")
                            && !matches!(one.at("action").as_str(), Some("accept" | "decline" | "cancel"))))
            }),
        };
        if malformed {
            let what = "brought answers that have not the form of answers, and was served";
            require(
                out,
                round,
                !round.succeeded(),
                what,
                "a JSON-RPC error such as -32602",
                "check the form of each answer",
            );
        }
    }
}

/// What the user declined ends the call or is asked again, and is not taken for consent.
fn declined(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.is_whole() && !round.is_accepted()) {
        let clean = round.ask.code() != Some(-32603) && round.ask.exchange.status.is_none_or(|status| status < 500);
        let what = "brought the answer that the user declined, and fell over";
        require(
            out,
            round,
            clean,
            what,
            "a result that says so, or a further question",
            "handle decline and cancel as answers",
        );
    }
    // What fell over with a status of its own tells nothing to other checks, but here it does.
    for ask in requests(view).filter(|ask| ask.exchange.status.is_some_and(|status| status >= 500)) {
        let declines = ask
            .param("inputResponses")
            .as_object()
            .is_some_and(|all| all.values().any(|one| matches!(one.at("action").as_str(), Some("decline" | "cancel"))));
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
            question.at("method") == "elicitation/create"
                && question.at("params").at("mode") != "url"
                && responses.get(key).is_some_and(|one| {
                    one.at("action") == "accept"
                        && !fits(question.at("params").at("requestedSchema"), one.at("content"))
                })
        });
        if unfit {
            let what = "brought content that does not fit the form, and was served";
            require(
                out,
                round,
                !round.succeeded(),
                what,
                "an error, or the question again",
                "validate content against requestedSchema",
            );
        }
    }
}

/// A key stands for one question within a call: asked again under the same key, it is the same question.
fn keys_unique(view: &View<'_>, out: &mut Findings) {
    for round in rounds(view).iter().filter(|round| round.same_call && round.same_state) {
        let Some(again) = round.ask.result().and_then(|result| result.at("inputRequests").as_object()) else {
            continue;
        };
        let answered = |key: &String| round.responses.as_ref().is_some_and(|all| all.contains_key(key));
        let other = again.iter().find(|(key, question)| {
            answered(key)
                && round.questions.get(*key).is_some_and(|before| before.at("method") != question.at("method"))
        });
        let named = other.map(|(key, _)| key.clone()).unwrap_or_default();
        let what = format!("was answered by another question under the key {named:?}, which had been answered");
        require(
            out,
            round,
            other.is_none(),
            &what,
            "a key of its own for each question of a call",
            "count keys on instead of starting again",
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::check::modern::samples::rounds::{accept, back, done, question, refused, start};
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

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
}
