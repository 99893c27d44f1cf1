//! Faults of event streams: priming, order, resumption.

use super::all::catalogue;
use crate::server::fault::{Fault, How, Rule};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "sse.no-priming" breaks ["transport.http.sse-prime-event"]
        Rule(Rule::StreamsPrimed) "Streams do not begin with an event to resume from";
    "sse.no-retry" breaks ["transport.http.sse-retry-before-close"]
        Rule(Rule::RetryBeforeClose) "A stream is closed early without a retry field";
    "sse.stays-open" breaks ["transport.http.sse-close-after-response"]
        Rule(Rule::StreamEndsAfterResponse) "Streams stay open after the response";
    "sse.disconnect-cancels" breaks ["transport.http.disconnect-not-cancel"]
        Rule(Rule::WorkOutlivesConnection) "A dropped connection cancels its request";
    "sse.broadcast" breaks ["transport.http.no-broadcast", "transport.http.one-stream-only"]
        Rule(Rule::NoBroadcast) "Notifications go out on every open stream of the session";
    "sse.replay-foreign" breaks ["transport.http.resume-no-foreign"]
        Rule(Rule::ReplayOwnStream) "Resuming a stream replays the other streams too";
    "sse.replay-from-start" breaks ["transport.http.resume-replay"]
        Rule(Rule::ReplayFromCursor) "Resuming a stream repeats what was received already";
    "sse.response-lost" breaks ["transport.http.sse-response-arrives", "base.response-exactly-one"]
        Rule(Rule::ResponseSent) "Streams end without the response";
    "sse.response-twice" breaks ["base.response-exactly-one"]
        Rule(Rule::ResponseOnce) "The response is sent twice on its stream";
    "sse.response-on-get" breaks ["transport.http.get-no-response", "transport.http.sse-response-arrives"]
        Rule(Rule::ResponseOnOwnStream) "Responses of streaming tools are sent on the GET stream";
};
