//! What the lists of tools, resources and prompts have in common. Holds no checks of its own.

use serde_json::Value;

use crate::check::Findings;
use crate::check::support::{ListKind, received_with, server_declared, told};
use crate::model::Members as _;
use crate::transcript::View;

/// Who lists items has declared their capability. An empty list without it only warns.
pub(crate) fn capability(view: &View<'_>, out: &mut Findings, kind: &ListKind) {
    for (request, response, result) in view.results_of(kind.method) {
        let Some(items) = result.at(kind.member).as_array().filter(|_| out.covers(request.revision)) else { continue };
        let Some(declared) = server_declared(view, request, &[kind.capability]) else { continue };
        let breach = || {
            told(
                format!("{} gave {} items, but initialize declared no {}.", kind.method, items.len(), kind.capability),
                &[&format!("\"{}\": {{}} among the capabilities", kind.capability)],
                &view.conversation_of(request).map_or(Value::Null, |found| found.result.at("capabilities").clone()),
                "declare the capability; clients do not ask for what is not declared",
                &[request, response],
            )
        };
        match (declared, items.is_empty()) {
            (true, _) => out.pass(),
            (false, true) => out.contested(breach()),
            (false, false) => out.breach(breach()),
        }
    }
}

/// A list that differs between two complete looks of one conversation was announced in between or soon after, where
/// listChanged is declared and a stream was open to carry the notification.
pub(crate) fn list_changed(view: &View<'_>, out: &mut Findings, kind: &ListKind) {
    let walks = kind.walks(view);
    for (at, later) in walks.iter().enumerate() {
        let (second, answer, result) = later.pages[0];
        let whole = |result: &Value| result.at("nextCursor").is_null() && result.at(kind.member).is_array();
        let earlier = walks[..at].iter().rev().find(|walk| walk.pages[0].0.conversation == second.conversation);
        let Some((first, before, old)) = earlier.map(|walk| walk.pages[0]) else { continue };
        let declared = server_declared(view, second, &[kind.capability, "listChanged"]) == Some(true);
        if !declared || !out.covers(second.revision) || !whole(result) || !whole(old) {
            continue;
        }
        let names = |result: &Value| {
            let items = result.at(kind.member).as_array().into_iter().flatten();
            let mut names: Vec<String> = items.map(|item| item.at(kind.key).to_string()).collect();
            names.sort_unstable();
            names
        };
        if names(old) == names(result) {
            continue;
        }
        // Without a stream that was open meanwhile there was nothing to send the notification on.
        let open = view.exchanges.iter().any(|exchange| {
            let subscribes = || exchange.sent_json().is_some_and(|sent| sent.at("method") == "subscriptions/listen");
            let listens = (exchange.method == "GET" || (exchange.modern && subscribes()))
                && exchange.media_type() == Some("text/event-stream");
            let channel = exchange.via.has_one_stream() && exchange.channel.is_none();
            (listens || channel)
                && exchange.conversation == second.conversation
                && exchange.seq < before.seq
                && exchange.end_seq.is_none_or(|end| end > answer.seq)
        });
        let told_so =
            received_with(view, kind.changed).any(|msg| msg.conversation == second.conversation && msg.seq > first.seq);
        if told_so {
            out.pass();
        } else if open {
            out.breach(told(
                format!("The answer of {} changed and no {} came.", kind.method, kind.changed),
                &[kind.changed],
                result,
                "send the notification on an open stream of each session when the list changes",
                &[before, answer],
            ));
        } else {
            out.inconclusive();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::{LISTS, three};
    use crate::transcript::Builder;
    use serde_json::json;

    #[test]
    fn a_changed_list_is_announced() {
        for kind in LISTS.iter().filter(|kind| kind.method != "resources/templates/list") {
            let id = format!("features.{}.list-changed", kind.capability);
            let list = |builder: Builder, name: &str| {
                builder.call(kind.method, json!({}), json!({kind.member: [{kind.key: name}]}))
            };
            let opened = Builder::new().initialize("2025-06-18").request("GET", &[], None).stream();
            let note = json!({"jsonrpc": "2.0", "method": kind.changed});
            let good = list(list(opened.clone(), "a:1").stream().sse(None, &note), "b:2");
            let bad = list(list(opened, "a:1"), "b:2");
            three(&id, &good, &bad);
        }
    }
}
