//! stdio as the client speaks it: whole messages in, and an end that the server can see coming.

use super::common::{revision, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Message, Via};
use crate::transcript::{Ended, Exchange, View};

/// The checks of this topic.
pub(super) const CHECKS: &[Check] = &[
    Check { id: "transport.stdio.client-stdin-clean", judge: clean },
    Check { id: "transport.stdio.client-shutdown-order", judge: shutdown },
    Check { id: "transport.stdio.client-no-responses", judge: no_responses },
];

/// What was written to the server's input, line by line.
fn lines<'v>(view: &'v View<'_>) -> impl Iterator<Item = &'v Exchange> {
    view.exchanges.iter().filter(|exchange| exchange.via == Via::Stdio && exchange.is_message())
}

/// Each line is a message.
fn clean(view: &View<'_>, out: &mut Findings) {
    for exchange in lines(view) {
        if !out.covers(revision(view, exchange)) {
            continue;
        }
        let is_message = exchange.sent_json().is_some_and(|value| match value {
            serde_json::Value::Array(members) => members.iter().all(|one| Message(one).kind() != Kind::Other),
            one => Message(one).kind() != Kind::Other,
        });
        out.require(is_message, || {
            told(
                "The client wrote a line to the server that is no message.",
                &["one JSON-RPC message in each line, without line breaks in it"],
                exchange.body.as_deref().unwrap_or_default(),
                "write nothing but messages to the server's standard input, each in one line",
                exchange.evidence(),
            )
        });
    }
}

/// The end begins with the input being closed.
fn shutdown(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| exchange.via == Via::Stdio) {
        let Some(exit) = exchange.exit.filter(|_| out.covers(revision(view, exchange))) else { continue };
        // One that ended by itself was not shut down by anybody.
        if exit.after == Ended::ByItself {
            continue;
        }
        out.require(matches!(exit.after, Ended::InputClosed | Ended::Sigkill), || {
            told(
                "The client ended the server without closing its input first.",
                &["standard input closed, then time to exit, then SIGTERM, then SIGKILL"],
                "SIGTERM while standard input was open",
                "close the server's standard input and wait before you send signals",
                vec![exchange.seq, exit.seq],
            )
        });
    }
}

/// In the modern era no server asks, so no client answers.
fn no_responses(view: &View<'_>, out: &mut Findings) {
    for exchange in lines(view).filter(|exchange| exchange.modern) {
        let response = exchange.sent_json().is_some_and(|value| Message(value).kind() == Kind::Response);
        out.require(!response, || {
            told(
                "The client wrote a response to the server's input.",
                &["requests and notifications only"],
                exchange.body.as_deref().unwrap_or_default(),
                "answer questions of a server in the next round of the request that asked (inputResponses)",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::three;
    use crate::model::Via;
    use crate::transcript::{Builder, Ended, EventKind};
    use serde_json::json;

    fn start() -> Builder {
        Builder::new().channel(Via::Stdio).initialize("2025-06-18")
    }

    #[test]
    fn lines_and_the_end() {
        let http = Builder::new().initialize("2025-06-18");
        three("transport.stdio.client-stdin-clean", &start(), &start().says("hello"), &http);
        let exit = |after| {
            start().event(EventKind::Exit {
                exchange: 1,
                after,
                began: None,
                took_ms: 1,
                code: None,
                left_others: false,
            })
        };
        let id = "transport.stdio.client-shutdown-order";
        three(id, &exit(Ended::InputClosed), &exit(Ended::Sigterm), &exit(Ended::ByItself));
        let modern = Builder::new().channel(Via::Stdio).modern().discover(json!({}));
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}, "params": {"_meta": meta}});
        let broken = modern.clone().says(&answer.to_string());
        three("transport.stdio.client-no-responses", &modern, &broken, &start());
    }
}
