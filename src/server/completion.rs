//! `completion/complete` for the fixture prompts and templates. It must not know sessions.

use serde_json::{Value, json};

use super::prompts::arguments_of;
use super::reply::{Outcome, RpcError};
use crate::model::Members as _;

/// What the server would suggest; only what begins with the typed text is offered.
const WORDS: [&str; 4] = ["test", "testValue1", "testValue2", "123"];

/// `completion/complete`.
pub(crate) fn complete(params: &Value) -> Outcome {
    let reference = params.member("ref").ok_or_else(|| RpcError::params("ref is missing"))?;
    let member = |name: &str| reference.get(name).and_then(Value::as_str);
    let argument =
        |name: &str| params.member("argument").and_then(|argument| argument.get(name)).and_then(Value::as_str);
    let (Some(name), Some(typed)) = (argument("name"), argument("value")) else {
        return Err(RpcError::params("argument needs a name and a value"));
    };
    let known = match member("type") {
        Some("ref/prompt") => {
            arguments_of(member("name").unwrap_or_default()).ok_or_else(|| RpcError::params("Unknown prompt"))?
        }
        Some("ref/resource") if member("uri").is_some_and(|uri| uri.starts_with("test://template/")) => {
            vec!["id".to_owned()]
        }
        Some("ref/resource") => return Err(RpcError::params("Unknown resource template")),
        _ => return Err(RpcError::params("ref has to be a ref/prompt or a ref/resource")),
    };
    let offered = known.iter().any(|known| known == name);
    let values: Vec<&str> = WORDS.into_iter().filter(|word| offered && word.starts_with(typed)).collect();
    Ok(json!({"completion": {"values": values, "total": values.len(), "hasMore": false}}))
}
