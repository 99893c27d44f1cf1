//! How the client opens a conversation, and whether it keeps to what was agreed.

use super::common::{is_probe, not_taken, sent, told};
use crate::check::support::{quote, server_declared};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Revision};
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub(super) const CHECKS: &[Check] = &[
    Check { id: "lifecycle.client-initialize-first", judge: initialize_first },
    Check { id: "lifecycle.client-initialized", judge: initialized },
    Check { id: "lifecycle.client-early-requests", judge: early_requests },
    Check { id: "lifecycle.client-version-supported", judge: version_supported },
    Check { id: "lifecycle.client-respect-version", judge: only_what_was_agreed },
    Check { id: "lifecycle.client-no-fallback-on-modern-error", judge: no_fallback },
];

/// The first message is `initialize` with version, capabilities and name; what tries the newer era first is none of it.
fn initialize_first(view: &View<'_>, out: &mut Findings) {
    let legacy =
        |msg: &Msg| view.conversation_of(msg).is_none_or(|known| known.revision != Some(Revision::V2026_07_28));
    let first = sent(view).find(|(msg, exchange, _)| !exchange.modern && !is_probe(msg, exchange) && legacy(msg));
    let Some((msg, exchange, revision)) = first else { return };
    if !out.covers(revision) {
        return;
    }
    let params = msg.value.at("params");
    let whole = params.at("protocolVersion").is_string()
        && params.at("capabilities").is_object()
        && params.at("clientInfo").is_object();
    out.require(msg.method() == Some("initialize") && whole, || {
        told(
            "The client did not begin with a whole initialize.",
            &["initialize with protocolVersion, capabilities and clientInfo as the first message"],
            quote(&msg.value),
            "send initialize first, with all three members",
            exchange.evidence(),
        )
    });
}

/// After the result of `initialize` comes `notifications/initialized`, before anything else but pings.
fn initialized(view: &View<'_>, out: &mut Findings) {
    for (index, conversation) in view.conversations.iter().enumerate() {
        let opened = &view.exchanges[conversation.opened];
        if opened.modern || !out.covers(conversation.revision) {
            continue;
        }
        // What was tried on the same channel before the handshake is none of it.
        let after = |msg: &&Msg| msg.conversation == Some(index) && !msg.received() && msg.seq > opened.seq;
        let asks = |msg: &&Msg| msg.kind == Kind::Request && msg.method() != Some("ping");
        let early = view.messages.iter().filter(after).find(asks);
        let told_at = conversation.initialized.map(|at| view.exchanges[at].seq);
        let Some(seq) = early.map(|msg| msg.seq).or(told_at) else { continue };
        out.require(told_at.is_some_and(|at| at <= seq), || {
            let asked = early.map(|msg| quote(&msg.value)).unwrap_or_default();
            told(
                "The client went on without notifications/initialized.",
                &["notifications/initialized right after the result of initialize"],
                asked,
                "send notifications/initialized as soon as initialize is answered, before any request",
                opened.evidence().into_iter().chain([seq]).collect(),
            )
        });
    }
}

/// Nothing but pings is sent before `initialize` is answered.
fn early_requests(view: &View<'_>, out: &mut Findings) {
    for conversation in &view.conversations {
        let opened = &view.exchanges[conversation.opened];
        if opened.modern || !out.covers(conversation.revision) {
            continue;
        }
        let answered = view
            .messages_in(conversation.opened)
            .find(|msg| msg.received() && msg.value.member("result").is_some())
            .map_or(opened.seq, |msg| msg.seq);
        let early = sent(view).find(|(msg, exchange, _)| {
            msg.seq > opened.seq
                && msg.seq < answered
                && msg.kind != Kind::Response
                && msg.method() != Some("ping")
                && exchange.client == opened.client
                && exchange.session().is_none()
        });
        out.require(early.is_none(), || {
            let (actual, seq) = early.map(|(msg, _, _)| (quote(&msg.value), msg.seq)).unwrap_or_default();
            told(
                "The client sent a message before its initialize was answered.",
                &["only ping before the result of initialize"],
                actual,
                "wait for the result of initialize",
                vec![opened.seq, seq],
            )
        });
    }
}

/// The version asked for is one that there is.
fn version_supported(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange, _) in sent(view).filter(|(msg, _, _)| msg.method() == Some("initialize")) {
        let Some(asked) = msg.value.at("params").at("protocolVersion").as_str() else { continue };
        let known = asked.parse::<Revision>();
        // Where the version is unknown, the one that was agreed on tells which rules hold.
        if !out.covers(known.as_ref().ok().copied().or(msg.revision)) {
            continue;
        }
        out.require(known.is_ok(), || {
            told(
                format!("The client asks for {asked}, which is no version of the protocol."),
                &["a published version that the client supports"],
                quote(&msg.value),
                "ask for the newest version that the client implements",
                exchange.evidence(),
            )
        });
    }
}

/// The server capability without which a method is not agreed on.
fn needed(method: &str, revision: Revision) -> Option<&'static [&'static str]> {
    Some(match method {
        "resources/subscribe" | "resources/unsubscribe" => &["resources", "subscribe"],
        _ if method.starts_with("tools/") => &["tools"],
        _ if method.starts_with("resources/") => &["resources"],
        _ if method.starts_with("prompts/") => &["prompts"],
        "logging/setLevel" => &["logging"],
        "completion/complete" if revision.facts().completions_capability => &["completions"],
        _ => return None,
    })
}

/// Only what the server declared is used, under the version that was agreed on.
fn only_what_was_agreed(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange, revision) in sent(view).filter(|(msg, _, _)| msg.kind == Kind::Request) {
        let Some(revision) = revision.filter(|revision| out.covers(Some(*revision))) else { continue };
        let Some(path) = msg.method().and_then(|method| needed(method, revision)) else { continue };
        let Some(declared) = server_declared(view, msg, path).filter(|_| !not_taken(exchange)) else { continue };
        out.require(declared, || {
            let opened = msg.conversation.map(|index| view.exchanges[view.conversations[index].opened].evidence());
            told(
                format!(
                    "The client sent {} although the server declared no {} capability.",
                    msg.method().unwrap_or_default(),
                    path.join(".")
                ),
                &["only methods whose capability the server declared"],
                quote(&msg.value),
                "look at the capabilities in the result of initialize before calling",
                opened.into_iter().flatten().chain(exchange.evidence()).collect(),
            )
        });
    }
}

/// An error that only a modern server gives is no reason to fall back to `initialize`.
fn no_fallback(view: &View<'_>, out: &mut Findings) {
    for (msg, exchange, _) in sent(view) {
        let code =
            view.messages_in(msg.exchange).filter(|got| got.received()).find_map(|got| got.message().error_code());
        if !exchange.modern || !matches!(code, Some(-32022..=-32020)) || !out.covers(Some(Revision::V2026_07_28)) {
            continue;
        }
        let next = sent(view).find(|(other, _, _)| other.seq > msg.seq && other.kind == Kind::Request);
        let Some((next, fell, _)) = next else { continue };
        // A server that names older versions only can be spoken with in no other way.
        let older = view.messages_in(msg.exchange).any(|got| {
            let list = got.value.at("error").at("data").at("supported").as_array();
            list.is_some_and(|list| !list.iter().any(|version| version == "2026-07-28"))
        });
        out.require(next.method() != Some("initialize") || older, || {
            told(
                "After an error that says that the server speaks the newer era, the client fell back to initialize.",
                &["the request once more with what the error asks for"],
                quote(&next.value),
                "mend the request that was refused; fall back only where the answer is none of the newer era",
                exchange.evidence().into_iter().chain(fell.evidence()).collect(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn hello(version: &str) -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}})
    }

    fn served() -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "s", "version": "1"}}})
    }

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    #[test]
    fn the_first_message() {
        let ping = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/list"});
        let broken =
            Builder::new().post(&ping).json(400, &json!({"id": 5, "error": {"code": -1}})).initialize("2025-06-18");
        three("lifecycle.client-initialize-first", &start(), &broken, &Builder::new());
        let id = "lifecycle.client-version-supported";
        let unknown = Builder::new().post(&hello("1.0")).json(200, &served());
        three(id, &start(), &unknown, &Builder::new());
    }

    #[test]
    fn the_notification_after_it() {
        let bare = Builder::new().post(&hello("2025-06-18")).json(200, &served());
        let broken = bare.clone().call("tools/list", json!({}), json!({"tools": []}));
        three("lifecycle.client-initialized", &start(), &broken, &bare);
        let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
        let early = Builder::new().post(&hello("2025-06-18")).event(crate::transcript::EventKind::Request {
            exchange: 9,
            connection: 2,
            method: "POST".to_owned(),
            target: "/mcp".to_owned(),
            headers: Vec::new(),
            body: Some(list.to_string().into()),
            via: crate::model::Via::StreamableHttp,
            channel: None,
            tls: false,
        });
        three("lifecycle.client-early-requests", &start(), &early.json(200, &served()), &Builder::new());
    }

    #[test]
    fn what_was_agreed() {
        let open = Builder::new().initialize_with("2025-06-18", "2025-06-18", json!({}), json!({"tools": {}}));
        let kept = open.clone().call("tools/list", json!({}), json!({"tools": []}));
        let broken = open.clone().call_error("resources/list", json!({}), -32601);
        three("lifecycle.client-respect-version", &kept, &broken, &open);
    }

    #[test]
    fn falling_back() {
        let probe = Builder::new().modern().discover(json!({"tools": {}})).probe(&[], "tools/list", Value::Null);
        let refused = probe.refuses(400, -32020, Value::Null);
        let kept = refused.clone().probe(&[], "tools/list", Value::Null).serves("tools/list", json!({"tools": []}));
        let broken = refused.clone().legacy().initialize("2025-11-25");
        three("lifecycle.client-no-fallback-on-modern-error", &kept, &broken, &refused);
    }
}
