//! Faults of what the server asks its client: sampling, elicitation.

use serde_json::{Value, json};

use super::all::catalogue;
use crate::server::fault::{Fault, How};
use crate::server::rewrites::set_param;

pub(super) static FAULTS: &[Fault] = catalogue! {
    "sampling.no-max-tokens" breaks ["features.sampling.request-shape"]
        Outgoing(|message, _| set_param(message, "sampling/createMessage", "maxTokens", Value::Null)) "Sampling lacks maxTokens";
    "sampling.role-system" breaks ["features.sampling.request-shape"]
        Outgoing(|message, _| set_param(message, "sampling/createMessage", "messages", json!([{"role": "system", "content": {"type": "text", "text": "hi"}}])))
        "Sampling messages have the role system";
    "sampling.all-context" breaks ["features.sampling.include-context-avoid"]
        Outgoing(|message, _| set_param(message, "sampling/createMessage", "includeContext", json!("allServers")))
        "Sampling wants the context of all servers";
    "elicitation.no-message" breaks ["features.elicitation.message-present"]
        Outgoing(|message, _| set_param(message, "elicitation/create", "message", Value::Null)) "Elicitation lacks its message";
    "elicitation.no-schema" breaks ["features.elicitation.form-members"]
        Outgoing(|message, _| set_param(message, "elicitation/create", "requestedSchema", Value::Null)) "Forms lack their schema";
    "elicitation.nested-schema" breaks ["features.elicitation.form-schema-flat"]
        Outgoing(|message, _| if message["params"].get("requestedSchema").is_some() {
            set_param(message, "elicitation/create", "requestedSchema", json!({"type": "object", "properties": {"a": {"type": "object", "properties": {}}}}));
        }) "Forms have nested objects";
    "elicitation.url-without-id" breaks ["features.elicitation.url-elicitation-id"]
        Outgoing(|message, _| set_param(message, "elicitation/create", "elicitationId", Value::Null)) "URL elicitation lacks its id";
    "elicitation.url-invalid" breaks ["features.elicitation.url-members"]
        Outgoing(|message, _| if message["params"].get("url").is_some() { set_param(message, "elicitation/create", "url", json!("not a url")) })
        "URL elicitation has no valid URL";
};
