//! Lengths of time as people write them: `200ms`, `5s`, `5m`, `1h`.
//!
//! Keeps the text also when it is no duration, so that all mistakes of a file can be reported together.

#[cfg(test)]
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::model::duration;

/// A length of time and the text it was read from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Delay {
    text: String,
    length: Option<Duration>,
}

impl Delay {
    /// The length; zero where the text is no duration, which validation refuses.
    pub fn length(&self) -> Duration {
        self.length.unwrap_or_default()
    }

    /// A length that no file says.
    pub fn of(length: Duration) -> Self {
        Self { text: format!("{}ms", length.as_millis()), length: Some(length) }
    }

    /// Whether the text is a duration.
    pub fn is_valid(&self) -> bool {
        self.length.is_some()
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl From<String> for Delay {
    fn from(text: String) -> Self {
        let length = duration(&text);
        Self { text, length }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
impl JsonSchema for Delay {
    fn schema_name() -> Cow<'static, str> {
        "Delay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (text, millis) in [("200ms", 200), ("5s", 5_000), ("5m", 300_000), ("1h", 3_600_000), ("2d", 172_800_000)] {
            assert_eq!(Delay::from(text.to_owned()).length(), Duration::from_millis(millis), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5 s", "1.5s", "5x", "99999999999999999999s"] {
            assert!(!Delay::from(text.to_owned()).is_valid(), "{text}");
        }
    }
}
