//! `server/discover`: which versions, which features. It must not know who asks.

use serde_json::{Value, json};

use super::capabilities::TASKS;
use crate::model::Revision;
use crate::server::lifecycle::INSTRUCTIONS;
use crate::server::reply::{RpcError, code};

/// The versions that a request may name. Those of the other era are negotiated by `initialize`, and no request of this
/// era can use them.
pub(crate) fn supported() -> Vec<&'static str> {
    vec![Revision::V2026_07_28.name()]
}

/// The refusal of another version.
pub(crate) fn unsupported(requested: &str) -> RpcError {
    RpcError {
        code: code::UNSUPPORTED_VERSION,
        message: format!("Protocol version {requested} is not supported; there is {}", supported().join(", ")),
        data: Some(json!({"supported": supported(), "requested": requested})),
    }
}

/// The result of `server/discover`.
pub(crate) fn discover() -> Value {
    json!({
        "supportedVersions": supported(),
        "capabilities": {
            "completions": {},
            "logging": {},
            "prompts": {"listChanged": true},
            "resources": {"subscribe": true, "listChanged": true},
            "tools": {"listChanged": true},
            "extensions": {TASKS: {}},
        },
        "instructions": INSTRUCTIONS,
    })
}
