//! What the faults of the era without a handshake do to its requests and messages: small functions, each wrong in one way.

use serde_json::{Map, Value, json};

use crate::model::Members as _;
use crate::server::answer::{AskCtx, ReplyHead};
use crate::server::fault::{AskedOf, ModernCtx};
use crate::server::reply::RpcError;
use crate::server::rewrites::{edit_body, restatus, says};

pub(super) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(super) const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
pub(super) const SERVER: &str = "io.modelcontextprotocol/serverInfo";
pub(super) const LEVEL: &str = "io.modelcontextprotocol/logLevel";
pub(super) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
pub(super) const TASKS: &str = "io.modelcontextprotocol/tasks";
pub(super) const NEWEST: &str = "2026-07-28";
pub(super) const LISTEN: &str = "subscriptions/listen";

/// Refuses what a condition holds for.
pub(super) fn refuse_if(condition: bool, status: u16, code: i64) -> Option<(u16, RpcError)> {
    condition.then(|| (status, RpcError::new(code, "Refused")))
}

impl AskedOf<'_> {
    /// A member of `_meta`.
    pub(super) fn meta(&self, key: &str) -> &Value {
        self.value.at("params").at("_meta").at(key)
    }

    pub(super) fn set_meta(&mut self, key: &str, value: Value) {
        if self.value.at("params").is_object() || self.value.member("params").is_none() {
            self.value["params"]["_meta"][key] = value;
        }
    }

    /// A member of the params.
    pub(super) fn param(&self, name: &str) -> &Value {
        self.value.at("params").at(name)
    }

    /// Whether it calls that tool.
    pub(super) fn calls(&self, tool: &str) -> bool {
        self.method() == "tools/call" && self.param("name") == tool
    }

    /// What `Mcp-Name` would have to say.
    pub(super) fn name(&self) -> Option<String> {
        ["name", "uri", "taskId"].iter().find_map(|member| self.param(member).as_str().map(str::to_owned))
    }

    /// Sets `Mcp-Name` to what it would have to say.
    pub(super) fn mirror_name(&mut self) {
        if let Some(name) = self.name() {
            self.set_header("mcp-name", &name);
        }
    }

    /// Takes it for a request of another method.
    pub(super) fn become_method(&mut self, method: &str) {
        self.value["method"] = json!(method);
        self.set_header("mcp-method", method);
    }

    /// Takes the client for one that declares something.
    pub(super) fn declare(&mut self, capability: &str) {
        if !self.meta(CAPABILITIES).is_object() {
            return;
        }
        if capability == TASKS {
            self.value["params"]["_meta"][CAPABILITIES]["extensions"][TASKS] = json!({});
        } else {
            self.value["params"]["_meta"][CAPABILITIES][capability] = json!({});
        }
    }

    /// Whether the client declares tasks.
    pub(super) fn knows_tasks(&self) -> bool {
        self.meta(CAPABILITIES).at("extensions").get(TASKS).is_some()
    }

    /// The subject of a note about this connection.
    pub(super) fn here(&self, what: &str) -> String {
        format!("{what} {}", self.connection)
    }
}

/// Whether a name begins as an encoded one.
pub(super) fn is_marked(name: &str) -> bool {
    name.starts_with("=?base64?")
}

/// Lets `change` have the result of a response to `method`.
pub(super) fn in_result(
    message: &mut Value,
    context: &ModernCtx<'_>,
    method: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) {
    if context.method == Some(method)
        && let Some(result) = message.get_mut("result").and_then(Value::as_object_mut)
    {
        change(result);
    }
}

/// Lets `change` have a result of that type.
pub(super) fn of_type(message: &mut Value, kind: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    if message.at("result").at("resultType") == kind
        && let Some(result) = message.get_mut("result").and_then(Value::as_object_mut)
    {
        change(result);
    }
}

/// Lets `change` have each question of an `input_required` result.
pub(super) fn each_question(message: &mut Value, change: impl Fn(&mut Value)) {
    of_type(message, "input_required", |result| {
        if let Some(asked) = result.get_mut("inputRequests").and_then(Value::as_object_mut) {
            asked.values_mut().for_each(change);
        }
    });
}

/// The tool that the request calls.
pub(super) fn tool<'a>(context: &ModernCtx<'a>) -> Option<&'a str> {
    context.request.at("params").at("name").as_str().filter(|_| context.request.at("method") == "tools/call")
}

/// Puts a message before the response of a tool that speaks on a stream.
pub(super) fn before_response(message: &mut Value, context: &ModernCtx<'_>, name: &str, before: &Value) {
    if tool(context) == Some(name) && message.member("result").is_some() {
        *message = json!([before, message.take()]);
    }
}

/// Puts a message behind the acknowledgment of a subscription.
pub(super) fn after_acknowledgment(message: &mut Value, method: &str, mut params: Value) {
    if message.at("method") == "notifications/subscriptions/acknowledged" {
        params["_meta"] = message.at("params").at("_meta").clone();
        *message = json!([message.take(), {"jsonrpc": "2.0", "method": method, "params": params}]);
    }
}

/// Whether a subscription wants something of that name.
pub(super) fn wants(context: &ModernCtx<'_>, member: &str) -> bool {
    let wanted = context.request.at("params").at("notifications").at(member);
    *wanted == true || wanted.as_array().is_some_and(|names| !names.is_empty())
}

/// Turns an answer into a result.
pub(super) fn answer(message: &mut Value, mut result: Value) {
    result["_meta"] = json!({SERVER: {"name": "mcp-rehearsal-reference", "version": "1"}});
    *message = json!({"jsonrpc": "2.0", "id": message.at("id"), "result": result});
}

/// Turns an answer into an error.
pub(super) fn fail(message: &mut Value, code: i64) {
    *message = json!({"jsonrpc": "2.0", "id": message.at("id"), "error": {"code": code, "message": "Refused"}});
}

/// Gives a refusal another status, where its body says something.
pub(super) fn restatus_of(reply: &mut ReplyHead, ask: &AskCtx, said: &str, (from, to): (u16, u16)) {
    if ask.modern && says(reply, said) {
        restatus(reply, from, to);
    }
}

/// Gives the error of a refusal another code.
pub(super) fn recode_body(reply: &mut ReplyHead, ask: &AskCtx, from: &str, to: &str) {
    if ask.modern {
        edit_body(reply, &format!("\"code\":{from}"), &format!("\"code\":{to}"));
    }
}
