//! Where the authorization endpoint sends people: only to what the client registered.

use super::asked::{Answer, Ask, Registration, asks_under, at_loopback_address, origin, registrations};
use super::registration::is_untrusted;
use super::wire;
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) static CHECKS: &[Check] = &[
    Check { id: "auth.authorization.redirect-exact", judge: exact },
    Check { id: "auth.authorization.redirect-validate", judge: validated },
    Check { id: "auth.authorization.redirect-no-redirect-on-invalid", judge: stays_on_invalid },
    Check { id: "auth.authorization.redirect-untrusted", judge: untrusted },
    Check { id: "auth.authorization.redirect-auto-only-trusted", judge: untrusted },
    Check { id: "auth.authorization.redirect-loopback-port", judge: loopback_port },
    Check { id: "auth.authorization.redirect-query-retained", judge: query_retained },
    Check { id: "auth.authorization.no-http-redirect", judge: no_http },
];

/// How a requested redirect URI stands to what the client registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    /// It is registered.
    Same,
    /// It is, but for the port of a loopback address.
    OtherPort,
    /// Another path or query at a registered host.
    Near,
    /// Another host or scheme.
    Foreign,
}

/// Without its port; only for URLs with a host.
fn portless(uri: &str) -> Option<url::Url> {
    let mut url: url::Url = uri.parse().ok()?;
    url.set_port(None).ok()?;
    Some(url)
}

fn match_of(registered: &[&str], uri: &str) -> Match {
    if registered.contains(&uri) {
        return Match::Same;
    }
    let moved = |known: &&str| at_loopback_address(known) && portless(known) == portless(uri);
    // With `localhost` the port is free at many servers, though only addresses are promised.
    let named = |known: &&str| wire::on_this_machine(known) && portless(known) == portless(uri);
    if registered.iter().any(|known| moved(known) || named(known)) {
        return Match::OtherPort;
    }
    if registered.iter().any(|known| origin(known).is_some() && origin(known) == origin(uri)) {
        return Match::Near;
    }
    Match::Foreign
}

/// Requests of clients that registered in this transcript, with their redirect URI.
fn known<'a, 'v>(asks: &'a [Ask<'v>], registered: &[Registration<'_>]) -> Vec<(&'a Ask<'v>, &'a str, Match, bool)> {
    let of = |ask: &'a Ask<'v>| {
        let client =
            registered.iter().find(|known| known.client().is_some() && known.client() == ask.param("client_id"))?;
        let uri = ask.param("redirect_uri")?;
        let redirects = client.redirects();
        let address = redirects.iter().any(|known| at_loopback_address(known));
        Some((ask, uri, match_of(&redirects, uri), address))
    };
    asks.iter().filter_map(of).collect()
}

/// Judges requests that must not lead to their redirect URI.
fn must_stay(out: &mut Findings, exchange: &Exchange, went: bool, answer: &Answer, what: String) {
    match answer {
        Answer::Nothing | Answer::Elsewhere => out.inconclusive(),
        _ => out.require(!went, || {
            told(
                what,
                &["an error page, and no redirect to that place"],
                format!("{} to {}", came(exchange), exchange.got_header("location").unwrap_or("nowhere")),
                "compare redirect URIs letter by letter with what the client registered, and show an error otherwise",
                exchange.evidence(),
            )
        }),
    }
}

fn unregistered(view: &View<'_>, out: &mut Findings, which: &[Match]) {
    let (asks, registered) = (asks_under(view, out), registrations(view));
    for (ask, uri, kind, _) in known(&asks, &registered) {
        if which.contains(&kind) {
            let what = format!("The client never registered {uri}, and the person is sent there.");
            must_stay(out, ask.exchange, ask.went_back(), &ask.answer, what);
        }
    }
}

fn exact(view: &View<'_>, out: &mut Findings) {
    unregistered(view, out, &[Match::Near, Match::Foreign]);
}

fn validated(view: &View<'_>, out: &mut Findings) {
    unregistered(view, out, &[Match::Near, Match::Foreign]);
}

fn untrusted(view: &View<'_>, out: &mut Findings) {
    unregistered(view, out, &[Match::Foreign]);
}

/// Whether a client id is one that this server cannot know: others were registered, this one was not, it is no URL, and
/// no token was ever given for it.
fn invented(view: &View<'_>, registered: &[Registration<'_>], client: &str) -> bool {
    let known = registered.iter().any(|seen| seen.client() == Some(client));
    let served = wire::token_requests(view)
        .iter()
        .any(|exchange| exchange.is_success() && wire::param(wire::form(exchange), "client_id") == Some(client));
    registered.iter().any(|seen| seen.client().is_some()) && !known && !served && !client.contains("://")
}

fn stays_on_invalid(view: &View<'_>, out: &mut Findings) {
    unregistered(view, out, &[Match::Near, Match::Foreign]);
    let registered = registrations(view);
    for ask in asks_under(view, out) {
        let Some(client) = ask.param("client_id").filter(|client| invented(view, &registered, client)) else {
            continue;
        };
        let what = format!("No client is called {client}, and the person is sent to its redirect URI.");
        must_stay(out, ask.exchange, ask.went_back(), &ask.answer, what);
    }
}

fn loopback_port(view: &View<'_>, out: &mut Findings) {
    let (asks, registered) = (asks_under(view, out), registrations(view));
    for (ask, uri, kind, address) in known(&asks, &registered) {
        if kind != Match::OtherPort || !address {
            continue;
        }
        match ask.answer {
            Answer::Nothing | Answer::Elsewhere => out.inconclusive(),
            _ if ask.went_back() => out.pass(),
            _ => {
                let breach = told(
                    format!("{uri} differs from the registered loopback URI in its port only, and is refused."),
                    &["any port of a loopback address, as programs get theirs when they start"],
                    came(ask.exchange),
                    "leave the port out of the comparison where the host is 127.0.0.1 or [::1]",
                    ask.exchange.evidence(),
                );
                // The rule is for programs on a person's own machine; this one did not say that it is one.
                let says = |known: &Registration<'_>| known.client() == ask.param("client_id") && known.native();
                if registered.iter().any(says) { out.breach(breach) } else { out.contested(breach) }
            }
        }
    }
}

fn query_retained(view: &View<'_>, out: &mut Findings) {
    for ask in asks_under(view, out).iter().filter(|ask| ask.went_back()) {
        let Some((_, own)) = ask.param("redirect_uri").and_then(|uri| uri.split_once('?')) else { continue };
        let own: Vec<(String, String)> = url::form_urlencoded::parse(own.as_bytes()).into_owned().collect();
        out.require(own.iter().all(|pair| ask.back.contains(pair)), || {
            told(
                "The redirect URI has a query of its own, which is lost.".to_owned(),
                &["the parameters of the answer added to those of the redirect URI"],
                ask.exchange.got_header("location").unwrap_or_default().to_owned(),
                "keep the query of the redirect URI, and append to it",
                ask.exchange.evidence(),
            )
        });
    }
}

fn no_http(view: &View<'_>, out: &mut Findings) {
    for ask in asks_under(view, out).iter().filter(|ask| ask.went_back()) {
        let place = ask.exchange.got_header("location").unwrap_or_default();
        out.require(!(place.starts_with("http://") && is_untrusted(place)), || {
            told(
                "The answer, with all it holds, goes over plain http to another machine.".to_owned(),
                &["https, or http on the person's own machine only"],
                place.to_owned(),
                "take http redirect URIs only on loopback",
                ask.exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::asked::play::{BACK, asked, back, begun, document, found, given, registered, wanted, with};
    use super::*;
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    fn to(revision: &str, uri: &str) -> Builder {
        asked(begun(revision), &[("redirect_uri", uri)])
    }

    fn followed(revision: &str, uri: &str) -> Builder {
        to(revision, uri).answer(302, &[("location", &format!("{uri}?code=code#1"))], "")
    }

    #[test]
    fn only_registered_places_are_gone_to() {
        let near = "http://127.0.0.1:7000/cb/more";
        let foreign = "https://evil.example.com/cb";
        for (id, revision, uri) in [
            ("redirect-exact", "2025-11-25", near),
            ("redirect-validate", "2025-03-26", near),
            ("redirect-no-redirect-on-invalid", "2025-11-25", near),
            ("redirect-no-redirect-on-invalid", "2025-11-25", foreign),
            ("redirect-untrusted", "2025-11-25", foreign),
            ("redirect-auto-only-trusted", "2025-11-25", foreign),
        ] {
            let id = format!("auth.authorization.{id}");
            let refused = to(revision, uri).answer(400, &[("content-type", "text/html")], "no");
            expect_three(&id, &refused, &followed(revision, uri), &followed(revision, BACK));
            let login = to(revision, uri).answer(302, &[("location", "/login")], "");
            assert_eq!(judge(&id, &login).outcome, Outcome::Inconclusive, "{id}: a login page comes first");
        }
    }

    #[test]
    fn errors_about_unknown_clients_go_to_the_person() {
        let id = "auth.authorization.redirect-no-redirect-on-invalid";
        let ask = |client| asked(begun("2025-11-25"), &[("client_id", client)]);
        let kept = ask("nobody").answer(400, &[], "no");
        expect_three(id, &kept, &back(ask("nobody"), "?error=invalid_client"), &back(ask("c1"), "?code=code#1"));
    }

    #[test]
    fn the_port_of_a_loopback_address_is_free() {
        let id = "auth.authorization.redirect-loopback-port";
        let other = "http://127.0.0.1:9/cb";
        let native = || {
            let sent = with(wanted(), "application_type", "native".into());
            registered(found(Builder::new().initialize("2025-11-25"), &document()), &sent, 201, &given())
        };
        let refused = |start| asked(start, &[("redirect_uri", other)]).answer(400, &[], "no");
        expect_three(id, &followed("2025-11-25", other), &refused(native()), &followed("2025-11-25", BACK));
        assert_eq!(judge(id, &refused(begun("2025-11-25"))).outcome, Outcome::Warn, "it did not say what it is");
        assert_eq!(
            judge("auth.authorization.redirect-exact", &followed("2025-11-25", other)).outcome,
            Outcome::NotExercised
        );
        assert_eq!(match_of(&["http://localhost:1/cb"], "http://localhost:2/cb"), Match::OtherPort);
        assert_eq!(match_of(&["http://127.0.0.1:1/cb"], "http://127.0.0.1:2/other"), Match::Foreign);
    }

    #[test]
    fn a_query_stays() {
        let id = "auth.authorization.redirect-query-retained";
        let own = "http://127.0.0.1:7000/cb?app=1";
        let kept = back(to("2025-11-25", own), "?app=1&code=code#1");
        expect_three(id, &kept, &back(to("2025-11-25", own), "?code=code#1"), &followed("2025-11-25", BACK));
    }

    #[test]
    fn answers_do_not_go_over_plain_http() {
        let id = "auth.authorization.no-http-redirect";
        let open = "http://app.example.com/cb";
        let sent = with(wanted(), "redirect_uris", json!([open]));
        let begun = registered(begun("2025-11-25"), &sent, 201, &with(sent.clone(), "client_id", json!("c2")));
        let broken = asked(begun.clone(), &[("client_id", "c2"), ("redirect_uri", open)]);
        let broken = broken.answer(302, &[("location", &format!("{open}?code=code#1"))], "");
        expect_three(id, &followed("2025-11-25", BACK), &broken, &begun);
    }
}
