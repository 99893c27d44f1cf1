//! The control endpoint: move the clock, look at the counts, break the streams. Loopback only, by `running`.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::dispatch::App;
use super::http::Reply;

/// Serves a path below `/control/`.
pub(crate) fn serve(app: &App, method: &Method, path: &str, body: &[u8]) -> Reply {
    match (method.as_str(), path) {
        ("POST", "/control/clock") => {
            let advance = serde_json::from_slice::<Value>(body).ok();
            let Some(ms) = advance.and_then(|body| body.get("advance_ms").and_then(Value::as_u64)) else {
                return Reply::json(400, &json!({"error": "advance_ms has to be a number of milliseconds"}));
            };
            app.clock.advance(Duration::from_millis(ms));
            Reply::json(200, &json!({"offset_ms": u64::try_from(app.clock.offset().as_millis()).unwrap_or(u64::MAX)}))
        }
        ("GET", "/control/state") => {
            let sessions = app.sessions.all();
            let streams: usize = sessions.iter().map(|session| session.live_streams()).sum();
            Reply::json(200, &json!({"sessions": sessions.len(), "streams": streams}))
        }
        ("POST", "/control/drop") => {
            app.sessions.all().iter().for_each(|session| session.abort_streams());
            Reply::empty(204)
        }
        _ => Reply::empty(404),
    }
}
