//! What was granted, and the codes that lead to it: kept in this process, or where all nodes see them.
//!
//! Owns lifetimes. It must not know HTTP, clients' metadata or consent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::error::OAuthError;
use super::grant::{Check, Code, Family, Grant, GrantId, Rotated, Terms};
use super::grants_local::LocalGrants;
use super::grants_shared::SharedGrants;
use crate::model::Rng;
use crate::server::fault::Faults;
use crate::server::store::Shared;

#[derive(Debug)]
enum Keeper {
    Local(LocalGrants),
    Shared(SharedGrants),
}

/// All grants and codes.
#[derive(Debug)]
pub(crate) struct Grants {
    keeper: Keeper,
    refresh_ttl: Duration,
    grace: Duration,
    /// Whether the one refresh that a fault lets fail is over.
    outage_over: AtomicBool,
}

impl Grants {
    pub(crate) fn new(refresh_ttl: Duration, grace: Duration, shared: Option<Shared>) -> Self {
        let keeper =
            shared.map_or_else(|| Keeper::Local(LocalGrants::default()), |at| Keeper::Shared(SharedGrants::at(at)));
        Self { keeper, refresh_ttl, grace, outage_over: AtomicBool::new(false) }
    }

    /// Whether this is the first time that anybody asks; only a fault does.
    pub(crate) fn outage(&self) -> bool {
        !self.outage_over.swap(true, Ordering::Relaxed)
    }

    /// A first refresh token's family.
    pub(crate) fn family(&self, now: Duration) -> Family {
        Family { generation: 1, since: now, expires: now + self.refresh_ttl }
    }

    /// How many grants and codes are kept.
    pub(crate) async fn count(&self) -> Result<(usize, usize), OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => Ok(local.count()),
            Keeper::Shared(shared) => shared.count().await,
        }
    }

    /// Keeps a code until its end, and a while longer, so that its replay is seen.
    pub(crate) async fn keep_code(&self, text: String, code: Code, now: Duration) -> Result<(), OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => {
                local.keep_code(text, code, now);
                Ok(())
            }
            Keeper::Shared(shared) => shared.keep_code(&text, &code, now).await,
        }
    }

    /// A code as it is, used or not.
    pub(crate) async fn code(&self, text: &str) -> Result<Option<Code>, OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => Ok(local.code(text)),
            Keeper::Shared(shared) => shared.code(text).await,
        }
    }

    /// Whether a code can still be turned into a grant.
    pub(crate) async fn unused(&self, text: &str, now: Duration) -> Result<bool, OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => Ok(local.unused(text, now)),
            Keeper::Shared(shared) => shared.unused(text, now).await,
        }
    }

    /// Takes back the codes that one authorization request got and that nobody has used; its challenge tells it from
    /// the client's others.
    pub(crate) async fn take_back(&self, client: &str, challenge: &str) -> Result<(), OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => {
                local.take_back(client, challenge);
                Ok(())
            }
            Keeper::Shared(shared) => shared.take_back(client, challenge).await,
        }
    }

    /// Turns a code into a grant, once. A second use revokes what the first one gave (RFC 6749 section 4.1.2).
    pub(crate) async fn redeem(
        &self,
        text: &str,
        grant: Grant,
        now: Duration,
        rng: &Rng,
        faults: &Faults,
    ) -> Result<GrantId, OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => local.redeem(text, grant, now, rng, faults),
            Keeper::Shared(shared) => shared.redeem(text, &grant, now, rng.bytes()).await,
        }
    }

    /// Adds a grant that came about without a code.
    pub(crate) async fn add(&self, grant: Grant, now: Duration, rng: &Rng) -> Result<GrantId, OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => Ok(local.add(grant, now, rng)),
            Keeper::Shared(shared) => shared.add(&grant, now, rng.bytes()).await,
        }
    }

    /// A grant, living or revoked.
    pub(crate) async fn get(&self, id: &GrantId) -> Result<Option<Grant>, OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => Ok(local.get(id)),
            Keeper::Shared(shared) => shared.get(id).await,
        }
    }

    /// Uses a refresh token, as [`Grant::turn`] says.
    pub(crate) async fn rotate(
        &self,
        id: &GrantId,
        generation: u32,
        now: Duration,
        rotates: bool,
        faults: &Faults,
        check: &mut Check<'_>,
    ) -> Result<Rotated, OAuthError> {
        let terms = Terms { refresh_ttl: self.refresh_ttl, grace: self.grace, rotates, faults };
        match &self.keeper {
            Keeper::Local(local) => local.rotate(id, generation, now, terms, check),
            Keeper::Shared(shared) => shared.rotate(id, generation, now, terms, check).await,
        }
    }

    /// Notes that an access token of the grant lives until then.
    pub(crate) async fn lives_until(&self, id: &GrantId, end: Duration, now: Duration) -> Result<(), OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => {
                local.lives_until(id, end);
                Ok(())
            }
            Keeper::Shared(shared) => shared.change(id, now, |grant| grant.lives_until(end)).await,
        }
    }

    /// Ends a grant with all its tokens.
    pub(crate) async fn revoke(&self, id: &GrantId, now: Duration) -> Result<(), OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => {
                local.revoke(id);
                Ok(())
            }
            Keeper::Shared(shared) => shared.change(id, now, |grant| grant.revoked = true).await,
        }
    }

    /// Ends the refresh tokens of a grant and spares its access tokens; only a fault does so.
    pub(crate) async fn end_refresh(&self, id: &GrantId, now: Duration) -> Result<(), OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => {
                local.end_refresh(id);
                Ok(())
            }
            Keeper::Shared(shared) => shared.change(id, now, |grant| grant.refresh = None).await,
        }
    }

    /// Ends one access token.
    pub(crate) async fn revoke_access(
        &self,
        id: &GrantId,
        serial: u64,
        end: Duration,
        now: Duration,
    ) -> Result<(), OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => {
                local.revoke_access(id, serial, end, now);
                Ok(())
            }
            Keeper::Shared(shared) => shared.change(id, now, |grant| grant.revoke_access(serial, end, now)).await,
        }
    }

    /// Ends every grant; says how many there were.
    pub(crate) async fn revoke_all(&self, now: Duration) -> Result<usize, OAuthError> {
        match &self.keeper {
            Keeper::Local(local) => Ok(local.revoke_all()),
            Keeper::Shared(shared) => shared.revoke_all(now).await,
        }
    }
}
