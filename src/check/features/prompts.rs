//! Prompts: their definitions and what `prompts/get` gives.

use serde_json::Value;

use super::content::{binary_problem, resource_problem, shape_problem, type_problem, types_of};
use super::listing;
use crate::check::support::{PROMPTS, Refusal, expect_refusal, hold, is_proper, param, server_declared, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "features.prompts.capability", judge: |view, out| listing::capability(view, out, &PROMPTS) },
    Check { id: "features.prompts.definition-shape", judge: definition_shape },
    Check { id: "features.prompts.get-shape", judge: get_shape },
    Check { id: "features.prompts.content-types-by-revision", judge: content_types },
    Check { id: "features.prompts.image-base64", judge: |view, out| binary(view, out, "image") },
    Check { id: "features.prompts.audio-base64", judge: |view, out| binary(view, out, "audio") },
    Check { id: "features.prompts.embedded-members", judge: embedded_members },
    Check { id: "features.prompts.unknown-name", judge: unknown_name },
    Check { id: "features.prompts.missing-required", judge: missing_required },
    Check { id: "features.prompts.validate-arguments", judge: validate_arguments },
    Check { id: "features.prompts.list-changed", judge: |view, out| listing::list_changed(view, out, &PROMPTS) },
];

/// A prompt has a name, and so have its arguments.
fn definition_shape(view: &View<'_>, out: &mut Findings) {
    for (request, response, prompt) in PROMPTS.items(view) {
        if !out.covers(request.revision) {
            continue;
        }
        let mut arguments = prompt.at("arguments").as_array().into_iter().flatten();
        let problem = if !prompt.at("name").is_string() {
            Some("A listed prompt has no string as its name.".to_owned())
        } else if arguments.any(|argument| !argument.at("name").is_string()) {
            Some(format!("An argument of the prompt {} has no string as its name.", prompt.at("name")))
        } else {
            None
        };
        let fix = "name every prompt and every argument";
        hold(out, problem, "string names", prompt, fix, &[request, response]);
    }
}

/// Every message of every prompt that was got: request, response, message.
fn messages<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Msg, &'v Msg, &'v Value)> {
    view.results_of("prompts/get").flat_map(|(request, response, result)| {
        result.at("messages").as_array().into_iter().flatten().map(move |message| (request, response, message))
    })
}

/// A prompt is an array of messages, each with a role and one content item.
fn get_shape(view: &View<'_>, out: &mut Findings) {
    for (request, response, result) in view.results_of("prompts/get") {
        if !out.covers(request.revision) {
            continue;
        }
        let problem = match result.at("messages").as_array() {
            None => Some("The result of prompts/get has no array of messages.".to_owned()),
            Some(messages) => messages.iter().find_map(|message| {
                if message.at("role") != "user" && message.at("role") != "assistant" {
                    return Some(format!("A message has the role {}.", message.at("role")));
                }
                if !message.at("content").is_object() {
                    return Some("The content of a message is not one content object.".to_owned());
                }
                shape_problem(message.at("content"))
            }),
        };
        let expected = "messages with role user or assistant and one content item each";
        let fix = "put each content item into a message of its own";
        hold(out, problem, expected, result, fix, &[request, response]);
    }
}

/// Only content types that the negotiated revision knows.
fn content_types(view: &View<'_>, out: &mut Findings) {
    for (request, response, message) in messages(view) {
        let Some(revision) = request.revision.filter(|_| out.covers(request.revision)) else { continue };
        let content = message.at("content");
        if content.at("type").is_string() {
            let fix = "send older clients text in its place";
            hold(out, type_problem(content, revision), &types_of(revision), content, fix, &[request, response]);
        }
    }
}

/// Data of images and of audio are base64, with a media type.
fn binary(view: &View<'_>, out: &mut Findings, kind: &str) {
    for (request, response, message) in messages(view) {
        let content = message.at("content");
        if content.at("type") == kind && out.covers(request.revision) {
            let expected = "base64 data and a mimeType such as image/png";
            hold(out, binary_problem(content), expected, content, "encode the bytes", &[request, response]);
        }
    }
}

/// An embedded resource has a URI, text or blob, and a MIME type; a missing MIME type only warns.
fn embedded_members(view: &View<'_>, out: &mut Findings) {
    for (request, response, message) in messages(view) {
        let content = message.at("content");
        if content.at("type") != "resource" || !out.covers(request.revision) {
            continue;
        }
        let resource = content.at("resource");
        let seen = [request, response];
        let expected = "uri, mimeType, and text or blob";
        let fix = "complete the embedded resource";
        match resource_problem(resource) {
            None if !resource.at("mimeType").is_string() => {
                out.contested(told("An embedded resource has no mimeType.", &[expected], resource, fix, &seen));
            }
            problem => hold(out, problem, expected, resource, fix, &seen),
        }
    }
}

/// A prompt that is not in the list, seen whole, is an invalid parameter.
fn unknown_name(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("prompts/get") {
        let Some(name) = param(request, "name").as_str().filter(|_| out.covers(request.revision)) else { continue };
        let declared = server_declared(view, request, &["prompts"]) == Some(true);
        if !declared || !PROMPTS.known_whole(view, request) || PROMPTS.find(view, request, name).is_some() {
            continue;
        }
        let rule = Refusal {
            deed: &format!("The client got the prompt {name:?}, which is not listed,"),
            codes: &[-32602],
            tolerated: &[],
            fix: "answer -32602 to an unknown prompt name",
        };
        expect_refusal(view, out, request, response, &rule);
    }
}

/// A prompt without an argument that it requires is refused as invalid parameters.
fn missing_required(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("prompts/get") {
        let name = param(request, "name").as_str().unwrap_or_default();
        let Some(prompt) = PROMPTS.find(view, request, name).filter(|_| out.covers(request.revision)) else { continue };
        let missing = prompt.at("arguments").as_array().into_iter().flatten().find(|argument| {
            let given = argument.at("name").as_str().and_then(|name| param(request, "arguments").get(name));
            argument.at("required") == true && given.is_none()
        });
        let Some(missing) = missing else { continue };
        let rule = Refusal {
            deed: &format!("The client got the prompt {name:?} without its required argument {}", missing.at("name")),
            codes: &[-32602],
            tolerated: &[],
            fix: "check for the required arguments and answer -32602",
        };
        expect_refusal(view, out, request, response, &rule);
    }
}

/// Arguments that are no strings are refused; overlong ones need only a clean answer.
fn validate_arguments(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("prompts/get") {
        let name = param(request, "name").as_str().unwrap_or_default();
        let known = PROMPTS.find(view, request, name).is_some();
        let mut values = param(request, "arguments").as_object().into_iter().flatten();
        if !known || !out.covers(request.revision) || !is_proper(view, request) {
            continue;
        }
        if values.any(|(_, value)| !value.is_string()) {
            let rule = Refusal {
                deed: &format!("The client got the prompt {name:?} with an argument that is no string"),
                codes: &[],
                tolerated: &[],
                fix: "check that every argument is a string",
            };
            expect_refusal(view, out, request, response, &rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn base() -> Builder {
        Builder::new().initialize("2025-03-26").call(
            "prompts/list",
            json!({}),
            json!({"prompts": [{"name": "p", "arguments": [{"name": "a", "required": true}]}]}),
        )
    }

    fn got(content: &Value) -> Builder {
        let result = json!({"messages": [{"role": "user", "content": content}]});
        base().call("prompts/get", json!({"name": "p", "arguments": {"a": "1"}}), result)
    }

    #[test]
    fn contents() {
        let text = got(&json!({"type": "text", "text": "x"}));
        let link = got(&json!({"type": "resource_link", "uri": "a:b", "name": "x"}));
        three("features.prompts.content-types-by-revision", &text, &link);
        three("features.prompts.get-shape", &text, &got(&json!([{"type": "text", "text": "x"}])));
        for kind in ["image", "audio"] {
            let good = got(&json!({"type": kind, "data": "aGVsbG8=", "mimeType": "image/png"}));
            let bad = got(&json!({"type": kind, "data": "?", "mimeType": "image/png"}));
            three(&format!("features.prompts.{kind}-base64"), &good, &bad);
        }
        let good = json!({"type": "resource", "resource": {"uri": "a:b", "text": "", "mimeType": "text/plain"}});
        let bad = json!({"type": "resource", "resource": {"uri": "a:b"}});
        three("features.prompts.embedded-members", &got(&good), &got(&bad));
    }

    #[test]
    fn lists_and_refusals() {
        let nameless =
            Builder::new().initialize("2025-06-18").call("prompts/list", json!({}), json!({"prompts": [{}]}));
        three("features.prompts.definition-shape", &base(), &nameless);
        let bare = Builder::new().initialize_with("2025-06-18", "2025-06-18", json!({}), json!({})).call(
            "prompts/list",
            json!({}),
            json!({"prompts": [{"name": "p"}]}),
        );
        three("features.prompts.capability", &base(), &bare);
        let cases = [
            ("unknown-name", json!({"name": "q"})),
            ("missing-required", json!({"name": "p"})),
            ("validate-arguments", json!({"name": "p", "arguments": {"a": 1}})),
        ];
        for (id, params) in cases {
            let good = base().call_error("prompts/get", params.clone(), -32602);
            let bad = base().call("prompts/get", params, json!({"messages": []}));
            three(&format!("features.prompts.{id}"), &good, &bad);
        }
    }
}
