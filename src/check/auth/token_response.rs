//! What a token response says (RFC 6749 section 5.1), and what the tokens in it are.

use super::ledger::{Ask, Ledger, under, words};
use super::wire::{authorization_requests, bearer, param, query, redirect};
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "auth.token.response-members", judge: members },
    Check { id: "auth.token.response-expires-in", judge: expires_in },
    Check { id: "auth.token.response-scope", judge: scope },
    Check { id: "auth.token.response-no-store", judge: no_store },
    Check { id: "auth.token.access-short-lived", judge: short_lived },
    Check { id: "auth.token.access-audience", judge: audience },
];

/// The longest life that anybody would call short, in seconds.
const SHORT: u64 = 86_400;

/// Judges every answer that hands out tokens.
fn each(view: &View<'_>, out: &mut Findings, mut judge: impl FnMut(&Ask<'_>, &mut Findings)) {
    for ask in Ledger::new(view).asks.iter().filter(|ask| ask.access().is_some()) {
        if out.covers(ask.revision) {
            judge(ask, out);
        }
    }
}

/// A 200 is a JSON object with `access_token` and `token_type`. An error under 200 is judged as an error.
fn members(view: &View<'_>, out: &mut Findings) {
    for ask in &Ledger::new(view).asks {
        let asked = ask.exchange.method == "POST" && ask.param("grant_type").is_some();
        if !asked || ask.exchange.status != Some(200) || ask.error().is_some() || !out.covers(ask.revision) {
            continue;
        }
        let missing: Vec<&str> =
            ["access_token", "token_type"].into_iter().filter(|name| !ask.answer[*name].is_string()).collect();
        out.require(missing.is_empty(), || {
            told(
                format!("A token response has no {}.", missing.join(" and no ")),
                &["a JSON object with the texts access_token and token_type"],
                came(ask.exchange),
                "answer a granted token request with JSON that has access_token and token_type (Bearer)",
                ask.exchange.evidence(),
            )
        });
    }
}

/// It says in `expires_in` how long the access token lives.
fn expires_in(view: &View<'_>, out: &mut Findings) {
    each(view, out, |ask, out| {
        out.require(ask.answer.at("expires_in").is_number(), || {
            told(
                "A token response does not say how long its access token lives.".to_owned(),
                &["expires_in with a number of seconds"],
                came(ask.exchange),
                "put expires_in into every token response; without it clients learn of the end by a failed call",
                ask.exchange.evidence(),
            )
        });
    });
}

/// Where the scope is another than was asked for, the response states it. That it is another is seen by what is stated,
/// by introspection, or by the endpoint's refusal of the token for want of a scope that was asked for.
fn scope(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in under(&ledger.asks, out) {
        let Some(token) = ask.access() else { continue };
        let by_code = || {
            let code = ask.param("code")?;
            let begun = authorization_requests(view)
                .into_iter()
                .find(|exchange| redirect(exchange).is_some_and(|(_, pairs)| param(pairs, "code") == Some(code)))?;
            param(query(begun), "scope").map(str::to_owned)
        };
        let Some(asked) = ask.param("scope").map(str::to_owned).or_else(by_code).map(|text| words(&text)) else {
            continue;
        };
        if let Some(stated) = ask.stated() {
            if stated != asked {
                out.pass();
            }
            continue;
        }
        let shown = ledger.introspections.iter().find(|look| {
            let scope = look.answer.at("scope").as_str().filter(|_| look.answer.at("active") == true);
            look.param("token") == Some(token) && scope.is_some_and(|scope| words(scope) != asked)
        });
        let refused = ledger.uses.iter().find(|(used, exchange)| {
            let wanted = bearer(exchange).filter(|challenge| challenge.param("error") == Some("insufficient_scope"));
            let wanted = wanted.and_then(|challenge| challenge.param("scope").map(words));
            *used == token && exchange.status == Some(403) && wanted.is_some_and(|wanted| wanted.is_subset(&asked))
        });
        let Some(proof) = shown.map(|look| look.exchange).or_else(|| refused.map(|(_, exchange)| *exchange)) else {
            continue;
        };
        out.breach(told(
            "A token has another scope than was asked for, and its response does not say so.".to_owned(),
            &["the scope of the token in the response's scope"],
            came(ask.exchange),
            "state the granted scope in every token response",
            ask.exchange.evidence().into_iter().chain(proof.evidence()).collect(),
        ));
    }
}

/// Nobody on the way may keep it.
fn no_store(view: &View<'_>, out: &mut Findings) {
    each(view, out, |ask, out| {
        let control = ask.exchange.got_header("cache-control").unwrap_or_default().to_ascii_lowercase();
        out.require(control.split(',').any(|word| word.trim() == "no-store"), || {
            told(
                "A token response may be cached.".to_owned(),
                &["the header Cache-Control: no-store"],
                format!("Cache-Control: {control}"),
                "send Cache-Control: no-store with every answer that holds tokens",
                ask.exchange.evidence(),
            )
        });
    });
}

/// An access token lives no longer than a day.
fn short_lived(view: &View<'_>, out: &mut Findings) {
    each(view, out, |ask, out| {
        let Some(lives) = ask.answer.at("expires_in").as_u64() else { return };
        out.require(lives <= SHORT, || {
            told(
                format!("An access token lives {} days.", lives / 86_400),
                &["minutes or hours"],
                came(ask.exchange),
                "let access tokens live an hour or so, and give refresh tokens to those who need longer",
                ask.exchange.evidence(),
            )
        });
    });
}

/// Introspection names the resource that the token was asked for as its audience. Where it names none, nothing is seen.
fn audience(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for look in under(&ledger.introspections, out).into_iter().filter(|look| look.answer.at("active") == true) {
        let Some(origin) = look.param("token").and_then(|token| ledger.access.get(token)) else { continue };
        let ask = &ledger.asks[origin.ask];
        let asked = ask.param("resource").or(ledger.grants[origin.grant].resource.as_deref());
        let named = audiences(look.answer.at("aud"));
        let Some(asked) = asked.filter(|_| !named.is_empty()) else { continue };
        let same = named.iter().any(|name| name.trim_end_matches('/') == asked.trim_end_matches('/'));
        out.require(same, || {
            told(
                format!("A token that was asked for {asked} has another audience."),
                &["an aud that holds the resource of the token request"],
                named.join(", "),
                "restrict each access token to the resource that the client named (RFC 8707)",
                ask.exchange.evidence().into_iter().chain(look.exchange.evidence()).collect(),
            )
        });
    }
}

/// The audiences of an `aud`.
pub(super) fn audiences(aud: &serde_json::Value) -> Vec<&str> {
    match aud.as_array() {
        Some(list) => list.iter().filter_map(|one| one.as_str()).collect(),
        None => aud.as_str().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::play::{Play, silent, three, tokens};

    #[test]
    fn what_a_response_says() {
        let good = Play::logged_in();
        let form = "grant_type=authorization_code&code=x&client_id=c&resource=https://h/mcp";
        let bad = |answer| Play::on("2025-06-18").token(form, 200, &answer);
        three("auth.token.response-members", &good, &bad(json!({"access_token": "a"})));
        silent("auth.token.response-members", &bad(json!({"error": "bad_verification_code"})));
        three("auth.token.response-expires-in", &good, &bad(json!({"access_token": "a", "token_type": "bearer"})));
        let long = json!({"access_token": "a", "token_type": "bearer", "expires_in": 31_536_000});
        three("auth.token.access-short-lived", &good, &bad(long));
        let cached = (200, &[("cache-control", "no-cache")] as &[_], "{\"access_token\":\"a\"}");
        let cached = Play::on("2025-06-18").send(("POST", "/token"), &[], form, cached);
        three("auth.token.response-no-store", &good, &cached);
    }

    #[test]
    fn another_scope_is_told() {
        let form = "grant_type=client_credentials&client_id=c&scope=r+w+x";
        let good = Play::on("2025-11-25").token(form, 200, &tokens("access#1", "refresh#1"));
        let mut untold = tokens("access#1", "refresh#1");
        untold.as_object_mut().expect("an object").shift_remove("scope");
        let quiet = Play::on("2025-11-25").token(form, 200, &untold);
        let bad = quiet.clone().introspect("access#1", &json!({"active": true, "scope": "r"}));
        three("auth.token.response-scope", &good, &bad);
        silent("auth.token.response-scope", &quiet);
        silent("auth.token.response-scope", &Play::logged_in());
    }

    #[test]
    fn an_audience_is_the_resource() {
        let look = |aud| Play::logged_in().introspect("access#1", &json!({"active": true, "aud": aud}));
        three("auth.token.access-audience", &look(json!("https://h/mcp/")), &look(json!(["https://other/mcp"])));
        silent("auth.token.access-audience", &look(json!(null)));
    }
}
