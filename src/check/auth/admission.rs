//! Who has to be let in and who not, where the credential itself is unusual: in the query, in another spelling, for
//! another server, or fresh.

use super::vault::{Credential, Vault, fair, query_token};
use super::{forged, resource_metadata, wire as oauth};
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.resource-server.no-query-token", judge: no_query },
    Check { id: "auth.resource-server.400-multiple-methods", judge: two_tokens },
    Check { id: "auth.resource-server.scheme-case", judge: scheme_case },
    Check { id: "auth.resource-server.audience", judge: audience },
    Check { id: "auth.resource-server.own-token-served", judge: own_token },
    Check { id: "auth.resource-server.recover-after-refresh", judge: recovers },
];

fn breach(what: &str, exchange: &Exchange, expected: &str, fix: &str) -> Breach {
    told(what.to_owned(), &[expected], came(exchange), fix, exchange.evidence())
}

/// Requests with a good token in their query, and what their header is worth. Where the same header is served without
/// any query as well, the query decides nothing.
fn by_query(view: &View<'_>, out: &mut Findings, mut look: impl FnMut(&mut Findings, &Exchange, Credential)) {
    let Some(vault) = Vault::open(view) else { return };
    let lax = |header: Credential| {
        let in_session = |exchange: &Exchange| exchange.method == "POST" && exchange.session().is_some();
        vault.asked().any(|(other, worth)| worth == header && other.is_success() && in_session(other))
    };
    for exchange in &view.exchanges {
        let Some(token) = query_token(exchange) else { continue };
        let judged = exchange.status.is_some() && fair(view, exchange) && out.covers(oauth::around(view, exchange));
        let header = vault.credential(exchange);
        if judged && vault.worth(&token, exchange) == Credential::Live && !lax(header) {
            look(out, exchange, header);
        }
    }
}

fn no_query(view: &View<'_>, out: &mut Findings) {
    by_query(view, out, |out, exchange, header| {
        if header == Credential::Absent {
            out.require(!exchange.is_success(), || {
                let fix = "take tokens from the Authorization header alone: queries end up in logs and histories";
                breach("A token in the query let the request in.", exchange, "status 401", fix)
            });
        }
    });
}

fn two_tokens(view: &View<'_>, out: &mut Findings) {
    by_query(view, out, |out, exchange, header| {
        if header.is_bad() {
            out.require(!exchange.is_success(), || {
                let fix = "judge a request by its header alone, or refuse one that carries two tokens";
                breach("A token in the query made up for a bad one in the header.", exchange, "status 400 or 401", fix)
            });
        }
    });
}

fn scheme_case(view: &View<'_>, out: &mut Findings) {
    let Some(vault) = Vault::open(view) else { return };
    for (exchange, credential) in vault.asked() {
        let scheme = exchange.sent_header("authorization").and_then(|header| header.split_once(' '));
        let unusual = scheme.is_some_and(|(scheme, _)| scheme != "Bearer");
        if unusual && credential == Credential::Live && out.covers(oauth::around(view, exchange)) {
            out.require(!matches!(exchange.status, Some(400 | 401 | 403 | 500)), || {
                let fix = "compare the scheme name without regard to case";
                breach("A good token was refused for the spelling of `Bearer`.", exchange, "the request served", fix)
            });
        }
    }
}

fn audience(view: &View<'_>, out: &mut Findings) {
    forged::each(view, out, &["audience"], |out, exchange| {
        let fix = "accept only tokens whose audience is this server, whoever signed them";
        out.breach(breach("A token whose audience is another server was served here.", exchange, "status 401", fix));
    });
    let Some(vault) = Vault::open(view) else { return };
    for (exchange, credential) in vault.asked() {
        let Some(token) = vault.token(exchange).filter(|token| !token.resources.is_empty()) else { continue };
        let good = matches!(credential, Credential::Live | Credential::Unclear);
        let meant = token.resources.iter().any(|resource| resource_metadata::is_for(view, resource));
        if !good || meant || !out.covers(oauth::around(view, exchange)) {
            continue;
        }
        if !exchange.is_success() {
            out.pass();
            continue;
        }
        // An authorization server may pass over the resource it is asked for, so this alone convicts nobody.
        let fix = "accept only tokens whose audience is this server, and have the authorization server set it from the \
                   resource that is asked for";
        let what = format!("A token that was asked for {} was served here.", token.resources.join(" and "));
        out.contested(breach(&what, exchange, "status 401", fix));
    }
}

fn own_token(view: &View<'_>, out: &mut Findings) {
    let Some(vault) = Vault::open(view) else { return };
    for (exchange, _) in vault.asked().filter(|(_, credential)| *credential == Credential::Live) {
        let Some(token) = vault.token(exchange) else { continue };
        // Whether the spelling of the scheme counts is judged by itself.
        let usual = exchange.sent_header("authorization").is_some_and(|header| header.starts_with("Bearer "));
        let ours = token.resources.iter().all(|resource| resource_metadata::is_ours(view, resource));
        if !ours || !usual || !out.covers(oauth::around(view, exchange)) {
            continue;
        }
        let lacks_scope =
            oauth::bearer(exchange).is_some_and(|found| found.param("error") == Some("insufficient_scope"));
        if exchange.status == Some(401) && !lacks_scope {
            let asked = token.resources.join(" and ");
            let what = if asked.is_empty() {
                "A token that was just issued, for no resource in particular, is refused.".to_owned()
            } else {
                format!("A token that was just issued for {asked} is refused.")
            };
            let fix = "take the advertised resource, the audience of tokens and the audience that is checked from one \
                       setting; where a login names no resource, issue tokens for the one there is, or none at all";
            out.breach(breach(&what, exchange, "the request served", fix));
        } else if exchange.is_success() {
            out.pass();
        }
    }
}

fn recovers(view: &View<'_>, out: &mut Findings) {
    let Some(vault) = Vault::open(view) else { return };
    let refused = vault
        .asked()
        .filter(|(exchange, credential)| matches!(credential, Credential::Expired(_)) && exchange.status == Some(401));
    for (refused, _) in refused {
        if !out.covers(oauth::around(view, refused)) {
            continue;
        }
        let renewed = |exchange: &Exchange| {
            let token = vault.token(exchange);
            token.is_some_and(|token| token.refreshed && token.exchange.seq > refused.seq)
        };
        let next = vault.asked().find(|(exchange, credential)| {
            exchange.client == refused.client
                && exchange.seq > refused.seq
                && *credential == Credential::Live
                && renewed(exchange)
        });
        let Some((next, _)) = next.filter(|(next, _)| next.is_success() || next.status == Some(401)) else { continue };
        out.require(next.is_success(), || {
            let fix = "take tokens that were issued later as well: nothing about a token may be remembered for longer \
                       than the token lives";
            let what = "After a refresh the fresh token was refused as well.";
            let mut breach = breach(what, next, "the request served, as it was before the token expired", fix);
            breach.evidence.splice(0..0, refused.evidence());
            breach
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{BAD, NEWEST, deny, inside, nothing_at, ping, pong, refused, token};
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    /// A ping with a good token in its query, before its answer.
    fn by_query(builder: Builder, authorization: &str) -> Builder {
        let mut headers = vec![
            ("accept", "application/json, text/event-stream"),
            ("content-type", "application/json"),
            ("mcp-session-id", "session#1"),
            ("mcp-protocol-version", NEWEST),
        ];
        if !authorization.is_empty() {
            headers.push(("authorization", authorization));
        }
        let body = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
        builder.outside("POST", "/mcp?access_token=access%231", &headers, Some(body))
    }

    #[test]
    fn a_token_in_the_query_counts_for_nothing() {
        let id = "auth.resource-server.no-query-token";
        let alone = || by_query(inside(NEWEST), "");
        expect_three(id, &deny(alone(), 401, BAD), &pong(alone()), &inside(NEWEST));
        let lax = pong(ping(pong(alone()), ""));
        assert_eq!(judge(id, &lax).outcome, Outcome::NotExercised, "the session alone was enough");
        let id = "auth.resource-server.400-multiple-methods";
        let both = || by_query(inside(NEWEST), "Bearer access#9");
        expect_three(id, &deny(both(), 400, BAD), &pong(both()), &inside(NEWEST));
    }

    #[test]
    fn bearer_has_no_case() {
        let lower = || ping(inside(NEWEST), "bearer access#1");
        let usual = pong(ping(inside(NEWEST), "Bearer access#1"));
        expect_three("auth.resource-server.scheme-case", &pong(lower()), &deny(lower(), 401, BAD), &usual);
    }

    #[test]
    fn a_token_for_elsewhere_is_refused_or_doubted() {
        let form = "grant_type=authorization_code&code=code%232&resource=https%3A%2F%2Fother.example.com%2Fmcp";
        let other = || ping(token(inside(NEWEST), "access#2", form), "Bearer access#2");
        let id = "auth.resource-server.audience";
        assert_eq!(judge(id, &deny(other(), 401, BAD)).outcome, Outcome::Pass);
        assert_eq!(judge(id, &pong(other())).outcome, Outcome::Warn);
        assert_eq!(judge(id, &inside(NEWEST)).outcome, Outcome::NotExercised);
        let own = "grant_type=refresh_token&resource=http%3A%2F%2F127.0.0.1%3A8080%2Fmcp";
        let own = pong(ping(token(inside(NEWEST), "access#2", own), "Bearer access#2"));
        assert_eq!(judge(id, &own).outcome, Outcome::NotExercised);
    }

    #[test]
    fn a_token_for_this_server_or_for_none_is_served() {
        let id = "auth.resource-server.own-token-served";
        let with = |resource: &str| {
            let form = format!("grant_type=authorization_code&code=code%232{resource}");
            ping(token(inside(NEWEST), "access#2", &form), "Bearer access#2")
        };
        let origin = "&resource=http%3A%2F%2F127.0.0.1%3A8080";
        for own in
            ["", "&resource=http%3A%2F%2F127.0.0.1%3A8080%2Fmcp", "&resource=http%3A%2F%2F127.0.0.1%3A8080%2Fmcp%2F"]
        {
            assert_eq!(judge(id, &deny(with(own), 401, BAD)).outcome, Outcome::Warn, "{own}");
            assert_eq!(judge(id, &pong(with(own))).outcome, Outcome::Pass, "{own}");
        }
        // The token that opened the conversation was served.
        let elsewhere = deny(with("&resource=https%3A%2F%2Fother.example.com%2Fmcp"), 401, BAD);
        assert_eq!(judge(id, &elsewhere).outcome, Outcome::Pass);
        assert_eq!(
            judge(id, &deny(with(origin), 401, BAD)).outcome,
            Outcome::Pass,
            "the origin may be another resource"
        );
        let nobody = nothing_at(inside(NEWEST), "/.well-known/oauth-protected-resource");
        let form = format!("grant_type=authorization_code&code=code%232{origin}");
        let nobody = ping(token(nobody, "access#2", &form), "Bearer access#2");
        assert_eq!(judge(id, &deny(nobody, 401, BAD)).outcome, Outcome::Warn, "and here it is none");
        assert_eq!(judge(id, &refused(NEWEST, BAD)).outcome, Outcome::NotExercised);
    }

    #[test]
    fn a_refreshed_token_lets_the_client_go_on() {
        let expired = || deny(ping(inside(NEWEST).pause_ms(4_000_000), "Bearer access#1"), 401, BAD);
        let fresh = || ping(token(expired(), "access#2", "grant_type=refresh_token"), "Bearer access#2");
        let id = "auth.resource-server.recover-after-refresh";
        expect_three(id, &pong(fresh()), &deny(fresh(), 401, BAD), &expired());
    }
}
