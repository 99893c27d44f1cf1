//! Who the clients are: known from the start, registered by themselves, or described by a document at their id's URL.
//!
//! It must not know grants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use super::config::KnownClient;
use super::uris::redirect_matches;

/// The most clients that are kept; the registration that was never used longest makes room.
const MOST: usize = 10_000;

/// A client.
#[derive(Debug, Clone, PartialEq)]
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
        self.metadata.get("client_name").and_then(Value::as_str).unwrap_or(&self.id)
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

/// All clients that are kept.
#[derive(Debug)]
pub(crate) struct Clients(Mutex<HashMap<String, Arc<Client>>>);

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
        Self(Mutex::new(known.iter().map(|known| (known.id.clone(), Arc::new(client(known)))).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Client>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client by its id.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Client>> {
        self.lock().get(id).cloned()
    }

    /// Adds or replaces a client.
    pub(crate) fn put(&self, client: Client) -> Arc<Client> {
        let mut clients = self.lock();
        if clients.len() >= MOST
            && let Some(oldest) = clients.values().min_by_key(|client| client.seen).map(|client| client.id.clone())
        {
            clients.remove(&oldest);
        }
        let client = Arc::new(client);
        clients.insert(client.id.clone(), Arc::clone(&client));
        client
    }

    /// Forgets every client that registered itself; says how many.
    pub(crate) fn forget(&self) -> usize {
        let mut clients = self.lock();
        let before = clients.len();
        clients.retain(|_, client| client.seen == Duration::MAX);
        before - clients.len()
    }
}
