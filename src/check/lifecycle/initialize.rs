//! The answer to `initialize`, and what may happen around it.

use serde_json::Value;

use crate::check::wire::{
    came, fair_calls, got_in, governing, is_response, short, told, unfinished, walled, well_formed,
};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _, Revision};
use crate::transcript::{End, META_CAPABILITIES, Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "lifecycle.initialize-result", judge: initialize_result },
    Check { id: "lifecycle.initialize-server-info", judge: server_info },
    Check { id: "lifecycle.instructions-optional", judge: instructions },
    Check { id: "lifecycle.server-early-requests", judge: server_early_requests },
    Check { id: "lifecycle.early-ping-answered", judge: early_ping },
    Check { id: "base.implements-core", judge: implements_core },
    Check { id: "base.unknown-capabilities-tolerated", judge: unknown_capabilities },
];

fn results(
    view: &View<'_>,
    out: &mut Findings,
    holds: fn(&Value) -> Option<bool>,
    what: &str,
    expected: &str,
    fix: &str,
) {
    for conversation in &view.conversations {
        let Some(right) = holds(&conversation.result).filter(|_| out.covers(conversation.revision)) else { continue };
        out.require(right, || {
            told(
                what.to_owned(),
                &[expected],
                short(&conversation.result.to_string()),
                fix,
                view.exchanges[conversation.opened].evidence(),
            )
        });
    }
}

/// The result names the version, the capabilities and the server.
fn initialize_result(view: &View<'_>, out: &mut Findings) {
    results(
        view,
        out,
        |result| {
            let objects = result.at("capabilities").is_object() && result.at("serverInfo").is_object();
            Some(objects && result.at("protocolVersion").is_string())
        },
        "The result of initialize is not complete.",
        "protocolVersion as a string, capabilities and serverInfo as objects",
        "send all three members; capabilities may be {}",
    );
    for (request, response) in view.calls_to("initialize") {
        let exchange = view.exchange_of(request);
        let asked: Option<Revision> =
            request.value.at("params").at("protocolVersion").as_str().and_then(|name| name.parse().ok());
        let error = response.and_then(|response| response.value.member("error")).filter(|error| !error.is_null());
        let Some(error) = error else { continue };
        let refused = error.at("message").as_str().unwrap_or_default().to_ascii_lowercase();
        // What version is refused and how is judged elsewhere, and so are origins and hosts.
        let other_reason =
            error.at("code") == -32022 || ["version", "origin", "host"].iter().any(|word| refused.contains(word));
        if !out.covers(asked)
            || !proper_hello(&request.value)
            || walled(exchange)
            || exchange.status == Some(503)
            || other_reason
            || declares_unknown(&request.value)
        {
            continue;
        }
        let missing = CLIENT_CAPABILITIES.iter().find(|name| {
            refused.contains(**name) && request.value.at("params").at("capabilities").get(**name).is_none()
        });
        let (what, fix) = match missing {
            Some(name) => (
                format!(
                    "The server refuses clients that do not declare the capability `{name}`: this one cannot \
                     connect at all."
                ),
                "answer initialize with a result whatever the client declares; use what needs the capability only with \
                 clients that declare it, and let a tool that cannot do without answer its own call with an error",
            ),
            None => (
                "The server refused a proper initialize.".to_owned(),
                "answer initialize with protocolVersion, capabilities and serverInfo, whatever the client declares",
            ),
        };
        let expected = "a result: no client capability is mandatory";
        out.breach(told(what, &[expected], came(exchange), fix, exchange.evidence()));
    }
}

/// The client capabilities that some legacy revision defines.
const CLIENT_CAPABILITIES: [&str; 4] = ["sampling", "elicitation", "roots", "tasks"];

/// Whether an `initialize` declares a capability that no revision defines; `experimental` is a home for such.
fn declares_unknown(request: &Value) -> bool {
    let given = request.at("params").at("capabilities").as_object();
    given.is_some_and(|given| given.keys().any(|name| !CLIENT_CAPABILITIES.contains(&name.as_str())))
}

/// Whether the params of an `initialize` are what the schema wants.
fn proper_hello(request: &Value) -> bool {
    let params = request.at("params");
    well_formed(request)
        && params.at("protocolVersion").is_string()
        && params.at("capabilities").is_object()
        && params.at("clientInfo").at("name").is_string()
        && params.at("clientInfo").at("version").is_string()
}

/// The server has a name and a version.
fn server_info(view: &View<'_>, out: &mut Findings) {
    results(
        view,
        out,
        // Where serverInfo is missing altogether, `lifecycle.initialize-result` tells it.
        |result| {
            let info = result.at("serverInfo").as_object()?;
            Some(["name", "version"].iter().all(|member| info.get(*member).is_some_and(Value::is_string)))
        },
        "serverInfo lacks the name or the version of the server.",
        "serverInfo with the strings name and version",
        "send \"serverInfo\": {\"name\": \"…\", \"version\": \"…\"}",
    );
}

/// Instructions, where there are any, are a text.
fn instructions(view: &View<'_>, out: &mut Findings) {
    for conversation in &view.conversations {
        if !out.covers(conversation.revision) {
            continue;
        }
        let Some(given) = conversation.result.member("instructions") else { continue };
        out.require(given.is_string(), || {
            told(
                "The instructions of the server are no text.".to_owned(),
                &["a string", "no such member"],
                short(&given.to_string()),
                "send instructions as one string, or leave the member out",
                view.exchanges[conversation.opened].evidence(),
            )
        });
    }
}

/// Before the client has said that it is ready, the server asks for nothing but a ping.
fn server_early_requests(view: &View<'_>, out: &mut Findings) {
    for (index, conversation) in view.conversations.iter().enumerate() {
        if !out.covers(conversation.revision) {
            continue;
        }
        let ready = conversation.initialized.map(|at| view.exchanges[at].seq);
        let early = view.messages.iter().find(|msg| {
            msg.received()
                && msg.conversation == Some(index)
                && msg.kind == Kind::Request
                && msg.method() != Some("ping")
                && ready.is_none_or(|ready| msg.seq < ready)
        });
        out.require(early.is_none(), || {
            told(
                "The server sent a request before the client had sent notifications/initialized.".to_owned(),
                &["ping and log messages at most"],
                early.map(|msg| short(&msg.value.to_string())).unwrap_or_default(),
                "wait for notifications/initialized before asking the client for anything",
                early.iter().map(|msg| msg.seq).collect(),
            )
        });
    }
}

/// A ping between the answer to `initialize` and `notifications/initialized` is answered.
fn early_ping(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("ping") {
        let exchange = view.exchange_of(request);
        let Some(conversation) = view.conversation_of(request).filter(|_| out.covers(request.revision)) else {
            continue;
        };
        let opened = view.exchanges[conversation.opened].end_seq.is_some_and(|seq| seq < request.seq);
        let early = conversation.initialized.is_none_or(|at| view.exchanges[at].seq > request.seq);
        let deleted = conversation.deleted.is_some_and(|at| view.exchanges[at].seq < request.seq);
        let own = exchange.session() == conversation.session.as_deref() && !deleted;
        let version =
            exchange.sent_header("mcp-protocol-version").is_none_or(|version| version == conversation.answered);
        if !(opened && early && own && version) || walled(exchange) {
            continue;
        }
        if response.is_none() && unfinished(exchange) {
            out.inconclusive();
            continue;
        }
        // A server without ping has none later either: `base.implements-core`.
        if response.is_some_and(|response| response.message().error_code() == Some(-32601)) {
            continue;
        }
        out.require(response.is_some_and(|response| response.value.member("result").is_some()), || {
            told(
                "A ping before notifications/initialized was not answered.".to_owned(),
                &["an empty result"],
                came(exchange),
                "let ping pass before the client has declared itself ready",
                exchange.evidence(),
            )
        });
    }
}

/// The opening and ping work: the least that a server does.
fn implements_core(view: &View<'_>, out: &mut Findings) {
    for (request, exchange, responses) in fair_calls(view) {
        // What else may be odd about a ping — its id, members of its params, an array around it — has checks of its own.
        let params = request.value.member("params").and_then(Value::as_object);
        let plain =
            !request.batched && request.value.at("id").is_number() && params.is_none_or(serde_json::Map::is_empty);
        if request.method() != Some("ping") || !plain || !out.covers(request.revision) {
            continue;
        }
        let gone = exchange.is_message() && exchange.end == Some(End::CutShort);
        if responses.is_empty() && (unfinished(exchange) || gone || exchange.status == Some(404)) {
            out.inconclusive();
            continue;
        }
        out.require(responses.iter().any(|response| response.value.member("result").is_some()), || {
            told(
                "After initialize and notifications/initialized a ping failed.".to_owned(),
                &["an empty result"],
                came(exchange),
                "implement initialize, notifications/initialized and ping; everything else is optional",
                exchange.evidence(),
            )
        });
    }
}

/// In the modern era they come with any request.
fn modern_capabilities(view: &View<'_>, out: &mut Findings) {
    let odd = |request: &Msg| {
        let given = request.value.at("params").at("_meta").at(META_CAPABILITIES).as_object();
        given.is_some_and(|given| {
            given.keys().any(|name| {
                !CLIENT_CAPABILITIES.contains(&name.as_str()) && !matches!(name.as_str(), "extensions" | "experimental")
            })
        })
    };
    let served = |responses: &[&Msg]| responses.iter().any(|response| response.value.member("result").is_some());
    for (request, exchange, responses) in fair_calls(view).filter(|(_, exchange, _)| exchange.modern) {
        let works = || {
            fair_calls(view).any(|(other, _, responses)| {
                !odd(other)
                    && other.method() == request.method()
                    && ["name", "uri"]
                        .iter()
                        .all(|key| other.value.at("params")[*key] == request.value.at("params")[*key])
                    && served(&responses)
            })
        };
        if !odd(request) || !exchange.answered() || !(served(&responses) || works()) {
            continue;
        }
        out.require(served(&responses), || {
            told(
                format!(
                    "{} failed for a client with a capability that the server does not know.",
                    request.method().unwrap_or_default()
                ),
                &["the same result as without it"],
                came(exchange),
                "ignore unknown members of capabilities",
                exchange.evidence(),
            )
        });
    }
}

/// Capabilities of the client that the protocol does not define do not spoil the opening.
fn unknown_capabilities(view: &View<'_>, out: &mut Findings) {
    modern_capabilities(view, out);
    let opens =
        |with: bool| view.calls_to("initialize").filter(move |(request, _)| declares_unknown(&request.value) == with);
    let works = |version: &Value| {
        opens(false).any(|(request, response)| {
            *request.value.at("params").at("protocolVersion") == *version
                && response.is_some_and(|response| response.value.member("result").is_some())
        })
    };
    for (request, _) in opens(true) {
        let exchange = view.exchange_of(request);
        if !out.covers(governing(view, exchange)) || walled(exchange) || !exchange.answered() {
            continue;
        }
        let got = got_in(view, request.exchange);
        let served = got.iter().any(|msg| is_response(msg) && msg.value.member("result").is_some());
        if !served && !works(request.value.at("params").at("protocolVersion")) {
            continue;
        }
        out.require(served, || {
            told(
                "initialize failed for a client with a capability that the server does not know.".to_owned(),
                &["the same result as without it"],
                came(exchange),
                "ignore unknown members of capabilities",
                exchange.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn opened(result: &Value) -> Builder {
        let request =
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}});
        Builder::new().post(&request).json(200, &json!({"jsonrpc": "2.0", "id": 1, "result": result}))
    }

    #[test]
    fn results() {
        let none = Builder::new();
        let bare = opened(&json!({"protocolVersion": "2025-06-18", "serverInfo": {}}));
        expect_three("lifecycle.initialize-result", &start(), &bare, &none);
        expect_three("lifecycle.initialize-server-info", &start(), &bare, &none);
        let told = |text: Value| opened(&json!({"protocolVersion": "2025-06-18", "instructions": text}));
        expect_three("lifecycle.instructions-optional", &told(json!("x")), &told(json!(4)), &start());
    }

    #[test]
    fn a_refused_client_learns_which_capability_it_lacks() {
        let refused = |message: &str| {
            let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
            let error = json!({"code": -32602, "message": message});
            Builder::new().post(&hello).json(400, &json!({"jsonrpc": "2.0", "id": 1, "error": error}))
        };
        let finding = judge("lifecycle.initialize-result", &refused("Sampling is required"));
        assert!(finding.breaches[0].what.contains("`sampling`"), "{finding:?}");
        let finding = judge("lifecycle.initialize-result", &refused("Unsupported protocol version"));
        assert_eq!(finding.outcome, Outcome::NotExercised);
    }

    #[test]
    fn early() {
        let note = json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"});
        let result = json!({"protocolVersion": "2025-06-18", "capabilities": {}});
        let broken = opened(&result).request("GET", &[], None).stream().sse(None, &note).end(End::Complete);
        expect_three("lifecycle.server-early-requests", &start(), &broken, &Builder::new());
        let kept = opened(&result).call("ping", json!({}), json!({}));
        let broken = opened(&result).call_error("ping", json!({}), -32000);
        expect_three("lifecycle.early-ping-answered", &kept, &broken, &start());
        let kept = start().call("ping", json!({}), json!({}));
        expect_three("base.implements-core", &kept, &start().call_error("ping", json!({}), -32601), &start());
    }

    #[test]
    fn capabilities_of_the_client() {
        let odd = json!({"example.com/odd": {}});
        let kept = start().initialize_with("2025-06-18", "2025-06-18", odd.clone(), json!({}));
        let request = json!({"jsonrpc": "2.0", "id": 9, "method": "initialize",
            "params": {"protocolVersion": "2025-06-18", "capabilities": odd}});
        let broken = start().post(&request).answer(400, &[], "");
        expect_three("base.unknown-capabilities-tolerated", &kept, &broken, &start());
    }
}
