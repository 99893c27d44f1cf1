//! The secrets of an issuer that runs at several nodes: each of them makes and reads the tokens of all.
//!
//! Whoever can read the store can make tokens; it has to be guarded as the servers are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use super::consent::Pending;
use super::error::OAuthError;
use super::grants::Grants;
use super::issuer::Issuer;
use super::jws::{self, Keys};
use super::tokens::Tokens;
use crate::model::Members as _;
use crate::server::store::{Shared, StoreError};

/// How long the secrets of an issuer are kept that nobody starts any more.
const KEPT: Duration = Duration::from_secs(366 * 24 * 3600);
/// How often unknown keys are looked up, so that forged tokens cost little.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the secrets are.
#[derive(Debug)]
pub(crate) struct SharedKeys {
    shared: Shared,
    key: String,
    /// When they were last looked up, in milliseconds since the Unix epoch.
    looked: AtomicU64,
}

impl Issuer {
    /// The same issuer as one of several nodes that share a store.
    pub(crate) async fn shared(mut self, shared: Shared) -> Result<Self, StoreError> {
        let name = URL_SAFE_NO_PAD.encode(digest(&SHA256, self.identifier().as_bytes()));
        let (secret_key, key) = (format!("issuer:{{{name}}}:secret"), format!("issuer:{{{name}}}:keys"));
        let fresh = URL_SAFE_NO_PAD.encode(self.rng.bytes::<32>());
        shared.put_first(&secret_key, &fresh, KEPT).await?;
        shared.put_first(&key, &self.tokens.keys().written(), KEPT).await?;
        // What another node put there first is what counts.
        let secret = shared.text_kept(&secret_key, KEPT).await?.unwrap_or(fresh);
        let written = shared.text_kept(&key, KEPT).await?.unwrap_or_default();
        let keys = Keys::new().ok_or(StoreError::Away)?;
        keys.take_over(&written);
        self.tokens = Tokens::with(&URL_SAFE_NO_PAD.decode(secret).map_err(|_| StoreError::Gone)?, keys);
        self.grants = Grants::new(self.config.refresh_ttl, self.config.grace, Some(shared.clone()));
        self.clients = self.clients.shared(shared.clone());
        self.documents = self.documents.shared(shared.clone());
        self.pending = Pending::shared(shared.clone());
        // Serial numbers of several nodes have to differ.
        self.serials = AtomicU64::new(self.rng.next_u64() >> 1);
        self.shared_keys = Some(SharedKeys { shared, key, looked: AtomicU64::new(0) });
        Ok(self)
    }

    /// Signs with a fresh key from now on, at every node; says how many keys were made.
    pub(crate) async fn rotate_keys(&self) -> Result<usize, OAuthError> {
        self.look_up_keys().await?;
        let made = self.tokens.keys().rotate();
        if let Some(SharedKeys { shared, key, .. }) = &self.shared_keys {
            shared.put(key, &self.tokens.keys().written(), KEPT).await?;
        }
        Ok(usize::from(made))
    }

    /// Takes over the keys that other nodes made.
    pub(crate) async fn look_up_keys(&self) -> Result<(), OAuthError> {
        if let Some(SharedKeys { shared, key, .. }) = &self.shared_keys
            && let Some(written) = shared.text(key).await?
        {
            self.tokens.keys().take_over(&written);
        }
        Ok(())
    }

    /// Looks the key of a signed token up, where another node may have made it.
    pub(super) async fn knows_key_of(&self, token: &str) -> Result<(), OAuthError> {
        let Some(SharedKeys { looked, .. }) = &self.shared_keys else { return Ok(()) };
        let Some(parsed) = jws::parse(token) else { return Ok(()) };
        let now = u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX);
        let every = u64::try_from(LOOK_EVERY.as_millis()).unwrap_or(u64::MAX);
        if parsed.header.at("kid").as_str().is_none_or(|kid| self.tokens.keys().has(kid)) {
            return Ok(());
        }
        let due = |last: u64| (now.abs_diff(last) >= every).then_some(now);
        if looked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok() {
            self.look_up_keys().await?;
        }
        Ok(())
    }
}
