//! The loop: generate, run many at once, compare, and shrink the first lifecycle that breaks a rule.
//!
//! What is generated and reported hangs on the seed alone: of the lifecycles that break a rule, the first in the order of
//! generation is taken, whichever is noticed first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::strategy::{BoxedStrategy, Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::task::JoinSet;

use super::coverage::Coverage;
use super::ground::Stage;
use super::op::Op;
use super::play::{Played, play};
use super::shrink::{Effort, count, shrink};
use super::strategy::{Weights, lifecycle};
use super::terms::Terms;
use crate::model::{Clock, Rng};
use crate::server::ServerError;

/// What is fuzzed, and for how long.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// Where lifecycles are played.
    pub stage: Stage,
    /// What all lifecycles are made from.
    pub seed: u64,
    /// How many lifecycles at most.
    pub cases: Option<u64>,
    /// How long at most.
    pub time: Option<Duration>,
    /// How many operations at most; lifecycles under way are played to their end.
    pub operations: Option<u64>,
    /// The longest lifecycle, in operations.
    pub length: usize,
    /// How often each kind of operation comes.
    pub weights: Weights,
    /// How many lifecycles are under way at once.
    pub jobs: usize,
    /// Rules that are known to be broken, by their ids: a lifecycle that comes upon one ends there.
    pub except: Vec<String>,
}

/// How far a campaign is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Lifecycles that are through.
    pub cases: u64,
    /// Operations done.
    pub operations: u64,
    /// States of the model that were seen, from afar.
    pub states: usize,
    /// Transitions of the model that were seen.
    pub transitions: usize,
    /// Whether a failure is being shrunk.
    pub shrinking: bool,
}

/// A lifecycle that breaks a rule, as short as it gets.
#[derive(Debug)]
pub struct Failure {
    /// The rule: a requirement id.
    pub invariant: &'static str,
    /// Its number among the lifecycles, from 1.
    pub case: u64,
    /// How many operations it has, and had before it was shrunk.
    pub operations: (usize, usize),
    /// How it went.
    pub(crate) played: Played,
}

impl Failure {
    /// Whether a login is part of it.
    pub fn logs_in(&self) -> bool {
        let acts = self.played.rounds.iter().flat_map(|round| &round.acts);
        acts.into_iter().any(|act| matches!(act.deed, super::deed::Deed::Register))
    }
}

/// What came of a campaign.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Lifecycles that were played.
    pub cases: u64,
    /// Operations and requests in all.
    pub operations: u64,
    /// Requests in all.
    pub requests: u64,
    /// Lifecycles that the model could not follow to the end.
    pub lost: u64,
    /// Lifecycles that ended at a rule that was excepted, by its id.
    pub excepted: BTreeMap<&'static str, u64>,
    /// How long it took, without shrinking.
    pub took: Duration,
    /// How much of the model was seen.
    pub coverage: Coverage,
    /// What was found.
    pub failure: Option<Failure>,
}

impl Outcome {
    /// Operations a second.
    pub fn rate(&self) -> u64 {
        let ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX).max(1);
        self.operations.saturating_mul(1000) / ms
    }
}

/// The lifecycle of a number.
pub(super) struct Generator {
    strategy: BoxedStrategy<Vec<Op>>,
    seed: u64,
}

impl Generator {
    pub(super) fn new(weights: &Weights, length: usize, seed: u64) -> Self {
        Self { strategy: lifecycle(weights, length), seed }
    }

    /// What can be shrunk.
    pub(super) fn tree(&self, case: u64) -> Option<Box<dyn proptest::strategy::ValueTree<Value = Vec<Op>>>> {
        let mut bytes = [0_u8; 32];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&case.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        self.strategy.new_tree(&mut TestRunner::new_with_rng(Config::default(), rng)).ok()
    }

    fn ops(&self, case: u64) -> Vec<Op> {
        self.tree(case).map(|tree| tree.current()).unwrap_or_default()
    }
}

impl Campaign {
    fn seed_of(&self, case: u64) -> u64 {
        Rng::seeded(self.seed ^ case.wrapping_mul(0x9e37_79b9_7f4a_7c15)).next_u64()
    }

    fn goes_on(&self, next: u64, outcome: &Outcome, elapsed: Duration) -> bool {
        self.cases.is_none_or(|most| next < most)
            && self.time.is_none_or(|most| elapsed < most)
            && self.operations.is_none_or(|most| outcome.operations < most)
    }

    /// Runs it. `interrupt` ends it early.
    pub async fn run(
        &self,
        clock: &dyn Clock,
        progress: impl Fn(Progress),
        interrupt: impl Future<Output = ()>,
    ) -> Result<Outcome, ServerError> {
        let terms = Arc::new(Terms { except: self.except.clone(), ..self.stage.terms() });
        let generator = Generator::new(&self.weights, self.length, self.seed);
        let start = clock.elapsed();
        let (mut outcome, mut tasks) = (Outcome::default(), JoinSet::new());
        let (mut next, mut found): (u64, BTreeMap<u64, Played>) = (0, BTreeMap::new());
        tokio::pin!(interrupt);
        loop {
            let free = self.jobs.max(1).saturating_sub(tasks.len());
            for _ in 0..free {
                if !found.is_empty() || !self.goes_on(next, &outcome, clock.elapsed().saturating_sub(start)) {
                    break;
                }
                let (stage, terms, seed, ops) =
                    (self.stage.clone(), Arc::clone(&terms), self.seed_of(next), generator.ops(next));
                let case = next;
                tasks.spawn(async move { (case, once(&stage, &ops, &terms, seed).await) });
                next += 1;
            }
            let joined = tokio::select! {
                biased;
                () = &mut interrupt => break,
                joined = tasks.join_next() => joined,
            };
            let Some(joined) = joined else { break };
            // A lifecycle that broke off by a fault of ours is not counted.
            let Ok((case, played)) = joined else { continue };
            let played = played?;
            outcome.cases += 1;
            outcome.operations += played.operations;
            outcome.requests += played.requests;
            outcome.lost += u64::from(played.lost);
            outcome.coverage.add(&played);
            match &played.broken {
                Some(broken) if terms.excepts(broken.invariant) => {
                    *outcome.excepted.entry(broken.invariant).or_default() += 1;
                }
                Some(_) => {
                    found.insert(case, played);
                }
                None => {}
            }
            progress(Self::at(&outcome, false));
        }
        tasks.shutdown().await;
        outcome.took = clock.elapsed().saturating_sub(start);
        if let Some((case, played)) = found.pop_first() {
            progress(Self::at(&outcome, true));
            let before = count(&generator.ops(case));
            let waits = matches!(self.stage, Stage::Foreign(_)) && self.weights.comes("time");
            let effort = if waits { Effort::BRIEF } else { Effort::FULL };
            let again = async |ops: Vec<Op>| once(&self.stage, &ops, &terms, self.seed_of(case)).await;
            let (played, left) = shrink(&generator, case, played, effort, again).await?;
            let invariant = played.broken.as_ref().map_or("", |broken| broken.invariant);
            outcome.failure = Some(Failure { invariant, case: case + 1, operations: (left, before), played });
        }
        Ok(outcome)
    }

    fn at(outcome: &Outcome, shrinking: bool) -> Progress {
        Progress {
            cases: outcome.cases,
            operations: outcome.operations,
            states: outcome.coverage.states(),
            transitions: outcome.coverage.transitions(),
            shrinking,
        }
    }
}

/// Plays one lifecycle on a server of its own.
async fn once(stage: &Stage, ops: &[Op], terms: &Terms, seed: u64) -> Result<Played, ServerError> {
    let standing = stage.stand(seed).await?;
    Ok(play(&standing, ops, terms, seed).await)
}
