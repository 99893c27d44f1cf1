//! Clients that never send back the session id that they were given.

use crate::check::wire::{came, to_endpoint, told};
use crate::check::{Check, Findings};
use crate::model::{Members as _, Via};
use crate::transcript::{Conversation, Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[Check { id: "transport.http.session-uncarried-served", judge: uncarried_served }];

/// Messages of the client after it was let in, up to its next handshake, which carries no id yet.
fn later<'v>(view: &'v View<'_>, conversation: &Conversation) -> Vec<&'v Exchange> {
    let opened = &view.exchanges[conversation.opened];
    let handshakes = view.calls_to("initialize").map(|(request, _)| view.exchange_of(request));
    let next =
        handshakes.filter(|other| other.client == opened.client && other.seq > opened.seq).map(|other| other.seq).min();
    view.exchanges
        .iter()
        .filter(|exchange| exchange.seq > opened.seq && next.is_none_or(|next| exchange.seq < next))
        .filter(|exchange| exchange.client == opened.client && exchange.via == Via::StreamableHttp)
        .filter(|exchange| exchange.carries_message() && to_endpoint(view, exchange))
        .collect()
}

/// A server that gives session ids refuses whoever leaves them out, as it has to, and so locks out clients that never send
/// one. That is said where a client really is such a one: nothing of what it says carries the id, its first word included.
fn uncarried_served(view: &View<'_>, out: &mut Findings) {
    for conversation in &view.conversations {
        let later = later(view, conversation);
        if conversation.session.is_none() || later.is_empty() || !out.covers(conversation.revision) {
            continue;
        }
        // One that was not let in, or that cannot see that it was, has no id to carry.
        let opening = view.calls_to("initialize").find(|(request, _)| request.exchange == conversation.opened);
        if opening.and_then(|(_, response)| response).is_none_or(|msg| msg.value.member("result").is_none()) {
            continue;
        }
        if later.iter().any(|exchange| exchange.session().is_some()) {
            continue;
        }
        if later.iter().any(|exchange| exchange.is_success()) {
            out.pass();
            continue;
        }
        let refused: Vec<&&Exchange> =
            later.iter().filter(|exchange| matches!(exchange.status, Some(400 | 404))).collect();
        let Some(first) = refused.first() else { continue };
        out.breach(told(
            "The server gave a session id, the client sent it back with nothing, and was refused from then on.".to_owned(),
            &["no session id, where the server can do without sessions"],
            came(first),
            "give no Mcp-Session-Id unless something has to be remembered between requests: some hosted clients never send \
             it back",
            // Each of them, so that the steps that stumble over one are explained by this.
            std::iter::once(&&view.exchanges[conversation.opened])
                .chain(refused)
                .flat_map(|exchange| exchange.evidence())
                .collect(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    const ID: &str = "transport.http.session-uncarried-served";
    const PLAIN: [(&str, &str); 2] =
        [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];

    /// A client that leaves the session id out of all that it says, and how that is answered.
    fn forgetful(answer: impl Fn(Builder, &str) -> Builder) -> Builder {
        welcomed(&json!(1), answer)
    }

    /// The same, with its handshake answered under this id.
    fn welcomed(id: &Value, answer: impl Fn(Builder, &str) -> Builder) -> Builder {
        let asked = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
        let welcome = json!({"jsonrpc": "2.0", "id": id, "result": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "server", "version": "1"}}});
        let kinds = [("content-type", "application/json"), ("mcp-session-id", "session#1")];
        let say =
            |builder: Builder, message: &Value| builder.outside("POST", "/mcp", &PLAIN, Some(&message.to_string()));
        let begun = say(Builder::new(), &asked).answer(200, &kinds, &welcome.to_string());
        let ready = answer(say(begun, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})), "");
        let ping = say(ready, &json!({"jsonrpc": "2.0", "id": 2, "method": "ping"}));
        answer(ping, r#"{"jsonrpc":"2.0","id":2,"result":{}}"#)
    }

    #[test]
    fn a_client_that_never_sends_it_is_served_or_told_of() {
        let served = forgetful(|builder, body| builder.answer(200, &[("content-type", "application/json")], body));
        let refused = forgetful(|builder, _| builder.answer(400, &[], ""));
        let carried = Builder::new().initialize("2025-06-18").call("ping", json!({}), json!({}));
        expect_three(ID, &served, &refused, &carried);
        // Who cannot see that it was let in has no id to carry.
        let unseen = welcomed(&json!("1"), |builder, _| builder.answer(400, &[], ""));
        expect_three(ID, &served, &refused, &unseen);
    }
}
