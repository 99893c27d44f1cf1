//! What request headers may and may not decide, and what a status may say about a client's mistake.

use crate::check::wire::{body_error, came, governing, over, posts, to_endpoint, told, walled, well_formed};
use crate::check::{Check, Findings};
use crate::model::{Members as _, Revision};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.accept-leniency", judge: accept_leniency },
    Check { id: "transport.http.accept-respects-json-only", judge: accept_any_spelling },
    Check { id: "transport.http.allow-header-405", judge: allow_header },
    Check { id: "transport.http.version-header-absent-default", judge: version_absent },
    Check { id: "transport.http.version-header-invalid-400", judge: version_invalid },
    Check { id: "transport.http.status-not-5xx-for-client-fault", judge: no_5xx },
];

/// The kinds that an Accept header names, in lower case and without parameters.
fn accepted(exchange: &Exchange) -> Vec<String> {
    let listed = exchange.sent_header("accept").unwrap_or_default();
    let kind = |part: &str| part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    listed.split(',').map(kind).filter(|kind| !kind.is_empty()).collect()
}

fn lists_both(exchange: &Exchange) -> bool {
    let kinds = accepted(exchange);
    ["application/json", "text/event-stream"].iter().all(|kind| kinds.iter().any(|listed| listed == kind))
}

/// An Accept that lacks a type may be served or refused, as long as the server does not fall over it.
fn accept_leniency(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, body) in posts(view) {
        let asked = body.is_ok_and(well_formed) && !lists_both(exchange);
        let Some(status) = exchange.status.filter(|_| asked && out.covers(governing(view, exchange))) else { continue };
        out.require(status < 500, || {
            told(
                format!(
                    "The server fell over the Accept header {:?}.",
                    exchange.sent_header("accept").unwrap_or_default()
                ),
                &["normal service", "status 406 or 400"],
                came(exchange),
                "answer 406 where the Accept header does not suffice",
                exchange.evidence(),
            )
        });
    }
}

/// An Accept that lists both types is good enough in any order and spelling, with parameters or without.
fn accept_any_spelling(view: &View<'_>, out: &mut Findings) {
    for (_, exchange, body) in posts(view) {
        let asked = body.is_ok_and(well_formed) && lists_both(exchange);
        if !asked || exchange.status.is_none() || !out.covers(governing(view, exchange)) {
            continue;
        }
        let refused = exchange.status == Some(406);
        if !refused && !exchange.is_success() {
            continue;
        }
        out.require(!refused, || {
            told(
                format!(
                    "The server refused the Accept header {:?}.",
                    exchange.sent_header("accept").unwrap_or_default()
                ),
                &["normal service: both types are listed"],
                came(exchange),
                "parse Accept: ignore order, letter case, spaces and parameters such as q",
                exchange.evidence(),
            )
        });
    }
}

/// A 405 says which methods there are, POST among them.
fn allow_header(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| exchange.status == Some(405)) {
        if !to_endpoint(view, exchange) || !out.covers(governing(view, exchange)) {
            continue;
        }
        let allow = exchange.got_header("allow");
        let named = allow.is_some_and(|allow| allow.split(',').any(|method| method.trim() == "POST"));
        out.require(named, || {
            told(
                format!("The 405 to {} does not list the methods that are allowed.", exchange.method),
                &["an Allow header that names POST, such as \"Allow: POST\""],
                allow.map_or_else(|| "no Allow header".to_owned(), |allow| format!("Allow: {allow}")),
                "add an Allow header to every 405",
                exchange.evidence(),
            )
        });
    }
}

/// Without the version header a session goes on by what it negotiated; without a session 2025-03-26 is assumed.
fn version_absent(view: &View<'_>, out: &mut Findings) {
    for (index, exchange, body) in posts(view) {
        let Some(conversation) = exchange.conversation.map(|at| &view.conversations[at]) else { continue };
        let asked = body.is_ok_and(well_formed) && exchange.sent_header("mcp-protocol-version").is_none();
        let ready = conversation.initialized.is_some_and(|at| view.exchanges[at].seq < exchange.seq);
        let judged = conversation.opened != index && ready && !over(view, exchange) && !walled(exchange);
        if !asked || !judged || exchange.status.is_none() || !out.covers(exchange.revision) {
            continue;
        }
        let old = view.conversations.iter().any(|opened| opened.revision == Some(Revision::V2025_03_26));
        let refused = exchange.status == Some(400);
        if refused && (conversation.session.is_none() && !old || !body_blames_version(exchange)) {
            continue;
        }
        out.require(!refused, || {
            told(
                "The server refused a request because it has no MCP-Protocol-Version header.".to_owned(),
                &["service by the version of the session", "service by 2025-03-26 if there is no session"],
                came(exchange),
                "take a missing header as the negotiated version, or as 2025-03-26 where nothing else is known",
                exchange.evidence(),
            )
        });
    }
}

fn body_blames_version(exchange: &Exchange) -> bool {
    exchange.response_body.as_deref().unwrap_or_default().to_ascii_lowercase().contains("version")
}

/// A version header that names no version of the protocol gets 400.
fn version_invalid(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| exchange.status.is_some() && !walled(exchange)) {
        let Some(version) = exchange.sent_header("mcp-protocol-version") else { continue };
        let opening = exchange.sent_json().is_some_and(|body| body.at("method") == "initialize");
        let live = exchange.conversation.is_some() && !over(view, exchange);
        let unoffered = exchange.status == Some(405) && exchange.method != "POST";
        let judged = !opening && live && !unoffered && out.covers(exchange.revision);
        if version.parse::<Revision>().is_ok() || !judged {
            continue;
        }
        out.require(exchange.status == Some(400), || {
            told(
                format!(
                    "A request with the unknown version {version:?} in MCP-Protocol-Version was not refused with 400."
                ),
                &["status 400"],
                came(exchange),
                "compare the header with the supported versions on every request after initialize",
                exchange.evidence(),
            )
        });
    }
}

/// Whether the client made a mistake that can be seen on the wire.
fn client_fault(view: &View<'_>, exchange: &Exchange) -> bool {
    let body = exchange.body.as_deref().filter(|_| exchange.method == "POST");
    let odd = body.is_some_and(|_| {
        exchange.sent_json().is_none_or(|body| {
            !body.is_array()
                && (body.at("jsonrpc") != "2.0" || (body.member("method").is_some_and(|name| !name.is_string())))
        })
    });
    let version = exchange.sent_header("mcp-protocol-version").is_some_and(|name| name.parse::<Revision>().is_err());
    let session = exchange.session().is_some() && (exchange.conversation.is_none() || over(view, exchange));
    let method = !matches!(exchange.method.as_str(), "GET" | "POST" | "DELETE" | "OPTIONS" | "HEAD");
    let params = matches!(body_error(exchange), Some(-32700 | -32600 | -32601 | -32602));
    odd || version || session || method || params
}

/// A mistake of the client is never reported as a failure of the server.
fn no_5xx(view: &View<'_>, out: &mut Findings) {
    for exchange in view.exchanges.iter().filter(|exchange| to_endpoint(view, exchange)) {
        let Some(status) = exchange.status.filter(|_| client_fault(view, exchange)) else { continue };
        if !out.covers(governing(view, exchange)) {
            continue;
        }
        // 501 is the right answer to a method that HTTP does not know.
        let unknown = status == 501 && !matches!(exchange.method.as_str(), "GET" | "POST" | "DELETE");
        out.require(status < 500 || unknown, || {
            told(
                format!("A mistake of the client was answered with status {status}."),
                &["a status from 400 to 499"],
                came(exchange),
                "catch the error where the input is read; clients retry on 5xx and operators are woken by it",
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
    use serde_json::{Value, json};

    const PING: &str = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;
    const PONG: &str = r#"{"jsonrpc":"2.0","id":9,"result":{}}"#;

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn sent(headers: &[(&str, &str)], status: u16) -> Builder {
        let body = if status == 200 { PONG } else { "bad version" };
        start().request("POST", headers, Some(PING)).answer(status, &[("content-type", "application/json")], body)
    }

    #[test]
    fn accept() {
        let narrow: &[(&str, &str)] = &[("accept", "application/json")];
        expect_three("transport.http.accept-leniency", &sent(narrow, 406), &sent(narrow, 500), &start());
        let turned: &[(&str, &str)] = &[("accept", "Text/Event-Stream;q=0.5, application/json")];
        let id = "transport.http.accept-respects-json-only";
        expect_three(id, &sent(turned, 200), &sent(turned, 406), &Builder::new());
    }

    #[test]
    fn version() {
        let odd: &[(&str, &str)] = &[("mcp-protocol-version", "1900-01-01")];
        expect_three("transport.http.version-header-invalid-400", &sent(odd, 400), &sent(odd, 200), &start());
        let absent: &[(&str, &str)] = &[("mcp-protocol-version", "")];
        let id = "transport.http.version-header-absent-default";
        expect_three(id, &sent(absent, 200), &sent(absent, 400), &start());
        let old = Builder::new().initialize("2025-03-26").request("POST", odd, Some(PING)).answer(200, &[], PONG);
        assert_eq!(judge("transport.http.version-header-invalid-400", &old).outcome, Outcome::NotExercised);
    }

    #[test]
    fn statuses() {
        let odd: &[(&str, &str)] = &[("mcp-protocol-version", "1900-01-01")];
        expect_three("transport.http.status-not-5xx-for-client-fault", &sent(odd, 400), &sent(odd, 500), &start());
        let modern = || Builder::new().modern().discover(json!({"tools": {}}));
        let sent = |status: u16| modern().probe(odd, "tools/list", Value::Null).answer(status, &[], "");
        expect_three("transport.http.status-not-5xx-for-client-fault", &sent(400), &sent(500), &modern());
        let get = start().request("GET", &[], None);
        let kept = get.clone().answer(405, &[("allow", "POST, DELETE")], "");
        expect_three("transport.http.allow-header-405", &kept, &get.answer(405, &[], ""), &start());
    }
}
