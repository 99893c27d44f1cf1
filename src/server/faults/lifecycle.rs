//! Faults of `initialize` and of time.

use serde_json::json;

use super::all::catalogue;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{drop_result, set_result};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "lifecycle.version-not-echoed" breaks ["lifecycle.version-echo", "lifecycle.version-offer-usable"]
        Rule(Rule::VersionEchoed) "A known version is answered with another one";
    "lifecycle.counter-offer-old" breaks ["lifecycle.version-counter-offer-latest"]
        Rule(Rule::CounterOfferLatest) "An unknown version is answered with the oldest known one";
    "lifecycle.offer-unusable" breaks ["lifecycle.version-offer-usable", "lifecycle.version-counter-offer-latest"]
        Rule(Rule::OfferUsable) "The version offered instead of an unknown one is refused itself";
    "lifecycle.version-refused" breaks ["lifecycle.version-counter-offer"]
        Rule(Rule::CounterOffered) "An unknown version is refused with an error";
    "lifecycle.no-server-info" breaks ["lifecycle.initialize-result", "shape.result"]
        Outgoing(|message, context| drop_result(message, context, "initialize", "serverInfo")) "serverInfo is missing";
    "lifecycle.server-info-nameless" breaks ["lifecycle.initialize-server-info", "shape.result"]
        Outgoing(|message, context| set_result(message, context, "initialize", "serverInfo", json!({"version": 1})))
        "serverInfo has no name and a number as version";
    "lifecycle.no-capabilities" breaks ["lifecycle.initialize-result", "shape.result"]
        Outgoing(|message, context| drop_result(message, context, "initialize", "capabilities"))
        "capabilities is missing";
    "lifecycle.instructions-list" breaks ["lifecycle.instructions-optional", "shape.result"]
        Outgoing(|message, context| set_result(message, context, "initialize", "instructions", json!(["Be", "kind"])))
        "instructions is an array";
    "lifecycle.probe-503" breaks ["transport.http.version-header-invalid-400"]
        Head(|reply, ask| if ask.rpc_method.as_deref() == Some("server/discover") && reply.status >= 400 {
            reply.status = 503;
            reply.body = Some(b"upstream connect error".to_vec());
        }) "A server that knows only initialize answers a probe of the newer era with 503";
    "lifecycle.asks-early" breaks ["lifecycle.server-early-requests"]
        Rule(Rule::WaitsForInitialized) "The server asks before the client is initialized";
    "lifecycle.early-ping-refused" breaks ["lifecycle.early-ping-answered"]
        Rule(Rule::EarlyPingAnswered) "A ping before initialized is refused";
    "lifecycle.unknown-capability-refused" breaks ["base.unknown-capabilities-tolerated"]
        Rule(Rule::CapabilitiesOpen) "Clients with a capability of their own are refused";
    "lifecycle.extra-member-refused" before "copilot-studio" breaks ["lifecycle.initialize-result"]
        Rule(Rule::InitializeOpen) "An initialize with a member that no schema names is refused";
    "lifecycle.timeout-silent" breaks ["lifecycle.timeout-cancels"]
        Rule(Rule::TimeoutCancels) "A question that timed out is not cancelled";
    "lifecycle.waits-forever" breaks ["lifecycle.timeouts"]
        Rule(Rule::QuestionsTimeOut) "A question without an answer blocks its tool for ever";
    "lifecycle.newest-features" breaks ["features.tools.content-types-by-revision", "lifecycle.respect-version-should", "lifecycle.respect-version-must", "shape.request", "shape.result"]
        Rule(Rule::FeaturesByRevision) "Tools show what the negotiated revision does not know";
};
