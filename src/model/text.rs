//! A text of the wire that may be JSON: it is read once, by the first who asks, and shared by whoever holds it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::reading::{LONGEST, read_json};

/// A text that is shared, with what it says as JSON.
#[derive(Clone)]
pub struct Text(Arc<Held>);

struct Held {
    text: Box<str>,
    value: OnceLock<Option<Arc<Value>>>,
}

impl Text {
    /// What it says as JSON; `None` where it is none. That of a very long text is not kept, for the room that it takes.
    pub fn json(&self) -> Option<Arc<Value>> {
        if self.len() > LONGEST {
            return read_json(self);
        }
        self.0.value.get_or_init(|| read_json(self)).clone()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0.text
    }
}

impl<T: Into<Box<str>>> From<T> for Text {
    fn from(text: T) -> Self {
        Self(Arc::new(Held { text: text.into(), value: OnceLock::new() }))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_is_read_once_for_all_who_hold_it() {
        let text = Text::from("{\"a\": 1}");
        let (one, other) = (text.json().expect("JSON"), text.clone().json().expect("JSON"));
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(*one, json!({"a": 1}));
        assert_eq!(Text::from("no JSON").json(), None);
    }

    #[test]
    fn the_value_of_a_long_text_is_not_kept() {
        let text = Text::from(json!("x".repeat(LONGEST)).to_string());
        let value = text.json().expect("JSON");
        assert_eq!(Arc::strong_count(&value), 1);
        assert_eq!(value.as_str().map(str::len), Some(LONGEST));
    }

    #[test]
    fn it_is_written_and_read_as_a_string() {
        let text = Text::from("a \"b\"");
        let written = serde_json::to_string(&text).expect("written");
        assert_eq!(written, "\"a \\\"b\\\"\"");
        assert_eq!(serde_json::from_str::<Text>(&written).expect("read"), text);
        assert_eq!(format!("{text} {text:?}"), "a \"b\" \"a \\\"b\\\"\"");
    }
}
