//! What a caller may set of the authorization server. It must not know how requests are served.

use std::time::Duration;

use serde_json::Value;

/// What access tokens look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFormat {
    /// Bytes that mean nothing to anybody but the issuer.
    Opaque,
    /// Signed claims (RFC 9068).
    Jwt,
}

/// Who gets a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshPolicy {
    /// Each client that may use the grant type `refresh_token`.
    Registered,
    /// Only where the scope `offline_access` was asked for.
    OfflineAccess,
    /// Nobody.
    Never,
}

/// Who consents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Nobody is asked; for runs without a person.
    Automatic,
    /// A page asks the person at the browser.
    Page,
}

/// A client that is known from the start.
#[derive(Debug, Clone)]
pub struct KnownClient {
    /// Its `client_id`.
    pub id: String,
    /// Its secret; a public client has none.
    pub secret: Option<String>,
    /// Where its answers may go.
    pub redirect_uris: Vec<String>,
}

/// How the authorization server is to be run.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Path of the issuer identifier, such as `/tenant1`; empty for an issuer without a path.
    pub issuer_path: String,
    /// Lifetime of an access token.
    pub access_ttl: Duration,
    /// How long a refresh token may lie unused.
    pub refresh_ttl: Duration,
    /// Lifetime of an authorization code (RFC 6749 section 4.1.2: 10 minutes at most).
    pub code_ttl: Duration,
    /// How long after a rotation the token before it is taken for the repetition of a lost answer.
    pub grace: Duration,
    /// Clock difference that is tolerated when tokens are validated.
    pub leeway: Duration,
    /// What access tokens look like.
    pub tokens: TokenFormat,
    /// Who gets a refresh token.
    pub refresh: RefreshPolicy,
    /// Who consents.
    pub consent: Consent,
    /// Whether clients may register themselves (RFC 7591).
    pub registration: bool,
    /// Whether a `client_id` may be the URL of a client ID metadata document.
    pub client_documents: bool,
    /// Whether such documents may be fetched from this machine; for rehearsals.
    pub documents_on_loopback: bool,
    /// Metadata documents of clients that are on the public network, as the server would read them there: `client_id` is
    /// the URL of each. For rehearsals, in which nobody asks the public network.
    pub documents: Vec<Value>,
    /// Clients known from the start.
    pub clients: Vec<KnownClient>,
    /// Resources elsewhere that tokens may be for as well.
    pub elsewhere: Vec<String>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            issuer_path: String::new(),
            access_ttl: Duration::from_secs(3600),
            refresh_ttl: Duration::from_secs(30 * 24 * 3600),
            code_ttl: Duration::from_secs(60),
            grace: Duration::from_secs(20),
            leeway: Duration::from_secs(5),
            tokens: TokenFormat::Opaque,
            refresh: RefreshPolicy::Registered,
            consent: Consent::Automatic,
            registration: true,
            client_documents: true,
            documents_on_loopback: false,
            documents: Vec::new(),
            clients: Vec::new(),
            elsewhere: Vec::new(),
        }
    }
}
