//! How tools say which arguments are mirrored in headers.

use serde_json::Value;

use crate::check::support::TOOLS;
use crate::check::wire::{short, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "patterns.headers.def-not-empty", judge: not_empty },
    Check { id: "patterns.headers.def-token", judge: token },
    Check { id: "patterns.headers.def-unique", judge: unique },
    Check { id: "patterns.headers.def-primitive", judge: primitive },
    Check { id: "patterns.headers.def-integer-range", judge: integer_range },
    Check { id: "patterns.headers.def-reachable", judge: reachable },
    Check { id: "features.tools.x-mcp-header-sensitive", judge: sensitive },
];

/// An annotation in a schema: its value, the schema that bears it, and whether properties alone lead to it.
struct Mark<'v> {
    value: &'v Value,
    bearer: &'v Value,
    reachable: bool,
    name: String,
}

fn marks<'v>(schema: &'v Value, name: &str, reachable: bool, found: &mut Vec<Mark<'v>>) {
    match schema {
        Value::Object(members) => {
            if let Some(value) = members.member("x-mcp-header") {
                found.push(Mark {
                    value,
                    bearer: schema,
                    reachable: reachable && !name.is_empty(),
                    name: name.to_owned(),
                });
            }
            for (key, member) in members {
                match (key.as_str(), member) {
                    ("properties", Value::Object(properties)) => {
                        for (name, property) in properties {
                            marks(property, name, reachable, found);
                        }
                    }
                    // What stands there are values, not schemas.
                    ("default" | "const" | "enum" | "examples" | "x-mcp-header", _) => {}
                    (key, _) => marks(member, key, false, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| marks(item, name, false, found)),
        _ => {}
    }
}

/// Judges each tool that has any annotation by its first problem.
fn definitions(
    view: &View<'_>,
    out: &mut Findings,
    problem: fn(&[Mark<'_>]) -> Option<Option<String>>,
    expected: &str,
    fix: &str,
) {
    if !view.is_modern() {
        return;
    }
    for (_, response, tool) in TOOLS.items(view).filter(|(request, ..)| super::asked::is_modern(request)) {
        let mut found = Vec::new();
        marks(tool.at("inputSchema"), "", true, &mut found);
        if found.is_empty() {
            continue;
        }
        let Some(problem) = problem(&found) else { continue };
        out.require(problem.is_none(), || {
            told(
                format!("In the schema of the tool {}, {}.", tool.at("name"), problem.unwrap_or_default()),
                &[expected],
                short(&tool.at("inputSchema").to_string()),
                fix,
                vec![response.seq],
            )
        });
    }
}

fn not_empty(view: &View<'_>, out: &mut Findings) {
    let problem = |marks: &[Mark<'_>]| {
        Some(marks.iter().find(|mark| mark.value == "").map(|mark| format!("x-mcp-header of {} is empty", mark.name)))
    };
    definitions(view, out, problem, "a name of at least one character", "name the header, or drop the annotation");
}

fn token(view: &View<'_>, out: &mut Findings) {
    let problem = |marks: &[Mark<'_>]| {
        let odd = |mark: &&Mark<'_>| {
            !mark.value.as_str().is_some_and(|text| {
                text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
            })
        };
        Some(
            marks
                .iter()
                .find(odd)
                .map(|mark| format!("x-mcp-header of {} is {}, which is no HTTP token", mark.name, mark.value)),
        )
    };
    definitions(view, out, problem, "letters, digits and the marks that HTTP tokens may have", "rename the header");
}

fn unique(view: &View<'_>, out: &mut Findings) {
    let problem = |marks: &[Mark<'_>]| {
        let names: Vec<String> =
            marks.iter().filter_map(|mark| mark.value.as_str()).map(str::to_ascii_lowercase).collect();
        let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
        Some(twice.map(|(_, name)| format!("the header {name} stands for two parameters")))
    };
    definitions(view, out, problem, "a header of its own for each parameter, letter case aside", "rename one of them");
}

fn primitive(view: &View<'_>, out: &mut Findings) {
    let problem = |marks: &[Mark<'_>]| {
        let odd = |mark: &&Mark<'_>| {
            let kinds: Vec<&str> = match mark.bearer.at("type") {
                Value::String(kind) => vec![kind.as_str()],
                Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
                // What type it has may stand elsewhere.
                _ => return false,
            };
            !kinds.iter().all(|kind| matches!(*kind, "integer" | "string" | "boolean" | "null"))
        };
        Some(
            marks
                .iter()
                .find(odd)
                .map(|mark| format!("{} is mirrored, though its type is {}", mark.name, mark.bearer.at("type"))),
        )
    };
    definitions(
        view,
        out,
        problem,
        "mirrored parameters of type integer, string or boolean",
        "mirror another parameter, or make it a string",
    );
}

fn integer_range(view: &View<'_>, out: &mut Findings) {
    let problem = |marks: &[Mark<'_>]| {
        const SAFE: f64 = 9_007_199_254_740_991.0;
        let mut integers = marks.iter().filter(|mark| mark.bearer.at("type") == "integer").peekable();
        integers.peek()?;
        let far = |mark: &&Mark<'_>| {
            ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "const", "default"]
                .iter()
                .filter_map(|key| mark.bearer[*key].as_f64())
                .any(|bound| bound.abs() > SAFE + 1.0)
        };
        Some(integers.find(far).map(|mark| format!("{} may be an integer beyond 2^53-1", mark.name)))
    };
    definitions(view, out, problem, "integers from -2^53+1 to 2^53-1", "narrow the bounds, or make it a string");
}

fn reachable(view: &View<'_>, out: &mut Findings) {
    let problem = |marks: &[Mark<'_>]| {
        let hidden = marks.iter().find(|mark| !mark.reachable);
        Some(hidden.map(|mark| format!("x-mcp-header {} stands where properties alone do not lead", mark.value)))
    };
    definitions(
        view,
        out,
        problem,
        "annotations on properties that are reached through properties alone, from the root",
        "move the parameter out of items, oneOf, anyOf, allOf, $defs and the like, or drop the annotation",
    );
}

/// What should stay secret is not mirrored where every proxy reads it.
fn sensitive(view: &View<'_>, out: &mut Findings) {
    let problem = |marks: &[Mark<'_>]| {
        let secret = |mark: &&Mark<'_>| {
            let name = mark.name.to_ascii_lowercase().replace(['_', '-'], "");
            ["password", "passwd", "secret", "apikey", "accesstoken", "privatekey", "credential"]
                .iter()
                .any(|word| name.contains(word))
        };
        Some(marks.iter().find(secret).map(|mark| format!("{} is mirrored in a header", mark.name)))
    };
    definitions(
        view,
        out,
        problem,
        "no secrets in headers",
        "keep secrets out of mirrored parameters, best out of arguments altogether",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::json;

    fn shown(schema: &Value) -> Builder {
        let tools = json!({"tools": [{"name": "sql", "inputSchema": schema}]});
        Builder::new().modern().discover(json!({"tools": {}})).call("tools/list", Value::Null, tools)
    }

    fn start() -> Builder {
        shown(&json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"}, "count": {"type": "integer", "x-mcp-header": "Count"}}}))
    }

    #[test]
    fn definitions_of_tools() {
        let of = |property: Value| shown(&json!({"type": "object", "properties": {"a": property}}));
        let good = start();
        let none = of(json!({"type": "string"}));
        let two = json!({"type": "object", "properties": {
            "a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}});
        let hidden = json!({"type": "object", "properties": {
            "a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}});
        let secret = json!({"type": "object", "properties": {"api_key": {"type": "string", "x-mcp-header": "Key"}}});
        let wide = of(json!({"type": "integer", "x-mcp-header": "A", "maximum": 1e17}));
        let table = [
            ("patterns.headers.def-not-empty", of(json!({"type": "string", "x-mcp-header": ""}))),
            ("patterns.headers.def-token", of(json!({"type": "string", "x-mcp-header": "My Region"}))),
            ("patterns.headers.def-unique", shown(&two)),
            ("patterns.headers.def-primitive", of(json!({"type": "number", "x-mcp-header": "A"}))),
            ("patterns.headers.def-integer-range", wide),
            ("patterns.headers.def-reachable", shown(&hidden)),
            ("features.tools.x-mcp-header-sensitive", shown(&secret)),
        ];
        for (id, broken) in table {
            expect_three(id, &good, &broken, &none);
        }
    }
}
