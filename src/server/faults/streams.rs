//! Faults of event streams: priming, order, resumption.

use super::all::catalogue;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{restatus, says};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "sse.no-priming" breaks ["transport.http.sse-prime-event", "transport.http.sse-response-arrives"]
        Rule(Rule::StreamsPrimed) "Streams do not begin with an event to resume from";
    "sse.keep-alive-event" breaks ["transport.http.sse-format"]
        Rule(Rule::KeepAliveUnseen) "A sign of life is sent as an event that holds no message, instead of a comment";
    "sse.no-retry" breaks ["transport.http.sse-retry-before-close"]
        Rule(Rule::RetryBeforeClose) "A stream is closed early without a retry field";
    // What a proxy holds back until its end never arrives then.
    "sse.stays-open" breaks ["transport.http.sse-close-after-response", "transport.http.sse-response-arrives"]
        Rule(Rule::StreamEndsAfterResponse) "Streams stay open after the response";
    "sse.closes-early" breaks ["transport.http.sse-not-close-early", "transport.http.sse-response-arrives"]
        Rule(Rule::StreamsKeptOpen) "A stream is closed before the response in revisions that do not let clients poll";
    "sse.disconnect-cancels" breaks ["transport.http.disconnect-not-cancel"]
        Rule(Rule::WorkOutlivesConnection) "A dropped connection cancels its request";
    "sse.broadcast" breaks ["transport.http.no-broadcast", "transport.http.one-stream-only"]
        Rule(Rule::NoBroadcast) "Notifications go out on every open stream of the session";
    "sse.second-refused" breaks ["transport.http.multiple-streams"]
        Rule(Rule::NewStreamTakesOver) "A second GET stream is refused for as long as the first is not known to be dead";
    "sse.progress-crossed" breaks ["transport.http.sse-related-only-should"]
        Rule(Rule::ProgressOnOwnStream) "The progress of every call goes out on the newest stream of a call";
    "sse.progress-on-get" breaks ["transport.http.get-unrelated"]
        Rule(Rule::ProgressOffGet) "test_slow reports its progress on the GET stream";
    "sse.event-ids-repeat" breaks ["transport.http.event-id-unique"]
        Rule(Rule::EventIdsUnique) "Two events of a stream have the same id";
    "sse.resume-unknown-500" breaks [
        "transport.http.resume-unknown-id", "transport.http.status-not-5xx-for-client-fault",
    ]
        Head(|reply, _| if says(reply, "Last-Event-ID") { restatus(reply, 400, 500) })
        "A Last-Event-ID that is not known gets 500";
    "sse.replay-foreign" breaks ["transport.http.resume-no-foreign"]
        Rule(Rule::ReplayOwnStream) "Resuming a stream replays the other streams too";
    "sse.replay-from-start" breaks ["transport.http.resume-replay"]
        Rule(Rule::ReplayFromCursor) "Resuming a stream repeats what was received already";
    "sse.response-lost" breaks [
        "transport.http.sse-response-arrives", "transport.http.sse-not-close-early", "transport.http.sse-retry-before-close",
    ] Rule(Rule::ResponseSent) "Streams of calls whose progress is watched end without the response";
    "sse.response-twice" breaks ["base.response-exactly-one"]
        Rule(Rule::ResponseOnce) "The response is sent twice on its stream";
    "sse.response-on-get" breaks [
        "transport.http.get-no-response", "transport.http.sse-response-arrives", "transport.http.sse-not-close-early",
        "transport.http.sse-retry-before-close",
    ] Rule(Rule::ResponseOnOwnStream) "Responses to calls whose progress is watched are sent on the GET stream";
};
