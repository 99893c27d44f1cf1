//! What the faults do to messages and HTTP answers: small functions, each wrong in one way.

use serde_json::{Map, Value, json};

use super::answer::{AskCtx, ReplyHead};
use super::fault::OutCtx;
use crate::model::Members as _;

/// More tools than the clients with the highest bound that is known take.
const SPARES: usize = 130;

/// Lets `change` have the result of a response to `method`.
fn result_of(message: &mut Value, context: &OutCtx<'_>, method: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    if context.method == Some(method)
        && let Some(result) = message.get_mut("result").and_then(Value::as_object_mut)
    {
        change(result);
    }
}

/// Sets a member of the result of a response to `method`.
pub(crate) fn set_result(message: &mut Value, context: &OutCtx<'_>, method: &str, member: &str, value: Value) {
    result_of(message, context, method, |result| {
        result.insert(member.to_owned(), value);
    });
}

/// Takes a member out of the result of a response to `method`.
pub(crate) fn drop_result(message: &mut Value, context: &OutCtx<'_>, method: &str, member: &str) {
    result_of(message, context, method, |result| {
        result.shift_remove(member);
    });
}

/// Lets `change` have each entry of a list in the result of a response to `method`.
pub(crate) fn each_entry(message: &mut Value, context: &OutCtx<'_>, method: &str, list: &str, change: fn(&mut Value)) {
    result_of(message, context, method, |result| {
        if let Some(entries) = result.get_mut(list).and_then(Value::as_array_mut) {
            entries.iter_mut().for_each(change);
        }
    });
}

/// Takes a capability out of the answer to `initialize`.
pub(crate) fn undeclare(message: &mut Value, context: &OutCtx<'_>, capability: &str) {
    result_of(message, context, "initialize", |result| {
        if let Some(capabilities) = result.get_mut("capabilities").and_then(Value::as_object_mut) {
            capabilities.shift_remove(capability);
        }
    });
}

/// Answers `method` with an error instead of its result.
pub(crate) fn fail(message: &mut Value, context: &OutCtx<'_>, method: &str, code: i64) {
    if context.method == Some(method) && message.member("result").is_some() {
        *message = json!({"jsonrpc": "2.0", "id": message.at("id"), "error": {"code": code, "message": "Refused"}});
    }
}

/// Replaces an error code by another.
pub(crate) fn recode(message: &mut Value, from: i64, to: i64) {
    if let Some(code) = message.get_mut("error").and_then(|error| error.get_mut("code"))
        && *code == from
    {
        *code = json!(to);
    }
}

/// Sets a member of the params of a message of the server; `null` takes it out.
pub(crate) fn set_param(message: &mut Value, method: &str, member: &str, value: Value) {
    if message.at("method") == method
        && let Some(params) = message.get_mut("params").and_then(Value::as_object_mut)
    {
        if value.is_null() {
            params.shift_remove(member);
        } else {
            params.insert(member.to_owned(), value);
        }
    }
}

/// Takes a member out of a message.
pub(crate) fn drop_member(value: &mut Value, member: &str) {
    if let Some(members) = value.as_object_mut() {
        members.shift_remove(member);
    }
}

/// Whether the message is a response.
pub(crate) fn is_response(message: &Value) -> bool {
    message.member("method").is_none()
}

/// Changes every `data` or `blob` text that stands for bytes, wherever it is.
pub(crate) fn spoil_base64(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(spoil_base64),
        Value::Object(members) if members.contains_key("mimeType") => {
            for name in ["data", "blob"] {
                if let Some(bytes) = members.get_mut(name) {
                    *bytes = json!("this is no base64!");
                }
            }
            members.values_mut().for_each(spoil_base64);
        }
        Value::Object(members) => members.values_mut().for_each(spoil_base64),
        _ => {}
    }
}

/// Repeats the first entry of `tools/list`.
pub(crate) fn repeat_tool(message: &mut Value, context: &OutCtx<'_>) {
    result_of(message, context, "tools/list", |result| {
        if let Some(tools) = result.get_mut("tools").and_then(Value::as_array_mut)
            && let Some(first) = tools.first().cloned()
        {
            tools.push(first);
        }
    });
}

/// Puts tools that nobody calls before those of `tools/list`.
pub(crate) fn precede_with_spares(message: &mut Value, context: &OutCtx<'_>) {
    result_of(message, context, "tools/list", |result| {
        if let Some(tools) = result.get_mut("tools").and_then(Value::as_array_mut) {
            let spare = |number: usize| json!({"name": format!("spare_{number}"), "description": "Does nothing.", "inputSchema": {"type": "object"}});
            tools.splice(0..0, (0..SPARES).map(spare));
        }
    });
}

/// Puts another value into `structuredContent`, where there is one.
pub(crate) fn restructure(message: &mut Value, context: &OutCtx<'_>, member: &str, value: Value) {
    result_of(message, context, "tools/call", |result| {
        if result.contains_key("structuredContent") {
            result.insert(member.to_owned(), value);
        }
    });
}

/// Points the last page of the templates back to itself.
pub(crate) fn endless_pages(message: &mut Value, context: &OutCtx<'_>) {
    result_of(message, context, "resources/templates/list", |result| {
        if !result.contains_key("nextCursor") {
            // What a cursor to the second template looks like.
            result.insert("nextCursor".to_owned(), json!(super::schema::encode_cursor("resources/templates/list", 1)));
        }
    });
}

/// Answers an error of `completion/complete` with no values instead.
pub(crate) fn complete_nothing(message: &mut Value, context: &OutCtx<'_>) {
    if context.method == Some("completion/complete") && message.member("error").is_some() {
        *message = json!({"jsonrpc": "2.0", "id": message.at("id"), "result": {"completion": {"values": []}}});
    }
}

/// Refuses requests with a string id.
pub(crate) fn refuse_string_id(message: &mut Value) {
    if is_response(message) && message.at("id").is_string() {
        let error = json!({"code": -32600, "message": "id has to be a number"});
        *message = json!({"jsonrpc": "2.0", "id": message.at("id"), "error": error});
    }
}

/// Gives the HTTP answer another status when it has this one.
pub(crate) fn restatus(reply: &mut ReplyHead, from: u16, to: u16) {
    if reply.status == from {
        reply.status = to;
    }
}

/// Answers a notification with a body.
pub(crate) fn answer_notification(reply: &mut ReplyHead, ask: &AskCtx, status: u16) {
    if ask.is_notification && reply.status == 202 {
        reply.status = status;
        reply.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        reply.body = Some(br#"{"jsonrpc":"2.0","id":null,"result":{}}"#.to_vec());
    }
}

/// Whether the body contains a text.
pub(crate) fn says(reply: &ReplyHead, text: &str) -> bool {
    reply.body.as_ref().is_some_and(|body| String::from_utf8_lossy(body).contains(text))
}

/// Replaces a text in the body.
pub(crate) fn edit_body(reply: &mut ReplyHead, from: &str, to: &str) {
    if let Some(body) = &mut reply.body {
        *body = String::from_utf8_lossy(body).replace(from, to).into_bytes();
    }
}

/// Whether the body has a text in it.
pub(crate) fn body_has(reply: &ReplyHead, text: &str) -> bool {
    reply.body.as_ref().is_some_and(|body| String::from_utf8_lossy(body).contains(text))
}

/// Encodes the body as Latin-1; what that does not know becomes a question mark.
pub(crate) fn to_latin_1(reply: &mut ReplyHead) {
    if let Some(body) = &mut reply.body {
        *body = String::from_utf8_lossy(body).chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
    }
}

/// Puts the one response into an array.
pub(crate) fn wrap_body(reply: &mut ReplyHead, _: &AskCtx) {
    if says(reply, "\"jsonrpc\"")
        && let Some(body) = &mut reply.body
        && reply.status == 200
        && body.starts_with(b"{")
    {
        *body = [b"[".as_slice(), body, b"]"].concat();
    }
}

/// Sets a header, which may be there already.
pub(crate) fn set_header(reply: &mut ReplyHead, name: &str, value: &str) {
    reply.headers.retain(|(known, _)| known != name);
    reply.headers.push((name.to_owned(), value.to_owned()));
}
