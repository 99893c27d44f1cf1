//! `${name}` in JSON values.
//!
//! A string that is just one placeholder becomes the variable with its JSON type; within longer text it becomes text.
//! Must not know where the variables come from.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

use super::matcher::Matcher;

/// The variables of a scenario.
pub type Vars = BTreeMap<String, Value>;

/// A placeholder names no variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown variable `{0}`")]
pub struct UnknownVariable(pub String);

#[expect(clippy::expect_used, reason = "a constant pattern, compiled by a test")]
pub(super) static PLACEHOLDER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$\{([^}]*)\}").expect("a constant pattern"));

/// The value with its placeholders replaced, in keys' values at any depth; keys stay as they are.
pub fn interpolate(value: &Value, vars: &Vars) -> Result<Value, UnknownVariable> {
    match value {
        Value::String(text) => string(text, vars),
        Value::Array(items) => items.iter().map(|item| interpolate(item, vars)).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(key, member)| Ok((key.clone(), interpolate(member, vars)?)));
            Ok(Value::Object(members.collect::<Result<_, _>>()?))
        }
        other => Ok(other.clone()),
    }
}

/// The matcher with its placeholders replaced. Operators are not made from variables: their arguments were checked.
pub fn interpolate_matcher(matcher: &Matcher, vars: &Vars) -> Result<Matcher, UnknownVariable> {
    let value = interpolate(matcher.value(), vars)?;
    Ok(Matcher::new(value).unwrap_or_else(|_| matcher.clone()))
}

fn lookup<'a>(name: &str, vars: &'a Vars) -> Result<&'a Value, UnknownVariable> {
    vars.get(name).ok_or_else(|| UnknownVariable(name.to_owned()))
}

fn string(text: &str, vars: &Vars) -> Result<Value, UnknownVariable> {
    let mut whole = PLACEHOLDER.captures(text).filter(|found| found[0].len() == text.len());
    if let Some(found) = whole.take() {
        return lookup(&found[1], vars).cloned();
    }
    let mut result = String::with_capacity(text.len());
    let mut last = 0;
    for found in PLACEHOLDER.captures_iter(text) {
        last = append(&mut result, text, last, &found, vars)?;
    }
    result.push_str(&text[last..]);
    Ok(Value::String(result))
}

fn append(
    result: &mut String,
    text: &str,
    last: usize,
    found: &Captures<'_>,
    vars: &Vars,
) -> Result<usize, UnknownVariable> {
    let Some(place) = found.get(0) else { return Ok(last) };
    result.push_str(&text[last..place.start()]);
    match lookup(&found[1], vars)? {
        Value::String(text) => result.push_str(text),
        other => result.push_str(&other.to_string()),
    }
    Ok(place.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn vars() -> Vars {
        [("n".to_owned(), json!(3)), ("name".to_owned(), json!("Ada")), ("o".to_owned(), json!({"a": [1]}))].into()
    }

    #[test]
    fn one_placeholder_keeps_its_type() {
        let value = json!({"a": "${n}", "b": ["${o}"], "c": "${name} has ${n} of ${o}", "d": "$n {n}"});
        let expected = json!({"a": 3, "b": [{"a": [1]}], "c": "Ada has 3 of {\"a\":[1]}", "d": "$n {n}"});
        assert_eq!(interpolate(&value, &vars()), Ok(expected));
    }

    #[test]
    fn unknown_names_are_errors() {
        assert_eq!(interpolate(&json!(["x ${who}"]), &vars()), Err(UnknownVariable("who".into())));
    }

    #[test]
    fn matchers_too() {
        let matcher = Matcher::new(json!({"text": {"$contains": "${name}"}})).unwrap();
        assert!(interpolate_matcher(&matcher, &vars()).unwrap().matches(&json!({"text": "Hi Ada!"})));
    }
}
