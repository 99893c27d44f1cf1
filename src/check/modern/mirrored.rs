//! Arguments that are mirrored in `Mcp-Param-*` headers.

use serde_json::Value;

use super::asked::{Held, argument, as_header, held, is_encoded, mirrored, tool_of};
use super::flaw::{Ask, Flaw, flawed, sound_to};
use crate::check::wire::{body_error, came, told};
use crate::check::{Check, Findings};
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.headers.param-declared-mirrored", judge: missing },
    Check { id: "patterns.headers.param-match", judge: differs },
    Check { id: "patterns.headers.param-invalid-characters", judge: unclean },
    Check { id: "patterns.headers.param-absent-ok", judge: absent },
    Check { id: "patterns.headers.param-base64", judge: encoded },
    Check { id: "patterns.headers.param-integer-numeric", judge: numeric },
    Check { id: "patterns.headers.param-unrecognised-ignored", judge: unknown },
];

fn rejected(view: &View<'_>, out: &mut Findings, flaw: &'static [Flaw], what: &str, fix: &str) {
    for ask in flawed(view, flaw).filter(Ask::over_http) {
        out.require(ask.exchange.status == Some(400), || {
            told(
                format!("A call of {} {what}, and was not refused with status 400.", ask.param("name")),
                &["status 400 with error -32020, before the tool runs"],
                came(ask.exchange),
                fix,
                ask.evidence(),
            )
        });
    }
}

fn missing(view: &View<'_>, out: &mut Findings) {
    let fix = "demand the header of every mirrored argument that the call has";
    rejected(view, out, &[Flaw::ParamMissing], "has an argument whose header is missing", fix);
}

fn differs(view: &View<'_>, out: &mut Findings) {
    let fix = "compare each Mcp-Param header, decoded, with the argument in the body";
    rejected(view, out, &[Flaw::ParamDiffers], "has a header that differs from its argument", fix);
}

fn unclean(view: &View<'_>, out: &mut Findings) {
    let fix = "refuse header values with anything but visible ASCII, space and tab";
    rejected(view, out, &[Flaw::ParamUnclean], "has characters in a header that no header may have", fix);
}

/// Whether a call was refused for its headers.
fn is_mismatch(ask: &Ask<'_>) -> bool {
    ask.code().or_else(|| body_error(ask.exchange)) == Some(-32020)
        || (ask.exchange.status == Some(400) && ask.response.is_none())
}

fn tolerated(view: &View<'_>, out: &mut Findings, odd: fn(&View<'_>, &Ask<'_>) -> bool, what: &str, fix: &str) {
    for ask in sound_to(view, "tools/call").filter(|ask| ask.over_http() && odd(view, ask)) {
        out.require(!is_mismatch(&ask), || {
            told(
                format!("A call of {} {what}, and the server took its headers for wrong.", ask.param("name")),
                &["the same service as for any right call"],
                came(ask.exchange),
                fix,
                ask.evidence(),
            )
        });
    }
}

/// What is not among the arguments, or is null, has no header.
fn absent(view: &View<'_>, out: &mut Findings) {
    let odd = |view: &View<'_>, ask: &Ask<'_>| {
        tool_of(view, ask.request)
            .is_some_and(|tool| mirrored(tool).iter().any(|param| argument(ask.request, &param.path).is_null()))
            // What is there in another spelling is for others to judge.
            && held_by(view, ask).iter().all(|(header, value)| as_header(value).is_some_and(|usual| usual == *header))
            && !has_unknown(view, ask)
    };
    tolerated(
        view,
        out,
        odd,
        "has no value for a mirrored argument, and no header",
        "expect a header only with a value",
    );
}

/// The headers of the mirrored arguments of a call, with the arguments.
fn held_by<'v>(view: &'v View<'_>, ask: &Ask<'v>) -> Vec<(&'v str, &'v Value)> {
    let Some(tool) = tool_of(view, ask.request) else { return Vec::new() };
    let pair = |param: &super::asked::Mirrored| {
        Some((ask.exchange.sent_header(&param.header)?, argument(ask.request, &param.path)))
    };
    mirrored(tool).iter().filter_map(pair).collect()
}

/// The encoded form is decoded first.
fn encoded(view: &View<'_>, out: &mut Findings) {
    let odd = |view: &View<'_>, ask: &Ask<'_>| held_by(view, ask).iter().any(|(header, _)| is_encoded(header));
    tolerated(view, out, odd, "has an argument encoded in its header", "decode a header before comparing it");
}

/// Integers are the same number whatever they are written like.
fn numeric(view: &View<'_>, out: &mut Findings) {
    let odd = |view: &View<'_>, ask: &Ask<'_>| {
        held_by(view, ask)
            .into_iter()
            .any(|(header, value)| value.is_i64() && held(header) != Held::Text(as_header(value).unwrap_or_default()))
    };
    tolerated(
        view,
        out,
        odd,
        "has a number in its header that is written in another way",
        "compare integers as numbers",
    );
}

/// Whether there is a header for what the tool does not mirror.
fn has_unknown(view: &View<'_>, ask: &Ask<'_>) -> bool {
    let Some(tool) = tool_of(view, ask.request) else { return false };
    let known = mirrored(tool);
    ask.exchange.headers.iter().any(|(name, _)| {
        let name = name.to_ascii_lowercase();
        name.starts_with("mcp-param-") && !known.iter().any(|param| param.header == name)
    })
}

/// A header for an argument that the tool does not mirror is nobody's business.
fn unknown(view: &View<'_>, out: &mut Findings) {
    tolerated(
        view,
        out,
        has_unknown,
        "has a header for what the tool does not mirror",
        "ignore Mcp-Param headers that no tool defines",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::json;

    type Headers<'h> = &'h [(&'h str, &'h str)];

    fn shown(schema: &Value) -> Builder {
        let tools = json!({"tools": [{"name": "sql", "inputSchema": schema}]});
        Builder::new().modern().discover(json!({"tools": {}})).call("tools/list", Value::Null, tools)
    }

    fn start() -> Builder {
        shown(&json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"}, "count": {"type": "integer", "x-mcp-header": "Count"}}}))
    }

    fn called(headers: &[(&str, &str)], arguments: &Value) -> Builder {
        start().probe(headers, "tools/call", json!({"name": "sql", "arguments": arguments}))
    }

    fn refused(probe: Builder) -> Builder {
        probe.refuses(400, -32020, Value::Null)
    }

    fn served(probe: Builder) -> Builder {
        probe.serves("tools/call", json!({"content": []}))
    }

    #[test]
    fn wrong_headers() {
        let table: [(&str, &[(&str, &str)]); 3] = [
            ("patterns.headers.param-declared-mirrored", &[]),
            ("patterns.headers.param-match", &[("mcp-param-region", "eu")]),
            ("patterns.headers.param-invalid-characters", &[("mcp-param-region", "us\u{1}")]),
        ];
        for (id, headers) in table {
            let probe = || called(headers, &json!({"region": "us"}));
            expect_three(id, &refused(probe()), &served(probe()), &start());
        }
    }

    #[test]
    fn right_headers() {
        let table: [(&str, Headers<'_>, Value); 4] = [
            ("patterns.headers.param-absent-ok", &[], json!({})),
            ("patterns.headers.param-base64", &[("mcp-param-region", "=?base64?w7w=?=")], json!({"region": "ü"})),
            ("patterns.headers.param-integer-numeric", &[("mcp-param-count", "42.0")], json!({"count": 42})),
            ("patterns.headers.param-unrecognised-ignored", &[("mcp-param-other", "1")], json!({})),
        ];
        for (id, headers, arguments) in table {
            let probe = || called(headers, &arguments);
            expect_three(id, &served(probe()), &refused(probe()), &start());
        }
    }
}
