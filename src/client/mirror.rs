//! The headers that mirror parts of a request (2026-07-28 basic/transports/streamable-http#standard-request-headers):
//! their values, and which arguments of a tool have one.
//!
//! Pure; must not know connections, nor what a profile sends.

use crate::model::Members as _;
use crate::transcript::HeaderText;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The largest whole number that every JSON reader keeps.
const SAFE: i64 = (1 << 53) - 1;

/// An argument that is mirrored: where it stands in the arguments, and the name behind `Mcp-Param-`.
pub(super) type Mirrored = (Vec<String>, String);

/// A value as it may stand in a header: as it is, or in base64 where it would not survive there
/// (2026-07-28 basic/transports/streamable-http#value-encoding).
pub(super) fn encoded(value: &str) -> String {
    let plain = value.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && value.trim_matches([' ', '\t']) == value
        && !(value.starts_with("=?base64?") && value.ends_with("?="));
    if plain { value.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(value)) }
}

/// The arguments of a tool that its input schema wants mirrored; `None` where an annotation is invalid, so that the tool
/// must not be used (2026-07-28 server/tools#x-mcp-header).
pub(super) fn mirrored(schema: &Value) -> Option<Vec<Mirrored>> {
    let mut found = Vec::new();
    collect(schema, &mut Vec::new(), true, &mut found)?;
    let mut names: Vec<String> = found.iter().map(|(_, name)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    (names.len() == found.len()).then_some(found)
}

/// Looks for annotations; they count only where `properties` alone leads to them.
fn collect(schema: &Value, path: &mut Vec<String>, reachable: bool, found: &mut Vec<Mirrored>) -> Option<()> {
    let Some(members) = schema.as_object() else {
        for item in schema.as_array().into_iter().flatten() {
            collect(item, path, false, found)?;
        }
        return Some(());
    };
    if let Some(name) = members.member("x-mcp-header") {
        let name = name.as_str().filter(|name| is_token(name))?;
        let primitive =
            matches!(members.member("type").and_then(Value::as_str), Some("string" | "integer" | "boolean"));
        if !primitive || !reachable || path.is_empty() {
            return None;
        }
        found.push((path.clone(), name.to_owned()));
    }
    for (key, inner) in members {
        if key == "properties" {
            for (name, property) in inner.as_object().into_iter().flatten() {
                path.push(name.clone());
                collect(property, path, reachable, found)?;
                path.pop();
            }
        } else if !matches!(key.as_str(), "const" | "default" | "enum" | "examples") {
            collect(inner, path, false, found)?;
        }
    }
    Some(())
}

/// A token of HTTP (RFC 9110 section 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The header of one argument; `None` where the argument is absent, null, or nothing that can be mirrored.
pub(super) fn param((path, name): &Mirrored, arguments: &Value) -> Option<(HeaderText, HeaderText)> {
    let value = path.iter().try_fold(arguments, |value, key| value.get(key))?;
    let text = match value {
        Value::String(text) => encoded(text),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => {
            let whole = number.as_i64().or_else(|| whole(number.as_f64()?))?;
            (whole.abs() <= SAFE).then(|| whole.to_string())?
        }
        _ => return None,
    };
    Some((format!("Mcp-Param-{name}").into(), text.into()))
}

/// `1.0` is a whole number to JSON Schema.
#[expect(clippy::cast_possible_truncation, reason = "only numbers without a fraction and in range come through")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_that_would_not_survive_a_header_are_encoded() {
        for plain in ["us-west1", "", "a b", "=?base64?open", "{\"a\":1}"] {
            assert_eq!(encoded(plain), plain);
        }
        assert_eq!(encoded("Hello, 世界"), "=?base64?SGVsbG8sIOS4lueVjA==?=");
        assert_eq!(encoded(" padded "), "=?base64?IHBhZGRlZCA=?=");
        assert_eq!(encoded("line1\nline2"), "=?base64?bGluZTEKbGluZTI=?=");
        assert_eq!(encoded("=?base64?literal?="), "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=");
    }

    #[test]
    fn arguments_are_found_where_properties_lead_to_them() {
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"type": "object", "properties": {"count": {"type": "integer", "x-mcp-header": "Count"}}},
            "plain": {"type": "string"},
        }});
        let found = mirrored(&schema).expect("valid");
        let arguments = json!({"region": "eu", "deep": {"count": 42}, "plain": "x"});
        let headers: Vec<_> = found.iter().filter_map(|one| param(one, &arguments)).collect();
        let expected = [("Mcp-Param-Region", "eu"), ("Mcp-Param-Count", "42")];
        assert_eq!(headers, expected.map(|(name, value)| (name.into(), value.into())));
        assert!(found.iter().all(|one| param(one, &json!({"region": null})).is_none()));
    }

    #[test]
    fn a_tool_with_a_wrong_annotation_is_not_used() {
        for annotation in ["", "a b", "a:b", "é", "a\u{7}"] {
            let schema = json!({"properties": {"p": {"type": "string", "x-mcp-header": annotation}}});
            assert_eq!(mirrored(&schema), None, "{annotation:?}");
        }
        for kind in ["object", "array", "null", "number"] {
            let schema = json!({"properties": {"p": {"type": kind, "x-mcp-header": "P"}}});
            assert_eq!(mirrored(&schema), None, "{kind}");
        }
        let twice = json!({"properties": {
            "a": {"type": "string", "x-mcp-header": "P"}, "b": {"type": "string", "x-mcp-header": "p"},
        }});
        assert_eq!(mirrored(&twice), None);
        let inside = json!({"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "P"}}}]});
        assert_eq!(mirrored(&inside), None);
        assert_eq!(mirrored(&json!({"type": "object"})), Some(Vec::new()));
    }
}
