//! What a catalogue may say by revision, list pages and their cursors. It must not know the entries.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::dispatch::App;
use super::fault::Rule;
use super::reply::{Outcome, RpcError};
use crate::model::{Members as _, Revision};

/// Takes out the members that a revision does not know, in the entries of a catalogue and in `serverInfo`.
pub(crate) fn trim(value: &mut Value, revision: Revision) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| trim(item, revision)),
        Value::Object(members) => trim_members(members, revision),
        _ => {}
    }
}

/// [`trim`] for each entry of a catalogue.
pub(crate) fn trim_all(items: &mut [Value], revision: Revision) {
    for item in items {
        trim(item, revision);
    }
}

fn trim_members(members: &mut Map<String, Value>, revision: Revision) {
    if revision < Revision::V2025_06_18 && members.contains_key("name") {
        // Only named entries: a schema may well have a property called `title`.
        members.shift_remove("title");
        members.shift_remove("outputSchema");
        members.shift_remove("_meta");
    }
    if revision < Revision::V2025_03_26 && members.contains_key("inputSchema") {
        members.shift_remove("annotations");
    }
    if revision < Revision::V2025_11_25 && members.contains_key("name") {
        members.shift_remove("icons");
    }
    if revision != Revision::V2025_11_25 && members.contains_key("name") {
        members.shift_remove("execution");
    }
    for (name, member) in members.iter_mut() {
        if name != "inputSchema" && name != "outputSchema" {
            trim(member, revision);
        }
    }
}

/// A cursor that only the method it was made for takes back.
pub(crate) fn encode_cursor(method: &str, start: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("{method}:{start}"))
}

fn open_cursor(cursor: &str) -> Option<(String, usize)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (method, start) = text.rsplit_once(':')?;
    Some((method.to_owned(), start.parse().ok()?))
}

fn decode_cursor(method: &str, cursor: &str) -> Option<usize> {
    open_cursor(cursor).filter(|(of, _)| of == method).map(|(_, start)| start)
}

/// The method that a cursor in the params was made for.
pub(crate) fn method_of_cursor(params: &Value) -> Option<String> {
    open_cursor(params.member("cursor")?.as_str()?).map(|(method, _)| method)
}

/// The answer of a list method: `size` items at a time, beginning where the cursor says.
pub(crate) fn page(app: &App, method: &str, params: &Value, member: &str, items: Vec<Value>, size: usize) -> Outcome {
    let count = items.len();
    page_of(app, method, params, (member, count, size), |range| {
        items.into_iter().take(range.end).skip(range.start).collect()
    })
}

/// The same for so many items, of which only those of the page are made.
pub(crate) fn page_of(
    app: &App,
    method: &str,
    params: &Value,
    (member, count, size): (&str, usize, usize),
    make: impl FnOnce(Range<usize>) -> Vec<Value>,
) -> Outcome {
    let start = match params.member("cursor") {
        None => 0,
        Some(cursor) => match cursor.as_str().and_then(|text| decode_cursor(method, text)) {
            Some(start) if start > 0 && start < count && app.faults.holds(Rule::CursorsTaken) => start,
            _ if app.faults.holds(Rule::CursorChecked) => return Err(RpcError::params("The cursor is not valid")),
            _ => 0,
        },
    };
    let end = start.saturating_add(size).min(count);
    let first = if app.faults.holds(Rule::PagesApart) { start } else { start.saturating_sub(1) };
    let mut result = Map::new();
    result.insert(member.to_owned(), Value::from(make(first..end)));
    if end < count {
        result.insert("nextCursor".to_owned(), json!(encode_cursor(method, end)));
    }
    Ok(Value::Object(result))
}

/// A string argument that has to be there.
pub(crate) fn text_argument<'a>(arguments: &'a Value, name: &str) -> Result<&'a str, String> {
    match arguments.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("Argument {name} has to be a string")),
        None => Err(format!("Argument {name} is missing")),
    }
}

/// An integer argument of at most `max`.
pub(crate) fn number_argument(arguments: &Value, name: &str, max: u64) -> Result<u64, String> {
    match arguments.get(name).map(Value::as_u64) {
        Some(Some(number)) if number <= max => Ok(number),
        Some(_) => Err(format!("Argument {name} has to be an integer from 0 to {max}")),
        None => Err(format!("Argument {name} is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_bound_to_its_method() {
        let cursor = encode_cursor("tools/list", 3);
        assert_eq!(decode_cursor("tools/list", &cursor), Some(3));
        assert_eq!(decode_cursor("prompts/list", &cursor), None);
        assert_eq!(decode_cursor("tools/list", "!!"), None);
    }

    #[test]
    fn titles_go_before_2025_06_18_and_schemas_are_left_alone() {
        let mut tool = json!([{"name": "a", "title": "A", "icons": [], "inputSchema": {"name": 1, "title": "kept"}}]);
        trim(&mut tool, Revision::V2025_06_18);
        assert_eq!(tool, json!([{"name": "a", "title": "A", "inputSchema": {"name": 1, "title": "kept"}}]));
        trim(&mut tool, Revision::V2025_03_26);
        assert_eq!(tool, json!([{"name": "a", "inputSchema": {"name": 1, "title": "kept"}}]));
    }

    #[test]
    fn wrong_types_are_told() {
        assert_eq!(text_argument(&json!({"text": "x"}), "text"), Ok("x"));
        assert!(text_argument(&json!({"text": 1}), "text").is_err());
        assert!(number_argument(&json!({"ms": -1}), "ms", 10).is_err());
        assert!(number_argument(&json!({"ms": 11}), "ms", 10).is_err());
    }
}
