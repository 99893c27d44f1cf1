//! What a server writes to its standard output: messages, each on one line, and nothing else.

use serde_json::Value;

use crate::check::wire::{short, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Message, Via};
use crate::transcript::{ChannelText, Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.stdio.framing", judge: framing },
    Check { id: "transport.stdio.stdout-clean", judge: clean },
    Check { id: "transport.stdio.stdout-clean-on-error", judge: clean_on_error },
];

/// The most lines that one message is looked for in.
const MOST_LINES: usize = 64;

/// The processes that were started, with what they wrote.
pub(super) fn processes<'v>(view: &'v View<'_>) -> impl Iterator<Item = &'v Exchange> {
    view.exchanges.iter().filter(|exchange| exchange.via == Via::Stdio && exchange.channel.is_none())
}

/// Whether a text is a message, or an array of such.
fn is_message(text: &str) -> bool {
    let message = |value: &Value| Message(value).kind() != Kind::Other;
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(members)) => !members.is_empty() && members.iter().all(message),
        Ok(single) => message(&single),
        Err(_) => false,
    }
}

/// What a process wrote, sorted.
#[derive(Default)]
struct Written<'v> {
    /// Lines that are messages.
    good: Vec<&'v ChannelText>,
    /// Lines that are a message only together.
    broken: Vec<&'v [ChannelText]>,
    /// Lines that are none.
    stray: Vec<&'v ChannelText>,
}

fn sorted(process: &Exchange) -> Written<'_> {
    let mut written = Written::default();
    let mut rest = process.texts.as_slice();
    while let Some((first, after)) = rest.split_first() {
        if is_message(&first.text) {
            written.good.push(first);
            rest = after;
            continue;
        }
        let opens = first.text.trim_start().starts_with(['{', '[']);
        let whole = (2..=rest.len().min(MOST_LINES)).filter(|_| opens).find(|count| {
            let lines: Vec<&str> = rest[..*count].iter().map(|line| line.text.as_ref()).collect();
            is_message(&lines.join("\n"))
        });
        if let Some(count) = whole {
            written.broken.push(&rest[..count]);
            rest = &rest[count..];
        } else {
            written.stray.push(first);
            rest = after;
        }
    }
    written
}

/// No message has a line break in it.
fn framing(view: &View<'_>, out: &mut Findings) {
    for process in processes(view) {
        let written = sorted(process);
        for lines in &written.broken {
            let text: Vec<&str> = lines.iter().map(|line| line.text.as_ref()).collect();
            out.breach(told(
                format!("A message stands on {} lines, so that no client can read it.", lines.len()),
                &["each message on one line"],
                short(&text.join("\n")),
                "serialise messages without indentation, and end each with one line break",
                lines.iter().map(|line| line.seq).collect(),
            ));
        }
        if written.broken.is_empty() && !written.good.is_empty() {
            out.pass();
        }
    }
}

/// Whether a line came after something went wrong and before the client went on: a malformed line, or an error.
fn after_error(view: &View<'_>, process: &Exchange, line: &ChannelText) -> bool {
    let latest = |seq: &mut Option<(u32, bool)>, at: u32, bad: bool| {
        if at < line.seq && seq.is_none_or(|(known, _)| known < at) {
            *seq = Some((at, bad));
        }
    };
    let mut last = None;
    for sent in view.exchanges.iter().filter(|exchange| exchange.channel == Some(process.number)) {
        latest(&mut last, sent.seq, sent.sent_json().is_none());
    }
    for msg in view.received().filter(|msg| view.exchange_of(msg).line() == Some(process.number)) {
        let failed = msg.value.member("error").is_some() || msg.value.at("result").at("isError") == true;
        latest(&mut last, msg.seq, failed);
    }
    // What is written before an error is answered belongs to it as well.
    let next = view.received().find(|msg| msg.seq > line.seq && view.exchange_of(msg).line() == Some(process.number));
    let answers_error =
        next.is_some_and(|msg| msg.value.member("error").is_some() || msg.value.at("result").at("isError") == true);
    last.is_some_and(|(_, bad)| bad) || answers_error
}

fn stray(line: &ChannelText, out: &mut Findings, when: &str) {
    let blank = line.text.trim().is_empty();
    let breach = told(
        format!("The server wrote a line to its standard output that is no message{when}."),
        &["JSON-RPC messages only"],
        if blank { "a blank line".to_owned() } else { short(&line.text) },
        "write logs, traces and banners to standard error",
        vec![line.seq],
    );
    // Whether nothing at all is something that must not be written, nobody has said.
    if blank { out.contested(breach) } else { out.breach(breach) }
}

/// Nothing but messages is on standard output.
fn clean(view: &View<'_>, out: &mut Findings) {
    for process in processes(view) {
        let written = sorted(process);
        let mut strays = written.stray.iter().filter(|line| !after_error(view, process, line)).peekable();
        if strays.peek().is_none() && !written.good.is_empty() {
            out.pass();
        }
        strays.for_each(|line| stray(line, out, ""));
    }
}

/// Nor is there anything else where something went wrong.
fn clean_on_error(view: &View<'_>, out: &mut Findings) {
    for process in processes(view) {
        let written = sorted(process);
        let failed = view.received().any(|msg| {
            let error = msg.value.member("error").is_some() || msg.value.at("result").at("isError") == true;
            error && view.exchange_of(msg).line() == Some(process.number)
        });
        let malformed =
            view.exchanges.iter().any(|sent| sent.channel == Some(process.number) && sent.sent_json().is_none());
        let mut strays = written.stray.iter().filter(|line| after_error(view, process, line)).peekable();
        if strays.peek().is_none() && (failed || malformed) && !written.good.is_empty() {
            out.pass();
        }
        strays.for_each(|line| stray(line, out, " when something had gone wrong"));
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::model::Via;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().channel(Via::Stdio).initialize("2025-06-18")
    }

    #[test]
    fn lines_are_messages_and_messages_are_lines() {
        let silent = Builder::new().initialize("2025-06-18");
        let broken = start().comes("{\"jsonrpc\": \"2.0\",").comes(" \"method\": \"notifications/message\"}");
        expect_three("transport.stdio.framing", &start(), &broken, &silent);
        expect_three("transport.stdio.stdout-clean", &start(), &start().comes("Server started"), &silent);
    }

    #[test]
    fn an_error_is_no_reason_to_write_something_else() {
        let failed = start().call_error("no/such", Value::Null, -32601);
        let broken = failed.clone().comes("Traceback (most recent call last):");
        let fine = start().call("ping", Value::Null, json!({}));
        expect_three("transport.stdio.stdout-clean-on-error", &failed, &broken, &fine);
        expect_three("transport.stdio.stdout-clean", &broken, &start().comes("Server started"), &Builder::new());
    }
}
