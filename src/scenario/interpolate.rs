//! `${name}` in JSON values.
//!
//! A string that is just one placeholder becomes the variable with its JSON type; within longer text it becomes text.
//! Must not know where the variables come from.

use std::collections::BTreeMap;
use std::iter;
use std::ops::Range;

use serde_json::Value;

use super::matcher::Matcher;

/// The variables of a scenario.
pub type Vars = BTreeMap<String, Value>;

/// A placeholder names no variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown variable `{0}`")]
pub struct UnknownVariable(pub String);

/// The placeholders of a text: where each stands, and its name.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut from = 0;
    iter::from_fn(move || {
        let (before, rest) = text.get(from..)?.split_once("${")?;
        let (name, _) = rest.split_once('}')?;
        let start = from + before.len();
        from = start + "${}".len() + name.len();
        Some((start..from, name))
    })
}

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
    if let Some((place, name)) = placeholders(text).next()
        && place == (0..text.len())
    {
        return lookup(name, vars).cloned();
    }
    let mut result = String::with_capacity(text.len());
    let mut last = 0;
    for (place, name) in placeholders(text) {
        result.push_str(&text[last..place.start]);
        match lookup(name, vars)? {
            Value::String(text) => result.push_str(text),
            other => result.push_str(&other.to_string()),
        }
        last = place.end;
    }
    result.push_str(&text[last..]);
    Ok(Value::String(result))
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
    fn placeholders_end_at_the_first_brace() {
        let found = |text| placeholders(text).map(|(place, name)| (&text[place], name)).collect::<Vec<_>>();
        assert_eq!(found("${a} ä${b}${}"), [("${a}", "a"), ("${b}", "b"), ("${}", "")]);
        assert_eq!(found("${a${b} ${c"), [("${a${b}", "a${b")]);
        assert_eq!(found("$ {a} }${"), []);
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
