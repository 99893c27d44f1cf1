//! The store in the memory of the process: the default, for one node.
//!
//! Answers at once; the trait wraps its answers for those who can wait.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::record::{Change, Entry, Kind, Position, Record};
use super::session_store::{Batch, SessionStore, StoreError, Use, Wait};

/// Streams whose events are kept for resumption; older finished ones are forgotten.
const KEPT_STREAMS: usize = 64;
/// Entries kept for each stream; the oldest make room.
const KEPT_EVENTS: usize = 1000;

/// Room that a map of sessions may keep whatever is in it.
const SMALL: usize = 64;

/// The log of one stream.
#[derive(Debug)]
struct Log {
    is_get: bool,
    /// The place of the last entry, whether it is kept or not.
    last: u64,
    entries: VecDeque<(u64, Kind)>,
    finished: bool,
}

#[derive(Debug)]
struct Kept {
    record: Record,
    streams: BTreeMap<u64, Log>,
}

impl Kept {
    fn write(&mut self, change: &Change) -> Option<Position> {
        self.record.facts.take(change);
        match change {
            Change::Used(until) => {
                self.record.until = self.record.until.max(*until);
                None
            }
            Change::Opened { stream, reader, .. } => {
                let log = Log { is_get: reader.is_some(), last: 0, entries: VecDeque::new(), finished: false };
                self.streams.insert(*stream, log);
                let newest = self.record.facts.get;
                let over = |(number, log): (&u64, &Log)| {
                    (log.finished || (log.is_get && newest != Some(*number))).then_some(*number)
                };
                let over: Vec<u64> = self.streams.iter().filter_map(over).collect();
                for old in over.iter().take(over.len().saturating_sub(KEPT_STREAMS)) {
                    self.streams.remove(old);
                }
                Some(Position::START)
            }
            Change::Event { stream, data } => {
                let log = self.streams.get_mut(stream)?;
                log.last += 1;
                log.entries.push_back((log.last, Kind::Event(data.clone())));
                if log.entries.len() > KEPT_EVENTS {
                    log.entries.pop_front();
                }
                Some(Position(0, log.last))
            }
            Change::Finished(stream) => {
                let log = self.streams.get_mut(stream)?;
                log.finished = true;
                Some(Position(0, log.last))
            }
            _ => None,
        }
    }

    fn read(&self, stream: Option<u64>, after: Option<Position>) -> Option<Vec<Entry>> {
        let mut found = Vec::new();
        if let (Some(stream), Some(after)) = (stream, after) {
            let log = self.streams.get(&stream)?;
            let oldest = log.entries.front().map_or(log.last + 1, |(number, _)| *number);
            if after.0 != 0 || after.1 > log.last || after.1 + 1 < oldest {
                return None;
            }
        } else if stream.is_some_and(|stream| !self.streams.contains_key(&stream)) {
            return None;
        }
        let after = after.unwrap_or(Position::START);
        for (number, log) in self.streams.iter().filter(|(number, _)| stream.is_none_or(|wanted| wanted == **number)) {
            let later = log.entries.iter().filter(|(place, _)| Position(0, *place) > after);
            let entry = |(place, kind): &(u64, Kind)| Entry {
                stream: *number,
                position: Position(0, *place),
                kind: kind.clone(),
            };
            found.extend(later.map(entry));
            if log.finished {
                found.push(Entry { stream: *number, position: Position(0, log.last), kind: Kind::Finished });
            }
        }
        Some(found)
    }
}

/// All sessions of this process.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    sessions: RwLock<HashMap<String, Arc<Mutex<Kept>>>>,
}

impl Memory {
    fn kept(&self, id: &str) -> Option<Arc<Mutex<Kept>>> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Keeps a new session.
    pub(crate) fn create_now(&self, record: Record) {
        let kept = Kept { streams: BTreeMap::new(), record };
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(kept.record.id.clone(), Arc::new(Mutex::new(kept)));
    }

    /// Whether a session lives. What nobody has used in time is forgotten.
    pub(crate) fn lives(&self, id: &str, used: Use) -> bool {
        let Some(kept) = self.kept(id) else { return false };
        let over = lock(&kept).record.until <= used.now && !used.busy;
        if over {
            self.remove_now(id);
        }
        !over
    }

    /// Writes one change; a session that is gone takes none.
    pub(crate) fn write_now(&self, id: &str, change: &Change) -> Option<Position> {
        lock(&*self.kept(id)?).write(change)
    }

    /// What the log says.
    pub(crate) fn read_now(&self, id: &str, stream: Option<u64>, after: Option<Position>) -> Option<Vec<Entry>> {
        lock(&*self.kept(id)?).read(stream, after)
    }

    /// Ends a session; says whether it lived.
    pub(crate) fn remove_now(&self, id: &str) -> bool {
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        let lived = sessions.remove(id).is_some();
        give_back(&mut sessions);
        lived
    }
}

/// Gives back the room of a map that was much fuller once.
pub(crate) fn give_back<V>(map: &mut HashMap<String, V>) {
    if map.capacity() > SMALL && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SessionStore for Memory {
    fn at_once(&self) -> Option<&Memory> {
        Some(self)
    }

    fn node(&self) -> &'static str {
        ""
    }

    fn create<'a>(&'a self, record: &'a Record) -> Wait<'a, ()> {
        self.create_now(record.clone());
        Box::pin(ready(Ok(())))
    }

    fn load<'a>(&'a self, id: &'a str, used: Use) -> Wait<'a, Option<Record>> {
        let record = self.lives(id, used).then(|| self.kept(id)).flatten().map(|kept| lock(&kept).record.clone());
        Box::pin(ready(Ok(record)))
    }

    fn write<'a>(&'a self, id: &'a str, batch: Batch<'a>) -> Wait<'a, Vec<Option<Position>>> {
        let written = self.kept(id).map(|kept| {
            let mut kept = lock(&kept);
            batch.changes.iter().map(|change| kept.write(change)).collect()
        });
        Box::pin(ready(written.ok_or(StoreError::Gone)))
    }

    fn read<'a>(&'a self, id: &'a str, stream: Option<u64>, after: Option<Position>) -> Wait<'a, Option<Vec<Entry>>> {
        Box::pin(ready(Ok(self.read_now(id, stream, after))))
    }

    fn remove<'a>(&'a self, id: &'a str) -> Wait<'a, bool> {
        Box::pin(ready(Ok(self.remove_now(id))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_gives_back_room_and_keeps_what_is_in_it() {
        let mut map: HashMap<String, u32> = (0..4000).map(|number| (number.to_string(), number)).collect();
        for number in 40..4000 {
            map.remove(&number.to_string());
            give_back(&mut map);
        }
        assert_eq!((map.len(), map.get("7")), (40, Some(&7)));
        assert!(map.capacity() < 1000, "{}", map.capacity());
    }
}
