//! Which case is played next. It knows how long scenarios took before, and nothing of what is in them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::plan::Planned;
use crate::verdict::Case;

/// So many cases are the end of a rehearsal.
const LAST: usize = 128;
/// What is shorter than this leaves nobody waiting. Among it are the scenarios that take memory, which stay apart.
const SHORT: Duration = Duration::from_millis(50);

/// Cases that did not begin yet.
#[derive(Debug, Default)]
pub(super) struct Queue {
    cases: VecDeque<(usize, Planned)>,
    /// How long each scenario took so far, at most.
    took: HashMap<Arc<str>, Duration>,
}

impl Queue {
    /// One more, behind all others.
    pub(super) fn push(&mut self, case: (usize, Planned)) {
        self.cases.push_back(case);
    }

    /// All that are left.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = (usize, Planned)> {
        self.cases.drain(..)
    }

    /// The next case: in order, but near the end the longest first, so that none is left alone at last.
    pub(super) fn next(&mut self) -> Option<(usize, Planned)> {
        if self.cases.len() > LAST {
            return self.cases.pop_front();
        }
        let known = |(_, planned): &(usize, Planned)| self.took.get(&planned.plan.scenario).copied();
        let length = |case: &(usize, Planned)| known(case).filter(|took| *took > SHORT);
        // Of equals the first, as `max_by_key` takes the last.
        let longest = (0..self.cases.len()).rev().max_by_key(|at| length(&self.cases[*at]))?;
        self.cases.remove(longest)
    }

    /// How long a case took.
    pub(super) fn learn(&mut self, case: &Case) {
        let took = self.took.entry(case.plan.scenario.clone()).or_default();
        *took = case.took.max(*took);
    }
}

#[cfg(test)]
mod tests {

    use super::super::{Selection, Survey, plans};
    use super::*;
    use crate::model::Revision;

    #[test]
    fn near_the_end_the_longest_goes_first() {
        let reference = crate::profile::find("reference").expect("profiles load").expect("it is shipped");
        let some = crate::scenario::shipped().into_iter().take(3).map(Arc::new).collect();
        let selection = Selection {
            scenarios: some,
            profiles: vec![Arc::new(reference)],
            revisions: vec![Revision::V2025_11_25],
            target: None,
        };
        let planned = plans(&selection, &Survey::default());
        let names: Vec<Arc<str>> = planned.iter().map(|planned| planned.plan.scenario.clone()).collect();
        let mut queue = Queue::default();
        planned.iter().cloned().enumerate().for_each(|case| queue.push(case));
        let took = Duration::from_millis(100);
        queue.learn(&Case { took, ..Case::not_applicable(planned[1].plan.clone(), String::new()) });
        let order: Vec<usize> = std::iter::from_fn(|| queue.next().map(|(index, _)| index)).collect();
        assert_eq!(order, [1, 0, 2], "{names:?}");
        // Before that it is as planned.
        for _ in 0..=LAST {
            planned.iter().cloned().enumerate().for_each(|case| queue.push(case));
        }
        assert_eq!(queue.next().map(|(index, _)| index), Some(0));
    }
}
