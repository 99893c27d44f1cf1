//! YAML text → [`Scenario`]. The only file that knows which YAML library reads it.
//!
//! Must not judge what a scenario means; that is for validation.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::schema::{Action, Step, Word};
use crate::model::Span;

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Action>::deserialize(deserializer)?;
        let line = usize::try_from(spanned.referenced.line()).unwrap_or_default();
        Ok(Self { span: span(spanned.referenced), line, action: spanned.value })
    }
}

fn span(location: Location) -> Span {
    let bytes = location.span();
    let number = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let start = number(bytes.byte_offset());
    Span::new(start, start + number(bytes.byte_len()))
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ActionVisitor)
    }
}

struct ActionVisitor;

impl<'de> Visitor<'de> for ActionVisitor {
    type Value = Action;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a step: a word such as `connect`, or a map with one key such as `invoke: { tool: echo }`")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Action, E> {
        action(word, || MapDeserializer::<_, E>::new(std::iter::empty::<(&str, &str)>()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Action, A::Error> {
        let Some(word) = map.next_key::<String>()? else {
            return Err(A::Error::custom("a step needs a word, such as `connect` or `invoke`"));
        };
        let action = match word.as_str() {
            "together" => Action::Together(map.next_value()?),
            "connect" => Action::Connect(map.next_value()?),
            "negotiate" => Action::Negotiate(map.next_value()?),
            "invoke" => Action::Invoke(map.next_value()?),
            "await" => Action::Await(map.next_value()?),
            "cancel" => Action::Cancel(map.next_value()?),
            "notify" => Action::Notify(map.next_value()?),
            "listen" => Action::Listen(map.next_value()?),
            "disconnect" => Action::Disconnect(map.next_value()?),
            "reconnect" => Action::Reconnect(map.next_value()?),
            "wait" => Action::Wait(map.next_value()?),
            "raw" => Action::Raw(map.next_value()?),
            "expire" => Action::Expire(map.next_value::<WordBody>()?.0),
            "refresh" => Action::Refresh(map.next_value::<WordBody>()?.0),
            "revoke" => Action::Revoke(map.next_value::<WordBody>()?.0),
            "restart" => Action::Restart(map.next_value::<WordBody>()?.0),
            "shutdown" => Action::Shutdown(map.next_value()?),
            other => return Err(A::Error::unknown_variant(other, &Action::WORDS)),
        };
        match map.next_key::<String>()? {
            None => Ok(action),
            Some(second) => Err(A::Error::custom(format!(
                "a step has one key; `{second}` needs a `- ` of its own or more indentation"
            ))),
        }
    }
}

/// The action of a bare word: its body is empty.
fn action<'de, D: Deserializer<'de>>(word: &str, empty: impl Fn() -> D) -> Result<Action, D::Error> {
    Ok(match word {
        "connect" => Action::Connect(Deserialize::deserialize(empty())?),
        "negotiate" => Action::Negotiate(Deserialize::deserialize(empty())?),
        "invoke" => Action::Invoke(Deserialize::deserialize(empty())?),
        "await" => Action::Await(Deserialize::deserialize(empty())?),
        "cancel" => Action::Cancel(Deserialize::deserialize(empty())?),
        "notify" => Action::Notify(Deserialize::deserialize(empty())?),
        "listen" => Action::Listen(Deserialize::deserialize(empty())?),
        "disconnect" => Action::Disconnect(Deserialize::deserialize(empty())?),
        "reconnect" => Action::Reconnect(Deserialize::deserialize(empty())?),
        "wait" => Action::Wait(Deserialize::deserialize(empty())?),
        "raw" => Action::Raw(Deserialize::deserialize(empty())?),
        "together" => Action::Together(Vec::new()),
        "expire" => Action::Expire(Deserialize::deserialize(empty())?),
        "refresh" => Action::Refresh(Deserialize::deserialize(empty())?),
        "revoke" => Action::Revoke(Deserialize::deserialize(empty())?),
        "restart" => Action::Restart(Deserialize::deserialize(empty())?),
        "shutdown" => Action::Shutdown(Deserialize::deserialize(empty())?),
        other => return Err(D::Error::unknown_variant(other, &Action::WORDS)),
    })
}

/// `access-token` or `{ what: access-token, … }`.
struct WordBody(Word);

impl<'de> Deserialize<'de> for WordBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordVisitor).map(Self)
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what it applies to: a word, or a map with `what`")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Word, E> {
        Ok(Word { what: Some(word.to_owned()), client: None, expect: None, within: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Word, A::Error> {
        Word::deserialize(serde::de::value::MapAccessDeserializer::new(map))
    }
}
