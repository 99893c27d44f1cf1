//! Subset match of JSON: objects may have more members than expected, everything else has to be equal.
//!
//! A map with one key that begins with `$` is an operator. Pure; must not know what is being compared.

#[cfg(test)]
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use regex::Regex;
#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// The operators, in alphabetical order.
pub const OPERATORS: [&str; 9] = ["$absent", "$any", "$contains", "$gt", "$len", "$lt", "$not", "$regex", "$type"];

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Keywords of JSON Schema that are data here, not operators.
const PLAIN: [&str; 5] = ["$schema", "$ref", "$defs", "$id", "$anchor"];

/// Of how many patterns each thread keeps what it read.
const MAX_PATTERNS: usize = 64;

/// What a JSON value has to look like.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Matcher(Value);

/// One place where a value is not as expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// JSON pointer to the place; empty for the whole value.
    pub pointer: String,
    /// What was expected there, in words or JSON.
    pub expected: String,
    /// What is there; `None` where nothing is.
    pub actual: Option<Value>,
}

/// Why a value is no matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMatcher {
    /// The operator does not exist.
    #[error("unknown operator `{0}`, expected one of {list}", list = listed(&OPERATORS))]
    Operator(String),
    /// The argument of `$type` is no type.
    #[error("`{0}` is no type, expected one of {list}", list = listed(&TYPES))]
    Type(Value),
    /// The argument of `$regex` does not compile.
    #[error("`{0}` is no regular expression")]
    Regex(Value),
    /// The argument has the wrong type.
    #[error("`{operator}` takes {wanted}, not `{given}`")]
    Argument {
        /// The operator.
        operator: &'static str,
        /// What it takes.
        wanted: &'static str,
        /// What it was given.
        given: Value,
    },
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

impl Matcher {
    /// Checks operators and their arguments.
    pub fn new(value: Value) -> Result<Self, BadMatcher> {
        validate(&value)?;
        Ok(Self(value))
    }

    /// The matcher as it was written.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// Where `actual` is not as expected; empty if it matches.
    pub fn mismatches(&self, actual: &Value) -> Vec<Mismatch> {
        let mut found = Vec::new();
        compare(&self.0, Some(actual), &mut String::new(), &mut found);
        found
    }

    /// Whether `actual` is as expected.
    pub fn matches(&self, actual: &Value) -> bool {
        self.mismatches(actual).is_empty()
    }
}

impl TryFrom<Value> for Matcher {
    type Error = BadMatcher;

    fn try_from(value: Value) -> Result<Self, BadMatcher> {
        Self::new(value)
    }
}

#[cfg(test)]
impl JsonSchema for Matcher {
    fn schema_name() -> Cow<'static, str> {
        "Matcher".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "JSON of which a part is enough. One-key maps are operators: $type, $regex, $len, $any, \
                            $not, $absent, $gt, $lt, $contains."
        })
    }
}

/// The operator and its argument, if the value is a one-key map with a `$` key.
fn operator(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (key, argument) = object.iter().next()?;
    (key.starts_with('$') && !PLAIN.contains(&key.as_str())).then_some((key, argument))
}

fn validate(value: &Value) -> Result<(), BadMatcher> {
    let wrong = |operator, wanted, given: &Value| Err(BadMatcher::Argument { operator, wanted, given: given.clone() });
    match (operator(value), value) {
        (Some(("$type", name)), _) => match name.as_str() {
            Some(name) if TYPES.contains(&name) => Ok(()),
            _ => Err(BadMatcher::Type(name.clone())),
        },
        (Some(("$regex", pattern)), _) => match pattern.as_str().map(Regex::new) {
            Some(Ok(_)) => Ok(()),
            _ => Err(BadMatcher::Regex(pattern.clone())),
        },
        (Some(("$len", length)), _) => match length {
            Value::Number(number) if number.is_u64() => Ok(()),
            Value::Object(_) => validate(length),
            _ => wrong("$len", "a whole number or an operator", length),
        },
        (Some(("$any", choices)), _) => match choices.as_array() {
            Some(choices) if !choices.is_empty() => choices.iter().try_for_each(validate),
            _ => wrong("$any", "a list that is not empty", choices),
        },
        (Some(("$not" | "$contains", inner)), _) => validate(inner),
        (Some(("$absent", flag)), _) if flag.is_boolean() => Ok(()),
        (Some(("$absent", flag)), _) => wrong("$absent", "true or false", flag),
        (Some(("$gt", bound)), _) if !bound.is_number() => wrong("$gt", "a number", bound),
        (Some(("$lt", bound)), _) if !bound.is_number() => wrong("$lt", "a number", bound),
        (Some(("$gt" | "$lt", _)), _) => Ok(()),
        (Some((unknown, _)), _) => Err(BadMatcher::Operator(unknown.to_owned())),
        (None, Value::Object(members)) => members.values().try_for_each(validate),
        (None, Value::Array(items)) => items.iter().try_for_each(validate),
        (None, _) => Ok(()),
    }
}

fn compare(expected: &Value, actual: Option<&Value>, pointer: &mut String, found: &mut Vec<Mismatch>) {
    if let Some((name, argument)) = operator(expected) {
        if !operate(name, argument, actual) {
            found.push(mismatch(pointer, in_words(name, argument), actual));
        }
        return;
    }
    match (expected, actual) {
        (Value::Object(members), Some(Value::Object(present))) => {
            for (key, member) in members {
                descend(pointer, &key.replace('~', "~0").replace('/', "~1"), |pointer| {
                    compare(member, present.get(key), pointer, found);
                });
            }
        }
        (Value::Array(items), Some(Value::Array(present))) => {
            if items.len() != present.len() {
                found.push(mismatch(pointer, format!("{} items", items.len()), actual));
            }
            for (index, (item, value)) in items.iter().zip(present).enumerate() {
                descend(pointer, &index.to_string(), |pointer| compare(item, Some(value), pointer, found));
            }
        }
        (_, Some(value)) if equal(expected, value) => {}
        _ => found.push(mismatch(pointer, expected.to_string(), actual)),
    }
}

fn descend(pointer: &mut String, token: &str, visit: impl FnOnce(&mut String)) {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(token);
    visit(pointer);
    pointer.truncate(length);
}

fn mismatch(pointer: &str, expected: String, actual: Option<&Value>) -> Mismatch {
    Mismatch { pointer: pointer.to_owned(), expected, actual: actual.cloned() }
}

/// Numbers are equal by value, so that `1` and `1.0` are.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || (number(left).is_some() && number(left) == number(right))
        }
        _ => left == right,
    }
}

/// For comparison of numbers of different kinds; whole numbers of the same kind never come here.
fn number(number: &serde_json::Number) -> Option<f64> {
    number.as_f64().filter(|_| number.is_f64() || number.as_i64().is_some_and(|n| n.unsigned_abs() < 1 << 53))
}

fn fits(expected: &Value, actual: Option<&Value>) -> bool {
    let mut found = Vec::new();
    compare(expected, actual, &mut String::new(), &mut found);
    found.is_empty()
}

fn operate(name: &str, argument: &Value, actual: Option<&Value>) -> bool {
    match (name, actual) {
        ("$absent", actual) => actual.is_none() == argument.as_bool().unwrap_or(true),
        ("$not", actual) => !fits(argument, actual),
        ("$any", actual) => argument.as_array().is_some_and(|choices| choices.iter().any(|c| fits(c, actual))),
        ("$type", Some(value)) => argument.as_str().is_some_and(|name| is_type(name, value)),
        ("$regex", Some(Value::String(text))) => argument.as_str().is_some_and(|pattern| is_match(pattern, text)),
        ("$len", Some(value)) => length(value).is_some_and(|length| fits(argument, Some(&length.into()))),
        ("$gt", Some(value)) => ordered(value, argument).is_some_and(|(value, bound)| value > bound),
        ("$lt", Some(value)) => ordered(value, argument).is_some_and(|(value, bound)| value < bound),
        ("$contains", Some(Value::Array(items))) => items.iter().any(|item| fits(argument, Some(item))),
        ("$contains", Some(Value::String(text))) => argument.as_str().is_some_and(|part| text.contains(part)),
        _ => false,
    }
}

thread_local! {
    /// Patterns that were read by this thread: thousands of cases ask for the same few.
    static PATTERNS: RefCell<HashMap<String, Regex>> = RefCell::default();
}

/// Whether a text has something of this pattern in it.
fn is_match(pattern: &str, text: &str) -> bool {
    PATTERNS.with_borrow_mut(|read| {
        if let Some(regex) = read.get(pattern) {
            return regex.is_match(text);
        }
        let Ok(regex) = Regex::new(pattern) else { return false };
        if read.len() >= MAX_PATTERNS {
            read.clear();
        }
        read.entry(pattern.to_owned()).or_insert(regex).is_match(text)
    })
}

fn ordered(value: &Value, bound: &Value) -> Option<(f64, f64)> {
    Some((value.as_f64()?, bound.as_f64()?))
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(members) => Some(members.len()),
        Value::String(text) => Some(text.chars().count()),
        _ => None,
    }
}

fn is_type(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => name == "number" || (name == "integer" && !number.is_f64()),
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    }
}

fn in_words(name: &str, argument: &Value) -> String {
    let plain = argument.as_str().map_or_else(|| argument.to_string(), str::to_owned);
    match name {
        "$type" => format!("type {plain}"),
        "$regex" => format!("text matching /{plain}/"),
        "$len" => format!("length {}", side(argument)),
        "$any" => {
            let choices = argument.as_array().map_or_else(Vec::new, |items| items.iter().map(side).collect());
            choices.join(" or ")
        }
        "$not" => format!("anything but {}", side(argument)),
        "$absent" if argument == &Value::Bool(false) => "something".to_owned(),
        "$absent" => "nothing".to_owned(),
        "$gt" => format!("more than {plain}"),
        "$lt" => format!("less than {plain}"),
        "$contains" => format!("something that contains {}", side(argument)),
        _ => argument.to_string(),
    }
}

fn side(value: &Value) -> String {
    operator(value).map_or_else(|| value.to_string(), |(name, argument)| in_words(name, argument))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn ok(expected: Value, actual: impl Into<Value>) -> bool {
        Matcher::new(expected).unwrap().matches(&actual.into())
    }

    #[test]
    fn objects_may_have_more_arrays_may_not() {
        assert!(ok(json!({"a": {"b": 1}}), json!({"a": {"b": 1, "c": 2}, "d": 3})));
        assert!(!ok(json!([1]), json!([1, 2])));
        assert!(ok(json!([{"a": 1}]), json!([{"a": 1, "b": 2}])));
        assert!(ok(json!(1), json!(1.0)));
        assert!(!ok(json!(1), json!("1")));
        assert!(!ok(json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64)));
    }

    #[test]
    fn every_operator_says_yes_and_no() {
        let cases = [
            (json!({"$type": "string"}), json!("x"), json!(1)),
            (json!({"$type": "integer"}), json!(1), json!(1.5)),
            (json!({"$type": "number"}), json!(1.5), json!(null)),
            (json!({"$regex": "^a+$"}), json!("aaa"), json!("ab")),
            (json!({"$len": 2}), json!([1, 2]), json!([1])),
            (json!({"$len": {"$gt": 2}}), json!("äöü"), json!("äö")),
            (json!({"$any": [1, {"$type": "null"}]}), json!(null), json!(2)),
            (json!({"$not": {"$type": "null"}}), json!(0), json!(null)),
            (json!({"a": {"$absent": true}}), json!({}), json!({"a": null})),
            (json!({"a": {"$absent": false}}), json!({"a": null}), json!({})),
            (json!({"$gt": 1}), json!(1.5), json!(1)),
            (json!({"$lt": 1}), json!(0), json!("0")),
            (json!({"$contains": {"type": "text"}}), json!([{"type": "text", "text": ""}]), json!([{"type": "x"}])),
            (json!({"$contains": "b"}), json!("abc"), json!("ac")),
            (json!({"$schema": "x"}), json!({"$schema": "x"}), json!({"$schema": "y"})),
        ];
        for (matcher, yes, no) in cases {
            assert!(ok(matcher.clone(), yes.clone()), "{matcher} should match {yes}");
            assert!(!ok(matcher.clone(), no.clone()), "{matcher} should not match {no}");
        }
    }

    #[test]
    fn mismatches_point_at_the_place() {
        let matcher = Matcher::new(json!({"a/b": [{"c": {"$type": "string"}}], "d": true})).unwrap();
        let found = matcher.mismatches(&json!({"a/b": [{"c": 1}]}));
        assert_eq!(
            found,
            [
                Mismatch { pointer: "/a~1b/0/c".into(), expected: "type string".into(), actual: Some(json!(1)) },
                Mismatch { pointer: "/d".into(), expected: "true".into(), actual: None },
            ]
        );
    }

    #[test]
    fn bad_matchers_are_refused() {
        for bad in [
            json!({"$typ": "string"}),
            json!({"$type": "text"}),
            json!({"$regex": "("}),
            json!({"$len": "x"}),
            json!({"$any": []}),
            json!({"a": [{"$absent": 1}]}),
            json!({"$gt": "1"}),
        ] {
            assert!(Matcher::new(bad.clone()).is_err(), "{bad}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9_f64).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map("[a-z~/]{0,4}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_matches_itself(value in any_json()) {
            prop_assert!(Matcher::new(value.clone()).unwrap().matches(&value));
        }

        #[test]
        fn a_part_of_an_object_matches(
            members in proptest::collection::btree_map("[a-z]{1,4}", any_json(), 0..6),
            keep in proptest::collection::vec(any::<bool>(), 6),
        ) {
            let part: serde_json::Map<_, _> =
                members.clone().into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(member, _)| member).collect();
            let whole = Value::Object(members.into_iter().collect());
            prop_assert!(Matcher::new(Value::Object(part)).unwrap().matches(&whole));
        }
    }
}
