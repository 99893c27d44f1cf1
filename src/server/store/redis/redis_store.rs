//! Sessions in Redis: which commands each operation is.
//!
//! `session:{id}:state` is a hash of what was negotiated and has changed since, `session:{id}:tokens` one of whose the
//! session is and of digests of its tokens, `session:{id}:ttl` its end in milliseconds since the Unix epoch, and
//! `session:{id}:events` the log as a stream. The end goes by the server's clock; that Redis drops keys by its own is
//! for what nobody asks for any more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use redis::streams::StreamRangeReply;
use redis::{Pipeline, Value, from_redis_value};
use tokio::task::AbortHandle;

use super::bus::Bus;
use super::codec::{self, Keys};
use super::link::{Link, Lost, RedisError, together};
use super::shared::Shared;
use super::written::Written;
use crate::model::Rng;
use crate::server::store::{
    Batch, Change, Entry, Heard, Kind, Notice, Position, Record, SessionStore, StoreError, Subscription, Use, Wait,
};

/// About how many entries a log keeps.
const KEPT_ENTRIES: usize = 4000;
/// How long Redis keeps a session at most after it has ended by the server's clock.
const MARGIN: Duration = Duration::from_secs(60);
/// How long a node counts as living after it last said so, and how often it says so.
const LIVES: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(1));
/// How long at least a session that was written to is read from the primary; twice as long at most. A replica that lags
/// more than that is read too early.
const WRITTEN_FOR: Duration = Duration::from_secs(10);
/// How many of the last entries are looked through for those of a write that may have worked.
const LOOKED_THROUGH: usize = 1000;

/// Sessions in Redis.
#[derive(Debug)]
pub(crate) struct Redis {
    link: Link,
    /// Where sessions are read from that this node has not written to lately, and which of them it has.
    replica: Option<(Link, Arc<Written>)>,
    bus: Arc<Bus>,
    node: String,
    /// How many milliseconds Redis keeps a key after its last use.
    kept: u64,
    tasks: Vec<AbortHandle>,
}

impl Redis {
    /// Connects. Sessions may lie idle for so long; other nodes know this one by the name, and by something that tells
    /// it from one of the same name that ran before.
    #[cfg(test)]
    pub(crate) async fn open(url: &str, name: &str, idle: Duration, rng: &Rng) -> Result<Self, RedisError> {
        Self::open_as(url, None, Self::identity(name, rng), idle).await
    }

    /// A name for a node that tells it from one of the same name that ran before.
    pub(crate) fn identity(name: &str, rng: &Rng) -> String {
        let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).take(64).collect();
        format!("{plain}#{}", rng.hex(4))
    }

    /// The same as the node of this identity. Sessions are read from the replica, where there is one: what it has of a
    /// living session is believed unless this node has written to it lately; of what it does not have, the primary
    /// decides. Logs are read where they are written.
    pub(crate) async fn open_as(
        url: &str,
        replica: Option<&str>,
        node: String,
        idle: Duration,
    ) -> Result<Self, RedisError> {
        let (link, client) = Link::open(url).await?;
        let (bus, listening) = Bus::begin(client, node.clone());
        let living = tokio::spawn(live(link.clone(), node.clone())).abort_handle();
        let kept = codec::millis(idle + idle.clamp(Duration::from_secs(1), MARGIN));
        let mut store = Self { link, replica: None, bus, node, kept, tasks: vec![listening, living] };
        if let Some(replica) = replica {
            let (link, _) = Link::open(replica).await?;
            let written = Arc::new(Written::default());
            store.tasks.push(tokio::spawn(turn(Arc::clone(&written))).abort_handle());
            store.replica = Some((link, written));
        }
        Ok(store)
    }

    fn note_written(&self, id: &str) {
        if let Some((_, written)) = &self.replica {
            written.note(id);
        }
    }

    /// What the replica has of a session that lives; nothing where this node has written to it lately.
    async fn at_replica(&self, id: &str, used: Use) -> Option<Record> {
        let (link, written) = self.replica.as_ref()?;
        if written.has(id) {
            return None;
        }
        let answers = link.ask(&loading(&Keys::of(id))).await.ok()?;
        let mut answers = answers.into_iter();
        let record = codec::record(id, answers.next()?, answers.next()?, answers.next()?)?;
        Some(record).filter(|record| record.until > used.now || used.busy)
    }

    /// Where nodes keep what else they share.
    pub(crate) fn shared(&self) -> Shared {
        Shared::over(self.link.clone())
    }

    async fn load_it(&self, id: &str, used: Use) -> Result<Option<Record>, StoreError> {
        if !codec::is_id(id) {
            return Ok(None);
        }
        if let Some(record) = self.at_replica(id, used).await {
            return Ok(Some(record));
        }
        let answers = match self.link.ask(&loading(&Keys::of(id))).await {
            Ok(answers) => answers,
            Err(Lost::Corrupt) => Vec::new(),
            Err(Lost::Away) => return Err(StoreError::Away),
        };
        let mut answers = answers.into_iter();
        let (state, tokens, ttl) = (answers.next(), answers.next(), answers.next());
        let nothing =
            ttl == Some(Value::Nil) && state.as_ref().is_some_and(is_empty) && tokens.as_ref().is_some_and(is_empty);
        if nothing {
            return Ok(None);
        }
        let read = |state, tokens, ttl| codec::record(id, state, tokens, ttl);
        let record = state.zip(tokens).zip(ttl).and_then(|((state, tokens), ttl)| read(state, tokens, ttl));
        let living = record.filter(|record| record.until > used.now || used.busy);
        if living.is_none() {
            // What is over, or has lost a part, is over for everybody.
            self.remove_it(id).await?;
        }
        Ok(living)
    }

    async fn create_it(&self, record: &Record) -> Result<(), StoreError> {
        let keys = Keys::of(&record.id);
        self.note_written(&record.id);
        let (name, owner) = codec::owner(record.subject.as_deref());
        let mut pipeline = together();
        // Nothing of another session of that name may be left.
        pipeline.cmd("DEL").arg(&keys.state).arg(&keys.tokens).arg(&keys.events);
        pipeline.cmd("HSET").arg(&keys.state).arg(codec::state(record));
        pipeline.cmd("HSET").arg(&keys.tokens).arg(name).arg(owner);
        pipeline.cmd("SET").arg(&keys.ttl).arg(codec::millis(record.until));
        pipeline.cmd("XADD").arg(&keys.events).arg("*").arg("began").arg(&self.node);
        for key in [&keys.state, &keys.tokens, &keys.ttl, &keys.events] {
            pipeline.cmd("PEXPIRE").arg(key).arg(self.kept);
        }
        self.link.ask(&pipeline).await?;
        Ok(())
    }

    async fn write_it(&self, id: &str, batch: Batch<'_>) -> Result<Vec<Option<Position>>, StoreError> {
        let keys = Keys::of(id);
        self.note_written(id);
        if batch.again
            && let Some(places) = self.written_before(&keys, batch).await?
        {
            return Ok(places);
        }
        let mut pipeline = together();
        let mut logged = Vec::with_capacity(batch.changes.len());
        for (serial, change) in (batch.serial..).zip(batch.changes) {
            let before = pipeline.len();
            let in_log = self.add(&mut pipeline, &keys, serial, change);
            logged.push(in_log.then_some(before));
        }
        pipeline.cmd("PEXPIRE").arg(&keys.state).arg(self.kept);
        pipeline.cmd("PEXPIRE").arg(&keys.tokens).arg(self.kept);
        pipeline.cmd("EXISTS").arg(&keys.ttl);
        let answers = self.link.ask(&pipeline).await?;
        if answers.last() != Some(&Value::Int(1)) {
            self.remove_it(id).await?;
            return Err(StoreError::Gone);
        }
        let place =
            |at: usize| from_redis_value::<String>(answers.get(at)?.clone()).ok().and_then(|id| codec::position(&id));
        Ok(logged.into_iter().map(|at| at.and_then(place)).collect())
    }

    /// Adds the commands of a change; says whether the first of them writes into the log.
    fn add(&self, pipeline: &mut Pipeline, keys: &Keys, serial: u64, change: &Change) -> bool {
        let mut log = |stream: u64, kind: &Kind| {
            // A log that has gone with its session is not begun anew.
            pipeline.cmd("XADD").arg(&keys.events).arg("NOMKSTREAM").arg("MAXLEN").arg("~").arg(KEPT_ENTRIES).arg("*");
            pipeline.arg(codec::fields(stream, kind)).arg("serial").arg(serial);
        };
        match change {
            Change::Initialized => pipeline.cmd("HSET").arg(&keys.state).arg("initialized").arg(1),
            Change::Level(level) => pipeline.cmd("HSET").arg(&keys.state).arg("level").arg(*level),
            Change::Subscribed(uri) => pipeline.cmd("HSET").arg(&keys.state).arg(format!("subscription:{uri}")).arg(1),
            Change::Unsubscribed(uri) => pipeline.cmd("HDEL").arg(&keys.state).arg(format!("subscription:{uri}")),
            Change::Marked(text) => pipeline.cmd("HSET").arg(&keys.state).arg(format!("mark:{text}")).arg(1),
            Change::Used(until) => {
                let until = codec::millis(*until);
                pipeline.cmd("SET").arg(&keys.ttl).arg(until).arg("XX").arg("PX").arg(self.kept);
                pipeline.cmd("PEXPIRE").arg(&keys.events).arg(self.kept)
            }
            Change::Token { mark, until } => {
                pipeline.cmd("HSET").arg(&keys.tokens).arg(format!("token:{mark}")).arg(until.as_secs())
            }
            Change::TokensForgotten(marks) => pipeline
                .cmd("HDEL")
                .arg(&keys.tokens)
                .arg(marks.iter().map(|mark| format!("token:{mark}")).collect::<Vec<_>>()),
            Change::Opened { stream, reader, node, request } => {
                log(*stream, &Kind::Opened { node: node.clone(), request: request.clone() });
                if let Some(reader) = reader {
                    pipeline.cmd("HSET").arg(&keys.state).arg("get").arg(*stream).arg("reader").arg(reader);
                }
                return true;
            }
            Change::ReaderGone => pipeline.cmd("HDEL").arg(&keys.state).arg("reader"),
            Change::Event { stream, data } => {
                log(*stream, &Kind::Event(data.clone()));
                self.publish(pipeline, keys, &Notice::News(*stream));
                return true;
            }
            Change::Finished(stream) => {
                log(*stream, &Kind::Finished);
                self.publish(pipeline, keys, &Notice::News(*stream));
                return true;
            }
            Change::Told(notice) => self.publish(pipeline, keys, notice),
            Change::Left { .. } => return false,
        };
        false
    }

    fn publish<'p>(&self, pipeline: &'p mut Pipeline, keys: &Keys, notice: &Notice) -> &'p mut Pipeline {
        pipeline.cmd("PUBLISH").arg(&keys.channel).arg(codec::told(&self.node, notice))
    }

    /// The places of a batch that was written although nobody said so. It is written all or none, so one of its entries
    /// tells; a batch without any can be written twice.
    async fn written_before(&self, keys: &Keys, batch: Batch<'_>) -> Result<Option<Vec<Option<Position>>>, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("XREVRANGE").arg(&keys.events).arg("+").arg("-").arg("COUNT").arg(LOOKED_THROUGH);
        let answer = self.link.ask(&pipeline).await?.into_iter().next();
        let found: HashMap<u64, Position> =
            entries(answer).into_iter().map(|(entry, serial)| (serial, entry.position)).collect();
        let places: Vec<_> =
            (batch.serial..).take(batch.changes.len()).map(|serial| found.get(&serial).copied()).collect();
        Ok(places.iter().any(Option::is_some).then_some(places))
    }

    async fn read_it(
        &self,
        id: &str,
        stream: Option<u64>,
        after: Option<Position>,
    ) -> Result<Option<Vec<Entry>>, StoreError> {
        let keys = Keys::of(id);
        let mut pipeline = redis::pipe();
        let from = after.map_or_else(|| "-".to_owned(), redis_place);
        pipeline.cmd("XRANGE").arg(&keys.events).arg(&from).arg("+").arg("COUNT").arg(2 * KEPT_ENTRIES);
        let answer = self.link.ask(&pipeline).await?.into_iter().next();
        let mut found = entries(answer);
        if let Some(after) = after {
            // The place itself has to be there still: then so is everything behind it.
            match found.first() {
                Some((entry, _)) if entry.position == after && stream.is_none_or(|stream| entry.stream == stream) => {}
                _ => return Ok(None),
            }
            found.remove(0);
        }
        let mut seen = HashSet::new();
        found.retain(|(entry, serial)| stream.is_none_or(|wanted| wanted == entry.stream) && seen.insert(*serial));
        Ok(Some(found.into_iter().map(|(entry, _)| entry).collect()))
    }

    async fn remove_it(&self, id: &str) -> Result<bool, StoreError> {
        if !codec::is_id(id) {
            return Ok(false);
        }
        let keys = Keys::of(id);
        self.note_written(id);
        let mut pipeline = together();
        pipeline.cmd("DEL").arg(&keys.ttl);
        pipeline.cmd("DEL").arg(&keys.state).arg(&keys.tokens).arg(&keys.events);
        self.publish(&mut pipeline, &keys, &Notice::Ended);
        let answers = self.link.ask(&pipeline).await?;
        Ok(answers.first() == Some(&Value::Int(1)))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn is_empty(hash: &Value) -> bool {
    match hash {
        Value::Array(fields) => fields.is_empty(),
        Value::Map(fields) => fields.is_empty(),
        _ => false,
    }
}

/// A place as Redis writes it, always in two parts.
fn redis_place(place: Position) -> String {
    format!("{}-{}", place.0, place.1)
}

/// The entries of an answer; those that make no sense are left out.
fn entries(answer: Option<Value>) -> Vec<(Entry, u64)> {
    let read = answer.and_then(|answer| from_redis_value::<StreamRangeReply>(answer).ok());
    let text = |value: &Value| from_redis_value::<String>(value.clone()).ok();
    let fields = |map: &HashMap<String, Value>| -> HashMap<String, String> {
        map.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
    };
    let ids = read.map(|reply| reply.ids).unwrap_or_default();
    ids.iter().filter_map(|one| codec::entry(&one.id, fields(&one.map))).collect()
}

fn node_key(node: &str) -> String {
    format!("node:{node}")
}

/// What a session is loaded with.
fn loading(keys: &Keys) -> Pipeline {
    let mut pipeline = together();
    pipeline.cmd("HGETALL").arg(&keys.state).cmd("HGETALL").arg(&keys.tokens).cmd("GET").arg(&keys.ttl);
    pipeline
}

/// Begins a new span of what was written lately, again and again.
async fn turn(written: Arc<Written>) {
    loop {
        tokio::time::sleep(WRITTEN_FOR).await;
        written.turn();
    }
}

/// Says again and again that the node lives.
async fn live(link: Link, node: String) {
    loop {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(node_key(&node)).arg(1).arg("PX").arg(codec::millis(LIVES.0));
        // While Redis is away nobody can ask either.
        let _ = link.ask(&pipeline).await;
        tokio::time::sleep(LIVES.1).await;
    }
}

impl SessionStore for Redis {
    fn node(&self) -> &str {
        &self.node
    }

    fn create<'a>(&'a self, record: &'a Record) -> Wait<'a, ()> {
        Box::pin(self.create_it(record))
    }

    fn load<'a>(&'a self, id: &'a str, used: Use) -> Wait<'a, Option<Record>> {
        Box::pin(self.load_it(id, used))
    }

    fn write<'a>(&'a self, id: &'a str, batch: Batch<'a>) -> Wait<'a, Vec<Option<Position>>> {
        Box::pin(self.write_it(id, batch))
    }

    fn read<'a>(&'a self, id: &'a str, stream: Option<u64>, after: Option<Position>) -> Wait<'a, Option<Vec<Entry>>> {
        Box::pin(self.read_it(id, stream, after))
    }

    fn remove<'a>(&'a self, id: &'a str) -> Wait<'a, bool> {
        Box::pin(self.remove_it(id))
    }

    fn subscribe<'a>(&'a self, id: &'a str, heard: Heard) -> Wait<'a, Option<Subscription>> {
        Box::pin(async move { self.bus.subscribe(id, heard).await.map(Some) })
    }

    fn node_lives<'a>(&'a self, node: &'a str) -> Wait<'a, bool> {
        Box::pin(async move {
            let mut pipeline = redis::pipe();
            pipeline.cmd("EXISTS").arg(node_key(node));
            let answers = self.link.ask(&pipeline).await?;
            Ok(answers.first() == Some(&Value::Int(1)))
        })
    }

    fn leave(&self) -> Wait<'_, ()> {
        self.tasks.iter().for_each(AbortHandle::abort);
        Box::pin(async move {
            let mut pipeline = redis::pipe();
            pipeline.cmd("DEL").arg(node_key(&self.node));
            self.link.ask(&pipeline).await?;
            Ok(())
        })
    }

    fn claim<'a>(&'a self, id: &'a str, stream: u64) -> Wait<'a, bool> {
        Box::pin(async move {
            let mut pipeline = redis::pipe();
            let key = format!("session:{{{id}}}:claim:{stream}");
            pipeline.cmd("SET").arg(key).arg(&self.node).arg("NX").arg("PX").arg(self.kept);
            let answers = self.link.ask(&pipeline).await?;
            Ok(answers.first().is_some_and(|answer| *answer != Value::Nil))
        })
    }
}
