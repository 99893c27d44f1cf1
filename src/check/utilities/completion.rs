//! Completion of arguments.

use serde_json::Value;

use crate::check::support::{PROMPTS, Refusal, expect_refusal, hold, is_proper, param, server_declared, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "utilities.completion.capability", judge: capability },
    Check { id: "utilities.completion.max-100", judge: max_100 },
    Check { id: "utilities.completion.result-shape", judge: result_shape },
    Check { id: "utilities.completion.unknown-prompt", judge: unknown_prompt },
    Check { id: "utilities.completion.missing-args", judge: missing_args },
    Check { id: "utilities.completion.unsupported", judge: unsupported },
    Check { id: "utilities.completion.context", judge: context },
];

const COMPLETE: &str = "completion/complete";

fn declared(view: &View<'_>, request: &Msg) -> Option<bool> {
    server_declared(view, request, &["completions"])
}

fn results<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Msg, &'v Msg, &'v Value)> {
    view.results_of(COMPLETE).filter(|(request, ..)| out.covers(request.revision)).collect()
}

/// Who completes values has declared the completions capability.
fn capability(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in results(view, out) {
        let some = result.at("completion").at("values").as_array().is_some_and(|values| !values.is_empty());
        let Some(declared) = declared(view, request).filter(|_| some) else { continue };
        let problem = (!declared).then(|| "The server completes values but declares no completions.".to_owned());
        let fix = "declare the capability; clients do not ask for what is not declared";
        hold(out, problem, "\"completions\": {} among the capabilities", result, fix, &[request, response]);
    }
}

/// No more than 100 values.
fn max_100(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in results(view, out) {
        let Some(count) = result.at("completion").at("values").as_array().map(Vec::len) else { continue };
        let problem = (count > 100).then(|| format!("A completion has {count} values."));
        let fix = "cut the values at 100 and set hasMore";
        hold(out, problem, "at most 100 values", &count.into(), fix, &[request, response]);
    }
}

/// The values are strings; total is a number and hasMore a boolean, where present.
fn result_shape(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in results(view, out) {
        let completion = result.at("completion");
        let values = completion.at("values").as_array().is_some_and(|values| values.iter().all(Value::is_string));
        let total = completion.member("total").is_none_or(|total| total.is_number() || total.is_null());
        let more = completion.member("hasMore").is_none_or(|more| more.is_boolean() || more.is_null());
        let problem = (!values || !total || !more).then(|| "The result of a completion has a wrong form.".to_owned());
        let expected = "completion.values, an array of strings; total a number, hasMore a boolean";
        hold(out, problem, expected, result, "return the values under completion", &[request, response]);
    }
}

/// Completing for a prompt that is not in the list, seen whole, is an invalid parameter.
fn unknown_prompt(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to(COMPLETE) {
        let reference = param(request, "ref");
        let Some(name) = reference.at("name").as_str().filter(|_| reference.at("type") == "ref/prompt") else {
            continue;
        };
        let known = !PROMPTS.known_whole(view, request) || PROMPTS.find(view, request, name).is_some();
        if known || !out.covers(request.revision) || declared(view, request) != Some(true) {
            continue;
        }
        let rule = Refusal {
            deed: &format!("The client completed for the prompt {name:?}, which is not listed,"),
            codes: &[-32602],
            tolerated: &[],
            fix: "answer -32602 to an unknown prompt",
        };
        expect_refusal(view, out, request, response, &rule);
    }
}

/// A completion without reference or argument is an invalid parameter.
fn missing_args(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to(COMPLETE) {
        let missing = ["ref", "argument"].into_iter().find(|name| param(request, name).is_null());
        let Some(missing) = missing.filter(|_| out.covers(request.revision)) else { continue };
        if declared(view, request) == Some(true) {
            let rule = Refusal {
                deed: &format!("The client sent completion/complete without {missing}"),
                codes: &[-32602],
                tolerated: &[],
                fix: "check for ref and argument and answer -32602",
            };
            expect_refusal(view, out, request, response, &rule);
        }
    }
}

/// Without the capability the method is not known.
fn unsupported(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to(COMPLETE) {
        if out.covers(request.revision) && declared(view, request) == Some(false) {
            let rule = Refusal {
                deed: "The client sent completion/complete, which the server does not declare,",
                codes: &[-32601],
                tolerated: &[],
                fix: "answer -32601, or declare completions",
            };
            expect_refusal(view, out, request, response, &rule);
        }
    }
}

/// The same completion is accepted with a context of earlier arguments and without.
fn context(view: &View<'_>, out: &mut Findings) {
    for (with, answer) in view.calls_to(COMPLETE) {
        if param(with, "context").is_null() || !out.covers(with.revision) || declared(view, with) != Some(true) {
            continue;
        }
        let same = |other: &Msg| {
            other.conversation == with.conversation
                && param(other, "context").is_null()
                && ["ref", "argument"].iter().all(|name| param(other, name) == param(with, name))
        };
        let without = view.calls_to(COMPLETE).find(|(other, _)| same(other) && is_proper(view, other));
        let Some(((plain, bare), answer)) = without.zip(answer).filter(|_| is_proper(view, with)) else { continue };
        let Some(bare) = bare else { continue };
        let works = |msg: &Msg| msg.value.member("result").is_some();
        if !works(answer) && !works(bare) {
            continue;
        }
        out.require(works(answer) && works(bare), || {
            told(
                "Of the same completion with and without context one was refused.",
                &["a result for both"],
                if works(bare) { &answer.value } else { &bare.value },
                "treat context as optional",
                &[plain, bare, with, answer],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn base() -> Builder {
        Builder::new().initialize("2025-06-18").call("prompts/list", json!({}), json!({"prompts": [{"name": "p"}]}))
    }

    fn params() -> Value {
        json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}})
    }

    fn given(base: Builder, values: &Value) -> Builder {
        base.call("completion/complete", params(), json!({"completion": {"values": values}}))
    }

    #[test]
    fn results() {
        let good = given(base(), &json!(["x"]));
        three("utilities.completion.max-100", &good, &given(base(), &json!(vec!["x"; 101])));
        three("utilities.completion.result-shape", &good, &given(base(), &json!([1])));
        let undeclared = Builder::new().initialize_with("2025-06-18", "2025-06-18", json!({}), json!({}));
        three("utilities.completion.capability", &good, &given(undeclared.clone(), &json!(["x"])));
        let refused = undeclared.clone().call_error("completion/complete", params(), -32601);
        three("utilities.completion.unsupported", &refused, &given(undeclared, &json!([])));
        let mut with = params();
        with["context"] = json!({"arguments": {"b": "1"}});
        let values = json!({"completion": {"values": []}});
        let accepted = good.clone().call("completion/complete", with.clone(), values);
        let denied = good.call_error("completion/complete", with, -32602);
        three("utilities.completion.context", &accepted, &denied);
    }

    #[test]
    fn refusals() {
        let unknown = json!({"ref": {"type": "ref/prompt", "name": "q"}, "argument": {"name": "a", "value": ""}});
        for (id, params) in [("unknown-prompt", unknown), ("missing-args", json!({"argument": {}}))] {
            let good = base().call_error("completion/complete", params.clone(), -32602);
            let bad = base().call("completion/complete", params, json!({"completion": {"values": []}}));
            three(&format!("utilities.completion.{id}"), &good, &bad);
        }
    }
}
