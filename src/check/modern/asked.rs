//! What a request of the modern era says about itself: its metadata, and the headers that mirror it.
//!
//! Questions only; holds no checks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::check::support::TOOLS;
use crate::model::{Members as _, Revision, Via};
use crate::transcript::{Exchange, META_CAPABILITIES, META_VERSION, Msg, View, is_modern_version};

/// The error of a header that is missing or differs from the body.
pub(crate) const MISMATCH: i64 = -32020;
/// The error of a client capability that is needed and was not declared.
pub(crate) const MISSING_CAPABILITY: i64 = -32021;
/// The error of a version that the server does not implement.
pub(crate) const UNSUPPORTED: i64 = -32022;
/// The name of the tasks extension.
pub(crate) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// Whether a message is governed by the modern era.
pub(crate) fn is_modern(msg: &Msg) -> bool {
    msg.revision == Some(Revision::V2026_07_28)
}

/// A member of the request's `_meta`, null where absent.
pub(crate) fn meta<'v>(request: &'v Msg, key: &str) -> &'v Value {
    request.value.at("params").at("_meta").at(key)
}

/// The version that a request names.
pub(crate) fn version_of(request: &Msg) -> Option<&str> {
    meta(request, META_VERSION).as_str()
}

/// Whether the metadata is complete, whatever the version is.
pub(crate) fn has_meta(request: &Msg) -> bool {
    meta(request, META_VERSION).is_string() && meta(request, META_CAPABILITIES).is_object()
}

/// A client capability that this very request declares, by path.
pub(crate) fn declares(request: &Value, path: &[&str]) -> Option<bool> {
    let declared = request.at("params").at("_meta").get(META_CAPABILITIES).filter(|declared| declared.is_object())?;
    let found = path.iter().try_fold(declared, |value, key| value.member(key));
    Some(found.is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false))))
}

/// The member of `params` that `Mcp-Name` mirrors in the core protocol.
pub(crate) fn named(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        _ => None,
    }
}

/// What a header value stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// The text itself, or the text that was encoded.
    Text(String),
    /// Markers around something that is not base64 of UTF-8.
    Broken,
}

/// Whether a value stands between the markers of the encoded form.
pub(crate) fn is_encoded(value: &str) -> bool {
    let value = value.trim_matches([' ', '\t']);
    value.len() >= 11 && value.starts_with("=?base64?") && value.ends_with("?=")
}

/// Reads a header value in either form.
pub(crate) fn held(value: &str) -> Held {
    let value = value.trim_matches([' ', '\t']);
    if !is_encoded(value) {
        return Held::Text(value.to_owned());
    }
    let inner = &value["=?base64?".len()..value.len() - "?=".len()];
    STANDARD.decode(inner).ok().and_then(|bytes| String::from_utf8(bytes).ok()).map_or(Held::Broken, Held::Text)
}

/// Whether a header value consists of visible ASCII, spaces and tabs.
pub(crate) fn is_clean(value: &str) -> bool {
    value.bytes().all(|byte| (0x20..0x7f).contains(&byte) || byte == b'\t')
}

/// A parameter of a tool that is mirrored in a header.
#[derive(Debug)]
pub(crate) struct Mirrored {
    /// Header name in lower case.
    pub header: String,
    /// The chain of properties that leads to it.
    pub path: Vec<String>,
}

/// The parameters that a tool's schema mirrors, as far as they are reachable through properties alone.
pub(crate) fn mirrored(tool: &Value) -> Vec<Mirrored> {
    fn walk(schema: &Value, path: &[String], found: &mut Vec<Mirrored>) {
        for (name, member) in schema.at("properties").as_object().into_iter().flatten() {
            let path: Vec<String> = path.iter().chain([name]).cloned().collect();
            if let Some(header) = member.at("x-mcp-header").as_str() {
                found.push(Mirrored {
                    header: format!("mcp-param-{}", header.to_ascii_lowercase()),
                    path: path.clone(),
                });
            }
            walk(member, &path, found);
        }
    }
    let mut found = Vec::new();
    walk(tool.at("inputSchema"), &[], &mut found);
    found
}

/// A value as its header has it; `None` where no header is due.
pub(crate) fn as_header(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The argument at a path, null where absent.
pub(crate) fn argument<'v>(request: &'v Msg, path: &[String]) -> &'v Value {
    path.iter().fold(request.value.at("params").at("arguments"), |value, key| &value[key.as_str()])
}

/// Whether a header says the same as an argument, numbers compared as numbers.
pub(crate) fn agrees(header: &str, argument: &Value) -> bool {
    let Held::Text(text) = held(header) else { return false };
    let numbers = argument.as_f64().zip(text.parse::<f64>().ok());
    as_header(argument).is_some_and(|wanted| wanted == text)
        || numbers.is_some_and(|(wanted, came)| (wanted - came).abs() < f64::EPSILON)
}

/// The tool that a call names, as this client was last shown it.
pub(crate) fn tool_of<'v>(view: &'v View<'_>, request: &Msg) -> Option<&'v Value> {
    let name = request.value.at("params").at("name").as_str().filter(|_| request.method() == Some("tools/call"))?;
    TOOLS.find(view, request, name)
}

/// Whether the version header, where it is there, is the one of the body.
pub(crate) fn version_fits(exchange: &Exchange, request: &Msg) -> bool {
    exchange.sent_header("mcp-protocol-version").is_some_and(|sent| Some(sent.trim()) == version_of(request))
}

/// Whether `Mcp-Method` is there and right.
pub(crate) fn method_fits(exchange: &Exchange, request: &Msg) -> bool {
    exchange.sent_header("mcp-method").is_some_and(|sent| Some(sent.trim()) == request.method())
}

/// Whether `Mcp-Name` is right where one is due.
pub(crate) fn name_fits(exchange: &Exchange, request: &Msg) -> bool {
    let method = request.method().unwrap_or_default();
    let member = match method {
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => named(method),
    };
    let Some(name) = member.and_then(|member| request.value.at("params").at(member).as_str()) else { return true };
    match exchange.sent_header("mcp-name") {
        Some(sent) => is_clean(sent) && held(sent) == Held::Text(name.to_owned()),
        None => method.starts_with("tasks/"),
    }
}

/// Whether every mirrored argument of a known tool has its header, and no other.
pub(crate) fn params_fit(view: &View<'_>, exchange: &Exchange, request: &Msg) -> bool {
    let Some(tool) = tool_of(view, request) else { return true };
    mirrored(tool).iter().all(|param| {
        let value = argument(request, &param.path);
        match exchange.sent_header(&param.header) {
            Some(sent) => is_clean(sent) && agrees(sent, value),
            None => as_header(value).is_none(),
        }
    })
}

/// Whether all headers fit; other transports than Streamable HTTP have none.
pub(crate) fn headers_fit(view: &View<'_>, exchange: &Exchange, request: &Msg) -> bool {
    exchange.via != Via::StreamableHttp
        || (version_fits(exchange, request)
            && method_fits(exchange, request)
            && name_fits(exchange, request)
            && params_fit(view, exchange, request))
}

/// Whether what a request says about itself gives no reason to refuse it.
pub(crate) fn is_in_order(view: &View<'_>, exchange: &Exchange, request: &Msg) -> bool {
    has_meta(request)
        && version_of(request).is_some_and(is_modern_version)
        && headers_fit(view, exchange, request)
        && takes_both(exchange)
}

/// Whether the client takes both kinds of answer; other transports do not ask.
pub(crate) fn takes_both(exchange: &Exchange) -> bool {
    exchange.via != Via::StreamableHttp
        || exchange
            .sent_header("accept")
            .is_some_and(|accept| accept.contains("application/json") && accept.contains("text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_forms_of_a_header_value_are_read() {
        assert_eq!(held(" us-west1 "), Held::Text("us-west1".to_owned()));
        assert_eq!(held("=?base64?SGVsbG8sIOS4lueVjA==?="), Held::Text("Hello, 世界".to_owned()));
        assert_eq!(held("=?base64?!!?="), Held::Broken);
        assert_eq!(held("=?BASE64?SGk=?="), Held::Text("=?BASE64?SGk=?=".to_owned()));
        assert!(agrees("42.0", &json!(42)) && agrees("true", &json!(true)) && !agrees("43", &json!(42)));
    }

    #[test]
    fn mirrored_parameters_are_found_at_any_depth_of_properties() {
        let tool = json!({"inputSchema": {"properties": {
            "a": {"x-mcp-header": "A"}, "b": {"properties": {"c": {"x-mcp-header": "C"}}}}}});
        let found: Vec<String> = mirrored(&tool).into_iter().map(|param| param.path.join(".")).collect();
        assert_eq!(found, ["a", "b.c"]);
    }
}
