//! Version negotiation in `initialize`.

use crate::check::wire::walled;
use crate::check::{Breach, Check, Findings};
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "lifecycle.version-echo", judge: version_echo },
    Check { id: "lifecycle.version-counter-offer", judge: version_counter_offer },
];

/// A version that the server answered somewhere in the transcript is one that it supports, so asking for it
/// has to give it back.
fn version_echo(view: &View<'_>, out: &mut Findings) {
    for conversation in &view.conversations {
        let supported = view.conversations.iter().any(|other| other.answered == conversation.requested);
        if !supported || conversation.requested.parse::<crate::model::Revision>().is_err() {
            continue;
        }
        if !out.covers(conversation.requested.parse().ok()) {
            continue;
        }
        let exchange = &view.exchanges[conversation.opened];
        out.require(conversation.answered == conversation.requested, || Breach {
            what: format!(
                "The server supports {} but answered {} to a client that asked for it.",
                conversation.requested, conversation.answered
            ),
            expected: vec![format!("protocolVersion {}", conversation.requested)],
            actual: format!("protocolVersion {}", conversation.answered),
            fix: "answer initialize with the requested version whenever the server supports it".to_owned(),
            evidence: exchange.evidence(),
        });
    }
}

/// An unknown version gets another one as a result; the error of the specification's own example is tolerated.
fn version_counter_offer(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("initialize") {
        let requested = request.value["params"]["protocolVersion"].as_str().unwrap_or_default();
        if requested.is_empty() || requested.parse::<crate::model::Revision>().is_ok() {
            continue;
        }
        let exchange = view.exchange_of(request);
        if walled(exchange) {
            continue;
        }
        let Some(response) = response else {
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
        let offered = response.value["result"]["protocolVersion"].as_str();
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

#[cfg(test)]
mod tests {
    use crate::check::Outcome::{Fail, NotExercised, Pass};
    use crate::check::testing::judge;
    use crate::transcript::Builder;
    use serde_json::json;

    #[test]
    fn echo() {
        let id = "lifecycle.version-echo";
        let good = Builder::new().initialize("2025-06-18");
        assert_eq!(judge(id, &good).outcome, Pass);
        let bad =
            good.clone().initialize_with("2025-11-25", "2025-06-18", json!({}), json!({})).initialize("2025-11-25");
        assert_eq!(judge(id, &bad).outcome, Fail);
        assert_eq!(judge(id, &Builder::new()).outcome, NotExercised);
    }

    #[test]
    fn counter_offer() {
        let id = "lifecycle.version-counter-offer";
        let good = Builder::new().initialize_with("1999-01-01", "2025-11-25", json!({}), json!({}));
        assert_eq!(judge(id, &good).outcome, Pass);
        let echoed = Builder::new().initialize_with("1999-01-01", "1999-01-01", json!({}), json!({}));
        assert_eq!(judge(id, &echoed).outcome, Fail);
        assert_eq!(judge(id, &Builder::new().initialize("2025-06-18")).outcome, NotExercised);
    }
}
