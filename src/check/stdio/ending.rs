//! How a server ends: soon after its input has ended, without being told twice, and with all that it started.

use crate::check::wire::told;
use crate::check::{Check, Findings};
use crate::transcript::{Ended, Exchange, Exit, Msg, View};

use super::output::processes;
use crate::model::Members as _;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.stdio.eof-exit-legacy", judge: at_end_of_input },
    Check { id: "transport.stdio.eof-exit", judge: at_end_of_input },
    Check { id: "transport.stdio.inflight-on-eof", judge: in_a_call },
];

/// The processes whose input the client closed first of all, with how they ended.
fn ended<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Exchange, Exit)> {
    let exits = processes(view).filter_map(|process| Some((process, process.exit?)));
    exits.filter(|(_, exit)| exit.after != Ended::ByItself && exit.began.is_none())
}

/// Whether a request that could be read was under way, or never answered nor cancelled, when the input was closed.
fn in_flight(view: &View<'_>, process: &Exchange, exit: Exit) -> bool {
    view.calls.iter().any(|call| {
        let request = &view.messages[call.request];
        let exchange = view.exchange_of(request);
        let answered = call.responses.iter().any(|index| view.messages[*index].seq < exit.seq);
        let cancels = |msg: &Msg| {
            !msg.received()
                && msg.method() == Some("notifications/cancelled")
                && msg.seq > request.seq
                && msg.value.at("params").at("requestId") == request.value.at("id")
        };
        let over = answered || exchange.is_unread() || view.messages.iter().any(cancels);
        exchange.channel == Some(process.number) && request.seq < exit.seq && !over
    })
}

/// Without anything under way, the end of its input ends a server.
fn at_end_of_input(view: &View<'_>, out: &mut Findings) {
    for (process, exit) in ended(view).filter(|(process, exit)| !in_flight(view, process, *exit)) {
        if !out.covers(process.revision) {
            continue;
        }
        out.require(exit.after == Ended::InputClosed, || {
            let (what, asked) = match exit.after {
                Ended::Sigkill => ("neither when its input ended nor on SIGTERM, and had to be killed", "SIGKILL"),
                Ended::Nothing => {
                    ("neither when its input ended nor when its client had gone, and was left behind", "nobody")
                }
                _ => ("only on SIGTERM, not when its input ended", "SIGTERM"),
            };
            told(
                format!("The server ended {what}."),
                &["an exit soon after standard input is closed"],
                format!("ended by {asked} after {} ms", exit.took_ms),
                "leave the loop that reads messages at the end of input, close what is open, and exit",
                vec![process.seq, exit.seq],
            )
        });
    }
}

/// A call under way does not keep it, and nothing that it started outlives it.
fn in_a_call(view: &View<'_>, out: &mut Findings) {
    for (process, exit) in ended(view) {
        let busy = in_flight(view, process, exit);
        if (!busy && !exit.left_others) || !out.covers(process.revision) {
            continue;
        }
        out.require(exit.after == Ended::InputClosed && !exit.left_others, || {
            let what = if exit.left_others {
                "The server ended, and left processes running that it had started."
            } else {
                "The server did not end when its input ended while a call was under way."
            };
            told(
                what.to_owned(),
                &["an exit soon after standard input is closed", "no process left behind"],
                format!(
                    "gone after {} ms{}",
                    exit.took_ms,
                    if exit.left_others { ", its children killed" } else { "" }
                ),
                "cancel what runs when input ends, and end the processes that were started for it",
                vec![process.seq, exit.seq],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::expect_three;
    use crate::model::Via;
    use crate::transcript::{Builder, End, EventKind};
    use serde_json::json;

    fn ends(builder: &Builder, after: Ended, left_others: bool) -> Builder {
        let exit = EventKind::Exit { exchange: 1, after, began: None, took_ms: 40, code: Some(0), left_others };
        builder.clone().event(exit).event(EventKind::End { exchange: 1, end: End::Complete })
    }

    #[test]
    fn the_end_of_input_is_enough() {
        let idle = Builder::new().channel(Via::Stdio).initialize("2025-06-18");
        let id = "transport.stdio.eof-exit-legacy";
        expect_three(id, &ends(&idle, Ended::InputClosed, false), &ends(&idle, Ended::Sigterm, false), &idle);
        expect_three(id, &ends(&idle, Ended::InputClosed, false), &ends(&idle, Ended::Nothing, false), &idle);
        // Who begins with a signal has not asked what happens at the end of input.
        let kind = |began| EventKind::Exit {
            exchange: 1,
            after: Ended::Sigterm,
            began,
            took_ms: 9,
            code: None,
            left_others: false,
        };
        let signalled = idle.clone().event(kind(Some(Ended::Sigterm)));
        expect_three(id, &ends(&idle, Ended::InputClosed, false), &idle.clone().event(kind(None)), &signalled);
        let call = json!({"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": {"name": "slow"}});
        let busy = idle.clone().post(&call);
        let id = "transport.stdio.inflight-on-eof";
        expect_three(id, &ends(&busy, Ended::InputClosed, false), &ends(&busy, Ended::Sigkill, false), &idle);
        expect_three(id, &ends(&busy, Ended::InputClosed, false), &ends(&idle, Ended::InputClosed, true), &idle);
    }
}
