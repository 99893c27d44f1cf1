//! What introspection says of tokens that are over (RFC 7662 section 2.2).

use super::ledger::{Ask, Ledger, under};
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[Check { id: "auth.token.introspection-inactive", judge: inactive }];

/// Clock difference that a server may tolerate, in microseconds: five minutes.
const LEEWAY: u64 = 300_000_000;

/// A token that is expired, or was revoked by its own client, is not active.
fn inactive(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for look in under(&ledger.introspections, out) {
        let Some(token) = look.param("token") else { continue };
        let Some(active) = look.answer.at("active").as_bool() else { continue };
        let revoked = ledger
            .own_revocations()
            .find(|(ask, ended, _)| *ended == token && ask.exchange.is_success() && ask.before(look.exchange))
            .map(|(ask, _, _)| ask.exchange.evidence());
        let Some(before) = revoked.or_else(|| expired(&ledger, look, token)) else { continue };
        out.require(!active, || {
            told(
                "Introspection says that a token is active which was revoked or has expired.".to_owned(),
                &["{\"active\": false}"],
                came(look.exchange),
                "answer active: false for every token that the server would not honour any more",
                before.into_iter().chain(look.exchange.evidence()).collect(),
            )
        });
    }
}

/// Where an access token came from, if its time was over when it was looked at.
fn expired(ledger: &Ledger<'_>, look: &Ask<'_>, token: &str) -> Option<Vec<u32>> {
    let ask = &ledger.asks[ledger.access.get(token)?.ask];
    let lives = ask.answer.at("expires_in").as_u64()?.saturating_mul(1_000_000);
    let over = look.exchange.at > ask.done().saturating_add(lives).saturating_add(LEEWAY);
    over.then(|| ask.exchange.evidence())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::play::{Play, silent, three};

    #[test]
    fn what_is_over_is_inactive() {
        let id = "auth.token.introspection-inactive";
        let looks = |play: &Play, token, active| play.clone().introspect(token, &json!({"active": active}));
        let revoked = Play::logged_in().revoke("refresh#1", "", 200);
        three(id, &looks(&revoked, "refresh#1", false), &looks(&revoked, "refresh#1", true));
        let late = Play::logged_in().later(3600 + 301);
        three(id, &looks(&late, "access#1", false), &looks(&late, "access#1", true));
        silent(id, &looks(&Play::logged_in().later(3600), "access#1", true));
        silent(id, &looks(&revoked, "access#1", true));
    }
}
