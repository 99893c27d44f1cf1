//! The transports: what carries MCP messages between a client and a server.
//!
//! A word that everybody shares; how each works is the business of those who send.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Via {
    /// Streamable HTTP (2025-03-26 and later).
    #[default]
    #[serde(rename = "streamable-http")]
    StreamableHttp,
    /// HTTP+SSE (2024-11-05), deprecated since.
    #[serde(rename = "sse")]
    LegacySse,
    /// Standard input and output of a process.
    #[serde(rename = "stdio")]
    Stdio,
    /// WebSocket, which no revision has: `docs/transports.md` has its rules.
    #[serde(rename = "websocket")]
    WebSocket,
}

impl Via {
    /// All of them, by name.
    pub const ALL: [Self; 4] = [Self::StreamableHttp, Self::LegacySse, Self::Stdio, Self::WebSocket];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::StreamableHttp => "streamable-http",
            Self::LegacySse => "sse",
            Self::Stdio => "stdio",
            Self::WebSocket => "websocket",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::StreamableHttp => "Streamable HTTP",
            Self::LegacySse => "HTTP+SSE",
            Self::Stdio => "stdio",
            Self::WebSocket => "WebSocket",
        }
    }

    /// Whether a message is a thing of its own there, without headers and status.
    pub fn is_channel(self) -> bool {
        matches!(self, Self::Stdio | Self::WebSocket)
    }

    /// Whether what the server says comes on one stream, whichever request it belongs to.
    pub fn has_one_stream(self) -> bool {
        self != Self::StreamableHttp
    }

    /// Whether it is the usual one; transcripts leave that out.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Via {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = Self::ALL.iter().map(|via| via.name()).collect();
        let found = Self::ALL.into_iter().find(|via| via.name() == text);
        found.ok_or_else(|| format!("`{text}` is no transport; there are: {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_name_everywhere() {
        for via in Via::ALL {
            assert_eq!(via.name().parse(), Ok(via));
            assert_eq!(serde_json::to_string(&via).expect("a word"), format!("\"{via}\""));
        }
        assert!("http".parse::<Via>().expect_err("not one").contains("streamable-http, sse, stdio, websocket"));
    }
}
