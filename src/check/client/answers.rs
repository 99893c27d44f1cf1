//! What the client answers to what the server asks, and whether it had said that it can.

use serde_json::Value;

use super::common::{revision, told};
use crate::check::support::{client_declared, quote};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, Msg, View};

/// The checks of this topic.
pub(super) const CHECKS: &[Check] = &[
    Check { id: "utilities.ping.client-respond", judge: ping },
    Check { id: "features.roots.client-capability", judge: roots_declared },
    Check { id: "features.roots.client-file-uri", judge: file_uris },
    Check { id: "features.roots.client-unsupported-error", judge: roots_refused },
    Check { id: "features.sampling.client-capability", judge: sampling_declared },
    Check { id: "features.elicitation.client-capability", judge: elicitation_declared },
    Check { id: "features.elicitation.client-undeclared-mode-error", judge: undeclared_mode },
    Check { id: "features.elicitation.client-content-on-accept", judge: content_on_accept },
];

/// How long a ping may stay unanswered, in microseconds.
const PROMPT: u64 = 10_000_000;
/// The error of an unknown method.
const NO_METHOD: i64 = -32601;
/// The error of parameters that are wrong.
const BAD_PARAMS: i64 = -32602;

/// A question of the server, with the client's answer.
struct Asked<'v> {
    question: &'v Msg,
    answer: Option<&'v Msg>,
}

impl Asked<'_> {
    fn evidence(&self) -> Vec<u32> {
        std::iter::once(self.question.seq).chain(self.answer.map(|answer| answer.seq)).collect()
    }

    fn result(&self) -> Option<&Value> {
        self.answer?.value.member("result")
    }

    fn shown(&self) -> String {
        self.answer.map_or_else(|| "no answer".to_owned(), |answer| quote(&answer.value))
    }
}

/// Every question with this method under a revision in which the requirement holds.
fn questions<'v>(view: &'v View<'_>, out: &Findings, method: &str) -> Vec<Asked<'v>> {
    let asked = view.server_calls.iter().map(|call| Asked {
        question: &view.messages[call.request],
        answer: call.responses.first().map(|index| &view.messages[*index]),
    });
    let exchange = |asked: &Asked<'_>| -> &Exchange { view.exchange_of(asked.question) };
    asked
        .filter(|asked| asked.question.method() == Some(method) && out.covers(revision(view, exchange(asked))))
        .collect()
}

/// Pings are answered soon, with an empty result.
fn ping(view: &View<'_>, out: &mut Findings) {
    let last = view.events.last().map_or(0, |event| event.at);
    for asked in questions(view, out, "ping") {
        let left = last.saturating_sub(asked.question.at);
        // A client that left in the meantime owes nothing.
        let gone = view.exchange_of(asked.question).end_at.is_some_and(|end| end < asked.question.at + PROMPT);
        if asked.answer.is_none() && (left < PROMPT || gone) {
            continue;
        }
        let soon = asked.answer.is_some_and(|answer| answer.at.saturating_sub(asked.question.at) < PROMPT);
        out.require(soon && asked.result().is_some_and(Value::is_object), || {
            told(
                "The client did not answer a ping as it should.",
                &["an empty result within a few seconds"],
                asked.shown(),
                "answer every ping of the server at once with {}",
                asked.evidence(),
            )
        });
    }
}

/// What is answered with a result had been declared.
fn declared(view: &View<'_>, out: &mut Findings, method: &str, capability: &str) {
    for asked in questions(view, out, method) {
        let Some(declared) = client_declared(view, asked.question, &[capability]) else { continue };
        if asked.result().is_none() {
            continue;
        }
        let breach = || {
            told(
                format!("The client serves {method} although it did not declare {capability}."),
                &["the capability in initialize, so that servers know", "an error"],
                asked.shown(),
                "declare what the client can do; servers that keep to the rules never ask otherwise",
                asked.evidence(),
            )
        };
        // To have none is not to support them.
        let none = asked.result().is_some_and(|result| result.at("roots").as_array().is_some_and(Vec::is_empty));
        if declared {
            out.pass();
        } else if none {
            out.contested(breach());
        } else {
            out.breach(breach());
        }
    }
}

fn roots_declared(view: &View<'_>, out: &mut Findings) {
    declared(view, out, "roots/list", "roots");
}

fn sampling_declared(view: &View<'_>, out: &mut Findings) {
    declared(view, out, "sampling/createMessage", "sampling");
}

fn elicitation_declared(view: &View<'_>, out: &mut Findings) {
    declared(view, out, "elicitation/create", "elicitation");
}

/// Roots are files.
fn file_uris(view: &View<'_>, out: &mut Findings) {
    for asked in questions(view, out, "roots/list") {
        let roots = asked.result().and_then(|result| result.at("roots").as_array());
        for root in roots.into_iter().flatten() {
            out.require(root.at("uri").as_str().is_some_and(|uri| uri.starts_with("file://")), || {
                told(
                    "The client names a root that is no file.",
                    &["a URI that begins with file://"],
                    quote(root),
                    "write roots as file:// URIs",
                    asked.evidence(),
                )
            });
        }
    }
}

/// A client without roots says that it does not know the method.
fn roots_refused(view: &View<'_>, out: &mut Findings) {
    for asked in questions(view, out, "roots/list") {
        let Some(code) = asked.answer.and_then(|answer| answer.message().error_code()) else { continue };
        if client_declared(view, asked.question, &["roots"]) != Some(false) {
            continue;
        }
        out.require(code == NO_METHOD, || {
            told(
                "The client has no roots and refuses to list them with another code.",
                &["error -32601"],
                asked.shown(),
                "answer methods that the client does not know with -32601",
                asked.evidence(),
            )
        });
    }
}

/// A mode that was not declared is refused as a wrong parameter.
fn undeclared_mode(view: &View<'_>, out: &mut Findings) {
    for asked in questions(view, out, "elicitation/create") {
        let mode = asked.question.value.at("params").at("mode").as_str().unwrap_or("form");
        let by_itself = client_declared(view, asked.question, &["elicitation"]) == Some(true);
        // An empty declaration stands for forms.
        let any = client_declared(view, asked.question, &["elicitation", "url"]) == Some(true);
        let has =
            client_declared(view, asked.question, &["elicitation", mode]) == Some(true) || (mode == "form" && !any);
        let Some(answer) = asked.answer.filter(|_| by_itself && !has) else { continue };
        out.require(answer.message().error_code() == Some(BAD_PARAMS), || {
            told(
                format!("The client was asked in the mode {mode}, which it did not declare, and did not refuse it so."),
                &["error -32602"],
                asked.shown(),
                "look at the mode first, and refuse what was not declared with -32602",
                asked.evidence(),
            )
        });
    }
}

/// Content comes with acceptance only.
fn content_on_accept(view: &View<'_>, out: &mut Findings) {
    for asked in questions(view, out, "elicitation/create") {
        let Some(result) = asked.result() else { continue };
        let (accepts, has) = (result.at("action") == "accept", !result.at("content").is_null());
        let form = asked.question.value.at("params").at("mode").as_str().is_none_or(|mode| mode == "form");
        let wanted = asked.question.value.at("params").at("requestedSchema").at("required").as_array();
        let given = |name: &Value| name.as_str().is_some_and(|name| result.at("content").get(name).is_some());
        let whole = !accepts || !form || wanted.is_none_or(|names| names.iter().all(given));
        out.require((!has || (accepts && form)) && whole, || {
            told(
                "The client's answer to a form does not fit what was asked.",
                &["content with every required member on accept", "no content on decline and cancel"],
                asked.shown(),
                "send content with accept only, and all of what the form requires",
                asked.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn with(capabilities: Value) -> Builder {
        Builder::new().initialize_with("2025-11-25", "2025-11-25", capabilities, json!({"tools": {}}))
    }

    /// A question on the stream of the server.
    fn asks(start: Builder, method: &str, params: &Value) -> Builder {
        let question = json!({"jsonrpc": "2.0", "id": "s1", "method": method, "params": params});
        start.request("GET", &[], None).stream().sse(None, &question)
    }

    fn answers(asked: Builder, members: &Value) -> Builder {
        let mut answer = json!({"jsonrpc": "2.0", "id": "s1"});
        answer.as_object_mut().expect("object").extend(members.as_object().expect("object").clone());
        asked.post(&answer).answer(202, &[], "")
    }

    #[test]
    fn pings() {
        let asked = asks(with(json!({})), "ping", &json!({}));
        let kept = answers(asked.clone(), &json!({"result": {}}));
        let broken = answers(asked.clone(), &json!({"error": {"code": -32601, "message": "no"}}));
        three("utilities.ping.client-respond", &kept, &broken, &asked);
        let late = asked.clone().pause_ms(20_000).notify("notifications/x", json!({}));
        three("utilities.ping.client-respond", &kept, &late, &asked);
    }

    #[test]
    fn what_is_served_was_declared() {
        for (method, capability, result) in [
            ("roots/list", "roots", json!({"roots": [{"uri": "file:///x"}]})),
            ("sampling/createMessage", "sampling", json!({"role": "assistant"})),
            ("elicitation/create", "elicitation", json!({"action": "decline"})),
        ] {
            let mut declared = json!({});
            declared[capability] = json!({});
            let served = |start: Builder| answers(asks(start, method, &json!({})), &json!({"result": result}));
            let refused = answers(asks(with(json!({})), method, &json!({})), &json!({"error": {"code": -32601}}));
            let id = format!("features.{capability}.client-capability");
            three(&id, &served(with(declared)), &served(with(json!({}))), &refused);
        }
    }

    #[test]
    fn roots() {
        let list = |uri: &str| {
            let asked = asks(with(json!({"roots": {}})), "roots/list", &json!({}));
            answers(asked, &json!({"result": {"roots": [{"uri": uri}]}}))
        };
        three("features.roots.client-file-uri", &list("file:///x"), &list("https://x"), &with(json!({})));
        let refuses = |code: i64| {
            let asked = asks(with(json!({})), "roots/list", &json!({}));
            answers(asked, &json!({"error": {"code": code, "message": "no"}}))
        };
        three("features.roots.client-unsupported-error", &refuses(-32601), &refuses(-1), &list("file:///x"));
    }

    #[test]
    fn forms() {
        let form =
            json!({"message": "m", "requestedSchema": {"properties": {"a": {"type": "string"}}, "required": ["a"]}});
        let answer = |result: Value| {
            answers(asks(with(json!({"elicitation": {}})), "elicitation/create", &form), &json!({"result": result}))
        };
        let id = "features.elicitation.client-content-on-accept";
        let kept = answer(json!({"action": "accept", "content": {"a": "x"}}));
        three(id, &kept, &answer(json!({"action": "decline", "content": {"a": "x"}})), &with(json!({})));
        three(id, &answer(json!({"action": "decline"})), &answer(json!({"action": "accept"})), &with(json!({})));
        let url = |members: &Value| {
            let asked = asks(with(json!({"elicitation": {"form": {}}})), "elicitation/create", &json!({"mode": "url"}));
            answers(asked, members)
        };
        let kept = url(&json!({"error": {"code": -32602, "message": "no"}}));
        let id = "features.elicitation.client-undeclared-mode-error";
        three(id, &kept, &url(&json!({"result": {"action": "decline"}})), &answer(json!({"action": "decline"})));
    }
}
