//! Members of JSON objects by name, and values as text.
//!
//! `serde_json` keeps the order of members here, and so finds one by hashing its name. Objects of the wire have a handful of
//! members, for which looking at each is several times quicker, and nothing is asked more often.

use serde_json::{Map, Value};

/// Objects with more members than this are asked for the hash.
const FEW: usize = 12;

/// What has no such member.
static NOTHING: Value = Value::Null;

/// Reading members of what may be an object.
pub trait Members {
    /// The member of this name; none where there is none, or no object.
    fn member(&self, name: &str) -> Option<&Value>;

    /// The same, and null where there is none.
    fn at(&self, name: &str) -> &Value {
        self.member(name).unwrap_or(&NOTHING)
    }

    /// Whether there is a member of this name.
    fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }
}

/// A value as it goes out: what `to_string` gives, without its detour.
pub fn written(value: &Value) -> Vec<u8> {
    // Into memory, where nothing fails.
    serde_json::to_vec(value).unwrap_or_default()
}

/// Whether two names are one. Most that are as long (`method`, `params`, `result`) differ at once, for which no call is made.
fn is_same(own: &str, name: &str) -> bool {
    own.len() == name.len() && own.as_bytes().first() == name.as_bytes().first() && own == name
}

impl Members for Map<String, Value> {
    fn member(&self, name: &str) -> Option<&Value> {
        if self.len() > FEW {
            return self.get(name);
        }
        self.iter().find(|(own, _)| is_same(own, name)).map(|(_, value)| value)
    }
}

impl Members for Value {
    fn member(&self, name: &str) -> Option<&Value> {
        self.as_object()?.member(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_its_text() {
        let value = json!({"a": [1, -2.5, "ä\"\n", null], "b": {}});
        assert_eq!(written(&value), value.to_string().into_bytes());
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for value in [json!(null), json!("method"), json!(["method"]), json!(1)] {
            assert_eq!(value.member("method"), None);
            assert_eq!(*value.at("method").at("name"), Value::Null);
        }
        let null = json!({"id": null});
        assert!(null.has("id") && null.member("id") == Some(&Value::Null));
    }

    proptest! {
        #[test]
        fn a_member_is_what_the_map_says(names in proptest::collection::vec("[a-d]{0,2}", 0..20), asked in "[a-d]{0,2}") {
            let map: Map<String, Value> = names.into_iter().enumerate().map(|(at, name)| (name, json!(at))).collect();
            prop_assert_eq!(map.member(&asked), map.get(&asked));
            prop_assert_eq!(map.has(&asked), map.contains_key(&asked));
            let value = Value::Object(map.clone());
            prop_assert_eq!(value.at(&asked), map.get(&asked).unwrap_or(&Value::Null));
        }
    }
}
