//! The headers that mirror the body: `MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*`. The body is what
//! is acted on; a header only has to agree with it.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::model::Members as _;
use crate::server::reply::{RpcError, code};

/// What begins the name of a header that mirrors an argument.
const PARAM: &str = "mcp-param-";
/// What annotates an argument that is mirrored.
const ANNOTATION: &str = "x-mcp-header";
/// How deep the schema of a tool is looked into.
const DEEPEST: usize = 16;

/// The refusal of a request whose headers and body differ.
pub(crate) fn mismatch(why: impl Into<String>) -> RpcError {
    RpcError::new(code::HEADER_MISMATCH, why)
}

/// The one value of a header, without the blanks around it.
fn value<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, RpcError> {
    let mut all = headers.get_all(name).iter();
    let Some(first) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(mismatch(format!("{name} is there more than once; send it once")));
    }
    let text = first.to_str().map_err(|_| mismatch(format!("{name} has characters that no header may have")))?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

/// `MCP-Protocol-Version`, which has to be there.
pub(crate) fn version(headers: &HeaderMap) -> Result<&str, RpcError> {
    value(headers, "mcp-protocol-version")?
        .ok_or_else(|| mismatch("MCP-Protocol-Version is missing; mirror the version of params._meta into it"))
}

/// Whether `Mcp-Method` says the method, in its very case.
pub(crate) fn check_method(headers: &HeaderMap, method: &str) -> Result<(), RpcError> {
    match value(headers, "mcp-method")? {
        Some(said) if said == method => Ok(()),
        Some(said) => Err(mismatch(format!("Mcp-Method says `{said}`, but the body `{method}`"))),
        None => Err(mismatch("Mcp-Method is missing; mirror the method into it")),
    }
}

/// Whether `Mcp-Name` says what the body names; only where it is `required` may it not be missing.
pub(crate) fn check_name(headers: &HeaderMap, name: &str, required: bool) -> Result<(), RpcError> {
    let Some(said) = value(headers, "mcp-name")? else {
        return if required { Err(mismatch("Mcp-Name is missing; mirror the name or URI into it")) } else { Ok(()) };
    };
    let decoded = decode(said).ok_or_else(|| mismatch(format!("Mcp-Name `{said}` is not valid Base64")))?;
    if decoded == name { Ok(()) } else { Err(mismatch(format!("Mcp-Name says `{decoded}`, but the body `{name}`"))) }
}

/// What a value stands for; `None` where it is marked as Base64 and is none. The marks have one case.
fn decode(said: &str) -> Option<String> {
    match said.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(said.to_owned()),
    }
}

/// Whether the arguments that the schema annotates are mirrored.
pub(crate) fn check_params(headers: &HeaderMap, schema: &Value, arguments: &Value) -> Result<(), RpcError> {
    let mut found = Vec::new();
    annotated(schema, Some(arguments), &mut found, 0);
    for (suffix, given) in found {
        let name = format!("{PARAM}{}", suffix.to_ascii_lowercase());
        // Null stands for an argument that is not there; lists and objects cannot be mirrored.
        let given = given.filter(|given| given.is_string() || given.is_number() || given.is_boolean());
        match (value(headers, &name)?, given) {
            (None, None) => {}
            (None, Some(_)) => {
                return Err(mismatch(format!("Mcp-Param-{suffix} is missing; mirror the argument into it")));
            }
            (Some(_), None) => {
                return Err(mismatch(format!("Mcp-Param-{suffix} is there, but its argument is not in the body")));
            }
            (Some(said), Some(given)) => {
                let decoded =
                    decode(said).ok_or_else(|| mismatch(format!("Mcp-Param-{suffix} `{said}` is not valid Base64")))?;
                if !says(&decoded, given) {
                    return Err(mismatch(format!("Mcp-Param-{suffix} says `{decoded}`, but the body {given}")));
                }
            }
        }
    }
    Ok(())
}

/// The annotated properties of a schema that are reachable through `properties` alone, each with what was given for it.
fn annotated<'v>(
    schema: &'v Value,
    given: Option<&'v Value>,
    found: &mut Vec<(&'v str, Option<&'v Value>)>,
    depth: usize,
) {
    let Some(properties) = schema.member("properties").and_then(Value::as_object).filter(|_| depth < DEEPEST) else {
        return;
    };
    for (name, property) in properties {
        let value = given.and_then(|given| given.get(name));
        if let Some(suffix) = property.get(ANNOTATION).and_then(Value::as_str) {
            found.push((suffix, value));
        }
        annotated(property, value, found, depth + 1);
    }
}

/// Whether a decoded value is what an argument becomes in a header; numbers are compared as numbers.
fn says(said: &str, given: &Value) -> bool {
    match given {
        Value::String(text) => said == text,
        Value::Bool(truth) => said == if *truth { "true" } else { "false" },
        Value::Number(number) => match (said.parse::<i64>(), number.as_i64()) {
            (Ok(said), Some(number)) => said == number,
            // What is mirrored is exact in this type, as integers beyond it may not be annotated.
            _ => said
                .parse::<f64>()
                .ok()
                .zip(number.as_f64())
                .is_some_and(|(said, number)| said.to_bits() == number.to_bits()),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};
    use serde_json::json;

    fn headers(pairs: &[(&'static str, &'static [u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).expect("a value"));
        }
        headers
    }

    #[test]
    fn methods_have_one_case_and_one_header() {
        assert!(check_method(&headers(&[("mcp-method", b" tools/list ")]), "tools/list").is_ok());
        for wrong in [
            &[("mcp-method", b"TOOLS/LIST".as_slice())][..],
            &[],
            &[("mcp-method", b"tools/list"), ("mcp-method", b"tools/list")],
        ] {
            assert!(check_method(&headers(wrong), "tools/list").is_err_and(|error| error.code == -32020));
        }
    }

    #[test]
    fn names_are_decoded_before_they_are_compared() {
        let name = |value: &'static [u8]| check_name(&headers(&[("mcp-name", value)]), "Gr\u{fc}\u{df}e", true).is_ok();
        assert!(name("=?base64?R3LDvMOfZQ==?=".as_bytes()));
        assert!(
            !name(b"=?BASE64?R3LDvMOfZQ==?=") && !name(b"=?base64?R3LDvMOfZQ?=") && !name("Gr\u{fc}\u{df}e".as_bytes())
        );
        assert!(check_name(&headers(&[]), "x", true).is_err() && check_name(&headers(&[]), "x", false).is_ok());
    }

    #[test]
    fn arguments_are_mirrored_wherever_they_stand() {
        let schema = json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "count": {"type": "integer", "x-mcp-header": "Count"},
            "place": {"type": "object", "properties": {"open": {"type": "boolean", "x-mcp-header": "Open"}}},
        }});
        let check = |pairs: &[(&'static str, &'static [u8])], arguments: &Value| {
            check_params(&headers(pairs), &schema, arguments).map_err(|error| error.code)
        };
        assert_eq!(check(&[], &json!({})), Ok(()));
        assert_eq!(check(&[], &json!({"region": null})), Ok(()));
        assert_eq!(check(&[], &json!({"region": "a"})), Err(-32020));
        assert_eq!(check(&[("mcp-param-region", b"a")], &json!({})), Err(-32020));
        assert_eq!(check(&[("mcp-param-region", b"=?base64?YQ==?=")], &json!({"region": "a"})), Ok(()));
        assert_eq!(check(&[("mcp-param-region", b"SGVsbG8=")], &json!({"region": "SGVsbG8="})), Ok(()));
        assert_eq!(check(&[("mcp-param-region", b"=?base64?SGVs!!!bG8=?=")], &json!({"region": "Hello"})), Err(-32020));
        assert_eq!(check(&[("mcp-param-count", b"42.0")], &json!({"count": 42})), Ok(()));
        assert_eq!(check(&[("mcp-param-count", b"43")], &json!({"count": 42})), Err(-32020));
        assert_eq!(check(&[("mcp-param-open", b"true")], &json!({"place": {"open": true}})), Ok(()));
        assert_eq!(check(&[("mcp-param-open", b"True")], &json!({"place": {"open": true}})), Err(-32020));
        assert_eq!(check(&[("mcp-param-other", b"x")], &json!({})), Ok(()));
    }
}
