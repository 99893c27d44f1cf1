//! How long a result may be kept, and by whom.

use serde_json::Value;

use super::flaw::{Ask, requests};
use super::results::shown;
use crate::check::support::{LISTS, server_declared};
use crate::check::wire::told;
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.caching.hints-present", judge: hints },
    Check { id: "patterns.caching.ttl-non-negative", judge: ttl },
    Check { id: "patterns.caching.scope-values", judge: scope },
    Check { id: "patterns.caching.scope-same-over-pages", judge: same_scope },
    Check { id: "patterns.caching.ttl-plausible", judge: plausible },
    Check { id: "patterns.caching.public-not-user-specific", judge: public },
    Check { id: "patterns.mrtr.no-caching-hints", judge: no_hints },
];

fn is_kept(method: &str) -> bool {
    matches!(
        method,
        "server/discover"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
    )
}

/// Complete results of the methods whose results may be kept.
fn kept<'v>(view: &'v View<'_>) -> impl Iterator<Item = (Ask<'v>, &'v Value)> {
    requests(view)
        .filter(|ask| is_kept(ask.method()))
        .filter_map(|ask| Some((ask, ask.result()?)))
        // A result without a type counts as complete.
        .filter(|(_, result)| result.is_object() && matches!(result.at("resultType").as_str(), None | Some("complete")))
}

fn hints(view: &View<'_>, out: &mut Findings) {
    for (ask, result) in kept(view) {
        out.require(result.member("ttlMs").is_some() && result.member("cacheScope").is_some(), || {
            told(
                format!("The result of {} does not say how long and by whom it may be kept.", ask.method()),
                &["ttlMs and cacheScope"],
                shown(&ask),
                "add both; ttlMs 0 and cacheScope \"private\" are always safe",
                ask.evidence(),
            )
        });
    }
}

fn ttl(view: &View<'_>, out: &mut Findings) {
    for (ask, result) in kept(view) {
        let Some(ttl) = result.member("ttlMs") else { continue };
        let whole = ttl.as_f64().is_some_and(|ttl| ttl >= 0.0 && ttl.fract() == 0.0);
        out.require(whole, || {
            told(
                format!("The ttlMs of {} is {ttl}.", ask.method()),
                &["an integer of milliseconds that is not below zero"],
                shown(&ask),
                "send 0 where the result should not be kept",
                ask.evidence(),
            )
        });
    }
}

fn scope(view: &View<'_>, out: &mut Findings) {
    for (ask, result) in kept(view) {
        let Some(scope) = result.member("cacheScope") else { continue };
        out.require(matches!(scope.as_str(), Some("public" | "private")), || {
            told(
                format!("The cacheScope of {} is {scope}.", ask.method()),
                &["\"public\" or \"private\""],
                shown(&ask),
                "use one of the two words",
                ask.evidence(),
            )
        });
    }
}

/// All pages of a list have the same scope.
fn same_scope(view: &View<'_>, out: &mut Findings) {
    if !view.is_modern() {
        return;
    }
    for walk in LISTS.iter().flat_map(|list| list.walks(view)) {
        let scopes: Vec<&Value> = walk.pages.iter().map(|(_, _, page)| page.at("cacheScope")).collect();
        let (first, response, page) = walk.last();
        if walk.pages.len() < 2 || !super::asked::is_modern(first) || scopes.iter().any(|scope| !scope.is_string()) {
            continue;
        }
        out.require(scopes.iter().all(|scope| *scope == scopes[0]), || {
            told(
                format!("Pages of {} have different cacheScopes.", first.method().unwrap_or_default()),
                &["the same cacheScope on every page of a list"],
                page.at("cacheScope").to_string(),
                "decide the scope for the list, not for the page",
                walk.pages
                    .iter()
                    .flat_map(|(request, response, _)| [request.seq, response.seq])
                    .chain([response.seq])
                    .collect(),
            )
        });
    }
}

/// What a result says, without what differs each time.
fn essence(result: &Value) -> Value {
    let mut result = result.clone();
    if let Some(members) = result.as_object_mut() {
        for key in ["_meta", "ttlMs", "cacheScope"] {
            members.remove(key);
        }
    }
    result
}

/// What was said to be fresh was not changed meanwhile without a word, where changes are announced.
fn plausible(view: &View<'_>, out: &mut Findings) {
    let all: Vec<(Ask<'_>, &Value)> = kept(view).filter(|(ask, _)| ask.method().ends_with("/list")).collect();
    for (at, (later, result)) in all.iter().enumerate() {
        let earlier = all[..at].iter().rev().find(|(ask, _)| {
            ask.method() == later.method()
                && ask.exchange.client == later.exchange.client
                && ask.param("cursor") == later.param("cursor")
                && ask.exchange.sent_header("authorization") == later.exchange.sent_header("authorization")
        });
        let Some((before, old)) = earlier else { continue };
        let (Some(first), Some(second)) = (before.response, later.response) else { continue };
        let fresh =
            old.at("ttlMs").as_u64().is_some_and(|ttl| second.at.saturating_sub(first.at) < ttl.saturating_mul(1_000));
        let name = later.method().split('/').next().unwrap_or_default();
        let announces = match name {
            "tools" => server_declared(view, later.request, &["tools", "listChanged"]),
            "prompts" => server_declared(view, later.request, &["prompts", "listChanged"]),
            "resources" => server_declared(view, later.request, &["resources", "listChanged"]),
            _ => None,
        };
        // Only who listened could have heard of the change.
        let listened = view.exchanges.iter().any(|exchange| {
            exchange.modern
                && exchange.seq < first.seq
                && exchange.end_seq.is_none_or(|end| end > second.seq)
                && exchange.sent_json().is_some_and(|sent| {
                    sent.at("method") == "subscriptions/listen"
                        && sent.at("params").at("notifications")[format!("{name}ListChanged")] == true
                })
        });
        if !fresh || announces != Some(true) || !listened {
            continue;
        }
        let notified = view.received().any(|msg| {
            msg.method() == Some(&format!("notifications/{name}/list_changed"))
                && msg.seq > first.seq
                && msg.seq < second.seq + 20
        });
        out.require(essence(old) == essence(result) || notified, || {
            told(
                format!(
                    "{} changed while its earlier result was still fresh, and no notification came.",
                    later.method()
                ),
                &["the same list until its ttlMs is over, or a notification of the change"],
                shown(later),
                "send list_changed to those who listen, or give a shorter ttlMs",
                [before.evidence(), later.evidence()].concat(),
            )
        });
    }
}

/// A result that anybody may keep for everybody is the same for everybody.
fn public(view: &View<'_>, out: &mut Findings) {
    let all: Vec<(Ask<'_>, &Value)> = kept(view).filter(|(_, result)| result.at("cacheScope") == "public").collect();
    for (at, (later, result)) in all.iter().enumerate() {
        let token = |ask: &Ask<'_>| ask.exchange.sent_header("authorization").map(str::to_owned);
        let earlier = all[..at].iter().rev().find(|(ask, _)| {
            let same = ["uri", "cursor"].iter().all(|key| ask.param(key) == later.param(key));
            ask.method() == later.method() && same && token(ask) != token(later)
        });
        let Some((before, old)) = earlier else { continue };
        let apart = later.request.at.saturating_sub(before.request.at);
        if old.at("ttlMs").as_u64().is_none_or(|ttl| apart >= ttl.saturating_mul(1_000)) {
            continue;
        }
        out.require(essence(old) == essence(result), || {
            told(
                format!("{} is public, yet two callers got different results at the same time.", later.method()),
                &["cacheScope \"private\" for what depends on the caller"],
                shown(later),
                "mark as public only what every caller gets alike",
                [before.evidence(), later.evidence()].concat(),
            )
        });
    }
}

/// A result that asks for input is not to be kept, and says nothing about it.
fn no_hints(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view) {
        let Some(result) = ask.result().filter(|result| result.at("resultType") == "input_required") else { continue };
        out.require(result.member("ttlMs").is_none() && result.member("cacheScope").is_none(), || {
            told(
                format!("A result of {} that asks for input says how long it may be kept.", ask.method()),
                &["no ttlMs and no cacheScope"],
                shown(&ask),
                "leave both out of results of type input_required",
                ask.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn none() -> Builder {
        Builder::new().modern()
    }

    fn start() -> Builder {
        none().discover(json!({"tools": {"listChanged": true}}))
    }

    fn listed(builder: Builder, extra: &Value) -> Builder {
        let mut result = json!({"tools": []});
        result.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        builder.call("tools/list", Value::Null, result)
    }

    #[test]
    fn members() {
        for (id, bad) in [
            ("patterns.caching.hints-present", json!({"ttlMs": null})),
            ("patterns.caching.ttl-non-negative", json!({"ttlMs": -1})),
            ("patterns.caching.ttl-non-negative", json!({"ttlMs": 1.5})),
            ("patterns.caching.scope-values", json!({"cacheScope": "shared"})),
        ] {
            expect_three(id, &start(), &listed(start(), &bad), &none());
        }
        let asking = |extra: Value| start().call("tools/call", json!({"name": "x"}), extra);
        let kept = asking(json!({"resultType": "input_required", "requestState": "s"}));
        let broken = asking(json!({"resultType": "input_required", "requestState": "s", "ttlMs": 0}));
        expect_three("patterns.mrtr.no-caching-hints", &kept, &broken, &start());
    }

    #[test]
    fn pages() {
        let first = listed(start(), &json!({"nextCursor": "2"}));
        let second = |scope: &str| {
            first.clone().call("tools/list", json!({"cursor": "2"}), json!({"tools": [], "cacheScope": scope}))
        };
        expect_three("patterns.caching.scope-same-over-pages", &second("private"), &second("public"), &start());
    }

    #[test]
    fn change() {
        let listening = start().listen(json!({"toolsListChanged": true}), json!({"toolsListChanged": true}));
        let first = listed(listening, &json!({"ttlMs": 60_000}));
        let kept = listed(first.clone(), &json!({"ttlMs": 60_000}));
        let broken = listed(first.clone(), &json!({"ttlMs": 60_000, "tools": [{"name": "new"}]}));
        expect_three("patterns.caching.ttl-plausible", &kept, &broken, &first);
        let by = |builder: Builder, token: &str, tool: &str| {
            let result = json!({"tools": [{"name": tool}], "ttlMs": 60_000, "cacheScope": "public"});
            builder.probe(&[("authorization", token)], "tools/list", Value::Null).serves("tools/list", result)
        };
        let first = by(start(), "Bearer access#1", "x");
        let kept = by(first.clone(), "Bearer access#2", "x");
        let broken = by(first.clone(), "Bearer access#2", "y");
        expect_three("patterns.caching.public-not-user-specific", &kept, &broken, &first);
    }
}
