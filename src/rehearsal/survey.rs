//! What a target offers, found out once by an ordinary conversation before any case is planned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::client::{Drive, Entry, SafeCall, Target, TimeControl, drive, token_to_order};
use crate::model::{Audience, Clock, Revision, Rng, TokenOrder, Via, glob};
use crate::profile::Profile;
use crate::scenario::parse;
use crate::transcript::{End, EventKind, Exchange, Msg, View};

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
#[expect(clippy::struct_excessive_bools, reason = "each is an answer to a question of its own")]
pub struct Survey {
    /// Its capabilities in the era of `initialize`.
    pub capabilities: Value,
    /// Whether it answers `initialize`.
    pub legacy: bool,
    /// Its capabilities in the era without a handshake, where it speaks that.
    pub modern: Option<Value>,
    /// Whether it assigns session ids.
    pub session: bool,
    /// Its tools, each with whether it may be called: it says that it only reads, or the user named it.
    pub tools: BTreeMap<String, bool>,
    /// Names of its prompts.
    pub prompts: BTreeSet<String>,
    /// URIs of its resources.
    pub resources: BTreeSet<String>,
    /// What is called where a scenario names nothing.
    pub safe_call: SafeCall,
    /// Whether it asks for access tokens.
    pub auth: bool,
    /// Whether somebody signs tokens to order that could be good there.
    pub mint: bool,
    /// Whether it can read documents that are published on this machine.
    pub documents: bool,
    /// Whether its clock can be moved.
    pub clock: bool,
    /// The transport over which it was met.
    pub via: Via,
    /// Whether that was its user's choice, not the client's.
    pub chosen: bool,
    /// Whether a session outlives its connection there.
    pub resumable: bool,
    /// How clients come by a token there.
    pub entry: Entry,
    /// How many nodes it has that can be told apart; 0 where it has one address.
    pub nodes: usize,
    /// Whether it can be restarted.
    pub restart: bool,
    /// Whether its store can be restarted.
    pub restart_store: bool,
    /// Whether its sessions are to outlive the process that serves them.
    pub durable: bool,
    /// Whether it is the server of this program, made anew for each case.
    pub embedded: bool,
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
    let scenario = Arc::new(scenario);
    let met = |profile: Arc<Profile>| {
        let (scenario, target) = (Arc::clone(&scenario), Arc::clone(target));
        drive(Drive { scenario, profile, target, clock: Arc::clone(&clock), rng: rng.clone() })
    };
    // Who speaks both eras is met in each; who does not falls back to the older one by itself.
    let newer = met(newest(profile)).await;
    let modern = discovered(&View::new(&newer));
    let older = if modern.is_some() { met(Arc::clone(profile)).await } else { Vec::new() };
    let views: Vec<View<'_>> = [&older, &newer].map(|events| View::new(events)).into();
    if let Some(reason) = unreachable(&views[1], target) {
        return Err(SurveyError::Unreachable { url: target.name.clone(), reason });
    }
    let shaken =
        |view: &View<'_>| view.conversations.iter().position(|known| known.result["protocolVersion"].is_string());
    let met = views.iter().find_map(|view| Some((view, shaken(view)?)));
    let conversation = met.map(|(view, index)| &view.conversations[index]);
    let opening = met.map(|(view, index)| &view.exchanges[view.conversations[index].opened]);
    let opening = opening.or_else(|| views[1].exchanges.first());
    let via = opening.map(|opening| opening.via).or(target.via).unwrap_or_default();
    let every = |method, kind| views.iter().flat_map(move |view| items(view, method, kind));
    let listed: Vec<&Value> = every("tools/list", "tools").filter(|tool| tool["name"].is_string()).collect();
    let texts = |method, kind, member: &str| -> BTreeSet<String> {
        every(method, kind).filter_map(|item| item[member].as_str()).map(str::to_owned).collect()
    };
    let name = |tool: &Value| tool["name"].as_str().unwrap_or_default().to_owned();
    let info = modern.as_ref().map(|discovered| &discovered["_meta"]["io.modelcontextprotocol/serverInfo"]);
    let info = info.or(conversation.map(|conversation| &conversation.result["serverInfo"]));
    let reference = info.is_some_and(|info| info["name"] == REFERENCE);
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
    let exchanges = || views.iter().flat_map(|view| &view.exchanges);
    let auth = !matches!(target.entry, Entry::Login)
        || exchanges().any(|exchange| exchange.status == Some(401) && exchange.target == target.path);
    let wanted = TokenOrder { audience: Audience::Named(target.url.clone()), ..TokenOrder::default() };
    Ok(Survey {
        documents: auth && target.is_on_this_machine(),
        mint: auth && token_to_order(target, &wanted).await.is_ok(),
        capabilities: conversation
            .and_then(|conversation| conversation.result.get("capabilities"))
            .cloned()
            .unwrap_or_default(),
        // Where nothing is known of either era, it is the older one that is looked at.
        legacy: conversation.is_some() || modern.is_none(),
        modern: modern.map(|discovered| discovered["capabilities"].clone()),
        session: conversation.is_some_and(|conversation| conversation.session.is_some()),
        via,
        chosen: target.via.is_some(),
        resumable: match via {
            Via::StreamableHttp => true,
            Via::WebSocket => exchanges().any(|exchange| exchange.got_header("mcp-session-id").is_some()),
            Via::LegacySse | Via::Stdio => false,
        },
        reference,
        auth,
        entry: target.entry.clone(),
        nodes: target.nodes.len(),
        restart: target.restarts.is_some(),
        restart_store: target.restarts_store.is_some(),
        durable: target.durable,
        embedded: false,
        clock: !matches!(target.time, TimeControl::None),
        tools,
        prompts: texts("prompts/list", "prompts", "name"),
        resources: texts("resources/list", "resources", "uri"),
        safe_call,
    })
}

/// The same profile, as it speaks the era without a handshake.
fn newest(profile: &Arc<Profile>) -> Arc<Profile> {
    let mut newest = Profile::clone(profile);
    newest.opens_with.value.0.insert(0, Revision::V2026_07_28);
    Arc::new(newest)
}

/// What `server/discover` gave, where it gave something.
fn discovered(view: &View<'_>) -> Option<Value> {
    let modern = Revision::V2026_07_28.name();
    let speaks = |result: &&Value| {
        result["supportedVersions"].as_array().is_some_and(|versions| versions.iter().any(|version| version == modern))
    };
    view.results_of("server/discover").map(|(_, _, result)| result).find(speaks).cloned()
}

/// Why there is nothing to rehearse: no exchange got as far as an answer that ended, or that said anything at all.
fn unreachable(view: &View<'_>, target: &Target) -> Option<String> {
    let said_something = |(index, exchange): (usize, &Exchange)| {
        let endless = matches!(exchange.end, Some(End::TimedOut | End::TooLarge(_)));
        exchange.answered() && (!endless || view.messages_in(index).any(Msg::received))
    };
    if view.exchanges.iter().enumerate().any(said_something) {
        return None;
    }
    // What a process writes instead of messages tells most.
    let stray = view.exchanges.iter().flat_map(|exchange| &exchange.texts).next();
    let no_json = |text: &str| serde_json::from_str::<Value>(text).is_err();
    if let Some(stray) = stray.filter(|stray| target.command.is_some() && no_json(&stray.text)) {
        let line: String = stray.text.chars().take(200).collect();
        return Some(format!("its standard output begins with something that is no message: `{line}`"));
    }
    let last_words = view.events.iter().find_map(|event| match &event.kind {
        EventKind::Note { text } if target.command.is_some() => Some(text.clone()),
        _ => None,
    });
    if last_words.is_some() {
        return last_words;
    }
    let words = view.exchanges.iter().find_map(|exchange| {
        let words = exchange.amiss()?;
        let limit = match exchange.end {
            Some(End::TimedOut) => format!(" ({} s, --patience)", target.patience.as_secs()),
            _ => String::new(),
        };
        Some(match exchange.status {
            Some(status) => format!("it begins to answer with status {status}, but {words}{limit}"),
            None => format!("{words}{limit}"),
        })
    });
    Some(words.unwrap_or_else(|| "no answer".to_owned()))
}

/// The items of every page of a list.
fn items<'v>(view: &'v View<'_>, method: &'v str, kind: &'v str) -> impl Iterator<Item = &'v Value> {
    view.results_of(method).filter_map(move |(_, _, result)| result.get(kind)?.as_array()).flatten()
}
