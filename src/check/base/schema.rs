//! The JSON Schemas that a server publishes.

use serde_json::Value;

use crate::check::wire::{short, told};
use crate::check::{Check, Findings};
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[Check { id: "base.schema-valid", judge: schema_valid }];

/// Whether a schema fits its dialect, 2020-12 if it names none; a dialect that is unknown here cannot be judged.
fn fits(schema: &Value) -> Option<bool> {
    match schema.get("$schema").map(|dialect| dialect.as_str().unwrap_or_default().trim_end_matches('#')) {
        None | Some("https://json-schema.org/draft/2020-12/schema") => {
            Some(jsonschema::draft202012::meta::is_valid(schema))
        }
        Some("https://json-schema.org/draft/2019-09/schema") => Some(jsonschema::draft201909::meta::is_valid(schema)),
        Some("http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema") => {
            Some(jsonschema::draft7::meta::is_valid(schema))
        }
        Some(_) => None,
    }
}

/// Each schema of a tool is valid in the dialect it declares, or in 2020-12.
fn schema_valid(view: &View<'_>, out: &mut Findings) {
    for (_, response, result) in view.results_of("tools/list") {
        if !out.covers(response.revision) {
            continue;
        }
        for tool in result["tools"].as_array().into_iter().flatten() {
            for member in ["inputSchema", "outputSchema"] {
                let Some(schema) = tool.get(member) else { continue };
                let Some(right) = fits(schema) else {
                    out.inconclusive();
                    continue;
                };
                out.require(right, || {
                    told(
                        format!("The {member} of tool {} is no valid JSON Schema.", tool["name"]),
                        &["a schema that is valid in the dialect named by $schema, or in 2020-12 without it"],
                        short(&schema.to_string()),
                        "check the schema with a JSON Schema linter; name the dialect if it is an older one",
                        vec![response.seq],
                    )
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn listed(schema: &Value) -> Builder {
        let tools = json!({"tools": [{"name": "x", "inputSchema": schema}]});
        Builder::new().initialize("2025-11-25").call("tools/list", json!({}), tools)
    }

    #[test]
    fn dialects() {
        let older = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"});
        for good in [json!({"type": "object"}), older] {
            expect_three("base.schema-valid", &listed(&good), &listed(&json!({"type": "thing"})), &Builder::new());
        }
    }
}
