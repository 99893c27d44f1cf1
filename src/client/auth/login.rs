//! A whole login: servers, client id, authorization, code, token.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::Serializer;

use super::fetch::Ask;
use super::{Credential, Stage, assertion, claims};
use crate::client::Entry;
use crate::client::entry::Hidden;
use crate::client::sim::Sim;
use crate::model::{Challenge, Members as _};
use crate::profile::{CarriesResource, Registration, ScopeFrom};
use crate::transcript::EventKind;

const OFFLINE: &str = "offline_access";

/// An authorization request that was made.
pub(super) struct Asked {
    pub(super) url: String,
    state: String,
    pub(super) verifier: String,
}

impl Sim {
    /// The whole road, as the profile walks it.
    pub(super) async fn log_in_anew(
        self: &Arc<Self>,
        challenge: Option<&Challenge>,
        more: Option<&str>,
        within: Duration,
    ) -> bool {
        if !self.discover(challenge, within).await {
            return false;
        }
        let scope = self.scope_to_ask(challenge, more);
        self.state().credential.scope_ahead.clone_from(&scope);
        if !self.identify(within).await {
            return false;
        }
        if more.is_none() {
            self.state().credential.widened.clear();
        }
        let Some((code, verifier)) = self.authorize(scope.as_deref(), within).await else { return false };
        {
            let mut state = self.state();
            state.credential.scope = scope;
            state.credential.code = Some(code.clone());
            state.credential.verifier = Some(verifier.clone());
        }
        self.redeem(code, verifier, within).await
    }

    /// Exchanges a code; says whether there is a token now.
    pub(super) async fn redeem(self: &Arc<Self>, code: String, verifier: String, within: Duration) -> bool {
        let pairs = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", self.redirect_uri()),
            ("code_verifier", verifier),
        ];
        let answer = self.token(pairs, CarriesResource::Token, within).await;
        answer.is_some_and(|answer| self.keep_new(&answer, "the code was exchanged"))
    }

    /// Comes by a client id at this issuer: the one that the target's user gave, else in the order of the profile.
    pub(super) async fn identify(self: &Arc<Self>, within: Duration) -> bool {
        let credential = self.state().credential.clone();
        if credential.client_id.is_some() && credential.registered_at == credential.issuer {
            self.move_to(Stage::Registered, "the client is registered here already");
            return true;
        }
        if let Some(client) = &self.target.client {
            self.be(client);
            self.move_to(Stage::Registered, "the client was registered beforehand");
            return true;
        }
        let does = &self.profile.oauth.value;
        // A document of the profile names other places for the way back than the one that is listened at.
        let own_place = self.redirect_uri.get().is_some();
        let methods = credential.server.at("token_endpoint_auth_methods_supported").as_array();
        let none = methods.is_some_and(|methods| methods.iter().any(|method| method == "none"));
        let announced = credential.server.at("client_id_metadata_document_supported") == true;
        let documents = announced && !own_place && (none || !does.document_wants_none);
        let document = does.document.clone().filter(|url| documents && self.document_can_be_read(url));
        let registers = credential.endpoint("registration_endpoint", "register").is_some();
        let open = |way: &Registration| match way {
            Registration::Document => document.is_some(),
            Registration::Dynamic => registers,
        };
        if !does.registration.iter().any(open) {
            // A server may ask for clients that it knows beforehand; what those would see cannot be told.
            self.leave_out("the authorization server offers no way to a client id that this client has".to_owned());
            return false;
        }
        let mut found = None;
        for way in &does.registration {
            found = match way {
                Registration::Document => document.clone().map(|url| (url, None, "none".to_owned())),
                Registration::Dynamic => self.register(&credential, within).await,
            };
            if found.is_some() {
                break;
            }
        }
        let Some((id, secret, method)) = found else {
            self.note("the client came by no client id");
            return false;
        };
        {
            let mut state = self.state();
            let issuer = state.credential.issuer.clone();
            state.credential.client_id = Some(id);
            state.credential.client_secret = secret;
            state.credential.method = method;
            state.credential.registered_at = issuer;
        }
        self.move_to(Stage::Registered, "the client has an id");
        true
    }

    /// Documents of real clients are on the public network; a server on this machine cannot be expected to read them
    /// unless it is said to. What stands at a name that nobody can have (RFC 2606 section 2) is read by no server.
    fn document_can_be_read(&self, url: &str) -> bool {
        if Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(|host| host.ends_with(".example"))) {
            return false;
        }
        let local = |text: &str| {
            let host = Url::parse(text).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
            host == "localhost" || host.starts_with("127.") || host == "[::1]"
        };
        self.target.reads_documents || local(url) || !local(&self.target.url)
    }

    async fn register(
        self: &Arc<Self>,
        credential: &Credential,
        within: Duration,
    ) -> Option<(String, Option<String>, String)> {
        let url = credential.endpoint("registration_endpoint", "register")?;
        let does = &self.profile.oauth.value;
        let mut uris = vec![self.redirect_uri()];
        // What it registers besides would go to nobody here who listens at a place of the user's.
        if self.redirect_uri.get().is_none() {
            uris.extend(does.other_redirect_uris.iter().cloned());
        }
        let mut body = json!({
            "client_name": does.client_name,
            "redirect_uris": uris,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        });
        for (name, value) in
            [("token_endpoint_auth_method", &does.client_auth), ("application_type", &does.application_type)]
        {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        if let Some(scope) = credential.scope_ahead.as_ref().filter(|_| does.registers_scope) {
            body["scope"] = json!(scope);
        }
        for (name, value) in &does.registers_with {
            body[name] = value.clone();
        }
        let body = body.to_string().into_bytes();
        let ask = Ask { method: "POST", url: &url, content_type: Some("application/json"), body, ..Ask::default() };
        let answered = self.fetch(ask, within).await?;
        let document = answered.into_document()?;
        let text = |name: &str| document[name].as_str().map(str::to_owned);
        let method = text("token_endpoint_auth_method").or_else(|| does.client_auth.clone());
        let secret = text("client_secret");
        let offered = method_of(credential.server.at("token_endpoint_auth_methods_supported"), secret.is_some());
        let method = method.or_else(|| offered.map(str::to_owned));
        let method = method.unwrap_or_else(|| if secret.is_some() { "client_secret_basic" } else { "none" }.to_owned());
        Some((text("client_id")?, secret, method))
    }

    pub(super) fn scope_to_ask(&self, challenge: Option<&Challenge>, more: Option<&str>) -> Option<String> {
        if more.is_none() && self.target.scope.is_some() {
            return self.target.scope.clone();
        }
        let credential = self.state().credential.clone();
        let does = &self.profile.oauth.value;
        let list = |value: &Value| -> Option<String> {
            let names: Vec<&str> = value.as_array()?.iter().filter_map(Value::as_str).collect();
            Some(names.join(" "))
        };
        let supported = list(credential.resource.at("scopes_supported"));
        let hinted = challenge.and_then(|challenge| challenge.param("scope")).map(str::to_owned);
        let mut scope = match does.scope {
            ScopeFrom::Challenge => hinted.or(supported),
            ScopeFrom::Supported => supported.or(hinted),
            ScopeFrom::Nothing => None,
        };
        if let Some(more) = more {
            let held = credential.scope.unwrap_or_default();
            let mut all: Vec<&str> = held.split(' ').filter(|name| !name.is_empty()).collect();
            all.extend(more.split(' ').filter(|name| !held.split(' ').any(|known| known == *name)));
            scope = Some(all.join(" "));
        }
        let offered =
            credential.server.at("scopes_supported").as_array().is_some_and(|all| all.iter().any(|one| one == OFFLINE));
        if does.offline_access && offered {
            let wanted = scope.unwrap_or_default();
            let held = wanted.split(' ').any(|name| name == OFFLINE);
            scope = Some(if held { wanted } else { format!("{wanted} {OFFLINE}").trim_start().to_owned() });
        }
        scope
    }

    /// The authorization request; gives the code and the verifier where the answer is as it should be.
    async fn authorize(self: &Arc<Self>, scope: Option<&str>, within: Duration) -> Option<(String, String)> {
        let asked = self.authorization_url(scope)?;
        let place = self.walk(&asked.url, &self.redirect_uri(), within).await?;
        Some((self.code_in(&place, &asked)?, asked.verifier))
    }

    /// The URL of an authorization request.
    pub(super) fn authorization_url(&self, scope: Option<&str>) -> Option<Asked> {
        let credential = self.state().credential.clone();
        let endpoint = credential.endpoint("authorization_endpoint", "authorize")?;
        let does = &self.profile.oauth.value;
        let verifier = URL_SAFE_NO_PAD.encode(self.rng.bytes::<32>());
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let state = self.rng.hex(16);
        let client = credential.client_id.as_deref()?;
        let resource = credential.target().filter(|_| does.resource_in.contains(&CarriesResource::Authorize));
        let redirect_uri = self.redirect_uri();
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", client),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("redirect_uri", &redirect_uri),
            ("state", &state),
        ];
        pairs.extend(scope.map(|scope| ("scope", scope)));
        pairs.extend(does.prompt.as_deref().map(|prompt| ("prompt", prompt)));
        pairs.extend(resource.map(|resource| ("resource", resource)));
        let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        Some(Asked { url: format!("{endpoint}{joint}{query}"), state, verifier })
    }

    /// The code in what an authorization server hands to the client, where everything else is as it should be.
    pub(super) fn code_in(&self, place: &Url, asked: &Asked) -> Option<String> {
        let credential = self.state().credential.clone();
        let param =
            |name: &str| place.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
        if param("state").as_deref() != Some(asked.state.as_str()) {
            self.note("the state that came back is not the one that was sent, so the client stops");
            return None;
        }
        let advertised = credential.server.at("authorization_response_iss_parameter_supported") == true;
        let issuer = credential.server.at("issuer").as_str().unwrap_or(&credential.issuer);
        match param("iss") {
            Some(iss) if iss != issuer => {
                self.note("the iss that came back is another issuer (RFC 9207), so the client stops");
                return None;
            }
            None if advertised || self.profile.oauth.value.needs_iss => {
                self.note("the iss that was announced, or that this client wants anyway, did not come (RFC 9207), so the client stops");
                return None;
            }
            _ => {}
        }
        if let Some(error) = param("error") {
            self.note(&format!("the authorization was refused: {error}"));
            return None;
        }
        param("code")
    }

    /// A token request with the client's proof of itself; gives status and document.
    pub(super) async fn token(
        self: &Arc<Self>,
        mut pairs: Vec<(&'static str, String)>,
        step: CarriesResource,
        within: Duration,
    ) -> Option<(u16, Value)> {
        let credential = self.state().credential.clone();
        let url = credential.endpoint("token_endpoint", "token")?;
        if let Some(resource) = credential.target().filter(|_| self.profile.oauth.value.resource_in.contains(&step)) {
            pairs.push(("resource", resource.to_owned()));
        }
        self.proven(&credential, url, pairs, within).await
    }

    /// A form to an endpoint of the authorization server, with the client's proof of itself.
    pub(super) async fn proven(
        self: &Arc<Self>,
        credential: &Credential,
        url: String,
        mut pairs: Vec<(&'static str, String)>,
        within: Duration,
    ) -> Option<(u16, Value)> {
        let id = credential.client_id.clone()?;
        let secret = credential.client_secret.clone().unwrap_or_default();
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let mut authorization = None;
        match credential.method.as_str() {
            "client_secret_basic" => {
                let pair = format!("{}:{}", encoded(&id), encoded(&secret));
                authorization = Some(format!("Basic {}", STANDARD.encode(pair)));
            }
            "client_secret_post" => pairs.extend([("client_id", id), ("client_secret", secret)]),
            "private_key_jwt" => {
                let issuer = credential.server.at("issuer").as_str().unwrap_or(&credential.issuer);
                let key = self.target.client_key.as_ref().map(|Hidden(key)| key.as_str()).unwrap_or_default();
                let claims = assertion::about(&id, issuer, self.clock.unix(), &self.rng.hex(16));
                let Some(signed) = assertion::signed(key, &claims) else {
                    self.note("the key of the client is no private key of P-256 in PEM, so it cannot sign for itself");
                    return None;
                };
                self.tap.hide("assertion", &signed);
                pairs.extend([
                    ("client_id", id),
                    ("client_assertion_type", assertion::TYPE.to_owned()),
                    ("client_assertion", signed),
                ]);
            }
            _ => pairs.push(("client_id", id)),
        }
        let body = Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes();
        let content_type = Some("application/x-www-form-urlencoded");
        let answered = self
            .fetch(Ask { method: "POST", url: &url, content_type, authorization, body, ..Ask::default() }, within)
            .await?;
        Some((answered.status?, answered.into_document().unwrap_or_default()))
    }

    /// Keeps the tokens of a new grant; the refresh token of the one before is none of its own.
    pub(super) fn keep_new(&self, answer: &(u16, Value), why: &str) -> bool {
        let before = self.state().credential.refresh.clone();
        let kept = self.keep(answer, why);
        if kept && answer.1.at("refresh_token").is_null() {
            let mut state = self.state();
            state.credential.refresh = None;
            state.credential.previous_refresh = before;
        }
        kept
    }

    /// Keeps the tokens of an answer; a refresh token that does not come again stays (RFC 6749 section 6).
    pub(super) fn keep(&self, (status, document): &(u16, Value), why: &str) -> bool {
        let Some(access) = document.at("access_token").as_str().filter(|_| *status == 200) else { return false };
        {
            let mut state = self.state();
            let credential = &mut state.credential;
            credential.previous_access = credential.access.replace(access.to_owned());
            if let Some(refresh) = document.at("refresh_token").as_str() {
                credential.previous_refresh = credential.refresh.replace(refresh.to_owned());
            }
            let lives = document.at("expires_in").as_u64().map(Duration::from_secs);
            credential.ends = lives.map(|lives| self.clock.elapsed() + lives);
        }
        if let Entry::Grant(wallet) = &self.target.entry {
            wallet.put(None, access, document.at("refresh_token").as_str());
        }
        if let Some((header, claims)) = claims::read(access) {
            self.tap.record(&self.name, EventKind::Claims { label: access.to_owned(), header, claims });
        }
        self.move_to(Stage::Active, why);
        true
    }
}

/// How a client proves itself where neither its habit nor its registration says: the first way that is offered and that
/// it can go (RFC 8414 section 2).
fn method_of(offered: &Value, has_secret: bool) -> Option<&str> {
    let known = if has_secret { &["client_secret_basic", "client_secret_post", "none"][..] } else { &["none"][..] };
    offered.as_array()?.iter().filter_map(Value::as_str).find(|method| known.contains(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_proves_itself_in_the_first_way_that_it_can_go() {
        let offered = json!(["private_key_jwt", "client_secret_post", "none"]);
        assert_eq!(method_of(&offered, true), Some("client_secret_post"));
        assert_eq!(method_of(&offered, false), Some("none"));
        assert_eq!((method_of(&json!(["tls_client_auth"]), true), method_of(&Value::Null, true)), (None, None));
    }
}
