//! What `tools/call` gives back.

use serde_json::Value;

use super::content::{binary_problem, shape_problem, type_problem, types_of};
use crate::check::schemas::{broken, can_tell, takes};
use crate::check::support::{
    Refusal, TOOLS, expect_refusal, hold, is_proper, param, sent_notifications, server_declared, told,
};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "features.tools.call-result-shape", judge: call_result_shape },
    Check { id: "features.tools.content-types-by-revision", judge: content_types },
    Check { id: "features.tools.binary-base64", judge: binary_base64 },
    Check { id: "features.tools.embedded-resources-capability", judge: embedded_resources },
    Check { id: "features.tools.output-schema-conform", judge: output_schema_conform },
    Check { id: "features.tools.structured-object", judge: structured_object },
    Check { id: "features.tools.structured-text-copy", judge: structured_text_copy },
    Check { id: "features.tools.unknown-tool", judge: unknown_tool },
    Check { id: "features.tools.malformed-call", judge: malformed_call },
    Check { id: "features.tools.execution-error", judge: execution_error },
    Check { id: "features.tools.validate-inputs", judge: validate_inputs },
    Check { id: "features.tools.input-validation-is-error", judge: input_validation_is_error },
];

/// Results that are no task objects.
fn results<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Msg, &'v Msg, &'v Value)> {
    view.results_of("tools/call")
        .filter(|(request, _, result)| {
            let task = !param(request, "task").is_null() && result.at("task").is_object();
            out.covers(request.revision) && !task
        })
        .collect()
}

fn items(result: &Value) -> impl Iterator<Item = &Value> {
    result.at("content").as_array().into_iter().flatten()
}

/// A result has an array of content items, each with the members of its type.
fn call_result_shape(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in results(view, out) {
        let problem = if result.at("content").is_array() {
            items(result).find_map(shape_problem)
        } else {
            Some("The result of tools/call has no array content.".to_owned())
        };
        let fix = "return content always, empty where there is nothing to say";
        hold(out, problem, "content, an array of valid items", result, fix, &[request, response]);
    }
}

/// Only content types that the negotiated revision knows.
fn content_types(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in results(view, out) {
        let Some(revision) = request.revision else { continue };
        for item in items(result).filter(|item| item.at("type").is_string()) {
            let fix = "send older clients text in its place";
            hold(out, type_problem(item, revision), &types_of(revision), item, fix, &[request, response]);
        }
    }
}

/// Data of images and audio are base64, with a media type.
fn binary_base64(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in results(view, out) {
        for item in items(result).filter(|item| item.at("type") == "image" || item.at("type") == "audio") {
            let expected = "base64 data and a mimeType such as image/png";
            hold(out, binary_problem(item), expected, item, "encode the bytes", &[request, response]);
        }
    }
}

/// Who embeds resources in results has the resources capability.
fn embedded_resources(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in results(view, out) {
        let Some(item) = items(result).find(|item| item.at("type") == "resource") else { continue };
        let Some(declared) = server_declared(view, request, &["resources"]) else { continue };
        let problem = (!declared).then(|| "A result embeds a resource without the resources capability.".to_owned());
        hold(out, problem, "the resources capability", item, "declare resources", &[request, response]);
    }
}

/// With an output schema a successful result is structured and conforms to it.
fn output_schema_conform(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in results(view, out) {
        let name = param(request, "name").as_str().unwrap_or_default();
        let schema = TOOLS.find(view, request, name).and_then(|tool| tool.member("outputSchema"));
        let Some(schema) = schema.filter(|schema| schema.is_object() && result.at("isError") != true) else { continue };
        if !can_tell(schema) {
            out.inconclusive();
            continue;
        }
        let problem = match result.member("structuredContent") {
            None => Some(format!("The tool {name:?} has an output schema but gave no structuredContent.")),
            Some(content) => broken(schema, content)
                .map(|error| format!("The result of {name:?} breaks its output schema: {error}.")),
        };
        let fix = "return what outputSchema promises, or correct the schema";
        hold(out, problem, "structuredContent by outputSchema", result, fix, &[request, response]);
    }
}

/// Structured content is an object.
fn structured_object(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in results(view, out) {
        let Some(content) = result.member("structuredContent") else { continue };
        let breach = || {
            let what = "structuredContent is no object.";
            told(what, &["an object", "no such member"], content, "wrap the value", &[request, response])
        };
        if content.is_null() { out.contested(breach()) } else { out.require(content.is_object(), breach) }
    }
}

/// A structured result is also there as text for clients that know no structure.
fn structured_text_copy(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in results(view, out) {
        let Some(content) = result.member("structuredContent").filter(|content| content.is_object()) else { continue };
        if !result.at("content").is_array() {
            // There is no content that could hold the copy; the shape of the result tells that.
            continue;
        }
        // A value that is no object travels in one with a single member; its text is the copy that older clients read.
        let wrapped =
            content.as_object().filter(|members| members.len() == 1).and_then(|members| members.values().next());
        let copied = items(result).filter_map(|item| item.at("text").as_str()).any(|text| {
            let value = serde_json::from_str::<Value>(text).ok();
            let plain = wrapped.is_some_and(|wrapped| wrapped.as_str() == Some(text));
            plain || (value.is_some() && (value.as_ref() == Some(content) || value.as_ref() == wrapped))
        });
        let problem = (!copied).then(|| "A structured result has no copy of itself as text.".to_owned());
        let fix = "put the serialized structuredContent into a text item as well";
        hold(out, problem, "a text item with the same JSON", result, fix, &[request, response]);
    }
}

/// A tool that is not in the list, seen whole, is a protocol error; a result with isError only warns.
fn unknown_tool(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("tools/call") {
        let Some(name) = param(request, "name").as_str().filter(|_| out.covers(request.revision)) else { continue };
        if !TOOLS.known_whole(view, request) || TOOLS.find(view, request, name).is_some() {
            continue;
        }
        let rule = Refusal {
            deed: &format!("The client called {name:?}, which is no listed tool,"),
            codes: &[],
            tolerated: &[],
            fix: "answer an unknown tool with a JSON-RPC error such as -32602",
        };
        expect_refusal(view, out, request, response, &rule);
    }
}

/// A call without a name, or with arguments that are no object, is a protocol error.
fn malformed_call(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("tools/call") {
        let arguments = param(request, "arguments");
        let malformed = !param(request, "name").is_string() || !(arguments.is_null() || arguments.is_object());
        let declared = server_declared(view, request, &["tools"]) == Some(true);
        if !malformed || !declared || !out.covers(request.revision) {
            continue;
        }
        let rule = Refusal {
            deed: "The client sent tools/call without a name or with arguments that are no object",
            codes: &[],
            tolerated: &[],
            fix: "check the params and answer -32602",
        };
        expect_refusal(view, out, request, response, &rule);
    }
}

/// Whether the arguments lack a required member, or break the schema otherwise; `None` where they fit or it is
/// not known. Looked for once for all checks.
fn misfit(view: &View<'_>, request: &Msg) -> Option<bool> {
    let found = view.remember("misfit of arguments", request.seq, || match look_for_misfit(view, request) {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    });
    (found > 0).then_some(found == 2)
}

fn look_for_misfit(view: &View<'_>, request: &Msg) -> Option<bool> {
    let tool = TOOLS.find(view, request, param(request, "name").as_str()?)?;
    let schema = tool.at("inputSchema");
    let empty = Value::Object(serde_json::Map::new());
    let arguments = Some(param(request, "arguments")).filter(|value| !value.is_null()).unwrap_or(&empty);
    let given = arguments.as_object()?;
    let mut required = schema.at("required").as_array().into_iter().flatten().filter_map(Value::as_str);
    if required.any(|name| !given.contains_key(name)) {
        return Some(true);
    }
    (!takes(schema, arguments)?).then_some(false)
}

/// A failure inside a tool is a result with isError, not an internal error of the protocol.
fn execution_error(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("tools/call") {
        let Some(response) = response.filter(|_| out.covers(request.revision) && is_proper(view, request)) else {
            continue;
        };
        let name = param(request, "name").as_str().unwrap_or_default();
        let cancelled = sent_notifications(view, "notifications/cancelled").any(|cancel| {
            cancel.conversation == request.conversation && param(cancel, "requestId") == request.value.at("id")
        });
        if cancelled || TOOLS.find(view, request, name).is_none() || misfit(view, request).is_some() {
            continue;
        }
        if response.value.at("result").at("isError") == true {
            out.pass();
        } else if response.message().error_code() == Some(-32603) {
            out.breach(told(
                format!("The tool {name:?} failed with the JSON-RPC error -32603."),
                &["a result with isError true and the reason as text"],
                &response.value,
                "catch failures of tools and return them as results; the model sees only those",
                &[request, response],
            ));
        }
    }
}

/// A call without a required argument does not succeed silently; wrong types only warn, as coercion is allowed.
fn validate_inputs(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("tools/call") {
        let Some((response, missing)) = response.zip(misfit(view, request)) else { continue };
        if response.is_interim() || !out.covers(request.revision) || !is_proper(view, request) {
            continue;
        }
        let result = response.value.at("result");
        if !result.is_object() || result.at("isError") == true {
            out.pass();
            continue;
        }
        let breach = told(
            "A call whose arguments do not fit the tool's input schema succeeded.",
            &["a result with isError", "a JSON-RPC error"],
            request.value.at("params"),
            "check the arguments by inputSchema before the tool runs",
            &[request, response],
        );
        if missing { out.breach(breach) } else { out.contested(breach) }
    }
}

/// Arguments that do not fit are a result with isError, so that the model can correct itself.
fn input_validation_is_error(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("tools/call") {
        let Some((response, _)) = response.zip(misfit(view, request)) else { continue };
        let succeeded = response.value.at("result").is_object() && response.value.at("result").at("isError") != true;
        // What the modern era refuses before the tool is looked at says nothing of its arguments.
        let early = matches!(response.message().error_code(), Some(-32022..=-32020));
        if succeeded || early || !out.covers(request.revision) || !is_proper(view, request) {
            continue;
        }
        out.require(response.value.at("result").at("isError") == true, || {
            told(
                "Arguments that do not fit the input schema were refused with a JSON-RPC error.",
                &["a result with isError true and the reason as text"],
                &response.value,
                "report invalid arguments as a result; models do not see protocol errors",
                &[request, response],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn base(version: &str) -> Builder {
        let tool = json!({"name": "t", "inputSchema": {"type": "object", "required": ["a"]},
            "outputSchema": {"type": "object", "required": ["x"]}});
        Builder::new().initialize_with(version, version, json!({}), json!({"tools": {}})).call(
            "tools/list",
            json!({}),
            json!({"tools": [tool]}),
        )
    }

    fn called(version: &str, result: &Value) -> Builder {
        base(version).call("tools/call", json!({"name": "t", "arguments": {"a": 1}}), result.clone())
    }

    #[test]
    fn contents() {
        let item = |item: Value| called("2025-03-26", &json!({"content": [item]}));
        let text = item(json!({"type": "text", "text": "x"}));
        three("features.tools.call-result-shape", &text, &item(json!({"type": "text"})));
        let link = item(json!({"type": "resource_link", "uri": "a:b", "name": "n"}));
        three("features.tools.content-types-by-revision", &text, &link);
        let image = |data: &str| item(json!({"type": "image", "data": data, "mimeType": "image/png"}));
        three("features.tools.binary-base64", &image("aGVsbG8="), &image("?"));
        let embedded = json!({"content": [{"type": "resource", "resource": {"uri": "a:b", "text": ""}}]});
        let good = Builder::new().initialize("2025-06-18").call("tools/call", json!({"name": "t"}), embedded.clone());
        three("features.tools.embedded-resources-capability", &good, &called("2025-06-18", &embedded));
    }

    #[test]
    fn structure() {
        let version = "2025-11-25";
        let text = json!([{"type": "text", "text": "{\"x\": 1}"}]);
        let good = called(version, &json!({"content": text, "structuredContent": {"x": 1}}));
        let bad = called(version, &json!({"content": [], "structuredContent": {"y": 1}}));
        three("features.tools.output-schema-conform", &good, &bad);
        three("features.tools.structured-text-copy", &good, &bad);
        let plain = json!([{"type": "text", "text": "four"}]);
        let wrapped = called(version, &json!({"content": plain, "structuredContent": {"result": "four"}}));
        let other = called(version, &json!({"content": plain, "structuredContent": {"result": "five"}}));
        three("features.tools.structured-text-copy", &wrapped, &other);
        let list = called(version, &json!({"content": [], "structuredContent": [1]}));
        three("features.tools.structured-object", &good, &list);
    }

    #[test]
    fn refusals() {
        let base = base("2025-11-25");
        let refused = |params: Value| base.clone().call_error("tools/call", params, -32602);
        let done = |params: Value| base.clone().call("tools/call", params, json!({"content": []}));
        for (id, params) in [
            ("unknown-tool", json!({"name": "none"})),
            ("malformed-call", json!({"name": "t", "arguments": []})),
            ("validate-inputs", json!({"name": "t"})),
        ] {
            three(&format!("features.tools.{id}"), &refused(params.clone()), &done(params));
        }
        let failed = |params: Value| base.clone().call("tools/call", params, json!({"content": [], "isError": true}));
        three(
            "features.tools.input-validation-is-error",
            &failed(json!({"name": "t"})),
            &refused(json!({"name": "t"})),
        );
        let params = json!({"name": "t", "arguments": {"a": 1}});
        let internal = base.clone().call_error("tools/call", params.clone(), -32603);
        three("features.tools.execution-error", &failed(params), &internal);
    }
}
