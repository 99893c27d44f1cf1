//! Resources: their definitions and reading.

use serde_json::Value;

use super::content::resource_problem;
use super::listing;
use crate::check::support::{
    ListKind, RESOURCES, Refusal, TEMPLATES, expect_refusal, hold, is_proper, param, server_declared, told,
};
use crate::check::syntax::{is_base64, is_iso_date, is_scheme, is_uri, is_uri_template};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "features.resources.capability", judge: |view, out| listing::capability(view, out, &RESOURCES) },
    Check { id: "features.resources.definition-shape", judge: definition_shape },
    Check { id: "features.resources.uri-valid", judge: uri_valid },
    Check { id: "features.resources.custom-scheme-valid", judge: custom_scheme_valid },
    Check { id: "features.resources.template-valid", judge: template_valid },
    Check { id: "features.resources.annotations-valid", judge: annotations_valid },
    Check { id: "features.resources.read-works", judge: read_works },
    Check { id: "features.resources.contents-shape", judge: contents_shape },
    Check { id: "features.resources.blob-base64", judge: blob_base64 },
    Check { id: "features.resources.not-found-32002", judge: not_found },
    Check { id: "features.resources.not-found-not-result", judge: not_found_not_result },
    Check { id: "features.resources.validate-uris", judge: validate_uris },
    Check { id: "features.resources.list-changed", judge: |view, out| listing::list_changed(view, out, &RESOURCES) },
];

/// Judges each listed item that has the thing asked about.
fn each(
    view: &View<'_>,
    out: &mut Findings,
    kind: &ListKind,
    rule: (&str, &str),
    problem: impl Fn(&Value) -> Option<Option<String>>,
) {
    for (request, response, item) in kind.items(view) {
        if let Some(problem) = problem(item).filter(|_| out.covers(response.revision)) {
            hold(out, problem, rule.0, item, rule.1, &[request, response]);
        }
    }
}

/// A resource has a URI and a name.
fn definition_shape(view: &View<'_>, out: &mut Findings) {
    let rule = ("a string uri and a string name", "give every resource a uri and a name");
    each(view, out, &RESOURCES, rule, |item| {
        let missing = ["uri", "name"].into_iter().find(|name| !item[*name].is_string());
        Some(missing.map(|name| format!("The listed resource {} has no string {name}.", item.at("uri"))))
    });
}

/// The URI of a listed resource has only characters of RFC 3986, others escaped.
fn uri_valid(view: &View<'_>, out: &mut Findings) {
    let rule = ("an absolute URI", "percent-encode spaces and other characters that a URI cannot hold");
    each(view, out, &RESOURCES, rule, |item| {
        let uri = item.at("uri").as_str()?;
        Some((!is_uri(uri)).then(|| format!("The resource URI {uri:?} is not valid.")))
    });
}

/// The scheme of a listed URI is a letter and then letters, digits, plus, hyphen and dot.
fn custom_scheme_valid(view: &View<'_>, out: &mut Findings) {
    let rule = ("a scheme by RFC 3986 before the first colon", "rename the scheme; underscores, say, are not allowed");
    each(view, out, &RESOURCES, rule, |item| {
        let uri = item.at("uri").as_str()?;
        let valid = uri.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme));
        Some((!valid).then(|| format!("The scheme of the resource URI {uri:?} is not valid.")))
    });
}

/// A listed URI template follows RFC 6570.
fn template_valid(view: &View<'_>, out: &mut Findings) {
    let rule = ("a URI template", "close every brace and name the variables with letters, digits, underscore and dot");
    each(view, out, &TEMPLATES, rule, |item| {
        let template = item.at("uriTemplate").as_str()?;
        Some((!is_uri_template(template)).then(|| format!("The URI template {template:?} is not valid.")))
    });
}

/// Annotations name known audiences and a priority from 0 to 1; a last modification that is no date only warns.
fn annotations_valid(view: &View<'_>, out: &mut Findings) {
    for (request, response, item) in RESOURCES.items(view).chain(TEMPLATES.items(view)) {
        let Some(annotations) = item.member("annotations").filter(|_| out.covers(response.revision)) else { continue };
        let audience = annotations.member("audience").is_none_or(|audience| {
            audience.as_array().is_some_and(|list| list.iter().all(|role| role == "user" || role == "assistant"))
        });
        let priority = annotations
            .member("priority")
            .is_none_or(|priority| priority.as_f64().is_some_and(|priority| (0.0..=1.0).contains(&priority)));
        let modified = annotations.member("lastModified");
        let breach = |what: &str| {
            told(
                format!("The annotations of {} have {what}.", item.at("name")),
                &["audience of user and assistant, priority from 0 to 1, lastModified a date by ISO 8601"],
                annotations,
                "correct the member or leave it out",
                &[request, response],
            )
        };
        if !annotations.is_object() {
            out.contested(breach("no object as their value"));
        } else if !audience {
            out.breach(breach("an unknown audience"));
        } else if !priority {
            out.breach(breach("a priority outside 0 to 1"));
        } else if modified.is_some_and(|modified| !modified.as_str().is_some_and(is_iso_date)) {
            out.contested(breach("a lastModified that is no date"));
        } else {
            out.pass();
        }
    }
}

/// What is listed can be read by the same caller. URIs that the client would fetch itself are left out.
fn read_works(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("resources/read") {
        let Some(uri) = param(request, "uri").as_str().filter(|_| out.covers(request.revision)) else { continue };
        let fetched = uri.starts_with("https:") || uri.starts_with("http:");
        if fetched || RESOURCES.find(view, request, uri).is_none() || !is_proper(view, request) {
            continue;
        }
        let Some(response) = response else {
            out.inconclusive();
            continue;
        };
        if response.is_interim() {
            continue;
        }
        out.require(response.value.at("result").at("contents").is_array(), || {
            told(
                format!("The server lists {uri} but did not let it be read."),
                &["a result with the array contents"],
                &response.value,
                "list only what the caller can read, and answer with {\"contents\": [...]}",
                &[request, response],
            )
        });
    }
}

/// Each item that was read: request, response, item.
fn contents<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Msg, &'v Msg, &'v Value)> {
    view.results_of("resources/read").flat_map(|(request, response, result)| {
        result.at("contents").as_array().into_iter().flatten().map(move |item| (request, response, item))
    })
}

/// Contents have a URI and text or blob; both at once only warn.
fn contents_shape(view: &View<'_>, out: &mut Findings) {
    for (request, response, item) in contents(view).filter(|(request, ..)| request.revision.is_some()) {
        if !out.covers(request.revision) {
            continue;
        }
        let seen = [request, response];
        let fix = "give each item its uri and either text or blob";
        if item.at("text").is_string() && item.at("blob").is_string() {
            out.contested(told("Contents have both text and blob.", &["one of the two"], item, fix, &seen));
        } else {
            hold(out, resource_problem(item), "uri, and text or blob, all strings", item, fix, &seen);
        }
    }
}

/// A blob is base64.
fn blob_base64(view: &View<'_>, out: &mut Findings) {
    for (request, response, item) in contents(view) {
        let Some(blob) = item.at("blob").as_str().filter(|_| out.covers(request.revision)) else { continue };
        let problem = (!is_base64(blob)).then(|| format!("The blob of {} is not base64.", item.at("uri")));
        hold(out, problem, "base64 in the standard alphabet", item, "encode the bytes", &[request, response]);
    }
}

/// Reads of a valid URI that is not listed and that no template could cover, where both lists are known.
pub(crate) fn missing_reads<'v>(view: &'v View<'_>, out: &Findings) -> Vec<(&'v Msg, Option<&'v Msg>)> {
    view.calls_to("resources/read")
        .filter(|(request, _)| out.covers(request.revision) && is_proper(view, request))
        .filter(|(request, _)| server_declared(view, request, &["resources"]) == Some(true))
        .filter(|(request, _)| {
            let Some(uri) = param(request, "uri").as_str().filter(|uri| is_uri(uri)) else { return false };
            RESOURCES.known_whole(view, request)
                && RESOURCES.find(view, request, uri).is_none()
                && !covered_by_template(view, request, uri)
                && !offered_elsewhere(view, request, uri)
        })
        .collect()
}

/// Whether a template could expand to this URI; true as well where the templates are not known.
fn covered_by_template(view: &View<'_>, request: &Msg, uri: &str) -> bool {
    let refused = view.calls_to(TEMPLATES.method).any(|(listing, answer)| {
        listing.conversation == request.conversation
            && answer.is_some_and(|answer| answer.message().error_code() == Some(-32601))
    });
    if refused {
        return false;
    }
    let literal = |template: &str| template.split('{').next().unwrap_or_default().to_owned();
    !TEMPLATES.known_whole(view, request)
        || TEMPLATES.items(view).any(|(_, listing, item)| {
            listing.conversation == request.conversation
                && item.at("uriTemplate").as_str().is_none_or(|template| uri.starts_with(&literal(template)))
        })
}

/// Whether the server itself named the URI before, in a link or in contents.
fn offered_elsewhere(view: &View<'_>, request: &Msg, uri: &str) -> bool {
    let quoted = Value::from(uri).to_string();
    view.received().any(|msg| {
        let named = msg.value.member("result").is_some_and(|result| result.to_string().contains(&quoted));
        msg.seq < request.seq && named
    })
}

/// A resource that does not exist is refused with -32002; -32602 is tolerated with a warning.
fn not_found(view: &View<'_>, out: &mut Findings) {
    for (request, response) in missing_reads(view, out) {
        // Success is judged by itself.
        if response.is_some_and(|response| response.value.member("result").is_some()) {
            continue;
        }
        let rule = Refusal {
            deed: &format!(
                "The client read {}, which is neither listed nor covered by a template,",
                param(request, "uri")
            ),
            codes: &[-32002],
            tolerated: &[-32602],
            fix: "answer a resource that does not exist with -32002",
        };
        expect_refusal(view, out, request, response, &rule);
    }
}

/// A resource that does not exist does not read successfully.
fn not_found_not_result(view: &View<'_>, out: &mut Findings) {
    for (request, response) in missing_reads(view, out) {
        let rule = Refusal {
            deed: &format!(
                "The client read {}, which is neither listed nor covered by a template,",
                param(request, "uri")
            ),
            codes: &[],
            tolerated: &[],
            fix: "answer a resource that does not exist with a JSON-RPC error",
        };
        expect_refusal(view, out, request, response, &rule);
    }
}

/// What is no URI at all gets an error and no data.
fn validate_uris(view: &View<'_>, out: &mut Findings) {
    for (request, response) in view.calls_to("resources/read") {
        let uri = param(request, "uri");
        let malformed = uri.as_str().is_none_or(|uri| uri.split_once(':').is_none_or(|(scheme, _)| !is_scheme(scheme)));
        let listed = uri.as_str().is_some_and(|uri| RESOURCES.find(view, request, uri).is_some());
        let declared = server_declared(view, request, &["resources"]) == Some(true);
        if !malformed || listed || !declared || !out.covers(request.revision) {
            continue;
        }
        let empty = response
            .is_some_and(|response| response.value.at("result").at("contents").as_array().is_some_and(Vec::is_empty));
        if empty {
            out.pass();
            continue;
        }
        let rule = Refusal {
            deed: &format!("The client read {uri}, which is no URI,"),
            codes: &[],
            tolerated: &[],
            fix: "check the uri before looking anything up",
        };
        expect_refusal(view, out, request, response, &rule);
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn base() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    fn listed(item: &Value) -> Builder {
        base().call("resources/list", json!({}), json!({"resources": [item]}))
    }

    fn read(builder: Builder, uri: &str, item: &Value) -> Builder {
        builder.call("resources/read", json!({"uri": uri}), json!({"contents": [item]}))
    }

    #[test]
    fn definitions() {
        let good = listed(&json!({"uri": "test://a", "name": "a", "annotations": {"priority": 0.5}}));
        three("features.resources.definition-shape", &good, &listed(&json!({"uri": "test://a"})));
        three("features.resources.uri-valid", &good, &listed(&json!({"uri": "test://a b"})));
        three("features.resources.custom-scheme-valid", &good, &listed(&json!({"uri": "my_scheme:a"})));
        let bad = listed(&json!({"uri": "test://a", "name": "a", "annotations": {"priority": 2}}));
        three("features.resources.annotations-valid", &good, &bad);
        let template = |text: &str| {
            base().call("resources/templates/list", json!({}), json!({"resourceTemplates": [{"uriTemplate": text}]}))
        };
        three("features.resources.template-valid", &template("x:/{id}"), &template("x:/{id"));
        let bare = Builder::new().initialize_with("2025-06-18", "2025-06-18", json!({}), json!({})).call(
            "resources/list",
            json!({}),
            json!({"resources": [{"uri": "x:y"}]}),
        );
        three("features.resources.capability", &good, &bare);
    }

    #[test]
    fn reading() {
        let one = listed(&json!({"uri": "x:1", "name": "a"}));
        let good = read(one.clone(), "x:1", &json!({"uri": "x:1", "blob": "aGVsbG8="}));
        let refused = one.clone().call_error("resources/read", json!({"uri": "x:1"}), -32603);
        three("features.resources.read-works", &good, &refused);
        three("features.resources.contents-shape", &good, &read(one.clone(), "x:1", &json!({"uri": "x:1"})));
        let bad = read(one.clone(), "x:1", &json!({"uri": "x:1", "blob": "?!"}));
        three("features.resources.blob-base64", &good, &bad);
        let known = one.call("resources/templates/list", json!({}), json!({"resourceTemplates": []}));
        let good = known.clone().call_error("resources/read", json!({"uri": "x:none"}), -32002);
        let bad = known.clone().call_error("resources/read", json!({"uri": "x:none"}), -32603);
        three("features.resources.not-found-32002", &good, &bad);
        let served = read(known.clone(), "x:none", &json!({"uri": "x:none", "text": ""}));
        three("features.resources.not-found-not-result", &good, &served);
        let good = known.clone().call_error("resources/read", json!({"uri": "no uri"}), -32602);
        let served = read(known, "no uri", &json!({"uri": "x:none", "text": ""}));
        three("features.resources.validate-uris", &good, &served);
    }
}
