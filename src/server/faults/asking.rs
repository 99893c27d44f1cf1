//! Faults of what the server asks its client: sampling, elicitation.

use serde_json::{Value, json};

use super::all::catalogue;
use crate::model::Members as _;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{drop_member, set_param};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "sampling.no-max-tokens" breaks ["features.sampling.request-shape", "shape.request"]
        Outgoing(|message, _| set_param(message, "sampling/createMessage", "maxTokens", Value::Null)) "Sampling lacks maxTokens";
    "sampling.role-system" breaks ["features.sampling.request-shape", "shape.request"]
        Outgoing(|message, _| set_param(message, "sampling/createMessage", "messages", json!([{"role": "system", "content": {"type": "text", "text": "hi"}}])))
        "Sampling messages have the role system";
    "sampling.all-context" breaks ["features.sampling.include-context-avoid"]
        Outgoing(|message, _| set_param(message, "sampling/createMessage", "includeContext", json!("allServers")))
        "Sampling wants the context of all servers";
    "sampling.tools-unasked" breaks ["features.sampling.tools-only-if-declared"]
        Outgoing(|message, _| set_param(message, "sampling/createMessage", "tools", json!([{"name": "add", "inputSchema": {"type": "object"}}])))
        "Sampling offers tools, which the client did not declare";
    "sampling.refusal-hangs" breaks ["features.sampling.error-handled"]
        Rule(Rule::RefusalsHandled) "A tool waits on when the client refuses its question";
    "elicitation.no-message" breaks ["features.elicitation.message-present", "features.elicitation.url-members", "shape.request"]
        Outgoing(|message, _| set_param(message, "elicitation/create", "message", Value::Null)) "Elicitation lacks its message";
    "elicitation.no-schema" breaks ["features.elicitation.form-members", "shape.request"]
        Outgoing(|message, _| set_param(message, "elicitation/create", "requestedSchema", Value::Null)) "Forms lack their schema";
    "elicitation.nested-schema" breaks ["features.elicitation.form-schema-flat", "shape.request"]
        Outgoing(|message, _| if message.at("params").member("requestedSchema").is_some() {
            set_param(message, "elicitation/create", "requestedSchema", json!({"type": "object", "properties": {"a": {"type": "object", "properties": {}}}}));
        }) "Forms have nested objects";
    "elicitation.url-without-id" breaks ["features.elicitation.url-elicitation-id", "shape.request"]
        Outgoing(|message, _| set_param(message, "elicitation/create", "elicitationId", Value::Null)) "URL elicitation lacks its id";
    "elicitation.url-invalid" breaks ["features.elicitation.url-members"]
        Outgoing(|message, _| if message.at("params").member("url").is_some() { set_param(message, "elicitation/create", "url", json!("not a url")) })
        "URL elicitation has no valid URL";
    "elicitation.url-http" breaks ["features.elicitation.url-https"]
        Outgoing(|message, _| if message.at("params").member("url").is_some() { set_param(message, "elicitation/create", "url", json!("http://example.com/elicitation")) })
        "URL elicitation opens an http page";
    "elicitation.required-bare" breaks ["features.elicitation.error-32042-shape"]
        Outgoing(|message, _| if message.at("error").at("code") == -32042 { drop_member(&mut message["error"], "data") })
        "The error -32042 does not say which page is needed";
    "elicitation.newest-enums" breaks ["features.elicitation.enum-form-by-revision", "shape.request"]
        Rule(Rule::EnumsByRevision) "Forms have choices that the revision does not know";
    "elicitation.decline-hangs" breaks ["features.elicitation.decline-handled-early"]
        Rule(Rule::DeclinesHandled) "A tool waits on when the user declines";
};
