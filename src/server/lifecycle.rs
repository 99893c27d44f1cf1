//! `initialize`, `ping` and `logging/setLevel`: how a conversation begins and is kept up.
//!
//! Owns the version rules. It must not know HTTP; the session id is made here and carried elsewhere.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bearer::Caller;
use super::dispatch::App;
use super::fault::Rule;
use super::reply::{Outcome, RpcError, code};
use super::schema::trim;
use super::session::Session;
use super::store::id_in;
use crate::model::{Clock as _, Members as _, Revision, Via};

/// Log levels, least severe first.
pub(crate) const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// What the server says of its use.
pub(crate) const INSTRUCTIONS: &str =
    "A reference server for rehearsals; every tool says in its description what it does.";

/// Who the server is.
pub(crate) fn server_info() -> Value {
    json!({"name": "mcp-rehearsal-reference", "title": "Reference server", "version": env!("CARGO_PKG_VERSION")})
}

/// What a session that begins has from its transport.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    /// What carries its messages.
    pub(crate) via: Via,
    /// The id that it was given already, where it was.
    pub(crate) id: Option<String>,
}

/// The revisions that are spoken there: the first one is older than Streamable HTTP.
fn spoken(via: Via) -> &'static [Revision] {
    if via == Via::StreamableHttp { &Revision::LEGACY_HTTP } else { &Revision::LEGACY }
}

/// An id for a session.
pub(crate) fn session_id(app: &App) -> String {
    let mut id = if app.faults.holds(Rule::SessionIdRandom) { app.rng.hex(16) } else { app.count().to_string() };
    if !app.faults.holds(Rule::SessionIdVisible) {
        id.insert(4.min(id.len()), ' ');
    }
    app.config.region.as_ref().map_or(id.clone(), |region| id_in(region, &id))
}

/// The revision that answers a request for `asked`: the same if it is known, else the newest.
pub(crate) fn negotiate(asked: &str, app: &App, via: Via) -> Revision {
    let known = spoken(via).iter().copied().find(|revision| revision.name() == asked);
    match known {
        Some(Revision::V2025_11_25) if !app.faults.holds(Rule::VersionEchoed) => Revision::V2025_06_18,
        Some(_) if !app.faults.holds(Rule::VersionEchoed) => Revision::V2025_11_25,
        Some(revision) => revision,
        None if !app.faults.holds(Rule::OfferUsable) => Revision::V2024_11_05,
        None if app.faults.holds(Rule::CounterOfferLatest) => Revision::V2025_11_25,
        None => Revision::V2025_03_26,
    }
}

/// Opens a session.
pub(crate) async fn initialize(
    app: &App,
    params: &Value,
    caller: Option<&Caller>,
    opening: Opening,
) -> Result<(Arc<Session>, Value), RpcError> {
    let asked = params
        .member("protocolVersion")
        .and_then(Value::as_str)
        .ok_or_else(|| RpcError::params("protocolVersion is missing or no string"))?;
    let capabilities = params
        .member("capabilities")
        .filter(|value| value.is_object())
        .ok_or_else(|| RpcError::params("capabilities is missing or no object"))?;
    let members = ["protocolVersion", "capabilities", "clientInfo"];
    let more = params.as_object().is_some_and(|given| given.keys().any(|name| !members.contains(&name.as_str())));
    if more && !app.faults.holds(Rule::InitializeOpen) {
        return Err(RpcError::params("params has an unknown member"));
    }
    let info = params.member("clientInfo");
    let named = |member: &str| info.and_then(|info| info.get(member)).is_some_and(Value::is_string);
    if !named("name") || !named("version") {
        return Err(RpcError::params("clientInfo needs a name and a version"));
    }
    if !app.faults.holds(Rule::CapabilitiesOptional) && capabilities.member("sampling").is_none() {
        return Err(RpcError::params("This server requires the sampling capability"));
    }
    let open = ["experimental", "roots", "sampling", "elicitation", "tasks", "extensions"];
    let own = capabilities.as_object().is_some_and(|names| names.keys().any(|name| !open.contains(&name.as_str())));
    if own && !app.faults.holds(Rule::CapabilitiesOpen) {
        return Err(RpcError::params("A capability is unknown"));
    }
    let known = spoken(opening.via).iter().any(|revision| revision.name() == asked);
    if !known && !app.faults.holds(Rule::CounterOffered) {
        // The specification's own example refuses with -32602, so that one would be tolerated.
        return Err(RpcError::new(-32000, "Unsupported protocol version"));
    }
    if asked == Revision::V2024_11_05.name() && !app.faults.holds(Rule::OfferUsable) {
        return Err(RpcError::params("Unsupported protocol version"));
    }
    let revision = negotiate(asked, app, opening.via);
    let id = opening.id.unwrap_or_else(|| session_id(app));
    let subject = caller.map(|caller| caller.subject.clone());
    let begun = app.sessions.begin(id, revision, capabilities.clone(), subject, app.clock.unix()).await;
    let session = begun.map_err(|away| RpcError::new(code::UNAVAILABLE, away.to_string()))?;
    let mut result = json!({
        "protocolVersion": revision.name(),
        "capabilities": {
            "completions": {},
            "logging": {},
            "prompts": {"listChanged": true},
            "resources": {"subscribe": true, "listChanged": true},
            "tools": {"listChanged": true},
        },
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    });
    if !revision.facts().completions_capability
        && let Some(capabilities) = result["capabilities"].as_object_mut()
    {
        capabilities.shift_remove("completions");
    }
    trim(&mut result, revision);
    Ok((session, result))
}

/// `logging/setLevel`.
pub(crate) fn set_level(app: &App, session: &Session, params: &Value) -> Outcome {
    let name = params.member("level").and_then(Value::as_str).unwrap_or_default();
    match LEVELS.iter().position(|level| *level == name) {
        Some(_) if name == "notice" && !app.faults.holds(Rule::LevelsTaken) => {
            return Err(RpcError::params("`notice` is not supported"));
        }
        Some(level) => session.set_level(level),
        None if app.faults.holds(Rule::LogLevelChecked) => {
            return Err(RpcError::params(format!("`{name}` is no log level; there are {}", LEVELS.join(", "))));
        }
        None => {}
    }
    Ok(json!({}))
}
