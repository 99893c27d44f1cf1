//! Which era a message speaks, from its own signs alone. It must not know what either era answers.

use serde_json::Value;

use super::meta;
use crate::model::{Kind, Members as _, Message, Revision};

/// Methods that only this era has.
const OWN_METHODS: [&str; 3] = ["server/discover", "subscriptions/listen", "tasks/update"];

/// Whether the params carry one of the two members that every request of this era has to have.
pub(crate) fn has_modern_field(value: &Value) -> bool {
    let found = value.member("params").and_then(|params| params.member("_meta"));
    found.is_some_and(|found| found.get(meta::VERSION).is_some() || found.get(meta::CAPABILITIES).is_some())
}

/// Whether a version is written as a date from the first revision of this era on.
fn is_modern_version(version: &str) -> bool {
    let dated = version.len() == 10
        && version.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    dated && version >= Revision::V2026_07_28.name()
}

/// The headers of a POST that tell its era.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Signs<'a> {
    /// `MCP-Protocol-Version`.
    pub(crate) version: Option<&'a str>,
    /// Whether there is an `Mcp-Method`.
    pub(crate) names_method: bool,
    /// Whether there is an `Mcp-Session-Id`.
    pub(crate) names_session: bool,
}

/// Whether the one message of a POST belongs to this era; the first sign that is there decides.
pub(crate) fn is_modern_post(signs: Signs<'_>, kind: Kind, value: &Value) -> bool {
    let method = Message(value).method();
    if has_modern_field(value) {
        return true;
    }
    // A handshake is asked for by the body; what its headers say is negotiated there.
    if method == Some("initialize") {
        return false;
    }
    if signs.version.is_some_and(is_modern_version) {
        return true;
    }
    let own = method.is_some_and(|method| OWN_METHODS.contains(&method)) || signs.names_method;
    kind == Kind::Request && own && !signs.names_session
}

/// Whether a request that came without headers belongs to this era; `opened` says that there was a handshake.
pub(crate) fn is_modern_message(value: &Value, opened: bool) -> bool {
    let own = Message(value).method().is_some_and(|method| OWN_METHODS.contains(&method));
    has_modern_field(value) || (own && !opened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(method: &str, params: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    }

    #[test]
    fn the_first_sign_decides() {
        let modern = json!({"_meta": {"io.modelcontextprotocol/clientCapabilities": {}}});
        let none = json!({});
        let (session, method) =
            (Signs { names_session: true, ..Signs::default() }, Signs { names_method: true, ..Signs::default() });
        let version = |version| Signs { version: Some(version), ..Signs::default() };
        let rows = [
            (Signs::default(), "initialize", &modern, true),
            (session, "ping", &modern, true),
            (version("2025-11-25"), "tools/list", &modern, true),
            (version("2026-07-28"), "tools/list", &none, true),
            (version("2027-01-01"), "tools/list", &none, true),
            (Signs { names_session: true, ..version("2026-07-28") }, "tools/list", &none, true),
            (version("2026-07-28"), "initialize", &none, false),
            (Signs::default(), "server/discover", &none, true),
            (session, "server/discover", &none, false),
            (method, "tools/list", &none, true),
            (Signs { names_session: true, ..method }, "tools/list", &none, false),
            (Signs::default(), "initialize", &none, false),
            (version("2025-11-25"), "tools/list", &none, false),
            (version("v999.0.0"), "tools/list", &none, false),
            (version("9999"), "tools/list", &none, false),
            (Signs::default(), "tools/list", &none, false),
        ];
        for (signs, method, params, modern) in rows {
            let value = request(method, params);
            assert_eq!(is_modern_post(signs, Kind::Request, &value), modern, "{signs:?} {value}");
        }
    }

    #[test]
    fn on_a_pipe_the_body_decides() {
        assert!(is_modern_message(&request("tools/list", &json!({"_meta": {meta::VERSION: "x"}})), true));
        assert!(is_modern_message(&request("server/discover", &json!({})), false));
        assert!(!is_modern_message(&request("server/discover", &json!({})), true));
        assert!(!is_modern_message(&request("tools/list", &json!({})), false));
    }
}
