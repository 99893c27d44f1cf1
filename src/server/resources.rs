//! The fixture resources, their templates and subscriptions. It must not know streams.

use serde_json::{Value, json};

use super::dispatch::App;
use super::fault::Rule;
use super::reply::{Outcome, RpcError, code};
use super::schema::{page, trim_all};
use super::session::Session;
use super::tools::PNG;
use crate::model::{Members as _, Revision};

/// The resource that `test_touch_resource` changes.
pub(crate) const WATCHED: &str = "test://watched-resource";

/// The resource that is listed once `test_trigger_resource_change` has been called.
const ADDED: &str = "test://added-resource";

/// `resources/list`.
pub(crate) fn list(app: &App, session: &Session, params: &Value) -> Outcome {
    let mut items = vec![
        entry("test://static-text", "static-text", "A text that never changes", "text/plain"),
        entry("test://static-binary", "static-binary", "A small image", "image/png"),
        entry(WATCHED, "watched-resource", "A resource to subscribe to", "text/plain"),
    ];
    items[0]["annotations"] = json!({"audience": ["user", "assistant"], "priority": 0.5});
    if session.marked("resources") {
        items.push(entry(ADDED, "added-resource", "Was not there at the beginning", "text/plain"));
    }
    trim_all(&mut items, session.revision);
    page(app, "resources/list", params, "resources", items, usize::MAX / 2)
}

fn entry(uri: &str, name: &str, description: &str, mime: &str) -> Value {
    json!({"uri": uri, "name": name, "title": name.replace('-', " "), "description": description, "mimeType": mime})
}

/// `resources/templates/list`; one at a time, so that a client has to follow the cursor.
pub(crate) fn templates(app: &App, session: &Session, params: &Value) -> Outcome {
    let mut items = [("data", "Data of one id"), ("note", "A note of one id")].map(|(last, description)| {
        json!({
            "uriTemplate": format!("test://template/{{id}}/{last}"),
            "name": format!("template-{last}"),
            "title": format!("Template for {last}"),
            "description": description,
            "mimeType": "application/json",
        })
    });
    trim_all(&mut items, session.revision);
    page(app, "resources/templates/list", params, "resourceTemplates", items.into(), 1)
}

fn uri(params: &Value) -> Result<&str, RpcError> {
    params.member("uri").and_then(Value::as_str).ok_or_else(|| RpcError::params("uri is missing or no string"))
}

fn contents(uri: &str) -> Option<Value> {
    Some(match uri {
        "test://static-text" => {
            json!({"uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource."})
        }
        "test://static-binary" => json!({"uri": uri, "mimeType": "image/png", "blob": PNG}),
        ADDED => json!({"uri": uri, "mimeType": "text/plain", "text": "Added resource content"}),
        WATCHED => json!({"uri": uri, "mimeType": "text/plain", "text": "Watched resource content"}),
        _ => {
            let (id, last) = uri.strip_prefix("test://template/")?.split_once('/')?;
            if id.is_empty() || !matches!(last, "data" | "note") {
                return None;
            }
            let what = if last == "data" { "Data" } else { "Note" };
            let text = json!({"id": id, "templateTest": true, "data": format!("{what} for ID: {id}")}).to_string();
            json!({"uri": uri, "mimeType": "application/json", "text": text})
        }
    })
}

/// Whether there is such a resource.
pub(crate) fn exists(uri: &str) -> bool {
    contents(uri).is_some()
}

fn not_found(uri: &str, revision: Revision) -> RpcError {
    RpcError {
        // The code of its own was given up.
        code: if revision < Revision::V2026_07_28 { code::RESOURCE_NOT_FOUND } else { code::INVALID_PARAMS },
        message: "Resource not found".to_owned(),
        data: Some(json!({"uri": uri})),
    }
}

/// `resources/read`.
pub(crate) fn read(app: &App, session: &Session, params: &Value) -> Outcome {
    let uri = uri(params)?;
    match contents(uri) {
        None if !uri.contains(':') && !app.faults.holds(Rule::ResourceUrisChecked) => {
            Ok(json!({"contents": [{"uri": format!("file:///{uri}"), "text": "A file"}]}))
        }
        Some(contents) => Ok(json!({"contents": [contents]})),
        None if app.faults.holds(Rule::MissingResourceRefused) => Err(not_found(uri, session.revision)),
        None => Ok(json!({"contents": []})),
    }
}

/// `resources/subscribe` and `resources/unsubscribe`.
pub(crate) fn subscribe(session: &Session, params: &Value, on: bool) -> Outcome {
    let uri = uri(params)?;
    if on && contents(uri).is_none() {
        return Err(not_found(uri, session.revision));
    }
    session.subscribe(uri, on);
    Ok(json!({}))
}
