//! The version that each request names, in its body and in its header.

use std::collections::BTreeSet;

use serde_json::Value;

use super::asked::{UNSUPPORTED, version_of};
use super::flaw::{Ask, Flaw, flaws, requests};
use crate::check::wire::{body_error, came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{View, is_modern_version};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "lifecycle.version-unsupported-error", judge: unsupported_error },
    Check { id: "lifecycle.version-unsupported-data", judge: unsupported_data },
    Check { id: "lifecycle.version-unsupported-list-usable", judge: list_usable },
    Check { id: "lifecycle.version-per-request", judge: per_request },
    Check { id: "transport.http.version-unsupported-400", judge: unsupported_status },
    Check { id: "transport.http.version-header-match", judge: header_match },
    Check { id: "transport.http.version-header-required", judge: header_required },
    Check { id: "lifecycle.discover-versions-consistent", judge: consistent },
];

fn code(ask: &Ask<'_>) -> Option<i64> {
    ask.code().or_else(|| body_error(ask.exchange))
}

/// Requests whose only flaw is their version.
fn unsupported<'v>(view: &'v View<'_>) -> impl Iterator<Item = Ask<'v>> {
    requests(view).filter(move |ask| ask.tells() && flaws(view, ask) == [Flaw::Unsupported])
}

fn wanted(ask: &Ask<'_>) -> String {
    format!("{} named the version {:?}", ask.method(), version_of(ask.request).unwrap_or_default())
}

/// A version that the server does not implement is refused with the error for that.
fn unsupported_error(view: &View<'_>, out: &mut Findings) {
    for ask in unsupported(view) {
        out.require(code(&ask) == Some(UNSUPPORTED), || {
            told(
                format!(
                    "{}, which no revision has, and the server did not say that it does not know it.",
                    wanted(&ask)
                ),
                &["error -32022"],
                came(ask.exchange),
                "compare the version of each request with those that the server implements, and answer -32022",
                ask.evidence(),
            )
        });
    }
}

/// Over HTTP with status 400.
fn unsupported_status(view: &View<'_>, out: &mut Findings) {
    for ask in unsupported(view).filter(|ask| ask.over_http() && ask.is_refused()) {
        out.require(ask.exchange.status == Some(400), || {
            told(
                format!("{}, and was refused, but not with status 400.", wanted(&ask)),
                &["status 400"],
                came(ask.exchange),
                "send the error -32022 with status 400",
                ask.evidence(),
            )
        });
    }
}

fn data<'v>(ask: &Ask<'v>) -> &'v Value {
    static NONE: Value = Value::Null;
    ask.response.map_or(&NONE, |response| response.value.at("error").at("data"))
}

/// The error says what would do, and what was asked for.
fn unsupported_data(view: &View<'_>, out: &mut Findings) {
    for ask in unsupported(view).filter(|ask| ask.code() == Some(UNSUPPORTED)) {
        let data = data(&ask);
        let listed =
            data.at("supported").as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string));
        let echoed = data.at("requested").as_str() == version_of(ask.request);
        out.require(listed && echoed, || {
            told(
                format!("{}, and the error does not say what would do.", wanted(&ask)),
                &["data with supported, a list of versions, and requested, the version of the request"],
                came(ask.exchange),
                "put {\"supported\": […], \"requested\": \"…\"} into data of the error",
                ask.evidence(),
            )
        });
    }
}

fn strings(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A modern version that the error offers works.
fn list_usable(view: &View<'_>, out: &mut Findings) {
    let offers: Vec<Ask<'_>> = unsupported(view).filter(|ask| ask.code() == Some(UNSUPPORTED)).collect();
    for ask in requests(view).filter(Ask::tells) {
        let Some(version) = version_of(ask.request).filter(|version| is_modern_version(version)) else { continue };
        let offer = offers.iter().find(|offer| {
            offer.exchange.seq < ask.exchange.seq && strings(data(offer).at("supported")).contains(version)
        });
        let Some(offer) = offer.filter(|_| flaws(view, &ask).is_empty()) else { continue };
        out.require(code(&ask) != Some(UNSUPPORTED), || {
            told(
                format!("The server had offered the version {version}, and then refused it."),
                &["service under a version that the error lists"],
                came(ask.exchange),
                "list in supported what the server really implements",
                [offer.evidence(), ask.evidence()].concat(),
            )
        });
    }
}

/// Each request is measured by its own version, whatever came before it.
fn per_request(view: &View<'_>, out: &mut Findings) {
    let all: Vec<(Ask<'_>, bool)> = requests(view)
        .filter(Ask::tells)
        .filter_map(|ask| match flaws(view, &ask).as_slice() {
            [] => Some((ask, true)),
            [Flaw::Unsupported] => Some((ask, false)),
            _ => None,
        })
        .collect();
    for (at, (ask, good)) in all.iter().enumerate() {
        let swung =
            all[..at].iter().any(|(other, before)| before != good && other.exchange.client == ask.exchange.client);
        if !swung {
            continue;
        }
        let accepted = code(ask) != Some(UNSUPPORTED) && (*good || ask.result().is_some());
        out.require(accepted == *good, || {
            told(
                format!("{}, and the server treated it as it had treated another version before.", wanted(ask)),
                &["acceptance or refusal by the version of this request alone"],
                came(ask.exchange),
                "keep no version per connection or client; read it from each request",
                ask.evidence(),
            )
        });
    }
}

/// A header with another version than the body is refused.
fn header_match(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view).filter(|ask| ask.over_http() && ask.tells()) {
        // Which of the two the server looks at first is its own affair: both may be wrong in their own ways.
        let found = flaws(view, &ask);
        let only = matches!(
            found.as_slice(),
            [Flaw::VersionHeaderDiffers] | [Flaw::OldVersion | Flaw::Unsupported, Flaw::VersionHeaderDiffers]
        );
        if !only {
            continue;
        }
        let right = ask.exchange.status == Some(400)
            && (code(&ask) == Some(-32020) || (found.len() > 1 && code(&ask) == Some(UNSUPPORTED)));
        out.require(right, || {
            told(
                format!(
                    "{} in its body and {:?} in MCP-Protocol-Version.",
                    wanted(&ask),
                    ask.exchange.sent_header("mcp-protocol-version").unwrap_or_default()
                ),
                &["status 400 with error -32020"],
                came(ask.exchange),
                "compare header and body before anything else is done with the version",
                ask.evidence(),
            )
        });
    }
}

/// A request without the version header is refused by a server that has no clients from before the header.
fn header_required(view: &View<'_>, out: &mut Findings) {
    let old = view.conversations.iter().any(|known| {
        known.revision.is_some_and(|revision| !revision.facts().version_header && revision.facts().streamable_http)
    });
    // A server that also serves such clients may take the header for 2025-03-26; whether it does is not always seen.
    let lists_old = view
        .conversations
        .iter()
        .any(|known| strings(known.result.at("supportedVersions")).iter().any(|version| *version < "2025-06-18"));
    for ask in requests(view).filter(|ask| ask.over_http() && ask.tells()) {
        if flaws(view, &ask) != [Flaw::VersionHeaderMissing] || old || lists_old {
            continue;
        }
        let right = ask.exchange.status == Some(400) && code(&ask) == Some(-32020);
        let breach = || {
            told(
                format!("{} came without MCP-Protocol-Version.", ask.method()),
                &["status 400 with error -32020"],
                came(ask.exchange),
                "demand the header on every request of this revision",
                ask.evidence(),
            )
        };
        // Discovery need not tell which older clients are served, so that nobody knows from outside whether this one
        // was taken for one of those; who refuses it has done what matters.
        if right || ask.exchange.status == Some(400) {
            out.pass();
        } else {
            out.contested(breach());
        }
    }
}

/// What discovery tells contains the version it was asked with, and agrees with what the error tells.
fn consistent(view: &View<'_>, out: &mut Findings) {
    let modern = |list: &Value| -> BTreeSet<String> {
        strings(list).into_iter().filter(|version| is_modern_version(version)).map(str::to_owned).collect()
    };
    let offers: Vec<Ask<'_>> = unsupported(view).filter(|ask| data(ask).at("supported").is_array()).collect();
    for ask in requests(view).filter(|ask| ask.method() == "server/discover" && flaws(view, ask).is_empty()) {
        let Some(list) = ask.result().map(|result| result.at("supportedVersions")).filter(|list| list.is_array())
        else {
            continue;
        };
        let own = version_of(ask.request).is_some_and(|version| strings(list).contains(version));
        let other = offers.iter().find(|offer| modern(data(offer).at("supported")) != modern(list));
        out.require(own && other.is_none(), || {
            told(
                if own {
                    "Discovery and the error for unsupported versions tell different versions.".to_owned()
                } else {
                    "Discovery does not list the version that it was asked in and answered.".to_owned()
                },
                &["one list of versions, told in both places"],
                came(ask.exchange),
                "make both lists from the same constant",
                [ask.evidence(), other.map(Ask::evidence).unwrap_or_default()].concat(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, META_VERSION};
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().modern().discover(json!({"tools": {}}))
    }

    fn probe() -> Builder {
        start().probe(&[("mcp-protocol-version", "v999")], "tools/list", json!({"_meta": {META_VERSION: "v999"}}))
    }

    fn refused() -> Builder {
        probe().refuses(400, -32022, json!({"supported": ["2026-07-28"], "requested": "v999"}))
    }

    #[test]
    fn versions_that_nobody_has() {
        let served = probe().serves("tools/list", json!({"tools": []}));
        expect_three("lifecycle.version-unsupported-error", &refused(), &served, &start());
        expect_three("lifecycle.version-per-request", &refused(), &served, &start());
        let wrong = probe().refuses(200, -32022, Value::Null);
        expect_three("transport.http.version-unsupported-400", &refused(), &wrong, &start());
        expect_three("lifecycle.version-unsupported-data", &refused(), &wrong, &start());
        let kept = refused().call("tools/list", Value::Null, json!({"tools": []}));
        let broken = refused().call_error("tools/list", Value::Null, -32022);
        expect_three("lifecycle.version-unsupported-list-usable", &kept, &broken, &start());
    }

    #[test]
    fn header_and_body() {
        let probe = start().probe(&[("mcp-protocol-version", "2025-11-25")], "tools/list", Value::Null);
        let kept = probe.clone().refuses(400, -32020, Value::Null);
        let broken = probe.serves("tools/list", json!({"tools": []}));
        expect_three("transport.http.version-header-match", &kept, &broken, &start());
        let probe = start().probe(&[("mcp-protocol-version", "")], "tools/list", Value::Null);
        let kept = probe.clone().refuses(400, -32020, Value::Null);
        let broken = probe.serves("tools/list", json!({"tools": []}));
        let outcomes =
            [&kept, &broken, &start()].map(|told| judge("transport.http.version-header-required", told).outcome);
        assert_eq!(outcomes, [Outcome::Pass, Outcome::Warn, Outcome::NotExercised]);
    }

    #[test]
    fn lists() {
        let id = "lifecycle.discover-versions-consistent";
        let bare = Builder::new().modern();
        let other = json!({"supportedVersions": ["2025-11-25"], "capabilities": {}});
        let broken = bare.clone().call("server/discover", Value::Null, other);
        expect_three(id, &refused(), &broken, &bare);
    }
}
