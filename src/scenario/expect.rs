//! What a step has to see: the words under `expect`.
//!
//! Owns the shape of an expectation and the comparison of single values. Must not know where the observed values come
//! from, nor what a divergence means.

#[cfg(test)]
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use super::matcher::{BadMatcher, Matcher};
use super::words::{Outcome, SessionChange};

/// Everything a step has to see; what is not said, is not looked at.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// HTTP status: a number, a class such as `4xx`, or a list of these.
    #[serde(default)]
    pub status: Option<StatusMatch>,
    /// The JSON-RPC result: `ok`, `tool-error`, or a part of it.
    #[serde(default)]
    pub result: Option<ResultMatch>,
    /// The JSON-RPC error.
    #[serde(default)]
    pub error: Option<ErrorMatch>,
    /// How the step ends, in one word.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Response headers; `null` means the header has to be absent.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<Matcher>>,
    /// Parameters of the `Bearer` challenge in `WWW-Authenticate`; `{}` means any challenge.
    #[serde(default)]
    pub challenge: Option<Matcher>,
    /// What becomes of the session id.
    #[serde(default)]
    pub session: Option<SessionChange>,
    /// Whether the client has a person log in on the way; `false` where it has to go on by itself.
    #[serde(default)]
    pub login: Option<bool>,
    /// Media type of the response, without parameters.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Body of the response: `empty`, or a matcher for its text.
    #[serde(default)]
    pub body: Option<BodyMatch>,
    /// Notifications that have to arrive, or not.
    #[serde(default)]
    pub notifications: Vec<NotificationMatch>,
    /// Requests the server has to make of the client.
    #[serde(default)]
    pub requests: Vec<RequestMatch>,
    /// The requirement this expectation stands for.
    #[serde(default)]
    pub clause: Option<String>,
    /// Whether the case fails where this is not seen, however strong the clause, and whatever else tells why.
    #[serde(default)]
    pub firm: bool,
    /// Alternatives, one of which has to hold as well.
    #[serde(default)]
    pub one_of: Vec<Expect>,
}

/// The JSON-RPC error that has to come; `{}` means any.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ErrorMatch {
    /// Its code, or a list of codes.
    #[serde(default)]
    pub code: Option<CodeMatch>,
    /// Its message.
    #[serde(default)]
    pub message: Option<Matcher>,
    /// Its data.
    #[serde(default)]
    pub data: Option<Matcher>,
}

/// A notification that has to arrive.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NotificationMatch {
    /// Its method.
    pub method: String,
    /// Part of its params.
    #[serde(default)]
    pub params: Option<Matcher>,
    /// How often at least; once where nothing is said.
    #[serde(default)]
    pub at_least: Option<u32>,
    /// How often at most.
    #[serde(default)]
    pub at_most: Option<u32>,
}

impl NotificationMatch {
    /// How often it has to arrive at least: what the file says, else once, unless `at-most` is 0.
    pub fn at_least(&self) -> u32 {
        self.at_least.unwrap_or(u32::from(self.at_most != Some(0)))
    }
}

/// A request the server has to make of the client.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestMatch {
    /// Its method.
    pub method: String,
    /// Part of its params.
    #[serde(default)]
    pub params: Option<Matcher>,
}

/// One status or a class of a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusPattern {
    /// Exactly this one.
    Code(u16),
    /// All that begin with this digit.
    Class(u16),
}

/// Statuses that are all right.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct StatusMatch(pub Vec<StatusPattern>);

/// JSON-RPC error codes that are all right.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct CodeMatch(pub Vec<i64>);

/// What the JSON-RPC result has to be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub enum ResultMatch {
    /// A result that is no tool error.
    Ok,
    /// A result with `isError: true`.
    ToolError,
    /// A result that matches.
    Subset(Matcher),
}

/// What the body of a response has to be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub enum BodyMatch {
    /// No bytes.
    Empty,
    /// JSON (or else the text) that matches.
    Matches(Matcher),
}

/// Why a value is no expectation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadExpect {
    /// No status.
    #[error("`{0}` is no status; expected a number from 100 to 599, a class such as `4xx`, or a list of these")]
    Status(Value),
    /// No error code.
    #[error("`{0}` is no error code; expected a whole number such as -32601, or a list of these")]
    Code(Value),
    /// No result.
    #[error("`{0}` says nothing about a result; expected `ok`, `tool-error`, or a map with a part of the result")]
    Result(Value),
    /// No matcher.
    #[error(transparent)]
    Matcher(#[from] BadMatcher),
}

impl StatusMatch {
    /// Whether this status is all right.
    pub fn matches(&self, status: u16) -> bool {
        self.0.iter().any(|pattern| match *pattern {
            StatusPattern::Code(code) => status == code,
            StatusPattern::Class(class) => status / 100 == class,
        })
    }
}

impl CodeMatch {
    /// Whether this code is all right.
    pub fn matches(&self, code: i64) -> bool {
        self.0.contains(&code)
    }
}

fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        one => vec![one],
    }
}

fn status_pattern(value: &Value) -> Option<StatusPattern> {
    if let Some(text) = value.as_str() {
        let class = text.strip_suffix("xx")?.parse().ok()?;
        return (1..=5).contains(&class).then_some(StatusPattern::Class(class));
    }
    let code = u16::try_from(value.as_u64()?).ok()?;
    (100..=599).contains(&code).then_some(StatusPattern::Code(code))
}

impl TryFrom<Value> for StatusMatch {
    type Error = BadExpect;

    fn try_from(value: Value) -> Result<Self, BadExpect> {
        if value.as_array().is_some_and(Vec::is_empty) {
            return Err(BadExpect::Status(value));
        }
        let patterns = listed(value).into_iter().map(|item| status_pattern(&item).ok_or(BadExpect::Status(item)));
        patterns.collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<Value> for CodeMatch {
    type Error = BadExpect;

    fn try_from(value: Value) -> Result<Self, BadExpect> {
        if value.as_array().is_some_and(Vec::is_empty) {
            return Err(BadExpect::Code(value));
        }
        let codes = listed(value).into_iter().map(|item| item.as_i64().ok_or(BadExpect::Code(item)));
        codes.collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<Value> for ResultMatch {
    type Error = BadExpect;

    fn try_from(value: Value) -> Result<Self, BadExpect> {
        match value.as_str() {
            Some("ok") => Ok(Self::Ok),
            Some("tool-error") => Ok(Self::ToolError),
            _ if value.is_object() => Ok(Self::Subset(Matcher::new(value)?)),
            _ => Err(BadExpect::Result(value)),
        }
    }
}

impl TryFrom<Value> for BodyMatch {
    type Error = BadExpect;

    fn try_from(value: Value) -> Result<Self, BadExpect> {
        if value == "empty" { Ok(Self::Empty) } else { Ok(Self::Matches(Matcher::new(value)?)) }
    }
}

impl fmt::Display for StatusPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

impl fmt::Display for StatusMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        alternatives(f, &self.0)
    }
}

impl fmt::Display for CodeMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        alternatives(f, &self.0)
    }
}

impl fmt::Display for ResultMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("a result"),
            Self::ToolError => f.write_str("a result with isError true"),
            Self::Subset(matcher) => write!(f, "a result with {}", matcher.value()),
        }
    }
}

fn alternatives<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(" or ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

macro_rules! schema {
    ($($name:ident: $json:tt)*) => {$(
        #[cfg(test)]
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($json)
            }
        }
    )*};
}

schema! {
    StatusMatch: {
        "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^[1-5]xx$" },
            { "type": "array", "minItems": 1, "items": { "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                { "type": "string", "pattern": "^[1-5]xx$" }
            ] } }
        ]
    }
    CodeMatch: {
        "anyOf": [{ "type": "integer" }, { "type": "array", "minItems": 1, "items": { "type": "integer" } }]
    }
    ResultMatch: { "anyOf": [{ "enum": ["ok", "tool-error"] }, { "type": "object" }] }
    BodyMatch: { "description": "`empty`, or a matcher for the body" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(value: Value) -> Result<StatusMatch, BadExpect> {
        value.try_into()
    }

    #[test]
    fn statuses() {
        assert!(status(json!(404)).unwrap().matches(404));
        let several = status(json!([400, "5xx"])).unwrap();
        assert_eq!((several.matches(400), several.matches(401), several.matches(503)), (true, false, true));
        assert_eq!(several.to_string(), "400 or 5xx");
        for bad in [json!("9xx"), json!("4x"), json!(42), json!([]), json!([true]), json!(null)] {
            assert!(status(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn codes_and_results() {
        assert!(CodeMatch::try_from(json!([-32601, -32602])).unwrap().matches(-32602));
        assert!(CodeMatch::try_from(json!("x")).is_err());
        assert_eq!(ResultMatch::try_from(json!("ok")), Ok(ResultMatch::Ok));
        assert_eq!(ResultMatch::try_from(json!("tool-error")), Ok(ResultMatch::ToolError));
        assert!(ResultMatch::try_from(json!("fine")).unwrap_err().to_string().contains("tool-error"));
        assert_eq!(BodyMatch::try_from(json!("empty")), Ok(BodyMatch::Empty));
    }

    #[test]
    fn a_notification_is_wanted_once_unless_it_is_forbidden() {
        let read = |json| serde_json::from_value::<NotificationMatch>(json).unwrap().at_least();
        assert_eq!(read(json!({"method": "m"})), 1);
        assert_eq!(read(json!({"method": "m", "at-most": 0})), 0);
        assert_eq!(read(json!({"method": "m", "at-least": 3, "at-most": 4})), 3);
    }
}
