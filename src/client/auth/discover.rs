//! From a challenge, or from nothing, to the metadata of the resource and of its authorization server.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::Stage;
use crate::client::sim::Sim;
use crate::model::{Challenge, Members as _, Revision, covers};
use crate::profile::Place;
use crate::transcript::EventKind;

impl Sim {
    /// Finds the servers; says whether a login can go on.
    pub(super) async fn discover(self: &Arc<Self>, challenge: Option<&Challenge>, within: Duration) -> bool {
        let Ok(endpoint) = Url::parse(&self.target.url) else { return false };
        let origin = endpoint.origin().ascii_serialization();
        let mut resource = self.resource_metadata(challenge, &origin, endpoint.path(), within).await;
        let strict = self.profile.oauth.value.strict_resource;
        let mut issuer = match resource.as_ref().map(|document| issuer_in(document, &self.target.url, strict)) {
            // Without metadata of the resource the authorization server is where the resource is (2025-03-26).
            None => origin.clone(),
            Some(Ok(issuer)) => issuer,
            Some(Err(why)) => {
                self.note(&why);
                if !self.asks_for_the_first() {
                    return false;
                }
                resource = None;
                origin.clone()
            }
        };
        let mut server = self.server_metadata(&issuer, within).await;
        if server.is_none() && issuer != origin && self.asks_for_the_first() {
            (resource, issuer) = (None, origin);
            server = self.server_metadata(&issuer, within).await;
        }
        if let Some(other) = server.as_ref().and_then(|document| self.another_issuer(document, &issuer)) {
            self.note(&format!(
                "the metadata of {issuer} is that of {other} (RFC 8414 section 3.3), so the client stops"
            ));
            return false;
        }
        {
            let mut state = self.state();
            state.credential.resource = resource.unwrap_or_default();
            issuer.trim_end_matches('/').clone_into(&mut state.credential.issuer);
            state.credential.server = server.unwrap_or_default();
        }
        self.move_to(Stage::Discovered, &format!("the authorization server is {issuer}"));
        true
    }

    /// Whether the client speaks 2025-03-26, which knows no metadata of the resource: what is wrong with it stops nobody.
    fn asks_for_the_first(&self) -> bool {
        self.profile.opens_with.value.0.first() == Some(&Revision::V2025_03_26)
    }

    /// The issuer that metadata names, where that is another than the one it was found for and the client looks.
    fn another_issuer(&self, document: &Value, issuer: &str) -> Option<String> {
        let stated = document.at("issuer").as_str().unwrap_or("nobody");
        (self.profile.oauth.value.checks_issuer && stated != issuer).then(|| stated.to_owned())
    }

    pub(super) fn note(&self, text: &str) {
        *self.last_note.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
        self.tap.record(&self.name, EventKind::Note { text: text.to_owned() });
    }

    async fn resource_metadata(
        self: &Arc<Self>,
        challenge: Option<&Challenge>,
        origin: &str,
        path: &str,
        within: Duration,
    ) -> Option<Value> {
        let told = challenge.filter(|_| !self.profile.oauth.value.ignores_challenge);
        if let Some(url) = told.and_then(|challenge| challenge.param("resource_metadata")) {
            return self.document(url, within).await;
        }
        let known = "/.well-known/oauth-protected-resource";
        let path = path.trim_end_matches('/');
        for place in &self.profile.oauth.value.resource_metadata {
            let url = match place {
                Place::PathInserted => format!("{origin}{known}{path}"),
                Place::PathAppended => format!("{origin}{path}{known}"),
                Place::Root => format!("{origin}{known}"),
            };
            if let Some(document) = self.document(&url, within).await {
                return Some(document);
            }
        }
        None
    }

    /// RFC 8414 first, then OpenID, with the path inserted and then appended, as 2025-11-25 orders them.
    async fn server_metadata(self: &Arc<Self>, issuer: &str, within: Duration) -> Option<Value> {
        let url = Url::parse(issuer).ok()?;
        let origin = url.origin().ascii_serialization();
        let path = url.path().trim_end_matches('/');
        let mut places = vec![
            format!("{origin}/.well-known/oauth-authorization-server{path}"),
            format!("{origin}/.well-known/openid-configuration{path}"),
        ];
        if !path.is_empty() {
            places.push(format!("{origin}{path}/.well-known/openid-configuration"));
        }
        for place in places {
            if let Some(document) = self.document(&place, within).await {
                return Some(document);
            }
        }
        None
    }
}

/// The issuer that the metadata of a resource names, or why a client goes no further with it.
fn issuer_in(document: &Value, endpoint: &str, strict: bool) -> Result<String, String> {
    let stated = document.at("resource").as_str().unwrap_or_default();
    if !covers(stated, endpoint) || (strict && stated != endpoint) {
        return Err(format!("the metadata is of another resource ({stated}), so the client goes no further"));
    }
    let issuer = document.at("authorization_servers")[0].as_str().map(str::to_owned);
    issuer.ok_or_else(|| "the metadata of the resource names no authorization server".to_owned())
}
