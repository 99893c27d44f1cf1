//! The one table of what each protocol revision knows.
//!
//! Every `if version >= …` in the project is a column here. It must not know who asks.

use std::fmt;
use std::str::FromStr;

/// A dated revision of the Model Context Protocol, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2024-11-05, the first one; HTTP+SSE transport.
    V2024_11_05,
    /// 2025-03-26: Streamable HTTP, sessions, JSON-RPC batches.
    V2025_03_26,
    /// 2025-06-18: version header, elicitation, structured content; batches removed.
    V2025_06_18,
    /// 2025-11-25: priming events, URL elicitation, core tasks.
    V2025_11_25,
    /// 2026-07-28: no handshake, no sessions; every request carries its own `_meta`.
    V2026_07_28,
}

/// How a conversation is opened and where its state lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// `initialize` opens a conversation that may hold a session.
    Legacy,
    /// Each request carries version and capabilities; there is no session.
    Modern,
}

/// What one revision knows; a row of the table.
#[expect(clippy::struct_excessive_bools, reason = "a table of independent yes/no facts, not a state")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The date that names the revision on the wire.
    pub name: &'static str,
    /// Handshake or per-request metadata.
    pub era: Era,
    /// A receiver has to take JSON-RPC arrays (2025-03-26 only).
    pub batches: bool,
    /// The Streamable HTTP transport exists.
    pub streamable_http: bool,
    /// Clients send `MCP-Protocol-Version` after negotiation.
    pub version_header: bool,
    /// A refused `Origin` has to be answered with 403 and no other status.
    pub origin_403: bool,
    /// Streams open with an event that has an id and empty data.
    pub priming_event: bool,
    /// `audio` content exists.
    pub audio: bool,
    /// `resource_link` content exists.
    pub resource_link: bool,
    /// Tool results may carry `structuredContent`.
    pub structured_content: bool,
    /// The server may ask the user through `elicitation/create`.
    pub elicitation: bool,
    /// Elicitation knows the `url` mode, and forms know multi-select enums.
    pub elicitation_url: bool,
    /// "Only what was negotiated" is a MUST (a SHOULD before).
    pub negotiated_only_must: bool,
    /// The `completions` server capability exists.
    pub completions_capability: bool,
    /// Core tasks (`tasks/get` and so on) exist.
    pub core_tasks: bool,
    /// A client tries HTTP+SSE after any 4xx, not only after 400, 404 and 405.
    pub falls_back_on_any_4xx: bool,
}

const BASE: Facts = Facts {
    name: "2024-11-05",
    era: Era::Legacy,
    batches: false,
    streamable_http: false,
    version_header: false,
    origin_403: false,
    priming_event: false,
    audio: false,
    resource_link: false,
    structured_content: false,
    elicitation: false,
    elicitation_url: false,
    negotiated_only_must: false,
    completions_capability: false,
    core_tasks: false,
    falls_back_on_any_4xx: false,
};

const TABLE: [Facts; 5] = [
    BASE,
    Facts {
        name: "2025-03-26",
        falls_back_on_any_4xx: true,
        batches: true,
        streamable_http: true,
        audio: true,
        completions_capability: true,
        ..BASE
    },
    Facts {
        name: "2025-06-18",
        falls_back_on_any_4xx: true,
        streamable_http: true,
        version_header: true,
        audio: true,
        resource_link: true,
        structured_content: true,
        elicitation: true,
        negotiated_only_must: true,
        completions_capability: true,
        ..BASE
    },
    Facts {
        name: "2025-11-25",
        streamable_http: true,
        version_header: true,
        origin_403: true,
        priming_event: true,
        audio: true,
        resource_link: true,
        structured_content: true,
        elicitation: true,
        elicitation_url: true,
        negotiated_only_must: true,
        completions_capability: true,
        core_tasks: true,
        ..BASE
    },
    Facts {
        name: "2026-07-28",
        era: Era::Modern,
        streamable_http: true,
        version_header: true,
        origin_403: true,
        audio: true,
        resource_link: true,
        structured_content: true,
        elicitation: true,
        elicitation_url: true,
        negotiated_only_must: true,
        completions_capability: true,
        ..BASE
    },
];

impl Revision {
    /// All revisions, oldest first.
    pub const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    /// The revisions that open with `initialize`, oldest first.
    pub const LEGACY: [Self; 4] = [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25];

    /// The revisions that open with `initialize` and travel over Streamable HTTP, oldest first.
    pub const LEGACY_HTTP: [Self; 3] = [Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25];

    /// The row of the table.
    pub fn facts(self) -> &'static Facts {
        match self {
            Self::V2024_11_05 => &TABLE[0],
            Self::V2025_03_26 => &TABLE[1],
            Self::V2025_06_18 => &TABLE[2],
            Self::V2025_11_25 => &TABLE[3],
            Self::V2026_07_28 => &TABLE[4],
        }
    }

    /// The date that names the revision on the wire.
    pub fn name(self) -> &'static str {
        self.facts().name
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no revision of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no revision of the protocol; known: 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28")]
pub struct UnknownRevision(pub String);

impl FromStr for Revision {
    type Err = UnknownRevision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|revision| revision.name() == text).ok_or_else(|| UnknownRevision(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_to_the_same_revision() {
        for revision in Revision::ALL {
            assert_eq!(revision.name().parse(), Ok(revision));
        }
        assert!("2099-01-01".parse::<Revision>().is_err());
    }

    #[test]
    fn only_2025_03_26_takes_batches() {
        let with: Vec<_> = Revision::ALL.into_iter().filter(|r| r.facts().batches).collect();
        assert_eq!(with, [Revision::V2025_03_26]);
    }
}
