//! Texts that many cases hold, kept once.

use std::collections::HashSet;
use std::sync::Arc;

use super::Case;

/// Equal texts become one.
#[derive(Debug, Default)]
pub struct Pool(HashSet<Arc<str>>);

impl Pool {
    /// Lets a case hold what others hold already.
    pub fn share(&mut self, case: &mut Case) {
        for text in &mut case.sent {
            match self.0.get(text) {
                Some(known) => *text = Arc::clone(known),
                None => drop(self.0.insert(Arc::clone(text))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::*;

    #[test]
    fn what_two_cases_sent_alike_is_kept_once() {
        let text = || String::new();
        let plan = || Plan {
            scenario: text(),
            file: None,
            title: text(),
            profile: text(),
            profile_title: text(),
            revision: text(),
            target: None,
        };
        let case = |sent: [&str; 2]| Case { sent: sent.map(Arc::from).into(), ..Case::not_applicable(plan(), text()) };
        let (mut one, mut other) = (case(["ping", "a"]), case(["ping", "b"]));
        let mut pool = Pool::default();
        pool.share(&mut one);
        pool.share(&mut other);
        assert!(Arc::ptr_eq(&one.sent[0], &other.sent[0]));
        assert_eq!((&*one.sent[1], &*other.sent[1]), ("a", "b"));
    }
}
