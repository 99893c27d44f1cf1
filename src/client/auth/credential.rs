//! What a client holds: where it is in the life of its token, and what it knows of the servers. No requests here.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use crate::client::sim::Sim;
use crate::model::Members as _;
use crate::transcript::EventKind;

/// Where a credential is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::client) enum Stage {
    /// Nothing is known.
    #[default]
    Anonymous,
    /// There is a token that was made beforehand.
    Given,
    /// The servers are known.
    Discovered,
    /// The client has an id.
    Registered,
    /// There is a token.
    Active,
    /// The token is refused or over, and may be refreshed.
    Expired,
    /// Only a new login helps.
    Dead,
    /// The client has signed out.
    Revoked,
}

impl Stage {
    /// The word in the transcript.
    fn word(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Given => "given",
            Self::Discovered => "discovered",
            Self::Registered => "registered",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Dead => "dead",
            Self::Revoked => "revoked",
        }
    }

    /// Whether a credential may go from here to there.
    pub(in crate::client) fn leads_to(self, next: Self) -> bool {
        use Stage::{Active, Anonymous, Dead, Discovered, Expired, Given, Registered, Revoked};
        match next {
            // A login may begin again from anywhere, and sign-out ends whatever there was.
            Anonymous | Discovered | Revoked => true,
            Given => self == Anonymous,
            Registered => !matches!(self, Anonymous | Given),
            Dead => self != Anonymous,
            Active => matches!(self, Registered | Active | Expired),
            Expired => matches!(self, Active | Expired),
        }
    }
}

/// A credential and what it rests on.
#[derive(Debug, Clone, Default)]
pub(in crate::client) struct Credential {
    pub(in crate::client) stage: Stage,
    /// Metadata of the resource.
    pub(in crate::client) resource: Value,
    /// The issuer that was used.
    pub(in crate::client) issuer: String,
    /// Metadata of the authorization server.
    pub(in crate::client) server: Value,
    pub(in crate::client) client_id: Option<String>,
    pub(in crate::client) client_secret: Option<String>,
    /// How the client proves itself at the token endpoint.
    pub(in crate::client) method: String,
    pub(in crate::client) access: Option<String>,
    pub(in crate::client) refresh: Option<String>,
    /// A fresh access token that is used from the next request on, not for the repetition of the refused one.
    pub(in crate::client) later_access: Option<String>,
    /// The tokens before these.
    pub(in crate::client) previous_access: Option<String>,
    pub(in crate::client) previous_refresh: Option<String>,
    /// A code that was not exchanged yet, and its verifier.
    pub(in crate::client) code: Option<String>,
    pub(in crate::client) verifier: Option<String>,
    /// The URL of the document that was published last.
    pub(in crate::client) document: Option<String>,
    /// When the access token ends, on the client's clock, as far as it was told.
    pub(in crate::client) ends: Option<Duration>,
    /// Scopes that were asked for, to widen them.
    pub(in crate::client) scope: Option<String>,
    /// Scopes that the authorization request under way will ask for.
    pub(in crate::client) scope_ahead: Option<String>,
    /// Scopes that a refusal asked for and that a new authorization was made for.
    pub(in crate::client) widened: HashSet<String>,
    /// The issuer that the client id belongs to; it is shown to no other.
    pub(in crate::client) registered_at: String,
}

impl Credential {
    /// An endpoint of the authorization server; without metadata the places of 2025-03-26.
    pub(in crate::client) fn endpoint(&self, name: &str, fallback: &str) -> Option<String> {
        match self.server.get(name).and_then(Value::as_str) {
            Some(url) => Some(url.to_owned()),
            None if self.server.is_null() && !fallback.is_empty() => Some(format!("{}/{fallback}", self.issuer)),
            None => None,
        }
    }

    /// The resource to ask tokens for.
    pub(in crate::client) fn target(&self) -> Option<&str> {
        self.resource.member("resource").and_then(Value::as_str)
    }
}

impl Sim {
    /// Moves the credential on and says why.
    pub(in crate::client) fn move_to(&self, stage: Stage, why: &str) {
        let from = std::mem::replace(&mut self.state().credential.stage, stage);
        debug_assert!(from.leads_to(stage), "{from:?} does not lead to {stage:?}");
        self.tap.record(
            &self.name,
            EventKind::Credential { from: from.word().to_owned(), to: stage.word().to_owned(), why: why.to_owned() },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_there_before_its_client() {
        assert!(!Stage::Anonymous.leads_to(Stage::Active) && !Stage::Discovered.leads_to(Stage::Active));
        assert!(!Stage::Dead.leads_to(Stage::Active) && !Stage::Anonymous.leads_to(Stage::Dead));
        assert!(Stage::Expired.leads_to(Stage::Active) && Stage::Active.leads_to(Stage::Revoked));
    }
}
