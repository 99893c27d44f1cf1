//! Sends one simulated client over the road, by a built-in scenario.

use std::sync::Arc;

use super::diagnose::diagnose;
use super::diagnosis::Diagnosis;
use crate::client::{Drive, Target, drive};
use crate::model::{Clock, Rng};
use crate::profile::{Evidence, Profile, ProfileError, shipped};
use crate::scenario::parse;

/// Step of the first call in the session.
pub(super) const FIRST_CALL: u32 = 2;
/// Step of the call with a token that nobody issued.
pub(super) const FORGED: u32 = 3;
/// Step of the call after the refresh.
pub(super) const AFTER_REFRESH: u32 = 5;

/// Nothing in it does harm: it pings, and takes back what it was given.
const ROAD: &str = "version: 1
id: connect.road
title: The road to the server
why: Whoever cannot connect wants to know at which station the road breaks.
steps:
  - connect
  - negotiate
  - invoke: { method: ping }
  - invoke: { method: ping, recover: false, headers: { authorization: 'Bearer made-up-by-mcp-rehearsal' } }
  - refresh
  - invoke: { method: ping, recover: false }
  - shutdown: { delete: true }
  - revoke
";

/// The target could not be examined.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The built-in scenario is broken.
    #[error("the built-in walk does not parse: {0}")]
    Scenario(String),
    /// A shipped profile is broken.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

/// Whether a forecast names this client: one that knows a login, and of which many would ask or which was seen to log in.
fn is_told_of(profile: &Profile) -> bool {
    let oauth = &profile.oauth;
    let own = profile.about.variant_of.is_none() && oauth.evidence != Evidence::Assumed;
    !oauth.value.registration.is_empty() && (own || profile.about.popular || profile.is_neutral())
}

/// Walks to the target as the given client, and says what was seen on the way.
pub async fn examine(
    target: Target,
    profile: Profile,
    clock: Arc<dyn Clock>,
    rng: Rng,
) -> Result<Diagnosis, WalkError> {
    let scenario = parse("road", ROAD).map_err(|diagnostics| WalkError::Scenario(diagnostics.render(false)))?;
    let mut clients = shipped()?;
    clients.retain(is_told_of);
    let url = target.url.clone();
    let profile = Arc::new(profile);
    let events = drive(Drive {
        scenario: Arc::new(scenario),
        profile: Arc::clone(&profile),
        // Clients that log in before they call do so only where they expect to be asked.
        target: Arc::new(Target { asks_for_tokens: true, ..target }),
        clock,
        rng,
    })
    .await;
    Ok(diagnose(&url, &profile, &clients, &events))
}
