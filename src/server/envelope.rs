//! Which JSON values are valid messages of a client. It must not know methods or sessions.

use serde_json::Value;

use crate::model::{Kind, Members as _, Message};

/// Ids that only a fault lets pass.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Loose {
    /// A null id in a request.
    pub(crate) null_id: bool,
    /// Any id in a response, because the question had an odd one.
    pub(crate) reply_id: bool,
}

/// What a valid message is, or why it is none.
pub(crate) fn check(value: &Value, loose: Loose) -> Result<Kind, &'static str> {
    let message = Message(value);
    if !value.is_object() {
        return Err("A message has to be an object");
    }
    if value.member("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err("jsonrpc has to be \"2.0\"");
    }
    let kind = message.kind();
    let id_fits = message.id().is_some_and(|id| id.is_string() || id.is_i64() || id.is_u64());
    match kind {
        Kind::Request | Kind::Notification => {
            if message.method().is_none() {
                return Err("method has to be a string");
            }
            if message.params().is_some_and(|params| !params.is_object()) {
                return Err("params has to be an object");
            }
            let tolerated = loose.null_id && message.id().is_some_and(Value::is_null);
            if kind == Kind::Request && !id_fits && !tolerated {
                return Err("id has to be a string or an integer");
            }
        }
        Kind::Response => {
            if message.result().is_some() == message.error().is_some() {
                return Err("A response has either a result or an error");
            }
            if message.result().is_some() && !id_fits && !loose.reply_id {
                return Err("A response has to name its request");
            }
        }
        Kind::Other => return Err("A message needs a method, a result or an error"),
    }
    Ok(kind)
}

/// The id to echo in an error, if the message has one that can be echoed.
pub(crate) fn echo_id(value: &Value) -> Option<&Value> {
    value.member("id").filter(|id| id.is_string() || id.is_i64() || id.is_u64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn null_ids_and_floats_are_no_ids() {
        for id in [json!(null), json!(1.5), json!([]), json!(true)] {
            assert!(check(&json!({"jsonrpc": "2.0", "id": id, "method": "ping"}), Loose::default()).is_err());
        }
        assert_eq!(check(&json!({"jsonrpc": "2.0", "id": "a", "method": "ping"}), Loose::default()), Ok(Kind::Request));
        assert_eq!(
            check(
                &json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
                Loose { null_id: true, ..Loose::default() }
            ),
            Ok(Kind::Request)
        );
    }

    #[test]
    fn shapes_are_checked() {
        assert!(check(&json!({"id": 1, "method": "ping"}), Loose::default()).is_err());
        assert!(check(&json!({"jsonrpc": "2.0", "id": 1, "method": 5}), Loose::default()).is_err());
        assert!(check(&json!({"jsonrpc": "2.0", "id": 1, "method": "x", "params": []}), Loose::default()).is_err());
        assert!(check(&json!({"jsonrpc": "2.0", "id": 1}), Loose::default()).is_err());
        assert!(check(&json!({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}}), Loose::default()).is_err());
        assert_eq!(check(&json!({"jsonrpc": "2.0", "id": 1, "result": {}}), Loose::default()), Ok(Kind::Response));
    }
}
