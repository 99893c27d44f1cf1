//! Faults of prompts.

use serde_json::json;

use super::all::catalogue;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{drop_member, each_entry, spoil_base64};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "prompts.unknown-empty" breaks ["features.prompts.unknown-name"]
        Rule(Rule::UnknownPromptRefused) "An unknown prompt has no messages";
    "prompts.arguments-unchecked" breaks ["features.prompts.missing-required"]
        Rule(Rule::PromptArgumentsRequired) "Missing arguments count as empty";
    "prompts.nameless" breaks ["features.prompts.definition-shape", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "prompts/list", "prompts", |entry| drop_member(entry, "name")))
        "Prompts lack a name";
    "prompts.role-system" breaks ["features.prompts.get-shape", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "prompts/get", "messages", |entry| entry["role"] = json!("system")))
        "Prompt messages have the role system";
    "prompts.bytes-as-text" breaks ["features.prompts.image-base64", "features.prompts.audio-base64"]
        Outgoing(|message, context| if context.method == Some("prompts/get") { spoil_base64(message) }) "Images and sounds in prompts are no base64";
    "prompts.content-video" breaks ["features.prompts.content-types-by-revision", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "prompts/get", "messages", |entry| entry["content"] = json!({"type": "video", "uri": "https://example.com/a.mp4"})))
        "Prompt messages are videos";
    "prompts.embedded-without-type" breaks ["features.prompts.embedded-members"]
        Outgoing(|message, context| each_entry(message, context, "prompts/get", "messages", |entry| drop_member(&mut entry["content"]["resource"], "mimeType")))
        "Resources in prompts lack their media type";
    "prompts.arguments-any-type" breaks ["features.prompts.validate-arguments"]
        Rule(Rule::PromptArgumentsText) "Arguments of prompts may be numbers";
};
