//! Error codes: which exist, what they mean, and which are gone.

use super::asked::{MISMATCH, MISSING_CAPABILITY, UNSUPPORTED, has_meta, is_modern};
use super::flaw::{Ask, Flaw, flaws, requests};
use crate::check::wire::{body_error, came, told};
use crate::check::{Check, Findings};
use crate::model::{Kind, Members as _};
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "base.error-reserved-range", judge: reserved_range },
    Check { id: "base.error-defined-meaning", judge: defined_meaning },
    Check { id: "base.error-no-32002", judge: no_32002 },
    Check { id: "base.error-no-32042", judge: no_32042 },
    Check { id: "base.app-error-codes", judge: app_codes },
    Check { id: "base.error-avoid-legacy-range", judge: legacy_range },
];

/// Every error of the server in the modern era, with its code.
fn errors<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Msg, i64)> {
    let all = if view.is_modern() { view.messages.as_slice() } else { &[] };
    all.iter()
        .filter(|msg| msg.received() && msg.kind == Kind::Response && is_modern(msg))
        .filter_map(|msg| Some((msg, msg.message().error_code()?)))
}

fn each(view: &View<'_>, out: &mut Findings, wrong: fn(i64) -> bool, what: &str, expected: &str, fix: &str) {
    for (msg, code) in errors(view) {
        out.require(!wrong(code), || {
            told(
                format!("The server answered error {code}{what}"),
                &[expected],
                came(view.exchange_of(msg)),
                fix,
                vec![view.exchange_of(msg).seq, msg.seq],
            )
        });
    }
}

/// Codes that the specification keeps for itself and has not given out are not used.
fn reserved_range(view: &View<'_>, out: &mut Findings) {
    each(
        view,
        out,
        |code| (-32099..=-32023).contains(&code),
        ", which the specification keeps for later use.",
        "-32020, -32021, -32022, a standard code, or a code outside of -32768 to -32000",
        "give errors of the application a code outside of the reserved range",
    );
}

/// The code for a missing resource of earlier revisions is gone.
fn no_32002(view: &View<'_>, out: &mut Findings) {
    each(
        view,
        out,
        |code| code == -32002,
        ", which this revision no longer has.",
        "-32602",
        "answer -32602 to a resource that does not exist",
    );
}

/// The code that asked for a URL is gone.
fn no_32042(view: &View<'_>, out: &mut Findings) {
    each(
        view,
        out,
        |code| code == -32042,
        ", which this revision no longer has.",
        "a result of type input_required with an elicitation in it",
        "ask for input in the result instead of by an error",
    );
}

/// Errors of the application lie outside of what JSON-RPC reserves.
fn app_codes(view: &View<'_>, out: &mut Findings) {
    each(
        view,
        out,
        |code| {
            let standard = matches!(code, -32700 | -32603..=-32600);
            // What lies in the ranges of the protocol has checks of its own.
            !standard && (-32768..=-32100).contains(&code)
        },
        ", which lies in the range that JSON-RPC reserves.",
        "a standard code, or one outside of -32768 to -32000",
        "give errors of the application codes of their own, such as positive ones",
    );
}

/// The range of older inventions is left alone.
fn legacy_range(view: &View<'_>, out: &mut Findings) {
    each(
        view,
        out,
        |code| (-32019..=-32000).contains(&code) && code != -32002,
        " from a range in which codes have no fixed meaning.",
        "a standard code, or one outside of -32768 to -32000",
        "use -32602, -32603 or a code of the application",
    );
}

/// The three codes of the protocol mean what they are defined to mean.
fn defined_meaning(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view) {
        let Some(code) = ask.code().or_else(|| body_error(ask.exchange)) else { continue };
        let found = flaws(view, &ask);
        let header = |flaw: &Flaw| {
            !matches!(flaw, Flaw::NoVersion | Flaw::NoCapabilities | Flaw::Unsupported | Flaw::OldVersion | Flaw::Level)
        };
        let right = match code {
            // A tool whose definition was never shown may mirror what nobody can know of.
            MISMATCH => {
                let unknown = ask.method() == "tools/call" && super::asked::tool_of(view, ask.request).is_none();
                (ask.over_http() && (found.iter().any(header) || unknown || params_sent(&ask)))
                    || !has_meta(ask.request)
            }
            MISSING_CAPABILITY => has_meta(ask.request) && lacks_what_is_named(&ask),
            UNSUPPORTED => found.iter().any(|flaw| matches!(flaw, Flaw::Unsupported | Flaw::OldVersion)),
            _ => continue,
        };
        out.require(right, || {
            let meaning = match code {
                MISMATCH => "a header that is missing or differs from the body, and there was none",
                MISSING_CAPABILITY => {
                    "a client capability that is needed and was not declared, and none is named that the client lacks"
                }
                _ => "a version that the server does not implement, and the version was one of its own",
            };
            told(
                format!("{} was answered with error {code}, which means {meaning}.", ask.method()),
                &["-32602, -32603 or a code of the application, as the case may be"],
                came(ask.exchange),
                "use -32020, -32021 and -32022 for what they are defined for and nothing else",
                ask.evidence(),
            )
        });
    }
}

fn params_sent(ask: &Ask<'_>) -> bool {
    ask.exchange.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("mcp-param-"))
}

/// Whether the error names a capability that the request did not declare; an error that names none is judged elsewhere.
fn lacks_what_is_named(ask: &Ask<'_>) -> bool {
    let data = &ask.response.or(Some(ask.request)).unwrap_or(ask.request).value.at("error").at("data");
    let Some(needed) = data.at("requiredCapabilities").as_object().filter(|needed| !needed.is_empty()) else {
        return true;
    };
    let lacks = |path: &[&str]| super::asked::declares(&ask.request.value, path) != Some(true);
    needed.iter().any(|(name, inner)| {
        lacks(&[name.as_str()])
            || inner.as_object().is_some_and(|inner| inner.keys().any(|key| lacks(&[name.as_str(), key.as_str()])))
    })
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, META_VERSION};
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().modern().discover(json!({"tools": {}}))
    }

    fn refused(code: i64) -> Builder {
        start().call_error("tools/call", json!({"name": "x"}), code)
    }

    #[test]
    fn ranges() {
        let table = [
            ("base.error-reserved-range", -32050),
            ("base.error-no-32002", -32002),
            ("base.error-no-32042", -32042),
            ("base.app-error-codes", -32500),
            ("base.error-avoid-legacy-range", -32001),
        ];
        for (id, code) in table {
            expect_three(id, &refused(-32602), &refused(code), &start());
        }
    }

    #[test]
    fn meanings() {
        let id = "base.error-defined-meaning";
        let listed = start().call("tools/list", Value::Null, json!({"tools": [{"name": "x", "inputSchema": {}}]}));
        let probe = listed.probe(&[("mcp-method", "")], "tools/call", json!({"name": "x"}));
        let kept = probe.refuses(400, -32020, Value::Null);
        expect_three(id, &kept, &kept.clone().call_error("tools/list", json!({}), -32020), &start());
        let lacking = json!({"requiredCapabilities": {"elicitation": {"url": {}}}});
        let kept = start().probe(&[], "tools/call", json!({"name": "x"})).refuses(400, -32021, lacking);
        let declared = json!({"requiredCapabilities": {"sampling": {}}});
        let broken = start().probe(&[], "tools/call", json!({"name": "x"})).refuses(400, -32021, declared);
        expect_three(id, &kept, &broken, &start());
        let odd = json!({"_meta": {META_VERSION: "v999"}});
        let kept =
            start().probe(&[("mcp-protocol-version", "v999")], "tools/list", odd).refuses(400, -32022, Value::Null);
        let broken = start().probe(&[], "tools/list", json!({})).refuses(400, -32022, Value::Null);
        expect_three(id, &kept, &broken, &start());
    }
}
