//! Answers about values that come again: a server lists its tools alike in nearly every case, and each thread remembers
//! what checks found out about such a list.
//!
//! A value is known by where it lies in memory, and forgotten once it is gone. An answer must depend on nothing but the
//! question and the value.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr;
use std::sync::{Arc, Weak};

use serde_json::Value;

use crate::model::{Revision, comes_again};

/// Of how many values each thread remembers something.
const KEPT: usize = 16;

/// What is asked: its name, and the revision that it is asked under, if that matters.
pub(crate) type Question = (&'static str, Option<Revision>);

/// What is known about one value: answers by question and by where the part lies that they are about.
struct Known {
    /// Keeps the place of the value from being given to another, not the value itself.
    whole: Weak<Value>,
    answers: HashMap<(Question, usize), Option<bool>>,
}

thread_local! {
    static MEMO: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// The answer to a question about `part`, which lies within `whole`; looked for once where the whole comes again.
pub(crate) fn remembered(
    question: Question,
    whole: &Arc<Value>,
    part: &Value,
    look: impl FnOnce() -> Option<bool>,
) -> Option<bool> {
    let key = (question, ptr::from_ref(part).addr());
    let place = || {
        let is_it = |known: &Known| ptr::eq(known.whole.as_ptr(), Arc::as_ptr(whole));
        MEMO.with_borrow(|memo| memo.iter().position(is_it))
    };
    if let Some(known) = place().and_then(|at| MEMO.with_borrow(|memo| memo[at].answers.get(&key).copied())) {
        return known;
    }
    let answer = look();
    // The search may have remembered something, too.
    let at = place();
    if at.is_some() || comes_again(whole) {
        MEMO.with_borrow_mut(|memo| {
            let at = at.unwrap_or_else(|| {
                memo.retain(|known| known.whole.strong_count() > 0);
                if memo.len() >= KEPT {
                    memo.remove(0);
                }
                memo.push(Known { whole: Arc::downgrade(whole), answers: HashMap::new() });
                memo.len() - 1
            });
            memo[at].answers.insert(key, answer);
        });
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::read_json;
    use serde_json::json;

    /// A value that comes again: its text was read twice.
    fn again(number: usize) -> Arc<Value> {
        let text = json!([number, "x".repeat(2000)]).to_string();
        let read = || read_json(&text).expect("JSON");
        (read(), read(), read()).2
    }

    #[test]
    fn an_answer_is_looked_for_once_for_each_question_and_part() {
        let (mut looks, whole) = (0, again(70_001));
        for _ in 0..3 {
            for (question, part) in [("a", &whole[0]), ("b", &whole[0]), ("a", &whole[1])] {
                let answer = remembered((question, None), &whole, part, || {
                    looks += 1;
                    Some(part.is_number())
                });
                assert_eq!(answer, Some(part.is_number()));
            }
        }
        assert_eq!(looks, 3);
        let other = remembered(("a", Some(Revision::V2025_06_18)), &whole, &whole[0], || None);
        assert_eq!(other, None);
    }

    #[test]
    fn what_does_not_come_again_is_not_remembered_and_nothing_is_held() {
        let once = Arc::new(json!([1]));
        assert_eq!(remembered(("a", None), &once, &once[0], || Some(true)), Some(true));
        assert_eq!(remembered(("a", None), &once, &once[0], || Some(false)), Some(false));
        let whole = again(75_000);
        let holders = Arc::strong_count(&whole);
        assert_eq!(remembered(("a", None), &whole, &whole[0], || None), None);
        assert_eq!(Arc::strong_count(&whole), holders);
    }

    #[test]
    fn no_more_is_remembered_than_has_room_and_all_of_it_is_right() {
        for number in 0..3 * KEPT {
            let whole = again(80_000 + number);
            for _ in 0..2 {
                let even = Some(number % 2 == 0);
                assert_eq!(remembered(("even", None), &whole, &whole, || even), even);
            }
            MEMO.with_borrow(|memo| assert!(memo.len() <= KEPT));
        }
    }
}
