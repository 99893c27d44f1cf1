//! Every message of the server against the shape that its revision gives it.

use std::ptr;

use super::fit::Misfit;
use super::message::{Reading, Sender, read};
use crate::check::memo::remembered;
use crate::check::support::LISTS;
use crate::check::wire::{received, short, told};
use crate::check::{Check, Findings};
use crate::model::{Era, Kind, Members as _, Revision};
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "shape.request", judge: request },
    Check { id: "shape.notification", judge: notification },
    Check { id: "shape.result", judge: result },
    Check { id: "shape.error", judge: error },
];

fn request(view: &View<'_>, out: &mut Findings) {
    each(view, out, |msg| msg.kind == Kind::Request);
}

fn notification(view: &View<'_>, out: &mut Findings) {
    each(view, out, |msg| msg.kind == Kind::Notification);
}

fn result(view: &View<'_>, out: &mut Findings) {
    each(view, out, |msg| msg.kind == Kind::Response && msg.value.member("error").is_none());
}

fn error(view: &View<'_>, out: &mut Findings) {
    each(view, out, |msg| msg.kind == Kind::Response && msg.value.member("error").is_some());
}

fn each(view: &View<'_>, out: &mut Findings, of_kind: impl Fn(&Msg) -> bool) {
    for (msg, _, revision) in received(view) {
        let Some(revision) = revision.filter(|revision| of_kind(msg) && out.covers(Some(*revision))) else { continue };
        let answers = match msg.kind {
            Kind::Response => answered(view, msg),
            _ => None,
        };
        match read_once(revision, msg, answers) {
            Reading::Unknown => {}
            Reading::Fits => out.pass(),
            Reading::Misfit(misfit) => {
                let breach = breach(msg, answers, &misfit, revision.name());
                // What a later revision has is not wrong in itself; whether an older one may bear it is contested.
                let later = |other: &Revision| *other > revision && other.facts().era == Era::Legacy;
                let fits = |other| read(other, &msg.value, Sender::Server, answers) == Reading::Fits;
                if Revision::ALL.into_iter().filter(later).any(fits) {
                    out.contested(breach);
                } else {
                    out.breach(breach);
                }
            }
        }
    }
}

/// The shape of a message of the server; what lists something comes again and again, and is looked at once.
fn read_once(revision: Revision, msg: &Msg, answers: Option<&str>) -> Reading {
    let look = || read(revision, &msg.value, Sender::Server, answers);
    let Some(list) = LISTS.iter().find(|list| Some(list.method) == answers) else { return look() };
    let mut seen = None;
    let fits = remembered((list.method, Some(revision)), &msg.value, &msg.value, || {
        Some(*seen.insert(look()) == Reading::Fits)
    });
    seen.unwrap_or_else(|| if fits == Some(true) { Reading::Fits } else { look() })
}

/// The method that a response answers.
fn answered<'v>(view: &'v View<'_>, response: &Msg) -> Option<&'v str> {
    let is_it = |index: &usize| ptr::eq(&raw const view.messages[*index], response);
    let mut answered = view.calls.iter().rev().filter(|call| call.responses.iter().any(is_it));
    answered.find_map(|call| view.messages[call.request].method())
}

fn breach(msg: &Msg, answers: Option<&str>, misfit: &Misfit, revision: &str) -> crate::check::Breach {
    let of = match (msg.method(), answers) {
        (Some(method), _) => format!("`{method}`"),
        (None, Some(method)) => format!("the response to `{method}`"),
        (None, None) => "a response".to_owned(),
    };
    told(
        format!("In {of}, `{}` {}.", misfit.path, misfit.what),
        &[&format!("the shape that revision {revision} gives this message")],
        short(&msg.value.to_string()),
        "send the member as the schema of that revision has it, or leave it out where it is optional: clients that check \
         what they get refuse the whole message",
        vec![msg.seq],
    )
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn begun() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn said(message: &Value) -> Builder {
        begun().request("GET", &[], None).stream().sse(Some("1"), message)
    }

    #[test]
    fn results_are_compared_with_what_their_method_asks_for() {
        let listed = |tools: Value| begun().call("tools/list", json!({}), json!({"tools": tools}));
        let sound = listed(json!([{"name": "a", "inputSchema": {"type": "object"}}]));
        let silent = Builder::new();
        expect_three("shape.result", &sound, &listed(json!([{"name": "a"}])), &silent);
    }

    #[test]
    fn what_a_later_revision_has_only_warns() {
        let link = json!({"content": [{"type": "resource_link", "uri": "test://a", "name": "a"}]});
        let early =
            |result: Value| Builder::new().initialize("2025-03-26").call("tools/call", json!({"name": "x"}), result);
        assert_eq!(judge("shape.result", &early(link)).outcome, Outcome::Warn);
        assert_eq!(judge("shape.result", &early(json!({"content": [{"type": "odd"}]}))).outcome, Outcome::Fail);
    }

    #[test]
    fn requests_notifications_and_errors_are_compared_too() {
        let ask = |params: Value| {
            said(&json!({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": params}))
        };
        expect_three(
            "shape.request",
            &ask(json!({"messages": [], "maxTokens": 5})),
            &ask(json!({"messages": []})),
            &begun(),
        );
        let log = |params: Value| said(&json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params}));
        expect_three(
            "shape.notification",
            &log(json!({"level": "info", "data": 1})),
            &log(json!({"level": "loud", "data": 1})),
            &begun(),
        );
        let refused = |error: Value| {
            let sent = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "x"}});
            begun().post(&sent).json(200, &json!({"jsonrpc": "2.0", "id": 5, "error": error}))
        };
        expect_three(
            "shape.error",
            &refused(json!({"code": -1, "message": "m"})),
            &refused(json!({"code": -1})),
            &begun(),
        );
    }
}
