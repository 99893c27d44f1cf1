//! Our own readers of texts beside readers of others: JSON Lines of transcripts, challenges, scenarios. That of event streams
//! stands beside the `sse-stream` crate in `src/wire/sse.rs`.

use mcp_rehearsal::model::challenges;
use mcp_rehearsal::scenario::{Action, parse};
use mcp_rehearsal::transcript::{Event, EventKind, read, write};
use proptest::prelude::*;
use serde_json::{Value, json};

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // DEL and its like may stand bare in JSON, but not in YAML.
        "[ -~äß€😀\\n\\t]{0,20}".prop_map(Value::from),
        // What YAML takes for something else where it stands bare.
        prop_oneof!["yes", "null", "1e3", "0x10", "~", "-", "2026-01-01", "a: b", "# x"].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z$ ]{1,8}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        ".{0,40}".prop_map(|text| EventKind::Note { text }),
        any::<u64>().prop_map(|advanced_ms| EventKind::Clock { advanced_ms }),
        (".{0,20}", any::<bool>()).prop_map(|(why, this_too)| EventKind::LeftOut { why, this_too }),
        ("[a-z]{1,8}", "[a-z]{1,8}", ".{0,20}").prop_map(|(from, to, why)| EventKind::Credential { from, to, why }),
    ];
    (any::<u32>(), any::<u64>(), ".{0,8}", proptest::option::of(any::<u32>()), kind)
        .prop_map(|(seq, at, client, step, kind)| Event { seq, at, client: client.into(), step, kind })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Every line that is written is one whole JSON value to a reader of others, and all are read back.
    #[test]
    fn prop_transcripts_are_lines_of_json(events in prop::collection::vec(event(), 0..8)) {
        let numbered = |(event, seq)| Event { seq, ..event };
        let events: Vec<Event> = events.into_iter().zip(0..).map(numbered).collect();
        let text = write(&events);
        for line in text.lines() {
            prop_assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
        }
        let stream: Vec<Value> =
            serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>().expect("a stream of JSON");
        prop_assert_eq!(stream.len(), events.len() + 2, "with the first line and the seal");
        let reading = read(&text).map_err(|error| error.to_string());
        prop_assert_eq!(reading.map(|reading| (reading.sealed, reading.events)), Ok((true, events)));
    }

    /// What was cut or changed is refused or read, and never more than that.
    #[test]
    fn prop_damaged_transcripts_do_not_panic(
        events in prop::collection::vec(event(), 0..4),
        at in 0_usize..400,
        noise in ".{0,8}",
    ) {
        let text = write(&events);
        let at = text.floor_char_boundary(at);
        let _ = read(&format!("{}{noise}{}", &text[..at], &text[at..]));
        let _ = read(&text[..at]);
    }

    /// JSON is YAML: a message of a scenario is what a JSON reader takes it for.
    #[test]
    fn prop_scenarios_read_json_as_json_is_read(message in json_value()) {
        prop_assume!(!message.to_string().contains("${"));
        let scenario = json!({"version": 1, "id": "a.b", "title": "T", "why": "W",
            "steps": ["connect", {"raw": {"message": message}}]});
        let read = parse("x.json", &scenario.to_string()).map_err(|mistakes| mistakes.render(false));
        let read = read.map(|scenario| match &scenario.steps[1].action {
            Action::Raw(raw) => raw.message.clone(),
            _ => None,
        });
        prop_assert_eq!(read, Ok(Some(message)));
    }

    /// A challenge that another reader takes is read alike.
    #[test]
    fn prop_challenges_are_read_as_others_read_them(
        realm in "[ -~]{0,20}",
        error in "[a-z_]{1,12}",
        second in any::<bool>(),
        gap in "[ \t]{0,2}",
    ) {
        let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
        let more = if second { ", Basic realm=\"x\"" } else { "" };
        let text = format!("Bearer realm=\"{quoted}\",{gap}error={error}{more}");
        let others = http_auth::parse_challenges(&text).expect("it is well formed");
        let ours = challenges(&text);
        prop_assert_eq!(ours.len(), others.len());
        for (one, other) in ours.iter().zip(&others) {
            prop_assert!(one.is(other.scheme), "{} is no {}", one.scheme, other.scheme);
            prop_assert_eq!(one.params.len(), other.params.len());
            for (name, value) in &other.params {
                let value = value.to_unescaped();
                prop_assert_eq!(one.param(name), Some(value.as_str()));
            }
        }
    }
}
