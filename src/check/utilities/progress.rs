//! Progress notifications.

use serde_json::Value;

use crate::check::support::{param, received_with, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _};
use crate::transcript::{Carrier, Direction, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "utilities.progress.only-given-tokens", judge: only_given_tokens },
    Check { id: "utilities.progress.no-token-no-progress", judge: no_token_no_progress },
    Check { id: "utilities.progress.token-exact", judge: token_exact },
    Check { id: "utilities.progress.increasing", judge: increasing },
    Check { id: "utilities.progress.stops-after-completion", judge: stops_after_completion },
    Check { id: "utilities.progress.message-readable", judge: message_readable },
];

const PROGRESS: &str = "notifications/progress";

fn token_of(request: &Msg) -> Option<&Value> {
    request.value.at("params").at("_meta").member("progressToken")
}

/// What the client gave as tokens in this conversation before the message: request and token.
fn given<'v>(view: &'v View<'_>, before: &'v Msg) -> impl Iterator<Item = (&'v Msg, &'v Value)> {
    view.messages
        .iter()
        .filter(|msg| {
            msg.direction == Direction::Sent
                && msg.kind == Kind::Request
                && msg.conversation == before.conversation
                && msg.seq < before.seq
        })
        .filter_map(|msg| Some((msg, token_of(msg)?)))
}

fn as_text(token: &Value) -> String {
    token.as_str().map_or_else(|| token.to_string(), str::to_owned)
}

fn progress<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Msg> {
    received_with(view, PROGRESS).filter(|msg| out.covers(msg.revision) && msg.conversation.is_some()).collect()
}

/// Progress names a token that the client gave with a request of this conversation. A token whose JSON type
/// changed on the way belongs to another check.
fn only_given_tokens(view: &View<'_>, out: &mut Findings) {
    for msg in progress(view, out) {
        let token = param(msg, "progressToken");
        let known = given(view, msg).any(|(_, given)| as_text(given) == as_text(token));
        out.require(known, || {
            told(
                format!("The server sent progress for the token {token}, which no request of this session had given."),
                &["a progressToken from _meta of a running request"],
                &msg.value,
                "send progress only for requests that carry _meta.progressToken, and with that token",
                &[msg],
            )
        });
    }
}

/// A call without a token gets no progress. Judged for tools that did send progress when a token was given.
fn no_token_no_progress(view: &View<'_>, out: &mut Findings) {
    let tokens = |msg: &Msg| given(view, msg).map(|(_, token)| as_text(token)).collect::<Vec<_>>();
    let talkative: Vec<&Value> = received_with(view, PROGRESS)
        .flat_map(|msg| given(view, msg).filter(|(_, token)| *token == param(msg, "progressToken")))
        .map(|(request, _)| param(request, "name"))
        .collect();
    for (request, response) in view.calls_to("tools/call") {
        if token_of(request).is_some() || request.batched || !out.covers(request.revision) {
            continue;
        }
        let stray = view.messages_in(request.exchange).find(|msg| {
            msg.carrier == Carrier::PostStream
                && msg.method() == Some(PROGRESS)
                && !tokens(msg).contains(&as_text(param(msg, "progressToken")))
        });
        if let Some(stray) = stray {
            out.breach(told(
                "The call gave no progress token, yet progress came on its stream.",
                &["no notifications/progress for a request without _meta.progressToken"],
                &stray.value,
                "skip progress when the request carries no token",
                &[request, stray],
            ));
        } else if response.is_some() && talkative.contains(&param(request, "name")) {
            out.pass();
        }
    }
}

/// The token comes back with its JSON type: 7 is not "7".
fn token_exact(view: &View<'_>, out: &mut Findings) {
    for msg in progress(view, out) {
        let token = param(msg, "progressToken");
        let alike: Vec<_> = given(view, msg).filter(|(_, given)| as_text(given) == as_text(token)).collect();
        let Some((request, given)) = alike.last() else { continue };
        out.require(alike.iter().any(|(_, given)| *given == token), || {
            told(
                format!("The client gave the progress token {given}, and the server sent back {token}."),
                &[&format!("progressToken {given}, of the same JSON type")],
                &msg.value,
                "keep the token as the JSON value it is; it may be a string or a number",
                &[request, msg],
            )
        });
    }
}

/// On one stream the progress of a token rises strictly.
fn increasing(view: &View<'_>, out: &mut Findings) {
    let all = progress(view, out);
    for (at, msg) in all.iter().enumerate() {
        let token = param(msg, "progressToken");
        let earlier = all[..at]
            .iter()
            .rev()
            .find(|earlier| earlier.exchange == msg.exchange && param(earlier, "progressToken") == token);
        // A token used again by a later request starts again.
        let restarted = earlier.is_some_and(|earlier| {
            given(view, msg).any(|(request, given)| given == token && request.seq > earlier.seq)
        });
        let value = param(msg, "progress").as_f64();
        let before = earlier.and_then(|earlier| param(earlier, "progress").as_f64());
        let Some(((value, before), earlier)) = value.zip(before).zip(earlier).filter(|_| !restarted) else { continue };
        out.require(value > before, || {
            told(
                format!("Progress of the token {token} went from {before} to {value}."),
                &[&format!("a progress value above {before}")],
                &msg.value,
                "raise progress with every notification, also where the total is unknown",
                &[earlier, msg],
            )
        });
    }
}

/// What came on the stream that brought a response.
fn beside<'v>(view: &'v View<'_>, response: &'v Msg) -> impl Iterator<Item = &'v Msg> {
    let channel = response.carrier == Carrier::Channel;
    view.received().filter(move |msg| {
        msg.exchange == response.exchange
            || (channel && msg.carrier == response.carrier && msg.conversation == response.conversation)
    })
}

/// After the response of its request no more progress comes on that stream. Calls that run as tasks are not judged.
fn stops_after_completion(view: &View<'_>, out: &mut Findings) {
    for call in &view.calls {
        let request = &view.messages[call.request];
        let Some(token) = token_of(request).filter(|_| out.covers(request.revision)) else { continue };
        if !param(request, "task").is_null() {
            continue;
        }
        let Some(response) = call.responses.first().map(|index| &view.messages[*index]) else { continue };
        let of_token = |msg: &&Msg| msg.method() == Some(PROGRESS) && param(msg, "progressToken") == token;
        let late = beside(view, response).filter(of_token).find(|msg| {
            msg.seq > response.seq && !given(view, msg).any(|(other, given)| given == token && other.seq > request.seq)
        });
        if let Some(late) = late {
            out.breach(told(
                format!("Progress of the token {token} came after the response to its request."),
                &["the response as the last message about the request"],
                &late.value,
                "stop progress before the response is sent",
                &[request, response, late],
            ));
        } else if beside(view, response).any(|msg| of_token(&msg)) {
            out.pass();
        }
    }
}

/// The message of a progress notification, where there is one, is text that says something.
fn message_readable(view: &View<'_>, out: &mut Findings) {
    for msg in progress(view, out) {
        let Some(text) = msg.value.at("params").member("message") else { continue };
        out.require(text.as_str().is_some_and(|text| !text.trim().is_empty()), || {
            told(
                "The message of a progress notification is no readable text.",
                &["a non-empty string", "no message member"],
                &msg.value,
                "leave message out where there is nothing to say",
                &[msg],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn note(token: &Value, progress: f64, message: &Value) -> Value {
        let params = json!({"progressToken": token, "progress": progress, "message": message});
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    }

    fn done() -> Value {
        json!({"jsonrpc": "2.0", "id": "c", "result": {"content": []}})
    }

    fn call(base: Builder, token: Option<Value>, messages: &[Value]) -> Builder {
        let mut request = json!({"jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": {"name": "t"}});
        if let Some(token) = token {
            request["params"]["_meta"] = json!({"progressToken": token});
        }
        let opened = base.post(&request).stream();
        messages.iter().fold(opened, |builder, message| builder.sse(None, message)).end(End::Complete)
    }

    #[test]
    fn tokens() {
        let base = Builder::new().initialize("2025-03-26");
        let text = json!("half done");
        let run = |token: Value, back: Value| call(base.clone(), Some(token), &[note(&back, 1.0, &text), done()]);
        let good = run(json!(7), json!(7));
        three("utilities.progress.only-given-tokens", &good, &run(json!(7), json!(8)));
        three("utilities.progress.token-exact", &good, &run(json!(7), json!("7")));
        let silent = call(good.clone(), None, &[done()]);
        let stray = call(base.clone(), None, &[note(&json!(1), 1.0, &text), done()]);
        three("utilities.progress.no-token-no-progress", &silent, &stray);
        let empty = call(base, Some(json!(7)), &[note(&json!(7), 1.0, &json!("")), done()]);
        three("utilities.progress.message-readable", &good, &empty);
    }

    #[test]
    fn order() {
        let base = Builder::new().initialize("2025-11-25");
        let at = |progress: f64| note(&json!("x"), progress, &json!("m"));
        let run = |messages: &[Value]| call(base.clone(), Some(json!("x")), messages);
        let good = run(&[at(0.5), at(1.0), done()]);
        three("utilities.progress.increasing", &good, &run(&[at(1.0), at(1.0), done()]));
        three("utilities.progress.stops-after-completion", &good, &run(&[at(1.0), done(), at(2.0)]));
    }
}
