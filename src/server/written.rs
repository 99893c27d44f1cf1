//! Answers that are written once: nearly every client asks for the list of tools, which without faults is always the same.
//!
//! It must not know what is in them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::dispatch::App;
use super::session::Session;
use super::tools;
use crate::model::{Members as _, Message, Revision};

/// The result of `tools/list` as text, by revision.
static LISTS: Mutex<BTreeMap<Revision, Arc<str>>> = Mutex::new(BTreeMap::new());

/// The response to a request of a session, if it is one that is written already and nothing stands against it.
pub(crate) fn response(app: &App, session: &Session, request: &Value) -> Option<Vec<u8>> {
    let id = request.member("id")?;
    let plain = app.faults.is_empty() && !session.marked(tools::CHANGED);
    let whole = || request.member("params").is_none_or(|params| !params.has("cursor"));
    if Message(request).method() != Some("tools/list") || !plain || !whole() || session.is_running(&app.key(id)) {
        return None;
    }
    let list = list(app, session)?;
    let id = id.to_string();
    let mut body = Vec::with_capacity(list.len() + id.len() + 64);
    for part in [r#"{"jsonrpc":"2.0","id":"#, &id, r#","result":"#, &list, "}"] {
        body.extend_from_slice(part.as_bytes());
    }
    Some(body)
}

fn list(app: &App, session: &Session) -> Option<Arc<str>> {
    let lists = || LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lists().get(&session.revision) {
        return Some(Arc::clone(known));
    }
    let made: Arc<str> = tools::list(app, session, &Value::Null).ok()?.to_string().into();
    lists().insert(session.revision, Arc::clone(&made));
    Some(made)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::config::ServerConfig;
    use super::super::lifecycle::Opening;
    use super::super::message::handshake;
    use super::super::running::assemble;
    use super::*;
    use crate::model::{HybridClock, Rng, Via};

    async fn opened(faults: &[&str], revision: Revision) -> (Arc<App>, Arc<Session>) {
        let faults = faults.iter().map(|fault| (*fault).to_owned()).collect();
        let config = ServerConfig { faults, ..ServerConfig::default() };
        let app = assemble(&config, HybridClock::new(), Rng::seeded(1)).await.expect("assembled");
        let client = json!({"name": "x", "version": "1"});
        let params = json!({"protocolVersion": revision.name(), "capabilities": {}, "clientInfo": client});
        let begin = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let opening = Opening { via: Via::StreamableHttp, id: None };
        let (session, _) = handshake(&app, &begin, None, opening).await.expect("begun");
        (app, session)
    }

    fn asked(params: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": "a \"b\"", "method": "tools/list", "params": params})
    }

    #[tokio::test]
    async fn what_is_written_is_what_would_be_made() {
        for revision in Revision::LEGACY {
            for params in [json!({}), json!({"_meta": {"progressToken": 1}})] {
                let (app, session) = opened(&[], revision).await;
                let written = response(&app, &session, &asked(&params)).expect("written");
                let made = app.perform(session, None, asked(&params)).await.expect("made").to_string();
                assert!(String::from_utf8(written).expect("text") == made, "{revision}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_out_of_the_ordinary_is_made() {
        let newest = Revision::V2025_11_25;
        let (app, session) = opened(&[], newest).await;
        assert_eq!(response(&app, &session, &asked(&json!({"cursor": "x"}))), None);
        let other = json!({"jsonrpc": "2.0", "id": 2, "method": "prompts/list"});
        assert_eq!(response(&app, &session, &other), None);
        let twice = session.begin(&app.key(asked(&json!({})).at("id"))).expect("the first");
        assert_eq!(response(&app, &session, &asked(&json!({}))), None, "its id is in use");
        drop(twice);
        session.end(&app.key(asked(&json!({})).at("id")));
        assert!(response(&app, &session, &asked(&json!({}))).is_some());
        session.mark(tools::CHANGED);
        assert_eq!(response(&app, &session, &asked(&json!({}))), None, "the tools have changed");
        let (app, session) = opened(&["tools.unknown-served"], newest).await;
        assert_eq!(response(&app, &session, &asked(&json!({}))), None, "a fault may want it otherwise");
    }
}
