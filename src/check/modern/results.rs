//! What every result has, and what no server of this era ever sends.

use super::asked::{TASKS, declares};
use super::flaw::{Ask, of_era, requests};
use crate::check::wire::{came, short, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Via};
use crate::transcript::{Carrier, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "base.result-type-present", judge: type_present },
    Check { id: "base.result-type-known", judge: type_known },
    Check { id: "base.no-server-requests", judge: no_requests },
    Check { id: "transport.http.sse-no-server-requests", judge: no_requests_over_http },
    Check { id: "transport.stdio.no-requests-on-stdout", judge: no_requests_on_stdout },
    Check { id: "patterns.mrtr.server-input-via-mrtr", judge: input_in_results },
    Check { id: "features.elicitation.complete-notification-removed", judge: no_completion },
    Check { id: "utilities.cancellation.server-no-other-cancel", judge: no_cancel },
];

fn results<'v>(view: &'v View<'_>) -> impl Iterator<Item = (Ask<'v>, &'v serde_json::Value)> {
    requests(view).filter_map(|ask| Some((ask, ask.result()?)))
}

/// Each result says of which type it is.
fn type_present(view: &View<'_>, out: &mut Findings) {
    for (ask, result) in results(view) {
        out.require(result.at("resultType").is_string(), || {
            told(
                format!("The result of {} has no resultType.", ask.method()),
                &["resultType, which is \"complete\" for an ordinary result"],
                short(&result.to_string()),
                "add \"resultType\": \"complete\" to every result of this revision",
                ask.evidence(),
            )
        });
    }
}

/// The type is one of the protocol, or of an extension that both sides have.
fn type_known(view: &View<'_>, out: &mut Findings) {
    for (ask, result) in results(view) {
        let Some(kind) = result.at("resultType").as_str() else { continue };
        let ours = matches!(kind, "complete" | "input_required");
        // An extension that the client declared may have given it a meaning.
        let extended = declares(&ask.request.value, &["extensions"]).unwrap_or(true) && kind != "task";
        let task = kind == "task" && declares(&ask.request.value, &["extensions", TASKS]) == Some(true);
        out.require(ours || extended || task, || {
            told(
                format!("The result of {} is of the type {kind}, which this client cannot know.", ask.method()),
                &["complete", "input_required", "a type of an extension that the request declared"],
                short(&result.to_string()),
                "use types of an extension only for requests that declare the extension",
                ask.evidence(),
            )
        });
    }
}

/// Streams and bodies on which a request of the server could have come, and the requests that did.
fn asked_back<'v>(view: &'v View<'_>, of: fn(&Msg, Via) -> bool) -> Vec<(&'v Msg, bool)> {
    of_era(view).filter(|msg| of(msg, view.exchange_of(msg).via)).map(|msg| (msg, msg.kind == Kind::Request)).collect()
}

fn none_of(out: &mut Findings, seen: Vec<(&Msg, bool)>, what: &str) {
    for (msg, asks) in seen {
        out.require(!asks, || {
            told(
                format!("The server sent the request {} {what}.", msg.method().unwrap_or_default()),
                &["responses and notifications only"],
                short(&msg.value.to_string()),
                "ask for input in a result of type input_required; this revision has no requests from server to client",
                vec![msg.seq],
            )
        });
    }
}

fn no_requests(view: &View<'_>, out: &mut Findings) {
    none_of(out, asked_back(view, |_, _| true), "to the client");
}

fn no_requests_over_http(view: &View<'_>, out: &mut Findings) {
    let streams = |msg: &Msg, via: Via| {
        via == Via::StreamableHttp && matches!(msg.carrier, Carrier::PostStream | Carrier::GetStream)
    };
    none_of(out, asked_back(view, streams), "on a stream");
}

fn no_requests_on_stdout(view: &View<'_>, out: &mut Findings) {
    none_of(out, asked_back(view, |_, via| via == Via::Stdio), "on its standard output");
}

/// Sampling, elicitation and roots are asked for in results.
fn input_in_results(view: &View<'_>, out: &mut Findings) {
    let asks =
        |method: Option<&str>| matches!(method, Some("sampling/createMessage" | "elicitation/create" | "roots/list"));
    for msg in of_era(view) {
        let inside = msg.value.at("result").at("inputRequests").is_object();
        let outside = msg.kind == Kind::Request && asks(msg.method());
        if !inside && !outside {
            continue;
        }
        out.require(inside, || {
            told(
                format!("The server asked the client by a request of its own: {}.", msg.method().unwrap_or_default()),
                &["a result of type input_required with the question in inputRequests"],
                short(&msg.value.to_string()),
                "answer the call with input_required, and do the work when the client calls again with its responses",
                vec![msg.seq],
            )
        });
    }
}

/// Elicitation has lost its notification of completion and its id.
fn no_completion(view: &View<'_>, out: &mut Findings) {
    for msg in of_era(view) {
        let notified = msg.method() == Some("notifications/elicitation/complete");
        let questions = msg.value.at("result").at("inputRequests").as_object();
        let elicited: Vec<_> = questions
            .into_iter()
            .flat_map(|all| all.values())
            .filter(|question| question.at("method") == "elicitation/create")
            .collect();
        if !notified && elicited.is_empty() {
            continue;
        }
        let with_id = elicited.iter().any(|question| question.at("params").member("elicitationId").is_some());
        out.require(!notified && !with_id, || {
            told(
                "The server used the completion of elicitations, which this revision no longer has.".to_owned(),
                &["no notifications/elicitation/complete, and no elicitationId"],
                short(&msg.value.to_string()),
                "keep what belongs together in requestState, and let the client call again",
                vec![msg.seq],
            )
        });
    }
}

/// The server cancels nothing but its own listen streams.
fn no_cancel(view: &View<'_>, out: &mut Findings) {
    let listens: Vec<_> = requests(view).filter(|ask| ask.method() == "subscriptions/listen").collect();
    let cancels = of_era(view).filter(|msg| msg.method() == Some("notifications/cancelled"));
    let mut any = false;
    for msg in cancels {
        let client = msg.client.as_str();
        any = true;
        let id = msg.value.at("params").at("requestId");
        let listen = listens.iter().any(|ask| ask.exchange.client == client && *ask.request.value.at("id") == *id);
        out.require(listen, || {
            told(
                format!("The server cancelled the request {id}, which is no subscription."),
                &["a result or an error as the response to a request that cannot be finished"],
                short(&msg.value.to_string()),
                "answer the request instead; only the client cancels requests",
                vec![msg.seq],
            )
        });
    }
    // A call that was answered had its chance to be cancelled.
    let answered = requests(view).any(|ask| ask.method() == "tools/call" && ask.response.is_some());
    if answered && !any {
        out.pass();
    }
}

/// Whether a result is what came back in full, to quote.
pub(crate) fn shown(ask: &Ask<'_>) -> String {
    ask.result().map_or_else(|| came(ask.exchange), |result| short(&result.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::model::Via;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().modern().discover(json!({"tools": {}}))
    }

    fn called(result: Value) -> Builder {
        start().call("tools/call", json!({"name": "x"}), result)
    }

    #[test]
    fn types() {
        let none = Builder::new().modern();
        let untyped = called(json!({"content": [], "resultType": null}));
        expect_three("base.result-type-present", &called(json!({"content": []})), &untyped, &none);
        expect_three("base.result-type-known", &start(), &called(json!({"resultType": "later"})), &none);
        expect_three("base.result-type-known", &start(), &called(json!({"resultType": "task"})), &none);
    }

    #[test]
    fn requests_of_the_server() {
        let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"});
        let log = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}});
        let none = Builder::new().modern();
        let streamed = |message: &Value| {
            start().probe(&[], "tools/call", json!({"name": "x"})).stream().sse(None, message).end(End::Complete)
        };
        for id in ["base.no-server-requests", "transport.http.sse-no-server-requests"] {
            expect_three(id, &streamed(&log), &streamed(&ask), &none);
        }
        let questions = json!({"a": {"method": "roots/list"}});
        let kept = called(json!({"resultType": "input_required", "inputRequests": questions}));
        expect_three("patterns.mrtr.server-input-via-mrtr", &kept, &streamed(&ask), &start());
        let on_pipes = Builder::new().channel(Via::Stdio).modern().discover(json!({}));
        let broken = on_pipes.clone().comes(&ask.to_string());
        expect_three("transport.stdio.no-requests-on-stdout", &on_pipes, &broken, &start());
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}});
        let kept = called(json!({"content": []}));
        expect_three("utilities.cancellation.server-no-other-cancel", &kept, &streamed(&cancel), &start());
    }

    #[test]
    fn what_elicitation_has_lost() {
        let with = |params: Value| {
            let questions = json!({"a": {"method": "elicitation/create", "params": params}});
            called(json!({"resultType": "input_required", "inputRequests": questions}))
        };
        let broken = with(json!({"mode": "url", "url": "https://a.example/", "message": "?", "elicitationId": "1"}));
        let kept = with(json!({"message": "?", "requestedSchema": {"type": "object", "properties": {}}}));
        expect_three("features.elicitation.complete-notification-removed", &kept, &broken, &start());
    }
}
