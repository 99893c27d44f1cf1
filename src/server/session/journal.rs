//! What a session writes into its store, in order. A store that answers at once is written to at once; any other gets
//! what has gathered in one go, and what follows from a change happens when the store has it.
//!
//! So a reader never sees an event that is not in the log. While the store is away everything waits, within bounds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::conversation::{Inner, Session};
use crate::server::store::{Batch, Change, StoreError};

/// How long a request waits until what it changed is written.
const PATIENCE: Duration = Duration::from_secs(2);
/// The first pause before a store that was away is tried again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// The most changes that are written in one go.
const AT_ONCE: usize = 128;
/// The most changes of one session that wait, and the most bytes of them.
const MOST_WAITING: (usize, usize) = (10_000, 32 * 1024 * 1024);

/// Changes on their way.
#[derive(Debug, Default)]
pub(super) struct Journal {
    waiting: VecDeque<(Change, bool)>,
    bytes: usize,
    writing: bool,
    /// How many changes there ever were, and how many of them are written or given up.
    asked: u64,
    done: u64,
}

impl Journal {
    /// How many changes there ever were; `None` while some are on their way.
    pub(super) fn at_rest(&self) -> Option<u64> {
        (self.asked == self.done).then_some(self.asked)
    }
}

impl Session {
    /// Takes a change in and writes it.
    pub(super) fn write(&self, inner: &mut Inner, change: Change, unique: bool) {
        inner.facts.take(&change);
        if let Some(memory) = self.store.at_once() {
            let place = memory.write_now(&self.id, &change);
            self.took(inner, change, place, unique);
            return;
        }
        let journal = &mut inner.journal;
        if journal.waiting.len() >= MOST_WAITING.0 || journal.bytes >= MOST_WAITING.1 {
            // What cannot be kept is not told either: the readers see that their streams broke.
            inner.break_streams();
            return;
        }
        journal.bytes += change.size();
        journal.asked += 1;
        journal.waiting.push_back((change, unique));
        if !journal.writing
            && let Some(me) = self.me.upgrade()
        {
            journal.writing = true;
            tokio::spawn(drain(me));
        }
    }

    /// Waits until all is written that was to be by now.
    pub(crate) async fn settled(&self) -> Result<(), StoreError> {
        let asked = self.inner().journal.asked;
        let done = async {
            loop {
                let progress = self.written.notified();
                tokio::pin!(progress);
                // From here on no progress is missed.
                progress.as_mut().enable();
                if self.inner().journal.done >= asked {
                    return;
                }
                progress.await;
            }
        };
        tokio::time::timeout(PATIENCE, done).await.map_err(|_| StoreError::Away)
    }
}

impl Session {
    /// Changes that could not be written are the first to be tried again.
    fn put_back(&self, changes: impl DoubleEndedIterator<Item = (Change, bool)>) {
        let mut inner = self.inner();
        for pair in changes.rev() {
            inner.journal.waiting.push_front(pair);
        }
    }

    /// Nothing that waits will ever be written.
    fn give_up(&self) {
        let mut inner = self.inner();
        let journal = &mut inner.journal;
        journal.done = journal.asked;
        journal.bytes = 0;
        journal.waiting.clear();
    }
}

/// Writes until nothing waits any more.
async fn drain(session: Arc<Session>) {
    // What is tried again is the same as before, so that it is seen whether it was written after all.
    let (mut pause, mut again, mut number) = (PAUSES.0, false, 0);
    loop {
        let (changes, uniques): (Vec<Change>, Vec<bool>) = {
            let mut inner = session.inner();
            let journal = &mut inner.journal;
            if !again {
                number = journal.waiting.len().min(AT_ONCE);
            }
            if number == 0 {
                journal.writing = false;
                return;
            }
            journal.waiting.drain(..number).unzip()
        };
        let serial = session.base.wrapping_add(session.inner().journal.done);
        match session.store.write(&session.id, Batch { changes: &changes, serial, again }).await {
            Ok(places) => {
                (pause, again) = (PAUSES.0, false);
                let mut inner = session.inner();
                inner.journal.done += changes.len() as u64;
                inner.journal.bytes -= changes.iter().map(Change::size).sum::<usize>();
                for ((change, unique), place) in changes.into_iter().zip(uniques).zip(places) {
                    session.took(&mut inner, change, place, unique);
                }
            }
            Err(StoreError::Away) => {
                again = true;
                number = changes.len();
                session.put_back(changes.into_iter().zip(uniques));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
                continue;
            }
            Err(StoreError::Gone) => {
                session.give_up();
                session.close();
            }
        }
        session.written.notify_waiters();
    }
}
