//! The builder in the modern era: requests that carry their own metadata and mirror it in headers.

use serde_json::{Value, json};

use super::era::{META_CAPABILITIES, META_CLIENT, META_SERVER, META_SUBSCRIPTION, META_VERSION};
use super::{Builder, Headers};
use crate::model::Members as _;

/// The revision that the builder speaks in this era.
pub(super) const MODERN: &str = "2026-07-28";

/// What every request says in this era.
#[derive(Debug, Clone)]
pub(super) struct Modern {
    capabilities: Value,
}

/// The member of `params` that is mirrored in `Mcp-Name`.
fn named(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// The headers that mirror a request.
pub(super) fn mirrored(body: &str) -> Headers {
    let message: Value = serde_json::from_str(body).unwrap_or_default();
    let Some(method) = message.at("method").as_str().filter(|_| message.member("id").is_some()) else {
        return Headers::new();
    };
    let mut headers = vec![("mcp-method".into(), method.into())];
    let name = named(method).and_then(|member| message.at("params").at(member).as_str());
    headers.extend(name.map(|name| ("mcp-name".into(), name.into())));
    headers
}

#[expect(clippy::needless_pass_by_value, reason = "call sites read better with json!({}) than with &json!({})")]
impl Builder {
    /// From here on the client speaks the modern era and declares sampling, elicitation and roots.
    #[must_use]
    pub fn modern(self) -> Self {
        self.modern_with(json!({"sampling": {}, "elicitation": {}, "roots": {}}))
    }

    /// The same with these capabilities.
    #[must_use]
    pub fn modern_with(mut self, capabilities: Value) -> Self {
        *self.modern_parts() = Some(Box::new(Modern { capabilities }));
        self
    }

    /// From here on the client speaks the era of the handshake again.
    #[must_use]
    pub fn legacy(mut self) -> Self {
        *self.modern_parts() = None;
        self
    }

    /// A right `server/discover` that tells these capabilities.
    #[must_use]
    pub fn discover(self, capabilities: Value) -> Self {
        self.call("server/discover", Value::Null, json!({"supportedVersions": [MODERN], "capabilities": capabilities}))
    }

    /// A request message as the current era has it; `null` for a member of `_meta` leaves that member out.
    pub fn message(&self, id: &Value, method: &str, params: Value) -> Value {
        let mut request = json!({"jsonrpc": "2.0", "id": id, "method": method});
        let Some(modern) = self.modern_ref() else {
            if !params.is_null() {
                request["params"] = params;
            }
            return request;
        };
        let mut meta = json!({META_VERSION: MODERN, META_CAPABILITIES: modern.capabilities,
            META_CLIENT: {"name": "test", "version": "1"}});
        request["params"] = if params.is_null() { json!({}) } else { params };
        if !request.at("params").is_object()
            || request.at("params").member("_meta").is_some_and(|meta| !meta.is_object())
        {
            return request;
        }
        if let (Some(given), Some(all)) = (request.at("params").at("_meta").as_object(), meta.as_object_mut()) {
            all.extend(given.clone());
            all.retain(|_, value| !value.is_null());
        }
        request["params"]["_meta"] = meta;
        request
    }

    /// What the modern era puts into every result; a member that is there stays as it is.
    pub(super) fn complete(&self, method: &str, answer: &mut Value) {
        if self.modern_ref().is_none() {
            return;
        }
        let Some(result) = answer.get_mut("result").and_then(Value::as_object_mut) else { return };
        let kept = matches!(
            method,
            "server/discover"
                | "tools/list"
                | "prompts/list"
                | "resources/list"
                | "resources/templates/list"
                | "resources/read"
        );
        result.entry("resultType").or_insert(json!("complete"));
        if kept && result.at("resultType") == "complete" {
            result.entry("ttlMs").or_insert(json!(0));
            result.entry("cacheScope").or_insert(json!("private"));
        }
        let meta = result.entry("_meta").or_insert(json!({}));
        if let Some(meta) = meta.as_object_mut() {
            meta.entry(META_SERVER).or_insert(json!({"name": "test", "version": "1"}));
        }
        if let Some(meta) = result.get_mut("_meta").and_then(Value::as_object_mut) {
            meta.retain(|_, member| !member.is_null());
        }
        result.retain(|key, member| {
            let hint = kept && matches!(key.as_str(), "ttlMs" | "cacheScope");
            !member.is_null() || !(hint || matches!(key.as_str(), "resultType" | "_meta"))
        });
    }

    /// A request with other headers than the right ones (see [`Builder::request`]) and any metadata, before its answer.
    #[must_use]
    pub fn probe(mut self, headers: &[(&str, &str)], method: &str, params: Value) -> Self {
        let id = json!(self.take_id());
        let body = self.message(&id, method, params).to_string();
        self.request("POST", headers, Some(&body))
    }

    /// The latest request went over this connection.
    #[must_use]
    pub fn on_connection(mut self, number: u32) -> Self {
        self.move_latest(number);
        self
    }

    /// The answer to the latest request with this error.
    #[must_use]
    pub fn refuses(self, status: u16, code: i64, data: Value) -> Self {
        let id = self.latest_id();
        let mut error = json!({"code": code, "message": "no"});
        if !data.is_null() {
            error["data"] = data;
        }
        self.json(status, &json!({"jsonrpc": "2.0", "id": id, "error": error}))
    }

    /// The answer to the latest request with this result, which the era completes.
    #[must_use]
    pub fn serves(self, method: &str, result: Value) -> Self {
        let mut answer = json!({"jsonrpc": "2.0", "id": self.latest_id(), "result": result});
        self.complete(method, &mut answer);
        self.json(200, &answer)
    }

    /// Opens a subscription with this filter; the acknowledgment comes as told (nothing if null).
    #[must_use]
    pub fn listen(mut self, filter: Value, acknowledged: Value) -> Self {
        let id = json!(self.take_id());
        let body = self.message(&id, "subscriptions/listen", json!({"notifications": filter})).to_string();
        let builder =
            if self.on_channel() { self.says(&body) } else { self.request("POST", &[], Some(&body)).stream() };
        if acknowledged.is_null() {
            return builder;
        }
        builder.tells("notifications/subscriptions/acknowledged", json!({"notifications": acknowledged}))
    }

    /// A notification on the latest stream, tagged with the subscription that the latest request opened.
    #[must_use]
    pub fn tells(self, method: &str, params: Value) -> Self {
        let mut params = params;
        if params.at("_meta").get(META_SUBSCRIPTION).is_none() {
            params["_meta"][META_SUBSCRIPTION] = self.latest_id();
        }
        self.says_back(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
    }

    /// A message of the server on the latest stream, or on the channel.
    #[must_use]
    pub fn says_back(self, message: &Value) -> Self {
        if self.on_channel() { self.comes(&message.to_string()) } else { self.sse(None, message) }
    }
}
