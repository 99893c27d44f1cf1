//! All cases together: totals, coverage of requirements, first divergences.

use std::collections::BTreeSet;

use super::{Case, Cell, Judged};
use crate::check::{CHECKS, CLIENT_CHECKS, Check};

/// What a run amounts to.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The cases, in order of scenarios and profiles.
    pub cases: Vec<Case>,
    /// Whether the run was interrupted before it was through.
    pub interrupted: bool,
    /// Cases that were planned and did not come to their end.
    pub not_played: usize,
}

/// Where a client that fails first did otherwise than one that passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Title of the profile that passed.
    pub other: String,
    /// What the failing client sent.
    pub sent: String,
    /// What the passing client sent in its place.
    pub other_sent: String,
}

impl Summary {
    /// How many cases amount to this.
    pub fn count(&self, cell: Cell) -> usize {
        self.cases.iter().filter(|case| case.cell == cell).count()
    }

    /// Requirements exercised at least once, and how many there are checks for.
    pub fn coverage(&self) -> (usize, usize) {
        let exercised = Judged::exercised(self.cases.iter().map(|case| &case.findings));
        let all = |checks: &[&[Check]]| checks.iter().map(|topic| topic.len()).sum::<usize>();
        // Clients are judged in recordings only.
        let judged = CLIENT_CHECKS.iter().flat_map(|topic| topic.iter()).any(|check| exercised.contains(&check.id));
        (exercised.len(), all(CHECKS) + if judged { all(CLIENT_CHECKS) } else { 0 })
    }

    /// Requirements that were broken anywhere, warnings included.
    pub fn broken(&self) -> BTreeSet<&str> {
        self.cases.iter().flat_map(|case| case.findings.broken()).collect()
    }

    /// The first message in which a case differs from one of the same scenario that passed.
    pub fn divergence(&self, case: &Case) -> Option<Divergence> {
        self.cases
            .iter()
            .filter(|other| {
                other.plan.scenario == case.plan.scenario
                    && other.plan.profile != case.plan.profile
                    && other.cell == Cell::Passed
            })
            .find_map(|other| {
                let (sent, other_sent) =
                    case.sent.iter().zip(&other.sent).find(|(sent, other_sent)| sent != other_sent)?;
                Some(Divergence {
                    other: other.plan.profile_title.to_string(),
                    sent: sent.to_string(),
                    other_sent: other_sent.to_string(),
                })
            })
    }
}
