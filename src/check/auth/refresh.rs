//! What a refresh may give, to whom, and for how long (RFC 6749 section 6, RFC 9700 section 4.14.2).

use std::collections::BTreeSet;

use super::ledger::{Ask, Grant, Ledger, under, words};
use super::token_errors::sender;
use super::token_response::audiences;
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "auth.token.refresh-client-auth", judge: client_auth },
    Check { id: "auth.token.refresh-bound-client", judge: bound_client },
    Check { id: "auth.token.refresh-scope-limit", judge: scope_limit },
    Check { id: "auth.token.refresh-scope-default", judge: scope_default },
    Check { id: "auth.token.refresh-new-token-scope", judge: new_token_scope },
    Check { id: "auth.token.refresh-bound-grant", judge: bound_grant },
    Check { id: "auth.token.refresh-inactivity-expiry", judge: inactivity },
    Check { id: "auth.token.refresh-expired-error", judge: expired_error },
];

/// After this time, in microseconds, an unused refresh token should be over, whatever the server's policy: a year.
const YEAR: u64 = 365 * 86_400 * 1_000_000;

/// Refreshes with a known token that the server looked at, each with the token and its grant.
fn listed<'l, 'v>(ledger: &'l Ledger<'v>, out: &Findings) -> Vec<(&'l Ask<'v>, &'l str, &'l Grant)> {
    let known = |ask: &'l Ask<'v>| {
        let token = ask.presented()?;
        Some((ask, token, ledger.grant_of(token)?))
    };
    under(&ledger.asks, out).into_iter().filter(|ask| ask.sound() && ask.conclusive()).filter_map(known).collect()
}

fn wrong(ask: &Ask<'_>, what: &str, expected: &[&str], fix: &str) -> Breach {
    told(what.to_owned(), expected, came(ask.exchange), fix, ask.exchange.evidence())
}

/// A scope without the words that only steer the login.
fn worth(scope: &BTreeSet<String>) -> BTreeSet<&str> {
    scope.iter().map(String::as_str).filter(|word| !["offline_access", "openid"].contains(word)).collect()
}

/// A client with a secret has to prove itself for a refresh, too.
fn client_auth(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for (ask, _, grant) in listed(&ledger, out) {
        if !grant.proven || ask.proof().is_some() || grant.foreign(ask) {
            continue;
        }
        out.require(ask.access().is_none(), || {
            wrong(
                ask,
                "A client that has a secret refreshed without it.",
                &["the error invalid_client"],
                "authenticate confidential clients on every token request, not only when a code is exchanged",
            )
        });
    }
}

/// A refresh token is of no use to another client.
fn bound_client(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for (ask, _, grant) in listed(&ledger, out) {
        if !grant.foreign(ask) || sender(&ledger, view, ask).is_none() {
            continue;
        }
        out.require(ask.access().is_none(), || {
            wrong(
                ask,
                "A client got tokens for the refresh token of another.",
                &["the error invalid_grant"],
                "compare the client of the request with the one that the refresh token was issued to",
            )
        });
    }
}

/// A refresh that asks for more scope than was granted gets none of it.
fn scope_limit(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for (ask, _, grant) in listed(&ledger, out) {
        let (Some(asked), Some(granted)) = (ask.param("scope").map(words), &grant.scope) else { continue };
        if !grant.own(ask) || worth(&asked).is_subset(&worth(granted)) {
            continue;
        }
        // Without a scope in the answer it is the one that was asked for (RFC 6749 section 5.1).
        let given = ask.stated().unwrap_or(asked);
        let within = ask.access().is_none() || worth(&given).is_subset(&worth(granted));
        out.require(within, || {
            wrong(
                ask,
                "A refresh got more scope than was granted at first.",
                &["the error invalid_scope", "tokens with the granted scope, stated in scope"],
                "compare the scope of a refresh with what the person consented to; more scope takes a new authorization",
            )
        });
    }
}

/// Whether a refresh asked for less than was granted.
fn narrows(ask: &Ask<'_>, grant: &Grant) -> bool {
    let asked = ask.param("scope").map(words).filter(|_| ask.presented().is_some() && ask.access().is_some());
    asked.is_some_and(|asked| grant.scope.as_ref().is_some_and(|granted| worth(&asked) != worth(granted)))
}

/// Judges refreshes that name no scope, as far as the answer states one; `after` says whether the refresh token came
/// with less scope.
fn whole_scope(view: &View<'_>, out: &mut Findings, after: bool, what: &str) {
    let ledger = Ledger::new(view);
    for (ask, token, grant) in listed(&ledger, out) {
        let (Some(stated), Some(granted)) = (ask.stated(), &grant.scope) else { continue };
        let origin = ledger.refresh[token];
        let parent = narrows(&ledger.asks[origin.ask], grant);
        let earlier = ledger.asks.iter().any(|other| {
            let same = other.presented().and_then(|token| ledger.refresh.get(token));
            same.is_some_and(|other| other.grant == origin.grant) && other.before(ask.exchange) && narrows(other, grant)
        });
        let occasion = if after { parent } else { !earlier };
        if ask.param("scope").is_some() || !occasion {
            continue;
        }
        out.require(worth(granted).is_subset(&worth(&stated)), || {
            wrong(
                ask,
                what,
                &["the scope that was granted at first"],
                "keep the granted scope with the grant; a refresh without scope gets all of it",
            )
        });
    }
}

/// A refresh that names no scope gets all that was granted.
fn scope_default(view: &View<'_>, out: &mut Findings) {
    whole_scope(view, out, false, "A refresh that named no scope got less than was granted.");
}

/// A refresh with less scope does not narrow the refresh token.
fn new_token_scope(view: &View<'_>, out: &mut Findings) {
    whole_scope(view, out, true, "After a refresh with less scope, the new refresh token has less for ever.");
}

/// A refresh gives tokens for the resource of the grant: for no other one, and also where it names none. That a server
/// does not know the parameter is no breach; only what a token turns out to be for counts.
fn bound_grant(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    let fix =
        "keep the resource with the grant; refuse another one with invalid_target, and use it where none is named";
    for (ask, token, grant) in listed(&ledger, out) {
        if !grant.own(ask) {
            continue;
        }
        let Some(wanted) = ask.param("resource") else {
            kept(&ledger, ask, token, out, fix);
            continue;
        };
        let bare = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
        let Some(known) = grant.resource.as_deref().map(bare) else { continue };
        let related = known.starts_with(&bare(wanted)) || bare(wanted).starts_with(&known);
        if related || ask.form.iter().filter(|(name, _)| name == "resource").count() > 1 {
            continue;
        }
        let Some(access) = ask.access() else {
            out.pass();
            continue;
        };
        let shown = ledger.introspections.iter().find(|look| {
            let for_it = audiences(look.answer.at("aud")).iter().any(|aud| bare(aud) == bare(wanted));
            look.param("token") == Some(access) && look.answer.at("active") == true && for_it
        });
        if let Some(look) = shown {
            let mut breach = wrong(
                ask,
                "A refresh gave a token for a resource that nobody consented to.",
                &["the error invalid_target"],
                fix,
            );
            breach.evidence.extend(look.exchange.evidence());
            out.breach(breach);
        }
    }
}

/// The token of a refresh that names no resource works where the tokens of this grant worked before.
fn kept(ledger: &Ledger<'_>, ask: &Ask<'_>, token: &str, out: &mut Findings, fix: &str) {
    let Some(access) = ask.access() else { return };
    let grant = ledger.refresh[token].grant;
    let welcome = |status: Option<u16>| status.is_some_and(|status| status < 300);
    let worked = ledger.uses_of(grant).any(|(_, exchange)| welcome(exchange.status) && exchange.seq < ask.exchange.seq);
    let used = ledger.uses_of(grant).find(|(used, exchange)| *used == access && ask.before(exchange));
    // A refresh that was refused, even one that overlapped this one, may have ended the grant.
    let refused = |exchange: &Exchange| {
        ledger.asks.iter().any(|other| {
            let same = other.presented().and_then(|token| ledger.refresh.get(token));
            other.access().is_none()
                && other.exchange.seq < exchange.seq
                && same.is_some_and(|same| same.grant == grant)
        })
    };
    let open = |exchange: &Exchange| ledger.ended(grant, exchange).is_none() && !refused(exchange);
    let Some((_, exchange)) = used.filter(|(_, exchange)| worked && open(exchange)) else {
        return;
    };
    if welcome(exchange.status) {
        out.pass();
    } else if exchange.status == Some(401) {
        let mut breach = wrong(
            ask,
            "A refresh that named no resource gave a token that the endpoint does not take, unlike those before it.",
            &["a token for the resource of the grant"],
            fix,
        );
        breach.actual = came(exchange);
        breach.evidence.extend(exchange.evidence());
        out.breach(breach);
    }
}

/// Refreshes with a token that lay unused for more than a year, of a grant that nothing else ended.
fn long_unused<'l, 'v>(ledger: &'l Ledger<'v>, out: &Findings) -> Vec<&'l Ask<'v>> {
    let unused = |(ask, token, grant): &(&Ask<'_>, &str, &Grant)| {
        let origin = ledger.refresh[*token];
        let age = ask.exchange.at.saturating_sub(ledger.asks[origin.ask].done());
        let open = ledger.rotation(token, ask.exchange).is_none() && ledger.ended(origin.grant, ask.exchange).is_none();
        age > YEAR && open && grant.own(ask)
    };
    listed(ledger, out).into_iter().filter(unused).map(|(ask, _, _)| ask).collect()
}

/// It is refused.
fn inactivity(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in long_unused(&ledger, out) {
        out.require(ask.access().is_none(), || {
            wrong(
                ask,
                "A refresh token still worked after more than a year without use.",
                &["the error invalid_grant"],
                "let refresh tokens end when they lie unused for weeks or months",
            )
        });
    }
}

/// It is refused with `invalid_grant`.
fn expired_error(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in long_unused(&ledger, out) {
        if !ask.refused() {
            continue;
        }
        let server = ask.exchange.status.is_some_and(|status| status >= 500);
        out.require(ask.error() == Some("invalid_grant") && !server, || {
            wrong(
                ask,
                "An expired refresh token was not refused as what it is.",
                &["status 400 with the error invalid_grant"],
                "answer invalid_grant for expired refresh tokens; on any other error clients keep trying",
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::play::{Play, error, silent, three, tokens};

    fn scoped(scope: &str, generation: u32) -> Value {
        let mut answer = tokens(&format!("access#{generation}"), &format!("refresh#{generation}"));
        answer["scope"] = json!(scope);
        answer
    }

    #[test]
    fn whose_it_is() {
        let basic = [("authorization", "Basic access#9")];
        let answer = tokens("access#1", "refresh#1").to_string();
        let form = "grant_type=authorization_code&code=x&client_id=c";
        let login = Play::on("2025-11-25").send(("POST", "/token"), &basic, form, (200, &[], &answer));
        let good = login.clone().refresh("refresh#1", "", 401, &error("invalid_client"));
        three("auth.token.refresh-client-auth", &good, &login.rotate(1));
        silent("auth.token.refresh-client-auth", &Play::logged_in().rotate(1));
        let other = "grant_type=refresh_token&refresh_token=refresh#1&client_id=d";
        let by = |status, answer: &Value| Play::logged_in().first("d", "d").token(other, status, answer);
        three("auth.token.refresh-bound-client", &by(400, &error("invalid_grant")), &by(200, &scoped("r w", 2)));
        silent("auth.token.refresh-bound-client", &Play::logged_in().token(other, 401, &error("invalid_client")));
    }

    #[test]
    fn how_much_scope() {
        let asked = |scope: &str, status, answer: &Value| {
            Play::logged_in().refresh("refresh#1", &format!("&scope={scope}"), status, answer)
        };
        let good = asked("r+w+x", 400, &error("invalid_scope"));
        three("auth.token.refresh-scope-limit", &good, &asked("r+w+x", 200, &scoped("r w x", 2)));
        three("auth.token.refresh-scope-limit", &asked("r+x", 200, &scoped("r", 2)), &asked("x", 200, &scoped("x", 2)));
        silent("auth.token.refresh-scope-limit", &asked("r", 200, &scoped("r", 2)));
        let bad = Play::logged_in().refresh("refresh#1", "", 200, &scoped("r", 2));
        three("auth.token.refresh-scope-default", &Play::logged_in().rotate(1), &bad);
        let less = asked("r", 200, &scoped("r", 2));
        let bad = less.clone().refresh("refresh#2", "", 200, &scoped("r", 3));
        three("auth.token.refresh-new-token-scope", &less.clone().rotate(2), &bad);
        silent("auth.token.refresh-scope-default", &bad);
        silent("auth.token.refresh-new-token-scope", &Play::logged_in().rotate(1));
    }

    #[test]
    fn which_resource() {
        let login = Play::logged_in().used("access#1", 200);
        let kept = |status| login.clone().rotate(1).used("access#2", status);
        three("auth.token.refresh-bound-grant", &kept(200), &kept(401));
        // A replay that was refused in between may have ended the grant.
        let replayed = login.clone().rotate(1).dead("refresh#1").used("access#2", 401);
        silent("auth.token.refresh-bound-grant", &replayed);
        let other =
            |status, answer: &Value| login.clone().refresh("refresh#1", "&resource=https://o/mcp", status, answer);
        let taken = other(200, &scoped("r w", 2));
        let bad = taken.clone().introspect("access#2", &json!({"active": true, "aud": "https://o/mcp"}));
        three("auth.token.refresh-bound-grant", &other(400, &error("invalid_target")), &bad);
        silent("auth.token.refresh-bound-grant", &taken);
        silent("auth.token.refresh-bound-grant", &login.refresh("refresh#1", "&resource=https://h", 400, &error("x")));
    }

    #[test]
    fn for_how_long() {
        let late = Play::logged_in().later(400 * 86_400);
        let refused = |status, code| late.clone().refresh("refresh#1", "", status, &error(code));
        three("auth.token.refresh-inactivity-expiry", &refused(400, "invalid_grant"), &late.clone().rotate(1));
        for bad in [refused(500, "server_error"), refused(400, "invalid_request")] {
            three("auth.token.refresh-expired-error", &refused(400, "invalid_grant"), &bad);
        }
        silent("auth.token.refresh-expired-error", &late.clone().rotate(1));
        silent("auth.token.refresh-inactivity-expiry", &Play::logged_in().later(86_400).rotate(1));
    }
}
