//! The metadata that each request carries, and that each answer carries.

use std::collections::HashSet;

use serde_json::Value;

use super::asked::{is_modern, meta};
use super::flaw::{Ask, Flaw, flawed, flaws, requests, sound};
use crate::check::wire::{body_error, came, received, short, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _};
use crate::transcript::{
    META_CAPABILITIES, META_CLIENT, META_LEVEL, META_SERVER, META_SUBSCRIPTION, META_VERSION, View,
};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "base.meta-required-fields", judge: required_fields },
    Check { id: "base.meta-required-fields-http-400", judge: required_fields_status },
    Check { id: "base.meta-no-fallback-to-remembered", judge: not_remembered },
    Check { id: "base.client-info-may-be-absent", judge: client_info_optional },
    Check { id: "base.client-info-not-behavioural", judge: client_info_idle },
    Check { id: "base.server-info-in-result", judge: server_info },
    Check { id: "base.meta-trace-context-server", judge: trace_context },
    Check { id: "base.meta-reserved-no-assumption", judge: no_assumption },
];

/// Keys of `_meta` that the revision itself defines.
const KNOWN: &[&str] = &[META_VERSION, META_CAPABILITIES, META_CLIENT, META_SERVER, META_SUBSCRIPTION, META_LEVEL];

const INCOMPLETE: &[Flaw] = &[Flaw::NoVersion, Flaw::NoCapabilities];

/// The error that a refusal names, in its response or its body.
fn error_of(ask: &Ask<'_>) -> Option<i64> {
    ask.code().or_else(|| body_error(ask.exchange))
}

fn missing(ask: &Ask<'_>) -> &'static str {
    if meta(ask.request, META_VERSION).is_string() { "clientCapabilities" } else { "protocolVersion" }
}

/// A request whose metadata is incomplete is refused as one with invalid parameters.
fn required_fields(view: &View<'_>, out: &mut Findings) {
    for ask in flawed(view, INCOMPLETE) {
        // Whether a bare status says the same is the check of the status; here it is the error that counts.
        out.require(error_of(&ask) == Some(-32602), || {
            told(
                format!("{} came without io.modelcontextprotocol/{} in _meta.", ask.method(), missing(&ask)),
                &["error -32602"],
                came(ask.exchange),
                "check _meta of every request before its method is looked at; do not fill in what is missing",
                ask.evidence(),
            )
        });
    }
}

/// Over HTTP the status of that refusal is 400.
fn required_fields_status(view: &View<'_>, out: &mut Findings) {
    for ask in flawed(view, INCOMPLETE).filter(|ask| ask.over_http() && ask.is_refused()) {
        out.require(ask.exchange.status == Some(400), || {
            told(
                format!("{} was refused for its incomplete _meta, but not with status 400.", ask.method()),
                &["status 400"],
                came(ask.exchange),
                "send the error with status 400",
                ask.evidence(),
            )
        });
    }
}

/// What one request said is no answer to what the next one leaves out.
fn not_remembered(view: &View<'_>, out: &mut Findings) {
    for ask in flawed(view, INCOMPLETE) {
        let before = requests(view).any(|other| {
            other.exchange.client == ask.exchange.client
                && (other.exchange.connection == ask.exchange.connection
                    || other.exchange.line().is_some_and(|line| Some(line) == ask.exchange.line()))
                && other.request.seq < ask.request.seq
                && other.result().is_some()
        });
        if !before {
            continue;
        }
        out.require(ask.result().is_none(), || {
            told(
                format!("{} came with incomplete _meta on a connection on which it had been complete before, and was served.", ask.method()),
                &["error -32602, as for any request with incomplete _meta"],
                came(ask.exchange),
                "take version and capabilities from the request alone",
                ask.evidence(),
            )
        });
    }
}

/// The client's name is no condition of service.
fn client_info_optional(view: &View<'_>, out: &mut Findings) {
    let named = |ask: &Ask<'_>| !meta(ask.request, META_CLIENT).is_null();
    for ask in sound(view).filter(|ask| !named(ask)) {
        let works =
            sound(view).any(|other| named(&other) && other.method() == ask.method() && other.result().is_some());
        let lists = matches!(ask.method(), "server/discover" | "tools/list" | "prompts/list" | "resources/list");
        // Without its like among the named ones a refusal may have another reason.
        if ask.result().is_none() && !(works && lists) {
            continue;
        }
        out.require(ask.result().is_some(), || {
            told(
                format!("{} was refused without clientInfo, though it works with it.", ask.method()),
                &["the same service as with clientInfo, which is optional"],
                came(ask.exchange),
                "demand nothing of _meta but protocolVersion and clientCapabilities",
                ask.evidence(),
            )
        });
    }
}

/// Who the client says it is changes nothing.
fn client_info_idle(view: &View<'_>, out: &mut Findings) {
    let name = |ask: &Ask<'_>| meta(ask.request, META_CLIENT).at("name").as_str().map(str::to_owned);
    let lists: Vec<(Ask<'_>, String, Value)> = sound(view)
        .filter(|ask| matches!(ask.method(), "server/discover" | "tools/list") && ask.param("cursor").is_null())
        .filter_map(|ask| Some((ask, name(&ask)?, essence(ask.result()?)?)))
        .collect();
    for (at, (ask, name, shown)) in lists.iter().enumerate() {
        let other = lists[..at].iter().rev().find(|(other, other_name, _)| {
            other.method() == ask.method()
                && other_name != name
                && other.exchange.sent_header("authorization") == ask.exchange.sent_header("authorization")
                && meta(other.request, META_CAPABILITIES) == meta(ask.request, META_CAPABILITIES)
        });
        let Some((_, other_name, other_shown)) = other else { continue };
        // A list that changes by itself would look the same; it shows when it changes for one name, too.
        let steady = lists.iter().all(|(other, other_name, other_shown)| {
            other.method() != ask.method() || other_name != name || other_shown == shown
        });
        if !steady {
            continue;
        }
        out.require(other_shown == shown, || {
            told(
                format!("{} showed {name} something else than {other_name}.", ask.method()),
                &["the same, whatever the client calls itself"],
                came(ask.exchange),
                "decide by declared capabilities and by authorization, never by clientInfo",
                ask.evidence(),
            )
        });
    }
}

/// What a result offers: capabilities, or names of tools.
fn essence(result: &Value) -> Option<Value> {
    if let Some(tools) = result.at("tools").as_array() {
        let mut names: Vec<String> = tools.iter().map(|tool| tool.at("name").to_string()).collect();
        names.sort_unstable();
        return result.at("nextCursor").is_null().then(|| names.into());
    }
    result.member("capabilities").cloned()
}

/// Each result says which server gave it.
fn server_info(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view) {
        let Some(result) = ask.result().filter(|result| result.is_object()) else { continue };
        let info = result.at("_meta").at(META_SERVER);
        out.require(info.at("name").is_string() && info.at("version").is_string(), || {
            told(
                format!("The result of {} does not say which server gave it.", ask.method()),
                &["io.modelcontextprotocol/serverInfo in its _meta, with name and version"],
                short(&result.to_string()),
                "add serverInfo to _meta of every result in one place, where results are framed",
                ask.evidence(),
            )
        });
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether a traceparent has the form of W3C Trace Context, version 00 or a later one.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags, ..] = parts.as_slice() else { return false };
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    is_hex(version, 2)
        && *version != "ff"
        && (*version != "00" || parts.len() == 4)
        && is_hex(trace, 32)
        && !zero(trace)
        && is_hex(parent, 16)
        && !zero(parent)
        && is_hex(flags, 2)
}

/// Whether a list of `key=value` members has the form of W3C Trace State or Baggage; empty members are allowed.
fn is_pairs(text: &str) -> bool {
    text.split(',').map(str::trim).filter(|member| !member.is_empty()).all(|member| {
        let pair = member.split(';').next().unwrap_or_default();
        pair.split_once('=').is_some_and(|(key, value)| {
            !key.trim().is_empty()
                && !key.trim().contains(' ')
                && value.trim().bytes().all(|byte| (0x21..0x7f).contains(&byte) || byte == b' ')
        })
    })
}

/// Trace context in what the server sends has the forms that W3C gives it.
fn trace_context(view: &View<'_>, out: &mut Findings) {
    for (msg, ..) in received(view).filter(|(msg, ..)| is_modern(msg)) {
        let holder = if msg.kind == Kind::Response { msg.value.at("result") } else { msg.value.at("params") };
        for (key, fits) in
            [("traceparent", is_traceparent as fn(&str) -> bool), ("tracestate", is_pairs), ("baggage", is_pairs)]
        {
            let Some(value) = holder.at("_meta").member(key) else { continue };
            out.require(value.as_str().is_some_and(fits), || {
                told(
                    format!("{key} in _meta has not the form that W3C gives it."),
                    &["traceparent as 00-<32 hex>-<16 hex>-<2 hex>; tracestate and baggage as lists of key=value"],
                    short(&value.to_string()),
                    "copy the values from the tracing library as they are, or leave them out",
                    vec![msg.seq],
                )
            });
        }
    }
}

/// Values at reserved keys that are unusual but allowed are taken as they come.
fn no_assumption(view: &View<'_>, out: &mut Findings) {
    let odd = |ask: &Ask<'_>| {
        ask.request.value.at("params").at("_meta").as_object().is_some_and(|all| {
            all.keys().any(|key| {
                let known = KNOWN.contains(&key.as_str());
                key.starts_with("io.modelcontextprotocol/") && !known
            })
        })
    };
    let works: HashSet<&str> =
        sound(view).filter(|ask| !odd(ask) && ask.result().is_some()).map(|ask| ask.method()).collect();
    for ask in requests(view).filter(|ask| odd(ask) && ask.tells() && flaws(view, ask).is_empty()) {
        let lists = matches!(ask.method(), "server/discover" | "tools/list" | "prompts/list" | "resources/list");
        if ask.result().is_none() && !(lists && works.contains(ask.method())) {
            continue;
        }
        out.require(ask.result().is_some(), || {
            told(
                format!("{} was refused for a reserved key in _meta that the server does not know.", ask.method()),
                &["the same service as without the key: an extension or a later revision may define it"],
                came(ask.exchange),
                "read the keys that you know and leave the others alone",
                ask.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, META_CAPABILITIES, META_CLIENT, META_SERVER, META_VERSION};
    use serde_json::{Value, json};

    fn start() -> Builder {
        let tools = json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]});
        Builder::new().modern().discover(json!({"tools": {}})).call("tools/list", Value::Null, tools)
    }

    fn list(meta: &Value) -> Builder {
        start().probe(&[], "tools/list", json!({"_meta": meta}))
    }

    #[test]
    fn incomplete_metadata() {
        for key in [META_VERSION, META_CAPABILITIES] {
            let probe = list(&json!({key: null}));
            let kept = probe.clone().refuses(400, -32602, Value::Null);
            let served = probe.clone().serves("tools/list", json!({"tools": []}));
            expect_three("base.meta-required-fields", &kept, &served, &start());
            expect_three("base.meta-no-fallback-to-remembered", &kept, &served, &start());
            let other = probe.refuses(200, -32602, Value::Null);
            expect_three("base.meta-required-fields-http-400", &kept, &other, &start());
        }
    }

    #[test]
    fn names() {
        let probe = list(&json!({META_CLIENT: null}));
        let served = probe.clone().serves("tools/list", json!({"tools": []}));
        let refused = probe.refuses(400, -32602, Value::Null);
        expect_three("base.client-info-may-be-absent", &served, &refused, &start());
        let other = list(&json!({META_CLIENT: {"name": "other", "version": "1"}}));
        let same = json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]});
        let kept = other.clone().serves("tools/list", same);
        let broken = other.serves("tools/list", json!({"tools": []}));
        expect_three("base.client-info-not-behavioural", &kept, &broken, &start());
        let silent = Builder::new().modern();
        let bare = silent.clone().call("tools/list", Value::Null, json!({"tools": [], "_meta": {META_SERVER: null}}));
        expect_three("base.server-info-in-result", &start(), &bare, &silent);
    }

    #[test]
    fn reserved_keys() {
        let traced = |parent: &str| {
            start().call("tools/list", Value::Null, json!({"tools": [], "_meta": {"traceparent": parent}}))
        };
        let good = traced("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01");
        expect_three("base.meta-trace-context-server", &good, &traced("00-0AF7-1"), &start());
        let probe = list(&json!({"io.modelcontextprotocol/laterKey": [1, {"a": null}]}));
        let kept = probe.clone().serves("tools/list", json!({"tools": []}));
        expect_three("base.meta-reserved-no-assumption", &kept, &probe.refuses(400, -32602, Value::Null), &start());
    }
}
