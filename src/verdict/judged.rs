//! What is kept of the judgement of a case: thousands of cases are kept at once, and nearly all that each of them holds
//! is which requirements were kept, and how often.

use std::collections::HashMap;
use std::ptr;
use std::sync::{Arc, LazyLock};

use crate::check::{CHECKS, CLIENT_CHECKS, Finding, Outcome};

/// The findings on requirements that were exercised, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// Requirements that held, by where their ids stand in [`Ids::by_number`]; many cases share this.
    held: Arc<[u16]>,
    /// How often each of them did.
    passes: Box<[u8]>,
    /// All others, each with its place among all.
    told: Box<[(u16, Finding)]>,
}

/// The ids of all checks, numbered.
struct Ids {
    by_number: Vec<&'static str>,
    numbers: HashMap<&'static str, u16>,
}

static IDS: LazyLock<Ids> = LazyLock::new(|| {
    let all = CHECKS.iter().chain(CLIENT_CHECKS).flat_map(|topic| topic.iter());
    let by_number: Vec<&'static str> = all.map(|check| check.id).collect();
    let numbers = (0..).zip(&by_number).map(|(number, id)| (*id, number)).collect();
    Ids { by_number, numbers }
});

/// The number of a requirement; as a rule it is one of the next, as findings come in the order of the checks.
fn number_of(id: &str, next: u16) -> Option<u16> {
    let ahead = (next..).zip(IDS.by_number.get(usize::from(next)..).unwrap_or_default());
    let known = ahead.map(|(number, known)| (number, *known)).find(|(_, known)| ptr::eq(*known, id));
    known.map(|(number, _)| number).or_else(|| IDS.numbers.get(id).copied())
}

impl Judged {
    /// Keeps what was exercised of these.
    pub fn of(findings: Vec<Finding>) -> Self {
        let (mut held, mut passes, mut told) = (Vec::new(), Vec::new(), Vec::new());
        let exercised = findings.into_iter().filter(|finding| finding.outcome != Outcome::NotExercised);
        let mut next = 0;
        for (place, finding) in (0..).zip(exercised) {
            let plain = finding.outcome == Outcome::Pass && finding.breaches.is_empty();
            let number = number_of(finding.requirement, next);
            next = number.map_or(next, |number| number + 1);
            match (number, u8::try_from(finding.passes)) {
                (Some(id), Ok(often)) if plain => {
                    held.push(id);
                    passes.push(often);
                }
                _ => told.push((place, finding)),
            }
        }
        Self { held: held.into(), passes: passes.into(), told: told.into() }
    }

    /// Lets the set of those that held be replaced by an equal one.
    pub(super) fn held_mut(&mut self, replace: impl FnOnce(&mut Arc<[u16]>)) {
        replace(&mut self.held);
    }

    /// The findings, in order.
    pub fn iter(&self) -> impl Iterator<Item = Finding> + '_ {
        let (mut held, mut told) = (self.held.iter().zip(&self.passes), self.told.iter().peekable());
        (0..self.held.len() + self.told.len()).filter_map(move |place| {
            match told.next_if(|(at, _)| usize::from(*at) == place) {
                Some((_, finding)) => Some(finding.clone()),
                None => held.next().map(|(id, passes)| Finding {
                    requirement: IDS.by_number[usize::from(*id)],
                    outcome: Outcome::Pass,
                    passes: (*passes).into(),
                    breaches: Vec::new(),
                }),
            }
        })
    }

    /// Ids of the requirements that any of these exercised, in order of the catalogue.
    pub fn exercised<'j>(all: impl IntoIterator<Item = &'j Self>) -> Vec<&'static str> {
        let mut seen = vec![false; IDS.by_number.len()];
        for judged in all {
            let told = judged.told.iter().filter_map(|(_, finding)| IDS.numbers.get(finding.requirement));
            for id in judged.held.iter().chain(told) {
                seen[usize::from(*id)] = true;
            }
        }
        IDS.by_number.iter().zip(seen).filter_map(|(id, seen)| seen.then_some(*id)).collect()
    }

    /// Ids of the requirements that were not kept, warnings included.
    pub fn broken(&self) -> impl Iterator<Item = &'static str> + '_ {
        let amiss = |finding: &&Finding| matches!(finding.outcome, Outcome::Warn | Outcome::Fail);
        self.told.iter().map(|(_, finding)| finding).filter(amiss).map(|finding| finding.requirement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Breach;

    fn finding(check: usize, outcome: Outcome, passes: u32) -> Finding {
        let id = CHECKS.iter().flat_map(|topic| topic.iter()).nth(check).map_or("base.none", |check| check.id);
        let breaches = if outcome > Outcome::Inconclusive { vec![Breach::default()] } else { Vec::new() };
        Finding { requirement: id, outcome, passes, breaches }
    }

    #[test]
    fn what_was_exercised_comes_back_in_order() {
        let made = vec![
            finding(0, Outcome::Pass, 3),
            finding(1, Outcome::NotExercised, 0),
            finding(2, Outcome::Warn, 1),
            finding(9999, Outcome::Pass, 2),
            finding(3, Outcome::Pass, 1),
            finding(4, Outcome::Inconclusive, 0),
            finding(5, Outcome::Pass, 256),
        ];
        let judged = Judged::of(made.clone());
        let wanted: Vec<Finding> = made.into_iter().filter(|one| one.outcome != Outcome::NotExercised).collect();
        assert_eq!(judged.iter().collect::<Vec<_>>(), wanted);
        assert_eq!(judged.broken().collect::<Vec<_>>(), [wanted[1].requirement]);
        let known = wanted.iter().map(|one| one.requirement).filter(|id| *id != "base.none");
        assert_eq!(Judged::exercised([&judged, &judged]), known.collect::<Vec<_>>());
        assert_eq!(Judged::of(Vec::new()).iter().count(), 0);
    }
}
