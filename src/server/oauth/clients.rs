//! Who the clients are: known from the start, registered by themselves, or described by a document at their id's URL.
//!
//! It must not know grants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::KnownClient;
use super::error::OAuthError;
use super::uris::redirect_matches;
use crate::model::Members as _;
use crate::server::store::Shared;

/// The most clients that are kept; the registration that was never used longest makes room.
const MOST: usize = 10_000;
/// How long a registration that nobody uses is kept where it is shared.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// How the keys of registrations begin there.
const PREFIX: &str = "client:";

/// A client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Client {
    /// Its `client_id`.
    pub(crate) id: String,
    /// Its secret, where it has one.
    pub(crate) secret: Option<String>,
    /// `token_endpoint_auth_method`.
    pub(crate) method: String,
    /// Where answers may go.
    pub(crate) redirect_uris: Vec<String>,
    /// Grant types it may use.
    pub(crate) grant_types: Vec<String>,
    /// Scopes it may ask for; empty for all.
    pub(crate) scopes: Vec<String>,
    /// All its metadata, as registered.
    pub(crate) metadata: Map<String, Value>,
    /// When it was last seen.
    pub(crate) seen: Duration,
}

impl Client {
    /// Whether it has no way to prove itself (RFC 6749 section 2.1).
    pub(crate) fn public(&self) -> bool {
        self.method == "none"
    }

    /// What a person may call it.
    pub(crate) fn name(&self) -> &str {
        self.metadata.member("client_name").and_then(Value::as_str).unwrap_or(&self.id)
    }

    /// Whether it registered this redirect URI.
    pub(crate) fn redirects_to(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|registered| redirect_matches(registered, uri))
    }

    /// Whether it may use this grant type.
    pub(crate) fn may(&self, grant_type: &str) -> bool {
        self.grant_types.iter().any(|known| known == grant_type)
    }
}

/// All clients that are kept: in this process, or, but for those known from the start, where all nodes see them.
#[derive(Debug)]
pub(crate) struct Clients {
    here: Mutex<HashMap<String, Arc<Client>>>,
    shared: Option<Shared>,
}

impl Clients {
    /// Those known from the start.
    pub(crate) fn new(known: &[KnownClient]) -> Self {
        let client = |known: &KnownClient| {
            let method = if known.secret.is_some() { "client_secret_basic" } else { "none" };
            let mut grant_types = vec!["authorization_code".to_owned(), "refresh_token".to_owned()];
            if known.secret.is_some() {
                grant_types.push("client_credentials".to_owned());
            }
            Client {
                id: known.id.clone(),
                secret: known.secret.clone(),
                method: method.to_owned(),
                redirect_uris: known.redirect_uris.clone(),
                grant_types,
                scopes: Vec::new(),
                metadata: Map::new(),
                seen: Duration::MAX,
            }
        };
        let here = known.iter().map(|known| (known.id.clone(), Arc::new(client(known)))).collect();
        Self { here: Mutex::new(here), shared: None }
    }

    /// The same, with all that register kept where other nodes see them.
    pub(crate) fn shared(self, shared: Shared) -> Self {
        Self { shared: Some(shared), ..self }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Client>>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client by its id.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<Arc<Client>>, OAuthError> {
        let here = self.lock().get(id).cloned();
        let (None, Some(shared)) = (&here, &self.shared) else { return Ok(here) };
        let known = shared.text_kept(&key(id), KEPT).await?;
        Ok(known.and_then(|known| serde_json::from_str(&known).ok()).map(Arc::new))
    }

    /// Adds or replaces a client.
    pub(crate) async fn put(&self, client: Client) -> Result<(), OAuthError> {
        let Some(shared) = &self.shared else {
            self.put_here(client);
            return Ok(());
        };
        let written = serde_json::to_string(&client)
            .map_err(|_| OAuthError::invalid_client_metadata("the metadata cannot be written down"))?;
        Ok(shared.put(&key(&client.id), &written, KEPT).await?)
    }

    fn put_here(&self, client: Client) {
        let mut clients = self.lock();
        if clients.len() >= MOST
            && let Some(oldest) = clients.values().min_by_key(|client| client.seen).map(|client| client.id.clone())
        {
            clients.remove(&oldest);
        }
        clients.insert(client.id.clone(), Arc::new(client));
    }

    /// Forgets every client that registered itself; says how many.
    pub(crate) async fn forget(&self) -> Result<usize, OAuthError> {
        let Some(shared) = &self.shared else { return Ok(self.forget_here()) };
        let keys = shared.keys(PREFIX).await?;
        for key in &keys {
            shared.forget(key).await?;
        }
        Ok(keys.len())
    }

    fn forget_here(&self) -> usize {
        let mut clients = self.lock();
        let before = clients.len();
        clients.retain(|_, client| client.seen == Duration::MAX);
        before - clients.len()
    }
}

fn key(id: &str) -> String {
    format!("{PREFIX}{{{id}}}")
}
