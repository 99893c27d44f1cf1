//! Names of headers mean the same in any letter case.

use crate::check::wire::{came, faultless, is_4xx, told, walled};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.header-names-case-insensitive", judge: any_letter_case },
    Check { id: "transport.http.session-header-case", judge: session_letter_case },
];

/// How a request spells the names of the headers that the protocol needs.
fn spelling<'e>(exchange: &'e Exchange, wanted: &[&str]) -> Vec<&'e str> {
    let names = exchange.headers.iter().map(|(name, _)| name.as_str());
    let mut names: Vec<(usize, &str)> = names
        .filter_map(|name| Some((wanted.iter().position(|wanted| wanted.eq_ignore_ascii_case(name))?, name)))
        .collect();
    names.sort_by_key(|(place, _)| *place);
    names.into_iter().map(|(_, name)| name).collect()
}

/// What a request asks for, so that only the spelling differs between two of them.
fn method(exchange: &Exchange) -> Option<&str> {
    exchange.sent_json()?.at("method").as_str()
}

fn compare_spellings(view: &View<'_>, out: &mut Findings, wanted: &[&str]) {
    for (index, conversation) in view.conversations.iter().enumerate() {
        let peers: Vec<&Exchange> = view
            .exchanges
            .iter()
            .filter(|exchange| exchange.conversation == Some(index) && exchange.method == "POST")
            .filter(|exchange| faultless(view, exchange) && exchange.status.is_some() && !walled(exchange))
            .filter(|exchange| exchange.seq > view.exchanges[conversation.opened].seq)
            .collect();
        let served: Vec<(Option<&str>, Vec<&str>)> = peers
            .iter()
            .filter(|exchange| exchange.is_success())
            .map(|exchange| (method(exchange), spelling(exchange, wanted)))
            .collect();
        for exchange in &peers {
            let names = spelling(exchange, wanted);
            let asked = method(exchange);
            let other =
                served.iter().any(|(what, known)| *what == asked && *known != names && known.len() == names.len());
            if !other || names.is_empty() || !out.covers(exchange.revision) {
                continue;
            }
            let refused =
                matches!(exchange.status, Some(400 | 404 | 406 | 415)) && !served.contains(&(asked, names.clone()));
            out.require(!refused || !is_4xx(exchange), || {
                told(
                    format!("The server refused a request whose headers are spelt {}.", names.join(", ")),
                    &["the same service as with any other letter case"],
                    came(exchange),
                    "compare header names without regard to letter case",
                    exchange.evidence(),
                )
            });
        }
    }
}

/// Header names mean the same in any letter case.
fn any_letter_case(view: &View<'_>, out: &mut Findings) {
    compare_spellings(view, out, &["mcp-session-id", "mcp-protocol-version", "accept", "content-type"]);
}

/// So does the name of the session header.
fn session_letter_case(view: &View<'_>, out: &mut Findings) {
    compare_spellings(view, out, &["mcp-session-id"]);
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    const PING: &str = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn sent(headers: &[(&str, &str)], status: u16) -> Builder {
        let content = [("content-type", "application/json")];
        let usual = start().request("POST", &[], Some(PING)).answer(200, &content, "{}");
        usual.request("POST", headers, Some(PING)).answer(status, &content, "{}")
    }

    #[test]
    fn letter_case() {
        let upper: &[(&str, &str)] = &[("MCP-SESSION-ID", "session#1")];
        for id in ["transport.http.header-names-case-insensitive", "transport.http.session-header-case"] {
            expect_three(id, &sent(upper, 200), &sent(upper, 400), &start());
        }
        let modern = |status: u16| {
            let start = Builder::new().modern().discover(json!({"tools": {}}));
            let usual = start.call("tools/list", Value::Null, json!({"tools": []}));
            usual
                .probe(&[("ACCEPT", "application/json, text/event-stream")], "tools/list", Value::Null)
                .json(status, &json!({"jsonrpc": "2.0", "id": 3, "result": {"resultType": "complete"}}))
        };
        expect_three(
            "transport.http.header-names-case-insensitive",
            &modern(200),
            &modern(400),
            &Builder::new().modern(),
        );
    }
}
