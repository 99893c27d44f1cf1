//! Plays the planned cases side by side and judges each as soon as it is through.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::RwLock;

use super::archive::Archive;
use super::lanes::{Lanes, Waiting};
use super::plan::{Planned, Selection, plans};
use super::queue::Queue;
use super::stage::{Asked, Embedded, Stage, embedded};
use super::survey::{Survey, SurveyError, survey};
use crate::client::{Drive, SafeCall, Target, drive};
use crate::model::{Clock as _, Rng, WallClock};
use crate::scenario::{Action, Scenario, Step};
use crate::server::ServerError;
use crate::verdict::{Case, Pool, Summary, judge_case};

/// After so many cases in a row in which a target stayed silent, the rest is left out: each would take all the patience.
const MOST_SILENT: usize = 8;

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
    /// Where transcripts go, for those who want them.
    pub archive: Option<Arc<dyn Archive>>,
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
    /// The system gives no thread to play on.
    #[error("no thread to play on: {0}; `--jobs 1` needs only one")]
    Thread(#[source] std::io::Error),
}

/// Plays everything and gives the summary. `interrupt` ends the run early; what is known by then is kept.
///
/// Cases are played on threads of their own, with runtimes that end when no case is left for them.
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
    // Cases that move the clock of a shared server, or restart it, must not run beside others.
    let turn = Arc::new(RwLock::new(()));
    let rehearsal = Arc::new(rehearsal);
    let mut cases: Vec<Option<Case>> = vec![None; all];
    // Client by client, so that the few scenarios that take memory or time do not all run at the same moment. The neutral
    // one comes first: it plays nearly all scenarios, which tells how long they take.
    let mut order: Vec<(usize, Planned)> = planned.into_iter().enumerate().collect();
    let profiles = &rehearsal.selection.profiles;
    let places: HashMap<&str, usize> = profiles.iter().enumerate().map(|(at, profile)| (profile.id(), at)).collect();
    order.sort_by_cached_key(|(_, planned)| {
        (places.get(&*planned.plan.profile).copied(), planned.plan.revision.clone())
    });
    let mut queue = Queue::default();
    for (index, planned) in order {
        match &planned.skip {
            Some(reason) => cases[index] = Some(Case::not_applicable(planned.plan, reason.clone())),
            None => queue.push((index, planned)),
        }
    }
    let (mut interrupted, mut silent) = (false, 0);
    let mut pool = Pool::default();
    let mut done = cases.iter().filter(|case| case.is_some()).count();
    let waiting = Waiting::new(queue);
    let mut lanes = Lanes::start(&waiting, rehearsal.jobs, {
        let rehearsal = Arc::clone(&rehearsal);
        move |index, planned| {
            let (turn, rehearsal) = (Arc::clone(&turn), Arc::clone(&rehearsal));
            async move { play(planned, index, &rehearsal, &turn).await }
        }
    });
    loop {
        progress(Progress { done, all });
        let through = tokio::select! {
            biased;
            () = &mut interrupt, if !interrupted => {
                interrupted = true;
                lanes.stop();
                continue;
            }
            through = lanes.next() => through,
        };
        if through.is_empty() {
            break;
        }
        for through in through {
            let (index, mut case) = through?;
            pool.share(&mut case);
            silent = if case.silent { silent + 1 } else { 0 };
            cases[index] = Some(case);
            done += 1;
        }
        if silent >= MOST_SILENT && matches!(rehearsal.stage, Stage::Foreign(_)) {
            for (index, planned) in waiting.rest() {
                let reason = format!("not played, since the target had stayed silent in {MOST_SILENT} cases in a row");
                cases[index] = Some(Case::left_out(planned.plan, reason));
                done += 1;
            }
        }
    }
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
            let asked = Asked::default();
            let Embedded { server, target, clock } =
                embedded(Vec::new(), &SafeCall::default(), asked, rehearsal, 0).await?;
            let rng = Rng::seeded(rehearsal.seed);
            let known = survey(&target, &profile, Arc::new(clock), rng, &[]).await?;
            server.shutdown().await;
            Ok(rehearsal.stage.offering(known))
        }
    }
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
            let asked = Asked::by(&scenario, &profile);
            let Embedded { server, target, clock } =
                embedded(faults.clone(), safe_call, asked, rehearsal, index).await?;
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
            if is_felt_by_others(&scenario) {
                let _alone = turn.write().await;
                drive(drive_it).await
            } else {
                let _beside_others = turn.read().await;
                drive(drive_it).await
            }
        }
    };
    if let Some(archive) = &rehearsal.archive {
        archive.keep(&plan, &events);
    }
    let case = judge_case(plan, &scenario, &events);
    Ok(Case { took: watch.elapsed(), ..case })
}

/// Whether it moves the clock of a shared server, or restarts it.
fn is_felt_by_others(scenario: &Scenario) -> bool {
    fn moves(step: &Step) -> bool {
        match &step.action {
            Action::Wait(wait) => wait.r#for.is_some(),
            Action::Expire(_) | Action::Restart(_) => true,
            Action::Together(steps) => steps.iter().any(moves),
            _ => false,
        }
    }
    scenario.steps.iter().any(moves)
}
