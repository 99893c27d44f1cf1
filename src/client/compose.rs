//! What a profile makes of a message: member order, headers, ids.
//!
//! Pure; must not know connections.

use serde_json::{Map, Value, json};

use crate::profile::{Authorization, Header, KeyOrder};
use crate::scenario::Headers as Overrides;
use crate::transcript::{HeaderText, Headers};

/// What header templates may name.
#[derive(Debug, Default)]
pub(super) struct Slots<'a> {
    pub(super) host: &'a str,
    pub(super) length: Option<usize>,
    pub(super) session: Option<&'a str>,
    pub(super) revision: Option<&'a str>,
    pub(super) method: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

/// Fills the templates; a header whose slot has no value is left out.
pub(super) fn headers(templates: &[Header], slots: &Slots<'_>) -> Headers {
    let length = slots.length.map(|length| length.to_string());
    let value = |slot: &str| match slot {
        "host" => Some(Some(slots.host)),
        "length" => Some(length.as_deref()),
        "session" => Some(slots.session),
        "revision" => Some(slots.revision),
        "method" => Some(slots.method),
        "name" => Some(slots.name),
        _ => None,
    };
    let mut filled = Headers::with_capacity(templates.len() + 1);
    filled
        .extend(templates.iter().filter_map(|header| Some((header.name.as_str().into(), fill(&header.value, value)?))));
    filled
}

/// Fills one template; what stands in braces and is no slot stays as it is. `None` where a slot has no value.
fn fill<'s>(template: &str, value: impl Fn(&str) -> Option<Option<&'s str>>) -> Option<HeaderText> {
    let mut text = HeaderText::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, from)) = rest.split_once('{') {
        text.push_str(before);
        let slot = from.split_once('}').and_then(|(slot, after)| Some((value(slot)?, after)));
        rest = if let Some((value, after)) = slot {
            text.push_str(value?);
            after
        } else {
            text.push('{');
            from
        };
    }
    text.push_str(rest);
    Some(text)
}

/// Puts the token where the client puts it.
pub(super) fn authorize(headers: &mut Headers, place: &Authorization, token: Option<&str>) {
    let Some(token) = token else { return };
    let after = headers.iter().position(|(name, _)| name.eq_ignore_ascii_case(&place.after));
    let at = after.map_or(headers.len(), |at| at + 1);
    headers.insert(at, (place.name.clone().into(), format!("Bearer {token}").into()));
}

/// Adds, replaces or (null) removes headers; names compare without case.
pub(super) fn apply(headers: &mut Headers, overrides: &Overrides) {
    for (name, value) in overrides {
        let found = headers.iter().position(|(key, _)| key.eq_ignore_ascii_case(name));
        match (found, value) {
            (Some(index), Some(value)) => headers[index] = (name.as_str().into(), value.as_str().into()),
            (Some(_), None) => headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name)),
            (None, Some(value)) => headers.push((name.as_str().into(), value.as_str().into())),
            (None, None) => {}
        }
    }
}

/// A request or (without id) a notification, its members in the client's order.
pub(super) fn message(order: KeyOrder, id: Option<Value>, method: &str, params: Option<Value>) -> Value {
    let method_first = match order {
        // Cancellations are put together by hand where other messages are not.
        KeyOrder::MethodFirst => method != "notifications/cancelled",
        KeyOrder::RequestsMethodFirst => id.is_some() && !matches!(method, "server/discover" | "subscriptions/listen"),
        KeyOrder::JsonrpcFirst => false,
    };
    let head = [Some(("jsonrpc", json!("2.0"))), id.map(|id| ("id", id))];
    let body = [Some(("method", json!(method))), params.map(|params| ("params", params))];
    let (first, second) = if method_first { (body, head) } else { (head, body) };
    let members = first.into_iter().chain(second).flatten();
    Value::Object(members.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A response, its members in the client's order: those that begin requests with `method` begin results with `result`.
pub(super) fn response(order: KeyOrder, id: Value, member: &str, value: Value) -> Value {
    let head = [("jsonrpc", json!("2.0")), ("id", id)];
    let mut members: Map<String, Value> = head.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let result_first = order != KeyOrder::JsonrpcFirst && member == "result";
    members.shift_insert(if result_first { 0 } else { 2 }, member.to_owned(), value);
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_value_is_left_out() {
        let template = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
        let templates = [template("host", "{host}"), template("mcp-session-id", "{session}")];
        let slots = Slots { host: "h:1", ..Slots::default() };
        assert_eq!(headers(&templates, &slots), [("host".into(), "h:1".into())]);
    }

    #[test]
    fn what_is_no_slot_stays_as_it_is() {
        let value = |slot: &str| (slot == "host").then_some(Some("{host}"));
        for (template, filled) in [("a {host}b", "a {host}b"), ("{{host}}", "{{host}}"), ("{x} {", "{x} {"), ("", "")] {
            assert_eq!(fill(template, value).as_deref(), Some(filled));
        }
    }

    #[test]
    fn members_come_in_the_order_of_the_client() {
        let text = message(KeyOrder::MethodFirst, Some(json!(0)), "ping", None).to_string();
        assert_eq!(text, r#"{"method":"ping","jsonrpc":"2.0","id":0}"#);
        let text = message(KeyOrder::JsonrpcFirst, Some(json!(0)), "ping", None).to_string();
        assert_eq!(text, r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#);
        let mixed = |id, method| message(KeyOrder::RequestsMethodFirst, id, method, None).to_string();
        assert_eq!(mixed(Some(json!(0)), "ping"), r#"{"method":"ping","jsonrpc":"2.0","id":0}"#);
        assert_eq!(
            mixed(None, "notifications/initialized"),
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#
        );
        let text = message(KeyOrder::MethodFirst, None, "notifications/cancelled", None).to_string();
        assert_eq!(text, r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#);
    }

    #[test]
    fn responses_have_an_order_too() {
        let text = |order, member| response(order, json!("a"), member, json!({})).to_string();
        assert_eq!(text(KeyOrder::MethodFirst, "result"), r#"{"result":{},"jsonrpc":"2.0","id":"a"}"#);
        assert_eq!(text(KeyOrder::MethodFirst, "error"), r#"{"jsonrpc":"2.0","id":"a","error":{}}"#);
        assert_eq!(text(KeyOrder::JsonrpcFirst, "result"), r#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
    }

    #[test]
    fn overrides_replace_without_case_and_null_removes() {
        let mut list = vec![("Accept".into(), "a".into()), ("Host".into(), "h".into())];
        let overrides = [
            ("accept".to_owned(), Some("b".to_owned())),
            ("host".to_owned(), None),
            ("X".to_owned(), Some("1".to_owned())),
        ];
        apply(&mut list, &overrides.into_iter().collect());
        list.sort();
        assert_eq!(list, [("X".into(), "1".into()), ("accept".into(), "b".into())]);
    }
}
