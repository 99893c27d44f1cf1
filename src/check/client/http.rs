//! Streamable HTTP as the client speaks it: what it accepts, and the version that it names.

use super::common::{asked, header_of, told};
use crate::check::{Check, Findings};
use crate::model::{Members as _, Via};
use crate::transcript::{Exchange, View, has_modern_meta};

/// The checks of this topic.
pub(super) const CHECKS: &[Check] = &[
    Check { id: "transport.http.client-accept", judge: accept },
    Check { id: "transport.http.client-get-accept", judge: get_accept },
    Check { id: "transport.http.client-version-header", judge: version_header },
    Check { id: "transport.http.client-version-header-negotiated", judge: version_negotiated },
];

/// Whether a header that lists media types lists this one, or all of its kind.
fn lists(exchange: &Exchange, kind: &str) -> bool {
    let whole = kind.split('/').next().unwrap_or_default();
    exchange.sent_header("accept").is_some_and(|accept| {
        let types =
            accept.split(',').map(|item| item.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        types.into_iter().any(|item| item == kind || item == "*/*" || item == format!("{whole}/*"))
    })
}

/// POST accepts both kinds of answer.
fn accept(view: &View<'_>, out: &mut Findings) {
    for (exchange, revision) in asked(view) {
        if exchange.method != "POST" || exchange.via != Via::StreamableHttp || !out.covers(revision) {
            continue;
        }
        out.require(lists(exchange, "application/json") && lists(exchange, "text/event-stream"), || {
            told(
                "The client sent a POST that does not accept both kinds of answer.",
                &["Accept: application/json, text/event-stream"],
                header_of(exchange, "Accept"),
                "list both media types in Accept of every POST; strict servers answer 406 otherwise",
                exchange.evidence(),
            )
        });
    }
}

/// GET accepts an event stream.
fn get_accept(view: &View<'_>, out: &mut Findings) {
    for (exchange, revision) in asked(view) {
        // A GET outside of any session may be of somebody else, such as a browser.
        let opens = exchange.method == "GET" && exchange.via == Via::StreamableHttp && exchange.conversation.is_some();
        if opens && out.covers(revision) {
            out.require(lists(exchange, "text/event-stream"), || {
                told(
                    "The client opened the stream without accepting one.",
                    &["Accept: text/event-stream"],
                    header_of(exchange, "Accept"),
                    "list text/event-stream in Accept of the GET",
                    exchange.evidence(),
                )
            });
        }
    }
}

/// The requests that have to name the version: those after the handshake, in the modern era all of them.
fn versioned<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Exchange> {
    let after = |exchange: &Exchange| {
        let opening = exchange.conversation.map(|index| view.conversations[index].opened);
        opening.is_some_and(|opened| view.exchanges[opened].seq < exchange.seq)
    };
    let due = |exchange: &Exchange| exchange.modern || (after(exchange) && exchange.via == Via::StreamableHttp);
    asked(view)
        // Where nobody agreed on a version that there is, none can be named.
        .filter(|(exchange, _)| out.covers(exchange.revision) && due(exchange))
        .filter(|(exchange, _)| exchange.sent_json().is_none_or(|body| body.at("method") != "initialize"))
        .map(|(exchange, _)| exchange)
        .collect()
}

/// After the handshake every request names its version.
fn version_header(view: &View<'_>, out: &mut Findings) {
    for exchange in versioned(view, out) {
        out.require(exchange.sent_header("mcp-protocol-version").is_some(), || {
            told(
                format!("The client sent a {} without MCP-Protocol-Version.", exchange.method),
                &["MCP-Protocol-Version with the version that was agreed on"],
                header_of(exchange, "MCP-Protocol-Version"),
                "send the header with every request after initialize, also with GET and DELETE",
                exchange.evidence(),
            )
        });
    }
}

/// The version named is the one that was agreed on.
fn version_negotiated(view: &View<'_>, out: &mut Findings) {
    for exchange in versioned(view, out) {
        let Some(sent) = exchange.sent_header("mcp-protocol-version") else { continue };
        let Some(conversation) = exchange.conversation.map(|index| &view.conversations[index]) else { continue };
        // A request of the newer era names that era, whatever was agreed on before.
        if exchange.modern || exchange.sent_json().is_some_and(has_modern_meta) {
            continue;
        }
        out.require(sent == conversation.answered, || {
            told(
                "The client names another version than the one that was agreed on.",
                &[conversation.answered.as_str()],
                sent,
                "send the protocolVersion of the server's answer, not the one that was asked for",
                view.exchanges[conversation.opened].evidence().into_iter().chain(exchange.evidence()).collect(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::three;
    use crate::transcript::Builder;

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn asks(extra: &[(&str, &str)]) -> Builder {
        let body = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;
        start().request("POST", extra, Some(body)).answer(200, &[], "")
    }

    #[test]
    fn media_types() {
        let old = Builder::new().initialize("2024-11-05");
        three("transport.http.client-accept", &start(), &asks(&[("accept", "application/json")]), &old);
        three("transport.http.client-accept", &asks(&[("accept", "*/*")]), &asks(&[("accept", "")]), &old);
        let get = |accept| start().request("GET", &[("accept", accept)], None).stream();
        three("transport.http.client-get-accept", &get("text/event-stream"), &get("application/json"), &start());
    }

    #[test]
    fn versions() {
        let old = Builder::new().initialize("2025-03-26");
        three("transport.http.client-version-header", &start(), &asks(&[("mcp-protocol-version", "")]), &old);
        let other = asks(&[("mcp-protocol-version", "2025-11-25")]);
        three("transport.http.client-version-header-negotiated", &start(), &other, &old);
    }
}
