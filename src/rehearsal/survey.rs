//! What a target offers, found out once by an ordinary conversation before any case is planned.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::client::{Drive, Target, TimeControl, drive};
use crate::model::{Clock, Rng};
use crate::profile::Profile;
use crate::scenario::parse;
use crate::transcript::{End, View};

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
    /// Names of its tools.
    pub tools: BTreeSet<String>,
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
    let tools: BTreeSet<String> = view
        .results_of("tools/list")
        .filter_map(|(_, _, result)| result.get("tools")?.as_array())
        .flatten()
        .filter_map(|tool| tool.get("name")?.as_str().map(str::to_owned))
        .collect();
    Ok(Survey {
        capabilities: conversation
            .and_then(|conversation| conversation.result.get("capabilities"))
            .cloned()
            .unwrap_or_default(),
        session: conversation.is_some_and(|conversation| conversation.session.is_some()),
        reference: tools.contains("test_simple_text") && tools.contains("test_slow"),
        clock: !matches!(target.time, TimeControl::None),
        tools,
    })
}
