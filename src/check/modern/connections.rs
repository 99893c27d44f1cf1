//! Requests that depend on nothing but themselves, whichever connection they come on.

use super::flaw::{Ask, requests, sound};
use super::lists::{code, line, same_caller};
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "utilities.pagination.cursor-across-connections", judge: cursor_anywhere },
    Check { id: "base.client-id-reuse-after-response", judge: id_reuse },
    Check { id: "base.stateless-independent-requests", judge: independent },
    Check { id: "base.stateless-any-connection", judge: any_connection },
];

/// A cursor is good on any connection.
fn cursor_anywhere(view: &View<'_>, out: &mut Findings) {
    let givers: Vec<Ask<'_>> =
        requests(view).filter(|ask| ask.result().is_some_and(|result| result.at("nextCursor").is_string())).collect();
    for ask in sound(view).filter(|ask| ask.param("cursor").is_string()) {
        let giver = givers.iter().rev().find(|giver| {
            giver.method() == ask.method()
                && giver.request.seq < ask.request.seq
                && giver.result().is_some_and(|result| *result.at("nextCursor") == *ask.param("cursor"))
        });
        let Some(giver) = giver.filter(|giver| line(giver) != line(&ask) && same_caller(giver, &ask)) else { continue };
        out.require(ask.result().is_some(), || {
            told(
                format!("A cursor of {} was refused on another connection than the one it came on.", ask.method()),
                &["the next page on any connection"],
                came(ask.exchange),
                "let the cursor itself say where to go on",
                [giver.evidence(), ask.evidence()].concat(),
            )
        });
    }
}

const LISTS: [&str; 4] = ["server/discover", "tools/list", "prompts/list", "resources/list"];

/// Requests for lists, of which each can be served if any can.
fn lists<'v>(view: &'v View<'_>) -> Vec<Ask<'v>> {
    sound(view).filter(|ask| LISTS.contains(&ask.method()) && ask.param("cursor").is_null()).collect()
}

/// An id that was answered may be used again.
fn id_reuse(view: &View<'_>, out: &mut Findings) {
    let all = lists(view);
    for (at, ask) in all.iter().enumerate() {
        let before = all[..at].iter().any(|other| {
            other.exchange.client == ask.exchange.client
                && other.request.value.at("id") == ask.request.value.at("id")
                && other.response.is_some_and(|response| response.seq < ask.request.seq)
        });
        let works = all.iter().any(|other| other.method() == ask.method() && other.result().is_some());
        if !before || !works {
            continue;
        }
        out.require(ask.result().is_some(), || {
            told(
                format!("{} was refused with an id that an answered request had used.", ask.method()),
                &["service: ids are free again after their response"],
                came(ask.exchange),
                "keep no list of used ids",
                ask.evidence(),
            )
        });
    }
}

/// A request that is complete in itself is served whatever came, or did not come, before it on its connection.
fn independent(view: &View<'_>, out: &mut Findings) {
    let all = lists(view);
    for ask in &all {
        let first = !requests(view).any(|other| line(&other) == line(ask) && other.request.seq < ask.request.seq);
        let refused_for_order = ask.is_refused() && !matches!(code(ask), Some(-32601 | -32603));
        let works = all
            .iter()
            .any(|other| other.method() == ask.method() && other.result().is_some() && line(other) == line(ask));
        if !first || (refused_for_order && !works) {
            continue;
        }
        out.require(!refused_for_order, || {
            told(
                format!("{} was refused as the first request of its connection, and served later on it.", ask.method()),
                &["service by what the request says itself"],
                came(ask.exchange),
                "take nothing from earlier requests",
                ask.evidence(),
            )
        });
    }
}

/// No connection is better than another.
fn any_connection(view: &View<'_>, out: &mut Findings) {
    let all = lists(view);
    for (at, ask) in all.iter().enumerate() {
        let elsewhere = all[..at].iter().any(|other| {
            other.method() == ask.method()
                && line(other) != line(ask)
                && other.result().is_some()
                && same_caller(other, ask)
        });
        if !elsewhere {
            continue;
        }
        out.require(ask.result().is_some(), || {
            told(
                format!("{} was refused on another connection than the one on which it had been served.", ask.method()),
                &["service on any connection"],
                came(ask.exchange),
                "tie nothing to a connection",
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
        none().discover(json!({"tools": {}, "prompts": {}, "resources": {}, "completions": {}}))
    }

    fn over(builder: Builder, connection: u32, names: &[&str]) -> Builder {
        let tools: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        builder
            .probe(&[], "tools/list", Value::Null)
            .on_connection(connection)
            .serves("tools/list", json!({"tools": tools}))
    }

    #[test]
    fn no_connection_matters() {
        let first = || start().call("tools/list", Value::Null, json!({"tools": [], "nextCursor": "c"}));
        let next = || first().probe(&[], "tools/list", json!({"cursor": "c"})).on_connection(2);
        let kept = next().serves("tools/list", json!({"tools": []}));
        let broken = next().refuses(200, -32602, Value::Null);
        expect_three("utilities.pagination.cursor-across-connections", &kept, &broken, &first());
        let moved = || start().probe(&[], "server/discover", Value::Null).on_connection(2);
        let found = json!({"supportedVersions": ["2026-07-28"], "capabilities": {}});
        let kept = moved().serves("server/discover", found);
        expect_three("base.stateless-any-connection", &kept, &moved().refuses(200, -32600, Value::Null), &start());
        let order = over(
            start().probe(&[], "tools/list", Value::Null).on_connection(2).refuses(200, -32600, Value::Null),
            2,
            &[],
        );
        expect_three("base.stateless-independent-requests", &start(), &order, &none());
        let again = |answer: fn(Builder) -> Builder| {
            let message = start().message(&json!(1), "server/discover", Value::Null);
            answer(start().post(&message))
        };
        let kept = again(|builder| {
            builder.serves("server/discover", json!({"supportedVersions": ["2026-07-28"], "capabilities": {}}))
        });
        let broken = again(|builder| builder.refuses(200, -32600, Value::Null));
        expect_three("base.client-id-reuse-after-response", &kept, &broken, &start());
    }
}
