//! How simulated clients come by tokens on a server that somebody else runs: the choice, and what it takes.
//!
//! Holds secrets and never shows them. The requests are in `auth`.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A secret of the user.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// How a client comes by a token.
#[derive(Debug, Clone, Default)]
pub enum Entry {
    /// As its profile does; the authorization server lets it in without asking anybody.
    #[default]
    Login,
    /// With a token that was made beforehand (RFC 6750).
    Token(Hidden),
    /// In its own name (RFC 6749 section 4.4).
    ClientCredentials,
    /// With an assertion that somebody else signed about it (RFC 7523 section 2.1).
    Assertion(Hidden),
    /// As somebody who is signed in at an enterprise's identity provider.
    Enterprise(Arc<Identity>),
    /// As its profile does, and these steps are what a person would do on the pages.
    Form(Arc<Vec<FormStep>>),
    /// With the one grant that all clients of the rehearsal share, since nobody can be asked each time.
    Grant(Arc<Wallet>),
}

impl Entry {
    /// Whether a client can log in as often as it likes, so that a grant may be ended for a case.
    pub fn can_be_repeated(&self) -> bool {
        matches!(self, Self::Login | Self::Form(_))
    }
}

/// Somebody who is signed in at an identity provider.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The token endpoint of the provider.
    pub token_endpoint: String,
    /// The `client_id` that this client has there.
    pub client: String,
    /// What the provider said about the person (OpenID Connect).
    pub id_token: Hidden,
}

/// One page of a scripted login: what is filled in and which form is sent.
#[derive(Debug, Clone, Default)]
pub struct FormStep {
    /// Fields by name, with their values.
    pub fields: Vec<(String, Hidden)>,
    /// The button that is pressed: its name, its value or what is written on it.
    pub press: Option<String>,
}

/// A client that was registered at the authorization server beforehand.
#[derive(Debug, Clone, Default)]
pub struct KnownClient {
    /// Its `client_id`.
    pub id: String,
    /// Its secret, where it has one.
    pub secret: Option<Hidden>,
    /// `token_endpoint_auth_method`; without it `client_secret_basic` with a secret, else `none`.
    pub method: Option<String>,
    /// The redirect URI that it was registered with; without it the profile's.
    pub redirect_uri: Option<String>,
}

/// Somebody at a browser.
pub trait Person: fmt::Debug + Send + Sync {
    /// Asks them to open this address.
    fn ask(&self, url: &str);
}

/// Where the newest refresh token is kept beyond this program.
pub trait Keep: fmt::Debug + Send + Sync {
    /// Keeps it; the one before may be worth nothing from now on.
    fn keep(&self, refresh: &str);
}

/// The one grant of a rehearsal.
#[derive(Debug, Default)]
pub struct Wallet {
    grant: Mutex<Option<Grant>>,
    /// Held by who logs in or refreshes, so that no refresh token is used twice.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Who consents where there is no grant yet.
    pub(super) person: Option<Arc<dyn Person>>,
    /// Who keeps the newest refresh token.
    keep: Option<Arc<dyn Keep>>,
}

/// What a login left behind.
#[derive(Debug, Clone, Default)]
pub struct Grant {
    /// The client that it was given to, where it registered itself for it.
    pub client: Option<KnownClient>,
    /// The newest access token.
    pub access: Option<Hidden>,
    /// The newest refresh token.
    pub refresh: Option<Hidden>,
}

impl Wallet {
    /// A wallet with a refresh token that somebody was given.
    pub fn with_refresh(refresh: String) -> Self {
        let grant = Grant { refresh: Some(Hidden(refresh)), ..Grant::default() };
        Self { grant: Mutex::new(Some(grant)), ..Self::default() }
    }

    /// An empty wallet, with somebody who can consent.
    pub fn of(person: Arc<dyn Person>) -> Self {
        Self { person: Some(person), ..Self::default() }
    }

    /// The same wallet, with somebody who keeps the newest refresh token.
    #[must_use]
    pub fn kept_by(self, keep: Option<Arc<dyn Keep>>) -> Self {
        Self { keep, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Grant>> {
        self.grant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it holds.
    pub(super) fn grant(&self) -> Option<Grant> {
        self.lock().clone()
    }

    /// Puts the newest tokens in; a refresh token that did not come again stays.
    pub(super) fn put(&self, client: Option<KnownClient>, access: &str, refresh: Option<&str>) {
        {
            let mut grant = self.lock();
            let grant = grant.get_or_insert_default();
            grant.access = Some(Hidden(access.to_owned()));
            if let Some(refresh) = refresh {
                grant.refresh = Some(Hidden(refresh.to_owned()));
            }
            if client.is_some() {
                grant.client = client;
            }
        }
        if let (Some(refresh), Some(keep)) = (refresh, &self.keep) {
            keep.keep(refresh);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wallet_keeps_the_newest_and_shows_nothing() {
        let wallet = Wallet::with_refresh("first-secret".to_owned());
        wallet.put(None, "access-secret", Some("second-secret"));
        wallet.put(None, "later-secret", None);
        let grant = wallet.grant().expect("there");
        assert_eq!(grant.refresh, Some(Hidden("second-secret".to_owned())));
        assert_eq!(grant.access, Some(Hidden("later-secret".to_owned())));
        assert!(!format!("{wallet:?}").contains("secret"));
    }
}
