//! Faults of the transports beside Streamable HTTP: lines on a pipe, and the stream of 2024-11-05.

use super::all::catalogue;
use crate::server::answer::AskCtx;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::restatus;

/// Whether something is posted where HTTP+SSE has its event stream.
fn at_stream(ask: &AskCtx) -> bool {
    ask.http_method == "POST" && ask.rpc_method.is_none()
}

pub(super) static FAULTS: &[Fault] = catalogue! {
    "stdio.logs-on-stdout" over Stdio breaks ["transport.stdio.stdout-clean", "transport.stdio.stdout-clean-on-error"]
        Rule(Rule::OutputClean) "A line about the start is written to standard output";
    "stdio.errors-on-stdout" over Stdio breaks ["transport.stdio.stdout-clean-on-error"]
        Rule(Rule::OutputCleanOnError) "A trace is written to standard output with each error";
    "stdio.embedded-newline" over Stdio breaks ["transport.stdio.framing"]
        Rule(Rule::LinesUnbroken) "Notifications of progress are written on two lines";
    "stdio.malformed-line-ends" over Stdio breaks ["transport.stdio.malformed-line-survives"]
        Rule(Rule::MalformedLineSurvived) "A line that is no JSON ends the server";
    "stdio.long-line-lost" over Stdio breaks ["transport.stdio.large-message"]
        Rule(Rule::LongLinesRead) "A line beyond 64 KiB is dropped in silence";
    "stdio.blank-line-ends" over Stdio breaks ["transport.stdio.blank-line-tolerated"]
        Rule(Rule::BlankLinesSkipped) "A blank line is taken for the end of the input";
    "stdio.batch-refused" over Stdio breaks ["transport.stdio.batch-line", "base.batch-receive"]
        Rule(Rule::BatchLinesTaken) "2025-03-26 batches are refused on a line";
    "stdio.one-by-one" over Stdio breaks ["transport.stdio.concurrent-requests"]
        Rule(Rule::PipedCallsSideBySide) "A request is not taken up before the last one is answered";
    "stdio.ignores-eof" over Stdio breaks ["transport.stdio.eof-exit-legacy", "transport.stdio.eof-exit", "transport.stdio.inflight-on-eof"]
        Rule(Rule::EofEnds) "The server goes on when its input has ended and nothing is under way";
    "stdio.ignores-sigterm" over Stdio breaks ["transport.stdio.sigterm-exit", "transport.stdio.eof-exit", "transport.stdio.eof-exit-legacy", "transport.stdio.inflight-on-eof"]
        Rule(Rule::SigtermEnds) "The server goes on when its input has ended, and on SIGTERM";
    "stdio.hangs-on-call" over Stdio breaks ["transport.stdio.inflight-on-eof"]
        Rule(Rule::EofCancels) "The server never ends when its input ends during a call";
    "sse.no-endpoint-event" over LegacySse breaks ["transport.sse.endpoint-event"]
        Rule(Rule::EndpointAnnounced) "The stream ends without telling where to post to";
    "sse.endpoint-nowhere" over LegacySse breaks ["transport.sse.endpoint-event-resolvable"]
        Rule(Rule::EndpointReal) "The URI of the endpoint event leads nowhere";
    "sse.event-renamed" over LegacySse breaks ["transport.sse.message-events"]
        Rule(Rule::MessagesNamed) "Messages come as events of another name";
    "sse.response-in-post" over LegacySse breaks ["transport.sse.responses-on-stream"]
        Rule(Rule::ResponsesOnStream) "Requests after the handshake, but for calls, are answered in the POST instead of on the stream";
    "sse.session-outlives-stream" over LegacySse breaks ["transport.sse.stream-drop-releases"]
        Rule(Rule::StreamEndEndsSession) "A session can be posted to after its stream has ended";
    "sse.one-only" over LegacySse breaks ["transport.sse.multi-client", "lifecycle.initialize-result"]
        Rule(Rule::StreamsForMany) "A second client is refused with 503 while the first one listens";
    "sse.post-400" breaks ["transport.sse.post-405"]
        Head(|reply, ask| if at_stream(ask) { restatus(reply, 405, 400) })
        "A message that is posted to the event stream of HTTP+SSE gets 400 instead of 405";
    "sse.post-403" before "continue-ide" breaks ["transport.sse.post-405"]
        Head(|reply, ask| if at_stream(ask) { restatus(reply, 405, 403) })
        "A message that is posted to the event stream of HTTP+SSE gets 403 instead of 405";
    "sse.post-503" before "continue-ide" breaks ["transport.sse.post-405"]
        Head(|reply, ask| if at_stream(ask) { restatus(reply, 405, 503) })
        "A message that is posted to the event stream of HTTP+SSE gets 503 instead of 405";
    "sse.legacy-origin-unchecked" over LegacySse breaks ["transport.sse.origin-validate"]
        Rule(Rule::LegacyOriginChecked) "Pages of any origin may use the endpoints of the older transport";
    "sse.legacy-unguarded" over LegacySse breaks ["transport.sse.authenticate"]
        Rule(Rule::LegacyGuarded) "The endpoints of the older transport ask for no token";
};
