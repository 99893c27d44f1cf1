//! The JSON Schemas that a server publishes.

use crate::check::schemas::is_valid_within;
use crate::check::wire::{short, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[Check { id: "base.schema-valid", judge: schema_valid }];

/// Each schema of a tool is valid in the dialect it declares, or in 2020-12.
fn schema_valid(view: &View<'_>, out: &mut Findings) {
    for (_, response, result) in view.results_of("tools/list") {
        if !out.covers(response.revision) {
            continue;
        }
        for tool in result.at("tools").as_array().into_iter().flatten() {
            for member in ["inputSchema", "outputSchema"] {
                let Some(schema) = tool.member(member) else { continue };
                let Some(right) = is_valid_within(&response.value, schema) else {
                    out.inconclusive();
                    continue;
                };
                out.require(right, || {
                    told(
                        format!("The {member} of tool {} is no valid JSON Schema.", tool.at("name")),
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
