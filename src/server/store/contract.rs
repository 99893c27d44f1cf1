//! What every store has to do, tried on each of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::{
    Batch, Change, Facts, Kind, Memory, Notice, Position, Record, Redis, Regions, SessionStore, StoreError, Use, id_in,
};
use crate::model::{Revision, Rng};
use redis_server::RedisServer;

#[path = "../../../tests/redis_server/mod.rs"]
mod redis_server;

const IDLE: Duration = Duration::from_secs(1800);

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn record(id: &str) -> Record {
    Record {
        id: id.to_owned(),
        revision: Revision::V2025_11_25,
        capabilities: json!({"roots": {"listChanged": true}}),
        subject: Some("user-1".to_owned()),
        facts: Facts::default(),
        until: at(100),
    }
}

async fn redis(server: &RedisServer, name: &str) -> Redis {
    redis_at(&server.url(), name).await
}

async fn redis_at(url: &str, name: &str) -> Redis {
    Redis::open(url, name, IDLE, &Rng::from_system()).await.expect("it runs")
}

async fn load(store: &dyn SessionStore, id: &str, second: u64) -> Option<Record> {
    store.load(id, Use { now: at(second), busy: false }).await.expect("it answers")
}

async fn write(store: &dyn SessionStore, id: &str, changes: &[Change]) -> Vec<Option<Position>> {
    static SERIAL: AtomicU64 = AtomicU64::new(1000);
    let serial = SERIAL.fetch_add(changes.len() as u64, Ordering::Relaxed);
    store.write(id, Batch { changes, serial, again: false }).await.expect("it answers")
}

fn opened(stream: u64) -> Change {
    Change::Opened { stream, reader: None, node: "here".to_owned(), request: Some("7".to_owned()) }
}

fn event(stream: u64, data: &str) -> Change {
    Change::Event { stream, data: data.to_owned() }
}

/// The messages of a stream after a place.
async fn said(store: &dyn SessionStore, id: &str, stream: u64, after: Position) -> Option<Vec<String>> {
    let entries = store.read(id, Some(stream), Some(after)).await.expect("it answers")?;
    let text = |kind| if let Kind::Event(data) = kind { Some(data) } else { None };
    Some(entries.into_iter().filter_map(|entry| text(entry.kind)).collect())
}

async fn sessions_are_kept_and_ended(store: &dyn SessionStore) {
    assert_eq!(load(store, "kept", 1).await, None);
    store.create(&record("kept")).await.expect("kept");
    assert_eq!(load(store, "kept", 99).await, Some(record("kept")));
    assert_eq!(store.load("kept", Use { now: at(500), busy: true }).await, Ok(Some(record("kept"))));
    assert_eq!(load(store, "kept", 100).await, None, "its time is over");
    assert_eq!(load(store, "kept", 1).await, None, "and it stays over");
    store.create(&record("used")).await.expect("kept");
    write(store, "used", &[Change::Used(at(300))]).await;
    assert!(load(store, "used", 299).await.is_some_and(|record| record.until == at(300)));
    assert_eq!(store.remove("used").await, Ok(true));
    assert_eq!(store.remove("used").await, Ok(false));
    assert_eq!(load(store, "used", 1).await, None);
    let refused = store.write("used", Batch { changes: &[event(1, "a")], serial: 1, again: false }).await;
    assert_eq!(refused, Err(StoreError::Gone));
    assert_eq!(load(store, "used", 1).await, None);
}

async fn changes_are_seen_by_the_next_who_looks(store: &dyn SessionStore) {
    store.create(&record("facts")).await.expect("kept");
    let get = Change::Opened { stream: 4, reader: Some("there".to_owned()), node: "there".to_owned(), request: None };
    let changes = [
        Change::Initialized,
        Change::Level(5),
        Change::Subscribed("test://a b".to_owned()),
        Change::Subscribed("test://c".to_owned()),
        Change::Unsubscribed("test://c".to_owned()),
        Change::Marked("tools".to_owned()),
        Change::Token { mark: "0a".to_owned(), until: at(9) },
        get,
    ];
    write(store, "facts", &changes).await;
    let mut wanted = Facts::default();
    for change in &changes {
        wanted.take(change);
    }
    let facts = load(store, "facts", 1).await.expect("kept").facts;
    assert_eq!(facts, wanted);
    assert_eq!((facts.get, facts.reader.as_deref()), (Some(4), Some("there")));
    write(store, "facts", &[Change::ReaderGone]).await;
    assert_eq!(load(store, "facts", 1).await.expect("kept").facts.reader, None);
}

async fn logs_are_read_from_any_place(store: &dyn SessionStore) {
    store.create(&record("log")).await.expect("kept");
    let changes = [opened(1), event(1, "a"), opened(2), event(2, "x"), event(1, "b\r\n\u{1f642}"), Change::Finished(1)];
    let places: Vec<Position> = write(store, "log", &changes).await.into_iter().flatten().collect();
    assert_eq!(places.len(), changes.len());
    assert!(places[0] < places[1] && places[1] < places[4] && places[4] <= places[5]);
    assert_eq!(said(store, "log", 1, places[0]).await, Some(vec!["a".to_owned(), "b\r\n\u{1f642}".to_owned()]));
    assert_eq!(said(store, "log", 1, places[1]).await, Some(vec!["b\r\n\u{1f642}".to_owned()]));
    assert_eq!(said(store, "log", 2, places[3]).await, Some(Vec::new()));
    let whole = store.read("log", Some(1), None).await.expect("it answers").expect("known");
    assert_eq!(whole.last().map(|entry| &entry.kind), Some(&Kind::Finished));
    let far = Position(places[4].0, places[4].1 + 1000);
    for (stream, place) in [(1, far), (9, places[0]), (1, Position(u64::MAX, 3))] {
        assert_eq!(said(store, "log", stream, place).await, None, "{stream} {place}");
    }
    assert_eq!(said(store, "nothing", 1, places[0]).await, None);
}

async fn a_log_has_an_end_at_the_back(store: &dyn SessionStore) {
    store.create(&record("long")).await.expect("kept");
    let first = write(store, "long", &[opened(1)]).await[0].expect("a place");
    let mut last = first;
    for round in 0..60 {
        let many: Vec<Change> = (0..200).map(|number| event(1, &format!("{round} {number}"))).collect();
        last = write(store, "long", &many).await.pop().flatten().expect("a place");
    }
    assert_eq!(said(store, "long", 1, first).await, None, "the reader is told that something is missing");
    assert_eq!(said(store, "long", 1, last).await, Some(Vec::new()));
    let kept = store.read("long", Some(1), None).await.expect("it answers").expect("known").len();
    assert!((500..6000).contains(&kept), "{kept}");
}

async fn holds(store: &dyn SessionStore) {
    sessions_are_kept_and_ended(store).await;
    changes_are_seen_by_the_next_who_looks(store).await;
    logs_are_read_from_any_place(store).await;
    a_log_has_an_end_at_the_back(store).await;
}

#[tokio::test]
async fn the_store_in_memory_holds_it() {
    holds(&Memory::default()).await;
}

#[tokio::test]
async fn the_store_in_redis_holds_it() {
    let Some(server) = RedisServer::start() else { return };
    holds(&redis(&server, "a").await).await;
}

#[tokio::test]
async fn the_store_in_a_redis_cluster_holds_it() {
    let Some((_server, url)) = RedisServer::start_cluster() else { return };
    let store = redis_at(&url, "a").await;
    holds(&store).await;
    let shared = store.shared();
    let keep = Duration::from_secs(60);
    shared.set("grant:{a}", &[("one".to_owned(), "1".to_owned())], &["two".to_owned()], keep).await.expect("set");
    assert_eq!(shared.set_first("grant:{a}", "two", "2", keep).await, Ok(true));
    assert_eq!(shared.set_first("grant:{a}", "two", "3", keep).await, Ok(false));
    assert_eq!(shared.fields("grant:{a}").await.map(|fields| fields.len()), Ok(2));
    assert_eq!(shared.put_first("code:{b}", "x", keep).await, Ok(true));
    assert_eq!(shared.take("code:{b}").await, Ok(Some("x".to_owned())));
    assert_eq!(shared.text_kept("code:{b}", keep).await, Ok(None));
}

#[tokio::test]
async fn a_store_with_a_replica_holds_it() {
    let (Some(server), Some(replica)) = (RedisServer::start(), RedisServer::start()) else { return };
    let store = Redis::open_as(&server.url(), Some(&replica.url()), "a#1".to_owned(), IDLE).await.expect("it runs");
    holds(&store).await;
}

/// The replica here copies nothing, so that the test says what it lags behind by.
#[tokio::test]
async fn a_replica_is_believed_of_what_it_has_and_this_node_did_not_write() {
    let (Some(server), Some(mut replica)) = (RedisServer::start(), RedisServer::start()) else { return };
    let other = redis(&server, "b").await;
    let store = Redis::open_as(&server.url(), Some(&replica.url()), "a#1".to_owned(), IDLE).await.expect("it runs");
    other.create(&record("s")).await.expect("kept");
    assert_eq!(load(&store, "s", 1).await, Some(record("s")), "what the replica has not yet is at the primary");
    // From here on the replica has it as it began, whatever happens.
    redis(&replica, "c").await.create(&record("s")).await.expect("kept");
    write(&other, "s", &[Change::Level(5)]).await;
    assert_eq!(load(&store, "s", 1).await.map(|record| record.facts.level), Some(Facts::default().level), "not yet");
    write(&store, "s", &[Change::Initialized]).await;
    let facts = load(&store, "s", 1).await.expect("kept").facts;
    assert!(facts.initialized && facts.level == 5, "its own writes a node finds: {facts:?}");
    // What the replica believes to be over is not ended by that.
    redis(&replica, "c").await.create(&record("t")).await.expect("kept");
    other.create(&record("t")).await.expect("kept");
    write(&other, "t", &[Change::Used(at(300))]).await;
    assert!(load(&store, "t", 200).await.is_some_and(|record| record.until == at(300)));
    assert_eq!(store.remove("t").await, Ok(true));
    assert_eq!(load(&store, "t", 1).await, None, "what a node ended is over for it");
    replica.kill();
    other.create(&record("u")).await.expect("kept");
    assert!(load(&store, "u", 1).await.is_some(), "without the replica the primary is asked");
}

#[tokio::test]
async fn a_session_is_kept_in_the_region_that_its_id_names() {
    let (Some(eu), Some(us)) = (RedisServer::start(), RedisServer::start()) else { return };
    let at_home = async |server: &RedisServer, node: &str| -> Arc<dyn SessionStore> {
        let store = Redis::open_as(&server.url(), None, node.to_owned(), IDLE).await.expect("it runs");
        Arc::new(store) as Arc<dyn SessionStore>
    };
    let in_eu = Regions::new("eu", at_home(&eu, "e#1").await, vec![("us".to_owned(), at_home(&us, "e#1").await)]);
    let in_us = Regions::new("us", at_home(&us, "u#1").await, vec![("eu".to_owned(), at_home(&eu, "u#1").await)]);
    let id = id_in("eu", "s");
    in_eu.create(&record(&id)).await.expect("kept");
    assert_eq!(
        (eu.ask(&["EXISTS", "session:{eu.s}:ttl"]).trim(), us.ask(&["EXISTS", "session:{eu.s}:ttl"]).trim()),
        (":1", ":0")
    );
    assert_eq!(load(&in_us, &id, 1).await, Some(record(&id)));
    let first = write(&in_us, &id, &[opened(1), event(1, "a")]).await[0].expect("a place");
    assert_eq!(said(&in_eu, &id, 1, first).await, Some(vec!["a".to_owned()]));
    assert_eq!((in_us.claim(&id, 1).await, in_eu.claim(&id, 1).await), (Ok(true), Ok(false)));
    while in_eu.node_lives("u#1").await != Ok(true) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(in_us.remove(&id).await, Ok(true));
    assert_eq!(load(&in_eu, &id, 1).await, None);
    for foreign in ["s", "asia.s", ".s", ""] {
        assert_eq!((load(&in_eu, foreign, 1).await, in_eu.remove(foreign).await), (None, Ok(false)), "{foreign}");
    }
    in_us.leave().await.expect("it answers");
    assert_eq!(in_eu.node_lives("u#1").await, Ok(false));
}

#[tokio::test]
async fn to_find_a_session_costs_one_round_trip() {
    let Some(server) = RedisServer::start() else { return };
    let store = redis(&server, "a").await;
    store.create(&record("s")).await.expect("kept");
    server.ask(&["CONFIG", "RESETSTAT"]);
    for _ in 0..50 {
        assert!(load(&store, "s", 1).await.is_some());
    }
    let told = server.ask(&["INFO", "commandstats"]);
    let calls = |command: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")))?;
        line.split(',').next()?.parse::<u32>().ok()
    };
    // What goes in one transaction goes to Redis, and comes back, in one piece.
    assert_eq!((calls("multi"), calls("exec"), calls("get")), (Some(50), Some(50), Some(50)), "{told}");
    assert_eq!(calls("publish"), None);
}

#[tokio::test]
async fn every_key_in_redis_has_an_end_and_goes_with_its_session() {
    let Some(server) = RedisServer::start() else { return };
    let store = redis(&server, "a").await;
    // The key of the node itself comes when it first says that it lives.
    while server.size() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    store.create(&record("s")).await.expect("kept");
    let changes = [
        Change::Initialized,
        Change::Token { mark: "0".into(), until: at(1) },
        opened(1),
        event(1, "a"),
        Change::Used(at(200)),
    ];
    write(&store, "s", &changes).await;
    assert_eq!(store.claim("s", 1).await, Ok(true));
    assert_eq!(store.claim("s", 1).await, Ok(false));
    for part in ["state", "tokens", "ttl", "events", "claim:1"] {
        let left = server.ask(&["PTTL", &format!("session:{{s}}:{part}")]);
        let left: i64 = left.trim().trim_start_matches(':').parse().expect("a number");
        assert!(left > 1_000_000 && left < 2_000_000, "{part}: {left}");
    }
    let secret = server.ask(&["HGETALL", "session:{s}:tokens"]);
    assert!(secret.contains("is:user-1") && secret.contains("token:0"), "{secret}");
    server.ask(&["DEL", "session:{s}:claim:1"]);
    store.remove("s").await.expect("it answers");
    assert_eq!(server.size(), 1, "only the node is left");
}

#[tokio::test]
async fn what_is_spoilt_or_half_written_in_redis_is_no_session() {
    let Some(server) = RedisServer::start() else { return };
    let store = redis(&server, "a").await;
    let spoils: &[&[&str]] = &[
        &["DEL", "session:{s}:state"],
        &["DEL", "session:{s}:tokens"],
        &["DEL", "session:{s}:ttl"],
        &["SET", "session:{s}:ttl", "soon"],
        &["SET", "session:{s}:state", "a text"],
        &["SET", "session:{s}:tokens", "a text"],
        &["HSET", "session:{s}:state", "capabilities", "[1,"],
        &["HSET", "session:{s}:state", "revision", "2050-01-01"],
        &["HSET", "session:{s}:state", "level", "-1"],
        &["HDEL", "session:{s}:tokens", "subject"],
    ];
    for spoil in spoils {
        store.create(&record("s")).await.expect("kept");
        server.ask(spoil);
        assert_eq!(load(&store, "s", 1).await, None, "{spoil:?}");
        assert_eq!(server.ask(&["EXISTS", "session:{s}:state", "session:{s}:ttl", "session:{s}:tokens"]).trim(), ":0");
    }
    // A log that is none costs the log and not more.
    store.create(&record("s")).await.expect("kept");
    server.ask(&["XADD", "session:{s}:events", "*", "stream", "one", "data", "x"]);
    server.ask(&["XADD", "session:{s}:events", "*", "nothing", "known"]);
    assert_eq!(store.read("s", None, None).await, Ok(Some(Vec::new())));
    for foreign in ["", "}:x", "a{b}", &"a".repeat(5000), "\u{0}", "*"] {
        assert_eq!(load(&store, foreign, 1).await, None, "{foreign}");
        assert_eq!(store.remove(foreign).await, Ok(false), "{foreign}");
    }
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_written_once() {
    let Some(server) = RedisServer::start() else { return };
    let store = redis(&server, "a").await;
    store.create(&record("s")).await.expect("kept");
    let first = write(&store, "s", &[opened(1)]).await[0].expect("a place");
    let changes = [event(1, "a"), Change::Told(Notice::Changed), event(1, "b")];
    let batch = Batch { changes: &changes, serial: 2, again: false };
    let places = store.write("s", batch).await.expect("it answers");
    assert_eq!(store.write("s", Batch { again: true, ..batch }).await, Ok(places));
    let later = Batch { changes: &changes[..1], serial: 5, again: true };
    store.write("s", later).await.expect("it answers");
    assert_eq!(said(&store, "s", 1, first).await.map(|said| said.join("")).as_deref(), Some("aba"));
}

#[tokio::test]
async fn nodes_hear_of_each_other() {
    let Some(mut server) = RedisServer::start() else { return };
    let (one, other) = (redis(&server, "a").await, redis(&server, "b").await);
    one.create(&record("s")).await.expect("kept");
    let heard: Arc<Mutex<Vec<Notice>>> = Arc::default();
    let ear = Arc::clone(&heard);
    let listening = loop {
        let ear = Arc::clone(&ear);
        // The connection for notices is opened beside everything else.
        match other.subscribe("s", Arc::new(move |notice| ear.lock().expect("no panic").push(notice))).await {
            Ok(listening) => break listening,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let wait_for = async |wanted: Notice| {
        while !heard.lock().expect("no panic").contains(&wanted) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    write(&one, "s", &[Change::Told(Notice::Cancelled("7".into())), opened(1), event(1, "a")]).await;
    wait_for(Notice::Cancelled("7".into())).await;
    wait_for(Notice::News(1)).await;
    assert_eq!(one.node_lives(other.node()).await, Ok(true));
    assert_eq!(one.node_lives("nobody#1").await, Ok(false));
    other.leave().await.expect("it answers");
    assert_eq!(one.node_lives(other.node()).await, Ok(false));
    drop(listening);
    // A connection that was lost is told of, and subscriptions stand again.
    let ear: Arc<Mutex<Vec<Notice>>> = Arc::default();
    let heard = Arc::clone(&ear);
    let _listening = one.subscribe("s", Arc::new(move |notice| ear.lock().expect("no panic").push(notice))).await;
    server.kill();
    assert_eq!(one.load("s", Use { now: at(1), busy: false }).await, Err(StoreError::Away));
    server.start_again();
    while !heard.lock().expect("no panic").contains(&Notice::Missed) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while one.load("s", Use { now: at(1), busy: false }).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
