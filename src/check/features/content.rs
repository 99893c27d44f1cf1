//! Content items, which tool results and prompt messages share. Holds no checks of its own.

use serde_json::Value;

use crate::check::syntax::{is_base64, is_media_type};
use crate::model::{Members as _, Revision};

/// Why the type of an item is not one of this revision.
pub(crate) fn type_problem(item: &Value, revision: Revision) -> Option<String> {
    let facts = revision.facts();
    match item.at("type").as_str()? {
        "text" | "image" | "resource" => None,
        "audio" if facts.audio => None,
        "resource_link" if facts.resource_link => None,
        other => Some(format!("Content of type {other:?} does not exist in revision {}.", facts.name)),
    }
}

/// The content types of a revision, in words.
pub(crate) fn types_of(revision: Revision) -> String {
    let facts = revision.facts();
    let mut types = vec!["text", "image", "resource"];
    if facts.audio {
        types.push("audio");
    }
    if facts.resource_link {
        types.push("resource_link");
    }
    types.join(", ")
}

/// What an item lacks for its type; types that are not known say nothing.
pub(crate) fn shape_problem(item: &Value) -> Option<String> {
    let Some(kind) = item.at("type").as_str() else {
        return Some("A content item has no string as its type.".to_owned());
    };
    let needed: &[&str] = match kind {
        "text" => &["text"],
        "image" | "audio" => &["data", "mimeType"],
        "resource_link" => &["uri", "name"],
        "resource" => return resource_problem(item.at("resource")),
        _ => return None,
    };
    let missing = needed.iter().find(|name| !item[**name].is_string())?;
    Some(format!("A content item of type {kind} has no string {missing}."))
}

/// What an embedded or read resource lacks: a URI, and text or blob.
pub(crate) fn resource_problem(resource: &Value) -> Option<String> {
    if !resource.at("uri").is_string() {
        return Some("The contents of a resource have no string uri.".to_owned());
    }
    let has = |name: &str| resource[name].is_string();
    (!has("text") && !has("blob")).then(|| "The contents of a resource have neither text nor blob.".to_owned())
}

/// Why the data of an image or audio item are not usable; `None` if they are.
pub(crate) fn binary_problem(item: &Value) -> Option<String> {
    let kind = item.at("type").as_str().unwrap_or("binary");
    match (item.at("data").as_str(), item.at("mimeType").as_str()) {
        (None, _) => Some(format!("The data of an item of type {kind} are not a string.")),
        (Some(data), _) if !is_base64(data) => Some(format!("The data of an item of type {kind} are not base64.")),
        (_, None) => Some(format!("An item of type {kind} has no mimeType.")),
        (_, Some(mime)) if !is_media_type(mime) => {
            Some(format!("The mimeType {mime:?} of an item of type {kind} is no media type."))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn audio_and_links_came_later() {
        let link = json!({"type": "resource_link", "uri": "a:b", "name": "x"});
        assert!(type_problem(&link, Revision::V2025_03_26).is_some());
        assert!(type_problem(&link, Revision::V2025_06_18).is_none());
        assert!(shape_problem(&link).is_none() && shape_problem(&json!({"type": "text"})).is_some());
    }
}
