//! What a request says of itself in `_meta`: version, capabilities, log level, progress token. Nothing is taken from
//! anywhere else.

use serde_json::Value;

use crate::model::Members as _;
use crate::server::lifecycle::LEVELS;
use crate::server::reply::RpcError;

pub(crate) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(crate) const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
pub(crate) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// The two members that no request may lack.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Meta {
    pub(crate) version: String,
    pub(crate) capabilities: Value,
}

/// Reads what has to be there. Who the client is may be left out, and decides nothing.
pub(crate) fn read(params: &Value) -> Result<Meta, RpcError> {
    let lacks = |what: &str| RpcError::params(format!("params._meta lacks {what}; every request has to carry it"));
    let meta = params.member("_meta").ok_or_else(|| lacks(&format!("{VERSION} and {CAPABILITIES}")))?;
    let version = meta.get(VERSION).and_then(Value::as_str).ok_or_else(|| lacks(&format!("{VERSION}, a string")))?;
    let capabilities = meta.get(CAPABILITIES).filter(|value| value.is_object());
    let capabilities = capabilities.ok_or_else(|| lacks(&format!("{CAPABILITIES}, an object")))?;
    Ok(Meta { version: version.to_owned(), capabilities: capabilities.clone() })
}

/// The lowest log level that the request wants to hear, as an index; past the last one where it wants none.
pub(crate) fn level(params: &Value) -> Result<usize, RpcError> {
    let Some(level) = params.member("_meta").and_then(|meta| meta.get(LEVEL)) else { return Ok(LEVELS.len()) };
    let known = level.as_str().and_then(|name| LEVELS.iter().position(|known| *known == name));
    known.ok_or_else(|| RpcError::params(format!("{LEVEL} {level} is no log level; there are {}", LEVELS.join(", "))))
}

/// The `progressToken`, if there is a valid one.
pub(crate) fn token(params: &Value) -> Option<Value> {
    let token = params.member("_meta")?.member("progressToken")?;
    (token.is_string() || token.is_i64() || token.is_u64()).then(|| token.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_members_are_needed_and_the_client_may_stay_unknown() {
        let whole = json!({"_meta": {VERSION: "2026-07-28", CAPABILITIES: {"sampling": {}}}});
        assert_eq!(
            read(&whole).map_err(|error| error.message),
            Ok(Meta { version: "2026-07-28".into(), capabilities: json!({"sampling": {}}) })
        );
        for broken in [
            json!({}),
            json!({"_meta": 1}),
            json!({"_meta": {VERSION: "2026-07-28"}}),
            json!({"_meta": {CAPABILITIES: {}}}),
            json!({"_meta": {VERSION: 1, CAPABILITIES: {}}}),
            json!({"_meta": {VERSION: "2026-07-28", CAPABILITIES: []}}),
        ] {
            assert!(read(&broken).is_err_and(|error| error.code == -32602), "{broken}");
        }
    }

    #[test]
    fn levels_are_named_exactly_and_silence_is_the_default() {
        assert_eq!(level(&json!({})).ok(), Some(LEVELS.len()));
        assert_eq!(level(&json!({"_meta": {LEVEL: "debug"}})).ok(), Some(0));
        for wrong in [json!("DEBUG"), json!("verbose"), json!(1), Value::Null] {
            assert!(level(&json!({"_meta": {LEVEL: wrong}})).is_err());
        }
    }

    #[test]
    fn tokens_are_texts_or_whole_numbers() {
        assert_eq!(token(&json!({"_meta": {"progressToken": 3}})), Some(json!(3)));
        assert_eq!(token(&json!({"_meta": {"progressToken": 1.5}})), None);
    }
}
