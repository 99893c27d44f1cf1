//! Plays the planned cases side by side and judges each as soon as it is through.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::task::JoinSet;

use super::plan::{Planned, Selection, plans};
use super::survey::{Survey, SurveyError, survey};
use crate::client::{Drive, SafeCall, Target, TimeControl, drive};
use crate::model::{Clock as _, HybridClock, Rng, Via, WallClock};
use crate::scenario::{Action, Scenario, Step};
use crate::server::{AuthConfig, ServerConfig, ServerError, StoreConfig, start};
use crate::verdict::{Case, Summary, judge_case};
use crate::wire::Command;

/// After so many cases in a row in which a target stayed silent, the rest is left out: each would take all the patience.
const MOST_SILENT: usize = 8;

/// How long the embedded server's tools work between two reports.
const TICK: Duration = Duration::from_millis(25);

/// Where the cases are played.
#[derive(Debug, Clone)]
pub enum Stage {
    /// A reference server of its own for each case, with these faults.
    Embedded {
        /// Names of faults.
        faults: Vec<String>,
        /// What is called where a scenario names nothing.
        safe_call: SafeCall,
        /// Where the servers keep their sessions.
        store: StoreConfig,
        /// How many nodes each of them has, which answer in turn.
        nodes: usize,
        /// The transport that clients speak with them.
        via: Via,
        /// The program to start as a server for stdio: this one.
        program: Option<PathBuf>,
    },
    /// One server that somebody else runs.
    Foreign(Arc<Target>),
}

impl Stage {
    /// An embedded server with these faults.
    pub fn embedded(faults: Vec<String>) -> Self {
        Self::Embedded {
            faults,
            safe_call: SafeCall::default(),
            store: StoreConfig::Memory,
            nodes: 1,
            via: Via::StreamableHttp,
            program: None,
        }
    }

    /// The same, where servers are embedded, with their sessions in a store and so many nodes each.
    #[must_use]
    pub fn on(self, store: StoreConfig, nodes: usize) -> Self {
        match self {
            Self::Embedded { faults, safe_call, via, program, .. } => {
                Self::Embedded { faults, safe_call, store, nodes, via, program }
            }
            Self::Foreign(target) => Self::Foreign(target),
        }
    }

    /// The same, where servers are embedded, over another transport; `program` is what is started for stdio.
    #[must_use]
    pub fn over(self, via: Via, program: PathBuf) -> Self {
        match self {
            Self::Embedded { faults, safe_call, store, nodes, .. } => {
                Self::Embedded { faults, safe_call, store, nodes, via, program: Some(program) }
            }
            Self::Foreign(target) => Self::Foreign(target),
        }
    }

    /// How the servers of an embedded stage are run.
    fn server(&self, faults: Vec<String>) -> ServerConfig {
        let (store, nodes) = match self {
            Self::Embedded { store, nodes, .. } => (store.clone(), *nodes),
            Self::Foreign(_) => (StoreConfig::Memory, 1),
        };
        // What the tools pretend to work on is nothing to wait for.
        ServerConfig { faults, store, nodes, tick: TICK, ..ServerConfig::default() }
    }

    /// The same stage, with what the survey found out.
    fn knowing(self, known: &Survey) -> Self {
        match self {
            Self::Embedded { faults, store, nodes, via, program, .. } => {
                Self::Embedded { faults, safe_call: known.safe_call.clone(), store, nodes, via, program }
            }
            Self::Foreign(target) => Self::Foreign(Arc::new(Target {
                safe_call: known.safe_call.clone(),
                asks_for_tokens: known.auth,
                speaks_modern: known.modern.is_some(),
                // The way that the survey had to take, clients take as their profiles do.
                falls_back: target.via.is_none() && known.via == Via::LegacySse,
                ..Target::clone(&target)
            })),
        }
    }
}

/// Everything a rehearsal needs.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// What is played.
    pub selection: Selection,
    /// Where.
    pub stage: Stage,
    /// How many cases at once.
    pub jobs: usize,
    /// The longest that anything is waited for.
    pub patience: Duration,
    /// Seed of made-up ids.
    pub seed: u64,
    /// Names or patterns of tools that may be called although they do not say that they only read.
    pub allowed_tools: Vec<String>,
}

/// How far a rehearsal is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Cases that are through.
    pub done: usize,
    /// Cases in all.
    pub all: usize,
}

/// The rehearsal could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The embedded server did not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The target cannot be rehearsed.
    #[error(transparent)]
    Survey(#[from] SurveyError),
    /// No client to survey with.
    #[error("no client is left to play with; `list clients` names them")]
    NoClients,
    /// The embedded server has no usable address.
    #[error(transparent)]
    Target(#[from] crate::client::TargetError),
}

/// Plays everything and gives the summary. `interrupt` ends the run early; what is known by then is kept.
pub async fn rehearse(
    rehearsal: Rehearsal,
    progress: impl Fn(Progress),
    interrupt: impl Future<Output = ()>,
) -> Result<Summary, RehearsalError> {
    tokio::pin!(interrupt);
    let known = tokio::select! {
        // The interruption first, so that it is listened to before anything is sent.
        biased;
        () = &mut interrupt => {
            let not_played = plans(&rehearsal.selection, &Survey::default()).len();
            return Ok(Summary { cases: Vec::new(), interrupted: true, not_played });
        }
        known = look_around(&rehearsal) => known?,
    };
    let planned = plans(&rehearsal.selection, &known);
    let rehearsal = Rehearsal { stage: rehearsal.stage.knowing(&known), ..rehearsal };
    let all = planned.len();
    // Cases that move the clock of a shared server must not run beside others.
    let turn = Arc::new(RwLock::new(()));
    let rehearsal = Arc::new(rehearsal);
    let mut tasks = JoinSet::new();
    let mut cases: Vec<Option<Case>> = vec![None; all];
    // Client by client, so that the few scenarios that take memory or time do not all run at the same moment.
    let mut order: Vec<(usize, Planned)> = planned.into_iter().enumerate().collect();
    order.sort_by(|(_, one), (_, other)| {
        (&one.plan.profile, &one.plan.revision).cmp(&(&other.plan.profile, &other.plan.revision))
    });
    let mut waiting = Vec::new();
    for (index, planned) in order {
        match &planned.skip {
            Some(reason) => cases[index] = Some(Case::not_applicable(planned.plan, reason.clone())),
            None => waiting.push((index, planned)),
        }
    }
    let mut waiting = waiting.into_iter();
    let (mut interrupted, mut silent) = (false, 0);
    loop {
        let done = cases.iter().filter(|case| case.is_some()).count();
        progress(Progress { done, all });
        let free = rehearsal.jobs.max(1).saturating_sub(tasks.len());
        for (index, planned) in waiting.by_ref().take(free) {
            let (turn, rehearsal) = (Arc::clone(&turn), Arc::clone(&rehearsal));
            tasks.spawn(async move { (index, play(planned, index, &rehearsal, &turn).await) });
        }
        let joined = tokio::select! {
            biased;
            () = &mut interrupt => {
                interrupted = true;
                break;
            }
            joined = tasks.join_next() => joined,
        };
        match joined {
            Some(Ok((index, case))) => {
                let case = case?;
                silent = if case.silent { silent + 1 } else { 0 };
                cases[index] = Some(case);
            }
            // A case that broke off by a fault of ours is missing in the summary, which counts it.
            Some(Err(_)) => {}
            None => break,
        }
        if silent >= MOST_SILENT && matches!(rehearsal.stage, Stage::Foreign(_)) {
            for (index, planned) in waiting.by_ref() {
                let reason = format!("not played, since the target had stayed silent in {MOST_SILENT} cases in a row");
                cases[index] = Some(Case::left_out(planned.plan, reason));
            }
        }
    }
    // A case that is through counts, even where the interruption came with its end.
    while let Some(Ok((index, case))) = tasks.try_join_next() {
        cases[index] = Some(case?);
    }
    // Cases under way are dropped before the report is made; what they saw by then decides nothing.
    tasks.shutdown().await;
    let cases: Vec<Case> = cases.into_iter().flatten().collect();
    Ok(Summary { not_played: all - cases.len(), cases, interrupted })
}

async fn look_around(rehearsal: &Rehearsal) -> Result<Survey, RehearsalError> {
    let profile = crate::profile::find("reference")
        .ok()
        .flatten()
        .map(Arc::new)
        .or_else(|| rehearsal.selection.profiles.first().cloned())
        .ok_or(RehearsalError::NoClients)?;
    let mut newest = crate::profile::Profile::clone(&profile);
    newest.opens_with.value.0.sort_unstable_by(|a, b| b.cmp(a));
    let profile = Arc::new(newest);
    match &rehearsal.stage {
        Stage::Foreign(target) => {
            let rng = Rng::seeded(rehearsal.seed);
            let target = Arc::new(Target { falls_back: target.via.is_none(), ..Target::clone(target) });
            Ok(survey(&target, &profile, Arc::new(WallClock::new()), rng, &rehearsal.allowed_tools).await?)
        }
        // The survey is of the server as it ought to be, so that a fault cannot hide the scenario that shows it.
        Stage::Embedded { .. } => {
            let (server, target, clock) = embedded(Vec::new(), &SafeCall::default(), false, rehearsal, 0).await?;
            let rng = Rng::seeded(rehearsal.seed);
            let known = survey(&target, &profile, Arc::new(clock), rng, &[]).await?;
            server.shutdown().await;
            // The embedded server asks for tokens wherever a scenario needs that, and there is somebody to ask.
            let asks = known.via != Via::Stdio;
            Ok(Survey { auth: asks, mint: asks, documents: asks, ..known })
        }
    }
}

async fn embedded(
    faults: Vec<String>,
    safe_call: &SafeCall,
    auth: bool,
    rehearsal: &Rehearsal,
    index: usize,
) -> Result<(crate::server::RunningServer, Arc<Target>, HybridClock), RehearsalError> {
    let clock = HybridClock::new();
    let rng = Rng::seeded(rehearsal.seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut config = rehearsal.stage.server(faults);
    if auth {
        // Tokens for another server are to be had too, so that it shows whether they are refused here.
        let elsewhere = vec!["https://elsewhere.example.com/mcp".to_owned()];
        config.auth = Some(AuthConfig { elsewhere, documents_on_loopback: true, ..AuthConfig::default() });
        // Sessions are to outlive tokens there.
        config.idle_session = Duration::from_secs(24 * 3600);
    }
    let (via, program) = match &rehearsal.stage {
        Stage::Embedded { via, program, .. } => (*via, program.clone()),
        Stage::Foreign(_) => (Via::StreamableHttp, None),
    };
    let asked_for = config.faults.clone();
    let server = start(config, clock.clone(), rng).await?;
    let mut target = match (via, program) {
        (Via::Stdio, Some(program)) => Target::of_command(piped(&program, &asked_for), rehearsal.patience),
        (Via::StreamableHttp, _) => Target::parse(&server.url(), rehearsal.patience)?,
        (via, _) => {
            let url = server.url_of(via).unwrap_or_else(|| server.url());
            Target::parse(&url, rehearsal.patience)?.over(via)?
        }
    };
    if via != Via::Stdio {
        target.time = TimeControl::Shared(clock.clone());
    }
    target.minter = server.minter();
    target.safe_call = safe_call.clone();
    target.asks_for_tokens = auth;
    target.speaks_modern = true;
    Ok((server, Arc::new(target), clock))
}

/// The program as a server with these faults on its pipes.
fn piped(program: &Path, faults: &[String]) -> Command {
    let mut arguments = vec!["serve".to_owned(), "--transport".to_owned(), "stdio".to_owned()];
    for fault in faults {
        arguments.extend(["--fault".to_owned(), fault.clone()]);
    }
    Command { program: program.to_string_lossy().into_owned(), arguments, ..Command::default() }
}

async fn play(
    planned: Planned,
    index: usize,
    rehearsal: &Rehearsal,
    turn: &RwLock<()>,
) -> Result<Case, RehearsalError> {
    let watch = WallClock::new();
    let rng = Rng::seeded(rehearsal.seed ^ (index as u64 + 1));
    let Planned { plan, scenario, profile, .. } = planned;
    let events = match &rehearsal.stage {
        Stage::Embedded { faults, safe_call, .. } => {
            let needs_auth = scenario.needs.iter().any(|need| need == "auth");
            let (server, target, clock) = embedded(faults.clone(), safe_call, needs_auth, rehearsal, index).await?;
            let drive_it = Drive { scenario: Arc::clone(&scenario), profile, target, clock: Arc::new(clock), rng };
            let events = drive(drive_it).await;
            server.shutdown().await;
            events
        }
        Stage::Foreign(target) => {
            let drive_it = Drive {
                scenario: Arc::clone(&scenario),
                profile,
                target: Arc::clone(target),
                clock: Arc::new(WallClock::new()),
                rng,
            };
            if moves_clock(&scenario) {
                let _alone = turn.write().await;
                drive(drive_it).await
            } else {
                let _beside_others = turn.read().await;
                drive(drive_it).await
            }
        }
    };
    let case = judge_case(plan, &scenario, &events);
    Ok(Case { took: watch.elapsed(), ..case })
}

fn moves_clock(scenario: &Scenario) -> bool {
    fn moves(step: &Step) -> bool {
        match &step.action {
            Action::Wait(wait) => wait.r#for.is_some(),
            Action::Expire(_) => true,
            Action::Together(steps) => steps.iter().any(moves),
            _ => false,
        }
    }
    scenario.steps.iter().any(moves)
}
