//! What a check says: passed, broken, contested, inconclusive — and the evidence for it.

use crate::model::{Requirement, Revision};

/// What one look at a requirement showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Its trigger never occurred.
    NotExercised,
    /// It held.
    Pass,
    /// Our own limits kept us from seeing it.
    Inconclusive,
    /// A SHOULD, a contested point or our own inference was not kept.
    Warn,
    /// A MUST was broken.
    Fail,
}

/// A requirement that was not kept, told so that its reader can mend it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Breach {
    /// What happened, in one or two plain sentences.
    pub what: String,
    /// What would have been right; several alternatives are several entries.
    pub expected: Vec<String>,
    /// What came instead, quoted from the wire.
    pub actual: String,
    /// What to change in the server.
    pub fix: String,
    /// Positions in the transcript.
    pub evidence: Vec<u32>,
}

/// The judgement of one requirement over one transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Id of the requirement.
    pub requirement: &'static str,
    /// The worst that was seen.
    pub outcome: Outcome,
    /// How often it was kept.
    pub passes: u32,
    /// Every breach, in order of the wire.
    pub breaches: Vec<Breach>,
}

/// Collects what one check sees.
#[derive(Debug)]
pub struct Findings {
    requirement: &'static Requirement,
    finding: Finding,
}

impl Findings {
    /// For one requirement, nothing seen yet.
    pub fn new(id: &'static str, requirement: &'static Requirement) -> Self {
        let finding = Finding { requirement: id, outcome: Outcome::NotExercised, passes: 0, breaches: Vec::new() };
        Self { requirement, finding }
    }

    /// Whether the requirement holds under this revision; an unknown revision is under none.
    pub fn covers(&self, revision: Option<Revision>) -> bool {
        revision.is_some_and(|revision| self.requirement.revisions.contains(&revision))
    }

    /// The requirement was kept once.
    pub fn pass(&mut self) {
        self.finding.passes += 1;
        self.raise(Outcome::Pass);
    }

    /// The requirement was not kept: a failure if it is a MUST of the specification, else a warning.
    #[cold]
    pub fn breach(&mut self, breach: Breach) {
        self.raise(if self.requirement.may_fail() { Outcome::Fail } else { Outcome::Warn });
        self.finding.breaches.push(breach);
    }

    /// Not kept, but the point is contested or tolerated: a warning whatever the level.
    #[cold]
    pub fn contested(&mut self, breach: Breach) {
        self.raise(Outcome::Warn);
        self.finding.breaches.push(breach);
    }

    /// Our own limits kept us from seeing it.
    pub fn inconclusive(&mut self) {
        self.raise(Outcome::Inconclusive);
    }

    /// Passes or breaches by a condition.
    pub fn require(&mut self, holds: bool, breach: impl FnOnce() -> Breach) {
        if holds { self.pass() } else { self.tell(breach) }
    }

    /// What tells of breaches stays out of the way of what looks for them: it is half of the code of all checks.
    #[cold]
    #[inline(never)]
    fn tell(&mut self, breach: impl FnOnce() -> Breach) {
        self.breach(breach());
    }

    fn raise(&mut self, outcome: Outcome) {
        self.finding.outcome = self.finding.outcome.max(outcome);
    }

    /// The judgement.
    pub fn finish(self) -> Finding {
        self.finding
    }
}
