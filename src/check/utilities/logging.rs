//! Log messages and their level.

use crate::check::support::{Refusal, expect_refusal, is_proper, param, received_with, server_declared, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "utilities.logging.capability", judge: capability },
    Check { id: "utilities.logging.set-level-works", judge: set_level_works },
    Check { id: "utilities.logging.set-level-invalid", judge: set_level_invalid },
    Check { id: "utilities.logging.level-filter", judge: level_filter },
    Check { id: "utilities.logging.level-values", judge: level_values },
    Check { id: "utilities.logging.data-present", judge: data_present },
];

/// The levels, least severe first.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

fn severity(level: &str) -> Option<usize> {
    LEVELS.iter().position(|name| *name == level)
}

fn log_messages<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Msg> {
    received_with(view, "notifications/message").filter(|msg| out.covers(msg.revision)).collect()
}

/// Who sends log messages has declared the logging capability.
fn capability(view: &View<'_>, out: &mut Findings) {
    for msg in log_messages(view, out) {
        let Some(declared) = server_declared(view, msg, &["logging"]) else { continue };
        out.require(declared, || {
            told(
                "The server sent a log message but its capabilities declare no logging.",
                &["\"logging\": {} among the capabilities", "no notifications/message"],
                &msg.value,
                "declare the logging capability",
                &[msg],
            )
        });
    }
}

/// Each of the eight levels can be set where logging is declared.
fn set_level_works(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("logging/setLevel") {
        let known = param(request, "level").as_str().and_then(severity).is_some();
        let declared = server_declared(view, request, &["logging"]) == Some(true);
        if !known || !declared || !out.covers(request.revision) || !is_proper(view, request) {
            continue;
        }
        let Some(response) = response else {
            out.inconclusive();
            continue;
        };
        out.require(response.value.at("result").is_object(), || {
            told(
                format!("The server declares logging but did not accept the level {}.", param(request, "level")),
                &["an empty result"],
                &response.value,
                "accept all eight levels in logging/setLevel",
                &[request, response],
            )
        });
    }
}

/// A level that does not exist is an invalid parameter.
fn set_level_invalid(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("logging/setLevel") {
        let level = param(request, "level");
        let unknown = level.as_str().is_some_and(|level| severity(level).is_none());
        if !unknown || !out.covers(request.revision) || server_declared(view, request, &["logging"]) != Some(true) {
            continue;
        }
        let rule = Refusal {
            deed: &format!("The client set the unknown log level {level}"),
            codes: &[-32602],
            tolerated: &[],
            fix: "answer -32602 to a level that is none of the eight",
        };
        expect_refusal(view, out, request, response, &rule);
    }
}

/// Once a level is set nothing less severe is sent. Messages around a change of level are not judged.
fn level_filter(view: &View<'_>, out: &mut Findings) {
    const GRACE: u64 = 500_000;
    for msg in log_messages(view, out) {
        if view.exchange_of(msg).sent_header("last-event-id").is_some() {
            continue;
        }
        let mut current = None;
        let mut changing = false;
        for (request, response) in view.calls_to("logging/setLevel") {
            if request.conversation != msg.conversation || request.seq > msg.seq {
                continue;
            }
            match response {
                Some(response) if response.seq > msg.seq => changing = true,
                Some(response) if response.value.member("result").is_some() => {
                    current = Some((request, response));
                    changing = changing
                        || msg.at.saturating_sub(response.at) < GRACE
                            && msg.exchange != request.exchange
                            && view.exchange_of(msg).seq < request.seq;
                }
                Some(_) => {}
                None => changing = true,
            }
        }
        let Some((request, response)) = current.filter(|_| !changing) else { continue };
        let least = param(request, "level").as_str().and_then(severity);
        let Some((least, came)) = least.zip(param(msg, "level").as_str().and_then(severity)) else { continue };
        out.require(came >= least, || {
            told(
                format!(
                    "The client had set the level {}, yet a message of level {} came.",
                    LEVELS[least], LEVELS[came]
                ),
                &[&format!("only messages of level {} or more severe", LEVELS[least])],
                &msg.value,
                "compare each message with the level of its session before sending it",
                &[request, response, msg],
            )
        });
    }
}

/// A log message has one of the eight levels.
fn level_values(view: &View<'_>, out: &mut Findings) {
    for msg in log_messages(view, out) {
        let level = param(msg, "level");
        out.require(level.as_str().and_then(severity).is_some(), || {
            told(
                "A log message has a level that is none of the eight.",
                &[&LEVELS.join(", ")],
                &msg.value,
                "map the levels of the logging library to the syslog names",
                &[msg],
            )
        });
    }
}

/// A log message has data, of any JSON type.
fn data_present(view: &View<'_>, out: &mut Findings) {
    for msg in log_messages(view, out) {
        out.require(msg.value.at("params").member("data").is_some(), || {
            told(
                "A log message has no data.",
                &["params.data, a string or any other JSON value"],
                &msg.value,
                "put the text or the object to be logged into params.data",
                &[msg],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn logging(base: Builder, params: &Value) -> Builder {
        let message = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params});
        base.request("GET", &[], None).stream().sse(None, &message).end(End::ClosedByUs)
    }

    #[test]
    fn messages() {
        let base = Builder::new().initialize("2025-06-18");
        let undeclared = Builder::new().initialize_with("2025-06-18", "2025-06-18", json!({}), json!({}));
        let good = logging(base.clone(), &json!({"level": "error", "data": "x"}));
        three("utilities.logging.capability", &good, &logging(undeclared, &json!({"level": "error", "data": "x"})));
        three("utilities.logging.level-values", &good, &logging(base.clone(), &json!({"level": "loud", "data": 1})));
        three("utilities.logging.data-present", &good, &logging(base, &json!({"level": "error"})));
    }

    #[test]
    fn levels() {
        let base = Builder::new().initialize("2025-11-25");
        let accepted = base.clone().call("logging/setLevel", json!({"level": "error"}), json!({}));
        let refused = base.clone().call_error("logging/setLevel", json!({"level": "error"}), -32603);
        three("utilities.logging.set-level-works", &accepted, &refused);
        let good = base.clone().call_error("logging/setLevel", json!({"level": "loud"}), -32602);
        let bad = base.call("logging/setLevel", json!({"level": "loud"}), json!({}));
        three("utilities.logging.set-level-invalid", &good, &bad);
        let good = logging(accepted.clone(), &json!({"level": "alert", "data": 1}));
        let bad = logging(accepted, &json!({"level": "info", "data": 1}));
        three("utilities.logging.level-filter", &good, &bad);
    }
}
