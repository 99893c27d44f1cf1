//! Grants and codes in the memory of the process.
//!
//! A refresh token names its grant and its generation and carries a keyed hash, and so does an access token: nothing is
//! stored for each token, so a million refreshes take no memory, and yet the reuse of any old one is seen.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::OAuthError;
use super::grant::{Check, Code, Grant, GrantId, REPLAY_SEEN, Rotated, Terms, dead, unknown_code};
use crate::model::Rng;
use crate::server::fault::{Faults, Rule};

/// The most grants that live at once; the one that was used longest ago makes room.
const MOST_GRANTS: usize = 100_000;
/// The most codes that are remembered.
const MOST_CODES: usize = 100_000;

#[derive(Debug, Default)]
struct Inner {
    grants: HashMap<GrantId, Grant>,
    codes: HashMap<String, Code>,
    operations: u32,
}

/// All grants and codes of this process.
#[derive(Debug, Default)]
pub(super) struct LocalGrants(Mutex<Inner>);

impl LocalGrants {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many grants and codes are kept.
    pub(super) fn count(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.grants.len(), inner.codes.len())
    }

    /// Keeps a code until its end, and a while longer, so that its replay is seen.
    pub(super) fn keep_code(&self, text: String, code: Code, now: Duration) {
        let mut inner = self.lock();
        inner.tidy(now);
        if inner.codes.len() < MOST_CODES {
            inner.codes.insert(text, code);
        }
    }

    /// A code as it is, used or not.
    pub(super) fn code(&self, text: &str) -> Option<Code> {
        self.lock().codes.get(text).cloned()
    }

    /// Whether a code can still be turned into a grant.
    pub(super) fn unused(&self, text: &str, now: Duration) -> bool {
        self.lock().codes.get(text).is_some_and(|code| code.used.is_none() && code.expires > now)
    }

    /// Takes back the codes that one authorization request got and that nobody has used; its challenge tells it from
    /// the client's others.
    pub(super) fn take_back(&self, client: &str, challenge: &str) {
        let same = |code: &Code| code.client == client && code.challenge.as_deref() == Some(challenge);
        self.lock().codes.retain(|_, code| code.used.is_some() || !same(code));
    }

    /// Turns a code into a grant, once. A second use revokes what the first one gave (RFC 6749 section 4.1.2).
    pub(super) fn redeem(
        &self,
        text: &str,
        grant: Grant,
        now: Duration,
        rng: &Rng,
        faults: &Faults,
    ) -> Result<GrantId, OAuthError> {
        let mut inner = self.lock();
        inner.tidy(now);
        let code = inner.codes.get(text).ok_or_else(unknown_code)?;
        if let Some(used) = code.used.filter(|_| faults.holds(Rule::CodeOnce) && faults.holds(Rule::CodeTakenAtOnce)) {
            if faults.holds(Rule::CodeReplayRevokes)
                && let Some(grant) = inner.grants.get_mut(&used)
            {
                grant.revoked = true;
            }
            return Err(unknown_code());
        }
        if code.expires <= now && faults.holds(Rule::CodeExpires) {
            return Err(unknown_code());
        }
        let id = inner.add(grant, rng);
        if let Some(code) = inner.codes.get_mut(text) {
            code.used = Some(id);
        }
        Ok(id)
    }

    /// Adds a grant that came about without a code.
    pub(super) fn add(&self, grant: Grant, now: Duration, rng: &Rng) -> GrantId {
        let mut inner = self.lock();
        inner.tidy(now);
        inner.add(grant, rng)
    }

    /// A living grant.
    pub(super) fn get(&self, id: &GrantId) -> Option<Grant> {
        self.lock().grants.get(id).cloned()
    }

    /// Uses a refresh token.
    pub(super) fn rotate(
        &self,
        id: &GrantId,
        generation: u32,
        now: Duration,
        terms: Terms<'_>,
        check: &mut Check<'_>,
    ) -> Result<Rotated, OAuthError> {
        let mut inner = self.lock();
        inner.tidy(now);
        let grant = inner.grants.get_mut(id).ok_or_else(dead)?;
        let generation = grant.turn(generation, now, terms, check)?;
        Ok(Rotated { id: *id, grant: grant.clone(), generation })
    }

    /// Notes that an access token of the grant lives until then.
    pub(super) fn lives_until(&self, id: &GrantId, end: Duration) {
        if let Some(grant) = self.lock().grants.get_mut(id) {
            grant.lives_until(end);
        }
    }

    /// Ends a grant with all its tokens.
    pub(super) fn revoke(&self, id: &GrantId) {
        if let Some(grant) = self.lock().grants.get_mut(id) {
            grant.revoked = true;
        }
    }

    /// Ends the refresh tokens of a grant and spares its access tokens; only a fault does so.
    pub(super) fn end_refresh(&self, id: &GrantId) {
        if let Some(grant) = self.lock().grants.get_mut(id) {
            grant.refresh = None;
        }
    }

    /// Ends one access token.
    pub(super) fn revoke_access(&self, id: &GrantId, serial: u64, end: Duration, now: Duration) {
        if let Some(grant) = self.lock().grants.get_mut(id) {
            grant.revoke_access(serial, end, now);
        }
    }

    /// Ends every grant; says how many there were.
    pub(super) fn revoke_all(&self) -> usize {
        let mut inner = self.lock();
        inner.grants.values_mut().for_each(|grant| grant.revoked = true);
        inner.grants.len()
    }
}

impl Inner {
    fn add(&mut self, grant: Grant, rng: &Rng) -> GrantId {
        if self.grants.len() >= MOST_GRANTS
            && let Some(oldest) = self.grants.iter().min_by_key(|(_, grant)| grant.over).map(|(id, _)| *id)
        {
            self.grants.remove(&oldest);
        }
        let id = rng.bytes();
        self.grants.insert(id, grant);
        id
    }

    /// Drops what is over, every so often.
    fn tidy(&mut self, now: Duration) {
        self.operations += 1;
        if self.operations < 1024 {
            return;
        }
        self.operations = 0;
        self.grants.retain(|_, grant| grant.over > now);
        self.codes.retain(|_, code| code.expires + REPLAY_SEEN > now);
    }
}
