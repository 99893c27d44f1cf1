//! What is kept of the judgement of a case: thousands of cases are kept at once, and nearly all that each of them holds
//! is which requirements were kept, and how often.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::check::{CHECKS, CLIENT_CHECKS, Finding, Outcome};

/// The findings on requirements that were exercised, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// Requirements that held, small.
    held: Box<[Held]>,
    /// All others, each with its place among all.
    told: Box<[(u16, Finding)]>,
}

/// A requirement that held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    /// Where its id stands in [`Ids::by_number`].
    id: u16,
    passes: u16,
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

/// The number of a requirement; as a rule it is that of its place among all findings.
fn number_of(id: &str, likely: u16) -> Option<u16> {
    let known = IDS.by_number.get(usize::from(likely)) == Some(&id);
    if known { Some(likely) } else { IDS.numbers.get(id).copied() }
}

impl Judged {
    /// Keeps what was exercised of these.
    pub fn of(findings: Vec<Finding>) -> Self {
        let (mut held, mut told) = (Vec::new(), Vec::new());
        let numbered = (0..).zip(findings);
        let exercised = numbered.filter(|(_, finding)| finding.outcome != Outcome::NotExercised);
        for (place, (number, finding)) in (0..).zip(exercised) {
            let plain = finding.outcome == Outcome::Pass && finding.breaches.is_empty();
            match (number_of(finding.requirement, number), u16::try_from(finding.passes)) {
                (Some(id), Ok(passes)) if plain => held.push(Held { id, passes }),
                _ => told.push((place, finding)),
            }
        }
        Self { held: held.into(), told: told.into() }
    }

    /// The findings, in order.
    pub fn iter(&self) -> impl Iterator<Item = Finding> + '_ {
        let (mut held, mut told) = (self.held.iter(), self.told.iter().peekable());
        (0..self.held.len() + self.told.len()).filter_map(move |place| {
            match told.next_if(|(at, _)| usize::from(*at) == place) {
                Some((_, finding)) => Some(finding.clone()),
                None => held.next().map(|held| Finding {
                    requirement: IDS.by_number[usize::from(held.id)],
                    outcome: Outcome::Pass,
                    passes: held.passes.into(),
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
            for id in judged.held.iter().map(|held| &held.id).chain(told) {
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
            finding(5, Outcome::Pass, 70_000),
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
