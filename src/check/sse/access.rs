//! Who may use the stream and its place for messages: no page of another origin, and nobody without a token where
//! tokens are asked for.

use crate::check::wire::{came, foreign_origin, told};
use crate::check::{Check, Findings};
use crate::model::Via;
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.sse.origin-validate", judge: origin },
    Check { id: "transport.sse.authenticate", judge: authenticates },
];

fn requests<'v>(view: &'v View<'_>) -> impl Iterator<Item = &'v Exchange> {
    view.exchanges.iter().filter(|exchange| exchange.via == Via::LegacySse && exchange.status.is_some())
}

/// A page of another origin is refused.
fn origin(view: &View<'_>, out: &mut Findings) {
    for exchange in requests(view) {
        let Some(origin) = foreign_origin(exchange) else { continue };
        out.require(!exchange.is_success(), || {
            told(
                format!("A request from a page of {origin} was served."),
                &["status 403"],
                came(exchange),
                "compare Origin with what you serve, and answer 403 otherwise: else any page in a browser on this \
                 machine can use the server (DNS rebinding)",
                exchange.evidence(),
            )
        });
    }
}

/// Where some door asks for tokens, the stream and its place ask as well.
fn authenticates(view: &View<'_>, out: &mut Findings) {
    let says_so = |exchange: &Exchange| {
        exchange.target.contains("/.well-known/oauth-protected-resource") && exchange.status == Some(200)
    };
    let guarded =
        view.exchanges.iter().any(|exchange| exchange.sent_header("authorization").is_some() || says_so(exchange));
    for exchange in requests(view).filter(|exchange| guarded && exchange.sent_header("authorization").is_none()) {
        out.require(!exchange.is_success(), || {
            told(
                "A request without a token was served, though the server has an authorization server.".to_owned(),
                &["status 401"],
                came(exchange),
                "put the endpoints of HTTP+SSE behind the same authorization as the others",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::model::Via;
    use crate::transcript::{Builder, End};

    #[test]
    fn pages_of_others_and_strangers_are_refused() {
        let opened = || Builder::new().channel(Via::LegacySse).sse_event("endpoint", "/m").initialize("2024-11-05");
        let from = |status: u16| {
            let asked = opened().request("GET", &[("origin", "http://evil.example.com")], None);
            asked.head(status, &[]).end(End::Complete)
        };
        expect_three("transport.sse.origin-validate", &from(403), &from(200), &opened());
        let bare = |status: u16| {
            let held = Builder::new().request("GET", &[("authorization", "Bearer access#1")], None).head(200, &[]);
            held.end(End::Complete).over(Via::LegacySse).request("GET", &[], None).head(status, &[]).end(End::Complete)
        };
        expect_three("transport.sse.authenticate", &bare(401), &bare(200), &opened());
    }
}
