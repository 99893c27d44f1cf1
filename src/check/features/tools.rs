//! Tool definitions as `tools/list` gives them.

use std::collections::HashSet;

use serde_json::Value;

use super::listing;
use crate::check::schemas::is_valid_within;
use crate::check::support::{TOOLS, hold, is_proper, param, server_declared, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "features.tools.capability", judge: |view, out| listing::capability(view, out, &TOOLS) },
    Check { id: "features.tools.list-responds-legacy", judge: list_responds },
    Check { id: "features.tools.definition-shape", judge: definition_shape },
    Check { id: "features.tools.input-schema-not-null", judge: input_schema_valid },
    Check { id: "features.tools.output-schema-object", judge: output_schema_object },
    Check { id: "features.tools.names-unique", judge: names_unique },
    Check { id: "features.tools.names-unique-early", judge: names_unique },
    Check { id: "features.tools.name-length", judge: name_length },
    Check { id: "features.tools.name-characters", judge: name_characters },
    Check { id: "features.tools.name-case-sensitive", judge: name_case_sensitive },
    Check { id: "features.tools.annotation-types", judge: annotation_types },
    Check { id: "features.tools.task-support-values", judge: task_support_values },
    Check { id: "features.tools.title-optional", judge: title_optional },
    Check { id: "features.tools.list-changed", judge: |view, out| listing::list_changed(view, out, &TOOLS) },
];

/// With the capability declared `tools/list` answers with an array of tools.
fn list_responds(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("tools/list") {
        let declared = server_declared(view, request, &["tools"]) == Some(true);
        let plain = param(request, "cursor").is_null();
        if !declared || !plain || !out.covers(request.revision) || !is_proper(view, request) {
            continue;
        }
        let Some(response) = response else {
            out.inconclusive();
            continue;
        };
        out.require(response.value.at("result").at("tools").is_array(), || {
            told(
                "The server declares tools, but tools/list did not give a list.",
                &["a result with the array tools, empty where there are none"],
                &response.value,
                "answer tools/list with {\"tools\": [...]}",
                &[request, response],
            )
        });
    }
}

/// Judges each listed tool, and the message that lists it, where it has the thing asked about: the problem, or none.
fn each(
    view: &View<'_>,
    out: &mut Findings,
    expected: &str,
    fix: &str,
    problem: impl Fn(&Msg, &Value) -> Option<Option<String>>,
) {
    for (request, response, tool) in TOOLS.items(view) {
        if !out.covers(response.revision) {
            continue;
        }
        if let Some(problem) = problem(response, tool) {
            let problem = problem.map(|problem| format!("Tool {}: {problem}", tool.at("name")));
            hold(out, problem, expected, tool, fix, &[request, response]);
        }
    }
}

/// A tool has a name and an input schema with `type: object`.
fn definition_shape(view: &View<'_>, out: &mut Findings) {
    let expected = "a string name and an inputSchema with \"type\": \"object\"";
    let fix = "give every tool a name and an object schema, {\"type\": \"object\"} where it takes no arguments";
    each(view, out, expected, fix, |_, tool| {
        Some(if !tool.at("name").is_string() {
            Some("it has no string as its name.".to_owned())
        } else if tool.at("inputSchema").at("type") != "object" {
            Some("its inputSchema is no object schema.".to_owned())
        } else {
            None
        })
    });
}

/// An input schema is a valid JSON Schema object, never null.
fn input_schema_valid(view: &View<'_>, out: &mut Findings) {
    let fix = "give the tool a schema that is valid in the dialect it names (2020-12 if it names none)";
    each(view, out, "a JSON Schema object", fix, |listing, tool| {
        // One that is missing altogether is a matter of the definition's shape.
        let schema = tool.member("inputSchema")?;
        if !schema.is_object() {
            return Some(Some("its inputSchema is no object.".to_owned()));
        }
        is_valid_within(&listing.value, schema)
            .map(|valid| (!valid).then(|| "its inputSchema is no valid JSON Schema.".to_owned()))
    });
}

/// An output schema, where there is one, has `type: object` at its root.
fn output_schema_object(view: &View<'_>, out: &mut Findings) {
    let fix = "wrap other results in an object, or leave outputSchema out";
    each(view, out, "an outputSchema with \"type\": \"object\"", fix, |_, tool| {
        let schema = tool.member("outputSchema").filter(|schema| !schema.is_null())?;
        Some((schema.at("type") != "object").then(|| "its outputSchema has another type than object.".to_owned()))
    });
}

/// No two tools of one listing share a name, over all its pages.
fn names_unique(view: &View<'_>, out: &mut Findings) {
    for walk in TOOLS.walks(view) {
        let (request, response, _) = walk.pages[0];
        if !out.covers(request.revision) {
            continue;
        }
        // Items that come again on a later page are a matter of pagination.
        let mut problem = None;
        let (mut names, mut any) = (HashSet::new(), false);
        for (_, _, result) in &walk.pages {
            let listed = result.at("tools").as_array().into_iter().flatten();
            let mut page: Vec<(&str, &Value)> =
                listed.map(|tool| (tool.at("name").as_str().unwrap_or_default(), tool)).collect();
            // In order of the list where they have one name.
            page.sort_by_key(|(name, _)| *name);
            let twice = page.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1]);
            let ends = walk.last().2.at("nextCursor").is_null();
            let again = page.iter().filter(|(name, _)| ends && names.contains(name)).copied();
            problem = problem.or_else(|| twice.chain(again).next());
            any |= !page.is_empty();
            if walk.pages.len() > 1 {
                names.extend(page.iter().map(|(name, _)| *name));
            }
        }
        match problem {
            Some((name, tool)) => out.breach(told(
                format!("Two tools have the name {name:?}."),
                &["a name of its own for each tool"],
                tool,
                "rename one of them; a call could reach either",
                &[request, response],
            )),
            None if !any => {}
            None => out.pass(),
        }
    }
}

/// A name has 1 to 128 characters.
fn name_length(view: &View<'_>, out: &mut Findings) {
    each(view, out, "a name of 1 to 128 characters", "shorten the name", |_, tool| {
        let length = tool.at("name").as_str()?.chars().count();
        Some((!(1..=128).contains(&length)).then(|| format!("its name has {length} characters.")))
    });
}

/// A name is made of ASCII letters, digits, underscore, hyphen and dot.
fn name_characters(view: &View<'_>, out: &mut Findings) {
    let expected = "only A-Z, a-z, 0-9, underscore, hyphen and dot";
    each(view, out, expected, "rename the tool; clients refuse or rewrite such names", |_, tool| {
        let odd = tool.at("name").as_str()?.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.".contains(*c));
        Some(odd.map(|odd| format!("its name contains {odd:?}.")))
    });
}

/// A name in changed case is another name, so calling it is calling an unknown tool.
fn name_case_sensitive(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("tools/call") {
        let Some(name) = param(request, "name").as_str().filter(|_| out.covers(request.revision)) else { continue };
        if !TOOLS.known_whole(view, request) || TOOLS.find(view, request, name).is_some() {
            continue;
        }
        let listed = TOOLS
            .items(view)
            .filter(|(_, listing, _)| listing.conversation == request.conversation && listing.seq < request.seq)
            .filter_map(|(_, _, tool)| tool.at("name").as_str())
            .find(|listed| listed.eq_ignore_ascii_case(name));
        let Some((listed, response)) = listed.zip(response) else { continue };
        let refused = response.value.member("error").is_some() || response.value.at("result").at("isError") == true;
        out.require(refused, || {
            told(
                format!("The server lists {listed:?} and served a call of {name:?}."),
                &["a JSON-RPC error for the unknown name"],
                &response.value,
                "compare tool names with their case",
                &[request, response],
            )
        });
    }
}

/// Hints are booleans and the title of annotations is a string. A null for a hint only warns.
fn annotation_types(view: &View<'_>, out: &mut Findings) {
    for (request, response, tool) in TOOLS.items(view) {
        let Some(annotations) = tool.member("annotations").filter(|_| out.covers(response.revision)) else { continue };
        let hints = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];
        let wrong = hints
            .into_iter()
            .filter(|hint| annotations.member(hint).is_some_and(|value| !value.is_boolean()))
            .chain(annotations.member("title").is_some_and(|title| !title.is_string()).then_some("title"))
            .collect::<Vec<_>>();
        let breach = || {
            told(
                format!("Tool {}: annotations have members of a wrong type: {wrong:?}.", tool.at("name")),
                &["hints true or false, title a string, unknown ones left out"],
                annotations,
                "leave members out that are not set",
                &[request, response],
            )
        };
        let null = |name: &&str| annotations.member(name).is_some_and(Value::is_null);
        if annotations.is_null() || (!wrong.is_empty() && wrong.iter().all(null)) {
            out.contested(breach());
        } else {
            out.require(annotations.is_object() && wrong.is_empty(), breach);
        }
    }
}

/// `execution.taskSupport`, where present, is one of three words.
fn task_support_values(view: &View<'_>, out: &mut Findings) {
    let expected = "forbidden, optional or required";
    each(view, out, expected, "use one of the three values or leave taskSupport out", |_, tool| {
        let value = tool.at("execution").member("taskSupport")?;
        let known = matches!(value.as_str(), Some("forbidden" | "optional" | "required"));
        Some((!known).then(|| format!("its taskSupport is {value}.")))
    });
}

/// A title, where present, is a string.
fn title_optional(view: &View<'_>, out: &mut Findings) {
    each(view, out, "a string, or no title", "make the title a string or leave it out", |_, tool| {
        let title = tool.member("title")?;
        Some((!title.is_string()).then(|| format!("its title is {title}.")))
    });
}

#[cfg(test)]
mod tests {
    use crate::check::Outcome;
    use crate::check::support::three;
    use crate::check::testing::judge_events;
    use crate::transcript::{Builder, EventKind};
    use serde_json::{Value, json};

    fn listed(tools: &Value) -> Builder {
        Builder::new().initialize("2025-11-25").call("tools/list", json!({}), json!({"tools": tools}))
    }

    #[test]
    fn definitions() {
        let plain = json!({"name": "a", "inputSchema": {"type": "object"}});
        let with = |name: &str, value: Value| {
            let mut tool = plain.clone();
            tool[name] = value;
            json!([tool])
        };
        let plain = json!([plain]);
        let object = json!({"type": "object"});
        let cases = [
            ("definition-shape", plain.clone(), with("inputSchema", json!({"type": "string"}))),
            ("input-schema-not-null", plain.clone(), with("inputSchema", Value::Null)),
            ("output-schema-object", with("outputSchema", object), with("outputSchema", json!({"type": "array"}))),
            ("names-unique", plain.clone(), json!([plain[0], plain[0]])),
            ("name-length", plain.clone(), with("name", json!("x".repeat(129)))),
            ("name-characters", plain.clone(), with("name", json!("a b"))),
            (
                "annotation-types",
                with("annotations", json!({"readOnlyHint": true})),
                with("annotations", json!({"readOnlyHint": "yes"})),
            ),
            (
                "task-support-values",
                with("execution", json!({"taskSupport": "optional"})),
                with("execution", json!({"taskSupport": "maybe"})),
            ),
            ("title-optional", with("title", json!("A")), with("title", json!(1))),
        ];
        for (id, good, bad) in cases {
            three(&format!("features.tools.{id}"), &listed(&good), &listed(&bad));
        }
        let early = |tools: Value| {
            Builder::new().initialize("2025-03-26").call("tools/list", json!({}), json!({"tools": tools}))
        };
        let twice = json!([plain[0], plain[0]]);
        three("features.tools.names-unique-early", &early(plain.clone()), &early(twice));
    }

    #[test]
    fn listing() {
        let good = listed(&json!([{"name": "a"}]));
        let refused = Builder::new().initialize("2025-06-18").call_error("tools/list", json!({}), -32603);
        three("features.tools.list-responds-legacy", &good, &refused);
        // Where the session is deleted before the refusal is there, it may be for that.
        let mut events = refused.delete(204).finish();
        let deletion = events.iter().rposition(|event| matches!(event.kind, EventKind::Request { .. })).expect("asked");
        let before = &events[..deletion];
        let answer =
            before.iter().rposition(|event| matches!(event.kind, EventKind::Response { .. })).expect("answered");
        events[answer..=deletion].rotate_right(1);
        (0..).zip(&mut events).for_each(|(seq, event)| event.seq = seq);
        assert_eq!(judge_events("features.tools.list-responds-legacy", &events).outcome, Outcome::NotExercised);
        let bare = Builder::new().initialize_with("2025-06-18", "2025-06-18", json!({}), json!({}));
        let bare = bare.call("tools/list", json!({}), json!({"tools": [{"name": "a"}]}));
        three("features.tools.capability", &good, &bare);
        let call = |builder: &Builder| builder.clone().call("tools/call", json!({"name": "A"}), json!({"content": []}));
        let unknown = good.clone().call_error("tools/call", json!({"name": "A"}), -32602);
        three("features.tools.name-case-sensitive", &unknown, &call(&good));
    }
}
