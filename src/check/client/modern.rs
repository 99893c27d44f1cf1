//! What each request of the newer era (2026-07-28) has to say of itself, and how the client comes back with input.

use super::common::{header_of, told};
use crate::check::modern::asked::{has_meta, method_fits, name_fits, params_fit};
use crate::check::support::quote;
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Via};
use crate::transcript::{Exchange, META_CLIENT, Msg, View};

/// The checks of this topic.
pub(super) const CHECKS: &[Check] = &[
    Check { id: "base.client-meta-required-fields", judge: meta_fields },
    Check { id: "base.client-meta-client-info", judge: client_info },
    Check { id: "base.client-no-responses", judge: no_responses },
    Check { id: "transport.http.no-client-responses", judge: no_posted_responses },
    Check { id: "patterns.headers.client-standard-headers", judge: standard_headers },
    Check { id: "patterns.headers.client-param-headers", judge: param_headers },
    Check { id: "patterns.mrtr.client-new-id", judge: new_id },
    Check { id: "patterns.mrtr.client-echo-state", judge: echo_state },
];

/// Every request of the modern era.
fn requests<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Msg, &'v Exchange)> {
    view.messages
        .iter()
        .filter(|msg| !msg.received() && msg.kind == Kind::Request)
        .map(move |msg| (msg, view.exchange_of(msg)))
        .filter(|(_, exchange)| exchange.modern)
}

/// Version and capabilities are in each request.
fn meta_fields(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange) in requests(view) {
        out.require(has_meta(msg), || {
            told(
                "The client sent a request that does not say its version and what the client can do.",
                &["protocolVersion and clientCapabilities in _meta"],
                quote(&msg.value),
                "put both members into _meta of every request; nothing is remembered between requests",
                exchange.evidence(),
            )
        });
    }
}

/// The client says who it is.
fn client_info(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange) in requests(view) {
        out.require(msg.value.at("params").at("_meta").at(META_CLIENT).at("name").is_string(), || {
            told(
                "The client sent a request that does not say who it is.",
                &["clientInfo with name and version in _meta"],
                quote(msg.value.at("params").at("_meta")),
                "put clientInfo into _meta of every request",
                exchange.evidence(),
            )
        });
    }
}

fn responses(view: &View<'_>, out: &mut Findings, over_http: bool) {
    for msg in view.messages.iter().filter(|msg| !msg.received()) {
        let exchange = view.exchange_of(msg);
        if !exchange.modern || (over_http && exchange.via != Via::StreamableHttp) {
            continue;
        }
        out.require(msg.kind != Kind::Response, || {
            told(
                "The client sent a response.",
                &["requests and notifications only"],
                quote(&msg.value),
                "answer questions of a server in the next round of the request that asked (inputResponses)",
                exchange.evidence(),
            )
        });
    }
}

/// A client sends no responses.
fn no_responses(view: &View<'_>, out: &mut Findings) {
    responses(view, out, false);
}

/// Nor does it POST any.
fn no_posted_responses(view: &View<'_>, out: &mut Findings) {
    responses(view, out, true);
}

/// Headers say what the body says.
fn standard_headers(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange) in requests(view).filter(|(_, exchange)| exchange.via == Via::StreamableHttp) {
        out.require(method_fits(exchange, msg) && name_fits(exchange, msg), || {
            told(
                format!("The headers of {} do not say what its body says.", msg.method().unwrap_or_default()),
                &["Mcp-Method with the method", "Mcp-Name with name, uri or taskId where there is one"],
                format!("{}, {}", header_of(exchange, "Mcp-Method"), header_of(exchange, "Mcp-Name")),
                "mirror method and name in the headers, encoded where they are no plain text",
                exchange.evidence(),
            )
        });
    }
}

/// So do those of arguments that a tool wants mirrored.
fn param_headers(view: &View<'_>, out: &mut Findings) {
    use crate::check::modern::asked::{mirrored, tool_of};
    for (msg, exchange) in requests(view).filter(|(_, exchange)| exchange.via == Via::StreamableHttp) {
        let Some(tool) = tool_of(view, msg).filter(|tool| !mirrored(tool).is_empty()) else { continue };
        out.require(params_fit(view, exchange, msg), || {
            let names: Vec<String> = mirrored(tool).iter().map(|param| header_of(exchange, &param.header)).collect();
            told(
                "The client does not mirror the arguments that the tool wants in headers.",
                &["a header Mcp-Param-… for each annotated argument that is there, and for no other"],
                names.join(", "),
                "read x-mcp-header in the tool's schema and send the headers",
                exchange.evidence(),
            )
        });
    }
}

/// A request that brings input, with the one whose result asked for it.
fn rounds<'v>(view: &'v View<'_>) -> Vec<(&'v Msg, &'v Msg, &'v Msg)> {
    let brings = |msg: &Msg| {
        let params = msg.value.at("params");
        params.member("inputResponses").is_some() || params.member("requestState").is_some()
    };
    let same_call = |one: &Msg, other: &Msg| {
        let part = |msg: &Msg, name: &str| msg.value.at("params").at(name).clone();
        one.method() == other.method() && ["name", "uri"].iter().all(|name| part(one, name) == part(other, name))
    };
    requests(view)
        .filter(|(msg, _)| brings(msg))
        .filter_map(|(msg, _)| {
            let asks = view.calls.iter().rev().find_map(|call| {
                let request = &view.messages[call.request];
                let answer = call.responses.iter().map(|index| &view.messages[*index]).find(|answer| {
                    answer.value.at("result").at("resultType") == "input_required" && answer.seq < msg.seq
                })?;
                same_call(request, msg).then_some((request, answer))
            });
            asks.map(|(request, answer)| (msg, request, answer))
        })
        .collect()
}

/// The next round has an id of its own.
fn new_id(view: &View<'_>, out: &mut Findings) {
    for (msg, before, answer) in rounds(view) {
        out.require(msg.value.at("id") != before.value.at("id"), || {
            told(
                "The client came back with the input under the id of the request before.",
                &["a new id"],
                quote(&msg.value),
                "each round is a request of its own: give it a new id",
                vec![before.seq, answer.seq, msg.seq],
            )
        });
    }
}

/// The state comes back as it was given.
fn echo_state(view: &View<'_>, out: &mut Findings) {
    for (msg, before, answer) in rounds(view) {
        let given = answer.value.at("result").member("requestState");
        let back = msg.value.at("params").member("requestState");
        out.require(given == back, || {
            told(
                "The client did not bring back the state that it was given.",
                &["requestState as it came, and none where none came"],
                quote(msg.value.at("params")),
                "send requestState back unchanged; it is the server's alone",
                vec![before.seq, answer.seq, msg.seq],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().modern().discover(json!({"tools": {}}))
    }

    fn meta(members: &Value) -> Builder {
        let ask = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": {"_meta": members}});
        start()
            .post(&ask)
            .json(200, &json!({"jsonrpc": "2.0", "id": 9, "result": {"resultType": "complete", "tools": []}}))
    }

    #[test]
    fn what_requests_say_of_themselves() {
        let legacy = Builder::new().initialize("2025-11-25");
        let version = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
        three("base.client-meta-required-fields", &start(), &meta(&version), &legacy);
        let info = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}, "io.modelcontextprotocol/clientInfo": {"name": "x"}});
        three("base.client-meta-client-info", &meta(&info), &meta(&version), &legacy);
        let id = "patterns.headers.client-standard-headers";
        let odd = start().probe(&[("mcp-method", "ping")], "tools/list", Value::Null).refuses(400, -32020, Value::Null);
        three(id, &start(), &odd, &legacy);
    }

    #[test]
    fn no_client_answers() {
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
        let legacy = Builder::new().initialize("2025-11-25");
        for id in ["base.client-no-responses", "transport.http.no-client-responses"] {
            three(id, &start(), &start().post(&answer).answer(400, &[], ""), &legacy);
        }
    }

    #[test]
    fn arguments_in_headers() {
        let schema = json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}});
        let tool = json!({"name": "t", "inputSchema": schema});
        let listed = start().probe(&[], "tools/list", Value::Null).serves("tools/list", json!({"tools": [tool]}));
        let call = |headers: &[(&str, &str)]| {
            let params = json!({"name": "t", "arguments": {"region": "eu"}});
            listed.clone().probe(headers, "tools/call", params).serves("tools/call", json!({"content": []}))
        };
        let kept = call(&[("mcp-param-region", "eu")]);
        three("patterns.headers.client-param-headers", &kept, &call(&[("mcp-param-region", "us")]), &listed);
    }

    #[test]
    fn rounds() {
        let asked = |id: i64, more: Value| {
            let mut params = json!({"name": "t", "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {}}});
            params.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
            json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
        };
        let needs = json!({"jsonrpc": "2.0", "id": 7, "result": {"resultType": "input_required",
            "inputRequests": {"a": {"method": "roots/list"}}, "requestState": "s"}});
        let first = start().post(&asked(7, json!({}))).json(200, &needs);
        let again = |id: i64, state: &str| {
            let brought = json!({"inputResponses": {"a": {"roots": []}}, "requestState": state});
            let done = json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "content": []}});
            first.clone().post(&asked(id, brought)).json(200, &done)
        };
        three("patterns.mrtr.client-new-id", &again(8, "s"), &again(7, "s"), &first);
        three("patterns.mrtr.client-echo-state", &again(8, "s"), &again(8, "t"), &first);
    }
}
