//! Network faults as a file writes them: a bare word, a word with its value, or a word with keys and values.
//!
//! Keeps the text also when it is no fault, so that all mistakes of a file can be reported together.

#[cfg(test)]
use std::borrow::Cow;
use std::fmt;

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
#[cfg(test)]
use serde_json::json;

#[cfg(test)]
use crate::model::NETWORK_FAULTS;
use crate::model::{BadNetworkFault, NetworkFault};

/// A network fault, and the text it amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFault {
    read: Result<NetworkFault, BadNetworkFault>,
}

impl WrittenFault {
    /// The fault; `None` where the text is none, which validation refuses.
    pub fn fault(&self) -> Option<&NetworkFault> {
        self.read.as_ref().ok()
    }

    /// Why it is none.
    pub fn mistake(&self) -> Option<&BadNetworkFault> {
        self.read.as_ref().err()
    }

    fn of(text: &str) -> Self {
        Self { read: text.parse() }
    }
}

impl<'de> Deserialize<'de> for WrittenFault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FaultVisitor)
    }
}

struct FaultVisitor;

impl<'de> Visitor<'de> for FaultVisitor {
    type Value = WrittenFault;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a network fault: a word such as `reset`, or a map with one key such as `latency: 200ms`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<WrittenFault, E> {
        Ok(WrittenFault::of(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WrittenFault, A::Error> {
        let Some((name, values)) = map.next_entry::<String, Values>()? else {
            return Err(A::Error::custom("a network fault needs a word, such as `reset` or `latency`"));
        };
        if let Some(second) = map.next_key::<String>()? {
            return Err(A::Error::custom(format!("a network fault has one key; `{second}` needs a `- ` of its own")));
        }
        Ok(WrittenFault::of(&if values.0.is_empty() { name } else { format!("{name}={}", values.0) }))
    }
}

/// What stands behind the name, as one text: a value, or keys with values.
struct Values(String);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValuesVisitor { nested: false })
    }
}

/// A value behind a key; no map again.
struct Single(String);

impl<'de> Deserialize<'de> for Single {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValuesVisitor { nested: true }).map(|values| Self(values.0))
    }
}

struct ValuesVisitor {
    nested: bool,
}

impl<'de> Visitor<'de> for ValuesVisitor {
    type Value = Values;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.nested { "a text or a number" } else { "a value, or a map of keys and values" })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Values, E> {
        Ok(Values(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Values, E> {
        Ok(Values(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Values, E> {
        Ok(Values(number.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Values, E> {
        Ok(Values(String::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
        if self.nested {
            return Err(A::Error::custom("expected a text or a number here"));
        }
        let mut parts = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Single>()? {
            // A comma parts the pairs of the text, so it can be in none of them.
            if value.0.contains(',') || key.contains([',', ':']) {
                return Err(A::Error::custom(format!("`{key}` cannot have a comma in it")));
            }
            parts.push(format!("{key}:{}", value.0));
        }
        Ok(Values(parts.join(",")))
    }
}

/// In the editor schema: a text, or one of the known words with its keys.
#[cfg(test)]
impl JsonSchema for WrittenFault {
    fn schema_name() -> Cow<'static, str> {
        "NetworkFault".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let value = || json!({ "type": ["string", "integer"] });
        let of = |kind: &crate::model::NetworkFaultKind| {
            let keys: serde_json::Map<_, _> = kind.keys().map(|key| (key.to_owned(), value())).collect();
            let keyed = json!({ "type": "object", "additionalProperties": false, "properties": keys });
            let described = json!({ "description": format!("{}: `{}`", kind.summary, kind.example) });
            let mut schema = if kind.has_main_value() { json!({ "anyOf": [value(), keyed] }) } else { keyed };
            if let (Some(schema), Some(more)) = (schema.as_object_mut(), described.as_object()) {
                schema.extend(more.clone());
            }
            (kind.name.to_owned(), schema)
        };
        let words: Vec<&str> =
            NETWORK_FAULTS.iter().filter(|kind| kind.may_stand_alone()).map(|kind| kind.name).collect();
        let names: Vec<&str> = NETWORK_FAULTS.iter().map(|kind| kind.name).collect();
        let properties: serde_json::Map<_, _> = NETWORK_FAULTS.iter().map(of).collect();
        json_schema!({
            "anyOf": [
                { "enum": words },
                { "type": "string", "pattern": format!("^({})(=.+)?$", names.join("|")) },
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": false,
                    "properties": properties
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<WrittenFault> {
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn words_values_and_keys_are_the_same_faults() {
        let read = read(
            "[reset, latency: 200ms, \"cut=after:512b\", cut: { after: 512 }, status: 502, stall: { direction: down }, refuse: ~]",
        );
        let texts: Vec<String> = read.iter().map(|fault| fault.fault().expect("one").to_string()).collect();
        assert_eq!(
            texts,
            [
                "reset",
                "latency=200ms",
                "cut=after:512b",
                "cut=after:512b",
                "status=502",
                "stall=direction:down",
                "refuse"
            ]
        );
    }

    #[test]
    fn what_is_none_is_kept_for_later_or_refused_by_form() {
        let mistake = read("[latency: soon]")[0].mistake().cloned().expect("a mistake");
        assert_eq!(mistake.word, "soon");
        for text in ["[[cut]]", "[{}]", "[{cut: {after: {x: 1}}}]", "[{cut: ~, reset: ~}]", "[{status: {of: \"1,2\"}}]"]
        {
            assert!(serde_saphyr::from_str::<Vec<WrittenFault>>(text).is_err(), "{text}");
        }
    }
}
