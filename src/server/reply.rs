//! JSON-RPC answers as values. It knows the envelope and nothing of methods or HTTP.

use serde_json::{Map, Value, json};

/// The codes the server uses.
pub(crate) mod code {
    pub(crate) const PARSE: i64 = -32700;
    pub(crate) const INVALID_REQUEST: i64 = -32600;
    pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
    pub(crate) const INVALID_PARAMS: i64 = -32602;
    pub(crate) const INTERNAL: i64 = -32603;
    pub(crate) const SESSION_NOT_FOUND: i64 = -32001;
    /// The server's own: the store of the sessions cannot be reached.
    pub(crate) const UNAVAILABLE: i64 = -32010;
    pub(crate) const RESOURCE_NOT_FOUND: i64 = -32002;
    pub(crate) const URL_ELICITATION_REQUIRED: i64 = -32042;
    pub(crate) const HEADER_MISMATCH: i64 = -32020;
    pub(crate) const MISSING_CAPABILITY: i64 = -32021;
    pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;
}

/// An error answer before it has an id.
#[derive(Debug, Clone)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }
}

/// The outcome of a method.
pub(crate) type Outcome = Result<Value, RpcError>;

/// A response with the id of its request.
pub(crate) fn response(id: &Value, outcome: Outcome) -> Value {
    match outcome {
        Ok(result) => message(Some(id), "result", result),
        Err(error) => error_message(Some(id), &error),
    }
}

/// An envelope with these members in their order. The macro would copy what it is given, and results are large.
fn message(id: Option<&Value>, member: &str, content: Value) -> Value {
    let mut members = Map::with_capacity(3);
    members.insert("jsonrpc".to_owned(), Value::from("2.0"));
    members.extend(id.map(|id| ("id".to_owned(), id.clone())));
    members.insert(member.to_owned(), content);
    Value::Object(members)
}

/// An error message; without an id the member is left out.
pub(crate) fn error_message(id: Option<&Value>, error: &RpcError) -> Value {
    let mut body = json!({"code": error.code, "message": error.message});
    if let Some(data) = &error.data {
        body["data"] = data.clone();
    }
    message(id, "error", body)
}
