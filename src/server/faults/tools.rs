//! Faults of tools.

use serde_json::{Value, json};

use super::all::catalogue;
use crate::model::Members as _;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{
    drop_member, drop_result, each_entry, fail, precede_with_spares, repeat_tool, restructure, set_result, spoil_base64,
};

/// A tool that no scenario calls, so that a wrong name of it does nothing else.
const SPARE: &str = "json_schema_2020_12_tool";

pub(super) static FAULTS: &[Fault] = catalogue! {
    "tools.unknown-served" breaks ["features.tools.unknown-tool", "features.tools.name-case-sensitive"]
        Rule(Rule::UnknownToolRefused) "An unknown tool succeeds";
    "tools.unlisted-refused" breaks ["lifecycle.declared-feature-works"]
        Rule(Rule::UnlistedToolsServed) "A tool is unknown until the page with it was fetched";
    "tools.errors-as-rpc" breaks ["features.tools.execution-error", "features.tools.input-validation-is-error"]
        Rule(Rule::ToolErrorsAreResults) "Failures inside a tool are JSON-RPC errors";
    "tools.list-refused" breaks ["features.tools.list-responds-legacy", "lifecycle.declared-feature-works", "utilities.pagination.all-list-methods"]
        Outgoing(|message, context| fail(message, context, "tools/list", -32601)) "tools/list is an unknown method";
    "tools.name-twice" breaks ["features.tools.names-unique", "features.tools.names-unique-early"] Outgoing(repeat_tool) "A tool is listed twice";
    "tools.name-with-space" breaks ["features.tools.name-characters"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| if tool.at("name") == SPARE { tool["name"] = json!("json schema tool") }))
        "A tool name contains spaces";
    "tools.name-too-long" breaks ["features.tools.name-length"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| if tool.at("name") == SPARE { tool["name"] = json!("x".repeat(129)) }))
        "A tool name has 129 characters";
    "tools.name-case-ignored" breaks ["features.tools.name-case-sensitive", "features.tools.unknown-tool"]
        Rule(Rule::ToolNamesExact) "Tools are found in any case";
    "tools.renamed" breaks ["features.tools.served-after-change"]
        Rule(Rule::ToolNamesKept) "A tool gets another name while clients use it, and is refused under the one that it had";
    "tools.long-names" before "cline-vscode" breaks ["features.tools.within-reach"]
        Rule(Rule::ToolNamesShort) "A tool has a name of more than 64 letters";
    "tools.too-many" before "junie" breaks ["features.tools.within-reach"]
        Outgoing(precede_with_spares) "More than a hundred tools are listed before those that are called";
    "tools.title-number" breaks ["features.tools.title-optional", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| if tool.member("title").is_some() { tool["title"] = json!(7) }))
        "Tool titles are numbers";
    "tools.task-support-invented" breaks ["features.tools.task-support-values", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| if tool.member("execution").is_some() { tool["execution"]["taskSupport"] = json!("maybe") }))
        "taskSupport is none of the three words";
    "tools.malformed-served" breaks ["features.tools.malformed-call", "base.invalid-params"]
        Rule(Rule::MalformedCallRefused) "A call without a name, or with a list of arguments, succeeds";
    "tools.arguments-unchecked" breaks ["features.tools.validate-inputs"]
        Rule(Rule::ToolArgumentsChecked) "A missing argument counts as empty";
    "tools.schema-null" breaks ["features.tools.input-schema-not-null", "features.tools.definition-shape", "base.schema-valid", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| tool["inputSchema"] = Value::Null))
        "Input schemas are null";
    "tools.schema-missing" breaks ["features.tools.definition-shape", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| drop_member(tool, "inputSchema")))
        "Input schemas are missing";
    "tools.output-schema-array" breaks ["features.tools.output-schema-object", "features.tools.output-schema-conform", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| if tool.member("outputSchema").is_some() { tool["outputSchema"] = json!({"type": "array"}) }))
        "An output schema has type array";
    "tools.annotations-strings" breaks ["features.tools.annotation-types", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "tools/list", "tools", |tool| tool["annotations"]["readOnlyHint"] = json!("yes")))
        "Annotation hints are strings";
    "tools.content-missing" breaks ["features.tools.call-result-shape", "shape.result"]
        Outgoing(|message, context| drop_result(message, context, "tools/call", "content")) "Tool results lack content";
    "tools.content-string" breaks ["features.tools.call-result-shape", "shape.result"]
        Outgoing(|message, context| set_result(message, context, "tools/call", "content", json!("done")))
        "Tool results have a string as content";
    "tools.structured-without-text" breaks ["features.tools.structured-text-copy"]
        Outgoing(|message, context| restructure(message, context, "content", json!([]))) "Structured content has no text copy";
    "tools.structured-mismatch" breaks ["features.tools.output-schema-conform"]
        Outgoing(|message, context| {
            restructure(message, context, "content", json!([{"type": "text", "text": "{\"temperature\":\"warm\"}"}]));
            restructure(message, context, "structuredContent", json!({"temperature": "warm"}));
        })
        "Structured content does not fit its schema";
    "tools.structured-array" breaks ["features.tools.structured-object", "features.tools.output-schema-conform", "shape.result"]
        Outgoing(|message, context| restructure(message, context, "structuredContent", json!([21.5]))) "Structured content is an array";
    "tools.bytes-as-text" breaks ["features.tools.binary-base64"]
        Outgoing(|message, context| if context.method == Some("tools/call") { spoil_base64(message) }) "Image and sound data are no base64";
    "tools.changes-silent" breaks ["features.tools.list-changed", "features.prompts.list-changed", "features.resources.list-changed"]
        Rule(Rule::ChangesAnnounced) "Changes of the lists are not announced";
};
