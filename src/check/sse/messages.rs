//! What comes on the event stream: every message of the server, as events of the right name.

use serde_json::Value;

use super::opening::{posts, streams};
use crate::check::wire::{short, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Message};
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.sse.message-events", judge: named },
    Check { id: "transport.sse.responses-on-stream", judge: on_stream },
];

fn is_message(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_array() || Message(&value).kind() != Kind::Other)
}

/// Messages are events `message` whose data is the JSON.
fn named(view: &View<'_>, out: &mut Findings) {
    for stream in streams(view) {
        for event in &stream.events {
            let Some(data) = event.data.as_deref() else { continue };
            // An event without a name is a `message` by the rules of event streams.
            let name = event.event.as_deref().unwrap_or("message");
            let (message, ours) = (is_message(data), name == "message");
            if !message && !ours {
                continue;
            }
            out.require(message && ours, || {
                told(
                    if message {
                        format!("A message came as an event `{name}`, which clients do not listen to.")
                    } else {
                        "An event `message` came whose data is no JSON-RPC message.".to_owned()
                    },
                    &["`event: message`, and the JSON as data"],
                    short(data),
                    "send each message as an event `message`",
                    vec![event.seq],
                )
            });
        }
    }
}

/// Responses come on the stream, not as the answer to the POST.
fn on_stream(view: &View<'_>, out: &mut Findings) {
    for stream in streams(view) {
        for post in posts(view, stream) {
            let Some(request) = post.sent_json().filter(|sent| Message(sent).kind() == Kind::Request) else { continue };
            let answers =
                |value: &Value| value.member("id") == request.member("id") && Message(value).kind() == Kind::Response;
            let beside = stream.events.iter().filter(|event| event.seq > post.seq).any(|event| {
                let data = event.data.as_deref().and_then(|data| serde_json::from_str(data).ok());
                data.is_some_and(|value: Value| answers(&value))
            });
            let inside = !beside && post.is_success() && post.got_json().is_some_and(answers);
            if !beside && !inside {
                continue;
            }
            out.require(!inside, || {
                told(
                    "A response came as the answer to the POST, where clients of this transport do not look."
                        .to_owned(),
                    &["status 202, and the response on the event stream"],
                    post.response_body.as_deref().map(short).unwrap_or_default(),
                    "send every response on the stream of the client that asked",
                    post.evidence(),
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::model::Via;
    use crate::transcript::{Builder, End, EventKind};
    use serde_json::{Value, json};

    fn opened() -> Builder {
        Builder::new().channel(Via::LegacySse).sse_event("endpoint", "/messages?id=1").initialize("2024-11-05")
    }

    #[test]
    fn messages_are_events_of_their_name_on_the_stream() {
        let silent = Builder::new().initialize("2025-06-18");
        let note = json!({"jsonrpc": "2.0", "method": "notifications/message"}).to_string();
        expect_three("transport.sse.message-events", &opened(), &opened().sse_event("mcp", &note), &silent);
        let kept = opened().call("ping", Value::Null, json!({}));
        let response = json!({"jsonrpc": "2.0", "id": 9, "result": {}}).to_string();
        let asked = opened().says("{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}");
        let body = EventKind::Body { exchange: 4, text: response.as_str().into(), utf8: true };
        let broken = asked.event(body).end(End::Complete);
        expect_three("transport.sse.responses-on-stream", &kept, &broken, &silent);
    }
}
