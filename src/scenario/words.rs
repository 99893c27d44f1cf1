//! Small enumerations of the format, each read from one word.
//!
//! Must not know which steps use them.

#[cfg(test)]
use std::borrow::Cow;
use std::fmt;

use crate::model::Era;
#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// When `disconnect` drops the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DisconnectWhen {
    /// At once.
    #[default]
    Now,
    /// When the first event of a call has arrived.
    AfterFirstEvent,
}

/// Which of the nodes of a target a step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NodeChoice {
    /// The first of the list, where every client begins.
    First,
    /// The next of the list after the one that the client is at; after the last comes the first.
    Other,
}

/// What is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RestartWhat {
    /// The server, or one of its nodes.
    #[default]
    Server,
    /// Where the server keeps its sessions.
    Store,
}

impl RestartWhat {
    /// What a target needs for it.
    pub fn need(self) -> &'static str {
        match self {
            Self::Server => "restart",
            Self::Store => "restart-store",
        }
    }
}

/// How a server ends before it is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RestartHow {
    /// On the spot, as in a crash.
    #[default]
    Kill,
    /// In good order, as in a deployment.
    Stop,
}

impl RestartHow {
    /// The word of the format.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
        }
    }
}

/// The eras of the protocol that a scenario is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Eras {
    /// The revisions that open with `initialize`.
    #[default]
    Legacy,
    /// 2026-07-28, where each request carries version and capabilities.
    Modern,
    /// Both, each in its own way.
    Both,
}

impl Eras {
    /// Whether the scenario is played in this era.
    pub fn include(self, era: Era) -> bool {
        match self {
            Self::Both => true,
            Self::Legacy => era == Era::Legacy,
            Self::Modern => era == Era::Modern,
        }
    }
}

/// The era that one client of a scenario speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SpokenEra {
    /// That of the revisions that open with `initialize`.
    Legacy,
}

/// What a step does that can be seen, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A JSON-RPC result.
    Result,
    /// A JSON-RPC error.
    Error,
    /// An HTTP status of 400 or above without a JSON-RPC error.
    Refused,
    /// No answer in time.
    Silence,
    /// The connection was closed without an answer.
    Closed,
}

/// What became of the session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SessionChange {
    /// The server assigned one.
    Assigned,
    /// It is the same as before the step.
    Unchanged,
    /// It is another than before the step.
    Changed,
    /// The server assigned none.
    None,
}

/// Declares an enumeration of fixed words plus any other text.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $about:literal { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)* }
     $(#[$other_meta:meta])* $other:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
            $(#[$other_meta])* $other(String),
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Words;
                impl Visitor<'_> for Words {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($about)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        Ok(match text {
                            $($word => $name::$variant,)*
                            other => $name::$other(other.to_owned()),
                        })
                    }
                }
                deserializer.deserialize_str(Words)
            }
        }

        #[cfg(test)]
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $about, "anyOf": [{ "enum": [$($word),*] }, { "type": "string" }] })
            }
        }
    };
}

words! {
    /// Where a stream resumes from.
    LastEventId, "`latest`, `foreign` or an event id" {
        /// The last event id this client saw.
        Latest = "latest",
        /// An event id that belongs to another stream.
        Foreign = "foreign",
    }
    /// This id.
    Literal
}

words! {
    /// Which session id a raw message carries.
    #[derive(Default)]
    SessionSource, "`current`, `none`, `unknown`, `ended` or a session id" {
        /// The client's own.
        #[default]
        Current = "current",
        /// No header.
        None = "none",
        /// One the server never gave out.
        Unknown = "unknown",
        /// One that was deleted before.
        Ended = "ended",
    }
    /// This id.
    Literal
}

words! {
    /// Which protocol version header a raw message carries.
    #[derive(Default)]
    HeaderSource, "`current`, `none` or a version" {
        /// The negotiated one.
        #[default]
        Current = "current",
        /// No header.
        None = "none",
    }
    /// This version.
    Literal
}

words! {
    /// What a client sends back as the `requestState` that it was given.
    #[derive(Default)]
    StateSource, "`echo`, `altered`, `none` or another state" {
        /// The same, as it has to (2026-07-28 basic/patterns/mrtr).
        #[default]
        Echo = "echo",
        /// The same with something added to it.
        Altered = "altered",
        /// None.
        None = "none",
    }
    /// This state.
    Literal
}

/// A request of OAuth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OAuthRequest {
    /// The metadata of the resource.
    ResourceMetadata,
    /// The same at the root, without the path of the endpoint.
    RootMetadata,
    /// The same behind the path of the endpoint, where some clients look.
    AppendedMetadata,
    /// The metadata of the authorization server.
    ServerMetadata,
    /// The same as OpenID discovery document.
    OpenidMetadata,
    /// The metadata of the authorization server at the origin of the endpoint, where 2025-03-26 has it.
    OriginMetadata,
    /// A registration (RFC 7591).
    Register,
    /// An authorization request.
    Authorize,
    /// A code for tokens.
    Exchange,
    /// A refresh token for tokens.
    Refresh,
    /// The client's own credentials for a token.
    ClientCredentials,
    /// A revocation (RFC 7009).
    Revoke,
    /// An introspection (RFC 7662).
    Introspect,
}
