//! Log messages and progress in the modern era: asked for by each request, told on its own stream.

use super::asked::meta;
use super::flaw::{Ask, Flaw, LEVELS, flaws, of_era, requests};
use crate::check::wire::{body_error, came, short, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _};
use crate::transcript::{META_LEVEL, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "utilities.logging.opt-in", judge: opt_in },
    Check { id: "utilities.logging.per-request-level", judge: level },
    Check { id: "utilities.logging.own-stream", judge: own_stream },
    Check { id: "utilities.logging.invalid-level-modern", judge: invalid_level },
    Check { id: "utilities.logging.no-stickiness", judge: not_sticky },
    Check { id: "utilities.progress.on-request-stream", judge: progress_on_stream },
];

const LOG: &str = "notifications/message";

/// Log messages with the request on whose stream each came.
fn logs<'v>(view: &'v View<'_>) -> Vec<(&'v Msg, Ask<'v>)> {
    let found: Vec<&Msg> = of_era(view).filter(|msg| msg.method() == Some(LOG)).collect();
    if found.is_empty() {
        return Vec::new();
    }
    let asked: Vec<Ask<'v>> = requests(view).collect();
    found
        .into_iter()
        .filter(|msg| !view.exchange_of(msg).via.has_one_stream())
        .filter_map(|msg| Some((msg, *asked.iter().find(|ask| ask.request.exchange == msg.exchange)?)))
        .collect()
}

fn wanted(ask: &Ask<'_>) -> Option<usize> {
    let level = meta(ask.request, META_LEVEL).as_str()?;
    LEVELS.iter().position(|name| *name == level)
}

/// Calls that logged at some time, by name: what is silent without being asked shows something only for these.
fn talkative(ask: &Ask<'_>, logs: &[(&Msg, Ask<'_>)]) -> bool {
    logs.iter().any(|(_, other)| other.method() == ask.method() && other.param("name") == ask.param("name"))
}

/// Nobody gets log messages who did not ask for them.
fn opt_in(view: &View<'_>, out: &mut Findings) {
    let logs = logs(view);
    for ask in
        requests(view).filter(|ask| meta(ask.request, META_LEVEL).is_null() && ask.method() != "subscriptions/listen")
    {
        let log = logs.iter().find(|(_, other)| other.request.seq == ask.request.seq).map(|(msg, _)| *msg);
        if log.is_none() && !(talkative(&ask, &logs) && ask.response.is_some()) {
            continue;
        }
        out.require(log.is_none(), || {
            told(
                format!("A log message came for {}, which had not asked for any.", ask.method()),
                &["no notifications/message for a request without io.modelcontextprotocol/logLevel"],
                log.map_or_else(String::new, |msg| short(&msg.value.to_string())),
                "send log messages only for requests that carry a level",
                ask.evidence().into_iter().chain(log.map(|msg| msg.seq)).collect(),
            )
        });
    }
}

/// What comes is at least as severe as was asked for.
fn level(view: &View<'_>, out: &mut Findings) {
    for (msg, ask) in logs(view) {
        let came =
            msg.value.at("params").at("level").as_str().and_then(|level| LEVELS.iter().position(|name| *name == level));
        let Some((least, came)) = wanted(&ask).zip(came) else { continue };
        out.require(came >= least, || {
            told(
                format!(
                    "The request asked for messages from {} on, and one of level {} came.",
                    LEVELS[least], LEVELS[came]
                ),
                &["messages of the level of the request, or more severe ones"],
                short(&msg.value.to_string()),
                "compare each message with the level of its request",
                vec![ask.request.seq, msg.seq],
            )
        });
    }
}

/// They come on the stream of the request that asked, not on a subscription and not on another request's.
fn own_stream(view: &View<'_>, out: &mut Findings) {
    let logs = logs(view);
    // Another request asked at the same time for what this one did not.
    let running = |msg: &Msg| {
        requests(view).any(|ask| {
            wanted(&ask).is_some()
                && ask.request.exchange != msg.exchange
                && ask.request.seq < msg.seq
                && ask.exchange.end_seq.is_none_or(|end| end > msg.seq)
        })
    };
    for (msg, ask) in &logs {
        let stray = ask.method() == "subscriptions/listen" || (wanted(ask).is_none() && running(msg));
        if !stray && wanted(ask).is_none() {
            continue;
        }
        out.require(!stray, || {
            told(
                format!("A log message came on the stream of {}, which had not asked for any.", ask.method()),
                &["log messages on the stream of the request that set their level"],
                short(&msg.value.to_string()),
                "write log messages to the stream of the request in whose course they arise",
                vec![ask.request.seq, msg.seq],
            )
        });
    }
}

/// A level that does not exist is an invalid parameter.
fn invalid_level(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view).filter(|ask| ask.tells() && flaws(view, ask) == [Flaw::Level]) {
        let code = ask.code().or_else(|| body_error(ask.exchange));
        out.require(code == Some(-32602), || {
            told(
                format!(
                    "{} asked for the log level {}, which does not exist.",
                    ask.method(),
                    meta(ask.request, META_LEVEL)
                ),
                &["error -32602"],
                came(ask.exchange),
                "refuse levels that are none of the eight",
                ask.evidence(),
            )
        });
    }
}

/// The level of one request is not that of the next.
fn not_sticky(view: &View<'_>, out: &mut Findings) {
    let logs = logs(view);
    for ask in
        requests(view).filter(|ask| meta(ask.request, META_LEVEL).is_null() && ask.method() != "subscriptions/listen")
    {
        let before = requests(view).any(|other| {
            wanted(&other).is_some()
                && other.exchange.client == ask.exchange.client
                && other.request.seq < ask.request.seq
        });
        if !before || !talkative(&ask, &logs) || ask.response.is_none() {
            continue;
        }
        let log = logs.iter().find(|(_, other)| other.request.seq == ask.request.seq).map(|(msg, _)| *msg);
        out.require(log.is_none(), || {
            told(
                format!("A log message came for {}, for which only an earlier request had asked.", ask.method()),
                &["no messages: each request asks for itself"],
                log.map_or_else(String::new, |msg| short(&msg.value.to_string())),
                "keep no level beyond its request",
                ask.evidence().into_iter().chain(log.map(|msg| msg.seq)).collect(),
            )
        });
    }
}

/// Progress comes on the stream of its request.
fn progress_on_stream(view: &View<'_>, out: &mut Findings) {
    let token = |msg: &Msg| msg.value.at("params").at("_meta").at("progressToken").clone();
    for msg in
        of_era(view).filter(|msg| msg.method() == Some("notifications/progress") && msg.kind == Kind::Notification)
    {
        if view.exchange_of(msg).via.has_one_stream() {
            continue;
        }
        let given = msg.value.at("params").at("progressToken");
        let owners: Vec<Ask<'_>> = requests(view).filter(|ask| token(ask.request) == *given).collect();
        if given.is_null() || owners.is_empty() {
            continue;
        }
        let own = owners.iter().any(|ask| ask.request.exchange == msg.exchange);
        out.require(own, || {
            told(
                format!("Progress of the token {given} came on another stream than that of its request."),
                &["progress on the stream that answers the request"],
                short(&msg.value.to_string()),
                "write progress to the stream of its own request",
                vec![owners[0].request.seq, msg.seq],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().modern().discover(json!({"tools": {}, "logging": {}}))
    }

    fn log(level: &str) -> Value {
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level, "data": 1}})
    }

    fn call(builder: Builder, meta: &Value, came: &[Value]) -> Builder {
        let mut builder = builder.probe(&[], "tools/call", json!({"name": "x", "_meta": meta})).stream();
        for message in came {
            builder = builder.sse(None, message);
        }
        let reply =
            json!({"jsonrpc": "2.0", "id": builder.latest_id(), "result": {"resultType": "complete", "content": []}});
        builder.sse(None, &reply).end(End::Complete)
    }

    #[test]
    fn levels() {
        let leveled = |level: &str| json!({META_LEVEL: level});
        let asked = call(start(), &leveled("warning"), &[log("error")]);
        let quiet = call(asked.clone(), &json!({}), &[]);
        let loud = call(asked.clone(), &json!({}), &[log("error")]);
        expect_three("utilities.logging.opt-in", &quiet, &loud, &start());
        expect_three("utilities.logging.no-stickiness", &quiet, &loud, &asked);
        let low = call(start(), &leveled("warning"), &[log("info")]);
        expect_three("utilities.logging.per-request-level", &asked, &low, &start());
        let listening = start().listen(json!({}), json!({})).sse(None, &log("error")).end(End::ClosedByUs);
        expect_three("utilities.logging.own-stream", &asked, &listening, &start());
        let probe = || start().probe(&[], "tools/call", json!({"name": "x", "_meta": {META_LEVEL: "loud"}}));
        let kept = probe().refuses(400, -32602, Value::Null);
        let broken = probe().serves("tools/call", json!({"content": []}));
        expect_three("utilities.logging.invalid-level-modern", &kept, &broken, &start());
    }

    #[test]
    fn progress() {
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "p", "progress": 1}});
        let own = call(start(), &json!({"progressToken": "p"}), std::slice::from_ref(&progress));
        let first = call(start(), &json!({"progressToken": "p"}), &[]);
        let stray = call(first.clone(), &json!({"progressToken": "q"}), &[progress]);
        expect_three("utilities.progress.on-request-stream", &own, &stray, &first);
    }
}
