//! What a server does with the lines of its client: odd ones, long ones, arrays, several at once.

use serde_json::Value;

use super::output::processes;
use crate::check::wire::{came, short, told, well_formed};
use crate::check::{Check, Findings};
use crate::model::{Members as _, Via};
use crate::transcript::{End, Ended, Exchange, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.stdio.malformed-line-survives", judge: malformed },
    Check { id: "transport.stdio.blank-line-tolerated", judge: blank },
    Check { id: "transport.stdio.large-message", judge: large },
    Check { id: "transport.stdio.batch-line", judge: batch },
    Check { id: "transport.stdio.concurrent-requests", judge: concurrent },
];

/// More than a pipe holds on common systems, in bytes.
const PIPE: usize = 64 * 1024;

/// The requests that went to a process, each with its exchange and whether it was answered.
fn requests<'v>(
    view: &'v View<'_>,
    process: &'v Exchange,
) -> impl Iterator<Item = (&'v Msg, &'v Exchange, Option<&'v Msg>)> {
    view.calls.iter().filter_map(move |call| {
        let request = &view.messages[call.request];
        let exchange = view.exchange_of(request);
        let here = exchange.channel == Some(process.number) && well_formed(&request.value);
        here.then(|| (request, exchange, call.responses.first().map(|index| &view.messages[*index])))
    })
}

/// Judges whether a process goes on after lines of a kind: the next request is answered.
fn survives(view: &View<'_>, out: &mut Findings, odd: fn(&str) -> bool, what: &str, fix: &str) {
    for process in processes(view) {
        let here = |exchange: &&Exchange| exchange.channel == Some(process.number);
        for line in view.exchanges.iter().filter(here).filter(|line| odd(line.body.as_deref().unwrap_or_default())) {
            // What was unanswered before says nothing about this line.
            if requests(view, process).any(|(request, _, response)| request.seq < line.seq && response.is_none()) {
                out.inconclusive();
                continue;
            }
            let next = requests(view, process).find(|(request, ..)| request.seq > line.seq);
            let by_itself = process.exit.is_some_and(|exit| exit.after == Ended::ByItself);
            let (gone, evidence) = match next {
                Some((_, _, Some(_))) => {
                    out.pass();
                    continue;
                }
                Some((request, exchange, None)) => {
                    let gone =
                        by_itself || matches!(exchange.end, Some(End::CutShort | End::TimedOut | End::Failed(_)));
                    (gone, vec![line.seq, request.seq])
                }
                None => (by_itself, vec![line.seq]),
            };
            if !gone {
                out.inconclusive();
                continue;
            }
            out.breach(told(
                format!("After {what} the server answered nothing any more."),
                &["the next request is answered"],
                if by_itself { "the server ended by itself".to_owned() } else { "no answer".to_owned() },
                fix,
                evidence,
            ));
        }
    }
}

/// A line that is no JSON does not end the server.
fn malformed(view: &View<'_>, out: &mut Findings) {
    let odd = |line: &str| !line.trim().is_empty() && serde_json::from_str::<Value>(line).is_err();
    survives(view, out, odd, "a line that is no JSON", "answer it with error -32700, or skip it, and read on");
}

/// Nor does a blank line, nor one that ends with CR LF.
fn blank(view: &View<'_>, out: &mut Findings) {
    let odd = |line: &str| line.trim().is_empty() || line.ends_with('\r');
    survives(
        view,
        out,
        odd,
        "a blank line or one that ends with CR LF",
        "skip blank lines, and drop a CR before the LF",
    );
}

/// A line that no pipe holds at once is read whole.
fn large(view: &View<'_>, out: &mut Findings) {
    for process in processes(view) {
        for (request, exchange, response) in requests(view, process) {
            let padded = exchange.sent_header("length").and_then(|length| length.parse().ok());
            let length = padded.unwrap_or_else(|| exchange.body.as_deref().map_or(0, str::len));
            if length <= PIPE || request.batched {
                continue;
            }
            if response.is_none() && exchange.end == Some(End::ClosedByUs) {
                out.inconclusive();
                continue;
            }
            out.require(response.is_some(), || {
                told(
                    format!("A request of {length} bytes was not answered."),
                    &["a response, as to a short request"],
                    came(exchange),
                    "read lines of any length; do not stop at what a pipe or a buffer holds",
                    exchange.evidence(),
                )
            });
        }
    }
}

/// An array on a line is taken where the revision has arrays.
fn batch(view: &View<'_>, out: &mut Findings) {
    let arrays = view.exchanges.iter().filter(|exchange| exchange.via == Via::Stdio && out.covers(exchange.revision));
    let arrays: Vec<&Exchange> = arrays.filter(|exchange| exchange.sent_json().is_some_and(Value::is_array)).collect();
    for exchange in arrays {
        let members = exchange.sent_json().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if members.is_empty() || !members.iter().all(|one| well_formed(one) || one.member("id").is_none()) {
            continue;
        }
        let answers: Vec<&Msg> = view
            .received()
            .filter(|msg| view.exchange_of(msg).number == exchange.number && msg.value.member("method").is_none())
            .collect();
        if answers.is_empty() {
            out.inconclusive();
            continue;
        }
        let refused = answers.iter().find(|msg| msg.value.at("id").is_null());
        out.require(refused.is_none(), || {
            told(
                "An array of messages on a line was refused, which this revision asks servers to take.".to_owned(),
                &["a response to each request of the array"],
                refused.map_or_else(String::new, |msg| short(&msg.value.to_string())),
                "take JSON arrays under 2025-03-26, or stop offering that version",
                exchange.evidence().into_iter().chain(answers.iter().map(|msg| msg.seq)).collect(),
            )
        });
    }
}

/// A request is answered while another is under way: it does not wait for it.
fn concurrent(view: &View<'_>, out: &mut Findings) {
    for process in processes(view) {
        let all: Vec<_> = requests(view, process).filter(|(request, ..)| !request.batched).collect();
        for (first, slow, answer) in &all {
            let end = answer.map(|answer| answer.seq).or(slow.end_seq).unwrap_or(u32::MAX);
            // What takes no time of itself shows whether the line was read at all.
            let quick = |request: &&Msg| {
                matches!(request.method(), Some("ping" | "server/discover"))
                    && request.seq > first.seq
                    && request.seq < end
            };
            for (request, exchange, response) in all.iter().filter(|(request, ..)| quick(request)) {
                let Some(response) = response else {
                    if slow.end != Some(End::ClosedByUs) && exchange.end == Some(End::TimedOut) {
                        out.breach(waited(first, request, None));
                    }
                    continue;
                };
                // Only where the first took long enough to be waited for, the order tells anything.
                let long = answer.is_some_and(|answer| answer.at.saturating_sub(request.at) > LONG);
                if response.seq < end {
                    out.pass();
                } else if long {
                    out.breach(waited(first, request, Some(response)));
                }
            }
        }
    }
}

/// So many microseconds a call has to go on after a ping, so that the ping would have come first.
const LONG: u64 = 30_000;

fn waited(first: &Msg, request: &Msg, response: Option<&Msg>) -> crate::check::Breach {
    told(
        "A ping was not answered before the call that was under way had ended.".to_owned(),
        &["the response to the ping while the call goes on"],
        response.map_or_else(|| "no answer".to_owned(), |_| "the responses came one after the other".to_owned()),
        "read on while a request is worked on, and answer in whatever order the work ends",
        [first.seq, request.seq].into_iter().chain(response.map(|response| response.seq)).collect(),
    )
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::model::Via;
    use crate::transcript::{Builder, End, Ended, EventKind};
    use serde_json::{Value, json};

    fn start(version: &str) -> Builder {
        Builder::new().channel(Via::Stdio).initialize(version)
    }

    fn gone(builder: Builder) -> Builder {
        let exit = EventKind::Exit {
            exchange: 1,
            after: Ended::ByItself,
            began: None,
            took_ms: 0,
            code: Some(1),
            left_others: false,
        };
        builder.event(exit).event(EventKind::End { exchange: 1, end: End::CutShort })
    }

    #[test]
    fn odd_lines_end_nothing() {
        let silent = start("2025-06-18");
        for (id, line) in [
            ("transport.stdio.malformed-line-survives", "{"),
            ("transport.stdio.blank-line-tolerated", ""),
            ("transport.stdio.blank-line-tolerated", "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\r"),
        ] {
            let odd = start("2025-06-18").says(line).end(End::Complete);
            let kept = odd.clone().call("ping", Value::Null, json!({}));
            expect_three(id, &kept, &gone(odd.clone()), &silent);
            let ping = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
            let hangs = odd.clone().post(&ping).end(End::TimedOut);
            assert_eq!(judge(id, &hangs).outcome, Outcome::Warn, "{id}");
            assert_eq!(judge(id, &odd).outcome, Outcome::Inconclusive, "{id}");
        }
    }

    #[test]
    fn long_lines_and_arrays_are_read() {
        let long = json!({"text": "x".repeat(70_000)});
        let kept = start("2025-06-18").call("ping", long.clone(), json!({}));
        let request = json!({"jsonrpc": "2.0", "id": 9, "method": "ping", "params": long});
        let broken = start("2025-06-18").post(&request).end(End::TimedOut);
        expect_three("transport.stdio.large-message", &kept, &broken, &start("2025-06-18"));
        let array = json!([{"jsonrpc": "2.0", "id": 8, "method": "ping"}]);
        let kept =
            start("2025-03-26").post(&array).comes("[{\"jsonrpc\":\"2.0\",\"id\":8,\"result\":{}}]").end(End::Complete);
        let refusal = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no"}});
        let broken = start("2025-03-26").post(&array).json(200, &refusal);
        expect_three("transport.stdio.batch-line", &kept, &broken, &start("2025-03-26"));
    }

    #[test]
    fn a_ping_overtakes_a_call() {
        let call = json!({"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": {"name": "slow"}});
        let ping = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
        let done = |id: i64| json!({"jsonrpc": "2.0", "id": id, "result": {}}).to_string();
        let both = start("2025-06-18").post(&call).post(&ping);
        let kept = both.clone().comes(&done(9)).pause_ms(100).comes(&done(8));
        let broken = both.pause_ms(100).comes(&done(8)).comes(&done(9));
        expect_three("transport.stdio.concurrent-requests", &kept, &broken, &start("2025-06-18"));
    }
}
