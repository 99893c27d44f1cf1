//! Which error answers which mistake of the client.

use serde_json::Value;

use crate::check::wire::{
    CLIENT_METHODS, body_error, came, fair_calls, faultless, governing, is_4xx, posts, told, unfinished, unseen,
    valid_id,
};
use crate::check::{Check, Findings};
use crate::model::{Members as _, Message};
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "base.parse-error", judge: parse_error },
    Check { id: "base.invalid-request-error", judge: invalid_request_error },
    Check { id: "base.method-not-found", judge: method_not_found },
    Check { id: "base.invalid-params", judge: invalid_params },
];

/// A body that is no JSON is refused, and where JSON-RPC names the error it is the parse error.
fn parse_error(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, body) in posts(view) {
        // On a channel nothing says which answer belongs to what could not be read; checks of its own judge that.
        if body.is_ok() || exchange.is_message() || !out.covers(governing(view, exchange)) {
            continue;
        }
        if (exchange.status.is_none() && unfinished(exchange)) || unseen(exchange) {
            out.inconclusive();
            continue;
        }
        let code = body_error(exchange);
        // With another fault beside it, such as a missing session, the server may name that one.
        let named = code.is_none() || code == Some(-32700) || !faultless(view, exchange);
        out.require(code == Some(-32700) || (is_4xx(exchange) && named), || {
            told(
                "A body that is no JSON was not answered as such.".to_owned(),
                &["a status from 400 to 499, its body empty or error -32700", "error -32700 under another status"],
                came(exchange),
                "answer status 400 with {\"jsonrpc\": \"2.0\", \"id\": null, \"error\": {\"code\": -32700, \"message\": \"Parse error\"}}",
                exchange.evidence(),
            )
        });
    }
}

/// JSON that is neither request, notification nor response.
fn invalid(body: &Value) -> bool {
    let Some(object) = body.as_object() else { return !body.is_array() };
    let bad_id = object.member("id").is_some_and(|id| !valid_id(id) && !id.is_null() && !id.is_f64());
    let bad_method = object.member("method").is_some_and(|method| !method.is_string());
    let nothing = ["method", "result", "error"].iter().all(|key| !object.contains_key(*key));
    body.at("jsonrpc") != "2.0" || bad_id || bad_method || nothing
}

/// JSON that is no valid message is an invalid request.
fn invalid_request_error(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, body) in posts(view) {
        let Some(body) = body.ok().filter(|body| invalid(body)) else { continue };
        if !out.covers(governing(view, exchange)) {
            continue;
        }
        if (exchange.status.is_none() && unfinished(exchange)) || unseen(exchange) {
            out.inconclusive();
            continue;
        }
        let code = body_error(exchange);
        let dropped = exchange.is_accepted() && body.member("id").is_none();
        let named = code != Some(-32700);
        out.require(code == Some(-32600) || (is_4xx(exchange) && named) || dropped, || {
            told(
                "JSON that is no valid JSON-RPC message was not refused as an invalid request.".to_owned(),
                &["error -32600", "a status from 400 to 499"],
                came(exchange),
                "check jsonrpc, method and id before dispatch, and answer status 400 with error -32600",
                exchange.evidence(),
            )
        });
    }
}

/// A method that the server does not have is answered with method not found.
///
/// A method of some revision may be unsupported or unknown to the server: other checks judge those. A full result for
/// an unknown method shows an extension of the server's own.
fn method_not_found(view: &View<'_>, out: &mut Findings) {
    for (request, exchange, responses) in fair_calls(view) {
        let method = request.method().unwrap_or_default();
        if CLIENT_METHODS.contains(&method) || method.starts_with("notifications/") || !out.covers(request.revision) {
            continue;
        }
        let Some(response) = responses.first() else {
            if exchange.status.is_none() || exchange.is_success() {
                out.inconclusive();
            } else {
                out.breach(method_breach(method, came(exchange), exchange.evidence()));
            }
            continue;
        };
        let own = response.value.at("result").as_object().is_some_and(|result| !result.is_empty());
        if own || unreadable(&response.value) {
            continue;
        }
        out.require(response.message().error_code() == Some(-32601), || {
            method_breach(method, response.value.to_string(), vec![request.seq, response.seq])
        });
    }
}

/// Whether a response is an error whose code is no code: `base.error-code-integer` tells that.
fn unreadable(response: &Value) -> bool {
    response.at("error").is_object() && Message(response).error_code().is_none()
}

fn method_breach(method: &str, actual: String, evidence: Vec<u32>) -> crate::check::Breach {
    told(
        format!("A request for the unknown method {method} was not answered with \"method not found\"."),
        &["a response with error -32601"],
        actual,
        "let the dispatcher answer error -32601 for every method it has no handler for",
        evidence,
    )
}

/// Whether the parameters cannot fit a known method by their type alone.
fn misfit(method: &str, params: Option<&Value>) -> bool {
    let text = |key: &str| !params.is_some_and(|params| params[key].is_string());
    match method {
        "tools/call" => {
            text("name") || params.is_some_and(|p| p.member("arguments").is_some_and(|given| !given.is_object()))
        }
        "prompts/get" => text("name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => text("uri"),
        "logging/setLevel" => text("level"),
        "completion/complete" => !params.is_some_and(|params| params.at("ref").is_object()),
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" => {
            params.is_some_and(|p| p.member("cursor").is_some_and(|cursor| !cursor.is_string() && !cursor.is_null()))
        }
        _ => false,
    }
}

/// Parameters of the wrong type are answered with invalid params.
fn invalid_params(view: &View<'_>, out: &mut Findings) {
    for (request, exchange, responses) in fair_calls(view) {
        let method = request.method().unwrap_or_default();
        if !misfit(method, request.message().params()) || !out.covers(request.revision) {
            continue;
        }
        let code = responses.first().and_then(|response| response.message().error_code());
        if code == Some(-32601) || responses.first().is_some_and(|response| unreadable(&response.value)) {
            continue;
        }
        if responses.is_empty() && (exchange.status.is_none() || exchange.is_success()) {
            out.inconclusive();
            continue;
        }
        out.require(code == Some(-32602), || {
            told(
                format!("Parameters of {method} that do not fit were not answered as such."),
                &["a response with error -32602"],
                responses.first().map_or_else(|| came(exchange), |response| response.value.to_string()),
                "check the parameters against the method's schema first and answer error -32602",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::json;

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn raw(body: &str, status: u16, code: i64) -> Builder {
        let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": "no"}});
        start().request("POST", &[], Some(body)).json(status, &error)
    }

    #[test]
    fn bodies() {
        expect_three("base.parse-error", &raw("{", 400, -32700), &raw("{", 500, -32603), &start());
        for body in ["{}", "3", r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, r#"{"jsonrpc":"2.0","id":1,"method":4}"#]
        {
            let id = "base.invalid-request-error";
            expect_three(id, &raw(body, 400, -32600), &raw(body, 200, -32603), &start());
        }
    }

    #[test]
    fn methods_and_parameters() {
        let kept = start().call_error("no/such", json!({}), -32601);
        let broken = start().call_error("no/such", json!({}), -32603);
        expect_three("base.method-not-found", &kept, &broken, &start());
        let kept = start().call_error("resources/read", json!({"uri": 4}), -32602);
        let broken = start().call_error("resources/read", json!({"uri": 4}), -32603);
        expect_three("base.invalid-params", &kept, &broken, &start());
    }
}
