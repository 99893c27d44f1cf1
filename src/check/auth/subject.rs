//! Sessions and their users: a session belongs to whoever opened it, and outlives the token it was opened with.

use super::vault::{Credential, Issued, Vault};
use super::wire as oauth;
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "transport.http.session-id-bound-to-user", judge: bound },
    Check { id: "transport.http.session-survives-token-refresh", judge: survives },
];

/// Requests in a session with a good token that is not the one it was opened with: both tokens.
fn later<'a>(
    view: &'a View<'_>,
    vault: &'a Vault<'a>,
    out: &Findings,
) -> Vec<(&'a Exchange, &'a Issued<'a>, &'a Issued<'a>)> {
    let pair = |(exchange, credential): (&'a Exchange, Credential)| {
        let opened = &view.exchanges[view.conversations[exchange.conversation?].opened];
        let (first, now) = (vault.token(opened)?, vault.token(exchange)?);
        let judged = credential == Credential::Live && exchange.session().is_some() && first.label != now.label;
        judged.then_some((exchange, first, now))
    };
    vault.asked().filter_map(pair).filter(|(exchange, ..)| out.covers(oauth::around(view, exchange))).collect()
}

fn bound(view: &View<'_>, out: &mut Findings) {
    let Some(vault) = Vault::open(view) else { return };
    for (exchange, first, now) in later(view, &vault, out) {
        // Only where the second login was for a named person is it known that somebody else asks.
        if now.hint.is_none() || now.hint == first.hint {
            continue;
        }
        out.require(!exchange.is_success(), || {
            let fix = "keep the user with the session, and answer 404 to anybody else who names its id";
            let what = "A session of one user was open to the token of another.".to_owned();
            told(what, &["status 404, as for a session that does not exist"], came(exchange), fix, exchange.evidence())
        });
    }
}

fn survives(view: &View<'_>, out: &mut Findings) {
    let Some(vault) = Vault::open(view) else { return };
    for (exchange, first, now) in later(view, &vault, out) {
        let same_client = now.exchange.client == first.exchange.client;
        let post = exchange.method == "POST";
        let told_apart = exchange.is_success() || matches!(exchange.status, Some(400 | 403 | 404));
        if !post || !now.refreshed || !same_client || !told_apart {
            continue;
        }
        out.require(exchange.is_success(), || {
            let fix = "bind sessions to the user, not to the access token, which changes with every refresh";
            let what = "After a refresh the session was gone.".to_owned();
            told(what, &["the session goes on with the fresh token"], came(exchange), fix, exchange.evidence())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{NEWEST, inside, ping, pong, token};
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;

    /// A login for a person who is named, and a ping with the token, before its answer.
    fn somebody_else() -> Builder {
        let place = "/authorize?client_id=c&login_hint=user-2";
        let location = [("location", "http://127.0.0.1:7/cb?code=code%232")];
        let builder = inside(NEWEST).outside("GET", place, &[], None).answer(302, &location, "");
        ping(token(builder, "access#2", "grant_type=authorization_code&code=code%232"), "Bearer access#2")
    }

    #[test]
    fn a_session_is_its_users() {
        let id = "transport.http.session-id-bound-to-user";
        let again = token(inside(NEWEST), "access#2", "grant_type=authorization_code&code=code%233");
        let same = pong(ping(again, "Bearer access#2"));
        expect_three(id, &somebody_else().answer(404, &[], ""), &pong(somebody_else()), &same);
    }

    #[test]
    fn a_session_outlives_its_token() {
        let fresh = || ping(token(inside(NEWEST), "access#2", "grant_type=refresh_token"), "Bearer access#2");
        let id = "transport.http.session-survives-token-refresh";
        expect_three(id, &pong(fresh()), &fresh().answer(404, &[], ""), &pong(ping(inside(NEWEST), "Bearer access#1")));
    }
}
