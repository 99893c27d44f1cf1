//! Small habits on the wire, each driven by the simulated client: tokens, extra requests, pages. It must not know
//! evidence or fallbacks.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::values::Header;

/// A request without a body beside the conversation.
///
/// The path may hold `{endpoint}`, the path of the MCP endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreRequest {
    /// HTTP method.
    pub method: String,
    /// Path, perhaps with `{endpoint}` in it.
    pub path: String,
    /// Its headers, in order; without them those of the GET that opens the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<Header>>,
    /// It is part of finding out whether a login is needed; where one is, the login asks by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unless_guarded: bool,
    /// It comes right before `initialize`, after the probe, instead of before everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_probe: bool,
}

/// The requests with which a client sends a progress token by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgressTokens {
    /// None.
    Never,
    /// `tools/call`.
    Calls,
    /// Every one but its probe and its handshake.
    Always,
}

impl ProgressTokens {
    /// Whether a request of this method carries one.
    pub fn are_on(self, method: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Calls => method == "tools/call",
            Self::Always => !matches!(method, "server/discover" | "initialize" | "ping"),
        }
    }
}

/// What a progress token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    /// A number that counts up from 0.
    Counter,
    /// The id of the request.
    RequestId,
    /// A fresh UUID.
    Uuid,
}

/// How a client asks for progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The requests that carry a token after a handshake; those without one are in `modern`.
    pub sends: ProgressTokens,
    /// What it is.
    pub token: Token,
}

/// What a client adds to the messages of its requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extras {
    /// Members of `_meta` of `tools/call`; `{hex}` in a text stands for made-up digits.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub call_meta: Map<String, Value>,
    /// Members of `_meta` of every request without a handshake.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub modern_meta: Map<String, Value>,
    /// Members of the params of `initialize`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub initialize: Map<String, Value>,
    /// Its notifications carry `id: null`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub null_ids: bool,
    /// It sends `params: {}` where a list is asked for from its beginning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_params: bool,
}

/// A version that a client names in `initialize` although it goes on in another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamesVersion {
    /// What it says.
    pub says: String,
    /// The revision of `opens_with` that it says so instead of.
    pub instead_of: String,
}

/// What a client can take, as it says itself or others measured it. `None` is unknown or without bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The most tools that it hands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<usize>,
    /// The most letters of a tool's name; a tool with a longer one is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<usize>,
    /// The most seconds that a call may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_s: Option<u64>,
    /// The most characters of a result that it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<usize>,
}

/// One thing that a client does to end a server that it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndStep {
    /// What.
    pub does: EndBy,
    /// How many milliseconds after the first, if the server still runs then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub after_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What may end a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndBy {
    /// Its standard input is closed.
    CloseInput,
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
    /// The client ends itself, whatever becomes of the server.
    Leave,
}
