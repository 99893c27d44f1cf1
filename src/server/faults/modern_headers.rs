//! Faults of the headers that mirror the body of a request.

use serde_json::{Value, json};

use super::all::catalogue;
use super::modern::{in_result, is_marked, recode_body, refuse_if};
use crate::model::Members as _;
use crate::server::fault::{AskedOf, Fault, How, ModernCtx, Rule};

/// The header of the first mirrored argument.
const REGION: &str = "mcp-param-region";

/// Sets the header of an argument to what the body says.
fn mirror_region(ask: &mut AskedOf<'_>) {
    if let Some(region) = ask.param("arguments").at("region").as_str().map(str::to_owned) {
        ask.set_header(REGION, &region);
    }
}

fn is_base64(marked: &str) -> bool {
    use base64::Engine as _;
    let inside = marked.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    inside.is_some_and(|inside| base64::engine::general_purpose::STANDARD.decode(inside).is_ok())
}

/// Lets `change` have the properties of a tool that no scenario calls: its clients leave out a tool that is annotated badly.
fn annotate(message: &mut Value, context: &ModernCtx<'_>, change: impl Fn(&mut Value)) {
    in_result(message, context, "tools/list", |result| {
        let tools = result.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten();
        for tool in tools.filter(|tool| tool.at("name") == "greet") {
            change(&mut tool["inputSchema"]["properties"]);
        }
    });
}

pub(super) static FAULTS: &[Fault] = catalogue! {
    "mirror.method-unneeded" breaks ["patterns.headers.method-required"]
        Asked(|ask| {
            if ask.header("mcp-method").is_none() {
                let method = ask.method().to_owned();
                ask.set_header("mcp-method", &method);
            }
            None
        }) "A request without Mcp-Method is served";
    "mirror.method-unchecked" breaks ["patterns.headers.method-match"]
        Asked(|ask| {
            if ask.header("mcp-method").is_some() {
                let method = ask.method().to_owned();
                ask.set_header("mcp-method", &method);
            }
            None
        }) "Mcp-Method may say another method than the body";
    "mirror.method-obeyed" breaks ["patterns.headers.body-is-truth", "patterns.headers.method-match", "shape.result"]
        Asked(|ask| {
            if let Some(method) = ask.header("mcp-method").filter(|said| said.ends_with("/list")).map(str::to_owned) {
                ask.value["method"] = json!(method);
            }
            None
        }) "What Mcp-Method says is done, whatever the body says";
    "mirror.name-unneeded" breaks ["patterns.headers.name-required"]
        Asked(|ask| {
            if ask.headers.as_ref().is_some_and(|headers| !headers.contains_key("mcp-name")) {
                ask.mirror_name();
            }
            None
        }) "A call without Mcp-Name is served";
    "mirror.name-unchecked" breaks ["patterns.headers.name-match", "patterns.tasks-ext.name-header-checked"]
        Asked(|ask| {
            if ask.header("mcp-name").is_some_and(|said| !said.starts_with("=?")) {
                ask.mirror_name();
            }
            None
        }) "Mcp-Name may say another name than the body";
    "mirror.encoded-name-unchecked" breaks ["patterns.headers.name-base64-mismatch"]
        Asked(|ask| {
            if ask.header("mcp-name").is_some_and(is_base64) {
                ask.mirror_name();
            }
            None
        }) "An encoded Mcp-Name may stand for another name than the body has";
    "mirror.encoded-name-refused" breaks ["patterns.headers.name-base64-decoded"]
        Asked(|ask| refuse_if(ask.header("mcp-name").is_some_and(is_marked), 400, -32020))
        "Mcp-Name is compared before it is decoded";
    "mirror.markers-any-case" breaks ["patterns.headers.sentinel-case-sensitive"]
        Asked(|ask| {
            if ask.header("mcp-name").is_some_and(|said| said.starts_with("=?BASE64?")) {
                ask.mirror_name();
            }
            None
        }) "The marks of an encoded name count in any letters";
    "mirror.broken-name-taken" breaks ["patterns.headers.invalid-base64"]
        Asked(|ask| {
            if ask.header("mcp-name").is_some_and(|said| is_marked(said) && !is_base64(said)) {
                ask.mirror_name();
            }
            None
        }) "An encoded name that is no base64 is not looked at";
    "mirror.unclean-name-taken" breaks ["patterns.headers.invalid-characters"]
        Asked(|ask| {
            let unclean = ask.headers.as_ref().and_then(|headers| headers.get("mcp-name")?.to_str().err()).is_some();
            if unclean {
                ask.mirror_name();
            }
            None
        }) "Characters that no header may have are taken";
    "mirror.blanks-kept" breaks ["patterns.headers.whitespace-trimmed"]
        Rule(Rule::HeaderBlanksTrimmed) "Blanks before Mcp-Name are taken for a part of it";
    "mirror.mismatch-code" breaks ["patterns.headers.mismatch-body", "transport.http.version-header-match", "patterns.tasks-ext.name-header-checked"]
        Head(|reply, ask| recode_body(reply, ask, "-32020", "-32602")) "Headers that differ are refused as invalid params";
    "mirror.param-unneeded" breaks ["patterns.headers.param-declared-mirrored"]
        Asked(|ask| {
            if ask.headers.as_ref().is_some_and(|headers| !headers.contains_key(REGION)) {
                mirror_region(ask);
            }
            None
        }) "A mirrored argument may lack its header";
    "mirror.param-unchecked" breaks ["patterns.headers.param-match"]
        Asked(|ask| {
            if ask.header(REGION).is_some_and(|said| !is_marked(said)) {
                mirror_region(ask);
            }
            None
        }) "The header of an argument may say something else";
    "mirror.unclean-param-taken" breaks ["patterns.headers.param-invalid-characters"]
        Asked(|ask| {
            if ask.headers.as_ref().and_then(|headers| headers.get(REGION)?.to_str().err()).is_some() {
                mirror_region(ask);
            }
            None
        }) "Characters that no header may have are taken in the header of an argument";
    "mirror.broken-param-taken" breaks ["patterns.headers.param-match"]
        Asked(|ask| {
            if ask.header(REGION).is_some_and(|said| is_marked(said) && !is_base64(said)) {
                mirror_region(ask);
            }
            None
        }) "The header of an argument is not looked at where it is no base64";
    "mirror.absent-param-demanded" breaks ["patterns.headers.param-absent-ok"]
        Asked(|ask| refuse_if(ask.calls("test_header_params") && ask.header("mcp-param-count").is_none() && ask.header(REGION) == Some("eu-west") && ask.header("mcp-param-nobody").is_none(), 400, -32020))
        "The header of an argument is demanded although the argument is absent";
    "mirror.encoded-param-refused" breaks ["patterns.headers.param-base64"]
        Asked(|ask| refuse_if(["mcp-param-city", REGION].iter().any(|name| ask.header(name).is_some_and(is_base64)), 400, -32020))
        "The headers of arguments are compared before they are decoded";
    "mirror.numbers-as-text" breaks ["patterns.headers.param-integer-numeric"]
        Asked(|ask| refuse_if(ask.header("mcp-param-count").is_some_and(|said| said.contains('.')), 400, -32020))
        "Numbers in headers are compared as text";
    "mirror.unknown-param-refused" breaks ["patterns.headers.param-unrecognised-ignored"]
        Asked(|ask| refuse_if(ask.header("mcp-param-nobody").is_some(), 400, -32020))
        "Headers of arguments that no tool has are refused";
    "mirror.annotation-empty" breaks ["patterns.headers.def-not-empty"]
        Modern(|message, context| annotate(message, context, |properties| properties["tenant"] = json!({"type": "string", "x-mcp-header": ""}))) "An argument is mirrored under an empty name";
    "mirror.annotation-no-token" breaks ["patterns.headers.def-token"]
        Modern(|message, context| annotate(message, context, |properties| properties["tenant"] = json!({"type": "string", "x-mcp-header": "My Tenant"}))) "An argument is mirrored under a name with a blank";
    "mirror.annotation-twice" breaks ["patterns.headers.def-unique"]
        Modern(|message, context| annotate(message, context, |properties| {
            properties["tenant"] = json!({"type": "string", "x-mcp-header": "TENANT"});
            properties["name"] = json!({"type": "string", "x-mcp-header": "Tenant"});
        })) "Two arguments are mirrored under one name";
    "mirror.annotation-of-number" breaks ["patterns.headers.def-primitive"]
        Modern(|message, context| annotate(message, context, |properties| properties["weight"] = json!({"type": "number", "x-mcp-header": "Weight"}))) "A fraction is mirrored";
    "mirror.annotation-beyond-range" breaks ["patterns.headers.def-integer-range"]
        Modern(|message, context| annotate(message, context, |properties| properties["count"] = json!({"type": "integer", "maximum": 9_100_000_000_000_000_u64, "x-mcp-header": "Count"}))) "An integer is mirrored that not every client can write";
    "mirror.annotation-in-items" breaks ["patterns.headers.def-reachable"]
        Modern(|message, context| annotate(message, context, |properties| properties["tags"] = json!({"type": "array", "items": {"type": "string", "x-mcp-header": "Tag"}}))) "What is inside of a list is mirrored";
    "mirror.annotation-of-secret" breaks ["features.tools.x-mcp-header-sensitive"]
        Modern(|message, context| annotate(message, context, |properties| properties["api_key"] = json!({"type": "string", "x-mcp-header": "Api-Key"}))) "A key is mirrored into a header";
};
