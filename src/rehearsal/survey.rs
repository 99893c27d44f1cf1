//! What a target offers, found out once by an ordinary conversation before any case is planned.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::client::{Drive, SafeCall, Target, TimeControl, drive};
use crate::model::{Clock, Rng, glob};
use crate::profile::Profile;
use crate::scenario::parse;
use crate::transcript::{End, View};

/// The name by which the reference server is known, wherever it runs.
const REFERENCE: &str = "mcp-rehearsal-reference";

const CONVERSATION: &str = "version: 1
id: connect.survey
title: What the target offers
why: Scenarios that need more than a target offers do not apply to it.
steps:
  - connect
  - negotiate
  - shutdown: { delete: true }
";

/// What the target offers.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// Its capabilities.
    pub capabilities: Value,
    /// Whether it assigns session ids.
    pub session: bool,
    /// Its tools, each with whether it may be called: it says that it only reads, or the user named it.
    pub tools: BTreeMap<String, bool>,
    /// What is called where a scenario names nothing.
    pub safe_call: SafeCall,
    /// Whether it asks for access tokens.
    pub auth: bool,
    /// Whether its clock can be moved.
    pub clock: bool,
    /// Whether it has the fixture tools of the reference server.
    pub reference: bool,
}

/// The target cannot be rehearsed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// Nothing answered.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The target.
        url: String,
        /// What happened instead of an answer.
        reason: String,
    },
    /// The built-in conversation is broken.
    #[error("the built-in survey does not parse: {0}")]
    Internal(String),
}

/// Talks to the target once, as the given profile.
pub(super) async fn survey(
    target: &Arc<Target>,
    profile: &Arc<Profile>,
    clock: Arc<dyn Clock>,
    rng: Rng,
    allowed: &[String],
) -> Result<Survey, SurveyError> {
    let scenario =
        parse("survey", CONVERSATION).map_err(|diagnostics| SurveyError::Internal(diagnostics.render(false)))?;
    let events = drive(Drive {
        scenario: Arc::new(scenario),
        profile: Arc::clone(profile),
        target: Arc::clone(target),
        clock,
        rng,
    })
    .await;
    let view = View::new(&events);
    if !view.exchanges.iter().any(|exchange| exchange.status.is_some()) {
        let reason = view.exchanges.iter().find_map(|exchange| match &exchange.end {
            Some(End::Failed(reason)) => Some(reason.clone()),
            Some(End::TimedOut) => Some(format!("no answer within {} s (--patience)", target.patience.as_secs())),
            Some(End::CutShort) => Some("the connection was closed without an answer".to_owned()),
            _ => None,
        });
        let reason = reason.unwrap_or_else(|| "no answer".to_owned());
        return Err(SurveyError::Unreachable { url: target.url.clone(), reason });
    }
    let conversation = view.conversations.first();
    let listed: Vec<&Value> = view
        .results_of("tools/list")
        .filter_map(|(_, _, result)| result.get("tools")?.as_array())
        .flatten()
        .filter(|tool| tool["name"].is_string())
        .collect();
    let name = |tool: &Value| tool["name"].as_str().unwrap_or_default().to_owned();
    let reference = conversation.is_some_and(|conversation| conversation.result["serverInfo"]["name"] == REFERENCE);
    let may = |tool: &Value| {
        reference
            || tool["annotations"]["readOnlyHint"] == true
            || allowed.iter().any(|pattern| glob(pattern, &name(tool)))
    };
    let tools: BTreeMap<String, bool> = listed.iter().map(|tool| (name(tool), may(tool))).collect();
    let needs_nothing = |tool: &Value| tool["inputSchema"]["required"].as_array().is_none_or(Vec::is_empty);
    let harmless = listed.iter().find(|tool| may(tool) && needs_nothing(tool));
    let safe_call = match (&target.safe_call, harmless) {
        (SafeCall::Method(_), Some(tool)) => SafeCall::Tool { name: name(tool), arguments: json!({}) },
        (SafeCall::Method(_), None) if !listed.is_empty() => SafeCall::Method("tools/list".to_owned()),
        (said, _) => said.clone(),
    };
    Ok(Survey {
        capabilities: conversation
            .and_then(|conversation| conversation.result.get("capabilities"))
            .cloned()
            .unwrap_or_default(),
        session: conversation.is_some_and(|conversation| conversation.session.is_some()),
        reference,
        auth: view.exchanges.iter().any(|exchange| exchange.status == Some(401) && exchange.target == target.path),
        clock: !matches!(target.time, TimeControl::None),
        tools,
        safe_call,
    })
}
