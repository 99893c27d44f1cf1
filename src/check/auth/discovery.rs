//! Whether the metadata of the resource can be found: through the challenge, and at its well-known places.

use serde_json::Value;
use url::Url;

use super::{challenge, vault, wire as oauth};
use crate::check::wire::{came, foreign_origin, told};
use crate::check::{Check, Findings};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.discovery.prm-implemented", judge: implemented },
    Check { id: "auth.discovery.prm-challenge-url-required", judge: url_required },
    Check { id: "auth.discovery.prm-challenge-or-wellknown", judge: either },
    Check { id: "auth.discovery.prm-challenge-url-works", judge: url_works },
    Check { id: "auth.discovery.prm-unauthenticated", judge: open },
    Check { id: "auth.discovery.prm-stable", judge: stable },
    Check { id: "auth.resource-server.www-authenticate-all-401", judge: all_401 },
];

const POINT: &str = "add resource_metadata=\"<URL of the metadata>\" to the Bearer challenge of every 401";

/// The URL of the metadata in the challenge of an answer, where it is one.
fn pointer(exchange: &Exchange) -> Option<Url> {
    oauth::bearer(exchange)?.param("resource_metadata")?.parse().ok()
}

/// Whether a request went where an earlier challenge pointed.
pub(super) fn was_pointed_to(view: &View<'_>, exchange: &Exchange) -> bool {
    let points = |exchange: &Exchange| oauth::at_endpoint(view, exchange) && pointer(exchange).is_some();
    let select = || (0..view.exchanges.len()).filter(|index| points(&view.exchanges[*index])).collect();
    let earlier = view.gather("challenges that point", select);
    earlier
        .into_iter()
        .take_while(|earlier| earlier.seq < exchange.seq)
        .filter_map(pointer)
        .any(|url| oauth::goes_to(exchange, &url))
}

/// Requests for the metadata of the resource that were answered: at well-known places, and where challenges point.
fn requests<'v>(view: &'v View<'_>) -> Vec<&'v Exchange> {
    view.gather("resource metadata", || {
        let known = oauth::resource_metadata(view).map(|exchange| exchange.seq).collect::<Vec<_>>();
        let asks = |exchange: &Exchange| {
            let get = exchange.method == "GET" && !matches!(exchange.status, None | Some(429 | 502..=504));
            get && (known.contains(&exchange.seq)
                || (!oauth::at_endpoint(view, exchange) && was_pointed_to(view, exchange)))
        };
        (0..view.exchanges.len()).filter(|index| asks(&view.exchanges[*index])).collect()
    })
}

/// The metadata documents that were found.
pub(super) fn documents<'v>(view: &'v View<'_>) -> Vec<(&'v Exchange, &'v Value)> {
    let found = |exchange: &'v Exchange| Some((exchange, oauth::document(exchange)?));
    requests(view).into_iter().filter(|exchange| exchange.is_success()).filter_map(found).collect()
}

/// The requests at well-known places, where both were tried and gave nothing; else none.
fn fruitless<'v>(view: &'v View<'_>) -> Vec<&'v Exchange> {
    let tried: Vec<&Exchange> = oauth::resource_metadata(view).filter(|exchange| exchange.status.is_some()).collect();
    let failed = tried.iter().all(|exchange| !exchange.is_success() || oauth::document(exchange).is_none());
    let mut places: Vec<&str> = tried.iter().map(|exchange| oauth::path(exchange)).collect();
    places.sort_unstable();
    places.dedup();
    let at_root = view.calls_to("initialize").any(|(request, _)| oauth::path(view.exchange_of(request)) == "/");
    if failed && (places.len() > 1 || (at_root && places.len() == 1)) { tried } else { Vec::new() }
}

fn implemented(view: &View<'_>, out: &mut Findings) {
    let requests = requests(view);
    let Some(last) = requests.last().filter(|last| out.covers(oauth::around(view, last))) else { return };
    if !vault::is_guarded(view) {
        return;
    }
    if !documents(view).is_empty() {
        return out.pass();
    }
    if !fruitless(view).is_empty() {
        let fix = "serve a JSON document with resource and authorization_servers at \
                   /.well-known/oauth-protected-resource followed by the path of the endpoint";
        let evidence = requests.iter().flat_map(|exchange| exchange.evidence()).collect();
        let what = "The server asks for tokens, and nowhere is there metadata that says who gives them.".to_owned();
        out.breach(told(what, &["Protected Resource Metadata (RFC 9728)"], came(last), fix, evidence));
    }
}

fn url_required(view: &View<'_>, out: &mut Findings) {
    for exchange in oauth::refused_with(view, 401) {
        // A page of another site is turned away, not asked to log in.
        if out.covers(oauth::around(view, exchange)) && foreign_origin(exchange).is_none() {
            out.require(pointer(exchange).is_some(), || {
                let what = "A 401 does not say where the metadata of the resource is.";
                challenge::breach(what, exchange, "Bearer resource_metadata=\"https://…\"", POINT)
            });
        }
    }
}

fn either(view: &View<'_>, out: &mut Findings) {
    let refusals: Vec<&Exchange> = oauth::refused_with(view, 401).collect();
    let Some(first) = refusals.first().filter(|first| out.covers(oauth::around(view, first))) else { return };
    let known = oauth::resource_metadata(view).any(Exchange::is_success);
    if known || refusals.iter().any(|exchange| pointer(exchange).is_some()) {
        return out.pass();
    }
    let tried = fruitless(view);
    if !tried.is_empty() {
        let what = "Neither a challenge nor a well-known place leads to the metadata of the resource.";
        let mut breach =
            challenge::breach(what, first, "a URL in the challenge, or a document at a known place", POINT);
        breach.evidence.extend(tried.iter().flat_map(|exchange| exchange.evidence()));
        out.breach(breach);
    }
}

fn url_works(view: &View<'_>, out: &mut Findings) {
    for exchange in requests(view) {
        if was_pointed_to(view, exchange) && out.covers(oauth::around(view, exchange)) {
            out.require(exchange.is_success() && oauth::document(exchange).is_some(), || {
                let fix = "serve the document at the URL that the challenge names, or name the URL where it is";
                let what = "The metadata is not where the challenge says it is.".to_owned();
                told(what, &["status 200 with a JSON document"], came(exchange), fix, exchange.evidence())
            });
        }
    }
}

fn open(view: &View<'_>, out: &mut Findings) {
    for exchange in requests(view) {
        let anonymous = exchange.sent_header("authorization").is_none();
        let walled = exchange.status == Some(401)
            || (exchange.status == Some(403) && exchange.got_header("www-authenticate").is_some());
        let told_apart = exchange.is_success() || walled;
        if anonymous && told_apart && out.covers(oauth::around(view, exchange)) {
            out.require(exchange.is_success(), || {
                let fix = "serve the metadata to everybody: who asks for it has no token yet";
                let what = "The metadata that says where to get a token is itself behind a token.".to_owned();
                told(what, &["status 200 without a token"], came(exchange), fix, exchange.evidence())
            });
        }
    }
}

fn stable(view: &View<'_>, out: &mut Findings) {
    let mut first: Option<(&Exchange, Url)> = None;
    for exchange in oauth::refused_with(view, 401) {
        let Some(url) = pointer(exchange).filter(|_| out.covers(oauth::around(view, exchange))) else { continue };
        match &first {
            None => first = Some((exchange, url)),
            Some((earlier, _)) if earlier.method == exchange.method => {}
            Some((earlier, known)) => out.require(*known == url, || {
                let what = format!(
                    "The challenge to {} names other metadata than that to {}.",
                    exchange.method, earlier.method
                );
                let fix = "name the same metadata in each challenge of the endpoint";
                let mut breach = challenge::breach(&what, exchange, &format!("resource_metadata=\"{known}\""), fix);
                breach.evidence.splice(0..0, earlier.evidence());
                breach
            }),
        }
    }
}

fn all_401(view: &View<'_>, out: &mut Findings) {
    let refusals: Vec<&Exchange> = oauth::refused_with(view, 401).collect();
    let only_by_header = refusals.iter().any(|exchange| pointer(exchange).is_some()) && !fruitless(view).is_empty();
    for exchange in refusals.iter().filter(|_| only_by_header) {
        if out.covers(oauth::around(view, exchange)) {
            out.require(pointer(exchange).is_some(), || {
                let what = "The metadata can be found by challenge only, and this challenge does not name it.";
                challenge::breach(what, exchange, "resource_metadata in each challenge", POINT)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::bare;
    use super::super::samples::{
        FIRST, NEWEST, deny, document, fetched, inside, nothing_at, open_server, ping, refused,
    };
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};

    const INSERTED: &str = "/.well-known/oauth-protected-resource/mcp";
    const ROOT: &str = "/.well-known/oauth-protected-resource";

    #[test]
    fn metadata_is_to_be_found_somewhere() {
        let found = fetched(refused(NEWEST, FIRST), &document());
        let nowhere = nothing_at(nothing_at(refused(NEWEST, "Bearer realm=\"x\""), INSERTED), ROOT);
        for id in ["auth.discovery.prm-implemented", "auth.discovery.prm-challenge-or-wellknown"] {
            expect_three(id, &found, &nowhere, &open_server());
            let half = nothing_at(refused(NEWEST, "Bearer realm=\"x\""), INSERTED);
            assert_eq!(judge(id, &half).outcome, Outcome::NotExercised, "{id}: the other place was not tried");
            let older = nothing_at(nothing_at(refused("2025-03-26", ""), INSERTED), ROOT);
            assert_eq!(judge(id, &older).outcome, Outcome::NotExercised, "{id}: 2025-03-26 knows no such metadata");
        }
        let id = "auth.discovery.prm-challenge-url-works";
        expect_three(id, &found, &nothing_at(refused(NEWEST, FIRST), INSERTED), &open_server());
        let id = "auth.discovery.prm-unauthenticated";
        let guarded = refused(NEWEST, FIRST).outside("GET", INSERTED, &[], None);
        expect_three(id, &found, &guarded.answer(401, &[], ""), &open_server());
    }

    #[test]
    fn the_challenge_names_the_metadata() {
        let id = "auth.discovery.prm-challenge-url-required";
        let kept = refused("2025-06-18", FIRST);
        expect_three(id, &kept, &refused("2025-06-18", "Bearer scope=\"x\""), &open_server());
        let relative = "Bearer resource_metadata=\"/.well-known/oauth-protected-resource\"";
        assert_eq!(judge(id, &refused("2025-06-18", relative)).outcome, Outcome::Fail);
        assert_eq!(judge(id, &refused(NEWEST, "Bearer scope=\"x\"")).outcome, Outcome::NotExercised);
    }

    #[test]
    fn every_challenge_names_the_same() {
        let get = |challenge: &str| deny(bare(inside(NEWEST), "GET", ""), 401, challenge);
        let other = "Bearer resource_metadata=\"http://127.0.0.1:8080/elsewhere\"";
        expect_three("auth.discovery.prm-stable", &get(FIRST), &get(other), &inside(NEWEST));
    }

    #[test]
    fn what_only_a_challenge_tells_every_challenge_tells() {
        let hidden = "Bearer resource_metadata=\"http://127.0.0.1:8080/about\"";
        let lost = || nothing_at(nothing_at(refused(NEWEST, hidden), INSERTED), ROOT);
        let broken = deny(ping(lost(), "Bearer access#1"), 401, "Bearer error=\"invalid_token\"");
        let id = "auth.resource-server.www-authenticate-all-401";
        expect_three(id, &lost(), &broken, &fetched(refused(NEWEST, FIRST), &document()));
    }
}
