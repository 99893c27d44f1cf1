//! What was declared works, and what was not declared is left alone, on both sides.

use crate::check::wire::{came, fair_calls, received, short, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _};
use crate::transcript::{Conversation, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "lifecycle.capabilities-only-should", judge: capabilities_only },
    Check { id: "lifecycle.capabilities-only-must", judge: capabilities_only },
    Check { id: "lifecycle.undeclared-feature-error", judge: undeclared_feature },
    Check { id: "lifecycle.declared-feature-works", judge: declared_feature },
    Check { id: "lifecycle.list-changed-declared", judge: list_changed_declared },
];

/// The client capability that a request of the server needs.
fn needs(method: &str) -> Option<&'static str> {
    match method {
        "sampling/createMessage" => Some("sampling"),
        "elicitation/create" => Some("elicitation"),
        "roots/list" => Some("roots"),
        method if method.starts_with("tasks/") => Some("tasks"),
        _ => None,
    }
}

/// The server asks the client only for what the client declared.
fn capabilities_only(view: &View<'_>, out: &mut Findings) {
    for (msg, _, revision) in received(view).filter(|(msg, ..)| msg.kind == Kind::Request) {
        let (Some(need), Some(conversation)) = (msg.method().and_then(needs), view.conversation_of(msg)) else {
            continue;
        };
        if !out.covers(revision) {
            continue;
        }
        out.require(conversation.client_capability(&[need]).is_some(), || {
            told(
                format!(
                    "The server sent {} to a client that did not declare {need}.",
                    msg.method().unwrap_or_default()
                ),
                &["no such request", "an error to the call that needs it, saying what is missing"],
                short(&msg.value.to_string()),
                "look at the client's capabilities in initialize before asking it for anything",
                vec![view.exchanges[conversation.opened].seq, msg.seq],
            )
        });
    }
}

/// The server capability that a method belongs to, and the member of its result that shows service.
fn feature(method: &str) -> Option<(&'static str, &'static str)> {
    match method {
        "tools/list" => Some(("tools", "tools")),
        "prompts/list" => Some(("prompts", "prompts")),
        "resources/list" => Some(("resources", "resources")),
        _ => None,
    }
}

fn declares(conversation: &Conversation, name: &str) -> bool {
    conversation.server_capability(&[name]).is_some_and(|value| !value.is_null())
}

/// Whether the server told its capabilities at all; where it did not, that is what is wrong, and nothing else.
fn told_any(conversation: &Conversation) -> bool {
    conversation.result.at("capabilities").is_object()
}

/// A feature that was not declared is not served; an empty list does no harm.
fn undeclared_feature(view: &View<'_>, out: &mut Findings) {
    for (request, exchange, responses) in fair_calls(view) {
        let Some((name, member)) = request.method().and_then(feature) else { continue };
        let without = |known: &&Conversation| told_any(known) && !declares(known, name);
        let Some(conversation) = view.conversation_of(request).filter(without) else { continue };
        let Some(response) = responses.first().filter(|_| out.covers(request.revision)) else { continue };
        let full = response.value.at("result").at(member).as_array().is_some_and(|list| !list.is_empty());
        out.require(!full, || {
            told(
                format!("The server lists {name} but did not declare the capability {name}."),
                &["error -32601", "the capability in the result of initialize"],
                short(&response.value.to_string()),
                "declare every feature that the server has; clients do not ask for what is not declared",
                vec![view.exchanges[conversation.opened].seq, exchange.seq, response.seq],
            )
        });
    }
}

/// A feature that was declared answers its list method.
fn declared_feature(view: &View<'_>, out: &mut Findings) {
    for (request, exchange, responses) in fair_calls(view) {
        let Some((name, member)) = request.method().and_then(feature) else { continue };
        let declared = view.conversation_of(request).is_some_and(|known| declares(known, name));
        let first_page = request.value.at("params").member("cursor").is_none();
        if !declared || !first_page || !out.covers(request.revision) {
            continue;
        }
        let Some(response) = responses.first() else { continue };
        out.require(response.value.at("result").at(member).is_array(), || {
            told(
                format!("The server declares {name} but {} does not work.", request.method().unwrap_or_default()),
                &["a result with the list, which may be empty"],
                came(exchange),
                "implement the list method, or do not declare the capability",
                vec![exchange.seq, response.seq],
            )
        });
    }
}

/// Changes are announced only where that was declared.
fn list_changed_declared(view: &View<'_>, out: &mut Findings) {
    for (msg, _, revision) in received(view) {
        let path: &[&str] = match msg.method() {
            Some("notifications/tools/list_changed") => &["tools", "listChanged"],
            Some("notifications/prompts/list_changed") => &["prompts", "listChanged"],
            Some("notifications/resources/list_changed") => &["resources", "listChanged"],
            Some("notifications/resources/updated") => &["resources", "subscribe"],
            _ => continue,
        };
        let conversation = view.conversation_of(msg).filter(|known| told_any(known) && out.covers(revision));
        let Some(conversation) = conversation else { continue };
        let declared = conversation.server_capability(path).is_some_and(|flag| *flag == true);
        out.require(declared, || {
            told(
                format!(
                    "The server sent {} without having declared {}.",
                    msg.method().unwrap_or_default(),
                    path.join(".")
                ),
                &["no such notification", "the capability in the result of initialize"],
                short(&msg.value.to_string()),
                "declare the capability as true, or stop sending the notification",
                vec![view.exchanges[conversation.opened].seq, msg.seq],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn with(version: &str, client: Value, server: Value) -> Builder {
        Builder::new().initialize_with(version, version, client, server)
    }

    fn pushed(start: Builder, message: &Value) -> Builder {
        start.request("GET", &[], None).stream().sse(None, message).end(End::Complete)
    }

    #[test]
    fn of_the_client() {
        let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"});
        for (id, version) in
            [("lifecycle.capabilities-only-should", "2025-03-26"), ("lifecycle.capabilities-only-must", "2025-11-25")]
        {
            let kept = pushed(with(version, json!({"roots": {}}), json!({})), &ask);
            let bare = with(version, json!({}), json!({}));
            expect_three(id, &kept, &pushed(bare.clone(), &ask), &bare);
        }
    }

    #[test]
    fn of_the_server() {
        let bare = with("2025-06-18", json!({}), json!({}));
        let full = with("2025-06-18", json!({}), json!({"tools": {"listChanged": true}}));
        let list = json!({"tools": [{"name": "x", "inputSchema": {"type": "object"}}]});
        let refused = bare.clone().call_error("tools/list", json!({}), -32601);
        let served = bare.clone().call("tools/list", json!({}), list.clone());
        expect_three("lifecycle.undeclared-feature-error", &refused, &served, &full);
        let kept = full.clone().call("tools/list", json!({}), list);
        let broken = full.clone().call_error("tools/list", json!({}), -32601);
        expect_three("lifecycle.declared-feature-works", &kept, &broken, &bare);
        let note = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        expect_three("lifecycle.list-changed-declared", &pushed(full, &note), &pushed(bare.clone(), &note), &bare);
    }
}
