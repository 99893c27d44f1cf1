//! The control endpoint: move the clock, look at the counts, break the streams. Loopback only, by `running`.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::answer::Reply;
use super::dispatch::App;
use super::oauth::{self, Issuer, OAuthError};
use crate::model::Members as _;

/// Serves a path below `/control/`.
pub(crate) async fn serve(app: &App, method: &Method, path: &str, body: &[u8]) -> Reply {
    match (method.as_str(), path) {
        ("POST", "/control/clock") => {
            let advance = serde_json::from_slice::<Value>(body).ok();
            let Some(ms) = advance.and_then(|body| body.member("advance_ms").and_then(Value::as_u64)) else {
                return Reply::json(400, &json!({"error": "advance_ms has to be a number of milliseconds"}));
            };
            app.clock.advance(Duration::from_millis(ms));
            Reply::json(200, &json!({"offset_ms": u64::try_from(app.clock.offset().as_millis()).unwrap_or(u64::MAX)}))
        }
        ("GET", "/control/state") => {
            let sessions = app.sessions.all();
            let streams: usize = sessions.iter().map(|session| session.live_streams()).sum();
            let streams = streams + app.modern.listeners.count();
            let working = app.modern.working();
            Reply::json(200, &json!({"sessions": sessions.len(), "streams": streams, "working": working}))
        }
        ("POST", "/control/authorization/revoke") => {
            told(app, async |issuer| issuer.grants.revoke_all(issuer.now()).await).await
        }
        ("POST", "/control/authorization/forget-clients") => {
            told(app, async |issuer| issuer.clients.forget().await).await
        }
        ("POST", "/control/authorization/rotate-keys") => told(app, async |issuer| issuer.rotate_keys().await).await,
        ("POST", "/control/authorization/mint") => {
            let Some(issuer) = &app.issuer else { return Reply::empty(404) };
            match oauth::mint(issuer, body) {
                Ok(minted) => Reply::json(200, &minted),
                Err(why) => Reply::json(400, &json!({"error": why})),
            }
        }
        ("GET", "/control/authorization") => {
            let Some(issuer) = &app.issuer else { return Reply::empty(404) };
            let (grants, codes) = match issuer.grants.count().await {
                Ok(counts) => counts,
                Err(error) => return error.reply(),
            };
            Reply::json(
                200,
                &json!({"issuer": issuer.identifier(), "grants": grants, "codes": codes,
                "counts": issuer.counts.told()}),
            )
        }
        ("POST", "/control/drop") => {
            app.sessions.all().iter().for_each(|session| session.abort_streams());
            app.modern.listeners.drop_all();
            Reply::empty(204)
        }
        _ => Reply::empty(404),
    }
}

/// Does something to the authorization server and tells how many things it changed.
async fn told(app: &App, change: impl AsyncFnOnce(&Issuer) -> Result<usize, OAuthError>) -> Reply {
    let Some(issuer) = &app.issuer else { return Reply::empty(404) };
    match change(issuer).await {
        Ok(changed) => Reply::json(200, &json!({"changed": changed})),
        Err(error) => error.reply(),
    }
}
