//! The version that the server offers instead of one it does not know.

use std::collections::BTreeSet;

use crate::check::wire::{answer_to, came, told, unfinished, walled};
use crate::check::{Breach, Check, Findings};
use crate::model::{Members as _, Revision, Via};
use crate::transcript::{Conversation, Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "lifecycle.version-counter-offer", judge: version_counter_offer },
    Check { id: "lifecycle.version-counter-offer-latest", judge: counter_offer_latest },
    Check { id: "lifecycle.version-offer-usable", judge: offer_usable },
];

/// An unknown version gets another one as a result; the error of the specification's own example is tolerated.
fn version_counter_offer(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("initialize") {
        let requested = request.value.at("params").at("protocolVersion").as_str().unwrap_or_default();
        if requested.is_empty() || requested.parse::<Revision>().is_ok() {
            continue;
        }
        let exchange = view.exchange_of(request);
        // Where the client then found the server over the older transport, there was none at this place.
        let fell_back = |other: &Exchange| {
            other.via == Via::LegacySse && other.client == exchange.client && other.seq > exchange.seq
        };
        // Nor was anybody there who could read it where the place that a stream names is none.
        let nowhere = exchange.via == Via::LegacySse && exchange.status == Some(404);
        if walled(exchange) || nowhere || (exchange.via == Via::StreamableHttp && view.exchanges.iter().any(fell_back))
        {
            continue;
        }
        let Some(response) = answer_to(view, request, response) else {
            out.breach(Breach {
                what: format!("The server gave no answer to initialize with the unknown version {requested}."),
                expected: vec!["a result with a version that the server supports".to_owned()],
                actual: exchange.status.map_or_else(|| "nothing".to_owned(), |status| format!("status {status}")),
                fix: "answer with the newest version that the server supports; the client decides whether to go on"
                    .to_owned(),
                evidence: exchange.evidence(),
            });
            continue;
        };
        let offered = response.value.at("result").at("protocolVersion").as_str();
        let tolerated = response.message().error_code() == Some(-32602);
        out.require(tolerated || offered.is_some_and(|offered| offered != requested), || Breach {
            what: format!("The server did not offer another version than the unknown {requested}."),
            expected: vec!["a result whose protocolVersion is one that the server supports".to_owned()],
            actual: response.value.to_string(),
            fix: "answer with the newest version that the server supports".to_owned(),
            evidence: exchange.evidence(),
        });
    }
}

/// Offers of another version than asked, with the exchanges that made them.
fn offers<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Conversation> {
    view.conversations
        .iter()
        .filter(|offer| !offer.requested.is_empty() && offer.requested != offer.answered && out.covers(offer.revision))
        .collect()
}

/// The version offered instead is the newest that the server is seen to support.
fn counter_offer_latest(view: &View<'_>, out: &mut Findings) {
    let echoed: BTreeSet<Revision> = view
        .conversations
        .iter()
        .filter(|conversation| conversation.requested == conversation.answered)
        .filter_map(|conversation| conversation.revision)
        .collect();
    let Some(newest) = echoed.last() else { return };
    for offer in offers(view, out) {
        let exchange = &view.exchanges[offer.opened];
        out.require(offer.revision.is_some_and(|offered| offered >= *newest), || {
            told(
                format!(
                    "To the unknown version {} the server offered an old one, though it supports {newest}.",
                    offer.requested
                ),
                &["the newest version that the server supports"],
                format!("protocolVersion {}", offer.answered),
                "sort the supported versions and offer the last one",
                exchange.evidence(),
            )
        });
    }
}

/// A version that was offered works for a client that asks for it.
fn offer_usable(view: &View<'_>, out: &mut Findings) {
    let offered: BTreeSet<&str> = offers(view, out).iter().map(|offer| offer.answered.as_str()).collect();
    for (request, response) in view.calls_to("initialize") {
        let asked = request.value.at("params").at("protocolVersion").as_str().unwrap_or_default();
        let exchange = view.exchange_of(request);
        if !offered.contains(asked) || walled(exchange) || !exchange.answered() {
            continue;
        }
        let got = answer_to(view, request, response).map(|response| response.value.at("result").at("protocolVersion"));
        if got.is_none() && exchange.is_success() && unfinished(exchange) {
            out.inconclusive();
            continue;
        }
        // A refusal that gives another reason says nothing about the version.
        let error =
            answer_to(view, request, response).and_then(|response| response.value.at("error").at("message").as_str());
        if error.is_some_and(|reason| !reason.to_ascii_lowercase().contains("version")) {
            continue;
        }
        out.require(got.is_some_and(|got| got == asked), || {
            told(
                format!("The server offered {asked} and then did not take it."),
                &["initialize with the offered version answers this version"],
                came(exchange),
                "offer only versions that initialize accepts",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome::{Fail, NotExercised, Pass};
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;
    use serde_json::json;

    #[test]
    fn counter_offer() {
        let id = "lifecycle.version-counter-offer";
        let good = Builder::new().initialize_with("1999-01-01", "2025-11-25", json!({}), json!({}));
        assert_eq!(judge(id, &good).outcome, Pass);
        let echoed = Builder::new().initialize_with("1999-01-01", "1999-01-01", json!({}), json!({}));
        assert_eq!(judge(id, &echoed).outcome, Fail);
        assert_eq!(judge(id, &Builder::new().initialize("2025-06-18")).outcome, NotExercised);
    }

    #[test]
    fn offers() {
        let offer = |version: &str| Builder::new().initialize_with("1999-01-01", version, json!({}), json!({}));
        let id = "lifecycle.version-counter-offer-latest";
        let newest = |version: &str| offer(version).initialize("2025-11-25");
        expect_three(id, &newest("2025-11-25"), &newest("2025-03-26"), &Builder::new().initialize("2025-06-18"));
        let broken = offer("2025-06-18").initialize_with("2025-06-18", "2025-03-26", json!({}), json!({}));
        let kept = offer("2025-06-18").initialize("2025-06-18");
        expect_three("lifecycle.version-offer-usable", &kept, &broken, &Builder::new().initialize("2025-06-18"));
    }
}
