//! The catalogue of the fixture tools and the forms they elicit with: data only.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::modern::{Need, fixtures};
use super::tools::PNG;
use crate::model::Revision;

/// A row of the catalogue.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a tool, not a state")]
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(super) description: &'static str,
    /// The first revision that has what the tool shows.
    pub(crate) since: Revision,
    /// The last one.
    pub(super) last: Revision,
    /// It may speak, or ask, before its result.
    pub(crate) streams: bool,
    /// It may speak before its result, also where all questions are results.
    pub(crate) speaks: bool,
    /// It changes nothing.
    pub(crate) read_only: bool,
    /// What it needs of the client before it begins, where every request declares that.
    pub(crate) needs: &'static [Need],
    /// It lets the client keep a state from its first question on.
    pub(crate) sealed: bool,
    pub(super) input: fn() -> Value,
    pub(super) output: Option<fn() -> Value>,
    /// It has a picture, and a key of the server's own in `_meta`.
    pub(super) adorned: bool,
}

/// A tool that only returns something.
pub(crate) const PLAIN: Tool = Tool {
    name: "",
    description: "",
    since: Revision::V2024_11_05,
    last: Revision::V2026_07_28,
    streams: false,
    speaks: false,
    read_only: true,
    needs: &[],
    sealed: false,
    input: nothing,
    output: None,
    adorned: false,
};

const ASKS: Tool = Tool { streams: true, ..PLAIN };
const STREAMS: Tool = Tool { speaks: true, ..ASKS };
const ELICITS: Tool = Tool { since: Revision::V2025_06_18, ..ASKS };
const CHANGES: Tool = Tool { read_only: false, ..PLAIN };

/// The tools that the handshake era has, in the order they are listed; the first takes no arguments.
static TOOLS: &[Tool] = &[
    Tool { name: "test_simple_text", description: "Returns a text", ..PLAIN },
    Tool { name: "test_image_content", description: "Returns an image", adorned: true, ..PLAIN },
    Tool { name: "test_audio_content", description: "Returns a sound", since: Revision::V2025_03_26, ..PLAIN },
    Tool { name: "test_embedded_resource", description: "Returns an embedded resource", ..PLAIN },
    Tool { name: "test_multiple_content_types", description: "Returns text, image and resource", ..PLAIN },
    Tool {
        name: "test_resource_link",
        description: "Returns a link to a resource",
        since: Revision::V2025_06_18,
        ..PLAIN
    },
    Tool {
        name: "test_structured",
        description: "Returns structured content with a text copy",
        since: Revision::V2025_06_18,
        output: Some(weather),
        ..PLAIN
    },
    Tool { name: "test_error_handling", description: "Always fails, as a result", ..PLAIN },
    Tool { name: "test_echo", description: "Returns its text as it is", input: echo, ..PLAIN },
    Tool { name: "test_large_result", description: "Returns a text of so many bytes", input: bytes, ..PLAIN },
    Tool { name: "json_schema_2020_12_tool", description: "Has a schema with many keywords", input: rich, ..PLAIN },
    Tool { name: "test_tool_with_progress", description: "Reports progress three times", ..STREAMS },
    Tool { name: "test_tool_with_logging", description: "Sends log messages while it works", ..STREAMS },
    Tool { name: "test_slow", description: "Works for so many milliseconds", input: milliseconds, ..STREAMS },
    Tool {
        name: "test_reconnection",
        description: "Closes its stream before the result",
        last: Revision::V2025_11_25,
        ..STREAMS
    },
    Tool { name: "test_sampling", description: "Asks the client's model", input: prompt, ..ASKS },
    Tool { name: "test_list_roots", description: "Asks the client for its roots", ..ASKS },
    Tool { name: "test_elicitation", description: "Asks the user for two values", input: message, ..ELICITS },
    Tool { name: "test_elicitation_sep1034_defaults", description: "Asks with default values", ..ELICITS },
    Tool { name: "test_elicitation_sep1330_enums", description: "Asks the user to choose", ..ELICITS },
    Tool {
        name: "test_elicitation_url",
        description: "Asks the user to open a page",
        since: Revision::V2025_11_25,
        ..ASKS
    },
    Tool {
        name: REQUIRED,
        description: "Cannot go on before the user has opened a page, and says so as an error",
        since: Revision::V2025_11_25,
        last: Revision::V2025_11_25,
        ..PLAIN
    },
    Tool { name: "test_trigger_tool_change", description: "Announces a change of the tools", ..CHANGES },
    Tool { name: "test_trigger_prompt_change", description: "Announces a change of the prompts", ..CHANGES },
    Tool { name: "test_trigger_resource_change", description: "Announces a change of the resources", ..CHANGES },
    Tool { name: "test_touch_resource", description: "Changes test://watched-resource", ..CHANGES },
];

/// The tool that is listed once `test_trigger_tool_change` has been called.
pub(crate) static ADDED: Tool =
    Tool { name: "test_added_tool", description: "Was not there at the beginning", ..PLAIN };

/// The tool that answers with the error -32042.
pub(crate) const REQUIRED: &str = "test_url_elicitation_required";

/// The entries of [`all`] in `tools/list`, made once.
pub(crate) static ENTRIES: LazyLock<Vec<Value>> = LazyLock::new(|| all().map(Tool::definition).collect());

/// All tools, in the order they are listed.
pub(crate) fn all() -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().chain(fixtures::TOOLS)
}

/// The tool of that name, in whatever revision.
pub(crate) fn find(name: &str) -> Option<&'static Tool> {
    all().find(|tool| tool.name == name)
}

impl Tool {
    /// Whether a revision has it. A server that does not look at revisions still keeps the eras apart: `strict` is off
    /// there.
    pub(crate) fn fits(&self, revision: Revision, strict: bool) -> bool {
        let apart = self.since < Revision::V2026_07_28 && revision < Revision::V2026_07_28;
        (self.since..=self.last).contains(&revision) || (!strict && apart)
    }

    /// The schema of its arguments.
    pub(crate) fn input(&self) -> Value {
        (self.input)()
    }

    /// The entry of `tools/list`.
    pub(crate) fn definition(&self) -> Value {
        let title = self.name.trim_start_matches("test_").replace('_', " ");
        let mut entry = json!({
            "name": self.name,
            "title": title,
            "description": self.description,
            "inputSchema": (self.input)(),
            "annotations": {"readOnlyHint": self.read_only, "openWorldHint": false},
            "execution": {"taskSupport": "forbidden"},
        });
        if let Some(output) = self.output {
            entry["outputSchema"] = output();
        }
        if self.adorned {
            entry["icons"] = json!([{"src": format!("data:image/png;base64,{PNG}"), "mimeType": "image/png"}]);
            entry["_meta"] = json!({"com.example/order": 2});
        }
        entry
    }
}

pub(crate) fn object(properties: &Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

pub(crate) fn nothing() -> Value {
    json!({"type": "object", "properties": {}})
}

fn echo() -> Value {
    object(&json!({"text": {"type": "string", "description": "What to return"}}), &["text"])
}

fn bytes() -> Value {
    object(&json!({"bytes": {"type": "integer", "minimum": 0, "maximum": 8_388_608}}), &["bytes"])
}

fn milliseconds() -> Value {
    object(&json!({"ms": {"type": "integer", "minimum": 0, "maximum": 86_400_000}}), &["ms"])
}

fn prompt() -> Value {
    object(&json!({"prompt": {"type": "string", "description": "What to ask the model"}}), &["prompt"])
}

fn message() -> Value {
    object(&json!({"message": {"type": "string", "description": "What to tell the user"}}), &["message"])
}

fn weather() -> Value {
    object(&json!({"temperature": {"type": "number"}, "unit": {"type": "string"}}), &["temperature", "unit"])
}

fn rich() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            },
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}

/// Two required strings.
pub(crate) fn user_form() -> Value {
    let field = |what: &str| json!({"type": "string", "description": what});
    object(&json!({"username": field("User name"), "email": field("Mail address")}), &["username", "email"])
}

/// One field of each kind, each with a default.
pub(crate) fn defaults_form() -> Value {
    object(
        &json!({
            "name": {"type": "string", "description": "Name", "default": "John Doe"},
            "age": {"type": "integer", "description": "Age", "default": 30},
            "score": {"type": "number", "description": "Score", "default": 95.5},
            "status": {
                "type": "string",
                "description": "Status",
                "enum": ["active", "inactive", "pending"],
                "default": "active",
            },
            "verified": {"type": "boolean", "description": "Verified", "default": true},
        }),
        &[],
    )
}

/// The kinds of choice that the revision knows.
pub(crate) fn enums_form(revision: Revision) -> Value {
    let mut properties = json!({
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
    });
    if revision >= Revision::V2025_11_25 {
        let titled = json!([
            {"const": "value1", "title": "First Option"},
            {"const": "value2", "title": "Second Option"},
            {"const": "value3", "title": "Third Option"},
        ]);
        properties["titledSingle"] = json!({"type": "string", "oneOf": titled});
        let untitled = json!({"type": "string", "enum": ["option1", "option2", "option3"]});
        properties["untitledMulti"] = json!({"type": "array", "items": untitled});
        properties["titledMulti"] = json!({"type": "array", "items": {"anyOf": titled}});
    }
    object(&properties, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_described() {
        for (index, tool) in all().enumerate() {
            assert!(!tool.description.is_empty(), "{}", tool.name);
            assert!(all().skip(index + 1).all(|other| other.name != tool.name), "{}", tool.name);
        }
    }

    #[test]
    fn eras_keep_their_tools() {
        let fits = |name: &str, revision| find(name).expect("a tool").fits(revision, true);
        assert!(fits("test_reconnection", Revision::V2025_11_25) && !fits("test_reconnection", Revision::V2026_07_28));
        assert!(!fits("greet", Revision::V2025_11_25) && fits("greet", Revision::V2026_07_28));
        assert!(!find("greet").expect("a tool").fits(Revision::V2025_11_25, false));
        assert!(find("test_structured").expect("a tool").fits(Revision::V2024_11_05, false));
    }
}
