//! The shape of a whole message: its envelope, and what its method makes of params and result.

use serde_json::Value;

use super::fit::Misfit;
use super::grammar::Shape;
use super::table::{Member, Table, of};
use crate::model::{Kind, Members as _, Message, Revision};

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// What the shape of a message shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It fits.
    Fits,
    /// Its revision does not know it, or it is no message: nothing can be said.
    Unknown,
    /// It does not fit.
    Misfit(Misfit),
}

impl From<Option<Misfit>> for Reading {
    fn from(misfit: Option<Misfit>) -> Self {
        misfit.map_or(Self::Fits, Self::Misfit)
    }
}

/// Reads a message; `answers` is the method of the request that a response belongs to.
pub fn read(revision: Revision, value: &Value, sender: Sender, answers: Option<&str>) -> Reading {
    let Some(table) = of(revision) else { return Reading::Unknown };
    let message = Message(value);
    match message.kind() {
        Kind::Request => called(table, value, sender, true),
        Kind::Notification => called(table, value, sender, false),
        Kind::Response if message.error().is_some() => error(table, value),
        Kind::Response => result(table, value, answers),
        Kind::Other => Reading::Unknown,
    }
}

fn member(name: &str, shape: Shape) -> Member {
    Member { name: name.to_owned(), shape, required: true }
}

fn marker(table: &Table, value: &Value) -> Option<Misfit> {
    table.member(&member("jsonrpc", Shape::Literal("2.0".into())), value.member("jsonrpc"))
}

fn id(table: &Table, value: &Value) -> Option<Misfit> {
    table.member(&member("id", Shape::Named("RequestId".to_owned())), value.member("id"))
}

fn called(table: &Table, value: &Value, sender: Sender, request: bool) -> Reading {
    let name = match value.member("method") {
        Some(Value::String(name)) => name,
        other => return table.member(&member("method", Shape::String), other).into(),
    };
    let known = table.methods.get(name).filter(|method| {
        let may = match sender {
            Sender::Client => method.from_client,
            Sender::Server => method.from_server,
        };
        may && method.result.is_some() == request
    });
    let Some(method) = known else { return Reading::Unknown };
    let envelope = marker(table, value).or_else(|| if request { id(table, value) } else { None });
    envelope.or_else(|| table.member(&method.params, value.member("params"))).into()
}

fn result(table: &Table, value: &Value, answers: Option<&str>) -> Reading {
    let Some(shape) = answers.and_then(|method| table.methods.get(method)?.result.as_ref()) else {
        return Reading::Unknown;
    };
    let envelope = marker(table, value).or_else(|| id(table, value));
    envelope.or_else(|| Some(table.misfit(shape, value.at("result"), 0)?.under("result"))).into()
}

/// An error without an id, or with a null one, is the answer to something that could not be read (JSON-RPC 2.0 section 5).
fn error(table: &Table, value: &Value) -> Reading {
    let named = value.member("id").is_some_and(|id| !id.is_null());
    let envelope = marker(table, value).or_else(|| if named { id(table, value) } else { None });
    envelope.or_else(|| table.member(&member("error", Shape::Named("Error".to_owned())), value.member("error"))).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(revision: Revision, value: &Value, answers: Option<&str>) -> String {
        match read(revision, value, Sender::Server, answers) {
            Reading::Misfit(misfit) => format!("{} {}", misfit.path, misfit.what),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_place() {
        let newest = Revision::V2025_11_25;
        let tools = |tools: Value| json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}});
        let list = Some("tools/list");
        assert_eq!(said(newest, &tools(json!([{"name": "a", "inputSchema": {"type": "object"}}])), list), "Fits");
        let nameless = tools(json!([{"inputSchema": {"type": "object"}}]));
        assert_eq!(said(newest, &nameless, list), "result.tools[0].name is missing; it has to be a string");
        let numbered = tools(json!([{"name": 5, "inputSchema": {"type": "object"}}]));
        assert_eq!(said(newest, &numbered, list), "result.tools[0].name is 5, and has to be a string");
        let wild = tools(json!([{"name": "a", "inputSchema": {"type": "array"}}]));
        let words = "result.tools[0].inputSchema.type is \"array\", and has to be \"object\"";
        assert_eq!(said(newest, &wild, list), words);
        assert_eq!(said(newest, &tools(json!(null)), None), "Unknown");
    }

    #[test]
    fn of_several_kinds_the_one_that_was_meant_is_told() {
        let call = |block: Value| json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [block]}});
        let said = |block| said(Revision::V2025_06_18, &call(block), Some("tools/call"));
        assert_eq!(said(json!({"type": "text", "text": "x"})), "Fits");
        assert_eq!(said(json!({"type": "text"})), "result.content[0].text is missing; it has to be a string");
        let image = json!({"type": "image", "data": "x"});
        assert_eq!(said(image), "result.content[0].mimeType is missing; it has to be a string");
        let odd = said(json!({"type": "video"}));
        assert!(odd.starts_with("result.content[0] is an object, and has to be an object (TextContent) or"), "{odd}");
        let ranked = json!({"type": "text", "text": "x", "annotations": {"priority": 2}});
        let words = "result.content[0].annotations.priority is 2, and has to be a number from 0 to 1";
        assert_eq!(said(ranked), words);
    }

    #[test]
    fn each_revision_has_its_own_shape() {
        let sound = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "audio", "data": "", "mimeType": "a/b"}]}});
        assert_eq!(said(Revision::V2025_03_26, &sound, Some("tools/call")), "Fits");
        assert_ne!(said(Revision::V2024_11_05, &sound, Some("tools/call")), "Fits");
        let modern = said(Revision::V2026_07_28, &sound, Some("tools/call"));
        assert!(modern.starts_with("result.resultType is missing"), "{modern}");
        let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {"message": "m"}});
        assert_eq!(said(Revision::V2025_03_26, &ask, None), "Unknown");
        assert!(said(Revision::V2025_06_18, &ask, None).starts_with("params.requestedSchema is missing"));
    }

    #[test]
    fn errors_and_envelopes_have_a_shape_too() {
        let newest = Revision::V2025_11_25;
        let error = |error: Value| json!({"jsonrpc": "2.0", "id": null, "error": error});
        assert_eq!(said(newest, &error(json!({"code": -1, "message": "m"})), None), "Fits");
        assert_eq!(
            said(newest, &error(json!({"code": 1.5, "message": "m"})), None),
            "error.code is 1.5, and has to be a whole number"
        );
        let ping = json!({"jsonrpc": "1.0", "id": 1, "method": "ping"});
        assert_eq!(said(newest, &ping, None), "jsonrpc is \"1.0\", and has to be \"2.0\"");
        assert_eq!(said(newest, &json!({"jsonrpc": "2.0", "id": 1, "method": "no/such"}), None), "Unknown");
    }
}
