//! The revocation endpoint (RFC 7009).

use super::ledger::{Ask, Ledger, under};
use super::token_errors::sender;
use super::wire::{around, document, on_this_machine, server_metadata};
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "auth.token.revocation-refresh", judge: refresh_tokens },
    Check { id: "auth.token.revocation-access", judge: access_tokens },
    Check { id: "auth.token.revocation-cascade", judge: cascade },
    Check { id: "auth.token.revocation-immediate", judge: immediate },
    Check { id: "auth.token.revocation-unknown-200", judge: unknown },
    Check { id: "auth.token.revocation-client-auth", judge: of_its_own },
    Check { id: "auth.token.revocation-hint-ignored", judge: hint },
    Check { id: "auth.token.revocation-https-post", judge: place },
];

fn wrong(ask: &Ask<'_>, then: Option<&Exchange>, what: &str, expected: &[&str], fix: &str) -> Breach {
    let seen = then.unwrap_or(ask.exchange);
    let later = then.map(Exchange::evidence).unwrap_or_default();
    told(what.to_owned(), expected, came(seen), fix, ask.exchange.evidence().into_iter().chain(later).collect())
}

/// Revocations of a client's own token: the request, the token, its grant.
fn own_revocations<'l, 'v>(ledger: &'l Ledger<'v>, out: &Findings) -> Vec<(&'l Ask<'v>, &'l str, usize)> {
    ledger.own_revocations().filter(|(ask, _, _)| out.covers(ask.revision)).collect()
}

/// Whether the hint says another kind of token than it is.
fn misleads(ledger: &Ledger<'_>, ask: &Ask<'_>, token: &str) -> bool {
    let kind = if ledger.refresh.contains_key(token) { "refresh_token" } else { "access_token" };
    ask.param("token_type_hint").is_some_and(|hint| hint != kind)
}

/// The first use of a token after its revocation that tells whether it still works: the exchange, and whether it does.
fn afterwards<'l>(ledger: &'l Ledger<'_>, ask: &Ask<'_>, token: &str) -> Option<(&'l Exchange, bool)> {
    if ledger.refresh.contains_key(token) {
        let later =
            |other: &&Ask<'_>| other.presented() == Some(token) && ask.before(other.exchange) && ledger.fair(other);
        let tried = ledger.asks.iter().find(later).map(|other| (other.exchange, other.access().is_some()));
        // Rotated away it is refused anyhow. Where a refresh met the revocation, the revocation still ended the grant.
        let met =
            |exchange: &Exchange| ledger.rotation(token, exchange).is_some_and(|other| !other.before(ask.exchange));
        return tried
            .filter(|(exchange, works)| ledger.rotation(token, exchange).is_none() || (*works && met(exchange)));
    }
    served(ledger, ledger.family(token)?, ask, Some(token))
}

/// The first call after a revocation with an access token of a grant (this one, if one is named): the exchange, and
/// whether it was served.
fn served<'l>(ledger: &'l Ledger<'_>, grant: usize, ask: &Ask<'_>, only: Option<&str>) -> Option<(&'l Exchange, bool)> {
    let mut uses = ledger
        .uses_of(grant)
        .filter(|(token, exchange)| only.is_none_or(|only| only == *token) && ask.before(exchange));
    uses.find_map(|(_, exchange)| match exchange.status {
        Some(401) => Some((exchange, false)),
        Some(200..=299) => Some((exchange, true)),
        _ => None,
    })
}

/// A refresh token can be revoked, and does not work any more.
fn refresh_tokens(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    let fix = "end the grant when its refresh token is revoked, and answer 200";
    for (ask, token, _) in own_revocations(&ledger, out) {
        if !ledger.refresh.contains_key(token) || misleads(&ledger, ask, token) {
            continue;
        }
        if ask.error() == Some("unsupported_token_type") {
            out.breach(wrong(ask, None, "Refresh tokens cannot be revoked.", &["status 200"], fix));
        } else if let Some((exchange, works)) = afterwards(&ledger, ask, token).filter(|_| ask.exchange.is_success()) {
            out.require(!works, || {
                wrong(
                    ask,
                    Some(exchange),
                    "A revoked refresh token went on working.",
                    &["the error invalid_grant"],
                    fix,
                )
            });
        }
    }
}

/// An access token can be revoked.
fn access_tokens(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for (ask, token, _) in own_revocations(&ledger, out) {
        if ledger.refresh.contains_key(token) || misleads(&ledger, ask, token) {
            continue;
        }
        out.require(ask.exchange.is_success(), || {
            let fix = "let clients revoke access tokens as well";
            wrong(ask, None, "An access token could not be revoked.", &["status 200"], fix)
        });
    }
}

/// The access tokens of a revoked refresh token do not work any more either.
fn cascade(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for (ask, token, grant) in own_revocations(&ledger, out) {
        let right = ledger.refresh.contains_key(token) && !misleads(&ledger, ask, token) && ask.exchange.is_success();
        let Some((exchange, works)) = served(&ledger, grant, ask, None).filter(|_| right) else { continue };
        out.require(!works, || {
            wrong(
                ask,
                Some(exchange),
                "The access token of a revoked refresh token was still served.",
                &["status 401"],
                "end the access tokens of a grant when its refresh token is revoked",
            )
        });
    }
}

/// A token that was revoked cannot be used again.
fn immediate(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for (ask, token, _) in own_revocations(&ledger, out) {
        let right = !misleads(&ledger, ask, token) && ask.exchange.is_success();
        let Some((exchange, works)) = afterwards(&ledger, ask, token).filter(|_| right) else { continue };
        out.require(!works, || {
            wrong(
                ask,
                Some(exchange),
                "A token was used after its revocation.",
                &["a refusal: 401 for an access token, invalid_grant for a refresh token"],
                "let a revocation take effect at once, also where tokens are cached or checked by their signature",
            )
        });
    }
}

/// A token that nobody knows is as good as revoked.
fn unknown(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in under(&ledger.revocations, out).into_iter().filter(|ask| ask.sound() && ask.conclusive()) {
        let stranger = ask.param("token").is_some_and(|token| ledger.family(token).is_none());
        let away = matches!(ask.exchange.status, Some(404 | 405 | 415));
        if !stranger || away || sender(&ledger, view, ask).is_none() {
            continue;
        }
        let breach = wrong(
            ask,
            None,
            "The revocation of an unknown token was not answered with 200.",
            &["status 200"],
            "answer 200 where there is nothing to revoke: what the client wants is so already",
        );
        match ask.exchange.status {
            Some(200) => out.pass(),
            Some(201..=299) => out.contested(breach),
            _ => out.breach(breach),
        }
    }
}

/// A client cannot revoke the tokens of another. Silence about it is as good as a refusal, as long as the token works.
fn of_its_own(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in under(&ledger.revocations, out).into_iter().filter(|ask| ask.sound() && ask.conclusive()) {
        let Some(token) = ask.param("token") else { continue };
        let Some(grant) = ledger.family(token).filter(|grant| ledger.grants[*grant].foreign(ask)) else { continue };
        let away = matches!(ask.exchange.status, Some(404 | 405 | 415));
        if away || sender(&ledger, view, ask).is_none() {
            continue;
        }
        if !ask.exchange.is_success() {
            out.pass();
            continue;
        }
        let Some((exchange, works)) = afterwards(&ledger, ask, token).or_else(|| served(&ledger, grant, ask, None))
        else {
            continue;
        };
        out.require(works, || {
            wrong(
                ask,
                Some(exchange),
                "A client revoked the token of another.",
                &["an error, and the token goes on working"],
                "compare the client of the request with the one that the token was issued to",
            )
        });
    }
}

/// A wrong hint does not keep a token from being revoked.
fn hint(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    let fix = "look for the token among all kinds where the hint does not lead to it";
    for (ask, token, _) in own_revocations(&ledger, out) {
        if !misleads(&ledger, ask, token) {
            continue;
        }
        if !ask.exchange.is_success() {
            out.breach(wrong(ask, None, "A revocation with a wrong hint was refused.", &["status 200"], fix));
        } else if let Some((exchange, works)) = afterwards(&ledger, ask, token) {
            out.require(!works, || {
                let what = "A token went on working after its revocation with a wrong hint.";
                wrong(ask, Some(exchange), what, &["a refusal of the token"], fix)
            });
        }
    }
}

/// The endpoint has an https URL (which is all one on this machine) and takes forms by POST.
fn place(view: &View<'_>, out: &mut Findings) {
    for exchange in server_metadata(view).filter(|exchange| exchange.is_success()) {
        let url =
            document(exchange).and_then(|document| document.at("revocation_endpoint").as_str().map(str::to_owned));
        let Some(url) = url.filter(|url| !on_this_machine(url) && out.covers(around(view, exchange))) else { continue };
        out.require(url.starts_with("https://"), || {
            told(
                "The revocation endpoint has no https URL.".to_owned(),
                &["a URL that begins with https://"],
                url.clone(),
                "serve the revocation endpoint by https only: what it is sent are tokens",
                exchange.evidence(),
            )
        });
    }
    for ask in under(&Ledger::new(view).revocations, out) {
        if !ask.sound() || !ask.conclusive() {
            continue;
        }
        out.require(!matches!(ask.exchange.status, Some(404 | 405 | 415)), || {
            wrong(
                ask,
                None,
                "The revocation endpoint does not take a form by POST.",
                &["status 200"],
                "take application/x-www-form-urlencoded by POST at the revocation_endpoint of the metadata",
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::play::{Play, silent, three};

    #[test]
    fn what_is_revoked_is_over() {
        let refresh = Play::logged_in().revoke("refresh#1", "", 200);
        three("auth.token.revocation-refresh", &refresh.clone().dead("refresh#1"), &refresh.clone().rotate(1));
        three("auth.token.revocation-immediate", &refresh.clone().dead("refresh#1"), &refresh.clone().rotate(1));
        let cascade = "auth.token.revocation-cascade";
        three(cascade, &refresh.clone().used("access#1", 401), &refresh.clone().used("access#1", 200));
        silent(cascade, &refresh.later(7200).used("access#1", 401));
        let access = Play::logged_in().revoke("access#1", "", 200);
        let refused = Play::logged_in().revoke("access#1", "", 400);
        three("auth.token.revocation-access", &access, &refused);
        let immediate = "auth.token.revocation-immediate";
        three(immediate, &access.clone().used("access#1", 401), &access.clone().used("access#1", 200));
        silent(immediate, &refused.used("access#1", 200));
        silent("auth.token.revocation-refresh", &access.rotate(1));
    }

    #[test]
    fn hints_and_strangers() {
        let hinted = |token, hint, status| Play::logged_in().revoke(token, &format!("&token_type_hint={hint}"), status);
        let id = "auth.token.revocation-hint-ignored";
        let fine = hinted("refresh#1", "access_token", 200);
        three(id, &fine.clone().dead("refresh#1"), &fine.rotate(1));
        let other = hinted("access#1", "refresh_token", 200);
        three(id, &other.clone().used("access#1", 401), &other.used("access#1", 200));
        silent(id, &hinted("refresh#1", "refresh_token", 200).dead("refresh#1"));
        let unknown = |status| Play::logged_in().revoke("token#1", "", status);
        three("auth.token.revocation-unknown-200", &unknown(200), &unknown(400));
        silent("auth.token.revocation-unknown-200", &Play::logged_in().revoke("access#1", "", 400));
    }

    #[test]
    fn only_ones_own() {
        let id = "auth.token.revocation-client-auth";
        let both = |status| Play::logged_in().first("d", "d").revoke("refresh#1d", "", status);
        three(id, &both(400), &both(200).used("access#1d", 401));
        three(id, &both(200).used("access#1d", 200), &both(200).used("access#1d", 401));
        silent(id, &both(200));
    }

    #[test]
    fn where_it_is() {
        let id = "auth.token.revocation-https-post";
        let revoked = |status| Play::logged_in().revoke("refresh#1", "", status);
        three(id, &revoked(200), &revoked(415));
        let published = |url: &str| {
            let answer = format!("{{\"revocation_endpoint\":\"{url}\"}}");
            let target = "/.well-known/oauth-authorization-server";
            Play::on("2025-11-25").send(("GET", target), &[], "", (200, &[], &answer))
        };
        three(id, &published("https://as.example.com/revoke"), &published("http://as.example.com/revoke"));
        silent(id, &published("http://127.0.0.1:8080/revoke"));
    }
}
