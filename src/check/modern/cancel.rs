//! Cancellation in the modern era: closing the stream over HTTP, a notification on pipes.

use super::flaw::{Ask, of_era, requests};
use crate::check::wire::{short, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Via};
use crate::transcript::{End, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.disconnect-no-messages", judge: closed },
    Check { id: "transport.stdio.cancel-no-further-messages", judge: cancelled },
    Check { id: "transport.stdio.cancel-stops-work", judge: stops },
    Check { id: "utilities.cancellation.server-listen-teardown", judge: teardown },
    Check { id: "transport.stdio.sigterm-exit", judge: sigterm },
];

/// What follows a cancellation this soon was under way already, in microseconds.
const UNDER_WAY: u64 = 200_000;

/// What was said for a request: its response, and progress with its token that no later request gave again.
fn about<'v>(view: &'v View<'_>, ask: &Ask<'_>, after: u64) -> Option<&'v Msg> {
    let token = ask.request.value.at("params").at("_meta").at("progressToken");
    let given_again = requests(view).any(|other| {
        other.request.seq > ask.request.seq
            && *other.request.value.at("params").at("_meta").at("progressToken") == *token
    });
    let id_again = requests(view).any(|other| {
        other.request.seq > ask.request.seq
            && other.request.value.at("id") == ask.request.value.at("id")
            && other.exchange.client == ask.exchange.client
    });
    of_era(view).filter(|msg| msg.client == ask.exchange.client && msg.at > after + UNDER_WAY).find(|msg| {
        let answers = msg.kind == Kind::Response && msg.value.at("id") == ask.request.value.at("id") && !id_again;
        let tells = msg.method() == Some("notifications/progress")
            && !token.is_null()
            && *msg.value.at("params").at("progressToken") == *token
            && !given_again;
        answers || tells
    })
}

/// Whether the server said anything at all so much later, so that its silence tells something.
fn spoke(view: &View<'_>, client: &str, after: u64) -> bool {
    of_era(view).any(|msg| msg.client == client && msg.at > after + UNDER_WAY)
}

fn quiet(
    view: &View<'_>,
    out: &mut Findings,
    ask: &Ask<'_>,
    since: u64,
    how: &str,
    contested: bool,
    late: Option<&Msg>,
) {
    if late.is_none() {
        if spoke(view, &ask.exchange.client, since) {
            out.pass();
        }
        return;
    }
    let breach = told(
        format!("{} was cancelled {how}, and the server still spoke of it.", ask.method()),
        &["nothing more for a request that was cancelled"],
        late.map_or_else(String::new, |msg| short(&msg.value.to_string())),
        "drop what is still to be said for a request when it is cancelled",
        ask.evidence().into_iter().chain(late.map(|msg| msg.seq)).collect(),
    );
    // Elsewhere the text lets a server finish what it cannot cancel.
    if contested { out.contested(breach) } else { out.breach(breach) }
}

/// After the client closed the stream of a request nothing more comes for it, on any other.
fn closed(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view).filter(|ask| ask.over_http() && ask.method() != "subscriptions/listen") {
        let exchange = ask.exchange;
        let Some(end) = exchange.end_at.filter(|_| exchange.end == Some(End::ClosedByUs) && ask.response.is_none())
        else {
            continue;
        };
        let late = about(view, &ask, end).filter(|msg| msg.exchange != ask.request.exchange);
        quiet(view, out, &ask, end, "by closing its stream", false, late);
    }
}

/// Requests on pipes with the cancellation that named them while they ran.
fn cancellations<'v>(view: &'v View<'_>) -> Vec<(Ask<'v>, u64)> {
    requests(view)
        .filter(|ask| ask.exchange.via == Via::Stdio && ask.method() != "subscriptions/listen")
        .filter_map(|ask| {
            let cancel = view.messages.iter().find(|msg| {
                !msg.received()
                    && msg.client == ask.exchange.client
                    && msg.seq > ask.request.seq
                    && msg.method() == Some("notifications/cancelled")
                    && msg.value.at("params").at("requestId") == ask.request.value.at("id")
            })?;
            let ran = ask.response.is_none_or(|response| response.seq > cancel.seq);
            ran.then_some((ask, cancel.at))
        })
        .collect()
}

fn cancelled(view: &View<'_>, out: &mut Findings) {
    for (ask, at) in cancellations(view) {
        let late = about(view, &ask, at);
        quiet(view, out, &ask, at, "by notifications/cancelled", true, late);
    }
}

/// Progress is what shows work: none comes after a cancellation.
fn stops(view: &View<'_>, out: &mut Findings) {
    for (ask, at) in cancellations(view) {
        if ask.request.value.at("params").at("_meta").at("progressToken").is_null() {
            continue;
        }
        let late = about(view, &ask, at).filter(|msg| msg.kind == Kind::Notification);
        quiet(view, out, &ask, at, "by notifications/cancelled", false, late);
    }
}

/// A server that tears down a subscription says so by its response or by a cancellation; the text has both.
fn teardown(view: &View<'_>, out: &mut Findings) {
    for open in super::subscription::subscriptions(view) {
        if open.acknowledgment().is_none() {
            continue;
        }
        let cancel = of_era(view).any(|msg| {
            msg.method() == Some("notifications/cancelled")
                && msg.client == open.ask.exchange.client
                && *msg.value.at("params").at("requestId") == *open.id()
        });
        let said = open.ask.result().is_some() || cancel;
        let ended = open.ask.over_http() && open.ask.exchange.end == Some(End::Complete);
        if !said && !ended {
            continue;
        }
        if said {
            out.pass();
        } else {
            out.contested(told(
                "The server tore down a subscription without a word.".to_owned(),
                &["a result to the request, or notifications/cancelled with its id"],
                crate::check::wire::came(open.ask.exchange),
                "answer the request of a subscription before its stream is closed",
                open.ask.evidence(),
            ));
        }
    }
}

/// How long a process that was sent SIGTERM may take to end, in milliseconds.
const TO_END_MS: u64 = 1000;

/// A process that did not end with its input, or whose client begins with SIGTERM, ends on that signal.
fn sigterm(view: &View<'_>, out: &mut Findings) {
    use crate::transcript::Ended;
    for process in view.exchanges.iter().filter(|exchange| exchange.via == Via::Stdio && exchange.channel.is_none()) {
        let Some(exit) = process.exit.filter(|_| out.covers(process.revision)) else { continue };
        let first = exit.began == Some(Ended::Sigterm);
        let judged = match exit.after {
            Ended::Sigterm => exit.began != Some(Ended::Sigint),
            // Who kills a moment after the signal, or sends another one first, does not see what it is worth.
            Ended::Sigkill => exit.began.is_none() || (first && exit.took_ms >= TO_END_MS),
            Ended::Nothing => first,
            _ => false,
        };
        if !judged {
            continue;
        }
        let killed = exit.after == Ended::Sigkill;
        out.require(exit.after == Ended::Sigterm, || {
            told(
                format!(
                    "The server did not end on SIGTERM, and {}.",
                    if killed { "had to be killed" } else { "was left behind" }
                ),
                &["an exit soon after SIGTERM"],
                format!("{} after {} ms", if killed { "ended by SIGKILL" } else { "still running" }, exit.took_ms),
                "end on SIGTERM; do not catch it without leaving",
                vec![process.seq, exit.seq],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::model::Via;
    use crate::transcript::{Builder, End, Ended, EventKind};
    use serde_json::{Value, json};

    fn progress() -> Value {
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "p", "progress": 1}})
    }

    fn params() -> Value {
        json!({"name": "slow", "_meta": {"progressToken": "p"}})
    }

    #[test]
    fn over_http() {
        let start = || Builder::new().modern().discover(json!({"tools": {}}));
        let closed = || start().probe(&[], "tools/call", params()).stream().end(End::ClosedByUs).pause_ms(900);
        let kept = closed().call("tools/list", Value::Null, json!({"tools": []}));
        let other = closed().probe(&[], "tools/call", json!({"name": "x"})).stream().sse(None, &progress());
        expect_three("transport.http.disconnect-no-messages", &kept, &other.end(End::Complete), &start());
        let open = || start().listen(json!({}), json!({}));
        let result = json!({"jsonrpc": "2.0", "id": 2, "result": {"resultType": "complete"}});
        let id = "utilities.cancellation.server-listen-teardown";
        assert_eq!(judge(id, &open().sse(None, &result).end(End::Complete)).outcome, Outcome::Pass);
        assert_eq!(judge(id, &open().end(End::Complete)).outcome, Outcome::Warn);
        assert_eq!(judge(id, &open().end(End::ClosedByUs)).outcome, Outcome::NotExercised);
    }

    #[test]
    fn on_pipes() {
        let start = || Builder::new().channel(Via::Stdio).modern().discover(json!({"tools": {}}));
        let cut = || {
            let message = start().message(&json!("c"), "tools/call", params());
            start().post(&message).notify("notifications/cancelled", json!({"requestId": "c"})).pause_ms(900)
        };
        let kept = cut().call("tools/list", Value::Null, json!({"tools": []}));
        let late = cut().comes(&progress().to_string());
        expect_three("transport.stdio.cancel-stops-work", &kept, &late, &start());
        let id = "transport.stdio.cancel-no-further-messages";
        assert_eq!(judge(id, &kept).outcome, Outcome::Pass);
        assert_eq!(judge(id, &late).outcome, Outcome::Warn, "a server may be unable to cancel");
        assert_eq!(judge(id, &start()).outcome, Outcome::NotExercised);
        let ended = |after: Ended| {
            start().event(EventKind::Exit {
                exchange: 1,
                after,
                began: None,
                took_ms: 5,
                code: None,
                left_others: false,
            })
        };
        expect_three("transport.stdio.sigterm-exit", &ended(Ended::Sigterm), &ended(Ended::Sigkill), &start());
        let first = |after: Ended, took_ms: u64| {
            let began = Some(Ended::Sigterm);
            start().event(EventKind::Exit { exchange: 1, after, began, took_ms, code: None, left_others: false })
        };
        let id = "transport.stdio.sigterm-exit";
        expect_three(id, &first(Ended::Sigterm, 5), &first(Ended::Nothing, 3000), &first(Ended::Sigkill, 100));
        assert_eq!(judge(id, &first(Ended::Sigkill, 2000)).outcome, Outcome::Warn);
        expect_three("transport.stdio.eof-exit", &ended(Ended::InputClosed), &ended(Ended::Sigterm), &start());
    }
}
