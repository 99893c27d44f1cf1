//! JSON Schemas of servers: whether they are valid, and what they take.
//!
//! A server lists the same schemas in nearly every case, and to compile one costs more than to judge a whole exchange
//! otherwise; so each thread remembers the latest answers. They depend on nothing but what they are asked about.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use jsonschema::Validator;
use serde_json::Value;

/// How many schemas each thread remembers.
const KEPT: usize = 256;

/// Longer schemas are not remembered, in bytes of text.
const LONGEST: usize = 4096;

thread_local! {
    static VALID: RefCell<HashMap<String, Option<bool>>> = RefCell::default();
    static COMPILED: RefCell<HashMap<String, Option<Rc<Validator>>>> = RefCell::default();
}

/// Whether a schema is valid in the dialect that it names, 2020-12 if it names none; `None` where the dialect is not
/// known here.
pub(crate) fn is_valid(schema: &Value) -> Option<bool> {
    remembered(&VALID, schema, || {
        match schema.get("$schema").map(|dialect| dialect.as_str().unwrap_or_default().trim_end_matches('#')) {
            None | Some("https://json-schema.org/draft/2020-12/schema") => {
                Some(jsonschema::draft202012::meta::is_valid(schema))
            }
            Some("https://json-schema.org/draft/2019-09/schema") => {
                Some(jsonschema::draft201909::meta::is_valid(schema))
            }
            Some("http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema") => {
                Some(jsonschema::draft7::meta::is_valid(schema))
            }
            Some(_) => None,
        }
    })
}

/// What tells which values a schema takes; `None` where nothing can, because the schema is not valid.
pub(crate) fn compiled(schema: &Value) -> Option<Rc<Validator>> {
    remembered(&COMPILED, schema, || jsonschema::validator_for(schema).ok().map(Rc::new))
}

fn remembered<T: Clone + 'static>(
    shelf: &'static std::thread::LocalKey<RefCell<HashMap<String, T>>>,
    schema: &Value,
    make: impl FnOnce() -> T,
) -> T {
    let text = schema.to_string();
    if let Some(known) = shelf.with_borrow(|shelf| shelf.get(&text).cloned()) {
        return known;
    }
    let made = make();
    shelf.with_borrow_mut(|shelf| {
        if shelf.len() >= KEPT {
            shelf.clear();
        }
        if text.len() <= LONGEST {
            shelf.insert(text, made.clone());
        }
    });
    made
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
            let takes = compiled(&json!({"type": "string"})).expect("compiles");
            assert!(takes.is_valid(&json!("x")) && !takes.is_valid(&json!(1)));
            assert!(compiled(&json!({"type": "thing"})).is_none());
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
