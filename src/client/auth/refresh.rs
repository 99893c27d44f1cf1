//! Keeping a token alive: before its end, on refusal, with more scope, and signing out.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Stage;
use super::fetch::Ask;
use crate::client::Entry;
use crate::client::exchange::Answered;
use crate::client::sim::Sim;
use crate::model::{Challenge, Members as _, challenges};
use crate::profile::{Begins, CarriesResource, OnDeadRefresh, OnStepUp};
use crate::transcript::header;

/// The Bearer challenge of an answer.
fn bearer(answered: &Answered) -> Option<Challenge> {
    let text = header(&answered.headers, "www-authenticate")?;
    challenges(text).into_iter().find(|challenge| challenge.is("bearer"))
}

impl Sim {
    /// What the profile does about its token before a request: log in where it does not wait to be asked, refresh where
    /// little time is left.
    pub(in crate::client) async fn prepare(self: &Arc<Self>, within: Duration) {
        if !self.target.asks_for_tokens {
            return;
        }
        let _turn = self.credentials.lock().await;
        let (stage, ends) = {
            let mut state = self.state();
            if let Some(access) = state.credential.later_access.take() {
                state.credential.access = Some(access);
            }
            (state.credential.stage, state.credential.ends)
        };
        let does = &self.profile.oauth.value;
        if stage == Stage::Anonymous && (does.begins != Begins::Challenge || self.comes_with_token()) {
            let mut challenge = None;
            if does.begins == Begins::Get && !self.comes_with_token() {
                // A stream in place of a refusal would not end.
                let options = self.options(within.min(Duration::from_secs(2)));
                let mut request = self.bare("GET");
                if let Some(own) = does.headers.as_ref().map(|own| &own.first).filter(|first| !first.is_empty()) {
                    request.headers = self.plain_headers(own);
                }
                let answered = self.exchange(request, options).await;
                // A server that lets it in asks for no login.
                if answered.status != Some(401) {
                    return;
                }
                challenge = bearer(&answered);
            }
            self.login(challenge.as_ref(), None, within).await;
            return;
        }
        let Some(margin) = does.refresh_before_s else { return };
        let soon = ends.is_some_and(|ends| ends <= self.clock.elapsed() + Duration::from_secs(margin));
        if stage == Stage::Active && soon {
            self.move_to(Stage::Expired, "by the client's clock little or no time is left");
            self.renew(within).await;
        }
    }

    /// What the profile does about a refusal; says whether the request is worth sending once more.
    pub(in crate::client) async fn answer_refusal(self: &Arc<Self>, answered: &Answered, within: Duration) -> bool {
        let challenge = bearer(answered);
        match answered.status {
            Some(401) => self.answer_401(challenge.as_ref(), within).await,
            Some(403) if challenge.as_ref().and_then(|one| one.param("error")) == Some("insufficient_scope") => {
                self.step_up(challenge.as_ref(), within).await
            }
            _ => false,
        }
    }

    async fn answer_401(self: &Arc<Self>, challenge: Option<&Challenge>, within: Duration) -> bool {
        let before = self.state().credential.access.clone();
        let _turn = self.credentials.lock().await;
        let (stage, now, refresh) = {
            let state = self.state();
            (state.credential.stage, state.credential.access.clone(), state.credential.refresh.is_some())
        };
        // Somebody else of this client was faster.
        if stage == Stage::Active && now != before {
            return true;
        }
        if stage == Stage::Given {
            self.move_to(Stage::Dead, "the server refused the token that was made beforehand");
            self.note("the token that was made beforehand was refused, and there is no other");
            self.no_way_in();
            return false;
        }
        if stage == Stage::Active {
            self.move_to(Stage::Expired, "the server refused the token");
        }
        if refresh && stage != Stage::Dead {
            let renewed = self.renew(within).await;
            if renewed && self.profile.oauth.value.refreshes_as.is_some() {
                // The call is repeated with the token that was refused.
                let mut held = self.state();
                held.credential.later_access = std::mem::replace(&mut held.credential.access, before);
            }
            return renewed;
        }
        self.login(challenge, None, within).await
    }

    async fn step_up(self: &Arc<Self>, challenge: Option<&Challenge>, within: Duration) -> bool {
        let _turn = self.credentials.lock().await;
        match self.profile.oauth.value.on_step_up {
            OnStepUp::Fail => false,
            OnStepUp::Refresh => self.renew(within).await,
            OnStepUp::Reauthorize => {
                let more = challenge.and_then(|challenge| challenge.param("scope")).map(str::to_owned);
                // What a new authorization did not bring, another will not bring either (2025-11-25
                // basic/authorization#step-up-authorization-flow).
                let asked = more.clone().unwrap_or_default();
                if !self.state().credential.widened.insert(asked.clone()) {
                    self.note(&format!("the server refuses again for want of `{asked}`, which was asked for already"));
                    return false;
                }
                self.login(challenge, more.as_deref(), within).await
            }
        }
    }

    /// A refresh (RFC 6749 section 6); says whether there is a fresh token now.
    pub(in crate::client) async fn renew(self: &Arc<Self>, within: Duration) -> bool {
        // A refresh token that others hold too is used by one at a time.
        let wallet = match &self.target.entry {
            Entry::Grant(wallet) => Some(Arc::clone(wallet)),
            _ => None,
        };
        let _turn = match &wallet {
            Some(wallet) => Some(wallet.turn.lock().await),
            None => None,
        };
        let Some(refresh) = self.newest_refresh() else { return false };
        let pairs = vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", refresh)];
        // A grant that others hold too is not put at risk for a habit of one of them.
        let other = self.profile.oauth.value.refreshes_as.as_ref().filter(|_| wallet.is_none());
        let answer = match other {
            Some(members) => self.token_as_another(members, pairs, within).await,
            None => self.token(pairs, CarriesResource::Refresh, within).await,
        };
        let Some(answer) = answer else { return false };
        if self.keep(&answer, "the token was refreshed") {
            return true;
        }
        let (status, document) = answer;
        // An outage says nothing about the grant (RFC 6749 section 5.2 gives the errors that do).
        if document.at("error") != "invalid_grant" {
            self.note(&format!("the refresh failed with status {status}; the token is kept"));
            return false;
        }
        {
            let mut state = self.state();
            state.credential.access = None;
            state.credential.refresh = None;
            state.credential.ends = None;
        }
        self.move_to(Stage::Dead, "the refresh token was refused");
        if wallet.is_some() {
            self.note("the grant that all clients share is over; nobody can be asked for another");
            return false;
        }
        match self.profile.oauth.value.on_dead_refresh {
            OnDeadRefresh::GiveUp => false,
            OnDeadRefresh::Reauthorize => self.login(None, None, within).await,
        }
    }

    /// A refresh by a client that is registered for it with these members; the client's own id stays what it was.
    async fn token_as_another(
        self: &Arc<Self>,
        members: &Map<String, Value>,
        pairs: Vec<(&'static str, String)>,
        within: Duration,
    ) -> Option<(u16, Value)> {
        if !self.discover(None, within).await {
            return None;
        }
        let own = self.state().credential.clone();
        let url = own.endpoint("registration_endpoint", "register")?;
        let body = Value::Object(members.clone()).to_string().into_bytes();
        let ask = Ask { method: "POST", url: &url, content_type: Some("application/json"), body, ..Ask::default() };
        let document = self.fetch(ask, within).await?.into_document()?;
        let Some(id) = document.at("client_id").as_str() else {
            self.note("the client could not be registered anew, so that it cannot refresh");
            return None;
        };
        self.move_to(Stage::Registered, "the client was registered anew, only to refresh");
        {
            let mut state = self.state();
            state.credential.client_id = Some(id.to_owned());
            state.credential.client_secret = None;
            "none".clone_into(&mut state.credential.method);
        }
        let answer = self.token(pairs, CarriesResource::Refresh, within).await;
        let mut state = self.state();
        state.credential.client_id = own.client_id;
        state.credential.client_secret = own.client_secret;
        state.credential.method = own.method;
        drop(state);
        answer
    }

    /// Ends the grant at the server, where it can (RFC 7009), and forgets the tokens.
    pub(in crate::client) async fn sign_out(self: &Arc<Self>, within: Duration) {
        let credential = self.state().credential.clone();
        let token = credential.refresh.clone().or_else(|| credential.access.clone());
        let Some(token) = token else { return };
        if let Some(url) = credential.endpoint("revocation_endpoint", "") {
            self.proven(&credential, url, vec![("token", token)], within).await;
        }
        {
            let mut state = self.state();
            state.credential.access = None;
            state.credential.refresh = None;
            state.credential.ends = None;
        }
        self.move_to(Stage::Revoked, "the client signed out");
    }
}
