//! The ways in that are not the profile's own login: a token made beforehand, client credentials, a shared grant.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Stage;
use crate::client::Entry;
use crate::client::entry::{Hidden, KnownClient, Wallet};
use crate::client::sim::Sim;
use crate::model::Challenge;
use crate::profile::CarriesResource;

/// The grant type of RFC 7523 section 2.1.
pub(super) const BEARER_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl Sim {
    /// Gets a token from nothing, in the target's way in; says whether there is one now. `more` are scopes to ask for
    /// besides.
    pub(in crate::client) async fn login(
        self: &Arc<Self>,
        challenge: Option<&Challenge>,
        more: Option<&str>,
        within: Duration,
    ) -> bool {
        let got = match &self.target.entry {
            Entry::Login => return self.log_in_anew(challenge, more, within).await,
            Entry::Form(_) => self.log_in_anew(challenge, more, within).await,
            Entry::Token(token) => self.hold(token),
            Entry::ClientCredentials => {
                let grant = vec![("grant_type", "client_credentials".to_owned())];
                self.in_own_name(grant, challenge, within).await
            }
            Entry::Assertion(Hidden(assertion)) => {
                let grant = vec![("grant_type", BEARER_GRANT.to_owned()), ("assertion", assertion.clone())];
                self.in_own_name(grant, challenge, within).await
            }
            Entry::Enterprise(identity) => self.as_employee(identity, challenge, within).await,
            Entry::Grant(wallet) => self.from_wallet(wallet, challenge, within).await,
        };
        if !got {
            self.no_way_in();
        }
        got
    }

    /// A way in that does not work may be the user's mistake as well as the server's, so nothing is held against it.
    pub(super) fn no_way_in(&self) {
        let why = self.last_note.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let why = why.unwrap_or_else(|| "the authorization server gave none".to_owned());
        self.leave_this_out(format!("the client came by no token: {why}"));
    }

    /// Whether the client holds a token before anybody asks for one.
    pub(super) fn comes_with_token(&self) -> bool {
        matches!(self.target.entry, Entry::Token(_))
    }

    fn hold(&self, token: &Hidden) -> bool {
        self.state().credential.access = Some(token.0.clone());
        self.move_to(Stage::Given, "a token was made beforehand");
        true
    }

    async fn in_own_name(
        self: &Arc<Self>,
        pairs: Vec<(&'static str, String)>,
        challenge: Option<&Challenge>,
        within: Duration,
    ) -> bool {
        self.discover(challenge, within).await
            && self.identify(within).await
            && self.granted(pairs, challenge, within).await
    }

    /// Gets a token for a grant that needs nobody's consent.
    pub(super) async fn granted(
        self: &Arc<Self>,
        mut pairs: Vec<(&'static str, String)>,
        challenge: Option<&Challenge>,
        within: Duration,
    ) -> bool {
        pairs.extend(self.scope_to_ask(challenge, None).map(|scope| ("scope", scope)));
        let answer = self.token(pairs, CarriesResource::Token, within).await;
        answer.is_some_and(|answer| self.keep(&answer, "the client got a token in its own name"))
    }

    async fn from_wallet(
        self: &Arc<Self>,
        wallet: &Arc<Wallet>,
        challenge: Option<&Challenge>,
        within: Duration,
    ) -> bool {
        if !self.discover(challenge, within).await {
            return false;
        }
        let turn = wallet.turn.lock().await;
        let Some(grant) = wallet.grant() else {
            return self.ask_person(wallet, challenge).await;
        };
        if let Some(client) = &grant.client {
            self.be(client);
            self.move_to(Stage::Registered, "the client is the one that was given the grant");
        } else if !self.identify(within).await {
            return false;
        }
        if grant.refresh.is_some() {
            drop(turn);
            return Box::pin(self.renew(within)).await;
        }
        let Some(Hidden(access)) = grant.access else { return false };
        self.state().credential.access = Some(access);
        self.move_to(Stage::Active, "the login before this case left a token");
        true
    }

    /// Takes the refresh token of the shared grant, which another client may have renewed by now.
    pub(super) fn newest_refresh(&self) -> Option<String> {
        if let Entry::Grant(wallet) = &self.target.entry {
            return wallet.grant()?.refresh.map(|Hidden(refresh)| refresh);
        }
        self.state().credential.refresh.clone()
    }

    /// Becomes a client that is registered.
    pub(super) fn be(&self, client: &KnownClient) {
        let mut state = self.state();
        let issuer = state.credential.issuer.clone();
        let credential = &mut state.credential;
        credential.client_id = Some(client.id.clone());
        credential.client_secret = client.secret.as_ref().map(|Hidden(secret)| secret.clone());
        let usual = match (&self.target.client_key, &client.secret) {
            (Some(_), _) => "private_key_jwt",
            (None, Some(_)) => "client_secret_basic",
            (None, None) => "none",
        };
        credential.method = client.method.clone().unwrap_or_else(|| usual.to_owned());
        credential.registered_at = issuer;
    }

    /// Where the authorization server sends the code.
    pub(super) fn redirect_uri(&self) -> String {
        let listening = self.redirect_uri.get().cloned();
        let known = || self.target.client.as_ref().and_then(|client| client.redirect_uri.clone());
        listening.or_else(known).unwrap_or_else(|| self.profile.oauth.value.redirect_uri.clone())
    }
}
