//! The places where metadata may stand: what a place answers that has none decides whether clients look at the next one.

use super::wire as oauth;
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[Check { id: "auth.discovery.absent-404", judge: absent }];

/// The places of one kind of metadata that were asked: some have it, and the others should say that they do not.
fn judge_places<'v>(view: &'v View<'_>, out: &mut Findings, asked: impl Iterator<Item = &'v Exchange>) {
    let asked: Vec<&Exchange> = asked.filter(|exchange| !matches!(exchange.status, None | Some(429))).collect();
    let found = |exchange: &Exchange| exchange.is_success() && oauth::document(exchange).is_some();
    let Some(there) = asked.iter().find(|exchange| found(exchange)) else { return };
    // A place that has it and turns somebody away is none that has nothing.
    let has = |place: &Exchange| {
        asked.iter().any(|other| {
            found(other) && other.target == place.target && oauth::authority(other) == oauth::authority(place)
        })
    };
    for exchange in asked.iter().filter(|exchange| !has(exchange)) {
        if !out.covers(oauth::around(view, exchange)) {
            continue;
        }
        out.require(matches!(exchange.status, Some(404 | 405 | 410)), || {
            let what = format!(
                "{} has no metadata and does not say so; clients that take this for a failure never come to {}.",
                oauth::path(exchange),
                oauth::path(there)
            );
            let fix = "answer 404 at well-known places that have nothing, also behind logins, proxies and bot walls";
            told(what, &["status 404"], came(exchange), fix, [exchange.evidence(), there.evidence()].concat())
        });
    }
}

fn absent(view: &View<'_>, out: &mut Findings) {
    judge_places(view, out, oauth::resource_metadata(view));
    judge_places(view, out, oauth::server_metadata(view));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{FIRST, NEWEST, document, fetched, knock, nothing_at, refused};
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    const ROOT: &str = "/.well-known/oauth-protected-resource";
    const SERVER: &str = "/.well-known/oauth-authorization-server";

    fn at(builder: Builder, place: &str, status: u16) -> Builder {
        builder.outside("GET", place, &[], None).answer(status, &[], "")
    }

    fn begun() -> Builder {
        fetched(refused(NEWEST, FIRST), &document())
    }

    #[test]
    fn a_place_without_metadata_says_404() {
        let silent = at(refused(NEWEST, FIRST), ROOT, 401);
        for status in [401, 403, 500, 502, 302, 200] {
            expect_three("auth.discovery.absent-404", &nothing_at(begun(), ROOT), &at(begun(), ROOT, status), &silent);
        }
        assert_eq!(judge("auth.discovery.absent-404", &knock(NEWEST)).outcome, Outcome::NotExercised);
        let turned_away = at(begun(), "/.well-known/oauth-protected-resource/mcp", 403);
        assert_eq!(judge("auth.discovery.absent-404", &turned_away).outcome, Outcome::NotExercised, "it is there");
    }

    #[test]
    fn places_of_one_kind_say_nothing_about_the_other() {
        let alone = at(begun(), SERVER, 500);
        assert_eq!(judge("auth.discovery.absent-404", &alone).outcome, Outcome::NotExercised);
        let openid = alone.outside("GET", "/.well-known/openid-configuration", &[], None).json(200, &json!({"a": 1}));
        let finding = judge("auth.discovery.absent-404", &openid);
        assert_eq!((finding.outcome, finding.breaches.len()), (Outcome::Warn, 1));
    }
}
