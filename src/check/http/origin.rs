//! Who may ask: `Origin` and `Host`, the guard against web pages that reach into local servers.

use crate::check::wire::{came, faultless, foreign_origin, governing, is_4xx, is_loopback, to_endpoint, told};
use crate::check::{Check, Findings};
use crate::model::{Members as _, Revision};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.origin-validate", judge: origin_validate },
    Check { id: "transport.http.origin-403", judge: origin_403 },
    Check { id: "transport.http.origin-403-body", judge: origin_403_body },
    Check { id: "transport.http.origin-absent", judge: origin_absent },
    Check { id: "transport.http.host-rebinding", judge: host_rebinding },
];

fn foreign<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Exchange, &'v str)> {
    view.exchanges
        .iter()
        .filter(|exchange| {
            exchange.status.is_some() && to_endpoint(view, exchange) && out.covers(governing(view, exchange))
        })
        .filter_map(|exchange| Some((exchange, foreign_origin(exchange)?)))
        .collect()
}

/// A request that comes from a foreign web page is not served.
fn origin_validate(view: &View<'_>, out: &mut Findings) {
    for (exchange, origin) in foreign(view, out) {
        out.require(!exchange.is_success(), || {
            told(
                format!("The server served a {} from the foreign origin {origin}.", exchange.method),
                &["status 403", "any other refusal"],
                came(exchange),
                "compare Origin with a list of allowed origins before anything else; if this origin is wanted, declare it",
                exchange.evidence(),
            )
        });
    }
}

/// A refused origin gets 403 and no other status; 401 may come first where the server asks for authorization, and 405
/// for a method that is not offered.
fn origin_403(view: &View<'_>, out: &mut Findings) {
    let open =
        view.conversations.iter().any(|known| view.exchanges[known.opened].sent_header("authorization").is_none());
    for (exchange, origin) in foreign(view, out) {
        let unoffered = exchange.status == Some(405) && exchange.method != "POST";
        if exchange.is_success() || (exchange.status == Some(401) && !open) || unoffered {
            continue;
        }
        out.require(exchange.status == Some(403), || {
            told(
                format!("The server refused the foreign origin {origin}, but not with status 403."),
                &["status 403"],
                came(exchange),
                "answer 403 to a request whose Origin is not allowed",
                exchange.evidence(),
            )
        });
    }
}

/// The body of such a 403 may be anything, but a JSON-RPC error in it has no id.
fn origin_403_body(view: &View<'_>, out: &mut Findings) {
    for (exchange, _) in foreign(view, out) {
        if exchange.status != Some(403) {
            continue;
        }
        let body = exchange.got_json();
        let named =
            body.is_some_and(|body| body.at("jsonrpc") == "2.0" && body.member("id").is_some_and(|id| !id.is_null()));
        out.require(!named, || {
            told(
                "The JSON-RPC error in a 403 for a foreign origin has an id.".to_owned(),
                &["a JSON-RPC error without id", "any other body, or none"],
                came(exchange),
                "refuse the origin before reading the body, and leave the id out",
                exchange.evidence(),
            )
        });
    }
}

/// The revision of a request, also where the server refused to open a conversation: then the one that was asked for.
fn meant(view: &View<'_>, exchange: &Exchange) -> Option<Revision> {
    let asked = || {
        let hello = view.messages.iter().find(|msg| {
            msg.method() == Some("initialize")
                && !msg.received()
                && msg.client == exchange.client
                && msg.seq <= exchange.seq
        })?;
        let version = hello.value.at("params").at("protocolVersion").as_str()?;
        // To an unknown version a server answers with its newest.
        Some(version.parse().unwrap_or(Revision::V2025_11_25))
    };
    if view.conversations.is_empty() { asked() } else { exchange.revision }
}

/// A request without `Origin`, as every program but a browser sends it, is not refused for that.
fn origin_absent(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| exchange.sent_header("origin").is_none()) {
        let fair = exchange.method != "DELETE" && (view.conversations.is_empty() || faultless(view, exchange));
        if !fair || exchange.status.is_none() || !out.covers(meant(view, exchange)) {
            continue;
        }
        let text = || exchange.response_body.as_deref().unwrap_or_default().to_ascii_lowercase();
        let blamed = exchange.status == Some(403) && text().contains("origin");
        if !blamed && !exchange.is_success() {
            continue;
        }
        out.require(!blamed, || {
            told(
                "The server refused a request because it has no Origin header.".to_owned(),
                &["normal service; only browsers send Origin"],
                came(exchange),
                "check Origin only when it is present",
                exchange.evidence(),
            )
        });
    }
}

/// A server on loopback does not answer to a foreign host name.
fn host_rebinding(view: &View<'_>, out: &mut Findings) {
    let local = view
        .conversations
        .iter()
        .any(|known| view.exchanges[known.opened].sent_header("host").is_some_and(is_loopback));
    for exchange in &view.exchanges {
        let Some(host) = exchange.sent_header("host").filter(|host| !is_loopback(host)) else { continue };
        let asked = exchange.status.is_some() && to_endpoint(view, exchange) && local;
        if !asked || !out.covers(governing(view, exchange)) {
            continue;
        }
        out.require(is_4xx(exchange), || {
            told(
                format!("A server on this machine answered to the foreign host name {host}."),
                &["a status from 400 to 499, such as 403 or 421"],
                came(exchange),
                "accept only localhost, 127.0.0.1 and [::1] as Host while the server listens on loopback",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    const PING: &str = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;

    fn sent(headers: &[(&str, &str)], status: u16, body: &str) -> Builder {
        start().request("POST", headers, Some(PING)).answer(status, &[("content-type", "application/json")], body)
    }

    fn start() -> Builder {
        Builder::new().initialize("2025-11-25")
    }

    #[test]
    fn origins() {
        let evil: &[(&str, &str)] = &[("origin", "https://evil.example")];
        let own = sent(&[("origin", "http://localhost:3000")], 200, "{}");
        let kept = sent(evil, 403, "");
        let named = r#"{"jsonrpc":"2.0","id":9,"error":{"code":-32000,"message":"no"}}"#;
        expect_three("transport.http.origin-validate", &kept, &sent(evil, 200, "{}"), &own);
        expect_three("transport.http.origin-403", &kept, &sent(evil, 400, ""), &own);
        expect_three("transport.http.origin-403", &kept, &sent(evil, 401, ""), &own);
        expect_three("transport.http.origin-403-body", &kept, &sent(evil, 403, named), &own);
        assert_eq!(judge("transport.http.origin-403", &sent(evil, 200, "{}")).outcome, Outcome::NotExercised);
        let broken = sent(&[], 403, "Origin header required");
        expect_three("transport.http.origin-absent", &start(), &broken, &Builder::new());
        let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
        let shut = Builder::new().request("POST", &[], Some(hello)).answer(403, &[], "Origin header required");
        assert_eq!(judge("transport.http.origin-absent", &shut).outcome, Outcome::Warn);
    }

    #[test]
    fn hosts() {
        let evil: &[(&str, &str)] = &[("host", "evil.example")];
        let id = "transport.http.host-rebinding";
        expect_three(id, &sent(evil, 403, ""), &sent(evil, 200, "{}"), &start());
    }
}
