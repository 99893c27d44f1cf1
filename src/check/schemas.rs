//! JSON Schemas of servers: whether they are valid, and what they take.
//!
//! A server lists the same schemas in nearly every case, and to compile one costs more than to judge a whole exchange
//! otherwise; so each thread remembers the latest answers. They depend on nothing but what they are asked about.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::LocalKey;

use serde_json::Value;

use super::memo;
use crate::model::Members as _;

/// How many answers each thread remembers of a kind.
const KEPT: usize = 256;

/// What is longer, schema and value together, is not remembered, in bytes of text.
const LONGEST: usize = 4096;

thread_local! {
    static VALID: RefCell<HashMap<String, Option<bool>>> = RefCell::default();
    static TAKEN: RefCell<HashMap<String, Option<bool>>> = RefCell::default();
}

/// Whether a schema is valid in the dialect that it names, 2020-12 if it names none; `None` where the dialect is not
/// known here.
pub(crate) fn is_valid(schema: &Value) -> Option<bool> {
    remembered(&VALID, schema.to_string(), || {
        // What is no string names no dialect, and breaks that of 2020-12.
        let dialect = schema.member("$schema").and_then(Value::as_str).unwrap_or_default();
        match dialect.trim_end_matches('#') {
            "" | "https://json-schema.org/draft/2020-12/schema" => {
                Some(jsonschema::draft202012::meta::is_valid(schema))
            }
            "https://json-schema.org/draft/2019-09/schema" => Some(jsonschema::draft201909::meta::is_valid(schema)),
            "http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema" => {
                Some(jsonschema::draft7::meta::is_valid(schema))
            }
            _ => None,
        }
    })
}

/// The same for a schema that lies within a message.
pub(crate) fn is_valid_within(message: &Arc<Value>, schema: &Value) -> Option<bool> {
    memo::remembered(("schema is valid", None), message, schema, || is_valid(schema))
}

/// Whether a schema takes a value; `None` where nothing can tell, because the schema is not valid.
pub(crate) fn takes(schema: &Value, value: &Value) -> Option<bool> {
    let fits = || Some(jsonschema::validator_for(schema).ok()?.is_valid(value));
    remembered(&TAKEN, format!("{schema} {value}"), fits)
}

/// Whether a schema can tell anything at all.
pub(crate) fn can_tell(schema: &Value) -> bool {
    takes(schema, &Value::Null).is_some()
}

/// What a value breaks of a schema, in words; `None` where it breaks nothing, or nothing can tell.
pub(crate) fn broken(schema: &Value, value: &Value) -> Option<String> {
    if takes(schema, value)? {
        return None;
    }
    let validator = jsonschema::validator_for(schema).ok()?;
    validator.validate(value).err().map(|error| error.to_string())
}

type Shelf = LocalKey<RefCell<HashMap<String, Option<bool>>>>;

fn remembered(shelf: &'static Shelf, text: String, look: impl FnOnce() -> Option<bool>) -> Option<bool> {
    if let Some(known) = shelf.with_borrow(|shelf| shelf.get(&text).copied()) {
        return known;
    }
    let answer = look();
    shelf.with_borrow_mut(|shelf| {
        if shelf.len() >= KEPT {
            shelf.clear();
        }
        if text.len() <= LONGEST {
            shelf.insert(text, answer);
        }
    });
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_question_has_the_same_answer() {
        for _ in 0..2 {
            assert_eq!(is_valid(&json!({"type": "object"})), Some(true));
            assert_eq!(is_valid(&json!({"type": "thing"})), Some(false));
            assert_eq!(is_valid(&json!({"$schema": "urn:odd"})), None);
            assert_eq!(is_valid(&json!({"$schema": 5, "type": "object"})), Some(false));
            let words = json!({"type": "string"});
            assert_eq!((takes(&words, &json!("x")), takes(&words, &json!(1))), (Some(true), Some(false)));
            assert!(can_tell(&words) && !can_tell(&json!({"type": "thing"})));
            assert_eq!(broken(&words, &json!("x")), None);
            assert!(broken(&words, &json!(1)).expect("broken").contains("string"));
        }
    }

    #[test]
    fn no_more_is_remembered_than_has_room() {
        for number in 0..2 * KEPT + 5 {
            assert_eq!(is_valid(&json!({"type": "object", "title": number.to_string()})), Some(true));
        }
        VALID.with_borrow(|shelf| assert!(shelf.len() <= KEPT));
    }
}
