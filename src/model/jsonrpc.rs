//! A lenient view of a JSON-RPC message: it holds what is invalid as well as what is valid.
//!
//! Owns classification only. Whether a message is *allowed* is for the checks to say.

use super::Members as _;
use serde_json::Value;

/// What a JSON value looks like as a JSON-RPC message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Has a `method` and an `id` member (also a null one).
    Request,
    /// Has a `method` and no `id`.
    Notification,
    /// Has no `method`, and a `result` or an `error`.
    Response,
    /// None of the above.
    Other,
}

/// A JSON value seen as one JSON-RPC message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a>(pub &'a Value);

impl<'a> Message<'a> {
    /// Classifies by the members present, not by their types.
    pub fn kind(self) -> Kind {
        let Some(object) = self.0.as_object() else { return Kind::Other };
        match (object.has("method"), object.has("id")) {
            (true, true) => Kind::Request,
            (true, false) => Kind::Notification,
            (false, _) if object.has("result") || object.has("error") => Kind::Response,
            (false, _) => Kind::Other,
        }
    }

    /// The `method`, if it is a string.
    pub fn method(self) -> Option<&'a str> {
        self.0.member("method")?.as_str()
    }

    /// The `id` member as it is.
    pub fn id(self) -> Option<&'a Value> {
        self.0.member("id")
    }

    /// The `params` member as it is.
    pub fn params(self) -> Option<&'a Value> {
        self.0.member("params")
    }

    /// The `result` member as it is.
    pub fn result(self) -> Option<&'a Value> {
        self.0.member("result")
    }

    /// The `error` member as it is.
    pub fn error(self) -> Option<&'a Value> {
        self.0.member("error")
    }

    /// The integer `error.code`.
    pub fn error_code(self) -> Option<i64> {
        self.error()?.member("code")?.as_i64()
    }
}

/// The id as JSON text, so that `1` and `"1"` stay apart.
pub fn id_text(id: &Value) -> String {
    match id.as_u64() {
        // By far the most.
        Some(number) => number.to_string(),
        None => id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn classification_goes_by_members() {
        let kinds = [
            (json!({"id": 1, "method": "ping"}), Kind::Request),
            (json!({"id": null, "method": "ping"}), Kind::Request),
            (json!({"method": "notifications/initialized"}), Kind::Notification),
            (json!({"id": 1, "result": {}}), Kind::Response),
            (json!({"error": {"code": -32700}}), Kind::Response),
            (json!({"id": 1}), Kind::Other),
            (json!([]), Kind::Other),
        ];
        for (value, kind) in kinds {
            assert_eq!(Message(&value).kind(), kind, "{value}");
        }
    }

    #[test]
    fn ids_of_different_type_differ() {
        assert_ne!(id_text(&json!(1)), id_text(&json!("1")));
    }
}
