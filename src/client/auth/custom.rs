//! The step `oauth`: a request as the client would send it, changed as the scenario says.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::Serializer;

use super::fetch::Ask;
use super::{Credential, Stage};
use crate::client::exchange::Answered;
use crate::client::sim::Sim;
use crate::client::step::Turn;
use crate::model::Members as _;
use crate::scenario::{OAuthRequest, OAuthStep};
use crate::transcript::header;

/// Parameters in order; a name may stand several times.
type Pairs = Vec<(String, String)>;

impl Sim {
    /// The step `oauth`.
    pub(in crate::client) async fn oauth(self: &Arc<Self>, step: &OAuthStep, turn: Turn) {
        if self.state().credential.issuer.is_empty() && !self.discover(None, turn.within).await {
            return;
        }
        let mut credential = self.state().credential.clone();
        if step.request == OAuthRequest::Authorize {
            let verifier = URL_SAFE_NO_PAD.encode(self.rng.bytes::<32>());
            self.state().credential.verifier = Some(verifier.clone());
            credential.verifier = Some(verifier);
        }
        let Some(url) = self.place(step.request, &credential) else {
            self.note("the server has no such endpoint, so the request was left out");
            return;
        };
        let Some(answered) = self.send_custom(step, &credential, &url, turn).await else { return };
        self.subject(turn, answered.exchange, None);
        if let Some(name) = &step.r#as {
            self.name(name, &answered, credential.verifier.as_deref());
        }
        if step.keep {
            self.keep_custom(step.request, &answered);
        }
    }

    /// Remembers what an answer gave under a name of the scenario.
    fn name(&self, name: &str, answered: &Answered, verifier: Option<&str>) {
        let document = answered.messages.first().cloned().unwrap_or_default();
        for (word, member) in [
            ("client", "client_id"),
            ("secret", "client_secret"),
            ("access", "access_token"),
            ("refresh", "refresh_token"),
        ] {
            self.named.note(name, word, document[member].as_str());
        }
        self.named.note(name, "code", code_of(answered).as_deref());
        self.named.note(name, "verifier", verifier);
    }

    fn place(&self, request: OAuthRequest, credential: &Credential) -> Option<String> {
        let origin = Url::parse(&self.target.url).ok()?.origin().ascii_serialization();
        let path = self.target.path.split('?').next().unwrap_or_default().trim_end_matches('/');
        match request {
            OAuthRequest::ResourceMetadata => Some(format!("{origin}/.well-known/oauth-protected-resource{path}")),
            OAuthRequest::RootMetadata => Some(format!("{origin}/.well-known/oauth-protected-resource")),
            OAuthRequest::AppendedMetadata => Some(format!("{origin}{path}/.well-known/oauth-protected-resource")),
            OAuthRequest::ServerMetadata => {
                let issuer = Url::parse(&credential.issuer).ok()?;
                let path = issuer.path().trim_end_matches('/');
                let origin = issuer.origin().ascii_serialization();
                Some(format!("{origin}/.well-known/oauth-authorization-server{path}"))
            }
            OAuthRequest::OpenidMetadata => {
                Some(format!("{}/.well-known/openid-configuration", credential.issuer.split('?').next()?))
            }
            OAuthRequest::OriginMetadata => Some(format!("{origin}/.well-known/oauth-authorization-server")),
            OAuthRequest::Register => credential.endpoint("registration_endpoint", "register"),
            OAuthRequest::Authorize => credential.endpoint("authorization_endpoint", "authorize"),
            OAuthRequest::Exchange | OAuthRequest::Refresh | OAuthRequest::ClientCredentials => {
                credential.endpoint("token_endpoint", "token")
            }
            OAuthRequest::Revoke => credential.endpoint("revocation_endpoint", ""),
            OAuthRequest::Introspect => credential.endpoint("introspection_endpoint", ""),
        }
    }

    async fn send_custom(
        self: &Arc<Self>,
        step: &OAuthStep,
        credential: &Credential,
        url: &str,
        turn: Turn,
    ) -> Option<Answered> {
        let fill = |text: &str| self.fill(credential, text);
        let mut headers: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut url = url.to_owned();
        let (mut method, mut content_type, mut body) = ("POST", Some("application/x-www-form-urlencoded"), Vec::new());
        match step.request {
            OAuthRequest::ResourceMetadata
            | OAuthRequest::RootMetadata
            | OAuthRequest::AppendedMetadata
            | OAuthRequest::ServerMetadata
            | OAuthRequest::OpenidMetadata
            | OAuthRequest::OriginMetadata => (method, content_type) = ("GET", None),
            OAuthRequest::Authorize => {
                (method, content_type) = ("GET", None);
                let query = encode(&changed(self.usual(step.request, credential), &step.set, &fill));
                let joint = if url.contains('?') { '&' } else { '?' };
                url = format!("{url}{joint}{query}");
            }
            OAuthRequest::Register => {
                content_type = Some("application/json");
                body = self.registration(&step.set, &fill).to_string().into_bytes();
            }
            _ => {
                let usual = self.usual(step.request, credential);
                if credential.method == "client_secret_basic" {
                    let pair = format!("{}:{}", fill("{client}"), fill("{secret}"));
                    headers.insert("authorization".to_owned(), Some(format!("Basic {}", STANDARD.encode(pair))));
                }
                body = encode(&changed(usual, &step.set, &fill)).into_bytes();
            }
        }
        if let Some(text) = &step.body {
            body = fill(text).into_bytes();
        }
        let own = step.headers.iter().map(|(name, value)| (name.clone(), value.as_deref().map(fill)));
        headers.extend(own);
        let method = step.method.as_deref().unwrap_or(method);
        let form = content_type.is_some_and(|kind| kind.ends_with("urlencoded"));
        if method == "GET" && form && step.body.is_none() {
            url = format!("{url}?{}", String::from_utf8_lossy(&body));
            body.clear();
        }
        let content_type = content_type.filter(|_| !body.is_empty());
        self.fetch(Ask { method, url: &url, content_type, body, headers, ..Ask::default() }, turn.within).await
    }

    /// The right parameters of a request.
    fn usual(&self, request: OAuthRequest, credential: &Credential) -> Pairs {
        let challenge = |verifier: &str| URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let mut pairs: Vec<(&str, String)> = match request {
            OAuthRequest::Authorize => vec![
                ("response_type", "code".to_owned()),
                ("client_id", "{client}".to_owned()),
                ("redirect_uri", self.redirect_uri()),
                ("state", self.rng.hex(8)),
                ("code_challenge", challenge(credential.verifier.as_deref().unwrap_or_default())),
                ("code_challenge_method", "S256".to_owned()),
                ("scope", credential.scope.clone().unwrap_or_default()),
            ],
            OAuthRequest::Exchange => vec![
                ("grant_type", "authorization_code".to_owned()),
                ("code", "{code}".to_owned()),
                ("redirect_uri", self.redirect_uri()),
                ("code_verifier", "{verifier}".to_owned()),
            ],
            OAuthRequest::Refresh => {
                vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", "{refresh}".to_owned())]
            }
            OAuthRequest::ClientCredentials => vec![("grant_type", "client_credentials".to_owned())],
            OAuthRequest::Revoke => vec![("token", "{refresh}".to_owned())],
            _ => vec![("token", "{access}".to_owned())],
        };
        let for_resource = !matches!(request, OAuthRequest::Revoke | OAuthRequest::Introspect);
        if for_resource {
            pairs.push(("resource", "{resource}".to_owned()));
        }
        match (request, credential.method.as_str()) {
            (OAuthRequest::Authorize, _) | (_, "client_secret_basic") => {}
            (_, "client_secret_post") => {
                pairs.extend([("client_id", "{client}".to_owned()), ("client_secret", "{secret}".to_owned())]);
            }
            _ => pairs.push(("client_id", "{client}".to_owned())),
        }
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn registration(&self, set: &BTreeMap<String, Value>, fill: &impl Fn(&str) -> String) -> Value {
        let does = &self.profile.oauth.value;
        let body = json!({
            "client_name": does.client_name,
            "redirect_uris": [self.redirect_uri()],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": does.client_auth.as_deref().unwrap_or("none"),
        });
        with_members(body, set, fill)
    }

    /// Puts what the client holds in the place of the words in braces.
    pub(in crate::client) fn fill(&self, credential: &Credential, text: &str) -> String {
        if !text.contains('{') {
            return text.to_owned();
        }
        let words = [
            ("{access}", &credential.access),
            ("{refresh}", &credential.refresh),
            ("{previous-access}", &credential.previous_access),
            ("{previous-refresh}", &credential.previous_refresh),
            ("{code}", &credential.code),
            ("{verifier}", &credential.verifier),
            ("{client}", &credential.client_id),
            ("{secret}", &credential.client_secret),
            ("{document}", &credential.document),
            ("{redirect}", &Some(self.redirect_uri())),
            ("{resource}", &credential.target().map(str::to_owned)),
            ("{RESOURCE}", &credential.target().map(shouted)),
            ("{endpoint}", &Some(self.target.url.clone())),
            ("{origin}", &Some(origin_of(&self.target.url))),
        ];
        let text = words.iter().fold(text.to_owned(), |text, (word, value)| {
            if text.contains(word) { text.replace(word, value.as_deref().unwrap_or_default()) } else { text }
        });
        self.named.fill(&text)
    }

    fn keep_custom(&self, request: OAuthRequest, answered: &Answered) {
        let document = answered.messages.first().cloned().map(Arc::unwrap_or_clone).unwrap_or_default();
        let text = |name: &str| document[name].as_str().map(str::to_owned);
        match request {
            OAuthRequest::Register => {
                let Some(id) = text("client_id") else { return };
                {
                    let mut state = self.state();
                    let credential = &mut state.credential;
                    credential.client_id = Some(id);
                    credential.client_secret = text("client_secret");
                    credential.method = text("token_endpoint_auth_method").unwrap_or_else(|| "none".to_owned());
                    credential.registered_at = credential.issuer.clone();
                }
                self.move_to(Stage::Registered, "the client registered again");
            }
            OAuthRequest::Authorize => {
                self.state().credential.code = code_of(answered);
            }
            OAuthRequest::Exchange | OAuthRequest::Refresh | OAuthRequest::ClientCredentials => {
                if let Some(status) = answered.status {
                    let unnamed = self.state().credential.stage == Stage::Discovered;
                    if unnamed && document.at("access_token").is_string() {
                        self.move_to(Stage::Registered, "the scenario names a client of its own");
                    }
                    let why = "the scenario got tokens";
                    match request {
                        OAuthRequest::Exchange => self.keep_new(&(status, document), why),
                        _ => self.keep(&(status, document), why),
                    };
                }
            }
            _ => {}
        }
    }
}

/// The code that an answer sends the client back with.
fn code_of(answered: &Answered) -> Option<String> {
    let place = Url::parse(header(&answered.headers, "location")?).ok()?;
    place.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| code.into_owned())
}

/// An object with the scenario's changes.
pub(super) fn with_members(mut body: Value, set: &BTreeMap<String, Value>, fill: &impl Fn(&str) -> String) -> Value {
    let Some(members) = body.as_object_mut() else { return body };
    for (name, value) in set {
        match value {
            Value::Null => {
                members.shift_remove(name);
            }
            Value::String(text) => {
                members.insert(name.clone(), json!(fill(text)));
            }
            other => {
                members.insert(name.clone(), other.clone());
            }
        }
    }
    body
}

/// A URL with its scheme and host in capitals, which is the same URL.
fn shouted(url: &str) -> String {
    let path = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    format!("{}{}", url[..path].to_ascii_uppercase(), &url[path..])
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> String {
    Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// The parameters with the scenario's changes; what is empty in the end is left out.
fn changed(usual: Pairs, set: &BTreeMap<String, Value>, fill: &impl Fn(&str) -> String) -> Pairs {
    let mut pairs: Pairs = usual.into_iter().filter(|(name, _)| !set.contains_key(name)).collect();
    for (name, value) in set {
        let values = match value {
            Value::Null => Vec::new(),
            Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        };
        pairs.extend(
            values
                .into_iter()
                .map(|value| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))),
        );
    }
    let filled = pairs.into_iter().map(|(name, value)| (name, fill(&value)));
    filled.filter(|(name, value)| !value.is_empty() || set.contains_key(name)).collect()
}

fn encode(pairs: &Pairs) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_replaces_repeats_and_removes() {
        let usual = vec![
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "{x}".to_owned()),
            ("c".to_owned(), "3".to_owned()),
        ];
        let set = [("a".to_owned(), Value::Null), ("c".to_owned(), json!(["4", 5]))].into_iter().collect();
        let pairs = changed(usual, &set, &|text: &str| text.replace("{x}", "filled"));
        assert_eq!(encode(&pairs), "b=filled&c=4&c=5");
    }
}
