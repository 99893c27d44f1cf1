//! Whom the endpoints of a login turn away for what it calls itself: the backends of some clients send the `User-Agent` of an
//! HTTP library there.

use super::wire;
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[Check { id: "auth.discovery.any-user-agent", judge: agents }];

/// Requests for metadata, registrations and token requests: all that no browser makes.
fn requests<'v>(view: &'v View<'_>) -> Vec<&'v Exchange> {
    let posts = [wire::to(view, "registration_endpoint", "/register"), wire::token_requests(view)].concat();
    let posts = posts.into_iter().filter(|exchange| exchange.method == "POST");
    wire::resource_metadata(view).chain(wire::server_metadata(view)).chain(posts).collect()
}

fn agent(exchange: &Exchange) -> &str {
    exchange.sent_header("user-agent").unwrap_or_default()
}

/// Whether the request was turned away before anybody looked at it: not by an answer of OAuth, which names an error.
fn turned_away(exchange: &Exchange) -> bool {
    let named = wire::document(exchange).is_some_and(|answer| answer.at("error").is_string());
    matches!(exchange.status, Some(403 | 406)) && !named
}

/// Whether two requests are the same but for who sends them.
fn alike(one: &Exchange, other: &Exchange) -> bool {
    let same_host = wire::authority(one).eq_ignore_ascii_case(wire::authority(other));
    let grant = |exchange| wire::param(wire::form(exchange), "grant_type");
    one.method == other.method
        && one.path() == other.path()
        && same_host
        && grant(one) == grant(other)
        && (grant(one).is_some() || one.sent_json() == other.sent_json())
}

fn agents(view: &View<'_>, out: &mut Findings) {
    let requests = requests(view);
    for exchange in &requests {
        if !out.covers(wire::around(view, exchange)) {
            continue;
        }
        let served = |other: &&&Exchange| other.is_success() && alike(exchange, other);
        let others = || requests.iter().filter(served).filter(|other| agent(other) != agent(exchange));
        if exchange.is_success() && others().next().is_some() {
            out.pass();
        } else if turned_away(exchange)
            && let Some(other) = others().next()
            && !requests.iter().filter(served).any(|known| agent(known) == agent(exchange))
        {
            out.breach(told(
                format!("`{}` is turned away where `{}` is served.", agent(exchange), agent(other)),
                &["the answer that the same request gets under another User-Agent"],
                came(exchange),
                "take bot rules off metadata, registration and token endpoint: the backends of widespread clients bear the \
                 names of HTTP libraries there",
                [other.evidence(), exchange.evidence()].concat(),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::play::{document, wanted, with};
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;
    use serde_json::json;

    const ID: &str = "auth.discovery.any-user-agent";
    const PLACE: &str = "/.well-known/oauth-authorization-server";

    fn asked(builder: Builder, agent: &str, status: u16) -> Builder {
        builder.outside("GET", PLACE, &[("user-agent", agent)], None).json(status, &document())
    }

    fn begun() -> Builder {
        asked(Builder::new().initialize("2025-11-25"), "client/1", 200)
    }

    #[test]
    fn a_library_gets_what_others_get() {
        expect_three(
            ID,
            &asked(begun(), "python-httpx/0.28.1", 200),
            &asked(begun(), "python-httpx/0.28.1", 403),
            &begun(),
        );
        let always = asked(asked(begun(), "client/1", 403), "client/1", 403);
        assert_eq!(judge(ID, &always).outcome, Outcome::NotExercised, "it has to do with something else");
    }

    #[test]
    fn only_the_same_request_is_compared() {
        let registered = |builder: Builder, name: &str, agent: &str, status, answer| {
            let sent = with(wanted(), "client_name", json!(name)).to_string();
            let headers = [("content-type", "application/json"), ("user-agent", agent)];
            builder.outside("POST", "/register", &headers, Some(&sent)).json(status, &answer)
        };
        let first = || registered(begun(), "x", "client/1", 201, json!({"client_id": "c1"}));
        let refused = |name: &str, answer| judge(ID, &registered(first(), name, "curl/8", 403, answer)).outcome;
        assert_eq!(refused("x", json!({})), Outcome::Warn);
        assert_eq!(refused("y", json!({})), Outcome::NotExercised, "another name");
        assert_eq!(refused("x", json!({"error": "access_denied"})), Outcome::NotExercised, "an answer of OAuth");
    }
}
