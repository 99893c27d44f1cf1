//! A network fault: what is done, to which bytes, on which connection, how often. Written back, it is the text it is read from.

use std::fmt;
use std::time::Duration;

/// Which bytes are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
    /// Both.
    Both,
}

impl Direction {
    /// Whether bytes that go `lane` are meant.
    pub fn includes(self, lane: Self) -> bool {
        self == Self::Both || self == lane
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Both => "both",
        }
    }
}

/// When it happens on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// At once: on connections that are open, and on new ones as they open.
    Now,
    /// Once so many bytes have passed since the fault was put in place.
    After(u64),
    /// As soon as the next bytes of an answer come, before any of them passes.
    Answer,
}

/// Which side is told of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Both.
    Both,
    /// The client alone: for the server the connection lives on, and nobody speaks on it.
    Client,
    /// The server alone.
    Server,
}

/// What a redirect does with the slash at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slash {
    /// Sends clients to the path with a slash.
    Add,
    /// Sends clients to the path without a slash.
    Remove,
}

/// What takes turns over several servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// Each request goes to the next server.
    Request,
    /// Each connection goes to the next server.
    Connection,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbance {
    /// Bytes arrive so much later.
    Latency(Duration),
    /// Bytes arrive later by up to so much, each piece by another time, in order.
    Jitter(Duration),
    /// No more than so many bytes pass in a second.
    Trickle(u64),
    /// The connection is closed in good order.
    Cut(Trigger, Side),
    /// The connection is reset.
    Reset(Trigger, Side),
    /// One direction ends, the other goes on.
    HalfClose(Trigger),
    /// Nothing passes, and nothing is closed.
    Stall(Trigger),
    /// A connection on which nothing passed for so long is closed.
    IdleCut(Duration),
    /// New connections are reset before a byte passes.
    Refuse,
    /// An event stream is held back in blocks of so many bytes, or until its end.
    BufferStreams(Option<u64>),
    /// Requests are redirected to the other spelling of their path.
    Redirect {
        /// Status of the answer.
        status: u16,
        /// Which spelling is the right one.
        slash: Slash,
        /// Scheme, host and port to send clients to; without it the place is a path alone.
        origin: Option<String>,
    },
    /// A header is taken out.
    StripHeader(String),
    /// A header gets another name.
    RenameHeader {
        /// Its name.
        from: String,
        /// The name it gets.
        to: String,
    },
    /// The status of answers is replaced.
    Status {
        /// By this one.
        to: u16,
        /// Only where it was this one.
        of: Option<u16>,
    },
    /// Several servers take turns.
    RoundRobin(Turns),
}

/// A fault of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFault {
    /// What is done.
    pub what: Disturbance,
    /// To which bytes; for a trigger that counts bytes, which are counted.
    pub direction: Direction,
    /// Only on this one of the connections that are opened while the fault is there, from 1.
    pub connection: Option<u32>,
    /// So many times at most.
    pub times: Option<u32>,
}

impl NetworkFault {
    /// Its name in texts and lists.
    pub fn name(&self) -> &'static str {
        match self.what {
            Disturbance::Latency(_) => "latency",
            Disturbance::Jitter(_) => "jitter",
            Disturbance::Trickle(_) => "trickle",
            Disturbance::Cut(..) => "cut",
            Disturbance::Reset(..) => "reset",
            Disturbance::HalfClose(_) => "half-close",
            Disturbance::Stall(_) => "stall",
            Disturbance::IdleCut(_) => "idle-cut",
            Disturbance::Refuse => "refuse",
            Disturbance::BufferStreams(_) => "buffer-streams",
            Disturbance::Redirect { .. } => "redirect",
            Disturbance::StripHeader(_) => "strip-header",
            Disturbance::RenameHeader { .. } => "rename-header",
            Disturbance::Status { .. } => "status",
            Disturbance::RoundRobin(_) => "round-robin",
        }
    }

    /// The trigger, where it has one.
    pub fn trigger(&self) -> Option<Trigger> {
        match self.what {
            Disturbance::Cut(trigger, _)
            | Disturbance::Reset(trigger, _)
            | Disturbance::HalfClose(trigger)
            | Disturbance::Stall(trigger) => Some(trigger),
            _ => None,
        }
    }

    /// Whether it reads and changes HTTP, which cannot be done where the bytes are encrypted.
    pub fn is_http(&self) -> bool {
        matches!(
            self.what,
            Disturbance::BufferStreams(_)
                | Disturbance::Redirect { .. }
                | Disturbance::StripHeader(_)
                | Disturbance::RenameHeader { .. }
                | Disturbance::Status { .. }
        )
    }

    /// Whether what arrives is no longer what was sent: a status, a header, or the answer of somebody in between.
    pub fn changes_heads(&self) -> bool {
        self.is_http() && !matches!(self.what, Disturbance::BufferStreams(_))
    }
}

/// A whole number of milliseconds as the shortest text that is read as it.
fn length(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis > 0 && millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

impl fmt::Display for NetworkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut main = None;
        let mut pairs: Vec<(&str, String)> = Vec::new();
        match &self.what {
            Disturbance::Latency(by) | Disturbance::Jitter(by) | Disturbance::IdleCut(by) => main = Some(length(*by)),
            Disturbance::Trickle(rate) => main = Some(format!("{rate}b/s")),
            Disturbance::BufferStreams(block) => main = block.map(|block| format!("{block}b")),
            Disturbance::Redirect { status, slash, origin } => {
                main = Some(status.to_string());
                if *slash == Slash::Remove {
                    pairs.push(("slash", "remove".to_owned()));
                }
                pairs.extend(origin.clone().map(|origin| ("origin", origin)));
            }
            Disturbance::StripHeader(name) => main = Some(name.clone()),
            Disturbance::RenameHeader { from, to } => pairs.extend([("from", from.clone()), ("to", to.clone())]),
            Disturbance::Status { to, of } => {
                main = Some(to.to_string());
                pairs.extend(of.map(|of| ("of", of.to_string())));
            }
            Disturbance::RoundRobin(Turns::Request) => main = Some("request".to_owned()),
            Disturbance::RoundRobin(Turns::Connection) => main = Some("connection".to_owned()),
            Disturbance::Cut(..)
            | Disturbance::Reset(..)
            | Disturbance::HalfClose(_)
            | Disturbance::Stall(_)
            | Disturbance::Refuse => {}
        }
        match self.trigger() {
            Some(Trigger::After(bytes)) => pairs.push(("after", format!("{bytes}b"))),
            Some(Trigger::Answer) => pairs.push(("when", "answer".to_owned())),
            Some(Trigger::Now) | None => {}
        }
        if self.kind().is_some_and(|kind| kind.direction != Some(self.direction) && kind.direction.is_some()) {
            pairs.push(("direction", self.direction.word().to_owned()));
        }
        if let Disturbance::Cut(_, side) | Disturbance::Reset(_, side) = self.what
            && side != Side::Both
        {
            pairs.push(("side", if side == Side::Client { "client" } else { "server" }.to_owned()));
        }
        pairs.extend(self.connection.map(|number| ("connection", number.to_string())));
        pairs.extend(self.times.map(|times| ("times", times.to_string())));
        let pairs = pairs.into_iter().map(|(key, value)| format!("{key}:{value}"));
        let values: Vec<String> = main.into_iter().chain(pairs).collect();
        f.write_str(self.name())?;
        if values.is_empty() { Ok(()) } else { write!(f, "={}", values.join(",")) }
    }
}
