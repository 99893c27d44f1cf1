//! How sessions look in Redis: names of keys, fields of hashes, entries of the log, notices. No connection here.
//!
//! What is read may have been written by anybody: everything is checked, and what does not fit is no session.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Value, from_redis_value};

use crate::server::store::{Entry, Facts, Kind, Notice, Position, Record};

/// The longest session id that is looked up.
const LONGEST_ID: usize = 128;

/// The keys of a session. The braces make a cluster keep them together.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) state: String,
    pub(super) tokens: String,
    pub(super) ttl: String,
    pub(super) events: String,
    pub(super) channel: String,
}

impl Keys {
    pub(super) fn of(id: &str) -> Self {
        let key = |part: &str| format!("session:{{{id}}}:{part}");
        Self {
            state: key("state"),
            tokens: key("tokens"),
            ttl: key("ttl"),
            events: key("events"),
            channel: channel(id),
        }
    }
}

/// The channel of a session.
pub(super) fn channel(id: &str) -> String {
    format!("session:{{{id}}}:notices")
}

/// The session of a channel.
pub(super) fn id_of(channel: &str) -> Option<&str> {
    channel.strip_prefix("session:{")?.strip_suffix("}:notices")
}

/// Whether a session can have this id at all; no other is asked for.
pub(super) fn is_id(id: &str) -> bool {
    let legal = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && byte != b'{' && byte != b'}';
    (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(legal)
}

/// The fields of a new session's state.
pub(super) fn state(record: &Record) -> Vec<(String, String)> {
    let facts = &record.facts;
    let mut fields = vec![
        ("revision".to_owned(), record.revision.name().to_owned()),
        ("capabilities".to_owned(), record.capabilities.to_string()),
        ("level".to_owned(), facts.level.to_string()),
    ];
    if facts.initialized {
        fields.push(("initialized".to_owned(), "1".to_owned()));
    }
    fields
}

/// The field of whose session it is.
pub(super) fn owner(subject: Option<&str>) -> (&'static str, String) {
    ("subject", subject.map_or_else(|| "nobody".to_owned(), |subject| format!("is:{subject}")))
}

/// Text of milliseconds since the Unix epoch.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A session as it was read; `None` where something is missing or makes no sense.
pub(super) fn record(id: &str, state: Value, tokens: Value, ttl: Value) -> Option<Record> {
    let state: HashMap<String, String> = from_redis_value(state).ok()?;
    let tokens: HashMap<String, String> = from_redis_value(tokens).ok()?;
    let until: String = from_redis_value(ttl).ok()?;
    let subject = match tokens.get("subject")?.as_str() {
        "nobody" => None,
        known => Some(known.strip_prefix("is:")?.to_owned()),
    };
    let capabilities: serde_json::Value = serde_json::from_str(state.get("capabilities")?).ok()?;
    let named = |prefix: &'static str| {
        state.keys().filter_map(move |field| field.strip_prefix(prefix)).map(str::to_owned).collect()
    };
    let marks = tokens.keys().filter_map(|field| field.strip_prefix("token:")).map(str::to_owned).collect();
    let facts = Facts {
        initialized: state.contains_key("initialized"),
        level: state.get("level")?.parse().ok().filter(|level| *level < 8)?,
        subscriptions: named("subscription:"),
        marks: named("mark:"),
        get: state.get("get").map(|number| number.parse()).transpose().ok()?,
        reader: state.get("reader").cloned(),
        tokens: marks,
    };
    Some(Record {
        id: id.to_owned(),
        revision: state.get("revision")?.parse().ok()?,
        capabilities: Some(capabilities).filter(serde_json::Value::is_object)?,
        subject,
        facts,
        until: Duration::from_millis(until.parse().ok()?),
    })
}

/// A place in the log of Redis.
pub(super) fn position(id: &str) -> Option<Position> {
    id.parse().ok().filter(|place: &Position| place.0 != 0)
}

/// Fields of a log entry that say what happened on a stream.
pub(super) fn fields(stream: u64, kind: &Kind) -> Vec<(&'static str, String)> {
    let mut fields = vec![("stream", stream.to_string())];
    match kind {
        Kind::Opened { node, request } => {
            fields.push(("opened", node.clone()));
            if let Some(request) = request {
                fields.push(("request", request.clone()));
            }
        }
        Kind::Event(data) => fields.push(("data", data.clone())),
        Kind::Finished => fields.push(("finished", "1".to_owned())),
    }
    fields
}

/// An entry as it was read, with the number of the change that it is; `None` where it makes no sense.
pub(super) fn entry(place: &str, mut fields: HashMap<String, String>) -> Option<(Entry, u64)> {
    let stream = fields.get("stream")?.parse().ok()?;
    let serial = fields.get("serial").and_then(|text| text.parse().ok()).unwrap_or_default();
    let kind = if let Some(data) = fields.remove("data") {
        Kind::Event(data)
    } else if let Some(node) = fields.remove("opened") {
        Kind::Opened { node, request: fields.remove("request") }
    } else {
        fields.get("finished").map(|_| Kind::Finished)?
    };
    Some((Entry { stream, position: position(place)?, kind }, serial))
}

/// A notice on its way: who tells it, and what.
pub(super) fn told(node: &str, notice: &Notice) -> String {
    let what = match notice {
        Notice::News(stream) => format!("news {stream}"),
        Notice::Changed => "changed ".to_owned(),
        Notice::Cancelled(key) => format!("cancelled {key}"),
        Notice::Reply(message) => format!("reply {message}"),
        Notice::Ended => "ended ".to_owned(),
        Notice::WhoReads(stream) => format!("who-reads {stream}"),
        Notice::IRead(stream) => format!("i-read {stream}"),
        Notice::Leave(stream) => format!("leave {stream}"),
        Notice::Missed => "missed ".to_owned(),
    };
    format!("{node} {what}")
}

/// A notice as it came; `None` where it makes no sense.
pub(super) fn heard(text: &str) -> Option<(&str, Notice)> {
    let (node, rest) = text.split_once(' ')?;
    let (word, of) = rest.split_once(' ')?;
    let notice = match word {
        "news" => Notice::News(of.parse().ok()?),
        "changed" => Notice::Changed,
        "cancelled" => Notice::Cancelled(of.to_owned()),
        "reply" => Notice::Reply(of.to_owned()),
        "ended" => Notice::Ended,
        "who-reads" => Notice::WhoReads(of.parse().ok()?),
        "i-read" => Notice::IRead(of.parse().ok()?),
        "leave" => Notice::Leave(of.parse().ok()?),
        _ => return None,
    };
    Some((node, notice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;
    use proptest::prelude::*;
    use serde_json::json;

    fn hash(fields: Vec<(String, String)>) -> Value {
        let text = |text: String| Value::BulkString(text.into_bytes());
        Value::Array(fields.into_iter().flat_map(|(name, value)| [text(name), text(value)]).collect())
    }

    fn written() -> Record {
        Record {
            id: "a".to_owned(),
            revision: Revision::V2025_06_18,
            capabilities: json!({"roots": {}}),
            subject: Some("user-1".to_owned()),
            facts: Facts { initialized: true, level: 4, ..Facts::default() },
            until: Duration::from_millis(5),
        }
    }

    fn read(state: Vec<(String, String)>, until: &str) -> Option<Record> {
        let (name, value) = owner(Some("user-1"));
        record("a", hash(state), hash(vec![(name.to_owned(), value)]), Value::BulkString(until.into()))
    }

    #[test]
    fn a_session_is_read_back_whole_or_not_at_all() {
        let fields = state(&written());
        assert_eq!(read(fields.clone(), "5"), Some(written()));
        for missing in ["revision", "capabilities", "level"] {
            let rest = fields.iter().filter(|(name, _)| name != missing).cloned().collect();
            assert_eq!(read(rest, "5"), None, "{missing}");
        }
        for (name, wrong) in [("revision", "1999-01-01"), ("capabilities", "[1"), ("level", "9"), ("get", "x")] {
            let mut spoilt: Vec<_> = fields.iter().filter(|(known, _)| known != name).cloned().collect();
            spoilt.push((name.to_owned(), wrong.to_owned()));
            assert_eq!(read(spoilt, "5"), None, "{name}");
        }
        assert_eq!(read(fields.clone(), "soon"), None);
        assert_eq!(record("a", hash(fields), hash(Vec::new()), Value::BulkString("5".into())), None);
    }

    #[test]
    fn ids_that_cannot_be_are_not_looked_up() {
        assert!(is_id("0123456789abcdef0123456789abcdef") && is_id("with a space"));
        for wrong in ["", "a}:x{", "a\nb", "\u{e9}", &"a".repeat(129)] {
            assert!(!is_id(wrong), "{wrong}");
        }
        assert_eq!(id_of(&channel("abc")), Some("abc"));
    }

    proptest! {
        #[test]
        fn entries_are_read_back(stream: u64, data in ".*", time in 1_u64.., count: u64, serial: u64) {
            for kind in [Kind::Event(data.clone()), Kind::Finished, Kind::Opened { node: data.clone(), request: Some("1".into()) }] {
                let mut given: HashMap<String, String> =
                    fields(stream, &kind).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                given.insert("serial".to_owned(), serial.to_string());
                let place = Position(time, count);
                let wanted = Entry { stream, position: place, kind };
                prop_assert_eq!(entry(&place.to_string(), given), Some((wanted, serial)));
            }
        }

        #[test]
        fn notices_are_heard_as_told(text in ".*", stream: u64) {
            for notice in [Notice::News(stream), Notice::Cancelled(text.clone()), Notice::Reply(text.clone()),
                Notice::Changed, Notice::Ended, Notice::WhoReads(stream), Notice::IRead(stream), Notice::Leave(stream)] {
                let text = told("node", &notice);
                prop_assert_eq!(heard(&text), Some(("node", notice)));
            }
        }

        #[test]
        fn strange_notices_are_none(text in ".*") {
            prop_assert!(heard(&text).is_none_or(|(node, _)| !node.contains(' ')));
        }
    }
}
