//! What makes a result one of this era: its type, who gave it, and for how long and whom it may be kept.

use serde_json::{Value, json};

use super::meta::SERVER_INFO;
use crate::server::lifecycle::server_info;

/// For how many milliseconds a complete result may be kept, and by whom; `None` for results that are not kept at all.
/// Lists are the same for everybody; what is read may be changed by anybody at any time.
fn hint(method: &str) -> Option<(u64, &'static str)> {
    match method {
        "server/discover" => Some((3_600_000, "public")),
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" => Some((300_000, "public")),
        "resources/read" => Some((0, "private")),
        _ => None,
    }
}

/// Adds to a result what every result has.
pub(crate) fn finish(method: &str, mut result: Value) -> Value {
    let Some(members) = result.as_object_mut() else { return result };
    let kind = members.entry("resultType").or_insert_with(|| json!("complete"));
    if *kind == "complete"
        && let Some((ttl, scope)) = hint(method)
    {
        members.insert("ttlMs".to_owned(), json!(ttl));
        members.insert("cacheScope".to_owned(), json!(scope));
    }
    if let Some(meta) = members.entry("_meta").or_insert_with(|| json!({})).as_object_mut() {
        meta.insert(SERVER_INFO.to_owned(), server_info());
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_results_of_the_six_are_kept() {
        let kept = |method: &str, result: Value| finish(method, result).get("ttlMs").is_some();
        for method in ["server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list"] {
            assert!(kept(method, json!({})), "{method}");
        }
        assert!(kept("resources/read", json!({"contents": []})));
        assert!(!kept("resources/read", json!({"resultType": "input_required"})));
        assert!(!kept("tools/call", json!({})) && !kept("prompts/get", json!({})));
    }

    #[test]
    fn every_result_says_its_kind_and_its_server() {
        let result = finish("tools/call", json!({"content": [], "_meta": {"com.example/x": 1}}));
        assert_eq!(result["resultType"], "complete");
        assert_eq!(result["_meta"]["com.example/x"], 1);
        assert!(result["_meta"][SERVER_INFO]["version"].is_string());
        assert_eq!(finish("tools/call", json!({"resultType": "task"}))["resultType"], "task");
    }
}
