//! Whether tools can be called by clients as they are: with bounds on their lists, and with a list from the beginning.

use serde_json::Value;

use crate::check::support::{TOOLS, is_proper, param, received_with, told};
use crate::check::{Breach, Check, Findings};
use crate::model::Members as _;
use crate::transcript::{EventKind, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "features.tools.within-reach", judge: within_reach },
    Check { id: "features.tools.served-after-change", judge: served_after_change },
];

/// No call was lost because the client had left its tool out of the list.
fn within_reach(view: &View<'_>, out: &mut Findings) {
    for (request, _) in view.calls_to("tools/call") {
        let listed = param(request, "name").as_str().and_then(|name| TOOLS.find(view, request, name));
        if listed.is_some() && out.covers(request.revision) {
            out.pass();
        }
    }
    for event in view.events {
        let EventKind::Unreachable { tool, why } = &event.kind else { continue };
        let before = |msg: &&(&Msg, &Msg, &Value)| msg.1.client == event.client && msg.1.seq < event.seq;
        let lists: Vec<_> = view.results_of(TOOLS.method).collect();
        let Some((_, list, _)) = lists.iter().rev().find(before).filter(|list| out.covers(list.1.revision)) else {
            continue;
        };
        out.breach(Breach {
            what: format!("This client never gets to call the tool `{tool}`: {why}."),
            expected: vec![
                "not more than 100 tools, the ones that matter first".to_owned(),
                "names of not more than 60 letters".to_owned(),
            ],
            actual: format!("the client left `{tool}` out of what it hands on"),
            fix: "offer fewer tools, or under shorter names: no specification bounds them, but clients do".to_owned(),
            evidence: vec![list.seq, event.seq],
        });
    }
}

/// The call of this name and these arguments that was served before, if there is one.
fn served_before<'v>(view: &'v View<'_>, request: &Msg) -> Option<&'v Msg> {
    let same = |msg: &Msg| {
        msg.conversation == request.conversation
            && msg.seq < request.seq
            && ["name", "arguments"].iter().all(|member| param(msg, member) == param(request, member))
    };
    let earlier = view.results_of("tools/call").filter(|(msg, _, result)| same(msg) && result.at("isError") != true);
    earlier.last().map(|(_, response, _)| response)
}

/// A call that was served is served again after the list of tools has changed.
fn served_after_change(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("tools/call") {
        let (Some(response), Some(before)) = (response, served_before(view, request)) else { continue };
        let changed = received_with(view, TOOLS.changed)
            .find(|msg| msg.conversation == request.conversation && msg.seq > before.seq && msg.seq < request.seq);
        let Some(changed) = changed.filter(|_| out.covers(request.revision) && is_proper(view, request)) else {
            continue;
        };
        let refused = matches!(response.message().error_code(), Some(-32601 | -32602));
        out.require(!refused, || {
            told(
                "After the list of tools had changed, a call was refused that had been served before.",
                &["the same service under the name that the tool had"],
                &response.value,
                "go on serving a tool under its old name and with its old arguments for as long as sessions last that were \
                 shown them: many clients never fetch the list again",
                &[before, changed, request, response],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;
    use crate::check::support::three;
    use crate::check::testing::judge;
    use crate::transcript::Builder;
    use serde_json::json;

    fn listed() -> Builder {
        let tools = json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]});
        Builder::new().initialize("2025-06-18").call("tools/list", json!({}), tools)
    }

    fn called(builder: Builder) -> Builder {
        builder.call("tools/call", json!({"name": "echo", "arguments": {}}), json!({"content": []}))
    }

    #[test]
    fn what_a_client_leaves_out_is_told() {
        let out_of_reach = EventKind::Unreachable { tool: "echo".to_owned(), why: "there are too many".to_owned() };
        three("features.tools.within-reach", &called(listed()), &listed().event(out_of_reach));
    }

    #[test]
    fn old_names_are_served_on() {
        let id = "features.tools.served-after-change";
        let note = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        let changed = |builder: Builder| builder.request("GET", &[], None).stream().sse(None, &note);
        let again = json!({"name": "echo", "arguments": {}});
        let broken = changed(called(listed())).call_error("tools/call", again.clone(), -32602);
        three(id, &called(changed(called(listed()))), &broken);
        // Without news, or with other arguments, the refusal is about something else.
        let unchanged = called(listed()).call_error("tools/call", again, -32602);
        assert_eq!(judge(id, &unchanged).outcome, Outcome::NotExercised);
        let other = json!({"name": "echo", "arguments": {"text": 7}});
        let other = changed(called(listed())).call_error("tools/call", other, -32602);
        assert_eq!(judge(id, &other).outcome, Outcome::NotExercised);
    }
}
