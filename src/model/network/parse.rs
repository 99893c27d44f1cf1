//! Text → network fault: `NAME`, `NAME=VALUE`, `NAME=KEY:VALUE,…`, or both kinds of value together.
//!
//! Says of a text that is none which word is wrong and what would be right.

use std::str::FromStr;

use super::catalogue::{NETWORK_FAULTS, NetworkFaultKind, Value};
use super::fault::{Direction, Disturbance, NetworkFault, Side, Slash, Trigger, Turns};
use crate::model::{bytes, closest, duration};

/// The text names no network fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {help}")]
pub struct BadNetworkFault {
    /// What is wrong.
    pub what: String,
    /// The word that is wrong, as it stands in the text.
    pub word: String,
    /// How to put it right.
    pub help: String,
}

/// What was written behind the name: key and value, checked for their form.
struct Said<'t> {
    kind: &'static NetworkFaultKind,
    pairs: Vec<(&'static str, &'t str)>,
}

impl FromStr for NetworkFault {
    type Err = BadNetworkFault;

    fn from_str(text: &str) -> Result<Self, BadNetworkFault> {
        let (name, rest) = text.split_once('=').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let Some(kind) = NetworkFaultKind::named(name) else {
            let names: Vec<&str> = NETWORK_FAULTS.iter().map(|kind| kind.name).collect();
            let help = closest(name, names.iter().copied())
                .map_or_else(|| format!("known: {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
            return Err(bad(format!("unknown network fault `{name}`"), name, help));
        };
        let mut said = Said { kind, pairs: Vec::new() };
        for (at, part) in rest.into_iter().flat_map(|rest| rest.split(',')).enumerate() {
            said.take(part, at == 0)?;
        }
        said.fault()
    }
}

fn bad(what: impl Into<String>, word: &str, help: impl Into<String>) -> BadNetworkFault {
    BadNetworkFault { what: what.into(), word: word.to_owned(), help: help.into() }
}

impl<'t> Said<'t> {
    /// Takes one part between commas; the first may be a value without its key.
    fn take(&mut self, part: &'t str, first: bool) -> Result<(), BadNetworkFault> {
        let name = self.kind.name;
        let pair = part.split_once(':').filter(|(key, _)| self.kind.value(key).is_some());
        let (key, value) = match (pair, self.kind.main) {
            (Some((key, value)), _) => (key, value),
            (None, Some((key, _))) if first && !part.contains(':') => (key, part),
            (None, _) => {
                let key = part.split(':').next().unwrap_or(part);
                let help = match closest(key, self.kind.keys()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write it like `{}`", self.kind.example),
                };
                return Err(bad(format!("`{name}` knows no `{key}`"), key, help));
            }
        };
        let wanted = self.kind.main.iter().chain(self.kind.keys).find(|(known, _)| *known == key);
        let Some((key, wanted)) = wanted.copied() else { return Ok(()) };
        if self.pairs.iter().any(|(known, _)| *known == key) {
            return Err(bad(format!("`{key}` of `{name}` is given twice"), value, "remove one of them"));
        }
        if let Some(expected) = wanted.amiss(value) {
            return Err(bad(format!("`{value}` is no `{key}` of `{name}`"), value, format!("expected {expected}")));
        }
        self.pairs.push((key, value));
        Ok(())
    }

    fn get(&self, key: &str) -> Option<&'t str> {
        self.pairs.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    fn count(&self, key: &str) -> Option<u32> {
        self.get(key)?.parse().ok()
    }

    /// A value that has to be there.
    fn needed(&self, key: &str) -> Result<&'t str, BadNetworkFault> {
        self.get(key).ok_or_else(|| {
            let (name, example) = (self.kind.name, self.kind.example);
            bad(format!("`{name}` needs `{key}`"), name, format!("write it like `{example}`"))
        })
    }

    fn time(&self, key: &str) -> Result<std::time::Duration, BadNetworkFault> {
        Ok(duration(self.needed(key)?).unwrap_or_default())
    }

    fn trigger(&self) -> Result<Trigger, BadNetworkFault> {
        match (self.get("after").and_then(bytes), self.get("when")) {
            (Some(_), Some(when)) => {
                Err(bad("`after` and `when` exclude each other", when, "give the one that is meant"))
            }
            // No byte has to pass first.
            (Some(0), None) | (None, None | Some("now")) => Ok(Trigger::Now),
            (Some(count), None) => Ok(Trigger::After(count)),
            (None, Some(_)) => Ok(Trigger::Answer),
        }
    }

    fn side(&self) -> Side {
        match self.get("side") {
            Some("client") => Side::Client,
            Some("server") => Side::Server,
            _ => Side::Both,
        }
    }

    fn fault(&self) -> Result<NetworkFault, BadNetworkFault> {
        let status = |key: &str| self.get(key).and_then(|text| text.parse::<u16>().ok());
        let what = match self.kind.name {
            "latency" => Disturbance::Latency(self.time("by")?),
            "jitter" => Disturbance::Jitter(self.time("by")?),
            "trickle" => Disturbance::Trickle(rate(self.needed("rate")?).unwrap_or(1)),
            "cut" => Disturbance::Cut(self.trigger()?, self.side()),
            "reset" => Disturbance::Reset(self.trigger()?, self.side()),
            "half-close" => Disturbance::HalfClose(self.trigger()?),
            "stall" => Disturbance::Stall(self.trigger()?),
            "idle-cut" => Disturbance::IdleCut(self.time("after")?),
            "refuse" => Disturbance::Refuse,
            "buffer-streams" => Disturbance::BufferStreams(self.get("block").and_then(bytes)),
            "redirect" => Disturbance::Redirect {
                status: self.needed("status")?.parse().unwrap_or(307),
                slash: if self.get("slash") == Some("remove") { Slash::Remove } else { Slash::Add },
                origin: self.get("origin").map(|origin| origin.trim_end_matches('/').to_owned()),
            },
            "strip-header" => Disturbance::StripHeader(self.needed("name")?.to_owned()),
            "rename-header" => {
                Disturbance::RenameHeader { from: self.needed("from")?.to_owned(), to: self.needed("to")?.to_owned() }
            }
            "status" => Disturbance::Status { to: self.needed("to")?.parse().unwrap_or(502), of: status("of") },
            _ => Disturbance::RoundRobin(if self.needed("per")? == "request" {
                Turns::Request
            } else {
                Turns::Connection
            }),
        };
        let direction = match self.get("direction") {
            Some("up") => Direction::Up,
            Some("down") => Direction::Down,
            Some(_) => Direction::Both,
            None => self.kind.direction.unwrap_or(Direction::Both),
        };
        Ok(NetworkFault { what, direction, connection: self.count("connection"), times: self.count("times") })
    }
}

/// Bytes in a second, with or without `/s`.
fn rate(text: &str) -> Option<u64> {
    bytes(text.strip_suffix("/s").unwrap_or(text)).filter(|rate| *rate > 0)
}

impl Value {
    /// What would have been right, where a text is no such value.
    fn amiss(self, text: &str) -> Option<String> {
        let number = || text.parse::<u16>().unwrap_or_default();
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let holds = match self {
            Self::Time => duration(text).is_some(),
            Self::Bytes => bytes(text).is_some(),
            Self::Rate => rate(text).is_some(),
            Self::Count => text.parse::<u32>().is_ok_and(|count| count > 0),
            Self::Status => (200..=599).contains(&number()),
            Self::RedirectStatus => matches!(number(), 301 | 302 | 307 | 308),
            Self::Header => !text.is_empty() && text.chars().all(token),
            Self::Origin => {
                let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
                rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic()))
            }
            Self::Word(words) => words.contains(&text),
        };
        (!holds).then(|| match self {
            Self::Time => "a whole number and ms, s, m, h or d: `200ms`, `5s`".to_owned(),
            Self::Bytes => "a whole number of bytes: `512`, `4kb`, `1mb`".to_owned(),
            Self::Rate => "bytes in a second: `4kb/s`".to_owned(),
            Self::Count => "a whole number from 1".to_owned(),
            Self::Status => "a status from 200 to 599".to_owned(),
            Self::RedirectStatus => "301, 302, 307 or 308".to_owned(),
            Self::Header => "the name of a header".to_owned(),
            Self::Origin => "an origin such as `http://other.example:8080`".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn read(text: &str) -> NetworkFault {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn values_stand_alone_or_behind_their_keys() {
        assert_eq!(read("latency=200ms"), read("latency=by:200ms"));
        assert_eq!(read("latency=5s").what, Disturbance::Latency(Duration::from_secs(5)));
        let cut = read("cut=after:512b,direction:up,connection:2,times:1");
        assert_eq!((cut.trigger(), cut.direction), (Some(Trigger::After(512)), Direction::Up));
        assert_eq!((cut.connection, cut.times), (Some(2), Some(1)));
        assert_eq!(read("cut").trigger(), Some(Trigger::Now));
        assert_eq!(read("stall").direction, Direction::Both);
        let redirect = read("redirect=308,slash:remove,origin:http://127.0.0.1:9/");
        let origin = Some("http://127.0.0.1:9".to_owned());
        assert_eq!(redirect.what, Disturbance::Redirect { status: 308, slash: Slash::Remove, origin });
        assert_eq!(read("buffer-streams").what, Disturbance::BufferStreams(None));
    }

    #[test]
    fn a_text_that_is_none_says_why() {
        for (text, word, words) in [
            ("latencyy=1s", "latencyy", "did you mean `latency`?"),
            ("latency", "latency", "needs `by`"),
            ("latency=soon", "soon", "expected a whole number and ms"),
            ("cut=512", "512", "write it like `cut=after:512b"),
            ("cut=afer:512", "afer", "did you mean `after`?"),
            ("cut=after:5,when:answer", "answer", "exclude each other"),
            ("cut=after:5,after:6", "6", "given twice"),
            ("redirect=200", "200", "301, 302, 307 or 308"),
            ("strip-header=a b", "a b", "the name of a header"),
            ("rename-header=from:a", "rename-header", "needs `to`"),
            ("status=99", "99", "from 200 to 599"),
            ("refuse=times:0", "0", "from 1"),
            ("", "", "unknown network fault"),
        ] {
            let error = text.parse::<NetworkFault>().expect_err(text);
            assert_eq!(error.word, word, "{text}");
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
    }

    fn any_fault() -> impl Strategy<Value = NetworkFault> {
        let trigger =
            prop_oneof![Just(Trigger::Now), (1..u64::from(u32::MAX)).prop_map(Trigger::After), Just(Trigger::Answer)];
        let time = || (0..100_000_u64).prop_map(Duration::from_millis);
        let name = || "[a-z][a-z0-9-]{0,12}";
        let directed = prop_oneof![
            time().prop_map(Disturbance::Latency),
            time().prop_map(Disturbance::Jitter),
            (1..u64::from(u32::MAX)).prop_map(Disturbance::Trickle),
            name().prop_map(Disturbance::StripHeader),
            (name(), name()).prop_map(|(from, to)| Disturbance::RenameHeader { from, to }),
        ];
        let side = prop_oneof![Just(Side::Both), Just(Side::Client), Just(Side::Server)];
        let triggered = (trigger, side).prop_flat_map(|(trigger, side)| {
            prop_oneof![
                Just(Disturbance::Cut(trigger, side)),
                Just(Disturbance::Reset(trigger, side)),
                Just(Disturbance::HalfClose(trigger)),
                Just(Disturbance::Stall(trigger)),
            ]
        });
        let others = prop_oneof![
            time().prop_map(Disturbance::IdleCut),
            proptest::option::of(0..u64::from(u32::MAX)).prop_map(Disturbance::BufferStreams),
            (200..600_u16, proptest::option::of(200..600_u16)).prop_map(|(to, of)| Disturbance::Status { to, of }),
        ];
        let direction = || prop_oneof![Just(Direction::Up), Just(Direction::Down), Just(Direction::Both)];
        let count = || proptest::option::of(1..1000_u32);
        prop_oneof![
            (directed, direction(), count()).prop_map(|(what, direction, connection)| NetworkFault {
                what,
                direction,
                connection,
                times: None
            }),
            (triggered, direction(), count(), count()).prop_map(|(what, direction, connection, times)| {
                NetworkFault { what, direction, connection, times }
            }),
            (others, count()).prop_map(|(what, connection)| NetworkFault {
                what,
                direction: Direction::Both,
                connection,
                times: None
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(fault in any_fault()) {
            prop_assert_eq!(fault.to_string().parse::<NetworkFault>(), Ok(fault));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a-z-]{0,12}[=:, ]?[ -~äß]{0,30}") {
            if let Err(error) = text.parse::<NetworkFault>() {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
