//! Where sessions are found: those that this node has at hand, and, through the store, all others.
//!
//! Ends idle sessions by the time it is told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::conversation::Session;
use crate::model::{Clock, Revision, Rng};
use crate::server::store::{Change, Facts, Record, SessionStore, StoreError, Use, give_back};

/// Sessions held in memory at a time; the one that was used longest ago makes room.
const MAX_SESSIONS: usize = 4096;
/// How often all sessions are looked through for idle ones.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// The use of a session in a shared store is noted again after so much of the time that it may lie idle.
const NOTED_AGAIN: u32 = 64;
/// What goes on is noted this many times in the time that a session may lie idle.
const KEPT_USED: u32 = 4;
/// How often it is looked at what goes on, also where nobody asks for anything.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    store: Arc<dyn SessionStore>,
    idle: Duration,
    /// Whether the use of a session puts off its end; only a fault has it otherwise.
    use_counts: bool,
    rng: Rng,
    /// Where the store is this node's own: every session. Else those in which something goes on here.
    at_hand: Mutex<HashMap<String, Arc<Session>>>,
    /// Ended sessions whose streams stay open; only a fault leaves any.
    lingering: Mutex<Vec<Arc<Session>>>,
    /// When all were last looked through, in milliseconds.
    swept: AtomicU64,
}

impl Sessions {
    /// The sessions of a store, each of which may lie idle for so long.
    pub(crate) fn new(store: Arc<dyn SessionStore>, idle: Duration, rng: Rng) -> Self {
        Self {
            store,
            idle,
            use_counts: true,
            rng,
            at_hand: Mutex::default(),
            lingering: Mutex::default(),
            swept: AtomicU64::new(0),
        }
    }

    /// The same, where a fault has the end of each session fixed from its beginning.
    pub(crate) fn counting_use(self, use_counts: bool) -> Self {
        Self { use_counts, ..self }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From where on a session numbers its streams and questions: at several nodes in different places.
    fn base(&self) -> u64 {
        if self.store.at_once().is_some() { 0 } else { self.rng.next_u64() >> 24 << 12 }
    }

    /// Begins a session that is used now.
    pub(crate) async fn begin(
        &self,
        id: String,
        revision: Revision,
        capabilities: Value,
        subject: Option<String>,
        now: Duration,
    ) -> Result<Arc<Session>, StoreError> {
        let until = now.saturating_add(self.idle);
        if self.store.at_once().is_none() && self.is_full() {
            return Err(StoreError::Away);
        }
        let record = Record { id, revision, capabilities, subject, facts: Facts::default(), until };
        if let Some(memory) = self.store.at_once() {
            memory.create_now(record.clone());
        } else {
            self.store.create(&record).await?;
        }
        let session = Session::of(record, Arc::clone(&self.store), self.base());
        session.inner().last_used = now;
        let mut map = self.map();
        if map.len() >= MAX_SESSIONS {
            let Some(memory) = self.store.at_once() else {
                map.retain(|_, session| is_in_use(session));
                map.insert(session.id.clone(), Arc::clone(&session));
                return Ok(session);
            };
            if let Some(oldest) = map.values().min_by_key(|s| s.inner().last_used).map(|s| s.id.clone())
                && let Some(gone) = map.remove(&oldest)
            {
                memory.remove_now(&oldest);
                gone.close();
            }
        }
        map.insert(session.id.clone(), Arc::clone(&session));
        Ok(session)
    }

    /// Whether so much goes on at this node that nothing more may begin here.
    fn is_full(&self) -> bool {
        let map = self.map();
        map.len() >= MAX_SESSIONS && map.values().filter(|session| is_in_use(session)).count() >= MAX_SESSIONS
    }

    /// A session that this node has at hand, without a look into the store; only faults ask.
    pub(crate) fn at_hand(&self, id: &str) -> Option<Arc<Session>> {
        self.map().get(id).cloned()
    }

    /// The session, marked as used now.
    pub(crate) async fn find(&self, id: &str, now: Duration) -> Result<Option<Arc<Session>>, StoreError> {
        let here = self.at_hand(id);
        let busy = here.as_ref().is_some_and(|session| session.idle_since().is_none());
        if let Some(memory) = self.store.at_once() {
            let Some(session) = here.filter(|_| memory.lives(id, Use { now, busy })) else {
                self.drop_at_hand(id);
                return Ok(None);
            };
            if self.use_counts {
                memory.write_now(id, &Change::Used(now.saturating_add(self.idle)));
                session.inner().last_used = now;
            }
            return Ok(Some(session));
        }
        let at_rest = here.as_ref().and_then(|session| session.inner().journal.at_rest());
        let Some(record) = self.store.load(id, Use { now, busy }).await? else {
            self.drop_at_hand(id);
            return Ok(None);
        };
        let (facts, noted) = (record.facts.clone(), record.until);
        let session = {
            let mut map = self.map();
            let new = || Session::of(record, Arc::clone(&self.store), self.base());
            Arc::clone(map.entry(id.to_owned()).or_insert_with(new))
        };
        session.refresh(facts, at_rest);
        let mut inner = session.inner();
        inner.last_used = now;
        let until = now.saturating_add(self.idle);
        if noted.saturating_add(self.idle / NOTED_AGAIN) < until {
            session.write(&mut inner, Change::Used(until), true);
        }
        drop(inner);
        Ok(Some(session))
    }

    /// A session that is over in the store is over here.
    fn drop_at_hand(&self, id: &str) {
        if let Some(gone) = self.map().remove(id) {
            gone.close();
        }
    }

    /// Ends a session; says whether it lived.
    pub(crate) async fn remove(&self, id: &str, close: bool) -> Result<bool, StoreError> {
        let Some(memory) = self.store.at_once() else {
            let lived = self.store.remove(id).await?;
            self.drop_at_hand(id);
            return Ok(lived);
        };
        Ok(self
            .map()
            .remove(id)
            .inspect(|session| {
                if close {
                    memory.remove_now(id);
                    session.close();
                } else {
                    self.lingering.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(session));
                }
            })
            .is_some())
    }

    /// Ends the sessions that nobody has used in time, every so often; where the store is shared, puts those out of hand
    /// in which nothing goes on here.
    pub(crate) fn sweep(&self, now: Duration) {
        let ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let every = u64::try_from(SWEEP_EVERY.as_millis()).unwrap_or(u64::MAX);
        let due = |last: u64| (ms.abs_diff(last) >= every).then_some(ms);
        if self.swept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_err() {
            return;
        }
        let memory = self.store.at_once();
        let mut map = self.map();
        map.retain(|id, session| {
            let Some(since) = session.idle_since() else { return true };
            let Some(memory) = memory else { return is_in_use(session) };
            let keep = now.saturating_sub(since) < self.idle;
            if !keep {
                memory.remove_now(id);
                session.close();
            }
            keep
        });
        give_back(&mut map);
    }

    /// Notes of sessions that they are in use as long as something goes on in them here. Never ends.
    pub(crate) async fn keep_used(&self, clock: &dyn Clock) {
        loop {
            clock.sleep((self.idle / KEPT_USED).min(LOOK_EVERY)).await;
            let now = clock.unix();
            self.sweep(now);
            for session in self.all().iter().filter(|session| session.idle_since().is_none()) {
                let mut inner = session.inner();
                if now.saturating_sub(inner.last_used) >= self.idle / KEPT_USED {
                    inner.last_used = now;
                    session.write(&mut inner, Change::Used(now.saturating_add(self.idle)), true);
                }
            }
        }
    }

    /// This node ends; what goes on here ends with it, and the sessions live on where others can find them.
    pub(crate) async fn leave(&self) {
        self.all().iter().for_each(|session| session.close());
        // Where the store does not hear of it, it finds out by itself.
        let _ = self.store.leave().await;
    }

    /// The session that was used last: whose a request is where no ids are given, and what faults lend out.
    pub(crate) fn latest(&self) -> Option<Arc<Session>> {
        self.map().values().max_by_key(|session| session.inner().last_used).cloned()
    }

    /// Every session that this node has at hand.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.map().values().cloned().collect()
    }
}

/// Whether something goes on in a session, or somebody holds it.
fn is_in_use(session: &Arc<Session>) -> bool {
    Arc::strong_count(session) > 1 || session.idle_since().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::sse::Frame;
    use crate::server::store::Memory;
    use serde_json::json;

    const IDLE: Duration = Duration::from_secs(10);

    fn sessions() -> Sessions {
        Sessions::new(Arc::new(Memory::default()), IDLE, Rng::seeded(1))
    }

    async fn session(sessions: &Sessions) -> Arc<Session> {
        let begun = sessions.begin("s".into(), Revision::V2025_11_25, json!({}), None, Duration::ZERO).await;
        begun.expect("in memory")
    }

    #[tokio::test]
    async fn resume_replays_only_later_events_of_that_stream() {
        let session = session(&sessions()).await;
        let (first, _reader) = session.open(false, true);
        let (second, _other) = session.open(false, true);
        session.emit(first, "a".into(), true);
        session.emit(second, "x".into(), true);
        session.emit(first, "b".into(), true);
        session.finish(first, true);
        let mut reader = session.resume("1.1", false, false).await.expect("known");
        let frame = Frame::Event { id: Some("1.2".into()), data: "b".into() };
        assert_eq!(reader.try_recv(), Ok(frame));
        assert!(reader.try_recv().is_err());
        for unknown in ["9.1", "1.7", "junk", "1.-1", "1.5-0"] {
            assert!(session.resume(unknown, false, false).await.is_err(), "{unknown}");
        }
    }

    #[tokio::test]
    async fn idle_sessions_end_and_used_ones_stay() {
        let sessions = sessions();
        session(&sessions).await;
        let find = async |second| sessions.find("s", Duration::from_secs(second)).await.expect("in memory");
        sessions.sweep(Duration::from_secs(5));
        assert!(find(8).await.is_some());
        sessions.sweep(Duration::from_secs(17));
        assert!(find(17).await.is_some());
        assert!(find(27).await.is_none());
        assert!(!sessions.remove("s", true).await.expect("in memory"));
    }

    #[tokio::test]
    async fn a_session_in_which_something_goes_on_is_not_idle() {
        let sessions = sessions();
        let session = session(&sessions).await;
        let (_, reader) = session.open(true, false);
        sessions.sweep(Duration::from_secs(60));
        assert!(sessions.find("s", Duration::from_secs(61)).await.expect("in memory").is_some());
        drop(reader);
        sessions.sweep(Duration::from_secs(80));
        assert!(sessions.find("s", Duration::from_secs(81)).await.expect("in memory").is_none());
    }

    #[tokio::test]
    async fn a_log_outlives_its_reader() {
        let session = session(&sessions()).await;
        let (stream, reader) = session.open(false, false);
        drop(reader);
        session.emit(stream, "late".into(), true);
        session.finish(stream, true);
        assert!(session.resume("1.0", false, false).await.expect("known").try_recv().is_ok());
    }

    #[tokio::test]
    async fn what_is_not_kept_any_more_is_not_passed_over_in_silence() {
        let session = session(&sessions()).await;
        let (stream, _reader) = session.open(false, true);
        for number in 0..2000 {
            session.emit(stream, number.to_string(), true);
        }
        assert!(session.resume("1.0", false, false).await.is_err());
        assert!(session.resume("1.999", false, false).await.is_err());
        assert!(session.resume("1.1000", false, false).await.is_ok());
    }
}
