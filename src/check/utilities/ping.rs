//! Ping.

use serde_json::Value;

use crate::check::support::{is_proper, param, told};
use crate::check::wire::came;
use crate::check::{Breach, Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Call, End, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "utilities.ping.respond", judge: respond },
    Check { id: "utilities.ping.respond-under-load", judge: respond_under_load },
    Check { id: "utilities.ping.no-params-needed", judge: no_params_needed },
];

/// Later than this an answer to a ping is not prompt.
const PROMPT: u64 = 1_000_000;
/// A ping that waited no longer than this was not held up by another call.
const HELD_UP: u64 = 1_000_000;
/// Nor is one late that took no longer than so many times what the first answer to anything else took: the way is far, or
/// this machine busy.
const USUAL: u64 = 4;

/// Microseconds that the first answered request took that was no ping.
fn first_took(view: &View<'_>) -> u64 {
    let took = |call: &Call| {
        let (request, response) = (&view.messages[call.request], &view.messages[*call.responses.first()?]);
        (request.method() != Some("ping")).then(|| response.at.saturating_sub(request.at))
    };
    view.calls.iter().find_map(took).unwrap_or_default()
}

/// A ping gets an empty result, and soon. Metadata and extra members do no harm.
fn respond(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("ping") {
        // What strangers in the params do is judged under `base.unknown-params-tolerated` and its relatives.
        let params = request.value.member("params").and_then(Value::as_object);
        let plain = params.is_none_or(|params| params.keys().all(|key| key == "_meta"))
            && param(request, "_meta").as_object().is_none_or(|meta| meta.keys().all(|key| key == "progressToken"));
        if !plain || !out.covers(request.revision) || !is_proper(view, request) {
            continue;
        }
        let Some(response) = response else {
            unanswered(view, request, out);
            continue;
        };
        if refused_for_its_id(request, response) {
            continue;
        }
        let breach = |what: &str, fix: &str| {
            told(what, &["{\"result\": {}} within a second"], &response.value, fix, &[request, response])
        };
        if !response.value.at("result").is_object() {
            out.breach(breach("The server did not answer a ping with a result.", "answer ping with an empty object"));
        } else if response.at.saturating_sub(request.at) > PROMPT.max(USUAL * first_took(view)) {
            out.contested(breach(
                "The answer to a ping took longer than a second.",
                "answer ping without waiting for other work",
            ));
        } else {
            out.pass();
        }
    }
}

/// Whether a string as id may be why a ping was refused as an invalid request: `base.id-type-tolerance` judges that.
fn refused_for_its_id(request: &Msg, response: &Msg) -> bool {
    request.value.at("id").is_string() && response.message().error_code() == Some(-32600)
}

fn unanswered(view: &View<'_>, request: &Msg, out: &mut Findings) {
    let exchange = view.exchange_of(request);
    match exchange.end {
        // Why a channel ended is not for the ping to tell.
        Some(End::CutShort) if exchange.is_message() => return out.inconclusive(),
        Some(End::TimedOut | End::CutShort) => {}
        Some(End::Complete) if exchange.is_success() => {}
        _ => return out.inconclusive(),
    }
    let breach = told(
        "The server gave no answer to a ping.",
        &["{\"result\": {}} with the id of the ping"],
        &Value::Null,
        "answer ping with an empty object on the response to its own POST",
        &[request],
    );
    out.breach(Breach { actual: came(exchange), ..breach });
}

/// A ping that arrives while another call is running does not wait for that call's end.
fn respond_under_load(view: &View<'_>, out: &mut Findings) {
    for (ping, answer) in view.calls_to("ping") {
        let Some(answer) = answer.filter(|_| out.covers(ping.revision) && is_proper(view, ping)) else { continue };
        let running = view.calls.iter().find_map(|call| {
            let request = &view.messages[call.request];
            let response = call.responses.first().map(|index| &view.messages[*index])?;
            (request.method() != Some("ping")
                && request.conversation == ping.conversation
                && request.seq < ping.seq
                && response.seq > ping.seq)
                .then_some((request, response))
        });
        let Some((request, response)) = running else { continue };
        let took = answer.at.saturating_sub(ping.at);
        let waited = took > HELD_UP.max(USUAL * first_took(view)) && answer.seq > response.seq;
        out.require(!waited, || {
            told(
                "A ping was answered only after the call that was running had ended.",
                &["the answer to the ping while the other call still runs"],
                &answer.value,
                "handle the requests of a session concurrently",
                &[request, ping, response, answer],
            )
        });
    }
}

/// A ping needs no params, and an empty object as params is fine too.
fn no_params_needed(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("ping") {
        let params = request.value.member("params");
        let plain = params.is_none_or(|params| params.as_object().is_some_and(serde_json::Map::is_empty));
        let Some(response) = response.filter(|_| plain && out.covers(request.revision) && is_proper(view, request))
        else {
            continue;
        };
        if refused_for_its_id(request, response) {
            continue;
        }
        let form = if params.is_none() { "without params" } else { "with empty params" };
        out.require(response.value.member("error").is_none_or(Value::is_null), || {
            told(
                format!("The server refused a ping {form}."),
                &["a result"],
                &response.value,
                "accept ping with params absent and with params {}",
                &[request, response],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::support::three;
    use crate::check::testing::judge;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    #[test]
    fn answered_promptly_and_with_any_params() {
        let base = Builder::new().initialize("2025-06-18");
        let good = base.clone().call("ping", Value::Null, json!({})).call("ping", json!({}), json!({}));
        let bad = base.call_error("ping", Value::Null, -32601);
        three("utilities.ping.respond", &good, &bad);
        three("utilities.ping.no-params-needed", &good, &bad);
    }

    #[test]
    fn late_only_where_the_rest_is_not() {
        let ask = |id: &str, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method});
        let after = |builder: Builder, (id, method): (&str, &str), took: u64| {
            builder.post(&ask(id, method)).pause_ms(took).json(200, &json!({"jsonrpc": "2.0", "id": id, "result": {}}))
        };
        let judged = |first: u64, ping: u64| {
            let probed = after(Builder::new(), ("probe", "server/discover"), first).initialize("2025-11-25");
            judge("utilities.ping.respond", &after(probed, ("p", "ping"), ping)).outcome
        };
        assert_eq!(judged(5, 900), Outcome::Pass);
        assert_eq!(judged(5, 1_500), Outcome::Warn);
        assert_eq!(judged(600, 1_500), Outcome::Pass, "the way is far, or this machine is busy");
        assert_eq!(judged(600, 2_500), Outcome::Warn);
        let too_early = after(Builder::new(), ("p", "ping"), 1_500).initialize("2025-11-25");
        let again = after(too_early, ("q", "ping"), 1_500);
        assert_eq!(judge("utilities.ping.respond", &again).outcome, Outcome::Warn, "pings are no measure of pings");
    }

    #[test]
    fn answered_while_a_call_runs() {
        let base = Builder::new().initialize("2025-11-25");
        let slow = json!({"jsonrpc": "2.0", "id": "slow", "method": "tools/call", "params": {"name": "x"}});
        let done = json!({"jsonrpc": "2.0", "id": "slow", "result": {"content": []}});
        let question = json!({"jsonrpc": "2.0", "id": "p", "method": "ping"});
        let answer = json!({"jsonrpc": "2.0", "id": "p", "result": {}});
        // The end of the call arrives on a stream of its own, as after a resumption.
        let open = base.post(&slow).stream().end(End::CutShort);
        let resume = |builder: Builder| builder.request("GET", &[], None).stream().sse(None, &done).end(End::Complete);
        let good = resume(open.clone().post(&question).json(200, &answer));
        let bad = open.post(&question).stream().pause_ms(2_000).sse(None, &done).sse(None, &answer).end(End::Complete);
        three("utilities.ping.respond-under-load", &good, &bad);
    }
}
