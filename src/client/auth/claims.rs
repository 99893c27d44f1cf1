//! What an access token says, where it is a JWT (RFC 7519). Reads; it trusts nothing.

use crate::model::Members as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Header and claims of a signed JWT; `None` for every other token.
pub(super) fn read(token: &str) -> Option<(Value, Value)> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, _signature] = parts.as_slice() else { return None };
    let object = |part: &str| -> Option<Value> {
        let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&bytes).ok().filter(Value::is_object)
    };
    let (header, claims) = (object(header)?, object(claims)?);
    header.member("alg").is_some().then_some((header, claims))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_jwt_is_read_and_nothing_else() {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (header, claims) = (json!({"alg": "ES256"}), json!({"aud": "http://h/mcp"}));
        let token = format!("{}.{}.c2ln", part(&header), part(&claims));
        assert_eq!(read(&token), Some((header, claims)));
        for other in ["opaque", "a.b.c", "e30.e30.x", "", "..", &token[..token.len() - 5]] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
