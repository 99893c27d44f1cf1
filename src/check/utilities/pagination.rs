//! Cursors of the list methods.

use std::collections::HashSet;

use serde_json::Value;

use crate::check::support::{
    LISTS, ListKind, Refusal, expect_refusal, is_proper, param, received_with, server_declared, told,
};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "utilities.pagination.cursor-type", judge: cursor_type },
    Check { id: "utilities.pagination.follow-works", judge: follow_works },
    Check { id: "utilities.pagination.terminates", judge: terminates },
    Check { id: "utilities.pagination.no-duplicates", judge: no_duplicates },
    Check { id: "utilities.pagination.stable-cursors", judge: stable_cursors },
    Check { id: "utilities.pagination.invalid-cursor", judge: invalid_cursor },
    Check { id: "utilities.pagination.cursor-cross-method", judge: cursor_cross_method },
    Check { id: "utilities.pagination.all-list-methods", judge: all_list_methods },
];

/// A cursor is a string; on the last page it is left out. Null is a common slip and only warns.
fn cursor_type(view: &View<'_>, out: &mut Findings) {
    for kind in LISTS {
        for (request, response, result) in view.results_of(kind.method) {
            let Some(cursor) = result.member("nextCursor").filter(|_| out.covers(request.revision)) else { continue };
            let breach = || {
                told(
                    format!("nextCursor of {} is not a string.", kind.method),
                    &["a string", "no nextCursor on the last page"],
                    cursor,
                    "make cursors strings and leave nextCursor out at the end",
                    &[request, response],
                )
            };
            match cursor {
                Value::String(_) => out.pass(),
                Value::Null => out.contested(breach()),
                _ => out.breach(breach()),
            }
        }
    }
}

/// The page that handed out this cursor in the same conversation before the request.
fn origin<'v>(view: &'v View<'_>, kind: &ListKind, request: &Msg) -> Option<&'v Msg> {
    let cursor = param(request, "cursor");
    view.results_of(kind.method)
        .find(|(_, response, result)| {
            cursor.is_string()
                && *result.at("nextCursor") == *cursor
                && response.conversation == request.conversation
                && response.seq < request.seq
        })
        .map(|(_, response, _)| response)
}

/// Whether a change of the list was announced between two messages.
fn changed(view: &View<'_>, kind: &ListKind, from: &Msg, to: &Msg) -> bool {
    received_with(view, kind.changed)
        .any(|msg| msg.conversation == to.conversation && (from.seq..=to.seq).contains(&msg.seq))
}

/// A cursor that the server handed out is accepted the first time it is used.
fn follow_works(view: &View<'_>, out: &mut Findings) {
    for kind in LISTS {
        let mut used = HashSet::new();
        for (request, response) in view.calls_to(kind.method) {
            let first = used.insert((request.conversation, param(request, "cursor").to_string()));
            let Some(page) = origin(view, kind, request).filter(|_| first && out.covers(request.revision)) else {
                continue;
            };
            let Some(response) = response.filter(|_| is_proper(view, request)) else { continue };
            if changed(view, kind, page, request) {
                continue;
            }
            out.require(response.value.at("result").at(kind.member).is_array(), || {
                told(
                    format!("{} did not accept the cursor of its own previous page.", kind.method),
                    &[&format!("the next page, a result with {}", kind.member)],
                    &response.value,
                    "accept every nextCursor that was handed out as cursor of the next request",
                    &[page, request, response],
                )
            });
        }
    }
}

fn keys(kind: &ListKind, result: &Value) -> Vec<String> {
    result.at(kind.member).as_array().into_iter().flatten().map(|item| item.at(kind.key).to_string()).collect()
}

/// Following the cursors comes to an end: no page gives items again together with a cursor seen before.
fn terminates(view: &View<'_>, out: &mut Findings) {
    for kind in LISTS {
        for walk in kind.walks(view) {
            let (first, _, _) = walk.pages[0];
            if !out.covers(first.revision) || (walk.pages.len() < 2 && !walk.last().2.at("nextCursor").is_string()) {
                continue;
            }
            let mut cursors = HashSet::new();
            let mut seen = HashSet::new();
            let mut circle = None;
            for (request, response, result) in &walk.pages {
                let again = result.at("nextCursor").as_str().is_some_and(|cursor| !cursors.insert(cursor));
                let known = keys(kind, result).into_iter().filter(|key| !seen.insert(key.clone())).count() > 0;
                if again && known && circle.is_none() {
                    circle = Some((*request, *response, *result));
                }
            }
            match circle {
                Some((request, response, result)) => out.breach(told(
                    format!("The pages of {} go round in a circle: cursor and items came before.", kind.method),
                    &["a new cursor and new items", "no nextCursor at the end"],
                    result,
                    "advance the cursor with each page and leave nextCursor out on the last one",
                    &[first, request, response],
                )),
                None if walk.last().2.at("nextCursor").is_string() => {}
                None => out.pass(),
            }
        }
    }
}

/// While the list stays as it is its pages hold each item once.
fn no_duplicates(view: &View<'_>, out: &mut Findings) {
    for kind in LISTS {
        for walk in kind.walks(view) {
            let (first, _, _) = walk.pages[0];
            if walk.pages.len() < 2 || !out.covers(first.revision) || changed(view, kind, first, walk.last().1) {
                continue;
            }
            let mut seen = HashSet::new();
            let twice = walk.pages.iter().find_map(|(_, response, result)| {
                let mut own = HashSet::new();
                let again = keys(kind, result).into_iter().find(|key| own.insert(key.clone()) && seen.contains(key));
                seen.extend(own);
                again.map(|key| (*response, key))
            });
            match twice {
                None => out.pass(),
                Some((response, key)) => out.breach(told(
                    format!("{key} is on two pages of {}.", kind.method),
                    &["each item on one page"],
                    &key.as_str().into(),
                    "let pages begin right after the last item of the page before",
                    &[first, response],
                )),
            }
        }
    }
}

/// A cursor used twice gives the same page twice while the list stays as it is.
fn stable_cursors(view: &View<'_>, out: &mut Findings) {
    for kind in LISTS {
        let calls: Vec<_> = view.calls_to(kind.method).collect();
        for (at, (request, response)) in calls.iter().enumerate() {
            if !out.covers(request.revision) || origin(view, kind, request).is_none() || !is_proper(view, request) {
                continue;
            }
            let earlier = calls[..at].iter().find_map(|(other, answer)| {
                let same =
                    other.conversation == request.conversation && param(other, "cursor") == param(request, "cursor");
                answer.filter(|answer| same && answer.value.at("result").at(kind.member).is_array())
            });
            let Some((earlier, response)) = earlier.zip(*response) else { continue };
            if changed(view, kind, earlier, response) {
                continue;
            }
            let page = |msg: &Msg| keys(kind, msg.value.at("result"));
            let same = response.value.at("result").is_object() && page(earlier) == page(response);
            out.require(same, || {
                told(
                    format!("The same cursor of {} gave another answer the second time.", kind.method),
                    &["the same page again"],
                    &response.value,
                    "let a cursor describe a position rather than consume it",
                    &[earlier, request, response],
                )
            });
        }
    }
}

/// Whether any list method handed out this cursor, in any conversation.
fn handed_out(view: &View<'_>, cursor: &Value) -> bool {
    LISTS.iter().any(|kind| view.results_of(kind.method).any(|(_, _, result)| *result.at("nextCursor") == *cursor))
}

/// A cursor that was never handed out is an invalid parameter. An empty cursor is not judged.
fn invalid_cursor(view: &View<'_>, out: &mut Findings) {
    for kind in LISTS {
        for (request, response) in view.calls_to(kind.method) {
            let cursor = param(request, "cursor");
            let invented = cursor.as_str().is_some_and(|cursor| !cursor.is_empty()) && !handed_out(view, cursor);
            let declared = server_declared(view, request, &[kind.capability]) == Some(true);
            if !invented || !declared || !out.covers(request.revision) {
                continue;
            }
            // Servers of resources without templates need not know the method.
            if kind.method == "resources/templates/list"
                && response.is_some_and(|response| response.message().error_code() == Some(-32601))
            {
                continue;
            }
            let rule = Refusal {
                deed: &format!("The client sent {} with the invented cursor {cursor}", kind.method),
                codes: &[-32602],
                tolerated: &[],
                fix: "check the cursor and answer -32602 where it is none of yours",
            };
            expect_refusal(view, out, request, response, &rule);
        }
    }
}

/// A cursor of another list never brings that list's items.
fn cursor_cross_method(view: &View<'_>, out: &mut Findings) {
    for kind in LISTS {
        for (request, response) in view.calls_to(kind.method) {
            let other = LISTS
                .into_iter()
                .filter(|other| other.method != kind.method)
                .find(|other| origin(view, other, request).is_some());
            let Some((other, response)) = other.zip(response) else { continue };
            if origin(view, kind, request).is_some() || !out.covers(request.revision) {
                continue;
            }
            let items = response.value.at("result").at(kind.member).as_array();
            let foreign = items
                .into_iter()
                .flatten()
                .any(|item| item.member(kind.key).is_none() && item.member(other.key).is_some())
                || response.value.at("result").at(other.member).is_array();
            out.require(!foreign, || {
                told(
                    format!("{} with a cursor of {} gave items of the latter.", kind.method, other.method),
                    &["a JSON-RPC error with code -32602", "a page of its own items"],
                    &response.value,
                    "bind each cursor to the method that handed it out",
                    &[request, response],
                )
            });
        }
    }
}

/// Without a cursor, and without params at all, the list methods of declared features answer.
fn all_list_methods(view: &View<'_>, out: &mut Findings) {
    for kind in LISTS {
        for (request, response) in view.calls_to(kind.method) {
            let plain = param(request, "cursor").is_null();
            let declared = server_declared(view, request, &[kind.capability]) == Some(true);
            if !plain || !declared || !out.covers(request.revision) || !is_proper(view, request) {
                continue;
            }
            let Some(response) = response else {
                out.inconclusive();
                continue;
            };
            let code = response.message().error_code();
            let breach = || {
                told(
                    format!("The server declares {} but refused {} without a cursor.", kind.capability, kind.method),
                    &[&format!("a result with {}", kind.member)],
                    &response.value,
                    "answer the list methods of declared features also where params is absent or empty",
                    &[request, response],
                )
            };
            match code {
                None => out.pass(),
                Some(-32601) if kind.method == "resources/templates/list" => out.contested(breach()),
                Some(_) => out.breach(breach()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn base() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn page(names: &[&str], next: &Value) -> Value {
        let tools: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        let mut page = json!({"tools": tools});
        if !next.is_null() {
            page["nextCursor"] = next.clone();
        }
        page
    }

    fn list(builder: Builder, cursor: Option<&str>, names: &[&str], next: &Value) -> Builder {
        let params = cursor.map_or(json!({}), |cursor| json!({"cursor": cursor}));
        builder.call("tools/list", params, page(names, next))
    }

    #[test]
    fn walking() {
        let first = list(base(), None, &["a"], &json!("c1"));
        let good = list(first.clone(), Some("c1"), &["b"], &Value::Null);
        three("utilities.pagination.cursor-type", &good, &list(base(), None, &["a"], &json!(1)));
        let refused = first.clone().call_error("tools/list", json!({"cursor": "c1"}), -32602);
        three("utilities.pagination.follow-works", &good, &refused);
        three("utilities.pagination.terminates", &good, &list(first.clone(), Some("c1"), &["a"], &json!("c1")));
        three("utilities.pagination.no-duplicates", &good, &list(first, Some("c1"), &["a"], &Value::Null));
        let again = list(good.clone(), Some("c1"), &["b"], &Value::Null);
        let other = list(good, Some("c1"), &["c"], &Value::Null);
        three("utilities.pagination.stable-cursors", &again, &other);
    }

    #[test]
    fn odd_cursors() {
        let good = base().call_error("tools/list", json!({"cursor": "junk"}), -32602);
        let bad = base().call("tools/list", json!({"cursor": "junk"}), page(&["a"], &Value::Null));
        three("utilities.pagination.invalid-cursor", &good, &bad);
        let first = list(base(), None, &["a"], &json!("c1"));
        let good = first.clone().call_error("resources/list", json!({"cursor": "c1"}), -32602);
        let bad = first.call("resources/list", json!({"cursor": "c1"}), json!({"tools": [{"name": "b"}]}));
        three("utilities.pagination.cursor-cross-method", &good, &bad);
        let good = base().call("prompts/list", Value::Null, json!({"prompts": []}));
        let bad = base().call_error("prompts/list", Value::Null, -32602);
        three("utilities.pagination.all-list-methods", &good, &bad);
    }
}
