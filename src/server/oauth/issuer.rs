//! The authorization server as one value: configuration, clients, grants, tokens, and the operations they share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clients::{Client, Clients};
use super::config::{AuthConfig, RefreshPolicy, TokenFormat};
use super::consent::Pending;
use super::counts::Counts;
use super::documents::Documents;
use super::error::OAuthError;
use super::grant::{Family, Grant, GrantId};
use super::grants::Grants;
use super::keys_shared::SharedKeys;
use super::races::Races;
use super::tokens::{Claims, Names, Tokens};
use super::uris::canonical_resource;
use crate::model::{Clock as _, HybridClock, Rng};
use crate::server::fault::{Faults, Rule};

/// The scope that asks for a refresh token (OpenID Connect Core section 11).
pub(crate) const OFFLINE: &str = "offline_access";

/// What the scopes of the reference server are, weakest first; the last implies the others.
pub(crate) const SCOPES: [&str; 3] = ["mcp:read", "mcp:write", "mcp:admin"];

/// How much longer, or shorter, tokens live where a fault has them do so.
const A_MINUTE: Duration = Duration::from_secs(60);
/// How long tokens live where a fault lets few refreshes pass.
const FOUR_MINUTES: Duration = Duration::from_secs(240);
/// How long registrations are kept where a fault forgets them.
const FORGOTTEN: Duration = Duration::from_secs(1800);

/// An authorization server.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) config: AuthConfig,
    /// `http://host:port` without a path.
    pub(crate) origin: String,
    /// The resources that tokens may be for, in canonical form.
    pub(crate) resources: Vec<String>,
    pub(crate) clients: Clients,
    pub(crate) documents: Documents,
    pub(crate) grants: Grants,
    pub(crate) tokens: Tokens,
    pub(crate) pending: Pending,
    pub(crate) counts: Counts,
    pub(crate) clock: HybridClock,
    pub(crate) rng: Rng,
    pub(crate) faults: Arc<Faults>,
    pub(super) serials: AtomicU64,
    pub(super) races: Races,
    pub(super) shared_keys: Option<SharedKeys>,
}

/// What is known of a valid access token.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    pub(crate) claims: Claims,
    pub(crate) grant: Grant,
    /// The scopes of the token itself.
    pub(crate) scopes: Vec<String>,
    /// The resource it is for.
    pub(crate) audience: Option<String>,
}

impl Issuer {
    pub(crate) fn new(
        mut config: AuthConfig,
        origin: String,
        resources: Vec<String>,
        clock: HybridClock,
        rng: Rng,
        faults: Arc<Faults>,
    ) -> Option<Self> {
        if !faults.holds(Rule::IssuerAtOrigin) || !faults.holds(Rule::MetadataPathInserted) {
            "/tenant".clone_into(&mut config.issuer_path);
        }
        if !faults.holds(Rule::RefreshesUnlimited) {
            config.access_ttl = config.access_ttl.min(FOUR_MINUTES);
        }
        Some(Self {
            clients: Clients::new(&config.clients),
            documents: Documents::new(config.documents_on_loopback, &config.documents, Arc::clone(&faults)),
            grants: Grants::new(config.refresh_ttl, config.grace, None),
            tokens: Tokens::new(&rng)?,
            pending: Pending::default(),
            counts: Counts::default(),
            serials: AtomicU64::new(1),
            races: Races::default(),
            shared_keys: None,
            config,
            origin,
            resources,
            clock,
            rng,
            faults,
        })
    }

    /// The issuer identifier (RFC 8414 section 2).
    pub(crate) fn identifier(&self) -> String {
        let plain = if self.faults.holds(Rule::IssuerPlain) { "" } else { "?v=1" };
        format!("{}{}{plain}", self.origin, self.config.issuer_path)
    }

    /// The URL of an endpoint.
    pub(crate) fn endpoint(&self, name: &str) -> String {
        format!("{}{}/{name}", self.origin, self.config.issuer_path)
    }

    /// Now, since the Unix epoch.
    pub(crate) fn now(&self) -> Duration {
        self.clock.unix()
    }

    /// The client of this id: a kept one, or one whose document can be had.
    pub(crate) async fn client(&self, id: &str) -> Result<Arc<Client>, OAuthError> {
        let forgotten = |client: &Arc<Client>| {
            let age = self.now().saturating_sub(client.seen);
            age > FORGOTTEN && !self.faults.holds(Rule::ClientsKept)
        };
        if let Some(client) = self.clients.get(id).await?.filter(|client| !forgotten(client)) {
            return Ok(client);
        }
        let resolved = self.faults.holds(Rule::ClientDocumentsResolved);
        if self.config.client_documents && resolved && Documents::is_document_url(id) {
            if !self.faults.holds(Rule::ClientDocumentsRead) {
                return Ok(Arc::new(Documents::unread(id, self.now())));
            }
            return self.documents.client(id, self.now()).await;
        }
        Err(OAuthError::invalid_client("the client is unknown; it may have to register again"))
    }

    /// The scopes that are asked for, checked; what nobody asked for is the weakest.
    pub(crate) fn scopes(asked: Option<&str>) -> Result<Vec<String>, OAuthError> {
        let Some(asked) = asked else { return Ok(vec![SCOPES[0].to_owned()]) };
        let mut scopes: Vec<String> = Vec::new();
        for scope in asked.split(' ').filter(|scope| !scope.is_empty()) {
            if !SCOPES.contains(&scope) && scope != OFFLINE {
                return Err(OAuthError::invalid_scope(format!(
                    "a scope is unknown; there are {} and {OFFLINE}",
                    SCOPES.join(", ")
                )));
            }
            if !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
        if scopes.is_empty() { Ok(vec![SCOPES[0].to_owned()]) } else { Ok(scopes) }
    }

    /// The resources that are asked for (RFC 8707 section 2); who asks for none gets the only one there is.
    pub(crate) fn targets<'a>(&self, asked: impl Iterator<Item = &'a str>) -> Result<Vec<String>, OAuthError> {
        let mut targets = Vec::new();
        for text in asked {
            let target =
                canonical_resource(text).map_err(|why| OAuthError::invalid_target(format!("the resource {why}")))?;
            let known = self.resources.contains(&target)
                || self.resources.is_empty()
                || self.config.elsewhere.contains(&target);
            if !known && self.faults.holds(Rule::TargetChecked) {
                let all = self.resources.join(", ");
                return Err(OAuthError::invalid_target(format!("no such resource is served here; there is {all}")));
            }
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        if targets.is_empty() && self.resources.len() == 1 && self.faults.holds(Rule::TargetDefaulted) {
            targets.extend(self.resources.iter().cloned());
        }
        Ok(targets)
    }

    /// Whether a grant of this client gets a refresh token.
    pub(crate) fn refreshable(&self, client: &Client, scopes: &[String]) -> bool {
        if scopes.iter().any(|scope| scope == OFFLINE) && !self.faults.holds(Rule::OfflineGranted) {
            return false;
        }
        match self.config.refresh {
            RefreshPolicy::Registered => client.may("refresh_token") || scopes.iter().any(|scope| scope == OFFLINE),
            RefreshPolicy::OfflineAccess => scopes.iter().any(|scope| scope == OFFLINE),
            RefreshPolicy::Never => false,
        }
    }

    /// A grant that begins now.
    pub(crate) fn grant(
        &self,
        client: &Client,
        subject: &str,
        scopes: Vec<String>,
        resources: Vec<String>,
        refresh: bool,
    ) -> Grant {
        let now = self.now();
        let family: Option<Family> = refresh.then(|| self.grants.family(now));
        let over = family.as_ref().map_or(now, |family| family.expires);
        Grant {
            client: client.id.clone(),
            subject: subject.to_owned(),
            scopes,
            resources,
            revoked: false,
            refresh: family,
            revoked_access: Vec::new(),
            over: over.max(now + self.config.access_ttl),
        }
    }

    /// An access token of a grant, for these of its scopes and this of its resources.
    pub(crate) async fn access_token(
        &self,
        id: &GrantId,
        grant: &Grant,
        scopes: &[String],
        resource: Option<&str>,
    ) -> Result<String, OAuthError> {
        let now = self.now().as_secs();
        let bit = |(at, scope): (usize, &String)| if scopes.contains(scope) { 1_u32 << at.min(31) } else { 0 };
        let claims = Claims {
            grant: *id,
            serial: self.serials.fetch_add(1, Ordering::Relaxed),
            issued: now,
            expires: now + self.config.access_ttl.as_secs(),
            scopes: grant.scopes.iter().enumerate().map(bit).fold(0, |all, bit| all | bit),
            resource: resource
                .and_then(|wanted| grant.resources.iter().position(|known| known == wanted))
                .and_then(|at| u8::try_from(at).ok())
                .unwrap_or(u8::MAX),
        };
        self.grants.lives_until(id, claims.end(), self.now()).await?;
        if self.config.tokens == TokenFormat::Opaque {
            return Ok(self.tokens.access(&claims));
        }
        let names = Names {
            issuer: &self.identifier(),
            subject: &grant.subject,
            client: &grant.client,
            scope: scopes.join(" "),
            audience: resource,
        };
        let failed = || OAuthError { status: 500, ..OAuthError::invalid_request("no token could be signed") };
        self.tokens.access_jwt(&claims, &names).ok_or_else(failed)
    }

    /// What a token that this issuer made stands for, as long as it is neither expired nor revoked.
    pub(crate) async fn bearer(&self, token: &str) -> Result<Option<Bearer>, OAuthError> {
        self.knows_key_of(token).await?;
        let Some((claims, _)) = self.tokens.read_access(token) else { return Ok(None) };
        let Some(grant) = self.grants.get(&claims.grant).await? else { return Ok(None) };
        Ok(self.living(claims, grant))
    }

    /// What claims stand for, given their grant.
    fn living(&self, claims: Claims, grant: Grant) -> Option<Bearer> {
        let now = self.now();
        let more = if self.faults.holds(Rule::ExpiryPrompt) { self.config.leeway } else { A_MINUTE };
        if claims.end() + more <= now && self.faults.holds(Rule::ExpiryEnforced) {
            return None;
        }
        if claims.end() <= now + A_MINUTE && !self.faults.holds(Rule::ServedToTheEnd) {
            return None;
        }
        if Duration::from_secs(claims.issued) > now + self.config.leeway {
            return None;
        }
        let revoked = grant.revoked || grant.revoked_access.iter().any(|(serial, _)| *serial == claims.serial);
        let cached = !self.faults.holds(Rule::RevocationAtOnce) && self.races.served(claims.serial, now, !revoked);
        if revoked && !cached && self.faults.holds(Rule::RevocationEnforced) {
            return None;
        }
        let scopes = grant
            .scopes
            .iter()
            .enumerate()
            .filter(|(at, _)| claims.scopes & (1 << (*at).min(31)) != 0)
            .map(|(_, scope)| scope.clone())
            .collect();
        let audience = grant.resources.get(usize::from(claims.resource)).cloned();
        Some(Bearer { claims, grant, scopes, audience })
    }
}
