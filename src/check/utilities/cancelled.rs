//! What becomes of the work behind a request that was cancelled.

use super::cancellation::{UNDER_WAY, cancellations, pending};
use crate::check::support::{param, received_with, told};
use crate::check::{Check, Findings};
use crate::transcript::{End, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[Check { id: "utilities.cancellation.stops-processing", judge: stops_processing }];

/// Progress is what shows work from outside: after a cancellation none comes for the cancelled request. What was under
/// way is no breach, and without a token nothing can be seen.
fn stops_processing(view: &View<'_>, out: &mut Findings) {
    for cancel in cancellations(view, out) {
        for (request, response, _) in pending(view, cancel) {
            let same =
                request.conversation == cancel.conversation && request.value["id"] == *param(cancel, "requestId");
            let token = &request.value["params"]["_meta"]["progressToken"];
            if !same || token.is_null() || request.method() == Some("initialize") || !param(request, "task").is_null() {
                continue;
            }
            let late = received_with(view, "notifications/progress").find(|msg| {
                msg.conversation == request.conversation
                    && param(msg, "progressToken") == token
                    && msg.at.saturating_sub(cancel.at) > UNDER_WAY
                    && view.exchange_of(msg).sent_header("last-event-id").is_none()
            });
            match late {
                Some(late) => out.breach(told(
                    format!("Work on a cancelled request went on: progress of the token {token} came after it."),
                    &["no progress for a request that was cancelled"],
                    &late.value,
                    "stop the work of a request when its cancellation arrives",
                    &[request, cancel, late],
                )),
                None if response.is_none() && view.exchange_of(request).end == Some(End::Complete) => out.pass(),
                None => out.inconclusive(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::{Builder, End, EventKind};
    use serde_json::{Value, json};

    fn run(late: &[Value]) -> Builder {
        let params = json!({"name": "t", "_meta": {"progressToken": "p"}});
        let call = json!({"jsonrpc": "2.0", "id": "x", "method": "tools/call", "params": params});
        let cancelled = Builder::new()
            .initialize("2025-06-18")
            .post(&call)
            .stream()
            .notify("notifications/cancelled", json!({"requestId": "x"}))
            .event(EventKind::End { exchange: 3, end: End::Complete })
            .pause_ms(3_000);
        late.iter().fold(cancelled.request("GET", &[], None).stream(), |builder, message| builder.sse(None, message))
    }

    #[test]
    fn progress_ends_with_the_cancellation() {
        let params = json!({"progressToken": "p", "progress": 2});
        let late = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
        three("utilities.cancellation.stops-processing", &run(&[]), &run(&[late]));
    }
}
