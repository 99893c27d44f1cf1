//! How the event stream opens: with the place for messages, which works, for as many clients as come.

use crate::check::wire::{came, told, walled};
use crate::check::{Check, Findings};
use crate::model::{Members as _, Via};
use crate::transcript::{End, Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.sse.endpoint-event", judge: names_endpoint },
    Check { id: "transport.sse.endpoint-event-resolvable", judge: endpoint_works },
    Check { id: "transport.sse.multi-client", judge: serves_many },
    Check { id: "transport.sse.stream-drop-releases", judge: ends_with_stream },
];

/// The event streams that clients asked for.
pub(super) fn streams<'v>(view: &'v View<'_>) -> impl Iterator<Item = &'v Exchange> {
    view.exchanges.iter().filter(|exchange| exchange.via == Via::LegacySse && exchange.method == "GET")
}

/// The messages that were posted to the place that a stream named.
pub(super) fn posts<'v>(view: &'v View<'_>, stream: &'v Exchange) -> impl Iterator<Item = &'v Exchange> {
    view.exchanges.iter().filter(|post| post.channel == Some(stream.number) && post.method == "POST")
}

/// Whether a stream was opened.
fn is_open(stream: &Exchange) -> bool {
    stream.status == Some(200) && stream.media_type() == Some("text/event-stream")
}

/// Whether a client asked only because Streamable HTTP had been refused, so that there need not be such a stream.
fn is_a_guess(view: &View<'_>, stream: &Exchange) -> bool {
    view.exchanges.iter().any(|other| {
        other.via == Via::StreamableHttp
            && other.client == stream.client
            && other.seq < stream.seq
            && other.method == "POST"
            // Requests for tokens are no messages.
            && other.sent_json().is_some_and(|body| body.member("jsonrpc").is_some())
    })
}

/// The first event names the place.
fn names_endpoint(view: &View<'_>, out: &mut Findings) {
    for stream in streams(view).filter(|stream| is_open(stream)) {
        let named = stream.events.iter().position(|event| event.event.as_deref() == Some("endpoint"));
        let before = stream.events.iter().find(|event| event.data.is_some());
        let amiss = match (named, before) {
            (Some(_), Some(first)) if first.event.as_deref() != Some("endpoint") => {
                Some(("The stream began with something else than the event `endpoint`.", vec![stream.seq, first.seq]))
            }
            (Some(_), _) => None,
            (None, _) if is_a_guess(view, stream) => {
                out.inconclusive();
                continue;
            }
            (None, _) => Some(("The stream did not say where messages are to be posted.", stream.evidence())),
        };
        out.require(amiss.is_none(), || {
            let (what, evidence) = amiss.clone().unwrap_or_default();
            told(
                what.to_owned(),
                &["first of all: `event: endpoint`, and the URI for messages as data"],
                before.map_or_else(
                    || "no event".to_owned(),
                    |event| {
                        format!(
                            "event `{}`: {}",
                            event.event.as_deref().unwrap_or("message"),
                            event.data.as_deref().unwrap_or("")
                        )
                    },
                ),
                "send the event `endpoint` as soon as the stream is open",
                evidence,
            )
        });
    }
}

/// What is posted there is taken.
fn endpoint_works(view: &View<'_>, out: &mut Findings) {
    for stream in streams(view) {
        let over = stream.end_seq.unwrap_or(u32::MAX);
        let live = |post: &&Exchange| post.seq < over && post.status.is_some() && !walled(post);
        let Some(first) = posts(view, stream).filter(live).find(|post| post.sent_json().is_some()) else { continue };
        out.require(first.is_success(), || {
            told(
                "The place that the stream named takes no messages.".to_owned(),
                &["any status from 200 to 299"],
                came(first),
                "name the place by the path under which clients reach it, also behind a proxy",
                vec![stream.seq, first.seq],
            )
        });
    }
}

/// A second client is served while the first is there.
fn serves_many(view: &View<'_>, out: &mut Findings) {
    for second in streams(view) {
        let beside = streams(view).find(|first| {
            first.client != second.client
                && is_open(first)
                && first.seq < second.seq
                && first.end_seq.is_none_or(|end| end > second.seq)
        });
        let Some(first) = beside.filter(|_| second.status.is_some() && !walled(second)) else { continue };
        out.require(is_open(second), || {
            told(
                "A second client got no stream while the first one had its own.".to_owned(),
                &["status 200 and an event stream of its own"],
                came(second),
                "keep a transport for each connection instead of one for the server",
                vec![first.seq, second.seq],
            )
        });
    }
}

/// Once the stream is gone, so is the session.
fn ends_with_stream(view: &View<'_>, out: &mut Findings) {
    for stream in streams(view) {
        let Some(end) = stream.end_seq.filter(|_| stream.end == Some(End::ClosedByUs)) else { continue };
        let Some(late) = posts(view, stream).find(|post| post.seq > end && post.status.is_some()) else { continue };
        out.require(!late.is_success(), || {
            told(
                "A message was taken for a session whose stream was gone, so that nobody can be told what comes of it."
                    .to_owned(),
                &["a status from 400 to 499"],
                came(late),
                "forget the session when its stream is closed, and answer 404 from then on",
                vec![end, late.seq],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, EventKind};
    use serde_json::json;

    fn stream() -> Builder {
        Builder::new().channel(Via::LegacySse)
    }

    fn opened() -> Builder {
        stream().sse_event("endpoint", "/messages?id=1").initialize("2024-11-05")
    }

    fn late(status: u16) -> Builder {
        let closed = opened().event(EventKind::End { exchange: 1, end: End::ClosedByUs });
        closed.says("{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}").head(status, &[]).end(End::Complete)
    }

    #[test]
    fn a_stream_opens_with_a_place_that_works() {
        let silent = Builder::new().initialize("2025-06-18");
        let hello = json!({"jsonrpc": "2.0", "method": "notifications/message"}).to_string();
        let broken = stream().sse_event("message", &hello).sse_event("endpoint", "/messages");
        expect_three("transport.sse.endpoint-event", &opened(), &broken, &silent);
        expect_three("transport.sse.endpoint-event", &opened(), &stream().end(End::TimedOut), &silent);
        let nowhere =
            stream().sse_event("endpoint", "/nowhere").says("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
        let nowhere = nowhere.head(404, &[]).end(End::Complete);
        expect_three("transport.sse.endpoint-event-resolvable", &opened(), &nowhere, &silent);
    }

    #[test]
    fn streams_are_many_and_each_ends_its_session() {
        let second = opened().client("b");
        let refused = second.clone().request("GET", &[], None).head(503, &[]).end(End::Complete);
        let kept = second.channel(Via::LegacySse);
        expect_three("transport.sse.multi-client", &kept, &refused, &opened());
        expect_three("transport.sse.stream-drop-releases", &late(404), &late(202), &opened());
    }
}
