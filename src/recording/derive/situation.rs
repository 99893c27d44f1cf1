//! What happened in a recording, as a scenario: so that a profile can be put where its client was.

use serde_json::{Value, json};

use super::seen::Seen;
use crate::model::Kind;
use crate::transcript::{Msg, View};

/// A scenario file with the steps of the client, in order. What the profile does by itself is none of them.
pub fn situation(view: &View<'_>) -> String {
    let seen = Seen::new(view);
    let of_listing: Vec<u32> = pages(&seen);
    let index = seen.era();
    let sent = view.messages.iter().filter(|msg| !msg.received() && msg.conversation == index);
    let mut steps = vec![json!("connect"), json!("negotiate")];
    for msg in sent {
        let taken = !matches!(seen.exchange(msg).status, Some(401 | 403)) && !of_listing.contains(&msg.seq);
        match msg.kind {
            Kind::Request if taken => steps.extend(call(msg)),
            Kind::Notification if msg.method() != Some("notifications/initialized") => {
                let mut notify = json!({"method": msg.method()});
                if let Some(params) = msg.value.get("params") {
                    notify["params"] = params.clone();
                }
                steps.push(json!({"notify": notify}));
            }
            _ => {}
        }
    }
    steps.push(json!("shutdown"));
    let steps: Vec<String> = steps.iter().map(|step| format!("  - {step}")).collect();
    let steps = steps.join("\n");
    format!(
        "version: 1\nid: recording.situation\ntitle: What a recorded client did\nwhy: Its profile is to do the same.\nera: both\nsteps:\n{steps}\n"
    )
}

/// The requests that fetch the first lists, with their further pages.
fn pages(seen: &Seen<'_>) -> Vec<u32> {
    let lists = seen.listing();
    let mut own = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    for msg in seen.requests() {
        let Some(method) = msg.method().filter(|method| lists.contains(method)) else {
            if matches!(msg.method(), Some("ping" | "subscriptions/listen")) {
                continue;
            }
            break;
        };
        let next = !msg.value["params"]["cursor"].is_null();
        if next || !done.contains(&method) {
            own.push(msg.seq);
            done.push(method);
        }
    }
    own
}

fn call(msg: &Msg) -> Option<Value> {
    let method =
        msg.method().filter(|method| !matches!(*method, "initialize" | "server/discover" | "subscriptions/listen"))?;
    let mut params = msg.value.get("params").cloned().unwrap_or(Value::Null);
    let meta = params.as_object_mut().and_then(|members| members.shift_remove("_meta"));
    let mut step = if method == "tools/call" {
        let mut step = json!({"tool": params["name"]});
        if let Some(arguments) = params.get("arguments") {
            step["arguments"] = arguments.clone();
        }
        step
    } else {
        let mut step = json!({"method": method});
        // An empty object is not the same on the wire as none; metadata alone comes back by itself.
        let bare = meta.is_some() && params.as_object().is_some_and(serde_json::Map::is_empty);
        if !params.is_null() && !bare {
            step["params"] = params;
        }
        step
    };
    if let Some(token) = meta.as_ref().and_then(|meta| meta.get("progressToken")) {
        step["progress"] = token.clone();
    }
    Some(json!({"invoke": step}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;
    use crate::transcript::Builder;

    #[test]
    fn steps_are_what_the_profile_does_not_do_by_itself() {
        let start = Builder::new().initialize("2025-06-18").call("tools/list", json!({}), json!({"tools": []}));
        let called = start.call("tools/call", json!({"name": "t", "arguments": {"a": 1}}), json!({"content": []}));
        let again = called.call("tools/list", json!({}), json!({"tools": []})).delete(200);
        let events = again.finish();
        let text = situation(&View::new(&events));
        let scenario = parse("s.yaml", &text).unwrap_or_else(|error| panic!("{}", error.render(false)));
        let words: Vec<&str> = scenario.steps.iter().map(|step| step.action.word()).collect();
        assert_eq!(words, ["connect", "negotiate", "invoke", "invoke", "shutdown"]);
        assert!(text.contains(r#"{"invoke":{"tool":"t","arguments":{"a":1}}}"#), "{text}");
    }
}
