//! The sessions that this node has written to lately: what a replica says of them may be older than what their client was
//! told here.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most that are remembered of one span of time; beyond that, all count as written.
const MOST: usize = 16_384;

/// Two spans of time: the one under way, and the one before.
#[derive(Debug, Default)]
pub(super) struct Written {
    spans: Mutex<[Span; 2]>,
}

#[derive(Debug, Default)]
struct Span {
    ids: HashSet<String>,
    full: bool,
}

impl Written {
    fn spans(&self) -> MutexGuard<'_, [Span; 2]> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session was written to.
    pub(super) fn note(&self, id: &str) {
        let [now, _] = &mut *self.spans();
        if now.ids.len() >= MOST {
            now.full = true;
        } else if !now.ids.contains(id) {
            now.ids.insert(id.to_owned());
        }
    }

    /// Whether it was written to in the span under way or the one before.
    pub(super) fn has(&self, id: &str) -> bool {
        self.spans().iter().any(|span| span.full || span.ids.contains(id))
    }

    /// A new span begins.
    pub(super) fn turn(&self) {
        let mut spans = self.spans();
        let before = std::mem::take(&mut spans[0]);
        spans[1] = before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_remembered_for_one_span_and_the_rest_of_its_own() {
        let written = Written::default();
        written.note("s");
        assert!(written.has("s") && !written.has("t"));
        written.turn();
        assert!(written.has("s"));
        written.turn();
        assert!(!written.has("s"));
    }

    #[test]
    fn what_is_too_much_to_remember_counts_as_written() {
        let written = Written::default();
        (0..=MOST).for_each(|number| written.note(&number.to_string()));
        assert!(written.has("never"));
        written.turn();
        written.turn();
        assert!(!written.has("never"));
    }
}
