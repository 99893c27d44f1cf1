//! The types of the values a profile holds. It must not know files, evidence or fallbacks.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::habits::ProgressTokens;
use crate::model::{Revision, Via};

/// Revisions asked for in `initialize`, preferred one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpensWith(pub Vec<Revision>);

impl<'de> Deserialize<'de> for OpensWith {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(input)?;
        let revisions = names.iter().map(|name| name.parse().map_err(D::Error::custom)).collect::<Result<_, _>>()?;
        Ok(Self(revisions))
    }
}

impl Serialize for OpensWith {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

/// A header as sent: name in the client's spelling, value as a template.
///
/// Templates know `{host}`, `{length}`, `{session}`, `{revision}`, `{method}` and `{name}`. A header whose template
/// has no value at that moment (no session yet, a method without a name) is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(String, String)", into = "(String, String)")]
pub struct Header {
    /// Name in the client's spelling.
    pub name: String,
    /// Value or template.
    pub value: String,
}

impl From<(String, String)> for Header {
    fn from((name, value): (String, String)) -> Self {
        Self { name, value }
    }
}

impl From<Header> for (String, String) {
    fn from(header: Header) -> Self {
        (header.name, header.value)
    }
}

/// The transports that a client speaks. WebSocket is in no specification, so that no client has it of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transports {
    /// In the order in which it tries them at an address; `stdio` says that it starts commands as well.
    pub order: Vec<Via>,
    /// The answers to `initialize` over Streamable HTTP after which it tries HTTP+SSE; none if it never does.
    pub fallback: Vec<Fallback>,
}

/// An answer after which another transport is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// What the revision that it asks for says: any 4xx until 2025-06-18, then 400, 404 and 405.
    ByRevision,
    /// Any status from 400 to 499 but 401 and 403.
    #[serde(rename = "any-4xx")]
    Any4xx,
    /// Any status from 400 on, a refusal for want of a token too.
    AnyError,
    /// Status 400.
    #[serde(rename = "400")]
    BadRequest,
    /// Status 404.
    #[serde(rename = "404")]
    NotFound,
    /// Status 405.
    #[serde(rename = "405")]
    NoPost,
}

impl Transports {
    /// The transport that it tries first at an address.
    pub fn first(&self) -> Via {
        let usual = self.order.iter().copied().find(|via| !via.is_channel());
        usual.unwrap_or_default()
    }

    /// Whether it tries HTTP+SSE after this status (2025-06-18 and 2025-11-25 basic/transports#backwards-compatibility).
    /// A refusal for want of a token says nothing of transports.
    pub fn falls_back_on(&self, status: u16, revision: Revision) -> bool {
        let any = (400..500).contains(&status) && status != 401 && status != 403;
        let few = matches!(status, 400 | 404 | 405);
        self.fallback.iter().any(|on| match on {
            Fallback::ByRevision if revision.facts().falls_back_on_any_4xx => any,
            Fallback::ByRevision => few,
            Fallback::Any4xx => any,
            Fallback::AnyError => status >= 400,
            Fallback::BadRequest => status == 400,
            Fallback::NotFound => status == 404,
            Fallback::NoPost => status == 405,
        })
    }
}

/// How a client spells and places the header with its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// Name in the client's spelling.
    pub name: String,
    /// The header it follows; it comes last where that one is not sent.
    pub after: String,
}

/// The request of the newer era that some clients try before `initialize`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// JSON-RPC id: a number or a string.
    pub id: Value,
    /// `server/discover`.
    pub method: String,
    /// Its headers, in order.
    pub headers: Vec<Header>,
    /// Statuses after which it gives up instead of trying `initialize`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fatal: Vec<u16>,
}

/// How a client speaks the era without a handshake (2026-07-28), where it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modern {
    /// Headers of every POST, in order. Those of mirrored arguments come behind `{name}`.
    pub headers: Vec<Header>,
    /// JSON-RPC id of its first request after the probe; later ids count on from there.
    pub first_request_id: Value,
    /// The subscription that it opens once it knows the server; none if it opens none.
    pub listen: Option<ListenHabit>,
    /// Methods it calls then, in order.
    pub listing: Vec<String>,
    /// The requests with which it sends a progress token, counted like an id.
    pub progress_tokens: ProgressTokens,
}

/// The subscription that a client opens by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenHabit {
    /// JSON-RPC id, where it is not counted like the others.
    pub id: Option<Value>,
    /// The `notifications` that it subscribes to.
    pub notifications: Map<String, Value>,
}

/// A whole session that is opened only to see whether the server answers, and then left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeSession {
    /// Its `clientInfo`.
    pub client_info: Map<String, Value>,
    /// Its capabilities.
    pub capabilities: Map<String, Value>,
    /// The revision it asks for.
    pub opens_with: OpensWith,
    /// It stops after `initialize`, once it has seen the status.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stops_there: bool,
}

/// Order of the members of a JSON-RPC message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyOrder {
    /// `method`, `params`, `jsonrpc`, `id`.
    MethodFirst,
    /// So in requests, but `jsonrpc` first in probes, notifications and answers.
    RequestsMethodFirst,
    /// `jsonrpc`, `id`, `method`, `params`.
    JsonrpcFirst,
}

/// Which answers to its `initialize` a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accepts {
    /// Only revisions it knows; it leaves otherwise.
    Known,
    /// Whatever the server says, even a revision that does not exist.
    Any,
    /// Only the one that it asked for; it leaves otherwise.
    Asked,
}

/// What a client does about the server's own stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetStream {
    /// It opens one after the handshake.
    pub opens: bool,
    /// Statuses it takes for "there is none" without calling it an error.
    pub no_stream_statuses: Vec<u16>,
}

/// What a client does when its session is answered with 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnSession404 {
    /// A new handshake; the call is lost.
    Reinitialize,
    /// The same, after 400 too.
    #[serde(rename = "reinitialize-on-400-too")]
    ReinitializeOn400Too,
    /// A new handshake, and the call once more.
    ReinitializeAndRetry,
    /// Nothing; it is broken until restarted.
    Fail,
}

/// The answer to a request of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// A result.
    Result(Value),
    /// An error.
    Error {
        /// JSON-RPC error code.
        code: i64,
        /// Its text.
        message: String,
    },
}

/// Answers to the requests a server may send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// To `ping`.
    pub ping: Answer,
    /// To `roots/list`.
    pub roots: Answer,
    /// To `sampling/createMessage`.
    pub sampling: Answer,
    /// To `elicitation/create`.
    pub elicitation: Answer,
    /// To any method it does not know.
    pub unknown: Answer,
}
