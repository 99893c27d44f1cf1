//! YAML text → [`Scenario`]. The only file that knows which YAML library reads it.
//!
//! Must not judge what a scenario means; that is for validation.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_saphyr::{DefaultMessageFormatter, Location, MessageFormatter as _, Spanned};

use super::action::Action;
use super::diagnostics::{Diagnostic, Diagnostics};
use super::resolve::resolve;
use super::schema::{Scenario, Step, Word};
use super::validate::validate;
use crate::model::{Span, closest};

/// Reads one scenario; `name` is the file's name in messages.
///
/// Variables are put in place already. A text that cannot be read has one mistake, the first; one that can be read has all that are in it.
pub fn parse(name: &str, text: &str) -> Result<Scenario, Diagnostics> {
    let failed = |items| Diagnostics { file: name.to_owned(), text: text.to_owned(), items };
    let mut scenario: Scenario =
        serde_saphyr::from_str(text).map_err(|error| failed(vec![unreadable(&error, text)]))?;
    let items = validate(&scenario, text);
    if !items.is_empty() {
        return Err(failed(items));
    }
    resolve(&mut scenario);
    number(&mut scenario.steps, &mut 0);
    Ok(scenario)
}

fn number(steps: &mut [Step], next: &mut u32) {
    for step in steps {
        step.number = *next;
        *next += 1;
        if let Action::Together(inner) = &mut step.action {
            number(inner, next);
        }
    }
}

fn unreadable(error: &serde_saphyr::Error, text: &str) -> Diagnostic {
    let error = error.without_snippet();
    let place = error.location().map_or(Span::default(), |location| widened(span(location), text));
    let diagnostic =
        |message: String, label: String, help: Option<String>| Diagnostic { span: place, message, label, help };
    match error {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => unknown("field", field, expected, diagnostic),
        serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
            unknown("word", variant, expected, diagnostic)
        }
        other => {
            let message = DefaultMessageFormatter.format_message(other);
            let (message, label, help) = in_our_words(&message);
            diagnostic(message, label.to_owned(), Some(help.to_owned()).filter(|help| !help.is_empty()))
        }
    }
}

/// The reader's message where it speaks of its own options or leaves the fix unsaid.
fn in_our_words(message: &str) -> (String, &'static str, &'static str) {
    if let Some(key) = message.strip_prefix("duplicate mapping key: ") {
        let key = key.split(',').next().unwrap_or(key);
        return (format!("`{key}` is given twice"), "expected once", "remove one of them");
    }
    if message.starts_with("missing field") {
        return (
            message.to_owned(),
            "it has to be given here",
            "`mcp-rehearsal schema` prints every field for your editor",
        );
    }
    if let Some(wanted) = message.strip_prefix("expected ") {
        return (
            message.to_owned(),
            "another kind of value",
            if wanted == "string scalar" { "write a text here" } else { "" },
        );
    }
    (message.to_owned(), "", "")
}

fn unknown(
    what: &str,
    written: &str,
    expected: &[&'static str],
    diagnostic: impl Fn(String, String, Option<String>) -> Diagnostic,
) -> Diagnostic {
    let help = closest(written, expected.iter().copied())
        .map_or_else(|| format!("known here: {}", expected.join(", ")), |near| format!("did you mean `{near}`?"));
    diagnostic(format!("unknown {what} `{written}`"), format!("no {what} of this name is known here"), Some(help))
}

/// A span without width grows to the end of the word it stands on.
fn widened(span: Span, text: &str) -> Span {
    if span.end > span.start {
        return span;
    }
    let rest = text.get(span.start..).unwrap_or_default();
    let width = rest.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).unwrap_or(rest.len());
    Span::new(span.start, span.start + width)
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Action>::deserialize(deserializer)?;
        let line = usize::try_from(spanned.referenced.line()).unwrap_or_default();
        Ok(Self { span: span(spanned.referenced), line, number: 0, action: spanned.value })
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
            "restart" => Action::Restart(map.next_value()?),
            "oauth" => Action::OAuth(map.next_value()?),
            "mint" => Action::Mint(map.next_value()?),
            "publish" => Action::Publish(map.next_value()?),
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
        "oauth" => Action::OAuth(Deserialize::deserialize(empty())?),
        "mint" => Action::Mint(Deserialize::deserialize(empty())?),
        "publish" => Action::Publish(Deserialize::deserialize(empty())?),
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
        Ok(Word {
            what: Some(word.to_owned()),
            client: None,
            expect: None,
            within: None,
            faults: Vec::new(),
            node: None,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Word, A::Error> {
        Word::deserialize(serde::de::value::MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{Connect, Shutdown};
    use super::super::words::{HeaderSource, LastEventId, SessionSource};
    use super::*;
    use serde_json::{Value, json};

    fn steps(steps: &str) -> Vec<Step> {
        let text = format!(
            "version: 1\nid: area.name\ntitle: T\nwhy: W\nsteps:\n  - connect\n  - connect: {{ client: b }}\n  - negotiate\n{steps}"
        );
        parse("x.yaml", &text).map_err(|mistakes| mistakes.to_string()).unwrap().steps.split_off(3)
    }

    #[test]
    fn bare_words_have_empty_bodies() {
        let read = steps("  - connect\n  - shutdown: {}\n  - expire: access-token\n  - refresh\n");
        assert_eq!(
            read[0].action,
            Action::Connect(Connect { client: None, expect: None, within: None, faults: Vec::new(), node: None })
        );
        let shutdown =
            Shutdown { delete: None, client: None, expect: None, within: None, faults: Vec::new(), node: None };
        assert_eq!(read[1].action, Action::Shutdown(shutdown));
        assert!(matches!(&read[2].action, Action::Expire(word) if word.what.as_deref() == Some("access-token")));
        assert!(matches!(&read[3].action, Action::Refresh(word) if word.what.is_none()));
    }

    #[test]
    fn steps_know_their_place() {
        let text = "version: 1\nid: a.b\ntitle: Ä\nwhy: W\nsteps:\n  - connect\n  - negotiate:\n      settle: false\n  - together:\n      - invoke: { tool: x }\n      - shutdown\n";
        let scenario = parse("x.yaml", text).unwrap();
        let begins: Vec<_> = scenario.steps.iter().map(|step| (step.line, &text[step.span.start..][..7])).collect();
        assert_eq!(begins, [(6, "connect"), (7, "negotia"), (9, "togethe")]);
        let Action::Together(inner) = &scenario.steps[2].action else { panic!("{:?}", scenario.steps[2]) };
        assert_eq!((inner[0].line, inner[1].line), (10, 11));
        assert!(text[inner[1].span.start..].starts_with("shutdown"));
    }

    #[test]
    fn null_is_a_value_where_json_is_meant() {
        let read = steps("  - invoke: { method: ping, id: null, headers: { accept: null, x-y: z } }\n  - invoke\n");
        let Action::Invoke(invoke) = &read[0].action else { panic!("{read:?}") };
        assert_eq!(invoke.id, Some(Value::Null));
        assert_eq!(invoke.headers["accept"], None);
        assert_eq!(invoke.headers["x-y"].as_deref(), Some("z"));
        assert!(matches!(&read[1].action, Action::Invoke(invoke) if invoke.id.is_none()));
    }

    #[test]
    fn defaults_and_words() {
        let read = steps(
            "  - raw: { session: unknown, version: none, message: { a: [1, 2.5, true, null, x] } }\n  - raw\n  - listen: { last-event-id: latest, client: b, within: 2s }\n",
        );
        let Action::Raw(raw) = &read[0].action else { panic!("{read:?}") };
        assert_eq!((&raw.session, &raw.version), (&SessionSource::Unknown, &HeaderSource::None));
        assert_eq!(raw.message, Some(json!({"a": [1, 2.5, true, null, "x"]})));
        let Action::Raw(raw) = &read[1].action else { panic!("{read:?}") };
        assert_eq!((raw.method.as_str(), raw.repeat, &raw.session), ("POST", 1, &SessionSource::Current));
        let Action::Listen(listen) = &read[2].action else { panic!("{read:?}") };
        assert_eq!(listen.last_event_id, Some(LastEventId::Latest));
        assert_eq!((read[2].client(), read[2].within().unwrap().length().as_secs()), ("b", 2));
        assert_eq!(read[0].client(), "a");
    }

    #[test]
    fn expectations_are_read_whole() {
        let read = steps(
            r#"  - invoke:
      expect:
        status: [200, 4xx]
        result: { content: [{ type: text }] }
        error: { code: [-32601, -32602], message: { $regex: "x" } }
        outcome: result
        headers: { allow: { $contains: POST }, mcp-session-id: null }
        session: unchanged
        content-type: application/json
        body: empty
        notifications: [{ method: notifications/progress, at-least: 3, params: { progressToken: t } }]
        requests: [{ method: roots/list }]
        clause: base.cancellation
        one-of: [{ status: 404 }, { outcome: closed }]
"#,
        );
        let expect = read[0].expect().unwrap();
        assert!(expect.status.as_ref().unwrap().matches(404));
        assert_eq!(expect.headers["mcp-session-id"], None);
        assert_eq!(expect.notifications[0].at_least(), 3);
        assert_eq!(expect.one_of.len(), 2);
    }

    #[test]
    fn json_is_yaml() {
        let text =
            json!({"version": 1, "id": "a.b", "title": "T", "why": "W", "steps": ["connect", {"negotiate": {}}]});
        assert_eq!(parse("x.json", &text.to_string()).unwrap().steps.len(), 2);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_makes_the_reader_or_the_renderer_panic(
            cut in 0_usize..600,
            noise in "[ -~äß€😀\n\t]{0,12}",
        ) {
            let text = include_str!("../../scenarios/connect/origin-and-host.yaml");
            let cut = text.floor_char_boundary(cut);
            for damaged in [format!("{}{noise}{}", &text[..cut], &text[cut..]), format!("\u{feff}{}{noise}", &text[..cut])] {
                if let Err(mistakes) = parse("x.yaml", &damaged) {
                    proptest::prop_assert!(!mistakes.render(true).is_empty());
                }
            }
        }
    }
}
