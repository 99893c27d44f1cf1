//! How clients find out that an address speaks HTTP+SSE and nothing newer: by what it answers to a POST.

use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::{Members as _, Via};
use crate::transcript::{Exchange, View};

use super::opening::{posts, streams};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[Check { id: "transport.sse.post-405", judge: post_refused }];

/// What all clients that look for the older transport take for a sign of it, as far as is known.
const SIGNS: [u16; 2] = [404, 405];

/// The last `initialize` that was posted to the address of a stream before the stream was asked for there.
fn refused_before<'v>(view: &'v View<'_>, stream: &Exchange) -> Option<&'v Exchange> {
    view.exchanges.iter().rev().find(|post| {
        post.via == Via::StreamableHttp
            && post.method == "POST"
            && post.target == stream.target
            && post.client == stream.client
            && post.seq < stream.seq
            && post.sent_json().is_some_and(|body| body.at("method") == "initialize")
    })
}

/// Before an address turned out to speak HTTP+SSE, the POST there was answered with 404 or 405.
fn post_refused(view: &View<'_>, out: &mut Findings) {
    for stream in streams(view) {
        let named = stream.events.iter().any(|event| event.event.as_deref() == Some("endpoint"));
        let used = || posts(view, stream).find_map(|post| post.revision);
        let Some(post) = refused_before(view, stream).filter(|_| named && out.covers(used())) else { continue };
        let Some(status) = post.status.filter(|status| *status >= 400) else { continue };
        out.require(SIGNS.contains(&status), || {
            told(
                format!("The address speaks HTTP+SSE, and answered the POST of a client that looked for more with {status}."),
                &["status 405 with an Allow header", "status 404"],
                came(post),
                "answer a POST to the address of the event stream with 405: some clients look for HTTP+SSE after that alone",
                post.evidence().into_iter().chain(stream.evidence()).collect(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::model::Via;
    use crate::transcript::Builder;
    use serde_json::json;

    fn found_after(status: u16) -> Builder {
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}});
        let refused = Builder::new().outside("POST", "/mcp", &[], Some(&hello.to_string())).answer(status, &[], "");
        refused.channel(Via::LegacySse).sse_event("endpoint", "/messages?id=1").initialize("2025-06-18")
    }

    #[test]
    fn the_answer_to_a_post_where_there_is_a_stream() {
        let asked_for = Builder::new().channel(Via::LegacySse).sse_event("endpoint", "/m").initialize("2025-06-18");
        expect_three("transport.sse.post-405", &found_after(405), &found_after(400), &asked_for);
    }
}
