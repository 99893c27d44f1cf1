//! The headers that mirror a request: a server that reads the body compares them.

use super::flaw::{Ask, Flaw, flawed, requests, sound};
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Via;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.headers.method-required", judge: method_required },
    Check { id: "patterns.headers.method-match", judge: method_match },
    Check { id: "patterns.headers.name-required", judge: name_required },
    Check { id: "patterns.headers.name-match", judge: name_match },
    Check { id: "patterns.headers.mismatch-body", judge: mismatch_body },
    Check { id: "patterns.headers.name-base64-decoded", judge: base64_decoded },
    Check { id: "patterns.headers.name-base64-mismatch", judge: base64_mismatch },
    Check { id: "patterns.headers.sentinel-case-sensitive", judge: markers },
    Check { id: "patterns.headers.invalid-base64", judge: invalid_base64 },
    Check { id: "patterns.headers.invalid-characters", judge: invalid_characters },
    Check { id: "patterns.headers.names-case-insensitive", judge: any_case },
    Check { id: "patterns.headers.whitespace-trimmed", judge: trimmed },
    Check { id: "patterns.headers.body-is-truth", judge: body_is_truth },
];

/// Each request with this flaw alone is rejected with status 400. The code is a check of its own.
fn rejected(view: &View<'_>, out: &mut Findings, flaw: &'static [Flaw], what: &str, fix: &str) {
    for ask in flawed(view, flaw).filter(Ask::over_http) {
        out.require(ask.exchange.status == Some(400), || {
            let how = if ask.is_refused() { "refused it in another way" } else { "served it" };
            told(
                format!("{} {what}, and the server {how}.", ask.method()),
                &["status 400 with error -32020"],
                came(ask.exchange),
                fix,
                ask.evidence(),
            )
        });
    }
}

fn method_required(view: &View<'_>, out: &mut Findings) {
    let fix = "demand Mcp-Method on every request, and answer 400 with -32020 without it";
    rejected(view, out, &[Flaw::MethodMissing], "came without the header Mcp-Method", fix);
}

fn method_match(view: &View<'_>, out: &mut Findings) {
    let fix = "compare Mcp-Method with the method of the body, letter by letter, before dispatch";
    rejected(view, out, &[Flaw::MethodDiffers], "came with another method in Mcp-Method", fix);
}

fn name_required(view: &View<'_>, out: &mut Findings) {
    let fix = "demand Mcp-Name on tools/call, prompts/get and resources/read";
    rejected(view, out, &[Flaw::NameMissing], "came without the header Mcp-Name", fix);
}

fn name_match(view: &View<'_>, out: &mut Findings) {
    let fix = "compare Mcp-Name with the name or uri of the body before the work begins";
    rejected(view, out, &[Flaw::NameDiffers], "came with another name in Mcp-Name", fix);
}

fn base64_mismatch(view: &View<'_>, out: &mut Findings) {
    let fix = "decode Mcp-Name, then compare";
    rejected(view, out, &[Flaw::EncodedNameDiffers], "came with an Mcp-Name that decodes to another name", fix);
}

fn markers(view: &View<'_>, out: &mut Findings) {
    let fix = "take a value for encoded only between =?base64? and ?= in exactly these letters";
    rejected(view, out, &[Flaw::NameMarkers], "came with an Mcp-Name whose markers are not in lower case", fix);
}

fn invalid_base64(view: &View<'_>, out: &mut Findings) {
    let fix = "refuse an encoded header that does not decode";
    rejected(view, out, &[Flaw::NameBroken], "came with an encoded Mcp-Name that is no base64", fix);
}

fn invalid_characters(view: &View<'_>, out: &mut Findings) {
    let fix = "refuse header values with anything but visible ASCII, space and tab";
    rejected(view, out, &[Flaw::Unclean], "came with characters in Mcp-Name that no header may have", fix);
}

const HEADER_FLAWS: &[Flaw] = &[
    Flaw::VersionHeaderDiffers,
    Flaw::MethodMissing,
    Flaw::MethodDiffers,
    Flaw::NameMissing,
    Flaw::NameDiffers,
    Flaw::EncodedNameDiffers,
    Flaw::NameMarkers,
    Flaw::NameBroken,
    Flaw::ParamMissing,
    Flaw::ParamDiffers,
];

/// A rejection for a header says so with the code that exists for it.
fn mismatch_body(view: &View<'_>, out: &mut Findings) {
    for ask in flawed(view, HEADER_FLAWS).filter(|ask| ask.over_http() && ask.is_refused()) {
        // Without a version it may have been taken for a request of an older client.
        if ask.exchange.sent_header("mcp-protocol-version").is_none() {
            continue;
        }
        let code = crate::check::wire::body_error(ask.exchange).or(ask.code());
        out.require(code == Some(-32020), || {
            told(
                format!("{} was refused for its headers, but not with the error for that.", ask.method()),
                &["a JSON-RPC error with code -32020 in the body"],
                came(ask.exchange),
                "answer every rejection of a header with a JSON-RPC error of code -32020, so that clients can tell it from \
                 an older server",
                ask.evidence(),
            )
        });
    }
}

/// What is right apart from its spelling is served as in plain spelling.
fn tolerated(view: &View<'_>, out: &mut Findings, odd: fn(&Ask<'_>) -> bool, what: &str, fix: &str) {
    for ask in sound(view).filter(|ask| ask.over_http() && odd(ask)) {
        let refused = crate::check::wire::body_error(ask.exchange).or(ask.code()) == Some(-32020)
            || (ask.exchange.status == Some(400) && ask.response.is_none());
        out.require(!refused, || {
            told(
                format!("{} {what}, and the server took its headers for wrong.", ask.method()),
                &["the same answer as in the usual spelling"],
                came(ask.exchange),
                fix,
                ask.evidence(),
            )
        });
    }
}

fn base64_decoded(view: &View<'_>, out: &mut Findings) {
    let odd = |ask: &Ask<'_>| ask.exchange.sent_header("mcp-name").is_some_and(super::asked::is_encoded);
    tolerated(view, out, odd, "came with its name encoded in Mcp-Name", "decode Mcp-Name before comparing it");
}

fn any_case(view: &View<'_>, out: &mut Findings) {
    let odd = |ask: &Ask<'_>| {
        // What nobody would write unless to see whether the spelling matters.
        let odd = |name: &str| {
            let known = ["Mcp-Method", "Mcp-Name", "MCP-Protocol-Version"];
            let usual = known.iter().find(|known| known.eq_ignore_ascii_case(name));
            usual.is_some_and(|usual| name != *usual && name != usual.to_ascii_lowercase())
        };
        ask.exchange.headers.iter().any(|(name, _)| odd(name))
    };
    tolerated(view, out, odd, "spelled its header names in other letters", "look headers up without regard to case");
}

fn trimmed(view: &View<'_>, out: &mut Findings) {
    let odd = |ask: &Ask<'_>| {
        ["mcp-method", "mcp-name", "mcp-protocol-version"]
            .iter()
            .any(|name| ask.exchange.sent_header(name).is_some_and(|value| value.trim_matches([' ', '\t']) != value))
    };
    tolerated(view, out, odd, "had blanks around a header value", "trim blanks and tabs around header values");
}

/// What is executed is what the body says, never what a header says.
fn body_is_truth(view: &View<'_>, out: &mut Findings) {
    for ask in requests(view).filter(|ask| ask.exchange.via == Via::StreamableHttp) {
        let header = ask.exchange.sent_header("mcp-method").unwrap_or_default().trim();
        let lists = ["tools", "prompts", "resources"];
        let listed = |method: &str| lists.into_iter().find(|name| method == format!("{name}/list"));
        let (Some(body), Some(header)) = (listed(ask.method()), listed(header)) else { continue };
        if body == header || !ask.tells() {
            continue;
        }
        let followed = ask.result().is_some_and(|result| result.get(body).is_none() && result.get(header).is_some());
        out.require(!followed, || {
            told(
                format!("The body asked for {}, and the server did what the header Mcp-Method said.", ask.method()),
                &["error -32020 with status 400", "what the body asks for"],
                came(ask.exchange),
                "dispatch by the body; the headers are for those who cannot read it",
                ask.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn start() -> Builder {
        let tools = json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]});
        Builder::new().modern().discover(json!({"tools": {}, "prompts": {}, "resources": {}})).call(
            "tools/list",
            Value::Null,
            tools,
        )
    }

    fn called(headers: &[(&str, &str)]) -> Builder {
        start().probe(headers, "tools/call", json!({"name": "echo", "arguments": {}}))
    }

    fn refused(probe: Builder) -> Builder {
        probe.refuses(400, -32020, Value::Null)
    }

    fn served(probe: Builder) -> Builder {
        probe.serves("tools/call", json!({"content": []}))
    }

    #[test]
    fn headers_that_are_wrong_are_refused() {
        let table: [(&str, &[(&str, &str)]); 7] = [
            ("patterns.headers.method-required", &[("mcp-method", "")]),
            ("patterns.headers.method-match", &[("mcp-method", "TOOLS/CALL")]),
            ("patterns.headers.name-required", &[("mcp-name", "")]),
            ("patterns.headers.name-match", &[("mcp-name", "other")]),
            ("patterns.headers.name-base64-mismatch", &[("mcp-name", "=?base64?b3RoZXI=?=")]),
            ("patterns.headers.sentinel-case-sensitive", &[("mcp-name", "=?BASE64?ZWNobw==?=")]),
            ("patterns.headers.invalid-base64", &[("mcp-name", "=?base64?%%%?=")]),
        ];
        for (id, headers) in table {
            expect_three(id, &refused(called(headers)), &served(called(headers)), &start());
            let other = called(headers).refuses(400, -32602, Value::Null);
            expect_three("patterns.headers.mismatch-body", &refused(called(headers)), &other, &start());
        }
        let odd = [("mcp-name", "ech\u{7f}")];
        expect_three("patterns.headers.invalid-characters", &refused(called(&odd)), &served(called(&odd)), &start());
    }

    #[test]
    fn headers_that_are_right_in_another_spelling_are_taken() {
        let table: [(&str, &[(&str, &str)]); 3] = [
            ("patterns.headers.name-base64-decoded", &[("mcp-name", "=?base64?ZWNobw==?=")]),
            ("patterns.headers.names-case-insensitive", &[("MCP-METHOD", "tools/call")]),
            ("patterns.headers.whitespace-trimmed", &[("mcp-name", " echo ")]),
        ];
        for (id, headers) in table {
            expect_three(id, &served(called(headers)), &refused(called(headers)), &Builder::new().modern());
        }
    }

    #[test]
    fn the_body_decides() {
        let probe = start().probe(&[("mcp-method", "prompts/list")], "tools/list", Value::Null);
        let followed = probe.clone().serves("prompts/list", json!({"prompts": []}));
        expect_three("patterns.headers.body-is-truth", &refused(probe), &followed, &start());
    }
}
