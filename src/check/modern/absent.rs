//! Resources that are not there.

use super::flaw::{Ask, sound_to};
use super::lists::code;
use super::results::shown;
use crate::check::features::resources::missing_reads;
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "features.resources.not-found-32602", judge: not_found },
    Check { id: "features.resources.not-found-no-empty", judge: not_empty },
    Check { id: "features.resources.path-traversal", judge: traversal },
];

/// Reads of resources that are surely not there: both lists are known, and neither has what was asked for.
fn absent<'v>(view: &'v View<'_>, out: &Findings) -> Vec<Ask<'v>> {
    if !view.is_modern() {
        return Vec::new();
    }
    let missing: Vec<u32> = missing_reads(view, out).into_iter().map(|(request, _)| request.seq).collect();
    sound_to(view, "resources/read").filter(|ask| missing.contains(&ask.request.seq)).collect()
}

/// A resource that is not there is an invalid parameter.
fn not_found(view: &View<'_>, out: &mut Findings) {
    for ask in absent(view, out) {
        // A refusal of access and the like is another matter.
        let Some(code) = code(&ask).filter(|code| matches!(code, -32602 | -32002 | -32603 | -32600 | 0)) else {
            continue;
        };
        out.require(code == -32602, || {
            told(
                format!("resources/read of {}, which is not there, was answered with error {code}.", ask.param("uri")),
                &["error -32602"],
                came(ask.exchange),
                "answer -32602 to a resource that does not exist",
                ask.evidence(),
            )
        });
    }
}

/// And not one without contents.
fn not_empty(view: &View<'_>, out: &mut Findings) {
    for ask in absent(view, out) {
        let empty = ask.result().is_some_and(|result| result.at("contents").as_array().is_some_and(Vec::is_empty));
        if !empty && !ask.is_refused() {
            continue;
        }
        out.require(!empty, || {
            told(
                format!("resources/read of {}, which is not there, gave empty contents.", ask.param("uri")),
                &["error -32602"],
                shown(&ask),
                "answer with an error, so that clients can tell an empty resource from none",
                ask.evidence(),
            )
        });
    }
}

/// Paths that lead out of what is served lead nowhere.
fn traversal(view: &View<'_>, out: &mut Findings) {
    for ask in sound_to(view, "resources/read") {
        let Some(uri) = ask.param("uri").as_str().filter(|uri| uri.starts_with("file:")) else { continue };
        let lower = uri.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/");
        // A path that stays inside is no harm; one to the accounts of the machine surely leaves it.
        if !lower.contains("/../") || !lower.ends_with("/etc/passwd") {
            continue;
        }
        let served = ask.result().is_some_and(|result| {
            result.at("contents").as_array().is_some_and(|all| {
                all.iter().any(|one| {
                    one.at("text").as_str().is_some_and(|text| text.contains(":0:0:")) || one.at("blob").is_string()
                })
            })
        });
        out.require(!served, || {
            told(
                format!("resources/read of {uri} led out of what is served."),
                &["an error"],
                shown(&ask),
                "resolve the path, and serve it only inside of the folders that are offered",
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

    fn none() -> Builder {
        Builder::new().modern()
    }

    fn start() -> Builder {
        none()
            .discover(json!({"resources": {}}))
            .call("resources/list", Value::Null, json!({"resources": [{"uri": "test://a", "name": "a"}]}))
            .call("resources/templates/list", Value::Null, json!({"resourceTemplates": []}))
    }

    #[test]
    fn resources_that_are_not_there() {
        let read = |uri: &str| start().probe(&[], "resources/read", json!({"uri": uri}));
        let right = read("test://none").refuses(200, -32602, Value::Null);
        let old = read("test://none").refuses(200, -32002, Value::Null);
        expect_three("features.resources.not-found-32602", &right, &old, &start());
        let empty = read("test://none").serves("resources/read", json!({"contents": []}));
        expect_three("features.resources.not-found-no-empty", &right, &empty, &start());
        let out = "file:///srv/../etc/passwd";
        let kept = read(out).refuses(200, -32602, Value::Null);
        let contents = json!({"contents": [{"uri": out, "text": "root:x:0:0:root:/root:/bin/sh"}]});
        expect_three("features.resources.path-traversal", &kept, &read(out).serves("resources/read", contents), &right);
    }
}
