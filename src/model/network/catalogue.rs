//! Every kind of network fault: its name, what may be said of it, what it is.
//!
//! The parser, the editor schema, the help and `list network-faults` all read this table.

use super::fault::{Direction, NetworkFault};

/// What a key or the main value of a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// A length of time.
    Time,
    /// A number of bytes.
    Bytes,
    /// Bytes in a second.
    Rate,
    /// A whole number from 1.
    Count,
    /// An HTTP status.
    Status,
    /// The status of a redirect.
    RedirectStatus,
    /// The name of a header.
    Header,
    /// Scheme, host and port.
    Origin,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// A kind of network fault.
#[derive(Debug)]
pub struct NetworkFaultKind {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// How it is written.
    pub example: &'static str,
    /// The value that stands behind the name alone, with the key by which it may be given instead.
    pub(super) main: Option<(&'static str, Value)>,
    /// Whether that value has to be given.
    pub(super) required: bool,
    /// Further keys.
    pub(super) keys: &'static [(&'static str, Value)],
    /// The direction that is meant where none is said; `None` where it has none.
    pub direction: Option<Direction>,
}

const DIRECTIONS: Value = Value::Word(&["up", "down", "both"]);
const ON: (&str, Value) = ("connection", Value::Count);
const TRIGGERED: &[(&str, Value)] = &[
    ("after", Value::Bytes),
    ("when", Value::Word(&["now", "answer"])),
    ("direction", DIRECTIONS),
    ON,
    ("times", Value::Count),
];
const ENDED: &[(&str, Value)] = &[
    ("after", Value::Bytes),
    ("when", Value::Word(&["now", "answer"])),
    ("direction", DIRECTIONS),
    ("side", Value::Word(&["both", "client", "server"])),
    ON,
    ("times", Value::Count),
];
const PACE: &[(&str, Value)] = &[("direction", DIRECTIONS), ON];

/// Every kind, those of bytes first, then those of HTTP.
pub const NETWORK_FAULTS: &[NetworkFaultKind] = &[
    NetworkFaultKind {
        name: "latency",
        summary: "bytes arrive later by so much, each way unless a direction is given",
        example: "latency=200ms",
        main: Some(("by", Value::Time)),
        required: true,
        keys: PACE,
        direction: Some(Direction::Both),
    },
    NetworkFaultKind {
        name: "jitter",
        summary: "bytes arrive later by up to so much, each piece by another time, never out of order",
        example: "jitter=50ms",
        main: Some(("by", Value::Time)),
        required: true,
        keys: PACE,
        direction: Some(Direction::Both),
    },
    NetworkFaultKind {
        name: "trickle",
        summary: "no more than so many bytes pass in a second",
        example: "trickle=4kb/s,direction:down",
        main: Some(("rate", Value::Rate)),
        required: true,
        keys: PACE,
        direction: Some(Direction::Down),
    },
    NetworkFaultKind {
        name: "cut",
        summary: "the connection is closed in good order: at once, after so many bytes, or when an answer begins",
        example: "cut=after:512b,direction:down",
        main: None,
        required: false,
        keys: ENDED,
        direction: Some(Direction::Down),
    },
    NetworkFaultKind {
        name: "reset",
        summary: "the same, with a reset (RST) instead of an end; with side:client the server does not learn of it",
        example: "reset=when:answer,times:1",
        main: None,
        required: false,
        keys: ENDED,
        direction: Some(Direction::Down),
    },
    NetworkFaultKind {
        name: "half-close",
        summary: "one direction ends (FIN) while the other goes on; what still comes that way is lost",
        example: "half-close=direction:down",
        main: None,
        required: false,
        keys: TRIGGERED,
        direction: Some(Direction::Down),
    },
    NetworkFaultKind {
        name: "stall",
        summary: "nothing passes and nothing is closed, not even by a side that leaves; it goes on when the fault is over",
        example: "stall=after:1kb,direction:down",
        main: None,
        required: false,
        keys: TRIGGERED,
        direction: Some(Direction::Both),
    },
    NetworkFaultKind {
        name: "idle-cut",
        summary: "a connection on which nothing passed for so long is closed, as load balancers do",
        example: "idle-cut=60s",
        main: Some(("after", Value::Time)),
        required: true,
        keys: &[ON],
        direction: None,
    },
    NetworkFaultKind {
        name: "refuse",
        summary: "new connections are reset before a byte passes",
        example: "refuse",
        main: None,
        required: false,
        keys: &[ON, ("times", Value::Count)],
        direction: None,
    },
    NetworkFaultKind {
        name: "buffer-streams",
        summary: "event streams are held back in blocks of so many bytes, or until their end, as reverse proxies do",
        example: "buffer-streams=8kb",
        main: Some(("block", Value::Bytes)),
        required: false,
        keys: &[ON],
        direction: None,
    },
    NetworkFaultKind {
        name: "redirect",
        summary: "requests are redirected to their path with (or without) a slash at its end, where the server then is",
        example: "redirect=307,slash:add",
        main: Some(("status", Value::RedirectStatus)),
        required: true,
        keys: &[("slash", Value::Word(&["add", "remove"])), ("origin", Value::Origin), ON],
        direction: None,
    },
    NetworkFaultKind {
        name: "strip-header",
        summary: "a header is taken out of answers, or with direction:up of requests",
        example: "strip-header=www-authenticate",
        main: Some(("name", Value::Header)),
        required: true,
        keys: PACE,
        direction: Some(Direction::Down),
    },
    NetworkFaultKind {
        name: "rename-header",
        summary: "a header of answers, or with direction:up of requests, gets another name",
        example: "rename-header=from:www-authenticate,to:x-amzn-remapped-www-authenticate",
        main: None,
        required: false,
        keys: &[("from", Value::Header), ("to", Value::Header), ("direction", DIRECTIONS), ON],
        direction: Some(Direction::Down),
    },
    NetworkFaultKind {
        name: "status",
        summary: "the status of answers is replaced, all of them or those that had another given one",
        example: "status=502,of:404",
        main: Some(("to", Value::Status)),
        required: true,
        keys: &[("of", Value::Status), ON],
        direction: None,
    },
    NetworkFaultKind {
        name: "round-robin",
        summary: "several servers take turns, for each request or each connection; without it all goes to the first",
        example: "round-robin=request",
        main: Some(("per", Value::Word(&["request", "connection"]))),
        required: true,
        keys: &[],
        direction: None,
    },
];

impl NetworkFaultKind {
    /// Every key that may be given, that of the main value first.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.main.iter().chain(self.keys).map(|(key, _)| *key)
    }

    /// Whether the name alone says all there is to say.
    pub fn may_stand_alone(&self) -> bool {
        !self.required && self.name != "rename-header"
    }

    /// Whether a value may stand behind the name without a key.
    pub fn has_main_value(&self) -> bool {
        self.main.is_some()
    }

    pub(super) fn named(name: &str) -> Option<&'static Self> {
        NETWORK_FAULTS.iter().find(|kind| kind.name == name)
    }

    /// What a key is for; `None` where the kind has no such key.
    pub(super) fn value(&self, key: &str) -> Option<Value> {
        self.main.iter().chain(self.keys).find(|(known, _)| *known == key).map(|(_, value)| *value)
    }
}

impl NetworkFault {
    /// Its row in the table.
    pub fn kind(&self) -> Option<&'static NetworkFaultKind> {
        NetworkFaultKind::named(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_example_is_read_and_written_back() {
        for kind in NETWORK_FAULTS {
            let read: NetworkFault = kind.example.parse().unwrap_or_else(|error| panic!("{}: {error}", kind.example));
            assert_eq!(read.name(), kind.name);
            assert_eq!(read.to_string().parse(), Ok(read.clone()), "{}", kind.example);
            assert_eq!(kind.may_stand_alone(), kind.name.parse::<NetworkFault>().is_ok(), "{}", kind.name);
            assert!(!kind.summary.ends_with('.'), "{}", kind.name);
        }
    }
}
