//! What a protected resource demands of tokens by 2026-07-28: no more than the operation needs, and all of that at once.

use std::collections::BTreeSet;

use super::challenge::{breach, operation};
use super::{discovery, wire as oauth};
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.discovery.prm-no-offline-access", judge: documents },
    Check { id: "auth.resource-server.no-offline-access", judge: challenges },
    Check { id: "auth.resource-server.403-all-scopes-at-once", judge: at_once },
];

fn scopes(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The metadata does not offer the scope that only the authorization server deals in.
fn documents(view: &View<'_>, out: &mut Findings) {
    for (exchange, document) in discovery::documents(view) {
        let Some(list) = document.at("scopes_supported").as_array() else { continue };
        if !out.covers(oauth::around(view, exchange)) {
            continue;
        }
        out.require(!list.iter().any(|scope| scope == "offline_access"), || {
            told(
                "The metadata of the resource lists offline_access among its scopes.".to_owned(),
                &["the scopes of the resource itself"],
                came(exchange),
                "drop offline_access: clients ask the authorization server for it if that lists it",
                exchange.evidence(),
            )
        });
    }
}

/// Nor do challenges ask for it.
fn challenges(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| matches!(exchange.status, Some(401 | 403))) {
        if !oauth::at_endpoint(view, exchange) || !out.covers(oauth::around(view, exchange)) {
            continue;
        }
        let Some(challenge) = oauth::bearer(exchange) else { continue };
        let Some(asked) = challenge.param("scope") else { continue };
        out.require(!scopes(asked).contains("offline_access"), || {
            breach(
                "A challenge asks for offline_access.",
                exchange,
                "the scopes that the operation needs",
                "drop offline_access from the challenge",
            )
        });
    }
}

/// A refusal for want of scope: exchange, operation, scopes asked for.
fn refusals<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Exchange, String, BTreeSet<String>)> {
    let here = |exchange: &&Exchange| {
        exchange.status == Some(403) && oauth::at_endpoint(view, exchange) && out.covers(oauth::around(view, exchange))
    };
    let refused = |exchange: &'v Exchange| {
        let challenge = oauth::bearer(exchange)?;
        let asked = challenge.param("scope").map(scopes)?;
        (challenge.param("error") == Some("insufficient_scope")).then(|| (exchange, operation(exchange), asked))
    };
    view.exchanges.iter().filter(here).filter_map(refused).collect()
}

/// The first later request for the same by the same client with another token.
fn again<'v>(view: &'v View<'_>, refused: &Exchange, what: &str) -> Option<&'v Exchange> {
    view.exchanges.iter().find(|exchange| {
        exchange.seq > refused.seq
            && exchange.client == refused.client
            && exchange.method == refused.method
            && oauth::token_of(exchange).is_some()
            && oauth::token_of(exchange) != oauth::token_of(refused)
            && operation(exchange) == what
    })
}

/// Who comes back with what was asked for is not asked for more.
fn at_once(view: &View<'_>, out: &mut Findings) {
    let all = refusals(view, out);
    for (refused, what, asked) in &all {
        let Some(later) = again(view, refused, what) else { continue };
        let more = all.iter().find(|(exchange, ..)| exchange.seq == later.seq).map(|(.., asked)| asked);
        let new = more.is_some_and(|more| !more.is_subset(asked));
        if more.is_some() && !new {
            continue;
        }
        out.require(!new, || {
            breach(
                "A client came back with the scopes that it had been asked for, and was asked for others.",
                later,
                "all scopes that the operation needs in the first challenge",
                "collect the scopes of an operation before answering",
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{deny, document, fetched};
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    const MODERN: &str = "2026-07-28";
    const MORE: &str = "Bearer error=\"insufficient_scope\", scope=\"mcp:write\"";

    fn start() -> Builder {
        Builder::new().initialize(MODERN)
    }

    fn ask(builder: Builder, label: &str) -> Builder {
        let header = format!("Bearer {label}");
        builder.probe(&[("authorization", &header)], "tools/list", Value::Null)
    }

    #[test]
    fn offline_access() {
        let mut wide = document();
        wide["scopes_supported"] = json!(["mcp:read", "offline_access"]);
        let bad = fetched(start(), &wide);
        expect_three("auth.discovery.prm-no-offline-access", &fetched(start(), &document()), &bad, &start());
        let kept = deny(ask(start(), "access#1"), 403, MORE);
        let broken =
            deny(ask(start(), "access#1"), 403, "Bearer error=\"insufficient_scope\", scope=\"x offline_access\"");
        expect_three("auth.resource-server.no-offline-access", &kept, &broken, &start());
    }

    #[test]
    fn enough_scope() {
        let first = || deny(ask(start(), "access#1"), 403, MORE);
        let kept = ask(first(), "access#2").serves("tools/list", json!({"tools": []}));
        let broken = deny(ask(first(), "access#2"), 403, "Bearer error=\"insufficient_scope\", scope=\"mcp:admin\"");
        expect_three("auth.resource-server.403-all-scopes-at-once", &kept, &broken, &first());
    }
}
