//! Elicitation: forms and URLs.

use serde_json::Value;

use super::asking::{asked, declared, refusal_handled};
use crate::check::support::{client_declared, hold, param, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Msg, View};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check {
        id: "features.elicitation.server-only-if-declared",
        judge: |view, out| declared(view, out, ELICIT, "elicitation"),
    },
    Check { id: "features.elicitation.mode-supported", judge: mode_supported },
    Check { id: "features.elicitation.message-present", judge: message_present },
    Check { id: "features.elicitation.form-members", judge: form_members },
    Check { id: "features.elicitation.form-schema-flat", judge: form_schema_flat },
    Check { id: "features.elicitation.enum-form-by-revision", judge: enum_form },
    Check { id: "features.elicitation.url-members", judge: url_members },
    Check { id: "features.elicitation.url-elicitation-id", judge: url_elicitation_id },
    Check { id: "features.elicitation.url-https", judge: url_https },
    Check { id: "features.elicitation.error-32042-shape", judge: error_shape },
    Check {
        id: "features.elicitation.decline-handled-early",
        judge: |view, out| {
            refusal_handled(view, out, ELICIT, |answer| {
                matches!(answer.at("result").at("action").as_str(), Some("decline" | "cancel"))
            });
        },
    },
];

const ELICIT: &str = "elicitation/create";

fn is_url_mode(msg: &Msg) -> bool {
    param(msg, "mode") == "url"
}

fn forms<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Msg> {
    asked(view, out, ELICIT).into_iter().filter(|msg| !is_url_mode(msg)).collect()
}

fn urls<'v>(view: &'v View<'_>, out: &Findings) -> Vec<&'v Msg> {
    asked(view, out, ELICIT).into_iter().filter(|msg| is_url_mode(msg)).collect()
}

/// Every request says in a message what it is about; an empty one only warns.
fn message_present(view: &View<'_>, out: &mut Findings) {
    for msg in asked(view, out, ELICIT) {
        let breach = |what: &str| {
            told(what, &["params.message, a text for the user"], &msg.value, "say what is asked and why", &[msg])
        };
        match param(msg, "message").as_str() {
            None => out.breach(breach("An elicitation has no message.")),
            Some("") => out.contested(breach("An elicitation has an empty message.")),
            Some(_) => out.pass(),
        }
    }
}

/// A form has mode form or none, and an object as its requested schema.
fn form_members(view: &View<'_>, out: &mut Findings) {
    for msg in forms(view, out) {
        let mode = msg.value.at("params").member("mode");
        let problem = if mode.is_some_and(|mode| mode != "form") {
            Some(format!("An elicitation has the mode {}.", param(msg, "mode")))
        } else if !param(msg, "requestedSchema").is_object() {
            Some("A form has no object as its requestedSchema.".to_owned())
        } else {
            None
        };
        hold(out, problem, "mode form or none, and requestedSchema", &msg.value, "complete the form", &[msg]);
    }
}

/// The fields of a form: its schema's properties.
fn fields(msg: &Msg) -> impl Iterator<Item = (&String, &Value)> {
    param(msg, "requestedSchema").at("properties").as_object().into_iter().flatten()
}

/// A form is flat: an object whose properties are strings, numbers, booleans; or multiple choices where the revision
/// has them, which is for another check to say.
fn form_schema_flat(view: &View<'_>, out: &mut Findings) {
    for msg in forms(view, out) {
        let schema = param(msg, "requestedSchema");
        if !schema.is_object() {
            continue;
        }
        let known = ["string", "number", "integer", "boolean", "array"];
        let deep = fields(msg).find(|(_, field)| {
            let flat = field.at("type").as_str().is_some_and(|kind| known.contains(&kind));
            let objects = field.at("items").member("properties").is_some() || field.at("items").at("type") == "object";
            !flat || objects
        });
        let problem = if schema.at("type") != "object" || !schema.at("properties").is_object() {
            Some("The schema of a form is no object with properties.".to_owned())
        } else {
            deep.map(|(name, field)| format!("The field {name:?} of a form is nothing flat: {field}."))
        };
        let expected = "type object with properties of type string, number, integer or boolean";
        hold(out, problem, expected, schema, "ask for nested values field by field", &[msg]);
    }
}

/// Multiple choice came with 2025-11-25; a titled choice by `oneOf` before that only warns.
fn enum_form(view: &View<'_>, out: &mut Findings) {
    for msg in forms(view, out) {
        let Some(revision) = msg.revision else { continue };
        for (name, field) in fields(msg) {
            let multiple = field.at("type") == "array";
            let titled = field.member("oneOf").is_some();
            if !multiple && !titled && field.member("enum").is_none() {
                continue;
            }
            let breach = |what: &str| {
                told(
                    format!("The field {name:?} is {what}, which revision {} does not know.", revision.facts().name),
                    &["a string with enum, and enumNames for its titles"],
                    field,
                    "choose the form of a choice by the negotiated revision",
                    &[msg],
                )
            };
            match (revision.facts().elicitation_url, multiple, titled) {
                (false, true, _) => out.breach(breach("a multiple choice")),
                (false, false, true) => out.contested(breach("a choice by oneOf")),
                _ => out.pass(),
            }
        }
    }
}

fn url_of(params: &Value) -> Option<url::Url> {
    params.at("url").as_str().and_then(|text| text.parse().ok())
}

/// A URL request has a message and a valid URL.
fn url_members(view: &View<'_>, out: &mut Findings) {
    for msg in urls(view, out) {
        let sound = param(msg, "message").is_string() && url_of(msg.value.at("params")).is_some();
        let problem = (!sound).then(|| "A URL elicitation lacks a message or a valid URL.".to_owned());
        hold(out, problem, "message and an absolute url", &msg.value, "send the whole URL to open", &[msg]);
    }
}

/// A URL request has an id of its own; one id for two URLs is wrong, repetition is not.
fn url_elicitation_id(view: &View<'_>, out: &mut Findings) {
    let all = urls(view, out);
    for (at, msg) in all.iter().enumerate() {
        let id = param(msg, "elicitationId");
        let other = all[..at]
            .iter()
            .find(|other| param(other, "elicitationId") == id && param(other, "url") != param(msg, "url"));
        let problem = if id.is_string() {
            other.map(|_| format!("The elicitationId {id} stands for two different URLs."))
        } else {
            Some("A URL elicitation has no string elicitationId.".to_owned())
        };
        let expected = "an elicitationId of its own for each elicitation";
        hold(out, problem, expected, &msg.value, "make a new id for each elicitation", &[msg]);
    }
}

/// URLs are https, except on the developer's own machine.
fn url_https(view: &View<'_>, out: &mut Findings) {
    for msg in urls(view, out) {
        let Some(url) = url_of(msg.value.at("params")) else { continue };
        let host = url.host_str().unwrap_or_default();
        let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]") || host.ends_with(".localhost");
        let problem = (url.scheme() != "https" && !local).then(|| format!("The URL to open is {url}, not https."));
        hold(out, problem, "an https URL", &msg.value, "serve the page over https", &[msg]);
    }
}

/// The error -32042 lists what has to be done first: elicitations in URL mode, each with its id.
fn error_shape(view: &View<'_>, out: &mut Findings) {
    for msg in view.received().filter(|msg| msg.message().error_code() == Some(-32042)) {
        if !out.covers(msg.revision) {
            continue;
        }
        let sound = msg.value.at("error").at("data").at("elicitations").as_array().is_some_and(|list| {
            !list.is_empty()
                && list.iter().all(|item| {
                    item.at("mode") == "url" && item.at("elicitationId").is_string() && url_of(item).is_some()
                })
        });
        let problem = (!sound).then(|| "The error -32042 does not list the elicitations that it needs.".to_owned());
        let expected = "data.elicitations, each with mode url, elicitationId, url and message";
        hold(out, problem, expected, &msg.value, "list the elicitations in the error's data", &[msg]);
    }
}

/// Whether the client declared the mode of a request; an empty declaration means forms.
fn mode_declared(view: &View<'_>, msg: &Msg) -> Option<bool> {
    let url = client_declared(view, msg, &["elicitation", "url"])?;
    let form = client_declared(view, msg, &["elicitation", "form"])?;
    Some(if is_url_mode(msg) { url } else { form || !url })
}

/// A request uses only a mode that the client declared.
fn mode_supported(view: &View<'_>, out: &mut Findings) {
    for msg in asked(view, out, ELICIT) {
        let Some(supported) = mode_declared(view, msg) else { continue };
        let problem = (!supported).then(|| "An elicitation uses a mode that the client had not declared.".to_owned());
        let fix = "look at elicitation.form and elicitation.url among the client's capabilities";
        hold(out, problem, "a declared mode", &msg.value, fix, &[msg]);
    }
}

#[cfg(test)]
mod tests {
    use crate::check::support::three;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn asking(version: &str, client: Value, params: &Value) -> Builder {
        let call = json!({"jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": {"name": "t"}});
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": params});
        Builder::new()
            .initialize_with(version, version, client, json!({"tools": {}}))
            .post(&call)
            .stream()
            .sse(None, &question)
    }

    fn form(version: &str, field: &Value) -> Builder {
        let schema = json!({"type": "object", "properties": {"a": field}});
        asking(version, json!({"elicitation": {}}), &json!({"message": "m", "requestedSchema": schema}))
    }

    #[test]
    fn forms() {
        let good = form("2025-06-18", &json!({"type": "string", "enum": ["x"]}));
        let empty = asking("2025-06-18", json!({}), &json!({}));
        three("features.elicitation.server-only-if-declared", &good, &empty);
        three("features.elicitation.message-present", &good, &empty);
        let new = form("2025-11-25", &json!({"type": "string"}));
        three("features.elicitation.form-members", &new, &asking("2025-11-25", json!({}), &json!({})));
        three("features.elicitation.form-schema-flat", &good, &form("2025-06-18", &json!({"type": "object"})));
        let multiple = json!({"type": "array", "items": {"enum": ["x"]}});
        three("features.elicitation.enum-form-by-revision", &good, &form("2025-06-18", &multiple));
    }

    #[test]
    fn urls() {
        let url = |params: Value| asking("2025-11-25", json!({"elicitation": {"url": {}}}), &params);
        let item = json!({"mode": "url", "message": "m", "url": "https://x.example/", "elicitationId": "e"});
        let good = url(item.clone());
        three("features.elicitation.url-members", &good, &url(json!({"mode": "url", "url": "x"})));
        three("features.elicitation.url-elicitation-id", &good, &url(json!({"mode": "url"})));
        let undeclared = asking("2025-11-25", json!({"elicitation": {}}), &item);
        three("features.elicitation.mode-supported", &good, &undeclared);
        let plain = url(json!({"mode": "url", "url": "http://x.example/"}));
        three("features.elicitation.url-https", &good, &plain);
        let error = |data: Value| {
            let members = json!({"error": {"code": -32042, "message": "m", "data": data}});
            Builder::new().initialize("2025-11-25").call_answered("tools/call", json!({"name": "t"}), 200, &members)
        };
        let id = "features.elicitation.error-32042-shape";
        three(id, &error(json!({"elicitations": [item]})), &error(json!({})));
    }

    #[test]
    fn a_decline_ends_the_call() {
        let declined = json!({"jsonrpc": "2.0", "id": 1, "result": {"action": "decline"}});
        let asked =
            |end: End| form("2025-06-18", &json!({"type": "string"})).end(end).post(&declined).answer(202, &[], "");
        let done = json!({"jsonrpc": "2.0", "id": "c", "result": {"content": []}});
        let good = asked(End::CutShort).request("GET", &[], None).stream().sse(None, &done);
        three("features.elicitation.decline-handled-early", &good, &asked(End::TimedOut));
    }
}
