//! Results that ask for input, and the calls that bring it.

use std::collections::HashSet;

use serde_json::Value;

use super::asked::declares;
use super::flaw::{Ask, flaws, requests};
use super::results::shown;
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.mrtr.only-three-methods", judge: three_methods },
    Check { id: "patterns.mrtr.at-least-one-member", judge: one_member },
    Check { id: "patterns.mrtr.input-request-kinds", judge: kinds },
    Check { id: "patterns.mrtr.input-request-no-envelope", judge: no_envelope },
    Check { id: "patterns.mrtr.capabilities-respected", judge: capabilities },
    Check { id: "base.no-undeclared-capability", judge: capabilities },
    Check { id: "patterns.mrtr.state-is-string", judge: state_is_string },
    Check { id: "base.missing-capability-error", judge: missing_capability },
    Check { id: "base.missing-capability-http-400", judge: missing_capability_status },
    Check { id: "features.elicitation.associated-with-request", judge: associated },
];

/// Results of this type.
pub(super) fn asking<'v>(view: &'v View<'_>) -> impl Iterator<Item = (Ask<'v>, &'v Value)> {
    requests(view).filter_map(|ask| {
        let result = ask.result().filter(|result| result.at("resultType") == "input_required")?;
        Some((ask, result))
    })
}

/// Each question of a result with its key.
fn questions<'v>(view: &'v View<'_>) -> impl Iterator<Item = (Ask<'v>, &'v String, &'v Value)> {
    asking(view).flat_map(|(ask, result)| {
        let all = result.at("inputRequests").as_object();
        all.into_iter().flatten().map(move |(key, question)| (ask, key, question))
    })
}

fn three_methods(view: &View<'_>, out: &mut Findings) {
    for (ask, _) in asking(view) {
        out.require(matches!(ask.method(), "tools/call" | "prompts/get" | "resources/read"), || {
            told(
                format!("{} was answered by a question to the client.", ask.method()),
                &["input_required in answer to tools/call, prompts/get and resources/read only"],
                shown(&ask),
                "answer with a result or an error",
                ask.evidence(),
            )
        });
    }
}

fn one_member(view: &View<'_>, out: &mut Findings) {
    for (ask, result) in asking(view) {
        // What is there in the wrong type is judged elsewhere.
        let some =
            result.member("inputRequests").or(result.member("requestState")).is_some_and(|member| !member.is_null());
        out.require(some, || {
            told(
                format!("A result of {} asks for input but neither has a question nor a state.", ask.method()),
                &["inputRequests, requestState, or both"],
                shown(&ask),
                "say what is asked for",
                ask.evidence(),
            )
        });
    }
}

fn kinds(view: &View<'_>, out: &mut Findings) {
    for (ask, key, question) in questions(view) {
        let Some(method) = question.at("method").as_str() else { continue };
        out.require(matches!(method, "elicitation/create" | "sampling/createMessage" | "roots/list"), || {
            told(
                format!("The question {key} is {method}, which no client answers."),
                &["elicitation/create, sampling/createMessage or roots/list"],
                shown(&ask),
                "ask by one of the three",
                ask.evidence(),
            )
        });
    }
}

fn no_envelope(view: &View<'_>, out: &mut Findings) {
    for (ask, result) in asking(view) {
        let Some(asked) = result.member("inputRequests") else { continue };
        let plain = asked.as_object().is_some_and(|all| {
            all.values().all(|question| {
                question.at("method").is_string()
                    && question.member("id").is_none()
                    && question.member("jsonrpc").is_none()
            })
        });
        out.require(plain, || {
            told(
                "The questions of a result are no plain objects by key.".to_owned(),
                &["an object from keys to {method, params}, without jsonrpc and id"],
                shown(&ask),
                "key the questions by names of your own, and leave the envelope out",
                ask.evidence(),
            )
        });
    }
}

/// The capability that a question needs.
fn needed(question: &Value) -> Option<Vec<&'static str>> {
    Some(match question.at("method").as_str()? {
        "elicitation/create" if question.at("params").at("mode") == "url" => vec!["elicitation", "url"],
        "elicitation/create" => vec!["elicitation"],
        "sampling/createMessage" if question.at("params").member("tools").is_some() => vec!["sampling", "tools"],
        "sampling/createMessage" => vec!["sampling"],
        "roots/list" => vec!["roots"],
        _ => return None,
    })
}

/// Nothing is asked for that the request did not declare.
fn capabilities(view: &View<'_>, out: &mut Findings) {
    for (ask, key, question) in questions(view) {
        let Some(path) = needed(question) else { continue };
        let Some(declared) = declares(&ask.request.value, &path) else { continue };
        out.require(declared, || {
            told(
                format!("The question {key} needs {}, which the request did not declare.", path.join(".")),
                &["questions of declared kinds only", "error -32021 that names the capability"],
                shown(&ask),
                "look at clientCapabilities of the very request, not of an earlier one",
                ask.evidence(),
            )
        });
    }
}

fn state_is_string(view: &View<'_>, out: &mut Findings) {
    for (ask, result) in asking(view) {
        let Some(state) = result.member("requestState") else { continue };
        out.require(state.is_string(), || {
            told(
                "requestState is no string.".to_owned(),
                &["a string that means something to the server alone"],
                state.to_string(),
                "encode the state, such as by base64 of JSON with a signature",
                ask.evidence(),
            )
        });
    }
}

/// A call that cannot do without a capability is refused by the error for that. That it cannot is known from what it
/// asks when the capability is declared.
fn lacking<'v>(view: &'v View<'_>) -> Vec<(Ask<'v>, Vec<&'static str>)> {
    let needs: Vec<(String, Vec<&'static str>)> = questions(view)
        .filter(|(ask, ..)| ask.method() == "tools/call")
        .filter_map(|(ask, _, question)| Some((call_of(&ask), needed(question)?)))
        .collect();
    requests(view)
        .filter(|ask| ask.method() == "tools/call" && ask.tells() && flaws(view, ask).is_empty())
        .filter(|ask| ask.param("inputResponses").is_null() && ask.param("requestState").is_null())
        .filter_map(|ask| {
            let call = call_of(&ask);
            let (_, path) = needs
                .iter()
                .find(|(other, path)| *other == call && declares(&ask.request.value, &path[..1]) == Some(false))?;
            Some((ask, path.clone()))
        })
        .collect()
}

fn call_of(ask: &Ask<'_>) -> String {
    format!("{} {}", ask.param("name"), ask.param("arguments"))
}

fn missing_capability(view: &View<'_>, out: &mut Findings) {
    for (ask, path) in lacking(view) {
        // A tool may also do without, or say so in its own words.
        if ask.result().is_some() {
            continue;
        }
        let named = &ask
            .response
            .map_or(&Value::Null, |response| response.value.at("error").at("data"))
            .at("requiredCapabilities");
        out.require(ask.code() == Some(-32021) && named.get(path[0]).is_some(), || {
            told(
                format!(
                    "{} needs {}, which the request did not declare, and the error does not say so.",
                    ask.param("name"),
                    path[0]
                ),
                &[&format!("error -32021 with data.requiredCapabilities naming {}", path[0])],
                came(ask.exchange),
                "answer -32021 with {\"requiredCapabilities\": {…}} in data",
                ask.evidence(),
            )
        });
    }
}

fn missing_capability_status(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view).filter(|ask| ask.over_http() && ask.code() == Some(-32021)) {
        out.require(ask.exchange.status == Some(400), || {
            told(
                format!("{} was refused for a missing capability, but not with status 400.", ask.method()),
                &["status 400"],
                came(ask.exchange),
                "decide before the answer begins, and send the error with status 400",
                ask.evidence(),
            )
        });
    }
}

/// Elicitation comes while a request is worked on: in a result, and never on a stream that answers none.
fn associated(view: &View<'_>, out: &mut Findings) {
    if !view.is_modern() {
        return;
    }
    let mut seen = HashSet::new();
    for (ask, _, question) in questions(view).filter(|(_, _, question)| question.at("method") == "elicitation/create") {
        if seen.insert(ask.request.seq) && question.is_object() {
            out.pass();
        }
    }
    for msg in view.received().filter(|msg| super::asked::is_modern(msg) && msg.method() == Some("elicitation/create"))
    {
        let sent = view.exchange_of(msg).sent_json();
        let listening = sent.is_some_and(|sent| sent.at("method") == "subscriptions/listen");
        if listening || view.exchange_of(msg).method == "GET" {
            out.breach(told(
                "The server asked the user of its own accord, outside of any request.".to_owned(),
                &["elicitation in the result of a request that needs it"],
                msg.value.to_string(),
                "answer the request that needs the input with input_required",
                vec![msg.seq],
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, End, META_CAPABILITIES};
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().modern().discover(json!({"tools": {}}))
    }

    fn asks(result: &Value) -> Builder {
        let mut all = json!({"resultType": "input_required"});
        all.as_object_mut().unwrap().extend(result.as_object().unwrap().clone());
        start().call("tools/call", json!({"name": "x"}), all)
    }

    fn elicits() -> Value {
        json!({"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}})
    }

    #[test]
    fn shapes() {
        let good = asks(&json!({"inputRequests": {"a": elicits()}, "requestState": "s"}));
        let ping = json!({"method": "ping"});
        let wrapped = json!({"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {}});
        for (id, bad) in [
            ("patterns.mrtr.at-least-one-member", json!({})),
            ("patterns.mrtr.input-request-kinds", json!({"inputRequests": {"a": ping}})),
            ("patterns.mrtr.input-request-no-envelope", json!({"inputRequests": {"a": wrapped}})),
            ("patterns.mrtr.input-request-no-envelope", json!({"inputRequests": [elicits()]})),
            ("patterns.mrtr.state-is-string", json!({"requestState": {"step": 1}})),
        ] {
            expect_three(id, &good, &asks(&bad), &start());
        }
        let elsewhere = json!({"resultType": "input_required", "requestState": "s"});
        let broken = start().call("tools/list", Value::Null, elsewhere);
        expect_three("patterns.mrtr.only-three-methods", &good, &broken, &start());
    }

    #[test]
    fn capabilities_of_the_request() {
        let good = asks(&json!({"inputRequests": {"a": elicits()}}));
        let undeclared = json!({"name": "x", "_meta": {META_CAPABILITIES: {}}});
        let asked = json!({"resultType": "input_required", "inputRequests": {"a": elicits()}});
        let broken = start().call("tools/call", undeclared.clone(), asked);
        for id in ["patterns.mrtr.capabilities-respected", "base.no-undeclared-capability"] {
            expect_three(id, &good, &broken, &start());
        }
        let probe = good.probe(&[], "tools/call", undeclared);
        let lacking = json!({"requiredCapabilities": {"elicitation": {}}});
        let kept = probe.clone().refuses(400, -32021, lacking.clone());
        let broken = probe.clone().refuses(400, -32603, Value::Null);
        expect_three("base.missing-capability-error", &kept, &broken, &start());
        let broken = probe.refuses(200, -32021, lacking);
        expect_three("base.missing-capability-http-400", &kept, &broken, &start());
    }

    #[test]
    fn elicitation_belongs_to_a_request() {
        let good = asks(&json!({"inputRequests": {"a": elicits()}}));
        let mut ask = elicits();
        ask["jsonrpc"] = json!("2.0");
        ask["id"] = json!(9);
        let broken = start().listen(json!({}), json!({})).says_back(&ask).end(End::Complete);
        expect_three("features.elicitation.associated-with-request", &good, &broken, &start());
    }
}
