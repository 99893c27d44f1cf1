//! Transcripts from which the tests of several topics begin: a call that asks back, and a subscription. For tests only.

use serde_json::{Value, json};

use crate::transcript::{Builder, End};

/// A call that asks back, and what a client makes of it.
pub(super) mod rounds {
    use super::{Builder, Value, json};

    /// A question to the user.
    pub(in crate::check::modern) fn question() -> Value {
        json!({"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {
            "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}}})
    }

    /// A call that is answered with that question and a state.
    pub(in crate::check::modern) fn asked(builder: Builder) -> Builder {
        let result =
            json!({"resultType": "input_required", "inputRequests": {"who": question()}, "requestState": "s1"});
        builder.call("tools/call", json!({"name": "x", "arguments": {}}), result)
    }

    /// A server that has asked.
    pub(in crate::check::modern) fn start() -> Builder {
        asked(Builder::new().modern().discover(json!({"tools": {}})))
    }

    /// The same call again, with a state and answers.
    pub(in crate::check::modern) fn back(builder: Builder, name: &str, state: &str, responses: &Value) -> Builder {
        let params = json!({"name": name, "arguments": {}, "requestState": state, "inputResponses": responses});
        builder.probe(&[], "tools/call", params)
    }

    /// What a user says who agrees.
    pub(in crate::check::modern) fn accept() -> Value {
        json!({"who": {"action": "accept", "content": {"name": "Ada"}}})
    }

    /// It is served.
    pub(in crate::check::modern) fn done(builder: Builder) -> Builder {
        builder.serves("tools/call", json!({"content": []}))
    }

    /// It is refused.
    pub(in crate::check::modern) fn refused(builder: Builder) -> Builder {
        builder.refuses(200, -32602, Value::Null)
    }
}

/// A subscription.
pub(super) mod listening {
    use super::{Builder, End, Value, json};

    /// A server that tells of changes.
    pub(in crate::check::modern) fn start() -> Builder {
        Builder::new().modern().discover(json!({"tools": {"listChanged": true}, "resources": {}}))
    }

    /// A filter for changes of tools.
    pub(in crate::check::modern) fn all() -> Value {
        json!({"toolsListChanged": true})
    }

    /// A subscription that is acknowledged.
    pub(in crate::check::modern) fn open() -> Builder {
        start().listen(all(), all())
    }

    /// The client closes the stream.
    pub(in crate::check::modern) fn ended(builder: Builder) -> Builder {
        builder.end(End::ClosedByUs)
    }
}
