//! What was granted, and the tokens that stand for it: codes, refresh families, access tokens.
//!
//! Owns lifetimes, single use, rotation and reuse. It must not know HTTP, clients' metadata or consent.
//!
//! A refresh token names its grant and its generation and carries a keyed hash, and so does an access token: nothing is
//! stored for each token, so a million refreshes take no memory, and yet the reuse of any old one is seen.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::OAuthError;
use crate::model::Rng;
use crate::server::fault::{Faults, Rule};

/// The most grants that live at once; the one that was used longest ago makes room.
const MOST_GRANTS: usize = 100_000;
/// The most codes that are remembered.
const MOST_CODES: usize = 100_000;
/// The most access tokens of one grant that can be revoked one by one.
const MOST_REVOKED: usize = 256;

/// How long after its end a code is still known as one that was.
const REPLAY_SEEN: Duration = Duration::from_secs(600);

/// Identifier of a grant.
pub(crate) type GrantId = [u8; 16];

/// What somebody allowed a client to do.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
pub(crate) struct Family {
    /// The generation in force.
    pub(crate) generation: u32,
    /// When it came into force.
    pub(crate) since: Duration,
    /// When it ends if nobody uses it.
    pub(crate) expires: Duration,
}

/// An authorization code.
#[derive(Debug, Clone)]
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

#[derive(Debug, Default)]
struct Inner {
    grants: HashMap<GrantId, Grant>,
    codes: HashMap<String, Code>,
    operations: u32,
}

/// All grants and codes.
#[derive(Debug)]
pub(crate) struct Grants {
    inner: Mutex<Inner>,
    refresh_ttl: Duration,
    grace: Duration,
    /// Whether the one refresh that a fault lets fail is over.
    outage_over: AtomicBool,
}

impl Grants {
    pub(crate) fn new(refresh_ttl: Duration, grace: Duration) -> Self {
        Self { inner: Mutex::default(), refresh_ttl, grace, outage_over: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the first time that anybody asks; only a fault does.
    pub(crate) fn outage(&self) -> bool {
        !self.outage_over.swap(true, Ordering::Relaxed)
    }

    /// How many grants and codes are kept.
    pub(crate) fn count(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.grants.len(), inner.codes.len())
    }

    /// Keeps a code until its end, and a while longer, so that its replay is seen.
    pub(crate) fn keep_code(&self, text: String, code: Code, now: Duration) {
        let mut inner = self.lock();
        inner.tidy(now);
        if inner.codes.len() < MOST_CODES {
            inner.codes.insert(text, code);
        }
    }

    /// A code as it is, used or not.
    pub(crate) fn code(&self, text: &str) -> Option<Code> {
        self.lock().codes.get(text).cloned()
    }

    /// Whether a code can still be turned into a grant.
    pub(crate) fn unused(&self, text: &str, now: Duration) -> bool {
        self.lock().codes.get(text).is_some_and(|code| code.used.is_none() && code.expires > now)
    }

    /// Takes back the codes that one authorization request got and that nobody has used; its challenge tells it from
    /// the client's others.
    pub(crate) fn take_back(&self, client: &str, challenge: &str) {
        let same = |code: &Code| code.client == client && code.challenge.as_deref() == Some(challenge);
        self.lock().codes.retain(|_, code| code.used.is_some() || !same(code));
    }

    /// Turns a code into a grant, once. A second use revokes what the first one gave (RFC 6749 section 4.1.2).
    pub(crate) fn redeem(
        &self,
        text: &str,
        grant: Grant,
        now: Duration,
        rng: &Rng,
        faults: &Faults,
    ) -> Result<GrantId, OAuthError> {
        let mut inner = self.lock();
        inner.tidy(now);
        let unknown = || OAuthError::invalid_grant("the code is unknown, used or expired");
        let code = inner.codes.get(text).ok_or_else(unknown)?;
        if let Some(used) = code.used.filter(|_| faults.holds(Rule::CodeOnce)) {
            if faults.holds(Rule::CodeReplayRevokes)
                && let Some(grant) = inner.grants.get_mut(&used)
            {
                grant.revoked = true;
            }
            return Err(unknown());
        }
        if code.expires <= now && faults.holds(Rule::CodeExpires) {
            return Err(unknown());
        }
        let id = inner.add(grant, rng);
        if let Some(code) = inner.codes.get_mut(text) {
            code.used = Some(id);
        }
        Ok(id)
    }

    /// Adds a grant that came about without a code.
    pub(crate) fn add(&self, grant: Grant, now: Duration, rng: &Rng) -> GrantId {
        let mut inner = self.lock();
        inner.tidy(now);
        inner.add(grant, rng)
    }

    /// A first refresh token's family.
    pub(crate) fn family(&self, now: Duration) -> Family {
        Family { generation: 1, since: now, expires: now + self.refresh_ttl }
    }

    /// A living grant.
    pub(crate) fn get(&self, id: &GrantId) -> Option<Grant> {
        self.lock().grants.get(id).cloned()
    }

    /// Uses a refresh token: the next generation comes into force. The token before it is taken for the repetition of
    /// a lost answer within the grace, which repeats that answer; any other old one ends the whole grant (RFC 9700
    /// section 4.14.2). `check` may refuse, in which case nothing has changed.
    pub(crate) fn rotate(
        &self,
        id: &GrantId,
        generation: u32,
        now: Duration,
        rotates: bool,
        faults: &Faults,
        check: impl FnOnce(&mut Grant) -> Result<(), OAuthError>,
    ) -> Result<Rotated, OAuthError> {
        let mut inner = self.lock();
        inner.tidy(now);
        let dead = || OAuthError::invalid_grant("the refresh token is unknown, expired or revoked");
        let grant = inner.grants.get_mut(id).ok_or_else(dead)?;
        if grant.revoked && faults.holds(Rule::RevocationEnds) {
            return Err(dead());
        }
        let family = grant.refresh.as_ref().ok_or_else(dead)?;
        if family.expires <= now && faults.holds(Rule::RefreshExpires) {
            let failed = OAuthError { code: "server_error", status: 500, ..dead() };
            return Err(if faults.holds(Rule::ExpiredNamed) { dead() } else { failed });
        }
        let current = family.generation;
        let repeated = generation.checked_add(1) == Some(current) && now.saturating_sub(family.since) <= self.grace;
        let honest = generation == current || (repeated && faults.holds(Rule::LostAnswerRepeated));
        if !honest && faults.holds(Rule::ReuseRefused) {
            if !faults.holds(Rule::ReuseEndsAccess) {
                grant.refresh = None;
            } else if faults.holds(Rule::ReuseRevokesFamily) {
                grant.revoked = true;
            }
            return Err(dead());
        }
        if let Err(refusal) = check(grant) {
            if !faults.holds(Rule::RefusalCostsNothing) {
                grant.refresh = None;
            }
            return Err(refusal);
        }
        let refresh_ttl = self.refresh_ttl;
        if let Some(family) = grant.refresh.as_mut() {
            if rotates && generation == current {
                family.generation += 1;
                family.since = now;
            }
            family.expires = now + refresh_ttl;
        }
        let generation = grant.refresh.as_ref().map_or(current, |family| family.generation);
        Ok(Rotated { id: *id, grant: grant.clone(), generation })
    }

    /// Notes that an access token of the grant lives until then.
    pub(crate) fn lives_until(&self, id: &GrantId, end: Duration) {
        if let Some(grant) = self.lock().grants.get_mut(id) {
            let refresh = grant.refresh.as_ref().map_or(Duration::ZERO, |family| family.expires);
            grant.over = grant.over.max(end).max(refresh);
        }
    }

    /// Ends a grant with all its tokens.
    pub(crate) fn revoke(&self, id: &GrantId) {
        if let Some(grant) = self.lock().grants.get_mut(id) {
            grant.revoked = true;
        }
    }

    /// Ends the refresh tokens of a grant and spares its access tokens; only a fault does so.
    pub(crate) fn end_refresh(&self, id: &GrantId) {
        if let Some(grant) = self.lock().grants.get_mut(id) {
            grant.refresh = None;
        }
    }

    /// Ends one access token.
    pub(crate) fn revoke_access(&self, id: &GrantId, serial: u64, end: Duration, now: Duration) {
        if let Some(grant) = self.lock().grants.get_mut(id) {
            grant.revoked_access.retain(|(_, end)| *end > now);
            if grant.revoked_access.len() < MOST_REVOKED {
                grant.revoked_access.push((serial, end));
            } else {
                grant.revoked = true;
            }
        }
    }

    /// Ends every grant; says how many there were.
    pub(crate) fn revoke_all(&self) -> usize {
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
