//! One thing that happened. Silence, hang-up and time-out are events, not errors.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Text, Via};

/// Header names and values in the order and spelling of the wire.
pub type Headers = Vec<(HeaderText, HeaderText)>;

/// What a simulated client is called in a transcript.
pub type ClientName = CompactString;

/// A name or a value of a header; most are so short that they need no room of their own.
pub type HeaderText = CompactString;

/// The first value of a header, its name compared without case (RFC 9110 section 5.1).
pub fn header<'a>(headers: &'a [(HeaderText, HeaderText)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// How an HTTP exchange ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how", content = "detail")]
pub enum End {
    /// The answer came whole.
    Complete,
    /// The peer closed before the answer was whole.
    CutShort,
    /// The client dropped the connection on purpose.
    ClosedByUs,
    /// Nothing more came within the time allowed.
    TimedOut,
    /// The answer passed the bound, in bytes.
    TooLarge(usize),
    /// The answer passed some other limit of this program; which one.
    Unread(String),
    /// No connection, or bytes that are no HTTP.
    Failed(String),
}

impl End {
    /// What was amiss about the end, in plain words; `answered` says whether the head of an answer came.
    pub fn words(&self, answered: bool) -> Option<String> {
        Some(match (self, answered) {
            (Self::Complete | Self::ClosedByUs, _) => return None,
            (Self::TimedOut, false) => "no answer within the time allowed".to_owned(),
            (Self::TimedOut, true) => "the answer did not end within the time allowed".to_owned(),
            (Self::CutShort, false) => "the server closed the connection without a whole answer".to_owned(),
            (Self::CutShort, true) => "the server closed the connection in the middle of its answer".to_owned(),
            (Self::TooLarge(bytes), _) => {
                format!("the answer is too large: reading stopped after {} MiB", bytes / (1024 * 1024))
            }
            (Self::Unread(limit), _) => format!("the answer was not read: {limit}"),
            (Self::Failed(reason), _) => reason.clone(),
        })
    }

    /// Whether a limit of this program, not the server, ended it.
    pub fn is_our_limit(&self) -> bool {
        matches!(self, Self::TooLarge(_) | Self::Unread(_))
    }
}

/// What made a process end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Nothing that the client did.
    ByItself,
    /// Its standard input was closed.
    InputClosed,
    /// SIGINT.
    Sigint,
    /// SIGTERM, as a rule some time after its input was closed.
    Sigterm,
    /// SIGKILL, as a rule some time after SIGTERM.
    Sigkill,
    /// Nothing did: its client left, and it ran on.
    Nothing,
}

/// One line of a transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the transcript, from 0.
    pub seq: u32,
    /// Microseconds since the rehearsal began.
    pub at: u64,
    /// The simulated client that acted: `a`, `b`, …
    pub client: ClientName,
    /// Index of the scenario step, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step: Option<u32>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum EventKind {
    /// A scenario step begins.
    Step {
        /// The step as the scenario names it.
        label: String,
    },
    /// The exchange that the step's expectation is about.
    Subject {
        /// Number of the exchange.
        exchange: u32,
        /// The JSON-RPC id asked about, as JSON text, where the exchange alone does not say it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<String>,
    },
    /// An HTTP request left, or a message on a channel, which has neither method nor headers. The opening of a channel is
    /// a request too: of stdio the start of the process, of a WebSocket the upgrade.
    Request {
        /// Number of the exchange.
        exchange: u32,
        /// Number of the connection that carried it.
        connection: u32,
        /// HTTP method.
        method: String,
        /// Path and query.
        target: String,
        /// Headers as sent; on a channel only `length`, in bytes, where spaces follow the body.
        headers: Headers,
        /// The body; bytes that are no UTF-8 are shown with replacement characters.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        body: Option<Text>,
        /// The transport.
        #[serde(skip_serializing_if = "Via::is_usual", default)]
        via: Via,
        /// The exchange that opened the channel or the stream on which its response comes, where there is one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        channel: Option<u32>,
        /// Whether TLS was spoken.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        tls: bool,
    },
    /// The head of the answer came.
    Response {
        /// Number of the exchange.
        exchange: u32,
        /// HTTP status.
        status: u16,
        /// Headers as received.
        headers: Headers,
    },
    /// The body of an answer that is no event stream.
    Body {
        /// Number of the exchange.
        exchange: u32,
        /// The text; invalid UTF-8 is shown with replacement characters.
        text: Text,
        /// Whether the bytes were valid UTF-8.
        utf8: bool,
    },
    /// One event of an event stream.
    Sse {
        /// Number of the exchange.
        exchange: u32,
        /// The `id` field.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<String>,
        /// The `event` field.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        event: Option<String>,
        /// The joined `data` lines; absent where no data field came.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        data: Option<Text>,
        /// The `retry` field in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        retry: Option<u64>,
    },
    /// A message came in on a channel.
    Message {
        /// Number of the exchange that opened the channel, or of the one that the message answers.
        exchange: u32,
        /// The text; invalid UTF-8 is shown with replacement characters.
        text: Text,
        /// Whether the bytes were valid UTF-8.
        utf8: bool,
    },
    /// A process that served over stdio has ended.
    Exit {
        /// Number of the exchange that started it.
        exchange: u32,
        /// What made it end.
        after: Ended,
        /// What the client did first to end it, where that was something else than to close its standard input.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        began: Option<Ended>,
        /// Milliseconds from the first that the client did about it to its end; 0 where it did nothing.
        took_ms: u64,
        /// Its exit code, where it was not ended by a signal.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        code: Option<i32>,
        /// Whether processes that it had started were still running, and had to be killed.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        left_others: bool,
    },
    /// The exchange is over.
    End {
        /// Number of the exchange.
        exchange: u32,
        /// How.
        end: End,
    },
    /// A secret was seen for the first time; only its shape is kept.
    Secret {
        /// Its label, which stands in its place everywhere else.
        label: String,
        /// Length in bytes.
        length: usize,
        /// Whether every byte is in 0x21 to 0x7E.
        visible_ascii: bool,
        /// Whether it is digits only, as a counter or a time would be.
        digits_only: bool,
    },
    /// A client's credential went from one stage of its life to another.
    Credential {
        /// The stage before.
        from: String,
        /// The stage now.
        to: String,
        /// Why, in plain words.
        why: String,
    },
    /// The client kept an access token that is a JWT: what it says, without its signature.
    Claims {
        /// Label of the token.
        label: String,
        /// The JOSE header.
        header: Value,
        /// The claims.
        claims: Value,
    },
    /// The client was given an access token that was made to order.
    Minted {
        /// Label of the token.
        label: String,
        /// What is wrong with it, in stable words; empty for a right one.
        flaws: Vec<String>,
        /// Seconds since its end, where it was made with its end in the past.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        ended_s: Option<u64>,
    },
    /// A document was published on this machine.
    Published {
        /// Where.
        url: String,
        /// HTTP status of its answer.
        status: u16,
        /// Headers of its answer.
        headers: Headers,
        /// The document.
        body: Text,
        /// How many spaces follow it.
        #[serde(default)]
        pad: usize,
    },
    /// Somebody asked for a document at the place where documents are published.
    Fetched {
        /// Its URL.
        url: String,
        /// HTTP method.
        method: String,
    },
    /// The target's clock was moved.
    Clock {
        /// By so many milliseconds.
        advanced_ms: u64,
    },
    /// The network between client and server, which the rehearsal is itself, begins or stops to do something.
    Network {
        /// What it does, as scenarios write it.
        faults: Vec<String>,
        /// Whether it begins.
        on: bool,
    },
    /// The exchange, whose request comes next, goes to this node of the target, which has several.
    Node {
        /// Number of the exchange.
        exchange: u32,
        /// Number of the node, from 1.
        node: u32,
        /// Its host and port.
        address: String,
    },
    /// The rehearsal has the target, or one of its nodes, ended and started again.
    Restart {
        /// Number of the node, from 1, where the target has several.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        node: Option<u32>,
        /// Whether it is the store of the target, not the target.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        store: bool,
        /// How it ends: `kill` or `stop`.
        how: String,
        /// Whether it begins; else it is over, and the target answers again.
        on: bool,
    },
    /// The client was to call a tool that it had left out of the server's list, so that there was no call.
    Unreachable {
        /// Its name.
        tool: String,
        /// Why the client left it out, in plain words.
        why: String,
    },
    /// The rest of the steps was left out, because something that they need cannot be brought about here.
    LeftOut {
        /// What, in plain words.
        why: String,
        /// Whether the step that was under way cannot be judged either.
        #[serde(default)]
        this_too: bool,
    },
    /// Why the driver moved on, in plain words.
    Note {
        /// The words.
        text: String,
    },
}

impl EventKind {
    /// Number of the exchange that it is part of.
    pub fn exchange(&self) -> Option<u32> {
        match self {
            Self::Subject { exchange, .. }
            | Self::Request { exchange, .. }
            | Self::Response { exchange, .. }
            | Self::Body { exchange, .. }
            | Self::Sse { exchange, .. }
            | Self::Message { exchange, .. }
            | Self::Exit { exchange, .. }
            | Self::Node { exchange, .. }
            | Self::End { exchange, .. } => Some(*exchange),
            _ => None,
        }
    }
}
