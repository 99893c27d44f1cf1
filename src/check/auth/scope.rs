//! Too little scope: the 403 and the challenge by which a client can ask for more.

use super::challenge::{breach, operation, same_scopes};
use super::vault::{Credential, Vault};
use super::{discovery, wire as oauth};
use crate::check::{Check, Findings};
use crate::model::{Challenge, Members as _};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.resource-server.403-scope", judge: status },
    Check { id: "auth.resource-server.403-insufficient-scope", judge: error },
    Check { id: "auth.resource-server.403-scope-list", judge: list },
    Check { id: "auth.resource-server.403-resource-metadata", judge: metadata },
    Check { id: "auth.resource-server.403-consistent", judge: consistent },
];

/// Answers of the endpoint that say `insufficient_scope`, as far as the requirement covers them.
fn insufficient<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Exchange, &'v Challenge)> {
    let said = |exchange: &'v Exchange| {
        let challenge = oauth::bearer(exchange)?;
        (challenge.param("error") == Some("insufficient_scope")).then_some((exchange, challenge))
    };
    let here = |exchange: &&Exchange| oauth::at_endpoint(view, exchange) && out.covers(oauth::around(view, exchange));
    view.exchanges.iter().filter_map(said).filter(|(exchange, _)| here(exchange)).collect()
}

fn status(view: &View<'_>, out: &mut Findings) {
    for (exchange, _) in insufficient(view, out) {
        out.require(exchange.status == Some(403), || {
            let fix = "answer 403 where a good token has too little scope: on 401 clients refresh, which does not help";
            breach("The server says insufficient_scope under another status.", exchange, "status 403", fix)
        });
    }
}

fn error(view: &View<'_>, out: &mut Findings) {
    let Some(vault) = Vault::open(view) else { return };
    // A server without any scopes refuses for reasons that no scope would mend.
    let has_scopes = discovery::documents(view).iter().any(|(_, document)| document.at("scopes_supported").is_array())
        || oauth::refused_with(view, 401)
            .any(|exchange| oauth::bearer(exchange).is_some_and(|challenge| challenge.param("scope").is_some()));
    for (exchange, credential) in vault.asked() {
        let judged = has_scopes && exchange.status == Some(403) && credential == Credential::Live;
        if !judged || !out.covers(oauth::around(view, exchange)) {
            continue;
        }
        let challenge = oauth::bearer(exchange);
        let said = challenge.as_ref().and_then(|challenge| challenge.param("error"));
        // Then it was not for want of scope, or is told as such elsewhere.
        if said == Some("invalid_token") {
            continue;
        }
        out.require(said == Some("insufficient_scope"), || {
            let fix = "send WWW-Authenticate: Bearer error=\"insufficient_scope\" with the scopes, so that clients can \
                       ask the user for them";
            breach("A 403 to a good token does not say what it lacks.", exchange, "error=\"insufficient_scope\"", fix)
        });
    }
}

/// A parameter that each 403 for want of scope should have.
fn has(view: &View<'_>, out: &mut Findings, name: &str, fix: &str) {
    for (exchange, challenge) in insufficient(view, out) {
        if exchange.status == Some(403) {
            out.require(challenge.param(name).is_some_and(|value| !value.trim().is_empty()), || {
                let what = format!("The challenge for more scope has no {name}.");
                breach(&what, exchange, &format!("a parameter {name}"), fix)
            });
        }
    }
}

fn list(view: &View<'_>, out: &mut Findings) {
    has(view, out, "scope", "name the scopes that the operation needs; without them a client cannot ask for them");
}

fn metadata(view: &View<'_>, out: &mut Findings) {
    has(view, out, "resource_metadata", "repeat the URL of the metadata, as in the challenge of a 401");
}

fn consistent(view: &View<'_>, out: &mut Findings) {
    let refused = insufficient(view, out).into_iter().filter(|(exchange, _)| exchange.status == Some(403));
    let key =
        |exchange: &Exchange| format!("{} {}", oauth::token_of(exchange).unwrap_or_default(), operation(exchange));
    let refused: Vec<(String, &Exchange)> = refused.map(|(exchange, _)| (key(exchange), exchange)).collect();
    same_scopes(out, refused.into_iter());
}

#[cfg(test)]
mod tests {
    use super::super::samples::{NEWEST, deny, inside, ping};
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    const MORE: &str =
        "Bearer error=\"insufficient_scope\", scope=\"mcp:write\", resource_metadata=\"http://127.0.0.1:8080/x\"";

    fn refused(status: u16, challenge: &str) -> Builder {
        deny(ping(inside(NEWEST), "Bearer access#1"), status, challenge)
    }

    #[test]
    fn what_a_refusal_for_want_of_scope_has() {
        let silent = inside(NEWEST);
        let bare = "Bearer error=\"insufficient_scope\"";
        for (id, broken) in [
            ("auth.resource-server.403-scope", refused(401, MORE)),
            ("auth.resource-server.403-insufficient-scope", refused(403, "")),
            ("auth.resource-server.403-scope-list", refused(403, bare)),
            ("auth.resource-server.403-resource-metadata", refused(403, bare)),
        ] {
            expect_three(id, &refused(403, MORE), &broken, &silent);
        }
        let forged = deny(ping(inside(NEWEST), "Bearer access#9"), 403, "");
        let id = "auth.resource-server.403-insufficient-scope";
        assert_eq!(judge(id, &forged).outcome, Outcome::NotExercised, "no scope would help a forged token");
    }

    #[test]
    fn the_same_operation_needs_the_same_scopes() {
        let again = |challenge: &str| deny(ping(refused(403, MORE), "Bearer access#1"), 403, challenge);
        let other = again("Bearer error=\"insufficient_scope\", scope=\"mcp:admin\"");
        expect_three("auth.resource-server.403-consistent", &again(MORE), &other, &refused(403, MORE));
    }
}
