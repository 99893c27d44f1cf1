//! From a challenge, or from nothing, to the metadata of the resource and of its authorization server.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::Stage;
use crate::client::sim::Sim;
use crate::model::{Challenge, covers};
use crate::profile::Place;
use crate::transcript::EventKind;

impl Sim {
    /// Finds the servers; says whether a login can go on.
    pub(super) async fn discover(self: &Arc<Self>, challenge: Option<&Challenge>, within: Duration) -> bool {
        let Ok(endpoint) = Url::parse(&self.target.url) else { return false };
        let origin = endpoint.origin().ascii_serialization();
        let resource = self.resource_metadata(challenge, &origin, endpoint.path(), within).await;
        let issuer = match &resource {
            // Without metadata of the resource the authorization server is where the resource is (2025-03-26).
            None => origin,
            Some(document) => {
                let stated = document["resource"].as_str().unwrap_or_default();
                if !covers(stated, &self.target.url) {
                    self.note(&format!(
                        "the metadata is of another resource ({stated}), so the client goes no further"
                    ));
                    return false;
                }
                let Some(issuer) = document["authorization_servers"][0].as_str() else {
                    self.note("the metadata of the resource names no authorization server");
                    return false;
                };
                issuer.to_owned()
            }
        };
        let server = self.server_metadata(&issuer, within).await;
        {
            let mut state = self.state();
            state.credential.resource = resource.unwrap_or_default();
            issuer.trim_end_matches('/').clone_into(&mut state.credential.issuer);
            state.credential.server = server.unwrap_or_default();
        }
        self.move_to(Stage::Discovered, &format!("the authorization server is {issuer}"));
        true
    }

    pub(super) fn note(&self, text: &str) {
        self.tap.record(&self.name, EventKind::Note { text: text.to_owned() });
    }

    async fn resource_metadata(
        self: &Arc<Self>,
        challenge: Option<&Challenge>,
        origin: &str,
        path: &str,
        within: Duration,
    ) -> Option<Value> {
        if let Some(url) = challenge.and_then(|challenge| challenge.param("resource_metadata")) {
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
