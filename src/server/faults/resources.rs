//! Faults of resources and subscriptions.

use serde_json::json;

use super::all::catalogue;
use crate::model::Members as _;
use crate::server::fault::{Fault, How, Rule};
use crate::server::resources::WATCHED;
use crate::server::rewrites::{drop_member, each_entry, fail, recode, spoil_base64};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "resources.missing-empty" breaks ["features.resources.not-found-not-result"]
        Rule(Rule::MissingResourceRefused) "A missing resource reads as empty";
    "resources.missing-code" breaks ["features.resources.not-found-32002"]
        Outgoing(|message, _| recode(message, -32002, -32602)) "A missing resource gets -32602";
    "resources.unreadable" breaks ["features.resources.read-works"]
        Outgoing(|message, context| fail(message, context, "resources/read", -32603)) "Listed resources cannot be read";
    "resources.nameless" breaks ["features.resources.definition-shape", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "resources/list", "resources", |entry| drop_member(entry, "name")))
        "Resources lack a name";
    "resources.uri-relative" breaks ["features.resources.uri-valid"]
        Outgoing(|message, context| each_entry(message, context, "resources/list", "resources", |entry| if entry.at("uri") == WATCHED { entry["uri"] = json!("test://watched resource") }))
        "A resource URI contains a space";
    "resources.scheme-underscore" breaks ["features.resources.custom-scheme-valid", "features.resources.uri-valid"]
        Outgoing(|message, context| each_entry(message, context, "resources/list", "resources", |entry| if entry.at("uri") == WATCHED { entry["uri"] = json!("my_test://watched-resource") }))
        "The scheme of a resource URI has an underscore";
    "resources.priority-percent" breaks ["features.resources.annotations-valid", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "resources/list", "resources", |entry| if entry.member("annotations").is_some() { entry["annotations"]["priority"] = json!(50) }))
        "The priority of a resource is given in percent";
    "resources.any-uri-served" breaks ["features.resources.validate-uris"]
        Rule(Rule::ResourceUrisChecked) "What is no URI reads as a file";
    "resources.template-broken" breaks ["features.resources.template-valid"]
        Outgoing(|message, context| each_entry(message, context, "resources/templates/list", "resourceTemplates", |entry| entry["uriTemplate"] = json!(entry.at("uriTemplate").as_str().unwrap_or_default().replace('}', ""))))
        "URI templates have an open brace";
    "resources.contents-without-uri" breaks ["features.resources.contents-shape", "shape.result"]
        Outgoing(|message, context| each_entry(message, context, "resources/read", "contents", |entry| drop_member(entry, "uri")))
        "Contents lack their URI";
    "resources.bytes-as-text" breaks ["features.resources.blob-base64"]
        Outgoing(|message, context| if context.method == Some("resources/read") { spoil_base64(message) }) "Blobs are no base64";
    "resources.subscribe-refused" breaks ["features.resources.subscribe-works"]
        Outgoing(|message, context| fail(message, context, "resources/subscribe", -32601)) "resources/subscribe is declared and unknown";
    "resources.update-silent" breaks ["features.resources.updated-notification"]
        Rule(Rule::UpdatesSent) "Subscribers do not hear of changes";
    "resources.update-unasked" breaks ["features.resources.unsubscribed-silent"]
        Rule(Rule::SubscribersOnly) "Everybody hears of changes";
    "resources.unsubscribe-ignored" breaks ["features.resources.unsubscribed-silent"]
        Rule(Rule::UnsubscribeHonoured) "Changes are told after unsubscribe";
};
