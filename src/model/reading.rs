//! JSON texts, read once where they come again and again: a server lists its tools alike to each client that asks, and
//! reading such a list costs more than all else that a client does with it.
//!
//! A text that equals one that was read before is the same value, whoever reads it; nobody can tell the difference.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// Shorter texts are read faster than they are found, in bytes.
const SHORTEST: usize = 1024;

/// Longer ones would take too much room, in bytes.
pub(super) const LONGEST: usize = 32 * 1024;

/// How many texts are remembered.
const KEPT: usize = 16;

/// How many texts are remembered to have been seen once.
const SEEN: usize = 64;

static SHELF: Mutex<Shelf> = Mutex::new(Shelf { known: Vec::new(), next: 0, seen: Vec::new(), next_seen: 0 });

fn shelf() -> MutexGuard<'static, Shelf> {
    SHELF.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is remembered. A text gets its place when it comes for the second time.
struct Shelf {
    known: Vec<(Box<str>, Arc<Value>)>,
    next: usize,
    seen: Vec<(usize, u64)>,
    next_seen: usize,
}

impl Shelf {
    fn find(&self, text: &str) -> Option<Arc<Value>> {
        let known = self.known.iter().find(|(known, _)| known.len() == text.len() && **known == *text)?;
        Some(Arc::clone(&known.1))
    }

    fn keep(&mut self, text: &str, value: &Arc<Value>) {
        let mark = (text.len(), print_of(text));
        if !self.seen.contains(&mark) {
            put(&mut self.seen, &mut self.next_seen, SEEN, mark);
            return;
        }
        put(&mut self.known, &mut self.next, KEPT, (text.into(), Arc::clone(value)));
    }
}

/// Puts an item in the place of the oldest, once all places are taken.
fn put<T>(list: &mut Vec<T>, next: &mut usize, most: usize, item: T) {
    if list.len() < most {
        list.push(item);
    } else {
        list[*next % most] = item;
        *next = (*next + 1) % most;
    }
}

/// Tells texts of one length apart, mostly (FNV-1a over some of their bytes).
fn print_of(text: &str) -> u64 {
    let step = (text.len() / 128).max(1);
    text.bytes()
        .step_by(step)
        .fold(0xcbf2_9ce4_8422_2325, |print, byte| (print ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The value of a JSON text if it is remembered.
fn known_json(text: &str) -> Option<Arc<Value>> {
    let apt = (SHORTEST..=LONGEST).contains(&text.len());
    apt.then(|| shelf().find(text)).flatten()
}

/// Whether the value of a text is remembered: it was read before, and has no more to it than such a text can have.
pub fn is_known(text: &str) -> bool {
    known_json(text).is_some()
}

/// Whether a value is one that is remembered, so that equal texts are this very value.
pub fn comes_again(value: &Arc<Value>) -> bool {
    shelf().known.iter().any(|(_, known)| Arc::ptr_eq(known, value))
}

/// The value of a JSON text; `None` where it is none.
pub fn read_json(text: &str) -> Option<Arc<Value>> {
    if let Some(known) = known_json(text) {
        return Some(known);
    }
    let value = Arc::new(serde_json::from_str(text).ok()?);
    if (SHORTEST..=LONGEST).contains(&text.len()) {
        shelf().keep(text, &value);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(number: usize) -> String {
        json!({"number": number, "padding": "x".repeat(2000)}).to_string()
    }

    #[test]
    fn equal_texts_are_equal_values_and_others_are_not() {
        let first = read_json(&text(1)).expect("JSON");
        let second = read_json(&text(1)).expect("JSON");
        assert_eq!(first, second);
        let other = text(1).replacen("\"number\":1", "\"number\":3", 1);
        assert_eq!(read_json(&other).expect("JSON")["number"], 3);
    }

    #[test]
    fn a_text_that_came_twice_is_remembered() {
        let mut shelf = Shelf { known: Vec::new(), next: 0, seen: Vec::new(), next_seen: 0 };
        let value = Arc::new(json!(1));
        shelf.keep("text", &value);
        assert!(shelf.find("text").is_none());
        shelf.keep("text", &value);
        assert!(Arc::ptr_eq(&shelf.find("text").expect("remembered"), &value));
        assert!(shelf.find("next").is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_right() {
        for round in 0..4 {
            for number in 0..3 * KEPT {
                assert_eq!(read_json(&text(number)).expect("JSON")["number"], json!(number), "{round}");
            }
        }
        assert!(shelf().known.len() <= KEPT && shelf().seen.len() <= SEEN);
        assert!(read_json(&"x".repeat(2000)).is_none());
        assert_eq!(read_json("[1]").as_deref(), Some(&json!([1])));
    }
}
