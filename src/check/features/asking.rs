//! What the server may ask of the client: sampling and roots.

use serde_json::Value;

use crate::check::support::{client_declared, hold, is_proper, param, received_with, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _};
use crate::transcript::{End, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "features.sampling.server-only-if-declared", judge: sampling_declared },
    Check { id: "features.sampling.server-only-if-declared-early", judge: sampling_declared },
    Check { id: "features.sampling.tools-only-if-declared", judge: sampling_tools_declared },
    Check { id: "features.sampling.request-shape", judge: sampling_shape },
    Check { id: "features.sampling.include-context-avoid", judge: include_context },
    Check {
        id: "features.sampling.error-handled",
        judge: |view, out| {
            refusal_handled(view, out, SAMPLING, |answer| answer.member("error").is_some());
        },
    },
    Check { id: "features.roots.server-only-if-declared", judge: roots_declared },
    Check { id: "features.roots.server-check-capability", judge: roots_declared },
];

const SAMPLING: &str = "sampling/createMessage";

/// Requests of the server with this method, and questions in its results.
pub(crate) fn asked<'v>(view: &'v View<'_>, out: &Findings, method: &'v str) -> Vec<&'v Msg> {
    let inside = view.questions.iter().filter(|msg| msg.method() == Some(method));
    let all = received_with(view, method).chain(inside);
    all.filter(|msg| msg.kind == Kind::Request && out.covers(msg.revision)).collect()
}

/// The server asks only clients that declared to have the feature.
pub(crate) fn declared(view: &View<'_>, out: &mut Findings, method: &str, capability: &str) {
    for msg in asked(view, out, method) {
        let Some(declared) = client_declared(view, msg, &[capability]) else { continue };
        out.require(declared, || {
            told(
                format!("The server sent {method} to a client that had not declared {capability}."),
                &["no such request", "an error or another way for the call that needed it"],
                &msg.value,
                "look at the capabilities in initialize before asking the client",
                &[msg],
            )
        });
    }
}

fn sampling_declared(view: &View<'_>, out: &mut Findings) {
    declared(view, out, SAMPLING, "sampling");
}

fn roots_declared(view: &View<'_>, out: &mut Findings) {
    declared(view, out, "roots/list", "roots");
}

/// Tools in a sampling request go only to clients that declared `sampling.tools`.
fn sampling_tools_declared(view: &View<'_>, out: &mut Findings) {
    for msg in asked(view, out, SAMPLING) {
        let Some(declared) = client_declared(view, msg, &["sampling", "tools"]) else { continue };
        let used = ["tools", "toolChoice"].iter().any(|name| !param(msg, name).is_null());
        if !used && declared {
            continue;
        }
        out.require(!used || declared, || {
            told(
                "A sampling request holds tools, but the client had not declared sampling.tools.",
                &["a request without tools and toolChoice"],
                &msg.value,
                "offer tools only where sampling.tools is declared",
                &[msg],
            )
        });
    }
}

/// A sampling request has messages with a known role and content, and the number maxTokens.
fn sampling_shape(view: &View<'_>, out: &mut Findings) {
    for msg in asked(view, out, SAMPLING) {
        let lists = msg.revision.is_some_and(|revision| revision.facts().elicitation_url);
        let problem = match param(msg, "messages").as_array() {
            None => Some("A sampling request has no array of messages.".to_owned()),
            Some(_) if !param(msg, "maxTokens").is_number() => {
                Some("A sampling request has no number maxTokens.".to_owned())
            }
            Some(messages) => messages.iter().find_map(|message| {
                let content = message.at("content");
                let typed = |item: &Value| item.at("type").is_string();
                let sound = content.as_array().map_or_else(|| typed(content), |list| lists && list.iter().all(typed));
                if message.at("role") != "user" && message.at("role") != "assistant" {
                    Some(format!("A sampling message has the role {}.", message.at("role")))
                } else {
                    (!sound).then(|| "The content of a sampling message is no valid content.".to_owned())
                }
            }),
        };
        let expected = "messages with role and content, and maxTokens";
        hold(out, problem, expected, &msg.value, "complete the sampling request", &[msg]);
    }
}

/// `includeContext` other than none is for clients that declared `sampling.context`.
fn include_context(view: &View<'_>, out: &mut Findings) {
    for msg in asked(view, out, SAMPLING) {
        let Some(declared) = client_declared(view, msg, &["sampling", "context"]) else { continue };
        let wanted = param(msg, "includeContext").as_str().unwrap_or("none");
        out.require(declared || wanted == "none", || {
            told(
                format!("The server asked for the context {wanted}, but the client had not declared sampling.context."),
                &["no includeContext", "includeContext none"],
                &msg.value,
                "put what the model needs into the messages",
                &[msg],
            )
        });
    }
}

/// A call during which the client refused what the server asked for still gets a final answer. The call is the one
/// on whose stream the server asked.
pub(crate) fn refusal_handled(view: &View<'_>, out: &mut Findings, method: &str, refused: fn(&Value) -> bool) {
    for asked in &view.server_calls {
        let question = &view.messages[asked.request];
        let answer = asked.responses.first().map(|index| &view.messages[*index]);
        let Some(answer) = answer.filter(|answer| question.method() == Some(method) && refused(&answer.value)) else {
            continue;
        };
        if !out.covers(question.revision) {
            continue;
        }
        let call = view.calls.iter().find(|call| view.messages[call.request].exchange == question.exchange);
        let Some(call) = call.filter(|call| is_proper(view, &view.messages[call.request])) else { continue };
        if !call.responses.is_empty() {
            out.pass();
            continue;
        }
        let request = &view.messages[call.request];
        match view.exchange_of(request).end {
            Some(End::TimedOut | End::Complete) => out.breach(told(
                format!("The client refused {method}, and the call that had led to it was never answered."),
                &["a result with isError", "a JSON-RPC error", "a result made another way"],
                &answer.value,
                "end the call when the client refuses",
                &[request, question, answer],
            )),
            _ => out.inconclusive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn with(version: &str, client: Value) -> Builder {
        Builder::new().initialize_with(version, version, client, json!({"tools": {}}))
    }

    fn asking(base: Builder, method: &str, params: &Value) -> Builder {
        let call = json!({"jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": {"name": "t"}});
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        base.post(&call).stream().sse(None, &question)
    }

    #[test]
    fn only_what_was_declared() {
        let params = json!({"messages": [{"role": "user", "content": {"type": "text", "text": "x"}}], "maxTokens": 5});
        let ask = |version: &str, client: Value, params: &Value| {
            asking(with(version, client), "sampling/createMessage", params)
        };
        for (version, id) in [("2025-03-26", "-early"), ("2025-06-18", ""), ("2025-11-25", "")] {
            let id = format!("features.sampling.server-only-if-declared{id}");
            three(&id, &ask(version, json!({"sampling": {}}), &params), &ask(version, json!({}), &params));
        }
        let good = ask("2025-11-25", json!({"sampling": {}}), &params);
        let mut odd = params.clone();
        odd["tools"] = json!([]);
        odd["includeContext"] = json!("allServers");
        odd["maxTokens"] = Value::Null;
        let bad = ask("2025-11-25", json!({"sampling": {}}), &odd);
        three("features.sampling.tools-only-if-declared", &good, &bad);
        three("features.sampling.include-context-avoid", &good, &bad);
        three("features.sampling.request-shape", &good, &bad);
        for id in ["features.roots.server-only-if-declared", "features.roots.server-check-capability"] {
            let ask = |client: Value| asking(with("2025-06-18", client), "roots/list", &json!({}));
            three(id, &ask(json!({"roots": {}})), &ask(json!({})));
        }
    }

    #[test]
    fn questions_in_results_are_judged_like_requests() {
        let asks = |client: Value, method: &str, params: Value| {
            let questions = json!({"q": {"method": method, "params": params}});
            let result = json!({"resultType": "input_required", "inputRequests": questions});
            let start = Builder::new().modern_with(client).discover(json!({"tools": {}}));
            start.call("tools/call", json!({"name": "t"}), result)
        };
        let sampling = |client: Value, params: Value| asks(client, "sampling/createMessage", params);
        let messages = json!([{"role": "user", "content": {"type": "text", "text": "x"}}]);
        let good = sampling(json!({"sampling": {}}), json!({"messages": messages, "maxTokens": 5}));
        let bare = sampling(json!({}), json!({"messages": messages, "maxTokens": 5}));
        three("features.sampling.server-only-if-declared", &good, &bare);
        let odd = json!({"messages": messages, "tools": [], "includeContext": "allServers"});
        for id in ["tools-only-if-declared", "include-context-avoid", "request-shape"] {
            three(&format!("features.sampling.{id}"), &good, &sampling(json!({"sampling": {}}), odd.clone()));
        }
        let form = |field: Value| {
            let schema = json!({"type": "object", "properties": {"a": field}});
            let params = json!({"message": "m", "requestedSchema": schema});
            asks(json!({"elicitation": {}}), "elicitation/create", params)
        };
        let deep = form(json!({"type": "object"}));
        three("features.elicitation.form-schema-flat", &form(json!({"type": "string"})), &deep);
        let url = |url: &str| {
            let params = json!({"mode": "url", "message": "m", "url": url});
            asks(json!({"elicitation": {"url": {}}}), "elicitation/create", params)
        };
        three("features.elicitation.url-https", &url("https://x.example/"), &url("http://x.example/"));
        let roots = |client: Value| asks(client, "roots/list", json!({}));
        three("features.roots.server-check-capability", &roots(json!({"roots": {}})), &roots(json!({})));
    }

    #[test]
    fn a_refusal_ends_the_call() {
        let refused = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "no"}});
        let asked = |end: End| {
            asking(with("2025-06-18", json!({"sampling": {}})), "sampling/createMessage", &json!({}))
                .end(end)
                .post(&refused)
                .answer(202, &[], "")
        };
        let done = json!({"jsonrpc": "2.0", "id": "c", "result": {"content": [], "isError": true}});
        let good = asked(End::CutShort).request("GET", &[], None).stream().sse(None, &done);
        three("features.sampling.error-handled", &good, &asked(End::TimedOut));
    }
}
