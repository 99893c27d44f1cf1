//! Client ID metadata documents: what an authorization server does with those that were published for it.
//!
//! A refusal proves something only where a right document was read and its client was let in before.

use serde_json::Value;

use super::asked::{Answer, Ask, asks_under, origin};
use super::wire;
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::model::Members as _;
use crate::transcript::{EventKind, Exchange, Headers, View, header};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.registration.cimd-fetch", judge: fetched },
    Check { id: "auth.registration.cimd-advertised", judge: advertised },
    Check { id: "auth.registration.cimd-id-match", judge: names_itself },
    Check { id: "auth.registration.cimd-redirect-match", judge: redirects },
    Check { id: "auth.registration.cimd-valid-json", judge: valid },
    Check { id: "auth.registration.cimd-no-error-cache", judge: errors_forgotten },
    Check { id: "auth.registration.cimd-cache", judge: cached },
    Check { id: "auth.registration.cimd-size-limit", judge: bounded },
];

/// A document up to this many bytes is one that every server reads (section 6.6 of the draft names 5 KB).
const SMALL: usize = 4 * 1024;
/// From here on it is one that no server has a reason to read.
const HUGE: usize = 1024 * 1024;
/// A lifetime that outlasts the requests of a scenario.
const LASTING_S: u64 = 60;

/// A document that was published.
struct Document<'v> {
    seq: u32,
    url: &'v str,
    status: u16,
    headers: &'v Headers,
    size: usize,
    /// The JSON object in it; null where there is none.
    content: Value,
}

impl Document<'_> {
    fn names_itself(&self) -> bool {
        self.content.at("client_id") == self.url
    }

    fn redirects(&self) -> Vec<&str> {
        self.content.at("redirect_uris").as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether nothing is wrong with it, whatever its size.
    fn is_right(&self) -> bool {
        self.status == 200 && self.names_itself() && !self.redirects().is_empty()
    }
}

/// An authorization request of a client with a published document.
struct Look<'v> {
    ask: Ask<'v>,
    document: Document<'v>,
    /// Where in the transcript its URL was asked for last, before the answer.
    visited: Option<u32>,
    /// Whether a client with a right document was let in before.
    proven: bool,
}

impl Look<'_> {
    /// Whether the document was fetched for this very request.
    fn now(&self) -> bool {
        self.visited.is_some_and(|seq| seq > self.ask.exchange.seq)
    }

    /// Whether it was fetched since it was published in this form.
    fn since(&self) -> bool {
        self.visited.is_some_and(|seq| seq > self.document.seq)
    }

    fn granted(&self) -> bool {
        matches!(self.ask.answer, Answer::Code(_))
    }

    fn refused(&self) -> bool {
        matches!(self.ask.answer, Answer::Refused | Answer::Error(_))
    }

    /// Whether the redirect URI of the request is one of the document's.
    fn goes_home(&self) -> bool {
        self.ask.param("redirect_uri").is_none_or(|uri| self.document.redirects().contains(&uri))
    }

    fn breach(&self, what: &str, expected: &str, fix: &str) -> Breach {
        let mut evidence = vec![self.document.seq];
        evidence.extend(self.ask.exchange.evidence());
        told(what.to_owned(), &[expected], came(self.ask.exchange), fix, evidence)
    }
}

fn document<'v>(view: &'v View<'_>, exchange: &Exchange, url: &str) -> Option<Document<'v>> {
    let before = view.events.iter().rev().filter(|event| event.seq < exchange.seq);
    before.into_iter().find_map(|event| match &event.kind {
        EventKind::Published { url: known, status, headers, body, pad } if known == url => Some(Document {
            seq: event.seq,
            url: known,
            status: *status,
            headers,
            size: body.len() + pad,
            content: serde_json::from_str(body).ok().filter(Value::is_object).unwrap_or_default(),
        }),
        _ => None,
    })
}

fn looks<'v>(view: &'v View<'_>, out: &Findings) -> Vec<Look<'v>> {
    let mut found: Vec<Look<'v>> = Vec::new();
    for ask in asks_under(view, out) {
        let Some(url) = ask.param("client_id").map(str::to_owned) else { continue };
        let (Some(document), Some(end)) = (document(view, ask.exchange, &url), ask.exchange.end_seq) else { continue };
        let mut visits = view.events.iter().filter_map(|event| match &event.kind {
            EventKind::Fetched { url: visited, .. } if *visited == url && event.seq < end => Some(event.seq),
            _ => None,
        });
        let visited = visits.next_back();
        let proof = |look: &Look<'_>| look.granted() && look.since() && look.document.is_right() && look.goes_home();
        let proven = found.iter().any(proof);
        found.push(Look { ask, document, visited, proven });
    }
    found
}

fn fetched(view: &View<'_>, out: &mut Findings) {
    for look in looks(view, out).iter().filter(|look| look.granted()) {
        out.require(look.visited.is_some(), || {
            let fix = "fetch the document at the client_id, and take from it what is known of the client";
            look.breach("A client was let in whose document was never fetched.", "the document fetched first", fix)
        });
    }
}

fn advertised(view: &View<'_>, out: &mut Findings) {
    let metadata = wire::server_documents(view);
    let said = metadata.iter().any(|found| found.at("client_id_metadata_document_supported") == true);
    for look in looks(view, out).iter().filter(|look| look.granted() && look.visited.is_some() && !metadata.is_empty())
    {
        out.require(said, || {
            let fix = "say so in the metadata: clients that look for it register or give up instead";
            let what =
                "The server reads metadata documents of clients, and its own metadata does not say that it does.";
            look.breach(what, "client_id_metadata_document_supported: true", fix)
        });
    }
}

/// Documents that the server read, after it has let in a client with a right one.
fn read(view: &View<'_>, out: &mut Findings, wrong: fn(&Look<'_>) -> bool, what: &str, fix: &str) {
    for look in looks(view, out).iter().filter(|look| look.proven && look.since() && wrong(look)) {
        if look.granted() {
            out.breach(look.breach(what, "a refusal", fix));
        } else if look.refused() {
            out.pass();
        }
    }
}

fn names_itself(view: &View<'_>, out: &mut Findings) {
    let wrong = |look: &Look<'_>| {
        let named = look.document.content.at("client_id").is_string();
        look.document.status == 200 && named && !look.document.names_itself()
    };
    let fix = "compare client_id in the document with the URL it came from, byte by byte: else anybody can publish the \
               document of another";
    read(view, out, wrong, "A client was let in whose document has another client_id than its URL.", fix);
}

fn valid(view: &View<'_>, out: &mut Findings) {
    let wrong = |look: &Look<'_>| {
        let bare = look.document.names_itself() && look.document.content.member("redirect_uris").is_none();
        look.document.status == 200 && (look.document.content.is_null() || bare)
    };
    let fix = "refuse documents that are no JSON object or lack client_id, client_name or redirect_uris";
    read(view, out, wrong, "A client was let in whose document is no JSON or lacks redirect_uris.", fix);
}

fn bounded(view: &View<'_>, out: &mut Findings) {
    let wrong = |look: &Look<'_>| look.document.is_right() && look.document.size >= HUGE && look.goes_home();
    let fix = "stop reading after some kilobytes; 5 are recommended";
    read(view, out, wrong, "A client was let in whose document is larger than a megabyte.", fix);
}

fn redirects(view: &View<'_>, out: &mut Findings) {
    for look in looks(view, out).iter().filter(|look| look.proven && look.visited.is_some() && look.document.is_right())
    {
        // Another port or path may be a matter of taste; another host is none.
        let uri = look.ask.param("redirect_uri").and_then(origin);
        let same =
            |known: &&str| origin(known).is_some_and(|(_, host, _)| uri.as_ref().is_some_and(|uri| uri.1 == host));
        if uri.is_none() || look.document.redirects().iter().any(same) {
            continue;
        }
        if look.ask.went_back() {
            let fix = "send nobody to a redirect URI that is not in the client's document";
            let what = "The answer to a client went to a redirect URI that its document does not have.";
            out.breach(look.breach(what, "an error that is shown to the person", fix));
        } else if look.refused() {
            out.pass();
        }
    }
}

/// Whether a right document of usual size is asked about in the right way.
fn ordinary(look: &Look<'_>) -> bool {
    look.document.is_right() && look.document.size <= SMALL && look.goes_home()
}

fn errors_forgotten(view: &View<'_>, out: &mut Findings) {
    let looks = looks(view, out);
    for (index, look) in looks.iter().enumerate().filter(|(_, look)| look.proven && ordinary(look)) {
        let earlier =
            |other: &&Look<'_>| other.document.url == look.document.url && other.document.seq < look.document.seq;
        let Some(before) = looks[..index].iter().rev().find(earlier) else { continue };
        if before.document.is_right() || !before.since() || before.granted() {
            continue;
        }
        if look.since() {
            out.pass();
        } else if look.refused() {
            let fix = "keep neither error answers nor documents that are not valid";
            let what = "A document that could not be used before is right by now, and was not asked for again.";
            out.breach(look.breach(what, "the document fetched again", fix));
        }
    }
}

fn cached(view: &View<'_>, out: &mut Findings) {
    let looks = looks(view, out);
    for pair in looks.windows(2) {
        let [first, second] = pair else { continue };
        let between = first.ask.exchange.seq..second.ask.exchange.seq;
        let moved = view
            .events
            .iter()
            .any(|event| between.contains(&event.seq) && matches!(event.kind, EventKind::Clock { .. }));
        let same = first.document.seq == second.document.seq && first.since() && first.granted() && second.granted();
        let Some(control) = header(second.document.headers, "cache-control").filter(|_| same && !moved) else {
            continue;
        };
        let control = control.to_ascii_lowercase();
        if control.contains("no-store") {
            out.require(second.now(), || {
                let fix = "keep no document that says no-store";
                second.breach(
                    "A document that must not be kept was not fetched again.",
                    "the document fetched again",
                    fix,
                )
            });
        } else if !control.contains("no-cache") && lifetime(&control).is_some_and(|seconds| seconds >= LASTING_S) {
            out.require(!second.now(), || {
                let fix = "keep a document as long as its cache headers allow";
                let what = "A document that may be kept was fetched again for the next request.";
                second.breach(what, "the document taken from the cache", fix)
            });
        }
    }
}

/// The `max-age` of a `Cache-Control` header.
fn lifetime(control: &str) -> Option<u64> {
    control.split(',').find_map(|directive| directive.trim().strip_prefix("max-age=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::super::asked::play::{BACK, asked, back, begun, document, found, with};
    use super::*;
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;
    use serde_json::json;

    const URL: &str = "http://127.0.0.1:7001/client.json";
    const OTHER: &str = "http://127.0.0.1:7001/other.json";

    fn right(url: &str) -> Value {
        json!({"client_id": url, "client_name": "c", "redirect_uris": [BACK]})
    }

    fn put(builder: Builder, url: &str, status: u16, control: &str, body: &str, pad: usize) -> Builder {
        let headers = vec![("cache-control".into(), control.into())];
        builder.event(EventKind::Published { url: url.to_owned(), status, headers, body: body.into(), pad })
    }

    fn published(builder: Builder, url: &str, document: &Value) -> Builder {
        put(builder, url, 200, "", &document.to_string(), 0)
    }

    fn fetched(builder: Builder, url: &str) -> Builder {
        builder.event(EventKind::Fetched { url: url.to_owned(), method: "GET".to_owned() })
    }

    fn ask(builder: Builder, url: &str) -> Builder {
        asked(builder, &[("client_id", url)])
    }

    fn granted(builder: Builder) -> Builder {
        back(builder, "?code=code#9")
    }

    fn refused(builder: Builder) -> Builder {
        builder.answer(400, &[], "no")
    }

    fn idle() -> Builder {
        begun("2025-11-25")
    }

    /// A client with a right document was let in.
    fn proven() -> Builder {
        granted(fetched(ask(published(idle(), URL, &right(URL)), URL), URL))
    }

    /// A request of the client at the other URL, for which its document was fetched.
    fn looked(document: &Value) -> Builder {
        fetched(ask(published(proven(), OTHER, document), OTHER), OTHER)
    }

    #[test]
    fn a_document_is_fetched_and_support_is_told() {
        let id = "auth.registration.cimd-fetch";
        expect_three(id, &proven(), &granted(ask(published(idle(), URL, &right(URL)), URL)), &idle());
        let id = "auth.registration.cimd-advertised";
        let silent = with(document(), "client_id_metadata_document_supported", Value::Null);
        let untold = found(Builder::new().initialize("2025-11-25"), &silent);
        let untold = granted(fetched(ask(published(untold, URL, &right(URL)), URL), URL));
        expect_three(id, &proven(), &untold, &refused(ask(published(idle(), URL, &right(URL)), URL)));
    }

    #[test]
    fn a_wrong_document_lets_nobody_in() {
        let id = "auth.registration.cimd-id-match";
        let wrong = || looked(&right("https://app.example.com/client.json"));
        expect_three(id, &refused(wrong()), &granted(wrong()), &proven());
        let id = "auth.registration.cimd-valid-json";
        let bare = || looked(&with(right(OTHER), "redirect_uris", Value::Null));
        expect_three(id, &refused(bare()), &granted(bare()), &proven());
        let page = || fetched(ask(put(proven(), OTHER, 200, "", "<p>", 0), OTHER), OTHER);
        expect_three(id, &refused(page()), &granted(page()), &proven());
        let id = "auth.registration.cimd-size-limit";
        let huge = || fetched(ask(put(proven(), OTHER, 200, "", &right(OTHER).to_string(), HUGE), OTHER), OTHER);
        expect_three(id, &refused(huge()), &granted(huge()), &proven());
        let unproven = refused(fetched(ask(put(idle(), OTHER, 200, "", "<p>", 0), OTHER), OTHER));
        for id in CHECKS.iter().map(|check| check.id) {
            assert_eq!(judge(id, &unproven).outcome, Outcome::NotExercised, "{id}: it may read no documents at all");
        }
    }

    #[test]
    fn answers_go_where_the_document_says() {
        let id = "auth.registration.cimd-redirect-match";
        let away = || asked(proven(), &[("client_id", URL), ("redirect_uri", "https://elsewhere.example.com/cb")]);
        let sent = away().answer(302, &[("location", "https://elsewhere.example.com/cb?code=code#9")], "");
        expect_three(id, &refused(away()), &sent, &proven());
    }

    #[test]
    fn what_failed_is_not_kept() {
        let id = "auth.registration.cimd-no-error-cache";
        let failed = || refused(fetched(ask(put(proven(), OTHER, 404, "", "", 0), OTHER), OTHER));
        let again = || ask(published(failed(), OTHER, &right(OTHER)), OTHER);
        expect_three(id, &granted(fetched(again(), OTHER)), &refused(again()), &failed());
    }

    #[test]
    fn cache_headers_decide() {
        let id = "auth.registration.cimd-cache";
        let once = |control| {
            let builder = put(idle(), URL, 200, control, &right(URL).to_string(), 0);
            granted(fetched(ask(builder, URL), URL))
        };
        let kept = |control| granted(ask(once(control), URL));
        let twice = |control| granted(fetched(ask(once(control), URL), URL));
        expect_three(id, &kept("max-age=3600"), &twice("max-age=3600"), &kept("max-age=1"));
        expect_three(id, &twice("no-store"), &kept("no-store"), &once("no-store"));
        let moved = once("max-age=3600").event(EventKind::Clock { advanced_ms: 9 });
        assert_eq!(judge(id, &granted(fetched(ask(moved, URL), URL))).outcome, Outcome::NotExercised);
    }
}
