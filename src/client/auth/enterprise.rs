//! A token that an enterprise's identity provider vouches for: a token exchange there (RFC 8693), and its assertion at the
//! authorization server (RFC 7523), as the extension `enterprise-managed-authorization` has it.

use std::sync::Arc;
use std::time::Duration;

use url::form_urlencoded::Serializer;

use super::entry::BEARER_GRANT;
use super::fetch::Ask;
use crate::client::entry::{Hidden, Identity};
use crate::client::sim::Sim;
use crate::model::{Challenge, Members as _};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

impl Sim {
    /// Gets a token for whoever is signed in at the identity provider.
    pub(super) async fn as_employee(
        self: &Arc<Self>,
        identity: &Identity,
        challenge: Option<&Challenge>,
        within: Duration,
    ) -> bool {
        if !self.discover(challenge, within).await || !self.identify(within).await {
            return false;
        }
        let Some(assertion) = self.vouched_for(identity, challenge, within).await else { return false };
        let grant = vec![("grant_type", BEARER_GRANT.to_owned()), ("assertion", assertion)];
        self.granted(grant, challenge, within).await
    }

    /// What the identity provider signs about the person, for this authorization server and this resource.
    async fn vouched_for(
        self: &Arc<Self>,
        identity: &Identity,
        challenge: Option<&Challenge>,
        within: Duration,
    ) -> Option<String> {
        let credential = self.state().credential.clone();
        let Hidden(id_token) = &identity.id_token;
        let audience = credential.server.at("issuer").as_str().unwrap_or(&credential.issuer);
        let scope = self.scope_to_ask(challenge, None);
        let mut pairs = vec![
            ("grant_type", EXCHANGE),
            ("requested_token_type", ID_JAG),
            ("subject_token", id_token),
            ("subject_token_type", ID_TOKEN),
            ("audience", audience),
            ("resource", credential.target().unwrap_or(&self.target.url)),
            ("client_id", &identity.client),
        ];
        pairs.extend(scope.as_deref().map(|scope| ("scope", scope)));
        let body = Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes();
        let content_type = Some("application/x-www-form-urlencoded");
        let ask = Ask { method: "POST", url: &identity.token_endpoint, content_type, body, ..Ask::default() };
        let answered = self.fetch(ask, within).await?;
        let document = answered.into_document().unwrap_or_default();
        let assertion = document.at("access_token").as_str().filter(|_| document.at("issued_token_type") == ID_JAG);
        if assertion.is_none() {
            self.note("the identity provider does not vouch for the person (no id-jag came)");
        }
        assertion.map(str::to_owned)
    }
}
