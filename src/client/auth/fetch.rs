//! One request to an authorization server or for metadata, recorded like any other.

use std::time::Duration;

use serde_json::Value;
use std::sync::Arc;
use url::Url;

use crate::client::compose;
use crate::client::exchange::{Answered, Options};
use crate::client::sim::Sim;
use crate::model::Via;
use crate::transcript::Headers;
use crate::wire::{Place, Request};

/// What is sent.
#[derive(Debug, Default)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) content_type: Option<&'a str>,
    pub(super) authorization: Option<String>,
    pub(super) body: Vec<u8>,
    /// Headers to add, replace or (absent) leave out.
    pub(super) headers: crate::scenario::Headers,
}

impl Sim {
    /// Sends it; `None` where the URL is none that can be asked.
    pub(super) async fn fetch(self: &Arc<Self>, ask: Ask<'_>, within: Duration) -> Option<Answered> {
        let url = Url::parse(ask.url).ok()?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => {
                self.note(&format!("{} was not asked: `{other}` is neither http nor https", ask.url));
                return None;
            }
        };
        let host = url.host_str()?;
        let port = url.port_or_known_default()?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let mut headers = self.headers_for(&ask, &authority);
        if let Some(authorization) = ask.authorization {
            headers.push(("authorization".into(), authorization.into()));
        }
        compose::apply(&mut headers, &ask.headers);
        let request = Request {
            method: ask.method.to_owned(),
            target,
            headers,
            body: ask.body,
            pad: 0,
            place: Some(Place { host: host.to_owned(), port, tls, through: None, inlet: None }),
            node: None,
            via: Via::StreamableHttp,
            channel: None,
        };
        let options = Options { within: within.min(self.target.patience), ..Options::default() };
        let answered = self.exchange(request, options).await;
        self.state().last_fetch = Some(answered.exchange);
        Some(answered)
    }

    /// The headers of the profile for such a request, or the plainest that do.
    fn headers_for(&self, ask: &Ask<'_>, authority: &str) -> Headers {
        let does = &self.profile.oauth.value;
        let known = does.headers.as_ref().map(|headers| match (ask.method, ask.content_type) {
            ("POST", Some("application/json")) => &headers.registration,
            ("POST", _) => &headers.token,
            _ if of_server(ask.url) && !headers.server_metadata.is_empty() => &headers.server_metadata,
            _ => &headers.metadata,
        });
        if let Some(known) = known.filter(|known| !known.is_empty()) {
            let length = (!ask.body.is_empty()).then_some(ask.body.len());
            return compose::headers(known, &compose::Slots { host: authority, length, ..compose::Slots::default() });
        }
        let agent = does.user_agent.as_ref().unwrap_or(&self.profile.user_agent.value);
        let mut headers: Headers = vec![
            ("host".into(), authority.into()),
            ("user-agent".into(), agent.as_str().into()),
            ("accept".into(), "application/json".into()),
        ];
        // Some clients do not name themselves.
        headers.retain(|(_, value)| !value.is_empty());
        if let Some(kind) = ask.content_type {
            headers.push(("content-type".into(), kind.into()));
            headers.push(("content-length".into(), ask.body.len().to_string().into()));
        }
        headers
    }

    /// A JSON object by GET, where it comes with 200.
    pub(super) async fn document(self: &Arc<Self>, url: &str, within: Duration) -> Option<Value> {
        let answered = self.fetch(Ask { method: "GET", url, ..Ask::default() }, within).await?;
        let found = answered.status == Some(200);
        let document = answered.into_document().filter(Value::is_object)?;
        found.then_some(document)
    }
}

/// Whether a URL is that of the metadata of an authorization server.
fn of_server(url: &str) -> bool {
    url.contains("/.well-known/oauth-authorization-server") || url.contains("/.well-known/openid-configuration")
}
