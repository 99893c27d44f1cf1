//! What many cases hold, kept once: names, messages that were sent, and which requirements held.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use super::Case;

/// Equal texts, and equal sets of requirements, become one.
#[derive(Debug, Default)]
pub struct Pool {
    texts: HashSet<Arc<str>>,
    held: HashSet<Arc<[u16]>>,
}

impl Pool {
    /// Lets a case hold what others hold already.
    pub fn share(&mut self, case: &mut Case) {
        case.sent.iter_mut().for_each(|text| one(&mut self.texts, text));
        case.findings.held_mut(|held| one(&mut self.held, held));
    }

    /// The text as others hold it.
    pub fn one(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        text
    }
}

fn one<T: ?Sized + Eq + Hash>(all: &mut HashSet<Arc<T>>, item: &mut Arc<T>) {
    match all.get(item) {
        Some(known) => *item = Arc::clone(known),
        None => drop(all.insert(Arc::clone(item))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Judged, Plan};
    use super::*;
    use crate::check::{Finding, Outcome};

    #[test]
    fn what_two_cases_sent_alike_is_kept_once() {
        let none: Arc<str> = "".into();
        let text = || Arc::clone(&none);
        let plan = || Plan {
            scenario: text(),
            file: None,
            title: text(),
            profile: text(),
            profile_title: text(),
            revision: text(),
            target: None,
        };
        let findings = || {
            let held = |requirement| Finding { requirement, outcome: Outcome::Pass, passes: 1, breaches: Vec::new() };
            Judged::of(["base.jsonrpc-envelope", "lifecycle.version-counter-offer"].map(held).into())
        };
        let case = |sent: [&str; 2]| Case {
            sent: sent.map(Arc::from).into(),
            findings: findings(),
            ..Case::not_applicable(plan(), String::new())
        };
        let (mut one, mut other) = (case(["ping", "a"]), case(["ping", "b"]));
        let mut pool = Pool::default();
        pool.share(&mut one);
        pool.share(&mut other);
        assert!(Arc::ptr_eq(&one.sent[0], &other.sent[0]));
        assert_eq!((&*one.sent[1], &*other.sent[1]), ("a", "b"));
        let mut held = Vec::new();
        for case in [&mut one, &mut other] {
            case.findings.held_mut(|ids| held.push(Arc::clone(ids)));
        }
        assert!(Arc::ptr_eq(&held[0], &held[1]) && held[0].len() == 2);
        assert!(Arc::ptr_eq(&pool.one("a"), &one.sent[1]));
    }
}
