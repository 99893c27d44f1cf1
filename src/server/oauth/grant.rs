//! What a grant is, what a code is, and what becomes of a grant when one of its refresh tokens is used.
//!
//! Owns rotation and reuse. It must not know where grants are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::OAuthError;
use crate::server::fault::{Faults, Rule};

/// The most access tokens of one grant that can be revoked one by one.
const MOST_REVOKED: usize = 256;
/// How long after its end a code is still known as one that was.
pub(super) const REPLAY_SEEN: Duration = Duration::from_secs(600);

/// Identifier of a grant.
pub(crate) type GrantId = [u8; 16];

/// What somebody allowed a client to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grant {
    /// The client.
    pub(crate) client: String,
    /// The person, or the client itself.
    pub(crate) subject: String,
    /// Everything that was consented to.
    pub(crate) scopes: Vec<String>,
    /// The resources it is for; empty where none was named.
    pub(crate) resources: Vec<String>,
    /// Whether it was revoked.
    pub(crate) revoked: bool,
    /// Generation of the refresh token in force; absent where there is none.
    pub(crate) refresh: Option<Family>,
    /// Serial numbers of access tokens that were revoked one by one, each with the end of its life.
    pub(crate) revoked_access: Vec<(u64, Duration)>,
    /// When nothing of it is alive any more.
    pub(crate) over: Duration,
}

/// The chain of refresh tokens of one grant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    /// The generation in force.
    pub(crate) generation: u32,
    /// When it came into force.
    pub(crate) since: Duration,
    /// When it ends if nobody uses it.
    pub(crate) expires: Duration,
}

/// An authorization code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    /// The client it was issued to.
    pub(crate) client: String,
    /// The person who consented.
    pub(crate) subject: String,
    /// What was consented to.
    pub(crate) scopes: Vec<String>,
    /// The resources asked for.
    pub(crate) resources: Vec<String>,
    /// The redirect URI of the request.
    pub(crate) redirect_uri: String,
    /// The PKCE challenge (S256).
    pub(crate) challenge: Option<String>,
    /// End of its life.
    pub(crate) expires: Duration,
    /// The grant that it became, once used.
    pub(crate) used: Option<GrantId>,
}

/// How a refresh went.
#[derive(Debug, Clone)]
pub(crate) struct Rotated {
    /// The grant.
    pub(crate) id: GrantId,
    /// The grant, as it is now.
    pub(crate) grant: Grant,
    /// The generation of the refresh token to hand out.
    pub(crate) generation: u32,
}

/// The terms of a refresh.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// How long a refresh token may lie unused.
    pub(crate) refresh_ttl: Duration,
    /// How long after a rotation the token before it is taken for the repetition of a lost answer.
    pub(crate) grace: Duration,
    /// Whether a new generation comes into force.
    pub(crate) rotates: bool,
    pub(crate) faults: &'a Faults,
}

/// What a request may still object to, and change for a fault.
pub(crate) type Check<'c> = dyn FnMut(&mut Grant) -> Result<(), OAuthError> + Send + 'c;

/// A refresh token that is worth nothing.
pub(super) fn dead() -> OAuthError {
    OAuthError::invalid_grant("the refresh token is unknown, expired or revoked")
}

/// A code that is worth nothing.
pub(super) fn unknown_code() -> OAuthError {
    OAuthError::invalid_grant("the code is unknown, used or expired")
}

impl Grant {
    /// Uses a refresh token: the next generation comes into force. The token before it is taken for the repetition of
    /// a lost answer within the grace, which repeats that answer; any other old one ends the whole grant (RFC 9700
    /// section 4.14.2). `check` may refuse, in which case nothing has changed. Gives the generation to hand out.
    pub(super) fn turn(
        &mut self,
        generation: u32,
        now: Duration,
        terms: Terms<'_>,
        check: &mut Check<'_>,
    ) -> Result<u32, OAuthError> {
        if self.revoked && terms.faults.holds(Rule::RevocationEnds) {
            return Err(dead());
        }
        let family = self.refresh.as_ref().ok_or_else(dead)?;
        if family.expires <= now && terms.faults.holds(Rule::RefreshExpires) {
            let failed = OAuthError { code: "server_error", status: 500, ..dead() };
            return Err(if terms.faults.holds(Rule::ExpiredNamed) { dead() } else { failed });
        }
        let current = family.generation;
        let repeated = generation.checked_add(1) == Some(current)
            && (now.saturating_sub(family.since) <= terms.grace || !terms.faults.holds(Rule::GraceEnds));
        let honest = generation == current || (repeated && terms.faults.holds(Rule::LostAnswerRepeated));
        if !honest && terms.faults.holds(Rule::ReuseRefused) {
            if !terms.faults.holds(Rule::ReuseEndsAccess) {
                self.refresh = None;
            } else if terms.faults.holds(Rule::ReuseRevokesFamily) {
                self.revoked = true;
            }
            return Err(dead());
        }
        if let Err(refusal) = check(self) {
            if !terms.faults.holds(Rule::RefusalCostsNothing) {
                self.refresh = None;
            }
            return Err(refusal);
        }
        if let Some(family) = self.refresh.as_mut() {
            if terms.rotates && generation == current {
                family.generation += 1;
                family.since = now;
            }
            if terms.faults.holds(Rule::RefreshRenewsLife) {
                family.expires = now + terms.refresh_ttl;
            }
        }
        Ok(self.refresh.as_ref().map_or(current, |family| family.generation))
    }

    /// Notes that one of its access tokens lives until then.
    pub(super) fn lives_until(&mut self, end: Duration) {
        let refresh = self.refresh.as_ref().map_or(Duration::ZERO, |family| family.expires);
        self.over = self.over.max(end).max(refresh);
    }

    /// Notes that an access token that ends then is revoked; where there are too many, all are.
    pub(super) fn revoke_access(&mut self, serial: u64, end: Duration, now: Duration) {
        self.revoked_access.retain(|(_, end)| *end > now);
        if self.revoked_access.len() < MOST_REVOKED {
            self.revoked_access.push((serial, end));
        } else {
            self.revoked = true;
        }
    }
}
