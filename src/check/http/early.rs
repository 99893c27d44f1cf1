//! Requests for a stream that come before there is a session, as some clients make them to see who is there.

use crate::check::wire::{came, governing, to_endpoint, told};
use crate::check::{Check, Findings};
use crate::transcript::{End, Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[Check { id: "transport.http.early-get-answered", judge: early_get_answered }];

/// How long an answer may take to begin, in microseconds.
const AT_ONCE: u64 = 1_500_000;

/// Whether a request was left without an answer for so long that its client cannot but think of it as lost.
fn hangs(exchange: &Exchange) -> bool {
    let given_up = matches!(exchange.end, Some(End::TimedOut | End::ClosedByUs));
    exchange.status.is_none()
        && given_up
        && exchange.end_at.is_some_and(|end| end.saturating_sub(exchange.at) > AT_ONCE)
}

/// A GET without a session is answered, and not as a failure of the server.
fn early_get_answered(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| exchange.method == "GET" && !exchange.modern) {
        let bare = exchange.session().is_none() && exchange.sent_header("last-event-id").is_none();
        let judged = bare && exchange.disturbed.is_empty() && to_endpoint(view, exchange);
        if !judged || !out.covers(governing(view, exchange)) {
            continue;
        }
        let hangs = hangs(exchange);
        // 503 is for load, which passes.
        let failed = exchange.status.is_some_and(|status| status >= 500 && status != 503);
        if !hangs && !failed && exchange.status.is_none_or(|status| status >= 500) {
            continue;
        }
        out.require(!hangs && !failed, || {
            told(
                "A GET without a session was not answered as it can be expected to be.".to_owned(),
                &["status 400 or 401", "status 405 if there is no stream to be had", "an event stream"],
                came(exchange),
                "answer a GET without a session id at once; clients ask so before they log in or begin, and wait",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, End};

    const ID: &str = "transport.http.early-get-answered";

    fn asked() -> Builder {
        let headers = [("accept", "text/event-stream")];
        Builder::new().outside("GET", "/mcp", &headers, None)
    }

    #[test]
    fn who_asks_early_is_answered() {
        let after = |status: u16| asked().answer(status, &[], "").initialize("2025-06-18");
        let silent = Builder::new().initialize("2025-06-18");
        expect_three(ID, &after(400), &after(500), &silent);
        let hung = asked().pause_ms(2_000).end(End::ClosedByUs).initialize("2025-06-18");
        expect_three(ID, &after(405), &hung, &silent);
    }

    #[test]
    fn a_client_that_lets_go_at_once_proves_nothing() {
        let quick = asked().pause_ms(100).end(End::ClosedByUs).initialize("2025-06-18");
        assert_eq!(judge(ID, &quick).outcome, Outcome::NotExercised);
        let busy = asked().answer(503, &[], "").initialize("2025-06-18");
        assert_eq!(judge(ID, &busy).outcome, Outcome::NotExercised);
    }
}
