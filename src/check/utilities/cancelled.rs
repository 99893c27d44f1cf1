//! What becomes of requests that were cancelled: their answers, and the work behind them.

use super::cancellation::{cancellations, pending};
use crate::check::support::{param, received_with, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{End, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "utilities.cancellation.no-response", judge: no_response },
    Check { id: "utilities.cancellation.stops-processing", judge: stops_processing },
];

/// What follows a cancellation this soon was under way already.
const UNDER_WAY: u64 = 200_000;

/// Whether a response was made because of a cancellation: an error that says so.
fn says_cancelled(response: &Msg) -> bool {
    response.value.at("error").at("message").as_str().is_some_and(|text| text.to_ascii_lowercase().contains("cancel"))
}

/// The running request that a cancellation names, with its response. `initialize` cannot be cancelled, and tasks have
/// a method of their own for it.
fn meant<'v>(view: &'v View<'_>, cancel: &'v Msg) -> impl Iterator<Item = (&'v Msg, Option<&'v Msg>)> {
    pending(view, cancel).filter_map(move |(request, response, _)| {
        let same =
            request.conversation == cancel.conversation && *request.value.at("id") == *param(cancel, "requestId");
        let cancellable = request.method() != Some("initialize") && param(request, "task").is_null();
        (same && cancellable).then_some((request, response))
    })
}

/// A request that was cancelled while it ran gets no response. One that was under way is no breach.
fn no_response(view: &View<'_>, out: &mut Findings) {
    for cancel in cancellations(view, out) {
        for (request, response) in meant(view, cancel) {
            match response {
                Some(response) if response.at.saturating_sub(cancel.at) > UNDER_WAY || says_cancelled(response) => {
                    out.contested(told(
                        "A cancelled request was answered all the same.",
                        &["no response", "a response where the request cannot be cancelled"],
                        &response.value,
                        "drop the response of a request that was cancelled",
                        &[request, cancel, response],
                    ));
                }
                Some(_) => {}
                None if view.exchange_of(request).end == Some(End::ClosedByUs) => out.inconclusive(),
                None => out.pass(),
            }
        }
    }
}

/// Progress is what shows work from outside: after a cancellation none comes for the cancelled request. What was under
/// way is no breach, and without a token nothing can be seen.
fn stops_processing(view: &View<'_>, out: &mut Findings) {
    for cancel in cancellations(view, out) {
        for (request, response) in meant(view, cancel) {
            let token_of = |msg: &Msg| msg.value.at("params").at("_meta").at("progressToken").clone();
            let token = token_of(request);
            // A token that a later request gave again says nothing about this one.
            let again = view
                .messages
                .iter()
                .any(|msg| msg.conversation == request.conversation && msg.seq > request.seq && token_of(msg) == token);
            if token.is_null() || again {
                continue;
            }
            let late = received_with(view, "notifications/progress").find(|msg| {
                msg.conversation == request.conversation
                    && *param(msg, "progressToken") == token
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
