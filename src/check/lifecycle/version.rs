//! Version negotiation in `initialize`.

use crate::check::wire::{received, short, told};
use crate::check::{Breach, Check, Findings};
use crate::model::{Members as _, Revision};
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "lifecycle.version-echo", judge: version_echo },
    Check { id: "lifecycle.respect-version-should", judge: respect_version },
    Check { id: "lifecycle.respect-version-must", judge: respect_version },
];

/// A version that the server answered somewhere in the transcript is one that it supports, so asking for it
/// has to give it back.
fn version_echo(view: &View<'_>, out: &mut Findings) {
    for conversation in &view.conversations {
        let supported = view.conversations.iter().any(|other| other.answered == conversation.requested);
        if !supported || conversation.requested.parse::<Revision>().is_err() {
            continue;
        }
        if !out.covers(conversation.requested.parse().ok()) {
            continue;
        }
        let exchange = &view.exchanges[conversation.opened];
        // A refusal agrees to nothing, whatever its body holds.
        if !exchange.is_success() {
            continue;
        }
        out.require(conversation.answered == conversation.requested, || Breach {
            what: format!(
                "The server supports {} but answered {} to a client that asked for it.",
                conversation.requested, conversation.answered
            ),
            expected: vec![format!("protocolVersion {}", conversation.requested)],
            actual: format!("protocolVersion {}", conversation.answered),
            fix: "answer initialize with the requested version whenever the server supports it".to_owned(),
            evidence: exchange.evidence(),
        });
    }
}

/// The revision that brought what a server says with this message, if it is one that the protocol defines.
fn since(msg: &Msg) -> Option<Revision> {
    Some(match msg.method()? {
        "elicitation/create" if msg.value.at("params").at("mode") == "url" => Revision::V2025_11_25,
        "elicitation/create" => Revision::V2025_06_18,
        "notifications/elicitation/complete" | "notifications/tasks/status" => Revision::V2025_11_25,
        method if method.starts_with("tasks/") => Revision::V2025_11_25,
        "ping" | "sampling/createMessage" | "roots/list" => Revision::V2024_11_05,
        method if method.starts_with("notifications/") => Revision::V2024_11_05,
        _ => return None,
    })
}

/// The server says nothing of its own that the negotiated revision does not know.
fn respect_version(view: &View<'_>, out: &mut Findings) {
    for (msg, _, revision) in received(view) {
        let (Some(revision), Some(since)) = (revision.filter(|_| out.covers(revision)), since(msg)) else { continue };
        out.require(since <= revision, || {
            told(
                format!(
                    "The server sent {} under {revision}, which does not know it yet; it came with {since}.",
                    msg.method().unwrap_or_default()
                ),
                &["only what the negotiated revision defines"],
                short(&msg.value.to_string()),
                "look at the version that was negotiated before using what a later revision brought",
                vec![msg.seq],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome::{Fail, NotExercised, Pass, Warn};
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, End};
    use serde_json::json;

    #[test]
    fn later_words() {
        let pushed = |version: &str, mode: &str| {
            let params = json!({"mode": mode, "message": "Who?"});
            let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": params});
            let listening = Builder::new().initialize(version).request("GET", &[], None).stream();
            listening.sse(None, &ask).end(End::Complete)
        };
        let idle = Builder::new().initialize("2025-06-18");
        expect_three(
            "lifecycle.respect-version-must",
            &pushed("2025-06-18", "form"),
            &pushed("2025-06-18", "url"),
            &idle,
        );
        assert_eq!(judge("lifecycle.respect-version-should", &pushed("2025-03-26", "form")).outcome, Warn);
    }

    #[test]
    fn echo() {
        let id = "lifecycle.version-echo";
        let good = Builder::new().initialize("2025-06-18");
        assert_eq!(judge(id, &good).outcome, Pass);
        let bad =
            good.clone().initialize_with("2025-11-25", "2025-06-18", json!({}), json!({})).initialize("2025-11-25");
        assert_eq!(judge(id, &bad).outcome, Fail);
        assert_eq!(judge(id, &Builder::new()).outcome, NotExercised);
    }
}
